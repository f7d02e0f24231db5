package mfahttp_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/mfahttp"
)

// The tests of this file enroll and use a type of mfa.Config.Methods. internal/itest does
// the same with passkeys.

// toy is a type whose challenge has a word, and whose right answer is that word. It tells
// what it got: the text of its params in the options, and that of the last right answer in
// the details.
type toy struct{}

// toyOptions are what a toy asks.
type toyOptions struct {
	Word   string   `json:"word"`
	Params string   `json:"params"`
	Of     []string `json:"of"` // the confirmed factors that may answer
}

// Enroll keeps the text of its params. Some of them decide what the type does later.
func (toy) Enroll(params []byte) ([]byte, error) {
	switch {
	case params == nil:
		return []byte("enrolled none"), nil
	case string(params) == `"refused"`:
		return nil, errors.New("the toy is broken")
	}
	return append([]byte("enrolled "), params...), nil
}

func (toy) Begin(
	f mfa.MethodFactor, siblings []mfa.MethodFactor,
) (options, kept []byte, err error) {
	params, _ := strings.CutPrefix(string(f.State), "enrolled ")
	switch params {
	case `"no JSON"`:
		return []byte(`{"word":"tell nobody"`), nil, nil
	case `"no UTF-8"`:
		return []byte("\"tell nobody\xff\""), nil, nil
	case `"no options"`:
		return nil, nil, nil
	case `"a list"`:
		return []byte(" [ 1.0, \"<&>\" ] "), nil, nil
	case `"no challenge"`:
		return nil, nil, errors.New("the toy is out of order")
	}
	asks := toyOptions{Word: "a word of " + f.ID, Params: params}
	for _, one := range append(siblings, f) {
		if one.Verified {
			asks.Of = append(asks.Of, one.ID)
		}
	}
	options, err = json.Marshal(asks)
	return options, options, err
}

func (toy) Claims(_, answer []byte) string {
	var a struct{ Of string }
	_ = json.Unmarshal(answer, &a) // without one it is the factor that was challenged
	return a.Of
}

func (toy) Finish(_ mfa.MethodFactor, kept, answer []byte) ([]byte, error) {
	var asked toyOptions
	var a struct{ Word string }
	if err := errors.Join(json.Unmarshal(kept, &asked), json.Unmarshal(answer, &a)); err != nil {
		return nil, err
	}
	if a.Word != asked.Word {
		return nil, errors.New("another word")
	}
	return append([]byte("answered "), answer...), nil
}

func (toy) Describe(state []byte) (amr []string, details []byte) {
	if string(state) == `enrolled "told at once"` {
		return nil, []byte(`{"at":{"once":{}}}`)
	}
	answer, answered := strings.CutPrefix(string(state), "answered ")
	if !answered {
		return nil, nil
	}
	text, err := json.Marshal(answer)
	if err != nil {
		return nil, nil
	}
	return []string{"user"}, fmt.Appendf(nil, `{"answered":%s}`, text)
}

func withToys(c *mfa.Config, _ *mfahttp.Config) {
	c.Methods = []mfa.Method{{Type: "toy", Ceremony: toy{}}}
}

// toy enrolls one of a user, "" for nobody.
func (r *rig) toy(userID, params string) factor {
	r.t.Helper()
	body := `{"type":"toy","user_id":"` + userID + `","params":` + params + `}`
	return factor{id: r.post("/auth/factors/enroll", body).must(r.t, 201).get("id")}
}

// verifiedToy is a confirmed one.
func (r *rig) verifiedToy(userID string) factor {
	r.t.Helper()
	f := r.toy(userID, "{}")
	if v := r.answers(r.challenge(f).must(r.t, 201)); !v.valid() {
		r.t.Fatal(v.text)
	}
	r.clock.Advance(time.Minute)
	return f
}

// answers gives the right answer to a challenge.
func (r *rig) answers(ch answer, change ...func(*http.Request)) answer {
	r.t.Helper()
	return r.give(ch.get("id"), `{"word":"`+ch.get("options.word")+`"}`, change...)
}

// give answers a challenge.
func (r *rig) give(challengeID, text string, change ...func(*http.Request)) answer {
	r.t.Helper()
	return r.post("/auth/challenges/"+challengeID+"/verify", `{"answer":`+text+`}`, change...)
}

// TestMethod: a factor of another type is enrolled, confirmed, and answered for at a login.
// Options are in the answer of challenge alone.
func TestMethod(t *testing.T) {
	const (
		factor    = "object id created_at updated_at user_id name status type"
		challenge = "object id created_at updated_at expires_at authentication_factor_id " +
			"options options.word options.params options.of"
		verification = "challenge challenge.object challenge.id challenge.created_at " +
			"challenge.updated_at challenge.expires_at challenge.authentication_factor_id valid"
	)
	r := newRig(t, withToys)
	enrolled := r.post("/auth/factors/enroll",
		`{"type":"toy","user_id":"user_1","name":"blue","params":{"a":1}}`).must(t, 201)
	if enrolled.members() != factor || enrolled.get("type") != "toy" ||
		enrolled.get("status") != "unverified" || enrolled.get("user_id") != "user_1" {
		t.Fatal(enrolled.text)
	}
	id := enrolled.get("id")
	for _, status := range []string{"unverified", "verified"} {
		if got := r.call("GET", "/auth/factors/"+id, "").get("status"); got != status {
			t.Errorf("status %s, want %s", got, status)
		}
		ch := r.post("/auth/factors/"+id+"/challenge", `{}`).must(t, 201)
		if ch.members() != challenge || ch.get("options.word") != "a word of "+id {
			t.Errorf("%s: %s", status, ch.text)
		}
		if v := r.give(ch.get("id"), `{}`); v.valid() || v.members() != verification {
			t.Errorf("%s, a wrong answer: %s", status, v.text)
		}
		if v := r.answers(ch); !v.valid() || v.members() != verification {
			t.Errorf("%s, the right answer: %s", status, v.text)
		}
		r.answers(ch).refuses(t, 422, "authentication_challenge_previously_verified",
			"The authentication challenge '"+ch.get("id")+"' has already been verified.", "", 0)
	}
	got := r.call("GET", "/auth/factors/"+id, "").must(t, 200)
	if got.members() != factor+" details details.answered" {
		t.Error(got.text)
	}
}

// TestMethodOfNobody: the hosted API names a user in some calls only.
func TestMethodOfNobody(t *testing.T) {
	r := newRig(t, withToys)
	for _, user := range []string{``, `"user_id":null,`, `"user_id":"",`} {
		a := r.post("/auth/factors/enroll", `{`+user+`"type":"toy"}`).must(t, 201)
		f := factor{id: a.get("id")}
		if _, owned := a.json["user_id"]; owned || !r.answers(r.challenge(f)).valid() {
			t.Errorf("%s: %s", user, a.text)
		}
	}
}

// TestMethodLegacy: the paths of before July 2022 take an answer too.
func TestMethodLegacy(t *testing.T) {
	r := newRig(t, withToys)
	f := r.toy("user_1", "{}")
	ch := r.post("/auth/factors/challenge",
		`{"authentication_factor_id":"`+f.id+`"}`).must(t, 201)
	v := r.post("/auth/factors/verify", `{"authentication_challenge_id":"`+ch.get("id")+
		`","answer":{"word":"`+ch.get("options.word")+`"}}`)
	if !v.valid() {
		t.Error(v.text)
	}
}

// TestMethodParams: the type gets the text of the member as it was sent.
func TestMethodParams(t *testing.T) {
	const odd = `{ "a" : 1.0e2, "b":"\u0041<", "a":null }`
	r := newRig(t, withToys)
	for member, want := range map[string]string{
		``: "none", `,"params":null`: "none", `,"Params":{}`: "none",
		`,"params":{}`: `{}`, `,"params":[]`: `[]`, `,"params":""`: `""`, `,"params":"x"`: `"x"`,
		`,"params":0`: `0`, `,"params":false`: `false`,
		`,"params": ` + odd + ` `: odd,
	} {
		a := r.post("/auth/factors/enroll", `{"type":"toy"`+member+`}`).must(t, 201)
		if got := r.challenge(factor{id: a.get("id")}).get("options.params"); got != want {
			t.Errorf("%s: the type got %q, want %q", member, got, want)
		}
	}
}

// TestAnswerText: so it does of an answer.
func TestAnswerText(t *testing.T) {
	r := newRig(t, withToys)
	f := r.toy("user_1", "{}")
	ch := r.challenge(f)
	text := `{ "word" : "` + ch.get("options.word") + `", "n":1.0e2, "s":"\u0041<" }`
	if v := r.give(ch.get("id"), ` `+text+` `); !v.valid() {
		t.Fatal(v.text)
	}
	if got := r.call("GET", "/auth/factors/"+f.id, "").get("details.answered"); got != text {
		t.Errorf("the type got %s, want %s", got, text)
	}
}

// TestMethodParamsRefused: nothing is stored, and the message says what the type says.
func TestMethodParamsRefused(t *testing.T) {
	r := newRig(t, withToys)
	before := r.did()
	r.post("/auth/factors/enroll", `{"type":"toy","params":"refused"}`).refuses(t, 422,
		"invalid_request_parameters", "The Params of Method were refused: the toy is broken.", "", 0)
	r.post("/auth/factors/enroll",
		`{"type":"toy","params":"`+strings.Repeat("x", 16<<10)+`"}`).refuses(t, 422,
		"invalid_request_parameters", "The Params of Method must have at most 16384 bytes.", "", 0)
	if r.did() != before {
		t.Error("something was stored")
	}
}

// TestParamsOfOtherTypes: nobody asks for them, so that they are ignored, whatever they are.
func TestParamsOfOtherTypes(t *testing.T) {
	r := newRig(t, withToys)
	for _, params := range []string{`{}`, `"refused"`, `7`, `[[]]`} {
		for _, rest := range []string{
			enrollTOTP[1:], `"type":"sms","phone_number":"` + phone + `"}`, `"type":"generic_otp"}`,
			`"type":"recovery_codes","user_id":"user_1"}`,
		} {
			r.post("/auth/factors/enroll", `{"params":`+params+`,`+rest).must(t, 201)
		}
		r.post("/user_management/users/user_1/auth_factors",
			`{"type":"totp","totp_issuer":"Foo Corp","params":`+params+`}`).must(t, 201)
	}
}

// TestUnknownType: the message lists what the server has.
func TestUnknownType(t *testing.T) {
	const builtIn = "type must be totp, sms, generic_otp"
	for want, methods := range map[string][]mfa.Method{
		builtIn + " or recovery_codes.":      nil,
		builtIn + ", recovery_codes or toy.": {{Type: "toy", Ceremony: toy{}}},
		builtIn + ", recovery_codes, b_2 or toy.": {
			{Type: "b_2", Ceremony: toy{}}, {Type: "toy", Ceremony: toy{}},
		},
	} {
		r := newRig(t, func(c *mfa.Config, _ *mfahttp.Config) { c.Methods = methods })
		for _, member := range []string{
			``, `"type":null`, `"type":""`, `"type":"toys"`, `"type":"TOY"`, `"type":"toy "`,
			`"type":"passkey","params":{"label":"ann"}`, `"type":"` + strings.Repeat("x", 60_000) + `"`,
		} {
			before := len(r.store.Calls())
			r.post("/auth/factors/enroll", `{`+member+`}`).refuses(
				t, 422, "invalid_request_parameters", want, "", 0)
			if n := len(r.store.Calls()); n != before {
				t.Errorf("%.50s: %d calls of the store", member, n-before)
			}
		}
		r.post("/user_management/users/user_1/auth_factors", `{"type":"toy"}`).refuses(
			t, 422, "invalid_request_parameters", "type must be totp.", "", 0)
	}
}

// TestCodeOrAnswer: exactly one of them is given. null is none, as an empty code is.
func TestCodeOrAnswer(t *testing.T) {
	const (
		neither = "code or answer must be given."
		both    = "code and answer must not be given together."
	)
	r := newRig(t, withToys)
	id := r.challenge(r.toy("user_1", "{}")).get("id")
	before := len(r.store.Calls())
	for members, want := range map[string]string{
		`"x":1`: neither, `"code":""`: neither, `"code":null`: neither, `"answer":null`: neither,
		`"code":"","answer":null`: neither, `"code":null,"answer":null`: neither,
		`"Answer":{}`:                  neither,
		`"code":"123456","answer":{}`:  both,
		`"code":"123456","answer":""`:  both,
		`"code":"123456","answer":[]`:  both,
		`"code":"123456","answer":0`:   both,
		`"answer":false,"code":"x"`:    both,
		`"answer":{"code":1},"code":7`: "code must be a string.",
	} {
		for path, rest := range map[string]string{
			"/auth/challenges/" + id + "/verify": ``,
			"/auth/factors/verify":               `,"authentication_challenge_id":"` + id + `"`,
		} {
			r.post(path, `{`+members+rest+`}`).refuses(t, 422, "invalid_request_parameters", want, "", 0)
		}
	}
	if n := len(r.store.Calls()); n != before {
		t.Errorf("%d calls of the store", n-before)
	}
	for _, code := range []string{`null`, `""`} {
		ch := r.challenge(r.toy("user_1", "{}"))
		if v := r.post("/auth/challenges/"+ch.get("id")+"/verify",
			`{"code":`+code+`,"answer":{"word":"`+ch.get("options.word")+`"}}`); !v.valid() {
			t.Errorf("code %s beside the answer: %s", code, v.text)
		}
	}
	app := r.totp()
	if v := r.post("/auth/challenges/"+r.challenge(app).get("id")+"/verify",
		`{"answer":null,"code":"`+r.right(app)+`"}`); !v.valid() {
		t.Errorf("no answer beside the code: %s", v.text)
	}
}

// TestAnswerOfOtherKind: a code where an answer belongs, and an answer where a code does,
// are not right, and not counted.
func TestAnswerOfOtherKind(t *testing.T) {
	r := newRig(t, withToys)
	toy, app := r.toy("user_1", "{}"), r.totp()
	toyChallenge, appChallenge := r.challenge(toy), r.challenge(app)
	word, code := toyChallenge.get("options.word"), r.right(app)
	before := r.did()
	for range 10 { // more than a challenge takes
		for name, v := range map[string]answer{
			"a code":               r.verify(toyChallenge.get("id"), "123456"),
			"the word as a code":   r.verify(toyChallenge.get("id"), word),
			"an answer":            r.give(appChallenge.get("id"), `{"word":"`+word+`"}`),
			"the code as one":      r.give(appChallenge.get("id"), `"`+code+`"`),
			"the code as a number": r.give(appChallenge.get("id"), `1`+code),
		} {
			if v.must(t, 201); v.json["valid"] != false {
				t.Errorf("%s: %s", name, v.text)
			}
		}
	}
	if r.did() != before {
		t.Error("something was counted")
	}
	if v := r.answers(toyChallenge); !v.valid() {
		t.Error(v.text)
	}
	if v := r.verify(appChallenge.get("id"), code); !v.valid() {
		t.Error(v.text)
	}
}

// TestWrongAnswers: any JSON value may be sent. Each wrong one counts on the challenge.
func TestWrongAnswers(t *testing.T) {
	r := newRig(t, withToys, func(c *mfa.Config, _ *mfahttp.Config) {
		c.Methods[0].InsecureUnlimited = true // so that the challenge alone counts
	})
	f := r.verifiedToy("user_1")
	for _, text := range []string{
		`"string"`, `""`, `7`, `-0.5e300`, `true`, `false`, `[]`, `{}`, `[null]`, `{"word":null}`,
		`{"word":7}`, `{"WORD":"\u0000"}`, `"\ud800"`, `{"of":"` + f.id + `"}`, `{"of":[]}`,
		strings.Repeat("[", 9_999) + strings.Repeat("]", 9_999),
		`{"word":"` + strings.Repeat("x", 60_000) + `"}`,
	} {
		ch := r.challenge(f)
		for i := range 6 {
			before := r.did()
			v := r.give(ch.get("id"), text)
			switch {
			case i < 5 && (v.status != 201 || v.json["valid"] != false):
				t.Errorf("%.40s: %d %s", text, v.status, v.text)
			case i < 5 && r.did() == before:
				t.Errorf("%.40s was not counted", text)
			case i == 5 && v.get("code") != "one_time_code_too_many_attempts":
				t.Errorf("%.40s: %d %s after five wrong ones", text, v.status, v.text)
			}
		}
	}
	if v := r.answers(r.challenge(f)); !v.valid() {
		t.Error(v.text)
	}
	if r.log.Len() > 0 {
		t.Errorf("it was logged: %s", &r.log)
	}
}

// TestBadAnswers: what is no JSON, or too large, is refused before the type sees it.
func TestBadAnswers(t *testing.T) {
	r := newRig(t, withToys)
	ch := r.challenge(r.toy("user_1", "{}"))
	path := "/auth/challenges/" + ch.get("id") + "/verify"
	nothing(t, r, "POST", path, []try{
		{name: "a megabyte", body: `{"answer":"` + strings.Repeat("x", 1<<20) + `"}`,
			status: 413, code: "payload_too_large"},
		{name: "a byte too many", body: `{"answer":"` + strings.Repeat("x", 64<<10-12) + `"}`,
			status: 413, code: "payload_too_large"},
		{name: "20,000 brackets", body: `{"answer":` + strings.Repeat("[", 20_000) +
			strings.Repeat("]", 20_000) + `}`, status: 400, code: malformed},
		{name: "an answer twice", body: `{"answer":{},"answer":{}}`, status: 400, code: malformed},
		{name: "half an answer", body: `{"answer":{"word":}}`, status: 400, code: malformed},
		{name: "no value", body: `{"answer":}`, status: 400, code: malformed},
		{name: "no UTF-8", body: "{\"answer\":\"\xff\"}", status: 400, code: malformed},
	})
	if v := r.answers(ch); !v.valid() {
		t.Error(v.text)
	}
}

// TestAnswerOfSibling: another factor of the user answers, and the answer says which.
func TestAnswerOfSibling(t *testing.T) {
	r := newRig(t, withToys)
	first, second, other := r.verifiedToy("user_1"), r.verifiedToy("user_1"), r.verifiedToy("user_2")
	ch := r.challenge(first)
	reply := func(of string) answer {
		return r.give(ch.get("id"), `{"word":"`+ch.get("options.word")+`","of":"`+of+`"}`)
	}
	v := reply(second.id)
	if !v.valid() || v.get("challenge.authentication_factor_id") != second.id {
		t.Error(v.text)
	}
	ch = r.challenge(first)
	if v := reply(other.id); v.get("challenge.authentication_factor_id") == other.id {
		t.Errorf("a stranger's factor answered: %s", v.text)
	}
}

// TestOptions: they are shown as the type made them, as far as JSON lets them.
func TestOptions(t *testing.T) {
	r := newRig(t, withToys)
	for params, want := range map[string]string{
		`"no options"`: ``, `"a list"`: `[1.0,"<&>"]`,
	} {
		var shown struct{ Options json.RawMessage }
		ch := r.challenge(r.toy("", params)).must(t, 201)
		if err := json.Unmarshal([]byte(ch.text), &shown); err != nil || string(shown.Options) != want {
			t.Errorf("%s: %s, want %s", params, ch.text, want)
		}
	}
}

// TestOptionsThatAreNoJSON: such a type cannot be used over HTTP. The log says so, without
// the options.
func TestOptionsThatAreNoJSON(t *testing.T) {
	for _, params := range []string{`"no JSON"`, `"no UTF-8"`} {
		r := newRig(t, withToys)
		f := r.toy("user_1", params)
		a := r.challenge(f)
		a.refuses(t, 500, "internal_server_error", "Internal Server Error", "", 0)
		if log := r.log.String(); !strings.Contains(log, "are no JSON") ||
			!strings.Contains(log, "request_id="+a.header.Get("X-Request-Id")) ||
			strings.Contains(log, "tell nobody") {
			t.Errorf("%s: log %s", params, log)
		}
		enr, err := r.svc.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.id, UserID: "user_1"})
		if err != nil {
			t.Fatal(err)
		}
		if text, err := json.Marshal(mfahttp.Challenge{Challenge: enr}); err == nil ||
			strings.Contains(err.Error(), "tell nobody") {
			t.Errorf("%s: an own handler: %s, %v", params, text, err)
		}
	}
}

// TestBeginFails: the type's error is answered with 500, and logged.
func TestBeginFails(t *testing.T) {
	r := newRig(t, withToys)
	r.challenge(r.toy("user_1", `"no challenge"`)).refuses(
		t, 500, "internal_server_error", "Internal Server Error", "", 0)
	if !strings.Contains(r.log.String(), "the toy is out of order") {
		t.Errorf("log %s", &r.log)
	}
}

// TestDetailsAtOnce: a type may tell of a factor before it is confirmed.
func TestDetailsAtOnce(t *testing.T) {
	r := newRig(t, withToys)
	a := r.post("/auth/factors/enroll", `{"type":"toy","params":"told at once"}`).must(t, 201)
	const want = "object id created_at updated_at status type details details.at details.at.once"
	if a.members() != want {
		t.Error(a.text)
	}
}

// TestListOfMethod: SDKs are not told of a type that they do not know. See
// TestListOfOtherTypes.
func TestListOfMethod(t *testing.T) {
	r := newRig(t, withToys)
	app, toy := r.userTOTP("user_1", "app"), r.verifiedToy("user_1")
	r.toy("user_1", "{}") // never confirmed
	for query, want := range map[string][]string{
		"": {app.id}, "?types=all": {toy.id, app.id}, "?types=all&limit=1": {toy.id},
	} {
		if got := r.listed(query); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
	list := r.call("GET", "/user_management/users/user_1/auth_factors?types=all", "")
	if list.get("data.0.details.answered") == "" || list.get("data.0.type") != "toy" {
		t.Error(list.text)
	}
}

// TestAnswerAgain: a call that is sent again with its Idempotency-Key gives the same answer,
// as long as there is one.
func TestAnswerAgain(t *testing.T) {
	r := newRig(t, withToys)
	f, key := r.verifiedToy("user_1"), with("Idempotency-Key", "key")
	ch := r.challenge(f, key).must(t, 201)
	if again := r.challenge(f, key); again.text != ch.text {
		t.Errorf("challenge: %s, then %s", ch.text, again.text)
	}
	first := r.answers(ch, key)
	if again := r.answers(ch, key); !first.valid() || again.text != first.text {
		t.Errorf("verify: %s, then %s", first.text, again.text)
	}
	r.give(ch.get("id"), `{"word":"another"}`, key).refuses(t, 400, "idempotency_key_reused",
		"The idempotency key was used with different request parameters.", "", 0)
	again := r.challenge(f, key).must(t, 201)
	if again.get("id") != ch.get("id") || strings.Contains(again.text, `"options"`) {
		t.Errorf("after it was answered: %s", again.text)
	}
}

// TestReplacesMethod: a factor of another type takes the place of an app.
func TestReplacesMethod(t *testing.T) {
	r := newRig(t, withToys)
	app := r.userTOTP("user_1", "app")
	a := r.post("/auth/factors/enroll",
		`{"type":"toy","user_id":"user_1","replaces":"`+app.id+`"}`).must(t, 201)
	if v := r.answers(r.challenge(factor{id: a.get("id")}).must(t, 201)); !v.valid() {
		t.Fatal(v.text)
	}
	if got := r.listed("?types=all"); !slices.Equal(got, []string{a.get("id")}) {
		t.Errorf("listed: %q", got)
	}
}

// TestOptionsDoNotPrint: what JSON shows on purpose, fmt and slog do not.
func TestOptionsDoNotPrint(t *testing.T) {
	r := newRig(t, withToys)
	f := r.toy("user_1", "{}")
	told, err := r.svc.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.id, UserID: "user_1"})
	if err != nil {
		t.Fatal(err)
	}
	ch := mfahttp.Challenge{Challenge: told}
	for name, v := range map[string]any{
		"Challenge": ch, "*Challenge": &ch, "nested": struct{ c mfahttp.Challenge }{ch},
	} {
		if out := printed(v); strings.Contains(out, "a word") || !strings.Contains(out, ch.ID) {
			t.Errorf("%s shows its options, or nothing", name)
		}
	}
	if text, err := json.Marshal(ch); err != nil || !strings.Contains(string(text), "a word of ") {
		t.Errorf("the JSON %s leaves them out: %v", text, err)
	}
}
