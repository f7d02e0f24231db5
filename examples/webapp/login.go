package main

import (
	"errors"
	"net/http"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/authfactor/mfa"
)

// A password of its own is to be this long (NIST SP 800-63B-4 section 3.1.1.2); and nobody
// types more than the most.
const (
	minPassword = 15 // characters
	maxPassword = 1024
	linkAge     = time.Hour
)

func (a *app) showHome(w http.ResponseWriter, r *http.Request) error {
	to := "/login"
	if a.sessions.Exists(r.Context(), memberKey) {
		to = "/account"
	}
	return a.redirect(w, r, to, "")
}

// showStart is the page to sign up and, with other words, for who forgot the password.
func (a *app) showStart(w http.ResponseWriter, r *http.Request) error {
	title := "Sign up"
	if r.URL.Path == "/forgot" {
		title = "Set a new password"
	}
	return a.render(w, r, http.StatusOK, "start.html", view{Title: title})
}

// start mails a link to set a password. Whoever asks gets the same answer, after the same
// work, whether or not there is a user with this address.
func (a *app) start(w http.ResponseWriter, r *http.Request) error {
	email := cleanEmail(r.PostFormValue("email"))
	if email == "" {
		return a.render(w, r, http.StatusUnprocessableEntity, "start.html", view{Title: "Sign up", Problem: "This is not an e-mail address."})
	}
	if d := a.tries.wait(address(r), "mail "+email, perMailbox); d > 0 { // or anybody's mailbox could be filled
		return a.render(w, r, http.StatusTooManyRequests, "start.html", view{Title: "Sign up", Problem: "That is possible again in " + wait(d) + "."})
	}
	if err := a.mailLink(r, link{Email: email}, "Choose your password here, within an hour. If you did not ask for this, nothing happens."); err != nil {
		return err
	}
	return a.render(w, r, http.StatusOK, "sent.html", view{Title: "Look into your mail"})
}

func (a *app) mailLink(r *http.Request, l link, text string) error {
	token, err := a.db.newLink(r.Context(), l, a.now().Add(linkAge))
	if err != nil {
		return err
	}
	return a.post.mail(l.Email, text, "/link/"+token)
}

// showLink changes nothing: programs that look at mails follow links.
func (a *app) showLink(w http.ResponseWriter, r *http.Request) error {
	return a.linkPage(w, r, http.StatusOK, "")
}

func (a *app) linkPage(w http.ResponseWriter, r *http.Request, status int, problem string) error {
	l, ok, err := a.db.link(r.Context(), r.PathValue("token"), a.now())
	switch {
	case err != nil:
		return err
	case !ok:
		return a.render(w, r, http.StatusNotFound, "start.html", view{Title: "Set a new password", Problem: "This link was used or is too old."})
	case l.UserID != "":
		return a.render(w, r, status, "newemail.html", view{Title: "Your new e-mail address", Data: l})
	}
	return a.render(w, r, status, "password.html", view{Title: "Choose a password", Problem: problem, Data: l})
}

// followLink sets the password, or the address. It logs nobody in: who controls the mailbox
// has no second factor yet.
func (a *app) followLink(w http.ResponseWriter, r *http.Request) error {
	token, password := r.PathValue("token"), r.PostFormValue("password")
	l, ok, err := a.db.link(r.Context(), token, a.now())
	switch n := utf8.RuneCountInString(password); {
	case err != nil:
		return err
	case ok && l.UserID != "":
		return a.takeEmail(w, r, l)
	case ok && (n < minPassword || len(password) > maxPassword):
		return a.linkPage(w, r, http.StatusUnprocessableEntity, "At least 15 characters: four or five words, for example.")
	}
	used, err := a.db.useLink(r.Context(), token)
	if err != nil {
		return err
	}
	if !ok || !used {
		return a.linkPage(w, r, http.StatusNotFound, "")
	}
	id, err := a.db.setPassword(r.Context(), l.Email, hashPassword(password))
	if err != nil {
		return err
	}
	// Somebody else may have trusted a browser with the password of before.
	if err := a.mfa.RevokeDevices(r.Context(), id); err != nil {
		return err
	}
	return a.redirect(w, r, "/login", "Your password is set. Now log in.")
}

func (a *app) showLogin(w http.ResponseWriter, r *http.Request) error {
	return a.render(w, r, http.StatusOK, "login.html", view{Title: "Log in", Data: ""})
}

// login looks at the password. That is no session yet, unless the user has no second
// factor.
func (a *app) login(w http.ResponseWriter, r *http.Request) error {
	typed, password := r.PostFormValue("email"), r.PostFormValue("password")
	email := cleanEmail(typed)
	if d := a.tries.wait(address(r), "login "+email, perAccount); d > 0 {
		return a.render(w, r, http.StatusTooManyRequests, "login.html", view{Title: "Log in", Problem: "Too many tries. The next is possible in " + wait(d) + ".", Data: typed})
	}
	u, ok, err := a.db.userBy(r.Context(), "email", email)
	if err != nil {
		return err
	}
	hash := u.Password
	if !ok {
		hash = dummyHash
	}
	// Compared first, so that both answers take the same time.
	if !samePassword(hash, password) || !ok {
		return a.render(w, r, http.StatusUnauthorized, "login.html", view{Title: "Log in", Problem: "E-mail address or password are not right.", Data: typed})
	}
	a.tries.right(address(r), "login "+email)
	return a.afterPassword(w, r, u)
}

func (a *app) afterPassword(w http.ResponseWriter, r *http.Request, u user) error {
	// The user's own row says that there is a second factor: if the factors are lost,
	// nobody gets in without them.
	login, err := a.mfa.StartLogin(r.Context(), mfa.LoginParams{UserID: u.ID, DeviceToken: a.device(r), HasFactor: len(u.Factors) > 0})
	switch {
	case errors.Is(err, mfa.ErrNoUsableFactor):
		return a.render(w, r, http.StatusForbidden, "locked.html", view{Title: "Your second factor is locked"})
	case errors.Is(err, mfa.ErrIntegrity):
		a.log.ErrorContext(r.Context(), "the second factor of a user is missing or was changed", "user", u.ID, "error", err)
		return a.showLost(w, r)
	case err != nil:
		return err
	}
	a.setDevice(w, r, login.DeviceToken())
	if login.SkipCode {
		return a.enter(w, r, u, "", a.now())
	}
	q := question{For: forLogin, UserID: u.ID, Epoch: u.Epoch, What: "log in"}
	if before, ok := a.asked(r); ok {
		q.goesOn(before)
	}
	if err := a.renew(r); err != nil {
		return err
	}
	return a.ask(w, r, q, login.Factors[0].Factor)
}

// showLost is for who needs a second factor and has none that answers.
func (a *app) showLost(w http.ResponseWriter, r *http.Request) error {
	return a.render(w, r, http.StatusForbidden, "lost.html", view{Title: "Your second factor is missing"})
}

// secondFactors are those that can answer for a user who is logged in already, the best
// first, and whether one of them has to.
func (a *app) secondFactors(r *http.Request, u user) (factors []mfa.Factor, needed bool, err error) {
	factors, err = a.mfa.Factors(r.Context(), u.ID)
	factors = slices.DeleteFunc(factors, func(f mfa.Factor) bool { return f.Status == mfa.StatusUnverified })
	// The user's own row says it too: if the factors are lost, nobody gets in without them.
	// A disabled factor counts, or thirty wrong codes would be a way in.
	needed = len(factors) > 0 || len(u.Factors) > 0
	factors = slices.DeleteFunc(factors, func(f mfa.Factor) bool { return f.Type == mfa.TypeRecoveryCodes && f.RecoveryCodesLeft == 0 })
	rank := func(f mfa.Factor) int {
		switch {
		case f.Status == mfa.StatusDisabled:
			return 4
		case f.Type == mfa.TypeRecoveryCodes:
			return 3
		case f.Restricted():
			return 2
		case f.PhishingResistant():
			return 0
		}
		return 1
	}
	slices.SortStableFunc(factors, func(f, g mfa.Factor) int { return rank(f) - rank(g) })
	return factors, needed, err
}

// logout also makes the cookie worthless.
func (a *app) logout(w http.ResponseWriter, r *http.Request, u user) error {
	if err := a.db.forgetAnswers(r.Context(), u.ID); err != nil {
		return err
	}
	if err := a.sessions.Destroy(r.Context()); err != nil {
		return err
	}
	return a.redirect(w, r, "/login", "You are logged out.")
}
