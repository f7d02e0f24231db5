// Package browsertest is Chromium for the tests of the examples: windows that people sit in front
// of, what axe finds in them, and authenticators for passkeys. Without Chromium such tests skip,
// and fail where MFA_TEST_SERVERS is "required".
package browsertest

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// Patience is for what is to happen at once, on a machine that is busy.
const Patience = 60 * time.Second

// chromium is one process for all tests of a package; each test has browsers of its own in it,
// which share no cookies. It is nil if there is none.
var chromium context.Context

// Main is TestMain: it has Chromium while the tests run.
func Main(m *testing.M) {
	flag.Parse()
	stop := func() {}
	if program := chromiumPath(); program != "" {
		options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(program))
		if os.Getuid() == 0 {
			options = append(options, chromedp.NoSandbox)
		}
		alloc, end := chromedp.NewExecAllocator(context.Background(), options...)
		ctx, cancel := chromedp.NewContext(alloc)
		stop = func() { cancel(); end() }
		if err := chromedp.Do(ctx); err != nil {
			fmt.Fprintln(os.Stderr, program, err)
		} else {
			chromium = ctx
		}
	}
	code := m.Run()
	stop()
	os.Exit(code)
}

// chromiumPath finds one: first the one without windows, which takes a third of the time.
func chromiumPath() string {
	for _, name := range []string{"chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// Unless skips a test that wants something that is not there; where all of it has to be
// there, the test fails.
func Unless(t *testing.T, err error, what string) {
	t.Helper()
	switch {
	case err == nil:
	case os.Getenv("MFA_TEST_SERVERS") == "required":
		t.Fatalf("%s: %v", what, err)
	default:
		t.Skipf("%s: %v", what, err)
	}
}

// A Page is a window of a browser.
type Page struct {
	*testing.T

	// Careful holds what is looked at to what [Page.Look] wants.
	Careful bool

	// Scripts are the paths of the only scripts that pages may have.
	Scripts []string

	ctx context.Context
}

// Open opens a browser, with no cookies.
func Open(t *testing.T) *Page {
	t.Helper()
	if chromium == nil {
		Unless(t, errors.New("it is not there, or does not start"), "Chromium is needed")
	}
	return window(t, chromium, chromedp.WithNewBrowserContext())
}

// Tab opens another window of the same browser, with its cookies.
func (p *Page) Tab() *Page {
	p.Helper()
	tab := window(p.T, p.ctx)
	tab.Careful, tab.Scripts = p.Careful, p.Scripts
	return tab
}

func window(t *testing.T, in context.Context, options ...chromedp.ContextOption) *Page {
	t.Helper()
	ctx, cancel := chromedp.NewContext(in, options...)
	t.Cleanup(cancel)
	p := &Page{T: t, ctx: ctx}
	p.Must(chromedp.Do(ctx))
	return p
}

// Strict fails the test where a script of the page throws or complains, and where the policy of
// the page refuses something. That a request was refused is no complaint.
func (p *Page) Strict() {
	ctx, cancel := context.WithCancel(p.ctx)
	messages, complaints := chromedp.Console(ctx), make(chan []string)
	go func() {
		var all []string
		for m, err := range messages {
			if err != nil {
				break
			}
			if (m.IsException() || m.Type == chromedp.ConsoleError) && m.Source != "network" {
				all = append(all, m.String())
			}
		}
		complaints <- all
	}()
	p.Cleanup(func() {
		cancel()
		for _, text := range <-complaints {
			p.Error("the page complains: " + text)
		}
	})
}

// Must ends the test with an error, and shows the page.
func (p *Page) Must(err error) {
	p.Helper()
	if err != nil {
		p.Fatalf("%v\non the page:\n%s", err, p.Text())
	}
}

// Do runs what has to be done in time.
func (p *Page) Do(actions ...chromedp.Action[chromedp.Void]) {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, Patience)
	defer cancel()
	p.Must(chromedp.Do(ctx, actions...))
}

// Get is Do for what has a result.
func Get[T any](p *Page, action chromedp.Action[T]) T {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, Patience)
	defer cancel()
	result, err := chromedp.Run(ctx, action)
	p.Must(err)
	return result
}

// Call gives a command to the browser.
func Call[P, R any](p *Page, command cdp.Command[P, R], params P) (result R) {
	p.Helper()
	p.Do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) (err error) {
		result, err = cdp.Call(ctx, t, command, params)
		return err
	}))
	return result
}

// Load does what leads to another page, waits for that, and gives its status.
func (p *Page) Load(actions ...chromedp.Action[chromedp.Void]) int {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, Patience)
	defer cancel()
	r, err := chromedp.RunResponse(ctx, actions...)
	p.Must(err)
	p.Look()
	return int(r.Status)
}

// Named is the XPath of the button or the link of a part of the page that is called so.
func Named(part, name string) string {
	return fmt.Sprintf(`//%s//*[self::button or self::a][@aria-label="%[2]s" or not(@aria-label) and normalize-space()="%[2]s"]`, part, name)
}

// Fill types into the field that a CSS selector finds, in the place of what is there.
func (p *Page) Fill(selector, text string) {
	p.Helper()
	Get(p, chromedp.Evaluate[bool](fmt.Sprintf(`(f => { f.focus(); f.select(); return true })(document.querySelector(%q))`, selector)))
	Call(p, input.InsertText, input.InsertTextParams{Text: text})
}

// Text is what the page says.
func (p *Page) Text() string {
	ctx, cancel := context.WithTimeout(p.ctx, Patience)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string]("document.body.innerText"))
	if err != nil {
		return err.Error()
	}
	return text
}

// Says reports whether the page says a text, with any white space.
func (p *Page) Says(text string) bool {
	return strings.Contains(strings.Join(strings.Fields(p.Text()), " "), text)
}

// Sees says that the page has each of the texts.
func (p *Page) Sees(texts ...string) {
	p.Helper()
	for _, text := range texts {
		if !p.Says(text) {
			p.Fatalf("the page lacks %q:\n%s", text, p.Text())
		}
	}
}

// Awaits is Sees for what a script of the page will show.
func (p *Page) Awaits(texts ...string) {
	p.Helper()
	for _, text := range texts {
		for begin := time.Now(); !p.Says(text) && time.Since(begin) < Patience; {
			time.Sleep(20 * time.Millisecond)
		}
		p.Sees(text)
	}
	p.Look()
}

// Until waits until an expression of JavaScript is true, on this page or on one that it leads to.
func (p *Page) Until(expression string) {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, Patience)
	defer cancel()
	for {
		is, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`Boolean(`+expression+`)`))
		switch {
		case is:
			return
		case ctx.Err() != nil:
			p.Must(fmt.Errorf("%s: %w", expression, errors.Join(ctx.Err(), err)))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Cookie is the value of one that the browser has for a site, "" for none.
func (p *Page) Cookie(url, name string) string {
	p.Helper()
	value := ""
	for _, c := range Call(p, network.GetCookies, network.GetCookiesParams{URLs: []string{url}}).Cookies {
		if c.Name == name {
			value = c.Value
		}
		if !c.HTTPOnly || c.SameSite == "" {
			p.Errorf("the cookie %s: %+v", c.Name, c)
		}
	}
	return value
}
