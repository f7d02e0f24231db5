package etcdtest_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/authfactor/mfa/etcdstore"
	"github.com/authfactor/mfa/internal/etcdtest"
)

// try is a New, and what it logged.
func try(t *testing.T, client *clientv3.Client, prefix string) (store *etcdstore.Store, log string, err error) {
	t.Helper()
	var text bytes.Buffer
	store, err = etcdstore.New(t.Context(), etcdstore.Config{
		Client: client, Prefix: prefix, Logger: slog.New(slog.NewTextHandler(&text, nil)),
	})
	return store, text.String(), err
}

// refuses fails unless New returns an error with this text.
func refuses(t *testing.T, client *clientv3.Client, prefix, want string) {
	t.Helper()
	if _, _, err := try(t, client, prefix); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want one that says %q", err, want)
	}
}

func connect(t *testing.T, endpoints ...string) *clientv3.Client {
	t.Helper()
	client, err := etcdtest.NewClient(endpoints)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// TestConfig: what New says of configurations, and that it writes nothing.
func TestConfig(t *testing.T) {
	cluster := etcdtest.Start(t, etcdtest.Options{})
	client := cluster.Client(t)
	refuses(t, nil, "", "Config.Client is required")
	for _, illegal := range []string{"mfa", "/\x00/", "é/", strings.Repeat("a", 200) + "/"} {
		refuses(t, client, illegal, "Config.Prefix")
	}
	for _, legal := range []string{"", "/", "a b/", strings.Repeat("a", 199) + "/"} {
		if _, log, err := try(t, client, legal); err != nil || log != "" {
			t.Errorf("prefix %q: error %v, log %s", legal, err, log)
		}
	}
	if found := keys(t, client, "\x00"); len(found) > 0 {
		t.Errorf("New wrote %q", found)
	}
	store, _, err := try(t, client, "")
	if err != nil {
		t.Fatal(err)
	}
	save(t, store, challenge("a", 0))
	if found := keys(t, client, "mfa/"); len(found) != 3 {
		t.Errorf("under the default prefix are %q, want three keys", found)
	}
}

// TestLimits: servers with limits below those of the largest Save are refused. With those
// that the package documents it runs.
func TestLimits(t *testing.T) {
	for _, tt := range []struct {
		options etcdtest.Options
		want    string // "" if it is good enough
	}{
		{etcdtest.Options{MaxTxnOps: 63}, "--max-txn-ops"},
		{etcdtest.Options{MaxTxnOps: 64}, ""},
		{etcdtest.Options{MaxRequestBytes: 1 << 20}, "--max-request-bytes"},
	} {
		client := etcdtest.Start(t, tt.options).Client(t)
		if tt.want != "" {
			refuses(t, client, "", tt.want)
			continue
		}
		store, _, err := try(t, client, strings.Repeat("a", 199)+"/")
		if err != nil {
			t.Fatal(err)
		}
		for i := range 100 { // more than one transaction may have, for each method
			c := challenge(strings.Repeat("i", 60)+string(rune('0'+i/10))+string(rune('0'+i%10)), 0)
			c.Record.UserID = "ann"
			save(t, store, c)
		}
		if n := strings.Count(versions(t, store), ","); n != 99 {
			t.Errorf("listed %d, want 100", n+1)
		}
		if n, err := store.Purge(t.Context(), time.Now()); err != nil || n != 100 {
			t.Errorf("purged %d, %v; want 100", n, err)
		}
	}
}

// TestEndpoints: what New says of the members that a client has.
func TestEndpoints(t *testing.T) {
	one := etcdtest.Start(t, etcdtest.Options{})
	here, other := one.Endpoints()[0], etcdtest.Shared(t).Endpoints()[0]
	const nobody = "127.0.0.1:1"
	refuses(t, connect(t, here, other), "", "another cluster")
	refuses(t, connect(t, nobody), "", "no member answers")
	if _, log, err := try(t, connect(t, nobody, here), ""); err != nil || !strings.Contains(log, "endpoint="+nobody) {
		t.Errorf("one of two: error %v, log %s", err, log)
	}
	refuses(t, connect(t, here, one.AddLearner(t)), "", "is a learner")
}

// TestDeadline: New ends with its context, if the cluster has no majority.
func TestDeadline(t *testing.T) {
	cluster := etcdtest.Start(t, etcdtest.Options{Members: 2})
	cluster.Kill(1)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err := etcdstore.New(ctx, etcdstore.Config{Client: connect(t, cluster.Endpoints()[0]), Logger: slog.New(slog.DiscardHandler)})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want that of the context", err)
	}
}

// TestRights: a user needs what the package documents, and no more.
func TestRights(t *testing.T) {
	cluster := etcdtest.Start(t, etcdtest.Options{})
	admin := cluster.Client(t)
	ctx := t.Context()
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	end := clientv3.GetPrefixRangeEnd("mfa/")
	must(admin.RoleAdd(ctx, "root"))
	must(admin.RoleAdd(ctx, "mfa"))
	must(admin.RoleGrantPermission(ctx, "mfa", "mfa/", end, clientv3.PermissionType(clientv3.PermReadWrite)))
	must(admin.RoleAdd(ctx, "reader"))
	must(admin.RoleGrantPermission(ctx, "reader", "mfa/", end, clientv3.PermissionType(clientv3.PermRead)))
	for user, role := range map[string]string{"root": "root", "app": "mfa", "reads": "reader"} {
		must(admin.UserAdd(ctx, user, "password"))
		must(admin.UserGrantRole(ctx, user, role))
	}
	must(admin.AuthEnable(ctx))
	as := func(user string) *clientv3.Client {
		client, err := clientv3.New(clientv3.Config{
			Endpoints: cluster.Endpoints(), Username: user, Password: "password", Logger: zap.NewNop(),
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = client.Close() })
		return client
	}
	store, log, err := try(t, as("app"), "")
	if err != nil || log != "" {
		t.Fatalf("with the documented rights: error %v, log %s", err, log)
	}
	save(t, store, challenge("a", 0), challenge("b", 0))
	if got := versions(t, store); got != "a 1, b 1" {
		t.Errorf("stored %q", got)
	}
	if n, err := store.Purge(ctx, time.Now()); err != nil || n != 2 {
		t.Errorf("purged %d, %v", n, err)
	}
	refuses(t, as("reads"), "", "needs readwrite on the prefix mfa/")
	refuses(t, as("app"), "other/", "needs readwrite on the prefix other/")
}
