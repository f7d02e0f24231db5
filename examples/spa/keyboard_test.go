package main

import (
	"fmt"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/authfactor/mfa/examples/internal/browsertest"
)

// keys presses keys, one after the other, wherever the focus is.
func (p *person) keys(keys string) { p.Helper(); p.Do(chromedp.KeyEvent(keys)) }

// has waits until something has the focus: a field, by its name, a button, by what it is called,
// or a heading.
func (p *person) has(name string) {
	p.Helper()
	p.Until(fmt.Sprintf(`(e => [e.name, e.ariaLabel, e.textContent.trim()].includes(%q))(document.activeElement)`, name))
	p.Look()
}

// focus is what has the focus, by what it is called.
func (p *person) focus() string {
	p.Helper()
	return browsertest.Get(p.Page, chromedp.Evaluate[string](
		`(e => e.ariaLabel || e.textContent.trim())(document.activeElement)`))
}

// tabs presses Tab until something has the focus.
func (p *person) tabs(name string) {
	p.Helper()
	for range 40 {
		p.keys(kb.Tab)
		if p.focus() == name {
			return
		}
	}
	p.Fatalf("Tab does not come to %q:\n%s", name, p.Text())
}

// TestKeyboard: without a mouse she logs in, adds an app, keeps the recovery codes, pays, and
// logs in with her code. The focus is where she goes on.
func TestKeyboard(t *testing.T) {
	t.Parallel()
	s := start(t)
	ann := s.person(ann)
	ann.open("/login")
	ann.has("email")
	ann.keys(ann.email + kb.Tab + password + kb.Enter)
	ann.Awaits("None yet")

	ann.tabs("Add an app")
	ann.keys(kb.Enter)
	ann.has("name")
	ann.keys(kb.Escape)
	ann.has("Add an app")
	ann.keys(kb.Enter)
	ann.has("name")
	ann.keys("My phone" + kb.Enter)
	ann.scan()
	ann.has("code")
	ann.keys("000000" + kb.Enter)
	ann.Awaits("You have 4 tries left")
	ann.has("code") // and what was typed is selected
	ann.keys(ann.code() + kb.Enter)
	ann.has("Your recovery codes")
	for range 3 { // nothing: they are not shown again
		ann.keys(kb.Escape)
	}
	ann.has("Your recovery codes")
	ann.tabs("I have kept them")
	ann.codes = recoveryCode.FindAllString(ann.Text(), -1)
	ann.keys(kb.Enter)
	ann.Awaits("Added: My phone")
	ann.has("Add an app")

	ann.tabs("Send")
	ann.keys(kb.Enter)
	ann.has("code")
	ann.tabs("Recovery code")
	ann.keys(" ")
	ann.Awaits("one of your recovery codes")
	ann.has("code")
	ann.keys(ann.codes[0] + kb.Enter)
	ann.Awaits("Done: send 100 EUR to Bob.")
	ann.has("Send")

	ann.tabs("Rename My phone")
	ann.keys(kb.Enter)
	ann.has("name")
	ann.keys("Old phone" + kb.Enter)
	ann.Awaits("It has another name")
	ann.has("Your account") // the button is called otherwise now
	ann.tabs("Log out")
	ann.keys(kb.Enter)
	ann.has("email")

	ann.keys(ann.email + kb.Tab + password + kb.Enter)
	ann.has("code")
	ann.keys(ann.code() + kb.Enter)
	ann.Awaits("Your account", "Old phone")
}
