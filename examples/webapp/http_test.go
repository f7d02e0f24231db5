package main

import (
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/authfactor/mfa/mfatest"
)

// post sends a form as a browser without cookies does.
func (s *site) post(t *testing.T, path string, form url.Values) (status int, body string) {
	t.Helper()
	w, err := http.PostForm(s.url+path, form)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Body.Close() }()
	text, err := io.ReadAll(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.StatusCode, string(text)
}

// TestSameAnswer: neither the answer nor the time it takes says whether there is a user.
func TestSameAnswer(t *testing.T) {
	s := start(t)
	_, db := s.service(t)
	if _, err := db.setPassword(t.Context(), "ann@example.com", hashed()); err != nil {
		t.Fatal(err)
	}
	for path, form := range map[string]url.Values{"/login": {"password": {"a wrong password"}}, "/start": {}} {
		var answers [2]string
		fastest := [2]time.Duration{time.Hour, time.Hour}
		// What is computed takes its time in each round, and what else the machine does only in
		// some: the fastest of enough rounds shows it.
		for round := 0; round < 5 || round < 100 && differ(fastest); round++ {
			s.clock.Advance(tryPeriod)
			for i, email := range []string{"ann@example.com", "bob@example.com"} {
				form.Set("email", email)
				begin := time.Now()
				_, body := s.post(t, path, form)
				fastest[i] = min(fastest[i], time.Since(begin))
				answers[i] = strings.ReplaceAll(body, email, "")
			}
		}
		if answers[0] != answers[1] {
			t.Errorf("%s answers differently:\n%s\n%s", path, answers[0], answers[1])
		}
		if differ(fastest) {
			t.Errorf("%s takes %v for who is known, and %v for who is not", path, fastest[0], fastest[1])
		}
	}
}

func differ(times [2]time.Duration) bool {
	return times[0] > 3*times[1] || times[1] > 3*times[0]
}

// TestTries: thirty wrong passwords from one address, and a wait; the right one is not
// looked at either.
func TestTries(t *testing.T) {
	s := start(t)
	_, db := s.service(t)
	if _, err := db.setPassword(t.Context(), "ann@example.com", hashed()); err != nil {
		t.Fatal(err)
	}
	form := url.Values{"email": {"ann@example.com"}, "password": {"a wrong password"}}
	for i := range perAddress {
		if status, _ := s.post(t, "/login", form); status != http.StatusUnauthorized {
			t.Fatalf("try %d: status %d", i, status)
		}
	}
	form.Set("password", password)
	if status, body := s.post(t, "/login", form); status != http.StatusTooManyRequests || !strings.Contains(body, "possible in 15 minutes") {
		t.Errorf("status %d\n%s", status, body)
	}
	s.clock.Advance(tryPeriod)
	if status, body := s.post(t, "/login", form); status != http.StatusOK {
		t.Errorf("status %d\n%s", status, body)
	}
}

// TestMailbox: nobody's mailbox is filled.
func TestMailbox(t *testing.T) {
	s := start(t)
	for range perMailbox + 1 {
		s.post(t, "/start", url.Values{"email": {"Ann@Example.com "}})
	}
	if n := len(s.letters("ann@example.com")); n != perMailbox {
		t.Errorf("%d letters", n)
	}
}

// TestHeaders: what all pages say, and what is only there over TLS.
func TestHeaders(t *testing.T) {
	for _, url := range []string{"http://localhost:8081", "https://app.example.com"} {
		a, err := newApp(t.Context(), options{
			url: url, clientIP: "X-Real-IP", db: filepath.Join(t.TempDir(), "webapp.db"), regions: "US",
			getenv: func(string) string { return "" }, stderr: io.Discard, now: new(mfatest.Clock).Now,
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(a.close)
		if _, err := a.db.setPassword(t.Context(), "ann@example.com", hashed()); err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(http.MethodPost, url+"/login", strings.NewReader("email=ann@example.com&password="+strings.ReplaceAll(password, " ", "+")))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("X-Real-IP", "203.0.113.1")
		w := httptest.NewRecorder()
		a.handler().ServeHTTP(w, r)
		cookie := w.Result().Cookies()[0]
		secure := strings.HasPrefix(url, "https:")
		if cookie.Secure != secure || !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode || strings.HasPrefix(cookie.Name, "__Host-") != secure || cookie.Path != "/" || cookie.Domain != "" {
			t.Errorf("%s: the cookie is %s", url, cookie)
		}
		h := w.Result().Header
		if (h.Get("Strict-Transport-Security") != "") != secure {
			t.Errorf("%s: %v", url, h)
		}
		if !slices.Contains(h.Values("Cache-Control"), "no-store") || !strings.HasPrefix(h.Get("Content-Security-Policy"), "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; form-action") {
			t.Errorf("%s: %v", url, h)
		}
		w = httptest.NewRecorder()
		a.handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://rebound.example/dev/inbox", nil))
		if want := map[bool]int{false: http.StatusSeeOther, true: http.StatusMisdirectedRequest}[secure]; w.Code != want {
			t.Errorf("under another name: status %d, want %d", w.Code, want)
		}
	}
}

// TestOptions: what would send passwords in the clear, or show codes to others, does not
// start; and the inbox is there with -dev alone.
func TestOptions(t *testing.T) {
	for name, o := range map[string]options{
		"plain HTTP":       {url: "http://app.example.com"},
		"inbox for all":    {url: "https://app.example.com", clientIP: "X-Real-IP", dev: true},
		"not an address":   {url: "app.example.com"},
		"no header":        {url: "https://app.example.com"},
		"a list of names":  {url: "https://app.example.com", clientIP: "Forwarded"},
		"no header's name": {url: "https://app.example.com", clientIP: "X Real IP"},
		"port left out":    {url: "https://app.example.com:443", clientIP: "X-Real-IP"},
		"upper case":       {url: "https://App.example.com", clientIP: "X-Real-IP"},
		"other letters":    {url: "https://bücher.example", clientIP: "X-Real-IP"},
		"a password":       {url: "https://ann:secret@app.example.com", clientIP: "X-Real-IP"},
		"a query":          {url: "https://app.example.com?a=b", clientIP: "X-Real-IP"},
	} {
		o.regions = "US" // or run ends for want of them, with an error that begins with '-' too
		o.addr, o.db, o.stderr = "127.0.0.1:0", filepath.Join(t.TempDir(), "webapp.db"), io.Discard
		o.getenv, o.now, o.ready = func(string) string { return "" }, time.Now, func(string, net.Addr) {}
		ctx, cancel := context.WithCancel(t.Context())
		o.ready = func(string, net.Addr) { cancel() }
		if err := run(ctx, o); err == nil || !strings.HasPrefix(err.Error(), "-") {
			t.Errorf("%s: %v", name, err)
		}
		cancel()
	}
	for _, dev := range []bool{true, false} {
		s := start(t, func(o *options) { o.dev = dev })
		w, err := http.Get(s.url + "/dev/inbox")
		if err != nil {
			t.Fatal(err)
		}
		_ = w.Body.Close()
		if (w.StatusCode == http.StatusOK) != dev {
			t.Errorf("-dev=%t: status %d", dev, w.StatusCode)
		}
	}
}

// TestFiles: other users of the machine read neither the key nor the passwords' hashes.
func TestFiles(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there are no such modes")
	}
	s := start(t)
	s.post(t, "/start", url.Values{"email": {"ann@example.com"}})
	files := glob(t, filepath.Join(filepath.Dir(s.db), "*"))
	if len(files) < 4 {
		t.Errorf("only %v", files)
	}
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v", file, info.Mode(), err)
		}
	}
}

// TestSmall: no file has over 300 lines, and no function over 60.
func TestSmall(t *testing.T) {
	all := slices.Concat(glob(t, "*.go"), glob(t, "pages/*"))
	if len(all) < 20 {
		t.Fatalf("only %v", all)
	}
	for _, file := range all {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(text), "\n"); n > 300 {
			t.Errorf("%s has %d lines", file, n)
		}
		if filepath.Ext(file) != ".go" {
			continue
		}
		set := token.NewFileSet()
		parsed, err := parser.ParseFile(set, file, text, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range parsed.Decls {
			if f, ok := d.(*ast.FuncDecl); ok {
				if n := set.Position(f.End()).Line - set.Position(f.Pos()).Line + 1; n > 60 {
					t.Errorf("%s: %s has %d lines", file, f.Name, n)
				}
			}
		}
	}
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return files
}
