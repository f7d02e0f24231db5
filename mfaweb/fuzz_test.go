package mfaweb_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/mfatest"
)

// Whatever is sent to whichever route by somebody who has Ann's password alone, the answer is the
// handler's own, it is no failure, nobody is logged in, and no secret is told. In path, body and
// cookie, QUESTION stands for the question that the thief is asked, COOKIE for its cookie, APP,
// PHONE and PAPER for Ann's factors, and OTHER for one of Bob.
func FuzzHandler(f *testing.F) {
	const form = "application/x-www-form-urlencoded"
	for _, seed := range [][4]string{
		{"POST", "/mfa/challenge", `{"question":"QUESTION","factor_id":"APP"}`, ""},
		{"POST", "/mfa/challenge", `{"question":"QUESTION","factor_id":"PHONE","send_again":true}`, ""},
		{"POST", "/mfa/challenge", `{"question":"QUESTION","factor_id":"OTHER"}`, ""},
		{"POST", "/mfa/cancel", `{"question":"QUESTION"}`, ""},
		{"POST", "/mfa/verify", `{"question":"QUESTION","code":"123 456","trust":true}`, ""},
		{"POST", "/mfa/verify", `{"question":"QUESTION","answer":{"id":"\ud800"},"code":null}`, ""},
		{"POST", "/mfa/verify", `{"question":"QUESTION","c\u006fde":"1","device_name":"\u0000"}`, ""},
		{"POST", "/mfa/enroll", `{"question":"QUESTION","type":"totp","replaces":"APP"}`, ""},
		{"POST", "/mfa/enroll", `{"type":"sms","phone_number":"+15005550006"}`, ""},
		{"POST", "/mfa/rename", `{"factor_id":"APP","name":"x"}`, ""},
		{"POST", "/mfa/remove", `{"factor_id":"PAPER"}`, ""},
		{"POST", "/mfa/recovery-codes", `[]`, ""},
		{"POST", "/mfa/turn-off", `null`, ""},
		{"POST", "/mfa/revoke-device", `{"all":true,"device_id":[[[[]]]]}`, ""},
		{"GET", "/mfa/question", ``, ""},
		{"GET", "/mfa/account", ``, "session=x"},
		{"PUT", "/mfa/question", "\xff", "mfa_question=COOKIE; mfa_question=x"},
		{"POST", "/mfa/..%2fmfa/%00", `{}`, "mfa_question=; mfa_device=a.1.b; mfa_receipt=COOKIE"},
		{"POST", "/pay?amount=1", `{`, "mfa_receipt=COOKIE"},
		{"POST", "/pay-anyhow", ``, "mfa_device=COOKIE"},
		{"POST", "/login", "user=user_ann&password=user_ann", "mfa_question=COOKIE"},
	} {
		contentType := isJSON
		if seed[1] == "/login" {
			contentType = form
		}
		f.Add(seed[0], seed[1], seed[2], seed[3], contentType, "", "", "")
		f.Add(
			seed[0],
			seed[1],
			seed[2],
			"mfa_question=COOKIE; "+seed[3],
			contentType,
			"same-origin",
			"http://example.com",
			"eyJhbGciOiJFZERTQSJ9.e30.AAAA",
		)
	}

	// Made once, because that takes longer than all the rest.
	s := newSite(f)
	a := s.withApp(ann)
	number := mfatest.EnrolledPhone(f, s.svc, s.sms, ann, phone)
	paper, codes := mfatest.EnrolledRecoveryCodes(f, s.svc, ann)
	other := mfatest.Enrolled(f, s.svc, bob)
	delete(s.users, bob) // who would be let in by the password
	s.clock.Advance(time.Hour)
	stored := s.stored()
	began := s.clock.Now()

	f.Fuzz(
		func(t *testing.T, method, path, body, cookie, contentType, site, origin, receipt string) {
			s.TB = t
			s.store.Store = stored(t)
			s.clock.Set(began)
			thief := s.browser()
			q := thief.login(ann).must(http.StatusOK).get("question.id")
			first := members{"question": q, "factor_id": a.id}
			thief.post("/mfa/challenge", first).must(http.StatusOK)
			fill := strings.NewReplacer(
				"QUESTION",
				q,
				"COOKIE",
				thief.cookies["mfa_question"],
				"APP",
				a.id,
				"PHONE",
				number.ID,
				"PAPER",
				paper.ID,
				"OTHER",
				other.Factor.ID,
			).Replace
			before := s.did()

			target, err := url.ParseRequestURI(fill(path))
			if err != nil {
				target = &url.URL{Path: fill(path)}
			}
			w := httptest.NewRecorder()
			s.server.Config.Handler.ServeHTTP(w, (&http.Request{
				Method: method, URL: target, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
				Host: "example.com", RemoteAddr: "192.0.2.1:1234",
				Body: io.NopCloser(strings.NewReader(fill(body))),
				Header: http.Header{
					"Content-Type": {contentType}, "Cookie": {fill(cookie)}, "Mfa-Receipt": {receipt},
					"Sec-Fetch-Site": {site}, "Origin": {origin},
				},
			}).WithContext(t.Context()))

			text := w.Body.String()
			if w.Code >= http.StatusInternalServerError {
				t.Fatalf("status %d: %s", w.Code, text)
			}
			after := s.did()
			for _, code := range around(s, a) {
				if strings.Contains(body, code) { // it was guessed
					return
				}
			}
			if after.logins != before.logins || after.sessions != before.sessions ||
				after.marked != before.marked || after.paid != before.paid ||
				strings.Contains(text, `"logged_in"`) || strings.Contains(text, `"approved"`) {
				t.Fatalf("it was %+v, and is %+v: %s", before, after, text)
			}
			counted := strings.Contains(text, `"invalid_one_time_code"`)
			if w.Code >= http.StatusBadRequest && !counted && after != before {
				t.Fatalf("it was %+v, and is %+v: %s", before, after, text)
			}
			sent := s.smsCode()
			for _, secret := range slices.Concat(codes, []string{a.uri, phone, sent}) {
				if strings.Contains(text, secret) && !strings.Contains(body+path, secret) {
					t.Fatalf("somebody's secret: %s", text)
				}
			}
			if s.log.Len() > 0 {
				t.Fatalf("it was logged: %s", &s.log)
			}
		},
	)
}

// around are the codes of an app that are right about now.
func around(s *site, a app) (codes []string) {
	for i := -2; i <= 2; i++ {
		at := s.clock.Now().Add(time.Duration(i) * 30 * time.Second)
		codes = append(codes, mfatest.Code(a.uri, at))
	}
	return codes
}

// stored gives stores with what this site's store holds now.
func (s *site) stored() func(testing.TB) mfa.Store {
	s.Helper()
	var all []mfa.Record
	for _, kind := range []string{"factor", "challenge", "number", "user"} {
		records, err := s.store.Store.List(s.Context(), mfa.Query{Kind: kind, Limit: 100})
		if err != nil {
			s.Fatal(err)
		}
		all = append(all, records...)
	}
	return func(tb testing.TB) mfa.Store {
		tb.Helper()
		store := new(mfa.MemoryStore)
		for _, rec := range all {
			version := rec.Version
			for rec.Version = 0; rec.Version < version; rec.Version++ {
				if err := store.Save(tb.Context(), mfa.Change{Record: rec}); err != nil {
					tb.Fatal(err)
				}
			}
		}
		return store
	}
}
