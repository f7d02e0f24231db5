package proofhttp_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/mfatest"
	"github.com/authfactor/mfa/proof"
	"github.com/authfactor/mfa/proof/proofhttp"
)

// changed answers with the receipt that let the request through.
var changed = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	receipt, ok := proofhttp.FromContext(r.Context())
	_, _ = fmt.Fprintln(w, "changed", ok, receipt.FactorType)
})

func request(receipt string) (*httptest.ResponseRecorder, *http.Request) {
	r := httptest.NewRequest(http.MethodPost, "/email", strings.NewReader("email=alan@foo-corp.com"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Mfa-Receipt", receipt)
	return httptest.NewRecorder(), r
}

func claim(r *http.Request) proof.Claim {
	return proof.Claim{Receipt: r.Header.Get("Mfa-Receipt"), UserID: "user_42", Action: proof.ActionOf("change email", r.PostFormValue("email"))}
}

// TestGuard: what Check lets through gets through, with the receipt; all else is answered
// as the docs say, and next is not called.
func TestGuard(t *testing.T) {
	for name, tt := range map[string]struct {
		err    error
		status int
		body   string
	}{
		"proved":   {nil, http.StatusOK, "changed true totp\n"},
		"invalid":  {fmt.Errorf("%w: because", proof.ErrInvalid), http.StatusForbidden, `{"code":"second_factor_required","message":"A fresh second factor is required."}` + "\n"},
		"expired":  {proof.ErrExpired, http.StatusForbidden, ""},
		"mismatch": {proof.ErrMismatch, http.StatusForbidden, ""},
		"spent":    {proof.ErrSpent, http.StatusForbidden, ""},
		"failure":  {errors.New("the database is at 10.0.0.7"), http.StatusInternalServerError, `{"code":"internal_error","message":"Internal Server Error"}` + "\n"},
	} {
		guard := proofhttp.Guard{Claim: claim, Check: func(_ context.Context, c proof.Claim) (proof.Receipt, error) {
			if c.Receipt != "a receipt" || c.Action != proof.ActionOf("change email", "alan@foo-corp.com") {
				t.Errorf("claim %+v", c)
			}
			return proof.Receipt{FactorType: "totp"}, tt.err
		}}
		w, r := request("a receipt")
		guard.Wrap(changed).ServeHTTP(w, r)
		if w.Code != tt.status || tt.body != "" && w.Body.String() != tt.body || strings.Contains(w.Body.String(), "changed") != (tt.err == nil) {
			t.Errorf("%s: %d %q", name, w.Code, w.Body)
		}
		if tt.err != nil && (w.Header().Get("Cache-Control") != "no-store" || !strings.HasPrefix(w.Header().Get("Content-Type"), "application/json")) {
			t.Errorf("%s: %v", name, w.Header())
		}
	}
}

// TestZeroGuard lets nothing through.
func TestZeroGuard(t *testing.T) {
	for _, guard := range []proofhttp.Guard{{}, {Claim: claim}, {Check: proof.Checker{}.Check}} {
		w, r := request("")
		guard.Wrap(changed).ServeHTTP(w, r)
		if w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), "changed") {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	}
	if _, ok := proofhttp.FromContext(t.Context()); ok {
		t.Error("a context without a receipt has one")
	}
}

// TestRefused: an application answers in its own way.
func TestRefused(t *testing.T) {
	guard := proofhttp.Guard{Claim: claim, Check: proof.Checker{}.Check, Refused: func(w http.ResponseWriter, r *http.Request, err error) {
		if !errors.Is(err, proof.ErrInvalid) {
			t.Error(err)
		}
		http.Redirect(w, r, "/step-up", http.StatusSeeOther)
	}}
	w, r := request("nothing")
	guard.Wrap(changed).ServeHTTP(w, r)
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/step-up" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

// A new e-mail address needs a fresh second factor, once for each change.
func Example() {
	clock := new(mfatest.Clock)
	svc, err := mfa.New(mfa.Config{Now: clock.Now, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		log.Fatal(err)
	}
	guard := proofhttp.Guard{Check: svc.Spend, Claim: func(r *http.Request) proof.Claim {
		return proof.Claim{
			Receipt: r.Header.Get("Mfa-Receipt"),
			UserID:  "user_42", // of the session
			Action:  proof.ActionOf("change email", r.PostFormValue("email")),
		}
	}}
	mux := http.NewServeMux()
	mux.Handle("POST /email", guard.Wrap(changed))

	ctx := context.Background()
	enr, err := svc.Enroll(ctx, mfa.EnrollParams{UserID: "user_42", TOTP: &mfa.TOTPParams{Issuer: "Foo Corp", User: "alan"}})
	if err != nil {
		log.Fatal(err)
	}
	action := proof.ActionOf("change email", "alan@foo-corp.com")
	ch, err := svc.Challenge(ctx, mfa.ChallengeParams{FactorID: enr.Factor.ID, UserID: "user_42", Confirm: true, Action: action})
	if err != nil {
		log.Fatal(err)
	}
	v, err := svc.Verify(ctx, mfa.VerifyParams{ChallengeID: ch.ID, UserID: "user_42", Code: mfatest.Code(enr.TOTP.Secret(), clock.Now()), Action: action})
	if err != nil {
		log.Fatal(err)
	}
	for range 2 {
		w, r := request(v.Receipt())
		mux.ServeHTTP(w, r)
		fmt.Print(w.Code, " ", w.Body)
	}
	// Output:
	// 200 changed true totp
	// 403 {"code":"second_factor_required","message":"A fresh second factor is required."}
}
