package handover

import (
	"context"
	"net/http/httptrace"
	"sync/atomic"
)

// A Progress tells of an HTTP request that failed whether the server can have it. It is for one
// request, and for what its transport repeats; the zero value is ready for use.
type Progress struct {
	// looking: the transport looks for a connection. It is false before, so that a transport
	// that does not tell proves nothing, and once it has one, since it may write. When package
	// net/http repeats a request it looks again, having written nothing.
	looking atomic.Bool

	// had: a whole request was written, or an answer began. Who looks for a connection after
	// that repeats what a server has, as a client does that follows redirects.
	had atomic.Bool
}

// Trace gives the context that the request must have.
func (p *Progress) Trace(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { p.looking.Store(true) },
		GotConn: func(httptrace.GotConnInfo) { p.looking.Store(false) },
		WroteRequest: func(i httptrace.WroteRequestInfo) {
			if i.Err == nil {
				p.had.Store(true)
			}
		},
		GotFirstResponseByte: func() { p.had.Store(true) },
	})
}

// Unwritten reports whether no connection was ready for the request when it failed, which
// includes that the certificate fits, and no server had the request before. It is false for a
// transport that does not tell how far it came.
func (p *Progress) Unwritten() bool { return p.looking.Load() && !p.had.Load() }

// Unsent gives the error of a request of which nothing was written, as the cause of another one.
// If [Unknown] were true of it, as of a timeout of connecting, only its text is kept.
func Unsent(err error) error {
	if Unknown(err) {
		return unsent{err.Error()}
	}
	return err
}

type unsent struct{ text string }

func (u unsent) Error() string { return u.text }
