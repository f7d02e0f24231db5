package itest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/mfatest"
)

// TestLinearizable lets several people use one factor at once and asks whether all
// that they were told can have happened one call after the other. A call that failed
// with the store may have been carried out or not.
func TestLinearizable(t *testing.T) {
	memory := func(*testing.T) mfa.Store { return new(mfa.MemoryStore) }
	linearizable(t, "MemoryStore", 400, memory, faultless)
	linearizable(t, "Faulty MemoryStore", 400, memory, losing)
	for _, s := range servers {
		open := func(t *testing.T) mfa.Store {
			t.Helper()
			p, _ := s.place(t)
			return p.mustOpen(t)
		}
		linearizable(t, s.name, 60, open, faultless)
		linearizable(t, "Faulty "+s.name, 60, open, losing)
	}
}

// faultless only lets others in.
func faultless(store mfa.Store, _ *rand.Rand) mfa.Store { return yielding(store) }

// linearizable checks some histories on a store, through what makes it fail or not. A
// store in memory is made anew for each.
func linearizable(
	t *testing.T, name string, histories int,
	open func(*testing.T) mfa.Store, through func(mfa.Store, *rand.Rand) mfa.Store,
) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		store, told := open(t), map[answer]int{}
		for seed := range uint64(histories) {
			h := record(t, seed, 5, func(random *rand.Rand) mfa.Store {
				if _, inMemory := store.(*mfa.MemoryStore); inMemory {
					store = open(t)
				}
				return through(store, random)
			})
			if !porcupine.CheckOperations(model.ToModel(), h) {
				t.Fatalf("history %d cannot have happened: %s", seed, describe(h))
			}
			for _, op := range h {
				told[op.Output.(answer)]++
			}
		}
		t.Logf("answers: %v", told)
		for _, a := range []answer{accepted, wrong, verifiedBefore, throttled} {
			if told[a] < histories/8 {
				t.Errorf("%q was answered %d times", a, told[a])
			}
		}
		if lost := told[unknown]; strings.HasPrefix(name, "Faulty") != (lost >= histories/8) {
			t.Errorf("the store failed %d times", lost)
		}
	})
}

// losing loses one call in twelve before it is made, and one after.
func losing(store mfa.Store, random *rand.Rand) mfa.Store {
	var mu sync.Mutex
	lose := func(context.Context, mfatest.Call) error {
		runtime.Gosched()
		mu.Lock()
		defer mu.Unlock()
		if random.IntN(12) == 0 {
			return errLost
		}
		return nil
	}
	return &mfatest.FaultyStore{Store: store, Before: lose, After: lose}
}

// TestRacyStoreIsRejected shows that the check can fail: a store that looks at
// versions first and writes later lets codes be used twice.
func TestRacyStoreIsRejected(t *testing.T) {
	racy := func(*rand.Rand) mfa.Store { return yielding(&racyStore{Store: new(mfa.MemoryStore)}) }
	rejected := 0
	const histories = 200
	for seed := range uint64(histories) {
		if h := record(t, seed, 1, racy); !porcupine.CheckOperations(model.ToModel(), h) {
			t.Fatalf("without a race the store is right, and was rejected: %s", describe(h))
		}
		h := record(t, seed, 5, racy)
		if !porcupine.CheckOperations(model.ToModel(), h) {
			rejected++
		}
	}
	t.Logf("%d of %d histories were rejected", rejected, histories)
	if rejected < histories/10 {
		t.Errorf("only %d of %d histories were rejected", rejected, histories)
	}
}

var errLost = errors.New("connection lost")

// An input is one call.
type input struct {
	challenge int  // which one to verify; -1: make one
	step      int8 // the step of the code, -1 to 1 around now; wrongCode: a wrong one
	sms       bool // there are no steps: the code belongs to its challenge
}

const wrongCode int8 = 9

type answer string

const (
	accepted       answer = "accepted"
	made           answer = "made"
	wrong          answer = "wrong"
	verifiedBefore answer = "verified before"
	tooMany        answer = "too many attempts"
	throttled      answer = "throttled"
	busy           answer = "busy" // lost eight races; nothing was done
	unknown        answer = "unknown"
)

// A state is all that decides about one factor while the clock stands still.
type state struct {
	failures   int8
	last       int8 // the newest step that was accepted
	challenges [challenges]struct {
		wrong    int8
		verified bool
	}
}

const challenges = 3

var model = porcupine.NondeterministicModel{
	Init: func() []any { return []any{state{last: -2}} },
	Step: func(s, in, out any) []any {
		before := s.(state)
		after, says := step(before, in.(input))
		switch told := out.(answer); {
		case told == says:
			return []any{after}
		case told == busy:
			return []any{before}
		case told == unknown:
			return []any{before, after}
		}
		return nil
	},
	Equal: func(a, b any) bool { return a == b },
}

func step(s state, in input) (state, answer) {
	if in.challenge < 0 {
		if s.failures >= 5 {
			return s, throttled
		}
		return s, made
	}
	ch := &s.challenges[in.challenge]
	switch {
	case ch.verified:
		return s, verifiedBefore
	case ch.wrong >= 5:
		return s, tooMany
	case s.failures >= 5:
		return s, throttled
	case in.step == wrongCode, !in.sms && in.step <= s.last:
		ch.wrong++
		s.failures++
		return s, wrong
	}
	ch.verified, s.failures, s.last = true, 0, max(s.last, in.step)
	return s, accepted
}

// record runs clients against a fresh factor, an SMS factor if the seed is odd.
func record(t *testing.T, seed uint64, clients int, newStore func(*rand.Rand) mfa.Store) []porcupine.Operation {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, 2))
	clock, phone := new(mfatest.Clock), new(mfatest.Sender)
	quiet := &switched{Store: newStore(random)}
	svc, err := mfa.New(mfa.Config{Store: quiet, SMS: phone, Keys: mfatest.Keys(), Regions: []string{"US"}, Now: clock.Now, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	sms := seed%2 == 1
	number := fmt.Sprintf("+1201555%04d", seed) // with a budget of its own
	p := mfa.EnrollParams{NoOwner: true, TOTP: &mfa.TOTPParams{Issuer: "a", User: "b"}}
	if sms {
		p = mfa.EnrollParams{NoOwner: true, SMS: &mfa.SMSParams{PhoneNumber: number}}
	}
	quiet.off = true
	enr, err := svc.Enroll(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	challenge := func() mfa.Challenge {
		ch, err := svc.Challenge(t.Context(), mfa.ChallengeParams{FactorID: enr.Factor.ID})
		if err != nil {
			t.Fatal(err)
		}
		return ch
	}
	code := func(_, step int) string {
		return mfatest.Code(enr.TOTP.Secret(), clock.Now().Add(time.Duration(step)*30*time.Second))
	}
	var open [challenges]mfa.Challenge
	var codes [challenges]string
	if sms {
		code = func(ch, _ int) string { return codes[ch] }
	}
	confirm := challenge()
	first := phone.Code(number)
	if !sms {
		first = code(0, 0)
	}
	if _, err := svc.Verify(t.Context(), mfa.VerifyParams{ChallengeID: confirm.ID, Code: first}); err != nil {
		t.Fatal(err)
	}
	for i := range open {
		clock.Advance(2 * time.Minute)
		open[i] = challenge()
		codes[i] = phone.Code(number)
	}
	quiet.off = false
	notCode := "000000"
	for i := 0; slices.Contains(codes[:], notCode) || !sms && slices.Contains([]string{code(0, -1), code(0, 0), code(0, 1)}, notCode); i++ {
		notCode = fmt.Sprintf("%06d", i)
	}

	const calls = 5
	inputs := make([][calls]input, clients)
	for c := range inputs {
		for i := range calls {
			in := input{challenge: random.IntN(challenges), step: int8(random.IntN(3) - 1), sms: sms}
			if random.IntN(3) > 0 {
				in.step = wrongCode
			}
			if !sms && random.IntN(8) == 0 {
				in = input{challenge: -1} // of SMS factors, one would be refused for its cool-down
			}
			inputs[c][i] = in
		}
	}
	history := make([]porcupine.Operation, 0, clients*calls+1)
	var mu sync.Mutex
	var wg sync.WaitGroup
	begin := time.Now()
	for c := range inputs {
		wg.Go(func() {
			for _, in := range inputs[c] {
				op := porcupine.Operation{ClientId: c, Input: in, Call: time.Since(begin).Nanoseconds()}
				var err error
				if in.challenge < 0 {
					_, err = svc.Challenge(context.Background(), mfa.ChallengeParams{FactorID: enr.Factor.ID})
				} else {
					typed := notCode
					if in.step != wrongCode {
						typed = code(in.challenge, int(in.step))
					}
					_, err = svc.Verify(context.Background(), mfa.VerifyParams{ChallengeID: open[in.challenge].ID, Code: typed})
				}
				op.Return, op.Output = time.Since(begin).Nanoseconds(), answerOf(in, err)
				mu.Lock()
				history = append(history, op)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return history
}

func answerOf(in input, err error) answer {
	e, _ := errors.AsType[*mfa.Error](err)
	switch {
	case err == nil && in.challenge < 0:
		return made
	case err == nil:
		return accepted
	case errors.Is(err, mfa.ErrInvalidCode):
		return wrong
	case errors.Is(err, mfa.ErrChallengePreviouslyVerified):
		return verifiedBefore
	case errors.Is(err, mfa.ErrTooManyAttempts):
		return tooMany
	case errors.Is(err, mfa.ErrThrottled) && e.RetryAfter == time.Second:
		return busy
	case errors.Is(err, mfa.ErrThrottled):
		return throttled
	case errors.Is(err, errLost):
		return unknown
	}
	return answer("unexpected: " + err.Error())
}

func describe(h []porcupine.Operation) string {
	slices.SortFunc(h, func(a, b porcupine.Operation) int { return int(a.Call - b.Call) })
	var text strings.Builder
	for _, op := range h {
		fmt.Fprintf(&text, "\n%8d-%8d client %d: %+v: %s", op.Call, op.Return, op.ClientId, op.Input, op.Output)
	}
	return text.String()
}

// yielding lets others in before and after each call.
func yielding(store mfa.Store) mfa.Store {
	yield := func(context.Context, mfatest.Call) error { runtime.Gosched(); return nil }
	return &mfatest.FaultyStore{Store: store, Before: yield, After: yield}
}

// A switched store can go around the hooks of a FaultyStore.
type switched struct {
	mfa.Store
	off bool
}

func (s *switched) inner() mfa.Store {
	if s.off {
		return s.Store.(*mfatest.FaultyStore).Store
	}
	return s.Store
}

func (s *switched) Load(ctx context.Context, ids ...string) ([]mfa.Record, error) {
	return s.inner().Load(ctx, ids...)
}

func (s *switched) Save(ctx context.Context, changes ...mfa.Change) error {
	return s.inner().Save(ctx, changes...)
}

// A racyStore checks versions, lets others in, and then writes whatever happened
// since.
type racyStore struct{ mfa.Store }

func (s *racyStore) Save(ctx context.Context, changes ...mfa.Change) error {
	for i, c := range changes {
		found, err := s.Load(ctx, c.Record.ID)
		if err != nil {
			return err
		}
		at := slices.IndexFunc(found, func(r mfa.Record) bool { return r.ID == c.Record.ID })
		if c.Record.Version == 0 != (at < 0) || at >= 0 && found[at].Version != c.Record.Version {
			return mfa.ErrConflict
		}
		changes[i] = c
	}
	runtime.Gosched()
	// The suite of mfatest names what is wrong here: "check then act".
	for {
		now := slices.Clone(changes)
		for i, c := range now {
			found, err := s.Load(ctx, c.Record.ID)
			if err != nil {
				return err
			}
			for _, r := range found {
				if r.ID == c.Record.ID {
					now[i].Record.Version = r.Version
				}
			}
		}
		if err := s.Store.Save(ctx, now...); !errors.Is(err, mfa.ErrConflict) {
			return err
		}
	}
}
