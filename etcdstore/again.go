package etcdstore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/authfactor/mfa"
)

const (
	maxTries     = 10
	longestPause = 500 * time.Millisecond // before the last tries; an election takes a second or two

	// patience is for the first try. A member that has passed a call on to a leader that died
	// says so only after seven seconds, which is longer than the service waits. As a cluster
	// may also be slow, each try after one without an answer has twice the time.
	patience        = 3 * time.Second
	longestPatience = 24 * time.Second
)

var errSlow = errors.New("no answer in time")

// again makes a call, and makes it again after errors that another try may not have.
func (s *Store) again(
	ctx context.Context, doing string, call func(context.Context) error,
) error {
	var err error
	patience := patience
	for try := range maxTries {
		if try > 0 {
			if failed := pause(ctx, min(20*time.Millisecond<<(try-1), longestPause)); failed != nil {
				return failed
			}
		}
		if over := ctx.Err(); over != nil {
			if err == nil {
				return over
			}
			break
		}
		if err = once(ctx, patience, call); !unanswered(err) {
			break
		}
		if errors.Is(err, errSlow) {
			patience = min(2*patience, longestPatience)
		}
	}
	return told(ctx, doing, err)
}

// told is an error as callers get it: a conflict is one only while the context is not over.
func told(ctx context.Context, doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil && errors.Is(err, mfa.ErrConflict):
		return ctx.Err()
	case errors.Is(err, mfa.ErrConflict), errors.Is(err, mfa.ErrIntegrity):
		return err
	case ctx.Err() != nil && !errors.Is(err, ctx.Err()):
		return fmt.Errorf("etcdstore: %s: %w: %w", doing, ctx.Err(), err)
	}
	return fmt.Errorf("etcdstore: %s: %w", doing, err)
}

// once makes a call that ends in time. A member that has no leader must say so, and not wait
// for one, since another may have one.
func once(
	ctx context.Context, patience time.Duration, call func(context.Context) error,
) error {
	short, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := call(clientv3.WithRequireLeader(short))
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return errSlow
	}
	return err
}

// unanswered is of errors after which a call may have been carried out or not, and of those
// after which it was not, that come of the state of a member. Another may answer.
func unanswered(err error) bool {
	return err != nil &&
		(errors.Is(err, errSlow) || refused(err) || stale(err) || code(err) == codes.Unavailable)
}

// refused is of errors that a member gives before it has passed anything on.
func refused(err error) bool {
	return errors.Is(err, rpctypes.ErrNoLeader) || errors.Is(err, rpctypes.ErrTooManyRequests)
}

func code(err error) codes.Code {
	if known, ok := errors.AsType[rpctypes.EtcdError](err); ok {
		return known.Code()
	}
	return status.Code(err)
}

// pause lets a random part of a time pass, so that those who failed together do not meet again.
func pause(ctx context.Context, longest time.Duration) error {
	d, err := rand.Int(rand.Reader, big.NewInt(int64(longest)))
	if err != nil {
		return fmt.Errorf("etcdstore: pausing: %w", err)
	}
	rest, cancel := context.WithTimeout(ctx, longest/2+time.Duration(d.Int64())/2)
	defer cancel()
	<-rest.Done()
	return nil // of a context that is over the next try tells
}
