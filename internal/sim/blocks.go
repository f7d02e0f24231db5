package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/nyaruka/phonenumbers"

	"github.com/authfactor/mfa/internal/phone"
)

// blockSize is how many numbers differ in their last four digits alone.
const blockSize = 10_000

// blocksOf finds blocks of mobile numbers of a region: so many of them, or all if there are
// fewer. A block is what its numbers begin with. Which ones they are depends on the seed.
func blocksOf(seed uint64, region string, most int) ([]string, error) {
	rules, err := phone.New(phone.Config{Regions: []string{region}})
	if err != nil {
		return nil, err
	}
	example := phonenumbers.GetExampleNumberForType(region, phonenumbers.MOBILE)
	if example == nil {
		return nil, fmt.Errorf("no mobile number of %s is known", region)
	}
	country := fmt.Sprintf("+%d", example.GetCountryCode())
	national := strings.TrimPrefix(phonenumbers.Format(example, phonenumbers.E164), country)
	digits := len(national) - 4 // that number blocks
	random := randomOf(seed, 'b')
	count := int(math.Pow10(digits))
	seen := map[int]bool{}
	var blocks []string
	for len(blocks) < most && len(seen) < min(count, 100*most) {
		i := random.IntN(count)
		if seen[i] {
			continue
		}
		seen[i] = true
		block := fmt.Sprintf("%s%0*d", country, digits, i)
		if taken(rules, block) {
			blocks = append(blocks, block)
		}
	}
	return blocks, nil
}

// taken reports whether the service takes the numbers of a block: some are looked at.
func taken(rules phone.Rules, block string) bool {
	return !slices.ContainsFunc([]string{"0000", "2357", "5555", "9999"}, func(end string) bool {
		e164, err := rules.Normalize(block + end)
		return err != nil || e164 != block+end
	})
}

// A deck gives the numbers of a block, each once.
type deck struct {
	block string
	given int
}

// next gives a number, "" if all were given.
func (d *deck) next() string {
	if d.given == blockSize {
		return ""
	}
	i := d.given * 7919 % blockSize // all of them, not in a row
	d.given++
	return fmt.Sprintf("%s%04d", d.block, i)
}

// A spread is how people are spread over the blocks of a region.
type spread struct {
	decks []*deck
	up    []float64 // to which part of all people each block and those before it come
}

// spreadOver spreads people by Zipf's law: the n-th block has 1/n^skew as many as the first.
// A skew of 0 spreads them evenly.
func spreadOver(blocks []string, skew float64) *spread {
	s := &spread{}
	sum := 0.0
	for i, block := range blocks {
		sum += math.Pow(float64(i+1), -skew)
		s.decks, s.up = append(s.decks, &deck{block: block}), append(s.up, sum)
	}
	for i := range s.up {
		s.up[i] /= sum
	}
	return s
}

// next gives the number of a person who was not there before.
func (s *spread) next(random *rand.Rand) string {
	for {
		i, _ := slices.BinarySearch(s.up, random.Float64())
		if number := s.decks[min(i, len(s.decks)-1)].next(); number != "" {
			return number
		}
	}
}

// top is the part of all people that the first block has.
func (s *spread) top() float64 { return s.up[0] }
