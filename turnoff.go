package mfa

import (
	"context"
	"slices"
	"time"

	"github.com/authfactor/mfa/proof"
)

// TurnOffParams says whose second factor to turn off.
type TurnOffParams struct {
	UserID string // the person; required

	// Receipt is what Verification.Receipt returned for the action
	// proof.ActionOf(PurposeTurnOff), by any verified factor of the user. It is
	// redeemed in the commit that turns off. Required (ErrProofRequired) if the
	// user has a confirmed factor: see ByOperator and Config.InsecureSkipProof.
	// With ByOperator it is ErrInvalidParameter.
	Receipt string

	// HasFactor is what LoginParams.HasFactor is given. If it is true and no
	// confirmed factor is stored, either the store was lost, or an earlier call
	// worked and its answer was lost: TurnOff returns ErrIntegrity, unless
	// ByOperator is true.
	HasFactor bool

	// ByOperator is true if the user does not make this call: an operator helps a
	// person who proved who they are by other means, or whose records are lost or
	// do not open. Then no receipt is required. Never set it from a request.
	// Defaults to false.
	ByOperator bool
}

// TurnOff ends the second factor of a user. It deletes all their factors and
// trusted devices, and their password alone logs in from then on. Once the
// error is nil, and not before, clear the record that you give as
// [LoginParams.HasFactor].
//
// All factors are deleted in one commit. If the store fails, all of them are
// there or none is: call it again. If that is ErrIntegrity because of HasFactor,
// the first call worked or the store was lost, and an operator decides, with
// ByOperator. Open challenges are not found from then on.
// A user who has nothing is no error without [TurnOffParams.HasFactor], and
// nothing is written.
//
// The rate limits stay: messages and wrong codes that count on the user or a
// number, and the used codes of the last apps, if these are enrolled again. The
// user's record, which holds them, stays until they expire: [Service.Forget]
// deletes it too.
//
// Without ByOperator it is [ErrIntegrity] if records are missing or were
// changed. With it, those are deleted as well, by what their columns and the
// user's record say: the way out of that error. If the user's record itself is
// missing or does not open, the user's limits are lost with it. While such a
// user has more than 14 rows of factors, these are deleted in several commits;
// until the last one every login is ErrIntegrity.
//
// No UserID, and [AnyUser], are [ErrInvalidParameter]. Any other error comes from the store,
// or is [ErrThrottled] after eight lost races.
func (s *Service) TurnOff(ctx context.Context, p TurnOffParams) error {
	if err := checkOneUser(p.UserID); err != nil {
		return err
	}
	if p.ByOperator && p.Receipt != "" {
		return errParameter("A receipt is the user's own, and not given together with ByOperator.")
	}
	load := func(ctx context.Context) (*remains, error) {
		if p.ByOperator {
			return s.loadWhatIsLeft(ctx, p.UserID)
		}
		return s.loadTurningOff(ctx, p)
	}
	rows, err := s.deleteAll(ctx, p.UserID, load, (*remains).turnOff)
	if err != nil {
		return err
	}
	rows.sweepCommitted(ctx, s)
	return nil
}

// Forget erases a user, such as for GDPR article 17. It deletes all their
// factors, trusted devices and limits, and no record names them any more. It is
// for operators: it requires no receipt, and must not be reached from a page of
// the person. Delete the account first, or what goes on for it meanwhile may
// enroll the user anew.
//
// Like TurnOff with ByOperator it also deletes records that do not open or
// whose other records are missing. If it fails, call it again until the error
// is nil. A user of whom nothing is stored is no error.
//
// What stays names nobody: the limits of phone numbers, under a hash that needs
// the key, and the challenges of the deleted factors, which are not found from
// then on, until [Service.Purge] deletes them. They include a Ceremony's
// encrypted data. Make sure that no other call for this user is running. A row
// whose column UserID somebody changed is deleted only if the user's record
// opens and lists it.
// [EventForgotten] names the user a last time: mind where your log keeps it.
//
// No userID, and [AnyUser], are [ErrInvalidParameter]. Any other error comes from the store,
// or is [ErrThrottled] after eight lost races.
func (s *Service) Forget(ctx context.Context, userID string) error {
	if err := checkOneUser(userID); err != nil {
		return err
	}
	load := func(ctx context.Context) (*remains, error) { return s.loadWhatIsLeft(ctx, userID) }
	rows, err := s.deleteAll(ctx, userID, load, (*remains).forget)
	if err != nil {
		return err
	}
	if err := rows.sweep(ctx, s); err != nil {
		return err
	}
	now, err := s.now()
	if err != nil {
		return err
	}
	s.emit(ctx, Event{Kind: EventForgotten, Time: now, UserID: userID})
	return nil
}

// remains are what there is of a user whose second factor ends.
type remains struct {
	moment
	userID  string
	record  *Record    // the user's, as it is stored; nil: there is none
	user    *user      // the user's record; nil: there is none, or it does not open
	factors []*factor  // those that open
	rows    []*Record  // of all factors
	proof   *challenge // whose receipt is redeemed; nil: none is required
}

// loadTurningOff reads what there is of a user who calls themself. What does not agree is
// an error.
func (s *Service) loadTurningOff(ctx context.Context, p TurnOffParams) (*remains, error) {
	of, err := s.loadPerson(ctx, p.UserID)
	if err != nil {
		return nil, err
	}
	d := &remains{moment: of.moment, userID: p.UserID, factors: of.factors}
	if of.user.Version > 0 {
		d.user, d.record = of.user, &of.user.Record
	}
	for _, f := range of.factors {
		d.rows = append(d.rows, &f.Record)
	}
	switch {
	case of.user.hasVerified():
		d.proof, err = s.loadProof(ctx, of.now, proof.Claim{
			Receipt: p.Receipt, UserID: p.UserID, Action: proof.ActionOf(PurposeTurnOff),
		})
	case p.HasFactor:
		err = errNoneStored(of.user)
	}
	return d, err
}

// loadWhatIsLeft reads what there is of a user, whatever is missing or does not open: rows
// by their column UserID, and by the list of the user's record.
func (s *Service) loadWhatIsLeft(ctx context.Context, userID string) (*remains, error) {
	id := userRecordID(userID)
	records, m, err := s.loadNow(ctx, id)
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
	if d.record != nil {
		d.rows = without(d.rows, []*Record{d.record}) // if somebody made it look like a factor
	}
	for _, rec := range d.rows {
		if f, err := s.decodeFactor(*rec); err == nil {
			d.factors = append(d.factors, f)
		}
	}
	return d, nil
}

// deleteAll deletes what there is of a user; last is the outcome after which no
// second factor is required. It deletes all rows of factors and writes or
// deletes the user's record, at the version that was read before the rows:
// whatever is enrolled meanwhile changes that, so that deleteAll
// reads again. Without such a record it goes on until nothing is left. The rows of devices
// that it returns are still to be swept.
func (s *Service) deleteAll(ctx context.Context, userID string,
	load func(context.Context) (*remains, error),
	last func(d *remains, devices bool) outcome,
) (*deviceRows, error) {
	devices := new(deviceRows)
	loadAll := func(ctx context.Context) (*remains, error) {
		d, err := load(ctx)
		if err != nil {
			return nil, err
		}
		return d, devices.load(ctx, s, userID, d.listedDevices())
	}
	for range maxRounds {
		done, err := transact(ctx, s, "", loadAll, func(d *remains) (bool, outcome) {
			// A Save takes maxMembers rows beside the user's record and the receipt.
			if over := len(d.rows) - maxMembers; over > 0 {
				return false, outcome{remove: d.rows[:min(over, maxSave)]}
			}
			out := last(d, len(devices.rows) > 0)
			devices.drop(&out, nil)
			return d.record != nil || len(out.save)+len(out.remove) == 0, out
		})
		if err != nil || done {
			return devices, err
		}
	}
	return nil, errThrottled("", raceWait, ReasonRaces)
}

func (d *remains) listedDevices() []string {
	if d.user == nil {
		return nil
	}
	return d.user.devices
}

// isOn reports whether the user has a confirmed factor, or had, as far as anybody can tell.
func (d *remains) isOn() bool {
	unreadable := d.record != nil && d.user == nil || len(d.factors) < len(d.rows)
	verified := func(f *factor) bool { return f.verified }
	return unreadable || d.user.hasVerified() || slices.ContainsFunc(d.factors, verified)
}

// turnOff keeps the user's record and what it knows of used codes and limits, if it opens.
func (d *remains) turnOff(devices bool) outcome {
	var out outcome
	if len(d.rows) == 0 && !devices && !d.isOn() {
		return out
	}
	if d.isOn() {
		out.events = append(out.events, Event{Kind: EventTurnedOff, UserID: d.userID})
	}
	out.remove = slices.Clone(d.rows)
	out.redeem(d.proof)
	u := d.user
	switch {
	case u != nil:
		// A few apps are remembered: those that were used last.
		slices.SortStableFunc(d.factors, func(f, g *factor) int { return f.success.Compare(g.success) })
		for _, f := range d.factors {
			u.drop(f)
		}
		u.factors, u.devices = nil, nil // those too whose rows are lost
		u.touch(d.now)
		out.put(u)
	case d.record != nil:
		out.remove = append(out.remove, d.record)
	}
	return out
}

// forget keeps nothing.
func (d *remains) forget(bool) outcome {
	out := outcome{remove: slices.Clone(d.rows)}
	if d.record != nil {
		out.remove = append(out.remove, d.record)
	}
	return out
}

// deviceRows are the rows of a user's devices, which are deleted once the user's record does
// not list them any more.
type deviceRows struct {
	userID string
	ids    []string // of those that the user's record listed
	rows   []*Record
	tried  bool
	left   bool // some are to be deleted after the commit
}

// load reads the rows, those of devices that do not count any more as well.
func (r *deviceRows) load(ctx context.Context, s *Service, userID string, listed []string) error {
	r.userID, r.ids = userID, slices.Clone(listed)
	rows, err := s.rowsOf(ctx, kindDevice, userID, listed)
	r.rows = rows
	return err
}

// drop adds to an outcome that rows are deleted which the user's record does
// not list from then on. The outcome must write that record, so that trusting a
// device meanwhile is a conflict. Only the first try deletes rows: whoever uses
// a copied token all the time writes its row, and would win each race. The
// token of an unlisted device does nothing, and sweep deletes its row.
func (r *deviceRows) drop(out *outcome, listed []string) {
	rows := unlisted(r.rows, listed)
	r.left = len(rows) > 0
	if !r.tried {
		r.tried = true
		r.left = out.dropRows(rows)
	}
}

// dropBeside drops the rows that the user's record does not list, and writes
// that record if there are any.
func (r *deviceRows) dropBeside(out *outcome, now time.Time, u *user) {
	if u.Version == 0 || len(unlisted(r.rows, u.devices)) == 0 {
		r.left = false
		return
	}
	u.touch(now)
	out.put(u)
	r.drop(out, u.devices)
}

// sweepCommitted is sweep for a verb that has succeeded: its caller must not be told that
// it failed. A row that is left does nothing, and Purge deletes it.
func (r *deviceRows) sweepCommitted(ctx context.Context, s *Service) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer cancel()
	if err := r.sweep(ctx, s); err != nil {
		s.log.ErrorContext(ctx, "mfa: rows of revoked devices could not be deleted", "error", err)
	}
}

// sweep deletes, after the commit, the rows that drop left.
func (r *deviceRows) sweep(ctx context.Context, s *Service) error {
	type sweeping struct {
		moment
		rows []*Record
	}
	load := func(ctx context.Context) (d sweeping, err error) {
		rows, err := s.rowsOf(ctx, kindDevice, r.userID, r.ids)
		if err != nil {
			return d, err
		}
		u, err := s.loadDevicesUser(ctx, r.userID) // after the rows: it lists each that counts
		if err != nil {
			return d, err
		}
		d.rows = unlisted(rows, u.devices)
		d.now, err = s.now()
		return d, err
	}
	for range maxRounds {
		if !r.left {
			return nil
		}
		_, err := transact(ctx, s, "", load, func(d sweeping) (struct{}, outcome) {
			var out outcome
			r.left = out.dropRows(d.rows)
			return struct{}{}, out
		})
		if err != nil {
			return err
		}
	}
	return errThrottled("", raceWait, ReasonRaces)
}
