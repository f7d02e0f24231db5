//go:build unix

package itest

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/mfatest"
	"github.com/authfactor/mfa/sqlstore"
)

// The long form: go test ./internal/itest -run Kill -crashes 14. A factor that is guessed at
// is disabled after 30 failures, which leaves room for that many rounds.
var crashes = flag.Int("crashes", 4, "how often each test of crashes kills something")

// TestKillClients kills processes in the middle of their calls, on every store.
func TestKillClients(t *testing.T) {
	for _, s := range servers {
		t.Run(s.name, func(t *testing.T) {
			p, _ := s.place(t)
			f := newFleet(t, p, 4, 12)
			random := rand.New(rand.NewPCG(1, uint64(len(s.name))))
			atWork := 0
			for range *crashes {
				var killed *worker
				f.round(t, func() {
					// Wait for a number of calls, not for a time, so that the kill lands among them.
					killed = f.workers[random.IntN(len(f.workers))]
					for notes := 1 + random.IntN(20); notes > 0 && f.hear(t, killed); notes-- {
					}
					killed.kill(t)
				})
				if !killed.done {
					atWork++
				}
				f.check(t)
			}
			f.checkCounts(t, false)
			t.Logf("%d killed, %d of them at work: %v", *crashes, atWork, f.told)
		})
	}
}

// TestKillServer kills PostgreSQL itself under load, with all its processes, and starts
// it again.
func TestKillServer(t *testing.T) {
	pg := startPostgreSQL(t)
	p := place{sqlstore.PostgreSQL, "pgx", pg.dsn(), ""}
	p.migrate(t)
	f := newFleet(t, p, 4, 30)
	random := rand.New(rand.NewPCG(2, 2))
	checked := 0
	for range *crashes {
		f.round(t, func() {
			for notes := 1 + random.IntN(100); notes > 0 && f.hear(t, f.workers[0]); notes-- {
			}
			pg.kill(t)
			pg.start(t)
		})
		f.reopen(t) // its idle connections are dead
		checked += f.check(t)
	}
	f.checkCounts(t, false)
	t.Logf("%d codes were accepted and stayed used; %v; %d errors", checked, f.told, len(f.unknown))
	if len(f.unknown) == 0 || checked == 0 {
		t.Error("no crash hit a call, or none was before one")
	}
}

// A postgreSQL is a server in a folder of the test's own, on a socket there.
type postgreSQL struct {
	bin, dir string
	as       *syscall.Credential // the server refuses root
	cmd      *exec.Cmd
	ended    chan struct{}
	log      locked
	settings []string
}

// dsn is for the socket.
func (pg *postgreSQL) dsn() string {
	return "postgres:///postgres?host=" + url.QueryEscape(pg.dir) + "&user=mfa&sslmode=disable"
}

func startPostgreSQL(t *testing.T, settings ...string) *postgreSQL {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if path, err := exec.LookPath("postgres"); err == nil {
		found = append(found, path)
	}
	if len(found) == 0 {
		if os.Getenv("MFA_TEST_SERVERS") == "required" {
			t.Fatal("PostgreSQL is not installed")
		}
		t.Skip("PostgreSQL: no program named postgres")
	}
	dir, err := os.MkdirTemp("", "mfa") //nolint:usetesting // t.TempDir is longer than a socket's path may be, and closed to others
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	program, err := filepath.EvalSymlinks(found[len(found)-1]) // the other programs are beside it
	if err != nil {
		t.Fatal(err)
	}
	pg := &postgreSQL{bin: filepath.Dir(program), dir: dir, as: ordinary(t, dir), settings: settings}
	if out, err := pg.command("initdb", "-D", dir+"/data", "-U", "mfa", "-A", "trust", "--no-sync", "-E", "UTF8").CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	pg.start(t)
	t.Cleanup(func() { pg.kill(t) })
	return pg
}

// ordinary is a user for servers that refuse root, who is given the folder. It is nil
// unless root runs the test.
func ordinary(t *testing.T, dir string) *syscall.Credential {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		if u, err := user.Lookup(name); err == nil {
			uid, _ := strconv.Atoi(u.Uid)
			gid, _ := strconv.Atoi(u.Gid)
			if err := os.Chown(dir, uid, gid); err != nil {
				t.Fatal(err)
			}
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		}
	}
	t.Fatal("there is no user for a server that refuses root")
	return nil
}

func (pg *postgreSQL) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(pg.bin, name), args...)
	cmd.Dir = pg.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: pg.as}
	return cmd
}

// start returns when the server takes connections, which it refuses while it recovers.
func (pg *postgreSQL) start(t *testing.T) {
	t.Helper()
	db, err := sql.Open("pgx", pg.dsn())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for tries := 0; ; tries++ {
		pg.cmd = pg.command("postgres", append([]string{"-D", pg.dir + "/data", "-k", pg.dir, "-h", "", "-c", "shared_buffers=16MB", "-c", "max_connections=60"}, pg.settings...)...)
		pg.cmd.Stderr = &pg.log
		if err := pg.cmd.Start(); err != nil {
			t.Fatal(err)
		}
		pg.ended = make(chan struct{})
		go func() {
			_ = pg.cmd.Wait() // it is killed
			close(pg.ended)
		}()
		for ended := false; !ended; {
			select {
			case <-pg.ended: // as long as a process of the one before is left
				ended = true
			default:
				if db.PingContext(t.Context()) == nil {
					return
				}
			}
		}
		if tries > 100 {
			t.Fatal(pg.log.String())
		}
	}
}

// kill kills the server and every process of it at once.
func (pg *postgreSQL) kill(t *testing.T) {
	t.Helper()
	select {
	case <-pg.ended:
		return
	default:
	}
	pid := pg.cmd.Process.Pid
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		t.Error(err)
	}
	_ = pg.cmd.Process.Kill()
	for child := range strings.FieldsSeq(string(children)) {
		if n, err := strconv.Atoi(child); err == nil {
			_ = syscall.Kill(n, syscall.SIGKILL)
		}
	}
	<-pg.ended
}

// TestCutConnections cuts the connection between the store and its server at every
// point of a call: before and after each piece that goes through, in either direction.
// What was told then holds, and what was not is one of the two things that can have
// happened, once.
func TestCutConnections(t *testing.T) {
	for _, s := range servers {
		if s.at == nil {
			continue // no connection
		}
		t.Run(s.name, func(t *testing.T) {
			direct, address := s.place(t)
			relay := startRelay(t, address)
			through := s.at(relay.address, direct.Schema)
			through.Schema = direct.Schema
			var now atomic.Int64
			now.Store(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).UnixMilli())
			svc, err := newService(direct.mustOpen(t), &now)
			if err != nil {
				t.Fatal(err)
			}
			told := map[string]int{}
			for _, right := range []bool{true, false} {
				for cut := int64(1); ; cut++ {
					c := newCutCase(t, svc, &now, right)
					relay.cutAt.Store(0)
					store, closer, err := through.open(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					far, err := newService(store, &now)
					if err != nil {
						t.Fatal(err)
					}
					relay.pieces.Store(0)
					relay.cutAt.Store(cut)
					_, err = far.Verify(t.Context(), mfa.VerifyParams{ChallengeID: c.challenge, Code: c.code})
					reached := relay.cutAt.Swap(0) == 0
					_ = closer.Close()
					told[c.check(t, err)]++
					if !reached {
						break
					}
				}
			}
			t.Logf("%d calls: %v", told["told"]+told["undone"]+told["done, not told"], told)
			if told["undone"] == 0 || told["done, not told"] == 0 {
				t.Error("no cut came before the commit, or none after it")
			}
		})
	}
}

// A cutCase is one Verify of a factor that nobody else uses.
type cutCase struct {
	svc                     *mfa.Service
	now                     *atomic.Int64
	factor, challenge, code string
	secret                  string
	right                   bool
}

func newCutCase(t *testing.T, svc *mfa.Service, now *atomic.Int64, right bool) *cutCase {
	t.Helper()
	now.Add((25 * time.Hour).Milliseconds())
	at := func() time.Time { return time.UnixMilli(now.Load()) }
	enr, err := svc.Enroll(t.Context(), mfa.EnrollParams{NoOwner: true, TOTP: &mfa.TOTPParams{Issuer: "a", User: "b"}})
	if err != nil {
		t.Fatal(err)
	}
	c := &cutCase{svc: svc, now: now, factor: enr.Factor.ID, secret: enr.TOTP.Secret(), right: right}
	use(t.Context(), svc, target{ID: c.factor, Secret: c.secret}, at(), func(note) {})
	now.Add(time.Hour.Milliseconds())
	ch, err := svc.Challenge(t.Context(), mfa.ChallengeParams{FactorID: c.factor})
	if err != nil {
		t.Fatal(err)
	}
	c.challenge = ch.ID
	c.code = mfatest.Code(c.secret, at())
	if !right {
		c.code = notCode(c.secret, at())
	}
	return c
}

// check holds what was told against what is stored.
func (c *cutCase) check(t *testing.T, told error) string {
	t.Helper()
	verify := func() error {
		_, err := c.svc.Verify(t.Context(), mfa.VerifyParams{ChallengeID: c.challenge, Code: c.code})
		return err
	}
	if c.right {
		again := verify()
		used := errors.Is(again, mfa.ErrChallengePreviouslyVerified)
		switch {
		case told == nil && used:
			return "told"
		case told != nil && used:
			return "done, not told"
		case told != nil && again == nil:
			if err := verify(); !errors.Is(err, mfa.ErrChallengePreviouslyVerified) {
				t.Errorf("accepted twice: %v", err)
			}
			return "undone"
		}
		t.Errorf("told %v, and then %v", told, again)
		return "wrong"
	}
	// Five wrong codes begin a wait: how many are left tells how many are counted.
	left := 0
	for {
		err := verify()
		if e, _ := errors.AsType[*mfa.Error](err); !errors.Is(err, mfa.ErrInvalidCode) {
			t.Fatal(err)
		} else if left++; e.RetryAfter > 0 {
			break
		}
	}
	counted := 5 - left
	switch isTold := errors.Is(told, mfa.ErrInvalidCode); {
	case isTold && counted == 1:
		return "told"
	case !isTold && told != nil && counted == 1:
		return "done, not told"
	case !isTold && told != nil && counted == 0:
		return "undone"
	}
	t.Errorf("told %v, and %d failures are counted", told, counted)
	return "wrong"
}

// A relay passes connections on, and cuts one at a point.
type relay struct {
	address string
	pieces  atomic.Int64 // so far
	cutAt   atomic.Int64 // 2n-1: instead of piece n; 2n: after it; 0: never
}

func startRelay(t *testing.T, to string) *relay {
	t.Helper()
	in, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	t.Cleanup(func() {
		cancel()
		_ = in.Close()
		wg.Wait()
	})
	r := &relay{address: in.Addr().String()}
	wg.Go(func() {
		for {
			near, err := in.Accept()
			if err != nil {
				return
			}
			far, err := new(net.Dialer).DialContext(ctx, "tcp", to)
			if err != nil {
				_ = near.Close()
				continue
			}
			closeBoth := func() { _, _ = near.Close(), far.Close() }
			context.AfterFunc(ctx, closeBoth)
			wg.Go(func() { r.pass(near, far, closeBoth) })
			wg.Go(func() { r.pass(far, near, closeBoth) })
		}
	})
	return r
}

func (r *relay) pass(from io.Reader, to io.Writer, closeBoth func()) {
	defer closeBoth()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		piece := r.pieces.Add(1)
		if r.cutAt.CompareAndSwap(2*piece-1, 0) {
			return
		}
		if _, err := to.Write(buf[:n]); err != nil || r.cutAt.CompareAndSwap(2*piece, 0) {
			return
		}
	}
}
