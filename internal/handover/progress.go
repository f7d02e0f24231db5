package handover

import (
	"context"
	"net/http/httptrace"
	"sync/atomic"
)

// A Progress tells of an HTTP request that failed whether any of it was written. It is for one
// request; the zero value is ready for use.
type Progress struct {
	looked, connected atomic.Bool
}

// Trace gives the context that the request must have.
func (p *Progress) Trace(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { p.looked.Store(true) },
		GotConn: func(httptrace.GotConnInfo) { p.connected.Store(true) },
	})
}

// Unwritten reports whether no connection was ever ready for the request, which includes that
// its certificate fits. It is false for a transport that does not tell how far it came.
func (p *Progress) Unwritten() bool { return p.looked.Load() && !p.connected.Load() }

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
