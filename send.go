package mfa

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"github.com/authfactor/mfa/internal/redact"
	"github.com/authfactor/mfa/internal/typed"
)

// send hands the code of a committed challenge to the sender. The challenge is void if
// that is known to have failed, and open where it is unknown, as after a panic.
func (s *Service) send(ctx context.Context, d *challenging, template string) error {
	ch, f := d.challenge, d.factor
	m := Message{ID: messageID(ch.ID), To: f.number(), Body: typed.Render(template, ch.code)}
	e := f.eventOf(ch, EventMessageUnknown) // and so it stays if the sender panics
	e.Time, e.MessageID = ch.CreatedAt, m.ID
	defer func() { s.emit(ctx, e) }()

	unknown, err := s.handOver(ctx, m)
	if err == nil {
		e.Kind = EventMessageSent
		return nil
	}
	text := redact.Text(fmt.Sprint(err), m.To, ch.code, maxSenderText) // fmt takes a nil pointer for what it is
	if unknown {
		s.log.WarnContext(ctx, "mfa: it is unknown whether a message was sent",
			"challenge", ch.ID, "message_id", m.ID, "error", text)
		return nil
	}
	e.Kind = EventMessageFailed
	s.log.WarnContext(ctx, "mfa: a message could not be sent",
		"challenge", ch.ID, "message_id", m.ID, "error", text)
	ch.Version, ch.Status, ch.code = 1, statusVoid, ""
	if err := s.commit(ctx, voidTimeout, outcome{save: []stored{ch}}); err != nil {
		s.log.ErrorContext(ctx, "mfa: a challenge whose message failed could not be voided",
			"challenge", ch.ID, "error", err)
	}
	return &sendError{challengeID: ch.ID, cause: hide(err)}
}

// handOver calls the sender. Whoever hangs up does not reach it: the challenge is
// committed, and the message may be on its way. With an error it reports whether the
// message may have been handed over all the same.
func (s *Service) handOver(ctx context.Context, m Message) (unknown bool, err error) {
	sending, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.sendTimeout)
	defer cancel()
	if deadline, ok := ctx.Deadline(); ok {
		sending, cancel = context.WithDeadline(sending, deadline)
		defer cancel()
	}
	if err := sending.Err(); err != nil {
		return false, err // the sender was never asked
	}
	err = s.sms.Send(sending, m)
	return sending.Err() != nil || leavesOpen(err), err
}

// leavesOpen reports whether an error of a sender leaves open whether the message was
// handed over: the time was up, or the connection ended before the answer.
func leavesOpen(err error) bool {
	for _, end := range []error{context.DeadlineExceeded, context.Canceled, os.ErrDeadlineExceeded, io.EOF, io.ErrUnexpectedEOF} {
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
