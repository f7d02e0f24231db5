package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/mfatest"
)

func TestStory(t *testing.T) {
	var out bytes.Buffer
	s := story{out: &out}
	if err := s.tell(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"type": "totp"`, `"valid": false`, `"valid": true`, `"code": "invalid_one_time_code"`,
		`"code": "authentication_challenge_previously_verified"`, `"code": "authentication_challenge_expired"`,
		`"code": "invalid_phone_number"`, "to +15005550006: Your FooCorp is ", "▀",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the story lacks %q", want)
		}
	}
	for line := range strings.Lines(out.String()) {
		if n := utf8.RuneCountInString(line); strings.ContainsAny(line, "▀▄█") && n > 80 {
			t.Errorf("the QR code is %d columns wide", n)
		}
	}
}

// TestInteractive types as a person would: one code wrong, then what the app and
// the message show.
func TestInteractive(t *testing.T) {
	fromStory, screen := io.Pipe()
	keyboard, typed := io.Pipe()
	s := story{out: screen, in: bufio.NewReader(keyboard)}
	told := make(chan error, 1)
	go func() {
		told <- s.tell(t.Context())
		_ = screen.Close()
	}()
	var seen strings.Builder
	buf, tries := make([]byte, 4096), 0
	for {
		n, err := fromStory.Read(buf)
		seen.Write(buf[:n])
		if errors.Is(err, io.EOF) {
			break
		}
		switch text := seen.String(); {
		case strings.HasSuffix(text, "it shows: "):
			code := "nonsense"
			if tries++; tries > 1 {
				uri := regexp.MustCompile(`otpauth://\S+`).FindString(text)
				code = mfatest.Code(uri, s.now())
			}
			_, _ = io.WriteString(typed, code+"\n")
		case strings.HasSuffix(text, "message above: "):
			code := regexp.MustCompile(`FooCorp is ([0-9]{6})`).FindStringSubmatch(text)[1]
			_, _ = io.WriteString(typed, code+"\n")
		}
	}
	if err := <-told; err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(seen.String(), "That is not it; 4 tries are left.") {
		t.Error("the wrong code was not answered")
	}
}

// TestNothingTyped: the story fails when its end is not reached.
func TestNothingTyped(t *testing.T) {
	s := story{out: io.Discard, in: bufio.NewReader(strings.NewReader(""))}
	if err := s.tell(t.Context()); !errors.Is(err, io.EOF) {
		t.Errorf("error %v", err)
	}
}

// TestUndocumented: another refusal than the documented one fails the story.
func TestUndocumented(t *testing.T) {
	s := story{out: io.Discard}
	if s.refused(nil, mfa.ErrInvalidCode) == nil || s.refused(&mfa.Error{}, mfa.ErrInvalidCode) == nil {
		t.Error("it passed")
	}
}
