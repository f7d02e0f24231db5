package browsertest

import "github.com/chromedp/cdproto/webauthn"

// A Key is an authenticator at a browser: a part of the computer, or plugged in.
type Key struct {
	ID   webauthn.AuthenticatorID
	page *Page
}

// Key gives the browser an authenticator, by default one that is built in and checks a finger.
func (p *Page) Key(change ...func(*webauthn.VirtualAuthenticatorOptions)) Key {
	p.Helper()
	o := &webauthn.VirtualAuthenticatorOptions{
		Protocol: webauthn.AuthenticatorProtocolCtap2, Transport: webauthn.AuthenticatorTransportInternal,
		HasResidentKey: true, HasUserVerification: true, IsUserVerified: true, AutomaticPresenceSimulation: true,
	}
	for _, c := range change {
		c(o)
	}
	Call(p, webauthn.Enable, webauthn.EnableParams{})
	return Key{Call(p, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: o}).AuthenticatorID, p}
}

// USB is a key that is plugged in, has no PIN and keeps nothing.
func USB(o *webauthn.VirtualAuthenticatorOptions) {
	o.Transport = webauthn.AuthenticatorTransportUsb
	o.HasResidentKey, o.HasUserVerification, o.IsUserVerified = false, false, false
}

// U2F is one of the older kind.
func U2F(o *webauthn.VirtualAuthenticatorOptions) {
	USB(o)
	o.Protocol = webauthn.AuthenticatorProtocolU2f
}

// Unplug takes the authenticator away.
func (k Key) Unplug() {
	k.page.Helper()
	Call(k.page, webauthn.RemoveVirtualAuthenticator, webauthn.RemoveVirtualAuthenticatorParams{AuthenticatorID: k.ID})
}

// Verifies says whether the authenticator recognises the finger.
func (k Key) Verifies(is bool) {
	k.page.Helper()
	Call(k.page, webauthn.SetUserVerified, webauthn.SetUserVerifiedParams{AuthenticatorID: k.ID, IsUserVerified: is})
}

// Credentials are the passkeys that it keeps.
func (k Key) Credentials() []*webauthn.Credential {
	k.page.Helper()
	return Call(k.page, webauthn.GetCredentials, webauthn.GetCredentialsParams{AuthenticatorID: k.ID}).Credentials
}
