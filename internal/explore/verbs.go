package explore

import (
	"context"
	"fmt"
	"strings"

	"github.com/authfactor/mfa"
)

// A verb is one operation: a call of the service with its parameters.
type verb struct {
	name string
	who  string // whose records it needs
	do   func(context.Context, *world) (told string, err error)

	once    string // the code or receipt that it uses up if it succeeds; "" for none
	never   bool   // its code or token was used before, and lets nobody in
	sameKey bool   // and may again, under its idempotency key
	guess   string // id of the factor that its wrong code counts on; "" for no wrong code
	clears  string // id of the factor whose failures it may clear
	ends    bool   // it may leave its person without the factors that they had
	writes  bool   // where it succeeds, it has written

	partial bool // where it fails, it may have done a part, and is to be called again

	rotating bool // it needs a service with a new key
	core     bool // it takes part in what is explored three at a time
	slow     bool // it draws a QR code
}

// verbs are all operations, of the people of a world.
func (w *world) verbs() []verb {
	all := append(w.enrolling(), w.challenging()...)
	all = append(all, w.verifying()...)
	all = append(all, w.guessing()...)
	all = append(all, w.ending()...)
	all = append(all, w.others()...)
	all = append(all, w.ofBob()...)
	all = append(all, w.ofCarol()...)
	return append(all, w.ofDora()...)
}

func (w *world) verbNamed(name string) (verb, bool) {
	for _, v := range w.verbs() {
		if v.name == name {
			return v, true
		}
	}
	return verb{}, false
}

func enroll(p mfa.EnrollParams) func(context.Context, *world) (string, error) {
	return func(ctx context.Context, w *world) (string, error) {
		enr, err := w.svc.Enroll(ctx, p)
		told := fmt.Sprint(enr.Factor)
		if enr.RecoveryCodes != nil {
			told += " " + strings.Join(enr.RecoveryCodes.Codes(), " ")
		}
		return told, err
	}
}

func importing(userID, secret string) func(context.Context, *world) (string, error) {
	return func(ctx context.Context, w *world) (string, error) {
		f, err := w.svc.Import(ctx, mfa.ImportParams{
			UserID: userID, Secret: secret, Issuer: "Foo Corp", User: "someone", LastUsed: w.now,
		})
		return fmt.Sprint(f), err
	}
}

func challenge(p mfa.ChallengeParams) func(context.Context, *world) (string, error) {
	return func(ctx context.Context, w *world) (string, error) {
		ch, err := w.svc.Challenge(ctx, p)
		return fmt.Sprint(ch.ID, " ", ch.Code(), " ", ch.ResendAt.Unix()), err
	}
}

func verify(p mfa.VerifyParams) func(context.Context, *world) (string, error) {
	return func(ctx context.Context, w *world) (string, error) {
		v, err := w.svc.Verify(ctx, p)
		told := fmt.Sprintf("%t %v first use %t %s %s",
			v.Valid, v.Factor, v.FirstUse, v.Device.ID, v.Device.Token())
		if v.RecoveryCodes != nil {
			told += " " + strings.Join(v.RecoveryCodes.Codes(), " ")
		}
		return told, err
	}
}

func startLogin(p mfa.LoginParams) func(context.Context, *world) (string, error) {
	return func(ctx context.Context, w *world) (string, error) {
		login, err := w.svc.StartLogin(ctx, p)
		return fmt.Sprint(login.SkipCode, " ", login.DeviceToken(), " ", login.Factors), err
	}
}

// reseal reseals one record of Ann's: each is an operation of its own.
func reseal(name, id string) verb {
	return verb{
		name: name, who: ann, rotating: true,
		do: func(ctx context.Context, w *world) (string, error) {
			before := id[:len(id)-1] + string(rune(id[len(id)-1]-1))
			for p, err := range w.svc.Reseal(ctx, mfa.ResealParams{After: before}) {
				if err != nil || p.After >= id {
					return "", err
				}
			}
			return "", nil
		},
	}
}

func (w *world) ofBob() []verb {
	t := &w.what
	return []verb{
		{
			name: "Bob challenges his phone", who: bob, writes: true, core: true,
			do: challenge(mfa.ChallengeParams{FactorID: t.bobPhone, UserID: bob}),
		},
		{
			name: "Bob verifies", who: bob, writes: true, once: "code of Bob's app",
			do: verify(mfa.VerifyParams{ChallengeID: t.bobAsked, UserID: bob, Code: t.bobCode}),
		},
		{
			name: "Bob trusts one browser more", who: bob, writes: true, core: true,
			once: "code of Bob's app",
			do: verify(mfa.VerifyParams{
				ChallengeID: t.bobAskedAgain, UserID: bob, Code: t.bobCode, TrustDevice: true,
			}),
		},
		{
			name: "Bob starts a login on his oldest browser", who: bob, core: true,
			do: startLogin(mfa.LoginParams{UserID: bob, DeviceToken: t.bobToken}),
		},
		{
			name: "revoke Bob's oldest device", who: bob,
			do: func(ctx context.Context, w *world) (string, error) {
				return "", w.svc.RevokeDevice(ctx, bob, t.bobDevice)
			},
		},
		{
			name: "revoke all devices of Bob", who: bob, core: true,
			do: func(ctx context.Context, w *world) (string, error) {
				return "", w.svc.RevokeDevices(ctx, bob)
			},
		},
	}
}

func (w *world) ofDora() []verb {
	t := &w.what
	onDevice := func(challengeID, code string) func(context.Context, *world) (string, error) {
		return verify(mfa.VerifyParams{
			ChallengeID: challengeID, UserID: dora, Code: code, DeviceToken: t.doraToken,
		})
	}
	return []verb{
		{
			name: "Dora verifies on her browser", who: dora, writes: true, core: true,
			once: "code of Dora's app", do: onDevice(t.doraAsked, t.doraCode),
		},
		{
			name: "Dora types a wrong code on her browser", who: dora, core: true,
			guess: t.doraApp, do: onDevice(t.doraAsked, notCode),
		},
		{
			name: "Dora types another wrong code on her browser", who: dora,
			guess: t.doraApp, do: onDevice(t.doraAskedAgain, notCode),
		},
		{
			name: "Dora challenges on her browser", who: dora, writes: true,
			do: challenge(mfa.ChallengeParams{
				FactorID: t.doraApp, UserID: dora, DeviceToken: t.doraToken,
			}),
		},
		{
			name: "Dora starts a login", who: dora, core: true,
			do: startLogin(mfa.LoginParams{UserID: dora, DeviceToken: t.doraToken}),
		},
		{
			name: "unlock Dora's app", who: dora, writes: true, core: true, clears: t.doraApp,
			do: func(ctx context.Context, w *world) (string, error) {
				return "", w.svc.Unlock(ctx, mfa.FactorParams{FactorID: t.doraApp, UserID: dora})
			},
		},
		{
			name: "revoke Dora's devices", who: dora, core: true,
			do: func(ctx context.Context, w *world) (string, error) {
				return "", w.svc.RevokeDevices(ctx, dora)
			},
		},
	}
}

func (w *world) ofCarol() []verb {
	t := &w.what
	return []verb{
		{
			name: "Carol confirms her app", who: carol, writes: true, ends: true, core: true,
			once: "code of Carol's app",
			do:   verify(mfa.VerifyParams{ChallengeID: t.carolAskedApp, UserID: carol, Code: t.carolCode}),
		},
		{
			name: "Carol confirms her app, with recovery codes", who: carol, writes: true, ends: true,
			once: "code of Carol's app",
			do: verify(mfa.VerifyParams{
				ChallengeID: t.carolAskedApp, UserID: carol, Code: t.carolCode, NewRecoveryCodes: true,
			}),
		},
		{
			name: "Carol confirms her phone", who: carol, writes: true, ends: true, core: true,
			once: "code of Carol's phone",
			do: verify(mfa.VerifyParams{
				ChallengeID: t.carolAskedPhone, UserID: carol, Code: t.carolPhoneCode,
			}),
		},
		{
			name: "Carol confirms the generic factor", who: carol, writes: true, ends: true,
			once: "code of Carol's generic factor",
			do: verify(mfa.VerifyParams{
				ChallengeID: t.carolAskedGeneric, UserID: carol, Code: t.carolGenericCode,
			}),
		},
		{
			name: "Carol types a wrong code of her phone", who: carol, core: true, guess: t.carolPhone,
			do: verify(mfa.VerifyParams{ChallengeID: t.carolAskedPhone, UserID: carol, Code: notCode}),
		},
		{
			name: "Carol enrolls generic", who: carol, writes: true, ends: true,
			do: enroll(mfa.EnrollParams{UserID: carol, GenericOTP: true}),
		},
		{
			name: "Carol enrolls a phone", who: carol, writes: true, ends: true, core: true,
			do: enroll(mfa.EnrollParams{UserID: carol, SMS: &mfa.SMSParams{PhoneNumber: carolsNumber}}),
		},
		{
			name: "import for Carol", who: carol, ends: true,
			do: importing(carol, strings.Repeat("E", 32)),
		},
		{
			name: "Carol starts a login", who: carol,
			do: startLogin(mfa.LoginParams{UserID: carol}),
		},
		{
			name: "forget Carol", who: carol, ends: true, partial: true,
			do: func(ctx context.Context, w *world) (string, error) { return "", w.svc.Forget(ctx, carol) },
		},
		{
			name: "purge beside Carol", who: carol,
			do: func(ctx context.Context, w *world) (string, error) {
				_, err := w.svc.Purge(ctx)
				return "", err
			},
		},
	}
}
