package browsertest

import (
	"fmt"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// reader takes the place of the part of a phone that reads messages, which a browser without
// windows does not have. It keeps what it was asked, and how often it was ended, in the session.
const reader = `window.OTPCredential = class {};
navigator.credentials.get = ({ otp, signal }) => new Promise((resolve, reject) => {
	sessionStorage.otp = JSON.stringify(otp);
	window.readCode = (code) => resolve({ code });
	signal.addEventListener("abort", () => {
		sessionStorage.otpEnded = Number(sessionStorage.otpEnded ?? 0) + 1;
		reject(signal.reason);
	});
});`

// ReadsMessages makes the pages that are loaded from now on find a browser that reads codes
// (WebOTP).
func (p *Page) ReadsMessages() {
	p.Helper()
	Call(p, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: reader})
}

// Message comes to the person, who lets the page read its code.
func (p *Page) Message(code string) {
	p.Helper()
	p.Until(`window.readCode && sessionStorage.otp === '{"transport":["sms"]}'`)
	Get(p, chromedp.Evaluate[bool](fmt.Sprintf(`readCode(%q), delete window.readCode`, code)))
}

// ReadingsEnded is how often the page gave up reading.
func (p *Page) ReadingsEnded() int {
	p.Helper()
	return Get(p, chromedp.Evaluate[int](`Number(sessionStorage.otpEnded ?? 0)`))
}
