package main

import (
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/mail"
	"strings"
	"time"
	"unicode"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/mfaweb"
	"github.com/authfactor/mfa/passkey"
)

// words are for templates.
var words = template.FuncMap{
	"factor": factorName,
	"way":    way,
	"kept":   kept,
	// enrolledAt is where another one of its type is enrolled.
	"enrolledAt": func(f mfa.Factor) string {
		return map[mfa.FactorType]string{passkey.Type: "/account/passkey", mfa.TypeTOTP: "/account/app", mfa.TypeSMS: "/account/phone"}[f.Type]
	},
	"groups": groups,
	"day":    func(t time.Time) string { return t.Format("2 January 2006") },
	"clock":  func(t time.Time) string { return t.Format("15:04:05") },
}

// factorName is what a person calls a factor.
func factorName(f mfa.Factor) string {
	switch {
	case f.Type == mfa.TypeSMS && f.Name != "":
		return f.Name + ", " + f.MaskedPhoneNumber()
	case f.Type == mfa.TypeSMS:
		return "Text message to " + f.MaskedPhoneNumber()
	case f.Type == mfa.TypeRecoveryCodes:
		return "Recovery code"
	case f.Name != "":
		return f.Name
	case f.Type == passkey.Type:
		return "Passkey"
	}
	return "Authenticator app"
}

// way is what a factor is called as one of several ways.
func way(f mfa.Factor) string {
	if f.Type == passkey.Type {
		return "Passkey" // any of them
	}
	return factorName(f)
}

// groups is a secret as it is easily typed.
func groups(secret string) string {
	var out []string
	for ; len(secret) > 4; secret = secret[4:] {
		out = append(out, secret[:4])
	}
	return strings.Join(append(out, secret), " ")
}

// plain is what a person is told of a refusal. Any other error is ours and comes back.
func plain(err error) (problem string, ours error) {
	if err == nil {
		return "", nil
	}
	e := mfaweb.ErrorOf(err)
	if e.Status >= http.StatusInternalServerError && !errors.Is(err, mfa.ErrMessageNotSent) {
		return "", err
	}
	return e.Show, nil
}

// wait rounds up: whoever comes back then is not told to wait again.
func wait(d time.Duration) string {
	unit, name := time.Second, "second"
	switch {
	case d > 2*time.Hour:
		unit, name = time.Hour, "hour"
	case d > 2*time.Minute:
		unit, name = time.Minute, "minute"
	}
	n := int((d + unit - 1) / unit)
	if n != 1 {
		name += "s"
	}
	return fmt.Sprintf("%d %s", n, name)
}

// browser is a name for the browser, good enough to be known again in a list.
func browser(userAgent string) string {
	find := func(names ...[2]string) string {
		for _, n := range names {
			if strings.Contains(userAgent, n[0]) {
				return n[1]
			}
		}
		return "another"
	}
	// In this order: Edge says that it is Chrome as well, and Chrome that it is Safari.
	program := find([2]string{"Firefox/", "Firefox"}, [2]string{"Edg", "Edge"}, [2]string{"Chrome/", "Chrome"}, [2]string{"Safari/", "Safari"})
	system := find([2]string{"Android", "Android"}, [2]string{"iPhone", "iPhone"}, [2]string{"Windows", "Windows"}, [2]string{"Mac", "Mac"}, [2]string{"Linux", "Linux"})
	return program + " on " + system
}

// cleanEmail returns the address in one spelling, "" unless it is a plain one.
func cleanEmail(typed string) string {
	email := strings.ToLower(strings.TrimSpace(typed))
	a, err := mail.ParseAddress(email)
	if err != nil || a.Address != email || len(email) > 254 || strings.ContainsAny(email, `":`) || strings.ContainsFunc(email, unprintable) {
		return ""
	}
	return email
}

func unprintable(r rune) bool { return !unicode.IsPrint(r) }

// label is what an app shows of an address: 64 characters at most.
func label(email string) string {
	runes := []rune(email)
	return string(runes[:min(len(runes), 64)])
}
