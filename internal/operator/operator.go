// Package operator is what mfahttp, whose callers have the operator's key, and the root
// package tell each other beside the parameters and the errors of a call. It is not
// exported, because in an application's own handlers it would open a way in: see
// mfa.ChallengeParams.Confirm.
package operator

import (
	"context"
	"time"
)

type confirmWithin struct{}

// WithConfirm returns a context for Service.Challenge that confirms, as if
// ChallengeParams.Confirm were set, a factor that was enrolled at most so long ago by
// the service's clock, which only the service has.
func WithConfirm(ctx context.Context, age time.Duration) context.Context {
	return context.WithValue(ctx, confirmWithin{}, age)
}

// ConfirmWithin returns the age that WithConfirm was given, 0 without it.
func ConfirmWithin(ctx context.Context) time.Duration {
	age, _ := ctx.Value(confirmWithin{}).(time.Duration)
	return age
}

// An UnknownTypeError is in the chain of the error of Service.Enroll for a type that the
// service does not have.
type UnknownTypeError struct {
	Types []string // those of its Config.Methods
}

// Error tells no type: the caller has a message of its own.
func (*UnknownTypeError) Error() string { return "unknown type" }
