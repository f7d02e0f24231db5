package mfatest

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/authfactor/mfa"
)

// TestStore checks a store against the contract of [mfa.Store]. Each check is a
// subtest on a store of its own. A failure says what came and what was expected, which
// rule that breaks, and what to look at:
//
//	func TestStore(t *testing.T) {
//		mfatest.TestStore(t, func(t *testing.T) mfa.Store {
//			return mystore.New(emptyDatabase(t)) // removed by t.Cleanup
//		})
//	}
//
// newStore must return an empty store. Many goroutines use it at once, as the
// handlers of a web application do; run the test with -race. The checks make
// some five thousand calls. A call that panics, or that has not returned after
// 30 seconds, fails its check, and the other checks run: start with an unfinished store.
//
// Where many calls race, an error that is no conflict fails the check. If it is
// a deadlock, Save takes its locks in the order of its arguments, and should
// sort a copy of them.
//
// What TestStore cannot check:
//
//   - whether what was saved survives a crash: read your database's manual about that;
//   - whether what was saved is visible through another connection, unless newStore
//     returns a store that uses its connections in turn;
//   - whether the database deletes a record some time after it expired, if that takes
//     longer than a check.
func TestStore(t *testing.T, newStore func(*testing.T) mfa.Store) {
	t.Helper()
	var hung atomic.Bool // newStore may call t.Parallel
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) {
			s := newStore(t)
			if s == nil {
				t.Fatal("newStore returned nil, want an empty store")
			}
			patience := 30 * time.Second
			if hung.Load() {
				patience = time.Second // or the test would time out before its last check
			}
			err := c.run(t.Context(), s, patience)
			if errors.Is(err, errHung) {
				hung.Store(true)
			}
			if err != nil {
				t.Error(c.report(err))
			}
		})
	}
}

// checks are all of them. The last one may leave a call behind that goes on for ever.
var checks = slices.Concat(
	valueChecks, loadChecks, listChecks, saveChecks, contextChecks, raceChecks, purgeChecks,
	[]check{circles},
)

// A check is one rule of the contract.
type check struct {
	name string
	rule string // of the contract, in words
	look string // where a mistake often is
	f    func(p *probe)
}

// report is what the author of a store reads.
func (c check) report(err error) string {
	return fmt.Sprintf("%v\nThe rule: %s\nLook at: %s", err, c.rule, c.look)
}

// run returns what broke the rule, nil for nothing. When it returns, the contexts of its
// calls are over.
func (c check) run(ctx context.Context, s mfa.Store, patience time.Duration) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	return caught(func() error {
		c.f(&probe{ctx, guarded{s, patience}})
		return nil
	})
}

// broken ends a check.
type broken struct{ error }

func (b broken) Unwrap() error { return b.error }

// caught returns the error of f, or what ended the check within f.
func caught(f func() error) (err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case broken:
			err = p
		default:
			panic(p)
		}
	}()
	return f()
}

// errHung is of a call that has not returned.
var errHung = errors.New("has not returned: look for a lock or a connection that an earlier " +
	"call did not give back, and for a loop that does not end")

// A guarded store returns an error for a call that panics or does not return, so that the
// other checks run.
type guarded struct {
	store    mfa.Store
	patience time.Duration
}

// Load implements [mfa.Store].
func (g guarded) Load(ctx context.Context, ids ...string) ([]mfa.Record, error) {
	return guard(g, "Load", func() ([]mfa.Record, error) { return g.store.Load(ctx, ids...) })
}

// List implements [mfa.Store].
func (g guarded) List(ctx context.Context, q mfa.Query) ([]mfa.Record, error) {
	return guard(g, "List", func() ([]mfa.Record, error) { return g.store.List(ctx, q) })
}

// Save implements [mfa.Store].
func (g guarded) Save(ctx context.Context, changes ...mfa.Change) error {
	_, err := guard(g, "Save", func() (struct{}, error) {
		return struct{}{}, g.store.Save(ctx, changes...)
	})
	return err
}

// Purge implements [mfa.Store].
func (g guarded) Purge(ctx context.Context, before time.Time) (int, error) {
	return guard(g, "Purge", func() (int, error) { return g.store.Purge(ctx, before) })
}

// guard makes a call in a goroutine of its own, since one that hangs cannot be ended.
func guard[T any](g guarded, method string, call func() (T, error)) (T, error) {
	type answer struct {
		result T
		err    error
	}
	answers := make(chan answer, 1)
	go func() {
		a := answer{err: fmt.Errorf("%s ended its goroutine, as t.FailNow does", method)}
		defer func() {
			if p := recover(); p != nil {
				a = answer{err: fmt.Errorf("%s panicked: %v\n%s", method, p, debug.Stack())}
			}
			answers <- a
		}()
		a.result, a.err = call()
	}()
	timer := time.NewTimer(g.patience)
	defer timer.Stop()
	select {
	case a := <-answers:
		return a.result, a.err
	case <-timer.C:
		var none T
		return none, fmt.Errorf("after %s %s %w", g.patience, method, errHung)
	}
}
