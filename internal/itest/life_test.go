package itest

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/mfatest"
	"github.com/authfactor/mfa/proof"
)

// errAsked stands for a login that requires a code.
var errAsked = errors.New("a code is required")

// TestWholeLife: on every store, an application's whole second factor: what is accepted once
// is accepted once.
func TestWholeLife(t *testing.T) {
	onEveryStore(t, func(t *testing.T, stores [2]mfa.Store) {
		t.Helper()
		newLife(t, stores).live()
	})
}

type life struct {
	t        *testing.T
	clock    *mfatest.Clock
	services [2]*mfa.Service
}

func newLife(t *testing.T, stores [2]mfa.Store) *life {
	t.Helper()
	l := &life{t: t, clock: new(mfatest.Clock)}
	for i := range stores {
		var err error
		l.services[i], err = mfa.New(mfa.Config{
			Store: promised{stores[i], t}, SMS: new(mfa.Outbox), Keys: mfatest.Keys(), Now: l.clock.Now, Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return l
}

// A promised store fails the test if the service breaks what the contract promises to the
// authors of stores.
type promised struct {
	mfa.Store
	t *testing.T
}

func (s promised) Save(ctx context.Context, changes ...mfa.Change) error {
	if len(changes) > 16 {
		s.t.Errorf("a Save of %d changes", len(changes))
	}
	seen := map[string]bool{}
	for _, c := range changes {
		r := c.Record
		if seen[r.ID] {
			s.t.Errorf("record %s is named twice in one Save", r.ID)
		}
		seen[r.ID] = true
		if c.Delete {
			continue
		}
		for _, at := range []time.Time{r.CreatedAt, r.UpdatedAt, r.ExpiresAt} {
			if at.Location() != time.UTC || at != at.Truncate(time.Millisecond) {
				s.t.Errorf("record %s: the time %s is not in UTC and whole milliseconds", r.ID, at)
			}
		}
		before, err := s.Load(ctx, r.ID)
		i := slices.IndexFunc(before, func(b mfa.Record) bool { return b.ID == r.ID && b.Version == r.Version })
		if err != nil || i < 0 {
			continue // an insert, or a conflict
		}
		if b := before[i]; b.Kind != r.Kind || b.UserID != r.UserID || b.CreatedAt != r.CreatedAt {
			s.t.Errorf("record %s: Kind, UserID or CreatedAt changed, which never do", r.ID)
		}
	}
	return s.Store.Save(ctx, changes...)
}

const alan = "user_alan"

func (l *life) live() {
	l.t.Helper()
	svc := l.services[0]
	enroll := proof.ActionOf(mfa.PurposeEnroll)

	// The first app, whose confirming code pays for the recovery codes.
	app := l.enroll(mfa.EnrollParams{TOTP: &mfa.TOTPParams{Issuer: "Foo Corp", User: "alan"}})
	codes := l.enroll(mfa.EnrollParams{RecoveryCodes: true, Receipt: l.typed(app, enroll, "").Receipt()})

	// A recovery code, tried at both processes at once.
	var challenges [2]mfa.Challenge
	for i := range challenges {
		challenges[i] = l.challenge(codes.Factor.ID, proof.Action{})
	}
	l.once("a recovery code", func(i int) error {
		_, err := l.services[i].Verify(l.t.Context(), mfa.VerifyParams{ChallengeID: challenges[i].ID, UserID: alan, Code: codes.RecoveryCodes.Codes()[3]})
		return err
	})
	left, err := svc.Factor(l.t.Context(), mfa.FactorParams{FactorID: codes.Factor.ID, UserID: alan})
	if err != nil || left.RecoveryCodesLeft != 9 {
		l.t.Errorf("%d recovery codes are left, %v", left.RecoveryCodesLeft, err)
	}

	// A receipt, spent at both.
	l.clock.Advance(time.Minute)
	pay := proof.ActionOf("pay", "EUR 500.00")
	receipt := l.typed(app, pay, "").Receipt()
	l.once("a receipt", func(i int) error {
		_, err := l.services[i].Redeem(l.t.Context(), proof.Claim{Receipt: receipt, UserID: alan, Action: pay})
		return err
	})

	// A new phone takes the place of the old one.
	l.clock.Advance(time.Minute)
	params := mfa.EnrollParams{TOTP: &mfa.TOTPParams{Issuer: "Foo Corp", User: "alan"}, Replaces: app.Factor.ID}
	if _, err := svc.Enroll(l.t.Context(), byAlan(params, "")); !errors.Is(err, mfa.ErrProofRequired) {
		l.t.Errorf("without a proof: %v", err)
	}
	params.Receipt = l.typed(app, proof.ActionOf(mfa.PurposeEnroll, app.Factor.ID), "").Receipt()
	next := l.enroll(params)
	l.typed(next, proof.Action{}, "")
	if factors, err := svc.Factors(l.t.Context(), alan); err != nil || len(factors) != 2 {
		l.t.Errorf("after the swap: %v, %v", factors, err)
	}

	// A trusted browser, whose token is used at both at once, as by two tabs: both get in.
	// Half a minute later the same token ends the trust.
	l.clock.Advance(time.Minute)
	device := l.typed(next, proof.Action{}, "Firefox").Device
	start := func(i int, token string) (string, error) {
		login, err := l.services[i].StartLogin(l.t.Context(), mfa.LoginParams{UserID: alan, DeviceToken: token, HasFactor: true})
		if err == nil && !login.SkipCode {
			err = errAsked
		}
		return login.DeviceToken(), err
	}
	used, err := start(1, device.Token())
	if err != nil {
		l.t.Error(err)
	}
	var tabs [2]string
	var errs [2]error
	var wg sync.WaitGroup
	for i := range tabs {
		wg.Go(func() {
			tabs[i], errs[i] = start(i, used)
		})
	}
	wg.Wait()
	if errors.Join(errs[:]...) != nil || tabs[0] != tabs[1] || tabs[0] == used {
		l.t.Errorf("one token at both processes: %v and %v, or two next tokens", errs[0], errs[1])
	}
	l.clock.Advance(time.Minute)
	for _, token := range []string{used, tabs[0]} {
		if _, err := start(1, token); !errors.Is(err, errAsked) {
			l.t.Errorf("after the old token was used again: %v", err)
		}
	}
	l.typed(next, proof.Action{}, "Chrome")
	if err := l.services[1].RevokeDevices(l.t.Context(), alan); err != nil {
		l.t.Error(err)
	}
	if devices, err := svc.Devices(l.t.Context(), alan); err != nil || len(devices) != 0 {
		l.t.Errorf("devices %v, %v", devices, err)
	}

	l.imports()

	// Everything is taken away, by one receipt for each at both.
	l.clock.Advance(time.Minute)
	away := l.typed(next, proof.ActionOf(mfa.PurposeUnenroll, next.Factor.ID), "").Receipt()
	l.once("taking away", func(i int) error {
		return l.services[i].Unenroll(l.t.Context(), mfa.UnenrollParams{FactorID: next.Factor.ID, UserID: alan, Receipt: away})
	})
}

// imports lets both processes bring the same app along at once: there is one factor.
func (l *life) imports() {
	l.t.Helper()
	var factors [2]mfa.Factor
	var errs [2]error
	var wg sync.WaitGroup
	for i := range factors {
		wg.Go(func() {
			factors[i], errs[i] = l.services[i].Import(l.t.Context(), mfa.ImportParams{
				UserID: "user_ada", Secret: "otpauth://totp/Foo%20Corp:ada?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Foo%20Corp",
			})
		})
	}
	wg.Wait()
	all, err := l.services[0].Factors(l.t.Context(), "user_ada")
	if errs != [2]error{} || factors[0].ID != factors[1].ID || err != nil || len(all) != 1 || all[0].Status != mfa.StatusVerified {
		l.t.Errorf("imported %v, %v; there are %v, %v", factors, errs, all, err)
	}
}

func byAlan(p mfa.EnrollParams, receipt string) mfa.EnrollParams {
	p.UserID, p.Receipt = alan, receipt
	return p
}

func (l *life) enroll(p mfa.EnrollParams) mfa.Enrollment {
	l.t.Helper()
	enr, err := l.services[0].Enroll(l.t.Context(), byAlan(p, p.Receipt))
	if err != nil {
		l.t.Fatal(err)
	}
	return enr
}

func (l *life) challenge(factorID string, a proof.Action) mfa.Challenge {
	l.t.Helper()
	ch, err := l.services[1].Challenge(l.t.Context(), mfa.ChallengeParams{FactorID: factorID, UserID: alan, Confirm: true, Action: a})
	if err != nil {
		l.t.Fatal(err)
	}
	return ch
}

// typed answers with what the app shows.
func (l *life) typed(app mfa.Enrollment, a proof.Action, device string) mfa.Verification {
	l.t.Helper()
	ch := l.challenge(app.Factor.ID, a)
	v, err := l.services[0].Verify(l.t.Context(), mfa.VerifyParams{
		ChallengeID: ch.ID, UserID: alan, Code: mfatest.Code(app.TOTP.Secret(), l.clock.Now()), Action: a, TrustDevice: device != "", DeviceName: device,
	})
	if err != nil {
		l.t.Fatal(err)
	}
	return v
}

// once lets both processes do a thing at the same time: one succeeds.
func (l *life) once(what string, do func(process int) error) {
	l.t.Helper()
	var errs [2]error
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { errs[i] = do(i) })
	}
	wg.Wait()
	if (errs[0] == nil) == (errs[1] == nil) {
		l.t.Errorf("%s at both processes: %v and %v, want one success", what, errs[0], errs[1])
	}
}
