// Package faults tries a sender with everything that can go wrong between it and its provider.
package faults

import (
	"context"
	"errors"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/internal/handover"
	"github.com/authfactor/mfa/senders"
)

// What is sent, and to whom.
const (
	Number = "+15005550006"
	Code   = "482913"
)

// Message is what is sent.
func Message() mfa.Message {
	return mfa.Message{
		ID: "0123456789abcdef0123456789abcdef", To: Number, Body: "Your FooCorp code is " + Code + ".",
	}
}

// An Answer is what a provider answers.
type Answer struct {
	Status            int
	ContentType, Body string
}

// ServeHTTP reads the request and answers it.
func (a Answer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Type", a.ContentType)
	w.WriteHeader(a.Status)
	_, _ = io.WriteString(w, a.Body)
}

// A Server is a provider, with TLS on the loopback interface. It counts the requests.
type Server struct {
	*httptest.Server
	Requests, Connections atomic.Int32
}

// Serve starts a server, and ends it with the test.
func Serve(t testing.TB, handler http.Handler) *Server {
	t.Helper()
	s := new(Server)
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.Requests.Add(1)
		handler.ServeHTTP(w, r)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes are to fail
	s.Config.ConnState = countNew(&s.Connections)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// Run tries a sender of a provider at a base URL, by an http.Client that trusts its
// certificate. taken is how that provider answers when it took a message. Each fault comes
// directly, and in a Challenge of a service.
func Run(
	t *testing.T, newSender func(baseURL string, client *http.Client) mfa.SMSSender, taken Answer,
) {
	t.Helper()
	r := rig{newSender, taken}
	t.Run("taken", r.taken200)
	t.Run("answers", r.answers)
	t.Run("redirects", r.redirects)
	t.Run("cut off", r.cutOff)
	t.Run("slow", r.slow)
	t.Run("not connected", r.notConnected)
	t.Run("connections", r.connections)
}

type rig struct {
	newSender func(baseURL string, client *http.Client) mfa.SMSSender
	taken     Answer
}

func (r rig) taken200(t *testing.T) {
	s := Serve(t, r.taken)
	sender := r.newSender(s.URL, s.Client())
	if err := sender.Send(t.Context(), Message()); err != nil {
		t.Fatal(err)
	}
	//nolint:staticcheck // whoever calls a sender directly may forget the context's deadline
	if err := sender.Send(context.WithoutCancel(t.Context()), Message()); err != nil {
		t.Fatal(err)
	}
	Challenge(t, sender, nil)
	if n := s.Requests.Load(); n != 3 {
		t.Errorf("%d requests for three messages", n)
	}
}

// try sends a message to who answers so, and expects an error with that reason.
func (r rig) try(t *testing.T, handler http.Handler, reason error) *senders.Error {
	t.Helper()
	s := Serve(t, handler)
	return r.tryAt(t, s.URL, s.Client(), reason)
}

func (r rig) tryAt(t *testing.T, url string, client *http.Client, reason error) *senders.Error {
	t.Helper()
	sender := r.newSender(url, client)
	e := Check(t, sender.Send(t.Context(), Message()), reason)
	Challenge(t, sender, reason)
	return e
}

// Check is for the error of a Send of Message: it must be a [*senders.Error] with that reason,
// tell by itself whether the message may be on its way, and have neither number nor code.
func Check(t *testing.T, err, reason error) *senders.Error {
	t.Helper()
	e, ok := errors.AsType[*senders.Error](err)
	if !ok {
		t.Fatalf("error %v, want a *senders.Error", err)
	}
	if !errors.Is(err, reason) || !errors.Is(e.Reason, reason) || e.Sender == "" {
		t.Errorf("error %q, want the reason %q", err, reason)
	}
	if unknown := errors.Is(reason, senders.ErrUnknown); handover.Unknown(err) != unknown {
		t.Errorf("error %q (%#v) leaves it open: %t, want %t", err, e.Cause, !unknown, unknown)
	}
	if e.Code == "" && e.Text == "" {
		t.Errorf("error %q tells the operator nothing", err)
	}
	for _, secret := range []string{Number[1:], Number[5:], Code} {
		if text := err.Error() + e.Code + e.Text; strings.Contains(text, secret) {
			t.Errorf("error %q has %q", text, secret)
		}
	}
	return e
}

// Challenge sends a code by a real service. reason is that of the error of Send, nil for none.
func Challenge(t *testing.T, sender mfa.SMSSender, reason error) {
	t.Helper()
	var kinds []mfa.EventKind
	svc, err := mfa.New(mfa.Config{
		SMS: sender, Regions: []string{"US"}, Logger: slog.New(slog.DiscardHandler),
		OnEvent: func(_ context.Context, e mfa.Event) { kinds = append(kinds, e.Kind) },
	})
	if err != nil {
		t.Fatal(err)
	}
	enr, err := svc.Enroll(t.Context(), mfa.EnrollParams{
		UserID: "user_ann", SMS: &mfa.SMSParams{PhoneNumber: Number},
	})
	if err != nil {
		t.Fatal(err)
	}
	kinds = nil
	ch, err := svc.Challenge(t.Context(), mfa.ChallengeParams{
		FactorID: enr.Factor.ID, UserID: "user_ann", Confirm: true,
	})
	want := mfa.EventMessageFailed
	switch {
	case reason == nil:
		want = mfa.EventMessageSent
	case errors.Is(reason, senders.ErrUnknown):
		want = mfa.EventMessageUnknown
	}
	if open := want != mfa.EventMessageFailed; open != (err == nil) || open != (ch.ID != "") {
		t.Fatalf("Challenge gives %q and %v, want an open challenge: %t", ch.ID, err, open)
	}
	if err != nil && (!errors.Is(err, mfa.ErrMessageNotSent) || !errors.Is(err, reason)) {
		t.Errorf("Challenge gives %v, want ErrMessageNotSent because of %v", err, reason)
	}
	var told []mfa.EventKind
	for _, kind := range kinds {
		switch kind {
		case mfa.EventMessageSent, mfa.EventMessageUnknown, mfa.EventMessageFailed:
			told = append(told, kind)
		}
	}
	if len(told) != 1 || told[0] != want {
		t.Errorf("events %v, want one %v", told, want)
	}
}
