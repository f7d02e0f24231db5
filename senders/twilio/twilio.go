// Package twilio sends codes with Twilio: as text messages, by WhatsApp, or spoken in a call.
//
//	sms, err := twilio.New(twilio.Config{
//		AccountSID: os.Getenv("TWILIO_ACCOUNT_SID"),
//		AuthToken:  senders.Hide(os.Getenv("TWILIO_AUTH_TOKEN")),
//		From:       "+15005550006",
//	})
//	svc, err := mfa.New(mfa.Config{SMS: sms, Regions: []string{"US"} /* Store, Keys */})
//
// That Send returns nil means that Twilio took the message, not that it arrived. What becomes of
// it later (Twilio's codes 30003 to 30008, 63016 and others) Twilio tells a status callback of
// the Messaging Service or the number.
package twilio

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/senders"
	"github.com/authfactor/mfa/senders/internal/provider"
)

// Config is an account and how it sends. AccountSID, one of the credentials, and one of From and
// MessagingServiceSID are required.
type Config struct {
	AccountSID string // "AC" and 32 hexadecimal digits

	// AuthToken is the account's own credential. Instead of it, APIKey ("SK" and 32 hexadecimal
	// digits) and APISecret are a key that can be revoked by itself.
	AuthToken senders.Secret
	APIKey    string
	APISecret senders.Secret

	// From is whom messages come from: a number of the account in E.164, a short code or, where
	// the country allows it, a name of up to 11 letters, digits and spaces. For WhatsApp and
	// Voice it is a number.
	From string

	// MessagingServiceSID ("MG" and 32 hexadecimal digits) takes the place of From: the Messaging
	// Service chooses whom messages come from. Not for Voice.
	MessagingServiceSID string

	// Channel is SMS by default.
	Channel Channel

	// ContentSID ("HX" and 32 hexadecimal digits) is required for WhatsApp, which delivers
	// nothing but approved templates to people who have not written in the last 24 hours. It
	// names the template, whose variable 1 becomes the code. The text of the message is not
	// sent. It must have one number of six digits, the code; otherwise Send returns ErrRefused.
	ContentSID string

	// Language of Voice, such as "de-DE"; "" is Twilio's default, "en-US". The text is in it.
	Language string

	// Feedback announces to Twilio that Sender.Feedback is called for each message whose code
	// was entered. It is off by default, for Twilio takes an announced message without feedback
	// as one that did not arrive. Not for Voice.
	Feedback bool

	// BaseURL takes the place of https://api.twilio.com, for tests. It must be https.
	BaseURL string

	// HTTPClient makes the requests. Its redirects are not followed, and its transport must not
	// repeat requests: a code would be sent twice. With nil it is one with the proxy of the
	// environment that gives up connecting after 8 seconds.
	HTTPClient *http.Client
}

// A Channel is a way to a person who has a phone number.
type Channel string

// The channels.
const (
	// SMS is a text message.
	SMS Channel = ""

	// WhatsApp is a message of WhatsApp, by an approved template: Config.ContentSID.
	WhatsApp Channel = "whatsapp"

	// Voice is a call that speaks the message twice, and the code digit by digit. A mailbox that
	// answers records the code, for whoever can listen to it. So the phone rings for 15 seconds
	// only, and it is best kept for people who get no text messages.
	Voice Channel = "voice"
)

// A Sender is an [mfa.SMSSender]. It is safe for concurrent use. In events it is "twilio",
// "twilio-whatsapp" or "twilio-voice".
type Sender struct {
	name     string
	cfg      Config
	user     string // of basic authentication
	password senders.Secret
	account  string // the URL of the account's resources
	client   *provider.Client
}

var _ mfa.SMSSender = (*Sender)(nil)

// New checks a Config, without a request to Twilio. Its errors match [mfa.ErrConfig].
func New(cfg Config) (*Sender, error) {
	base, ok := provider.BaseURL(cfg.BaseURL, "https://api.twilio.com")
	problem := cfg.problem()
	if !ok {
		problem = provider.BadBaseURL
	}
	if problem != "" {
		return nil, fmt.Errorf("%w: twilio: %s", mfa.ErrConfig, problem)
	}
	s := &Sender{
		name: "twilio", cfg: cfg, user: cfg.AccountSID, password: cfg.AuthToken,
		account: base + "/2010-04-01/Accounts/" + cfg.AccountSID,
	}
	if cfg.APIKey != "" {
		s.user, s.password = cfg.APIKey, cfg.APISecret
	}
	if cfg.Channel != SMS {
		s.name += "-" + string(cfg.Channel)
	}
	s.client = provider.NewClient(s.name, s.password, cfg.HTTPClient)
	return s, nil
}

// Send hands a message to Twilio. Its errors are [*senders.Error].
func (s *Sender) Send(ctx context.Context, m mfa.Message) error {
	form, resource, err := s.form(m)
	if err != nil {
		return err
	}
	a, err := s.client.Post(ctx, m, s.request(resource, form))
	if err != nil {
		return err
	}
	said := parse(a.Body)
	if !a.OK() || !said.taken() {
		return s.client.Error(m, a, said.verdict())
	}
	m.TakenBy(s.name, said.SID)
	return nil
}

// Feedback tells Twilio that the code of a message was entered, which improves how it routes
// later ones. The sender must have Config.Feedback. senderID is the Event.SenderID of its
// [mfa.EventMessageSent]. Errors are [*senders.Error]; nothing depends on them.
func (s *Sender) Feedback(ctx context.Context, senderID string) error {
	if !s.cfg.Feedback || !isSID(senderID, "SM", "MM") {
		return &senders.Error{
			Sender: s.name, Reason: senders.ErrRefused,
			Text: "Config.Feedback is off, or the id is not that of a message",
		}
	}
	form := url.Values{"Outcome": {"confirmed"}}
	a, err := s.client.Post(ctx, mfa.Message{}, s.request("/Messages/"+senderID+"/Feedback", form))
	if err != nil {
		return err
	}
	if said := parse(a.Body); !a.OK() || said.Outcome != "confirmed" {
		return s.client.Error(mfa.Message{}, a, said.verdict())
	}
	return nil
}

func (s *Sender) request(resource string, form url.Values) provider.Request {
	return provider.Request{
		URL:         s.account + resource + ".json",
		ContentType: "application/x-www-form-urlencoded",
		Body:        form.Encode(),
		User:        s.user, Password: s.password.Reveal(),
	}
}

// An answer has the fields of a message, a call, a feedback or an error that matter.
type answer struct {
	SID       string          `json:"sid"`
	ErrorCode provider.Number `json:"error_code"`
	ErrorText string          `json:"error_message"`

	Outcome string `json:"outcome"`

	Code    provider.Number `json:"code"`
	Message string          `json:"message"`

	Status any `json:"status"` // a word, and of an error the HTTP status
}

// parse gives the zero answer for what is not an answer of Twilio.
func parse(body []byte) (said answer) {
	if json.Unmarshal(body, &said) != nil {
		return answer{}
	}
	return said
}

// taken reports whether it is a message or a call that Twilio has, or had.
func (a answer) taken() bool {
	return isSID(a.SID, "SM", "MM", "CA") && !a.failed() && a.ErrorCode == ""
}

// failed reports whether it is one that Twilio gave up at once.
func (a answer) failed() bool {
	switch a.Status {
	case "failed", "undelivered", "canceled", "busy", "no-answer":
		return isSID(a.SID, "SM", "MM", "CA")
	}
	return false
}

func (a answer) verdict() provider.Verdict {
	failure := provider.Verdict{
		Reason: reasons[a.ErrorCode], Code: string(a.ErrorCode), Text: a.ErrorText,
	}
	switch {
	case a.Code != "":
		return provider.Verdict{Reason: reasons[a.Code], Code: string(a.Code), Text: a.Message}
	case a.failed() && failure.Reason != nil:
		return failure
	case a.failed():
		failure.Reason = senders.ErrRefused
		return failure
	case a.ErrorCode != "": // it has an error and goes on
		failure.Reason = senders.ErrUnknown
		return failure
	}
	return provider.Verdict{Text: a.Message}
}
