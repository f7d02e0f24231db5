package mfa

import (
	"crypto/hkdf"
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
	recoverySeedSize   = 32 // bytes
)

// crockford has no letters that look like others.
var crockford = base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").WithPadding(base32.NoPadding)

// A RecoveryCodesEnrollment holds the codes of a new set, of which only hashes
// are stored. Printing it does not show them, and its JSON is {}.
type RecoveryCodesEnrollment struct {
	shown hidden[[]string]
}

// Codes are ten codes of six groups of four letters and digits, to be written
// down or printed: "0H4K-…". Each is accepted once, in any case, with or
// without the hyphens.
func (e *RecoveryCodesEnrollment) Codes() []string { return append([]string(nil), e.shown()...) }

// Recovery codes are a factor for a person who has nothing else at hand.
type recoveryMethod struct{}

func (recoveryMethod) traits() traits {
	return traits{
		kind: TypeRecoveryCodes, amr: "otp",
		needsOwner: true, backup: true, confirmed: true, oneSet: true, unguessable: true,
	}
}

func (recoveryMethod) chance(Policy) float64 {
	return math.Ldexp(recoveryCodes, -8*recoveryCodeSize)
}

func (recoveryMethod) asked(p EnrollParams) bool { return p.RecoveryCodes }

func (recoveryMethod) enroll(_ *Service, _ EnrollParams, enr *Enrollment) (possession, error) {
	raw := make([]byte, recoveryCodes*recoveryCodeSize)
	if _, err := rand.Read(raw); err != nil {
		return nil, fmt.Errorf("mfa: making recovery codes: %w", err)
	}
	set, shown := newRecoverySet(raw)
	enr.RecoveryCodes = shown
	return set, nil
}

// newRecoverySet makes ten codes of random bytes: what is kept of them, and what the
// person is shown.
func newRecoverySet(raw []byte) (*recoverySet, *RecoveryCodesEnrollment) {
	set := &recoverySet{}
	var shown []string
	for of := range slices.Chunk(raw, recoveryCodeSize) {
		code := crockford.EncodeToString(of)
		set.hashes = append(set.hashes, recoveryHash(code))
		var groups []string
		for ; code != ""; code = code[recoveryGroup:] {
			groups = append(groups, code[:recoveryGroup])
		}
		shown = append(shown, strings.Join(groups, "-"))
	}
	return set, &RecoveryCodesEnrollment{shown: hide(shown)}
}

// derivedRecoverySet derives ten codes from a seed and a secret, always the
// same. Whoever has only one of the two has no codes (RFC 5869).
func derivedRecoverySet(
	seed []byte, secret string,
) (*recoverySet, *RecoveryCodesEnrollment, error) {
	const size = recoveryCodes * recoveryCodeSize
	const info = "github.com/authfactor/mfa recovery codes"
	raw, err := hkdf.Key(sha256.New, keyOf(secret), seed, info, size)
	if err != nil {
		return nil, nil, fmt.Errorf("mfa: making recovery codes: %w", err)
	}
	set, shown := newRecoverySet(raw)
	return set, shown, nil
}

// takesRecoveryCodes reports whether a set can be made for the user: they have
// none, and fewer factors than they may have.
func (u *user) takesRecoveryCodes(now time.Time) bool {
	here := 0
	for _, m := range u.factors {
		if m.backup {
			return false
		}
		if m.verified || now.Before(m.lapses) {
			here++
		}
	}
	return here < maxFactors && len(u.factors) < maxMembers
}

// addRecoveryCodes adds a set to the outcome of a right code. Its seed is
// stored only for a call with an idempotency key. That key is not stored, and
// without it nobody can derive the codes.
func (d *verifying) addRecoveryCodes(out *outcome) (*RecoveryCodesEnrollment, error) {
	seed := make([]byte, recoverySeedSize)
	if _, err := rand.Read(seed); err != nil {
		return nil, fmt.Errorf("mfa: making recovery codes: %w", err)
	}
	set, shown, err := derivedRecoverySet(seed, d.in.IdempotencyKey)
	if err != nil {
		return nil, err
	}
	f, err := newRecord(d.now, EnrollParams{UserID: d.user.UserID}, recoveryMethod{}.traits(), set)
	if err != nil {
		return nil, err
	}
	if d.request != nil {
		d.challenge.codesSeed, d.challenge.codesSet = seed, f.ID
	}
	d.user.factors = append(d.user.factors, f.membership())
	d.user.touch(d.now)
	out.put(d.user)
	out.put(f)
	out.events = append(out.events, f.eventOf(d.challenge, EventEnrolled))
	return shown, nil
}

// hasRecoveryCodes reports whether the answer that is repeated made codes, and the
// user still has their set.
func (d *verifying) hasRecoveryCodes() bool {
	id := d.challenge.codesSet
	return d.in.NewRecoveryCodes && id != "" && d.user.lists(id)
}

// recoveryCodesAgain are the codes that the answer which is repeated made.
func (d *verifying) recoveryCodesAgain() (*RecoveryCodesEnrollment, error) {
	_, shown, err := derivedRecoverySet(d.challenge.codesSeed, d.in.IdempotencyKey)
	return shown, err
}

func (recoveryMethod) empty() possession { return &recoverySet{} }

// A recoverySet has the hashes of the codes that were not used.
type recoverySet struct{ hashes []string }

func (r *recoverySet) fields(c *codec.Codec) { codec.List(c, &r.hashes, recoveryCodes, c.String) }

func (r *recoverySet) describe(f *Factor) { f.RecoveryCodesLeft = len(r.hashes) }

// proves reports whether a code was used. Otherwise the owner may never have
// seen the set, because the answer was lost, or may not have confirmed an app
// beside it.
func (r *recoverySet) proves() bool { return len(r.hashes) < recoveryCodes }

func (r *recoverySet) usedUp() bool { return len(r.hashes) == 0 }

func (*recoverySet) ask(*factor, *challenge, []*factor) error { return nil }

func (r *recoverySet) check(
	_ *factor, answer string, _ *challenge, _ time.Time, _ Policy,
) (verdict, error) {
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
