package mfa

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/authfactor/mfa/internal/codec"
	"github.com/authfactor/mfa/internal/handover"
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
// ASCII. The last call counts; a sender that does not call it is "" in events. A sender that hands
// m on to another one hands on m itself, changed or not, so that the other can call it.
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

// A generic_otp factor is whatever the application delivers codes by. It keeps
// nothing: the code belongs to the challenge.
type genericMethod struct{}

func (genericMethod) traits() traits {
	return traits{kind: TypeGenericOTP, amr: "otp", handsOut: true, unconfirmed: onUser}
}

func (genericMethod) chance(Policy) float64 { return chanceOfCode }

func (genericMethod) asked(p EnrollParams) bool { return p.GenericOTP }

func (genericMethod) enroll(*Service, EnrollParams, *Enrollment) (possession, error) {
	return &delivery{}, nil
}

func (genericMethod) empty() possession { return &delivery{} }

// A delivery is the application's own way to a person.
type delivery struct{}

func (*delivery) fields(*codec.Codec) {}
func (*delivery) describe(*Factor)    {}
func (*delivery) proves() bool        { return true }
func (*delivery) usedUp() bool        { return false }

func (*delivery) ask(_ *factor, ch *challenge, _ []*factor) error { return ch.makeCode() }

func (*delivery) check(
	_ *factor, answer string, ch *challenge, _ time.Time, _ Policy,
) (verdict, error) {
	return ch.checkCode(answer), nil
}

// makeCode gives a challenge a code of its own: six random digits, all equally likely.
func (ch *challenge) makeCode() error {
	n, err := rand.Int(rand.Reader, big.NewInt(codeSpace))
	if err != nil {
		return fmt.Errorf("mfa: making a code: %w", err)
	}
	ch.code = fmt.Sprintf("%0*d", digits, n)
	return nil
}

// checkCode compares an answer with the challenge's own code.
func (ch *challenge) checkCode(answer string) verdict {
	code, ok := typed.Code(answer, digits)
	switch {
	case !ok:
		return noCode
	case match(code, []string{ch.code}) < 0:
		return wrong
	}
	return right
}

// chanceOfCode is that of guessing one of a million codes, all equally likely.
const chanceOfCode = 1.0 / codeSpace

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

// send hands the code of a committed challenge to the sender. The challenge is
// cancelled if that is known to have failed, and open where it is unknown, as
// after a panic.
func (s *Service) send(ctx context.Context, d *challenging, template string) error {
	ch, f := d.challenge, d.factor
	m := Message{
		ID: messageID(ch.ID), To: f.number(), Body: typed.Render(template, ch.code), taken: new(taken),
	}
	e := f.eventOf(ch, EventMessageUnknown) // and so it stays if the sender panics
	e.Time = ch.CreatedAt
	defer func() { s.emit(ctx, e) }()

	unknown, err := s.handOver(ctx, m)
	if err == nil {
		e.Kind, e.Sender, e.SenderID = EventMessageSent, m.taken.by, m.taken.id
		s.remember(ctx, ch, *m.taken)
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

// remember stores how the sender knows the message, for the events of its answer. Without it
// all works but what tells the provider that the code arrived.
func (s *Service) remember(ctx context.Context, ch *challenge, by taken) {
	if by.id == "" {
		return
	}
	sent := *ch
	sent.Version, sent.sender = 1, by
	if err := s.commit(ctx, voidTimeout, outcome{save: []stored{&sent}}); err != nil {
		s.log.WarnContext(ctx, "mfa: how the sender knows a message could not be stored",
			"challenge", ch.ID, "error", err)
	}
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
