package provider

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/senders"
)

// maxRetryAfter is the longest Error.RetryAfter. What is longer is a mistake, or an attempt to
// keep messages from being sent.
const maxRetryAfter = 24 * time.Hour

// A Verdict is what a body says about a message that was not taken. The zero value is that of a
// body that says nothing, or is not understood.
type Verdict struct {
	Reason error  // "nil": the Code is not known, or there is none
	Code   string // the provider's number or word for it, as an error may show it
	Text   string // the provider's explanation, as it came
}

// Error is the error of an answer that does not say that the message was taken. With a status
// of success, or one that blames the request (400 to 499), the body decides, if it says
// something. Otherwise the status does.
func (c *Client) Error(m mfa.Message, a *Answer, v Verdict) *senders.Error {
	wait, waits := RetryAfter(a.header)
	reason := v.Reason
	switch {
	case reason != nil && (a.OK() || a.Status/100 == 4):
	case a.OK() && v.Code != "":
		reason = senders.ErrRefused
	default:
		reason = ByStatus(a.Status, waits)
	}
	e := &senders.Error{
		Sender: c.name, Reason: reason, Code: v.Code, Text: c.masked(m, v.Text),
	}
	if v.Code == "" {
		e.Code = "HTTP " + strconv.Itoa(a.Status)
	}
	switch {
	case errors.Is(reason, senders.ErrTryLater):
		e.RetryAfter = wait
	case errors.Is(reason, senders.ErrUnknown):
		e.Cause = a.broken // with another reason, it would leave open what the status says
	}
	return e
}

// ByStatus is what a status says about the message (RFC 9110 section 15). waits: a header
// Retry-After was there.
func ByStatus(status int, waits bool) error {
	switch status {
	case http.StatusUnauthorized, http.StatusPaymentRequired, http.StatusForbidden:
		return senders.ErrAccount
	case http.StatusTooManyRequests:
		return senders.ErrTryLater
	case http.StatusServiceUnavailable:
		if waits { // the server itself refused it; proxies say 503 of one that did not answer
			return senders.ErrTryLater
		}
		return senders.ErrUnknown
	case http.StatusNotImplemented, http.StatusHTTPVersionNotSupported,
		http.StatusNetworkAuthenticationRequired:
		return senders.ErrRefused
	case http.StatusSeeOther, // it was done, and the result is elsewhere
		http.StatusRequestTimeout: // some proxies mean that the server did not answer
		return senders.ErrUnknown
	}
	if status >= 300 && status < 500 { // other redirects, and what is wrong with the request
		return senders.ErrRefused
	}
	return senders.ErrUnknown
}

// RetryAfter reads the header of that name (RFC 9110 section 10.2.3), of a day at most. A time
// is compared with that of the answer, so that no clock here matters. Without the header, or
// with another one, ok is false.
func RetryAfter(header http.Header) (wait time.Duration, ok bool) {
	text := header.Get("Retry-After")
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
	now, err := http.ParseTime(header.Get("Date"))
	if err != nil {
		return 0, true
	}
	return min(max(0, until.Sub(now)), maxRetryAfter), true
}

// A Number is a number of up to five digits in JSON, with or without quotes. Anything else is
// "": an error shows it, and what is longer may hold a code or a phone number.
type Number string

// UnmarshalJSON reads any JSON value.
func (n *Number) UnmarshalJSON(b []byte) error {
	const most = 5
	text := strings.Trim(string(b), `"`)
	if len(text) > most || strings.Trim(text, "0123456789") != "" {
		text = ""
	}
	*n = Number(text)
	return nil
}
