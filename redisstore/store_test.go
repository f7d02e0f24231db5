package redisstore_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/mfatest"
	"github.com/authfactor/mfa/redisstore"
)

// TestStore holds the store to its contract.
func TestStore(t *testing.T) {
	client := server(t)
	mfatest.TestStore(t, func(t *testing.T) mfa.Store {
		t.Helper()
		return newStore(t, client)
	})
}

// server connects to the server at MFA_TEST_REDIS, or 127.0.0.1:6379. Without it the
// test skips, unless MFA_TEST_SERVERS is "required".
func server(t *testing.T) *redis.Client {
	t.Helper()
	address := os.Getenv("MFA_TEST_REDIS")
	if address == "" {
		address = "127.0.0.1:6379"
	}
	conn, err := net.DialTimeout("tcp", address, time.Second)
	switch {
	case err == nil:
		_ = conn.Close()
	case os.Getenv("MFA_TEST_SERVERS") == "required":
		t.Fatalf("Redis: no server at %s", address)
	default:
		t.Skipf("Redis: no server at %s; set MFA_TEST_REDIS", address)
	}
	return connect(t, &redis.Options{Addr: address, ContextTimeoutEnabled: true})
}

func connect(t *testing.T, options *redis.Options) *redis.Client {
	t.Helper()
	client := redis.NewClient(options)
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	})
	return client
}

var prefixes atomic.Int64

func prefix() string { return fmt.Sprintf("mfa_test_%d_%d:", os.Getpid(), prefixes.Add(1)) }

func newStore(t *testing.T, client *redis.Client) *redisstore.Store {
	t.Helper()
	return withPrefix(t, client, prefix())
}

// withPrefix returns a store whose keys are deleted after the test.
func withPrefix(t *testing.T, client *redis.Client, prefix string) *redisstore.Store {
	t.Helper()
	store, err := redisstore.New(
		t.Context(),
		redisstore.Config{Client: client, Prefix: prefix, Logger: slog.New(slog.DiscardHandler)},
	)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.Background()
		for _, key := range keys(t, client, prefix) {
			if err := client.Del(ctx, key).Err(); err != nil {
				t.Error(err)
			}
		}
	})
	return store
}

func keys(t *testing.T, client *redis.Client, prefix string) (found []string) {
	t.Helper()
	ctx := context.Background()
	for all := client.Scan(ctx, 0, prefix+"*", 1000).Iterator(); all.Next(ctx); {
		found = append(found, all.Val())
	}
	return found
}
