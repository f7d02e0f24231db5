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
	"slices"
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
	testing.TB
	svc    *mfa.Service
	cfg    mfaweb.Config
	web    *mfaweb.Handler
	server *httptest.Server
	clock  *mfatest.Clock
	sms    *mfatest.Sender
	store  *mfatest.FaultyStore
	paid   int // how often somebody paid

	mu       sync.Mutex
	users    map[string]mfaweb.User
	sessions map[string]string // users by their sessions
	ends     bool              // SetHasFactor ends all sessions of the person
	logins   []mfa.Verification
	marked   int         // how often SetHasFactor was called
	events   []mfa.Event // in their order
	log      bytes.Buffer

	// What the application's own functions fail with.
	userErr, sessionErr, logInErr, markErr error
}

func newSite(tb testing.TB, change ...func(*mfa.Config, *mfaweb.Config)) *site {
	tb.Helper()
	s := &site{
		TB:       tb,
		clock:    new(mfatest.Clock),
		sms:      new(mfatest.Sender),
		store:    &mfatest.FaultyStore{Store: new(mfa.MemoryStore)},
		sessions: make(map[string]string),
		users: map[string]mfaweb.User{
			ann: {ID: ann, Label: "ann@example.com", Generation: "1"},
			bob: {ID: bob, Label: "bob@example.com", Generation: "1"},
		},
	}
	core := mfa.Config{
		Store: s.store, SMS: s.sms, Regions: []string{"US"}, Keys: mfatest.Keys(),
		Now: s.clock.Now, Logger: slog.New(slog.DiscardHandler), OnEvent: s.event,
	}
	s.cfg = mfaweb.Config{
		Issuer: "Example", Session: s.session, User: s.user, LogIn: s.logIn,
		SetHasFactor: s.setHasFactor, InsecureHTTP: true,
		Logger: slog.New(slog.NewTextHandler(&s.log, nil)),
	}
	for _, c := range change {
		c(&core, &s.cfg)
	}
	var err error
	if s.svc, err = mfa.New(core); err != nil {
		tb.Fatal(err)
	}
	s.cfg.Service = s.svc
	if s.web, err = mfaweb.New(s.cfg); err != nil {
		tb.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/mfa/", http.StripPrefix("/mfa", s.web))
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		u, err := s.user(r.Context(), r.PostFormValue("user"))
		if err != nil || u.ID == "" || r.PostFormValue("password") != u.ID {
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
	tb.Cleanup(s.server.Close)
	return s
}

func (s *site) user(_ context.Context, id string) (mfaweb.User, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.userErr != nil {
		return mfaweb.User{}, s.userErr
	}
	return s.users[id], nil
}

func (s *site) session(r *http.Request) (mfaweb.Session, bool, error) {
	c, err := r.Cookie("session")
	if err != nil {
		return mfaweb.Session{}, false, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sessionErr != nil {
		return mfaweb.Session{}, false, s.sessionErr
	}
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
	if s.logInErr != nil {
		return s.logInErr
	}
	id := rand.Text()
	s.sessions[id] = u.ID
	s.logins = append(s.logins, v)
	http.SetCookie(w, &http.Cookie{Name: "session", Value: id, Path: "/", HttpOnly: true})
	return nil
}

func (s *site) setHasFactor(_ context.Context, id string, has bool) error {
	s.mu.Lock()
	s.marked++
	err := s.markErr
	s.mu.Unlock()
	if err == nil {
		if s.ends {
			s.endSessions(id)
		}
		s.change(id, func(u *mfaweb.User) { u.HasFactor = has })
	}
	return err
}

func (s *site) event(_ context.Context, e mfa.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, e)
}

// endSessions logs a person out everywhere.
func (s *site) endSessions(user string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.sessions, func(_, of string) bool { return of == user })
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
	testing.TB
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
	if host := r.Header.Get("Host"); host != "" {
		r.Host = host
	}
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
	a := answer{TB: b.TB, status: w.StatusCode, header: w.Header, text: string(text)}
	_ = json.Unmarshal(text, &a.all)
	if strings.HasPrefix(path, "/mfa/") || strings.Contains(w.Header.Get("Content-Type"), "json") {
		b.holds(a, w.Cookies())
	}
	return a
}

// holds holds an answer against what is true of every one.
func (s *site) holds(a answer, cookies []*http.Cookie) {
	s.Helper()
	for name, want := range map[string]string{
		"Cache-Control": "no-store", "Content-Type": "application/json; charset=utf-8",
		"X-Content-Type-Options": "nosniff",
	} {
		if got := a.header.Get(name); got != want {
			s.Errorf("%s is %q: %d %s", name, got, a.status, a.text)
		}
	}
	if a.all == nil {
		s.Errorf("no JSON object: %d %q", a.status, a.text)
	}
	for _, c := range cookies {
		if !strings.HasPrefix(strings.TrimPrefix(c.Name, "__Host-"), "mfa_") {
			continue // the application's
		}
		if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.Domain != "" ||
			c.Secure == s.cfg.InsecureHTTP ||
			len(c.Name+c.Value) > 4096 ||
			strings.HasPrefix(c.Name, "__Host-") == s.cfg.InsecureHTTP {
			s.Errorf("the cookie %s", c.Raw)
		}
	}
	if a.status < http.StatusBadRequest {
		return
	}
	for name := range a.all {
		if !slices.Contains([]string{
			"code", "message", "show", "retry_after", "tries_left", "question",
		}, name) {
			s.Errorf("the error has a member %q: %s", name, a.text)
		}
	}
	for _, name := range []string{"code", "message", "show"} {
		if text, _ := a.all[name].(string); text == "" {
			s.Errorf("the error has no %s: %s", name, a.text)
		}
	}
	if a.get("retry_after") != a.header.Get("Retry-After") {
		s.Errorf("Retry-After is %q: %s", a.header.Get("Retry-After"), a.text)
	}
}

// A tally is what a site stored, sent, and did for somebody.
type tally struct{ saves, sends, logins, sessions, marked, paid int }

func (s *site) did() tally {
	s.mu.Lock()
	defer s.mu.Unlock()
	return tally{
		len(s.store.Calls("Save")), s.sms.Sends(), len(s.logins), len(s.sessions), s.marked, s.paid,
	}
}

// nothing holds that something is refused, and that nothing came of it.
func (s *site) nothing(what string, status int, code string, refused func() answer) {
	s.Helper()
	before := s.did()
	if a := refused(); a.status != status || a.get("code") != code {
		s.Errorf("%s: status %d, want %d %s: %.300s", what, a.status, status, code, a.text)
	}
	if after := s.did(); after != before {
		s.Errorf("%s: it was %+v, and is %+v", what, before, after)
	}
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

// withApp gives somebody a confirmed app, of which their row tells.
func (s *site) withApp(user string) app {
	s.Helper()
	a := mfatest.Enrolled(s, s.svc, user)
	s.change(user, func(u *mfaweb.User) { u.HasFactor = true })
	return app{site: s, id: a.Factor.ID, uri: a.Secret}
}

// enter logs somebody in with the app.
func (b *browser) enter(user string, a app) *browser {
	b.Helper()
	if done := b.answers(b.login(user), a.id, a.code); done.get("status") != "logged_in" {
		b.Fatalf("the right code: %d %s", done.status, done.text)
	}
	return b
}

// as is a request with headers of the test's choice: name and value in turn.
func (b *browser) as(headers ...string) *browser {
	other := *b
	other.header = b.header.Clone()
	for i := 0; i < len(headers); i += 2 {
		other.header.Set(headers[i], headers[i+1])
	}
	return &other
}

// codeOf is what the app shows now.
func codeOf(a app) string { return mfatest.Code(a.uri, a.clock.Now()) }
