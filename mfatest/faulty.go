package mfatest

import (
	"context"
	"sync"
	"time"

	"github.com/authfactor/mfa"
)

// A FaultyStore passes calls on to another store, counts them, and fails by
// script. Beside it, [mfa.Config.Keys] is required: see [Keys]. It is safe for
// concurrent use; set the fields before the first.
//
//	store := &mfatest.FaultyStore{Store: new(mfa.MemoryStore)}
//	store.After = mfatest.Nth(3, errors.New("connection lost")) // applied, but who knows?
type FaultyStore struct {
	// Store carries the calls out. Required.
	Store mfa.Store

	// Before is called before a call is carried out; its error is returned instead.
	// It may also wait, panic, or cancel a context. Defaults to nothing.
	Before func(context.Context, Call) error

	// After is called after a call was carried out; its error replaces the result.
	// Defaults to nothing.
	After func(context.Context, Call) error

	mu    sync.Mutex
	calls []Call
}

// A Call is one call of a store's method.
type Call struct {
	N      int    // from 1, over all methods
	Method string // "Load", "List", "Save" or "Purge"
}

var _ mfa.Store = (*FaultyStore)(nil)

// Nth returns a hook for [FaultyStore] that fails the nth call with err.
func Nth(n int, err error) func(context.Context, Call) error {
	return func(_ context.Context, c Call) error {
		if c.N == n {
			return err
		}
		return nil
	}
}

// Calls returns the calls so far, in order, those that failed too.
func (s *FaultyStore) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Call(nil), s.calls...)
}

// Load implements [mfa.Store].
func (s *FaultyStore) Load(ctx context.Context, ids ...string) (records []mfa.Record, err error) {
	err = s.call(ctx, "Load", func() error {
		records, err = s.Store.Load(ctx, ids...)
		return err
	})
	if err != nil {
		return nil, err
	}
	return records, nil
}

// List implements [mfa.Store].
func (s *FaultyStore) List(ctx context.Context, q mfa.Query) (records []mfa.Record, err error) {
	err = s.call(ctx, "List", func() error {
		records, err = s.Store.List(ctx, q)
		return err
	})
	if err != nil {
		return nil, err
	}
	return records, nil
}

// Save implements [mfa.Store].
func (s *FaultyStore) Save(ctx context.Context, changes ...mfa.Change) error {
	return s.call(ctx, "Save", func() error { return s.Store.Save(ctx, changes...) })
}

// Purge implements [mfa.Store].
func (s *FaultyStore) Purge(ctx context.Context, before time.Time) (n int, err error) {
	err = s.call(ctx, "Purge", func() error {
		n, err = s.Store.Purge(ctx, before)
		return err
	})
	return n, err
}

func (s *FaultyStore) call(ctx context.Context, method string, carryOut func() error) error {
	s.mu.Lock()
	c := Call{N: len(s.calls) + 1, Method: method}
	s.calls = append(s.calls, c)
	s.mu.Unlock()
	if s.Before != nil {
		if err := s.Before(ctx, c); err != nil {
			return err
		}
	}
	if err := carryOut(); err != nil {
		return err
	}
	if s.After != nil {
		return s.After(ctx, c)
	}
	return nil
}
