package main

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/passkey"
)

// passkeys is their type, for the host in -url. Passkeys work on no other one, so choose the
// domain before people have any: those of example.com also work on login.example.com, and not the
// other way round.
func passkeys(o options) (mfa.Method, error) {
	u, err := url.Parse(o.url)
	if err != nil {
		return mfa.Method{}, err
	}
	return passkey.New(passkey.Config{RPID: u.Hostname(), RPName: "Webapp", Origins: []string{o.url}})
}

// enrollPasskey asks the browser for a new passkey.
func (a *app) enrollPasskey(w http.ResponseWriter, r *http.Request, u user) error {
	if a.sent(r) {
		return a.redirect(w, r, "/code", "")
	}
	name := r.PostFormValue("name")
	if name == "" { // or nobody can tell several apart
		name = browser(r.UserAgent())
	}
	enr, err := a.mfa.Enroll(r.Context(), mfa.EnrollParams{
		UserID: u.ID, Name: name, Replaces: r.PostFormValue("replaces"), Receipt: a.proof(r),
		HasFactor: len(u.Factors) > 0,
		Method:    passkey.Params(label(u.Email)),
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

// options are those of the open challenge, for the browser. Without one they are "": then the
// person asks for another.
func (q *question) options(a *app) string {
	if q.FactorType != passkey.Type || q.challengeID(a.now()) == "" {
		return ""
	}
	return string(q.Open[q.FactorID].Options)
}

// problem is what a person is told of a refused answer. Any other error is ours and comes
// back.
func (q *question) problem(err error) (problem string, ours error) {
	if q.FactorType == passkey.Type {
		switch {
		case errors.Is(err, mfa.ErrInvalidCode):
			return "That passkey was not accepted. Try again, or use another way.", nil
		case errors.Is(err, mfa.ErrChallengeExpired), errors.Is(err, mfa.ErrTooManyAttempts), errors.Is(err, mfa.ErrChallengePreviouslyVerified):
			return "That took too long, or went wrong too often. Please try again.", nil
		}
	}
	return plain(err)
}

// others are the ways beside the one that is asked for. Any passkey answers for all of them,
// so they are one way.
func others(factors []mfa.Factor, asked question) (others []mfa.Factor) {
	known := asked.FactorType == passkey.Type
	for _, f := range factors {
		if f.ID == asked.FactorID || f.Type == passkey.Type && known {
			continue
		}
		known = known || f.Type == passkey.Type
		others = append(others, f)
	}
	return others
}

// kept says where a passkey is, "" for another factor.
func kept(f mfa.Factor) string {
	d, ok := passkey.DetailsOf(f)
	switch {
	case !ok:
		return ""
	case d.BackedUp:
		return "kept on several devices"
	}
	return "kept on one device only, so have another way in too"
}
