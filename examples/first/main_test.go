package main

import (
	"fmt"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/authfactor/mfa/examples/internal/browsertest"
	"github.com/authfactor/mfa/mfatest"
)

func TestMain(m *testing.M) { browsertest.Main(m) }

// TestFirst is what a newcomer does with the program: log in, add an app, and log in with it.
func TestFirst(t *testing.T) {
	handler, err := newSite()
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	p := browsertest.Open(t)
	p.Strict()
	url := strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
	submit := func(form, text string) {
		t.Helper()
		p.Until(fmt.Sprintf("!document.getElementById(%q).hidden", form))
		p.Fill("#"+form+" input", text)
		p.Do(chromedp.Click("#" + form + " button"))
	}
	open := func() { p.Do(chromedp.Navigate(url)) }

	open()
	submit("login", "wrong")
	p.Awaits("That is not the password.")
	submit("login", "secret")
	p.Awaits("You are logged in.", "Add an app")
	p.Do(chromedp.Click("#in button"))
	p.Awaits("Code")
	p.Until(`document.querySelector("img").src.startsWith("data:image/png")`)
	app := p.Scan()
	submit("ask", mfatest.Code(app, time.Now()))
	p.Awaits("You are logged in.", "Keep these recovery codes: ")
	if p.Says("Add an app") {
		t.Error("it offers an app again")
	}

	open()
	submit("login", "secret")
	p.Awaits("Code")
	if p.Says("You are logged in.") {
		t.Error("in with the password alone")
	}
	submit("ask", "000000")
	p.Awaits("That code is not right")
	submit("ask", mfatest.Code(app, time.Now().Add(30*time.Second))) // each is good once
	p.Awaits("You are logged in.")
}

// TestShort: whoever reads README reads all of it.
func TestShort(t *testing.T) {
	text, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), "\n"); n > 140 {
		t.Errorf("main.go has %d lines, and at most 140 are wanted", n)
	}
}
