package proof_test

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"strings"
	"testing"
	"time"

	"github.com/authfactor/mfa/proof"
)

var (
	key = ed25519.NewKeyFromSeed([]byte("a seed of 32 bytes for the tests"))
	at  = time.Unix(1_700_000_000, 0).UTC()
	pay = proof.ActionOf("pay", "EUR 500.00", "DE89370400440532013000")

	receipt = proof.Receipt{
		ChallengeID: "auth_challenge_01KDVHWSY0HGAVP0A4N77A8P6C",
		UserID:      "user_42",
		FactorID:    "auth_factor_01KDVDNA00C71085X815D37937",
		FactorType:  "totp",
		Action:      pay,
		IssuedAt:    at,
		ExpiresAt:   at.Add(proof.MaxAge),
	}
)

func sign(tb testing.TB, key ed25519.PrivateKey, r proof.Receipt) string {
	tb.Helper()
	text, err := proof.Sign(key, r)
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

func public(key ed25519.PrivateKey) ed25519.PublicKey { return key.Public().(ed25519.PublicKey) }

func checker(now time.Time) proof.Checker {
	return proof.Checker{Keys: proof.Keys{public(key)}, Now: func() time.Time { return now }}
}

func claim(text string) proof.Claim {
	return proof.Claim{Receipt: text, UserID: "user_42", Action: pay}
}

// TestCheck: what was signed comes back, within its five minutes, to the second.
func TestCheck(t *testing.T) {
	text := sign(t, key, receipt)
	for after, want := range map[time.Duration]error{
		0: nil, proof.MaxAge - time.Millisecond: nil, -time.Minute: nil,
		proof.MaxAge: proof.ErrExpired, -time.Minute - time.Millisecond: proof.ErrExpired,
		24 * time.Hour: proof.ErrExpired,
	} {
		got, err := checker(at.Add(after)).Check(t.Context(), claim(text))
		if !errors.Is(err, want) || (err == nil) != (got == receipt) ||
			err != nil && got != (proof.Receipt{}) {
			t.Errorf("after %s: %+v, %v, want %v", after, got, err, want)
		}
	}
	if _, err := (proof.Checker{Keys: proof.Keys{public(key)}}).Check(
		t.Context(),
		claim(text),
	); !errors.Is(
		err,
		proof.ErrExpired,
	) {
		t.Errorf("by the real clock a receipt of 2023 is %v", err)
	}
}

// TestOtherClaim: a receipt proves one user and one action.
func TestOtherClaim(t *testing.T) {
	text := sign(t, key, receipt)
	for name, c := range map[string]proof.Claim{
		"another user": {Receipt: text, UserID: "user_43", Action: pay},
		"no user":      {Receipt: text, Action: pay},
		"no action":    {Receipt: text, UserID: "user_42"},
		"another amount": {Receipt: text, UserID: "user_42",
			Action: proof.ActionOf("pay", "EUR 500.01", "DE89370400440532013000")},
		"the purpose only": {Receipt: text, UserID: "user_42", Action: proof.ActionOf("pay")},
		"another purpose": {Receipt: text, UserID: "user_42",
			Action: proof.Action{Purpose: "refund", Hash: pay.Hash}},
	} {
		if got, err := checker(
			at,
		).Check(
			t.Context(),
			c,
		); !errors.Is(err, proof.ErrMismatch) ||
			got != (proof.Receipt{}) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// TestForged: nothing but the very text that a known key signed is a receipt.
func TestForged(t *testing.T) {
	text := sign(t, key, receipt)
	parts := strings.Split(text, ".")
	other := ed25519.NewKeyFromSeed([]byte("a seed of 32 bytes of an attacker"[:32]))
	b64 := base64.RawURLEncoding.EncodeToString
	resigned := func(header, body string) string {
		signed := b64([]byte(header)) + "." + b64([]byte(body))
		return signed + "." + b64(ed25519.Sign(key, []byte(signed)))
	}
	body, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	later := receipt
	later.IssuedAt, later.ExpiresAt = at.Add(time.Hour), at.Add(time.Hour+proof.MaxAge)
	laterParts := strings.Split(sign(t, key, later), ".")
	forged := map[string]string{
		"nothing":             "",
		"two parts":           parts[0] + "." + parts[1],
		"four parts":          text + ".",
		"by another key":      sign(t, other, receipt),
		"another's signature": parts[0] + "." + parts[1] + "." + laterParts[2],
		"another's claims":    parts[0] + "." + laterParts[1] + "." + parts[2],
		"no algorithm":        b64([]byte(`{"alg":"none","typ":"mfa-proof+jwt"}`)) + "." + parts[1] + ".",
		"another type":        resigned(`{"alg":"EdDSA","typ":"JWT"}`, string(body)),
		"a line break":        text[:len(text)-4] + "\n" + text[len(text)-4:],
		"padding":             text + "==",
		"a megabyte":          strings.Repeat("a.", 1<<19),
	}
	for i := range len(text) {
		forged[fmt.Sprintf("without byte %d", i)] = text[:i] + text[i+1:]
		forged[fmt.Sprintf("up to byte %d", i)] = text[:i]
		forged[fmt.Sprintf("byte %d changed", i)] = text[:i] + string(text[i]^1) + text[i+1:]
	}
	for name, f := range forged {
		if got, err := checker(
			at,
		).Check(
			t.Context(),
			claim(f),
		); !errors.Is(err, proof.ErrInvalid) || got != (proof.Receipt{}) ||
			len(f) > 50 && strings.Contains(err.Error(), f) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	if _, err := (proof.Checker{Now: func() time.Time { return at }}).Check(
		t.Context(),
		claim(text),
	); !errors.Is(
		err,
		proof.ErrInvalid,
	) {
		t.Errorf("without keys: %v", err)
	}
	short := proof.Checker{
		Keys: proof.Keys{public(key)[:31], nil},
		Now:  func() time.Time { return at },
	}
	if _, err := short.Check(t.Context(), claim(text)); !errors.Is(err, proof.ErrInvalid) {
		t.Errorf("with malformed keys: %v", err)
	}
}

// TestMalformedClaims: not even a known key makes a receipt of what is none.
func TestMalformedClaims(t *testing.T) {
	parts := strings.Split(sign(t, key, receipt), ".")
	b64 := base64.RawURLEncoding.EncodeToString
	for _, body := range []string{
		``, `{}`, `null`, `[]`,
		`{"jti":"a","sub":"user_42","purpose":"pay","hash":"AA",` +
			`"iat":1700000000,"exp":1700000300}`,
		`{"jti":"a","sub":"user_42","purpose":"pay","hash":"` + b64(make([]byte, 33)) + `",` +
			`"iat":1700000000,"exp":1700000300}`,
	} {
		signed := parts[0] + "." + b64([]byte(body))
		text := signed + "." + b64(ed25519.Sign(key, []byte(signed)))
		if _, err := checker(at).Check(t.Context(), claim(text)); !errors.Is(err, proof.ErrInvalid) {
			t.Errorf("%s: %v", body, err)
		}
	}
	long := fmt.Sprintf(
		`{"jti":"a","sub":"user_42","purpose":"pay","hash":"%s","iat":1700000000,"exp":1700000301}`,
		b64(pay.Hash[:]),
	)
	signed := parts[0] + "." + b64([]byte(long))
	if _, err := checker(
		at,
	).Check(
		t.Context(),
		claim(signed+"."+b64(ed25519.Sign(key, []byte(signed)))),
	); !errors.Is(
		err,
		proof.ErrExpired,
	) {
		t.Errorf("of five minutes and a second: %v", err)
	}
}

// TestNobody: a receipt that is of nobody, which Sign does not make, is not everybody's.
func TestNobody(t *testing.T) {
	b64 := base64.RawURLEncoding.EncodeToString
	body := fmt.Sprintf(
		`{"jti":"a","sub":"","purpose":"pay","hash":"%s","iat":1700000000,"exp":1700000300}`,
		b64(pay.Hash[:]),
	)
	signed := strings.Split(sign(t, key, receipt), ".")[0] + "." + b64([]byte(body))
	text := signed + "." + b64(ed25519.Sign(key, []byte(signed)))
	if _, err := checker(
		at,
	).Check(
		t.Context(),
		proof.Claim{Receipt: text, Action: pay},
	); !errors.Is(
		err,
		proof.ErrMismatch,
	) {
		t.Errorf("%v", err)
	}
}

// TestSignRefuses what could not be checked.
func TestSignRefuses(t *testing.T) {
	for name, change := range map[string]func(*proof.Receipt){
		"no challenge":   func(r *proof.Receipt) { r.ChallengeID = "" },
		"no user":        func(r *proof.Receipt) { r.UserID = "" },
		"no purpose":     func(r *proof.Receipt) { r.Action = proof.Action{} },
		"too long":       func(r *proof.Receipt) { r.ExpiresAt = r.ExpiresAt.Add(1) },
		"no time at all": func(r *proof.Receipt) { r.ExpiresAt = r.IssuedAt },
		"a megabyte":     func(r *proof.Receipt) { r.UserID = strings.Repeat("a", 1<<20) },
	} {
		r := receipt
		change(&r)
		if text, err := proof.Sign(key, r); err == nil || text != "" {
			t.Errorf("%s: signed %q", name, text)
		}
	}
	if _, err := proof.Sign(key[:10], receipt); err == nil {
		t.Error("a short key signs")
	}
}

// TestKeys: keys are written and read, several at once, and each of them opens.
func TestKeys(t *testing.T) {
	other := ed25519.NewKeyFromSeed([]byte("another seed of 32 bytes: tests."))
	keys := proof.Keys{public(other), public(key)}
	read, err := proof.ParseKeys(" " + strings.ReplaceAll(keys.String(), ",", " , ") + "\n")
	if err != nil || len(read) != 2 || !read[0].Equal(keys[0]) || !read[1].Equal(keys[1]) {
		t.Fatalf("%v, %v", read, err)
	}
	for _, k := range []ed25519.PrivateKey{key, other} {
		if _, err := (proof.Checker{Keys: read, Now: func() time.Time { return at }}).Check(
			t.Context(),
			claim(sign(t, k, receipt)),
		); err != nil {
			t.Error(err)
		}
	}
	for _, text := range []string{
		"", ",", "AAAA", keys.String() + ",", keys.String()[1:], strings.Repeat("A", 44),
	} {
		if keys, err := proof.ParseKeys(text); err == nil || keys != nil {
			t.Errorf("%q: %v", text, keys)
		}
	}
}

// TestActionOf: details are hashed one by one, as the docs say.
func TestActionOf(t *testing.T) {
	if proof.ActionOf("pay", "ab", "c") == proof.ActionOf("pay", "a", "bc") ||
		proof.ActionOf("pay") == proof.ActionOf("pay", "") {
		t.Error("two actions are one")
	}
	again := proof.ActionOf("pay", []string{"a", "b"}...)
	if proof.ActionOf("pay", "a", "b") != again {
		t.Error("one action is two")
	}
	sum := sha256.Sum256([]byte("\x00\x00\x00\x00\x00\x00\x00\x02ab\x00\x00\x00\x00\x00\x00\x00\x01c"))
	if got := proof.ActionOf("pay", "ab", "c").Hash; got != sum {
		t.Errorf("the hash is %x", got)
	}
	if got := proof.ActionOf("pay").Hash; got != [32]byte{} {
		t.Errorf("without details the hash is %x", got)
	}
	if (proof.Action{}).Valid() || proof.ActionOf("\x7f").Valid() || !proof.ActionOf("a ~").Valid() {
		t.Error("Valid is wrong")
	}
}

// TestFormat: the receipt is a JWS as RFC 7515 and RFC 8037 have it, with the claims that
// the docs name.
func TestFormat(t *testing.T) {
	parts := strings.Split(sign(t, key, receipt), ".")
	var decoded []string
	for _, p := range parts {
		raw, err := base64.RawURLEncoding.DecodeString(p)
		if err != nil {
			t.Fatal(err)
		}
		decoded = append(decoded, string(raw))
	}
	sum := sha256.Sum256(public(key))
	var header, claims map[string]any
	if json.Unmarshal([]byte(decoded[0]), &header) != nil ||
		json.Unmarshal([]byte(decoded[1]), &claims) != nil {
		t.Fatal(decoded)
	}
	wantHeader := map[string]any{
		"alg": "EdDSA",
		"typ": "mfa-proof+jwt",
		"kid": base64.RawURLEncoding.EncodeToString(sum[:8]),
	}
	wantClaims := map[string]any{
		"jti":         receipt.ChallengeID,
		"sub":         "user_42",
		"factor":      receipt.FactorID,
		"factor_type": "totp",
		"purpose":     "pay",
		"hash":        base64.RawURLEncoding.EncodeToString(pay.Hash[:]),
		"iat":         1.7e9,
		"exp":         1.7e9 + 300,
	}
	if fmt.Sprint(header) != fmt.Sprint(wantHeader) || fmt.Sprint(claims) != fmt.Sprint(wantClaims) {
		t.Errorf("%v\n%v\nwant\n%v\n%v", header, claims, wantHeader, wantClaims)
	}
	if !ed25519.Verify(public(key), []byte(parts[0]+"."+parts[1]), []byte(decoded[2])) {
		t.Error("the signature is not that of RFC 8037")
	}
}

// A receipt of anybody else is none; a receipt of ours is what was signed.
func FuzzCheck(f *testing.F) {
	text := sign(f, key, receipt)
	f.Add(text)
	f.Add(text[1:])
	f.Add(strings.Replace(text, ".", "..", 1))
	f.Add(hex.EncodeToString([]byte(text)))
	f.Fuzz(func(t *testing.T, given string) {
		got, err := checker(at).Check(t.Context(), claim(given))
		if given == text {
			if err != nil || got != receipt {
				t.Fatalf("%+v, %v", got, err)
			}
		} else if !errors.Is(err, proof.ErrInvalid) || got != (proof.Receipt{}) {
			t.Fatalf("%q: %+v, %v", given, got, err)
		}
	})
}

func BenchmarkCheck(b *testing.B) {
	c, text := checker(at), sign(b, key, receipt)
	for b.Loop() {
		if _, err := c.Check(b.Context(), claim(text)); err != nil {
			b.Fatal(err)
		}
	}
}

// In tests of a process that checks receipts, a key of their own signs them.
func ExampleSign() {
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		log.Fatal(err)
	}
	pay := proof.ActionOf("pay", "EUR 500.00")
	text, err := proof.Sign(private, proof.Receipt{
		ChallengeID: "auth_challenge_01KDVHWSY0HGAVP0A4N77A8P6C", UserID: "user_42", FactorType: "totp",
		Action: pay, IssuedAt: time.Now(), ExpiresAt: time.Now().Add(time.Minute),
	})
	if err != nil {
		log.Fatal(err)
	}
	checker := proof.Checker{Keys: proof.Keys{private.Public().(ed25519.PublicKey)}}
	receipt, err := checker.Check(
		context.Background(),
		proof.Claim{Receipt: text, UserID: "user_42", Action: pay},
	)
	fmt.Println(receipt.UserID, receipt.FactorType, err)
	// Output: user_42 totp <nil>
}
