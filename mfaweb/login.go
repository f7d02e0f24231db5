package mfaweb

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/authfactor/mfa"
)

// Begin is the step after the password: call it where the session was made before. It answers
// with {"status": "logged_in"} if nothing more is needed, after Config.LogIn; with "question" and
// the factors to choose from, best first; or with "enroll" if the person must have a factor and
// has none. Give it the row that the password was compared with. An error is answered as well, and
// logged if it is not the person's: Begin leaves nothing to do.
func (h *Handler) Begin(w http.ResponseWriter, r *http.Request, u User) {
	r, err := h.arrived(r)
	var answer any
	if err == nil {
		answer, err = h.begin(&call{w: w, r: r, ctx: r.Context()}, u)
	}
	if err != nil {
		h.refuse(w, r, err)
		return
	}
	write(w, http.StatusOK, answer)
}

func (h *Handler) begin(c *call, u User) (any, error) {
	if u.ID == "" {
		return nil, errors.New("mfaweb: Begin must be given a User with an ID")
	}
	login, err := h.svc.StartLogin(c.ctx, mfa.LoginParams{
		UserID: u.ID, DeviceToken: h.cookie(c.r, deviceCookie), HasFactor: u.HasFactor,
	})
	if err != nil {
		return nil, err
	}
	h.setCookie(c.w, deviceCookie, login.DeviceToken(), deviceAge)
	h.setCookie(c.w, receiptCookie, "", 0)
	if !login.SkipCode {
		q, err := h.newQuestion(forLogin, u)
		if err != nil {
			return nil, err
		}
		if before, ok := h.question(c.r); ok {
			q.goesOn(before)
		}
		q.Login = true
		q.offers(login.Factors)
		told := map[string]any{"status": "question", "question": q.shown(login.Factors)}
		return told, h.keep(c.w, q)
	}
	must, err := h.mustEnroll(c.ctx, u)
	if err != nil {
		return nil, err
	}
	if must {
		q, err := h.newQuestion(forEnroll, u)
		if err != nil {
			return nil, err
		}
		q.Login = true
		told := map[string]any{"status": "enroll", "question": q.shown(nil)}
		return told, h.keep(c.w, q)
	}
	h.setCookie(c.w, questionCookie, "", 0)
	return loggedIn, h.cfg.LogIn(c.w, c.r, u, mfa.Verification{})
}

var loggedIn = map[string]any{"status": "logged_in"}

// must reports whether the person must have a factor.
func (h *Handler) must(u User) (bool, error) {
	if h.cfg.RequireFrom == nil {
		return false, nil
	}
	from := h.cfg.RequireFrom(u)
	if from.IsZero() {
		return false, nil
	}
	now, err := h.svc.Now()
	return !now.Before(from), err
}

// mustEnroll reports whether the person must have a factor, and has none: a trusted browser of
// one who has is let in.
func (h *Handler) mustEnroll(ctx context.Context, u User) (bool, error) {
	must, err := h.must(u)
	if err != nil || !must || u.HasFactor {
		return false, err
	}
	return h.storeHasNone(ctx, u.ID)
}

// storeHasNone reports whether no confirmed factor of a person is stored.
func (h *Handler) storeHasNone(ctx context.Context, userID string) (bool, error) {
	factors, err := h.svc.Factors(ctx, userID)
	if err != nil {
		return false, err
	}
	return !slices.ContainsFunc(factors, func(f mfa.Factor) bool {
		return f.Status != mfa.StatusUnverified
	}), nil
}

// verify answers the question.
func (h *Handler) verify(c *call) (any, error) {
	var id, code, device string
	var answer json.RawMessage
	var trust bool
	if err := c.body.Store(fields{
		"question": &id, "code": &code, "answer": &answer, "trust": &trust, "device_name": &device,
	}); err != nil {
		return nil, errBody(err)
	}
	q, u, err := h.asked(c, id)
	// The first confirmation ends the session (see Config.SetHasFactor), and the browser may not
	// have heard of the new one. All that it can do then is to have that answer repeated.
	repeats := errors.Is(err, errNoQuestion) && q.For == forConfirm && q.ID == id
	if repeats {
		u, err = h.wasConfirmed(c, q)
	}
	if err != nil {
		return nil, err
	}
	ch, ok := q.Open[q.FactorID]
	if !ok {
		return nil, errNotAsked
	}
	v, err := h.svc.Verify(c.ctx, mfa.VerifyParams{
		ChallengeID: ch.ChallengeID, UserID: u.ID, Code: code, Answer: answer, Action: q.action(),
		TrustDevice: trust && q.For == forLogin, DeviceName: device,
		DeviceToken:      h.cookie(c.r, deviceCookie),
		NewRecoveryCodes: q.For == forConfirm,
		IdempotencyKey:   q.key(code, answer),
	})
	if err != nil {
		return nil, h.failed(c, q, err)
	}
	if repeats && !v.FirstUse {
		return nil, errNoQuestion
	}
	if u, err = h.marked(c, q, u, v, repeats); err != nil {
		return nil, err
	}
	if token := v.Device.Token(); token != "" {
		h.setCookie(c.w, deviceCookie, token, deviceAge)
	}
	return h.answered(c, q, u, v)
}

// failed remembers that a challenge takes no more answers, so that the next one of its factor is
// new, and gives what is told.
func (h *Handler) failed(c *call, q question, err error) error {
	e, ok := errors.AsType[*mfa.Error](err)
	if o := q.Open[q.FactorID]; ok && e.AttemptsLeft == 0 && !o.UsedUp {
		o.UsedUp = true
		q.Open[q.FactorID] = o
		if err := h.keep(c.w, q); err != nil {
			return err
		}
	}
	return q.refusal(err)
}

// wasConfirmed is the person whose factor was confirmed already.
func (h *Handler) wasConfirmed(c *call, q question) (User, error) {
	f, err := h.svc.Factor(c.ctx, mfa.FactorParams{FactorID: q.FactorID, UserID: q.UserID})
	switch {
	case errors.Is(err, mfa.ErrNotFound), err == nil && f.Status != mfa.StatusVerified:
		return User{}, errNoQuestion
	case err != nil:
		return User{}, err
	}
	return h.row(c, q)
}

// marked is the person once their row says that there is a factor, which it does before anything
// is told. By then they have a session again.
func (h *Handler) marked(
	c *call, q question, u User, v mfa.Verification, ended bool,
) (User, error) {
	if u.HasFactor && !ended {
		return u, nil
	}
	u, err := h.cfg.User(c.ctx, q.UserID) // another request may have told it meanwhile
	if err == nil && u.ID == q.UserID && !u.HasFactor {
		if err := h.cfg.SetHasFactor(c.ctx, q.UserID, true); err != nil {
			return User{}, err
		}
		u, err = h.cfg.User(c.ctx, q.UserID)
	}
	switch {
	case err != nil:
		return User{}, err
	case u.ID != q.UserID: // the account is gone
		return User{}, errNoQuestion
	case q.Login: // see answered
		return u, nil
	}
	return u, h.cfg.LogIn(c.w, c.r, u, v) // SetHasFactor ended the session
}

// answered tells what a right answer led to.
func (h *Handler) answered(c *call, q question, u User, v mfa.Verification) (any, error) {
	told := map[string]any{"status": "confirmed", "factor": v.Factor}
	if v.RecoveryCodes != nil {
		told["recovery_codes"] = v.RecoveryCodes.Codes()
	}
	if q.For == forApprove {
		told = map[string]any{"status": "approved", "receipt": v.Receipt()}
	}
	if q.Login {
		told["status"] = "logged_in"
		if receipt := v.Receipt(); receipt != "" {
			if err := h.keepReceipt(c.w, u, receipt); err != nil {
				return nil, err
			}
			told["lost"] = true
		}
		if err := h.cfg.LogIn(c.w, c.r, u, v); err != nil {
			return nil, err
		}
	}
	h.setCookie(c.w, questionCookie, "", 0)
	return told, nil
}

const receiptPurpose = "mfaweb receipt"

// keepReceipt keeps the receipt of a login by recovery code for the one factor that it adds.
func (h *Handler) keepReceipt(w http.ResponseWriter, u User, receipt string) error {
	token, err := h.svc.SealToken(receiptPurpose+" "+u.ID, []byte(receipt), 5*time.Minute)
	if err == nil {
		h.setCookie(w, receiptCookie, token, 5*time.Minute)
	}
	return err
}

// receipt is what a request brings to change the person's factors: the one that was earned for
// it, or that of a login by recovery code, which adds a factor and takes none away.
func (h *Handler) receipt(c *call, u User, adds bool) string {
	if text := c.r.Header.Get(ReceiptHeader); text != "" || !adds {
		return text
	}
	return h.keptReceipt(c, u)
}

// keptReceipt is that of a login by recovery code, "" for none.
func (h *Handler) keptReceipt(c *call, u User) string {
	text, _ := h.svc.OpenToken(receiptPurpose+" "+u.ID, h.cookie(c.r, receiptCookie))
	return string(text)
}

// label is what apps show of a person.
func label(u User) string {
	text := []rune(strings.ReplaceAll(u.Label, ":", "-"))
	return string(text[:min(len(text), maxLabel)])
}

const maxLabel = 64 // characters

// errNoLabel is the application's mistake, and so no Error.
var errNoLabel = errors.New("mfaweb: User.Label is required to enroll")
