package mfatest

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// Code returns the six digits that an authenticator app shows at a time: RFC 6238
// with SHA-1 and steps of 30 seconds. The app is given the secret in base32, as
// TOTPEnrollment.Secret has it, or scans the whole otpauth URI.
//
// It is a second implementation, not the one that the service checks with. It
// panics on a secret that is not base32 and on a time before 1970.
func Code(secret string, at time.Time) string {
	if strings.HasPrefix(secret, "otpauth:") {
		uri, err := url.Parse(secret)
		if err != nil || uri.Host != "totp" {
			panic("mfatest: this is no otpauth URI of type totp")
		}
		secret = uri.Query().Get("secret")
	}
	key, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(secret)
	if err != nil || len(key) == 0 {
		panic("mfatest: the secret is not base32")
	}
	if at.Unix() < 0 {
		panic("mfatest: there are no codes before 1970")
	}
	mac := hmac.New(sha1.New, key)
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(at.Unix()/30)))
	sum := mac.Sum(nil)
	at31 := binary.BigEndian.Uint32(sum[sum[len(sum)-1]&15:]) & 0x7fffffff // RFC 4226 section 5.3
	return fmt.Sprintf("%06d", at31%1_000_000)
}
