package itest

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/passkey"
	"github.com/authfactor/mfa/passkey/passkeytest"
)

// Passkeys over HTTP. As in TestOpenAPI, every answer of these tests is held against the
// description, and so is every request that is answered with success.

const pageOrigin = "https://login.example.com"

// withPasskeys adds them to what a service has.
func withPasskeys(t *testing.T) func(*mfa.Config) {
	t.Helper()
	method, err := passkey.New(passkey.Config{RPID: "example.com", RPName: "Example", Origins: []string{pageOrigin}})
	if err != nil {
		t.Fatal(err)
	}
	return func(c *mfa.Config) { c.Methods = []mfa.Method{method} }
}

func servePasskeys(t *testing.T) *api {
	t.Helper()
	return describeAPI(t).serve(t, withPasskeys(t))
}

func (a *api) enrollPasskey(userID string) authenticator {
	a.t.Helper()
	o := a.call("POST", "/auth/factors/enroll", `{"type":"webauthn","user_id":"`+userID+`","params":{"label":"alan@example.com"}}`, 201, "")
	return authenticator{id: o.get("id")}
}

// registered is a confirmed passkey of a user.
func (a *api) registered(userID string, key *passkeytest.Authenticator) authenticator {
	a.t.Helper()
	f := a.enrollPasskey(userID)
	ch := a.challenger(false)(f, `"confirm":true`, 201, "")
	if v := a.answer(ch.get("id"), a.made(key.Create(ch.options(a.t))), 201, ""); v["valid"] != true {
		a.t.Fatalf("the registration: %v", v)
	}
	a.clock.Advance(time.Minute)
	return f
}

// options are what the browser gets.
func (o object) options(t *testing.T) []byte {
	t.Helper()
	text, err := json.Marshal(o["options"])
	if err != nil || o["options"] == nil {
		t.Fatalf("no options: %v", err)
	}
	return text
}

// made is what an authenticator answered.
func (a *api) made(answer []byte, err error) string {
	a.t.Helper()
	if err != nil {
		a.t.Fatal(err)
	}
	return string(answer)
}

func (a *api) answer(challengeID, answer string, status int, code string, change ...func(*http.Request)) object {
	a.t.Helper()
	return a.call("POST", "/auth/challenges/"+challengeID+"/verify", `{"answer":`+answer+`}`, status, code, change...)
}

// wrongAnswer is one that is answered as a wrong code is.
func (a *api) wrongAnswer(what, challengeID, answer string) {
	a.t.Helper()
	if v := a.answer(challengeID, answer, 201, ""); v["valid"] != false {
		a.t.Errorf("%s: %v", what, v)
	}
}

// passkeys is the life of one: enrolled, registered, used to log in, listed, deleted.
func (d paths) passkeys(t *testing.T) {
	a, key := d.serve(t, withPasskeys(t)), passkeytest.New(pageOrigin)
	challenge := a.challenger(d.legacy)
	verify := func(id, answer string, status int, code string) object {
		t.Helper()
		if !d.legacy {
			return a.answer(id, answer, status, code)
		}
		return a.call("POST", "/auth/factors/verify", `{"authentication_challenge_id":"`+id+`","code":null,"answer":`+answer+`}`, status, code)
	}
	a.call("POST", "/auth/factors/enroll", `{"type":"webauthn","user_id":"user_1"}`, 422, "invalid_request_parameters")
	f := authenticator{id: a.call("POST", "/auth/factors/enroll", `{"type":"webauthn","user_id":"user_1","name":"key ring","params":{"label":"alan@example.com"}}`, 201, "").get("id")}
	if o := a.call("GET", "/auth/factors/"+f.id, ``, 200, ""); o.get("status") != "unverified" || o["details"] != nil {
		t.Errorf("before it is registered: %v", o)
	}
	for i, confirm := range []string{`"confirm":true`, ``, `"confirm":false`} {
		ch := challenge(f, confirm, 201, "")
		use := key.Get
		if i == 0 {
			use = key.Create
		}
		answer := a.made(use(ch.options(t)))
		if v := verify(ch.get("id"), `{}`, 201, ""); v["valid"] != false {
			t.Errorf("a wrong answer: %v", v)
		}
		if v := verify(ch.get("id"), answer, 201, ""); v["valid"] != true {
			t.Errorf("the right answer: %v", v)
		}
		verify(ch.get("id"), answer, 422, "authentication_challenge_previously_verified")
		a.clock.Advance(2 * time.Hour)
	}
	o := a.call("GET", "/auth/factors/"+f.id, ``, 200, "")
	if details, _ := o["details"].(map[string]any); o.get("status") != "verified" || details["user_verified"] != true {
		t.Errorf("after it is registered: %v", o)
	}
	d.good["a passkey"] = d.good["getFactor 200"]
	a.call("GET", "/user_management/users/user_1/auth_factors", ``, 200, "", withQuery("types=all"))
	a.call("DELETE", "/auth/factors/"+f.id, ``, 204, "")
	challenge(f, ``, 404, "entity_not_found")
}

// TestPasskeyHTTPSibling: whichever of the person's passkeys is at hand answers, and the
// answer says which.
func TestPasskeyHTTPSibling(t *testing.T) {
	a, phone, laptop := servePasskeys(t), passkeytest.New(pageOrigin), passkeytest.New(pageOrigin)
	first, second := a.registered("user_1", phone), a.registered("user_1", laptop)
	for asked, used := range map[authenticator]struct {
		factor authenticator
		key    *passkeytest.Authenticator
	}{first: {second, laptop}, second: {first, phone}} {
		ch := a.challenger(false)(asked, ``, 201, "")
		v := a.answer(ch.get("id"), a.made(used.key.Get(ch.options(t))), 201, "")
		if v["valid"] != true || v.get("challenge.authentication_factor_id") != used.factor.id {
			t.Errorf("%v, want it answered by %s", v, used.factor.id)
		}
	}
}

// TestPasskeyHTTPList: SDKs fail on a list with a type that they do not know.
func TestPasskeyHTTPList(t *testing.T) {
	a := servePasskeys(t)
	key := a.registered("user_1", passkeytest.New(pageOrigin))
	app := a.enrollUser("user_1")
	a.enrollPasskey("user_1") // never registered
	for query, want := range map[string][]string{"order=asc": {app.id}, "order=asc&types=all": {key.id, app.id}} {
		var ids []string
		list := a.call("GET", "/user_management/users/user_1/auth_factors", ``, 200, "", withQuery(query))
		data, _ := list["data"].([]any)
		for _, item := range data {
			factor, _ := item.(map[string]any)
			ids = append(ids, object(factor).get("id"))
		}
		if !slices.Equal(ids, want) {
			t.Errorf("%s: %q, want %q", query, ids, want)
		}
	}
}

// TestPasskeyHTTPWrong: an answer of another page, person, challenge or ceremony is no right
// one, and after five the challenge takes none.
func TestPasskeyHTTPWrong(t *testing.T) {
	a, key, stranger := servePasskeys(t), passkeytest.New(pageOrigin), passkeytest.New(pageOrigin)
	f, other := a.registered("user_1", key), a.registered("user_2", stranger)
	challenge := func(f authenticator) object { t.Helper(); return a.challenger(false)(f, ``, 201, "") }
	earlier, foreign := challenge(f), challenge(other)
	right := a.made(key.Get(earlier.options(t)))

	ch := challenge(f)
	elsewhere := key.Clone()
	elsewhere.Origin, elsewhere.Hostile = "https://example.org", true
	a.wrongAnswer("another page", ch.get("id"), a.made(elsewhere.Get(ch.options(t))))
	a.wrongAnswer("another person", ch.get("id"), a.made(stranger.Get(foreign.options(t))))
	a.wrongAnswer("another challenge", ch.get("id"), right)
	begun := a.challenger(false)(a.enrollPasskey("user_1"), `"confirm":true`, 201, "")
	a.wrongAnswer("a registration", ch.get("id"), a.made(passkeytest.New(pageOrigin).Create(begun.options(t))))
	a.wrongAnswer("another challenge, again", ch.get("id"), right)
	a.answer(ch.get("id"), a.made(key.Get(ch.options(t))), 400, "one_time_code_too_many_attempts")

	if v := a.answer(earlier.get("id"), right, 201, ""); v["valid"] != true {
		t.Errorf("wrong answers were counted on another challenge: %v", v)
	}
}

// TestPasskeyHTTPHostile: any JSON value is an answer, and is a wrong one. What is none, or
// is too large, is refused before it is looked at.
func TestPasskeyHTTPHostile(t *testing.T) {
	a, key := servePasskeys(t), passkeytest.New(pageOrigin)
	f := a.registered("user_1", key)
	begun := func() []object {
		t.Helper()
		return []object{
			a.challenger(false)(f, ``, 201, ""),
			a.challenger(false)(a.enrollPasskey("user_1"), `"confirm":true`, 201, ""),
		}
	}
	for _, answer := range []string{
		`"string"`, `""`, `7`, `-0.5e300`, `true`, `false`, `[]`, `{}`, `[null]`, `[{}]`, `{"id":null}`, `{"id":7}`,
		`{"id":"AAAA","rawId":"AAAA","type":"public-key","response":{}}`, `{"id":"` + strings.Repeat("A", 60_000) + `"}`,
		`{"response":` + strings.Repeat("[", 9_990) + strings.Repeat("]", 9_990) + `}`,
		strings.Repeat("[", 9_990) + strings.Repeat("]", 9_990),
	} {
		for _, ch := range begun() {
			a.wrongAnswer(answer[:min(len(answer), 40)], ch.get("id"), answer)
		}
	}
	for _, ch := range begun() {
		for range 6 { // more than a challenge takes
			a.answer(ch.get("id"), `null`, 422, "invalid_request_parameters")
			a.answer(ch.get("id"), `"`+strings.Repeat("x", 1<<20)+`"`, 413, "payload_too_large")
			a.answer(ch.get("id"), strings.Repeat("[", 20_000)+strings.Repeat("]", 20_000), 400, "invalid_json")
			a.answer(ch.get("id"), `{"id":`, 400, "invalid_json")
			a.answer(ch.get("id"), "\"\xff\"", 400, "invalid_json")
		}
	}
	ch := a.challenger(false)(f, ``, 201, "")
	if v := a.answer(ch.get("id"), a.made(key.Get(ch.options(t))), 201, ""); v["valid"] != true {
		t.Errorf("the right answer after all that: %v", v)
	}
}

// TestPasskeyHTTPOtherKind: a code where an answer belongs, and an answer where a code does,
// are wrong and not counted. Both or neither are refused.
func TestPasskeyHTTPOtherKind(t *testing.T) {
	a, key := servePasskeys(t), passkeytest.New(pageOrigin)
	f, app := a.registered("user_1", key), a.enrollUser("user_2")
	ch, asked := a.challenger(false)(f, ``, 201, ""), a.challenger(false)(app, ``, 201, "")
	right, code := a.made(key.Get(ch.options(t))), a.right(app)
	for range 10 { // more than a challenge takes
		if v := a.verifier(false)(ch.get("id"), code, 201, ""); v["valid"] != false {
			t.Errorf("a code for a passkey: %v", v)
		}
		a.wrongAnswer("an answer for an app", asked.get("id"), right)
		a.wrongAnswer("a code as an answer", asked.get("id"), `"`+code+`"`)
		for _, id := range []string{ch.get("id"), asked.get("id")} {
			path := "/auth/challenges/" + id + "/verify"
			a.call("POST", path, `{"code":"`+code+`","answer":`+right+`}`, 422, "invalid_request_parameters")
			a.call("POST", path, `{"code":"","answer":null}`, 422, "invalid_request_parameters")
			a.call("POST", path, `{}`, 422, "invalid_request_parameters")
		}
	}
	if v := a.answer(ch.get("id"), right, 201, ""); v["valid"] != true {
		t.Errorf("the answer: %v", v)
	}
	if v := a.verifier(false)(asked.get("id"), code, 201, ""); v["valid"] != true {
		t.Errorf("the code: %v", v)
	}
}

// TestPasskeyHTTPAgain: an answer that was lost is given again to who has the key of the
// call, and to nobody else.
func TestPasskeyHTTPAgain(t *testing.T) {
	a, key := servePasskeys(t), passkeytest.New(pageOrigin)
	f, call := a.registered("user_1", key), with("Idempotency-Key", "key")
	ch := a.challenger(false)(f, ``, 201, "", call)
	if again := a.challenger(false)(f, ``, 201, "", call); string(again.options(t)) != string(ch.options(t)) {
		t.Error("other options for the same call")
	}
	right := a.made(key.Get(ch.options(t)))
	for range 2 {
		if v := a.answer(ch.get("id"), right, 201, "", call); v["valid"] != true {
			t.Errorf("the same call: %v", v)
		}
	}
	a.answer(ch.get("id"), `{}`, 400, "idempotency_key_reused", call)
	a.answer(ch.get("id"), right, 422, "authentication_challenge_previously_verified")
	if again := a.challenger(false)(f, ``, 201, "", call); again["options"] != nil {
		t.Error("options of a challenge that was answered")
	}
}

// TestPasskeyHTTPParams: what no passkey can be enrolled with.
func TestPasskeyHTTPParams(t *testing.T) {
	a := servePasskeys(t)
	saves := len(a.store.Calls("Save"))
	for _, params := range []string{
		`null`, `""`, `"alan"`, `7`, `[]`, `{}`, `{"label":""}`, `{"label":null}`, `{"label":7}`, `{"label":"a\nb"}`,
		`{"label":"` + strings.Repeat("x", 65) + `"}`, `{"label":"` + strings.Repeat("x", 17<<10) + `"}`,
		strings.Repeat("[", 8_000) + strings.Repeat("]", 8_000),
	} {
		a.call("POST", "/auth/factors/enroll", `{"type":"webauthn","user_id":"user_1","params":`+params+`}`, 422, "invalid_request_parameters")
	}
	if n := len(a.store.Calls("Save")); n != saves {
		t.Errorf("%d saves", n-saves)
	}
}
