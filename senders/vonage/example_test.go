package vonage_test

import (
	"fmt"
	"log"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/mfatest"
	"github.com/authfactor/mfa/senders"
	"github.com/authfactor/mfa/senders/vonage"
)

func ExampleNew() {
	sms, err := vonage.New(vonage.Config{
		APIKey:    "abcd1234",
		APISecret: senders.Hide("from your vault"), // such as os.Getenv("VONAGE_API_SECRET")
		From:      "Foo Corp",
	})
	if err != nil {
		log.Fatal(err)
	}
	_, err = mfa.New(mfa.Config{
		SMS: sms, Regions: []string{"GB", "IE"}, Store: new(mfa.MemoryStore), Keys: mfatest.Keys(),
	})
	fmt.Println("ready:", err == nil)

	_, err = vonage.New(vonage.Config{APIKey: "abcd1234", From: "Foo Corp"})
	fmt.Println(err)
	// Output:
	// ready: true
	// mfa: config: vonage: APISecret is required
}
