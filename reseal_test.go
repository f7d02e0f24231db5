package mfa_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/mfatest"
)

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
		app, text, ownerless, empty := r.totp(ann), r.phone("user_bob", phone), r.totp(""), r.totp("user_eve")
		if err := r.Unenroll(t.Context(), mfa.UnenrollParams{FactorID: empty.ID, UserID: "user_eve"}); err != nil {
			t.Fatal(err)
		}
		r.fail(app, 3)
		sent := r.challenge(text)

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

		_, err := r.answer(sent, text, r.right(text)) // sealed with the old key, which is still there
		if err != nil {
			t.Error(err)
		}
		if n := r.record("number"); n.ExpiresAt.IsZero() || n.CreatedAt.IsZero() {
			t.Errorf("the number's record has no times: %v, %v", n.CreatedAt, n.ExpiresAt)
		}
		r.with(after)
		other := r.enrollSMS("user_zoe", phone) // whose own budget is whole
		_, err = r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: other.ID, UserID: "user_zoe"})
		if e := refusal(t, err); !errors.Is(err, mfa.ErrThrottled) || e.RetryAfter <= 0 {
			t.Errorf("the number's cool-down is gone: %v", err)
		}
		ch := r.challenge(app)
		for i := range 2 {
			_, err := r.answer(ch, app, r.wrong(app))
			if waits := refusal(t, err).RetryAfter > 0; waits != (i == 1) {
				t.Errorf("wrong code %d with the old key gone: %v", i+4, err)
			}
		}
		r.clock.Advance(time.Hour)
		for _, f := range []enrolled{app, text, ownerless} {
			r.login(f)
		}
		if _, err := r.Enroll(t.Context(), mfa.EnrollParams{UserID: "user_eve", TOTP: &mfa.TOTPParams{Issuer: "a", User: "b"}}); err != nil {
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
	f := r.phone(ann, phone)
	sent := r.challenge(f)
	r.with(after, before)
	if _, err := r.answer(sent, f, r.right(f)); err != nil {
		t.Fatal(err)
	}
	if _, errs := walk(t, r.Service, mfa.ResealParams{}); len(errs) > 0 {
		t.Fatal(errs)
	}
	r.with(after)
	other := r.enrollSMS("user_zoe", phone)
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
		r.enrollTOTP(strings.Repeat("u", i+1))
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
	if last, errs := walk(t, r.Service, mfa.ResealParams{}); len(errs) > 0 || last.Walked != 240 || last.Resealed != 0 {
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
		c.Store = lister{c.Store, func(s mfa.Store, ctx context.Context, q mfa.Query) ([]mfa.Record, error) {
			q.Limit = min(q.Limit, n)
			return s.List(ctx, q)
		}}
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
		r.enrollTOTP(fmt.Sprint("user_", i))
	}
	r.with(after, before)
	if last, errs := walk(t, r.Service, mfa.ResealParams{PerSecond: 1e6}); len(errs) > 0 || last.Resealed != 2*users {
		t.Errorf("%d records were resealed, want %d; errors %v", last.Resealed, 2*users, errs)
	}
	r.with(after)
	lost := 0
	for i := range users {
		if factors, err := r.Factors(t.Context(), fmt.Sprint("user_", i)); err != nil || len(factors) != 1 {
			lost++
		}
	}
	if lost > 0 {
		t.Errorf("with the old key gone %d of %d users have lost their factor", lost, users)
	}

	// A user's record tells that one of their factors was hidden.
	r = newRig(t)
	for range 3 {
		r.totp(ann)
	}
	atMost(1)(&r.cfg)
	factors, err := r.another().Factors(t.Context(), ann)
	if !errors.Is(err, mfa.ErrIntegrity) {
		t.Errorf("%d factors of 3, error %v; want ErrIntegrity", len(factors), err)
	}
}

// TestListsAgain: a store that lists what it has listed already is told, and does not
// keep a walk going for ever.
func TestListsAgain(t *testing.T) {
	before, after := mfa.NewKey(), mfa.NewKey()
	r := newRig(t, func(c *mfa.Config) {
		c.Store = lister{c.Store, func(s mfa.Store, ctx context.Context, q mfa.Query) ([]mfa.Record, error) {
			q.After = ""
			return s.List(ctx, q)
		}}
	})
	r.with(before)
	r.totp(ann)
	r.with(after, before)
	if _, errs := walk(t, r.Service, mfa.ResealParams{PerSecond: 1e6}); len(errs) != 1 || !errors.Is(errs[0], mfa.ErrIntegrity) {
		t.Errorf("errors %v, want one ErrIntegrity", errs)
	}
}

// TestResealGoesOn: a record that does not open is told and passed over; a list that
// fails or a cancelled context ends the walk.
func TestResealGoesOn(t *testing.T) {
	before, after := mfa.NewKey(), mfa.NewKey()
	r := newRig(t)
	r.with(before)
	one, two := r.totp(""), r.totp("")
	r.with(after)
	three := r.totp("")
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
	r.store.Before = mfatest.Nth(len(r.store.Calls())+1, lost)
	if last, errs := walk(t, r.Service, mfa.ResealParams{}); len(errs) != 1 || !errors.Is(errs[0], lost) || last.Walked != 0 {
		t.Errorf("a list that fails: %+v, %v", last, errs)
	}
	r.store.Before = nil

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
		factors = append(factors, r.totp(""))
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
			_, err = old.Verify(t.Context(), mfa.VerifyParams{ChallengeID: ch.ID, Code: r.right(f)})
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
