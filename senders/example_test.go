package senders_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/senders"
)

// down is a sender whose provider is not there.
type down struct{}

func (down) Send(context.Context, mfa.Message) error {
	return &senders.Error{Sender: "down", Reason: senders.ErrTryLater}
}

func ExampleFallback() {
	second := new(mfa.Outbox)
	sms := senders.Fallback(down{}, second)
	err := sms.Send(context.Background(), mfa.Message{
		To: "+15005550006", Body: "Your code is 123456.",
	})
	fmt.Println("sent:", err == nil, len(second.Messages()))
	// Output: sent: true 1
}

func ExampleRoute() {
	domestic := new(mfa.Outbox)
	sms, err := senders.Route(map[string]mfa.SMSSender{"US": domestic, "CA": domestic}, nil)
	if err != nil {
		log.Fatal(err)
	}
	err = sms.Send(context.Background(), mfa.Message{
		To: "+447400123456", Body: "Your code is 123456.",
	})
	fmt.Println(errors.Is(err, senders.ErrRegionOff))
	fmt.Println(err)
	// Output:
	// true
	// senders: route: the account does not send to this region: there is no sender for region "GB"
}

// What a person can be told when a code could not be sent.
func ExampleError() {
	err := fmt.Errorf("of Challenge: %w", &senders.Error{
		Sender: "twilio", Reason: senders.ErrCannotReceive, Code: "21635",
	})
	switch e, _ := errors.AsType[*senders.Error](err); {
	case errors.Is(err, senders.ErrCannotReceive):
		fmt.Println("That number cannot get text messages. Choose another way.", "code", e.Code)
	case errors.Is(err, senders.ErrOptedOut):
		fmt.Println("That number opted out of our messages. Text START to us, and try again.")
	default:
		fmt.Println("We cannot send a code now. Try again later, or choose another way.")
	}
	// Output: That number cannot get text messages. Choose another way. code 21635
}
