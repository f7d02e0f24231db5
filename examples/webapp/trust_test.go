package main

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// trusting is Ann, with an app, in a browser that is not to be asked for codes.
func trusting(t *testing.T, s *site) *person {
	t.Helper()
	ann := withApp(t, s, "ann@example.com")
	ann.login()
	ann.do(chromedp.Click(chromedp.CSS("[name=trust]")))
	ann.answer(ann.code())
	ann.sees("Trusted browsers", "Chrome on Linux")
	return ann
}

// TestTrust: a browser that is trusted is not asked for 30 days, or until it is revoked.
func TestTrust(t *testing.T) {
	t.Parallel()
	s := start(t)
	ann := trusting(t, s)
	for range 2 {
		ann.logout()
		ann.login()
		ann.sees("Your account")
	}
	other := s.person(t, ann.email)
	other.uri = ann.uri
	other.login()
	other.sees("Type your code")
	other.answer(other.code())
	other.press("Stop trusting Chrome on Linux")
	other.sees("That browser will be asked for a code again")
	ann.logout()
	ann.login()
	ann.sees("Type your code")
}

// TestTrustEnds: after 30 days a code is asked for.
func TestTrustEnds(t *testing.T) {
	t.Parallel()
	s := start(t)
	ann := trusting(t, s)
	ann.logout()
	s.clock.Advance(30 * 24 * time.Hour)
	ann.login()
	ann.sees("Type your code")
}

// TestTrustEndsWithPassword: somebody else may have trusted a browser with the one of before.
func TestTrustEndsWithPassword(t *testing.T) {
	t.Parallel()
	s := start(t)
	ann := trusting(t, s)
	ann.logout()
	ann.open("/forgot")
	ann.fill("email", ann.email)
	ann.press("Send me a link")
	ann.open(mailed.FindStringSubmatch(s.last(t, ann.email))[1])
	ann.fill("password", password)
	ann.press("Set password")
	ann.login()
	ann.sees("Type your code")
}

// TestCopiedDevice: whoever copied the cookie ends the trust, for both, and the owner is told.
func TestCopiedDevice(t *testing.T) {
	t.Parallel()
	s := start(t)
	ann := trusting(t, s)
	ann.logout()
	thief := s.person(t, ann.email)
	thief.open("/login")
	thief.setCookie("device", ann.cookie("device"))
	thief.login()
	thief.sees("Your account")        // with password and cookie
	s.clock.Advance(30 * time.Second) // two tabs of hers would have come by then
	ann.login()
	ann.sees("Type your code")
	if told := s.last(t, ann.email); !strings.Contains(told, "is not trusted any more") {
		t.Errorf("she was told: %s", told)
	}
}

// TestTrustTwice: two logins at once with one cookie, or a second click on a slow network,
// are no thief.
func TestTrustTwice(t *testing.T) {
	t.Parallel()
	s := slow(t, "/login", "device")
	ann := trusting(t, s)
	ann.logout()
	ann.open("/login")
	ann.fill("email", ann.email)
	ann.fill("password", password)
	ann.clickTwice("/login")

	first := s.visitor(t)
	first.cookies["device"] = ann.cookie("device")
	second := first.copied()
	var both sync.WaitGroup
	for _, v := range []*visitor{first, second} {
		both.Go(func() {
			if v.login(ann.email); !v.in() {
				t.Error("a code is asked for")
			}
		})
	}
	both.Wait()
	ann.logout()
	ann.login()
	ann.sees("Your account")
	if told := strings.Join(s.letters(ann.email), "\n"); strings.Contains(told, "copied") {
		t.Errorf("she was told: %s", told)
	}
}

// TestLane: while a stranger guesses, the owner gets in on a browser that is known.
func TestLane(t *testing.T) {
	t.Parallel()
	s := start(t)
	ann := trusting(t, s)
	ann.logout()
	s.disable(t, ann.email)
	s.clock.Advance(31 * 24 * time.Hour)
	ann.login()
	ann.sees("that Authenticator app shows now") // it is not locked on this browser
	ann.answer(ann.code())
	ann.sees("Your account", "Locked after too many wrong codes")
}

// TestKeyboard logs in with the keys alone.
func TestKeyboard(t *testing.T) {
	t.Parallel()
	s := start(t)
	ann := withApp(t, s, "ann@example.com")
	ann.open("/login") // which has the focus where one begins
	ann.do(chromedp.WaitReady(chromedp.CSS("#email:focus")))
	ann.Load(chromedp.KeyEvent(ann.email), chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent(password), chromedp.KeyEvent(kb.Enter))
	ann.sees("Type your code")
	ann.do(chromedp.WaitReady(chromedp.CSS("#code:focus")))
	ann.Load(chromedp.KeyEvent(ann.code()), chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent(" "), chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent(kb.Enter))
	ann.sees("Your account", "Trusted browsers")
}

// TestRestart: a new start logs nobody out.
func TestRestart(t *testing.T) {
	t.Parallel()
	s := start(t)
	ann := withApp(t, s, "ann@example.com")
	ann.enter()
	s.stop()
	port := s.url[strings.LastIndex(s.url, ":"):]
	s.run(t, func(o *options) { o.addr = "127.0.0.1" + port })
	ann.open("/account")
	ann.sees("Your account")
}
