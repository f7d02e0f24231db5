// Package aws sends text messages by AWS End User Messaging SMS, over the official SDK's client
// pinpointsmsvoicev2. That signs the requests, with credentials and for a region of yours:
//
//	cfg, err := config.LoadDefaultConfig(ctx) // github.com/aws/aws-sdk-go-v2/config
//	sender, err := aws.New(aws.Config{
//		Client:              pinpointsmsvoicev2.NewFromConfig(cfg),
//		OriginationIdentity: "pool-0123456789abcdef", // who the messages are from
//	})
//	svc, err := mfa.New(mfa.Config{SMS: sender, ...})
//
// The credentials need the permission sms-voice:SendTextMessage, and for [Sender.Feedback]
// sms-voice:PutMessageFeedback. Give no ClientLogMode to the client that logs bodies: they hold
// numbers and codes.
//
// # Retries
//
// A message is one request: SendTextMessage takes no idempotency key, and the SDK, which by
// itself makes three attempts, would send a second message after an answer that was lost.
// [senders.Fallback] can go on to another sender where nothing was handed over.
//
// # Errors
//
// Each is a [*senders.Error], whose Code is what AWS gives as the reason, such as
// DESTINATION_PHONE_NUMBER_OPTED_OUT, or else the name of the exception, or else the status, such
// as "HTTP 502":
//
//	ErrCannotReceive  the destination number is not valid
//	ErrOptedOut       the number is on the opt-out list
//	ErrRegionOff      the country is blocked, or no origination identity can send to it
//	ErrTryLater       a rate limit, 503 with Retry-After, or no connection to AWS
//	ErrAccount        credentials, permissions, the sandbox, the monthly spend limit, or an
//	                  identity or a configuration set that the account does not have
//	ErrRefused        any other answer of 300 to 499, which includes redirects, or 501, 505, 511
//	ErrUnknown        any other answer of 500 to 599, or none, or one without an id
//
// The spend limit is ErrAccount, because it ends with the month unless it is raised.
package aws

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/pinpointsmsvoicev2"
	"github.com/aws/aws-sdk-go-v2/service/pinpointsmsvoicev2/types"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/internal/handover"
	"github.com/authfactor/mfa/senders"
	"github.com/authfactor/mfa/senders/internal/provider"
)

const (
	name       = "aws" // Error.Sender, and who took a message
	timeToLive = 600   // seconds: as long as a challenge lives
)

// A Config is what New needs: Client is required.
type Config struct {
	// Client makes the requests, with its own credentials, region and HTTP client; its
	// Retryer is not used for messages. With an HTTP client of the SDK, connecting takes 4
	// seconds at most, and the TLS handshake 4 more. Redirects are not followed, unless the HTTP
	// client is neither one of the SDK nor an *http.Client and follows them.
	Client *pinpointsmsvoicev2.Client

	// OriginationIdentity is who messages are from: a phone number, a sender ID or a pool, by
	// its id or its ARN. With "" AWS chooses one of the account's.
	OriginationIdentity string

	// ConfigurationSet is the name or the ARN of one, for where delivery events go. "" is
	// none.
	ConfigurationSet string

	// ProtectConfiguration is the id of one, with the countries that are blocked or filtered.
	// With "" it is that of the configuration set or the account, if there is one.
	ProtectConfiguration string

	// Feedback asks AWS to wait for [Sender.Feedback] of each message. A message without one
	// counts as failed after an hour, so set it only where Feedback is called.
	Feedback bool
}

// A Sender is an [mfa.SMSSender]. It is safe for concurrent use, and prints no credentials.
type Sender struct {
	cfg  Config
	http sdk.HTTPClient // that of Client, but for redirects
}

var _ mfa.SMSSender = (*Sender)(nil)

// New returns a sender, or an error if Config.Client is nil. It connects to nothing.
func New(cfg Config) (*Sender, error) {
	if cfg.Client == nil {
		return nil, fmt.Errorf("%w: aws: Client is required: see pinpointsmsvoicev2.NewFromConfig",
			mfa.ErrConfig)
	}
	client := cfg.Client.Options().HTTPClient
	if own, ok := client.(*awshttp.BuildableClient); ok {
		client = soon(own) // follows no redirect of a request with a body
	}
	if standard, ok := client.(*http.Client); ok {
		staying := *standard
		staying.CheckRedirect = func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		}
		client = &staying
	}
	return &Sender{cfg: cfg, http: client}, nil
}

// soon gives up connecting while there is time for another sender. The SDK sets the dialer of a
// client in the same way.
func soon(c *awshttp.BuildableClient) *awshttp.BuildableClient {
	shorten := func(wait *time.Duration) {
		if *wait <= 0 || *wait > provider.ConnectTime {
			*wait = provider.ConnectTime
		}
	}
	return c.WithDialerOptions(func(d *net.Dialer) { shorten(&d.Timeout) }).
		WithTransportOptions(func(t *http.Transport) { shorten(&t.TLSHandshakeTimeout) })
}

// Send hands the message to AWS once, as a transactional one that is dropped if no phone takes
// it within ten minutes. The package documentation describes its errors. Without a deadline of
// ctx, AWS has 15 seconds.
func (s *Sender) Send(ctx context.Context, m mfa.Message) error {
	ctx, cancel := provider.Bounded(ctx)
	defer cancel()
	in := &pinpointsmsvoicev2.SendTextMessageInput{
		DestinationPhoneNumber: &m.To,
		MessageBody:            &m.Body,
		MessageType:            types.MessageTypeTransactional,
		TimeToLive:             new(int32(timeToLive)),
		OriginationIdentity:    optional(s.cfg.OriginationIdentity),
		ConfigurationSetName:   optional(s.cfg.ConfigurationSet),
		ProtectConfigurationId: optional(s.cfg.ProtectConfiguration),
	}
	if s.cfg.Feedback {
		in.MessageFeedbackEnabled = new(true)
	}
	call := &call{client: s.http}
	out, err := s.cfg.Client.SendTextMessage(ctx, in, func(o *pinpointsmsvoicev2.Options) {
		o.HTTPClient, o.Retryer = call, sdk.NopRetryer{}
	})
	if err != nil {
		return call.failed(ctx, m, err)
	}
	if out.MessageId == nil || *out.MessageId == "" {
		return &senders.Error{
			Sender: name, Reason: senders.ErrUnknown, Text: "the answer has no message id",
		}
	}
	m.TakenBy(name, *out.MessageId)
	return nil
}

// Feedback tells AWS that a message was received, as its code was entered: senderID is
// mfa.Event.SenderID of the message. AWS learns from that which messages are fraud, if
// Config.Feedback was set when the message was sent. Each error is a [*senders.Error] without
// Text; the client's Retryer has tried again where that helps.
func (s *Sender) Feedback(ctx context.Context, senderID string) error {
	ctx, cancel := provider.Bounded(ctx)
	defer cancel()
	call := &call{client: s.http}
	_, err := s.cfg.Client.PutMessageFeedback(ctx, &pinpointsmsvoicev2.PutMessageFeedbackInput{
		MessageId:             &senderID,
		MessageFeedbackStatus: types.MessageFeedbackStatusReceived,
	}, func(o *pinpointsmsvoicev2.Options) { o.HTTPClient = call })
	if err != nil {
		e := call.failed(ctx, mfa.Message{}, err)
		e.Text = "" // it could not be kept from quoting a number that is not known here
		return e
	}
	return nil
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// A call is the HTTP client of one call of the SDK.
type call struct {
	client sdk.HTTPClient
	asked  bool // whether the SDK got as far as a request
	way    handover.Progress
}

// Do makes a request, and reads at most 64 KiB of the answer.
func (c *call) Do(r *http.Request) (*http.Response, error) {
	c.asked = true
	resp, err := c.client.Do(r.WithContext(c.way.Trace(r.Context())))
	if resp != nil && resp.Body != nil {
		resp.Body = http.MaxBytesReader(nil, resp.Body, provider.MaxBody)
	}
	return resp, err
}
