package mfaweb

import (
	"context"
	"errors"
	"net/http"

	"github.com/authfactor/mfa/proof"
	"github.com/authfactor/mfa/proof/proofhttp"
)

// ReceiptHeader brings the receipt of an answered question to the request that it was for.
const ReceiptHeader = "Mfa-Receipt"

// StepUp is a fresh second factor for the application's own actions.
type StepUp struct {
	// Action returns what the request is about to do, such as proof.ActionOf("pay", amount,
	// account), from what the wrapped handler will do. It may read the body, up to 1 MiB.
	// Required.
	Action func(*http.Request) (proof.Action, error)

	// AllowWithoutFactor lets people through who have no second factor. Defaults to false:
	// they are answered with "second_factor_missing", and have to enroll one first.
	AllowWithoutFactor bool
}

// StepUp returns a handler that calls next for whoever is logged in and brings a receipt of a
// fresh second factor for the action. The receipt is accepted once. Everybody else is asked: the
// answer is 403 with the code "second_factor_required" and a question, which takes the place of
// another one. So wrap what changes something, and no GET, which any page can cause.
func (h *Handler) StepUp(s StepUp, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r, err := h.arrived(r)
		if err != nil {
			h.refuse(w, r, err)
			return
		}
		h.guard(s).Wrap(next).ServeHTTP(w, r)
	})
}

// guard is that of one request: what it claims is asked for, if it does not prove it.
func (h *Handler) guard(s StepUp) proofhttp.Guard {
	var session Session
	var action proof.Action
	guard := proofhttp.Guard{
		Check: h.svc.Redeem,
		Claim: func(r *http.Request) (claim proof.Claim, err error) {
			if session, err = h.member(&call{r: r}); err != nil {
				return claim, err
			}
			if action, err = s.action(r); err != nil {
				return claim, err
			}
			return proof.Claim{
				Receipt: r.Header.Get(ReceiptHeader), UserID: session.User.ID, Action: action,
			}, nil
		},
		Refused: func(w http.ResponseWriter, r *http.Request, err error) {
			if proof.Refused(err) {
				err = h.askFor(&call{w: w, r: r, ctx: r.Context()}, session, action, err)
			}
			if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
				err = errStepUpTooLarge
			}
			h.refuse(w, r, err)
		},
	}
	if s.AllowWithoutFactor {
		guard.AllowWithoutFactor = h.hasNone
	}
	return guard
}

// action is what a request is about to do.
func (s StepUp) action(r *http.Request) (proof.Action, error) {
	if s.Action == nil {
		return proof.Action{}, errors.New("mfaweb: StepUp.Action is required")
	}
	action, err := s.Action(r)
	if err == nil && !action.Valid() {
		err = errors.New("mfaweb: StepUp.Action gave an action without a valid purpose")
	}
	return action, err
}

// askFor asks for the receipt, or says that there is nothing to be asked.
func (h *Handler) askFor(c *call, s Session, action proof.Action, cause error) error {
	none, err := h.hasNone(c.ctx, s.User.ID)
	switch {
	case err != nil:
		return err
	case none && !s.HasFactor:
		return errMissing
	}
	return h.ask(c, s, action, cause)
}

// hasNone reports whether a person has no second factor, by the store and by the row.
func (h *Handler) hasNone(ctx context.Context, userID string) (bool, error) {
	u, err := h.cfg.User(ctx, userID)
	switch {
	case err != nil:
		return false, err
	case u.ID != userID: // there is no such row: it says nothing
		return false, errNotLoggedIn
	case u.HasFactor:
		return false, nil
	}
	return h.storeHasNone(ctx, userID)
}
