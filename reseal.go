package mfa

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"
)

// ResealParams says where [Service.Reseal] begins, and how fast it goes.
type ResealParams struct {
	// After goes on behind a record: the last Progress.After that was seen.
	// Defaults to "", the beginning.
	After string

	// PerSecond is how many records are written in a second at most.
	// Defaults to 100. Below 0 it is ErrInvalidParameter.
	PerSecond int
}

// A ResealProgress says how far [Service.Reseal] has come.
type ResealProgress struct {
	After    string // the id of the last record; keep it to go on from here
	Walked   int    // records looked at, by this call
	Resealed int    // records written, by this call
}

// Reseal writes every factor, trusted device and user's record that was not sealed with the
// first key of [Config.Keys], so that the others can be taken out of it: run it to its
// end once all processes seal with the first one, and take the others out 24 hours
// later, when no challenge is left that they sealed. It is safe beside live traffic, and
// twice at once.
//
// It yields after each record, and with an error where one failed; go on or break
// at will. A record that does not open or could not be written is passed over: walk
// again when the cause is gone. An error of the listing store ends the walk, as a
// cancelled context does. What was budgeted for a phone number moves with its factor;
// without one it stays behind, and is forgotten with its key.
//
//	for p, err := range svc.Reseal(ctx, mfa.ResealParams{}) {
//		...
//	}
func (s *Service) Reseal(ctx context.Context, p ResealParams) iter.Seq2[ResealProgress, error] {
	return func(yield func(ResealProgress, error) bool) {
		progress := ResealProgress{After: p.After}
		if p.PerSecond < 0 {
			yield(progress, errParameter("PerSecond must not be negative."))
			return
		}
		if p.PerSecond == 0 {
			p.PerSecond = 100
		}
		for _, kind := range []struct{ name, prefix string }{{kindDevice, devicePrefix}, {kindFactor, factorPrefix}, {kindUser, userPrefix}} {
			// In order of id, the kinds lie one behind the other.
			if progress.After > kind.prefix && !strings.HasPrefix(progress.After, kind.prefix) {
				continue
			}
			// Nothing else would tell that a record was passed over, before its key is gone.
			query := Query{Kind: kind.name, After: max(progress.After, kind.prefix), Limit: 100}
			for rec, err := range s.list(ctx, query, emptyIsLast) {
				if err != nil {
					yield(progress, err)
					return
				}
				written, err := s.reseal(ctx, rec)
				progress.After = rec.ID
				progress.Walked++
				if written {
					progress.Resealed++
				}
				if !yield(progress, err) {
					return
				}
				if written && !wait(ctx, time.Second/time.Duration(p.PerSecond)) {
					yield(progress, fmt.Errorf("mfa: resealing: %w", ctx.Err()))
					return
				}
			}
		}
	}
}

// reseal writes one record again if another key than the first sealed it, or any
// record of its number.
func (s *Service) reseal(ctx context.Context, rec Record) (written bool, err error) {
	current := bytes.HasPrefix(rec.State, s.keys.keys()[0].id[:])
	if rec.Kind == kindFactor {
		written, err = s.resealFactor(ctx, rec, current)
	} else if !current {
		written, err = s.resealOther(ctx, rec)
	}
	if errors.Is(err, ErrNotFound) { // deleted meanwhile
		return false, nil
	}
	return written, err
}

// resealFactor writes a factor, unless its seal is current, and the budget of its number.
func (s *Service) resealFactor(ctx context.Context, rec Record, current bool) (bool, error) {
	type resealing struct {
		moment
		factor *factor
		phone  *budget // nil: it sends no messages
	}
	if m := s.methods.of(FactorType(rec.Type)); current && (m == nil || !m.traits().messages) {
		return false, nil
	}
	load := func(ctx context.Context) (d resealing, err error) {
		var records loaded
		if records, d.moment, err = s.loadFactor(ctx, rec.ID, AnyUser); err != nil {
			return d, err
		}
		if d.factor, err = s.openFactor(records, rec.ID, AnyUser); err != nil {
			return d, err
		}
		if d.factor.traits.messages {
			d.phone, err = s.loadPhone(ctx, d.factor)
		}
		return d, err
	}
	return transact(ctx, s, rec.ID, load, func(d resealing) (bool, outcome) {
		var out outcome
		if !current {
			out.put(d.factor)
		}
		if d.phone != nil && len(d.phone.older) > 0 {
			out.savePhone(d.now, d.phone)
		}
		return len(out.save) > 0, out
	})
}

// resealOther writes a device or a user's record.
func (s *Service) resealOther(ctx context.Context, rec Record) (bool, error) {
	type resealing struct {
		moment
		record stored
	}
	load := func(ctx context.Context) (d resealing, err error) {
		var records loaded
		if records, d.moment, err = s.loadNow(ctx, rec.ID); err != nil {
			return d, err
		}
		found, ok := records.find(rec.ID)
		if !ok {
			return d, errNotFound(rec.Kind, rec.ID)
		}
		if rec.Kind == kindDevice {
			r := new(device)
			d.record = r
			return d, s.keys.opened(found, kindDevice, r)
		}
		r := new(user)
		d.record = r
		return d, s.keys.opened(found, kindUser, r)
	}
	return transact(ctx, s, rec.ID, load, func(d resealing) (bool, outcome) {
		return true, outcome{save: []stored{d.record}}
	})
}

// wait reports whether it waited to the end.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d) //nolint:forbidigo // it lets time pass, and does not tell it
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
