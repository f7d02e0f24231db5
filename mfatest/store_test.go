package mfatest

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/authfactor/mfa"
)

func TestMemoryStore(t *testing.T) {
	TestStore(t, func(*testing.T) mfa.Store { return new(mfa.MemoryStore) })
}

func TestFaultyStoreIsAStore(t *testing.T) {
	TestStore(t, func(*testing.T) mfa.Store { return &FaultyStore{Store: new(mfa.MemoryStore)} })
}

// TestSuiteCatches breaks a store in one way at a time: each is caught by the check
// that is meant for it.
func TestSuiteCatches(t *testing.T) {
	t.Run("the store as it should be", func(t *testing.T) {
		TestStore(t, func(*testing.T) mfa.Store { return new(mapStore) })
	})
	for flaw, caught := range map[string]string{
		"brings back the gone":       "gone record",
		"checks, then acts":          "one winner replaces",
		"commits up to the conflict": "all or nothing",
		"conflicts needlessly":       "no needless conflicts",
		"cuts ids":                   "ids",
		"cuts State":                 "states",
		"cuts times to seconds":      "times",
		"deletes any version":        "stale version",
		"deletes the gone":           "delete",
		"fails under contention":     "one winner inserts",
		"finds all for no id":        "hostile ids",
		"folds the case of ids":      "ids",
		"folds the case of users":    "users",
		"gives ancestors twice":      "ancestors",
		"gives its own State away":   "aliases",
		"half commits in a race":     "no half commits",
		"ignores contexts":           "cancelled contexts",
		"ignores the version":        "stale version",
		"keeps the caller's State":   "aliases",
		"knows parents only":         "ancestors",
		"lists 50 at most":           "list whole pages",
		"lists all kinds":            "list by kind and user",
		"lists all users":            "list by kind and user",
		"lists from After on":        "list in pages",
		"lists without order":        "list in order",
		"purges a page":              "purge of many",
		"purges the everlasting":     "purge",
		"purges without judging":     "purge against changes",
		"refuses to save nothing":    "no changes",
		"shows a save later":         "visible",
		"starts at version 0":        "columns",
		"upserts":                    "insert of an existing id",
		"writes to its arguments":    "arguments",
	} {
		t.Run(flaw, func(t *testing.T) {
			i := slices.IndexFunc(checks, func(c check) bool { return c.name == caught })
			if i < 0 {
				t.Fatalf("there is no check %q", caught)
			}
			if err := checks[i].run(t.Context(), &mapStore{flaw: flaw}); err == nil {
				t.Errorf("the check %q passed", caught)
			} else {
				t.Log(err)
			}
		})
	}
}

// A mapStore is as simple as a store can be, and has at most one flaw.
type mapStore struct {
	flaw string

	mu     sync.Mutex
	rows   map[string]mfa.Record
	late   []mfa.Change // what a flawed store has not shown yet
	inside int          // calls between their check and their act
	saves  int
}

// is reports whether the store has this flaw.
func (s *mapStore) is(flaw string) bool { return s.flaw == flaw }

// pause lets others in, until they are or there are none.
func (s *mapStore) pause(until func() bool) {
	for range 10_000 {
		if until() {
			return
		}
		s.mu.Unlock()
		runtime.Gosched()
		s.mu.Lock()
	}
}

func (s *mapStore) key(id string) string {
	switch {
	case s.is("folds the case of ids"):
		return strings.ToLower(id)
	case s.is("cuts ids"):
		return id[:min(len(id), 60)]
	}
	return id
}

func (s *mapStore) out(r mfa.Record) mfa.Record {
	if !s.is("gives its own State away") {
		r.State = bytes.Clone(r.State)
	}
	return r
}

func (s *mapStore) Load(ctx context.Context, ids ...string) ([]mfa.Record, error) {
	if err := ctx.Err(); err != nil && !s.is("ignores contexts") {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []mfa.Record
	for _, id := range ids {
		if id == "" && s.is("finds all for no id") {
			for _, r := range s.rows {
				found = append(found, s.out(r))
			}
		}
		for generation := 0; id != ""; generation++ {
			r, ok := s.rows[s.key(id)]
			known := slices.ContainsFunc(found, func(f mfa.Record) bool { return f.ID == r.ID })
			if !ok || known && !s.is("gives ancestors twice") ||
				generation > 1 && s.is("knows parents only") {
				break
			}
			found = append(found, s.out(r))
			id = r.Parent
		}
	}
	return found, nil
}

func (s *mapStore) List(ctx context.Context, q mfa.Query) ([]mfa.Record, error) {
	if err := ctx.Err(); err != nil && !s.is("ignores contexts") {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []mfa.Record
	for _, r := range s.rows {
		user := q.UserID == "" || r.UserID == q.UserID || s.is("lists all users") ||
			s.is("folds the case of users") && strings.EqualFold(r.UserID, q.UserID)
		after := r.ID > q.After || r.ID == q.After && s.is("lists from After on")
		if user && after && (r.Kind == q.Kind || s.is("lists all kinds")) {
			found = append(found, s.out(r))
		}
	}
	slices.SortFunc(found, func(a, b mfa.Record) int { return strings.Compare(a.ID, b.ID) })
	if s.is("lists without order") {
		slices.Reverse(found)
	}
	if s.is("lists 50 at most") {
		found = found[:min(len(found), 50)]
	}
	return found[:min(len(found), q.Limit)], nil
}

func (s *mapStore) Save(ctx context.Context, changes ...mfa.Change) error {
	if err := ctx.Err(); err != nil && !s.is("ignores contexts") {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inside++
	defer func() { s.inside--; s.saves++ }()
	if s.rows == nil {
		s.rows = make(map[string]mfa.Record)
	}
	switch {
	case s.is("refuses to save nothing") && len(changes) == 0:
		return fmt.Errorf("nothing to save")
	case s.is("conflicts needlessly") || s.is("fails under contention"):
		s.pause(func() bool { return s.inside > 1 })
		if s.inside > 1 {
			if s.is("fails under contention") {
				return fmt.Errorf("deadlock detected")
			}
			return mfa.ErrConflict
		}
	case s.is("commits up to the conflict"):
		for _, c := range changes {
			if s.conflicts(c) {
				return mfa.ErrConflict
			}
			s.apply(c)
		}
		return nil
	case s.is("shows a save later"):
		for _, c := range s.late {
			s.apply(c)
		}
		s.late = nil
	}
	if slices.ContainsFunc(changes, s.conflicts) {
		return mfa.ErrConflict
	}
	switch {
	case s.is("checks, then acts"):
		s.pause(func() bool { return s.inside > 1 })
	case s.is("half commits in a race"):
		s.pause(func() bool { return s.inside > 1 })
		var err error
		for _, c := range changes {
			if s.conflicts(c) {
				err = mfa.ErrConflict
				continue
			}
			s.apply(c)
		}
		return err
	case s.is("shows a save later"):
		s.late = slices.Clone(changes)
		return nil
	}
	for i, c := range changes {
		s.apply(c)
		if s.is("writes to its arguments") {
			changes[i].Record.Version++
		}
	}
	return nil
}

// conflicts reports whether a change is based on something else than what is stored.
func (s *mapStore) conflicts(c mfa.Change) bool {
	old, ok := s.rows[s.key(c.Record.ID)]
	switch {
	case c.Delete && s.is("deletes the gone") && !ok,
		c.Delete && s.is("deletes any version") && ok,
		s.is("ignores the version") && ok && c.Record.Version != 0,
		s.is("brings back the gone") && !ok && !c.Delete,
		s.is("upserts") && !c.Delete && c.Record.Version == 0:
		return false
	case c.Record.Version == 0:
		return ok || c.Delete
	}
	return !ok || old.Version != c.Record.Version
}

func (s *mapStore) apply(c mfa.Change) {
	r := c.Record
	if c.Delete {
		delete(s.rows, s.key(r.ID))
		return
	}
	if r.Version > 0 || !s.is("starts at version 0") {
		r.Version++
	}
	if !s.is("keeps the caller's State") {
		r.State = bytes.Clone(r.State)
	}
	switch {
	case s.is("cuts State"):
		r.State, _, _ = bytes.Cut(r.State, []byte{0})
	case s.is("cuts times to seconds"):
		r.CreatedAt, r.UpdatedAt, r.ExpiresAt = r.CreatedAt.Truncate(
			time.Second,
		), r.UpdatedAt.Truncate(
			time.Second,
		), r.ExpiresAt.Truncate(
			time.Second,
		)
	}
	s.rows[s.key(r.ID)] = r
}

func (s *mapStore) Purge(ctx context.Context, before time.Time) (int, error) {
	if err := ctx.Err(); err != nil && !s.is("ignores contexts") {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var lapsed []string
	for id, r := range s.rows {
		if (!r.ExpiresAt.IsZero() || s.is("purges the everlasting")) && r.ExpiresAt.Before(before) {
			lapsed = append(lapsed, id)
		}
	}
	if s.is("purges a page") {
		lapsed = lapsed[:min(len(lapsed), 1000)]
	}
	if s.is("purges without judging") {
		saves := s.saves
		s.pause(func() bool { return s.saves > saves })
	}
	for _, id := range lapsed {
		delete(s.rows, id)
	}
	return len(lapsed), nil
}
