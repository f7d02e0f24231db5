package unittest

import (
	"context"
	"errors"
	"io"
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
	f.Login = &Login{MFA: svc, Now: f.clock.Now, Password: func(user, password string) (User, bool) {
		id := strings.ToLower(user) // as many databases compare
		return User{ID: id, HasFactor: id == "ann"}, password == "pw of "+id
	}}

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

// password types the password alone.
func (f *fixture) password(user, password string) *http.Response {
	return f.post(f.PasswordStep, nil, url.Values{"user": {user}, "password": {password}})
}

// begin types the right password, and chooses the factor of this type.
func (f *fixture) begin(kind mfa.FactorType) *http.Response {
	first := f.password("ann", "pw of ann")
	told, err := io.ReadAll(first.Body)
	if err != nil {
		return first
	}
	for line := range strings.Lines(string(told)) {
		if id, named, _ := strings.Cut(line, " "); strings.HasPrefix(named, string(kind)+" ") {
			return f.post(f.ChooseStep, first, url.Values{"factor": {id}})
		}
	}
	return first
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
	if user := f.loggedIn(f.password("ann", "pw of ann")); user != "" {
		t.Fatalf("the password alone logged %s in", user)
	}
	first := f.begin(mfa.TypeTOTP)
	if user := f.loggedIn(first); user != "" {
		t.Fatalf("a challenge logged %s in", user)
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
	if user := f.loggedIn(f.password("bob", "pw of bob")); user != "bob" {
		t.Errorf("without a factor: %q", user)
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
	first := f.begin(mfa.TypeTOTP)
	for range 5 {
		if answer := f.answer(first, "000000"); f.loggedIn(answer) != "" || answer.StatusCode != http.StatusUnauthorized {
			t.Fatalf("status %d", answer.StatusCode)
		}
	}
	answer := f.begin(mfa.TypeTOTP)
	if answer.StatusCode != http.StatusTooManyRequests || answer.Header.Get("Retry-After") != "31" {
		t.Errorf("after five wrong codes: status %d, Retry-After %s", answer.StatusCode, answer.Header.Get("Retry-After"))
	}
	f.clock.Advance(30 * time.Second) // nobody waits
	if user := f.loggedIn(f.answer(f.begin(mfa.TypeTOTP), f.code())); user != "ann" {
		t.Errorf("after the wait: %q", user)
	}
}

func TestStolenCode(t *testing.T) {
	f := newFixture(t)
	code := f.code()
	f.answer(f.begin(mfa.TypeTOTP), code)
	if user := f.loggedIn(f.answer(f.begin(mfa.TypeTOTP), code)); user != "" {
		t.Error("a code logged in twice")
	}
}

// TestOtherSpelling: a name that is typed otherwise is the same person, with the same factor.
func TestOtherSpelling(t *testing.T) {
	f := newFixture(t)
	if user := f.loggedIn(f.password("ANN", "pw of ann")); user != "" {
		t.Errorf("the password alone logged %s in", user)
	}
}

// TestPasswordLapses: the password of ten minutes ago is asked for again, and one that was
// used is used up.
func TestPasswordLapses(t *testing.T) {
	f := newFixture(t)
	first := f.begin(mfa.TypeTOTP)
	if user := f.loggedIn(f.answer(first, f.code())); user != "ann" {
		t.Fatalf("logged in: %q", user)
	}
	if got := f.answer(first, f.code()).StatusCode; got != http.StatusUnauthorized {
		t.Errorf("after the login: status %d", got)
	}
	first = f.password("ann", "pw of ann")
	f.clock.Advance(10 * time.Minute)
	factors, err := f.MFA.Factors(t.Context(), "ann")
	if err != nil {
		t.Fatal(err)
	}
	if got := f.post(f.ChooseStep, first, url.Values{"factor": {factors[0].ID}}).StatusCode; got != http.StatusUnauthorized {
		t.Errorf("after ten minutes: status %d", got)
	}
}

func TestTooLate(t *testing.T) {
	f := newFixture(t)
	first := f.begin(mfa.TypeTOTP)
	f.clock.Advance(10 * time.Minute)
	if user := f.loggedIn(f.answer(first, f.code())); user != "" {
		t.Error("a challenge of ten minutes ago logged in")
	}
}

func TestDatabaseDown(t *testing.T) {
	f := newFixture(t)
	first := f.begin(mfa.TypeTOTP)
	f.store.After = func(context.Context, mfatest.Call) error { return errors.New("connection lost") }
	answer := f.answer(first, f.code())
	if answer.StatusCode != http.StatusInternalServerError || f.loggedIn(answer) != "" {
		t.Errorf("status %d", answer.StatusCode)
	}
}

// TestRecoveryCodesBeside: a set of recovery codes and a replaced app change nothing: the
// app is asked for first, and its code logs in.
func TestRecoveryCodesBeside(t *testing.T) {
	f := newFixture(t)
	enrolled := func(p mfa.EnrollParams) mfa.Enrollment {
		t.Helper()
		p.UserID, p.ByOperator = "ann", true
		enr, err := f.MFA.Enroll(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		return enr
	}
	enrolled(mfa.EnrollParams{RecoveryCodes: true})
	factors, err := f.MFA.Factors(t.Context(), "ann")
	if err != nil {
		t.Fatal(err)
	}
	next := enrolled(mfa.EnrollParams{Replaces: factors[0].ID, TOTP: &mfa.TOTPParams{Issuer: "Foo Corp", User: "ann"}})
	ch, err := f.MFA.Challenge(t.Context(), mfa.ChallengeParams{FactorID: next.Factor.ID, UserID: "ann", Confirm: true})
	if err != nil {
		t.Fatal(err)
	}
	f.secret = next.TOTP.Secret()
	if _, err := f.MFA.Verify(t.Context(), mfa.VerifyParams{ChallengeID: ch.ID, UserID: "ann", Code: f.code()}); err != nil {
		t.Fatal(err)
	}
	f.clock.Advance(time.Minute)
	told, err := io.ReadAll(f.password("ann", "pw of ann").Body)
	if err != nil || !strings.HasPrefix(string(told), next.Factor.ID+" "+string(mfa.TypeTOTP)) || strings.Count(string(told), "\n") != 2 {
		t.Errorf("the person chooses from %s, %v", told, err)
	}
	if user := f.loggedIn(f.answer(f.begin(mfa.TypeTOTP), f.code())); user != "ann" {
		t.Errorf("logged in: %q", user)
	}
}

// TestLostStore: a store that forgot a person's factor lets nobody in by the password.
func TestLostStore(t *testing.T) {
	f := newFixture(t)
	empty, err := mfa.New(mfa.Config{Store: new(mfa.MemoryStore), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	f.MFA = empty
	if answer := f.password("ann", "pw of ann"); f.loggedIn(answer) != "" || answer.StatusCode != http.StatusInternalServerError {
		t.Errorf("status %d", answer.StatusCode)
	}
}
