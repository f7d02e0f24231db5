package mfa_test

import (
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/authfactor/mfa"
)

// The tests of this file hold what GuessProbability says against attacks on a service.

var factorTypes = []mfa.FactorType{
	mfa.TypeTOTP,
	mfa.TypeSMS,
	mfa.TypeGenericOTP,
	mfa.TypeRecoveryCodes,
}

// chance is that of one guess, by hand.
func chance(p mfa.Policy, factorType mfa.FactorType) float64 {
	switch factorType {
	case mfa.TypeTOTP:
		if p.ExactStep {
			return 2148 / math.Pow(2, 31)
		}
		return 3 * 2148 / math.Pow(2, 31)
	case mfa.TypeRecoveryCodes:
		return 10 / math.Pow(2, 120)
	default:
		return 1e-6
	}
}

// allowed is how many guesses GuessProbability counts.
func allowed(t *testing.T, p mfa.Policy, factorType mfa.FactorType, window time.Duration) int {
	t.Helper()
	n := p.GuessProbability(factorType, window) / chance(p, factorType)
	if math.Abs(n-math.Round(n)) > 1e-6 {
		t.Fatalf("%s within %s: %v guesses", factorType, window, n)
	}
	return int(math.Round(n))
}

// TestGuessProbability: fifty guesses and one for each drain, of every type, to the
// nanosecond; and no assurance where nothing is known.
func TestGuessProbability(t *testing.T) {
	for _, factorType := range factorTypes {
		for _, tt := range []struct {
			policy  mfa.Policy
			window  time.Duration
			guesses int
		}{
			{mfa.Policy{}, 0, 50},
			{mfa.Policy{}, drain - 1, 50},
			{mfa.Policy{}, drain, 51},
			{mfa.Policy{}, 10*drain - 1, 59},
			{mfa.Policy{}, aYear, 658},
			{mfa.Policy{ChallengeLifetime: time.Minute, MaxAttempts: 1, MaxFailures: 2}, drain, 51},
			{mfa.Policy{ChallengeLifetime: 10 * time.Minute, MaxAttempts: 5, MaxFailures: 30}, drain, 51},
			{mfa.Policy{MaxFailures: 1}, aYear,
				map[bool]int{true: 658, false: 1}[factorType == mfa.TypeRecoveryCodes]},
			{mfa.Policy{ExactStep: true, MaxFailures: 100}, drain, 51},
		} {
			if got := allowed(t, tt.policy, factorType, tt.window); got != tt.guesses {
				t.Errorf(
					"%s within %s under %+v: %d guesses, want %d",
					factorType,
					tt.window,
					tt.policy,
					got,
					tt.guesses,
				)
			}
		}
		if p := (mfa.Policy{}).GuessProbability(factorType, math.MaxInt64); p <= 0 || p >= 1 {
			t.Errorf("%s within 292 years: %g", factorType, p)
		}
		for _, p := range []mfa.Policy{
			{MaxFailures: 34}, {MaxFailures: -1}, {MaxAttempts: 11}, {ChallengeLifetime: time.Hour},
		} {
			if got := p.GuessProbability(factorType, 0); got != 1 {
				t.Errorf("%s under %+v, which New refuses: %g, want 1", factorType, p, got)
			}
		}
		if got := (mfa.Policy{}).GuessProbability(factorType, -1); got != 1 {
			t.Errorf("%s within less than nothing: %g, want 1", factorType, got)
		}
	}
	for _, unknown := range []mfa.FactorType{"", "TOTP", "passkey"} {
		if got := (mfa.Policy{}).GuessProbability(unknown, 0); got != 1 {
			t.Errorf("%q: %g, want 1", unknown, got)
		}
	}
}

// TestGuessesReachTheBound: an attack with the owner's help gets as many guesses as
// GuessProbability counts, and no more in any part of the window.
func TestGuessesReachTheBound(t *testing.T) {
	exact := mfa.Policy{ExactStep: true}
	for _, tt := range []struct {
		factorType mfa.FactorType
		policy     mfa.Policy
		window     time.Duration
		owner      int
	}{
		{mfa.TypeGenericOTP, mfa.Policy{}, 0, 4},
		{mfa.TypeGenericOTP, mfa.Policy{}, drain - time.Millisecond, 4},
		{mfa.TypeGenericOTP, mfa.Policy{}, drain, 4},
		{mfa.TypeGenericOTP, mfa.Policy{MaxAttempts: 1, MaxFailures: 2}, 30 * aDay, 1},
		{mfa.TypeGenericOTP, mfa.Policy{MaxFailures: 1}, aYear, 0},
		{mfa.TypeTOTP, mfa.Policy{}, 6 * time.Minute, 4},
		{mfa.TypeTOTP, mfa.Policy{}, time.Hour, 4},
		{mfa.TypeTOTP, mfa.Policy{}, aDay, 4},
		{mfa.TypeTOTP, mfa.Policy{}, 30 * aDay, 4},
		{mfa.TypeTOTP, mfa.Policy{}, aYear, 29}, // twice a month is enough
		{mfa.TypeTOTP, exact, time.Hour, 4},
		{mfa.TypeTOTP, exact, aDay, 4},
		{mfa.TypeTOTP, exact, 30 * aDay, 4},
		{mfa.TypeRecoveryCodes, mfa.Policy{}, time.Hour, 5},
		{mfa.TypeRecoveryCodes, mfa.Policy{}, aDay, 6},
		{mfa.TypeRecoveryCodes, mfa.Policy{}, 30 * aDay, 29},
		{mfa.TypeSMS, mfa.Policy{}, 7 * aDay, 4},
		{mfa.TypeSMS, mfa.Policy{}, 30 * aDay, 4},
		{mfa.TypeSMS, mfa.Policy{}, aYear, 4},
	} {
		t.Run(fmt.Sprintf("%s %s %+v", tt.factorType, tt.window, tt.policy), func(t *testing.T) {
			g := newGuesser(t, tt.factorType, tt.policy, tt.owner)
			got, want := g.Attack(tt.window), allowed(t, tt.policy, tt.factorType, tt.window)
			if got != want {
				t.Errorf(
					"%d guesses were answered within %s, and %d are said to be possible",
					got,
					tt.window,
					want,
				)
			}
			for i, first := range g.Guesses {
				for j := i; j < len(g.Guesses); j++ {
					part := g.Guesses[j].Sub(first)
					if most := allowed(t, tt.policy, tt.factorType, part); j-i+1 > most {
						t.Fatalf("%d guesses within %s, and only %d are said to be possible", j-i+1, part, most)
					}
				}
			}
		})
	}
}

// alone is how many guesses are answered within each window of the table in
// docs/threats.md while nobody logs in; more of recovery codes, which are never disabled.
var alone = []struct {
	name     string
	window   time.Duration
	guesses  int
	recovery int
}{
	{"at once", 0, 5, 5},
	{"1 hour", time.Hour, 11, 11},
	{"1 day", aDay, 30, 34},
	{"30 days", 30 * aDay, 30, 100},
	{"1 year", aYear, 30, 658},
}

// TestGuessesAlone: while nobody logs in, the back-off and MaxFailures leave a guesser
// less than GuessProbability says, and less than what New refuses.
func TestGuessesAlone(t *testing.T) {
	for _, tt := range alone {
		for _, factorType := range []mfa.FactorType{
			mfa.TypeTOTP, mfa.TypeGenericOTP, mfa.TypeRecoveryCodes,
		} {
			got, want := newGuesser(t, factorType, mfa.Policy{}, 0).Attack(tt.window), tt.guesses
			if factorType == mfa.TypeRecoveryCodes {
				want = tt.recovery
			}
			if got != want {
				t.Errorf("%s, %s: %d guesses, want %d", factorType, tt.name, got, want)
			}
			if p := float64(
				got,
			) * chance(
				mfa.Policy{},
				factorType,
			); p > 1e-4 ||
				p > (mfa.Policy{}).GuessProbability(factorType, tt.window) {
				t.Errorf("%s, %s: a chance of %g", factorType, tt.name, p)
			}
		}
	}
}

// TestGuessTable: the table of docs/threats.md says what GuessProbability says.
func TestGuessTable(t *testing.T) {
	doc, err := os.ReadFile("docs/threats.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range alone {
		cells := []string{"", tt.name}
		for _, p := range []float64{
			(mfa.Policy{}).GuessProbability(mfa.TypeTOTP, tt.window),
			mfa.Policy{ExactStep: true}.GuessProbability(mfa.TypeTOTP, tt.window),
			(mfa.Policy{}).GuessProbability(mfa.TypeSMS, tt.window),
			(mfa.Policy{}).GuessProbability(mfa.TypeRecoveryCodes, tt.window),
			float64(tt.guesses) * chance(mfa.Policy{}, mfa.TypeTOTP),
		} {
			cells = append(cells, strings.Replace(fmt.Sprintf("%.1e", p), "e-0", "e-", 1))
		}
		line := strings.TrimSpace(strings.Join(append(cells, ""), " | "))
		if !strings.Contains(string(doc), "\n"+line+"\n") {
			t.Errorf("docs/threats.md has no line\n%s", line)
		}
	}
}
