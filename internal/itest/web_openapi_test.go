package itest

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/mfatest"
	"github.com/authfactor/mfa/mfaweb"
	"github.com/authfactor/mfa/passkey/passkeytest"
	"github.com/authfactor/mfa/proof"
)

const webServer = "https://app.example.com" // the one that the description names, which adds /mfa

// TestWebOpenAPI drives mfaweb through all that mfaweb/openapi.yaml describes, and through
// nothing else, as TestOpenAPI does mfahttp.
func TestWebOpenAPI(t *testing.T) {
	d := &webDescription{description: readDescription(t, "../../mfaweb/openapi.yaml",
		"Factor", "LoginFactor", "TOTP", "Phone", "TrustedDevice", "Question", "Waiting", "Begun", "Challenged", "Answered", "Account",
		"Cancelled", "Enrolled", "Renamed", "Removed", "NewRecoveryCodes", "TurnedOff", "Revoked", "Error")}
	d.begin = d.operation("begin", map[int]string{
		200: "Begun", 400: "NoSource", 403: "BeginForbidden", 429: "Throttled", 500: "InternalServerError",
	})
	d.stepUp = d.operation("stepUp", map[int]string{
		400: "NoSource", 401: "NotLoggedIn", 403: "StepUpForbidden", 413: "PayloadTooLarge", 429: "Throttled", 500: "InternalServerError",
	})
	d.outside = []*openapi3.Operation{d.begin, d.stepUp}
	t.Run("routes", func(t *testing.T) { d.sameRoutes(t, "../../mfaweb/handler.go") })
	t.Run("common refusals", d.commonRefusals)
	t.Run("elsewhere", d.elsewhere)
	t.Run("begin", d.begins)
	t.Run("questions", d.questions)
	t.Run("challenges", d.challenges)
	t.Run("answers", d.answers)
	t.Run("passkeys", d.passkeys)
	t.Run("enrolments", d.enrolments)
	t.Run("account", d.account)
	t.Run("step-up", d.stepsUp)
	t.Run("overtaken", d.overtaken)
	t.Run("a wrong answer is rejected", d.rejects)
	d.allSeen(t, "getAccount 200")
}

// A webDescription is that of mfaweb, with what is described of the application's own routes.
type webDescription struct {
	*description
	begin, stepUp *openapi3.Operation
}

// A webSite is an application over mfaweb. Whoever is in the request's cookie session is logged
// in: it is the person's id, a dot, and something random.
type webSite struct {
	http.Handler
	d     *webDescription
	t     *testing.T
	clock *mfatest.Clock
	sms   *mfatest.Sender
	store *mfatest.FaultyStore
	core  mfa.Config
	cfg   mfaweb.Config
	svc   *mfa.Service
	has   map[string]bool // who has a factor, by their rows
	err   *error          // of the application's functions
}

func (d *webDescription) site(t *testing.T, change ...func(*mfa.Config, *mfaweb.Config)) *webSite {
	t.Helper()
	s := &webSite{
		d: d, t: t, clock: new(mfatest.Clock), sms: new(mfatest.Sender), store: &mfatest.FaultyStore{Store: new(mfa.MemoryStore)},
		has: map[string]bool{}, err: new(error),
	}
	discard := slog.New(slog.DiscardHandler)
	s.core = mfa.Config{Store: s.store, SMS: s.sms, Keys: mfatest.Keys(), Regions: []string{"US"}, Now: s.clock.Now, Logger: discard}
	row := func(id string) mfaweb.User {
		return mfaweb.User{ID: id, Label: id + "@example.com", HasFactor: s.has[id]}
	}
	s.cfg = mfaweb.Config{
		Issuer: "Example", Logger: discard,
		Session: func(r *http.Request) (mfaweb.Session, bool, error) {
			c, err := r.Cookie("session")
			if err != nil {
				return mfaweb.Session{}, false, *s.err
			}
			id, _, _ := strings.Cut(c.Value, ".")
			return mfaweb.Session{User: row(id), ID: c.Value}, true, *s.err
		},
		User: func(_ context.Context, id string) (mfaweb.User, error) { return row(id), *s.err },
		LogIn: func(w http.ResponseWriter, _ *http.Request, u mfaweb.User, _ mfa.Verification) error {
			http.SetCookie(w, &http.Cookie{Name: "session", Value: u.ID + "." + rand.Text()})
			return *s.err
		},
		SetHasFactor: func(_ context.Context, id string, has bool) error {
			s.has[id] = has
			return *s.err
		},
		Deliver: func(context.Context, mfaweb.User, mfa.Factor, string) error { return *s.err },
	}
	return s.another(change...)
}

// another is the same application, over the same store, with another configuration.
func (s *webSite) another(change ...func(*mfa.Config, *mfaweb.Config)) *webSite {
	s.t.Helper()
	other := *s
	for _, c := range change {
		c(&other.core, &other.cfg)
	}
	var err error
	if other.svc, err = mfa.New(other.core); err != nil {
		s.t.Fatal(err)
	}
	other.cfg.Service = other.svc
	web, err := mfaweb.New(other.cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/mfa/", http.StripPrefix("/mfa", web))
	mux.HandleFunc("/login", func(w http.ResponseWriter, r *http.Request) {
		id := r.URL.Query().Get("user")
		web.Begin(w, r, mfaweb.User{ID: id, HasFactor: s.has[id]})
	})
	mux.Handle("/pay", web.StepUp(mfaweb.StepUp{Action: func(r *http.Request) (proof.Action, error) {
		text, err := io.ReadAll(r.Body)
		return proof.ActionOf("pay", string(text)), err
	}}, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	other.Handler = mux
	return &other
}

// A webBrowser is one, with its cookies.
type webBrowser struct {
	*webSite
	cookies map[string]string
}

func (s *webSite) browser() *webBrowser {
	return &webBrowser{webSite: s, cookies: map[string]string{}}
}

// at is the same browser at another site.
func (b *webBrowser) at(s *webSite) *webBrowser {
	return &webBrowser{webSite: s, cookies: b.cookies}
}

// in is a browser in which somebody is logged in, with the password alone if need be.
func (s *webSite) in(user string) *webBrowser {
	b := s.browser()
	b.cookies["session"] = user + "." + rand.Text()
	return b
}

// send sends a request, whose answer has to have the status and the code, and to be as
// documented: with its cookies, which the browser takes.
func (b *webBrowser) send(operation *openapi3.Operation, method, path, body string, status int, code string, change ...func(*http.Request)) object {
	b.t.Helper()
	r := httptest.NewRequestWithContext(b.t.Context(), method, webServer+path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	for name, value := range b.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	for _, c := range change {
		c(r)
	}
	e := b.d.exchange(b.webSite, r)
	if operation != nil {
		e.operation = operation
	}
	for _, c := range (&http.Response{Header: e.header}).Cookies() {
		if b.cookies[c.Name] = c.Value; c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		}
	}
	b.ofMFA(e)
	o := b.d.held(b.t, e, body, status, code)
	if status >= 400 && (o["question"] != nil) != (code == "second_factor_required") {
		b.t.Errorf("%s %s: %s: a question is documented for one code, and for that always", method, path, e.body)
	}
	return o
}

// ofMFA leaves the cookies of mfaweb in an answer, and holds each against what is documented.
func (b *webBrowser) ofMFA(e exchanged) {
	b.t.Helper()
	all := slices.DeleteFunc(e.header.Values("Set-Cookie"), func(c string) bool { return !strings.HasPrefix(c, "__Host-mfa_") })
	if e.header.Del("Set-Cookie"); len(all) > 0 {
		e.header["Set-Cookie"] = all
	}
	documented := e.operation.Responses.Status(e.status)
	for _, c := range all {
		if documented == nil || documented.Value.Headers["Set-Cookie"] == nil {
			b.t.Errorf("%s %d sets %s", e.operation.OperationID, e.status, c)
			return
		}
		pattern := documented.Value.Headers["Set-Cookie"].Value.Schema.Value.Pattern
		if !regexp.MustCompile(pattern).MatchString(c) {
			b.t.Errorf("%s %d sets %s", e.operation.OperationID, e.status, c)
		}
	}
}

func (b *webBrowser) get(path string, status int, code string) object {
	b.t.Helper()
	return b.send(nil, "GET", "/mfa"+path, "", status, code)
}

func (b *webBrowser) post(path, body string, status int, code string, change ...func(*http.Request)) object {
	b.t.Helper()
	return b.send(nil, "POST", "/mfa"+path, body, status, code, change...)
}

func (b *webBrowser) login(user string, status int, code string, change ...func(*http.Request)) object {
	b.t.Helper()
	return b.send(b.d.begin, "POST", "/login?user="+user, "", status, code, change...)
}

func (b *webBrowser) pay(body string, status int, code string, change ...func(*http.Request)) object {
	b.t.Helper()
	return b.send(b.d.stepUp, "POST", "/pay", body, status, code, change...)
}

// asks challenges a factor of a question.
func (b *webBrowser) asks(q object, factor, members string, status int, code string) object {
	b.t.Helper()
	return b.post("/challenge", `{"question":"`+q.get("question.id")+`","factor_id":"`+factor+`"`+members+`}`, status, code)
}

// says answers a question.
func (b *webBrowser) says(q object, members string, status int, code string) object {
	b.t.Helper()
	return b.post("/verify", `{"question":"`+q.get("question.id")+`",`+members+`}`, status, code)
}

func code(text string) string { return `"code":"` + text + `"` }

// A webApp is somebody's authenticator app.
type webApp struct {
	mfatest.App
	clock *mfatest.Clock
}

// app gives somebody a confirmed one.
func (s *webSite) app(user string) webApp {
	s.t.Helper()
	s.has[user] = true
	return webApp{mfatest.Enrolled(s.t, s.svc, user), s.clock}
}

func (a webApp) id() string { return a.Factor.ID }

// next is the member of a body with the code that the app shows next.
func (a webApp) next() string {
	a.clock.Advance(30 * time.Second)
	return code(a.Code(a.clock.Now()))
}

// earns answers the question of a refusal, and gives the receipt as a header.
func (b *webBrowser) earns(refused object, a webApp) func(*http.Request) {
	b.t.Helper()
	b.asks(refused, a.id(), "", 200, "")
	return with(mfaweb.ReceiptHeader, b.says(refused, a.next(), 200, "").get("receipt"))
}

// lock makes too many wrong codes, in a browser of somebody else.
func (s *webSite) lock(user string, a webApp) {
	s.t.Helper()
	other := s.browser()
	q := other.login(user, 200, "")
	other.asks(q, a.id(), "", 200, "")
	other.says(q, code("000000"), 422, "invalid_one_time_code")
}

// locks makes one wrong code too many.
func locks(c *mfa.Config, _ *mfaweb.Config) { c.Policy.MaxFailures = 1 }

// mustHave makes everybody have a factor.
func mustHave(_ *mfa.Config, c *mfaweb.Config) {
	c.RequireFrom = func(mfaweb.User) time.Time { return time.Unix(1, 0) }
}

func behindProxy(_ *mfa.Config, c *mfaweb.Config) { c.ClientIPHeader = "X-Forwarded-For" }

// commonRefusals are those of every route.
func (d *webDescription) commonRefusals(t *testing.T) {
	for path, item := range d.doc.Paths.Map() {
		for method := range item.Operations() {
			s := d.site(t)
			a := s.app("ann")
			b := s.in("ann")
			b.asks(b.pay("", 403, "second_factor_required"), a.id(), "", 200, "")
			q := b.get("/question", 200, "")
			send := func(b *webBrowser, body string, status int, code string, change ...func(*http.Request)) {
				t.Helper()
				b.send(nil, method, "/mfa"+path, body, status, code, change...)
			}
			send(b, `{`, 400, "invalid_json")
			send(b, `{"x":"`+strings.Repeat("x", 96<<10)+`"}`, 413, "payload_too_large")
			send(b, `{}`, 415, "unsupported_media_type", with("Content-Type", "text/plain"))
			send(b.at(s.another(behindProxy)), `{}`, 400, "no_source")
			if method == "POST" {
				send(b, `{}`, 403, "cross_origin", with("Sec-Fetch-Site", "same-site"))
			}
			all := `{"question":"` + q.get("question.id") + `","factor_id":"` + a.id() + `","code":"000000","all":true}`
			if path == "/enroll" {
				all = `{"type":"totp"}`
			}
			if slices.Contains([]string{"/question", "/cancel", "/challenge", "/verify"}, path) {
				send(s.in("ann"), all, 401, "no_question")
			} else {
				send(s.browser(), all, 401, "not_logged_in")
			}
			*s.err = errors.New("the database is away")
			send(b, all, 500, "internal_server_error")
		}
	}
}

func (d *webDescription) elsewhere(t *testing.T) {
	b := d.site(t).browser()
	for _, path := range []string{"/", "/nowhere", "/question/x"} {
		b.post(path, `{}`, 404, "not_found")
	}
	b.post("/question", `{}`, 405, "method_not_allowed")
	b.get("/turn-off", 405, "method_not_allowed")
}

func (d *webDescription) begins(t *testing.T) {
	s := d.site(t, locks)
	b := s.browser()
	if o := b.login("ann", 200, ""); o.get("status") != "logged_in" || b.cookies["session"] == "" {
		t.Error(o)
	}
	if o := b.at(s.another(mustHave)).login("ann", 200, ""); o.get("status") != "enroll" {
		t.Error(o)
	}
	a := s.app("ann")
	q := b.login("ann", 200, "")
	b.asks(q, a.id(), "", 200, "")
	b.says(q, a.next()+`,"trust":true,"device_name":null`, 200, "")
	if o := b.login("ann", 200, ""); o.get("status") != "logged_in" {
		t.Error(o)
	}
	b.login("ann", 403, "cross_origin", with("Sec-Fetch-Site", "cross-site"))
	b.at(s.another(behindProxy)).login("ann", 400, "no_source")
	s.store.Before = overtaken
	b.login("ann", 429, "rate_limit_exceeded")
	s.store.Before = nil
	s.lock("ann", a)
	s.browser().login("ann", 403, "no_usable_authentication_factor")
	*s.err = errors.New("the sessions are away")
	b.login("ann", 500, "internal_server_error")
}

func (d *webDescription) questions(t *testing.T) {
	s := d.site(t, locks)
	a := s.app("ann")
	b := s.browser()
	b.get("/question", 401, "no_question")
	b.login("ann", 200, "")
	if q := b.get("/question", 200, ""); q.get("question.for") != "login" || q.get("question.factor_id") != "" {
		t.Error(q)
	}
	s.lock("ann", a)
	b.get("/question", 403, "no_usable_authentication_factor")
	b = s.another(mustHave).browser()
	b.login("bob", 200, "")
	q := b.get("/question", 200, "")
	if q.get("question.for") != "enroll" {
		t.Error(q)
	}
	b.post("/cancel", `{"question":"another"}`, 409, "question_replaced")
	b.post("/cancel", `{"question":true}`, 422, "invalid_request_parameters")
	b.post("/cancel", `{"question":"`+q.get("question.id")+`"}`, 200, "")
}

func (d *webDescription) challenges(t *testing.T) {
	s := d.site(t, locks)
	mobile := mfatest.EnrolledPhone(t, s.svc, s.sms, "ann", number)
	paper, _ := mfatest.EnrolledRecoveryCodes(t, s.svc, "ann")
	a := s.app("ann")
	push := s.push("ann")
	s.clock.Advance(time.Hour)
	b := s.browser()
	q := b.login("ann", 200, "")
	for _, f := range []string{a.id(), mobile.ID, push, paper.ID} {
		for _, members := range []string{``, `,"send_again":null`, `,"send_again":false,"x":{}`} {
			b.asks(q, f, members, 200, "")
		}
		if shown := b.get("/question", 200, ""); shown.get("question.factor_id") != f {
			t.Error(shown)
		}
	}
	b.asks(q, mobile.ID, `,"send_again":true`, 429, "rate_limit_exceeded")
	b.asks(q, push, `,"send_again":true`, 200, "")
	b.asks(q, push, `,"send_again":"yes"`, 422, "invalid_request_parameters")
	b.asks(q, "auth_factor_"+noULID, ``, 422, "unknown_factor")
	b.asks(object{}, a.id(), ``, 409, "question_replaced")
	s.lock("ann", a)
	b.asks(q, a.id(), ``, 403, "authentication_factor_disabled")
	s.clock.Advance(time.Hour)
	q = b.login("ann", 200, "")
	s.sms.Script = func(context.Context, int, mfa.Message) error { return errors.New("no network") }
	b.asks(q, mobile.ID, ``, 502, "message_not_sent")
	s.sms.Script = nil

	bob := s.in("bob")
	enr := bob.post("/enroll", `{"type":"sms","phone_number":"`+number+`","name":null}`, 200, "")
	bob.at(s.another(func(c *mfa.Config, _ *mfaweb.Config) { c.SMS = nil })).asks(enr, enr.get("question.factor_id"), ``, 422, "sms_not_configured")
	bob.at(s.another(func(c *mfa.Config, _ *mfaweb.Config) { c.Regions = []string{"DE"} })).asks(enr, enr.get("question.factor_id"), ``, 422, "phone_number_not_allowed")
	d.removedAtOnce(t)
}

// removedAtOnce: a factor may go between being chosen and being challenged.
func (d *webDescription) removedAtOnce(t *testing.T) {
	t.Helper()
	s := d.site(t)
	stays, gone := s.app("ann"), s.app("ann")
	b := s.browser()
	q := b.login("ann", 200, "")
	// Challenge reads the factor first.
	begun := len(s.store.Calls())
	b.asks(q, stays.id(), "", 200, "")
	calls := len(s.store.Calls()) - begun
	at := len(s.store.Calls()) + calls - 1 // the last but one, as the last saves
	s.store.Before = func(ctx context.Context, c mfatest.Call) error {
		if c.N != at {
			return nil
		}
		return s.svc.Unenroll(ctx, mfa.UnenrollParams{FactorID: gone.id(), UserID: mfa.AnyUser})
	}
	b.asks(q, gone.id(), "", 422, "unknown_factor")
}

// push gives somebody a confirmed factor whose codes the application delivers.
func (s *webSite) push(user string) (id string) {
	s.t.Helper()
	ctx := s.t.Context()
	enr, err := s.svc.Enroll(ctx, mfa.EnrollParams{UserID: user, GenericOTP: true, ByOperator: true})
	if err != nil {
		s.t.Fatal(err)
	}
	ch, err := s.svc.Challenge(ctx, mfa.ChallengeParams{FactorID: enr.Factor.ID, UserID: user, Confirm: true})
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.svc.Verify(ctx, mfa.VerifyParams{ChallengeID: ch.ID, UserID: user, Code: ch.Code()}); err != nil {
		s.t.Fatal(err)
	}
	return enr.Factor.ID
}

func (d *webDescription) answers(t *testing.T) {
	s := d.site(t, func(c *mfa.Config, _ *mfaweb.Config) { c.Policy.MaxFailures = 6 })
	a := s.app("ann")
	set, codes := mfatest.EnrolledRecoveryCodes(t, s.svc, "ann")
	b := s.browser()
	begin := func() object {
		t.Helper()
		q := b.login("ann", 200, "")
		b.asks(q, a.id(), "", 200, "")
		return q
	}
	q := b.login("ann", 200, "")
	b.says(q, a.next(), 409, "not_challenged")
	q = begin()
	b.says(object{}, a.next(), 409, "question_replaced")
	b.says(q, `"code":7`, 422, "invalid_request_parameters")
	b.says(q, a.next()+`,"trust":true,"device_name":"a\nb"`, 422, "invalid_request_parameters")
	b.says(q, code("not a code"), 422, "invalid_one_time_code")
	used, again := b.cookies["__Host-mfa_question"], a.next()
	if o := b.says(q, again+`,"answer":null,"trust":null`, 200, ""); o.get("status") != "logged_in" || o["lost"] != nil {
		t.Error(o)
	}
	d.good["a login"] = d.good["verify 200"]
	b.cookies["__Host-mfa_question"] = used
	b.says(q, again, 200, "") // a second click
	b.cookies["__Host-mfa_question"] = used
	b.says(q, a.next(), 409, "authentication_challenge_previously_verified")

	q = b.login("ann", 200, "")
	b.asks(q, set.ID, "", 200, "")
	if o := b.says(q, code(codes[0]), 200, ""); o.get("status") != "logged_in" || o["lost"] != true {
		t.Error(o)
	}

	q = begin()
	cookie := b.cookies["__Host-mfa_question"]
	s.clock.Advance(5 * time.Minute)
	b.asks(q, set.ID, "", 200, "") // which makes the question younger
	text, ok := s.svc.OpenToken("mfaweb question", cookie)
	s.clock.Advance(5 * time.Minute)
	older, err := s.svc.SealToken("mfaweb question", text, time.Minute)
	if !ok || err != nil {
		t.Fatal(err)
	}
	b.cookies["__Host-mfa_question"] = older
	b.says(q, a.next(), 409, "authentication_challenge_expired")

	q = begin()
	for left := 4; left >= 0; left-- {
		o := b.says(q, code("000000"), 422, "invalid_one_time_code")
		if o["tries_left"] != float64(left) || (o["retry_after"] != nil) != (left == 0) {
			t.Error(o)
		}
	}
	b.says(q, a.next(), 409, "one_time_code_too_many_attempts")
	s.clock.Advance(time.Hour)
	q = begin()
	d.throttled(t)
	b.says(q, code("000000"), 422, "invalid_one_time_code")
	b.says(q, a.next(), 403, "authentication_factor_disabled")

	gone := s.app("bob")
	b = s.browser()
	q = b.login("bob", 200, "")
	b.asks(q, gone.id(), "", 200, "")
	if err := s.svc.TurnOff(t.Context(), mfa.TurnOffParams{UserID: "bob", ByOperator: true}); err != nil {
		t.Fatal(err)
	}
	b.says(q, gone.next(), 404, "entity_not_found")

	// An enrolment without a receipt, beside recovery codes that nobody had used then.
	set, codes = mfatest.EnrolledRecoveryCodes(t, s.svc, "carol")
	first, second := s.in("carol"), s.browser()
	enr := first.post("/enroll", `{"type":"totp"}`, 200, "")
	first.asks(enr, enr.get("question.factor_id"), "", 200, "")
	q = second.login("carol", 200, "")
	second.asks(q, set.ID, "", 200, "")
	second.says(q, code(codes[0]), 200, "")
	first.says(enr, code(mfatest.Code(enr.get("totp.secret"), s.clock.Now())), 409, "authentication_factor_unverified")
}

// throttled: while a factor waits, no challenge of it is compared.
func (d *webDescription) throttled(t *testing.T) {
	t.Helper()
	s := d.site(t)
	a := s.app("ann")
	b, other := s.browser(), s.browser()
	q, wrong := b.login("ann", 200, ""), other.login("ann", 200, "")
	b.asks(q, a.id(), "", 200, "")
	other.asks(wrong, a.id(), "", 200, "")
	for range 5 {
		other.says(wrong, code("000000"), 422, "invalid_one_time_code")
	}
	if o := b.says(q, code(a.Code(s.clock.Now())), 429, "rate_limit_exceeded"); o["retry_after"] != 30.0 {
		t.Error(o)
	}
}

// passkeys are made, log in and approve.
func (d *webDescription) passkeys(t *testing.T) {
	real := withPasskeys(t)
	s := d.site(t, func(c *mfa.Config, _ *mfaweb.Config) { real(c) })
	key := passkeytest.New(pageOrigin)
	answer := func(made []byte, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return `"answer":` + string(made)
	}
	b := s.in("ann")
	enr := b.post("/enroll", `{"type":"webauthn","name":"key ring"}`, 200, "")
	id := enr.get("question.factor_id")
	asked := b.asks(enr, id, "", 200, "")
	b.says(enr, `"answer":{}`, 422, "invalid_one_time_code")
	if o := b.says(enr, answer(key.Create(asked.options(t))), 200, ""); o.get("status") != "confirmed" || o["recovery_codes"] == nil {
		t.Error(o)
	}
	d.good["a passkey"] = d.good["verify 200"]
	s.clock.Advance(time.Minute)
	b = s.browser()
	q := b.login("ann", 200, "")
	asked = b.asks(q, id, "", 200, "")
	b.says(q, answer(key.Get(asked.options(t)))+`,"trust":true,"device_name":"Laptop"`, 200, "")
	q = b.pay("EUR 5", 403, "second_factor_required")
	asked = b.asks(q, id, "", 200, "")
	b.says(q, answer(key.Get(asked.options(t)))+`,"code":null`, 200, "")
	b.get("/account", 200, "")
}

func (d *webDescription) enrolments(t *testing.T) {
	s := d.site(t, locks)
	b := s.in("ann")
	for _, c := range []struct {
		members, code string
	}{
		{`"type":"webauthn"`, "invalid_request_parameters"}, {`"type":7`, "invalid_request_parameters"},
		{`"type":"totp","name":"a\nb"`, "invalid_request_parameters"}, {`"type":"generic_otp"`, "invalid_request_parameters"},
		{`"type":"sms","phone_number":"foo"`, "invalid_phone_number"},
		{`"type":"sms","phone_number":"+447911123456"`, "phone_number_not_allowed"},
	} {
		b.post("/enroll", `{`+c.members+`}`, 422, c.code)
	}
	b.at(s.another(func(c *mfa.Config, _ *mfaweb.Config) { c.SMS = nil })).
		post("/enroll", `{"type":"sms","phone_number":"`+number+`"}`, 422, "sms_not_configured")
	b.post("/enroll", `{"type":"totp","replaces":"auth_factor_`+noULID+`"}`, 404, "entity_not_found")
	enr := b.post("/enroll", `{"type":"totp","name":"phone","question":null}`, 200, "")
	b.get("/question", 200, "")
	b.asks(enr, enr.get("question.factor_id"), "", 200, "")
	if o := b.says(enr, code(mfatest.Code(enr.get("totp.secret"), s.clock.Now())), 200, ""); o.get("status") != "confirmed" || o["recovery_codes"] == nil {
		t.Error(o)
	}

	must := s.another(mustHave)
	b = must.browser()
	b.post("/enroll", `{"type":"totp","question":"x"}`, 401, "no_question")
	q := b.login("bob", 200, "")
	b.post("/enroll", `{"type":"totp","question":"x"}`, 409, "question_replaced")
	enr = b.post("/enroll", `{"type":"sms","phone_number":"`+number+`","question":"`+q.get("question.id")+`"}`, 200, "")
	b.asks(enr, enr.get("question.factor_id"), "", 200, "")
	if o := b.says(enr, code(s.sms.Code(number)), 200, ""); o.get("status") != "logged_in" || o["recovery_codes"] == nil {
		t.Error(o)
	}

	full := s.in("carol")
	a := s.app("carol")
	for range 9 {
		s.app("carol")
	}
	receipt := full.earns(full.post("/enroll", `{"type":"totp"}`, 403, "second_factor_required"), a)
	full.post("/enroll", `{"type":"totp"}`, 409, "too_many_authentication_factors", receipt)
	full.post("/recovery-codes", ``, 409, "too_many_authentication_factors", receipt)
	replaced := full.earns(full.post("/enroll", `{"type":"totp","replaces":"`+a.id()+`"}`, 403, "second_factor_required"), a)
	full.post("/enroll", `{"type":"totp","replaces":"`+a.id()+`"}`, 200, "", replaced)
}

func (d *webDescription) account(t *testing.T) {
	s := d.site(t, locks)
	b := s.in("ann")
	if o := b.get("/account", 200, ""); o["recovery_codes_left"] != nil || fmt.Sprint(o["factors"], o["trusted_devices"], o["lost"]) != "[] [] false" {
		t.Error(o)
	}
	b.post("/recovery-codes", `null`, 409, "second_factor_missing")
	a, second := s.app("ann"), s.app("ann")
	mfatest.EnrolledPhone(t, s.svc, s.sms, "ann", number)
	q := b.login("ann", 200, "")
	b.asks(q, a.id(), "", 200, "")
	b.says(q, a.next()+`,"trust":true,"device_name":"Laptop"`, 200, "")

	var account struct {
		Devices []struct {
			ID string `json:"id"`
		} `json:"trusted_devices"`
	}
	text, err := json.Marshal(b.get("/account", 200, ""))
	if err != nil || json.Unmarshal(text, &account) != nil || len(account.Devices) != 1 {
		t.Fatalf("%s, %v", text, err)
	}

	b.post("/rename", `{"factor_id":"`+a.id()+`","name":"new"}`, 200, "")
	b.post("/rename", `{"factor_id":"`+a.id()+`","name":null}`, 200, "")
	b.post("/rename", `{"factor_id":"`+a.id()+`","name":"a\nb"}`, 422, "invalid_request_parameters")
	b.post("/rename", `{"factor_id":"x"}`, 404, "entity_not_found")
	b.post("/revoke-device", `{"device_id":"x"}`, 404, "entity_not_found")
	b.post("/revoke-device", `{}`, 422, "invalid_request_parameters")
	b.post("/revoke-device", `{"device_id":"`+account.Devices[0].ID+`"}`, 200, "")
	b.post("/revoke-device", `{"all":true}`, 200, "")

	receipt := b.earns(b.post("/recovery-codes", `[]`, 403, "second_factor_required"), a)
	b.post("/recovery-codes", ``, 200, "", receipt)
	if o := b.get("/account", 200, ""); o["recovery_codes_left"] != 10.0 {
		t.Error(o)
	}
	remove := `{"factor_id":"` + second.id() + `"}`
	b.post("/remove", `{"factor_id":7}`, 422, "invalid_request_parameters")
	b.post("/remove", `{"factor_id":"x"}`, 404, "entity_not_found")
	b.post("/remove", remove, 200, "", b.earns(b.post("/remove", remove, 403, "second_factor_required"), a))
	single := s.in("bob")
	only := s.app("bob")
	single.post("/remove", `{"factor_id":"`+only.id()+`"}`, 409, "last_factor")
	b.post("/turn-off", `{}`, 200, "", b.earns(b.post("/turn-off", `{}`, 403, "second_factor_required"), a))
	b.at(s.another(mustHave)).post("/turn-off", `{}`, 409, "second_factor_must_stay")

	other := s.app("bob")
	for _, a := range []webApp{only, other} {
		s.lock("bob", a)
	}
	for path, body := range map[string]string{
		"/enroll": `{"type":"totp"}`, "/recovery-codes": ``, "/turn-off": ``,
	} {
		single.post(path, body, 403, "no_usable_authentication_factor")
	}
	single.post("/remove", `{"factor_id":"`+only.id()+`"}`, 409, "last_factor")
}

func (d *webDescription) stepsUp(t *testing.T) {
	s := d.site(t, locks)
	b := s.in("ann")
	b.pay("EUR 5", 403, "second_factor_missing")
	a := s.app("ann")
	receipt := b.earns(b.pay("EUR 5", 403, "second_factor_required"), a)
	s.store.Before = overtaken
	b.pay("EUR 5", 429, "rate_limit_exceeded", receipt)
	s.store.Before = nil
	r := httptest.NewRequestWithContext(t.Context(), "POST", webServer+"/pay", strings.NewReader("EUR 5"))
	r.AddCookie(&http.Cookie{Name: "session", Value: b.cookies["session"]})
	receipt(r)
	if e := d.exchange(s, r); e.status != 200 {
		t.Errorf("paid: %d %s", e.status, e.body)
	}
	b.pay("EUR 5", 403, "second_factor_required", receipt)
	b.pay("EUR 5", 403, "cross_origin", receipt, with("Sec-Fetch-Site", "cross-site"))
	b.at(s.another(behindProxy)).pay("EUR 5", 400, "no_source")
	s.browser().pay("EUR 5", 401, "not_logged_in")
	b.pay(strings.Repeat("x", 1<<20+1), 413, "payload_too_large")
	s.lock("ann", a)
	b.pay("EUR 5", 403, "no_usable_authentication_factor")
	*s.err = errors.New("the rows are away")
	b.pay("EUR 5", 500, "internal_server_error")
}

// overtaken: too many requests changed the same at once.
func (d *webDescription) overtaken(t *testing.T) {
	s := d.site(t)
	a, second := s.app("ann"), s.app("ann")
	b := s.in("ann")
	q := b.login("ann", 200, "")
	b.asks(q, a.id(), "", 200, "")
	b.says(q, a.next()+`,"trust":true`, 200, "")
	receipts := map[string]func(*http.Request){}
	bodies := map[string]string{
		"/enroll": `{"type":"totp"}`, "/remove": `{"factor_id":"` + second.id() + `"}`, "/recovery-codes": ``, "/turn-off": ``,
		"/rename": `{"factor_id":"` + a.id() + `","name":"new"}`, "/revoke-device": `{"all":true}`,
	}
	for _, path := range []string{"/enroll", "/remove", "/recovery-codes", "/turn-off"} {
		receipts[path] = b.earns(b.post(path, bodies[path], 403, "second_factor_required"), a)
	}
	q = b.pay("", 403, "second_factor_required")
	b.asks(q, a.id(), "", 200, "")
	s.store.Before = overtaken
	b.says(q, a.next(), 429, "rate_limit_exceeded")
	b.asks(q, a.id(), "", 429, "rate_limit_exceeded")
	for path, body := range bodies {
		change := receipts[path]
		if change == nil {
			change = func(*http.Request) {}
		}
		b.post(path, body, 429, "rate_limit_exceeded", change)
	}
}

// rejects changes answers that validated, so that they must not any more.
func (d *webDescription) rejects(t *testing.T) {
	without, is, status, header, body := spoilers(t)
	d.rejectsAll(t, []spoiled{
		{"a login", "an undocumented status", status(201)},
		{"a login", "no status", without("status")},
		{"a login", "another status", is("status", "verified")},
		{"a login", "an approval with a factor", is("status", "approved")},
		{"a login", "a login with a receipt", is("receipt", "x")},
		{"a login", "recovery codes that are none", is("recovery_codes", []string{"123456"})},
		{"a login", "a challenge", is("challenge", map[string]any{})},
		{"a passkey", "a confirmed one without its factor", without("factor")},
		{"a passkey", "details are a list", is("factor.details", []any{})},
		{"a passkey", "lost without a login", is("lost", true)},
		{"a passkey", "nine recovery codes", is("recovery_codes", make([]string, 9))},
		{"challenge 200", "no question", without("question")},
		{"challenge 200", "the challenge's id", is("challenge_id", "auth_challenge_"+noULID)},
		{"challenge 200", "the code", is("code", "123456")},
		{"challenge 200", "no expires_at", without("expires_at")},
		{"challenge 200", "a message without the time of the next", is("type", "sms")},
		{"challenge 200", "options of an app", is("options", map[string]any{})},
		{"begin 200", "no status", without("status")},
		{"begin 200", "a question that is none", is("status", "enroll")},
		{"getQuestion 200", "no id", without("question.id")},
		{"getQuestion 200", "a user", is("question.user", "ann")},
		{"getQuestion 200", "another for", is("question.for", "pay")},
		{"getQuestion 200", "no factors", without("question.factors")},
		{"getQuestion 200", "factors null", is("question.factors", json.RawMessage("null"))},
		{"getAccount 200", "no lost", without("lost")},
		{"getAccount 200", "the recovery codes", is("recovery_codes", []string{})},
		{"getAccount 200", "a whole number", is("factors", []any{map[string]any{"sms": map[string]any{"phone_number": number}}})},
		{"enroll 200", "no question", without("question")},
		{"enroll 200", "no secret", without("totp.secret")},
		{"enroll 200", "no totp", without("totp")},
		{"rename 200", "no factor", without("factor")},
		{"turnOff 200", "another status", is("status", false)},
		{"cancel 200", "another status", is("status", "off")},
		{"enroll 403 second_factor_required", "no code", without("code")},
		{"enroll 403 second_factor_required", "nothing to show", without("show")},
		{"enroll 403 second_factor_required", "a question for nothing", is("question.for", "")},
		{"enroll 403 second_factor_required", "an approval without a purpose", without("question.purpose")},
		{"verify 422 invalid_one_time_code", "half a try", is("tries_left", 0.5)},
		{"verify 429 rate_limit_exceeded", "no Retry-After", header("Retry-After", "")},
		{"verify 429 rate_limit_exceeded", "a time to wait that is none", is("retry_after", 0)},
		{"verify 404 entity_not_found", "the id", is("entity_id", "x")},
		{"verify 404 entity_not_found", "a code of another status", is("code", "not_found")},
		{"verify 404 entity_not_found", "plain text", body("404 page not found\n")},
		{"verify 404 entity_not_found", "a list", body("[]")},
		{"a login", "another Content-Type", header("Content-Type", "text/plain")},
		{"challenge 200", "a cookie for scripts", header("Set-Cookie", "__Host-mfa_question=x; Path=/; Max-Age=600; Secure; SameSite=Strict")},
		{"challenge 200", "a cookie over HTTP", header("Set-Cookie", "__Host-mfa_question=x; Path=/; Max-Age=600; HttpOnly; SameSite=Lax")},
		{"nowhere 405 method_not_allowed", "no Allow", header("Allow", "")},
	})
	b := d.site(t).in("ann")
	for name, c := range map[string][2]string{
		"no question":          {"/challenge", `{"factor_id":"x"}`},
		"no factor":            {"/challenge", `{"question":"x"}`},
		"send_again is a word": {"/challenge", `{"question":"x","factor_id":"x","send_again":"yes"}`},
		"no answer":            {"/verify", `{"question":"x"}`},
		"an empty code":        {"/verify", `{"question":"x","code":""}`},
		"a code and an answer": {"/verify", `{"question":"x","code":"123456","answer":{}}`},
		"no type":              {"/enroll", `{}`},
		"recovery codes":       {"/enroll", `{"type":"recovery_codes"}`},
		"a number's type":      {"/enroll", `{"type":"sms","phone_number":15005550006}`},
		"nothing to rename":    {"/rename", `{"name":"x"}`},
		"nothing to remove":    {"/remove", `{}`},
		"no browser":           {"/revoke-device", `{}`},
		"not all":              {"/revoke-device", `{"all":false}`},
		"one and all":          {"/revoke-device", `{"device_id":"x","all":true}`},
	} {
		r := httptest.NewRequestWithContext(t.Context(), "POST", webServer+"/mfa"+c[0], strings.NewReader(c[1]))
		r.Header.Set("Content-Type", "application/json")
		r.AddCookie(&http.Cookie{Name: "session", Value: b.cookies["session"]})
		e := d.exchange(b.webSite, r)
		if e.status < 400 || d.validateRequest(t.Context(), e.request, c[1]) == nil {
			t.Errorf("%s: status %d, and the request is as documented", name, e.status)
		}
	}
}
