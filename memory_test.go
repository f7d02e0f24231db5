package mfa_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/authfactor/mfa"
)

// MemoryStore's contract is checked by mfatest. The tests of this file are about
// what it promises besides.

func memoryRecord(id string, created, expires time.Time) mfa.Change {
	return mfa.Change{
		Record: mfa.Record{
			ID:        id,
			Kind:      "challenge",
			CreatedAt: created,
			ExpiresAt: expires,
			State:     []byte(id),
		},
	}
}

var day = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// TestStoreFull: at MaxRecords inserts are refused and nothing is lost; changes and
// deletes go on.
func TestStoreFull(t *testing.T) {
	store := &mfa.MemoryStore{MaxRecords: 3}
	for i := range 3 {
		if err := store.Save(t.Context(), memoryRecord(fmt.Sprint(i), day, time.Time{})); err != nil {
			t.Fatal(err)
		}
	}
	mustBe(t, store.Save(t.Context(), memoryRecord("3", day, time.Time{})), mfa.ErrStoreFull)
	one := memoryRecord("1", day, time.Time{})
	one.Record.Version = 1
	mustBe(t, store.Save(t.Context(), one, memoryRecord("3", day, time.Time{})), mfa.ErrStoreFull)
	if records, err := store.Load(
		t.Context(),
		"0",
		"1",
		"2",
		"3",
	); err != nil || len(records) != 3 ||
		records[1].Version != 1 {
		t.Errorf("%d records, %v", len(records), err)
	}
	if err := store.Save(t.Context(), one); err != nil {
		t.Error(err)
	}
	gone := mfa.Change{Record: mfa.Record{ID: "2", Version: 1}, Delete: true}
	if err := store.Save(t.Context(), memoryRecord("3", day, time.Time{}), gone); err != nil {
		t.Errorf("one in for one out: %v", err)
	}
}

// TestLapsedMakeRoomInMemory: an insert drops a few records that lapsed more than a
// day before it was created, and never a live one.
func TestLapsedMakeRoomInMemory(t *testing.T) {
	store := &mfa.MemoryStore{MaxRecords: 100}
	ctx := t.Context()
	for i := range 50 {
		if err := store.Save(
			ctx,
			memoryRecord(fmt.Sprint("live", i), day, day.Add(1000*time.Hour)),
			memoryRecord(fmt.Sprint("lapses", i), day, day.Add(time.Hour)),
		); err != nil {
			t.Fatal(err)
		}
	}
	mustBe(
		t,
		store.Save(ctx, memoryRecord("early", day.Add(25*time.Hour), time.Time{})),
		mfa.ErrStoreFull,
	)
	saved := 0
	for i := range 200 {
		err := store.Save(ctx, memoryRecord(fmt.Sprint("late", i), day.Add(26*time.Hour), time.Time{}))
		if err == nil {
			saved++
		} else if !errors.Is(err, mfa.ErrStoreFull) {
			t.Fatal(err)
		}
	}
	if saved != 50 {
		t.Errorf("%d inserts found room, want 50", saved)
	}
	for i := range 50 {
		if records, err := store.Load(ctx, fmt.Sprint("live", i)); err != nil || len(records) != 1 {
			t.Fatalf("live record %d: %v, %v", i, records, err)
		}
	}
}

// TestMemoryDoesNotGrow: a service that runs for a year without Purge keeps no more
// than a few days of challenges.
func TestMemoryDoesNotGrow(t *testing.T) {
	r := newRig(t)
	f := r.TOTP(ann)
	for range 365 * 4 {
		r.Ask(f)
		r.Clock.Advance(6 * time.Hour)
	}
	if n := len(r.Records()); n > 20 {
		t.Errorf("%d records after a year", n)
	}
}

// TestComesBack: a record that is deleted and inserted again, time after time, is
// dropped as any other once it has lapsed.
func TestComesBack(t *testing.T) {
	store := new(mfa.MemoryStore)
	ctx := t.Context()
	for range 100 {
		if err := store.Save(ctx, memoryRecord("x", day, day)); err != nil {
			t.Fatal(err)
		}
		if err := store.Save(ctx, mfa.Change{
			Record: mfa.Record{ID: "x", Version: 1}, Delete: true,
		}); err != nil {
			t.Fatal(err)
		}
	}
	if err := store.Save(ctx, memoryRecord("x", day, day)); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		if err := store.Save(
			ctx,
			memoryRecord(fmt.Sprint("y", i), day.Add(48*time.Hour), time.Time{}),
		); err != nil {
			t.Fatal(err)
		}
	}
	if records, err := store.Load(ctx, "x"); err != nil || len(records) != 0 {
		t.Errorf("%v, %v", records, err)
	}
}

// TestEverlastingAgain: a record that no longer expires is not dropped, and when it
// does again, it is.
func TestEverlastingAgain(t *testing.T) {
	store := new(mfa.MemoryStore)
	ctx := t.Context()
	change := memoryRecord("x", day, day)
	save := func(expires time.Time) {
		t.Helper()
		change.Record.ExpiresAt = expires
		if err := store.Save(ctx, change); err != nil {
			t.Fatal(err)
		}
		change.Record.Version++
	}
	inserts := 0
	dropped := func() bool {
		t.Helper()
		for range 5 {
			inserts++
			if err := store.Save(
				ctx,
				memoryRecord(fmt.Sprint("y", inserts), day.Add(48*time.Hour), time.Time{}),
			); err != nil {
				t.Fatal(err)
			}
		}
		records, err := store.Load(ctx, "x")
		if err != nil {
			t.Fatal(err)
		}
		return len(records) == 0
	}
	save(day)
	save(time.Time{})
	if dropped() {
		t.Error("an everlasting record was dropped")
	}
	save(day)
	if !dropped() {
		t.Error("a lapsed record stays for ever")
	}
}

// TestListWithoutLimit is a mistake of the caller.
func TestListWithoutLimit(t *testing.T) {
	if _, err := new(mfa.MemoryStore).List(t.Context(), mfa.Query{Kind: "factor"}); err == nil {
		t.Error("no error")
	}
}

// TestPurgeGivesWay: changes and a Purge of many records at once lose nothing.
func TestPurgeGivesWay(t *testing.T) {
	store := new(mfa.MemoryStore)
	ctx := t.Context()
	const lapsed = 5000
	for i := range lapsed {
		if err := store.Save(
			ctx,
			memoryRecord(fmt.Sprint("old", i), day, day.Add(time.Hour)),
		); err != nil {
			t.Fatal(err)
		}
	}
	var wg sync.WaitGroup
	purged := 0
	wg.Go(func() {
		n, err := store.Purge(ctx, day.Add(2*time.Hour))
		if err != nil {
			t.Error(err)
		}
		purged = n
	})
	for g := range 4 {
		wg.Go(func() {
			for i := range 200 {
				if err := store.Save(
					ctx,
					memoryRecord(fmt.Sprint("new", g, "-", i), day, day.Add(100*time.Hour)),
				); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	left, err := store.List(ctx, mfa.Query{Kind: "challenge", Limit: 1 << 20})
	if err != nil || purged != lapsed || len(left) != 800 {
		t.Errorf("%d purged and %d left, %v; want %d and 800", purged, len(left), err, lapsed)
	}
}
