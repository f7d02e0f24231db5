package mfa

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"os"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/authfactor/mfa/internal/codec"
	"github.com/authfactor/mfa/internal/limit"
	"github.com/authfactor/mfa/proof"
)

// newer is a challenge as a later version of this library writes it.
type newer struct {
	challenge
	extra string
}

func (n *newer) fields(c *codec.Codec) {
	c.String(&n.code)
	c.Int(&n.failures)
	c.String(&n.extra)
	c.Rest(&n.rest)
}

// TestFieldsAreAppended: a version that does not know a field keeps it, and a version
// that knows it reads an older record as zero.
func TestFieldsAreAppended(t *testing.T) {
	ring, err := ParseKeyring(NewKey())
	if err != nil {
		t.Fatal(err)
	}
	reseal := func(from, to stored) {
		t.Helper()
		change := ring.encode(from)
		change.Record.Version++
		if err := ring.decode(change.Record, kindChallenge, to); err != nil {
			t.Fatal(err)
		}
	}
	rec := Record{ID: "auth_challenge_1", Kind: kindChallenge}
	written := &newer{
		challenge: challenge{Record: rec, code: "123456", failures: 3},
		extra:     "from a later version",
	}
	older, again := new(challenge), new(newer)
	reseal(written, older)
	older.failures++
	reseal(older, again)
	if again.code != "123456" || again.failures != 4 || again.extra != "from a later version" {
		t.Errorf("%q %d %q", again.code, again.failures, again.extra)
	}
	plain := new(newer)
	reseal(&challenge{Record: rec, code: "123456", failures: 3}, plain)
	if plain.code != "123456" || plain.failures != 3 || plain.extra != "" {
		t.Errorf("%q %d %q", plain.code, plain.failures, plain.extra)
	}
}

// TestPartsAreAppended: the same of the own part of a factor, by itself.
func TestPartsAreAppended(t *testing.T) {
	ring, err := ParseKeyring(NewKey())
	if err != nil {
		t.Fatal(err)
	}
	written := &factor{
		Record: Record{ID: "auth_factor_1", Kind: kindFactor, Type: string(TypeSMS)},
		own:    &line{"+15005550006"}, ownRest: []byte{9}, name: "phone", rest: []byte{7},
	}
	change := ring.encode(written)
	change.Record.Version++
	read := new(factor)
	if err := ring.decode(change.Record, kindFactor, read); err != nil {
		t.Fatal(err)
	}
	if read.number() != "+15005550006" || string(read.ownRest) != "\x09" || read.name != "phone" ||
		string(read.rest) != "\x07" {
		t.Errorf("%q %x %q %x", read.number(), read.ownRest, read.name, read.rest)
	}
}

// TestMalformedPart: a factor of a type that this version does not know, or whose part is
// not one of its type, is not read.
func TestMalformedPart(t *testing.T) {
	ring, err := ParseKeyring(NewKey())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []*factor{
		{Record: Record{ID: "auth_factor_1", Kind: kindFactor, Type: "pager"}, own: &delivery{}},
		{Record: Record{ID: "auth_factor_1", Kind: kindFactor, Type: string(TypeTOTP)},
			own: &delivery{}, ownRest: []byte{0xff}},
	} {
		change := ring.encode(f)
		change.Record.Version++
		if err := ring.decode(change.Record, kindFactor, new(factor)); !errors.Is(err, ErrIntegrity) {
			t.Errorf("%s: %v", f.Type, err)
		}
	}
}

// kinds are all kinds of records: TestKinds holds them against the source.
var kinds = []string{kindFactor, kindChallenge, kindNumber, kindBucket, kindUser, kindDevice}

// blank is a record of the kind to be read into.
func blank(kind string) stored {
	return map[string]stored{
		kindFactor: new(factor), kindChallenge: new(challenge), kindNumber: new(number),
		kindBucket: new(bucket), kindUser: new(user), kindDevice: new(device),
	}[kind]
}

func TestKinds(t *testing.T) {
	source, err := os.ReadFile("store.go")
	if err != nil {
		t.Fatal(err)
	}
	var declared []string
	for _, match := range regexp.MustCompile(
		`(?m)^\tkind[A-Z]\w* += "(\w+)"`,
	).FindAllStringSubmatch(string(source), -1) {
		declared = append(declared, match[1])
	}
	if !slices.Equal(declared, kinds) {
		t.Errorf("kinds %q, and record.go declares %q", kinds, declared)
	}
}

// TestMalformedState: a State that this library sealed and did not write, as after a
// mistake of its own, is an integrity error and not a panic.
func TestMalformedState(t *testing.T) {
	ring, err := ParseKeyring(NewKey())
	if err != nil {
		t.Fatal(err)
	}
	long := bytes.Repeat([]byte{0xff}, 30)
	for _, kind := range kinds {
		for _, plain := range [][]byte{
			{}, {0}, {1}, {3}, append([]byte{2}, long...), {2, 0xc8, 1}, {2, 1},
			{2, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff},
		} {
			rec := Record{ID: "id", Kind: kind, Version: 1}
			rec.State = ring.seal(&rec, 1, append(make([]byte, sealHeader), plain...))
			if err := ring.decode(rec, kind, blank(kind)); !errors.Is(err, ErrIntegrity) {
				t.Errorf("%s: plain text %x gives %v", kind, plain, err)
			}
		}
	}
}

// TestKindIsChecked: a record is read as what it was written.
func TestKindIsChecked(t *testing.T) {
	ring, err := ParseKeyring(NewKey())
	if err != nil {
		t.Fatal(err)
	}
	change := ring.encode(&number{Record: Record{ID: "id", Kind: kindNumber}})
	change.Record.Version++
	if err := ring.decode(
		change.Record,
		kindChallenge,
		new(challenge),
	); !errors.Is(
		err,
		ErrIntegrity,
	) {
		t.Errorf("a number is read as a challenge: %v", err)
	}
}

// FuzzState: whatever was sealed, opening it gives a record that reads the same when
// it is written again, or an integrity error.
func FuzzState(f *testing.F) {
	ring, err := ParseKeyring(NewKey())
	if err != nil {
		f.Fatal(err)
	}
	kind := func(kind string, of FactorType) Record {
		return Record{ID: "id", Kind: kind, Type: string(of)}
	}
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, s := range []stored{
		&factor{
			Record: kind(kindFactor, TypeTOTP),
			own:    &app{issuer: "a", account: "b", secret: []byte("secret"), nextStep: 3},
			name:   "phone", verified: true, success: at,
			guesses: limit.Failures{
				InARow: 2, Last: at, Bucket: limit.Bucket{Empty: at}, Disabled: true,
			},
			requests: []request{{key: []byte{1}, asked: []byte{2}, at: at, challengeID: "c"}},
			replaces: "d",
		},
		&factor{
			Record: kind(kindFactor, TypeSMS), own: &line{"+15005550006"},
			rest: []byte{7}, ownRest: []byte{9},
		},
		&factor{Record: kind(kindFactor, TypeGenericOTP), own: &delivery{}},
		&factor{Record: kind(kindFactor, TypeRecoveryCodes), own: &recoverySet{[]string{"hash"}}},
		&challenge{
			Record: kind(kindChallenge, ""), code: "123456", failures: 1,
			request:  request{key: []byte{1}, asked: []byte{2}, at: at, firstUse: true},
			redeemed: true, codesSeed: []byte{4}, codesSet: "f",
		},
		&number{Record: kind(kindNumber, ""), sends: limit.Messages{Times: limit.Day{at, at}, Since: at}},
		&user{
			Record:  kind(kindUser, ""),
			factors: []membership{{id: "a", backup: true, verified: true, lapses: at}},
			devices: []string{"e"}, set: []byte{3},
		},
		&device{
			Record: kind(kindDevice, ""), name: "Firefox", seed: []byte("seed"), uses: 2, trusted: at,
			guesses: limit.Day{at}, failures: 1, sends: limit.Messages{Times: limit.Day{at}, Since: at},
		},
	} {
		change := ring.encode(s)
		change.Record.Version = 1
		plain, err := ring.open(&change.Record)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(byte(slices.Index(kinds, s.columns().Kind)), plain)
	}
	f.Fuzz(func(t *testing.T, which byte, plain []byte) {
		kind := kinds[int(which)%len(kinds)]
		read := blank(kind)
		var rec Record
		columnFields(codec.NewReader(plain[min(1, len(plain)):]), &rec)
		rec.ID, rec.Kind, rec.Version = "id", kind, 1
		rec.State = ring.seal(&rec, 1, append(make([]byte, sealHeader), plain...))
		if err := ring.decode(rec, kind, read); err != nil {
			if !errors.Is(err, ErrIntegrity) {
				t.Fatal(err)
			}
			return
		}
		change := ring.encode(read)
		change.Record.Version++
		again := blank(kind)
		if err := ring.decode(change.Record, kind, again); err != nil {
			t.Fatal(err)
		}
		again.columns().Version--
		if !reflect.DeepEqual(read, again) {
			t.Fatalf("%+v was written as %+v", read, again)
		}
	})
}

// BenchmarkPurge deletes a million records, and reports the longest time that
// another goroutine waited for the lock meanwhile: it is held no longer than that.
func BenchmarkPurge(b *testing.B) {
	const n = 1_000_000
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var longest time.Duration
	for b.Loop() {
		b.StopTimer()
		m := new(MemoryStore)
		changes := make([]Change, 16)
		for i := 0; i < n; i += len(changes) {
			for j := range changes {
				changes[j] = Change{Record: Record{
					ID: fmt.Sprintf(
						"%s%026d",
						challengePrefix,
						i+j,
					),
					Kind:      kindChallenge,
					Parent:    factorPrefix + "0",
					Type:      string(TypeTOTP),
					Status:    statusPending,
					CreatedAt: at,
					UpdatedAt: at,
					ExpiresAt: at,
					State:     make([]byte, 90),
				}}
			}
			if err := m.Save(b.Context(), changes...); err != nil {
				b.Fatal(err)
			}
		}
		runtime.GC()
		done, waited := make(chan struct{}), make(chan time.Duration)
		go func() {
			var longest time.Duration
			for {
				select {
				case <-done:
					waited <- longest
					return
				default:
				}
				begin := time.Now()
				m.mu.Lock()
				wait := time.Since(begin)
				m.mu.Unlock()
				longest = max(longest, wait)
				time.Sleep(100 * time.Microsecond)
			}
		}()
		b.StartTimer()
		if purged, err := m.Purge(b.Context(), at.Add(time.Hour)); purged != n || err != nil {
			b.Fatal(purged, err)
		}
		b.StopTimer()
		close(done)
		longest = max(longest, <-waited)
		b.StartTimer()
	}
	b.ReportMetric(float64(longest.Microseconds())/1000, "longest-wait-ms")
}

// TestStoredRecoveryCodes: whoever has every row and the keyring finds neither a recovery
// code nor what it was made of. The seed alone makes other codes.
func TestStoredRecoveryCodes(t *testing.T) {
	const key, user = "a key that nobody guesses", "user_ann"
	store, now := new(MemoryStore), time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	svc, err := New(Config{
		Store: store, Keys: must(ParseKeyring(NewKey())), Now: func() time.Time { return now },
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	enr, err := svc.Enroll(t.Context(), EnrollParams{UserID: user, GenericOTP: true})
	if err != nil {
		t.Fatal(err)
	}
	ch, err := svc.Challenge(t.Context(), ChallengeParams{FactorID: enr.Factor.ID, UserID: user})
	if err != nil {
		t.Fatal(err)
	}
	v, err := svc.Verify(t.Context(), VerifyParams{
		ChallengeID: ch.ID, UserID: user, Code: ch.Code(), IdempotencyKey: key, NewRecoveryCodes: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	secrets := [][]byte{[]byte(key), []byte(hex.EncodeToString([]byte(key)))}
	for _, code := range v.RecoveryCodes.Codes() {
		plain := strings.ReplaceAll(code, "-", "")
		secrets = append(secrets, []byte(code), []byte(plain), must(crockford.DecodeString(plain)))
	}
	stored, opened := new(challenge), 0
	for _, kind := range kinds {
		records, err := store.List(t.Context(), Query{Kind: kind, Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		for _, rec := range records {
			state, err := svc.keys.open(&rec)
			if err != nil {
				t.Fatal(err)
			}
			opened++
			for i, secret := range secrets {
				if bytes.Contains(state, secret) ||
					strings.Contains(rec.ID+rec.UserID+rec.Parent+rec.Type+rec.Status, string(secret)) {
					t.Errorf("the %s has secret %d", kind, i)
				}
			}
			if kind != kindChallenge {
				continue
			}
			if err := svc.keys.decode(rec, kind, stored); err != nil {
				t.Fatal(err)
			}
		}
	}
	if opened != 4 { // the factor, the set, the challenge, the user
		t.Errorf("%d records were opened", opened)
	}
	if len(stored.codesSeed) != recoverySeedSize {
		t.Errorf("a seed of %d bytes", len(stored.codesSeed))
	}
	for _, guess := range []string{"", string(stored.request.key), string(stored.request.asked)} {
		if _, codes, err := derivedRecoverySet(
			stored.codesSeed,
			guess,
		); err != nil ||
			codes.Codes()[0] == v.RecoveryCodes.Codes()[0] {
			t.Errorf("what is stored makes the codes, %v", err)
		}
	}
}

// TestSeedEndsWithItsKey: once the key of the answer is forgotten, the seed is of no use,
// and is not kept. Without a key none is.
func TestSeedEndsWithItsKey(t *testing.T) {
	ch := &challenge{codesSeed: []byte{1}, codesSet: "auth_factor_1"}
	if ch.answered(nil, time.Time{}); ch.codesSeed != nil || ch.codesSet != "" {
		t.Errorf("seed %x of set %q", ch.codesSeed, ch.codesSet)
	}
	at := moment{now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	d := &verifying{held: held{moment: at, user: new(user)}, challenge: new(challenge)}
	if _, err := d.addRecoveryCodes(
		new(outcome),
	); err != nil || d.challenge.codesSeed != nil ||
		d.challenge.codesSet != "" {
		t.Errorf("without a key: seed %x of set %q, %v", d.challenge.codesSeed, d.challenge.codesSet, err)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestRefusalsAreDocumented: the doc comments of the verbs and docs/design.md have the
// reasons for which a call is refused in the order of the code.
func TestRefusalsAreDocumented(t *testing.T) {
	t.Run(
		"Challenge",
		func(t *testing.T) { testRefusals(t, "challenge.go", "Challenge", challengeRefusals) },
	)
	t.Run("Verify", func(t *testing.T) { testRefusals(t, "verify.go", "Verify", verifyRefusals) })
}

func testRefusals[D any](t *testing.T, file, verb string, refusals []refusal[D]) {
	t.Helper()
	named := map[string]error{
		"ErrInvalidParameter":            ErrInvalidParameter,
		"ErrNotFound":                    ErrNotFound,
		"ErrNoSMSSender":                 ErrNoSMSSender,
		"ErrPhoneNumberNotAllowed":       ErrPhoneNumberNotAllowed,
		"ErrFactorUnverified":            ErrFactorUnverified,
		"ErrIdempotencyKey":              ErrIdempotencyKey,
		"ErrFactorDisabled":              ErrFactorDisabled,
		"ErrThrottled":                   ErrThrottled,
		"ErrPumping":                     ErrPumping,
		"proof.ErrMismatch":              proof.ErrMismatch,
		"ErrChallengePreviouslyVerified": ErrChallengePreviouslyVerified,
		"ErrChallengeExpired":            ErrChallengeExpired,
		"ErrTooManyAttempts":             ErrTooManyAttempts,
	}
	var want []error
	var names []string
	for _, r := range refusals {
		want, names = append(want, r.reason), append(names, r.name)
	}
	var told []error
	for _, item := range regexp.MustCompile(
		`(?s)\n  - .*?\[([\w.]+)\]`,
	).FindAllStringSubmatch(methodDoc(t, file, verb), -1) {
		told = append(told, named[item[1]])
	}
	if len(told) == 0 || !errors.Is(told[0], ErrInvalidParameter) || !slices.Equal(told[1:], want) {
		t.Errorf("the doc comment has %v; the code refuses with %v", told, want)
	}
	design, err := os.ReadFile("docs/design.md")
	if err != nil {
		t.Fatal(err)
	}
	if line := verb + " refuses in this order: " + strings.Join(
		names,
		", ",
	) + "."; !strings.Contains(
		string(design),
		line,
	) {
		t.Errorf("docs/design.md lacks %q", line)
	}
}

// methodDoc is the doc comment of a method of Service.
func methodDoc(t *testing.T, file, name string) string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	for _, decl := range parsed.Decls {
		if f, ok := decl.(*ast.FuncDecl); ok && f.Name.Name == name && f.Recv != nil {
			return f.Doc.Text()
		}
	}
	t.Fatalf("%s has no %s", file, name)
	return ""
}
