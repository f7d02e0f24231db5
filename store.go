package mfa

import (
	"context"
	"crypto/rand"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/authfactor/mfa/internal/codec"
	"github.com/authfactor/mfa/internal/limit"
	"github.com/authfactor/mfa/proof"
)

// A Store persists versioned records. It has no policy, no clock and no
// secrets: what decides is encrypted in [Record.State], and the other columns
// are copies for operators and indexes. Its methods are called from many
// goroutines and processes at once. mfatest.TestStore tests this contract.
//
// Every method must honour its context: with a cancelled one it returns an
// error that matches the context's and changes nothing. (The service commits
// under a context of its own, so a caller who hangs up does not cancel Save.)
// No method writes to its arguments or keeps them.
//
// For a table: ids and parents are 1 to 64 printable ASCII characters, the space
// included, compared byte by byte, and no foreign keys. User ids are text: any valid
// UTF-8 without control characters, at most 255 bytes, characters of four bytes
// included, compared byte by byte as well ("Ann", "ann" and "ann " are three users).
// Kinds, types and statuses are at most 32 characters of a to z, 0 to 9 and '_', and
// later versions have more of them. The primary key is the id; List needs an index of
// kind, user and id, and Purge one of ExpiresAt.
type Store interface {
	// Load returns the records with these ids, their parents, and the parents of
	// those: a challenge brings its factor and the record of the factor's user.
	// There are no more than these three levels, so two joins are enough; a store
	// may follow parents further. If somebody edited the database so that parents
	// form a circle, Load must end nevertheless. A missing id or parent is left out,
	// and each record appears once, in any order; without ids there are no records.
	// It must see every Save that returned before, so it must not read from a
	// replica. The records need not be of one moment, but each is as one Save stored
	// it, and never as a Save that fails would have stored it.
	Load(ctx context.Context, ids ...string) ([]Record, error)

	// List returns the records that q selects in order of id, byte by byte
	// whatever the collation of the database: the first q.Limit of them, and fewer
	// only if there are no more. If the database gives shorter pages, the store
	// must read on. Like Load it must see every Save that returned before, and
	// nothing of one that fails: by it the service knows whether a user has a second
	// factor.
	List(ctx context.Context, q Query) ([]Record, error)

	// Save applies all changes or none, at one moment for all readers; no changes
	// are nil. nil means durable and visible to every process, so Save never joins
	// a transaction of the caller. If any stored version is not the one that a
	// change was based on, a record is gone, or the id of an insert exists, Save
	// writes nothing and its error matches [ErrConflict]: the service reads again
	// and retries. Nothing else is a conflict: deadlocks and serialization
	// failures are the store's to avoid or retry, and if the context ended, the
	// error does not match ErrConflict. Any error but a conflict is returned to the
	// caller, and the changes may or may not have been applied, but still all or none:
	// also if the context ends within Save. The ids of one call are distinct, 16 at
	// most, and such a call must be possible with the longest State in each.
	Save(ctx context.Context, changes ...Change) error

	// Purge deletes all records whose ExpiresAt is set and before the given time,
	// which has whole milliseconds too, however many there are, and returns how many.
	// Other records stay, also those whose parent is deleted. The statement that
	// deletes a record must check its ExpiresAt: one that was given a later one a
	// moment ago stays.
	//
	// Besides Purge and Save a store may delete only records that expired more than
	// 24 hours ago: until then the service answers that they are expired. A time to
	// live that ends at ExpiresAt by the clock of the database is too early.
	Purge(ctx context.Context, before time.Time) (int, error)
}

// A Record is what a [Store] keeps. Times have whole milliseconds, are of the years
// 1970 to 9999, and are in UTC, when they are saved and when they are read; the zero
// time means that there is none and comes back as the zero time. Unless their comment says
// otherwise, fields may change in a replacement.
type Record struct {
	ID     string // primary key
	Kind   string // "factor", "challenge", "number", "bucket", "user" or "device"; never changes
	Parent string // id of another record, which need not exist; "" for none
	UserID string // the owner, as the application calls it; "" for none; never changes
	Type   string // the FactorType for factors and challenges, "" otherwise
	Status string // for operators, such as "verified" or "disabled"

	CreatedAt time.Time // never changes
	UpdatedAt time.Time // moves with Status, for a factor
	ExpiresAt time.Time // a Purge with a later time deletes the record; zero for never

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

// The kinds of records and their ids.
const (
	kindFactor    = "factor"    // parent: its user's record, if it has an owner
	kindChallenge = "challenge" // parent: its factor
	kindNumber    = "number"    // the limits of a phone number
	kindBucket    = "bucket"    // messages to unconfirmed numbers of a block or a region
	kindUser      = "user"      // the limits of a user, and which factors and devices they have
	kindDevice    = "device"    // a trusted device; parent: its user's record

	factorPrefix    = "auth_factor_"
	challengePrefix = "auth_challenge_"
	numberPrefix    = "auth_number_"
	bucketPrefix    = "auth_bucket_"
	userPrefix      = "auth_user_"
	devicePrefix    = "auth_device_"
)

// newID makes an id. Its 80 random bits are not what protects the record:
// ownership checks are.
func newID(prefix string, now time.Time) (string, error) {
	id, err := ulid.New(ulid.Timestamp(now), rand.Reader)
	if err != nil {
		return "", fmt.Errorf("mfa: minting an id: %w", err)
	}
	return prefix + id.String(), nil
}

// wellFormed reports whether an id can be one of ours, so that nothing else ever
// reaches a store.
func wellFormed(prefix, id string) bool {
	text, ok := strings.CutPrefix(id, prefix)
	if !ok || len(text) != ulid.EncodedSize {
		return false
	}
	parsed, err := ulid.ParseStrict(text)
	return err == nil && parsed.String() == text // the canonical spelling only
}

// A factor is the record of an authentication factor.
type factor struct {
	Record
	methods methods    // whose types it can have; nil: those that are built in
	traits  traits     // of its type
	own     possession // what is particular to its type
	ownRest []byte     // what a newer version appended to that

	name     string
	verified bool      // confirmed by a first success
	success  time.Time // of the last success
	guesses  limit.Failures
	requests []request // the last challenges with an idempotency key
	replaces string    // id of the factor that goes when this one is confirmed
	proved   bool      // enrolled with a receipt, or by an operator

	rest []byte
}

func (f *factor) columns() *Record { return &f.Record }

func (f *factor) fields(c *codec.Codec) {
	f.ownFields(c)
	c.String(&f.name)
	c.Bool(&f.verified)
	c.Time(&f.success)
	failureFields(c, &f.guesses)
	codec.List(c, &f.requests, maxRequests, func(r *request) { r.fields(c) })
	c.String(&f.replaces)
	c.Bool(&f.proved)
	c.Rest(&f.rest)
}

// ownFields reads or writes the factor's own part, which has a length of its own, so that
// what a newer version appends to it is kept.
func (f *factor) ownFields(c *codec.Codec) {
	if c.Reading() {
		m := f.methods.of(FactorType(f.Type)) // one that is known, or decode had refused it
		f.traits, f.own = m.traits(), m.empty()
	}
	c.Part(func(c *codec.Codec) {
		f.own.fields(c)
		c.Rest(&f.ownRest)
	})
}

// A challenge is the record of one challenge.
type challenge struct {
	Record
	code     string // unless an app makes it
	failures int64  // wrong codes

	request request // the last Verify with an idempotency key
	asked   []byte  // a MAC of the Challenge that made it, if its key is remembered here

	action     proof.Action // that the code approves; zero for a login
	acceptedAt time.Time    // when the code was accepted
	redeemed   bool         // the receipt was redeemed

	kept      []byte // by the ceremony, to check the answer by
	options   []byte // of the ceremony, for a call that is made again
	registers bool   // by the ceremony, a factor that was not confirmed
	codesSeed []byte // that recovery codes were made of, beside the key of the request
	codesSet  string // id of their factor; "" if the request made none
	sender    taken  // of its message, where it gave an id

	rest []byte
}

func (ch *challenge) columns() *Record { return &ch.Record }

func (ch *challenge) fields(c *codec.Codec) {
	c.String(&ch.code)
	c.Int(&ch.failures)
	ch.request.fields(c)
	c.Bytes(&ch.asked)
	actionFields(c, &ch.action)
	c.Time(&ch.acceptedAt)
	c.Bool(&ch.redeemed)
	c.Bytes(&ch.kept)
	ch.optionFields(c)
	c.Bytes(&ch.codesSeed)
	c.String(&ch.codesSet)
	c.Bool(&ch.registers)
	c.String(&ch.sender.by)
	c.String(&ch.sender.id)
	c.Rest(&ch.rest)
}

// optionFields lists what only a call that is made again needs, by its key.
func (ch *challenge) optionFields(c *codec.Codec) {
	var stored []byte
	if len(ch.asked) > 0 {
		stored = ch.options
	}
	if c.Bytes(&stored); c.Reading() {
		ch.options = stored
		if len(ch.asked) == 0 && len(stored) > 0 { // nobody wrote that
			c.Refuse()
		}
	}
}

// A bucket is the record of a leaky bucket of messages to numbers that were never confirmed:
// those of a block, or a part of those of a region.
type bucket struct {
	Record
	empty time.Time // when it will be
	told  time.Time // when an event last said that it is full; of a shard

	rest []byte
}

func (b *bucket) columns() *Record { return &b.Record }

func (b *bucket) fields(c *codec.Codec) {
	c.Time(&b.empty)
	c.Time(&b.told)
	c.Rest(&b.rest)
}

// A user is the limits of a user, and the list of their factors and devices.
type user struct {
	Record
	sends   limit.Messages
	guesses limit.Failures // wrong codes of unverified factors that count here: traits.unconfirmed

	factors []membership
	gone    []goneApp // the last apps that were deleted

	devices []string // ids of those that count, the newest last
	set     []byte   // fingerprint of the verified factors that they were trusted beside

	rest []byte
}

// A goneApp is a deleted app. If its secret is enrolled again, its used codes
// stay used.
type goneApp struct {
	hash     string // of the secret
	nextStep int64
}

// A membership is a factor as its user's record remembers it.
type membership struct {
	id       string
	backup   bool      // the factor's trait
	verified bool      // confirmed by a first success
	lapses   time.Time // when it expires unless it was verified
}

func (u *user) columns() *Record { return &u.Record }

func (u *user) fields(c *codec.Codec) {
	messageFields(c, &u.sends)
	failureFields(c, &u.guesses)
	codec.List(c, &u.factors, maxMembers, func(m *membership) {
		c.String(&m.id)
		c.Bool(&m.backup)
		c.Bool(&m.verified)
		c.Time(&m.lapses)
	})
	codec.List(c, &u.gone, maxGoneApps, func(app *goneApp) {
		c.String(&app.hash)
		c.Int(&app.nextStep)
	})
	codec.List(c, &u.devices, maxDevices, c.String)
	c.Bytes(&u.set)
	c.Rest(&u.rest)
}

func columnFields(c *codec.Codec, r *Record) {
	c.String(&r.Type)
	c.String(&r.Status)
	c.Time(&r.CreatedAt)
	c.Time(&r.UpdatedAt)
	c.Time(&r.ExpiresAt)
}

func failureFields(c *codec.Codec, f *limit.Failures) {
	c.Int(&f.InARow)
	c.Time(&f.Last)
	c.Time(&f.Bucket.Empty)
	c.Int(&f.Bucket.Told)
	c.Time(&f.Bucket.Emptied)
	c.Bool(&f.Disabled)
}

func messageFields(c *codec.Codec, m *limit.Messages) {
	dayFields(c, &m.Times)
	c.Time(&m.Since)
	c.Time(&m.Forgiven)
}

func dayFields(c *codec.Codec, d *limit.Day) { codec.List(c, d, maxSends, c.Time) }

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
