package mfa

import (
	"bytes"
	"errors"
	"os"
	"reflect"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/authfactor/mfa/internal/codec"
	"github.com/authfactor/mfa/internal/limit"
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
	c.Rest(&n.later)
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
		change, err := ring.sealed(from)
		if err != nil {
			t.Fatal(err)
		}
		change.Record.Version++
		if err := ring.opened(change.Record, kindChallenge, to); err != nil {
			t.Fatal(err)
		}
	}
	rec := Record{ID: "auth_challenge_1", Kind: kindChallenge}
	written := &newer{challenge: challenge{Record: rec, code: "123456", failures: 3}, extra: "from a later version"}
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
		own:    &line{"+15005550006"}, ownLater: []byte{9}, name: "phone", later: []byte{7},
	}
	change, err := ring.sealed(written)
	if err != nil {
		t.Fatal(err)
	}
	change.Record.Version++
	read := new(factor)
	if err := ring.opened(change.Record, kindFactor, read); err != nil {
		t.Fatal(err)
	}
	if read.number() != "+15005550006" || string(read.ownLater) != "\x09" || read.name != "phone" || string(read.later) != "\x07" {
		t.Errorf("%q %x %q %x", read.number(), read.ownLater, read.name, read.later)
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
		{Record: Record{ID: "auth_factor_1", Kind: kindFactor, Type: string(TypeTOTP)}, own: &delivery{}, ownLater: []byte{0xff}},
	} {
		change, err := ring.sealed(f)
		if err != nil {
			t.Fatal(err)
		}
		change.Record.Version++
		if err := ring.opened(change.Record, kindFactor, new(factor)); !errors.Is(err, ErrIntegrity) {
			t.Errorf("%s: %v", f.Type, err)
		}
	}
}

// kinds are all kinds of records: TestKinds holds them against the source.
var kinds = []string{kindFactor, kindChallenge, kindNumber, kindUser, kindDevice}

// blank is a record of the kind to be read into.
func blank(kind string) stored {
	return map[string]stored{
		kindFactor: new(factor), kindChallenge: new(challenge), kindNumber: new(number), kindUser: new(user), kindDevice: new(device),
	}[kind]
}

func TestKinds(t *testing.T) {
	source, err := os.ReadFile("record.go")
	if err != nil {
		t.Fatal(err)
	}
	var declared []string
	for _, match := range regexp.MustCompile(`(?m)^\tkind[A-Z]\w* += "(\w+)"`).FindAllStringSubmatch(string(source), -1) {
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
		for _, plain := range [][]byte{{}, {0}, {1}, {3}, append([]byte{2}, long...), {2, 0xc8, 1}, {2, 1}, {2, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}} {
			rec := Record{ID: "id", Kind: kind, Version: 1}
			if rec.State, err = ring.seal(&rec, 1, append(make([]byte, sealHeader), plain...)); err != nil {
				t.Fatal(err)
			}
			if err := ring.opened(rec, kind, blank(kind)); !errors.Is(err, ErrIntegrity) {
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
	change, err := ring.sealed(&number{Record: Record{ID: "id", Kind: kindNumber}})
	if err != nil {
		t.Fatal(err)
	}
	change.Record.Version++
	if err := ring.opened(change.Record, kindChallenge, new(challenge)); !errors.Is(err, ErrIntegrity) {
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
	kind := func(kind string, of FactorType) Record { return Record{ID: "id", Kind: kind, Type: string(of)} }
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, s := range []stored{
		&factor{Record: kind(kindFactor, TypeTOTP), own: &app{issuer: "a", account: "b", secret: []byte("secret"), nextStep: 3}, name: "phone", verified: true, success: at, guesses: limit.Failures{InARow: 2, Last: at, Bucket: limit.Bucket{Empty: at}, Disabled: true}, requests: []request{{key: []byte{1}, asked: []byte{2}, at: at, challengeID: "c"}}, replaces: "d"},
		&factor{Record: kind(kindFactor, TypeSMS), own: &line{"+15005550006"}, later: []byte{7}, ownLater: []byte{9}},
		&factor{Record: kind(kindFactor, TypeGenericOTP), own: &delivery{}},
		&factor{Record: kind(kindFactor, TypeRecoveryCodes), own: &recoverySet{[]string{"hash"}}},
		&challenge{Record: kind(kindChallenge, ""), code: "123456", failures: 1, request: request{key: []byte{1}, asked: []byte{2}, at: at, firstUse: true}, spent: true, codesSeed: []byte{4}, codesSet: "f"},
		&number{Record: kind(kindNumber, ""), sends: limit.Messages{Times: limit.Day{at, at}, Since: at}},
		&user{Record: kind(kindUser, ""), factors: []membership{{id: "a", backup: true, verified: true, lapses: at}}, devices: []string{"e"}, set: []byte{3}},
		&device{Record: kind(kindDevice, ""), name: "Firefox", seed: []byte("seed"), uses: 2, trusted: at, guesses: limit.Day{at}, failures: 1, sends: limit.Messages{Times: limit.Day{at}, Since: at}},
	} {
		change, err := ring.sealed(s)
		if err != nil {
			f.Fatal(err)
		}
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
		rec.State, err = ring.seal(&rec, 1, append(make([]byte, sealHeader), plain...))
		if err != nil {
			t.Fatal(err)
		}
		if err := ring.opened(rec, kind, read); err != nil {
			if !errors.Is(err, ErrIntegrity) {
				t.Fatal(err)
			}
			return
		}
		change, err := ring.sealed(read)
		if err != nil {
			t.Fatal(err)
		}
		change.Record.Version++
		again := blank(kind)
		if err := ring.opened(change.Record, kind, again); err != nil {
			t.Fatal(err)
		}
		again.columns().Version--
		if !reflect.DeepEqual(read, again) {
			t.Fatalf("%+v was written as %+v", read, again)
		}
	})
}
