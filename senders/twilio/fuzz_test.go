package twilio_test

import (
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/authfactor/mfa/internal/handover"
	"github.com/authfactor/mfa/senders"
	"github.com/authfactor/mfa/senders/internal/faults"
)

// An answering transport answers so, without a network.
type answering struct {
	answer faults.Answer
	form   url.Values // of the last request
}

// RoundTrip keeps what is posted.
func (a *answering) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	if a.form, err = url.ParseQuery(string(body)); err != nil {
		return nil, err
	}
	return &http.Response{
		StatusCode: a.answer.Status, Request: r,
		Header: http.Header{"Retry-After": {"7"}},
		Body:   io.NopCloser(strings.NewReader(a.answer.Body)),
	}, nil
}

var taken = regexp.MustCompile(`(SM|MM|CA)[0-9a-fA-F]{32}`)

// FuzzAnswer: whatever is answered, Send returns nil only for what names a message, and
// otherwise an error that tells by itself whether the message may be on its way.
func FuzzAnswer(f *testing.F) {
	for _, a := range []faults.Answer{
		message, call, refused(400, "21211", faults.Number+faults.Code), refused(200, "20003", "x"),
		created("SM"+digits, "failed", "30005"), refused(503, "20503", ""),
		{Status: 200, Body: `{"sid": "SM", "code": 1e3, "status": {}}`}, {Status: 302, Body: "<html>"},
	} {
		f.Add(a.Status, a.Body)
	}
	f.Fuzz(func(t *testing.T, status int, body string) {
		if status < 200 || status > 999 {
			t.Skip("no status of an answer")
		}
		s := sender(t, config("", &http.Client{
			Transport: &answering{answer: faults.Answer{Status: status, Body: body}},
		}))
		err := s.Send(t.Context(), faults.Message())
		if err == nil {
			if status > 299 || !taken.MatchString(body) {
				t.Fatalf("%d %q is taken for a message", status, body)
			}
			return
		}
		e := faults.As(t, err)
		faults.Check(t, err, e.Reason)
		if len(e.Code) > len("HTTP 999") || strings.Contains(e.Text, token) {
			t.Errorf("code %q, text %q", e.Code, e.Text)
		}
		if e.RetryAfter != 0 != errors.Is(err, senders.ErrTryLater) {
			t.Errorf("%v: RetryAfter is %v", err, e.RetryAfter)
		}
		if status >= 500 && e.RetryAfter == 0 && !handover.Unknown(err) && status != 501 &&
			status != 505 && status != 511 {
			t.Errorf("%d proves nothing, but the error does: %v", status, err)
		}
	})
}

// FuzzSpoken: a call's script is XML of two equal texts and two pauses, and says nothing else
// than the message.
func FuzzSpoken(f *testing.F) {
	f.Add("Your code is 123456.")
	f.Add("]]></Say><Dial>+15005550006</Dial> & 1234567 \x00\xff\ufffe")
	f.Add("123456\n\n@example.com #123456")
	f.Fuzz(func(t *testing.T, body string) {
		a := &answering{answer: call}
		cfg := config("", &http.Client{Transport: a})
		voice(&cfg)
		m := faults.Message()
		m.Body = body
		if err := sender(t, cfg).Send(t.Context(), m); err != nil {
			faults.Check(t, err, senders.ErrRefused)
			if a.form != nil || len(body) < 4000/2/len("&#xFFFD;")-100 {
				t.Errorf("%v after the request %v", err, a.form)
			}
			return
		}
		var script struct {
			XMLName xml.Name `xml:"Response"`
			Say     []struct {
				Text  string     `xml:",chardata"`
				Attrs []xml.Attr `xml:",any,attr"`
				Other []struct{} `xml:",any"`
			} `xml:"Say"`
			Pause []struct{} `xml:"Pause"`
			Other []struct{} `xml:",any"`
		}
		if err := xml.Unmarshal([]byte(a.form.Get("Twiml")), &script); err != nil {
			t.Fatal(err)
		}
		if len(script.Say) != 2 || len(script.Pause) != 2 || len(script.Other) > 0 ||
			len(script.Say[0].Other)+len(script.Say[0].Attrs) > 0 ||
			script.Say[0].Text != script.Say[1].Text {
			t.Fatalf("the script %s", a.form.Get("Twiml"))
		}
		said := script.Say[0].Text
		if regexp.MustCompile(`[0-9]{4}`).MatchString(said) {
			t.Errorf("%q has a number that is not spelled", said)
		}
		if plain := regexp.MustCompile(`^[a-z0-9 .]*$`); plain.MatchString(body) &&
			strings.ReplaceAll(said, ", ", "") != body {
			t.Errorf("%q is spoken as %q", body, said)
		}
	})
}

// FuzzCode: by WhatsApp goes the one number of six digits, or nothing.
func FuzzCode(f *testing.F) {
	f.Add("Your code is 123456.")
	f.Add("123456\n@example.com #123456")
	f.Add("123456 654321 1234567")
	f.Fuzz(func(t *testing.T, body string) {
		a := &answering{answer: message}
		cfg := config("", &http.Client{Transport: a})
		whatsApp(&cfg)
		m := faults.Message()
		m.Body = body
		err := sender(t, cfg).Send(t.Context(), m)
		codes := map[string]bool{}
		for _, n := range regexp.MustCompile(`[0-9]+`).FindAllString(body, -1) {
			if len(n) == 6 {
				codes[n] = true
			}
		}
		if (len(codes) == 1) != (err == nil) {
			t.Fatalf("codes %v, and error %v", codes, err)
		}
		for code := range codes {
			if got := a.form.Get("ContentVariables"); err == nil && got != `{"1":"`+code+`"}` {
				t.Errorf("%s is sent for %s", got, code)
			}
		}
	})
}
