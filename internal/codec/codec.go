// Package codec writes and reads the fields of a record as bytes. A record lists its
// fields once, for both: each method of a Codec writes the value that it is given a
// pointer to, or sets that value to what was written.
//
// Fields have no names. New ones are appended, so that a version of a program that does
// not know a field keeps it by Rest, and a version that does reads it as zero where
// nobody wrote it.
package codec

import (
	"encoding/binary"
	"slices"
	"time"
)

// A Codec either writes or reads, one field after the other.
type Codec struct {
	buf     []byte // written so far, or still to be read
	reading bool
	bad     bool
}

// NewWriter returns a Codec that appends to buf.
func NewWriter(buf []byte) *Codec { return &Codec{buf: buf} }

// NewReader returns a Codec that reads data. What it reads may share memory with data.
func NewReader(data []byte) *Codec { return &Codec{buf: data, reading: true} }

// Written returns what a writer has written, after the bytes that it was given.
func (c *Codec) Written() []byte { return c.buf }

// Reading reports whether the Codec reads.
func (c *Codec) Reading() bool { return c.reading }

// Bad reports whether what was read is malformed. What was read is of no use then.
func (c *Codec) Bad() bool { return c.bad }

// Refuse makes what is read malformed, for a rule that spans several fields.
func (c *Codec) Refuse() { c.bad, c.buf = true, nil }

// Int writes or reads an integer.
func (c *Codec) Int(v *int64) {
	if !c.reading {
		c.buf = binary.AppendVarint(c.buf, *v)
		return
	}
	*v = 0
	if len(c.buf) == 0 {
		return
	}
	n, size := binary.Varint(c.buf)
	if size <= 0 {
		c.Refuse()
		return
	}
	*v, c.buf = n, c.buf[size:]
}

// Bool writes or reads a bool.
func (c *Codec) Bool(v *bool) {
	var n int64
	if *v {
		n = 1
	}
	c.Int(&n)
	*v = n != 0
}

// Time writes or reads a time in milliseconds. It is read as UTC; 0 is the zero time.
func (c *Codec) Time(v *time.Time) {
	var ms int64
	if !v.IsZero() {
		ms = v.UnixMilli()
	}
	c.Int(&ms)
	if c.reading {
		*v = time.Time{}
		if ms != 0 {
			*v = time.UnixMilli(ms).UTC()
		}
	}
}

// Bytes writes or reads bytes of any length.
func (c *Codec) Bytes(v *[]byte) {
	if n := c.length(len(*v)); c.reading {
		*v, c.buf = c.buf[:n:n], c.buf[n:]
	} else {
		c.buf = append(c.buf, *v...)
	}
}

// String writes or reads a string of any bytes and length.
func (c *Codec) String(v *string) {
	if n := c.length(len(*v)); c.reading {
		if string(c.buf[:n]) != *v { // what is the same already is not copied
			*v = string(c.buf[:n])
		}
		c.buf = c.buf[n:]
	} else {
		c.buf = append(c.buf, *v...)
	}
}

// length writes a length, or reads one that is not more than what is left.
func (c *Codec) length(n int) int {
	v := int64(n)
	c.Int(&v)
	if c.reading && (v < 0 || v > int64(len(c.buf))) {
		c.Refuse()
		return 0
	}
	return int(v)
}

// List writes or reads a list, each element by field. When it reads, a list of more than
// most elements is malformed, so that a few bytes cannot demand much memory.
func List[S ~[]T, T any](c *Codec, list *S, most int, field func(*T)) {
	n := int64(len(*list))
	c.Int(&n)
	if c.reading {
		if n < 0 || n > int64(most) {
			c.Refuse()
			n = 0
		}
		*list = make(S, n)
	}
	for i := range *list {
		field(&(*list)[i])
	}
}

// Part writes or reads fields that are a part of their own, with its length in front, so
// that a Rest among them ends where the part ends. What a reader's fields leave of it is
// passed over.
func (c *Codec) Part(fields func(*Codec)) {
	if c.reading {
		n := c.length(0)
		rest := c.buf[n:]
		c.buf = c.buf[:n:n]
		if fields(c); !c.bad {
			c.buf = rest
		}
		return
	}
	begin := len(c.buf)
	fields(c)
	var length [binary.MaxVarintLen64]byte
	n := binary.PutVarint(length[:], int64(len(c.buf)-begin))
	c.buf = slices.Insert(c.buf, begin, length[:n]...)
}

// Rest writes or reads all that is left, as the last field: what a newer version
// appended, which so is written back.
func (c *Codec) Rest(v *[]byte) {
	if c.reading {
		*v, c.buf = slices.Clone(c.buf), nil
	} else {
		c.buf = append(c.buf, *v...)
	}
}
