package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/examples/internal/browsertest"
	"github.com/authfactor/mfa/passkey"
)

// TestPasskeyLife: somebody makes a passkey and logs in with it, steps up with it to make a
// second one, logs in with whichever is at hand, names them, and removes one.
func TestPasskeyLife(t *testing.T) {
	t.Parallel()
	s := start(t)
	ann := s.person(t, "ann@example.com")
	ann.signUp()
	builtIn := ann.key()
	ann.addPasskey("")
	ann.recovery() // as with any first factor
	ann.press("I have kept them")
	ann.sees("Chrome on Linux", "kept on one device only")
	ann.logout()

	ann.login()
	ann.sees("To log in, use a passkey")
	ann.press("Use a passkey")
	ann.sees("Your account")

	ann.open("/account")
	ann.press("Add a passkey")
	ann.fill("name", "Blue key")
	ann.press("Continue")
	ann.sees("To add a second factor, use a passkey")
	ann.press("Use a passkey")
	ann.clicks("Make the passkey", "has a passkey of your account already")
	builtIn.Unplug()
	ann.key(browsertest.USB)
	ann.press("Make the passkey")
	ann.sees("Added: Blue key")
	ann.logout()

	ann.login()
	ann.press("Use a passkey") // the plugged one answers, whichever was challenged
	ann.sees("Your account", "Blue key")

	ann.press("Rename Blue key")
	ann.fill("name", "Red key")
	ann.press("Rename")
	ann.sees("Red key")
	ann.press("Rename Red key")
	ann.eval(`document.querySelector("main [name=name]").value = "a\u202eb"`)
	ann.press("Rename")
	ann.sees("has characters that cannot be shown")
	ann.press("Cancel")
	ann.sees("Red key")

	ann.press("Remove Chrome on Linux")
	ann.press("Use a passkey")
	ann.sees("The second factor was removed", "Red key")
	ann.logout()
	ann.login()
	ann.press("Use a passkey")
	ann.sees("Your account")
	if n := len(s.letters("ann@example.com")); n != 5 { // the link, recovery codes, two were added, one removed
		t.Errorf("%d letters: %q", n, s.letters("ann@example.com"))
	}
}

// TestPasskeyNotAtHand: whoever has none there gives up, and takes another way.
func TestPasskeyNotAtHand(t *testing.T) {
	t.Parallel()
	ann, own := withPasskey(t, start(t))
	own.Unplug()
	ann.key() // which has none
	ann.login()
	// The browser tells whoever gives up the same as whoever waits too long, and that is sooner here.
	ann.eval(`document.querySelector("form[data-options]").dataset.options = document.querySelector("form[data-options]").dataset.options.replace('"timeout":600000', '"timeout":10')`)
	ann.clicks("Use a passkey", "it was cancelled, took too long, or no passkey of yours was found")
	ann.press("Recovery code") // and this is the way in
	ann.answer(ann.codes[0])
	ann.sees("Your account")
}

// TestRemovedPasskey: one that was removed lets nobody in.
func TestRemovedPasskey(t *testing.T) {
	t.Parallel()
	s := start(t)
	ann := withApp(t, s, "ann@example.com")
	key := ann.key()
	ann.enter()
	ann.press("Add a passkey")
	ann.press("Continue")
	ann.answer(ann.code())
	ann.press("Make the passkey")
	ann.sees("Added: Chrome on Linux")
	ann.logout()
	ann.login()
	ann.sees("use a passkey", "Another way", "Authenticator app")

	svc, _ := s.service(t)
	row := s.row(t, ann.email)
	factors, err := svc.Factors(t.Context(), row.ID)
	if err == nil {
		for _, f := range factors {
			if f.Type == passkey.Type {
				err = svc.Unenroll(t.Context(), mfa.UnenrollParams{FactorID: f.ID, UserID: mfa.AnyUser})
			}
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	ann.press("Use a passkey")
	ann.sees("not there any more")
	ann.press("Authenticator app")
	ann.answer(ann.code())
	ann.sees("Your account")
	if len(key.Credentials()) != 1 {
		t.Error("the browser has it still")
	}
}

// TestCopiedPasskey: a copy of a key whose count is behind lets nobody in, and the owner hears
// of it.
func TestCopiedPasskey(t *testing.T) {
	t.Parallel()
	s := start(t)
	ann, own := withPasskey(t, s)
	copied := own.Credentials()[0]
	ann.login()
	ann.press("Use a passkey")
	ann.logout()
	own.Unplug()
	thief := ann.key(func(o *webauthn.VirtualAuthenticatorOptions) { o.HasCmtgKey = true }) // or it refuses what the parameters always have
	call(ann, webauthn.AddCredential, webauthn.AddCredentialParams{AuthenticatorID: thief.ID, Credential: &webauthn.Credential{
		CredentialID: copied.CredentialID, RpID: copied.RpID, PrivateKey: copied.PrivateKey, UserHandle: copied.UserHandle, IsResidentCredential: true, SignCount: copied.SignCount,
	}})
	ann.login()
	ann.press("Use a passkey")
	ann.sees("That passkey was not accepted")
	if last := s.last(t, ann.email); !strings.Contains(last, "as a copy of it would") {
		t.Errorf("the owner is told %q", last)
	}
}

// TestPhishedPasskey: a page of another origin relays what the site asks and what the browser
// answers, and does not get in.
func TestPhishedPasskey(t *testing.T) {
	t.Parallel()
	s := start(t)
	ann, _ := withPasskey(t, s)
	phisher := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<!doctype html><title>Webapp</title>"))
	}))
	t.Cleanup(phisher.Close)
	relay := s.visitor(t) // who has the password
	relay.login(ann.email)
	options := relay.options()
	for _, site := range []string{strings.Replace(phisher.URL, "127.0.0.1", "localhost", 1), s.url} {
		ann.do(chromedp.Navigate(site + "/style.css"))
		answer := get(ann, chromedp.Evaluate[string](`navigator.credentials.get({publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(`+options+`)}).then(c => JSON.stringify(c.toJSON()))`, chromedp.EvalAwaitPromise))
		form := relay.form("")
		form.Set("answer", answer)
		to := relay.post("/code", form).location
		if honest := site == s.url; (to == "/account") != honest || relay.in() != honest {
			t.Errorf("from %s it goes to %q", site, to)
		}
	}
}

// TestPasskeyRefused: what comes back when the person or the authenticator does not agree.
func TestPasskeyRefused(t *testing.T) {
	t.Parallel()
	s := start(t)
	ann, own := withPasskey(t, s)
	ann.login()
	call(ann, webauthn.SetUserVerified, webauthn.SetUserVerifiedParams{AuthenticatorID: own.ID})
	ann.clicks("Use a passkey", "Nothing was sent")
	call(ann, webauthn.SetUserVerified, webauthn.SetUserVerifiedParams{AuthenticatorID: own.ID, IsUserVerified: true})
	bogus := func(is bool) {
		t.Helper()
		call(ann, webauthn.SetResponseOverrideBits, webauthn.SetResponseOverrideBitsParams{AuthenticatorID: own.ID, IsBogusSignature: &is})
	}
	bogus(true)
	for range 4 {
		ann.press("Use a passkey")
		ann.sees("That passkey was not accepted")
	}
	bogus(false)
	s.clock.Advance(10 * time.Minute)
	ann.press("Use a passkey")
	ann.sees("That took too long")
	ann.press("Try again")
	ann.press("Use a passkey")
	ann.sees("Your account")
}

// TestWithoutPasskeys: where the browser has none, or no script runs, the page says so, and
// every other way in is there.
func TestWithoutPasskeys(t *testing.T) {
	t.Parallel()
	s := start(t)
	ann, _ := withPasskey(t, s)
	old := s.person(t, ann.email)
	call(old, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: "delete window.PublicKeyCredential"})
	off := s.person(t, ann.email)
	call(off, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	for i, tt := range []struct {
		p    *person
		says string
	}{{old, "This browser cannot use passkeys"}, {off, "Passkeys need JavaScript"}} {
		tt.p.login()
		tt.p.sees(tt.says)
		if get(tt.p, chromedp.Evaluate[bool](`document.querySelector("form[data-options] button").checkVisibility()`)) {
			t.Errorf("%s: the button is there all the same", tt.says)
		}
		tt.p.press("Recovery code")
		tt.p.answer(ann.codes[i])
		tt.p.sees("Your account")
	}
}

// TestOlderKey: one that knows no passkeys, but U2F alone, is one as well.
func TestOlderKey(t *testing.T) {
	t.Parallel()
	s := start(t)
	ann := s.person(t, "ann@example.com")
	ann.signUp()
	ann.key(browsertest.U2F)
	ann.addPasskey("Old key")
	ann.recovery()
	ann.logout()
	ann.login()
	ann.press("Use a passkey")
	ann.sees("Your account", "Old key")
}
