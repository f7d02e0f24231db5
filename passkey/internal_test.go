package passkey

import (
	"bytes"
	_ "embed"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/internal/codec"
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

// A passkeyOf is a passkey that was registered at a site, with what was asked and answered.
type passkeyOf struct {
	site             mfa.Ceremony
	key              *passkeytest.Authenticator
	fresh, confirmed mfa.MethodFactor // before its registration, and after

	registers, created []byte // the registration
	login, got         []byte // an answer that was not given yet
}

func newPasskey(t *testing.T) passkeyOf {
	t.Helper()
	method, err := New(Config{
		RPID: "example.org", RPName: "Example", Origins: []string{"https://example.org"},
	})
	if err != nil {
		t.Fatal(err)
	}
	p := passkeyOf{site: method.Ceremony, key: passkeytest.New("https://example.org")}
	p.fresh = mfa.MethodFactor{ID: "f", State: begun(t, method)}
	options, kept, err := p.site.Begin(p.fresh, nil)
	if err != nil {
		t.Fatal(err)
	}
	p.registers = kept
	if p.created, err = p.key.Create(options); err != nil {
		t.Fatal(err)
	}
	state, err := p.site.Finish(p.fresh, p.registers, p.created)
	if err != nil {
		t.Fatal(err)
	}
	p.confirmed = mfa.MethodFactor{ID: "f", Verified: true, State: state}
	if options, p.login, err = p.site.Begin(p.confirmed, nil); err != nil {
		t.Fatal(err)
	}
	if p.got, err = p.key.Get(options); err != nil {
		t.Fatal(err)
	}
	return p
}

// TestFinishIsExact: whatever the library asks, a registration does not change a confirmed
// passkey, an authentication is not for one that is not, and a passkey answers only for its
// own factor and where it is allowed.
func TestFinishIsExact(t *testing.T) {
	p := newPasskey(t)
	if _, err := p.site.Finish(p.confirmed, p.login, p.got); err != nil {
		t.Fatal(err)
	}
	again := p.confirmed
	again.ID = "g"
	unconfirmed, stateless := p.confirmed, p.confirmed
	unconfirmed.Verified, stateless.State = false, nil
	weak, err := cbor.Marshal(map[int]any{1: 3, 3: -257, -1: make([]byte, 128), -2: []byte{1, 0, 1}})
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		f            mfa.MethodFactor
		kept, answer []byte
	}{
		"a registration with a weak key":        {p.fresh, p.registers, withKey(t, p.created, weak)},
		"a registration of a confirmed passkey": {p.confirmed, p.registers, p.created},
		"a registration of one that has a key":  {unconfirmed, p.registers, p.created},
		"a login with an unconfirmed one":       {unconfirmed, p.login, p.got},
		"a login for another factor":            {again, p.login, p.got},
		"no question":                           {p.confirmed, nil, p.got},
		"no state":                              {stateless, p.login, p.got},
	} {
		if _, err := p.site.Finish(tt.f, tt.kept, tt.answer); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

// TestMalformed: what is stored and malformed is an error, and nothing is made up for it.
func TestMalformed(t *testing.T) {
	p := newPasskey(t)
	begin := func(f mfa.MethodFactor, siblings ...mfa.MethodFactor) error {
		_, _, err := p.site.Begin(f, siblings)
		return err
	}
	finish := func(f mfa.MethodFactor, kept, answer []byte) error {
		_, err := p.site.Finish(f, kept, answer)
		return err
	}
	own, err := decodeCredential(p.confirmed.State)
	if err != nil {
		t.Fatal(err)
	}
	large := p.confirmed
	large.State = withCount(own, 1<<32)

	sibling, broken := p.confirmed, mfa.MethodFactor{ID: "h", Verified: true, State: []byte("broken")}
	sibling.ID = "g"
	options, kept, err := p.site.Begin(p.fresh, []mfa.MethodFactor{sibling})
	if err != nil {
		t.Fatal(err)
	}
	created, err := passkeytest.New("https://example.org").Create(options)
	if err != nil {
		t.Fatal(err)
	}

	short := question{challenge: make([]byte, 16), allowed: []allowed{{own.id, "f"}}}
	asked, err := json.Marshal(requestOptions{
		Challenge: short.challenge, RPID: "example.org", Allow: []descriptor{own.descriptor()},
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := p.key.Get(asked)
	if err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"a sign count of 33 bits":       finish(large, p.login, p.got),
		"no state of an enrolment":      begin(mfa.MethodFactor{ID: "f"}),
		"a sibling at a login":          begin(p.confirmed, broken),
		"a sibling at a registration":   begin(p.fresh, broken),
		"a question that was cut off":   finish(p.fresh, kept[:len(kept)-1], created),
		"a question of 16 random bytes": finish(p.confirmed, short.encode(), got),
	} {
		if !errors.Is(err, errState) {
			t.Errorf("%s: %v, want %v", name, err, errState)
		}
	}
	if err := finish(p.fresh, kept, created); err != nil {
		t.Errorf("what was not cut off: %v", err)
	}
}

// withCount is the state of a passkey with any sign count.
func withCount(own credential, count int64) []byte {
	c := codec.NewWriter(nil)
	c.String(&own.label)
	for _, b := range []*[]byte{&own.id, &own.key, &own.handle, &own.aaguid} {
		c.Bytes(b)
	}
	codec.List(c, &own.transports, maxTransports, c.String)
	c.Int(&count)
	return c.Written()
}

// TestNewerState: a login keeps what a newer version appended to the state.
func TestNewerState(t *testing.T) {
	p := newPasskey(t)
	p.confirmed.State = append(p.confirmed.State, "newer"...)
	state, err := p.site.Finish(p.confirmed, p.login, p.got)
	if err != nil || !bytes.HasSuffix(state, []byte("newer")) {
		t.Errorf("%q, %v", state, err)
	}
}

// TestModel: the model is told as a UUID.
func TestModel(t *testing.T) {
	own := credential{id: []byte("id"), handle: []byte("handle")}
	model, _ := hex.DecodeString("000102030405060708090a0b0c0d0e0f")
	for want, aaguid := range map[string][]byte{
		"00010203-0405-0607-0809-0a0b0c0d0e0f": model, "": nil,
	} {
		own.aaguid = aaguid
		_, details := new(ceremony).Describe(own.encode())
		var d Details
		if err := json.Unmarshal(details, &d); err != nil || d.AAGUID != want {
			t.Errorf("%q, %v; want %q", d.AAGUID, err, want)
		}
	}
}

// TestLargeKey: a public key may have members that nobody reads, and is stored whole, so that
// it has an end.
func TestLargeKey(t *testing.T) {
	p := newPasskey(t)
	x, _ := hex.DecodeString("6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296")
	y, _ := hex.DecodeString("4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5")
	for size, want := range map[int]bool{1000: true, maxKey: false} {
		cose, err := cbor.Marshal(map[int]any{
			1: 2, 3: -7, -1: 1, -2: x, -3: y, -70000: make([]byte, size),
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = p.site.Finish(p.fresh, p.registers, withKey(t, p.created, cose))
		if (err == nil) != want {
			t.Errorf("a key with %d bytes more: %v", size, err)
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
	return withAttestation(t, created, func(attestation map[string]any) {
		data := attestation["authData"].([]byte)
		const beforeID = 32 + 1 + 4 + 16 + 2
		attestation["authData"] = append(data[:beforeID+int(data[beforeID-1])], cose...)
	})
}

// withAttestation is an answer to a registration whose attestation object is changed.
func withAttestation(t *testing.T, created []byte, change func(map[string]any)) []byte {
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
	change(attestation)
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

// TestAttestations: those of every kind are not looked at, and do not have to be known.
func TestAttestations(t *testing.T) {
	p := newPasskey(t)
	for _, format := range []string{
		"none", "packed", "tpm", "android-key", "android-safetynet", "fido-u2f", "apple", "compound",
		"x",
	} {
		answer := withAttestation(t, p.created, func(attestation map[string]any) {
			statement := map[string]any{"sig": []byte("of nothing"), "x5c": []any{}}
			attestation["fmt"], attestation["attStmt"] = format, statement
			if format == "compound" {
				attestation["attStmt"] = []any{map[string]any{"fmt": "packed", "attStmt": statement}}
			}
		})
		if _, err := p.site.Finish(p.fresh, p.registers, answer); err != nil {
			t.Errorf("attestation %q: %v", format, err)
		}
	}
}
