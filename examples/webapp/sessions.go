package main

import (
	"encoding/gob"
	"errors"
	"net/http"
	"time"

	"github.com/alexedwards/scs/v2"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/proof"
)

// What a session holds. Without memberKey nobody is logged in, whatever else is there.
const (
	memberKey   = "member"   // the id of who is logged in: set by begin alone
	epochKey    = "epoch"    // of the password and the factors with which they logged in
	lostKey     = "lost"     // a lost, of who logged in with a recovery code
	questionKey = "question" // the code that is awaited
	noticeKey   = "notice"   // what the next page tells
	problemKey  = "problem"  // what was wrong with the form of the page before
)

func newSessions(db database, secure bool) *scs.SessionManager {
	gob.Register(question{})
	gob.Register(lost{})
	s := scs.New()
	s.Store = sessionTable{db}
	s.HashTokenInStore = true // who reads the database has no sessions
	s.Lifetime = 12 * time.Hour
	s.IdleTimeout = time.Hour
	s.Cookie = cookieFlags(secure)
	fail := s.ErrorFunc
	s.ErrorFunc = func(w http.ResponseWriter, r *http.Request, err error) {
		if !errors.Is(err, errEnded) { // then no cookie is set: the browser may have a newer one
			fail(w, r, err)
		}
	}
	return s
}

// cookieFlags: no script reads it, it comes from our own pages and from links to them and,
// over TLS, it is sent over nothing else, nor set by a neighbour of the same domain.
func cookieFlags(secure bool) scs.SessionCookie {
	return scs.SessionCookie{Name: cookieName("session", secure), Path: "/", HttpOnly: true, Secure: secure, SameSite: http.SameSiteLaxMode, Persist: true}
}

func cookieName(name string, secure bool) string {
	if secure {
		return "__Host-" + name
	}
	return name
}

// A lost is what a login by recovery code leaves: a receipt that adds one factor. The phone
// is likely to be lost, and so is what would have to approve the next one. Whoever has the
// session meanwhile can use it.
type lost struct {
	Receipt string
	Until   time.Time
}

// lost is that of the session, ok while it is good.
func (a *app) lost(r *http.Request) (l lost, ok bool) {
	l, ok = a.sessions.Get(r.Context(), lostKey).(lost)
	return l, ok && a.now().Before(l.Until)
}

// enter logs a user in, who may have a receipt for who lost their phone, of a code that was
// right at that time.
func (a *app) enter(w http.ResponseWriter, r *http.Request, u user, receipt string, at time.Time) error {
	if err := a.begin(r, u); err != nil {
		return err
	}
	if receipt != "" {
		a.sessions.Put(r.Context(), lostKey, lost{receipt, at.Add(proof.MaxAge - time.Second)}) // receipts are cut to seconds
	}
	return a.redirect(w, r, "/account", "")
}

// begin makes the session that of a member. Nothing else does.
func (a *app) begin(r *http.Request, u user) error {
	if err := a.renew(r); err != nil {
		return err
	}
	a.sessions.Put(r.Context(), memberKey, u.ID)
	a.sessions.Put(r.Context(), epochKey, u.Epoch)
	return nil
}

// keepFactors writes down which factors the user has. If that changes, this session goes
// on, and the others end.
func (a *app) keepFactors(r *http.Request, u user, factors []mfa.Factor, gone ...string) (user, error) {
	u, err := a.db.keepFactors(r.Context(), u, factors, gone...)
	if err == nil && a.sessions.GetString(r.Context(), memberKey) == u.ID {
		a.sessions.Put(r.Context(), epochKey, u.Epoch)
	}
	return u, err
}

// catchUp takes over what another request of the same session has asked meanwhile, and the
// receipt that it has spent.
func (a *app) catchUp(r *http.Request) error {
	values, err := sessionTable{a.db}.newest(r.Context())
	for _, key := range []string{questionKey, lostKey} {
		if value, ok := values[key]; ok {
			a.sessions.Put(r.Context(), key, value)
		} else if values != nil {
			a.sessions.Remove(r.Context(), key)
		}
	}
	return err
}

// renew empties the session and gives it a new id, so that nobody shares in it who knew, or
// chose, the one of before.
func (a *app) renew(r *http.Request) error {
	if err := a.sessions.Clear(r.Context()); err != nil {
		return err
	}
	return a.sessions.RenewToken(r.Context())
}

// whoIs is who is logged in.
func (a *app) whoIs(r *http.Request) (u user, ok bool, err error) {
	id := a.sessions.GetString(r.Context(), memberKey)
	if id == "" {
		return user{}, false, nil
	}
	u, ok, err = a.db.userBy(r.Context(), "id", id)
	return u, ok && u.Epoch == a.sessions.GetInt(r.Context(), epochKey), err
}
