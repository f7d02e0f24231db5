package main

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/proof"
)

// What a code is asked for.
const (
	forLogin   = "login"
	forConfirm = "confirm" // a factor that was enrolled
	forApprove = "approve" // a request, which is made again with a receipt
)

// A question is a code that is awaited, and what for. It is kept in the session and not in
// the form: a browser that could choose the user or the challenge could answer somebody
// else's.
type question struct {
	For         string
	What        string // in words
	UserID      string
	Epoch       int // of the password
	FactorID    string
	FactorType  string
	ChallengeID string // "" while none could be made
	Replaces    string // what goes when the factor is confirmed

	Action     proof.Action // what the code is a proof of
	Path, Form string       // the request to be approved
}

// ask challenges a factor and goes to the page for the code.
func (a *app) ask(w http.ResponseWriter, r *http.Request, q question, f mfa.Factor) error {
	q.FactorID, q.FactorType, q.ChallengeID = f.ID, f.Type, ""
	return a.goOn(w, r, &q, a.challenge(r, &q))
}

// goOn keeps the question and shows its page, with what err says.
func (a *app) goOn(w http.ResponseWriter, r *http.Request, q *question, err error) error {
	problem, err := plain(err)
	if err != nil {
		return err
	}
	a.sessions.Put(r.Context(), questionKey, *q)
	a.sessions.Put(r.Context(), problemKey, problem)
	return a.redirect(w, r, "/code", "")
}

func (a *app) challenge(r *http.Request, q *question) error {
	ch, err := a.mfa.Challenge(r.Context(), mfa.ChallengeParams{
		FactorID: q.FactorID, UserID: q.UserID, Confirm: q.For == forConfirm, Action: q.Action, Device: a.device(r),
		SMSTemplate: "Webapp: {{code}} is your code to " + q.What + ".",
	})
	switch {
	case err == nil:
		q.ChallengeID = ch.ID
	case errors.Is(err, mfa.ErrMessageNotSent):
		// The provider's own words quote the number, so they are not for the log.
		a.log.ErrorContext(r.Context(), "the provider failed", "error", err)
	}
	return err
}

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
	return a.ask(w, r, question{For: forApprove, What: what, UserID: u.ID, Epoch: u.Epoch, Action: action, Path: r.URL.Path, Form: r.PostForm.Encode()}, factors[0])
}

// answering is a page for who is asked for a code: after the password, or logged in. A
// password that was set meanwhile ends either.
func (a *app) answering(handle func(http.ResponseWriter, *http.Request, user, question) error) http.Handler {
	return a.page(func(w http.ResponseWriter, r *http.Request) error {
		q, ok := a.sessions.Get(r.Context(), questionKey).(question)
		if !ok || q.For != forLogin && q.UserID != a.sessions.GetString(r.Context(), memberKey) {
			return a.redirect(w, r, "/", "")
		}
		u, ok, err := a.db.userBy(r.Context(), "id", q.UserID)
		if err != nil {
			return err
		}
		if !ok || u.Epoch != q.Epoch {
			return a.redirect(w, r, "/login", "Your password was changed. Please log in again.")
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
			return a.redirect(w, r, "/account", "That took too long. Please begin again.")
		}
		factors = []mfa.Factor{f}
	}
	data := struct {
		question
		Factor mfa.Factor
		Others []mfa.Factor
	}{question: q}
	for _, f := range factors {
		if f.ID == q.FactorID {
			data.Factor = f
		} else {
			data.Others = append(data.Others, f)
		}
	}
	return a.render(w, r, http.StatusOK, "code.html", view{Title: "Type your code", Data: data})
}

// sendCode sends another message.
func (a *app) sendCode(w http.ResponseWriter, r *http.Request, _ user, q question) error {
	err := a.challenge(r, &q)
	if err == nil {
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
	if err != nil {
		return a.goOn(w, r, &q, err)
	}
	a.sessions.Remove(r.Context(), questionKey)
	if token := v.Device.Token(); token != "" {
		a.setDevice(w, token)
	}
	if err := a.sessions.RenewToken(r.Context()); err != nil { // it is worth more than before
		return err
	}
	factors, err := a.mfa.Factors(r.Context(), u.ID)
	if err == nil && (q.For == forLogin || v.FirstUse) {
		err = a.db.keepFactors(r.Context(), u.ID, factors, q.Replaces)
	}
	switch {
	case err != nil:
		return err
	case q.For == forLogin:
		return a.enter(w, r, u) // if the password was set just now, not for long
	case q.For == forConfirm:
		return a.confirmed(w, r, q, v)
	}
	form, err := url.ParseQuery(q.Form)
	if err != nil {
		return err
	}
	// The receipt goes to the request that it is for, and neither to the browser nor to the
	// session.
	again := r.Clone(context.WithValue(r.Context(), receiptKey{}, v.Receipt()))
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

// verify makes a new challenge when an app's or a list's was used up or is too old, since
// their codes do not hang on it. A message's does.
func (a *app) verify(r *http.Request, q *question) (mfa.Verification, error) {
	var v mfa.Verification
	err := mfa.ErrChallengeExpired
	for range 2 {
		if q.ChallengeID != "" {
			p := mfa.VerifyParams{ChallengeID: q.ChallengeID, UserID: q.UserID, Code: r.PostFormValue("code"), Action: q.Action, Device: a.device(r)}
			if q.For == forLogin && r.PostFormValue("trust") != "" {
				p.TrustDevice = browser(r.UserAgent())
			}
			v, err = a.mfa.Verify(r.Context(), p)
		}
		if q.FactorType == mfa.TypeSMS || !errors.Is(err, mfa.ErrChallengeExpired) && !errors.Is(err, mfa.ErrTooManyAttempts) {
			break
		}
		if err := a.challenge(r, q); err != nil {
			return v, err
		}
	}
	return v, err
}

// deviceAge is how long package mfa knows a device.
const deviceAge = 90 * 24 * time.Hour

// trusted says whether this browser is not to be asked for a code. Any error means that it
// is.
func (a *app) trusted(w http.ResponseWriter, r *http.Request, u user) bool {
	d, err := a.mfa.UseDevice(r.Context(), mfa.DeviceParams{UserID: u.ID, Token: a.device(r)})
	if err == nil {
		a.setDevice(w, d.Token()) // each is good for one login
	}
	return err == nil
}

func (a *app) device(r *http.Request) string {
	if c, err := r.Cookie(cookieName("device", a.secure())); err == nil {
		return c.Value
	}
	return ""
}

func (a *app) setDevice(w http.ResponseWriter, token string) {
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // Secure is false on loopback alone: see check
		Name: cookieName("device", a.secure()), Value: token, Path: "/", MaxAge: int(deviceAge / time.Second),
		HttpOnly: true, Secure: a.secure(), SameSite: http.SameSiteStrictMode,
	})
}
