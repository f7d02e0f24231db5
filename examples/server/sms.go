package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/authfactor/mfa"
)

// sender is what sends text messages. Return your provider's here: a method Send that
// hands it the message and returns its error.
func sender(o options, stderr io.Writer) (mfa.SMSSender, error) {
	if o.dsn == defaultDSN || o.printSMS {
		return printer{stderr}, nil
	}
	return nil, errors.New("with -dsn text messages need a sender: -print-sms writes them to standard error, for development; for production return your provider's from the function sender in sms.go")
}

// A printer is the sender of a server that sends nothing.
type printer struct{ w io.Writer }

// Send implements mfa.SMSSender.
func (p printer) Send(_ context.Context, m mfa.Message) error {
	_, err := fmt.Fprintf(p.w, "sms to %s: %s\n", m.To, m.Body)
	return err
}
