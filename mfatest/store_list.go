package mfatest

import (
	"fmt"

	"github.com/authfactor/mfa"
)

var listChecks = []check{
	{
		name: "list by kind and user",
		rule: "List gives records of the kind alone, and of the user alone if one is named; " +
			"nothing found is no error.",
		look: "the conditions of the query: with an empty UserID the user is no condition; " +
			"and an index that was not renewed",
		f: listByKindAndUser,
	},
	{
		name: "list in order",
		rule: "List is in order of id, byte by byte, whatever the order of the inserts.",
		look: "ORDER BY id before the limit, and a collation that is not of bytes",
		f:    listInOrder,
	},
	{
		name: "list in pages",
		rule: "After and Limit page through a list: each record once, and none beyond Limit.",
		look: "the comparison with After: id > After, byte by byte, also if no record has that id",
		f:    listInPages,
	},
	{
		name: "list whole pages",
		rule: "List gives fewer records than Limit only if there are no more: " +
			"a short page is the last one.",
		look: "a limit that is applied before the kind and the user are compared; " +
			"and a database that gives shorter pages: read on until there are Limit records",
		f: listWholePages,
	},
	{
		name: "list large records",
		rule: "List gives fewer records than Limit only if there are no more, however large they are.",
		look: "a limit on the bytes of an answer, in the database or its driver: " +
			"read on until there are Limit records",
		f: listLargeRecords,
	},
}

func listInOrder(p *probe) {
	want := []string{"!", "A", "Z", "_", "a", "a!", "aa", "b", "~"}
	for _, i := range []int{4, 0, 8, 2, 6, 1, 7, 3, 5} {
		p.save(put(record(want[i])))
	}
	for _, user := range []string{"user", ""} {
		q := mfa.Query{Kind: "factor", UserID: user, Limit: 100}
		p.ids(text(q), p.list(q), want...)
	}
}

func listInPages(p *probe) {
	var want []string
	for i := range 25 {
		id := fmt.Sprintf("id-%02d", i)
		want = append(want, id)
		p.save(put(record(id)))
	}
	for _, user := range []string{"user", ""} {
		q := mfa.Query{Kind: "factor", UserID: user, Limit: 10}
		p.ids("all pages: "+text(q), p.listAll(q), want...)
		q.Limit = 5 // the last page is full
		p.ids("all pages: "+text(q), p.listAll(q), want...)
		q = mfa.Query{Kind: "factor", UserID: user, After: "id-03x", Limit: 2}
		p.ids(text(q)+", which is not there", p.list(q), "id-04", "id-05")
		q.After = "id-24"
		p.ids(text(q)+", which is the last", p.list(q))
	}
}

func listWholePages(p *probe) {
	const n, limit = 150, 100
	var all []mfa.Record
	var ofUser, ofAll []string
	for i := range n {
		// Between two records that are wanted are others.
		for suffix, r := range map[string]mfa.Record{
			"":            {Kind: "factor", UserID: "user"},
			"-kind":       {Kind: "challenge", UserID: "user"},
			"-other-kind": {Kind: "device", UserID: "user"},
			"-user":       {Kind: "factor", UserID: "other"},
		} {
			of := record(fmt.Sprintf("id-%03d%s", i, suffix))
			of.Kind, of.UserID = r.Kind, r.UserID
			all = append(all, of)
		}
		id := fmt.Sprintf("id-%03d", i)
		ofUser, ofAll = append(ofUser, id), append(ofAll, id, id+"-user")
	}
	p.fill(all)
	for _, user := range []string{"user", ""} {
		q, want := mfa.Query{Kind: "factor", UserID: user, Limit: limit}, ofUser
		if user == "" {
			want = ofAll
		}
		page := p.list(q)
		if len(page) < limit {
			p.fail("%s: %d records, want %d, because there are %d",
				text(q), len(page), limit, len(want))
		}
		p.ids(text(q), page, want[:limit]...)
		q.After = want[limit-1]
		p.ids("all pages from then on: "+text(q), p.listAll(q), want[limit:]...)
	}
}

func listLargeRecords(p *probe) {
	const n = 5 * maxChanges // which are 5 MiB
	var all []mfa.Record
	for i := range n {
		r := record(fmt.Sprintf("id-%02d", i))
		r.State = longState(i)
		all = append(all, r)
	}
	p.fill(all)
	for _, user := range []string{"user", ""} {
		q := mfa.Query{Kind: "factor", UserID: user, Limit: 100}
		page := p.list(q)
		if len(page) < n {
			p.fail("%s: %d records of 64 KiB, want %d, because so many are there", text(q), len(page), n)
		}
		sortByID(page)
		for i, r := range page {
			p.same(r, stored(all[i]))
		}
	}
}

func listByKindAndUser(p *probe) {
	for i, r := range []struct{ kind, user string }{
		{"factor", "ann"}, {"challenge", "ann"}, {"factor", "bob"}, {"factor", ""}, {"factor", "ann"},
	} {
		rec := record(fmt.Sprint("id", i))
		rec.Kind, rec.UserID = r.kind, r.user
		p.save(put(rec))
		for _, got := range p.list(mfa.Query{Kind: r.kind, UserID: r.user, Limit: 10}) {
			if got.ID == rec.ID {
				p.same(got, stored(rec))
			}
		}
	}
	list := func(kind, user string, want ...string) {
		p.listed(mfa.Query{Kind: kind, UserID: user, Limit: 10}, want...)
	}
	list("factor", "ann", "id0", "id4")
	list("challenge", "ann", "id1")
	list("factor", "", "id0", "id2", "id3", "id4")
	list("number", "")
	list("factor", "eve")
}
