// Package proofhttp lets requests through that bring the receipt of a fresh second
// factor.
//
//	guard := proofhttp.Guard{
//		Check: svc.Spend, // or proof.Checker{Keys: keys}.Check, in a process without the service
//		Claim: func(r *http.Request) proof.Claim {
//			return proof.Claim{
//				Receipt: r.Header.Get("Mfa-Receipt"), // or r.PostFormValue("receipt")
//				UserID:  sessionUser(r),
//				Action:  proof.ActionOf("change email", r.PostFormValue("email")),
//			}
//		},
//	}
//	mux.Handle("POST /email", guard.Wrap(changeEmail))
package proofhttp

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/authfactor/mfa/proof"
)

// A Guard stands in front of handlers that need a fresh second factor.
type Guard struct {
	// Check says whether a claim is proved: Service.Spend, which lets a receipt through
	// once, or proof.Checker.Check. Required; without it nothing gets through.
	Check func(context.Context, proof.Claim) (proof.Receipt, error)

	// Claim makes the claim of a request: the receipt that it brings, the user of its
	// session ("" if there is none, which gets nobody through), and the action, from what the
	// handler will do. Required; without it nothing gets through.
	Claim func(*http.Request) proof.Claim

	// Refused answers a request that does not get through: ask for a code, and let the
	// person come back with a receipt. err is what Check said; one that is not
	// proof.Refused is a failure and not the person's.
	// Defaults to 403 with {"code": "second_factor_required", "message": ...}, and 500 for a
	// failure.
	Refused func(w http.ResponseWriter, r *http.Request, err error)
}

// Wrap returns a handler that calls next for requests whose claim is proved, with the
// receipt in the context: see [FromContext]. With Service.Spend the receipt is spent then, whatever
// next makes of the request, so next had better not fail on what could be looked at before.
func (g Guard) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		receipt, err := g.check(r)
		if err == nil {
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), contextKey{}, receipt)))
			return
		}
		if g.Refused != nil {
			g.Refused(w, r, err)
			return
		}
		refuse(w, err)
	})
}

func (g Guard) check(r *http.Request) (proof.Receipt, error) {
	if g.Check == nil || g.Claim == nil {
		return proof.Receipt{}, errors.New("proofhttp: Guard.Check and Guard.Claim are required")
	}
	return g.Check(r.Context(), g.Claim(r))
}

func refuse(w http.ResponseWriter, err error) {
	status, code, message := http.StatusInternalServerError, "internal_error", "Internal Server Error"
	if proof.Refused(err) {
		status, code, message = http.StatusForbidden, "second_factor_required", "A fresh second factor is required."
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"code": code, "message": message}) // to a client who hung up
}

type contextKey struct{}

// FromContext returns the receipt that let the request through, and whether one did.
func FromContext(ctx context.Context) (proof.Receipt, bool) {
	r, ok := ctx.Value(contextKey{}).(proof.Receipt)
	return r, ok
}
