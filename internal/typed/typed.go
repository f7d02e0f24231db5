// Package typed decides what is forgiven of what people type and paste: codes, phone
// numbers, names and templates. Whatever is accepted has one canonical spelling, which
// is what is compared, counted, kept and sent. Two texts that a person would call
// different have different ones, or none.
package typed

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/authfactor/mfa/internal/gsm7"
	"github.com/authfactor/mfa/internal/otpauth"
)

const (
	maxTyped = 64 // characters of a code or a phone number, with all that is between

	nonJoiner = '\u200c' // part of Persian, for one
	joiner    = '\u200d' // part of Sinhala and of emoji, for two
	reversing = '\u202e' // shows 123456 as 654321
)

// Code forgives any white space, dashes and format characters, and decimal digits of any
// script. It reports whether exactly so many digits are left, and gives them in ASCII.
func Code(typed string, digits int) (string, bool) {
	if len(typed) == digits && onlyDigits(typed) {
		return typed, true // as nearly all are
	}
	code, ok := plain(typed, ignored, Digit)
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

// RecoveryCode forgives the same, case, full-width letters, and the letters that
// Crockford's alphabet leaves out because they look like digits. It reports whether so
// many letters of it are left.
func RecoveryCode(typed string, letters int) (string, bool) {
	code, ok := plain(typed, ignored, crockfordLetter)
	return code, ok && len(code) == letters
}

// Number forgives white space, format characters, dashes, slashes, dots and
// brackets in a phone number. It reports whether ASCII digits are left, with at most a
// '+' in front. Digits of other scripts, letters and extensions, which libphonenumber
// would take, are refused.
func Number(typed string) (string, bool) {
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

// Digit gives a decimal digit of any script in ASCII, 0 for anything else. In Unicode
// the ten digits of a script follow each other from zero, and so do whole scripts.
func Digit(r rune) byte {
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
	if d := Digit(r); d != 0 {
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

// A Rule is one of [Name].
type Rule int

// The rules.
const (
	Optional Rule = iota // may be empty
	OfIssuer             // required, and more than ':', which its label goes without
	OfUser               // required, and without ':' (the key URI format)
)

// Name refuses what an app, a page or a log would show wrongly, and what has more
// characters than most. Its error goes on after the name of the text.
func Name(text string, most int, rule Rule) error {
	if rule == Optional && text == "" {
		return nil
	}
	switch {
	case len(text) > most*utf8.UTFMax, utf8.RuneCountInString(text) > most:
		return fmt.Errorf("must have at most %d characters", most)
	case !utf8.ValidString(text):
		return errors.New("must be valid UTF-8")
	case strings.TrimSpace(text) == "",
		rule == OfIssuer && strings.TrimSpace(otpauth.LabelIssuer(text)) == "":
		return errors.New("must not be empty")
	case !shownAsWritten(text):
		return errControls
	case rule == OfUser && strings.Contains(text, ":"):
		return errors.New("must not have a ':'")
	}
	return nil
}

var errControls = errors.New("must not have control or format characters")

// Placeholder stands for the code in a template.
const Placeholder = "{{code}}"

// Template returns the template of a text message in its canonical spelling: with the
// line breaks that text messages have, and none at its ends, so that its last line is
// one. With a code of so many digits it must fit so many parts. Its error goes on after
// the name of the template.
func Template(template string, digits, parts int) (string, error) {
	if len(template) > 4*153*parts || !utf8.ValidString(template) {
		return "", fmt.Errorf("must be valid UTF-8 and fit %d messages", parts)
	}
	template = strings.Trim(strings.ReplaceAll(template, "\r\n", "\n"), "\n")
	text := template // where the code must be once
	end := strings.LastIndexByte(template, '\n')
	if end >= 0 && bindsToSite(template[end+1:]) && strings.Contains(template[:end], Placeholder) {
		text = template[:end]
	}
	before, after, found := strings.Cut(text, Placeholder)
	switch {
	case !found, strings.Contains(before+"{", "{{"), strings.Contains(after, "{{"): // "{{{code}}" is refused, too
		return "", fmt.Errorf("must have %[1]s once, once more only in a last line such as "+
			"'@example.com #%[1]s', and no other '{{'", Placeholder)
	case !shownAsWritten(strings.ReplaceAll(template, "\n", " ")):
		return "", errControls
	case gsm7.Parts(Render(template, strings.Repeat("0", digits))) > parts:
		return "", fmt.Errorf("must fit %d messages", parts)
	}
	return template, nil
}

// Render puts a code into a template.
func Render(template, code string) string { return strings.ReplaceAll(template, Placeholder, code) }

// bindsToSite reports whether a line is as "@example.com #{{code}}", by which phones and
// browsers fill in the code on that site alone (WICG, Origin-bound one-time codes).
func bindsToSite(line string) bool {
	site, after, found := strings.Cut(line, " #"+Placeholder)
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
		} else if Controls(r) {
			return false
		}
		before = r
	}
	return true
}

func visible(r rune) bool { return !unicode.IsSpace(r) && !Controls(r) }

// Controls reports whether a character controls how others are shown.
func Controls(r rune) bool { return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) }
