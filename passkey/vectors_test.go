package passkey

import (
	_ "embed"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"testing"

	"github.com/authfactor/mfa"
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
		kept := func(q question) []byte {
			text, err := json.Marshal(q)
			if err != nil {
				t.Fatal(err)
			}
			return text
		}
		state, err := method.Ceremony.Finish(
			mfa.MethodFactor{ID: "auth_factor_1", State: Params("ann").State},
			kept(question{Challenge: v.Challenge, Handle: []byte("handle")}),
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
			Challenge: v.AuthChallenge, Allowed: []allowed{{ID: v.ID, FactorID: f.ID}},
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
