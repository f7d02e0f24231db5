package webhook_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/internal/handover"
	"github.com/authfactor/mfa/internal/testrig"
	"github.com/authfactor/mfa/mfatest"
	"github.com/authfactor/mfa/senders"
	"github.com/authfactor/mfa/senders/internal/faults"
	"github.com/authfactor/mfa/senders/webhook"
)

// TestRequest: a gateway receives what the package documentation describes, signed by each
// secret.
func TestRequest(t *testing.T) {
	var method, body string
	var header http.Header
	server := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		method, body, header = r.Method+" "+r.URL.String(), string(text), r.Header.Clone()
	}))
	defer server.Close()
	at := time.Date(2026, 11, 28, 7, 14, 34, 250e6, time.FixedZone("", 3600))
	s, err := webhook.New(webhook.Config{
		URL: server.URL + "/send?x=1", HTTPClient: server.Client(),
		Secret: secret(t, newSecret), PreviousSecret: secret(t, oldSecret),
		Now: func() time.Time { return at },
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Send(bounded(t), message); err != nil {
		t.Fatal(err)
	}
	const wantBody = `{"type":"sms.send","timestamp":"2026-11-28T06:14:34.25Z",` +
		`"data":{"id":"5f0c2a","to":"+15005550006","body":"Your code is 739164."}}`
	const timestamp = "1795846474"
	for what, is := range map[string][2]string{
		"request":      {method, "POST /send?x=1"},
		"body":         {body, wantBody},
		"id":           {header.Get("webhook-id"), "5f0c2a"},
		"timestamp":    {header.Get("webhook-timestamp"), timestamp},
		"content type": {header.Get("Content-Type"), "application/json"},
		"signature": {
			header.Get("webhook-signature"),
			signature(newSecret, "5f0c2a", timestamp, wantBody) + " " +
				signature(oldSecret, "5f0c2a", timestamp, wantBody),
		},
	} {
		if is[0] != is[1] {
			t.Errorf("%s: %q, want %q", what, is[0], is[1])
		}
	}
}

// TestTaken: what took the message is passed on where the gateway says it, and an answer of
// 200 that says nothing, or is cut off, is one that took it.
func TestTaken(t *testing.T) {
	const long = 64 << 10
	for name, c := range map[string]struct {
		status       int
		body, by, id string
	}{
		"by whom and how": {200, `{"sender":"acme","id":"SM1"}`, "acme", "SM1"},
		"by whom":         {202, `{"sender":"acme","more":{}}`, "acme", ""},
		"how":             {200, `{"id":"SM1"}`, "webhook", "SM1"},
		"nothing":         {204, ``, "webhook", ""},
		"an object":       {200, `{}`, "webhook", ""},
		"HTML":            {200, `<html>`, "webhook", ""},
		"a number":        {200, `{"id":1}`, "webhook", "1"},
		"two":             {200, `{"id":"SM1"}{"id":"SM2"}`, "webhook", ""},
		"64 KiB":          {299, `{"id":"SM1"}` + strings.Repeat(" ", long-12), "webhook", "SM1"},
		"more":            {200, `{"id":"SM1"}` + strings.Repeat(" ", long-11), "webhook", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := gateway(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.body)
			})
			if by, id := faults.TakenBy(t, s); by != c.by || id != c.id {
				t.Errorf("taken by %q as %q, want %q as %q", by, id, c.by, c.id)
			}
		})
	}
}

// TestRefusals: each answer that takes no message is the error that the package documentation
// says.
func TestRefusals(t *testing.T) {
	clock := new(mfatest.Clock)
	date := func(in time.Duration) string {
		return clock.Now().Add(in).UTC().Format(http.TimeFormat)
	}
	for name, c := range map[string]struct {
		status     int
		body       string
		retryAfter string
		want       senders.Error
	}{
		"cannot receive": {
			422, `{"error":"cannot_receive"}`, "",
			failed{Reason: senders.ErrCannotReceive},
		},
		"opted out": {400, `{"error":"opted_out"}`, "", failed{Reason: senders.ErrOptedOut}},
		"region off": {
			403, `{"error":"region_off"}`, "",
			failed{Reason: senders.ErrRegionOff},
		},
		"try later": {
			409, `{"error":"try_later"}`, "7",
			failed{Reason: senders.ErrTryLater, RetryAfter: 7 * time.Second},
		},
		"account": {499, `{"error":"account"}`, "7", failed{Reason: senders.ErrAccount}},
		"refused": {429, `{"error":"refused"}`, "7", failed{Reason: senders.ErrRefused}},
		"unknown": {422, `{"error":"unknown"}`, "", failed{Reason: senders.ErrUnknown}},
		"code and text": {
			422, `{"error":"opted_out","code":"21610","text":"no"}`, "",
			failed{Reason: senders.ErrOptedOut, Code: "21610", Text: "no"},
		},
		"quoted": {
			422, `{"error":"refused","code":"739164","text":"15005550006: code 739164"}`, "",
			failed{Reason: senders.ErrRefused, Code: "[code]", Text: "[number]: code [code]"},
		},
		"an error in 200": {
			200, `{"error":"opted_out","id":"SM1"}`, "",
			failed{Reason: senders.ErrOptedOut},
		},
		"an object in 200": {200, `{"error":{"message":"no"}}`, "", failed{Reason: senders.ErrUnknown}},
		"true in 200":      {200, `{"error":true}`, "", failed{Reason: senders.ErrUnknown}},
		"code is a number": {
			422, `{"error":"opted_out","code":21610}`, "",
			failed{Reason: senders.ErrOptedOut, Code: "21610"},
		},
		"other members": {
			422, `{"error":"opted_out","id":[1],"text":null}`, "",
			failed{Reason: senders.ErrOptedOut},
		},
		"another in 200": {200, `{"error":"oops"}`, "", failed{Reason: senders.ErrUnknown}},
		"another in 200, with a code": {
			200, `{"error":"oops","code":"x"}`, "",
			failed{Reason: senders.ErrUnknown, Code: "x"},
		},
		"another word": {
			422, `{"error":"oops","text":"so"}`, "",
			failed{Reason: senders.ErrRefused, Text: "so"},
		},
		"a word in 500": {
			500, `{"error":"opted_out","text":"so"}`, "",
			failed{Reason: senders.ErrUnknown, Text: "so"},
		},
		"HTML": {404, `<html>15005550006`, "", failed{Reason: senders.ErrRefused}},
		"too long": {
			422, `{"error":"opted_out"}` + strings.Repeat(" ", 64<<10), "",
			failed{Reason: senders.ErrRefused},
		},
		"401": {401, ``, "", failed{Reason: senders.ErrAccount}},
		"402": {402, ``, "", failed{Reason: senders.ErrAccount}},
		"403": {403, `null`, "", failed{Reason: senders.ErrAccount}},
		"408": {408, ``, "", failed{Reason: senders.ErrUnknown}},
		"410": {410, ``, "", failed{Reason: senders.ErrRefused}},
		"429": {429, ``, "", failed{Reason: senders.ErrTryLater}},
		"429, seconds": {
			429, ``, "90",
			failed{Reason: senders.ErrTryLater, RetryAfter: 90 * time.Second},
		},
		"429, a year": {
			429, ``, "31536000",
			failed{Reason: senders.ErrTryLater, RetryAfter: 24 * time.Hour},
		},
		"429, ages": {
			429, ``, "999999999999999999999",
			failed{Reason: senders.ErrTryLater, RetryAfter: 24 * time.Hour},
		},
		"429, negative": {429, ``, "-1", failed{Reason: senders.ErrTryLater}},
		"503, a date": {
			503, ``, date(time.Minute),
			failed{Reason: senders.ErrTryLater, RetryAfter: time.Minute},
		},
		"503, long ago": {503, ``, date(-time.Minute), failed{Reason: senders.ErrTryLater}},
		"503":           {503, ``, "", failed{Reason: senders.ErrUnknown}},
		"503, nonsense": {503, ``, "soon", failed{Reason: senders.ErrUnknown}},
		"500":           {500, ``, "7", failed{Reason: senders.ErrUnknown}},
		"501":           {501, ``, "", failed{Reason: senders.ErrRefused}},
		"502":           {502, ``, "", failed{Reason: senders.ErrUnknown}},
		"504":           {504, ``, "", failed{Reason: senders.ErrUnknown}},
		"505":           {505, ``, "", failed{Reason: senders.ErrRefused}},
		"599":           {599, ``, "", failed{Reason: senders.ErrUnknown}},
		"511":           {511, ``, "", failed{Reason: senders.ErrRefused}},
		"303":           {303, ``, "", failed{Reason: senders.ErrUnknown}},
		"304":           {304, ``, "", failed{Reason: senders.ErrRefused}},
		"999":           {999, ``, "", failed{Reason: senders.ErrUnknown}},
	} {
		t.Run(name, func(t *testing.T) {
			s := gateway(t, func(w http.ResponseWriter, _ *http.Request) {
				if c.retryAfter != "" {
					w.Header().Set("Retry-After", c.retryAfter)
				}
				w.Header().Set("Date", date(0))
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.body)
			})
			c.want.Sender = "webhook"
			if c.want.Code == "" {
				c.want.Code = "HTTP " + strconv.Itoa(c.status)
			}
			if e := failure(t, s.Send(bounded(t), message)); *e != c.want {
				t.Errorf("%+v, want %+v", *e, c.want)
			}
			if goesOn(&c.want) {
				if by, id := faults.TakenBy(t, senders.Fallback(s, new(mfa.Outbox))); by != "" || id != "" {
					t.Errorf("another sent it, and taken by %q as %q", by, id)
				}
			}
		})
	}
}

// TestRedirect: a message goes to the URL of the Config, and nowhere else.
func TestRedirect(t *testing.T) {
	for _, status := range []int{301, 302, 307, 308} {
		var elsewhere atomic.Int32
		other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			elsewhere.Add(1)
		}))
		s := gateway(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL, status)
		})
		e := failure(t, s.Send(bounded(t), message))
		if !errors.Is(e, senders.ErrRefused) || handover.Unknown(e) || elsewhere.Load() != 0 {
			t.Errorf("%d: %v, %d requests elsewhere", status, e, elsewhere.Load())
		}
		other.Close()
	}
}

// TestUnconnected: where nobody took the request, the message was not handed over, and the
// error of the network is there without the URL.
func TestUnconnected(t *testing.T) {
	called := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("asked") })
	secure, plain := httptest.NewTLSServer(called), httptest.NewServer(called)
	gone := httptest.NewServer(called)
	gone.Close()
	secure.Config.ErrorLog = log.New(io.Discard, "", 0) // of the certificate that is not known
	t.Cleanup(secure.Close)
	t.Cleanup(plain.Close)
	dials := func(dial func(context.Context, string, string) (net.Conn, error)) *http.Client {
		return &http.Client{Transport: &http.Transport{DialContext: dial}}
	}
	nameless := (&net.Dialer{Resolver: &net.Resolver{
		PreferGo: true,
		Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", gone.Listener.Addr().String())
		},
	}}).DialContext
	silent := func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}
	}
	deaf := func(context.Context, string, string) (net.Conn, error) {
		here, there := net.Pipe()
		return here, there.Close()
	}
	isText := func(err error) bool { return errors.Unwrap(err) == nil && err.Error() != "" }
	for name, c := range map[string]struct {
		url    string
		client *http.Client
		cause  func(error) bool
	}{
		"nobody listens": {gone.URL, nil, func(err error) bool {
			op, ok := errors.AsType[*net.OpError](err)
			return ok && op.Op == "dial"
		}},
		"no address": {"https://gateway.example", dials(nameless), func(err error) bool {
			_, ok := errors.AsType[*net.DNSError](err)
			return ok
		}},
		"another certificate": {secure.URL, nil, func(err error) bool {
			_, ok := errors.AsType[*tls.CertificateVerificationError](err)
			return ok
		}},
		"no TLS": {
			strings.Replace(plain.URL, "http:", "https:", 1), nil,
			func(err error) bool { return errors.Is(err, http.ErrSchemeMismatch) },
		},
		"no proxy": {"https://gateway.example", &http.Client{Transport: &http.Transport{
			Proxy: http.ProxyURL(must(url.Parse(gone.URL))),
		}}, func(err error) bool {
			op, ok := errors.AsType[*net.OpError](err)
			return ok && op.Op == "proxyconnect"
		}},
		"too slow to connect": {"https://gateway.example", dials(silent), isText},
		"a handshake cut off": {"https://gateway.example", dials(deaf), isText},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSender(t, webhook.Config{
				URL: c.url + "/key-in-the-path", HTTPClient: c.client, InsecureHTTP: true,
			})
			e := failure(t, s.Send(bounded(t), message))
			if !errors.Is(e, senders.ErrTryLater) || handover.Unknown(e) || !c.cause(e.Cause) {
				t.Errorf("%v, cause %T %v", e, e.Cause, e.Cause)
			}
			if strings.Contains(e.Error()+e.Cause.Error(), "key-in-the-path") {
				t.Errorf("the URL is in %v or %v", e, e.Cause)
			}
		})
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestCutOff: where the request was written and no answer came, the message may be on its way,
// and it is not sent again.
func TestCutOff(t *testing.T) {
	raw := func(answer string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.WriteString(conn, answer)
			_ = conn.Close()
		}
	}
	for name, handler := range map[string]http.HandlerFunc{
		"nothing":       raw(""),
		"half a header": raw("HTTP/1.1 200 OK\r\nContent-Le"),
		"no HTTP":       raw("220 mail.example ESMTP\r\n"),
		"no status":     raw("HTTP/1.1 OK\r\n\r\n"),
		"a redirect to nowhere": func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Location"] = []string{"http://[::1"}
			w.WriteHeader(http.StatusTemporaryRedirect)
		},
	} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int32
			s := gateway(t, func(w http.ResponseWriter, r *http.Request) {
				if asked.Add(1) == 2 { // on a connection that is used already
					handler(w, r)
				}
			})
			if err := s.Send(bounded(t), message); err != nil {
				t.Fatal(err)
			}
			e := failure(t, s.Send(bounded(t), message))
			if !errors.Is(e, senders.ErrUnknown) || !handover.Unknown(e) || asked.Load() != 2 {
				t.Errorf("%v (%v), asked %d times", e, e.Cause, asked.Load())
			}
		})
	}
}

// TestSlow: a gateway that does not answer in time may have the message, and one whose status
// said so has it, however late the rest is.
func TestSlow(t *testing.T) {
	for name, c := range map[string]struct {
		answer string
		want   error
	}{
		"no answer":             {"", senders.ErrUnknown},
		"half an answer of 200": {"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", nil},
		"half an answer of 401": {"HTTP/1.1 401 No\r\nContent-Length: 99\r\n\r\n{", senders.ErrAccount},
	} {
		for _, then := range []string{"late", "cut off"} {
			t.Run(name+", "+then, func(t *testing.T) {
				ctx, hangUp := context.WithCancel(bounded(t))
				server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					conn, _, err := w.(http.Hijacker).Hijack()
					if err != nil {
						t.Error(err)
						return
					}
					_, _ = io.WriteString(conn, c.answer)
					switch {
					case c.answer == "" && then == "late":
						hangUp()
						fallthrough
					case then == "late":
						<-ctx.Done()
					}
					_ = conn.Close()
				}))
				defer server.Close()
				s := newSender(t, webhook.Config{URL: server.URL, HTTPClient: &http.Client{
					Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
						resp, err := server.Client().Transport.RoundTrip(r)
						if then == "late" {
							hangUp() // once the head of the answer is there
						}
						return resp, err
					}),
				}})
				if err := s.Send(ctx, message); !errors.Is(err, c.want) {
					t.Errorf("%v, want %v", err, c.want)
				}
				hangUp()
			})
		}
	}
}

// TestDeadline: without a deadline of its caller, a gateway has 15 seconds.
func TestDeadline(t *testing.T) {
	var left time.Duration
	probe := roundTripper(func(r *http.Request) (*http.Response, error) {
		deadline, _ := r.Context().Deadline()
		left = time.Until(deadline)
		return nil, context.DeadlineExceeded
	})
	s := newSender(t, webhook.Config{
		URL: "https://gateway.example", HTTPClient: &http.Client{Transport: probe},
	})
	e := failure(t, s.Send(t.Context(), message)) // of a transport that tells of no connection
	if left <= 10*time.Second || left > 15*time.Second || !errors.Is(e, senders.ErrUnknown) {
		t.Errorf("%v left, %v", left, e)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestIDs: an id that cannot be told from the timestamp is not signed.
func TestIDs(t *testing.T) {
	var asked atomic.Int32
	s := gateway(t, func(http.ResponseWriter, *http.Request) { asked.Add(1) })
	for _, id := range []string{"", "a.b", "a b", "a\r\nb", "ä", strings.Repeat("x", 256)} {
		e := failure(t, s.Send(bounded(t), mfa.Message{ID: id, To: number, Body: code}))
		if !errors.Is(e, senders.ErrRefused) || asked.Load() != 0 {
			t.Errorf("%q: %v, asked %d times", id, e, asked.Load())
		}
	}
	for _, id := range []string{"!~_", strings.Repeat("x", 255)} {
		if err := s.Send(bounded(t), mfa.Message{ID: id, To: number, Body: code}); err != nil {
			t.Errorf("%q: %v", id, err)
		}
	}
}

// TestNew: a Config that would send in the open, or unsigned, is refused, and the error does
// not quote it.
func TestNew(t *testing.T) {
	good := secret(t, newSecret)
	for name, cfg := range map[string]webhook.Config{
		"no URL":         {Secret: good},
		"no scheme":      {URL: "key.example/send", Secret: good},
		"no host":        {URL: "https:///key", Secret: good, InsecureHTTP: true},
		"another scheme": {URL: "ftp://key.example", Secret: good, InsecureHTTP: true},
		"no URL at all":  {URL: "https://key.example/%zz", Secret: good},
		"http":           {URL: "http://key.example", Secret: good},
		"loopback":       {URL: "http://127.0.0.1/key", Secret: good},
		"no secret":      {URL: "https://key.example"},
	} {
		if s, err := webhook.New(cfg); err == nil || s != nil || strings.Contains(err.Error(), "key") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, cfg := range []webhook.Config{
		{URL: "HTTPS://gateway.example", Secret: good},
		{URL: "http://gateway.example", Secret: good, InsecureHTTP: true},
	} {
		if _, err := webhook.New(cfg); err != nil {
			t.Errorf("%s: %v", cfg.URL, err)
		}
	}
}

// TestParseSecret: a secret is 24 to 64 bytes of base64 with its prefix, and no error quotes it.
func TestParseSecret(t *testing.T) {
	for text, want := range map[string]bool{
		newSecret:                            true,
		"whsec_" + strings.Repeat("AAAA", 8): true, // 24 bytes
		"whsec_" + strings.Repeat("AAAA", 7) + "AAA=":  false, // 23
		"whsec_" + strings.Repeat("AAAA", 21) + "AA==": true,  // 64
		"whsec_" + strings.Repeat("AAAA", 21) + "AAA=": false, // 65
		"whsec_" + strings.Repeat("AAAA", 21) + "AB==": false, // bits that say nothing
		newSecret[len("whsec_"):]:                      false,
		"WHSEC_" + strings.Repeat("AAAA", 8):           false,
		"whsec_" + strings.Repeat("AAA-", 8):           false,
		"whsec_" + strings.Repeat("AAAA\n", 8):         false,
		newSecret[:len(newSecret)-1]:                   false,
		"whsec_":                                       false,
		"":                                             false,
	} {
		_, err := webhook.ParseSecret(text)
		if (err == nil) != want {
			t.Errorf("%q: %v", text, err)
		}
		if err != nil && len(text) > 9 && strings.Contains(err.Error(), text[6:10]) {
			t.Errorf("%q is quoted: %v", text, err)
		}
	}
}

// TestNothingPrints: neither a secret nor the path of the URL is printed.
func TestNothingPrints(t *testing.T) {
	key := "new key that is 32 bytes long !!"
	s, err := webhook.New(webhook.Config{
		URL: "https://u:pass-word@gateway.example/key-in-the-path", Secret: secret(t, newSecret),
		PreviousSecret: secret(t, newSecret),
	})
	if err != nil {
		t.Fatal(err)
	}
	r := newReceiver(t, new(mfatest.Clock), noSend)
	for name, v := range map[string]any{
		"Secret": secret(t, newSecret), "Sender": s, "*Sender": *s, "Receiver": r,
		"Config":         webhook.Config{Secret: secret(t, newSecret)},
		"ReceiverConfig": webhook.ReceiverConfig{Secrets: []webhook.Secret{secret(t, newSecret)}},
	} {
		printed := testrig.Printed(v)
		for _, hidden := range []string{key, newSecret, "key-in-the-path", "pass-word"} {
			for _, spelling := range testrig.Spellings(hidden) {
				if strings.Contains(printed, spelling) {
					t.Errorf("%s prints %q", name, spelling)
				}
			}
		}
	}
}

func noSend(context.Context, mfa.Message) (webhook.Taken, error) { return webhook.Taken{}, nil }

// FuzzAnswer: whatever a gateway answers, a message is taken or there is an error of this
// package's table, and it quotes neither number nor code.
func FuzzAnswer(f *testing.F) {
	f.Add(200, `{"sender":"acme","id":"SM1"}`, "")
	f.Add(422, `{"error":"opted_out","text":"15005550006","code":"739164"}`, "7")
	f.Add(503, `<html>`, "Sat, 28 Nov 2026 07:14:34 GMT")
	f.Add(199, `{"error":1}`, "-1")
	reasons := []error{
		senders.ErrCannotReceive, senders.ErrOptedOut, senders.ErrRegionOff, senders.ErrTryLater,
		senders.ErrAccount, senders.ErrRefused, senders.ErrUnknown,
	}
	f.Fuzz(func(t *testing.T, status int, body, retryAfter string) {
		s := newSender(t, webhook.Config{
			URL: "https://gateway.example",
			HTTPClient: &http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) {
				return &http.Response{
					StatusCode: status, Header: http.Header{"Retry-After": {retryAfter}},
					Body: io.NopCloser(strings.NewReader(body)),
				}, nil
			})},
		})
		err := s.Send(t.Context(), message)
		if err == nil {
			if status < 200 || status > 299 {
				t.Fatalf("%d is taken", status)
			}
			return
		}
		e := failure(t, err)
		known := 0
		for _, reason := range reasons {
			if errors.Is(e, reason) {
				known++
			}
		}
		if known != 1 || e.RetryAfter < 0 || e.RetryAfter > 24*time.Hour ||
			e.RetryAfter != 0 && !errors.Is(e, senders.ErrTryLater) {
			t.Errorf("%d %q %q: %+v", status, body, retryAfter, e)
		}
		if status >= 500 && !errors.Is(e, senders.ErrUnknown) && status != 501 && status != 503 &&
			status != 505 && status != 511 {
			t.Errorf("%d %q: %v, which says that nothing was sent", status, body, e)
		}
		if strings.Contains(e.Error(), code) || strings.Contains(e.Error(), number[1:]) {
			t.Errorf("%d %q: %v", status, body, e)
		}
	})
}
