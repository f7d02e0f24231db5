package mfatest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
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
// Start with an unfinished store, and mend the first failure first: later ones often
// follow from it. A call that panics, or has not returned after 15 seconds, fails its
// check, and the other checks run.
//
// newStore must return an empty store. Many goroutines use it at once, as the
// handlers of a web application do; run the test with -race. The checks make
// some five to ten thousand calls, more on a quick store.
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
			patience := 15 * time.Second
			if hung.Load() {
				patience = time.Second // or the test would time out before its last check
			}
			err := c.run(t.Context(), s, patience)
			if s, ok := errors.AsType[stopped](err); ok && s.hung {
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
	firstChecks, loadChecks, listChecks, valueChecks, saveChecks, purgeChecks,
	contextChecks, raceChecks,
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
	rule, look := c.rule, c.look
	if s, ok := errors.AsType[stopped](err); ok {
		rule, look = "Every call returns.", s.look
	}
	return fmt.Sprintf("%v\nThe rule: %s\nLook at: %s", err, rule, look)
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

// stopped is of a call that panicked or hung.
type stopped struct {
	what, look string
	hung       bool
}

func (s stopped) Error() string { return s.what }

// A guarded store ends the check at a call that panics or does not return, so that the
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
	var result T
	var err error
	done := make(chan *stopped, 1)
	go func() {
		s := &stopped{
			what: method + " ended its goroutine, want that it returns",
			look: "t.FailNow, t.Fatal or t.Skip in a method of the store: return an error",
		}
		defer func() {
			if p := recover(); p != nil {
				s = &stopped{
					what: fmt.Sprintf("%s panicked: %v, want that it returns%s", method, p, stack()),
					look: "the first line of the stack",
				}
			}
			done <- s
		}()
		result, err = call()
		s = nil
	}()
	timer := time.NewTimer(g.patience)
	defer timer.Stop()
	select {
	case s := <-done:
		if s != nil {
			panic(broken{*s})
		}
		return result, err
	case <-timer.C:
		panic(broken{stopped{
			what: fmt.Sprintf("%s has not returned after %s, want that it returns", method, g.patience),
			look: "a lock, a transaction or a connection that an earlier call did not give back, " +
				"such as one that ended in an error; and loops that do not end",
			hung: true,
		}})
	}
}

// stack is where a method of a store panicked, from there to the call of the method.
func stack() string {
	callers := make([]uintptr, 64)
	frames := runtime.CallersFrames(callers[:runtime.Callers(0, callers)])
	var b strings.Builder
	for panicked, more := false, true; more; {
		var f runtime.Frame
		f, more = frames.Next()
		switch {
		case f.Function == "runtime.gopanic":
			panicked = true
		case panicked && strings.HasPrefix(f.Function, "github.com/authfactor/mfa/mfatest.guarded."):
			return b.String()
		case panicked && !strings.HasPrefix(f.Function, "runtime."):
			fmt.Fprintf(&b, "\n\t%s:%d %s", f.File, f.Line, f.Function)
		}
	}
	return b.String()
}
