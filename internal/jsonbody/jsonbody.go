// Package jsonbody reads the body of a request as one JSON object, and refuses what two readers
// could read differently.
package jsonbody

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"slices"
	"unicode/utf8"
)

// What a body is refused for.
var (
	ErrTooLarge  = errors.New("the body is too large")
	ErrMediaType = errors.New("the Content-Type must be application/json")
	ErrMalformed = errors.New("the body must be one JSON object in UTF-8 without duplicate members")
)

// A Body holds the members of the object that was sent.
type Body map[string]json.RawMessage

// Read reads an object of at most so many bytes. No body, null and an empty list count as an
// object without members, because clients send these for calls without parameters. The error is
// one of this package.
func Read(w http.ResponseWriter, r *http.Request, most int64) (Body, error) {
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return nil, ErrTooLarge
	}
	if err != nil || !utf8.Valid(text) {
		return nil, ErrMalformed
	}
	if text = bytes.TrimSpace(text); len(text) == 0 {
		return nil, nil
	}
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/json" {
		return nil, ErrMediaType
	}
	if !json.Valid(text) {
		return nil, ErrMalformed
	}
	switch {
	case string(text) == "null", text[0] == '[' && len(bytes.TrimSpace(text[1:])) == 1:
		return nil, nil
	case text[0] != '{':
		return nil, ErrMalformed
	}
	return members(text)
}

// members reads a valid object member by member, as encoding/json takes the last of several
// with one name, and ignores case.
func members(text []byte) (Body, error) {
	all := Body{}
	in := json.NewDecoder(bytes.NewReader(text))
	_, _ = in.Token() // the brace: the text is valid
	for in.More() {
		name, _ := in.Token()
		var value json.RawMessage
		if err := in.Decode(&value); err != nil {
			return nil, ErrMalformed
		}
		text, _ := name.(string)
		if _, twice := all[text]; twice {
			return nil, ErrMalformed
		}
		all[text] = value
	}
	return all, nil
}

// Fields are where members are stored: a *string, a *bool, a **bool, which stays nil if the
// member is absent, or a *json.RawMessage for any value.
type Fields map[string]any

// Store stores the members that are present. It ignores null and members that nobody asks for.
// Its error names the member, and is for developers.
func (b Body) Store(into Fields) error {
	for _, name := range slices.Sorted(maps.Keys(into)) {
		value, ok := b[name]
		if !ok || string(value) == "null" {
			continue
		}
		if err := json.Unmarshal(value, into[name]); err != nil {
			kind := "string"
			switch into[name].(type) {
			case *bool, **bool:
				kind = "boolean"
			}
			return fmt.Errorf("%s must be a %s", name, kind)
		}
	}
	return nil
}
