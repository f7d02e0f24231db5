// Package webhook sends text messages through a gateway of your own: each message is one
// signed POST to it, as Standard Webhooks 1.0.0 describes (github.com/standard-webhooks).
// So any provider can be used, whatever language its client is written in.
//
// Make a secret with
//
//	echo "whsec_$(openssl rand -base64 32)"
//
// and give it to both sides. The application:
//
//	secret, err := webhook.ParseSecret(os.Getenv("SMS_WEBHOOK_SECRET"))
//	sender, err := webhook.New(webhook.Config{
//		URL: "https://sms.internal.example/send", Secret: secret,
//	})
//	svc, err := mfa.New(mfa.Config{SMS: sender, ...})
//
// The gateway, if it is written in Go:
//
//	receiver, err := webhook.NewReceiver(webhook.ReceiverConfig{
//		Secrets: []webhook.Secret{secret},
//		Send: func(ctx context.Context, m mfa.Message) (webhook.Taken, error) {
//			id, err := provider.SendText(ctx, m.To, m.Body, m.ID)
//			if err != nil {
//				// Nothing says that it was not sent. Where something does: senders.ErrRefused.
//				return webhook.Taken{}, fmt.Errorf("%w: %w", senders.ErrUnknown, err)
//			}
//			return webhook.Taken{By: "provider", ID: id}, nil
//		},
//	})
//	http.Handle("/send", receiver)
//
// A gateway in another language checks the signature with a library of Standard Webhooks.
//
// # The request
//
// The headers are webhook-id, which is Message.ID, webhook-timestamp (Unix seconds), and
// webhook-signature; the last has two signatures while a secret is being replaced. The body is
//
//	{
//		"type": "sms.send",
//		"timestamp": "2026-11-28T07:14:34.25Z",
//		"data": {"id": "5f0c…", "to": "+15005550006", "body": "Your code is 739164."}
//	}
//
// where data.id is webhook-id. Members may be added. A gateway must send one message for an id,
// however often the id comes; it comes again if the application calls Send again. A Receiver
// remembers an id for ten minutes.
//
// # The answer
//
// Any status from 200 to 299 says that the message was taken. The body is optional:
//
//	{"sender": "provider", "id": "the provider's id of the message"}
//
// If nothing was handed over, the status is from 400 to 499, and the body
//
//	{"error": "opted_out", "text": "for the log", "code": "the provider's number or word"}
//
// names the reason: cannot_receive, opted_out, region_off, try_later, account or refused, as in
// package senders. The header Retry-After, beside try_later, gives the seconds or the date. If
// it is not known whether the message was handed over, "unknown" says so. A status
// from 200 to 299 with an error counts as the error.
//
// Without such a body the status decides:
//
//	401, 402, 403                ErrAccount: the secret may be wrong
//	429, 503 with Retry-After    ErrTryLater
//	303, 408                     ErrUnknown
//	any other from 300 to 499    ErrRefused: redirects are not followed
//	501, 505, 511                ErrRefused
//	any other from 500           ErrUnknown
//
// At most 64 KiB of an answer are read. What is longer, is cut off, or is not this JSON is an
// answer without a body.
package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/senders"
	"github.com/authfactor/mfa/senders/internal/provider"
)

const sender = "webhook" // Error.Sender, and who took a message if the gateway does not say

// A Config is what New needs: URL and Secret are required.
type Config struct {
	// URL is where the messages go, such as "https://sms.internal.example/send". A Config prints
	// it, a Sender and its errors do not.
	URL string

	// Secret signs the messages.
	Secret Secret

	// PreviousSecret signs them as well, while the gateway may still have it alone. The zero
	// value signs nothing.
	PreviousSecret Secret

	// HTTPClient makes the requests. Nil is one that uses the proxy of the environment, as
	// http.DefaultTransport does, and gives up connecting after 4 seconds, and the TLS
	// handshake after 4 more. Redirects are not followed, whatever its CheckRedirect says.
	// Its Transport must not repeat requests by itself.
	HTTPClient *http.Client

	// Now is the clock, for the timestamps. Nil is time.Now.
	Now func() time.Time

	// InsecureHTTP permits a URL of http, which shows codes and numbers to whoever sees the
	// traffic: for development, or where something else encrypts it. Without it New returns
	// an error for such a URL, of the loopback interface too.
	InsecureHTTP bool
}

// A Sender is an [mfa.SMSSender]. It is safe for concurrent use, and prints no secret.
type Sender struct {
	client *provider.Client
	now    func() time.Time

	// The URL may hold a password. Functions do not print.
	url  func() string
	sign func(id, timestamp string, body []byte) string
}

var _ mfa.SMSSender = (*Sender)(nil)

// New returns a sender, or an error if Config.URL is not one of https, or Config.Secret is
// missing. It connects to nothing. Its errors match [mfa.ErrConfig].
func New(cfg Config) (*Sender, error) {
	target, err := url.Parse(cfg.URL)
	switch {
	case err != nil || target.Host == "" || target.Scheme != "https" && target.Scheme != "http":
		return nil, fmt.Errorf("%w: webhook: Config.URL must be an absolute URL of https", mfa.ErrConfig)
	case target.Scheme == "http" && !cfg.InsecureHTTP:
		return nil, fmt.Errorf("%w: webhook: Config.URL must be of https: over http, codes and numbers "+
			"can be read on the way (Config.InsecureHTTP permits it)", mfa.ErrConfig)
	case cfg.Secret.sign == nil:
		return nil, fmt.Errorf("%w: webhook: Config.Secret is required: see ParseSecret", mfa.ErrConfig)
	}
	return &Sender{
		client: provider.NewClient(sender, senders.Secret{}, cfg.HTTPClient),
		now:    clock(cfg.Now), url: target.String,
		sign: func(id, timestamp string, body []byte) string {
			signature := cfg.Secret.sign(id, timestamp, body)
			if cfg.PreviousSecret.sign != nil {
				signature += " " + cfg.PreviousSecret.sign(id, timestamp, body)
			}
			return signature
		},
	}, nil
}

func clock(now func() time.Time) func() time.Time {
	if now == nil {
		return time.Now //nolint:forbidigo // the default of Config.Now
	}
	return now
}

// Send posts the message once. Each error is a [*senders.Error]: of what the gateway answered,
// or ErrTryLater if there was no connection to it, or else ErrUnknown. Without a
// deadline of ctx, the gateway has 15 seconds.
func (s *Sender) Send(ctx context.Context, m mfa.Message) error {
	req, err := s.request(m)
	if err != nil {
		return &senders.Error{
			Sender: sender, Reason: senders.ErrRefused, Text: senders.Masked(m, err.Error()),
		}
	}
	a, err := s.client.Post(ctx, m, req)
	if err != nil {
		return err
	}
	said := parse(a.Body)
	if !a.OK() || said.Error != "" {
		return s.client.Error(m, a, said.verdict(m, a.OK()))
	}
	m.TakenBy(said.takenBy())
	return nil
}

// An event is the body of a request.
type event struct {
	Type      string    `json:"type"`
	Timestamp time.Time `json:"timestamp"`
	Data      data      `json:"data"`
}

type data struct {
	ID   string `json:"id"`
	To   string `json:"to"`
	Body string `json:"body"`
}

const eventType = "sms.send"

func (s *Sender) request(m mfa.Message) (r provider.Request, err error) {
	if !validID(m.ID) {
		return r, errors.New("Message.ID cannot be a header: see Receiver")
	}
	now := s.now().UTC()
	body, err := json.Marshal(event{eventType, now, data{m.ID, m.To, m.Body}})
	if err != nil {
		return r, fmt.Errorf("the message as JSON: %w", err)
	}
	timestamp := strconv.FormatInt(now.Unix(), 10)
	r = provider.Request{
		URL: s.url(), ContentType: "application/json", Body: string(body), Header: http.Header{},
	}
	r.Header.Set(headerID, m.ID)
	r.Header.Set(headerTimestamp, timestamp)
	r.Header.Set(headerSignature, s.sign(m.ID, timestamp, body))
	return r, nil
}
