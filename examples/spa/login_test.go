package main

import (
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/authfactor/mfa/examples/internal/browsertest"
)

// TestMust: who must have a second factor adds one at the login, and may choose another one than
// the one that they began with.
func TestMust(t *testing.T) {
	t.Parallel()
	s := start(t)
	chief := s.person(chief)
	chief.login("Add a second factor", "Your account needs a second factor")
	chief.press("Add a phone number")
	chief.Awaits("Phone number")
	chief.fill("phone", phone)
	chief.name("", "the newest code that we sent")
	chief.press("Choose another one") // the phone is not at hand
	chief.Awaits("Your account needs a second factor")
	chief.press("Add an app")
	chief.name("My phone")
	chief.scan()
	chief.answer("000000", "You have 4 tries left.")
	chief.answer(chief.code())
	chief.keep()
	chief.Awaits("Your account", "My phone", "10 left")
	chief.logout()
	chief.login("Type your code")
	chief.answer(chief.code(), "Your account")
}

// TestMustPasskey: the first factor may be a passkey.
func TestMustPasskey(t *testing.T) {
	t.Parallel()
	s := start(t)
	chief := s.person(chief)
	key := chief.Key()
	chief.login("Your account needs a second factor")
	chief.press("Add a passkey")
	chief.name("", "Your browser asks where to keep the passkey")
	key.Verifies(false)
	chief.press("Make the passkey")
	chief.Awaits("Nothing was sent")
	key.Verifies(true)
	chief.press("Make the passkey")
	chief.keep()
	chief.Awaits("Your account", "Chrome on Linux", "10 left")
	chief.logout()
	chief.login("To log in, use a passkey")
	chief.press("Use a passkey")
	chief.Awaits("Your account")
}

// TestReload: a phone throws the page away while the person looks into their app; the question is
// there when they come back.
func TestReload(t *testing.T) {
	t.Parallel()
	s := start(t)
	ann := s.member(ann)
	ann.logout()
	ann.login("Type your code")
	ann.Load(chromedp.Reload())
	ann.Awaits("Type your code", "My phone")
	ann.answer(ann.code(), "Your account")

	chief := s.person(chief)
	chief.login("Your account needs a second factor")
	chief.Load(chromedp.Reload())
	chief.Awaits("Your account needs a second factor")
	chief.press("Add a phone number")
	chief.Awaits("Phone number")
	chief.fill("phone", phone)
	chief.name("", "the newest code that we sent")
	chief.Load(chromedp.Reload())
	chief.Awaits("the newest code that we sent")
	if n := len(s.letters(phone)); n != 1 {
		t.Errorf("%d messages", n)
	}
	chief.answer(s.message())
	chief.keep()
	chief.Awaits("Your account", "10 left")
}

// TestWaits: after five wrong codes she waits, and need not know that her challenge was used up.
func TestWaits(t *testing.T) {
	t.Parallel()
	s := start(t)
	ann := s.member(ann)
	ann.logout()
	ann.login("Type your code")
	for _, want := range []string{
		"You have 4 tries left", "You have 3 tries left", "You have 2 tries left",
		"You have 1 try left", "The next try is possible in 30 seconds",
	} {
		ann.answer("000000", want)
	}
	ann.answer("000000", "That is possible again in 30 seconds.") // not looked at
	s.clock.Advance(30 * time.Second)
	ann.answer(ann.code(), "Your account")
	if told := strings.Join(s.letters(ann.email), "\n"); !strings.Contains(told, "5 wrong answers came in a row") {
		t.Errorf("she was told: %s", told)
	}
}

// TestTooLate: a question ends after ten minutes, and she begins again.
func TestTooLate(t *testing.T) {
	t.Parallel()
	s := start(t)
	ann := s.member(ann)
	ann.logout()
	ann.login("Type your code")
	s.clock.Advance(10 * time.Minute)
	ann.answer(ann.code(), "That took too long. Please begin again.", "E-mail address")
}

// TestSessionEnds: who was logged out in another tab is asked to log in.
func TestSessionEnds(t *testing.T) {
	t.Parallel()
	s := start(t)
	ann := s.person(ann)
	ann.login("Your account")
	other := ann.tab()
	other.open("/account")
	other.Awaits("ann@example.com")
	ann.logout()
	other.pay("E-mail address")
	other.open("/account")
	other.Awaits("E-mail address")
}

// TestWrongPassword: she is told, and types it once more.
func TestWrongPassword(t *testing.T) {
	t.Parallel()
	s := start(t)
	ann := s.person(ann)
	ann.open("/")
	ann.Awaits("E-mail address", "Everything is kept in memory")
	ann.fill("email", ann.email)
	ann.fill("password", "something else")
	ann.press("Log in")
	ann.Awaits("E-mail address or password are not right.")
	ann.fill("password", password)
	ann.press("Log in")
	ann.Awaits("Your account")
}

// TestLocked: after thirty wrong codes the app is locked, and the other way is not.
func TestLocked(t *testing.T) {
	t.Parallel()
	s := start(t)
	ann := s.member(ann)
	ann.logout()
	guess := `import("/mfa.js").then(async ({ send }) => {
		const { question } = await send("/login", { email: "` + ann.email + `", password: "` + password + `" });
		await send("/mfa/challenge", { question: question.id, factor_id: question.factors[0].id });
		return send("/mfa/verify", { question: question.id, code: "000000" });
	}).catch((problem) => problem.code)`
	for i := range 30 {
		code := browsertest.Get(ann.Page, chromedp.Evaluate[string](guess, chromedp.EvalAwaitPromise))
		if code != "invalid_one_time_code" {
			t.Fatalf("guess %d: %s", i, code)
		}
		s.clock.Advance(time.Hour)
	}
	ann.login("one of your recovery codes", "My phone (locked)")
	ann.press("My phone (locked)")
	ann.Awaits("This way was locked after too many wrong codes")
	ann.answer(ann.codes[0], "Your account", "Locked after too many wrong codes")
}
