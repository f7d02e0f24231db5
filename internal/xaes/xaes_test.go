package xaes

import (
	"bytes"
	"crypto/sha3"
	"encoding/hex"
	"testing"
)

// TestVectors are those of the C2SP specification.
func TestVectors(t *testing.T) {
	for _, tt := range []struct {
		key       byte
		aad, want string
	}{
		{1, "", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"},
		{3, "c2sp.org/XAES-256-GCM", "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"},
	} {
		a := aead(t, bytes.Repeat([]byte{tt.key}, KeySize))
		nonce, plain := []byte("ABCDEFGHIJKLMNOPQRSTUVWX"), []byte("XAES-256-GCM")
		sealed := a.Seal(nil, nonce, plain, []byte(tt.aad))
		if got := hex.EncodeToString(sealed); got != tt.want {
			t.Errorf("key %d: %s, want %s", tt.key, got, tt.want)
		}
		if opened, err := a.Open(nil, nonce, sealed, []byte(tt.aad)); err != nil || !bytes.Equal(opened, plain) {
			t.Errorf("key %d: opened as %q, %v", tt.key, opened, err)
		}
		if len(nonce) != a.NonceSize() || len(sealed) != len(plain)+a.Overhead() {
			t.Errorf("a nonce of %d bytes and a tag of %d", a.NonceSize(), a.Overhead())
		}
	}
}

// TestAccumulated is the specification's test of many random inputs, by the hash of all
// that was sealed.
func TestAccumulated(t *testing.T) {
	const want = "e6b9edf2df6cec60c8cbd864e2211b597fb69a529160cd040d56c0c210081939"
	random, all := sha3.NewSHAKE128(), sha3.NewSHAKE128()
	next := func(n int) []byte {
		b := make([]byte, n)
		_, _ = random.Read(b)
		return b
	}
	for range 10_000 {
		a := aead(t, next(KeySize))
		nonce := next(NonceSize)
		plain := next(int(next(1)[0]))
		aad := next(int(next(1)[0]))
		sealed := a.Seal(nil, nonce, plain, aad)
		if opened, err := a.Open(nil, nonce, sealed, aad); err != nil || !bytes.Equal(opened, plain) {
			t.Fatal(err)
		}
		_, _ = all.Write(sealed)
	}
	sum := make([]byte, 32)
	_, _ = all.Read(sum)
	if got := hex.EncodeToString(sum); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestChanged: nothing opens but what was sealed, under its nonce and its additional data.
func TestChanged(t *testing.T) {
	a := aead(t, make([]byte, KeySize))
	nonce, aad := make([]byte, NonceSize), []byte("row")
	sealed := a.Seal(nil, nonce, []byte("plain"), aad)
	for name, part := range map[string][]byte{"nonce": nonce, "ciphertext": sealed, "additional data": aad} {
		for i := range part {
			part[i] ^= 1
			if _, err := a.Open(nil, nonce, sealed, aad); err == nil {
				t.Errorf("opened with byte %d of the %s changed", i, name)
			}
			part[i] ^= 1
		}
	}
	if _, err := a.Open(nil, nonce, sealed, aad); err != nil {
		t.Error(err)
	}
}

// TestNonces: no nonce comes twice, and a first half comes 65,536 times.
func TestNonces(t *testing.T) {
	a := aead(t, make([]byte, KeySize))
	nonces, halves := map[[NonceSize]byte]bool{}, map[[halfNonce]byte]int{}
	for range 2 << 16 {
		var nonce [NonceSize]byte
		if err := a.Nonce(nonce[:]); err != nil {
			t.Fatal(err)
		}
		if nonces[nonce] {
			t.Fatal("a nonce came twice")
		}
		nonces[nonce] = true
		halves[[halfNonce]byte(nonce[:])]++
	}
	for _, n := range halves {
		if len(halves) != 2 || n != 1<<16 {
			t.Fatalf("%d halves, one of them %d times", len(halves), n)
		}
	}
}

func TestKeySize(t *testing.T) {
	for _, size := range []int{0, 16, 24, 31, 33} {
		if _, err := New(make([]byte, size)); err == nil {
			t.Errorf("a key of %d bytes is taken", size)
		}
	}
}

func aead(t *testing.T, key []byte) *AEAD {
	t.Helper()
	a, err := New(key)
	if err != nil {
		t.Fatal(err)
	}
	return a
}
