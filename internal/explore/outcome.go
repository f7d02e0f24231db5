package explore

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/authfactor/mfa"
)

// text is an error as it is compared. Which call failed, of the store or the sender, is left out.
func text(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, errLost):
		return "the store or the sender failed"
	}
	if e, ok := errors.AsType[*mfa.Error](err); ok {
		return fmt.Sprint(e, e.AttemptsLeft, e.Reason)
	}
	return err.Error()
}

// outcome is what an operation came to for its caller, with its events.
func (c *caller) outcome() string {
	if c.dead {
		return "died"
	}
	var out strings.Builder
	if out.WriteString(text(c.err)); c.err == nil {
		out.WriteString(c.told)
	}
	for _, e := range c.events {
		fmt.Fprint(&out, " ", e.Kind, " ", e.Failures, " ", e.RetryAfter, " ", e.FactorID)
	}
	return out.String()
}

// An outcome is what a run came to: what each caller was told, and each record that is not as
// it was.
type outcome struct {
	told  []string
	state map[string]string
}

// outcome reads the records that the run wrote.
func (r *run) outcome() outcome {
	w := r.world
	out := outcome{state: map[string]string{}}
	for _, c := range r.callers {
		out.told = append(out.told, c.outcome())
	}
	if len(r.touched) == 0 {
		return out
	}
	found, err := r.store.Load(context.Background(), r.touched...)
	check(err)
	users := map[string]string{} // plain texts of the users' records
	for _, id := range r.touched {
		if w.lapsed[id] {
			continue // whoever inserts a record may delete it
		}
		i := slices.IndexFunc(found, func(rec mfa.Record) bool { return rec.ID == id })
		is := ""
		if i >= 0 {
			is = w.open(found[i])
		}
		if strings.HasPrefix(id, "auth_user_") {
			users[id] = is
		}
		if is != w.plain[id] {
			out.state[id] = is
		}
	}
	// A device counts as long as its user's record lists it. The row of another does nothing, and
	// may be there or not.
	for id, of := range w.devices {
		user, changed := users[of]
		if !changed {
			user = w.plain[of]
		}
		if !strings.Contains(user, id) {
			delete(out.state, id)
		}
	}
	return out
}

// key is the outcome as one text, to be compared.
func (o outcome) key() string {
	var text strings.Builder
	for _, t := range o.told {
		text.WriteString(t + "\x00")
	}
	ids := make([]string, 0, len(o.state))
	for id := range o.state {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		text.WriteString(id + "\x00" + o.state[id] + "\x00")
	}
	return text.String()
}

// keyID is how a key is named in front of what it encrypted.
func keyID(key string) []byte {
	sum := sha256.Sum256([]byte(key))
	return sum[:8]
}

// associated is what binds a State to its record, at a version.
func associated(rec mfa.Record, version int64, keyID []byte) []byte {
	var ad []byte
	for _, column := range [...]string{rec.Kind, rec.ID, rec.Parent, rec.UserID} {
		ad = binary.AppendUvarint(ad, uint64(len(column)))
		ad = append(ad, column...)
	}
	return append(binary.AppendVarint(ad, version), keyID...)
}

const keyIDSize = 8 // of what a State begins with

// open decrypts what a record holds, so that two states can be compared. What it means is the
// service's to know. What does not open is said to be so.
func (w *world) open(rec mfa.Record) string {
	if len(rec.State) < keyIDSize {
		return "unreadable"
	}
	id, rest := rec.State[:keyIDSize], rec.State[keyIDSize:]
	aead := w.aeads[string(id)]
	if aead == nil {
		return "unreadable"
	}
	plain, err := aead.Open(nil, rest, associated(rec, rec.Version, id))
	if err != nil {
		return "unreadable"
	}
	return rec.Parent + " " + string(plain)
}

// basedOn is a record that a Save writes at a version, whatever its own was.
func (w *world) basedOn(rec mfa.Record, version int64) mfa.Record {
	plain := w.open(rec)[len(rec.Parent)+1:]
	id := rec.State[:keyIDSize]
	rec.State = w.aeads[string(id)].Seal(
		slices.Clone(id), []byte(plain), associated(rec, version+1, id),
	)
	rec.Version = version
	return rec
}
