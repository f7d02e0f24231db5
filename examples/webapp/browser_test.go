package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// chromium is one process for all tests; each test has browsers of its own in it, which
// share no cookies. It is nil if there is none.
var chromium context.Context

func TestMain(m *testing.M) {
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

// A person sits in front of a browser.
type person struct {
	*testing.T
	site  *site
	ctx   context.Context
	email string
	uri   string   // that their app scanned
	codes []string // on paper

	careful bool // looks at each page with axe
}

const password = "correct horse battery staple"

// person opens a browser.
func (s *site) person(t *testing.T, email string) *person {
	t.Helper()
	if chromium == nil {
		unless(t, errors.New("it is not there, or does not start"), "Chromium is needed")
	}
	ctx, cancel := chromedp.NewContext(chromium, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	p := &person{T: t, site: s, ctx: ctx, email: email}
	p.must(chromedp.Do(ctx))
	return p
}

func (p *person) must(err error) {
	p.Helper()
	if err != nil {
		p.Fatalf("%v\non the page:\n%s", err, p.text())
	}
}

// do runs what has to be done in time.
func (p *person) do(actions ...chromedp.Action[chromedp.Void]) {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	p.must(chromedp.Do(ctx, actions...))
}

// get is do for what has a result.
func get[T any](p *person, action chromedp.Action[T]) T {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	result, err := chromedp.Run(ctx, action)
	p.must(err)
	return result
}

// load does what leads to another page, waits for that, and gives its status.
func (p *person) load(actions ...chromedp.Action[chromedp.Void]) int {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	r, err := chromedp.RunResponse(ctx, actions...)
	p.must(err)
	p.lookAt()
	return int(r.Status)
}

func (p *person) open(path string) int {
	p.Helper()
	return p.load(chromedp.Navigate(p.site.url + path))
}

// press presses the button, or follows the link, that is called so.
func (p *person) press(name string) int { p.Helper(); return p.pressIn("main", name) }

// menu is press at the top of the page.
func (p *person) menu(name string) int { p.Helper(); return p.pressIn("header", name) }

func (p *person) pressIn(part, name string) int {
	p.Helper()
	xpath := fmt.Sprintf(`//%s//*[self::button or self::a][normalize-space()="%[2]s" or @aria-label="%[2]s"]`, part, name)
	return p.load(chromedp.Click(xpath, chromedp.NodeReady))
}

// fill types into the field with this name.
func (p *person) fill(name, text string) {
	p.Helper()
	get(p, chromedp.Evaluate[bool](`(f => { f.focus(); f.select(); return true })(document.querySelector("main [name=`+name+`]"))`))
	p.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, input.InsertText, input.InsertTextParams{Text: text})
		return err
	}))
}

// text is what the page says.
func (p *person) text() string {
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string]("document.body.innerText"))
	if err != nil {
		return err.Error()
	}
	return text
}

// sees says that the page has each of the texts.
func (p *person) sees(texts ...string) {
	p.Helper()
	on := strings.Join(strings.Fields(p.text()), " ")
	for _, text := range texts {
		if !strings.Contains(on, text) {
			p.Fatalf("the page lacks %q:\n%s", text, p.text())
		}
	}
}

// session is the id of the session that the browser has.
func (p *person) session() string {
	p.Helper()
	return p.cookie("session")
}

func (p *person) cookie(name string) string {
	p.Helper()
	value := ""
	p.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		got, err := cdp.Call(ctx, t, network.GetCookies, network.GetCookiesParams{URLs: []string{p.site.url}})
		for _, c := range got.Cookies {
			if c.Name == name {
				value = c.Value
			}
			if !c.HTTPOnly || c.SameSite == "" {
				p.Errorf("the cookie %s: %+v", c.Name, c)
			}
		}
		return err
	}))
	return value
}

// lookAt holds a page to what all of them keep: what axe finds, nothing wider than the
// window, no script of its own.
func (p *person) lookAt() {
	p.Helper()
	if !p.careful {
		return
	}
	source, err := axe()
	if err != nil {
		unless(p.T, err, "axe-core is needed, from npm: "+source)
	}
	found := get(p, chromedp.Evaluate[string](source+`; axe.run(document, {resultTypes: ["violations"]}).then(r => JSON.stringify(
		r.violations.map(v => [v.id, v.help, v.nodes.map(n => n.html + " " + n.failureSummary)])))`, chromedp.EvalAwaitPromise))
	if found != "[]" {
		var pretty bytes.Buffer
		_ = json.Indent(&pretty, []byte(found), "", " ")
		p.Errorf("axe finds:\n%s", &pretty)
	}
	for what, script := range map[string]string{"pixels too wide": "document.documentElement.scrollWidth - window.innerWidth", "scripts within the page": "[...document.scripts].filter(s => s.src !== location.origin + \"/passkey.js\").length"} {
		if n := get(p, chromedp.Evaluate[int](script)); n > 0 {
			p.Errorf("%d %s:\n%s", n, what, p.text())
		}
	}
}

// looks sets the width of the window, and whether it is dark.
func (p *person) looks(width int64, scheme string) {
	p.Helper()
	p.do(chromedp.EmulateViewport(width, 800), chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		return err
	}))
}
