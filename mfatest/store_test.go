package mfatest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strconv"
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

// soon is the patience of tests whose store is known to hang, or not to.
const soon = 2 * time.Second

// flaws are mistakes in a store, and the check that each is caught by.
var flaws = map[string]string{
	"brings back the gone":                 "gone record",
	"checks, then acts":                    "one winner replaces",
	"commits up to the conflict":           "all or nothing",
	"conflicts needlessly":                 "no needless conflicts",
	"conflicts with a context's error":     "insert of an existing id",
	"counts what it selected":              "purge against changes",
	"cuts ids":                             "ids",
	"cuts kinds at 20":                     "names",
	"cuts State":                           "states",
	"cuts statuses at 16":                  "names",
	"cuts times to seconds":                "times",
	"cuts types at 20":                     "names",
	"deletes any version":                  "stale version",
	"deletes the gone":                     "delete",
	"drops the middle of a chain":          "families",
	"ends half way at its deadline":        "contexts that end within Save",
	"ends half way if cancelled":           "contexts that end within Save",
	"expires by its own clock":             "expired records",
	"fails under contention":               "one winner inserts",
	"finds all for no id":                  "hostile ids",
	"folds the case of ids":                "ids",
	"folds the case of users":              "users",
	"follows circles":                      "circles of parents",
	"gives ancestors twice":                "ancestors",
	"gives its own State away":             "aliases",
	"half commits in a race":               "no half commits",
	"has a cancelled context conflict":     "cancelled contexts",
	"has an ending context conflict":       "contexts that end within Save",
	"has the types of today only":          "names",
	"ignores After":                        "list in pages",
	"ignores contexts":                     "cancelled contexts",
	"ignores the version":                  "stale version",
	"keeps the caller's State":             "aliases",
	"knows parents only":                   "ancestors",
	"knows three bytes of a character":     "users",
	"limits before it selects":             "list whole pages",
	"lists 50 at most":                     "list whole pages",
	"lists a megabyte at most":             "list large records",
	"lists all kinds":                      "list by kind and user",
	"lists all users":                      "list by kind and user",
	"lists from After on":                  "list in pages",
	"lists late":                           "visible",
	"lists without order":                  "list in order",
	"purges 1,200 at most":                 "purge of many",
	"purges 50 microseconds late":          "purge against changes",
	"purges a page":                        "purge of many",
	"purges by the first ExpiresAt":        "purge looks at what is stored",
	"purges children":                      "purge spares children",
	"purges the everlasting":               "purge",
	"purges without judging":               "purge against changes",
	"reads local times":                    "times",
	"refuses a megabyte":                   "largest Save",
	"refuses to save nothing":              "no changes",
	"shows a save later":                   "visible",
	"shows half of a record":               "reads beside writes",
	"shows one change before another":      "reads beside writes",
	"shows what it takes back":             "reads beside writes",
	"sorts its changes":                    "arguments",
	"sorts its ids":                        "arguments",
	"starts at version 0":                  "columns",
	"stores the zero time as 1970":         "times",
	"takes user ids for numbers":           "users",
	"tells serialization failures as such": "no needless conflicts",
	"upserts":                              "insert of an existing id",
	"writes to its arguments":              "arguments",
}

// TestSuiteCatches breaks a store in one way at a time: each is caught by the check
// that is meant for it, ten times of ten, and told with what was expected.
func TestSuiteCatches(t *testing.T) {
	t.Run("the store as it should be", func(t *testing.T) {
		TestStore(t, func(*testing.T) mfa.Store { return new(mapStore) })
	})
	for flaw, caught := range flaws {
		t.Run(flaw, func(t *testing.T) {
			i := slices.IndexFunc(checks, func(c check) bool { return c.name == caught })
			if i < 0 {
				t.Fatalf("there is no check %q", caught)
			}
			patience := soon
			if flaw == "follows circles" {
				patience = 20 * time.Millisecond
			}
			for n := range 10 {
				err := checks[i].run(t.Context(), &mapStore{flaw: flaw}, patience)
				switch {
				case err == nil:
					t.Fatalf("the check %q passed at run %d", caught, n+1)
				case !strings.Contains(err.Error(), "want "):
					t.Errorf("it is not told what was expected: %v", err)
				case n == 0:
					t.Log(checks[i].report(err))
				}
			}
		})
	}
}

// TestEveryCheckCatches: no check is there for nothing.
func TestEveryCheckCatches(t *testing.T) {
	// Of these a flaw is caught by others too.
	others := []string{"load", "versions", "one winner deletes", "one winner of two records"}
	for _, c := range checks {
		if c.name == "" || c.rule == "" || c.look == "" {
			t.Errorf("check %q lacks a name, a rule or what to look at", c.name)
		}
		found := slices.Contains(others, c.name)
		for _, caught := range flaws {
			found = found || caught == c.name
		}
		if !found {
			t.Errorf("no flaw is for the check %q", c.name)
		}
	}
}

// TestUnfinishedStores: whatever a store lacks, each check ends by itself and fails in
// words, or passes.
func TestUnfinishedStores(t *testing.T) {
	for how, methods := range map[string][]int{ // a bit for each that is lacking
		"nothing": {1, 2, 4, 8, 15}, "panics": {4, 8}, "errors": {8},
		"all records": {1, 2}, "an empty record": {1, 2, 8},
	} {
		for _, lacks := range methods {
			failed := 0
			for _, c := range checks {
				s := &unfinished{Store: new(mapStore), lacks: lacks, how: how}
				err := c.run(t.Context(), s, soon)
				if err == nil {
					continue
				}
				failed++
				if hung(err) {
					t.Errorf("methods %04b, %s, check %q: %v", lacks, how, c.name, err)
				}
			}
			if failed == 0 {
				t.Errorf("methods %04b, %s: no check failed", lacks, how)
			}
		}
	}
}

// An unfinished store lacks some methods, a bit for each.
type unfinished struct {
	mfa.Store
	lacks int
	how   string
}

func (s *unfinished) method(bit int) (records []mfa.Record, lacks bool, err error) {
	if s.lacks&(1<<bit) == 0 {
		return nil, false, nil
	}
	switch s.how {
	case "panics":
		panic("not implemented")
	case "errors":
		return nil, true, errors.New("not implemented")
	case "all records":
		all, err := s.Store.List(context.Background(), mfa.Query{Kind: "factor", Limit: 1000})
		return all, true, err
	case "an empty record":
		return make([]mfa.Record, 1), true, nil
	}
	return nil, true, nil
}

func (s *unfinished) Load(ctx context.Context, ids ...string) ([]mfa.Record, error) {
	if records, lacks, err := s.method(0); lacks {
		return records, err
	}
	return s.Store.Load(ctx, ids...)
}

func (s *unfinished) List(ctx context.Context, q mfa.Query) ([]mfa.Record, error) {
	if records, lacks, err := s.method(1); lacks {
		return records, err
	}
	return s.Store.List(ctx, q)
}

func (s *unfinished) Save(ctx context.Context, changes ...mfa.Change) error {
	if _, lacks, err := s.method(2); lacks {
		return err
	}
	return s.Store.Save(ctx, changes...)
}

func (s *unfinished) Purge(ctx context.Context, before time.Time) (int, error) {
	if records, lacks, err := s.method(3); lacks {
		return len(records), err
	}
	return s.Store.Purge(ctx, before)
}

// TestHangingStore: a lock that is not given back fails a check by the name of the method
// that waits for it, and the next check runs.
func TestHangingStore(t *testing.T) {
	held := &held{release: make(chan struct{})}
	defer close(held.release)
	for _, c := range checks[:2] {
		err := c.run(t.Context(), held, 20*time.Millisecond)
		if !hung(err) || !strings.Contains(c.report(err), "Save has not returned") ||
			!strings.Contains(c.report(err), "did not give back") {
			t.Errorf("check %q: error %v, want that Save has not returned", c.name, err)
		}
	}
}

func hung(err error) bool {
	s, ok := errors.AsType[stopped](err)
	return ok && s.hung
}

type held struct {
	mfa.MemoryStore
	release chan struct{}
}

func (s *held) Save(context.Context, ...mfa.Change) error {
	<-s.release
	return nil
}

// TestPanickingStore: a panic of the store is a failure that shows where it was.
func TestPanickingStore(t *testing.T) {
	s := &unfinished{Store: new(mapStore), lacks: 4, how: "panics"}
	err := checks[0].run(t.Context(), s, soon)
	if err == nil || !strings.Contains(err.Error(), "Save panicked: not implemented") ||
		!strings.Contains(err.Error(), "(*unfinished).Save") {
		t.Errorf("error %v, want the panic and its stack", err)
	}
}

// A mapStore is as simple as a store can be, and has at most one flaw.
type mapStore struct {
	flaw string

	mu     sync.Mutex
	rows   map[string]mfa.Record
	first  map[string]time.Time  // the ExpiresAt that records were inserted with
	late   []mfa.Change          // what a flawed store has not shown yet
	listed map[string]mfa.Record // what a flawed store lists
	inside int                   // Saves between their check and their act
	saves  int                   // that are over
	reads  int
}

// is reports whether the store has one of these flaws.
func (s *mapStore) is(flaws ...string) bool { return slices.Contains(flaws, s.flaw) }

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

// spin keeps a processor busy, as a slow database would keep the caller waiting.
func spin(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		runtime.Gosched()
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
	switch {
	case s.is("gives its own State away"):
		return r
	case s.is("reads local times"):
		r.CreatedAt = time.UnixMilli(r.CreatedAt.UnixMilli())
	}
	return clone(r)
}

// lapsed reports whether a flawed store takes a record for gone.
func (s *mapStore) lapsed(r mfa.Record) bool {
	return s.is("expires by its own clock") && !r.ExpiresAt.IsZero() && r.ExpiresAt.Before(time.Now())
}

func (s *mapStore) Load(ctx context.Context, ids ...string) ([]mfa.Record, error) {
	if err := ctx.Err(); err != nil && !s.is("ignores contexts") {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	if s.is("sorts its ids") {
		slices.Sort(ids)
	}
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
			if s.is("follows circles") && known && ctx.Err() == nil {
				id = r.Parent // for ever, but for the context
				continue
			}
			if !ok || s.lapsed(r) || known && !s.is("gives ancestors twice") ||
				generation > 1 && s.is("knows parents only", "gives ancestors twice") {
				break
			}
			if generation == 1 && len(ids) > 2 && s.is("drops the middle of a chain") {
				id = ""
				continue
			}
			if s.is("shows half of a record") {
				saves := s.saves
				s.pause(func() bool { return s.saves > saves })
				r.State = s.rows[s.key(id)].State
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
	s.reads++
	var found []mfa.Record
	rows := s.rows
	if s.is("lists late") {
		rows = s.listed
	}
	for _, r := range rows {
		user := q.UserID == "" || r.UserID == q.UserID || s.is("lists all users") ||
			s.is("folds the case of users") && strings.EqualFold(r.UserID, q.UserID)
		after := r.ID > q.After || r.ID == q.After && s.is("lists from After on") ||
			s.is("ignores After")
		all := s.is("limits before it selects")
		if (user || all) && after && (r.Kind == q.Kind || s.is("lists all kinds") || all) &&
			!s.lapsed(r) {
			found = append(found, s.out(r))
		}
	}
	slices.SortFunc(found, func(a, b mfa.Record) int { return strings.Compare(a.ID, b.ID) })
	return s.page(q, found), nil
}

// page is what there is for one call of List.
func (s *mapStore) page(q mfa.Query, found []mfa.Record) []mfa.Record {
	switch {
	case s.is("lists without order"):
		slices.Reverse(found)
	case s.is("lists 50 at most"):
		found = found[:min(len(found), 50)]
	case s.is("lists a megabyte at most"):
		size := 0
		for i, r := range found {
			if size += len(r.State); size > 1<<20 {
				found = found[:i]
				break
			}
		}
	}
	found = found[:min(len(found), q.Limit)]
	if s.is("limits before it selects") {
		found = slices.DeleteFunc(found, func(r mfa.Record) bool {
			return r.Kind != q.Kind || q.UserID != "" && r.UserID != q.UserID
		})
	}
	return found
}

func (s *mapStore) Save(ctx context.Context, changes ...mfa.Change) error {
	if err := s.refused(ctx, changes); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inside++
	defer func() { s.inside--; s.saves++ }()
	if s.rows == nil {
		s.rows, s.first = make(map[string]mfa.Record), make(map[string]time.Time)
	}
	switch {
	case s.is("lists late"):
		s.listed = maps.Clone(s.rows)
	case s.is("conflicts needlessly", "fails under contention"):
		s.pause(func() bool { return s.inside > 1 })
		if s.inside > 1 {
			if s.is("fails under contention") {
				return errors.New("deadlock detected")
			}
			return mfa.ErrConflict
		}
	case s.is("tells serialization failures as such"):
		saves := s.saves
		s.mu.Unlock()
		spin(20 * time.Microsecond)
		s.mu.Lock()
		if s.saves != saves {
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
	case s.is("shows what it takes back"):
		before := maps.Clone(s.rows)
		for _, c := range changes {
			if s.conflicts(c) {
				reads := s.reads
				s.pause(func() bool { return s.reads > reads })
				s.rows = before
				return mfa.ErrConflict
			}
			s.apply(c)
		}
		return nil
	}
	if slices.ContainsFunc(changes, s.conflicts) {
		if s.is("conflicts with a context's error") {
			return fmt.Errorf("%w: %w", mfa.ErrConflict, context.DeadlineExceeded)
		}
		return mfa.ErrConflict
	}
	return s.commit(ctx, changes)
}

// refused is what a store finds before it looks at its rows.
func (s *mapStore) refused(ctx context.Context, changes []mfa.Change) error {
	switch err := ctx.Err(); {
	case err != nil && s.is("has a cancelled context conflict"):
		return fmt.Errorf("%w: %w", mfa.ErrConflict, err)
	case err != nil && !s.is("ignores contexts"):
		return err
	case s.is("refuses to save nothing") && len(changes) == 0:
		return errors.New("nothing to save")
	case s.is("sorts its changes"):
		slices.SortFunc(changes, func(a, b mfa.Change) int {
			return strings.Compare(a.Record.ID, b.Record.ID)
		})
	}
	size := 0
	for _, c := range changes {
		size += len(c.Record.State)
		if s.is("has the types of today only") && !c.Delete &&
			!slices.Contains([]string{"", "totp", "sms"}, c.Record.Type) {
			return errors.New("no such type")
		}
	}
	if s.is("refuses a megabyte") && size >= 1<<20 {
		return errors.New("message too large")
	}
	return nil
}

// commit applies changes of which none is a conflict.
func (s *mapStore) commit(ctx context.Context, changes []mfa.Change) error {
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
		switch deadline, ok := ctx.Deadline(); {
		case s.is("ends half way at its deadline") && ok:
			spin(5 * time.Microsecond)
			if time.Now().After(deadline) {
				return context.DeadlineExceeded
			}
		case s.is("ends half way at its deadline"):
			spin(5 * time.Microsecond)
		case s.is("ends half way if cancelled") && ctx.Err() != nil:
			return ctx.Err()
		case s.is("has an ending context conflict") && i == 0 && ctx.Err() != nil:
			return mfa.ErrConflict
		case s.is("shows one change before another") && i > 0:
			reads := s.reads
			s.pause(func() bool { return s.reads > reads+1 })
		}
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
	if r.Version == 0 {
		s.first[r.ID] = r.ExpiresAt
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
		for _, t := range []*time.Time{&r.CreatedAt, &r.UpdatedAt, &r.ExpiresAt} {
			*t = t.Truncate(time.Second)
		}
	case s.is("stores the zero time as 1970"):
		if r.ExpiresAt.Equal(time.UnixMilli(0)) {
			r.ExpiresAt = time.Time{}
		}
	case s.is("cuts kinds at 20"):
		r.Kind = r.Kind[:min(len(r.Kind), 20)]
	case s.is("cuts types at 20"):
		r.Type = r.Type[:min(len(r.Type), 20)]
	case s.is("cuts statuses at 16"):
		r.Status = r.Status[:min(len(r.Status), 16)]
	case s.is("knows three bytes of a character"):
		r.UserID = strings.Map(func(c rune) rune {
			if c > 0xffff {
				return '?'
			}
			return c
		}, r.UserID)
	case s.is("takes user ids for numbers"):
		if n, err := strconv.ParseFloat(r.UserID, 64); err == nil {
			r.UserID = fmt.Sprint(n)
		}
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
		expires := r.ExpiresAt
		if s.is("purges by the first ExpiresAt") {
			expires = s.first[r.ID]
		}
		if (!expires.IsZero() || s.is("purges the everlasting")) && expires.Before(before) {
			lapsed = append(lapsed, id)
		}
	}
	switch {
	case s.is("purges a page"):
		lapsed = lapsed[:min(len(lapsed), 1000)]
	case s.is("purges 1,200 at most"):
		lapsed = lapsed[:min(len(lapsed), 1200)]
	case s.is("purges children"):
		for id, r := range s.rows {
			if slices.Contains(lapsed, r.Parent) && !slices.Contains(lapsed, id) {
				defer delete(s.rows, id)
			}
		}
	case s.is("purges without judging"):
		saves := s.saves
		s.pause(func() bool { return s.saves > saves })
	case s.is("purges 50 microseconds late", "counts what it selected"):
		s.mu.Unlock()
		spin(50 * time.Microsecond)
		s.mu.Lock()
	}
	if s.is("counts what it selected") {
		for _, id := range lapsed {
			if r := s.rows[id]; !r.ExpiresAt.IsZero() && r.ExpiresAt.Before(before) {
				delete(s.rows, id)
			}
		}
		return len(lapsed), nil
	}
	for _, id := range lapsed {
		delete(s.rows, id)
	}
	return len(lapsed), nil
}
