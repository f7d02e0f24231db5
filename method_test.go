package mfa_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/proof"
)

// typeToy is a type of factor from outside: a key that signs what a challenge asks. Its
// ceremony is all that is written for it. What the tests of this file show beside comes
// from the library.
const typeToy mfa.FactorType = "toy_key"

// toyKept is what a challenge of a toy keeps, and what the person's device is asked.
type toyKept struct {
	Nonce    []byte
	Siblings []string
}

// toyAnswer is what the device answers.
type toyAnswer struct {
	ID        string
	Public    ed25519.PublicKey // with the first answer only
	Signature []byte
}

type toyCeremony struct{}

func (toyCeremony) Enroll(params []byte) ([]byte, error) {
	if string(params) == "broken" {
		return nil, errors.New("the toy is broken")
	}
	return nil, nil
}

func (toyCeremony) Describe(state []byte) (amr []string, details []byte) {
	return []string{"hwk"}, fmt.Appendf(nil, `{"bytes":%d}`, len(state))
}

func (toyCeremony) Begin(
	f mfa.MethodFactor,
	siblings []mfa.MethodFactor,
) (options, kept []byte, err error) {
	asked := toyKept{Nonce: make([]byte, 32)}
	if f.Verified {
		asked.Siblings = append(asked.Siblings, f.ID)
	}
	for _, s := range siblings {
		asked.Siblings = append(asked.Siblings, s.ID)
	}
	if _, err := rand.Read(asked.Nonce); err != nil {
		return nil, nil, err
	}
	kept, err = json.Marshal(asked)
	return kept, kept, err
}

func (toyCeremony) Claims(kept, answer []byte) string {
	var asked toyKept
	var a toyAnswer
	if json.Unmarshal(kept, &asked) != nil || json.Unmarshal(answer, &a) != nil ||
		!slices.Contains(asked.Siblings, a.ID) {
		return ""
	}
	return a.ID
}

func (toyCeremony) Finish(f mfa.MethodFactor, kept, answer []byte) ([]byte, error) {
	var asked toyKept
	var a toyAnswer
	if err := errors.Join(json.Unmarshal(kept, &asked), json.Unmarshal(answer, &a)); err != nil {
		return nil, err
	}
	public := ed25519.PublicKey(f.State)
	if !f.Verified {
		public = a.Public
	}
	if len(public) != ed25519.PublicKeySize || !ed25519.Verify(public, asked.Nonce, a.Signature) {
		return nil, errors.New("the signature is wrong")
	}
	return public, nil
}

// A toy is a factor and the key that its owner has.
type toy struct {
	mfa.Factor
	key ed25519.PrivateKey
}

func withToys(ceremony mfa.Ceremony) func(*mfa.Config) {
	return func(c *mfa.Config) { c.Methods = []mfa.Method{{Type: typeToy, Ceremony: ceremony}} }
}

func (r *rig) enrollToy(userID string) toy {
	r.T.Helper()
	enr, err := r.Enroll(r.T.Context(), mfa.EnrollParams{
		UserID: userID, NoOwner: userID == "", Method: &mfa.MethodParams{Type: typeToy},
	})
	if err != nil {
		r.T.Fatal(err)
	}
	return toy{
		enr.Factor,
		ed25519.NewKeyFromSeed(bytes.Repeat([]byte(enr.Factor.ID)[len(enr.Factor.ID)-16:], 2)),
	}
}

// toy is a confirmed one.
func (r *rig) toy(userID string) toy {
	r.T.Helper()
	f := r.enrollToy(userID)
	if _, err := r.answerToy(r.challengeToy(f), f); err != nil {
		r.T.Fatal(err)
	}
	r.Clock.Advance(3 * time.Minute)
	return f
}

// sign is the right answer of a toy to a challenge that was just made.
func (f toy) sign(ch mfa.Challenge) []byte {
	var asked toyKept
	_ = json.Unmarshal(ch.Options(), &asked) // a test fails if the answer is wrong
	answer, _ := json.Marshal(toyAnswer{
		ID: f.ID, Public: f.key.Public().(ed25519.PublicKey), Signature: ed25519.Sign(f.key, asked.Nonce),
	})
	return answer
}

func (r *rig) answerToy(ch mfa.Challenge, f toy) (mfa.Verification, error) {
	return r.Verify(r.T.Context(), mfa.VerifyParams{
		ChallengeID: ch.ID, UserID: f.UserID, Answer: f.sign(ch),
	})
}

// challengeToy challenges a toy to confirm it, as any page does that enrolls.
func (r *rig) challengeToy(f toy) mfa.Challenge {
	r.T.Helper()
	ch, err := r.Challenge(r.T.Context(), mfa.ChallengeParams{
		FactorID: f.ID, UserID: f.UserID, Confirm: true,
	})
	if err != nil {
		r.T.Fatal(err)
	}
	return ch
}

// TestMethod: a type from outside has what every type has, without a line about it.
func TestMethod(t *testing.T) {
	r := newRig(t, withToys(toyCeremony{}))
	ctx := t.Context()
	f := r.enrollToy(ann)
	if f.Type != typeToy || f.Status != mfa.StatusUnverified {
		t.Fatalf("enrolled %+v", f.Factor)
	}
	v, err := r.answerToy(r.challengeToy(f), f)
	if err != nil || !v.FirstUse || v.Factor.Status != mfa.StatusVerified || v.Factor.Type != typeToy {
		t.Fatalf("confirming: %+v, %v", v, err)
	}
	if got := kinds(
		r.Took(),
	); !slices.Equal(
		got,
		[]mfa.EventKind{mfa.EventEnrolled, mfa.EventVerified, mfa.EventFirstUse},
	) {
		t.Errorf("events %v", got)
	}

	pay := proof.ActionOf("pay", "10 EUR")
	ch, err := r.Challenge(ctx, mfa.ChallengeParams{FactorID: f.ID, UserID: ann, Action: pay})
	if err != nil {
		t.Fatal(err)
	}
	v, err = r.Verify(ctx, mfa.VerifyParams{
		ChallengeID: ch.ID, UserID: ann, Answer: f.sign(ch), Action: pay,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Redeem(ctx, proof.Claim{
		Receipt: v.Receipt(), UserID: ann, Action: pay,
	}); err != nil {
		t.Errorf("its receipt: %v", err)
	}
	_, err = r.answerToy(ch, f)
	mustBe(t, err, proof.ErrMismatch)

	ch = r.Ask(enrolled{Factor: f.Factor})
	answer := func(int) error { _, err := r.answerToy(ch, f); return err }
	if errs := all(20, answer); count(errs, nil) != 1 {
		t.Errorf("an answer given 20 times at once: %v", errs)
	}
	_, err = r.answerToy(ch, f)
	mustBe(t, err, mfa.ErrChallengePreviouslyVerified)

	ch = r.Ask(enrolled{Factor: f.Factor})
	r.Clock.Advance(10 * time.Minute)
	_, err = r.answerToy(ch, f)
	mustBe(t, err, mfa.ErrChallengeExpired)

	public := []byte(f.key.Public().(ed25519.PublicKey))
	for _, rec := range r.Records() {
		if bytes.Contains(rec.State, public[:16]) {
			t.Errorf("the %s's State is not sealed", rec.Kind)
		}
	}
}

// TestMethodIsLimited: wrong answers are counted, make the factor wait and disable it.
func TestMethodIsLimited(t *testing.T) {
	for _, unlimited := range []bool{false, true} {
		r := newRig(
			t,
			withToys(toyCeremony{}),
			func(c *mfa.Config) { c.Methods[0].InsecureUnlimited = unlimited },
		)
		f := r.toy(ann)
		thief := toy{f.Factor, ed25519.NewKeyFromSeed(make([]byte, 32))}
		var err error
		wrong, waits := 0, 0
		for wrong < 30 {
			ch, challengeErr := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: ann})
			for range 6 {
				if err = challengeErr; err == nil {
					if _, err = r.answerToy(ch, thief); err == nil {
						t.Fatal("the thief's answer is right")
					}
				}
				if errors.Is(err, mfa.ErrThrottled) {
					waits++
					r.Clock.Advance(refusal(t, err).RetryAfter)
					break
				}
				if errors.Is(err, mfa.ErrInvalidCode) {
					wrong++
				}
			}
			if unlimited {
				mustBe(t, err, mfa.ErrTooManyAttempts) // the sixth
			}
		}
		_, err = r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: ann})
		now, factorErr := r.Factor(t.Context(), mfa.FactorParams{FactorID: f.ID, UserID: ann})
		if factorErr != nil || unlimited != (now.Status == mfa.StatusVerified) {
			t.Errorf("InsecureUnlimited %t: %+v, %v", unlimited, now, factorErr)
		}
		if unlimited != (err == nil) || unlimited != (waits == 0) ||
			unlimited == errors.Is(err, mfa.ErrFactorDisabled) {
			t.Errorf("InsecureUnlimited %t: %d waits, then %v", unlimited, waits, err)
		}
	}
}

// TestMethodSiblings: any confirmed factor of the type and owner may answer, and nobody
// else's, nor one of another type, nor one that is not confirmed. A wrong answer counts on
// the one that it claims to be of.
func TestMethodSiblings(t *testing.T) {
	r := newRig(t, withToys(toyCeremony{}))
	one, two, foreign, app := r.toy(ann), r.toy(ann), r.toy("user_bob"), r.TOTP(ann)
	fresh := r.enrollToy(ann)

	var ch mfa.Challenge
	if calls := r.Calls(
		func() { ch = r.Ask(enrolled{Factor: one.Factor}) },
	); calls != "Load Load Save" {
		t.Errorf("Challenge calls %s", calls)
	}
	var asked toyKept
	if err := json.Unmarshal(
		ch.Options(),
		&asked,
	); err != nil ||
		!slices.Equal(asked.Siblings, []string{one.ID, two.ID}) {
		t.Errorf("the device is asked for %v, %v", asked.Siblings, err)
	}
	var v mfa.Verification
	var err error
	if calls := r.Calls(
		func() { v, err = r.answerToy(ch, two) },
	); err != nil ||
		calls != "Load Load Save" {
		t.Fatalf("a sibling's answer: %v, and Verify calls %s", err, calls)
	}
	if v.Factor.ID != two.ID || v.Challenge.FactorID != two.ID {
		t.Errorf("it was answered by %s, %s, want %s", v.Factor.ID, v.Challenge.FactorID, two.ID)
	}
	if e := r.Took(); e[len(e)-1].FactorID != two.ID {
		t.Errorf("the event is of %s", e[len(e)-1].FactorID)
	}
	ch = r.Ask(enrolled{Factor: one.Factor})
	if calls := r.Calls(func() { _, err = r.answerToy(ch, one) }); err != nil || calls != "Load Save" {
		t.Errorf("its own answer: %v, and Verify calls %s", err, calls)
	}

	// A ceremony that lets everybody answer for everybody.
	cfg := r.Config
	withToys(credulous{})(&cfg)
	svc, err := mfa.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]toy{
		"somebody else's": foreign, "one that is not confirmed": fresh,
		"of another type": {app.Factor, one.key},
		"not there":       {mfa.Factor{ID: "auth_factor_01KDVDNA00HPXWXZG9EP8N1RCY"}, one.key},
	} {
		r.Took()
		ch := r.Ask(enrolled{Factor: one.Factor})
		_, err := svc.Verify(t.Context(), mfa.VerifyParams{
			ChallengeID: ch.ID,
			UserID:      ann,
			Answer:      toy{mfa.Factor{ID: f.ID}, f.key}.sign(ch),
		})
		if e := r.Took(); f.key.Equal(one.key) { // its own key, under another id
			if err != nil || e[0].FactorID != one.ID {
				t.Errorf("%s: %v, %+v", name, err, e)
			}
			continue
		}
		mustBe(t, err, mfa.ErrInvalidCode)
	}
	r.Took()
	ch = r.Ask(enrolled{Factor: one.Factor})
	_, err = r.answerToy(ch, toy{two.Factor, one.key})
	mustBe(t, err, mfa.ErrInvalidCode)
	if e := r.Took(); len(e) != 1 || e[0].FactorID != two.ID || e[0].Failures != 1 {
		t.Errorf("a wrong answer that claims to be the sibling's counts as %+v", e)
	}
}

// A credulous ceremony asks for the factor that the answer names, whichever it is.
type credulous struct{ toyCeremony }

func (credulous) Claims(_, answer []byte) string {
	var a toyAnswer
	_ = json.Unmarshal(answer, &a)
	return a.ID
}

// TestMethodKeyedChallenge: a repeated call is asked the same.
func TestMethodKeyedChallenge(t *testing.T) {
	r := newRig(t, withToys(toyCeremony{}))
	f := r.toy(ann)
	p := mfa.ChallengeParams{FactorID: f.ID, UserID: ann, IdempotencyKey: "a key"}
	first, err := r.Challenge(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	again, err := r.Challenge(t.Context(), p)
	if err != nil || again.ID != first.ID || !bytes.Equal(again.Options(), first.Options()) ||
		len(first.Options()) == 0 {
		t.Errorf("%s, then %s, %v", first.Options(), again.Options(), err)
	}
	answer := f.sign(first)
	for range 2 { // the second is a repeat
		v, err := r.Verify(t.Context(), mfa.VerifyParams{
			ChallengeID: first.ID, UserID: ann, Answer: answer, IdempotencyKey: "another",
		})
		if err != nil || v.Factor.ID != f.ID {
			t.Errorf("%+v, %v", v, err)
		}
	}
	_, err = r.Verify(t.Context(), mfa.VerifyParams{
		ChallengeID:    first.ID,
		UserID:         ann,
		Answer:         []byte("other"),
		IdempotencyKey: "another",
	})
	mustBe(t, err, mfa.ErrIdempotencyKey)
	if out := printed(first); strings.Contains(out, "Nonce") {
		t.Error("the options print")
	}
}

// A naive ceremony tells a registration by what its challenge kept.
type naive struct{ toyCeremony }

func (c naive) Finish(f mfa.MethodFactor, kept, answer []byte) ([]byte, error) {
	var asked toyKept
	if err := json.Unmarshal(kept, &asked); err != nil {
		return nil, err
	}
	f.Verified = len(asked.Siblings) > 0
	return c.toyCeremony.Finish(f, kept, answer)
}

// TestMethodRegistersOnce: the answer to a second registration that was begun before the
// first was answered does not put another key in the place of the confirmed one.
func TestMethodRegistersOnce(t *testing.T) {
	r := newRig(t, withToys(naive{}))
	f := r.enrollToy(ann)
	thief := toy{f.Factor, ed25519.NewKeyFromSeed(make([]byte, 32))}
	first, second := r.challengeToy(f), r.challengeToy(f)
	if _, err := r.answerToy(first, f); err != nil {
		t.Fatal(err)
	}
	_, err := r.answerToy(second, thief)
	mustBe(t, err, mfa.ErrChallengeExpired)
	if _, err := r.answerToy(r.challengeToy(f), f); err != nil {
		t.Errorf("the owner: %v", err)
	}
}

// A counting ceremony counts its calls.
type counting struct {
	toyCeremony
	begun, claimed *int
}

func newCounting() counting { return counting{begun: new(int), claimed: new(int)} }

func (c counting) Begin(
	f mfa.MethodFactor, siblings []mfa.MethodFactor,
) (options, kept []byte, err error) {
	*c.begun++
	return c.toyCeremony.Begin(f, siblings)
}

func (c counting) Claims(kept, answer []byte) string {
	*c.claimed++
	return c.toyCeremony.Claims(kept, answer)
}

// TestCeremonyIsAskedLast: what is refused or repeated reaches no ceremony.
func TestCeremonyIsAskedLast(t *testing.T) {
	c := newCounting()
	r := newRig(t, withToys(c))
	f := r.toy(ann)
	r.toy(ann) // of one alone nobody asks which it is
	pending := r.enrollToy(ann)
	*c.begun = 0
	_, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: pending.ID, UserID: ann})
	mustBe(t, err, mfa.ErrFactorUnverified)
	if *c.begun != 0 {
		t.Error("a refused challenge was begun")
	}
	p := mfa.ChallengeParams{FactorID: f.ID, UserID: ann, IdempotencyKey: "key"}
	ch, err := r.Challenge(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Challenge(t.Context(), p); err != nil || *c.begun != 1 {
		t.Errorf("begun %d times, %v", *c.begun, err)
	}
	*c.claimed = 0
	_, err = r.Verify(t.Context(), mfa.VerifyParams{
		ChallengeID: ch.ID, UserID: ann, Answer: f.sign(ch), Action: pay,
	})
	mustBe(t, err, proof.ErrMismatch)
	if *c.claimed != 0 {
		t.Error("the answer for another action was parsed")
	}
	r.Clock.Advance(10 * time.Minute)
	_, err = r.answerToy(ch, f)
	mustBe(t, err, mfa.ErrChallengeExpired)
	if *c.claimed != 0 {
		t.Error("the answer to an expired challenge was parsed")
	}
}

// TestMethodsAreChecked: New refuses what cannot be a type, and Enroll what is none.
func TestMethodsAreChecked(t *testing.T) {
	good := mfa.Method{Type: typeToy, Ceremony: toyCeremony{}}
	for name, methods := range map[string][]mfa.Method{
		"built in": {{Type: mfa.TypeTOTP, Ceremony: toyCeremony{}}}, "twice": {good, good},
		"no ceremony": {{Type: typeToy}},
		"no type":     {{Ceremony: toyCeremony{}}},
		"upper case":  {{Type: "Toy", Ceremony: toyCeremony{}}},
		"five": {
			good, {Type: "b", Ceremony: toyCeremony{}}, {Type: "c", Ceremony: toyCeremony{}},
			{Type: "d", Ceremony: toyCeremony{}}, {Type: "e", Ceremony: toyCeremony{}},
		},
		"long": {{Type: mfa.FactorType(strings.Repeat("a", 33)), Ceremony: toyCeremony{}}},
	} {
		_, err := mfa.New(mfa.Config{Store: new(mfa.MemoryStore), Methods: methods})
		if !errors.Is(err, mfa.ErrConfig) {
			t.Errorf("%s: %v, want ErrConfig", name, err)
		}
	}

	r := newRig(t, withToys(toyCeremony{}))
	for name, p := range map[string]mfa.EnrollParams{
		"unknown":  {UserID: ann, Method: &mfa.MethodParams{Type: "passkey"}},
		"built in": {UserID: ann, Method: &mfa.MethodParams{Type: mfa.TypeSMS}},
		"no type":  {UserID: ann, Method: &mfa.MethodParams{}},
		"two":      {UserID: ann, GenericOTP: true, Method: &mfa.MethodParams{Type: typeToy}},
		"unknown beside a known one": {
			UserID: ann, GenericOTP: true, Method: &mfa.MethodParams{Type: "passkey"},
		},
		"large params": {
			UserID: ann, Method: &mfa.MethodParams{Type: typeToy, Params: make([]byte, 16<<10+1)},
		},
		"params that its type refuses": {
			UserID: ann, Method: &mfa.MethodParams{Type: typeToy, Params: []byte("broken")},
		},
	} {
		_, err := r.Enroll(t.Context(), p)
		if !errors.Is(err, mfa.ErrInvalidParameter) || len(r.Records()) > 0 {
			t.Errorf("%s: %v, and %d records", name, err, len(r.Records()))
		}
	}

	f := r.toy(ann)
	ch := r.Ask(enrolled{Factor: f.Factor})
	r.Took()
	for name, p := range map[string]mfa.VerifyParams{
		"a code": {Code: "123456"}, "nothing": {}, "an empty answer": {Answer: []byte{}},
	} {
		p.ChallengeID, p.UserID = ch.ID, ann
		_, err := r.Verify(t.Context(), p)
		if mustBe(t, err, mfa.ErrInvalidCode); refusal(t, err).AttemptsLeft != 5 {
			t.Errorf("%s was counted: %v", name, err)
		}
	}
	_, err := r.Verify(t.Context(), mfa.VerifyParams{
		ChallengeID: ch.ID, UserID: ann, Answer: make([]byte, 64<<10+1),
	})
	mustBe(t, err, mfa.ErrInvalidParameter)
	if e := r.Took(); len(e) > 0 {
		t.Errorf("events %+v", e)
	}

	r.Config.Methods = nil
	without := r.Another()
	_, err = without.Factors(t.Context(), ann)
	mustBe(t, err, mfa.ErrIntegrity)
	_, err = without.StartLogin(t.Context(), mfa.LoginParams{UserID: ann})
	mustBe(t, err, mfa.ErrIntegrity)
	if !strings.Contains(err.Error(), "Config.Methods") {
		t.Errorf("%v does not say what is missing", err)
	}
}

// TestClaimsIsAskedOfSeveral: whose an answer is, is asked where another confirmed factor can
// have answered, and of an answer alone.
func TestClaimsIsAskedOfSeveral(t *testing.T) {
	for name, tt := range map[string]struct {
		beside func(*rig)
		empty  bool
		want   int
	}{
		"alone":                            {func(*rig) {}, false, 0},
		"beside one that is unconfirmed":   {func(r *rig) { r.enrollToy(ann) }, false, 0},
		"beside a confirmed one":           {func(r *rig) { r.toy(ann) }, false, 1},
		"with nothing to tell whose it is": {func(r *rig) { r.toy(ann) }, true, 0},
	} {
		c := newCounting()
		r := newRig(t, withToys(c))
		f := r.toy(ann)
		tt.beside(r)
		ch := r.challengeToy(f)
		*c.claimed = 0
		p := mfa.VerifyParams{ChallengeID: ch.ID, UserID: ann, Answer: f.sign(ch)}
		if tt.empty {
			p.Answer = nil
		}
		_, err := r.Verify(t.Context(), p)
		if tt.empty != errors.Is(err, mfa.ErrInvalidCode) || *c.claimed != tt.want {
			t.Errorf("%s: asked %d times, want %d; %v", name, *c.claimed, tt.want, err)
		}
	}
}

// TestRegistrationIsNobodyElses: the answer to a challenge that confirms a factor is of that
// factor, whichever it names.
func TestRegistrationIsNobodyElses(t *testing.T) {
	r := newRig(t, withToys(credulous{}))
	one := r.toy(ann)
	fresh := r.enrollToy(ann)
	ch := r.challengeToy(fresh)
	v, err := r.answerToy(ch, toy{mfa.Factor{ID: one.ID, UserID: ann}, fresh.key})
	if err != nil || v.Factor.ID != fresh.ID || !v.FirstUse {
		t.Errorf("%+v, %v; want %s confirmed", v.Factor, err, fresh.ID)
	}
}

// TestMethodWithoutOwner: a factor of nobody has no siblings, and is answered all the same.
func TestMethodWithoutOwner(t *testing.T) {
	r := newRig(t, withToys(toyCeremony{}))
	f := r.enrollToy("")
	for _, first := range []bool{true, false} {
		v, err := r.answerToy(r.challengeToy(f), f)
		if err != nil || v.Factor.ID != f.ID || v.FirstUse != first {
			t.Errorf("%+v, %v", v, err)
		}
	}
}

// A ruinous ceremony does its work, and then clears what it was given.
type ruinous struct{ toyCeremony }

func (c ruinous) Enroll(params []byte) ([]byte, error) {
	defer clear(params)
	return c.toyCeremony.Enroll(params)
}

func (c ruinous) Begin(
	f mfa.MethodFactor, siblings []mfa.MethodFactor,
) (options, kept []byte, err error) {
	defer clear(f.State)
	for _, s := range siblings {
		defer clear(s.State)
	}
	return c.toyCeremony.Begin(f, siblings)
}

func (c ruinous) Claims(kept, answer []byte) string {
	defer clear(kept)
	defer clear(answer)
	return c.toyCeremony.Claims(kept, answer)
}

func (c ruinous) Finish(f mfa.MethodFactor, kept, answer []byte) ([]byte, error) {
	defer clear(f.State)
	defer clear(kept)
	defer clear(answer)
	state, err := c.toyCeremony.Finish(f, kept, answer)
	return bytes.Clone(state), err
}

func (c ruinous) Describe(state []byte) (amr []string, details []byte) {
	defer clear(state)
	return c.toyCeremony.Describe(state)
}

// TestCeremoniesHaveCopies: what a ceremony does to what it is given changes nothing of the
// caller's, and nothing that is stored.
func TestCeremoniesHaveCopies(t *testing.T) {
	r := newRig(t, withToys(ruinous{}))
	params := []byte("params")
	if _, err := r.Enroll(t.Context(), mfa.EnrollParams{
		UserID: "user_bob", Method: &mfa.MethodParams{Type: typeToy, Params: params},
	}); err != nil || string(params) != "params" {
		t.Errorf("the params are %q, %v", params, err)
	}
	one, two := r.toy(ann), r.toy(ann)
	for range 2 {
		ch := r.challengeToy(one)
		_, err := r.answerToy(ch, toy{two.Factor, one.key}) // wrong: the challenge is kept
		mustBe(t, err, mfa.ErrInvalidCode)
		answer := two.sign(ch)
		before := bytes.Clone(answer)
		if _, err := r.Verify(t.Context(), mfa.VerifyParams{
			ChallengeID: ch.ID, UserID: ann, Answer: answer,
		}); err != nil || !bytes.Equal(answer, before) {
			t.Errorf("the right answer, now %q: %v", answer, err)
		}
	}
}

// TestRefusedParams: whoever enrolls is told why the type refuses the parameters.
func TestRefusedParams(t *testing.T) {
	r := newRig(t, withToys(toyCeremony{}))
	_, err := r.Enroll(t.Context(), mfa.EnrollParams{
		UserID: ann, Method: &mfa.MethodParams{Type: typeToy, Params: []byte("broken")},
	})
	if e := refusal(t, err); !strings.HasSuffix(e.Message, " the toy is broken.") {
		t.Errorf("message %q", e.Message)
	}
}

// A talkative ceremony tells what it is told to.
type talkative struct {
	toyCeremony
	amr     []string
	details string
	finish  error
	fails   bool
}

func (c *talkative) Describe([]byte) (amr []string, details []byte) {
	if c.fails {
		panic("a secret of the ceremony")
	}
	return c.amr, []byte(c.details)
}

func (c *talkative) Finish(f mfa.MethodFactor, kept, answer []byte) ([]byte, error) {
	if c.finish != nil {
		return nil, c.finish
	}
	return c.toyCeremony.Finish(f, kept, answer)
}

// TestMethodsDescribe: what a type tells of its factor is in the Factor, in its JSON and in
// AMR. What is no JSON object is not told.
func TestMethodsDescribe(t *testing.T) {
	c := &talkative{amr: []string{"hwk", "user"}, details: `{"model":"toy"}`}
	r := newRig(t, withToys(c))
	f := r.toy(ann)
	v, err := r.answerToy(r.challengeToy(f), f)
	if err != nil || !slices.Equal(v.AMR(), c.amr) || v.Factor.Details != c.details {
		t.Errorf("%q, %q, %v", v.AMR(), v.Factor.Details, err)
	}
	told := func() mfa.Factor {
		t.Helper()
		got, err := r.Factor(t.Context(), mfa.FactorParams{FactorID: f.ID, UserID: ann})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	text, err := json.Marshal(told())
	if err != nil || !strings.HasSuffix(string(text), `"type":"toy_key","details":{"model":"toy"}}`) {
		t.Errorf("%s, %v", text, err)
	}
	for _, details := range []string{
		"", "null", "[]", `"text"`, "{", "{}}", " {}", "{\"a\":\"\xff\"}",
	} {
		c.details = details
		if got := told(); got.Details != "" {
			t.Errorf("details %q are told as %q", details, got.Details)
		}
	}
	c.details = `{"a":"` + strings.Repeat("a", 4<<10) + `"}`
	if got := told(); got.Details != "" {
		t.Errorf("%d bytes of details are told", len(got.Details))
	}
	c.fails = true
	if got := told(); got.Details != "" || got.ID != f.ID {
		t.Errorf("after a panic: %+v", got)
	}
	v, err = r.answerToy(r.challengeToy(f), f)
	if err != nil || !v.Valid || len(v.AMR()) > 0 {
		t.Errorf("after a panic: %+v, %q, %v", v, v.AMR(), err)
	}
}

// TestCopiedKey: an answer by a copy is a wrong one, and the owner is told.
func TestCopiedKey(t *testing.T) {
	c := new(talkative)
	r := newRig(t, withToys(c))
	f := r.toy(ann)
	ch := r.challengeToy(f)
	r.Took()
	for want, err := range map[mfa.EventKind]error{
		mfa.EventCopied: fmt.Errorf("the count: %w", mfa.ErrCopied), mfa.EventFailed: errors.New("wrong"),
	} {
		c.finish = err
		_, err := r.answerToy(ch, f)
		mustBe(t, err, mfa.ErrInvalidCode)
		events := r.Took()
		last := events[len(events)-1]
		if events[0].Kind != mfa.EventFailed || last.Kind != want || last.ChallengeID != ch.ID ||
			last.Notify() != (want == mfa.EventCopied) {
			t.Errorf("%s: %+v", want, events)
		}
	}
	c.finish = nil
	if _, err := r.answerToy(ch, f); err != nil {
		t.Errorf("the key itself: %v", err)
	}
}

// TestPhishingResistant: a type says whether its factors are, and they are the first at a
// login.
func TestPhishingResistant(t *testing.T) {
	for _, resistant := range []bool{false, true} {
		r := newRig(t, func(c *mfa.Config) {
			c.Methods = []mfa.Method{
				{Type: typeToy, Ceremony: toyCeremony{}, PhishingResistant: resistant},
			}
		})
		f := r.toy(ann)
		r.Clock.Advance(time.Hour)
		sms := r.Phone(ann, phone)
		app := r.TOTP(ann)
		login, err := r.StartLogin(t.Context(), mfa.LoginParams{UserID: ann})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range login.Factors {
			got = append(got, f.ID)
			if f.PhishingResistant() != (resistant && f.Type == typeToy) {
				t.Errorf("%s: %t", f.Type, f.PhishingResistant())
			}
		}
		want := []string{app.ID, f.ID, sms.ID} // used last
		if resistant {
			want = []string{f.ID, app.ID, sms.ID}
		}
		if !slices.Equal(got, want) {
			t.Errorf("resistant %t: %q, want %q", resistant, got, want)
		}
	}
}

// An unruly ceremony does in one of its methods what it must not.
type unruly struct {
	toyCeremony
	enroll, begin, claims, finish func() ([]byte, error)
}

func (u unruly) Enroll(params []byte) ([]byte, error) {
	if u.enroll != nil {
		return u.enroll()
	}
	return u.toyCeremony.Enroll(params)
}

func (u unruly) Begin(
	f mfa.MethodFactor,
	siblings []mfa.MethodFactor,
) (options, kept []byte, err error) {
	if u.begin != nil {
		kept, err = u.begin()
		return kept, nil, err
	}
	return u.toyCeremony.Begin(f, siblings)
}

func (u unruly) Claims(kept, answer []byte) string {
	if u.claims != nil {
		id, _ := u.claims()
		return string(id)
	}
	return u.toyCeremony.Claims(kept, answer)
}

func (u unruly) Finish(f mfa.MethodFactor, kept, answer []byte) ([]byte, error) {
	if u.finish != nil {
		clear(kept)
		clear(answer)
		clear(f.State)
		return u.finish()
	}
	return u.toyCeremony.Finish(f, kept, answer)
}

// TestUnrulyMethods: what a ceremony does wrong opens nothing, and changes nothing.
func TestUnrulyMethods(t *testing.T) {
	panics := func() ([]byte, error) { panic("a secret of the ceremony") }
	megabyte := func() ([]byte, error) { return make([]byte, 1<<20), nil }
	boom := errors.New("boom")
	for _, tt := range []struct {
		name      string
		unruly    unruly
		challenge bool // Challenge fails; otherwise Verify does
	}{
		{"Begin panics", unruly{begin: panics}, true},
		{"Begin gives a megabyte", unruly{begin: megabyte}, true},
		{"Begin fails", unruly{begin: func() ([]byte, error) { return nil, boom }}, true},
		{"Claims panics", unruly{claims: panics}, false},
		{"Finish panics", unruly{finish: panics}, false},
		{"Finish gives a megabyte", unruly{finish: megabyte}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, withToys(toyCeremony{}))
			f := r.toy(ann)
			r.toy(ann) // of one alone nobody asks which it is
			withToys(tt.unruly)(&r.Config)
			svc := r.Another()
			r.Took()
			ch, err := svc.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: ann})
			if !tt.challenge {
				if err != nil {
					t.Fatal(err)
				}
				before := fmt.Sprint(r.Records())
				_, err = svc.Verify(t.Context(), mfa.VerifyParams{
					ChallengeID: ch.ID, UserID: ann, Answer: f.sign(ch),
				})
				if fmt.Sprint(r.Records()) != before {
					t.Error("it changed what is stored")
				}
			}
			if err == nil || errors.Is(err, mfa.ErrInvalidCode) || strings.Contains(err.Error(), "secret") {
				t.Errorf("error %v", err)
			}
			if tt.name == "Begin fails" && !errors.Is(err, boom) {
				t.Errorf("error %v, want its own", err)
			}
			if e := r.Took(); len(e) > 0 {
				t.Errorf("events %+v", e)
			}
			if _, err := r.answerToy(r.Ask(enrolled{Factor: f.Factor}), f); err != nil {
				t.Errorf("the factor afterwards: %v", err)
			}
		})
	}

	for name, u := range map[string]unruly{
		"panics": {enroll: panics}, "gives a megabyte": {enroll: megabyte},
	} {
		r := newRig(t, withToys(u))
		_, err := r.Enroll(t.Context(), mfa.EnrollParams{
			UserID: ann, Method: &mfa.MethodParams{Type: typeToy},
		})
		if err == nil || errors.Is(err, mfa.ErrInvalidParameter) ||
			strings.Contains(err.Error(), "secret") || len(r.Records()) > 0 {
			t.Errorf("Enroll %s: %v, and %d records", name, err, len(r.Records()))
		}
	}

	// One that ruins what it is given, and refuses.
	r := newRig(t, withToys(unruly{finish: func() ([]byte, error) { return nil, boom }}))
	cfg := r.Config
	withToys(toyCeremony{})(&r.Config)
	r.Service = r.Another()
	f := r.toy(ann)
	svc, err := mfa.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ch := r.Ask(enrolled{Factor: f.Factor})
	_, err = svc.Verify(t.Context(), mfa.VerifyParams{
		ChallengeID: ch.ID, UserID: ann, Answer: f.sign(ch),
	})
	mustBe(t, err, mfa.ErrInvalidCode)
	if _, err := r.answerToy(ch, f); err != nil {
		t.Errorf("the next answer: %v", err)
	}

	// One that says yes to everything: a challenge is verified once all the same.
	r = newRig(t, withToys(unruly{finish: func() ([]byte, error) { return nil, nil }}))
	f = r.toy(ann)
	ch = r.Ask(enrolled{Factor: f.Factor})
	answer := func(int) error { _, err := r.answerToy(ch, f); return err }
	if errs := all(20, answer); count(errs, nil) != 1 {
		t.Errorf("20 answers at once: %v", errs)
	}
}

// TestUnlimitedAnswersLeaveTheFactor: wrong answers that nothing limits do not write the
// factor for ever, or they would keep its owner from logging in, and from turning it off.
func TestUnlimitedAnswersLeaveTheFactor(t *testing.T) {
	r := newRig(t, withToys(toyCeremony{}), func(c *mfa.Config) {
		c.Methods[0].InsecureUnlimited = true
	})
	f := r.toy(ann)
	thief := toy{f.Factor, ed25519.NewKeyFromSeed(make([]byte, 32))}
	version := func() int64 { return r.Versions()[f.ID] }
	before := version()
	for range 20 { // challenges
		ch := r.challengeToy(f)
		for range 5 {
			_, err := r.answerToy(ch, thief)
			mustBe(t, err, mfa.ErrInvalidCode)
		}
		_, err := r.answerToy(ch, thief)
		mustBe(t, err, mfa.ErrTooManyAttempts)
	}
	if written := version() - before; written != 50 {
		t.Errorf("100 wrong answers wrote the factor %d times, want 50", written)
	}
	if _, err := r.answerToy(r.challengeToy(f), f); err != nil {
		t.Fatal(err)
	}
	_, err := r.answerToy(r.challengeToy(f), thief)
	mustBe(t, err, mfa.ErrInvalidCode)
	if written := version() - before; written != 52 {
		t.Errorf("a right answer and a wrong one wrote the factor %d times, want 2", written-50)
	}
	// Nor do they shut it where its type is limited later.
	for range 10 {
		for range 10 {
			ch := r.challengeToy(f)
			for range 5 {
				_, err := r.answerToy(ch, thief)
				mustBe(t, err, mfa.ErrInvalidCode)
			}
		}
		if _, err := r.answerToy(r.challengeToy(f), f); err != nil {
			t.Fatal(err)
		}
	}
	r.Config.Methods[0].InsecureUnlimited = false
	r.Service = r.Another()
	if _, err := r.answerToy(r.challengeToy(f), f); err != nil {
		t.Errorf("with limits, after 550 wrong answers without: %v", err)
	}
}

// TestEnrolMethodAgain: enrolling a factor of a type from outside again gives no new
// guesses.
func TestEnrolMethodAgain(t *testing.T) {
	r := newRig(t, withToys(toyCeremony{}))
	var err error
	wrong := 0
	for range 10 { // enrolments
		f := r.enrollToy(ann)
		var ch mfa.Challenge
		p := mfa.ChallengeParams{FactorID: f.ID, UserID: ann, Confirm: true}
		ch, err = r.Challenge(t.Context(), p)
		guess := mfa.VerifyParams{ChallengeID: ch.ID, UserID: ann, Answer: []byte("guess")}
		for err == nil {
			_, err = r.Verify(t.Context(), guess)
			if errors.Is(err, mfa.ErrInvalidCode) {
				wrong++
				err = nil
			}
		}
	}
	if mustBe(t, err, mfa.ErrThrottled); wrong != 5 {
		t.Errorf("%d wrong answers, want 5", wrong)
	}
}

// TestOptionsAreKeptForARepeat: the options of a challenge are stored only if a call can be
// made again for them.
func TestOptionsAreKeptForARepeat(t *testing.T) {
	begin := func() ([]byte, error) { return make([]byte, 20<<10), nil }
	r := newRig(t, withToys(unruly{begin: begin}))
	f := r.enrollToy(ann)
	p := mfa.ChallengeParams{FactorID: f.ID, UserID: ann}
	for _, key := range []string{"", "a key"} {
		p.IdempotencyKey = key
		ch, err := r.Challenge(t.Context(), p)
		if err != nil || len(ch.Options()) != 20<<10 {
			t.Fatalf("%d bytes of options, %v", len(ch.Options()), err)
		}
		i := slices.IndexFunc(r.Records(), func(rec mfa.Record) bool { return rec.ID == ch.ID })
		if size := len(r.Records()[i].State); size > 20<<10 != (key != "") {
			t.Errorf("with the key %q the challenge has %d bytes", key, size)
		}
	}
}
