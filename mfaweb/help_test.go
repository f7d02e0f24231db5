package mfaweb_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/mfatest"
	"github.com/authfactor/mfa/mfaweb"
	"github.com/authfactor/mfa/proof"
)

const (
	ann   = "user_ann"
	bob   = "user_bob"
	phone = "+15005550006"
)

// A site is an application over mfaweb. Its people have their id as password.
type site struct {
	*testing.T
	svc    *mfa.Service
	cfg    mfaweb.Config
	web    *mfaweb.Handler
	server *httptest.Server
	clock  *mfatest.Clock
	sms    *mfatest.Sender
	paid   int // how often somebody paid

	mu       sync.Mutex
	users    map[string]mfaweb.User
	sessions map[string]string // users by their sessions
	logins   []mfa.Verification
}

func newSite(t *testing.T, change ...func(*mfa.Config, *mfaweb.Config)) *site {
	t.Helper()
	s := &site{
		T:        t,
		clock:    new(mfatest.Clock),
		sms:      new(mfatest.Sender),
		sessions: make(map[string]string),
		users: map[string]mfaweb.User{
			ann: {ID: ann, Label: "ann@example.com", Generation: "1"},
			bob: {ID: bob, Label: "bob@example.com", Generation: "1"},
		},
	}
	discard := slog.New(slog.DiscardHandler)
	core := mfa.Config{
		Store: new(mfa.MemoryStore), SMS: s.sms, Regions: []string{"US"}, Keys: mfatest.Keys(),
		Now: s.clock.Now, Logger: discard,
	}
	s.cfg = mfaweb.Config{
		Issuer: "Example", Session: s.session, User: s.user, LogIn: s.logIn,
		SetHasFactor: s.setHasFactor, InsecureHTTP: true, Logger: discard,
	}
	for _, c := range change {
		c(&core, &s.cfg)
	}
	var err error
	if s.svc, err = mfa.New(core); err != nil {
		t.Fatal(err)
	}
	s.cfg.Service = s.svc
	if s.web, err = mfaweb.New(s.cfg); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/mfa/", http.StripPrefix("/mfa", s.web))
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		u, err := s.user(r.Context(), r.PostFormValue("user"))
		if err != nil || r.PostFormValue("password") != u.ID {
			http.Error(w, "wrong password", http.StatusUnauthorized)
			return
		}
		s.web.Begin(w, r, u)
	})
	mux.HandleFunc("POST /logout", func(_ http.ResponseWriter, r *http.Request) {
		if c, err := r.Cookie("session"); err == nil {
			s.mu.Lock()
			defer s.mu.Unlock()
			delete(s.sessions, c.Value)
		}
	})
	pay := mfaweb.StepUp{Action: func(r *http.Request) (proof.Action, error) {
		return proof.ActionOf("pay", r.URL.Query().Get("amount")), nil
	}}
	paid := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { s.paid++ })
	mux.Handle("POST /pay", s.web.StepUp(pay, paid))
	pay.AllowWithoutFactor = true
	mux.Handle("POST /pay-anyhow", s.web.StepUp(pay, paid))
	s.server = httptest.NewServer(mux)
	t.Cleanup(s.server.Close)
	return s
}

func (s *site) user(_ context.Context, id string) (mfaweb.User, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.users[id], nil
}

func (s *site) session(r *http.Request) (mfaweb.Session, bool, error) {
	c, err := r.Cookie("session")
	if err != nil {
		return mfaweb.Session{}, false, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	id, ok := s.sessions[c.Value]
	return mfaweb.Session{User: s.users[id], ID: c.Value}, ok, nil
}

func (s *site) logIn(
	w http.ResponseWriter,
	_ *http.Request,
	u mfaweb.User,
	v mfa.Verification,
) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := rand.Text()
	s.sessions[id] = u.ID
	s.logins = append(s.logins, v)
	http.SetCookie(w, &http.Cookie{Name: "session", Value: id, Path: "/", HttpOnly: true})
	return nil
}

func (s *site) setHasFactor(_ context.Context, id string, has bool) error {
	s.change(id, func(u *mfaweb.User) { u.HasFactor = has })
	return nil
}

func (s *site) change(id string, change func(*mfaweb.User)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.users[id]
	change(&u)
	s.users[id] = u
}

// A browser is one, with its cookies.
type browser struct {
	*site
	cookies map[string]string
	header  http.Header
}

func (s *site) browser() *browser {
	return &browser{site: s, cookies: make(map[string]string), header: make(http.Header)}
}

// copied is another browser with the same cookies.
func (b *browser) copied() *browser {
	other := b.site.browser()
	maps.Copy(other.cookies, b.cookies)
	return other
}

// An answer is what came back.
type answer struct {
	*testing.T
	status int
	header http.Header
	text   string
	all    map[string]any
}

// get is a member of the answer, such as "question.id", "" if it is not there.
func (a answer) get(path string) string {
	var v any = a.all
	for name := range strings.SplitSeq(path, ".") {
		m, _ := v.(map[string]any)
		v = m[name]
	}
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	default:
		text, _ := json.Marshal(v)
		return string(text)
	}
}

// must is the answer if it has the status.
func (a answer) must(status int) answer {
	a.Helper()
	if a.status != status {
		a.Fatalf("status %d, want %d: %s", a.status, status, a.text)
	}
	return a
}

// refused is the answer if it has the status and the code.
func (a answer) refused(status int, code string) answer {
	a.Helper()
	if a.status != status || a.get("code") != code {
		a.Errorf("status %d, want %d %s: %s", a.status, status, code, a.text)
	}
	return a
}

func (b *browser) send(method, path, contentType, body string) answer {
	b.Helper()
	r, err := http.NewRequestWithContext(
		b.Context(),
		method,
		b.server.URL+path,
		strings.NewReader(body),
	)
	if err != nil {
		b.Fatal(err)
	}
	r.Header = b.header.Clone()
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	for name, value := range b.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	w, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = w.Body.Close() }()
	text, err := io.ReadAll(w.Body)
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range w.Cookies() {
		if c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		} else {
			b.cookies[c.Name] = c.Value
		}
	}
	a := answer{T: b.T, status: w.StatusCode, header: w.Header, text: string(text)}
	_ = json.Unmarshal(text, &a.all)
	return a
}

// members are those of a body.
type members map[string]any

func (b *browser) post(path string, body members) answer {
	b.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		b.Fatal(err)
	}
	return b.send(http.MethodPost, path, "application/json", string(text))
}

func (b *browser) get(
	path string,
) answer {
	b.Helper()
	return b.send(http.MethodGet, path, "", "")
}

func (b *browser) login(user string) answer {
	b.Helper()
	return b.send(
		http.MethodPost,
		"/login",
		"application/x-www-form-urlencoded",
		"user="+user+"&password="+user,
	)
}

// in is who is logged in, by the account page.
func (b *browser) in() bool { b.Helper(); return b.get("/mfa/account").status == http.StatusOK }

// with is a request with a receipt.
func (b *browser) with(receipt string, path string, body members) answer {
	b.Helper()
	b.header.Set(mfaweb.ReceiptHeader, receipt)
	defer b.header.Del(mfaweb.ReceiptHeader)
	return b.post(path, body)
}

// answers challenges a factor and answers with a code, which is asked for after the challenge.
func (b *browser) answers(question answer, factor string, code func() string) answer {
	b.Helper()
	id := question.get("question.id")
	b.post("/mfa/challenge", members{"question": id, "factor_id": factor}).must(http.StatusOK)
	return b.post("/mfa/verify", members{"question": id, "code": code()})
}

// An app is that of a person, and their recovery codes.
type app struct {
	*site
	id, uri string
	codes   []string
}

// code is what the app shows next.
func (a app) code() string {
	a.clock.Advance(30 * time.Second)
	return mfatest.Code(a.uri, a.clock.Now())
}

// enrollApp logs in somebody without a factor, and enrolls an app.
func (b *browser) enrollApp(user string) app {
	b.Helper()
	if b.login(user).get("status") != "logged_in" {
		b.Fatal("the person has a factor")
	}
	enr := b.post("/mfa/enroll", members{"type": "totp", "name": "My phone"}).must(http.StatusOK)
	a := app{site: b.site, id: enr.get("question.factor_id"), uri: enr.get("totp.uri")}
	done := b.answers(enr, a.id, a.code).must(http.StatusOK)
	if err := json.Unmarshal(
		[]byte(done.get("recovery_codes")),
		&a.codes,
	); err != nil ||
		len(a.codes) != 10 {
		b.Fatalf("%v, %s", err, done.text)
	}
	return a
}

// smsCode is the code of the last message.
func (s *site) smsCode() string { return s.sms.Code(phone) }

// pretty is for messages of tests.
func pretty(text string) string {
	var out bytes.Buffer
	_ = json.Indent(&out, []byte(text), "", " ")
	return out.String()
}
