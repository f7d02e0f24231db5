package main

import (
	"context"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/authfactor/mfa/examples/internal/browsertest"
	"github.com/authfactor/mfa/mfatest"
)

func TestMain(m *testing.M) { browsertest.Main(m) }

const (
	ann      = "ann@example.com"
	chief    = "chief@example.com" // who must have a second factor
	phone    = "+15005550006"
	password = "correct horse battery staple"
)

// A site is the application, run in this process with a clock that stands still.
type site struct {
	*testing.T
	url    string
	clock  *mfatest.Clock
	stderr *browsertest.Output
}

func start(t *testing.T) *site {
	t.Helper()
	s := &site{T: t, clock: new(mfatest.Clock), stderr: new(browsertest.Output)}
	ready, ended := make(chan string, 1), make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	o := options{
		addr: "127.0.0.1:0", dev: true, stderr: s.stderr, now: s.clock.Now,
		ready: func(url string) { ready <- url },
	}
	go func() { ended <- run(ctx, o) }()
	select {
	case s.url = <-ready:
	case err := <-ended:
		cancel()
		t.Fatalf("it did not start: %v\n%s", err, s.stderr)
	}
	t.Cleanup(sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}))
	return s
}

var sixDigits = regexp.MustCompile(`\b\d{6}\b`)

// letters are the texts that were sent to somebody, oldest first.
func (s *site) letters(to string) []string {
	var letters []string
	for line := range strings.Lines(s.stderr.String()) {
		if text, ok := strings.CutPrefix(line, "to "+to+": "); ok {
			letters = append(letters, strings.TrimSpace(text))
		}
	}
	return letters
}

// message is the code of the last one that was sent to the phone.
func (s *site) message() string {
	s.Helper()
	all := s.letters(phone)
	if len(all) == 0 {
		s.Fatal("nothing was sent")
	}
	return sixDigits.FindString(all[len(all)-1])
}

// A person sits in front of a browser.
type person struct {
	*browsertest.Page
	site  *site
	email string
	uri   string   // that their app scanned
	codes []string // on paper
}

// person opens a browser.
func (s *site) person(email string) *person {
	s.Helper()
	p := &person{Page: browsertest.Open(s.T), site: s, email: email}
	p.Scripts = []string{"/login.js", "/account.js"}
	p.Strict()
	return p
}

// tab opens one more in the same browser.
func (p *person) tab() *person {
	p.Helper()
	tab := *p
	tab.Page = p.Tab()
	tab.Strict()
	return &tab
}

func (p *person) open(path string) { p.Helper(); p.Load(chromedp.Navigate(p.site.url + path)) }

// part is where the person can act: in the dialog, if there is one.
func (p *person) part() string {
	p.Helper()
	if browsertest.Get(p.Page, chromedp.Evaluate[bool](`Boolean(document.querySelector("dialog[open]"))`)) {
		return "dialog"
	}
	return "main"
}

// ready waits until the page has done what it was doing, or asks.
func (p *person) ready() {
	p.Helper()
	p.Until(`document.querySelector("dialog[open]") || !document.querySelector("[aria-busy=true]")`)
}

// press presses the button that is called so.
func (p *person) press(name string) {
	p.Helper()
	p.ready()
	p.Do(chromedp.Click(browsertest.Named(p.part(), name), chromedp.NodeVisible))
}

// fill types into the field with this name.
func (p *person) fill(name, text string) {
	p.Helper()
	p.Fill(p.part()+" [name="+name+"]", text)
}

// login types the password; what is seen then is the next.
func (p *person) login(next ...string) {
	p.Helper()
	p.open("/login")
	p.types(next...)
}

// types is what follows on the login page.
func (p *person) types(next ...string) {
	p.Helper()
	p.Awaits("E-mail address")
	p.fill("email", p.email)
	p.fill("password", password)
	p.press("Log in")
	p.Awaits(next...)
}

func (p *person) logout() {
	p.Helper()
	p.ready()
	p.Do(chromedp.Click(browsertest.Named("header", "Log out"), chromedp.NodeVisible))
	p.Awaits("E-mail address")
}

// code is what the person's app shows next; each is accepted once.
func (p *person) code() string {
	p.site.clock.Advance(30 * time.Second)
	return mfatest.Code(p.uri, p.site.clock.Now())
}

// answer types a code.
func (p *person) answer(code string, next ...string) {
	p.Helper()
	p.fill("code", code)
	button := "Continue"
	if !p.Says(button) {
		button = "Confirm"
	}
	p.press(button)
	p.Awaits(next...)
}

// name gives the factor that is added a name.
func (p *person) name(name string, next ...string) {
	p.Helper()
	p.Awaits("Name (optional)")
	p.fill("name", name)
	p.press("Continue")
	p.Awaits(next...)
}

// scan reads the QR code off the screen.
func (p *person) scan() { p.Helper(); p.Awaits("scan this code"); p.uri = p.Scan() }

var recoveryCode = regexp.MustCompile(`\b(?:[0-9A-Z]{4}-){5}[0-9A-Z]{4}\b`)

// keep writes the recovery codes down.
func (p *person) keep() {
	p.Helper()
	p.Awaits("Your recovery codes")
	p.codes = recoveryCode.FindAllString(p.Text(), -1)
	if len(p.codes) != 10 {
		p.Fatalf("%d recovery codes:\n%s", len(p.codes), p.Text())
	}
	p.press("I have kept them")
}

// member is somebody who is logged in, with an app and recovery codes.
func (s *site) member(email string) *person {
	s.Helper()
	p := s.person(email)
	p.login("Your account", "None yet")
	p.addApp()
	return p
}

// addApp adds the first factor.
func (p *person) addApp() {
	p.Helper()
	p.press("Add an app")
	p.name("My phone")
	p.scan()
	p.answer(p.code())
	p.keep()
	p.Awaits("Added: My phone", "10 left")
}
