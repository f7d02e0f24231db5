package mfa

import (
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"

	"github.com/authfactor/mfa/internal/otpauth"
)

// totpSecret returns a new secret, or the one that was brought along.
func totpSecret(given string) ([]byte, error) {
	if given == "" {
		secret := make([]byte, secretSize)
		_, err := rand.Read(secret)
		return secret, err
	}
	secret, err := otpauth.ParseSecret(given)
	if err != nil {
		return nil, errOTPAuth(err)
	}
	return secret, nil
}

// errOTPAuth is a refusal of package otpauth, which quotes nothing.
func errOTPAuth(err error) error {
	e, ok := errors.AsType[*otpauth.Error](err)
	switch {
	case !ok:
		return err
	case e.SecretAlone:
		return errTOTPSecret(e.Message + " The secret alone can be imported, with Issuer and User.")
	}
	return errTOTPSecret(e.Message)
}

// totpEnrollment makes what the person's app needs.
func (s *Service) totpEnrollment(f *factor) (*TOTPEnrollment, error) {
	shown := totpSecrets{secret: otpauth.WriteSecret(f.secret)}
	shown.uri = otpauth.Write(otpauth.Key{Issuer: f.issuer, Account: f.account, Secret: shown.secret})
	var err error
	if shown.qrCode, err = s.qr.Draw(shown.uri); err != nil {
		return nil, errors.New("mfa: the otpauth URI does not fit a QR code")
	}
	return &TOTPEnrollment{shown: hide(shown)}, nil
}

// totpCodes returns the codes that are valid now, oldest first, and the step of
// the first one (RFC 6238 section 4.2; one step of delay each way: section 5.2).
func totpCodes(secret []byte, now time.Time, p Policy) (first int64, codes []string, err error) {
	step := now.Unix() / period
	around := int64(p.steps() / 2)
	first = max(step-around, 0)
	text := otpauth.WriteSecret(secret)
	for s := first; s <= step+around; s++ {
		code, err := hotp.GenerateCodeCustom(text, uint64(s), hotp.ValidateOpts{Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1})
		if err != nil {
			return 0, nil, fmt.Errorf("mfa: computing a code: %w", err)
		}
		codes = append(codes, code)
	}
	return first, codes, nil
}
