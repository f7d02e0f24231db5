// Package qrtest reads the QR codes of tests without guessing: the modules are
// sampled from the picture as it was drawn, and what a scanner relies on has to be
// there. A reader that searches, as one for photographs does, takes chance modules for
// a corner in about one picture of thirty.
package qrtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"os/exec"
	"strings"
)

const (
	finder    = 7 // modules
	quietZone = 4 // modules; ISO/IEC 18004 section 5.3.8
)

// Read returns the text of a picture that shows one QR code: decode's, which is given
// the modules by row and column, dark ones as true. zbarimg, an independent scanner,
// must read the same. Where it is not installed the picture is not shown to it, which is
// an error if MFA_TEST_SERVERS is "required".
func Read(ctx context.Context, img image.Image, decode func([][]bool) (string, error)) (string, error) {
	modules, err := Modules(img)
	if err != nil {
		return "", err
	}
	text, err := decode(modules)
	if err != nil {
		return "", err
	}
	scanned, err := Zbar(ctx, img)
	switch {
	case errors.Is(err, exec.ErrNotFound) && os.Getenv("MFA_TEST_SERVERS") != "required":
		return text, nil
	case err != nil:
		return "", err
	case scanned != text:
		return "", fmt.Errorf("qrtest: zbarimg reads %q, and the modules are %q", scanned, text)
	}
	return text, nil
}

// Modules returns the modules of the QR code that a picture shows upright, on white,
// at any whole or fractional size from two pixels a module. It is an error if a module
// is not of one colour, dark or light, or if the quiet zone, a finder pattern or a
// timing pattern is not as ISO/IEC 18004 has it.
func Modules(img image.Image) ([][]bool, error) {
	p := picture{img}
	box := p.dark()
	if box.Empty() {
		return nil, errors.New("qrtest: nothing is dark")
	}
	if box.Dx() != box.Dy() {
		return nil, fmt.Errorf("qrtest: what is dark is no square, but %v", box)
	}
	n, err := p.dimension(box)
	if err != nil {
		return nil, err
	}
	size := float64(box.Dx()) / float64(n)
	for _, margin := range []int{
		box.Min.X - img.Bounds().Min.X, box.Min.Y - img.Bounds().Min.Y,
		img.Bounds().Max.X - box.Max.X, img.Bounds().Max.Y - box.Max.Y,
	} {
		// A scaled picture's edges lie within pixels.
		if float64(margin) < quietZone*size-1 {
			return nil, fmt.Errorf("qrtest: a quiet zone of %d pixels, at %.1f a module", margin, size)
		}
	}
	modules := make([][]bool, n)
	for y := range n {
		modules[y] = make([]bool, n)
		for x := range n {
			if modules[y][x], err = p.module(within(box.Min.X, x, size), within(box.Min.Y, y, size)); err != nil {
				return nil, err
			}
		}
	}
	return modules, checkPatterns(modules)
}

type picture struct{ image.Image }

func (p picture) level(x, y int) uint8 { return color.GrayModel.Convert(p.At(x, y)).(color.Gray).Y }

// dark returns the smallest rectangle that holds all dark pixels.
func (p picture) dark() (box image.Rectangle) {
	for y := p.Bounds().Min.Y; y < p.Bounds().Max.Y; y++ {
		for x := p.Bounds().Min.X; x < p.Bounds().Max.X; x++ {
			if p.level(x, y) < 128 {
				box = box.Union(image.Rect(x, y, x+1, y+1))
			}
		}
	}
	return box
}

// dimension counts the modules of a side by the timing patterns, which lie between the
// finder patterns and change with each module.
func (p picture) dimension(box image.Rectangle) (int, error) {
	corner := 0 // the side of a finder pattern, in pixels
	for corner < box.Dx() && p.level(box.Min.X+corner, box.Min.Y) < 128 {
		corner++
	}
	at := corner * (2*finder - 1) / (2 * finder) // the middle of its last module
	across, down := 1, 1
	for i := 1; i < box.Dx(); i++ {
		if y := box.Min.Y + at; p.level(box.Min.X+i-1, y) < 128 != (p.level(box.Min.X+i, y) < 128) {
			across++
		}
		if x := box.Min.X + at; p.level(x, box.Min.Y+i-1) < 128 != (p.level(x, box.Min.Y+i) < 128) {
			down++
		}
	}
	n := across + 2*(finder-1)
	switch {
	case across != down:
		return 0, fmt.Errorf("qrtest: timing patterns of %d and %d changes", across, down)
	case n < 21 || n > 177 || n%4 != 1:
		return 0, fmt.Errorf("qrtest: a timing pattern for a dimension of %d", n)
	case box.Dx() < 2*n:
		return 0, fmt.Errorf("qrtest: %d pixels for %d modules", box.Dx(), n)
	}
	return n, nil
}

// within returns the pixels from and to, not included, that lie in a module altogether:
// all of them where modules are whole pixels, or else those that are half a pixel away from
// its edges, as the box is known no better.
func within(begin, module int, size float64) [2]int {
	slack := 0.5
	if size == float64(int(size)) {
		slack = 0
	}
	from, to := float64(module)*size+slack, float64(module+1)*size-slack
	first := int(from)
	if float64(first) < from {
		first++
	}
	return [2]int{begin + first, begin + max(int(to), first+1)}
}

func (p picture) module(xs, ys [2]int) (dark bool, err error) {
	first := p.level(xs[0], ys[0])
	dark = first < 64
	for y := ys[0]; y < ys[1]; y++ {
		for x := xs[0]; x < xs[1]; x++ {
			if l := p.level(x, y); dark && l >= 64 || !dark && l <= 192 {
				return false, fmt.Errorf("qrtest: pixel (%d, %d) has a level of %d, and (%d, %d) of the same module %d", x, y, l, xs[0], ys[0], first)
			}
		}
	}
	return dark, nil
}

// checkPatterns compares the finder patterns, with the light line around them, and the
// timing patterns, which a scanner finds the code by.
func checkPatterns(modules [][]bool) error {
	n := len(modules)
	for y := range n {
		for x := range n {
			// The distance from the middle of the finder pattern of this corner.
			fx, fy := min(x, n-1-x), min(y, n-1-y)
			inCorner := fx <= finder && fy <= finder && (x <= finder || y <= finder)
			d := max(abs(fx-finder/2), abs(fy-finder/2))
			var want bool
			switch {
			case inCorner:
				want = d != 2 && d != 4
			case x == finder-1 || y == finder-1:
				want = (x+y)%2 == 0
			default:
				continue
			}
			if modules[y][x] != want {
				return fmt.Errorf("qrtest: module (%d, %d) breaks a finder or timing pattern", x, y)
			}
		}
	}
	return nil
}

func abs(n int) int { return max(n, -n) }

// Zbar returns what zbarimg reads. The error is exec.ErrNotFound where that is not
// installed.
func Zbar(ctx context.Context, img image.Image) (string, error) {
	path, err := exec.LookPath("zbarimg")
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "qrtest")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	var file, complaint bytes.Buffer
	if err := png.Encode(&file, img); err != nil {
		return "", err
	}
	name := dir + "/code.png"
	if err := os.WriteFile(name, file.Bytes(), 0o600); err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, path, "--quiet", "--raw", "-Sdisable", "-Sqrcode.enable", name) //nolint:gosec // zbarimg of the PATH, and a file of our own
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("qrtest: zbarimg reads nothing: %w %s", err, complaint.String())
	}
	return strings.TrimSuffix(string(out), "\n"), nil
}
