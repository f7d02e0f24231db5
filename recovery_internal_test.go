package mfa

import (
	"bytes"
	"encoding/hex"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// TestStoredRecoveryCodes: whoever has every row and the keyring finds neither a recovery
// code nor what it was made of. The seed alone makes other codes.
func TestStoredRecoveryCodes(t *testing.T) {
	const key, user = "a key that nobody guesses", "user_ann"
	store, now := new(MemoryStore), time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	svc, err := New(Config{
		Store: store, Keys: must(ParseKeyring(NewKey())), Now: func() time.Time { return now },
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	enr, err := svc.Enroll(t.Context(), EnrollParams{UserID: user, GenericOTP: true})
	if err != nil {
		t.Fatal(err)
	}
	ch, err := svc.Challenge(t.Context(), ChallengeParams{FactorID: enr.Factor.ID, UserID: user})
	if err != nil {
		t.Fatal(err)
	}
	v, err := svc.Verify(t.Context(), VerifyParams{
		ChallengeID: ch.ID, UserID: user, Code: ch.Code(), IdempotencyKey: key, NewRecoveryCodes: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	secrets := [][]byte{[]byte(key), []byte(hex.EncodeToString([]byte(key)))}
	for _, code := range v.RecoveryCodes.Codes() {
		plain := strings.ReplaceAll(code, "-", "")
		secrets = append(secrets, []byte(code), []byte(plain), must(crockford.DecodeString(plain)))
	}
	stored, opened := new(challenge), 0
	for _, kind := range kinds {
		records, err := store.List(t.Context(), Query{Kind: kind, Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		for _, rec := range records {
			state, err := svc.keys.open(&rec)
			if err != nil {
				t.Fatal(err)
			}
			opened++
			for i, secret := range secrets {
				if bytes.Contains(state, secret) || strings.Contains(rec.ID+rec.UserID+rec.Parent+rec.Type+rec.Status, string(secret)) {
					t.Errorf("the %s has secret %d", kind, i)
				}
			}
			if kind != kindChallenge {
				continue
			}
			if err := svc.keys.opened(rec, kind, stored); err != nil {
				t.Fatal(err)
			}
		}
	}
	if opened != 4 { // the factor, the set, the challenge, the user
		t.Errorf("%d records were opened", opened)
	}
	if len(stored.codesSeed) != recoverySeedSize {
		t.Errorf("a seed of %d bytes", len(stored.codesSeed))
	}
	for _, guess := range []string{"", string(stored.request.key), string(stored.request.asked)} {
		if _, codes, err := derivedRecoverySet(stored.codesSeed, guess); err != nil || codes.Codes()[0] == v.RecoveryCodes.Codes()[0] {
			t.Errorf("what is stored makes the codes, %v", err)
		}
	}
}

// TestSeedEndsWithItsKey: once the key of the answer is forgotten, the seed is of no use,
// and is not kept. Without a key none is.
func TestSeedEndsWithItsKey(t *testing.T) {
	ch := &challenge{codesSeed: []byte{1}, codesSet: "auth_factor_1"}
	if ch.answered(nil, time.Time{}); ch.codesSeed != nil || ch.codesSet != "" {
		t.Errorf("seed %x of set %q", ch.codesSeed, ch.codesSet)
	}
	at := moment{now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	d := &verifying{held: held{moment: at, user: new(user)}, challenge: new(challenge)}
	if _, err := d.addRecoveryCodes(new(outcome)); err != nil || d.challenge.codesSeed != nil || d.challenge.codesSet != "" {
		t.Errorf("without a key: seed %x of set %q, %v", d.challenge.codesSeed, d.challenge.codesSet, err)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
