package passkey_test

import (
	"encoding/base64"
	"encoding/json"
	"strings"
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
	state, err := method.Ceremony.Enroll(passkey.Params("ann").Params)
	if err != nil {
		f.Fatal(err)
	}
	fresh, options, registers := begin(state, false)
	created, err := key.Create(options)
	if err != nil {
		f.Fatal(err)
	}
	state, err = method.Ceremony.Finish(fresh, registers, created)
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
		if _, err := method.Ceremony.Finish(confirmed, answers, answer); err == nil &&
			!sameMembers(t, answer, got, "clientDataJSON", "authenticatorData", "signature") {
			t.Errorf("%q logs in", answer)
		}
		if _, err := method.Ceremony.Finish(fresh, registers, answer); err == nil &&
			!sameMembers(t, answer, created, "clientDataJSON") {
			t.Errorf("%q registers", answer)
		}
	})
}

// sameMembers reports whether two answers have the same bytes in these members.
func sameMembers(t *testing.T, a, b []byte, names ...string) bool {
	t.Helper()
	var one, other struct{ Response map[string]any }
	if json.Unmarshal(a, &one) != nil || json.Unmarshal(b, &other) != nil {
		return false
	}
	decoded := func(v any) string {
		text, _ := v.(string)
		data, _ := base64.RawURLEncoding.DecodeString(strings.TrimRight(text, "="))
		return string(data)
	}
	for _, name := range names {
		if decoded(one.Response[name]) != decoded(other.Response[name]) {
			return false
		}
	}
	return true
}
