package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/authfactor/mfa"
)

// The headers of Standard Webhooks.
const (
	headerID        = "Webhook-Id"
	headerTimestamp = "Webhook-Timestamp"
	headerSignature = "Webhook-Signature"
)

const (
	minSecret = 24 // bytes, as Standard Webhooks says
	maxSecret = 64
	maxID     = 255
)

// A Secret is what both sides sign with. It does not print. The zero value is no secret.
type Secret struct {
	// A function, because fmt follows pointers and never calls functions.
	sign func(id, timestamp string, body []byte) string
}

// ParseSecret reads "whsec_" and the base64 of 24 to 64 random bytes, with padding. An error
// says what else it is, does not quote it, and matches [mfa.ErrConfig].
func ParseSecret(text string) (Secret, error) {
	encoded, ok := strings.CutPrefix(text, "whsec_")
	if !ok {
		return Secret{}, fmt.Errorf("%w: webhook: a secret must begin with whsec_", mfa.ErrConfig)
	}
	key, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil || strings.ContainsAny(encoded, "\r\n") {
		return Secret{}, fmt.Errorf("%w: webhook: after whsec_ a secret must be base64, with padding",
			mfa.ErrConfig)
	}
	if len(key) < minSecret || len(key) > maxSecret {
		return Secret{}, fmt.Errorf("%w: webhook: a secret must be 24 to 64 bytes long", mfa.ErrConfig)
	}
	return Secret{sign: func(id, timestamp string, body []byte) string {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(id + "." + timestamp + "."))
		mac.Write(body)
		return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}}, nil
}

// signed reports whether one of the signatures, with spaces between them, is of one of the
// secrets. Signatures of other schemes, such as v1a, do not count. How long it takes tells
// nothing of how much of a signature is right.
func signed(secrets []Secret, signatures, id, timestamp string, body []byte) bool {
	signed := false
	for _, secret := range secrets {
		want := []byte(secret.sign(id, timestamp, body))
		for signature := range strings.SplitSeq(signatures, " ") {
			if hmac.Equal([]byte(signature), want) {
				signed = true
			}
		}
	}
	return signed
}

// validID reports whether an id can be a header and can be told from the timestamp that
// follows it in what is signed: printable ASCII without spaces and full stops.
func validID(id string) bool {
	for i := range len(id) {
		if id[i] <= ' ' || id[i] > '~' || id[i] == '.' {
			return false
		}
	}
	return id != "" && len(id) <= maxID
}
