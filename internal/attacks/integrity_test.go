package attacks_test

import (
	"context"
	"encoding/base32"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/internal/testrig"
)

// The tests of this file change what a store holds behind the service's back.

// An edited store gives records as somebody with access to the database left them:
// edited in place, with the version that the service wrote.
type edited struct {
	*mfa.MemoryStore
	edit func(*mfa.Record)
}

func (s *edited) Load(ctx context.Context, ids ...string) ([]mfa.Record, error) {
	records, err := s.MemoryStore.Load(ctx, ids...)
	for i := range records {
		s.edit(&records[i])
	}
	return records, err
}

func (s *edited) List(ctx context.Context, q mfa.Query) ([]mfa.Record, error) {
	records, err := s.MemoryStore.List(ctx, q)
	for i := range records {
		s.edit(&records[i])
	}
	return records, err
}

func newEdited(r *rig) *edited {
	store := &edited{MemoryStore: r.Store.Store.(*mfa.MemoryStore), edit: func(*mfa.Record) {}}
	r.Store.Store = store
	return store
}

// TestEditedColumn edits each column of each kind of record by hand: nothing is
// decided on it.
func TestEditedColumn(t *testing.T) {
	edits := map[string]func(*mfa.Record){
		"Kind":         func(r *mfa.Record) { r.Kind = "note" },
		"Parent":       func(r *mfa.Record) { r.Parent = "auth_factor_01ARZ3NDEKTSV4RRFFQ69G5FAV" },
		"no Parent":    func(r *mfa.Record) { r.Parent += "x" },
		"UserID":       func(r *mfa.Record) { r.UserID = "user_mallory" },
		"Type":         func(r *mfa.Record) { r.Type = "push" },
		"Status":       func(r *mfa.Record) { r.Status = "pending, really" },
		"CreatedAt":    func(r *mfa.Record) { r.CreatedAt = r.CreatedAt.Add(time.Millisecond) },
		"UpdatedAt":    func(r *mfa.Record) { r.UpdatedAt = r.UpdatedAt.Add(time.Millisecond) },
		"ExpiresAt":    func(r *mfa.Record) { r.ExpiresAt = r.ExpiresAt.Add(time.Hour) },
		"no ExpiresAt": func(r *mfa.Record) { r.ExpiresAt = time.Time{} },
		"State":        func(r *mfa.Record) { r.State[len(r.State)/2] ^= 1 },
		"State's key":  func(r *mfa.Record) { r.State[0] ^= 1 },
		"State's tag":  func(r *mfa.Record) { r.State[len(r.State)-1] ^= 1 },
		"short State":  func(r *mfa.Record) { r.State = r.State[:40] },
		"no State":     func(r *mfa.Record) { r.State = nil },
		"Version":      func(r *mfa.Record) { r.Version++ },
	}
	// What each kind is read by, after a rig was brought to where it matters.
	verify := func(r *rig) []func() (bool, error) {
		f := r.EnrollSMS(ann, phone) // unverified: these four records matter
		ch := r.Ask(f)
		return []func() (bool, error){func() (bool, error) {
			return told(
				r.Verify(t.Context(), mfa.VerifyParams{
					ChallengeID: ch.ID, UserID: mfa.AnyUser, Code: r.Right(f),
				}),
			)
		}}
	}
	device := func(r *rig) []func() (bool, error) {
		f := r.TOTP(ann)
		d := r.Trust(f, "Firefox")
		ch := r.Ask(f)
		return []func() (bool, error){
			func() (bool, error) { return told(r.Use(d.Token())) },
			func() (bool, error) {
				return told(
					r.Verify(t.Context(), mfa.VerifyParams{
						ChallengeID: ch.ID, UserID: ann, Code: r.Right(f), DeviceToken: d.Token(),
					}),
				)
			},
			func() (bool, error) {
				devices, err := r.Devices(t.Context(), ann)
				return len(devices) > 0, err
			},
		}
	}
	for kind, calls := range map[string]func(*rig) []func() (bool, error){
		"challenge": verify, "factor": verify, "user": verify, "number": verify, "device": device,
	} {
		for column, edit := range edits {
			for i := range len(calls(newRig(t))) {
				r := newRig(t)
				call := calls(r)[i]
				was := r.Record(kind)
				if column == "no ExpiresAt" && was.ExpiresAt.IsZero() {
					continue
				}
				newEdited(r).edit = func(rec *mfa.Record) {
					if rec.ID == was.ID {
						edit(rec)
					}
				}
				said, err := call()
				if said || !errors.Is(err, mfa.ErrIntegrity) || !strings.Contains(err.Error(), was.ID) {
					t.Errorf("column %s of the %s, call %d: told %t, error %v", column, kind, i, said, err)
				}
			}
		}
	}
}

// told reports whether a call gives anything away.
func told[T comparable](result T, err error) (bool, error) {
	var none T
	return result != none, err
}

// TestOlderState puts an older State of the same record back, to make a used code or
// a spent budget good again.
func TestOlderState(t *testing.T) {
	for _, kind := range []string{"challenge", "factor"} {
		r := newRig(t)
		f := r.TOTP(ann)
		r.Clock.Advance(48 * time.Hour)
		if _, err := r.Purge(t.Context()); err != nil {
			t.Fatal(err)
		}
		ch, code := r.Ask(f), r.Right(f)
		older := r.Record(kind)
		if _, err := r.Answer(ch, f, code); err != nil {
			t.Fatal(err)
		}
		newEdited(r).edit = func(rec *mfa.Record) {
			if rec.ID == older.ID {
				rec.State, rec.Status, rec.UpdatedAt = older.State, older.Status, older.UpdatedAt
			}
		}
		_, err := r.Answer(ch, f, code)
		mustBe(t, err, mfa.ErrIntegrity)
	}
}

// TestCiphertextSwap gives a factor the sealed State of another one, of the same
// user or of somebody else, whose secret is known.
func TestCiphertextSwap(t *testing.T) {
	for _, owner := range []string{ann, "user_mallory"} {
		t.Run(owner, func(t *testing.T) { swapCiphertext(t, owner) })
	}
}

func swapCiphertext(t *testing.T, owner string) {
	t.Helper()
	r := newRig(t)
	victim, mine := r.TOTP(ann), r.TOTP(owner)
	records := r.Records()
	find := func(id string) mfa.Record {
		i := slices.IndexFunc(records, func(rec mfa.Record) bool { return rec.ID == id })
		return records[i]
	}
	ch := r.Ask(victim)
	if find(victim.ID).Version != find(mine.ID).Version {
		t.Fatal("the versions differ, and the swap would be found out by them")
	}
	store := newEdited(r)
	store.edit = func(rec *mfa.Record) {
		if rec.ID == victim.ID {
			swapped := find(mine.ID) // with its times, which State repeats
			swapped.ID, swapped.UserID, swapped.Parent = rec.ID, rec.UserID, rec.Parent
			*rec = swapped
		}
	}
	_, err := r.Answer(ch, victim, r.Right(mine))
	mustBe(t, err, mfa.ErrIntegrity)

	if owner == ann {
		return
	}
	// The whole row under another owner.
	store.edit = func(rec *mfa.Record) {
		if rec.ID == mine.ID {
			rec.UserID, rec.Parent = ann, find(victim.ID).Parent
		}
	}
	_, err = r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: mine.ID, UserID: ann})
	mustBe(t, err, mfa.ErrIntegrity)
}

// TestFactorsAreOpened: a factor that was edited is not listed, either.
func TestFactorsAreOpened(t *testing.T) {
	r := newRig(t)
	r.TOTP(ann)
	newEdited(r).edit = func(rec *mfa.Record) { rec.Status = string(mfa.StatusUnverified) }
	_, err := r.Factors(t.Context(), ann)
	mustBe(t, err, mfa.ErrIntegrity)
}

// TestStateIsSealed: what a store holds shows no secret, no code and no number.
func TestStateIsSealed(t *testing.T) {
	r := newRig(t)
	f := r.TOTP(ann)
	s := r.EnrollSMS("user_bob", phone)
	r.Ask(s)
	raw, err := base32.StdEncoding.DecodeString(f.Secret)
	if err != nil {
		t.Fatal(err)
	}
	for _, rec := range r.Records() {
		all := strings.Join(
			[]string{rec.ID, rec.Kind, rec.Parent, rec.UserID, rec.Type, rec.Status, string(rec.State)},
			"\x00",
		)
		for _, secret := range []string{
			f.Secret, string(raw), r.Right(s), phone, strings.TrimPrefix(phone, "+"), "alan.turing",
		} {
			if strings.Contains(all, secret) {
				t.Errorf("the record of the %s shows it", rec.Kind)
			}
		}
	}
}

// TestSealsDiffer: the same content is never sealed the same way twice.
func TestSealsDiffer(t *testing.T) {
	r := newRig(t)
	f := r.TOTP(ann)
	seen := map[string]bool{}
	for range 50 {
		if err := r.Unlock(t.Context(), mfa.FactorParams{FactorID: f.ID, UserID: ann}); err != nil {
			t.Fatal(err)
		}
		nonce := string(r.Record("factor").State[8:32])
		if seen[nonce] {
			t.Fatal("a nonce came twice")
		}
		seen[nonce] = true
	}
}

// TestStoreListsWrongly: a store that lists another user's factor is found out.
func TestStoreListsWrongly(t *testing.T) {
	r := newRig(
		t,
		func(c *mfa.Config) { c.Store = testrig.ListsAll{MemoryStore: new(mfa.MemoryStore)} },
	)
	r.EnrollTOTP(ann)
	_, err := r.Factors(t.Context(), "user_bob")
	mustBe(t, err, mfa.ErrIntegrity)
}
