package mfa

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/authfactor/mfa/internal/codec"
	"github.com/authfactor/mfa/internal/limit"
)

// A TrustedDevice is a browser that needs no code for 30 days: see
// [VerifyParams.TrustDevice].
type TrustedDevice struct {
	ID        string    `json:"id"`      // "auth_device_" and a ULID
	UserID    string    `json:"user_id"` // whose it is
	Name      string    `json:"name"`    // as VerifyParams.DeviceName had it
	CreatedAt time.Time `json:"created_at"`

	// UsedAt is when Verify last trusted it, or StartLogin last let it in with a new
	// token.
	UsedAt time.Time `json:"used_at"`

	// ExpiresAt is 30 days after Verify last trusted it. From then on a code is
	// required.
	ExpiresAt time.Time `json:"expires_at"`

	token *hidden[string]
}

// Token is what the browser keeps for 90 days, in a cookie that is HttpOnly,
// Secure and SameSite. Only [Service.Verify] sets it; otherwise it is "".
// Printing the TrustedDevice does not show it.
func (d TrustedDevice) Token() string {
	if d.token == nil {
		return ""
	}
	return (*d.token)()
}

// Devices returns a user's trusted devices, the one trusted last at the end,
// without tokens. After ExpiresAt a device no longer skips the code; for 60
// more days its token still grants the allowance of
// [ChallengeParams.DeviceToken]. "" and AnyUser are [ErrInvalidParameter].
func (s *Service) Devices(ctx context.Context, userID string) ([]TrustedDevice, error) {
	now, err := s.now()
	if err != nil {
		return nil, err
	}
	u, err := s.loadDevicesUser(ctx, userID)
	if err != nil {
		return nil, err
	}
	known, err := s.readDevices(ctx, u.devices...)
	if err != nil {
		return nil, err
	}
	devices := []TrustedDevice{}
	for _, d := range known {
		if u.counts(d, now) {
			devices = append(devices, d.public(false))
		}
	}
	return devices, nil
}

// RevokeDevice ends the trust in one device of a user and deletes its record,
// as [Service.Unenroll] does. A device that does not exist, or is somebody
// else's, is [ErrNotFound]. "" and AnyUser as userID are [ErrInvalidParameter].
func (s *Service) RevokeDevice(ctx context.Context, userID, deviceID string) error {
	return s.revoke(ctx, userID, func(u *user) ([]string, error) {
		if !slices.Contains(u.devices, deviceID) {
			return nil, errDeviceNotFound()
		}
		return []string{deviceID}, nil
	})
}

// RevokeDevices ends the trust in all devices of a user and deletes their
// records, as Unenroll does, such as after a change of password. Having none is no error. "" and
// AnyUser are [ErrInvalidParameter].
func (s *Service) RevokeDevices(ctx context.Context, userID string) error {
	all := func(u *user) ([]string, error) { return slices.Clone(u.devices), nil }
	return s.revoke(ctx, userID, all)
}

// revoke goes by what the user's record lists: a row that is lost may come back, and one
// that does not open must not stand in the way.
func (s *Service) revoke(
	ctx context.Context, userID string, which func(*user) ([]string, error),
) error {
	type revoking struct {
		moment
		user *user
	}
	rows := new(deviceRows)
	load := func(ctx context.Context) (d revoking, err error) {
		if d.user, err = s.loadDevicesUser(ctx, userID); err != nil {
			return d, err
		}
		if err := rows.load(ctx, s, userID, d.user.devices); err != nil {
			return d, err
		}
		d.now, err = s.now()
		return d, err
	}
	_, err := transact(ctx, s, "", load, func(d revoking) (struct{}, outcome) {
		ids, err := which(d.user)
		out := outcome{err: err}
		for _, id := range ids {
			out.events = append(out.events, Event{Kind: EventDeviceRevoked, UserID: userID, DeviceID: id})
		}
		out.revoke(d.now, d.user, ids...)
		if err == nil {
			rows.dropBeside(&out, d.now, d.user)
		}
		return struct{}{}, out
	})
	if err != nil {
		return err
	}
	rows.sweepCommitted(ctx, s)
	return nil
}

// defaultDeviceName is what a device is called that was given no name.
const defaultDeviceName = "Browser"

// statusTrusted is the one state of a device's record.
const statusTrusted = "trusted"

// A device is the record of a trusted device. It counts as long as its user's record
// lists it.
type device struct {
	Record
	name     string
	seed     []byte         // what its tokens are made of
	uses     int64          // number of the one token that is good
	rotated  time.Time      // when uses last went up
	trusted  time.Time      // until when StartLogin lets it in
	guesses  limit.Day      // wrong codes of its own allowance
	failures int64          // of these in a row
	sends    limit.Messages // of its own allowance

	rest []byte
}

func (d *device) columns() *Record { return &d.Record }

func (d *device) fields(c *codec.Codec) {
	c.String(&d.name)
	c.Bytes(&d.seed)
	c.Int(&d.uses)
	c.Time(&d.rotated)
	c.Time(&d.trusted)
	dayFields(c, &d.guesses)
	c.Int(&d.failures)
	messageFields(c, &d.sends)
	c.Rest(&d.rest)
}

// trust makes a device of a user, or renews the known one. Of too many, the
// oldest is deleted.
func (out *outcome) trust(now time.Time, u *user, k known, name string) (*device, error) {
	d := k.device
	if d == nil {
		d = &device{seed: make([]byte, deviceSeed)}
		_, _ = rand.Read(d.seed) // never fails: crypto/rand
		id, err := newID(devicePrefix, now)
		if err != nil {
			return nil, err
		}
		d.ID, d.Kind, d.Parent, d.UserID = id, kindDevice, u.ID, u.UserID
		d.Status, d.CreatedAt = statusTrusted, now
	}
	if !k.byPrevious {
		d.rotate(now)
	}
	d.failures = 0
	d.name, d.UpdatedAt = name, now
	d.trusted, d.ExpiresAt = now.Add(deviceTrusted), now.Add(deviceKnown)
	u.devices = slices.DeleteFunc(u.devices, func(id string) bool { return id == d.ID })
	u.devices = append(u.devices, d.ID)
	if over := len(u.devices) - maxDevices; over > 0 {
		u.devices = u.devices[over:]
		for _, old := range k.oldest {
			out.drop(old)
		}
	}
	out.put(d)
	return d, nil
}

// A token is the device's id, the number of the token, and a MAC of both.
func (d *device) token(n int64) string {
	text := d.ID + "." + strconv.FormatInt(n, 10)
	mac := hmac.New(sha256.New, d.seed)
	mac.Write([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// What a token turns out to be.
type tokenState int

const (
	tokenForged   tokenState = iota
	tokenUsed                // made by us, and good before
	tokenPrevious            // the one before the current one, replaced a moment ago
	tokenGood
)

func (d *device) check(token string, m moment) tokenState {
	_, n, ok := parseDeviceToken(token)
	switch {
	case !ok || match(token, []string{d.token(n)}) != 0:
		return tokenForged
	case n == d.uses:
		return tokenGood
	case n == d.uses-1 && d.inGrace(m):
		return tokenPrevious
	}
	return tokenUsed
}

// inGrace reports whether the previous token is still good. A rotation that lies
// further in the future than clocks may differ was noted by one that was ahead:
// it must not make the grace longer.
func (d *device) inGrace(m moment) bool {
	return m.now.Sub(d.rotated) >= -clockSkew && m.begun.Sub(d.rotated) < deviceGrace
}

// rotate makes the next token the current one.
func (d *device) rotate(now time.Time) {
	d.uses++
	d.rotated = now
}

// parseDeviceToken gives the id and the number of what may be a token.
func parseDeviceToken(token string) (id string, n int64, ok bool) {
	if token == "" { // as most callers have it
		return "", 0, false
	}
	id, rest, _ := strings.Cut(token, ".")
	number, _, ok := strings.Cut(rest, ".")
	n, err := strconv.ParseInt(number, 10, 64)
	if !ok || len(token) > 128 || err != nil || !wellFormed(devicePrefix, id) {
		return "", 0, false
	}
	return id, n, true
}

// openDevice returns a device, nil unless it is the user's and counts.
func (s *Service) openDevice(records loaded, now time.Time, id string, u *user) (*device, error) {
	rec, ok := records.find(id)
	// Looked at before the row is opened: revoking helps where one does not open.
	if !ok || u == nil || !slices.Contains(u.devices, id) {
		return nil, nil //nolint:nilnil // it means that there is none, and nothing else
	}
	d := new(device)
	if err := s.keys.decode(rec, kindDevice, d); err != nil {
		return nil, err
	}
	if !u.counts(d, now) {
		return nil, nil //nolint:nilnil // the same
	}
	return d, nil
}

// counts reports whether a listed device is unexpired, trusted beside the
// current verified factors, and not dated implausibly far ahead.
func (u *user) counts(d *device, now time.Time) bool {
	return string(u.set) == string(u.fingerprint()) &&
		now.Before(d.ExpiresAt) && !d.trusted.After(now.Add(deviceTrusted+maxSkew))
}

// known is the device of a call that brings a good token.
type known struct {
	device     *device   // nil: there is none, or it is not the owner's
	byPrevious bool      // it was named by the token before the current one
	oldest     []*device // of a full list, to be deleted for a new device
}

// openKnown returns the owner's device that a good token names.
func (s *Service) openKnown(records loaded, m moment, owner *user, token string) (known, error) {
	id, _, ok := parseDeviceToken(token)
	if !ok {
		return known{}, nil
	}
	d, err := s.openDevice(records, m.now, id, owner)
	if err != nil || d == nil {
		return known{}, err
	}
	switch d.check(token, m) {
	case tokenGood:
		return known{device: d}, nil
	case tokenPrevious:
		return known{device: d, byPrevious: true}, nil
	case tokenForged, tokenUsed:
	}
	return known{}, nil
}

// loadDevicesUser reads the record of a user, which lists their devices.
func (s *Service) loadDevicesUser(ctx context.Context, userID string) (*user, error) {
	if err := checkOneUser(userID); err != nil {
		return nil, err
	}
	records, err := s.load(ctx, userRecordID(userID))
	if err != nil {
		return nil, err
	}
	u := new(user)
	if rec, ok := records.find(userRecordID(userID)); ok {
		err = s.keys.decode(rec, kindUser, u)
	}
	return u, err
}

// readDevices reads devices; those that were purged are left out.
func (s *Service) readDevices(ctx context.Context, ids ...string) ([]*device, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	records, err := s.load(ctx, ids...)
	if err != nil {
		return nil, err
	}
	var devices []*device
	for _, id := range ids {
		rec, ok := records.find(id)
		if !ok {
			continue
		}
		d := new(device)
		if err := s.keys.decode(rec, kindDevice, d); err != nil {
			return nil, err
		}
		devices = append(devices, d)
	}
	return devices, nil
}

// revoke adds to an outcome that devices are not trusted any more: see
// deviceRows.
func (out *outcome) revoke(now time.Time, u *user, ids ...string) {
	if len(ids) == 0 {
		return
	}
	u.devices = slices.DeleteFunc(u.devices, func(id string) bool { return slices.Contains(ids, id) })
	u.touch(now)
	out.put(u)
}

// takesGuess reports whether a wrong code fits in the device's own allowance
// now. It is false for no device and one that the user's record does not list.
func (d *device) takesGuess(now time.Time, u *user) bool {
	return d != nil && slices.Contains(u.devices, d.ID) &&
		d.guesses.Count(now, maxSkew) < deviceGuesses
}

// takesMessage reports whether a message fits in the device's own allowance
// now, beyond the quotas of number and user. It is false for no device.
func (d *device) takesMessage(now time.Time, quota limit.Sending, n *number, u *user) bool {
	return d != nil && d.sends.Wait(now, deviceSendQuota) == 0 &&
		n.sends.QuotaWait(now, quota.Plus(deviceSends)) == 0 &&
		u.sends.QuotaWait(now, quota.Plus(deviceSends)) == 0
}

func (d *device) public(withToken bool) TrustedDevice {
	out := TrustedDevice{
		ID: d.ID, UserID: d.UserID, Name: d.name,
		CreatedAt: d.CreatedAt, UsedAt: d.UpdatedAt, ExpiresAt: d.trusted,
	}
	if withToken {
		out.token = new(hide(d.token(d.uses)))
	}
	return out
}

func (d *device) event(kind EventKind) Event {
	return Event{Kind: kind, UserID: d.UserID, DeviceID: d.ID}
}

// fingerprint changes with the set of verified factors.
func (u *user) fingerprint() []byte {
	h := sha256.New()
	for _, m := range u.factors {
		if m.verified {
			h.Write([]byte(m.id + "\n"))
		}
	}
	return h.Sum(nil)[:16]
}
