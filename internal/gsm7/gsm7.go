// Package gsm7 counts the messages that a text takes: in GSM 03.38, whose characters have
// seven bits, or in UTF-16 where a character is not of it.
package gsm7

import "strings"

// The characters of GSM 03.38: those of the basic table take one septet, those of
// the extension table two.
const (
	basic = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?" +
		"¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
	extension = "^{}\\[~]|€"
)

// Has reports whether all characters of a text are of GSM 03.38.
func Has(text string) bool {
	for _, r := range text {
		if !strings.ContainsRune(basic, r) && !strings.ContainsRune(extension, r) {
			return false
		}
	}
	return true
}

// Parts is how many messages a text takes: 160 septets or 70 UTF-16 units in one, 153
// or 67 in each of several, and no character is split.
func Parts(text string) int {
	gsm := Has(text)
	single, part := 70, 67
	if gsm {
		single, part = 160, 153
	}
	total, parts, used := 0, 1, 0
	for _, r := range text {
		size := 1
		if gsm && strings.ContainsRune(extension, r) || !gsm && r > 0xffff {
			size = 2
		}
		total += size
		if used += size; used > part {
			parts, used = parts+1, size
		}
	}
	if total <= single {
		return 1
	}
	return parts
}
