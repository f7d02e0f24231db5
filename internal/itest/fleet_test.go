package itest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/internal/etcdtest"
	"github.com/authfactor/mfa/mfatest"
)

// TestMain is a worker when a fleet started it, and a member when a cluster of etcd did.
func TestMain(m *testing.M) {
	etcdtest.Main()
	if os.Getenv("MFA_ITEST_WORKER") != "" {
		if err := work(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// A target is a confirmed TOTP factor that all workers use at once: either with the
// right code of the round, or with wrong ones.
type target struct {
	ID, Secret string
	Guess      bool
}

// A job is the first line that a worker reads. Each other line is a round: its time.
type job struct {
	Place   place
	Targets []target
}

// A note is a line that a worker writes, as soon as it has happened.
type note struct {
	Target    int
	Challenge string
	Answer    answer // begun, before Verify is called, and what came of it; ready and done, of the worker
	Error     string // where the answer is unknown
}

const (
	ready answer = "ready"
	begun answer = "begun"
	done  answer = "done"

	guesses = 3 // by each worker at each target, in each round
)

func newService(store mfa.Store, now *atomic.Int64) (*mfa.Service, error) {
	return mfa.New(mfa.Config{
		Store: store, Keys: mfatest.Keys(), Logger: slog.New(slog.DiscardHandler),
		Now: func() time.Time { return time.UnixMilli(now.Load()) },
	})
}

// work is the life of a worker process.
func work(in io.Reader, out io.Writer) error {
	ctx := context.Background()
	lines := json.NewDecoder(in)
	var j job
	if err := lines.Decode(&j); err != nil {
		return err
	}
	store, closer, err := j.Place.open(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = closer.Close() }()
	var now atomic.Int64
	svc, err := newService(store, &now)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	notes := json.NewEncoder(out) // written at once: what was told is told, even if this process dies
	tell := func(n note) {
		mu.Lock()
		defer mu.Unlock()
		_ = notes.Encode(n)
	}
	tell(note{Answer: ready})
	for {
		var at int64
		if err := lines.Decode(&at); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		now.Store(at)
		var next atomic.Int64
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for {
					i := int(next.Add(1)) - 1
					if i >= len(j.Targets) {
						return
					}
					use(ctx, svc, j.Targets[i], time.UnixMilli(at), func(n note) {
						n.Target = i
						tell(n)
					})
				}
			})
		}
		wg.Wait()
		tell(note{Answer: done})
	}
}

func use(ctx context.Context, svc *mfa.Service, f target, at time.Time, tell func(note)) {
	ch, err := svc.Challenge(ctx, mfa.ChallengeParams{FactorID: f.ID})
	if err != nil {
		tell(noteOf("", err))
		return
	}
	tries := 1
	code := mfatest.Code(f.Secret, at)
	if f.Guess {
		tries, code = guesses, notCode(f.Secret, at)
	}
	for range tries {
		tell(note{Challenge: ch.ID, Answer: begun})
		_, err := svc.Verify(ctx, mfa.VerifyParams{ChallengeID: ch.ID, Code: code})
		tell(noteOf(ch.ID, err))
	}
}

func noteOf(challenge string, err error) note {
	n := note{Challenge: challenge, Answer: answerOf(input{}, err)}
	if !slices.Contains([]answer{accepted, wrong, verifiedBefore, tooMany, throttled, busy}, n.Answer) {
		n.Answer, n.Error = unknown, err.Error()
	}
	return n
}

// notCode is wrong now and in the steps around.
func notCode(secret string, at time.Time) string {
	var right []string
	for i := -2; i <= 2; i++ {
		right = append(right, mfatest.Code(secret, at.Add(time.Duration(i)*30*time.Second)))
	}
	for i := 0; ; i++ {
		if code := fmt.Sprintf("%06d", i); !slices.Contains(right, code) {
			return code
		}
	}
}

// A fleet is several processes on one store, and what they were told.
type fleet struct {
	place   place
	svc     *mfa.Service // of this process
	now     atomic.Int64
	targets []target
	workers []*worker

	attempts, failures []int               // by target: begun, and answered as wrong
	accepted           []map[string]string // by target: codes, and the challenge that took each
	verified           map[string]int      // challenges
	told               map[answer]int
	unknown            []string
}

// newFleet enrolls n factors to log in with, and n to guess at.
func newFleet(t *testing.T, p place, processes, n int) *fleet {
	t.Helper()
	f := &fleet{place: p, verified: map[string]int{}, told: map[answer]int{}}
	f.now.Store(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).UnixMilli())
	f.reopen(t)
	for i := range 2 * n {
		enr, err := f.svc.Enroll(t.Context(), mfa.EnrollParams{NoOwner: true, TOTP: &mfa.TOTPParams{Issuer: "a", User: "b"}})
		if err != nil {
			t.Fatal(err)
		}
		f.targets = append(f.targets, target{enr.Factor.ID, enr.TOTP.Secret(), i >= n})
		f.accepted = append(f.accepted, map[string]string{})
		confirmed := false
		use(t.Context(), f.svc, target{ID: enr.Factor.ID, Secret: enr.TOTP.Secret()}, f.time(), func(n note) { confirmed = n.Answer == accepted })
		if !confirmed {
			t.Fatal("the first code was not accepted")
		}
	}
	f.attempts, f.failures = make([]int, 2*n), make([]int, 2*n)
	for range processes {
		f.workers = append(f.workers, f.start(t))
	}
	return f
}

func (f *fleet) reopen(t *testing.T) {
	t.Helper()
	var err error
	if f.svc, err = newService(f.place.mustOpen(t), &f.now); err != nil {
		t.Fatal(err)
	}
}

func (f *fleet) time() time.Time { return time.UnixMilli(f.now.Load()) }

// A worker is a process of the fleet.
type worker struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	notes  chan note // closed when the process is gone
	done   bool      // it said so in this round
	killed bool      // by kill
}

// kill kills the process, whatever it is doing.
func (w *worker) kill(t *testing.T) {
	t.Helper()
	w.killed = true
	if err := w.cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
}

func (f *fleet) start(t *testing.T) *worker {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "MFA_ITEST_WORKER=yes")
	cmd.Stderr = os.Stderr
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	w := &worker{cmd: cmd, in: in, notes: make(chan note, 1<<16)}
	go func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var n note
			if json.Unmarshal(lines.Bytes(), &n) == nil { // the last line of a killed one may be cut
				w.notes <- n
			}
		}
		close(w.notes)
	}()
	t.Cleanup(func() {
		_ = w.in.Close()
		for range w.notes {
		}
		_ = cmd.Wait()
	})
	f.send(t, w, job{f.place, f.targets})
	if n := <-w.notes; n.Answer != ready {
		t.Fatal("a worker did not start")
	}
	return w
}

func (f *fleet) send(t *testing.T, w *worker, line any) {
	t.Helper()
	if err := json.NewEncoder(w.in).Encode(line); err != nil {
		t.Fatal(err)
	}
}

// round lets two hours pass, and all workers use all targets once, while something
// else happens. A worker that was killed is replaced, also if it was done by then: its end
// comes later than its last note, and the next round must not be given to it.
func (f *fleet) round(t *testing.T, meanwhile func()) {
	t.Helper()
	f.now.Add((2 * time.Hour).Milliseconds())
	for _, w := range f.workers {
		w.done = false
		f.send(t, w, f.now.Load())
	}
	meanwhile()
	for i, w := range f.workers {
		for (!w.done || w.killed) && f.hear(t, w) {
		}
		if w.killed {
			f.workers[i] = f.start(t)
		}
	}
}

// hear waits for a worker's next note. It returns false when there is none: after the
// round's last, or, if the worker was killed, when the process is gone.
func (f *fleet) hear(t *testing.T, w *worker) bool {
	t.Helper()
	n, open := <-w.notes
	switch {
	case !open && !w.killed:
		t.Fatal("a worker ended by itself")
	case !open:
		return false
	case n.Answer == done:
		w.done = true
		return w.killed
	}
	f.take(t, n)
	return true
}

func (f *fleet) take(t *testing.T, n note) {
	t.Helper()
	f.told[n.Answer]++
	switch n.Answer { //nolint:exhaustive // the others say that nothing was done
	case begun:
		f.attempts[n.Target]++
	case wrong:
		f.failures[n.Target]++
	case unknown:
		f.unknown = append(f.unknown, n.Error)
	case accepted:
		code := mfatest.Code(f.targets[n.Target].Secret, f.time())
		if f.targets[n.Target].Guess {
			t.Errorf("a wrong code was accepted")
		}
		if other, twice := f.accepted[n.Target][code]; twice {
			t.Errorf("one code was accepted for two challenges, %s and %s", other, n.Challenge)
		}
		f.accepted[n.Target][code] = n.Challenge
		if f.verified[n.Challenge]++; f.verified[n.Challenge] > 1 {
			t.Errorf("challenge %s was accepted twice", n.Challenge)
		}
	}
}

// check asks the store whether what was told in the last round is there: codes that
// were accepted are used up. It returns how many there were.
func (f *fleet) check(t *testing.T) (n int) {
	t.Helper()
	for i, target := range f.targets {
		if target.Guess {
			continue
		}
		code := mfatest.Code(target.Secret, f.time())
		ch, used := f.accepted[i][code]
		if !used {
			continue
		}
		n++
		if _, err := f.svc.Verify(t.Context(), mfa.VerifyParams{ChallengeID: ch, Code: code}); !errors.Is(err, mfa.ErrChallengePreviouslyVerified) {
			t.Errorf("challenge %s was told to be verified: %v", ch, err)
		}
	}
	return n
}

// counted finds out how many failures the store has of each target that was guessed at,
// by guessing on until it is disabled: after 30 in a row.
func (f *fleet) counted(t *testing.T, i int) int {
	t.Helper()
	for probes := 0; ; {
		f.now.Add(time.Hour.Milliseconds())
		factor, err := f.svc.Factor(t.Context(), mfa.FactorParams{FactorID: f.targets[i].ID})
		if err != nil {
			t.Fatal(err)
		}
		if factor.Status == mfa.StatusDisabled {
			return 30 - probes
		}
		once := f.targets[i]
		ch, err := f.svc.Challenge(t.Context(), mfa.ChallengeParams{FactorID: once.ID})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.svc.Verify(t.Context(), mfa.VerifyParams{ChallengeID: ch.ID, Code: notCode(once.Secret, f.time())}); !errors.Is(err, mfa.ErrInvalidCode) {
			t.Fatal(err)
		}
		probes++
	}
}

// checkCounts says that no failure that was told is missing, and that there are not
// more than were tried, or, where nothing broke, exactly those that were told.
func (f *fleet) checkCounts(t *testing.T, exactly bool) {
	t.Helper()
	for i, target := range f.targets {
		if !target.Guess {
			continue
		}
		n := f.counted(t, i)
		if n < f.failures[i] || n > f.attempts[i] {
			t.Errorf("factor %s: %d failures are counted; %d were told, of %d attempts", target.ID, n, f.failures[i], f.attempts[i])
		}
		if exactly && n != f.failures[i] {
			t.Errorf("factor %s: %d failures are counted, and exactly %d were told", target.ID, n, f.failures[i])
		}
	}
}

// TestProcesses: four processes on one store. Each code is accepted once by one of them,
// and every wrong one is counted once.
func TestProcesses(t *testing.T) {
	for _, s := range servers {
		t.Run(s.name, func(t *testing.T) {
			p, _ := s.place(t)
			processes(t, p, 8, 20)
		})
	}
}

func processes(t *testing.T, p place, rounds, n int) {
	t.Helper()
	f := newFleet(t, p, 4, n)
	for range rounds {
		f.round(t, func() {})
		if got := f.check(t); got != n {
			t.Errorf("%d of %d codes were accepted", got, n)
		}
	}
	f.checkCounts(t, true)
	calls := 0
	for _, n := range f.told {
		calls += n
	}
	t.Logf("%d notes: %v", calls, f.told)
	if len(f.unknown) > 0 {
		t.Errorf("%d errors of the store, such as %s", len(f.unknown), f.unknown[0])
	}
	if calls < 375*rounds*n/20 {
		t.Errorf("only %d calls", calls)
	}
}

// TestKilledWhenDone: a worker that is killed when it has just said that it is done is
// no worker of the next round. Its pipe may still take a line then.
func TestKilledWhenDone(t *testing.T) {
	p, _ := servers[0].place(t)
	const rounds, n = 3, 2
	f := newFleet(t, p, 2, n)
	for range rounds {
		f.round(t, func() {
			w := f.workers[0]
			for f.hear(t, w) {
			}
			w.kill(t)
		})
		if got := f.check(t); got != n {
			t.Errorf("%d of %d codes were accepted", got, n)
		}
	}
	f.checkCounts(t, true)
}
