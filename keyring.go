package mfa

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
)

const (
	keySize   = 32 // AES-256
	maxKeys   = 8  // a number has a record for each, and a Save takes 16
	keyIDSize = 8  // the start of the key's SHA-256
	nonceSize = 24 // XAES-256-GCM
	halfNonce = 12 // of which the first half derives a key

	// A half derives the same key for this many seals. The other half is random each
	// time; that two of so many are the same has a chance of 2^-65.
	sealsPerHalf = 1 << 16
	tagSize      = 16

	sealHeader = keyIDSize + nonceSize // in front of every ciphertext
)

// A Keyring seals what the service stores. Its first key seals, every key opens,
// and a record that is written again moves to the first.
//
// To change the key without a gap between processes: first add the new one at
// the end everywhere, then move it to the front everywhere, run [Service.Reseal], and
// take the old one out 24 hours later. A lost key is lost factors: keep it where the
// database's backups are not.
type Keyring struct {
	keys hidden[[]*key]
}

// NewKey returns a new random key in the form that [ParseKeyring] reads.
func NewKey() string {
	var k [keySize]byte
	_, _ = rand.Read(k[:]) // never fails: crypto/rand
	return base64.StdEncoding.EncodeToString(k[:])
}

// ParseKeyring reads base64 keys of 32 bytes each, 8 at most, separated by commas, the
// sealing one first. Spaces around them are ignored. Its errors match
// [ErrConfig] and name a key by its place, never by its content.
func ParseKeyring(s string) (*Keyring, error) {
	parts := strings.Split(s, ",")
	if len(parts) > maxKeys {
		return nil, fmt.Errorf("%w: there are %d keys; at most %d are held", ErrConfig, len(parts), maxKeys)
	}
	var keys []*key
	for i, part := range parts {
		raw, err := base64.StdEncoding.Strict().DecodeString(strings.TrimSpace(part))
		if err != nil || len(raw) != keySize {
			return nil, fmt.Errorf("%w: key %d is not the base64 of %d bytes; make one with mfa.NewKey or `openssl rand -base64 32`", ErrConfig, i+1, keySize)
		}
		k, err := newKey(raw)
		if err != nil {
			return nil, fmt.Errorf("%w: key %d: %w", ErrConfig, i+1, err)
		}
		if find(keys, k.id[:]) != nil {
			return nil, fmt.Errorf("%w: key %d stands in the keyring twice", ErrConfig, i+1)
		}
		keys = append(keys, k)
	}
	return &Keyring{hide(keys)}, nil
}

// Format prints the ids of the keys, whatever the verb.
func (r Keyring) Format(f fmt.State, _ rune) {
	var ids []string
	if r.keys != nil {
		for _, k := range r.keys() {
			ids = append(ids, fmt.Sprintf("%x", k.id))
		}
	}
	_, _ = io.WriteString(f, "mfa.Keyring("+strings.Join(ids, " ")+")")
}

// MarshalText gives the same as Format.
func (r Keyring) MarshalText() ([]byte, error) { return fmt.Append(nil, r), nil }

func find(keys []*key, id []byte) *key {
	for _, k := range keys {
		if bytes.Equal(k.id[:], id) {
			return k
		}
	}
	return nil
}

// seal returns State: key id, nonce, ciphertext and tag. It is made in place of the
// plain text, which follows sealHeader empty bytes. The version is the one that the
// record will have in the store.
func (r *Keyring) seal(rec *Record, version int64, plain []byte) ([]byte, error) {
	k := r.keys()[0]
	d, err := k.sealing()
	if err != nil {
		return nil, err
	}
	header := plain[:sealHeader]
	copy(header, k.id[:])
	copy(header[keyIDSize:], d.half[:])
	nonce := header[keyIDSize+halfNonce:]
	if _, err := rand.Read(nonce); err != nil {
		return nil, err
	}
	return d.gcm.Seal(header, nonce, plain[sealHeader:], associatedData(rec, version, k.id[:])), nil
}

// open gives the plain text of State if this very record was sealed with one of
// the keys.
func (r *Keyring) open(rec *Record) ([]byte, error) {
	if len(rec.State) < sealHeader+tagSize {
		return nil, integrityError(rec, "its state is too short")
	}
	id, nonce, sealed := rec.State[:keyIDSize], rec.State[keyIDSize:sealHeader], rec.State[sealHeader:]
	k := find(r.keys(), id)
	if k == nil {
		return nil, integrityError(rec, fmt.Sprintf("it is sealed with key %x, which is not in the keyring", id))
	}
	d, err := k.derived([halfNonce]byte(nonce))
	if err != nil {
		return nil, err
	}
	plain, err := d.gcm.Open(nil, nonce[halfNonce:], sealed, associatedData(rec, rec.Version, id))
	if err != nil {
		return nil, integrityError(rec, "its state does not open: the row was changed, moved or given an older state")
	}
	return plain, nil
}

// associatedData binds State to its row: every column that State does not repeat.
func associatedData(rec *Record, version int64, keyID []byte) []byte {
	ad := make([]byte, 0, 192)
	for _, column := range [...]string{rec.Kind, rec.ID, rec.Parent, rec.UserID} {
		ad = binary.AppendUvarint(ad, uint64(len(column)))
		ad = append(ad, column...)
	}
	ad = binary.AppendVarint(ad, version)
	return append(ad, keyID...)
}

// numberIDs returns the record ids of a phone number, one for each key: an
// HMAC, because numbers are few enough to try them all.
func (r *Keyring) numberIDs(e164 string) []string {
	keys := r.keys()
	ids := make([]string, len(keys))
	for i, k := range keys {
		mac := hmac.New(sha256.New, k.number)
		mac.Write([]byte(e164))
		ids[i] = numberPrefix + base32.StdEncoding.EncodeToString(mac.Sum(nil)[:20])
	}
	return ids
}

// numberUsers returns what stands for a user in the record of a phone number, one for each
// key: an HMAC, so that the record names nobody. No user id and no number has a 0 in it,
// so this is no numberIDs.
func (r *Keyring) numberUsers(e164, userID string) []string {
	var users []string
	for _, k := range r.keys() {
		mac := hmac.New(sha256.New, k.number)
		mac.Write([]byte(e164 + "\x00" + userID))
		users = append(users, string(mac.Sum(nil)[:16]))
	}
	return users
}

// A key is one AES-256 key with what XAES-256-GCM (C2SP) keeps ready: the AES
// block cipher and the CMAC subkey K1, and the derived keys that it used lately.
type key struct {
	id     [keyIDSize]byte
	block  cipher.Block
	k1     [aes.BlockSize]byte
	number []byte // the HMAC key of numberIDs

	receipts ed25519.PrivateKey // signs them; its public half is nobody's secret

	current atomic.Pointer[derivedKey] // seals
	lately  [64]atomic.Pointer[derivedKey]
}

// A derivedKey is that of all nonces with one first half.
type derivedKey struct {
	half  [halfNonce]byte
	gcm   cipher.AEAD
	seals atomic.Int64
}

func newKey(raw []byte) (*key, error) {
	block, err := aes.NewCipher(raw)
	if err != nil {
		return nil, err
	}
	number, err := hkdf.Key(sha256.New, raw, nil, "github.com/authfactor/mfa number", keySize)
	if err != nil {
		return nil, err
	}
	seed, err := hkdf.Key(sha256.New, raw, nil, "github.com/authfactor/mfa proof", ed25519.SeedSize)
	if err != nil {
		return nil, err
	}
	k := &key{block: block, number: number, receipts: ed25519.NewKeyFromSeed(seed)}
	sum := sha256.Sum256(raw)
	copy(k.id[:], sum[:])
	k.block.Encrypt(k.k1[:], k.k1[:])
	var carry byte
	for i := len(k.k1) - 1; i >= 0; i-- {
		carry, k.k1[i] = k.k1[i]>>7, k.k1[i]<<1|carry
	}
	k.k1[len(k.k1)-1] ^= byte(subtle.ConstantTimeSelect(int(carry), 0x87, 0))
	return k, nil
}

// sealing returns the derived key to seal with, a new one now and then.
func (k *key) sealing() (*derivedKey, error) {
	if d := k.current.Load(); d != nil && d.seals.Add(1) < sealsPerHalf {
		return d, nil
	}
	var half [halfNonce]byte
	if _, err := rand.Read(half[:]); err != nil {
		return nil, err
	}
	d, err := k.derived(half)
	if err == nil {
		k.current.Store(d)
	}
	return d, err
}

// derived returns AES-GCM under the key that belongs to the first half of a nonce;
// the second half is the nonce of that AES-GCM. Deriving takes longer than opening.
func (k *key) derived(half [halfNonce]byte) (*derivedKey, error) {
	place := &k.lately[half[0]%byte(len(k.lately))]
	if d := place.Load(); d != nil && d.half == half {
		return d, nil
	}
	raw := make([]byte, 0, keySize)
	for i := byte(1); i <= 2; i++ {
		m := [aes.BlockSize]byte{0, i, 'X', 0}
		copy(m[4:], half[:])
		subtle.XORBytes(m[:], m[:], k.k1[:])
		k.block.Encrypt(m[:], m[:])
		raw = append(raw, m[:]...)
	}
	block, err := aes.NewCipher(raw)
	if err != nil {
		return nil, err
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	d := &derivedKey{half: half, gcm: gcm}
	place.Store(d)
	return d, nil
}

func integrityError(rec *Record, why string) error {
	return fmt.Errorf("%w: record %s: %s", ErrIntegrity, rec.ID, why)
}
