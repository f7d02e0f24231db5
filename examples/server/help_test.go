package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/authfactor/mfa/mfatest"
)

// TestMain lets this program be the server, for tests that need a process.
func TestMain(m *testing.M) {
	if os.Getenv("MFA_TEST_MAIN") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

const (
	testKey = "sk_test_known_to_anyone"

	// patience is for what is to happen at once, on a machine that is busy.
	patience = 20 * time.Second
)

// A server is run in this process, with a clock that stands still.
type server struct {
	url            string
	clock          *mfatest.Clock
	stdout, stderr *output
	stop           func() error // as a signal does; gives what run returned
}

// start runs the server in the current folder, on a port that is free. It is stopped
// after the test, unless the test has done so, and must end without an error then.
func start(t *testing.T, env map[string]string, args ...string) *server {
	t.Helper()
	return startWith(t, usual, env, args...)
}

func startWith(t *testing.T, l limits, env map[string]string, args ...string) *server {
	t.Helper()
	return startBy(t, nil, l, env, args...)
}

// startBy starts a server whose sender makes its requests by a client.
func startBy(t *testing.T, client *http.Client, l limits, env map[string]string, args ...string) *server {
	t.Helper()
	s := &server{clock: new(mfatest.Clock), stdout: new(output), stderr: new(output)}
	ready, ended := make(chan string, 1), make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		ended <- run(ctx, process{
			args: append([]string{"-addr", "127.0.0.1:0"}, args...), getenv: func(name string) string { return env[name] },
			stdout: s.stdout, stderr: s.stderr, now: s.clock.Now, ready: func(addr string) { ready <- addr }, limits: l, client: client,
		})
	}()
	select {
	case addr := <-ready:
		s.url = "http://" + addr
	case err := <-ended:
		cancel()
		t.Fatalf("the server did not start: %v\n%s", err, s.stderr)
	}
	asked := false
	stop := sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	s.stop = func() error {
		asked = true
		return stop()
	}
	t.Cleanup(func() {
		if err := stop(); err != nil && !asked {
			t.Error(err)
		}
	})
	return s
}

// refused runs a server that must not start, and gives what it printed and the reason.
func refused(t *testing.T, env map[string]string, args ...string) (printed string, err error) {
	t.Helper()
	out := new(output)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err = run(ctx, process{
		args: append([]string{"-addr", "127.0.0.1:0"}, args...), getenv: func(name string) string { return env[name] },
		stdout: out, stderr: out, now: time.Now, ready: func(string) { cancel() }, limits: usual,
	})
	if ctx.Err() != nil {
		t.Errorf("with %q it started", args)
	}
	return out.String(), err
}

// known is the environment with testKey.
func known() map[string]string { return map[string]string{"WORKOS_API_KEY": testKey} }

// an answer is of the API or of /healthz.
type answer struct {
	status int
	header http.Header
	body   map[string]any
}

// str is a member, "a.b" of a member.
func (a answer) str(path string) string {
	var v any = a.body
	for name := range strings.SplitSeq(path, ".") {
		object, _ := v.(map[string]any)
		v = object[name]
	}
	s, _ := v.(string)
	return s
}

func (s *server) call(t *testing.T, method, path, body string) answer {
	t.Helper()
	return s.callWith(t, testKey, method, path, body)
}

func (s *server) callWith(t *testing.T, key, method, path, body string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+key)
	r.Header.Set("Content-Type", "application/json")
	w, err := (&http.Client{Timeout: patience}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Body.Close() }()
	text, err := io.ReadAll(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := answer{status: w.StatusCode, header: w.Header}
	if err := json.Unmarshal(text, &a.body); err != nil {
		t.Fatalf("%s %s: status %d and no JSON: %s", method, path, w.StatusCode, text)
	}
	return a
}

// must is a call that has to be answered with a status.
func (s *server) must(t *testing.T, status int, method, path, body string) answer {
	t.Helper()
	a := s.call(t, method, path, body)
	if a.status != status {
		t.Fatalf("%s %s: status %d, want %d: %v", method, path, a.status, status, a.body)
	}
	return a
}

// totp enrolls an app and gives the ids of the factor and of a challenge, and the code.
func (s *server) totp(t *testing.T) (factor, challenge, code string) {
	t.Helper()
	enr := s.must(t, 201, "POST", "/auth/factors/enroll", `{"type":"totp","totp_issuer":"Foo Corp","totp_user":"alan"}`)
	factor = enr.str("id")
	challenge = s.must(t, 201, "POST", "/auth/factors/"+factor+"/challenge", "{}").str("id")
	return factor, challenge, mfatest.Code(enr.str("totp.secret"), s.clock.Now())
}

// verify answers a challenge, with a code that must be right.
func (s *server) verify(t *testing.T, challenge, code string) {
	t.Helper()
	a := s.must(t, 201, "POST", "/auth/challenges/"+challenge+"/verify", `{"code":"`+code+`"}`)
	if a.body["valid"] != true {
		t.Errorf("the right code: %v", a.body)
	}
}

// output is what was written.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{} // closed by the next Write
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.more != nil {
		close(o.more)
		o.more = nil
	}
	return o.text.Write(p)
}

func (o *output) String() string {
	text, _ := o.now()
	return text
}

func (o *output) now() (string, <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.more == nil {
		o.more = make(chan struct{})
	}
	return o.text.String(), o.more
}

// wait waits for what a pattern matches, and gives its groups.
func (o *output) wait(t *testing.T, pattern string) []string {
	t.Helper()
	re, late := regexp.MustCompile(pattern), time.After(patience)
	for {
		text, more := o.now()
		if found := re.FindStringSubmatch(text); found != nil {
			return found
		}
		select {
		case <-more:
		case <-late:
			t.Fatalf("nothing like %s was written:\n%s", pattern, text)
		}
	}
}
