package mfaweb_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/mfaweb"
)

// TestAnotherFirstFactor: who must have a factor, and began with one that they cannot confirm,
// such as a number with a wrong digit, begins with another one without the password again.
func TestAnotherFirstFactor(t *testing.T) {
	s := newSite(t, func(_ *mfa.Config, c *mfaweb.Config) {
		c.RequireFrom = func(u mfaweb.User) time.Time {
			return map[string]time.Time{ann: time.Unix(1, 0)}[u.ID]
		}
	})
	b := s.browser()
	q := b.login(ann).must(http.StatusOK)
	sms := b.post("/mfa/enroll", members{
		"question": q.get("question.id"), "type": "sms", "phone_number": phone,
	}).must(http.StatusOK)
	b.post("/mfa/enroll", members{"question": q.get("question.id"), "type": "totp"}).
		refused(http.StatusConflict, "question_replaced")
	enr := b.post("/mfa/enroll", members{"question": sms.get("question.id"), "type": "totp"}).
		must(http.StatusOK)
	a := app{site: s, uri: enr.get("totp.uri")}
	done := b.answers(enr, enr.get("question.factor_id"), a.code).must(http.StatusOK)
	if done.get("status") != "logged_in" || !b.in() {
		t.Errorf("%s", done.text)
	}

	// Whoever is logged in enrolls by their session, and not by a question.
	other := s.browser()
	other.login(bob)
	enr = other.post("/mfa/enroll", members{"type": "totp"}).must(http.StatusOK)
	other.post("/mfa/enroll", members{"question": enr.get("question.id"), "type": "totp"}).
		refused(http.StatusConflict, "question_replaced")
}
