package etcdstore

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/internal/codec"
)

// keys makes the keys under a prefix. A user id may contain anything, so its length
// stands in front of it; kinds have no slash.
type keys string

func (k keys) record(id string) string { return string(k) + "r/" + id }

// ofKind and ofUser begin the entries of an index, which end in the id.
func (k keys) ofKind(kind string) string { return string(k) + "k/" + kind + "/" }

func (k keys) ofUser(kind, user string) string {
	return string(k) + "u/" + kind + "/" + strconv.Itoa(len(user)) + "/" + user + "/"
}

// expiry begins the entries of the records that expire at a time, and stands in order of time.
func (k keys) expiry(t time.Time) string { return fmt.Sprintf("%se/%015d/", k, t.UnixMilli()) }

// expires is an entry of the index by time, taken apart. ok is false for what no Save wrote.
func (k keys) expires(key string) (id string, at time.Time, ok bool) {
	text, id, found := strings.Cut(strings.TrimPrefix(key, string(k)+"e/"), "/")
	ms, err := strconv.ParseInt(text, 10, 64)
	at = time.UnixMilli(ms).UTC()
	return id, at, found && err == nil && ms >= 0 && k.expiry(at)+id == key
}

// entries are the keys of a record in the indexes that never change, and with them the one
// that it has there for its ExpiresAt now.
func (k keys) entries(r *mfa.Record) []string {
	all := []string{k.ofKind(r.Kind) + r.ID}
	if r.UserID != "" {
		all = append(all, k.ofUser(r.Kind, r.UserID)+r.ID)
	}
	if !r.ExpiresAt.IsZero() {
		all = append(all, k.expiry(r.ExpiresAt)+r.ID)
	}
	return all
}

const (
	format   = 1                   // the first byte of a value
	markSize = 16                  // bytes of a mark
	maxMilli = 253402300800000 - 1 // the last millisecond of the year 9999
)

// A mark is a random number of one Save, and part of all values that it writes. So a Save
// that is sent once more, because its answer was lost, finds out that it was made.
type mark [markSize]byte

// value is a record as it is stored. ID is in the key, and Version is etcd's own count of
// the writes of that key.
func value(r *mfa.Record, m mark) []byte {
	buf := make([]byte, 0, 1+markSize+len(r.State)+len(r.UserID)+256)
	c := codec.NewWriter(append(append(buf, format), m[:]...))
	columns(c, r)
	return c.Written()
}

func columns(c *codec.Codec, r *mfa.Record) {
	c.String(&r.Kind)
	c.String(&r.Parent)
	c.String(&r.UserID)
	c.String(&r.Type)
	c.String(&r.Status)
	instant(c, &r.CreatedAt)
	instant(c, &r.UpdatedAt)
	instant(c, &r.ExpiresAt)
	c.Bytes(&r.State)
}

// instant is a time in milliseconds and one more, because 0 is none, and 1970 began at 0.
func instant(c *codec.Codec, t *time.Time) {
	var n int64
	if !t.IsZero() {
		n = t.UnixMilli() + 1
	}
	if c.Int(&n); !c.Reading() {
		return
	}
	switch *t = (time.Time{}); {
	case n < 0 || n > maxMilli+1:
		c.Refuse()
	case n > 0:
		*t = time.UnixMilli(n - 1).UTC()
	}
}

// record reads what value made. Whatever else is there, because somebody edited it, is
// [mfa.ErrIntegrity]: a value is taken only if its record is stored in these very bytes.
func record(id string, kv *mvccpb.KeyValue) (mfa.Record, error) {
	r := mfa.Record{ID: id, Version: kv.Version}
	m, ok := markOf(kv)
	if ok {
		c := codec.NewReader(kv.Value[1+markSize:])
		columns(c, &r)
		ok = !c.Bad() && bytes.Equal(kv.Value, value(&r, m))
	}
	if !ok {
		return mfa.Record{}, fmt.Errorf("%w: etcdstore: the value of record %s is malformed",
			mfa.ErrIntegrity, id)
	}
	return r, nil
}

// markOf is the mark of the Save that wrote a value.
func markOf(kv *mvccpb.KeyValue) (m mark, ok bool) {
	if len(kv.Value) < 1+markSize || kv.Value[0] != format {
		return mark{}, false
	}
	copy(m[:], kv.Value[1:])
	return m, true
}
