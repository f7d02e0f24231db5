package mfa

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"iter"
	"math/big"
	"slices"
	"time"
)

// transact is the life of every call that writes: load, decide, commit, and only then
// tell. A call that lost a race loads and decides again, after a pause. id is what a
// caller is told about who lost too many races.
func transact[V interface{ at() time.Time }, T any](ctx context.Context, s *Service, id string,
	load func(context.Context) (V, error),
	decide func(V) (T, outcome),
) (T, error) {
	var none T
	if _, err := s.now(); err != nil {
		return none, err
	}
	lost := 0
	for range maxRaces {
		if err := pause(ctx, lost); err != nil {
			return none, err
		}
		v, err := agreed(id, func() (V, error) { return load(ctx) })
		if err != nil {
			return none, err
		}
		told, out := decide(v)
		if out.again {
			continue
		}
		switch err := s.commit(ctx, commitTimeout, out); {
		case errors.Is(err, ErrConflict):
			lost++
			continue
		case err != nil:
			return none, err
		}
		for _, e := range out.events {
			e.Time = v.at()
			s.emit(ctx, e)
		}
		return told, out.err
	}
	return none, errThrottled(id, raceWait, ReasonRaces)
}

// A moment is when a decision is made: after the first records were read that it is about.
// A read may take seconds, in which others write: by an earlier time what expired meanwhile
// would be good, and what was written a moment ago would be of the future.
type moment struct {
	begun time.Time // before the read: what was asked in time is not late because we are slow
	now   time.Time
}

func (m moment) at() time.Time { return m.now }

// loadNow reads records by id, and then the clock.
func (s *Service) loadNow(ctx context.Context, ids ...string) (loaded, moment, error) {
	begun, err := s.now()
	if err != nil {
		return nil, moment{}, err
	}
	records, err := s.load(ctx, ids...)
	if err != nil {
		return nil, moment{}, err
	}
	now, err := s.now()
	return records, moment{begun, now}, err
}

// An outcome is what a decision comes to: what to write, and what to tell once that is
// written.
type outcome struct {
	save   []stored
	remove []*Record // by id and version: they need not open
	events []Event
	err    error
	again  bool // what was read is of different moments: nothing is written or told
}

// drop adds a record to what is deleted, once.
func (out *outcome) drop(r stored) {
	if rec := r.columns(); !slices.Contains(out.remove, rec) {
		out.remove = append(out.remove, rec)
	}
}

// dropRows adds rows to what is deleted, as many as one Save takes beside the rest. It
// reports whether some are left.
func (out *outcome) dropRows(rows []*Record) (left bool) {
	rows = without(rows, out.remove) // one that somebody made look like another kind
	n := min(maxSave-len(out.save)-len(out.remove), len(rows))
	out.remove = append(out.remove, rows[:n]...)
	return n < len(rows)
}

// put adds a record to what is saved, once.
func (out *outcome) put(r stored) {
	if !slices.Contains(out.save, r) {
		out.save = append(out.save, r)
	}
}

// commit writes an outcome, all of it or nothing. It is the only place that
// writes, and a caller who hangs up does not reach it.
func (s *Service) commit(ctx context.Context, timeout time.Duration, out outcome) error {
	if len(out.save)+len(out.remove) == 0 {
		return nil
	}
	changes := make([]Change, 0, len(out.save)+len(out.remove))
	for _, r := range out.save {
		c, err := s.keys.sealed(r)
		if err != nil {
			return err
		}
		changes = append(changes, c)
	}
	for _, rec := range out.remove {
		changes = append(changes, Change{Record: Record{ID: rec.ID, Version: rec.Version}, Delete: true})
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	if err := s.store.Save(ctx, changes...); err != nil {
		return fmt.Errorf("mfa: saving %s: %w", changes[0].Record.ID, err)
	}
	return nil
}

// pause lets the winner of a race go on. It is random, and longer after each race that
// was lost, so that those who met do not meet again.
func pause(ctx context.Context, lost int) error {
	if lost == 0 {
		return nil
	}
	longest := big.NewInt(int64(racePause) << (lost - 1))
	d, err := rand.Int(rand.Reader, longest)
	if err != nil {
		return fmt.Errorf("mfa: pausing after a lost race: %w", err)
	}
	if !wait(ctx, time.Duration(d.Int64())) {
		return fmt.Errorf("mfa: pausing after a lost race: %w", ctx.Err())
	}
	return nil
}

// load reads records by id.
func (s *Service) load(ctx context.Context, ids ...string) (loaded, error) {
	records, err := s.store.Load(ctx, ids...)
	if err != nil {
		return nil, fmt.Errorf("mfa: loading %s: %w", ids[0], err)
	}
	return records, nil
}

// rowsOf reads the rows of a kind that the store lists for a user, and those with other
// ids, which the user's record lists. They need not open, and what is of somebody else by
// its column is left out.
func (s *Service) rowsOf(ctx context.Context, kind, userID string, ids []string) ([]*Record, error) {
	var rows []*Record
	missing := slices.Clone(ids)
	// For one read more, a store that gives short pages hides nothing.
	for rec, err := range s.list(ctx, Query{Kind: kind, UserID: userID, Limit: 100}, emptyIsLast) {
		if err != nil {
			return nil, err
		}
		if rec.UserID == userID {
			rows = append(rows, &rec)
			missing = slices.DeleteFunc(missing, func(id string) bool { return id == rec.ID })
		}
	}
	if len(missing) == 0 {
		return rows, nil
	}
	records, err := s.load(ctx, missing...)
	if err != nil {
		return nil, err
	}
	for _, id := range missing {
		if rec, ok := records.find(id); ok {
			rows = append(rows, &rec)
		}
	}
	return rows, nil
}

// without are the rows whose ids none of others has.
func without(rows, others []*Record) []*Record {
	return slices.DeleteFunc(slices.Clone(rows), func(rec *Record) bool {
		return slices.ContainsFunc(others, func(o *Record) bool { return o.ID == rec.ID })
	})
}

// An end says which page of a list is the last.
type end bool

const (
	shortIsLast end = false // as the contract has it
	emptyIsLast end = true  // for one read more, whatever the store makes of the contract
)

// list gives all records that q selects, in pages of q.Limit, and an error where the
// store fails, which ends it.
func (s *Service) list(ctx context.Context, q Query, last end) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		for {
			records, err := s.store.List(ctx, q)
			if err != nil {
				yield(Record{}, fmt.Errorf("mfa: listing %s records: %w", q.Kind, err))
				return
			}
			for _, rec := range records {
				if rec.ID <= q.After { // it would go on for ever
					yield(Record{}, integrityError(&rec, "the store listed it out of order"))
					return
				}
				q.After = rec.ID
				if !yield(rec, nil) {
					return
				}
			}
			if len(records) == 0 || last == shortIsLast && len(records) < q.Limit {
				return
			}
		}
	}
}

// loaded are a few records of a store, in any order.
type loaded []Record

func (l loaded) find(id string) (Record, bool) {
	for i := range l {
		if l[i].ID == id {
			return l[i], true
		}
	}
	return Record{}, false
}

// A contradiction is what two sealed records say that cannot both be true, such as
// a user's record that lists a factor which is not there. It matches ErrIntegrity.
type contradiction struct {
	error
	seen string // which versions said so
}

func (c *contradiction) Unwrap() error { return c.error }

// contradict says what a user's record and another record disagree about. Either
// version is 0 where there is no such record.
func contradict(userVersion int64, id string, version int64, what string) error {
	return &contradiction{
		fmt.Errorf("%w: record %s: %s", ErrIntegrity, id, what),
		fmt.Sprint(userVersion, id, version),
	}
}

// agreed reads until the records agree, or contradict each other twice in the same
// way: records that are not read at one moment may contradict each other while
// somebody writes them. A Save is seen at one moment, so the next reading has all of it.
// id is what a caller is told about for whom others wrote all the time.
func agreed[T any](id string, read func() (T, error)) (T, error) {
	var none T
	seen := ""
	for range maxRaces {
		v, err := read()
		c, contradicts := errors.AsType[*contradiction](err)
		if !contradicts || c.seen == seen {
			return v, err
		}
		seen = c.seen
	}
	return none, errThrottled(id, raceWait, ReasonRaces)
}
