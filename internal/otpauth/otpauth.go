// Package otpauth writes and reads what an authenticator app scans: the otpauth URI (the
// key URI format), and the secret in it in base32. It is about apps whose codes are those
// of SHA-1, 6 digits and 30 seconds.
package otpauth

import (
	"encoding/base32"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

const (
	scheme = "otpauth:"

	maxURI    = 4096 // bytes: others' labels are longer than ours
	minSecret = 16   // bytes: RFC 4226 section 4 R6 demands 128 bits
	maxSecret = 128
)

// A Key is what a URI tells an app. Printing it shows the secret.
type Key struct {
	Issuer, Account string
	Secret          string // in base32, as WriteSecret writes it or ParseSecret reads it

	// TwoIssuers reports whether the URI that was read names another issuer in its label
	// than in its parameter, which Issuer is.
	TwoIssuers bool
}

// An Error is why a URI or a secret is refused. It never quotes either: any part of them
// may be the secret, in the wrong place.
type Error struct {
	Message string // one English sentence

	// SecretAlone reports whether the URI is at fault, and the secret taken out of it may
	// do.
	SecretAlone bool
}

func (e *Error) Error() string { return "otpauth: " + e.Message }

// Write writes the URI, with the issuer both in the label and as a parameter, since some
// apps read the one and some the other. Algorithm, digits and period are the defaults and
// left out, as apps ignore them. The account has no ':'.
func Write(k Key) string {
	return scheme + "//totp/" + escape(LabelIssuer(k.Issuer)) + ":" + escape(k.Account) +
		"?secret=" + k.Secret + "&issuer=" + escape(k.Issuer)
}

// LabelIssuer is an issuer as the label has it, where a ':' divides issuer and account.
func LabelIssuer(issuer string) string { return strings.ReplaceAll(issuer, ":", "") }

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

// IsURI reports whether a text is meant as an otpauth URI: no base32 has a ':'.
func IsURI(text string) bool {
	return len(text) >= len(scheme) && strings.EqualFold(text[:len(scheme)], scheme)
}

// Parse reads a URI, of Write or of another system, unless it is for other codes or may
// be. The key's parts may be empty, and nobody has looked at its secret. An error is an
// [*Error].
func Parse(text string) (Key, error) {
	if len(text) > maxURI {
		return Key{}, &Error{"The otpauth URI is too long.", true}
	}
	uri, err := url.Parse(text)
	if err != nil || uri.User != nil || uri.Fragment != "" {
		return Key{}, &Error{"The otpauth URI is malformed.", true}
	}
	if !IsURI(text) || !strings.EqualFold(uri.Host, "totp") {
		return Key{}, &Error{"The otpauth URI is not of type totp.", false}
	}
	query, err := url.ParseQuery(uri.RawQuery) // takes a '+' for a blank
	if err != nil {
		return Key{}, &Error{"The otpauth URI is malformed.", true}
	}
	for name, values := range query {
		if len(values) > 1 {
			return Key{}, &Error{"The otpauth URI has a parameter twice.", false}
		}
		if !slices.Contains([]string{"secret", "issuer", "algorithm", "digits", "period", "image"}, name) {
			return Key{}, &Error{"The otpauth URI has a parameter that may change the codes: all but secret, issuer, algorithm, digits, period and image.", true}
		}
	}
	algorithms := []string{"sha1", "sha-1", "hmacsha1"}
	switch {
	case query.Has("algorithm") && !slices.Contains(algorithms, strings.ToLower(query.Get("algorithm"))),
		query.Has("digits") && query.Get("digits") != "6",
		query.Has("period") && query.Get("period") != "30":
		return Key{}, &Error{"The otpauth URI is for other codes than those of SHA-1, 6 digits and 30 seconds.", false}
	}

	label, named := strings.TrimPrefix(uri.Path, "/"), query.Get("issuer")
	issuer, account, found := strings.Cut(label, ":")
	if rest, ok := strings.CutPrefix(label, named+":"); ok && named != "" {
		issuer, account = named, rest // an issuer may have a ':'
	} else if !found {
		issuer, account = "", label
	}
	k := Key{Issuer: issuer, Account: strings.TrimLeft(account, " "), Secret: query.Get("secret")}
	if named != "" {
		// Some wrote '+' for a blank in the label as well.
		same := []string{"", named, LabelIssuer(named)}
		k.TwoIssuers = !slices.Contains(same, issuer) && strings.ReplaceAll(issuer, "+", " ") != named
		k.Issuer = named
	}
	return k, nil
}

var secretEncoding = base32.StdEncoding.WithPadding(base32.NoPadding)

// WriteSecret writes a secret in base32, as Key and apps have it.
func WriteSecret(secret []byte) string { return secretEncoding.EncodeToString(secret) }

// ParseSecret reads a secret in base32, in either case, with blanks and dashes between and
// with or without padding. An error is an [*Error].
func ParseSecret(text string) ([]byte, error) {
	tooLong := &Error{Message: fmt.Sprintf("The TOTP secret must be at most %d bytes.", maxSecret)}
	if len(text) > 4*maxSecret {
		return nil, tooLong
	}
	plain := strings.Map(func(r rune) rune {
		switch {
		case r == ' ' || r == '-':
			return -1
		case 'a' <= r && r <= 'z':
			return r - 'a' + 'A' // not strings.ToUpper, which makes ASCII of a few others
		case r == '\r' || r == '\n':
			return '!' // which base32 would skip
		}
		return r
	}, text)
	secret, err := secretEncoding.DecodeString(strings.TrimRight(plain, "="))
	switch {
	case err != nil:
		return nil, &Error{Message: "The TOTP secret is not base32."}
	case len(secret) < minSecret:
		return nil, &Error{Message: fmt.Sprintf("The TOTP secret has %d bytes; RFC 4226 section 4 demands at least %d, because a shorter one can be guessed from codes.", len(secret), minSecret)}
	case len(secret) > maxSecret:
		return nil, tooLong
	}
	return secret, nil
}
