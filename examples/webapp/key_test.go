package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"

	"github.com/authfactor/mfa/examples/internal/browsertest"
)

// key gives the browser an authenticator, by default one that is built in and checks a finger.
func (p *person) key(change ...func(*webauthn.VirtualAuthenticatorOptions)) browsertest.Key {
	p.Helper()
	return p.Key(change...)
}

// clicks presses a button that leads to no other page, and waits for what the page says then.
func (p *person) clicks(button, says string) {
	p.Helper()
	p.do(chromedp.Click(fmt.Sprintf(`//main//button[normalize-space()=%q]`, button), chromedp.NodeVisible))
	p.do(chromedp.WaitVisible(fmt.Sprintf(`//main//*[@role="alert" and contains(., %q)]`, says)))
	p.Look()
}

// addPasskey makes one, where no other factor is asked for.
func (p *person) addPasskey(name string) {
	p.Helper()
	p.open("/account")
	p.press("Add a passkey")
	p.fill("name", name)
	p.press("Continue")
	if strings.Contains(p.text(), "Use a passkey") {
		p.press("Use a passkey")
	}
	p.press("Make the passkey")
}

// withPasskey is somebody who is logged in, and has a passkey and recovery codes.
func withPasskey(t *testing.T, s *site) (*person, browsertest.Key) {
	t.Helper()
	ann := s.person(t, "ann@example.com")
	ann.signUp()
	k := ann.key()
	ann.addPasskey("")
	ann.codes = ann.recovery()
	ann.logout()
	return ann, k
}
