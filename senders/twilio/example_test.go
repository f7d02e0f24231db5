package twilio_test

import (
	"fmt"
	"log"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/mfatest"
	"github.com/authfactor/mfa/senders"
	"github.com/authfactor/mfa/senders/twilio"
)

func ExampleNew() {
	sms, err := twilio.New(twilio.Config{
		AccountSID: "AC0123456789abcdef0123456789abcdef",
		AuthToken:  senders.Hide("from your vault"), // such as os.Getenv("TWILIO_AUTH_TOKEN")
		From:       "+15005550001",
	})
	if err != nil {
		log.Fatal(err)
	}
	_, err = mfa.New(mfa.Config{
		SMS: sms, Regions: []string{"US", "CA"}, Store: new(mfa.MemoryStore), Keys: mfatest.Keys(),
	})
	fmt.Println("ready:", err == nil)

	_, err = twilio.New(twilio.Config{AccountSID: "AC0123456789abcdef0123456789abcdef"})
	fmt.Println(err)
	// Output:
	// ready: true
	// mfa: config: twilio: one of AuthToken and APIKey is required
}

// WhatsApp first, and SMS if Twilio refuses that.
func ExampleNew_whatsApp() {
	account := twilio.Config{
		AccountSID: "AC0123456789abcdef0123456789abcdef",
		APIKey:     "SK0123456789abcdef0123456789abcdef",
		APISecret:  senders.Hide("from your vault"),
		From:       "+15005550001",
	}
	sms, err := twilio.New(account)
	if err != nil {
		log.Fatal(err)
	}
	account.Channel = twilio.WhatsApp
	account.ContentSID = "HX0123456789abcdef0123456789abcdef" // a template that was approved
	whatsApp, err := twilio.New(account)
	if err != nil {
		log.Fatal(err)
	}
	_, err = mfa.New(mfa.Config{
		SMS: senders.Fallback(whatsApp, sms), Regions: []string{"IN", "BR"},
		Store: new(mfa.MemoryStore), Keys: mfatest.Keys(),
	})
	fmt.Println("ready:", err == nil)
	// Output: ready: true
}
