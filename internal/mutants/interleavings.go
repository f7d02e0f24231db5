package main

// interleavings are mutants that ./internal/explore must find by itself. All but the last two
// need two operations to show, and most of them two at once: TestAlone, which runs one, passes
// with them. (killers.txt has the first test that fails, and TestAlone is the first.)
var interleavings = []mutant{
	{"a lost race is told as a commit", "transact.go", "\t\t\tlost++\n\t\t\tcontinue\n\t\tcase err != nil:", "\t\t\tlost++\n\t\tcase err != nil:"},
	{"a wrong code that lost a race is told", "transact.go", "case errors.Is(err, ErrConflict):\n\t\t\tlost++", "case errors.Is(err, ErrConflict) && out.err != nil:\n\t\t\treturn told, out.err\n\t\tcase errors.Is(err, ErrConflict):\n\t\t\tlost++"},
	{"a lost race raises its events", "transact.go", "case errors.Is(err, ErrConflict):\n\t\t\tlost++", "case errors.Is(err, ErrConflict):\n\t\t\tlost++\n\t\t\tfor _, e := range out.events {\n\t\t\t\ts.emit(ctx, e)\n\t\t\t}"},
	{"a lost race is lost for good", "policy.go", "maxRaces          = 8", "maxRaces          = 1"},
	{"the first contradiction is an error", "user.go", "if !contradicts || c.seen == seen {", "if !contradicts || c.seen != seen+\".\" {"},
	{
		"the factors are read before their user", "user.go",
		`	records, err := s.load(ctx, append([]string{id}, others...)...)
	if err != nil {
		return nil, nil, err
	}
	p.user = &user{Record: Record{ID: id, Kind: kindUser, UserID: userID}}
	if rec, ok := records.find(id); ok {
		if err := s.keys.decode(rec, kindUser, p.user); err != nil {
			return nil, nil, err
		}
	}
	if p.factors, err = s.listFactors(ctx, userID); err != nil {
		return nil, nil, err
	}
`,
		`	if p.factors, err = s.listFactors(ctx, userID); err != nil {
		return nil, nil, err
	}
	records, err := s.load(ctx, append([]string{id}, others...)...)
	if err != nil {
		return nil, nil, err
	}
	p.user = &user{Record: Record{ID: id, Kind: kindUser, UserID: userID}}
	if rec, ok := records.find(id); ok {
		if err := s.keys.decode(rec, kindUser, p.user); err != nil {
			return nil, nil, err
		}
	}
`,
	},
	{
		"what is left of a user is read before their record", "turnoff.go",
		`	records, m, err := s.loadNow(ctx, id)
	if err != nil {
		return nil, err
	}
	d := &remains{moment: m, userID: userID}
	var members []string
	if rec, ok := records.find(id); ok {
		d.record = &rec
		if u := new(user); s.keys.decode(rec, kindUser, u) == nil {
			d.user = u
			for _, m := range u.factors {
				members = append(members, m.id)
			}
		}
	}
	if d.rows, err = s.rowsOf(ctx, kindFactor, userID, members); err != nil {
		return nil, err
	}
`,
		`	rows, err := s.rowsOf(ctx, kindFactor, userID, nil)
	if err != nil {
		return nil, err
	}
	records, m, err := s.loadNow(ctx, id)
	if err != nil {
		return nil, err
	}
	d := &remains{moment: m, userID: userID, rows: rows}
	if rec, ok := records.find(id); ok {
		d.record = &rec
		if u := new(user); s.keys.decode(rec, kindUser, u) == nil {
			d.user = u
		}
	}
`,
	},
	{"memory: a record is replaced at any version", "memory.go", "old.version != c.Record.Version):", "old.version != c.Record.Version && c.Delete):"},
	{"memory: a record is deleted at any version", "memory.go", "old.version != c.Record.Version):", "old.version != c.Record.Version && !c.Delete):"},
	{"memory: an insert replaces", "memory.go", "case insert && (ok || c.Delete), !insert", "case insert && c.Delete, !insert"},
	{"a receipt whose factor went meanwhile is used up", "proof.go", "case errors.Is(err, proof.ErrSpent):", "case false:"},
	{"a record is resealed as it was listed", "operator.go", "found, ok := records.find(rec.ID)\n\t\tif !ok {", "found, ok := rec, len(records) > 0\n\t\tif !ok {"},
	{"the same request at once is refused", "challenge.go", "errors.Is(out.err, ErrThrottled) && !sure {", "errors.Is(out.err, ErrThrottled) && !sure && false {"},

	// These show as well if the two come one after the other.
	{"a receipt is redeemed twice", "proof.go", "if ch.redeemed || ch.Status", "if ch.Status"},
	{"a recovery code stays good", "recovery.go", "r.hashes = slices.Delete(r.hashes, matched, matched+1)", "_ = matched"},
	{"messages do not count on the number", "challenge.go", "n.sends.Charge(now, d.quota())", "_ = n"},

	// And these with one operation: with a code that was used before, and with a fault.
	{"the step of a code stays good", "totp.go", "a.nextStep = step + 1", "a.nextStep = step"},
	{"a Save that failed is told as a commit", "transact.go", "case err != nil:\n\t\t\treturn none, err\n\t\t}\n\t\tfor _, e", "}\n\t\tfor _, e"},
}
