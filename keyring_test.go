package mfa_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/mfatest"
)

// with is a service over the rig's store, with other keys.
func (r *rig) with(keys ...string) *mfa.Service {
	r.T.Helper()
	ring, err := mfa.ParseKeyring(strings.Join(keys, ","))
	if err != nil {
		r.T.Fatal(err)
	}
	r.Config.Keys = ring
	r.Service = r.Another()
	return r.Service
}

// TestValidatedCryptographyAlone: under GODEBUG=fips140=only, which a process has from its start,
// every kind of record is written and read, and every type of factor is used.
func TestValidatedCryptographyAlone(t *testing.T) {
	const some = "^(Example.*|TestKeyRotation|TestTokens|TestNewRecoveryCodesAgain|" +
		"TestUnknownMessage)$"
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "-test.run="+some, "-test.v")
	cmd.Env = append(os.Environ(), "GODEBUG=fips140=only")
	out, err := cmd.CombinedOutput()
	passed := bytes.Count(out, []byte("--- PASS: "))
	if err != nil || passed < 20 || bytes.Contains(out, []byte("--- SKIP")) {
		t.Errorf("%d passed, %v\n%s", passed, err, out)
	}
}

// TestKeyRotation: what was sealed with the old key opens as long as it is in the
// keyring, and what is written again moves to the first.
func TestKeyRotation(t *testing.T) {
	before, after := mfa.NewKey(), mfa.NewKey()
	r := newRig(t)
	r.with(before)
	used, idle := r.TOTP(ann), r.TOTP("user_bob")

	r.with(before, after) // everywhere, before any process seals with the new one
	r.LogIn(used)
	r.with(after, before)
	r.LogIn(used)
	r.EnrollSMS(ann, phone) // each login looks at the record of the user, which this writes

	r.with(after)
	r.LogIn(used)
	_, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: idle.ID, UserID: "user_bob"})
	mustBe(t, err, mfa.ErrIntegrity)
	if !strings.Contains(err.Error(), idle.ID) ||
		!strings.Contains(err.Error(), "which is not in the keyring") {
		t.Errorf("error %v does not say which record and why", err)
	}
	r.with(after, before)
	r.LogIn(idle)
}

// TestMixedKeyrings: during a rotation processes with either first key work side by
// side, on one count of failures and one budget of messages.
func TestMixedKeyrings(t *testing.T) {
	one, two := mfa.NewKey(), mfa.NewKey()
	r := newRig(t)
	old := r.with(one, two)
	f, s := r.TOTP(ann), r.Phone("user_bob", phone)
	young := r.with(two, one)
	for i := range 5 {
		r.Service = []*mfa.Service{old, young}[i%2]
		_, err := r.Answer(r.Ask(f), f, r.Wrong(f))
		if waits := refusal(t, err).RetryAfter > 0; waits != (i == 4) {
			t.Fatalf("wrong code %d: waits %t", i+1, waits)
		}
	}
	r.Clock.Advance(25 * time.Hour)
	begin, sent := r.Clock.Now(), 0
	for i := 0; r.Clock.Now().Sub(begin) < 23*time.Hour; i++ {
		r.Service = []*mfa.Service{old, young}[i%2]
		_, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: s.ID, UserID: "user_bob"})
		if err == nil {
			sent++
		} else {
			mustBe(t, err, mfa.ErrThrottled)
		}
		r.Clock.Advance(time.Minute)
	}
	if sent != 10 {
		t.Errorf("%d messages in a day from two processes, want 10", sent)
	}
}

// TestNumberSurvivesRotation: the budget of a number is taken over, failures
// included, and kept once.
func TestNumberSurvivesRotation(t *testing.T) {
	one, two := mfa.NewKey(), mfa.NewKey()
	r := newRig(t, func(c *mfa.Config) { c.Policy.MaxFailures = 5 })
	r.with(one)
	r.Fail(r.EnrollSMS("user_mallory", phone), 4)

	r.with(two, one)
	f := r.EnrollSMS(ann, phone)
	ch := r.AskPatiently(f)
	_, err := r.Answer(ch, f, r.Wrong(f))
	mustBe(t, err, mfa.ErrInvalidCode)
	_, err = r.Answer(ch, f, r.Right(f))
	mustBe(t, err, mfa.ErrFactorDisabled) // the fifth, over both keys

	r.Record("number") // is one
	r.with(two)
	_, err = r.Answer(ch, f, r.Right(f))
	mustBe(t, err, mfa.ErrFactorDisabled)
}

// TestMergedNumber: where a number has a record under each key, the stricter counts
// hold.
func TestMergedNumber(t *testing.T) {
	one, two := mfa.NewKey(), mfa.NewKey()
	r := newRig(t, func(c *mfa.Config) { c.Policy.MaxFailures = 5 })
	r.with(one)
	r.Fail(r.EnrollSMS("user_mallory", phone), 5)
	r.with(two) // by mistake, without the old key: a second record of the same number
	f := r.EnrollSMS(ann, phone)
	r.Clock.Advance(time.Hour)
	ch := r.AskPatiently(f)
	r.with(two, one)
	_, err := r.Answer(ch, f, r.Right(f))
	mustBe(t, err, mfa.ErrFactorDisabled)
}

// TestManyKeys: a keyring holds three: each may have a record of one number, and all of
// them change in one Save.
func TestManyKeys(t *testing.T) {
	var keys []string
	for range 3 {
		keys = append(keys, mfa.NewKey())
	}
	newRig(t).with(keys...)
	_, err := mfa.ParseKeyring(strings.Join(append(keys, mfa.NewKey()), ","))
	mustBe(t, err, mfa.ErrConfig)
}

// TestForeignKeys: two services with different keys on one table do not understand each
// other, and neither takes what it does not understand for "none": it says so, and
// changes nothing.
func TestForeignKeys(t *testing.T) {
	r := newRig(t)
	ours := r.with(mfa.NewKey())
	f := r.TOTP(ann)
	ch := r.Ask(f)
	theirs := r.with(mfa.NewKey())
	called := len(r.Store.Calls("Save", "Purge"))
	ctx := t.Context()
	for what, call := range map[string]func() error{
		"Enroll": func() error {
			_, err := theirs.Enroll(ctx, mfa.EnrollParams{
				UserID: ann, TOTP: &mfa.TOTPParams{Issuer: "Foo Corp", User: "alan"},
			})
			return err
		},
		"Import": func() error {
			_, err := theirs.Import(ctx, mfa.ImportParams{
				UserID: ann, Secret: vectorSecret, Issuer: "Foo Corp", User: "alan",
			})
			return err
		},
		"Factors": func() error {
			_, err := theirs.Factors(ctx, ann)
			return err
		},
		"Factor": func() error {
			_, err := theirs.Factor(ctx, mfa.FactorParams{FactorID: f.ID, UserID: ann})
			return err
		},
		"Unenroll": func() error {
			return theirs.Unenroll(ctx, mfa.UnenrollParams{FactorID: f.ID, UserID: ann})
		},
		"Challenge": func() error {
			_, err := theirs.Challenge(ctx, mfa.ChallengeParams{FactorID: f.ID, UserID: ann})
			return err
		},
		"Verify": func() error {
			_, err := theirs.Verify(ctx, mfa.VerifyParams{ChallengeID: ch.ID, UserID: ann, Code: r.Right(f)})
			return err
		},
		"Reseal": func() error {
			last, errs := walk(t, theirs, mfa.ResealParams{})
			if len(errs) != 2 || last.Resealed > 0 {
				t.Errorf("Reseal: %+v, errors %v; want one for the factor and one for the user", last, errs)
			}
			return errors.Join(errs...)
		},
	} {
		if err := call(); !errors.Is(err, mfa.ErrIntegrity) {
			t.Errorf("%s: error %v, want ErrIntegrity", what, err)
		}
	}
	if n := len(r.Store.Calls("Save", "Purge")) - called; n > 0 {
		t.Errorf("%d writes", n)
	}
	r.Service = ours
	if _, err := r.Answer(ch, f, r.Right(f)); err != nil {
		t.Errorf("with the right keys: %v", err)
	}
}

// walk goes through a whole Reseal and returns its end and its errors.
func walk(t *testing.T, svc *mfa.Service, p mfa.ResealParams) (mfa.ResealProgress, []error) {
	t.Helper()
	var last mfa.ResealProgress
	var errs []error
	for progress, err := range svc.Reseal(t.Context(), p) {
		last = progress
		if err != nil {
			errs = append(errs, err)
		}
	}
	return last, errs
}

// TestReseal: after a walk, and 24 hours, the old key can be taken out, and nothing of
// what was counted is forgotten.
func TestReseal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before, after := mfa.NewKey(), mfa.NewKey()
		r := newRig(t)
		r.with(before)
		app, text, ownerless, empty := r.TOTP(
			ann,
		), r.Phone(
			"user_bob",
			phone,
		), r.TOTP(
			"",
		), r.TOTP(
			"user_eve",
		)
		if err := r.Unenroll(t.Context(), mfa.UnenrollParams{
			FactorID: empty.ID, UserID: "user_eve",
		}); err != nil {
			t.Fatal(err)
		}
		r.Fail(app, 3)
		sent := r.Ask(text)

		r.with(after, before)
		begin := time.Now()
		last, errs := walk(t, r.Service, mfa.ResealParams{PerSecond: 10})
		if len(errs) > 0 || last.Walked != 6 || last.Resealed != 6 { // 3 factors, 3 users
			t.Fatalf("walked %+v, errors %v; want 6 of 6", last, errs)
		}
		if took := time.Since(begin); took != 600*time.Millisecond {
			t.Errorf("6 records at 10 a second took %s", took)
		}
		last, errs = walk(t, r.Service, mfa.ResealParams{})
		if len(errs) > 0 || last.Walked != 6 || last.Resealed != 0 {
			t.Errorf("a second walk: %+v, errors %v; want nothing written", last, errs)
		}

		_, err := r.Answer(sent, text, r.Right(text)) // sealed with the old key, which is still there
		if err != nil {
			t.Error(err)
		}
		if n := r.Record("number"); n.UpdatedAt.IsZero() || n.CreatedAt.IsZero() {
			t.Errorf("the number's record has no times: %v, %v", n.CreatedAt, n.UpdatedAt)
		}
		r.with(after)
		other := r.EnrollSMS("user_zoe", phone) // whose own budget is whole
		_, err = r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: other.ID, UserID: "user_zoe"})
		if e := refusal(t, err); !errors.Is(err, mfa.ErrThrottled) || e.RetryAfter <= 0 {
			t.Errorf("the number's cool-down is gone: %v", err)
		}
		ch := r.Ask(app)
		for i := range 2 {
			_, err := r.Answer(ch, app, r.Wrong(app))
			if waits := refusal(t, err).RetryAfter > 0; waits != (i == 1) {
				t.Errorf("wrong code %d with the old key gone: %v", i+4, err)
			}
		}
		r.Clock.Advance(time.Hour)
		for _, f := range []enrolled{app, text, ownerless} {
			r.LogIn(f)
		}
		if _, err := r.Enroll(t.Context(), mfa.EnrollParams{
			UserID: "user_eve", TOTP: &mfa.TOTPParams{Issuer: "a", User: "b"},
		}); err != nil {
			t.Errorf("a user whose factors are all gone: %v", err)
		}
	})
}

// TestResealNumberLeftBehind: the budget of a number moves although a right code has moved
// its factor already.
func TestResealNumberLeftBehind(t *testing.T) {
	before, after := mfa.NewKey(), mfa.NewKey()
	r := newRig(t)
	r.with(before)
	f := r.Phone(ann, phone)
	sent := r.Ask(f)
	r.with(after, before)
	if _, err := r.Answer(sent, f, r.Right(f)); err != nil {
		t.Fatal(err)
	}
	if _, errs := walk(t, r.Service, mfa.ResealParams{}); len(errs) > 0 {
		t.Fatal(errs)
	}
	r.with(after)
	other := r.EnrollSMS("user_zoe", phone)
	_, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: other.ID, UserID: "user_zoe"})
	mustBe(t, err, mfa.ErrThrottled)
}

// TestResealResumes: a walk that was broken off goes on where it was, and what was
// done by then stays done.
func TestResealResumes(t *testing.T) {
	before, after := mfa.NewKey(), mfa.NewKey()
	r := newRig(t)
	r.with(before)
	for i := range 120 { // more than a page of each kind
		r.EnrollTOTP(strings.Repeat("u", i+1))
	}
	r.with(after, before)
	total, p := 0, mfa.ResealParams{PerSecond: 1e6}
	for done := false; !done; {
		done = true
		var last mfa.ResealProgress
		for progress, err := range r.Reseal(t.Context(), p) {
			if err != nil {
				t.Fatal(err)
			}
			last = progress
			if progress.Walked == 7 {
				done = false
				break
			}
		}
		total += last.Resealed
		p.After = last.After
	}
	if total != 240 {
		t.Errorf("%d records written, want 240", total)
	}
	r.with(after)
	if last, errs := walk(
		t,
		r.Service,
		mfa.ResealParams{},
	); len(errs) > 0 || last.Walked != 240 ||
		last.Resealed != 0 {
		t.Errorf("with the new key alone: %+v, %v", last, errs)
	}
}

// A lister is a store whose List is not as the contract has it.
type lister struct {
	mfa.Store
	list func(mfa.Store, context.Context, mfa.Query) ([]mfa.Record, error)
}

func (s lister) List(ctx context.Context, q mfa.Query) ([]mfa.Record, error) {
	return s.list(s.Store, ctx, q)
}

// atMost is a List that never gives more than n records.
func atMost(n int) func(*mfa.Config) {
	return func(c *mfa.Config) {
		c.Store = lister{
			c.Store,
			func(s mfa.Store, ctx context.Context, q mfa.Query) ([]mfa.Record, error) {
				q.Limit = min(q.Limit, n)
				return s.List(ctx, q)
			},
		}
	}
}

// TestShortPages: a store that gives fewer records than it was asked for, while it has
// more, loses nobody at a change of keys, and hides no factor without an error.
func TestShortPages(t *testing.T) {
	before, after := mfa.NewKey(), mfa.NewKey()
	r := newRig(t, atMost(50))
	r.with(before)
	const users = 120
	for i := range users {
		r.EnrollTOTP(fmt.Sprint("user_", i))
	}
	r.with(after, before)
	if last, errs := walk(
		t,
		r.Service,
		mfa.ResealParams{PerSecond: 1e6},
	); len(errs) > 0 ||
		last.Resealed != 2*users {
		t.Errorf("%d records were resealed, want %d; errors %v", last.Resealed, 2*users, errs)
	}
	r.with(after)
	lost := 0
	for i := range users {
		if factors, err := r.Factors(
			t.Context(),
			fmt.Sprint("user_", i),
		); err != nil ||
			len(factors) != 1 {
			lost++
		}
	}
	if lost > 0 {
		t.Errorf("with the old key gone %d of %d users have lost their factor", lost, users)
	}

	// A user's record tells that one of their factors was hidden.
	r = newRig(t)
	for range 3 {
		r.TOTP(ann)
	}
	atMost(1)(&r.Config)
	factors, err := r.Another().Factors(t.Context(), ann)
	if !errors.Is(err, mfa.ErrIntegrity) {
		t.Errorf("%d factors of 3, error %v; want ErrIntegrity", len(factors), err)
	}
}

// TestListsAgain: a store that lists what it has listed already is told, and does not
// keep a walk going for ever.
func TestListsAgain(t *testing.T) {
	before, after := mfa.NewKey(), mfa.NewKey()
	r := newRig(t, func(c *mfa.Config) {
		c.Store = lister{
			c.Store,
			func(s mfa.Store, ctx context.Context, q mfa.Query) ([]mfa.Record, error) {
				q.After = ""
				return s.List(ctx, q)
			},
		}
	})
	r.with(before)
	r.TOTP(ann)
	r.with(after, before)
	if _, errs := walk(
		t,
		r.Service,
		mfa.ResealParams{PerSecond: 1e6},
	); len(errs) != 1 ||
		!errors.Is(errs[0], mfa.ErrIntegrity) {
		t.Errorf("errors %v, want one ErrIntegrity", errs)
	}
}

// TestResealGoesOn: a record that does not open is told and passed over; a list that
// fails or a cancelled context ends the walk.
func TestResealGoesOn(t *testing.T) {
	before, after := mfa.NewKey(), mfa.NewKey()
	r := newRig(t)
	r.with(before)
	one, two := r.TOTP(""), r.TOTP("")
	r.with(after)
	three := r.TOTP("")
	last, errs := walk(t, r.Service, mfa.ResealParams{})
	if len(errs) != 2 || last.Walked != 3 || last.Resealed != 0 || last.After != three.ID {
		t.Fatalf("%+v, %v; want two errors and the last id", last, errs)
	}
	for i, f := range []enrolled{one, two} {
		if !errors.Is(errs[i], mfa.ErrIntegrity) || !strings.Contains(errs[i].Error(), f.ID) {
			t.Errorf("error %v, want ErrIntegrity of %s", errs[i], f.ID)
		}
	}

	_, errs = walk(t, r.Service, mfa.ResealParams{PerSecond: -1})
	if len(errs) != 1 || !errors.Is(errs[0], mfa.ErrInvalidParameter) {
		t.Errorf("PerSecond -1: %v", errs)
	}

	r.with(before, after)
	lost := errors.New("connection lost")
	r.Store.Before = mfatest.Nth(len(r.Store.Calls())+1, lost)
	if last, errs := walk(
		t,
		r.Service,
		mfa.ResealParams{},
	); len(errs) != 1 || !errors.Is(errs[0], lost) ||
		last.Walked != 0 {
		t.Errorf("a list that fails: %+v, %v", last, errs)
	}
	r.Store.Before = nil

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var seen []error
	for _, err := range r.Reseal(ctx, mfa.ResealParams{PerSecond: 1}) {
		seen = append(seen, err)
		cancel()
	}
	if end := seen[len(seen)-1]; !errors.Is(end, context.Canceled) || len(seen) > 4 {
		t.Errorf("cancelled: %v", seen)
	}
}

// TestResealBesideTraffic: of a walk and logins at once neither undoes the other.
func TestResealBesideTraffic(t *testing.T) {
	before, after := mfa.NewKey(), mfa.NewKey()
	r := newRig(t)
	old := r.with(before, after)
	var factors []enrolled
	for range 40 {
		factors = append(factors, r.TOTP(""))
	}
	young := r.with(after, before)
	var accepted atomic.Int64
	errs := all(3, func(i int) error {
		if i == 0 {
			for _, err := range young.Reseal(t.Context(), mfa.ResealParams{PerSecond: 1e6}) {
				if err != nil {
					return err
				}
			}
			return nil
		}
		for _, f := range factors { // two logins with one code: one is right
			ch, err := old.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID})
			if err != nil {
				return err
			}
			_, err = old.Verify(t.Context(), mfa.VerifyParams{ChallengeID: ch.ID, Code: r.Right(f)})
			if err == nil {
				accepted.Add(1)
			} else if !errors.Is(err, mfa.ErrInvalidCode) {
				return err
			}
		}
		return nil
	})
	for _, err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
	if accepted.Load() != int64(len(factors)) {
		t.Errorf("%d codes were accepted, want each of %d once", accepted.Load(), len(factors))
	}
}

// TestTokens: a token opens for its purpose, in every service with one of its keys, until its
// time is over; and no other text opens.
func TestTokens(t *testing.T) {
	r := newRig(t)
	first, second := mfa.NewKey(), mfa.NewKey()
	svc, rolled, other := r.with(first), r.with(second, first), r.with(second)
	token, err := svc.SealToken("cookie", []byte("the text"), 10*time.Minute)
	if err != nil || strings.Contains(token, "text") {
		t.Fatal(token, err)
	}
	again, err := svc.SealToken("cookie", []byte("the text"), 10*time.Minute)
	if err != nil || again == token {
		t.Errorf("two tokens are the same: %v", err)
	}
	for _, n := range []int{0, 1, 300, 3000} {
		long, err := svc.SealToken("cookie", make([]byte, n), time.Minute)
		if most := n*4/3 + 76; err != nil || len(long) > most { // of whole characters
			t.Errorf("%d bytes are %d, %v; want at most %d", n, len(long), err, most)
		}
	}
	opens := func(svc *mfa.Service, purpose, token string) bool {
		t.Helper()
		text, ok := svc.OpenToken(purpose, token)
		if ok != (string(text) == "the text") {
			t.Errorf("ok is %t of %q", ok, text)
		}
		return ok
	}
	if !opens(svc, "cookie", token) || !opens(rolled, "cookie", token) {
		t.Error("it does not open")
	}
	if opens(other, "cookie", token) || opens(svc, "link", token) || opens(svc, "", token) {
		t.Error("it opens without its key, or for another purpose")
	}
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		raw[i] ^= 1
		if opens(svc, "cookie", base64.RawURLEncoding.EncodeToString(raw)) {
			t.Errorf("with byte %d changed it opens", i)
		}
		raw[i] ^= 1
		if opens(svc, "cookie", base64.RawURLEncoding.EncodeToString(raw[:i])) {
			t.Errorf("cut to %d bytes it opens", i)
		}
	}
	for _, text := range []string{"", "=", token + "=", token + "\n", " " + token, token + "A"} {
		if opens(svc, "cookie", text) {
			t.Errorf("%q opens", text)
		}
	}
	for extra := range 3 { // the last character has bits that nobody reads in two of them
		spelled, err := svc.SealToken("text", make([]byte, extra), time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		for _, last := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_" {
			other := spelled[:len(spelled)-1] + string(last)
			if _, ok := svc.OpenToken("text", other); ok != (other == spelled) {
				t.Errorf("%q for %q: %t", other, spelled, ok)
			}
		}
	}
	r.Clock.Advance(10*time.Minute - time.Millisecond)
	if !opens(svc, "cookie", token) {
		t.Error("it does not open to the end")
	}
	r.Clock.Advance(time.Millisecond)
	if opens(svc, "cookie", token) {
		t.Error("it opens after the end")
	}
	for _, lifetime := range []time.Duration{-1, 0, time.Second - 1, 90*24*time.Hour + 1} {
		if _, err := svc.SealToken("cookie", nil, lifetime); !errors.Is(err, mfa.ErrInvalidParameter) {
			t.Errorf("%s: %v", lifetime, err)
		}
	}
	if token, err := svc.SealToken("cookie", nil, time.Second); err != nil {
		t.Error(err)
	} else if text, ok := svc.OpenToken("cookie", token); !ok || len(text) > 0 {
		t.Errorf("of nothing: %q, %t", text, ok)
	}
}
