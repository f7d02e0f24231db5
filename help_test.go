package mfa_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/mfatest"
)

const (
	ann   = "user_ann"
	phone = "+15005550006"
)

// A rig is a service with everything around it under the test's control. Its
// store counts calls, and may be told to fail.
type rig struct {
	t     *testing.T
	clock *mfatest.Clock
	sms   *mfatest.Sender
	store *mfatest.FaultyStore
	cfg   mfa.Config
	*mfa.Service

	mu     sync.Mutex
	events []mfa.Event
}

func newRig(t *testing.T, change ...func(*mfa.Config)) *rig {
	t.Helper()
	r := &rig{t: t, clock: new(mfatest.Clock), sms: new(mfatest.Sender), store: &mfatest.FaultyStore{Store: new(mfa.MemoryStore)}}
	r.cfg = mfa.Config{
		Store: r.store, SMS: r.sms, Keys: mfatest.Keys(), Regions: []string{"US"}, DefaultRegion: "US",
		InsecureSkipProof: true, // proof_test.go is about receipts
		Now:               r.clock.Now, Logger: slog.New(slog.DiscardHandler),
		OnEvent: func(_ context.Context, e mfa.Event) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.events = append(r.events, e)
		},
	}
	for _, c := range change {
		c(&r.cfg)
	}
	r.Service = r.another()
	return r
}

// another is a second service over the same store, as another process has it.
func (r *rig) another() *mfa.Service {
	r.t.Helper()
	svc, err := mfa.New(r.cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	return svc
}

// An enrolled factor, with what the person has.
type enrolled struct {
	mfa.Factor
	secret string // of a TOTP factor
}

func (r *rig) enrollTOTP(userID string) enrolled {
	r.t.Helper()
	enr, err := r.Enroll(r.t.Context(), mfa.EnrollParams{UserID: userID, NoOwner: userID == "", TOTP: &mfa.TOTPParams{Issuer: "Foo Corp", User: "alan.turing@foo-corp.com"}})
	if err != nil {
		r.t.Fatal(err)
	}
	return enrolled{enr.Factor, enr.TOTP.Secret()}
}

func (r *rig) enrollSMS(userID, number string) enrolled {
	r.t.Helper()
	enr, err := r.Enroll(r.t.Context(), mfa.EnrollParams{UserID: userID, NoOwner: userID == "", SMS: &mfa.SMSParams{PhoneNumber: number}})
	if err != nil {
		r.t.Fatal(err)
	}
	return enrolled{Factor: enr.Factor}
}

// totp is a confirmed TOTP factor whose next codes are all unused, sms a confirmed
// SMS factor whose cool-down is over.
func (r *rig) totp(userID string) enrolled {
	r.t.Helper()
	f := r.enrollTOTP(userID)
	r.login(f)
	return f
}

func (r *rig) phone(userID, number string) enrolled {
	r.t.Helper()
	f := r.enrollSMS(userID, number)
	r.login(f)
	return f
}

// login answers a challenge of the factor with the right code, and lets three
// minutes pass.
func (r *rig) login(f enrolled) {
	r.t.Helper()
	ch, err := r.Challenge(r.t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: f.UserID, Confirm: true})
	if err != nil {
		r.t.Fatal(err)
	}
	v, err := r.answer(ch, f, r.right(f))
	if err != nil || !v.Valid {
		r.t.Fatalf("the right code: %+v, %v", v, err)
	}
	r.clock.Advance(3 * time.Minute)
}

func (r *rig) challenge(f enrolled) mfa.Challenge {
	r.t.Helper()
	ch, err := r.Challenge(r.t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: f.UserID})
	if err != nil {
		r.t.Fatal(err)
	}
	return ch
}

func (r *rig) answer(ch mfa.Challenge, f enrolled, code string) (mfa.Verification, error) {
	return r.Verify(r.t.Context(), mfa.VerifyParams{ChallengeID: ch.ID, UserID: f.UserID, Code: code})
}

// right is the code that the person sees now.
func (r *rig) right(f enrolled) string {
	if f.Type == mfa.TypeSMS {
		return r.sms.Code(f.PhoneNumber())
	}
	return mfatest.Code(f.secret, r.clock.Now())
}

// wrong is a code that is right neither now nor in the steps around.
func (r *rig) wrong(f enrolled) string {
	codes := []string{r.right(f)}
	if f.Type == mfa.TypeTOTP {
		for i := -2; i <= 2; i++ {
			codes = append(codes, mfatest.Code(f.secret, r.clock.Now().Add(time.Duration(i)*30*time.Second)))
		}
	}
	for i := 0; ; i++ {
		if code := fmt.Sprintf("%06d", i); !slices.Contains(codes, code) {
			return code
		}
	}
}

// fail answers with n wrong codes, on a new challenge each time the old one is
// used up, and waits as long as it is told to.
func (r *rig) fail(f enrolled, n int) {
	r.t.Helper()
	ch := r.patientChallenge(f)
	for range n {
		for {
			_, err := r.answer(ch, f, r.wrong(f))
			if errors.Is(err, mfa.ErrInvalidCode) {
				break
			}
			if e := refusal(r.t, err); e.RetryAfter > 0 {
				r.clock.Advance(e.RetryAfter)
			} else if !errors.Is(err, mfa.ErrTooManyAttempts) && !errors.Is(err, mfa.ErrChallengeExpired) {
				r.t.Fatal(err)
			}
			ch = r.patientChallenge(f)
		}
	}
}

func (r *rig) patientChallenge(f enrolled) mfa.Challenge {
	r.t.Helper()
	for {
		ch, err := r.Challenge(r.t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: f.UserID, Confirm: true})
		if err == nil {
			return ch
		}
		e := refusal(r.t, err)
		if e.RetryAfter <= 0 {
			r.t.Fatal(err)
		}
		r.clock.Advance(e.RetryAfter)
	}
}

// took returns the events since it was last called.
func (r *rig) took() []mfa.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	events := r.events
	r.events = nil
	return events
}

// calls are the methods of the store that f calls, in order.
func (r *rig) calls(f func()) string {
	before := len(r.store.Calls())
	f()
	var methods []string
	for _, c := range r.store.Calls()[before:] {
		methods = append(methods, c.Method)
	}
	return strings.Join(methods, " ")
}

// records are all that the store holds.
func (r *rig) records() []mfa.Record {
	r.t.Helper()
	var all []mfa.Record
	for _, kind := range []string{"factor", "challenge", "number", "user", "device"} {
		records, err := r.store.Store.List(r.t.Context(), mfa.Query{Kind: kind, Limit: 1 << 20})
		if err != nil {
			r.t.Fatal(err)
		}
		all = append(all, records...)
	}
	return all
}

// record is a stored record of the kind, which must be the only one.
func (r *rig) record(kind string) mfa.Record {
	r.t.Helper()
	records := slices.DeleteFunc(r.records(), func(rec mfa.Record) bool { return rec.Kind != kind })
	if len(records) != 1 {
		r.t.Fatalf("%d records of kind %s, want 1", len(records), kind)
	}
	return records[0]
}

// refusal is the *mfa.Error in err.
func refusal(t *testing.T, err error) *mfa.Error {
	t.Helper()
	e, ok := errors.AsType[*mfa.Error](err)
	if !ok {
		t.Fatalf("error %v (%T), want an *mfa.Error", err, err)
	}
	return e
}

func mustBe(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error %v, want %v", err, want)
	}
}

// all runs f n times at once, from behind a barrier, and returns the errors.
func all(n int, f func(i int) error) []error {
	errs := make([]error, n)
	barrier := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-barrier
			errs[i] = f(i)
		})
	}
	close(barrier)
	wg.Wait()
	return errs
}

// count is how many of errs match want; nil counts the successes.
func count(errs []error, want error) int {
	n := 0
	for _, err := range errs {
		if errors.Is(err, want) {
			n++
		}
	}
	return n
}
