package explore

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/internal/instant"
	"github.com/authfactor/mfa/internal/xaes"
)

// The people of a world, each with records of their own. Ann and Bob have one phone number.
const (
	ann   = "ann"   // has confirmed factors of all types, and begins to replace one
	bob   = "bob"   // has confirmed factors, and as many trusted browsers as one may have
	carol = "carol" // has begun to enroll, and confirmed nothing
	dora  = "dora"  // has an app that is locked, and a trusted browser
)

var everybody = []string{ann, bob, carol, dora}

// A world is where operations run: the service, its clock, and the records that there are when
// they begin. Time stands still while they run.
type world struct {
	ctx      context.Context
	services map[bool]*mfa.Service // true: with a new key in front of the one that encrypted
	svc      *mfa.Service          // the one of this run
	now      time.Time
	run      *run
	idlers   []*coroutine
	what     things
	outbox   map[string]string // the last message to each number
	draws    draws             // while no operation runs
	aeads    map[string]*xaes.AEAD

	// The records at the beginning, by id.
	first  map[string]mfa.Record // as they are inserted
	second map[string]mfa.Record // as they replace that
	owners map[string]string     // whose they are; "" for those of all
	plain  map[string]string     // decrypted
	names  map[string]string     // what they are called in a schedule that is shown
	lapsed map[string]bool       // whether a purge deletes them

	inserts  map[int][]mfa.Change // what a store begins with, by the set of people
	seconds  map[int][]mfa.Change // and what is saved after that
	firsts   map[string]int       // people's confirmed factors, recovery codes aside
	failures map[string]int       // of factors

	lists       map[string][2]string // kind and user of records, also of those that runs made
	lapseListed map[string]bool      // lists with records that lapsed
	devices     map[string]string    // ids of devices, also of those that runs made, to their users'
	numbers     map[string]int       // what stands for records and lists in a footprint

	heard func(mfa.Event)        // told what happens while no operation runs; nil: nobody
	trace func(who int, k *call) // told of each call; nil: nobody
	fresh bool                   // all records are at version 1
	torn  bool                   // each Save writes its first change alone: to test the promises
}

const (
	oldKey = "a key for tests, known to anyone"
	newKey = "another key that everybody knows"
)

// newWorld makes a world by calls of the service, one after the other.
func newWorld() *world {
	w := &world{
		ctx:   instant.With(context.Background()),
		first: map[string]mfa.Record{}, owners: map[string]string{},
		services: map[bool]*mfa.Service{}, second: map[string]mfa.Record{},
		inserts: map[int][]mfa.Change{}, seconds: map[int][]mfa.Change{},
		devices: map[string]string{}, outbox: map[string]string{}, aeads: map[string]*xaes.AEAD{},
		lists: map[string][2]string{}, lapsed: map[string]bool{}, lapseListed: map[string]bool{},
		names: map[string]string{}, numbers: map[string]int{}, plain: map[string]string{},
	}
	encoded := func(key string) string { return base64.StdEncoding.EncodeToString([]byte(key)) }
	for rotating, keys := range map[bool]string{
		false: encoded(oldKey), true: encoded(newKey) + "," + encoded(oldKey),
	} {
		ring, err := mfa.ParseKeyring(keys)
		check(err)
		svc, err := mfa.New(mfa.Config{
			Store: w, SMS: w, Keys: ring, Regions: []string{"US"}, OnEvent: w.onEvent,
			Now: func() time.Time { return w.now }, Logger: slog.New(slog.DiscardHandler),
			Methods: []mfa.Method{{Type: keyType, Ceremony: counting{}}},
		})
		check(err)
		w.services[rotating] = svc
	}
	for _, key := range []string{oldKey, newKey} {
		aead, err := xaes.New([]byte(key))
		check(err)
		w.aeads[string(keyID(key))] = aead
	}
	defer w.seeded()()
	w.svc, w.run = w.services[false], &run{store: new(mfa.MemoryStore)}
	w.furnish()
	w.keep()
	return w
}

// seeded makes all randomness of the process that of the world, until the returned function is
// called: so nothing else may run beside it, and several workers are several processes.
func (w *world) seeded() (restore func()) {
	before := rand.Reader
	rand.Reader = w
	return func() { rand.Reader = before }
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func must[T any](v T, err error) T {
	check(err)
	return v
}

// keep reads what the store holds, and says whose it is.
func (w *world) keep() {
	for _, kind := range []string{"user", "device", "factor", "challenge", "number"} {
		records := must(w.run.store.List(w.ctx, mfa.Query{Kind: kind, Limit: 1 << 20}))
		for i, rec := range records {
			w.owners[rec.ID] = rec.UserID
			if kind == "challenge" {
				w.owners[rec.ID] = w.owners[rec.Parent]
			}
			w.lists[rec.ID] = [2]string{rec.Kind, rec.UserID}
			if !rec.ExpiresAt.IsZero() && rec.ExpiresAt.Before(w.now.Add(-24*time.Hour)) {
				w.lapsed[rec.ID] = true
				w.lapseListed[listOf(rec.Kind, rec.UserID)] = true
			}
			w.names[rec.ID] = strings.TrimSpace(fmt.Sprintf("%s %s %d", w.owners[rec.ID], kind, i+1))
			w.plain[rec.ID] = w.open(rec)
			w.first[rec.ID], w.second[rec.ID] = w.basedOn(rec, 0), w.basedOn(rec, 1)
			if kind == "device" {
				w.devices[rec.ID] = rec.Parent
			}
		}
	}
	w.firsts = map[string]int{ann: 3, bob: 2, dora: 1}
	w.failures = map[string]int{w.what.app: 3, w.what.phone: 0}
	w.nameThings()
}

// nameThings gives the records that operations are about better names than a number.
func (w *world) nameThings() {
	t := &w.what
	for name, id := range map[string]string{
		"Ann's app": t.app, "Ann's phone": t.phone, "Ann's codes": t.codes, "Ann's key": t.key,
		"Ann's new app": t.newApp, "Ann's generic": t.generic, "Ann's device": t.device,
		"challenge of Ann's app":          t.asked,
		"second challenge of Ann's app":   t.askedAgain,
		"challenge of Ann's phone":        t.askedPhone,
		"challenge of Ann's codes":        t.askedCodes,
		"second challenge of Ann's codes": t.askedCodesAgain,
		"challenge of Ann's key":          t.askedKey,
		"challenge of Ann's new app":      t.askedNewApp,
		"challenge of Ann's generic":      t.askedGeneric,
		"Bob's phone":                     t.bobPhone,
		"challenge of Bob's app":          t.bobAsked,
		"Bob's oldest device":             t.bobDevice,
		"Carol's app":                     t.carolApp,
		"Carol's phone":                   t.carolPhone,
		"Carol's generic":                 t.carolGeneric,
		"challenge of Carol's app":        t.carolAskedApp,
		"challenge of Carol's phone":      t.carolAskedPhone,
		"challenge of Carol's generic":    t.carolAskedGeneric,
		"Dora's app":                      t.doraApp,
	} {
		w.names[id] = name
	}
}

// called is the name of a record in a schedule that is shown.
func (w *world) called(id string) string {
	if name, ok := w.names[id]; ok {
		return name
	}
	if list, ok := w.lists[id]; ok {
		return "new " + list[0] + " …" + id[len(id)-4:]
	}
	return id
}

// store is a new one with the records of the people whom the verbs are about.
func (w *world) store(verbs []verb) *mfa.MemoryStore {
	people := 0
	rotating := false
	for _, v := range verbs {
		people |= 1 << slices.Index(everybody, v.who)
		rotating = rotating || v.rotating
	}
	w.svc = w.services[rotating]
	if w.inserts[people] == nil {
		for _, id := range slices.Sorted(maps.Keys(w.first)) {
			whose := slices.Index(everybody, w.owners[id]) // the limits of numbers are nobody's
			if whose < 0 || people&(1<<whose) != 0 {
				w.inserts[people] = append(w.inserts[people], mfa.Change{Record: w.first[id]})
				if derived(w.first[id]) {
					w.seconds[people] = append(w.seconds[people], mfa.Change{Record: w.second[id]})
				}
			}
		}
	}
	store := new(mfa.MemoryStore)
	check(store.Save(context.Background(), w.inserts[people]...))
	if !w.fresh {
		check(store.Save(context.Background(), w.seconds[people]...))
	}
	return store
}

// derived reports whether the id of a record is made of what it is about. If such a record is
// deleted and made anew, its versions begin at 1 again, and a call that had read the old one at
// that version does not see it. So those of a world are at version 2, which three operations do
// not reach again: see TestVersionsBeginAnew.
func derived(rec mfa.Record) bool { return rec.Kind == "user" || rec.Kind == "number" }
