package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// A control is what the tests of an SDK see of a server beside its answers: its clock,
// the messages on its standard error, and the requests on their way to it.
//
//	GET  /now                 milliseconds since 1970
//	POST /advance?seconds=60  moves the clock on
//	GET  /messages?to=+1...   the texts sent to a number, oldest first
//	POST /requests            path and Idempotency-Key of the requests since the last time
//	POST /lose                the next request is carried out, and its answer lost
type control struct {
	server *server
	proxy  *httputil.ReverseProxy // to the API

	mu       sync.Mutex
	requests []onWire
	lose     bool
}

type onWire struct {
	Path string `json:"path"`
	Key  string `json:"key"`
}

// newControl gives the addresses of the API, on which requests are seen, and of the
// control.
func newControl(t *testing.T, s *server) (api, own string) {
	t.Helper()
	target, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	c := &control{server: s, requests: []onWire{}}
	c.proxy = &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
	mux := http.NewServeMux()
	for pattern, answer := range map[string]func(*http.Request) any{
		"GET /now": c.now, "POST /advance": c.advance, "GET /messages": c.messages, "POST /requests": c.seen, "POST /lose": c.loseNext,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { _ = json.NewEncoder(w).Encode(answer(r)) })
	}
	in, control := httptest.NewServer(http.HandlerFunc(c.pass)), httptest.NewServer(mux)
	t.Cleanup(in.Close)
	t.Cleanup(control.Close)
	return in.URL, control.URL
}

func (c *control) pass(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	c.requests = append(c.requests, onWire{r.URL.Path, r.Header.Get("Idempotency-Key")})
	lose := c.lose
	c.lose = false
	c.mu.Unlock()
	if lose {
		c.proxy.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler) // hangs up
	}
	c.proxy.ServeHTTP(w, r)
}

func (c *control) now(*http.Request) any { return c.server.clock.Now().UnixMilli() }

func (c *control) advance(r *http.Request) any {
	seconds, err := strconv.Atoi(r.FormValue("seconds"))
	if err != nil {
		return err.Error()
	}
	c.server.clock.Advance(time.Duration(seconds) * time.Second)
	return seconds
}

func (c *control) messages(r *http.Request) any {
	texts := []string{}
	for line := range strings.Lines(c.server.stderr.String()) {
		if text, ok := strings.CutPrefix(line, "sms to "+r.FormValue("to")+": "); ok {
			texts = append(texts, strings.TrimSuffix(text, "\n"))
		}
	}
	return texts
}

func (c *control) seen(*http.Request) any {
	c.mu.Lock()
	defer c.mu.Unlock()
	since := c.requests
	c.requests = []onWire{}
	return since
}

func (c *control) loseNext(*http.Request) any {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lose = true
	return true
}
