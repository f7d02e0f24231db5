package etcdstore

import (
	"bytes"
	"errors"
	"reflect"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/authfactor/mfa"
)

var (
	full = mfa.Record{
		ID: "id", Kind: "factor", Parent: "parent", UserID: "Ann/é\x00", Type: "totp", Status: "verified",
		CreatedAt: time.UnixMilli(0).UTC(), UpdatedAt: time.UnixMilli(1).UTC(),
		ExpiresAt: time.UnixMilli(maxMilli).UTC(), State: []byte{0, 0xff}, Version: 3,
	}
	empty = mfa.Record{ID: "id", State: []byte{}, Version: 1}
)

// TestValue: what is stored is what is read, the first and the last moment included.
func TestValue(t *testing.T) {
	for _, want := range []mfa.Record{full, empty} {
		got, err := record(want.ID, &mvccpb.KeyValue{Value: value(&want, mark{7}), Version: want.Version})
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%+v, %v; want %+v", got, err, want)
		}
	}
}

// TestMalformedValues: every byte that is missing, too much or of another format is found.
func TestMalformedValues(t *testing.T) {
	good := value(&full, mark{7})
	bad := map[string][]byte{
		"longer":          append(bytes.Clone(good), 0),
		"another format":  append([]byte{format + 1}, good[1:]...),
		"a long varint":   append(value(&empty, mark{})[:1+markSize], 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0),
		"of year 10000":   nil,
		"a negative time": nil,
	}
	for i := range good {
		if _, err := record("id", &mvccpb.KeyValue{Value: good[:i]}); !errors.Is(err, mfa.ErrIntegrity) {
			t.Errorf("the first %d bytes: error %v, want ErrIntegrity", i, err)
		}
	}
	late, early := empty, empty
	late.CreatedAt, early.CreatedAt = time.UnixMilli(maxMilli+1), time.UnixMilli(-2)
	bad["of year 10000"], bad["a negative time"] = value(&late, mark{}), value(&early, mark{})
	for name, data := range bad {
		if _, err := record("id", &mvccpb.KeyValue{Value: data}); !errors.Is(err, mfa.ErrIntegrity) {
			t.Errorf("%s: error %v, want ErrIntegrity", name, err)
		}
	}
}

// FuzzValue: whatever stands in a value, it is the one form of a record, or refused.
func FuzzValue(f *testing.F) {
	for _, r := range []mfa.Record{full, empty} {
		f.Add(value(&r, mark{7}))
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		kv := &mvccpb.KeyValue{Value: data, Version: 5}
		r, err := record("id", kv)
		if err != nil {
			if !errors.Is(err, mfa.ErrIntegrity) || !reflect.DeepEqual(r, mfa.Record{}) {
				t.Fatalf("%+v, %v", r, err)
			}
			return
		}
		m, ok := markOf(kv)
		if again := value(&r, m); !ok || !bytes.Equal(again, data) {
			t.Fatalf("%x is read as %+v, which is stored as %x", data, r, again)
		}
		for _, at := range []time.Time{r.CreatedAt, r.UpdatedAt, r.ExpiresAt} {
			if !at.IsZero() && (at.Year() < 1970 || at.Year() > 9999 || at.Location() != time.UTC) {
				t.Fatalf("%x has the time %s", data, at)
			}
		}
	})
}

// TestExpiryKeys: entries stand in order of time, and are read as they were made.
func TestExpiryKeys(t *testing.T) {
	k, last := keys("mfa/"), ""
	for _, ms := range []int64{0, 9, 10, 1e12, 1e13, maxMilli} {
		at := time.UnixMilli(ms).UTC()
		key := k.expiry(at) + "an/id"
		if id, got, ok := k.expires(key); !ok || id != "an/id" || got != at {
			t.Errorf("%s is read as %q, %s, %t", key, id, got, ok)
		}
		if key <= last {
			t.Errorf("%s stands before %s", key, last)
		}
		last = key
	}
	for _, key := range []string{
		"mfa/e/", "mfa/e/1/a", "mfa/e/x/a", "mfa/e/-00000000000001/a", "mfa/e/000000000000001",
	} {
		if _, _, ok := k.expires(key); ok {
			t.Errorf("%s is taken for an entry", key)
		}
	}
}

// TestVersions: which versions of etcd are new enough.
func TestVersions(t *testing.T) {
	for version, want := range map[string]bool{
		"3.5.6": true, "3.5.21": true, "3.6.0": true, "3.6.0-rc.1": true, "3.10.0": true, "4.0.0": true,
		"3.5.5": false, "3.4.36": false, "2.9.9": false,
		"3.5": false, "": false, "x.y.z": false, "3.5.x": false,
	} {
		if got := recent(version); got != want {
			t.Errorf("%q: %t, want %t", version, got, want)
		}
	}
}
