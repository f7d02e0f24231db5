package mfatest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/authfactor/mfa"
)

var contextChecks = []check{
	{
		name: "cancelled contexts",
		rule: "With a context that is over, every method returns an error that matches the " +
			"context's, and not mfa.ErrConflict as well, and changes nothing.",
		look: "ctx.Err() at the beginning of each method; the error of a driver that hides the " +
			"context's (wrap both); and what turns every error into a conflict",
		f: cancelledContexts,
	},
	{
		name: "contexts that end within Save",
		rule: "A Save whose context ends meanwhile applies all changes or none, " +
			"and its error does not match mfa.ErrConflict.",
		look: "changes that are written one after the other: they belong into one transaction, one " +
			"batch or one script, which is undone, or carried out, as a whole",
		f: endingContexts,
	},
}

func cancelledContexts(p *probe) {
	p.save(put(record("a")))
	cancelled, cancel := context.WithCancel(p.ctx)
	cancel()
	late, cancel := context.WithDeadline(p.ctx, time.Unix(1, 0))
	defer cancel()
	for _, ctx := range []context.Context{cancelled, late} {
		records, err := p.Load(ctx, "a")
		p.over(ctx, "Load", err, len(records))
		records, err = p.List(ctx, mfa.Query{Kind: "factor", UserID: "user", Limit: 10})
		p.over(ctx, "List", err, len(records))
		p.over(ctx, "Save", p.Save(ctx, put(record("b")), put(stored(record("a")))), 0)
		p.over(ctx, "Save of a conflict", p.Save(ctx, put(record("a"))), 0)
		n, err := p.Purge(ctx, created.Add(24*time.Hour))
		p.over(ctx, "Purge", err, n)
		p.holds(stored(record("a")))
		p.lacks("b")
	}
}

// over fails unless a call with a context that is over returned the context's
// error, and no other that has a meaning.
func (p *probe) over(ctx context.Context, method string, err error, n int) {
	switch {
	case err == nil:
		p.fail("%s with a context that is over: error nil, want one that matches %v", method, ctx.Err())
	case !errors.Is(err, ctx.Err()):
		p.fail("%s with a context that is over: error %w, want one that matches %v",
			method, err, ctx.Err())
	case errors.Is(err, mfa.ErrConflict):
		p.fail("%s with a context that is over: error %w, which matches the context's as it should, "+
			"and mfa.ErrConflict too, want one that matches the context's alone", method, err)
	case n != 0:
		p.fail("%s with a context that is over: a result of %d beside the error, want none", method, n)
	}
}

// endingContexts ends contexts at all sorts of moments: when the store looks at them for
// the nth time, and by deadlines that come closer and closer to the moment from which on a
// Save is carried out.
func endingContexts(p *probe) {
	var families []*family
	save := func(ctx context.Context) (f *family, took time.Duration) {
		f = newFamily(len(families))
		families = append(families, f)
		p.save(f.before...)
		began := time.Now()
		f.err = p.Save(ctx, f.changes...)
		took = time.Since(began)
		if errors.Is(f.err, mfa.ErrConflict) {
			p.fail("a Save of changes of nobody else, whose context ended: error %w, "+
				"want nil or the context's", f.err)
		}
		return f, took
	}
	for look := range int64(24) {
		ctx, cancel := context.WithCancel(p.ctx)
		fading := &fadingContext{Context: ctx, cancel: cancel}
		fading.looks.Store(look + 2)
		save(fading)
		cancel()
	}
	try := func(d time.Duration) (applied bool) {
		ctx, cancel := context.WithTimeout(p.ctx, d)
		defer cancel()
		f, _ := save(ctx)
		return f.check(p)
	}
	for _, us := range []time.Duration{10, 20, 50, 100, 200, 500} {
		try(us * time.Microsecond)
	}
	for range 4 {
		_, usual := save(p.ctx)
		early, late := time.Duration(0), 2*usual
		for range 8 {
			if d := (early + late) / 2; try(d) {
				late = d
			} else {
				early = d
			}
		}
	}
	for _, f := range families { // what was carried out late as well
		f.check(p)
	}
}

// A fadingContext is cancelled when somebody looks at it for the nth time.
type fadingContext struct {
	context.Context
	cancel context.CancelFunc
	looks  atomic.Int64 // that are left
}

func (c *fadingContext) look() {
	if c.looks.Add(-1) == 0 {
		c.cancel()
	}
}

// Err implements [context.Context].
func (c *fadingContext) Err() error {
	c.look()
	return c.Context.Err()
}

// Done implements [context.Context].
func (c *fadingContext) Done() <-chan struct{} {
	c.look()
	return c.Context.Done()
}

// A family are records that one Save changes: eight are replaced, four deleted and four
// inserted.
type family struct {
	before, changes []mfa.Change
	ids             []string
	err             error // of the Save
}

func newFamily(n int) *family {
	f := new(family)
	for i := range maxChanges {
		r := record(fmt.Sprintf("id-%03d-%02d", n, i))
		f.ids = append(f.ids, r.ID)
		switch i % 4 {
		case 0:
			f.changes = append(f.changes, put(r))
		case 1:
			f.before = append(f.before, put(r))
			f.changes = append(f.changes, remove(r.ID, 1))
		default:
			f.before = append(f.before, put(r))
			f.changes = append(f.changes, put(stored(r)))
		}
	}
	return f
}

// applied counts the changes that can be seen.
func (f *family) applied(p *probe) (n int) {
	versions := map[string]int64{}
	for _, r := range p.load(f.ids...) {
		versions[r.ID] = r.Version
	}
	for _, c := range f.changes {
		want := c.Record.Version + 1
		if c.Delete {
			want = 0
		}
		if versions[c.Record.ID] == want {
			n++
		}
	}
	return n
}

// check fails if the changes were made in part, and reports whether they were made.
func (f *family) check(p *probe) (applied bool) {
	n := f.applied(p)
	if n != 0 && n != len(f.changes) {
		// If the database carries out the Save just now, the next read sees all of it.
		n = f.applied(p)
	}
	switch {
	case n != 0 && n != len(f.changes):
		p.fail("a Save of %d changes whose context ended meanwhile applied %d of them, want all or none "+
			"(its error was: %w)", len(f.changes), n, errorOrNil(f.err))
	case n == 0 && f.err == nil:
		p.fail("a Save of %d changes whose context ended meanwhile: error nil, "+
			"and none of them is there, want all", len(f.changes))
	}
	return n > 0
}

var errNil = errors.New("nil")

// errorOrNil is an error that can be printed.
func errorOrNil(err error) error {
	if err == nil {
		return errNil
	}
	return err
}
