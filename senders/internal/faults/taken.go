package faults

import (
	"context"
	"log/slog"
	"regexp"
	"testing"

	"github.com/authfactor/mfa"
)

// TakenBy sends a code by a real service, types it, and gives what the events of that say of who
// took the message. Those of the answer must have the same if there is an id, and neither if
// there is none.
func TakenBy(t *testing.T, sender mfa.SMSSender) (by, id string) {
	t.Helper()
	events := map[mfa.EventKind]mfa.Event{}
	reads := &reading{SMSSender: sender}
	svc, err := mfa.New(mfa.Config{
		SMS: reads, Regions: []string{"US"}, Logger: slog.New(slog.DiscardHandler),
		OnEvent: func(_ context.Context, e mfa.Event) { events[e.Kind] = e },
	})
	if err != nil {
		t.Fatal(err)
	}
	enr, err := svc.Enroll(t.Context(), mfa.EnrollParams{
		UserID: "user_ann", SMS: &mfa.SMSParams{PhoneNumber: Number},
	})
	if err != nil {
		t.Fatal(err)
	}
	ch, err := svc.Challenge(t.Context(), mfa.ChallengeParams{
		FactorID: enr.Factor.ID, UserID: "user_ann", Confirm: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := svc.Verify(t.Context(), mfa.VerifyParams{
		ChallengeID: ch.ID, UserID: "user_ann", Code: reads.code,
	}); err != nil {
		t.Fatal(err)
	}
	sent, sentToo := events[mfa.EventMessageSent]
	verified, verifiedToo := events[mfa.EventVerified]
	if !sentToo || !verifiedToo || sent.MessageID == "" || sent.MessageID != verified.MessageID {
		t.Fatalf("events %+v", events)
	}
	want := mfa.Event{Sender: sent.Sender, SenderID: sent.SenderID}
	if sent.SenderID == "" {
		want = mfa.Event{}
	}
	if verified.Sender != want.Sender || verified.SenderID != want.SenderID {
		t.Errorf("verified is of %q and %q, and sent of %q and %q",
			verified.Sender, verified.SenderID, sent.Sender, sent.SenderID)
	}
	return sent.Sender, sent.SenderID
}

// A reading sender reads the code of what it hands on.
type reading struct {
	mfa.SMSSender
	code string
}

var sixDigits = regexp.MustCompile(`[0-9]{6}`)

// Send hands the message on.
func (r *reading) Send(ctx context.Context, m mfa.Message) error {
	r.code = sixDigits.FindString(m.Body)
	return r.SMSSender.Send(ctx, m)
}
