// Package operator is what mfahttp, whose callers have the operator's key, tells the
// root package beside the parameters of a call. It is not exported, because in an
// application's own handlers it would open a way in: see mfa.ChallengeParams.Confirm.
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
