package mfa_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/internal/testrig"
	"github.com/authfactor/mfa/mfatest"
	"github.com/authfactor/mfa/proof"
)

// A verb of this file ends the second factor of Ann.
type ends struct {
	name    string
	call    func(*rig) error
	record  bool // the user's record stays
	careful bool // it refuses what does not agree
}

var operators = []ends{
	{"TurnOff by an operator", func(r *rig) error {
		return r.TurnOff(r.T.Context(), mfa.TurnOffParams{UserID: ann, ByOperator: true})
	}, true, false},
	{"Forget", func(r *rig) error { return r.Forget(r.T.Context(), ann) }, false, false},
}

var endings = append(slices.Clone(operators), ends{"TurnOff", func(r *rig) error {
	return r.TurnOff(r.T.Context(), mfa.TurnOffParams{UserID: ann})
}, true, true})

// naming are the kinds of the records that have a user's id in a column.
func (r *rig) naming(userID string) (kinds []string) {
	r.T.Helper()
	for _, rec := range r.Records() {
		if slices.Contains([]string{rec.ID, rec.Parent, rec.UserID, rec.Type, rec.Status}, userID) {
			kinds = append(kinds, rec.Kind)
		}
	}
	return kinds
}

// ended checks that nothing of Ann is left but what the verb leaves, and that she can
// begin anew.
func (r *rig) ended(verb ends, after string) {
	r.T.Helper()
	kinds := r.naming(ann)
	if !verb.record && len(kinds) > 0 ||
		slices.ContainsFunc(kinds, func(kind string) bool { return kind != "user" }) {
		r.T.Errorf("%s, %s: left are %v", verb.name, after, kinds)
	}
	if login, err := r.StartLogin(r.T.Context(), mfa.LoginParams{
		UserID: ann,
	}); err != nil ||
		!login.SkipCode {
		r.T.Errorf("%s, %s: a login is %+v, %v", verb.name, after, login, err)
	}
	r.TOTP(ann)
	if got := r.FactorIDs(ann); len(got) != 1 {
		r.T.Errorf("%s, %s: enrolled anew, there are %v", verb.name, after, got)
	}
}

// whole gives Ann ten confirmed factors, three that are to replace some, and five devices.
// It returns an app, and a device's token.
func (r *rig) whole() (enrolled, string) {
	r.T.Helper()
	apps := []enrolled{r.TOTP(ann)}
	for range 8 {
		apps = append(apps, r.TOTP(ann))
	}
	r.Recovery(ann)
	for i, p := range []mfa.EnrollParams{
		{TOTP: &mfa.TOTPParams{Issuer: "a", User: "b"}}, {SMS: &mfa.SMSParams{PhoneNumber: phone}},
		{GenericOTP: true},
	} {
		p.UserID, p.Replaces = ann, apps[i].ID
		if _, err := r.Enroll(r.T.Context(), p); err != nil {
			r.T.Fatal(err)
		}
	}
	token := ""
	for range 5 {
		token = r.Trust(apps[8], "Firefox").Token()
	}
	return apps[8], token
}

// twin is a rig whose store has the same records: to enroll them anew takes long.
func (r *rig) twin() *rig {
	r.T.Helper()
	other := newRig(r.T, func(c *mfa.Config) { c.Keys = r.Config.Keys })
	other.Clock.Set(r.Clock.Now())
	for _, rec := range r.Records() {
		for version := range rec.Version { // up to the one that its State is bound to
			change := mfa.Change{Record: rec}
			change.Record.Version = version
			if err := other.Store.Store.Save(r.T.Context(), change); err != nil {
				r.T.Fatal(err)
			}
		}
	}
	return other
}

// change writes rows as somebody with access to the database does.
func (r *rig) change(which func(mfa.Record) bool, edit func(*mfa.Record)) {
	r.T.Helper()
	for _, rec := range r.Records() {
		if !which(rec) {
			continue
		}
		rec.State = slices.Clone(rec.State)
		edit(&rec)
		if err := r.Store.Store.Save(r.T.Context(), mfa.Change{Record: rec}); err != nil {
			r.T.Fatal(err)
		}
	}
}

// copies puts n rows beside the factors that are copies of one under other ids.
func (r *rig) copies(f enrolled, n int) {
	r.T.Helper()
	row := r.Records()[slices.IndexFunc(r.Records(), withID(f.ID))]
	for i := range n {
		row.ID, row.Version = fmt.Sprintf("%sx%02d", f.ID[:len(f.ID)-3], i), 0
		if err := r.Store.Store.Save(r.T.Context(), mfa.Change{Record: row}); err != nil {
			r.T.Fatal(err)
		}
	}
}

// TestTurnOff: with a fresh code for this and nothing else all factors and devices go at
// once, and the password alone logs in.
func TestTurnOff(t *testing.T) {
	r := strict(t)
	f := r.TOTP(ann)
	bob := r.TOTP("user_bob")
	off := proof.ActionOf(mfa.PurposeTurnOff)
	codes, _ := r.RecoveryWith(ann, r.Approve(f, proof.ActionOf(mfa.PurposeEnroll)))
	r.Clock.Advance(time.Minute)
	enroll := r.Approve(f, proof.ActionOf(mfa.PurposeEnroll))
	r.Clock.Advance(time.Minute)
	unenroll := r.Approve(f, proof.ActionOf(mfa.PurposeUnenroll, f.ID))
	r.Clock.Advance(time.Minute)
	d := r.Trust(f, "Firefox")
	open := r.Ask(codes)
	r.Took()
	saves := len(r.Store.Calls("Save"))
	for name, receipt := range map[string]string{
		"none": "", "enroll": enroll, "unenroll": unenroll, "nonsense": "nonsense",
	} {
		if err := r.TurnOff(t.Context(), mfa.TurnOffParams{
			UserID: ann, Receipt: receipt,
		}); !errors.Is(
			err,
			mfa.ErrProofRequired,
		) {
			t.Errorf("receipt %s: %v", name, err)
		}
	}
	bobs := r.Approve(bob, off)
	saves += 2
	mustBe(
		t,
		r.TurnOff(t.Context(), mfa.TurnOffParams{UserID: ann, Receipt: bobs}),
		mfa.ErrProofRequired,
	)
	if n := len(r.Store.Calls("Save")); n != saves {
		t.Errorf("%d saves by what was refused", n-saves)
	}

	receipt := r.Approve(f, off)
	r.Took()
	if err := r.TurnOff(t.Context(), mfa.TurnOffParams{UserID: ann, Receipt: receipt}); err != nil {
		t.Fatal(err)
	}
	events := r.Took()
	if len(events) != 1 || events[0].Kind != mfa.EventTurnedOff || events[0].UserID != ann ||
		events[0].FactorID != "" ||
		!events[0].Notify() ||
		!events[0].Time.Equal(r.Clock.Now()) {
		t.Errorf("events %+v", events)
	}
	if kinds := r.naming(ann); !slices.Equal(kinds, []string{"user"}) {
		t.Errorf("left are %v", kinds)
	}
	_, err := r.Answer(open, codes, "0000")
	mustBe(t, err, mfa.ErrNotFound)
	_, err = r.Redeem(t.Context(), proof.Claim{Receipt: receipt, UserID: ann, Action: off})
	mustBe(t, err, proof.ErrSpent)
	login, err := r.StartLogin(t.Context(), mfa.LoginParams{UserID: ann, DeviceToken: d.Token()})
	if err != nil || !login.SkipCode || login.DeviceToken() != "" {
		t.Errorf("%+v, %v", login, err)
	}
	_, err = r.StartLogin(t.Context(), mfa.LoginParams{UserID: ann, HasFactor: true})
	mustBe(t, err, mfa.ErrIntegrity)
	if got := r.FactorIDs("user_bob"); !slices.Equal(got, []string{bob.ID}) {
		t.Errorf("bob has %v", got)
	}
}

// TestTurnOffSpends: the receipt is spent in the commit that turns off.
func TestTurnOffSpends(t *testing.T) {
	r := strict(t)
	f := r.TOTP(ann)
	off := proof.ActionOf(mfa.PurposeTurnOff)
	receipt := r.Approve(f, off)
	factor := r.Records()[slices.IndexFunc(r.Records(), withID(f.ID))]
	if err := r.TurnOff(t.Context(), mfa.TurnOffParams{UserID: ann, Receipt: receipt}); err != nil {
		t.Fatal(err)
	}
	for range 2 { // a challenge is written when it is made, answered and spent
		if rows := slices.DeleteFunc(
			r.Records(),
			func(rec mfa.Record) bool { return rec.Parent != f.ID || rec.Version != 3 },
		); len(
			rows,
		) != 1 {
			t.Errorf("%d challenges of %s were written a third time", len(rows), factor.ID)
		}
		if err := r.TurnOff(t.Context(), mfa.TurnOffParams{
			UserID: ann, Receipt: receipt,
		}); err != nil { // there is nothing more
			t.Error(err)
		}
	}
}

// TestTurnOffNothing: who has no confirmed factor proves nothing, and who has nothing is
// no error.
func TestTurnOffNothing(t *testing.T) {
	for _, verb := range endings {
		r := strict(t)
		r.EnrollTOTP("user_bob")
		r.Took()
		if got := r.Calls(func() {
			if err := verb.call(r); err != nil {
				t.Errorf("%s of nobody: %v", verb.name, err)
			}
		}); strings.Contains(got, "Save") {
			t.Errorf("%s of nobody calls %s", verb.name, got)
		}
		r.EnrollTOTP(ann)
		r.Took()
		if err := verb.call(r); err != nil {
			t.Errorf("%s of who confirmed nothing: %v", verb.name, err)
		}
		want := []mfa.EventKind{"forgotten"}
		if verb.record {
			want = nil // nothing was on
		}
		if got := kinds(r.Took()); !slices.Equal(got, want) {
			t.Errorf("%s: events %v, want %v", verb.name, got, want)
		}
		if got := r.Calls(func() { _ = verb.call(r) }); strings.Contains(got, "Save") {
			t.Errorf("%s again calls %s", verb.name, got)
		}
		r.ended(verb, "confirmed nothing")
	}
}

// TestForgetTells: the application hears that nothing is left each time that it is so.
func TestForgetTells(t *testing.T) {
	r := newRig(t)
	r.whole()
	for range 2 {
		r.Took()
		if err := r.Forget(t.Context(), ann); err != nil {
			t.Fatal(err)
		}
		e := r.Took()
		if len(e) != 1 || e[0].Kind != mfa.EventForgotten || e[0].UserID != ann || e[0].Notify() ||
			!e[0].Time.Equal(r.Clock.Now()) {
			t.Errorf("%+v", e)
		}
	}
}

// TestEndingParams: one user, and one of two callers.
func TestEndingParams(t *testing.T) {
	r := newRig(t)
	r.TOTP(ann)
	before := len(r.Records())
	for _, id := range []string{"", mfa.AnyUser, "a\nb", strings.Repeat("x", 256)} {
		calls := r.Calls(func() {
			mustBe(t, r.TurnOff(t.Context(), mfa.TurnOffParams{UserID: id}), mfa.ErrInvalidParameter)
			mustBe(
				t,
				r.TurnOff(t.Context(), mfa.TurnOffParams{UserID: id, ByOperator: true}),
				mfa.ErrInvalidParameter,
			)
			mustBe(t, r.Forget(t.Context(), id), mfa.ErrInvalidParameter)
		})
		if calls != "" {
			t.Errorf("%q: calls %s", id, calls)
		}
	}
	mustBe(
		t,
		r.TurnOff(t.Context(), mfa.TurnOffParams{UserID: ann, ByOperator: true, Receipt: "x"}),
		mfa.ErrInvalidParameter,
	)
	if after := len(r.Records()); after != before {
		t.Errorf("%d records, were %d", after, before)
	}
}

// TestTurnOffKeepsLimits: turning off is no new budget of messages, and makes no used code
// good.
func TestTurnOffKeepsLimits(t *testing.T) {
	for _, verb := range []ends{endings[0], endings[2]} {
		r := newRig(t)
		first := r.Phone(ann, "+15005550007")
		f := r.TOTP(ann)
		for range 4 {
			r.TOTP(ann) // used earlier than the first app below, and of four alone is it known
		}
		for range 4 {
			r.LogIn(first)
			r.Clock.Advance(10 * time.Minute)
		}
		r.AskPatiently(first)
		code := r.Right(f)
		if _, err := r.Answer(r.Ask(f), f, code); err != nil {
			t.Fatal(err)
		}
		if err := verb.call(r); err != nil {
			t.Fatal(err)
		}
		again, err := r.Enroll(t.Context(), mfa.EnrollParams{
			UserID: ann, TOTP: &mfa.TOTPParams{Issuer: "a", User: "b", Secret: f.Secret},
		})
		if err != nil {
			t.Fatal(err)
		}
		ch := r.challengeToConfirm(enrolled{Factor: again.Factor, Secret: f.Secret})
		_, err = r.Answer(ch, enrolled{Factor: again.Factor, Secret: f.Secret}, code)
		mustBe(t, err, mfa.ErrInvalidCode)
		other := r.EnrollSMS(ann, phone)
		_, err = r.Challenge(t.Context(), mfa.ChallengeParams{
			FactorID: other.ID, UserID: ann, Confirm: true,
		})
		mustBe(t, err, mfa.ErrThrottled)
	}
}

// TestEndDamaged: records that are lost, changed or of another key are an error of what a
// person calls, and deleted by an operator. Until then no login does without a code.
func TestEndDamaged(t *testing.T) {
	flip := func(rec *mfa.Record) { rec.State[len(rec.State)-1] ^= 1 }
	mallory := func(rec *mfa.Record) { rec.UserID = "user_mallory" }
	for name, damage := range map[string]func(*rig, enrolled){
		"the user's record is lost":       func(r *rig, _ enrolled) { r.Drop(ofKind("user")) },
		"the user's record does not open": func(r *rig, _ enrolled) { r.change(ofKind("user"), flip) },
		"the user's record is of mallory": func(r *rig, _ enrolled) { r.change(ofKind("user"), mallory) },
		"the user's record is a factor": func(r *rig, _ enrolled) {
			r.change(ofKind("user"), func(rec *mfa.Record) { rec.Kind = "factor" })
		},
		"the user's record is a device": func(r *rig, _ enrolled) {
			r.change(ofKind("user"), func(rec *mfa.Record) { rec.Kind = "device" })
		},
		"a factor is lost":       func(r *rig, f enrolled) { r.Drop(withID(f.ID)) },
		"a factor does not open": func(r *rig, f enrolled) { r.change(withID(f.ID), flip) },
		"a factor is of mallory": func(r *rig, f enrolled) { r.change(withID(f.ID), mallory) },
		"a factor is a device": func(r *rig, f enrolled) {
			r.Drop(ofKind("device")) // so that it fits into the same Save
			r.change(withID(f.ID), func(rec *mfa.Record) { rec.Kind = "device" })
		},
		"all factors are lost": func(r *rig, _ enrolled) { r.Drop(ofKind("factor")) },
		"no factor opens":      func(r *rig, _ enrolled) { r.change(ofKind("factor"), flip) },
		"nothing opens": func(r *rig, _ enrolled) {
			r.change(func(mfa.Record) bool { return true }, flip)
		},
		"another key":          func(r *rig, _ enrolled) { r.with(mfa.NewKey()) },
		"there are forty more": func(r *rig, f enrolled) { r.copies(f, 40) },
		"forty, and no user":   func(r *rig, f enrolled) { r.copies(f, 40); r.Drop(ofKind("user")) },
		"forty, and nothing opens": func(r *rig, f enrolled) {
			r.copies(f, 40)
			r.change(ofKind("user"), flip)
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, verb := range endings {
				r := newRig(t)
				f, token := r.whole()
				damage(r, f)
				r.Store.Store = distinct{r.Store.Store}
				before := len(r.Records())
				r.Store.Before = func(ctx context.Context, c mfatest.Call) error {
					if c.Method == "Save" && !verb.careful {
						r.Store.Before = nil
						for _, token := range []string{"", token} {
							if login, err := r.StartLogin(ctx, mfa.LoginParams{
								UserID: ann, DeviceToken: token,
							}); !errors.Is(err, mfa.ErrIntegrity) ||
								login.SkipCode {
								t.Errorf("before %s a login is %+v, %v", verb.name, login, err)
							}
						}
					}
					return nil
				}
				err := verb.call(r)
				r.Store.Before = nil
				if verb.careful {
					if after := len(r.Records()); !errors.Is(err, mfa.ErrIntegrity) || after != before {
						t.Errorf("%s: %v, and %d records of %d", verb.name, err, after, before)
					}
					continue
				}
				if err != nil {
					t.Fatalf("%s: %v", verb.name, err)
				}
				if kinds := r.naming("user_mallory"); len(kinds) > 0 {
					t.Errorf("%s: left under another name are %v", verb.name, kinds)
				}
				r.ended(verb, name)
			}
		})
	}
}

// A distinct store takes each id once in a Save, as the contract has it.
type distinct struct{ mfa.Store }

func (s distinct) Save(ctx context.Context, changes ...mfa.Change) error {
	seen := map[string]bool{}
	for _, c := range changes {
		if seen[c.Record.ID] {
			return fmt.Errorf("%s is twice in one Save", c.Record.ID)
		}
		seen[c.Record.ID] = true
	}
	return s.Store.Save(ctx, changes...)
}

// TestEndDamagedDevices: what a device's row holds stands in nobody's way.
func TestEndDamagedDevices(t *testing.T) {
	for name, edit := range map[string]func(*mfa.Record){
		"does not open": func(rec *mfa.Record) { rec.State = nil },
		"of mallory":    func(rec *mfa.Record) { rec.UserID = "user_mallory" },
	} {
		for _, verb := range endings {
			r := newRig(t)
			r.whole()
			r.change(ofKind("device"), edit)
			if err := verb.call(r); err != nil {
				t.Errorf("%s, a device that is %s: %v", verb.name, name, err)
			}
			if kinds := r.naming("user_mallory"); len(kinds) > 0 {
				t.Errorf("%s: left under another name are %v", verb.name, kinds)
			}
			r.ended(verb, name)
		}
	}
}

// TestEndInterrupted fails each store call of each verb, before it is applied and after:
// no login does without a code while a factor is there, and the same call again ends it.
func TestEndInterrupted(t *testing.T) {
	broken := errors.New("connection lost")
	damages := map[string]func(*rig, enrolled){
		"nothing is damaged": func(*rig, enrolled) {},
		"the record is lost": func(r *rig, f enrolled) { r.copies(f, 40); r.Drop(ofKind("user")) },
		"there are too many": func(r *rig, f enrolled) { r.copies(f, 40) },
	}
	whole := newRig(t)
	f, _ := whole.whole()
	for name, damage := range damages {
		for _, verb := range endings {
			for _, after := range []bool{false, true} {
				for n := 1; n > 0; n++ {
					if verb.careful && name != "nothing is damaged" {
						break
					}
					r := whole.twin()
					damage(r, f)
					calls := len(r.Store.Calls())
					hook := mfatest.Nth(calls+n, broken)
					if after {
						r.Store.After = hook
					} else {
						r.Store.Before = hook
					}
					err := verb.call(r)
					if len(r.Store.Calls()) < calls+n {
						if n < 6 {
							t.Errorf("%s: %d store calls", verb.name, n-1)
						}
						break
					}
					what := fmt.Sprintf("%s, %s, store call %d failed, applied %t", verb.name, name, n, after)
					confirmed := 0
					for _, rec := range r.Records() {
						if rec.Kind == "factor" && rec.Status != string(mfa.StatusUnverified) {
							confirmed++
						}
					}
					// Of TurnOff what comes after the commit is nobody's failure.
					if err != nil || confirmed > 0 || verb.name == "Forget" {
						mustBe(t, err, broken)
					}
					login, err := r.StartLogin(t.Context(), mfa.LoginParams{UserID: ann})
					if login.SkipCode && confirmed > 0 {
						t.Errorf("%s: a login skips the code, and %d factors are there", what, confirmed)
					}
					if name == "nothing is damaged" && (err != nil || confirmed != 0 && confirmed != 10) {
						t.Errorf("%s: %d factors are there, and a login is %v", what, confirmed, err)
					}
					if err := verb.call(r); err != nil {
						t.Errorf("%s: again: %v", what, err)
					}
					r.ended(verb, what)
				}
			}
		}
	}
}

// TestCommittedIsNoError: what was committed is told as such, whatever becomes of the rows
// that are swept after it, so that the application clears its own record. The owner's
// hanging up does not stop the sweep.
func TestCommittedIsNoError(t *testing.T) {
	for name, call := range map[string]func(context.Context, *rig, enrolled, string) error{
		"TurnOff": func(ctx context.Context, r *rig, _ enrolled, _ string) error {
			return r.TurnOff(ctx, mfa.TurnOffParams{UserID: ann, HasFactor: true})
		},
		"Unenroll": func(ctx context.Context, r *rig, f enrolled, _ string) error {
			return r.Unenroll(ctx, mfa.UnenrollParams{FactorID: f.ID, UserID: ann})
		},
		"RevokeDevice": func(ctx context.Context, r *rig, _ enrolled, token string) error {
			id, _, _ := strings.Cut(token, ".")
			return r.RevokeDevice(ctx, ann, id)
		},
		"RevokeDevices": func(ctx context.Context, r *rig, _ enrolled, _ string) error {
			return r.RevokeDevices(ctx, ann)
		},
	} {
		for _, hangsUp := range []bool{false, true} {
			r := newRig(t)
			f := r.TOTP(ann)
			token := r.Trust(f, "Firefox").Token()
			r.Clock.Advance(time.Minute)
			ctx, cancel := context.WithCancel(t.Context())
			saves := 0
			r.Store.Before = func(_ context.Context, call mfatest.Call) error {
				switch {
				case call.Method == "Save" && saves == 0: // a lost race, so that rows are swept later
					saves++
					return mfa.ErrConflict
				case call.Method == "Save":
					saves++
				}
				return nil
			}
			r.Store.After = func(_ context.Context, call mfatest.Call) error {
				if call.Method != "Save" || saves < 2 {
					return nil
				}
				if cancel(); !hangsUp {
					r.Store.Before = func(context.Context, mfatest.Call) error {
						return errors.New("connection lost")
					}
				}
				return nil
			}
			if err := call(ctx, r, f, token); err != nil {
				t.Errorf("%s, hung up %t: %v", name, hangsUp, err)
			}
			r.Store.Before, r.Store.After = nil, nil
			if left := slices.Contains(r.naming(ann), "device"); left == hangsUp {
				t.Errorf("%s, hung up %t: a device's row is left: %t", name, hangsUp, left)
			}
		}
	}
}

// TestEndRaces lets each other call of the same user come between reading and writing, once
// or each time: nothing comes back that was deleted, and what is left agrees.
func TestEndRaces(t *testing.T) {
	for name, race := range map[string]func(
		ctx context.Context, r *rig, svc *mfa.Service, f enrolled, token string,
	){
		"Enroll": func(ctx context.Context, r *rig, svc *mfa.Service, _ enrolled, _ string) {
			_, _ = svc.Enroll(ctx, enrollment(ann, ""))
		},
		"Import": func(ctx context.Context, r *rig, svc *mfa.Service, _ enrolled, _ string) {
			_, _ = svc.Import(ctx, mfa.ImportParams{
				UserID: ann, Secret: vectorSecret, Issuer: "a", User: "b",
			})
		},
		"Verify that trusts": func(ctx context.Context, r *rig, svc *mfa.Service, f enrolled, _ string) {
			r.Clock.Advance(30 * time.Second)
			ch, err := svc.Challenge(ctx, mfa.ChallengeParams{FactorID: f.ID, UserID: ann})
			if err == nil {
				_, _ = svc.Verify(ctx, mfa.VerifyParams{
					ChallengeID: ch.ID, UserID: ann, Code: r.Right(f), TrustDevice: true,
				})
			}
		},
		"a wrong code": func(ctx context.Context, r *rig, svc *mfa.Service, f enrolled, _ string) {
			ch, err := svc.Challenge(ctx, mfa.ChallengeParams{FactorID: f.ID, UserID: ann})
			if err == nil {
				_, _ = svc.Verify(ctx, mfa.VerifyParams{ChallengeID: ch.ID, UserID: ann, Code: r.Wrong(f)})
			}
		},
		"StartLogin": func(ctx context.Context, r *rig, svc *mfa.Service, _ enrolled, token string) {
			_, _ = svc.StartLogin(ctx, mfa.LoginParams{UserID: ann, DeviceToken: token})
		},
		"Forget": func(ctx context.Context, r *rig, svc *mfa.Service, _ enrolled, _ string) {
			_ = svc.Forget(ctx, ann)
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, verb := range endings {
				for _, always := range []bool{false, true} {
					for _, lost := range []bool{false, true} {
						if lost && verb.careful {
							continue
						}
						r := newRig(t)
						f := r.TOTP(ann)
						token := r.Trust(f, "Firefox").Token()
						if lost {
							r.Drop(ofKind("user"))
						}
						other := r.Another()
						busy, raced := false, false
						r.Store.Before = func(ctx context.Context, c mfatest.Call) error {
							if busy || raced && !always || c.Method == "Load" || always && c.Method != "Save" {
								return nil
							}
							busy, raced = true, true
							race(ctx, r, other, f, token)
							busy = false
							return nil
						}
						err := verb.call(r)
						r.Store.Before = nil
						if err != nil && !(always && errors.Is(err, mfa.ErrThrottled)) {
							t.Errorf("%s, always %t, lost %t: %v", verb.name, always, lost, err)
							continue
						}
						if err == nil {
							if _, err := r.Factors(t.Context(), ann); err != nil {
								t.Errorf("%s, always %t, lost %t: afterwards: %v", verb.name, always, lost, err)
							}
							if !always && slices.Contains(r.FactorIDs(ann), f.ID) {
								t.Errorf("%s: the factor came back", verb.name)
							}
						}
						if err := verb.call(r); err != nil {
							t.Errorf("%s, always %t, lost %t: again: %v", verb.name, always, lost, err)
						}
						r.ended(verb, "after "+name)
					}
				}
			}
		})
	}
}

// TestEndOfWhoBegins: of who enrolls for the first time while it is read, all is deleted or
// nothing.
func TestEndOfWhoBegins(t *testing.T) {
	for _, verb := range operators {
		r := newRig(t)
		r.Store.Before = func(_ context.Context, c mfatest.Call) error {
			if c.Method == "List" {
				r.Store.Before = nil
				r.imports(mfa.ImportParams{})
			}
			return nil
		}
		if err := verb.call(r); err != nil {
			t.Errorf("%s: %v", verb.name, err)
		}
		r.ended(verb, "who begins")
	}
}

// TestTokenHoldsNothingOff: whoever uses a copied token all the time holds off nothing that
// ends the trust in it, and its row goes.
func TestTokenHoldsNothingOff(t *testing.T) {
	verbs := append(
		slices.Clone(endings),
		ends{name: "RevokeDevice", call: func(r *rig) error {
			devices, err := r.Devices(r.T.Context(), ann)
			if err != nil {
				return err
			}
			return r.RevokeDevice(r.T.Context(), ann, devices[0].ID)
		}},
		ends{
			name: "RevokeDevices",
			call: func(r *rig) error { return r.RevokeDevices(r.T.Context(), ann) },
		},
		ends{name: "Unenroll", call: func(r *rig) error {
			return r.Unenroll(r.T.Context(), mfa.UnenrollParams{FactorID: r.FactorIDs(ann)[0], UserID: ann})
		}},
	)
	for _, verb := range verbs {
		r := newRig(t)
		token := r.Trust(r.TOTP(ann), "Firefox").Token()
		thief := r.Another()
		busy, used := false, 0
		r.Store.Before = func(ctx context.Context, c mfatest.Call) error {
			if c.Method != "Save" || busy {
				return nil
			}
			busy = true
			if login, err := thief.StartLogin(ctx, mfa.LoginParams{
				UserID: ann, DeviceToken: token,
			}); err == nil &&
				login.DeviceToken() != "" {
				token = login.DeviceToken()
				r.Clock.Advance(time.Minute)
				used++
			}
			busy = false
			return nil
		}
		if err := verb.call(r); err != nil || used == 0 {
			t.Errorf("%s: %v, beside %d uses", verb.name, err, used)
		}
		r.Store.Before = nil
		if slices.Contains(r.naming(ann), "device") {
			t.Errorf("%s: the row is left", verb.name)
		}
	}
}

// TestDeviceRowsGo: a device that counts no more leaves no row behind once its trust is
// revoked or a factor is taken away, though it was a change of factors that ended it.
func TestDeviceRowsGo(t *testing.T) {
	for name, end := range map[string]func(r *rig, f enrolled) error{
		"revoked": func(r *rig, _ enrolled) error { return r.RevokeDevices(r.T.Context(), ann) },
		"a factor taken away": func(r *rig, f enrolled) error {
			return r.Unenroll(r.T.Context(), mfa.UnenrollParams{FactorID: f.ID, UserID: mfa.AnyUser})
		},
	} {
		r := newRig(t)
		f := r.TOTP(ann)
		for range 4 {
			for range 5 {
				r.Trust(f, "Firefox")
			}
			r.TOTP(ann) // ends the trust
		}
		r.Trust(f, "Firefox")
		bobs := r.Trust(r.TOTP("user_bob"), "bob's")
		if err := end(r, f); err != nil {
			t.Fatal(err)
		}
		rows := slices.DeleteFunc(r.Records(), func(rec mfa.Record) bool { return rec.Kind != "device" })
		if len(rows) != 1 || rows[0].ID != bobs.ID {
			t.Errorf("%s: %d rows are left", name, len(rows))
		}
	}
}

// TestRevokeDeviceLeavesOthers: revoking one deletes the row of that one alone.
func TestRevokeDeviceLeavesOthers(t *testing.T) {
	r := newRig(t)
	f := r.TOTP(ann)
	a, b := r.Trust(f, "a"), r.Trust(f, "b")
	if err := r.RevokeDevice(t.Context(), ann, a.ID); err != nil {
		t.Fatal(err)
	}
	if rec := r.Record("device"); rec.ID != b.ID {
		t.Errorf("left is %s", rec.ID)
	}
	if _, err := r.Use(b.Token()); err != nil {
		t.Error(err)
	}
}

// TestLastGoneNamesLapse: after the devices were revoked and every factor was taken away,
// the user's record alone is left, and Purge takes it.
func TestLastGoneNamesLapse(t *testing.T) {
	r := newRig(t)
	f, _ := r.whole()
	if err := r.RevokeDevice(
		t.Context(),
		ann,
		r.Records()[slices.IndexFunc(r.Records(), ofKind("device"))].ID,
	); err != nil {
		t.Fatal(err)
	}
	for _, id := range r.FactorIDs(ann) {
		if err := r.Unenroll(t.Context(), mfa.UnenrollParams{FactorID: id, UserID: ann}); err != nil {
			t.Fatal(err)
		}
	}
	if kinds := r.naming(ann); !slices.Equal(kinds, []string{"user"}) {
		t.Fatalf("after %s: left are %v", f.ID, kinds)
	}
	r.Clock.Advance(32 * 24 * time.Hour)
	if _, err := r.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	if kinds := r.naming(ann); len(kinds) > 0 {
		t.Errorf("after a Purge: left are %v", kinds)
	}
}

// TestForgetOneUser: a store that lists too much makes nobody else forgotten.
func TestForgetOneUser(t *testing.T) {
	r := newRig(t)
	r.Trust(r.TOTP(ann), "Firefox")
	bob := r.TOTP("user_bob")
	r.Trust(bob, "bob's")
	before := r.naming("user_bob")
	r.Store.Store = testrig.ListsAll{MemoryStore: r.Store.Store.(*mfa.MemoryStore)}
	if err := r.Forget(t.Context(), ann); err != nil {
		t.Fatal(err)
	}
	r.Store.Store = r.Store.Store.(testrig.ListsAll).MemoryStore
	if after := r.naming("user_bob"); !slices.Equal(after, before) || len(r.naming(ann)) > 0 {
		t.Errorf("of bob are left %v, of ann %v", after, r.naming(ann))
	}
}

// TestEndLargestSave: however much there is, no Save has more than 16 records, and what
// there may be of a user who was not damaged goes in one, with the receipt.
func TestEndLargestSave(t *testing.T) {
	r := strict(t)
	r.Config.InsecureSkipProof = true
	lax := r.Another()
	proofs := r.Service
	r.Service = lax
	f, _ := r.whole()
	r.Service = proofs
	sizes := []int{}
	receipt := r.Approve(f, proof.ActionOf(mfa.PurposeTurnOff))
	r.Store.Store = savesSeen{r.Store.Store, func(n int) { sizes = append(sizes, n) }}
	if err := r.TurnOff(t.Context(), mfa.TurnOffParams{UserID: ann, Receipt: receipt}); err != nil {
		t.Fatal(err)
	}
	if want := []int{
		16,
		4,
	}; !slices.Equal(
		sizes,
		want,
	) { // 13 factors, record, receipt, a device; the other devices
		t.Errorf("TurnOff saves %v records, want %v", sizes, want)
	}
	r = newRig(t)
	f, _ = r.whole()
	r.copies(f, 40)
	sizes = nil
	r.Store.Store = savesSeen{r.Store.Store, func(n int) { sizes = append(sizes, n) }}
	if err := r.Forget(t.Context(), ann); err != nil {
		t.Fatal(err)
	}
	if want := []int{16, 16, 7, 16, 4}; !slices.Equal(sizes, want) {
		t.Errorf("Forget saves %v records, want %v", sizes, want)
	}
}

// TestEndWithTypesFromOutside: however many types there are, what a user may have goes in
// one commit.
func TestEndWithTypesFromOutside(t *testing.T) {
	r := newRig(t, func(c *mfa.Config) {
		for i := range 3 {
			c.Methods = append(c.Methods, mfa.Method{
				Type: mfa.FactorType(fmt.Sprint("toy_", i)), Ceremony: toyCeremony{},
			})
		}
	})
	r.whole()
	factors, err := r.Factors(t.Context(), ann)
	if err != nil {
		t.Fatal(err)
	}
	var errs []error
	for i, m := range r.Config.Methods {
		_, err := r.Enroll(t.Context(), mfa.EnrollParams{
			UserID: ann, Method: &mfa.MethodParams{Type: m.Type}, Replaces: factors[4+i].ID,
		})
		errs = append(errs, err)
	}
	if count(errs, nil) != 1 || count(errs, mfa.ErrTooManyFactors) != 2 {
		t.Errorf("enrolling beside 13 factors: %v", errs)
	}
	r.Store.Before = func(_ context.Context, c mfatest.Call) error {
		left := slices.DeleteFunc(r.Records(), func(rec mfa.Record) bool { return rec.Kind != "factor" })
		if c.Method == "Save" && len(left) != 14 && len(left) != 0 {
			return fmt.Errorf("a second commit has %d factors to delete", len(left))
		}
		return nil
	}
	saves := r.Calls(func() {
		if err := r.TurnOff(t.Context(), mfa.TurnOffParams{UserID: ann, ByOperator: true}); err != nil {
			t.Error(err)
		}
	})
	if strings.Count(saves, "Save") != 2 { // the second deletes devices
		t.Errorf("TurnOff calls %s", saves)
	}
}

// TestEndRoundTrips is what the verbs cost.
func TestEndRoundTrips(t *testing.T) {
	for _, tt := range []struct {
		name    string
		devices int
		call    func(r *rig, f enrolled, receipt string) error
		want    string
	}{
		{"TurnOff", 0, turnsOff, "Load List Load List Save"},
		{"TurnOff beside devices", 2, turnsOff, "Load List Load List List Save"},
		{"TurnOff by an operator", 2,
			func(r *rig, _ enrolled, _ string) error { return operators[0].call(r) },
			"Load List List List List Save"},
		{"Forget", 2, func(r *rig, _ enrolled, _ string) error { return operators[1].call(r) },
			"Load List List List List Save"},
		{"RevokeDevices", 2,
			func(r *rig, _ enrolled, _ string) error { return r.RevokeDevices(r.T.Context(), ann) },
			"Load List List Save"},
		{"RevokeDevices of none", 0,
			func(r *rig, _ enrolled, _ string) error { return r.RevokeDevices(r.T.Context(), ann) },
			"Load List"},
		{"Unenroll", 0, unenrolls, "Load List Save"},
		{"Unenroll beside devices", 2, unenrolls, "Load List List Save"},
	} {
		r := strict(t)
		f := r.TOTP(ann)
		for range tt.devices {
			r.Trust(f, "Firefox")
		}
		receipt := r.Approve(f, proof.ActionOf(mfa.PurposeTurnOff))
		if got := r.Calls(func() {
			if err := tt.call(r, f, receipt); err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
		}); got != tt.want {
			t.Errorf("%s calls %q, want %q", tt.name, got, tt.want)
		}
	}
}

func turnsOff(r *rig, _ enrolled, receipt string) error {
	return r.TurnOff(r.T.Context(), mfa.TurnOffParams{UserID: ann, Receipt: receipt})
}

func unenrolls(r *rig, f enrolled, _ string) error {
	return r.Unenroll(r.T.Context(), mfa.UnenrollParams{FactorID: f.ID, UserID: mfa.AnyUser})
}

// TestEnrollLostStore: whoever has the session alone enrolls no first factor anew where the
// store was lost.
func TestEnrollLostStore(t *testing.T) {
	r := newRig(t)
	p := enrollment(ann, "")
	p.HasFactor = true
	_, err := r.Enroll(t.Context(), p)
	mustBe(t, err, mfa.ErrIntegrity)
	r.EnrollTOTP(ann) // by a page that does not say so
	_, err = r.Enroll(t.Context(), p)
	mustBe(t, err, mfa.ErrIntegrity)
	if got := r.FactorIDs(ann); len(got) != 1 {
		t.Errorf("factors %v", got)
	}
	p.ByOperator = true
	if _, err := r.Enroll(t.Context(), p); err != nil {
		t.Errorf("by an operator: %v", err)
	}
	r.TOTP(ann)
	p.ByOperator = false
	if _, err := r.Enroll(t.Context(), p); err != nil {
		t.Errorf("beside a factor that is stored: %v", err)
	}
	p.ByOperator, p.Receipt = true, "a receipt"
	_, err = r.Enroll(t.Context(), p)
	mustBe(t, err, mfa.ErrInvalidParameter)
	p = enrollment("", "")
	p.NoOwner, p.HasFactor = true, true
	_, err = r.Enroll(t.Context(), p)
	mustBe(t, err, mfa.ErrInvalidParameter)
}

// TestTurnOffLostStore: a store that was lost is not a second factor that is off.
func TestTurnOffLostStore(t *testing.T) {
	r := newRig(t)
	p := mfa.TurnOffParams{UserID: ann, HasFactor: true}
	mustBe(t, r.TurnOff(t.Context(), p), mfa.ErrIntegrity)
	r.EnrollTOTP(ann) // by whoever has the session
	mustBe(t, r.TurnOff(t.Context(), p), mfa.ErrIntegrity)
	if got := r.FactorIDs(ann); len(got) != 1 {
		t.Errorf("factors %v", got)
	}
	p.ByOperator = true
	if err := r.TurnOff(t.Context(), p); err != nil {
		t.Errorf("by an operator: %v", err)
	}
	r.TOTP(ann)
	p.ByOperator = false
	if err := r.TurnOff(t.Context(), p); err != nil {
		t.Errorf("a factor that is stored: %v", err)
	}
}
