package browsertest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/makiuchi-d/gozxing/qrcode/decoder"

	"github.com/authfactor/mfa/internal/qrtest"
)

// Look holds a page to what all of them keep, if the person is careful: what axe finds, nothing
// wider than the window, no script of its own.
func (p *Page) Look() {
	p.Helper()
	if !p.Careful {
		return
	}
	source, err := axe()
	if err != nil {
		Unless(p.T, err, "axe-core is needed, from npm: "+source)
	}
	found := Get(p, chromedp.Evaluate[string](source+`; axe.run(document, {resultTypes: ["violations"]}).then(r => JSON.stringify(
		r.violations.map(v => [v.id, v.help, v.nodes.map(n => n.html + " " + n.failureSummary)])))`, chromedp.EvalAwaitPromise))
	if found != "[]" {
		var pretty bytes.Buffer
		_ = json.Indent(&pretty, []byte(found), "", " ")
		p.Errorf("axe finds:\n%s", &pretty)
	}
	scripts, err := json.Marshal(append([]string{}, p.Scripts...))
	p.Must(err)
	for what, script := range map[string]string{
		"pixels too wide":         "document.documentElement.scrollWidth - window.innerWidth",
		"scripts within the page": fmt.Sprintf("[...document.scripts].filter(s => !%s.some(path => s.src === location.origin + path)).length", scripts),
	} {
		if n := Get(p, chromedp.Evaluate[int](script)); n > 0 {
			p.Errorf("%d %s:\n%s", n, what, p.Text())
		}
	}
}

// Size sets the width of the window, and whether it is dark: the scheme is "dark" or "light".
func (p *Page) Size(width int64, scheme string) {
	p.Helper()
	p.Do(chromedp.EmulateViewport(width, 800))
	Call(p, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	})
	if scheme == "dark" != Get(p, chromedp.Evaluate[bool](`matchMedia("(prefers-color-scheme: dark)").matches`)) {
		p.Errorf("it is not %s", scheme)
	}
}

// Scan reads the QR code off the screen, as an app does.
func (p *Page) Scan() string {
	p.Helper()
	// A screenshot of the image alone is wrong where a dialog lies above a page that is scrolled.
	at := Get(p, chromedp.Evaluate[[]float64](`(i => {
		i.scrollIntoView({block: "nearest"});
		const r = i.getBoundingClientRect();
		return [r.left, r.top, r.right, r.bottom].map(Math.round);
	})(document.querySelector("img.qr"))`))
	screen, err := png.Decode(bytes.NewReader(Get(p, chromedp.CaptureScreenshot())))
	p.Must(err)
	part, ok := screen.(interface {
		SubImage(image.Rectangle) image.Image
	})
	if !ok {
		p.Fatalf("the screen is a %T", screen)
	}
	img := part.SubImage(image.Rect(int(at[0]), int(at[1]), int(at[2]), int(at[3])))
	text, err := qrtest.Read(p.Context(), img, func(modules [][]bool) (string, error) {
		result, err := decoder.NewDecoder().DecodeBoolMapWithoutHint(modules)
		if err != nil {
			return "", err
		}
		return result.GetText(), nil
	})
	p.Must(err)
	return text
}

// images are those of the documentation, from the folder of an example.
var images = filepath.Join("..", "..", "docs", "images")

// Take takes a picture for the documentation.
func (p *Page) Take(name string) {
	p.Helper()
	p.Must(os.MkdirAll(images, 0o750))
	p.Must(os.WriteFile(filepath.Join(images, name), Get(p, chromedp.Screenshot(chromedp.CSS("body"))), 0o600))
}

// Pictures says whether those of the documentation are there.
func Pictures(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		picture, err := os.ReadFile(filepath.Join(images, name)) //nolint:gosec // of this repository
		if err != nil {
			t.Fatal(err)
		}
		img, err := png.Decode(bytes.NewReader(picture))
		if err != nil || len(picture) > 64<<10 || img.Bounds().Dx() < 300 {
			t.Errorf("%s: %d bytes, %v, %v", name, len(picture), img.Bounds(), err)
		}
	}
}

const axeVersion = "4.14.1"

// axe is the source of axe-core, which npm brings once.
var axe = sync.OnceValues(func() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	file := filepath.Join(cache, "mfa-test-axe-core-"+axeVersion, "package", "axe.min.js")
	if source, err := os.ReadFile(file); err == nil { //nolint:gosec // of the person's own cache
		return string(source), nil
	}
	dir, err := os.MkdirTemp("", "axe")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	for _, args := range [][]string{
		{"npm", "pack", "--silent", "axe-core@" + axeVersion}, {"tar", "-xzf", "axe-core-" + axeVersion + ".tgz", "package/axe.min.js"},
	} {
		cmd := exec.CommandContext(context.Background(), args[0], args[1:]...) //nolint:gosec // these two
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			return string(out), err
		}
	}
	source, err := os.ReadFile(filepath.Join(dir, "package", "axe.min.js")) //nolint:gosec // just made
	if err == nil && os.MkdirAll(filepath.Dir(file), 0o700) == nil {        // two at once write the same
		_ = os.WriteFile(file, source, 0o600)
	}
	return string(source), err
})
