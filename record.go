package mfa

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/authfactor/mfa/proof"
)

// The kinds of records and their ids.
const (
	kindFactor    = "factor"    // parent: its user's record, if it has an owner
	kindChallenge = "challenge" // parent: its factor
	kindNumber    = "number"    // the budget of a phone number
	kindUser      = "user"      // the budget of a user, and which factors and devices they have
	kindDevice    = "device"    // a trusted device; parent: its user's record

	factorPrefix    = "auth_factor_"
	challengePrefix = "auth_challenge_"
	numberPrefix    = "auth_number_"
	userPrefix      = "auth_user_"
	devicePrefix    = "auth_device_"
)

// newID mints a factor's or a challenge's id. Its 80 random bits are not what
// protects the record: ownership checks are.
func newID(prefix string, now time.Time) (string, error) {
	id, err := ulid.New(ulid.Timestamp(now), rand.Reader)
	if err != nil {
		return "", fmt.Errorf("mfa: minting an id: %w", err)
	}
	return prefix + id.String(), nil
}

// wellFormed says whether an id can be one of ours, so that nothing else ever
// reaches a store.
func wellFormed(prefix, id string) bool {
	text, ok := strings.CutPrefix(id, prefix)
	if !ok || len(text) != ulid.EncodedSize {
		return false
	}
	parsed, err := ulid.ParseStrict(text)
	return err == nil && parsed.String() == text // the canonical spelling only
}

func userRecordID(userID string) string {
	sum := sha256.Sum256([]byte(userID))
	return userPrefix + base32.StdEncoding.EncodeToString(sum[:20])
}

// A factor is the record of an authentication factor.
type factor struct {
	Record
	traits   traits     // of its type
	own      possession // what is particular to its type
	ownLater []byte     // what a newer version appended to that

	name     string
	verified bool      // confirmed by a first success
	success  time.Time // of the last success
	guesses  guesses
	requests []request // the last challenges with an idempotency key
	replaces string    // id of the factor that goes when this one is confirmed
	proved   bool      // enrolled with a proof, or without the need of one

	later []byte
}

func (f *factor) columns() *Record { return &f.Record }

func (f *factor) fields(c *codec) {
	f.ownFields(c)
	c.string(&f.name)
	c.bool(&f.verified)
	c.time(&f.success)
	c.guesses(&f.guesses)
	c.requests(&f.requests)
	c.string(&f.replaces)
	c.bool(&f.proved)
	c.rest(&f.later)
}

// A challenge is the record of one challenge.
type challenge struct {
	Record
	code     string // unless an app makes it
	failures int64  // wrong codes

	request request // the last Verify with an idempotency key
	asked   []byte  // a MAC of the Challenge that made it, if its key is remembered here

	action   proof.Action // that the code approves; zero for a login
	verified time.Time    // when the code was accepted
	spent    bool         // the receipt

	later []byte
}

func (ch *challenge) columns() *Record { return &ch.Record }

func (ch *challenge) fields(c *codec) {
	c.string(&ch.code)
	c.int(&ch.failures)
	c.request(&ch.request)
	c.action(&ch.action)
	c.time(&ch.verified)
	c.bool(&ch.spent)
	c.bytes(&ch.asked)
	c.rest(&ch.later)
}

// A number is the budget of a phone number, whoever enrolled it.
type number struct {
	Record
	sends   sends
	guesses guesses // wrong codes while the factor was unverified
	shares  []share // of the sends those while the factor was unverified, oldest first

	later []byte
}

// A share is one message to a number that was not confirmed, and whom it was for.
type share struct {
	at   time.Time
	user string // see Keyring.numberUsers
}

func (n *number) columns() *Record { return &n.Record }

func (n *number) fields(c *codec) {
	c.sends(&n.sends)
	c.guesses(&n.guesses)
	size := int64(len(n.shares))
	c.int(&size)
	if c.reading {
		n.shares = make([]share, c.size(size, maxSends))
	}
	for i := range n.shares {
		c.time(&n.shares[i].at)
		c.string(&n.shares[i].user)
	}
	c.rest(&n.later)
}

// A user is the budget of a user.
type user struct {
	Record
	sends   sends
	factors []membership

	devices []string // ids of those that count, the newest last
	set     []byte   // fingerprint of the verified factors that they were trusted beside

	guesses guesses // wrong codes for what the application delivers codes by, while it is unverified

	gone []goneApp // the last apps that were taken away

	later []byte
}

// A goneApp is an app that was taken away. If its secret is enrolled again, its used
// codes stay used.
type goneApp struct {
	hash     string // of the secret
	nextStep int64
}

// A membership is a factor as its user's record remembers it.
type membership struct {
	id       string
	backup   bool      // the factor's trait
	verified bool      // confirmed by a first success
	lapses   time.Time // when it is gone unless it was verified
}

func (u *user) columns() *Record { return &u.Record }

func (u *user) fields(c *codec) {
	c.sends(&u.sends)
	n := int64(len(u.factors))
	c.int(&n)
	if c.reading {
		u.factors = make([]membership, c.size(n, maxMembers))
	}
	for i := range u.factors {
		m := &u.factors[i]
		c.string(&m.id)
		c.bool(&m.backup)
		c.bool(&m.verified)
		c.time(&m.lapses)
	}
	c.strings(&u.devices, maxDevices)
	c.bytes(&u.set)
	c.guesses(&u.guesses)
	n = int64(len(u.gone))
	c.int(&n)
	if c.reading {
		u.gone = make([]goneApp, c.size(n, maxGoneApps))
	}
	for i := range u.gone {
		c.string(&u.gone[i].hash)
		c.int(&u.gone[i].nextStep)
	}
	c.rest(&u.later)
}

// stored is what all kinds have in common.
type stored interface {
	columns() *Record
	fields(c *codec)
}

// stateVersion is the first byte of every plain text. Fields are only ever
// appended, so it changes only when that no longer does.
const stateVersion = 1

// seal turns a record into a change that inserts it, when its version is 0, or
// replaces it.
func (r *Keyring) sealed(s stored) (Change, error) {
	rec := s.columns()
	c := &codec{buf: append(make([]byte, sealHeader, 320), stateVersion)}
	c.columns(rec)
	s.fields(c)
	state, err := r.seal(rec, rec.Version+1, c.buf)
	if err != nil {
		return Change{}, err
	}
	change := Change{Record: *rec}
	change.Record.State = state
	return change, nil
}

// opened reads a record of a store into s and holds every column against State.
func (r *Keyring) opened(rec Record, kind string, s stored) error {
	if rec.Kind != kind {
		return integrityError(&rec, "it is of another kind")
	}
	plain, err := r.open(&rec)
	if err != nil {
		return err
	}
	if len(plain) == 0 || plain[0] != stateVersion {
		return integrityError(&rec, "its state is of a newer version of this library")
	}
	c := &codec{buf: plain[1:], reading: true}
	sealed := rec
	c.columns(&sealed)
	switch {
	case c.bad:
		return integrityError(&rec, "its state is malformed")
	case sealed.Type != rec.Type:
		return integrityError(&rec, "column Type differs from its state")
	case sealed.Status != rec.Status:
		return integrityError(&rec, "column Status differs from its state")
	case !sealed.CreatedAt.Equal(rec.CreatedAt):
		return integrityError(&rec, "column CreatedAt differs from its state")
	case !sealed.UpdatedAt.Equal(rec.UpdatedAt):
		return integrityError(&rec, "column UpdatedAt differs from its state")
	case !sealed.ExpiresAt.Equal(rec.ExpiresAt):
		return integrityError(&rec, "column ExpiresAt differs from its state")
	}
	sealed.State = nil
	*s.columns() = sealed
	if s.fields(c); c.bad {
		return integrityError(&rec, "its state is malformed")
	}
	return nil
}

// A codec writes or reads the fields of a record, one after the other, so that
// each kind lists them once. What an older version did not write is read as zero.
type codec struct {
	buf     []byte // written so far, or still to be read
	reading bool
	bad     bool
}

func (c *codec) columns(r *Record) {
	c.string(&r.Type)
	c.string(&r.Status)
	c.time(&r.CreatedAt)
	c.time(&r.UpdatedAt)
	c.time(&r.ExpiresAt)
}

func (c *codec) int(v *int64) {
	if !c.reading {
		c.buf = binary.AppendVarint(c.buf, *v)
		return
	}
	if len(c.buf) == 0 {
		return
	}
	n, size := binary.Varint(c.buf)
	if size <= 0 {
		c.bad, c.buf = true, nil
		return
	}
	*v, c.buf = n, c.buf[size:]
}

func (c *codec) bytes(v *[]byte) {
	if n := c.length(len(*v)); c.reading {
		*v, c.buf = c.buf[:n:n], c.buf[n:]
	} else {
		c.buf = append(c.buf, *v...)
	}
}

func (c *codec) string(v *string) {
	if n := c.length(len(*v)); c.reading {
		*v, c.buf = string(c.buf[:n]), c.buf[n:]
	} else {
		c.buf = append(c.buf, *v...)
	}
}

// length writes a length, or reads one that is not more than what is left.
func (c *codec) length(n int) int {
	v := int64(n)
	c.int(&v)
	if c.reading && (v < 0 || v > int64(len(c.buf))) {
		c.bad, c.buf, v = true, nil, 0
	}
	return int(v)
}

func (c *codec) bool(v *bool) {
	var n int64
	if *v {
		n = 1
	}
	c.int(&n)
	*v = n != 0
}

// time keeps milliseconds; 0 is the zero time.
func (c *codec) time(v *time.Time) {
	n := millis(*v)
	c.int(&n)
	if c.reading {
		*v = time.Time{}
		if n != 0 {
			*v = time.UnixMilli(n).UTC()
		}
	}
}

func (c *codec) guesses(g *guesses) {
	c.int(&g.failures)
	c.time(&g.last)
	c.time(&g.bucket)
	c.bool(&g.disabled)
	c.int(&g.told)
	c.time(&g.forgotten)
}

func (c *codec) sends(s *sends) {
	n := int64(len(s.times))
	c.int(&n)
	if c.reading {
		s.times = make([]time.Time, c.size(n, maxSends))
	}
	for i := range s.times {
		c.time(&s.times[i])
	}
	c.time(&s.since)
	c.time(&s.forgiven)
}

// size is the length of a list, 0 of one that nobody wrote.
func (c *codec) size(n, limit int64) int64 {
	if n < 0 || n > limit {
		c.bad, c.buf = true, nil
		return 0
	}
	return n
}

// rest keeps what a newer version appended, so that a process that does not know
// it yet writes it back.
func (c *codec) rest(v *[]byte) {
	if c.reading {
		*v, c.buf = slices.Clone(c.buf), nil
	} else {
		c.buf = append(c.buf, *v...)
	}
}
