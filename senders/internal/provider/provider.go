// Package provider hands a message over with one HTTP request, and tells by the answer, or by
// what came instead of it, whether the message may be on its way.
package provider

import (
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/internal/handover"
	"github.com/authfactor/mfa/senders"
)

// What all senders over HTTP keep to.
const (
	// ConnectTime is for each of connecting and the TLS handshake. A provider that is not
	// there is told from one that does not answer, and leaves time for another of a Fallback.
	ConnectTime = 4 * time.Second

	// MaxBody is how many bytes of an answer are read.
	MaxBody = 64 << 10
)

const (
	// requestTime is how long a request takes at most whose context has no deadline. It is
	// the default of mfa.Config.SendTimeout.
	requestTime = 15 * time.Second

	maxHeader = 64 << 10 // bytes of the header of an answer

	idleConnections = 16 // kept for the next messages, each for idleTime
	idleTime        = 90 * time.Second
)

// A Client makes the requests of one sender.
type Client struct {
	name   string
	secret senders.Secret
	http   http.Client
}

// NewClient returns a client for a sender of that name. It uses the transport, the jar and the
// timeout of the http.Client, nil for a transport of its own. The texts of its errors do not
// have the secret.
func NewClient(name string, secret senders.Secret, from *http.Client) *Client {
	c := &Client{name: name, secret: secret, http: http.Client{Transport: transport()}}
	if from != nil {
		c.http = *from
	}
	// Whoever redirects did not take the message, and nobody else is to see it.
	c.http.CheckRedirect = func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}
	return c
}

// BadBaseURL is what is wrong with a base URL that BaseURL refuses.
const BadBaseURL = "BaseURL must be the https URL of a host, and may have a path"

// BaseURL gives a Config.BaseURL, or its default for "", without a slash at its end.
func BaseURL(text, otherwise string) (base string, ok bool) {
	if text == "" {
		text = otherwise
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" ||
		u.Fragment != "" {
		return "", false
	}
	return "https://" + u.Host + strings.TrimSuffix(u.EscapedPath(), "/"), true
}

// transport is as http.DefaultTransport, but for two things. It soon gives up connecting. And it
// is for HTTP/1.1: a connection that went dead fails one message, because it is closed with
// it, while one of HTTP/2 carries all messages, until the system gives it up after minutes.
func transport() *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: ConnectTime}).DialContext,
		TLSHandshakeTimeout:    ConnectTime,
		MaxIdleConnsPerHost:    idleConnections,
		IdleConnTimeout:        idleTime,
		MaxResponseHeaderBytes: maxHeader,
		Protocols:              protocols,
	}
}

// Bounded gives a context that has a deadline: that of ctx, or one in 15 seconds.
func Bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, requestTime)
}

// A Request is a POST.
type Request struct {
	URL, ContentType, Body string

	User, Password string // of basic authentication; none if User is ""

	Header http.Header // more of it; may be nil
}

// An Answer is what a provider answered.
type Answer struct {
	Status int
	Body   []byte // nil if it did not come whole or is larger than 64 KiB

	header http.Header
	broken error // why Body did not come whole
}

// OK reports whether the status is one of success.
func (a *Answer) OK() bool { return a.Status >= 200 && a.Status < 300 }

// Post makes the request for a message. The error, always a [*senders.Error], is of a request
// that was not answered, not even with a status.
//
// The request reaches the provider once. Package net/http repeats a POST only if it wrote
// nothing of it, as on a connection that turns out to be closed. (A header Idempotency-Key
// would change that, and repeat what was written.)
func (c *Client) Post(ctx context.Context, m mfa.Message, r Request) (*Answer, error) {
	ctx, cancel := Bounded(ctx)
	defer cancel()
	var way handover.Progress
	req, err := http.NewRequestWithContext(way.Trace(ctx), http.MethodPost, r.URL,
		strings.NewReader(r.Body))
	if err != nil {
		return nil, c.fault(m, senders.ErrRefused, err)
	}
	maps.Copy(req.Header, r.Header)
	req.Header.Set("Content-Type", r.ContentType)
	req.Header.Set("Accept", "application/json")
	if r.User != "" {
		req.SetBasicAuth(r.User, r.Password)
	}
	res, err := c.http.Do(req)
	switch {
	case err == nil:
	case way.Unwritten() && ctx.Err() == nil:
		return nil, c.fault(m, senders.ErrTryLater, err)
	default:
		return nil, c.fault(m, senders.ErrUnknown, err)
	}
	defer func() { _ = res.Body.Close() }() // what can be read was
	a := &Answer{Status: res.StatusCode, header: res.Header}
	body, err := io.ReadAll(io.LimitReader(res.Body, MaxBody+1))
	switch {
	case err != nil:
		a.broken = err
	case len(body) <= MaxBody:
		a.Body = body
	}
	return a, nil
}

// fault is the error of a request that was not answered.
func (c *Client) fault(m mfa.Message, reason, cause error) *senders.Error {
	if e, ok := errors.AsType[*url.Error](cause); ok {
		cause = e.Err // the rest is the URL, which may hold a credential
	}
	text := cause.Error()
	if !errors.Is(reason, senders.ErrUnknown) {
		cause = handover.Unsent(cause)
	}
	return &senders.Error{Sender: c.name, Reason: reason, Text: c.masked(m, text), Cause: cause}
}

// masked is a text without the number, the code and the secret.
func (c *Client) masked(m mfa.Message, text string) string {
	if secret := c.secret.Reveal(); secret != "" {
		text = strings.ReplaceAll(text, secret, "[secret]")
	}
	return senders.Masked(m, text)
}
