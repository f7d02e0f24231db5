package mfa

import (
	"crypto/rand"
	"fmt"
	"math/big"
	"time"

	"github.com/authfactor/mfa/internal/codec"
	"github.com/authfactor/mfa/internal/typed"
)

// A generic_otp factor is whatever the application delivers codes by. It keeps
// nothing: the code belongs to the challenge.
type genericMethod struct{}

func (genericMethod) traits() traits {
	return traits{kind: TypeGenericOTP, amr: "otp", handsOut: true, unconfirmed: onUser}
}

func (genericMethod) chance(Policy) float64 { return chanceOfCode }

func (genericMethod) asked(p EnrollParams) bool { return p.GenericOTP }

func (genericMethod) enroll(*Service, EnrollParams, *Enrollment) (possession, error) {
	return &delivery{}, nil
}

func (genericMethod) empty() possession { return &delivery{} }

// A delivery is the application's own way to a person.
type delivery struct{}

func (*delivery) fields(*codec.Codec) {}
func (*delivery) describe(*Factor)    {}
func (*delivery) proves() bool        { return true }
func (*delivery) usedUp() bool        { return false }

func (*delivery) ask(_ *factor, ch *challenge, _ []*factor) error { return ch.makeCode() }

func (*delivery) check(
	_ *factor, answer string, ch *challenge, _ time.Time, _ Policy,
) (verdict, error) {
	return ch.checkCode(answer), nil
}

// makeCode gives a challenge a code of its own: six random digits, all equally likely.
func (ch *challenge) makeCode() error {
	n, err := rand.Int(rand.Reader, big.NewInt(codeSpace))
	if err != nil {
		return fmt.Errorf("mfa: making a code: %w", err)
	}
	ch.code = fmt.Sprintf("%0*d", digits, n)
	return nil
}

// checkCode compares an answer with the challenge's own code.
func (ch *challenge) checkCode(answer string) verdict {
	code, ok := typed.Code(answer, digits)
	switch {
	case !ok:
		return noCode
	case match(code, []string{ch.code}) < 0:
		return wrong
	}
	return right
}

// chanceOfCode is that of guessing one of a million codes, all equally likely.
const chanceOfCode = 1.0 / codeSpace
