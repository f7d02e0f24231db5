package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/authfactor/mfa"
)

// printDensity prints how many people may sign up in one block until somebody is refused, and
// in how many blocks a region's people must live.
func printDensity(out io.Writer, seed uint64, only string) error {
	if !strings.Contains("density", only) {
		return nil
	}
	printf(out, "\nThe most sign-ups a day in one block with nobody refused in %d days "+
		"(of %v):\n\n", densityDays, densities)
	printf(out, "| confirm | nobody asks for a second message | 20 %% | 40 %% |\n|---|---|---|---|\n")
	for _, confirm := range confirming {
		printf(out, "| %.0f %% |", confirm*100)
		for _, again := range []float64{0, 0.2, 0.4} {
			most, err := densest(seed, confirm, again)
			if err != nil {
				return err
			}
			printf(out, " %d |", most)
		}
		printf(out, "\n")
	}
	printf(out, "\nRefused of 10,000 sign-ups a day in one region, 20 %% asking again, "+
		"%d days, by how many confirm:\n\n", regionDays)
	printf(out, "| blocks | busiest block a day | 50 %% | 40 %% | 30 %% | 20 %% |\n"+
		"|---|---|---|---|---|---|\n")
	return errors.Join(
		printRegion(out, seed, middle, middleBlocks, defaults),
		printRegion(out, seed, middle, middleBlocks, enforced),
		printRegion(out, seed, small, smallBlocks, defaults),
	)
}

// What the two tables have.
const densityDays, regionDays = 7, 3

var confirming = []float64{0.5, 0.4, 0.3, 0.2} // parts of the people

// densities are sign-ups a day in a block.
var densities = []int{50, 75, 100, 150, 200, 300, 400, 500}

// densest is the most of them where nobody was refused, nor with fewer.
func densest(seed uint64, confirm, again float64) (int, error) {
	var crowds []*crowd
	dense := scenario{days: densityDays, set: func(s *stage) {
		for i, block := range s.in(middle, len(densities)) {
			crowds = append(crowds, &crowd{
				perDay: densities[i], confirm: confirm, again: again,
				spread: spreadOver([]string{block}, 0),
			})
			s.signUps(crowds[i])
		}
	}}
	if _, err := dense.play(seed, 0); err != nil {
		return 0, err
	}
	most := 0
	for i, c := range crowds {
		if c.refused > 0 {
			break
		}
		most = densities[i]
	}
	return most, nil
}

// printRegion prints how many of a region's people are refused, by how many confirm.
func printRegion(out io.Writer, seed uint64, region string, blocks int, policy mfa.Policy) error {
	const perDay = 10_000
	var cells strings.Builder
	busiest := 0.0
	for _, confirm := range confirming {
		full := scenario{days: regionDays, policy: policy, set: func(s *stage) {
			people := spreadOver(s.in(region, blocks), skew)
			busiest = people.top() * perDay
			s.signUps(&crowd{perDay: perDay, confirm: confirm, again: 0.2, spread: people})
		}}
		w, err := full.play(seed, 0)
		if err != nil {
			return err
		}
		fmt.Fprintf(&cells, " %d of %d |", w.honest.refused, w.honest.signUps)
	}
	enforces := map[bool]string{true: ", regions enforced"}[policy.PumpingRegions]
	printf(out, "| %d%s | %.0f |%s\n", blocks, enforces, busiest, cells.String())
	return nil
}
