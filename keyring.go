package mfa

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/authfactor/mfa/internal/codec"
	"github.com/authfactor/mfa/internal/phone"
	"github.com/authfactor/mfa/internal/xaes"
)

const (
	keySize   = xaes.KeySize
	keyIDSize = 8 // the start of the key's SHA-256

	adSize = 256 // bytes of the associated data that need no allocation

	sealHeader = keyIDSize + xaes.Prefix // in front of a plain text that is encrypted in place
)

// A Keyring encrypts what the service stores. Its first key encrypts, every key
// decrypts, and a record that is written again moves to the first.
//
// To change the key while several processes run: first add the new key at the
// end everywhere, then move it to the front everywhere, run [Service.Reseal],
// and remove the old one 24 hours later. Without its key a factor is lost: keep
// keys where the database's backups are not.
type Keyring struct {
	keys hidden[[]*key]
}

// NewKey returns a new random key in the form that [ParseKeyring] reads.
func NewKey() string {
	var k [keySize]byte
	_, _ = rand.Read(k[:]) // never fails: crypto/rand
	return base64.StdEncoding.EncodeToString(k[:])
}

// ParseKeyring reads base64 keys of 32 bytes each, 1 to 3, separated by commas,
// the encrypting one first. Spaces around them are ignored. Its errors match
// [ErrConfig] and name a key by its place, never by its content.
func ParseKeyring(s string) (*Keyring, error) {
	parts := strings.Split(s, ",")
	if len(parts) > maxKeys {
		return nil, fmt.Errorf("%w: there are %d keys; at most %d are held",
			ErrConfig, len(parts), maxKeys)
	}
	var keys []*key
	for i, part := range parts {
		raw, err := base64.StdEncoding.Strict().DecodeString(strings.TrimSpace(part))
		if err != nil || len(raw) != keySize {
			return nil, fmt.Errorf("%w: key %d is not the base64 of %d bytes; "+
				"make one with mfa.NewKey or `openssl rand -base64 32`", ErrConfig, i+1, keySize)
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

// stored is what all kinds have in common.
type stored interface {
	columns() *Record
	fields(c *codec.Codec)
}

// stateVersion is the first byte of every plain text. Fields are only ever
// appended, so it changes only when that no longer does.
const stateVersion = 2

// encode turns a record into a change that inserts it, when its version is 0, or
// replaces it.
func (r *Keyring) encode(s stored) Change {
	rec := s.columns()
	c := codec.NewWriter(append(make([]byte, sealHeader, 320), stateVersion))
	columnFields(c, rec)
	s.fields(c)
	change := Change{Record: *rec}
	change.Record.State = r.seal(rec, rec.Version+1, c.Written())
	return change
}

// decode reads a record of a store into s and holds every column against State.
func (r *Keyring) decode(rec Record, kind string, s stored) error {
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
		return integrityError(&rec, "its type is none of this Service: see Config.Methods")
	}
	sealed.State = nil
	*s.columns() = sealed
	if s.fields(c); c.Bad() {
		return integrityError(&rec, "its state is malformed")
	}
	return nil
}

// seal returns State: key id, nonce, ciphertext and tag. It is made in place of the
// plain text, which follows sealHeader empty bytes. The version is the one that the
// record will have in the store.
func (r *Keyring) seal(rec *Record, version int64, plain []byte) []byte {
	k := r.keys()[0]
	header := plain[:keyIDSize]
	copy(header, k.id[:])
	var ad [adSize]byte
	return k.aead.Seal(
		header, plain[sealHeader:], appendAssociatedData(ad[:0], rec, version, k.id[:]),
	)
}

// open gives the plain text of State if this very record was sealed with one of
// the keys.
func (r *Keyring) open(rec *Record) ([]byte, error) {
	if len(rec.State) < keyIDSize+xaes.Overhead {
		return nil, integrityError(rec, "its state is too short")
	}
	id, sealed := rec.State[:keyIDSize], rec.State[keyIDSize:]
	k := find(r.keys(), id)
	if k == nil {
		why := fmt.Sprintf("it is sealed with key %x, which is not in the keyring", id)
		return nil, integrityError(rec, why)
	}
	var ad [adSize]byte
	plain, err := k.aead.Open(nil, sealed, appendAssociatedData(ad[:0], rec, rec.Version, id))
	if err != nil {
		return nil, integrityError(rec,
			"its state does not open: the row was changed, moved or given an older state")
	}
	return plain, nil
}

// appendAssociatedData appends what binds State to its row: every column that State does
// not repeat.
func appendAssociatedData(ad []byte, rec *Record, version int64, keyID []byte) []byte {
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

// bucketIDs returns the record ids of a bucket, one for each key: an HMAC, so that the records
// of blocks do not tell where people live.
func (r *Keyring) bucketIDs(of string) []string {
	var ids []string
	for _, k := range r.keys() {
		mac := hmac.New(sha256.New, k.number)
		mac.Write([]byte("bucket " + of)) // no number begins like that
		ids = append(ids, bucketPrefix+base32.StdEncoding.EncodeToString(mac.Sum(nil)[:bucketHash]))
	}
	return ids
}

// bucketsOf are those of a number of a region. Its block is the number without its last four
// digits.
func (r *Keyring) bucketsOf(e164, region string) *buckets {
	b := &buckets{
		blockIDs: r.bucketIDs("block " + e164[:max(len(e164)-4, 0)]),
		shardIDs: r.shardIDs(region), region: regionBucket + region,
	}
	b.blockName = blockBucket + strings.TrimPrefix(b.blockIDs[0], bucketPrefix)
	return b
}

// shardIDs are those of the records that count for a region.
func (r *Keyring) shardIDs(region string) (ids [][]string) {
	for i := range regionShards {
		ids = append(ids, r.bucketIDs(fmt.Sprintf("region %s %d", region, i)))
	}
	return ids
}

// bucketRecords are the ids of the records of a bucket, which need not be there: of a region and
// of a number's block those for all keys of the keyring, of the name of a block that one alone.
func (s *Service) bucketRecords(bucket string) ([]string, error) {
	if region, ok := strings.CutPrefix(bucket, regionBucket); ok {
		if region == "001" || slices.Contains(phone.Regions(), region) {
			return slices.Concat(s.keys.shardIDs(region)...), nil
		}
	} else if end, ok := strings.CutPrefix(bucket, blockBucket); ok {
		if sum, err := base32.StdEncoding.DecodeString(end); err == nil && len(sum) == bucketHash {
			return []string{bucketPrefix + end}, nil
		}
	} else if strings.HasPrefix(bucket, "+") {
		e164, err := s.normalizeNumber(bucket)
		if err != nil {
			return nil, err
		}
		return s.keys.bucketsOf(e164, "").blockIDs, nil
	}
	return nil, errParameter("There is no such bucket.")
}

// numberUsers returns what stands for a user in the record of a phone number, one for each
// key: an HMAC, so that the record names nobody. No user id and no number has a zero
// byte, so this is never the HMAC that numberIDs makes.
func (r *Keyring) numberUsers(e164, userID string) []string {
	var users []string
	for _, k := range r.keys() {
		mac := hmac.New(sha256.New, k.number)
		mac.Write([]byte(e164 + "\x00" + userID))
		users = append(users, string(mac.Sum(nil)[:16]))
	}
	return users
}

// SealToken returns text as a token for a browser's cookie or a link: nobody but a [Service]
// with the same keys can read or change it, or make one. [Service.OpenToken] opens it with the
// same purpose, until its lifetime is over by Config.Now. It can be opened any number of times:
// what may happen once is for the store to know. It has 4 bytes for each 3 of text, and 75
// more. The error is [ErrClock], or [ErrInvalidParameter] for a lifetime that is not from
// 1 second to 90 days.
func (s *Service) SealToken(purpose string, text []byte, lifetime time.Duration) (string, error) {
	now, err := s.now()
	if err != nil {
		return "", err
	}
	if lifetime < time.Second || lifetime > maxTokenAge {
		return "", errParameter("The lifetime of a token must be from 1 second to 90 days.")
	}
	k := s.keys.keys()[0]
	const expires = 8 // bytes of the time when it ends
	token := make([]byte, sealHeader+expires, keyIDSize+expires+len(text)+xaes.Overhead)
	copy(token, k.id[:])
	binary.BigEndian.PutUint64(token[sealHeader:], uint64(now.Add(lifetime).UnixMilli()))
	token = append(token, text...)
	token = k.tokens.Seal(token[:keyIDSize], token[sealHeader:], []byte(purpose))
	return base64.RawURLEncoding.EncodeToString(token), nil
}

// OpenToken returns the text of a token that [Service.SealToken] made for the same purpose. It
// reports false for anything else, and for a token whose lifetime is over.
func (s *Service) OpenToken(purpose, token string) (text []byte, ok bool) {
	now, err := s.now()
	sealed, malformed := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || malformed != nil || len(sealed) < keyIDSize ||
		strings.ContainsAny(token, "\r\n") { // which base64 skips
		return nil, false
	}
	k := find(s.keys.keys(), sealed[:keyIDSize])
	if k == nil {
		return nil, false
	}
	plain, err := k.tokens.Open(nil, sealed[keyIDSize:], []byte(purpose))
	if err != nil || len(plain) < 8 {
		return nil, false
	}
	if expires := binary.BigEndian.Uint64(plain); uint64(now.UnixMilli()) >= expires {
		return nil, false
	}
	return plain[8:], true
}

// A key is one AES-256 key and what is made of it.
type key struct {
	id       [keyIDSize]byte
	aead     *xaes.AEAD
	tokens   *xaes.AEAD         // seals them
	number   []byte             // the HMAC key of numberIDs
	receipts ed25519.PrivateKey // signs them; its public half is nobody's secret
}

func newKey(raw []byte) (*key, error) {
	aead, err := xaes.New(raw)
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
	ofTokens, err := hkdf.Key(sha256.New, raw, nil, "github.com/authfactor/mfa token", keySize)
	if err != nil {
		return nil, err
	}
	tokens, err := xaes.New(ofTokens)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(raw)
	return &key{
		id: [keyIDSize]byte(sum[:]), aead: aead, tokens: tokens, number: number,
		receipts: ed25519.NewKeyFromSeed(seed),
	}, nil
}

func integrityError(rec *Record, why string) error {
	return fmt.Errorf("%w: record %s: %s", ErrIntegrity, rec.ID, why)
}
