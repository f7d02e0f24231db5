package itest

import (
	"bytes"
	"encoding/base64"
	"errors"
	"flag"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"os/exec"
	"strings"
	"testing"

	"github.com/makiuchi-d/gozxing/qrcode/decoder"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/internal/qrtest"
)

// The long form: go test ./internal/itest -run ScanRandom -scans 2000.
var scans = flag.Int("scans", 20, "how many codes TestScanRandom reads")

// TestScan reads the image at the size of the PNG, as a page shows it, at twice that, as a
// screen of high density does, and at sizes between, as a narrow page does.
func TestScan(t *testing.T) {
	svc, err := mfa.New(mfa.Config{Store: new(mfa.MemoryStore)})
	if err != nil {
		t.Fatal(err)
	}
	lengths := map[string]int{"sturdiest": 512, "longest": 2541}
	for name, p := range map[string]mfa.TOTPParams{
		"shortest":  {Issuer: "a", User: "b", Secret: "GEZDGNBVGY3TQOJQGEZDGNBVGY"},
		"the guide": {Issuer: "Foo Corp", User: "alan.turing@foo-corp.com"},
		"sturdiest": {Issuer: strings.Repeat("界", 18), User: strings.Repeat("x", 64), Secret: strings.Repeat("GEZDGNBV", 11) + "GEZD"},
		"Thai":      {Issuer: "กองทุนการออมแห่งชาติไทย Ltd.", User: "somchai.long@example-corp.th"},
		"Cyrillic":  {Issuer: "Государственное бюджетное учреждение здравоохранения", User: "ivan@example.test"},
		"Japanese":  {Issuer: strings.Repeat("界", 64), User: strings.Repeat("界", 64)},
		"emoji":     {Issuer: strings.Repeat("🔑", 64), User: strings.Repeat("🔒", 64)},
		"longest":   {Issuer: strings.Repeat("𠮷", 64), User: strings.Repeat("𠮷", 64), Secret: strings.Repeat("GEZDGNBV", 25) + "GEZDG"},
		"escapes":   {Issuer: "ä & b?c#d", User: "100% +1/2"},
	} {
		t.Run(name, func(t *testing.T) {
			enr, err := svc.Enroll(t.Context(), mfa.EnrollParams{NoOwner: true, TOTP: &p})
			if err != nil {
				t.Fatal(err)
			}
			uri, data := enr.TOTP.URI(), enr.TOTP.QRCode()
			if n := lengths[name]; n > 0 && len(uri) != n {
				t.Fatalf("the %s URI has %d bytes, want %d", name, len(uri), n)
			}
			img := drawn(t, enr)
			t.Logf("a URI of %d bytes, %v pixels, a data URI of %d bytes", len(uri), img.Bounds().Size(), len(data))
			side := img.Bounds().Dx()
			for _, shown := range []image.Image{img, scaled(img, 2*side), scaled(img, side*13/10), scaled(img, side*7/10)} {
				if got := scan(t, shown); got != uri {
					t.Errorf("read %q, want %q", got, uri)
				}
			}
		})
	}
}

// TestScanRandom: no code is missed, whatever its modules happen to be.
func TestScanRandom(t *testing.T) {
	svc, err := mfa.New(mfa.Config{Store: new(mfa.MemoryStore)})
	if err != nil {
		t.Fatal(err)
	}
	for i := range *scans {
		user := strings.Repeat("x", i%52) + "@example.com" // all sizes
		enr, err := svc.Enroll(t.Context(), mfa.EnrollParams{NoOwner: true, TOTP: &mfa.TOTPParams{Issuer: "Foo Corp", User: user}})
		if err != nil {
			t.Fatal(err)
		}
		for _, shown := range []image.Image{drawn(t, enr), scaled(drawn(t, enr), 256)} { // as examples/webapp shows it
			if got := scan(t, shown); got != enr.TOTP.URI() {
				t.Fatalf("read %q, want %q", got, enr.TOTP.URI())
			}
		}
	}
}

// TestScanRefuses: a picture that a scanner can't read fails in tests, too.
func TestScanRefuses(t *testing.T) {
	svc, err := mfa.New(mfa.Config{Store: new(mfa.MemoryStore)})
	if err != nil {
		t.Fatal(err)
	}
	enr, err := svc.Enroll(t.Context(), mfa.EnrollParams{NoOwner: true, TOTP: &mfa.TOTPParams{Issuer: "Foo Corp", User: "alan"}})
	if err != nil {
		t.Fatal(err)
	}
	img := drawn(t, enr)
	const module, quiet = 4, 16 // pixels
	side := img.Bounds().Dx()
	n := side/module - 8
	// modules paints some of them, counted as the code does.
	modules := func(x, y, width, height int, level uint8) func(*image.Gray) image.Image {
		return func(g *image.Gray) image.Image {
			area := image.Rect(x, y, x+width, y+height)
			return paint(g, image.Rectangle{area.Min.Mul(module), area.Max.Mul(module)}.Add(image.Pt(quiet, quiet)), level)
		}
	}
	cut := func(r image.Rectangle) func(*image.Gray) image.Image {
		return func(g *image.Gray) image.Image { return g.SubImage(r) }
	}
	levels := func(of func(uint8) uint8) func(*image.Gray) image.Image {
		return func(g *image.Gray) image.Image {
			for i, level := range g.Pix {
				g.Pix[i] = of(level)
			}
			return g
		}
	}
	for name, tt := range map[string]struct {
		change func(*image.Gray) image.Image
		want   string
	}{
		"blank":                   {levels(func(uint8) uint8 { return 255 }), "nothing is dark"},
		"inverted":                {levels(func(l uint8) uint8 { return 255 - l }), "dimension"},
		"pale":                    {levels(func(l uint8) uint8 { return 160 + l/3 }), "nothing is dark"},
		"grey":                    {levels(func(l uint8) uint8 { return 100 + l/2 }), "level"},
		"no quiet zone":           {cut(img.Bounds().Inset(quiet)), "quiet zone"},
		"a narrow quiet zone":     {cut(img.Bounds().Inset(module)), "quiet zone"},
		"half of it":              {cut(image.Rect(0, 0, side, side/2)), "no square"},
		"a finder pattern lost":   {modules(0, n-7, 7, 7, 255), ""},
		"a hole in a finder":      {modules(3, 3, 1, 1, 255), "finder or timing"},
		"no line around a finder": {modules(n-8, 0, 1, 1, 0), "finder or timing"},
		"a timing module lost":    {modules(12, 6, 1, 1, 255), "timing"},
		"both timing patterns bent": {func(g *image.Gray) image.Image {
			return modules(12, 6, 1, 1, 255)(modules(6, 12, 1, 1, 255)(g).(*image.Gray))
		}, ""},
		"too much of it lost": {modules(9, 9, n-18, n-18, 255), "ChecksumException"},
		"half a module":       {func(g *image.Gray) image.Image { return paint(g, image.Rect(side/2, side/2, side/2+2, side/2+1), 128) }, "level"},
		"a mark beside it":    {func(g *image.Gray) image.Image { return paint(g, image.Rect(0, 0, 2, 2), 0) }, ""},
	} {
		text, err := qrtest.Read(t.Context(), tt.change(gray(img)), decode)
		if err == nil {
			t.Errorf("%s: read as %q", name, text)
		} else if !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := scan(t, gray(img)); got != enr.TOTP.URI() {
		t.Errorf("unchanged: %q", got)
	}
	if _, err := qrtest.Zbar(t.Context(), img); errors.Is(err, exec.ErrNotFound) {
		return
	}
	if _, err := qrtest.Read(t.Context(), img, func([][]bool) (string, error) { return "what zbarimg does not read", nil }); err == nil {
		t.Error("zbarimg was not asked")
	}
}

// drawn is the image of an enrolment.
func drawn(t *testing.T, enr mfa.Enrollment) image.Image {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(enr.TOTP.QRCode(), "data:image/png;base64,"))
	if err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func scan(t *testing.T, img image.Image) string {
	t.Helper()
	text, err := qrtest.Read(t.Context(), img, decode)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func decode(modules [][]bool) (string, error) {
	result, err := decoder.NewDecoder().DecodeBoolMapWithoutHint(modules)
	if err != nil {
		return "", err
	}
	return result.GetText(), nil
}

// scaled is the image as a browser scales it with "image-rendering: pixelated".
func scaled(img image.Image, to int) *image.Gray {
	large := image.NewGray(image.Rect(0, 0, to, to))
	from := img.Bounds().Dx()
	for y := range to {
		for x := range to {
			large.Set(x, y, img.At((2*x+1)*from/(2*to), (2*y+1)*from/(2*to)))
		}
	}
	return large
}

func gray(img image.Image) *image.Gray { return scaled(img, img.Bounds().Dx()) }

func paint(g *image.Gray, area image.Rectangle, level uint8) *image.Gray {
	draw.Draw(g, area, image.NewUniform(color.Gray{Y: level}), image.Point{}, draw.Src)
	return g
}
