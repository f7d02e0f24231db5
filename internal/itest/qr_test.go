package itest

import (
	"bytes"
	"encoding/base64"
	"image"
	"image/png"
	"strings"
	"testing"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"

	"github.com/authfactor/mfa"
)

// TestScan reads the image as a camera's software does: at the size of the PNG, as a
// page shows it, and at twice that, as a screen of high density does.
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
			enr, err := svc.Enroll(t.Context(), mfa.EnrollParams{TOTP: &p})
			if err != nil {
				t.Fatal(err)
			}
			uri, data := enr.TOTP.URI(), enr.TOTP.QRCode()
			if n := lengths[name]; n > 0 && len(uri) != n {
				t.Fatalf("the %s URI has %d bytes, want %d", name, len(uri), n)
			}
			raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(data, "data:image/png;base64,"))
			if err != nil {
				t.Fatal(err)
			}
			img, err := png.Decode(bytes.NewReader(raw))
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("a URI of %d bytes, %v pixels, a data URI of %d bytes", len(uri), img.Bounds().Size(), len(data))
			for _, shown := range []image.Image{img, twice(img)} {
				if got := scan(t, shown); got != uri {
					t.Errorf("read %q, want %q", got, uri)
				}
			}
		})
	}
}

func scan(t *testing.T, img image.Image) string {
	t.Helper()
	bitmap, err := gozxing.NewBinaryBitmapFromImage(img)
	if err != nil {
		t.Fatal(err)
	}
	result, err := qrcode.NewQRCodeReader().Decode(bitmap, nil)
	if err != nil {
		// In one of 25 codes this reader's search takes chance modules for a corner of the
		// code; a camera has another frame. Without the search it reads them all.
		result, err = qrcode.NewQRCodeReader().Decode(bitmap, map[gozxing.DecodeHintType]any{gozxing.DecodeHintType_PURE_BARCODE: true})
	}
	if err != nil {
		t.Fatal(err)
	}
	return result.GetText()
}

func twice(img image.Image) image.Image {
	size := img.Bounds().Size()
	large := image.NewGray(image.Rect(0, 0, 2*size.X, 2*size.Y))
	for y := range 2 * size.Y {
		for x := range 2 * size.X {
			large.Set(x, y, img.At(x/2, y/2))
		}
	}
	return large
}
