package webhook

import (
	"context"
	"net/http"
	"sync"
	"time"
)

const (
	// A timestamp may be five minutes ahead when it is seen, and is good for five minutes more.
	// It has no fractions of a second, and so may be good for one second longer.
	remembered = 2*tolerance + time.Second

	maxRemembered = 100_000 // ids; some 30 MB
)

// A memory is what was answered to the ids of the last minutes. The zero value is ready for
// use.
type memory struct {
	mu    sync.Mutex
	ids   map[string]*delivery
	swept time.Time // when what is old was last looked for
}

// A delivery is the outcome of one id.
type delivery struct {
	done  chan struct{} // closed once reply is set
	reply reply
	until time.Time // when it may be forgotten, unless Send still runs
	runs  bool
}

// once returns the reply of send, which it calls unless another call for the id runs or may have
// sent the message. It is as if the calls for one id came one after the other.
func (m *memory) once(ctx context.Context, id string, now time.Time, send func() reply) reply {
	for {
		d, mine := m.claim(id, now)
		switch {
		case d == nil:
			return reply{
				http.StatusTooManyRequests,
				answer{Error: wordTryLater, Text: "too many messages in ten minutes"}, time.Minute,
			}
		case mine:
			return m.run(id, d, send)
		}
		select {
		case <-d.done:
			if d.reply.mayBeSent() {
				return d.reply
			}
			// Nothing was handed over, so one of those who waited may try.
		case <-ctx.Done():
			return unknownReply()
		}
	}
}

// run calls send. If it panics, the message may have been sent.
func (m *memory) run(id string, d *delivery, send func() reply) reply {
	r := unknownReply()
	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		d.reply, d.runs = r, false
		if !r.mayBeSent() {
			delete(m.ids, id)
		}
		close(d.done)
	}()
	r = send()
	return r
}

// claim returns the delivery of an id, and whether the caller is the one to make it. It is nil
// if there is no room for another.
func (m *memory) claim(id string, now time.Time) (d *delivery, mine bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if now.Sub(m.swept).Abs() >= time.Minute {
		m.swept = now
		for id, d := range m.ids {
			if !d.runs && now.After(d.until) {
				delete(m.ids, id)
			}
		}
	}
	if d, ok := m.ids[id]; ok {
		if until := now.Add(remembered); until.After(d.until) { // who waited has an older time
			d.until = until
		}
		return d, false
	}
	if len(m.ids) >= maxRemembered {
		return nil, false
	}
	if m.ids == nil {
		m.ids = map[string]*delivery{}
	}
	d = &delivery{done: make(chan struct{}), until: now.Add(remembered), runs: true}
	m.ids[id] = d
	return d, true
}

func unknownReply() reply {
	return reply{http.StatusInternalServerError, answer{Error: wordUnknown}, 0}
}
