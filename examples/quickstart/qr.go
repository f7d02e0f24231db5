package main

import (
	"encoding/base64"
	"errors"
	"fmt"
	"image/png"
	"io"
	"strings"
)

// blocks are the characters of two modules, the upper and the lower one: dark?
var blocks = map[[2]bool]string{{false, false}: " ", {true, false}: "▀", {false, true}: "▄", {true, true}: "█"}

// drawQR draws the QR code of a data URI with half blocks: two modules a line, one
// a column.
func drawQR(w io.Writer, dataURI string, colour bool) error {
	_, data, ok := strings.Cut(dataURI, ",")
	if !ok {
		return errors.New("the QR code is no data URI")
	}
	img, err := png.Decode(base64.NewDecoder(base64.StdEncoding, strings.NewReader(data)))
	if err != nil {
		return err
	}
	size := img.Bounds().Dx()
	dark := func(x, y int) bool {
		if y >= size {
			return false
		}
		r, _, _, _ := img.At(x, y).RGBA()
		return r == 0
	}
	quiet := 0
	for quiet < size && !dark(quiet, quiet) {
		quiet++
	}
	module := quiet / 4 // the quiet zone is four modules wide
	if module == 0 {
		return errors.New("the QR code has no quiet zone")
	}
	on, off := "", ""
	if colour {
		on, off = "\x1b[30;107m", "\x1b[0m" // black on white, whatever the terminal's colours
	}
	for y := 0; y < size; y += 2 * module {
		var line strings.Builder
		for x := 0; x < size; x += module {
			line.WriteString(blocks[[2]bool{dark(x, y), dark(x, y+module)}])
		}
		if _, err := fmt.Fprintln(w, on+line.String()+off); err != nil {
			return err
		}
	}
	return nil
}
