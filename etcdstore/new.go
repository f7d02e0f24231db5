package etcdstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"

	"github.com/authfactor/mfa"
)

// New returns a store, after it has asked each member for its settings and tried, without
// writing anything, what the store does. "Settings" of the package lists what it refuses. It
// also returns an error if the cluster does not answer. It logs a warning for each endpoint
// that does not, as long as the others are enough, and if the database is full.
func New(ctx context.Context, cfg Config) (*Store, error) {
	if cfg.Client == nil {
		return nil, errors.New("etcdstore: Config.Client is required")
	}
	if cfg.Prefix == "" {
		cfg.Prefix = "mfa/"
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if !legal(cfg.Prefix) {
		return nil, fmt.Errorf("etcdstore: Config.Prefix is %q: it must be printable ASCII, "+
			`at most %d bytes, and end in "/"`, cfg.Prefix, maxPrefix)
	}
	if err := members(ctx, cfg); err != nil {
		return nil, err
	}
	s := &Store{client: cfg.Client, keys: keys(cfg.Prefix)}
	switch err := s.try(ctx); {
	case errors.Is(err, rpctypes.ErrNoSpace): // which can pass, and reads go on
		cfg.Logger.WarnContext(ctx, "etcdstore: the database has reached its quota and takes no "+
			"Save: compact and defragment it, and disarm the alarm", "error", err)
	case err != nil:
		return nil, err
	}
	return s, nil
}

const maxPrefix = 200

func legal(prefix string) bool {
	for i := range len(prefix) {
		if prefix[i] < ' ' || prefix[i] > '~' {
			return false
		}
	}
	return len(prefix) <= maxPrefix && strings.HasSuffix(prefix, "/")
}

// asking is how long New waits for what one member says of itself.
const asking = 5 * time.Second

// members asks every endpoint what it is.
func members(ctx context.Context, cfg Config) error {
	endpoints := cfg.Client.Endpoints()
	about := make([]*clientv3.StatusResponse, len(endpoints))
	errs := make([]error, len(endpoints))
	short, cancel := context.WithTimeout(ctx, asking)
	defer cancel()
	var wg sync.WaitGroup
	for i, endpoint := range endpoints {
		wg.Go(func() { about[i], errs[i] = cfg.Client.Status(short, endpoint) })
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("etcdstore: asking the members: %w: %w", err, errors.Join(errs...))
	}
	cluster := uint64(0)
	for i, endpoint := range endpoints {
		if errs[i] != nil {
			continue
		}
		id := about[i].Header.GetClusterId()
		switch {
		case cluster != 0 && id != cluster:
			return fmt.Errorf("etcdstore: endpoint %s is of another cluster than those before it: "+
				"records would be here one time and there another", endpoint)
		case about[i].IsLearner:
			return fmt.Errorf("etcdstore: endpoint %s is a learner, which takes no calls of clients: "+
				"promote it, or leave it out", endpoint)
		case !recent(about[i].Version):
			return fmt.Errorf("etcdstore: endpoint %s is of version %q: 3.5.6 or newer is needed",
				endpoint, about[i].Version)
		}
		cluster = id
	}
	if cluster == 0 {
		return fmt.Errorf("etcdstore: no member answers: %w", errors.Join(errs...))
	}
	for i, endpoint := range endpoints {
		if errs[i] != nil {
			cfg.Logger.WarnContext(ctx, "etcdstore: an endpoint does not answer",
				"endpoint", endpoint, "error", errs[i])
		}
	}
	return nil
}

// recent reports whether a version is 3.5.6 or newer. 3.5.5 was the first that did not lose
// what a cluster of one member had acknowledged when it crashed, and 3.5.6 the first whose
// members did not differ after a crash while they were defragmented (etcd-io/etcd issue
// 14370, pull request 14730).
func recent(version string) bool {
	text, _, _ := strings.Cut(version, "-")
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return false
	}
	for i, least := range []int{3, 5, 6} {
		n, err := strconv.Atoi(parts[i])
		if err != nil || n != least {
			return err == nil && n > least
		}
	}
	return true
}

// try sends the largest Save, with a condition that never holds. etcd judges the rights, the
// count and the size of what is in a transaction before it looks at conditions.
func (s *Store) try(ctx context.Context) error {
	longest := strings.Repeat("~", 64)
	r := mfa.Record{
		Kind: strings.Repeat("z", 32), Parent: longest, UserID: strings.Repeat("~", 255),
		Type: strings.Repeat("z", 32), Status: strings.Repeat("z", 32),
		CreatedAt: time.UnixMilli(maxMilli), UpdatedAt: time.UnixMilli(maxMilli),
		ExpiresAt: time.UnixMilli(maxMilli), State: make([]byte, 64<<10),
	}
	var ifs []clientv3.Cmp
	var thens []clientv3.Op
	for i := range maxChanges {
		r.ID = fmt.Sprintf("%02d%s", i, longest[2:])
		key := s.keys.record(r.ID)
		ifs = append(ifs, clientv3.Compare(clientv3.Version(key), "=", -1))
		thens = append(thens, clientv3.OpPut(key, string(value(&r, mark{}))))
		for _, entry := range s.keys.entries(&r) {
			thens = append(thens, clientv3.OpPut(entry, ""))
		}
	}
	var elses []clientv3.Op
	for _, part := range []string{"r/", "k/", "u/", "e/"} {
		elses = append(elses, clientv3.OpGet(string(s.keys)+part, clientv3.WithPrefix(),
			clientv3.WithKeysOnly(), clientv3.WithLimit(1)))
	}
	err := s.again(ctx, "trying the largest Save", func(ctx context.Context) error {
		_, err := s.client.Txn(ctx).If(ifs...).Then(thens...).Else(elses...).Commit()
		return err
	})
	switch {
	case err == nil, errors.Is(err, rpctypes.ErrNoSpace):
		return err
	case errors.Is(err, rpctypes.ErrTooManyOps):
		return fmt.Errorf("%w: --max-txn-ops must be at least %d", err, maxOps)
	case errors.Is(err, rpctypes.ErrRequestTooLarge):
		return fmt.Errorf("%w: --max-request-bytes must be at least 1.5 MiB, the default", err)
	case code(err) == codes.ResourceExhausted:
		return fmt.Errorf("%w: is it MaxCallSendMsgSize of the client's configuration? "+
			"The default, 2 MiB, is enough", err)
	case errors.Is(err, rpctypes.ErrPermissionDenied):
		return fmt.Errorf("%w: the user needs readwrite on the prefix %s", err, s.keys)
	}
	return err
}
