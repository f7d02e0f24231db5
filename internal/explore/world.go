package explore

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/internal/instant"
	"github.com/authfactor/mfa/internal/xaes"
	"github.com/authfactor/mfa/mfatest"
	"github.com/authfactor/mfa/proof"
)

// The people of a world, each with records of their own. Ann and Bob have one phone number.
const (
	ann   = "ann"   // has confirmed factors, and begins to replace one
	bob   = "bob"   // has confirmed factors as well
	carol = "carol" // has begun to enroll, and confirmed nothing
)

var everybody = []string{ann, bob, carol}

// A world is where operations run: the service, its clock, and the records that there are when
// they begin. Time stands still while they run.
type world struct {
	ctx  context.Context
	svc  *mfa.Service // of this run
	now  time.Time
	run  *run
	what things

	services map[bool]*mfa.Service // true: with a new key in front of the one that encrypted
	records  map[string]mfa.Record
	owners   map[string]string     // of records; "" for those of all
	second   map[string]mfa.Record // records as they replace what was inserted
	inserts  map[int][]mfa.Change  // what a store begins with, by the set of people
	seconds  map[int][]mfa.Change  // and what is saved after that
	outbox   map[string]string     // the last message to each number
	draws    draws
	aeads    map[string]*xaes.AEAD

	lists       map[string][2]string // kind and user of records
	lapsed      map[string]bool      // records that a purge deletes
	lapseListed map[string]bool      // lists with such records
	names       map[string]string    // what records are called in a schedule that is shown
	numbers     map[string]int
	plain       map[string]string // of records at the beginning
	userRecord  string            // id of Ann's, which lists her devices
	devices     []string          // ids of devices, those too that some run made
	firsts      map[string]int    // confirmed factors at the beginning, recovery codes aside
	failures    map[string]int    // of factors, at the beginning
	heard       func(mfa.Event)   // what happens while no operation runs; nil: nobody listens
	trace       func(who int, k *call)
	torn        bool // each Save writes its first change alone: a test of the promises
}

// things are what people have at hand.
type things struct {
	secret          string // of Ann's app
	app             string // ids of Ann's factors
	phone           string
	codes           string
	key             string
	newApp          string
	generic         string
	device          string
	asked           string // ids of challenges: of Ann's app, with three wrong codes
	askedAgain      string
	askedPhone      string
	askedCodes      string
	askedCodesAgain string
	askedKey        string
	askedNewApp     string
	askedGeneric    string

	code        string // of Ann's app, now
	usedCode    string
	newAppCode  string
	phoneCode   string
	genericCode string
	recovery    string

	token, usedToken string // of Ann's device

	payReceipt, enrollReceipt, unenrollReceipt, turnOffReceipt string

	bobPhone, bobAsked, bobCode string

	carolApp, carolPhone, carolGeneric                string
	carolAskedApp, carolAskedPhone, carolAskedGeneric string
	carolCode, carolPhoneCode, carolGenericCode       string
}

// pay is an action to approve.
var pay = proof.ActionOf("pay", "EUR 500.00")

// keyType is a type of Config.Methods.
const keyType mfa.FactorType = "key"

// A counting ceremony accepts an answer of one byte that is more than the one before.
type counting struct{}

func (counting) Enroll(params []byte) ([]byte, error) { return params, nil }

func (counting) Begin(mfa.MethodFactor, []mfa.MethodFactor) (options, kept []byte, err error) {
	return []byte("more"), nil, nil
}

func (counting) Claims(_, _ []byte) string { return "" }

func (counting) Finish(f mfa.MethodFactor, _, answer []byte) ([]byte, error) {
	if len(answer) != 1 || answer[0] <= f.State[0] {
		return nil, errors.New("not more")
	}
	return answer, nil
}

func (counting) Describe([]byte) (amr []string, details []byte) { return nil, nil }

const (
	oldKey = "a key for tests, known to anyone"
	newKey = "another key that everybody knows"

	annsNumber   = "+12015550101"
	carolsNumber = "+12015550102"

	notCode = "000000" // see newWorld
)

// newWorld makes a world by calls of the service, one after the other.
func newWorld() *world {
	w := &world{
		ctx:     instant.With(context.Background()),
		records: map[string]mfa.Record{}, owners: map[string]string{},
		services: map[bool]*mfa.Service{}, inserts: map[int][]mfa.Change{}, seconds: map[int][]mfa.Change{}, second: map[string]mfa.Record{},
		outbox: map[string]string{}, aeads: map[string]*xaes.AEAD{},
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

// keyID is how a key is named in front of what it encrypted.
func keyID(key string) []byte {
	sum := sha256.Sum256([]byte(key))
	return sum[:8]
}

// furnish has Ann, Bob and Carol enroll, log in and approve.
func (w *world) furnish() {
	t, hour := &w.what, time.Hour
	w.now = time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)
	t.secret = strings.Repeat("A", 30) + "NN"
	t.app = w.enroll(ann, mfa.EnrollParams{TOTP: w.app(t.secret)})
	w.answer(ann, w.ask(ann, t.app), mfatest.Code(t.secret, w.now))
	w.ask(ann, t.app) // and never answered
	w.enroll(carol, mfa.EnrollParams{Method: &mfa.MethodParams{Type: keyType, Params: []byte{0}}})

	w.now = w.now.Add(49 * hour)
	bobs := strings.Repeat("B", 30) + "NN"
	bobApp := w.enroll(bob, mfa.EnrollParams{TOTP: w.app(bobs)})
	w.answer(bob, w.ask(bob, bobApp), mfatest.Code(bobs, w.now))
	t.bobPhone = w.enroll(bob, mfa.EnrollParams{SMS: &mfa.SMSParams{PhoneNumber: annsNumber}})
	w.answer(bob, w.ask(bob, t.bobPhone), w.lastCode(annsNumber))

	w.now = w.now.Add(3 * hour)
	set := must(w.svc.Enroll(w.ctx, mfa.EnrollParams{UserID: ann, RecoveryCodes: true, ByOperator: true}))
	t.codes, t.recovery = set.Factor.ID, set.RecoveryCodes.Codes()[0]
	t.key = w.enroll(ann, mfa.EnrollParams{Method: &mfa.MethodParams{Type: keyType, Params: []byte{0}}})
	w.answerKey(ann, w.ask(ann, t.key), 1, proof.Action{})
	t.phone = w.enroll(ann, mfa.EnrollParams{SMS: &mfa.SMSParams{PhoneNumber: annsNumber}})
	w.answer(ann, w.ask(ann, t.phone), w.lastCode(annsNumber))

	w.now = w.now.Add(3 * hour)
	newSecret, carols := strings.Repeat("C", 30)+"NN", strings.Repeat("D", 30)+"NN"
	t.newApp = w.enroll(ann, mfa.EnrollParams{TOTP: w.app(newSecret), Replaces: t.app})
	t.generic = w.enroll(ann, mfa.EnrollParams{GenericOTP: true})
	t.carolApp = w.enroll(carol, mfa.EnrollParams{TOTP: w.app(carols)})
	t.carolPhone = w.enroll(carol, mfa.EnrollParams{SMS: &mfa.SMSParams{PhoneNumber: carolsNumber}})
	t.carolGeneric = w.enroll(carol, mfa.EnrollParams{GenericOTP: true})
	w.enroll(carol, mfa.EnrollParams{RecoveryCodes: true})
	for i, a := range []struct {
		receipt *string
		action  proof.Action
	}{
		{&t.payReceipt, pay},
		{&t.enrollReceipt, proof.ActionOf(mfa.PurposeEnroll)},
		{&t.unenrollReceipt, proof.ActionOf(mfa.PurposeUnenroll, t.app)},
		{&t.turnOffReceipt, proof.ActionOf(mfa.PurposeTurnOff)},
	} {
		ch := must(w.svc.Challenge(w.ctx, mfa.ChallengeParams{FactorID: t.key, UserID: ann, Action: a.action}))
		*a.receipt = w.answerKey(ann, ch.ID, byte(2+i), a.action).Receipt()
	}

	t.askedPhone = w.ask(ann, t.phone)
	t.phoneCode = w.lastCode(annsNumber)
	t.askedCodes, t.askedKey = w.ask(ann, t.codes), w.ask(ann, t.key)
	t.askedCodesAgain, t.askedNewApp = w.ask(ann, t.codes), w.ask(ann, t.newApp)
	t.askedGeneric, t.genericCode = w.askGeneric(ann, t.generic)
	t.carolAskedApp, t.carolAskedPhone = w.ask(carol, t.carolApp), w.ask(carol, t.carolPhone)
	t.carolPhoneCode = w.lastCode(carolsNumber)
	t.carolAskedGeneric, t.carolGenericCode = w.askGeneric(carol, t.carolGeneric)

	w.now = w.now.Add(90 * time.Second)
	t.usedCode = mfatest.Code(t.secret, w.now)
	v := must(w.svc.Verify(w.ctx, mfa.VerifyParams{
		ChallengeID: w.ask(ann, t.app), UserID: ann, Code: t.usedCode, TrustDevice: true,
	}))
	t.device, t.usedToken = v.Device.ID, v.Device.Token()
	t.token = must(w.svc.StartLogin(w.ctx, mfa.LoginParams{UserID: ann, DeviceToken: t.usedToken})).DeviceToken()
	t.asked, t.askedAgain = w.ask(ann, t.app), w.ask(ann, t.app)
	for range 3 {
		_, err := w.svc.Verify(w.ctx, mfa.VerifyParams{ChallengeID: t.asked, UserID: ann, Code: notCode})
		if !errors.Is(err, mfa.ErrInvalidCode) {
			panic(err)
		}
	}
	t.bobAsked = w.ask(bob, bobApp)

	w.now = w.now.Add(30 * time.Second) // the code of before is of a step before; the used token has no grace
	t.code = mfatest.Code(t.secret, w.now)
	t.newAppCode, t.carolCode = mfatest.Code(newSecret, w.now), mfatest.Code(carols, w.now)
	t.bobCode = mfatest.Code(bobs, w.now)
}

func (*world) app(secret string) *mfa.TOTPParams {
	return &mfa.TOTPParams{Issuer: "Foo Corp", User: "someone", Secret: secret}
}

func (w *world) enroll(userID string, p mfa.EnrollParams) (factorID string) {
	p.UserID, p.ByOperator = userID, userID != carol
	return must(w.svc.Enroll(w.ctx, p)).Factor.ID
}

func (w *world) ask(userID, factorID string) (challengeID string) {
	return must(w.svc.Challenge(w.ctx, mfa.ChallengeParams{
		FactorID: factorID, UserID: userID, Confirm: true,
	})).ID
}

func (w *world) askGeneric(userID, factorID string) (challengeID, code string) {
	ch := must(w.svc.Challenge(w.ctx, mfa.ChallengeParams{
		FactorID: factorID, UserID: userID, Confirm: true,
	}))
	return ch.ID, ch.Code()
}

func (w *world) answer(userID, challengeID, code string) {
	must(w.svc.Verify(w.ctx, mfa.VerifyParams{ChallengeID: challengeID, UserID: userID, Code: code}))
}

func (w *world) answerKey(userID, challengeID string, count byte, a proof.Action) mfa.Verification {
	return must(w.svc.Verify(w.ctx, mfa.VerifyParams{
		ChallengeID: challengeID, UserID: userID, Answer: []byte{count}, Action: a,
	}))
}

// lastCode is the code of the last message to a number.
func (w *world) lastCode(number string) string {
	body := w.outbox[number]
	return body[len(body)-7 : len(body)-1]
}

// keep reads what the store holds, and says whose it is.
func (w *world) keep() {
	for _, kind := range []string{"user", "device", "factor", "challenge", "number"} {
		records := must(w.run.store.List(w.ctx, mfa.Query{Kind: kind, Limit: 1 << 20}))
		for i, rec := range records {
			w.records[rec.ID], w.owners[rec.ID] = rec, rec.UserID
			if kind == "challenge" {
				w.owners[rec.ID] = w.records[rec.Parent].UserID
			}
			w.lists[rec.ID] = [2]string{rec.Kind, rec.UserID}
			if !rec.ExpiresAt.IsZero() && rec.ExpiresAt.Before(w.now.Add(-24*time.Hour)) {
				w.lapsed[rec.ID] = true
				w.lapseListed[listOf(rec.Kind, rec.UserID)] = true
			}
			w.names[rec.ID] = fmt.Sprintf("%s%s %d", w.owners[rec.ID], kind, i+1)
			w.plain[rec.ID] = w.open(rec)
			w.records[rec.ID], w.second[rec.ID] = w.basedOn(rec, 0), w.basedOn(rec, 1)
			switch {
			case kind == "device":
				w.devices = append(w.devices, rec.ID)
			case kind == "user" && rec.UserID == ann:
				w.userRecord = rec.ID
			}
		}
	}
	w.firsts = map[string]int{ann: 3, bob: 2}
	w.failures = map[string]int{w.what.app: 3, w.what.phone: 0}
	for name, id := range map[string]string{
		"Ann's app": w.what.app, "Ann's phone": w.what.phone, "Ann's codes": w.what.codes,
		"Ann's key": w.what.key, "Ann's new app": w.what.newApp, "Ann's generic": w.what.generic,
		"Ann's device": w.what.device, "challenge of Ann's app": w.what.asked,
		"second challenge of Ann's app": w.what.askedAgain, "challenge of Ann's phone": w.what.askedPhone,
		"second challenge of Ann's codes": w.what.askedCodesAgain,
		"challenge of Ann's codes":        w.what.askedCodes, "challenge of Ann's key": w.what.askedKey,
		"challenge of Ann's new app": w.what.askedNewApp, "challenge of Ann's generic": w.what.askedGeneric,
		"Bob's phone": w.what.bobPhone, "challenge of Bob's app": w.what.bobAsked,
		"Carol's app": w.what.carolApp, "Carol's phone": w.what.carolPhone,
		"Carol's generic": w.what.carolGeneric, "challenge of Carol's app": w.what.carolAskedApp,
		"challenge of Carol's phone":   w.what.carolAskedPhone,
		"challenge of Carol's generic": w.what.carolAskedGeneric,
	} {
		w.names[id] = name
	}
}

// called is the name of a record in a schedule that is shown.
func (w *world) called(id string) string {
	if name, ok := w.names[id]; ok {
		return name
	}
	if len(id) > 6 {
		return "new " + w.lists[id][0] + " …" + id[len(id)-4:]
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
		for _, id := range slices.Sorted(maps.Keys(w.records)) {
			whose := slices.Index(everybody, w.owners[id]) // the limits of numbers are nobody's
			if whose < 0 || people&(1<<whose) != 0 {
				w.inserts[people] = append(w.inserts[people], mfa.Change{Record: w.records[id]})
				if derived(w.records[id]) {
					w.seconds[people] = append(w.seconds[people], mfa.Change{Record: w.second[id]})
				}
			}
		}
	}
	store := new(mfa.MemoryStore)
	check(store.Save(context.Background(), w.inserts[people]...))
	check(store.Save(context.Background(), w.seconds[people]...))
	return store
}

// derived reports whether the id of a record is made of what it is about. If such a record is
// deleted and made anew, its versions begin at 1 again, so that a call that had read the old one
// at that version does not see it: those of a world are at version 2, which three operations do
// not reach again.
func derived(rec mfa.Record) bool { return rec.Kind == "user" || rec.Kind == "number" }

// associated is what binds a State to its record, at a version.
func associated(rec mfa.Record, version int64, keyID []byte) []byte {
	var ad []byte
	for _, column := range [...]string{rec.Kind, rec.ID, rec.Parent, rec.UserID} {
		ad = binary.AppendUvarint(ad, uint64(len(column)))
		ad = append(ad, column...)
	}
	return append(binary.AppendVarint(ad, version), keyID...)
}

const keyIDSize = 8 // of what a State begins with; a nonce follows

// open decrypts what a record holds, so that two states can be compared. What it means is the
// service's to know. What does not open is said to be so.
func (w *world) open(rec mfa.Record) string {
	if len(rec.State) < keyIDSize+xaes.NonceSize {
		return "unreadable"
	}
	id, rest := rec.State[:keyIDSize], rec.State[keyIDSize:]
	aead := w.aeads[string(id)]
	if aead == nil {
		return "unreadable"
	}
	plain, err := aead.Open(
		nil, rest[:xaes.NonceSize], rest[xaes.NonceSize:], associated(rec, rec.Version, id),
	)
	if err != nil {
		return "unreadable"
	}
	return rec.Parent + " " + string(plain)
}

// basedOn is a record that a Save writes at a version, whatever its own was.
func (w *world) basedOn(rec mfa.Record, version int64) mfa.Record {
	plain := w.open(rec)[len(rec.Parent)+1:]
	header := rec.State[:keyIDSize+xaes.NonceSize]
	id, nonce := header[:keyIDSize], header[keyIDSize:]
	rec.State = w.aeads[string(id)].Seal(
		slices.Clone(header), nonce, []byte(plain), associated(rec, version+1, id),
	)
	rec.Version = version
	return rec
}
