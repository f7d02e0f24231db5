package handover_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/authfactor/mfa/internal/handover"
)

// roundTripper is a transport of a test.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestUnwritten: a request is unwritten if its transport looked for a connection and found none,
// and no server had it before.
func TestUnwritten(t *testing.T) {
	const nobody = "http://127.0.0.1:0" // no port, so nobody listens
	cutOff := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		panic(http.ErrAbortHandler)
	}
	goesOn := func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, nobody, http.StatusTemporaryRedirect)
	}
	// It answers before the request is there, and reads no more of it.
	early := func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		_ = http.NewResponseController(w).Flush()
	}
	for name, c := range map[string]struct {
		server    http.HandlerFunc // nil for nobody
		transport http.RoundTripper
		body      io.Reader
		want      bool
	}{
		"nobody listens": {nil, http.DefaultTransport, strings.NewReader("a"), true},
		"cut off":        {cutOff, http.DefaultTransport, strings.NewReader("a"), false},
		"cut off while it is written": {
			func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
			http.DefaultTransport, endless{}, false,
		},
		"redirected to nobody": {
			goesOn, http.DefaultTransport, strings.NewReader("a"), false,
		},
		"repeated to nobody": {cutOff, repeating(nobody), strings.NewReader("a"), false},
		"repeated to nobody after half of it": {
			early, repeating(nobody), endless{}, false,
		},
		"not told": {nil, roundTripper(func(*http.Request) (*http.Response, error) {
			return nil, errors.New("no reason")
		}), strings.NewReader("a"), false},
	} {
		t.Run(name, func(t *testing.T) {
			to := nobody
			if c.server != nil {
				server := httptest.NewServer(c.server)
				defer server.Close()
				to = server.URL
			}
			var way handover.Progress
			r, err := http.NewRequestWithContext(way.Trace(t.Context()), http.MethodPost, to, c.body)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := (&http.Client{Transport: c.transport}).Do(r)
			if err == nil {
				_ = resp.Body.Close()
				t.Fatalf("status %d, want an error", resp.StatusCode)
			}
			if got := way.Unwritten(); got != c.want {
				t.Errorf("after %v it is unwritten: %t, want %t", err, got, c.want)
			}
		})
	}
}

// repeating makes a request again, to another server, whatever came of it.
func repeating(to string) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		if resp, err := http.DefaultTransport.RoundTrip(r); err == nil {
			_ = resp.Body.Close()
		}
		again, err := http.NewRequestWithContext(r.Context(), r.Method, to, http.NoBody)
		if err != nil {
			return nil, err
		}
		return http.DefaultTransport.RoundTrip(again)
	})
}

// endless is a body that does not end.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// TestUnsent: what is the cause of an error after which nothing was sent leaves nothing open,
// and is itself where it did not.
func TestUnsent(t *testing.T) {
	slow := &net.OpError{Op: "dial", Err: http.ErrHandlerTimeout}
	if got := handover.Unsent(slow); !errors.Is(got, slow) {
		t.Errorf("%#v, want it as it was", got)
	}
	for _, open := range []error{io.EOF, &net.OpError{Op: "read", Err: net.ErrClosed}} {
		got := handover.Unsent(open)
		if handover.Unknown(got) || errors.Is(got, open) || got.Error() != open.Error() {
			t.Errorf("%#v of %v", got, open)
		}
	}
}
