package mfa

import "time"

// The kinds of events.
const (
	EventEnrolled      = "enrolled"       // a factor was enrolled, still unverified unless it is a set of recovery codes or imported
	EventReplaced      = "replaced"       // a factor gave way to a new one: see EnrollParams.Replaces, and Enroll
	EventMessageSent   = "message_sent"   // a text message was handed to the sender
	EventMessageFailed = "message_failed" // the sender failed; the challenge is void
	EventVerified      = "verified"       // a code was accepted; FirstUse: it confirmed the factor
	EventFailed        = "failed"         // a wrong code was answered and counted
	EventReplayed      = "replayed"       // the wrong code of the same call's EventFailed had been accepted before
	EventThrottled     = "throttled"      // a call was refused because of a wait
	EventDisabled      = "disabled"       // the wrong code of the same call's EventFailed disabled the factor
	EventUnenrolled    = "unenrolled"     // a factor was deleted
	EventReset         = "reset"          // an operator cleared the failures of a factor
)

// An Event is one thing that happened to a factor. It never holds a secret, a
// code or a phone number.
type Event struct {
	Kind        string    // one of the Event constants
	Time        time.Time // by the service's clock
	FactorID    string
	FactorType  string // TypeTOTP, TypeSMS, TypeGenericOTP or TypeRecoveryCodes
	UserID      string // the owner; "" for none
	ChallengeID string // "" when no challenge was involved

	// FirstUse is set with EventVerified when the code confirmed the enrolment:
	// tell the person, by another channel, that a factor was added (NIST
	// SP 800-63B-4 section 4.1.2.1).
	FirstUse bool

	// Failures is how many wrong codes in a row there were: with EventVerified
	// those before this success (tell the person after 5), with EventFailed
	// including this one.
	Failures int

	// RetryAfter is the wait, with EventThrottled, and with EventFailed when this
	// wrong code began one.
	RetryAfter time.Duration
}

func (f *factor) event(kind string) Event {
	return Event{Kind: kind, FactorID: f.ID, FactorType: f.Type, UserID: f.UserID}
}

func (f *factor) eventOf(ch *challenge, kind string) Event {
	e := f.event(kind)
	e.ChallengeID = ch.ID
	return e
}
