// Package redisstore is a store for mfa over Redis 7 or Valkey, for processes
// that share one server.
//
//	client := redis.NewClient(&redis.Options{
//		Addr: "127.0.0.1:6379", ContextTimeoutEnabled: true,
//	})
//	store, err := redisstore.New(ctx, redisstore.Config{Client: client})
//	svc, err := mfa.New(mfa.Config{Store: store, Keys: keys})
//
// Each method is one script and one round trip; Purge is one for each 1,000
// records, and one that finds no more.
//
// The server deletes a challenge 24 hours after it expired, by a time to live
// that is computed when it is written, so that the server's clock does not
// matter. It never deletes a factor. Call [mfa.Service.Purge] too, for
// enrolments that were never confirmed.
//
// # Servers
//
// The checks of package mfatest pass on Redis 7.0, and on a Valkey built from
// its main branch of October 2024, after version 8.0. KeyDB 6 is refused as too
// old. New returns an error on a server whose scripts must declare their keys,
// as those of Dragonfly must.
//
// A user of an ACL must have the rights that this one command gives, where "mfa:"
// is [Config.Prefix]:
//
//	ACL SETUSER mfa on >password ~mfa:* +info +eval +evalsha +hmget +hset
//		+del +pexpire +zadd +zrem +zcard +zrangebyscore +zrangebylex
//
// Without INFO, New learns the version from HELLO, and cannot check whether the
// server evicts keys. With [Config.Replicas] the user needs +wait as well.
//
// # Durability
//
// If Redis loses a write, a used code is valid again, a wrong one is not
// counted, or an enrolment is gone. What it may lose is a setting of the
// server:
//
//   - appendonly yes and appendfsync always: a Save that returned is on disk.
//   - appendfsync everysec, the default: a power cut loses the last second, and a crash
//     of the process loses nothing.
//   - snapshots alone (save): a crash loses everything since the last one.
//   - a failover to a replica loses what was not replicated yet: see Replication.
//   - maxmemory with any policy but noeviction may delete records when memory is short.
//     New warns of it.
//
// # Replication
//
// Redis answers before its replicas have heard of a write. So when a master fails and
// Sentinel promotes a replica, a Save that returned nil just before can be lost.
// [Config.Replicas] makes that rarer. A Save that returns nil was then received by so many
// replicas, which have it in memory. Sentinel promotes the replica that has received the
// most, of those that it reaches and that have the same replica-priority. A Save that
// returned nil is lost only
//
//   - if all those replicas fail, restart or are out of Sentinel's reach when the master
//     fails: with Replicas: 1 of two replicas, the second failure of two;
//   - if somebody promotes another replica by hand, or by a replica-priority;
//   - if the promoted replica restarts before it has written its memory to disk.
//
// WAIT is no consensus, and such a Save is not undone where it was not confirmed: an error
// says that it may have been made. With Replicas equal to the number of replicas, the
// failure of one of them stops every Save; with one less, it stops none. Set
// min-replicas-to-write to at least 1 too, so that a master that is cut off from its replicas
// refuses a Save at once instead of a second later.
//
// Use [redis.NewFailoverClient], which follows Sentinel, and no replica for reading.
//
// If that is not good enough for accounts, keep them in a database: see package
// sqlstore.
package redisstore

import (
	"context"
	"crypto/fips140"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/authfactor/mfa"
)

// A Store is an [mfa.Store] over Redis. Make one with [New]: the zero value is
// not usable. It is safe for concurrent use, and closing the client is up to
// the caller.
type Store struct {
	client   *redis.Client
	prefix   string
	replicas int
}

var _ mfa.Store = (*Store)(nil)

// Config says which server and which keys have the records.
type Config struct {
	// Client is the connection; the store never closes it. With its
	// ContextTimeoutEnabled the deadline of a context ends a call, otherwise
	// its ReadTimeout does. Required.
	Client *redis.Client

	// Prefix begins every key. Defaults to "mfa:". Services with other keys for
	// encryption must use another prefix: see mfa.Config.Keys.
	Prefix string

	// Replicas is how many replicas must have confirmed that they received a Save before it
	// returns nil, as the command WAIT counts them. A Save that is not confirmed within a
	// second, or within the client's ReadTimeout, returns an error, and may have been made.
	// It costs no round trip of the client, but the time until the replicas have answered
	// the server. "Replication" of the package says what it is good for. Defaults to 0, which
	// waits for none.
	Replicas int

	// Logger receives the warnings of New. Defaults to slog.Default().
	Logger *slog.Logger
}

// New returns a store, after it has asked the server for its settings and tried
// what the store does. It returns an error for a cluster, because a Save
// changes several keys at once; for a server older than version 7, where a
// script could fail half way; for a replica; and for a user who may not run a
// command that the scripts need, or WAIT if [Config.Replicas] is set. It logs a
// warning if the server may evict keys, and if it has too few replicas at the
// moment.
func New(ctx context.Context, cfg Config) (*Store, error) {
	if cfg.Client == nil {
		return nil, errors.New("redisstore: Config.Client is required")
	}
	if cfg.Replicas < 0 {
		return nil, fmt.Errorf("redisstore: Config.Replicas is %d: it must not be negative", cfg.Replicas)
	}
	if cfg.Prefix == "" {
		cfg.Prefix = "mfa:"
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	about, err := ask(ctx, cfg.Client)
	if err != nil {
		return nil, err
	}
	if major, _, _ := strings.Cut(about.version, "."); about.cluster {
		return nil, errors.New("redisstore: the server is part of a cluster, " +
			"which cannot change the keys of several records at once: " +
			"use a server of its own, with replicas if you like")
	} else if n, err := strconv.Atoi(major); err != nil || n < 7 {
		return nil, fmt.Errorf("redisstore: the server is of version %q: 7 or newer is needed",
			about.version)
	}
	s := &Store{client: cfg.Client, prefix: cfg.Prefix, replicas: cfg.Replicas}
	if err := s.permitted(ctx); err != nil {
		return nil, err
	}
	if err := s.replicated(ctx, cfg.Logger); err != nil {
		return nil, err
	}
	switch {
	case about.evicts == "":
		cfg.Logger.WarnContext(ctx, "redisstore: the user may not run INFO, so that nobody knows "+
			"whether the server may evict keys, and with them failure counts, used codes "+
			"or factors: see to it that maxmemory-policy is noeviction")
	case about.evicts != "noeviction":
		cfg.Logger.WarnContext(ctx, "redisstore: the server may evict keys, and with them "+
			"failure counts, used codes or factors: set maxmemory-policy to noeviction",
			"maxmemory_policy", about.evicts)
	}
	return s, nil
}

// about is what a server says of itself.
type about struct {
	version string
	cluster bool
	evicts  string // its maxmemory-policy; "" if it does not say
}

// ask asks with INFO and, where the user may not run that, with HELLO, which everybody
// may.
func ask(ctx context.Context, client *redis.Client) (about, error) {
	text, err := client.Info(ctx).Result()
	if redis.HasErrorPrefix(err, "NOPERM") {
		reply, err := client.Do(ctx, "hello").Result()
		if err != nil {
			return about{}, fmt.Errorf("redisstore: asking the server with HELLO, "+
				"since the user may not run INFO: %w", err)
		}
		hello := pairs(reply)
		return about{version: hello["version"], cluster: hello["mode"] == "cluster"}, nil
	}
	if err != nil {
		return about{}, fmt.Errorf("redisstore: asking the server with INFO: %w", err)
	}
	info := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			info[name] = value
		}
	}
	return about{
		version: info["redis_version"],
		cluster: info["cluster_enabled"] == "1",
		evicts:  info["maxmemory_policy"],
	}, nil
}

// pairs reads the texts of a map, which is a list in version 2 of the protocol.
func pairs(reply any) map[string]string {
	found := map[string]string{}
	switch reply := reply.(type) {
	case map[any]any:
		for name, value := range reply {
			found[fmt.Sprint(name)] = fmt.Sprint(value)
		}
	case []any:
		for pair := range slices.Chunk(reply, 2) {
			found[fmt.Sprint(pair[0])] = fmt.Sprint(pair[len(pair)-1])
		}
	}
	return found
}

// permitted tries what the scripts do. A cause that can pass by itself, such as
// a full disk, is no error.
func (s *Store) permitted(ctx context.Context) error {
	reply, err := s.run(ctx, "trying what the store does", permittedScript, []any{s.prefix})
	switch {
	case redis.HasErrorPrefix(err, "MISCONF"), redis.HasErrorPrefix(err, "NOREPLICAS"):
		return nil
	case redis.HasErrorPrefix(err, "READONLY"):
		return fmt.Errorf("redisstore: the server is a replica, which takes no writes: %w", err)
	case redis.HasErrorPrefix(err, "NOPERM"):
		return fmt.Errorf("%w: the user needs %s", err, commands)
	case err != nil:
		return err
	case reply != "":
		return fmt.Errorf("redisstore: the scripts may not run %v: the user needs %s on %s*",
			reply, commands, s.prefix)
	}
	return nil
}

// replicated tries WAIT. That there are too few replicas is no error, because that can pass
// by itself, as after a failover.
func (s *Store) replicated(ctx context.Context, logger *slog.Logger) error {
	if s.replicas == 0 {
		return nil
	}
	n, err := s.client.Wait(ctx, s.replicas, confirmedWithin).Result()
	switch {
	case redis.HasErrorPrefix(err, "NOPERM"):
		return fmt.Errorf("redisstore: with Config.Replicas the user needs +wait: %w", err)
	case err != nil:
		return fmt.Errorf("redisstore: counting the replicas with WAIT: %w", err)
	case n < int64(s.replicas):
		logger.WarnContext(ctx, "redisstore: the server has too few replicas at the moment, "+
			"so that no Save returns nil", "replicas", n, "required", s.replicas)
	}
	return nil
}

// commands are those that a user needs, as an ACL has them.
const commands = "+eval +evalsha +hmget +hset +del +pexpire " +
	"+zadd +zrem +zcard +zrangebyscore +zrangebylex"

// The scripts. Their first line has the server refuse one that writes before it starts
// if it is a replica, out of memory or cannot persist.
var (
	//go:embed common.lua
	common string
	//go:embed load.lua
	loadText string
	//go:embed list.lua
	listText string
	//go:embed save.lua
	saveText string
	//go:embed purge.lua
	purgeText string
	//go:embed permitted.lua
	permittedText string

	loadScript  = newScript("#!lua flags=no-writes", loadText)
	listScript  = newScript("#!lua flags=no-writes", listText)
	saveScript  = newScript("#!lua", saveText)
	purgeScript = newScript("#!lua flags=allow-oom", purgeText)

	permittedScript = newScript("#!lua flags=allow-oom", permittedText)
)

type script struct{ source, hash string }

func newScript(header, text string) script {
	s := script{source: header + "\n" + common + text}
	// Redis knows a script by its SHA-1, which is no security, and which GODEBUG=fips140=only
	// refuses all the same.
	fips140.WithoutEnforcement(func() { s.hash = redis.NewScript(s.source).Hash() })
	return s
}

// keepLapsed is how long challenges are kept after they expired.
const keepLapsed = 24 * time.Hour

// Load returns the records with these ids, their parents and so on. The error
// matches [mfa.ErrIntegrity] if a key cannot be a record.
func (s *Store) Load(ctx context.Context, ids ...string) ([]mfa.Record, error) {
	if len(ids) == 0 {
		return nil, ctx.Err()
	}
	args := []any{s.prefix}
	for _, id := range ids {
		args = append(args, id)
	}
	reply, err := s.run(ctx, "loading", loadScript, args)
	if err != nil {
		return nil, err
	}
	return records(reply)
}

// List returns the records that q selects, in order of id. The error matches
// [mfa.ErrIntegrity] if a key cannot be a record.
func (s *Store) List(ctx context.Context, q mfa.Query) ([]mfa.Record, error) {
	args := []any{s.prefix, q.Kind, q.UserID, q.After, q.Limit}
	reply, err := s.run(ctx, "listing", listScript, args)
	if err != nil {
		return nil, err
	}
	return records(reply)
}

// Save applies all changes or none. It is sent once: the retries of the client
// do not apply, because a Save whose answer was lost may have been made. After
// an error that is no conflict, it is unknown whether the changes were made.
func (s *Store) Save(ctx context.Context, changes ...mfa.Change) error {
	if len(changes) == 0 {
		return ctx.Err()
	}
	args := []any{s.prefix, keepLapsed.Milliseconds()}
	for _, c := range changes {
		do := "put"
		if c.Delete {
			do = "delete"
		}
		r := c.Record
		args = append(args, r.Version, do,
			r.ID, r.Kind, r.Parent, r.UserID, r.Type, r.Status,
			millis(r.CreatedAt), millis(r.UpdatedAt), millis(r.ExpiresAt), r.Version+1, r.State)
	}
	send := s.send
	if s.replicas > 0 {
		send = s.sendAndWait
	}
	reply, err := s.runBy(ctx, send, "saving", saveScript, args)
	if err != nil {
		return err
	}
	if reply != "" {
		return fmt.Errorf("%w: record %s", mfa.ErrConflict, reply)
	}
	return nil
}

// purgeBatch is how many records one script deletes; other calls wait
// meanwhile.
const purgeBatch = 1000

// Purge deletes expired records, 1,000 at a time. If it fails, it also returns
// how many it had deleted.
func (s *Store) Purge(ctx context.Context, before time.Time) (int, error) {
	total := 0
	for {
		reply, err := s.run(ctx, "purging", purgeScript, []any{s.prefix, before.UnixMilli(), purgeBatch})
		if err != nil {
			return total, err
		}
		counts, _ := reply.([]any)
		if len(counts) != 2 {
			return total, fmt.Errorf("redisstore: purging: unexpected reply of type %T", reply)
		}
		looked, _ := counts[0].(int64)
		deleted, _ := counts[1].(int64)
		total += int(deleted)
		if looked == 0 {
			return total, nil
		}
	}
}

// run runs a script once. The server has it already, but for the first time.
func (s *Store) run(ctx context.Context, doing string, script script, args []any) (any, error) {
	return s.runBy(ctx, s.send, doing, script, args)
}

func (s *Store) runBy(
	ctx context.Context, send func(context.Context, []any) (any, error),
	doing string, script script, args []any,
) (any, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	reply, err := send(ctx, append([]any{"evalsha", script.hash, 0}, args...))
	if redis.HasErrorPrefix(err, "NOSCRIPT") {
		reply, err = send(ctx, append([]any{"eval", script.source, 0}, args...))
	}
	switch {
	case err == nil:
		return reply, nil
	case redis.HasErrorPrefix(err, "WRONGTYPE"):
		return nil, fmt.Errorf("%w: redisstore: %s: a key holds something else: %w",
			mfa.ErrIntegrity, doing, err)
	case ctx.Err() != nil && !errors.Is(err, ctx.Err()):
		return nil, fmt.Errorf("redisstore: %s: %w: %w", doing, ctx.Err(), err)
	}
	return nil, fmt.Errorf("redisstore: %s: %w", doing, err)
}

func (s *Store) send(ctx context.Context, args []any) (any, error) {
	c := once{redis.NewCmd(ctx, args...)}
	_ = s.client.Process(ctx, c) // the command has the error, too
	return c.Result()
}

// confirmedWithin is how long a server waits for its replicas. It is less than the five
// seconds that a commit may take.
const confirmedWithin = time.Second

// sendAndWait also waits for the replicas. Both commands go over one connection, because
// the server counts those that have what this connection wrote.
func (s *Store) sendAndWait(ctx context.Context, args []any) (any, error) {
	pipe := s.client.Pipeline()
	c := once{redis.NewCmd(ctx, args...)}
	_ = pipe.Process(ctx, c)
	confirmed := redis.NewIntCmd(ctx, "wait", s.replicas, confirmedWithin.Milliseconds())
	_ = pipe.Process(ctx, confirmed)
	_, _ = pipe.Exec(ctx) // the commands have the errors, too
	reply, err := c.Result()
	if err != nil || reply != "" { // nothing was written
		return reply, err
	}
	switch n, err := confirmed.Result(); {
	case err != nil:
		return nil, fmt.Errorf("waiting for the replicas: %w", err)
	case n < int64(s.replicas):
		return nil, fmt.Errorf("%d of %d replicas have confirmed it within %v",
			n, s.replicas, confirmedWithin)
	}
	return reply, nil
}

// once is a command that the client does not send again.
type once struct{ *redis.Cmd }

// NoRetry is for the client.
func (once) NoRetry() bool { return true }

// records reads what the scripts return. What cannot be a record, because somebody
// edited it, is an integrity error, as what does not open is.
func records(reply any) ([]mfa.Record, error) {
	rows, ok := reply.([]any)
	if !ok {
		return nil, fmt.Errorf("redisstore: unexpected reply of type %T", reply)
	}
	var found []mfa.Record
	for _, row := range rows {
		values, _ := row.([]any)
		var text [11]string
		complete := len(values) == len(text)
		for i := range min(len(values), len(text)) {
			value, ok := values[i].(string)
			text[i], complete = value, complete && ok
		}
		r := mfa.Record{
			ID: text[0], Kind: text[1], Parent: text[2], UserID: text[3], Type: text[4], Status: text[5],
			State: []byte(text[10]),
		}
		var errs [4]error
		r.CreatedAt, errs[0] = instant(text[6])
		r.UpdatedAt, errs[1] = instant(text[7])
		r.ExpiresAt, errs[2] = instant(text[8])
		r.Version, errs[3] = strconv.ParseInt(text[9], 10, 64)
		if err := errors.Join(errs[:]...); err != nil || !complete {
			return nil, fmt.Errorf("%w: record %s: a column is missing or malformed", mfa.ErrIntegrity, r.ID)
		}
		found = append(found, r)
	}
	return found, nil
}

// millis is a time as it is stored: milliseconds since 1970, or "".
func millis(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return strconv.FormatInt(t.UnixMilli(), 10)
}

// instant reads what millis gives.
func instant(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	ms, err := strconv.ParseInt(text, 10, 64)
	return time.UnixMilli(ms).UTC(), err
}
