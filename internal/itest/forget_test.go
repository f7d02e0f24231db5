package itest

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/mfatest"
	"github.com/authfactor/mfa/proof"
)

// TestForget: on every store, after Forget no row names the user,
// also when a call was interrupted, and when rows are missing or do not open.
func TestForget(t *testing.T) {
	for _, server := range append(slices.Clone(servers), server{name: "memory"}) {
		t.Run(server.name, func(t *testing.T) {
			t.Parallel()
			store := &mfatest.FaultyStore{Store: new(mfa.MemoryStore)}
			if server.name != "memory" {
				place, _ := server.place(t)
				store.Store = place.mustOpen(t)
			}
			for name, damage := range damages {
				t.Run(name, func(t *testing.T) { forget(t, store, damage) })
			}
		})
	}
}

// damages are what may have happened to rows of Alan.
var damages = map[string]func(rec *mfa.Record) (lost bool){
	"whole":     func(*mfa.Record) bool { return false },
	"user lost": func(rec *mfa.Record) bool { return rec.Kind == "user" },
	"user damaged": func(rec *mfa.Record) bool {
		if rec.Kind == "user" {
			rec.State = rec.State[1:]
		}
		return false
	},
	"factors lost": func(rec *mfa.Record) bool { return rec.Kind == "factor" },
	"all damaged": func(rec *mfa.Record) bool {
		rec.State = rec.State[1:]
		return false
	},
	"of others": func(rec *mfa.Record) bool {
		if rec.Kind != "user" {
			rec.UserID = "user_mallory"
		}
		return false
	},
}

func forget(t *testing.T, store *mfatest.FaultyStore, damage func(*mfa.Record) bool) {
	t.Helper()
	broken := errors.New("connection lost")
	for n := 1; ; n++ {
		l := newLife(t, [2]mfa.Store{store, store})
		app := l.enroll(mfa.EnrollParams{TOTP: &mfa.TOTPParams{Issuer: "Foo Corp", User: "alan"}})
		l.enroll(mfa.EnrollParams{RecoveryCodes: true, Receipt: l.typed(app, proof.ActionOf(mfa.PurposeEnroll), "").Receipt()})
		for _, name := range []string{"Firefox", "Chrome"} {
			l.clock.Advance(time.Minute)
			l.typed(app, proof.Action{}, name)
		}
		for _, rec := range naming(t, store, alan) {
			was := string(rec.State) + rec.UserID
			lost := damage(&rec)
			if !lost && string(rec.State)+rec.UserID == was {
				continue
			}
			if err := store.Store.Save(t.Context(), mfa.Change{Record: rec, Delete: lost}); err != nil {
				t.Fatal(err)
			}
		}
		svc := l.services[n%2]
		calls := len(store.Calls())
		store.After = mfatest.Nth(calls+n, broken)
		err := svc.Forget(t.Context(), alan)
		reached := len(store.Calls()) >= calls+n
		store.After = nil
		if reached != errors.Is(err, broken) {
			t.Fatalf("store call %d failed: %v", n, err)
		}
		if reached {
			if login, err := svc.StartLogin(t.Context(), mfa.LoginParams{UserID: alan}); err == nil && login.SkipCode &&
				slices.ContainsFunc(naming(t, store, alan), func(rec mfa.Record) bool { return rec.Kind == "factor" }) {
				t.Errorf("store call %d failed: a login skips the code beside factors", n)
			}
			if err := svc.Forget(t.Context(), alan); err != nil {
				t.Errorf("after store call %d failed: %v", n, err)
			}
		}
		for _, rec := range append(naming(t, store, alan), naming(t, store, "user_mallory")...) {
			t.Errorf("after store call %d failed: left is %s", n, rec.ID)
			_ = store.Store.Save(t.Context(), mfa.Change{Record: rec, Delete: true})
		}
		if !reached {
			return
		}
	}
}

// naming are the rows that have a user's id in a column.
func naming(t *testing.T, store *mfatest.FaultyStore, userID string) (rows []mfa.Record) {
	t.Helper()
	for _, kind := range []string{"factor", "challenge", "number", "user", "device"} {
		after := ""
		for {
			page, err := store.Store.List(t.Context(), mfa.Query{Kind: kind, After: after, Limit: 500})
			if err != nil {
				t.Fatal(err)
			}
			if len(page) == 0 {
				break
			}
			for _, rec := range page {
				after = rec.ID
				if slices.Contains([]string{rec.ID, rec.Parent, rec.UserID, rec.Type, rec.Status}, userID) {
					rows = append(rows, rec)
				}
			}
		}
	}
	return rows
}
