package mfahttp_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// The tests of this file send what no client should. It is answered in the API's own
// shape, which every answer is held against, and nothing comes of it.

// A try is a request and what it is to be answered with.
type try struct {
	name   string
	body   string
	status int
	code   string
	change []func(*http.Request)
}

const (
	malformed = "invalid_json"
	wrong     = "invalid_request_parameters"
)

// bodies are refused by every route that reads one.
var bodies = []try{
	{name: "no JSON", body: `type=totp`, status: 400, code: malformed},
	{name: "half an object", body: `{"type":"totp"`, status: 400, code: malformed},
	{name: "half a string", body: `{"type":"totp`, status: 400, code: malformed},
	{name: "two objects", body: `{}{}`, status: 400, code: malformed},
	{name: "something behind", body: `{} x`, status: 400, code: malformed},
	{name: "a comma behind", body: `{"code":"123456",}`, status: 400, code: malformed},
	{name: "a comment", body: `{/**/}`, status: 400, code: malformed},
	{name: "apostrophes", body: `{'type':'totp'}`, status: 400, code: malformed},
	{name: "a member without a name", body: `{"totp"}`, status: 400, code: malformed},
	{name: "NaN", body: `{"type":NaN}`, status: 400, code: malformed},
	{name: "a control character", body: "{\"type\":\"to\ntp\"}", status: 400, code: malformed},
	{name: "NUL", body: "{}\x00", status: 400, code: malformed},
	{name: "a byte order mark", body: "\ufeff{}", status: 400, code: malformed},
	{name: "a string", body: `"totp"`, status: 400, code: malformed},
	{name: "a number", body: `7`, status: 400, code: malformed},
	{name: "true", body: `true`, status: 400, code: malformed},
	{
		name:   "a list with something in it",
		body:   `[{"type":"totp","code":"123456"}]`,
		status: 400,
		code:   malformed,
	},
	{name: "a list of lists", body: `[[]]`, status: 400, code: malformed},
	{
		name:   "UTF-8 that is none",
		body:   "{\"type\":\"totp\",\"x\":\"\xff\"}",
		status: 400,
		code:   malformed,
	},
	{name: "UTF-16", body: "\xff\xfe{\x00}\x00", status: 400, code: malformed},
	{name: "a surrogate in UTF-8", body: "{\"x\":\"\xed\xa0\x80\"}", status: 400, code: malformed},
	{
		name:   "a member twice",
		body:   `{"code":"123456","type":"totp","code":"123456","type":"totp"}`,
		status: 400,
		code:   malformed,
	},
	{name: "an unknown member twice", body: `{"x":1,"x":2}`, status: 400, code: malformed},
	{
		name:   "a member twice, once escaped",
		body:   `{"code":"123456","type":"totp","c\u006fde":"654321","typ\u0065":"sms"}`,
		status: 400,
		code:   malformed,
	},
	{
		name:   "100,000 brackets",
		body:   strings.Repeat("[", 100_000),
		status: 413,
		code:   "payload_too_large",
	},
	{name: "60,000 brackets", body: strings.Repeat("[", 60_000), status: 400, code: malformed},
	{
		name:   "60,000 brackets that match",
		body:   strings.Repeat("[", 30_000) + strings.Repeat("]", 30_000),
		status: 400,
		code:   malformed,
	},
	{
		name:   "60,000 brackets in an object",
		body:   `{"x":` + strings.Repeat("[", 30_000) + strings.Repeat("]", 30_000) + `}`,
		status: 400,
		code:   malformed,
	},
	{name: "60,000 braces", body: strings.Repeat(`{"x":`, 12_000), status: 400, code: malformed},
	{
		name:   "a byte too many",
		body:   `{"x":"` + strings.Repeat("x", 64<<10-7) + `"}`,
		status: 413,
		code:   "payload_too_large",
	},
	{
		name:   "10 MB",
		body:   `{"x":"` + strings.Repeat("x", 10<<20) + `"}`,
		status: 413,
		code:   "payload_too_large",
	},
	{
		name:   "10 MB of white space",
		body:   strings.Repeat(" ", 10<<20),
		status: 413,
		code:   "payload_too_large",
	},
	{
		name:   "a form",
		body:   `type=totp&code=123456`,
		status: 415,
		code:   "unsupported_media_type",
		change: media("application/x-www-form-urlencoded"),
	},
	{
		name:   "text",
		body:   `{"type":"totp","code":"123456"}`,
		status: 415,
		code:   "unsupported_media_type",
		change: media("text/plain"),
	},
	{
		name:   "no Content-Type",
		body:   `{"type":"totp","code":"123456"}`,
		status: 415,
		code:   "unsupported_media_type",
		change: media(""),
	},
	{
		name:   "a Content-Type that is none",
		body:   `{"type":"totp","code":"123456"}`,
		status: 415,
		code:   "unsupported_media_type",
		change: media("application/json; ="),
	},
	{
		name:   "a list of types",
		body:   `{"type":"totp","code":"123456"}`,
		status: 415,
		code:   "unsupported_media_type",
		change: media("application/json, text/plain"),
	},
	{
		name:   "JSON of another kind",
		body:   `{"type":"totp","code":"123456"}`,
		status: 415,
		code:   "unsupported_media_type",
		change: media("application/jsonp"),
	},
	{
		name:   "a query that is none",
		body:   `{"type":"totp","code":"123456"}`,
		status: 422,
		code:   wrong,
		change: []func(*http.Request){func(req *http.Request) { req.URL.RawQuery = "%zz" }},
	},
}

func media(value string) []func(*http.Request) {
	return []func(*http.Request){with("Content-Type", value)}
}

// nothing runs tries of which nothing may come. Their answers hold no more than they say.
func nothing(t *testing.T, r *rig, method, path string, tries []try) {
	t.Helper()
	for _, c := range tries {
		before := r.did()
		a := r.call(method, path, c.body, c.change...)
		if a.status != c.status || a.get("code") != c.code {
			t.Errorf(
				"%s %s, %s: %d %s, want %d %s",
				method,
				path,
				c.name,
				a.status,
				a.text,
				c.status,
				c.code,
			)
		}
		// The list of errors says no more than the code and the message do: see checked.
		list, _ := json.Marshal(a.json["errors"])
		if len(a.text) > 300+len(list) {
			t.Errorf("%s %s, %s: an answer of %d bytes", method, path, c.name, len(a.text))
		}
		if r.did() != before {
			t.Errorf("%s %s, %s: something was stored or sent", method, path, c.name)
		}
	}
}

func TestBadBodies(t *testing.T) {
	r := newRig(t)
	app, mobile := r.totp(), r.phone()
	ch := r.challenge(app).get("id")
	for _, route := range [][2]string{
		{"POST", "/auth/factors/enroll"}, {"POST", "/auth/factors/challenge"},
		{"POST", "/auth/factors/verify"}, {"POST", "/auth/factors/" + mobile.id + "/challenge"},
		{"POST", "/auth/challenges/" + ch + "/verify"},
		{"POST", "/user_management/users/user_1/auth_factors"},
		{"GET", "/auth/factors/" + app.id}, {"DELETE", "/auth/factors/" + app.id},
		{"GET", "/user_management/users/user_1/auth_factors"},
	} {
		nothing(t, r, route[0], route[1], bodies)
	}
	if v := r.verify(ch, r.right(app)); !v.valid() { // and none of it counted
		t.Error(v.text)
	}
	if r.log.Len() > 0 {
		t.Errorf("bad input was logged: %s", &r.log)
	}

	// As much as may be.
	for name, body := range map[string]string{
		"64 KiB": `{"type":"generic_otp","x":"` + strings.Repeat("x", 64<<10-29) + `"}`,
		"9,999 brackets": `{"type":"generic_otp","x":` +
			strings.Repeat("[", 9_999) + strings.Repeat("]", 9_999) + `}`,
		"a member within": `{"type":"generic_otp","x":{"type":"sms","a":1,"a":2},"Type":1,"TYPE":2}`,
	} {
		if a := r.post("/auth/factors/enroll", body); a.status != 201 {
			t.Errorf("%s: %d %s", name, a.status, a.text)
		}
	}
}

func TestBadMembers(t *testing.T) {
	r := newRig(t)
	app, mobile := r.totp(), r.phone()
	ch := r.challenge(app).get("id")
	long := strings.Repeat("x", 65)

	// What is of another type, by route and member. The rest of each body is right.
	for _, route := range []struct {
		path, rest string
		members    map[string]string // and the type that each has
	}{
		{"/auth/factors/enroll", `"x":1`, map[string]string{
			"type": "string", "totp_issuer": "string", "totp_user": "string",
			"phone_number": "string", "user_id": "string", "name": "string",
		}},
		{"/user_management/users/user_1/auth_factors", `"x":1`, map[string]string{
			"type": "string", "totp_issuer": "string", "totp_user": "string",
			"totp_secret": "string", "name": "string",
		}},
		{"/auth/factors/" + mobile.id + "/challenge", `"x":1`,
			map[string]string{"sms_template": "string", "confirm": "boolean"}},
		{"/auth/factors/challenge", `"x":1`, map[string]string{"authentication_factor_id": "string"}},
		{"/auth/factors/challenge", `"authentication_factor_id":"` + mobile.id + `"`,
			map[string]string{"sms_template": "string", "confirm": "boolean"}},
		{"/auth/challenges/" + ch + "/verify", `"x":1`, map[string]string{"code": "string"}},
		{"/auth/factors/verify", `"code":"123456"`,
			map[string]string{"authentication_challenge_id": "string"}},
		{"/auth/factors/verify", `"authentication_challenge_id":"` + ch + `"`,
			map[string]string{"code": "string"}},
	} {
		for member, kind := range route.members {
			for _, value := range []string{
				`7`, `123456`, `-0.5e300`, `true`, `{}`, `{"a":"b"}`, `[]`, `["totp"]`, `"yes"`, `""`,
			} {
				if kind == "string" && value[0] == '"' || kind == "boolean" && value == "true" {
					continue
				}
				before := r.did()
				r.post(
					route.path,
					`{"`+member+`":`+value+`,`+route.rest+`}`,
				).refuses(
					t,
					422,
					wrong,
					member+" must be a "+kind+".",
					"",
					0,
				)
				if r.did() != before {
					t.Errorf("%s: %s %s did something", route.path, member, value)
				}
			}
		}
	}

	nothing(t, r, "POST", "/auth/factors/enroll", []try{
		{name: "nothing", body: ``, status: 422, code: wrong},
		{name: "null", body: `null`, status: 422, code: wrong},
		{name: "a list", body: `[]`, status: 422, code: wrong},
		{name: "no type", body: `{}`, status: 422, code: wrong},
		{name: "type null", body: `{"type":null}`, status: 422, code: wrong},
		{name: "an empty type", body: `{"type":""}`, status: 422, code: wrong},
		{name: "another type", body: `{"type":"webauthn"}`, status: 422, code: wrong},
		{
			name:   "TOTP",
			body:   `{"type":"TOTP","totp_issuer":"a","totp_user":"b"}`,
			status: 422,
			code:   wrong,
		},
		{
			name:   "Type",
			body:   `{"Type":"totp","totp_issuer":"a","totp_user":"b"}`,
			status: 422,
			code:   wrong,
		},
		{name: "no issuer", body: `{"type":"totp","totp_user":"b"}`, status: 422, code: wrong},
		{
			name:   "an empty issuer",
			body:   `{"type":"totp","totp_issuer":"","totp_user":"b"}`,
			status: 422,
			code:   wrong,
		},
		{name: "no user", body: `{"type":"totp","totp_issuer":"a"}`, status: 422, code: wrong},
		{
			name:   "a long issuer",
			body:   `{"type":"totp","totp_issuer":"` + long + `","totp_user":"b"}`,
			status: 422,
			code:   wrong,
		},
		{
			name:   "a colon",
			body:   `{"type":"totp","totp_issuer":"a","totp_user":"a:b"}`,
			status: 422,
			code:   wrong,
		},
		{
			name:   "CR LF in the issuer",
			body:   `{"type":"totp","totp_issuer":"a\r\nX: y","totp_user":"b"}`,
			status: 422,
			code:   wrong,
		},
		{
			name:   "a NUL in the user",
			body:   `{"type":"totp","totp_issuer":"a","totp_user":"b\u0000"}`,
			status: 422,
			code:   wrong,
		},
		{
			name:   "a long name",
			body:   `{"type":"generic_otp","name":"` + long + `"}`,
			status: 422,
			code:   wrong,
		},
		{
			name:   "CR LF in the name",
			body:   `{"type":"generic_otp","name":"a\r\nb"}`,
			status: 422,
			code:   wrong,
		},
		{
			name:   "CR LF in the user id",
			body:   `{"type":"generic_otp","user_id":"a\r\nb"}`,
			status: 422,
			code:   wrong,
		},
		{
			name:   "a long user id",
			body:   `{"type":"generic_otp","user_id":"` + strings.Repeat("x", 256) + `"}`,
			status: 422,
			code:   wrong,
		},
		{
			name:   "any user",
			body:   `{"type":"generic_otp","user_id":"\u0000any user"}`,
			status: 422,
			code:   wrong,
		},
		{name: "no number", body: `{"type":"sms"}`, status: 422, code: "invalid_phone_number"},
		{
			name:   "an empty number",
			body:   `{"type":"sms","phone_number":""}`,
			status: 422,
			code:   "invalid_phone_number",
		},
		{
			name:   "a long number",
			body:   `{"type":"sms","phone_number":"+` + strings.Repeat("1", 60_000) + `"}`,
			status: 422,
			code:   "invalid_phone_number",
		},
		{
			name:   "CR LF in the number",
			body:   `{"type":"sms","phone_number":"+15005550006\r\nTo: +19005550006"}`,
			status: 422,
			code:   "invalid_phone_number",
		},
		{
			name:   "ESC behind the number",
			body:   `{"type":"sms","phone_number":"+15005550006\u001b"}`,
			status: 422,
			code:   "invalid_phone_number",
		},
		{
			name:   "a NUL behind the number",
			body:   `{"type":"sms","phone_number":"+15005550006\u0000"}`,
			status: 422,
			code:   "invalid_phone_number",
		},
		{
			name:   "two numbers",
			body:   `{"type":"sms","phone_number":"+15005550006,+15005550007"}`,
			status: 422,
			code:   "invalid_phone_number",
		},
		{
			name:   "an extension",
			body:   `{"type":"sms","phone_number":"+15005550006;ext=3"}`,
			status: 422,
			code:   "invalid_phone_number",
		},
		{
			name:   "another script's digits",
			body:   `{"type":"sms","phone_number":"１５００５５５０００６"}`,
			status: 422,
			code:   "invalid_phone_number",
		},
		{
			name:   "another country",
			body:   `{"type":"sms","phone_number":"+447911123456"}`,
			status: 422,
			code:   "phone_number_not_allowed",
		},
		{
			name:   "premium rate",
			body:   `{"type":"sms","phone_number":"+19005550006"}`,
			status: 422,
			code:   "phone_number_not_allowed",
		},
	})

	for _, f := range []factor{app, mobile} { // a template is looked at before the factor
		nothing(t, r, "POST", "/auth/factors/"+f.id+"/challenge", []try{
			{name: "CR", body: `{"sms_template":"{{code}}\rTo: +15005550007"}`, status: 422, code: wrong},
			{
				name:   "a line separator",
				body:   `{"sms_template":"Your code\u2028{{code}}"}`,
				status: 422,
				code:   wrong,
			},
			{name: "NUL", body: `{"sms_template":"{{code}}\u0000"}`, status: 422, code: wrong},
			{name: "right to left", body: `{"sms_template":"{{code}}\u202e"}`, status: 422, code: wrong},
			{name: "no code", body: `{"sms_template":"Hello."}`, status: 422, code: wrong},
			{name: "two codes", body: `{"sms_template":"{{code}} {{code}}"}`, status: 422, code: wrong},
			{
				name:   "another placeholder",
				body:   `{"sms_template":"{{code}} {{secret}}"}`,
				status: 422,
				code:   wrong,
			},
			{
				name:   "a long one",
				body:   `{"sms_template":"{{code}} ` + strings.Repeat("x", 460) + `"}`,
				status: 422,
				code:   wrong,
			},
			{
				name:   "a very long one",
				body:   `{"sms_template":"{{code}} ` + strings.Repeat("x", 60_000) + `"}`,
				status: 422,
				code:   wrong,
			},
			{
				name:   "a long key",
				body:   `{}`,
				status: 422,
				code:   wrong,
				change: []func(*http.Request){with("Idempotency-Key", strings.Repeat("k", 256))},
			},
			{
				name:   "a very long key",
				body:   `{}`,
				status: 422,
				code:   wrong,
				change: []func(*http.Request){with("Idempotency-Key", strings.Repeat("k", 1<<20))},
			},
		})
	}

	nothing(t, r, "POST", "/auth/challenges/"+ch+"/verify", []try{
		{name: "nothing", body: ``, status: 422, code: wrong},
		{name: "null", body: `null`, status: 422, code: wrong},
		{name: "a list", body: `[]`, status: 422, code: wrong},
		{name: "no code", body: `{}`, status: 422, code: wrong},
		{name: "code null", body: `{"code":null}`, status: 422, code: wrong},
		{name: "an empty code", body: `{"code":""}`, status: 422, code: wrong},
		{name: "Code", body: `{"Code":"123456"}`, status: 422, code: wrong},
		{
			name:   "a long key",
			body:   `{"code":"123456"}`,
			status: 422,
			code:   wrong,
			change: []func(*http.Request){with("Idempotency-Key", strings.Repeat("k", 256))},
		},
	})
	// What is no code is answered as a wrong one, and not counted.
	for _, code := range []string{
		"12345", "1234567", "12345x", "１２３４５", "\u00b9\u00b2\u00b3\u2074\u2075\u2076",
		`123456\u0000`, `\u0000`, `\ud800`, `\r\n`, strings.Repeat("1", 60_000),
	} {
		before := r.did()
		if v := r.verify(ch, code); v.status != 201 || v.json["valid"] != false || r.did() != before {
			t.Errorf("code %.20q: %d %s", code, v.status, v.text)
		}
	}
	if v := r.verify(ch, r.right(app)); !v.valid() {
		t.Error(v.text)
	}
}

// TestBadIDs: what is no id is not found, is not repeated, and does not reach the store.
func TestBadIDs(t *testing.T) {
	r := newRig(t)
	f := r.totp()
	ch := r.challenge(f).get("id")
	calls := len(r.store.Calls())
	for _, id := range []string{
		"x", "..", ".", "%2E%2E", "..%2F..%2F" + f.id, f.id + "%2F", "%2F" + f.id, "a%2Fb",
		f.id + "%00", "%00", f.id + "%20", "%20" + f.id, f.id + "%0D%0AX-Evil:%20y", "%0d%0a",
		f.id + "%3F", "%25", "%2500", "%FF", "%ED%A0%80", "*", "'%20OR%201=1%20--",
		"auth_factor_", "auth_challenge_", "auth_factor_" + strings.Repeat("1", 1<<16),
		strings.Repeat("x", 1<<20), strings.ToLower(f.id), "%61uth_factor_%FF",
		f.id + ";x=1", "{}", "%7B%7D", "123456", "+15005550006", "%EF%BC%91",
	} {
		for _, c := range []struct{ method, path, message string }{
			{"GET", "/auth/factors/" + id, "Authentication Factor not found"},
			{"DELETE", "/auth/factors/" + id, "Authentication Factor not found"},
			{"POST", "/auth/factors/" + id + "/challenge", "Authentication Factor not found"},
			{"POST", "/auth/challenges/" + id + "/verify", "Authentication Challenge not found"},
		} {
			a := r.call(c.method, c.path, `{"code":"123456"}`)
			if !strings.HasPrefix(a.get("message"), c.message) || a.status != 404 ||
				a.get("code") != "entity_not_found" ||
				len(a.text) > 300 {
				t.Errorf("%s %.80s: %d %.300s", c.method, c.path, a.status, a.text)
			}
			// It is shown again if it could be one.
			if shown := a.get("entity_id"); shown != "" && (shown != id || !strings.HasPrefix(id, "auth_")) {
				t.Errorf("%s %.80s shows %q", c.method, c.path, shown)
			}
			for name := range a.header {
				if name == "X-Evil" {
					t.Error("a header was injected")
				}
			}
		}
	}
	for _, c := range []struct{ path, body string }{
		{"/auth/factors/challenge", `{}`}, {"/auth/factors/challenge", ``},
		{"/auth/factors/challenge", `{"authentication_factor_id":null}`},
		{"/auth/factors/challenge", `{"authentication_factor_id":"x\r\n"}`},
		{"/auth/factors/challenge", `{"authentication_factor_id":"` + ch + `"}`},
		{"/auth/factors/verify", `{"code":"123456"}`},
		{"/auth/factors/verify", `{"code":"123456","authentication_challenge_id":"` + f.id + `"}`},
		{"/auth/factors/verify", `{"code":"123456","authentication_challenge_id":"../x"}`},
	} {
		if a := r.post(
			c.path,
			c.body,
		); a.status != 404 || a.get("code") != "entity_not_found" ||
			a.get("entity_id") != "" {
			t.Errorf("%s %s: %d %s", c.path, c.body, a.status, a.text)
		}
	}
	if n := len(r.store.Calls()); n != calls {
		t.Errorf("%d calls of the store", n-calls)
	}
	for id, path := range map[string]string{
		"auth_factor_" + ulid: "/auth/factors/auth_factor_" + ulid + "/challenge",
		"auth_factor_1234":    "/auth/factors/auth_factor_1234/challenge",
		"auth_factor_invalid": "/auth/factors/auth_factor_invalid/challenge",
	} {
		r.post(
			path,
			"",
		).refuses(
			t,
			404,
			"entity_not_found",
			"Authentication Factor not found: '"+id+"'.",
			id,
			0,
		)
	}
	for id, path := range map[string]string{
		"auth_challenge_" + ulid: "/auth/challenges/auth_challenge_" + ulid + "/verify",
		"auth_challenge_1234":    "/auth/challenges/auth_challenge_1234/verify",
	} {
		r.post(
			path,
			`{"code":"123456"}`,
		).refuses(
			t,
			404,
			"entity_not_found",
			"Authentication Challenge not found: '"+id+"'.",
			id,
			0,
		)
	}
}

// TestBadRequests: what net/http lets through and a client's library would not send.
func TestBadRequests(t *testing.T) {
	r := newRig(t)
	before := len(r.store.Calls())
	for name, change := range map[string]func(*http.Request){
		"no path":     func(req *http.Request) { req.URL.Path = "" },
		"an asterisk": func(req *http.Request) { req.URL.Path = "*" },
		"opaque": func(req *http.Request) {
			req.URL.Opaque, req.URL.Path = "auth/factors/enroll", ""
		},
		"a NUL":    func(req *http.Request) { req.URL.Path = "/auth/factors\x00/enroll" },
		"no UTF-8": func(req *http.Request) { req.URL.Path = "/auth/\xff/enroll" },
		"two raw paths": func(req *http.Request) {
			req.URL.Path, req.URL.RawPath = "/nowhere", "/auth/factors/enroll"
		},
		"a relative path": func(req *http.Request) { req.URL.Path = "auth/factors/enroll" },
	} {
		req := httptest.NewRequestWithContext(
			t.Context(),
			"POST",
			"/auth/factors/enroll",
			strings.NewReader(enrollTOTP),
		)
		req.Header.Set("Authorization", "Bearer "+apiKey)
		req.Header.Set("Content-Type", "application/json")
		change(req)
		if a := r.send(req); a.status != 404 || a.get("code") != "not_found" {
			t.Errorf("%s: %d %s", name, a.status, a.text)
		}
	}
	if n := len(r.store.Calls()); n != before {
		t.Errorf("%d calls of the store", n-before)
	}
	for name, value := range map[string]string{
		"Idempotency-Key": "\x00\xff", "Accept": "text/html", "Content-Length": "-1",
		"Transfer-Encoding": "x", "X-Http-Method-Override": "DELETE",
		"Cookie": strings.Repeat("x", 1<<20), "Content-Encoding": "gzip",
	} {
		if a := r.post("/auth/factors/enroll", enrollTOTP, with(name, value)); a.status != 201 {
			t.Errorf("%s: %d %s", name, a.status, a.text)
		}
	}
}
