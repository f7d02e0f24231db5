package mfa_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/authfactor/mfa"
)

// TestGuide walks through the guide with its literal values (M1-M8).
func TestGuide(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 678_000_000, time.UTC)
	outbox := &mfa.Outbox{}
	svc, err := mfa.New(mfa.Config{SMS: outbox, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	enr, err := svc.Enroll(ctx, mfa.EnrollParams{UserID: "user_42", TOTP: &mfa.TOTPParams{Issuer: "Foo Corp", User: "alan.turing@foo-corp.com"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Log(enr.TOTP.URI(), len(enr.TOTP.QRCode()), enr)
	ch, err := svc.Challenge(ctx, mfa.ChallengeParams{FactorID: enr.Factor.ID, UserID: "user_42"})
	if err != nil {
		t.Fatal(err)
	}
	code, _ := totp.GenerateCode(enr.TOTP.Secret(), now)
	v, err := svc.Verify(ctx, mfa.VerifyParams{ChallengeID: ch.ID, UserID: "user_42", Code: code})
	if err != nil || !v.Valid || !v.FirstUse {
		t.Fatal(v, err)
	}
	j, _ := json.Marshal(v)
	t.Log(string(j))
	_, err = svc.Verify(ctx, mfa.VerifyParams{ChallengeID: ch.ID, UserID: "user_42", Code: code})
	t.Log(err)
	sms, err := svc.Enroll(ctx, mfa.EnrollParams{UserID: "user_42", SMS: &mfa.SMSParams{PhoneNumber: "+15005550006"}})
	if err != nil {
		t.Fatal(err)
	}
	ch, err = svc.Challenge(ctx, mfa.ChallengeParams{FactorID: sms.Factor.ID, UserID: "user_42", SMSTemplate: "Your FooCorp is {{code}}.", Confirm: true})
	if err != nil {
		t.Fatal(err)
	}
	m := outbox.Messages()[0]
	v, err = svc.Verify(ctx, mfa.VerifyParams{ChallengeID: ch.ID, UserID: "user_42", Code: regexp.MustCompile(`\d{6}`).FindString(m.Body)})
	if err != nil {
		t.Fatal(err)
	}
	t.Log(fmt.Sprintf("%+v %s", v, m.To))
}
