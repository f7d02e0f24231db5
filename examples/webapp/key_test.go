package main

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
)

// A key is an authenticator at the browser of a person: a part of the computer, or plugged in.
type key struct {
	p  *person
	id webauthn.AuthenticatorID
}

// key gives the browser an authenticator, by default one that is built in and checks a finger.
func (p *person) key(change ...func(*webauthn.VirtualAuthenticatorOptions)) key {
	p.Helper()
	o := &webauthn.VirtualAuthenticatorOptions{
		Protocol: webauthn.AuthenticatorProtocolCtap2, Transport: webauthn.AuthenticatorTransportInternal,
		HasResidentKey: true, HasUserVerification: true, IsUserVerified: true, AutomaticPresenceSimulation: true,
	}
	for _, c := range change {
		c(o)
	}
	call(p, webauthn.Enable, webauthn.EnableParams{})
	return key{p, call(p, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: o}).AuthenticatorID}
}

// usb is a key that is plugged in, has no PIN and keeps nothing.
func usb(o *webauthn.VirtualAuthenticatorOptions) {
	o.Transport = webauthn.AuthenticatorTransportUsb
	o.HasResidentKey, o.HasUserVerification, o.IsUserVerified = false, false, false
}

// u2f is one of the older kind.
func u2f(o *webauthn.VirtualAuthenticatorOptions) {
	usb(o)
	o.Protocol = webauthn.AuthenticatorProtocolU2f
}

// call gives a command to the browser.
func call[P, R any](p *person, command cdp.Command[P, R], params P) (result R) {
	p.Helper()
	p.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) (err error) {
		result, err = cdp.Call(ctx, t, command, params)
		return err
	}))
	return result
}

// unplug takes the authenticator away.
func (k key) unplug() {
	k.p.Helper()
	call(k.p, webauthn.RemoveVirtualAuthenticator, webauthn.RemoveVirtualAuthenticatorParams{AuthenticatorID: k.id})
}

func (k key) credentials() []*webauthn.Credential {
	k.p.Helper()
	return call(k.p, webauthn.GetCredentials, webauthn.GetCredentialsParams{AuthenticatorID: k.id}).Credentials
}

// clicks presses a button that leads to no other page, and waits for what the page says then.
func (p *person) clicks(button, says string) {
	p.Helper()
	p.do(chromedp.Click(fmt.Sprintf(`//main//button[normalize-space()=%q]`, button), chromedp.NodeVisible))
	p.do(chromedp.WaitVisible(fmt.Sprintf(`//main//*[@role="alert" and contains(., %q)]`, says)))
	p.lookAt()
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
func withPasskey(t *testing.T, s *site) (*person, key) {
	t.Helper()
	ann := s.person(t, "ann@example.com")
	ann.signUp()
	k := ann.key()
	ann.addPasskey("")
	ann.codes = ann.recovery()
	ann.logout()
	return ann, k
}
