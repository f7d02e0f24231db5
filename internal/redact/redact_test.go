package redact

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/authfactor/mfa/internal/typed"
)

const most = 512 // bytes

// TestMasked: of what a provider may say, neither number nor code is left, and all else is.
func TestMasked(t *testing.T) {
	const number, code = "+15005550006", "739164"
	for text, want := range map[string]string{
		"The 'To' number +15005550006 is not a valid phone number.":                 "The 'To' number +[number] is not a valid phone number.",
		"15005550006: unsubscribed (error 21610)":                                   "[number]: unsubscribed (error 21610)",
		"001 (500) 555-0006, 5005550006, 555 0006":                                  "00[number]",
		"to tel:+1-500-555.0006;ext=1 and +1\u202f500\u00a0555\u20110006 no":        "to tel:+[number];ext=1 and +[number] no",
		"%2B15005550006 and \\u002b15005550006":                                     "%2B[number] and \\u002b[number]",
		"+١٥٠٠٥٥٥٠٠٠٦ or １５００５５５０００６":                                               "+[number] or [number]",
		`{"to":"15005550006","text":"Code: 739164."}`:                               `{"to":"[number]","text":"Code: [code]."}`,
		"Code: 739 164, 7-3-9-1-6-4":                                                "Code: [code]",
		"to=+15005550006 739164":                                                    "to=+[number] [code]",
		"number ending 0006, cut: Code: 7391":                                       "number ending [number], cut: Code: [code]",
		"status 503 after 1500 ms":                                                  "status 503 after [number] ms", // four digits may be of the number
		"739x164 of 500 a 555 b 000":                                                "739x164 of 500 a 555 b 000",
		`Post "https://u:secret@gw.example:8443/a/secret?pw=secret": EOF`:           `Post "https://gw.example:8443/…": EOF`,
		`Get "https://gw.example/send?text=Your code&password=s3'cret": EOF`:        `Get "https://gw.example/…": EOF`,
		`Get "https://gw.example/send?text=Your \"Foo\" code&password=secret": EOF`: `Get "https://gw.example/…": EOF`,
		`{"url":"https:\/\/gw.example\/send?api_key=secret"}`:                       `{"url":"https://gw.example/…"}`,
		`"https://gw.example/send?password=secret`:                                  `"https://gw.example/…`,
		"see http://gw.example?key=secret":                                          "see http://gw.example/…",
		"see https://gw.example and a ? b":                                          "see https://gw.example and a ? b",
		"bad\r\nlevel=ERROR\x1b[31m \u202eevil\xff":                                 "bad  level=ERROR [31m  evil\ufffd",
		"":  "",
		"<": "<",
	} {
		if got := Text(text, number, code, most); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	for _, long := range []string{"x" + strings.Repeat("é", 1000), strings.Repeat("15005550006 x ", 100)} {
		got := Text(long, number, code, most)
		if len(got) > most+len("…") || len(got) < most-4 || !strings.HasSuffix(got, "…") || !utf8.ValidString(got) {
			t.Errorf("%d bytes of a long text: %q", len(got), got)
		}
	}
	exact := strings.Repeat("x", most)
	if got := Text(exact, number, code, most); got != exact {
		t.Errorf("%d bytes of a text of %d", len(got), len(exact))
	}
}

// FuzzMasked: whatever stands around and between the digits of number and code, four of
// them in a row are never left, and a text without digits or URLs stays as it is.
func FuzzMasked(f *testing.F) {
	for _, seed := range []string{
		"The 'To' number +15005550006 is not a valid phone number.",
		`{"messages":[{"to":"15005550006","status":"6","error-text":"Unroutable message - rejected"}]}`,
		`Get "https://gw.example/send?user=a&pass=b&to=%2B15005550006&text=739164": context deadline exceeded`,
		"failed\r\nTo: 1 500 555 0006", "٧٣٩١٦٤", "\xff\u202e7391\u200b64",
	} {
		f.Add(seed, " ", "after")
	}
	f.Fuzz(func(t *testing.T, before, between, after string) {
		const code = "739164"
		letter := func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }
		if strings.IndexFunc(between, letter) >= 0 {
			between = ""
		}
		for _, number := range []string{"+15005550006", "+6834567", "+491701234567"} {
			text := before + strings.Join(strings.Split(number, ""), between) + after + strings.Join(strings.Split(code, ""), between) + before
			got := Text(text, number, code, most)
			if len(got) > most+len("…") || !utf8.ValidString(got) || strings.IndexFunc(got, typed.Controls) >= 0 {
				t.Fatalf("%q: %q", text, got)
			}
			flat := strings.Map(func(r rune) rune {
				switch d := typed.Digit(r); {
				case d != 0:
					return rune(d)
				case unicode.IsLetter(r):
					return 'x'
				}
				return -1
			}, got)
			for _, secret := range []string{number[1:], code} {
				for i := range len(secret) - shownDigits {
					if strings.Contains(flat, secret[i:i+shownDigits+1]) {
						t.Fatalf("%q shows %s of %s: %q", text, secret[i:i+shownDigits+1], secret, got)
					}
				}
			}
		}
		if len(before) <= most && utf8.ValidString(before) && strings.IndexFunc(before, typed.Controls) < 0 &&
			!strings.Contains(before, "://") && strings.IndexFunc(before, unicode.IsDigit) < 0 {
			if got := Text(before, "+15005550006", code, most); got != before {
				t.Fatalf("%q: %q", before, got)
			}
		}
	})
}

// TestLongText: a provider's whole page is not looked through.
func TestLongText(t *testing.T) {
	page := strings.Repeat("15005550006 x ", 1<<16)
	if n := testing.AllocsPerRun(1, func() { Text(page, "+15005550006", "739164", most) }); n > 50_000 {
		t.Errorf("%.0f allocations for a text of %d bytes", n, len(page))
	}
}
