package main

import (
	"flag"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/authfactor/mfa/examples/internal/browsertest"
)

var update = flag.Bool("update", false, "take the pictures of docs/images anew")

const longest = "A telephone with the longest name that anybody ever gave to one"

// TestLooks walks through every state of the pages, on a small phone in the dark and on a large
// screen in the light, and looks at each with axe.
func TestLooks(t *testing.T) {
	t.Parallel()
	for name, scheme := range map[string]string{"phone": "dark", "desktop": "light"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			chief := s.person(chief)
			chief.Careful = true
			chief.Size(map[string]int64{"phone": 360, "desktop": 1280}[name], scheme)
			chief.tour()
			paper := browsertest.Get(chief.Page, chromedp.Evaluate[string](`getComputedStyle(document.querySelector("main")).backgroundColor`))
			if scheme == "dark" == (paper == "rgb(255, 255, 255)") {
				t.Errorf("it is %s, and the paper is %s", scheme, paper)
			}
		})
	}
}

// tour comes to each state, and to those that say that something is wrong.
func (p *person) tour() {
	p.open("/login")
	p.Awaits("E-mail address")
	p.fill("email", p.email)
	p.fill("password", "something else")
	p.press("Log in")
	p.Awaits("are not right")
	p.fill("password", password)
	p.press("Log in")
	p.Awaits("Your account needs a second factor")
	p.press("Add a phone number")
	p.Awaits("With the country")
	p.fill("phone", "+1 555")
	p.name("", "There is no such phone number")
	p.fill("phone", phone)
	p.name(longest, "the newest code", "Possible from")
	p.press("Send again")
	p.Awaits("possible again in")
	p.answer(p.site.message())
	p.keep()
	p.Awaits("Your account", longest)
	p.pay("To send 100 EUR to Bob, type the newest code")
	p.press("Cancel")
	p.press("Add an app")
	p.name(longest, "To add a second factor, we send a code", "possible again in")
	p.site.clock.Advance(5 * time.Minute)
	p.press("Send a code")
	p.Awaits("A new message is on its way")
	p.answer("000000", "You have 4 tries left")
	p.answer(p.site.message())
	p.scan()
	p.answer(p.code(), "Added: "+longest)
	p.tourPasskeys()
	p.tourAccount()
}

// tourPasskeys comes to what there is about them.
func (p *person) tourPasskeys() {
	key := p.Key()
	p.press("Add a passkey")
	p.name("A computer with the longest name that anybody ever gave to one", "type the code")
	p.answer(p.code(), "Your browser asks where")
	p.press("Make the passkey")
	p.Awaits("kept on one device only")
	p.logout()
	p.login("use a passkey", "Another way")
	key.Verifies(false)
	p.press("Use a passkey")
	p.Awaits("Nothing was sent")
	p.press(longest)
	p.Awaits("Do not ask on this browser")
	p.Do(chromedp.Click(chromedp.CSS("[name=trust]")))
	p.answer(p.code(), "Trusted browsers")
	p.press("Stop trusting all")
	p.Awaits("All browsers will be asked")
	p.logout()
	p.login("use a passkey")
	p.press("Recovery code")
	p.Awaits("Each works once")
	p.answer(p.codes[0], "You logged in with a recovery code")
}

// tourAccount comes to the dialogs of the account.
func (p *person) tourAccount() {
	p.press("Make new ones")
	p.keep()
	p.Awaits("You have new recovery codes")
	p.press("Rename " + longest)
	p.Awaits("Give it another name")
	p.press("Cancel")
	p.press("Replace " + longest)
	p.Awaits("The old one works until")
	p.press("Cancel")
	p.fill("amount", "25")
	p.pay("To send 25 EUR to Bob")
	p.press("Recovery code")
	p.Awaits("Each works once")
	p.answer(p.codes[0], "Done: send 25 EUR")
	p.press("Turn off the second factor")
	p.Awaits("Your account must have a second factor")
}

// TestPictures takes that of docs/guide/spa.md with -update, and says otherwise whether it is
// there.
func TestPictures(t *testing.T) {
	if *update {
		s := start(t)
		ann := s.member(ann)
		ann.Size(520, "light")
		ann.Key()
		ann.press("Add a passkey")
		ann.name("My laptop", "To add a second factor")
		ann.answer(ann.code(), "Your browser asks where")
		ann.press("Make the passkey")
		ann.Awaits("Added: My laptop")
		ann.logout()
		ann.login("use a passkey")
		ann.press("My phone")
		ann.Awaits("My phone shows now")
		ann.Take("spa-login.png")
	}
	browsertest.Pictures(t, "spa-login.png")
}
