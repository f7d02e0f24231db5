package main

import (
	"context"
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/examples/internal/browsertest"
	"github.com/authfactor/mfa/mfatest"
	"github.com/authfactor/mfa/proof"
	"github.com/authfactor/mfa/sqlstore"
)

// A site is the application, run in this process with a clock that stands still.
type site struct {
	url, db string
	clock   *mfatest.Clock
	stderr  *browsertest.Output
	stop    func()
}

// start runs the application in a folder of its own.
func start(t *testing.T, change ...func(*options)) *site {
	t.Helper()
	s := &site{db: filepath.Join(t.TempDir(), "webapp.db"), clock: new(mfatest.Clock), stderr: new(browsertest.Output)}
	s.run(t, change...)
	return s
}

// run is a start, or a new one over what the one of before left.
func (s *site) run(t *testing.T, change ...func(*options)) {
	t.Helper()
	ready, ended := make(chan string, 1), make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	o := options{
		addr: "127.0.0.1:0", db: s.db, regions: "US", dev: true,
		getenv: func(string) string { return "" }, stderr: s.stderr, now: s.clock.Now, ready: func(url string, _ net.Addr) { ready <- url },
	}
	for _, c := range change {
		c(&o)
	}
	go func() { ended <- run(ctx, o) }()
	select {
	case s.url = <-ready:
	case err := <-ended:
		cancel()
		t.Fatalf("it did not start: %v\n%s", err, s.stderr)
	}
	s.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(s.stop)
}

var (
	mailed  = regexp.MustCompile(`https?://\S+(/link/\w+)`)
	sixCode = regexp.MustCompile(`\b\d{6}\b`)
)

// letters are the texts that were sent to somebody, oldest first.
func (s *site) letters(to string) []string {
	var letters []string
	for line := range strings.Lines(s.stderr.String()) {
		if text, ok := strings.CutPrefix(line, "to "+to+": "); ok {
			letters = append(letters, strings.TrimSpace(text))
		}
	}
	return letters
}

func (s *site) last(t *testing.T, to string) string {
	t.Helper()
	all := s.letters(to)
	if len(all) == 0 {
		t.Fatalf("nothing was sent to %s", to)
	}
	return all[len(all)-1]
}

// code is the last code that was sent to a phone.
func (s *site) code(t *testing.T, phone string) string {
	t.Helper()
	return sixCode.FindString(s.last(t, phone))
}

// service is one over the site's own database, for what somebody else does meanwhile.
func (s *site) service(t *testing.T) (*mfa.Service, database) {
	t.Helper()
	o := options{db: s.db, getenv: func(string) string { return "" }}
	keys, err := keyring(o)
	if err != nil {
		t.Fatal(err)
	}
	db, err := openDatabase(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	store, err := sqlstore.New(t.Context(), sqlstore.Config{DB: db.DB, Dialect: sqlstore.SQLite})
	if err != nil {
		t.Fatal(err)
	}
	method, err := passkeys(options{url: s.url})
	if err != nil {
		t.Fatal(err)
	}
	svc, err := mfa.New(mfa.Config{Store: store, Keys: keys, Methods: []mfa.Method{method}, Now: s.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	return svc, db
}

// member is somebody with an app and recovery codes.
func (s *site) member(t *testing.T, email string) (uri string, codes []string) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	svc, db := s.service(t)
	id, err := db.setPassword(t.Context(), email, hashed())
	must(err)
	enr, err := svc.Enroll(t.Context(), mfa.EnrollParams{UserID: id, TOTP: &mfa.TOTPParams{Issuer: "Webapp", User: email}})
	must(err)
	enroll := proof.ActionOf(mfa.PurposeEnroll)
	ch, err := svc.Challenge(t.Context(), mfa.ChallengeParams{FactorID: enr.Factor.ID, UserID: id, Confirm: true, Action: enroll})
	must(err)
	v, err := svc.Verify(t.Context(), mfa.VerifyParams{ChallengeID: ch.ID, UserID: id, Action: enroll, Code: s.next(enr.TOTP.URI())})
	must(err)
	list, err := svc.Enroll(t.Context(), mfa.EnrollParams{UserID: id, RecoveryCodes: true, Receipt: v.Receipt()})
	must(err)
	_, err = db.keepFactors(t.Context(), user{ID: id}, []mfa.Factor{v.Factor, list.Factor})
	must(err)
	return enr.TOTP.URI(), list.RecoveryCodes.Codes()
}

// next is what an app shows; the clock goes on before, because each code is accepted once.
func (s *site) next(uri string) string {
	s.clock.Advance(30 * time.Second)
	return mfatest.Code(uri, s.clock.Now())
}

// row is what the application itself has of a user.
func (s *site) row(t *testing.T, email string) user {
	t.Helper()
	_, db := s.service(t)
	u, ok, err := db.userBy(t.Context(), "email", email)
	if err != nil || !ok {
		t.Fatalf("%s: %t, %v", email, ok, err)
	}
	return u
}

// disable has a stranger guess until the user's app is disabled.
func (s *site) disable(t *testing.T, email string) {
	t.Helper()
	svc, _ := s.service(t)
	u := s.row(t, email)
	factors, err := svc.Factors(t.Context(), u.ID)
	if err != nil {
		t.Fatal(err)
	}
	for range 30 {
		ch, err := svc.Challenge(t.Context(), mfa.ChallengeParams{FactorID: factors[0].ID, UserID: u.ID})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = svc.Verify(t.Context(), mfa.VerifyParams{ChallengeID: ch.ID, UserID: u.ID, Code: "000000"})
		s.clock.Advance(time.Hour)
	}
}
