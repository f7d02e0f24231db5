package mfa_test

import (
	"bytes"
	"context"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/mfatest"
	"github.com/authfactor/mfa/proof"
)

// A login: the password was right, now the second factor is asked for.
func Example() {
	ctx := context.Background()
	svc, err := mfa.New(mfa.Config{Logger: slog.New(slog.DiscardHandler)}) // in memory; see Config
	if err != nil {
		log.Fatal(err)
	}

	// Once, for a person who is logged in: enroll, and show enr.TOTP.QRCode().
	enr, err := svc.Enroll(ctx, mfa.EnrollParams{
		UserID: "user_42",
		TOTP:   &mfa.TOTPParams{Issuer: "Foo Corp", User: "alan.turing@foo-corp.com"},
	})
	if err != nil {
		log.Fatal(err)
	}

	// At each login: challenge, and keep ch.ID on the server.
	ch, err := svc.Challenge(ctx, mfa.ChallengeParams{FactorID: enr.Factor.ID, UserID: "user_42"})
	if err != nil {
		log.Fatal(err)
	}

	// And verify the code that the person types.
	code := mfatest.Code(enr.TOTP.Secret(), time.Now())
	v, err := svc.Verify(ctx, mfa.VerifyParams{ChallengeID: ch.ID, UserID: "user_42", Code: code})
	fmt.Println("logged in:", err == nil, "first use:", v.FirstUse)

	_, err = svc.Verify(ctx, mfa.VerifyParams{ChallengeID: ch.ID, UserID: "user_42", Code: code})
	fmt.Println("again:", errors.Is(err, mfa.ErrChallengePreviouslyVerified))
	// Output:
	// logged in: true first use: true
	// again: true
}

// exampleService is a service in memory with a clock that stands still.
func exampleService() (*mfa.Service, *mfatest.Clock, *mfa.Outbox) {
	clock, outbox := new(mfatest.Clock), new(mfa.Outbox)
	svc, err := mfa.New(mfa.Config{Now: clock.Now, SMS: outbox, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		log.Fatal(err)
	}
	return svc, clock, outbox
}

// exampleTOTP enrolls an app and returns its secret.
func exampleTOTP(svc *mfa.Service) (mfa.Factor, string) {
	enr, err := svc.Enroll(context.Background(), mfa.EnrollParams{
		UserID: "user_42", Name: "work phone",
		TOTP: &mfa.TOTPParams{Issuer: "Foo Corp", User: "alan.turing@foo-corp.com"},
	})
	if err != nil {
		log.Fatal(err)
	}
	return enr.Factor, enr.TOTP.Secret()
}

// What production needs: a store, a sender, keys and regions. All four are
// checked by New, which says how to mend what is missing.
func ExampleNew() {
	keys, err := mfa.ParseKeyring(os.Getenv("MFA_KEYS"))
	if err != nil {
		keys = mfatest.Keys() // so that this example runs; in an application: log.Fatal(err)
	}
	_, err = mfa.New(mfa.Config{
		Store:         new(mfa.MemoryStore), // your database
		SMS:           new(mfatest.Sender),  // your provider
		Keys:          keys,
		Regions:       []string{"US", "CA"},
		DefaultRegion: "US",
		OnEvent: func(ctx context.Context, e mfa.Event) {
			slog.InfoContext(ctx, "mfa", "event", e.Kind, "factor", e.FactorID, "user", e.UserID)
		},
	})
	fmt.Println(err)

	_, err = mfa.New(mfa.Config{SMS: new(mfatest.Sender)})
	fmt.Println(err)
	// Output:
	// <nil>
	// mfa: config: Config.Regions is required beside an SMSSender of your own: list the regions your users live in, such as []string{"US", "CA"}, or say mfa.AllRegions()
}

// The page that shows the QR code. template.URL tells html/template that the data
// URI is safe; without it the image is empty.
func ExampleService_Enroll() {
	svc, _, _ := exampleService()
	enr, err := svc.Enroll(context.Background(), mfa.EnrollParams{
		UserID: "user_42", Name: "work phone",
		TOTP: &mfa.TOTPParams{Issuer: "Foo Corp", User: "alan.turing@foo-corp.com"},
	})
	if err != nil {
		log.Fatal(err)
	}
	page := template.Must(
		template.New("").Parse(`<img alt="QR code" src="{{.QR}}"> <code>{{.Secret}}</code>`),
	)
	var out strings.Builder
	err = page.Execute(
		&out,
		map[string]any{"QR": template.URL(enr.TOTP.QRCode()), "Secret": enr.TOTP.Secret()},
	)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(out.String()[:54])
	fmt.Println(enr.Factor.Type, enr.Factor.Name, enr.Factor.Status)
	// Output:
	// <img alt="QR code" src="data:image/png;base64,iVBORw0K
	// totp work phone unverified
}

func ExampleService_Enroll_sms() {
	svc, _, _ := exampleService()
	enr, err := svc.Enroll(context.Background(), mfa.EnrollParams{
		UserID: "user_42", SMS: &mfa.SMSParams{PhoneNumber: "+1 (500) 555-0006"},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(enr.Factor.PhoneNumber(), "shown as", enr.Factor.MaskedPhoneNumber())

	_, err = svc.Enroll(context.Background(), mfa.EnrollParams{
		UserID: "user_42", SMS: &mfa.SMSParams{PhoneNumber: "1-800-FLOWERS"},
	})
	fmt.Println(err)
	// Output:
	// +15005550006 shown as +*********06
	// mfa: Phone number is invalid. (invalid_phone_number)
}

// Codes are sent with a text of your own.
// Recovery codes are shown once, and each is accepted once.
func ExampleService_Enroll_recoveryCodes() {
	ctx := context.Background()
	svc, _, _ := exampleService()
	enr, err := svc.Enroll(ctx, mfa.EnrollParams{UserID: "user_42", RecoveryCodes: true})
	if err != nil {
		log.Fatal(err)
	}
	codes := enr.RecoveryCodes.Codes() // to print or to copy
	fmt.Println(len(codes), "codes of", len(codes[0]), "characters")

	ch, err := svc.Challenge(ctx, mfa.ChallengeParams{FactorID: enr.Factor.ID, UserID: "user_42"})
	if err != nil {
		log.Fatal(err)
	}
	v, err := svc.Verify(ctx, mfa.VerifyParams{
		ChallengeID: ch.ID, UserID: "user_42", Code: strings.ToLower(codes[7]),
	})
	fmt.Println("logged in:", err == nil, "left:", v.Factor.RecoveryCodesLeft)
	// Output:
	// 10 codes of 29 characters
	// logged in: true left: 9
}

// A new phone: the old app works until the first code of the new one.
func ExampleService_Enroll_replaces() {
	ctx := context.Background()
	svc, clock, _ := exampleService()
	old, secret := exampleTOTP(svc)
	// ask challenges a factor, for an action if there is one, and types what the app shows.
	ask := func(factorID, secret string, a proof.Action) mfa.Verification {
		ch, err := svc.Challenge(ctx, mfa.ChallengeParams{
			FactorID: factorID, UserID: "user_42", Confirm: true, Action: a,
		})
		if err != nil {
			log.Fatal(err)
		}
		v, err := svc.Verify(ctx, mfa.VerifyParams{
			ChallengeID: ch.ID,
			UserID:      "user_42",
			Code:        mfatest.Code(secret, clock.Now()),
			Action:      a,
		})
		if err != nil {
			log.Fatal(err)
		}
		return v
	}
	ask(old.ID, secret, proof.Action{})
	clock.Advance(24 * time.Hour)

	// Whoever has a factor shows it before another one takes its place.
	approved := ask(old.ID, secret, proof.ActionOf(mfa.PurposeEnroll, old.ID))
	enr, err := svc.Enroll(ctx, mfa.EnrollParams{
		UserID: "user_42", Name: "new phone", Replaces: old.ID, Receipt: approved.Receipt(),
		TOTP: &mfa.TOTPParams{Issuer: "Foo Corp", User: "alan.turing@foo-corp.com"},
	})
	if err != nil {
		log.Fatal(err)
	}
	show := func() {
		factors, err := svc.Factors(ctx, "user_42")
		if err != nil {
			log.Fatal(err)
		}
		for _, f := range factors {
			fmt.Printf("%s is %s. ", f.Name, f.Status)
		}
		fmt.Println("Factors:", len(factors))
	}
	show()
	ask(enr.Factor.ID, enr.TOTP.Secret(), proof.Action{})
	show()
	// Output:
	// work phone is verified. new phone is unverified. Factors: 2
	// new phone is verified. Factors: 1
}

// The application delivers the code itself, and tries again after a lost answer.
func ExampleService_Challenge_genericOTP() {
	ctx := context.Background()
	svc, _, _ := exampleService()
	enr, err := svc.Enroll(ctx, mfa.EnrollParams{UserID: "user_42", Name: "push", GenericOTP: true})
	if err != nil {
		log.Fatal(err)
	}
	p := mfa.ChallengeParams{
		FactorID:       enr.Factor.ID,
		UserID:         "user_42",
		IdempotencyKey: "5b0bb5c5-8f4a-4d5e-a1c4-6a9c7f1f2a55",
	}
	ch, err := svc.Challenge(ctx, p)
	if err != nil {
		log.Fatal(err)
	}
	again, err := svc.Challenge(ctx, p)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("the same challenge:", again.ID == ch.ID, "the same code:", again.Code() == ch.Code())

	v, err := svc.Verify(ctx, mfa.VerifyParams{ChallengeID: ch.ID, UserID: "user_42", Code: ch.Code()})
	fmt.Println("confirmed:", err == nil && v.FirstUse)
	// Output:
	// the same challenge: true the same code: true
	// confirmed: true
}

func ExampleService_Challenge() {
	svc, _, outbox := exampleService()
	ctx := context.Background()
	enr, err := svc.Enroll(ctx, mfa.EnrollParams{
		UserID: "user_42", SMS: &mfa.SMSParams{PhoneNumber: "+15005550006"},
	})
	if err != nil {
		log.Fatal(err)
	}
	ch, err := svc.Challenge(ctx, mfa.ChallengeParams{
		FactorID:    enr.Factor.ID,
		SMSTemplate: "Your FooCorp is {{code}}.",
		UserID:      "user_42",
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(ch.ExpiresAt.Sub(ch.CreatedAt), outbox.Messages()[0].Body[:15])

	_, err = svc.Challenge(ctx, mfa.ChallengeParams{FactorID: enr.Factor.ID, UserID: "user_42"})
	if e, ok := errors.AsType[*mfa.Error](err); ok {
		fmt.Println(e.Code, e.RetryAfter)
	}
	// Output:
	// 10m0s Your FooCorp is
	// rate_limit_exceeded 1m0s
}

// What to do about each answer.
func ExampleService_Verify() {
	svc, _, _ := exampleService()
	factor, _ := exampleTOTP(svc)
	ctx := context.Background()
	ch, err := svc.Challenge(ctx, mfa.ChallengeParams{FactorID: factor.ID, UserID: "user_42"})
	if err != nil {
		log.Fatal(err)
	}

	v, err := svc.Verify(ctx, mfa.VerifyParams{
		ChallengeID: ch.ID, UserID: "user_42", Code: "not a code",
	})
	e, _ := errors.AsType[*mfa.Error](err)
	switch {
	case err == nil:
		fmt.Println("log the person in; v.FirstUse:", v.FirstUse)
	case errors.Is(err, mfa.ErrInvalidCode):
		fmt.Println("ask again,", e.AttemptsLeft, "tries left")
	case errors.Is(err, mfa.ErrThrottled):
		fmt.Println("come back in", e.RetryAfter)
	case errors.Is(err, mfa.ErrChallengeExpired), errors.Is(err, mfa.ErrTooManyAttempts),
		errors.Is(err, mfa.ErrChallengePreviouslyVerified):
		fmt.Println("make a new challenge")
	case errors.Is(err, mfa.ErrFactorDisabled):
		fmt.Println("another factor, or an operator's Unlock")
	default:
		fmt.Println("log it, and answer", http.StatusInternalServerError)
	}
	answer, _ := json.Marshal(e)
	fmt.Println(string(answer))
	// Output:
	// ask again, 5 tries left
	// {"code":"invalid_one_time_code","message":"The code is not valid."}
}

// The code that confirms the first factor makes recovery codes as well, to be shown on the
// page that follows.
func ExampleService_Verify_newRecoveryCodes() {
	ctx := context.Background()
	svc, clock, _ := exampleService()
	factor, secret := exampleTOTP(svc)
	ch, err := svc.Challenge(ctx, mfa.ChallengeParams{
		FactorID: factor.ID, UserID: "user_42", Confirm: true,
	})
	if err != nil {
		log.Fatal(err)
	}
	p := mfa.VerifyParams{
		ChallengeID:      ch.ID,
		UserID:           "user_42",
		Code:             mfatest.Code(secret, clock.Now()),
		NewRecoveryCodes: true,
		IdempotencyKey:   "8e03978e-40d5-43e8-bc93-6894a57f9324", // made anew for each form
	}
	v, err := svc.Verify(ctx, p)
	if err != nil {
		log.Fatal(err)
	}
	codes := v.RecoveryCodes.Codes()
	fmt.Println("first use:", v.FirstUse, "codes:", len(codes))

	again, err := svc.Verify(ctx, p) // the form was submitted twice
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("the same:", slices.Equal(again.RecoveryCodes.Codes(), codes))

	// A login's token says how: the application checked the password.
	fmt.Println(append(v.AMR(), "pwd", "mfa"))
	// Output:
	// first use: true codes: 10
	// the same: true
	// [otp pwd mfa]
}

func ExampleService_Factor() {
	svc, _, _ := exampleService()
	factor, _ := exampleTOTP(svc)
	ctx := context.Background()

	f, err := svc.Factor(ctx, mfa.FactorParams{FactorID: factor.ID, UserID: "user_42"})
	fmt.Println(f.Name, f.Status, err)

	_, err = svc.Factor(ctx, mfa.FactorParams{FactorID: factor.ID, UserID: "user_43"})
	fmt.Println(errors.Is(err, mfa.ErrNotFound))
	// Output:
	// work phone unverified <nil>
	// true
}

// The factors that a login may ask for are those that are verified.
func ExampleService_Factors() {
	svc, _, _ := exampleService()
	exampleTOTP(svc)
	factors, err := svc.Factors(context.Background(), "user_42")
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range factors {
		fmt.Println(f.Type, f.Name, f.Status == mfa.StatusVerified, f.Restricted())
	}
	// Output: totp work phone false false
}

// A person takes a factor away with a code of one that they have, such as its own; an
// operator, as AnyUser, without.
func ExampleService_Unenroll() {
	ctx := context.Background()
	svc, clock, _ := exampleService()
	factor, secret := exampleTOTP(svc)
	exampleConfirm(svc, clock, factor, secret)

	err := svc.Unenroll(ctx, mfa.UnenrollParams{FactorID: factor.ID, UserID: "user_42"})
	fmt.Println("without a code:", err)

	away := proof.ActionOf(mfa.PurposeUnenroll, factor.ID)
	ch, err := svc.Challenge(ctx, mfa.ChallengeParams{
		FactorID: factor.ID, UserID: "user_42", Action: away,
	})
	if err != nil {
		log.Fatal(err)
	}
	v, err := svc.Verify(ctx, mfa.VerifyParams{
		ChallengeID: ch.ID,
		UserID:      "user_42",
		Code:        mfatest.Code(secret, clock.Now()),
		Action:      away,
	})
	if err != nil {
		log.Fatal(err)
	}
	err = svc.Unenroll(ctx, mfa.UnenrollParams{
		FactorID: factor.ID, UserID: "user_42", Receipt: v.Receipt(),
	})
	fmt.Println("with one:", err)
	// Output:
	// without a code: mfa: A fresh second factor is required. (second_factor_required)
	// with one: <nil>
}

// A person turns their second factor off with a code of any factor that they have. From then
// on their password is enough; an operator needs no code.
func ExampleService_TurnOff() {
	ctx := context.Background()
	svc, clock, _ := exampleService()
	factor, secret := exampleConfirmed(svc, clock)

	err := svc.TurnOff(ctx, mfa.TurnOffParams{UserID: "user_42"})
	fmt.Println("without a code:", err)

	off := proof.ActionOf(mfa.PurposeTurnOff)
	ch, err := svc.Challenge(ctx, mfa.ChallengeParams{
		FactorID: factor.ID, UserID: "user_42", Action: off,
	})
	if err != nil {
		log.Fatal(err)
	}
	v, err := svc.Verify(ctx, mfa.VerifyParams{
		ChallengeID: ch.ID,
		UserID:      "user_42",
		Code:        mfatest.Code(secret, clock.Now()),
		Action:      off,
	})
	if err != nil {
		log.Fatal(err)
	}
	err = svc.TurnOff(ctx, mfa.TurnOffParams{
		UserID: "user_42", Receipt: v.Receipt(),
		HasFactor: true, // by your own record of the person
	})
	fmt.Println("with one:", err)
	hasFactor := err != nil // write it into that record

	login, err := svc.StartLogin(ctx, mfa.LoginParams{UserID: "user_42", HasFactor: hasFactor})
	fmt.Println("the password is enough:", login.SkipCode, err)
	// Output:
	// without a code: mfa: A fresh second factor is required. (second_factor_required)
	// with one: <nil>
	// the password is enough: true <nil>
}

// A job erases a person whose account was deleted. It is run again until there is no error.
func ExampleService_Forget() {
	ctx := context.Background()
	svc, clock, _ := exampleService()
	exampleConfirmed(svc, clock)

	err := svc.Forget(ctx, "user_42")
	for range 3 {
		if err == nil {
			break
		}
		err = svc.Forget(ctx, "user_42")
	}
	factors, _ := svc.Factors(ctx, "user_42")
	fmt.Println(err, len(factors))
	// Output: <nil> 0
}

// A payment is approved with a code, by the process that has the factors, and made by
// another one, which has the public keys alone.
func ExampleVerification_Receipt() {
	ctx := context.Background()
	svc, clock, _ := exampleService()
	factor, secret := exampleTOTP(svc)
	exampleConfirm(svc, clock, factor, secret)
	publicKeys := svc.ProofKeys().String() // in the configuration of the other process

	pay := proof.ActionOf("pay", "EUR 500.00", "DE89370400440532013000")
	ch, err := svc.Challenge(ctx, mfa.ChallengeParams{
		FactorID: factor.ID, UserID: "user_42", Action: pay,
	})
	if err != nil {
		log.Fatal(err)
	}
	v, err := svc.Verify(ctx, mfa.VerifyParams{
		ChallengeID: ch.ID,
		UserID:      "user_42",
		Code:        mfatest.Code(secret, clock.Now()),
		Action:      pay,
	})
	if err != nil {
		log.Fatal(err)
	}

	keys, err := proof.ParseKeys(publicKeys)
	if err != nil {
		log.Fatal(err)
	}
	checker := proof.Checker{Keys: keys, Now: clock.Now}
	receipt, err := checker.Check(ctx, proof.Claim{
		Receipt: v.Receipt(), UserID: "user_42", Action: pay,
	})
	fmt.Println(
		receipt.FactorType,
		receipt.Action.Purpose,
		receipt.ExpiresAt.Sub(receipt.IssuedAt),
		err,
	)

	dearer := proof.ActionOf("pay", "EUR 5000.00", "DE89370400440532013000")
	_, err = checker.Check(ctx, proof.Claim{Receipt: v.Receipt(), UserID: "user_42", Action: dearer})
	fmt.Println(errors.Is(err, proof.ErrMismatch))
	// Output:
	// totp pay 5m0s <nil>
	// true
}

// Where once is meant, the service remembers.
func ExampleService_Redeem() {
	ctx := context.Background()
	svc, clock, _ := exampleService()
	factor, secret := exampleTOTP(svc)
	exampleConfirm(svc, clock, factor, secret)

	pay := proof.ActionOf("pay", "EUR 500.00", "DE89370400440532013000")
	ch, err := svc.Challenge(ctx, mfa.ChallengeParams{
		FactorID: factor.ID, UserID: "user_42", Action: pay,
	})
	if err != nil {
		log.Fatal(err)
	}
	v, err := svc.Verify(ctx, mfa.VerifyParams{
		ChallengeID: ch.ID,
		UserID:      "user_42",
		Code:        mfatest.Code(secret, clock.Now()),
		Action:      pay,
	})
	if err != nil {
		log.Fatal(err)
	}
	claim := proof.Claim{Receipt: v.Receipt(), UserID: "user_42", Action: pay}
	_, err = svc.Redeem(ctx, claim)
	fmt.Println("paid:", err == nil)
	_, err = svc.Redeem(ctx, claim)
	fmt.Println("spent:", errors.Is(err, proof.ErrSpent))
	// Output:
	// paid: true
	// spent: true
}

// exampleConfirm confirms the factor by a first code, and lets a minute pass.
func exampleConfirm(svc *mfa.Service, clock *mfatest.Clock, factor mfa.Factor, secret string) {
	ctx := context.Background()
	ch, err := svc.Challenge(ctx, mfa.ChallengeParams{FactorID: factor.ID, UserID: factor.UserID})
	if err != nil {
		log.Fatal(err)
	}
	_, err = svc.Verify(ctx, mfa.VerifyParams{
		ChallengeID: ch.ID,
		UserID:      factor.UserID,
		Code:        mfatest.Code(secret, clock.Now()),
	})
	if err != nil {
		log.Fatal(err)
	}
	clock.Advance(time.Minute)
}

// An operator helps somebody whose factor was disabled, after having made sure by
// other means who they are.
func ExampleService_Unlock() {
	svc, clock, _ := exampleService()
	factor, secret := exampleTOTP(svc)
	ctx := context.Background()
	ch, err := svc.Challenge(ctx, mfa.ChallengeParams{FactorID: factor.ID, UserID: "user_42"})
	if err != nil {
		log.Fatal(err)
	}
	stale := mfatest.Code(secret, clock.Now().Add(-time.Hour))
	for range 5 {
		_, err = svc.Verify(ctx, mfa.VerifyParams{ChallengeID: ch.ID, UserID: "user_42", Code: stale})
	}
	e, _ := errors.AsType[*mfa.Error](err)
	fmt.Println("after five wrong codes:", e.RetryAfter)

	if err := svc.Unlock(ctx, mfa.FactorParams{FactorID: factor.ID, UserID: mfa.AnyUser}); err != nil {
		log.Fatal(err)
	}
	_, err = svc.Challenge(ctx, mfa.ChallengeParams{FactorID: factor.ID, UserID: "user_42"})
	fmt.Println("after Unlock:", err)
	// Output:
	// after five wrong codes: 30s
	// after Unlock: <nil>
}

// How sure a policy is, against somebody who knows the password.
func ExamplePolicy_GuessProbability() {
	var policy mfa.Policy // the one of Config.Policy
	for _, factorType := range []mfa.FactorType{mfa.TypeTOTP, mfa.TypeSMS, mfa.TypeRecoveryCodes} {
		fmt.Printf(
			"%s: %.1e in a day, %.1e in a year\n",
			factorType,
			policy.GuessProbability(
				factorType,
				24*time.Hour,
			),
			policy.GuessProbability(factorType, 365*24*time.Hour),
		)
	}
	// Output:
	// totp: 1.5e-04 in a day, 2.0e-03 in a year
	// sms: 5.1e-05 in a day, 6.6e-04 in a year
	// recovery_codes: 3.8e-34 in a day, 5.0e-33 in a year
}

// Call Purge now and then: from a ticker, a cron job, or at night.
// After a change of keys, everything that the old one sealed is written again.
func ExampleService_Reseal() {
	ctx := context.Background()
	store, before, after := new(mfa.MemoryStore), mfa.NewKey(), mfa.NewKey()
	with := func(keys string) *mfa.Service {
		ring, err := mfa.ParseKeyring(keys)
		if err != nil {
			log.Fatal(err)
		}
		svc, err := mfa.New(mfa.Config{Store: store, Keys: ring})
		if err != nil {
			log.Fatal(err)
		}
		return svc
	}
	exampleTOTP(with(before))

	var last mfa.ResealProgress
	for progress, err := range with(after+","+before).Reseal(ctx, mfa.ResealParams{}) {
		if err != nil {
			log.Fatal(err) // or go on: a record that fails is passed over
		}
		last = progress // keep last.After to go on from there another time
	}
	fmt.Println("resealed", last.Resealed, "of", last.Walked)

	factors, err := with(after).Factors(ctx, "user_42")
	fmt.Println(len(factors), "factor opens with the new key alone:", err == nil)
	// Output:
	// resealed 2 of 2
	// 1 factor opens with the new key alone: true
}

func ExampleService_Purge() {
	svc, clock, _ := exampleService()
	exampleTOTP(svc) // and it is never confirmed
	clock.Advance(48*time.Hour + time.Second)
	n, err := svc.Purge(context.Background())
	fmt.Println(n, err)
	// Output: 2 <nil>
}

// One key, made with NewKey and kept with the application's other secrets. Two, when
// it is being changed.
func ExampleParseKeyring() {
	today, tomorrow := mfa.NewKey(), mfa.NewKey()
	_, err := mfa.ParseKeyring(today)
	fmt.Println(err)
	_, err = mfa.ParseKeyring(tomorrow + "," + today)
	fmt.Println(err)
	_, err = mfa.ParseKeyring("secret")
	fmt.Println(err)
	// Output:
	// <nil>
	// <nil>
	// mfa: config: key 1 is not the base64 of 32 bytes; make one with mfa.NewKey or `openssl rand -base64 32`
}

// What happens to factors goes to the log, and to the owner what they should know.
func ExampleEvent_Notify() {
	mail := func(user, what string) { fmt.Println("mail to", user+":", what) }
	logged := mfa.LogEvents(slog.New(slog.DiscardHandler))
	clock := new(mfatest.Clock)
	svc, err := mfa.New(mfa.Config{
		Now: clock.Now, Logger: slog.New(slog.DiscardHandler),
		OnEvent: func(ctx context.Context, e mfa.Event) {
			logged(ctx, e)
			if e.Notify() {
				mail(
					e.UserID,
					string(e.Kind)+" "+string(e.FactorType)+" from "+e.Source,
				) // put into a queue in real life
			}
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx := mfa.WithSource(context.Background(), "198.51.100.7") // once, around all handlers
	enr, err := svc.Enroll(ctx, mfa.EnrollParams{
		UserID: "user_42", TOTP: &mfa.TOTPParams{Issuer: "Foo Corp", User: "alan"},
	})
	if err != nil {
		log.Fatal(err)
	}
	ch, err := svc.Challenge(ctx, mfa.ChallengeParams{
		FactorID: enr.Factor.ID, UserID: "user_42", Confirm: true,
	})
	if err != nil {
		log.Fatal(err)
	}
	_, err = svc.Verify(ctx, mfa.VerifyParams{
		ChallengeID: ch.ID,
		UserID:      "user_42",
		Code:        mfatest.Code(enr.TOTP.Secret(), clock.Now()),
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// mail to user_42: first_use totp from 198.51.100.7
}

// exampleConfirmed is an app of user_42 that logs in.
func exampleConfirmed(svc *mfa.Service, clock *mfatest.Clock) (mfa.Factor, string) {
	factor, secret := exampleTOTP(svc)
	ctx := context.Background()
	ch, err := svc.Challenge(ctx, mfa.ChallengeParams{
		FactorID: factor.ID, UserID: "user_42", Confirm: true,
	})
	if err != nil {
		log.Fatal(err)
	}
	_, err = svc.Verify(ctx, mfa.VerifyParams{
		ChallengeID: ch.ID, UserID: "user_42", Code: mfatest.Code(secret, clock.Now()),
	})
	if err != nil {
		log.Fatal(err)
	}
	clock.Advance(time.Hour)
	return factor, secret
}

// Once the password was right, StartLogin tells whether a code is needed, and by which
// factors. A browser that the person trusts is not asked for one for 30 days.
func ExampleService_StartLogin() {
	ctx := context.Background()
	svc, clock, _ := exampleService()
	_, secret := exampleConfirmed(svc, clock)

	cookie := "" // of the browser: HttpOnly, Secure, SameSite
	login, err := svc.StartLogin(ctx, mfa.LoginParams{
		UserID: "user_42", DeviceToken: cookie, HasFactor: true,
	})
	if err != nil {
		log.Fatal(err) // nobody is logged in
	}
	cookie = login.DeviceToken()
	fmt.Println("without a code:", login.SkipCode)
	for _, f := range login.Factors { // let the person choose
		fmt.Println(f.Type, f.Locked, f.RetryAfter)
	}
	ch, err := svc.Challenge(ctx, mfa.ChallengeParams{
		FactorID: login.Factors[0].ID, UserID: "user_42", DeviceToken: cookie,
	})
	if err != nil {
		log.Fatal(err)
	}
	v, err := svc.Verify(ctx, mfa.VerifyParams{
		ChallengeID: ch.ID,
		UserID:      "user_42",
		Code:        mfatest.Code(secret, clock.Now()),
		DeviceToken: cookie,
		TrustDevice: true,
		DeviceName:  "Firefox on Linux", // the box was ticked
	})
	if err != nil {
		log.Fatal(err)
	}
	cookie = v.Device.Token()

	// The next day on the same browser.
	clock.Advance(24 * time.Hour)
	login, err = svc.StartLogin(ctx, mfa.LoginParams{
		UserID: "user_42", DeviceToken: cookie, HasFactor: true,
	})
	fmt.Println("without a code:", login.SkipCode, err)
	copied := cookie
	cookie = login.DeviceToken() // the cookie is set anew each time

	// Whoever copied the cookie before ends the trust for both, if they come later than
	// a second tab would.
	clock.Advance(30 * time.Second)
	for _, token := range []string{copied, cookie} {
		login, err = svc.StartLogin(ctx, mfa.LoginParams{
			UserID: "user_42", DeviceToken: token, HasFactor: true,
		})
		fmt.Println("without a code:", login.SkipCode, err)
	}
	// Output:
	// without a code: false
	// totp false 0s
	// without a code: true <nil>
	// without a code: false <nil>
	// without a code: false <nil>
}

// The page of a person's account lets them call their factors as they like.
func ExampleService_Rename() {
	ctx := context.Background()
	svc, _, _ := exampleService()
	factor, _ := exampleTOTP(svc)
	f, err := svc.Rename(ctx, mfa.RenameParams{
		FactorID: factor.ID, UserID: "user_42", Name: "old phone",
	})
	fmt.Println(f.Name, err)
	// Output: old phone <nil>
}

// A new password ends the trust in all browsers: somebody else may have trusted one.
func ExampleService_RevokeDevices() {
	svc, _, _ := exampleService()
	fmt.Println(svc.RevokeDevices(context.Background(), "user_42"))
	// Output: <nil>
}

// The page of a person's account lists their devices, and takes trust away.
func ExampleService_RevokeDevice() {
	ctx := context.Background()
	svc, clock, _ := exampleService()
	factor, secret := exampleTOTP(svc)
	ch, err := svc.Challenge(ctx, mfa.ChallengeParams{FactorID: factor.ID, UserID: "user_42"})
	if err != nil {
		log.Fatal(err)
	}
	_, err = svc.Verify(ctx, mfa.VerifyParams{
		ChallengeID: ch.ID,
		UserID:      "user_42",
		Code:        mfatest.Code(secret, clock.Now()),
		TrustDevice: true,
		DeviceName:  "Firefox on Linux",
	})
	if err != nil {
		log.Fatal(err)
	}
	devices, err := svc.Devices(ctx, "user_42")
	if err != nil {
		log.Fatal(err)
	}
	for _, d := range devices {
		fmt.Println(d.Name, "until", d.ExpiresAt.Format(time.DateOnly))
		if err := svc.RevokeDevice(ctx, "user_42", d.ID); err != nil {
			log.Fatal(err)
		}
	}
	devices, err = svc.Devices(ctx, "user_42")
	fmt.Println(len(devices), err)
	// Output:
	// Firefox on Linux until 2026-01-31
	// 0 <nil>
}

// gateway sends messages by a provider with an API over HTTP.
type gateway struct{ url string }

// Send hands one message over. The error of the client goes back as it is.
func (g gateway) Send(ctx context.Context, m mfa.Message) error {
	body, err := json.Marshal(map[string]string{"to": m.To, "text": m.Body, "id": m.ID})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, g.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode/100 == 2 {
		return nil
	}
	said, err := io.ReadAll(io.LimitReader(resp.Body, 1000))
	if err != nil {
		return err
	}
	return fmt.Errorf("the gateway says %s: %s", resp.Status, said)
}

// What a provider says of a number that it refuses is in the log, without the number.
func ExampleSMSSender() {
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "+1 500-555-0006 has unsubscribed", http.StatusBadRequest)
	}))
	defer provider.Close()
	svc, err := mfa.New(mfa.Config{
		Store:   new(mfa.MemoryStore),
		SMS:     gateway{provider.URL},
		Regions: []string{"US"},
		Logger: slog.New(
			slog.NewTextHandler(
				os.Stdout,
				&slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
					if a.Key != slog.MessageKey && a.Key != "error" { // the others have times and ids
						return slog.Attr{}
					}
					return a
				}},
			),
		),
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	enr, err := svc.Enroll(ctx, mfa.EnrollParams{
		UserID: "user_42", SMS: &mfa.SMSParams{PhoneNumber: "+15005550006"},
	})
	if err != nil {
		log.Fatal(err)
	}
	_, err = svc.Challenge(ctx, mfa.ChallengeParams{FactorID: enr.Factor.ID, UserID: "user_42"})
	fmt.Println(errors.Is(err, mfa.ErrMessageNotSent))
	// Output:
	// msg="mfa: a message could not be sent" error="the gateway says 400 Bad Request: +[number] has unsubscribed "
	// true
}

// The page for the code counts down to ResendAt before it offers to send another message.
func ExampleChallenge_resendAt() {
	ctx := context.Background()
	clock, sms := new(mfatest.Clock), new(mfatest.Sender)
	svc, err := mfa.New(
		mfa.Config{Store: new(mfa.MemoryStore), SMS: sms, Regions: []string{"US"}, Now: clock.Now},
	)
	if err != nil {
		log.Fatal(err)
	}
	enr, err := svc.Enroll(ctx, mfa.EnrollParams{
		UserID: "user_42", SMS: &mfa.SMSParams{PhoneNumber: "+15005550006"},
	})
	if err != nil {
		log.Fatal(err)
	}
	p := mfa.ChallengeParams{FactorID: enr.Factor.ID, UserID: "user_42"}
	ch, err := svc.Challenge(ctx, p)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("again in", ch.ResendAt.Sub(clock.Now()))

	_, err = svc.Challenge(ctx, p) // whoever does not wait
	if e, ok := errors.AsType[*mfa.Error](err); ok && e.Reason == mfa.ReasonMessages {
		fmt.Println("the code that was sent is still good; another one in", e.RetryAfter)
	}
	clock.Set(ch.ResendAt)
	_, err = svc.Challenge(ctx, p)
	fmt.Println(err)
	// Output:
	// again in 1m0s
	// the code that was sent is still good; another one in 1m0s
	// <nil>
}

// exampleLogin challenges a factor and answers with the code.
func exampleLogin(svc *mfa.Service, f mfa.Factor, code string) bool {
	ctx := context.Background()
	ch, err := svc.Challenge(ctx, mfa.ChallengeParams{FactorID: f.ID, UserID: f.UserID})
	if err != nil {
		log.Fatal(err)
	}
	_, err = svc.Verify(ctx, mfa.VerifyParams{ChallengeID: ch.ID, UserID: f.UserID, Code: code})
	return err == nil
}

// A job over all rows, which can be run again. The other system does not know when a
// code was last used, so the codes that are valid now are used up.
func ExampleService_Import() {
	ctx := context.Background()
	svc, clock, _ := exampleService()
	rows := []struct{ userID, secret string }{
		{
			"user_42",
			"otpauth://totp/Foo%20Corp:alan.turing@foo-corp.com?" +
				"secret=G4ZTQMJSGY2DENZVGEZTOOJRGQZTSOBT&issuer=Foo+Corp",
		},
		{
			"user_43",
			"otpauth://totp/Foo%20Corp:grace.hopper@foo-corp.com?secret=JBSWY3DPEHPK3PXP&issuer=Foo+Corp",
		},
		{
			"user_44",
			"otpauth://totp/Foo%20Corp:ada.lovelace@foo-corp.com?" +
				"secret=GA4TQNZWGU2DGMRRGA4TQNZWGU2DGMRR&digits=8",
		},
	}
	for range 2 {
		for _, row := range rows {
			_, err := svc.Import(ctx, mfa.ImportParams{UserID: row.userID, Secret: row.secret})
			switch {
			case err == nil:
			case errors.Is(err, mfa.ErrInvalidTOTPSecret):
				fmt.Println(row.userID, "has to enroll anew:", err)
			default:
				log.Fatal(err)
			}
		}
	}
	factors, err := svc.Factors(ctx, "user_42")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(factors), "factor:", factors[0].Type, factors[0].TOTPUser, factors[0].Status)
	code := mfatest.Code(rows[0].secret, clock.Now())
	fmt.Println("the code of now:", exampleLogin(svc, factors[0], code))
	clock.Advance(time.Minute)
	code = mfatest.Code(rows[0].secret, clock.Now())
	fmt.Println("a minute later:", exampleLogin(svc, factors[0], code))
	// Output:
	// user_43 has to enroll anew: mfa: The TOTP secret has 10 bytes; RFC 4226 section 4 demands at least 16, because a shorter one can be guessed from codes. (invalid_totp_secret)
	// user_44 has to enroll anew: mfa: The otpauth URI is for other codes than those of SHA-1, 6 digits and 30 seconds. (invalid_totp_secret)
	// user_43 has to enroll anew: mfa: The TOTP secret has 10 bytes; RFC 4226 section 4 demands at least 16, because a shorter one can be guessed from codes. (invalid_totp_secret)
	// user_44 has to enroll anew: mfa: The otpauth URI is for other codes than those of SHA-1, 6 digits and 30 seconds. (invalid_totp_secret)
	// 1 factor: totp alan.turing@foo-corp.com verified
	// the code of now: false
	// a minute later: true
}

// Supabase: rows of auth.mfa_factors with the email of auth.users. Decrypt the secret
// first, if encryption is on. last_challenged_at is when a code was asked for; it was
// accepted within the life of a challenge, which is 5 minutes unless configured.
func ExampleService_Import_supabase() {
	ctx := context.Background()
	svc, clock, _ := exampleService()
	challenged := clock.Now().Add(-26 * time.Hour)
	rows := []struct {
		UserID, Email                            string
		FriendlyName, FactorType, Status, Secret string
		LastChallengedAt                         *time.Time
	}{
		{
			"0b8f3c1e-6f0e-4f0a-9f53-0d6f4c1f4f01",
			"alan@foo-corp.com",
			"work phone",
			"totp",
			"verified",
			"ORUGS4ZANFZSAYJAONSWG4TFOQQHIMTB",
			&challenged,
		},
		{
			"0b8f3c1e-6f0e-4f0a-9f53-0d6f4c1f4f01",
			"alan@foo-corp.com",
			"",
			"totp",
			"unverified",
			"MFXG65DIMVZCA33OMUQHI2DBOQQGS4ZA",
			nil,
		},
		{
			"0b8f3c1e-6f0e-4f0a-9f53-0d6f4c1f4f01",
			"alan@foo-corp.com",
			"mobile",
			"phone",
			"verified",
			"",
			&challenged,
		},
	}
	for _, row := range rows {
		if row.FactorType != "totp" || row.Status != "verified" {
			continue // enroll a number with SMS
		}
		p := mfa.ImportParams{
			UserID: row.UserID,
			Name:   row.FriendlyName,
			Secret: row.Secret,
			Issuer: "Foo Corp",
			User:   row.Email,
		}
		if row.LastChallengedAt != nil {
			p.LastUsed = row.LastChallengedAt.Add(5 * time.Minute)
		}
		f, err := svc.Import(ctx, p)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(
			f.Name,
			f.Status,
			"logs in:",
			exampleLogin(svc, f, mfatest.Code(row.Secret, clock.Now())),
		)
	}
	// Output: work phone verified logs in: true
}

// Authboss: what GetTOTPSecretKey of the user returns. GetTOTPLastCode is a code, and
// does not say when it was used: leave LastUsed out, and it is used up with all others.
func ExampleService_Import_authboss() {
	ctx := context.Background()
	svc, clock, _ := exampleService()
	rows := []struct{ Email, TOTPSecretKey, TOTPLastCode string }{
		{"alan@foo-corp.com", "MFUXG2DBNBTWC3DMNFXGOZJAORXXIMJA", "217345"},
		{"grace@foo-corp.com", "", ""}, // none enrolled
	}
	for _, row := range rows {
		if row.TOTPSecretKey == "" {
			continue
		}
		f, err := svc.Import(ctx, mfa.ImportParams{
			UserID: row.Email,
			Secret: row.TOTPSecretKey,
			Issuer: "Foo Corp",
			User:   row.Email,
		})
		if err != nil {
			log.Fatal(err)
		}
		clock.Advance(time.Minute)
		fmt.Println(
			f.TOTPUser,
			f.Status,
			"logs in:",
			exampleLogin(svc, f, mfatest.Code(row.TOTPSecretKey, clock.Now())),
		)
	}
	// Output: alan@foo-corp.com verified logs in: true
}

// Ory Kratos: rows of identity_credentials whose type is totp. It does not keep when a
// code was used.
func ExampleService_Import_kratos() {
	ctx := context.Background()
	svc, clock, _ := exampleService()
	rows := []struct {
		IdentityID string
		Config     []byte
	}{
		{
			"9f425a8d-7efc-4768-8f23-7647a74fdf13",
			[]byte(
				`{"totp_url": "otpauth://totp/foo-corp.com:alan@foo-corp.com?` +
					`algorithm=SHA1&digits=6&issuer=foo-corp.com&period=30&` +
					`secret=NNZGC5DPOMQGC3THMVWGYZJAMFXGIIDT"}`,
			),
		},
	}
	for _, row := range rows {
		var config struct {
			TOTPURL string `json:"totp_url"`
		}
		if err := json.Unmarshal(row.Config, &config); err != nil {
			log.Fatal(err)
		}
		f, err := svc.Import(ctx, mfa.ImportParams{UserID: row.IdentityID, Secret: config.TOTPURL})
		if err != nil {
			log.Fatal(err)
		}
		clock.Advance(time.Minute)
		fmt.Println(
			f.TOTPIssuer,
			f.TOTPUser,
			"logs in:",
			exampleLogin(svc, f, mfatest.Code(config.TOTPURL, clock.Now())),
		)
	}
	// Output: foo-corp.com alan@foo-corp.com logs in: true
}

// Devise-two-factor: users with otp_required_for_login, otp_secret as the model
// decrypts it. consumed_timestep is when a code was used and not which one: it may have
// been the next.
func ExampleService_Import_devise() {
	ctx := context.Background()
	svc, clock, _ := exampleService()
	consumed := int64(58_907_519) // half a minute ago
	rows := []struct {
		ID                  int64
		Email, OTPSecret    string
		OTPRequiredForLogin bool
		ConsumedTimestep    *int64
	}{
		{42, "alan@foo-corp.com", "MRSXM2LTMUQHI53PEBTGCY3UN5ZCA4TP", true, &consumed},
		{43, "grace@foo-corp.com", "NBXXA4DFOIQG64DUEBXXK5BAN5TCAMRU", false, nil},
	}
	for _, row := range rows {
		if !row.OTPRequiredForLogin {
			continue // never confirmed, or switched off
		}
		p := mfa.ImportParams{
			UserID: fmt.Sprint("user_", row.ID),
			Secret: row.OTPSecret,
			Issuer: "Foo Corp",
			User:   row.Email,
		}
		if row.ConsumedTimestep != nil {
			p.LastStep = *row.ConsumedTimestep + 1
		}
		f, err := svc.Import(ctx, p)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(
			f.TOTPUser,
			"logs in now:",
			exampleLogin(svc, f, mfatest.Code(row.OTPSecret, clock.Now())),
		)
		clock.Advance(30 * time.Second)
		fmt.Println(
			"half a minute later:",
			exampleLogin(svc, f, mfatest.Code(row.OTPSecret, clock.Now())),
		)
	}
	// Output:
	// alan@foo-corp.com logs in now: false
	// half a minute later: true
}

// Django-otp: rows of otp_totp_totpdevice. last_t is the step of the code that was
// accepted, by the app's clock: drift is in it already. An app that drifted by more than
// a step is not followed here; ask for its clock to be set.
func ExampleService_Import_djangoOTP() {
	ctx := context.Background()
	svc, clock, _ := exampleService()
	rows := []struct {
		UserID           int64
		Name, Key        string
		Confirmed        bool
		Step, Digits     int
		T0, LastT        int64
		Tolerance, Drift int
		Username         string // of auth_user
	}{
		{
			42,
			"phone",
			"3132333435363738393031323334353637383930",
			true,
			30,
			6,
			0,
			58_907_521,
			1,
			1,
			"alan",
		},
		{
			43,
			"tablet",
			"6162636465666768696a6b6c6d6e6f7071727374",
			true,
			30,
			6,
			0,
			-1,
			1,
			0,
			"grace",
		}, // never used
		{
			44,
			"token",
			"3039383736353433323130393837363534333231",
			true,
			30,
			8,
			0,
			58_907_000,
			1,
			0,
			"ada",
		},
	}
	for _, row := range rows {
		if !row.Confirmed || row.Step != 30 || row.Digits != 6 || row.T0 != 0 {
			fmt.Println(row.Username, "has to enroll anew")
			continue
		}
		key, err := hex.DecodeString(row.Key)
		if err != nil {
			log.Fatal(err)
		}
		f, err := svc.Import(ctx, mfa.ImportParams{
			UserID: fmt.Sprint(
				"user_",
				row.UserID,
			),
			Name:     row.Name,
			Secret:   base32.StdEncoding.EncodeToString(key),
			Issuer:   "Foo Corp",
			User:     row.Username,
			LastStep: row.LastT,
		})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(f.TOTPUser, f.Name, f.Status)
	}
	factors, err := svc.Factors(ctx, "user_42")
	if err != nil {
		log.Fatal(err)
	}
	app := func() string { // half a minute ahead
		return mfatest.Code("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", clock.Now().Add(30*time.Second))
	}
	fmt.Println("the code that django-otp accepted:", exampleLogin(svc, factors[0], app()))
	clock.Advance(30 * time.Second)
	fmt.Println("the next one:", exampleLogin(svc, factors[0], app()))
	// Output:
	// alan phone verified
	// grace tablet verified
	// ada has to enroll anew
	// the code that django-otp accepted: false
	// the next one: true
}

// Nextcloud: rows of oc_twofactor_totp_secrets that are enabled, with the secret
// decrypted. last_counter is the step of the last code, -1 for none.
func ExampleService_Import_nextcloud() {
	ctx := context.Background()
	svc, clock, _ := exampleService()
	const enabled = 2
	rows := []struct {
		UserID, Secret string
		State          int
		LastCounter    int64
	}{
		{"alan", "NZSXQ5DDNRXXKZBAOR3W6IDGMFRXI33S", enabled, 58_907_519},
		{"grace", "MNZGKYLUMVSCA3TPOQQGK3TBMJWGKZBA", 1, -1}, // made, never confirmed
	}
	for _, row := range rows {
		if row.State != enabled {
			continue
		}
		f, err := svc.Import(ctx, mfa.ImportParams{
			UserID:   row.UserID,
			Secret:   row.Secret,
			Issuer:   "Foo Cloud",
			User:     row.UserID,
			LastStep: row.LastCounter,
		})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(f.TOTPUser, "logs in:", exampleLogin(svc, f, mfatest.Code(row.Secret, clock.Now())))
	}
	// Output: alan logs in: true
}

// Authelia: the file that "authelia storage user totp export" writes, where the secret
// is the base64 of its base32.
func ExampleService_Import_authelia() {
	ctx := context.Background()
	svc, clock, _ := exampleService()
	used := clock.Now().Add(-48 * time.Hour)
	rows := []struct {
		Username, Issuer, Algorithm string
		Digits, Period              int
		Secret                      string
		LastUsedAt                  *time.Time
	}{
		{
			"alan",
			"Authelia",
			"SHA1",
			6,
			30,
			"TUZVSFQzTFFOUlFYSVNKQU1WU0dDNDRBTjVVR0MyTEFNTlpHS1kzVEdJWlRITFFOQ1FRSE1aTEo=",
			&used,
		},
		{
			"grace",
			"Authelia",
			"SHA512",
			6,
			30,
			"TUZVSFQzTFFOUlFYSVNKQU1WU0dDNDRBTjVVR0MyTEFNTlpHS1kzVEdJWlRITFFOQ1FRSE1aTEo=",
			nil,
		},
	}
	for _, row := range rows {
		if row.Algorithm != "SHA1" || row.Digits != 6 || row.Period != 30 {
			fmt.Println(row.Username, "has to enroll anew")
			continue
		}
		secret, err := base64.StdEncoding.DecodeString(row.Secret)
		if err != nil {
			log.Fatal(err)
		}
		p := mfa.ImportParams{
			UserID: row.Username,
			Secret: string(secret),
			Issuer: row.Issuer,
			User:   row.Username,
		}
		if row.LastUsedAt != nil {
			p.LastUsed = *row.LastUsedAt
		}
		f, err := svc.Import(ctx, p)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(
			f.TOTPUser,
			"logs in:",
			exampleLogin(svc, f, mfatest.Code(string(secret), clock.Now())),
		)
	}
	// Output:
	// alan logs in: true
	// grace has to enroll anew
}

// Keycloak: rows of credential whose type is otp. The value is the secret itself, as
// text, unless credential_data says that it is base32.
func ExampleService_Import_keycloak() {
	ctx := context.Background()
	svc, clock, _ := exampleService()
	rows := []struct{ UserID, Username, UserLabel, SecretData, CredentialData string }{
		{
			"f1e6b8b0-6a0e-4c8a-8a39-1b0d5a5d7c42", "alan", "my phone", `{"value":"Qm7xT2LkV9cYw4HdPz8R"}`,
			`{"subType":"totp","digits":6,"counter":0,"period":30,"algorithm":"HmacSHA1"}`,
		},
		{
			"2d6f3f6e-54a5-4d0c-9a11-70c2c35b0d43",
			"grace",
			"",
			`{"value":"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"}`,
			`{"subType":"totp","digits":6,"counter":0,"period":30,"algorithm":"HmacSHA1",` +
				`"secretEncoding":"BASE32"}`,
		},
	}
	for _, row := range rows {
		var secret struct{ Value string }
		var data struct {
			SubType, Algorithm, SecretEncoding string
			Digits, Period                     int
		}
		if err := errors.Join(
			json.Unmarshal([]byte(row.SecretData), &secret),
			json.Unmarshal([]byte(row.CredentialData), &data),
		); err != nil {
			log.Fatal(err)
		}
		if data.SubType != "totp" || data.Algorithm != "HmacSHA1" || data.Digits != 6 ||
			data.Period != 30 {
			fmt.Println(row.Username, "has to enroll anew")
			continue
		}
		text := secret.Value
		if data.SecretEncoding != "BASE32" {
			text = base32.StdEncoding.EncodeToString([]byte(text))
		}
		f, err := svc.Import(ctx, mfa.ImportParams{
			UserID: row.UserID,
			Name:   row.UserLabel,
			Secret: text,
			Issuer: "foo-corp",
			User:   row.Username,
		})
		if err != nil {
			log.Fatal(err)
		}
		clock.Advance(time.Minute)
		fmt.Println(f.TOTPUser, "logs in:", exampleLogin(svc, f, mfatest.Code(text, clock.Now())))
	}
	// Output:
	// alan logs in: true
	// grace logs in: true
}

// Better Auth: rows of twoFactor for users with twoFactorEnabled, with the secret
// decrypted. It is the key itself, as text; its base32 is what the app has.
func ExampleService_Import_betterAuth() {
	ctx := context.Background()
	svc, clock, _ := exampleService()
	rows := []struct {
		UserID, Email, Secret string
		TwoFactorEnabled      bool
	}{
		{"kT3vWq9ZrYb2LmXs", "alan@foo-corp.com", "hV7nQ2xLc9KdPzR4tYwB8mSfJ6gAeU3k", true},
		{"aB8cD4eF6gH2jK9m", "grace@foo-corp.com", "pX4sZ8vN2bMqW6rT9yLcG3hJ7kFdE5aU", false},
	}
	for _, row := range rows {
		if !row.TwoFactorEnabled {
			continue
		}
		secret := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString([]byte(row.Secret))
		f, err := svc.Import(ctx, mfa.ImportParams{
			UserID: row.UserID, Secret: secret, Issuer: "Foo Corp", User: row.Email,
		})
		if err != nil {
			log.Fatal(err)
		}
		clock.Advance(time.Minute)
		fmt.Println(f.TOTPUser, "logs in:", exampleLogin(svc, f, mfatest.Code(secret, clock.Now())))
	}
	// Output: alan@foo-corp.com logs in: true
}
