// Package redact takes phone numbers, codes and passwords out of texts of providers.
package redact

import (
	"slices"
	"strings"
	"unicode"

	"github.com/authfactor/mfa/internal/typed"
)

// shownDigits is how many digits in a row of a number or a code a log may show.
const shownDigits = 3

// longest is how much of a text is looked at: an error may hold a provider's whole page.
const longest = 16 << 10 // bytes

// Text is the text of a sender's error for the log, of so many bytes at most. Providers
// quote the message: four digits in a row of its number or code are taken out, in
// whatever script and with whatever between them but letters. Of a URL the host is left,
// because gateways take their password in what follows.
func Text(text, number, code string, most int) string {
	text = text[:min(len(text), longest)]
	runes := []rune(strings.Map(func(r rune) rune {
		if typed.Controls(r) {
			return ' '
		}
		return r
	}, hostsOnly(text)))

	var row []byte // the digits, and a ' ' for each letter
	var at []int   // where they are
	for i, r := range runes {
		if d := typed.Digit(r); d != 0 {
			row, at = append(row, d), append(at, i)
		} else if unicode.IsLetter(r) {
			row, at = append(row, ' '), append(at, i)
		}
	}
	words := make([]string, len(row)) // what takes their place
	for _, secret := range [...]struct{ digits, word string }{{code, "[code]"}, {number, "[number]"}} {
		for i := range max(0, len(row)-shownDigits) {
			if strings.Contains(secret.digits, string(row[i:i+shownDigits+1])) {
				copy(words[i:], slices.Repeat([]string{secret.word}, shownDigits+1))
			}
		}
	}
	var out strings.Builder
	next := 0
	for i := 0; i < len(row); i++ {
		if words[i] == "" {
			continue
		}
		out.WriteString(string(runes[next:at[i]]) + words[i])
		for i+1 < len(row) && words[i+1] == words[i] {
			i++
		}
		next = at[i] + 1
	}
	out.WriteString(string(runes[next:]))
	if out.Len() <= most {
		return out.String()
	}
	return strings.ToValidUTF8(out.String()[:most], "") + "…"
}

// closing is where a text in quotes ends, -1 if it does not.
func closing(text string) int {
	escaped := false
	for i := range len(text) {
		switch {
		case escaped:
			escaped = false
		case text[i] == '\\':
			escaped = true
		case text[i] == '"':
			return i
		}
	}
	return -1
}

func endsURL(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune("\"'`<>", r) }

// hostsOnly leaves of each URL the scheme and the host.
func hostsOnly(text string) string {
	text = strings.ReplaceAll(text, `\/`, "/") // as some write JSON
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(text, "://")
		out.WriteString(before)
		if !found {
			return out.String()
		}
		end := strings.IndexFunc(rest, endsURL)
		if strings.HasSuffix(strings.TrimRightFunc(before, unicode.IsLetter), `"`) {
			end = closing(rest) // as net/http quotes one, with whatever is in it
		}
		if end < 0 {
			end = len(rest)
		}
		url := rest[:end]
		host := url
		if path := strings.IndexAny(url, "/?#"); path >= 0 {
			host = url[:path]
		}
		out.WriteString("://" + host[strings.LastIndexByte(host, '@')+1:])
		if len(host) < len(url) {
			out.WriteString("/…")
		}
		text = rest[end:]
	}
}
