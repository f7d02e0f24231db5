package mfahttp_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/mfahttp"
	"github.com/authfactor/mfa/mfatest"
)

const (
	apiKey = "sk_test_0123456789abcdef"
	phone  = "+15005550006"
	ulid   = "01KE3Z8M2Q4R5S6T7V8W9X0Y1Z" // of nothing that is stored
)

// A rig is the handler over a service with everything around it under the test's
// control. Its store counts calls, and may be told to fail; log is all that was logged.
type rig struct {
	t     testing.TB
	clock *mfatest.Clock
	sms   *mfatest.Sender
	store *mfatest.FaultyStore
	log   bytes.Buffer
	svc   *mfa.Service
	http.Handler
}

func newRig(tb testing.TB, change ...func(*mfa.Config, *mfahttp.Config)) *rig {
	tb.Helper()
	r := &rig{
		t:     tb,
		clock: new(mfatest.Clock),
		sms:   new(mfatest.Sender),
		store: &mfatest.FaultyStore{Store: new(mfa.MemoryStore)},
	}
	log := slog.New(slog.NewTextHandler(&r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	core := mfa.Config{
		Store:         r.store,
		SMS:           r.sms,
		Keys:          mfatest.Keys(),
		Regions:       []string{"US"},
		DefaultRegion: "US",
		Now:           r.clock.Now,
		Logger:        log,
	}
	cfg := mfahttp.Config{APIKeys: []string{apiKey}, Logger: log}
	for _, c := range change {
		c(&core, &cfg)
	}
	var err error
	if r.svc, err = mfa.New(core); err != nil {
		tb.Fatal(err)
	}
	cfg.Service = r.svc
	if r.Handler, err = mfahttp.New(cfg); err != nil {
		tb.Fatal(err)
	}
	return r
}

// An answer is what came back, and holds what every answer must.
type answer struct {
	status int
	header http.Header
	text   string
	json   map[string]any // nil for 204
}

// call sends a request with an API key and a body of JSON, unless it is changed.
func (r *rig) call(method, path, body string, change ...func(*http.Request)) answer {
	r.t.Helper()
	req := httptest.NewRequestWithContext(r.t.Context(), method, path, strings.NewReader(body))
	req.Header.Set("Authorization", "Bearer "+apiKey)
	req.Header.Set("Content-Type", "application/json")
	for _, c := range change {
		c(req)
	}
	return r.send(req)
}

func (r *rig) send(req *http.Request) answer {
	r.t.Helper()
	rec := httptest.NewRecorder()
	r.ServeHTTP(rec, req)
	return checked(r.t, rec.Result().StatusCode, received(rec.Result().Header), rec.Body.String())
}

// received are the headers as a client of net/http sees them, whatever their case.
func received(sent http.Header) http.Header {
	header := http.Header{}
	for name, values := range sent {
		header[http.CanonicalHeaderKey(name)] = append(header[http.CanonicalHeaderKey(name)], values...)
	}
	return header
}

func (r *rig) post(path, body string, change ...func(*http.Request)) answer {
	r.t.Helper()
	return r.call("POST", path, body, change...)
}

// with sets a header, or takes it away.
func with(name, value string) func(*http.Request) {
	return func(req *http.Request) {
		if req.Header.Del(name); value != "" {
			req.Header.Set(name, value)
		}
	}
}

var uuid = regexp.MustCompile(
	`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`,
)

var word = regexp.MustCompile(`^[a-z0-9]+(_[a-z0-9]+)+$`)

// checked holds an answer against what is true of every one.
func checked(tb testing.TB, status int, header http.Header, text string) answer {
	tb.Helper()
	a := answer{status: status, header: header, text: text}
	if id := header.Get("X-Request-Id"); !uuid.MatchString(id) {
		tb.Errorf("X-Request-Id %q", id)
	}
	if got := header.Get("Cache-Control"); got != "no-store" {
		tb.Errorf("Cache-Control %q", got)
	}
	if status == http.StatusNoContent {
		if text != "" || header.Get("Content-Type") != "" {
			tb.Errorf("204 with Content-Type %q and the body %q", header.Get("Content-Type"), text)
		}
		return a
	}
	if got := header.Get("Content-Type"); got != "application/json; charset=utf-8" {
		tb.Errorf("Content-Type %q", got)
	}
	if header.Get("X-Content-Type-Options") != "nosniff" {
		tb.Error("browsers may guess what it is")
	}
	if err := json.Unmarshal([]byte(text), &a.json); err != nil || a.json == nil {
		tb.Fatalf("status %d, no JSON object: %q, %v", status, text, err)
	}
	if status < 400 {
		return a
	}
	// The SDK for Node takes a body with "error" for one of OAuth, and loses the code.
	for member := range a.json {
		if !slices.Contains([]string{"code", "message", "errors", "entity_id", "retry_after"}, member) {
			tb.Errorf("the error has a member %q: %s", member, text)
		}
	}
	for _, member := range []string{"code", "message"} {
		if s, _ := a.json[member].(string); s == "" {
			tb.Errorf("the error has no %s: %s", member, text)
		}
	}
	// Those for Node and for Go of version 4 take errors for objects with a code.
	errors, _ := a.json["errors"].([]any)
	if (len(errors) == 1) != (a.get("code") == "invalid_request_parameters") {
		tb.Errorf("errors of %s", text)
	}
	if within := a.get(
		"errors.0.code",
	); a.json["errors"] != nil &&
		(!word.MatchString(within) || len(within) > len(a.get("message")) ||
			a.get("errors.0.message") != a.get("message")) {
		tb.Errorf(
			"the code within is %q, and the message %q: %s",
			within,
			a.get("errors.0.message"),
			text,
		)
	}
	if slices.Contains([]int{http.StatusTooManyRequests, http.StatusRequestTimeout}, status) {
		tb.Errorf("status %d makes an SDK send the same again", status)
	}
	return a
}

// get is the member at a path, such as "totp.secret" or "errors.0.code"; "" where there is
// none.
func (a answer) get(path string) string {
	var at any = a.json
	for name := range strings.SplitSeq(path, ".") {
		if list, _ := at.([]any); name == "0" && len(list) > 0 {
			at = list[0]
			continue
		}
		object, _ := at.(map[string]any)
		at = object[name]
	}
	s, _ := at.(string)
	return s
}

// members are the names in the answer in their order, with those within after a dot.
func (a answer) members() string {
	in := json.NewDecoder(strings.NewReader(a.text))
	return strings.Join(members(in, ""), " ")
}

func members(in *json.Decoder, prefix string) []string {
	token, _ := in.Token()
	if token != json.Delim('{') && token != json.Delim('[') {
		return nil
	}
	var names []string
	for in.More() {
		within := prefix + "[]"
		if token == json.Delim('{') {
			name, _ := in.Token()
			names = append(names, fmt.Sprintf("%s%s", prefix, name))
			within = fmt.Sprintf("%s%s.", prefix, name)
		}
		names = append(names, members(in, within)...)
	}
	_, _ = in.Token()
	return names
}

// must is an answer of a status.
func (a answer) must(tb testing.TB, status int) answer {
	tb.Helper()
	if a.status != status {
		tb.Fatalf("status %d, want %d: %s", a.status, status, a.text)
	}
	return a
}

// refuses reports whether an answer is an error with exactly these members. retry_after is
// in seconds; 0 and "" are members that are absent.
func (a answer) refuses(tb testing.TB, status int, code, message, entityID string, retryAfter int) {
	tb.Helper()
	want := map[string]any{"code": code, "message": message}
	if entityID != "" {
		want["entity_id"] = entityID
	}
	if retryAfter > 0 {
		want["retry_after"] = float64(retryAfter)
	}
	if code == "invalid_request_parameters" { // checked has looked at the code within
		want["errors"] = []any{map[string]any{"code": a.get("errors.0.code"), "message": message}}
	}
	if a.status != status || !reflect.DeepEqual(a.json, want) {
		tb.Errorf("%d %s\nwant %d %v", a.status, a.text, status, want)
	}
}

var masks = []struct {
	pattern *regexp.Regexp
	mask    string
}{
	{regexp.MustCompile(`auth_factor_[0-9A-HJKMNP-TV-Z]{26}`), "FACTOR"},
	{regexp.MustCompile(`auth_challenge_[0-9A-HJKMNP-TV-Z]{26}`), "CHALLENGE"},
	{regexp.MustCompile(`"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"`), `"TIME"`},
	{regexp.MustCompile(`"data:image/png;base64,[A-Za-z0-9+/]+=*"`), `"IMAGE"`},
	{regexp.MustCompile(`\b[A-Z2-7]{32}\b`), "SECRET"},
	{regexp.MustCompile(`"code":"\d{6}"`), `"code":"SIX DIGITS"`},
}

// masked is the text with what differs from one run to the next left out.
func (a answer) masked() string {
	text := a.text
	for _, m := range masks {
		text = m.pattern.ReplaceAllString(text, m.mask)
	}
	return strings.TrimSuffix(text, "\n")
}

// A factor, with what the person has.
type factor struct {
	id, secret, number string
}

const enrollTOTP = `{"type":"totp","totp_issuer":"Foo Corp","totp_user":"alan.turing@foo-corp.com"}`

func (r *rig) totp() factor {
	r.t.Helper()
	a := r.post("/auth/factors/enroll", enrollTOTP).must(r.t, 201)
	return factor{id: a.get("id"), secret: a.get("totp.secret")}
}

func (r *rig) phone() factor {
	r.t.Helper()
	a := r.post("/auth/factors/enroll", `{"type":"sms","phone_number":"`+phone+`"}`).must(r.t, 201)
	return factor{id: a.get("id"), number: a.get("sms.phone_number")}
}

func (r *rig) generic() factor {
	r.t.Helper()
	return factor{
		id: r.post("/auth/factors/enroll", `{"type":"generic_otp"}`).must(r.t, 201).get("id"),
	}
}

// userTOTP is a confirmed factor of a user, whose next codes are unused.
func (r *rig) userTOTP(userID, name string) factor {
	r.t.Helper()
	a := r.post(
		"/user_management/users/"+userID+"/auth_factors",
		`{"type":"totp","totp_issuer":"Foo Corp","name":"`+name+`"}`,
	).must(
		r.t,
		201,
	)
	f := factor{
		id:     a.get("authentication_factor.id"),
		secret: a.get("authentication_factor.totp.secret"),
	}
	if v := r.verify(a.get("authentication_challenge.id"), r.right(f)); !v.valid() {
		r.t.Fatalf("the right code: %s", v.text)
	}
	r.clock.Advance(time.Minute)
	return f
}

func (r *rig) challenge(f factor, change ...func(*http.Request)) answer {
	r.t.Helper()
	return r.post("/auth/factors/"+f.id+"/challenge", `{}`, change...)
}

func (r *rig) verify(challengeID, code string, change ...func(*http.Request)) answer {
	r.t.Helper()
	return r.post("/auth/challenges/"+challengeID+"/verify", `{"code":"`+code+`"}`, change...)
}

// valid reports whether a code was accepted.
func (a answer) valid() bool { return a.status == 201 && a.json["valid"] == true }

// right is the code that the person sees now.
func (r *rig) right(f factor) string {
	if f.number != "" {
		return r.sms.Code(f.number)
	}
	return mfatest.Code(f.secret, r.clock.Now())
}

// wrong is a code that is right neither now nor in the steps around.
func (r *rig) wrong(right ...string) string {
	for i := 0; ; i++ {
		if code := fmt.Sprintf("%06d", i); !slices.Contains(right, code) {
			return code
		}
	}
}

// around are the codes of an app that are right about now.
func (r *rig) around(f factor) []string {
	var codes []string
	for i := -2; i <= 2; i++ {
		codes = append(codes, mfatest.Code(f.secret, r.clock.Now().Add(time.Duration(i)*30*time.Second)))
	}
	return codes
}

// did is how much was stored and sent.
func (r *rig) did() [2]int { return [2]int{len(r.store.Calls("Save")), r.sms.Sends()} }

// exchange sends a request over a connection.
func exchange(tb testing.TB, req *http.Request) answer {
	tb.Helper()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return checked(tb, resp.StatusCode, resp.Header, string(text))
}
