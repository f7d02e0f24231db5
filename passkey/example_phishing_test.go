package passkey_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/mfatest"
	"github.com/authfactor/mfa/passkey"
	"github.com/authfactor/mfa/passkey/passkeytest"
	"github.com/authfactor/mfa/proof"
)

var errPhishable = errors.New("use your passkey")

// logIn makes no session for a code that its owner may have typed into another page. It looks
// at what answered, and not at what was offered: whoever sits between chooses what is asked.
func logIn(ctx context.Context, svc *mfa.Service, answer mfa.VerifyParams) error {
	v, err := svc.Verify(ctx, answer)
	if err == nil && !v.Factor.PhishingResistant() {
		err = errPhishable
	}
	return err // or make the session here
}

// pay executes what a passkey approved. Where a receipt adds or removes a factor, ask
// Verification.Factor first, because Enroll and Unenroll take the receipt of any.
func pay(ctx context.Context, svc *mfa.Service, claim proof.Claim) error {
	receipt, err := svc.Redeem(ctx, claim)
	if err == nil && receipt.FactorType != string(passkey.Type) {
		err = errPhishable
	}
	return err // or pay here
}

// An application can require what cannot be phished, at a login and for an action. Alan has a
// phone number beside his passkey, and somebody between him and the site says that the passkey
// does not work.
func Example_phishingResistant() {
	ctx := context.Background()
	phone, clock := new(mfatest.Sender), new(mfatest.Clock)
	browser := passkeytest.New("https://example.com")
	svc, err := newSite(ctx, phone, browser, clock)
	if err != nil {
		log.Fatal(err)
	}

	// Offer what cannot be phished, and nothing else.
	login, err := svc.StartLogin(ctx, mfa.LoginParams{UserID: "alan", HasFactor: true})
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range login.Factors {
		fmt.Println(f.Type, "is offered:", f.PhishingResistant())
	}

	// Whatever is offered, a request can name the phone, and the code be right.
	eur5 := proof.ActionOf("pay", "EUR 5")
	for _, f := range login.Factors {
		for _, action := range []proof.Action{{}, eur5} {
			clock.Advance(time.Minute) // between two messages
			ch, err := svc.Challenge(ctx, mfa.ChallengeParams{
				FactorID: f.ID, UserID: "alan", Action: action,
			})
			if err != nil {
				log.Fatal(err)
			}
			answer := mfa.VerifyParams{ChallengeID: ch.ID, UserID: "alan", Action: action}
			if f.Type == mfa.TypeSMS {
				answer.Code = phone.Code(f.PhoneNumber())
			} else if answer.Answer, err = browser.Get(ch.Options()); err != nil {
				log.Fatal(err)
			}
			if action == (proof.Action{}) {
				fmt.Println(f.Type, "logs in:", logIn(ctx, svc, answer))
				continue
			}
			v, err := svc.Verify(ctx, answer)
			if err != nil {
				log.Fatal(err)
			}
			claim := proof.Claim{Receipt: v.Receipt(), UserID: "alan", Action: action}
			fmt.Println(f.Type, "pays:", pay(ctx, svc, claim))
		}
	}
	// Output:
	// webauthn is offered: true
	// sms is offered: false
	// webauthn logs in: <nil>
	// webauthn pays: <nil>
	// sms logs in: use your passkey
	// sms pays: use your passkey
}

// newSite is a service whose only person has a passkey and a phone number.
func newSite(
	ctx context.Context, phone *mfatest.Sender, browser *passkeytest.Authenticator,
	clock *mfatest.Clock,
) (*mfa.Service, error) {
	method, err := passkey.New(passkey.Config{
		RPID: "example.com", RPName: "Example", Origins: []string{"https://example.com"},
	})
	if err != nil {
		return nil, err
	}
	svc, err := mfa.New(mfa.Config{
		Store: new(mfa.MemoryStore), SMS: phone, Regions: []string{"US"}, Now: clock.Now,
		Methods: []mfa.Method{method},
	})
	if err != nil {
		return nil, err
	}
	for _, p := range []mfa.EnrollParams{
		{UserID: "alan", Method: passkey.Params("alan")},
		{UserID: "alan", SMS: &mfa.SMSParams{PhoneNumber: "+15005550006"}, ByOperator: true},
	} {
		enr, err := svc.Enroll(ctx, p)
		if err != nil {
			return nil, err
		}
		ch, err := svc.Challenge(ctx, mfa.ChallengeParams{
			FactorID: enr.Factor.ID, UserID: "alan", Confirm: true,
		})
		if err != nil {
			return nil, err
		}
		answer := mfa.VerifyParams{ChallengeID: ch.ID, UserID: "alan"}
		if p.SMS != nil {
			answer.Code = phone.Code(p.SMS.PhoneNumber)
		} else if answer.Answer, err = browser.Create(ch.Options()); err != nil {
			return nil, err
		}
		if _, err := svc.Verify(ctx, answer); err != nil {
			return nil, err
		}
	}
	return svc, nil
}
