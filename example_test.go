package mfa_test

import (
	"bytes"
	"context"
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
	page := template.Must(template.New("").Parse(`<img alt="QR code" src="{{.QR}}"> <code>{{.Secret}}</code>`))
	var out strings.Builder
	err = page.Execute(&out, map[string]any{"QR": template.URL(enr.TOTP.QRCode()), "Secret": enr.TOTP.Secret()})
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
	enr, err := svc.Enroll(context.Background(), mfa.EnrollParams{UserID: "user_42", SMS: &mfa.SMSParams{PhoneNumber: "+1 (500) 555-0006"}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(enr.Factor.PhoneNumber(), "shown as", enr.Factor.MaskedPhoneNumber())

	_, err = svc.Enroll(context.Background(), mfa.EnrollParams{UserID: "user_42", SMS: &mfa.SMSParams{PhoneNumber: "1-800-FLOWERS"}})
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
	v, err := svc.Verify(ctx, mfa.VerifyParams{ChallengeID: ch.ID, UserID: "user_42", Code: strings.ToLower(codes[7])})
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
		ch, err := svc.Challenge(ctx, mfa.ChallengeParams{FactorID: factorID, UserID: "user_42", Confirm: true, Action: a})
		if err != nil {
			log.Fatal(err)
		}
		v, err := svc.Verify(ctx, mfa.VerifyParams{ChallengeID: ch.ID, UserID: "user_42", Code: mfatest.Code(secret, clock.Now()), Action: a})
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
	p := mfa.ChallengeParams{FactorID: enr.Factor.ID, UserID: "user_42", IdempotencyKey: "5b0bb5c5-8f4a-4d5e-a1c4-6a9c7f1f2a55"}
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
	enr, err := svc.Enroll(ctx, mfa.EnrollParams{UserID: "user_42", SMS: &mfa.SMSParams{PhoneNumber: "+15005550006"}})
	if err != nil {
		log.Fatal(err)
	}
	ch, err := svc.Challenge(ctx, mfa.ChallengeParams{FactorID: enr.Factor.ID, SMSTemplate: "Your FooCorp is {{code}}.", UserID: "user_42"})
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

	v, err := svc.Verify(ctx, mfa.VerifyParams{ChallengeID: ch.ID, UserID: "user_42", Code: "not a code"})
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
	ch, err := svc.Challenge(ctx, mfa.ChallengeParams{FactorID: factor.ID, UserID: "user_42", Confirm: true})
	if err != nil {
		log.Fatal(err)
	}
	p := mfa.VerifyParams{
		ChallengeID: ch.ID, UserID: "user_42", Code: mfatest.Code(secret, clock.Now()), NewRecoveryCodes: true,
		IdempotencyKey: "8e03978e-40d5-43e8-bc93-6894a57f9324", // made anew for each form
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
	ch, err := svc.Challenge(ctx, mfa.ChallengeParams{FactorID: factor.ID, UserID: "user_42", Action: away})
	if err != nil {
		log.Fatal(err)
	}
	v, err := svc.Verify(ctx, mfa.VerifyParams{ChallengeID: ch.ID, UserID: "user_42", Code: mfatest.Code(secret, clock.Now()), Action: away})
	if err != nil {
		log.Fatal(err)
	}
	err = svc.Unenroll(ctx, mfa.UnenrollParams{FactorID: factor.ID, UserID: "user_42", Receipt: v.Receipt()})
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
	ch, err := svc.Challenge(ctx, mfa.ChallengeParams{FactorID: factor.ID, UserID: "user_42", Action: off})
	if err != nil {
		log.Fatal(err)
	}
	v, err := svc.Verify(ctx, mfa.VerifyParams{ChallengeID: ch.ID, UserID: "user_42", Code: mfatest.Code(secret, clock.Now()), Action: off})
	if err != nil {
		log.Fatal(err)
	}
	err = svc.TurnOff(ctx, mfa.TurnOffParams{UserID: "user_42", Receipt: v.Receipt()})
	fmt.Println("with one:", err)
	hasFactor := err != nil // keep it in your own record of the person

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
	ch, err := svc.Challenge(ctx, mfa.ChallengeParams{FactorID: factor.ID, UserID: "user_42", Action: pay})
	if err != nil {
		log.Fatal(err)
	}
	v, err := svc.Verify(ctx, mfa.VerifyParams{ChallengeID: ch.ID, UserID: "user_42", Code: mfatest.Code(secret, clock.Now()), Action: pay})
	if err != nil {
		log.Fatal(err)
	}

	keys, err := proof.ParseKeys(publicKeys)
	if err != nil {
		log.Fatal(err)
	}
	checker := proof.Checker{Keys: keys, Now: clock.Now}
	receipt, err := checker.Check(ctx, proof.Claim{Receipt: v.Receipt(), UserID: "user_42", Action: pay})
	fmt.Println(receipt.FactorType, receipt.Action.Purpose, receipt.ExpiresAt.Sub(receipt.IssuedAt), err)

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
	ch, err := svc.Challenge(ctx, mfa.ChallengeParams{FactorID: factor.ID, UserID: "user_42", Action: pay})
	if err != nil {
		log.Fatal(err)
	}
	v, err := svc.Verify(ctx, mfa.VerifyParams{ChallengeID: ch.ID, UserID: "user_42", Code: mfatest.Code(secret, clock.Now()), Action: pay})
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
	_, err = svc.Verify(ctx, mfa.VerifyParams{ChallengeID: ch.ID, UserID: factor.UserID, Code: mfatest.Code(secret, clock.Now())})
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
		fmt.Printf("%s: %.1e in a day, %.1e in a year\n", factorType,
			policy.GuessProbability(factorType, 24*time.Hour), policy.GuessProbability(factorType, 365*24*time.Hour))
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
				mail(e.UserID, string(e.Kind)+" "+string(e.FactorType)+" from "+e.Source) // put into a queue in real life
			}
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx := mfa.WithSource(context.Background(), "198.51.100.7") // once, around all handlers
	enr, err := svc.Enroll(ctx, mfa.EnrollParams{UserID: "user_42", TOTP: &mfa.TOTPParams{Issuer: "Foo Corp", User: "alan"}})
	if err != nil {
		log.Fatal(err)
	}
	ch, err := svc.Challenge(ctx, mfa.ChallengeParams{FactorID: enr.Factor.ID, UserID: "user_42", Confirm: true})
	if err != nil {
		log.Fatal(err)
	}
	_, err = svc.Verify(ctx, mfa.VerifyParams{ChallengeID: ch.ID, UserID: "user_42", Code: mfatest.Code(enr.TOTP.Secret(), clock.Now())})
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
	ch, err := svc.Challenge(ctx, mfa.ChallengeParams{FactorID: factor.ID, UserID: "user_42", Confirm: true})
	if err != nil {
		log.Fatal(err)
	}
	_, err = svc.Verify(ctx, mfa.VerifyParams{ChallengeID: ch.ID, UserID: "user_42", Code: mfatest.Code(secret, clock.Now())})
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
	login, err := svc.StartLogin(ctx, mfa.LoginParams{UserID: "user_42", DeviceToken: cookie, HasFactor: true})
	if err != nil {
		log.Fatal(err) // nobody is logged in
	}
	cookie = login.DeviceToken()
	fmt.Println("without a code:", login.SkipCode)
	for _, f := range login.Factors { // let the person choose
		fmt.Println(f.Type, f.Locked, f.RetryAfter)
	}
	ch, err := svc.Challenge(ctx, mfa.ChallengeParams{FactorID: login.Factors[0].ID, UserID: "user_42", DeviceToken: cookie})
	if err != nil {
		log.Fatal(err)
	}
	v, err := svc.Verify(ctx, mfa.VerifyParams{
		ChallengeID: ch.ID, UserID: "user_42", Code: mfatest.Code(secret, clock.Now()), DeviceToken: cookie,
		TrustDevice: true, DeviceName: "Firefox on Linux", // the box was ticked
	})
	if err != nil {
		log.Fatal(err)
	}
	cookie = v.Device.Token()

	// The next day on the same browser.
	clock.Advance(24 * time.Hour)
	login, err = svc.StartLogin(ctx, mfa.LoginParams{UserID: "user_42", DeviceToken: cookie, HasFactor: true})
	fmt.Println("without a code:", login.SkipCode, err)
	copied := cookie
	cookie = login.DeviceToken() // the cookie is set anew each time

	// Whoever copied the cookie before ends the trust for both, if they come later than
	// a second tab would.
	clock.Advance(30 * time.Second)
	for _, token := range []string{copied, cookie} {
		login, err = svc.StartLogin(ctx, mfa.LoginParams{UserID: "user_42", DeviceToken: token, HasFactor: true})
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
	f, err := svc.Rename(ctx, mfa.RenameParams{FactorID: factor.ID, UserID: "user_42", Name: "old phone"})
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
	_, err = svc.Verify(ctx, mfa.VerifyParams{ChallengeID: ch.ID, UserID: "user_42", Code: mfatest.Code(secret, clock.Now()), TrustDevice: true, DeviceName: "Firefox on Linux"})
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
		Store: new(mfa.MemoryStore), SMS: gateway{provider.URL}, Regions: []string{"US"},
		Logger: slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key != slog.MessageKey && a.Key != "error" { // the others have times and ids
				return slog.Attr{}
			}
			return a
		}})),
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	enr, err := svc.Enroll(ctx, mfa.EnrollParams{UserID: "user_42", SMS: &mfa.SMSParams{PhoneNumber: "+15005550006"}})
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
	svc, err := mfa.New(mfa.Config{Store: new(mfa.MemoryStore), SMS: sms, Regions: []string{"US"}, Now: clock.Now})
	if err != nil {
		log.Fatal(err)
	}
	enr, err := svc.Enroll(ctx, mfa.EnrollParams{UserID: "user_42", SMS: &mfa.SMSParams{PhoneNumber: "+15005550006"}})
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
