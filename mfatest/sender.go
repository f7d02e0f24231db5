package mfatest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/authfactor/mfa"
)

// A Sender is an [mfa.SMSSender] that keeps the messages, and fails, waits or
// panics by script. The zero value delivers every message at once. As with a
// real sender, the service requires [mfa.Config.Regions]. It is safe for
// concurrent use, and prints counts but no message.
type Sender struct {
	// Script, if set, is called by each Send before the message is delivered,
	// with the number of the call, from 1. If it returns an error, Send returns
	// it and the message is not delivered, unless the error was made with
	// Delivered. It may wait, until ctx ends too, and panic. Set it while no
	// Send is in progress.
	Script func(ctx context.Context, n int, m mfa.Message) error

	mu    sync.Mutex
	sends int
	phone *mfa.Outbox // set by delivered; fmt follows one pointer under verbs such as %s, but not two
}

var _ mfa.SMSSender = (*Sender)(nil)

// Delivered returns an error for [Sender.Script] with which the message is
// delivered and Send still returns err, as when the provider sent the message
// and its answer was lost. An err such as context.DeadlineExceeded leaves the
// challenge open: see [mfa.SMSSender].
func Delivered(err error) error { return &deliveredError{err} }

type deliveredError struct{ error }

// Send implements [mfa.SMSSender].
func (s *Sender) Send(ctx context.Context, m mfa.Message) error {
	s.mu.Lock()
	s.sends++
	n := s.sends
	s.mu.Unlock()
	if s.Script != nil {
		err := s.Script(ctx, n, m)
		if d, ok := errors.AsType[*deliveredError](err); ok {
			_ = s.delivered().Send(context.WithoutCancel(ctx), m) // an Outbox fails for ctx alone
			return d.error
		}
		if err != nil {
			return err
		}
	}
	return s.delivered().Send(ctx, m)
}

// Sends returns how many times Send was called, failed ones included.
func (s *Sender) Sends() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sends
}

// Messages returns the delivered messages, oldest first: the last 1,000.
func (s *Sender) Messages() []mfa.Message { return s.delivered().Messages() }

// Code returns the first group of exactly six digits in the last message that
// was delivered to the number, which is in E.164 as [mfa.Factor.PhoneNumber]
// returns it. It returns "" if there is no message, or no code in it.
func (s *Sender) Code(phoneNumber string) string {
	for _, m := range slices.Backward(s.Messages()) {
		if m.To == phoneNumber {
			return sixDigits(m.Body)
		}
	}
	return ""
}

func sixDigits(text string) string {
	for digits := range strings.FieldsFuncSeq(text, func(r rune) bool { return r < '0' || r > '9' }) {
		if len(digits) == 6 {
			return digits
		}
	}
	return ""
}

// Format prints how many messages there were, whatever the verb.
func (s *Sender) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "mfatest.Sender(sends: %d, delivered: %d)", s.Sends(), len(s.Messages()))
}

func (s *Sender) delivered() *mfa.Outbox {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phone == nil {
		s.phone = new(mfa.Outbox)
	}
	return s.phone
}
