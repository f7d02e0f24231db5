package mfatest

import (
	"crypto/fips140"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// Code returns the six digits that an authenticator app shows at a time: RFC
// 6238 with SHA-1 and steps of 30 seconds. The secret is in base32, as
// [mfa.TOTPEnrollment.Secret] returns it, or a whole otpauth URI, as the app
// scans it. A code is accepted once: for the next one, advance the clock by 30
// seconds.
//
// Code does not share code with the service, so that tests compare two
// implementations. It panics on a secret that is not base32, on an otpauth URI
// that is malformed or not of type totp, and on a time before 1970; the panic
// does not show the secret.
func Code(secret string, at time.Time) string {
	if strings.HasPrefix(secret, "otpauth:") {
		uri, err := url.Parse(secret)
		if err != nil || uri.Host != "totp" {
			panic("mfatest: the otpauth URI is malformed or not of type totp")
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
	var sum []byte
	fips140.WithoutEnforcement(func() { // an app is outside that boundary
		mac := hmac.New(sha1.New, key)
		mac.Write(binary.BigEndian.AppendUint64(nil, uint64(at.Unix()/30)))
		sum = mac.Sum(nil)
	})
	offset := sum[len(sum)-1] & 0xf // RFC 4226 section 5.3
	number := binary.BigEndian.Uint32(sum[offset:]) & 0x7fffffff
	return fmt.Sprintf("%06d", number%1_000_000)
}
