package provider_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/authfactor/mfa/internal/handover"
	"github.com/authfactor/mfa/senders"
	"github.com/authfactor/mfa/senders/internal/faults"
	"github.com/authfactor/mfa/senders/internal/provider"
)

// roundTripper is a transport of a test.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func client(f roundTripper) *provider.Client {
	return provider.NewClient("test", senders.Secret{}, &http.Client{Transport: f})
}

// TestTimeOfItsOwn: a context without a deadline does not wait for ever.
func TestTimeOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		c := client(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		_, err := c.Post(context.Background(), faults.Message(), provider.Request{URL: "https://x"})
		faults.Check(t, err, senders.ErrUnknown)
		if took := time.Since(begin); took != 15*time.Second {
			t.Errorf("it took %v, want 15s", took)
		}
	})
}

// TestTimeOfTheCaller: a context that has a deadline keeps it, a later one too.
func TestTimeOfTheCaller(t *testing.T) {
	for _, want := range []time.Duration{3 * time.Second, time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			begin := time.Now()
			c := client(func(r *http.Request) (*http.Response, error) {
				<-r.Context().Done()
				return nil, r.Context().Err()
			})
			ctx, cancel := context.WithTimeout(t.Context(), want)
			defer cancel()
			_, err := c.Post(ctx, faults.Message(), provider.Request{URL: "https://x"})
			faults.Check(t, err, senders.ErrUnknown)
			if took := time.Since(begin); took != want {
				t.Errorf("it took %v, want %v", took, want)
			}
		})
	}
}

// TestHungUpWhileConnecting: once ctx is done, an error proves nothing, for the service says
// that the message may be on its way.
func TestHungUpWhileConnecting(t *testing.T) {
	ctx, hangUp := context.WithCancel(t.Context())
	c := provider.NewClient("test", senders.Secret{}, &http.Client{Transport: &http.Transport{
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			hangUp()
			return nil, errors.New("no route")
		},
	}})
	_, err := c.Post(ctx, faults.Message(), provider.Request{URL: "https://x"})
	faults.Check(t, err, senders.ErrUnknown)
}

// TestHalfAnswer: the error of an answer that did not come whole tells why.
func TestHalfAnswer(t *testing.T) {
	why := errors.New("the cable was cut")
	c := client(func(r *http.Request) (*http.Response, error) {
		return &http.Response{
			StatusCode: 200, Request: r, Body: io.NopCloser(iotest.ErrReader(why)),
		}, nil
	})
	a, err := c.Post(t.Context(), faults.Message(), provider.Request{URL: "https://x"})
	if err != nil {
		t.Fatal(err)
	}
	e := c.Error(faults.Message(), a, provider.Verdict{})
	faults.Check(t, e, senders.ErrUnknown)
	if !errors.Is(e, why) {
		t.Errorf("the cause is %v, want %v", e.Cause, why)
	}
}

// TestTransportThatTellsNothing: an error proves that nothing was handed over only if the
// transport told that it found no connection.
func TestTransportThatTellsNothing(t *testing.T) {
	c := client(func(*http.Request) (*http.Response, error) { return nil, errors.New("no reason") })
	_, err := c.Post(t.Context(), faults.Message(), provider.Request{URL: "https://x"})
	faults.Check(t, err, senders.ErrUnknown)
}

// TestOwnTransport: the one that a sender has without an http.Client.
func TestOwnTransport(t *testing.T) {
	c := provider.NewClient("test", senders.Secret{}, nil)
	s := faults.Serve(t, faults.Answer{Status: 200})
	_, err := c.Post(t.Context(), faults.Message(), provider.Request{URL: s.URL})
	faults.Check(t, err, senders.ErrTryLater) // its certificate is of nobody

	// It asks for HTTP/1.1 only.
	protocols := make(chan []byte, 1)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		hello := make([]byte, 4096)
		n, _ := conn.Read(hello)
		protocols <- hello[:n]
		_ = conn.Close()
	}()
	_, err = c.Post(t.Context(), faults.Message(), provider.Request{URL: "https://" + listener.Addr().String()})
	faults.Check(t, err, senders.ErrTryLater)
	if hello := string(<-protocols); strings.Contains(hello, "\x02h2") {
		t.Error("it offers HTTP/2")
	}
}

// TestProxyOfEnvironment: the transport of a sender's own asks the proxy of the environment, in
// another process, because this one may have read its own already.
func TestProxyOfEnvironment(t *testing.T) {
	const proxied = "MFA_TEST_PROXIED"
	if os.Getenv(proxied) != "" {
		c := provider.NewClient("test", senders.Secret{}, nil)
		_, err := c.Post(t.Context(), faults.Message(), provider.Request{URL: "https://x.example"})
		faults.Check(t, err, senders.ErrTryLater)
		return
	}
	asked := make(chan string, 1)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Method + " " + r.Host
		w.WriteHeader(http.StatusForbidden)
	}))
	defer proxy.Close()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	again := exec.CommandContext(t.Context(), program, "-test.run=^TestProxyOfEnvironment$")
	again.Env = append(os.Environ(), proxied+"=1", "HTTPS_PROXY="+proxy.URL, "NO_PROXY=")
	if out, err := again.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if len(asked) != 1 || <-asked != "CONNECT x.example:443" {
		t.Error("the proxy was not asked")
	}
}

// TestNumber: what an error may show is a number of five digits.
func TestNumber(t *testing.T) {
	for text, want := range map[string]provider.Number{
		`0`: "0", `21211`: "21211", `"21211"`: "21211", `null`: "", `""`: "", `123456`: "",
		`"123456"`: "", `-1`: "", `1.5`: "", `1e3`: "", `"a"`: "", `{}`: "", `[1]`: "", `true`: "",
	} {
		var got struct{ N provider.Number }
		if err := json.Unmarshal([]byte(`{"N": `+text+`}`), &got); err != nil || got.N != want {
			t.Errorf("%s is %q, %v; want %q", text, got.N, err, want)
		}
	}
}

func TestBaseURL(t *testing.T) {
	for text, want := range map[string]string{
		"": "https://default.example", "https://a.example": "https://a.example",
		"https://a.example/": "https://a.example", "https://a.example:8443/b/": "https://a.example:8443/b",
		"https://a.example?": "https://a.example", "https://a.example#": "https://a.example",
		"http://a.example": "", "a.example": "", "https:a": "", "https://u@a.example": "",
		"https://a.example?b": "", "https://a.example/#b": "", "://": "",
	} {
		got, ok := provider.BaseURL(text, "https://default.example")
		if got != want || ok != (want != "") {
			t.Errorf("%q is %q, %t; want %q", text, got, ok, want)
		}
	}
}

// FuzzHeader: whatever a server that is busy says about how long, it is not longer than a day.
func FuzzHeader(f *testing.F) {
	f.Add("120", "")
	f.Add("Fri, 27 Nov 2026 10:00:00 GMT", "Fri, 27 Nov 2026 09:00:00 GMT")
	f.Add("99999999999999999999", "x")
	f.Add("-1", "Friday, 27-Nov-26 10:00:00 GMT")
	f.Fuzz(func(t *testing.T, after, date string) {
		c := client(func(r *http.Request) (*http.Response, error) {
			return &http.Response{
				StatusCode: 503, Request: r, Body: io.NopCloser(strings.NewReader("")),
				Header: http.Header{"Retry-After": {after}, "Date": {date}},
			}, nil
		})
		a, err := c.Post(t.Context(), faults.Message(), provider.Request{URL: "https://x"})
		if err != nil {
			t.Fatal(err)
		}
		e := c.Error(faults.Message(), a, provider.Verdict{})
		if handover.Unknown(e) == errors.Is(e, senders.ErrTryLater) {
			t.Errorf("Retry-After: %s gives %v", after, e)
		}
		if e.RetryAfter < 0 || e.RetryAfter > 24*time.Hour {
			t.Errorf("Retry-After: %s is %v", after, e.RetryAfter)
		}
	})
}

// FuzzFault: whatever a transport's error says, ours has neither the number nor the code, nor
// the credential.
func FuzzFault(f *testing.F) {
	f.Add("dial tcp: lookup " + faults.Number + ": no such host")
	f.Add("\xff" + faults.Code)
	f.Fuzz(func(t *testing.T, text string) {
		const secret = "correct-horse-battery"
		c := provider.NewClient("test", senders.Hide(secret), &http.Client{
			Transport: roundTripper(func(*http.Request) (*http.Response, error) {
				return nil, &url.Error{Op: "Post", Err: errors.New(text + secret)}
			}),
		})
		_, err := c.Post(t.Context(), faults.Message(), provider.Request{URL: "https://x/" + "y"})
		if strings.Contains(err.Error(), secret) {
			t.Errorf("%q", err)
		}
		faults.Check(t, err, senders.ErrUnknown)
	})
}
