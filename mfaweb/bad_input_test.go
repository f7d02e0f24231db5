package mfaweb_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/mfaweb"
)

// The tests of this file send what no front end should. It is answered in the handler's own
// shape, which every answer is held against, and nothing comes of it.

// The routes that change something: those about a question, and those of who is logged in.
var (
	ofQuestion = []string{"/mfa/cancel", "/mfa/challenge", "/mfa/verify"}
	ofAccount  = []string{
		"/mfa/enroll", "/mfa/rename", "/mfa/remove", "/mfa/recovery-codes", "/mfa/turn-off",
		"/mfa/revoke-device",
	}
	posts = slices.Concat(ofQuestion, ofAccount)
)

const isJSON = "application/json"

// gzipped is what some clients send without being asked.
func gzipped(t *testing.T, text string) string {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err := w.Write([]byte(text))
	if err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	return out.String()
}

// TestBadBodies: what is not one JSON object is refused by every route before anything else is
// looked at.
func TestBadBodies(t *testing.T) {
	s := newSite(t)
	a := s.withApp(ann)
	b := s.browser().enter(ann, a)
	q := b.post("/mfa/turn-off", nil).refused(http.StatusForbidden, "second_factor_required")
	b.post("/mfa/challenge", members{"question": q.get("question.id"), "factor_id": a.id}).
		must(http.StatusOK)
	deep := strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000)
	for name, c := range map[string]struct {
		contentType, body string
		status            int
		code              string
	}{
		"a form":               {"application/x-www-form-urlencoded", `all=true`, 415, ""},
		"a form of parts":      {"multipart/form-data; boundary=x", "--x\r\n\r\n{}\r\n--x--", 415, ""},
		"text":                 {"text/plain", `{"all":true}`, 415, ""},
		"no type":              {"", `{"all":true}`, 415, ""},
		"two types":            {"application/json, text/plain", `{}`, 415, ""},
		"a type that is none":  {"application/json; =", `{}`, 415, ""},
		"gzip":                 {isJSON, gzipped(t, `{"all":true}`), 400, "invalid_json"},
		"UTF-16":               {isJSON, "\xff\xfe{\x00}\x00", 400, "invalid_json"},
		"a byte order mark":    {isJSON, "\ufeff{}", 400, "invalid_json"},
		"UTF-8 that is none":   {isJSON, "{\"x\":\"\xff\"}", 400, "invalid_json"},
		"a member twice":       {isJSON, `{"all":true,"all":false}`, 400, "invalid_json"},
		"twice, once escaped":  {isJSON, `{"all":true,"\u0061ll":false}`, 400, "invalid_json"},
		"a list":               {isJSON, `[{"all":true}]`, 400, "invalid_json"},
		"a list of lists":      {isJSON, `[[]]`, 400, "invalid_json"},
		"a string":             {isJSON, `"all"`, 400, "invalid_json"},
		"half an object":       {isJSON, `{"all":true`, 400, "invalid_json"},
		"two objects":          {isJSON, `{}{}`, 400, "invalid_json"},
		"10,000 deep":          {isJSON, `{"answer":` + deep + `}`, 400, "invalid_json"},
		"1 MB":                 {isJSON, `{"x":"` + strings.Repeat("x", 1<<20) + `"}`, 413, ""},
		"1 MB of white space":  {isJSON, strings.Repeat(" ", 1<<20), 413, ""},
		"a byte too many":      {isJSON, `{"x":"` + strings.Repeat("x", 96<<10-7) + `"}`, 413, ""},
		"1 MB of another type": {"text/plain", strings.Repeat("x", 1<<20), 413, ""},
	} {
		code := c.code
		switch c.status {
		case http.StatusUnsupportedMediaType:
			code = "unsupported_media_type"
		case http.StatusRequestEntityTooLarge:
			code = "payload_too_large"
		}
		for _, path := range posts {
			s.nothing(name+" to "+path, c.status, code, func() answer {
				return b.send(http.MethodPost, path, c.contentType, c.body)
			})
		}
		for _, path := range []string{"/mfa/question", "/mfa/account"} {
			s.nothing(name+" to "+path, c.status, code, func() answer {
				return b.send(http.MethodGet, path, c.contentType, c.body)
			})
		}
	}
	// None of it counted, and as much as may be is read.
	b.send(http.MethodPost, "/mfa/verify", "Application/JSON; charset=utf-8", fmt.Sprintf(
		`{"question":%q,"code":%q,"answer":null,"x":{"a":1,"a":2},"Code":"000000","y":"%s"}`,
		q.get("question.id"), a.code(), strings.Repeat("y", 95<<10),
	)).must(http.StatusOK)
	if s.log.Len() > 0 {
		t.Errorf("bad input was logged: %s", &s.log)
	}
}

// TestNoMembers: a body without members is none, and each route says what it misses.
func TestNoMembers(t *testing.T) {
	s := newSite(t)
	b := s.browser().enter(ann, s.withApp(ann))
	b.post("/pay", nil).refused(http.StatusForbidden, "second_factor_required")
	for path, want := range map[string]struct {
		status int
		code   string
	}{
		"/mfa/cancel":         {409, "question_replaced"},
		"/mfa/challenge":      {409, "question_replaced"},
		"/mfa/verify":         {409, "question_replaced"},
		"/mfa/enroll":         {422, "invalid_request_parameters"},
		"/mfa/rename":         {404, "entity_not_found"},
		"/mfa/remove":         {404, "entity_not_found"},
		"/mfa/revoke-device":  {422, "invalid_request_parameters"},
		"/mfa/recovery-codes": {403, "second_factor_required"},
		"/mfa/turn-off":       {403, "second_factor_required"},
	} {
		for _, body := range []string{"", "null", "[]", "{}", " \n", `{"x":1}`} {
			s.nothing(path+" "+body, want.status, want.code, func() answer {
				return b.copied().send(http.MethodPost, path, isJSON, body)
			})
		}
	}
}

// TestBadMembers: a member of another kind is refused by its name.
func TestBadMembers(t *testing.T) {
	s := newSite(t)
	a := s.withApp(ann)
	b := s.browser().enter(ann, a)
	q := b.post("/pay", nil).get("question.id")
	b.post("/mfa/challenge", members{"question": q, "factor_id": a.id}).must(http.StatusOK)
	for path, kinds := range map[string]map[string]string{
		"/mfa/cancel":    {"question": "string"},
		"/mfa/challenge": {"question": "string", "factor_id": "string", "send_again": "boolean"},
		"/mfa/verify": {
			"question": "string", "code": "string", "trust": "boolean", "device_name": "string",
		},
		"/mfa/enroll": {
			"question": "string", "type": "string", "name": "string", "phone_number": "string",
			"replaces": "string",
		},
		"/mfa/rename":        {"factor_id": "string", "name": "string"},
		"/mfa/remove":        {"factor_id": "string"},
		"/mfa/revoke-device": {"device_id": "string", "all": "boolean"},
	} {
		for member, kind := range kinds {
			for _, value := range []any{7, -0.5e300, true, "yes", "", []any{}, []any{"a"}, members{}} {
				switch value.(type) {
				case string:
					if kind == "string" {
						continue
					}
				case bool:
					if kind == "boolean" {
						continue
					}
				}
				body := members{"question": q, "factor_id": a.id, "code": "000000", "type": "totp"}
				body[member] = value
				s.nothing(fmt.Sprintf("%s: %s %v", path, member, value), 422,
					"invalid_request_parameters", func() answer {
						got := b.post(path, body)
						if want := member + " must be a " + kind + "."; got.get("message") != want {
							t.Errorf("%s: %q, want %q", path, got.get("message"), want)
						}
						return got
					})
			}
		}
	}
}

// TestBadValues: members of the right kind that name nothing, or that cannot be shown.
func TestBadValues(t *testing.T) {
	s := newSite(t)
	a, other := s.withApp(ann), s.withApp(bob)
	b := s.browser().enter(ann, a)
	q := b.post("/pay", nil).get("question.id")
	b.post("/mfa/challenge", members{"question": q, "factor_id": a.id}).must(http.StatusOK)
	const wrong = "invalid_request_parameters"
	long := strings.Repeat("x", 90_000)
	for _, c := range []struct {
		path   string
		body   members
		status int
		code   string
	}{
		{"/mfa/challenge", members{"question": "", "factor_id": a.id}, 409, "question_replaced"},
		{"/mfa/challenge", members{"question": long, "factor_id": a.id}, 409, "question_replaced"},
		{"/mfa/challenge", members{"question": strings.ToLower(q)}, 409, "question_replaced"},
		{"/mfa/challenge", members{"question": q}, 422, "unknown_factor"},
		{"/mfa/challenge", members{"question": q, "factor_id": "../x"}, 422, "unknown_factor"},
		{"/mfa/challenge", members{"question": q, "factor_id": "\x00any user"}, 422, "unknown_factor"},
		{"/mfa/challenge", members{"question": q, "factor_id": long}, 422, "unknown_factor"},
		{"/mfa/challenge", members{"question": q, "factor_id": other.id}, 422, "unknown_factor"},
		{"/mfa/verify", members{"code": "000000"}, 409, "question_replaced"},
		{"/mfa/enroll", members{"type": "TOTP"}, 422, wrong},
		{"/mfa/enroll", members{"type": "generic_otp"}, 422, wrong},
		{"/mfa/enroll", members{"type": "recovery_codes"}, 422, wrong},
		{"/mfa/enroll", members{"type": "webauthn"}, 422, wrong},
		{"/mfa/enroll", members{"type": long}, 422, wrong},
		{"/mfa/enroll", members{"type": "totp", "name": strings.Repeat("x", 65)}, 422, wrong},
		{"/mfa/enroll", members{"type": "totp", "name": "a\r\nb"}, 422, wrong},
		{"/mfa/enroll", members{"type": "totp", "name": "a\u202eb"}, 422, wrong},
		{"/mfa/enroll", members{"type": "sms"}, 422, "invalid_phone_number"},
		{"/mfa/enroll", members{"type": "sms", "phone_number": phone + "\r\nTo: x"}, 422,
			"invalid_phone_number"},
		{"/mfa/enroll", members{"type": "sms", "phone_number": phone + "\x00"}, 422,
			"invalid_phone_number"},
		{"/mfa/enroll", members{"type": "sms", "phone_number": "+447911123456"}, 422,
			"phone_number_not_allowed"},
		{"/mfa/enroll", members{"type": "sms", "phone_number": "+19005550006"}, 422,
			"phone_number_not_allowed"},
		{"/mfa/enroll", members{"type": "sms", "phone_number": long}, 422, "invalid_phone_number"},
		{"/mfa/enroll", members{"question": q, "type": "totp"}, 409, "question_replaced"},
		{"/mfa/rename", members{"factor_id": a.id, "name": "a\nb"}, 422, wrong},
		{"/mfa/rename", members{"factor_id": a.id, "name": strings.Repeat("x", 65)}, 422, wrong},
		{"/mfa/rename", members{"factor_id": other.id, "name": "mine"}, 404, "entity_not_found"},
		{"/mfa/rename", members{"factor_id": long}, 404, "entity_not_found"},
		{"/mfa/remove", members{"factor_id": other.id}, 404, "entity_not_found"},
		{"/mfa/remove", members{"factor_id": "\x00any user"}, 404, "entity_not_found"},
		{"/mfa/remove", members{"factor_id": a.id}, 409, "last_factor"},
		{"/mfa/revoke-device", members{"device_id": "x"}, 404, "entity_not_found"},
		{"/mfa/revoke-device", members{"device_id": "x", "all": true}, 422, wrong},
		{"/mfa/revoke-device", members{"device_id": "", "all": false}, 422, wrong},
	} {
		s.nothing(fmt.Sprintf("%s %.100v", c.path, c.body), c.status, c.code, func() answer {
			got := b.post(c.path, c.body)
			if len(got.text) > 400 {
				t.Errorf("%s: an answer of %d bytes", c.path, len(got.text))
			}
			return got
		})
	}
	// What is no code is answered as a wrong one, and not counted. Of ten none is a try.
	for _, code := range []any{
		nil, "", "12345", "1234567", "12345x", "１２３４５", "\x00", "\ufffd", "\r\n", long,
	} {
		s.nothing(fmt.Sprintf("the code %.20q", code), 422, "invalid_one_time_code", func() answer {
			return b.post("/mfa/verify", members{"question": q, "code": code})
		})
	}
	for _, answer := range []any{7, "x", []any{}, members{}, members{"id": "x"}} {
		s.nothing(
			fmt.Sprintf("the answer %v to an app", answer),
			422,
			"invalid_one_time_code",
			func() answerOf { return b.post("/mfa/verify", members{"question": q, "answer": answer}) },
		)
	}
	s.nothing("an answer of 65 KiB", 422, wrong, func() answerOf {
		return b.post("/mfa/verify", members{"question": q, "answer": strings.Repeat("x", 65<<10)})
	})
	b.post("/mfa/verify", members{"question": q, "code": a.code()}).must(http.StatusOK)
}

type answerOf = answer // where a variable has its name

// TestDeviceNames: one that cannot be shown is refused before the code is looked at, where the
// browser is to be trusted, and is not looked at elsewhere.
func TestDeviceNames(t *testing.T) {
	s := newSite(t)
	a := s.withApp(ann)
	b := s.browser()
	q := b.login(ann).get("question.id")
	b.post("/mfa/challenge", members{"question": q, "factor_id": a.id}).must(http.StatusOK)
	for _, name := range []string{"a\r\nb", "a\u202eb", strings.Repeat("x", 65)} {
		s.nothing(name, 422, "invalid_request_parameters", func() answer {
			return b.post("/mfa/verify", members{
				"question": q, "code": a.code(), "trust": true, "device_name": name,
			})
		})
	}
	b.post("/mfa/verify", members{"question": q, "code": a.code(), "device_name": "a\r\nb"}).
		must(http.StatusOK)
}

// TestBadQuestionCookies: a question that this site did not seal for this browser, or not
// lately, is none.
func TestBadQuestionCookies(t *testing.T) {
	s := newSite(t)
	a, other := s.withApp(ann), s.withApp(bob)
	b := s.browser()
	q := b.login(ann).get("question.id")
	b.post("/mfa/challenge", members{"question": q, "factor_id": a.id}).must(http.StatusOK)
	good := b.cookies["mfa_question"]
	text, ok := s.svc.OpenToken("mfaweb question", good)
	if !ok {
		t.Fatal("it does not open: the rest of this test would say nothing")
	}
	seal := func(svc *mfa.Service, purpose string, lifetime time.Duration) string {
		t.Helper()
		token, err := svc.SealToken(purpose, text, lifetime)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	elsewhere := newSite(t, func(c *mfa.Config, _ *mfaweb.Config) {
		var err error
		if c.Keys, err = mfa.ParseKeyring(mfa.NewKey()); err != nil {
			t.Fatal(err)
		}
	})
	member := s.browser().enter(bob, other)
	member.post("/pay", nil).refused(http.StatusForbidden, "second_factor_required")
	trusting := s.browser()
	trusted := trusting.login(ann).get("question.id")
	trusting.post("/mfa/challenge", members{"question": trusted, "factor_id": a.id}).
		must(http.StatusOK)
	trusting.post("/mfa/verify", members{"question": trusted, "code": a.code(), "trust": true}).
		must(http.StatusOK)

	changed := func(text string, at int) string {
		other := "A"
		if text[at] == other[0] {
			other = "B"
		}
		return text[:at] + other + text[at+1:]
	}
	expired := seal(s.svc, "mfaweb question", time.Second)
	s.clock.Advance(30 * time.Second) // and the app shows an unused code
	for name, value := range map[string]string{
		"nothing":                     "",
		"no token":                    "question",
		"zeros":                       strings.Repeat("A", len(good)),
		"cut off":                     good[:len(good)-1],
		"half":                        good[:len(good)/2],
		"longer":                      good + "A",
		"another first byte":          changed(good, 0),
		"another byte":                changed(good, len(good)/2),
		"twice":                       good + good,
		"its text":                    base64.RawURLEncoding.EncodeToString(text),
		"9 KB":                        strings.Repeat("A", 9000),
		"expired":                     expired,
		"other keys":                  seal(elsewhere.svc, "mfaweb question", time.Minute),
		"another purpose":             seal(s.svc, "mfaweb receipt "+ann, time.Minute),
		"no purpose":                  seal(s.svc, "", time.Minute),
		"what a device keeps":         trusting.cookies["mfa_device"],
		"a question in a session":     member.cookies["mfa_question"], // and this one has none
		"the question's id, unsealed": q,
	} {
		b := b.copied()
		b.cookies["mfa_question"] = value
		for path, body := range map[string]members{
			"/mfa/cancel":    {"question": q},
			"/mfa/challenge": {"question": q, "factor_id": a.id},
			"/mfa/verify":    {"question": q, "code": codeOf(a)},
			"/mfa/enroll":    {"question": q, "type": "totp"},
		} {
			s.nothing(name+" to "+path, http.StatusUnauthorized, "no_question", func() answer {
				return b.post(path, body)
			})
		}
		s.nothing(name+" shown", http.StatusUnauthorized, "no_question", func() answer {
			return b.get("/mfa/question")
		})
	}
	// None of it counted, and the good one is good.
	b.post("/mfa/verify", members{"question": q, "code": a.code()}).must(http.StatusOK)
}

// TestUsedQuestion: a question that was answered, sent again with its cookie of before, takes
// neither another code nor, later, the same.
func TestUsedQuestion(t *testing.T) {
	s := newSite(t)
	a := s.withApp(ann)
	b := s.browser()
	q := b.login(ann).get("question.id")
	b.post("/mfa/challenge", members{"question": q, "factor_id": a.id}).must(http.StatusOK)
	thief, code := b.copied(), a.code()
	b.post("/mfa/verify", members{"question": q, "code": code}).must(http.StatusOK)
	next := a.code()
	refused := func(what, code string) {
		t.Helper()
		before := s.did()
		thief.post("/mfa/verify", members{"question": q, "code": code}).
			refused(http.StatusConflict, "authentication_challenge_previously_verified")
		if after := s.did(); after.logins != before.logins || after.sessions != before.sessions {
			t.Errorf("%s: it was %+v, and is %+v", what, before, after)
		}
	}
	s.clock.Advance(time.Minute)
	refused("the same code", code)
	refused("the next code", next)
}

// TestTwoOfOneName: of two cookies with one name neither is believed, whichever it is.
func TestTwoOfOneName(t *testing.T) {
	s := newSite(t)
	a := s.withApp(ann)
	b := s.browser()
	q := b.login(ann).get("question.id")
	b.post("/mfa/challenge", members{"question": q, "factor_id": a.id}).must(http.StatusOK)
	b.post("/mfa/verify", members{"question": q, "code": a.code(), "trust": true}).
		must(http.StatusOK)
	device := b.cookies["mfa_device"]
	for _, second := range []string{device, "x", ""} {
		twice := b.copied().as("Cookie", "mfa_device="+second)
		if got := twice.login(ann); got.get("status") != "question" {
			t.Errorf("a second device cookie %.5q: %s", second, got.text)
		}
	}
	if got := b.login(ann); got.get("status") != "logged_in" {
		t.Errorf("one device cookie: %s", got.text)
	}
	b = s.browser()
	b.login(ann)
	b = b.as("Cookie", "mfa_question="+b.cookies["mfa_question"])
	s.nothing("two questions", http.StatusUnauthorized, "no_question", func() answer {
		return b.get("/mfa/question")
	})
}

// TestBadDeviceCookies: what is no token of this browser's owner is asked for a code.
func TestBadDeviceCookies(t *testing.T) {
	s := newSite(t)
	a, other := s.withApp(ann), s.withApp(bob)
	mallory := s.browser()
	q := mallory.login(bob).get("question.id")
	mallory.post("/mfa/challenge", members{"question": q, "factor_id": other.id}).
		must(http.StatusOK)
	mallory.post("/mfa/verify", members{"question": q, "code": other.code(), "trust": true}).
		must(http.StatusOK)
	good := mallory.cookies["mfa_device"]
	for name, value := range map[string]string{
		"garbage": "x", "of another": good, "cut off": good[:len(good)-1],
		"9 KB": strings.Repeat("A", 9000),
		"dots": "...", "a number": "auth_device_01KE3Z8M2Q4R5S6T7V8W9X0Y1Z.1.AAAA",
	} {
		b := s.browser()
		b.cookies["mfa_device"] = value
		q := b.login(ann)
		if q.status != http.StatusOK || q.get("status") != "question" || b.in() {
			t.Errorf("%s: %d %s", name, q.status, q.text)
		}
		if b.answers(q, a.id, a.code); !b.in() {
			t.Errorf("%s: the code does not log in", name)
		}
	}
	if got := mallory.login(bob); got.get("status") != "logged_in" { // it is left as it was
		t.Errorf("the browser of another: %s", got.text)
	}
}

// TestBadReceipts: what is no receipt for this very action is asked for one, and pays nothing.
func TestBadReceipts(t *testing.T) {
	s := newSite(t)
	a := s.withApp(ann)
	b := s.browser().enter(ann, a)
	q := b.post("/pay?amount=1", nil)
	receipt := b.answers(q, a.id, a.code).must(http.StatusOK).get("receipt")
	parts := strings.Split(receipt, ".")
	if len(parts) != 3 {
		t.Fatalf("the receipt is %q", receipt)
	}
	for name, bad := range map[string]string{
		"none": "", "garbage": "x", "cut off": receipt[:len(receipt)-1], "longer": receipt + "A",
		"no signature": parts[0] + "." + parts[1] + ".", "dots": "..", "8 KB": strings.Repeat("A", 8000),
		"the question": b.cookies["mfa_question"], "a list": receipt + "," + receipt,
	} {
		for _, path := range []string{"/pay?amount=1", "/pay-anyhow?amount=1", "/mfa/turn-off"} {
			s.nothing(name+" to "+path, http.StatusForbidden, "second_factor_required",
				func() answer { return b.with(bad, path, nil) })
		}
	}
	b.with(receipt, "/pay?amount=1", nil).must(http.StatusOK)
}

// TestOrigins: a request that changes something comes from a page of this site, or from no
// browser. What only tells is not told to another page by the browser.
func TestOrigins(t *testing.T) {
	const trusted = "https://app.example.net"
	s := newSite(t, func(_ *mfa.Config, c *mfaweb.Config) { c.TrustedOrigins = []string{trusted} })
	a := s.withApp(ann)
	b := s.browser().enter(ann, a)
	q := b.post("/pay", nil).get("question.id")
	b.post("/mfa/challenge", members{"question": q, "factor_id": a.id}).must(http.StatusOK)
	own := s.server.URL
	for _, c := range []struct {
		site, origin string
		taken        bool
	}{
		{"", "", true},
		{"same-origin", "", true},
		{"same-origin", own, true},
		{"none", "", true}, // typed, or a bookmark
		{"", own, true},
		{"cross-site", trusted, true},
		{"same-site", trusted, true},
		{"", trusted, true},

		{"same-site", "", false},
		{"cross-site", "", false},
		{"cross-site", own, false}, // the browser tells
		{"same-site", "http://other.example.net", false},
		{"cross-site", "null", false},
		{"", "null", false},
		{"", "http://127.0.0.1", false}, // of another port
		{"", "https://app.example.net.evil.com", false},
		{"", "http://app.example.net", false},
		{"SAME-ORIGIN", "", false},
		{"same-origin, cross-site", "", false},
	} {
		b := b.copied().as("Sec-Fetch-Site", c.site, "Origin", c.origin)
		for _, name := range []string{"Sec-Fetch-Site", "Origin"} {
			if b.header.Get(name) == "" {
				b.header.Del(name)
			}
		}
		name := fmt.Sprintf("%q, %q", c.site, c.origin)
		for _, path := range append([]string{"/pay", "/pay-anyhow"}, posts...) {
			refused := func() answer { return b.copied().as(flat(b.header)...).post(path, members{}) }
			if !c.taken {
				s.nothing(name+" to "+path, http.StatusForbidden, "cross_origin", refused)
			} else if got := refused(); got.get("code") == "cross_origin" {
				t.Errorf("%s to %s is refused", name, path)
			}
		}
		login := s.browser().as(flat(b.header)...)
		if !c.taken {
			s.nothing(name+" at the login", http.StatusForbidden, "cross_origin", func() answer {
				return login.login(ann)
			})
			if len(login.cookies) > 0 {
				t.Errorf("%s: the login sets %q", name, login.cookies)
			}
		} else if got := login.login(ann); got.get("status") != "question" {
			t.Errorf("%s: the login says %s", name, got.text)
		}
		for _, path := range []string{"/mfa/question", "/mfa/account"} {
			got := b.get(path).must(http.StatusOK)
			for header := range got.header {
				if strings.HasPrefix(header, "Access-Control-") {
					t.Errorf("%s: %s has %s", name, path, header)
				}
			}
		}
	}
	s.nothing("a preflight", http.StatusMethodNotAllowed, "method_not_allowed", func() answer {
		return b.as("Origin", "https://evil.example", "Access-Control-Request-Method", "POST").
			send(http.MethodOptions, "/mfa/turn-off", "", "")
	})
}

// flat are headers as browser.as takes them.
func flat(header http.Header) (flat []string) {
	for name := range header {
		flat = append(flat, name, header.Get(name))
	}
	return flat
}

// TestSpoofedHost: what a client says of a proxy makes no page of another origin one of ours.
func TestSpoofedHost(t *testing.T) {
	s := newSite(t)
	b := s.browser().enter(ann, s.withApp(ann))
	for name, headers := range map[string][]string{
		"X-Forwarded-Host":   {"X-Forwarded-Host", "evil.example"},
		"X-Original-Host":    {"X-Original-Host", "evil.example"},
		"Forwarded":          {"Forwarded", "host=evil.example;proto=https"},
		"X-Forwarded-Proto":  {"X-Forwarded-Proto", "https"},
		"a method to be had": {"X-HTTP-Method-Override", "GET"},
		"another Host":       {"Host", "evil.example.com"},
	} {
		b := b.as(append(headers, "Origin", "https://evil.example")...)
		for _, path := range append([]string{"/pay"}, posts...) {
			s.nothing(name+" to "+path, http.StatusForbidden, "cross_origin", func() answer {
				return b.post(path, members{})
			})
		}
		s.nothing(name+" at the login", http.StatusForbidden, "cross_origin", func() answer {
			return b.login(ann)
		})
	}
}

// TestSource: events tell the address that the proxy saw, or that of the connection, and never
// one that the client made up.
func TestSource(t *testing.T) {
	plain := newSite(t)
	behind := newSite(t, func(_ *mfa.Config, c *mfaweb.Config) { c.ClientIPHeader = "X-Real-IP" })
	for _, c := range []struct {
		site   *site
		header []string // of X-Real-IP
		want   string   // "" if it is refused
	}{
		{plain, nil, "127.0.0.1"},
		{plain, []string{"192.0.2.1"}, "127.0.0.1"},
		{behind, []string{"192.0.2.1"}, "192.0.2.1"},
		{behind, []string{"evil, 198.51.100.7 , 192.0.2.1"}, "192.0.2.1"},
		{behind, []string{"198.51.100.7", "192.0.2.1"}, "192.0.2.1"},
		{behind, []string{"192.0.2.1:65535"}, "192.0.2.1"},
		{behind, []string{"[2001:db8::1]:80"}, "2001:db8::1"},
		{behind, []string{"[2001:db8::1]"}, "2001:db8::1"},
		{behind, []string{"::ffff:192.0.2.1"}, "192.0.2.1"},
		{behind, []string{"fe80::1%eth0"}, "fe80::1"},
		{behind, nil, ""},
		{behind, []string{""}, ""},
		{behind, []string{"192.0.2.1,"}, ""},
		{behind, []string{"192.0.2.1", "unknown"}, ""},
		{behind, []string{"192.0.2.1;x"}, ""},
		{behind, []string{"for=192.0.2.1"}, ""},
		{behind, []string{"192.0.2.1, 192.0.2.256"}, ""},
	} {
		s := c.site
		b := s.browser().as("X-Forwarded-For", "203.0.113.9", "Forwarded", "for=203.0.113.9")
		b.header["X-Real-Ip"] = c.header
		name := fmt.Sprintf("%q", c.header)
		if c.want == "" {
			for _, path := range append([]string{"/pay", "/mfa/nowhere"}, posts...) {
				s.nothing(name+" to "+path, http.StatusBadRequest, "no_source", func() answer {
					return b.post(path, members{})
				})
			}
			s.nothing(name+" at the login", http.StatusBadRequest, "no_source", func() answer {
				return b.login(ann)
			})
			s.nothing(name+" to read", http.StatusBadRequest, "no_source", func() answer {
				return b.get("/mfa/account")
			})
			continue
		}
		b.login(ann).must(http.StatusOK)
		b.post("/mfa/enroll", members{"type": "totp"}).must(http.StatusOK)
		if e := s.events[len(s.events)-1]; e.Source != c.want {
			t.Errorf("%s: %s from %q, want %q", name, e.Kind, e.Source, c.want)
		}
	}
}

// TestUnknownRoutes: what is not there is not there for anybody, and its body is not read.
func TestUnknownRoutes(t *testing.T) {
	s := newSite(t)
	b := s.browser().enter(ann, s.withApp(ann))
	for _, path := range []string{
		"/mfa/", "/mfa/nowhere", "/mfa/Account", "/mfa/account/", "/mfa/account/x", "/mfa/%00",
		"/mfa/account%2f", "/mfa/account%20", "/mfa/mfa/account", "/mfa/question%3Fx", "/mfa/*",
	} {
		for _, method := range []string{"GET", "POST", "PUT", "TRACE", "WRONG"} {
			s.nothing(method+" "+path, http.StatusNotFound, "not_found", func() answer {
				return b.send(method, path, isJSON, strings.Repeat("x", 200<<10))
			})
		}
	}
	for _, path := range append([]string{"/mfa/question", "/mfa/account"}, posts...) {
		allowed := http.MethodPost
		if path == "/mfa/question" || path == "/mfa/account" {
			allowed = http.MethodGet
		}
		for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "get"} {
			if method == allowed {
				continue
			}
			s.nothing(method+" "+path, http.StatusMethodNotAllowed, "method_not_allowed",
				func() answer {
					got := b.send(method, path, isJSON, `{"all":true}`)
					if got.header.Get("Allow") != allowed {
						t.Errorf("%s %s: Allow is %q", method, path, got.header.Get("Allow"))
					}
					return got
				})
		}
	}
}

// TestManyLogins: a hundred people log in at once, each with a browser and a code of their own.
func TestManyLogins(t *testing.T) {
	s := newSite(t)
	apps := map[string]app{}
	for i := range 100 {
		id := fmt.Sprintf("user_%d", i)
		s.users[id] = mfaweb.User{ID: id, Label: id, Generation: "1"}
		apps[id] = s.withApp(id)
	}
	s.clock.Advance(30 * time.Second)
	var pending, all sync.WaitGroup
	pending.Add(len(apps))
	for id, a := range apps {
		all.Go(func() {
			b := s.browser()
			q := b.login(id)
			asked := members{"question": q.get("question.id"), "factor_id": a.id}
			challenged := b.post("/mfa/challenge", asked)
			pending.Done()
			pending.Wait() // until everybody is asked
			done := b.post("/mfa/verify", members{
				"question": asked["question"], "code": codeOf(a),
			})
			s.mu.Lock()
			defer s.mu.Unlock()
			if challenged.status != http.StatusOK || done.get("status") != "logged_in" ||
				s.sessions[b.cookies["session"]] != id {
				t.Errorf("%s: %s %s", id, challenged.text, done.text)
			}
		})
	}
	all.Wait()
	if len(s.logins) != len(apps) {
		t.Errorf("%d logins", len(s.logins))
	}
}

// TestWithoutSession: nobody but who is logged in reaches the account, and a question of a
// session is nobody else's.
func TestWithoutSession(t *testing.T) {
	s := newSite(t)
	a, other := s.withApp(ann), s.withApp(bob)
	b := s.browser().enter(ann, a)
	q := b.post("/pay", nil).get("question.id")
	b.post("/mfa/challenge", members{"question": q, "factor_id": a.id}).must(http.StatusOK)
	pending := s.browser() // between the password and the code
	pending.login(ann)
	gone := b.copied()
	gone.cookies["session"] = "forged"
	nobody := map[string]*browser{
		"a stranger":     s.browser(),
		"half logged in": pending,
		"forged":         gone,
	}
	for name, who := range nobody {
		for _, path := range ofAccount {
			s.nothing(name+" to "+path, http.StatusUnauthorized, "not_logged_in", func() answer {
				return who.post(path, members{"type": "totp", "all": true, "factor_id": a.id})
			})
		}
		for _, path := range []string{"/pay", "/pay-anyhow"} {
			s.nothing(name+" to "+path, http.StatusUnauthorized, "not_logged_in", func() answer {
				return who.post(path, nil)
			})
		}
		s.nothing(name+" to the account", http.StatusUnauthorized, "not_logged_in", func() answer {
			return who.get("/mfa/account")
		})
	}
	another := s.browser().enter(ann, a) // of the same person
	somebody := s.browser().enter(bob, other)
	loggedOut := b.copied()
	delete(loggedOut.cookies, "session")
	for name, who := range map[string]*browser{
		"another session": another, "somebody": somebody, "logged out": loggedOut, "forged": gone,
	} {
		who.cookies["mfa_question"] = b.cookies["mfa_question"]
		for path, body := range map[string]members{
			"/mfa/cancel":    {"question": q},
			"/mfa/challenge": {"question": q, "factor_id": a.id},
			"/mfa/verify":    {"question": q, "code": a.code()},
			"/mfa/enroll":    {"question": q, "type": "totp"},
		} {
			s.nothing(name+" to "+path, http.StatusUnauthorized, "no_question", func() answer {
				return who.post(path, body)
			})
		}
		s.nothing(name+" is shown", http.StatusUnauthorized, "no_question", func() answer {
			return who.get("/mfa/question")
		})
	}
	b.post("/mfa/verify", members{"question": q, "code": a.code()}).must(http.StatusOK)
}

// TestOtherKind: a question answers for what it was asked for alone.
func TestOtherKind(t *testing.T) {
	s := newSite(t, func(_ *mfa.Config, c *mfaweb.Config) {
		c.RequireFrom = func(u mfaweb.User) time.Time {
			if u.ID == bob {
				return time.Unix(1, 0)
			}
			return time.Time{}
		}
	})
	a := s.withApp(ann)
	login, approve, confirm, enroll := s.browser(), s.browser(), s.browser(), s.browser()
	asked := map[string]answer{
		"login":   login.login(ann),
		"approve": approve.enter(ann, a).post("/pay", nil),
		"enroll":  enroll.login(bob),
	}
	confirm.enter(ann, a)
	receipt := confirm.answers(confirm.post("/mfa/enroll", members{"type": "totp"}), a.id, a.code).
		must(http.StatusOK).get("receipt")
	asked["confirm"] = confirm.with(receipt, "/mfa/enroll", members{"type": "totp"})
	browsers := map[string]*browser{
		"login": login, "approve": approve, "confirm": confirm, "enroll": enroll,
	}
	for kind, b := range browsers {
		q := asked[kind]
		if shown := b.get("/mfa/question"); q.get("question.for") != kind ||
			shown.get("question.for") != kind {
			t.Fatalf("%s: %s, then %s", kind, q.text, shown.text)
		}
		id := q.get("question.id")
		if kind != "enroll" {
			s.nothing("enroll by "+kind, http.StatusConflict, "question_replaced", func() answer {
				return b.post("/mfa/enroll", members{"question": id, "type": "totp"})
			})
		}
		s.nothing("answered unasked: "+kind, http.StatusConflict, "not_challenged", func() answer {
			return b.post("/mfa/verify", members{"question": id, "code": "000000"})
		})
		// The question of another browser is none of this one.
		for other, q := range asked {
			if other == kind {
				continue
			}
			for _, path := range append([]string{"/mfa/enroll"}, ofQuestion...) {
				s.nothing(other+" of "+kind+" to "+path, http.StatusConflict, "question_replaced",
					func() answer {
						return b.post(path, members{
							"question": q.get(
								"question.id",
							),
							"factor_id": a.id,
							"code":      "000000",
							"type":      "totp",
						})
					})
			}
		}
	}
	// A question that confirms is answered by its factor alone, and one that enrolls by none.
	for _, kind := range []string{"confirm", "enroll"} {
		s.nothing(kind+" by another factor", 422, "unknown_factor", func() answer {
			return browsers[kind].post("/mfa/challenge", members{
				"question": asked[kind].get("question.id"), "factor_id": a.id,
			})
		})
	}
}

// TestNoSecrets: who is refused is told no secret, and no whole phone number.
func TestNoSecrets(t *testing.T) {
	s := newSite(t)
	b := s.browser()
	b.login(ann)
	enr := b.post("/mfa/enroll", members{"type": "sms", "phone_number": phone}).must(http.StatusOK)
	number := enr.get("question.factor_id")
	done := b.answers(enr, number, s.smsCode).must(http.StatusOK)
	var codes []string
	if err := json.Unmarshal([]byte(done.get("recovery_codes")), &codes); err != nil {
		t.Fatal(err)
	}
	a := s.withApp(ann)
	s.clock.Advance(time.Hour)
	thief := s.browser()
	q := thief.login(ann)
	texts := []string{enr.text, q.text, thief.get("/mfa/question").text}
	for _, f := range []string{a.id, number} {
		asked := members{"question": q.get("question.id"), "factor_id": f}
		texts = append(texts, thief.post("/mfa/challenge", asked).must(http.StatusOK).text)
		wrong := members{"question": q.get("question.id"), "code": "000000"}
		texts = append(texts, thief.post("/mfa/verify", wrong).text)
	}
	b.enter(ann, a)
	texts = append(texts, b.get("/mfa/account").text, b.post("/mfa/turn-off", nil).text)
	for _, secret := range append(codes, strings.TrimPrefix(phone, "+1"), s.smsCode(), a.uri) {
		for _, text := range texts {
			if secret == "" || strings.Contains(text, secret) {
				t.Errorf("%q is in %s", secret, text)
			}
		}
	}
}
