package main

import (
	"container/heap"
	"context"
	cryptorand "crypto/rand"
	"encoding/binary"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/mfatest"
)

const day = 24 * time.Hour

// A world is a service whose clock jumps from one thing that happens to the next.
type world struct {
	svc    *mfa.Service
	clock  mfatest.Clock
	begin  time.Time
	end    time.Time
	random *rand.Rand
	queue  queue
	order  int
	sent   mfa.Message // the last one
	users  int         // who have a number as id

	honest honestTally
	attack attackTally
}

// newWorld makes one that is the same for the same seed. The service takes its randomness
// from crypto/rand, whose Reader is replaced for all that runs in this process.
func newWorld(seed uint64, days int, policy mfa.Policy, regions ...string) (*world, error) {
	w := &world{random: randomOf(seed, 'w'), attack: newAttackTally()}
	cryptorand.Reader = source(seed, 'c')
	w.begin = w.clock.Now()
	w.end = w.begin.Add(time.Duration(days) * day)
	var err error
	w.svc, err = mfa.New(mfa.Config{
		Store: &mfa.MemoryStore{MaxRecords: 10_000_000}, Keys: mfatest.Keys(),
		SMS: w, Regions: regions, Now: w.clock.Now, Policy: policy,
		Logger: slog.New(slog.DiscardHandler),
	})
	return w, err
}

// randomOf gives random numbers for one purpose: the same for the same seed.
func randomOf(seed uint64, purpose byte) *rand.Rand {
	return rand.New(source(seed, purpose)) //nolint:gosec // no secret depends on them
}

// source is the source of them.
func source(seed uint64, purpose byte) *rand.ChaCha8 {
	key := [32]byte{8: purpose}
	binary.LittleEndian.PutUint64(key[:], seed)
	return rand.NewChaCha8(key)
}

// Send is the phone network: it keeps the last message.
func (w *world) Send(_ context.Context, m mfa.Message) error {
	w.sent = m
	return nil
}

// code is the one that the last message had.
func (w *world) code() string {
	body := strings.TrimSuffix(w.sent.Body, ".")
	return body[len(body)-6:]
}

// newUser is an account that was not there before.
func (w *world) newUser() string {
	w.users++
	return fmt.Sprintf("user_%d", w.users)
}

// A happening is something that is to be done at a time.
type happening struct {
	at    time.Time
	order int // that of the calls of do, where the time is the same
	do    func()
}

type queue []happening

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	if q[i].at.Equal(q[j].at) {
		return q[i].order < q[j].order
	}
	return q[i].at.Before(q[j].at)
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)   { *q = append(*q, x.(happening)) }
func (q *queue) Pop() any {
	last := len(*q) - 1
	h := (*q)[last]
	(*q)[last] = happening{}
	*q = (*q)[:last]
	return h
}

// at has something done at a time. What lies beyond the end is never done.
func (w *world) at(t time.Time, do func()) {
	if t.Before(w.end) {
		w.order++
		heap.Push(&w.queue, happening{t, w.order, do})
	}
}

// after has something done after a while.
func (w *world) after(d time.Duration, do func()) { w.at(w.clock.Now().Add(d), do) }

// every has something done now and each time that so much has passed.
func (w *world) every(d time.Duration, do func()) {
	do()
	w.after(d, func() { w.every(d, do) })
}

// run sets the scene and lets everything happen. What expired is deleted once an hour, as an
// application does.
func (w *world) run(set func()) (err error) {
	defer func() {
		if r := recover(); r != nil {
			fault, ok := r.(fault)
			if !ok {
				panic(r)
			}
			err = fault.error
		}
	}()
	set()
	w.every(time.Hour, func() {
		_, err := w.svc.Purge(context.Background())
		must(err)
	})
	for len(w.queue) > 0 {
		h := heap.Pop(&w.queue).(happening)
		w.clock.Set(h.at)
		h.do()
	}
	return nil
}

// A fault is an error that no rule of the simulation has a name for. It ends the run.
type fault struct{ error }

func must(err error) {
	if err != nil {
		panic(fault{err})
	}
}
