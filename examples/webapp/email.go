package main

import (
	"net/http"

	"github.com/authfactor/mfa/proof"
)

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
		_, err = a.mfa.Redeem(r.Context(), proof.Claim{Receipt: receipt(r), UserID: u.ID, Action: action})
	case a.tries.wait(address(r), "login "+u.Email, perAccount) > 0 || !samePassword(u.Password, r.PostFormValue("password")):
		return a.emailForm(w, r, u, "The password is not right.")
	}
	if err != nil {
		return err
	}
	if d := a.tries.wait(address(r), "mail "+email, perMailbox); d > 0 { // or anybody's mailbox could be filled
		return a.emailForm(w, r, u, "That is possible again in "+wait(d)+".")
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
