// Package testrig is what the tests of package mfa have in common: a service with
// everything around it under the test's control, and what a person does with it.
package testrig

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
	"github.com/authfactor/mfa/proof"
)

// Who is tested with.
const (
	// Ann is a user.
	Ann = "user_ann"
	// Number is a phone number.
	Number = "+15005550006"
)

// A Rig is a service with everything around it under the test's control. Its
// store counts calls, and may be told to fail.
type Rig struct {
	T            *testing.T           // the test that it is for
	Clock        *mfatest.Clock       // of the Service
	SMS          *mfatest.Sender      // of the Service; holds what was sent
	Store        *mfatest.FaultyStore // of the Service
	Config       mfa.Config           // of the Service; without its zero defaults
	*mfa.Service                      // what is tested

	mu     sync.Mutex
	events []mfa.Event
}

// New returns a rig whose configuration was changed.
func New(t *testing.T, change ...func(*mfa.Config)) *Rig {
	t.Helper()
	r := &Rig{
		T: t, Clock: new(mfatest.Clock), SMS: new(mfatest.Sender),
		Store: &mfatest.FaultyStore{Store: new(mfa.MemoryStore)},
	}
	r.Config = mfa.Config{
		Store: r.Store, SMS: r.SMS, Keys: mfatest.Keys(), Regions: []string{"US"}, DefaultRegion: "US",
		InsecureSkipProof: true, // proof_test.go is about receipts
		Now:               r.Clock.Now, Logger: slog.New(slog.DiscardHandler),
		OnEvent: func(_ context.Context, e mfa.Event) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.events = append(r.events, e)
		},
	}
	for _, c := range change {
		c(&r.Config)
	}
	r.Service = r.Another()
	return r
}

// Another is a second service over the same store, as another process has it.
func (r *Rig) Another() *mfa.Service {
	r.T.Helper()
	svc, err := mfa.New(r.Config)
	if err != nil {
		r.T.Fatal(err)
	}
	return svc
}

// An Enrolled is a factor, with what the person has.
type Enrolled struct {
	mfa.Factor
	Secret string // of a TOTP factor
}

// EnrollTOTP enrolls an app, which is not confirmed.
func (r *Rig) EnrollTOTP(userID string) Enrolled {
	r.T.Helper()
	enr, err := r.Enroll(r.T.Context(), mfa.EnrollParams{
		UserID: userID, NoOwner: userID == "",
		TOTP: &mfa.TOTPParams{Issuer: "Foo Corp", User: "alan.turing@foo-corp.com"},
	})
	if err != nil {
		r.T.Fatal(err)
	}
	return Enrolled{Factor: enr.Factor, Secret: enr.TOTP.Secret()}
}

// EnrollSMS enrolls a number, which is not confirmed.
func (r *Rig) EnrollSMS(userID, number string) Enrolled {
	r.T.Helper()
	enr, err := r.Enroll(r.T.Context(), mfa.EnrollParams{
		UserID: userID, NoOwner: userID == "", SMS: &mfa.SMSParams{PhoneNumber: number},
	})
	if err != nil {
		r.T.Fatal(err)
	}
	return Enrolled{Factor: enr.Factor}
}

// TOTP is a confirmed app whose next codes are all unused.
func (r *Rig) TOTP(userID string) Enrolled {
	r.T.Helper()
	f := r.EnrollTOTP(userID)
	r.LogIn(f)
	return f
}

// Phone is a confirmed SMS factor whose cool-down is over.
func (r *Rig) Phone(userID, number string) Enrolled {
	r.T.Helper()
	f := r.EnrollSMS(userID, number)
	r.LogIn(f)
	return f
}

// LogIn answers a challenge of the factor with the right code, and lets three
// minutes pass.
func (r *Rig) LogIn(f Enrolled) {
	r.T.Helper()
	ch, err := r.Challenge(r.T.Context(), mfa.ChallengeParams{
		FactorID: f.ID, UserID: f.UserID, Confirm: true,
	})
	if err != nil {
		r.T.Fatal(err)
	}
	v, err := r.Answer(ch, f, r.Right(f))
	if err != nil || !v.Valid {
		r.T.Fatalf("the right code: %+v, %v", v, err)
	}
	r.Clock.Advance(3 * time.Minute)
}

// Ask challenges a factor.
func (r *Rig) Ask(f Enrolled) mfa.Challenge {
	r.T.Helper()
	ch, err := r.Challenge(r.T.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: f.UserID})
	if err != nil {
		r.T.Fatal(err)
	}
	return ch
}

// Answer answers a challenge of a factor.
func (r *Rig) Answer(ch mfa.Challenge, f Enrolled, code string) (mfa.Verification, error) {
	return r.Verify(r.T.Context(), mfa.VerifyParams{ChallengeID: ch.ID, UserID: f.UserID, Code: code})
}

// Right is the code that the person sees now.
func (r *Rig) Right(f Enrolled) string {
	if f.Type == mfa.TypeSMS {
		return r.SMS.Code(f.PhoneNumber())
	}
	return mfatest.Code(f.Secret, r.Clock.Now())
}

// Wrong is a code that is right neither now nor in the steps around.
func (r *Rig) Wrong(f Enrolled) string {
	codes := []string{r.Right(f)}
	if f.Type == mfa.TypeTOTP {
		for i := -2; i <= 2; i++ {
			codes = append(codes, mfatest.Code(f.Secret, r.Clock.Now().Add(time.Duration(i)*30*time.Second)))
		}
	}
	for i := 0; ; i++ {
		if code := fmt.Sprintf("%06d", i); !slices.Contains(codes, code) {
			return code
		}
	}
}

// Fail answers with n wrong codes, on a new challenge each time the old one is
// used up, and waits as long as it is told to.
func (r *Rig) Fail(f Enrolled, n int) {
	r.T.Helper()
	ch := r.AskPatiently(f)
	for range n {
		for {
			_, err := r.Answer(ch, f, r.Wrong(f))
			if errors.Is(err, mfa.ErrInvalidCode) {
				break
			}
			if e := Refusal(r.T, err); e.RetryAfter > 0 {
				r.Clock.Advance(e.RetryAfter)
			} else if !errors.Is(err, mfa.ErrTooManyAttempts) && !errors.Is(err, mfa.ErrChallengeExpired) {
				r.T.Fatal(err)
			}
			ch = r.AskPatiently(f)
		}
	}
}

// AskPatiently challenges a factor, to confirm it if need be, and waits as long as it is told to.
func (r *Rig) AskPatiently(f Enrolled) mfa.Challenge {
	r.T.Helper()
	for {
		ch, err := r.Challenge(r.T.Context(), mfa.ChallengeParams{
			FactorID: f.ID, UserID: f.UserID, Confirm: true,
		})
		if err == nil {
			return ch
		}
		e := Refusal(r.T, err)
		if e.RetryAfter <= 0 {
			r.T.Fatal(err)
		}
		r.Clock.Advance(e.RetryAfter)
	}
}

// Took returns the events since it was last called.
func (r *Rig) Took() []mfa.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	events := r.events
	r.events = nil
	return events
}

// Calls are the methods of the store that f calls, in order.
func (r *Rig) Calls(f func()) string {
	before := len(r.Store.Calls())
	f()
	var methods []string
	for _, c := range r.Store.Calls()[before:] {
		methods = append(methods, c.Method)
	}
	return strings.Join(methods, " ")
}

// Records are all that the store holds.
func (r *Rig) Records() []mfa.Record {
	r.T.Helper()
	var all []mfa.Record
	for _, kind := range []string{"factor", "challenge", "number", "bucket", "user", "device"} {
		records, err := r.Store.Store.List(r.T.Context(), mfa.Query{Kind: kind, Limit: 1 << 20})
		if err != nil {
			r.T.Fatal(err)
		}
		all = append(all, records...)
	}
	return all
}

// Record is a stored record of the kind, which must be the only one.
func (r *Rig) Record(kind string) mfa.Record {
	r.T.Helper()
	records := slices.DeleteFunc(r.Records(), func(rec mfa.Record) bool { return rec.Kind != kind })
	if len(records) != 1 {
		r.T.Fatalf("%d records of kind %s, want 1", len(records), kind)
	}
	return records[0]
}

// Refusal is the *mfa.Error in err.
func Refusal(t *testing.T, err error) *mfa.Error {
	t.Helper()
	e, ok := errors.AsType[*mfa.Error](err)
	if !ok {
		t.Fatalf("error %v (%T), want an *mfa.Error", err, err)
	}
	return e
}

// MustBe ends the test if err does not match want.
func MustBe(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error %v, want %v", err, want)
	}
}

// All runs f n times at once, from behind a barrier, and returns the errors.
func All(n int, f func(i int) error) []error {
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

// Count is how many of errs match want; nil counts the successes.
func Count(errs []error, want error) int {
	n := 0
	for _, err := range errs {
		if errors.Is(err, want) {
			n++
		}
	}
	return n
}

// Trust answers a challenge on a browser that is to be trusted from then on.
func (r *Rig) Trust(f Enrolled, name string) mfa.TrustedDevice {
	r.T.Helper()
	ch := r.AskPatiently(f)
	v, err := r.Verify(r.T.Context(), mfa.VerifyParams{
		ChallengeID: ch.ID, UserID: f.UserID, Code: r.Right(f), TrustDevice: name != "", DeviceName: name,
	})
	if err != nil {
		r.T.Fatal(err)
	}
	if v.Device.Name != name || v.Device.Token() == "" || v.Device.UserID != f.UserID {
		r.T.Fatalf("%+v", v.Device)
	}
	r.Clock.Advance(time.Minute)
	return v.Device
}

// Use starts a login of Ann on the browser that has the token.
func (r *Rig) Use(token string) (Used, error) {
	r.T.Helper()
	login, err := r.StartLogin(r.T.Context(), mfa.LoginParams{UserID: Ann, DeviceToken: token})
	switch {
	case errors.Is(err, mfa.ErrNoUsableFactor), err == nil && !login.SkipCode:
		return Used{}, ErrAsked
	case err != nil:
		return Used{}, err
	case login.DeviceToken() == "" && len(r.FactorIDs(Ann)) == 0: // nobody has to be asked
		return Used{}, ErrAsked
	}
	devices, err := r.Devices(r.T.Context(), Ann)
	for _, d := range devices {
		if strings.HasPrefix(login.DeviceToken(), d.ID+".") {
			return Used{d, login.DeviceToken()}, err
		}
	}
	r.T.Fatalf("let in by a device that is not listed: %v", err)
	return Used{}, err
}

// TrustedNames are the names of Ann's trusted devices, in the order of Devices.
func (r *Rig) TrustedNames() []string {
	r.T.Helper()
	devices, err := r.Devices(r.T.Context(), Ann)
	if err != nil {
		r.T.Fatal(err)
	}
	names := []string{}
	for _, d := range devices {
		names = append(names, d.Name)
		if d.Token() != "" {
			r.T.Errorf("%s is listed with its token", d.Name)
		}
	}
	return names
}

// Versions tell one state of a store from another.
func (r *Rig) Versions() map[string]int64 {
	versions := make(map[string]int64)
	for _, rec := range r.Records() {
		versions[rec.ID] = rec.Version
	}
	return versions
}

// AnswerWith is Answer under an idempotency key.
func (r *Rig) AnswerWith(
	key string, ch mfa.Challenge, f Enrolled, code string,
) (mfa.Verification, error) {
	return r.Verify(r.T.Context(), mfa.VerifyParams{
		ChallengeID: ch.ID, UserID: f.UserID, Code: code, IdempotencyKey: key,
	})
}

// Begin starts a login of Ann on a browser without a device.
func (r *Rig) Begin(p ...mfa.LoginParams) (mfa.Login, error) {
	r.T.Helper()
	params := mfa.LoginParams{UserID: Ann}
	if len(p) > 0 {
		params = p[0]
	}
	return r.StartLogin(r.T.Context(), params)
}

// Recovery enrolls a set of recovery codes.
func (r *Rig) Recovery(userID string) (Enrolled, []string) {
	r.T.Helper()
	return r.RecoveryWith(userID, "")
}

// RecoveryWith is Recovery with a receipt.
func (r *Rig) RecoveryWith(userID, receipt string) (Enrolled, []string) {
	r.T.Helper()
	enr, err := r.Enroll(r.T.Context(), mfa.EnrollParams{
		UserID: userID, NoOwner: userID == "", RecoveryCodes: true, Receipt: receipt,
	})
	if err != nil {
		r.T.Fatal(err)
	}
	return Enrolled{Factor: enr.Factor}, enr.RecoveryCodes.Codes()
}

// Left is how many codes a set has.
func (r *Rig) Left(f Enrolled) int {
	r.T.Helper()
	now, err := r.Factor(r.T.Context(), mfa.FactorParams{FactorID: f.ID, UserID: f.UserID})
	if err != nil {
		r.T.Fatal(err)
	}
	return now.RecoveryCodesLeft
}

// Drop takes rows out of the store, as a lost one is gone.
func (r *Rig) Drop(which func(mfa.Record) bool) (dropped []mfa.Record) {
	r.T.Helper()
	for _, rec := range r.Records() {
		if !which(rec) {
			continue
		}
		err := r.Store.Store.Save(r.T.Context(), mfa.Change{
			Record: mfa.Record{ID: rec.ID, Version: rec.Version}, Delete: true,
		})
		if err != nil {
			r.T.Fatal(err)
		}
		dropped = append(dropped, rec)
	}
	return dropped
}

// FactorIDs are the ids of a user's factors, in the order of Factors.
func (r *Rig) FactorIDs(userID string) []string {
	r.T.Helper()
	factors, err := r.Factors(r.T.Context(), userID)
	if err != nil {
		r.T.Fatal(err)
	}
	ids := []string{}
	for _, f := range factors {
		ids = append(ids, f.ID)
	}
	return ids
}

// Approve answers a challenge for the action with the right code, and returns the
// receipt.
func (r *Rig) Approve(f Enrolled, a proof.Action) string {
	r.T.Helper()
	ch, err := r.Challenge(r.T.Context(), mfa.ChallengeParams{
		FactorID: f.ID, UserID: f.UserID, Action: a,
	})
	if err != nil {
		r.T.Fatal(err)
	}
	v, err := r.Verify(r.T.Context(), mfa.VerifyParams{
		ChallengeID: ch.ID, UserID: f.UserID, Code: r.Right(f), Action: a,
	})
	if err != nil {
		r.T.Fatal(err)
	}
	return v.Receipt()
}

// ErrAsked stands for a login that requires a code.
var ErrAsked = errors.New("a code is required")

// A Used device is one that let its person in without a code.
type Used struct {
	mfa.TrustedDevice
	token string
}

// Token is what the device has to show from now on.
func (u Used) Token() string { return u.token }

// OfKind matches the records of a kind.
func OfKind(kind string) func(mfa.Record) bool {
	return func(rec mfa.Record) bool { return rec.Kind == kind }
}

// WithID matches the record that has the id.
func WithID(id string) func(mfa.Record) bool {
	return func(rec mfa.Record) bool { return rec.ID == id }
}

// Kinds are the kinds of events, in order.
func Kinds(events []mfa.Event) []mfa.EventKind {
	var kinds []mfa.EventKind
	for _, e := range events {
		kinds = append(kinds, e.Kind)
	}
	return kinds
}

// Refused runs a call that must be refused before any call of the store or the
// sender.
func Refused(t *testing.T, r *Rig, what string, want error, call func() error) {
	t.Helper()
	calls, sends := len(r.Store.Calls()), r.SMS.Sends()
	err := call()
	if !errors.Is(err, want) {
		t.Errorf("%.80q: error %v, want %v", what, err, want)
	}
	if e, ok := errors.AsType[*mfa.Error](err); ok &&
		(e.Code == "" || e.Message == "" || len(e.Message) > 300) {
		t.Errorf("%.80q: code %q, message %.400q", what, e.Code, e.Message)
	}
	if len(r.Store.Calls()) != calls || r.SMS.Sends() != sends {
		t.Errorf("%.80q: the store or the sender was called", what)
	}
}

// ListsAll is a store that ignores the user of a query.
type ListsAll struct{ *mfa.MemoryStore }

// List lists the records of all users.
func (s ListsAll) List(ctx context.Context, q mfa.Query) ([]mfa.Record, error) {
	q.UserID = ""
	return s.MemoryStore.List(ctx, q)
}

// VectorSecret is the secret of RFC 4226 appendix D, in base32. At the fuzzing
// clock's second 59 its code is 287082 (RFC 6238 appendix B).
const VectorSecret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ" //nolint:gosec // everybody knows it

// VectorRig has an app with that secret, at second 59.
func VectorRig(t *testing.T) (*Rig, Enrolled) {
	t.Helper()
	r := New(t, func(c *mfa.Config) { c.Store = new(mfa.MemoryStore) })
	r.Clock.Set(time.Unix(59, 0))
	enr, err := r.Enroll(t.Context(), mfa.EnrollParams{
		NoOwner: true, TOTP: &mfa.TOTPParams{Issuer: "Foo Corp", User: "ann", Secret: VectorSecret},
	})
	if err != nil {
		t.Fatal(err)
	}
	return r, Enrolled{Factor: enr.Factor, Secret: VectorSecret}
}

// AskWith is Ask under an idempotency key.
func (r *Rig) AskWith(
	key string, f Enrolled, change ...func(*mfa.ChallengeParams),
) (mfa.Challenge, error) {
	p := mfa.ChallengeParams{FactorID: f.ID, UserID: f.UserID, IdempotencyKey: key}
	for _, c := range change {
		c(&p)
	}
	return r.Challenge(r.T.Context(), p)
}

// Pay is an action to approve.
var Pay = proof.ActionOf("pay", "EUR 500.00", "DE89370400440532013000")

// Drain is how long the leaky bucket takes for one wrong code.
const Drain = 14*time.Hour + 24*time.Minute

// Long times.
const (
	// Day is 24 hours.
	Day = 24 * time.Hour
	// Year is 365 days.
	Year = 365 * Day
)
