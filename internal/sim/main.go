// Command sim plays attacks by SMS pumping, beside honest people who sign up, against the
// service with a clock of its own. It prints what docs/threats.md has of them: the messages
// that an attack gets, what they cost, and how many honest people were refused.
//
//	go run ./internal/sim               # 30 days for the honest people: some minutes
//	go run ./internal/sim -days 3
//	go run ./internal/sim -only '5:'    # the scenarios whose names have this
//
// The same seed gives the same table.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
)

func main() {
	seed := flag.Uint64("seed", 1, "what all randomness comes from")
	days := flag.Int("days", 30, "how many days the honest people sign up")
	only := flag.String("only", "", "play the scenarios whose names have this text")
	flag.Parse()
	if err := printAll(os.Stdout, *seed, *days, *only); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// printAll prints a row of each scenario, and the two tables of how dense people may be.
func printAll(out io.Writer, seed uint64, days int, only string) error {
	printf(out, "| scenario | days | to the attacker in any 24 hours | a day, mean "+
		"| a block in any 24 hours | a region in any 24 hours | refused of honest sign-ups "+
		"| at most a day, at $0.05 and $0.30 |\n"+
		"|---|---|---|---|---|---|---|---|\n")
	for _, c := range scenarios {
		if !strings.Contains(c.name, only) {
			continue
		}
		w, err := c.play(seed, days)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		printf(out, "%s\n", c.row(w))
	}
	return printDensity(out, seed, only)
}

// row is what a scenario came to.
func (c scenario) row(w *world) string {
	a, h := w.attack, w.honest
	days := int(w.end.Sub(w.begin) / day)
	messages, mean := a.total.most, a.messages/days
	text := fmt.Sprintf("| %s | %d | %d | %d | %d | %d | %d of %d |", c.name, days,
		messages, mean, most(a.blocks), most(a.regions), h.refused, h.signUps)
	if a.readable > 0 {
		text = fmt.Sprintf("%s (and %d a day to own numbers) |", strings.TrimSuffix(text, " |"),
			a.readable/days)
	}
	return fmt.Sprintf("%s $%.2f, $%.2f |", text, float64(messages)*0.05, float64(messages)*0.30)
}

func printf(out io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(out, format, args...) }
