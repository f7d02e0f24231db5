package gsm7

import (
	"strings"
	"testing"
)

func TestParts(t *testing.T) {
	for _, tt := range []struct {
		unit string
		n    int
		want int
	}{
		{"x", 0, 1},
		{"x", 160, 1},
		{"x", 161, 2},
		{"à", 306, 2},
		{"à", 307, 3},
		{"€", 80, 1},
		{"€", 81, 2},
		{"€", 152, 2}, // 76 to a part, and the 153rd septet is left empty
		{"€", 153, 3},
		{"日", 70, 1},
		{"日", 71, 2},
		{"日", 134, 2},
		{"日", 135, 3},
		{"🔑", 35, 1},
		{"🔑", 36, 2},
		{"🔑", 66, 2}, // 33 to a part, and the 67th unit is left empty
		{"🔑", 67, 3},
	} {
		if got := Parts(strings.Repeat(tt.unit, tt.n)); got != tt.want {
			t.Errorf("%d times %s: %d, want %d", tt.n, tt.unit, got, tt.want)
		}
	}
	// One character that is not of GSM 03.38 makes all of them UTF-16, where € takes one.
	for text, want := range map[string]int{strings.Repeat("x", 70) + "ж": 2, strings.Repeat("€", 69) + "ж": 1, strings.Repeat("€", 70) + "`": 2} {
		if got := Parts(text); got != want {
			t.Errorf("%s: %d, want %d", text, got, want)
		}
	}
}

func TestHas(t *testing.T) {
	for text, want := range map[string]bool{
		"": true, "Your code is 123456.": true, "¡àΩ€{}\n": true,
		"`": false, "ж": false, "code ж": false, "🔑": false, "ç": false, "\t": false,
	} {
		if got := Has(text); got != want {
			t.Errorf("%q: %t, want %t", text, got, want)
		}
	}
}
