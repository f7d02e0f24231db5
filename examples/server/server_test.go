package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/authfactor/mfa"
)

// TestRefused: what the server does not start with, and that it says how to mend it.
func TestRefused(t *testing.T) {
	t.Chdir(t.TempDir())
	ring := mfa.NewKey()
	for _, c := range []struct {
		name string
		env  map[string]string
		args []string
		want string
	}{
		{"unknown flag", nil, []string{"-port", "80"}, "flag provided but not defined: -port"},
		{"no flag", nil, []string{"serve"}, `"serve" is no flag: -h lists them`},
		{"address", nil, []string{"-addr", "127.0.0.1:99999"}, "-addr chooses another address"},
		{"no regions", nil, []string{"-regions", ","}, "-regions is empty: list those"},
		{"unknown region", nil, []string{"-regions", "US,XX"}, `"XX", which is not an ISO 3166 code`},
		{"default region", nil, []string{"-regions", "gb,fr"}, "-default-region GB would be"},
		{"short API key", map[string]string{"WORKOS_API_KEY": testKey + ",short"}, nil, "WORKOS_API_KEY or -issuer: mfahttp: key 2 of Config.APIKeys must be at least 16"},
		{"long issuer", nil, []string{"-issuer", strings.Repeat("x", 65)}, "-issuer: mfahttp: Config.Issuer: The TOTP issuer must have at most 64 characters."},
		{"keyring", map[string]string{"MFA_KEYS": "nonsense"}, nil, "MFA_KEYS: mfa: config: key 1 is not the base64 of 32 bytes"},
		{"no sender", map[string]string{"MFA_KEYS": ring}, []string{"-dsn", "other.db"}, "-print-sms writes them to standard error"},
		{"a sender and none", nil, []string{"-sms", "twilio", "-print-sms"}, "-print-sms sends nothing"},
		{"unknown sender", nil, []string{"-sms", "pigeon"}, `-sms is twilio, vonage or webhook, and not "pigeon"`},
		{"nothing of Twilio", nil, []string{"-sms", "twilio"}, "-sms twilio: set in the environment: TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN, TWILIO_FROM or TWILIO_MESSAGING_SERVICE_SID"},
		{"half of Twilio", map[string]string{"TWILIO_AUTH_TOKEN": "hunter2", "TWILIO_FROM": "Foo"}, []string{"-sms", "twilio"}, "-sms twilio: set in the environment: TWILIO_ACCOUNT_SID"},
		{"no account of Twilio", map[string]string{"TWILIO_ACCOUNT_SID": "AC1", "TWILIO_AUTH_TOKEN": "hunter2", "TWILIO_FROM": "Foo"}, []string{"-sms", "twilio"}, `-sms twilio: mfa: config: twilio: AccountSID must be "AC" and 32`},
		{"half of Vonage", map[string]string{"VONAGE_API_SECRET": "hunter2"}, []string{"-sms", "vonage"}, "-sms vonage: set in the environment: VONAGE_API_KEY, VONAGE_FROM"},
		{"half of a webhook", map[string]string{"MFA_SMS_WEBHOOK_SECRET": "hunter2"}, []string{"-sms", "webhook"}, "-sms webhook: set in the environment: MFA_SMS_WEBHOOK_URL"},
		{"no secret of a webhook", map[string]string{"MFA_SMS_WEBHOOK_SECRET": "hunter2", "MFA_SMS_WEBHOOK_URL": "https://x.example"}, []string{"-sms", "webhook"}, "MFA_SMS_WEBHOOK_SECRET: mfa: config: webhook: a secret must begin with whsec_"},
		{"a webhook in the open", map[string]string{"MFA_SMS_WEBHOOK_SECRET": testSecret, "MFA_SMS_WEBHOOK_URL": "http://u:hunter2@x.example"}, []string{"-sms", "webhook"}, "must be of https"},
		{"no keys", nil, []string{"-dsn", "other.db", "-print-sms"}, "MFA_KEYS is needed, the same in every process"},
		{"unknown database", map[string]string{"MFA_KEYS": ring}, []string{"-dsn", "oracle://u:hunter2@h/d", "-print-sms"}, "postgres://, mysql:// and redis:// are"},
		{"malformed DSN", map[string]string{"MFA_KEYS": ring}, []string{"-dsn", "postgres://u:hunter2/@h/d", "-print-sms"}, "as %XX"},
		{"no database named", map[string]string{"MFA_KEYS": ring}, []string{"-dsn", "mysql://u:hunter2@h", "-print-sms"}, "name of a database"},
		{"option of Redis", map[string]string{"MFA_KEYS": ring}, []string{"-dsn", "redis://u:hunter2@h/0?colour=red", "-print-sms"}, "unexpected option: colour"},
		{"SSL mode", map[string]string{"MFA_KEYS": ring}, []string{"-dsn", "postgres://u:hunter2@h/d?sslmode=perhaps", "-print-sms"}, "sslmode is invalid"},
		{"in memory", map[string]string{"MFA_KEYS": ring}, []string{"-dsn", ":memory:", "-print-sms"}, "has to name a file"},
		{"no folder", map[string]string{"MFA_KEYS": ring}, []string{"-dsn", "missing/mfa.db", "-print-sms"}, "open missing/mfa.db: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			printed, err := refused(t, c.env, c.args...)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
			if err != nil && strings.Contains(err.Error()+printed, "hunter2") {
				t.Errorf("the error shows the password: %v\n%s", err, printed)
			}
		})
	}
	if printed, err := refused(t, nil, "-h"); !errors.Is(err, flag.ErrHelp) || !strings.Contains(printed, "-default-region") {
		t.Errorf("-h: error %v and\n%s", err, printed)
	}
	if files, _ := filepath.Glob("other.db*"); len(files) > 0 {
		t.Errorf("a server that did not start left %q", files)
	}
}

// TestKeyFile: it is made once, for the server's user alone, and opens at the next start
// what was sealed before.
func TestKeyFile(t *testing.T) {
	t.Chdir(t.TempDir())
	first := start(t, known())
	info, err := os.Stat("mfa.key")
	if err != nil || info.Mode() != 0o600 {
		t.Fatalf("mfa.key has mode %v, error %v", info.Mode(), err)
	}
	made, _ := os.ReadFile("mfa.key")
	_, challenge, code := first.totp(t)
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}

	start(t, known()).verify(t, challenge, code)
	if again, _ := os.ReadFile("mfa.key"); string(again) != string(made) {
		t.Error("another key was made")
	}

	if err := os.Chmod("mfa.key", 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := refused(t, nil); err == nil || !strings.Contains(err.Error(), "mode 0640") || !strings.Contains(err.Error(), "chmod 600 mfa.key") {
		t.Errorf("a key that others may read: %v", err)
	}
	if err := os.Remove("mfa.key"); err != nil {
		t.Fatal(err)
	}
	if _, err := refused(t, nil); err == nil || !strings.Contains(err.Error(), "put the key back") {
		t.Errorf("a database without its key: %v", err)
	}
	start(t, map[string]string{"WORKOS_API_KEY": testKey, "MFA_KEYS": string(made)}).totp(t)
	if _, err := os.Stat("mfa.key"); err == nil {
		t.Error("with MFA_KEYS a key file was made")
	}
}

// TestAPIKeys: without any, one is made and printed; those that were given are not.
func TestAPIKeys(t *testing.T) {
	t.Chdir(t.TempDir())
	made := start(t, nil)
	key := made.stderr.wait(t, `WORKOS_API_KEY is not set, .*: (sk_test_[A-Z2-7]{26})\n`)[1]
	if a := made.callWith(t, key, "GET", "/user_management/users/user_1/auth_factors", ""); a.status != 200 {
		t.Errorf("with the key that was printed: %v", a)
	}
	if a := made.call(t, "GET", "/user_management/users/user_1/auth_factors", ""); a.status != 401 || a.str("code") != "unauthorized" {
		t.Errorf("with another key: %v", a)
	}
	second := "sk_test_the_next_one_of_two"
	given := start(t, map[string]string{"WORKOS_API_KEY": testKey + ", " + second})
	for _, key := range []string{testKey, second} {
		if a := given.callWith(t, key, "GET", "/user_management/users/user_1/auth_factors", ""); a.status != 200 {
			t.Errorf("with one of two keys: %v", a)
		}
		if printed := given.stdout.String() + given.stderr.String(); strings.Contains(printed, key) {
			t.Errorf("a key that was given is printed:\n%s", printed)
		}
	}
}

// TestCurl pastes the line that is printed into a shell.
func TestCurl(t *testing.T) {
	t.Chdir(t.TempDir())
	_, err := exec.LookPath("curl")
	for name, keys := range map[string]string{"key made": "", "keys given": testKey + ",sk_test_the_next_one_of_two"} {
		t.Run(name, func(t *testing.T) {
			s := start(t, map[string]string{"WORKOS_API_KEY": keys})
			line := s.stdout.wait(t, `(?m)^curl .*$`)[0]
			if err != nil {
				t.Log("there is no curl: the parts of its line are sent without it")
				paste(t, s, line)
				return
			}
			cmd := exec.CommandContext(t.Context(), "bash", "-c", line)
			cmd.Env = append(os.Environ(), "WORKOS_API_KEY="+keys)
			printed, err := cmd.Output()
			var enr struct {
				ID   string
				TOTP struct{ Secret string }
			}
			if err := errors.Join(err, json.Unmarshal(printed, &enr)); err != nil || enr.ID == "" || enr.TOTP.Secret == "" {
				t.Errorf("%s\n%v\n%s", line, err, printed)
			}
		})
	}
}

func paste(t *testing.T, s *server, line string) {
	t.Helper()
	parts := regexp.MustCompile(`^curl -sS (http://\S+?)(/\S+) -H "Authorization: Bearer ([^"]+)" .* -d '(.*)'$`).FindStringSubmatch(line)
	if parts == nil || parts[1] != s.url {
		t.Fatalf("the line is not as expected: %s", line)
	}
	key := strings.Replace(parts[3], "${WORKOS_API_KEY%%,*}", testKey, 1)
	if a := s.callWith(t, key, "POST", parts[2], parts[4]); a.status != 201 {
		t.Errorf("status %d: %v", a.status, a.body)
	}
}

// TestEveryInterface: the line that is printed works here, and a warning says that others
// can try it too.
func TestEveryInterface(t *testing.T) {
	t.Chdir(t.TempDir())
	s := start(t, known(), "-addr", "0.0.0.0:0")
	s.url = s.stdout.wait(t, `Listening on (http://127\.0\.0\.1:[0-9]+)\. `)[1]
	s.totp(t)
	s.stderr.wait(t, `level=WARN msg="this is plain HTTP, and other machines reach it: `)
}

// TestMessages: what stands on standard error is the message, and nothing else shows
// the number or the code.
func TestMessages(t *testing.T) {
	t.Chdir(t.TempDir())
	s := start(t, known(), "-regions", "us, ca")
	for _, c := range []struct{ number, body, want string }{
		{"+15005550006", `{"sms_template":"Your FooCorp is {{code}}."}`, `sms to \+15005550006: Your FooCorp is ([0-9]{6})\.`},
		{"(201) 555-0123", "", `sms to \+12015550123: Your verification code is ([0-9]{6})\.`},
	} {
		id := s.must(t, 201, "POST", "/auth/factors/enroll", fmt.Sprintf(`{"type":"sms","phone_number":"%s"}`, c.number)).str("id")
		challenge := s.must(t, 201, "POST", "/auth/factors/"+id+"/challenge", c.body).str("id")
		code := s.stderr.wait(t, `(?m)^`+c.want+`$`)[1]
		s.verify(t, challenge, code)
		if n := strings.Count(s.stderr.String(), code); n != 1 {
			t.Errorf("the code stands there %d times:\n%s", n, s.stderr)
		}
	}
	if a := s.call(t, "POST", "/auth/factors/enroll", `{"type":"sms","phone_number":"+447400123456"}`); a.status != 422 || a.str("code") != "phone_number_not_allowed" {
		t.Errorf("a number of another region: %v", a)
	}
}

// TestIssuer: the name of a factor whose client gave none.
func TestIssuer(t *testing.T) {
	t.Chdir(t.TempDir())
	s := start(t, known(), "-issuer", "Foo Corp")
	a := s.must(t, 201, "POST", "/user_management/users/user_1/auth_factors", `{"type":"totp"}`)
	if got := a.str("authentication_factor.totp.issuer"); got != "Foo Corp" {
		t.Errorf("issuer %q", got)
	}
}

// TestLog: one line for each request, with nothing of what it was about.
func TestLog(t *testing.T) {
	t.Chdir(t.TempDir())
	s := start(t, known())
	factor, challenge, code := s.totp(t)
	s.verify(t, challenge, code)
	unknown := s.call(t, "PURGE", "/auth/factors/private%0apath?query=private", `{"private":"body"}`)
	s.call(t, "GET", "/a/private/path/of/many/parts", "")
	for _, want := range []string{
		`level=INFO msg=request method=POST route=/auth/factors/enroll status=201 duration=\S+ request_id=\S{36}`,
		`method=POST route=/auth/factors/\{\}/challenge status=201 `,
		`method=POST route=/auth/challenges/\{\}/verify status=201 `,
		`method=other route=/auth/factors/\{\} status=405 duration=\S+ request_id=` + unknown.header.Get("X-Request-Id"),
		`method=GET route=other status=404 `,
	} {
		s.stderr.wait(t, want)
	}
	if n := strings.Count(s.stderr.String(), "\n"); n != 5 {
		t.Errorf("%d lines for 5 requests", n)
	}
	for _, private := range []string{factor, challenge, code, testKey, "private", "127.0.0.1", "alan"} {
		if strings.Contains(s.stderr.String(), private) {
			t.Errorf("the log shows %q:\n%s", private, s.stderr)
		}
	}
}

// TestPurge: what lapsed more than a day ago is gone when the server was started again.
func TestPurge(t *testing.T) {
	t.Chdir(t.TempDir())
	first := start(t, known())
	_, challenge, _ := first.totp(t)
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	env, later := known(), first.clock.Now().Add(25*time.Hour)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stderr, ended, url := new(output), make(chan error, 1), make(chan string, 1)
	go func() {
		ended <- run(ctx, process{
			args: []string{"-addr", "127.0.0.1:0"}, getenv: func(name string) string { return env[name] }, stdout: io.Discard, stderr: stderr,
			now: func() time.Time { return later }, ready: func(addr string) { url <- "http://" + addr }, limits: usual,
		})
	}()
	stderr.wait(t, `msg=purged records=1\n`)
	s := &server{url: <-url}
	if a := s.call(t, "POST", "/auth/challenges/"+challenge+"/verify", `{"code":"123456"}`); a.status != 404 {
		t.Errorf("a challenge of yesterday: %v", a)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestSignal stops a process as a supervisor does.
func TestSignal(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-addr", "127.0.0.1:0")
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "MFA_TEST_MAIN=1", "WORKOS_API_KEY="+testKey, "MFA_KEYS=")
	stdout, stderr := new(output), new(output)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s := &server{url: stdout.wait(t, `Listening on (http://\S+)\. `)[1]}
	if a := s.call(t, "GET", "/healthz", ""); a.status != 200 {
		t.Errorf("status %d", a.status)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, stderr)
	}
}
