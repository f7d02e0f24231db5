package mfa

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/authfactor/mfa/internal/codec"
)

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
		h := hmac.New(sha256.New, []byte(key))
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
	return r != nil && len(earlier.key) > 0 && hmac.Equal(r.key, earlier.key) && now.Sub(earlier.at).Abs() <= within
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

// answered keeps the request that is answered now, and no other: whoever asks again
// is told what came of the last one.
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
