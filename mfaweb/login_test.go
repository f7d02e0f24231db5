package mfaweb_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/mfaweb"
)

// TestLogin: whoever has no factor is logged in by the password; whoever has one is asked, and is
// logged in by the right code and no other.
func TestLogin(t *testing.T) {
	s := newSite(t)
	b := s.browser()
	a := b.enrollApp(ann)
	if !s.users[ann].HasFactor {
		t.Error("the row does not say that there is a factor")
	}
	other := s.browser()
	q := other.login(ann).must(http.StatusOK)
	if q.get("status") != "question" || q.get("question.for") != "login" || other.in() {
		t.Fatalf("after the password: %s", q.text)
	}
	wrong := other.answers(q, a.id, func() string { return "000000" }).
		refused(http.StatusUnprocessableEntity, "invalid_one_time_code")
	if wrong.get("tries_left") != "4" || other.in() {
		t.Errorf("after a wrong code: %s", wrong.text)
	}
	done := other.answers(q, a.id, a.code).must(http.StatusOK)
	if done.get("status") != "logged_in" || !other.in() {
		t.Errorf("after the right one: %s", done.text)
	}
	if v := s.logins[len(s.logins)-1]; !v.Valid || v.Factor.ID != a.id {
		t.Errorf("LogIn is told %+v", v)
	}
	other.get("/mfa/question").refused(http.StatusUnauthorized, "no_question")
}

// TestSubmittedTwice: the same answer from the same browser logs in again within a minute, and
// nothing else does: not another code, another browser, nor the same one later.
func TestSubmittedTwice(t *testing.T) {
	s := newSite(t)
	a := s.browser().enrollApp(ann)
	b := s.browser()
	q := b.login(ann)
	id := q.get("question.id")
	b.post("/mfa/challenge", members{"question": id, "factor_id": a.id}).must(http.StatusOK)
	thief := s.browser() // who has the password, and waits for the owner's code
	stolen := thief.login(ann).get("question.id")
	thief.post("/mfa/challenge", members{"question": stolen, "factor_id": a.id}).must(http.StatusOK)
	code := a.code()
	twice, again, later := b.copied(), b.copied(), b.copied()
	b.post("/mfa/verify", members{"question": id, "code": code}).must(http.StatusOK)
	if twice.post("/mfa/verify", members{"question": id, "code": code}).
		must(http.StatusOK); !twice.in() {
		t.Error("the second submit is not logged in")
	}
	thief.post("/mfa/verify", members{"question": stolen, "code": code}).
		refused(http.StatusUnprocessableEntity, "invalid_one_time_code")
	again.post("/mfa/verify", members{"question": id, "code": "000000"}).
		refused(http.StatusConflict, "authentication_challenge_previously_verified")
	s.clock.Advance(2 * time.Minute)
	later.post("/mfa/verify", members{"question": id, "code": code}).
		refused(http.StatusConflict, "authentication_challenge_previously_verified")
	for name, b := range map[string]*browser{"thief": thief, "another code": again, "later": later} {
		if b.in() {
			t.Errorf("%s is logged in", name)
		}
	}
}

// TestTwoTabs: what is typed in one tab does not answer the question of another.
func TestTwoTabs(t *testing.T) {
	s := newSite(t)
	b := s.browser()
	a := b.enrollApp(ann)
	s.clock.Advance(time.Hour)
	first := b.post("/mfa/remove", members{"factor_id": a.id}).
		refused(http.StatusConflict, "last_factor")
	_ = first
	pay := b.post("/pay?amount=1", nil).refused(http.StatusForbidden, "second_factor_required")
	off := b.post("/mfa/turn-off", nil).refused(http.StatusForbidden, "second_factor_required")
	b.post("/mfa/challenge", members{"question": off.get("question.id"), "factor_id": a.id}).
		must(http.StatusOK)
	code := a.code()
	for _, path := range []string{"/mfa/verify", "/mfa/challenge"} {
		b.post(path, members{"question": pay.get("question.id"), "factor_id": a.id, "code": code}).
			refused(http.StatusConflict, "question_replaced")
	}
	receipt := b.post("/mfa/verify", members{"question": off.get("question.id"), "code": code}).
		must(http.StatusOK).get("receipt")
	b.with(receipt, "/pay?amount=1", nil).refused(http.StatusForbidden, "second_factor_required")
	if s.paid > 0 {
		t.Error("the receipt of one action paid")
	}
	b.with(receipt, "/mfa/turn-off", nil).must(http.StatusOK)
	if s.users[ann].HasFactor {
		t.Error("the row still says that there is a factor")
	}
}

// TestQuestionsEnd: a new password ends what is asked, and so do ten minutes, another session,
// and a cookie that is not ours.
func TestQuestionsEnd(t *testing.T) {
	for name, end := range map[string]func(s *site, b *browser){
		"the password is changed": func(s *site, _ *browser) {
			s.change(ann, func(u *mfaweb.User) { u.Generation = "2" })
		},
		"the person is gone": func(s *site, _ *browser) {
			s.change(ann, func(u *mfaweb.User) { *u = mfaweb.User{} })
		},
		"ten minutes": func(s *site, _ *browser) { s.clock.Advance(10 * time.Minute) },
		"a forged cookie": func(_ *site, b *browser) {
			b.cookies["mfa_question"] = strings.Repeat("A", 200)
		},
		"a truncated cookie": func(_ *site, b *browser) {
			b.cookies["mfa_question"] = b.cookies["mfa_question"][:100]
		},
		"no cookie": func(_ *site, b *browser) { delete(b.cookies, "mfa_question") },
		"the cookie of another": func(s *site, b *browser) {
			b.cookies["mfa_question"] = s.browser().cookieOf(bob)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			a := s.browser().enrollApp(ann)
			b := s.browser()
			q := b.login(ann)
			b.post("/mfa/challenge", members{"question": q.get("question.id"), "factor_id": a.id}).
				must(http.StatusOK)
			end(s, b)
			got := b.post(
				"/mfa/verify",
				members{"question": q.get("question.id"), "code": a.code()},
			)
			if got.status != http.StatusUnauthorized && got.status != http.StatusConflict ||
				b.in() {
				t.Errorf("%d %s, in: %t", got.status, got.text, b.in())
			}
		})
	}
}

// cookieOf is the cookie of a question to another person.
func (b *browser) cookieOf(user string) string {
	b.Helper()
	b.enrollApp(user)
	other := b.site.browser()
	other.login(user)
	return other.cookies["mfa_question"]
}

// TestTwoCookies: of two with one name neither is believed.
func TestTwoCookies(t *testing.T) {
	s := newSite(t)
	a := s.browser().enrollApp(ann)
	b := s.browser()
	q := b.login(ann)
	b.header.Set("Cookie", "mfa_question="+b.cookies["mfa_question"])
	b.post("/mfa/challenge", members{"question": q.get("question.id"), "factor_id": a.id}).
		refused(http.StatusUnauthorized, "no_question")
}

// TestSMS: a message is sent once for a login, and again where the person says so; who logs in
// again from the same browser types the code that was sent.
func TestSMS(t *testing.T) {
	s := newSite(t)
	b := s.browser()
	b.login(ann)
	enr := b.post("/mfa/enroll", members{"type": "sms", "phone_number": phone}).must(http.StatusOK)
	id := enr.get("question.factor_id")
	b.answers(enr, id, s.smsCode).must(http.StatusOK)
	s.clock.Advance(time.Hour)
	sent := func() int { return len(s.sms.Messages()) }
	before := sent()
	other := s.browser()
	q := other.login(ann)
	asked := other.post("/mfa/challenge", members{"question": q.get("question.id"), "factor_id": id}).
		must(http.StatusOK)
	if asked.get("resend_at") == "" || sent() != before+1 {
		t.Errorf("%s, %d messages", asked.text, sent()-before)
	}
	other.post("/mfa/challenge", members{"question": q.get("question.id"), "factor_id": id}).
		must(http.StatusOK)
	s.clock.Advance(20 * time.Second)
	q = other.login(ann)
	other.post("/mfa/challenge", members{"question": q.get("question.id"), "factor_id": id}).
		must(http.StatusOK)
	if sent() != before+1 {
		t.Errorf("%d messages", sent()-before)
	}
	wait := other.post("/mfa/challenge", members{
		"question": q.get("question.id"), "factor_id": id, "send_again": true,
	}).refused(http.StatusTooManyRequests, "rate_limit_exceeded")
	if wait.header.Get("Retry-After") != "40" || wait.get("retry_after") != "40" {
		t.Errorf("%v %s", wait.header, wait.text)
	}
	stranger := s.browser() // with the password: nothing of the message is theirs
	theirs := stranger.login(ann)
	stranger.post("/mfa/challenge", members{"question": theirs.get("question.id"), "factor_id": id}).
		refused(http.StatusTooManyRequests, "rate_limit_exceeded")
	other.post("/mfa/verify", members{"question": q.get("question.id"), "code": s.smsCode()}).
		must(http.StatusOK)
	if !other.in() {
		t.Error("not logged in")
	}
}

// TestTrustedBrowser: one that the person trusts is let in, until that is revoked.
func TestTrustedBrowser(t *testing.T) {
	s := newSite(t)
	a := s.browser().enrollApp(ann)
	b := s.browser()
	q := b.login(ann)
	id := q.get("question.id")
	b.post("/mfa/challenge", members{"question": id, "factor_id": a.id}).must(http.StatusOK)
	b.post("/mfa/verify", members{
		"question": id, "code": a.code(), "trust": true, "device_name": "Laptop",
	}).
		must(http.StatusOK)
	if got := b.login(ann); got.get("status") != "logged_in" {
		t.Errorf("a trusted browser: %s", got.text)
	}
	account := b.get("/mfa/account")
	if !strings.Contains(account.text, `"Laptop"`) {
		t.Errorf("the account: %s", pretty(account.text))
	}
	b.post("/mfa/revoke-device", members{}).
		refused(http.StatusUnprocessableEntity, "invalid_request_parameters")
	b.post("/mfa/revoke-device", members{"all": true}).must(http.StatusOK)
	if got := b.login(ann); got.get("status") != "question" {
		t.Errorf("after it was revoked: %s", got.text)
	}
}

// TestRecoveryLogin: a login by recovery code also lets the person add one factor, once.
func TestRecoveryLogin(t *testing.T) {
	s := newSite(t)
	a := s.browser().enrollApp(ann)
	b := s.browser()
	q := b.login(ann)
	var set string
	for _, f := range q.all["question"].(map[string]any)["factors"].([]any) {
		if f := f.(map[string]any); f["type"] == string(mfa.TypeRecoveryCodes) {
			set = f["id"].(string)
		}
	}
	done := b.answers(q, set, func() string { return a.codes[0] }).must(http.StatusOK)
	if done.get("lost") != "true" || done.get("receipt") != "" {
		t.Errorf("%s", done.text)
	}
	thief := b.copied()
	delete(thief.cookies, "session")
	thief.cookies["session"] = s.browser().sessionOf(bob)
	thief.post("/mfa/enroll", members{"type": "totp"}).
		must(http.StatusOK)
		// bob has no factor, and needs none
	enr := b.post("/mfa/enroll", members{"type": "totp"}).must(http.StatusOK)
	b.post("/mfa/enroll", members{"type": "totp"}).
		refused(http.StatusForbidden, "second_factor_required")
	_ = enr
}

// sessionOf logs somebody in.
func (b *browser) sessionOf(user string) string {
	b.Helper()
	b.login(user)
	return b.cookies["session"]
}

// TestRequireFrom: who must have a factor enrolls one at the login, and is logged in by its first
// code.
func TestRequireFrom(t *testing.T) {
	var from time.Time
	s := newSite(t, func(_ *mfa.Config, c *mfaweb.Config) {
		c.RequireFrom = func(mfaweb.User) time.Time { return from }
	})
	b := s.browser()
	if got := b.login(ann); got.get("status") != "logged_in" {
		t.Errorf("nobody must: %s", got.text)
	}
	from = s.clock.Now().Add(time.Hour)
	if got := b.login(ann); got.get("status") != "logged_in" {
		t.Errorf("not yet: %s", got.text)
	}
	s.clock.Advance(time.Hour)
	b = s.browser()
	q := b.login(ann)
	if q.get("status") != "enroll" || b.in() {
		t.Fatalf("%s", q.text)
	}
	b.post("/mfa/enroll", members{"type": "totp"}).refused(http.StatusUnauthorized, "not_logged_in")
	enr := b.post("/mfa/enroll", members{"question": q.get("question.id"), "type": "totp"}).
		must(http.StatusOK)
	a := app{site: s, uri: enr.get("totp.uri")}
	b.answers(enr, enr.get("question.factor_id"), func() string { return "000000" }).
		refused(http.StatusUnprocessableEntity, "invalid_one_time_code")
	if b.in() {
		t.Error("a wrong code logs in")
	}
	done := b.answers(enr, enr.get("question.factor_id"), a.code).must(http.StatusOK)
	if done.get("status") != "logged_in" || !strings.Contains(done.text, "recovery_codes") ||
		!b.in() {
		t.Errorf("%s", done.text)
	}
	if got := s.browser().login(ann); got.get("status") != "question" {
		t.Errorf("the next login: %s", got.text)
	}
}
