package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"html/template"
	"net/http"
	"slices"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/proof"
)

// An enrollment is the form that begins one.
type enrollment struct{ Path, Name, Phone, Replaces string }

// showEnroll asks for the name and, of a phone, for the number.
func (a *app) showEnroll(w http.ResponseWriter, r *http.Request, _ user) error {
	return a.enrollForm(w, r, nil)
}

func (a *app) enrollForm(w http.ResponseWriter, r *http.Request, err error) error {
	problem, err := plain(err)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if problem != "" {
		status = http.StatusUnprocessableEntity
	}
	data := enrollment{r.URL.Path, r.FormValue("name"), r.FormValue("phone"), r.FormValue("replaces")}
	v := view{Title: "Add a passkey", Problem: problem, Data: data}
	switch data.Path {
	case "/account/app":
		v.Title = "Add an authenticator app"
	case "/account/phone":
		v.Title = "Add a phone number"
	}
	return a.render(w, r, status, "enroll.html", v)
}

// unlessLost is for a member whose factors are still there. Without them nobody asks for a
// proof, and whoever has the session could enroll a factor of their own. Two clicks go one
// after the other, and the second sees what the first one left in the session.
func (a *app) unlessLost(handle func(http.ResponseWriter, *http.Request, user) error) func(http.ResponseWriter, *http.Request, user) error {
	return func(w http.ResponseWriter, r *http.Request, u user) error {
		_ = r.PostFormValue("name") // reads the form before the turn
		defer a.enrolls.take([]byte(a.sessions.Token(r.Context())))()
		if err := a.catchUp(r); err != nil {
			return err
		}
		factors, needed, err := a.secondFactors(r, u)
		switch {
		case err != nil:
			return err
		case needed && len(factors) == 0 && !a.sent(r):
			if _, ok := a.lost(r); !ok { // or it was the last recovery code that let them in
				return a.showLost(w, r)
			}
		}
		return handle(w, r, u)
	}
}

// confirming reports whether a factor was enrolled and is to be confirmed.
func (a *app) confirming(r *http.Request) bool {
	q, ok := a.asked(r)
	return ok && q.For == forConfirm
}

// formID recognises the form again, and does not keep the number that is in it: there are
// few enough to try them all, so the cookie is in the hash.
func (a *app) formID(r *http.Request) string {
	sum := sha256.Sum256([]byte(a.sessions.Token(r.Context()) + " " + r.PostForm.Encode()))
	return hex.EncodeToString(sum[:])
}

// sent reports whether the same form was sent a moment ago: a second click is no second
// enrolment, whose secret or message would end those of the first.
func (a *app) sent(r *http.Request) bool {
	q, ok := a.asked(r)
	if !ok || q.For != forConfirm || q.Path != r.URL.Path || q.Form != a.formID(r) {
		return false
	}
	_, shown := a.picture(r, q)
	return shown || q.FactorType != mfa.TypeTOTP && q.challengeID(a.now()) != ""
}

// enrollApp shows a secret, for a while.
func (a *app) enrollApp(w http.ResponseWriter, r *http.Request, u user) error {
	if a.sent(r) {
		return a.redirect(w, r, "/code", "")
	}
	before, err := a.mfa.Factors(r.Context(), u.ID)
	if err != nil {
		return err
	}
	enr, err := a.mfa.Enroll(r.Context(), mfa.EnrollParams{
		UserID: u.ID, Name: r.PostFormValue("name"), Replaces: r.PostFormValue("replaces"), Receipt: a.proof(r),
		HasFactor: len(u.Factors) > 0,
		TOTP:      &mfa.TOTPParams{Issuer: "Webapp", User: label(u.Email)},
	})
	if err != nil {
		return a.notEnrolled(w, r, u, err)
	}
	q, err := a.confirmation(r, u, enr.Factor)
	if err != nil {
		return err
	}
	p := picture{QR: template.URL(enr.TOTP.QRCode()), Link: template.URL(enr.TOTP.URI()), Secret: enr.TOTP.Secret()} //nolint:gosec // see picture
	p.Another = slices.ContainsFunc(before, func(f mfa.Factor) bool { return f.Type == mfa.TypeTOTP && f.Status == mfa.StatusUnverified })
	if err := a.sealPicture(r, &q, p); err != nil {
		return err
	}
	return a.ask(w, r, q, enr.Factor)
}

// enrollPhone sends a first code.
func (a *app) enrollPhone(w http.ResponseWriter, r *http.Request, u user) error {
	if a.sent(r) {
		return a.redirect(w, r, "/code", "")
	}
	enr, err := a.mfa.Enroll(r.Context(), mfa.EnrollParams{
		UserID: u.ID, Name: r.PostFormValue("name"), Replaces: r.PostFormValue("replaces"), Receipt: a.proof(r),
		HasFactor: len(u.Factors) > 0,
		SMS:       &mfa.SMSParams{PhoneNumber: r.PostFormValue("phone")},
	})
	if err != nil {
		return a.notEnrolled(w, r, u, err)
	}
	q, err := a.confirmation(r, u, enr.Factor)
	if err != nil {
		return err
	}
	return a.ask(w, r, q, enr.Factor)
}

// proof is the receipt with which a factor is added: of a code that was asked for, or of a
// login by recovery code. The second takes nothing away.
func (a *app) proof(r *http.Request) string {
	if text := receipt(r); text != "" || r.PostFormValue("replaces") != "" {
		return text
	}
	l, ok := a.lost(r)
	if !ok {
		return ""
	}
	return l.Receipt
}

// notEnrolled asks for a code if one is needed, or shows the form again.
func (a *app) notEnrolled(w http.ResponseWriter, r *http.Request, u user, err error) error {
	if errors.Is(err, mfa.ErrProofRequired) {
		if receipt(r) == "" && a.proof(r) != "" { // it was spent, or is too old
			if a.confirming(r) { // spent a moment ago by the same form: its page is there
				return a.redirect(w, r, "/code", "")
			}
			a.sessions.Remove(r.Context(), lostKey)
		}
		action, what := proof.ActionOf(mfa.PurposeEnroll), "add a second factor"
		if goes := r.PostFormValue("replaces"); goes != "" {
			action, what = proof.ActionOf(mfa.PurposeEnroll, goes), "replace a second factor"
		}
		return a.approve(w, r, u, action, what)
	}
	return a.enrollForm(w, r, err)
}

// confirmation is the question that confirms a factor. The code of a first one also makes
// recovery codes.
func (a *app) confirmation(r *http.Request, u user, f mfa.Factor) (question, error) {
	q := question{
		For: forConfirm, What: "add a second factor", UserID: u.ID, Epoch: u.Epoch, FactorID: f.ID, FactorType: f.Type,
		Replaces: r.PostFormValue("replaces"), Path: r.URL.Path, Form: a.formID(r),
	}
	a.sessions.Remove(r.Context(), lostKey) // its receipt is spent
	_, needed, err := a.secondFactors(r, u)
	q.Recovery = !needed
	return q, err
}

func (a *app) confirmed(w http.ResponseWriter, r *http.Request, v mfa.Verification) error {
	if v.RecoveryCodes == nil {
		return a.redirect(w, r, "/account", "Added: "+factorName(v.Factor)+". Browsers that you trusted are asked for a code again.")
	}
	return a.showRecovery(w, r, v.RecoveryCodes)
}

// enrollRecovery makes a new list. The old one is worthless from then on. Each is told by
// mail, so that there are only so many.
func (a *app) enrollRecovery(w http.ResponseWriter, r *http.Request, u user) error {
	what := "recovery " + u.ID
	if d := a.tries.wait(address(r), what, perMailbox); d > 0 {
		return a.redirect(w, r, "/account", "New recovery codes are possible again in "+wait(d)+".")
	}
	err := a.makeRecovery(w, r, u, a.proof(r))
	if errors.Is(err, mfa.ErrProofRequired) {
		a.tries.right(address(r), what)
		return a.approve(w, r, u, proof.ActionOf(mfa.PurposeEnroll), "make recovery codes")
	}
	return err
}

// makeRecovery makes new codes in place of those of before.
func (a *app) makeRecovery(w http.ResponseWriter, r *http.Request, u user, receipt string) error {
	before, err := a.mfa.Factors(r.Context(), u.ID)
	if err != nil {
		return err
	}
	enr, err := a.mfa.Enroll(r.Context(), mfa.EnrollParams{
		UserID: u.ID, RecoveryCodes: true, Receipt: receipt, HasFactor: len(u.Factors) > 0,
	})
	if err != nil {
		return err
	}
	var gone string
	if i := slices.IndexFunc(before, func(f mfa.Factor) bool { return f.Type == mfa.TypeRecoveryCodes }); i >= 0 {
		gone = before[i].ID
	}
	a.sessions.Remove(r.Context(), lostKey) // its receipt is spent
	if _, err := a.keepFactors(r, u, []mfa.Factor{enr.Factor}, gone); err != nil {
		return err
	}
	return a.showRecovery(w, r, enr.RecoveryCodes)
}

// showRecovery is the page with the codes, to be copied or printed.
func (a *app) showRecovery(w http.ResponseWriter, r *http.Request, codes *mfa.RecoveryCodesEnrollment) error {
	return a.render(w, r, http.StatusOK, "recovery.html", view{Title: "Your recovery codes", Data: codes.Codes()})
}
