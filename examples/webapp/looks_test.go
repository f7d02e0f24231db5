package main

import (
	"flag"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/authfactor/mfa/examples/internal/browsertest"
)

var update = flag.Bool("update", false, "take the pictures of docs/images anew")

// TestLooks walks through every page, on a small phone in the dark and on a large screen in
// the light, and looks at each with axe.
func TestLooks(t *testing.T) {
	t.Parallel()
	for name, scheme := range map[string]string{"phone": "dark", "desktop": "light"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			ann := s.person(t, "ann@example.com")
			ann.Careful = true
			ann.Size(map[string]int64{"phone": 360, "desktop": 1280}[name], scheme)
			ann.tour()
		})
	}
}

// tour comes to each page, and to those that say that something is wrong.
func (p *person) tour() {
	p.signUp()
	paper := get(p, chromedp.Evaluate[string](`getComputedStyle(document.querySelector("main")).backgroundColor`))
	if dark := get(p, chromedp.Evaluate[bool](`matchMedia("(prefers-color-scheme: dark)").matches`)); dark == (paper == "rgb(255, 255, 255)") {
		p.Errorf("dark is %t, and the paper is %s", dark, paper)
	}
	p.open("/account/email")
	p.eval(`document.querySelector("main form").noValidate = true`)
	p.fill("email", "nowhere")
	p.fill("password", password)
	p.press("Continue")
	p.open("/account/phone")
	p.fill("phone", phone)
	p.press("Continue")
	p.answer("000000")
	p.sees("That code is not right")
	p.answer(p.site.code(p.T, phone))
	codes := p.recovery()
	p.press("I have kept them")
	p.press("Add an app")
	p.fill("name", "A telephone with the longest name that anybody ever gave one to")
	p.press("Continue")
	p.press("Recovery code")
	p.press("Cancel")
	p.logout()
	p.login()
	p.sees("That is possible again", "we send a code")
	p.press("Recovery code")
	p.answer(codes[0])
	p.sees("You logged in with a recovery code", "Turn it off")
	p.press("Add an app")
	p.press("Continue")
	p.fill("code", "000000")
	p.press("Confirm")
	p.sees("That code is not right", "scan this code")
	p.site.clock.Advance(pictureAge)
	p.Load(chromedp.Reload())
	p.sees("The picture is not shown any more")
	p.tourPasskeys(codes[1])
	p.open("/link/none")
	p.fill("email", p.email)
	p.press("Send me a link")
	p.open(mailed.FindStringSubmatch(p.site.last(p.T, p.email))[1])
	p.fill("password", "14 characters!")
	p.eval(`document.querySelector("main form").noValidate = true`)
	p.press("Set password")
	p.sees("At least 15 characters")
	p.open("/dev/inbox")
	p.sees("Choose your password here")
}

// tourPasskeys comes to the pages for a passkey, the last one by the keyboard alone.
func (p *person) tourPasskeys(recoveryCode string) {
	p.open("/account")
	key := p.key()
	p.press("Add a passkey")
	p.fill("name", "A computer with the longest name that anybody ever gave to one")
	p.press("Continue")
	p.press("Recovery code")
	p.answer(recoveryCode)
	p.sees("Your browser asks where to keep the passkey")
	p.press("Make the passkey")
	p.sees("A computer with the longest name")
	p.press("Rename A computer with the longest name that anybody ever gave to one")
	p.press("Rename")
	p.logout()
	p.login()
	key.Verifies(false)
	p.clicks("Use a passkey", "Nothing was sent")
	key.Verifies(true)
	p.Load(chromedp.KeyEvent(kb.Enter)) // the button has the focus
	p.sees("Your account")
	p.logout()
}

// TestPictures takes those of README.md with -update, and says otherwise whether they are
// there.
func TestPictures(t *testing.T) {
	if *update {
		s := start(t, func(o *options) { o.dev = false })
		ann := s.person(t, "ann@example.com")
		ann.Size(520, "light")
		ann.signUp()
		ann.press("Add an app")
		ann.fill("name", "My phone")
		ann.press("Continue")
		ann.Take("enroll.png")
		ann.scan()
		ann.fill("code", ann.code())
		ann.press("Confirm")
		ann.press("I have kept them")
		ann.logout()
		ann.login()
		ann.Take("login.png")
		ann.answer(ann.code())
		ann.key()
		ann.press("Add a passkey")
		ann.fill("name", "My laptop")
		ann.press("Continue")
		ann.answer(ann.code())
		ann.Take("passkey-enroll.png")
		ann.press("Make the passkey")
		ann.logout()
		ann.login()
		ann.Take("passkey-login.png")
	}
	browsertest.Pictures(t, "enroll.png", "login.png", "passkey-enroll.png", "passkey-login.png")
}
