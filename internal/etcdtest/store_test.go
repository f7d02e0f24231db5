package etcdtest_test

import (
	"flag"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/etcdstore"
	"github.com/authfactor/mfa/internal/etcdtest"
	"github.com/authfactor/mfa/mfatest"
)

// TestMain is a member when a cluster started it.
func TestMain(m *testing.M) {
	etcdtest.Main()
	code := m.Run()
	etcdtest.End()
	os.Exit(code)
}

var prefixes atomic.Int64

func prefix() string { return fmt.Sprintf("mfa %d/", prefixes.Add(1)) }

func open(t *testing.T, client *clientv3.Client, prefix string) *etcdstore.Store {
	t.Helper()
	store, err := etcdstore.New(t.Context(), etcdstore.Config{
		Client: client, Prefix: prefix, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// TestStore holds the store to its contract, over one member.
func TestStore(t *testing.T) {
	client := etcdtest.Shared(t).Client(t)
	mfatest.TestStore(t, func(t *testing.T) mfa.Store {
		t.Helper()
		return open(t, client, prefix())
	})
}

// The long form: go test ./internal/etcdtest -run OfThree -much.
var much = flag.Bool("much", false, "TestStoreOfThree also makes the checks of many or large records")

// TestStoreOfThree holds the store to its contract over a cluster of three members, of which
// each call goes to the next. What takes half of the time, and is the same for one member, it
// leaves to TestStore.
func TestStoreOfThree(t *testing.T) {
	client := etcdtest.Start(t, etcdtest.Options{Members: 3}).Client(t)
	mfatest.TestStore(t, func(t *testing.T) mfa.Store {
		t.Helper()
		_, check, _ := strings.Cut(t.Name(), "/")
		if slices.Contains([]string{"list_large_records", "purge_of_many", "purge_against_changes"}, check) && !*much {
			t.Skip("with -much")
		}
		return open(t, client, prefix())
	})
}
