package mfa_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/mfatest"
)

// types are those of the factors that a login can be answered by.
func types(login mfa.Login) (types []mfa.FactorType) {
	for _, f := range login.Factors {
		types = append(types, f.Type)
	}
	return types
}

// TestStartLogin: whoever has no confirmed factor is let in by the password, anybody else
// is asked for a code, by the best factor first.
func TestStartLogin(t *testing.T) {
	r := newRig(t)
	without := func(when string) {
		t.Helper()
		if login, err := r.Begin(); err != nil || !login.SkipCode || len(login.Factors) != 0 ||
			login.DeviceToken() != "" {
			t.Errorf("%s: %+v, %v", when, login, err)
		} else if text, err := json.Marshal(login); err != nil ||
			string(text) != `{"skip_code":true,"factors":[]}` {
			t.Errorf("%s: %s, %v", when, text, err)
		}
	}
	without("nothing was enrolled")
	first := r.EnrollSMS(ann, phone)
	without("nothing is confirmed")
	r.LogIn(first)
	app := r.TOTP(ann)
	r.Recovery(ann)
	r.EnrollSMS(ann, "+15005550007") // is not confirmed, and not one to answer by
	login, err := r.Begin()
	if got := types(
		login,
	); err != nil || login.SkipCode ||
		!slices.Equal(got, []mfa.FactorType{mfa.TypeTOTP, mfa.TypeSMS, mfa.TypeRecoveryCodes}) {
		t.Errorf("%v, %v, %v", login.SkipCode, got, err)
	}
	second := r.TOTP(ann)
	r.LogIn(app)
	login, err = r.Begin()
	if err != nil || login.Factors[0].ID != app.ID || login.Factors[1].ID != second.ID {
		t.Errorf("the app that was used last is not the first: %+v, %v", login, err)
	}
	if login, err = r.Begin(mfa.LoginParams{UserID: "user_bob"}); err != nil || !login.SkipCode {
		t.Errorf("somebody else: %+v, %v", login, err)
	}
}

// TestStartLoginFailsClosed: nothing that is lost, locked or malformed answers that no
// code is needed.
func TestStartLoginFailsClosed(t *testing.T) {
	broken := errors.New("the database is gone")
	for name, tt := range map[string]struct {
		change func(r *rig, f enrolled) mfa.LoginParams
		want   error
	}{
		"no user": {func(*rig, enrolled) mfa.LoginParams {
			return mfa.LoginParams{}
		}, mfa.ErrInvalidParameter},
		"any user": {func(*rig, enrolled) mfa.LoginParams {
			return mfa.LoginParams{UserID: mfa.AnyUser}
		}, mfa.ErrInvalidParameter},
		"malformed user": {func(*rig, enrolled) mfa.LoginParams {
			return mfa.LoginParams{UserID: "a\x00"}
		}, mfa.ErrInvalidParameter},
		"the user's record is lost": {func(r *rig, _ enrolled) mfa.LoginParams {
			r.Drop(ofKind("user"))
			return mfa.LoginParams{UserID: ann}
		}, mfa.ErrIntegrity},
		"the factor's record is lost": {func(r *rig, _ enrolled) mfa.LoginParams {
			r.Drop(ofKind("factor"))
			return mfa.LoginParams{UserID: ann}
		}, mfa.ErrIntegrity},
		"the store is empty": {func(r *rig, _ enrolled) mfa.LoginParams {
			r.Drop(func(mfa.Record) bool { return true })
			return mfa.LoginParams{UserID: ann, HasFactor: true}
		}, mfa.ErrIntegrity},
		"what is left is not confirmed": {func(r *rig, f enrolled) mfa.LoginParams {
			if err := r.Unenroll(r.T.Context(), mfa.UnenrollParams{
				FactorID: f.ID, UserID: ann,
			}); err != nil {
				r.T.Fatal(err)
			}
			r.EnrollTOTP(ann)
			return mfa.LoginParams{UserID: ann, HasFactor: true}
		}, mfa.ErrIntegrity},
		"disabled": {func(r *rig, f enrolled) mfa.LoginParams {
			r.Fail(f, 30)
			return mfa.LoginParams{UserID: ann}
		}, mfa.ErrNoUsableFactor},
		"the store fails": {func(r *rig, _ enrolled) mfa.LoginParams {
			r.Store.Before = func(context.Context, mfatest.Call) error { return broken }
			return mfa.LoginParams{UserID: ann}
		}, broken},
		"the list fails": {func(r *rig, _ enrolled) mfa.LoginParams {
			r.Store.Before = func(_ context.Context, c mfatest.Call) error {
				if c.Method == "List" {
					return broken
				}
				return nil
			}
			return mfa.LoginParams{UserID: ann}
		}, broken},
	} {
		r := newRig(t)
		f := r.TOTP(ann)
		params := tt.change(r, f)
		if login, err := r.Begin(
			params,
		); !errors.Is(err, tt.want) || login.SkipCode ||
			len(login.Factors) != 0 {
			t.Errorf("%s: %+v, %v, want %v", name, login, err, tt.want)
		}
	}
}

// TestStartLoginLocked: a factor that is locked or waits is told as such beside others, but
// not where the browser has a lane of its own.
func TestStartLoginLocked(t *testing.T) {
	r := newRig(t)
	app, text := r.TOTP(ann), r.Phone(ann, phone)
	token := r.Trust(app, "Firefox").Token()
	r.Clock.Advance(31 * 24 * time.Hour) // no longer trusted, and still known
	r.Fail(app, 30)
	r.Fail(text, 5)
	login, err := r.Begin()
	if err != nil || len(login.Factors) != 2 {
		t.Fatalf("%+v, %v", login, err)
	}
	if a, b := login.Factors[1], login.Factors[0]; a.ID != app.ID || !a.Locked || b.ID != text.ID ||
		b.Locked ||
		b.RetryAfter <= 0 ||
		b.RetryAfter > 30*time.Second {
		t.Errorf("%+v", login.Factors)
	}
	var told []struct {
		Type       mfa.FactorType `json:"type"`
		Locked     bool           `json:"locked"`
		RetryAfter int            `json:"retry_after"`
	}
	text2, err := json.Marshal(login.Factors)
	if err != nil || json.Unmarshal(text2, &told) != nil || !told[1].Locked || told[0].Locked ||
		told[0].RetryAfter < 1 ||
		told[0].RetryAfter > 30 ||
		told[0].Type != mfa.TypeSMS {
		t.Errorf("JSON %s, %v", text2, err)
	}
	if strings.Contains(string(text2), phone) ||
		!strings.Contains(string(text2), text.MaskedPhoneNumber()) {
		t.Errorf("the JSON for whoever has the password alone is %s", text2)
	}
	forged := strings.Replace(token, ".1.", ".2.", 1) // with the MAC of another number
	if forged == token {
		t.Fatal("nothing is forged")
	}
	if login, err = r.Begin(
		mfa.LoginParams{UserID: ann, DeviceToken: forged},
	); err != nil || !login.Factors[1].Locked ||
		login.DeviceToken() != "" {
		t.Errorf("who knows the id of the device: %v, %v", fmt.Sprint(login.Factors), err)
	}
	login, err = r.Begin(mfa.LoginParams{UserID: ann, DeviceToken: token})
	if err != nil || login.SkipCode || login.Factors[0].Locked || login.Factors[1].RetryAfter != 0 ||
		login.DeviceToken() != token {
		t.Errorf("on the known browser: %v, %v", fmt.Sprint(login.Factors), err)
	}
}

// TestStartLoginLeavesOut: what cannot answer is left out: recovery codes that are used up,
// and numbers when there is no sender.
func TestStartLoginLeavesOut(t *testing.T) {
	r := newRig(t)
	r.TOTP(ann)
	r.Phone(ann, phone)
	set, codes := r.Recovery(ann)
	for _, code := range codes {
		if _, err := r.Answer(r.Ask(set), set, code); err != nil {
			t.Fatal(err)
		}
	}
	login, err := r.Begin()
	if got := types(
		login,
	); err != nil ||
		!slices.Equal(got, []mfa.FactorType{mfa.TypeTOTP, mfa.TypeSMS}) {
		t.Errorf("%v, %v", got, err)
	}
	r.Config.Regions, r.Config.DefaultRegion = []string{"GB"}, "GB"
	login, err = r.Another().StartLogin(t.Context(), mfa.LoginParams{UserID: ann})
	if got := types(login); err != nil || !slices.Equal(got, []mfa.FactorType{mfa.TypeTOTP}) {
		t.Errorf("a number of another region %v, %v", got, err)
	}
	r.Config.SMS, r.Config.Store = nil, struct{ mfa.Store }{r.Store}
	login, err = r.Another().StartLogin(t.Context(), mfa.LoginParams{UserID: ann})
	if got := types(login); err != nil || !slices.Equal(got, []mfa.FactorType{mfa.TypeTOTP}) {
		t.Errorf("without a sender %v, %v", got, err)
	}
}

// TestStartLoginBesideDevices: a device of somebody else on the same browser is left as it
// is; one whose row does not open is in the way until it is revoked.
func TestStartLoginBesideDevices(t *testing.T) {
	r := newRig(t)
	token := r.Trust(r.TOTP(ann), "Firefox").Token()
	login, err := r.Begin(mfa.LoginParams{UserID: "user_bob", DeviceToken: token})
	if err != nil || !login.SkipCode || login.DeviceToken() != token {
		t.Errorf("Bob, without a factor, on Ann's browser: %+v, %v", login, err)
	}
	row := r.Records()[slices.IndexFunc(r.Records(), ofKind("device"))]
	row.State = slices.Clone(row.State)
	row.State[len(row.State)-1] ^= 1
	if err := r.Store.Store.Save(t.Context(), mfa.Change{Record: row}); err != nil {
		t.Fatal(err)
	}
	_, err = r.Begin(mfa.LoginParams{UserID: ann, DeviceToken: token})
	mustBe(t, err, mfa.ErrIntegrity)
	if err := r.RevokeDevices(t.Context(), ann); err != nil {
		t.Fatal(err)
	}
	if login, err = r.Begin(
		mfa.LoginParams{UserID: ann, DeviceToken: token},
	); err != nil ||
		login.SkipCode {
		t.Errorf("after it was revoked: %+v, %v", login, err)
	}
}
