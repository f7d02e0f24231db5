package main

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
)

// TestBehindProxy: a stranger's wrong passwords make the stranger wait, and nobody else who
// comes through the same proxy.
func TestBehindProxy(t *testing.T) {
	s := start(t, func(o *options) { o.clientIP = "X-Forwarded-For" })
	_, db := s.service(t)
	if _, err := db.setPassword(t.Context(), "ann@example.com", hashed()); err != nil {
		t.Fatal(err)
	}
	login := func(from, password string) int {
		v := s.visitor(t)
		if from != "" {
			v.header["X-Forwarded-For"] = strings.Split(from, "|")
		}
		return v.post("/login", url.Values{"email": {"ann@example.com"}, "password": {password}}).status
	}
	stranger := []string{"203.0.113.7", "198.51.100.1, 203.0.113.7", "198.51.100.2|203.0.113.7", "unknown,203.0.113.7:4711", "::ffff:203.0.113.7"}
	for i := range perAddress {
		if status := login(stranger[i%len(stranger)], "a wrong password"); status != http.StatusUnauthorized {
			t.Fatalf("try %d: status %d", i, status)
		}
	}
	for _, from := range stranger {
		if status := login(from, password); status != http.StatusTooManyRequests {
			t.Errorf("from %s: status %d", from, status)
		}
	}
	for _, from := range []string{"203.0.113.8", "203.0.113.7, 203.0.113.8", "2001:db8::1", "[2001:db8::2]:4711", "[2001:db8::3]"} {
		if status := login(from, password); status != http.StatusSeeOther {
			t.Errorf("from %s: status %d", from, status)
		}
	}
	for _, from := range []string{"", "|", "unknown", "203.0.113.8,", "203.0.113.8, _hidden", "app.example.com"} {
		if status := login(from, password); status != http.StatusBadRequest {
			t.Errorf("from %q: status %d", from, status)
		}
	}
}

// TestHostOfProxy: a proxy that sends another Host is told so, and no browser is sent round
// in circles.
func TestHostOfProxy(t *testing.T) {
	var app http.Handler
	keeps := false
	proxy := httptest.NewTLSServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetXForwarded()
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = "http", "127.0.0.1:8081", "127.0.0.1:8081"
			if keeps {
				r.Out.Host = r.In.Host
			}
		},
		Transport: through(func(r *http.Request) *http.Response {
			w := httptest.NewRecorder()
			r.RemoteAddr = "127.0.0.1:4711"
			app.ServeHTTP(w, r)
			return w.Result()
		}),
	})
	t.Cleanup(proxy.Close)
	const site = "https://example.com" // which the client of the proxy takes there
	s := start(t, func(o *options) { o.url, o.clientIP, o.dev = site, "X-Forwarded-For", false })
	a, err := newApp(t.Context(), options{
		url: site, clientIP: "X-Forwarded-For", db: s.db, regions: "US", getenv: func(string) string { return "" }, stderr: s.stderr, now: s.clock.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.close)
	app = a.handler()
	for _, keeps = range []bool{false, true} {
		w, err := proxy.Client().Get(site + "/login") // which gives up after ten redirects
		if err != nil {
			t.Fatal(err)
		}
		text := new(strings.Builder)
		_ = w.Write(text)
		_ = w.Body.Close()
		if keeps != (w.StatusCode == http.StatusOK) || keeps == strings.Contains(text.String(), "must pass on the Host") {
			t.Errorf("Host kept: %t\n%s", keeps, text)
		}
	}
}

// through is a transport that is a function.
type through func(*http.Request) *http.Response

func (f through) RoundTrip(r *http.Request) (*http.Response, error) { return f(r), nil }
