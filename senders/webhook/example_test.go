package webhook_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/senders"
	"github.com/authfactor/mfa/senders/webhook"
)

// In an application, the secret comes from where its other secrets are.
const exampleSecret = "whsec_ZXhhbXBsZSBrZXksIDMyIGJ5dGVzIGxvbmcuLi4uLi4="

// The application. Its gateway, here a test server, answers that it took the message.
func ExampleNew() {
	gateway := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			Type string
			Data json.RawMessage
		}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			log.Fatal(err)
		}
		fmt.Println(r.Header.Get("webhook-id"), body.Type)
		fmt.Printf("%s\n", body.Data)
	}))
	defer gateway.Close()

	secret, err := webhook.ParseSecret(exampleSecret)
	if err != nil {
		log.Fatal(err)
	}
	sender, err := webhook.New(webhook.Config{
		URL:        gateway.URL,      // such as "https://sms.internal.example/send"
		HTTPClient: gateway.Client(), // leave it out where the certificate is a usual one
		Secret:     secret,
	})
	if err != nil {
		log.Fatal(err)
	}
	// Give it to mfa.Config.SMS, which calls Send.
	err = sender.Send(context.Background(), mfa.Message{
		ID: "5f0c2a", To: "+15005550006", Body: "Your code is 739164.",
	})
	fmt.Println(err)
	// Output:
	// 5f0c2a sms.send
	// {"id":"5f0c2a","to":"+15005550006","body":"Your code is 739164."}
	// <nil>
}

// The gateway. What its Send returns is what Send of the application returns.
func ExampleNewReceiver() {
	secret, err := webhook.ParseSecret(exampleSecret)
	if err != nil {
		log.Fatal(err)
	}
	receiver, err := webhook.NewReceiver(webhook.ReceiverConfig{
		Secrets: []webhook.Secret{secret},
		Send: func(_ context.Context, m mfa.Message) (webhook.Taken, error) {
			if m.To == "+15005550004" {
				return webhook.Taken{}, &senders.Error{
					Sender: "acme", Reason: senders.ErrOptedOut, Code: "21610",
				}
			}
			// Call the provider here, with m.ID as the idempotency key.
			fmt.Println("sent to", m.To)
			return webhook.Taken{By: "acme", ID: "SM123"}, nil
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	gateway := httptest.NewTLSServer(receiver) // in a gateway: an http.Server with timeouts
	defer gateway.Close()

	sender, err := webhook.New(webhook.Config{
		URL: gateway.URL, HTTPClient: gateway.Client(), Secret: secret,
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	err = sender.Send(ctx, mfa.Message{ID: "m1", To: "+15005550006", Body: "Your code is 739164."})
	fmt.Println(err)
	err = sender.Send(ctx, mfa.Message{ID: "m2", To: "+15005550004", Body: "Your code is 739164."})
	fmt.Println(errors.Is(err, senders.ErrOptedOut), err)
	// Output:
	// sent to +15005550006
	// <nil>
	// true senders: webhook: the number opted out of messages (21610)
}

// A secret that is not one is refused, without being quoted.
func ExampleParseSecret() {
	_, err := webhook.ParseSecret("hunter2")
	fmt.Println(err)
	// Output: mfa: config: webhook: a secret must begin with whsec_
}
