package mfa

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/authfactor/mfa/internal/codec"
)

// transact loads, decides and commits, up to eight times on conflict; only then
// does it raise events and return. id names the subject of the final
// ErrThrottled.
func transact[V interface{ at() time.Time }, T any](ctx context.Context, s *Service, id string,
	load func(context.Context) (V, error),
	decide func(V) (T, outcome),
) (T, error) {
	var none T
	if _, err := s.now(); err != nil {
		return none, err
	}
	lost := 0
	for range maxRaces {
		if err := pause(ctx, lost); err != nil {
			return none, err
		}
		v, err := agreed(id, func() (V, error) { return load(ctx) })
		if err != nil {
			return none, err
		}
		told, out := decide(v)
		if out.again {
			continue
		}
		switch err := s.commit(ctx, commitTimeout, out); {
		case errors.Is(err, ErrConflict):
			lost++
			continue
		case err != nil:
			return none, err
		}
		for _, e := range out.events {
			e.Time = v.at()
			s.emit(ctx, e)
		}
		return told, out.err
	}
	return none, errThrottled(id, raceWait, ReasonRaces)
}

// A moment is the time of a decision: after its first records were read. A read
// may take seconds. By an earlier time, what expired meanwhile would still be
// good, and what others wrote meanwhile would be dated in the future.
type moment struct {
	begun time.Time // before the read: a call in time is not late because the store is slow
	now   time.Time
}

func (m moment) at() time.Time { return m.now }

// loadNow reads records by id, and then the clock.
func (s *Service) loadNow(ctx context.Context, ids ...string) (loaded, moment, error) {
	begun, err := s.now()
	if err != nil {
		return nil, moment{}, err
	}
	records, err := s.load(ctx, ids...)
	if err != nil {
		return nil, moment{}, err
	}
	now, err := s.now()
	return records, moment{begun, now}, err
}

// An outcome is what a decision comes to: what to write, and what to tell once that is
// written. With err there may be something to write: a wrong code is counted.
type outcome struct {
	save   []stored
	remove []*Record // by id and version: they need not open
	events []Event
	err    error
	again  bool // what was read is of different moments: nothing is written or told
}

// drop adds a record to what is deleted, once.
func (out *outcome) drop(r stored) {
	if rec := r.columns(); !slices.Contains(out.remove, rec) {
		out.remove = append(out.remove, rec)
	}
}

// dropRows adds rows to what is deleted, as many as one Save takes beside the rest. It
// reports whether some are left.
func (out *outcome) dropRows(rows []*Record) (left bool) {
	rows = without(rows, out.remove) // one that somebody made look like another kind
	n := min(maxSave-len(out.save)-len(out.remove), len(rows))
	out.remove = append(out.remove, rows[:n]...)
	return n < len(rows)
}

// put adds a record to what is saved, once.
func (out *outcome) put(r stored) {
	if !slices.Contains(out.save, r) {
		out.save = append(out.save, r)
	}
}

// commit writes an outcome, all of it or nothing. It is the only place that
// writes, and a caller who hangs up does not reach it.
func (s *Service) commit(ctx context.Context, timeout time.Duration, out outcome) error {
	if len(out.save)+len(out.remove) == 0 {
		return nil
	}
	changes := make([]Change, 0, len(out.save)+len(out.remove))
	for _, r := range out.save {
		changes = append(changes, s.keys.encode(r))
	}
	for _, rec := range out.remove {
		changes = append(changes, Change{Record: Record{ID: rec.ID, Version: rec.Version}, Delete: true})
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	if err := s.store.Save(ctx, changes...); err != nil {
		return fmt.Errorf("mfa: saving %s: %w", changes[0].Record.ID, err)
	}
	return nil
}

// pause lets the winner of a race go on. It is random, and longer after each
// lost race, so that the same calls do not meet again.
func pause(ctx context.Context, lost int) error {
	if lost == 0 {
		return nil
	}
	longest := big.NewInt(int64(racePause) << (lost - 1))
	d, err := rand.Int(rand.Reader, longest)
	if err != nil {
		return fmt.Errorf("mfa: pausing after a lost race: %w", err)
	}
	if !wait(ctx, time.Duration(d.Int64())) {
		return fmt.Errorf("mfa: pausing after a lost race: %w", ctx.Err())
	}
	return nil
}

// load reads records by id.
func (s *Service) load(ctx context.Context, ids ...string) (loaded, error) {
	records, err := s.store.Load(ctx, ids...)
	if err != nil {
		return nil, fmt.Errorf("mfa: loading %s: %w", ids[0], err)
	}
	return records, nil
}

// rowsOf reads the rows of a kind that the store lists for a user, and those with other
// ids, which the user's record lists. They need not open, and what is of somebody else by
// its column is left out.
func (s *Service) rowsOf(
	ctx context.Context, kind, userID string, ids []string,
) ([]*Record, error) {
	var rows []*Record
	missing := slices.Clone(ids)
	// For one read more, a store that gives short pages hides nothing.
	for rec, err := range s.list(ctx, Query{Kind: kind, UserID: userID, Limit: 100}, emptyIsLast) {
		if err != nil {
			return nil, err
		}
		if rec.UserID == userID {
			rows = append(rows, &rec)
			missing = slices.DeleteFunc(missing, func(id string) bool { return id == rec.ID })
		}
	}
	if len(missing) == 0 {
		return rows, nil
	}
	records, err := s.load(ctx, missing...)
	if err != nil {
		return nil, err
	}
	for _, id := range missing {
		if rec, ok := records.find(id); ok {
			rows = append(rows, &rec)
		}
	}
	return rows, nil
}

// without are the rows whose ids none of others has.
func without(rows, others []*Record) []*Record {
	return slices.DeleteFunc(slices.Clone(rows), func(rec *Record) bool {
		return slices.ContainsFunc(others, func(o *Record) bool { return o.ID == rec.ID })
	})
}

func unlisted(rows []*Record, listed []string) []*Record {
	return slices.DeleteFunc(slices.Clone(rows), func(rec *Record) bool {
		return slices.Contains(listed, rec.ID)
	})
}

// A request is what is remembered of a call that had an idempotency key: enough to
// know the same call again, under the key alone.
type request struct {
	key   []byte    // a MAC of nothing but the key
	asked []byte    // a MAC of what was asked for
	at    time.Time // when it was answered

	challengeID string // that Challenge answered with
	firstUse    bool   // that Verify answered with
}

// newRequest is of a call about some texts. Without a key it is nil. Both MACs have the
// key as theirs, so that a code cannot be tried out on them.
func newRequest(key string, asked ...string) *request {
	if key == "" {
		return nil
	}
	mac := func(what string, texts ...string) []byte {
		h := hmac.New(sha256.New, keyOf(key))
		for _, text := range append([]string{what}, texts...) {
			h.Write(binary.AppendUvarint(nil, uint64(len(text))))
			h.Write([]byte(text))
		}
		return h.Sum(nil)[:16]
	}
	return &request{key: mac("key"), asked: mac("asked", asked...)}
}

// checkIdempotencyKey refuses what no client sends.
func checkIdempotencyKey(key string) error {
	if len(key) > maxIdempotencyKey {
		return errParameter("The idempotency key must have at most %d bytes.", maxIdempotencyKey)
	}
	return nil
}

// sameKey reports whether an earlier request had this one's key, at most so long ago.
func (r *request) sameKey(earlier request, now time.Time, within time.Duration) bool {
	return r != nil && len(earlier.key) > 0 && hmac.Equal(r.key, earlier.key) &&
		now.Sub(earlier.at).Abs() <= within
}

// sameAsked reports whether an earlier request asked for the same.
func (r *request) sameAsked(earlier request) bool { return hmac.Equal(r.asked, earlier.asked) }

// requested returns the factor's request with this one's key.
func (f *factor) requested(r *request, now time.Time) (request, bool) {
	for _, earlier := range f.requests {
		if r.sameKey(earlier, now, keepRequest) {
			return earlier, true
		}
	}
	return request{}, false
}

// keepsKeys reports whether the factor remembers the keys of its challenges. Where no message
// is sent, a challenge is found by an id that is made of its key, so that those who make
// challenges do not write the factor: its owner's logins would lose races to them.
func (f *factor) keepsKeys() bool { return f.traits.messages }

// keyOf makes a key of a text of any length: FIPS 140-3 asks for 112 bits.
func keyOf(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return sum[:]
}

// challengeIDs are those that this request's challenge can have, by a clock of the same
// day, which is the first, and of the days before and after. The time in each is the
// beginning of its day.
func (r *request) challengeIDs(factorID string, now time.Time) []string {
	if r == nil {
		return nil
	}
	var ids []string
	for _, days := range [...]time.Duration{0, -1, 1} {
		day := ulid.Timestamp(now.Add(days * keepRequest).Truncate(keepRequest))
		h := hmac.New(sha256.New, r.key)
		h.Write([]byte(factorID))
		h.Write(binary.BigEndian.AppendUint64(nil, day))
		var id ulid.ULID
		// Both fail on what cannot be: a day after 10889, and a part of another length.
		if id.SetTime(day) == nil && id.SetEntropy(h.Sum(nil)[:10]) == nil {
			ids = append(ids, challengePrefix+id.String())
		}
	}
	return ids
}

// remember keeps a request, in the place of an earlier one with its key, and of
// the oldest where there are too many.
func (f *factor) remember(r *request, now time.Time, challengeID string) {
	var kept []request
	for _, earlier := range f.requests {
		if !hmac.Equal(r.key, earlier.key) && now.Sub(earlier.at) <= keepRequest {
			kept = append(kept, earlier)
		}
	}
	r.at, r.challengeID = now, challengeID
	kept = append(kept, *r)
	f.requests = kept[max(0, len(kept)-maxRequests):]
}

// answered keeps this request and no other: a repeated call is told what came
// of the last one.
func (ch *challenge) answered(r *request, now time.Time) {
	ch.request = request{}
	ch.codesSeed, ch.codesSet = nil, ""
	if r != nil {
		ch.request = *r
		ch.request.at = now
	}
}

func (r *request) fields(c *codec.Codec) {
	c.Bytes(&r.key)
	c.Bytes(&r.asked)
	c.Time(&r.at)
	c.String(&r.challengeID)
	c.Bool(&r.firstUse)
}

// loadEarlier sets the earlier challenge by the keys that the factor keeps. One
// that was deleted or cancelled leaves its key free.
func (s *Service) loadEarlier(ctx context.Context, d *challenging) error {
	asked, again := d.factor.requested(d.request, d.now)
	if !again {
		return nil
	}
	records, err := s.load(ctx, asked.challengeID)
	if err != nil {
		return err
	}
	rec, ok := records.find(asked.challengeID)
	if !ok {
		return nil
	}
	earlier := new(challenge)
	if err := s.keys.decode(rec, kindChallenge, earlier); err != nil {
		return err
	}
	if earlier.Status != statusVoid {
		d.earlier, d.asked = earlier, asked
	}
	return nil
}

// openEarlier sets the earlier challenge to one that its idempotency key gave its id, of
// at most a day ago.
func (s *Service) openEarlier(records loaded, d *challenging, ids []string) error {
	for _, id := range ids {
		rec, ok := records.find(id)
		if !ok {
			continue
		}
		earlier := new(challenge)
		if err := s.keys.decode(rec, kindChallenge, earlier); err != nil {
			return err
		}
		if d.now.Sub(earlier.CreatedAt).Abs() <= keepRequest {
			d.earlier, d.asked = earlier, request{asked: earlier.asked}
		}
	}
	return nil
}

// again is the answer of before.
func (s *Service) again(d *verifying) (told Verification, out outcome) {
	ch, f := d.challenge, d.factor
	told = Verification{
		Challenge: ch.public(), Valid: true, Factor: f.public(), FirstUse: ch.request.firstUse,
		receipt: s.receipt(ch, f),
	}
	if d.hasRecoveryCodes() {
		var err error
		if told.RecoveryCodes, err = d.recoveryCodesAgain(); err != nil {
			return Verification{}, outcome{err: err}
		}
	}
	return told, outcome{}
}

// answeredBefore reports whether this same request was answered with success.
func (d *verifying) answeredBefore() bool {
	return d.challenge.Status == statusDone && d.challenge.action == d.in.Action &&
		!d.factor.lapsed(d.now) && d.repeated && d.request.sameAsked(d.challenge.request)
}
