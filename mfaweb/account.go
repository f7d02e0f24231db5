package mfaweb

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/internal/operator"
	"github.com/authfactor/mfa/proof"
)

// member is who is logged in.
func (h *Handler) member(c *call) (Session, error) {
	s, ok, err := h.cfg.Session(c.r)
	switch {
	case err != nil:
		return Session{}, err
	case !ok || s.User.ID == "" || s.ID == "":
		return Session{}, errNotLoggedIn
	}
	return s, nil
}

// account shows the factors and trusted browsers.
func (h *Handler) account(c *call) (any, error) {
	s, err := h.member(c)
	if err != nil {
		return nil, err
	}
	all, err := h.svc.Factors(c.ctx, s.User.ID)
	if err != nil {
		return nil, err
	}
	devices, err := h.svc.Devices(c.ctx, s.User.ID)
	if err != nil {
		return nil, err
	}
	factors, left := []mfa.Factor{}, (*int)(nil)
	for _, f := range all {
		switch {
		case f.Type == mfa.TypeRecoveryCodes:
			left = &f.RecoveryCodesLeft
		case f.Status != mfa.StatusUnverified:
			factors = append(factors, f)
		}
	}
	if devices == nil {
		devices = []mfa.TrustedDevice{}
	}
	return map[string]any{
		"factors": factors, "recovery_codes_left": left, "trusted_devices": devices,
		"lost": h.keptReceipt(c, s.User) != "",
	}, nil
}

// enroller is who enrolls a factor: somebody who is logged in or, where the request names a
// question, who must have a factor before they are. They may take another one than the one that
// they began with: its number may be wrong, or the browser makes no passkey.
func (h *Handler) enroller(c *call, id string) (s Session, q question, err error) {
	if id == "" {
		s, err = h.member(c)
		return s, q, err
	}
	q, u, err := h.asked(c, id)
	if err == nil && q.For != forEnroll && (q.For != forConfirm || !q.Login) {
		err = errReplaced
	}
	return Session{User: u}, q, err
}

// enroll makes a factor, and the question that confirms it.
func (h *Handler) enroll(c *call) (any, error) {
	var id, kind, number string
	var p mfa.EnrollParams
	if err := c.body.Store(fields{
		"question": &id, "type": &kind, "name": &p.Name,
		"phone_number": &number, "replaces": &p.Replaces,
	}); err != nil {
		return nil, errBody(err)
	}
	s, before, err := h.enroller(c, id)
	if err != nil {
		return nil, err
	}
	if s.Label == "" {
		return nil, errNoLabel
	}
	p.UserID, p.HasFactor = s.User.ID, s.HasFactor
	if err := h.setType(&p, mfa.FactorType(kind), number, s.User); err != nil {
		return nil, err
	}
	p.Receipt = h.receipt(c, s.User, p.Replaces == "")
	enr, err := h.svc.Enroll(c.ctx, p)
	if errors.Is(err, mfa.ErrProofRequired) {
		if s.ID == "" { // whoever must have a factor has one by now: they log in with it
			return nil, errNoQuestion
		}
		action := proof.ActionOf(mfa.PurposeEnroll)
		if p.Replaces != "" {
			action = proof.ActionOf(mfa.PurposeEnroll, p.Replaces)
		}
		return nil, h.ask(c, s, action, err)
	}
	if _, unknown := errors.AsType[*operator.UnknownTypeError](err); unknown {
		return nil, errType
	}
	if err != nil {
		return nil, err
	}
	h.setCookie(c.w, receiptCookie, "", 0) // it is spent
	q, err := h.newQuestion(forConfirm, s.User)
	if err != nil {
		return nil, err
	}
	q.Session, q.Login = hashed(s.ID), before.Login
	q.FactorID, q.Type = enr.Factor.ID, enr.Factor.Type
	told := map[string]any{"question": q.shown([]mfa.LoginFactor{{Factor: enr.Factor}})}
	if enr.TOTP != nil {
		told["totp"] = map[string]string{
			"secret": enr.TOTP.Secret(), "qr_code": enr.TOTP.QRCode(), "uri": enr.TOTP.URI(),
		}
	}
	return told, h.keep(c.w, q)
}

// setType sets what is enrolled.
func (h *Handler) setType(p *mfa.EnrollParams, kind mfa.FactorType, number string, u User) error {
	switch kind {
	case mfa.TypeTOTP:
		p.TOTP = &mfa.TOTPParams{Issuer: h.cfg.Issuer, User: label(u)}
	case mfa.TypeSMS:
		p.SMS = &mfa.SMSParams{PhoneNumber: number}
	case mfa.TypeGenericOTP, mfa.TypeRecoveryCodes, "":
		return errType
	default:
		params, err := json.Marshal(map[string]string{"label": label(u)})
		if err != nil {
			return err
		}
		p.Method = &mfa.MethodParams{Type: kind, Params: params}
	}
	return nil
}

// ask is the answer to a request that needs a fresh second factor: the question whose answer
// earns the receipt.
func (h *Handler) ask(c *call, s Session, action proof.Action, cause error) error {
	factors, err := h.confirmed(c, s.User)
	switch {
	case err != nil:
		return err
	case len(factors) == 0: // the store says that one is needed, and then that there is none
		return cause
	}
	q, err := h.newQuestion(forApprove, s.User)
	if err != nil {
		return err
	}
	q.Session, q.Action = hashed(s.ID), &action
	q.offers(factors)
	if before, ok := h.question(c.r); ok {
		q.goesOn(before)
	}
	if err := h.keep(c.w, q); err != nil {
		return err
	}
	p := ErrorOf(errProof)
	p.Question = new(q.shown(factors))
	return p
}

func (h *Handler) rename(c *call) (any, error) {
	s, err := h.member(c)
	if err != nil {
		return nil, err
	}
	p := mfa.RenameParams{UserID: s.User.ID}
	if err := c.body.Store(fields{"factor_id": &p.FactorID, "name": &p.Name}); err != nil {
		return nil, errBody(err)
	}
	f, err := h.svc.Rename(c.ctx, p)
	return map[string]any{"factor": f}, err
}

// remove removes a factor. The last one, beside recovery codes, is turned off instead: nobody
// wants to type one of ten codes at each login.
func (h *Handler) remove(c *call) (any, error) {
	s, err := h.member(c)
	if err != nil {
		return nil, err
	}
	var id string
	if err := c.body.Store(fields{"factor_id": &id}); err != nil {
		return nil, errBody(err)
	}
	factors, err := h.svc.Factors(c.ctx, s.User.ID)
	if err != nil {
		return nil, err
	}
	known, others := false, false
	for _, f := range factors {
		known = known || f.ID == id
		others = others ||
			f.ID != id && f.Type != mfa.TypeRecoveryCodes && f.Status == mfa.StatusVerified
	}
	if known && !others {
		return nil, errLast
	}
	err = h.svc.Unenroll(c.ctx, mfa.UnenrollParams{
		FactorID: id, UserID: s.User.ID, Receipt: h.receipt(c, s.User, false), KeepOne: true,
	})
	if errors.Is(err, mfa.ErrProofRequired) {
		return nil, h.ask(c, s, proof.ActionOf(mfa.PurposeUnenroll, id), err)
	}
	return map[string]any{"status": "removed"}, err
}

// recoveryCodes makes new ones, in place of those of before.
func (h *Handler) recoveryCodes(c *call) (any, error) {
	s, err := h.member(c)
	if err != nil {
		return nil, err
	}
	if !s.HasFactor {
		return nil, errNone
	}
	enr, err := h.svc.Enroll(c.ctx, mfa.EnrollParams{
		UserID: s.User.ID, RecoveryCodes: true, HasFactor: s.HasFactor,
		Receipt: h.receipt(c, s.User, true),
	})
	if errors.Is(err, mfa.ErrProofRequired) {
		return nil, h.ask(c, s, proof.ActionOf(mfa.PurposeEnroll), err)
	}
	if err != nil {
		return nil, err
	}
	h.setCookie(c.w, receiptCookie, "", 0) // it is spent
	return map[string]any{"recovery_codes": enr.RecoveryCodes.Codes()}, nil
}

// turnOff removes all factors.
func (h *Handler) turnOff(c *call) (any, error) {
	s, err := h.member(c)
	if err != nil {
		return nil, err
	}
	must, err := h.must(s.User)
	switch {
	case err != nil:
		return nil, err
	case must:
		return nil, errMust
	}
	if !s.HasFactor {
		none, err := h.storeHasNone(c.ctx, s.User.ID)
		if err != nil || none { // nothing is turned off, and no session ends
			return off, err
		}
	}
	receipt := h.receipt(c, s.User, false)
	err = h.svc.TurnOff(c.ctx, mfa.TurnOffParams{
		UserID: s.User.ID, HasFactor: s.HasFactor, Receipt: receipt,
	})
	if errors.Is(err, mfa.ErrIntegrity) && h.turnedOff(c.ctx, s, receipt) {
		err = nil
	}
	if errors.Is(err, mfa.ErrProofRequired) {
		return nil, h.ask(c, s, proof.ActionOf(mfa.PurposeTurnOff), err)
	}
	if err != nil {
		return nil, err
	}
	// A crash right here leaves a person who needs support, unless they send the receipt again,
	// and not one who needs no code.
	h.setCookie(c.w, deviceCookie, "", 0)
	if err := h.cfg.SetHasFactor(c.ctx, s.User.ID, false); err != nil {
		return nil, err
	}
	u, err := h.cfg.User(c.ctx, s.User.ID)
	switch {
	case err != nil:
		return nil, err
	case u.ID != s.User.ID: // the account is gone
		return nil, errNotLoggedIn
	}
	return off, h.cfg.LogIn(c.w, c.r, u, mfa.Verification{})
}

var off = map[string]any{"status": "off"}

// turnedOff reports whether an earlier call turned off by the same receipt, and the row was not
// told: the person approved it within these five minutes, and nothing of theirs is stored. A store
// that was lost looks the same, and what they approved is done then as well.
func (h *Handler) turnedOff(ctx context.Context, s Session, receipt string) bool {
	now, err := h.svc.Now()
	if err != nil {
		return false
	}
	checker := proof.Checker{Keys: h.svc.ProofKeys(), Now: func() time.Time { return now }}
	_, err = checker.Check(ctx, proof.Claim{
		Receipt: receipt, UserID: s.User.ID, Action: proof.ActionOf(mfa.PurposeTurnOff),
	})
	if err != nil {
		return false
	}
	factors, err := h.svc.Factors(ctx, s.User.ID)
	return err == nil && len(factors) == 0
}

// revokeDevice ends the trust in one browser, or in all.
func (h *Handler) revokeDevice(c *call) (any, error) {
	s, err := h.member(c)
	if err != nil {
		return nil, err
	}
	var id string
	var all bool
	if err := c.body.Store(fields{"device_id": &id, "all": &all}); err != nil {
		return nil, errBody(err)
	}
	switch {
	case all == (id != ""):
		return nil, errDevice
	case all:
		err = h.svc.RevokeDevices(c.ctx, s.User.ID)
	default:
		err = h.svc.RevokeDevice(c.ctx, s.User.ID, id)
	}
	return map[string]any{"status": "revoked"}, err
}
