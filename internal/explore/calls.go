package explore

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/authfactor/mfa"
)

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

// ask stops the caller whose turn it is before a call, until the scheduler has decided. A caller
// that died does nothing more: what its deferred functions ask for does not happen either.
func (r *run) ask(k *call) {
	c := r.turn
	if c.dead || !c.on.yield(k) || k.fault == diedBefore {
		c.dead = true
		panic(errDied)
	}
	// What is drawn after a call depends on the caller alone, and not on how often it had to
	// read again: so the ids are the same in every schedule.
	c.draws.n = 0
}

// answer is how a call ends that happened: with its own error, the fault's, or not at all.
func (r *run) answer(k *call, err error) error {
	switch {
	case err == nil:
		k.result = "ok"
	case errors.Is(err, mfa.ErrConflict):
		k.result = "conflict"
	default:
		k.result = err.Error()
	}
	switch k.fault {
	case diedAfter:
		r.turn.dead = true
		panic(errDied)
	case failedAfter:
		return errLost
	default:
		return err
	}
}

// Load implements [mfa.Store].
func (w *world) Load(ctx context.Context, ids ...string) ([]mfa.Record, error) {
	r := w.run
	if r.turn == nil {
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
	if r.turn == nil {
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
	if r.turn == nil {
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
		r.turn.writes++
	}
	return r.answer(k, err)
}

// saves notes what a change read and wrote.
func (w *world) saves(k *call, c mfa.Change, applied bool) {
	id := c.Record.ID
	w.reads(k, id)
	if c.Record.Version == 0 {
		w.lists[id] = [2]string{c.Record.Kind, c.Record.UserID}
		if c.Record.Kind == "device" {
			w.devices[id] = c.Record.Parent
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
	if r.turn == nil {
		return r.store.Purge(ctx, before)
	}
	k := &call{method: "Purge", faults: writingFaults}
	r.ask(k)
	if k.fault == failedBefore {
		return 0, errLost
	}
	n, err := r.store.Purge(ctx, before)
	k.did.writes.add(w.number(lapsing))
	r.turn.writes++
	return n, r.answer(k, err)
}

// Send implements [mfa.SMSSender]. A fault before is a refusal, one after leaves open whether
// the message is on its way.
func (w *world) Send(_ context.Context, m mfa.Message) error {
	r := w.run
	if r.turn == nil {
		w.outbox[m.To] = m.Body
		return nil
	}
	k := &call{method: "Send", of: []string{m.To}, faults: writingFaults}
	r.ask(k)
	if k.fault == failedBefore {
		return errLost
	}
	r.turn.sent = append(r.turn.sent, m.To)
	if err := r.answer(k, nil); err != nil {
		return context.DeadlineExceeded
	}
	return nil
}

func (w *world) onEvent(_ context.Context, e mfa.Event) {
	switch r := w.run; {
	case r.turn != nil && !r.turn.dead:
		r.turn.events = append(r.turn.events, e)
	case r.turn == nil && w.heard != nil:
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
