package mfa

import (
	"context"
	"fmt"
	"iter"
)

// A lastPage says which page of a list is the last.
type lastPage bool

const (
	shortIsLast lastPage = false // as the contract has it
	emptyIsLast lastPage = true  // for one read more, whatever the store makes of the contract
)

// list gives all records that q selects, in pages of q.Limit, and an error where the
// store fails, which ends it.
func (s *Service) list(ctx context.Context, q Query, last lastPage) iter.Seq2[Record, error] {
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
