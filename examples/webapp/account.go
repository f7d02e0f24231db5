package main

import (
	"errors"
	"net/http"

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
		Several  bool
		Lost     bool // the login was by recovery code
	}{User: u, Devices: devices}
	_, data.Lost = a.lost(r)
	for _, f := range factors {
		switch {
		case f.Type == mfa.TypeRecoveryCodes:
			data.Recovery = &f
		case f.Status != mfa.StatusUnverified:
			data.Factors = append(data.Factors, f)
		}
	}
	data.Several = len(data.Factors) > 1
	return a.render(w, r, http.StatusOK, "account.html", view{Title: "Your account", Data: data})
}

// showRename asks for another name.
func (a *app) showRename(w http.ResponseWriter, r *http.Request, u user) error {
	f, err := a.mfa.Factor(r.Context(), mfa.FactorParams{FactorID: r.FormValue("factor"), UserID: u.ID})
	if errors.Is(err, mfa.ErrNotFound) {
		return a.redirect(w, r, "/account", "")
	}
	if err != nil {
		return err
	}
	return a.render(w, r, http.StatusOK, "rename.html", view{Title: "Rename " + factorName(f), Data: f})
}

// rename gives a factor another name. It needs no code: nobody gets in by a name.
func (a *app) rename(w http.ResponseWriter, r *http.Request, u user) error {
	what := "rename " + u.ID
	if d := a.tries.wait(what, what, perAddress); d > 0 { // not of the address, from where others log in
		return a.redirect(w, r, "/account", "That is possible again in "+wait(d)+".")
	}
	_, err := a.mfa.Rename(r.Context(), mfa.RenameParams{FactorID: r.PostFormValue("factor"), UserID: u.ID, Name: r.PostFormValue("name")})
	problem, err := plain(err)
	switch {
	case err != nil:
		return err
	case problem != "":
		f := mfa.Factor{ID: r.PostFormValue("factor"), Name: r.PostFormValue("name")}
		return a.render(w, r, http.StatusUnprocessableEntity, "rename.html", view{Title: "Rename", Problem: problem, Data: f})
	}
	return a.redirect(w, r, "/account", "")
}

// removeFactor takes away one of several. With the last, beside recovery codes, the second
// factor is turned off: nobody wants to type one of ten codes at each login.
func (a *app) removeFactor(w http.ResponseWriter, r *http.Request, u user) error {
	id := r.PostFormValue("factor")
	factors, err := a.mfa.Factors(r.Context(), u.ID)
	if err != nil {
		return err
	}
	known, others := false, false
	for _, f := range factors {
		known = known || f.ID == id
		others = others || f.ID != id && f.Type != mfa.TypeRecoveryCodes && f.Status != mfa.StatusUnverified
	}
	if known && !others {
		return a.turnOff(w, r, u)
	}
	err = a.mfa.Unenroll(r.Context(), mfa.UnenrollParams{FactorID: id, UserID: u.ID, Receipt: receipt(r), KeepOne: true})
	switch {
	case errors.Is(err, mfa.ErrProofRequired):
		return a.approve(w, r, u, proof.ActionOf(mfa.PurposeUnenroll, id), "remove a second factor")
	case errors.Is(err, mfa.ErrLastFactor): // the others were removed meanwhile
		return a.turnOff(w, r, u)
	}
	problem, err := plain(err)
	switch {
	case err != nil:
		return err
	case problem != "":
		return a.redirect(w, r, "/account", problem)
	}
	// A crash right here leaves a user who needs support, and not one who needs no code.
	if _, err := a.keepFactors(r, u, nil, id); err != nil {
		return err
	}
	return a.redirect(w, r, "/account", "The second factor was removed. No browser is trusted any more.")
}

// turnOff takes all factors away, with one code.
func (a *app) turnOff(w http.ResponseWriter, r *http.Request, u user) error {
	factors, needed, err := a.secondFactors(r, u)
	switch {
	case err != nil:
		return err
	case needed && len(factors) == 0: // of a store that was lost, nothing would be turned off
		return a.showLost(w, r)
	}
	err = a.mfa.TurnOff(r.Context(), mfa.TurnOffParams{UserID: u.ID, Receipt: receipt(r), HasFactor: len(u.Factors) > 0})
	if errors.Is(err, mfa.ErrProofRequired) {
		return a.approve(w, r, u, proof.ActionOf(mfa.PurposeTurnOff), "turn off your second factor")
	}
	problem, err := plain(err)
	switch {
	case err != nil:
		return err
	case problem != "":
		return a.redirect(w, r, "/account", problem)
	case !needed:
		return a.redirect(w, r, "/account", "Your second factor is off.")
	}
	// A crash right here leaves a user who needs support, and not one who needs no code.
	if _, err := a.keepFactors(r, u, nil, u.Factors...); err != nil {
		return err
	}
	return a.redirect(w, r, "/account", "Your second factor is off. From now on your password alone lets you in; recovery codes do not work any more, and no browser is trusted.")
}

// revokeDevice ends the trust in one browser, or in all.
func (a *app) revokeDevice(w http.ResponseWriter, r *http.Request, u user) error {
	var err error
	if id := r.PostFormValue("device"); id != "" {
		err = a.mfa.RevokeDevice(r.Context(), u.ID, id)
	} else {
		err = a.mfa.RevokeDevices(r.Context(), u.ID)
	}
	if err != nil && !errors.Is(err, mfa.ErrNotFound) {
		return err
	}
	return a.redirect(w, r, "/account", "That browser will be asked for a code again.")
}
