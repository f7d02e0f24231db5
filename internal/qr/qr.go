// Package qr draws QR codes for web pages.
package qr

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
	moduleSize = 4   // pixels
	quietZone  = 4   // modules; ISO/IEC 18004 demands them and the encoder leaves them out
	maxSturdy  = 512 // bytes in a code that can lose 15 %
)

// A Drawer draws QR codes. It keeps what compressing an image needs, most of a
// megabyte, for the next image. The zero value is ready for use, by several at once.
type Drawer struct{ buffers buffers }

// Draw draws text as a PNG of one bit a pixel, in a data URI. Its errors do not quote the
// text.
func (d *Drawer) Draw(text string) (string, error) {
	level := qr.M
	if len(text) > maxSturdy {
		level = qr.L // a screen has no scratches, and larger modules are read from further away
	}
	code, err := qr.Encode(text, level, qr.Unicode)
	if err != nil {
		return "", errors.New("qr: the text does not fit a QR code") // some of the encoder's quote it
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
	if err := (&png.Encoder{BufferPool: &d.buffers}).Encode(&buf, img); err != nil {
		return "", err
	}
	return "data:image/png;base64," + base64.StdEncoding.EncodeToString(buf.Bytes()), nil
}

// buffers are what compressing an image needs.
type buffers struct{ pool sync.Pool }

// Get is for the PNG encoder.
func (b *buffers) Get() *png.EncoderBuffer {
	buffer, _ := b.pool.Get().(*png.EncoderBuffer)
	return buffer // nil: it makes one
}

// Put is for the PNG encoder.
func (b *buffers) Put(buffer *png.EncoderBuffer) { b.pool.Put(buffer) }
