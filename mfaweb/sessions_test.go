package mfaweb_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/mfatest"
	"github.com/authfactor/mfa/mfaweb"
)

// TestOtherSessionsEnd: where SetHasFactor ends the sessions of a person, the browser that
// confirmed the first factor, or turned it off, has a new one, and no other browser has.
func TestOtherSessionsEnd(t *testing.T) {
	s := newSite(t)
	s.ends = true
	thief := s.browser() // with the password, before there is a factor
	thief.login(ann)
	b := s.browser()
	a := b.enrollApp(ann)
	if !b.in() || thief.in() {
		t.Errorf("in: %t, and the thief: %t", b.in(), thief.in())
	}
	s.clock.Advance(time.Hour)
	other := s.browser()
	if other.answers(other.login(ann), a.id, a.code); !other.in() {
		t.Fatal("not logged in")
	}
	off := b.post("/mfa/turn-off", nil).refused(http.StatusForbidden, "second_factor_required")
	receipt := b.answers(off, a.id, a.code).must(http.StatusOK).get("receipt")
	b.with(receipt, "/mfa/turn-off", nil).must(http.StatusOK)
	if !b.in() || other.in() {
		t.Errorf("after it was turned off, in: %t, and the other: %t", b.in(), other.in())
	}
}

// TestMustStay: whoever must have a factor does not turn it off.
func TestMustStay(t *testing.T) {
	var from time.Time
	s := newSite(t, func(_ *mfa.Config, c *mfaweb.Config) {
		c.RequireFrom = func(mfaweb.User) time.Time { return from }
	})
	b := s.browser()
	a := b.enrollApp(ann)
	from = s.clock.Now()
	b.post("/mfa/turn-off", nil).refused(http.StatusConflict, "second_factor_must_stay")
	from = from.Add(time.Hour)
	off := b.post("/mfa/turn-off", nil).refused(http.StatusForbidden, "second_factor_required")
	receipt := b.answers(off, a.id, a.code).must(http.StatusOK).get("receipt")
	b.with(receipt, "/mfa/turn-off", nil).must(http.StatusOK)
}

// TestCancel: a question can be dropped, and only by who names it.
func TestCancel(t *testing.T) {
	s := newSite(t)
	s.browser().enrollApp(ann)
	b := s.browser()
	q := b.login(ann)
	b.post("/mfa/cancel", members{"question": "another"}).
		refused(http.StatusConflict, "question_replaced")
	b.get("/mfa/question").must(http.StatusOK)
	b.post("/mfa/cancel", members{"question": q.get("question.id")}).must(http.StatusOK)
	b.get("/mfa/question").refused(http.StatusUnauthorized, "no_question")
}

// TestGoneMeanwhile: an account that is deleted while a right answer is on its way, or while the
// second factor is turned off, gets no session.
func TestGoneMeanwhile(t *testing.T) {
	for name, change := range map[string]func(*mfa.Config, *mfaweb.Config){
		"in a session": func(*mfa.Config, *mfaweb.Config) {}, "at the login": must,
	} {
		var s *site
		gone := false
		s = newSite(t, change, func(_ *mfa.Config, c *mfaweb.Config) {
			mark := c.SetHasFactor
			c.SetHasFactor = func(ctx context.Context, id string, has bool) error {
				err := mark(ctx, id, has)
				if gone {
					s.change(id, func(u *mfaweb.User) { *u = mfaweb.User{} })
				}
				return err
			}
		})
		b := s.browser()
		q := b.login(ann)
		enr := b.post("/mfa/enroll", members{"question": q.get("question.id"), "type": "totp"}).
			must(http.StatusOK)
		b.asked(enr, enr.get("question.factor_id"))
		logins := len(s.logins)
		gone = true
		b.types(enr, codeOf(app{site: s, uri: enr.get("totp.uri")})).
			refused(http.StatusUnauthorized, "no_question")
		if len(s.logins) != logins {
			t.Errorf("%s: somebody is logged in", name)
		}
		if name == "at the login" {
			continue // nobody turns it off
		}
		gone = false
		a := s.withApp(bob)
		b = s.browser().enter(bob, a)
		receipt := b.earn(b.post("/mfa/turn-off", nil), a)
		logins = len(s.logins)
		gone = true
		b.with(receipt, "/mfa/turn-off", nil).refused(http.StatusUnauthorized, "not_logged_in")
		if len(s.logins) != logins {
			t.Errorf("%s: somebody is logged in after it was turned off", name)
		}
	}
}

// TestApprovalTellsTheRow: where an approval is what tells the row of a factor, and so ends the
// session, the browser has a new one, in which the receipt is good.
func TestApprovalTellsTheRow(t *testing.T) {
	s := newSite(t)
	s.ends = true
	a := s.withApp(ann)
	b, thief := s.browser().enter(ann, a), s.browser().enter(ann, a)
	s.change(ann, func(u *mfaweb.User) { u.HasFactor = false })
	receipt := b.earn(b.post("/pay", nil), a)
	b.with(receipt, "/pay", nil).must(http.StatusOK)
	if thief.in() || !s.users[ann].HasFactor {
		t.Errorf("the other session is in: %t", thief.in())
	}
}

// TestSessionNotMade: where the old sessions ended and the new one cannot be made, the person logs
// in with the factor that they just confirmed.
func TestSessionNotMade(t *testing.T) {
	s := newSite(t)
	s.ends = true
	b := s.browser()
	b.login(ann)
	enr := b.post("/mfa/enroll", members{"type": "totp"}).must(http.StatusOK)
	a := app{site: s, id: enr.get("question.factor_id"), uri: enr.get("totp.uri")}
	b.asked(enr, a.id)
	s.logInErr = errors.New("the sessions are away")
	b.types(enr, a.code()).refused(http.StatusInternalServerError, "internal_server_error")
	s.logInErr = nil
	if b.in() || !s.users[ann].HasFactor {
		t.Errorf("in: %t, and the row says %t", b.in(), s.users[ann].HasFactor)
	}
	b.enter(ann, a)
}

// TestCauseIsLogged: what fails inside is logged with its cause, and not told, whatever answers.
func TestCauseIsLogged(t *testing.T) {
	s := newSite(t, withToys)
	a := s.withApp(ann)
	b := s.browser().enter(ann, a)
	receipt := b.earn(b.post("/mfa/enroll", members{"type": "toy"}), a)
	enr := b.with(receipt, "/mfa/enroll", members{"type": "toy"}).must(http.StatusOK)
	word := b.word(enr, enr.get("question.factor_id"))
	wrong := b.says(enr, "another").refused(http.StatusUnprocessableEntity, "invalid_one_time_code")
	if strings.Contains(wrong.get("show"), "code") {
		t.Errorf("who typed no code is told: %s", wrong.text)
	}
	failure := errors.New("the store is away")
	s.store.Before = func(context.Context, mfatest.Call) error { return failure }
	failed := b.says(enr, word).refused(http.StatusInternalServerError, "internal_server_error")
	if strings.Contains(failed.text, "away") || !strings.Contains(s.log.String(), failure.Error()) {
		t.Errorf("told: %s, logged: %s", failed.text, &s.log)
	}
}

// TestConfirmTwice: where the first confirmation ends the session, a second submit is told the same
// again, with the recovery codes, and has a session. Nothing else comes of a session that ended.
func TestConfirmTwice(t *testing.T) {
	s := newSite(t)
	s.ends = true
	b := s.browser()
	b.login(ann)
	enr := b.post("/mfa/enroll", members{"type": "totp"}).must(http.StatusOK)
	a := app{site: s, id: enr.get("question.factor_id"), uri: enr.get("totp.uri")}
	id := enr.get("question.id")
	asks := members{"question": id, "factor_id": a.id}
	b.post("/mfa/challenge", asks).must(http.StatusOK)
	answers := members{"question": id, "code": a.code()}
	lost, twice, later := b.copied(), b.copied(), b.copied()
	first := b.post("/mfa/verify", answers).must(http.StatusOK)
	again := twice.post("/mfa/verify", answers).must(http.StatusOK)
	if first.get("recovery_codes") != again.get("recovery_codes") || !twice.in() {
		t.Errorf("%s, then %s, in: %t", first.text, again.text, twice.in())
	}
	s.endSessions(ann)
	lost.post("/mfa/challenge", asks).refused(http.StatusUnauthorized, "no_question")
	lost.post("/mfa/verify", members{"question": id, "code": a.code()}).
		refused(http.StatusConflict, "authentication_challenge_previously_verified")
	s.clock.Advance(2 * time.Minute)
	later.post("/mfa/verify", answers).
		refused(http.StatusConflict, "authentication_challenge_previously_verified")
	for name, b := range map[string]*browser{"another code": lost, "later": later} {
		if b.in() {
			t.Errorf("%s is logged in", name)
		}
	}
}

// TestSecondChallengeOfEnded: another challenge of the same enrolment is no repeat, so it gives no
// session to who has lost theirs.
func TestSecondChallengeOfEnded(t *testing.T) {
	s := newSite(t)
	s.ends = true
	b := s.browser()
	b.login(ann)
	enr := b.post("/mfa/enroll", members{"type": "totp"}).must(http.StatusOK)
	a := app{site: s, id: enr.get("question.factor_id"), uri: enr.get("totp.uri")}
	id := enr.get("question.id")
	b.post("/mfa/challenge", members{"question": id, "factor_id": a.id}).must(http.StatusOK)
	other := b.copied()
	other.post("/mfa/challenge", members{"question": id, "factor_id": a.id}).must(http.StatusOK)
	b.post("/mfa/verify", members{"question": id, "code": a.code()}).must(http.StatusOK)
	other.post("/mfa/verify", members{"question": id, "code": a.code()}).
		refused(http.StatusUnauthorized, "no_question")
	if other.in() {
		t.Error("in")
	}
}

// TestTurnOffNothing: whoever has no factor ends no session by turning it off.
func TestTurnOffNothing(t *testing.T) {
	s := newSite(t)
	s.ends = true
	owner, thief := s.browser(), s.browser()
	owner.login(ann)
	thief.login(ann)
	session := thief.cookies["session"]
	thief.post("/mfa/turn-off", nil).must(http.StatusOK)
	if renewed := thief.cookies["session"] != session; !owner.in() || renewed {
		t.Errorf("the owner is in: %t; a new session: %t", owner.in(), renewed)
	}
}

// TestQuestionHasAnEnd: challenges keep a question open for an hour, and no longer.
func TestQuestionHasAnEnd(t *testing.T) {
	s := newSite(t)
	a := s.browser().enrollApp(ann)
	b := s.browser()
	asks := members{"question": b.login(ann).get("question.id"), "factor_id": a.id}
	for range 6 {
		b.post("/mfa/challenge", asks).must(http.StatusOK)
		s.clock.Advance(9*time.Minute + 59*time.Second)
	}
	b.post("/mfa/challenge", asks).must(http.StatusOK)
	s.clock.Advance(6 * time.Second)
	b.post("/mfa/challenge", asks).refused(http.StatusUnauthorized, "no_question")
	b.get("/mfa/question").refused(http.StatusUnauthorized, "no_question")
}

// TestUsedUpMessage: a challenge that takes no more codes is not asked again: the next one is new.
func TestUsedUpMessage(t *testing.T) {
	s := newSite(t)
	f := mfatest.EnrolledPhone(t, s.svc, s.sms, ann, phone)
	s.change(ann, func(u *mfaweb.User) { u.HasFactor = true })
	s.clock.Advance(time.Hour)
	b := s.browser()
	id := b.login(ann).get("question.id")
	b.post("/mfa/challenge", members{"question": id, "factor_id": f.ID}).must(http.StatusOK)
	for range 5 {
		b.post("/mfa/verify", members{"question": id, "code": "000000"})
	}
	s.clock.Advance(2 * time.Minute)
	before := len(s.sms.Messages())
	b.post("/mfa/challenge", members{"question": id, "factor_id": f.ID}).must(http.StatusOK)
	if sent := len(s.sms.Messages()) - before; sent != 1 {
		t.Errorf("%d messages", sent)
	}
	b.post("/mfa/verify", members{"question": id, "code": s.smsCode()}).must(http.StatusOK)
}

// TestBeginNobody: a User without an ID is the application's mistake.
func TestBeginNobody(t *testing.T) {
	s := newSite(t)
	w := httptest.NewRecorder()
	s.web.Begin(w, httptest.NewRequest(http.MethodPost, "/login", nil), mfaweb.User{})
	if w.Code != http.StatusInternalServerError {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// TestLockedIsNoWayIn: a factor that is locked does not let the person in, so the other one stays.
func TestLockedIsNoWayIn(t *testing.T) {
	s := newSite(t)
	a := s.withApp(ann)
	locked := mfatest.EnrolledPhone(t, s.svc, s.sms, ann, phone)
	for range 30 {
		s.clock.Advance(24 * time.Hour)
		ch, err := s.svc.Challenge(t.Context(), mfa.ChallengeParams{FactorID: locked.ID, UserID: ann})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = s.svc.Verify(t.Context(), mfa.VerifyParams{
			ChallengeID: ch.ID, UserID: ann, Code: "000000",
		})
	}
	b := s.browser().enter(ann, a)
	b.post("/mfa/remove", members{"factor_id": a.id}).refused(http.StatusConflict, "last_factor")
	b.post("/mfa/remove", members{"factor_id": locked.ID}).
		refused(http.StatusForbidden, "second_factor_required")
}

// TestRowToldMeanwhile: a row that another request told of the factor is not told again, which
// would end the session that the other one made.
func TestRowToldMeanwhile(t *testing.T) {
	var s *site
	reads := 0
	s = newSite(t, func(_ *mfa.Config, c *mfaweb.Config) {
		c.User = func(ctx context.Context, id string) (mfaweb.User, error) {
			if reads++; reads == 2 {
				s.change(ann, func(u *mfaweb.User) { u.HasFactor = true })
			}
			return s.user(ctx, id)
		}
	})
	a := s.withApp(ann)
	s.change(ann, func(u *mfaweb.User) { u.HasFactor = false })
	b := s.browser()
	id := b.login(ann).get("question.id")
	b.post("/mfa/challenge", members{"question": id, "factor_id": a.id}).must(http.StatusOK)
	reads = 0
	before := s.did().marked
	b.post("/mfa/verify", members{"question": id, "code": a.code()}).must(http.StatusOK)
	if told := s.did().marked - before; told != 0 || reads != 2 {
		t.Errorf("told %d times, read %d times", told, reads)
	}
}

// TestUnknownType: a type that the Service does not have is the front end's mistake, and not told
// as a bad name.
func TestUnknownType(t *testing.T) {
	b := newSite(t).browser()
	b.login(ann)
	a := b.post("/mfa/enroll", members{"type": "webauthn"}).
		refused(http.StatusUnprocessableEntity, "invalid_request_parameters")
	if !strings.Contains(a.get("message"), "type must be") || strings.Contains(a.get("show"), "name") {
		t.Errorf("%s", a.text)
	}
}
