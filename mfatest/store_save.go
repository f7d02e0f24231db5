package mfatest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/authfactor/mfa"
)

// saveChecks are about one Save at a time.
var saveChecks = []check{
	{
		name: "insert of an existing id",
		rule: "Inserting an id that exists is a conflict, and the record stays.",
		look: "an upsert or a put where Version 0 needs an insert; and the error of your database " +
			"for an id that exists, which must become mfa.ErrConflict",
		f: insertOfAnExistingID,
	},
	{
		name: "stale version",
		rule: "Only the very Version that is stored can be replaced or deleted.",
		look: "the condition on id and version of update and delete (=, not >=); no row that was " +
			"changed is a conflict",
		f: staleVersion,
	},
	{
		name: "gone record",
		rule: "A change of a record that is gone is a conflict, and does not bring it back.",
		look: "a put or an upsert where a Version above 0 needs an update",
		f:    goneRecord,
	},
	{
		name: "delete",
		rule: "A delete needs the Version like any change: " +
			"of a record that is gone, or of Version 0, it is a conflict.",
		look: "a delete by id alone; an index that still has what was deleted; " +
			"and Version 0, which is no insert if Delete is set",
		f: deletes,
	},
	{
		name: "all or nothing",
		rule: "Save applies all changes or, on a conflict of any of them, none.",
		look: "a transaction that is not rolled back on a conflict; " +
			"without transactions, compare all Versions before you write anything",
		f: allOrNothing,
	},
	{
		name: "no changes",
		rule: "Save of nothing is nil.",
		look: "a statement or a transaction that your database refuses when it is empty",
		f:    func(p *probe) { p.save() },
	},
	{
		name: "largest Save",
		rule: "A Save has up to 16 changes, each with a State of up to 64 KiB, " +
			"and the longest ids, user ids and names.",
		look: "what your database limits: the bytes or the operations of a transaction, " +
			"of a message (in MySQL max_allowed_packet) or of a statement; State encoded as text " +
			"is a third longer",
		f: largestSave,
	},
	{
		name: "arguments",
		rule: "No method writes to its arguments, whether it succeeds or not.",
		look: "changes that are sorted, or ids, or a Version that is counted up, in the caller's " +
			"slice: do it in a copy (slices.Clone)",
		f: arguments,
	},
}

func insertOfAnExistingID(p *probe) {
	p.save(put(record("a")))
	other := record("a")
	other.State = []byte("other")
	p.conflict(put(other))
	p.holds(stored(record("a")))
}

func staleVersion(p *probe) {
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
}

func goneRecord(p *probe) {
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
}

func deletes(p *probe) {
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
	p.listed(mfa.Query{Kind: "factor", UserID: "user", Limit: 10}, "b")
}

func allOrNothing(p *probe) {
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
}

func largestSave(p *probe) {
	name := strings.Repeat("n", maxName)
	large := func(i int) mfa.Record {
		r := record(fmt.Sprintf("%02d-%s", i, strings.Repeat("i", maxID-3)))
		r.Parent = strings.Repeat("p", maxID)
		r.UserID = strings.Repeat("u", maxUserID)
		r.Kind, r.Type, r.Status = name, name, name
		r.State = longState(i)
		return r
	}
	var inserts, replaces, mixed []mfa.Record
	for i := range maxChanges {
		inserts = append(inserts, large(i))
		r := stored(large(i))
		r.State = longState(i + 100)
		replaces = append(replaces, r)
		r = large(i + maxChanges)
		mixed = append(mixed, r)
	}
	p.save(puts(inserts)...)
	p.save(puts(replaces)...)
	for _, r := range replaces {
		p.holds(stored(r))
	}
	// Half of them go in the same call as others come.
	changes := puts(mixed[:maxChanges/2])
	for _, r := range replaces[:maxChanges/2] {
		changes = append(changes, remove(r.ID, 2))
	}
	p.save(changes...)
	var want []string
	for _, r := range slices.Concat(replaces[maxChanges/2:], mixed[:maxChanges/2]) {
		p.holds(stored(r))
		want = append(want, r.ID)
	}
	slices.Sort(want)
	p.listed(mfa.Query{Kind: name, UserID: strings.Repeat("u", maxUserID), Limit: 100}, want...)
}

func arguments(p *probe) {
	p.save(put(record("there")), put(record("gone")))
	for range 2 { // the second is a conflict
		given := func() []mfa.Change {
			return []mfa.Change{
				put(record("z")), put(stored(record("there"))), remove("gone", 1), put(record("a")),
			}
		}
		changes := given()
		_ = p.Save(p.ctx, changes...)
		for i, want := range given() {
			got := changes[i]
			diff := difference(got.Record, want.Record)
			if diff != "" || got.Delete != want.Delete {
				p.fail("after a Save of %s the caller's slice is %s, want it unchanged (change %d: %s)",
					describe(given()), describe(changes), i+1, diff)
			}
		}
	}
	ids := []string{"z", "there", "a", "z"}
	if _, err := p.Load(p.ctx, ids...); err != nil {
		p.fail("Load of %s: error %w, want nil", quote(ids), err)
	}
	if want := []string{"z", "there", "a", "z"}; !slices.Equal(ids, want) {
		p.fail("after a Load of %s the caller's slice is %s, want it unchanged",
			quote(want), quote(ids))
	}
}
