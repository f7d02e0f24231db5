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

// The kinds of events.
const (
	// EventEnrolled is raised when a factor was enrolled. It is still unverified,
	// unless it is a set of recovery codes.
	EventEnrolled EventKind = "enrolled"

	// EventImported is raised by Service.Import. The owner changed nothing.
	EventImported EventKind = "imported"

	// EventReplaced is raised when a factor was deleted because of a new one: see
	// EnrollParams.Replaces and Service.Enroll.
	EventReplaced EventKind = "replaced"

	// EventUnenrolled is raised when Service.Unenroll deleted a factor.
	EventUnenrolled EventKind = "unenrolled"

	// EventTurnedOff is raised when Service.TurnOff deleted all factors of a user,
	// at least one of them confirmed, or unreadable.
	EventTurnedOff EventKind = "turned_off"

	// EventForgotten is raised when Service.Forget erased a user, or found nothing
	// of them.
	EventForgotten EventKind = "forgotten"

	// EventUnlocked is raised when Service.Unlock cleared the failures of a
	// factor.
	EventUnlocked EventKind = "unlocked"

	// EventMessageSent is raised when a text message was handed to the sender.
	EventMessageSent EventKind = "message_sent"

	// EventMessageFailed is raised when the sender did not hand the message over.
	// The challenge is cancelled.
	EventMessageFailed EventKind = "message_failed"

	// EventMessageUnknown is raised when the sender's error leaves open whether
	// the message was handed over. The challenge stays open: see SMSSender.
	EventMessageUnknown EventKind = "message_unknown"

	// EventMessageRefused is raised when no message was sent because the number or
	// the user reached a quota.
	EventMessageRefused EventKind = "message_refused"

	// EventPumping is raised when a message was refused with ErrPumping; RetryAfter is then
	// set. Without it, a message is about to be sent that made a bucket full, that found a
	// region's full an hour after the last such event, or that would have been refused but for
	// Policy.PumpingObserve: an attack may begin. Event.Bucket says which.
	EventPumping EventKind = "pumping"

	// EventThrottled is raised when a call was refused because the factor is
	// temporarily locked after wrong codes.
	EventThrottled EventKind = "throttled"

	// EventVerified is raised when a code was accepted.
	EventVerified EventKind = "verified"

	// EventDeviceUsed is raised when a trusted device was let in without a code.
	EventDeviceUsed EventKind = "device_used"

	// EventDeviceRevoked is raised by Service.RevokeDevice and RevokeDevices. It
	// is not raised when a change of factors ends the trust.
	EventDeviceRevoked EventKind = "device_revoked"

	// EventDeviceStolen is raised when a used token came to StartLogin again, or a
	// device used its own allowance for ten wrong codes in a row. The device is
	// revoked.
	EventDeviceStolen EventKind = "device_stolen"

	// EventFailed is raised when a wrong code was counted.
	EventFailed EventKind = "failed"
)

// The kinds of events that are raised in addition to another one of the same call,
// after it.
const (
	// EventFirstUse follows EventVerified if the code confirmed the factor, which
	// can log in from now on.
	EventFirstUse EventKind = "first_use"

	// EventRecovered follows EventVerified if it was a recovery code.
	EventRecovered EventKind = "recovered"

	// EventSuccessAfterFailures follows EventVerified after five wrong codes in a
	// row or more.
	EventSuccessAfterFailures EventKind = "success_after_failures"

	// EventDeviceTrusted follows EventVerified if the device is trusted from now
	// on.
	EventDeviceTrusted EventKind = "device_trusted"

	// EventReplayed follows EventFailed if it was an app's code of a step that is
	// used up: that was accepted before, or is older than one that was.
	EventReplayed EventKind = "replayed"

	// EventCopied follows EventFailed if the answer was right, but may be by a copy of
	// the key: the sign count of a passkey did not grow. It is no proof: of two
	// answers of one key that arrive in the other order, the second is like that.
	EventCopied EventKind = "copied"

	// EventDisabled follows EventFailed if the wrong code disabled the factor.
	EventDisabled EventKind = "disabled"
)

// An Event is one thing that happened to a factor. It never holds a secret, a
// code or a phone number, unless the application's ids or Source do.
type Event struct {
	Kind EventKind `json:"kind"` // one of the Event constants
	Time time.Time `json:"time"` // by the service's clock

	FactorID   string     `json:"factor_id,omitempty"`   // "" when no factor was involved
	FactorType FactorType `json:"factor_type,omitempty"` // "" when no factor was involved

	// FactorStatus is the status after what happened, or before it for a deleted
	// factor.
	FactorStatus FactorStatus `json:"factor_status,omitempty"`

	UserID      string `json:"user_id,omitempty"`      // the owner; "" for none
	ChallengeID string `json:"challenge_id,omitempty"` // "" when no challenge was involved
	DeviceID    string `json:"device_id,omitempty"`    // "" when no trusted device was involved

	// MessageID is the Message.ID, for a provider's delivery reports: with
	// EventMessageSent, EventMessageFailed and EventMessageUnknown, with EventPumping that
	// refused nothing, and with those of an answer to the message's challenge.
	MessageID string `json:"message_id,omitempty"`

	// Sender and SenderID are what took the message, and how that knows it: see
	// Message.TakenBy. Both with EventMessageSent, and where there is a SenderID with the
	// events of an answer, so that a provider can be told that the code arrived.
	Sender   string `json:"sender,omitempty"`
	SenderID string `json:"sender_id,omitempty"`

	// Bucket is "region_" and an ISO 3166 code (or 001, for numbers of no country), or
	// "block_" and what stands for a block of numbers: with
	// EventPumping. Service.ClearPumping takes it.
	Bucket string `json:"bucket,omitempty"`

	// Purpose is that of the Action that the challenge is for, "" for a login.
	Purpose string `json:"purpose,omitempty"`

	Source string `json:"source,omitempty"` // as WithSource put it into the context

	// Failures is how many wrong codes in a row there were: with EventFailed and
	// those that follow it including this one, with EventVerified and those that
	// follow it before this success. A wrong code of a device's own allowance has
	// the device's number.
	Failures int `json:"failures,omitempty"`

	// RetryAfter is how long calls are refused: with EventThrottled, EventPumping and
	// EventMessageRefused, and with EventFailed and those that follow it if this
	// wrong code began a temporary lock. In JSON it is in whole seconds, rounded up.
	RetryAfter time.Duration `json:"-"`

	filling bool // with EventFailed: see Notify
}

// Notify reports whether to tell the owner, by another way than the one that
// was used, such as by mail to the address of before. It is true for
//
//   - EventFirstUse, and EventEnrolled of recovery codes: a factor was added (NIST
//     SP 800-63B-4 section 4.1.2.1, OWASP ASVS 5.0 6.3.7);
//   - EventUnenrolled, if the factor was confirmed, EventTurnedOff and EventUnlocked;
//   - EventRecovered (NIST SP 800-63B-4 section 4.2.3);
//   - EventFailed with 5, 10 or 20 wrong codes in a row, EventDisabled, and
//     EventSuccessAfterFailures: somebody may know the password (OWASP ASVS 5.0 6.3.5);
//   - EventFailed with the wrong code that makes the leaky bucket of 50 a third full, and
//     the one that makes it two thirds full, each at most once until the bucket is empty
//     (logins do not empty it);
//   - EventCopied and EventDeviceStolen.
//
// It is false for EventReplaced: the new factor raises an event of its own.
//
// No exported field has how full the bucket is. JSON has Notify as "notify".
func (e Event) Notify() bool {
	switch e.Kind {
	case EventFirstUse, EventTurnedOff, EventUnlocked, EventRecovered, EventDisabled,
		EventSuccessAfterFailures, EventCopied, EventDeviceStolen:
		return true
	case EventEnrolled, EventUnenrolled:
		return e.FactorStatus != StatusUnverified
	case EventFailed:
		n := e.Failures
		return e.filling || n == suspicious || n == 2*suspicious || n == 4*suspicious
	default:
		return false
	}
}

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

// wholeSeconds rounds up, for JSON.
func wholeSeconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }

// LogValue gives what is set, as a group.
func (e Event) LogValue() slog.Value {
	attrs := []slog.Attr{slog.String("kind", string(e.Kind))}
	for _, a := range []slog.Attr{
		slog.String("factor", e.FactorID), slog.String("type", string(e.FactorType)),
		slog.String("status", string(e.FactorStatus)), slog.String("user", e.UserID),
		slog.String("challenge", e.ChallengeID), slog.String("device", e.DeviceID),
		slog.String("message_id", e.MessageID), slog.String("sender", e.Sender),
		slog.String("sender_id", e.SenderID), slog.String("bucket", e.Bucket),
		slog.String("purpose", e.Purpose), slog.String("source", e.Source),
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

// LogEvents returns a [Config.OnEvent] that logs each event with the message
// "mfa" and the attributes of [Event.LogValue]. The level is Info, and Warn for
// what somebody may have to look at: wrong codes, refused calls, and messages
// that were not or perhaps not sent. A nil log is slog.Default().
func LogEvents(log *slog.Logger) func(context.Context, Event) {
	return func(ctx context.Context, e Event) {
		level := slog.LevelInfo
		switch e.Kind {
		case EventFailed, EventReplayed, EventCopied, EventDisabled, EventThrottled,
			EventMessageFailed, EventMessageUnknown, EventMessageRefused, EventPumping,
			EventSuccessAfterFailures, EventDeviceStolen:
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

// WithSource returns a context whose calls raise events with this source. It is
// whatever says where a request came from, such as its address, cut to 255
// bytes of UTF-8. No limit depends on it.
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
			s.log.ErrorContext(ctx, "mfa: OnEvent panicked",
				"event", string(e.Kind), "panic_type", fmt.Sprintf("%T", p))
		}
	}()
	s.onEvent(ctx, e)
}

func (f *factor) event(kind EventKind) Event {
	return Event{
		Kind: kind, UserID: f.UserID,
		FactorID: f.ID, FactorType: FactorType(f.Type), FactorStatus: FactorStatus(f.Status),
	}
}

func (f *factor) eventOf(ch *challenge, kind EventKind) Event {
	e := f.event(kind)
	e.ChallengeID, e.Purpose = ch.ID, ch.action.Purpose
	if f.traits.messages {
		e.MessageID, e.Sender, e.SenderID = messageID(ch.ID), ch.sender.by, ch.sender.id
	}
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
