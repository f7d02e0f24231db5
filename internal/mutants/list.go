package main

// A mutant is one small change that a tired author could make. Old occurs once in
// File.
type mutant struct{ what, file, old, new string }

var mutants = []mutant{
	// A code is accepted once.
	{"drop the step check", "challenge.go", "matched >= 0 && step < f.nextStep", "false && step < f.nextStep"},
	{"the same step again", "challenge.go", "f.nextStep = step + 1", "f.nextStep = step"},
	{"forget the step", "challenge.go", "f.nextStep = step + 1", "_ = step"},
	{"never look whether the challenge was verified", "challenge.go", "case ch.Status == StatusVerified:", "case false:"},
	{"leave the challenge open", "challenge.go", "ch.Status, ch.code = StatusVerified, \"\"", "ch.code = \"\""},
	{"save the factor alone", "challenge.go", "out := outcome{save: []stored{ch, f}}", "out := outcome{save: []stored{f}}"},
	{"save the challenge alone", "challenge.go", "out := outcome{save: []stored{ch, f}}", "out := outcome{save: []stored{ch}}"},
	{"compare the first candidate only", "challenge.go", "for i, c := range candidates {", "for i, c := range candidates[:1] {"},
	{"take the oldest match", "challenge.go", "matched = subtle.ConstantTimeSelect(equal, i, matched)", "if equal == 1 && matched < 0 {\n\t\t\tmatched = i\n\t\t}"},
	{"compare a prefix", "challenge.go", "subtle.ConstantTimeCompare([]byte(c), []byte(code))", "subtle.ConstantTimeCompare([]byte(c)[:len(c)/2], []byte(code)[:len(c)/2])"},
	{"take what is no code", "challenge.go", "return code, true", "return code[:0] + \"000000\", true"},
	{"take other characters than digits", "challenge.go", "if code[i] < '0' || code[i] > '9' {", "if code[i] < '0' {"},

	// Wrong codes are counted.
	{"skip the factor's counter", "challenge.go", "lane.fail(now, p)", "_ = p"},
	{"skip the challenge's counter", "challenge.go", "ch.failures++", "_ = ch"},
	{"one more try", "challenge.go", "ch.failures >= int64(p.MaxAttempts)", "ch.failures > int64(p.MaxAttempts)"},
	{"compare while the factor waits", "challenge.go", "case wait > 0:\n\t\te := f.eventOf", "case false:\n\t\te := f.eventOf"},
	{"compare while the factor is disabled", "challenge.go", "case lane.disabled:\n\t\treturn Verification{}, outcome{err: errFactorDisabled(f.ID)}", "case false:"},
	{"challenge while the factor is disabled", "challenge.go", "case lane.disabled:\n\t\treturn outcome{err: errFactorDisabled(f.ID)}", "case false:"},
	{"never disable", "policy.go", "g.disabled = g.disabled || g.failures >= int64(p.MaxFailures)", "_ = p"},
	{"disable one later", "policy.go", "g.failures >= int64(p.MaxFailures)", "g.failures > int64(p.MaxFailures)"},
	{"empty the bucket with a success", "policy.go", "g.failures, g.last = 0, time.Time{}", "g.failures, g.last, g.bucket = 0, time.Time{}, time.Time{}"},
	{"count a success as no success", "policy.go", "func (g *guesses) succeed() { g.failures, g.last = 0, time.Time{} }", "func (g *guesses) succeed() {}"},
	{"a bucket of one more", "policy.go", "full := g.bucket.Sub(now.Add((bucketSize - 1) * bucketDrain))", "full := g.bucket.Sub(now.Add(bucketSize * bucketDrain))"},
	{"one free failure more", "policy.go", "const freeFailures = 4", "const freeFailures = 5"},
	{"count a number's failures on the factor", "factor.go", "func (f *factor) failsOnNumber() bool { return f.Type == TypeSMS && !f.verified }", "func (f *factor) failsOnNumber() bool { return false }"},
	{"a replayed code is not counted", "challenge.go", "if matched < 0 || replayed {", "if replayed {\n\t\treturn Verification{Challenge: ch.public()}, outcome{err: errInvalidCode(ch.ID, 1, 0)}\n\t}\n\tif matched < 0 {"},

	// Commit, then tell.
	{"tell although the commit failed", "mfa.go", "case err != nil:\n\t\t\treturn none, err\n\t\t}\n\t\tfor", "case err != nil && false:\n\t\t\treturn none, err\n\t\t}\n\t\tfor"},
	{"tell although the race was lost", "mfa.go", "case errors.Is(err, ErrConflict):\n\t\t\tcontinue", "case errors.Is(err, ErrConflict):"},
	{"commit under the caller's context", "mfa.go", "context.WithTimeout(context.WithoutCancel(ctx), timeout)", "context.WithTimeout(ctx, timeout)"},
	{"race for ever", "mfa.go", "for range maxRaces {", "for {"},
	{"send before the charge is committed", "challenge.go", "v, err := transact(ctx, s, p.FactorID, load,", "if v, err := load(ctx); err == nil && v.factor.Type == TypeSMS {\n\t\t_ = s.sms.Send(ctx, Message{To: v.factor.phone, Body: render(template, v.challenge.code)})\n\t}\n\tv, err := transact(ctx, s, p.FactorID, load,"},
	{"leave the challenge open when its message failed", "challenge.go", "ch.Version, ch.Status, ch.code = 1, statusVoid, \"\"", "ch.Version = 1"},

	// Whose it is, and how long.
	{"forget the owner", "factor.go", "if userID == AnyUser || userID == f.UserID {", "if true {"},
	{"no user is any user", "factor.go", "if userID == AnyUser || userID == f.UserID {", "if userID == AnyUser || userID == \"\" || userID == f.UserID {"},
	{"an unverified factor logs in", "challenge.go", "case !f.verified && !in.Confirm && u.hasVerified():", "case false:"},
	{"expire a moment later", "challenge.go", "case !now.Before(ch.ExpiresAt), ", "case now.After(ch.ExpiresAt), "},
	{"never expire", "challenge.go", "case !now.Before(ch.ExpiresAt), ", "case "},
	{"an enrolment never lapses", "factor.go", "return !f.verified && !now.Before(f.ExpiresAt) }", "return false }"},
	{"Reset makes used codes valid", "factor.go", "f.guesses = guesses{}\n\t\tf.setStatus(now)", "f.guesses, f.nextStep = guesses{}, 0\n\t\tf.setStatus(now)"},
	{"two steps of delay", "totp.go", "around := int64(p.steps() / 2)", "around := int64(p.steps()/2) + 1"},
	{"eleven factors", "factor.go", "if len(u.factors)-len(going) >= maxFactors ||", "if len(u.factors)-len(going) > maxFactors ||"},

	// Messages.
	{"messages are not charged to the number", "challenge.go", "n.sends.charge(now)", "_ = n"},
	{"messages are not charged to the user", "challenge.go", "u.sends.charge(now)", "_ = u"},
	{"no cool-down", "policy.go", "if n > 0 {", "if false {"},
	{"a message more in an hour", "policy.go", "if n >= q.hour {", "if n > q.hour {"},
	{"the same quota for numbers that were never confirmed", "challenge.go", "quota = unverifiedSendQuota", "quota = sendQuota"},
	{"a message to any region", "phone.go", "return r.regions[phonenumbers.GetRegionCodeForNumber(number)]", "return true"},
	{"codes of five digits", "sms.go", "rand.Int(rand.Reader, big.NewInt(codeSpace))", "rand.Int(rand.Reader, big.NewInt(codeSpace/10))"},

	// Sealing.
	{"reuse a nonce", "keyring.go", "if _, err := rand.Read(nonce); err != nil {", "if _, err := rand.Read(nil); err != nil {"},
	{"do not bind the version", "keyring.go", "ad = binary.AppendVarint(ad, version)", "_ = version"},
	{"do not bind the row", "keyring.go", "[...]string{rec.Kind, rec.ID, rec.Parent, rec.UserID}", "[...]string{rec.Kind}"},
	{"believe the column Status", "record.go", "case sealed.Status != rec.Status:", "case false:"},
	{"believe the column ExpiresAt", "record.go", "case !sealed.ExpiresAt.Equal(rec.ExpiresAt):", "case false:"},
	{"take a record of another kind", "record.go", "if rec.Kind != kind {", "if false {"},

	// The store in memory.
	{"ignore versions", "memory.go", "(!ok || old.version != c.Record.Version)", "(!ok || old.version < 0)"},
	{"insert over what is there", "memory.go", "case insert && (ok || c.Delete), ", "case insert && c.Delete, "},
	{"purge what is still alive", "memory.go", "if r.expires != 0 && r.expires < limit {", "if r.expires != 0 && limit > 0 {"},

	// Recovery codes.
	{"leave a recovery code in place", "challenge.go", "f.recovery = slices.Delete(f.recovery, matched, matched+1)", "_ = slices.Delete[[]string]"},
	{"use up the first recovery code", "challenge.go", "f.recovery = slices.Delete(f.recovery, matched, matched+1)", "f.recovery = slices.Delete(f.recovery, 0, 1)"},
	{"keep the old set of recovery codes", "factor.go", "case other.verified && f.Type == TypeRecoveryCodes && other.Type == f.Type:", "case false:"},
	{"recovery codes without an owner", "factor.go", "if p.UserID == \"\" {\n\t\t\treturn nil, errParameter(\"Recovery", "if false {\n\t\t\treturn nil, errParameter(\"Recovery"},
	{"short recovery codes", "recovery.go", "return code.String(), code.Len() == recoveryCodeLength", "return code.String(), code.Len() > 0"},

	// A factor in the place of another.
	{"keep the factor that was replaced", "challenge.go", "out.remove = append(out.remove, v.replaced)", "_ = v"},
	{"replace what is not confirmed", "factor.go", "m.id == id && m.verified &&", "m.id == id &&"},
	{"replace a factor of anybody", "factor.go", "m.id == id && m.verified &&", "m.verified &&"},
	{"forget the codes of an app that is brought along again", "challenge.go", "f.nextStep = max(f.nextStep, old.nextStep)", "_ = old"},
	{"try codes under the key of a success", "challenge.go", "ch.answered(nil, now)\n\t\t\tout.save", "out.save"},

	// Apps that are brought along.
	{"make a secret for an import that has none", "import.go", "if app.Secret == \"\" {", "if false {"},
	{"import without a user", "import.go", "if p.UserID == \"\" {", "if false {"},
	{"an import has to be confirmed", "import.go", "f.verified = true", "_ = f"},
	{"take the codes that are valid at an import", "import.go", "return false, usedAt(now) + 1", "return false, 0"},
	{"take the last code that was used elsewhere", "import.go", "return true, last + 1", "return true, last"},
	{"no app is ahead", "import.go", "min(t.Unix(), now.Unix())/period + 1 }", "min(t.Unix(), now.Unix()) / period }"},
	{"believe in a use in the future", "import.go", "min(t.Unix(), now.Unix())/period", "t.Unix()/period"},
	{"believe in a step in the future", "import.go", "if p.LastStep > now.Unix()/period+maxStepsAhead {", "if false {"},
	{"the time of a use alone", "import.go", "last = max(last, usedAt(p.LastUsed))", "last = usedAt(p.LastUsed)"},
	{"import an app a second time", "import.go", "string(other.secret) != string(f.secret)", "f != nil"},
	{"any app is the same", "import.go", "string(other.secret) != string(f.secret)", "f == nil"},
	{"make used codes valid by importing again", "import.go", "if !known || next <= other.nextStep {", "if !known {"},
	{"burn a code with each import", "import.go", "if !known || next <= other.nextStep {", "if _ = known; next <= other.nextStep {"},
	{"forget what was used elsewhere since", "import.go", "if !known || next <= other.nextStep {", "if _ = known; next > 0 {"},
	{"an import ends an enrolment", "factor.go", "(!f.verified || string(other.secret) == string(f.secret))", "f != nil"},
	{"an import leaves an enrolment of its secret", "factor.go", "(!f.verified || string(other.secret) == string(f.secret))", "!f.verified"},
	{"import an app that counts", "import.go", "!strings.EqualFold(uri.Host, \"totp\")", "uri.Host == \"\""},
	{"import an app of another algorithm", "import.go", "query.Has(\"algorithm\") && ", "false && "},
	{"import an app of eight digits", "import.go", "query.Has(\"digits\") && ", "false && "},
	{"import an app of another period", "import.go", "query.Has(\"period\") && ", "false && "},
	{"take the first of two parameters", "import.go", "if len(values) > 1 {", "if len(values) > 2 {"},
	{"overlook a parameter", "import.go", "if !slices.Contains([]string{\"secret\"", "if name == \"\" && slices.Contains([]string{\"secret\""},
	{"overlook a second issuer", "import.go", "if issuer != \"\" && issuer != named &&", "if false &&"},
	{"quote a URI", "import.go", "if err != nil || uri.User != nil || uri.Fragment != \"\" {\n", "if err != nil {\n\t\treturn errTOTPSecret(err.Error())\n\t}\n\tif uri.User != nil || uri.Fragment != \"\" {\n"},

	// A call that is made again.
	{"answer another request with the same key", "challenge.go", "case v.earlier != nil && !request.sameAsked(v.request):", "case false:"},
	{"keep the key of a message that failed", "challenge.go", "if earlier.Status != statusVoid {", "if true {"},
	{"forget the key", "challenge.go", "f.remember(request, now, ch.ID)", "_ = request"},
	{"believe reads of different moments", "challenge.go", "sure := p.IdempotencyKey == \"\"", "sure := true"},
	{"never forget a key", "idempotency.go", "now.Sub(earlier.at).Abs() <= within", "within > 0"},
	{"any key is the same", "idempotency.go", "len(earlier.key) > 0 && hmac.Equal(r.key, earlier.key)", "len(earlier.key) > 0"},
	{"compare another code under the same key", "challenge.go", "case again && !request.sameAsked(ch.request):", "case false && again:"},
	{"share in a success with a wrong code", "idempotency.go", "ch.request = request{}", "_ = ch"},
	{"keep every key", "idempotency.go", "kept[max(0, len(kept)-maxRequests):]", "kept"},
	{"tell the code of a message", "challenge.go", "if v.factor.Type == TypeGenericOTP {\n\t\ttold", "if v.factor.Type != \"\" {\n\t\ttold"},

	// Everything moves to the first key.
	{"leave users to the old key", "reseal.go", "{kindFactor, factorPrefix}, {kindUser, userPrefix}", "{kindFactor, factorPrefix}"},
	{"leave numbers to the old key", "reseal.go", "if len(v.numbers) > 0 {", "if false {"},
	{"let a moved number never expire", "reseal.go", "v.number.touch(now)", "_ = now"},
	{"begin a walk anew", "reseal.go", "max(progress.After, kind.prefix)", "kind.prefix"},
}
