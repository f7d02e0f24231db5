package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/senders/webhook"
)

// testSecret is 32 bytes that are known to anyone.
const testSecret = "whsec_ZXhhbXBsZSBrZXksIDMyIGJ5dGVzIGxvbmcuLi4uLi4="

// TestSend: with -sms a code is sent by the provider, with the credentials of the environment,
// and stands nowhere in what the server writes.
func TestSend(t *testing.T) {
	hex := strings.Repeat("0123456789abcdef", 2)
	secret, err := webhook.ParseSecret(testSecret)
	if err != nil {
		t.Fatal(err)
	}
	// A received message is of the number and the text, and who it was for.
	received := make(chan [3]string, 1)
	gateway, err := webhook.NewReceiver(webhook.ReceiverConfig{
		Secrets: []webhook.Secret{secret},
		Send: func(_ context.Context, m mfa.Message) (webhook.Taken, error) {
			received <- [3]string{m.To, m.Body, "signed"}
			return webhook.Taken{}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	provider := http.NewServeMux()
	provider.HandleFunc("POST api.twilio.com/2010-04-01/Accounts/AC"+hex+"/Messages.json", func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		received <- [3]string{r.PostFormValue("To"), r.PostFormValue("Body"), user + " " + password + " " + r.PostFormValue("From") + r.PostFormValue("MessagingServiceSid")}
		w.WriteHeader(http.StatusCreated)
		_, _ = fmt.Fprintf(w, `{"sid": "SM%s", "status": "queued"}`, hex)
	})
	provider.HandleFunc("POST rest.nexmo.com/sms/json", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		value := func(name string) string {
			return regexp.MustCompile(`"` + name + `":"([^"]*)"`).FindStringSubmatch(string(body))[1]
		}
		received <- [3]string{"+" + value("to"), value("text"), value("api_key") + " " + value("api_secret") + " " + value("from")}
		_, _ = io.WriteString(w, `{"message-count": "1", "messages": [{"status": "0", "message-id": "0C0"}]}`)
	})
	provider.Handle("POST sms.example.com/send", gateway)
	there := httptest.NewTLSServer(provider)
	defer there.Close()

	for _, c := range []struct {
		name, by, who string
		env           map[string]string
	}{
		{"a number of Twilio", "twilio", "AC" + hex + " hunter2 +15005550001", map[string]string{
			"TWILIO_ACCOUNT_SID": "AC" + hex, "TWILIO_AUTH_TOKEN": "hunter2", "TWILIO_FROM": "+15005550001",
		}},
		{"a service of Twilio", "twilio", "AC" + hex + " hunter2 MG" + hex, map[string]string{
			"TWILIO_ACCOUNT_SID": "AC" + hex, "TWILIO_AUTH_TOKEN": "hunter2", "TWILIO_MESSAGING_SERVICE_SID": "MG" + hex,
		}},
		{"Vonage", "vonage", "abcd1234 hunter2 FooCorp", map[string]string{
			"VONAGE_API_KEY": "abcd1234", "VONAGE_API_SECRET": "hunter2", "VONAGE_FROM": "FooCorp",
		}},
		{"a webhook", "webhook", "signed", map[string]string{
			"MFA_SMS_WEBHOOK_URL": "https://sms.example.com/send", "MFA_SMS_WEBHOOK_SECRET": testSecret,
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			c.env["WORKOS_API_KEY"] = testKey
			s := startBy(t, to(t, there), usual, c.env, "-sms", c.by)
			id := s.must(t, 201, "POST", "/auth/factors/enroll", `{"type":"sms","phone_number":"+15005550006"}`).str("id")
			challenge := s.must(t, 201, "POST", "/auth/factors/"+id+"/challenge", `{"sms_template":"Your FooCorp is {{code}}."}`).str("id")
			message := <-received
			code := regexp.MustCompile(`[0-9]{6}`).FindString(message[1])
			if message != [3]string{"+15005550006", "Your FooCorp is " + code + ".", c.who} {
				t.Errorf("%q", message)
			}
			s.verify(t, challenge, code)
			for _, hidden := range []string{code, "hunter2", testSecret} {
				if strings.Contains(s.stderr.String()+s.stdout.String(), hidden) {
					t.Errorf("%s stands there:\n%s", hidden, s.stderr)
				}
			}
		})
	}
}

// to is a client that finds every host at one server.
func to(t *testing.T, server *httptest.Server) *http.Client {
	t.Helper()
	at, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	trusted := server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	return &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, at.Host)
		},
		TLSClientConfig: &tls.Config{RootCAs: trusted, ServerName: "example.com"},
	}}
}
