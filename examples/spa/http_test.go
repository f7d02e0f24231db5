package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/authfactor/mfa/mfatest"
)

// served is what the application answers.
func served(t *testing.T, dev bool, r *http.Request) *httptest.ResponseRecorder {
	t.Helper()
	a := newApp(options{url: "http://localhost:8082", dev: dev, stderr: io.Discard, now: new(mfatest.Clock).Now})
	handler, err := a.handler()
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return w
}

// TestHeaders: every answer says what browsers may do with it.
func TestHeaders(t *testing.T) {
	const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
	for path, status := range map[string]int{
		"/": http.StatusSeeOther, "/login": http.StatusOK, "/account": http.StatusSeeOther, "/login.js": http.StatusOK,
		"/style.css": http.StatusOK, "/me": http.StatusUnauthorized, "/mfa/account": http.StatusUnauthorized,
		"/none": http.StatusNotFound, "/dev/inbox": http.StatusNotFound,
	} {
		w := served(t, false, httptest.NewRequest(http.MethodGet, path, nil))
		h := w.Header()
		if w.Code != status || h.Get("Content-Security-Policy") != policy || h.Get("X-Content-Type-Options") != "nosniff" ||
			h.Get("Referrer-Policy") != "same-origin" || h.Get("Cache-Control") != "no-store" && status != http.StatusNotFound {
			t.Errorf("%s: status %d, %v", path, w.Code, h)
		}
	}
	if w := served(t, true, httptest.NewRequest(http.MethodGet, "/dev/inbox", nil)); w.Code != http.StatusOK {
		t.Errorf("the inbox with -dev: status %d", w.Code)
	}
}

// TestLoginRequests: what is refused before the second factor is asked.
func TestLoginRequests(t *testing.T) {
	right := `{"email": " Ann@example.com", "password": "` + password + `"}`
	for name, c := range map[string]struct {
		body, contentType, origin string
		status                    int
	}{
		"right":            {right, "application/json", "http://localhost:8082", http.StatusOK},
		"another site":     {right, "application/json", "https://example.org", http.StatusForbidden},
		"a form":           {right, "text/plain", "http://localhost:8082", http.StatusBadRequest},
		"a wrong password": {`{"email": "ann@example.com", "password": "x"}`, "application/json", "", http.StatusUnauthorized},
		"of nobody":        {`{"email": "eve@example.com", "password": "x"}`, "application/json", "", http.StatusUnauthorized},
		"no password":      {`{"email": "ann@example.com"}`, "application/json", "", http.StatusUnauthorized},
		"too long":         {`{"email": "` + strings.Repeat("a", 128<<10) + `"}`, "application/json", "", http.StatusBadRequest},
	} {
		r := httptest.NewRequest(http.MethodPost, "http://localhost:8082/login", strings.NewReader(c.body))
		r.Header.Set("Content-Type", c.contentType)
		if c.origin != "" {
			r.Header.Set("Origin", c.origin)
		}
		w := served(t, false, r)
		cookie := strings.Contains(strings.Join(w.Header().Values("Set-Cookie"), "\n"), sessionCookie)
		if w.Code != c.status || cookie != (c.status == http.StatusOK) {
			t.Errorf("%s: status %d, a session: %t\n%s", name, w.Code, cookie, w.Body)
		}
	}
}
