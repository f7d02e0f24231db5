package proofhttp_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

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

func claim(r *http.Request) (proof.Claim, error) {
	return proof.Claim{
		Receipt: r.Header.Get("Mfa-Receipt"),
		UserID:  "user_42",
		Action:  proof.ActionOf("change email", r.PostFormValue("email")),
	}, nil
}

// TestGuard: what Check lets through gets through, with the receipt; all else is answered
// as the docs say, and next is not called.
func TestGuard(t *testing.T) {
	for name, tt := range map[string]struct {
		err    error
		status int
		body   string
	}{
		"proved": {nil, http.StatusOK, "changed true totp\n"},
		"invalid": {fmt.Errorf("%w: because", proof.ErrInvalid), http.StatusForbidden,
			`{"code":"second_factor_required","message":"A fresh second factor is required."}` + "\n"},
		"expired":  {proof.ErrExpired, http.StatusForbidden, ""},
		"mismatch": {proof.ErrMismatch, http.StatusForbidden, ""},
		"spent":    {proof.ErrSpent, http.StatusForbidden, ""},
		"failure": {errors.New("the database is at 10.0.0.7"), http.StatusInternalServerError,
			`{"code":"internal_error","message":"Internal Server Error"}` + "\n"},
	} {
		guard := proofhttp.Guard{
			Claim: claim,
			Check: func(_ context.Context, c proof.Claim) (proof.Receipt, error) {
				if c.Receipt != "a receipt" || c.Action != proof.ActionOf("change email", "alan@foo-corp.com") {
					t.Errorf("claim %+v", c)
				}
				return proof.Receipt{FactorType: "totp"}, tt.err
			},
		}
		w, r := request("a receipt")
		guard.Wrap(changed).ServeHTTP(w, r)
		if w.Code != tt.status || tt.body != "" && w.Body.String() != tt.body ||
			strings.Contains(w.Body.String(), "changed") != (tt.err == nil) {
			t.Errorf("%s: %d %q", name, w.Code, w.Body)
		}
		if tt.err != nil &&
			(w.Header().Get("Cache-Control") != "no-store" ||
				!strings.HasPrefix(w.Header().Get("Content-Type"), "application/json")) {
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
	guard := proofhttp.Guard{
		Claim: claim,
		Check: proof.Checker{}.Check,
		Refused: func(w http.ResponseWriter, r *http.Request, err error) {
			if !errors.Is(err, proof.ErrInvalid) {
				t.Error(err)
			}
			http.Redirect(w, r, "/step-up", http.StatusSeeOther)
		},
	}
	w, r := request("nothing")
	guard.Wrap(changed).ServeHTTP(w, r)
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/step-up" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

// TestWithoutFactor: whoever has no second factor gets through if the application opens
// that, and nobody else does.
func TestWithoutFactor(t *testing.T) {
	down := errors.New("the database is down")
	says := func(none bool, err error) func(context.Context, string) (bool, error) {
		return func(context.Context, string) (bool, error) { return none, err }
	}
	for name, tt := range map[string]struct {
		user    string
		checked error
		allow   func(context.Context, string) (bool, error)
		status  int
		asked   int
	}{
		"has none":                  {"user_42", proof.ErrInvalid, says(true, nil), 200, 1},
		"has none, and a receipt":   {"user_42", proof.ErrExpired, says(true, nil), 200, 1},
		"has one":                   {"user_42", proof.ErrInvalid, says(false, nil), 403, 1},
		"not known":                 {"user_42", proof.ErrInvalid, says(true, down), 500, 1},
		"no session":                {"", proof.ErrInvalid, says(true, nil), 403, 0},
		"the check failed":          {"user_42", down, says(true, nil), 500, 0},
		"proved":                    {"user_42", nil, says(false, down), 200, 0},
		"not opened by the program": {"user_42", proof.ErrInvalid, nil, 403, 0},
	} {
		asked := 0
		guard := proofhttp.Guard{
			Check: func(context.Context, proof.Claim) (proof.Receipt, error) {
				return proof.Receipt{}, tt.checked
			},
			Claim: func(*http.Request) (proof.Claim, error) { return proof.Claim{UserID: tt.user}, nil },
		}
		if tt.allow != nil {
			guard.AllowWithoutFactor = func(ctx context.Context, userID string) (bool, error) {
				asked++
				if userID != tt.user {
					t.Errorf("%s: asked about %q", name, userID)
				}
				return tt.allow(ctx, userID)
			}
		}
		w, r := request("a receipt")
		guard.Wrap(changed).ServeHTTP(w, r)
		if w.Code != tt.status || asked != tt.asked ||
			strings.Contains(w.Body.String(), "changed") != (tt.status == http.StatusOK) {
			t.Errorf("%s: %d %q, asked %d times", name, w.Code, w.Body, asked)
		}
		if tt.status == http.StatusOK &&
			strings.Contains(w.Body.String(), "true") != (tt.checked == nil) {
			t.Errorf("%s: %q, a receipt of nobody", name, w.Body)
		}
	}
}

// TestDisabledIsAFactor: the example's answer about users, by the state of their factor.
func TestDisabledIsAFactor(t *testing.T) {
	clock := new(mfatest.Clock)
	svc, err := mfa.New(mfa.Config{Now: clock.Now, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	guard := proofhttp.Guard{Check: svc.Redeem, Claim: claim, AllowWithoutFactor: withoutFactor(svc)}
	status := func() int {
		w, r := request("")
		guard.Wrap(changed).ServeHTTP(w, r)
		return w.Code
	}
	if got := status(); got != http.StatusOK {
		t.Errorf("without a factor: %d", got)
	}
	enr, err := svc.Enroll(
		t.Context(),
		mfa.EnrollParams{UserID: "user_42", TOTP: &mfa.TOTPParams{Issuer: "Foo Corp", User: "alan"}},
	)
	if err != nil {
		t.Fatal(err)
	}
	if got := status(); got != http.StatusOK {
		t.Errorf("with an unverified factor: %d", got)
	}
	verify := func(code string) error {
		ch, err := svc.Challenge(
			t.Context(),
			mfa.ChallengeParams{FactorID: enr.Factor.ID, UserID: "user_42", Confirm: true},
		)
		if err != nil {
			t.Fatal(err)
		}
		_, err = svc.Verify(
			t.Context(),
			mfa.VerifyParams{ChallengeID: ch.ID, UserID: "user_42", Code: code},
		)
		return err
	}
	if err := verify(mfatest.Code(enr.TOTP.Secret(), clock.Now())); err != nil {
		t.Fatal(err)
	}
	if got := status(); got != http.StatusForbidden {
		t.Errorf("with a verified factor: %d", got)
	}
	for range 30 {
		clock.Advance(time.Hour)
		wrong := "000000"
		if mfatest.Code(enr.TOTP.Secret(), clock.Now()) == wrong {
			wrong = "111111"
		}
		if err := verify(wrong); !errors.Is(err, mfa.ErrInvalidCode) {
			t.Fatal(err)
		}
	}
	f, err := svc.Factor(t.Context(), mfa.FactorParams{FactorID: enr.Factor.ID, UserID: "user_42"})
	if err != nil || f.Status != mfa.StatusDisabled {
		t.Fatalf("%s, %v", f.Status, err)
	}
	if got := status(); got != http.StatusForbidden {
		t.Errorf("with a disabled factor: %d", got)
	}
}

// TestClaimFails: a claim that can't be made is refused, and nothing is checked.
func TestClaimFails(t *testing.T) {
	broken := errors.New("no session")
	guard := proofhttp.Guard{
		Claim: func(*http.Request) (proof.Claim, error) { return proof.Claim{UserID: "user_42"}, broken },
		Check: func(context.Context, proof.Claim) (proof.Receipt, error) {
			t.Error("checked")
			return proof.Receipt{}, nil
		},
		AllowWithoutFactor: func(context.Context, string) (bool, error) { return true, nil },
	}
	w, r := request("a receipt")
	guard.Wrap(changed).ServeHTTP(w, r)
	if w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), "session") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	guard.Refused = func(w http.ResponseWriter, _ *http.Request, err error) {
		if !errors.Is(err, broken) {
			t.Error(err)
		}
		w.WriteHeader(http.StatusTeapot)
	}
	w, r = request("a receipt")
	guard.Wrap(changed).ServeHTTP(w, r)
	if w.Code != http.StatusTeapot {
		t.Errorf("%d", w.Code)
	}
}

// TestBody: the handler reads the body as it came, whatever Claim read of it.
func TestBody(t *testing.T) {
	const limit = 1 << 20
	sent := `{"email":"alan@foo-corp.com"}` + strings.Repeat(" ", 100)
	part := func(n int64) func(*http.Request) error {
		return func(r *http.Request) error {
			_, err := io.CopyN(io.Discard, r.Body, n)
			return err
		}
	}
	everything := func(r *http.Request) error { _, err := io.ReadAll(r.Body); return err }
	for name, tt := range map[string]struct {
		read   func(*http.Request) error
		sent   string
		status int
	}{
		"nothing": {func(*http.Request) error { return nil }, sent, http.StatusOK},
		"nothing of a lot": {
			func(*http.Request) error { return nil }, strings.Repeat("x", 2*limit), http.StatusOK,
		},
		"some": {part(10), sent, http.StatusOK},
		"all": {
			func(r *http.Request) error { return json.NewDecoder(r.Body).Decode(new(any)) },
			sent, http.StatusOK,
		},
		"all, and closes it": {func(r *http.Request) error {
			_, err := io.ReadAll(r.Body)
			return errors.Join(err, r.Body.Close())
		}, sent, http.StatusOK},
		"as much as it may": {everything, strings.Repeat("x", limit), http.StatusOK},
		"some of a lot":     {part(limit), strings.Repeat("x", 2*limit), http.StatusOK},
		"too much": {
			everything, strings.Repeat("x", limit+1), http.StatusRequestEntityTooLarge,
		},
		"too much, unseen": {
			func(r *http.Request) error { _, _ = io.ReadAll(r.Body); return nil },
			strings.Repeat("x", limit+1), http.StatusRequestEntityTooLarge,
		},
	} {
		guard := proofhttp.Guard{
			Claim: func(r *http.Request) (proof.Claim, error) {
				return proof.Claim{UserID: "user_42"}, tt.read(r)
			},
			Check: func(context.Context, proof.Claim) (proof.Receipt, error) { return proof.Receipt{}, nil },
		}
		r := httptest.NewRequest(http.MethodPost, "/email", strings.NewReader(tt.sent))
		w := httptest.NewRecorder()
		guard.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			got, err := io.ReadAll(r.Body)
			if err != nil || string(got) != tt.sent {
				t.Errorf("%s: the handler reads %d bytes of %d, %v", name, len(got), len(tt.sent), err)
			}
		})).ServeHTTP(w, r)
		if w.Code != tt.status {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}

	// A form that Claim read is the handler's, too.
	guard := proofhttp.Guard{
		Claim: claim,
		Check: func(context.Context, proof.Claim) (proof.Receipt, error) { return proof.Receipt{}, nil },
	}
	w, r := request("a receipt")
	guard.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if got := r.PostFormValue("email"); got != "alan@foo-corp.com" {
			t.Errorf("the form has %q", got)
		}
		if body, err := io.ReadAll(r.Body); err != nil || string(body) != "email=alan@foo-corp.com" {
			t.Errorf("%q, %v", body, err)
		}
	})).ServeHTTP(w, r)
}

// withoutFactor reports whether a user has no second factor. One that is disabled counts.
func withoutFactor(svc *mfa.Service) func(context.Context, string) (bool, error) {
	return func(ctx context.Context, userID string) (bool, error) {
		factors, err := svc.Factors(ctx, userID)
		return !slices.ContainsFunc(
			factors,
			func(f mfa.Factor) bool { return f.Status != mfa.StatusUnverified },
		), err
	}
}

// People who have no second factor change their address without one. Whoever has one
// shows it.
func ExampleGuard_withoutFactor() {
	svc, err := mfa.New(mfa.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		log.Fatal(err)
	}
	guard := proofhttp.Guard{
		Check: svc.Redeem,
		Claim: func(r *http.Request) (proof.Claim, error) {
			return proof.Claim{
				Receipt: r.Header.Get("Mfa-Receipt"),
				UserID:  "user_42", // of the session
				Action:  proof.ActionOf("change email", r.PostFormValue("email")),
			}, nil
		},
		AllowWithoutFactor: func(ctx context.Context, userID string) (bool, error) {
			factors, err := svc.Factors(ctx, userID)
			some := slices.ContainsFunc(
				factors,
				func(f mfa.Factor) bool { return f.Status != mfa.StatusUnverified },
			)
			return !some, err
		},
	}
	w, r := request("")
	guard.Wrap(changed).ServeHTTP(w, r)
	fmt.Print(w.Code, " ", w.Body)
	// Output:
	// 200 changed false
}

// A new e-mail address needs a fresh second factor, once for each change.
func Example() {
	clock := new(mfatest.Clock)
	svc, err := mfa.New(mfa.Config{Now: clock.Now, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		log.Fatal(err)
	}
	guard := proofhttp.Guard{Check: svc.Redeem, Claim: func(r *http.Request) (proof.Claim, error) {
		return proof.Claim{
			Receipt: r.Header.Get("Mfa-Receipt"),
			UserID:  "user_42", // of the session
			Action:  proof.ActionOf("change email", r.PostFormValue("email")),
		}, nil
	}}
	mux := http.NewServeMux()
	mux.Handle("POST /email", guard.Wrap(changed))

	ctx := context.Background()
	enr, err := svc.Enroll(
		ctx,
		mfa.EnrollParams{UserID: "user_42", TOTP: &mfa.TOTPParams{Issuer: "Foo Corp", User: "alan"}},
	)
	if err != nil {
		log.Fatal(err)
	}
	action := proof.ActionOf("change email", "alan@foo-corp.com")
	ch, err := svc.Challenge(
		ctx,
		mfa.ChallengeParams{FactorID: enr.Factor.ID, UserID: "user_42", Confirm: true, Action: action},
	)
	if err != nil {
		log.Fatal(err)
	}
	v, err := svc.Verify(
		ctx,
		mfa.VerifyParams{
			ChallengeID: ch.ID,
			UserID:      "user_42",
			Code:        mfatest.Code(enr.TOTP.Secret(), clock.Now()),
			Action:      action,
		},
	)
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
