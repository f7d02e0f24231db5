// Package xaes is XAES-256-GCM of C2SP (https://c2sp.org/XAES-256-GCM): AES-256-GCM with
// nonces of 24 bytes, which are so long that they may be random. The standard library makes
// the half that AES-GCM itself takes, as FIPS 140-3 demands.
package xaes

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"sync"
	"sync/atomic"
)

// Sizes in bytes.
const (
	KeySize  = 32               // AES-256
	Prefix   = 12               // what Seal writes first: half of the nonce, which a key is derived from
	Overhead = Prefix + 12 + 16 // that, the other half, which is the nonce under this key, and the tag
)

// A first half stays for this many calls of Seal. The other half is random each time; that
// two of so many are the same has a chance of 2^-65.
const sealsPerHalf = 1 << 16

// An AEAD is one key with what is kept ready for it: the AES block cipher, the CMAC
// subkey K1, and the derived keys that it used lately. It is safe for concurrent use.
type AEAD struct {
	block cipher.Block
	k1    [aes.BlockSize]byte

	current atomic.Pointer[derived] // that Seal uses
	lately  [64]atomic.Pointer[derived]
}

// A derived key is that of all nonces with one first half.
type derived struct {
	half  [Prefix]byte
	gcm   cipher.AEAD
	seals atomic.Int64 // with it
}

// New returns the AEAD of a key of KeySize bytes.
func New(key []byte) (*AEAD, error) {
	if len(key) != KeySize {
		return nil, aes.KeySizeError(len(key)) // AES has shorter keys
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	a := &AEAD{block: block}
	a.block.Encrypt(a.k1[:], a.k1[:])
	var carry byte
	for i := len(a.k1) - 1; i >= 0; i-- {
		carry, a.k1[i] = a.k1[i]>>7, a.k1[i]<<1|carry
	}
	a.k1[len(a.k1)-1] ^= byte(subtle.ConstantTimeSelect(int(carry), 0x87, 0))
	return a, nil
}

// Seal appends nonce, ciphertext and tag to dst: as many bytes as plaintext has, and Overhead. To
// encrypt in place, plaintext must begin Prefix bytes behind dst, which has room for all.
func (a *AEAD) Seal(dst, plaintext, additionalData []byte) []byte {
	ad := borrow(additionalData)
	defer scratch.Put(ad)
	d := a.next()
	return d.gcm.Seal(append(dst, d.half[:]...), nil, plaintext, *ad) //nolint:gosec // it makes one
}

// Open appends the plain text of what Seal gave to dst, if it was made with this key and the same
// additional data.
func (a *AEAD) Open(dst, sealed, additionalData []byte) ([]byte, error) {
	if len(sealed) < Overhead {
		return nil, errShort
	}
	ad := borrow(additionalData)
	defer scratch.Put(ad)
	return a.under([Prefix]byte(sealed)).gcm.Open(dst, nil, sealed[Prefix:], *ad)
}

var errShort = errors.New("xaes: the ciphertext is too short")

// next is the key of a Seal. Many of them share one, because deriving it takes longer than
// sealing.
func (a *AEAD) next() *derived {
	d := a.current.Load()
	if d == nil || d.seals.Add(1) >= sealsPerHalf {
		var half [Prefix]byte
		_, _ = rand.Read(half[:]) // never fails
		d = a.under(half)
		a.current.Store(d)
	}
	return d
}

// scratch has buffers for additional data, which is no secret. What is given to an AEAD of
// the standard library is on the heap, and so each caller's would be.
var scratch = sync.Pool{New: func() any { return new([]byte) }}

// borrow copies additional data into a buffer of scratch.
func borrow(additionalData []byte) *[]byte {
	buf := scratch.Get().(*[]byte)
	*buf = append((*buf)[:0], additionalData...)
	return buf
}

// under returns AES-GCM under the key that belongs to the first half of a nonce.
func (a *AEAD) under(half [Prefix]byte) *derived {
	place := &a.lately[half[0]%byte(len(a.lately))]
	for _, d := range [...]*derived{a.current.Load(), place.Load()} {
		if d != nil && d.half == half {
			return d
		}
	}
	d := &derived{half: half, gcm: a.derive(half)}
	place.Store(d)
	return d
}

func (a *AEAD) derive(half [Prefix]byte) cipher.AEAD {
	key := make([]byte, 0, KeySize)
	for i := byte(1); i <= 2; i++ {
		m := [aes.BlockSize]byte{0, i, 'X', 0}
		copy(m[4:], half[:])
		subtle.XORBytes(m[:], m[:], a.k1[:])
		a.block.Encrypt(m[:], m[:])
		key = append(key, m[:]...)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // of another size than KeySize
	}
	gcm, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err) // not AES
	}
	return gcm
}
