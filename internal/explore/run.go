package explore

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/authfactor/mfa"
)

// A run is a few operations that began at once, over a store of their own.
type run struct {
	world   *world
	store   *mfa.MemoryStore
	callers []*caller
	on      *caller // whose turn it is; nil: calls are of nobody, and go straight through

	taken   []step
	faults  int // of these
	touched []string
	broken  string // the promise that was broken at some moment; "" for none
}

// A caller is an operation that goes on from call to call.
type caller struct {
	verb  verb
	asks  *call // what it is about to do; nil: it has returned or died
	begun bool
	dead  bool

	yield  func(*call) bool
	resume func() (*call, bool)
	stop   func()
	draws  draws

	told   string // what it returned
	err    error
	panics string // "" for none
	events []mfa.Event
	writes int      // calls of it that changed something
	sent   []string // numbers that it had messages sent to

	sending bool // its message is on its way, or was
}

// A call is one of the store or the sender.
type call struct {
	method string
	of     []string // ids of records, or what is listed, for whoever reads the schedule
	faults []fault
	fault  fault // what became of it
	did    footprint
	result string
}

// errDied unwinds an operation whose process ended.
var errDied = errors.New("explore: the process ended")

// errLost is what a caller is told whose call failed.
var errLost = errors.New("connection lost")

// begin starts operations. Each stops before its first call.
func (w *world) begin(verbs []verb) *run {
	r := &run{world: w, store: w.store(verbs)}
	w.run = r
	for i, v := range verbs {
		c := &caller{verb: v, draws: draws{seed: uint64(i) + 1}}
		c.resume, c.stop = iter.Pull(func(yield func(*call) bool) {
			c.yield = yield
			defer func() {
				switch p := recover(); {
				case p == nil:
				case c.dead:
					c.told = "died"
				default:
					c.panics = fmt.Sprint(p)
				}
			}()
			c.told, c.err = v.do(w.ctx, w)
		})
		r.callers = append(r.callers, c)
		r.goOn(c)
	}
	return r
}

// goOn lets a caller run to its next call.
func (r *run) goOn(c *caller) {
	r.on = c
	c.asks, _ = c.resume()
	c.sending = c.sending || c.asks != nil && c.asks.method == "Send"
	r.on = nil
}

func (r *run) goesOn() bool {
	return slices.ContainsFunc(r.callers, func(c *caller) bool { return c.asks != nil })
}

func (r *run) verbs() []verb {
	var verbs []verb
	for _, c := range r.callers {
		verbs = append(verbs, c.verb)
	}
	return verbs
}

// steps are what can be decided, in the order in which it is tried: whoever went on last first,
// and calls that go well before those that do not.
func (r *run) steps(faults int, serial bool) []step {
	var who []int
	last := -1
	if len(r.taken) > 0 {
		last = r.taken[len(r.taken)-1].who
		if r.callers[last].asks != nil {
			who = append(who, last)
		}
	}
	// A message takes its time, and its challenge is cancelled after it if it was not taken.
	busy := serial && len(who) > 0 && !r.callers[last].sending
	for i, c := range r.callers {
		if i != last && c.asks != nil && !busy {
			who = append(who, i)
		}
	}
	var steps []step
	for _, i := range who {
		steps = append(steps, step{who: i})
	}
	if faults > 0 {
		for _, i := range who {
			for _, f := range r.callers[i].asks.faults {
				steps = append(steps, step{i, f})
			}
		}
	}
	return steps
}

// take lets one call happen, and returns what it read and wrote.
func (r *run) take(s step) footprint {
	c := r.callers[s.who]
	k := c.asks
	k.fault = s.fault
	r.taken = append(r.taken, s)
	if s.fault != noFault {
		r.faults++
	}
	written := c.writes
	r.goOn(c)
	if c.writes > written && r.broken == "" {
		r.broken = r.atThisMoment()
	}
	if r.world.trace != nil {
		r.world.trace(s.who, k)
	}
	return k.did
}

// abandon ends all operations where they are.
func (r *run) abandon() {
	for _, c := range r.callers {
		if c.asks != nil {
			r.on = c
			c.stop()
		}
	}
	r.on = nil
}

// ask stops the caller whose turn it is before a call, until the scheduler has decided. A caller
// that died does nothing more: what its deferred functions ask for does not happen either.
func (r *run) ask(k *call) {
	c := r.on
	if c.dead || !c.yield(k) || k.fault == diedBefore {
		c.dead = true
		panic(errDied)
	}
	c.begun = true
	// What is drawn after a call depends on the caller alone, and not on how often it had to
	// read again: so the ids are the same in every schedule.
	c.draws.n = 0
}

// answer is how a call ends that happened: with its own error, the fault's, or not at all.
func (r *run) answer(k *call, err error) error {
	k.result = "ok"
	switch {
	case k.fault == diedAfter:
		r.on.dead = true
		panic(errDied)
	case k.fault == failedAfter:
		return errLost
	case errors.Is(err, mfa.ErrConflict):
		k.result = "conflict"
	case err != nil:
		k.result = err.Error()
	}
	return err
}

// Load implements [mfa.Store].
func (w *world) Load(ctx context.Context, ids ...string) ([]mfa.Record, error) {
	r := w.run
	if r.on == nil {
		return r.store.Load(ctx, ids...)
	}
	k := &call{method: "Load", of: ids, faults: readingFaults}
	r.ask(k)
	if k.fault == failedBefore {
		return nil, errLost
	}
	found, err := r.store.Load(ctx, ids...)
	for _, id := range ids {
		w.reads(k, id)
	}
	for _, rec := range found {
		w.reads(k, rec.ID)
		w.reads(k, rec.Parent) // which may be missing
	}
	return found, r.answer(k, err)
}

// List implements [mfa.Store].
func (w *world) List(ctx context.Context, q mfa.Query) ([]mfa.Record, error) {
	r := w.run
	if r.on == nil {
		return r.store.List(ctx, q)
	}
	k := &call{method: "List", of: []string{q.Kind, q.UserID}, faults: readingFaults}
	r.ask(k)
	if k.fault == failedBefore {
		return nil, errLost
	}
	found, err := r.store.List(ctx, q)
	k.did.reads.add(w.number(listOf(q.Kind, q.UserID)))
	if q.UserID == "" || w.lapseListed[listOf(q.Kind, q.UserID)] {
		k.did.reads.add(w.number(lapsing))
	}
	for _, rec := range found {
		w.reads(k, rec.ID)
	}
	return found, r.answer(k, err)
}

// Save implements [mfa.Store].
func (w *world) Save(ctx context.Context, changes ...mfa.Change) error {
	r := w.run
	if r.on == nil {
		return r.store.Save(ctx, changes...)
	}
	k := &call{method: "Save", faults: writingFaults}
	for _, c := range changes {
		k.of = append(k.of, c.Record.ID)
	}
	r.ask(k)
	if k.fault == failedBefore {
		return errLost
	}
	if w.torn {
		changes = changes[:1]
	}
	err := r.store.Save(ctx, changes...)
	for _, c := range changes {
		w.saves(k, c, err == nil)
	}
	if err == nil {
		r.on.writes++
	}
	return r.answer(k, err)
}

// saves notes what a change read and wrote.
func (w *world) saves(k *call, c mfa.Change, applied bool) {
	id := c.Record.ID
	w.reads(k, id)
	if c.Record.Version == 0 {
		w.lists[id] = [2]string{c.Record.Kind, c.Record.UserID}
		if c.Record.Kind == "device" && !slices.Contains(w.devices, id) {
			w.devices = append(w.devices, id)
		}
		if len(w.lapsed) > 0 { // a MemoryStore deletes such rows when one is added
			k.did.writes.add(w.number(lapsing))
		}
	}
	if !applied {
		return
	}
	k.did.writes.add(w.number(id))
	if r := w.run; !slices.Contains(r.touched, id) {
		r.touched = append(r.touched, id)
	}
	if c.Record.Version == 0 || c.Delete {
		list := w.lists[id]
		k.did.writes.add(w.number(listOf(list[0], list[1])))
		k.did.writes.add(w.number(listOf(list[0], "")))
	}
}

// Purge implements [mfa.Store].
func (w *world) Purge(ctx context.Context, before time.Time) (int, error) {
	r := w.run
	if r.on == nil {
		return r.store.Purge(ctx, before)
	}
	k := &call{method: "Purge", faults: writingFaults}
	r.ask(k)
	if k.fault == failedBefore {
		return 0, errLost
	}
	n, err := r.store.Purge(ctx, before)
	k.did.writes.add(w.number(lapsing))
	r.on.writes++
	return n, r.answer(k, err)
}

// Send implements [mfa.SMSSender]. A fault before is a refusal, one after leaves open whether
// the message is on its way.
func (w *world) Send(_ context.Context, m mfa.Message) error {
	r := w.run
	if r.on == nil {
		w.outbox[m.To] = m.Body
		return nil
	}
	k := &call{method: "Send", of: []string{m.To}, faults: writingFaults}
	r.ask(k)
	if k.fault == failedBefore {
		return errLost
	}
	r.on.sent = append(r.on.sent, m.To)
	if err := r.answer(k, nil); err != nil {
		return context.DeadlineExceeded
	}
	return nil
}

func (w *world) onEvent(_ context.Context, e mfa.Event) {
	switch r := w.run; {
	case r.on != nil && !r.on.dead:
		r.on.events = append(r.on.events, e)
	case r.on == nil && w.heard != nil:
		w.heard(e)
	}
}

// reads notes that a call read a record.
func (w *world) reads(k *call, id string) {
	k.did.reads.add(w.number(id))
	if w.lapsed[id] {
		k.did.reads.add(w.number(lapsing))
	}
}

// lapsing stands for all records that a purge, or the next insert, deletes.
const lapsing = "what lapsed"

func listOf(kind, userID string) string { return kind + "s of " + userID }

// number is what stands for a record or a list in a footprint.
func (w *world) number(name string) int {
	n, ok := w.numbers[name]
	if !ok {
		n = len(w.numbers)
		w.numbers[name] = n
	}
	return n
}

// draws is the randomness of one caller: always the same after each call.
type draws struct{ seed, n uint64 }

// fill is SplitMix64, by Sebastiano Vigna. Nothing here is a secret.
func (d *draws) fill(p []byte) {
	for len(p) > 0 {
		d.n++
		z := d.seed<<32 + d.n*0x9e3779b97f4a7c15
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		z ^= z >> 31
		for i := 0; i < 8 && len(p) > 0; i++ {
			p[0] = byte(z >> (8 * i))
			p = p[1:]
		}
	}
}

// Read is crypto/rand.Reader while a world is explored.
func (w *world) Read(p []byte) (int, error) {
	if w.run != nil && w.run.on != nil {
		w.run.on.draws.fill(p)
	} else {
		w.draws.fill(p)
	}
	return len(p), nil
}

// listen has each call described while f runs.
func (w *world) listen(f func()) []string {
	var lines []string
	w.trace = func(who int, k *call) {
		var of []string
		for _, id := range k.of {
			of = append(of, w.called(id))
		}
		result := map[fault]string{
			noFault: k.result, failedBefore: "fails, and nothing happened",
			failedAfter: "fails, and it happened", diedBefore: "the process ends before it",
			diedAfter: "the process ends after it",
		}[k.fault]
		lines = append(lines, fmt.Sprintf("%c: %s(%s) // %s", 'A'+who, k.method, strings.Join(of, ", "), result))
	}
	defer func() { w.trace = nil }()
	f()
	return lines
}
