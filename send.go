package mfa

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"unicode"
)

// send hands the code of a committed challenge to the sender. The challenge is void if
// that is known to have failed, and open where it is unknown, as after a panic.
func (s *Service) send(ctx context.Context, d *challenging, template string) error {
	ch, f := d.challenge, d.factor
	m := Message{ID: messageID(ch.ID), To: f.number(), Body: render(template, ch.code)}
	e := f.eventOf(ch, EventMessageUnknown) // and so it stays if the sender panics
	e.Time, e.MessageID = ch.CreatedAt, m.ID
	defer func() { s.emit(ctx, e) }()

	unknown, err := s.handOver(ctx, m)
	if err == nil {
		e.Kind = EventMessageSent
		return nil
	}
	text := masked(fmt.Sprint(err), m.To, ch.code) // fmt takes a nil pointer for what it is
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

// shownDigits is how many digits in a row of a number or a code a log may show.
const shownDigits = 3

// masked is the text of a sender's error for the log. Providers quote the message: four
// digits in a row of its number or code are taken out, in whatever script and with
// whatever between them but letters. Of a URL the host is left, because gateways take their
// password in what follows.
func masked(text, number, code string) string {
	runes := []rune(strings.Map(func(r rune) rune {
		if controls(r) {
			return ' '
		}
		return r
	}, hostsOnly(text)))

	var row []byte // the digits, and a ' ' for each letter
	var at []int   // where they are
	for i, r := range runes {
		if d := digit(r); d != 0 {
			row, at = append(row, d), append(at, i)
		} else if unicode.IsLetter(r) {
			row, at = append(row, ' '), append(at, i)
		}
	}
	words := make([]string, len(row)) // what takes their place
	for _, secret := range [...]struct{ digits, word string }{{code, "[code]"}, {number, "[number]"}} {
		for i := range max(0, len(row)-shownDigits) {
			if strings.Contains(secret.digits, string(row[i:i+shownDigits+1])) {
				copy(words[i:], slices.Repeat([]string{secret.word}, shownDigits+1))
			}
		}
	}
	var out strings.Builder
	next := 0
	for i := 0; i < len(row); i++ {
		if words[i] == "" {
			continue
		}
		out.WriteString(string(runes[next:at[i]]) + words[i])
		for i+1 < len(row) && words[i+1] == words[i] {
			i++
		}
		next = at[i] + 1
	}
	out.WriteString(string(runes[next:]))
	if out.Len() <= maxSenderText {
		return out.String()
	}
	return strings.ToValidUTF8(out.String()[:maxSenderText], "") + "…"
}

// hostsOnly leaves of each URL the scheme and the host.
func hostsOnly(text string) string {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(text, "://")
		out.WriteString(before)
		if !found {
			return out.String()
		}
		end := strings.IndexFunc(rest, func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune("\"'`<>", r) })
		if end < 0 {
			end = len(rest)
		}
		url := rest[:end]
		host := url
		if path := strings.IndexAny(url, "/?#"); path >= 0 {
			host = url[:path]
		}
		out.WriteString("://" + host[strings.LastIndexByte(host, '@')+1:])
		if len(host) < len(url) {
			out.WriteString("/…")
		}
		text = rest[end:]
	}
}
