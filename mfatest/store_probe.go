package mfatest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/authfactor/mfa"
)

// A probe is a store as the checks use it.
type probe struct {
	ctx context.Context
	guarded
}

func (p *probe) fail(format string, args ...any) { panic(broken{fmt.Errorf(format, args...)}) }

// save makes changes that must succeed.
func (p *probe) save(changes ...mfa.Change) {
	if err := p.Save(p.ctx, changes...); err != nil {
		p.fail("Save of %s: error %w, want nil", describe(changes), err)
	}
}

// conflict makes changes that must be a conflict, and nothing else.
func (p *probe) conflict(changes ...mfa.Change) {
	err := p.Save(p.ctx, changes...)
	switch {
	case err == nil:
		p.fail("Save of %s: error nil, want one that matches mfa.ErrConflict", describe(changes))
	case !errors.Is(err, mfa.ErrConflict):
		p.fail("Save of %s: error %w, want one that matches mfa.ErrConflict", describe(changes), err)
	case isOver(err):
		p.fail("Save of %s: error %w, which matches mfa.ErrConflict as it should, "+
			"and a context's error too, though the context is not over, "+
			"want one that matches mfa.ErrConflict alone", describe(changes), err)
	}
}

// isOver reports whether an error is one of a context.
func isOver(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// load returns the records in order of id.
func (p *probe) load(ids ...string) []mfa.Record {
	records, err := p.Load(p.ctx, ids...)
	if err != nil {
		p.fail("Load of %s: error %w, want nil", quote(ids), err)
	}
	sortByID(records)
	return records
}

// find returns a record that must be there.
func (p *probe) find(id string) mfa.Record {
	records := p.load(id)
	i := slices.IndexFunc(records, func(r mfa.Record) bool { return r.ID == id })
	if i < 0 {
		p.fail("record %q was saved; Load of it gives %s, want this record", id, quote(idsOf(records)))
	}
	return records[i]
}

// list returns what a query selects, in the order of the store.
func (p *probe) list(q mfa.Query) []mfa.Record {
	records, err := p.List(p.ctx, q)
	if err != nil {
		p.fail("%s: error %w, want nil", text(q), err)
	}
	if len(records) > q.Limit {
		p.fail("%s: %d records, want at most Limit", text(q), len(records))
	}
	return records
}

// listed lists, compares the ids in any order, and returns the records in order of id.
func (p *probe) listed(q mfa.Query, want ...string) []mfa.Record {
	records := p.list(q)
	sortByID(records)
	p.ids(text(q), records, want...)
	return records
}

func sortByID(records []mfa.Record) {
	slices.SortFunc(records, func(a, b mfa.Record) int { return strings.Compare(a.ID, b.ID) })
}

// text is a call of List.
func text(q mfa.Query) string {
	s := fmt.Sprintf("List of kind %q of user %q", q.Kind, q.UserID)
	if q.UserID == "" {
		s = fmt.Sprintf("List of kind %q of all users", q.Kind)
	}
	if q.After != "" {
		s += fmt.Sprintf(" after %q", q.After)
	}
	return fmt.Sprintf("%s, Limit %d", s, q.Limit)
}

// listAll returns the pages of a query as one. A page that is not full is the last.
func (p *probe) listAll(q mfa.Query) (all []mfa.Record) {
	for {
		page := p.list(q)
		for _, r := range page {
			if r.ID <= q.After {
				p.fail("%s: record %q stands behind %q, want ids greater than After, in order",
					text(q), r.ID, q.After)
			}
			q.After = r.ID
		}
		all = append(all, page...)
		if len(page) < q.Limit {
			return all
		}
	}
}

// holds fails unless these records are stored, exactly.
func (p *probe) holds(want ...mfa.Record) {
	for _, w := range want {
		p.same(p.find(w.ID), w)
	}
}

// lacks fails if there is a record with one of these ids.
func (p *probe) lacks(ids ...string) {
	for _, r := range p.load(ids...) {
		if slices.Contains(ids, r.ID) {
			p.fail("record %q is there at Version %d, want none", r.ID, r.Version)
		}
	}
}

// same compares every field.
func (p *probe) same(got, want mfa.Record) {
	if diff := difference(got, want); diff != "" {
		p.fail("record %q: %s", want.ID, diff)
	}
}

// difference says in which field two records differ, and is empty if in none.
func difference(got, want mfa.Record) string {
	for _, f := range []struct{ field, got, want string }{
		{"ID", got.ID, want.ID},
		{"Kind", got.Kind, want.Kind},
		{"Parent", got.Parent, want.Parent},
		{"UserID", got.UserID, want.UserID},
		{"Type", got.Type, want.Type},
		{"Status", got.Status, want.Status},
	} {
		if f.got != f.want {
			return fmt.Sprintf("%s is %q, want %q", f.field, f.got, f.want)
		}
	}
	for _, f := range []struct {
		field     string
		got, want time.Time
	}{
		{"CreatedAt", got.CreatedAt, want.CreatedAt},
		{"UpdatedAt", got.UpdatedAt, want.UpdatedAt},
		{"ExpiresAt", got.ExpiresAt, want.ExpiresAt},
	} {
		switch {
		case !f.got.Equal(f.want):
			return fmt.Sprintf("%s is %s, want %s", f.field, show(f.got), show(f.want))
		case f.got.Location() != time.UTC:
			return fmt.Sprintf("%s is %s, the right moment in the zone %q, want it in UTC",
				f.field, show(f.got), f.got.Location())
		}
	}
	switch {
	case got.Version != want.Version:
		return fmt.Sprintf("Version is %d, want %d", got.Version, want.Version)
	case len(got.State) != len(want.State):
		return fmt.Sprintf("State has %d bytes, want %d", len(got.State), len(want.State))
	case bytes.Equal(got.State, want.State):
		return ""
	}
	for i := range got.State {
		if got.State[i] != want.State[i] {
			return fmt.Sprintf("byte %d of State is %#x, want %#x", i, got.State[i], want.State[i])
		}
	}
	panic("unreachable")
}

// show is a time as failures have it.
func show(t time.Time) string {
	if t.IsZero() {
		return "the zero time"
	}
	return t.Format(time.RFC3339Nano)
}

func idsOf(records []mfa.Record) []string {
	var ids []string
	for _, r := range records {
		ids = append(ids, r.ID)
	}
	return ids
}

// ids compares the ids of records.
func (p *probe) ids(what string, records []mfa.Record, want ...string) {
	got := idsOf(records)
	if slices.Equal(got, want) {
		return
	}
	if len(got)+len(want) < 30 {
		p.fail("%s: records %s, want %s", what, quote(got), quote(want))
	}
	i := 0
	for i < min(len(got), len(want)) && got[i] == want[i] {
		i++
	}
	at := func(ids []string) string {
		if i < len(ids) {
			return fmt.Sprintf("%q", ids[i])
		}
		return "nothing"
	}
	p.fail("%s: number %d of %d records is %s, want %s, and %d records",
		what, i+1, len(got), at(got), at(want), len(want))
}

// quote is a list of ids in words.
func quote(ids []string) string {
	if len(ids) == 0 {
		return "none"
	}
	var parts []string
	for _, id := range ids {
		parts = append(parts, fmt.Sprintf("%q", id))
	}
	return strings.Join(parts, ", ")
}

// stored is the record as it is after it was saved.
func stored(r mfa.Record) mfa.Record {
	r.Version++
	return r
}

func put(r mfa.Record) mfa.Change { return mfa.Change{Record: r} }

// puts are the changes that save these records.
func puts(records []mfa.Record) (changes []mfa.Change) {
	for _, r := range records {
		changes = append(changes, put(r))
	}
	return changes
}

// fill inserts any number of records.
func (p *probe) fill(records []mfa.Record) {
	for batch := range slices.Chunk(records, maxChanges) {
		p.save(puts(batch)...)
	}
}

func remove(id string, version int64) mfa.Change {
	return mfa.Change{Record: mfa.Record{ID: id, Version: version}, Delete: true}
}

// The largest that the contract has.
const (
	maxChanges = 16
	maxState   = 64 << 10
	maxName    = 32
	maxID      = 64
	maxUserID  = 255
)

var created = time.Date(2026, 1, 2, 3, 4, 5, 678_000_000, time.UTC)

// record is a new record with something in every column.
func record(id string) mfa.Record {
	return mfa.Record{
		ID: id, Kind: "factor", UserID: "user", Type: "totp", Status: "unverified",
		CreatedAt: created, UpdatedAt: created.Add(time.Minute), ExpiresAt: created.Add(time.Hour),
		State: []byte("state of " + id),
	}
}

// longState are 64 KiB with every byte among them, others for another seed.
func longState(seed int) []byte {
	part := make([]byte, 4<<10)
	for i := range part {
		part[i] = byte((i*i + seed) >> 3)
	}
	return bytes.Repeat(part, maxState/len(part))
}

func describe(changes []mfa.Change) string {
	var parts []string
	for _, c := range changes {
		r := c.Record
		switch {
		case c.Delete:
			parts = append(parts, fmt.Sprintf("delete %q at Version %d", r.ID, r.Version))
		case r.Version == 0:
			parts = append(parts, fmt.Sprintf("insert %q", r.ID))
		default:
			parts = append(parts, fmt.Sprintf("replace %q at Version %d", r.ID, r.Version))
		}
	}
	if len(parts) > 6 {
		parts = append(parts[:5], fmt.Sprintf("%d more", len(parts)-5))
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

const racers, rounds = 16, 8

// race calls f n times at once and returns how many calls succeeded. An error
// that is no conflict breaks the rule.
func (p *probe) race(n int, f func(i int) error) (winners int) {
	errs := make([]error, n)
	begin := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-begin
			errs[i] = caught(func() error { return f(i) })
		})
	}
	close(begin)
	wg.Wait()
	for _, err := range errs {
		if b, ok := errors.AsType[broken](err); ok {
			panic(b)
		}
		if err != nil && !errors.Is(err, mfa.ErrConflict) {
			p.fail("of %d calls at once one failed: error %w, want nil or a conflict", n, err)
		}
		if err == nil {
			winners++
		}
	}
	return winners
}

// clone is a record that shares no memory with another.
func clone(r mfa.Record) mfa.Record {
	r.State = bytes.Clone(r.State)
	return r
}
