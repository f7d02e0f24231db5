package mfa

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/authfactor/mfa/internal/codec"
	"github.com/authfactor/mfa/internal/handover"
	"github.com/authfactor/mfa/internal/limit"
	"github.com/authfactor/mfa/internal/phone"
	"github.com/authfactor/mfa/internal/redact"
	"github.com/authfactor/mfa/internal/typed"
)

// An SMSSender sends text messages.
type SMSSender interface {
	// Send hands the message to the phone network, and returns nil once a provider
	// took it. It must honour ctx, whose deadline is at most Config.SendTimeout
	// away and which no caller of Challenge cancels; nothing else ends it. Hand
	// Message.ID to a provider that takes idempotency keys.
	//
	// An error says that the message was not handed over, as when the provider
	// refuses it: the challenge is cancelled, and Challenge returns
	// ErrMessageNotSent. Some errors leave open whether the message is on its way.
	// With these the challenge stays open, Challenge returns it without an error,
	// and EventMessageUnknown is raised. They are:
	//
	//   - any error when the deadline of ctx is past;
	//   - one that matches context.DeadlineExceeded, context.Canceled or
	//     os.ErrDeadlineExceeded, or is a net.Error with Timeout();
	//   - one that matches io.EOF or io.ErrUnexpectedEOF, or is a *net.OpError of reading or
	//     writing: the connection ended before the answer.
	//
	// So return the error of an http.Client, or wrap it with %w. If an answer
	// leaves it open, such as 504 Gateway Timeout, wrap context.DeadlineExceeded.
	// A panic leaves it open too, and passes through Challenge.
	//
	// Either way the message counts, since whoever took it may charge for it, and
	// the text of the error is logged, without the number, the code, and what
	// follows the host in a URL. It must not hold other secrets.
	Send(ctx context.Context, m Message) error
}

// A Message is one text message. Body holds the code and all fields are plain
// strings: do not log it.
type Message struct {
	ID   string // the same for each try to send it; useless to others
	To   string // in E.164, such as "+15005550006"
	Body string // at most 3 messages long

	taken *taken // nil: nobody asks
}

// taken is which provider took a message, and what the provider calls it.
type taken struct{ by, id string }

// TakenBy is for an [SMSSender] to call before Send returns nil: by is what took the
// message, such as "twilio", and id is how that knows it, "" if it gives none. Events
// have both: [Event.Sender], [Event.SenderID]. They are cut to 64 and 255 bytes of printable
// ASCII. The last call counts; a sender that does not call it is "" in events.
func (m Message) TakenBy(by, id string) {
	if m.taken != nil {
		m.taken.by, m.taken.id = printable(by, maxText), printable(id, maxSource)
	}
}

// printable leaves the printable ASCII of a text, and at most so many bytes of it.
func printable(text string, most int) string {
	text = strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return -1
		}
		return r
	}, text)
	return text[:min(len(text), most)]
}

// An Outbox is an [SMSSender] that keeps the last 1,000 messages in memory and
// sends none, for development and tests. The zero value is ready for use.
type Outbox struct {
	mu       sync.Mutex
	messages []hidden[Message]
}

var _ SMSSender = (*Outbox)(nil)

// Send keeps the message, or returns the error of ctx.
func (o *Outbox) Send(ctx context.Context, m Message) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.messages) == outboxSize {
		o.messages = slices.Delete(o.messages, 0, 1)
	}
	o.messages = append(o.messages, hide(m))
	return nil
}

// Messages returns what was sent, oldest first.
func (o *Outbox) Messages() []Message {
	o.mu.Lock()
	defer o.mu.Unlock()
	messages := make([]Message, len(o.messages))
	for i, m := range o.messages {
		messages[i] = m()
	}
	return messages
}

// Format prints how many messages there are, whatever the verb.
func (o *Outbox) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "mfa.Outbox(%d messages)", len(o.Messages()))
}

// SMSParams enrolls a phone number. Nothing is sent before [Service.Challenge].
type SMSParams struct {
	// PhoneNumber is the number in international form, such as "+1 500 555 0006",
	// or in the national form of Config.DefaultRegion: ASCII digits, and a '+' in
	// front. White space, dashes, slashes, dots, brackets and invisible format
	// characters around and between them are ignored, up to 64 characters in all.
	// It is stored in E.164, in the form that works today: +52 1 55 1234 5678, an
	// older form of Mexico, becomes +525512345678.
	PhoneNumber string
}

// A text message to a phone number is a factor that its owner receives codes by.
type smsMethod struct{}

func (smsMethod) traits() traits {
	return traits{
		kind: TypeSMS, amr: "otp sms",
		restricted: true, messages: true, unconfirmed: onNumber,
	}
}

func (smsMethod) chance(Policy) float64 { return chanceOfCode }

func (smsMethod) asked(p EnrollParams) bool { return p.SMS != nil }

func (smsMethod) enroll(s *Service, p EnrollParams, _ *Enrollment) (possession, error) {
	if s.sms == nil {
		return nil, errNoSMSSender()
	}
	e164, err := s.normalizeNumber(p.SMS.PhoneNumber)
	if err != nil {
		return nil, err
	}
	return &line{e164}, nil
}

func (smsMethod) empty() possession { return &line{} }

// A line is a phone number that receives messages.
type line struct{ e164 string }

func (l *line) fields(c *codec.Codec)                         { c.String(&l.e164) }
func (l *line) describe(f *Factor)                            { f.phone = new(l.e164) }
func (*line) proves() bool                                    { return true }
func (*line) usedUp() bool                                    { return false }
func (*line) ask(_ *factor, ch *challenge, _ []*factor) error { return ch.makeCode() }

func (*line) check(
	_ *factor, answer string, ch *challenge, _ time.Time, _ Policy,
) (verdict, error) {
	return ch.checkCode(answer), nil
}

// number is where the factor's messages go, "" if it has none.
func (f *factor) number() string {
	if l, ok := f.own.(*line); ok {
		return l.e164
	}
	return ""
}

const defaultTemplate = "Your verification code is " + typed.Placeholder + "."

// smsTemplate checks the template of a message, and gives it in its canonical spelling.
func smsTemplate(template string) (string, error) {
	if template == "" {
		return defaultTemplate, nil
	}
	template, err := typed.Template(template, digits, maxMessageParts)
	if err != nil {
		return "", errParameter("The SMS template %s.", err)
	}
	return template, nil
}

// messageID is the same for every try and tells nothing about the challenge.
func messageID(challengeID string) string {
	sum := sha256.Sum256([]byte("github.com/authfactor/mfa message " + challengeID))
	return hex.EncodeToString(sum[:16])
}

// AllRegions returns every region that has phone numbers, for [Config.Regions].
// Messages to some regions cost a hundred times those to others, and fraudsters
// know which: prefer a list of those that your users live in.
func AllRegions() []string { return phone.Regions() }

// normalizeNumber returns the number in E.164, computed once for the store, the
// limits and the sender.
func (s *Service) normalizeNumber(number string) (string, error) {
	text, ok := typed.Number(number)
	if !ok {
		return "", errInvalidPhoneNumber()
	}
	e164, err := s.phones.Normalize(text)
	if notAllowed, ok := errors.AsType[*phone.NotAllowedError](err); ok {
		return "", errPhoneNumberNotAllowed(notAllowed.Missing)
	}
	if err != nil {
		return "", errInvalidPhoneNumber()
	}
	return e164, nil
}

// numberLimits are those of a number: its messages, and wrong codes until it is
// confirmed.
type numberLimits struct {
	*number           // fresh if it was never used
	older   []*number // the same under older keys of the keyring, to be deleted when it is saved
}

// loadPhone reads the limits of a factor's number. A keyring with several keys
// gives a number several ids; what is found under older ones is merged.
func (s *Service) loadPhone(ctx context.Context, f *factor) (*numberLimits, error) {
	ids := s.keys.numberIDs(f.number())
	records, err := s.load(ctx, ids...)
	if err != nil {
		return nil, err
	}
	p := &numberLimits{number: &number{Record: Record{ID: ids[0], Kind: kindNumber}}}
	for i, id := range ids {
		rec, ok := records.find(id)
		if !ok {
			continue
		}
		n := new(number)
		if err := s.keys.decode(rec, kindNumber, n); err != nil {
			return nil, err
		}
		if i == 0 {
			p.number = n
		} else {
			p.number.merge(n)
			p.older = append(p.older, n)
		}
	}
	return p, nil
}

// merge adds the counts of the same number under another key.
func (n *number) merge(old *number) {
	n.sends.Merge(old.sends, maxSends) // older ones decide nothing
	n.shares.Merge(old.shares, maxSends)
	n.guesses.Merge(old.guesses)
}

// touch sets the times of a number's record before it is saved.
func (n *number) touch(now time.Time) {
	if n.Version == 0 {
		n.CreatedAt = now
	}
	n.UpdatedAt = now
	n.ExpiresAt = later(now, later(n.sends.Lapse(), n.guesses.Lapse()))
}

// savePhone adds a number's limits to what is written.
func (out *outcome) savePhone(now time.Time, p *numberLimits) {
	p.touch(now)
	out.put(p.number)
	for _, n := range p.older {
		out.drop(n)
	}
}

// messageWait is how long no message may be sent, 0 for not at all, and whether
// it is one of the device's own allowance, beyond the quotas of number and
// user.
func (d *challenging) messageWait() (wait time.Duration, own bool) {
	wait = d.sharedWait()
	// A shorter wait comes of impatience, and needs no allowance.
	if wait > cooldown[0] && d.factor.verified &&
		d.device.takesMessage(d.now, d.quota(), d.phone.number, d.user) {
		return 0, true
	}
	return wait, false
}

// sharedWait is how long the limits of number and user allow no message.
func (d *challenging) sharedWait() time.Duration {
	return max(d.phone.sends.Wait(d.now, d.quota()), d.ownWait())
}

// ownWait is how long the user's own messages allow no other.
func (d *challenging) ownWait() (wait time.Duration) {
	if !d.factor.verified {
		wait = d.phone.shares.Wait(d.now, d.users, userShare)
	}
	if d.user != nil {
		wait = max(wait, d.user.sends.Wait(d.now, d.policy.sendQuota()))
	}
	return wait
}

// resendWait is the wait that the caller is told of. A repeated call costs nothing, so
// of an unconfirmed number it leaves out what others may have done.
func (d *challenging) resendWait() time.Duration {
	if d.earlier == nil || d.factor.verified {
		return d.sharedWait()
	}
	return max(d.ownWait(), d.earlier.CreatedAt.Add(cooldown[0]).Sub(d.now)) // since its own message
}

// quota is that of the number.
func (d *challenging) quota() limit.Sending {
	if d.factor.verified {
		return d.policy.sendQuota()
	}
	return d.policy.unverifiedSendQuota()
}

// send hands the code of a committed challenge to the sender. The challenge is
// cancelled if that is known to have failed, and open where it is unknown, as
// after a panic.
func (s *Service) send(ctx context.Context, d *challenging, template string) error {
	ch, f := d.challenge, d.factor
	m := Message{ID: messageID(ch.ID), To: f.number(), Body: typed.Render(template, ch.code)}
	e := f.eventOf(ch, EventMessageUnknown) // and so it stays if the sender panics
	e.Time, e.MessageID = ch.CreatedAt, m.ID
	defer func() { s.emit(ctx, e) }()

	unknown, err := s.handOver(ctx, m)
	if err == nil {
		e.Kind = EventMessageSent
		return nil
	}
	// Sprint survives an error that is a nil pointer.
	text := redact.Text(fmt.Sprint(err), m.To, ch.code, maxSenderText)
	if unknown {
		s.log.WarnContext(ctx, "mfa: it is unknown whether a message was sent",
			"challenge", ch.ID, "message_id", m.ID, "error", text)
		return nil
	}
	e.Kind = EventMessageFailed
	s.log.WarnContext(ctx, "mfa: a message could not be sent",
		"challenge", ch.ID, "message_id", m.ID, "error", text)
	ch.Version, ch.Status, ch.code = 1, statusVoid, ""
	if err := s.commit(ctx, voidTimeout, outcome{save: []stored{ch}}); err != nil {
		s.log.ErrorContext(ctx, "mfa: a challenge whose message failed could not be voided",
			"challenge", ch.ID, "error", err)
	}
	return &sendError{challengeID: ch.ID, cause: hide(err)}
}

// handOver calls the sender. Whoever hangs up does not reach it: the challenge is
// committed, and the message may be on its way. With an error it reports whether the
// message may have been handed over all the same.
func (s *Service) handOver(ctx context.Context, m Message) (unknown bool, err error) {
	sending, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.sendTimeout)
	defer cancel()
	if deadline, ok := ctx.Deadline(); ok {
		sending, cancel = context.WithDeadline(sending, deadline)
		defer cancel()
	}
	if err := sending.Err(); err != nil {
		return false, err // the sender was never asked
	}
	err = s.sms.Send(sending, m)
	return sending.Err() != nil || handover.Unknown(err), err
}
