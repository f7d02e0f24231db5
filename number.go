package mfa

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/authfactor/mfa/internal/codec"
	"github.com/authfactor/mfa/internal/limit"
)

// A number is the limits of a phone number, whoever enrolled it.
type number struct {
	Record
	sends   limit.Messages
	guesses limit.Failures // wrong codes while the factor was unverified
	shares  limit.Shares   // the sends while it was, each for a name of Keyring.numberUsers

	confirmed bool // once, by whoever: no bucket counts its messages any more

	rest []byte
}

func (n *number) columns() *Record { return &n.Record }

func (n *number) fields(c *codec.Codec) {
	messageFields(c, &n.sends)
	failureFields(c, &n.guesses)
	codec.List(c, &n.shares, maxSends, func(s *limit.Share) {
		c.Time(&s.At)
		c.String(&s.User)
	})
	c.Bool(&n.confirmed)
	c.Rest(&n.rest)
}

// numberLimits are those of a number: its messages, and wrong codes until it is
// confirmed.
type numberLimits struct {
	*number           // fresh if it was never used
	older   []*number // the same under older keys of the keyring, to be deleted when it is saved
	buckets *buckets  // that count its messages; nil: none does
}

// loadPhone reads the limits of a factor's number. A keyring with several keys
// gives a number several ids; what is found under older ones is merged.
func (s *Service) loadPhone(
	ctx context.Context, f *factor, region string,
) (*numberLimits, error) {
	ids := s.keys.numberIDs(f.number())
	var b *buckets
	read := ids
	if !f.verified {
		b = s.keys.bucketsOf(f.number(), region)
		read = slices.Concat(ids, b.ids())
	}
	records, err := s.load(ctx, read...)
	if err != nil {
		return nil, err
	}
	p := &numberLimits{number: &number{Record: Record{ID: ids[0], Kind: kindNumber}}}
	for i, id := range ids {
		rec, ok := records.find(id)
		if !ok {
			continue
		}
		n := new(number)
		if err := s.keys.decode(rec, kindNumber, n); err != nil {
			return nil, err
		}
		if i == 0 {
			p.number = n
		} else {
			p.number.merge(n)
			p.older = append(p.older, n)
		}
	}
	if b == nil || p.confirmed {
		return p, nil
	}
	p.buckets = b
	return p, s.openBuckets(b, records, p.number)
}

// merge adds the counts of the same number under another key.
func (n *number) merge(old *number) {
	n.sends.Merge(old.sends, maxSends) // older ones decide nothing
	n.shares.Merge(old.shares, maxSends)
	n.guesses.Merge(old.guesses)
	n.confirmed = n.confirmed || old.confirmed
}

// touch sets the times of a number's record before it is saved.
func (n *number) touch(now time.Time) {
	if n.Version == 0 {
		n.CreatedAt = now
	}
	n.UpdatedAt = now
	n.ExpiresAt = later(now, later(n.sends.Lapse(), n.guesses.Lapse()))
	if n.confirmed { // what it took out of the buckets it takes out once
		n.ExpiresAt = time.Time{}
	}
}

// savePhone adds a number's limits to what is written.
func (out *outcome) savePhone(now time.Time, p *numberLimits) {
	p.touch(now)
	out.put(p.number)
	for _, n := range p.older {
		out.drop(n)
	}
}

// messageWait is how long no message may be sent, 0 for not at all, and whether
// it is one of the device's own allowance, beyond the quotas of number and
// user.
func (d *challenging) messageWait() (wait time.Duration, own bool) {
	wait = d.sharedWait()
	// A shorter wait comes of impatience, and needs no allowance.
	if wait > cooldown[0] && d.factor.verified &&
		d.device.takesMessage(d.now, d.quota(), d.phone.number, d.user) {
		return 0, true
	}
	return wait, false
}

// sharedWait is how long the limits of number and user allow no message.
func (d *challenging) sharedWait() time.Duration {
	return max(d.phone.sends.Wait(d.now, d.quota()), d.ownWait())
}

// ownWait is how long the user's own messages allow no other.
func (d *challenging) ownWait() (wait time.Duration) {
	if !d.factor.verified {
		wait = d.phone.shares.Wait(d.now, d.users, userShare)
	}
	if d.user != nil {
		wait = max(wait, d.user.sends.Wait(d.now, d.policy.sendQuota()))
	}
	return wait
}

// resendWait is the wait that the caller is told of. A repeated call costs nothing, so
// of an unconfirmed number it leaves out what others may have done.
func (d *challenging) resendWait() time.Duration {
	if d.earlier == nil || d.factor.verified {
		return d.sharedWait()
	}
	return max(d.ownWait(), d.earlier.CreatedAt.Add(cooldown[0]).Sub(d.now)) // since its own message
}

// quota is that of the number.
func (d *challenging) quota() limit.Sending {
	if d.factor.verified {
		return d.policy.sendQuota()
	}
	return d.policy.unverifiedSendQuota()
}

// The names of buckets, as Event.Bucket has them: that of a block goes on with the end of its
// id, and that of a region with its code.
const (
	blockBucket  = "block_"
	regionBucket = "region_"
)

// buckets are those that count the messages to a number.
type buckets struct {
	blockIDs  []string   // of the block's record, one for each key of the keyring
	shardIDs  [][]string // the same of each of the region's
	blockName string
	region    string // its name

	block  *bucket
	shards []*bucket
	any    *bucket // of the shards, at random, so that calls at once seldom meet
	lot    uint32  // of its secret id and version: which number writes for others, see share
}

func (b *buckets) ids() []string { return slices.Concat(append(b.shardIDs, b.blockIDs)...) }

// openBuckets opens what there is of a number's buckets.
func (s *Service) openBuckets(b *buckets, records loaded, n *number) (err error) {
	if b.block, err = s.openBucket(b.blockIDs, records); err != nil {
		return err
	}
	for _, ids := range b.shardIDs {
		shard, err := s.openBucket(ids, records)
		if err != nil {
			return err
		}
		b.shards = append(b.shards, shard)
	}
	var random [1]byte
	_, _ = rand.Read(random[:]) // never fails
	b.any = b.shards[random[0]%regionShards]
	// It stays after a lost race. Otherwise more would lose and draw again of those who write.
	lot := sha256.Sum256(fmt.Append(nil, n.ID, " ", n.Version))
	b.lot = binary.BigEndian.Uint32(lot[:])
	return nil
}

// openBucket opens one that has a record for each key of the keyring: of these the last that
// was written holds, and the first is written.
func (s *Service) openBucket(ids []string, records loaded) (*bucket, error) {
	first := &bucket{Record: Record{ID: ids[0], Kind: kindBucket}}
	var last time.Time
	for i, id := range ids {
		rec, ok := records.find(id)
		if !ok {
			continue
		}
		b := new(bucket)
		if err := s.keys.decode(rec, kindBucket, b); err != nil {
			return nil, err
		}
		empty, told := b.empty, b.told
		if i == 0 {
			first = b
		}
		if last.IsZero() || b.UpdatedAt.After(last) {
			last = b.UpdatedAt
			first.empty, first.told = empty, told
		}
	}
	return first, nil
}

// fullest is the shard that is empty last.
func (b *buckets) fullest() *bucket {
	return slices.MaxFunc(b.shards, func(one, other *bucket) int {
		return one.empty.Compare(other.empty)
	})
}

// share is for how many calls this one changes a shard. One that is written all the time is
// written by one call in several, for all of these: otherwise they would lose one race after
// the other.
func (b *buckets) share(now time.Time, shard *bucket, policy Policy) int {
	several := policy.busyShare()
	switch {
	case now.Sub(shard.UpdatedAt) >= busy:
		return 1
	case b.lot%uint32(several) == 0:
		return several
	}
	return 0
}

func (b *buckets) regionWait(now time.Time, p limit.Pumping) time.Duration {
	var empty []time.Time
	for _, shard := range b.shards {
		empty = append(empty, shard.empty)
	}
	return p.Wait(now, empty...)
}

// set changes a bucket, and adds it to what is written.
func (out *outcome) set(now time.Time, b *bucket, empty time.Time) {
	if b.Version == 0 {
		b.CreatedAt = now
	}
	b.empty, b.UpdatedAt, b.ExpiresAt = empty, now, later(now, empty)
	out.put(b)
}

// fullBucket is the bucket that has no room for a message, and for how long; "" for none.
func (p *numberLimits) fullBucket(now time.Time, policy Policy) (string, time.Duration) {
	b := p.buckets
	if b == nil {
		return "", 0
	}
	name, wait := "", policy.blockPumping().Wait(now, b.block.empty)
	if wait > 0 {
		name = b.blockName
	}
	if policy.PumpingRegions {
		if w := b.regionWait(now, policy.regionPumping()); w > wait {
			name, wait = b.region, w
		}
	}
	return name, wait
}

// charge counts a message to a number that was never confirmed, and gives the names of the
// buckets that are full from now on.
func (p *numberLimits) charge(now time.Time, policy Policy, out *outcome) (full []string) {
	b := p.buckets
	if b == nil {
		return nil
	}
	limits := policy.blockPumping()
	had := limits.Wait(now, b.block.empty) == 0
	out.set(now, b.block, limits.Add(now, b.block.empty, 1))
	if had && limits.Wait(now, b.block.empty) > 0 {
		full = append(full, b.blockName)
	}
	shard := b.any
	share := b.share(now, shard, policy)
	limits = policy.regionPumping()
	isFull, tells := b.regionWait(now, limits) > 0, b.tells(now)
	if share == 0 || isFull && !tells { // more than full would take days to drain
		return full
	}
	empty := shard.empty
	if !isFull {
		empty = limits.Add(now, empty, share)
	}
	out.set(now, shard, empty)
	if tells && b.regionWait(now, limits) > 0 {
		shard.told = now
		full = append(full, b.region)
	}
	return full
}

// tells reports whether a region that is full is to be told of: once an hour.
func (b *buckets) tells(now time.Time) bool {
	return !slices.ContainsFunc(b.shards, func(shard *bucket) bool {
		return now.Sub(shard.told).Abs() < time.Hour
	})
}

// confirm takes a number's messages of the last 24 hours out of its buckets, and some more,
// once for ever: whoever confirms is a person. Earlier ones have drained and are not taken out, or
// they could be saved up. Its record does not expire from now on.
func (p *numberLimits) confirm(now time.Time, policy Policy, out *outcome) {
	p.confirmed = true
	b := p.buckets
	if b == nil {
		return
	}
	own := p.shares.Count(now, userShare)
	if b.block.empty.After(now) {
		empty := policy.blockPumping().Remove(now, b.block.empty, own+blockBonus)
		out.set(now, b.block, empty)
	}
	shard := b.fullest()
	if share := b.share(now, shard, policy); share > 0 && shard.empty.After(now) {
		empty := policy.regionPumping().Remove(now, shard.empty, share*(own+regionBonus))
		out.set(now, shard, empty)
	}
}

// ClearPumping empties a bucket, for operators who know that what filled it was no attack, or
// whose records of it do not open. It takes the name that [Event.Bucket] has or, for the bucket of
// its block, a phone number with its "+". A bucket that is empty is no error. Anything
// else is [ErrInvalidParameter], or for a number [ErrInvalidPhoneNumber] or
// [ErrPhoneNumberNotAllowed]. Any other error comes from the store, or is [ErrThrottled] after
// eight lost races.
func (s *Service) ClearPumping(ctx context.Context, bucket string) error {
	ids, err := s.bucketRecords(bucket)
	if err != nil {
		return err
	}
	load := func(ctx context.Context) (clearing, error) {
		records, m, err := s.loadNow(ctx, ids...)
		return clearing{m, records}, err
	}
	_, err = transact(ctx, s, bucket, load, func(d clearing) (struct{}, outcome) {
		return struct{}{}, d.decide(s.keys, len(ids))
	})
	return err
}

// clearing are the records of a bucket that is to be emptied. They need not open.
type clearing struct {
	moment
	records loaded
}

// decide deletes all records of a bucket. Where there is one alone of them that are named, and
// the first key wrote it, it is emptied: it hides those of other keys.
func (d clearing) decide(keys *Keyring, named int) (out outcome) {
	for i := range d.records {
		rec := &d.records[i]
		if named == 1 && bytes.HasPrefix(rec.State, keys.keys()[0].id[:]) {
			b := &bucket{Record: Record{ID: rec.ID, Kind: kindBucket, Version: rec.Version}}
			b.CreatedAt = rec.CreatedAt
			out.set(d.now, b, d.now)
			continue
		}
		out.remove = append(out.remove, rec)
	}
	return out
}
