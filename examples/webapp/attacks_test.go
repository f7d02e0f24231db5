package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"github.com/authfactor/mfa"
)

func (p *person) setCookie(name, value string) {
	p.Helper()
	p.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, network.SetCookie, network.SetCookieParams{Name: name, Value: value, URL: p.site.url})
		return err
	}))
}

// eval runs what an attacker would on their own browser, such as to change a form.
func (p *person) eval(script string) {
	p.Helper()
	get(p, chromedp.Evaluate[bool](script+"; true"))
}

// out says that nobody is logged in.
func (p *person) out() {
	p.Helper()
	p.open("/account")
	p.sees("E-mail address", "Forgot your password?")
}

// TestSkip: with the password alone, no page of a member is there.
func TestSkip(t *testing.T) {
	t.Parallel()
	s := start(t)
	thief := withApp(t, s, "ann@example.com")
	thief.login()
	for _, path := range []string{"/account", "/account/app", "/account/phone", "/account/email"} {
		thief.open(path)
		thief.sees("Forgot your password?")
	}
	thief.login()
	for _, path := range []string{"/account/app", "/account/recovery", "/account/email", "/account/remove"} {
		thief.eval(fmt.Sprintf(`document.querySelector("main form").action = %q`, path))
		thief.fill("code", "000000")
		thief.press("Continue")
		thief.sees("Forgot your password?")
		thief.open("/code")
	}
	thief.out()
}

// TestOtherFactorInForm: who knows Ann's password answers with a challenge and a factor of
// their own, by fields that the form does not have.
func TestOtherFactorInForm(t *testing.T) {
	t.Parallel()
	s := start(t)
	ann, mallory := withApp(t, s, "ann@example.com"), withApp(t, s, "mallory@example.com")
	svc, _ := s.service(t)
	u := s.row(t, mallory.email)
	ch, err := svc.Challenge(t.Context(), mfa.ChallengeParams{FactorID: u.Factors[0], UserID: u.ID})
	if err != nil {
		t.Fatal(err)
	}
	uri := mallory.uri
	mallory.email = ann.email
	mallory.login()
	mallory.eval(fmt.Sprintf(`for (const [name, value] of Object.entries({
		challenge: %q, challenge_id: %[1]q, ChallengeID: %[1]q, user: %q, UserID: %[2]q, factor: %q, FactorID: %[3]q}))
		document.querySelector("main form").append(Object.assign(document.createElement("input"), {type: "hidden", name, value}))`, ch.ID, u.ID, u.Factors[0]))
	mallory.uri = uri
	mallory.answer(mallory.code())
	mallory.sees("That code is not right")
	mallory.eval(fmt.Sprintf(`document.querySelector("[name=factor]").value = %q`, u.Factors[0]))
	mallory.press("Recovery code")
	mallory.answer(mallory.code())
	mallory.sees("That code is not right")
	mallory.out()
}

// TestReplay: a code that logged in is shown in a second browser.
func TestReplay(t *testing.T) {
	t.Parallel()
	s := start(t)
	ann := withApp(t, s, "ann@example.com")
	thief := s.person(t, ann.email)
	thief.login()
	code := ann.code()
	ann.login()
	ann.answer(code)
	ann.sees("Your account")
	thief.answer(code)
	thief.sees("was used before")
	thief.out()
}

// TestFresh: a factor that was enrolled and not confirmed answers for nobody.
func TestFresh(t *testing.T) {
	t.Parallel()
	s := start(t)
	ann := withApp(t, s, "ann@example.com")
	real := ann.uri
	ann.enter()
	ann.press("Add an app")
	ann.press("Continue")
	ann.answer(ann.code())
	ann.scan() // and the code is not typed
	fresh := ann.uri
	svc, _ := s.service(t)
	factors, err := svc.Factors(t.Context(), s.row(t, ann.email).ID)
	if err != nil {
		t.Fatal(err)
	}
	ann.open("/account")
	ann.logout()
	ann.login()
	for _, f := range factors {
		if f.Status == mfa.StatusUnverified {
			ann.eval(fmt.Sprintf(`document.querySelector("[name=factor]").value = %q`, f.ID))
		}
	}
	ann.press("Recovery code")
	ann.uri = fresh
	ann.answer(ann.code())
	ann.sees("That code is not right")
	ann.uri = real
	ann.answer(ann.code())
	ann.sees("Your account")
}

// TestBack: after logging out the back button shows nothing.
func TestBack(t *testing.T) {
	t.Parallel()
	s := start(t)
	ann := withApp(t, s, "ann@example.com")
	ann.enter()
	ann.logout()
	ann.Load(chromedp.NavigateBack())
	ann.sees("Forgot your password?")
	if strings.Contains(ann.text(), ann.email) {
		t.Errorf("it shows:\n%s", ann.text())
	}
}

// TestCrossOrigin: a page of another origin, on the same site, so that cookies come along,
// posts forms of a member.
func TestCrossOrigin(t *testing.T) {
	t.Parallel()
	s := start(t)
	ann := withApp(t, s, "ann@example.com")
	ann.enter()
	evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprintf(w, `<main><form method=post action="%s/account/%s"><input name=email value=evil@example.com><input name=password value=%q><button>Win a prize</button></form></main>`,
			s.url, r.URL.Query().Get("to"), password)
	}))
	t.Cleanup(evil.Close)
	for _, to := range []string{"email", "app", "phone", "devices", "remove"} {
		ann.Load(chromedp.Navigate(evil.URL + "/?to=" + to))
		if status := ann.press("Win a prize"); status != http.StatusForbidden {
			t.Errorf("/account/%s: status %d\n%s", to, status, ann.text())
		}
	}
	if n := len(s.letters("evil@example.com")); n > 0 {
		t.Errorf("%d letters", n)
	}
	ann.open("/account")
	ann.sees("Authenticator app", "10 left")
}

// TestFixation: no session goes on under an id that somebody may have known before.
func TestFixation(t *testing.T) {
	t.Parallel()
	s := start(t)
	ann := withApp(t, s, "ann@example.com")
	mallory := withApp(t, s, "mallory@example.com")
	mallory.login()
	chosen := mallory.session() // it exists, and waits for a code of hers
	ann.setCookie("session", chosen)
	seen := map[string]string{chosen: "planted"}
	step := func(what string) {
		t.Helper()
		id := ann.session()
		if before, ok := seen[id]; ok || id == "" {
			t.Errorf("%s: the session is %q, as %s", what, id, before)
		}
		seen[id] = what
	}
	ann.login()
	step("after the password")
	between := ann.session()
	ann.answer(ann.code())
	step("after the code")
	ann.open("/account")
	ann.press("Make new ones")
	ann.answer(ann.code())
	step("after a code that approves")
	thief := s.person(t, "")
	thief.open("/login")
	thief.setCookie("session", between)
	thief.out()
	last := ann.session()
	ann.logout()
	thief.setCookie("session", last)
	thief.out()

	bob := s.person(t, "bob@example.com") // who has no second factor
	_, db := s.service(t)
	if _, err := db.setPassword(t.Context(), bob.email, hashed()); err != nil {
		t.Fatal(err)
	}
	bob.login()
	bob.logout() // with a session, for what the page says
	before := bob.session()
	bob.login()
	if id := bob.session(); id == before || id == "" {
		t.Errorf("after the password of who has no second factor: the session is %q, and was %q", id, before)
	}
}

// TestLostStore: with all factors lost, the password alone opens nothing, and a session adds
// none.
func TestLostStore(t *testing.T) {
	t.Parallel()
	s := start(t)
	ann := withApp(t, s, "ann@example.com")
	ann.enter()
	_, db := s.service(t)
	if _, err := db.ExecContext(t.Context(), "DELETE FROM mfa_records"); err != nil {
		t.Fatal(err)
	}
	ann.open("/account/app")
	ann.press("Continue")
	ann.sees("Nobody gets in without it")
	ann.logout()
	ann.login()
	ann.sees("Nobody gets in without it")
	ann.out()
}
