package webhook

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
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
func (a answer) problem(m mfa.Message, resp *http.Response) error {
	if resp.StatusCode/100 == 2 && a.Error == "" {
		return nil
	}
	wait, waits := retryAfter(resp.Header)
	e := &senders.Error{
		Sender: sender, Reason: a.reason(resp.StatusCode, waits),
		Code: senders.Masked(m, a.Code), Text: senders.Masked(m, a.Text),
	}
	if e.Code == "" {
		e.Code = "HTTP " + strconv.Itoa(resp.StatusCode)
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
	switch status {
	case http.StatusUnauthorized, http.StatusPaymentRequired, http.StatusForbidden:
		return senders.ErrAccount
	case http.StatusTooManyRequests:
		return senders.ErrTryLater
	case http.StatusServiceUnavailable:
		if waits { // proxies say 503 without it of a gateway that did not answer
			return senders.ErrTryLater
		}
	case http.StatusNotImplemented, http.StatusHTTPVersionNotSupported,
		http.StatusNetworkAuthenticationRequired:
		return senders.ErrRefused
	case http.StatusSeeOther, // it was done, and the result is elsewhere
		http.StatusRequestTimeout: // some send it for a gateway that was too slow
	default:
		if status/100 == 3 || status/100 == 4 {
			return senders.ErrRefused
		}
	}
	return senders.ErrUnknown
}

const maxRetryAfter = 24 * time.Hour

// retryAfter reads the header Retry-After (RFC 9110 section 10.2.3): seconds, or a date, which is
// compared with that of the answer. It is 24 hours at most. Without the header, or with another
// one, ok is false.
func retryAfter(h http.Header) (wait time.Duration, ok bool) {
	text := h.Get("Retry-After")
	if text != "" && strings.Trim(text, "0123456789") == "" {
		seconds, err := strconv.Atoi(text)
		if err != nil || seconds > int(maxRetryAfter/time.Second) {
			return maxRetryAfter, true
		}
		return time.Duration(seconds) * time.Second, true
	}
	until, err := http.ParseTime(text)
	if err != nil {
		return 0, false
	}
	now, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return 0, true
	}
	return min(max(0, until.Sub(now)), maxRetryAfter), true
}

// noAnswer is the error for a request without an answer. The URL, which may hold a password,
// is not in it.
func noAnswer(m mfa.Message, err error, unwritten bool) *senders.Error {
	if quoted, ok := errors.AsType[*url.Error](err); ok {
		err = quoted.Err
	}
	e := &senders.Error{
		Sender: sender, Reason: senders.ErrUnknown, Text: senders.Masked(m, err.Error()), Cause: err,
	}
	if unwritten {
		e.Reason, e.Cause = senders.ErrTryLater, handover.Unsent(err)
	}
	return e
}
