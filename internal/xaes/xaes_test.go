package xaes

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/fips140"
	"crypto/sha3"
	"crypto/subtle"
	"encoding/hex"
	"testing"
)

// reference is the specification's own: the nonce is the caller's.
func reference(t *testing.T, key, nonce []byte) (gcm cipher.AEAD, rest []byte) {
	t.Helper()
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	k1 := make([]byte, aes.BlockSize)
	block.Encrypt(k1, k1)
	msb := k1[0] >> 7
	for i := range k1[:15] {
		k1[i] = k1[i]<<1 | k1[i+1]>>7
	}
	k1[15] = k1[15]<<1 ^ msb*0x87
	derived := make([]byte, 0, KeySize)
	for _, counter := range []byte{1, 2} {
		m := append([]byte{0, counter, 'X', 0}, nonce[:12]...)
		subtle.XORBytes(m, m, k1)
		block.Encrypt(m, m)
		derived = append(derived, m...)
	}
	if block, err = aes.NewCipher(derived); err != nil {
		t.Fatal(err)
	}
	fips140.WithoutEnforcement(func() { gcm, err = cipher.NewGCM(block) })
	if err != nil {
		t.Fatal(err)
	}
	return gcm, nonce[12:]
}

// TestVectors opens those of the C2SP specification.
func TestVectors(t *testing.T) {
	for _, tt := range []struct {
		key         byte
		aad, sealed string
	}{
		{1, "", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"},
		{3, "c2sp.org/XAES-256-GCM", "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"},
	} {
		a := aead(t, bytes.Repeat([]byte{tt.key}, KeySize))
		sealed, err := hex.DecodeString(tt.sealed)
		if err != nil {
			t.Fatal(err)
		}
		sealed = append([]byte("ABCDEFGHIJKLMNOPQRSTUVWX"), sealed...)
		if opened, err := a.Open(nil, sealed, []byte(tt.aad)); err != nil || string(opened) != "XAES-256-GCM" {
			t.Errorf("key %d: opened as %q, %v", tt.key, opened, err)
		}
	}
}

// TestAccumulated is the specification's test of many random inputs, by the hash of all
// that was sealed. What the reference sealed is opened here, and the other way round.
func TestAccumulated(t *testing.T) {
	const want = "e6b9edf2df6cec60c8cbd864e2211b597fb69a529160cd040d56c0c210081939"
	random, all := sha3.NewSHAKE128(), sha3.NewSHAKE128()
	next := func(n int) []byte {
		b := make([]byte, n)
		_, _ = random.Read(b)
		return b
	}
	for range 10_000 {
		key, nonce := next(KeySize), next(24)
		plain := next(int(next(1)[0]))
		aad := next(int(next(1)[0]))
		gcm, rest := reference(t, key, nonce)
		sealed := gcm.Seal(nil, rest, plain, aad)
		_, _ = all.Write(sealed)
		a := aead(t, key)
		if opened, err := a.Open(nil, append(nonce, sealed...), aad); err != nil || !bytes.Equal(opened, plain) {
			t.Fatalf("what the reference sealed opens as %x, %v", opened, err)
		}
		sealed = a.Seal(nil, plain, aad)
		gcm, rest = reference(t, key, sealed[:24])
		if opened, err := gcm.Open(nil, rest, sealed[24:], aad); err != nil || !bytes.Equal(opened, plain) {
			t.Fatalf("what was sealed opens by the reference as %x, %v", opened, err)
		}
		if len(sealed) != len(plain)+Overhead {
			t.Fatalf("%d bytes became %d", len(plain), len(sealed))
		}
	}
	sum := make([]byte, 32)
	_, _ = all.Read(sum)
	if got := hex.EncodeToString(sum); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestInPlace: the ciphertext takes the place of the plain text, in the buffer that it is in.
func TestInPlace(t *testing.T) {
	a := aead(t, make([]byte, KeySize))
	for _, n := range []int{0, 1, 15, 16, 300} {
		plain := bytes.Repeat([]byte("p"), n)
		buf := append(make([]byte, 3+Prefix, 3+n+Overhead), plain...)
		sealed := a.Seal(buf[:3], buf[3+Prefix:], nil)
		if &sealed[0] != &buf[0] {
			t.Error("another buffer")
		}
		if opened, err := a.Open(nil, sealed[3:], nil); err != nil || !bytes.Equal(opened, plain) {
			t.Errorf("%d bytes: opened as %q, %v", n, opened, err)
		}
	}
}

// TestChanged: nothing opens but what was sealed, with its additional data.
func TestChanged(t *testing.T) {
	a := aead(t, make([]byte, KeySize))
	aad := []byte("row")
	sealed := a.Seal(nil, []byte("plain"), aad)
	for name, part := range map[string][]byte{"ciphertext": sealed, "additional data": aad} {
		for i := range part {
			part[i] ^= 1
			if _, err := a.Open(nil, sealed, aad); err == nil {
				t.Errorf("opened with byte %d of the %s changed", i, name)
			}
			part[i] ^= 1
		}
	}
	for n := range sealed {
		if _, err := a.Open(nil, sealed[:n], aad); err == nil {
			t.Errorf("opened with %d bytes", n)
		}
	}
	if _, err := a.Open(nil, sealed, aad); err != nil {
		t.Error(err)
	}
}

// TestNonces: no nonce comes twice, and a first half comes 65,536 times.
func TestNonces(t *testing.T) {
	a := aead(t, make([]byte, KeySize))
	nonces, halves := map[[24]byte]bool{}, map[[Prefix]byte]int{}
	for range 2 << 16 {
		nonce := [24]byte(a.Seal(nil, nil, nil))
		if nonces[nonce] {
			t.Fatal("a nonce came twice")
		}
		nonces[nonce] = true
		halves[[Prefix]byte(nonce[:])]++
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
