package mfa

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

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

// agreed reads until the records agree, or contradict each other twice in the same
// way: records that are not read at one moment may contradict each other while
// somebody writes them. A Save is seen at one moment, so the next reading has all of it.
// id is what a caller is told about for whom others wrote all the time.
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
	return none, errThrottled(id, raceWait)
}

// agrees compares what the record of a user says of a factor with the factor's own.
// A factor that its user's record does not list was taken away, and somebody put its
// row back.
func (u *user) agrees(f *factor) error {
	i := slices.IndexFunc(u.factors, func(m membership) bool { return m.id == f.ID })
	switch {
	case i < 0:
		return contradict(u.Version, f.ID, f.Version, "the record of its user does not list it")
	case u.factors[i].verified != f.verified:
		return contradict(u.Version, f.ID, f.Version, "it and the record of its user do not agree on whether it is verified")
	}
	return nil
}

// openUser sets the view's user if the factor has one. What is lost or was put back
// is an error, unless the factor lapsed: a purge may take its user's record first.
func (s *Service) openUser(records loaded, v *view) error {
	f := v.factor
	if f.Parent == "" {
		return nil
	}
	now, err := s.now()
	if err != nil {
		return err
	}
	rec, ok := records.find(f.Parent)
	if !ok {
		if f.lapsed(now) {
			return errNotFound(kindFactor, f.ID)
		}
		return contradict(0, f.ID, f.Version, "the record of its user is gone")
	}
	v.user = new(user)
	if err := s.keys.opened(rec, kindUser, v.user); err != nil || f.lapsed(now) {
		return err
	}
	return v.user.agrees(f)
}

// loadUser reads the record of a user and all their factors, oldest first. A factor
// that the record lists as verified and that is not there is an error: a lost row must
// not look like a user without a second factor.
func (s *Service) loadUser(ctx context.Context, userID string) (*view, error) {
	v := new(view)
	if userID == "" {
		return v, nil
	}
	id := userRecordID(userID)
	records, err := s.load(ctx, id)
	if err != nil {
		return nil, err
	}
	v.user = &user{Record: Record{ID: id, Kind: kindUser, UserID: userID}}
	if rec, ok := records.find(id); ok {
		if err := s.keys.opened(rec, kindUser, v.user); err != nil {
			return nil, err
		}
	}
	if v.factors, err = s.listFactors(ctx, userID); err != nil {
		return nil, err
	}
	now, err := s.now()
	if err != nil {
		return nil, err
	}
	return v, v.user.agreesWith(v.factors, now)
}

// agreesWith compares the record of a user with all their factors.
func (u *user) agreesWith(factors []*factor, now time.Time) error {
	for _, f := range factors {
		if f.lapsed(now) {
			continue
		}
		if err := u.agrees(f); err != nil {
			return err
		}
	}
	return u.misses(factors)
}

// misses is an error if the record lists a verified factor that is not there. One
// that is not verified may have been purged.
func (u *user) misses(factors []*factor) error {
	for _, m := range u.factors {
		if m.verified && !slices.ContainsFunc(factors, func(f *factor) bool { return f.ID == m.id }) {
			return contradict(u.Version, m.id, 0, "the record of its user lists it as verified, and it is gone")
		}
	}
	return nil
}

// listFactors reads the factors of a user, oldest first, those that lapsed too. A factor
// that a short page hides is missed by the user's record.
func (s *Service) listFactors(ctx context.Context, userID string) ([]*factor, error) {
	var factors []*factor
	for rec, err := range s.list(ctx, Query{Kind: kindFactor, UserID: userID, Limit: 100}, shortIsLast) {
		if err != nil {
			return nil, err
		}
		f := new(factor)
		if err := s.keys.opened(rec, kindFactor, f); err != nil {
			return nil, err
		}
		if f.UserID != userID {
			return nil, integrityError(&rec, "the store listed it for another user")
		}
		factors = append(factors, f)
	}
	return factors, nil
}

// sameApp is the verified factor of the user that has the secret of this one, nil if
// there is none.
func (v *view) sameApp(f *factor) *factor {
	for _, other := range v.factors {
		if other.verified && f.Type == TypeTOTP && other.Type == TypeTOTP && string(other.secret) == string(f.secret) {
			return other
		}
	}
	return nil
}

// provable reports whether the user has a factor that a proof can be asked of, beside
// the one that the view is about.
func (v *view) provable() bool {
	return v.user.hasApp() || slices.ContainsFunc(v.factors, (*factor).provable)
}

// ending are the factors that go when the view's is confirmed: the one that it replaces,
// or, when it is the first, all that the user had before. Whoever knew the password
// alone may have enrolled those.
func (v *view) ending() []*factor {
	switch {
	case v.replaced != nil:
		return []*factor{v.replaced}
	case v.provable():
		return nil
	}
	return v.factors
}

// end adds to an outcome that factors of the user are deleted.
func (out *outcome) end(u *user, factors ...*factor) {
	for _, f := range factors {
		u.drop(f)
		out.remove = append(out.remove, f)
		out.events = append(out.events, f.event(EventReplaced))
	}
}

// loadOthers reads the factors beside one that is to be confirmed: all of them if it
// is the first app or number, since these end with it, and otherwise the one that it
// replaces.
func (s *Service) loadOthers(ctx context.Context, v *view) error {
	f, u := v.factor, v.user
	if f.verified || u == nil {
		return nil
	}
	var ids []string
	for _, m := range u.factors {
		if m.id != f.ID && (!u.hasApp() || m.id == f.replaces) {
			ids = append(ids, m.id)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	records, err := s.load(ctx, ids...)
	if err != nil {
		return err
	}
	for _, id := range ids {
		rec, ok := records.find(id)
		if !ok {
			continue
		}
		other := new(factor)
		if err := s.keys.opened(rec, kindFactor, other); err != nil {
			return err
		}
		v.factors = append(v.factors, other)
		if id == f.replaces {
			v.replaced = other
		}
	}
	for _, m := range u.factors {
		if slices.Contains(ids, m.id) && m.verified {
			if _, ok := records.find(m.id); !ok {
				return contradict(u.Version, m.id, 0, "the record of its user lists it as verified, and it is gone")
			}
		}
	}
	return nil
}
