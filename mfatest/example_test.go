package mfatest_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/mfatest"
)

// A challenge expires after ten minutes, which nobody waits for.
func ExampleClock() {
	ctx := context.Background()
	clock := new(mfatest.Clock)
	svc, err := mfa.New(mfa.Config{Store: new(mfa.MemoryStore), Now: clock.Now})
	if err != nil {
		log.Fatal(err)
	}
	enr, err := svc.Enroll(
		ctx,
		mfa.EnrollParams{
			UserID: "user_42",
			TOTP:   &mfa.TOTPParams{Issuer: "Foo Corp", User: "alan.turing@foo-corp.com"},
		},
	)
	if err != nil {
		log.Fatal(err)
	}
	ch, err := svc.Challenge(ctx, mfa.ChallengeParams{FactorID: enr.Factor.ID, UserID: "user_42"})
	if err != nil {
		log.Fatal(err)
	}

	fmt.Println(clock.Now())
	clock.Advance(10 * time.Minute)
	fmt.Println(clock.Now())
	_, err = svc.Verify(
		ctx,
		mfa.VerifyParams{
			ChallengeID: ch.ID,
			Code:        mfatest.Code(enr.TOTP.Secret(), clock.Now()),
			UserID:      "user_42",
		},
	)
	fmt.Println(errors.Is(err, mfa.ErrChallengeExpired))
	// Output:
	// 2026-01-01 00:00:00 +0000 UTC
	// 2026-01-01 00:10:00 +0000 UTC
	// true
}

// A secret that is brought along makes the codes the same in every run.
func ExampleCode() {
	ctx := context.Background()
	clock := new(mfatest.Clock)
	svc, err := mfa.New(mfa.Config{Store: new(mfa.MemoryStore), Now: clock.Now})
	if err != nil {
		log.Fatal(err)
	}
	const secret = "MEQHGZLDOJSXIIDGN5ZCA5DFON2GS3TH"
	enr, err := svc.Enroll(
		ctx,
		mfa.EnrollParams{
			UserID: "user_42",
			TOTP:   &mfa.TOTPParams{Issuer: "Foo Corp", User: "alan.turing@foo-corp.com", Secret: secret},
		},
	)
	if err != nil {
		log.Fatal(err)
	}
	ch, err := svc.Challenge(ctx, mfa.ChallengeParams{FactorID: enr.Factor.ID, UserID: "user_42"})
	if err != nil {
		log.Fatal(err)
	}

	code := mfatest.Code(secret, clock.Now())
	v, err := svc.Verify(ctx, mfa.VerifyParams{ChallengeID: ch.ID, Code: code, UserID: "user_42"})
	fmt.Println(code, v.Valid, err)
	fmt.Println(
		mfatest.Code(enr.TOTP.URI(), clock.Now().Add(30*time.Second)),
	) // the next one, after a scan
	// Output:
	// 184152 true <nil>
	// 852216
}

func ExampleSender() {
	ctx := context.Background()
	sms := new(mfatest.Sender)
	svc, err := mfa.New(mfa.Config{Store: new(mfa.MemoryStore), SMS: sms, Regions: []string{"US"}})
	if err != nil {
		log.Fatal(err)
	}
	enr, err := svc.Enroll(
		ctx,
		mfa.EnrollParams{UserID: "user_42", SMS: &mfa.SMSParams{PhoneNumber: "+1 500 555 0006"}},
	)
	if err != nil {
		log.Fatal(err)
	}
	ch, err := svc.Challenge(ctx, mfa.ChallengeParams{FactorID: enr.Factor.ID, UserID: "user_42"})
	if err != nil {
		log.Fatal(err)
	}

	v, err := svc.Verify(
		ctx,
		mfa.VerifyParams{ChallengeID: ch.ID, Code: sms.Code("+15005550006"), UserID: "user_42"},
	)
	fmt.Println(v.Valid, err)
	fmt.Println(sms) // and not its messages
	// Output:
	// true <nil>
	// mfatest.Sender(sends: 1, delivered: 1)
}

// The provider refuses a message, and is too slow with the next, which goes out all the
// same: the challenge of that one is open.
func ExampleSender_script() {
	ctx := context.Background()
	clock := new(mfatest.Clock)
	sms := new(mfatest.Sender)
	svc, err := mfa.New(
		mfa.Config{Store: new(mfa.MemoryStore), SMS: sms, Regions: []string{"US"}, Now: clock.Now},
	)
	if err != nil {
		log.Fatal(err)
	}

	errDown := errors.New("provider: 503")
	errLost := fmt.Errorf("provider: no answer: %w", context.DeadlineExceeded)
	sms.Script = func(_ context.Context, n int, _ mfa.Message) error {
		switch n {
		case 1:
			return errDown
		case 2:
			return mfatest.Delivered(errLost) // it went out all the same
		default:
			return nil
		}
	}
	for range 3 {
		enr, err := svc.Enroll(
			ctx,
			mfa.EnrollParams{UserID: "user_42", SMS: &mfa.SMSParams{PhoneNumber: "+1 500 555 0006"}},
		)
		if err != nil {
			log.Fatal(err)
		}
		_, err = svc.Challenge(ctx, mfa.ChallengeParams{FactorID: enr.Factor.ID, UserID: "user_42"})
		fmt.Println(errors.Is(err, errDown), err == nil, len(sms.Messages()))
		clock.Advance(12 * time.Hour) // each message counts: two a day until the number is confirmed
	}
	// Output:
	// true false 0
	// false true 1
	// false true 2
}

// The connection to the database is lost once the outcome was written. The
// application must not log the person in, and the code is used up.
func ExampleFaultyStore() {
	ctx := context.Background()
	clock := new(mfatest.Clock)
	store := &mfatest.FaultyStore{Store: new(mfa.MemoryStore)}
	svc, err := mfa.New(mfa.Config{Store: store, Keys: mfatest.Keys(), Now: clock.Now})
	if err != nil {
		log.Fatal(err)
	}
	enr, err := svc.Enroll(
		ctx,
		mfa.EnrollParams{
			UserID: "user_42",
			TOTP:   &mfa.TOTPParams{Issuer: "Foo Corp", User: "alan.turing@foo-corp.com"},
		},
	)
	if err != nil {
		log.Fatal(err)
	}
	ch, err := svc.Challenge(ctx, mfa.ChallengeParams{FactorID: enr.Factor.ID, UserID: "user_42"})
	if err != nil {
		log.Fatal(err)
	}
	answer := mfa.VerifyParams{
		ChallengeID: ch.ID,
		Code:        mfatest.Code(enr.TOTP.Secret(), clock.Now()),
		UserID:      "user_42",
	}

	errLost := errors.New("connection lost")
	store.After = func(_ context.Context, c mfatest.Call) error {
		if c.Method == "Save" {
			return errLost
		}
		return nil
	}
	v, err := svc.Verify(ctx, answer)
	fmt.Println(v.Valid, errors.Is(err, errLost))

	store.After = nil
	v, err = svc.Verify(ctx, answer)
	fmt.Println(v.Valid, errors.Is(err, mfa.ErrChallengePreviouslyVerified))
	fmt.Println(
		len(store.Calls("Save")),
		"writes",
	) // enroll, challenge, verify; the last call read only
	// Output:
	// false true
	// false true
	// 3 writes
}

// The next call to the store fails before it is carried out: nothing was counted,
// and the person can try again.
func ExampleNth() {
	ctx := context.Background()
	clock := new(mfatest.Clock)
	store := &mfatest.FaultyStore{Store: new(mfa.MemoryStore)}
	svc, err := mfa.New(mfa.Config{Store: store, Keys: mfatest.Keys(), Now: clock.Now})
	if err != nil {
		log.Fatal(err)
	}
	enroll := mfa.EnrollParams{
		UserID: "user_42",
		TOTP:   &mfa.TOTPParams{Issuer: "Foo Corp", User: "alan.turing@foo-corp.com"},
	}

	errDown := errors.New("database is down")
	store.Before = mfatest.Nth(len(store.Calls())+1, errDown)
	_, err = svc.Enroll(ctx, enroll)
	fmt.Println(errors.Is(err, errDown))
	_, err = svc.Enroll(ctx, enroll)
	fmt.Println(err)
	// Output:
	// true
	// <nil>
}
