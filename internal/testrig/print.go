package testrig

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
)

// verbs are all that fmt knows, and two that it does not.
const verbs = "vTtbcdoOqxXUeEfFgGspwZ!"

// Printed gives what fmt, slog and encoding/json make of a value, by itself and
// within others.
func Printed(v any) string {
	var out strings.Builder
	type exported struct{ V any }
	type unexported struct{ v any }
	values := []any{
		v, &v, exported{v}, &exported{v}, unexported{v}, &unexported{v}, []any{v}, [1]any{v},
		map[string]any{"k": v}, map[any]any{&v: v},
		struct{ e exported }{exported{v}}, []unexported{{v}}, fmt.Errorf("wrapped: %v", v),
		errors.Join(fmt.Errorf("%+v", v)),
	}
	for _, value := range values {
		for _, verb := range verbs {
			for _, flags := range []string{"", "+", "#", "# ", "20.3", "-", " "} {
				fmt.Fprintf(&out, "%"+flags+string(verb)+"\n", value)
			}
		}
		fmt.Fprintln(&out, value)
		if b, err := json.Marshal(value); err == nil {
			out.Write(b)
		}
		for _, handler := range []slog.Handler{
			slog.NewTextHandler(&out, &slog.HandlerOptions{AddSource: true}), slog.NewJSONHandler(&out, nil),
		} {
			log := slog.New(handler)
			log.Info("message", "value", value)
			log.With("value", value).WithGroup("group").
				Info("message", slog.Group("inner", "value", value), "any", slog.AnyValue(value))
		}
	}
	return out.String()
}

// Spellings are the ways in which a secret may show.
func Spellings(secret string) []string {
	all := []string{
		secret, hex.EncodeToString([]byte(secret)), strings.ToUpper(hex.EncodeToString([]byte(secret))),
		base64.StdEncoding.EncodeToString([]byte(secret)),
	}
	if len(secret) > 8 {
		decimals := strings.Trim(fmt.Sprint([]byte(secret[:8])), "[]")
		all = append(all,
			decimals, strings.ReplaceAll(decimals, " ", ", "),
			strings.Trim(fmt.Sprintf("%#v", []byte(secret[:8])), "[]byte{}"))
	}
	return all
}

// Shows reports whether the digits stand in the text by themselves: addresses and times
// have many.
func Shows(out, digits string) bool {
	hex := func(c byte) bool { return strings.IndexByte("0123456789abcdefABCDEF", c) >= 0 }
	for {
		i := strings.Index(out, digits)
		if i < 0 {
			return false
		}
		end := i + len(digits)
		if (i == 0 || !hex(out[i-1])) && (end == len(out) || !hex(out[end])) {
			return true
		}
		out = out[end:]
	}
}
