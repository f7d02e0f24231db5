package mfa

import (
	"context"
	"time"
)

// A Store persists versioned records. It has no policy, no clock and no
// secrets: what decides travels sealed in [Record.State], and the other columns
// are copies for operators and indexes. Implementations are called from many
// goroutines and processes at once; mfatest.TestStore holds them to this contract.
//
// Every method honours its context: with a cancelled one it returns an error
// that matches the context's and changes nothing. (The service commits under a
// context of its own, so a caller who hangs up does not reach Save.)
//
// For a table: ids and parents are 1 to 64 printable ASCII characters, compared byte
// by byte, and no foreign keys; user ids are valid UTF-8 without control characters,
// at most 255 bytes, compared byte by byte as well ("Ann", "ann" and "ann " are
// three users); kinds, types and statuses are at most 32 lower-case ASCII
// characters. The primary key is the id; List wants an index of kind, user and id,
// and Purge one of ExpiresAt.
type Store interface {
	// Load returns the records with these ids, their parents, and the parents of
	// those: a challenge brings its factor and the record of the factor's user. There
	// are no more levels than these three, so that two joins do; a store may follow
	// parents further. An id or a parent that is not there is left out, each record
	// appears once, and the order is free; no ids, no records. It sees every Save that
	// returned before, so it does not read from a replica; the records need not be of
	// one moment.
	Load(ctx context.Context, ids ...string) ([]Record, error)

	// List returns the records that q selects in order of id, byte by byte whatever
	// the collation of the database: the first q.Limit of them, and fewer only if
	// there are no more. A store whose database gives shorter pages reads on.
	// Like Load it sees every Save that returned before: whether a user has a second
	// factor is read by it.
	List(ctx context.Context, q Query) ([]Record, error)

	// Save applies all changes or none, at one moment for all readers; no changes are nil. nil means durable and
	// visible to every process, so Save never joins a transaction of the caller. When
	// any stored version is not the one that a change was based on, a record is gone,
	// or the id of an insert exists, Save writes nothing and its error matches
	// [ErrConflict]: the service reads again and tries once more. Nothing else is a
	// conflict, and deadlocks and serialization failures are the store's to avoid or
	// repeat: any other error is told to the caller, and may or may not have been
	// applied. The ids of one call are distinct, 16 at most. Save does not write to
	// its arguments and does not keep them.
	Save(ctx context.Context, changes ...Change) error

	// Purge deletes the records whose ExpiresAt is set and before the given time, which
	// has whole milliseconds too, all of them, and says how many. A record is judged by
	// the statement that deletes it: one that was given a later ExpiresAt a moment ago
	// stays.
	Purge(ctx context.Context, before time.Time) (int, error)
}

// A Record is what a [Store] keeps. Times are UTC with whole milliseconds, of the
// years 1970 to 9999; the zero time means that there is none and comes back as the
// zero time.
type Record struct {
	ID     string // primary key
	Kind   string // "factor", "challenge", "number", "user" or "device"; a store gives it no meaning
	Parent string // id of another record, which need not exist; "" for none
	UserID string // the owner, as the application calls it; "" for none
	Type   string // the FactorType for factors and challenges, "" otherwise
	Status string // for operators, such as "verified" or "disabled"

	CreatedAt time.Time // never changes
	UpdatedAt time.Time // moves with Status, for a factor
	ExpiresAt time.Time // Purge may delete the record after this; zero for never

	Version int64  // 1 after the insert, one more after each replacement
	State   []byte // opaque; up to 64 KiB, often under 300 bytes; nil and empty are the same
}

// A Change is one step of a [Store.Save].
type Change struct {
	// Record is what to store. Its Version says what the change is based on: 0
	// inserts, any other replaces (or deletes) the record that has exactly this
	// Version. The stored record has Version+1.
	Record Record

	// Delete deletes the record instead; only ID and Version count. Nothing has
	// Version 0, so deleting that is a conflict.
	Delete bool
}

// A Query selects records for [Store.List].
type Query struct {
	Kind   string // only records of this kind
	UserID string // only records of this user; "" for all users
	After  string // only records with an id greater than this, byte by byte; "" for all
	Limit  int    // at most this many; at least 1
}
