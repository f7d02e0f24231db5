// Package issuer tries the issuer of authenticator apps that a handler is configured with, so
// that its New refuses what an enrolment would.
package issuer

import (
	"context"
	"errors"
	"log/slog"

	"github.com/authfactor/mfa"
)

// Check returns the message of an enrolment that is refused for the issuer, in a service that
// keeps nothing.
func Check(issuer string) error {
	svc, err := mfa.New(mfa.Config{
		Store: new(mfa.MemoryStore), Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	_, err = svc.Enroll(context.Background(), mfa.EnrollParams{
		UserID: "user", TOTP: &mfa.TOTPParams{Issuer: issuer, User: "user"},
	})
	if e, ok := errors.AsType[*mfa.Error](err); ok {
		return errors.New(e.Message)
	}
	return err
}
