package qr

import (
	"encoding/base64"
	"image/png"
	"strings"
	"testing"
)

// TestLevels: a short text is drawn so that a code may lose 15 %, and a long one with less,
// in fewer modules.
func TestLevels(t *testing.T) {
	for _, tt := range []struct{ size, modules int }{
		{1, 21}, {512, 89}, {513, 77}, {2953, 177},
	} {
		uri, err := new(Drawer).Draw(strings.Repeat("x", tt.size))
		if err != nil {
			t.Fatal(err)
		}
		encoded, _ := strings.CutPrefix(uri, "data:image/png;base64,")
		img, err := png.Decode(base64.NewDecoder(base64.StdEncoding, strings.NewReader(encoded)))
		if err != nil {
			t.Fatal(err)
		}
		if want := (tt.modules + 8) * 4; img.Bounds().Dx() != want || img.Bounds().Dy() != want {
			t.Errorf("%d bytes: %v, want %d modules", tt.size, img.Bounds(), tt.modules)
		}
	}
}

// TestTooLong: the error does not show the text.
func TestTooLong(t *testing.T) {
	uri, err := new(Drawer).Draw(strings.Repeat("x", 2954))
	if err == nil || uri != "" || strings.Contains(err.Error(), "xx") {
		t.Errorf("%.80q, %.80v", uri, err)
	}
}
