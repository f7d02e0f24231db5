// Package etcdstore is a store for mfa over etcd, for processes that share a cluster. Its
// tests run on etcd 3.6.16, with one member and with three. Versions from 3.5.6 on are taken,
// and have what it uses, but no test runs on them.
//
//	client, err := clientv3.New(clientv3.Config{
//		Endpoints:            []string{"etcd-1:2379", "etcd-2:2379", "etcd-3:2379"},
//		DialKeepAliveTime:    10 * time.Second, // as often as gRPC allows
//		DialKeepAliveTimeout: 3 * time.Second,
//	})
//	store, err := etcdstore.New(ctx, etcdstore.Config{Client: client})
//	svc, err := mfa.New(mfa.Config{Store: store, Keys: keys})
//
// Name the endpoints of all members: when one is gone, the client goes to the others, and a
// call that was under way is made once more. Without DialKeepAliveTime a member that falls
// silent, rather than being stopped, is noticed only by the time that calls take.
//
// # Settings
//
// [New] returns an error for what would fail later:
//
//   - endpoints of different clusters, and learners;
//   - a member older than version 3.5.6. With those before it a crash could undo what was
//     acknowledged, or leave members that differ;
//   - --max-txn-ops below 64, or --max-request-bytes too small for the largest Save, which
//     has 16 records of 64 KiB. The defaults, 128 and 1.5 MiB, are enough;
//   - with authentication, a user whose roles do not have readwrite on the whole prefix:
//     etcdctl role grant-permission mfa readwrite --prefix=true mfa/
//
// What New cannot see: etcd keeps every value that was overwritten or deleted until it is
// compacted. Set --auto-compaction-retention (such as 1h). Without it the database grows to
// its quota (--quota-backend-bytes), and then no Save is made until an operator
// compacts, defragments and disarms the alarm. What [mfa.Service.Forget] deletes can be read
// at old revisions until then, as it can be in backups.
//
// etcd keeps its whole index of keys in memory and is made for some gigabytes. A record takes
// two to four keys. Call [mfa.Service.Purge]: nothing else deletes what expired.
//
// # Round trips
//
// Load takes one for each level: three for a challenge, its factor and the record of the
// factor's user. List takes one, and one more for each 64 records. A Save takes one, or two if
// it deletes something. Purge takes three for each 60 records, and one that finds no more.
// All of them ask the leader: reads are linearizable.
//
// A Save whose answer was lost, because its member or the leader was, is sent again. It
// carries a random number by which it finds out whether it was made.
//
// # Durability
//
// A Save that returned nil is on the disks of a majority of the members. It survives the loss
// of any minority, and power cuts, unless --unsafe-no-fsync is set. While no majority can
// talk to each other, nothing is read or written.
//
// A snapshot (etcdctl snapshot save) restores records as they were. A copy that is made
// key by key, as etcdctl make-mirror makes it, is of no use: it counts the versions of
// records anew, and the service refuses them with [mfa.ErrIntegrity].
package etcdstore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/authfactor/mfa"
)

// A Store is an [mfa.Store] over etcd. Make one with [New]: the zero value is not
// usable. It is safe for concurrent use, and closing the client is up to the caller.
type Store struct {
	client *clientv3.Client
	keys   keys
}

var _ mfa.Store = (*Store)(nil)

// Config says which cluster and which keys have the records.
type Config struct {
	// Client is the connection; the store never closes it. Its DialOptions must not
	// repeat calls. Required.
	Client *clientv3.Client

	// Prefix begins every key: printable ASCII, at most 200 bytes, that ends in "/".
	// Defaults to "mfa/". Nothing else may have keys that begin so. Services with other
	// keys for encryption must use another prefix: see mfa.Config.Keys.
	Prefix string

	// Logger receives the warnings of New. Defaults to slog.Default().
	Logger *slog.Logger
}

const (
	maxChanges = 16 // records of a Save
	perRecord  = 4  // keys that it writes for each
	maxOps     = maxChanges * perRecord
	purgeBatch = maxOps - perRecord // etcd counts the keys of one record beside the records
	listBatch  = 1000               // keys that List reads at once
)

// Load returns the records with these ids, their parents and the parents of those, all as
// they were at one moment. The error matches [mfa.ErrIntegrity] if a value cannot be a
// record.
func (s *Store) Load(ctx context.Context, ids ...string) (found []mfa.Record, err error) {
	err = s.again(ctx, "loading", func(ctx context.Context) error {
		found, err = s.load(ctx, ids)
		return err
	})
	return found, err
}

func (s *Store) load(ctx context.Context, ids []string) (found []mfa.Record, err error) {
	seen := map[string]bool{}
	revision := int64(0) // the newest
	for range 3 {
		var next []string
		for _, id := range ids {
			if !seen[id] {
				seen[id] = true
				next = append(next, id)
			}
		}
		var kvs []*mvccpb.KeyValue
		if kvs, revision, err = s.read(ctx, next, revision); err != nil {
			return nil, err
		}
		ids = nil
		for i, kv := range kvs {
			if kv == nil {
				continue
			}
			r, err := record(next[i], kv)
			if err != nil {
				return nil, err
			}
			found = append(found, r)
			if r.Parent != "" {
				ids = append(ids, r.Parent)
			}
		}
	}
	return found, nil
}

// read returns the values of records, nil for those that are not there, as they were at a
// revision, and that revision. 0 is the newest.
func (s *Store) read(
	ctx context.Context, ids []string, revision int64,
) (kvs []*mvccpb.KeyValue, at int64, err error) {
	for len(ids) > 0 {
		n := min(len(ids), maxOps)
		gets := make([]clientv3.Op, n)
		for i, id := range ids[:n] {
			gets[i] = clientv3.OpGet(s.keys.record(id), clientv3.WithRev(revision))
		}
		reply, err := s.client.Txn(ctx).Then(gets...).Commit()
		if err != nil {
			return nil, 0, err
		}
		if len(reply.Responses) != n {
			return nil, 0, errReply
		}
		for _, r := range reply.Responses {
			kvs = append(kvs, first(r))
		}
		if revision == 0 {
			revision = reply.Header.Revision
		}
		ids = ids[n:]
	}
	return kvs, revision, nil
}

var errReply = errors.New("the server answered something else than it was asked")

// first is the value that a part of a transaction read, nil for none.
func first(r *etcdserverpb.ResponseOp) *mvccpb.KeyValue {
	if kvs := r.GetResponseRange().GetKvs(); len(kvs) > 0 {
		return kvs[0]
	}
	return nil
}

// List returns the records that q selects, in order of id, as they were at one moment. The
// error matches [mfa.ErrIntegrity] if a value cannot be a record.
func (s *Store) List(ctx context.Context, q mfa.Query) (found []mfa.Record, err error) {
	err = s.again(ctx, "listing", func(ctx context.Context) error {
		found, err = s.list(ctx, q)
		return err
	})
	return found, err
}

func (s *Store) list(ctx context.Context, q mfa.Query) (found []mfa.Record, err error) {
	index := s.keys.ofKind(q.Kind)
	if q.UserID != "" {
		index = s.keys.ofUser(q.Kind, q.UserID)
	}
	end, revision := clientv3.GetPrefixRangeEnd(index), int64(0)
	for after := q.After; len(found) < q.Limit; {
		from := index
		if after != "" {
			from += after + "\x00"
		}
		wanted := min(q.Limit-len(found), listBatch)
		page, err := s.client.Get(ctx, from, clientv3.WithRange(end), clientv3.WithKeysOnly(),
			clientv3.WithLimit(int64(wanted)), clientv3.WithRev(revision))
		if err != nil {
			return nil, err
		}
		if revision == 0 {
			revision = page.Header.Revision
		}
		ids := make([]string, len(page.Kvs))
		for i, kv := range page.Kvs {
			ids[i] = strings.TrimPrefix(string(kv.Key), index)
			after = ids[i]
		}
		kvs, _, err := s.read(ctx, ids, revision)
		if err != nil {
			return nil, err
		}
		for i, kv := range kvs {
			if kv == nil { // somebody deleted it by hand
				continue
			}
			r, err := record(ids[i], kv)
			if err != nil {
				return nil, err
			}
			if r.Kind == q.Kind && (q.UserID == "" || r.UserID == q.UserID) {
				found = append(found, r)
			}
		}
		if len(ids) < wanted {
			break
		}
	}
	return found, nil
}

// Save applies all changes or none. If its answer is lost, it is sent again, up to 10 times,
// and returns nil if it finds that it was made. After any other error than a conflict it is
// unknown whether the changes were made.
func (s *Store) Save(ctx context.Context, changes ...mfa.Change) error {
	if err := ctx.Err(); err != nil || len(changes) == 0 {
		return err
	}
	for _, c := range changes {
		if c.Delete && c.Record.Version == 0 {
			return fmt.Errorf("%w: record %s", mfa.ErrConflict, c.Record.ID)
		}
	}
	var m mark
	_, _ = rand.Read(m[:]) // never fails
	var lost error         // of a transaction that may have been made
	return s.again(ctx, "saving", func(ctx context.Context) error {
		txn, err := s.transaction(ctx, changes, m)
		if err != nil {
			return err
		}
		reply, err := txn.Commit()
		switch {
		case refused(err):
			return err
		case err != nil:
			if lost = err; errors.Is(err, context.DeadlineExceeded) {
				lost = errSlow
			}
			return err
		case reply.Succeeded:
			return nil
		}
		err = judge(reply.Responses, changes, m)
		if err != nil && lost != nil {
			// It may be this very Save that changed the records, and others after it.
			return fmt.Errorf("whether it was made is unknown: %w", lost)
		}
		return err
	})
}

// transaction is a Save. etcd counts the writes of a key since it was created, and 0 is of
// none, which is what Version is to be. If a Version differs, the values are read.
func (s *Store) transaction(
	ctx context.Context, changes []mfa.Change, m mark,
) (clientv3.Txn, error) {
	var ifs []clientv3.Cmp
	var thens, elses []clientv3.Op
	var gone []string
	for _, c := range changes {
		r := c.Record
		key := s.keys.record(r.ID)
		ifs = append(ifs, clientv3.Compare(clientv3.Version(key), "=", r.Version))
		elses = append(elses, clientv3.OpGet(key))
		if c.Delete {
			gone = append(gone, r.ID)
			thens = append(thens, clientv3.OpDelete(key))
			continue
		}
		thens = append(thens, clientv3.OpPut(key, string(value(&r, m))))
		entries := s.keys.entries(&r)
		if r.Version > 0 && !r.ExpiresAt.IsZero() {
			entries = entries[len(entries)-1:] // Kind and UserID never change
		} else if r.Version > 0 {
			entries = nil
		}
		for _, entry := range entries {
			thens = append(thens, clientv3.OpPut(entry, ""))
		}
	}
	// What stands in the indexes the record itself says, and the caller need not. An entry
	// that is left because somebody changes the record just now does no harm: List and
	// Purge look at the record.
	kvs, _, err := s.read(ctx, gone, 0)
	if err != nil {
		return nil, err
	}
	for i, kv := range kvs {
		if kv == nil {
			continue
		}
		if r, err := record(gone[i], kv); err == nil {
			for _, entry := range s.keys.entries(&r) {
				thens = append(thens, clientv3.OpDelete(entry))
			}
		}
	}
	return s.client.Txn(ctx).If(ifs...).Then(thens...).Else(elses...), nil
}

// judge says what the records are that a Save met: a conflict, or its own work, if it is sent
// for the second time.
func judge(replies []*etcdserverpb.ResponseOp, changes []mfa.Change, mine mark) error {
	if len(replies) != len(changes) {
		return errReply
	}
	conflict := errReply // one Version differs, or the transaction had been made
	for i, c := range changes {
		kv := first(replies[i])
		if kv == nil {
			kv = &mvccpb.KeyValue{}
		}
		if m, ok := markOf(kv); ok && m == mine && kv.Version == c.Record.Version+1 {
			return nil // and as one Save is made as a whole, the other records are its as well
		}
		if kv.Version != c.Record.Version {
			conflict = fmt.Errorf("%w: record %s", mfa.ErrConflict, c.Record.ID)
		}
	}
	return conflict
}

// Purge deletes expired records, 60 at a time. If it fails, it also returns how many it had
// deleted. It leaves a record whose value is malformed.
func (s *Store) Purge(ctx context.Context, before time.Time) (total int, err error) {
	limit := time.UnixMilli(min(max(before.UnixMilli(), 0), maxMilli+1))
	from, end := string(s.keys)+"e/", s.keys.expiry(limit)
	for {
		var page *clientv3.GetResponse
		err := s.again(ctx, "purging", func(ctx context.Context) (err error) {
			page, err = s.client.Get(ctx, from, clientv3.WithRange(end), clientv3.WithKeysOnly(),
				clientv3.WithLimit(purgeBatch))
			return err
		})
		if err != nil {
			return total, err
		}
		if len(page.Kvs) == 0 {
			return total, nil
		}
		var due []lapse
		for _, kv := range page.Kvs {
			from = string(kv.Key) + "\x00"
			if id, at, ok := s.keys.expires(string(kv.Key)); ok {
				due = append(due, lapse{id, at})
			}
		}
		// Whatever was saved just now is looked at again: each time somebody else got on.
		for len(due) > 0 {
			var deleted int
			if due, deleted, err = s.purge(ctx, due); err != nil {
				return total, err
			}
			total += deleted
		}
	}
}

// A lapse is an entry of the index by time: that of a record at that time, or left from
// before it got another one.
type lapse struct {
	id string
	at time.Time
}

// purge deletes entries, and the records that still have this ExpiresAt. It returns those that
// it must look at again, because somebody changed the record, and how many records it deleted.
// A transaction that may have been made is not sent again: the count would be wrong.
func (s *Store) purge(ctx context.Context, due []lapse) (left []lapse, deleted int, err error) {
	ids := make([]string, len(due))
	for i, d := range due {
		ids[i] = d.id
	}
	var kvs []*mvccpb.KeyValue
	err = s.again(ctx, "purging", func(ctx context.Context) error {
		kvs, _, err = s.read(ctx, ids, 0)
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	var asked []lapse
	var expired []bool
	var each []clientv3.Op
	for i, d := range due {
		key, kv := s.keys.record(d.id), kvs[i]
		deletes := []clientv3.Op{clientv3.OpDelete(s.keys.expiry(d.at) + d.id)}
		revision, lapsed := int64(0), false // as of no record
		if kv != nil {
			revision = kv.ModRevision
			r, err := record(d.id, kv)
			if err != nil {
				continue
			}
			if lapsed = r.ExpiresAt.Equal(d.at); lapsed {
				deletes = []clientv3.Op{clientv3.OpDelete(key)}
				for _, entry := range s.keys.entries(&r) {
					deletes = append(deletes, clientv3.OpDelete(entry))
				}
			}
		}
		unchanged := clientv3.Compare(clientv3.ModRevision(key), "=", revision)
		asked, expired = append(asked, d), append(expired, lapsed)
		each = append(each, clientv3.OpTxn([]clientv3.Cmp{unchanged}, deletes, nil))
	}
	if len(each) == 0 {
		return nil, 0, nil
	}
	reply, err := s.client.Txn(clientv3.WithRequireLeader(ctx)).Then(each...).Commit()
	if err == nil && len(reply.Responses) != len(asked) {
		err = errReply
	}
	if err != nil {
		return nil, 0, told(ctx, "purging", err)
	}
	for i, r := range reply.Responses {
		switch {
		case !r.GetResponseTxn().GetSucceeded():
			left = append(left, asked[i])
		case expired[i]:
			deleted++
		}
	}
	return left, deleted, nil
}

// stale reports whether a read met a revision that is not there any more, or not yet.
func stale(err error) bool {
	return errors.Is(err, rpctypes.ErrCompacted) || errors.Is(err, rpctypes.ErrFutureRev)
}
