package mfatest

import (
	"encoding/base64"

	"github.com/authfactor/mfa"
)

// Keys returns a keyring for tests, always with the same key, so that one
// service opens what another encrypted. Never encrypt real factors with it: its
// key is public.
func Keys() *mfa.Keyring {
	key := []byte("a key for tests, known to anyone")
	ring, err := mfa.ParseKeyring(base64.StdEncoding.EncodeToString(key))
	if err != nil {
		panic(err)
	}
	return ring
}
