// Package passkeytest has a virtual authenticator, so that tests of an application register
// and answer with passkeys in milliseconds and without a browser.
//
//	key := passkeytest.New("https://example.com")
//	answer, err := key.Create(challenge.Options()) // of an enrolment's challenge
//	answer, err = key.Get(challenge.Options())     // of a login's
package passkeytest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/fxamacker/cbor/v2"
)

// ErrExcluded is returned by Create if the authenticator has one of the excluded passkeys,
// and the browser says InvalidStateError.
var ErrExcluded = errors.New("passkeytest: the authenticator has a passkey of this user")

// ErrNotAllowed is returned by Get if the authenticator has none of the allowed passkeys, and
// by both if the person is to be verified and is not, and the browser says NotAllowedError.
var ErrNotAllowed = errors.New("passkeytest: no passkey of this authenticator may answer")

// ErrSecurity is returned if the page may not use the RP ID, and the browser says
// SecurityError.
var ErrSecurity = errors.New("passkeytest: the origin is not of the RP ID")

// An Authenticator is a browser with an authenticator, at one origin. Change its fields
// between calls to make it behave as the test needs. It is not safe for concurrent use.
type Authenticator struct {
	Origin string // of the page, such as "https://example.com"

	// UserPresent is true if the person touched the authenticator, and UserVerified if it
	// verified them, by a PIN or a finger. New sets both.
	UserPresent, UserVerified bool

	// CrossOrigin is true if the page is within one of another origin. Defaults to false.
	CrossOrigin bool

	// Hostile is true if the browser does not compare the origin with the RP ID, as each
	// browser does. Defaults to false.
	Hostile bool

	// BackupEligible and BackedUp are the flags of a passkey that may be, and is, on several
	// devices. Default to false.
	BackupEligible, BackedUp bool

	// Counts is true if each answer of Get has a sign count that is one higher, the first 1.
	// Defaults to false: it stays as it is, 0 for passkeys that are on several devices.
	Counts bool

	// NoUserHandle is true if Get's answers have none, as those of passkeys that the browser
	// cannot find without their id. Defaults to false.
	NoUserHandle bool

	keys []passkey
}

type passkey struct {
	id, handle []byte
	rpID       string
	key        *ecdsa.PrivateKey
	count      uint32
}

// New returns an authenticator that has no passkey.
func New(origin string) *Authenticator {
	return &Authenticator{Origin: origin, UserPresent: true, UserVerified: true}
}

// Clone returns a copy of the authenticator and of its passkeys, as a thief has who read
// the keys.
func (a *Authenticator) Clone() *Authenticator {
	clone := *a
	clone.keys = slices.Clone(a.keys)
	return &clone
}

// es256 is ECDSA with P-256 and SHA-256 (RFC 9053 section 2.1).
const es256 = -7

type base64URL []byte

// MarshalText gives base64url without padding.
func (b base64URL) MarshalText() ([]byte, error) {
	return []byte(base64.RawURLEncoding.EncodeToString(b)), nil
}

// UnmarshalText reads base64url without padding.
func (b *base64URL) UnmarshalText(text []byte) (err error) {
	*b, err = base64.RawURLEncoding.DecodeString(string(text))
	return err
}

type descriptor struct {
	ID base64URL `json:"id"`
}

// An answer is the JSON of PublicKeyCredential.toJSON.
type answer struct {
	ID         base64URL      `json:"id"`
	RawID      base64URL      `json:"rawId"`
	Type       string         `json:"type"`
	Attachment string         `json:"authenticatorAttachment"`
	Extensions map[string]any `json:"clientExtensionResults"`
	Response   any            `json:"response"`
}

// Create makes a passkey, as navigator.credentials.create does, and returns the answer.
func (a *Authenticator) Create(options []byte) ([]byte, error) {
	var o struct {
		RP struct {
			ID   string `json:"id"`
			Name string `json:"name"`
		} `json:"rp"`
		User struct {
			ID          base64URL `json:"id"`
			Name        string    `json:"name"`
			DisplayName *string   `json:"displayName"`
		} `json:"user"`
		Algorithms []struct {
			Type      string `json:"type"`
			Algorithm int    `json:"alg"`
		} `json:"pubKeyCredParams"`
		Challenge base64URL    `json:"challenge"`
		Exclude   []descriptor `json:"excludeCredentials"`
		Selection struct {
			UserVerification string `json:"userVerification"`
		} `json:"authenticatorSelection"`
	}
	if err := json.Unmarshal(options, &o); err != nil {
		return nil, fmt.Errorf("passkeytest: reading the options: %w", err)
	}
	offered := false // ES256
	for _, p := range o.Algorithms {
		offered = offered || p.Type == "public-key" && p.Algorithm == es256
	}
	switch {
	case o.RP.Name == "", o.User.Name == "", o.User.DisplayName == nil, len(o.Challenge) < 16,
		len(o.User.ID) < 1, len(o.User.ID) > 64, !offered:
		return nil, errors.New("passkeytest: the options lack what a browser requires, or ES256")
	case !a.mayUse(o.RP.ID):
		return nil, ErrSecurity
	case !a.UserVerified && o.Selection.UserVerification == "required":
		return nil, ErrNotAllowed
	case a.find(o.RP.ID, o.Exclude) != nil:
		return nil, ErrExcluded
	}
	return a.register(o.RP.ID, o.User.ID, o.Challenge)
}

// register makes a passkey and answers.
func (a *Authenticator) register(rpID string, handle, challenge []byte) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	p := passkey{id: make([]byte, 32), handle: handle, rpID: rpID, key: key}
	_, _ = rand.Read(p.id)                                      // never fails: crypto/rand
	a.keys = slices.DeleteFunc(a.keys, func(old passkey) bool { // one for each user of a site
		return old.rpID == p.rpID && bytes.Equal(old.handle, p.handle)
	})
	a.keys = append(a.keys, p)

	public, err := key.PublicKey.Bytes() // 4, x, y
	if err != nil {
		return nil, err
	}
	const kty, alg, crv, x, y = 1, 3, -1, -2, -3
	cose, err := encode(map[int]any{
		kty: 2, alg: es256, crv: 1, x: public[1:33], y: public[33:],
	})
	if err != nil {
		return nil, err
	}
	data := a.data(&a.keys[len(a.keys)-1], 1<<6)
	data = append(data, make([]byte, 16)...) // AAGUID
	data = binary.BigEndian.AppendUint16(data, uint16(len(p.id)))
	data = append(append(data, p.id...), cose...)
	object, err := encode(map[string]any{"fmt": "none", "attStmt": map[string]any{}, "authData": data})
	if err != nil {
		return nil, err
	}
	spki, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return nil, err
	}
	return a.answer(p.id, struct {
		ClientData base64URL `json:"clientDataJSON"`
		Object     base64URL `json:"attestationObject"`
		Transports []string  `json:"transports"`
		Data       base64URL `json:"authenticatorData"`
		PublicKey  base64URL `json:"publicKey"`
		Algorithm  int       `json:"publicKeyAlgorithm"`
	}{
		a.clientData("webauthn.create", challenge), object, []string{"internal"}, data, spki, es256,
	})
}

// Get answers with the first of the authenticator's passkeys that is allowed, as
// navigator.credentials.get does.
func (a *Authenticator) Get(options []byte) ([]byte, error) {
	var o struct {
		Challenge        base64URL    `json:"challenge"`
		RPID             string       `json:"rpId"`
		Allow            []descriptor `json:"allowCredentials"`
		UserVerification string       `json:"userVerification"`
	}
	if err := json.Unmarshal(options, &o); err != nil {
		return nil, fmt.Errorf("passkeytest: reading the options: %w", err)
	}
	p := a.find(o.RPID, o.Allow)
	switch {
	case !a.mayUse(o.RPID):
		return nil, ErrSecurity
	case p == nil, !a.UserVerified && o.UserVerification == "required":
		return nil, ErrNotAllowed
	}
	if a.Counts {
		p.count++
	}
	data, client := a.data(p, 0), a.clientData("webauthn.get", o.Challenge)
	sum := sha256.Sum256(client)
	digest := sha256.Sum256(append(bytes.Clone(data), sum[:]...))
	signature, err := ecdsa.SignASN1(rand.Reader, p.key, digest[:])
	if err != nil {
		return nil, err
	}
	response := struct {
		ClientData base64URL  `json:"clientDataJSON"`
		Data       base64URL  `json:"authenticatorData"`
		Signature  base64URL  `json:"signature"`
		Handle     *base64URL `json:"userHandle,omitempty"`
	}{client, data, signature, nil}
	if handle := base64URL(p.handle); !a.NoUserHandle {
		response.Handle = &handle
	}
	return a.answer(p.id, response)
}

// mayUse reports whether a page of the origin may use the RP ID.
func (a *Authenticator) mayUse(rpID string) bool {
	u, err := url.Parse(a.Origin)
	return a.Hostile || err == nil &&
		(u.Hostname() == rpID || strings.HasSuffix(u.Hostname(), "."+rpID))
}

func (a *Authenticator) find(rpID string, of []descriptor) *passkey {
	for i := range a.keys {
		p := &a.keys[i]
		if p.rpID == rpID &&
			slices.ContainsFunc(of, func(d descriptor) bool { return bytes.Equal(d.ID, p.id) }) {
			return p
		}
	}
	return nil
}

// data is the authenticator data without what a new passkey adds.
func (a *Authenticator) data(p *passkey, flags byte) []byte {
	if a.UserPresent {
		flags |= 1
	}
	if a.UserVerified {
		flags |= 1 << 2
	}
	if a.BackupEligible {
		flags |= 1 << 3
	}
	if a.BackedUp {
		flags |= 1 << 4
	}
	rp := sha256.Sum256([]byte(p.rpID))
	return binary.BigEndian.AppendUint32(append(rp[:], flags), p.count)
}

func (a *Authenticator) clientData(kind string, challenge []byte) []byte {
	data, _ := json.Marshal(struct { // of strings
		Type        string    `json:"type"`
		Challenge   base64URL `json:"challenge"`
		Origin      string    `json:"origin"`
		CrossOrigin bool      `json:"crossOrigin"`
	}{kind, challenge, a.Origin, a.CrossOrigin})
	return data
}

func (a *Authenticator) answer(id []byte, response any) ([]byte, error) {
	return json.Marshal(answer{
		ID: id, RawID: id, Type: "public-key", Attachment: "platform",
		Extensions: map[string]any{}, Response: response,
	})
}

func encode(v any) ([]byte, error) {
	mode, err := cbor.CTAP2EncOptions().EncMode()
	if err != nil {
		return nil, err
	}
	return mode.Marshal(v)
}
