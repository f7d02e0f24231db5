// Package customstore is a store for mfa over bbolt, a database in one file, as an
// example of how to write one for a database of your own. It is complete: copy it.
//
// A store is four methods over versioned records. It knows nothing of factors and
// codes: what decides lies sealed in [mfa.Record.State], and all that a store has to
// get right is that [Store.Save] is all or nothing, and that nobody's change is lost.
// mfatest.TestStore, in store_test.go, tells whether it does.
package customstore

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"github.com/authfactor/mfa"
)

// A Store keeps records in a bbolt file. bbolt lets one process open a file: for
// several, take a database with a server.
type Store struct{ db *bbolt.DB }

// Two buckets, as two tables or a table and its index elsewhere. bbolt keeps keys in
// the order of their bytes, which is the order that List needs. A database with
// collations must be told (COLLATE "C", BINARY).
var (
	records = []byte("records") // id -> record
	owned   = []byte("owned")   // kind, user and id -> nothing
)

// Open opens or makes the file. Close the store after use.
func Open(path string) (*Store, error) {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: time.Second})
	if err != nil {
		return nil, err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		_, err1 := tx.CreateBucketIfNotExists(records)
		_, err2 := tx.CreateBucketIfNotExists(owned)
		return errors.Join(err1, err2)
	})
	return &Store{db}, err
}

// Close closes the file.
func (s *Store) Close() error { return s.db.Close() }

// Load also returns the parent of each record and the parent of that, so that Verify
// gets a challenge, its factor and their user in one round trip. In SQL these are two
// joins, or a recursive query. Each record comes once; what is not there is left out
// and is no error.
func (s *Store) Load(ctx context.Context, ids ...string) ([]mfa.Record, error) {
	if err := ctx.Err(); err != nil { // every method honours its context
		return nil, err
	}
	var found []mfa.Record
	seen := map[string]bool{}
	err := s.db.View(func(tx *bbolt.Tx) error {
		for _, id := range ids {
			for ; id != "" && !seen[id]; id = found[len(found)-1].Parent {
				seen[id] = true
				r, err := get(tx, id)
				if err != nil {
					return err
				}
				if r.Version == 0 {
					break
				}
				found = append(found, r)
			}
		}
		return nil
	})
	return found, err
}

// List walks the index of a user, or all records if no user is asked for. "Greater
// than After" makes pages that do not shift when records come and go.
func (s *Store) List(ctx context.Context, q mfa.Query) ([]mfa.Record, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	bucket, prefix := records, ""
	if q.UserID != "" {
		bucket, prefix = owned, ownedKey(q.Kind, q.UserID, "")
	}
	var found []mfa.Record
	err := s.db.View(func(tx *bbolt.Tx) error {
		c := tx.Bucket(bucket).Cursor()
		for k, _ := c.Seek([]byte(prefix + q.After)); bytes.HasPrefix(k, []byte(prefix)) && k != nil && len(found) < q.Limit; k, _ = c.Next() {
			id := string(k[len(prefix):])
			r, err := get(tx, id)
			if err != nil {
				return err
			}
			if id > q.After && r.Kind == q.Kind {
				found = append(found, r)
			}
		}
		return nil
	})
	return found, err
}

// Save is the heart: look at the versions and write, as one step. bbolt runs one
// Update at a time, on disk when it returns, and takes everything back when the
// function returns an error. Where transactions run side by side, a version is looked
// at by the writing statement itself (UPDATE ... WHERE id = ? AND version = ?, and no
// row changed is a conflict), records are locked in order of id, and deadlocks are
// tried again here. Never join a transaction of the caller: what it takes back later
// has been told by then.
func (s *Store) Save(ctx context.Context, changes ...mfa.Change) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.db.Update(func(tx *bbolt.Tx) error {
		for _, c := range changes {
			old, err := get(tx, c.Record.ID)
			if err != nil {
				return err
			}
			// One comparison for three rules, since what is not there has version 0: an
			// insert finds nothing, a replacement its version, and nothing else is deleted.
			if old.Version != c.Record.Version || c.Delete && old.Version == 0 {
				return fmt.Errorf("%w: record %s", mfa.ErrConflict, c.Record.ID)
			}
			if err := remove(tx, old); err != nil {
				return err
			}
			if !c.Delete {
				if err := put(tx, c.Record); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// Purge looks at ExpiresAt and deletes within one step, so that a record that is
// saved with a later one meanwhile stays: DELETE ... WHERE expires_at < ?.
func (s *Store) Purge(ctx context.Context, before time.Time) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	var lapsed []mfa.Record
	err := s.db.Update(func(tx *bbolt.Tx) error {
		err := tx.Bucket(records).ForEach(func(_, value []byte) error {
			var r mfa.Record
			if err := json.Unmarshal(value, &r); err != nil {
				return err
			}
			if !r.ExpiresAt.IsZero() && r.ExpiresAt.Before(before) {
				lapsed = append(lapsed, r)
			}
			return nil
		})
		for _, r := range lapsed {
			err = errors.Join(err, remove(tx, r))
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	return len(lapsed), nil
}

// get returns the zero record, of version 0, for what is not there.
func get(tx *bbolt.Tx, id string) (r mfa.Record, err error) {
	if value := tx.Bucket(records).Get([]byte(id)); value != nil {
		err = json.Unmarshal(value, &r)
	}
	return r, err
}

// put stores the next version. Every column comes back as it was, times to the
// millisecond.
func put(tx *bbolt.Tx, r mfa.Record) error {
	r.Version++
	value, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := tx.Bucket(records).Put([]byte(r.ID), value); err != nil || r.UserID == "" {
		return err
	}
	return tx.Bucket(owned).Put([]byte(ownedKey(r.Kind, r.UserID, r.ID)), nil)
}

func remove(tx *bbolt.Tx, r mfa.Record) error {
	return errors.Join(
		tx.Bucket(records).Delete([]byte(r.ID)),
		tx.Bucket(owned).Delete([]byte(ownedKey(r.Kind, r.UserID, r.ID))))
}

// ownedKey separates its parts by a byte that user ids never have.
func ownedKey(kind, user, id string) string { return kind + "\x00" + user + "\x00" + id }
