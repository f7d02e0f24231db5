package attacks_test

import (
	"encoding/base32"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/mfatest"
)

// Any sequence of calls, by several people with several factors, over two services
// whose clocks differ, is answered as the model answers it.
func FuzzSequence(f *testing.F) {
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 1))
		script := make([]byte, 300)
		for i := range script {
			script[i] = byte(random.Uint32())
		}
		f.Add(script)
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		w := newWorld(t)
		for len(script) > 2 && w.ops < 400 {
			w.do(script[0], script[1], script[2])
			script = script[3:]
		}
	})
}

// TestSequencesReachFar shows that the seeds of FuzzSequence are no small talk.
func TestSequencesReachFar(t *testing.T) {
	reached := map[error]int{}
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 1))
		w := newWorld(t)
		for range 200 {
			w.do(byte(random.Uint32()), byte(random.Uint32()), byte(random.Uint32()))
		}
		for err, n := range w.answers {
			reached[err] += n
		}
	}
	for _, err := range []error{
		nil, mfa.ErrInvalidCode, mfa.ErrChallengeExpired, mfa.ErrChallengePreviouslyVerified,
		mfa.ErrTooManyAttempts,
		mfa.ErrThrottled, mfa.ErrFactorDisabled, mfa.ErrFactorUnverified, mfa.ErrNotFound,
	} {
		if reached[err] < 5 {
			t.Errorf("%v was answered %d times", err, reached[err])
		}
	}
}

type world struct {
	*rig
	services   [2]*mfa.Service
	users      map[string]*history
	numbers    map[string]*history
	factors    []*modelFactor
	challenges []*modelChallenge
	retryAfter time.Duration // of the last refusal
	answers    map[error]int
	ops        int
}

const skew = 5 * time.Second // by which the second service's clock is ahead

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		rig:     newRig(t),
		answers: map[error]int{},
		users:   map[string]*history{ann: {}, "user_bob": {}},
		numbers: map[string]*history{
			phone:          {shares: map[string][]time.Time{}},
			"+12125551234": {shares: map[string][]time.Time{}},
		},
	}
	w.services[0] = w.Service
	w.Config.Now = func() time.Time { return w.Clock.Now().Add(skew) }
	w.services[1] = w.Another()
	return w
}

// do turns three bytes into a call, and compares.
func (w *world) do(op, which, how byte) {
	w.ops++
	svc, now := w.services[how&1], w.Clock.Now().Add(time.Duration(how&1)*skew)
	how >>= 1
	switch op % 16 {
	case 0:
		w.enroll(svc, now, which, how)
	case 1, 2, 3, 4:
		if f := pick(w.factors, which); f != nil {
			w.challengeBoth(svc, now, f, how)
		}
	case 5, 6, 7, 8, 9, 10, 11:
		if ch := pick(w.challenges, which); ch != nil {
			for range 1 + how/43 { // one time, two or three
				w.verifyBoth(svc, now, ch, how)
			}
		}
	case 12:
		steps := []time.Duration{
			time.Second,
			29 * time.Second,
			30 * time.Second,
			time.Minute,
			5 * time.Minute,
			10 * time.Minute,
			time.Hour,
			864 * time.Minute,
			24 * time.Hour,
			60 * 24 * time.Hour,
		}
		w.Clock.Advance(steps[int(which)%len(steps)])
	case 13:
		w.waitAsTold()
	case 14:
		if f := pick(w.factors, which); f != nil && how%4 == 0 {
			w.guessOn(svc, 8+int(how)/4, f)
		}
	case 15:
		w.rare(svc, now, which, how)
	}
}

func (w *world) enroll(svc *mfa.Service, now time.Time, which, how byte) {
	owner := []string{ann, "user_bob", ""}[which%3]
	m := &modelFactor{owner: owner, user: w.users[owner], enrolled: now, lastStep: -1}
	p := mfa.EnrollParams{UserID: owner}
	if how%2 == 0 {
		m.secret = base32.StdEncoding.EncodeToString(
			fmt.Appendf(nil, "secret of factor %03d.", len(w.factors))[:20],
		)
		p.TOTP = &mfa.TOTPParams{Issuer: "a", User: "b", Secret: m.secret}
	} else {
		number := []string{phone, "+12125551234"}[how/2%2]
		m.number = w.numbers[number]
		p.SMS = &mfa.SMSParams{PhoneNumber: number}
	}
	var want error
	others := 0
	for _, f := range w.factors {
		if owner == "" || f.owner != owner || f.gone || f.lapsed(now) {
			continue
		}
		if f.verified || (f.secret == "") != (m.secret == "") {
			others++
		}
	}
	if others >= 10 {
		want = mfa.ErrTooManyFactors
	}
	p.NoOwner = p.UserID == ""
	enr, err := svc.Enroll(w.T.Context(), p)
	w.compare("Enroll", err, want, 0)
	if err != nil {
		return
	}
	for _, f := range w.factors { // the new one takes the place of one that was not confirmed
		if owner != "" && f.owner == owner && !f.verified &&
			(f.lapsed(now) || (f.secret == "") == (m.secret == "")) {
			f.gone = true
		}
	}
	if m.user != nil {
		m.user.forget(now)
	}
	m.id = enr.Factor.ID
	w.factors = append(w.factors, m)
}

func (w *world) challengeBoth(svc *mfa.Service, now time.Time, f *modelFactor, how byte) {
	confirm := how%2 == 0
	hasVerified := f.owner != "" &&
		slices.ContainsFunc(
			w.factors,
			func(o *modelFactor) bool { return o.owner == f.owner && o.verified && !o.gone },
		)
	wait, want := f.challenge(now, confirm, hasVerified)
	sent := w.SMS.Sends()
	ch, err := svc.Challenge(
		w.T.Context(),
		mfa.ChallengeParams{FactorID: f.id, UserID: f.owner, Confirm: confirm},
	)
	w.compare("Challenge", err, want, wait, f)
	m := &modelChallenge{id: ch.ID, factor: f, created: now}
	if f.secret == "" && err == nil {
		sent++
		m.code = sixIn(w.SMS.Messages()[len(w.SMS.Messages())-1].Body)
	}
	if w.SMS.Sends() != sent {
		w.T.Fatalf("%d messages were sent, want %d", w.SMS.Sends(), sent)
	}
	if err == nil {
		w.challenges = append(w.challenges, m)
	}
}

func sixIn(body string) string { return body[len(body)-7 : len(body)-1] }

func (w *world) verifyBoth(svc *mfa.Service, now time.Time, ch *modelChallenge, how byte) {
	f, code, isCode := ch.factor, "", true
	switch how % 8 {
	case 0, 1, 2:
		code = ch.code // right, for SMS
		if f.secret != "" {
			code = mfatest.Code(f.secret, now.Add(time.Duration(int(how/8)%5-2)*30*time.Second))
		}
	case 3:
		code, isCode = "28708", false
	case 4:
		if code = w.challenges[int(how)%len(w.challenges)].code; code == "" { // of another challenge
			code = "000000"
		}
	default:
		code = fmt.Sprintf("%06d", int(how)*7)
	}
	gone := now.Sub(
		ch.created,
	) >= 24*time.Hour+10*time.Minute-skew // and the store may have dropped it
	unconfirmed := !f.verified
	wait, want := ch.verify(now, code, isCode)
	if unconfirmed && f.verified {
		w.confirmed(f)
	}
	v, err := svc.Verify(
		w.T.Context(),
		mfa.VerifyParams{ChallengeID: ch.id, UserID: f.owner, Code: code},
	)
	if gone && errors.Is(err, mfa.ErrNotFound) {
		return
	}
	w.compare("Verify", err, want, wait, f)
	if v.Valid != (want == nil) {
		w.T.Fatalf("op %d: valid %t, %v", w.ops, v.Valid, err)
	}
	if errors.Is(err, mfa.ErrInvalidCode) {
		left := 5 - ch.wrong
		if f.guessed(now).disabled ||
			wait > 0 && now.Add(f.told(now, wait)).Sub(ch.created) >= 10*time.Minute {
			left = 0
		}
		if e := refusal(w.T, err); e.AttemptsLeft != left {
			w.T.Fatalf("op %d: %d attempts left, want %d", w.ops, e.AttemptsLeft, left)
		}
	}
}

// confirmed has the first factor of a user end every other one.
func (w *world) confirmed(f *modelFactor) {
	others := slices.DeleteFunc(slices.Clone(w.factors), func(o *modelFactor) bool {
		return f.owner == "" || o == f || o.owner != f.owner || o.gone
	})
	if slices.ContainsFunc(others, func(o *modelFactor) bool { return o.verified }) {
		return
	}
	for _, o := range others {
		o.gone = true
	}
}

// guessOn is somebody who guesses as fast as it is allowed, n times two.
func (w *world) guessOn(svc *mfa.Service, n int, f *modelFactor) {
	now := func() time.Time {
		if svc == w.services[1] {
			return w.Clock.Now().Add(skew)
		}
		return w.Clock.Now()
	}
	for range n {
		w.waitAsTold()
		w.challengeBoth(svc, now(), f, 0)
		if len(w.challenges) == 0 {
			return
		}
		for range 2 {
			w.waitAsTold()
			w.verifyBoth(svc, now(), w.challenges[len(w.challenges)-1], 7)
		}
	}
}

func (w *world) waitAsTold() {
	w.Clock.Advance(w.retryAfter)
	w.retryAfter = 0
}

// rare is what people seldom do.
func (w *world) rare(svc *mfa.Service, now time.Time, which, how byte) {
	f := pick(w.factors, which)
	if f == nil {
		return
	}
	p := mfa.FactorParams{FactorID: f.id, UserID: f.owner}
	var want error
	if f.gone || f.lapsed(now) {
		want = mfa.ErrNotFound
	}
	switch how % 16 {
	case 0:
		w.compare(
			"Unenroll",
			svc.Unenroll(w.T.Context(), mfa.UnenrollParams{FactorID: p.FactorID, UserID: p.UserID}),
			want,
			0,
		)
		if want == nil { // for a clock that is behind, one that lapsed is there yet
			f.gone = true
			if f.user != nil {
				f.user.forget(now)
			}
		}
	case 1, 2:
		w.compare("Unlock", svc.Unlock(w.T.Context(), p), want, 0)
		if want == nil {
			h := f.guessed(now)
			h.row, h.ever, h.disabled = nil, nil, false
		}
	case 3, 4:
		if _, err := svc.Purge(w.T.Context()); err != nil {
			w.T.Fatal(err)
		}
	case 5:
		_, err := svc.Factor(w.T.Context(), mfa.FactorParams{FactorID: f.id, UserID: f.owner + "'"})
		w.compare("Factor of another", err, mfa.ErrNotFound, 0)
	default:
		got, err := svc.Factor(w.T.Context(), p)
		w.compare("Factor", err, want, 0)
		status := mfa.StatusUnverified
		if f.verified {
			status = mfa.StatusVerified
			if f.own.disabled {
				status = mfa.StatusDisabled
			}
		}
		if err == nil && got.Status != status {
			w.T.Fatalf("op %d: status %s, want %s", w.ops, got.Status, status)
		}
	}
}

// compare holds an answer against the model's; the wait is that of the factor, if any.
func (w *world) compare(verb string, err, want error, wait time.Duration, of ...*modelFactor) {
	w.T.Helper()
	w.answers[want]++
	if !errors.Is(err, want) || want == nil && err != nil {
		w.T.Fatalf(
			"op %d at %s: %s: %v, the model says %v (wait %s)",
			w.ops,
			w.Clock.Now(),
			verb,
			err,
			want,
			wait,
		)
	}
	if e, ok := errors.AsType[*mfa.Error](err); ok {
		// A wait is never told as longer than its kind can be, so the service's may be
		// shorter by what the clocks differ.
		least := wait - skew
		most := wait
		if len(of) > 0 && of[0].counted() && wait > 0 { // it ends with a minute of the service's clock
			most += time.Minute - 1
		}
		if e.RetryAfter > most || e.RetryAfter < least || (e.RetryAfter > 0) != (wait > 0) {
			w.T.Fatalf("op %d: %s: wait %s, the model says %s", w.ops, verb, e.RetryAfter, wait)
		}
		w.retryAfter = min(max(w.retryAfter, e.RetryAfter), 15*time.Hour)
	}
}

func pick[T any](from []T, which byte) (none T) {
	if len(from) == 0 {
		return none
	}
	return from[max(0, len(from)-1-int(which)%8)] // one of the latest
}
