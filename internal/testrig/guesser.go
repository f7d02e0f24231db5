package testrig

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/authfactor/mfa"
)

// A Guesser makes wrong guesses at a factor, as fast as they are answered and waiting as
// told, while the owner logs in after so many wrong codes in a row; never, for 0.
type Guesser struct {
	*Rig           // whose service is attacked
	F     Enrolled // the factor
	Owner int      // logs in after so many wrong codes in a row; 0 for never
	Codes []string // the owner's recovery codes
	used  int64    // the step of the owner's last code

	Mine    mfa.Challenge // the guesser's; the zero value when there is none
	avoid   string        // its code, if it has one
	Guesses []time.Time   // that were answered
}

// NewGuesser enrolls and confirms a fresh factor.
func NewGuesser(t *testing.T, factorType mfa.FactorType, p mfa.Policy, owner int) *Guesser {
	t.Helper()
	g := &Guesser{Rig: New(t, func(c *mfa.Config) { c.Policy = p }), Owner: owner}
	switch factorType {
	case mfa.TypeTOTP:
		g.F = g.TOTP(Ann)
	case mfa.TypeSMS:
		g.F = g.Phone(Ann, Number)
	case mfa.TypeGenericOTP:
		enr, err := g.Enroll(t.Context(), mfa.EnrollParams{UserID: Ann, GenericOTP: true})
		if err != nil {
			t.Fatal(err)
		}
		g.F = Enrolled{Factor: enr.Factor}
		g.OwnerLogsIn()
	case mfa.TypeRecoveryCodes:
		g.F, g.Codes = g.Recovery(Ann)
	}
	return g
}

// Attack guesses until the window is over, and says how many guesses were answered.
func (g *Guesser) Attack(window time.Duration) int {
	g.T.Helper()
	g.Took()
	end, row := g.Clock.Now().Add(window), 0
	for {
		if g.Owner > 0 && row == g.Owner {
			g.OwnerLogsIn()
			row = 0
		}
		err := g.Guess(end)
		switch {
		case errors.Is(err, mfa.ErrInvalidCode):
			if row++; len(g.Guesses) > 1000 {
				g.T.Fatal("a thousand guesses were answered, and there is no end")
			}
		case errors.Is(err, mfa.ErrThrottled):
			g.Clock.Advance(Refusal(g.T, err).RetryAfter)
		case errors.Is(err, mfa.ErrTooManyAttempts), errors.Is(err, mfa.ErrChallengeExpired):
			g.Mine = mfa.Challenge{}
		case errors.Is(err, mfa.ErrFactorDisabled), errors.Is(err, errOver):
			return g.Counted()
		default:
			g.T.Fatal(err)
		}
	}
}

// Guess tries one wrong code, unless it is past the end.
func (g *Guesser) Guess(end time.Time) error {
	if g.Clock.Now().After(end) {
		return errOver
	}
	var err error
	if g.Mine.ID == "" {
		p := mfa.ChallengeParams{FactorID: g.F.ID, UserID: Ann}
		if g.Mine, err = g.Challenge(g.T.Context(), p); err != nil {
			return err
		}
		g.avoid = g.Mine.Code()
		if g.F.Type == mfa.TypeSMS {
			g.avoid = g.SMS.Code(Number)
		}
	}
	code := WrongFor(g.avoid)
	switch g.F.Type {
	case mfa.TypeTOTP:
		code = g.Wrong(g.F)
	case mfa.TypeRecoveryCodes:
		code = strings.Repeat("0", 24)
	default:
	}
	_, err = g.Answer(g.Mine, g.F, code)
	if errors.Is(err, mfa.ErrInvalidCode) {
		g.Guesses = append(g.Guesses, g.Clock.Now())
	}
	return err
}

// OwnerLogsIn is the owner's, with a code that was not used yet.
func (g *Guesser) OwnerLogsIn() {
	g.T.Helper()
	ch := g.AskPatiently(g.F)
	code := ch.Code()
	switch g.F.Type {
	case mfa.TypeTOTP:
		if now := g.Clock.Now(); now.Unix()/30 <= g.used {
			g.Clock.Advance(time.Unix(30*(g.used+1), 0).Sub(now))
		}
		g.used = g.Clock.Now().Unix() / 30
		code = g.Right(g.F)
	case mfa.TypeSMS:
		code = g.Right(g.F)
	case mfa.TypeRecoveryCodes:
		if len(g.Codes) == 0 {
			g.T.Fatal("the owner has no recovery codes left")
		}
		code, g.Codes = g.Codes[0], g.Codes[1:]
	default:
	}
	if _, err := g.Answer(ch, g.F, code); err != nil {
		g.T.Fatalf("the owner: %v", err)
	}
}

// Counted is how many guesses were answered, each of which the service counted.
func (g *Guesser) Counted() int {
	g.T.Helper()
	failed := 0
	for _, e := range g.Took() {
		if e.Kind == mfa.EventFailed {
			failed++
		}
	}
	if failed != len(g.Guesses) {
		g.T.Errorf("%d guesses were answered and %d counted", len(g.Guesses), failed)
	}
	return failed
}

var errOver = errors.New("the window is over")

// WrongFor is a code that is not the right one.
func WrongFor(right string) string {
	if right == "000000" {
		return "000001"
	}
	return "000000"
}
