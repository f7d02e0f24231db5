package mfa

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/authfactor/mfa/internal/codec"
	"github.com/authfactor/mfa/internal/limit"
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

func userRecordID(userID string) string {
	sum := sha256.Sum256([]byte(userID))
	return userPrefix + base32.StdEncoding.EncodeToString(sum[:20])
}

// A factor is the record of an authentication factor.
type factor struct {
	Record
	methods  methods    // whose types it can have; nil: those that are built in
	traits   traits     // of its type
	own      possession // what is particular to its type
	ownLater []byte     // what a newer version appended to that

	name     string
	verified bool      // confirmed by a first success
	success  time.Time // of the last success
	guesses  limit.Failures
	requests []request // the last challenges with an idempotency key
	replaces string    // id of the factor that goes when this one is confirmed
	proved   bool      // enrolled with a proof, or without the need of one

	later []byte
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
	c.Rest(&f.later)
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

	kept      []byte // by the ceremony, to check the answer by
	options   []byte // of the ceremony, for a call that is made again
	codesSeed []byte // that recovery codes were made of, beside the key of the request
	codesSet  string // id of their factor; "" if the request made none

	later []byte
}

func (ch *challenge) columns() *Record { return &ch.Record }

func (ch *challenge) fields(c *codec.Codec) {
	c.String(&ch.code)
	c.Int(&ch.failures)
	ch.request.fields(c)
	c.Bytes(&ch.asked)
	actionFields(c, &ch.action)
	c.Time(&ch.verified)
	c.Bool(&ch.spent)
	c.Bytes(&ch.kept)
	c.Bytes(&ch.options)
	c.Bytes(&ch.codesSeed)
	c.String(&ch.codesSet)
	c.Rest(&ch.later)
}

// A number is the budget of a phone number, whoever enrolled it.
type number struct {
	Record
	sends   limit.Messages
	guesses limit.Failures // wrong codes while the factor was unverified
	shares  limit.Shares   // of the sends those while it was, with names of Keyring.numberUsers

	later []byte
}

func (n *number) columns() *Record { return &n.Record }

func (n *number) fields(c *codec.Codec) {
	messageFields(c, &n.sends)
	failureFields(c, &n.guesses)
	codec.List(c, &n.shares, maxSends, func(s *limit.Share) {
		c.Time(&s.At)
		c.String(&s.User)
	})
	c.Rest(&n.later)
}

// A user is the budget of a user.
type user struct {
	Record
	sends   limit.Messages
	guesses limit.Failures // wrong codes of a generic_otp factor while it is unverified

	factors []membership
	gone    []goneApp // the last apps that were taken away

	devices []string // ids of those that count, the newest last
	set     []byte   // fingerprint of the verified factors that they were trusted beside

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
	c.Rest(&u.later)
}

// stored is what all kinds have in common.
type stored interface {
	columns() *Record
	fields(c *codec.Codec)
}

// stateVersion is the first byte of every plain text. Fields are only ever
// appended, so it changes only when that no longer does.
const stateVersion = 2

// sealed turns a record into a change that inserts it, when its version is 0, or
// replaces it.
func (r *Keyring) sealed(s stored) (Change, error) {
	rec := s.columns()
	c := codec.NewWriter(append(make([]byte, sealHeader, 320), stateVersion))
	columnFields(c, rec)
	s.fields(c)
	state, err := r.seal(rec, rec.Version+1, c.Written())
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
		return integrityError(&rec, "its state is of another version of this library")
	}
	c := codec.NewReader(plain[1:])
	sealed := rec
	columnFields(c, &sealed)
	switch {
	case c.Bad():
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
	if f, ok := s.(*factor); ok && f.methods.of(FactorType(sealed.Type)) == nil {
		return integrityError(&rec, "its type is unknown to this Service")
	}
	sealed.State = nil
	*s.columns() = sealed
	if s.fields(c); c.Bad() {
		return integrityError(&rec, "its state is malformed")
	}
	return nil
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
