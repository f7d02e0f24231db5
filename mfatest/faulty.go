package mfatest

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/authfactor/mfa"
)

// A FaultyStore is an [mfa.Store] that passes calls on to another store,
// remembers them, and fails by script. As with any store but a MemoryStore, the
// service requires [mfa.Config.Keys]: see [Keys]. It is safe for concurrent
// use.
//
//	store := &mfatest.FaultyStore{Store: new(mfa.MemoryStore)}
//	store.After = mfatest.Nth(3, errors.New("connection lost"))
type FaultyStore struct {
	// Store is the store that calls are passed on to. Required.
	Store mfa.Store

	// Before is called before each call is passed on; if it returns an error,
	// the call returns that error and is not passed on. It may wait, panic, or
	// cancel a context. Set it while no call is in progress. Defaults to none.
	Before func(ctx context.Context, c Call) error

	// After is called after each call that succeeded; if it returns an error,
	// the call returns that error in place of its result. What a Save wrote
	// stays written, as when a connection is lost before the answer arrives. It
	// may wait, panic, or cancel a context. Set it while no call is in
	// progress. Defaults to none.
	After func(ctx context.Context, c Call) error

	mu    sync.Mutex
	calls []Call
}

// A Call is one call of a store's method.
type Call struct {
	N      int    // from 1, over all methods since the beginning
	Method string // "Load", "List", "Save" or "Purge"
}

var _ mfa.Store = (*FaultyStore)(nil)

// Nth returns a hook for [FaultyStore.Before] or [FaultyStore.After] that fails
// the call whose N is n, and no other. The next call is number
// len(store.Calls())+1.
func Nth(n int, err error) func(context.Context, Call) error {
	return func(_ context.Context, c Call) error {
		if c.N == n {
			return err
		}
		return nil
	}
}

// Calls returns the calls so far in order, failed ones included: all of them, or
// those of the given methods.
func (s *FaultyStore) Calls(methods ...string) []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.calls), func(c Call) bool {
		return len(methods) > 0 && !slices.Contains(methods, c.Method)
	})
}

// Load implements [mfa.Store].
func (s *FaultyStore) Load(ctx context.Context, ids ...string) ([]mfa.Record, error) {
	return call(ctx, s, "Load", func() ([]mfa.Record, error) { return s.Store.Load(ctx, ids...) })
}

// List implements [mfa.Store].
func (s *FaultyStore) List(ctx context.Context, q mfa.Query) ([]mfa.Record, error) {
	return call(ctx, s, "List", func() ([]mfa.Record, error) { return s.Store.List(ctx, q) })
}

// Save implements [mfa.Store].
func (s *FaultyStore) Save(ctx context.Context, changes ...mfa.Change) error {
	_, err := call(ctx, s, "Save", func() (struct{}, error) {
		return struct{}{}, s.Store.Save(ctx, changes...)
	})
	return err
}

// Purge implements [mfa.Store].
func (s *FaultyStore) Purge(ctx context.Context, before time.Time) (int, error) {
	return call(ctx, s, "Purge", func() (int, error) { return s.Store.Purge(ctx, before) })
}

// call makes one call. The hooks run outside the lock, so that they may wait or
// call the store.
func call[T any](
	ctx context.Context, s *FaultyStore, method string, carryOut func() (T, error),
) (T, error) {
	var none T
	s.mu.Lock()
	c := Call{N: len(s.calls) + 1, Method: method}
	s.calls = append(s.calls, c)
	s.mu.Unlock()
	if s.Before != nil {
		if err := s.Before(ctx, c); err != nil {
			return none, err
		}
	}
	result, err := carryOut()
	if err == nil && s.After != nil {
		if err := s.After(ctx, c); err != nil {
			return none, err
		}
	}
	return result, err
}
