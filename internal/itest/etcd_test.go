package itest

import (
	"context"
	"io"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/etcdstore"
	"github.com/authfactor/mfa/internal/etcdtest"
)

// etcdDriver is the Driver of a place in etcd, whose Address are the endpoints of all members,
// and whose Schema is the prefix.
const etcdDriver = "etcd"

func (p place) openEtcd(ctx context.Context) (mfa.Store, io.Closer, error) {
	client, err := etcdtest.NewClient(strings.Split(p.Address, ","))
	if err != nil {
		return nil, nil, err
	}
	store, err := etcdstore.New(ctx, etcdstore.Config{
		Client: client, Prefix: p.Schema, Logger: slog.New(slog.DiscardHandler),
	})
	return store, client, err
}

// startEtcd starts three members.
func startEtcd(t *testing.T) (*etcdtest.Cluster, place) {
	t.Helper()
	cluster := etcdtest.Start(t, etcdtest.Options{Members: 3})
	return cluster, place{Driver: etcdDriver, Address: strings.Join(cluster.Endpoints(), ","), Schema: "mfa/"}
}

// TestLinearizableEtcd is TestLinearizable on three members, to each of which every third call
// goes.
func TestLinearizableEtcd(t *testing.T) {
	_, p := startEtcd(t)
	open := func(t *testing.T) mfa.Store {
		t.Helper()
		own := p // the histories use the same phone numbers
		own.Schema = t.Name() + "/"
		return own.mustOpen(t)
	}
	linearizable(t, "etcd", 16, open, faultless)
	linearizable(t, "Faulty etcd", 16, open, losing)
}

// TestProcessesEtcd is TestProcesses on three members.
func TestProcessesEtcd(t *testing.T) {
	_, p := startEtcd(t)
	processes(t, p, 3, 8)
}

// TestKillLeader kills the leader of three members while people log in, and starts it again
// later. What was told holds: no code is accepted twice, and no failure is forgotten. With
// the two that are left everybody logs in.
func TestKillLeader(t *testing.T) {
	cluster, p := startEtcd(t)
	const n = 6
	f := newFleet(t, p, 4, n)
	random := rand.New(rand.NewPCG(3, 3))
	checked, atWork := 0, 0
	for range (*crashes + 1) / 2 { // two rounds each: see crashes
		leader := cluster.Leader(t)
		f.round(t, func() {
			for notes := 1 + random.IntN(20); notes > 0 && f.hear(t, f.workers[0]); notes-- {
			}
			if !f.workers[0].done {
				atWork++
			}
			cluster.Kill(leader)
		})
		checked += f.check(t)
		f.round(t, func() {})
		if got := f.check(t); got != n {
			t.Errorf("%d of %d codes were accepted by the members that are left", got, n)
		}
		cluster.Restart(t, leader)
	}
	f.checkCounts(t, false)
	t.Logf("%d kills while calls were under way; %d codes of those rounds were accepted and stayed used; %v; errors: %q",
		atWork, checked, f.told, f.unknown)
	if atWork == 0 || checked == 0 {
		t.Error("no kill hit a call, or no code was accepted")
	}
}
