package mfatest

import (
	"fmt"
	"strings"
	"time"

	"github.com/authfactor/mfa"
)

// firstChecks are about the least that the others need.
var firstChecks = []check{
	{
		name: "columns",
		rule: "Every field comes back as it was saved, and the first Version is 1.",
		look: "the columns of your insert and of your select, and their order; " +
			"Version 0 in a Change inserts, and is stored as 1",
		f: columns,
	},
}

// valueChecks are about one record: what is saved comes back.
var valueChecks = []check{
	{
		name: "ids",
		rule: "Ids are 1 to 64 printable ASCII characters, the space included, " +
			"and compared byte by byte.",
		look: "the type, length and collation of the column: in SQL a binary one, such as " +
			"COLLATE \"C\" or VARBINARY(64), and never a number or a uuid; and placeholders in " +
			"place of quoting",
		f: ids,
	},
	{
		name: "hostile ids",
		rule: "Whatever is asked for, nothing is found (an error will do), and the store works on.",
		look: "how an id gets into a query: by placeholders, and as a whole, never by a pattern, " +
			"a prefix or a cut",
		f: hostileIDs,
	},
	{
		name: "users",
		rule: "User ids are valid UTF-8 of at most 255 bytes, compared byte by byte: " +
			"neither case, nor spaces, nor accents are folded, and no character is changed.",
		look: "the type and collation of the column: a binary one of 255 bytes, or text with " +
			"COLLATE \"C\"; in MySQL not the character set utf8 (utf8mb3), which has no characters of " +
			"four bytes; never a number or a uuid",
		f: users,
	},
	{
		name: "names",
		rule: "Kind, Type and Status are up to 32 characters of a to z, 0 to 9 and '_', " +
			"and later versions have more of them.",
		look: "columns that are shorter, or that allow a list of values only (ENUM, CHECK)",
		f:    names,
	},
	{
		name: "states",
		rule: "State is any bytes, up to 64 KiB, or none.",
		look: "the type of the column: bytes, not text, and in MySQL MEDIUMBLOB, " +
			"because BLOB ends one byte before 64 KiB",
		f: states,
	},
	{
		name: "times",
		rule: "Times keep their milliseconds and come back in UTC; the first moment of 1970 is a " +
			"time, and the zero time comes back as the zero time.",
		look: "a column that keeps seconds, or moves with the time zone of the connection: " +
			"integers of milliseconds do neither; .UTC() on what is read; NULL, and not 0, " +
			"for the zero time",
		f: times,
	},
	{
		name: "versions",
		rule: "Each replacement stores Version+1 and the whole new record.",
		look: "the columns of your update, and a copy of the record that is not renewed",
		f:    versions,
	},
	{
		name: "expired records",
		rule: "Besides Purge and Save, nothing deletes a record before it has been expired " +
			"for 24 hours.",
		look: "a time to live that the database ends at ExpiresAt by its own clock, " +
			"and a query that leaves out what expired",
		f: expiredRecords,
	},
	{
		name: "aliases",
		rule: "The store keeps nothing of its arguments and gives nothing of its own away: " +
			"neither side's later changes are seen by the other.",
		look: "State, a slice: copy it (bytes.Clone) when it is saved and when it is read",
		f:    aliases,
	},
}

func columns(p *probe) {
	user, parent := record("auth_user_1"), record("auth_factor_1")
	user.Kind, parent.Parent = "user", user.ID
	none := mfa.Record{ID: "auth_challenge_1", Kind: "challenge", CreatedAt: created}
	p.save(put(user), put(parent), put(none))
	p.holds(stored(user), stored(parent), stored(none))
}

func ids(p *probe) {
	ids := []string{"a", "A", "a ", " a", "a b", "a%", "a_", `a'"`, `a\`, "a;--", "a{}", "!", "~", " ",
		"7", "07", "7.0", "1e1", "10", "0x7",
		"6f9619ff-8b86-d011-b42d-00c04fc964ff", "6F9619FF-8B86-D011-B42D-00C04FC964FF",
		strings.Repeat("x", maxID-1), strings.Repeat("x", maxID)}
	for _, id := range ids {
		p.save(put(record(id)))
	}
	for _, id := range ids {
		p.holds(stored(record(id)))
		p.ids("Load of one id", p.load(id), id)
	}
	p.save(remove("a", 1))
	for _, id := range ids[1:] {
		p.holds(stored(record(id)))
	}
}

func hostileIDs(p *probe) {
	p.save(put(record("a")))
	for _, id := range []string{"", "\x00", "a\x00", "\xff\xfe", "é", "a\n", "' OR '1'='1",
		strings.Repeat("a", 1<<20)} {
		if records, err := p.Load(p.ctx, id); err == nil && len(records) > 0 {
			p.fail("Load of %.20q found %q, want nothing", id, records[0].ID)
		}
		q := mfa.Query{Kind: "factor", UserID: id + "x", Limit: 10}
		if records, err := p.List(p.ctx, q); err == nil && len(records) > 0 {
			p.fail("List of user %.20q found %q, want nothing", q.UserID, records[0].ID)
		}
	}
	p.holds(stored(record("a")))
}

func users(p *probe) {
	users := []string{"Ann", "ann", "ann ", " ann", "a%", "a_", "ab", `a'"\`, "é", "e\u0301", "e",
		"ss", "ß", "日本", "?", "\ufffd", "😀", "😁", "𝒜nn", "7", "07", "7.0",
		"6f9619ff-8b86-d011-b42d-00c04fc964ff", "6F9619FF-8B86-D011-B42D-00C04FC964FF",
		strings.Repeat("😀", 63), strings.Repeat("😀", 62) + "😁",
		strings.Repeat("u", maxUserID-1), strings.Repeat("u", maxUserID)}
	for i, user := range users {
		r := record(fmt.Sprintf("id-%02d", i))
		r.UserID = user
		p.save(put(r))
		p.holds(stored(r))
	}
	for i, user := range users {
		p.listed(mfa.Query{Kind: "factor", UserID: user, Limit: 100}, fmt.Sprintf("id-%02d", i))
	}
}

func names(p *probe) {
	// They differ in their last character alone.
	long := strings.Repeat("k", maxName-4)
	names := []string{long + "_v9a", long + "_v9b"}
	for _, name := range names {
		r := record(name)
		r.Kind, r.Type, r.Status = name, name, name
		p.save(put(r))
		p.holds(stored(r))
	}
	for _, name := range names {
		for _, user := range []string{"user", ""} {
			p.listed(mfa.Query{Kind: name, UserID: user, Limit: 10}, name)
		}
	}
}

func states(p *probe) {
	every := longState(0)
	for i, state := range [][]byte{nil, {}, {0}, {0xff, 0xfe}, []byte("' \\ \x00 é"), every} {
		r := record(fmt.Sprint("id", i))
		r.State = state
		p.save(put(clone(r)))
		p.holds(stored(r))
		r = stored(r)
		r.State = every[:i]
		p.save(put(clone(r)))
		p.holds(stored(r))
	}
}

func times(p *probe) {
	for i, at := range []time.Time{
		{}, created,
		time.UnixMilli(0).UTC(), time.UnixMilli(1).UTC(),
		time.Date(9999, 12, 31, 23, 59, 59, 999_000_000, time.UTC),
		// Hours that some zones skip or repeat.
		time.Date(2026, 3, 29, 1, 30, 0, 0, time.UTC), time.Date(2026, 10, 25, 2, 30, 0, 0, time.UTC),
	} {
		r := record(fmt.Sprint("id", i))
		r.CreatedAt, r.UpdatedAt, r.ExpiresAt = at, at, at
		if at.IsZero() {
			r.CreatedAt = created
		}
		p.save(put(r))
		p.holds(stored(r))
		for _, listed := range p.list(mfa.Query{Kind: r.Kind, UserID: r.UserID, Limit: 10}) {
			if listed.ID == r.ID {
				p.same(listed, stored(r))
			}
		}
	}
}

func versions(p *probe) {
	r := record("a")
	for i := range 5 {
		r.State, r.Status, r.Type = fmt.Append(nil, i), fmt.Sprint("status_", i), fmt.Sprint("type_", i)
		r.Parent, r.UpdatedAt, r.ExpiresAt = fmt.Sprint("parent ", i),
			created.Add(time.Duration(i)*time.Minute), created.Add(time.Duration(i)*time.Hour)
		p.save(put(r))
		r = stored(r)
		p.holds(r)
	}
	r.ExpiresAt, r.Parent, r.State = time.Time{}, "", nil
	p.save(put(r))
	p.holds(stored(r))
}

func expiredRecords(p *probe) {
	var want []string
	for i, expired := range []time.Time{
		created.Add(-time.Minute), created, // by the time of the record itself
		time.Now().Add(-time.Hour).UTC().Truncate(time.Millisecond), // by any clock
	} {
		r := record(fmt.Sprint("id", i))
		r.ExpiresAt = expired
		p.save(put(r))
		p.holds(stored(r))
		want = append(want, r.ID)
	}
	p.listed(mfa.Query{Kind: "factor", UserID: "user", Limit: 10}, want...)
	expired := stored(record(want[0]))
	expired.ExpiresAt = created.Add(-time.Minute)
	p.save(put(expired))
	p.holds(stored(expired))
}

func aliases(p *probe) {
	want := stored(record("a"))
	changes := []mfa.Change{put(record("a"))}
	p.save(changes...)
	for i := range changes[0].Record.State {
		changes[0].Record.State[i] = 'x'
	}
	changes[0] = mfa.Change{}
	p.holds(want)
	for _, read := range []func() []mfa.Record{
		func() []mfa.Record { return []mfa.Record{p.find("a")} },
		func() []mfa.Record {
			return p.listed(mfa.Query{Kind: "factor", UserID: "user", Limit: 10}, "a")
		},
		func() []mfa.Record { return p.listed(mfa.Query{Kind: "factor", Limit: 10}, "a") },
	} {
		got := read()
		for i := range got[0].State {
			got[0].State[i] = 'y'
		}
		_ = append(got[0].State, "more"...)
		got[0].Status = "verified"
		p.holds(want)
	}
}
