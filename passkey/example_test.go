package passkey_test

import (
	"context"
	"fmt"
	"log"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/passkey"
	"github.com/authfactor/mfa/passkey/passkeytest"
)

// A passkey is enrolled and logs in by the three verbs. Here a virtual authenticator stands
// for the browser.
func Example() {
	ctx := context.Background()
	method, err := passkey.New(passkey.Config{
		RPID: "example.com", RPName: "Example", Origins: []string{"https://example.com"},
	})
	if err != nil {
		log.Fatal(err)
	}
	svc, err := mfa.New(mfa.Config{Methods: []mfa.Method{method}})
	if err != nil {
		log.Fatal(err)
	}
	browser := passkeytest.New("https://example.com")

	enr, err := svc.Enroll(ctx, mfa.EnrollParams{
		UserID: "alan", Name: "phone", Method: passkey.Params("alan.turing@example.com"),
	})
	if err != nil {
		log.Fatal(err)
	}
	ch, err := svc.Challenge(ctx, mfa.ChallengeParams{
		FactorID: enr.Factor.ID, UserID: "alan", Confirm: true,
	})
	if err != nil {
		log.Fatal(err)
	}
	answer, err := browser.Create(ch.Options()) // navigator.credentials.create
	if err != nil {
		log.Fatal(err)
	}
	v, err := svc.Verify(ctx, mfa.VerifyParams{ChallengeID: ch.ID, UserID: "alan", Answer: answer})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("registered:", v.FirstUse)

	login, err := svc.StartLogin(ctx, mfa.LoginParams{UserID: "alan", HasFactor: true})
	if err != nil {
		log.Fatal(err)
	}
	ch, err = svc.Challenge(ctx, mfa.ChallengeParams{FactorID: login.Factors[0].ID, UserID: "alan"})
	if err != nil {
		log.Fatal(err)
	}
	answer, err = browser.Get(ch.Options()) // navigator.credentials.get
	if err != nil {
		log.Fatal(err)
	}
	v, err = svc.Verify(ctx, mfa.VerifyParams{ChallengeID: ch.ID, UserID: "alan", Answer: answer})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(v.Factor.Type, v.Factor.Name)
	// Output:
	// registered: true
	// webauthn phone
}
