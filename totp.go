package mfa

import (
	"crypto/rand"
	"encoding/base32"
	"fmt"
	"strings"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
)

var secretEncoding = base32.StdEncoding.WithPadding(base32.NoPadding)

// totpSecret returns a new secret, or the one that was brought along.
func totpSecret(given string) ([]byte, error) {
	if given == "" {
		secret := make([]byte, secretSize)
		_, err := rand.Read(secret)
		return secret, err
	}
	if len(given) > 4*maxSecret {
		return nil, errTOTPSecret(fmt.Sprintf("The TOTP secret must be at most %d bytes.", maxSecret))
	}
	text := strings.Map(func(r rune) rune {
		switch {
		case r == ' ' || r == '-':
			return -1
		case 'a' <= r && r <= 'z':
			return r - 'a' + 'A' // not strings.ToUpper, which makes ASCII of a few others
		case r == '\r' || r == '\n':
			return '!' // which base32 would skip
		}
		return r
	}, given)
	secret, err := secretEncoding.DecodeString(strings.TrimRight(text, "="))
	switch {
	case err != nil:
		return nil, errTOTPSecret("The TOTP secret is not base32.")
	case len(secret) < minSecret:
		return nil, errTOTPSecret(fmt.Sprintf("The TOTP secret has %d bytes; RFC 4226 section 4 demands at least %d, because a shorter one can be guessed from codes.", len(secret), minSecret))
	case len(secret) > maxSecret:
		return nil, errTOTPSecret(fmt.Sprintf("The TOTP secret must be at most %d bytes.", maxSecret))
	}
	return secret, nil
}

// totpEnrollment makes what the person's app needs.
func (s *Service) totpEnrollment(f *factor) (*TOTPEnrollment, error) {
	shown := totpSecrets{secret: secretEncoding.EncodeToString(f.secret)}
	shown.uri = keyURI(f.issuer, f.account, shown.secret)
	var err error
	if shown.qrCode, err = s.qr.draw(shown.uri); err != nil {
		return nil, err
	}
	return &TOTPEnrollment{shown: hide(shown)}, nil
}

// keyURI writes the otpauth URI (the key URI format), with the issuer both in the
// label and as a parameter, since some apps read the one and some the other.
// Algorithm, digits and period are the defaults and left out, as apps ignore them.
func keyURI(issuer, account, secret string) string {
	return "otpauth://totp/" + escape(withoutColon(issuer)) + ":" + escape(account) +
		"?secret=" + secret + "&issuer=" + escape(issuer)
}

// escape keeps the unreserved characters of RFC 3986 section 2.3 and writes all
// others as %XX. (url.QueryEscape writes '+', which apps show; url.PathEscape
// lets '&' pass.)
func escape(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '.', c == '_', c == '~':
			b.WriteByte(c)
		default:
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		}
	}
	return b.String()
}

// totpCodes returns the codes that are valid now, oldest first, and the step of
// the first one (RFC 6238 section 4.2; one step of delay each way: section 5.2).
func totpCodes(secret []byte, now time.Time, p Policy) (first int64, codes []string, err error) {
	step := now.Unix() / period
	around := int64(p.steps() / 2)
	first = max(step-around, 0)
	text := secretEncoding.EncodeToString(secret)
	for s := first; s <= step+around; s++ {
		code, err := hotp.GenerateCodeCustom(text, uint64(s), hotp.ValidateOpts{Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1})
		if err != nil {
			return 0, nil, fmt.Errorf("mfa: computing a code: %w", err)
		}
		codes = append(codes, code)
	}
	return first, codes, nil
}
