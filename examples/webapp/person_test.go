package main

import (
	"regexp"
	"strings"
	"sync"
	"testing"
)

// scan reads the QR code off the screen, as an app does.
func (p *person) scan() { p.Helper(); p.uri = p.Scan() }

// code is what the person's app shows.
func (p *person) code() string { return p.site.next(p.uri) }

// signUp makes the account, and logs in.
func (p *person) signUp() {
	p.Helper()
	p.open("/signup")
	p.fill("email", p.email)
	p.press("Send me a link")
	p.sees("Look into your mail")
	p.open(mailed.FindStringSubmatch(p.site.last(p.T, p.email))[1])
	p.fill("password", password)
	p.press("Set password")
	p.login()
	p.sees("Your account")
}

// login types the password.
func (p *person) login() int {
	p.Helper()
	p.open("/login")
	p.fill("email", p.email)
	p.fill("password", password)
	return p.press("Log in")
}

// answer types a code.
func (p *person) answer(code string) int {
	p.Helper()
	p.fill("code", code)
	return p.press("Continue")
}

// addApp turns on an app, with the code that is asked for if there is a factor.
func (p *person) addApp(name string) {
	p.Helper()
	p.open("/account")
	p.press("Add an app")
	p.nameApp(name)
}

// nameApp is what follows once the app is to be added, or replaced.
func (p *person) nameApp(name string) {
	p.Helper()
	p.fill("name", name)
	p.press("Continue")
	if strings.Contains(p.text(), "Type your code") {
		p.answer(p.code())
	}
	p.scan()
	p.fill("code", p.code())
	p.press("Confirm")
}

// logout ends the session.
func (p *person) logout() {
	p.Helper()
	p.menu("Log out")
	p.sees("You are logged out")
}

// withApp is somebody with an app, who is not logged in.
func withApp(t *testing.T, s *site, email string) *person {
	t.Helper()
	p := s.person(t, email)
	p.uri, p.codes = s.member(t, email)
	return p
}

// enter logs in with the app.
func (p *person) enter() {
	p.Helper()
	p.login()
	p.answer(p.code())
	p.sees("Your account")
}

var hashed = sync.OnceValue(func() string { return hashPassword(password) })

// recovery are the codes on the page.
func (p *person) recovery() []string {
	p.Helper()
	p.sees("Your recovery codes")
	codes := regexp.MustCompile(`\b(?:[0-9A-Z]{4}-){5}[0-9A-Z]{4}\b`).FindAllString(p.text(), -1)
	if len(codes) != 10 {
		p.Fatalf("%d recovery codes:\n%s", len(codes), p.text())
	}
	return codes
}
