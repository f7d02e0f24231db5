// Package senders has what the senders in the packages below it share: an [Error] that says
// what a caller can do, and senders that are made of others ([Fallback], [Route]).
//
// Each sender is an [mfa.SMSSender] for mfa.Config.SMS.
package senders

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/internal/redact"
)

// The reasons of an [Error], for errors.Is. With all but ErrUnknown nothing was handed over.
var (
	// ErrCannotReceive: the number does not exist, or receives no text messages. Ask the
	// person for another number or another factor.
	ErrCannotReceive = errors.New("the number cannot receive the message")

	// ErrOptedOut: whoever has the number answered STOP to an earlier message. They must
	// answer START first. [Fallback] does not go on to another sender.
	ErrOptedOut = errors.New("the number opted out of messages")

	// ErrRegionOff: the account does not send to the number's region. Turn it on with the
	// provider, or take it out of mfa.Config.Regions.
	ErrRegionOff = errors.New("the account does not send to this region")

	// ErrTryLater: a rate limit of the provider, or it is out of order. Error.RetryAfter
	// says for how long, if the provider does.
	ErrTryLater = errors.New("the provider takes no message now")

	// ErrAccount: wrong credentials, an account that is suspended or has no credit, or a
	// sending number that it does not have. Only its owner can mend it.
	ErrAccount = errors.New("the account cannot send")

	// ErrRefused: any other reason. Error.Code and Error.Text have the provider's words.
	ErrRefused = errors.New("the provider refused the message")

	// ErrUnknown: the message may be on its way, as after a timeout or an answer that says
	// nothing. [mfa.Service.Challenge] then keeps the challenge open.
	// It matches context.DeadlineExceeded, as mfa.SMSSender asks for.
	ErrUnknown error = unknown{}
)

// unknown is the type of ErrUnknown.
type unknown struct{}

// Error says what is unknown.
func (unknown) Error() string { return "it is unknown whether the message was handed over" }

// Is makes it leave open whether the message is on its way.
func (unknown) Is(target error) bool { return target == context.DeadlineExceeded }

// An Error is what a sender returns. Applications find it with errors.As in the error of
// [mfa.Service.Challenge], but for ErrUnknown, which Challenge does not return.
type Error struct {
	Sender string // the name of the provider, such as "twilio"
	Reason error  // one of the Err variables
	Code   string // the provider's number or word for it, "" for none
	Text   string // the provider's or the network's explanation, without number and code, or ""

	// RetryAfter is how long the provider takes no message, for ErrTryLater; 0 if it does
	// not say.
	RetryAfter time.Duration

	// Cause is the error of the network, nil if the provider answered. Its text may hold the
	// number: Error leaves it out.
	Cause error
}

const maxText = 512 // bytes of a provider's explanation

// Masked gives a provider's explanation of a message as Error.Text: without the number, without
// the code, and cut after 512 bytes.
func Masked(m mfa.Message, text string) string {
	digits := strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return 'x' // no digit, and none is looked for
		}
		return r
	}, m.Body)
	return redact.Text(text, m.To, digits, maxText)
}

// Error names the sender, the reason, and what the provider says.
func (e *Error) Error() string {
	text := fmt.Sprintf("senders: %s: %v", e.Sender, e.Reason)
	if e.Code != "" {
		text += " (" + e.Code + ")"
	}
	if e.Text != "" {
		text += ": " + e.Text
	}
	if e.RetryAfter > 0 {
		text += fmt.Sprintf(", retry after %v", e.RetryAfter)
	}
	return text
}

// Unwrap gives the reason and the cause.
func (e *Error) Unwrap() []error {
	var is []error
	if e.Reason != nil {
		is = append(is, e.Reason)
	}
	if e.Cause != nil {
		is = append(is, e.Cause)
	}
	return is
}
