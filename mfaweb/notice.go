package mfaweb

import (
	"strconv"
	"strings"

	"github.com/authfactor/mfa"
)

// A Notice is what to tell a person of an event, by another way than the one that was used, such
// as by mail.
type Notice struct {
	Subject string // of one line
	Text    string // of one or two sentences
}

// NoticeOf returns what to tell the owner of a factor of an event, in plain English, and false for
// an event that is not worth it: see [mfa.Event.Notify]. Call it in mfa.Config.OnEvent. It has no
// names, numbers or links: add who writes, and what to do "if this was not you". For other words
// look at Event.Kind.
func NoticeOf(e mfa.Event) (Notice, bool) {
	if !e.Notify() {
		return Notice{}, false
	}
	n, ok := notices[e.Kind]
	if !ok {
		n = Notice{"Your second factor", "Something about your second factor changed."}
	}
	what, ok := typeNames[e.FactorType]
	if !ok {
		what = string(e.FactorType)
	}
	n.Text = strings.NewReplacer("{what}", what, "{n}", strconv.Itoa(e.Failures)).Replace(n.Text)
	return n, true
}

var notices = map[mfa.EventKind]Notice{
	mfa.EventFirstUse: {
		"A second factor was added",
		"A second factor was added to your account: {what}.",
	},
	mfa.EventEnrolled: {
		"New recovery codes",
		"New recovery codes were made for your account. Earlier ones do not work any more.",
	},
	mfa.EventUnenrolled: {
		"A second factor was removed",
		"A second factor was removed from your account: {what}.",
	},
	mfa.EventTurnedOff: {
		"Your second factor is off",
		"The second factor of your account was turned off. Your password alone lets you in.",
	},
	mfa.EventUnlocked: {
		"Your second factor was unlocked",
		"Our support unlocked your second factor.",
	},
	mfa.EventRecovered: {
		"A recovery code was used",
		"One of your recovery codes was used.",
	},
	mfa.EventDisabled: {
		"Your second factor is locked",
		"Your second factor was locked after too many wrong codes. " +
			"Somebody may know your password.",
	},
	mfa.EventFailed: {
		"Wrong answers",
		"After your password, {n} wrong answers came in a row for this: {what}. " +
			"Somebody may know your password.",
	},
	mfa.EventSuccessAfterFailures: {
		"Right after wrong answers",
		"Your second factor was accepted after {n} wrong answers.",
	},
	mfa.EventCopied: {
		"Your passkey may have been copied",
		"A passkey of yours answered as a copy of it would, and was not let in. If you did not " +
			"use it in two windows at once, add another second factor, and then remove that passkey.",
	},
	mfa.EventDeviceStolen: {
		"A browser is not trusted any more",
		"A browser that you trusted is not trusted any more: " +
			"somebody may have copied its cookie.",
	},
}

var typeNames = map[mfa.FactorType]string{
	mfa.TypeTOTP: "authenticator app", mfa.TypeSMS: "text messages",
	mfa.TypeGenericOTP: "codes that we send", mfa.TypeRecoveryCodes: "recovery codes",
	"webauthn": "passkey", // of package passkey, which this one does not import
}
