// Package handover tells by the error of a sender whether a message may be on its way.
package handover

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
)

// Unknown reports whether an error of a sender leaves open whether the message was
// handed over: the time was up, or the connection ended before the answer.
func Unknown(err error) bool {
	ends := []error{
		context.DeadlineExceeded, context.Canceled, os.ErrDeadlineExceeded,
		io.EOF, io.ErrUnexpectedEOF,
	}
	for _, end := range ends {
		if errors.Is(err, end) {
			return true
		}
	}
	if slow, ok := errors.AsType[net.Error](err); ok && slow.Timeout() {
		return true
	}
	broken, ok := errors.AsType[*net.OpError](err)
	return ok && (broken.Op == "read" || broken.Op == "write")
}
