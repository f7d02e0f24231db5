package mfatest

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"sync"

	"github.com/authfactor/mfa"
)

// A Sender is an [mfa.SMSSender] that records messages, and fails or delays them
// by script. The zero value delivers all. Beside it, [mfa.Config.Regions] is
// required, as beside a real one. It is safe for concurrent use, and prints no
// message.
type Sender struct {
	// Script, if set, is called with each message and the number of the call, from
	// 1. It may wait for ctx, panic, or return an error, which Send then returns.
	// Unless it is made with [Delivered], the message has not arrived.
	// Set it before the first use.
	Script func(ctx context.Context, n int, m mfa.Message) error

	outbox mfa.Outbox
	mu     sync.Mutex
	sends  int
}

var _ mfa.SMSSender = (*Sender)(nil)

// Delivered makes an error of a provider that sent the message all the same, such
// as a lost answer, for [Sender.Script].
func Delivered(err error) error { return &delivered{err} }

type delivered struct{ error }

// Send implements [mfa.SMSSender].
func (s *Sender) Send(ctx context.Context, m mfa.Message) error {
	s.mu.Lock()
	s.sends++
	n := s.sends
	s.mu.Unlock()
	var lost error
	if s.Script != nil {
		err := s.Script(ctx, n, m)
		if d, ok := err.(*delivered); ok {
			lost = d.error
		} else if err != nil {
			return err
		}
	}
	if err := s.outbox.Send(ctx, m); err != nil {
		return err
	}
	return lost
}

// Sends returns how many times Send was called, for messages that failed too.
func (s *Sender) Sends() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sends
}

// Messages returns the last 1,000 messages that arrived, oldest first.
func (s *Sender) Messages() []mfa.Message { return s.outbox.Messages() }

var sixDigits = regexp.MustCompile(`\b[0-9]{6}\b`)

// Code returns the first six digits on their own in the last message that arrived
// at the number, given in E.164; "" if there are none.
func (s *Sender) Code(phoneNumber string) string {
	for _, m := range slices.Backward(s.Messages()) {
		if m.To == phoneNumber {
			return sixDigits.FindString(m.Body)
		}
	}
	return ""
}

// Format prints how many messages arrived, whatever the verb.
func (s *Sender) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "mfatest.Sender(%d messages)", len(s.Messages()))
}
