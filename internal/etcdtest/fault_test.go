package etcdtest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/etcdstore"
	"github.com/authfactor/mfa/internal/etcdtest"
	"github.com/authfactor/mfa/mfatest"
)

func challenge(id string, version int64) mfa.Change {
	created := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return mfa.Change{Record: mfa.Record{
		ID: id, Kind: "challenge", Version: version, State: []byte{1},
		CreatedAt: created, UpdatedAt: created, ExpiresAt: created.Add(10 * time.Minute),
	}}
}

func save(t *testing.T, store mfa.Store, changes ...mfa.Change) {
	t.Helper()
	if err := store.Save(t.Context(), changes...); err != nil {
		t.Fatal(err)
	}
}

// versions are those of the challenges.
func versions(t *testing.T, store mfa.Store) string {
	t.Helper()
	records, err := store.List(t.Context(), mfa.Query{Kind: "challenge", Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, r := range records {
		all = append(all, fmt.Sprintf("%s %d", r.ID, r.Version))
	}
	return strings.Join(all, ", ")
}

func keys(t *testing.T, client *clientv3.Client, prefix string) (found []string) {
	t.Helper()
	reply, err := client.Get(t.Context(), prefix, clientv3.WithPrefix(), clientv3.WithKeysOnly())
	if err != nil {
		t.Fatal(err)
	}
	for _, kv := range reply.Kvs {
		found = append(found, string(kv.Key))
	}
	return found
}

// TestNothingLeft: deleting every record leaves no key behind, also of those whose
// ExpiresAt has moved.
func TestNothingLeft(t *testing.T) {
	client, own := etcdtest.Shared(t).Client(t), prefix()
	store := open(t, client, own)
	const n = 100
	for i := range n {
		c := challenge(fmt.Sprintf("id %04d", i), 0)
		if i%2 == 0 {
			c.Record.Kind, c.Record.UserID = "factor", fmt.Sprint("user/", i)
		}
		save(t, store, c)
		if i%4 > 1 { // to a later time, and to a sooner one
			c.Record.Version = 1
			c.Record.ExpiresAt = c.Record.ExpiresAt.Add(time.Duration(i-n/2) * time.Second)
			save(t, store, c)
		}
	}
	save(t, store, mfa.Change{Record: mfa.Record{ID: "id 0000", Version: 1}, Delete: true})
	if n, err := store.Purge(t.Context(), time.Now()); err != nil || n != 99 {
		t.Errorf("purged %d, %v; want 99", n, err)
	}
	if left := keys(t, client, own); len(left) > 0 {
		t.Errorf("keys left: %q", left)
	}
}

// TestUsersDoNotMix: a user id that looks like a part of a key is not taken for one.
func TestUsersDoNotMix(t *testing.T) {
	store := open(t, etcdtest.Shared(t).Client(t), prefix())
	users := []string{"a", "a/b", "3/a", "1/a/", "a/1/a"}
	for i, user := range users {
		c := challenge(fmt.Sprintf("b/%d", i), 0)
		c.Record.UserID = user
		save(t, store, c)
	}
	for i, user := range users {
		found, err := store.List(t.Context(), mfa.Query{Kind: "challenge", UserID: user, Limit: 10})
		if err != nil || len(found) != 1 || found[0].ID != fmt.Sprintf("b/%d", i) {
			t.Errorf("user %q: %v, %v", user, found, err)
		}
	}
}

// TestEdited: whatever somebody does to the keys of a factor, it is an integrity error or
// not found.
func TestEdited(t *testing.T) {
	client, own := etcdtest.Shared(t).Client(t), prefix()
	svc, err := mfa.New(mfa.Config{Store: open(t, client, own), Keys: mfatest.Keys()})
	if err != nil {
		t.Fatal(err)
	}
	put := func(change func(value []byte) []byte) func(key string) error {
		return func(key string) error {
			found, err := client.Get(t.Context(), key)
			if err != nil {
				return err
			}
			_, err = client.Put(t.Context(), key, string(change(found.Kvs[0].Value)))
			return err
		}
	}
	for name, tt := range map[string]struct {
		edit func(key string) error
		want error
	}{
		"deleted": {func(key string) error {
			_, err := client.Delete(t.Context(), key)
			return err
		}, mfa.ErrNotFound},
		"written again":   {put(func(v []byte) []byte { return v }), mfa.ErrIntegrity},
		"emptied":         {put(func([]byte) []byte { return nil }), mfa.ErrIntegrity},
		"text":            {put(func([]byte) []byte { return []byte("x") }), mfa.ErrIntegrity},
		"cut":             {put(func(v []byte) []byte { return v[:len(v)-1] }), mfa.ErrIntegrity},
		"longer":          {put(func(v []byte) []byte { return append(v, 0) }), mfa.ErrIntegrity},
		"of later format": {put(func(v []byte) []byte { v[0]++; return v }), mfa.ErrIntegrity},
	} {
		enr, err := svc.Enroll(t.Context(), mfa.EnrollParams{
			UserID: name, TOTP: &mfa.TOTPParams{Issuer: "a", User: "b"},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := tt.edit(own + "r/" + enr.Factor.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := svc.Factor(t.Context(), mfa.FactorParams{
			FactorID: enr.Factor.ID, UserID: enr.Factor.UserID,
		}); !errors.Is(err, tt.want) {
			t.Errorf("%s: error %v, want %v", name, err, tt.want)
		}
		if factors, err := svc.Factors(t.Context(), name); err == nil && len(factors) > 0 {
			t.Errorf("%s: listed %v", name, factors)
		}
	}
}

// TestMalformedDoesNotStopPurge: a value that is no record stays, and those after it go.
func TestMalformedDoesNotStopPurge(t *testing.T) {
	client, own := etcdtest.Shared(t).Client(t), prefix()
	store := open(t, client, own)
	save(t, store, challenge("a", 0), challenge("b", 0), challenge("c", 0))
	for key, value := range map[string]string{own + "r/b": "x", own + "e/0": "", own + "e/x/y": ""} {
		if _, err := client.Put(t.Context(), key, value); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := store.Purge(t.Context(), time.Now()); err != nil || n != 2 {
		t.Errorf("purged %d, %v; want 2", n, err)
	}
	if _, err := store.Load(t.Context(), "b"); !errors.Is(err, mfa.ErrIntegrity) {
		t.Errorf("error %v, want ErrIntegrity", err)
	}
}

// through connects through a hook, which is asked before and after each transaction that
// writes, and each read. (New sends a transaction as well.)
func through(t *testing.T, hook grpc.UnaryClientInterceptor) *clientv3.Client {
	t.Helper()
	client, err := etcdtest.NewClient(etcdtest.Shared(t).Endpoints(), grpc.WithChainUnaryInterceptor(hook))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// writes reports whether a request is a Save.
func writes(request any) bool {
	txn, ok := request.(*etcdserverpb.TxnRequest)
	return ok && len(txn.Compare) > 0
}

// errLostAnswer is what a caller learns of a Save that was made, if its member dies.
var errLostAnswer = status.Error(codes.Unavailable, "etcdserver: request timed out, possibly due to previous leader failure")

// TestLostAnswer: a Save whose answer is lost was made once, and says so. If the record was
// changed meanwhile, nobody knows, and it says that: it is no success and no conflict.
func TestLostAnswer(t *testing.T) {
	own := prefix()
	direct := open(t, etcdtest.Shared(t).Client(t), own)
	var lose atomic.Int64
	var meanwhile func() // between the first time and the second
	client := through(t, func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, next grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		err := next(ctx, method, req, reply, cc, opts...)
		if writes(req) && err == nil && lose.Add(-1) >= 0 {
			if meanwhile != nil {
				meanwhile()
			}
			return errLostAnswer
		}
		return err
	})
	store := open(t, client, own)
	for _, tt := range []struct {
		name      string
		changes   []mfa.Change
		meanwhile func()
		unknown   bool
		want      string
	}{
		{"insert", []mfa.Change{challenge("a", 0), challenge("b", 0)}, nil, false, "a 1, b 1"},
		{"replace", []mfa.Change{challenge("a", 1)}, nil, false, "a 2, b 1"},
		{"delete with another change", []mfa.Change{
			{Record: mfa.Record{ID: "b", Version: 1}, Delete: true}, challenge("a", 2),
		}, nil, false, "a 3"},
		{"replace, and another call replaces", []mfa.Change{challenge("a", 3)}, func() {
			save(t, direct, challenge("a", 4))
		}, true, "a 5"},
		{"delete alone", []mfa.Change{{Record: mfa.Record{ID: "a", Version: 5}, Delete: true}}, nil, true, ""},
	} {
		meanwhile = tt.meanwhile
		lose.Store(3)
		if tt.meanwhile != nil {
			lose.Store(1)
		}
		err := store.Save(t.Context(), tt.changes...)
		if tt.unknown && (err == nil || errors.Is(err, mfa.ErrConflict) || !strings.Contains(err.Error(), "unknown")) {
			t.Errorf("%s: error %v, want one that leaves open what happened", tt.name, err)
		} else if !tt.unknown && err != nil {
			t.Errorf("%s: error %v, want nil", tt.name, err)
		}
		if got := versions(t, direct); got != tt.want {
			t.Errorf("%s: stored %q, want %q", tt.name, got, tt.want)
		}
	}
	// That the first version differs is a conflict as ever.
	lose.Store(1)
	if err := store.Save(t.Context(), challenge("gone", 7)); err == nil || errors.Is(err, mfa.ErrConflict) {
		t.Errorf("a conflict whose answer was lost: error %v, want one that leaves open what happened", err)
	}
	lose.Store(0)
	if err := store.Save(t.Context(), challenge("gone", 7)); !errors.Is(err, mfa.ErrConflict) {
		t.Errorf("error %v, want a conflict", err)
	}
}

// TestRefused: what a member refuses before it passes it on leaves nothing open: when it is
// sent again, and the record was changed meanwhile, it is a conflict.
func TestRefused(t *testing.T) {
	for _, text := range []string{"etcdserver: no leader", "etcdserver: too many requests"} {
		own := prefix()
		direct := open(t, etcdtest.Shared(t).Client(t), own)
		save(t, direct, challenge("a", 0))
		var refuse atomic.Int64
		client := through(t, func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, next grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			switch n := refuse.Add(-1); {
			case writes(req) && n > 0:
				return status.Error(map[bool]codes.Code{true: codes.Unavailable, false: codes.ResourceExhausted}[strings.HasSuffix(text, "leader")], text)
			case writes(req) && n == 0:
				save(t, direct, challenge("a", 1))
				return status.Error(codes.Unavailable, "etcdserver: no leader")
			}
			return next(ctx, method, req, reply, cc, opts...)
		})
		store := open(t, client, own)
		refuse.Store(3)
		if err := store.Save(t.Context(), challenge("b", 0), challenge("a", 1)); !errors.Is(err, mfa.ErrConflict) {
			t.Errorf("%s: error %v, want a conflict", text, err)
		}
		if got := versions(t, direct); got != "a 2" {
			t.Errorf("%s: stored %q", text, got)
		}
	}
}

// TestNoAnswer: while no member answers, calls end in an error, with the context at the
// latest, and it is no conflict.
func TestNoAnswer(t *testing.T) {
	var cut atomic.Bool
	client := through(t, func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, next grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		if cut.Load() {
			<-ctx.Done()
			return status.FromContextError(ctx.Err()).Err()
		}
		return next(ctx, method, req, reply, cc, opts...)
	})
	store := open(t, client, prefix())
	cut.Store(true)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, load := store.Load(ctx, "a")
	_, list := store.List(ctx, mfa.Query{Kind: "challenge", Limit: 1})
	_, purge := store.Purge(ctx, time.Now())
	for name, err := range map[string]error{
		"Load": load, "List": list, "Purge": purge, "Save": store.Save(ctx, challenge("a", 0)),
	} {
		if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, mfa.ErrConflict) {
			t.Errorf("%s: error %v, want that of the context", name, err)
		}
	}
}

// TestSilentMember: a try that has no answer in three seconds is made again.
func TestSilentMember(t *testing.T) {
	own := prefix()
	var silent atomic.Bool
	client := through(t, func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, next grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		err := next(ctx, method, req, reply, cc, opts...)
		if writes(req) && silent.CompareAndSwap(true, false) {
			<-ctx.Done() // it was made, and nobody says so
			return status.FromContextError(ctx.Err()).Err()
		}
		return err
	})
	store := open(t, client, own)
	silent.Store(true)
	save(t, store, challenge("a", 0))
	if got := versions(t, store); got != "a 1" {
		t.Errorf("stored %q", got)
	}
}

// TestCompacted: if the revision that a call reads is compacted between two of its reads, it
// reads again, and returns what is there then.
func TestCompacted(t *testing.T) {
	cluster, own := etcdtest.Start(t, etcdtest.Options{}), prefix() // others would be compacted as well
	direct := cluster.Client(t)
	var armed atomic.Bool
	client, err := etcdtest.NewClient(cluster.Endpoints(), grpc.WithChainUnaryInterceptor(
		func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, next grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			err := next(ctx, method, req, reply, cc, opts...)
			if armed.CompareAndSwap(true, false) {
				put, err := direct.Put(ctx, "something else", "")
				if err != nil {
					return err
				}
				if _, err := direct.Compact(ctx, put.Header.Revision); err != nil {
					return err
				}
			}
			return err
		}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	store := open(t, client, own)
	child := challenge("child", 0)
	child.Record.Parent = "parent"
	save(t, store, child, challenge("parent", 0))
	armed.Store(true)
	if found, err := store.Load(t.Context(), "child"); err != nil || len(found) != 2 {
		t.Errorf("loaded %v, %v; want both", found, err)
	}
	if armed.Swap(true) {
		t.Error("nothing was compacted")
	}
	if got := versions(t, store); got != "child 1, parent 1" {
		t.Errorf("listed %q", got)
	}
	if armed.Load() {
		t.Error("nothing was compacted")
	}
}

// TestFull: a database that has reached its quota takes no Save, and no error is a success
// or a conflict. It is read as before, New warns of it, and Purge deletes what expired.
func TestFull(t *testing.T) {
	cluster, own := etcdtest.Start(t, etcdtest.Options{Quota: 8 << 20}), prefix()
	client := cluster.Client(t)
	store := open(t, client, own)
	save(t, store, challenge("a", 0))
	var err error
	for i := 0; err == nil; i++ {
		c := challenge(fmt.Sprint("id ", i), 0)
		c.Record.State = bytes.Repeat([]byte{7}, 64<<10)
		if err = store.Save(t.Context(), c); errors.Is(err, mfa.ErrConflict) {
			t.Fatal(err)
		}
	}
	if !strings.Contains(err.Error(), "database space exceeded") {
		t.Errorf("error %v", err)
	}
	if found, err := store.Load(t.Context(), "a"); err != nil || len(found) != 1 {
		t.Errorf("loaded %v, %v", found, err)
	}
	var log bytes.Buffer
	if _, err := etcdstore.New(t.Context(), etcdstore.Config{
		Client: client, Prefix: own, Logger: slog.New(slog.NewTextHandler(&log, nil)),
	}); err != nil || !strings.Contains(log.String(), "reached its quota") {
		t.Errorf("New: error %v, log %s", err, log.String())
	}
	if n, err := store.Purge(t.Context(), time.Now()); err != nil || n == 0 {
		t.Errorf("purged %d, %v", n, err)
	}
	if got := versions(t, store); got != "" {
		t.Errorf("left: %q", got)
	}
}
