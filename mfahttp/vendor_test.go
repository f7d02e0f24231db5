package mfahttp_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/mfahttp"
)

// The tests of this file are of what the vendor's SDKs can send and can read: no
// member, query or header of ours is among it.

// challengeBodies are what the SDKs send where the caller names no template.
var challengeBodies = map[string]string{
	"Node and Go v10": `{}`, "Go v10 without parameters": `null`, "Go v4": `{"sms_template":""}`,
	"Python v4 and Ruby v5": `{"sms_template":null}`, "PHP v6": `[]`, "nothing": ``,
}

// enrollBodies are what the SDKs of 2026 send to enroll a factor for a user, by type.
var enrollBodies = map[mfa.FactorType]string{
	mfa.TypeTOTP: `{"type":"totp","totp_issuer":"Foo Corp",` +
		`"totp_user":"alan.turing@foo-corp.com","user_id":"user_1"}`,
	mfa.TypeSMS:        `{"type":"sms","phone_number":"` + phone + `","user_id":"user_1"}`,
	mfa.TypeGenericOTP: `{"type":"generic_otp","user_id":"user_1"}`,
}

// enrollFor enrolls a factor of a type as an SDK does, and gives what the person has.
func (r *rig) enrollFor(kind mfa.FactorType) factor {
	r.t.Helper()
	a := r.post("/auth/factors/enroll", enrollBodies[kind]).must(r.t, 201)
	return factor{id: a.get("id"), secret: a.get("totp.secret"), number: a.get("sms.phone_number")}
}

// answer is the code that the person types for a challenge.
func (r *rig) answer(f factor, ch answer) string {
	if code := ch.get("code"); code != "" {
		return code
	}
	return r.right(f)
}

// listed are the ids of a user's factors that an SDK is shown.
func (r *rig) listed(query string) (ids []string) {
	r.t.Helper()
	a := r.call("GET", "/user_management/users/user_1/auth_factors"+query, "").must(r.t, 200)
	for _, f := range a.json["data"].([]any) {
		ids = append(ids, f.(map[string]any)["id"].(string))
	}
	return ids
}

// TestSecondFactor: a user with a confirmed app confirms a second factor of each type with
// what an SDK can send, whose challenge has no "confirm".
func TestSecondFactor(t *testing.T) {
	for kind := range enrollBodies {
		for name, body := range challengeBodies {
			t.Run(string(kind)+", "+name, func(t *testing.T) {
				r := newRig(t)
				app := r.userTOTP("user_1", "app")
				second := r.enrollFor(kind)
				if got := r.listed(""); !slices.Equal(got, []string{app.id}) {
					t.Errorf("before it is confirmed %q are listed", got)
				}
				ch := r.post("/auth/factors/"+second.id+"/challenge", body).must(t, 201)
				if v := r.verify(ch.get("id"), r.answer(second, ch)); !v.valid() {
					t.Fatalf("the right code: %s", v.text)
				}
				if got := r.listed(""); !slices.Equal(got, []string{second.id, app.id}) {
					t.Errorf("%q are listed, want %q", got, []string{second.id, app.id})
				}
				r.clock.Advance(2 * time.Hour) // and a login
				ch = r.post("/auth/factors/"+second.id+"/challenge", body).must(t, 201)
				if v := r.verify(ch.get("id"), r.answer(second, ch)); !v.valid() {
					t.Fatalf("a login: %s", v.text)
				}
			})
		}
	}
}

// TestSecondFactorLegacy: the same by the paths of before July 2022, one of which the SDK
// for .NET of version 2 still has.
func TestSecondFactorLegacy(t *testing.T) {
	for kind := range enrollBodies {
		r := newRig(t)
		r.userTOTP("user_1", "app")
		second := r.enrollFor(kind)
		ch := r.post(
			"/auth/factors/challenge",
			`{"authentication_factor_id":"`+second.id+`","sms_template":null}`,
		).must(
			t,
			201,
		)
		if v := r.post(
			"/auth/factors/verify",
			`{"authentication_challenge_id":"`+ch.get("id")+`","code":"`+r.answer(second, ch)+`"}`,
		); !v.valid() {
			t.Errorf("%s: %s", kind, v.text)
		}
	}
}

const confirmHint = ` To confirm it, send "confirm": true, ` +
	`which can be left out within an hour of the enrolment.`

// TestConfirmWithinAnHour: an hour after the enrolment, only who says so confirms.
func TestConfirmWithinAnHour(t *testing.T) {
	unconfirmed := func(f factor) string {
		return "The authentication factor '" + f.id + "' has not been confirmed yet."
	}
	for after, want := range map[time.Duration]int{
		0: 201, time.Hour: 201, time.Hour + time.Millisecond: 422, 23 * time.Hour: 422,
	} {
		r := newRig(t)
		r.userTOTP("user_1", "app")
		second := r.enrollFor(mfa.TypeGenericOTP)
		r.clock.Advance(after)
		for path, body := range map[string]string{
			"/auth/factors/" + second.id + "/challenge": `{"confirm":null}`,
			"/auth/factors/challenge":                   `{"authentication_factor_id":"` + second.id + `"}`,
		} {
			before := r.did()
			a := r.post(path, body)
			if want == 201 {
				a.must(t, 201)
				continue
			}
			a.refuses(t, 422, "authentication_factor_unverified", unconfirmed(second)+confirmHint, "", 0)
			if r.did() != before {
				t.Error("a refused challenge did something")
			}
		}
		path := "/auth/factors/" + second.id + "/challenge"
		r.post(
			path,
			`{"confirm":false}`,
		).refuses(
			t,
			422,
			"authentication_factor_unverified",
			unconfirmed(second)+confirmHint,
			"",
			0,
		)
		ch := r.post(path, `{"confirm":true}`).must(t, 201)
		if v := r.verify(ch.get("id"), ch.get("code")); !v.valid() {
			t.Error(v.text)
		}
	}

	// The service's clock counts, and another server's may be a second behind.
	r := newRig(t)
	r.userTOTP("user_1", "app")
	second := r.enrollFor(mfa.TypeGenericOTP)
	r.clock.Advance(-time.Second)
	r.challenge(second).must(t, 201)

	// The first factor of a user and one of nobody keep no other out: no hour holds.
	for _, body := range []string{enrollBodies[mfa.TypeGenericOTP], `{"type":"generic_otp"}`} {
		r := newRig(t)
		f := factor{id: r.post("/auth/factors/enroll", body).must(t, 201).get("id")}
		r.clock.Advance(23 * time.Hour)
		r.challenge(f).must(t, 201)
		r.post("/auth/factors/"+f.id+"/challenge", `{"confirm":false}`).must(t, 201)
	}
}

// TestConfirmOfStranger: what was enrolled without proof, beside this API, before its
// owner had a factor, is not confirmed by this API either.
func TestConfirmOfStranger(t *testing.T) {
	r := newRig(t)
	enr, err := r.svc.Enroll(t.Context(), mfa.EnrollParams{UserID: "user_1", GenericOTP: true})
	if err != nil {
		t.Fatal(err)
	}
	r.userTOTP("user_1", "app")
	path := "/auth/factors/" + enr.Factor.ID + "/challenge"
	if a := r.post(path, `{}`); a.status < 400 {
		t.Errorf("%d %s", a.status, a.text)
	}
	if a := r.post(
		path,
		`{"confirm":true}`,
	); a.status < 400 ||
		strings.Contains(a.get("message"), confirmHint) {
		t.Errorf("%d %s", a.status, a.text)
	}
	// Nor does the library confirm anything that is not asked to: the hour is this API's.
	second := r.enrollFor(mfa.TypeGenericOTP)
	if _, err := r.svc.Challenge(
		t.Context(),
		mfa.ChallengeParams{FactorID: second.id, UserID: mfa.AnyUser},
	); !errors.Is(
		err,
		mfa.ErrFactorUnverified,
	) {
		t.Errorf("error %v", err)
	}
}

// TestConfirmAgain: a challenge that confirmed without saying so is the same when it is sent
// again: after the factor was confirmed, and after the hour.
func TestConfirmAgain(t *testing.T) {
	r := newRig(t)
	r.userTOTP("user_1", "app")
	second, key := r.enrollFor(mfa.TypeSMS), with("Idempotency-Key", "key")
	path := "/auth/factors/" + second.id + "/challenge"
	r.clock.Advance(time.Hour)
	first := r.post(path, `{}`, key).must(t, 201)
	again := func(when string) {
		t.Helper()
		before := r.did()
		if a := r.post(path, `null`, key); a.status != 201 || a.text != first.text || r.did() != before {
			t.Errorf("%s: %d %s, want %s", when, a.status, a.text, first.text)
		}
		for _, body := range []string{`{"confirm":true}`, `{"sms_template":"It is {{code}}."}`} {
			if a := r.post(path, body, key); a.status != 400 || a.get("code") != "idempotency_key_reused" {
				t.Errorf("%s, %s: %d %s", when, body, a.status, a.text)
			}
		}
	}
	again("at once")
	r.clock.Advance(time.Minute)
	again("after the hour")
	if v := r.verify(first.get("id"), r.right(second)); !v.valid() {
		t.Fatal(v.text)
	}
	again("after it was confirmed")
	if r.sms.Sends() != 1 {
		t.Errorf("%d messages", r.sms.Sends())
	}
}

// TestListOfVendorTypes: SDKs fail on a list with a type that they do not know, so a set
// of recovery codes is listed only for who asks, on every page.
func TestListOfVendorTypes(t *testing.T) {
	r := newRig(t)
	var vendors []string
	for _, kind := range []mfa.FactorType{mfa.TypeTOTP, mfa.TypeSMS, mfa.TypeGenericOTP} {
		f := r.enrollFor(kind)
		ch := r.challenge(f).must(t, 201)
		if v := r.verify(ch.get("id"), r.answer(f, ch)); !v.valid() {
			t.Fatal(v.text)
		}
		r.clock.Advance(time.Minute)
		vendors = append(vendors, f.id)
		if kind == mfa.TypeTOTP { // the codes are in the middle
			vendors = append(
				vendors,
				r.post(
					"/auth/factors/enroll",
					`{"type":"recovery_codes","user_id":"user_1"}`,
				).must(
					t,
					201,
				).get(
					"id",
				),
			)
			r.clock.Advance(time.Minute)
		}
	}
	all, paper := slices.Clone(vendors), vendors[1]
	vendors = slices.Delete(vendors, 1, 2)
	const path = "/user_management/users/user_1/auth_factors"
	for query, want := range map[string][]string{
		"?order=asc": vendors, "?order=asc&limit=10": vendors, "?order=asc&types=all": all,
		"?order=asc&limit=2": vendors[:2], "?order=asc&limit=2&types=all": all[:2],
		"?order=asc&after=" + vendors[0]: vendors[1:], "?order=asc&after=" + paper: vendors[1:],
		"?order=asc&types=all&after=" + paper:   all[2:],
		"?order=asc&types=all&before=" + all[2]: all[:2],
		"?order=asc&before=" + all[2]:           vendors[:1],
	} {
		if got := r.listed(query); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
	if a := r.call("GET", path+"?limit=3", ""); a.get("list_metadata.after") != "" {
		t.Errorf("three factors fill a page of three, and another follows: %s", a.text)
	}
	for _, query := range []string{
		"types=", "types", "types=ALL", "types=vendor", "types=totp", "types=all&types=all", "type=all",
	} {
		if a := r.call(
			"GET",
			path+"?"+query,
			"",
		); a.status != 422 ||
			a.get("code") != "invalid_request_parameters" {
			t.Errorf("%s: %d %s", query, a.status, a.text)
		}
	}
	r.call("GET", "/auth/factors/"+paper, "").must(t, 200) // by its id it is there
}

// TestListOfOtherTypes: with types=all each type is listed, those of Config.Methods as well:
// a user who has no other factor must not look like one without a second factor.
func TestListOfOtherTypes(t *testing.T) {
	r := newRig(t, func(c *mfa.Config, _ *mfahttp.Config) {
		c.Methods = []mfa.Method{{Type: "toy", Ceremony: agreeing{}}}
	})
	enr, err := r.svc.Enroll(t.Context(), mfa.EnrollParams{
		UserID: "user_1", Method: &mfa.MethodParams{Type: "toy"},
	})
	if err != nil {
		t.Fatal(err)
	}
	ch, err := r.svc.Challenge(t.Context(), mfa.ChallengeParams{
		FactorID: enr.Factor.ID, UserID: "user_1", Confirm: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.svc.Verify(t.Context(), mfa.VerifyParams{
		ChallengeID: ch.ID, UserID: "user_1", Answer: []byte("yes"),
	}); err != nil {
		t.Fatal(err)
	}
	if got := r.listed("?types=all"); !slices.Equal(got, []string{enr.Factor.ID}) {
		t.Errorf("all: %q", got)
	}
	if got := r.listed(""); len(got) != 0 {
		t.Errorf("for an SDK: %q", got)
	}
}

// agreeing is a ceremony to which every answer is right.
type agreeing struct{}

func (agreeing) Enroll(params []byte) ([]byte, error)           { return params, nil }
func (agreeing) Describe([]byte) (amr []string, details []byte) { return nil, nil }
func (agreeing) Begin(mfa.MethodFactor, []mfa.MethodFactor) (options, kept []byte, err error) {
	return []byte("{}"), nil, nil
}
func (agreeing) Claims(_, _ []byte) string { return "" }
func (agreeing) Finish(mfa.MethodFactor, []byte, []byte) ([]byte, error) {
	return []byte("state"), nil
}

// TestRequestIDOnTheWire: PHP's SDK of version 4 looks for the name as it is sent, in
// lower case. There is one such header, also where a handler around has set its own.
func TestRequestIDOnTheWire(t *testing.T) {
	r := newRig(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("X-Request-Id", "mine")
		r.ServeHTTP(w, req)
	}))
	defer server.Close()
	for _, path := range []string{"/auth/factors/auth_factor_" + ulid, "/nowhere"} {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = fmt.Fprintf(
			conn,
			"GET %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nConnection: close\r\n\r\n",
			path,
			apiKey,
		)
		text, err := io.ReadAll(conn)
		_ = conn.Close()
		if err != nil {
			t.Fatal(err)
		}
		head, _, _ := strings.Cut(string(text), "\r\n\r\n")
		var ids []string
		for line := range strings.SplitSeq(head, "\r\n") {
			if name, value, _ := strings.Cut(line, ": "); strings.EqualFold(name, "x-request-id") {
				ids = append(ids, name)
				if !uuid.MatchString(value) {
					t.Errorf("%s: the id %q", path, value)
				}
			}
		}
		if !slices.Equal(ids, []string{"x-request-id"}) {
			t.Errorf("%s: headers %q, want x-request-id once\n%s", path, ids, head)
		}
	}
}

// TestIssuer: New takes exactly the issuers that an enrolment takes.
func TestIssuer(t *testing.T) {
	r := newRig(t)
	build := func(issuer string) (http.Handler, error) {
		return mfahttp.New(mfahttp.Config{Service: r.svc, APIKeys: []string{apiKey}, Issuer: issuer})
	}
	for _, issuer := range []string{
		"Foo Corp", "Star Trek: Website", ":", "مثال", "日本", strings.Repeat("x", 64),
		strings.Repeat("x", 65), strings.Repeat("日", 64), "a\u202eb", "a\nb", "a\x00b", "\xff", " ",
		"\u00a0", "a\u200db", "a&b",
	} {
		_, enrolling := r.svc.Enroll(
			t.Context(),
			mfa.EnrollParams{UserID: "user_1", TOTP: &mfa.TOTPParams{Issuer: issuer, User: "user_1"}},
		)
		h, err := build(issuer)
		if (err == nil) != (enrolling == nil) || (h == nil) != (err != nil) {
			t.Errorf("%.40q: New says %v, an enrolment %v", issuer, err, enrolling)
		}
	}
	if _, err := build(""); err != nil {
		t.Errorf("none: %v", err)
	}
	const want = "mfahttp: Config.Issuer: The TOTP issuer must have at most 64 characters."
	if _, err := build(strings.Repeat("x", 65)); err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	if n := len(r.store.Calls("Save")); n == 0 {
		t.Error("no enrolment was tried")
	}
	before := r.did()
	if _, err := build("Foo Corp"); err != nil || r.did() != before {
		t.Errorf("New stored something, or failed: %v", err)
	}
}

// TestDefaultLabel: a user id that is no label by itself makes one, which a client that
// gives its own has not.
func TestDefaultLabel(t *testing.T) {
	long := strings.Repeat("0123456789", 25)
	for id, want := range map[string]string{
		"user_1":                "user_1",
		"google-oauth2:123":     "google-oauth2-123",
		"a:b:c":                 "a-b-c",
		long:                    long[:63] + "…",
		long[:64]:               long[:64],
		long[:65]:               long[:63] + "…",
		long[:62] + "  " + "x":  long[:62] + "…",
		strings.Repeat("я", 80): strings.Repeat("я", 63) + "…",
		"a\u202eb\u200b":        "ab", // shown in another order, and not at all
		"a\u2028b":              "ab",
		" alan ":                "alan",
		"\u200b":                "user",
		" ":                     "user",
		"\u3000:\u3000":         "-",
	} {
		r := newRig(t, func(_ *mfa.Config, c *mfahttp.Config) { c.Issuer = "Foo" })
		path := "/user_management/users/" + url.PathEscape(id) + "/auth_factors"
		a := r.post(path, `{"type":"totp"}`)
		got := a.get("authentication_factor.totp.user")
		if a.status != 201 || got != want || a.get("authentication_factor.user_id") != id {
			t.Errorf("%.40q: %d, the label %q, want %q: %.200s", id, a.status, got, want, a.text)
		}
		if utf8.RuneCountInString(got) > 64 ||
			strings.ContainsFunc(
				got,
				func(r rune) bool { return r == ':' || unicode.In(r, unicode.C, unicode.Zl, unicode.Zp) },
			) {
			t.Errorf("%.40q: the label %q", id, got)
		}
		r.post(path, `{"type":"totp","totp_user":"`+strings.Repeat("x", 65)+`"}`).must(t, 422)
	}
	r := newRig(t, func(_ *mfa.Config, c *mfahttp.Config) { c.Issuer = "Foo" })
	// None of these is a user's id, whatever the label.
	for _, id := range []string{"a%00", "%ff", strings.Repeat("x", 256)} {
		if a := r.post("/user_management/users/"+id+"/auth_factors", `{"type":"totp"}`); a.status != 422 {
			t.Errorf("%.20s: %d %.200s", id, a.status, a.text)
		}
	}
}

// TestErrors: a refusal of parameters has the array that SDKs expose, and no other has
// it. Node shows the codes within it in place of the message, so they say what is wrong.
func TestErrors(t *testing.T) {
	r := newRig(t)
	app := r.userTOTP("user_1", "app")
	const users = "/user_management/users/user_1/auth_factors"
	for _, c := range []struct {
		a    answer
		want string
	}{
		{r.post("/auth/factors/enroll", `{}`), `{"code":"invalid_request_parameters",` +
			`"message":"type must be totp, sms, generic_otp or recovery_codes.",` +
			`"errors":[{"code":"type_must_be_totp_sms_generic_otp_or_recovery_codes",` +
			`"message":"type must be totp, sms, generic_otp or recovery_codes."}]}`},
		{r.post("/auth/factors/enroll", `{"type":"totp","totp_issuer":"","totp_user":"alan"}`),
			`{"code":"invalid_request_parameters","message":"The TOTP issuer must not be empty.",` +
				`"errors":[{"code":"totp_issuer_must_not_be_empty",` +
				`"message":"The TOTP issuer must not be empty."}]}`},
		{r.post("/auth/challenges/auth_challenge_"+ulid+"/verify", `{}`),
			`{"code":"invalid_request_parameters","message":"code or answer must be given.",` +
				`"errors":[{"code":"code_or_answer_must_be_given",` +
				`"message":"code or answer must be given."}]}`},
		{r.call("GET", users+"?limit=0", ""), `{"code":"invalid_request_parameters",` +
			`"message":"limit must be from 1 to 100, and order normal, asc or desc.",` +
			`"errors":[{"code":"limit_must_be_from_1_to_100_and_order_normal_asc_or_desc",` +
			`"message":"limit must be from 1 to 100, and order normal, asc or desc."}]}`},
	} {
		if c.a.status != 422 || strings.TrimSpace(c.a.text) != c.want {
			t.Errorf("%d %s\nwant %s", c.a.status, c.a.text, c.want)
		}
	}
	for name, a := range map[string]answer{
		"no JSON": r.post("/auth/factors/enroll", `{`),
		"unknown": r.call("GET", "/auth/factors/x", ""),
		"nowhere": r.call("GET", "/", ""),
		"number":  r.post("/auth/factors/enroll", `{"type":"sms","phone_number":"foo"}`),
		"secret":  r.post(users, `{"type":"totp","totp_issuer":"Foo","totp_secret":"x"}`),
		"key":     r.call("GET", users, "", with("Authorization", "")),
		"used": func() answer {
			id := r.challenge(app).get("id")
			code := r.right(app)
			r.verify(id, code).must(t, 201)
			return r.verify(id, code)
		}(),
	} {
		if _, there := a.json["errors"]; there || a.status < 400 {
			t.Errorf("%s: %d %s", name, a.status, a.text)
		}
	}
}
