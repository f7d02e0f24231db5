package mfatest

import (
	"bytes"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/authfactor/mfa"
)

// raceChecks are about many calls at once.
var raceChecks = []check{
	{
		name: "one winner inserts",
		rule: "Of many inserts of one id at once one succeeds; the others are conflicts.",
		look: "a read that looks whether the id exists, and an insert after it: let the insert find " +
			"out; deadlocks and serialization failures, which Save retries by itself",
		f: oneWinnerInserts,
	},
	{
		name: "one winner replaces",
		rule: "Of many replacements of one Version at once one succeeds, " +
			"and it is the one that is stored.",
		look: "a read that compares the Version, and a write after it: both must be one step, " +
			"such as UPDATE ... WHERE id = ? AND version = ?, or hold a lock from the read on",
		f: oneWinnerReplaces,
	},
	{
		name: "one winner deletes",
		rule: "Of a delete and many replacements of one Version at once one succeeds.",
		look: "a read that compares the Version, and a write after it: both must be one step",
		f:    oneWinnerDeletes,
	},
	{
		name: "one winner of two records",
		rule: "Of many changes of the same two records at once, named in either order, " +
			"one succeeds, and both records are its.",
		look: "deadlocks: take locks in order of id, or retry; " +
			"and Versions that are compared one by one while another Save writes",
		f: oneWinnerOfTwoRecords,
	},
	{
		name: "no half commits",
		rule: "Changes that share one record are all or nothing under contention too: " +
			"every insert that succeeded, and no other, is there.",
		look: "a transaction that goes on after a conflict, and inserts that are not part of it",
		f:    noHalfCommits,
	},
	{
		name: "no needless conflicts",
		rule: "A conflict means that a Version differs: changes of other records succeed side by side.",
		look: "errors that are not about a Version: a serialization failure, a deadlock or " +
			"a lock that was not had is retried by Save, and is no mfa.ErrConflict",
		f: noNeedlessConflicts,
	},
	{
		name: "visible",
		rule: "What was saved is visible to every caller, by Load and by List, " +
			"as soon as Save has returned.",
		look: "reads from a replica or a cache, an index that is written later, a read of what " +
			"another Save is writing, and a Save that returns before its commit",
		f: visible,
	},
	{
		name: "reads beside writes",
		rule: "Load and List give each record as a Save that succeeded stored it, never half written " +
			"and never as a Save that fails would have it; and a Save takes effect at one moment.",
		look: "reads that do not take the lock that writes take; the isolation level (READ " +
			"UNCOMMITTED is too low); columns or keys of one record that are read or written one by " +
			"one; and changes that are undone after others could see them",
		f: readsBesideWrites,
	},
}

func oneWinnerInserts(p *probe) {
	for round := range rounds {
		id := fmt.Sprint("id", round)
		if n := p.race(racers, func(int) error { return p.Save(p.ctx, put(record(id))) }); n != 1 {
			p.fail("%d of %d inserts of one id at once succeeded, want 1", n, racers)
		}
		p.holds(stored(record(id)))
	}
}

func oneWinnerReplaces(p *probe) {
	r := record("a")
	p.save(put(r))
	for range rounds {
		r = p.find("a")
		winner := make(chan []byte, racers)
		n := p.race(racers, func(i int) error {
			mine := clone(r)
			mine.State = fmt.Append(nil, "racer ", i)
			err := p.Save(p.ctx, put(mine))
			if err == nil {
				winner <- mine.State
			}
			return err
		})
		if n != 1 {
			p.fail("%d of %d replacements of one Version at once succeeded, want 1", n, racers)
		}
		r = stored(r)
		r.State = <-winner
		p.holds(r)
	}
}

func oneWinnerDeletes(p *probe) {
	for round := range rounds {
		r := record(fmt.Sprint("id", round))
		p.save(put(r))
		r = stored(r)
		n := p.race(racers, func(i int) error {
			if i%2 == 0 {
				return p.Save(p.ctx, remove(r.ID, 1))
			}
			return p.Save(p.ctx, put(clone(r)))
		})
		if n != 1 {
			p.fail("%d of %d changes of one Version at once succeeded, want 1", n, racers)
		}
	}
}

func oneWinnerOfTwoRecords(p *probe) {
	p.save(put(record("challenge")), put(record("factor")))
	for round := range rounds {
		challenge, factor := p.find("challenge"), p.find("factor")
		n := p.race(racers, func(i int) error {
			a, b := challenge, factor
			a.State, b.State = fmt.Append(nil, round, i), fmt.Append(nil, round, i)
			if i%2 == 0 {
				a, b = b, a
			}
			return p.Save(p.ctx, put(a), put(b))
		})
		if n != 1 {
			p.fail("%d of %d changes of the same two records at once succeeded, want 1", n, racers)
		}
		a, b := p.find("challenge"), p.find("factor")
		switch {
		case a.Version != challenge.Version+1 || b.Version != factor.Version+1:
			p.fail("one change of two records succeeded: their Versions are %d and %d, want %d and %d",
				a.Version, b.Version, challenge.Version+1, factor.Version+1)
		case !bytes.Equal(a.State, b.State):
			p.fail("one change of two records succeeded: their States are of two callers, want of one")
		}
	}
}

func noHalfCommits(p *probe) {
	p.save(put(record("factor")))
	for round := range rounds {
		factor := p.find("factor")
		won := make([]bool, racers)
		n := p.race(racers, func(i int) error {
			insert := record(fmt.Sprintf("challenge-%d-%d", round, i))
			changes := []mfa.Change{put(insert), put(clone(factor))}
			if i%2 == 0 {
				slices.Reverse(changes)
			}
			err := p.Save(p.ctx, changes...)
			won[i] = err == nil
			return err
		})
		if n != 1 {
			p.fail("%d of %d changes that share a record succeeded at once, want 1", n, racers)
		}
		for i, w := range won {
			if id := fmt.Sprintf("challenge-%d-%d", round, i); w {
				p.holds(stored(record(id)))
			} else {
				p.lacks(id)
			}
		}
	}
}

// noNeedlessConflicts has each caller insert, replace and delete records that are its own,
// and that stand between those of others.
func noNeedlessConflicts(p *probe) {
	const saves = 20
	p.race(racers, func(i int) error {
		id := func(n int) string { return fmt.Sprintf("id-%02d-%02d", n, i) }
		for n := range saves {
			changes := []mfa.Change{put(record(id(n)))}
			if n > 0 {
				changes = append(changes, put(stored(record(id(n-1)))))
			}
			if n > 1 {
				changes = append(changes, remove(id(n-2), 2))
			}
			if err := p.Save(p.ctx, changes...); err != nil {
				p.fail("Save of %s, beside Saves of other records: error %w, want nil",
					describe(changes), err)
			}
		}
		return nil
	})
}

func visible(p *probe) {
	p.race(racers, func(i int) error {
		r := record(fmt.Sprint("id", i))
		r.UserID = fmt.Sprint("user", i)
		for n := range rounds {
			r.Version = int64(n)
			p.save(put(clone(r)))
			p.elsewhere(func() {
				p.holds(stored(r))
				found := p.listed(mfa.Query{Kind: r.Kind, UserID: r.UserID, Limit: 10}, r.ID)
				p.same(found[0], stored(r))
			})
		}
		return nil
	})
}

// elsewhere runs f in another goroutine, as another request is, and waits for it.
func (p *probe) elsewhere(f func()) {
	done := make(chan error, 1)
	go func() {
		done <- caught(func() error {
			f()
			return nil
		})
	}()
	if err := <-done; err != nil {
		p.fail("%w", err)
	}
}

// numbered is a record of which everything that may change follows from a Version.
func numbered(id string, version int64) mfa.Record {
	r := record(id)
	r.Version = version
	r.Parent, r.Type = fmt.Sprint("parent ", version), fmt.Sprint("type_", version)
	r.Status = fmt.Sprint("status_", version)
	r.UpdatedAt = created.Add(time.Duration(version) * time.Millisecond)
	r.ExpiresAt = created.Add(time.Duration(version) * time.Hour)
	r.State = bytes.Repeat(fmt.Append(nil, version, " "), 200)
	return r
}

// readsBesideWrites replaces two records by one Save, again and again. Meanwhile some try
// to replace another one by Saves that are conflicts, and others read.
func readsBesideWrites(p *probe) {
	const readers, spoilers, saves, fails, reads = 4, 2, 40, 40, 200
	p.save(put(numbered("bait", 0)), put(numbered("left", 0)), put(numbered("right", 0)),
		put(record("stale")))
	var done atomic.Bool // the writer is, or somebody failed
	var failed, seen atomic.Int64
	write := func() {
		for v := int64(1); !done.Load(); v++ {
			if v > saves && failed.Load() >= fails && seen.Load() >= reads {
				return
			}
			p.save(put(numbered("left", v)), put(numbered("right", v)))
		}
	}
	spoil := func(i int) {
		bait, stale := numbered("bait", 1), record("stale")
		bait.State, stale.Version = []byte("of a Save that fails"), 99
		changes := []mfa.Change{put(bait), put(stale)}
		for !done.Load() {
			p.conflict(changes[i%2], changes[1-i%2])
			failed.Add(1)
		}
	}
	read := func(first, second string) {
		for again := true; again; again = !done.Load() {
			a, b := p.numbered(p.load(first), first)[0], p.numbered(p.load(second), second)[0]
			if a.Version > b.Version {
				p.fail("Load of %q gave Version %d, and then Load of %q gave Version %d, "+
					"want at least %[2]d, because one Save stored both", first, a.Version, second, b.Version)
			}
			p.numbered(p.load("bait"), "bait")
			q := mfa.Query{Kind: "factor", UserID: "user", Limit: 3}
			p.numbered(p.list(q), "bait", "left", "right")
			first, second = second, first
			seen.Add(1)
		}
	}
	p.race(1+spoilers+readers, func(i int) error {
		defer done.Store(true)
		switch {
		case i == 0:
			write()
		case i <= spoilers:
			spoil(i)
		default:
			read("left", "right")
		}
		return nil
	})
}

// numbered fails unless these records were read, each as it was saved.
func (p *probe) numbered(records []mfa.Record, ids ...string) []mfa.Record {
	p.ids("a read while others replace records", records, ids...)
	for _, r := range records {
		if diff := difference(r, stored(numbered(r.ID, r.Version-1))); diff != "" {
			p.fail("record %q, read while others write, has Version %d, and no Save that succeeded "+
				"stored it so: %s", r.ID, r.Version, diff)
		}
	}
	return records
}
