package mfahttp_test

import (
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/authfactor/mfa"
)

// Whatever is asked, the answer is the API's own, a refusal does nothing, and nobody is
// told what another factor's secrets are. In path and body, APP, PHONE, OTHER and TOY stand
// for factors that are there, each with a challenge, APP*, PHONE*, OTHER* and TOY*. WORD is
// the right answer to TOY*.
func FuzzHandler(f *testing.F) {
	const (
		bearer = "Bearer " + apiKey
		isJSON = "application/json"
	)
	for _, s := range [][4]string{
		{"POST", "/auth/factors/enroll", "", enrollTOTP},
		{"POST", "/auth/factors/enroll", "",
			`{"type":"sms","phone_number":"+15005550006","user_id":"user_1"}`},
		{"POST", "/auth/factors/enroll", "",
			`{"type":"generic_otp","name":"push","user_id":"\u0000any user"}`},
		{"POST", "/auth/factors/challenge", "",
			`{"authentication_factor_id":"PHONE","sms_template":"It is {{code}}."}`},
		{"POST", "/auth/factors/verify", "", `{"authentication_challenge_id":"APP*","code":"123456"}`},
		{"GET", "/auth/factors/APP", "", ``},
		{"DELETE", "/auth/factors/OTHER", "", ``},
		{"POST", "/auth/factors/OTHER/challenge", "", `{"confirm":true,"sms_template":null}`},
		{"POST", "/auth/factors/PHONE/challenge", "", `[]`},
		{"POST", "/auth/challenges/OTHER*/verify", "", `{"code":"123 456"}`},
		{"POST", "/auth/challenges/PHONE*/verify", "x=%zz", `{"code":"","c\u006fde":"1"}`},
		{"POST", "/user_management/users/user_1/auth_factors", "", `{"User":"user_1","type":"totp",` +
			`"totp_issuer":"a","totp_secret":"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"}`},
		{"POST", "/user_management/users/user_1/auth_factors", "", `{"type":"sms"}`},
		{"GET", "/user_management/users/user_1/auth_factors",
			"limit=1&order=desc&after=APP&before=PHONE", ``},
		{"GET", "/user_management/users/%00any%20user/auth_factors", "limit=101&userId=1", `null`},
		{"PUT", "/auth/factors/..%2fAPP%00", "", `{"type":[[[[{}]]]]}`},
		{"OPTIONS", "*", "", "\xff"},
		{"POST", "/auth/factors/enroll", "", `{"type":"toy","user_id":"user_1","params":{"a":[1e9]}}`},
		{"POST", "/auth/factors/enroll", "", `{"type":"toy","params":"refused"}`},
		{"POST", "/auth/factors/enroll", "", `{"type":"toys","params":null}`},
		{"POST", "/auth/factors/TOY/challenge", "", `{}`},
		{"POST", "/auth/challenges/TOY*/verify", "", `{"answer":{"word":"WORD"}}`},
		{"POST", "/auth/challenges/TOY*/verify", "", `{"answer": [ "\ud800", {"of":"APP"} ] }`},
		{"POST", "/auth/challenges/TOY*/verify", "", `{"answer":{},"code":"123456"}`},
		{"POST", "/auth/challenges/APP*/verify", "", `{"answer":"123456","code":null}`},
		{"POST", "/auth/factors/verify", "",
			`{"authentication_challenge_id":"TOY*","answer":{"word":"x","of":"PHONE"}}`},
	} {
		f.Add(s[0], s[1], s[2], s[3], bearer, isJSON, "")
		f.Add(s[0], s[1], s[2], s[3], bearer, isJSON, "key")
	}
	f.Add("POST", "/auth/factors/enroll", "", enrollTOTP, "Bearer sk_wrong", isJSON, "")
	f.Add(
		"POST",
		"/auth/factors/enroll",
		"",
		enrollTOTP,
		bearer,
		"text/plain; charset=\"",
		strings.Repeat("k", 256),
	)

	// Made once, because drawing QR codes takes longer than all the rest.
	made := newRig(f, withToys)
	var ids, codes []string
	secret := ""
	for _, p := range []mfa.EnrollParams{
		{Name: "APP", UserID: "user_1", TOTP: &mfa.TOTPParams{Issuer: "Foo Corp", User: "alan"}},
		{Name: "PHONE", UserID: "user_1", SMS: &mfa.SMSParams{PhoneNumber: "+12125551234"}},
		{Name: "OTHER", GenericOTP: true},
		{Name: "TOY", UserID: "user_1", Method: &mfa.MethodParams{Type: "toy", Params: []byte(`{}`)}},
	} {
		p.NoOwner = p.UserID == ""
		enr, err := made.svc.Enroll(f.Context(), p)
		if err != nil {
			f.Fatal(err)
		}
		ch, err := made.svc.Challenge(
			f.Context(),
			mfa.ChallengeParams{
				FactorID:       enr.Factor.ID,
				UserID:         p.UserID,
				IdempotencyKey: "one that nobody knows",
			},
		)
		if err != nil {
			f.Fatal(err)
		}
		ids = append(ids, p.Name+"*", ch.ID, p.Name, enr.Factor.ID)
		if enr.TOTP != nil {
			secret = enr.TOTP.Secret()
		}
		if code := ch.Code(); code != "" {
			codes = append(codes, code)
		}
		if ch.Options() != nil {
			ids = append(ids, "WORD", "a word of "+enr.Factor.ID)
		}
	}
	codes = append(codes, made.sms.Code("+12125551234"))
	if secret == "" || len(codes) < 2 || codes[len(codes)-1] == "" {
		f.Fatal("there are no secrets to look for")
	}
	fill := strings.NewReplacer(ids...).Replace

	f.Fuzz(func(t *testing.T, method, path, query, body, authorization, contentType, key string) {
		r := newRig(t, withToys)
		made.copyTo(r)
		r.clock.Advance(time.Minute) // the phone may be sent a message again
		before := r.did()

		target, err := url.ParseRequestURI(fill(path) + "?" + fill(query))
		if err != nil {
			target = &url.URL{Path: fill(path), RawQuery: fill(query)}
		}
		a := r.send((&http.Request{
			Method: method, URL: target, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
			Body: io.NopCloser(strings.NewReader(fill(body))),
			Header: http.Header{
				"Authorization": {authorization}, "Content-Type": {contentType}, "Idempotency-Key": {key},
			},
		}).WithContext(t.Context()))

		if !slices.Contains([]int{200, 201, 204, 400, 401, 404, 405, 413, 415, 422}, a.status) {
			t.Fatalf("status %d: %s", a.status, a.text)
		}
		if a.status >= 400 && r.did() != before {
			t.Fatalf("%s was stored or sent", a.text)
		}
		if authorization == bearer && a.status == 401 ||
			!strings.Contains(authorization, apiKey) && a.status != 401 {
			t.Fatalf("%q: status %d", authorization, a.status)
		}
		if a.status == 405 &&
			(a.header.Get("Allow") == "" ||
				slices.Contains(strings.Split(a.header.Get("Allow"), ", "), method)) {
			t.Fatalf("%s: Allow %q", method, a.header.Get("Allow"))
		}
		if strings.Contains(a.text, secret) {
			t.Fatalf("somebody's secret: %s", a.text)
		}
		for _, code := range codes {
			if strings.Contains(a.masked(), code) && !strings.Contains(path+body, code) {
				t.Fatalf("somebody's code: %s", a.text)
			}
		}
		// A new code is told, of a factor whose codes the application delivers.
		if a.status < 400 && strings.Contains(a.text, `"code":`) &&
			(a.get("object") != "authentication_challenge" ||
				a.get("authentication_factor_id") != fill("OTHER") || a.get("id") == fill("OTHER*")) {
			t.Fatalf("a code: %s", a.text)
		}
		// So are options, of a factor of the type that has them.
		if _, there := a.json["options"]; there &&
			(a.get("authentication_factor_id") != fill("TOY") || a.get("id") == fill("TOY*")) {
			t.Fatalf("options: %s", a.text)
		}
		// Whatever a type is sent, none but the right answer is right: it has the factor's id.
		if a.valid() && a.get("challenge.authentication_factor_id") == fill("TOY") &&
			!strings.Contains(fill(body), fill("TOY")) {
			t.Fatalf("a right answer: %s", a.text)
		}
		if r.log.Len() > 0 {
			t.Fatalf("it was logged: %s", &r.log)
		}
	})
}

// copyTo puts what is stored into the empty store of another rig.
func (r *rig) copyTo(other *rig) {
	other.t.Helper()
	for _, kind := range []string{"factor", "challenge", "number", "user"} {
		records, err := r.store.Store.List(other.t.Context(), mfa.Query{Kind: kind, Limit: 100})
		if err != nil {
			other.t.Fatal(err)
		}
		for _, rec := range records {
			version := rec.Version
			for rec.Version = 0; rec.Version < version; rec.Version++ {
				if err := other.store.Save(other.t.Context(), mfa.Change{Record: rec}); err != nil {
					other.t.Fatal(err)
				}
			}
		}
	}
}
