package unittest

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/mfatest"
)

// A fixture is a login with one user, Ann, whose app and clock the test holds.
type fixture struct {
	*Login
	clock  *mfatest.Clock
	store  *mfatest.FaultyStore
	secret string
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{clock: new(mfatest.Clock), store: &mfatest.FaultyStore{Store: new(mfa.MemoryStore)}}
	svc, err := mfa.New(mfa.Config{Store: f.store, Keys: mfatest.Keys(), Now: f.clock.Now, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	f.Login = &Login{MFA: svc, Password: func(user, password string) bool { return password == "pw of "+user }}

	enr, err := svc.Enroll(t.Context(), mfa.EnrollParams{UserID: "ann", TOTP: &mfa.TOTPParams{Issuer: "Foo Corp", User: "ann"}})
	if err != nil {
		t.Fatal(err)
	}
	f.secret = enr.TOTP.Secret()
	ch, err := svc.Challenge(t.Context(), mfa.ChallengeParams{FactorID: enr.Factor.ID, UserID: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := svc.Verify(t.Context(), mfa.VerifyParams{ChallengeID: ch.ID, UserID: "ann", Code: f.code()}); err != nil {
		t.Fatal(err)
	}
	f.clock.Advance(time.Minute) // the app shows a new code: the one that confirmed it is used up
	return f
}

// code is what Ann's app shows.
func (f *fixture) code() string { return mfatest.Code(f.secret, f.clock.Now()) }

// post sends a form with the cookies of the answer before.
func (f *fixture) post(step http.HandlerFunc, before *http.Response, form url.Values) *http.Response {
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if before != nil {
		for _, c := range before.Cookies() {
			r.AddCookie(c)
		}
	}
	w := httptest.NewRecorder()
	step(w, r)
	return w.Result()
}

func (f *fixture) password(user, password string) *http.Response {
	return f.post(f.PasswordStep, nil, url.Values{"user": {user}, "password": {password}})
}

func (f *fixture) answer(before *http.Response, code string) *http.Response {
	return f.post(f.CodeStep, before, url.Values{"code": {code}})
}

// loggedIn is who is logged in after an answer.
func (f *fixture) loggedIn(answer *http.Response) string {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	for _, c := range answer.Cookies() {
		r.AddCookie(c)
	}
	return f.User(r)
}

func TestLogin(t *testing.T) {
	f := newFixture(t)
	first := f.password("ann", "pw of ann")
	if user := f.loggedIn(first); user != "" {
		t.Fatalf("the password alone logged %s in", user)
	}
	if user := f.loggedIn(f.answer(first, f.code())); user != "ann" {
		t.Errorf("logged in: %q, want ann", user)
	}
}

func TestWrongPassword(t *testing.T) {
	f := newFixture(t)
	if got := f.password("ann", "guess").StatusCode; got != http.StatusUnauthorized {
		t.Errorf("status %d", got)
	}
	if got := f.password("bob", "pw of bob").StatusCode; got != http.StatusForbidden {
		t.Errorf("without a factor: status %d", got)
	}
}

func TestCodeWithoutPassword(t *testing.T) {
	f := newFixture(t)
	answer := f.answer(nil, f.code())
	if answer.StatusCode != http.StatusUnauthorized || f.loggedIn(answer) != "" {
		t.Errorf("status %d", answer.StatusCode)
	}
}

func TestWrongCodes(t *testing.T) {
	f := newFixture(t)
	first := f.password("ann", "pw of ann")
	for range 5 {
		if answer := f.answer(first, "000000"); f.loggedIn(answer) != "" || answer.StatusCode != http.StatusUnauthorized {
			t.Fatalf("status %d", answer.StatusCode)
		}
	}
	answer := f.password("ann", "pw of ann")
	if answer.StatusCode != http.StatusTooManyRequests || answer.Header.Get("Retry-After") != "31" {
		t.Errorf("after five wrong codes: status %d, Retry-After %s", answer.StatusCode, answer.Header.Get("Retry-After"))
	}
	f.clock.Advance(30 * time.Second) // nobody waits
	if user := f.loggedIn(f.answer(f.password("ann", "pw of ann"), f.code())); user != "ann" {
		t.Errorf("after the wait: %q", user)
	}
}

func TestStolenCode(t *testing.T) {
	f := newFixture(t)
	code := f.code()
	f.answer(f.password("ann", "pw of ann"), code)
	if user := f.loggedIn(f.answer(f.password("ann", "pw of ann"), code)); user != "" {
		t.Error("a code logged in twice")
	}
}

func TestTooLate(t *testing.T) {
	f := newFixture(t)
	first := f.password("ann", "pw of ann")
	f.clock.Advance(10 * time.Minute)
	if user := f.loggedIn(f.answer(first, f.code())); user != "" {
		t.Error("a challenge of ten minutes ago logged in")
	}
}

func TestDatabaseDown(t *testing.T) {
	f := newFixture(t)
	first := f.password("ann", "pw of ann")
	f.store.After = func(context.Context, mfatest.Call) error { return errors.New("connection lost") }
	answer := f.answer(first, f.code())
	if answer.StatusCode != http.StatusInternalServerError || f.loggedIn(answer) != "" {
		t.Errorf("status %d", answer.StatusCode)
	}
}
