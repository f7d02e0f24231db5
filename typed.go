package mfa

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/authfactor/mfa/internal/gsm7"
	"github.com/authfactor/mfa/internal/otpauth"
)

// This file decides what is forgiven of what people type and paste: codes, phone
// numbers, names and templates. Whatever is accepted has one canonical spelling, which
// is what is compared, counted, kept and sent. Two texts that a person would call
// different have different ones, or none.

const (
	maxTyped = 64 // characters of a code or a phone number, with all that is between

	nonJoiner = '\u200c' // part of Persian, for one
	joiner    = '\u200d' // part of Sinhala and of emoji, for two
	reversing = '\u202e' // shows 123456 as 654321
)

// canonicalCode forgives any white space, dashes and format characters, and decimal
// digits of any script. It reports whether exactly six digits are left, and gives them
// in ASCII.
func canonicalCode(typed string) (string, bool) {
	if len(typed) == digits && onlyDigits(typed) {
		return typed, true // as nearly all are
	}
	code, ok := plain(typed, ignored, digit)
	return code, ok && len(code) == digits
}

func onlyDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// canonicalRecovery forgives the same, case, full-width letters, and the letters that
// Crockford's alphabet leaves out because they look like digits. It reports whether 24
// letters of it are left.
func canonicalRecovery(typed string) (string, bool) {
	code, ok := plain(typed, ignored, crockfordLetter)
	return code, ok && len(code) == recoveryCodeLength
}

// canonicalNumber forgives white space, format characters, dashes, slashes, dots and
// brackets in a phone number. It reports whether ASCII digits are left, with at most a
// '+' in front. Digits of other scripts, letters and extensions, which libphonenumber
// would take, are refused.
func canonicalNumber(typed string) (string, bool) {
	number, ok := plain(typed, func(r rune) bool {
		return ignored(r) || strings.ContainsRune("()（）/／.．·・", r)
	}, func(r rune) byte {
		if '0' <= r && r <= '9' || r == '+' {
			return byte(r)
		}
		return 0
	})
	return number, ok && strings.LastIndexByte(number, '+') <= 0
}

// plain leaves out what skip names and writes the rest in ASCII. It reports whether
// the text is short enough and all of it is one or the other; write gives 0 for what is
// neither.
func plain(typed string, skip func(rune) bool, write func(rune) byte) (string, bool) {
	if len(typed) > maxTyped*utf8.UTFMax || utf8.RuneCountInString(typed) > maxTyped {
		return "", false
	}
	out := make([]byte, 0, maxTyped)
	for _, r := range typed { // of bytes that are no UTF-8 U+FFFD, which is neither
		if skip(r) {
			continue
		}
		c := write(r)
		if c == 0 {
			return "", false
		}
		out = append(out, c)
	}
	return string(out), true
}

// ignored reports whether a character says nothing in a code or a number: white space,
// dashes, and the format characters that come along with what is copied. Some format
// characters do say something: they are shown, as U+0600 is, or turn digits around.
func ignored(r rune) bool {
	switch {
	case unicode.In(r, unicode.White_Space, unicode.Pd):
		return true
	case r == '\u2212', r == 'ー', r == 'ｰ': // minus, and what a Japanese keyboard has for it
		return true
	case r == reversing, '\ufff9' <= r && r <= '\ufffb', unicode.Is(unicode.Prepended_Concatenation_Mark, r):
		return false
	}
	return unicode.Is(unicode.Cf, r)
}

// digit gives a decimal digit of any script in ASCII, 0 for anything else. In Unicode
// the ten digits of a script follow each other from zero, and so do whole scripts.
func digit(r rune) byte {
	if !unicode.IsDigit(r) {
		return 0
	}
	zero := r
	for unicode.IsDigit(zero - 1) {
		zero--
	}
	return '0' + byte((r-zero)%10)
}

// crockfordLetter gives a letter or digit of a recovery code in the spelling that it
// has there, 0 for anything else.
func crockfordLetter(r rune) byte {
	if d := digit(r); d != 0 {
		return d
	}
	if 'Ａ' <= r && r <= 'Ｚ' || 'ａ' <= r && r <= 'ｚ' {
		r -= 'Ａ' - 'A'
	}
	if 'a' <= r && r <= 'z' {
		r -= 'a' - 'A' // not unicode.ToUpper, which makes ASCII of a few others
	}
	switch {
	case r == 'O':
		return '0'
	case r == 'I', r == 'L':
		return '1'
	case 'A' <= r && r <= 'Z' && r != 'U':
		return byte(r)
	}
	return 0
}

// Rules of checkText.
type textRule int

const (
	optional textRule = iota // may be empty
	ofIssuer                 // required, and more than ':', which its label goes without
	ofUser                   // required, and without ':' (the key URI format)
)

// checkText refuses what an app, a page or a log would show wrongly.
func checkText(what, text string, rule textRule) error {
	if rule == optional && text == "" {
		return nil
	}
	switch {
	case len(text) > maxText*utf8.UTFMax, utf8.RuneCountInString(text) > maxText:
		return errParameter("The %s must have at most %d characters.", what, maxText)
	case !utf8.ValidString(text):
		return errParameter("The %s must be valid UTF-8.", what)
	case strings.TrimSpace(text) == "", rule == ofIssuer && strings.TrimSpace(otpauth.LabelIssuer(text)) == "":
		return errParameter("The %s must not be empty.", what)
	case !shownAsWritten(text):
		return errParameter("The %s must not have control or format characters.", what)
	case rule == ofUser && strings.Contains(text, ":"):
		return errParameter("The %s must not have a ':'.", what)
	}
	return nil
}

// canonicalTemplate returns the template to use: with the line breaks that text
// messages have, and none at its ends, so that its last line is one.
func canonicalTemplate(template string) (string, error) {
	if template == "" {
		return defaultTemplate, nil
	}
	if len(template) > 4*153*maxMessageParts || !utf8.ValidString(template) {
		return "", errParameter("The SMS template must be valid UTF-8 and fit %d messages.", maxMessageParts)
	}
	template = strings.Trim(strings.ReplaceAll(template, "\r\n", "\n"), "\n")
	text := template // where the code must be once
	if end := strings.LastIndexByte(template, '\n'); end >= 0 && bindsToSite(template[end+1:]) && strings.Contains(template[:end], placeholder) {
		text = template[:end]
	}
	before, after, found := strings.Cut(text, placeholder)
	switch {
	case !found, strings.Contains(before+"{", "{{"), strings.Contains(after, "{{"): // "{{{code}}" is refused, too
		return "", errParameter("The SMS template must have %[1]s once, once more only in a last line such as '@example.com #%[1]s', and no other '{{'.", placeholder)
	case !shownAsWritten(strings.ReplaceAll(template, "\n", " ")):
		return "", errParameter("The SMS template must not have control or format characters.")
	case gsm7.Parts(render(template, "000000")) > maxMessageParts:
		return "", errParameter("The SMS template must fit %d messages.", maxMessageParts)
	}
	return template, nil
}

// bindsToSite reports whether a line is as "@example.com #{{code}}", by which phones and
// browsers fill in the code on that site alone (WICG, Origin-bound one-time codes).
func bindsToSite(line string) bool {
	site, after, found := strings.Cut(line, " #"+placeholder)
	host, at := strings.CutPrefix(site, "@")
	return found && at && host != "" && !strings.ContainsAny(host, " @#{") &&
		(after == "" || after[0] == ' ' && !strings.Contains(after, "{{"))
}

// shownAsWritten reports whether no character of the text controls how others are
// shown. Joiners between two visible characters are part of how some scripts are
// written.
func shownAsWritten(text string) bool {
	before := ' '
	for i, r := range text {
		if r == joiner || r == nonJoiner {
			after, size := utf8.DecodeRuneInString(text[i+utf8.RuneLen(r):])
			if size == 0 || !visible(before) || !visible(after) {
				return false
			}
		} else if controls(r) {
			return false
		}
		before = r
	}
	return true
}

func visible(r rune) bool { return !unicode.IsSpace(r) && !controls(r) }

// controls reports whether a character controls how others are shown.
func controls(r rune) bool { return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) }
