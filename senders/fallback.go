package senders

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/internal/handover"
)

// Fallback returns a sender that asks the first one, and if that fails the next. It goes on only
// if the error proves that nothing was handed over, so that no code is sent twice or counted as
// not sent, and ctx is not done. It does not go on after [ErrOptedOut]. A panic passes through.
//
// Its error is what all that were asked said. For errors.As the last comes first, which is the
// one that may leave it open whether the message was handed over. Fallback panics if a sender
// is nil.
//
// Each sender has all that is left of ctx's time, and none gets a share of its own: one that was
// stopped in the middle may have handed the message over, so the next could not be asked. A
// provider that cannot be reached leaves time for the next one, because the senders of the
// packages below give up connecting after at most 8 seconds of the 15 of mfa.Config.SendTimeout.
// (A proxy that does not answer can take all of them, and so can an HTTPClient of your own.)
func Fallback(first mfa.SMSSender, next ...mfa.SMSSender) mfa.SMSSender {
	all := append([]mfa.SMSSender{first}, next...)
	if slices.Contains(all, nil) {
		panic("senders: Fallback of a sender that is nil")
	}
	return fallback(all)
}

type fallback []mfa.SMSSender

// Send asks one after the other.
func (f fallback) Send(ctx context.Context, m mfa.Message) error {
	var said failures
	for _, sender := range f {
		err := sender.Send(ctx, m)
		if err == nil {
			return nil
		}
		said = append(said, err)
		if handover.Unknown(err) || errors.Is(err, ErrOptedOut) || ctx.Err() != nil {
			break
		}
	}
	if len(said) == 1 {
		return said[0]
	}
	return said
}

// failures are what several senders said, in the order in which they were asked.
type failures []error

func (f failures) Error() string {
	texts := make([]string, len(f))
	for i, err := range f {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; then ")
}

// Unwrap gives the last one first.
func (f failures) Unwrap() []error {
	last := slices.Clone(f)
	slices.Reverse(last)
	return last
}
