package main

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/passkey"
	"github.com/authfactor/mfa/proof"
)

// approve asks for a fresh second factor, and then makes the request again, with its
// receipt.
func (a *app) approve(w http.ResponseWriter, r *http.Request, u user, action proof.Action, what string) error {
	factors, _, err := a.secondFactors(r, u)
	if err != nil {
		return err
	}
	if len(factors) == 0 {
		return a.showLost(w, r)
	}
	r.PostForm.Del("password") // a session is no place for one
	q := question{For: forApprove, What: what, UserID: u.ID, Epoch: u.Epoch, Action: action, Path: r.URL.Path, Form: r.PostForm.Encode()}
	if before, ok := a.asked(r); ok {
		q.goesOn(before)
	}
	return a.ask(w, r, q, factors[0])
}

const stale = "That page was out of date, so nothing was done. "

// answering is a page for who is asked for a code: after the password, or logged in. A
// password that was set meanwhile ends either. A form is to be of the question that waits,
// or of one that the same browser has just answered.
func (a *app) answering(handle func(http.ResponseWriter, *http.Request, user, question) error) http.Handler {
	return a.page(func(w http.ResponseWriter, r *http.Request) error {
		q, ok := a.asked(r)
		ok = ok && (q.For == forLogin || q.UserID == a.sessions.GetString(r.Context(), memberKey))
		if r.Method == http.MethodPost && r.URL.Path == "/code" {
			id := a.answerID(r, r.PostFormValue("question")) // reads the form before the turn
			defer a.codes.take(id)()
			before, answered, err := a.db.answered(r.Context(), id, a.now())
			if err != nil {
				return err
			}
			if answered {
				q, ok = before, true
			}
		}
		if r.Method == http.MethodPost && (!ok || q.ID != r.PostFormValue("question")) {
			switch {
			case ok:
				a.sessions.Put(r.Context(), problemKey, stale+"This is what we ask now:")
				return a.redirect(w, r, "/code", "")
			case a.sessions.Token(r.Context()) != "": // or strangers make sessions
				return a.redirect(w, r, "/", stale)
			}
		}
		if !ok {
			return a.redirect(w, r, "/", "")
		}
		u, ok, err := a.db.userBy(r.Context(), "id", q.UserID)
		if err != nil {
			return err
		}
		if !ok || u.Epoch != q.Epoch {
			return a.redirect(w, r, "/login", "Your password was changed, or your second factor. Please log in again.")
		}
		return handle(w, r, u, q)
	})
}

func (a *app) showCode(w http.ResponseWriter, r *http.Request, u user, q question) error {
	factors, _, err := a.secondFactors(r, u)
	if err != nil {
		return err
	}
	if q.For == forConfirm {
		f, err := a.mfa.Factor(r.Context(), mfa.FactorParams{FactorID: q.FactorID, UserID: u.ID})
		if err != nil {
			a.sessions.Remove(r.Context(), questionKey)
			return a.redirect(w, r, "/account", "That took too long. Please begin again.")
		}
		factors = []mfa.Factor{f}
	}
	data := struct {
		question
		picture
		Factor  mfa.Factor
		Others  []mfa.Factor
		Sent    bool   // a message whose code is good
		Options string // for a passkey
	}{question: q, Others: others(factors, q), Sent: q.challengeID(a.now()) != "", Options: q.options(a)}
	for _, f := range factors {
		if f.ID == q.FactorID {
			data.Factor = f
		}
	}
	if q.FactorType == passkey.Type {
		title := "Use a passkey"
		if q.For == forConfirm {
			title = "Make a passkey"
		}
		return a.render(w, r, http.StatusOK, "passkey.html", view{Title: title, Data: data})
	}
	var shown bool
	if data.picture, shown = a.picture(r, q); shown {
		return a.render(w, r, http.StatusOK, "scan.html", view{Title: "Scan this code", Data: data})
	}
	return a.render(w, r, http.StatusOK, "code.html", view{Title: "Type your code", Data: data})
}

// sendCode sends another message, or asks for a passkey anew.
func (a *app) sendCode(w http.ResponseWriter, r *http.Request, _ user, q question) error {
	if q.FactorType != mfa.TypeSMS && q.FactorType != passkey.Type {
		return a.redirect(w, r, "/code", "")
	}
	if q.options(a) != "" { // or who has the password alone makes records without end
		return a.redirect(w, r, "/code", "")
	}
	err := a.challenge(r, &q)
	if err == nil && q.FactorType == mfa.TypeSMS {
		a.sessions.Put(r.Context(), noticeKey, "A new message is on its way. Codes of earlier ones are not good any more.")
	}
	return a.goOn(w, r, &q, err)
}

// otherFactor asks for the code of another of the user's factors.
func (a *app) otherFactor(w http.ResponseWriter, r *http.Request, u user, q question) error {
	factors, _, err := a.secondFactors(r, u)
	i := slices.IndexFunc(factors, func(f mfa.Factor) bool { return f.ID == r.PostFormValue("factor") })
	switch {
	case err != nil:
		return err
	case i < 0 || q.For == forConfirm:
		return a.redirect(w, r, "/code", "")
	}
	return a.ask(w, r, q, factors[i])
}

// code looks at what was typed.
func (a *app) code(w http.ResponseWriter, r *http.Request, u user, q question) error {
	v, err := a.verify(r, &q)
	key := keyID(a.key(r, &q))
	switch {
	case q.Answered && q.For != forLogin && errors.Is(err, mfa.ErrNotFound) && q.Key == key: // its factor is what was taken away
		return a.twice(w, r, u, q, mfa.Verification{})
	case err != nil && q.Answered: // by another code, or too long ago
		if err := a.db.forgetAnswer(r.Context(), a.answerID(r, q.ID)); err != nil {
			return err
		}
		return a.over(w, r, "That code was used before. Please log in again.")
	case err != nil:
		return a.goOn(w, r, &q, err)
	}
	if token := v.Device.Token(); token != "" {
		a.setDevice(w, r, token)
	}
	if q.For == forLogin || v.FirstUse {
		factors, err := a.mfa.Factors(r.Context(), u.ID)
		if err != nil {
			return err
		}
		if u, err = a.keepFactors(r, u, factors, q.Replaces); err != nil {
			return err
		}
	}
	q.Epoch, q.Key = u.Epoch, key
	if !q.Answered {
		q.At, q.Recovery = a.now(), v.RecoveryCodes != nil || q.Path == "/account/recovery"
	}
	id := a.answerID(r, q.ID)
	first, err := a.db.answer(r.Context(), id, q, a.now().Add(answerAge))
	switch {
	case err != nil:
		return err
	case !first && !q.Answered: // forgotten: see forgetAnswers
		return a.over(w, r, "You are logged out.")
	case q.For == forLogin:
		return a.enter(w, r, u, v.Receipt(), q.At) // if the password was set just now, not for long
	case q.Answered:
		return a.twice(w, r, u, q, v)
	}
	a.sessions.Remove(r.Context(), questionKey)
	if err := a.sessions.RenewToken(r.Context()); err != nil { // it is worth more than before
		return err
	}
	if loadedBy(r.Context()).ended {
		return a.over(w, r, "You are logged out.")
	}
	if q.For == forConfirm {
		err = a.confirmed(w, r, v)
	} else {
		err = a.again(w, r, q, v.Receipt())
	}
	return errors.Join(err, a.db.keepEpoch(r.Context(), id, a.sessions.GetInt(r.Context(), epochKey)))
}

// over ends the session.
func (a *app) over(w http.ResponseWriter, r *http.Request, why string) error {
	if err := a.renew(r); err != nil {
		return err
	}
	return a.redirect(w, r, "/login", why)
}

// twice logs in who submitted the same code again. The browser may not have heard of the
// session that the first one made, nor have the page with the recovery codes of the first
// factor, which is shown again.
func (a *app) twice(w http.ResponseWriter, r *http.Request, u user, q question, v mfa.Verification) error {
	if err := a.begin(r, u); err != nil {
		return err
	}
	if v.RecoveryCodes != nil {
		return a.showRecovery(w, r, v.RecoveryCodes)
	}
	notice := "That was sent twice, and was done once. If you do not see it here, please do it again."
	if q.Recovery {
		notice = "That was sent twice, and was done once. New recovery codes were made a moment ago, and those of before do not work any more. If you did not see the new ones, make new ones again."
	}
	return a.redirect(w, r, "/account", notice)
}

// again makes the request that was approved. The receipt goes to it, and neither to the
// browser nor to the session.
func (a *app) again(w http.ResponseWriter, r *http.Request, q question, receipt string) error {
	form, err := url.ParseQuery(q.Form)
	if err != nil {
		return err
	}
	again := r.Clone(context.WithValue(r.Context(), receiptKey{}, receipt))
	again.URL, again.Form, again.PostForm = &url.URL{Path: q.Path}, form, form
	a.routes.ServeHTTP(w, again)
	return nil
}

type receiptKey struct{}

// receipt is that of a request that was approved, "" otherwise.
func receipt(r *http.Request) string {
	text, _ := r.Context().Value(receiptKey{}).(string)
	return text
}

// deviceAge is how long package mfa knows a device.
const deviceAge = 90 * 24 * time.Hour

func (a *app) device(r *http.Request) string {
	if c, err := r.Cookie(cookieName("device", a.secure())); err == nil {
		return c.Value
	}
	return ""
}

// setDevice sets the cookie of a device. Without a token it deletes the one that is there.
func (a *app) setDevice(w http.ResponseWriter, r *http.Request, token string) {
	age := int(deviceAge / time.Second)
	switch {
	case token == "" && a.device(r) == "":
		return
	case token == "":
		age = -1
	}
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // Secure is false on loopback alone: see check
		Name: cookieName("device", a.secure()), Value: token, Path: "/", MaxAge: age,
		HttpOnly: true, Secure: a.secure(), SameSite: http.SameSiteStrictMode,
	})
}
