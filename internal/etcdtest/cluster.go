// Package etcdtest runs clusters of etcd for tests. It is a module of its own, so that what
// a server of etcd requires is not required of those who import etcdstore.
//
// Each member is a process of its own, started from the program of the test, so that it can
// be killed as a server dies. TestMain has to call [Main] for that.
package etcdtest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
)

// Options are settings of a cluster. The zero value is one member with the defaults of etcd.
type Options struct {
	Members         int   // defaults to 1
	MaxTxnOps       uint  // defaults to that of etcd
	MaxRequestBytes uint  // likewise
	Quota           int64 // of the database, in bytes; likewise
}

// A Cluster has its data in a temporary folder, and ends with its test.
type Cluster struct {
	members []*member
}

// A member is a process. What is exported is what the process is told.
type member struct {
	Name, Dir, Client, Peer string
	Cluster, State          string // of the members, and whether it is new
	Tick, Election          uint   // milliseconds
	Options                 Options

	cmd *exec.Cmd
	in  io.Closer // the process ends when it is closed, and so when the test's does
}

const (
	memberEnv = "MFA_ETCDTEST_MEMBER"
	ready     = "ready"
)

// Main is a member, and does not return, if this process was started to be one.
func Main() {
	told := os.Getenv(memberEnv)
	if told == "" {
		return
	}
	var m member
	err := json.Unmarshal([]byte(told), &m)
	if err == nil {
		err = m.serve()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// serve is the life of a member.
func (m *member) serve() error {
	cfg, err := m.config()
	if err != nil {
		return err
	}
	server, err := embed.StartEtcd(cfg)
	if err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(ended)
	}()
	select {
	case <-server.Server.ReadyNotify():
		if _, err := fmt.Println(ready); err != nil {
			return err
		}
	case err := <-server.Err():
		return err
	case <-ended:
	}
	select {
	case err := <-server.Err():
		return err
	case <-ended: // nobody needs what a tidy end would save
		return nil
	}
}

func (m *member) config() (*embed.Config, error) {
	client, err1 := url.Parse(m.Client)
	peer, err2 := url.Parse(m.Peer)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	cfg := embed.NewConfig()
	cfg.Name, cfg.Dir = m.Name, m.Dir
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{*client}, []url.URL{*client}
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = []url.URL{*peer}, []url.URL{*peer}
	cfg.InitialCluster, cfg.ClusterState = m.Cluster, m.State
	cfg.TickMs, cfg.ElectionMs = m.Tick, m.Election
	cfg.UnsafeNoFsync = true // processes die here, and the power stays
	cfg.BcryptCost = 4
	cfg.LogLevel, cfg.LogOutputs = "warn", []string{m.log()}
	if m.Options.MaxTxnOps > 0 {
		cfg.MaxTxnOps = m.Options.MaxTxnOps
	}
	if m.Options.MaxRequestBytes > 0 {
		cfg.MaxRequestBytes = m.Options.MaxRequestBytes
	}
	if m.Options.Quota > 0 {
		cfg.QuotaBackendBytes = m.Options.Quota
	}
	return cfg, nil
}

func (m *member) log() string { return filepath.Join(m.Dir, "log") }

// start starts the process, which takes calls once wait has returned.
func (m *member) start() (wait func() error, err error) {
	told, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(os.Args[0]) //nolint:noctx // it outlives the test's context, which ends before the cleanups
	cmd.Env = append(os.Environ(), memberEnv+"="+string(told), "GOGC=400", "GOMAXPROCS=1")
	var failed strings.Builder
	cmd.Stderr = &failed
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		return nil, err
	}
	m.cmd, m.in = cmd, in
	return func() error {
		line, err := bufio.NewReader(out).ReadString('\n')
		if strings.TrimSpace(line) == ready {
			return nil
		}
		m.stop()
		log, _ := os.ReadFile(m.log())
		return fmt.Errorf("member %s did not start: %q, %w\n%s%s", m.Name, line, err, failed.String(), log)
	}, nil
}

// stop kills the process, if there is one.
func (m *member) stop() {
	if m.cmd == nil {
		return
	}
	_ = m.cmd.Process.Kill() // it may be gone
	_ = m.in.Close()
	_ = m.cmd.Wait() // it was killed
	m.cmd = nil
}

// Start starts a cluster.
func Start(tb testing.TB, options Options) *Cluster {
	tb.Helper()
	c, err := start(tb.TempDir(), options)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(c.stop)
	return c
}

// start tries again, since a port that was free may be taken meanwhile.
func start(dir string, options Options) (c *Cluster, err error) {
	for try := range 5 {
		if c, err = startOnce(filepath.Join(dir, fmt.Sprint(try)), options); err == nil {
			return c, nil
		}
	}
	return nil, err
}

func startOnce(dir string, options Options) (*Cluster, error) {
	n := max(options.Members, 1)
	ports, err := freePorts(2 * n)
	if err != nil {
		return nil, err
	}
	c := new(Cluster)
	var names []string
	for i := range n {
		m := &member{
			Name: fmt.Sprint("m", i), Dir: filepath.Join(dir, fmt.Sprint("m", i)),
			Client: "http://" + ports[i], Peer: "http://" + ports[n+i],
			State: embed.ClusterStateFlagNew, Tick: 100, Election: 1000, Options: options,
		}
		if n == 1 {
			m.Tick, m.Election = 10, 100 // it has nobody to wait for
		}
		c.members = append(c.members, m)
		names = append(names, m.Name+"="+m.Peer)
	}
	var waits []func() error
	for _, m := range c.members {
		m.Cluster = strings.Join(names, ",")
		err := os.MkdirAll(m.Dir, 0o700)
		if err == nil {
			var wait func() error
			wait, err = m.start()
			waits = append(waits, wait)
		}
		if err != nil {
			c.stop()
			return nil, err
		}
	}
	for _, wait := range waits {
		if err := wait(); err != nil {
			c.stop()
			return nil, err
		}
	}
	return c, nil
}

// freePorts are addresses that nobody listens on.
func freePorts(n int) (addresses []string, err error) {
	for range n {
		l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer func() { _ = l.Close() }() // when all are known, or two may be the same
		addresses = append(addresses, l.Addr().String())
	}
	return addresses, nil
}

func (c *Cluster) stop() {
	for _, m := range c.members {
		m.stop()
	}
}

// Endpoints are where clients connect, member by member: host and port.
func (c *Cluster) Endpoints() (endpoints []string) {
	for _, m := range c.members {
		endpoints = append(endpoints, strings.TrimPrefix(m.Client, "http://"))
	}
	return endpoints
}

// Client connects to all members, until the test ends.
func (c *Cluster) Client(tb testing.TB) *clientv3.Client {
	tb.Helper()
	client, err := NewClient(c.Endpoints())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = client.Close() })
	return client
}

// NewClient connects to these endpoints. It logs nothing, and looks for a member that is
// back more often than clients do.
func NewClient(endpoints []string, options ...grpc.DialOption) (*clientv3.Client, error) {
	often := backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 1.5, MaxDelay: 200 * time.Millisecond}
	return clientv3.New(clientv3.Config{
		Endpoints: endpoints, Logger: zap.NewNop(),
		DialOptions: append([]grpc.DialOption{grpc.WithConnectParams(grpc.ConnectParams{Backoff: often})}, options...),
	})
}

// Kill kills a member as it is.
func (c *Cluster) Kill(i int) { c.members[i].stop() }

// Restart starts a member that was killed, with the data that it had.
func (c *Cluster) Restart(tb testing.TB, i int) {
	tb.Helper()
	wait, err := c.members[i].start()
	if err == nil {
		err = wait()
	}
	if err != nil {
		tb.Fatal(err)
	}
}

// Leader is which member leads. It waits until one does.
func (c *Cluster) Leader(tb testing.TB) int {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 30*time.Second)
	defer cancel()
	client := c.Client(tb)
	for ctx.Err() == nil {
		for i, endpoint := range c.Endpoints() {
			if c.members[i].cmd == nil {
				continue
			}
			short, cancel := context.WithTimeout(ctx, time.Second)
			about, err := client.Status(short, endpoint)
			cancel()
			if err == nil && about.Leader == about.Header.GetMemberId() {
				return i
			}
		}
	}
	tb.Fatal("no member leads")
	return 0
}

// AddLearner adds a member that has no vote, and gives its endpoint.
func (c *Cluster) AddLearner(tb testing.TB) string {
	tb.Helper()
	ports, err := freePorts(2)
	if err != nil {
		tb.Fatal(err)
	}
	last := c.members[len(c.members)-1]
	m := &member{
		Name: "learner", Dir: last.Dir + "-learner", Client: "http://" + ports[0], Peer: "http://" + ports[1],
		State: embed.ClusterStateFlagExisting, Tick: last.Tick, Election: last.Election,
	}
	m.Cluster = last.Cluster + "," + m.Name + "=" + m.Peer
	if _, err := c.Client(tb).MemberAddAsLearner(tb.Context(), []string{m.Peer}); err != nil {
		tb.Fatal(err)
	}
	if err := os.MkdirAll(m.Dir, 0o700); err != nil {
		tb.Fatal(err)
	}
	wait, err := m.start()
	if err == nil {
		c.members = append(slices.Clip(c.members), m)
		err = wait()
	}
	if err != nil {
		tb.Fatal(err)
	}
	return ports[0]
}

var shared struct {
	sync.Once
	cluster *Cluster
	err     error
}

// Shared is a cluster of one member for all tests of a program, which must use prefixes of
// their own. It ends with the program.
func Shared(tb testing.TB) *Cluster {
	tb.Helper()
	shared.Do(func() {
		var dir string
		if dir, shared.err = os.MkdirTemp("", "etcdtest"); shared.err == nil { //nolint:usetesting // it outlives the test
			shared.cluster, shared.err = start(dir, Options{})
		}
	})
	if shared.err != nil {
		tb.Fatal(shared.err)
	}
	return shared.cluster
}

// End ends the shared cluster, if there is one, and removes its data.
func End() {
	if shared.cluster != nil {
		shared.cluster.stop()
		_ = os.RemoveAll(filepath.Dir(filepath.Dir(shared.cluster.members[0].Dir)))
	}
}
