package main

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/authfactor/mfa"
)

// lastCode uses up all recovery codes but one, and logs in with that.
func lastCode(t *testing.T, s *site) *person {
	t.Helper()
	ann := withApp(t, s, "ann@example.com")
	svc, _ := s.service(t)
	u := s.row(t, ann.email)
	factors, err := svc.Factors(t.Context(), u.ID)
	ann.Must(err)
	for _, f := range factors {
		for _, code := range ann.codes[1:] {
			if f.Type != mfa.TypeRecoveryCodes {
				break
			}
			ch, err := svc.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: u.ID})
			ann.Must(err)
			_, err = svc.Verify(t.Context(), mfa.VerifyParams{ChallengeID: ch.ID, UserID: u.ID, Code: code})
			ann.Must(err)
		}
	}
	ann.login()
	ann.press("Recovery code")
	ann.answer(ann.codes[0])
	ann.sees("You logged in with a recovery code", "0 left", "write to us")
	return ann
}

// TestLastRecoveryCode: who logged in with the last one adds a new app, without the code of
// the one that is lost; and so only once.
func TestLastRecoveryCode(t *testing.T) {
	t.Parallel()
	s := start(t)
	ann := lastCode(t, s)
	ann.press("Replace Authenticator app")
	ann.press("Continue")
	ann.sees("To replace a second factor, type the code") // it takes nothing away
	ann.open("/account")
	ann.press("Add an app")
	ann.fill("name", "New phone")
	ann.press("Continue")
	ann.scan()
	scanned := ann.uri
	ann.Load(chromedp.NavigateBack()) // or a second click
	ann.fill("name", "New phone")
	ann.press("Continue")
	ann.scan()
	if ann.uri != scanned {
		t.Errorf("it was %s, and is %s", scanned, ann.uri)
	}
	ann.fill("code", ann.code())
	ann.press("Confirm")
	ann.sees("Added: New phone")
	if strings.Contains(ann.text(), "You logged in with a recovery code") {
		t.Errorf("once more:\n%s", ann.text())
	}
	ann.press("Make new ones")
	ann.sees("To make recovery codes, type the code")
	ann.press("New phone")
	ann.answer(ann.code())
	ann.recovery()
}

// TestLastRecoveryCodeLapses: after five minutes a code is asked for.
func TestLastRecoveryCodeLapses(t *testing.T) {
	t.Parallel()
	s := start(t)
	ann := lastCode(t, s)
	s.clock.Advance(5*time.Minute - 2*time.Second)
	ann.press("Make new ones")
	ann.codes = ann.recovery()
	ann.open("/account")
	ann.logout()
	ann.login()
	ann.press("Recovery code")
	ann.answer(ann.codes[0])
	s.clock.Advance(5 * time.Minute)
	ann.press("Add an app")
	ann.press("Continue")
	ann.sees("To add a second factor, type the code", "Recovery code")
}

// TestPictureAgain: a reload shows the same picture, for ten minutes; another enrolment says
// that the earlier picture is worthless.
func TestPictureAgain(t *testing.T) {
	t.Parallel()
	s := start(t)
	ann := s.person(t, "ann@example.com")
	ann.signUp()
	ann.press("Add an app")
	ann.press("Continue")
	ann.scan()
	first := ann.uri
	ann.Load(chromedp.Reload())
	ann.scan()
	if ann.uri != first {
		t.Errorf("it was %s, and is %s", first, ann.uri)
	}
	_, db := s.service(t)
	var rows string
	ann.Must(db.QueryRowContext(t.Context(), "SELECT group_concat(CAST(data AS TEXT)) FROM sessions").Scan(&rows))
	_, secret, _ := strings.Cut(first, "secret=")
	if secret, _, _ = strings.Cut(secret, "&"); secret == "" || strings.Contains(rows, secret) || !strings.Contains(rows, "Picture") {
		t.Errorf("%q is in the database", secret)
	}
	s.clock.Advance(10 * time.Minute)
	ann.Load(chromedp.Reload())
	ann.sees("The picture is not shown any more")
	ann.press("begin again")
	ann.press("Continue")
	ann.sees("This is a new picture. An earlier one does not work any more")
	ann.scan()
	if ann.uri == first {
		t.Error("it is the same picture")
	}
	ann.fill("code", ann.code())
	ann.press("Confirm")
	ann.recovery()
}

// TestTurnOff: with the only app, recovery codes go as well, at one code.
func TestTurnOff(t *testing.T) {
	t.Parallel()
	s := start(t)
	ann := withApp(t, s, "ann@example.com")
	ann.enter()
	ann.sees("Your password alone lets you in then")
	ann.press("Make new ones") // whose challenge is not to be used for what follows
	ann.sees("To make recovery codes, type the code")
	ann.open("/account")
	app := s.row(t, ann.email).Factors[0] // older than the codes
	ann.eval(`const b = document.querySelector("form[action='/account/off'] button"); b.name = "factor"; b.value = "` + app + `"; b.form.action = "/account/remove"`)
	ann.press("Turn off the second factor") // which no button asks of the only app
	ann.sees("To turn off your second factor, type the code")
	ann.open("/account")
	ann.press("Turn off the second factor")
	ann.sees("To turn off your second factor, type the code")
	ann.answer("000000")
	ann.answer(ann.code())
	ann.sees("Your second factor is off. From now on your password alone lets you in", "None yet")
	if u := s.row(t, ann.email); len(u.Factors) != 0 {
		t.Errorf("the user's row lists %q", u.Factors)
	}
	if told := strings.Join(s.letters(ann.email), "\n"); !strings.Contains(told, "The second factor of your account was turned off") {
		t.Errorf("she was told:\n%s", told)
	}
	ann.logout()
	ann.login()
	ann.sees("Your account")
}

// TestOtherSessionsEnd: a change of the factors ends the sessions of other browsers.
func TestOtherSessionsEnd(t *testing.T) {
	t.Parallel()
	s := start(t)
	ann := s.person(t, "ann@example.com")
	ann.signUp()
	other := s.visitor(t)
	if other.login(ann.email); !other.in() {
		t.Fatal("not in")
	}
	ended := func(what, uri string) {
		t.Helper()
		if other.in() {
			t.Errorf("%s: the other session lives on", what)
		}
		ann.open("/account")
		ann.sees("Your account")
		other.enter(ann.email, uri)
	}
	ann.addApp("Phone")
	phone := ann.uri
	ended("the first app", phone)
	ann.addApp("Tablet")
	ended("a second app", ann.uri) // which was used last, and so is asked for first
	ann.press("Remove Tablet")
	ann.uri = phone
	ann.answer(ann.code())
	ended("an app removed", phone)
	ann.press("Turn off the second factor")
	ann.answer(ann.code())
	ann.sees("Your second factor is off")
	if other.in() {
		t.Error("turned off: the other session lives on")
	}
}

// TestOldLinks: the newest link alone sets a password.
func TestOldLinks(t *testing.T) {
	s := start(t)
	for range 2 {
		s.post(t, "/start", url.Values{"email": {"ann@example.com"}})
	}
	s.post(t, "/start", url.Values{"email": {"bob@example.com"}})
	var status []int
	for _, letter := range s.letters("ann@example.com") {
		status = append(status, s.visitor(t).get(mailed.FindStringSubmatch(letter)[1]).status)
	}
	if len(status) != 2 || status[0] != http.StatusNotFound || status[1] != http.StatusOK {
		t.Errorf("%v", status)
	}
}

// TestFlood: what a session asks for again and again makes neither mails nor records.
func TestFlood(t *testing.T) {
	s := start(t)
	_, db := s.service(t)
	challenges := func() (n int) {
		if err := db.QueryRowContext(t.Context(), "SELECT count(*) FROM mfa_records WHERE kind = 'challenge'").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if _, err := db.setPassword(t.Context(), "bob@example.com", hashed()); err != nil {
		t.Fatal(err)
	}
	bob := s.visitor(t)
	bob.login("bob@example.com")
	for range 50 {
		bob.post("/account/email", url.Values{"email": {"carol@example.com"}, "password": {password}})
	}
	s.clock.Advance(tryPeriod)
	for range 50 {
		bob.post("/account/recovery", nil)
	}
	for _, to := range []string{"bob@example.com", "carol@example.com"} {
		if n := len(s.letters(to)); n == 0 || n > perMailbox {
			t.Errorf("%d letters to %s", n, to)
		}
	}

	s.clock.Advance(tryPeriod)
	uri, _ := s.member(t, "ann@example.com")
	ann := s.visitor(t)
	before := challenges()
	ann.login("ann@example.com")
	for range 50 {
		ann.login("ann@example.com")
		for _, id := range s.row(t, "ann@example.com").Factors {
			form := ann.form("")
			form.Set("factor", id)
			ann.post("/code/other", form)
			ann.post("/code/send", ann.form(""))
		}
	}
	if n := challenges() - before; n > 2 {
		t.Errorf("%d challenges at the login", n)
	}
	ann.enter("ann@example.com", uri)
	before = challenges()
	for range 50 {
		ann.post("/account/off", nil)
	}
	if n := challenges() - before; n != 1 {
		t.Errorf("%d challenges to approve", n)
	}
}

// TestLockedOut: whoever has nothing left to answer by is told that it is locked, and not
// let in.
func TestLockedOut(t *testing.T) {
	t.Parallel()
	s := start(t)
	ann := s.person(t, "ann@example.com")
	ann.signUp()
	ann.addApp("Phone")
	s.disable(t, ann.email)
	svc, _ := s.service(t)
	factors, err := svc.Factors(t.Context(), s.row(t, ann.email).ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range factors {
		if f.Type == mfa.TypeRecoveryCodes {
			if err := svc.Unenroll(t.Context(), mfa.UnenrollParams{FactorID: f.ID, UserID: mfa.AnyUser}); err != nil {
				t.Fatal(err)
			}
		}
	}
	other := s.visitor(t)
	if got := other.login(ann.email); got.status != http.StatusForbidden || !strings.Contains(got.body, "locked") || other.in() {
		t.Errorf("status %d: %s", got.status, got.body)
	}
}
