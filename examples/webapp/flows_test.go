package main

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

const phone = "+15005550006"

// TestApp: sign up, turn on the app, log in with it.
func TestApp(t *testing.T) {
	t.Parallel()
	s := start(t)
	ann := s.person(t, "ann@example.com")
	ann.signUp()
	ann.press("Add an app")
	ann.fill("name", "My phone")
	ann.press("Continue")
	ann.scan()
	typed := get(ann, chromedp.Evaluate[string](`document.querySelector(".secret").innerText`))
	if !regexp.MustCompile(`^(\w{4} ){7}\w{4}$`).MatchString(typed) || !strings.Contains(ann.uri, "secret="+strings.ReplaceAll(typed, " ", "")) {
		t.Errorf("the key to type is %q, and the picture says %s", typed, ann.uri)
	}
	ann.fill("code", "000000")
	ann.press("Confirm")
	ann.sees("That code is not right", "You have 4 tries left", "scan this code")
	ann.fill("code", ann.code())
	ann.press("Confirm")
	ann.sees("Your recovery codes")
	ann.press("I have kept them")
	ann.sees("My phone", "10 left")
	if u := s.row(t, ann.email); len(u.Factors) != 2 {
		t.Errorf("the user's row lists %q", u.Factors)
	}
	ann.logout()
	ann.login()
	ann.sees("Type your code", "My phone")
	ann.answer(ann.code())
	ann.sees("Your account", "ann@example.com")
	if told := strings.Join(s.letters(ann.email), "\n"); !strings.Contains(told, "A second factor was added") || !strings.Contains(told, "New recovery codes") {
		t.Errorf("she was told:\n%s", told)
	}
}

// TestPhone: turn on text messages, log in with one, and have it sent again.
func TestPhone(t *testing.T) {
	t.Parallel()
	s := start(t)
	ann := s.person(t, "ann@example.com")
	ann.signUp()
	ann.press("Add a phone number")
	ann.fill("phone", "+1 555")
	ann.press("Continue")
	ann.sees("There is no such phone number")
	ann.fill("phone", "(500) 555-0006")
	ann.press("Continue")
	ann.sees("+*********06")
	ann.answer(s.code(t, phone))
	ann.press("I have kept them")
	ann.sees("Text message to +*********06", "Messages can be intercepted")
	ann.logout()

	s.clock.Advance(time.Minute)
	ann.login()
	first := s.code(t, phone)
	ann.press("Send again")
	ann.sees("That is possible again in 60 seconds")
	s.clock.Advance(time.Minute)
	ann.press("Send again")
	ann.sees("A new message is on its way")
	ann.answer(first)
	ann.sees("That code is not right")
	ann.answer(s.code(t, phone))
	ann.sees("Your account")
}

// TestRecovery: a code of the list logs in once, and a new list ends the old one.
func TestRecovery(t *testing.T) {
	t.Parallel()
	s := start(t)
	ann := s.person(t, "ann@example.com")
	ann.signUp()
	ann.addApp("")
	codes := ann.recovery()
	ann.press("I have kept them")
	ann.logout()
	use := func(code string) {
		ann.login()
		ann.press("Recovery code")
		ann.answer(code)
	}
	use(strings.ToLower(codes[0]))
	ann.sees("Your account", "9 left")
	if told := s.last(t, ann.email); !strings.Contains(told, "One of your recovery codes was used") {
		t.Errorf("she was told: %s", told)
	}
	ann.press("Make new ones") // the login let her
	ann.recovery()
	ann.open("/account")
	ann.press("Make new ones")
	ann.sees("To make recovery codes, type the code")
	ann.answer(ann.code())
	anew := ann.recovery()
	ann.press("I have kept them")
	ann.logout()
	for _, old := range codes[:2] {
		use(old)
		ann.sees("That code is not right, or was used before")
	}
	ann.answer(anew[0])
	ann.sees("Your account", "9 left")
}

// TestSeveral: two apps by name, one replaced, and all taken away; each step wants a code.
func TestSeveral(t *testing.T) {
	t.Parallel()
	s := start(t)
	ann := s.person(t, "ann@example.com")
	ann.signUp()
	ann.addApp("Old phone")
	ann.recovery()
	old := ann.uri
	ann.addApp("Tablet") // approved by the old phone
	ann.sees("Added: Tablet", "Old phone")
	tablet := ann.uri

	ann.press("Replace Old phone")
	ann.sees("The old one works until the new one is confirmed")
	ann.uri = old
	ann.nameApp("New phone")
	ann.sees("Added: New phone", "Tablet")
	if strings.Contains(ann.text(), "Old phone") {
		t.Errorf("it was replaced:\n%s", ann.text())
	}
	ann.uri = tablet
	ann.press("Remove New phone")
	ann.answer(ann.code())
	ann.sees("The second factor was removed")
	ann.press("Remove recovery codes")
	ann.answer(ann.code())
	ann.sees("Tablet", "None. They let you in")
	ann.press("Turn off the second factor")
	ann.answer(ann.code())
	ann.sees("Your second factor is off", "None yet")
	if u := s.row(t, ann.email); len(u.Factors) != 0 {
		t.Errorf("the user's row lists %q", u.Factors)
	}
	ann.logout()
	ann.login()
	ann.sees("Your account")
}

// TestStepUp: another e-mail address wants a code, and the mailbox.
func TestStepUp(t *testing.T) {
	t.Parallel()
	s := start(t)
	ann := withApp(t, s, "ann@example.com")
	ann.enter()
	ann.press("Change")
	ann.fill("email", "ann@example.org")
	ann.press("Continue")
	ann.sees("To change your e-mail address, type the code")
	ann.answer("000000")
	ann.sees("That code is not right")
	if n := len(s.letters("ann@example.org")); n != 0 {
		t.Errorf("%d letters before a right code", n)
	}
	ann.answer(ann.code())
	ann.sees("We sent a link to ann@example.org", "as ann@example.com")
	ann.open(mailed.FindStringSubmatch(s.last(t, "ann@example.org"))[1])
	ann.press("Use this address")
	ann.sees("Your e-mail address is changed", "as ann@example.org")
	if told := s.last(t, "ann@example.com"); !strings.Contains(told, "a new e-mail address") {
		t.Errorf("the old address was told: %s", told)
	}
	ann.logout()
	ann.login()
	ann.sees("E-mail address or password are not right")
	ann.email = "ann@example.org"
	ann.login()
	ann.sees("Type your code")
}

// TestForgottenPassword: the link sets a password, ends sessions, and logs nobody in.
func TestForgottenPassword(t *testing.T) {
	t.Parallel()
	s := start(t)
	ann, elsewhere := withApp(t, s, "ann@example.com"), s.person(t, "")
	ann.enter()
	elsewhere.open("/login")
	elsewhere.press("Forgot your password?")
	elsewhere.fill("email", ann.email)
	elsewhere.press("Send me a link")
	path := mailed.FindStringSubmatch(s.last(t, ann.email))[1]
	elsewhere.open(path)
	elsewhere.fill("password", "an entirely new password")
	thief := s.person(t, ann.email)
	thief.login() // with the password of before, in time
	elsewhere.press("Set password")
	elsewhere.sees("Now log in")
	thief.answer(ann.code())
	thief.sees("Your password was changed")
	thief.out()
	elsewhere.open(path)
	elsewhere.sees("This link was used or is too old")
	ann.open("/account")
	ann.sees("Log in")
	ann.login()
	ann.sees("E-mail address or password are not right")
	ann.fill("password", "an entirely new password")
	ann.press("Log in")
	ann.sees("Type your code")
}

// TestWrongCodes: what a person is told of waits, and of a factor that was disabled.
func TestWrongCodes(t *testing.T) {
	t.Parallel()
	s := start(t)
	ann := withApp(t, s, "ann@example.com")
	ann.login()
	for _, want := range []string{"4 tries left", "3 tries left", "2 tries left", "1 try left", "The next try is possible in 30 seconds"} {
		ann.answer("000000")
		ann.sees(want)
	}
	ann.answer("000000") // not even looked at
	ann.sees("That is possible again in 30 seconds")
	if told := strings.Join(s.letters(ann.email), "\n"); !strings.Contains(told, "5 wrong answers came in a row") {
		t.Errorf("she was told: %s", told)
	}
	s.clock.Advance(30 * time.Second)
	ann.answer(ann.code()) // the challenge was used up; that is nothing she need know
	ann.sees("Your account")
	ann.logout()

	s.disable(t, ann.email)
	ann.login()
	ann.sees("one of your recovery codes")
	ann.press("Authenticator app (locked)")
	ann.sees("This way was locked after too many wrong codes", "Recovery code")
	ann.answer(ann.code())
	ann.sees("This way was locked")
}

// TestReadsMessage: where the browser reads codes, one is filled in and not sent, and reading
// ends when the form is submitted or left by another one.
func TestReadsMessage(t *testing.T) {
	t.Parallel()
	s := start(t)
	ann := s.person(t, "ann@example.com")
	ann.ReadsMessages()
	ann.signUp()
	ann.press("Add a phone number")
	ann.fill("phone", "(500) 555-0006")
	ann.press("Continue")
	code := s.code(t, phone)
	if !strings.Contains(s.stderr.String(), "\n\n@localhost #"+code) {
		t.Errorf("the message is not of this site:\n%s", s.stderr)
	}
	ann.Message(code)
	ann.Until(`document.querySelector("#code").value === "` + code + `"`)
	ann.press("Continue")
	ann.press("I have kept them")
	ann.sees("Text message to +*********06")
	if n := ann.ReadingsEnded(); n != 1 {
		t.Errorf("after the answer, reading ended %d times, want once", n)
	}
	ann.logout()

	s.clock.Advance(time.Minute)
	ann.login()
	s.clock.Advance(time.Minute)
	ann.press("Send again")
	if n := ann.ReadingsEnded(); n != 2 {
		t.Errorf("after another form, reading ended %d times, want twice", n)
	}
	ann.Message(s.code(t, phone))
	ann.Until(`document.querySelector("#code").value !== ""`)
	ann.press("Continue")
	ann.sees("Your account")
}
