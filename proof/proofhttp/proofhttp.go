// Package proofhttp lets a request through if it brings the receipt of a fresh
// second factor.
//
//	guard := proofhttp.Guard{
//		Check: svc.Redeem, // or proof.Checker{Keys: keys}.Check, without the service
//		Claim: func(r *http.Request) (proof.Claim, error) {
//			user, err := sessionUser(r)
//			return proof.Claim{
//				Receipt: r.Header.Get("Mfa-Receipt"), // or r.PostFormValue("receipt")
//				UserID:  user,
//				Action:  proof.ActionOf("change email", r.PostFormValue("email")),
//			}, err
//		},
//	}
//	mux.Handle("POST /email", guard.Wrap(changeEmail))
package proofhttp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/authfactor/mfa/proof"
)

// A Guard protects handlers that require a fresh second factor. The zero Guard
// lets nothing through.
type Guard struct {
	// Check returns an error unless a claim is proved: Service.Redeem, which
	// accepts a receipt once, or proof.Checker.Check. Required; without it no
	// request gets through.
	Check func(context.Context, proof.Claim) (proof.Receipt, error)

	// Claim returns the claim of a request: the receipt that it brings, the
	// user of its session ("" if there is none, which never gets through), and
	// the action, built from what the handler will do. A request whose claim is
	// an error does not get through. Required; without it no request does.
	//
	// Claim may read the body, up to 1 MiB, and the handler still reads all of
	// it. If Claim tries to read more, the request is refused with an
	// [*http.MaxBytesError], whatever Claim returns.
	Claim func(*http.Request) (proof.Claim, error)

	// AllowWithoutFactor lets users through who have no second factor. It is
	// called with the user of a claim that Check refused, never with "", and
	// must return true only if the user has no verified and no disabled factor,
	// as Service.Factors tells, and your own record of the user says the same
	// (see mfa.LoginParams.HasFactor): if a disabled factor did not count,
	// thirty wrong codes would open the handler, and so would a lost store.
	// After true the request gets through without a receipt; an error refuses
	// it. Defaults to nil: users without a factor do not get through.
	AllowWithoutFactor func(ctx context.Context, userID string) (bool, error)

	// Refused answers a request that does not get through: ask for a code, and
	// let the person come back with a receipt. err is what Check, Claim or
	// AllowWithoutFactor returned; if proof.Refused reports false, it is a
	// failure, and not the person's. Defaults to 403 with {"code":
	// "second_factor_required", "message": ...}, 413 for an
	// [*http.MaxBytesError], and 500 for any other error, one of Claim
	// included.
	Refused func(w http.ResponseWriter, r *http.Request, err error)
}

// Wrap returns a handler that calls next for requests whose claim is proved,
// with the receipt in the context: see [FromContext]. Service.Redeem redeems
// the receipt before next is called, so next should not fail for a reason that
// could be checked before.
func (g Guard) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, err := g.check(r)
		switch {
		case err == nil:
			next.ServeHTTP(w, r.WithContext(ctx))
		case g.Refused != nil:
			g.Refused(w, r, err)
		default:
			refuse(w, err)
		}
	})
}

// check returns the context of a request that gets through, with its receipt
// unless AllowWithoutFactor let it through.
func (g Guard) check(r *http.Request) (context.Context, error) {
	if g.Check == nil || g.Claim == nil {
		return nil, errors.New("proofhttp: Guard.Check and Guard.Claim are required")
	}
	claim, err := g.claim(r)
	if err != nil {
		return nil, err
	}
	ctx := r.Context()
	receipt, err := g.Check(ctx, claim)
	if err == nil {
		return context.WithValue(ctx, contextKey{}, receipt), nil
	}
	if !proof.Refused(err) || g.AllowWithoutFactor == nil || claim.UserID == "" {
		return nil, err
	}
	none, failure := g.AllowWithoutFactor(ctx, claim.UserID)
	if failure != nil {
		return nil, failure
	}
	if !none {
		return nil, err
	}
	return ctx, nil
}

// maxBody is how many bytes of a body Claim may read.
const maxBody = 1 << 20

// claim calls Claim, and gives the request its body back.
func (g Guard) claim(r *http.Request) (proof.Claim, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return g.Claim(r)
	}
	body := r.Body
	read := &recorder{from: body}
	r.Body = read
	claim, err := g.Claim(r)
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(&read.kept, body), body}
	if read.over {
		return proof.Claim{}, &http.MaxBytesError{Limit: maxBody}
	}
	return claim, err
}

// A recorder keeps what is read of a body.
type recorder struct {
	from io.Reader
	kept bytes.Buffer
	over bool // more was asked for than is kept
}

func (b *recorder) Read(p []byte) (int, error) {
	if b.over {
		return 0, &http.MaxBytesError{Limit: maxBody}
	}
	// One byte more than may be read tells whether there is more.
	n, err := b.from.Read(p[:min(len(p), maxBody+1-b.kept.Len())])
	b.kept.Write(p[:n])
	if b.kept.Len() > maxBody {
		b.over = true
		return n - 1, &http.MaxBytesError{Limit: maxBody}
	}
	return n, err
}

// Close leaves the body open for the handler.
func (b *recorder) Close() error { return nil }

func refuse(w http.ResponseWriter, err error) {
	status, code, message := http.StatusInternalServerError, "internal_error", "Internal Server Error"
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		status, code = http.StatusRequestEntityTooLarge, "payload_too_large"
		message = "The request is too large."
	} else if proof.Refused(err) {
		status, code = http.StatusForbidden, "second_factor_required"
		message = "A fresh second factor is required."
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	// An error means that the client hung up.
	_ = json.NewEncoder(w).Encode(map[string]string{"code": code, "message": message})
}

type contextKey struct{}

// FromContext returns the receipt that let the request through, and reports
// whether there is one: there is none if Guard.AllowWithoutFactor let it
// through.
func FromContext(ctx context.Context) (proof.Receipt, bool) {
	r, ok := ctx.Value(contextKey{}).(proof.Receipt)
	return r, ok
}
