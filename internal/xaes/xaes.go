// Package xaes is XAES-256-GCM of C2SP (https://c2sp.org/XAES-256-GCM): AES-256-GCM with
// nonces of 24 bytes, which are so long that they may be random.
package xaes

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/subtle"
	"sync"
	"sync/atomic"
)

// Sizes in bytes.
const (
	KeySize   = 32 // AES-256
	NonceSize = 24
	Overhead  = 16 // the tag

	halfNonce = 12 // derives a key, and the other half is the nonce under it
)

// A first half stays for this many of the nonces that Nonce makes. The other half is
// random each time; that two of so many are the same has a chance of 2^-65.
const noncesPerHalf = 1 << 16

// An AEAD is one key with what is kept ready for it: the AES block cipher, the CMAC
// subkey K1, and the derived keys that it used lately. It is safe for concurrent use.
type AEAD struct {
	block cipher.Block
	k1    [aes.BlockSize]byte

	current atomic.Pointer[derived] // of the nonces that are made
	lately  [64]atomic.Pointer[derived]
}

var _ cipher.AEAD = (*AEAD)(nil)

// A derived key is that of all nonces with one first half.
type derived struct {
	half   [halfNonce]byte
	gcm    cipher.AEAD
	nonces atomic.Int64 // made with it
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
	_, err = a.derive([halfNonce]byte{}) // refused here, under GODEBUG=fips140=only, and not later
	return a, err
}

// NonceSize is that of [cipher.AEAD].
func (a *AEAD) NonceSize() int { return NonceSize }

// Overhead is that of [cipher.AEAD].
func (a *AEAD) Overhead() int { return Overhead }

// Nonce fills nonce, of NonceSize bytes, for one Seal. It is random, but for a first
// half that many of them share, because deriving a key takes longer than sealing.
func (a *AEAD) Nonce(nonce []byte) error {
	half, rest := nonce[:halfNonce], nonce[halfNonce:NonceSize]
	d := a.current.Load()
	if d == nil || d.nonces.Add(1) >= noncesPerHalf {
		if _, err := rand.Read(half); err != nil {
			return err
		}
		d = a.under([halfNonce]byte(half))
		a.current.Store(d)
	}
	copy(half, d.half[:])
	_, err := rand.Read(rest)
	return err
}

// Seal is that of [cipher.AEAD].
func (a *AEAD) Seal(dst, nonce, plaintext, additionalData []byte) []byte {
	ad := borrow(additionalData)
	defer scratch.Put(ad)
	return a.under([halfNonce]byte(nonce)).gcm.Seal(dst, nonce[halfNonce:], plaintext, *ad)
}

// Open is that of [cipher.AEAD].
func (a *AEAD) Open(dst, nonce, ciphertext, additionalData []byte) ([]byte, error) {
	ad := borrow(additionalData)
	defer scratch.Put(ad)
	return a.under([halfNonce]byte(nonce)).gcm.Open(dst, nonce[halfNonce:], ciphertext, *ad)
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
func (a *AEAD) under(half [halfNonce]byte) *derived {
	place := &a.lately[half[0]%byte(len(a.lately))]
	for _, d := range [...]*derived{a.current.Load(), place.Load()} {
		if d != nil && d.half == half {
			return d
		}
	}
	gcm, err := a.derive(half)
	if err != nil {
		panic(err) // New derived one
	}
	d := &derived{half: half, gcm: gcm}
	place.Store(d)
	return d
}

func (a *AEAD) derive(half [halfNonce]byte) (cipher.AEAD, error) {
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
		return nil, err
	}
	return cipher.NewGCM(block)
}
