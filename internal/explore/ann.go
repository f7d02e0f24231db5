package explore

import (
	"context"
	"fmt"
	"strings"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/proof"
)

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
				UserID: ann, ByOperator: true, Method: newCounter(),
			}),
		},
		{
			name: "import", who: ann,
			do: importing(ann, strings.Repeat("E", 32)),
		},
		{name: "import again", who: ann, do: importing(ann, t.secret)},
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

func (w *world) verifying() []verb {
	t := &w.what
	return []verb{
		{
			name: "verify", who: ann, writes: true, core: true,
			once: "code of the app", clears: t.app,
			do: verify(mfa.VerifyParams{ChallengeID: t.asked, UserID: ann, Code: t.code}),
		},
		{
			name: "verify elsewhere", who: ann, writes: true,
			once: "code of the app", clears: t.app,
			do: verify(mfa.VerifyParams{ChallengeID: t.askedAgain, UserID: ann, Code: t.code}),
		},
		{
			name: "verify under a key", who: ann,
			once: "code of the app", sameKey: true, clears: t.app,
			do: verify(mfa.VerifyParams{
				ChallengeID: t.askedAgain, UserID: ann, Code: t.code, IdempotencyKey: "k",
			}),
		},
		{
			name: "verify and trust", who: ann, writes: true, core: true,
			once: "code of the app", clears: t.app,
			do: verify(mfa.VerifyParams{
				ChallengeID: t.askedAgain, UserID: ann, Code: t.code, TrustDevice: true,
			}),
		},
		{
			name: "verify and renew the trust", who: ann, writes: true,
			once: "code of the app", clears: t.app,
			do: verify(mfa.VerifyParams{
				ChallengeID: t.askedAgain, UserID: ann, Code: t.code, TrustDevice: true, DeviceToken: t.token,
			}),
		},
		{
			name: "verify the phone", who: ann, writes: true,
			once: "code of the phone", clears: t.phone,
			do: verify(mfa.VerifyParams{ChallengeID: t.askedPhone, UserID: ann, Code: t.phoneCode}),
		},
		{
			name: "verify a recovery code", who: ann, writes: true,
			once: "recovery code", clears: t.codes,
			do: verify(mfa.VerifyParams{ChallengeID: t.askedCodes, UserID: ann, Code: t.recovery}),
		},
		{
			name: "verify a recovery code elsewhere", who: ann, writes: true,
			once: "recovery code", clears: t.codes,
			do: verify(mfa.VerifyParams{ChallengeID: t.askedCodesAgain, UserID: ann, Code: t.recovery}),
		},
		{
			name: "verify the key", who: ann, writes: true,
			once: "answer of the key", clears: t.key,
			do: verify(mfa.VerifyParams{ChallengeID: t.askedKey, UserID: ann, Answer: []byte{9}}),
		},
		{
			name: "verify replacing", who: ann, writes: true, core: true,
			once: "code of the new app", clears: t.app,
			do: verify(mfa.VerifyParams{ChallengeID: t.askedNewApp, UserID: ann, Code: t.newAppCode}),
		},
		{
			name: "verify confirming", who: ann, writes: true,
			once: "code of the generic factor", clears: t.generic,
			do: verify(mfa.VerifyParams{ChallengeID: t.askedGeneric, UserID: ann, Code: t.genericCode}),
		},
	}
}

func (w *world) guessing() []verb {
	t := &w.what
	return []verb{
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
			name: "verify the phone wrong", who: ann, guess: t.phone,
			do: verify(mfa.VerifyParams{ChallengeID: t.askedPhone, UserID: ann, Code: notCode}),
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
			name: "unenroll", who: ann, writes: true, ends: true, core: true,
			once: "unenroll receipt", clears: t.app,
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
		reseal("reseal the device", t.device), reseal("reseal the user", w.devices[t.device]),
		{
			name: "purge", who: ann,
			do: func(ctx context.Context, w *world) (string, error) {
				_, err := w.svc.Purge(ctx)
				return "", err
			},
		},
	}
}
