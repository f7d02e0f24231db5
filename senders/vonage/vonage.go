// Package vonage sends text messages with Vonage's SMS API, once Nexmo's.
//
//	sms, err := vonage.New(vonage.Config{
//		APIKey:    os.Getenv("VONAGE_API_KEY"),
//		APISecret: senders.Hide(os.Getenv("VONAGE_API_SECRET")),
//		From:      "Foo Corp",
//	})
//	svc, err := mfa.New(mfa.Config{SMS: sms, Regions: []string{"GB"} /* Store, Keys */})
//
// That Send returns nil means that Vonage took the message, not that it arrived: its delivery
// receipts tell that, with Message.ID as client-ref.
package vonage

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/internal/gsm7"
	"github.com/authfactor/mfa/senders"
	"github.com/authfactor/mfa/senders/internal/provider"
)

// Config is an account and how it sends. All but BaseURL and HTTPClient is required.
type Config struct {
	// APIKey and APISecret are the account's, from its dashboard.
	APIKey    string
	APISecret senders.Secret

	// From is whom messages come from: a number of the account with its country code, "+" or
	// not, or, where the country allows it, a name of up to 11 letters, digits and spaces.
	From string

	// BaseURL takes the place of https://rest.nexmo.com, for tests. It must be https.
	BaseURL string

	// HTTPClient makes the requests. Its redirects are not followed, and its transport must not
	// repeat requests: a code would be sent twice. With nil it is one with the proxy of the
	// environment that gives up connecting after 8 seconds.
	HTTPClient *http.Client
}

const name = "vonage"

var from = regexp.MustCompile(`^(\+?[0-9]{3,15}|[0-9 ]{0,10}[A-Za-z][A-Za-z0-9 ]*)$`)

const maxName = 11 // characters of From

// A Sender is an [mfa.SMSSender]. It is safe for concurrent use. In events it is "vonage".
type Sender struct {
	cfg    Config
	url    string
	client *provider.Client
}

var _ mfa.SMSSender = (*Sender)(nil)

// New checks a Config, without a request to Vonage. Its errors match [mfa.ErrConfig].
func New(cfg Config) (*Sender, error) {
	base, ok := provider.BaseURL(cfg.BaseURL, "https://rest.nexmo.com")
	problem := cfg.problem()
	if !ok {
		problem = provider.BadBaseURL
	}
	if problem != "" {
		return nil, fmt.Errorf("%w: vonage: %s", mfa.ErrConfig, problem)
	}
	return &Sender{
		cfg: cfg, url: base + "/sms/json",
		client: provider.NewClient(name, cfg.APISecret, cfg.HTTPClient),
	}, nil
}

// problem is what is wrong with a Config, "" for nothing. It has no secret.
func (cfg *Config) problem() string {
	isName := strings.ContainsFunc(cfg.From, unicode.IsLetter)
	switch {
	case cfg.APIKey == "":
		return "APIKey is required"
	case cfg.APISecret.Reveal() == "":
		return "APISecret is required"
	case !from.MatchString(cfg.From), isName && len(cfg.From) > maxName:
		return `From must be a number such as "15005550006", or a name of up to 11 letters, ` +
			"digits and spaces"
	}
	return ""
}

// A request is the body of a POST to /sms/json.
type request struct {
	Key    string `json:"api_key"`
	Secret string `json:"api_secret"`
	From   string `json:"from"`
	To     string `json:"to"`
	Text   string `json:"text"`
	Type   string `json:"type"`
	Ref    string `json:"client-ref"`
}

// Send hands a message to Vonage. Its errors are [*senders.Error].
//
// Vonage answers for each part of a long message by itself. If it took some and refused others,
// the error is ErrUnknown: the code may be in either.
func (s *Sender) Send(ctx context.Context, m mfa.Message) error {
	r := request{
		Key: s.cfg.APIKey, Secret: s.cfg.APISecret.Reveal(),
		From: strings.TrimPrefix(s.cfg.From, "+"), To: strings.TrimPrefix(m.To, "+"),
		Text: m.Body, Type: "text", Ref: m.ID,
	}
	if !gsm7.Has(m.Body) {
		r.Type = "unicode" // as "text", Vonage puts '?' where a character is not of GSM 03.38
	}
	body, err := json.Marshal(r) //nolint:gosec // the API takes the secret in the body
	if err != nil {
		return &senders.Error{Sender: name, Reason: senders.ErrRefused, Cause: err}
	}
	a, err := s.client.Post(ctx, m, provider.Request{
		URL: s.url, ContentType: "application/json", Body: string(body),
	})
	if err != nil {
		return err
	}
	id, v := judge(a.Body)
	if !a.OK() || id == "" {
		return s.client.Error(m, a, v)
	}
	m.TakenBy(name, id)
	return nil
}

// An answer is one of the SMS API, or a problem (RFC 7807) of what stands before it.
type answer struct {
	Count provider.Number `json:"message-count"`
	Parts []struct {
		Status provider.Number `json:"status"`
		ID     string          `json:"message-id"`
		Error  string          `json:"error-text"`
	} `json:"messages"`

	Title string `json:"title"`
}

// judge gives the id of a message that was taken with all its parts, otherwise "" and what the
// answer says.
func judge(body []byte) (id string, v provider.Verdict) {
	var said answer
	if json.Unmarshal(body, &said) != nil {
		return "", provider.Verdict{}
	}
	taken, complete := 0, len(said.Parts) > 0 && string(said.Count) == strconv.Itoa(len(said.Parts))
	for _, part := range said.Parts {
		switch {
		case part.Status == "0" && part.ID != "":
			taken++
		case part.Status == "" || part.Status == "0":
			complete = false
		case v.Code == "":
			v = provider.Verdict{Reason: reasons[part.Status], Code: string(part.Status), Text: part.Error}
		}
	}
	switch {
	case !complete, taken > 0 && taken < len(said.Parts):
		v.Reason = senders.ErrUnknown
	case taken > 0:
		return said.Parts[0].ID, v
	}
	if len(said.Parts) == 0 {
		return "", provider.Verdict{Text: said.Title}
	}
	return "", v
}

// reasons has what can be done about the statuses of the SMS API
// (developer.vonage.com/api-errors/sms). One that is not here is ErrRefused.
var reasons = map[provider.Number]error{
	// Another number, or another factor.
	"6":  senders.ErrCannotReceive, // no network for the number
	"7":  senders.ErrCannotReceive, // the number is barred
	"33": senders.ErrCannotReceive, // the number is deactivated

	// Later, or another provider now.
	"1":  senders.ErrTryLater, // too many messages a second
	"10": senders.ErrTryLater, // too many connections

	// The account's owner: pay, or put right credentials, From or permissions.
	"4":  senders.ErrAccount, // wrong credentials
	"8":  senders.ErrAccount, // suspended
	"9":  senders.ErrAccount, // no credit
	"11": senders.ErrAccount, // without the SMS API
	"14": senders.ErrAccount, // requests must be signed
	"15": senders.ErrAccount, // From is not the account's, or not for this country
	"29": senders.ErrAccount, // a demo account sends to verified numbers only
	"32": senders.ErrAccount, // requests must be signed

	"5": senders.ErrUnknown, // it broke while the message was processed
}
