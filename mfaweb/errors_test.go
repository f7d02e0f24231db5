package mfaweb_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/mfatest"
	"github.com/authfactor/mfa/mfaweb"
	"github.com/authfactor/mfa/senders"
)

// TestNotSentWords: a person is told what they can do about a message that was not sent.
func TestNotSentWords(t *testing.T) {
	for reason, want := range map[error]string{
		senders.ErrCannotReceive: "Use another number",
		senders.ErrOptedOut:      "Answer START",
		senders.ErrAccount:       "again in a minute",
		errors.New("no reason"):  "again in a minute",
	} {
		err := fmt.Errorf("%w: %w", mfa.ErrMessageNotSent, &senders.Error{Sender: "x", Reason: reason})
		e := mfaweb.ErrorOf(err)
		if e.Status != 502 || e.Code != "message_not_sent" || !strings.Contains(e.Show, want) {
			t.Errorf("%v: %+v, want %q", reason, e, want)
		}
	}
}

// TestPumpingWords: who gets no message because of others is told of another way, and how long
// to wait.
func TestPumpingWords(t *testing.T) {
	svc, err := mfa.New(mfa.Config{
		Store: new(mfa.MemoryStore), Keys: mfatest.Keys(), SMS: new(mfatest.Sender),
		Regions: []string{"US"}, Policy: mfa.Policy{PumpingBlock: 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		user := fmt.Sprint("user_", i)
		enr, failed := svc.Enroll(t.Context(), mfa.EnrollParams{
			UserID: user, SMS: &mfa.SMSParams{PhoneNumber: fmt.Sprintf("+1500555000%d", i)},
		})
		if failed != nil {
			t.Fatal(failed)
		}
		_, err = svc.Challenge(t.Context(), mfa.ChallengeParams{
			FactorID: enr.Factor.ID, UserID: user,
		})
	}
	e := mfaweb.ErrorOf(err)
	if e.Status != 429 || e.Code != "rate_limit_exceeded" || e.RetryAfter == 0 ||
		!strings.Contains(e.Show, "Use another way. That is possible again in ") {
		t.Errorf("%v: %+v", err, e)
	}
}
