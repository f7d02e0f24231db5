package jsonbody_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/authfactor/mfa/internal/jsonbody"
)

const most = 64 << 10

// read reads a body that says it is JSON.
func read(t *testing.T, body io.Reader, contentType string) (jsonbody.Body, error) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", body)
	r.Header.Set("Content-Type", contentType)
	return jsonbody.Read(httptest.NewRecorder(), r, most)
}

// TestRead: what is one JSON object is read member by member, and nothing else is read.
func TestRead(t *testing.T) {
	const isJSON = "application/json"
	nested := func(depth int) string {
		return `{"x":` + strings.Repeat("[", depth) + strings.Repeat("]", depth) + `}`
	}
	for name, c := range map[string]struct {
		body, contentType string
		members           int
		err               error
	}{
		"nothing":                  {"", isJSON, 0, nil},
		"nothing of no type":       {"", "", 0, nil},
		"white space of no type":   {" \r\n\t", "", 0, nil},
		"null":                     {" null ", isJSON, 0, nil},
		"an empty list":            {" [ \n ] ", isJSON, 0, nil},
		"an empty object":          {"{}", isJSON, 0, nil},
		"an object":                {`{"a":1,"b":{"c":2}}`, isJSON, 2, nil},
		"a type with a parameter":  {`{"a":1}`, "Application/JSON; charset=utf-8", 1, nil},
		"names in different cases": {`{"a":1,"A":2,"":3}`, isJSON, 3, nil},
		"a member twice within":    {`{"x":{"a":1,"a":2}}`, isJSON, 1, nil},
		"9,999 brackets":           {nested(9_999), isJSON, 1, nil},
		"as much as may be":        {`{"x":"` + strings.Repeat("x", most-8) + `"}`, isJSON, 1, nil},

		"a byte too many": {
			`{"x":"` + strings.Repeat("x", most-7) + `"}`, isJSON, 0, jsonbody.ErrTooLarge,
		},
		"too much, of another type": {strings.Repeat(" ", most+1), "text/plain", 0, jsonbody.ErrTooLarge},

		"no type":             {"{}", "", 0, jsonbody.ErrMediaType},
		"a form":              {"a=1", "application/x-www-form-urlencoded", 0, jsonbody.ErrMediaType},
		"text":                {"{}", "text/plain", 0, jsonbody.ErrMediaType},
		"a type that is none": {"{}", "application/json; =", 0, jsonbody.ErrMediaType},
		"two types":           {"{}", "application/json, text/plain", 0, jsonbody.ErrMediaType},
		"null of no type":     {"null", "", 0, jsonbody.ErrMediaType},

		"a list with something": {`[{"a":1}]`, isJSON, 0, jsonbody.ErrMalformed},
		"a string":              {`"a"`, isJSON, 0, jsonbody.ErrMalformed},
		"a number":              {"7", isJSON, 0, jsonbody.ErrMalformed},
		"half an object":        {`{"a":1`, isJSON, 0, jsonbody.ErrMalformed},
		"half a list":           {`[`, isJSON, 0, jsonbody.ErrMalformed},
		"two objects":           {"{}{}", isJSON, 0, jsonbody.ErrMalformed},
		"a member twice":        {`{"a":1,"a":1}`, isJSON, 0, jsonbody.ErrMalformed},
		"twice, once escaped":   {`{"a":1,"\u0061":2}`, isJSON, 0, jsonbody.ErrMalformed},
		"no UTF-8":              {"{\"a\":\"\xff\"}", isJSON, 0, jsonbody.ErrMalformed},
		"a byte order mark":     {"\ufeff{}", isJSON, 0, jsonbody.ErrMalformed},
		"UTF-16":                {"{\x00}\x00", isJSON, 0, jsonbody.ErrMalformed},
		"10,000 brackets":       {nested(10_000), isJSON, 0, jsonbody.ErrMalformed},
		// Its type is looked at before its text.
		"no JSON of another type": {"{", "text/plain", 0, jsonbody.ErrMediaType},
	} {
		members, err := read(t, strings.NewReader(c.body), c.contentType)
		if len(members) != c.members || !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
			t.Errorf("%s: %d members, %v", name, len(members), err)
		}
	}
}

// TestCutOff: a body that ends too early is malformed, whatever came.
func TestCutOff(t *testing.T) {
	cut := io.MultiReader(strings.NewReader(`{"a":1}`), failing{})
	if members, err := read(t, cut, "application/json"); !errors.Is(err, jsonbody.ErrMalformed) {
		t.Errorf("%v, %v", members, err)
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// TestStore: members are stored by their very names, null is none, and one of another kind is
// named.
func TestStore(t *testing.T) {
	type stored struct {
		text   string
		yes    bool
		maybe  *bool
		answer json.RawMessage
	}
	all := func(s *stored) jsonbody.Fields {
		return jsonbody.Fields{"text": &s.text, "yes": &s.yes, "maybe": &s.maybe, "answer": &s.answer}
	}
	for body, want := range map[string]stored{
		``:                       {},
		`{}`:                     {},
		`{"x":1,"Text":"a"}`:     {},
		`{"text":"\u0061"}`:      {text: "a"},
		`{"yes":true}`:           {yes: true},
		`{"maybe":false}`:        {maybe: new(false)},
		`{"answer": [ 1 , {} ]}`: {answer: json.RawMessage(`[ 1 , {} ]`)},
		`{"text":null,"yes":null,"maybe":null,"answer":null}`: {},
		`{"text":"","yes":false,"maybe":true,"answer":"null"}`: {
			maybe: new(true), answer: json.RawMessage(`"null"`),
		},
	} {
		members, err := read(t, strings.NewReader(body), "application/json")
		if err != nil {
			t.Fatal(err)
		}
		var got stored
		if err := members.Store(all(&got)); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v", body, got, err)
		}
	}
	for body, want := range map[string]string{
		`{"text":7}`:              "text must be a string",
		`{"text":{}}`:             "text must be a string",
		`{"text":["a"]}`:          "text must be a string",
		`{"yes":"true"}`:          "yes must be a boolean",
		`{"maybe":1}`:             "maybe must be a boolean",
		`{"yes":1,"maybe":1}`:     "maybe must be a boolean", // the first by its name
		`{"yes":[],"text":false}`: "text must be a string",
	} {
		members, err := read(t, strings.NewReader(body), "application/json")
		if err != nil {
			t.Fatal(err)
		}
		if err := members.Store(all(new(stored))); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %q", body, err, want)
		}
	}
}

// FuzzRead: what is read is what encoding/json reads, once for each name; all else is an error
// of this package.
func FuzzRead(f *testing.F) {
	for _, body := range []string{
		``, `null`, `[]`, `{}`, `{"a":1,"b":"\ud800"}`, `{"a":1,"\u0061":2}`, `{"a":{"b":1,"b":2}}`,
		"{\"a\":\"\xff\"}", "\ufeff{}", `[{}]`, `{"":[null,1e999]}`, `{} {}`, `{"a":1,}`, " {\"a\" : \t1}",
	} {
		f.Add([]byte(body), "application/json")
	}
	f.Add([]byte(`{"a":1}`), "text/plain")
	f.Fuzz(func(t *testing.T, body []byte, contentType string) {
		members, err := read(t, bytes.NewReader(body), contentType)
		if err != nil {
			if !errors.Is(err, jsonbody.ErrTooLarge) && !errors.Is(err, jsonbody.ErrMediaType) &&
				!errors.Is(err, jsonbody.ErrMalformed) || members != nil {
				t.Fatalf("%v, %v", members, err)
			}
			return
		}
		if len(members) == 0 {
			return
		}
		var same map[string]json.RawMessage
		if err := json.Unmarshal(body, &same); err != nil || !utf8.Valid(body) {
			t.Fatalf("it was read, and is no object: %v", err)
		}
		if !maps.EqualFunc(members, same, func(a, b json.RawMessage) bool { return bytes.Equal(a, b) }) {
			t.Fatalf("%q, and encoding/json reads %q", members, same)
		}
		var text string
		var yes bool
		for name := range members {
			_ = members.Store(jsonbody.Fields{name: &text})
			_ = members.Store(jsonbody.Fields{name: &yes})
		}
	})
}
