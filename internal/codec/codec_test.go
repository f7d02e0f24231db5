package codec_test

import (
	"bytes"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/authfactor/mfa/internal/codec"
)

// A row has a field of each type.
type row struct {
	Number int64
	Flag   bool
	At     time.Time
	Raw    []byte
	Text   string
	Words  []string
	Pairs  []pair
	Own    []byte // the rest of a part
	Later  []byte
}

type pair struct {
	At   time.Time
	Text string
}

const most = 3 // elements of a list

func (r *row) fields(c *codec.Codec) {
	c.Int(&r.Number)
	c.Bool(&r.Flag)
	c.Time(&r.At)
	c.Bytes(&r.Raw)
	c.String(&r.Text)
	codec.List(c, &r.Words, most, c.String)
	codec.List(c, &r.Pairs, most, func(p *pair) {
		c.Time(&p.At)
		c.String(&p.Text)
	})
	c.Part(func(c *codec.Codec) { c.Rest(&r.Own) })
	c.Rest(&r.Later)
}

func write(r row) []byte {
	c := codec.NewWriter(nil)
	r.fields(c)
	return c.Written()
}

// read returns what data has, and whether it is well formed.
func read(data []byte) (r row, ok bool) {
	c := codec.NewReader(data)
	r.fields(c)
	return r, !c.Bad()
}

var (
	at   = time.Date(2026, 1, 1, 12, 0, 0, 123e6, time.UTC)
	full = row{
		Number: math.MinInt64, Flag: true, At: at, Raw: []byte{0, 0xff}, Text: "\x00\xff", Words: []string{"a", "", "c"},
		Pairs: []pair{{at, "d"}, {}}, Own: bytes.Repeat([]byte{7}, 100), Later: []byte{9},
	}
	empty = row{Raw: []byte{}, Words: []string{}, Pairs: []pair{}, Own: []byte{}, Later: []byte{}}
)

// TestRoundTrip: what is written is what is read.
func TestRoundTrip(t *testing.T) {
	for _, want := range []row{full, empty} {
		got, ok := read(write(want))
		if !ok || !reflect.DeepEqual(got, want) {
			t.Errorf("%t, %+v, want %+v", ok, got, want)
		}
	}
}

// TestWriterAppends: a writer goes on after what it was given.
func TestWriterAppends(t *testing.T) {
	c := codec.NewWriter([]byte("before"))
	if c.Reading() {
		t.Error("a writer reads")
	}
	text := "after"
	c.String(&text)
	if got := c.Written(); !bytes.Equal(got, append([]byte("before"), 10, 'a', 'f', 't', 'e', 'r')) {
		t.Errorf("%q", got)
	}
}

// TestTimeIsInMilliseconds: a time is read as UTC, without what is less.
func TestTimeIsInMilliseconds(t *testing.T) {
	got, _ := read(write(row{At: at.Add(456789).In(time.FixedZone("", 3600))}))
	if got.At != at {
		t.Errorf("%v, want %v", got.At, at)
	}
}

// TestWhatNobodyWroteIsZero: fields that the bytes end before are read as zero, whatever
// was there.
func TestWhatNobodyWroteIsZero(t *testing.T) {
	c, got := codec.NewReader([]byte{}), full
	got.fields(c)
	if !reflect.DeepEqual(got, empty) || c.Bad() {
		t.Errorf("%t, %+v", c.Bad(), got)
	}
}

// TestMalformed: what no writer wrote is malformed, and reads as little as can be.
func TestMalformed(t *testing.T) {
	unfinished := bytes.Repeat([]byte{0xff}, 11)
	for what, tt := range map[string]struct {
		data []byte
		read func(*codec.Codec)
	}{
		"an integer without an end":    {[]byte{0x80}, func(c *codec.Codec) { c.Int(new(int64)) }},
		"an integer of too many bytes": {unfinished, func(c *codec.Codec) { c.Int(new(int64)) }},
		"a bool without an end":        {[]byte{0x80}, func(c *codec.Codec) { c.Bool(new(bool)) }},
		"a time without an end":        {[]byte{0x80}, func(c *codec.Codec) { c.Time(new(time.Time)) }},
		"bytes longer than what is left": {[]byte{4, 'a'}, func(c *codec.Codec) {
			c.Bytes(new([]byte))
		}},
		"a string longer than what is left": {[]byte{4, 'a'}, func(c *codec.Codec) {
			c.String(new(string))
		}},
		"bytes of a negative length":  {[]byte{1, 'a'}, func(c *codec.Codec) { c.Bytes(new([]byte)) }},
		"a string of negative length": {[]byte{1, 'a'}, func(c *codec.Codec) { c.String(new(string)) }},
		"a list of too many elements": {[]byte{2 * (most + 1), 0, 0, 0, 0}, func(c *codec.Codec) {
			codec.List(c, new([]string), most, c.String)
		}},
		"a list of a negative length": {[]byte{1, 0}, func(c *codec.Codec) {
			codec.List(c, new([]string), most, c.String)
		}},
		"a part longer than what is left": {[]byte{4, 'a'}, func(c *codec.Codec) {
			c.Part(func(*codec.Codec) {})
		}},
		"a part that is malformed": {[]byte{2, 4, 'a', 'b'}, func(c *codec.Codec) {
			c.Part(func(c *codec.Codec) { c.String(new(string)) })
		}},
		"what its reader refuses": {[]byte{0, 0}, (*codec.Codec).Refuse},
	} {
		c := codec.NewReader(tt.data)
		tt.read(c)
		if !c.Bad() {
			t.Errorf("%s is taken", what)
		}
		rest := []byte("x")
		if c.Rest(&rest); len(rest) > 0 {
			t.Errorf("after %s %q is read", what, rest)
		}
	}
}

// TestPart: a part begins with its length, its fields read no further than it goes, and what
// they leave of it is passed over.
func TestPart(t *testing.T) {
	text := "own"
	c := codec.NewWriter([]byte("before"))
	c.Part(func(c *codec.Codec) { c.String(&text) })
	if got := string(c.Written()); got != "before\x08\x06own" {
		t.Errorf("%q", got)
	}
	c = codec.NewReader([]byte("\x04abc"))
	var all, after []byte
	c.Part(func(c *codec.Codec) { c.Rest(&all) })
	c.Rest(&after)
	if string(all) != "ab" || string(after) != "c" || c.Bad() {
		t.Errorf("%q, then %q, bad %t", all, after, c.Bad())
	}
	c = codec.NewReader([]byte("\x04abc"))
	c.Part(func(*codec.Codec) {})
	if c.Rest(&after); string(after) != "c" || c.Bad() {
		t.Errorf("%q after a part that nobody reads, bad %t", after, c.Bad())
	}
}

// TestRestIsKept: who knows fewer fields writes back those that they do not know.
func TestRestIsKept(t *testing.T) {
	data := write(full)
	c := codec.NewReader(slices.Clone(data))
	var number int64
	var later []byte
	c.Int(&number)
	c.Rest(&later)
	number++
	c = codec.NewWriter(nil)
	c.Int(&number)
	c.Rest(&later)
	want := full
	want.Number++
	if got, ok := read(c.Written()); !ok || !reflect.DeepEqual(got, want) {
		t.Errorf("%t, %+v, want %+v", ok, got, want)
	}
}

// FuzzCodec: whatever the bytes, reading them gives a row that reads the same when it is
// written again, or they are malformed; and no list or text is longer than it may be.
func FuzzCodec(f *testing.F) {
	f.Add(write(full))
	f.Add(write(empty))
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{0xff}, 30))
	f.Add(append(write(full)[:30], 0x80))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, ok := read(slices.Clone(data))
		if len(got.Words) > most || len(got.Pairs) > most || len(got.Raw)+len(got.Text)+len(strings.Join(got.Words, "")) > len(data) {
			t.Fatalf("%d bytes were read as %+v", len(data), got)
		}
		if !ok {
			return
		}
		again, ok := read(write(got))
		if !ok || !reflect.DeepEqual(again, got) {
			t.Fatalf("%+v was written and read as %t, %+v", got, ok, again)
		}
	})
}
