package senders_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/internal/handover"
	"github.com/authfactor/mfa/internal/testrig"
	"github.com/authfactor/mfa/senders"
	"github.com/authfactor/mfa/senders/internal/faults"
)

// A saying sender says what it was told to, and keeps what it was given.
type saying struct {
	says error
	got  []mfa.Message
}

// Send keeps the message.
func (s *saying) Send(_ context.Context, m mfa.Message) error {
	s.got = append(s.got, m)
	return s.says
}

func failed(sender string, reason error) *senders.Error {
	return &senders.Error{Sender: sender, Reason: reason}
}

// TestFallback: the next one is asked only if nothing was handed over.
func TestFallback(t *testing.T) {
	refused, full := failed("a", senders.ErrRefused), failed("b", senders.ErrTryLater)
	opted, open := failed("b", senders.ErrOptedOut), failed("b", senders.ErrUnknown)
	plain := errors.New("a plain error")
	for name, tt := range map[string]struct {
		say   []error
		asked int
		last  error // nil: sent
	}{
		"the first takes it":      {[]error{nil, nil}, 1, nil},
		"the second does":         {[]error{refused, nil}, 2, nil},
		"the third does":          {[]error{refused, plain, nil, nil}, 3, nil},
		"only one":                {[]error{refused}, 1, refused},
		"nobody":                  {[]error{refused, full}, 2, full},
		"nobody of three":         {[]error{full, plain, refused}, 3, refused},
		"the first may have":      {[]error{open, nil}, 1, open},
		"the second may have":     {[]error{refused, open, nil}, 2, open},
		"opted out":               {[]error{opted, nil}, 1, opted},
		"opted out of the second": {[]error{refused, opted, nil}, 2, opted},
		"a timeout": {
			[]error{context.DeadlineExceeded, nil}, 1, context.DeadlineExceeded,
		},
		"cut off": {
			[]error{fmt.Errorf("x: %w", io.ErrUnexpectedEOF), nil}, 1, io.ErrUnexpectedEOF,
		},
		"a timeout of the connection": {[]error{os.ErrDeadlineExceeded, nil}, 1, os.ErrDeadlineExceeded},
		"read":                        {[]error{&net.OpError{Op: "read", Err: plain}, nil}, 1, plain},
		"dial":                        {[]error{&net.OpError{Op: "dial", Err: plain}, nil}, 2, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var all []*saying
			var more []mfa.SMSSender
			for _, err := range tt.say {
				all = append(all, &saying{says: err})
				more = append(more, all[len(all)-1])
			}
			err := senders.Fallback(more[0], more[1:]...).Send(t.Context(), faults.Message())
			for i, s := range all {
				want := i < tt.asked
				if want != (len(s.got) == 1) || want && s.got[0] != faults.Message() {
					t.Errorf("sender %d of %d was given %v", i+1, len(all), s.got)
				}
			}
			if tt.last == nil {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if handover.Unknown(err) != handover.Unknown(tt.say[tt.asked-1]) {
				t.Errorf("%v tells something else of the message than the last one", err)
			}
			for _, said := range tt.say[:tt.asked] {
				if !errors.Is(err, said) || !strings.Contains(err.Error(), said.Error()) {
					t.Errorf("%v does not have %v", err, said)
				}
			}
			if want, ok := errors.AsType[*senders.Error](tt.last); ok {
				if got, _ := errors.AsType[*senders.Error](err); got != want {
					t.Errorf("errors.As gives %v, want the last, %v", got, want)
				}
			}
		})
	}
}

// TestFallbackInTime: when ctx is done, nobody else is asked.
func TestFallbackInTime(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	next := new(saying)
	ends := ending{cancel}
	err := senders.Fallback(ends, next).Send(ctx, faults.Message())
	if err == nil || len(next.got) > 0 {
		t.Errorf("error %v, and the next one was given %v", err, next.got)
	}
}

// An ending sender says that it sent nothing, when the time is up.
type ending struct{ cancel context.CancelFunc }

func (e ending) Send(context.Context, mfa.Message) error {
	e.cancel()
	return failed("ending", senders.ErrRefused)
}

// TestFallbackPanics: a panic leaves it open what was handed over, and nobody else is asked.
func TestFallbackPanics(t *testing.T) {
	next := new(saying)
	defer func() {
		if got := recover(); got != "broken" || len(next.got) > 0 {
			t.Errorf("panic %v, and the next one was given %v", got, next.got)
		}
	}()
	_ = senders.Fallback(panicking{}, next).Send(t.Context(), faults.Message())
}

type panicking struct{}

func (panicking) Send(context.Context, mfa.Message) error { panic("broken") }

func TestFallbackOfNil(t *testing.T) {
	for _, next := range [][]mfa.SMSSender{nil, {new(saying)}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			if len(next) == 0 {
				senders.Fallback(nil)
			} else {
				senders.Fallback(next[0], nil)
			}
		}()
	}
}

// TestFallbackInService: what a service makes of it.
func TestFallbackInService(t *testing.T) {
	refused, full := failed("a", senders.ErrRefused), failed("b", senders.ErrTryLater)
	open := failed("b", senders.ErrUnknown)
	for second, reason := range map[error]error{
		nil: nil, error(open): senders.ErrUnknown, error(full): senders.ErrTryLater,
	} {
		sender := senders.Fallback(&saying{says: refused}, &saying{says: second})
		faults.Challenge(t, sender, reason)
	}
}

// TestRoute: the region of the number chooses.
func TestRoute(t *testing.T) {
	us, gb, other := new(saying), new(saying), new(saying)
	byRegion := map[string]mfa.SMSSender{"US": us, "GB": gb}
	with, err := senders.Route(byRegion, other)
	if err != nil {
		t.Fatal(err)
	}
	without, err := senders.Route(byRegion, nil)
	if err != nil {
		t.Fatal(err)
	}
	delete(byRegion, "GB") // it was copied
	for number, want := range map[string]*saying{
		"+15005550006":  us, // not of a region of its own: the main one of +1
		"+12025550123":  us,
		"+14165550123":  other, // Canada
		"+447400123456": gb,
		"+447911123456": other, // Guernsey, or Jersey: with the country code of GB
		"+493012345678": other,
		"+99912345678":  other, // no country
		"":              other,
	} {
		for sender, missing := range map[mfa.SMSSender]bool{with: false, without: want == other} {
			us.got, gb.got, other.got = nil, nil, nil
			m := faults.Message()
			m.To = number
			err := sender.Send(t.Context(), m)
			switch {
			case missing:
				faults.Check(t, err, senders.ErrRegionOff)
				if len(us.got)+len(gb.got)+len(other.got) > 0 {
					t.Errorf("%s was sent", number)
				}
			case err != nil || len(want.got) != 1 || want.got[0] != m:
				t.Errorf("%s: error %v, and its sender was given %v", number, err, want.got)
			}
		}
	}
	for _, region := range []string{"UK", "us", "", "001", "ZZ"} {
		_, err := senders.Route(map[string]mfa.SMSSender{region: us}, other)
		if !errors.Is(err, mfa.ErrConfig) {
			t.Errorf("region %q: %v", region, err)
		}
	}
	_, err = senders.Route(map[string]mfa.SMSSender{"US": nil}, other)
	if !errors.Is(err, mfa.ErrConfig) {
		t.Errorf("a sender that is nil: %v", err)
	}
}

// A named sender takes every message, unless it fails, under its name.
type named struct {
	name  string
	fails error
}

// Send says who took the message, if it was taken.
func (n named) Send(_ context.Context, m mfa.Message) error {
	if n.fails == nil {
		m.TakenBy(n.name, n.name+"-1")
	}
	return n.fails
}

// TestTakenBy: events have the one of several that took the message.
func TestTakenBy(t *testing.T) {
	us, other := named{name: "us"}, named{name: "other"}
	away := named{"away", failed("away", senders.ErrTryLater)}
	byRegion := func(sender mfa.SMSSender) mfa.SMSSender {
		s, err := senders.Route(map[string]mfa.SMSSender{"US": sender}, other)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	elsewhere, err := senders.Route(map[string]mfa.SMSSender{"GB": us}, other)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		sender mfa.SMSSender
		want   string
	}{
		{senders.Fallback(us, other), "us"},
		{senders.Fallback(away, other), "other"},
		{senders.Fallback(away, senders.Fallback(away, us)), "us"},
		{byRegion(us), "us"},
		{elsewhere, "other"},
		{byRegion(senders.Fallback(away, other)), "other"},
		{senders.Fallback(byRegion(away), us), "us"},
	} {
		if by, id := faults.TakenBy(t, tt.sender); by != tt.want || id != tt.want+"-1" {
			t.Errorf("taken by %q as %q, want %q", by, id, tt.want)
		}
	}
}

// TestError: its text has all that the provider said.
func TestError(t *testing.T) {
	err := &senders.Error{
		Sender: "a", Reason: senders.ErrTryLater, Code: "42", Text: "busy", RetryAfter: 90 * time.Second,
	}
	const want = "senders: a: the provider takes no message now (42): busy, retry after 1m30s"
	if err.Error() != want {
		t.Errorf("%q, want %q", err, want)
	}
}

// TestMaskedIsCut: however much a provider explains, an error has 512 bytes of it.
func TestMaskedIsCut(t *testing.T) {
	for length, want := range map[int]string{
		512: strings.Repeat("x", 512), 513: strings.Repeat("x", 512) + "…",
	} {
		if got := senders.Masked(faults.Message(), strings.Repeat("x", length)); got != want {
			t.Errorf("%d bytes are %d: %q", length, len(got), got)
		}
	}
}

// TestSecret: only Reveal shows it.
func TestSecret(t *testing.T) {
	const text = "correct-horse-battery"
	secret := senders.Hide(text)
	if secret.Reveal() != text || senders.Hide("").Reveal() != "" {
		t.Error("Reveal does not give back what was hidden")
	}
	for _, v := range []any{secret, &secret, []senders.Secret{secret}} {
		for _, spelling := range testrig.Spellings(text) {
			if strings.Contains(testrig.Printed(v), spelling) {
				t.Errorf("%T shows its text", v)
			}
		}
	}
}
