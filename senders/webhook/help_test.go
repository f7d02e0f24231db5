package webhook_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/mfatest"
	"github.com/authfactor/mfa/senders"
	"github.com/authfactor/mfa/senders/webhook"
)

type failed = senders.Error

const (
	number = "+15005550006"
	code   = "739164"

	// Keys of 32 bytes.
	newSecret = "whsec_bmV3IGtleSB0aGF0IGlzIDMyIGJ5dGVzIGxvbmcgISE="
	oldSecret = "whsec_b2xkIGtleSB0aGF0IGlzIDMyIGJ5dGVzIGxvbmcgISE="
)

var message = mfa.Message{ID: "5f0c2a", To: number, Body: "Your code is " + code + "."}

func secret(tb testing.TB, text string) webhook.Secret {
	tb.Helper()
	s, err := webhook.ParseSecret(text)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// signature is what the specification says, computed by hand.
func signature(secret, id, timestamp, body string) string {
	key, err := base64.StdEncoding.DecodeString(secret[len("whsec_"):])
	if err != nil {
		panic(err)
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + timestamp + "." + body))
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// gateway is a server on the loopback interface, and a sender that posts to it.
func gateway(tb testing.TB, handler http.HandlerFunc) *webhook.Sender {
	tb.Helper()
	server := httptest.NewTLSServer(handler)
	tb.Cleanup(server.Close)
	return newSender(tb, webhook.Config{URL: server.URL + "/send", HTTPClient: server.Client()})
}

func newSender(tb testing.TB, cfg webhook.Config) *webhook.Sender {
	tb.Helper()
	cfg.Secret = secret(tb, newSecret)
	if cfg.Now == nil {
		cfg.Now = new(mfatest.Clock).Now
	}
	s, err := webhook.New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

type send = func(context.Context, mfa.Message) (webhook.Taken, error)

func newReceiver(tb testing.TB, clock *mfatest.Clock, send send) *webhook.Receiver {
	tb.Helper()
	r, err := webhook.NewReceiver(webhook.ReceiverConfig{
		Secrets: []webhook.Secret{secret(tb, newSecret), secret(tb, oldSecret)},
		Send:    send, Now: clock.Now,
	})
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// failure is the error of a sender, which has no other.
func failure(tb testing.TB, err error) *senders.Error {
	tb.Helper()
	e, ok := errors.AsType[*senders.Error](err)
	if !ok || e.Sender != "webhook" {
		tb.Fatalf("error %T %v", err, err)
	}
	return e
}

// goesOn reports whether Fallback asks the next sender after an error.
func goesOn(e *senders.Error) bool {
	return !errors.Is(e, senders.ErrUnknown) && !errors.Is(e, senders.ErrOptedOut)
}

// bounded ends what hangs.
func bounded(tb testing.TB) context.Context {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 30*time.Second)
	tb.Cleanup(cancel)
	return ctx
}
