package passkey_test

import (
	"testing"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/passkey"
	"github.com/authfactor/mfa/passkey/passkeytest"
)

// FuzzAnswer: whatever comes back from a browser, neither ceremony panics, and no answer but
// the one that was signed is right.
func FuzzAnswer(f *testing.F) {
	method, err := passkey.New(config)
	if err != nil {
		f.Fatal(err)
	}
	key := passkeytest.New(origin)
	begin := func(state []byte, verified bool) (mfa.MethodFactor, []byte, []byte) {
		factor := mfa.MethodFactor{ID: "auth_factor_1", Verified: verified, State: state}
		options, kept, err := method.Ceremony.Begin(factor, nil)
		if err != nil {
			f.Fatal(err)
		}
		return factor, options, kept
	}
	fresh, options, registers := begin(passkey.Params("ann").State, false)
	created, err := key.Create(options)
	if err != nil {
		f.Fatal(err)
	}
	state, err := method.Ceremony.Finish(fresh, registers, created)
	if err != nil {
		f.Fatal(err)
	}
	confirmed, options, answers := begin(state, true)
	got, err := key.Get(options)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(created)
	f.Add(got)
	f.Add(created[:len(created)/2])
	f.Add(
		[]byte(`{"id":"AA","rawId":"AA","type":"public-key","response":{"attestationObject":"o2Nm"}}`),
	)
	f.Add([]byte("[[[[[[[["))
	f.Fuzz(func(t *testing.T, answer []byte) {
		method.Ceremony.Claims(answers, answer)
		if _, err := method.Ceremony.Finish(
			confirmed,
			answers,
			answer,
		); err == nil &&
			len(answer) < len(got)/2 {
			t.Errorf("%q logs in", answer)
		}
		if state, err := method.Ceremony.Finish(
			fresh,
			registers,
			answer,
		); err == nil &&
			len(state) > 16<<10 {
			t.Errorf("a state of %d bytes", len(state))
		}
	})
}
