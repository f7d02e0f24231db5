package mfatest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/authfactor/mfa"
)

// TestStore checks a store against the contract of [mfa.Store]. Each check is a
// subtest on a store of its own, and a failure says which rule was broken:
//
//	func TestStore(t *testing.T) {
//		mfatest.TestStore(t, func(t *testing.T) mfa.Store {
//			return mystore.New(emptyDatabase(t)) // removed by t.Cleanup
//		})
//	}
//
// newStore must return an empty store. Many goroutines use it at once, as the
// handlers of a web application do; run the test with -race. The checks make
// some two thousand calls.
//
// Where many calls race, an error that is no conflict fails the check. If it is
// a deadlock, Save takes its locks in the order of its arguments, and should
// sort them.
//
// TestStore cannot check whether what was saved survives a crash: read your
// database's manual about that. It checks that what was saved is visible
// through another connection only if newStore returns a store that uses its
// connections in turn.
func TestStore(t *testing.T, newStore func(*testing.T) mfa.Store) {
	t.Helper()
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) {
			if err := c.run(t.Context(), newStore(t)); err != nil {
				t.Errorf("%v\nThe rule: %s", err, c.rule)
			}
		})
	}
}

// A check is one rule of the contract.
type check struct {
	name, rule string
	f          func(p *probe)
}

// run returns what broke the rule, nil for nothing.
func (c check) run(ctx context.Context, s mfa.Store) (err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case broken:
			err = p.error
		default:
			panic(p)
		}
	}()
	c.f(&probe{ctx, s})
	return nil
}

// broken ends a check.
type broken struct{ error }

// A probe is a store as the checks use it.
type probe struct {
	ctx context.Context
	mfa.Store
}

func (p *probe) fail(format string, args ...any) { panic(broken{fmt.Errorf(format, args...)}) }

// save makes changes that must succeed.
func (p *probe) save(changes ...mfa.Change) {
	if err := p.Save(p.ctx, changes...); err != nil {
		p.fail("Save of %s: %w", describe(changes), err)
	}
}

// conflict makes changes that must be a conflict.
func (p *probe) conflict(changes ...mfa.Change) {
	if err := p.Save(p.ctx, changes...); !errors.Is(err, mfa.ErrConflict) {
		p.fail("Save of %s: error %v, want one that matches mfa.ErrConflict", describe(changes), err)
	}
}

// load returns the records in order of id.
func (p *probe) load(ids ...string) []mfa.Record {
	records, err := p.Load(p.ctx, ids...)
	if err != nil {
		p.fail("Load of %q: %w", ids, err)
	}
	slices.SortFunc(records, func(a, b mfa.Record) int { return strings.Compare(a.ID, b.ID) })
	return records
}

// list returns what a query selects, in the order of the store.
func (p *probe) list(q mfa.Query) []mfa.Record {
	records, err := p.List(p.ctx, q)
	if err != nil {
		p.fail("List of %+v: %w", q, err)
	}
	return records
}

// holds fails unless these records are stored, exactly.
func (p *probe) holds(want ...mfa.Record) {
	for _, w := range want {
		records := p.load(w.ID)
		i := slices.IndexFunc(records, func(r mfa.Record) bool { return r.ID == w.ID })
		if i < 0 {
			p.fail("record %q is not there", w.ID)
		}
		p.same(records[i], w)
	}
}

// lacks fails if there is a record with one of these ids.
func (p *probe) lacks(ids ...string) {
	for _, r := range p.load(ids...) {
		if slices.Contains(ids, r.ID) {
			p.fail("record %q is there, at version %d", r.ID, r.Version)
		}
	}
}

// same compares every column.
func (p *probe) same(got, want mfa.Record) {
	for _, c := range []struct {
		column    string
		got, want any
		same      bool
	}{
		{"ID", got.ID, want.ID, got.ID == want.ID},
		{"Kind", got.Kind, want.Kind, got.Kind == want.Kind},
		{"Parent", got.Parent, want.Parent, got.Parent == want.Parent},
		{"UserID", got.UserID, want.UserID, got.UserID == want.UserID},
		{"Type", got.Type, want.Type, got.Type == want.Type},
		{"Status", got.Status, want.Status, got.Status == want.Status},
		{"CreatedAt", got.CreatedAt, want.CreatedAt, got.CreatedAt.Equal(want.CreatedAt)},
		{"UpdatedAt", got.UpdatedAt, want.UpdatedAt, got.UpdatedAt.Equal(want.UpdatedAt)},
		{"ExpiresAt", got.ExpiresAt, want.ExpiresAt,
			got.ExpiresAt.Equal(want.ExpiresAt) && got.ExpiresAt.IsZero() == want.ExpiresAt.IsZero()},
		{"Version", got.Version, want.Version, got.Version == want.Version},
		{"len(State)", len(got.State), len(want.State), len(got.State) == len(want.State)},
		{"State", "other bytes", "those saved", bytes.Equal(got.State, want.State)},
	} {
		if !c.same {
			p.fail("record %q: %s is %v, want %v", want.ID, c.column, c.got, c.want)
		}
	}
}

// ids compares the ids of records.
func (p *probe) ids(what string, records []mfa.Record, want ...string) {
	var got []string
	for _, r := range records {
		got = append(got, r.ID)
	}
	if !slices.Equal(got, want) {
		p.fail("%s: records %q, want %q", what, got, want)
	}
}

// stored is the record as it is after it was saved.
func stored(r mfa.Record) mfa.Record {
	r.Version++
	return r
}

func put(r mfa.Record) mfa.Change { return mfa.Change{Record: r} }

func remove(id string, version int64) mfa.Change {
	return mfa.Change{Record: mfa.Record{ID: id, Version: version}, Delete: true}
}

var created = time.Date(2026, 1, 2, 3, 4, 5, 678_000_000, time.UTC)

// record is a new record with something in every column.
func record(id string) mfa.Record {
	return mfa.Record{
		ID: id, Kind: "factor", UserID: "user", Type: "totp", Status: "unverified",
		CreatedAt: created, UpdatedAt: created.Add(time.Minute), ExpiresAt: created.Add(time.Hour),
		State: []byte("state of " + id),
	}
}

func describe(changes []mfa.Change) string {
	var parts []string
	for _, c := range changes {
		verb := "replace"
		switch {
		case c.Delete:
			verb = "delete"
		case c.Record.Version == 0:
			verb = "insert"
		}
		parts = append(parts, fmt.Sprintf("%s %q at %d", verb, c.Record.ID, c.Record.Version))
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

// race calls f n times at once and returns how many calls succeeded. An error
// that is no conflict breaks the rule.
func (p *probe) race(n int, f func(i int) error) (winners int) {
	errs := make([]error, n)
	begin := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-begin
			errs[i] = f(i)
		})
	}
	close(begin)
	wg.Wait()
	for _, err := range errs {
		switch {
		case err == nil:
			winners++
		case !errors.Is(err, mfa.ErrConflict):
			p.fail("of %d calls at once one failed: %w", n, err)
		}
	}
	return winners
}

const racers, rounds = 16, 8

var checks = []check{
	{
		"columns",
		"Every column comes back as it was saved, and the first Version is 1.",
		func(p *probe) {
			user, parent := record("auth_user_1"), record("auth_factor_1")
			parent.Parent, parent.Kind = user.ID, "factor"
			none := mfa.Record{ID: "auth_challenge_1", Kind: "challenge", CreatedAt: created}
			p.save(put(user), put(parent), put(none))
			p.holds(stored(user), stored(parent), stored(none))
		},
	},
	{"load", "Load leaves out what is not there, and gives each record once.", func(p *probe) {
		p.ids("an empty store", p.load("a"))
		p.save(put(record("a")), put(record("b")))
		p.ids("two of three", p.load("a", "nothing", "b"), "a", "b")
		p.ids("one named twice", p.load("b", "b"), "b")
		p.ids("no ids", p.load())
	}},
	{
		"ancestors",
		"Load gives the parent of each record too, and the parent of that; " +
			"each once, those that exist.",
		func(p *probe) {
			user, factor, one, two := record("user"), record("factor"), record("one"), record("two")
			factor.Parent, one.Parent, two.Parent = user.ID, factor.ID, factor.ID
			orphan := record("orphan")
			orphan.Parent = "gone"
			p.save(put(one), put(two), put(factor), put(user), put(orphan))
			p.ids("a challenge", p.load("one"), "factor", "one", "user")
			p.ids("two of one factor", p.load("one", "two"), "factor", "one", "two", "user")
			p.ids("a challenge and its user", p.load("user", "one"), "factor", "one", "user")
			p.ids("a factor", p.load("factor"), "factor", "user")
			p.ids("an orphan", p.load("orphan"), "orphan")
			p.save(remove("factor", 1))
			p.ids("a challenge whose factor was deleted", p.load("one"), "one")
		},
	},
	{"ids", "Ids are 1 to 64 printable ASCII characters and compared byte by byte.", func(p *probe) {
		ids := []string{"a", "A", "a ", "a%", "a_", `a'"`, `a\`, "a;--", "a{}", "!", "~",
			strings.Repeat("x", 63), strings.Repeat("x", 64)}
		for _, id := range ids {
			p.save(put(record(id)))
		}
		for _, id := range ids {
			p.holds(stored(record(id)))
			p.ids("one id", p.load(id), id)
		}
		p.save(remove("a", 1))
		for _, id := range ids[1:] {
			p.holds(stored(record(id)))
		}
	}},
	{
		"hostile ids",
		"Whatever is asked for, nothing is found (an error will do), and the store works on.",
		func(p *probe) {
			p.save(put(record("a")))
			for _, id := range []string{"", "\x00", "a\x00", "\xff\xfe", "é", "a\n", "' OR '1'='1",
				strings.Repeat("a", 1<<20)} {
				if records, err := p.Load(p.ctx, id); err == nil && len(records) > 0 {
					p.fail("Load of %.20q found %q", id, records[0].ID)
				}
				q := mfa.Query{Kind: "factor", UserID: id + "x", Limit: 10}
				if records, err := p.List(p.ctx, q); err == nil && len(records) > 0 {
					p.fail("List of user %.20q found %q", q.UserID, records[0].ID)
				}
			}
			p.holds(stored(record("a")))
		},
	},
	{
		"users",
		"User ids are compared byte by byte: neither case, nor spaces, nor accents are folded.",
		func(p *probe) {
			users := []string{"Ann", "ann", "ann ", " ann", "a%", "a_", "ab", `a'"\`, "é", "e\u0301",
				"日本", strings.Repeat("u", 254), strings.Repeat("u", 255)}
			for i, user := range users {
				r := record(fmt.Sprintf("id-%02d", i))
				r.UserID = user
				p.save(put(r))
			}
			for i, user := range users {
				found := p.list(mfa.Query{Kind: "factor", UserID: user, Limit: 100})
				p.ids(fmt.Sprintf("user %q", user), found, fmt.Sprintf("id-%02d", i))
			}
		},
	},
	{"states", "State is any bytes, up to 64 KiB, or none.", func(p *probe) {
		every := make([]byte, 64<<10)
		for i := range every {
			every[i] = byte(i * i >> 3)
		}
		for i, state := range [][]byte{nil, {}, {0}, {0xff, 0xfe}, []byte("' \\ \x00 é"), every} {
			r := record(fmt.Sprint("id", i))
			r.State = state
			p.save(put(r))
			p.holds(stored(r))
			r = stored(r)
			r.State = bytes.Clone(every[:i])
			p.save(put(r))
			p.holds(stored(r))
		}
	}},
	{
		"times",
		"Times keep their milliseconds and their instant whatever the zone, " +
			"and the zero time comes back as the zero time.",
		func(p *probe) {
			east, west := time.FixedZone("", 14*3600), time.FixedZone("", -11*3600-1800)
			for i, at := range []time.Time{
				{}, created, created.In(east), created.In(west),
				time.Date(1970, 1, 1, 0, 0, 0, 1_000_000, time.UTC),
				time.Date(9999, 12, 31, 23, 59, 59, 999_000_000, time.UTC),
				// Hours that some zones skip or repeat.
				time.Date(2026, 3, 29, 1, 30, 0, 0, time.UTC), time.Date(2026, 10, 25, 2, 30, 0, 0, time.UTC),
			} {
				r := record(fmt.Sprint("id", i))
				r.CreatedAt, r.UpdatedAt, r.ExpiresAt = at, at, at
				if at.IsZero() {
					r.CreatedAt, r.UpdatedAt = created, created
				}
				p.save(put(r))
				p.holds(stored(r))
			}
		},
	},
	{"versions", "Each replacement stores Version+1 and the whole new record.", func(p *probe) {
		r := record("a")
		for i := range 5 {
			r.State, r.Status = fmt.Append(nil, i), fmt.Sprint("status ", i)
			r.UserID, r.Parent, r.ExpiresAt = fmt.Sprint("user ", i), fmt.Sprint("parent ", i),
				created.Add(time.Duration(i)*time.Hour)
			p.save(put(r))
			r = stored(r)
			p.holds(r)
		}
		p.ids("its user", p.list(mfa.Query{Kind: "factor", UserID: "user 4", Limit: 10}), "a")
		p.ids("its former user", p.list(mfa.Query{Kind: "factor", UserID: "user 3", Limit: 10}))
		r.ExpiresAt = time.Time{}
		p.save(put(r))
		p.holds(stored(r))
	}},
	{
		"insert of an existing id",
		"Inserting an id that exists is a conflict, and the record stays.",
		func(p *probe) {
			p.save(put(record("a")))
			other := record("a")
			other.State = []byte("other")
			p.conflict(put(other))
			p.holds(stored(record("a")))
		},
	},
	{
		"stale version",
		"Only the very Version that is stored can be replaced or deleted.",
		func(p *probe) {
			p.save(put(record("a")))
			p.save(put(stored(record("a"))))
			want := stored(stored(record("a")))
			for _, version := range []int64{1, 3, -1, -2} {
				r := record("a")
				r.Version, r.State = version, []byte("other")
				p.conflict(put(r))
				p.conflict(remove("a", version))
				p.holds(want)
			}
		},
	},
	{
		"gone record",
		"A change of a record that is gone is a conflict, and does not bring it back.",
		func(p *probe) {
			p.save(put(record("a")))
			p.save(remove("a", 1))
			p.lacks("a")
			p.conflict(put(stored(record("a"))))
			p.lacks("a")
			never := record("never")
			never.Version = 7
			p.conflict(put(never))
			p.lacks("never")
			p.save(put(record("a"))) // and an insert begins at 1 again
			p.holds(stored(record("a")))
		},
	},
	{
		"delete",
		"A delete needs the Version like any change: " +
			"of a record that is gone, or of Version 0, it is a conflict.",
		func(p *probe) {
			p.conflict(remove("a", 1))
			p.conflict(remove("a", 0))
			p.save(put(record("a")), put(record("b")))
			p.conflict(remove("a", 0))
			p.conflict(remove("a", 2))
			p.holds(stored(record("a")))
			p.save(remove("a", 1))
			p.lacks("a")
			p.conflict(remove("a", 1))
			p.holds(stored(record("b")))
			p.ids("the list", p.list(mfa.Query{Kind: "factor", UserID: "user", Limit: 10}), "b")
		},
	},
	{
		"all or nothing",
		"Save applies all changes or, on a conflict of any of them, none.",
		func(p *probe) {
			p.save(put(record("replaced")), put(record("deleted")), put(record("stale")))
			p.save(put(stored(record("stale"))))
			replaced := stored(record("replaced"))
			replaced.State = []byte("other")
			good := []mfa.Change{put(record("inserted")), put(replaced), remove("deleted", 1)}
			for _, bad := range []mfa.Change{
				put(stored(record("stale"))), remove("stale", 1), put(record("stale")),
				remove("gone", 1), put(stored(record("gone"))), remove("gone", 0),
			} {
				for at := range len(good) + 1 {
					p.conflict(slices.Insert(slices.Clone(good), at, bad)...)
					p.lacks("inserted", "gone")
					p.holds(stored(record("replaced")), stored(record("deleted")), stored(stored(record("stale"))))
				}
			}
			p.save(good...)
			p.holds(stored(record("inserted")), stored(replaced))
			p.lacks("deleted")
		},
	},
	{"no changes", "Save of nothing is nil.", func(p *probe) { p.save() }},
	{
		"one winner inserts",
		"Of many inserts of one id at once one succeeds; the others are conflicts. " +
			"(A store retries serialization failures and orders its locks by itself.)",
		func(p *probe) {
			for round := range rounds {
				id := fmt.Sprint("id", round)
				if n := p.race(racers, func(int) error { return p.Save(p.ctx, put(record(id))) }); n != 1 {
					p.fail("%d of %d inserts at once succeeded, want 1", n, racers)
				}
				p.holds(stored(record(id)))
			}
		},
	},
	{
		"one winner replaces",
		"Of many replacements of one Version at once one succeeds, and it is the one that is stored.",
		func(p *probe) {
			r := record("a")
			p.save(put(r))
			for range rounds {
				r = p.load("a")[0]
				winner := make(chan []byte, racers)
				n := p.race(racers, func(i int) error {
					mine := r
					mine.State = fmt.Append(nil, "racer ", i)
					err := p.Save(p.ctx, put(mine))
					if err == nil {
						winner <- mine.State
					}
					return err
				})
				if n != 1 {
					p.fail("%d of %d replacements at once succeeded, want 1", n, racers)
				}
				r = stored(r)
				r.State = <-winner
				p.holds(r)
			}
		},
	},
	{
		"one winner deletes",
		"Of a delete and many replacements of one Version at once one succeeds.",
		func(p *probe) {
			for round := range rounds {
				r := record(fmt.Sprint("id", round))
				p.save(put(r))
				r = stored(r)
				n := p.race(racers, func(i int) error {
					if i%2 == 0 {
						return p.Save(p.ctx, remove(r.ID, 1))
					}
					return p.Save(p.ctx, put(r))
				})
				if n != 1 {
					p.fail("%d of %d changes at once succeeded, want 1", n, racers)
				}
			}
		},
	},
	{
		"one winner of two records",
		"Of many changes of the same two records at once, named in either order, " +
			"one succeeds, and both records are its.",
		func(p *probe) {
			p.save(put(record("challenge")), put(record("factor")))
			for round := range rounds {
				both := p.load("challenge", "factor")
				n := p.race(racers, func(i int) error {
					a, b := both[0], both[1]
					a.State, b.State = fmt.Append(nil, round, i), fmt.Append(nil, round, i)
					if i%2 == 0 {
						a, b = b, a
					}
					return p.Save(p.ctx, put(a), put(b))
				})
				after := p.load("challenge", "factor")
				if n != 1 || after[0].Version != both[0].Version+1 ||
					after[1].Version != both[1].Version+1 || !bytes.Equal(after[0].State, after[1].State) {
					p.fail("%d of %d changes succeeded; versions %d and %d, want 1 and %d",
						n, racers, after[0].Version, after[1].Version, both[0].Version+1)
				}
			}
		},
	},
	{
		"no half commits",
		"Changes that share one record are all or nothing under contention too: " +
			"every insert that succeeded, and no other, is there.",
		func(p *probe) {
			p.save(put(record("factor")))
			for round := range rounds {
				factor := p.load("factor")[0]
				won := make([]bool, racers)
				n := p.race(racers, func(i int) error {
					insert := record(fmt.Sprintf("challenge-%d-%d", round, i))
					changes := []mfa.Change{put(insert), put(factor)}
					if i%2 == 0 {
						slices.Reverse(changes)
					}
					err := p.Save(p.ctx, changes...)
					won[i] = err == nil
					return err
				})
				if n != 1 {
					p.fail("%d of %d changes at once succeeded, want 1", n, racers)
				}
				for i, w := range won {
					if id := fmt.Sprintf("challenge-%d-%d", round, i); w {
						p.holds(stored(record(id)))
					} else {
						p.lacks(id)
					}
				}
			}
		},
	},
	{
		"no needless conflicts",
		"A conflict means that a Version differs: changes of other records succeed side by side.",
		func(p *probe) {
			for round := range rounds {
				n := p.race(racers, func(i int) error {
					r := record(fmt.Sprint("id", i))
					r.Version = int64(round)
					return p.Save(p.ctx, put(r))
				})
				if n != racers {
					p.fail("%d of %d changes of different records succeeded", n, racers)
				}
			}
		},
	},
	{
		"visible",
		"What was saved is visible to every caller as soon as Save has returned.",
		func(p *probe) {
			n := p.race(racers, func(i int) error {
				for j := range rounds {
					r := record(fmt.Sprint("id", i))
					r.Version = int64(j)
					if err := p.Save(p.ctx, put(r)); err != nil {
						return err
					}
					seen := make(chan error, 1)
					go func() {
						records, err := p.Load(p.ctx, r.ID)
						if err == nil && (len(records) != 1 || records[0].Version != r.Version+1) {
							err = fmt.Errorf("version %d of %q was saved and is not seen: %d records",
								r.Version+1, r.ID, len(records))
						}
						seen <- err
					}()
					if err := <-seen; err != nil {
						return err
					}
				}
				return nil
			})
			if n != racers {
				p.fail("%d of %d callers saw what they saved", n, racers)
			}
		},
	},
	{
		"list in order",
		"List is in order of id, byte by byte, whatever the order of the inserts.",
		func(p *probe) {
			want := []string{"!", "A", "Z", "_", "a", "a!", "aa", "b", "~"}
			for _, i := range []int{4, 0, 8, 2, 6, 1, 7, 3, 5} {
				p.save(put(record(want[i])))
			}
			p.ids("of a user", p.list(mfa.Query{Kind: "factor", UserID: "user", Limit: 100}), want...)
			p.ids("of all users", p.list(mfa.Query{Kind: "factor", Limit: 100}), want...)
		},
	},
	{
		"list in pages",
		"After and Limit page through a list: each record once, and none beyond Limit.",
		func(p *probe) {
			var want []string
			for i := range 25 {
				id := fmt.Sprintf("id-%02d", i)
				want = append(want, id)
				p.save(put(record(id)))
			}
			for _, user := range []string{"user", ""} {
				var got []mfa.Record
				q := mfa.Query{Kind: "factor", UserID: user, Limit: 10}
				for {
					page := p.list(q)
					got = append(got, page...)
					if len(page) > q.Limit {
						p.fail("a page of %d records, and the limit is %d", len(page), q.Limit)
					}
					if len(page) < q.Limit {
						break
					}
					q.After = page[len(page)-1].ID
				}
				p.ids("all pages", got, want...)
				q = mfa.Query{Kind: "factor", UserID: user, After: "id-03x", Limit: 2}
				p.ids("after an id that is not there", p.list(q), "id-04", "id-05")
				q.After = "id-24"
				p.ids("after the last", p.list(q))
			}
		},
	},
	{
		"list whole pages",
		"List gives fewer records than Limit only if there are no more.",
		func(p *probe) {
			const n, batch = 150, 15
			var want []string
			for i := range n / batch {
				var changes []mfa.Change
				for j := range batch {
					want = append(want, fmt.Sprintf("id-%02d-%02d", i, j))
					changes = append(changes, put(record(want[len(want)-1])))
				}
				p.save(changes...)
			}
			for _, user := range []string{"user", ""} {
				q := mfa.Query{Kind: "factor", UserID: user, Limit: 100}
				page := p.list(q)
				if len(page) < 100 {
					p.fail("of %d records a page of 100 has %d", n, len(page))
				}
				p.ids("the first page", page, want[:100]...)
				q.After = want[99]
				p.ids("the second page", p.list(q), want[100:]...)
			}
		},
	},
	{
		"list by kind and user",
		"List gives records of the kind alone, and of the user alone if one is named; " +
			"nothing found is no error.",
		func(p *probe) {
			for i, r := range []struct{ kind, user string }{
				{"factor", "ann"}, {"challenge", "ann"}, {"factor", "bob"}, {"factor", ""}, {"factor", "ann"},
			} {
				rec := record(fmt.Sprint("id", i))
				rec.Kind, rec.UserID = r.kind, r.user
				p.save(put(rec))
				got := p.list(mfa.Query{Kind: r.kind, UserID: r.user, Limit: 10})
				if got[len(got)-1].ID == rec.ID {
					p.same(got[len(got)-1], stored(rec))
				}
			}
			p.ids("Ann's factors", p.list(mfa.Query{Kind: "factor", UserID: "ann", Limit: 10}), "id0", "id4")
			p.ids("Ann's challenges", p.list(mfa.Query{Kind: "challenge", UserID: "ann", Limit: 10}), "id1")
			p.ids("all factors", p.list(mfa.Query{Kind: "factor", Limit: 10}), "id0", "id2", "id3", "id4")
			p.ids("another kind", p.list(mfa.Query{Kind: "number", Limit: 10}))
			p.ids("another user", p.list(mfa.Query{Kind: "factor", UserID: "eve", Limit: 10}))
		},
	},
	{
		"purge",
		"Purge deletes the records whose ExpiresAt is set and before the time, " +
			"no others, and counts them.",
		func(p *probe) {
			limit := created.Add(time.Hour)
			for id, expires := range map[string]time.Time{
				"long ago": created, "just before": limit.Add(-time.Millisecond),
				"at": limit, "after": limit.Add(time.Millisecond), "never": {},
			} {
				r := record(id)
				r.ExpiresAt = expires
				p.save(put(r))
			}
			p.purges(limit, 2)
			p.lacks("long ago", "just before")
			left := p.list(mfa.Query{Kind: "factor", UserID: "user", Limit: 10})
			p.ids("what is left", left, "after", "at", "never")
			p.purges(limit, 0)
			p.conflict(put(stored(record("long ago"))))
			p.save(put(record("long ago")))
		},
	},
	{
		"purge looks at what is stored",
		"A record that was given a later ExpiresAt, or none, stays.",
		func(p *probe) {
			p.save(put(record("later")), put(record("never")), put(record("lapsed")))
			later, never := stored(record("later")), stored(record("never"))
			later.ExpiresAt, never.ExpiresAt = created.Add(48*time.Hour), time.Time{}
			p.save(put(later), put(never))
			p.purges(created.Add(24*time.Hour), 1)
			p.holds(stored(later), stored(never))
		},
	},
	{"purge of many", "Purge deletes all that there are, not a first page.", func(p *probe) {
		const n, batch = 1200, 16 // no Save has more
		for i := range n / batch {
			var changes []mfa.Change
			for j := range batch {
				changes = append(changes, put(record(fmt.Sprintf("id-%02d-%02d", i, j))))
			}
			p.save(changes...)
		}
		p.purges(created.Add(24*time.Hour), n)
		p.ids("what is left", p.list(mfa.Query{Kind: "factor", Limit: 10}))
	}},
	{
		"purge against changes",
		"A record is judged by the statement that deletes it: " +
			"of a Purge and a Save that gives it a later ExpiresAt, one wins, never both.",
		func(p *probe) {
			for range rounds {
				var changes []mfa.Change
				for i := range racers {
					changes = append(changes, put(record(fmt.Sprint("id", i))))
				}
				p.save(changes...)
				saved := make([]bool, racers)
				purged := 0
				n := p.race(racers+1, func(i int) error {
					if i == racers {
						var err error
						purged, err = p.Purge(p.ctx, created.Add(24*time.Hour))
						return err
					}
					r := stored(record(fmt.Sprint("id", i)))
					r.ExpiresAt = time.Time{}
					err := p.Save(p.ctx, put(r))
					saved[i] = err == nil
					return err
				})
				if n-1+purged != racers {
					p.fail("of %d records %d were saved and %d purged", racers, n-1, purged)
				}
				for i, s := range saved {
					r := stored(record(fmt.Sprint("id", i)))
					r.ExpiresAt = time.Time{}
					if s {
						p.holds(stored(r))
						p.save(remove(r.ID, r.Version+1))
					} else {
						p.lacks(r.ID)
					}
				}
			}
		},
	},
	{
		"cancelled contexts",
		"With a context that is over, every method returns an error " +
			"that matches the context's, and changes nothing.",
		func(p *probe) {
			p.save(put(record("a")))
			cancelled, cancel := context.WithCancel(p.ctx)
			cancel()
			late, cancel := context.WithDeadline(p.ctx, time.Unix(1, 0))
			defer cancel()
			for _, ctx := range []context.Context{cancelled, late} {
				records, err := p.Load(ctx, "a")
				p.over(ctx, "Load", err, len(records))
				records, err = p.List(ctx, mfa.Query{Kind: "factor", UserID: "user", Limit: 10})
				p.over(ctx, "List", err, len(records))
				p.over(ctx, "Save", p.Save(ctx, put(record("b")), put(stored(record("a")))), 0)
				n, err := p.Purge(ctx, created.Add(24*time.Hour))
				p.over(ctx, "Purge", err, n)
				p.holds(stored(record("a")))
				p.lacks("b")
			}
		},
	},
	{
		"aliases",
		"The store keeps nothing of its arguments and gives nothing of its own away: " +
			"neither side's later changes are seen by the other.",
		func(p *probe) {
			want := stored(record("a"))
			changes := []mfa.Change{put(record("a"))}
			p.save(changes...)
			for i := range changes[0].Record.State {
				changes[0].Record.State[i] = 'x'
			}
			changes[0] = mfa.Change{}
			p.holds(want)
			for _, got := range [][]mfa.Record{
				p.load("a"),
				p.list(mfa.Query{Kind: "factor", UserID: "user", Limit: 10}),
				p.list(mfa.Query{Kind: "factor", Limit: 10}),
			} {
				for i := range got[0].State {
					got[0].State[i] = 'y'
				}
				_ = append(got[0].State, "more"...)
				got[0].Status = "verified"
				p.holds(want)
			}
		},
	},
	{"arguments", "Save does not write to its arguments, whether it succeeds or not.", func(p *probe) {
		for range 2 { // the second is a conflict
			changes := []mfa.Change{put(record("a")), put(record("b"))}
			_ = p.Save(p.ctx, changes...)
			p.same(changes[0].Record, record("a"))
			p.same(changes[1].Record, record("b"))
		}
	}},
}

// purges calls Purge and compares the count.
func (p *probe) purges(before time.Time, want int) {
	if n, err := p.Purge(p.ctx, before); err != nil || n != want {
		p.fail("Purge says %d, %v; want %d", n, err, want)
	}
}

// over fails unless a call with a context that is over returned the context's
// error.
func (p *probe) over(ctx context.Context, method string, err error, n int) {
	if !errors.Is(err, ctx.Err()) || n != 0 {
		p.fail("%s gives %d and error %v, want none and one that matches %v", method, n, err, ctx.Err())
	}
}
