package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/senders"
	"github.com/authfactor/mfa/senders/twilio"
	"github.com/authfactor/mfa/senders/vonage"
	"github.com/authfactor/mfa/senders/webhook"
)

// sender is what sends text messages, as -sms says.
func sender(o options, p process) (mfa.SMSSender, error) {
	if o.printSMS && o.smsBy != "" {
		return nil, errors.New("-print-sms sends nothing, so it cannot be there beside -sms")
	}
	var by func(getenv func(string) string, client *http.Client) (mfa.SMSSender, error)
	switch o.smsBy {
	case "":
		if o.dsn == defaultDSN || o.printSMS {
			return printer{p.stderr}, nil
		}
		return nil, errors.New("with -dsn text messages need a sender: -sms twilio, vonage or webhook sends them; for development, -print-sms writes them to standard error")
	case "twilio":
		by = byTwilio
	case "vonage":
		by = byVonage
	case "webhook":
		by = byWebhook
	default:
		return nil, fmt.Errorf("-sms is twilio, vonage or webhook, and not %q", o.smsBy)
	}
	sms, err := by(p.getenv, p.client)
	if err != nil {
		return nil, fmt.Errorf("-sms %s: %w", o.smsBy, err)
	}
	return sms, nil
}

func byTwilio(getenv func(string) string, client *http.Client) (mfa.SMSSender, error) {
	err := missing(getenv, "TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "TWILIO_FROM or TWILIO_MESSAGING_SERVICE_SID")
	if err != nil {
		return nil, err
	}
	return twilio.New(twilio.Config{
		AccountSID:          getenv("TWILIO_ACCOUNT_SID"),
		AuthToken:           senders.Hide(getenv("TWILIO_AUTH_TOKEN")),
		From:                getenv("TWILIO_FROM"),
		MessagingServiceSID: getenv("TWILIO_MESSAGING_SERVICE_SID"),
		HTTPClient:          client,
	})
}

func byVonage(getenv func(string) string, client *http.Client) (mfa.SMSSender, error) {
	if err := missing(getenv, "VONAGE_API_KEY", "VONAGE_API_SECRET", "VONAGE_FROM"); err != nil {
		return nil, err
	}
	return vonage.New(vonage.Config{
		APIKey:     getenv("VONAGE_API_KEY"),
		APISecret:  senders.Hide(getenv("VONAGE_API_SECRET")),
		From:       getenv("VONAGE_FROM"),
		HTTPClient: client,
	})
}

func byWebhook(getenv func(string) string, client *http.Client) (mfa.SMSSender, error) {
	if err := missing(getenv, "MFA_SMS_WEBHOOK_URL", "MFA_SMS_WEBHOOK_SECRET"); err != nil {
		return nil, err
	}
	secret, err := webhook.ParseSecret(getenv("MFA_SMS_WEBHOOK_SECRET"))
	if err != nil {
		return nil, fmt.Errorf("MFA_SMS_WEBHOOK_SECRET: %w", err)
	}
	return webhook.New(webhook.Config{
		URL: getenv("MFA_SMS_WEBHOOK_URL"), Secret: secret, HTTPClient: client,
	})
}

// missing is the error that names all variables of the environment that are not set. Of "A or B"
// one is enough.
func missing(getenv func(string) string, names ...string) error {
	var unset []string
	for _, name := range names {
		set := false
		for alternative := range strings.SplitSeq(name, " or ") {
			set = set || getenv(alternative) != ""
		}
		if !set {
			unset = append(unset, name)
		}
	}
	if len(unset) > 0 {
		return fmt.Errorf("set in the environment: %s", strings.Join(unset, ", "))
	}
	return nil
}

// A printer is the sender of a server that sends nothing.
type printer struct{ w io.Writer }

// Send implements mfa.SMSSender.
func (p printer) Send(_ context.Context, m mfa.Message) error {
	_, err := fmt.Fprintf(p.w, "sms to %s: %s\n", m.To, m.Body)
	return err
}
