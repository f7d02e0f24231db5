package main

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// TestSubmitTwice: the right code is submitted again before the browser heard that it was
// right.
func TestSubmitTwice(t *testing.T) {
	t.Parallel()
	s := slow(t, "/code", "session")
	ann := withApp(t, s, "ann@example.com")
	ann.login()
	ann.fill("code", ann.code())
	ann.clickTwice("/code")
	ann.sees("Your account")
}

// TestAnswerAgain: the same code from the same browser logs in again for a minute, at once
// or later. Nothing else does.
func TestAnswerAgain(t *testing.T) {
	t.Parallel()
	s := start(t)
	uri, _ := s.member(t, "ann@example.com")
	pending := func() (*visitor, url.Values) {
		v := s.visitor(t)
		v.login("ann@example.com")
		return v, v.form(s.next(uri))
	}
	v, form := pending()
	var both sync.WaitGroup
	for range 2 {
		same := v.copied()
		both.Go(func() {
			if to := same.post("/code", form).location; to != "/account" || !same.in() {
				t.Errorf("at once: it goes to %q", to)
			}
		})
	}
	both.Wait()

	for name, try := range map[string]struct {
		change func(*visitor, url.Values)
		after  time.Duration
		in     bool
	}{
		"later":             {in: true, after: time.Minute - time.Millisecond},
		"too late":          {after: time.Minute + time.Millisecond},
		"another code":      {change: func(_ *visitor, f url.Values) { f.Set("code", "000000") }},
		"no code":           {change: func(_ *visitor, f url.Values) { f.Set("code", "") }},
		"the next code":     {change: func(_ *visitor, f url.Values) { f.Set("code", s.next(uri)) }},
		"no cookie":         {change: func(v *visitor, _ url.Values) { clear(v.cookies) }},
		"no question":       {change: func(_ *visitor, f url.Values) { f.Del("question") }},
		"another's session": {change: func(v *visitor, _ url.Values) { other, _ := pending(); v.cookies = other.cookies }},
	} {
		v, form := pending()
		again := v.copied()
		if v.post("/code", form); !v.in() {
			t.Fatalf("%s: not in", name)
		}
		if try.change != nil {
			try.change(again, form)
		}
		s.clock.Advance(try.after)
		if again.in() {
			t.Errorf("%s: the cookie of before is enough", name)
		}
		if again.post("/code", form); again.in() != try.in {
			t.Errorf("%s: in is %t", name, !try.in)
		}
	}
}

// TestLogoutEndsAnswers: nobody is logged in again by what was sent before.
func TestLogoutEndsAnswers(t *testing.T) {
	t.Parallel()
	s := start(t)
	uri, _ := s.member(t, "ann@example.com")
	v := s.visitor(t)
	v.login("ann@example.com")
	form, again := v.form(s.next(uri)), v.copied()
	v.post("/code", form)
	v.post("/logout", nil)
	if again.post("/code", form); again.in() {
		t.Error("in again")
	}
}

// TestEnrollTwice: a second click sends no second message, and the code of the first one is
// good.
func TestEnrollTwice(t *testing.T) {
	t.Parallel()
	s := start(t)
	_, db := s.service(t)
	if _, err := db.setPassword(t.Context(), "ann@example.com", hashed()); err != nil {
		t.Fatal(err)
	}
	v := s.visitor(t)
	v.login("ann@example.com")
	for range 2 {
		v.post("/account/phone", url.Values{"phone": {phone}})
	}
	if page := v.post("/code", v.form(s.code(t, phone))); !strings.Contains(page.body, "Your recovery codes") {
		t.Errorf("status %d\n%s", page.status, page.body)
	}
}

// TestApproveTwice: what was approved is done once, and the person stays logged in.
func TestApproveTwice(t *testing.T) {
	t.Parallel()
	s := start(t)
	uri, _ := s.member(t, "ann@example.com")
	v := s.visitor(t)
	v.enter("ann@example.com", uri)
	v.post("/account/email", url.Values{"email": {"ann@example.org"}})
	form := v.form(s.next(uri))
	again := v.copied()
	v.post("/code", form)
	if to := again.post("/code", form).location; to != "/account" {
		t.Errorf("it goes to %q", to)
	}
	if page := again.get("/account"); page.status != http.StatusOK || !strings.Contains(page.body, "was done once") {
		t.Errorf("status %d\n%s", page.status, page.body)
	}
	if n := len(s.letters("ann@example.org")); n != 1 {
		t.Errorf("%d letters", n)
	}
}

// TestTwoTabs: a code answers what was asked beside it, and not what another tab, or
// somebody with the same cookie, asks meanwhile.
func TestTwoTabs(t *testing.T) {
	t.Parallel()
	s := start(t)
	ann := withApp(t, s, "ann@example.com")
	ann.enter()
	ann.press("Change")
	ann.fill("email", "ann@example.org")
	ann.press("Continue")
	ann.sees("To change your e-mail address, type the code")

	thief := s.visitor(t)
	thief.cookies["session"] = ann.session()
	app := url.Values{"factor": s.row(t, ann.email).Factors}
	for _, button := range []string{"Continue", "Recovery code"} {
		ann.Load(chromedp.Navigate(s.url + "/account")) // the other tab's page is not looked at
		ann.press("Change")
		ann.fill("email", "ann@example.org")
		ann.press("Continue")
		thief.post("/account/remove", app)
		ann.fill("code", ann.code())
		ann.press(button)
		ann.sees("That page was out of date, so nothing was done", "To turn off your second factor")
	}
	if n := len(s.row(t, ann.email).Factors); n != 2 {
		t.Errorf("%d factors are left", n)
	}
	ann.open("/account")
	ann.press("Change")
	ann.fill("email", "ann@example.org")
	ann.press("Continue")
	ann.answer(ann.code())
	ann.sees("We sent a link to ann@example.org")
}

// TestLogInAgain: who logs in again in the same browser types the code that was sent.
func TestLogInAgain(t *testing.T) {
	t.Parallel()
	s := start(t)
	ann := s.person(t, "ann@example.com")
	ann.signUp()
	ann.press("Add a phone number")
	ann.fill("phone", phone)
	ann.press("Continue")
	ann.answer(s.code(t, phone))
	ann.press("I have kept them")
	ann.logout()
	s.clock.Advance(time.Hour)
	ann.login()
	sent := len(s.letters(phone))
	s.clock.Advance(20 * time.Second)
	ann.login()
	ann.sees("type the newest code that we sent")
	if strings.Contains(ann.text(), "possible again") || len(s.letters(phone)) != sent {
		t.Errorf("%d messages instead of %d:\n%s", len(s.letters(phone)), sent, ann.text())
	}
	other := s.person(t, ann.email)
	other.login()
	other.sees("That is possible again in 40 seconds", "we send a code")
	ann.answer(s.code(t, phone))
	ann.sees("Your account")

	ann.logout()
	ann.login() // that code was used: nothing says that it is to be typed
	ann.sees("That is possible again in 40 seconds", "we send a code")
	s.clock.Advance(40 * time.Second)
	ann.press("Send a code")
	ann.answer(s.code(t, phone))
	ann.sees("Your account")
}

// TestCodeIsBoundToSite: a message ends with the line by which phones and browsers fill
// its code in on this site alone.
func TestCodeIsBoundToSite(t *testing.T) {
	t.Parallel()
	s := start(t)
	_, db := s.service(t)
	if _, err := db.setPassword(t.Context(), "ann@example.com", hashed()); err != nil {
		t.Fatal(err)
	}
	v := s.visitor(t)
	v.login("ann@example.com")
	page := v.post("/account/phone", url.Values{"phone": {phone}})
	if want := "\n\n@localhost #" + s.code(t, phone); !strings.Contains(s.stderr.String(), want) {
		t.Errorf("no line %q in\n%s\n%s", want, s.stderr, page.body)
	}
}
