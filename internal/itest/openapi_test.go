package itest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/mfahttp"
	"github.com/authfactor/mfa/mfatest"
	"github.com/authfactor/mfa/proof"
)

const (
	apiServer = "http://127.0.0.1:8080" // the one that the description names
	bearerKey = "sk_test_0123456789abcdef"
	number    = "+15005550006"
	noULID    = "01KE3Z8M2Q4R5S6T7V8W9X0Y1Z" // of nothing that is stored
)

// TestOpenAPI drives the handler through all that mfahttp/openapi.yaml describes, and
// through nothing else: each answer validates, and each operation has given each of its
// statuses and codes.
func TestOpenAPI(t *testing.T) {
	d := describeAPI(t)
	t.Run("routes", d.routes)
	t.Run("common refusals", d.commonRefusals)
	t.Run("elsewhere", d.elsewhere)
	t.Run("factors", d.factors)
	t.Run("users", d.users)
	for _, legacy := range []bool{false, true} {
		t.Run(fmt.Sprintf("passkeys, legacy %t", legacy), paths{d, legacy}.passkeys)
		t.Run(fmt.Sprintf("challenges, legacy %t", legacy), paths{d, legacy}.challenges)
		t.Run(fmt.Sprintf("verifications, legacy %t", legacy), paths{d, legacy}.verifications)
	}
	t.Run("a wrong answer is rejected", d.rejects)
	d.allSeen(t, "getFactor 200")
}

// allSeen holds that all that is documented happened, of which one outcome is an example.
func (d *description) allSeen(t *testing.T, example string) {
	t.Helper()
	for _, outcome := range unseen(d.outcomes(), d.seen) {
		t.Errorf("documented, and it never happened: %s", outcome)
	}
	if got := unseen(d.outcomes(), map[string]bool{example: true}); len(got) != len(d.outcomes())-1 {
		t.Errorf("%d of %d outcomes would be missed", len(got), len(d.outcomes()))
	}
}

// A description is the document, and what was seen of it so far.
type description struct {
	doc     *openapi3.T
	router  routers.Router
	outside []*openapi3.Operation // described by their responses, for whatever path
	seen    map[string]bool
	good    map[string]exchanged // by outcome: answers that validated
}

// An exchanged request has its answer.
type exchanged struct {
	operation *openapi3.Operation
	request   *http.Request
	status    int
	header    http.Header
	body      []byte
}

func describeAPI(t *testing.T) *description {
	t.Helper()
	return readDescription(t, "../../mfahttp/openapi.yaml", "Factor", "EnrolledFactor", "Phone", "FactorList", "UserEnrollment", "Challenge", "NewChallenge", "Verification", "Error", "ErrorDetail")
}

// readDescription reads a document. Of the schemas with these names no member may be there that is
// not described.
func readDescription(t *testing.T, file string, closed ...string) *description {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	// Clients should take members that are added one day. Here they are a mistake.
	for _, name := range closed {
		if doc.Components.Schemas[name] == nil {
			t.Fatalf("there is no schema %s", name)
		}
		closeObjects(doc.Components.Schemas[name])
	}
	router, err := legacy.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	return &description{doc: doc, router: router, seen: map[string]bool{}, good: map[string]exchanged{}}
}

func closeObjects(ref *openapi3.SchemaRef) {
	if len(ref.Value.Properties) == 0 {
		return
	}
	ref.Value.AdditionalProperties = openapi3.BoolSchema{Has: new(false)}
	for _, property := range ref.Value.Properties {
		closeObjects(property)
	}
}

// outcomes are all that is documented: operation and status, and the code where it is an
// error.
func (d *description) outcomes() []string {
	operations := slices.Clone(d.outside)
	for _, path := range d.doc.Paths.Map() {
		operations = slices.AppendSeq(operations, maps.Values(path.Operations()))
	}
	var all []string
	for _, operation := range operations {
		for status, response := range operation.Responses.Map() {
			outcome := operation.OperationID + " " + status
			codes := codesOf(response.Value)
			for _, code := range codes {
				all = append(all, outcome+" "+code)
			}
			if len(codes) == 0 {
				all = append(all, outcome)
			}
		}
	}
	slices.Sort(all)
	return all
}

// codesOf are the codes that a response can have.
func codesOf(response *openapi3.Response) []string {
	var codes []string
	if media := response.Content.Get("application/json"); media != nil {
		for _, part := range media.Schema.Value.AllOf {
			if code := part.Value.Properties["code"]; code != nil {
				for _, value := range code.Value.Enum {
					codes = append(codes, value.(string))
				}
			}
		}
	}
	return codes
}

func unseen(documented []string, seen map[string]bool) []string {
	return slices.DeleteFunc(slices.Clone(documented), func(outcome string) bool { return seen[outcome] })
}

// validate holds an answer against what is documented of its operation.
func (d *description) validate(ctx context.Context, e exchanged) error {
	in := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{
			Request: e.request, Route: &routers.Route{Spec: d.doc, Method: e.request.Method, Operation: e.operation},
		},
		Status: e.status, Header: e.header, Options: &openapi3filter.Options{IncludeResponseStatus: true},
	}
	in.SetBodyBytes(e.body)
	if err := openapi3filter.ValidateResponse(ctx, in); err != nil {
		return err
	}
	response := e.operation.Responses.Status(e.status).Value
	if e.status < 400 && len(response.Content) == 0 && len(e.body) > 0 {
		return fmt.Errorf("status %d has no content, and there is a body", e.status)
	}
	return nil
}

// An api is a handler under the test's control.
type api struct {
	d     *description
	t     *testing.T
	clock *mfatest.Clock
	sms   *mfatest.Sender
	store *mfatest.FaultyStore
	cfg   mfa.Config
	svc   *mfa.Service // for what an application does beside
	http.Handler
}

func (d *description) serve(t *testing.T, change ...func(*mfa.Config)) *api {
	t.Helper()
	a := &api{d: d, t: t, clock: new(mfatest.Clock), sms: new(mfatest.Sender), store: &mfatest.FaultyStore{Store: new(mfa.MemoryStore)}}
	a.cfg = mfa.Config{Store: a.store, SMS: a.sms, Keys: mfatest.Keys(), Regions: []string{"US"}, Now: a.clock.Now, Logger: slog.New(slog.DiscardHandler)}
	return a.another(change...)
}

// another is the same API with another configuration, over the same store.
func (a *api) another(change ...func(*mfa.Config)) *api {
	a.t.Helper()
	other := *a
	for _, c := range change {
		c(&other.cfg)
	}
	svc, err := mfa.New(other.cfg)
	if err != nil {
		a.t.Fatal(err)
	}
	other.svc = svc
	if other.Handler, err = mfahttp.New(mfahttp.Config{Service: svc, APIKeys: []string{bearerKey}, Logger: other.cfg.Logger}); err != nil {
		a.t.Fatal(err)
	}
	return &other
}

// An object is an answer's JSON.
type object map[string]any

// get is the member at a path, such as "totp.secret".
func (o object) get(path string) string {
	var at any = map[string]any(o)
	for name := range strings.SplitSeq(path, ".") {
		m, _ := at.(map[string]any)
		at = m[name]
	}
	s, _ := at.(string)
	return s
}

// call sends a request, whose answer has to have the status and code and to be as
// documented. So has the request itself, where it succeeds.
func (a *api) call(method, path, body string, status int, code string, change ...func(*http.Request)) object {
	a.t.Helper()
	e := a.exchange(method, path, body, change...)
	o := a.d.held(a.t, e, body, status, code)
	if (o["errors"] != nil) != (status >= 400 && code == "invalid_request_parameters") {
		a.t.Errorf("%s %s: %d %s: errors are documented for one code, and for that always", method, path, e.status, e.body)
	}
	return o
}

// held holds an answer against what is wanted of it and what is documented, and remembers
// that it happened. sent is the body of the request.
func (d *description) held(t *testing.T, e exchanged, sent string, status int, code string) object {
	t.Helper()
	method, path := e.request.Method, e.request.URL.Path
	var o object
	if len(e.body) > 0 {
		if err := json.Unmarshal(e.body, &o); err != nil {
			t.Fatal(err)
		}
	}
	if e.status != status || status >= 400 && o["code"] != code {
		t.Fatalf("%s %s %.100s: %d %s, want %d %s", method, path, sent, e.status, e.body, status, code)
	}
	if err := d.validate(t.Context(), e); err != nil {
		t.Errorf("%s %s: %d %s: %v", method, path, e.status, e.body, err)
		return o
	}
	outcome := fmt.Sprintf("%s %d", e.operation.OperationID, status)
	if status >= 400 {
		outcome += " " + code
	}
	d.seen[outcome], d.good[outcome] = true, e
	if status < 400 && !slices.Contains(d.outside, e.operation) {
		if err := d.validateRequest(t.Context(), e.request, sent); err != nil {
			t.Errorf("%s %s %s was answered, and is not as documented: %v", method, path, sent, err)
		}
	}
	return o
}

func (a *api) exchange(method, path, body string, change ...func(*http.Request)) exchanged {
	a.t.Helper()
	req := httptest.NewRequestWithContext(a.t.Context(), method, apiServer+path, strings.NewReader(body))
	req.Header.Set("Authorization", "Bearer "+bearerKey)
	req.Header.Set("Content-Type", "application/json")
	for _, c := range change {
		c(req)
	}
	return a.d.exchange(a.Handler, req)
}

// exchange has a handler answer a request.
func (d *description) exchange(to http.Handler, req *http.Request) exchanged {
	rec := httptest.NewRecorder()
	to.ServeHTTP(rec, req)
	e := exchanged{request: req, status: rec.Code, header: http.Header{}, body: rec.Body.Bytes()}
	for name, values := range rec.Header() { // as a client sees them, whatever their case
		e.header[http.CanonicalHeaderKey(name)] = values
	}
	if route, _, err := d.router.FindRoute(req); err == nil {
		e.operation = route.Operation
	} else {
		e.operation = d.nowhere()
	}
	return e
}

func (d *description) validateRequest(ctx context.Context, req *http.Request, body string) error {
	req = req.Clone(ctx)
	req.Body, req.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
	route, parameters, err := d.router.FindRoute(req)
	if err != nil {
		return err
	}
	return openapi3filter.ValidateRequest(ctx, &openapi3filter.RequestValidationInput{
		Request: req, Route: route, PathParams: parameters,
		Options: &openapi3filter.Options{SkipSettingDefaults: true, AuthenticationFunc: func(_ context.Context, in *openapi3filter.AuthenticationInput) error {
			if in.SecurityScheme.Scheme != "bearer" || req.Header.Get("Authorization") == "" {
				return errors.New("no bearer token")
			}
			return nil
		}},
	})
}

// nowhere is what is documented of paths and methods that are not there.
func (d *description) nowhere() *openapi3.Operation {
	return d.operation("nowhere", map[int]string{404: "UnknownRoute", 405: "MethodNotAllowed"})
}

// operation is one that is documented by its responses alone.
func (d *description) operation(id string, responses map[int]string) *openapi3.Operation {
	operation := openapi3.NewOperation()
	operation.OperationID = id
	operation.Responses = openapi3.NewResponses()
	operation.Responses.Delete("default")
	for status, name := range responses {
		operation.Responses.Set(strconv.Itoa(status), d.doc.Components.Responses[name])
	}
	return operation
}

func with(name, value string) func(*http.Request) {
	return func(req *http.Request) { req.Header.Set(name, value) }
}

func withQuery(query string) func(*http.Request) {
	return func(req *http.Request) { req.URL.RawQuery = query }
}

// routes: the routes of the source are those of the document.
func (d *description) routes(t *testing.T) { d.sameRoutes(t, "../../mfahttp/handler.go") }

func (d *description) sameRoutes(t *testing.T, file string) {
	t.Helper()
	source, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var served, documented []string
	for _, m := range regexp.MustCompile(`\{"([A-Z]+)", "(/[^"]*)", \(\*[hH]andler\)`).FindAllSubmatch(source, -1) {
		served = append(served, string(m[1])+" "+string(m[2]))
	}
	for path, item := range d.doc.Paths.Map() {
		for method := range item.Operations() {
			documented = append(documented, method+" "+regexp.MustCompile(`\{[a-z_]+\}`).ReplaceAllString(path, "{}"))
		}
	}
	slices.Sort(served)
	slices.Sort(documented)
	if len(served) == 0 || !slices.Equal(served, documented) {
		t.Errorf("served %q, documented %q", served, documented)
	}
}

// commonRefusals are those of every operation.
func (d *description) commonRefusals(t *testing.T) {
	const factor, challenge = "/auth/factors/auth_factor_" + noULID, "/auth/challenges/auth_challenge_" + noULID
	for _, c := range []struct{ method, path, body string }{
		{"POST", "/auth/factors/enroll", `{"type":"sms","phone_number":"` + number + `","user_id":"user_1"}`},
		{"GET", factor, ``}, {"DELETE", factor, ``},
		{"POST", factor + "/challenge", `{}`}, {"POST", "/auth/factors/challenge", `{"authentication_factor_id":"auth_factor_` + noULID + `"}`},
		{"POST", challenge + "/verify", `{"code":"123456"}`}, {"POST", "/auth/factors/verify", `{"authentication_challenge_id":"auth_challenge_` + noULID + `","code":"123456"}`},
		{"POST", "/user_management/users/user_1/auth_factors", `{"type":"totp","totp_issuer":"Foo Corp"}`}, {"GET", "/user_management/users/user_1/auth_factors", ``},
	} {
		a := d.serve(t)
		a.call(c.method, c.path, c.body, 401, "unauthorized", with("Authorization", "Bearer sk_wrong"))
		a.call(c.method, c.path, `{`, 400, "invalid_json")
		a.call(c.method, c.path, `{"x":"`+strings.Repeat("x", 64<<10)+`"}`, 413, "payload_too_large")
		a.call(c.method, c.path, `{}`, 415, "unsupported_media_type", with("Content-Type", "text/plain"))
		a.call(c.method, c.path, c.body, 422, "invalid_request_parameters", withQuery("%zz"))
		a.store.Before = func(context.Context, mfatest.Call) error { return errors.New("connection lost") }
		a.call(c.method, c.path, c.body, 500, "internal_server_error")
	}
}

func (d *description) elsewhere(t *testing.T) {
	a := d.serve(t)
	for _, path := range []string{"/", "/auth/factors", "/auth/challenges/auth_challenge_" + noULID} {
		a.call("POST", path, `{}`, 404, "not_found")
	}
	a.call("PUT", "/auth/factors/auth_factor_"+noULID, `{}`, 405, "method_not_allowed")
	a.call("GET", "/auth/factors/auth_factor_"+noULID+"/challenge", ``, 405, "method_not_allowed")
}

// overtaken makes every Save lose its race.
func overtaken(_ context.Context, c mfatest.Call) error {
	if c.Method == "Save" {
		return mfa.ErrConflict
	}
	return nil
}

func withoutSender(c *mfa.Config) { c.SMS = nil }

// An authenticator is a factor and what the person has.
type authenticator struct{ id, secret string }

func (a *api) enrollTOTP() authenticator {
	a.t.Helper()
	o := a.call("POST", "/auth/factors/enroll", `{"type":"totp","totp_issuer":"Foo Corp","totp_user":"alan.turing@foo-corp.com"}`, 201, "")
	return authenticator{o.get("id"), o.get("totp.secret")}
}

func (a *api) enrollSMS() authenticator {
	a.t.Helper()
	o := a.call("POST", "/auth/factors/enroll", `{"type":"sms","phone_number":"`+number+`","totp_issuer":null,"totp_user":null}`, 201, "")
	return authenticator{id: o.get("id")}
}

func (a *api) enrollGeneric() authenticator {
	a.t.Helper()
	return authenticator{id: a.call("POST", "/auth/factors/enroll", `{"type":"generic_otp","name":"push"}`, 201, "").get("id")}
}

// enrollUser enrolls a confirmed app for a user.
func (a *api) enrollUser(userID string) authenticator {
	a.t.Helper()
	o := a.call("POST", "/user_management/users/"+userID+"/auth_factors", `{"type":"totp","totp_issuer":"Foo Corp","totp_secret":null}`, 201, "")
	f := authenticator{o.get("authentication_factor.id"), o.get("authentication_factor.totp.secret")}
	if v := a.call("POST", "/auth/challenges/"+o.get("authentication_challenge.id")+"/verify", `{"code":"`+a.right(f)+`"}`, 201, ""); v["valid"] != true {
		a.t.Fatalf("the right code: %v", v)
	}
	a.clock.Advance(time.Minute)
	return f
}

func (a *api) right(f authenticator) string { return mfatest.Code(f.secret, a.clock.Now()) }

// wrong is a code of an hour ago, or in the rare case that it is right, of two.
func (a *api) wrong(f authenticator) string {
	for ago := time.Hour; ; ago += time.Hour {
		code := mfatest.Code(f.secret, a.clock.Now().Add(-ago))
		near := []time.Duration{-30 * time.Second, 0, 30 * time.Second}
		if !slices.ContainsFunc(near, func(by time.Duration) bool { return code == mfatest.Code(f.secret, a.clock.Now().Add(by)) }) {
			return code
		}
	}
}

// full is a user with as many factors as there may be.
func (a *api) full(userID string) {
	a.t.Helper()
	for range 10 {
		a.enrollUser(userID)
	}
}

func (d *description) factors(t *testing.T) {
	const enroll = "/auth/factors/enroll"
	a := d.serve(t)
	app, mobile, generic := a.enrollTOTP(), a.enrollSMS(), a.enrollGeneric()
	for _, f := range []authenticator{app, mobile, generic} {
		a.call("GET", "/auth/factors/"+f.id, ``, 200, "")
		a.call("DELETE", "/auth/factors/"+f.id, ``, 204, "")
		a.call("GET", "/auth/factors/"+f.id, ``, 404, "entity_not_found")
		a.call("DELETE", "/auth/factors/"+f.id, ``, 404, "entity_not_found")
	}
	a.call("GET", "/auth/factors/x", ``, 404, "entity_not_found")
	a.call("POST", enroll, `{"type":"generic_otp","user_id":"user_1","replaces":"`+app.id+`"}`, 404, "entity_not_found")
	a.call("POST", enroll, `{"type":"webauthn"}`, 422, "invalid_request_parameters")
	a.call("POST", enroll, `{"type":7}`, 422, "invalid_request_parameters")
	a.call("POST", enroll, `{"type":"sms","phone_number":"foo"}`, 422, "invalid_phone_number")
	a.call("POST", enroll, `{"type":"sms","phone_number":"+447911123456"}`, 422, "phone_number_not_allowed")
	a.another(withoutSender).call("POST", enroll, `{"type":"sms","phone_number":"`+number+`"}`, 422, "sms_not_configured")
	a.full("user_1")
	a.call("POST", enroll, `{"type":"generic_otp","user_id":"user_1"}`, 422, "too_many_authentication_factors")
	app = a.enrollTOTP()
	a.store.Before = overtaken
	a.call("POST", enroll, `{"type":"generic_otp"}`, 400, "rate_limit_exceeded")
	a.call("DELETE", "/auth/factors/"+app.id, ``, 400, "rate_limit_exceeded")
}

func (d *description) users(t *testing.T) {
	const path = "/user_management/users/user_1/auth_factors"
	a := d.serve(t)
	a.call("GET", path, ``, 200, "")
	a.call("GET", path, ``, 422, "invalid_request_parameters", withQuery("userId=user_1"))
	a.call("GET", path, ``, 422, "invalid_request_parameters", withQuery("limit=101"))
	a.call("GET", path, ``, 422, "invalid_request_parameters", withQuery("types=totp"))
	a.call("POST", path, `{"type":"sms"}`, 422, "invalid_request_parameters")
	a.call("POST", path, `{"type":"totp","totp_issuer":"Foo Corp","replaces":"x"}`, 404, "entity_not_found")
	a.call("POST", path, `{"type":"totp","totp_issuer":"Foo Corp","totp_secret":"JBSWY3DPEHPK3PXP"}`, 422, "invalid_totp_secret")
	a.call("POST", path, `{"User":"user_1","type":"totp","totp_issuer":"Foo Corp","totp_user":"alan","totp_secret":"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ","name":"work"}`, 201, "")
	a.store.Before = overtaken
	a.call("POST", path, `{"type":"totp","totp_issuer":"Foo Corp"}`, 400, "rate_limit_exceeded")
	a.store.Before = nil
	a.full("user_1")
	a.call("POST", path, `{"type":"totp","totp_issuer":"Foo Corp"}`, 422, "too_many_authentication_factors")
	for _, query := range []string{"", "order=desc", "limit=10&order=desc", "limit=100&order=normal", "limit=1&order=asc"} {
		a.call("GET", path, ``, 200, "", withQuery(query))
	}
	a.call("POST", "/auth/factors/enroll", `{"type":"recovery_codes","user_id":"user_2"}`, 201, "")
	for query, want := range map[string]int{"": 0, "types=all": 1} {
		list := a.call("GET", "/user_management/users/user_2/auth_factors", ``, 200, "", withQuery(query))
		if data, _ := list["data"].([]any); len(data) != want {
			t.Errorf("%s: %v, want %d", query, list, want)
		}
	}
	last := a.call("GET", path, ``, 200, "", withQuery("limit=3"))
	a.call("GET", path, ``, 200, "", withQuery("limit=3&after="+last.get("list_metadata.after")))
	a.call("GET", path, ``, 200, "", withQuery("limit=3&before="+last.get("list_metadata.after")))
}

// paths are those of today or of before July 2022.
type paths struct {
	*description
	legacy bool
}

// challenger gives a function that challenges, by the path of today or of before.
func (a *api) challenger(legacy bool) func(f authenticator, members string, status int, code string, change ...func(*http.Request)) object {
	return func(f authenticator, members string, status int, code string, change ...func(*http.Request)) object {
		a.t.Helper()
		if !legacy {
			return a.call("POST", "/auth/factors/"+f.id+"/challenge", `{`+members+`}`, status, code, change...)
		}
		if members != "" {
			members = "," + members
		}
		return a.call("POST", "/auth/factors/challenge", `{"authentication_factor_id":"`+f.id+`"`+members+`}`, status, code, change...)
	}
}

// verifier does the same for verifying.
func (a *api) verifier(legacy bool) func(id, code string, status int, refusal string, change ...func(*http.Request)) object {
	return func(id, code string, status int, refusal string, change ...func(*http.Request)) object {
		a.t.Helper()
		if !legacy {
			return a.call("POST", "/auth/challenges/"+id+"/verify", `{"code":"`+code+`"}`, status, refusal, change...)
		}
		return a.call("POST", "/auth/factors/verify", `{"authentication_challenge_id":"`+id+`","code":"`+code+`"}`, status, refusal, change...)
	}
}

func (d paths) challenges(t *testing.T) {
	a := d.serve(t, func(c *mfa.Config) { c.Policy.MaxFailures = 1 })
	challenge := a.challenger(d.legacy)
	app, mobile, generic := a.enrollTOTP(), a.enrollSMS(), a.enrollGeneric()
	key := with("Idempotency-Key", "key")

	for _, members := range []string{``, `"sms_template":null`, `"sms_template":""`, `"x":1`, `"confirm":true`} {
		challenge(app, members, 201, "")
	}
	if code := challenge(generic, `"confirm":null`, 201, "").get("code"); len(code) != 6 {
		t.Error("there is no code to deliver")
	}
	challenge(mobile, `"sms_template":"Your FooCorp is {{code}}."`, 201, "", key)
	challenge(mobile, `"sms_template":"Your FooCorp is {{code}}."`, 201, "", key)
	challenge(mobile, ``, 400, "idempotency_key_reused", key)
	challenge(mobile, ``, 400, "rate_limit_exceeded")
	if !d.legacy {
		for _, body := range []string{"", "null", "[]"} {
			a.call("POST", "/auth/factors/"+app.id+"/challenge", body, 201, "")
		}
	}
	challenge(app, `"confirm":"yes"`, 422, "invalid_request_parameters")
	challenge(app, `"sms_template":"Hello."`, 422, "invalid_request_parameters")
	challenge(authenticator{id: "auth_factor_" + noULID}, ``, 404, "entity_not_found")
	challenge(authenticator{id: "x"}, ``, 404, "entity_not_found")

	a.clock.Advance(time.Hour)
	a.sms.Script = func(context.Context, int, mfa.Message) error { return errors.New("no network") }
	challenge(mobile, ``, 502, "message_not_sent")
	a.clock.Advance(time.Hour)
	a.another(func(c *mfa.Config) { c.Regions = []string{"DE"} }).challenger(d.legacy)(mobile, ``, 422, "phone_number_not_allowed")
	a.another(withoutSender).challenger(d.legacy)(mobile, ``, 422, "sms_not_configured")

	owned := a.enrollUser("user_1")
	other := a.call("POST", "/auth/factors/enroll", `{"type":"generic_otp","user_id":"user_1"}`, 201, "")
	paper := a.call("POST", "/auth/factors/enroll", `{"type":"recovery_codes","user_id":"user_1"}`, 201, "")
	a.call("GET", "/auth/factors/"+paper.get("id"), ``, 200, "")
	challenge(authenticator{id: other.get("id")}, `"confirm":false`, 422, "authentication_factor_unverified")
	challenge(authenticator{id: other.get("id")}, ``, 201, "") // within the hour
	a.clock.Advance(2 * time.Hour)
	challenge(authenticator{id: other.get("id")}, ``, 422, "authentication_factor_unverified")
	ch := challenge(owned, ``, 201, "")
	a.verifier(d.legacy)(ch.get("id"), a.wrong(owned), 201, "")
	challenge(owned, ``, 422, "authentication_factor_disabled")
	a.call("GET", "/auth/factors/"+owned.id, ``, 200, "")
}

func (d paths) verifications(t *testing.T) {
	a := d.serve(t, func(c *mfa.Config) { c.Policy.MaxFailures = 6 })
	verify := a.verifier(d.legacy)
	f, key := a.enrollUser("user_1"), with("Idempotency-Key", "key")
	challenge := func() string { t.Helper(); return a.challenger(false)(f, ``, 201, "").get("id") }

	id := challenge()
	if v := verify(id, "not a code", 201, ""); v["valid"] != false {
		t.Error(v)
	}
	if v := verify(id, a.wrong(f), 201, ""); v["valid"] != false {
		t.Error(v)
	}
	for range 2 {
		if v := verify(id, a.right(f), 201, "", key); v["valid"] != true {
			t.Error(v)
		}
	}
	verify(id, a.wrong(f), 400, "idempotency_key_reused", key)
	verify(id, a.right(f), 422, "authentication_challenge_previously_verified")
	verify("auth_challenge_"+noULID, "123456", 404, "entity_not_found")
	verify("x", "123456", 404, "entity_not_found")
	verify(id, "", 422, "invalid_request_parameters")

	id = challenge()
	a.clock.Advance(10 * time.Minute)
	verify(id, a.right(f), 422, "authentication_challenge_expired")

	// What the application began beside this API: an action, and enrolments without proof.
	ch, err := a.svc.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.id, UserID: "user_1", Action: proof.ActionOf("pay")})
	if err != nil {
		t.Fatal(err)
	}
	verify(ch.ID, a.right(f), 422, "authentication_challenge_action_mismatch")
	enr, err := a.svc.Enroll(t.Context(), mfa.EnrollParams{UserID: "user_2", GenericOTP: true})
	if err != nil {
		t.Fatal(err)
	}
	ch, err = a.svc.Challenge(t.Context(), mfa.ChallengeParams{FactorID: enr.Factor.ID, UserID: "user_2"})
	if err != nil {
		t.Fatal(err)
	}
	a.enrollUser("user_2") // which ends what was begun before
	verify(ch.ID, ch.Code(), 404, "entity_not_found")

	id = challenge()
	spare := challenge()
	for range 5 {
		verify(id, a.wrong(f), 201, "")
	}
	used := verify(id, a.right(f), 400, "one_time_code_too_many_attempts")
	if used["retry_after"] != nil {
		t.Error("waiting does not help, and it is asked for")
	}
	if wait := verify(spare, a.right(f), 400, "one_time_code_too_many_attempts"); wait["retry_after"] != 30.0 {
		t.Error(wait)
	}
	a.clock.Advance(time.Minute)
	verify(spare, a.wrong(f), 201, "")
	a.clock.Advance(5 * time.Minute)
	verify(spare, a.right(f), 422, "authentication_factor_disabled")
	a.call("GET", "/user_management/users/user_1/auth_factors", ``, 200, "")
}

// A spoiled answer is one that validated, and must not any more once it is changed.
type spoiled struct {
	outcome, name string
	change        func(*exchanged)
}

// rejects changes answers that validated, so that they must not any more: a validation
// that takes everything would pass all the rest.
func (d *description) rejects(t *testing.T) {
	without, is, status, header, body := spoilers(t)
	d.rejectsAll(t, []spoiled{
		{"verifyChallenge 201", "an undocumented status", status(200)},
		{"verifyChallenge 201", "another one", status(429)},
		{"deleteFactor 204", "another status without a body", status(202)},
		{"verifyChallenge 201", "no valid", without("valid")},
		{"verifyChallenge 201", "valid is a string", is("valid", "true")},
		{"verifyChallenge 201", "no challenge", without("challenge")},
		{"verifyChallenge 201", "the challenge's code", is("challenge.code", "123456")},
		{"verifyChallenge 201", "the challenge's options", is("challenge.options", map[string]any{})},
		{"challengeFactor 201", "no id", without("id")},
		{"challengeFactor 201", "the id of a factor", is("id", "auth_factor_"+noULID)},
		{"challengeFactor 201", "no expires_at", without("expires_at")},
		{"challengeFactor 201", "expires_at null", is("expires_at", json.RawMessage("null"))},
		{"challengeFactor 201", "a time without milliseconds", is("created_at", "2026-01-01T00:00:00Z")},
		{"challengeFactor 201", "factor_id beside", is("factor_id", "auth_factor_"+noULID)},
		{"getFactor 200", "no type", without("type")},
		{"getFactor 200", "another type", is("type", "webauthn")},
		{"getFactor 200", "another object", is("object", "factor")},
		{"getFactor 200", "a totp factor without totp", without("totp")},
		{"getFactor 200", "a totp factor with a number", is("sms", map[string]any{"phone_number": number})},
		{"getFactor 200", "a secret", is("totp.secret", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")},
		{"getFactor 200", "sms null", is("sms", json.RawMessage("null"))},
		{"getFactor 200", "details of an app", is("details", map[string]any{})},
		{"a passkey", "details are a list", is("details", []any{})},
		{"a passkey", "the type of an app", is("type", "totp")},
		{"a passkey", "a type in capital letters", is("type", "WebAuthn")},
		{"a passkey", "totp beside", is("totp", map[string]any{"issuer": "a", "user": "b"})},
		{"a passkey", "a number beside", is("sms", map[string]any{"phone_number": number})},
		{"enrollUserFactor 201", "no secret", without("authentication_factor.totp.secret")},
		{"enrollUserFactor 201", "no qr_code", without("authentication_factor.totp.qr_code")},
		{"enrollUserFactor 201", "a member named factor", is("factor", map[string]any{})},
		{"listUserFactors 200", "no list_metadata", without("list_metadata")},
		{"listUserFactors 200", "no after", without("list_metadata.after")},
		{"listUserFactors 200", "data null", is("data", json.RawMessage("null"))},
		{"getFactor 404 entity_not_found", "no code", without("code")},
		{"getFactor 404 entity_not_found", "no message", without("message")},
		{"getFactor 404 entity_not_found", "a code of another status", is("code", "not_found")},
		{"getFactor 404 entity_not_found", "a member named error", is("error", "Not Found")},
		{"getFactor 404 entity_not_found", "plain text", body("404 page not found\n")},
		{"getFactor 404 entity_not_found", "a list", body("[]")},
		{"getFactor 404 entity_not_found", "nothing", body("")},
		{"challengeFactor 400 rate_limit_exceeded", "no time to wait", is("retry_after", 0)},
		{"enrollFactor 422 invalid_request_parameters", "errors are strings", is("errors", []string{"type_is_wrong"})},
		{"enrollFactor 422 invalid_request_parameters", "errors without a code", is("errors", []any{map[string]any{"message": "x"}})},
		{"enrollFactor 422 invalid_request_parameters", "errors with a field", is("errors", []any{map[string]any{"code": "x_y", "message": "x", "field": "x"}})},
		{"enrollFactor 422 invalid_request_parameters", "no errors in the list", is("errors", []any{})},
		{"challengeFactor 400 rate_limit_exceeded", "half a second", is("retry_after", 0.5)},
		{"getFactor 200", "no X-Request-Id", header("X-Request-Id", "")},
		{"deleteFactor 204", "no X-Request-Id", header("X-Request-Id", "")},
		{"deleteFactor 204", "a body", body("{}")},
		{"getFactor 200", "an X-Request-Id that is no UUID", header("X-Request-Id", "1")},
		{"getFactor 200", "another Content-Type", header("Content-Type", "text/plain")},
		{"getFactor 401 unauthorized", "no WWW-Authenticate", header("WWW-Authenticate", "")},
		{"nowhere 405 method_not_allowed", "no Allow", header("Allow", "")},
	})

	a := d.serve(t)
	for name, c := range map[string]struct{ method, path, body, query string }{
		"no type":              {"POST", "/auth/factors/enroll", `{}`, ""},
		"another type":         {"POST", "/auth/factors/enroll", `{"type":"WebAuthn"}`, ""},
		"a number's type":      {"POST", "/auth/factors/enroll", `{"type":"sms","phone_number":15005550006}`, ""},
		"no code":              {"POST", "/auth/factors/verify", `{"authentication_challenge_id":"x"}`, ""},
		"an empty code":        {"POST", "/auth/challenges/x/verify", `{"code":""}`, ""},
		"no answer":            {"POST", "/auth/challenges/x/verify", `{"answer":null}`, ""},
		"a code and an answer": {"POST", "/auth/challenges/x/verify", `{"code":"123456","answer":{}}`, ""},
		"a list with a member": {"POST", "/auth/factors/x/challenge", `[1]`, ""},
		"confirm is a string":  {"POST", "/auth/factors/x/challenge", `{"confirm":"yes"}`, ""},
		"a list":               {"POST", "/auth/factors/challenge", `[]`, ""},
		"a page of 101":        {"GET", "/user_management/users/user_1/auth_factors", ``, "limit=101"},
		"a type":               {"GET", "/user_management/users/user_1/auth_factors", ``, "types=totp"},
	} {
		e := a.exchange(c.method, c.path, c.body, withQuery(c.query))
		if e.status < 400 || d.validateRequest(t.Context(), e.request, c.body) == nil {
			t.Errorf("%s: status %d, and the request is as documented", name, e.status)
		}
	}
}

// spoilers make changes for spoiled answers.
func spoilers(t *testing.T) (
	without func(path string) func(*exchanged), is func(path string, value any) func(*exchanged), status func(int) func(*exchanged),
	header func(name, value string) func(*exchanged), body func(text string) func(*exchanged),
) {
	t.Helper()
	without = func(path string) func(*exchanged) {
		return func(e *exchanged) { e.edit(t, path, nil) }
	}
	is = func(path string, value any) func(*exchanged) {
		return func(e *exchanged) { e.edit(t, path, value) }
	}
	status = func(status int) func(*exchanged) { return func(e *exchanged) { e.status = status } }
	header = func(name, value string) func(*exchanged) {
		return func(e *exchanged) {
			if e.header.Del(name); value != "" {
				e.header.Set(name, value)
			}
		}
	}
	body = func(text string) func(*exchanged) { return func(e *exchanged) { e.body = []byte(text) } }
	return without, is, status, header, body
}

// rejectsAll holds that each of these answers is none that is documented.
func (d *description) rejectsAll(t *testing.T, all []spoiled) {
	t.Helper()
	for _, c := range all {
		good, ok := d.good[c.outcome]
		if !ok {
			t.Errorf("%s never happened", c.outcome)
			continue
		}
		e := good
		e.header, e.body = good.header.Clone(), slices.Clone(good.body)
		if err := d.validate(t.Context(), e); err != nil {
			t.Errorf("%s, unchanged: %v", c.outcome, err)
		}
		c.change(&e)
		if bytes.Equal(e.body, good.body) && e.status == good.status && maps.EqualFunc(e.header, good.header, slices.Equal) {
			t.Errorf("%s, %s: nothing was changed", c.outcome, c.name)
		}
		if d.validate(t.Context(), e) == nil {
			t.Errorf("%s, %s: it is taken: %d %s", c.outcome, c.name, e.status, e.body)
		}
	}
}

// edit sets the member at a path, or takes it away.
func (e *exchanged) edit(t *testing.T, path string, value any) {
	t.Helper()
	var o map[string]any
	if err := json.Unmarshal(e.body, &o); err != nil {
		t.Fatal(err)
	}
	at, names := o, strings.Split(path, ".")
	for _, name := range names[:len(names)-1] {
		at, _ = at[name].(map[string]any)
	}
	last := names[len(names)-1]
	if at == nil {
		t.Errorf("there is no %s in %s", path, e.body)
		return
	}
	if at[last] = value; value == nil {
		delete(at, last)
	}
	var err error
	if e.body, err = json.Marshal(o); err != nil {
		t.Fatal(err)
	}
}
