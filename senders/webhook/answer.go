package webhook

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/internal/handover"
	"github.com/authfactor/mfa/senders"
)

const (
	wordUnknown  = "unknown"
	wordRefused  = "refused"
	wordTryLater = "try_later"
	wordAccount  = "account"
)

// reasons are the words of an answer, what they mean, and the status that a Receiver sends them
// with.
var reasons = []struct {
	word   string
	reason error
	status int
}{
	{wordUnknown, senders.ErrUnknown, http.StatusInternalServerError},
	{"cannot_receive", senders.ErrCannotReceive, http.StatusUnprocessableEntity},
	{"opted_out", senders.ErrOptedOut, http.StatusUnprocessableEntity},
	{"region_off", senders.ErrRegionOff, http.StatusUnprocessableEntity},
	{wordTryLater, senders.ErrTryLater, http.StatusTooManyRequests},
	{wordAccount, senders.ErrAccount, http.StatusForbidden},
	{wordRefused, senders.ErrRefused, http.StatusUnprocessableEntity},
}

// An answer is the body of one, as the package documentation describes it. The zero value is an
// answer without a body.
type answer struct {
	Sender string `json:"sender,omitempty"`
	ID     string `json:"id,omitempty"`
	Error  string `json:"error,omitempty"` // a word of reasons
	Text   string `json:"text,omitempty"`
	Code   string `json:"code,omitempty"`
}

// read reads the body of an answer. What is not understood is none.
func read(body io.Reader) answer {
	text, err := io.ReadAll(io.LimitReader(body, maxBody+1))
	if err != nil || len(text) > maxBody {
		return answer{}
	}
	var a answer
	if err := json.Unmarshal(text, &a); err != nil {
		return answer{}
	}
	return a
}

// takenBy are the arguments of Message.TakenBy.
func (a answer) takenBy() (by, id string) {
	if a.Sender == "" {
		return sender, a.ID
	}
	return a.Sender, a.ID
}

// problem is the error that an answer tells of, nil if the message was taken.
func (a answer) problem(m mfa.Message, resp *http.Response, now time.Time) error {
	if resp.StatusCode/100 == 2 && a.Error == "" {
		return nil
	}
	wait, waits := retryAfter(resp.Header.Get("Retry-After"), now)
	e := &senders.Error{
		Sender: sender, Reason: a.reason(resp.StatusCode, waits),
		Code: senders.Masked(m, a.Code), Text: senders.Masked(m, a.Text),
	}
	if e.Code == "" {
		e.Code = strconv.Itoa(resp.StatusCode)
	}
	if errors.Is(e.Reason, senders.ErrTryLater) {
		e.RetryAfter = wait
	}
	return e
}

// reason is that of an answer that took no message. Who answers 500 to 599 did not mean to, and
// no word of it counts.
func (a answer) reason(status int, waits bool) error {
	if status/100 == 2 || status/100 == 4 {
		for _, r := range reasons {
			if a.Error == r.word {
				return r.reason
			}
		}
	}
	switch {
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return senders.ErrAccount
	case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable && waits:
		return senders.ErrTryLater
	case status == http.StatusRequestTimeout:
		return senders.ErrUnknown // some send it for a gateway that was too slow
	case status/100 == 3, status/100 == 4,
		status == http.StatusNotImplemented, status == http.StatusHTTPVersionNotSupported:
		return senders.ErrRefused
	}
	return senders.ErrUnknown
}

const maxRetryAfter = 24 * time.Hour

// retryAfter reads the header Retry-After (RFC 9110 section 10.2.3): seconds or a date. It is 24
// hours at most. Without the header, or with another one, ok is false.
func retryAfter(header string, now time.Time) (wait time.Duration, ok bool) {
	if seconds, err := strconv.ParseUint(header, 10, 31); err == nil {
		wait = time.Duration(seconds) * time.Second
	} else if date, err := http.ParseTime(header); err == nil {
		wait = max(0, date.Sub(now))
	} else {
		return 0, false
	}
	return min(wait, maxRetryAfter), true
}

// noAnswer is the error for a request without an answer. The URL, which may hold a password,
// is not in it.
func noAnswer(err error) *senders.Error {
	e := &senders.Error{Sender: sender, Reason: senders.ErrUnknown, Cause: err}
	if quoted, ok := errors.AsType[*url.Error](err); ok {
		e.Cause = quoted.Err
	}
	if !handover.Unknown(err) && unconnected(err) {
		e.Reason = senders.ErrTryLater
	}
	return e
}

// unconnected reports whether an error proves that the request was not written: no address was
// found, nobody listens, or whoever does cannot show a certificate that fits. It names
// what proves it, because the other errors of net/http, such as that of an answer that is not
// HTTP, come after the request.
func unconnected(err error) bool {
	if op, ok := errors.AsType[*net.OpError](err); ok && (op.Op == "dial" || op.Op == "proxyconnect") {
		return true
	}
	_, nameless := errors.AsType[*net.DNSError](err)
	_, uncertified := errors.AsType[*tls.CertificateVerificationError](err)
	_, plain := errors.AsType[tls.RecordHeaderError](err)
	return nameless || uncertified || plain || errors.Is(err, http.ErrSchemeMismatch)
}
