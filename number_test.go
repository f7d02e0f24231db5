package mfa_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/mfatest"
)

// The tests of this file show what stops messages to numbers that nobody confirms.

// numberOf is a number of a block, which its last four digits are left to.
func numberOf(block, i int) string { return fmt.Sprintf("+1500%03d%04d", block, i) }

// stranger enrolls a number for somebody new, and has a message sent there.
func (r *rig) stranger(number string) (enrolled, mfa.Challenge, error) {
	r.T.Helper()
	user := fmt.Sprintf("user_%s_%d", number, len(r.SMS.Messages()))
	f := r.EnrollSMS(user, number)
	ch, err := r.Challenge(
		r.T.Context(),
		mfa.ChallengeParams{FactorID: f.ID, UserID: user, Confirm: true},
	)
	return f, ch, err
}

// fill sends messages to so many numbers of a block, from one on.
func (r *rig) fill(block, from, n int) {
	r.T.Helper()
	for i := range n {
		if _, _, err := r.stranger(numberOf(block, from+i)); err != nil {
			r.T.Fatalf("message %d: %v", i+1, err)
		}
		r.Clock.Advance(time.Second) // of calls at once one in four counts for a region
	}
}

// confirm answers a challenge with its code.
func (r *rig) confirm(f enrolled, ch mfa.Challenge) {
	r.T.Helper()
	if _, err := r.Answer(ch, f, r.Right(f)); err != nil {
		r.T.Fatal(err)
	}
}

// pumping are the buckets that events told of, and whether a message was refused.
func (r *rig) pumping() (told []string) {
	for _, e := range r.Took() {
		if e.Kind == mfa.EventPumping {
			what, _, _ := strings.Cut(e.Bucket, "_")
			if what == "region" {
				what = e.Bucket
			}
			if e.RetryAfter > 0 {
				what += " refused"
			}
			told = append(told, what)
		}
	}
	return told
}

func wantTold(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: events told %q, want %q", what, got, want)
	}
}

// TestPumpingBlock: a block is sent 50 messages at once that nobody confirms, and 50 more
// within a day. Other blocks are not its business.
func TestPumpingBlock(t *testing.T) {
	r := newRig(t)
	r.fill(555, 0, 50)
	wantTold(t, "the last that fits in", r.pumping(), "block")
	sent, records := len(r.SMS.Messages()), len(r.Records())
	f := r.EnrollSMS(ann, numberOf(555, 50))
	r.Took()
	_, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: ann})
	mustBe(t, err, mfa.ErrPumping)
	mustBe(t, err, mfa.ErrThrottled)
	wait := refusal(t, err).RetryAfter
	if wait < 28*time.Minute || wait > 30*time.Minute ||
		!r.Clock.Now().Add(wait).Equal(r.Clock.Now().Add(wait).Truncate(time.Minute)) {
		t.Errorf("a wait of %v: one message drains in 28.8 minutes, and a minute ends it", wait)
	}
	if refusal(t, err).Reason != mfa.ReasonMessages {
		t.Errorf("the reason is %q", refusal(t, err).Reason)
	}
	wantTold(t, "the first that does not", r.pumping(), "block refused")
	if len(r.SMS.Messages()) != sent || len(r.Records()) != records+2 { // her factor, and she
		t.Error("something was sent or stored")
	}
	r.fill(556, 0, 1)

	begin, more := r.Clock.Now(), 0
	for i := 100; r.Clock.Now().Before(begin.Add(24 * time.Hour)); i++ {
		if _, _, err := r.stranger(numberOf(555, i)); err == nil {
			more++
		}
		r.Clock.Advance(10 * time.Minute)
	}
	if more < 45 || more > 50 {
		t.Errorf("%d more within a day, want nearly 50 and not one more", more)
	}
}

// TestPumpingConfirmed: a number that was confirmed once is sent messages whatever others of
// its block do, also if it is enrolled anew; and it fills nothing.
func TestPumpingConfirmed(t *testing.T) {
	r := newRig(t)
	f, ch, err := r.stranger(numberOf(555, 0))
	if err != nil {
		t.Fatal(err)
	}
	r.confirm(f, ch)
	r.fill(555, 1, 49)
	r.Clock.Advance(6 * time.Minute)
	r.Ask(f)
	r.Clock.Advance(2 * time.Hour)
	r.fill(555, 50, 5) // four drained, one had room; nothing is kept for later of who confirms
	_, _, err = r.stranger(numberOf(555, 60))
	mustBe(t, err, mfa.ErrPumping)
	if _, _, err := r.stranger(numberOf(555, 0)); err != nil {
		t.Errorf("enrolled anew: %v", err)
	}
	r.Clock.Advance(400 * 24 * time.Hour)
	if _, err := r.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.fill(555, 100, 50)
	if _, _, err := r.stranger(numberOf(555, 0)); err != nil {
		t.Errorf("enrolled anew after a year: %v", err)
	}
}

// TestPumpingIsPurged: the buckets stay until a day after they are empty, and no longer.
func TestPumpingIsPurged(t *testing.T) {
	r := newRig(t)
	r.fill(555, 0, 50) // which drain in a day
	for _, c := range []struct {
		wait time.Duration
		stay bool
	}{{47 * time.Hour, true}, {90 * 24 * time.Hour, false}} {
		r.Clock.Advance(c.wait)
		if _, err := r.Purge(t.Context()); err != nil {
			t.Fatal(err)
		}
		left, err := r.Store.List(t.Context(), mfa.Query{Kind: "bucket", Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		if stay := len(left) > 0; stay != c.stay {
			t.Errorf("after %v more %d buckets are left", c.wait, len(left))
		}
	}
}

// TestPumpingPaidBack: who confirms a number takes its messages out of the bucket, and one
// more; once for ever.
func TestPumpingPaidBack(t *testing.T) {
	r := newRig(t)
	f, _, err := r.stranger(numberOf(555, 0))
	if err != nil {
		t.Fatal(err)
	}
	r.fill(555, 1, 47)
	r.Clock.Advance(time.Minute)
	ch, err := r.Challenge(
		t.Context(),
		mfa.ChallengeParams{FactorID: f.ID, UserID: f.UserID, Confirm: true},
	)
	if err != nil {
		t.Fatal(err)
	}
	full := func(from, room int) {
		t.Helper()
		r.fill(555, from, room)
		_, _, err := r.stranger(numberOf(555, from+room))
		mustBe(t, err, mfa.ErrPumping)
	}
	full(100, 1)
	r.confirm(f, ch)
	full(200, 3)

	if err := r.Unenroll(
		t.Context(),
		mfa.UnenrollParams{FactorID: f.ID, UserID: f.UserID},
	); err != nil {
		t.Fatal(err)
	}
	r.Clock.Advance(time.Minute)
	again, ch, err := r.stranger(numberOf(555, 0))
	if err != nil {
		t.Fatal(err)
	}
	r.confirm(again, ch)
	full(300, 0)
}

// TestPumpingNotSavedUp: messages that have drained are not taken out by who confirms late.
func TestPumpingNotSavedUp(t *testing.T) {
	r := newRig(t)
	f, _, err := r.stranger(numberOf(555, 0))
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		r.Clock.Advance(25 * time.Hour) // the factor lapses
		if f, _, err = r.stranger(numberOf(555, 0)); err != nil {
			t.Fatal(err)
		}
	}
	r.fill(555, 1, 49)
	ch := r.AskPatiently(f)
	r.confirm(f, ch)
	more := 0
	for i := 100; ; i++ {
		if _, _, err := r.stranger(numberOf(555, i)); err != nil {
			break
		}
		more++
	}
	if more < 3 || more > 4 { // two of today, one more, and what drained meanwhile
		t.Errorf("%d more", more)
	}
}

// TestPumpingRegion: all blocks of a region together are told of once they are full, and refused
// with PumpingRegions only. Who confirms takes their messages out, and two more.
func TestPumpingRegion(t *testing.T) {
	for _, refuses := range []bool{false, true} {
		r := newRig(t, func(c *mfa.Config) {
			c.Policy.PumpingRegion, c.Policy.PumpingRegions = 40, refuses
			c.Regions = append(c.Regions, "GB")
		})
		f, _, err := r.stranger(numberOf(500, 0))
		if err != nil {
			t.Fatal(err)
		}
		r.Clock.Advance(time.Minute)
		ch := r.Ask(f)
		r.Clock.Advance(time.Second)
		for i := range 38 { // beside her two
			wantTold(t, "while there is room", r.pumping())
			r.fill(501+i, 0, 1)
		}
		wantTold(t, "full", r.pumping(), "region_US")
		_, _, err = r.stranger(numberOf(600, 0))
		if told := r.pumping(); refuses {
			mustBe(t, err, mfa.ErrPumping)
			wantTold(t, "more", told, "region_US refused")
		} else if err != nil || told != nil {
			t.Errorf("more: %v, %q", err, told)
		}
		if !refuses {
			continue
		}
		if _, _, err := r.stranger("+447400123456"); err != nil {
			t.Errorf("to another region: %v", err)
		}
		r.confirm(f, ch) // her two and two more
		r.Clock.Advance(time.Second)
		r.fill(601, 0, 4)
		_, _, err = r.stranger(numberOf(602, 0))
		mustBe(t, err, mfa.ErrPumping)
	}
}

// TestPumpingFindsTheMessage: who confirms takes the message out of the record of the region in
// which it was counted, one of four at random. Eight regions show it: one may by chance.
func TestPumpingFindsTheMessage(t *testing.T) {
	for range 8 {
		r := newRig(t, func(c *mfa.Config) {
			c.Policy.PumpingRegion, c.Policy.PumpingRegions = 4, true
		})
		f, ch, err := r.stranger(numberOf(555, 0))
		if err != nil {
			t.Fatal(err)
		}
		r.Clock.Advance(time.Second)
		r.confirm(f, ch)
		r.Clock.Advance(time.Second)
		r.fill(556, 0, 4)
		_, _, err = r.stranger(numberOf(557, 0))
		mustBe(t, err, mfa.ErrPumping)
	}
}

// TestPumpingBusy: of calls at once one in four counts for the region, for four; who confirms
// takes out what was counted for them.
func TestPumpingBusy(t *testing.T) {
	const size = 400
	r := newRig(t, func(c *mfa.Config) {
		c.Policy.PumpingRegion, c.Policy.PumpingRegions = size, true
	})
	sent := 0
	var confirms []func()
	for i := 0; ; i++ {
		f, ch, err := r.stranger(numberOf(300+i/3, i))
		if err != nil {
			mustBe(t, err, mfa.ErrPumping)
			break
		}
		sent++
		if len(confirms) < 100 {
			confirms = append(confirms, func() { r.confirm(f, ch) })
		}
	}
	writes := 0
	for _, rec := range r.Records() {
		if rec.Kind == "bucket" && rec.Version > 3 { // no block has more
			writes += int(rec.Version)
		}
	}
	if sent < 250 || sent > 550 || writes < 98 || writes > 104 {
		t.Errorf("%d messages until the region was full, in %d writes", sent, writes)
	}
	for _, confirm := range confirms { // at once as well
		confirm()
	}
	more := 0
	for i := 0; ; i++ {
		r.Clock.Advance(time.Second)
		if _, _, err := r.stranger(numberOf(500+i/3, i)); err != nil {
			break
		}
		more++
	}
	if more < 180 || more > 420 { // three for each of the 100, on average
		t.Errorf("%d more after 100 confirmed", more)
	}
}

// TestPumpingBusyLarge: of a larger region at most one in 64 writes.
func TestPumpingBusyLarge(t *testing.T) {
	r := newRig(t, func(c *mfa.Config) {
		c.Policy.PumpingRegion, c.Policy.PumpingRegions = 100_000, true
	})
	for i := range 2000 {
		if _, _, err := r.stranger(numberOf(200+i/3, i)); err != nil {
			t.Fatal(err)
		}
	}
	writes := 0
	for _, rec := range r.Records() {
		if rec.Kind == "bucket" && rec.Version > 3 { // no block has more
			writes += int(rec.Version)
		}
	}
	if writes < 10 || writes > 70 { // 31 on average, and one more for each of four records
		t.Errorf("2,000 messages in %d writes", writes)
	}
}

// TestPumpingSizes: any size is stored and read again.
func TestPumpingSizes(t *testing.T) {
	for _, size := range []int{1, 3, 7, 999, 1000} {
		r := newRig(t, func(c *mfa.Config) {
			c.Policy.PumpingBlock, c.Policy.PumpingRegion = size, 97*size
		})
		r.fill(555, 0, 1)
		r.Clock.Advance(time.Minute)
		if _, _, err := r.stranger(numberOf(555, 1)); (err != nil) != (size == 1) {
			t.Errorf("the second of %d: %v", size, err)
		}
	}
	for _, p := range []mfa.Policy{
		{PumpingBlock: -1}, {PumpingBlock: 1001}, {PumpingRegion: -1}, {PumpingRegion: 100_001},
	} {
		_, err := mfa.New(mfa.Config{Policy: p})
		mustBe(t, err, mfa.ErrConfig)
	}
}

// TestPumpingObserve: nothing is refused, and what would have been is told.
func TestPumpingObserve(t *testing.T) {
	r := newRig(t, func(c *mfa.Config) {
		c.Policy.PumpingBlock, c.Policy.PumpingRegions = 3, true
		c.Policy.PumpingObserve = true
	})
	r.fill(555, 0, 2)
	wantTold(t, "while there is room", r.pumping())
	r.fill(555, 2, 1)
	wantTold(t, "full", r.pumping(), "block")
	r.fill(555, 3, 2)
	wantTold(t, "more", r.pumping(), "block", "block")
}

// TestPumpingIsToldOnce: of one message to a region that is full, and was told of an hour ago,
// there is one event.
func TestPumpingIsToldOnce(t *testing.T) {
	r := newRig(t, func(c *mfa.Config) {
		c.Policy.PumpingRegion, c.Policy.PumpingRegions = 12, true // one drains in two hours
		c.Policy.PumpingObserve = true
	})
	r.fill(555, 0, 20)
	r.Clock.Advance(time.Hour)
	r.Took()
	r.fill(555, 20, 1)
	wantTold(t, "an hour later", r.pumping(), "region_US")
}

// TestClearPumping: an operator empties a bucket that an event names, or that a number is of.
func TestClearPumping(t *testing.T) {
	r := newRig(t, func(c *mfa.Config) {
		c.Policy.PumpingBlock, c.Policy.PumpingRegion, c.Policy.PumpingRegions = 2, 4, true
	})
	named := func() (bucket string) {
		for _, e := range r.Took() {
			if e.Kind == mfa.EventPumping {
				bucket = e.Bucket
			}
		}
		return bucket
	}
	closed := func(number string) string {
		t.Helper()
		r.Took()
		_, _, err := r.stranger(number)
		mustBe(t, err, mfa.ErrPumping)
		return named()
	}
	clear := func(bucket string) {
		t.Helper()
		if err := r.ClearPumping(t.Context(), bucket); err != nil {
			t.Fatal(err)
		}
	}
	r.fill(555, 0, 2)
	clear(closed(numberOf(555, 2)))
	r.Clock.Advance(time.Second)
	r.fill(555, 3, 1)
	r.fill(556, 0, 1)
	if bucket := closed(numberOf(557, 0)); bucket != "region_US" {
		t.Fatalf("closed is %q", bucket)
	}
	clear("region_US")
	r.Clock.Advance(time.Second)
	r.fill(555, 4, 1)
	closed(numberOf(555, 5))
	clear("+1 500 555 7777")
	r.fill(555, 6, 1)

	before := r.Versions()
	for _, bucket := range []string{
		"", "region_", "block_", "region", "US", "region_us", "region_U S", "other_US",
		"region_UK", "block_US",
		"auth_user_1",
		"block_" + strings.Repeat("A", 40),
	} {
		mustBe(t, r.ClearPumping(t.Context(), bucket), mfa.ErrInvalidParameter)
	}
	mustBe(t, r.ClearPumping(t.Context(), "+1 500"), mfa.ErrInvalidPhoneNumber)
	mustBe(t, r.ClearPumping(t.Context(), "+447400123456"), mfa.ErrPhoneNumberNotAllowed)
	if after := r.Versions(); len(after) != len(before) {
		t.Error("something was stored for what is no bucket")
	}
}

// TestPumpingSurvivesKeys: a change of keys empties no bucket, also while processes of both
// states of the keyring run.
func TestPumpingSurvivesKeys(t *testing.T) {
	one, two := mfa.NewKey(), mfa.NewKey()
	r := newRig(t, func(c *mfa.Config) { c.Policy.PumpingBlock, c.Policy.PumpingRegion = 6, 1000 })
	next := 0
	sends := func(want error, keys ...string) {
		t.Helper()
		r.with(keys...)
		next++
		r.Clock.Advance(time.Millisecond)
		if _, _, err := r.stranger(numberOf(555, next)); !errors.Is(err, want) {
			t.Fatalf("message %d: %v, want %v", next, err, want)
		}
	}
	sends(nil, one)
	sends(nil, one)
	sends(nil, one, two)
	sends(nil, two, one)
	sends(nil, one, two)
	sends(nil, two, one)
	sends(mfa.ErrPumping, one, two)
	sends(mfa.ErrPumping, two, one)
	r.Clock.Advance(4 * time.Hour) // one drains
	sends(nil, two, one)
	sends(mfa.ErrPumping, two)
	three := mfa.NewKey()
	sends(mfa.ErrPumping, three, two, one)
	r.Clock.Advance(4 * time.Hour)
	sends(nil, three, two, one)
	sends(mfa.ErrPumping, three, one, two)
}

// TestClearPumpingBetweenKeys: what is cleared under two keys opens when one of them is gone.
func TestClearPumpingBetweenKeys(t *testing.T) {
	one, two := mfa.NewKey(), mfa.NewKey()
	r := newRig(t, func(c *mfa.Config) { c.Policy.PumpingRegion, c.Policy.PumpingRegions = 2, true })
	r.with(one)
	r.fill(555, 0, 2)
	r.with(one, two)
	if err := r.ClearPumping(t.Context(), "region_US"); err != nil {
		t.Fatal(err)
	}
	r.with(two, one)
	r.fill(555, 3, 1)
	r.with(two)
	r.fill(555, 4, 1)
	_, _, err := r.stranger(numberOf(555, 5))
	mustBe(t, err, mfa.ErrPumping)
}

// TestClearBlockBetweenKeys: a block is cleared that was filled under another key, or under
// both, by a number of it; and by its event's name what hides it is not lost.
func TestClearBlockBetweenKeys(t *testing.T) {
	one, two := mfa.NewKey(), mfa.NewKey()
	r := newRig(t, func(c *mfa.Config) { c.Policy.PumpingBlock = 2 })
	clear := func(bucket string) {
		t.Helper()
		if err := r.ClearPumping(t.Context(), bucket); err != nil {
			t.Fatal(err)
		}
	}
	r.with(one)
	r.fill(555, 0, 2)
	r.with(two, one)
	clear(numberOf(555, 9))
	r.fill(555, 10, 2)

	r.with(one, two)
	clear(numberOf(555, 9))
	r.fill(555, 20, 2) // under one
	r.Clock.Advance(13 * time.Hour)
	r.with(two, one)
	r.Took()
	r.fill(555, 30, 1) // under two, beside one's
	bucket := ""
	for _, e := range r.Took() {
		if e.Kind == mfa.EventPumping {
			bucket = e.Bucket
		}
	}
	clear(bucket)
	r.fill(555, 40, 2)
}

// TestPumpingIsNoMoreThanFull: a region that is told of and not refused does not fill up for
// days, and is told of once an hour.
func TestPumpingIsNoMoreThanFull(t *testing.T) {
	var refuses bool
	start := func(r *rig) {
		r.Config.Policy.PumpingRegions = refuses
		svc, err := mfa.New(r.Config)
		if err != nil {
			t.Fatal(err)
		}
		r.Service = svc
	}
	r := newRig(t, func(c *mfa.Config) { c.Policy.PumpingRegion = 12 }) // one drains in two hours
	r.fill(555, 0, 40)
	r.fill(556, 0, 40)
	wantTold(t, "eighty at once", r.pumping(), "region_US")
	r.Clock.Advance(time.Hour)
	r.fill(557, 0, 3)
	wantTold(t, "an hour later", r.pumping(), "region_US")
	for i := range 24 {
		r.Clock.Advance(time.Hour)
		r.fill(557, 3+i, 1)
	}
	refuses = true
	start(r)
	_, _, err := r.stranger(numberOf(558, 0))
	mustBe(t, err, mfa.ErrPumping)
	if wait := refusal(t, err).RetryAfter; wait > 4*time.Hour {
		t.Errorf("then it refuses for %v", wait)
	}
}

// TestPumpingOfVerified: a factor that is confirmed makes its number a confirmed one, also
// where the number's record was lost.
func TestPumpingOfVerified(t *testing.T) {
	r := newRig(t, func(c *mfa.Config) { c.Policy.PumpingBlock = 1 })
	f := r.Phone(ann, numberOf(555, 0))
	r.Drop(func(rec mfa.Record) bool { return rec.Kind == "number" || rec.Kind == "bucket" })
	r.Clock.Advance(time.Hour)
	r.Ask(f)
	r.fill(555, 1, 1)
	r.Clock.Advance(time.Hour)
	if _, _, err := r.stranger(numberOf(555, 0)); err != nil {
		t.Error(err)
	}
}

// TestPumpingAtOnce: of many at once no more get a message than have room.
func TestPumpingAtOnce(t *testing.T) {
	r := newRig(t, func(c *mfa.Config) { c.Policy.PumpingBlock = 10 })
	var factors []enrolled
	for i := range 40 {
		factors = append(factors, r.EnrollSMS(fmt.Sprint("user_", i), numberOf(555, i)))
	}
	errs := all(len(factors), func(i int) error {
		_, err := r.Challenge(
			t.Context(),
			mfa.ChallengeParams{FactorID: factors[i].ID, UserID: factors[i].UserID},
		)
		return err
	})
	sent := count(errs, nil)
	if len(r.SMS.Messages()) != sent || sent == 0 || sent > 10 ||
		sent+count(errs, mfa.ErrThrottled) != 40 {
		t.Errorf("%d sent: %v", sent, errs)
	}
}

// TestPumpingRepeated: what was sent is answered again while the bucket is full, for who asks
// with the same key.
func TestPumpingRepeated(t *testing.T) {
	r := newRig(t)
	f := r.EnrollSMS(ann, numberOf(555, 99))
	p := mfa.ChallengeParams{FactorID: f.ID, UserID: ann, IdempotencyKey: "0c4f0b2e"}
	first, err := r.Challenge(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	r.fill(555, 0, 49)
	again, err := r.Challenge(t.Context(), p)
	if err != nil || again.ID != first.ID {
		t.Errorf("%v, %v", again.ID, err)
	}
}

// TestTakenBy: events say which provider took a message, and with its id those of the answer do
// too.
func TestTakenBy(t *testing.T) {
	for id, want := range map[string]string{"SM12 3\n": "SM123", "": ""} {
		code := ""
		r := newRig(t, func(c *mfa.Config) {
			c.SMS = senderFunc(func(_ context.Context, m mfa.Message) error {
				code = regexp.MustCompile(`[0-9]{6}`).FindString(m.Body)
				m.TakenBy("other", "1")
				m.TakenBy("twi\x00lio", id)
				return nil
			})
		})
		f := r.EnrollSMS(ann, phone)
		ch := r.Ask(f)
		message := ""
		for _, e := range r.Took() {
			if e.Kind == mfa.EventMessageSent {
				message = e.MessageID
				if e.Sender != "twilio" || e.SenderID != want {
					t.Errorf("sent: %+v", e)
				}
			}
		}
		_, err := r.Verify(t.Context(), mfa.VerifyParams{
			ChallengeID: ch.ID, UserID: ann, Code: code,
		})
		if err != nil {
			t.Fatal(err)
		}
		by, answered := map[bool]string{true: "twilio"}[want != ""], 0
		for _, e := range r.Took() {
			answered++
			if e.Sender != by || e.SenderID != want || e.MessageID != message {
				t.Errorf("answered: %+v", e)
			}
		}
		if answered != 2 { // verified, and for the first time
			t.Errorf("%d events of the answer", answered)
		}
	}
	mfa.Message{}.TakenBy("nobody", "asks") // of a message that a test made
}

// TestTakenByIsNotNeeded: a store that fails after the message was sent keeps nobody out.
func TestTakenByIsNotNeeded(t *testing.T) {
	r := newRig(t)
	sms := r.SMS
	r = newRig(t, func(c *mfa.Config) {
		c.SMS = senderFunc(func(ctx context.Context, m mfa.Message) error {
			m.TakenBy("twilio", "SM1")
			return sms.Send(ctx, m)
		})
	})
	f := r.EnrollSMS(ann, phone)
	saves := 0
	r.Store.Before = func(_ context.Context, c mfatest.Call) error {
		if c.Method == "Save" {
			if saves++; saves == 2 {
				return errors.New("away")
			}
		}
		return nil
	}
	ch := r.Ask(f)
	r.Store.Before = nil
	if _, err := r.Verify(t.Context(), mfa.VerifyParams{
		ChallengeID: ch.ID, UserID: ann, Code: sms.Code(phone),
	}); err != nil || saves != 2 {
		t.Errorf("after %d saves: %v", saves, err)
	}
}

// senderFunc is a sender.
type senderFunc func(context.Context, mfa.Message) error

func (f senderFunc) Send(ctx context.Context, m mfa.Message) error { return f(ctx, m) }
