package faults

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/authfactor/mfa/senders"
)

// page is what a proxy in the way may answer. It quotes the message.
const page = `<!DOCTYPE html><html><body><h1>Sorry</h1>` + Number + ` ` + Code + `</body></html>`

// answers are whole answers that take no message.
func (r rig) answers(t *testing.T) {
	for name, answer := range map[string]Answer{
		"empty":       {200, "application/json", ""},
		"no content":  {204, "", ""},
		"a page":      {200, "text/html", page},
		"no JSON":     {200, "application/json", `{"sid":`},
		"null":        {200, "application/json", `null`},
		"a string":    {200, "application/json", `"OK"`},
		"an object":   {200, "application/json", `{}`},
		"a list":      {200, "application/json", `[]`},
		"of others":   {200, "application/json", `{"ok":true,"id":"1"}`},
		"deep":        {200, "application/json", strings.Repeat(`{"messages":[`, 4000)},
		"huge":        {200, "application/json", r.taken.Body + strings.Repeat(" ", 70<<10)},
		"another one": {200, "application/json", r.taken.Body + r.taken.Body},
		"no UTF-8":    {200, "application/json", "\xff\xfe{\x00}\x00"},
	} {
		t.Run("200 "+name, func(t *testing.T) { r.try(t, answer, senders.ErrUnknown) })
	}
	for reason, statuses := range map[error][]int{
		senders.ErrUnknown:  {408, 500, 502, 503, 504, 520, 524, 599},
		senders.ErrAccount:  {401, 402, 403},
		senders.ErrTryLater: {429},
		senders.ErrRefused:  {400, 404, 405, 409, 410, 413, 415, 418, 422, 451, 501, 505, 511},
	} {
		for _, status := range statuses {
			t.Run(strconv.Itoa(status), func(t *testing.T) {
				r.try(t, Answer{status, "text/html", page}, reason, retryAfter(0))
				r.try(t, Answer{status, "application/json", ""}, reason)
			})
		}
	}
	const date, later = "Fri, 27 Nov 2026 10:00:00 GMT", "Fri, 27 Nov 2026 10:01:30 GMT"
	for header, want := range map[string]time.Duration{
		"0": 0, "7": 7 * time.Second, "120": 2 * time.Minute, later: 90 * time.Second, date: 0,
		"86401": 24 * time.Hour, "99999999999999999999999": 24 * time.Hour,
		"Fri, 27 Nov 2099 10:00:00 GMT": 24 * time.Hour, "Fri, 27 Nov 1999 10:00:00 GMT": 0,
	} {
		for _, status := range []int{429, 503} {
			t.Run(strconv.Itoa(status)+" "+header, func(t *testing.T) {
				r.try(t, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
					w.Header().Set("Date", date)
					w.Header().Set("Retry-After", header)
					Answer{status, "text/html", page}.ServeHTTP(w, q)
				}), senders.ErrTryLater, retryAfter(want))
			})
		}
	}
	for _, header := range []string{"soon", "-1", "1.5", "１"} { // what is no answer of a server that waits
		t.Run("503 "+header, func(t *testing.T) {
			r.try(t, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
				w.Header().Set("Retry-After", header)
				Answer{503, "text/html", page}.ServeHTTP(w, q)
			}), senders.ErrUnknown)
		})
	}
}

func retryAfter(want time.Duration) check {
	return func(t *testing.T, e *senders.Error) {
		t.Helper()
		if e.RetryAfter != want {
			t.Errorf("RetryAfter is %v, want %v", e.RetryAfter, want)
		}
	}
}

// redirects: nobody follows them, to another server or the same.
func (r rig) redirects(t *testing.T) {
	for status, reason := range map[int]error{
		300: senders.ErrRefused, 301: senders.ErrRefused, 302: senders.ErrRefused,
		303: senders.ErrUnknown, // it was done, says RFC 9110
		304: senders.ErrRefused, 307: senders.ErrRefused, 308: senders.ErrRefused,
	} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			elsewhere := Serve(t, r.taken)
			for _, to := range []string{elsewhere.URL, "/elsewhere"} {
				s := Serve(t, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
					w.Header().Set("Location", to)
					Answer{status, "text/html", ""}.ServeHTTP(w, q)
				}))
				r.tryAt(t, s.URL, s.Client(), reason)
				if n, m := s.Requests.Load(), elsewhere.Requests.Load(); n != 2 || m != 0 {
					t.Errorf("%d requests for two messages, and %d elsewhere", n, m)
				}
			}
		})
	}
}

// cutOff: the connection ends before the answer does.
func (r rig) cutOff(t *testing.T) {
	head := "HTTP/1.1 201 Created\r\nContent-Type: application/json\r\n"
	for name, answer := range map[string]string{
		"no answer":       "",
		"in the header":   head + "Content-Le",
		"in the body":     head + "Content-Length: 4000\r\n\r\n" + r.taken.Body,
		"in a chunk":      head + "Transfer-Encoding: chunked\r\n\r\nfff\r\n" + r.taken.Body,
		"no HTTP":         "220 mail.example.com ready\r\n",
		"a large header":  head + "X: " + strings.Repeat("x", 2<<20),
		"a status of its": "HTTP/1.1 2OO OK\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) { r.try(t, raw(answer, false), senders.ErrUnknown) })
		t.Run(name+", reset", func(t *testing.T) { r.try(t, raw(answer, true), senders.ErrUnknown) })
	}
	// What the status says, it says without a body.
	t.Run("in the body of a refusal", func(t *testing.T) {
		r.try(t, raw("HTTP/1.1 400 Bad Request\r\nContent-Length: 4000\r\n\r\n{", false), senders.ErrRefused)
	})
	t.Run("a body that does not end", func(t *testing.T) {
		ended := make(chan struct{}, 1)
		s := Serve(t, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			_, _ = io.Copy(io.Discard, q.Body)
			for {
				if _, err := io.WriteString(w, strings.Repeat(" ", 4096)); err != nil {
					ended <- struct{}{}
					return
				}
			}
		}))
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		Check(t, r.newSender(s.URL, s.Client()).Send(ctx, Message()), senders.ErrUnknown)
		<-ended // the sender has closed it, and nothing else ends it
	})
}

// raw answers bytes and ends the connection.
func raw(answer string, reset bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		_, _ = io.Copy(io.Discard, q.Body)
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		_, _ = io.WriteString(conn, answer)
		if tcp := conn.(*tls.Conn).NetConn().(*net.TCPConn); reset {
			_ = tcp.SetLinger(0)
			_ = tcp.Close()
		}
		_ = conn.Close()
	})
}

// slow: the test ends ctx when the server has the request.
func (r rig) slow(t *testing.T) {
	for name, begin := range map[string]func(w http.ResponseWriter){
		"no answer": func(http.ResponseWriter) {},
		"in the body": func(w http.ResponseWriter) {
			w.WriteHeader(r.taken.Status)
			_, _ = io.WriteString(w, r.taken.Body[:5])
			_ = http.NewResponseController(w).Flush()
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			s := Serve(t, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
				_, _ = io.Copy(io.Discard, q.Body)
				begin(w)
				cancel()
				<-q.Context().Done()
				panic(http.ErrAbortHandler) // else the server might end the answer well
			}))
			err := r.newSender(s.URL, s.Client()).Send(ctx, Message())
			Check(t, err, senders.ErrUnknown)
			if !errors.Is(err, context.Canceled) {
				t.Errorf("the cause is %v, want that of ctx", As(t, err).Cause)
			}
		})
	}
	t.Run("ctx was done before", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		s := Serve(t, r.taken)
		if err := r.newSender(s.URL, s.Client()).Send(ctx, Message()); err == nil || s.Requests.Load() != 0 {
			t.Errorf("error %v after %d requests, want an error and none", err, s.Requests.Load())
		}
	})
}

// notConnected: the request found no connection, so that nothing was handed over.
func (r rig) notConnected(t *testing.T) {
	dial := func(d net.Dialer) *http.Client {
		return &http.Client{Transport: &http.Transport{DialContext: d.DialContext}}
	}
	t.Run("nobody listens", func(t *testing.T) {
		s := Serve(t, r.taken)
		s.Close()
		r.tryAt(t, s.URL, s.Client(), senders.ErrTryLater)
	})
	t.Run("no such name", func(t *testing.T) {
		resolver := &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
			return nil, errors.New("no network")
		}}
		r.tryAt(t, "https://provider.example", dial(net.Dialer{Resolver: resolver}), senders.ErrTryLater, caused[*net.DNSError])
	})
	t.Run("connecting takes too long", func(t *testing.T) {
		s := Serve(t, r.taken)
		r.tryAt(t, s.URL, dial(net.Dialer{Deadline: time.Unix(1, 0)}), senders.ErrTryLater)
	})
	t.Run("a certificate of nobody", func(t *testing.T) {
		s := Serve(t, r.taken)
		r.tryAt(t, s.URL, dial(net.Dialer{}), senders.ErrTryLater, caused[*tls.CertificateVerificationError])
		if n := s.Requests.Load(); n != 0 {
			t.Errorf("%d requests", n)
		}
	})
	t.Run("a certificate of another", func(t *testing.T) {
		s := Serve(t, r.taken)
		client := s.Client()
		client.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, s.Listener.Addr().String())
		}
		r.tryAt(t, "https://provider.invalid", client, senders.ErrTryLater, caused[*tls.CertificateVerificationError])
		if n := s.Requests.Load(); n != 0 {
			t.Errorf("%d requests", n)
		}
	})
	t.Run("a handshake that is cut off", func(t *testing.T) {
		r.tryAt(t, listen(t, func(conn net.Conn) { _ = conn.Close() }), dial(net.Dialer{}), senders.ErrTryLater)
	})
	t.Run("a handshake that is none", func(t *testing.T) {
		r.tryAt(t, listen(t, func(conn net.Conn) {
			_, _ = io.WriteString(conn, "220 mail.example.com ready\r\n")
		}), dial(net.Dialer{}), senders.ErrTryLater)
	})
	t.Run("a handshake that takes too long", func(t *testing.T) {
		client := &http.Client{Transport: &http.Transport{TLSHandshakeTimeout: time.Millisecond}}
		r.tryAt(t, listen(t, func(net.Conn) {}), client, senders.ErrTryLater)
	})
	t.Run("a proxy that refuses", func(t *testing.T) {
		s := Serve(t, r.taken)
		proxy := httptest.NewServer(Answer{403, "text/html", page})
		t.Cleanup(proxy.Close)
		at, err := url.Parse(proxy.URL)
		if err != nil {
			t.Fatal(err)
		}
		client := s.Client()
		client.Transport.(*http.Transport).Proxy = http.ProxyURL(at)
		r.tryAt(t, s.URL, client, senders.ErrTryLater)
	})
}

// caused: the error has a cause of that type.
func caused[E error](t *testing.T, e *senders.Error) {
	t.Helper()
	if _, ok := errors.AsType[E](error(e)); !ok {
		t.Errorf("the cause is %v, want a %T", e.Cause, *new(E))
	}
}

// listen is a server that does that with each connection, and closes it with the test.
func listen(t *testing.T, serve func(net.Conn)) (url string) {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	var conns []net.Conn
	all.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conns = append(conns, conn)
			serve(conn)
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		all.Wait()
		for _, conn := range conns {
			_ = conn.Close()
		}
	})
	return "https://" + listener.Addr().String()
}

// connections: they are kept for the next message, and no message is sent twice when one turns
// out to be closed.
func (r rig) connections(t *testing.T) {
	t.Run("are kept", func(t *testing.T) {
		s := Serve(t, r.taken)
		sender := r.newSender(s.URL, s.Client())
		for range 3 {
			if err := sender.Send(t.Context(), Message()); err != nil {
				t.Fatal(err)
			}
		}
		if n := s.Connections.Load(); n != 1 {
			t.Errorf("%d connections for three messages, want 1", n)
		}
	})
	t.Run("are for many at the same time", func(t *testing.T) {
		s := Serve(t, r.taken)
		sender := r.newSender(s.URL, s.Client())
		var all sync.WaitGroup
		for range 16 {
			all.Go(func() {
				if err := sender.Send(t.Context(), Message()); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if n := s.Requests.Load(); n != 16 {
			t.Errorf("%d requests for 16 messages", n)
		}
	})
	t.Run("cut off after the request", func(t *testing.T) {
		var n atomic.Int32
		s := Serve(t, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			if n.Add(1) == 1 {
				r.taken.ServeHTTP(w, q)
			} else {
				raw("", false).ServeHTTP(w, q)
			}
		}))
		sender := r.newSender(s.URL, s.Client())
		if err := sender.Send(t.Context(), Message()); err != nil {
			t.Fatal(err)
		}
		Check(t, sender.Send(t.Context(), Message()), senders.ErrUnknown)
		if n := n.Load(); n != 2 {
			t.Errorf("%d requests for two messages: one was sent twice", n)
		}
	})
	t.Run("of HTTP/2", func(t *testing.T) {
		var n atomic.Int32
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			if q.ProtoMajor != 2 {
				t.Errorf("a request by %s", q.Proto)
			}
			if n.Add(1) == 2 {
				_, _ = io.Copy(io.Discard, q.Body)
				panic(http.ErrAbortHandler)
			}
			r.taken.ServeHTTP(w, q)
		}))
		s.EnableHTTP2 = true
		s.StartTLS()
		t.Cleanup(s.Close)
		sender := r.newSender(s.URL, s.Client())
		for i, reason := range []error{nil, senders.ErrUnknown, nil} {
			err := sender.Send(t.Context(), Message())
			if reason == nil && err != nil {
				t.Fatal(err)
			}
			if reason != nil {
				Check(t, err, reason)
			}
			if n := n.Load(); n != int32(i+1) {
				t.Errorf("%d requests for %d messages", n, i+1)
			}
		}
	})
	t.Run("closed before the request", func(t *testing.T) {
		s := Serve(t, r.taken)
		client := s.Client()
		var failing atomic.Bool // the connection that is open, and new ones are not
		tcp := client.Transport.(*http.Transport)
		tcp.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, address)
			broken := failing.Load()
			return &breaking{Conn: conn, broken: func() bool { return failing.Load() != broken }}, err
		}
		sender := r.newSender(s.URL, client)
		for i := range int32(3) {
			if err := sender.Send(t.Context(), Message()); err != nil {
				t.Fatal(err)
			}
			if n, m := s.Requests.Load(), s.Connections.Load(); n != i+1 || m != i+1 {
				t.Errorf("%d requests on %d connections, want %d on as many", n, m, i+1)
			}
			failing.Store(!failing.Load())
		}
		s.Close()
		Check(t, sender.Send(t.Context(), Message()), senders.ErrTryLater)
	})
}

// A breaking connection writes nothing any more once it is broken.
type breaking struct {
	net.Conn
	broken func() bool
}

func (b *breaking) Write(p []byte) (int, error) {
	if b.broken() {
		return 0, errors.New("broken pipe")
	}
	return b.Conn.Write(p)
}

// countNew counts new connections.
func countNew(n *atomic.Int32) func(net.Conn, http.ConnState) {
	return func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			n.Add(1)
		}
	}
}
