package phone

import (
	"errors"
	"fmt"
	"regexp"
	"testing"
)

func TestNormalize(t *testing.T) {
	home, err := New(Config{Regions: []string{"US", "MX", "AR", "GB"}, DefaultRegion: "US"})
	if err != nil {
		t.Fatal(err)
	}
	notAllowed := func(missing string) string { return (&NotAllowedError{}).Error() + missing }
	for _, tt := range []struct{ text, want string }{
		{"+15005550006", "+15005550006"},
		{"5005550006", "+15005550006"},
		{"+5215512345678", "+525512345678"},     // Mexico, before 2019
		{"+541123456789", notAllowed("9")},      // Argentina, without the 9
		{"+5491123456789", "+5491123456789"},    // and with it
		{"+447012345678", notAllowed("")},       // forwards, at a price
		{"+33612345678", notAllowed("")},        // of another region
		{"+1500555000", ErrInvalid.Error()},     // too short
		{"+255725000000", ErrInvalid.Error()},   // not known
		{"", ErrInvalid.Error()},                // nothing
		{"+", ErrInvalid.Error()},               // nothing
		{"+18005550199", notAllowed("")},        // free to call
		{"+150055500066", ErrInvalid.Error()},   // too long
		{"+999123456789", ErrInvalid.Error()},   // of no country
		{"0015005550006", ErrInvalid.Error()},   // how Europe calls the United States
		{"01115005550006", "+15005550006"},      // how the United States would
		{"+44447911123456", ErrInvalid.Error()}, // a country twice
	} {
		got, err := home.Normalize(tt.text)
		if err != nil {
			got = err.Error()
			if e, ok := errors.AsType[*NotAllowedError](err); ok {
				got += e.Missing
			}
		}
		if got != tt.want {
			t.Errorf("%q: %q, want %q", tt.text, got, tt.want)
		}
	}
}

// TestAllowed: a number that was taken once is looked at again under the rules of today.
func TestAllowed(t *testing.T) {
	for _, tt := range []struct {
		cfg  Config
		want string
	}{
		{Config{Regions: Regions(), UncheckedRegions: Regions()}, "true true"},
		{Config{Regions: Regions()}, "true false"},
		{Config{Regions: []string{"TZ"}, UncheckedRegions: []string{"TZ"}}, "false true"},
		{Config{Regions: []string{"GB"}}, "false false"},
	} {
		rules, err := New(tt.cfg)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(rules.Allowed("+15005550006"), rules.Allowed("+255725000000")); got != tt.want {
			t.Errorf("%d regions, %d unchecked: %s, want %s", len(tt.cfg.Regions), len(tt.cfg.UncheckedRegions), got, tt.want)
		}
	}
}

// FuzzNormalize: a number has one form from then on, which is taken; no error has a number.
func FuzzNormalize(f *testing.F) {
	for _, text := range []string{
		"+15005550006", "2125551234", "+5215512345678", "15512345678", "+541123456789", "+255725000000", "+10000000000", "+4990012345678", "+", "", "++1", "+1 5",
	} {
		f.Add(text, false)
		f.Add(text, true)
	}
	e164, digits := regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`), regexp.MustCompile(`[0-9]`)
	f.Fuzz(func(t *testing.T, text string, unchecked bool) {
		cfg := Config{Regions: Regions(), DefaultRegion: "MX"}
		if unchecked {
			cfg.UncheckedRegions = cfg.Regions
		}
		rules, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		number, err := rules.Normalize(text)
		if err != nil {
			if number != "" || digits.MatchString(err.Error()) {
				t.Fatalf("%q: %q, %v", text, number, err)
			}
			return
		}
		again, err := rules.Normalize(number)
		if err != nil || again != number || !e164.MatchString(number) || !rules.Allowed(number) {
			t.Fatalf("%q is %q, and that is %q, %t, %v", text, number, again, rules.Allowed(number), err)
		}
	})
}

// TestRegionOf: a number that the metadata does not know is of the main region of its country
// code.
func TestRegionOf(t *testing.T) {
	for e164, want := range map[string]string{
		"+12025550123": "US", "+14165550123": "CA", "+15005550006": "US", "+19995550123": "US",
		"+447400123456": "GB", "+447911123456": "GG", "+449999999999": "GB",
		"+77011234567": "KZ", "+79161234567": "RU", "+390612345678": "IT",
		"+99912345678": "", "+80012345678": "001", "+": "", "": "", "x": "",
	} {
		if got := RegionOf(e164); got != want {
			t.Errorf("%s is of %q, want %q", e164, got, want)
		}
	}
}
