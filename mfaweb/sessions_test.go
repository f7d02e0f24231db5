package mfaweb_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/authfactor/mfa"
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
