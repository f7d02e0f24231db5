package twilio_test

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/internal/testrig"
	"github.com/authfactor/mfa/senders"
	"github.com/authfactor/mfa/senders/internal/faults"
	"github.com/authfactor/mfa/senders/twilio"
)

var (
	digits  = strings.Repeat("0123456789abcdef", 2)
	account = "AC" + digits
	token   = strings.Repeat("fedcba9876543210", 2)
)

// config is one for a server of the test.
func config(baseURL string, client *http.Client) twilio.Config {
	return twilio.Config{
		AccountSID: account, AuthToken: senders.Hide(token), From: "+15005550001",
		BaseURL: baseURL, HTTPClient: client,
	}
}

func sender(tb testing.TB, cfg twilio.Config) *twilio.Sender {
	tb.Helper()
	s, err := twilio.New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// created is how Twilio answers that it has a message.
func created(sid, status, errorCode string) faults.Answer {
	return faults.Answer{
		Status: http.StatusCreated, ContentType: "application/json",
		Body: `{"account_sid": "` + account + `", "api_version": "2010-04-01", "body": "x",
			"date_created": "Fri, 27 Nov 2026 10:00:00 +0000", "date_sent": null,
			"direction": "outbound-api", "error_code": ` + errorCode + `, "error_message": null,
			"from": "+15005550001", "messaging_service_sid": null, "num_media": "0",
			"num_segments": "1", "price": null, "price_unit": "USD", "sid": "` + sid + `",
			"status": "` + status + `", "subresource_uris": {"media": "/x.json"},
			"to": "+15005550006", "uri": "/2010-04-01/Accounts/x.json"}`,
	}
}

// refused is how Twilio answers that it does not take a message.
func refused(status int, code, message string) faults.Answer {
	return faults.Answer{
		Status: status, ContentType: "application/json",
		Body: fmt.Sprintf(`{"code": %s, "message": %q, "more_info": `+
			`"https://www.twilio.com/docs/errors/%s", "status": %d}`,
			code, message, strings.Trim(code, `"`), status),
	}
}

var (
	message = created("SM"+digits, "queued", "null")
	call    = created("CA"+digits, "queued", "null")
)

func TestFaults(t *testing.T) {
	faults.Run(t, func(baseURL string, client *http.Client) mfa.SMSSender {
		return sender(t, config(baseURL, client))
	}, message)
}

func TestFaultsOfCalls(t *testing.T) {
	faults.Run(t, func(baseURL string, client *http.Client) mfa.SMSSender {
		cfg := config(baseURL, client)
		cfg.Channel = twilio.Voice
		return sender(t, cfg)
	}, call)
}

// posted is what a server saw.
type posted struct {
	method, path, contentType, user, password string
	form                                      url.Values
}

// serve answers so, and keeps the last request.
func serve(tb testing.TB, answer faults.Answer) (*faults.Server, *posted) {
	tb.Helper()
	saw := new(posted)
	return faults.Serve(tb, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			tb.Error(err)
		}
		user, password, _ := r.BasicAuth()
		form, err := url.ParseQuery(string(body))
		if err != nil {
			tb.Error(err)
		}
		*saw = posted{
			r.Method, r.URL.RequestURI(), r.Header.Get("Content-Type"), user, password, form,
		}
		if r.Header.Get("Idempotency-Key")+r.Header.Get("X-Idempotency-Key") != "" {
			tb.Error("with an idempotency key, net/http repeats requests")
		}
		answer.ServeHTTP(w, r)
	})), saw
}

// TestRequest: what is posted is what Twilio documents, field by field.
func TestRequest(t *testing.T) {
	const body = "Ваш код 482913.\n@example.com #482913"
	const script = `<Response><Pause length="1"/><Say>Ваш код 4, 8, 2, 9, 1, 3.</Say>` +
		`<Pause length="1"/><Say>Ваш код 4, 8, 2, 9, 1, 3.</Say></Response>`
	for name, tt := range map[string]struct {
		change   func(*twilio.Config)
		resource string
		form     map[string]string
		user     string // "" for the account
	}{
		"by default": {func(*twilio.Config) {}, "Messages", map[string]string{
			"To": faults.Number, "From": "+15005550001", "Body": body,
		}, ""},
		"from a name": {func(c *twilio.Config) { c.From = "Foo Corp 1" }, "Messages", map[string]string{
			"To": faults.Number, "From": "Foo Corp 1", "Body": body,
		}, ""},
		"from a short code": {func(c *twilio.Config) { c.From = "12345" }, "Messages", map[string]string{
			"To": faults.Number, "From": "12345", "Body": body,
		}, ""},
		"a service": {func(c *twilio.Config) {
			c.From, c.MessagingServiceSID = "", "MG"+digits
		}, "Messages", map[string]string{
			"To": faults.Number, "MessagingServiceSid": "MG" + digits, "Body": body,
		}, ""},
		"a key": {func(c *twilio.Config) {
			c.AuthToken, c.APIKey, c.APISecret = senders.Secret{}, "SK"+digits, senders.Hide(token)
		}, "Messages", map[string]string{
			"To": faults.Number, "From": "+15005550001", "Body": body,
		}, "SK" + digits},
		"feedback": {func(c *twilio.Config) { c.Feedback = true }, "Messages", map[string]string{
			"To": faults.Number, "From": "+15005550001", "Body": body, "ProvideFeedback": "true",
		}, ""},
		"WhatsApp": {func(c *twilio.Config) {
			c.Channel, c.ContentSID = twilio.WhatsApp, "HX"+digits
		}, "Messages", map[string]string{
			"To": "whatsapp:" + faults.Number, "From": "whatsapp:+15005550001",
			"ContentSid": "HX" + digits, "ContentVariables": `{"1":"482913"}`,
		}, ""},
		"WhatsApp of a service": {func(c *twilio.Config) {
			c.Channel, c.ContentSID = twilio.WhatsApp, "HX"+digits
			c.From, c.MessagingServiceSID = "", "MG"+digits
		}, "Messages", map[string]string{
			"To": "whatsapp:" + faults.Number, "MessagingServiceSid": "MG" + digits,
			"ContentSid": "HX" + digits, "ContentVariables": `{"1":"482913"}`,
		}, ""},
		"a call": {func(c *twilio.Config) { c.Channel = twilio.Voice }, "Calls", map[string]string{
			"To": faults.Number, "From": "+15005550001", "Twiml": script, "Timeout": "15",
		}, ""},
		"a call in Russian": {func(c *twilio.Config) {
			c.Channel, c.Language = twilio.Voice, "ru-RU"
		}, "Calls", map[string]string{
			"To": faults.Number, "From": "+15005550001", "Timeout": "15",
			"Twiml": strings.ReplaceAll(script, "<Say>", `<Say language="ru-RU">`),
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			answer := cmp.Or(map[string]faults.Answer{"Calls": call}[tt.resource], message)
			server, saw := serve(t, answer)
			cfg := config(server.URL+"/", server.Client())
			tt.change(&cfg)
			m := faults.Message()
			m.Body = body
			if err := sender(t, cfg).Send(t.Context(), m); err != nil {
				t.Fatal(err)
			}
			want := posted{
				method: "POST", path: "/2010-04-01/Accounts/" + account + "/" + tt.resource + ".json",
				contentType: "application/x-www-form-urlencoded",
				user:        cmp.Or(tt.user, account), password: token, form: saw.form,
			}
			if fmt.Sprint(*saw) != fmt.Sprint(want) {
				t.Errorf("a request %v\nwant      %v", *saw, want)
			}
			form := map[string]string{}
			for key, values := range saw.form {
				form[key] = strings.Join(values, "\x00")
			}
			if !maps.Equal(form, tt.form) {
				t.Errorf("a form %q\nwant   %q", form, tt.form)
			}
		})
	}
}

// TestTakenBy: events have the name of the channel and the id that Twilio gave.
func TestTakenBy(t *testing.T) {
	for channel, want := range map[twilio.Channel][2]string{
		twilio.SMS:      {"twilio", "SM" + digits},
		twilio.WhatsApp: {"twilio-whatsapp", "SM" + digits},
		twilio.Voice:    {"twilio-voice", "CA" + digits},
	} {
		answer := message
		if channel == twilio.Voice {
			answer = call
		}
		server, _ := serve(t, answer)
		cfg := config(server.URL, server.Client())
		cfg.Channel = channel
		if channel == twilio.WhatsApp {
			cfg.ContentSID = "HX" + digits
		}
		if by, id := faults.TakenBy(t, sender(t, cfg)); by != want[0] || id != want[1] {
			t.Errorf("taken by %q as %q, want %q", by, id, want)
		}
	}
}

// TestAnswers: what Twilio says is what the error says.
func TestAnswers(t *testing.T) {
	for _, tt := range []struct {
		answer faults.Answer
		reason error // nil: it was taken
		code   string
	}{
		{message, nil, ""},
		{created("MM"+digits, "accepted", "null"), nil, ""},
		{created("CA"+digits, "queued", "null"), nil, ""},
		{created("SM"+digits, "a new status", "null"), nil, ""},

		{
			refused(400, "21211", "The 'To' number is not a valid phone number."),
			senders.ErrCannotReceive, "21211",
		},
		{
			refused(400, "21614", "'To' number is not a valid mobile number"),
			senders.ErrCannotReceive, "21614",
		},
		{
			refused(400, "21612", "cannot be sent with this combination"),
			senders.ErrCannotReceive, "21612",
		},
		{refused(400, "21635", "'To' number cannot be a landline"), senders.ErrCannotReceive, "21635"},
		{
			refused(400, "21610", "Attempt to send to unsubscribed recipient"),
			senders.ErrOptedOut, "21610",
		},
		{
			refused(400, "21408", "Permission to send has not been enabled"),
			senders.ErrRegionOff, "21408",
		},
		{refused(400, "21215", "Account not authorized to call"), senders.ErrRegionOff, "21215"},
		{refused(429, "20429", "Too Many Requests"), senders.ErrTryLater, "20429"},
		{refused(400, "14107", "Message rate limit exceeded"), senders.ErrTryLater, "14107"},
		{refused(400, "21611", "This 'From' number has too many"), senders.ErrTryLater, "21611"},
		{refused(401, "20003", "Authenticate"), senders.ErrAccount, "20003"},
		{refused(404, "20404", "The requested resource was not found"), senders.ErrAccount, "20404"},
		{refused(400, "21606", "The 'From' phone number is not valid"), senders.ErrAccount, "21606"},
		{refused(400, "21603", "A 'From' phone number is required."), senders.ErrAccount, "21603"},
		{refused(400, "21608", "The number is unverified."), senders.ErrAccount, "21608"},

		// A code that is not known, and none: the status decides.
		{refused(400, "29999", "New"), senders.ErrRefused, "29999"},
		{refused(403, "29999", "New"), senders.ErrAccount, "29999"},
		{refused(429, "29999", "New"), senders.ErrTryLater, "29999"},
		{refused(400, `"21610"`, "Quoted"), senders.ErrOptedOut, "21610"},
		{refused(400, "null", "None"), senders.ErrRefused, "HTTP 400"},
		{refused(400, "482913", "Too long for a code of Twilio"), senders.ErrRefused, "HTTP 400"},
		{refused(400, `"+1500"`, "No code of Twilio"), senders.ErrRefused, "HTTP 400"},

		// A server that broke says nothing by its code.
		{refused(500, "21211", "Internal Server Error"), senders.ErrUnknown, "21211"},
		{faults.Answer{Status: 500, Body: message.Body}, senders.ErrUnknown, "HTTP 500"},
		{refused(503, "20503", "Service is unavailable"), senders.ErrUnknown, "20503"},

		// A status of success, with an error in it.
		{refused(200, "21211", "The 'To' number"), senders.ErrCannotReceive, "21211"},
		{refused(200, "29999", "New"), senders.ErrRefused, "29999"},
		{created("SM"+digits, "failed", "30005"), senders.ErrCannotReceive, "30005"},
		{created("SM"+digits, "undelivered", "30002"), senders.ErrAccount, "30002"},
		{created("SM"+digits, "failed", "39999"), senders.ErrRefused, "39999"},
		{created("SM"+digits, "canceled", "null"), senders.ErrRefused, "HTTP 201"},
		{created("CA"+digits, "busy", "null"), senders.ErrRefused, "HTTP 201"},
		{created("SM"+digits, "queued", "30003"), senders.ErrUnknown, "30003"},

		// What is not a message.
		{created("AC"+digits, "queued", "null"), senders.ErrUnknown, "HTTP 201"},
		{created("SM"+digits+"0", "queued", "null"), senders.ErrUnknown, "HTTP 201"},
		{created("SM"+digits[1:]+"x", "queued", "null"), senders.ErrUnknown, "HTTP 201"},
		{created("", "failed", "null"), senders.ErrUnknown, "HTTP 201"},
		{
			faults.Answer{Status: 201, Body: `{"sid": 1, "status": "queued"}`},
			senders.ErrUnknown, "HTTP 201",
		},
	} {
		t.Run(fmt.Sprint(tt.answer.Status, tt.code), func(t *testing.T) {
			server, _ := serve(t, tt.answer)
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
			if e := faults.As(t, err); e.Code != tt.code || e.Sender != "twilio" {
				t.Errorf("code %q of %s, want %q", e.Code, e.Sender, tt.code)
			}
		})
	}
}

// TestTextOfError: it has Twilio's words, without the number, the code and the credentials.
func TestTextOfError(t *testing.T) {
	for name, channel := range map[string]twilio.Channel{
		"twilio": twilio.SMS, "twilio-voice": twilio.Voice,
	} {
		server, _ := serve(t, refused(400, "21211",
			"No "+faults.Number+" for "+faults.Code+" and "+token+"."))
		cfg := config(server.URL, server.Client())
		cfg.Channel = channel
		err := sender(t, cfg).Send(t.Context(), faults.Message())
		faults.Check(t, err, senders.ErrCannotReceive)
		want := "senders: " + name + ": the number cannot receive the message (21211): " +
			"No +[number] for [code] and [secret]."
		if err.Error() != want {
			t.Errorf("%q, want %q", err, want)
		}
	}
}

// TestRefusedBeforehand: what cannot be sent makes no request.
func TestRefusedBeforehand(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*twilio.Config)
		body   string
	}{
		"two codes for WhatsApp": {whatsApp, "482913 or 000000"},
		"no code for WhatsApp":   {whatsApp, "1234567 and 12345"},
		"a text that is too long": {func(c *twilio.Config) {
			c.Channel = twilio.Voice
		}, faults.Code + strings.Repeat(`"`, 450)},
	} {
		t.Run(name, func(t *testing.T) {
			server, _ := serve(t, message)
			cfg := config(server.URL, server.Client())
			tt.change(&cfg)
			m := faults.Message()
			m.Body = tt.body
			faults.Check(t, sender(t, cfg).Send(t.Context(), m), senders.ErrRefused)
			if n := server.Requests.Load(); n != 0 {
				t.Errorf("%d requests", n)
			}
		})
	}
}

func whatsApp(c *twilio.Config) { c.Channel, c.ContentSID = twilio.WhatsApp, "HX"+digits }
func voice(c *twilio.Config)    { c.Channel = twilio.Voice }

// TestConfig: New refuses what Twilio would refuse, and does not quote secrets.
func TestConfig(t *testing.T) {
	if _, err := twilio.New(config("", nil)); err != nil {
		t.Fatal(err)
	}
	for want, changes := range map[string][]func(*twilio.Config){
		"AccountSID": {
			func(c *twilio.Config) { c.AccountSID = "" },
			func(c *twilio.Config) { c.AccountSID = "AC" + digits[1:] },
			func(c *twilio.Config) { c.AccountSID = "SK" + digits },
			func(c *twilio.Config) { c.AccountSID = "AC" + digits[1:] + "/" },
		},
		"AuthToken and APIKey": {
			func(c *twilio.Config) { c.AuthToken = senders.Secret{} },
			func(c *twilio.Config) { c.AuthToken = senders.Hide("") },
			func(c *twilio.Config) { c.APIKey, c.APISecret = "SK"+digits, senders.Hide(token) },
		},
		"APIKey must": {func(c *twilio.Config) {
			c.AuthToken, c.APIKey, c.APISecret = senders.Secret{}, token, senders.Hide(token)
		}},
		"APISecret": {
			func(c *twilio.Config) { c.AuthToken, c.APIKey = senders.Secret{}, "SK"+digits },
			func(c *twilio.Config) { c.APISecret = senders.Hide(token) },
		},
		"From and MessagingServiceSID": {
			func(c *twilio.Config) { c.From = "" },
			func(c *twilio.Config) { c.MessagingServiceSID = "MG" + digits },
		},
		"MessagingServiceSID must": {func(c *twilio.Config) {
			c.From, c.MessagingServiceSID = "", digits
		}},
		"From must": {
			func(c *twilio.Config) { c.From = "+0123456789" },
			func(c *twilio.Config) { c.From = "Foo Corporation" },
			func(c *twilio.Config) { c.From = "Foo-Corp" },
			func(c *twilio.Config) { c.From = "12" },
			func(c *twilio.Config) { whatsApp(c); c.From = "Foo Corp" },
			func(c *twilio.Config) { whatsApp(c); c.From = "whatsapp:" + c.From },
			func(c *twilio.Config) { voice(c); c.From = "12345" },
		},
		"From is required": {func(c *twilio.Config) {
			voice(c)
			c.From, c.MessagingServiceSID = "", "MG"+digits
		}},
		"Channel":         {func(c *twilio.Config) { c.Channel = "sms" }},
		"ContentSID must": {func(c *twilio.Config) { c.Channel = twilio.WhatsApp }},
		"ContentSID is":   {func(c *twilio.Config) { c.ContentSID = "HX" + digits }},
		"Language is":     {func(c *twilio.Config) { c.Language = "de-DE" }},
		"Language must": {
			func(c *twilio.Config) { voice(c); c.Language = `de"/>` },
			func(c *twilio.Config) { voice(c); c.Language = "de-" },
		},
		"Feedback": {func(c *twilio.Config) { voice(c); c.Feedback = true }},
		"BaseURL": {
			func(c *twilio.Config) { c.BaseURL = "http://api.twilio.com" },
			func(c *twilio.Config) { c.BaseURL = "api.twilio.com" },
			func(c *twilio.Config) { c.BaseURL = "https://" },
			func(c *twilio.Config) { c.BaseURL = "https://u:p@api.twilio.com" },
			func(c *twilio.Config) { c.BaseURL = "https://api.twilio.com/?a=b" },
			func(c *twilio.Config) { c.BaseURL = "https://api.twilio.com/#a" },
			func(c *twilio.Config) { c.BaseURL = "https://api.twilio.com:x" },
		},
	} {
		for i, change := range changes {
			cfg := config("", nil)
			change(&cfg)
			s, err := twilio.New(cfg)
			text := fmt.Sprint(err)
			if s != nil || !errors.Is(err, mfa.ErrConfig) || !strings.Contains(text, want) ||
				strings.Contains(text, token) {
				t.Errorf("%s, %d: %v", want, i, err)
			}
		}
	}
}

// TestNothingShowsSecrets: whatever prints a Config, a Sender or an error.
func TestNothingShowsSecrets(t *testing.T) {
	server, _ := serve(t, faults.Answer{Status: 200, Body: token})
	cfg := config(server.URL, server.Client())
	s := sender(t, cfg)
	key := config(server.URL, server.Client())
	key.AuthToken, key.APIKey, key.APISecret = senders.Secret{}, "SK"+digits, senders.Hide(token)
	for _, v := range []any{
		cfg, key, cfg.AuthToken, s, sender(t, key), s.Send(t.Context(), faults.Message()),
	} {
		out := testrig.Printed(v)
		for _, spelling := range testrig.Spellings(token) {
			if strings.Contains(out, spelling) {
				t.Errorf("%T shows its secret", v)
			}
		}
	}
}

// TestFeedback: Twilio is told of a message that it was read.
func TestFeedback(t *testing.T) {
	server, saw := serve(t, faults.Answer{
		Status: 201, Body: `{"outcome": "confirmed", "message_sid": "SM` + digits + `"}`,
	})
	cfg := config(server.URL, server.Client())
	cfg.Feedback = true
	s := sender(t, cfg)
	for _, id := range []string{"SM" + digits, "MM" + digits} {
		if err := s.Feedback(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		want := posted{
			"POST", "/2010-04-01/Accounts/" + account + "/Messages/" + id + "/Feedback.json",
			"application/x-www-form-urlencoded", account, token, url.Values{"Outcome": {"confirmed"}},
		}
		if fmt.Sprint(*saw) != fmt.Sprint(want) {
			t.Errorf("a request %v\nwant      %v", *saw, want)
		}
	}
	for _, id := range []string{"", "SM", "CA" + digits, "SM" + digits[3:] + "/..", digits} {
		faults.Check(t, s.Feedback(t.Context(), id), senders.ErrRefused)
	}
	off := sender(t, config(server.URL, server.Client()))
	faults.Check(t, off.Feedback(t.Context(), "SM"+digits), senders.ErrRefused)
	if n := server.Requests.Load(); n != 2 {
		t.Errorf("%d requests, want 2", n)
	}
	for reason, answer := range map[error]faults.Answer{
		senders.ErrUnknown:  {Status: 201, Body: `{"outcome": "unconfirmed"}`},
		senders.ErrAccount:  refused(401, "20003", "Authenticate"),
		senders.ErrRefused:  refused(400, "29999", "The message is without feedback"),
		senders.ErrTryLater: refused(429, "20429", "Too Many Requests"),
	} {
		server, _ := serve(t, answer)
		cfg := config(server.URL, server.Client())
		cfg.Feedback = true
		faults.Check(t, sender(t, cfg).Feedback(t.Context(), "SM"+digits), reason)
	}
	server.Close()
	faults.Check(t, s.Feedback(t.Context(), "SM"+digits), senders.ErrTryLater)
}

// TestSpoken: a code is spoken digit by digit, and the text stays text.
func TestSpoken(t *testing.T) {
	for body, want := range map[string]string{
		"Your code is 123456.":                "Your code is 1, 2, 3, 4, 5, 6.",
		"123456":                              "1, 2, 3, 4, 5, 6",
		"Valid 10 minutes: 123456":            "Valid 10 minutes: 1, 2, 3, 4, 5, 6",
		"R&D <b>123456</b>":                   "R&amp;D &lt;b&gt;1, 2, 3, 4, 5, 6&lt;/b&gt;",
		"Foo: 123456\n\n@example.com #123456": "Foo: 1, 2, 3, 4, 5, 6&#xA;",
		"Code 123456\n@ #":                    "Code 1, 2, 3, 4, 5, 6&#xA;@ #",
	} {
		server, saw := serve(t, call)
		cfg := config(server.URL, server.Client())
		voice(&cfg)
		m := faults.Message()
		m.Body = body
		if err := sender(t, cfg).Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		want := "<Say>" + want + "</Say>"
		if got := saw.form.Get("Twiml"); !slices.Equal(
			strings.Split(got, `<Pause length="1"/>`), []string{"<Response>", want, want + "</Response>"},
		) {
			t.Errorf("%s\nis spoken as %s\nwant         %s twice", body, got, want)
		}
	}
}
