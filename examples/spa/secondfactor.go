package main

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/mfaweb"
	"github.com/authfactor/mfa/passkey"
	"github.com/authfactor/mfa/proof"
)

// addSecondFactor is all that the second factor takes: the routes below /mfa/, the step after the
// password, and a fresh second factor before a payment. For production: the Store and the Keys of
// README.md, and the domain of your pages as RPID.
func (a *app) addSecondFactor(mux *http.ServeMux) error {
	keys, noKeys := passkey.New(passkey.Config{RPID: host, RPName: name, Origins: []string{a.url}})
	svc, noService := mfa.New(mfa.Config{
		Store: new(mfa.MemoryStore), Methods: []mfa.Method{keys}, Now: a.now, OnEvent: a.tell,
		SMS: sender(a.send), Regions: []string{"US"}, DefaultRegion: "US",
	})
	web, noWeb := mfaweb.New(mfaweb.Config{
		Service: svc, Issuer: name, SetHasFactor: a.setHasFactor,
		// By the last line, phones and browsers fill the code in on this site alone.
		SMSTemplate: "Your " + name + " code is {{code}}.\n\n@" + host + " #{{code}}",
		User:        func(_ context.Context, id string) (mfaweb.User, error) { return userOf(a.row(id)), nil },
		Session: func(r *http.Request) (mfaweb.Session, bool, error) {
			id, u, ok := a.session(r)
			return mfaweb.Session{User: userOf(u), ID: id}, ok, nil
		},
		LogIn: func(w http.ResponseWriter, r *http.Request, u mfaweb.User, _ mfa.Verification) error {
			return a.logIn(w, r, u.ID, u.Generation, u.HasFactor)
		},
		RequireFrom: func(u mfaweb.User) time.Time { return a.row(u.ID).factorFrom },
	})
	if err := errors.Join(noKeys, noService, noWeb); err != nil {
		return err
	}
	mux.Handle("/mfa/", http.StripPrefix("/mfa", web))
	a.afterPassword = func(w http.ResponseWriter, r *http.Request, u row) { web.Begin(w, r, userOf(u)) }
	action := func(r *http.Request) (proof.Action, error) {
		return proof.ActionOf("pay", paymentOf(r).fields()...), nil
	}
	mux.Handle("POST /pay", readPayment(web.StepUp(mfaweb.StepUp{Action: action}, a.paying())))
	return nil
}

// userOf is what mfaweb has to know of a row.
func userOf(u row) mfaweb.User {
	return mfaweb.User{ID: u.id, Label: u.email, Generation: u.generation, HasFactor: u.hasFactor}
}

// tell writes to people what happened to their second factor: if it was not them, this is how
// they learn of it.
func (a *app) tell(_ context.Context, e mfa.Event) {
	if n, ok := mfaweb.NoticeOf(e); ok {
		_ = a.send(a.row(e.UserID).email, n.Subject+". "+n.Text)
	}
}

// A sender is your provider of text messages.
type sender func(to, text string) error

// Send implements mfa.SMSSender.
func (s sender) Send(_ context.Context, m mfa.Message) error { return s(m.To, m.Body) }
