package passkey

import (
	"bytes"
	"errors"
	"math"

	"github.com/authfactor/mfa/internal/codec"
)

// A credential is what is kept of a passkey. Nothing in it is of the engine that checks
// signatures, so that another one can take over. Before the passkey is confirmed there are the
// label and a handle alone.
type credential struct {
	label string

	id     []byte // the credential id
	key    []byte // the public key, as a COSE_Key
	handle []byte // the user handle, random, the same for all of a user
	aaguid []byte // the model, as it says itself: nothing proves it

	transports []string // by which the browser reaches it

	signCount      uint32
	userVerified   bool // with the last answer
	backupEligible bool // it may be on several devices, or might have been once
	backedUp       bool // it was, with the last answer

	rest []byte // what a newer version appended
}

const maxTransports = 8

func (own *credential) fields(c *codec.Codec) {
	c.String(&own.label)
	c.Bytes(&own.id)
	c.Bytes(&own.key)
	c.Bytes(&own.handle)
	c.Bytes(&own.aaguid)
	codec.List(c, &own.transports, maxTransports, c.String)
	count := int64(own.signCount)
	c.Int(&count)
	if count < 0 || count > math.MaxUint32 {
		c.Refuse()
		return
	}
	own.signCount = uint32(count)
	c.Bool(&own.userVerified)
	c.Bool(&own.backupEligible)
	c.Bool(&own.backedUp)
	c.Rest(&own.rest)
}

func (own *credential) encode() []byte {
	c := codec.NewWriter(nil)
	own.fields(c)
	return c.Written()
}

var errState = errors.New("passkey: the stored state is malformed")

func decodeCredential(state []byte) (own credential, err error) {
	c := codec.NewReader(state)
	own.fields(c)
	if c.Bad() || len(own.handle) == 0 {
		return credential{}, errState
	}
	return own, nil
}

// registered reports whether it is of a passkey that was confirmed.
func (own *credential) registered() bool { return len(own.id) > 0 }

// A question is what a challenge keeps.
type question struct {
	challenge []byte

	// handle is the user handle of a registration; without one it is a login.
	handle []byte

	allowed []allowed // the passkeys that may answer a login, or must not register again
}

// An allowed credential is one that may answer, and its factor.
type allowed struct {
	id       []byte
	factorID string
}

const maxAllowed = 100 // a user has ten factors

func (q *question) fields(c *codec.Codec) {
	c.Bytes(&q.challenge)
	c.Bytes(&q.handle)
	codec.List(c, &q.allowed, maxAllowed, func(a *allowed) {
		c.Bytes(&a.id)
		c.String(&a.factorID)
	})
}

func (q *question) encode() []byte {
	c := codec.NewWriter(nil)
	q.fields(c)
	return c.Written()
}

func decodeQuestion(kept []byte) (q question, err error) {
	c := codec.NewReader(kept)
	q.fields(c)
	if c.Bad() || len(q.challenge) != challengeSize {
		return question{}, errState
	}
	return q, nil
}

func (q *question) registers() bool { return len(q.handle) > 0 }

// factorOf is the factor of a credential, "" for none that may answer.
func (q *question) factorOf(id []byte) string {
	for _, a := range q.allowed {
		if bytes.Equal(a.id, id) {
			return a.factorID
		}
	}
	return ""
}
