// Package proof is the receipt of a second factor: who approved what, with which
// factor, and when. One process has the keyring, asks for the code and signs; any
// other checks with the public keys alone, in well under 100 microseconds and without
// a database.
//
// The one that asks makes the challenge for an [Action], and gives the receipt on:
//
//	pay := proof.ActionOf("pay", "EUR 500.00", "DE89370400440532013000")
//	ch, err := svc.Challenge(ctx, mfa.ChallengeParams{FactorID: f, UserID: "user_42", Action: pay})
//	v, err := svc.Verify(ctx, mfa.VerifyParams{ChallengeID: ch.ID, UserID: "user_42", Action: pay, Code: typed})
//	receipt := v.Receipt() // and svc.ProofKeys().String(), once, for those who check
//
// The one that acts makes the action anew, from what it is about to do:
//
//	_, err := proof.Checker{Keys: keys}.Check(ctx, proof.Claim{Receipt: receipt, UserID: "user_42", Action: pay})
//
// That lets a receipt through as often as it is shown within its 5 minutes. Where once is
// meant, Service.Redeem is Check with a memory. Package proofhttp puts either in front of a
// handler.
//
// A receipt is a bearer token: send it over TLS, and keep it out of logs and URLs.
//
// # Format
//
// A receipt is a JWS in compact form (RFC 7515) that any JWT library reads. The header
// is {"alg":"EdDSA","typ":"mfa-proof+jwt","kid":...}, the claims are jti (the challenge),
// sub (the user), factor, factor_type, purpose, hash (base64url), iat and exp. kid is the
// base64url of the first 8 bytes of the SHA-256 of the Ed25519 public key.
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

// MaxAge is how long a receipt is good for.
const MaxAge = 5 * time.Minute

const (
	maxReceipt = 4096        // bytes
	maxSkew    = time.Minute // between the clocks of who signs and who checks
	maxPurpose = 64          // bytes
)

// What is wrong with a receipt. None of these says more than that a new code is needed.
var (
	// ErrInvalid says that there is no receipt, that it is malformed, or that none of the
	// keys signed it.
	ErrInvalid = errors.New("proof: invalid receipt")

	// ErrExpired says that the receipt is older than 5 minutes, or that the clocks of
	// who signed and who checks differ by more than a minute.
	ErrExpired = errors.New("proof: receipt expired")

	// ErrMismatch says that the receipt, or the challenge, is of another user or action.
	ErrMismatch = errors.New("proof: another user or action")

	// ErrSpent says that the receipt was spent, or that its factor or challenge is gone.
	ErrSpent = errors.New("proof: receipt spent")
)

// Refused reports whether an error is one of these: the receipt proves nothing, and a new
// code is needed. Any other is a failure of the store.
func Refused(err error) bool {
	for _, refusal := range []error{ErrInvalid, ErrExpired, ErrMismatch, ErrSpent} {
		if errors.Is(err, refusal) {
			return true
		}
	}
	return false
}

// An Action is what a person approves with a code. Two are the same if they are equal
// (==). The zero Action is none: a login.
type Action struct {
	// Purpose is what kind of thing is done, such as "pay": 1 to 64 printable ASCII characters.
	Purpose string `json:"purpose"`

	// Hash is of what exactly is approved; zero if nothing but the purpose is.
	Hash [32]byte `json:"hash"`
}

// ActionOf is an action whose Hash covers all details, each by itself and in this order,
// such as an amount and an account. The hash is the SHA-256 of all of them, each after its
// length as 8 bytes, the highest first.
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

// Valid reports whether a person can be asked to approve the action: whether its
// Purpose is well formed.
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
	ChallengeID string    `json:"challenge_id"` // that was verified: each receipt has another
	UserID      string    `json:"user_id"`      // whose factor it was
	FactorID    string    `json:"factor_id"`
	FactorType  string    `json:"factor_type"` // such as "totp"
	Action      Action    `json:"action"`
	IssuedAt    time.Time `json:"issued_at"`  // in whole seconds: when the code was accepted
	ExpiresAt   time.Time `json:"expires_at"` // MaxAge later
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

// Sign returns the receipt as text, under a key. A Service does it for what it
// verified; others call it in tests, with a key of their own. Its error says which field
// is malformed; times are cut to seconds.
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

// headerOf is the encoded header of what a key signs. There is no other: nothing in a
// header is believed.
func headerOf(key ed25519.PublicKey) string {
	sum := sha256.Sum256(key)
	h, _ := json.Marshal(header{"EdDSA", "mfa-proof+jwt", encoding.EncodeToString(sum[:8])}) // strings do not fail
	return encoding.EncodeToString(h)
}

// Keys are the public keys that a receipt may be signed by. Service.ProofKeys gives
// them, one for each key of its keyring.
type Keys []ed25519.PublicKey

// ParseKeys reads what [Keys.String] writes: public keys of 32 bytes in base64, separated
// by commas. Spaces around them are ignored.
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

// String is the keys in base64, separated by commas. They are no secrets.
func (k Keys) String() string {
	parts := make([]string, len(k))
	for i, key := range k {
		parts[i] = base64.StdEncoding.EncodeToString(key)
	}
	return strings.Join(parts, ",")
}

// A Claim is a receipt, and what it is to prove.
type Claim struct {
	Receipt string // as Verification.Receipt gave it
	UserID  string // who is logged in: from the session, never from the request; "" proves nothing
	Action  Action // that is about to be done: made anew, from what will be done
}

// A Checker checks receipts with public keys, as often as they are shown.
type Checker struct {
	// Keys are those of the service that signs. Without any, every receipt is ErrInvalid.
	Keys Keys

	// Now is the clock. Defaults to time.Now.
	Now func() time.Time
}

// Check returns what the receipt says if it proves the claim: one of the keys signed it,
// it is of this user and action, and not older than 5 minutes. Otherwise the error matches
// [ErrInvalid], [ErrMismatch] or [ErrExpired], and the Receipt is zero. It asks nobody, and
// has the context for the sake of its shape, which is that of Service.Redeem.
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
	case !at.Before(r.ExpiresAt), r.IssuedAt.After(at.Add(maxSkew)), r.ExpiresAt.Sub(r.IssuedAt) > MaxAge:
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

// read gives what was signed.
func read(body string) (Receipt, error) {
	var c claims
	payload, err := encoding.DecodeString(body)
	if err == nil {
		err = json.Unmarshal(payload, &c)
	}
	hash, hashErr := encoding.DecodeString(c.Hash)
	r := Receipt{
		ChallengeID: c.ID, UserID: c.Subject, FactorID: c.Factor, FactorType: c.FactorType, Action: Action{Purpose: c.Purpose},
		IssuedAt: time.Unix(c.IssuedAt, 0).UTC(), ExpiresAt: time.Unix(c.ExpiresAt, 0).UTC(),
	}
	if err != nil || hashErr != nil || copy(r.Action.Hash[:], hash) != len(r.Action.Hash) || len(hash) != len(r.Action.Hash) {
		return Receipt{}, fmt.Errorf("%w: its claims are malformed", ErrInvalid)
	}
	return r, nil
}
