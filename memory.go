package mfa

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"
)

// A MemoryStore is a [Store] in memory, for tests and for applications of one
// process that can lose their factors at exit. The zero value is ready for use.
//
// It never deletes an unexpired record to make room. Each insert deletes a few
// that expired more than 24 hours before the new record's CreatedAt;
// [MemoryStore.Purge] deletes all of them.
type MemoryStore struct {
	// MaxRecords is how many records the store takes. An insert beyond it is
	// ErrStoreFull. Set it before the first use. Defaults to 1,000,000.
	MaxRecords int

	mu    sync.Mutex // held for microseconds, and so quicker than a sync.RWMutex
	rows  map[string]row
	users map[string][]string // kind and user to ids in order
	lapse []lapsing           // rows that expire, in the order they are looked at
	next  uint64              // the ticket of the next of them
}

// A row holds no pointer but its body's, so that copies are free and the garbage
// collector has little to follow. The key of a row is the id within its body.
type row struct {
	version int64
	expires int64  // ExpiresAt in milliseconds, noTime for never
	ticket  uint64 // of its place in lapse; 0 for none
	body    string // all columns but the version
}

// A lapsing row is looked at unless it has another ticket by then: each row is in
// the queue once.
type lapsing struct {
	id     string
	ticket uint64
}

var _ Store = (*MemoryStore)(nil)

// Load implements [Store].
func (m *MemoryStore) Load(ctx context.Context, ids ...string) ([]Record, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	found := make([]row, 0, 4)
	m.mu.Lock()
	for _, id := range ids {
		for id != "" {
			r, ok := m.rows[id]
			if !ok || slices.Contains(found, r) {
				break
			}
			found = append(found, r)
			id = r.parent()
		}
	}
	m.mu.Unlock()
	records := make([]Record, len(found))
	for i, r := range found {
		records[i] = r.record()
	}
	return records, nil
}

// List implements [Store]. A query with a user is quick; one without looks at
// every record.
func (m *MemoryStore) List(ctx context.Context, q Query) ([]Record, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if q.Limit < 1 {
		return nil, fmt.Errorf("mfa: Query.Limit is %d; it must be at least 1", q.Limit)
	}
	var found []row
	if q.UserID != "" {
		m.mu.Lock()
		ids := m.users[userKey(q.Kind, q.UserID)]
		first, _ := slices.BinarySearch(ids, q.After+"\x00")
		for _, id := range ids[first:][:min(len(ids)-first, q.Limit)] {
			found = append(found, m.rows[id])
		}
		m.mu.Unlock()
	} else {
		m.mu.Lock()
		for id, r := range m.rows {
			if id > q.After && r.column(kindColumn) == q.Kind {
				found = append(found, r)
			}
		}
		m.mu.Unlock()
		slices.SortFunc(found, func(a, b row) int {
			return strings.Compare(a.column(idColumn), b.column(idColumn))
		})
		found = found[:min(len(found), q.Limit)]
	}
	records := make([]Record, len(found))
	for i, r := range found {
		records[i] = r.record()
	}
	return records, nil
}

// Save implements [Store].
func (m *MemoryStore) Save(ctx context.Context, changes ...Change) error {
	rows := make([]row, len(changes))
	for i, c := range changes {
		if !c.Delete {
			rows[i] = newRow(c.Record)
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.rows == nil {
		m.rows, m.users = make(map[string]row), make(map[string][]string)
	}
	grow := 0
	for _, c := range changes {
		more, err := m.judge(c)
		if err != nil {
			return err
		}
		if grow += more; more > 0 {
			m.dropLapsed(c.Record.CreatedAt, changes)
		}
	}
	if limit := m.limit(); grow > 0 && len(m.rows)+grow > limit {
		return fmt.Errorf("%w: %d records", ErrStoreFull, limit)
	}
	for i, c := range changes {
		if c.Delete {
			m.remove(c.Record.ID)
		} else {
			m.put(rows[i])
		}
	}
	return nil
}

// judge compares a change with the row that is there, and returns by how many
// rows it makes the store grow.
func (m *MemoryStore) judge(c Change) (grow int, err error) {
	old, ok := m.rows[c.Record.ID]
	insert := c.Record.Version == 0
	switch {
	case insert && (ok || c.Delete), !insert && (!ok || old.version != c.Record.Version):
		return 0, fmt.Errorf("%w: record %s", ErrConflict, c.Record.ID)
	case insert:
		return 1, nil
	case c.Delete:
		return -1, nil
	}
	return 0, nil
}

// Purge implements [Store]. It lets other calls in every few records.
func (m *MemoryStore) Purge(ctx context.Context, before time.Time) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	seen, purged, limit := 0, 0, before.Add(time.Millisecond-1).UnixMilli()
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, r := range m.rows {
		if r.expires != noTime && r.expires < limit {
			m.remove(id)
			purged++
		}
		// A map may be changed while it is ranged over, and the next row is read
		// after the pause.
		if seen++; seen%256 == 0 {
			m.mu.Unlock()
			m.mu.Lock()
		}
	}
	return purged, nil
}

// dropLapsed looks at two rows that expire, and removes those that lapsed well
// before now. One that will soon is waited for, as those behind it are no older; one
// that lives longer goes to the end. Rows that the current call changes stay.
func (m *MemoryStore) dropLapsed(now time.Time, changes []Change) {
	limit, soon := now.Add(-keepLapsed).UnixMilli(), now.Add(time.Hour).UnixMilli()
	changed := func(id string) bool {
		return slices.ContainsFunc(changes, func(c Change) bool { return c.Record.ID == id })
	}
	for range min(2, len(m.lapse)) {
		look := m.lapse[0]
		r, ok := m.rows[look.id]
		switch {
		case !ok || r.ticket != look.ticket: // it is gone, or came back later
		case r.expires == noTime:
			r.ticket = 0
			m.rows[look.id] = r
		case r.expires >= limit && r.expires <= soon:
			return
		case r.expires < limit && !changed(look.id):
			m.remove(look.id)
		default:
			m.lapse = append(m.lapse, look)
		}
		m.lapse = m.lapse[1:]
	}
}

func (m *MemoryStore) limit() int {
	if m.MaxRecords > 0 {
		return m.MaxRecords
	}
	return defaultMaxRecords
}

// put inserts or replaces a row.
func (m *MemoryStore) put(r row) {
	id := r.column(idColumn)
	old, ok := m.rows[id]
	m.unindex(id, old)
	if ok {
		r.version, r.ticket = old.version, old.ticket
	}
	r.version++
	if r.expires != noTime && r.ticket == 0 {
		m.next++
		r.ticket = m.next
		// A clone, not to keep this body alive.
		m.lapse = append(m.lapse, lapsing{strings.Clone(id), r.ticket})
	}
	m.rows[id] = r // the key becomes a part of the new body, as the runtime has it for strings
	if user := r.column(userColumn); user != "" {
		key := userKey(r.column(kindColumn), user)
		ids := m.users[key]
		i, _ := slices.BinarySearch(ids, id)
		m.users[key] = slices.Insert(ids, i, id)
	}
}

func (m *MemoryStore) remove(id string) {
	m.unindex(id, m.rows[id])
	delete(m.rows, id)
}

func (m *MemoryStore) unindex(id string, r row) {
	user := r.column(userColumn)
	if user == "" {
		return
	}
	key := userKey(r.column(kindColumn), user)
	ids := m.users[key]
	if i, ok := slices.BinarySearch(ids, id); ok {
		ids = slices.Delete(ids, i, i+1)
	}
	if m.users[key] = ids; len(ids) == 0 {
		delete(m.users, key)
	}
}

func userKey(kind, user string) string { return kind + "\x00" + user }

// The text columns of a row's body, each behind its length.
const (
	idColumn = iota
	parentColumn
	kindColumn
	userColumn
	typeColumn
	statusColumn
	stateColumn
)

func newRow(r Record) row {
	body := make([]byte, 0, 512) // on the stack
	for _, t := range [...]time.Time{r.CreatedAt, r.UpdatedAt, r.ExpiresAt} {
		body = binary.BigEndian.AppendUint64(body, uint64(millis(t)))
	}
	for _, c := range [...]string{r.ID, r.Parent, r.Kind, r.UserID, r.Type, r.Status} {
		body = append(binary.AppendUvarint(body, uint64(len(c))), c...)
	}
	body = append(binary.AppendUvarint(body, uint64(len(r.State))), r.State...)
	return row{expires: millis(r.ExpiresAt), body: string(body)}
}

func (r row) parent() string { return r.column(parentColumn) }

// column returns a part of the body, without a copy; "" of the zero row.
func (r row) column(n int) string {
	if r.body == "" {
		return ""
	}
	rest := r.body[24:]
	for range n {
		_, rest = cutColumn(rest)
	}
	found, _ := cutColumn(rest)
	return found
}

// cutColumn returns the first column of what is left of a body, and what follows it.
func cutColumn(rest string) (column, after string) {
	size, shift := 0, 0
	for i := 0; ; i++ {
		size |= int(rest[i]&0x7f) << shift
		shift += 7
		if rest[i] < 0x80 {
			return rest[i+1:][:size], rest[i+1:][size:]
		}
	}
}

func (r row) record() Record {
	at := func(n int) time.Time {
		b := []byte(r.body[8*n : 8*n+8])
		if v := int64(binary.BigEndian.Uint64(b)); v != noTime {
			return time.UnixMilli(v).UTC()
		}
		return time.Time{}
	}
	rec := Record{CreatedAt: at(0), UpdatedAt: at(1), ExpiresAt: at(2), Version: r.version}
	rest := r.body[24:]
	for _, column := range [...]*string{
		&rec.ID, &rec.Parent, &rec.Kind, &rec.UserID, &rec.Type, &rec.Status,
	} {
		*column, rest = cutColumn(rest)
	}
	state, _ := cutColumn(rest)
	rec.State = []byte(state)
	return rec
}

// noTime stands for the zero time. 0 is the first moment of 1970.
const noTime = math.MinInt64

func millis(t time.Time) int64 {
	if t.IsZero() {
		return noTime
	}
	return t.UnixMilli()
}

// An Outbox is an [SMSSender] that keeps the last 1,000 messages in memory and
// sends none, for development and tests. The zero value is ready for use.
type Outbox struct {
	mu       sync.Mutex
	messages []hidden[Message]
}

var _ SMSSender = (*Outbox)(nil)

// Send keeps the message, or returns the error of ctx.
func (o *Outbox) Send(ctx context.Context, m Message) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.messages) == outboxSize {
		o.messages = slices.Delete(o.messages, 0, 1)
	}
	o.messages = append(o.messages, hide(m))
	return nil
}

// Messages returns what was sent, oldest first.
func (o *Outbox) Messages() []Message {
	o.mu.Lock()
	defer o.mu.Unlock()
	messages := make([]Message, len(o.messages))
	for i, m := range o.messages {
		messages[i] = m()
	}
	return messages
}

// Format prints how many messages there are, whatever the verb.
func (o *Outbox) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "mfa.Outbox(%d messages)", len(o.Messages()))
}
