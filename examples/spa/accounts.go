package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// A row is what the application has of a person.
type row struct {
	id, email, password string
	generation          string    // changes with the password
	hasFactor           bool      // has a second factor: kept here, and not only where those are
	factorFrom          time.Time // must have one from then on; the zero time is never
}

// demonstration are the accounts that are there at the start. An application of yours has hashes
// of its passwords: see examples/webapp/password.go, which also limits how many are tried.
func demonstration(now time.Time) []row {
	const password = "correct horse battery staple"
	return []row{
		{id: "user_1", email: "ann@example.com", password: password},
		{id: "user_2", email: "bob@example.com", password: password},
		{id: "user_3", email: "chief@example.com", password: password, factorFrom: now},
	}
}

// A session is that of a browser in which somebody is logged in.
type session struct {
	userID, generation string
	hasFactor          bool
	until              time.Time
}

const sessionAge = 12 * time.Hour

// login compares the password, and leaves the rest to the second factor.
func (a *app) login(w http.ResponseWriter, r *http.Request) {
	var typed struct{ Email, Password string }
	if !read(w, r, &typed) {
		return
	}
	u, ok := a.whoHas(typed.Email, typed.Password)
	if !ok {
		refuse(w, http.StatusUnauthorized, "wrong_password",
			"E-mail address or password are not right.")
		return
	}
	a.afterPassword(w, r, u)
}

// whoHas compares with each row, in a time that tells neither whether there is such an address
// nor how much of a password is right.
func (a *app) whoHas(email, password string) (found row, ok bool) {
	email = strings.ToLower(strings.TrimSpace(email))
	same := func(a, b string) int {
		x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
		return subtle.ConstantTimeCompare(x[:], y[:])
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, u := range a.rows {
		if same(u.email, email)&same(u.password, password) == 1 {
			found, ok = u, true
		}
	}
	return found, ok
}

// row is that of an id; the zero row if there is none.
func (a *app) row(id string) row {
	a.mu.Lock()
	defer a.mu.Unlock()
	i := slices.IndexFunc(a.rows, func(u row) bool { return u.id == id })
	if i < 0 {
		return row{}
	}
	return a.rows[i]
}

func (a *app) setHasFactor(_ context.Context, id string, has bool) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range a.rows {
		if a.rows[i].id == id {
			a.rows[i].hasFactor = has
		}
	}
	return nil
}

// A cookie that begins so is set over TLS alone, and by no neighbour of the same domain.
const sessionCookie = "__Host-session"

// session is that of the browser, with whose it is.
func (a *app) session(r *http.Request) (id string, u row, ok bool) {
	c, err := r.Cookie(sessionCookie)
	if err != nil {
		return "", row{}, false
	}
	a.mu.Lock()
	s := a.sessions[c.Value]
	a.mu.Unlock()
	u = a.row(s.userID)
	// One of before may be a thief's, who had the old password, or the password alone.
	same := u.generation == s.generation && u.hasFactor == s.hasFactor
	return c.Value, u, u.id != "" && same && a.now().Before(s.until)
}

// logIn makes a session of what the row was when the person was asked, with a new id. The one
// that the browser had ends.
func (a *app) logIn(
	w http.ResponseWriter, r *http.Request, userID, generation string, hasFactor bool,
) error {
	id := rand.Text()
	a.endSession(r)
	a.mu.Lock()
	defer a.mu.Unlock()
	maps.DeleteFunc(a.sessions, func(_ string, s session) bool { return !a.now().Before(s.until) })
	a.sessions[id] = session{userID, generation, hasFactor, a.now().Add(sessionAge)}
	setSession(w, id, int(sessionAge/time.Second))
	return nil
}

func (a *app) endSession(r *http.Request) {
	if c, err := r.Cookie(sessionCookie); err == nil {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.sessions, c.Value)
	}
}

func setSession(w http.ResponseWriter, id string, age int) {
	http.SetCookie(w, &http.Cookie{
		Name: sessionCookie, Value: id, Path: "/", MaxAge: age,
		HttpOnly: true, Secure: true, SameSite: http.SameSiteLaxMode,
	})
}

func (a *app) logout(w http.ResponseWriter, r *http.Request) {
	a.endSession(r)
	setSession(w, "", -1)
	answer(w, http.StatusOK, map[string]string{"status": "logged_out"})
}
