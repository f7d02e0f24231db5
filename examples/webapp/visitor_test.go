package main

import (
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"
)

// A visitor is a browser of which a test sees each request. It follows no redirects.
type visitor struct {
	t       *testing.T
	site    *site
	cookies map[string]string
	header  http.Header
}

func (s *site) visitor(t *testing.T) *visitor {
	t.Helper()
	return &visitor{t: t, site: s, cookies: make(map[string]string), header: make(http.Header)}
}

// copied is a second visitor with the cookies of the first.
func (v *visitor) copied() *visitor {
	other := v.site.visitor(v.t)
	maps.Copy(other.cookies, v.cookies)
	return other
}

// an answer is what came back.
type answer struct {
	status   int
	location string
	body     string
}

func (v *visitor) get(path string) answer { v.t.Helper(); return v.send(http.MethodGet, path, nil) }

func (v *visitor) post(path string, form url.Values) answer {
	v.t.Helper()
	return v.send(http.MethodPost, path, form)
}

func (v *visitor) send(method, path string, form url.Values) answer {
	v.t.Helper()
	r, err := http.NewRequestWithContext(v.t.Context(), method, v.site.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		v.t.Fatal(err)
	}
	r.Header = v.header.Clone()
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for name, value := range v.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	w, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		v.t.Error(err)
		return answer{}
	}
	defer func() { _ = w.Body.Close() }()
	text, err := io.ReadAll(w.Body)
	if err != nil {
		v.t.Error(err)
	}
	for _, c := range w.Cookies() {
		v.cookies[c.Name] = c.Value
	}
	return answer{w.StatusCode, w.Header.Get("Location"), string(text)}
}

// login types the password.
func (v *visitor) login(email string) answer {
	v.t.Helper()
	return v.post("/login", url.Values{"email": {email}, "password": {password}})
}

var questionID = regexp.MustCompile(`name="question" value="(\w+)"`)

// form is that of the page for a code.
func (v *visitor) form(code string) url.Values {
	v.t.Helper()
	page := v.get("/code")
	id := questionID.FindStringSubmatch(page.body)
	if id == nil {
		v.t.Fatalf("no question: status %d\n%s", page.status, page.body)
	}
	return url.Values{"question": {id[1]}, "code": {code}}
}

// enter logs in with an app.
func (v *visitor) enter(email, uri string) {
	v.t.Helper()
	v.login(email)
	if to := v.post("/code", v.form(v.site.next(uri))).location; to != "/account" {
		v.t.Fatalf("it goes to %q", to)
	}
}

// in reports whether somebody is logged in.
func (v *visitor) in() bool {
	v.t.Helper()
	return v.get("/account").status == http.StatusOK
}

// slow is the application behind a proxy that forwards the first POST to a path, of who
// has a cookie, and never brings its answer. /answered answers once the application has. A
// page may ask that here, which its policy would forbid.
func slow(t *testing.T, path, cookie string) *site {
	t.Helper()
	var addr string // of the application: an address that was free a moment ago may be taken
	forward := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: addr})
			r.Out.Host = r.In.Host
		},
		ModifyResponse: func(w *http.Response) error { w.Header.Del("Content-Security-Policy"); return nil },
	}
	answered := make(chan struct{})
	var once sync.Once
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		held := false
		if _, err := r.Cookie(cookie); err == nil && r.Method == http.MethodPost && r.URL.Path == path {
			once.Do(func() { held = true })
		}
		switch {
		case held:
			forward.ServeHTTP(httptest.NewRecorder(), r)
			close(answered)
			<-r.Context().Done() // the browser has given up
		case r.URL.Path == "/answered":
			<-answered
		default:
			forward.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(proxy.Close)
	return start(t, func(o *options) {
		listens := o.ready
		o.url = strings.Replace(proxy.URL, "127.0.0.1", "localhost", 1)
		o.ready = func(url string, at net.Addr) {
			addr = at.String()
			listens(url, at)
		}
	})
}

// clickTwice submits the form to a path, and again once the application has answered, of
// which the browser hears nothing; then the account is there.
func (p *person) clickTwice(path string) {
	p.Helper()
	p.eval(`const button = document.querySelector("form[action='` + path + `'] button"); fetch("/answered").then(() => button.click()); button.click()`)
	p.do(chromedp.WaitReady(chromedp.CSS("strong#email")))
}
