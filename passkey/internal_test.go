package passkey

import (
	"bytes"
	_ "embed"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/passkey/passkeytest"
)

// vectors are those of WebAuthn Level 3 section 16: a registration and an authentication of
// each kind, by authenticators that send attestations although none was asked for.
//
//go:embed testdata/vectors.json
var vectors []byte

type hexadecimal []byte

func (h *hexadecimal) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

func (h hexadecimal) base64URL() string { return base64.RawURLEncoding.EncodeToString(h) }

// TestVectors: a computer's TPM, security keys, phones and an authenticator of the older U2F
// register and answer. What has an algorithm that was not offered, or is asked within
// another site's page, is a wrong answer.
func TestVectors(t *testing.T) {
	var all []struct {
		Section           string
		Title             string
		ID                hexadecimal
		Challenge         hexadecimal
		ClientData        hexadecimal `json:"client_data"`
		AttestationObject hexadecimal `json:"attestation_object"`
		AuthChallenge     hexadecimal `json:"auth_challenge"`
		AuthClientData    hexadecimal `json:"auth_client_data"`
		AuthenticatorData hexadecimal `json:"authenticator_data"`
		Signature         hexadecimal
	}
	if err := json.Unmarshal(vectors, &all); err != nil {
		t.Fatal(err)
	}
	method, err := New(Config{
		RPID: "example.org", RPName: "Example", Origins: []string{"https://example.org"},
	})
	if err != nil {
		t.Fatal(err)
	}
	refused := map[string]bool{
		"16.4": true, // within another site's page
		"16.5": true, // the same, and it says of which
		"16.8": true, // ES384
	}
	registered := 0
	for _, v := range all {
		answer := func(response map[string]any) []byte {
			text, err := json.Marshal(map[string]any{
				"id": v.ID.base64URL(), "rawId": v.ID.base64URL(), "type": "public-key",
				"clientExtensionResults": map[string]any{}, "response": response,
			})
			if err != nil {
				t.Fatal(err)
			}
			return text
		}
		kept := func(q question) []byte { return q.encode() }
		state, err := method.Ceremony.Finish(
			mfa.MethodFactor{ID: "auth_factor_1", State: begun(t, method)},
			kept(question{challenge: v.Challenge, handle: []byte("handle")}),
			answer(map[string]any{
				"clientDataJSON":    v.ClientData.base64URL(),
				"attestationObject": v.AttestationObject.base64URL(),
				"transports":        []string{"usb"},
			}),
		)
		if refused[v.Section] {
			if err == nil {
				t.Errorf("%s %s is registered", v.Section, v.Title)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s %s: %v", v.Section, v.Title, err)
			continue
		}
		registered++
		f := mfa.MethodFactor{ID: "auth_factor_1", Verified: true, State: state}
		login := kept(question{
			challenge: v.AuthChallenge, allowed: []allowed{{id: v.ID, factorID: f.ID}},
		})
		response := map[string]any{
			"clientDataJSON":    v.AuthClientData.base64URL(),
			"authenticatorData": v.AuthenticatorData.base64URL(),
			"signature":         v.Signature.base64URL(),
		}
		if id := method.Ceremony.Claims(login, answer(response)); id != f.ID {
			t.Errorf("%s %s: the answer is of %q", v.Section, v.Title, id)
		}
		if _, err := method.Ceremony.Finish(f, login, answer(response)); err != nil {
			t.Errorf("%s %s logs in: %v", v.Section, v.Title, err)
		}
		v.Signature[len(v.Signature)-1]++
		response["signature"] = v.Signature.base64URL()
		if _, err := method.Ceremony.Finish(f, login, answer(response)); err == nil {
			t.Errorf("%s %s logs in with another signature", v.Section, v.Title)
		}
	}
	if registered < 10 {
		t.Errorf("%d were registered", registered)
	}
}

// TestKeys: a key that could not answer, or is weak, is not taken.
func TestKeys(t *testing.T) {
	rsa := func(alg, bits int, exponent ...byte) map[int]any {
		modulus := bytes.Repeat([]byte{0xff}, bits/8)
		return map[int]any{1: 3, 3: alg, -1: modulus, -2: exponent}
	}
	curve := func(y ...byte) map[int]any {
		x, _ := hex.DecodeString("6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296")
		return map[int]any{1: 2, 3: -7, -1: 1, -2: x, -3: y}
	}
	y, _ := hex.DecodeString("4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5")
	for name, tt := range map[string]struct {
		key  map[int]any
		want bool
	}{
		"RSA of 2048 bits":      {rsa(-257, 2048, 1, 0, 1), true},
		"RSA of 4096 bits":      {rsa(-257, 4096, 1, 0, 1), true},
		"RSA of 1024 bits":      {rsa(-257, 1024, 1, 0, 1), false},
		"RSA of 8192 bits":      {rsa(-257, 8192, 1, 0, 1), false},
		"RSA with exponent 3":   {rsa(-257, 2048, 0, 0, 3), false},
		"RSA with exponent 1":   {rsa(-257, 2048, 0, 0, 1), false},
		"RSA that says ES256":   {rsa(-7, 2048, 1, 0, 1), false},
		"P-256":                 {curve(y...), true},
		"P-256, not on it":      {curve(make([]byte, 32)...), false},
		"P-256, one coordinate": {curve(), false},
		"nothing":               {map[int]any{}, false},
	} {
		cose, err := cbor.Marshal(tt.key)
		if err != nil {
			t.Fatal(err)
		}
		if err := checkKey(cose); (err == nil) != tt.want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestFinishIsExact: whatever the library asks, a registration does not change a confirmed
// passkey, an authentication is not for one that is not, and a passkey answers only for its
// own factor and where it is allowed.
func TestFinishIsExact(t *testing.T) {
	method, err := New(Config{
		RPID: "example.org", RPName: "Example", Origins: []string{"https://example.org"},
	})
	if err != nil {
		t.Fatal(err)
	}
	c, key := method.Ceremony, passkeytest.New("https://example.org")
	fresh := mfa.MethodFactor{ID: "f", State: begun(t, method)}
	options, registers, err := c.Begin(fresh, nil)
	if err != nil {
		t.Fatal(err)
	}
	created, err := key.Create(options)
	if err != nil {
		t.Fatal(err)
	}
	state, err := c.Finish(fresh, registers, created)
	if err != nil {
		t.Fatal(err)
	}
	confirmed := mfa.MethodFactor{ID: "f", Verified: true, State: state}
	options, login, err := c.Begin(confirmed, nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := key.Get(options)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Finish(confirmed, login, got); err != nil {
		t.Fatal(err)
	}
	again := confirmed
	again.ID = "g"
	unconfirmed := confirmed
	unconfirmed.Verified = false
	weak, err := cbor.Marshal(map[int]any{1: 3, 3: -257, -1: make([]byte, 128), -2: []byte{1, 0, 1}})
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		f            mfa.MethodFactor
		kept, answer []byte
	}{
		"a registration with a weak key":        {fresh, registers, withKey(t, created, weak)},
		"a registration of a confirmed passkey": {confirmed, registers, created},
		"a login with an unconfirmed one":       {unconfirmed, login, got},
		"a login for another factor":            {again, login, got},
		"no question":                           {confirmed, nil, got},
		"no state":                              {mfa.MethodFactor{ID: "f", Verified: true}, login, got},
	} {
		if _, err := c.Finish(tt.f, tt.kept, tt.answer); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

// begun is the state of a factor that was just enrolled.
func begun(t *testing.T, method mfa.Method) []byte {
	t.Helper()
	state, err := method.Ceremony.Enroll(Params("ann").Params)
	if err != nil {
		t.Fatal(err)
	}
	return state
}

// withKey is an answer to a registration with another public key, which nobody signs without
// an attestation.
func withKey(t *testing.T, created, cose []byte) []byte {
	t.Helper()
	var all map[string]any
	if err := json.Unmarshal(created, &all); err != nil {
		t.Fatal(err)
	}
	response := all["response"].(map[string]any)
	object, err := base64.RawURLEncoding.DecodeString(response["attestationObject"].(string))
	if err != nil {
		t.Fatal(err)
	}
	var attestation map[string]any
	if err := cbor.Unmarshal(object, &attestation); err != nil {
		t.Fatal(err)
	}
	data := attestation["authData"].([]byte)
	const beforeID = 32 + 1 + 4 + 16 + 2
	attestation["authData"] = append(data[:beforeID+int(data[beforeID-1])], cose...)
	if object, err = cbor.Marshal(attestation); err != nil {
		t.Fatal(err)
	}
	response["attestationObject"] = base64.RawURLEncoding.EncodeToString(object)
	answer, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}
