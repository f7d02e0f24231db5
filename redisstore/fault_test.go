package redisstore_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/mfatest"
	"github.com/authfactor/mfa/redisstore"
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

func list(t *testing.T, store mfa.Store, kind string) (ids []string) {
	t.Helper()
	records, err := store.List(t.Context(), mfa.Query{Kind: kind, Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		ids = append(ids, r.ID)
	}
	return ids
}

// TestVanish: challenges have a time to live of 24 hours after they expire, counted
// from when they were written whatever the clocks say; nothing else ever has one. What
// is left of vanished ones in the indexes goes with later inserts.
func TestVanish(t *testing.T) {
	client, own := server(t), prefix()
	store := withPrefix(t, client, own)
	ttl := func(id string) time.Duration {
		t.Helper()
		d, err := client.PTTL(t.Context(), own+"r:"+id).Result()
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	save(t, store, challenge("a", 0), challenge("b", 0))
	save(t, store, challenge("b", 1))
	for _, id := range []string{"a", "b"} {
		if d := ttl(id); d > 24*time.Hour+10*time.Minute || d < 24*time.Hour+9*time.Minute {
			t.Errorf("%s lives for %s, want 24 h 10 min", id, d)
		}
	}
	for _, kind := range []string{"factor", "user", "number"} {
		c := challenge(kind, 0)
		c.Record.Kind = kind
		save(t, store, c)
		if d := ttl(kind); d != -1 { // none
			t.Errorf("a %s lives for %s", kind, d)
		}
	}

	// Let the time pass: the keys vanish.
	for _, id := range []string{"a", "b"} {
		if err := client.PExpire(t.Context(), own+"r:"+id, 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	if ids := list(t, store, "challenge"); len(ids) > 0 {
		t.Errorf("vanished challenges are listed: %q", ids)
	}
	if records, err := store.Load(t.Context(), "a", "b"); err != nil || len(records) > 0 {
		t.Errorf("vanished challenges are loaded: %v, %v", records, err)
	}
	if err := store.Save(t.Context(), challenge("a", 1)); !errors.Is(err, mfa.ErrConflict) {
		t.Errorf("a vanished challenge was replaced: %v", err)
	}
	if err := client.Del(t.Context(), own+"r:factor", own+"r:user", own+"r:number").Err(); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		later := challenge(fmt.Sprint("later ", i), 0)
		for _, at := range []*time.Time{
			&later.Record.CreatedAt, &later.Record.UpdatedAt, &later.Record.ExpiresAt,
		} {
			*at = at.Add(25 * time.Hour)
		}
		save(t, store, later)
	}
	if n := client.ZCard(t.Context(), own+"expires").Val(); n > 4 {
		t.Errorf("%d ids in the index, want those that were left behind gone", n)
	}
	if n := client.ZCard(t.Context(), own+"k:challenge").Val(); n != 3 {
		t.Errorf("%d challenges in their index, want 3", n)
	}
}

// TestNothingLeft: deleting every record leaves no key behind.
func TestNothingLeft(t *testing.T) {
	client, own := server(t), prefix()
	store := withPrefix(t, client, own)
	for i := range 2500 {
		c := challenge(fmt.Sprintf("id %04d", i), 0)
		if i%2 == 0 {
			c.Record.Kind, c.Record.UserID = "factor", fmt.Sprint("user ", i)
		}
		save(t, store, c)
	}
	save(t, store, mfa.Change{Record: mfa.Record{ID: "id 0000", Version: 1}, Delete: true})
	if n, err := store.Purge(t.Context(), time.Now()); err != nil || n != 2499 {
		t.Errorf("purged %d, %v; want 2499", n, err)
	}
	if left := keys(t, client, own); len(left) > 0 {
		t.Errorf("keys left: %q", left)
	}
}

// TestEdited: whatever somebody does to a record, it is an integrity error or not found.
func TestEdited(t *testing.T) {
	client, own := server(t), prefix()
	svc, err := mfa.New(mfa.Config{Store: withPrefix(t, client, own), Keys: mfatest.Keys()})
	if err != nil {
		t.Fatal(err)
	}
	edits := [][]any{{"del"}, {"string"}}
	for _, column := range []string{
		"id", "kind", "parent", "user_id", "type", "status",
		"created_at", "updated_at", "expires_at", "version", "state",
	} {
		edits = append(
			edits,
			[]any{"hdel", column},
			[]any{"hset", column, "x"},
			[]any{"hset", column, "99999999999999999999"},
			[]any{"hset", column, ""},
		)
	}
	for i, edit := range edits {
		enr, err := svc.Enroll(
			t.Context(),
			mfa.EnrollParams{UserID: fmt.Sprint("user ", i), TOTP: &mfa.TOTPParams{Issuer: "a", User: "b"}},
		)
		if err != nil {
			t.Fatal(err)
		}
		key, want := own+"r:"+enr.Factor.ID, mfa.ErrIntegrity
		switch edit[0] {
		case "del":
			err, want = client.Del(t.Context(), key).Err(), mfa.ErrNotFound
		case "string":
			err = client.Set(t.Context(), key, "x", 0).Err()
		default:
			if edit[1] == "id" && edit[0] == "hset" {
				want = mfa.ErrNotFound // it is another record now
			}
			err = client.Do(t.Context(), append([]any{edit[0], key}, edit[1:]...)...).Err()
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := svc.Factor(
			t.Context(),
			mfa.FactorParams{FactorID: enr.Factor.ID, UserID: enr.Factor.UserID},
		); !errors.Is(
			err,
			want,
		) {
			t.Errorf("after %v: error %v, want %v", edit, err, want)
		}
		if factors, err := svc.Factors(t.Context(), enr.Factor.UserID); err == nil && len(factors) > 0 {
			t.Errorf("after %v: listed %v", edit, factors)
		}
	}
}

// TestEditedIndex: a Save that meets an index which is none writes nothing at all.
func TestEditedIndex(t *testing.T) {
	client, own := server(t), prefix()
	store := withPrefix(t, client, own)
	owned := challenge("b", 0)
	owned.Record.UserID = "ann"
	for _, index := range []string{"expires", "k:challenge", "u:challenge:ann"} {
		if err := client.Set(t.Context(), own+index, "x", 0).Err(); err != nil {
			t.Fatal(err)
		}
		if err := store.Save(t.Context(), challenge("a", 0), owned); !errors.Is(err, mfa.ErrIntegrity) {
			t.Errorf("%s: error %v, want ErrIntegrity", index, err)
		}
		if records, err := store.Load(t.Context(), "a", "b"); err != nil || len(records) > 0 {
			t.Errorf("%s: half of a Save: %v, %v", index, records, err)
		}
		if err := client.Del(t.Context(), own+index).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestSentOnce: a Save whose answer is lost is not sent again, whatever the client's
// retries: it may have been made, and would be a conflict with itself.
func TestSentOnce(t *testing.T) {
	client, own := server(t), prefix()
	direct := withPrefix(t, client, own)
	save(t, direct, challenge("warm", 0)) // the script is known
	var cut atomic.Bool
	options := *client.Options()
	options.MaxRetries = 5
	options.Dialer = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		return &cutConn{conn, &cut}, err
	}
	store, err := redisstore.New(
		t.Context(),
		redisstore.Config{Client: connect(t, &options), Prefix: own},
	)
	if err != nil {
		t.Fatal(err)
	}
	save(t, store, challenge("a", 0))
	cut.Store(true)
	if err := store.Save(
		t.Context(),
		challenge("a", 1),
	); err == nil ||
		errors.Is(err, mfa.ErrConflict) {
		t.Errorf("error %v, want one that leaves open what happened", err)
	}
	records, err := direct.Load(t.Context(), "a")
	if err != nil || len(records) != 1 || records[0].Version != 2 {
		t.Errorf("records %v, %v; want version 2", records, err)
	}
}

// A cutConn loses the next answer, once.
type cutConn struct {
	net.Conn
	cut *atomic.Bool
}

func (c *cutConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err == nil && c.cut.CompareAndSwap(true, false) {
		_ = c.Close()
		return 0, io.ErrUnexpectedEOF
	}
	return n, err
}

// start runs a server of the test's own.
func start(t *testing.T, args ...string) *redis.Client {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		if os.Getenv("MFA_TEST_SERVERS") == "required" {
			t.Fatal(err)
		}
		t.Skip("Redis: redis-server is not installed")
	}
	// A socket in a folder of its own: a free port could be taken meanwhile.
	socket := filepath.Join(t.TempDir(), "redis.sock")
	ctx, kill := context.WithCancel(
		context.Background(),
	) // t.Context ends before the cleanups, which need the server
	cmd := exec.CommandContext(
		ctx,
		program,
		slices.Concat(
			args,
			[]string{
				"--port",
				"0",
				"--unixsocket",
				socket,
				"--dir",
				filepath.Dir(socket),
				"--appendonly",
				"no",
			},
		)...)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // it is killed
		close(ended)
	}()
	t.Cleanup(func() {
		kill()
		<-ended
	})
	client := connect(
		t,
		&redis.Options{Network: "unix", Addr: socket, ContextTimeoutEnabled: true, MaxRetries: -1},
	)
	for {
		conn, err := net.Dial("unix", socket)
		if err == nil {
			_ = conn.Close()
			return client
		}
		select {
		case <-ended:
			t.Fatalf("the server ended:\n%s", log.String())
		default:
			runtime.Gosched()
		}
	}
}

// TestServers: what New says of servers that are not good enough.
func TestServers(t *testing.T) {
	var log bytes.Buffer
	open := func(client *redis.Client) error {
		_, err := redisstore.New(
			t.Context(),
			redisstore.Config{Client: client, Logger: slog.New(slog.NewTextHandler(&log, nil))},
		)
		return err
	}
	if err := open(nil); err == nil {
		t.Error("no client and no error")
	}
	if err := open(
		start(t, "--cluster-enabled", "yes"),
	); err == nil ||
		!strings.Contains(err.Error(), "cluster") {
		t.Errorf("a cluster: error %v", err)
	}
	if err := open(old(t)); err == nil || !strings.Contains(err.Error(), `"6.2.14": 7 or newer`) {
		t.Errorf("an old server: error %v", err)
	}
	if err := open(server(t)); err != nil || log.Len() > 0 {
		t.Errorf("a good server: error %v, log %s", err, log.String())
	}
	if err := open(
		start(t, "--maxmemory", "100mb", "--maxmemory-policy", "volatile-ttl"),
	); err != nil ||
		!strings.Contains(log.String(), "maxmemory_policy=volatile-ttl") {
		t.Errorf("a server that evicts: error %v, log %s", err, log.String())
	}
	if err := open(
		connect(t, &redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1}),
	); err == nil ||
		!strings.HasPrefix(err.Error(), "redisstore: asking the server") {
		t.Errorf("no server: error %v", err)
	}
}

// needed are the rights of an ACL that the package documents.
func needed(t *testing.T) []any {
	t.Helper()
	source, err := os.ReadFile("store.go")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(source), "//	ACL SETUSER mfa ")
	text, _, _ = strings.Cut(text, "\n//\n")
	var rights []any
	for right := range strings.FieldsSeq(strings.ReplaceAll(text, "\n//", "\n")) {
		rights = append(rights, right)
	}
	if len(rights) < 10 {
		t.Fatalf("the package documents %q", rights)
	}
	return rights
}

// TestACL: a user with the documented rights runs the store; without one of them New
// names it, and leaves nothing behind. INFO is not needed.
func TestACL(t *testing.T) {
	admin := start(t)
	rights := needed(t)
	as := func(rights []any, version int) (*redisstore.Store, string, error) {
		if err := admin.Do(
			t.Context(),
			append([]any{"acl", "setuser", "mfa", "reset"}, rights...)...).Err(); err != nil {
			t.Fatal(err)
		}
		options := *admin.Options()
		options.Username, options.Password, options.Protocol = "mfa", "password", version
		var log bytes.Buffer
		store, err := redisstore.New(
			t.Context(),
			redisstore.Config{
				Client: connect(t, &options),
				Logger: slog.New(slog.NewTextHandler(&log, nil)),
			},
		)
		return store, log.String(), err
	}
	store, log, err := as(rights, 3)
	if err != nil || log != "" {
		t.Fatalf("with the documented rights: error %v, log %s", err, log)
	}
	save(t, store, challenge("a", 0), challenge("b", 0))
	save(
		t,
		store,
		challenge("a", 1),
		mfa.Change{Record: mfa.Record{ID: "b", Version: 1}, Delete: true},
	)
	if ids := list(t, store, "challenge"); len(ids) != 1 {
		t.Errorf("listed %q", ids)
	}
	if n, err := store.Purge(t.Context(), time.Now()); err != nil || n != 1 {
		t.Errorf("purged %d, %v", n, err)
	}
	for i, right := range rights {
		command, ok := strings.CutPrefix(fmt.Sprint(right), "+")
		if !ok {
			continue
		}
		for _, protocol := range []int{2, 3} {
			switch _, log, err := as(slices.Delete(slices.Clone(rights), i, i+1), protocol); {
			case command == "info" && (err != nil || !strings.Contains(log, "may not run INFO")):
				t.Errorf("without INFO: error %v, log %s", err, log)
			case command == "eval" && err == nil: // the script is known by now
			case command != "info" && (err == nil ||
				!strings.Contains(strings.ToLower(err.Error()), "'"+command+"'") &&
					!strings.Contains(err.Error(), strings.ToUpper(command)+":")):
				t.Errorf("without %s: error %v, want one that names it", command, err)
			case command != "info" && !strings.Contains(err.Error(), "+zrangebylex"):
				t.Errorf("without %s: error %v does not say what is needed", command, err)
			}
		}
	}
	if left := keys(t, admin, ""); len(left) > 0 {
		t.Errorf("keys left: %q", left)
	}
}

// TestPassingTrouble: a server that takes no writes for now is one to start with, and a
// replica is not.
func TestPassingTrouble(t *testing.T) {
	client := start(t)
	open := func() error {
		return second(redisstore.New(t.Context(), redisstore.Config{Client: client}))
	}
	for _, config := range [][2]string{{"maxmemory", "1"}, {"min-replicas-to-write", "1"}} {
		if err := client.ConfigSet(t.Context(), config[0], config[1]).Err(); err != nil {
			t.Fatal(err)
		}
		if err := open(); err != nil {
			t.Errorf("%s: error %v", config[0], err)
		}
		if err := client.ConfigSet(t.Context(), config[0], "0").Err(); err != nil {
			t.Fatal(err)
		}
	}
	if err := client.Do(t.Context(), "replicaof", "127.0.0.1", "1").Err(); err != nil {
		t.Fatal(err)
	}
	if err := open(); err == nil || !strings.Contains(err.Error(), "replica") {
		t.Errorf("a replica: error %v", err)
	}
}

func second[T any](_ T, err error) error { return err }

// TestRefusedWrites: a server that is full, or a replica, takes no part of a Save.
func TestRefusedWrites(t *testing.T) {
	client := start(t)
	store := newStore(t, client)
	save(t, store, challenge("a", 0))
	for says, config := range map[string][2]string{
		"OOM": {"maxmemory", "1"}, "READONLY": {"replicaof", "127.0.0.1 1"},
	} {
		if err := client.ConfigSet(
			t.Context(),
			config[0],
			config[1],
		).Err(); config[0] == "maxmemory" &&
			err != nil {
			t.Fatal(err)
		}
		if config[0] == "replicaof" {
			if err := client.Do(t.Context(), "replicaof", "127.0.0.1", "1").Err(); err != nil {
				t.Fatal(err)
			}
		}
		err := store.Save(t.Context(), challenge("a", 1), challenge("b", 0))
		if err == nil || errors.Is(err, mfa.ErrConflict) || !strings.Contains(err.Error(), says) {
			t.Errorf("error %v, want %s", err, says)
		}
		if err := errors.Join(
			client.ConfigSet(t.Context(), "maxmemory", "0").Err(),
			client.Do(t.Context(), "replicaof", "no", "one").Err(),
		); err != nil {
			t.Fatal(err)
		}
		records, err := store.Load(t.Context(), "a", "b")
		if err != nil || len(records) != 1 || records[0].Version != 1 {
			t.Errorf("%s: records %v, %v", says, records, err)
		}
	}
}

// old is a server that says that it is of version 6, and nothing else.
func old(t *testing.T) *redis.Client {
	t.Helper()
	return connect(t, &redis.Options{Dialer: func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		go func() {
			commands := bufio.NewScanner(far)
			for commands.Scan() {
				switch strings.ToLower(commands.Text()) {
				case "hello", "client":
					_, _ = io.WriteString(far, "-ERR unknown command\r\n")
				case "info":
					_, _ = io.WriteString(far, "$22\r\nredis_version:6.2.14\r\n\r\n")
				}
			}
		}()
		return near, nil
	}})
}
