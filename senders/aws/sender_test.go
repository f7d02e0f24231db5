package aws_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/pinpointsmsvoicev2"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/internal/handover"
	"github.com/authfactor/mfa/internal/testrig"
	"github.com/authfactor/mfa/senders"
	"github.com/authfactor/mfa/senders/aws"
	"github.com/authfactor/mfa/senders/internal/faults"
)

const (
	validation = "ValidationException"
	conflict   = "ConflictException"

	number = "+15005550006"
	code   = "739164"
)

type failed = senders.Error

var message = mfa.Message{ID: "5f0c2a", To: number, Body: "Your code is " + code + "."}

// options are those of a client for a server that speaks the protocol of AWS.
func options(url string, client sdk.HTTPClient) pinpointsmsvoicev2.Options {
	return pinpointsmsvoicev2.Options{
		Region: "eu-west-1", BaseEndpoint: &url, HTTPClient: client,
		Credentials: sdk.CredentialsProviderFunc(func(context.Context) (sdk.Credentials, error) {
			return sdk.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "example-secret-key"}, nil
		}),
	}
}

func newSender(tb testing.TB, o pinpointsmsvoicev2.Options, cfg aws.Config) *aws.Sender {
	tb.Helper()
	cfg.Client = pinpointsmsvoicev2.New(o)
	s, err := aws.New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// serve is a server on the loopback interface, which counts its requests, and its options.
func serve(tb testing.TB, handler http.HandlerFunc) (pinpointsmsvoicev2.Options, *atomic.Int32) {
	tb.Helper()
	var requests atomic.Int32
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		handler(w, r)
	}))
	tb.Cleanup(server.Close)
	return options(server.URL, server.Client()), &requests
}

// answer answers with a status and a body.
func answer(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// raw writes an answer as it is, and ends the connection.
func raw(tb testing.TB, answer string) http.HandlerFunc {
	tb.Helper()
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			tb.Error(err)
			return
		}
		_, _ = io.WriteString(conn, answer)
		_ = conn.Close()
	}
}

// failure is the error of a sender, which has no other.
func failure(tb testing.TB, err error) *senders.Error {
	tb.Helper()
	e, ok := errors.AsType[*senders.Error](err)
	if !ok || e.Sender != "aws" {
		tb.Fatalf("error %T %v", err, err)
	}
	if strings.Contains(e.Error(), number[1:]) || strings.Contains(e.Error(), code) {
		tb.Errorf("number or code in %v", e)
	}
	return e
}

func bounded(tb testing.TB) context.Context {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 30*time.Second)
	tb.Cleanup(cancel)
	return ctx
}

// TestRequests: what AWS is asked, as its API reference has it.
func TestRequests(t *testing.T) {
	for name, c := range map[string]struct {
		cfg          aws.Config
		target, body string
		call         func(*aws.Sender, mfa.Message) error
	}{
		"a message": {
			aws.Config{}, "SendTextMessage",
			`{"DestinationPhoneNumber":"+15005550006","MessageBody":"Your code is 739164.",` +
				`"MessageType":"TRANSACTIONAL","TimeToLive":600}`,
			func(s *aws.Sender, m mfa.Message) error { return s.Send(bounded(t), m) },
		},
		"with all of a Config": {
			aws.Config{
				OriginationIdentity: "pool-1", ConfigurationSet: "set-1",
				ProtectConfiguration: "protect-1", Feedback: true,
			}, "SendTextMessage",
			`{"ConfigurationSetName":"set-1","DestinationPhoneNumber":"+15005550006",` +
				`"MessageBody":"Your code is 739164.","MessageFeedbackEnabled":true,` +
				`"MessageType":"TRANSACTIONAL","OriginationIdentity":"pool-1",` +
				`"ProtectConfigurationId":"protect-1","TimeToLive":600}`,
			func(s *aws.Sender, m mfa.Message) error { return s.Send(bounded(t), m) },
		},
		"feedback": {
			aws.Config{}, "PutMessageFeedback",
			`{"MessageFeedbackStatus":"RECEIVED","MessageId":"m-1"}`,
			func(s *aws.Sender, _ mfa.Message) error { return s.Feedback(bounded(t), "m-1") },
		},
	} {
		t.Run(name, func(t *testing.T) {
			var header http.Header
			var body map[string]any
			o, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
				header = r.Header.Clone()
				if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
					t.Error(err)
				}
				answer(200, `{"MessageId":"m-1","MessageFeedbackStatus":"RECEIVED"}`)(w, r)
			})
			if err := c.call(newSender(t, o, c.cfg), message); err != nil {
				t.Fatal(err)
			}
			got, err := json.Marshal(body)
			if err != nil || string(got) != c.body {
				t.Errorf("%s %v, want %s", got, err, c.body)
			}
			if target := header.Get("X-Amz-Target"); target != "PinpointSMSVoiceV2."+c.target {
				t.Error(target)
			}
			if key := header.Get("Authorization"); !strings.Contains(key, "Credential=AKIDEXAMPLE/") {
				t.Error(key)
			}
		})
	}
}

// TestTakenBy: events have the id that AWS gave, and nobody if AWS took nothing.
func TestTakenBy(t *testing.T) {
	o, _ := serve(t, answer(200, `{"MessageId":"m-1"}`))
	if by, id := faults.TakenBy(t, newSender(t, o, aws.Config{})); by != "aws" || id != "m-1" {
		t.Errorf("taken by %q as %q", by, id)
	}
	o, _ = serve(t, answer(400, `{"__type":"ThrottlingException","MessageId":"m-1"}`))
	then := senders.Fallback(newSender(t, o, aws.Config{}), new(mfa.Outbox))
	if by, id := faults.TakenBy(t, then); by != "" || id != "" {
		t.Errorf("another sent it, and taken by %q as %q", by, id)
	}
}

// exception is the body of an answer that AWS documents.
func exception(name, reason, fields string) string {
	return fmt.Sprintf(`{"__type":"com.amazonaws.pinpointsmsvoicev2#%s","Message":"About %s: %s",`+
		`"Reason":%q,"Fields":[%s]}`, name, number, code, reason, fields)
}

// TestExceptions: what AWS says of a message is the reason that the package documentation
// has.
func TestExceptions(t *testing.T) {
	const destination = `{"Name":"x","Message":""},{"Name":"destinationPhoneNumber","Message":"no"}`
	for _, c := range []struct {
		status                    int
		exception, reason, fields string
		want                      error
	}{
		{400, validation, "INVALID_PARAMETER", destination, senders.ErrCannotReceive},
		{400, validation, "FIELD_VALIDATION_FAILED", destination, senders.ErrCannotReceive},
		{400, validation, "INVALID_PARAMETER", "", senders.ErrRefused},
		{
			400, validation, "INVALID_PARAMETER", `{"Name":"MessageBody","Message":""}`,
			senders.ErrRefused,
		},
		{400, validation, "COUNTRY_CODE_MISMATCH", destination, senders.ErrRegionOff},
		{400, validation, "COUNTRY_NOT_ENABLED", destination, senders.ErrRegionOff},
		{400, validation, "DESTINATION_COUNTRY_BLOCKED", destination, senders.ErrRegionOff},
		{400, validation, "INTERNATIONAL_SENDING_NOT_SUPPORTED", "", senders.ErrRegionOff},
		{
			400, validation, "INVALID_IDENTITY_FOR_DESTINATION_COUNTRY", destination,
			senders.ErrRegionOff,
		},
		{400, validation, "SENDER_ID_NOT_SUPPORTED", "", senders.ErrRegionOff},
		{400, validation, "SENDER_ID_NOT_REGISTERED", "", senders.ErrRegionOff},
		{400, validation, "SENDER_ID_REQUIRES_REGISTRATION", "", senders.ErrRegionOff},
		{400, validation, "CHANNEL_NOT_ENABLED", "", senders.ErrAccount},
		{400, validation, "INVALID_ARN", "", senders.ErrAccount},
		{400, validation, "RESOURCE_NOT_ACCESSIBLE", "", senders.ErrAccount},
		{400, validation, "OTHER", "", senders.ErrRefused},
		{400, conflict, "DESTINATION_PHONE_NUMBER_OPTED_OUT", "", senders.ErrOptedOut},
		{
			400, conflict, "DESTINATION_COUNTRY_BLOCKED_BY_PROTECT_CONFIGURATION", "",
			senders.ErrRegionOff,
		},
		{400, conflict, "NO_ORIGINATION_IDENTITIES_FOUND", "", senders.ErrRegionOff},
		{400, conflict, "DESTINATION_PHONE_NUMBER_NOT_VERIFIED", "", senders.ErrAccount},
		{400, conflict, "MESSAGE_TYPE_MISMATCH", "", senders.ErrAccount},
		{400, conflict, "NUMBER_CAPABILITIES_MISMATCH", "", senders.ErrAccount},
		{400, conflict, "RESOURCE_NOT_ACTIVE", "", senders.ErrAccount},
		{400, conflict, "KEYWORD_MISMATCH", "", senders.ErrRefused},
		{400, "ThrottlingException", "", "", senders.ErrTryLater},
		{429, "ThrottlingException", "", "", senders.ErrTryLater},
		{400, "TooManyRequestsException", "", "", senders.ErrTryLater},
		{400, "AccessDeniedException", "ACCOUNT_DISABLED", "", senders.ErrAccount},
		{400, "AccessDeniedException", "", "", senders.ErrAccount},
		{400, "ResourceNotFoundException", "", "", senders.ErrAccount},
		{
			400, "ServiceQuotaExceededException", "MONTHLY_SPEND_LIMIT_REACHED_FOR_TEXT", "",
			senders.ErrAccount,
		},
		{400, "ExpiredToken", "", "", senders.ErrAccount},
		{400, "ExpiredTokenException", "", "", senders.ErrAccount},
		{400, "IncompleteSignature", "", "", senders.ErrAccount},
		{400, "IncompleteSignatureException", "", "", senders.ErrAccount},
		{400, "InvalidClientTokenId", "", "", senders.ErrAccount},
		{400, "InvalidSignatureException", "", "", senders.ErrAccount},
		{400, "MissingAuthenticationToken", "", "", senders.ErrAccount},
		{400, "MissingAuthenticationTokenException", "", "", senders.ErrAccount},
		{400, "NotAuthorized", "", "", senders.ErrAccount},
		{400, "OptInRequired", "", "", senders.ErrAccount},
		{400, "RequestExpired", "", "", senders.ErrAccount},
		{400, "SignatureDoesNotMatch", "", "", senders.ErrAccount},
		{400, "UnrecognizedClientException", "", "", senders.ErrAccount},
		{403, "NewException", "", "", senders.ErrAccount},
		{400, "NewException", "", "", senders.ErrRefused},
		{500, "NewException", "", "", senders.ErrUnknown},
		{500, "InternalServerException", "", "", senders.ErrUnknown},
		{500, "AccessDeniedException", "", "", senders.ErrUnknown},
		{503, "ThrottlingException", "", "", senders.ErrUnknown},
		{400, "InternalFailure", "", "", senders.ErrUnknown},
		{400, "ServiceUnavailable", "", "", senders.ErrUnknown},
	} {
		t.Run(c.exception+" "+c.reason, func(t *testing.T) {
			o, requests := serve(t, answer(c.status, exception(c.exception, c.reason, c.fields)))
			e := failure(t, newSender(t, o, aws.Config{}).Send(bounded(t), message))
			want := failed{
				Sender: "aws", Reason: c.want, Code: c.reason, Text: "About +[number]: [code]",
			}
			if c.reason == "" {
				want.Code = c.exception
			}
			if *e != want || requests.Load() != 1 {
				t.Errorf("%+v, want %+v; %d requests", *e, want, requests.Load())
			}
			if errors.Is(c.want, senders.ErrUnknown) != handover.Unknown(e) {
				t.Errorf("%v: unknown %v", e, handover.Unknown(e))
			}
		})
	}
}

// TestAnswers: what AWS does not say is judged by its status, and an answer without an id proves
// nothing.
func TestAnswers(t *testing.T) {
	const long = 64 << 10
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		want    failed
	}{
		"200, empty": {
			answer(200, ""),
			failed{Reason: senders.ErrUnknown, Text: "the answer has no message id"},
		},
		"200, no id": {
			answer(200, "{}"),
			failed{Reason: senders.ErrUnknown, Text: "the answer has no message id"},
		},
		"200, an empty id": {
			answer(200, `{"MessageId":""}`),
			failed{Reason: senders.ErrUnknown, Text: "the answer has no message id"},
		},
		"200, HTML": {
			answer(200, "<html>"),
			failed{Reason: senders.ErrUnknown, Code: "HTTP 200"},
		},
		"200, a list": {
			answer(200, "[]"),
			failed{Reason: senders.ErrUnknown, Code: "HTTP 200"},
		},
		"200, a number": {
			answer(200, `{"MessageId":1}`),
			failed{Reason: senders.ErrUnknown, Code: "HTTP 200"},
		},
		"200, cut off": {
			raw(t, "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{\"MessageId\":"),
			failed{Reason: senders.ErrUnknown, Code: "HTTP 200"},
		},
		"200, too long": {
			answer(200, `{"x":"`+strings.Repeat("x", long)+`","MessageId":"m-1"}`),
			failed{Reason: senders.ErrUnknown, Code: "HTTP 200"},
		},
		"400, too long": {
			answer(400, exception("ThrottlingException", "", strings.Repeat(" ", long))),
			failed{Reason: senders.ErrRefused, Code: "HTTP 400"},
		},
		"400, cut off": {
			raw(t, "HTTP/1.1 400 No\r\nContent-Length: 99\r\n\r\n{\"__type\":"),
			failed{Reason: senders.ErrRefused, Code: "HTTP 400"},
		},
		"400, empty": {
			answer(400, ""),
			failed{Reason: senders.ErrRefused, Code: "HTTP 400"},
		},
		"400, {}": {
			answer(400, "{}"),
			failed{Reason: senders.ErrRefused, Code: "HTTP 400"},
		},
		"401": {
			answer(401, "<html>"),
			failed{Reason: senders.ErrAccount, Code: "HTTP 401"},
		},
		"403": {
			answer(403, "<html>"),
			failed{Reason: senders.ErrAccount, Code: "HTTP 403"},
		},
		"408": {
			answer(408, "<html>"),
			failed{Reason: senders.ErrUnknown, Code: "HTTP 408"},
		},
		"429": {
			answer(429, "<html>"),
			failed{Reason: senders.ErrTryLater, Code: "HTTP 429"},
		},
		"500": {
			answer(500, "<html>"),
			failed{Reason: senders.ErrUnknown, Code: "HTTP 500"},
		},
		"502": {
			answer(502, ""),
			failed{Reason: senders.ErrUnknown, Code: "HTTP 502"},
		},
		"503": {
			answer(503, "<html>"),
			failed{Reason: senders.ErrUnknown, Code: "HTTP 503"},
		},
		"504": {
			answer(504, "<html>"),
			failed{Reason: senders.ErrUnknown, Code: "HTTP 504"},
		},
		"303": {
			answer(303, "<html>"),
			failed{Reason: senders.ErrUnknown, Code: "HTTP 303"},
		},
		"304": {
			answer(304, ""),
			failed{Reason: senders.ErrRefused, Code: "HTTP 304"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			o, requests := serve(t, c.handler)
			o.Retryer = eager()
			e := failure(t, newSender(t, o, aws.Config{}).Send(bounded(t), message))
			c.want.Sender = "aws"
			if *e != c.want || requests.Load() != 1 {
				t.Errorf("%+v, want %+v; %d requests", *e, c.want, requests.Load())
			}
		})
	}
}

// TestRetryAfter: a status of a server that is busy is what it is for the other senders.
func TestRetryAfter(t *testing.T) {
	for status, want := range map[int]error{
		503: senders.ErrTryLater, 429: senders.ErrTryLater, 502: senders.ErrUnknown,
	} {
		o, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", "7")
			answer(status, "<html>")(w, r)
		})
		e := failure(t, newSender(t, o, aws.Config{}).Send(bounded(t), message))
		waits := errors.Is(want, senders.ErrTryLater)
		if !errors.Is(e, want) || waits != (e.RetryAfter == 7*time.Second) {
			t.Errorf("%d: %v, want %v", status, e, want)
		}
	}
}

// eager is a Retryer that repeats what the SDK does, without delay.
func eager() sdk.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = 5
		o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 0, nil })
	})
}

// TestRepeats: a message is handed over once, whatever the client's Retryer says; feedback,
// which says the same twice, is repeated as that says.
func TestRepeats(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"an error":     answer(500, exception("InternalServerException", "", "")),
		"a rate limit": answer(400, exception("ThrottlingException", "", "")),
		"cut off":      raw(t, ""),
	} {
		o, requests := serve(t, handler)
		o.Retryer = eager()
		s := newSender(t, o, aws.Config{})
		_ = failure(t, s.Send(bounded(t), message))
		if n := requests.Swap(0); n != 1 {
			t.Errorf("%s: %d requests for a message", name, n)
		}
		_ = failure(t, s.Feedback(bounded(t), "m-1"))
		if n := requests.Load(); n != 5 {
			t.Errorf("%s: %d requests for feedback", name, n)
		}
	}
}

// TestFeedback: its errors are those of a message.
func TestFeedback(t *testing.T) {
	o, _ := serve(t, answer(400, exception("ResourceNotFoundException", "", "")))
	e := failure(t, newSender(t, o, aws.Config{}).Feedback(bounded(t), "m-1"))
	if !errors.Is(e, senders.ErrAccount) || e.Code != "ResourceNotFoundException" || e.Text != "" {
		t.Error(e)
	}
}

// TestRedirect: a message goes to AWS, and nowhere else, with each HTTP client of the
// documentation.
func TestRedirect(t *testing.T) {
	for _, status := range []int{301, 302, 307, 308} {
		var elsewhere atomic.Int32
		other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			elsewhere.Add(1)
		}))
		o, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL, status)
		})
		trusting := o.HTTPClient.(*http.Client).Transport.(*http.Transport).TLSClientConfig
		own := awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
			t.TLSClientConfig = trusting
		})
		for _, client := range []sdk.HTTPClient{o.HTTPClient, own, own.Freeze()} {
			o.HTTPClient = client
			e := failure(t, newSender(t, o, aws.Config{}).Send(bounded(t), message))
			if !errors.Is(e, senders.ErrRefused) || handover.Unknown(e) || elsewhere.Load() != 0 {
				t.Errorf("%d by %T: %v, %d requests elsewhere", status, client, e, elsewhere.Load())
			}
		}
		other.Close()
	}
}

// TestUnconnected: where nobody took the request, the message was not handed over.
func TestUnconnected(t *testing.T) {
	called := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("asked") })
	secure := httptest.NewTLSServer(called)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0) // of the certificate that is not known
	t.Cleanup(secure.Close)
	gone := httptest.NewServer(called)
	gone.Close()
	dials := func(err error) *http.Client {
		return &http.Client{Transport: &http.Transport{
			DialContext: func(context.Context, string, string) (net.Conn, error) { return nil, err },
		}}
	}
	broken := options(secure.URL, secure.Client())
	broken.Credentials = sdk.CredentialsProviderFunc(func(context.Context) (sdk.Credentials, error) {
		return sdk.Credentials{}, os.ErrDeadlineExceeded // of the service that gives them
	})
	nowhere := options("", nil)
	nowhere.Region, nowhere.BaseEndpoint = "", nil
	for name, c := range map[string]struct {
		options pinpointsmsvoicev2.Options
		want    error
		cause   func(error) bool
	}{
		"nobody listens": {options(gone.URL, nil), senders.ErrTryLater, func(err error) bool {
			op, ok := errors.AsType[*net.OpError](err)
			return ok && op.Op == "dial"
		}},
		"another certificate": {options(secure.URL, nil), senders.ErrTryLater, func(err error) bool {
			_, ok := errors.AsType[*tls.CertificateVerificationError](err)
			return ok
		}},
		"too slow to connect": {
			options(secure.URL, dials(&net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded})),
			senders.ErrTryLater, func(err error) bool { return errors.Unwrap(err) == nil },
		},
		"a text with the number": {
			options(secure.URL, dials(errors.New("no route for "+number+" and "+code))),
			senders.ErrTryLater, func(err error) bool { return err != nil },
		},
		"no credentials": {broken, senders.ErrAccount, func(err error) bool { return err != nil }},
		"no region":      {nowhere, senders.ErrAccount, func(err error) bool { return err != nil }},
	} {
		t.Run(name, func(t *testing.T) {
			e := failure(t, newSender(t, c.options, aws.Config{}).Send(bounded(t), message))
			if !errors.Is(e, c.want) || handover.Unknown(e) || !c.cause(e.Cause) || e.Text == "" {
				t.Errorf("%v, cause %T %v", e, e.Cause, e.Cause)
			}
		})
	}
}

// TestUnanswered: where the request was written and no answer came, the message may be on its
// way.
func TestUnanswered(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"nothing":       raw(t, ""),
		"half a header": raw(t, "HTTP/1.1 200 OK\r\nContent-Le"),
		"no HTTP":       raw(t, "220 mail.example ESMTP\r\n"),
	} {
		o, requests := serve(t, handler)
		e := failure(t, newSender(t, o, aws.Config{}).Send(bounded(t), message))
		if !errors.Is(e, senders.ErrUnknown) || !handover.Unknown(e) || requests.Load() != 1 {
			t.Errorf("%s: %v, asked %d times", name, e, requests.Load())
		}
	}
}

// TestSlow: after the time is up the message may be on its way.
func TestSlow(t *testing.T) {
	ctx, hangUp := context.WithCancel(bounded(t))
	o, _ := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // or the server does not see who hangs up
		hangUp()
		<-r.Context().Done()
		panic(http.ErrAbortHandler) // an answer could still be read
	})
	e := failure(t, newSender(t, o, aws.Config{}).Send(ctx, message))
	if !errors.Is(e, senders.ErrUnknown) || !errors.Is(e, context.Canceled) {
		t.Error(e)
	}
	// It may be even if the time is up before there are credentials: the service says so.
	e = failure(t, newSender(t, o, aws.Config{}).Send(ctx, message))
	if !errors.Is(e, senders.ErrUnknown) {
		t.Error(e)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func (f roundTripper) Do(r *http.Request) (*http.Response, error) { return f(r) }

// TestDeadline: without a deadline of its caller, AWS has 15 seconds.
func TestDeadline(t *testing.T) {
	var left time.Duration
	o := options("https://aws.example", roundTripper(func(r *http.Request) (*http.Response, error) {
		deadline, _ := r.Context().Deadline()
		left = time.Until(deadline)
		return nil, errors.New("from a client that tells of no connection")
	}))
	o.Retryer = eager()
	s := newSender(t, o, aws.Config{})
	for name, call := range map[string]func() error{
		"Send":     func() error { return s.Send(t.Context(), message) },
		"Feedback": func() error { return s.Feedback(t.Context(), "m-1") },
	} {
		left = 0
		e := failure(t, call())
		if left <= 10*time.Second || left > 15*time.Second || !errors.Is(e, senders.ErrUnknown) {
			t.Errorf("%s: %v left, %v", name, left, e)
		}
	}
}

// TestThroughAService: a challenge whose message AWS refuses is cancelled, and one that may have
// been sent is not.
func TestThroughAService(t *testing.T) {
	for body, want := range map[string]error{
		exception(conflict, "DESTINATION_PHONE_NUMBER_OPTED_OUT", ""): senders.ErrOptedOut,
		exception("InternalServerException", "", ""):                  nil,
	} {
		o, _ := serve(t, answer(400, body))
		svc, err := mfa.New(mfa.Config{
			SMS: newSender(t, o, aws.Config{}), Regions: []string{"US"},
			Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		enr, err := svc.Enroll(t.Context(), mfa.EnrollParams{
			UserID: "user_42", SMS: &mfa.SMSParams{PhoneNumber: number},
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = svc.Challenge(t.Context(), mfa.ChallengeParams{
			FactorID: enr.Factor.ID, UserID: "user_42",
		})
		if !errors.Is(err, want) || (want != nil) != errors.Is(err, mfa.ErrMessageNotSent) {
			t.Errorf("%v, want %v", err, want)
		}
	}
}

// TestNew: a sender needs a client.
func TestNew(t *testing.T) {
	if s, err := aws.New(aws.Config{OriginationIdentity: "pool-1"}); err == nil || s != nil {
		t.Error(err)
	}
}

// TestNothingPrints: the credentials of the client are not printed.
func TestNothingPrints(t *testing.T) {
	o := options("https://aws.example", nil)
	cfg := aws.Config{Client: pinpointsmsvoicev2.New(o)}
	for _, v := range []any{newSender(t, o, aws.Config{}), cfg} {
		printed := testrig.Printed(v)
		for _, spelling := range testrig.Spellings("example-secret-key") {
			if strings.Contains(printed, spelling) {
				t.Errorf("%T prints %q", v, spelling)
			}
		}
	}
}

// FuzzAnswer: whatever AWS answers, a message is taken or there is one reason why not, and the
// error quotes neither number nor code.
func FuzzAnswer(f *testing.F) {
	f.Add(200, `{"MessageId":"m-1"}`, "")
	f.Add(400, exception(validation, "INVALID_PARAMETER", `{"Name":"DestinationPhoneNumber"}`), "")
	f.Add(400, exception(conflict, "15005550006", ""), "ConflictException:http://x/")
	f.Add(500, "<html>", "ThrottlingException")
	reasons := []error{
		senders.ErrCannotReceive, senders.ErrOptedOut, senders.ErrRegionOff, senders.ErrTryLater,
		senders.ErrAccount, senders.ErrRefused, senders.ErrUnknown,
	}
	f.Fuzz(func(t *testing.T, status int, body, kind string) {
		o := options("https://aws.example", roundTripper(func(*http.Request) (*http.Response, error) {
			return &http.Response{
				StatusCode: status, Header: http.Header{"X-Amzn-Errortype": {kind}},
				Body: io.NopCloser(strings.NewReader(body)),
			}, nil
		}))
		err := newSender(t, o, aws.Config{}).Send(t.Context(), message)
		if err == nil {
			if status < 200 || status > 299 {
				t.Fatalf("%d is taken", status)
			}
			return
		}
		e, known := failure(t, err), 0
		for _, reason := range reasons {
			if errors.Is(e, reason) {
				known++
			}
		}
		if known != 1 || status/100 == 2 && !errors.Is(e, senders.ErrUnknown) {
			t.Errorf("%d %q %q: %+v", status, body, kind, e)
		}
	})
}
