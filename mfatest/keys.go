package mfatest

import (
	"encoding/base64"

	"github.com/authfactor/mfa"
)

// Keys returns a keyring for tests, always with the same key: what one service
// sealed, another opens. Never seal real factors with it: everybody can read it
// here.
func Keys() *mfa.Keyring {
	ring, err := mfa.ParseKeyring(base64.StdEncoding.EncodeToString([]byte("a key for tests, known to anyone")))
	if err != nil {
		panic(err)
	}
	return ring
}
