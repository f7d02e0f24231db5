package mfa

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"

	"github.com/authfactor/mfa/internal/xaes"
)

const (
	keySize   = xaes.KeySize
	keyIDSize = 8 // the start of the key's SHA-256

	adSize = 256 // bytes of the associated data that need no allocation

	sealHeader = keyIDSize + xaes.NonceSize // in front of every ciphertext
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

// ParseKeyring reads base64 keys of 32 bytes each, 1 to 4, separated by commas,
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

// seal returns State: key id, nonce, ciphertext and tag. It is made in place of the
// plain text, which follows sealHeader empty bytes. The version is the one that the
// record will have in the store.
func (r *Keyring) seal(rec *Record, version int64, plain []byte) ([]byte, error) {
	k := r.keys()[0]
	header := plain[:sealHeader]
	copy(header, k.id[:])
	nonce := header[keyIDSize:]
	if err := k.aead.Nonce(nonce); err != nil {
		return nil, err
	}
	var ad [adSize]byte
	return k.aead.Seal(
		header, nonce, plain[sealHeader:], appendAssociatedData(ad[:0], rec, version, k.id[:]),
	), nil
}

// open gives the plain text of State if this very record was sealed with one of
// the keys.
func (r *Keyring) open(rec *Record) ([]byte, error) {
	if len(rec.State) < sealHeader+xaes.Overhead {
		return nil, integrityError(rec, "its state is too short")
	}
	id, nonce, sealed := rec.State[:keyIDSize], rec.State[keyIDSize:sealHeader], rec.State[sealHeader:]
	k := find(r.keys(), id)
	if k == nil {
		why := fmt.Sprintf("it is sealed with key %x, which is not in the keyring", id)
		return nil, integrityError(rec, why)
	}
	var ad [adSize]byte
	plain, err := k.aead.Open(nil, nonce, sealed, appendAssociatedData(ad[:0], rec, rec.Version, id))
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

// A key is one AES-256 key and what is made of it.
type key struct {
	id       [keyIDSize]byte
	aead     *xaes.AEAD
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
	sum := sha256.Sum256(raw)
	return &key{
		id: [keyIDSize]byte(sum[:]), aead: aead, number: number, receipts: ed25519.NewKeyFromSeed(seed),
	}, nil
}

func integrityError(rec *Record, why string) error {
	return fmt.Errorf("%w: record %s: %s", ErrIntegrity, rec.ID, why)
}

// ResealParams says where [Service.Reseal] begins, and how fast it goes. The
// zero value is from the start, at 100 records a second.
type ResealParams struct {
	// After is the last ResealProgress.After of an earlier run, to go on from there.
	// Defaults to "", the beginning.
	After string

	// PerSecond is how many records are written in a second at most.
	// Defaults to 100. Below 0 it is ErrInvalidParameter.
	PerSecond int
}

// A ResealProgress is how far [Service.Reseal] has come.
type ResealProgress struct {
	After    string // the id of the last record; keep it to go on from here
	Walked   int    // records read by this call
	Resealed int    // records written by this call
}

// Reseal encrypts every factor, trusted device and user's record with the first
// key of [Config.Keys], so that the other keys can be removed: run it to its
// end once all processes encrypt with the first one, and remove the others 24
// hours later, when no challenge is left that they encrypted. It is safe beside
// live traffic, and twice at once.
//
// It yields after each record, with an error if one failed; go on or break at
// will. A record that does not open or could not be written is passed over: run
// it again when the cause is gone. An error of the listing store ends it, as a
// cancelled context does. The limits of a phone number move with its factor;
// without one they are forgotten with their key.
//
//	for p, err := range svc.Reseal(ctx, mfa.ResealParams{}) {
//		...
//	}
func (s *Service) Reseal(ctx context.Context, p ResealParams) iter.Seq2[ResealProgress, error] {
	return func(yield func(ResealProgress, error) bool) {
		progress := ResealProgress{After: p.After}
		if p.PerSecond < 0 {
			yield(progress, errParameter("PerSecond must not be negative."))
			return
		}
		if p.PerSecond == 0 {
			p.PerSecond = 100
		}
		kinds := []struct{ name, prefix string }{ // in order of id
			{kindDevice, devicePrefix}, {kindFactor, factorPrefix}, {kindUser, userPrefix},
		}
		for _, kind := range kinds {
			if progress.After > kind.prefix && !strings.HasPrefix(progress.After, kind.prefix) {
				continue
			}
			// Up to an empty page: a record that a short page hides would lose its key.
			query := Query{Kind: kind.name, After: max(progress.After, kind.prefix), Limit: 100}
			for rec, err := range s.list(ctx, query, emptyIsLast) {
				if err != nil {
					yield(progress, err)
					return
				}
				written, err := s.reseal(ctx, rec)
				progress.After = rec.ID
				progress.Walked++
				if written {
					progress.Resealed++
				}
				if !yield(progress, err) {
					return
				}
				if written && !wait(ctx, time.Second/time.Duration(p.PerSecond)) {
					yield(progress, fmt.Errorf("mfa: resealing: %w", ctx.Err()))
					return
				}
			}
		}
	}
}

// reseal writes one record again if another key than the first sealed it, or any
// record of its number.
func (s *Service) reseal(ctx context.Context, rec Record) (written bool, err error) {
	current := bytes.HasPrefix(rec.State, s.keys.keys()[0].id[:])
	if rec.Kind == kindFactor {
		written, err = s.resealFactor(ctx, rec, current)
	} else if !current {
		written, err = s.resealOther(ctx, rec)
	}
	if errors.Is(err, ErrNotFound) { // deleted meanwhile
		return false, nil
	}
	return written, err
}

// resealFactor writes a factor, unless its key is current, and the limits of
// its number.
func (s *Service) resealFactor(ctx context.Context, rec Record, current bool) (bool, error) {
	type resealing struct {
		moment
		factor *factor
		phone  *numberLimits // nil: it sends no messages
	}
	if m := s.methods.of(FactorType(rec.Type)); current && (m == nil || !m.traits().messages) {
		return false, nil
	}
	load := func(ctx context.Context) (d resealing, err error) {
		var records loaded
		if records, d.moment, err = s.loadFactor(ctx, rec.ID, AnyUser); err != nil {
			return d, err
		}
		if d.factor, err = s.ownedFactor(records, rec.ID, AnyUser); err != nil {
			return d, err
		}
		if d.factor.traits.messages {
			d.phone, err = s.loadPhone(ctx, d.factor)
		}
		return d, err
	}
	return transact(ctx, s, rec.ID, load, func(d resealing) (bool, outcome) {
		var out outcome
		if !current {
			out.put(d.factor)
		}
		if d.phone != nil && len(d.phone.older) > 0 {
			out.savePhone(d.now, d.phone)
		}
		return len(out.save) > 0, out
	})
}

// resealOther writes a device or a user's record.
func (s *Service) resealOther(ctx context.Context, rec Record) (bool, error) {
	type resealing struct {
		moment
		record stored
	}
	load := func(ctx context.Context) (d resealing, err error) {
		var records loaded
		if records, d.moment, err = s.loadNow(ctx, rec.ID); err != nil {
			return d, err
		}
		found, ok := records.find(rec.ID)
		if !ok {
			return d, errNotFound(rec.Kind, rec.ID)
		}
		if rec.Kind == kindDevice {
			r := new(device)
			d.record = r
			return d, s.keys.decode(found, kindDevice, r)
		}
		r := new(user)
		d.record = r
		return d, s.keys.decode(found, kindUser, r)
	}
	return transact(ctx, s, rec.ID, load, func(d resealing) (bool, outcome) {
		return true, outcome{save: []stored{d.record}}
	})
}

// wait reports whether it waited to the end.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d) //nolint:forbidigo // it lets time pass, and does not tell it
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
