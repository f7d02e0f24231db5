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
	"slices"
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
func Serve(tb testing.TB, handler http.Handler) *Server {
	tb.Helper()
	s := new(Server)
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.Requests.Add(1)
		handler.ServeHTTP(w, r)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes are to fail
	s.Config.ConnState = countNew(&s.Connections)
	s.StartTLS()
	tb.Cleanup(s.Close)
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
	Challenge(t, sender, nil)
	if n := s.Requests.Load(); n != 2 {
		t.Errorf("%d requests for two messages", n)
	}
}

// try sends a message to who answers so, and expects an error with that reason, for which all of
// more hold.
func (r rig) try(t *testing.T, handler http.Handler, reason error, more ...check) {
	t.Helper()
	s := Serve(t, handler)
	r.tryAt(t, s.URL, s.Client(), reason, more...)
}

// A check fails the test if an error is not as it must be.
type check func(t *testing.T, e *senders.Error)

func (r rig) tryAt(
	t *testing.T, url string, client *http.Client, reason error, more ...check,
) {
	t.Helper()
	sender := r.newSender(url, client)
	err := sender.Send(t.Context(), Message())
	Check(t, err, reason)
	for _, holds := range more {
		holds(t, As(t, err))
	}
	Challenge(t, sender, reason)
}

// As is the [*senders.Error] that a sender's error is.
func As(t *testing.T, err error) *senders.Error {
	t.Helper()
	e, ok := errors.AsType[*senders.Error](err)
	if !ok {
		t.Fatalf("error %v, want a *senders.Error", err)
	}
	return e
}

// Check is for the error of a Send of Message: it must be a [*senders.Error] with that reason,
// tell by itself whether the message may be on its way, and have neither number nor code.
func Check(t *testing.T, err, reason error) {
	t.Helper()
	e := As(t, err)
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
	if !slices.Equal(kinds, []mfa.EventKind{want}) {
		t.Errorf("events %v, want one %v", kinds, want)
	}
}
