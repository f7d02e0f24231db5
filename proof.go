package mfa

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"github.com/authfactor/mfa/internal/codec"
	"github.com/authfactor/mfa/proof"
)

// The purposes of the actions that a user approves to change their factors:
// proof.ActionOf(PurposeEnroll), proof.ActionOf(PurposeEnroll, factorID) where that factor
// is replaced, proof.ActionOf(PurposeUnenroll, factorID), and proof.ActionOf(PurposeTurnOff).
const (
	PurposeEnroll   = "mfa.enroll"
	PurposeUnenroll = "mfa.unenroll"
	PurposeTurnOff  = "mfa.turn_off"
)

// ProofKeys are the public keys of the receipts: one for each key of the
// keyring, the first of which signs. Give them to whoever checks receipts,
// before a new key moves to the front.
func (s *Service) ProofKeys() proof.Keys {
	var keys proof.Keys
	for _, k := range s.keys.keys() {
		keys = append(keys, k.receipts.Public().(ed25519.PublicKey))
	}
	return keys
}

// Redeem checks a receipt as [proof.Checker] does, and accepts it once, even if
// two processes ask at the same time. The errors are those of package proof,
// with [proof.ErrSpent] for a receipt that was redeemed before, or whose factor
// was deleted; and [ErrThrottled] after eight lost races, with nothing redeemed.
// Any other error comes from the store, and the receipt may have been redeemed.
func (s *Service) Redeem(ctx context.Context, c proof.Claim) (proof.Receipt, error) {
	load := func(ctx context.Context) (*redeeming, error) {
		now, err := s.now()
		if err != nil {
			return nil, err
		}
		return s.loadReceipt(ctx, now, c)
	}
	return transact(ctx, s, "", load, func(d *redeeming) (proof.Receipt, outcome) {
		var out outcome
		out.redeem(d.challenge)
		return d.receipt, out
	})
}

// redeeming is a receipt that is good, and the challenge that it was given for.
type redeeming struct {
	moment
	receipt   proof.Receipt
	challenge *challenge
}

// loadProof returns the challenge whose receipt allows the user to change their factors,
// nil if none is required.
func (s *Service) loadProof(ctx context.Context, now time.Time, c proof.Claim) (*challenge, error) {
	switch {
	case s.skipProof:
		return nil, nil //nolint:nilnil // it means that no receipt is required, and nothing else
	case c.Receipt == "":
		return nil, errProofRequired(nil)
	}
	d, err := s.loadReceipt(ctx, now, c)
	switch {
	case errors.Is(err, proof.ErrSpent):
		// Or somebody deleted its factor after the user was read: that is read again.
		return nil, &contradiction{errProofRequired(err), "spent"}
	case proof.Refused(err):
		return nil, errProofRequired(err)
	case err != nil:
		return nil, err
	}
	return d.challenge, nil
}

// loadReceipt checks a receipt and reads the challenge that it was given for. A
// redeemed one is proof.ErrSpent.
func (s *Service) loadReceipt(
	ctx context.Context, now time.Time, c proof.Claim,
) (*redeeming, error) {
	checker := proof.Checker{Keys: s.ProofKeys(), Now: func() time.Time { return now }}
	receipt, err := checker.Check(ctx, c)
	if err != nil {
		return nil, err
	}
	records, err := s.load(ctx, receipt.ChallengeID)
	if err != nil {
		return nil, err
	}
	later, err := s.now()
	if err != nil {
		return nil, err
	}
	checker.Now = func() time.Time { return later } // it may have expired during the read
	if _, err := checker.Check(ctx, c); err != nil {
		return nil, err
	}
	spent := fmt.Errorf("%w: %s", proof.ErrSpent, receipt.ChallengeID)
	rec, ok := records.find(receipt.ChallengeID)
	if !ok {
		return nil, spent
	}
	ch := new(challenge)
	if err := s.keys.decode(rec, kindChallenge, ch); err != nil {
		return nil, err
	}
	f, err := s.ownedFactor(records, ch.Parent, c.UserID)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil, spent
	case err != nil:
		return nil, err
	}
	if _, err := s.openUser(records, later, f); err != nil {
		return nil, err
	}
	if ch.redeemed || ch.Status != statusDone || ch.action != c.Action {
		return nil, spent
	}
	return &redeeming{moment{now, later}, receipt, ch}, nil
}

// redeem adds to an outcome that a receipt is redeemed.
func (out *outcome) redeem(ch *challenge) {
	if ch != nil {
		ch.redeemed = true
		out.put(ch)
	}
}

// Receipt is the step-up token of the challenge's Action: good for 5 minutes
// from when the code was accepted, checked by package proof or redeemed by
// [Service.Redeem]. "" if the challenge has no Action, or the code was not
// accepted. Printing the Verification does not show it. Whoever has it can act
// in the person's place.
func (v Verification) Receipt() string {
	if v.receipt == nil {
		return ""
	}
	return (*v.receipt)()
}

// receipt is that of a challenge that was verified, nil if it was made for no action. It
// is signed when it is asked for.
func (s *Service) receipt(ch *challenge, f *factor) *hidden[string] {
	if ch.action == (proof.Action{}) {
		return nil
	}
	issued := ch.acceptedAt.Truncate(time.Second)
	r := proof.Receipt{
		ChallengeID: ch.ID, UserID: f.UserID, FactorID: f.ID, FactorType: f.Type,
		Action: ch.action, IssuedAt: issued, ExpiresAt: issued.Add(proof.MaxAge),
	}
	signed := hidden[string](func() string {
		text, _ := proof.Sign(s.keys.keys()[0].receipts, r) // of a receipt that is well formed
		return text
	})
	return &signed
}

// unproved reports whether the factor was enrolled without a receipt, which is
// required once its owner has a verified factor.
func (s *Service) unproved(f *factor) bool { return !s.skipProof && !f.proved }

func actionFields(c *codec.Codec, a *proof.Action) {
	hash := ""
	if a.Purpose != "" {
		hash = string(a.Hash[:])
	}
	c.String(&a.Purpose)
	c.String(&hash)
	if !c.Reading() {
		return
	}
	// There is a hash beside every purpose, and beside no other.
	want := 0
	if a.Purpose != "" {
		want = len(a.Hash)
	}
	if len(hash) != want {
		c.Refuse()
	}
	copy(a.Hash[:], hash)
}
