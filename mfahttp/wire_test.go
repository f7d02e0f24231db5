package mfahttp_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/internal/testrig"
	"github.com/authfactor/mfa/mfahttp"
	"github.com/authfactor/mfa/mfatest"
)

// TestOwnHandlers: an application that answers from its own handlers, with the wire
// types, answers the same as this one.
func TestOwnHandlers(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	own := func(status int, v any) answer {
		t.Helper()
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return answer{status: status, text: string(text)}
	}
	same := func(name string, api, own answer) {
		t.Helper()
		// encoding/json escapes the '&' of a URI, and it reads the same.
		got, want := strings.ReplaceAll(
			own.masked(),
			`\u0026`,
			"&",
		), strings.ReplaceAll(
			api.masked(),
			`\u0026`,
			"&",
		)
		if own.status != api.status || got != want {
			t.Errorf("%s: %d %s\nwant %d %s", name, own.status, got, api.status, want)
		}
	}
	for body, p := range map[string]mfa.EnrollParams{
		enrollTOTP: {TOTP: &mfa.TOTPParams{Issuer: "Foo Corp", User: "alan.turing@foo-corp.com"}},
		`{"type":"sms","phone_number":"` + phone + `"}`: {
			SMS: &mfa.SMSParams{PhoneNumber: phone},
		},
		`{"type":"generic_otp","user_id":"a&b","name":"</b>"}`: {
			GenericOTP: true, UserID: "a&b", Name: "</b>",
		},
		`{"type":"totp","totp_issuer":"A&B }}","totp_user":"\"{"}`: {
			TOTP: &mfa.TOTPParams{Issuer: "A&B }}", User: `"{`},
		},
	} {
		p.NoOwner = p.UserID == ""
		enr, err := r.svc.Enroll(ctx, p)
		if err != nil {
			t.Fatal(err)
		}
		if p.SMS == nil {
			ch, err := r.svc.Challenge(
				ctx,
				mfa.ChallengeParams{FactorID: enr.Factor.ID, UserID: mfa.AnyUser},
			)
			if err != nil {
				t.Fatal(err)
			}
			same(
				body,
				r.post("/auth/factors/"+enr.Factor.ID+"/challenge", ""),
				own(201, mfahttp.Challenge{Challenge: ch}),
			)
		}
		same(body, r.post("/auth/factors/enroll", body), own(201, mfahttp.Enrollment{Enrollment: enr}))
	}
	_, err := r.svc.Verify(ctx, mfa.VerifyParams{ChallengeID: "x", Code: "123456"})
	e := mfahttp.ErrorOf(err)
	same("error", r.verify("x", "123456"), own(e.Status, e))
	if got := own(0, mfahttp.Error{}).text; got != `{"code":"","message":""}` {
		t.Error(got)
	}
}

// TestErrorOf: the status of every error that a service returns, and what is left out.
func TestErrorOf(t *testing.T) {
	r := newRig(t, func(c *mfa.Config, _ *mfahttp.Config) { c.Policy.MaxAttempts = 1 })
	ctx := t.Context()
	f := r.totp()
	challenge := func(f factor) string { t.Helper(); return r.challenge(f).must(t, 201).get("id") }
	verify := func(id, code string) error {
		_, err := r.svc.Verify(ctx, mfa.VerifyParams{ChallengeID: id, Code: code})
		return err
	}
	id := challenge(f)
	_, notFound := r.svc.Factor(ctx, mfa.FactorParams{FactorID: "auth_factor_" + ulid})
	wrong := verify(id, r.wrong(r.around(f)...))
	usedUp := verify(id, r.right(f))
	id = challenge(f)
	if err := verify(id, r.right(f)); err != nil {
		t.Fatal(err)
	}
	verified := verify(id, r.right(f))
	id = challenge(f)
	r.clock.Advance(10 * time.Minute)
	expired := verify(id, r.right(f))
	_, parameter := r.svc.Enroll(ctx, mfa.EnrollParams{})

	mobile := r.phone()
	challenge(mobile)
	r.clock.Advance(time.Millisecond)
	_, throttled := r.svc.Challenge(ctx, mfa.ChallengeParams{FactorID: mobile.id})
	r.clock.Advance(time.Hour)
	r.sms.Script = func(context.Context, int, mfa.Message) error {
		return errors.New("refused " + phone)
	}
	_, notSent := r.svc.Challenge(ctx, mfa.ChallengeParams{FactorID: mobile.id})
	r.store.Before = mfatest.Nth(len(r.store.Calls())+1, errors.New("lost "+phone))
	_, lost := r.svc.Factor(ctx, mfa.FactorParams{FactorID: f.id})

	for name, c := range map[string]struct {
		err        error
		status     int
		code       string
		entityID   string
		retryAfter int
	}{
		"nil":               {nil, 500, "internal_server_error", "", 0},
		"any":               {errors.New("secret"), 500, "internal_server_error", "", 0},
		"store":             {lost, 500, "internal_server_error", "", 0},
		"integrity":         {mfa.ErrIntegrity, 500, "internal_server_error", "", 0},
		"not sent":          {notSent, 502, "message_not_sent", "", 0},
		"not sent, wrapped": {fmt.Errorf("login: %w", notSent), 502, "message_not_sent", "", 0},
		"not found":         {notFound, 404, "entity_not_found", "auth_factor_" + ulid, 0},
		"not found, wrapped": {fmt.Errorf("login: %w", notFound), 404,
			"entity_not_found", "auth_factor_" + ulid, 0},
		"wrong code": {wrong, 400, "invalid_one_time_code", "", 0},
		"used up":    {usedUp, 400, "one_time_code_too_many_attempts", "", 0},
		"verified":   {verified, 422, "authentication_challenge_previously_verified", "", 0},
		"expired":    {expired, 422, "authentication_challenge_expired", "", 0},
		"parameter":  {parameter, 422, "invalid_request_parameters", "", 0},
		"throttled":  {throttled, 400, "rate_limit_exceeded", "", 60}, // 59.999, rounded up
		"an Error":   {mfahttp.Error{Status: 418, Code: "x"}, 418, "x", "", 0},
		"an Error, wrapped": {
			fmt.Errorf("login: %w", mfahttp.Error{Status: 418, Code: "x", RetryAfter: 7}), 418, "x", "", 7,
		},
	} {
		e := mfahttp.ErrorOf(c.err)
		if e.Status != c.status || e.Code != c.code || e.EntityID != c.entityID ||
			e.RetryAfter != c.retryAfter {
			t.Errorf("%s: %+v, want %+v", name, e, c)
		}
		if shown := fmt.Sprintf(
			"%+v %s",
			e,
			e.Error(),
		); strings.Contains(shown, phone) ||
			strings.Contains(shown, "secret") {
			t.Errorf("%s: %s", name, shown)
		}
	}
	e := mfahttp.ErrorOf(expired)
	want := "mfahttp: " + e.Message + " (authentication_challenge_expired, status 422)"
	if e.Error() != want || e.Message != refusal(t, expired).Message {
		t.Errorf("%s, want %s", e.Error(), want)
	}
}

func refusal(t *testing.T, err error) *mfa.Error {
	t.Helper()
	e, ok := errors.AsType[*mfa.Error](err)
	if !ok {
		t.Fatalf("error %v (%T), want an *mfa.Error", err, err)
	}
	return e
}

// verbs are all that fmt knows, and two that it does not.
const verbs = "vTtbcdoOqxXUeEfFgGspwZ!"

// printed gives what fmt makes of a value, by itself and within others, and what slog
// makes of it by itself.
func printed(v any) string {
	var out strings.Builder
	type exported struct{ V any }
	type unexported struct{ v any }
	for _, value := range []any{
		v, &v, exported{v}, &exported{v}, unexported{v}, &unexported{v},
		[]any{v}, map[string]any{"k": v}, fmt.Errorf("wrapped: %v", v),
	} {
		for _, verb := range verbs {
			for _, flags := range []string{"", "+", "#", "# ", "20.3", "-", " "} {
				fmt.Fprintf(&out, "%"+flags+string(verb)+"\n", value)
			}
		}
		fmt.Fprintln(&out, value)
	}
	for _, handler := range []slog.Handler{
		slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil),
	} {
		log := slog.New(handler)
		log.Info("message", "value", v)
		log.With(
			"value",
			v,
		).WithGroup(
			"group",
		).Info(
			"message",
			slog.Group("inner", "value", v),
			"any",
			slog.AnyValue(v),
		)
	}
	return out.String()
}

// TestWireTypesDoNotPrint: what JSON shows on purpose, fmt and slog do not.
func TestWireTypesDoNotPrint(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	enroll := func(p mfa.EnrollParams) mfahttp.Enrollment {
		t.Helper()
		p.NoOwner = p.UserID == ""
		enr, err := r.svc.Enroll(ctx, p)
		if err != nil {
			t.Fatal(err)
		}
		return mfahttp.Enrollment{Enrollment: enr}
	}
	app := enroll(
		mfa.EnrollParams{NoOwner: true, TOTP: &mfa.TOTPParams{Issuer: "Foo Corp", User: "alan"}},
	)
	mobile := enroll(mfa.EnrollParams{NoOwner: true, SMS: &mfa.SMSParams{PhoneNumber: phone}})
	generic := enroll(mfa.EnrollParams{NoOwner: true, GenericOTP: true})
	paper := enroll(mfa.EnrollParams{UserID: "user_1", RecoveryCodes: true})
	told, err := r.svc.Challenge(ctx, mfa.ChallengeParams{FactorID: generic.Factor.ID})
	if err != nil {
		t.Fatal(err)
	}
	ch := mfahttp.Challenge{Challenge: told}
	code := ch.Code()
	for name, v := range map[string]any{
		"Enrollment": app, "*Enrollment": &app, "Enrollment of a phone": mobile,
		"*Enrollment of a phone": &mobile, "Enrollment of codes": paper, "*Enrollment of codes": &paper,
		"Challenge": ch, "*Challenge": &ch,
		"Enrollment, nested": struct{ e mfahttp.Enrollment }{app},
		"Challenge, nested":  struct{ c mfahttp.Challenge }{ch},
	} {
		out := printed(v)
		for _, secret := range []string{
			app.TOTP.Secret(), app.TOTP.URI(), "otpauth", app.TOTP.QRCode()[30:60],
			fmt.Sprintf("%x", app.TOTP.Secret()), paper.RecoveryCodes.Codes()[0],
		} {
			if strings.Contains(out, secret) {
				t.Errorf("%s shows a secret", name)
			}
		}
		if testrig.Shows(out, code) || testrig.Shows(out, phone[1:]) {
			t.Errorf("%s shows a code or a number", name)
		}
		if !strings.Contains(out, "auth_factor_") {
			t.Errorf("%s shows nothing", name)
		}
	}
	for name, v := range map[string]struct {
		v      any
		secret string
	}{
		"Enrollment": {app, app.TOTP.Secret()}, "Challenge": {ch, `"code":"` + code + `"`},
		"phone": {mobile, phone}, "codes": {paper, paper.RecoveryCodes.Codes()[9]},
	} {
		if text, err := json.Marshal(v.v); err != nil || !strings.Contains(string(text), v.secret) {
			t.Errorf("the JSON of %s leaves it out: %v", name, err)
		}
	}
}

// TestDefaultLogger: without a Logger, what failed goes to slog's default one.
func TestDefaultLogger(t *testing.T) {
	var out strings.Builder
	defer log.SetFlags(log.Flags()) // slog takes package log over
	defer log.SetOutput(log.Writer())
	defer slog.SetDefault(slog.Default())
	slog.SetDefault(slog.New(slog.NewTextHandler(&out, nil)))
	r := newRig(t, func(_ *mfa.Config, c *mfahttp.Config) { c.Logger = nil })
	r.store.Before = failing("Load")
	r.call("GET", "/auth/factors/auth_factor_"+ulid, "").must(t, http.StatusInternalServerError)
	if !strings.Contains(out.String(), "connection lost") {
		t.Errorf("log %q", out.String())
	}
}

// TestRequestIDs: no two answers have one id, whatever the request calls itself.
func TestRequestIDs(t *testing.T) {
	r := newRig(t)
	seen := map[string]bool{}
	for range 100 {
		req := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
		req.Header.Set("X-Request-Id", "mine")
		id := r.send(req).header.Get("X-Request-Id")
		if seen[id] {
			t.Fatalf("%s twice", id)
		}
		seen[id] = true
	}
}
