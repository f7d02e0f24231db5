// Package passkey adds passkeys and security keys (WebAuthn) to package mfa, as a type of
// factor: [New] gives the method for mfa.Config.Methods. Such a factor cannot be phished,
// because the browser signs for which site it answers (NIST SP 800-63B-4 section 3.2.5).
//
//	method, err := passkey.New(passkey.Config{
//		RPID:    "example.com",
//		RPName:  "Example",
//		Origins: []string{"https://example.com", "https://login.example.com"},
//	})
//	...
//	svc, err := mfa.New(mfa.Config{Methods: []mfa.Method{method}, ...})
//
// The three verbs stay as they are. Enroll with [Params], Challenge it with Confirm, and give
// Challenge.Options to the browser: PublicKeyCredential.parseCreationOptionsFromJSON reads
// them for navigator.credentials.create. What toJSON gives of the credential is
// VerifyParams.Answer, and Verify confirms the passkey.
//
// At a login, Challenge any of the person's passkeys. Its options are for
// PublicKeyCredential.parseRequestOptionsFromJSON and navigator.credentials.get. They allow
// all confirmed passkeys of the person, so that whichever is at hand can answer, and
// Verification.Factor is the one that did. They list credential ids, so give them to the
// browser after the password was right. Challenge and Verify take at most two reads, and one
// write each. A page within one of another origin gets no passkey.
package passkey

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/internal/typed"
)

// Type is the type of these factors, in Factor.Type, in stores and in JSON.
const Type mfa.FactorType = "webauthn"

// A Config says for which site passkeys are.
type Config struct {
	// RPID is the domain that passkeys belong to, such as "example.com", in lower case and
	// without scheme and port ("xn--" for a domain of other letters). It is the origin's
	// domain, or one above that: passkeys for "login.example.com" do not work on
	// "example.com", and cannot be moved there. With another RPID no passkey works any
	// more. Required.
	RPID string

	// RPName is what browsers may show of the application, up to 64 characters. It can be
	// changed at any time. Required.
	RPName string

	// Origins are the pages that may ask for a passkey: "https://" and a host, which is
	// RPID or below it, with a port where it is not 443, and nothing behind. "http://" is
	// for localhost alone. An Android app's is "android:apk-key-hash:" and its hash. An
	// origin may be added or left out at any time. Required.
	Origins []string

	// UserVerification says whether the authenticator checks the person, by a PIN or a
	// finger. Defaults to [Preferred]. After a change to [Required], keys that have no PIN
	// do not answer any more.
	UserVerification UserVerification
}

// A UserVerification is a value of Config.UserVerification.
type UserVerification string

// The values of WebAuthn. As a second factor, beside a password, presence is enough.
const (
	Preferred   UserVerification = "preferred"   // where it can
	Required    UserVerification = "required"    // an answer without it is a wrong one
	Discouraged UserVerification = "discouraged" // only where the authenticator insists
)

// New returns the method for mfa.Config.Methods. Its errors match [mfa.ErrConfig] and say
// how to correct the Config.
func New(cfg Config) (mfa.Method, error) {
	if err := cfg.validate(); err != nil {
		return mfa.Method{}, fmt.Errorf("%w: %w", mfa.ErrConfig, err)
	}
	c := &ceremony{
		rpID: cfg.RPID, rpName: cfg.RPName, origins: slices.Clone(cfg.Origins),
		verification: cmp.Or(cfg.UserVerification, Preferred),
	}
	return mfa.Method{
		Type: Type, Ceremony: c, PhishingResistant: true,
		InsecureUnlimited: true, // a signature is not guessed, so wrong answers need no wait
	}, nil
}

// Params are for mfa.EnrollParams.Method. label is what the browser shows of the person's
// account, such as an e-mail address: 1 to 64 characters, by the rules of EnrollParams.Name.
// Shorten a longer one. It is stored, and goes to the authenticator. For one that cannot be
// shown Enroll returns [mfa.ErrInvalidParameter]. As JSON the parameters are {"label": "..."}.
//
// Call navigator.credentials.create once for each Challenge, and send its answer before
// Challenge is called again: a second passkey of the same enrolment takes the place of the
// first one on its device.
func Params(label string) *mfa.MethodParams {
	if !utf8.ValidString(label) { // which JSON would change, and Enroll is to refuse
		return &mfa.MethodParams{Type: Type, Params: []byte(label)}
	}
	text, _ := json.Marshal(params{label}) // of a string
	return &mfa.MethodParams{Type: Type, Params: text}
}

// params are what Params makes, as JSON.
type params struct {
	Label string `json:"label"`
}

// Details are what is known of a passkey, as of its latest accepted answer. In
// Verification.Factor that is the answer which this Verify accepted.
type Details struct {
	// UserVerified is true if the authenticator checked the person, by a PIN or a finger,
	// and not their presence alone.
	UserVerified bool `json:"user_verified"`

	// BackupEligible is true for a passkey that may be on several devices, as phones and
	// password managers make them. Once true, it stays so.
	BackupEligible bool `json:"backup_eligible"`

	// BackedUp is true if it was on several devices, or kept by a provider. It may change
	// with each answer. A passkey that is not is lost with its device.
	BackedUp bool `json:"backed_up"`

	// SignCount is how many signatures the authenticator counted, 0 if it does not count.
	SignCount uint32 `json:"sign_count"`

	// AAGUID is the authenticator's model as a UUID, by which lists on the web have names,
	// or all zero. Nothing proves it: no attestation is asked for.
	AAGUID string `json:"aaguid"`

	// Transports are how browsers reach the authenticator, such as "internal" or "usb", as
	// the browser said at the registration.
	Transports []string `json:"transports"`
}

// DetailsOf returns what is known of a passkey. It reports false for a factor of another type,
// and for one that is not confirmed.
func DetailsOf(f mfa.Factor) (Details, bool) {
	var d Details
	if f.Type != Type || json.Unmarshal([]byte(f.Details), &d) != nil {
		return Details{}, false
	}
	return d, true
}

const (
	androidApp = "android:apk-key-hash:"
	maxText    = 64 // characters of a name or a label
	maxOrigins = 32
)

func (c Config) validate() error {
	if err := checkRPID(c.RPID); err != nil {
		return err
	}
	if err := checkText("passkey.Config.RPName", c.RPName); err != nil {
		return err
	}
	if len(c.Origins) == 0 || len(c.Origins) > maxOrigins {
		return fmt.Errorf("passkey.Config.Origins has %d origins; it must have 1 to %d, such as %q",
			len(c.Origins), maxOrigins, "https://"+c.RPID)
	}
	for _, origin := range c.Origins {
		if err := checkOrigin(origin, c.RPID); err != nil {
			return err
		}
	}
	known := []UserVerification{"", Preferred, Required, Discouraged}
	if !slices.Contains(known, c.UserVerification) {
		return fmt.Errorf("passkey.Config.UserVerification is %q; it must be %q, %q or %q",
			c.UserVerification, Preferred, Required, Discouraged)
	}
	return nil
}

// checkRPID refuses what is no domain name and what is an address, which browsers take for no RP
// ID (WebAuthn Level 3 section 5.1.3). It does not know that nobody owns "co.uk".
func checkRPID(id string) error {
	const cure = "it must be a domain in lower case, with xn-- for other letters, and without " +
		"scheme, port and path, such as \"example.com\" of https://login.example.com"
	labels := strings.Split(id, ".")
	last := labels[len(labels)-1]
	// What ends in a number is an address to browsers.
	address := strings.Trim(last, "0123456789") == "" ||
		strings.HasPrefix(last, "0x") && strings.Trim(last[2:], "0123456789abcdef") == ""
	malformed := func(label string) bool {
		return label == "" || len(label) > 63 ||
			strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" ||
			label[0] == '-' || label[len(label)-1] == '-'
	}
	switch {
	case len(id) > 253, slices.ContainsFunc(labels, malformed):
		return fmt.Errorf("passkey.Config.RPID is %q; %s", id, cure)
	case address:
		return fmt.Errorf("passkey.Config.RPID is the address %q; browsers take none: %s", id, cure)
	}
	return nil
}

// checkOrigin refuses what can be no origin of a page that uses the RP ID.
func checkOrigin(origin, rpID string) error {
	if hash, ok := strings.CutPrefix(origin, androidApp); ok {
		return checkApp(origin, hash)
	}
	u, err := url.Parse(origin)
	if err != nil {
		return fmt.Errorf("the origin %q of passkey.Config.Origins is no URL; one is such as %q",
			origin, "https://"+rpID)
	}
	host := u.Hostname()
	want := u.Scheme + "://" + host
	if text := u.Port(); text != "" {
		port, err := strconv.ParseUint(text, 10, 16)
		if err != nil || port == 0 {
			return fmt.Errorf("the origin %q of passkey.Config.Origins must have a port from 1 to 65535, "+
				"or none", origin)
		}
		want += ":" + strconv.FormatUint(port, 10)
	}
	switch {
	case want != origin, checkRPID(host) != nil:
		return fmt.Errorf("the origin %q of passkey.Config.Origins must be a scheme and a domain, "+
			"in lower case, without wildcards and with nothing behind, such as %q",
			origin, "https://"+rpID)
	case u.Scheme != "https" && (u.Scheme != "http" || host != "localhost"):
		return fmt.Errorf("the origin %q of passkey.Config.Origins must begin with https://; "+
			"http:// is for localhost alone", origin)
	case u.Port() == "443" && u.Scheme == "https", u.Port() == "80" && u.Scheme == "http":
		return fmt.Errorf("the origin %q of passkey.Config.Origins must leave out the port: "+
			"browsers do", origin)
	}
	return checkSite(origin, host, rpID)
}

// checkSite refuses a page of another site.
func checkSite(origin, host, rpID string) error {
	switch {
	case host == rpID:
		return nil
	case !strings.Contains(rpID, "."):
		return fmt.Errorf("passkey.Config.RPID is %q, which is no domain of the origin %q: a name "+
			"without a dot is for its own pages alone", rpID, origin)
	case !strings.HasSuffix(host, "."+rpID):
		return fmt.Errorf("the origin %q of passkey.Config.Origins is not of passkey.Config.RPID, "+
			"which is %q: use the domain that all origins have in common", origin, rpID)
	}
	return nil
}

// checkApp refuses what is no hash of an app's certificate.
func checkApp(origin, hash string) error {
	sum, err := base64.RawURLEncoding.Strict().DecodeString(hash)
	if err != nil || len(sum) != sha256.Size {
		return fmt.Errorf("the origin %q of passkey.Config.Origins must end with the SHA-256 of "+
			"the app's certificate in base64url, 43 characters", origin)
	}
	return nil
}

// checkText refuses what cannot be shown.
func checkText(what, text string) error {
	if text == "" {
		return errors.New(what + " is required")
	}
	if err := typed.Name(text, maxText, typed.Optional); err != nil {
		return fmt.Errorf("%s %w", what, err)
	}
	return nil
}
