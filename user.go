package mfa

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"slices"
	"time"
)

func userRecordID(userID string) string {
	sum := sha256.Sum256([]byte(userID))
	return userPrefix + base32.StdEncoding.EncodeToString(sum[:20])
}

// checkListed compares what the record of a user says of a factor with the factor's
// own. A factor that is not listed was deleted, and somebody put its row back.
func (u *user) checkListed(f *factor) error {
	i := slices.IndexFunc(u.factors, func(m membership) bool { return m.id == f.ID })
	switch {
	case i < 0:
		return contradict(u.Version, f.ID, f.Version, "the record of its user does not list it")
	case u.factors[i].verified != f.verified:
		return contradict(u.Version, f.ID, f.Version,
			"it and the record of its user do not agree on whether it is verified")
	}
	return nil
}

// A person is a user and all their factors.
type person struct {
	moment
	user    *user     // nil: a factor of nobody is asked for
	factors []*factor // oldest first, those that lapsed too
}

// openUser returns the record of the factor's owner, nil if it has none. What is lost
// or was put back is an error, unless the factor lapsed: a purge may take its user's
// record first.
func (s *Service) openUser(records loaded, now time.Time, f *factor) (*user, error) {
	if f.Parent == "" {
		return nil, nil //nolint:nilnil // it means that there is no owner, and nothing else
	}
	rec, ok := records.find(f.Parent)
	if !ok {
		if f.lapsed(now) {
			return nil, errNotFound(kindFactor, f.ID)
		}
		return nil, contradict(0, f.ID, f.Version, "the record of its user is gone")
	}
	u := new(user)
	if err := s.keys.decode(rec, kindUser, u); err != nil {
		return nil, err
	}
	if f.lapsed(now) {
		return u, nil
	}
	return u, u.checkListed(f)
}

// loadPerson reads the record of a user and all their factors. A factor that the record
// lists as verified and that is not there is an error: a lost row must not look like a
// user without a second factor.
func (s *Service) loadPerson(ctx context.Context, userID string) (*person, error) {
	if userID == "" {
		now, err := s.now()
		return &person{moment: moment{now, now}}, err
	}
	p, _, err := s.loadPersonBeside(ctx, userID)
	return p, err
}

// loadPersonBeside is loadPerson of somebody, with the records of other ids in the same
// read.
func (s *Service) loadPersonBeside(
	ctx context.Context, userID string, others ...string,
) (*person, loaded, error) {
	begun, err := s.now()
	if err != nil {
		return nil, nil, err
	}
	p := &person{moment: moment{begun: begun}}
	id := userRecordID(userID)
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
	if p.factors, err = s.listFactors(ctx, userID); err != nil {
		return nil, nil, err
	}
	if p.now, err = s.now(); err != nil {
		return nil, nil, err
	}
	return p, records, p.user.checkAll(p.factors, p.now)
}

// needsReceipt reports whether the user has a factor that a receipt can be required of.
func (p *person) needsReceipt() bool { return slices.ContainsFunc(p.factors, (*factor).proves) }

// sameApp is the verified factor of the user that is the same app as this one, nil if
// there is none.
func (p *person) sameApp(f *factor) *factor {
	for _, other := range p.factors {
		if other.verified && sameApp(f, other) {
			return other
		}
	}
	return nil
}

// checkAll compares the record of a user with all their factors.
func (u *user) checkAll(factors []*factor, now time.Time) error {
	for _, f := range factors {
		if f.lapsed(now) {
			continue
		}
		if err := u.checkListed(f); err != nil {
			return err
		}
	}
	return u.checkPresent(factors, u.factors)
}

// checkPresent is an error if one of these memberships is verified and its factor is not
// there. One that is not verified may have been purged.
func (u *user) checkPresent(factors []*factor, of []membership) error {
	for _, m := range of {
		if m.verified && !slices.ContainsFunc(factors, func(f *factor) bool { return f.ID == m.id }) {
			return contradict(u.Version, m.id, 0,
				"the record of its user lists it as verified, and it is gone")
		}
	}
	return nil
}

// listFactors reads the factors of a user, oldest first, those that lapsed too. A factor
// that a short page hides is missed by the user's record.
func (s *Service) listFactors(ctx context.Context, userID string) ([]*factor, error) {
	var factors []*factor
	query := Query{Kind: kindFactor, UserID: userID, Limit: 100}
	for rec, err := range s.list(ctx, query, shortIsLast) {
		if err != nil {
			return nil, err
		}
		f, err := s.decodeFactor(rec)
		if err != nil {
			return nil, err
		}
		if f.UserID != userID {
			return nil, integrityError(&rec, "the store listed it for another user")
		}
		factors = append(factors, f)
	}
	return factors, nil
}

// beside are the other factors of a user, as far as confirming one concerns them.
type beside struct {
	proves   bool      // one of them can be asked for a receipt
	replaced *factor   // by the one that is confirmed; nil: none
	others   []*factor // those that were read
}

// loadBeside reads the factors beside one that is to be confirmed: all of them if the
// user has none yet but recovery codes, since they end with this one, and otherwise the
// one that it replaces.
func (s *Service) loadBeside(ctx context.Context, f *factor, u *user) (beside, error) {
	var b beside
	if f.verified || u == nil {
		return b, nil
	}
	b.proves = u.hasFirst()
	var members []membership
	for _, m := range u.factors {
		if m.id != f.ID && (!u.hasFirst() || m.id == f.replaces) {
			members = append(members, m)
		}
	}
	var err error
	if b.others, err = s.loadMembers(ctx, u, members); err != nil {
		return b, err
	}
	for _, other := range b.others {
		b.proves = b.proves || other.proves()
		if other.ID == f.replaces {
			b.replaced = other
		}
	}
	return b, nil
}

// loadMembers reads factors of a user. One that is not verified may have been purged; one
// that is and is not there is an error.
func (s *Service) loadMembers(ctx context.Context, u *user, of []membership) ([]*factor, error) {
	if len(of) == 0 {
		return nil, nil
	}
	var ids []string
	for _, m := range of {
		ids = append(ids, m.id)
	}
	records, err := s.load(ctx, ids...)
	if err != nil {
		return nil, err
	}
	var factors []*factor
	for _, id := range ids {
		rec, ok := records.find(id)
		if !ok {
			continue
		}
		f, err := s.decodeFactor(rec)
		if err != nil {
			return nil, err
		}
		factors = append(factors, f)
	}
	return factors, u.checkPresent(factors, of)
}

// loadSiblings reads the other confirmed factors of the same type and owner, where the type
// has a use for them.
func (s *Service) loadSiblings(ctx context.Context, f *factor, u *user) ([]*factor, error) {
	if !f.traits.ceremony || u == nil {
		return nil, nil
	}
	members := slices.DeleteFunc(slices.Clone(u.factors), func(m membership) bool {
		return m.id == f.ID || !m.verified || m.backup
	})
	factors, err := s.loadMembers(ctx, u, members)
	return slices.DeleteFunc(factors, func(other *factor) bool { return other.Type != f.Type }), err
}

// going are the factors that go when the one beside them is confirmed: the one that it
// replaces, or, when it is the first, all that the user had before. Whoever knew the
// password alone may have enrolled those.
func (b beside) going() []*factor {
	switch {
	case b.replaced != nil:
		return []*factor{b.replaced}
	case b.proves:
		return nil
	}
	return b.others
}

// replace adds to an outcome that factors of the user are deleted for another.
func (out *outcome) replace(u *user, factors ...*factor) {
	for _, f := range factors {
		u.drop(f)
		out.drop(f)
		out.events = append(out.events, f.event(EventReplaced))
	}
}

// lists reports whether the user's record lists a factor.
func (u *user) lists(id string) bool {
	return slices.ContainsFunc(u.factors, func(m membership) bool { return m.id == id })
}

// hasVerified reports whether the user has a confirmed factor of any type. Of a factor
// without an owner there is no user, and so none.
func (u *user) hasVerified() bool {
	return u != nil && slices.ContainsFunc(u.factors, func(m membership) bool { return m.verified })
}

// hasFirst reports whether the user has a confirmed factor that is no backup.
func (u *user) hasFirst() bool {
	return slices.ContainsFunc(u.factors, membership.first)
}

// first reports whether this is a confirmed factor that is no backup.
func (m membership) first() bool { return m.verified && !m.backup }

// endsWithout reports whether the user has this one confirmed factor alone, backups aside.
func (u *user) endsWithout(f *factor) bool {
	if u == nil || !f.verified || f.traits.backup {
		return false
	}
	return !slices.ContainsFunc(u.factors, func(m membership) bool {
		return m.first() && m.id != f.ID
	})
}

// confirmed notes that a factor was confirmed.
func (u *user) confirmed(f *factor) {
	for i := range u.factors {
		if u.factors[i].id == f.ID {
			u.factors[i].verified = true
		}
	}
}

// drop takes a factor off the user's list, and keeps the used codes of an app.
func (u *user) drop(f *factor) {
	u.factors = slices.DeleteFunc(u.factors, func(m membership) bool { return m.id == f.ID })
	u.keepUsedCodes(f)
}

// touch prepares a user's record to be saved: it ends the trust in all devices if the
// verified factors are others than before, and sets the times. The record never expires
// while a verified factor counts against the cap.
func (u *user) touch(now time.Time) {
	if u.Version == 0 {
		u.CreatedAt = now
	}
	u.UpdatedAt = now
	if set := u.fingerprint(); string(set) != string(u.set) {
		u.set, u.devices = set, nil // whoever changed the factors may not be who trusted them
	}
	u.sends.Forget(now, maxSkew)
	u.ExpiresAt = later(now, later(u.sends.Lapse(), u.guesses.Lapse()))
	for _, m := range u.factors {
		if m.verified {
			u.ExpiresAt = time.Time{}
			return
		}
		u.ExpiresAt = later(u.ExpiresAt, m.lapses)
	}
}

// A contradiction is what two sealed records say that cannot both be true, such as
// a user's record that lists a factor which is not there. It matches ErrIntegrity.
type contradiction struct {
	error
	seen string // which versions said so
}

func (c *contradiction) Unwrap() error { return c.error }

// contradict says what a user's record and another record disagree about. Either
// version is 0 where there is no such record.
func contradict(userVersion int64, id string, version int64, what string) error {
	return &contradiction{
		fmt.Errorf("%w: record %s: %s", ErrIntegrity, id, what),
		fmt.Sprint(userVersion, id, version),
	}
}

// agreed reads until the records agree, or contradict each other twice in the
// same way: those read at different moments may do so while somebody writes
// them. A Save is seen at one moment, so the next reading has all of it. id
// names the subject of ErrThrottled after too many races.
func agreed[T any](id string, read func() (T, error)) (T, error) {
	var none T
	seen := ""
	for range maxRaces {
		v, err := read()
		c, contradicts := errors.AsType[*contradiction](err)
		if !contradicts || c.seen == seen {
			return v, err
		}
		seen = c.seen
	}
	return none, errThrottled(id, raceWait, ReasonRaces)
}

// acceptedUser changes the user's record, if a right code has to: one that confirms the
// factor ends others, and one that came by message ends the cool-down.
func (d *verifying) acceptedUser(out *outcome, firstUse bool) {
	u, f := d.user, d.factor
	if !firstUse && !f.traits.messages {
		return
	}
	if firstUse {
		out.replace(u, d.beside.going()...)
		u.confirmed(f)
	}
	if f.traits.messages {
		u.sends.Since = d.now
		if firstUse {
			u.sends.Forgiven = d.challenge.CreatedAt
		}
	}
	u.touch(d.now)
	out.put(u)
}
