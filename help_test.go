package mfa_test

import (
	"testing"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/internal/testrig"
)

// The names of package testrig, as the tests of this package have them.
type (
	enrolled = testrig.Enrolled
	used     = testrig.Used
)

const (
	ann          = testrig.Ann
	phone        = testrig.Number
	drain        = testrig.Drain
	aDay         = testrig.Day
	aYear        = testrig.Year
	vectorSecret = testrig.VectorSecret
)

var (
	errAsked   = testrig.ErrAsked
	all        = testrig.All
	count      = testrig.Count
	kinds      = testrig.Kinds
	mustBe     = testrig.MustBe
	newGuesser = testrig.NewGuesser
	ofKind     = testrig.OfKind
	pay        = testrig.Pay
	printed    = testrig.Printed
	refused    = testrig.Refused
	refusal    = testrig.Refusal
	shows      = testrig.Shows
	spellings  = testrig.Spellings
	vectorRig  = testrig.VectorRig
	withID     = testrig.WithID
	wrongFor   = testrig.WrongFor
)

// A rig is that of package testrig, to which tests of this package add what they alone do.
type rig struct{ *testrig.Rig }

func newRig(t *testing.T, change ...func(*mfa.Config)) *rig {
	t.Helper()
	return &rig{testrig.New(t, change...)}
}
