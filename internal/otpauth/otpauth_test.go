package otpauth

import (
	"bytes"
	"errors"
	"regexp"
	"strings"
	"testing"
)

const secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"

// TestSecretAlone: another system's URI that is refused says whether its secret may be
// read without it. Where the codes are others, it must not.
func TestSecretAlone(t *testing.T) {
	const good = "otpauth://totp/Foo:alan?secret=" + secret
	for _, tt := range []struct {
		uri, message string
		alone        bool
	}{
		{good + "&image=" + strings.Repeat("x", maxURI), "too long", true},
		{good + "#x", "malformed", true},
		{good + ";x", "malformed", true},
		{good + "&x=y", "may change the codes", true},
		{strings.Replace(good, "totp", "hotp", 1), "not of type totp", false},
		{strings.Replace(good, "otpauth", "https", 1), "not of type totp", false},
		{good + "&secret=" + secret, "twice", false},
		{good + "&digits=8", "other codes", false},
	} {
		_, err := Parse(tt.uri)
		if e, ok := errors.AsType[*Error](err); !ok || !strings.Contains(e.Message, tt.message) || e.SecretAlone != tt.alone {
			t.Errorf("%.80s: %v, want %q and %t", tt.uri, err, tt.message, tt.alone)
		}
	}
}

// FuzzWrite: what Write makes, Parse reads back.
func FuzzWrite(f *testing.F) {
	for _, s := range [][2]string{
		{"Foo Corp", "alan.turing@foo-corp.com"}, {"", "x"}, {"a", ""}, {"ACME:Evil", "x"}, {"a:", "a"}, {":", "x"}, {"a+b", "a+b"},
		{"a?secret=AAAA", "b&issuer=x#y"}, {"a/b", "/../hotp/x"}, {"100%", "%3A"}, {"\xff\x00", "日本"}, {strings.Repeat("𠮷", 200), strings.Repeat("𠮷", 200)},
	} {
		f.Add(s[0], s[1], []byte("12345678901234567890"))
	}
	f.Fuzz(func(t *testing.T, issuer, account string, secret []byte) {
		if strings.Contains(account, ":") || strings.HasPrefix(account, " ") {
			return // Parse takes a blank before it for one behind the ':'
		}
		key := Key{Issuer: issuer, Account: account, Secret: WriteSecret(secret)}
		uri := Write(key)
		if got, err := Parse(uri); got != key && (err == nil || len(uri) <= maxURI) {
			t.Fatalf("%q, %q: read as %q, %q, two issuers %t, %v", issuer, account, got.Issuer, got.Account, got.TwoIssuers, err)
		}
	})
}

// FuzzParse: whatever the text, no error has a part of it that may be the secret.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"otpauth://totp/Foo:alan?secret=" + secret, "otpauth://" + secret, "otpauth://totp/a?" + secret + "=x", "otpauth://totp/a?secret=" + secret + "&secret=x",
		"otpauth://totp/%" + secret, "otpauth://totp/a?secret=%" + secret, "otpauth://a:" + secret + "@totp/a", "otpauth://totp:" + secret + "/", "otpauth://totp/a?algorithm=" + secret, secret, "\x00" + secret,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		key, err := Parse(text)
		if err == nil && (!IsURI(text) || strings.HasPrefix(key.Account, " ")) {
			t.Fatalf("%q is read as %q, %q", text, key.Issuer, key.Account)
		}
		quotesNothing(t, err, text)
	})
}

// FuzzSecret: what WriteSecret makes, ParseSecret reads back, and what ParseSecret reads
// has one spelling from then on.
func FuzzSecret(f *testing.F) {
	for _, text := range []string{
		secret, strings.ToLower(secret), secret[:4] + " " + secret[4:] + "-", secret + "====", secret + "\n", secret[:31] + "ı", "A", strings.Repeat("A", 300), strings.Repeat("A", 600),
	} {
		f.Add(text, []byte(text))
	}
	f.Fuzz(func(t *testing.T, text string, secret []byte) {
		written := WriteSecret(secret)
		got, err := ParseSecret(written)
		if allowed := minSecret <= len(secret) && len(secret) <= maxSecret; allowed != (err == nil) || allowed && !bytes.Equal(got, secret) {
			t.Fatalf("%d bytes are read as %d, %v", len(secret), len(got), err)
		}
		quotesNothing(t, err, written)

		read, err := ParseSecret(text)
		quotesNothing(t, err, text)
		if err == nil {
			plain := strings.ToUpper(strings.NewReplacer(" ", "", "-", "").Replace(text))
			if again, err := ParseSecret(WriteSecret(read)); err != nil || !bytes.Equal(again, read) || WriteSecret(read)[:25] != plain[:25] {
				t.Fatalf("%q is read as %d bytes, and then as %d, %v", text, len(read), len(again), err)
			}
		}
	})
}

var mayBeSecret = regexp.MustCompile(`[A-Z2-7]{16}`) // no word of an error is so long

func quotesNothing(t *testing.T, err error, text string) {
	t.Helper()
	if err == nil {
		return
	}
	if _, ok := errors.AsType[*Error](err); !ok {
		t.Fatalf("an error of another type: %T", err)
	}
	for _, part := range mayBeSecret.FindAllString(strings.ToUpper(text), -1) {
		if strings.Contains(strings.ToUpper(err.Error()), part) {
			t.Fatal("the error shows what may be a secret")
		}
	}
}
