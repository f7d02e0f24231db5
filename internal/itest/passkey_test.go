package itest

import (
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/mfatest"
	"github.com/authfactor/mfa/passkey"
	"github.com/authfactor/mfa/passkey/passkeytest"
)

const (
	origin = "https://example.com"
	ada    = "user_ada"
)

// A site is two processes over one store, whose people have passkeys.
type site struct {
	t        *testing.T
	stores   [2]*mfatest.FaultyStore // which remember their calls
	services [2]*mfa.Service
}

// onEverySite runs a test on a site over each store.
func onEverySite(t *testing.T, test func(*site)) {
	t.Helper()
	onEveryStore(t, func(t *testing.T, stores [2]mfa.Store) {
		t.Helper()
		test(newSite(t, stores))
	})
}

// A holder is a person's passkey, and the device that it is on.
type holder struct {
	factor mfa.Factor
	device *passkeytest.Authenticator
}

func newSite(t *testing.T, stores [2]mfa.Store) *site {
	t.Helper()
	method, err := passkey.New(passkey.Config{RPID: "example.com", RPName: "Example", Origins: []string{origin}})
	if err != nil {
		t.Fatal(err)
	}
	s, clock := &site{t: t}, new(mfatest.Clock)
	for i := range stores {
		s.stores[i] = &mfatest.FaultyStore{Store: stores[i]}
		s.services[i], err = mfa.New(mfa.Config{
			Store: s.stores[i], Keys: mfatest.Keys(), Now: clock.Now, Logger: slog.New(slog.DiscardHandler),
			Methods: []mfa.Method{method}, InsecureSkipProof: true,
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// enroll begins a registration on a device that counts its signatures.
func (s *site) enroll(userID string) holder {
	s.t.Helper()
	enr, err := s.services[0].Enroll(s.t.Context(), mfa.EnrollParams{UserID: userID, Method: passkey.Params(userID)})
	if err != nil {
		s.t.Fatal(err)
	}
	device := passkeytest.New(origin)
	device.Counts = true
	return holder{enr.Factor, device}
}

// passkey is a confirmed one.
func (s *site) passkey(userID string) holder {
	s.t.Helper()
	h := s.enroll(userID)
	ch := s.challenge(h)
	if err := s.verify(1, ch, userID, s.create(h, ch)); err != nil {
		s.t.Fatal(err)
	}
	return h
}

func (s *site) challenge(h holder) mfa.Challenge {
	s.t.Helper()
	ch, err := s.services[1].Challenge(s.t.Context(), mfa.ChallengeParams{FactorID: h.factor.ID, UserID: h.factor.UserID, Confirm: true})
	if err != nil {
		s.t.Fatal(err)
	}
	return ch
}

func (s *site) create(h holder, ch mfa.Challenge) []byte {
	s.t.Helper()
	answer, err := h.device.Create(ch.Options())
	if err != nil {
		s.t.Fatal(err)
	}
	return answer
}

func (s *site) get(h holder, ch mfa.Challenge) []byte {
	s.t.Helper()
	answer, err := h.device.Get(ch.Options())
	if err != nil {
		s.t.Fatal(err)
	}
	return answer
}

func (s *site) verify(process int, ch mfa.Challenge, userID string, answer []byte) error {
	_, err := s.services[process].Verify(s.t.Context(), mfa.VerifyParams{ChallengeID: ch.ID, UserID: userID, Answer: answer})
	return err
}

// atOnce makes n calls at the same moment, half of them at each process.
func atOnce(n int, call func(i, process int) error) []error {
	errs := make([]error, n)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			<-start
			errs[i] = call(i, i%2)
		})
	}
	close(start)
	wg.Wait()
	return errs
}

// refused says that a call was refused, for this reason or because others kept writing.
func (s *site) refused(what string, err, reason error) {
	s.t.Helper()
	e, _ := errors.AsType[*mfa.Error](err)
	if !errors.Is(err, reason) && (e == nil || e.Reason != mfa.ReasonRaces) {
		s.t.Errorf("%s: %v, want %v", what, err, reason)
	}
}

// one says that exactly one call succeeded, and that the others were refused.
func (s *site) one(errs []error, reason error) {
	s.t.Helper()
	accepted := 0
	for _, err := range errs {
		if err == nil {
			accepted++
			continue
		}
		s.refused("one that was not accepted", err, reason)
	}
	if accepted != 1 {
		s.t.Errorf("%d of %d were accepted, want 1", accepted, len(errs))
	}
}

// counted says that both processes have the same sign count of a passkey.
func (s *site) counted(h holder, want uint32) {
	s.t.Helper()
	for i, svc := range s.services {
		f, err := svc.Factor(s.t.Context(), mfa.FactorParams{FactorID: h.factor.ID, UserID: h.factor.UserID})
		if d, ok := passkey.DetailsOf(f); err != nil || !ok || d.SignCount != want {
			s.t.Errorf("process %d has the sign count %d, %v; want %d", i, d.SignCount, err, want)
		}
	}
}

// TestPasskeyAnswersOnce: on every store, a right answer that is submitted many times at once
// is accepted once.
func TestPasskeyAnswersOnce(t *testing.T) {
	onEverySite(t, func(s *site) {
		h := s.passkey(ada)
		for n := range uint32(3) {
			ch := s.challenge(h)
			answer := s.get(h, ch)
			s.one(atOnce(20, func(_, process int) error {
				return s.verify(process, ch, ada, answer)
			}), mfa.ErrChallengePreviouslyVerified)
			s.counted(h, n+1)
		}
	})
}

// TestPasskeyAnswersItsChallenge: on every store, an answer is wrong on any other challenge,
// of the same passkey, of another one and of another user, also at the moment when it is
// accepted on its own.
func TestPasskeyAnswersItsChallenge(t *testing.T) {
	onEverySite(t, func(s *site) {
		h, other, foreign := s.passkey(ada), s.passkey(ada), s.passkey(alan)
		ch := s.challenge(h)
		answer := s.get(h, ch)
		asked := []holder{h, other, foreign}
		elsewhere := []mfa.Challenge{s.challenge(h), s.challenge(other), s.challenge(foreign)}
		// Two of each, which is too few to keep the right one from being accepted.
		errs := atOnce(7, func(i, process int) error {
			if i == 6 {
				return s.verify(process, ch, ada, answer)
			}
			return s.verify(process, elsewhere[i%3], asked[i%3].factor.UserID, answer)
		})
		for i, err := range errs[:6] {
			s.refused([]string{"of the same passkey", "of another passkey", "of another user"}[i%3], err, mfa.ErrInvalidCode)
		}
		if errs[6] != nil {
			s.t.Errorf("on its own challenge: %v", errs[6])
		}
		s.counted(h, 1)
		for i, ch := range elsewhere {
			if err := s.verify(0, ch, asked[i].factor.UserID, s.get(asked[i], ch)); err != nil {
				s.t.Errorf("the right answer to challenge %d: %v", i, err)
			}
		}
	})
}

// TestPasskeyIsRegisteredOnce: on every store, the answer to a registration that is submitted
// many times at once confirms one factor.
func TestPasskeyIsRegisteredOnce(t *testing.T) {
	onEverySite(t, func(s *site) {
		h := s.enroll(ada)
		ch := s.challenge(h)
		answer := s.create(h, ch)
		s.one(atOnce(20, func(_, process int) error {
			return s.verify(process, ch, ada, answer)
		}), mfa.ErrChallengePreviouslyVerified)
		s.confirmed(h)
	})
}

// TestOneRegistrationWins: on every store, of the answers to several challenges of one
// enrolment, each by another device, one confirms it, and that device logs in.
func TestOneRegistrationWins(t *testing.T) {
	onEverySite(t, func(s *site) {
		h := s.enroll(ada)
		challenges, devices, answers := make([]mfa.Challenge, 6), make([]holder, 6), make([][]byte, 6)
		for i := range challenges {
			challenges[i], devices[i] = s.challenge(h), holder{h.factor, passkeytest.New(origin)}
			answers[i] = s.create(devices[i], challenges[i])
		}
		errs := atOnce(6, func(i, process int) error {
			return s.verify(process, challenges[i], ada, answers[i])
		})
		s.one(errs, mfa.ErrChallengeExpired)
		s.confirmed(h)
		ch := s.challenge(h)
		for i, err := range errs {
			_, none := devices[i].device.Get(ch.Options())
			if (err == nil) != (none == nil) {
				s.t.Errorf("device %d, whose registration came to %v, has the passkey that is asked for: %t", i, err, none == nil)
			}
		}
	})
}

// confirmed says that the user has this factor alone, and that it is confirmed.
func (s *site) confirmed(h holder) {
	s.t.Helper()
	all, err := s.services[0].Factors(s.t.Context(), h.factor.UserID)
	if err != nil || len(all) != 1 || all[0].ID != h.factor.ID || all[0].Status != mfa.StatusVerified {
		s.t.Errorf("factors %v, %v; want the confirmed one", all, err)
	}
}

// TestPasskeysAnswerAtOnce: on every store, two passkeys of one person answer two challenges
// at the same moment, as from two browsers, and both get in.
func TestPasskeysAnswerAtOnce(t *testing.T) {
	onEverySite(t, func(s *site) {
		h := []holder{s.passkey(ada), s.passkey(ada)}
		for n := range uint32(5) {
			challenges := []mfa.Challenge{s.challenge(h[0]), s.challenge(h[0])}
			answers := [][]byte{s.get(h[0], challenges[0]), s.get(h[1], challenges[1])}
			for i, err := range atOnce(2, func(i, process int) error {
				return s.verify(process, challenges[i], ada, answers[i])
			}) {
				if err != nil {
					s.t.Errorf("passkey %d: %v", i, err)
				}
				s.counted(h[i], n+1)
			}
		}
	})
}

// TestPasskeyRoundTrips: on every store, whichever of the person's passkeys is challenged, and
// whichever answers, Challenge and Verify take two reads and one write at most.
func TestPasskeyRoundTrips(t *testing.T) {
	onEverySite(t, func(s *site) {
		all := []holder{s.passkey(ada), s.passkey(ada), s.passkey(ada)}
		few := func(what string, process int, call func()) {
			before := len(s.stores[process].Calls())
			call()
			var calls []string
			for _, c := range s.stores[process].Calls()[before:] {
				calls = append(calls, c.Method)
			}
			if got := strings.Join(calls, " "); got != "Load Load Save" && got != "Load Save" {
				s.t.Errorf("%s calls %s", what, got)
			}
		}
		for _, asked := range all {
			for _, h := range all {
				var ch mfa.Challenge
				few("Challenge", 1, func() { ch = s.challenge(asked) })
				answer := s.get(h, ch)
				few("Verify", 0, func() {
					if err := s.verify(0, ch, ada, answer); err != nil {
						s.t.Error(err)
					}
				})
			}
		}
	})
}

// TestRemovedPasskey: on every store, a passkey that was removed answers nothing, whatever was
// asked or answered before, and the others of its owner answer.
func TestRemovedPasskey(t *testing.T) {
	onEverySite(t, func(s *site) {
		gone, left, third := s.passkey(ada), s.passkey(ada), s.passkey(ada)
		own, others := s.challenge(gone), s.challenge(left)
		toOwn, toOthers := s.get(gone, own), s.get(gone, others)
		err := s.services[0].Unenroll(s.t.Context(), mfa.UnenrollParams{FactorID: gone.factor.ID, UserID: ada})
		if err != nil {
			s.t.Fatal(err)
		}
		s.refused("made before, to its own challenge", s.verify(1, own, ada, toOwn), mfa.ErrNotFound)
		s.refused("made before, to another's", s.verify(1, others, ada, toOthers), mfa.ErrInvalidCode)
		s.refused("its own challenge, by another", s.verify(1, own, ada, s.get(left, own)), mfa.ErrNotFound)

		ch := s.challenge(left)
		if _, err := gone.device.Get(ch.Options()); !errors.Is(err, passkeytest.ErrNotAllowed) {
			s.t.Errorf("it is asked for: %v", err)
		}
		hostile, err := gone.device.Get(allowing(s.t, ch, own))
		if err != nil {
			s.t.Fatal(err)
		}
		s.refused("made after", s.verify(1, ch, ada, hostile), mfa.ErrInvalidCode)
		if err := s.verify(1, ch, ada, s.get(third, ch)); err != nil {
			s.t.Errorf("another of its owner: %v", err)
		}
	})
}

// allowing are the options of a challenge with the passkeys that another one allows, for a
// browser that does as it likes.
func allowing(t *testing.T, ch, other mfa.Challenge) []byte {
	t.Helper()
	var a, b map[string]json.RawMessage
	if err := errors.Join(json.Unmarshal(ch.Options(), &a), json.Unmarshal(other.Options(), &b)); err != nil {
		t.Fatal(err)
	}
	a["allowCredentials"] = b["allowCredentials"]
	options, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	return options
}
