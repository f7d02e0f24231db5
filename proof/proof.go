// Package proof makes and checks the receipts of a second factor, which say who
// approved what, with which factor, and when. One process has the keyring, asks
// for the code and signs the receipt. Any other process checks it with the
// public keys alone, in well under 100 microseconds and without a database.
//
// The process that asks makes the challenge for an [Action], and passes the
// receipt on:
//
//	pay := proof.ActionOf("pay", "EUR 500.00", "DE89370400440532013000")
//	ch, err := svc.Challenge(ctx, mfa.ChallengeParams{
//		FactorID: f, UserID: "user_42", Action: pay,
//	})
//	v, err := svc.Verify(ctx, mfa.VerifyParams{
//		ChallengeID: ch.ID, UserID: "user_42", Action: pay, Code: typed,
//	})
//	receipt := v.Receipt() // and svc.ProofKeys().String(), once, for those who check
//
// The process that acts builds the action again, from what it is about to do:
//
//	claim := proof.Claim{Receipt: receipt, UserID: "user_42", Action: pay}
//	_, err := proof.Checker{Keys: keys}.Check(ctx, claim)
//
// A Checker accepts a receipt any number of times within its 5 minutes. Where
// it must be accepted only once, call Service.Redeem, which remembers the
// receipts that it accepted. Package proofhttp puts either check in front of a
// handler.
//
// A receipt is a bearer token: send it over TLS, and keep it out of logs and
// URLs.
//
// # Format
//
// A receipt is a JWS in compact form (RFC 7515), which any JWT library reads.
// The header is {"alg":"EdDSA","typ":"mfa-proof+jwt","kid":...}. The claims are
// jti (the challenge), sub (the user), factor, factor_type, purpose, hash
// (base64url), iat and exp. The kid is the base64url of the first 8 bytes of
// the SHA-256 of the Ed25519 public key.
package proof

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// MaxAge is how long a receipt is valid.
const MaxAge = 5 * time.Minute

const (
	maxReceipt = 4096        // bytes
	maxSkew    = time.Minute // between the clocks of who signs and who checks
	maxPurpose = 64          // bytes
)

// The errors of a receipt that proves nothing. Each means that a new code is
// needed.
var (
	// ErrInvalid says that the receipt is missing or malformed, or that none of
	// the keys signed it.
	ErrInvalid = errors.New("proof: invalid receipt")

	// ErrExpired says that the receipt is older than 5 minutes, claims to live
	// longer than that, or was issued over a minute ahead of the checker's clock.
	ErrExpired = errors.New("proof: receipt expired")

	// ErrMismatch says that the receipt, or the challenge, is for another user
	// or another action.
	ErrMismatch = errors.New("proof: another user or action")

	// ErrSpent says that the receipt was redeemed before, or that its factor or
	// challenge was deleted.
	ErrSpent = errors.New("proof: receipt spent")
)

// Refused reports whether err matches [ErrInvalid], [ErrExpired], [ErrMismatch]
// or [ErrSpent]: the receipt proves nothing, and a new code is needed. Any
// other error of a check is a failure of the store.
func Refused(err error) bool {
	for _, refusal := range []error{ErrInvalid, ErrExpired, ErrMismatch, ErrSpent} {
		if errors.Is(err, refusal) {
			return true
		}
	}
	return false
}

// An Action is what a person approves with a code. Two actions are the same if
// they are equal (==). The zero Action is none: the code is for a login alone.
type Action struct {
	// Purpose is the kind of action, such as "pay": 1 to 64 printable ASCII
	// characters.
	Purpose string `json:"purpose"`

	// Hash is the hash of the details, zero if there are none: see [ActionOf].
	Hash [32]byte `json:"hash"`
}

// ActionOf returns an action whose Hash covers all details, each by itself and
// in this order, such as an amount and an account. The Hash is the SHA-256 of
// all of them, each after its length as 8 bytes, the highest first; it is zero
// without details.
func ActionOf(purpose string, details ...string) Action {
	a := Action{Purpose: purpose}
	if len(details) == 0 {
		return a
	}
	h := sha256.New()
	for _, d := range details {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(d))))
		h.Write([]byte(d))
	}
	h.Sum(a.Hash[:0])
	return a
}

// Valid reports whether the Purpose has 1 to 64 printable ASCII characters, so
// that a person can be asked to approve the action.
func (a Action) Valid() bool {
	for i := range len(a.Purpose) {
		if a.Purpose[i] < ' ' || a.Purpose[i] > '~' {
			return false
		}
	}
	return a.Purpose != "" && len(a.Purpose) <= maxPurpose
}

// A Receipt says who approved what, with which factor, and when.
type Receipt struct {
	ChallengeID string    `json:"challenge_id"` // the verified challenge: no two receipts share one
	UserID      string    `json:"user_id"`      // the owner of the factor
	FactorID    string    `json:"factor_id"`
	FactorType  string    `json:"factor_type"` // such as "totp"
	Action      Action    `json:"action"`
	IssuedAt    time.Time `json:"issued_at"`  // in whole seconds: when the code was accepted
	ExpiresAt   time.Time `json:"expires_at"` // at most MaxAge later
}

type header struct {
	Algorithm string `json:"alg"`
	Type      string `json:"typ"`
	KeyID     string `json:"kid"`
}

type claims struct {
	ID         string `json:"jti"`
	Subject    string `json:"sub"`
	Factor     string `json:"factor"`
	FactorType string `json:"factor_type"`
	Purpose    string `json:"purpose"`
	Hash       string `json:"hash"`
	IssuedAt   int64  `json:"iat"`
	ExpiresAt  int64  `json:"exp"`
}

var encoding = base64.RawURLEncoding.Strict()

// Sign returns the receipt as text, signed with a key. A Service signs what it
// verified; in tests, sign with a key of your own. Times are cut to seconds.
// Sign returns an error if the key is no Ed25519 key, ChallengeID or UserID is
// empty, the Action is not valid, ExpiresAt is not after IssuedAt or over 5
// minutes after it, or the text has over 4096 bytes.
func Sign(key ed25519.PrivateKey, r Receipt) (string, error) {
	switch {
	case len(key) != ed25519.PrivateKeySize:
		return "", errors.New("proof: the key is not an Ed25519 private key")
	case r.ChallengeID == "" || r.UserID == "":
		return "", errors.New("proof: the receipt must have a ChallengeID and a UserID")
	case !r.Action.Valid():
		return "", errors.New("proof: the Purpose of the receipt's Action is malformed")
	case !r.ExpiresAt.After(r.IssuedAt) || r.ExpiresAt.Sub(r.IssuedAt) > MaxAge:
		return "", fmt.Errorf("proof: ExpiresAt must be at most %s after IssuedAt", MaxAge)
	}
	payload, err := json.Marshal(claims{
		ID: r.ChallengeID, Subject: r.UserID, Factor: r.FactorID, FactorType: r.FactorType,
		Purpose: r.Action.Purpose, Hash: encoding.EncodeToString(r.Action.Hash[:]),
		IssuedAt: r.IssuedAt.Unix(), ExpiresAt: r.ExpiresAt.Unix(),
	})
	if err != nil {
		return "", fmt.Errorf("proof: %w", err)
	}
	signed := headerOf(key.Public().(ed25519.PublicKey)) + "." + encoding.EncodeToString(payload)
	text := signed + "." + encoding.EncodeToString(ed25519.Sign(key, []byte(signed)))
	if len(text) > maxReceipt {
		return "", fmt.Errorf("proof: the receipt has over %d bytes", maxReceipt)
	}
	return text, nil
}

// headerOf returns the encoded header of what a key signs. A receipt must have
// exactly this header: nothing in a header is believed.
func headerOf(key ed25519.PublicKey) string {
	sum := sha256.Sum256(key)
	id := encoding.EncodeToString(sum[:8])
	h, _ := json.Marshal(header{"EdDSA", "mfa-proof+jwt", id}) // strings do not fail
	return encoding.EncodeToString(h)
}

// Keys are the public keys that may have signed a receipt. Service.ProofKeys
// returns one for each key of its keyring.
type Keys []ed25519.PublicKey

// ParseKeys reads what [Keys.String] writes: public keys of 32 bytes in base64,
// separated by commas. Spaces around a key are ignored. Anything else is an
// error, the empty string too.
func ParseKeys(s string) (Keys, error) {
	var keys Keys
	for i, part := range strings.Split(s, ",") {
		raw, err := base64.StdEncoding.Strict().DecodeString(strings.TrimSpace(part))
		if err != nil || len(raw) != ed25519.PublicKeySize {
			return nil, fmt.Errorf("proof: key %d is not the base64 of %d bytes", i+1, ed25519.PublicKeySize)
		}
		keys = append(keys, raw)
	}
	return keys, nil
}

// String returns the keys in base64, separated by commas. They are not secret.
func (k Keys) String() string {
	parts := make([]string, len(k))
	for i, key := range k {
		parts[i] = base64.StdEncoding.EncodeToString(key)
	}
	return strings.Join(parts, ",")
}

// A Claim is a receipt, and what it has to prove.
type Claim struct {
	Receipt string // as Verification.Receipt returned it
	UserID  string // who is logged in, from the session, never from the request; "" proves nothing
	Action  Action // what is about to be done, built from exactly that
}

// A Checker checks receipts with public keys. It accepts the same receipt any
// number of times.
type Checker struct {
	// Keys are those of the service that signs. Without any, every receipt is
	// ErrInvalid.
	Keys Keys

	// Now returns the current time. Defaults to time.Now.
	Now func() time.Time
}

// Check returns the receipt if it proves the claim: one of the keys signed it,
// it is for this user and action, and it is not older than 5 minutes. Otherwise
// the Receipt is zero and the error matches [ErrInvalid], [ErrMismatch] or
// [ErrExpired]. It ignores the context, which it takes so that Service.Redeem
// can stand in for it.
func (c Checker) Check(_ context.Context, claim Claim) (Receipt, error) {
	r, err := c.Keys.open(claim.Receipt)
	if err != nil {
		return Receipt{}, err
	}
	now := time.Now //nolint:forbidigo // the default of Checker.Now
	if c.Now != nil {
		now = c.Now
	}
	at := now()
	switch {
	case r.Action != claim.Action, claim.UserID == "", r.UserID != claim.UserID:
		return Receipt{}, fmt.Errorf("%w: %s", ErrMismatch, r.ChallengeID)
	case !at.Before(r.ExpiresAt), r.IssuedAt.After(at.Add(maxSkew)),
		r.ExpiresAt.Sub(r.IssuedAt) > MaxAge:
		return Receipt{}, fmt.Errorf("%w: %s", ErrExpired, r.ChallengeID)
	}
	return r, nil
}

// open reads a receipt that one of the keys signed.
func (k Keys) open(text string) (Receipt, error) {
	if len(text) > maxReceipt {
		return Receipt{}, fmt.Errorf("%w: it has over %d bytes", ErrInvalid, maxReceipt)
	}
	head, rest, _ := strings.Cut(text, ".")
	body, tail, ok := strings.Cut(rest, ".")
	if !ok {
		return Receipt{}, fmt.Errorf("%w: it has not three parts", ErrInvalid)
	}
	signature, err := encoding.DecodeString(tail)
	if err != nil || strings.ContainsAny(tail, "\r\n") { // which base64 skips
		return Receipt{}, fmt.Errorf("%w: its signature is malformed", ErrInvalid)
	}
	for _, key := range k {
		if len(key) != ed25519.PublicKeySize || head != headerOf(key) {
			continue
		}
		if !ed25519.Verify(key, []byte(text[:len(head)+1+len(body)]), signature) {
			break
		}
		return read(body)
	}
	return Receipt{}, fmt.Errorf("%w: none of the keys signed it", ErrInvalid)
}

// read decodes the claims that were signed.
func read(body string) (Receipt, error) {
	var c claims
	payload, err := encoding.DecodeString(body)
	if err == nil {
		err = json.Unmarshal(payload, &c)
	}
	hash, hashErr := encoding.DecodeString(c.Hash)
	r := Receipt{
		ChallengeID: c.ID, UserID: c.Subject, FactorID: c.Factor, FactorType: c.FactorType,
		Action:    Action{Purpose: c.Purpose},
		IssuedAt:  time.Unix(c.IssuedAt, 0).UTC(),
		ExpiresAt: time.Unix(c.ExpiresAt, 0).UTC(),
	}
	if err != nil || hashErr != nil ||
		copy(r.Action.Hash[:], hash) != len(r.Action.Hash) || len(hash) != len(r.Action.Hash) {
		return Receipt{}, fmt.Errorf("%w: its claims are malformed", ErrInvalid)
	}
	return r, nil
}
