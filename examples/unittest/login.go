// Package unittest is a login, password first, then the factor that the person chooses,
// and shows in its tests how an application tests one.
package unittest

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/authfactor/mfa"
)

// A User is the application's own row of a person.
type User struct {
	ID        string // which is not what was typed: "Ann" and "ann" may be one person here
	HasFactor bool   // see mfa.LoginParams.HasFactor
}

// A Login answers POST /password (user, password), POST /choose (factor) and then
// POST /code (code).
type Login struct {
	MFA      *mfa.Service
	Password func(user, password string) (User, bool) // the application's own check
	Now      func() time.Time

	mu       sync.Mutex
	pending  map[string]pending // by cookie: the password was right, a code is awaited
	sessions map[string]string  // by cookie: the user who is logged in
}

// What is pending stays on the server: a browser that could choose the user or the
// challenge could answer somebody else's. It ends: a cookie must not stand for the password
// for ever.
type pending struct {
	user, challengeID string
	until             time.Time // ten minutes after the password
}

// PasswordStep checks the password, and logs in who needs no code. All others are told
// their factors.
func (l *Login) PasswordStep(w http.ResponseWriter, r *http.Request) {
	user, ok := l.Password(r.PostFormValue("user"), r.PostFormValue("password"))
	if !ok {
		http.Error(w, "wrong user or password", http.StatusUnauthorized)
		return
	}
	login, err := l.MFA.StartLogin(r.Context(), mfa.LoginParams{UserID: user.ID, HasFactor: user.HasFactor})
	switch {
	case err != nil:
		refuse(w, err)
		return
	case login.SkipCode:
		l.set(w, "session", func(id string) { l.sessions[id] = user.ID })
		return
	}
	until := l.Now().Add(10 * time.Minute)
	l.set(w, "pending", func(id string) { l.pending[id] = pending{user.ID, "", until} })
	w.Header().Set("Content-Type", "text/plain; charset=utf-8") // names are the person's own text
	for _, f := range login.Factors {                           // best first, for the person to choose
		_, _ = fmt.Fprintln(w, f.ID, f.Type, f.Name)
	}
}

// ChooseStep challenges the factor that the person chose; for a number it sends a message.
func (l *Login) ChooseStep(w http.ResponseWriter, r *http.Request) {
	p, before, ok := l.asked(r)
	if !ok {
		http.Error(w, "password first", http.StatusUnauthorized)
		return
	}
	ch, err := l.MFA.Challenge(r.Context(), mfa.ChallengeParams{FactorID: r.PostFormValue("factor"), UserID: p.user})
	if err != nil {
		refuse(w, err)
		return
	}
	l.set(w, "pending", func(id string) {
		delete(l.pending, before)
		l.pending[id] = pending{p.user, ch.ID, p.until}
	})
}

// CodeStep verifies the code and logs the user in.
func (l *Login) CodeStep(w http.ResponseWriter, r *http.Request) {
	p, before, ok := l.asked(r)
	if !ok {
		http.Error(w, "password first", http.StatusUnauthorized)
		return
	}
	_, err := l.MFA.Verify(r.Context(), mfa.VerifyParams{ChallengeID: p.challengeID, UserID: p.user, Code: r.PostFormValue("code")})
	if err != nil {
		refuse(w, err)
		return
	}
	l.set(w, "session", func(id string) {
		delete(l.pending, before)
		l.sessions[id] = p.user
	})
}

// User is who is logged in, "" for nobody.
func (l *Login) User(r *http.Request) string {
	user, _, _ := get(l, r, "session", l.sessions)
	return user
}

// asked is who typed the password a moment ago, and the cookie that says so.
func (l *Login) asked(r *http.Request) (p pending, cookie string, ok bool) {
	p, cookie, ok = get(l, r, "pending", l.pending)
	return p, cookie, ok && l.Now().Before(p.until)
}

// refuse answers what package mfa refused.
func refuse(w http.ResponseWriter, err error) {
	e, ok := errors.AsType[*mfa.Error](err)
	switch {
	case !ok: // the database, the provider: not the person's business
		http.Error(w, "try again later", http.StatusInternalServerError)
	case errors.Is(err, mfa.ErrThrottled):
		w.Header().Set("Retry-After", strconv.Itoa(int(e.RetryAfter.Seconds())+1))
		http.Error(w, e.Message, http.StatusTooManyRequests)
	default:
		http.Error(w, e.Message, http.StatusUnauthorized)
	}
}

// set keeps something under a new random cookie.
func (l *Login) set(w http.ResponseWriter, name string, keep func(id string)) {
	id := rand.Text()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pending == nil {
		l.pending, l.sessions = make(map[string]pending), make(map[string]string)
	}
	keep(id)
	http.SetCookie(w, &http.Cookie{Name: name, Value: id, Path: "/", HttpOnly: true, Secure: true, SameSite: http.SameSiteLaxMode})
}

func get[T any](l *Login, r *http.Request, name string, kept map[string]T) (T, string, bool) {
	var none T
	cookie, err := r.Cookie(name)
	if err != nil {
		return none, "", false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	v, ok := kept[cookie.Value]
	return v, cookie.Value, ok
}
