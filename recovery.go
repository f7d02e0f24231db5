package mfa

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/authfactor/mfa/internal/codec"
	"github.com/authfactor/mfa/internal/typed"
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

// Recovery codes are a factor for a person who has nothing else at hand.
type recoveryMethod struct{}

func (recoveryMethod) traits() traits {
	return traits{
		kind: TypeRecoveryCodes, needsOwner: true, backup: true, confirmed: true, oneSet: true, unguessable: true,
	}
}

func (recoveryMethod) chance(Policy) float64 { return math.Ldexp(recoveryCodes, -8*recoveryCodeSize) }

func (recoveryMethod) asked(p EnrollParams) bool { return p.RecoveryCodes }

func (recoveryMethod) enroll(_ *Service, _ EnrollParams, enr *Enrollment) (possession, error) {
	set := &recoverySet{}
	shown := make([]string, recoveryCodes)
	for i := range shown {
		var raw [recoveryCodeSize]byte
		if _, err := rand.Read(raw[:]); err != nil {
			return nil, fmt.Errorf("mfa: making a recovery code: %w", err)
		}
		code := crockford.EncodeToString(raw[:])
		set.hashes = append(set.hashes, recoveryHash(code))
		var groups []string
		for ; code != ""; code = code[recoveryGroup:] {
			groups = append(groups, code[:recoveryGroup])
		}
		shown[i] = strings.Join(groups, "-")
	}
	enr.RecoveryCodes = &RecoveryCodesEnrollment{shown: hide(shown)}
	return set, nil
}

func (recoveryMethod) empty() possession { return &recoverySet{} }

// A recoverySet has the hashes of the codes that were not used.
type recoverySet struct{ hashes []string }

func (r *recoverySet) fields(c *codec.Codec) { codec.List(c, &r.hashes, recoveryCodes, c.String) }

func (r *recoverySet) describe(f *Factor) { f.RecoveryCodesLeft = len(r.hashes) }

// proves leaves out a set of which no code was used: its owner may never have seen it,
// because the answer was lost, or may not have confirmed an app beside it yet.
func (r *recoverySet) proves() bool { return len(r.hashes) < recoveryCodes }

func (r *recoverySet) spent() bool { return len(r.hashes) == 0 }

func (*recoverySet) ask(*factor, *challenge, []*factor) error { return nil }

func (r *recoverySet) check(_ *factor, answer string, _ *challenge, _ time.Time, _ Policy) (verdict, error) {
	code, ok := typed.RecoveryCode(answer, recoveryCodeLength)
	if !ok {
		return noCode, nil
	}
	matched := match(recoveryHash(code), r.hashes)
	if matched < 0 {
		return wrong, nil
	}
	r.hashes = slices.Delete(r.hashes, matched, matched+1)
	return right, nil
}

// recoveryHash is how a code is kept.
func recoveryHash(code string) string {
	sum := sha256.Sum256([]byte("github.com/authfactor/mfa recovery code " + code))
	return string(sum[:])
}
