package passkey_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/go-webauthn/webauthn/protocol"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/passkey"
	"github.com/authfactor/mfa/passkey/passkeytest"
)

// BenchmarkEngine is the baseline: the engine parses an answer and checks it, and nothing is
// remembered.
func BenchmarkEngine(b *testing.B) {
	method, err := passkey.New(config)
	if err != nil {
		b.Fatal(err)
	}
	key := passkeytest.New(origin)
	f := mfa.MethodFactor{ID: "auth_factor_1"}
	if f.State, err = method.Ceremony.Enroll(passkey.Params(ann).Params); err != nil {
		b.Fatal(err)
	}
	options, kept, err := method.Ceremony.Begin(f, nil)
	if err != nil {
		b.Fatal(err)
	}
	answer, err := key.Create(options)
	if err != nil {
		b.Fatal(err)
	}
	created, err := protocol.ParseCredentialCreationResponseBytes(answer)
	if err != nil {
		b.Fatal(err)
	}
	public := created.Response.AttestationObject.AuthData.AttData.CredentialPublicKey
	if f.State, err = method.Ceremony.Finish(f, kept, answer); err != nil {
		b.Fatal(err)
	}
	f.Verified = true
	if options, _, err = method.Ceremony.Begin(f, nil); err != nil {
		b.Fatal(err)
	}
	var asked struct {
		Challenge string `json:"challenge"`
	}
	if err := json.Unmarshal(options, &asked); err != nil {
		b.Fatal(err)
	}
	if answer, err = key.Get(options); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		parsed, err := protocol.ParseCredentialRequestResponseBytes(answer)
		if err != nil {
			b.Fatal(err)
		}
		if err := parsed.Verify(
			asked.Challenge, config.RPID, "", config.Origins, nil, nil,
			protocol.TopOriginExplicitVerificationMode, false, false, true,
			public, protocol.SignaturePolicy{},
		); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkVerify is a whole Verify of such an answer, by the passkey that was challenged and
// by another one of the same user.
func BenchmarkVerify(b *testing.B) {
	b.Run("challenged", func(b *testing.B) { benchmarkVerify(b, 0, 1) })
	b.Run("another of 2", func(b *testing.B) { benchmarkVerify(b, 1, 2) })
	b.Run("another of 10", func(b *testing.B) { benchmarkVerify(b, 9, 10) })
}

// benchmarkVerify challenges the first of a user's passkeys, and one of them answers.
func benchmarkVerify(b *testing.B, answers, passkeys int) {
	b.Helper()
	method, err := passkey.New(config)
	if err != nil {
		b.Fatal(err)
	}
	svc, err := mfa.New(mfa.Config{
		Store: new(mfa.MemoryStore), Methods: []mfa.Method{method}, InsecureSkipProof: true,
	})
	if err != nil {
		b.Fatal(err)
	}
	ask := func(f mfa.Factor) mfa.Challenge {
		ch, err := svc.Challenge(b.Context(), mfa.ChallengeParams{
			FactorID: f.ID, UserID: ann, Confirm: true,
		})
		if err != nil {
			b.Fatal(err)
		}
		return ch
	}
	verify := func(ch mfa.Challenge, answer []byte, err error) {
		if err == nil {
			_, err = svc.Verify(b.Context(), mfa.VerifyParams{
				ChallengeID: ch.ID, UserID: ann, Answer: answer,
			})
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	var factors []mfa.Factor
	var keys []*passkeytest.Authenticator
	for i := range passkeys {
		enr, err := svc.Enroll(b.Context(), mfa.EnrollParams{UserID: ann, Method: passkey.Params(ann)})
		if err != nil {
			b.Fatal(err)
		}
		factors, keys = append(factors, enr.Factor), append(keys, passkeytest.New(origin))
		ch := ask(factors[i])
		answer, err := keys[i].Create(ch.Options())
		verify(ch, answer, err)
	}
	b.ReportAllocs()
	var took time.Duration
	for b.Loop() {
		ch := ask(factors[0])
		answer, err := keys[answers].Get(ch.Options())
		begin := time.Now()
		verify(ch, answer, err)
		took += time.Since(begin)
	}
	// Stopping the timer would take longer.
	b.ReportMetric(float64(took.Nanoseconds())/float64(b.N), "ns/op")
}
