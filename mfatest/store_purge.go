package mfatest

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/authfactor/mfa"
)

var purgeChecks = []check{
	{
		name: "purge",
		rule: "Purge deletes the records whose ExpiresAt is set and before the time, " +
			"no others, and counts them.",
		look: "the comparison (<, not <=), in whole milliseconds; the zero time, " +
			"which is no time that is past; and indexes that keep what was deleted",
		f: purge,
	},
	{
		name: "purge spares children",
		rule: "Purge deletes no record because its parent is deleted.",
		look: "ON DELETE CASCADE, and foreign keys in general: parents need not exist",
		f:    purgeSparesChildren,
	},
	{
		name: "purge looks at what is stored",
		rule: "A record that was given a later ExpiresAt, or none, stays.",
		look: "an index by ExpiresAt that keeps the former time of a record that was replaced",
		f:    purgeLooksAtWhatIsStored,
	},
	{
		name: "purge of many",
		rule: "Purge deletes all that there are, not a first page, and counts all of them.",
		look: "a limit on the statement, and a loop that ends after some batches: " +
			"go on until a batch is empty",
		f: purgeOfMany,
	},
	{
		name: "purge against changes",
		rule: "A record is judged by the statement that deletes it: of a Purge and a Save that gives " +
			"the record a later ExpiresAt, one wins, never both, and the other notices.",
		look: "a Purge that selects ids first and deletes them afterwards, however soon: the delete " +
			"must compare ExpiresAt (or Version) again; and the count, which is of what was deleted, " +
			"not of what was selected",
		f: purgeAgainstChanges,
	},
}

// purges calls Purge and compares the count.
func (p *probe) purges(before time.Time, want int) {
	n, err := p.Purge(p.ctx, before)
	if err != nil {
		p.fail("Purge before %s: error %w, want nil", show(before), err)
	}
	if n != want {
		p.fail("Purge before %s: %d, want %d, because so many records had expired", show(before), n, want)
	}
}

func purge(p *probe) {
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
	p.listed(mfa.Query{Kind: "factor", UserID: "user", Limit: 10}, "after", "at", "never")
	p.purges(limit, 0)
	p.conflict(put(stored(record("long ago"))))
	p.save(put(record("long ago")))
}

func purgeSparesChildren(p *probe) {
	for _, r := range []struct {
		id, parent string
		lives      time.Duration // 0 for ever
	}{
		{"user", "", time.Hour},
		{"factor", "user", 0},
		{"lapsed", "user", time.Hour},
		{"later", "lapsed", 48 * time.Hour},
		{"never", "lapsed", 0},
	} {
		rec := record(r.id)
		rec.Parent, rec.ExpiresAt = r.parent, time.Time{}
		if r.lives > 0 {
			rec.ExpiresAt = created.Add(r.lives)
		}
		p.save(put(rec))
	}
	p.purges(created.Add(24*time.Hour), 2)
	p.lacks("user", "lapsed")
	p.ids("Load of the children of deleted records", p.load("factor", "later", "never"),
		"factor", "later", "never")
	p.listed(mfa.Query{Kind: "factor", UserID: "user", Limit: 10}, "factor", "later", "never")
}

func purgeLooksAtWhatIsStored(p *probe) {
	p.save(put(record("later")), put(record("never")), put(record("lapsed")), put(record("sooner")))
	later, never, sooner := stored(record("later")), stored(record("never")), stored(record("sooner"))
	later.ExpiresAt, never.ExpiresAt = created.Add(48*time.Hour), time.Time{}
	sooner.ExpiresAt = created
	p.save(put(later), put(never), put(sooner))
	p.purges(created.Add(time.Minute), 1)
	p.purges(created.Add(24*time.Hour), 1)
	p.holds(stored(later), stored(never))
	p.lacks("lapsed", "sooner")
}

func purgeOfMany(p *probe) {
	const n = 3000
	var all []mfa.Record
	for i := range n {
		all = append(all, record(fmt.Sprintf("id-%04d", i)))
	}
	p.fill(all)
	p.purges(created.Add(24*time.Hour), n)
	p.listed(mfa.Query{Kind: "factor", UserID: "user", Limit: 10})
}

// purgeAgainstChanges calls Purge while others, for as long as it goes on, take records that
// have expired, one after the other, and give them no end.
func purgeAgainstChanges(p *probe) {
	const savers, again = 8, 8
	for round := range again {
		var savings [savers]*saving
		for i := range savings {
			savings[i] = &saving{probe: p, name: fmt.Sprintf("id-%02d-%02d", round, i)}
		}
		p.race(savers, func(i int) error {
			savings[i].insertMany()
			return nil
		})
		var over atomic.Bool
		purged := 0
		p.race(savers+1, func(i int) (err error) {
			if i < savers {
				savings[i].until(&over)
				return nil
			}
			defer over.Store(true)
			if purged, err = p.Purge(p.ctx, created.Add(24*time.Hour)); err != nil {
				p.fail("Purge beside Save: error %w, want nil", err)
			}
			return nil
		})
		var inserted, kept []mfa.Record
		for _, s := range savings {
			inserted, kept = append(inserted, s.inserted...), append(kept, s.kept...)
		}
		p.allThere(kept)
		n, err := p.Purge(p.ctx, created.Add(24*time.Hour))
		if err != nil {
			p.fail("Purge: error %w, want nil", err)
		}
		if want := len(inserted) - len(kept); purged+n != want {
			p.fail("of %d records %d were given no ExpiresAt, while Purge was called; it says that it "+
				"deleted %d, and when called once more %d, want %d together",
				len(inserted), len(kept), purged, n, want)
		}
	}
}

// A saving is one of those who save beside a Purge.
type saving struct {
	*probe
	name           string
	inserted, kept []mfa.Record
}

// insert adds records that have expired.
func (s *saving) insert() {
	from := len(s.inserted)
	for i := range maxChanges {
		r := record(fmt.Sprintf("%s-%04d", s.name, from+i))
		r.UserID = s.name // no user has thousands of factors
		s.inserted = append(s.inserted, r)
	}
	s.save(puts(s.inserted[from:])...)
}

// insertMany inserts as many as a quick store takes in a moment, so that its Purge takes
// a moment as well, in which others get their turn.
func (s *saving) insertMany() {
	began := time.Now()
	for n := 0; n < 3 || n < 24 && time.Since(began) < 50*time.Millisecond; n++ {
		s.insert()
	}
}

// until gives records no end, until the Purge is over, or some thousand have none.
func (s *saving) until(over *atomic.Bool) {
	for i := 0; i < 1000 && !over.Load(); i++ {
		if i == len(s.inserted) {
			s.insert()
		}
		r := stored(s.inserted[i])
		r.ExpiresAt = time.Time{}
		switch err := s.Save(s.ctx, put(r)); {
		case err == nil:
			s.kept = append(s.kept, stored(r))
		case !errors.Is(err, mfa.ErrConflict):
			s.fail("Save of %s beside Purge: error %w, want nil or a conflict",
				describe([]mfa.Change{put(r)}), err)
		}
	}
}

// allThere fails if one of these records is not there as it was saved.
func (p *probe) allThere(kept []mfa.Record) {
	for some := range slices.Chunk(kept, maxChanges) {
		there := map[string]mfa.Record{}
		for _, r := range p.load(idsOf(some)...) {
			there[r.ID] = r
		}
		for _, r := range some {
			got, ok := there[r.ID]
			if !ok {
				p.fail("record %q was given no ExpiresAt by a Save that succeeded, "+
					"and a Purge at the same time deleted it, want it there", r.ID)
			}
			p.same(got, r)
		}
	}
}
