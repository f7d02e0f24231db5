package mfa

import (
	"bytes"
	"encoding/base64"
	"errors"
	"image"
	"image/color"
	"image/png"
	"sync"

	"github.com/boombuler/barcode/qr"
)

const (
	moduleSize = 4 // pixels
	quietZone  = 4 // modules; ISO/IEC 18004 demands them and the encoder leaves them out
)

// A qrDrawer draws QR codes. It keeps what compressing an image needs, most of a
// megabyte, for the next one.
type qrDrawer struct{ buffers sync.Pool }

// Get is for the PNG encoder.
func (d *qrDrawer) Get() *png.EncoderBuffer {
	b, _ := d.buffers.Get().(*png.EncoderBuffer)
	return b // nil: it makes one
}

// Put is for the PNG encoder.
func (d *qrDrawer) Put(b *png.EncoderBuffer) { d.buffers.Put(b) }

// draw draws text as a PNG of one bit a pixel, in a data URI.
func (d *qrDrawer) draw(text string) (string, error) {
	level := qr.M
	if len(text) > maxSturdyURI {
		level = qr.L // a screen has no scratches, and larger modules are read from further away
	}
	code, err := qr.Encode(text, level, qr.Unicode)
	if err != nil {
		// Not wrapped: the encoder's error quotes the text, and with it the secret.
		return "", errors.New("mfa: the otpauth URI does not fit a QR code")
	}
	n := code.Bounds().Dx()
	size := (n + 2*quietZone) * moduleSize
	img := image.NewPaletted(image.Rect(0, 0, size, size), color.Palette{color.White, color.Black})
	for y := range n {
		top := img.Pix[(y+quietZone)*moduleSize*img.Stride:]
		for x := range n {
			if r, _, _, _ := code.At(x, y).RGBA(); r == 0 {
				for i := range moduleSize {
					top[(x+quietZone)*moduleSize+i] = 1
				}
			}
		}
		for i := 1; i < moduleSize; i++ {
			copy(top[i*img.Stride:(i+1)*img.Stride], top[:img.Stride])
		}
	}
	var buf bytes.Buffer
	if err := (&png.Encoder{BufferPool: d}).Encode(&buf, img); err != nil {
		return "", err
	}
	return "data:image/png;base64," + base64.StdEncoding.EncodeToString(buf.Bytes()), nil
}
