package aws_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/pinpointsmsvoicev2"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/senders"
	"github.com/authfactor/mfa/senders/aws"
)

// A server in the place of AWS takes a message, and refuses feedback for another one.
func ExampleNew() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println(r.Header.Get("X-Amz-Target"))
		if r.Header.Get("X-Amz-Target") == "PinpointSMSVoiceV2.SendTextMessage" {
			_, _ = io.WriteString(w, `{"MessageId":"m-1"}`)
			return
		}
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"__type":"ResourceNotFoundException"}`)
	}))
	defer server.Close()

	// In an application: pinpointsmsvoicev2.NewFromConfig, of config.LoadDefaultConfig.
	client := pinpointsmsvoicev2.New(pinpointsmsvoicev2.Options{
		Region: "eu-west-1", BaseEndpoint: &server.URL,
		Credentials: sdk.CredentialsProviderFunc(func(context.Context) (sdk.Credentials, error) {
			return sdk.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "example-secret-key"}, nil
		}),
	})
	sender, err := aws.New(aws.Config{
		Client: client, OriginationIdentity: "pool-0123456789abcdef", Feedback: true,
	})
	if err != nil {
		log.Fatal(err)
	}

	// Give it to mfa.Config.SMS, which calls Send.
	ctx := context.Background()
	err = sender.Send(ctx, mfa.Message{
		ID: "5f0c2a", To: "+15005550006", Body: "Your code is 739164.",
	})
	fmt.Println(err)

	// Once the code was entered, with the id that AWS gave the message.
	err = sender.Feedback(ctx, "m-2")
	fmt.Println(errors.Is(err, senders.ErrAccount), err)
	// Output:
	// PinpointSMSVoiceV2.SendTextMessage
	// <nil>
	// PinpointSMSVoiceV2.PutMessageFeedback
	// true senders: aws: the account cannot send (ResourceNotFoundException)
}
