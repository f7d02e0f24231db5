package mfaweb_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/mfatest"
	"github.com/authfactor/mfa/mfaweb"
)

// The tests of this file are what the web application of examples/webapp withstands, done to a
// front end. Each thief knows the password, which in these tests is the name.

// must makes everybody have a factor who has none.
func must(_ *mfa.Config, c *mfaweb.Config) {
	c.RequireFrom = func(mfaweb.User) time.Time { return time.Unix(1, 0) }
}

// asked is a question that was challenged.
func (b *browser) asked(q answer, factor string) answer {
	b.Helper()
	b.post("/mfa/challenge", members{"question": q.get("question.id"), "factor_id": factor}).
		must(http.StatusOK)
	return q
}

// types answers a question that was challenged.
func (b *browser) types(q answer, code string) answer {
	b.Helper()
	return b.post("/mfa/verify", members{"question": q.get("question.id"), "code": code})
}

// earn is the receipt for what was answered by a question.
func (b *browser) earn(q answer, a app) string {
	b.Helper()
	receipt := b.answers(q.refused(http.StatusForbidden, "second_factor_required"), a.id, a.code).
		must(http.StatusOK).get("receipt")
	if receipt == "" {
		b.Fatal("no receipt")
	}
	return receipt
}

// TestSkip: with the password alone, whatever it asks for, nothing of a member is there.
func TestSkip(t *testing.T) {
	for name, prepare := range map[string]func(s *site){
		"question": func(s *site) { s.withApp(ann) }, "enroll": func(*site) {},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, must)
			prepare(s)
			thief := s.browser()
			q := thief.login(ann)
			if q.get("status") != name {
				t.Fatal(q.text)
			}
			for _, body := range []members{
				{"type": "totp", "all": true}, {"type": "totp", "session": ann, "user": ann},
			} {
				for _, path := range append([]string{"/pay", "/pay-anyhow"}, ofAccount...) {
					s.nothing(path, http.StatusUnauthorized, "not_logged_in", func() answer {
						return thief.post(path, body)
					})
				}
			}
			s.nothing("the account", http.StatusUnauthorized, "not_logged_in", func() answer {
				return thief.get("/mfa/account")
			})
		})
	}
}

// TestBorrow: nothing of another person is of use: no question, factor, receipt or device.
func TestBorrow(t *testing.T) {
	s := newSite(t)
	a, other := s.withApp(ann), s.withApp(bob)
	owner := s.browser()
	q := owner.asked(owner.login(ann), a.id)
	owner.post("/mfa/verify", members{
		"question": q.get("question.id"), "code": a.code(), "trust": true,
	}).must(http.StatusOK)
	var account struct {
		Devices []struct {
			ID string `json:"id"`
		} `json:"trusted_devices"`
	}
	if err := json.Unmarshal([]byte(owner.get("/mfa/account").text), &account); err != nil {
		t.Fatal(err)
	}
	receipt := owner.earn(owner.post("/pay?amount=1", nil), a)
	pending := owner.post("/mfa/turn-off", nil)

	mallory := s.browser().enter(bob, other)
	for what, borrowed := range map[string]func() answer{
		"a question": func() answer {
			mallory.post("/mfa/turn-off", nil)
			return mallory.post("/mfa/challenge", members{
				"question": pending.get("question.id"), "factor_id": other.id,
			})
		},
		"a factor that answers": func() answer {
			q := mallory.post("/mfa/turn-off", nil)
			return mallory.post("/mfa/challenge", members{
				"question": q.get("question.id"), "factor_id": a.id,
			})
		},
		"a factor to rename": func() answer {
			return mallory.post("/mfa/rename", members{"factor_id": a.id, "name": "mine"})
		},
		"a factor to remove": func() answer {
			return mallory.post("/mfa/remove", members{"factor_id": a.id})
		},
		"a receipt":         func() answer { return mallory.with(receipt, "/pay?amount=1", nil) },
		"a receipt, anyhow": func() answer { return mallory.with(receipt, "/pay-anyhow?amount=1", nil) },
		"a device to revoke": func() answer {
			return mallory.post("/mfa/revoke-device", members{"device_id": account.Devices[0].ID})
		},
	} {
		before := s.did()
		if got := borrowed(); got.status < http.StatusBadRequest || s.did() != before {
			t.Errorf("%s: %d %s", what, got.status, got.text)
		}
	}
	thief := s.browser()
	thief.cookies["mfa_device"] = owner.cookies["mfa_device"]
	if got := thief.login(bob); got.get("status") != "question" { // who trusted nothing
		t.Errorf("the device of another: %s", got.text)
	}
	replacing := members{"type": "totp", "replaces": a.id}
	replaced := mallory.earn(mallory.post("/mfa/enroll", replacing), other)
	mallory.with(replaced, "/mfa/enroll", replacing).
		refused(http.StatusNotFound, "entity_not_found")
	owner.with(receipt, "/pay?amount=1", nil).must(http.StatusOK) // it was not spent
}

// TestReplay: a code, an answer and a receipt are each good for one thing, once.
func TestReplay(t *testing.T) {
	s := newSite(t, withToys)
	a := s.withApp(ann)
	owner, thief := s.browser(), s.browser()
	q, stolen := owner.asked(owner.login(ann), a.id), thief.asked(thief.login(ann), a.id)
	code := a.code()
	owner.types(q, code).must(http.StatusOK)
	thief.types(stolen, code).refused(http.StatusUnprocessableEntity, "invalid_one_time_code")

	receipt := owner.earn(owner.post("/mfa/enroll", members{"type": "toy"}), a)
	enr := owner.with(receipt, "/mfa/enroll", members{"type": "toy"}).must(http.StatusOK)
	key := enr.get("question.factor_id")
	made := owner.word(enr, key)
	owner.says(enr, made).must(http.StatusOK)
	s.nothing("the receipt again", http.StatusForbidden, "second_factor_required", func() answer {
		return owner.with(receipt, "/mfa/enroll", members{"type": "toy"})
	})

	other := s.browser()
	q, stolen = other.login(ann), thief.login(ann)
	word := other.word(q, key)
	thief.word(stolen, key)
	other.says(q, word).must(http.StatusOK)
	thief.says(stolen, word).refused(http.StatusUnprocessableEntity, "invalid_one_time_code")
	thief.says(stolen, made).refused(http.StatusUnprocessableEntity, "invalid_one_time_code")
	if thief.in() {
		t.Error("what was used logs in")
	}
}

// TestFixation: a question that somebody planted before the login is gone with it, and who planted
// it shares in nothing.
func TestFixation(t *testing.T) {
	s := newSite(t)
	a := s.withApp(ann)
	number := mfatest.EnrolledPhone(t, s.svc, s.sms, ann, phone)
	asked := map[string]string{ann: number.ID, bob: s.withApp(bob).id}
	s.clock.Advance(time.Hour)
	for name, user := range map[string]string{"her own": bob, "that of the owner": ann} {
		mallory, owner := s.browser(), s.browser()
		mallory.asked(mallory.login(user), asked[user])
		planted := mallory.get("/mfa/question")
		owner.cookies["mfa_question"] = mallory.cookies["mfa_question"]
		q := owner.login(ann)
		if q.get("question.id") == planted.get("question.id") ||
			owner.cookies["mfa_question"] == mallory.cookies["mfa_question"] {
			t.Errorf("%s: the question is that which was planted", name)
		}
		owner.asked(q, number.ID)
		code := s.smsCode()
		owner.types(q, code).must(http.StatusOK)
		for _, code := range []string{code, a.code()} {
			if got := mallory.types(planted, code); got.status == http.StatusOK || mallory.in() {
				t.Errorf("%s: who planted it is in: %s", name, got.text)
			}
		}
		s.clock.Advance(time.Hour)
	}
	mallory, plain := s.browser(), s.browser()
	mallory.asked(mallory.login(bob), asked[bob])
	s.users["user_carol"] = mfaweb.User{ID: "user_carol", Label: "carol", Generation: "1"}
	plain.cookies["mfa_question"] = mallory.cookies["mfa_question"]
	plain.login("user_carol") // who has no factor
	s.nothing("a planted question beside a login without one", http.StatusUnauthorized,
		"no_question", func() answer { return plain.get("/mfa/question") })
}

// TestBack: an old form, after the code was right and after logging out, does nothing.
func TestBack(t *testing.T) {
	s := newSite(t)
	a := s.withApp(ann)
	b := s.browser()
	q := b.asked(b.login(ann), a.id)
	code := a.code()
	b.types(q, code).must(http.StatusOK)
	again := func(what string) {
		t.Helper()
		for _, code := range []string{code, codeOf(a)} {
			s.nothing(what, http.StatusUnauthorized, "no_question", func() answer {
				return b.types(q, code)
			})
		}
		s.nothing(what+" shown", http.StatusUnauthorized, "no_question", func() answer {
			return b.get("/mfa/question")
		})
	}
	again("after the right code")
	pay := b.asked(b.post("/pay", nil), a.id)
	b.send(http.MethodPost, "/logout", "", "")
	for _, code := range []string{code, a.code()} {
		s.nothing("an action after logging out", http.StatusUnauthorized, "no_question",
			func() answer { return b.types(pay, code) })
	}
	if b.in() {
		t.Error("in after logging out")
	}
	plain := s.browser()
	plain.login(bob)
	enr := plain.post("/mfa/enroll", members{"type": "totp"}).must(http.StatusOK)
	plain.asked(enr, enr.get("question.factor_id"))
	plain.send(http.MethodPost, "/logout", "", "")
	s.nothing("a confirmation after logging out", http.StatusUnauthorized, "no_question",
		func() answer { return plain.types(enr, codeOf(app{site: s, uri: enr.get("totp.uri")})) })
	delete(b.cookies, "mfa_question")
	again("after logging out")
}

// TestReceiptOfAnother: a receipt does what it was earned for, and nothing else.
func TestReceiptOfAnother(t *testing.T) {
	s := newSite(t)
	a, second := s.withApp(ann), s.withApp(ann)
	b := s.browser().enter(ann, a)
	type action struct {
		path string
		body members
	}
	actions := []action{
		{"/pay?amount=1", nil},
		{"/pay?amount=2", nil},
		{"/mfa/enroll", members{"type": "totp"}},
		{"/mfa/enroll", members{"type": "totp", "replaces": a.id}},
		{"/mfa/enroll", members{"type": "totp", "replaces": second.id}},
		{
			"/mfa/remove",
			members{"factor_id": a.id},
		},
		{"/mfa/remove", members{"factor_id": second.id}},
		{"/mfa/turn-off", nil},
	}
	for i, earned := range actions {
		receipt := b.earn(b.post(earned.path, earned.body), a)
		for j, other := range actions {
			if i == j {
				continue
			}
			s.nothing(fmt.Sprintf("%v for %v", earned, other), http.StatusForbidden,
				"second_factor_required", func() answer {
					return b.copied().with(receipt, other.path, other.body)
				})
		}
		if earned.path == "/mfa/enroll" { // the two routes ask for the same
			b.copied().with(receipt, "/mfa/recovery-codes", nil)
		}
	}
	if factors, err := s.svc.Factors(t.Context(), ann); err != nil || s.paid != 0 {
		t.Errorf("%v, %v, paid %d", factors, err, s.paid)
	}
}

// TestFresh: a factor that was enrolled and not confirmed answers nothing but what confirms it.
func TestFresh(t *testing.T) {
	s := newSite(t)
	a := s.withApp(ann)
	b := s.browser().enter(ann, a)
	receipt := b.earn(b.post("/mfa/enroll", members{"type": "totp"}), a)
	enr := b.with(receipt, "/mfa/enroll", members{"type": "totp"}).must(http.StatusOK)
	fresh := enr.get("question.factor_id")
	pending := s.browser()
	for what, c := range map[string]struct {
		b *browser
		q answer
	}{"a login": {pending, pending.login(ann)}, "an action": {b, b.post("/pay", nil)}} {
		s.nothing(what, http.StatusUnprocessableEntity, "unknown_factor", func() answer {
			return c.b.post("/mfa/challenge", members{
				"question": c.q.get("question.id"), "factor_id": fresh,
			})
		})
	}
	b.post("/mfa/remove", members{"factor_id": a.id}).refused(http.StatusConflict, "last_factor")
	account := b.get("/mfa/account").must(http.StatusOK)
	if strings.Contains(account.text, fresh) {
		t.Errorf("the account shows it: %s", account.text)
	}
}

// TestNoTrustBeside: only a login makes a browser trusted, whatever an answer says.
func TestNoTrustBeside(t *testing.T) {
	s := newSite(t)
	a := s.withApp(ann)
	b := s.browser().enter(ann, a)
	q := b.asked(b.post("/pay", nil), a.id)
	before := s.did()
	done := b.post("/mfa/verify", members{
		"question": q.get("question.id"), "code": a.code(), "trust": true,
	}).must(http.StatusOK)
	if done.get("status") != "approved" || s.did().logins != before.logins {
		t.Errorf("an approval logs in: %s", done.text)
	}
	if got := b.login(ann); got.get("status") != "question" || b.cookies["mfa_device"] != "" {
		t.Errorf("trusted by an approval: %s", got.text)
	}
}

// recovered logs in with a recovery code.
func (s *site) recovered(user string) *browser {
	s.Helper()
	set, codes := mfatest.EnrolledRecoveryCodes(s, s.svc, user)
	b := s.browser()
	done := b.answers(b.login(user), set.ID, func() string { return codes[0] })
	if done.must(http.StatusOK).get("lost") != "true" {
		s.Fatal(done.text)
	}
	return b
}

// TestLost: a login by recovery code adds one factor within five minutes, or new recovery codes,
// and takes nothing away.
func TestLost(t *testing.T) {
	s := newSite(t)
	a := s.withApp(ann)
	s.withApp(ann)
	lost := func(b *browser, want string) {
		t.Helper()
		if got := b.get("/mfa/account").get("lost"); got != want {
			t.Errorf("lost is %s, want %s", got, want)
		}
	}
	for name, once := range map[string]func(b *browser) answer{
		"a factor": func(b *browser) answer { return b.post("/mfa/enroll", members{"type": "totp"}) },
		"codes":    func(b *browser) answer { return b.post("/mfa/recovery-codes", nil) },
	} {
		b := s.recovered(ann)
		for path, body := range map[string]members{
			"/mfa/remove": {"factor_id": a.id}, "/mfa/turn-off": nil, "/pay": nil, "/pay-anyhow": nil,
			"/mfa/enroll": {"type": "totp", "replaces": a.id},
		} {
			s.nothing(path, http.StatusForbidden, "second_factor_required", func() answer {
				return b.copied().post(path, body)
			})
		}
		lost(b, "true")
		second := b.copied()
		once(b).must(http.StatusOK)
		lost(b, "false")
		for _, b := range []*browser{b, second} { // the cookie of before as well
			s.nothing(name+" once more", http.StatusForbidden, "second_factor_required",
				func() answer { return b.post("/mfa/enroll", members{"type": "totp"}) })
		}
	}
	mallory := s.browser().enter(bob, s.withApp(bob))
	b := s.recovered(ann)
	mallory.cookies["mfa_receipt"] = b.cookies["mfa_receipt"]
	lost(mallory, "false")
	lost(mallory.as("Mfa-Receipt", "x"), "false")
	s.nothing("of another", http.StatusForbidden, "second_factor_required", func() answer {
		return mallory.post("/mfa/enroll", members{"type": "totp"})
	})
	s.clock.Advance(5*time.Minute - time.Second)
	lost(b, "true")
	s.clock.Advance(time.Second)
	lost(b, "false")
	s.nothing("too late", http.StatusForbidden, "second_factor_required", func() answer {
		return b.post("/mfa/enroll", members{"type": "totp"})
	})
	b = s.recovered(ann)
	b.login(ann)
	if b.cookies["mfa_receipt"] != "" {
		t.Error("the next login leaves it")
	}
}

// TestForcedAndOvertaken: whoever has to enroll, and knows the password alone, comes to nothing
// once the owner has a factor: with a question that was asked before, an enrolment that was begun,
// or a challenge.
func TestForcedAndOvertaken(t *testing.T) {
	for name, begun := range map[string]func(thief *browser, q answer) (goOn func() answer){
		"asked": func(thief *browser, q answer) func() answer {
			return func() answer {
				return thief.post("/mfa/enroll", members{"question": q.get("question.id"), "type": "totp"})
			}
		},
		"enrolled": func(thief *browser, q answer) func() answer {
			enr := thief.post("/mfa/enroll", members{"question": q.get("question.id"), "type": "totp"}).
				must(http.StatusOK)
			return func() answer {
				return thief.post("/mfa/challenge", members{
					"question": enr.get("question.id"), "factor_id": enr.get("question.factor_id"),
				})
			}
		},
		"challenged": func(thief *browser, q answer) func() answer {
			enr := thief.post("/mfa/enroll", members{"question": q.get("question.id"), "type": "totp"}).
				must(http.StatusOK)
			thief.asked(enr, enr.get("question.factor_id"))
			return func() answer {
				return thief.types(enr, app{site: thief.site, uri: enr.get("totp.uri")}.code())
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, must)
			thief, owner := s.browser(), s.browser()
			goOn := begun(thief, thief.login(ann))
			q := owner.login(ann)
			enr := owner.post("/mfa/enroll", members{
				"question": q.get("question.id"), "type": "sms", "phone_number": phone,
			}).must(http.StatusOK)
			owner.answers(enr, enr.get("question.factor_id"), s.smsCode).must(http.StatusOK)
			s.clock.Advance(time.Minute)
			before := s.did()
			got := goOn()
			if got.status < 400 || got.status >= 500 || got.all["question"] != nil ||
				s.did() != before || thief.in() {
				t.Errorf("%d %s", got.status, got.text)
			}
			if name == "asked" { // nor does the question take the factor that there is
				s.nothing("the factor", http.StatusUnprocessableEntity, "unknown_factor",
					func() answer {
						return thief.post("/mfa/challenge", members{
							"question":  thief.get("/mfa/question").get("question.id"),
							"factor_id": enr.get("question.factor_id"),
						})
					})
			}
			factors, err := s.svc.Factors(t.Context(), ann)
			if err != nil || slices.ContainsFunc(factors, func(f mfa.Factor) bool {
				return f.Type == mfa.TypeTOTP
			}) {
				t.Errorf("%v, %v", factors, err)
			}
		})
	}
}

// TestMarkFails: while the row cannot be told that there is a factor, nobody is logged in and told
// anything, and the same answer works again.
func TestMarkFails(t *testing.T) {
	failure := errors.New("the database of the application is away")
	down := func(b *browser, q answer, code string) {
		t.Helper()
		b.markErr = failure
		for range 2 {
			got := b.types(q, code).refused(http.StatusInternalServerError, "internal_server_error")
			if strings.Contains(got.text, "away") || strings.Contains(got.text, "recovery_codes") {
				t.Errorf("it tells %s", got.text)
			}
		}
		b.markErr = nil
	}
	for name, change := range map[string]func(*mfa.Config, *mfaweb.Config){
		"in a session": func(*mfa.Config, *mfaweb.Config) {}, "at the login": must,
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, change)
			b := s.browser()
			q := b.login(ann)
			enr := b.post("/mfa/enroll", members{"question": q.get("question.id"), "type": "totp"}).
				must(http.StatusOK)
			a := app{site: s, id: enr.get("question.factor_id"), uri: enr.get("totp.uri")}
			b.asked(enr, a.id)
			code := a.code()
			logins := len(s.logins)
			down(b, enr, code)
			if len(s.logins) != logins || s.users[ann].HasFactor {
				t.Error("somebody is in, or the row is told")
			}
			if got := b.types(enr, code).
				must(http.StatusOK); !strings.Contains(
				got.text,
				"recovery_codes",
			) {
				t.Errorf("it tells %s", got.text)
			}
			if !s.users[ann].HasFactor || !b.in() {
				t.Error("the row is not told, or nobody is in")
			}
		})
	}
	t.Run("later", func(t *testing.T) { // nobody repeated it: the next login tells the row
		s := newSite(t)
		a := s.withApp(ann)
		s.change(ann, func(u *mfaweb.User) { u.HasFactor = false })
		b := s.browser()
		q := b.asked(b.login(ann), a.id)
		code := a.code()
		down(b, q, code)
		if len(s.logins) > 0 {
			t.Error("somebody is in")
		}
		s.clock.Advance(2 * time.Minute)
		b.enter(ann, a)
		if !s.users[ann].HasFactor {
			t.Error("the row is not told")
		}
	})
	t.Run("turned off", func(t *testing.T) {
		s := newSite(t)
		a := s.withApp(ann)
		b := s.browser().enter(ann, a)
		pay := b.earn(b.post("/pay", nil), a)
		receipt := b.earn(b.post("/mfa/turn-off", nil), a)
		s.markErr = failure
		b.with(receipt, "/mfa/turn-off", nil).
			refused(http.StatusInternalServerError, "internal_server_error")
		// Nobody gets in meanwhile.
		s.browser().login(ann).refused(http.StatusInternalServerError, "internal_server_error")
		s.markErr = nil
		for _, bad := range []string{"", "x", pay} {
			b.with(bad, "/mfa/turn-off", nil).
				refused(http.StatusInternalServerError, "internal_server_error")
		}
		if !s.users[ann].HasFactor {
			t.Error("the row was told without a receipt")
		}
		s.clock.Advance(5*time.Minute - time.Second)
		b.with(receipt, "/mfa/turn-off", nil).must(http.StatusOK)
		if got := s.browser().
			login(ann); s.users[ann].HasFactor ||
			got.get("status") != "logged_in" {
			t.Errorf("the next login: %s", got.text)
		}
		s.change(ann, func(u *mfaweb.User) { u.HasFactor = true })
		s.clock.Advance(time.Second)
		b.with(receipt, "/mfa/turn-off", nil).
			refused(http.StatusInternalServerError, "internal_server_error")
	})
}

// TestLogInFails: while no session can be made, nobody is in, and the same answer works again.
func TestLogInFails(t *testing.T) {
	s := newSite(t)
	a := s.withApp(ann)
	s.logInErr = errors.New("the sessions are away")
	plain := s.browser()
	plain.login(bob).refused(http.StatusInternalServerError, "internal_server_error")
	b := s.browser()
	q := b.asked(b.login(ann), a.id)
	code := a.code()
	for range 2 {
		got := b.post("/mfa/verify", members{
			"question": q.get("question.id"), "code": code, "trust": true,
		}).refused(http.StatusInternalServerError, "internal_server_error")
		if strings.Contains(got.text, "away") || len(s.sessions) > 0 {
			t.Errorf("%s, sessions %v", got.text, s.sessions)
		}
	}
	s.logInErr = nil
	b.types(q, code).must(http.StatusOK)
	if plain.login(bob); !b.in() || !plain.in() {
		t.Error("not in")
	}
	if got := b.login(ann); got.get("status") != "logged_in" {
		t.Errorf("the browser that was trusted meanwhile: %s", got.text)
	}
}

// TestRowsFail: while the application does not know who somebody is, nothing is done for them.
func TestRowsFail(t *testing.T) {
	s := newSite(t)
	a := s.withApp(ann)
	b, pending := s.browser().enter(ann, a), s.browser()
	q := b.asked(b.post("/pay-anyhow", nil), a.id)
	login := pending.asked(pending.login(ann), a.id)
	code := a.code()
	fails := func(what string, call func() answer) {
		t.Helper()
		s.nothing(what, http.StatusInternalServerError, "internal_server_error", func() answer {
			got := call()
			if strings.Contains(got.text, "away") {
				t.Errorf("%s tells %s", what, got.text)
			}
			return got
		})
	}
	s.sessionErr = errors.New("the sessions are away")
	fails("an approval", func() answer { return b.types(q, code) })
	for _, path := range ofAccount {
		fails(path, func() answer {
			return b.post(path, members{"factor_id": a.id, "type": "totp", "all": true})
		})
	}
	for _, path := range []string{"/pay", "/pay-anyhow"} {
		fails(path, func() answer { return b.copied().post(path, nil) })
	}
	fails("the account", func() answer { return b.get("/mfa/account") })
	s.sessionErr, s.userErr = nil, errors.New("the rows are away")
	fails("a login", func() answer { return pending.types(login, code) })
	fails("the question of a login", func() answer { return pending.get("/mfa/question") })
	fails("/pay-anyhow without a row", func() answer { return b.copied().post("/pay-anyhow", nil) })
	s.userErr = nil
	pending.types(login, code).must(http.StatusOK)
}

// TestNewPassword: what is asked ends with the password, before a login and in a session that the
// application left.
func TestNewPassword(t *testing.T) {
	s := newSite(t)
	a := s.withApp(ann)
	thief, member := s.browser(), s.browser().enter(ann, a)
	q := thief.asked(thief.login(ann), a.id)
	pay := member.asked(member.post("/pay", nil), a.id)
	s.change(ann, func(u *mfaweb.User) { u.Generation = "2" })
	for _, code := range []string{a.code(), "000000"} {
		s.nothing("a login", http.StatusUnauthorized, "no_question", func() answer {
			return thief.types(q, code)
		})
		s.nothing("an action", http.StatusUnauthorized, "no_question", func() answer {
			return member.types(pay, code)
		})
	}
	// A message that was sent for the one is not that of the other.
	if next := thief.login(ann); next.get("question.id") == q.get("question.id") {
		t.Error("the same question")
	}
}

// TestNobody: a row or a session that is nobody's is nobody.
func TestNobody(t *testing.T) {
	s := newSite(t)
	s.change(ann, func(u *mfaweb.User) { u.Generation = "" })
	a := s.withApp(ann)
	thief := s.browser()
	q := thief.asked(thief.login(ann), a.id)
	s.change(ann, func(u *mfaweb.User) { *u = mfaweb.User{} }) // the account is deleted
	s.nothing("a login", http.StatusUnauthorized, "no_question", func() answer {
		return thief.types(q, a.code())
	})
	s = newSite(t, func(_ *mfa.Config, c *mfaweb.Config) {
		read := c.Session
		c.Session = func(r *http.Request) (mfaweb.Session, bool, error) {
			s, ok, err := read(r)
			return s, ok && r.Header.Get("Ended") == "", err
		}
	})
	a = s.withApp(ann)
	b := s.browser().enter(ann, a)
	pay := b.asked(b.post("/pay", nil), a.id)
	s.nothing("of a session that has ended", http.StatusUnauthorized, "no_question", func() answer {
		return b.as("Ended", "yes").types(pay, a.code())
	})
	s.sessions[b.cookies["session"]] = bob
	s.nothing("of a session that is another's now", http.StatusUnauthorized, "no_question",
		func() answer { return b.types(pay, a.code()) })
	for name, session := range map[string]mfaweb.Session{
		"without an id":  {User: s.users[bob]},
		"without a user": {ID: "a session"},
		"that has ended": {User: s.users[bob], ID: "ended"},
	} {
		s := newSite(t, func(_ *mfa.Config, c *mfaweb.Config) {
			c.Session = func(*http.Request) (mfaweb.Session, bool, error) {
				return session, session.ID != "ended", nil
			}
		})
		for _, path := range append([]string{"/pay", "/pay-anyhow"}, ofAccount...) {
			s.nothing(name+" to "+path, http.StatusUnauthorized, "not_logged_in", func() answer {
				return s.browser().post(path, members{"type": "totp", "all": true})
			})
		}
	}
	// A session whose person is gone has no row that says that there is no factor.
	s = newSite(t, func(_ *mfa.Config, c *mfaweb.Config) {
		c.User = func(context.Context, string) (mfaweb.User, error) { return mfaweb.User{}, nil }
	})
	b = s.browser()
	b.login(bob)
	s.nothing("of nobody's row", http.StatusUnauthorized, "not_logged_in", func() answer {
		return b.post("/pay-anyhow", nil)
	})
}

// TestTurnedOffMeanwhile: what waits for an answer when the second factor is turned off comes to
// nothing, and a login begins anew.
func TestTurnedOffMeanwhile(t *testing.T) {
	s := newSite(t)
	a := s.withApp(ann)
	b, member, pending := s.trusting(ann, a), s.browser().enter(ann, a), s.browser()
	login := pending.asked(pending.login(ann), a.id)
	pay := member.asked(member.post("/pay", nil), a.id)
	b.with(b.earn(b.post("/mfa/turn-off", nil), a), "/mfa/turn-off", nil).must(http.StatusOK)
	if b.cookies["mfa_device"] != "" {
		t.Error("the browser keeps what made it trusted")
	}
	ended := func(what string, b *browser, q answer) {
		t.Helper()
		for _, code := range []string{a.code(), "000000"} {
			s.nothing(what, http.StatusNotFound, "entity_not_found", func() answer {
				return b.types(q, code)
			})
		}
		s.nothing(what+" asked", http.StatusUnprocessableEntity, "unknown_factor", func() answer {
			return b.post(
				"/mfa/challenge",
				members{"question": q.get("question.id"), "factor_id": a.id},
			)
		})
		if got := b.get("/mfa/question").must(http.StatusOK); got.get("question.factors") != "[]" {
			t.Errorf("%s: %s", what, got.text)
		}
	}
	ended("a login", pending, login)
	ended("an action", member, pay)
	if pending.in() {
		t.Error("in")
	}
	if s.users[ann].HasFactor {
		t.Error("the row says that there is a factor")
	}
	member.post("/pay", nil).refused(http.StatusForbidden, "second_factor_missing")
	member.post("/mfa/recovery-codes", nil).refused(http.StatusConflict, "second_factor_missing")
	if got := pending.login(ann); got.get("status") != "logged_in" {
		t.Errorf("the next login: %s", got.text)
	}
}

// TestRemovedMeanwhile: a factor that is removed while it is asked lets nobody in, and another one
// does.
func TestRemovedMeanwhile(t *testing.T) {
	s := newSite(t)
	gone, stays := s.withApp(ann), s.withApp(ann)
	b, thief := s.browser().enter(ann, stays), s.browser()
	q := thief.asked(thief.login(ann), gone.id)
	receipt := b.earn(b.post("/mfa/remove", members{"factor_id": gone.id}), stays)
	b.with(receipt, "/mfa/remove", members{"factor_id": gone.id}).must(http.StatusOK)
	s.nothing("the code of the one", http.StatusNotFound, "entity_not_found", func() answer {
		return thief.types(q, gone.code())
	})
	s.nothing("asked again", http.StatusUnprocessableEntity, "unknown_factor", func() answer {
		return thief.post("/mfa/challenge", members{
			"question": q.get("question.id"), "factor_id": gone.id,
		})
	})
	if thief.in() {
		t.Error("in")
	}
	thief.answers(q, stays.id, stays.code).must(http.StatusOK)
}

// TestBothRemoved: of two factors that are removed at once, each with a right code, one stays. A
// row that says that there is one and a store without any would keep the person out.
func TestBothRemoved(t *testing.T) {
	store := &mfatest.FaultyStore{Store: new(mfa.MemoryStore)}
	s := newSite(t, func(c *mfa.Config, _ *mfaweb.Config) { c.Store = store })
	one, two := s.withApp(ann), s.withApp(ann)
	b := s.browser().enter(ann, one)
	remove := func(of app) func() answer {
		body := members{"factor_id": of.id}
		receipt := b.earn(b.post("/mfa/remove", body), of)
		return func() answer { return b.with(receipt, "/mfa/remove", body) }
	}
	first, second := remove(one), remove(two)
	store.Before = func(_ context.Context, c mfatest.Call) error {
		if c.Method == "Save" { // the first one has read both
			store.Before = nil
			second().must(http.StatusOK)
		}
		return nil
	}
	first().refused(http.StatusConflict, "last_factor")
	s.browser().enter(ann, one)
}

// TestLostStore: with all factors lost the password opens nothing, and a session neither adds one
// nor passes where a factor is needed, nor where only who has one needs it.
func TestLostStore(t *testing.T) {
	s := newSite(t)
	a := s.withApp(ann)
	b, pending := s.browser().enter(ann, a), s.browser()
	q := pending.asked(pending.login(ann), a.id)
	pay := b.asked(b.post("/pay", nil), a.id)
	s.store.Store = new(mfa.MemoryStore)
	for _, path := range []string{
		"/pay", "/pay-anyhow", "/mfa/enroll", "/mfa/turn-off", "/mfa/recovery-codes",
	} {
		s.nothing(path, http.StatusInternalServerError, "internal_server_error", func() answer {
			return b.copied().post(path, members{"type": "totp"})
		})
	}
	s.nothing("a login", http.StatusInternalServerError, "internal_server_error", func() answer {
		return s.browser().login(ann)
	})
	s.nothing("a login that was begun", http.StatusNotFound, "entity_not_found", func() answer {
		return pending.types(q, a.code())
	})
	s.nothing("an action that was begun", http.StatusNotFound, "entity_not_found", func() answer {
		return b.types(pay, a.code())
	})
	for _, b := range []*browser{b, pending} {
		s.nothing("asked again", http.StatusInternalServerError, "internal_server_error",
			func() answer { return b.get("/mfa/question") })
	}
	// Nor does a session that was read before the row was told.
	stale := newSite(t, func(_ *mfa.Config, c *mfaweb.Config) {
		read := c.Session
		c.Session = func(r *http.Request) (mfaweb.Session, bool, error) {
			s, ok, err := read(r)
			s.HasFactor = false
			return s, ok, err
		}
	})
	a = stale.withApp(ann)
	b = stale.browser().enter(ann, a)
	stale.store.Store = new(mfa.MemoryStore)
	stale.nothing("a stale session", http.StatusInternalServerError, "internal_server_error",
		func() answer { return b.post("/pay-anyhow", nil) })
}

// TestStoreFails: a store that is away lets nobody in, and through to nothing.
func TestStoreFails(t *testing.T) {
	s := newSite(t)
	a := s.withApp(ann)
	b, pending, plain := s.browser().enter(ann, a), s.browser(), s.browser()
	q := pending.asked(pending.login(ann), a.id)
	plain.login(bob)
	receipt := b.earn(b.post("/pay", nil), a)
	failure := errors.New("the store is away")
	s.store.Before = func(context.Context, mfatest.Call) error { return failure }
	fails := func(what string, call func() answer) {
		t.Helper()
		before := s.did()
		got := call().refused(http.StatusInternalServerError, "internal_server_error")
		if strings.Contains(got.text, "away") {
			t.Errorf("%s tells %s", what, got.text)
		}
		if after := s.did(); after.logins != before.logins || after.paid != before.paid {
			t.Errorf("%s: it was %+v, and is %+v", what, before, after)
		}
	}
	code := a.code()
	fails("a login", func() answer { return s.browser().login(ann) })
	fails("a login without a factor", func() answer { return s.browser().login(bob) })
	fails("a code", func() answer { return pending.types(q, code) })
	fails("a receipt", func() answer { return b.with(receipt, "/pay", nil) })
	fails("who has no factor", func() answer { return plain.post("/pay-anyhow", nil) })
	s.store.Before = nil
	b.with(receipt, "/pay", nil).must(http.StatusOK)
	plain.post("/pay-anyhow", nil).must(http.StatusOK)
	pending.types(q, code).must(http.StatusOK)
}

// trusting is a browser that somebody trusts.
func (s *site) trusting(user string, a app) *browser {
	s.Helper()
	b := s.browser()
	q := b.asked(b.login(user), a.id)
	b.post("/mfa/verify", members{
		"question": q.get("question.id"), "code": a.code(), "trust": true,
	}).must(http.StatusOK)
	return b
}

// TestCopiedDevice: of a browser and its copy the second to log in is asked for a code, and so are
// both from then on.
func TestCopiedDevice(t *testing.T) {
	s := newSite(t)
	owner := s.trusting(ann, s.withApp(ann))
	thief := s.browser()
	thief.cookies["mfa_device"] = owner.cookies["mfa_device"]
	if got := thief.login(ann); got.get("status") != "logged_in" { // with password and cookie
		t.Errorf("%s", got.text)
	}
	s.clock.Advance(30 * time.Second) // two tabs of hers would have come by then
	for name, b := range map[string]*browser{"owner": owner, "thief": thief} {
		if name == "thief" {
			owner.login(ann)
		}
		if got := b.login(ann); got.get("status") != "question" {
			t.Errorf("%s: %s", name, got.text)
		}
	}
	stolen := func(e mfa.Event) bool { return e.Kind == mfa.EventDeviceStolen }
	if !slices.ContainsFunc(s.events, stolen) {
		t.Error("the owner is not told")
	}
}

// TestLane: while a stranger guesses, the owner gets in, and approves, by a browser that is known.
func TestLane(t *testing.T) {
	s := newSite(t, func(c *mfa.Config, _ *mfaweb.Config) { c.Policy.MaxFailures = 1 })
	a := s.withApp(ann)
	owner, thief := s.trusting(ann, a), s.browser()
	q := thief.asked(thief.login(ann), a.id)
	thief.types(q, "000000").refused(http.StatusUnprocessableEntity, "invalid_one_time_code")
	s.browser().login(ann).refused(http.StatusForbidden, "no_usable_authentication_factor")

	again := func() answer {
		return thief.post("/mfa/challenge", members{
			"question": q.get("question.id"), "factor_id": a.id,
		})
	}
	s.nothing("guessed again", http.StatusForbidden, "authentication_factor_disabled", again)
	s.nothing("a question without an answer", http.StatusForbidden,
		"no_usable_authentication_factor", func() answer { return thief.get("/mfa/question") })
	thief.cookies["mfa_device"] = "auth_device_01KE3Z8M2Q4R5S6T7V8W9X0Y1Z.1.AAAA"
	s.nothing("a forged device", http.StatusForbidden, "authentication_factor_disabled", again)

	if got := owner.login(ann); got.get("status") != "logged_in" {
		t.Fatalf("the browser that is trusted: %s", got.text)
	}
	owner.earn(owner.post("/pay", nil), a)
	s.clock.Advance(31 * 24 * time.Hour)
	known := owner.copied()
	known.enter(ann, a) // it is trusted no more, and still known

}

// TestFlood: whoever asks again and again makes nothing be sent again.
func TestFlood(t *testing.T) {
	var delivered []string
	s := newSite(t, func(_ *mfa.Config, c *mfaweb.Config) {
		c.Deliver = func(_ context.Context, _ mfaweb.User, _ mfa.Factor, code string) error {
			delivered = append(delivered, code)
			return nil
		}
	})
	a := s.withApp(ann)
	number := mfatest.EnrolledPhone(t, s.svc, s.sms, ann, phone)
	push := s.withPush(ann)
	s.clock.Advance(time.Hour)
	sends := s.sms.Sends()
	b := s.browser()
	var q answer
	for range 5 {
		q = b.login(ann)
		for _, f := range []string{number.ID, push, a.id, number.ID, push} {
			b.asked(q, f)
		}
	}
	if n := s.sms.Sends() - sends; n != 1 || len(delivered) != 1 {
		t.Errorf("%d messages, and %d codes were delivered", n, len(delivered))
	}
	again := b.post("/mfa/challenge", members{"question": q.get("question.id"), "factor_id": push})
	if again.must(http.StatusOK).get("resend_at") != "" || again.get("expires_at") == "" {
		t.Errorf("%s", again.text)
	}
	b.post("/mfa/challenge", members{
		"question": q.get("question.id"), "factor_id": push, "send_again": true,
	}).must(http.StatusOK)
	if len(delivered) != 2 {
		t.Errorf("%d codes were delivered after it was asked for", len(delivered))
	}
	b.types(q, delivered[1]).must(http.StatusOK)
	if !b.in() {
		t.Error("not in")
	}
}

// withPush gives somebody a confirmed factor whose codes the application delivers.
func (s *site) withPush(user string) (id string) {
	s.Helper()
	enr, err := s.svc.Enroll(s.Context(), mfa.EnrollParams{
		UserID: user, GenericOTP: true, ByOperator: true,
	})
	if err != nil {
		s.Fatal(err)
	}
	ch, err := s.svc.Challenge(s.Context(), mfa.ChallengeParams{
		FactorID: enr.Factor.ID, UserID: user, Confirm: true,
	})
	if err != nil {
		s.Fatal(err)
	}
	if _, err := s.svc.Verify(s.Context(), mfa.VerifyParams{
		ChallengeID: ch.ID, UserID: user, Code: ch.Code(),
	}); err != nil {
		s.Fatal(err)
	}
	return enr.Factor.ID
}

// TestGoesOn: a code that was sent is still good where the same browser begins the same again,
// whatever it chose meanwhile. For anything else another one is sent.
func TestGoesOn(t *testing.T) {
	type flow struct {
		*browser
		a           app
		push, paper string // of Ann
		other       string // of Bob
	}
	for name, c := range map[string]struct {
		sent  int
		again func(f flow) // after a login and an action were begun
	}{
		"the same login":  {0, func(f flow) { f.asked(f.login(ann), f.push) }},
		"the same action": {0, func(f flow) { f.asked(f.post("/pay?amount=1", nil), f.push) }},
		"another choice": {0, func(f flow) {
			f.asked(f.get("/mfa/question"), f.paper)
			f.asked(f.login(ann), f.push)
		}},
		"the same code later": {1, func(f flow) {
			f.clock.Advance(6 * time.Minute)
			f.asked(f.get("/mfa/question"), f.a.id)
			f.clock.Advance(5 * time.Minute)
			f.asked(f.get("/mfa/question"), f.push)
		}},
		"another action": {1, func(f flow) { f.asked(f.post("/pay?amount=2", nil), f.push) }},
		"another person": {1, func(f flow) { f.asked(f.login(bob), f.other) }},
		"another password": {1, func(f flow) {
			f.change(ann, func(u *mfaweb.User) { u.Generation = "2" })
			f.asked(f.login(ann), f.push)
		}},
		"another session": {1, func(f flow) {
			f.cookies["session"] = f.site.browser().enter(ann, f.a).cookies["session"]
			f.asked(f.post("/pay?amount=1", nil), f.push)
		}},
		"a login in place of an action": {1, func(f flow) { f.asked(f.login(ann), f.push) }},
	} {
		t.Run(name, func(t *testing.T) {
			delivered := 0
			s := newSite(t, func(_ *mfa.Config, c *mfaweb.Config) {
				c.Deliver = func(context.Context, mfaweb.User, mfa.Factor, string) error {
					delivered++
					return nil
				}
			})
			f := flow{a: s.withApp(ann), push: s.withPush(ann), other: s.withPush(bob)}
			set, _ := mfatest.EnrolledRecoveryCodes(t, s.svc, ann)
			f.paper = set.ID
			s.change(bob, func(u *mfaweb.User) { u.HasFactor = true })
			f.browser = s.browser()
			if strings.Contains(name, "action") || strings.Contains(name, "session") {
				f.enter(ann, f.a)
				f.asked(f.post("/pay?amount=1", nil), f.push)
			} else {
				f.asked(f.login(ann), f.push)
			}
			delivered = 0
			if c.again(f); delivered != c.sent {
				t.Errorf("%d codes are sent, want %d", delivered, c.sent)
			}
		})
	}
}

// TestSecureCookies: the cookies are this host's own, over TLS alone, and one without the prefix,
// which a neighbour can set, is none.
func TestSecureCookies(t *testing.T) {
	s := newSite(t, func(_ *mfa.Config, c *mfaweb.Config) { c.InsecureHTTP = false })
	a := s.withApp(ann)
	b := s.trusting(ann, a)
	if b.cookies["__Host-mfa_device"] == "" || b.cookies["mfa_device"] != "" {
		t.Errorf("the cookies are %q", b.cookies)
	}
	s.recovered(ann)
	pending := s.browser()
	pending.login(ann)
	planted := s.browser()
	planted.cookies["mfa_question"] = pending.cookies["__Host-mfa_question"]
	planted.cookies["mfa_device"] = b.cookies["__Host-mfa_device"]
	s.nothing("planted", http.StatusUnauthorized, "no_question", func() answer {
		return planted.get("/mfa/question")
	})
	if got := planted.login(ann); got.get("status") != "question" {
		t.Errorf("planted: %s", got.text)
	}
}

// TestQuestionFits: the cookie of a question is one that browsers take, however much is asked, and
// the factors that were asked last stay so.
func TestQuestionFits(t *testing.T) {
	delivered := map[string]int{}
	s := newSite(t, func(_ *mfa.Config, c *mfaweb.Config) {
		c.Deliver = func(_ context.Context, _ mfaweb.User, f mfa.Factor, _ string) error {
			if delivered[f.ID]++; f.Status != mfa.StatusVerified {
				t.Errorf("to be delivered: %+v", f)
			}
			return nil
		}
	})
	user := strings.Repeat("<", 255) // which JSON escapes
	s.users[user] = mfaweb.User{ID: user, Label: "u", Generation: strings.Repeat("g", 200)}
	var pushes []string
	for range 10 {
		pushes = append(pushes, s.withPush(user))
	}
	s.change(user, func(u *mfaweb.User) { u.HasFactor = true })
	b := s.browser()
	q := b.login(user)
	for _, f := range pushes {
		s.clock.Advance(time.Second)
		b.asked(q, f)
		if n := len(b.cookies["mfa_question"]); n > 4000 {
			t.Fatalf("the cookie has %d bytes", n)
		}
	}
	for i, f := range pushes[5:] {
		b.copied().asked(q, f)
		if want := map[bool]int{true: 2, false: 1}[i == 0]; delivered[f] != want {
			t.Errorf("factor %d of the last five was sent %d codes, want %d", i, delivered[f], want)
		}
	}
}

// TestTenMinutes: a question waits as long as it says, and no longer.
func TestTenMinutes(t *testing.T) {
	s := newSite(t)
	a := s.withApp(ann)
	b := s.browser()
	q := b.asked(b.login(ann), a.id)
	s.clock.Advance(10*time.Minute - time.Second)
	late := b.copied()
	late.asked(q, a.id) // for ten minutes more
	b.types(q, codeOf(a)).must(http.StatusOK)
	s.clock.Advance(10*time.Minute - time.Second)
	late.get("/mfa/question").must(http.StatusOK)
	s.clock.Advance(time.Second)
	late.get("/mfa/question").refused(http.StatusUnauthorized, "no_question")
}

// TestApproveByRecoveryCode: a recovery code approves what was asked, and nothing more.
func TestApproveByRecoveryCode(t *testing.T) {
	s := newSite(t)
	b := s.browser().enter(ann, s.withApp(ann))
	set, codes := mfatest.EnrolledRecoveryCodes(t, s.svc, ann)
	q := b.post("/pay?amount=1", nil)
	receipt := b.answers(q, set.ID, func() string { return codes[0] }).must(http.StatusOK).
		get("receipt")
	b.with(receipt, "/mfa/enroll", members{"type": "totp"}).
		refused(http.StatusForbidden, "second_factor_required")
	b.with(receipt, "/pay?amount=1", nil).must(http.StatusOK)
	if b.cookies["mfa_receipt"] != "" {
		t.Error("it leaves a receipt for a factor")
	}
}

// TestUntold: where the row was not told of a factor, the store's word counts.
func TestUntold(t *testing.T) {
	s := newSite(t, must)
	a := s.withApp(ann)
	untold := func() { s.change(ann, func(u *mfaweb.User) { u.HasFactor = false }) }
	trusted := s.trusting(ann, a)
	untold()
	if got := trusted.login(ann); got.get("status") != "logged_in" {
		t.Errorf("a trusted browser: %s", got.text)
	}
	if got := s.browser().login(ann); got.get("status") != "question" {
		t.Errorf("another one: %s", got.text)
	}
	s.nothing("an action for who has no factor", http.StatusForbidden, "second_factor_required",
		func() answer { return trusted.copied().post("/pay-anyhow", nil) })
	s.nothing("a factor without a receipt", http.StatusForbidden, "second_factor_required",
		func() answer { return trusted.copied().post("/mfa/enroll", members{"type": "totp"}) })

	plain := newSite(t)
	b := plain.browser()
	b.login(bob)
	b.post("/mfa/enroll", members{"type": "totp"}).must(http.StatusOK) // and does not confirm it
	b.post("/pay-anyhow", nil).must(http.StatusOK)
	b.post("/pay", nil).refused(http.StatusForbidden, "second_factor_missing")
}

// TestNoLabel: nobody enrolls what an app would show without a name.
func TestNoLabel(t *testing.T) {
	s := newSite(t)
	s.change(bob, func(u *mfaweb.User) { u.Label = "" })
	b := s.browser()
	b.login(bob)
	s.nothing("no label", http.StatusInternalServerError, "internal_server_error", func() answer {
		return b.post("/mfa/enroll", members{"type": "totp"})
	})
	s.change(bob, func(u *mfaweb.User) { u.Label = "bob:" + strings.Repeat("ü", 100) })
	enr := b.post("/mfa/enroll", members{"type": "totp"}).must(http.StatusOK)
	if want := "bob-" + strings.Repeat("ü", 60); !strings.Contains(enr.text, `"`+want+`"`) {
		t.Errorf("it shows %s", enr.text)
	}
}
