package main

import (
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/chromedp"

	"github.com/authfactor/mfa/examples/internal/browsertest"
)

func TestMain(m *testing.M) { browsertest.Main(m) }

// A person sits in front of a browser.
type person struct {
	*browsertest.Page
	site  *site
	email string
	uri   string   // that their app scanned
	codes []string // on paper
}

const password = "correct horse battery staple"

// person opens a browser.
func (s *site) person(t *testing.T, email string) *person {
	t.Helper()
	p := &person{Page: browsertest.Open(t), site: s, email: email}
	p.Scripts = []string{"/passkey.js", "/otp.js"}
	return p
}

// do runs what has to be done in time.
func (p *person) do(actions ...chromedp.Action[chromedp.Void]) { p.Helper(); p.Do(actions...) }

// get is do for what has a result.
func get[T any](p *person, action chromedp.Action[T]) T {
	p.Helper()
	return browsertest.Get(p.Page, action)
}

// call gives a command to the browser.
func call[P, R any](p *person, command cdp.Command[P, R], params P) R {
	p.Helper()
	return browsertest.Call(p.Page, command, params)
}

func (p *person) open(path string) int {
	p.Helper()
	return p.Load(chromedp.Navigate(p.site.url + path))
}

// press presses the button, or follows the link, that is called so.
func (p *person) press(name string) int { p.Helper(); return p.pressIn("main", name) }

// menu is press at the top of the page.
func (p *person) menu(name string) int { p.Helper(); return p.pressIn("header", name) }

func (p *person) pressIn(part, name string) int {
	p.Helper()
	return p.Load(chromedp.Click(browsertest.Named(part, name), chromedp.NodeReady))
}

// fill types into the field with this name.
func (p *person) fill(name, text string) { p.Helper(); p.Fill("main [name="+name+"]", text) }

// text is what the page says.
func (p *person) text() string { return p.Text() }

// sees says that the page has each of the texts.
func (p *person) sees(texts ...string) { p.Helper(); p.Sees(texts...) }

// session is the id of the session that the browser has.
func (p *person) session() string { p.Helper(); return p.cookie("session") }

func (p *person) cookie(name string) string { p.Helper(); return p.Cookie(p.site.url, name) }
