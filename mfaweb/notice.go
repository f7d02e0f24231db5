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
		what = "a second factor"
	}
	n.Text = strings.NewReplacer("{what}", what, "{n}", strconv.Itoa(e.Failures)).Replace(n.Text)
	return n, true
}

var notices = map[mfa.EventKind]Notice{
	mfa.EventFirstUse: {
		"A second factor was added",
		"Your account also asks for a second factor now: {what}.",
	},
	mfa.EventEnrolled: {
		"New recovery codes",
		"New recovery codes were made for your account. Earlier ones do not work any more.",
	},
	mfa.EventUnenrolled: {
		"A second factor was removed",
		"Your account has one second factor less: {what}.",
	},
	mfa.EventTurnedOff: {
		"Your second factor is off",
		"From now on your password alone lets you in.",
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
		"A second factor of yours was locked after too many wrong codes. " +
			"Somebody may know your password.",
	},
	mfa.EventFailed: {
		"Wrong codes",
		"After your password was right, a wrong code was sent {n} times in a row. " +
			"Somebody may know your password.",
	},
	mfa.EventSuccessAfterFailures: {
		"A code was right after wrong ones",
		"Your code was accepted after {n} wrong ones.",
	},
	mfa.EventCopied: {
		"Your passkey may have been copied",
		"Somebody used a copy of your passkey, and was not let in. " +
			"Remove that passkey and make a new one.",
	},
	mfa.EventDeviceStolen: {
		"A browser is not trusted any more",
		"Somebody may have copied the cookie of a browser that you trusted. " +
			"It is asked for a code again.",
	},
}

var typeNames = map[mfa.FactorType]string{
	mfa.TypeTOTP: "an authenticator app", mfa.TypeSMS: "text messages",
	mfa.TypeGenericOTP: "codes that we send", mfa.TypeRecoveryCodes: "recovery codes",
	"webauthn": "a passkey", // of package passkey, which this one does not import
}
