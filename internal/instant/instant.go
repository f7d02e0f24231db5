// Package instant lets a test take away the pauses of a call, such as the random one after a
// lost race. It is not exported, because callers who do not pause meet again.
package instant

import "context"

type instant struct{}

// With returns a context whose calls do not pause.
func With(ctx context.Context) context.Context {
	return context.WithValue(ctx, instant{}, true)
}

// Is reports whether the calls of a context do not pause.
func Is(ctx context.Context) bool {
	is, _ := ctx.Value(instant{}).(bool)
	return is
}
