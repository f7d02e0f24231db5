package mfa

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"strings"
)

// Recovery codes have 120 bits each, and are kept as plain hashes: at 112 bits and
// more nobody tries them out, and no password hash is needed (NIST SP 800-63B-4 section
// 3.1.2.2).
const (
	recoveryCodes      = 10
	recoveryCodeSize   = 15 // bytes
	recoveryCodeLength = 24 // letters
	recoveryGroup      = 4  // letters between hyphens
)

// crockford has no letters that look like others.
var crockford = base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").WithPadding(base32.NoPadding)

// A RecoveryCodesEnrollment holds the codes of a new set. It cannot be read again
// later, and does not print: its JSON is {}.
type RecoveryCodesEnrollment struct {
	shown hidden[[]string]
}

// Codes are ten codes of six groups of four letters, to be written down or printed:
// "0H4K-…". Each is accepted once, in any case, with or without the hyphens.
func (e *RecoveryCodesEnrollment) Codes() []string { return append([]string(nil), e.shown()...) }

// newRecoveryCodes sets the factor's hashes, and returns what the person is shown.
func newRecoveryCodes(f *factor) (*RecoveryCodesEnrollment, error) {
	shown := make([]string, recoveryCodes)
	for i := range shown {
		var raw [recoveryCodeSize]byte
		if _, err := rand.Read(raw[:]); err != nil {
			return nil, fmt.Errorf("mfa: making a recovery code: %w", err)
		}
		code := crockford.EncodeToString(raw[:])
		f.recovery = append(f.recovery, recoveryHash(code))
		var groups []string
		for ; code != ""; code = code[recoveryGroup:] {
			groups = append(groups, code[:recoveryGroup])
		}
		shown[i] = strings.Join(groups, "-")
	}
	return &RecoveryCodesEnrollment{shown: hide(shown)}, nil
}

// recoveryHash is how a code is kept.
func recoveryHash(code string) string {
	sum := sha256.Sum256([]byte("github.com/authfactor/mfa recovery code " + code))
	return string(sum[:])
}
