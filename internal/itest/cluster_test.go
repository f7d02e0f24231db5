//go:build unix

package itest

import (
	"bytes"
	"context"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/redis/go-redis/v9"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/mfatest"
)

// The tests of clusters start them on this machine: galera_test.go, standby_test.go and
// sentinel_test.go. What all of them are held to is here.

// The drivers would log each connection that is lost when a server is killed.
func init() {
	redis.SetLogger(discard{})
	_ = mysql.SetLogger(&mysql.NopLogger{}) // it refuses nil alone
}

type discard struct{}

func (discard) Printf(context.Context, string, ...any) {}

// onCluster holds a store to everything that it is held to on a server by itself. nodes
// opens it on each node that applications connect to.
func onCluster(t *testing.T, s server, nodes func(t *testing.T, p place) []mfa.Store) {
	t.Helper()
	open := func(t *testing.T) mfa.Store {
		t.Helper()
		p, _ := s.place(t)
		return &inTurn{stores: nodes(t, p)}
	}
	t.Run("the contract", func(t *testing.T) { mfatest.TestStore(t, open) })
	linearizable(t, "linearizable", 40, open, faultless)
	linearizable(t, "Faulty, and linearizable", 20, open, losing)
	t.Run("processes", func(t *testing.T) {
		p, _ := s.place(t)
		processes(t, p, 3, 10)
	})
}

// inTurn gives each call to the next of several stores, so that no node is asked about
// what it was told itself.
type inTurn struct {
	stores []mfa.Store
	calls  atomic.Uint64
}

func (s *inTurn) next() mfa.Store {
	return s.stores[s.calls.Add(1)%uint64(len(s.stores))]
}

func (s *inTurn) Load(ctx context.Context, ids ...string) ([]mfa.Record, error) {
	return s.next().Load(ctx, ids...)
}

func (s *inTurn) List(ctx context.Context, q mfa.Query) ([]mfa.Record, error) {
	return s.next().List(ctx, q)
}

func (s *inTurn) Save(ctx context.Context, changes ...mfa.Change) error {
	return s.next().Save(ctx, changes...)
}

func (s *inTurn) Purge(ctx context.Context, before time.Time) (int, error) {
	return s.next().Purge(ctx, before)
}

// failover has people log in while fail takes a part of the cluster away, which must
// return when the rest works again. Nothing that they were told may be lost, and no code
// may be accepted twice. Those who were not told may have been counted or not.
func failover(t *testing.T, p place, fail func()) {
	t.Helper()
	const n = 15
	f := newFleet(t, p, 4, n)
	random := rand.New(rand.NewPCG(3, 3))
	calm := func() {}
	checked := 0
	for i, meanwhile := range []func(){calm, func() {
		for notes := 10 + random.IntN(30); notes > 0 && f.hear(t, f.workers[0]); notes-- {
		}
		fail()
	}, calm, calm} {
		f.round(t, meanwhile)
		f.reopen(t)
		used := f.check(t)
		if checked += used; used != n && i != 1 {
			t.Errorf("round %d: %d of %d codes were accepted", i, used, n)
		}
	}
	f.checkCounts(t, false)
	t.Logf("%d codes were accepted and stayed used; %v; %d errors", checked, f.told, len(f.unknown))
	for i, text := range f.unknown {
		f.unknown[i] = regexp.MustCompile(`auth_\w+`).ReplaceAllString(text, "…")
	}
	slices.Sort(f.unknown)
	for _, text := range slices.Compact(f.unknown) {
		t.Log(text)
	}
}

// installed returns the path of a program or a file. Without it the test skips, or fails where
// servers are required.
func installed(t *testing.T, what string, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
		if _, err := os.Stat(name); err == nil && filepath.IsAbs(name) {
			return name
		}
	}
	if os.Getenv("MFA_TEST_SERVERS") == "required" {
		t.Fatalf("%s is not installed: there is none of %q", what, names)
	}
	t.Skipf("%s is not installed", what)
	return ""
}

// freePorts are ports that nobody listens on.
func freePorts(t *testing.T, n int) (ports []int) {
	t.Helper()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

// A process is a server that a test started, and kills at its end.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{}
	log   locked
}

// startProcess starts a server, as an ordinary user if as is one.
func startProcess(t *testing.T, as *syscall.Credential, dir, program string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(program, args...), ended: make(chan struct{})}
	p.cmd.Dir = dir
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as}
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // it is killed
		close(p.ended)
	}()
	t.Cleanup(p.kill)
	return p
}

// kill kills the process, and returns when it is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// eventually asks a server until the answer is yes, for a minute.
func eventually(
	t *testing.T, what string, ended <-chan struct{}, log *locked, ask func(ctx context.Context) bool,
) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for !ask(ctx) {
		select {
		case <-ctx.Done():
			t.Fatalf("%s: not within a minute\n%s", what, log)
		case <-ended:
			t.Fatalf("%s: the server ended\n%s", what, log)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// locked is what a process wrote.
type locked struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *locked) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}
