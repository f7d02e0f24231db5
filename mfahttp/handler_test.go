package mfahttp_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/internal/testrig"
	"github.com/authfactor/mfa/mfahttp"
	"github.com/authfactor/mfa/mfatest"
)

// TestGuide is the guide's flow with its literal values: each answer's status, and
// its text with its members in the guide's order.
func TestGuide(t *testing.T) {
	r := newRig(t)
	is := func(a answer, status int, text string) {
		t.Helper()
		if got := a.masked(); a.status != status || got != text {
			t.Errorf("%d %s\nwant %d %s", a.status, got, status, text)
		}
	}
	const challenge = `{"object":"authentication_challenge","id":"CHALLENGE","created_at":"TIME",` +
		`"updated_at":"TIME","expires_at":"TIME","authentication_factor_id":"FACTOR"}`

	a := r.post("/auth/factors/enroll", enrollTOTP)
	is(
		a,
		201,
		`{"object":"authentication_factor","id":"FACTOR","created_at":"TIME","updated_at":"TIME",`+
			`"status":"unverified","type":"totp",`+
			`"totp":{"issuer":"Foo Corp","user":"alan.turing@foo-corp.com","secret":"SECRET",`+
			`"qr_code":"IMAGE","uri":"otpauth://totp/Foo%20Corp:alan.turing%40foo-corp.com`+
			`?secret=SECRET&issuer=Foo%20Corp"}}`,
	)
	app := factor{id: a.get("id"), secret: a.get("totp.secret")}
	if !strings.Contains(a.get("totp.uri"), "?secret="+app.secret+"&") {
		t.Error("the URI has another secret")
	}
	a = r.post("/auth/factors/enroll", `{"type":"sms","phone_number":"+15005550006"}`)
	is(
		a,
		201,
		`{"object":"authentication_factor","id":"FACTOR","created_at":"TIME","updated_at":"TIME",`+
			`"status":"unverified","type":"sms","sms":{"phone_number":"+15005550006"}}`,
	)
	mobile := factor{id: a.get("id"), number: phone}
	is(
		r.post("/auth/factors/enroll", `{"type":"sms","phone_number":"foo"}`),
		422,
		`{"code":"invalid_phone_number","message":"Phone number is invalid."}`,
	)

	appChallenge := r.challenge(app)
	is(appChallenge, 201, challenge)
	a = r.post("/auth/factors/"+mobile.id+"/challenge", `{"sms_template":"Your FooCorp is {{code}}."}`)
	is(a, 201, challenge)
	if a.get("created_at") != "2026-01-01T00:00:00.000Z" ||
		a.get("updated_at") != a.get("created_at") ||
		a.get("expires_at") != "2026-01-01T00:10:00.000Z" ||
		a.get("authentication_factor_id") != mobile.id {
		t.Error(a.text)
	}
	if m := r.sms.Messages(); len(m) != 1 || m[0].To != phone ||
		m[0].Body != "Your FooCorp is "+r.right(mobile)+"." {
		t.Errorf("%d messages", len(m))
	}

	is(
		r.verify(a.get("id"), r.wrong(r.right(mobile))),
		201,
		`{"challenge":`+challenge+`,"valid":false}`,
	)
	v := r.verify(a.get("id"), r.right(mobile))
	is(v, 201, `{"challenge":`+challenge+`,"valid":true}`)
	for _, member := range []string{
		"id", "created_at", "updated_at", "expires_at", "authentication_factor_id",
	} {
		if v.get("challenge."+member) != a.get(member) {
			t.Errorf("%s of the challenge changed: %s", member, v.text)
		}
	}
	id := a.get("id")
	r.verify(
		id,
		r.right(mobile),
	).refuses(
		t,
		422,
		"authentication_challenge_previously_verified",
		"The authentication challenge '"+id+"' has already been verified.",
		"",
		0,
	)

	r.clock.Advance(10*time.Minute - time.Millisecond)
	id = appChallenge.get("id")
	is(r.verify(id, r.wrong(r.around(app)...)), 201, `{"challenge":`+challenge+`,"valid":false}`)
	r.clock.Advance(time.Millisecond)
	r.verify(
		id,
		r.right(app),
	).refuses(
		t,
		422,
		"authentication_challenge_expired",
		"The authentication challenge '"+id+"' has expired.",
		"",
		0,
	)

	is(
		r.call("GET", "/auth/factors/"+mobile.id, ""),
		200,
		`{"object":"authentication_factor","id":"FACTOR","created_at":"TIME","updated_at":"TIME",`+
			`"status":"verified","type":"sms","sms":{"phone_number":"+15005550006"}}`,
	)
	is(
		r.call("GET", "/auth/factors/"+app.id, ""),
		200,
		`{"object":"authentication_factor","id":"FACTOR","created_at":"TIME","updated_at":"TIME",`+
			`"status":"unverified","type":"totp",`+
			`"totp":{"issuer":"Foo Corp","user":"alan.turing@foo-corp.com"}}`,
	)
	is(r.call("DELETE", "/auth/factors/"+mobile.id, ""), 204, "")
	for method, path := range map[string]string{"GET": "", "DELETE": "", "POST": "/challenge"} {
		r.call(
			method,
			"/auth/factors/"+mobile.id+path,
			"",
		).refuses(
			t,
			404,
			"entity_not_found",
			"Authentication Factor not found: '"+mobile.id+"'.",
			mobile.id,
			0,
		)
	}
	r.call("GET", "/auth/factors/"+app.id, "").must(t, 200)
	if r.log.Len() > 0 {
		t.Errorf("a flow without trouble logged %s", &r.log)
	}
}

// TestRoutes: every route answers, at the root and under a prefix.
func TestRoutes(t *testing.T) {
	for _, prefix := range []string{"", "/mfa", "/v1/mfa"} {
		r := newRig(t)
		if prefix != "" {
			mux := http.NewServeMux()
			mux.Handle(prefix+"/", http.StripPrefix(prefix, r.Handler))
			r.Handler = mux
		}
		call := func(status int, method, path, body string) answer {
			t.Helper()
			a := r.call(method, prefix+path, body)
			if a.status != status {
				t.Errorf("%s %s%s: %d %s, want %d", method, prefix, path, a.status, a.text, status)
			}
			return a
		}
		a := call(201, "POST", "/auth/factors/enroll", enrollTOTP)
		f := factor{id: a.get("id"), secret: a.get("totp.secret")}
		call(200, "GET", "/auth/factors/"+f.id, "")
		ch := call(201, "POST", "/auth/factors/"+f.id+"/challenge", "")
		legacy := call(201, "POST", "/auth/factors/challenge", `{"authentication_factor_id":"`+f.id+`"}`)
		if a := call(
			201,
			"POST",
			"/auth/challenges/"+ch.get("id")+"/verify",
			`{"code":"`+r.right(f)+`"}`,
		); !a.valid() {
			t.Error(a.text)
		}
		r.clock.Advance(time.Minute)
		if a := call(
			201,
			"POST",
			"/auth/factors/verify",
			`{"authentication_challenge_id":"`+legacy.get("id")+`","code":"`+r.right(f)+`"}`,
		); !a.valid() {
			t.Error(a.text)
		}
		call(204, "DELETE", "/auth/factors/"+f.id, "")
		call(
			201,
			"POST",
			"/user_management/users/user_1/auth_factors",
			`{"type":"totp","totp_issuer":"Foo Corp"}`,
		)
		call(200, "GET", "/user_management/users/user_1/auth_factors", "")
		call(404, "GET", "/auth/factors", "").refuses(t, 404, "not_found", "Not Found", "", 0)
		if prefix != "" {
			call(404, "GET", "/", "").refuses(t, 404, "not_found", "Not Found", "", 0)
		}
	}
}

// TestUnknownRoutes: what is not served is JSON as well.
func TestUnknownRoutes(t *testing.T) {
	r := newRig(t)
	f := r.totp()
	before := len(r.store.Calls())
	for _, path := range []string{
		"/", "//", "/auth", "/auth/", "/auth/factors", "/auth/factors/", "//auth/factors/enroll",
		"/auth//factors/enroll", "/auth/factors/enroll/",
		"/auth/factors//" + f.id, "/auth/factors/" + f.id + "/",
		"/auth/factors/" + f.id + "//challenge", "/auth/factors/" + f.id + "/challenge/",
		"/auth/factors//challenge", "/auth/challenges//verify", "/auth/challenges/" + f.id,
		"/AUTH/factors/enroll", "/auth/%66actors/enroll", "/auth%2Ffactors%2Fenroll",
		"/auth/./factors/enroll", "/mfa/auth/factors/enroll",
		"/user_management/users//auth_factors", "/user_management/users/user_1",
		"/user_management/users/a/b/auth_factors", "/" + strings.Repeat("a/", 1<<10),
		"/" + strings.Repeat("a", 1<<16),
	} {
		for _, method := range []string{"GET", "POST", "DELETE"} {
			r.call(method, path, enrollTOTP).refuses(t, 404, "not_found", "Not Found", "", 0)
		}
	}
	for _, c := range []struct{ path, allow string }{
		{"/auth/factors/enroll", "POST, GET, DELETE"}, // GET and DELETE ask for a factor of that name
		{"/auth/factors/challenge", "POST, GET, DELETE"},
		{"/auth/factors/verify", "POST, GET, DELETE"},
		{"/auth/factors/" + f.id, "GET, DELETE"},
		{"/auth/factors/" + f.id + "/challenge", "POST"},
		{"/auth/challenges/auth_challenge_" + ulid + "/verify", "POST"},
		{"/user_management/users/user_1/auth_factors", "POST, GET"},
	} {
		for _, method := range []string{
			"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "get", "X",
		} {
			if slices.Contains(strings.Split(c.allow, ", "), method) {
				continue
			}
			a := r.call(method, "/", enrollTOTP, func(req *http.Request) { req.URL.Path = c.path })
			a.refuses(t, 405, "method_not_allowed", "Method Not Allowed", "", 0)
			if got := a.header.Get("Allow"); got != c.allow {
				t.Errorf("%s %s: Allow %q, want %q", method, c.path, got, c.allow)
			}
		}
	}
	if n := len(r.store.Calls()); n != before {
		t.Errorf("%d calls of the store", n-before)
	}
}

// TestAPIKeys: each key opens, whatever the spelling of the scheme, and nothing else does.
func TestAPIKeys(t *testing.T) {
	const other = "a second key, ~!"
	r := newRig(t, func(_ *mfa.Config, c *mfahttp.Config) {
		c.APIKeys = []string{apiKey, strings.ReplaceAll(other, " ", "_")}
	})
	for _, header := range []string{
		"Bearer " + apiKey, "bearer " + apiKey, "BEARER  " + apiKey + " ", "Bearer a_second_key,_~!",
	} {
		r.call("GET", "/auth/factors/x", "", with("Authorization", header)).must(t, 404)
	}
	before := len(r.store.Calls())
	for _, header := range []string{
		"", "Bearer", "Bearer ", apiKey, "Basic " + apiKey, "Bearer: " + apiKey,
		"Bearer " + apiKey[:len(apiKey)-1], "Bearer " + apiKey + "0",
		"Bearer " + strings.ToUpper(apiKey),
		"Bearer " + apiKey + " " + apiKey, "Bearer " + apiKey + ",a_second_key,_~!",
		"Bearer " + strings.Repeat("x", 1<<16), "Bearer \xff", "Bearer\t" + apiKey,
	} {
		for _, path := range []string{"/auth/factors/enroll", "/nowhere"} {
			a := r.post(path, enrollTOTP, with("Authorization", header))
			a.refuses(t, 401, "unauthorized", "Unauthorized", "", 0)
			if a.header.Get("WWW-Authenticate") != "Bearer" {
				t.Errorf("%q: WWW-Authenticate %q", header, a.header.Get("WWW-Authenticate"))
			}
		}
	}
	if n := len(r.store.Calls()); n != before {
		t.Errorf("%d calls of the store", n-before)
	}
}

// TestConfig: what New refuses, and that it does not show a key.
func TestConfig(t *testing.T) {
	svc := newRig(t).svc
	weak := func(key int) string {
		return fmt.Sprintf("mfahttp: key %d of Config.APIKeys must be at least 16 printable ASCII "+
			"characters; `openssl rand -hex 24` makes one", key)
	}
	for _, c := range []struct {
		cfg  mfahttp.Config
		want string
	}{
		{mfahttp.Config{APIKeys: []string{apiKey}}, "mfahttp: Config.Service is required"},
		{mfahttp.Config{Service: svc}, "mfahttp: Config.APIKeys is required: whoever calls the API " +
			"has to know one; `openssl rand -hex 24` makes one"},
		{mfahttp.Config{Service: svc, APIKeys: []string{""}}, weak(1)},
		{mfahttp.Config{Service: svc, APIKeys: []string{apiKey, apiKey[:15]}}, weak(2)},
		{mfahttp.Config{Service: svc, APIKeys: []string{apiKey + "\n"}}, weak(1)},
		{mfahttp.Config{Service: svc, APIKeys: []string{"a key with spaces"}}, weak(1)},
		{mfahttp.Config{Service: svc, APIKeys: []string{apiKey + "ä"}}, weak(1)},
	} {
		if h, err := mfahttp.New(c.cfg); h != nil || err == nil || err.Error() != c.want {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
	if _, err := mfahttp.New(
		mfahttp.Config{Service: svc, APIKeys: []string{apiKey[:16]}},
	); err != nil {
		t.Error(err)
	}
}

// TestSecretsOnlyWhereMade: the secrets are in the answer of enroll, a code that is to be
// delivered is in the answer of challenge, and in no other.
func TestSecretsOnlyWhereMade(t *testing.T) {
	r := newRig(t)
	enrolled := r.post("/auth/factors/enroll", enrollTOTP)
	user := r.post(
		"/user_management/users/user_1/auth_factors",
		`{"type":"totp","totp_issuer":"Foo Corp","totp_secret":"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"}`,
	)
	app, generic, mobile := factor{
		id:     enrolled.get("id"),
		secret: enrolled.get("totp.secret"),
	}, r.generic(), r.phone()
	appChallenge := r.challenge(app)
	genericChallenge := r.challenge(generic)
	code := genericChallenge.get("code")
	if len(code) != 6 ||
		genericChallenge.members() !=
			"object id created_at updated_at expires_at authentication_factor_id code" {
		t.Fatal(genericChallenge.text)
	}
	mobileChallenge := r.challenge(mobile)
	others := map[string]answer{
		"challenge of an app":  appChallenge,
		"challenge of a phone": mobileChallenge,
		"get": r.call(
			"GET",
			"/auth/factors/"+app.id,
			"",
		),
		"get generic_otp": r.call("GET", "/auth/factors/"+generic.id, ""),
		"wrong": r.verify(
			genericChallenge.get("id"),
			r.wrong(code),
		),
		"right": r.verify(genericChallenge.get("id"), code),
		"again": r.verify(genericChallenge.get("id"), code),
		"verify of an app": r.verify(
			appChallenge.get("id"),
			r.right(app),
		),
		"verify of a phone": r.verify(mobileChallenge.get("id"), r.right(mobile)),
		"verify of a user's": r.verify(
			user.get("authentication_challenge.id"),
			r.right(factor{secret: user.get("authentication_factor.totp.secret")}),
		),
		"list": r.call(
			"GET",
			"/user_management/users/user_1/auth_factors",
			"",
		),
		"confirmed": r.call("GET", "/auth/factors/"+app.id, ""),
	}
	for name, a := range others {
		for _, secret := range []string{app.secret, user.get("authentication_factor.totp.secret"),
			"otpauth:", "data:image", `"secret"`, `"qr_code"`, `"uri"`, code, r.right(mobile)} {
			if strings.Contains(a.text, secret) {
				t.Errorf("%s shows a secret: %s", name, a.text)
			}
		}
		if a.status < 400 && strings.Contains(a.text, `"code"`) {
			t.Errorf("%s has a code: %s", name, a.text)
		}
	}
	if !others["right"].valid() || others["wrong"].json["valid"] != false ||
		!others["verify of a user's"].valid() {
		t.Error("the codes were not taken")
	}
}

// TestWaits: who has to wait is told how long, with a status that no SDK tries again
// by itself, and a right code within the wait is not compared.
func TestWaits(t *testing.T) {
	r := newRig(t)
	app, mobile := r.totp(), r.phone()

	mobileChallenge := r.challenge(mobile).must(t, 201)
	r.clock.Advance(500 * time.Millisecond)
	before := r.did()
	r.challenge(
		mobile,
	).refuses(
		t,
		400,
		"rate_limit_exceeded",
		"Too many requests. Wait for 1m0s.",
		"",
		60,
	)
	if r.did() != before {
		t.Error("a refused challenge did something")
	}
	if v := r.verify(mobileChallenge.get("id"), r.right(mobile)); !v.valid() {
		t.Error(v.text)
	}

	ch, spare := r.challenge(app), r.challenge(app)
	for range 5 {
		if v := r.verify(
			ch.get("id"),
			r.wrong(r.around(app)...),
		); v.status != 201 || v.json["valid"] != false ||
			v.members() != "challenge challenge.object challenge.id "+
				"challenge.created_at challenge.updated_at challenge.expires_at "+
				"challenge.authentication_factor_id valid" {
			t.Error(v.text)
		}
	}
	r.clock.Advance(time.Millisecond)
	id := ch.get("id")
	r.verify(
		id,
		r.right(app),
	).refuses(
		t,
		400,
		"one_time_code_too_many_attempts",
		"The authentication challenge '"+id+"' takes no more codes.",
		"",
		0,
	)
	before = r.did()
	r.verify(
		spare.get("id"),
		r.right(app),
	).refuses(
		t,
		400,
		"one_time_code_too_many_attempts",
		"Too many requests. Wait for 30s.",
		"",
		30,
	)
	r.challenge(app).refuses(t, 400, "rate_limit_exceeded", "Too many requests. Wait for 30s.", "", 30)
	if r.did() != before {
		t.Error("a try during a wait was written")
	}
	r.clock.Advance(30 * time.Second)
	if v := r.verify(spare.get("id"), r.right(app)); !v.valid() {
		t.Error(v.text)
	}
}

// TestDisabled: a factor that took too many wrong codes says so, and is still listed.
func TestDisabled(t *testing.T) {
	r := newRig(t, func(c *mfa.Config, _ *mfahttp.Config) { c.Policy.MaxFailures = 4 })
	f := r.userTOTP("user_1", "app")
	ch, spare := r.challenge(f).must(t, 201), r.challenge(f).must(t, 201)
	for range 4 {
		r.verify(ch.get("id"), r.wrong(r.around(f)...)).must(t, 201)
	}
	message := "The authentication factor '" + f.id + "' is disabled after too many wrong codes."
	r.verify(
		spare.get("id"),
		r.right(f),
	).refuses(
		t,
		422,
		"authentication_factor_disabled",
		message,
		"",
		0,
	)
	r.challenge(f).refuses(t, 422, "authentication_factor_disabled", message, "", 0)
	if list := r.call(
		"GET",
		"/user_management/users/user_1/auth_factors",
		"",
	); !strings.Contains(
		list.text,
		`"status":"disabled"`,
	) {
		t.Errorf("a disabled factor is not listed, so an application would ask for none: %s", list.text)
	}
}

// TestConfirm: whoever only knows the password cannot log in with a factor that was
// enrolled more than an hour ago and never confirmed.
func TestConfirm(t *testing.T) {
	r := newRig(t)
	r.userTOTP("user_1", "app")
	enrolled := r.post(
		"/auth/factors/enroll",
		`{"type":"generic_otp","user_id":"user_1","name":"push"}`,
	).must(
		t,
		201,
	)
	if enrolled.masked() != `{"object":"authentication_factor","id":"FACTOR",`+
		`"created_at":"TIME","updated_at":"TIME",`+
		`"user_id":"user_1","name":"push","status":"unverified","type":"generic_otp"}` {
		t.Error(enrolled.text)
	}
	id := enrolled.get("id")
	path := "/auth/factors/" + id + "/challenge"
	r.clock.Advance(time.Hour + time.Millisecond)
	for _, body := range []string{`{}`, `{"confirm":false}`, `{"confirm":null}`} {
		r.post(
			path,
			body,
		).refuses(
			t,
			422,
			"authentication_factor_unverified",
			"The authentication factor '"+id+"' has not been confirmed yet."+confirmHint,
			"",
			0,
		)
	}
	ch := r.post(path, `{"confirm":true}`).must(t, 201)
	if v := r.verify(ch.get("id"), ch.get("code")); !v.valid() {
		t.Error(v.text)
	}
	r.post(path, `{}`).must(t, 201)
}

// TestRecoveryCodes: they are shown once, and used up one by one.
func TestRecoveryCodes(t *testing.T) {
	r := newRig(t)
	r.post(
		"/auth/factors/enroll",
		`{"type":"recovery_codes"}`,
	).refuses(
		t,
		422,
		"invalid_request_parameters",
		"Recovery codes must have a user.",
		"",
		0,
	)
	enrolled := r.post(
		"/auth/factors/enroll",
		`{"type":"recovery_codes","user_id":"user_1"}`,
	).must(
		t,
		201,
	)
	codes, _ := enrolled.json["recovery_codes"].([]any)
	if len(codes) != 10 || enrolled.json["recovery_codes_left"] != 10.0 ||
		enrolled.get("status") != "verified" {
		t.Fatal(enrolled.text)
	}
	id, code := enrolled.get("id"), codes[3].(string)
	for i, valid := range []bool{true, false} {
		ch := r.post("/auth/factors/"+id+"/challenge", `{}`).must(t, 201)
		v := r.verify(ch.get("id"), strings.ToLower(code))
		if v.must(t, 201); v.valid() != valid {
			t.Errorf("time %d: %s", i+1, v.text)
		}
	}
	got := r.call("GET", "/auth/factors/"+id, "").must(t, 200)
	if got.json["recovery_codes_left"] != 9.0 || strings.Contains(got.text, `"recovery_codes"`+":") ||
		strings.Contains(got.text, codes[0].(string)) {
		t.Error(got.text)
	}
}

// TestReplaces: a new app takes the place of the old one once it is confirmed.
func TestReplaces(t *testing.T) {
	r := newRig(t)
	old := r.userTOTP("user_1", "old phone")
	const path = "/user_management/users/user_1/auth_factors"
	body := `{"type":"totp","totp_issuer":"Foo Corp","replaces":"` + old.id + `"}`
	r.post(
		"/user_management/users/user_2/auth_factors",
		body,
	).refuses(
		t,
		404,
		"entity_not_found",
		"Authentication Factor not found: '"+old.id+"'.",
		old.id,
		0,
	)
	enrolled := r.post(path, body).must(t, 201)
	next := factor{
		id:     enrolled.get("authentication_factor.id"),
		secret: enrolled.get("authentication_factor.totp.secret"),
	}
	r.call("GET", "/auth/factors/"+old.id, "").must(t, 200)
	if v := r.verify(enrolled.get("authentication_challenge.id"), r.right(next)); !v.valid() {
		t.Fatal(v.text)
	}
	r.call("GET", "/auth/factors/"+old.id, "").must(t, 404)
	if list := r.call(
		"GET",
		path,
		"",
	); strings.Count(list.text, `"id"`) != 1 ||
		!strings.Contains(list.text, next.id) {
		t.Error(list.text)
	}
}

// TestUserEnrollment: enrolling for a user gives the factor and a challenge of it.
func TestUserEnrollment(t *testing.T) {
	r := newRig(t, func(_ *mfa.Config, c *mfahttp.Config) { c.Issuer = "Bar Corp" })
	const path = "/user_management/users/user_1/auth_factors"
	a := r.post(path, `{"type":"totp"}`).must(t, 201)
	if got, want := a.masked(), `{"authentication_factor":{"object":"authentication_factor",`+
		`"id":"FACTOR","created_at":"TIME","updated_at":"TIME","user_id":"user_1",`+
		`"status":"unverified","type":"totp",`+
		`"totp":{"issuer":"Bar Corp","user":"user_1","secret":"SECRET","qr_code":"IMAGE",`+
		`"uri":"otpauth://totp/Bar%20Corp:user_1?secret=SECRET&issuer=Bar%20Corp"}},`+
		`"authentication_challenge":{"object":"authentication_challenge","id":"CHALLENGE",`+
		`"created_at":"TIME","updated_at":"TIME","expires_at":"TIME",`+
		`"authentication_factor_id":"FACTOR"}}`; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	if a.get(
		"authentication_challenge.authentication_factor_id",
	) != a.get(
		"authentication_factor.id",
	) {
		t.Error("the challenge is of another factor")
	}

	const secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
	a = r.post(
		path,
		`{"type":"totp","totp_issuer":"Foo Corp","totp_user":"alan",`+
			`"totp_secret":"`+secret+`","name":"work"}`,
	).must(
		t,
		201,
	)
	for member, want := range map[string]string{
		"name": "work", "totp.issuer": "Foo Corp", "totp.user": "alan", "totp.secret": secret,
	} {
		if got := a.get("authentication_factor." + member); got != want {
			t.Errorf("%s %q, want %q", member, got, want)
		}
	}
	if v := r.verify(
		a.get("authentication_challenge.id"),
		r.right(factor{secret: secret}),
	); !v.valid() {
		t.Error(v.text)
	}

	before := r.did()
	r.post(
		path,
		`{"type":"totp","totp_secret":"JBSWY3DPEHPK3PXP"}`,
	).refuses(
		t,
		422,
		"invalid_totp_secret",
		"The TOTP secret has 10 bytes; RFC 4226 section 4 demands at least 16, "+
			"because a shorter one can be guessed from codes.",
		"",
		0,
	)
	for _, body := range []string{
		``, `{}`, `{"type":"sms","phone_number":"` + phone + `"}`,
		`{"type":"generic_otp"}`, `{"type":""}`, `{"type":null}`,
	} {
		r.post(path, body).refuses(t, 422, "invalid_request_parameters", "type must be totp.", "", 0)
	}
	// Whoever may be anybody is nobody.
	for _, id := range []string{"%00any%20user", "a%00", "%ff", "a%0d%0aX:%20y"} {
		for _, method := range []string{"GET", "POST"} {
			if a := r.call(
				method,
				"/user_management/users/"+id+"/auth_factors",
				`{"type":"totp","totp_user":"alan"}`,
			).must(
				t,
				422,
			); a.get(
				"code",
			) != "invalid_request_parameters" {
				t.Error(a.text)
			}
		}
	}
	if r.did() != before {
		t.Error("a refused enrolment was stored")
	}
	r.post(
		"/auth/factors/enroll",
		`{"type":"generic_otp","user_id":"\u0000any user"}`,
	).refuses(
		t,
		422,
		"invalid_request_parameters",
		"AnyUser cannot own a factor.",
		"",
		0,
	)

	// An id is what stands between two slashes, and is decoded once.
	for _, c := range []struct{ path, id string }{
		{"a%2Fb", "a/b"}, {"a%252Fb", "a%2Fb"}, {"..", ".."}, {"%2E%2E", ".."},
		{"a+b", "a+b"}, {"%E6%97%A5", "日"}, {"enroll", "enroll"},
	} {
		a := r.post(
			"/user_management/users/"+c.path+"/auth_factors",
			`{"type":"totp","totp_user":"alan"}`,
		).must(
			t,
			201,
		)
		if got := a.get("authentication_factor.user_id"); got != c.id {
			t.Errorf("%s is the user %q, want %q", c.path, got, c.id)
		}
	}
	for i := range 9 {
		r.clock.Advance(time.Minute)
		r.userTOTP("user_1", fmt.Sprint(i))
	}
	r.post(
		path,
		`{"type":"totp"}`,
	).refuses(
		t,
		422,
		"too_many_authentication_factors",
		"The user has 10 authentication factors already.",
		"",
		0,
	)
}

// TestUserFactors: the list is of confirmed factors without secrets, newest first.
func TestUserFactors(t *testing.T) {
	r := newRig(t)
	const path = "/user_management/users/user_1/auth_factors"
	if a := r.call(
		"GET",
		path,
		"",
	); a.status != 200 ||
		a.text != `{"object":"list","data":[],"list_metadata":{"before":null,"after":null}}`+"\n" {
		t.Errorf("%d %s", a.status, a.text)
	}
	a := r.post(
		"/auth/factors/enroll",
		`{"type":"sms","phone_number":"`+phone+`","user_id":"user_1"}`,
	).must(
		t,
		201,
	)
	mobile := factor{id: a.get("id"), number: phone}
	if v := r.verify(r.challenge(mobile).get("id"), r.right(mobile)); !v.valid() {
		t.Fatal(v.text)
	}
	r.clock.Advance(time.Minute)
	r.userTOTP("user_1", "app")
	r.userTOTP("user_2", "somebody else's")
	r.post(path, `{"type":"totp","totp_issuer":"Foo Corp"}`).must(t, 201) // and it is never confirmed
	if got, want := r.call("GET", path, "").must(t, 200).masked(), `{"object":"list","data":[`+
		`{"object":"authentication_factor","id":"FACTOR","created_at":"TIME","updated_at":"TIME",`+
		`"user_id":"user_1","name":"app","status":"verified","type":"totp",`+
		`"totp":{"issuer":"Foo Corp","user":"user_1"}},`+
		`{"object":"authentication_factor","id":"FACTOR","created_at":"TIME","updated_at":"TIME",`+
		`"user_id":"user_1","status":"verified","type":"sms","sms":{"phone_number":"+15005550006"}}`+
		`],"list_metadata":{"before":null,"after":null}}`; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	for _, query := range []string{
		"userId=user_1", "user_id=user_1", "limit=0", "limit=101", "limit=-1", "limit=", "limit",
		"limit=x", "limit=1e1", "limit=99999999999999999999", "order=", "order=DESC", "order=random",
		"=", "a=1&limit=5", "x%00=1",
	} {
		a := r.call("GET", path+"?"+query, "").must(t, 422)
		if a.get("code") != "invalid_request_parameters" {
			t.Errorf("%s: %s", query, a.text)
		}
	}
	for _, query := range []string{"limit=%", "%zz=1", "a;b"} {
		r.call(
			"GET",
			path,
			"",
			func(req *http.Request) { req.URL.RawQuery = query },
		).refuses(
			t,
			422,
			"invalid_request_parameters",
			"The query is malformed.",
			"",
			0,
		)
	}
}

// page is what is listed with a query: the names, and the cursors.
func (r *rig) page(query string) (names []string, before, after string) {
	r.t.Helper()
	a := r.call("GET", "/user_management/users/user_1/auth_factors?"+query, "").must(r.t, 200)
	for _, f := range a.json["data"].([]any) {
		names = append(names, f.(map[string]any)["name"].(string))
	}
	return names, a.get("list_metadata.before"), a.get("list_metadata.after")
}

// TestPaging: walking through the pages, either way, gives every factor once.
func TestPaging(t *testing.T) {
	r := newRig(t)
	ids := map[string]string{}
	ascending := []string{"a", "b", "c", "d", "e", "f", "g"}
	for _, name := range ascending {
		ids[name] = r.userTOTP("user_1", name).id
	}
	descending := slices.Clone(ascending)
	slices.Reverse(descending)
	for order, want := range map[string][]string{
		"desc": descending, "asc": ascending, "normal": ascending,
	} {
		for limit := 1; limit <= len(want)+1; limit++ {
			query := fmt.Sprintf("order=%s&limit=%d", order, limit)
			var walked []string
			names, before, after := r.page(query)
			if before != "" {
				t.Errorf("%s: something is before the first page: %q", query, before)
			}
			for walked = names; after != ""; walked = append(walked, names...) {
				if names, before, after = r.page(
					query + "&after=" + after,
				); before == "" || len(names) == 0 ||
					len(names) > limit {
					t.Fatalf("%s: page %q after %q", query, names, walked)
				}
			}
			if !slices.Equal(walked, want) {
				t.Errorf("%s: forwards %q, want %q", query, walked, want)
			}
			// And back from the last one.
			last := want[len(want)-1]
			walked, before = []string{last}, ids[last]
			for before != "" {
				if names, before, after = r.page(
					query + "&before=" + before,
				); after == "" || len(names) == 0 ||
					len(names) > limit {
					t.Fatalf("%s: page %q before %q", query, names, walked)
				}
				walked = slices.Concat(names, walked)
			}
			if !slices.Equal(walked, want) {
				t.Errorf("%s: backwards %q, want %q", query, walked, want)
			}
		}
	}
	for _, c := range []struct {
		query string
		want  []string
	}{
		{"", descending}, // the order and limit that are not given
		{"before=&after=", descending},
		{"limit=2", descending[:2]},
		{"order=asc&after=" + ids["b"] + "&before=" + ids["f"], ascending[2:5]},
		{"order=asc&after=" + ids["b"] + "&before=" + ids["f"] + "&limit=2", ascending[2:4]},
		{"order=desc&after=" + ids["f"] + "&before=" + ids["b"] + "&limit=2", descending[2:4]},
		{"order=asc&after=" + ids["f"] + "&before=" + ids["b"], nil},
		{"after=" + ids["a"], nil},
		{"before=" + ids["g"], nil},
		// A cursor need not be there.
		{"order=asc&after=auth_factor_00000000000000000000000000", ascending},
		{"order=asc&before=auth_factor_7ZZZZZZZZZZZZZZZZZZZZZZZZZ", ascending},
		{"order=asc&limit=2&before=auth_factor_7ZZZZZZZZZZZZZZZZZZZZZZZZZ", ascending[5:]},
	} {
		if names, _, _ := r.page(c.query); !slices.Equal(names, c.want) {
			t.Errorf("%s: %q, want %q", c.query, names, c.want)
		}
	}
	r.call("DELETE", "/auth/factors/"+ids["d"], "").must(t, 204)
	if names, _, _ := r.page("order=asc&after=" + ids["d"]); !slices.Equal(names, ascending[4:]) {
		t.Errorf("after one that is gone: %q", names)
	}
}

// TestOrderOfOneMillisecond: factors of one moment stand in one order, the same for the
// list and for cursors.
func TestOrderOfOneMillisecond(t *testing.T) {
	r := newRig(t)
	var want []string
	for range 5 {
		a := r.post("/auth/factors/enroll", `{"type":"generic_otp","user_id":"user_1"}`).must(t, 201)
		ch := r.post("/auth/factors/"+a.get("id")+"/challenge", `{"confirm":true}`).must(t, 201)
		if v := r.verify(ch.get("id"), ch.get("code")); !v.valid() {
			t.Fatal(v.text)
		}
		want = append(want, a.get("id"))
	}
	slices.Sort(want)
	slices.Reverse(want)
	var walked []string
	for after, more := "", true; more; more = after != "" {
		a := r.call(
			"GET",
			"/user_management/users/user_1/auth_factors?limit=2&after="+after,
			"",
		).must(
			t,
			200,
		)
		for _, f := range a.json["data"].([]any) {
			walked = append(walked, f.(map[string]any)["id"].(string))
		}
		after = a.get("list_metadata.after")
	}
	if !slices.Equal(walked, want) {
		t.Errorf("%q\nwant %q", walked, want)
	}
}

// TestChallengeAgain: a challenge that is sent again under its key is answered the same,
// and no second message is sent.
func TestChallengeAgain(t *testing.T) {
	r := newRig(t)
	f, key := r.phone(), with("Idempotency-Key", "retry-2f0c6a52-3f4e-4e3b-9a55-2c5d9e0e7f11")
	path := "/auth/factors/" + f.id + "/challenge"
	const body = `{"sms_template":"Your FooCorp is {{code}}."}`
	first := r.post(path, body, key).must(t, 201)
	before := r.did()
	for _, again := range []answer{
		r.post(path, body, key),
		r.post(path, ` { "sms_template" : "Your FooCorp is {{code}}.", "x": 1 } `, key),
		r.post("/auth/factors/challenge", `{"authentication_factor_id":"`+f.id+`",`+
			`"sms_template":"Your FooCorp is {{code}}."}`, key),
	} {
		if again.status != 201 || again.text != first.text {
			t.Errorf("%d %s, want %s", again.status, again.text, first.text)
		}
	}
	for _, body := range []string{
		`{}`, `{"sms_template":"It is {{code}}."}`,
		`{"sms_template":"Your FooCorp is {{code}}.","confirm":true}`,
	} {
		r.post(
			path,
			body,
			key,
		).refuses(
			t,
			400,
			"idempotency_key_reused",
			"The idempotency key was used with different request parameters.",
			"",
			0,
		)
	}
	if r.did() != before || r.sms.Sends() != 1 {
		t.Error("a call that was made again did something")
	}
	r.post(path, body, with("Idempotency-Key", "another")).must(t, 400)
	r.post(
		path,
		body,
		with("Idempotency-Key", strings.Repeat("k", 256)),
	).refuses(
		t,
		422,
		"invalid_request_parameters",
		"The idempotency key must have at most 255 bytes.",
		"",
		0,
	)

	generic := r.generic()
	path = "/auth/factors/" + generic.id + "/challenge"
	first = r.post(path, "", key).must(t, 201)
	for _, nothing := range []string{
		"", "{}", "null", "[]", `{"sms_template":null}`, `{"sms_template":""}`,
	} {
		if again := r.post(path, nothing, key); again.text != first.text || again.get("code") == "" {
			t.Errorf("%q: %d %s, want %s", nothing, again.status, again.text, first.text)
		}
	}
	// Enrolling has no keys.
	one, two := r.post(
		"/auth/factors/enroll",
		enrollTOTP,
		key,
	), r.post(
		"/auth/factors/enroll",
		enrollTOTP,
		key,
	)
	if one.status != 201 || two.status != 201 || one.get("id") == two.get("id") {
		t.Errorf("%d, %d", one.status, two.status)
	}
}

// TestKeyIsFreeAgain: a message that could not be sent does not use up the key.
func TestKeyIsFreeAgain(t *testing.T) {
	r := newRig(t)
	f, key := r.phone(), with("Idempotency-Key", "key")
	r.sms.Script = func(context.Context, int, mfa.Message) error { return errors.New("no network") }
	r.challenge(f, key).refuses(t, 502, "message_not_sent", "The message could not be sent.", "", 0)
	r.sms.Script = nil
	r.challenge(
		f,
		key,
	).refuses(
		t,
		400,
		"rate_limit_exceeded",
		"Too many requests. Wait for 1m0s.",
		"",
		60,
	) // the message counts all the same
	r.clock.Advance(time.Minute)
	first := r.challenge(f, key).must(t, 201)
	if again := r.challenge(f, key); again.text != first.text || r.sms.Sends() != 2 {
		t.Errorf("%d messages; %s, want %s", r.sms.Sends(), again.text, first.text)
	}
	if v := r.verify(first.get("id"), r.right(f)); !v.valid() {
		t.Error(v.text)
	}
}

// TestHangUp: a client that does not wait for the sender does not void the challenge,
// and is told it when it asks again with its key.
func TestHangUp(t *testing.T) {
	r := newRig(t)
	f, key := r.phone(), with("Idempotency-Key", "key")
	ctx, hangUp := context.WithCancel(t.Context())
	sends := r.sms.Sends()
	r.sms.Script = func(ctx context.Context, _ int, _ mfa.Message) error {
		hangUp()
		return ctx.Err()
	}
	first := r.challenge(f, key, func(req *http.Request) { *req = *req.WithContext(ctx) }).must(t, 201)
	again := r.challenge(f, key).must(t, 201)
	if first.text != again.text || r.sms.Sends() != sends+1 {
		t.Errorf("%s and %s, %d sends", first.text, again.text, r.sms.Sends()-sends)
	}
	if v := r.verify(again.get("id"), r.right(f)); !v.valid() {
		t.Error(v.text)
	}
}

// TestVerifyAgain: within a minute a verify that succeeded is answered the same under its
// key, and another code under that key is not compared.
func TestVerifyAgain(t *testing.T) {
	r := newRig(t)
	f, key := r.totp(), with("Idempotency-Key", "key")
	ch := r.challenge(f)
	id, code := ch.get("id"), r.right(f)
	wrong := r.wrong(r.around(f)...)

	first := r.verify(id, code, key)
	if !first.valid() {
		t.Fatal(first.text)
	}
	before := r.did()
	r.clock.Advance(time.Minute)
	if again := r.verify(id, code, key); again.status != 201 || again.text != first.text {
		t.Errorf("%d %s, want %s", again.status, again.text, first.text)
	}
	if again := r.post(
		"/auth/factors/verify",
		`{"authentication_challenge_id":"`+id+`","code":"`+code+`"}`,
		key,
	); again.text != first.text {
		t.Errorf("%d %s, want %s", again.status, again.text, first.text)
	}
	verified := "The authentication challenge '" + id + "' has already been verified."
	r.verify(id, code).refuses(t, 422, "authentication_challenge_previously_verified", verified, "", 0)
	r.verify(
		id,
		code,
		with("Idempotency-Key", "another"),
	).refuses(
		t,
		422,
		"authentication_challenge_previously_verified",
		verified,
		"",
		0,
	)
	if r.did() != before {
		t.Error("a call that was made again was written")
	}
	r.verify(
		id,
		wrong,
		key,
	).refuses(
		t,
		400,
		"idempotency_key_reused",
		"The idempotency key was used with different request parameters.",
		"",
		0,
	)
	r.verify(
		id,
		code,
		key,
	).refuses(
		t,
		422,
		"authentication_challenge_previously_verified",
		verified,
		"",
		0,
	)

	// The key of a wrong code does not take the right one.
	id = r.challenge(f).get("id")
	if v := r.verify(id, r.wrong(r.around(f)...), key); v.status != 201 || v.valid() {
		t.Error(v.text)
	}
	r.verify(
		id,
		r.right(f),
		key,
	).refuses(
		t,
		400,
		"idempotency_key_reused",
		"The idempotency key was used with different request parameters.",
		"",
		0,
	)
	if v := r.verify(id, r.right(f), with("Idempotency-Key", "another")); !v.valid() {
		t.Error(v.text)
	}
}

// TestSDKBodies: what SDKs send for what was left out is taken as if it were not there.
func TestSDKBodies(t *testing.T) {
	for name, body := range map[string]string{
		"Node and Go v10": `{"type":"totp","totp_issuer":"Foo Corp",` +
			`"totp_user":"alan.turing@foo-corp.com"}`,
		"Go v4": `{"phone_number":"","totp_issuer":"Foo Corp",` +
			`"totp_user":"alan.turing@foo-corp.com","type":"totp"}`,
		"Python v4 and Ruby v5": `{"type":"totp","totp_issuer":"Foo Corp",` +
			`"totp_user":"alan.turing@foo-corp.com","phone_number":null}`,
		"everything absent": `{"type":"totp","totp_issuer":"Foo Corp",` +
			`"totp_user":"alan.turing@foo-corp.com","user_id":"","name":""}`,
		"everything null": `{"type":"totp","totp_issuer":"Foo Corp",` +
			`"totp_user":"alan.turing@foo-corp.com","user_id":null,"name":null}`,
		"unknown": `{"type":"totp","totp_issuer":"Foo Corp",` +
			`"totp_user":"alan.turing@foo-corp.com","Type":"sms","totp_secret":7,` +
			`"x":{"type":[1,{"a":null}]}}`,
	} {
		r := newRig(t)
		a := r.post("/auth/factors/enroll", body)
		if got := a.members(); a.status != 201 ||
			got != "object id created_at updated_at status type totp "+
				"totp.issuer totp.user totp.secret totp.qr_code totp.uri" {
			t.Errorf("%s: %d %s", name, a.status, got)
		}
		f := factor{id: a.get("id"), secret: a.get("totp.secret")}
		if v := r.verify(r.challenge(f).get("id"), r.right(f)); !v.valid() {
			t.Errorf("%s: %s", name, v.text)
		}
	}
	for name, body := range map[string]string{
		"Node and Go v10": `{"type":"sms","phone_number":"+15005550006"}`,
		"Go v4": `{"phone_number":"+15005550006",` +
			`"totp_issuer":"","totp_user":"","type":"sms"}`,
		"Python v4 and Ruby v5": `{"type":"sms","totp_issuer":null,"totp_user":null,` +
			`"phone_number":"+15005550006"}`,
		"without a plus":    `{"type":"sms","phone_number":"15005550006"}`,
		"without a country": `{"type":"sms","phone_number":"5005550006"}`,
	} {
		a := newRig(t).post("/auth/factors/enroll", body)
		if got := a.members(); a.status != 201 ||
			got != "object id created_at updated_at status type sms sms.phone_number" ||
			a.get("sms.phone_number") != phone {
			t.Errorf("%s: %d %s", name, a.status, a.text)
		}
	}
	for name, body := range map[string]string{
		"Node and Go v10": `{}`, "Go v10 with nil": `null`, "Go v4": `{"sms_template":""}`,
		"Python v4 and Ruby v5": `{"sms_template":null}`, "PHP v6": `[]`, "nothing": ``,
		"blank": " \r\n\t", "a wide list": " [ \n] ",
	} {
		r := newRig(t)
		for kind, f := range map[string]factor{
			"totp": r.totp(), "sms": r.phone(), "generic_otp": r.generic(),
		} {
			if a := r.post("/auth/factors/"+f.id+"/challenge", body); a.status != 201 {
				t.Errorf("%s, %s: %d %s", name, kind, a.status, a.text)
			}
		}
		if m := r.sms.Messages(); len(m) != 1 ||
			!strings.HasPrefix(m[0].Body, "Your verification code is ") {
			t.Errorf("%s: %d messages", name, len(m))
		}
	}
	r := newRig(t, func(_ *mfa.Config, c *mfahttp.Config) { c.Issuer = "Foo Corp" })
	for name, body := range map[string]string{
		"Node": `{"type":"totp","totp_issuer":"WorkOS","totp_user":"alan",` +
			`"totp_secret":"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"}`,
		"Go v10":  `{"type":"totp","totp_issuer":"WorkOS"}`,
		"Go v4":   `{"User":"user_1","type":"totp"}`,
		"empty":   `{"type":"totp","totp_issuer":"","totp_user":"","totp_secret":""}`,
		"nothing": `{"type":"totp","totp_issuer":null,"totp_user":null,"totp_secret":null}`,
	} {
		if a := r.post(
			"/user_management/users/user_1/auth_factors",
			body,
		); a.status != 201 || a.get("authentication_factor.user_id") != "user_1" ||
			a.get("authentication_factor.totp.issuer") == "" {
			t.Errorf("%s: %d %s", name, a.status, a.text)
		}
	}
	for name, query := range map[string]string{
		"Node": "?order=desc", "Go v10": "?limit=10&order=desc", "Go v4": "",
	} {
		if a := r.call("GET", "/user_management/users/user_1/auth_factors"+query, ""); a.status != 200 {
			t.Errorf("%s: %d %s", name, a.status, a.text)
		}
	}
	// SDKs say application/json of the bodies that they do not send, and Python says nothing.
	f := r.totp()
	for _, media := range []string{"application/json", "", "application/json;charset=UTF-8"} {
		r.call("GET", "/auth/factors/"+f.id, "", with("Content-Type", media)).must(t, 200)
		r.call("POST", "/auth/factors/"+f.id+"/challenge", "", with("Content-Type", media)).must(t, 201)
	}
	r.call(
		"DELETE",
		"/auth/factors/"+f.id,
		"",
		with("Content-Type", ""),
		with("Content-Length", "0"),
	).must(
		t,
		204,
	)
}

// TestFailures: the store's failure is 500, the sender's 502, and neither the answer nor
// the log has what a provider or the person said.
func TestFailures(t *testing.T) {
	r := newRig(t)
	app, mobile, generic := r.totp(), r.phone(), r.generic()
	appChallenge, genericChallenge := r.challenge(app).must(t, 201), r.challenge(generic).must(t, 201)
	message := ""
	r.sms.Script = func(_ context.Context, _ int, m mfa.Message) error {
		message = m.Body
		return fmt.Errorf("provider refused %s: %s", m.To, m.Body)
	}
	a := r.challenge(mobile)
	a.refuses(t, 502, "message_not_sent", "The message could not be sent.", "", 0)
	if !strings.Contains(r.log.String(), "level=ERROR") ||
		!strings.Contains(r.log.String(), "request_id="+a.header.Get("X-Request-Id")) ||
		!strings.Contains(r.log.String(), "status=502") ||
		!strings.Contains(r.log.String(), "method=POST") {
		t.Errorf("log %s", &r.log)
	}
	code := strings.TrimSuffix(strings.TrimPrefix(message, "Your verification code is "), ".")
	if len(code) != 6 {
		t.Fatalf("message %q", message)
	}

	right := r.right(app)
	for _, method := range []string{"Load", "List", "Save"} {
		r.store.Before = failing(method)
		for name, a := range map[string]answer{
			"enroll": r.post("/auth/factors/enroll",
				`{"type":"sms","phone_number":"`+phone+`","user_id":"user_7391640"}`),
			"enroll user": r.post("/user_management/users/user_1/auth_factors",
				`{"type":"totp","totp_issuer":"Foo Corp","totp_secret":"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"}`),
			// An application may call people by their numbers.
			"list":      r.call("GET", "/user_management/users/"+phone+"/auth_factors", ""),
			"get":       r.call("GET", "/auth/factors/"+app.id, ""),
			"challenge": r.challenge(generic),
			"verify":    r.verify(appChallenge.get("id"), right),
			"delete":    r.call("DELETE", "/auth/factors/"+generic.id, ""),
		} {
			fails := map[string][]string{
				"Load": {"enroll", "enroll user", "get", "challenge", "verify", "delete"},
				"List": {"list"},
				"Save": {"enroll", "enroll user", "challenge", "verify", "delete"},
			}
			if !slices.Contains(fails[method], name) {
				continue
			}
			a.refuses(t, 500, "internal_server_error", "Internal Server Error", "", 0)
			if !strings.Contains(r.log.String(), "request_id="+a.header.Get("X-Request-Id")) {
				t.Errorf("%s: nothing was logged", name)
			}
		}
		r.store.Before = nil
		appChallenge, generic = r.challenge(app).must(t, 201), r.generic()
		r.clock.Advance(time.Minute)
		right = r.right(app)
	}
	if !strings.Contains(r.log.String(), "connection lost") {
		t.Error("what the store said was not logged")
	}
	for _, secret := range []string{
		app.secret, "GEZDGNBVGY3TQOJQ", phone, "5005550006", message,
		apiKey, "user_7391640", "otpauth:",
	} {
		if strings.Contains(r.log.String(), secret) {
			t.Errorf("the log shows %q: %s", secret, &r.log)
		}
	}
	for _, digits := range []string{code, right, genericChallenge.get("code")} {
		if testrig.Shows(r.log.String(), digits) {
			t.Errorf("the log shows the code %s: %s", digits, &r.log)
		}
	}
}

func failing(method string) func(context.Context, mfatest.Call) error {
	return func(_ context.Context, c mfatest.Call) error {
		if c.Method == method {
			return errors.New("connection lost")
		}
		return nil
	}
}

// TestLostRaces: who is always overtaken is told to come back, not that something is
// broken.
func TestLostRaces(t *testing.T) {
	r := newRig(t)
	f := r.totp()
	ch := r.challenge(f)
	right := r.right(f)
	r.store.Before = func(_ context.Context, c mfatest.Call) error {
		if c.Method == "Save" {
			return mfa.ErrConflict
		}
		return nil
	}
	r.post(
		"/auth/factors/enroll",
		enrollTOTP,
	).refuses(
		t,
		400,
		"rate_limit_exceeded",
		"Too many requests. Wait for 1s.",
		"",
		1,
	)
	r.challenge(f).refuses(t, 400, "rate_limit_exceeded", "Too many requests. Wait for 1s.", "", 1)
	r.verify(
		ch.get("id"),
		right,
	).refuses(
		t,
		400,
		"one_time_code_too_many_attempts",
		"Too many requests. Wait for 1s.",
		"",
		1,
	)
	r.call(
		"DELETE",
		"/auth/factors/"+f.id,
		"",
	).refuses(
		t,
		400,
		"rate_limit_exceeded",
		"Too many requests. Wait for 1s.",
		"",
		1,
	)
}

// TestOverTheWire: what a client sees, and not only a recorder.
func TestOverTheWire(t *testing.T) {
	r := newRig(t)
	server := httptest.NewServer(r)
	defer server.Close()
	call := func(method, path, body, key string) answer {
		t.Helper()
		req, err := http.NewRequestWithContext(
			t.Context(),
			method,
			server.URL+path,
			strings.NewReader(body),
		)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+key)
		req.Header.Set("Content-Type", "application/json")
		return exchange(t, req)
	}
	a := call("POST", "/auth/factors/enroll", enrollTOTP, apiKey).must(t, 201)
	f := factor{id: a.get("id"), secret: a.get("totp.secret")}
	ch := call("POST", "/auth/factors/"+f.id+"/challenge", "", apiKey).must(t, 201)
	if v := call(
		"POST",
		"/auth/challenges/"+ch.get("id")+"/verify",
		`{"code":"`+r.right(f)+`"}`,
		apiKey,
	); !v.valid() {
		t.Error(v.text)
	}
	call("GET", "/auth/factors/"+f.id, "", "sk_wrong").must(t, 401)
	call("PUT", "/auth/factors/"+f.id, "", apiKey).must(t, 405)
	call("GET", "//auth/factors/"+f.id, "", apiKey).must(t, 404)
	call("GET", "/auth/factors/..%2F..%2F"+f.id, "", apiKey).must(t, 404)
	call(
		"POST",
		"/auth/factors/enroll",
		`{"type":"totp","x":"`+strings.Repeat("x", 10<<20)+`"}`,
		apiKey,
	).must(
		t,
		413,
	)
	deleted := call("DELETE", "/auth/factors/"+f.id, "", apiKey).must(t, 204)
	if got := deleted.header.Get("Content-Length"); got != "" {
		t.Errorf("204 with Content-Length %q", got)
	}
}
