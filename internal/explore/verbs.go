package explore

import (
	"context"
	"fmt"
	"strings"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/proof"
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
	all = append(all, w.ending()...)
	all = append(all, w.others()...)
	all = append(all, w.ofBob()...)
	return append(all, w.ofCarol()...)
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

func (w *world) enrolling() []verb {
	t := &w.what
	return []verb{
		{
			name: "enroll an app", who: ann, writes: true, slow: true,
			do: enroll(mfa.EnrollParams{UserID: ann, ByOperator: true, TOTP: w.app("")}),
		},
		{
			name: "enroll a phone", who: ann, writes: true, once: "enroll receipt",
			do: enroll(mfa.EnrollParams{
				UserID: ann, Receipt: t.enrollReceipt, SMS: &mfa.SMSParams{PhoneNumber: carolsNumber},
			}),
		},
		{
			name: "enroll generic", who: ann, writes: true, once: "enroll receipt",
			do: enroll(mfa.EnrollParams{UserID: ann, Receipt: t.enrollReceipt, GenericOTP: true}),
		},
		{
			name: "enroll recovery codes", who: ann, writes: true,
			do: enroll(mfa.EnrollParams{UserID: ann, ByOperator: true, RecoveryCodes: true}),
		},
		{
			name: "enroll a key", who: ann, writes: true, core: true,
			do: enroll(mfa.EnrollParams{
				UserID: ann, ByOperator: true,
				Method: &mfa.MethodParams{Type: keyType, Params: []byte{0}},
			}),
		},
		{
			name: "import", who: ann,
			do: importing(ann, strings.Repeat("E", 30)+"NN"),
		},
		{name: "import again", who: ann, do: importing(ann, t.secret)},
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

func (w *world) challenging() []verb {
	t := &w.what
	return []verb{
		{
			name: "challenge the app", who: ann, writes: true,
			do: challenge(mfa.ChallengeParams{FactorID: t.app, UserID: ann}),
		},
		{
			name: "challenge the app under a key", who: ann, writes: true, sameKey: true,
			do: challenge(mfa.ChallengeParams{FactorID: t.app, UserID: ann, IdempotencyKey: "k"}),
		},
		{
			name: "challenge the phone", who: ann, writes: true, core: true,
			do: challenge(mfa.ChallengeParams{FactorID: t.phone, UserID: ann}),
		},
		{
			name: "challenge the phone under a key", who: ann, writes: true, sameKey: true,
			do: challenge(mfa.ChallengeParams{FactorID: t.phone, UserID: ann, IdempotencyKey: "k"}),
		},
		{
			name: "challenge the generic factor", who: ann, writes: true,
			do: challenge(mfa.ChallengeParams{FactorID: t.generic, UserID: ann, Confirm: true}),
		},
	}
}

func verify(p mfa.VerifyParams) func(context.Context, *world) (string, error) {
	return func(ctx context.Context, w *world) (string, error) {
		v, err := w.svc.Verify(ctx, p)
		told := fmt.Sprint(v.Valid, " ", v.Factor, " first use ", v.FirstUse, " ", v.Device.ID, " ", v.Device.Token())
		if v.RecoveryCodes != nil {
			told += " " + strings.Join(v.RecoveryCodes.Codes(), " ")
		}
		return told, err
	}
}

func (w *world) verifying() []verb {
	t := &w.what
	return []verb{
		{
			name: "verify", who: ann, writes: true, core: true, once: "code of the app", clears: t.app,
			do: verify(mfa.VerifyParams{ChallengeID: t.asked, UserID: ann, Code: t.code}),
		},
		{
			name: "verify elsewhere", who: ann, writes: true, once: "code of the app", clears: t.app,
			do: verify(mfa.VerifyParams{ChallengeID: t.askedAgain, UserID: ann, Code: t.code}),
		},
		{
			name: "verify under a key", who: ann, once: "code of the app", sameKey: true, clears: t.app,
			do: verify(mfa.VerifyParams{
				ChallengeID: t.askedAgain, UserID: ann, Code: t.code, IdempotencyKey: "k",
			}),
		},
		{
			name: "verify and trust", who: ann, writes: true, core: true, once: "code of the app", clears: t.app,
			do: verify(mfa.VerifyParams{
				ChallengeID: t.askedAgain, UserID: ann, Code: t.code, TrustDevice: true,
			}),
		},
		{
			name: "verify and renew the trust", who: ann, writes: true, once: "code of the app", clears: t.app,
			do: verify(mfa.VerifyParams{
				ChallengeID: t.askedAgain, UserID: ann, Code: t.code, TrustDevice: true, DeviceToken: t.token,
			}),
		},
		{
			name: "verify wrong", who: ann, core: true, guess: t.app,
			do: verify(mfa.VerifyParams{ChallengeID: t.asked, UserID: ann, Code: notCode}),
		},
		{
			name: "verify wrong elsewhere", who: ann, guess: t.app,
			do: verify(mfa.VerifyParams{ChallengeID: t.askedAgain, UserID: ann, Code: notCode}),
		},
		{
			name: "verify replayed", who: ann, guess: t.app, never: true,
			do: verify(mfa.VerifyParams{ChallengeID: t.askedAgain, UserID: ann, Code: t.usedCode}),
		},
		{
			name: "verify the phone", who: ann, writes: true, once: "code of the phone", clears: t.phone,
			do: verify(mfa.VerifyParams{ChallengeID: t.askedPhone, UserID: ann, Code: t.phoneCode}),
		},
		{
			name: "verify the phone wrong", who: ann, guess: t.phone,
			do: verify(mfa.VerifyParams{ChallengeID: t.askedPhone, UserID: ann, Code: notCode}),
		},
		{
			name: "verify a recovery code", who: ann, writes: true, once: "recovery code", clears: t.codes,
			do: verify(mfa.VerifyParams{ChallengeID: t.askedCodes, UserID: ann, Code: t.recovery}),
		},
		{
			name: "verify a recovery code elsewhere", who: ann, writes: true, once: "recovery code", clears: t.codes,
			do: verify(mfa.VerifyParams{ChallengeID: t.askedCodesAgain, UserID: ann, Code: t.recovery}),
		},
		{
			name: "verify the key", who: ann, writes: true, once: "answer of the key", clears: t.key,
			do: verify(mfa.VerifyParams{ChallengeID: t.askedKey, UserID: ann, Answer: []byte{9}}),
		},
		{
			name: "verify replacing", who: ann, writes: true, core: true, once: "code of the new app", clears: t.app,
			do: verify(mfa.VerifyParams{ChallengeID: t.askedNewApp, UserID: ann, Code: t.newAppCode}),
		},
		{
			name: "verify confirming", who: ann, writes: true, once: "code of the generic factor", clears: t.generic,
			do: verify(mfa.VerifyParams{ChallengeID: t.askedGeneric, UserID: ann, Code: t.genericCode}),
		},
		{
			name: "verify the generic factor wrong", who: ann,
			do: verify(mfa.VerifyParams{ChallengeID: t.askedGeneric, UserID: ann, Code: notCode}),
		},
	}
}

func (w *world) ending() []verb {
	t := &w.what
	return []verb{
		{
			name: "unenroll", who: ann, writes: true, ends: true, core: true, once: "unenroll receipt", clears: t.app,
			do: func(ctx context.Context, w *world) (string, error) {
				return "", w.svc.Unenroll(ctx, mfa.UnenrollParams{
					FactorID: t.app, UserID: ann, Receipt: t.unenrollReceipt,
				})
			},
		},
		{
			name: "unenroll the phone by an operator", who: ann, writes: true, ends: true, clears: t.phone,
			do: func(ctx context.Context, w *world) (string, error) {
				return "", w.svc.Unenroll(ctx, mfa.UnenrollParams{FactorID: t.phone, UserID: mfa.AnyUser})
			},
		},
		{
			name: "turn off", who: ann, ends: true, once: "turn-off receipt",
			do: func(ctx context.Context, w *world) (string, error) {
				return "", w.svc.TurnOff(ctx, mfa.TurnOffParams{UserID: ann, Receipt: t.turnOffReceipt})
			},
		},
		{
			name: "turn off by an operator", who: ann, ends: true, partial: true,
			do: func(ctx context.Context, w *world) (string, error) {
				return "", w.svc.TurnOff(ctx, mfa.TurnOffParams{UserID: ann, ByOperator: true})
			},
		},
		{
			name: "forget", who: ann, ends: true, core: true, partial: true,
			do: func(ctx context.Context, w *world) (string, error) { return "", w.svc.Forget(ctx, ann) },
		},
		{
			name: "revoke the device", who: ann, writes: true,
			do: func(ctx context.Context, w *world) (string, error) {
				return "", w.svc.RevokeDevice(ctx, ann, t.device)
			},
		},
		{
			name: "revoke all devices", who: ann,
			do: func(ctx context.Context, w *world) (string, error) {
				return "", w.svc.RevokeDevices(ctx, ann)
			},
		},
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

func (w *world) others() []verb {
	t := &w.what
	return []verb{
		{
			name: "unlock", who: ann, writes: true, core: true, clears: t.app,
			do: func(ctx context.Context, w *world) (string, error) {
				return "", w.svc.Unlock(ctx, mfa.FactorParams{FactorID: t.app, UserID: ann})
			},
		},
		{
			name: "rename", who: ann,
			do: func(ctx context.Context, w *world) (string, error) {
				f, err := w.svc.Rename(ctx, mfa.RenameParams{FactorID: t.app, UserID: ann, Name: "old phone"})
				return fmt.Sprint(f), err
			},
		},
		{
			name: "start a login", who: ann, core: true,
			do: startLogin(mfa.LoginParams{UserID: ann, DeviceToken: t.token, HasFactor: true}),
		},
		{
			name: "start a login with a used token", who: ann, never: true,
			do: startLogin(mfa.LoginParams{UserID: ann, DeviceToken: t.usedToken, HasFactor: true}),
		},
		{
			name: "redeem", who: ann, writes: true, once: "pay receipt",
			do: func(ctx context.Context, w *world) (string, error) {
				r, err := w.svc.Redeem(ctx, proof.Claim{Receipt: t.payReceipt, UserID: ann, Action: pay})
				return fmt.Sprint(r), err
			},
		},
		reseal("reseal the app", t.app), reseal("reseal the phone", t.phone),
		reseal("reseal the device", t.device), reseal("reseal the user", w.userRecord),
		{
			name: "purge", who: ann,
			do: func(ctx context.Context, w *world) (string, error) {
				_, err := w.svc.Purge(ctx)
				return "", err
			},
		},
	}
}

func (w *world) ofBob() []verb {
	t := &w.what
	return []verb{
		{
			name: "Bob challenges his phone", who: bob, writes: true,
			do: challenge(mfa.ChallengeParams{FactorID: t.bobPhone, UserID: bob}),
		},
		{
			name: "Bob verifies", who: bob, writes: true, once: "code of Bob's app",
			do: verify(mfa.VerifyParams{ChallengeID: t.bobAsked, UserID: bob, Code: t.bobCode}),
		},
	}
}

func (w *world) ofCarol() []verb {
	t := &w.what
	return []verb{
		{
			name: "Carol confirms her app", who: carol, writes: true, ends: true, core: true, once: "code of Carol's app",
			do: verify(mfa.VerifyParams{ChallengeID: t.carolAskedApp, UserID: carol, Code: t.carolCode}),
		},
		{
			name: "Carol confirms her app, with recovery codes", who: carol, writes: true, ends: true, once: "code of Carol's app",
			do: verify(mfa.VerifyParams{
				ChallengeID: t.carolAskedApp, UserID: carol, Code: t.carolCode, NewRecoveryCodes: true,
			}),
		},
		{
			name: "Carol confirms her phone", who: carol, writes: true, ends: true, core: true, once: "code of Carol's phone",
			do: verify(mfa.VerifyParams{ChallengeID: t.carolAskedPhone, UserID: carol, Code: t.carolPhoneCode}),
		},
		{
			name: "Carol confirms the generic factor", who: carol, writes: true, ends: true, once: "code of Carol's generic factor",
			do: verify(mfa.VerifyParams{ChallengeID: t.carolAskedGeneric, UserID: carol, Code: t.carolGenericCode}),
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
			do: importing(carol, strings.Repeat("E", 30)+"NN"),
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
