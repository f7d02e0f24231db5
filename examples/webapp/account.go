package main

import (
	"errors"
	"html/template"
	"net/http"
	"slices"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/proof"
)

func (a *app) showAccount(w http.ResponseWriter, r *http.Request, u user) error {
	factors, err := a.mfa.Factors(r.Context(), u.ID)
	if err != nil {
		return err
	}
	devices, err := a.mfa.Devices(r.Context(), u.ID)
	if err != nil {
		return err
	}
	data := struct {
		User     user
		Factors  []mfa.Factor // without recovery codes, and without what was never confirmed
		Recovery *mfa.Factor
		Devices  []mfa.TrustedDevice
	}{User: u, Devices: devices}
	for _, f := range factors {
		switch {
		case f.Type == mfa.TypeRecoveryCodes:
			data.Recovery = &f
		case f.Status != mfa.StatusUnverified:
			data.Factors = append(data.Factors, f)
		}
	}
	return a.render(w, r, http.StatusOK, "account.html", view{Title: "Your account", Data: data})
}

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
	title := map[string]string{"/account/app": "Add an authenticator app", "/account/phone": "Add a phone number"}[data.Path]
	return a.render(w, r, status, "enroll.html", view{Title: title, Problem: problem, Data: data})
}

// unlessLost is for a member whose factors are still there. Without them nobody asks for a
// proof, and whoever has the session could enroll a factor of their own.
func (a *app) unlessLost(handle func(http.ResponseWriter, *http.Request, user) error) func(http.ResponseWriter, *http.Request, user) error {
	return func(w http.ResponseWriter, r *http.Request, u user) error {
		factors, needed, err := a.secondFactors(r, u)
		switch {
		case err != nil:
			return err
		case needed && len(factors) == 0:
			return a.showLost(w, r)
		}
		return handle(w, r, u)
	}
}

// enrollApp shows the secret, once: nothing reads it again.
func (a *app) enrollApp(w http.ResponseWriter, r *http.Request, u user) error {
	enr, err := a.mfa.Enroll(r.Context(), mfa.EnrollParams{
		UserID: u.ID, Name: r.PostFormValue("name"), Replaces: r.PostFormValue("replaces"), Proof: receipt(r),
		TOTP: &mfa.TOTPParams{Issuer: "Webapp", User: label(u.Email)},
	})
	if err != nil {
		return a.notEnrolled(w, r, u, err)
	}
	q, err := a.confirmation(r, u, enr.Factor)
	if err == nil {
		err = a.challenge(r, &q)
	}
	if err != nil {
		return err
	}
	a.sessions.Put(r.Context(), questionKey, q)
	data := struct {
		QR, Link template.URL // which html/template would take out: both are ours
		Secret   string
	}{template.URL(enr.TOTP.QRCode()), template.URL(enr.TOTP.URI()), enr.TOTP.Secret()} //nolint:gosec // see above
	return a.render(w, r, http.StatusOK, "scan.html", view{Title: "Scan this code", Data: data})
}

// enrollPhone sends a first code.
func (a *app) enrollPhone(w http.ResponseWriter, r *http.Request, u user) error {
	enr, err := a.mfa.Enroll(r.Context(), mfa.EnrollParams{
		UserID: u.ID, Name: r.PostFormValue("name"), Replaces: r.PostFormValue("replaces"), Proof: receipt(r),
		SMS: &mfa.SMSParams{PhoneNumber: r.PostFormValue("phone")},
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

// notEnrolled asks for a code if one is needed, or shows the form again.
func (a *app) notEnrolled(w http.ResponseWriter, r *http.Request, u user, err error) error {
	if errors.Is(err, mfa.ErrProofRequired) {
		action, what := proof.ActionOf(mfa.PurposeEnroll), "add a second factor"
		if goes := r.PostFormValue("replaces"); goes != "" {
			action, what = proof.ActionOf(mfa.PurposeEnroll, goes), "replace a second factor"
		}
		return a.approve(w, r, u, action, what)
	}
	return a.enrollForm(w, r, err)
}

// confirmation is the question that confirms a factor. The code of a first one also
// approves the recovery codes that come with it.
func (a *app) confirmation(r *http.Request, u user, f mfa.Factor) (question, error) {
	q := question{
		For: forConfirm, What: "add a second factor", UserID: u.ID, Epoch: u.Epoch, FactorID: f.ID, FactorType: f.Type, Replaces: r.PostFormValue("replaces"),
	}
	_, needed, err := a.secondFactors(r, u)
	if !needed {
		q.Action = proof.ActionOf(mfa.PurposeEnroll)
	}
	return q, err
}

func (a *app) confirmed(w http.ResponseWriter, r *http.Request, q question, v mfa.Verification) error {
	if v.Receipt() == "" {
		return a.redirect(w, r, "/account", "Added: "+factorName(v.Factor)+". Browsers that you trusted are asked for a code again.")
	}
	return a.makeRecovery(w, r, q.UserID, v.Receipt())
}

// enrollRecovery makes a new list. The old one is worthless from then on.
func (a *app) enrollRecovery(w http.ResponseWriter, r *http.Request, u user) error {
	err := a.makeRecovery(w, r, u.ID, receipt(r))
	if errors.Is(err, mfa.ErrProofRequired) {
		return a.approve(w, r, u, proof.ActionOf(mfa.PurposeEnroll), "make recovery codes")
	}
	return err
}

// makeRecovery shows the codes, once.
func (a *app) makeRecovery(w http.ResponseWriter, r *http.Request, userID, receipt string) error {
	before, err := a.mfa.Factors(r.Context(), userID)
	if err != nil {
		return err
	}
	enr, err := a.mfa.Enroll(r.Context(), mfa.EnrollParams{UserID: userID, RecoveryCodes: true, Proof: receipt})
	if err != nil {
		return err
	}
	var gone string
	if i := slices.IndexFunc(before, func(f mfa.Factor) bool { return f.Type == mfa.TypeRecoveryCodes }); i >= 0 {
		gone = before[i].ID
	}
	if err := a.db.keepFactors(r.Context(), userID, []mfa.Factor{enr.Factor}, gone); err != nil {
		return err
	}
	return a.render(w, r, http.StatusOK, "recovery.html", view{Title: "Your recovery codes", Data: enr.RecoveryCodes.Codes()})
}

func (a *app) removeFactor(w http.ResponseWriter, r *http.Request, u user) error {
	id := r.PostFormValue("factor")
	err := a.mfa.Unenroll(r.Context(), mfa.FactorParams{FactorID: id, UserID: u.ID, Proof: receipt(r)})
	if errors.Is(err, mfa.ErrProofRequired) {
		return a.approve(w, r, u, proof.ActionOf(mfa.PurposeUnenroll, id), "remove a second factor")
	}
	problem, err := plain(err)
	switch {
	case err != nil:
		return err
	case problem != "":
		return a.redirect(w, r, "/account", problem)
	}
	// A crash right here leaves a user who needs support, and not one who needs no code.
	if err := a.db.keepFactors(r.Context(), u.ID, nil, id); err != nil {
		return err
	}
	return a.redirect(w, r, "/account", "The second factor was removed. No browser is trusted any more.")
}

// revokeDevice ends the trust in one browser, or in all.
func (a *app) revokeDevice(w http.ResponseWriter, r *http.Request, u user) error {
	err := a.mfa.RevokeDevice(r.Context(), mfa.DeviceParams{UserID: u.ID, DeviceID: r.PostFormValue("device")})
	if err != nil && !errors.Is(err, mfa.ErrNotFound) {
		return err
	}
	return a.redirect(w, r, "/account", "That browser will be asked for a code again.")
}

func (a *app) showEmail(w http.ResponseWriter, r *http.Request, u user) error {
	return a.emailForm(w, r, u, "")
}

func (a *app) emailForm(w http.ResponseWriter, r *http.Request, u user, problem string) error {
	_, needed, err := a.secondFactors(r, u)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if problem != "" {
		status = http.StatusUnprocessableEntity
	}
	return a.render(w, r, status, "email.html", view{Title: "Change your e-mail address", Problem: problem, Data: struct {
		Email, Typed string
		Password     bool
	}{u.Email, r.PostFormValue("email"), !needed}})
}

// changeEmail mails a link to the new address. Whoever has that mailbox can set a password,
// so it wants a fresh second factor or, of who has none, the password.
func (a *app) changeEmail(w http.ResponseWriter, r *http.Request, u user) error {
	email := cleanEmail(r.PostFormValue("email"))
	if email == "" {
		return a.emailForm(w, r, u, "This is not an e-mail address.")
	}
	_, needed, err := a.secondFactors(r, u)
	action := proof.ActionOf("change e-mail", email) // this address and no other
	switch {
	case err != nil:
		return err
	case needed && receipt(r) == "":
		return a.approve(w, r, u, action, "change your e-mail address")
	case needed:
		_, err = a.mfa.Spend(r.Context(), proof.Claim{Receipt: receipt(r), UserID: u.ID, Action: action})
	case a.tries.wait(address(r), "login "+u.Email, perAccount) > 0 || !samePassword(u.Password, r.PostFormValue("password")):
		return a.emailForm(w, r, u, "The password is not right.")
	}
	if err != nil {
		return err
	}
	if err := a.mailLink(r, link{Email: email, UserID: u.ID}, "Follow this link within an hour to use this address for your account."); err != nil {
		return err
	}
	return a.redirect(w, r, "/account", "We sent a link to "+email+". Until you follow it, nothing changes.")
}

// takeEmail changes the address of who is logged in and followed the link.
func (a *app) takeEmail(w http.ResponseWriter, r *http.Request, l link) error {
	u, ok, err := a.whoIs(r)
	if err != nil {
		return err
	}
	if !ok || u.ID != l.UserID {
		return a.redirect(w, r, "/login", "Log in first, and then follow the link again.")
	}
	used, err := a.db.useLink(r.Context(), r.PathValue("token"))
	free := false
	if err == nil && used {
		free, err = a.db.setEmail(r.Context(), u.ID, l.Email)
	}
	switch {
	case err != nil:
		return err
	case !free: // taken: who came here has its mailbox, and may know
		return a.redirect(w, r, "/account", "This link was used, or you have another account with this address.")
	}
	if err := a.post.mail(u.Email, "Your account has a new e-mail address. If this was not you, write to us.", ""); err != nil {
		return err
	}
	return a.redirect(w, r, "/account", "Your e-mail address is changed.")
}
