package senders_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/mfatest"
	"github.com/authfactor/mfa/senders"
	"github.com/authfactor/mfa/senders/twilio"
	"github.com/authfactor/mfa/senders/vonage"
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

// WhatsApp before text messages in two regions, and two providers everywhere else.
func ExampleRoute_providers() {
	account := twilio.Config{
		AccountSID: "AC0123456789abcdef0123456789abcdef",
		AuthToken:  senders.Hide("from your vault"),
		From:       "+15005550001",
	}
	text, noText := twilio.New(account)
	account.Channel = twilio.WhatsApp
	account.ContentSID = "HX0123456789abcdef0123456789abcdef" // a template that was approved
	whatsApp, noWhatsApp := twilio.New(account)
	second, noSecond := vonage.New(vonage.Config{
		APIKey: "abcd1234", APISecret: senders.Hide("from your vault"), From: "FooCorp",
	})
	if err := errors.Join(noText, noWhatsApp, noSecond); err != nil {
		log.Fatal(err)
	}

	chat := senders.Fallback(whatsApp, text)
	sms, err := senders.Route(map[string]mfa.SMSSender{
		"IN": chat, "BR": chat,
	}, senders.Fallback(text, second))
	if err != nil {
		log.Fatal(err)
	}
	_, err = mfa.New(mfa.Config{
		SMS: sms, Regions: []string{"IN", "BR", "US"},
		Store: new(mfa.MemoryStore), Keys: mfatest.Keys(),
	})
	fmt.Println("ready:", err == nil)
	// Output: ready: true
}
