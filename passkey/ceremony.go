package passkey

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"unicode/utf8"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"

	"github.com/authfactor/mfa"
)

const (
	challengeSize = 32 // bytes; WebAuthn Level 3 section 13.4.3 demands 16
	handleSize    = 32 // bytes, of at most 64: section 5.4.3
	maxKey        = 2 << 10
	timeout       = 10 * 60 * 1000 // milliseconds: the longest that a challenge lives
)

// algorithms of signatures, best first: Ed25519, ES256, RS256.
var algorithms = []protocol.CredentialParameter{
	{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.AlgEdDSA},
	{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.AlgES256},
	{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.AlgRS256},
}

// A ceremony is both ceremonies of WebAuthn: a registration confirms a factor, and an
// authentication answers for it.
type ceremony struct {
	rpID, rpName string
	origins      []string
	verification UserVerification
}

var _ mfa.Ceremony = (*ceremony)(nil)

// Enroll makes what the first challenge needs.
func (c *ceremony) Enroll(text []byte) (state []byte, err error) {
	var p params
	if !utf8.Valid(text) || json.Unmarshal(text, &p) != nil {
		return nil, errors.New(`they must be {"label": "..."} in UTF-8`)
	}
	if err := checkText("label", p.Label); err != nil {
		return nil, err
	}
	own := credential{label: p.Label, handle: make([]byte, handleSize)}
	_, _ = rand.Read(own.handle) // never fails: crypto/rand
	return own.encode(), nil
}

// Begin makes the options for the browser.
func (c *ceremony) Begin(
	f mfa.MethodFactor, siblings []mfa.MethodFactor,
) (options, kept []byte, err error) {
	own, err := decodeCredential(f.State)
	if err != nil {
		return nil, nil, err
	}
	q := question{challenge: make([]byte, challengeSize)}
	_, _ = rand.Read(q.challenge) // never fails: crypto/rand
	if f.Verified {
		options, err = c.request(own, f.ID, siblings, &q)
	} else {
		options, err = c.creation(own, siblings, &q)
	}
	if err != nil {
		return nil, nil, err
	}
	return options, q.encode(), nil
}

// The options as JSON, after PublicKeyCredentialCreationOptionsJSON and
// PublicKeyCredentialRequestOptionsJSON (WebAuthn Level 3 sections 5.1.8 and 5.1.9).
type (
	base64URL []byte

	descriptor struct {
		Type       string    `json:"type"`
		ID         base64URL `json:"id"`
		Transports []string  `json:"transports,omitempty"`
	}

	creationOptions struct {
		RP struct {
			ID   string `json:"id"`
			Name string `json:"name"`
		} `json:"rp"`
		User struct {
			ID          base64URL `json:"id"`
			Name        string    `json:"name"`
			DisplayName string    `json:"displayName"`
		} `json:"user"`
		Challenge   base64URL                      `json:"challenge"`
		Algorithms  []protocol.CredentialParameter `json:"pubKeyCredParams"`
		Timeout     int                            `json:"timeout"`
		Exclude     []descriptor                   `json:"excludeCredentials"`
		Selection   selection                      `json:"authenticatorSelection"`
		Attestation string                         `json:"attestation"`
	}

	selection struct {
		ResidentKey        string           `json:"residentKey"`
		RequireResidentKey bool             `json:"requireResidentKey"`
		UserVerification   UserVerification `json:"userVerification"`
	}

	requestOptions struct {
		Challenge        base64URL        `json:"challenge"`
		Timeout          int              `json:"timeout"`
		RPID             string           `json:"rpId"`
		Allow            []descriptor     `json:"allowCredentials"`
		UserVerification UserVerification `json:"userVerification"`
	}
)

// MarshalText gives base64url without padding.
func (b base64URL) MarshalText() ([]byte, error) {
	return []byte(base64.RawURLEncoding.EncodeToString(b)), nil
}

// creation asks for a new passkey. Authenticators that have one of the user's refuse, and
// the user handle tells nothing about the person (WebAuthn Level 3 section 14.6.1).
func (c *ceremony) creation(
	own credential, siblings []mfa.MethodFactor, q *question,
) ([]byte, error) {
	var o creationOptions
	o.Exclude = []descriptor{}
	for _, s := range siblings {
		other, err := decodeCredential(s.State)
		if err != nil {
			return nil, err
		}
		o.Exclude = append(o.Exclude, other.descriptor())
		q.allowed = append(q.allowed, allowed{other.id, s.ID})
		if len(q.handle) == 0 {
			q.handle = other.handle
		}
	}
	if len(q.handle) == 0 { // it is the user's first
		q.handle = own.handle
	}
	o.RP.ID, o.RP.Name = c.rpID, c.rpName
	o.User.ID, o.User.Name, o.User.DisplayName = q.handle, own.label, own.label
	o.Challenge, o.Algorithms, o.Timeout = q.challenge, algorithms, timeout
	// Phones and password managers keep such a passkey on all of the person's devices; a
	// security key whose few places are taken makes one of the other kind.
	o.Selection = selection{ResidentKey: "preferred", UserVerification: c.verification}
	o.Attestation = "none" // nothing here depends on the model
	return json.Marshal(o)
}

// request asks for an answer by any of the user's passkeys.
func (c *ceremony) request(
	own credential, id string, siblings []mfa.MethodFactor, q *question,
) ([]byte, error) {
	o := requestOptions{
		Challenge: q.challenge, Timeout: timeout, RPID: c.rpID, UserVerification: c.verification,
	}
	add := func(cred credential, factorID string) {
		o.Allow = append(o.Allow, cred.descriptor())
		q.allowed = append(q.allowed, allowed{cred.id, factorID})
	}
	add(own, id)
	for _, s := range siblings {
		other, err := decodeCredential(s.State)
		if err != nil {
			return nil, err
		}
		add(other, s.ID)
	}
	return json.Marshal(o)
}

func (c credential) descriptor() descriptor {
	return descriptor{Type: "public-key", ID: c.id, Transports: c.transports}
}

// Claims returns the factor of the passkey that an answer says it is of.
func (c *ceremony) Claims(kept, answer []byte) string {
	q, err := decodeQuestion(kept)
	if err != nil {
		return ""
	}
	var claimed struct {
		ID string `json:"id"`
	}
	if json.Unmarshal(answer, &claimed) != nil {
		return ""
	}
	id, err := base64.RawURLEncoding.DecodeString(claimed.ID)
	if err != nil {
		return ""
	}
	return q.factorOf(id)
}

// Finish checks an answer.
func (c *ceremony) Finish(f mfa.MethodFactor, kept, answer []byte) (state []byte, err error) {
	q, err := decodeQuestion(kept)
	if err != nil {
		return nil, err
	}
	own, err := decodeCredential(f.State)
	if err != nil {
		return nil, err
	}
	if q.registers() == f.Verified || own.registered() != f.Verified {
		return nil, errors.New("passkey: an answer of the other ceremony")
	}
	if q.registers() {
		own, err = c.register(own, q, answer)
	} else {
		own, err = c.authenticate(own, q, f.ID, answer)
	}
	if err != nil {
		return nil, err
	}
	return own.encode(), nil
}

// Describe tells what an answer of the passkey proves: that a key was used which is in one
// device, as far as it says itself, or in several, and that somebody was present. By which
// means the authenticator checked the person, nobody is told, so that "pin" is not claimed.
func (c *ceremony) Describe(state []byte) (amr []string, details []byte) {
	own, err := decodeCredential(state)
	if err != nil || !own.registered() {
		return nil, nil
	}
	amr = []string{"hwk", "user"}
	if own.backupEligible {
		amr[0] = "swk"
	}
	model := hex.EncodeToString(own.aaguid)
	if len(model) == 32 {
		model = model[:8] + "-" + model[8:12] + "-" + model[12:16] + "-" + model[16:20] + "-" + model[20:]
	}
	details, _ = json.Marshal(Details{ // of strings, numbers and booleans
		UserVerified: own.userVerified, BackupEligible: own.backupEligible, BackedUp: own.backedUp,
		SignCount: own.signCount, AAGUID: model, Transports: own.transports,
	})
	return amr, details
}

// register checks the answer to creation (WebAuthn Level 3 section 7.1).
func (c *ceremony) register(own credential, q question, answer []byte) (credential, error) {
	parsed, err := protocol.ParseCredentialCreationResponseBytes(answer)
	if err != nil {
		return own, err
	}
	if !c.expects(parsed.Response.CollectedClientData.Origin) {
		return own, errOrigin
	}
	// None was asked for, so none is looked at: it would refuse people whose authenticator
	// sends one all the same, and prove nothing that is needed here.
	parsed.Response.AttestationObject.Format = "none"
	parsed.Response.AttestationObject.AttStatement = nil
	parsed.Response.AttestationObject.SubStatements = nil
	if _, err := parsed.Verify(
		base64.RawURLEncoding.EncodeToString(q.challenge), c.rpID, c.origins, nil, nil,
		protocol.TopOriginExplicitVerificationMode, false, c.verification == Required, true,
		nil, algorithms, protocol.AttestationPolicy{}, protocol.SignaturePolicy{},
	); err != nil {
		return own, err
	}
	data := parsed.Response.AttestationObject.AuthData
	if err := own.observe(data); err != nil {
		return own, err
	}
	own.id, own.key = data.AttData.CredentialID, data.AttData.CredentialPublicKey
	switch {
	case len(own.key) > maxKey: // the engine looks at the length of the id
		return own, errors.New("passkey: the key is too large")
	case q.factorOf(own.id) != "": // section 7.1 step 26, as far as the user goes
		return own, errors.New("passkey: the passkey is registered already")
	}
	if err := checkKey(own.key); err != nil {
		return own, err
	}
	own.handle, own.aaguid = q.handle, data.AttData.AAGUID
	for _, t := range parsed.Response.Transports {
		known := slices.Contains(own.transports, string(t))
		if !known && len(t) <= 32 && len(own.transports) < maxTransports {
			own.transports = append(own.transports, string(t))
		}
	}
	return own, nil
}

// authenticate checks the answer to request (WebAuthn Level 3 section 7.2).
func (c *ceremony) authenticate(
	own credential, q question, factorID string, answer []byte,
) (credential, error) {
	parsed, err := protocol.ParseCredentialRequestResponseBytes(answer)
	if err != nil {
		return own, err
	}
	handle := parsed.Response.UserHandle
	switch {
	case !c.expects(parsed.Response.CollectedClientData.Origin):
		return own, errOrigin
	case !bytes.Equal(parsed.RawID, own.id) || q.factorOf(own.id) != factorID:
		return own, errors.New("passkey: an answer of another passkey")
	case len(handle) > 0 && !bytes.Equal(handle, own.handle):
		return own, errors.New("passkey: an answer of another user")
	}
	if err := parsed.Verify(
		base64.RawURLEncoding.EncodeToString(q.challenge), c.rpID, "", c.origins, nil, nil,
		protocol.TopOriginExplicitVerificationMode, false, c.verification == Required, true,
		own.key, protocol.SignaturePolicy{},
	); err != nil {
		return own, err
	}
	data := parsed.Response.AuthenticatorData
	// Both zero is an authenticator that does not count (step 22).
	if (data.Counter > 0 || own.signCount > 0) && data.Counter <= own.signCount {
		return own, fmt.Errorf("passkey: the sign count did not grow: %w", mfa.ErrCopied)
	}
	err = own.observe(data)
	return own, err
}

var errOrigin = errors.New("passkey: an answer of another origin")

// expects reports whether answers of the origin are taken. The engine forgives case, a path
// and a user, which no browser sends.
func (c *ceremony) expects(origin string) bool { return slices.Contains(c.origins, origin) }

// checkKey refuses a key that could not answer, and RSA keys of unusual sizes: confirming it may
// end all other factors of the user. Whoever registers a key can give it away in any case.
func checkKey(cose []byte) error {
	key, err := webauthncose.ParsePublicKey(cose)
	if err != nil {
		return err
	}
	if k, ok := key.(webauthncose.RSAPublicKeyData); ok {
		bits := new(big.Int).SetBytes(k.Modulus).BitLen()
		if k.Algorithm != int64(webauthncose.AlgRS256) || bits < 2048 || bits > 4096 ||
			!bytes.Equal(k.Exponent, []byte{1, 0, 1}) {
			return errors.New("passkey: the RSA key is not taken")
		}
	}
	return nil
}

// observe takes over what each answer tells anew.
func (c *credential) observe(data protocol.AuthenticatorData) error {
	if data.Flags.HasBackupState() && !data.Flags.HasBackupEligible() {
		return errors.New("passkey: a backup of what cannot be backed up")
	}
	c.signCount = data.Counter
	c.userVerified, c.backedUp = data.Flags.HasUserVerified(), data.Flags.HasBackupState()
	// It is meant to stay as it is (section 6.1.3), but some providers began to synchronize
	// passkeys that they had. What was on several devices once may be there still.
	c.backupEligible = c.backupEligible || data.Flags.HasBackupEligible()
	return nil
}
