package mfa

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// An EventKind says what happened. As a string it is what JSON and logs have.
type EventKind string

// The kinds of events. Some say more about another one of the same call, which
// they follow.
const (
	EventEnrolled       EventKind = "enrolled"        // a factor was enrolled, still unverified unless it is a set of recovery codes
	EventImported       EventKind = "imported"        // see Service.Import; the owner changed nothing
	EventReplaced       EventKind = "replaced"        // a factor gave way to a new one: see EnrollParams.Replaces, and Enroll
	EventUnenrolled     EventKind = "unenrolled"      // a factor was deleted
	EventTurnedOff      EventKind = "turned_off"      // all factors of a user were deleted, of which one was confirmed: see Service.TurnOff
	EventForgotten      EventKind = "forgotten"       // nothing names the user any more: see Service.Forget
	EventUnlocked       EventKind = "unlocked"        // an operator cleared the failures of a factor
	EventMessageSent    EventKind = "message_sent"    // a text message was handed to the sender
	EventMessageFailed  EventKind = "message_failed"  // the sender did not hand the message over; the challenge is void
	EventMessageUnknown EventKind = "message_unknown" // the sender's error leaves open whether it did; the challenge is open: see SMSSender
	EventMessageRefused EventKind = "message_refused" // none was sent: the number or the user had their share
	EventThrottled      EventKind = "throttled"       // a call was refused because the factor waits after wrong codes
	EventVerified       EventKind = "verified"        // a code was accepted
	EventDeviceUsed     EventKind = "device_used"     // a trusted device was let in without a code
	EventDeviceRevoked  EventKind = "device_revoked"  // see Service.RevokeDevice; not raised where a change of factors ends the trust
	EventDeviceStolen   EventKind = "device_stolen"   // a token was used twice, or the device's lane had ten wrong codes in a row: it is revoked
	EventFailed         EventKind = "failed"          // a wrong code was answered and counted

	EventFirstUse             EventKind = "first_use"              // beside verified: the code confirmed the factor, which logs in from now on
	EventRecovered            EventKind = "recovered"              // beside verified: it was a recovery code
	EventSuccessAfterFailures EventKind = "success_after_failures" // beside verified: after five wrong codes in a row or more
	EventDeviceTrusted        EventKind = "device_trusted"         // beside verified: the device is trusted from now on
	EventReplayed             EventKind = "replayed"               // beside failed: the code had been accepted before
	EventDisabled             EventKind = "disabled"               // beside failed: the wrong code disabled the factor
)

// An Event is one thing that happened to a factor. It never holds a secret, a
// code or a phone number, unless the application's ids or Source do.
type Event struct {
	Kind EventKind `json:"kind"` // one of the Event constants
	Time time.Time `json:"time"` // by the service's clock

	FactorID   string     `json:"factor_id,omitempty"`   // "" when no factor was involved
	FactorType FactorType `json:"factor_type,omitempty"` // "" when no factor was involved

	// FactorStatus is the one after what happened, and of a deleted factor the one before.
	FactorStatus FactorStatus `json:"factor_status,omitempty"`

	UserID      string `json:"user_id,omitempty"`      // the owner; "" for none
	ChallengeID string `json:"challenge_id,omitempty"` // "" when no challenge was involved
	DeviceID    string `json:"device_id,omitempty"`    // "" when no trusted device was involved

	// MessageID is the Message.ID, with EventMessageSent, EventMessageFailed and
	// EventMessageUnknown, for a provider's reports of delivery.
	MessageID string `json:"message_id,omitempty"`

	// Purpose is that of the Action that the challenge is for, "" for a login.
	Purpose string `json:"purpose,omitempty"`

	Source string `json:"source,omitempty"` // as WithSource put it into the context

	// Failures is how many wrong codes in a row there were: with EventVerified and
	// those beside it those before this success, with EventFailed and those beside it
	// including this one.
	Failures int `json:"failures,omitempty"`

	// RetryAfter is the wait, with EventThrottled and EventMessageRefused, and with
	// EventFailed when this wrong code began one. In JSON it is in whole seconds, rounded
	// up.
	RetryAfter time.Duration `json:"-"`

	filling bool // with EventFailed: see Notify
}

// Notify reports whether the owner should be told, by another way than the one that
// was used, such as by mail to the address of before. It is true for
//
//   - EventFirstUse, and EventEnrolled of recovery codes: a factor was added (NIST
//     SP 800-63B-4 section 4.1.2.1, OWASP ASVS 5.0 6.3.7);
//   - EventUnenrolled, if the factor was confirmed, EventTurnedOff and EventUnlocked;
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
// How full the bucket is, no exported field says. JSON has it as "notify".
func (e Event) Notify() bool {
	switch e.Kind {
	case EventFirstUse, EventTurnedOff, EventUnlocked, EventRecovered, EventDisabled, EventSuccessAfterFailures, EventDeviceStolen:
		return true
	case EventEnrolled, EventUnenrolled:
		return e.FactorStatus != StatusUnverified
	case EventFailed:
		return e.filling || e.Failures == suspicious || e.Failures == 2*suspicious || e.Failures == 4*suspicious
	default:
		return false
	}
}

// suspicious is how many wrong codes in a row the owner is told of.
const suspicious = 5

// MarshalJSON gives what is set, and "notify", which is what [Event.Notify] returns.
func (e Event) MarshalJSON() ([]byte, error) {
	type plain Event // without this method
	return json.Marshal(struct {
		plain
		RetryAfter int64 `json:"retry_after,omitempty"`
		Notify     bool  `json:"notify"`
	}{plain(e), wholeSeconds(e.RetryAfter), e.Notify()})
}

// UnmarshalJSON reads what MarshalJSON gave, such as from a queue.
func (e *Event) UnmarshalJSON(text []byte) error {
	type plain Event // without this method
	in := struct {
		*plain
		RetryAfter int64 `json:"retry_after"`
		Notify     bool  `json:"notify"`
	}{plain: (*plain)(e)}
	if err := json.Unmarshal(text, &in); err != nil {
		return fmt.Errorf("mfa: reading an event: %w", err)
	}
	e.RetryAfter, e.filling = time.Duration(in.RetryAfter)*time.Second, in.Notify
	return nil
}

// wholeSeconds is a wait as JSON has it, rounded up.
func wholeSeconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }

// LogValue gives what is set, as a group.
func (e Event) LogValue() slog.Value {
	attrs := []slog.Attr{slog.String("kind", string(e.Kind))}
	for _, a := range []slog.Attr{
		slog.String("factor", e.FactorID), slog.String("type", string(e.FactorType)), slog.String("status", string(e.FactorStatus)),
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
		default:
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
			s.log.ErrorContext(ctx, "mfa: OnEvent panicked", "event", string(e.Kind), "panic_type", fmt.Sprintf("%T", p))
		}
	}()
	s.onEvent(ctx, e)
}

func (f *factor) event(kind EventKind) Event {
	return Event{Kind: kind, FactorID: f.ID, FactorType: FactorType(f.Type), FactorStatus: FactorStatus(f.Status), UserID: f.UserID}
}

func (f *factor) eventOf(ch *challenge, kind EventKind) Event {
	e := f.event(kind)
	e.ChallengeID, e.Purpose = ch.ID, ch.action.Purpose
	return e
}

// kinds are those of the events of a right code.
func (d *verifying) kinds(firstUse bool, failures int) []EventKind {
	kinds := []EventKind{EventVerified}
	if firstUse {
		kinds = append(kinds, EventFirstUse)
	}
	if d.factor.traits.backup {
		kinds = append(kinds, EventRecovered)
	}
	if failures >= suspicious {
		kinds = append(kinds, EventSuccessAfterFailures)
	}
	return kinds
}
