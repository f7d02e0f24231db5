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
	f := mfa.MethodFactor{ID: "auth_factor_1", State: passkey.Params(ann).State}
	options, kept, err := method.Ceremony.Begin(f, nil)
	if err != nil {
		b.Fatal(err)
	}
	answer, err := key.Create(options)
	if err != nil {
		b.Fatal(err)
	}
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
	var stored struct {
		Key []byte `json:"key"`
	}
	if err := json.Unmarshal(options, &asked); err != nil {
		b.Fatal(err)
	}
	if err := json.Unmarshal(f.State, &stored); err != nil {
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
			stored.Key, protocol.SignaturePolicy{},
		); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkVerify is a whole Verify of such an answer.
func BenchmarkVerify(b *testing.B) {
	method, err := passkey.New(config)
	if err != nil {
		b.Fatal(err)
	}
	svc, err := mfa.New(mfa.Config{Methods: []mfa.Method{method}})
	if err != nil {
		b.Fatal(err)
	}
	key := passkeytest.New(origin)
	enr, err := svc.Enroll(b.Context(), mfa.EnrollParams{UserID: ann, Method: passkey.Params(ann)})
	if err != nil {
		b.Fatal(err)
	}
	ask := func() mfa.Challenge {
		ch, err := svc.Challenge(b.Context(), mfa.ChallengeParams{
			FactorID: enr.Factor.ID, UserID: ann, Confirm: true,
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
	ch := ask()
	answer, err := key.Create(ch.Options())
	verify(ch, answer, err)
	b.ReportAllocs()
	var took time.Duration
	for b.Loop() {
		ch := ask()
		answer, err := key.Get(ch.Options())
		begin := time.Now()
		verify(ch, answer, err)
		took += time.Since(begin)
	}
	// Stopping the timer would take longer.
	b.ReportMetric(float64(took.Nanoseconds())/float64(b.N), "ns/op")
}
