package customstore_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/examples/customstore"
	"github.com/authfactor/mfa/mfatest"
)

// TestStore is all the test that a store needs.
func TestStore(t *testing.T) {
	mfatest.TestStore(t, func(t *testing.T) mfa.Store {
		t.Helper()
		store, err := customstore.Open(filepath.Join(t.TempDir(), "mfa.db"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := store.Close(); err != nil {
				t.Error(err)
			}
		})
		return store
	})
}

// A code that was used stays used after a restart.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "customstore")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	start := func() (*mfa.Service, *customstore.Store) {
		store, err := customstore.Open(filepath.Join(dir, "mfa.db"))
		if err != nil {
			log.Fatal(err)
		}
		svc, err := mfa.New(mfa.Config{Store: store, Keys: mfatest.Keys()}) // yours: mfa.ParseKeyring(os.Getenv("MFA_KEYS"))
		if err != nil {
			log.Fatal(err)
		}
		return svc, store
	}

	svc, store := start()
	enr, err := svc.Enroll(ctx, mfa.EnrollParams{UserID: "ann", TOTP: &mfa.TOTPParams{Issuer: "Foo Corp", User: "ann"}})
	if err != nil {
		log.Fatal(err)
	}
	code := mfatest.Code(enr.TOTP.Secret(), time.Now())
	for range 2 {
		ch, err := svc.Challenge(ctx, mfa.ChallengeParams{FactorID: enr.Factor.ID, UserID: "ann"})
		if err != nil {
			log.Fatal(err)
		}
		v, _ := svc.Verify(ctx, mfa.VerifyParams{ChallengeID: ch.ID, UserID: "ann", Code: code})
		fmt.Println("valid:", v.Valid)
		if err := store.Close(); err != nil {
			log.Fatal(err)
		}
		svc, store = start()
	}
	// Output:
	// valid: true
	// valid: false
}
