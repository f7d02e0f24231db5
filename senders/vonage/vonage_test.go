package vonage_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/internal/testrig"
	"github.com/authfactor/mfa/senders"
	"github.com/authfactor/mfa/senders/internal/faults"
	"github.com/authfactor/mfa/senders/vonage"
)

const secret = "s3cr3t-0f-the-account"

// config is one for a server of the test.
func config(baseURL string, client *http.Client) vonage.Config {
	return vonage.Config{
		APIKey: "abcd1234", APISecret: senders.Hide(secret), From: "Foo Corp",
		BaseURL: baseURL, HTTPClient: client,
	}
}

func sender(tb testing.TB, cfg vonage.Config) *vonage.Sender {
	tb.Helper()
	s, err := vonage.New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// parts is how Vonage answers for a message of as many parts.
func parts(parts ...string) faults.Answer {
	return counted(fmt.Sprintf("%q", fmt.Sprint(len(parts))), parts...)
}

func counted(count string, parts ...string) faults.Answer {
	return faults.Answer{
		Status: http.StatusOK, ContentType: "application/json",
		Body: `{"message-count": ` + count + `, "messages": [` + strings.Join(parts, ", ") + `]}`,
	}
}

// taken is a part that was taken, refused one that was not.
const taken = `{"to": "15005550006", "message-id": "0C000000217B7F02", "status": "0",
	"remaining-balance": "15.53590000", "message-price": "0.03330000", "network": "23410"}`

func refused(status, text string) string {
	return fmt.Sprintf(`{"to": "15005550006", "status": %q, "error-text": %q}`, status, text)
}

func TestFaults(t *testing.T) {
	faults.Run(t, func(baseURL string, client *http.Client) mfa.SMSSender {
		return sender(t, config(baseURL, client))
	}, parts(taken))
}

// TestRequest: what is posted is what Vonage documents, field by field.
func TestRequest(t *testing.T) {
	for name, tt := range map[string]struct {
		from, body         string
		wantFrom, wantType string
	}{
		"a name":      {"Foo Corp", "Your code is 482913. {€}", "Foo Corp", "text"},
		"a number":    {"+15005550001", "Your code is 482913.", "15005550001", "text"},
		"not of GSM":  {"15005550001", "Ваш код <482913> & more", "15005550001", "unicode"},
		"a character": {"12345", "Your code is 482913`", "12345", "unicode"},
	} {
		t.Run(name, func(t *testing.T) {
			var body []byte
			server := faults.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				var err error
				if body, err = io.ReadAll(r.Body); err != nil {
					t.Error(err)
				}
				if got := r.Method + r.URL.RequestURI() + r.Header.Get("Content-Type"); got !=
					"POST/sms/jsonapplication/json" || r.Header.Get("Authorization") != "" {
					t.Errorf("a request %s with the header %v", got, r.Header)
				}
				parts(taken).ServeHTTP(w, r)
			}))
			cfg := config(server.URL+"/", server.Client())
			cfg.From = tt.from
			m := faults.Message()
			m.Body = tt.body
			if err := sender(t, cfg).Send(t.Context(), m); err != nil {
				t.Fatal(err)
			}
			var got map[string]string
			if err := json.Unmarshal(body, &got); err != nil {
				t.Fatal(err)
			}
			want := map[string]string{
				"api_key": "abcd1234", "api_secret": secret, "from": tt.wantFrom, "to": "15005550006",
				"text": tt.body, "type": tt.wantType, "client-ref": m.ID,
			}
			if !maps.Equal(got, want) {
				t.Errorf("a body %q\nwant   %q", got, want)
			}
		})
	}
}

// TestTakenBy: events have the id of the first part.
func TestTakenBy(t *testing.T) {
	second := strings.Replace(taken, "0C0", "0D0", 1)
	server := faults.Serve(t, parts(taken, second))
	by, id := faults.TakenBy(t, sender(t, config(server.URL, server.Client())))
	if by != "vonage" || id != "0C000000217B7F02" {
		t.Errorf("taken by %q as %q", by, id)
	}
}

// TestAnswers: what Vonage says of the parts is what the error says.
func TestAnswers(t *testing.T) {
	for name, tt := range map[string]struct {
		answer faults.Answer
		reason error // nil: it was taken
		code   string
	}{
		"taken":              {parts(taken), nil, ""},
		"taken in two parts": {parts(taken, taken), nil, ""},
		"numbers instead":    {counted("1", strings.ReplaceAll(taken, `"0"`, `0`)), nil, ""},
		"throttled": {
			parts(refused("1", "Throughput Rate Exceeded - please wait")),
			senders.ErrTryLater, "1",
		},
		"missing parameters": {parts(refused("2", "Missing to param")), senders.ErrRefused, "2"},
		"wrong credentials":  {parts(refused("4", "Bad Credentials")), senders.ErrAccount, "4"},
		"an internal error":  {parts(refused("5", "Internal Error")), senders.ErrUnknown, "5"},
		"no network": {
			parts(refused("6", "Unroutable message - rejected")),
			senders.ErrCannotReceive, "6",
		},
		"barred": {parts(refused("7", "Number barred")), senders.ErrCannotReceive, "7"},
		"suspended": {
			parts(refused("8", "Partner account barred")),
			senders.ErrAccount, "8",
		},
		"no credit": {
			parts(refused("9", "Quota Exceeded - rejected")),
			senders.ErrAccount, "9",
		},
		"connections": {
			parts(refused("10", "Too many existing binds")),
			senders.ErrTryLater, "10",
		},
		"wrong From": {
			parts(refused("15", "Illegal Sender Address - rejected")),
			senders.ErrAccount, "15",
		},
		"a demo account": {
			parts(refused("29", "Non White-listed Destination")),
			senders.ErrAccount, "29",
		},
		"deactivated": {
			parts(refused("33", "Number De-activated")),
			senders.ErrCannotReceive, "33",
		},
		"a new status": {parts(refused("77", "New")), senders.ErrRefused, "77"},
		"all parts": {
			parts(refused("9", "Quota"), refused("6", "x")),
			senders.ErrAccount, "9",
		},
		"the second part": {
			parts(taken, refused("9", "Quota Exceeded")),
			senders.ErrUnknown, "9",
		},
		"the first part":        {parts(refused("1", "Throughput"), taken), senders.ErrUnknown, "1"},
		"a part is missing":     {counted(`"2"`, taken), senders.ErrUnknown, "HTTP 200"},
		"a refusal is missing":  {counted(`"2"`, refused("9", "Quota")), senders.ErrUnknown, "9"},
		"no count":              {counted("null", taken), senders.ErrUnknown, "HTTP 200"},
		"no parts":              {parts(), senders.ErrUnknown, "HTTP 200"},
		"no status":             {parts(`{"message-id": "0C"}`), senders.ErrUnknown, "HTTP 200"},
		"no id of a part":       {parts(taken, `{"status": "0"}`), senders.ErrUnknown, "HTTP 200"},
		"no id":                 {parts(`{"status": "0"}`), senders.ErrUnknown, "HTTP 200"},
		"half of them say less": {parts(refused("9", "Quota"), `{}`), senders.ErrUnknown, "9"},
		"a status that is long": {parts(refused("482913", "x")), senders.ErrUnknown, "HTTP 200"},
		"a problem": {faults.Answer{
			Status: 401, ContentType: "application/problem+json",
			Body: `{"type": "https://x", "title": "Unauthorized", "detail": "x", "instance": "y"}`,
		}, senders.ErrAccount, "HTTP 401"},
		"taken, with 500": {
			faults.Answer{Status: 500, Body: parts(taken).Body},
			senders.ErrUnknown, "HTTP 500",
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := faults.Serve(t, tt.answer)
			s := sender(t, config(server.URL, server.Client()))
			faults.Challenge(t, s, tt.reason)
			err := s.Send(t.Context(), faults.Message())
			if tt.reason == nil {
				if err != nil {
					t.Error(err)
				}
				return
			}
			faults.Check(t, err, tt.reason)
			if e := faults.As(t, err); e.Code != tt.code || e.Sender != "vonage" {
				t.Errorf("code %q of %s, want %q", e.Code, e.Sender, tt.code)
			}
		})
	}
}

// TestTextOfError: it has Vonage's words, without the number, the code and the secret.
func TestTextOfError(t *testing.T) {
	server := faults.Serve(t, parts(refused("3",
		"Invalid value for 15005550006 with text 482913 and secret "+secret)))
	err := sender(t, config(server.URL, server.Client())).Send(t.Context(), faults.Message())
	const want = "senders: vonage: the provider refused the message (3): " +
		"Invalid value for [number] with text [code] and secret [secret]"
	faults.Check(t, err, senders.ErrRefused)
	if err.Error() != want {
		t.Errorf("%q, want %q", err, want)
	}
}

// TestConfig: New refuses what Vonage would refuse, and does not quote secrets.
func TestConfig(t *testing.T) {
	for _, from := range []string{"Foo Corp", "1A", "A", "12345678 ab", "+441234567890", "12345"} {
		cfg := config("", nil)
		cfg.From = from
		if _, err := vonage.New(cfg); err != nil {
			t.Errorf("From %q: %v", from, err)
		}
	}
	for want, changes := range map[string][]func(*vonage.Config){
		"APIKey":    {func(c *vonage.Config) { c.APIKey = "" }},
		"APISecret": {func(c *vonage.Config) { c.APISecret = senders.Hide("") }},
		"From": {
			func(c *vonage.Config) { c.From = "" },
			func(c *vonage.Config) { c.From = "+" },
			func(c *vonage.Config) { c.From = "12" },
			func(c *vonage.Config) { c.From = "1234567890123456" },
			func(c *vonage.Config) { c.From = "Foo Corpora." },
			func(c *vonage.Config) { c.From = "Foo Corporat" },
			func(c *vonage.Config) { c.From = "+Foo" },
		},
		"BaseURL": {func(c *vonage.Config) { c.BaseURL = "http://rest.nexmo.com" }},
	} {
		for i, change := range changes {
			cfg := config("", nil)
			change(&cfg)
			s, err := vonage.New(cfg)
			if s != nil || !errors.Is(err, mfa.ErrConfig) || !strings.Contains(fmt.Sprint(err), want) ||
				strings.Contains(fmt.Sprint(err), secret) {
				t.Errorf("%s, %d: %v", want, i, err)
			}
		}
	}
}

// TestNothingShowsSecrets: whatever prints a Config, a Sender or an error.
func TestNothingShowsSecrets(t *testing.T) {
	server := faults.Serve(t, faults.Answer{Status: 401, Body: `{"title": "` + secret + `"}`})
	cfg := config(server.URL, server.Client())
	s := sender(t, cfg)
	for _, v := range []any{cfg, s, s.Send(t.Context(), faults.Message())} {
		out := testrig.Printed(v)
		for _, spelling := range testrig.Spellings(secret) {
			if strings.Contains(out, spelling) {
				t.Errorf("%T shows its secret", v)
			}
		}
	}
}

// An answering transport answers so, without a network.
type answering faults.Answer

// RoundTrip reads nothing.
func (a answering) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: a.Status, Request: r, Body: io.NopCloser(strings.NewReader(a.Body)),
	}, nil
}

// FuzzAnswer: whatever is answered, Send returns nil only if all parts were taken, and an error
// that proves that nothing was handed over only if none was.
func FuzzAnswer(f *testing.F) {
	for _, a := range []faults.Answer{
		parts(taken), parts(taken, refused("9", faults.Number)), parts(refused("1", faults.Code)),
		counted("3", taken), {Status: 401, Body: `{"title": "Unauthorized"}`}, {Status: 204},
		{Status: 200, Body: `{"message-count": 1, "messages": {"status": [0]}}`},
	} {
		f.Add(a.Status, a.Body)
	}
	f.Fuzz(func(t *testing.T, status int, body string) {
		if status < 200 || status > 999 {
			t.Skip("no status of an answer")
		}
		s := sender(t, config("", &http.Client{
			Transport: answering{Status: status, Body: body},
		}))
		err := s.Send(t.Context(), faults.Message())
		var said struct {
			Messages []struct{ Status any } `json:"messages"`
		}
		ok := 0
		if json.Unmarshal([]byte(body), &said) == nil {
			for _, part := range said.Messages {
				if fmt.Sprint(part.Status) == "0" {
					ok++
				}
			}
		}
		if err == nil {
			if status > 299 || ok != len(said.Messages) || ok == 0 {
				t.Fatalf("%d %q is taken for a message", status, body)
			}
			return
		}
		e := faults.As(t, err)
		faults.Check(t, err, e.Reason)
		if len(e.Code) > len("HTTP 999") || strings.Contains(e.Text, secret) {
			t.Errorf("code %q, text %q", e.Code, e.Text)
		}
		if status < 300 && ok > 0 && !errors.Is(err, senders.ErrUnknown) {
			t.Errorf("%q, of which %d parts were taken, gives %v", body, ok, err)
		}
	})
}
