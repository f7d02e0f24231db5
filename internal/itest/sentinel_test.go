//go:build unix

package itest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/redisstore"
)

// TestSentinel: a master of Redis with two replicas, of which three Sentinels promote one
// after the master was killed.
func TestSentinel(t *testing.T) {
	s := startSentinel(t, "1")
	onCluster(t, s.server(), func(t *testing.T, p place) []mfa.Store {
		t.Helper()
		return []mfa.Store{p.mustOpen(t), p.mustOpen(t)}
	})
	t.Run("the master is killed", func(t *testing.T) {
		p, _ := s.server().place(t)
		failover(t, p, func() { s.failOver(t) })
	})
}

// TestReplicasLag: what a failover does to a code that was accepted and had not reached a
// replica. With Config.Replicas nobody is told that the code was accepted. Without, the code
// is valid again. (This is what the documentation warns of.)
func TestReplicasLag(t *testing.T) {
	for _, c := range []struct {
		replicas int
		lost     bool
	}{{1, false}, {0, true}} {
		t.Run(fmt.Sprintf("Replicas: %d", c.replicas), func(t *testing.T) {
			s := startSentinel(t, "0")
			var now atomic.Int64
			now.Store(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).UnixMilli())
			open := func() *mfa.Service {
				client := s.client()
				t.Cleanup(func() { _ = client.Close() })
				store, err := redisstore.New(t.Context(), redisstore.Config{Client: client, Replicas: c.replicas})
				if err != nil {
					t.Fatal(err)
				}
				svc, err := newService(store, &now)
				if err != nil {
					t.Fatal(err)
				}
				return svc
			}
			svc := open()
			login := newCutCase(t, svc, &now, true)
			verify := mfa.VerifyParams{ChallengeID: login.challenge, Code: login.code}
			s.cutOff(t)
			_, err := svc.Verify(t.Context(), verify)
			if c.lost != (err == nil) || errors.Is(err, mfa.ErrInvalidCode) {
				t.Fatalf("error %v", err)
			}
			if err != nil && !strings.Contains(err.Error(), "0 of 1 replicas have confirmed it") {
				t.Errorf("error %v, want one that says why", err)
			}
			s.failOver(t)
			if _, err := open().Verify(t.Context(), verify); err != nil {
				t.Fatalf("the code was used up on the replica, which never heard of it: %v", err)
			}
		})
	}
}

// A sentinelRedis is three servers, of which the first is the master, and three Sentinels.
type sentinelRedis struct {
	servers   []*process
	addresses []string
	sentinels []string
}

func startSentinel(t *testing.T, minReplicas string) *sentinelRedis {
	t.Helper()
	program := installed(t, "Redis", "redis-server")
	dir := t.TempDir()
	s := new(sentinelRedis)
	ports := freePorts(t, 6)
	for i, port := range ports {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		args := []string{
			"--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", dir,
			"--dbfilename", strconv.Itoa(port) + ".rdb", "--save", "", "--appendonly", "no",
			"--repl-diskless-sync-delay", "0", "--min-replicas-to-write", minReplicas,
			// Whom a test can keep out.
			"--user", "replica", "on", ">replica", "+psync", "+replconf", "+ping",
			"--masteruser", "replica", "--masterauth", "replica",
		}
		switch {
		case i >= 3:
			file := filepath.Join(dir, fmt.Sprintf("sentinel%d.conf", i))
			text := fmt.Sprintf("port %d\nbind 127.0.0.1\ndir %s\nsentinel monitor %[3]s 127.0.0.1 %[4]d 2\n"+
				"sentinel down-after-milliseconds %[3]s 60000\nsentinel failover-timeout %[3]s 10000\n",
				port, dir, masterName, ports[0])
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			args = []string{file, "--sentinel"}
			s.sentinels = append(s.sentinels, address)
		case i > 0:
			args = append(args, "--replicaof", "127.0.0.1", strconv.Itoa(ports[0]))
		}
		p := startProcess(t, nil, dir, program, args...)
		if i < 3 {
			s.addresses = append(s.addresses, address)
		}
		s.servers = append(s.servers, p)
		s.until(t, p, address, "it answers", func(ctx context.Context, c *redis.Client) bool {
			return c.Ping(ctx).Err() == nil
		})
	}
	s.until(t, s.servers[0], s.addresses[0], "the replicas follow", following(2))
	for i, address := range s.sentinels {
		s.until(t, s.servers[3+i], address, "the Sentinel knows all", func(ctx context.Context, c *redis.Client) bool {
			text, _ := c.Info(ctx, "sentinel").Result()
			return strings.Contains(text, "status=ok") && strings.Contains(text, "slaves=2,sentinels=3")
		})
	}
	return s
}

// following asks whether a server is a master whom so many replicas follow.
func following(n int) func(context.Context, *redis.Client) bool {
	return func(ctx context.Context, c *redis.Client) bool {
		text, _ := c.Info(ctx, "replication").Result()
		return strings.Contains(text, "role:master") && strings.Count(text, "state=online") == n
	}
}

// until asks one server until the answer is yes.
func (s *sentinelRedis) until(
	t *testing.T, p *process, address, what string, ask func(context.Context, *redis.Client) bool,
) {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: address})
	defer func() { _ = client.Close() }()
	eventually(t, what, p.ended, &p.log, func(ctx context.Context) bool { return ask(ctx, client) })
}

func (s *sentinelRedis) client() *redis.Client { return sentinelClient(s.sentinels) }

// server is the cluster, which applications find by its Sentinels.
func (s *sentinelRedis) server() server {
	return server{name: "Redis", address: s.addresses[0], at: func(_, schema string) place {
		return place{Driver: "sentinel", Address: strings.Join(s.sentinels, " "), Schema: schema + ":"}
	}}
}

// cutOff has both replicas lose the master, once they have all that was written.
func (s *sentinelRedis) cutOff(t *testing.T) {
	t.Helper()
	s.until(t, s.servers[0], s.addresses[0], "the replicas have all", func(ctx context.Context, c *redis.Client) bool {
		conn := c.Conn() // whose own last write WAIT is about
		defer func() { _ = conn.Close() }()
		n, err := conn.Set(ctx, "last", "", 0).Result()
		if err != nil || n != "OK" {
			return false
		}
		have, err := conn.Wait(ctx, 2, time.Second).Result()
		return err == nil && have == 2
	})
	s.until(t, s.servers[0], s.addresses[0], "the replicas are cut off", func(ctx context.Context, c *redis.Client) bool {
		return c.Do(ctx, "acl", "setuser", "replica", "off").Err() == nil &&
			c.Do(ctx, "client", "kill", "type", "replica").Err() == nil && following(0)(ctx, c)
	})
}

// failOver kills the master, and returns when the Sentinels have made one of the replicas
// the master, and the other one follows it. Until then they are patient, because this
// machine may be busy.
func (s *sentinelRedis) failOver(t *testing.T) {
	t.Helper()
	s.servers[0].kill()
	for i, address := range s.sentinels {
		s.until(t, s.servers[3+i], address, "the Sentinel looks again", func(ctx context.Context, c *redis.Client) bool {
			return c.Do(ctx, "sentinel", "set", masterName, "down-after-milliseconds", "2000").Err() == nil
		})
	}
	for i, address := range s.sentinels {
		s.until(t, s.servers[3+i], address, "a replica is promoted", func(ctx context.Context, c *redis.Client) bool {
			master, _ := redis.NewSentinelClient(c.Options()).GetMasterAddrByName(ctx, masterName).Result()
			at := slices.Index(s.addresses, strings.Join(master, ":"))
			if at < 1 {
				return false
			}
			promoted := redis.NewClient(&redis.Options{Addr: s.addresses[at]})
			defer func() { _ = promoted.Close() }()
			return following(1)(ctx, promoted)
		})
	}
}
