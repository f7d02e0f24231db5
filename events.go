package mfa

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// The kinds of events. Some say more about another one of the same call, which
// they follow.
const (
	EventEnrolled       = "enrolled"        // a factor was enrolled, still unverified unless it is a set of recovery codes
	EventImported       = "imported"        // see Service.Import; the owner changed nothing
	EventReplaced       = "replaced"        // a factor gave way to a new one: see EnrollParams.Replaces, and Enroll
	EventUnenrolled     = "unenrolled"      // a factor was deleted
	EventUnlocked       = "unlocked"        // an operator cleared the failures of a factor
	EventMessageSent    = "message_sent"    // a text message was handed to the sender
	EventMessageFailed  = "message_failed"  // the sender did not hand the message over; the challenge is void
	EventMessageUnknown = "message_unknown" // it is unknown whether it did; the challenge is open: see SMSSender
	EventMessageRefused = "message_refused" // none was sent: the number or the user had their share
	EventThrottled      = "throttled"       // a call was refused because the factor waits after wrong codes
	EventVerified       = "verified"        // a code was accepted
	EventDeviceUsed     = "device_used"     // a trusted device was let in without a code
	EventDeviceRevoked  = "device_revoked"  // see Service.RevokeDevice; not raised where a change of factors ends the trust
	EventDeviceStolen   = "device_stolen"   // a token was used twice, or the device's lane had ten wrong codes in a row: it is revoked
	EventFailed         = "failed"          // a wrong code was answered and counted

	EventFirstUse             = "first_use"              // beside verified: the code confirmed the factor, which logs in from now on
	EventRecovered            = "recovered"              // beside verified: it was a recovery code
	EventSuccessAfterFailures = "success_after_failures" // beside verified: after five wrong codes in a row or more
	EventDeviceTrusted        = "device_trusted"         // beside verified: the device is trusted from now on
	EventReplayed             = "replayed"               // beside failed: the code had been accepted before
	EventDisabled             = "disabled"               // beside failed: the wrong code disabled the factor
)

// An Event is one thing that happened to a factor. It never holds a secret, a
// code or a phone number, unless the application's ids or Source do.
type Event struct {
	Kind         string    // one of the Event constants
	Time         time.Time // by the service's clock
	FactorID     string    // "" when no factor was involved, as when a device is used or revoked
	FactorType   string    // TypeTOTP, TypeSMS, TypeGenericOTP or TypeRecoveryCodes
	FactorStatus string    // StatusUnverified, StatusVerified or StatusDisabled, after what happened; of a deleted factor, before
	UserID       string    // the owner; "" for none
	ChallengeID  string    // "" when no challenge was involved
	DeviceID     string    // "" when no trusted device was involved
	MessageID    string    // the Message.ID, with EventMessageSent, EventMessageFailed and EventMessageUnknown
	Purpose      string    // of the Action that a challenge was for, or asked for; "" for a login
	Source       string    // as WithSource put it into the context; "" for none

	// Failures is how many wrong codes in a row there were: with EventVerified and
	// those beside it those before this success, with EventFailed and those beside it
	// including this one.
	Failures int

	// RetryAfter is the wait, with EventThrottled and EventMessageRefused, and with
	// EventFailed when this wrong code began one.
	RetryAfter time.Duration

	filling bool // with EventFailed: see Notify
}

// Notify says whether the owner should be told, by another way than the one that
// was used, such as by mail to the address of before. It is true for
//
//   - EventFirstUse, and EventEnrolled of recovery codes: a factor was added (NIST
//     SP 800-63B-4 section 4.1.2.1, OWASP ASVS 5.0 6.3.7);
//   - EventUnenrolled, if the factor was confirmed, and EventUnlocked;
//   - EventRecovered (NIST SP 800-63B-4 section 4.2.3);
//   - EventFailed with 5, 10 or 20 wrong codes in a row, EventDisabled, and
//     EventSuccessAfterFailures: somebody may know the password (OWASP ASVS 5.0 6.3.5);
//   - EventFailed with the wrong code that makes the leaky bucket of 50 a third full, and
//     the one that makes it two thirds full, once each until it is empty: the owner's own
//     logins in between do not empty it;
//   - EventDeviceStolen.
//
// EventReplaced is none: what took the place raises one of its own.
//
// How full the bucket is, only an Event knows that OnEvent was called with: ask there, and
// not a copy that went through JSON or a queue.
func (e Event) Notify() bool {
	switch e.Kind {
	case EventFirstUse, EventUnlocked, EventRecovered, EventDisabled, EventSuccessAfterFailures, EventDeviceStolen:
		return true
	case EventEnrolled, EventUnenrolled:
		return e.FactorStatus != StatusUnverified
	case EventFailed:
		return e.filling || e.Failures == suspicious || e.Failures == 2*suspicious || e.Failures == 4*suspicious
	}
	return false
}

// suspicious is how many wrong codes in a row the owner is told of.
const suspicious = 5

// LogValue gives what is set, as a group.
func (e Event) LogValue() slog.Value {
	attrs := []slog.Attr{slog.String("kind", e.Kind)}
	for _, a := range []slog.Attr{
		slog.String("factor", e.FactorID), slog.String("type", e.FactorType), slog.String("status", e.FactorStatus),
		slog.String("user", e.UserID), slog.String("challenge", e.ChallengeID), slog.String("device", e.DeviceID),
		slog.String("message_id", e.MessageID), slog.String("purpose", e.Purpose), slog.String("source", e.Source),
	} {
		if a.Value.String() != "" {
			attrs = append(attrs, a)
		}
	}
	if e.Failures > 0 {
		attrs = append(attrs, slog.Int("failures", e.Failures))
	}
	if e.RetryAfter > 0 {
		attrs = append(attrs, slog.Duration("retry_after", e.RetryAfter))
	}
	return slog.GroupValue(attrs...)
}

// LogEvents returns a [Config.OnEvent] that logs each event with the message "mfa",
// as [Event.LogValue] gives it, at level Info, and at level Warn what somebody may
// have to look at: wrong codes, waits, and messages that were not or perhaps not sent. nil is
// slog.Default().
func LogEvents(log *slog.Logger) func(context.Context, Event) {
	return func(ctx context.Context, e Event) {
		level := slog.LevelInfo
		switch e.Kind {
		case EventFailed, EventReplayed, EventDisabled, EventThrottled, EventMessageFailed, EventMessageUnknown, EventMessageRefused, EventSuccessAfterFailures, EventDeviceStolen:
			level = slog.LevelWarn
		}
		l := log
		if l == nil {
			l = slog.Default()
		}
		l.LogAttrs(ctx, level, "mfa", e.LogValue().Group()...)
	}
}

type sourceKey struct{}

// WithSource returns a context whose calls raise events with this source: whatever
// says where a request came from, such as its address. The service gives it no
// meaning, and no limit goes by it. It is cut to 255 bytes of UTF-8.
func WithSource(ctx context.Context, source string) context.Context {
	if len(source) > maxSource {
		source = source[:maxSource]
	}
	return context.WithValue(ctx, sourceKey{}, strings.ToValidUTF8(source, ""))
}

// emit hands an event to the application.
func (s *Service) emit(ctx context.Context, e Event) {
	if s.onEvent == nil {
		return
	}
	e.Source, _ = ctx.Value(sourceKey{}).(string)
	defer func() {
		if p := recover(); p != nil {
			// The value of the panic is the application's and may hold anything.
			s.log.ErrorContext(ctx, "mfa: OnEvent panicked", "event", e.Kind, "panic_type", fmt.Sprintf("%T", p))
		}
	}()
	s.onEvent(ctx, e)
}

func (f *factor) event(kind string) Event {
	return Event{Kind: kind, FactorID: f.ID, FactorType: f.Type, FactorStatus: f.Status, UserID: f.UserID}
}

func (f *factor) eventOf(ch *challenge, kind string) Event {
	e := f.event(kind)
	e.ChallengeID, e.Purpose = ch.ID, ch.action.Purpose
	return e
}
