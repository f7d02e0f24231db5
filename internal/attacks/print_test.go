package attacks_test

import (
	"bytes"
	"context"
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/mfatest"
	"github.com/authfactor/mfa/proof"
)

// The tests of this file print everything, in every way, and look for secrets.

// TestSecretsDoNotPrint is principle P6.
func TestSecretsDoNotPrint(t *testing.T) {
	key := mfa.NewKey()
	ring, err := mfa.ParseKeyring(key)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	outbox := new(mfa.Outbox)
	r := newRig(t, func(c *mfa.Config) {
		c.Keys, c.SMS = ring, outbox
		c.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	ctx := t.Context()
	totp, err := r.Enroll(ctx, mfa.EnrollParams{
		UserID: ann,
		Name:   "app",
		TOTP:   &mfa.TOTPParams{Issuer: "Foo Corp", User: "alan"},
	})
	if err != nil {
		t.Fatal(err)
	}
	sms, err := r.Enroll(ctx, mfa.EnrollParams{
		UserID: ann, Name: "phone", SMS: &mfa.SMSParams{PhoneNumber: phone},
	})
	if err != nil {
		t.Fatal(err)
	}
	ch, err := r.Challenge(ctx, mfa.ChallengeParams{FactorID: sms.Factor.ID, UserID: ann})
	if err != nil {
		t.Fatal(err)
	}
	message := outbox.Messages()[0]
	code := strings.TrimSuffix(strings.TrimPrefix(message.Body, "Your verification code is "), ".")
	right, err := r.Verify(ctx, mfa.VerifyParams{ChallengeID: ch.ID, UserID: ann, Code: code})
	if err != nil {
		t.Fatal(err)
	}
	app := r.TOTP(ann) // the one of before ended with the first confirmation
	appChallenge, err := r.Challenge(ctx, mfa.ChallengeParams{FactorID: app.ID, UserID: ann})
	if err != nil {
		t.Fatal(err)
	}
	wrong, wrongErr := r.Answer(appChallenge, app, r.Wrong(app))
	mustBe(t, wrongErr, mfa.ErrInvalidCode)
	_, throttled := r.Challenge(ctx, mfa.ChallengeParams{
		FactorID: sms.Factor.ID, UserID: ann, Confirm: true,
	})
	factors, err := r.Factors(ctx, ann)
	if err != nil {
		t.Fatal(err)
	}

	raw, err := base32.StdEncoding.DecodeString(totp.TOTP.Secret())
	if err != nil {
		t.Fatal(err)
	}
	rawKey, err := base64.StdEncoding.DecodeString(key)
	if err != nil {
		t.Fatal(err)
	}
	var secrets []string
	for _, s := range []string{
		totp.TOTP.Secret(), string(raw), totp.TOTP.URI(), totp.TOTP.QRCode()[30:60], key, string(rawKey),
		message.Body,
	} {
		secrets = append(secrets, spellings(s)...)
	}
	digits := []string{code, phone, "5005550006"}

	for name, v := range map[string]any{
		"Enrollment": totp, "*Enrollment": &totp, "TOTPEnrollment": *totp.TOTP,
		"*TOTPEnrollment": totp.TOTP, "Enrollment of SMS": sms,
		"Factor": sms.Factor, "*Factor": &sms.Factor, "Factors": factors, "Challenge": ch,
		"Verification": right, "wrong Verification": wrong,
		"wrong code": wrongErr, "throttled": throttled, "Keyring": *ring, "*Keyring": ring,
		"Service": r.Service, "Config": r.Config, "*Config": &r.Config, "Outbox": outbox,
		"events": r.Took(), "log": log.String(),
		"Keyring, nested":        struct{ k mfa.Keyring }{*ring},
		"Factor, nested":         struct{ f mfa.Factor }{sms.Factor},
		"TOTPEnrollment, nested": struct{ e mfa.TOTPEnrollment }{*totp.TOTP}, "Outbox, nested": &struct {
			o *mfa.Outbox
			n int
		}{outbox, 1},
	} {
		out := printed(v)
		for i, secret := range secrets {
			if strings.Contains(out, secret) {
				t.Errorf("%s shows spelling %d of a secret", name, i)
			}
		}
		for _, d := range digits {
			if shows(out, d) {
				t.Errorf("%s shows a code or a number", name)
			}
		}
	}
	if log.Len() > 0 {
		t.Errorf("a flow without trouble logged %s", &log)
	}
}

// TestJSONStyle: whatever marshals has members like created_at, and can be read by who
// knows one of them.
func TestJSONStyle(t *testing.T) {
	r := newRig(t)
	f := r.TOTP(ann)
	device := r.Trust(f, "Firefox")
	codes, _ := r.Recovery(ann)
	r.Fail(f, 1)
	login, err := r.Begin()
	if err != nil {
		t.Fatal(err)
	}
	style := regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`)
	var check func(name string, v any)
	check = func(name string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for member, value := range v {
				if !style.MatchString(member) {
					t.Errorf("%s has a member %q", name, member)
				}
				check(name, value)
			}
		case []any:
			for _, value := range v {
				check(name, value)
			}
		}
	}
	for _, v := range []any{
		codes, mfa.Enrollment{Factor: f.Factor}, device, login, r.Took(), r.Ask(f),
		mfa.Verification{Factor: f.Factor},
		proof.Receipt{Action: proof.ActionOf("pay", "1")},
		&mfa.Error{Code: "code", Message: "A message."},
	} {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		var members any
		if err := json.Unmarshal(text, &members); err != nil || len(text) < 20 {
			t.Fatalf("%T: %s, %v", v, text, err)
		}
		check(fmt.Sprintf("%T", v), members)
	}
}

// TestEventInAQueue: an event that went through JSON is the same, and so is whether the
// owner should be told, which no member but one says.
func TestEventInAQueue(t *testing.T) {
	r := newRig(t)
	f := r.TOTP(ann)
	filling := 0
	for range 20 { // days, each with wrong codes and a login
		r.Fail(f, 4)
		r.Clock.Advance(aDay)
		r.LogIn(f)
	}
	events := r.Took()
	for _, e := range events {
		text, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), fmt.Sprintf(`"notify":%t`, e.Notify())) {
			t.Errorf("%+v is %s", e, text)
		}
		var back mfa.Event
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatal(err)
		}
		if back.Notify() != e.Notify() || back.RetryAfter != e.RetryAfter.Truncate(time.Second) {
			t.Errorf("%s came back as %+v, which notifies: %t", text, back, back.Notify())
		}
		if e.Kind == mfa.EventFailed && e.Failures < 5 && e.Notify() {
			filling++
		}
	}
	if filling == 0 {
		t.Error("no event was of a filling bucket: this test does not see it")
	}
	var e mfa.Event
	if err := json.Unmarshal([]byte(`{"kind": 1}`), &e); err == nil {
		t.Error("an event of no kind was read")
	}
}

// TestErrorsDoNotShow: no error shows what was passed in or what a provider said,
// and each names its id.
func TestErrorsDoNotShow(t *testing.T) {
	r := newRig(t)
	f := r.TOTP(ann)
	s := r.Phone("user_bob", phone)
	ctx := t.Context()
	cause := providerError("provider refused +15005550006: Your verification code is 123456")
	r.SMS.Script = func(context.Context, int, mfa.Message) error { return cause }
	_, sendErr := r.Challenge(ctx, mfa.ChallengeParams{FactorID: s.ID, UserID: "user_bob"})
	if got, ok := errors.AsType[providerError](
		sendErr,
	); !ok || got != cause ||
		!errors.Is(sendErr, cause) {
		t.Errorf("the sender's error is not to be found in %v", sendErr)
	}
	if id := r.Took(); !strings.Contains(sendErr.Error(), id[len(id)-1].ChallengeID) {
		t.Errorf("error %v names no challenge", sendErr)
	}
	_, numberErr := r.Enroll(ctx, mfa.EnrollParams{
		NoOwner: true, SMS: &mfa.SMSParams{PhoneNumber: "+15005550006;ext=3"},
	})
	_, secretErr := r.Enroll(ctx, mfa.EnrollParams{
		NoOwner: true,
		TOTP:    &mfa.TOTPParams{Issuer: "a", User: "b", Secret: "GEZDGNBVGY3TQOJQ"},
	})
	_, templateErr := r.Challenge(ctx, mfa.ChallengeParams{
		FactorID: s.ID, UserID: "user_bob", SMSTemplate: "123456 +15005550006",
	})
	_, idErr := r.Verify(ctx, mfa.VerifyParams{ChallengeID: "123456", Code: "+15005550006"})
	ch := r.Ask(f)
	_, codeErr := r.Answer(ch, f, "739164")
	_, keyErr := mfa.ParseKeyring("GEZDGNBVGY3TQOJQ")
	for i, err := range []error{sendErr, numberErr, secretErr, templateErr, idErr, codeErr, keyErr} {
		if err == nil {
			t.Fatalf("error %d is nil", i)
		}
		out := printed(err)
		for _, shown := range []string{"123456", "+15005550006", "GEZDGNBVGY3TQOJQ", "739164"} {
			if shows(out, shown) {
				t.Errorf("error %d shows it: %v", i, err)
			}
		}
	}
	if e := refusal(t, codeErr); e.ID != ch.ID {
		t.Errorf("the refusal is about %q, want the challenge", e.ID)
	}
}

// A providerError is of a type that fmt follows to the end.
type providerError string

func (e providerError) Error() string { return string(e) }

// TestWarning: the zero Config says once that it is not for production.
func TestWarning(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	if _, err := mfa.New(mfa.Config{Logger: logger}); err != nil {
		t.Fatal(err)
	}
	if out := log.String(); strings.Count(out, "level=WARN") != 1 ||
		!strings.Contains(out, "no Config.Store") {
		t.Errorf("log %q", out)
	}
	log.Reset()
	if _, err := mfa.New(
		mfa.Config{
			Logger:  logger,
			Store:   new(mfa.MemoryStore),
			SMS:     new(mfatest.Sender),
			Regions: []string{"US"},
		},
	); err != nil {
		t.Fatal(err)
	}
	if log.Len() > 0 {
		t.Errorf("log %q", log.String())
	}
}
