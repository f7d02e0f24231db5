package mfatest

import (
	"fmt"
	"slices"
	"time"

	"github.com/authfactor/mfa"
)

var loadChecks = []check{
	{
		name: "load",
		rule: "Load leaves out what is not there, and gives each record once.",
		look: "an id that is named twice, and a missing record taken for an error",
		f:    load,
	},
	{
		name: "ancestors",
		rule: "Load gives the parent of each record too, and the parent of that; " +
			"each once, those that exist.",
		look: "the second of two joins, and records that several others lead to; " +
			"foreign keys, which must not be, because a parent may be missing",
		f: ancestors,
	},
	{
		name: "families",
		rule: "Load gives the parents, and the parents of those, of whichever records are asked for.",
		look: "a walk that ends at a record that was found before, although that one was asked for " +
			"itself and its parents are still to come; and joins that begin with one id only",
		f: families,
	},
}

// circles is the last of all checks, because what it finds may go on for ever.
var circles = check{
	name: "circles of parents",
	rule: "Load ends also if somebody edited the database so that parents form a circle, " +
		"and gives each record once.",
	look: "the loop or the recursive query that follows parents: it must end at a record that it " +
		"has (UNION, not UNION ALL), or after the parent of the parent",
	f: circlesOfParents,
}

func load(p *probe) {
	p.ids("Load from an empty store", p.load("a"))
	p.save(put(record("a")), put(record("b")))
	p.ids("Load of three ids of which one is missing", p.load("a", "nothing", "b"), "a", "b")
	p.ids("Load of one id twice", p.load("b", "b"), "b")
	p.ids("Load of no ids", p.load())
}

func ancestors(p *probe) {
	user, factor, one, two := record("user"), record("factor"), record("one"), record("two")
	factor.Parent, one.Parent, two.Parent = user.ID, factor.ID, factor.ID
	orphan := record("orphan")
	orphan.Parent = "gone"
	p.save(put(one), put(two), put(factor), put(user), put(orphan))
	p.ids("Load of a challenge", p.load("one"), "factor", "one", "user")
	p.ids("Load of two challenges of one factor", p.load("one", "two"),
		"factor", "one", "two", "user")
	p.ids("Load of a challenge and its user", p.load("user", "one"), "factor", "one", "user")
	p.ids("Load of a factor", p.load("factor"), "factor", "user")
	p.ids("Load of a record whose parent is missing", p.load("orphan"), "orphan")
	p.save(remove("factor", 1))
	p.ids("Load of a challenge whose factor was deleted", p.load("one"), "one")
}

// families asks for every set of eight records of two users.
func families(p *probe) {
	parents := [][2]string{
		{"ann"}, {"bob"},
		{"a-app", "ann"}, {"a-sms", "ann"}, {"b-app", "bob"},
		{"a-app-1", "a-app"}, {"a-sms-1", "a-sms"}, {"b-app-1", "b-app"},
	}
	parent := map[string]string{}
	var family []mfa.Record
	for i, link := range parents {
		r := record(link[0])
		r.Parent = link[1]
		r.Kind = []string{"user", "user", "factor", "factor", "factor", "challenge"}[min(i, 5)]
		parent[r.ID] = r.Parent
		family = append(family, r)
	}
	p.save(puts(family)...)
	for set := 1; set < 1<<len(family); set++ {
		var asked, want []string
		for i, r := range family {
			if set&(1<<i) == 0 {
				continue
			}
			asked = append(asked, r.ID)
			for id := r.ID; id != ""; id = parent[id] {
				want = append(want, id)
			}
		}
		if set%2 == 1 {
			slices.Reverse(asked)
		}
		slices.Sort(want)
		p.ids("Load of "+quote(asked), p.load(asked...), slices.Compact(want)...)
	}
}

func circlesOfParents(p *probe) {
	save := func(id, parent string) {
		r := record(id)
		r.Parent = parent
		p.save(put(r))
	}
	save("line-1", "line-2")
	save("line-2", "line-3")
	save("line-3", "")
	began := time.Now()
	p.load("line-1")
	// Not longer, because what goes on for ever often fills the memory.
	p.patience = min(p.patience, max(5*time.Second, 100*time.Since(began)))
	save("itself", "itself")
	p.ids("Load of a record that is its own parent", p.load("itself"), "itself")
	for n := 2; n <= 3; n++ {
		var all []string
		for i := range n {
			all = append(all, fmt.Sprintf("circle-%d-%d", n, i))
		}
		for i, id := range all {
			save(id, all[(i+1)%n])
		}
		p.ids(fmt.Sprintf("Load of one of %d records in a circle", n), p.load(all[1]), all...)
		p.ids(fmt.Sprintf("Load of all of %d records in a circle", n), p.load(all...), all...)
	}
}
