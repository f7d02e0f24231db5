package explore

import (
	"errors"
	"strings"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/mfatest"
	"github.com/authfactor/mfa/proof"
)

// things are what people have at hand.
type things struct {
	secret          string // of Ann's app
	app             string // ids of Ann's factors
	phone           string
	codes           string
	key             string
	newApp          string
	generic         string
	device          string
	asked           string // ids of challenges: of Ann's app, with three wrong codes
	askedAgain      string
	askedPhone      string
	askedCodes      string
	askedCodesAgain string
	askedKey        string
	askedNewApp     string
	askedGeneric    string

	code        string // of Ann's app, now
	usedCode    string
	newAppCode  string
	phoneCode   string
	genericCode string
	recovery    string

	token, usedToken string // of Ann's device

	payReceipt, enrollReceipt, unenrollReceipt, turnOffReceipt string

	bobApp, bobPhone, bobAsked, bobAskedAgain, bobCode string
	bobDevice, bobToken                                string // the oldest of five

	doraApp, doraAsked, doraAskedAgain, doraCode, doraToken string

	carolApp, carolPhone, carolGeneric                string
	carolAskedApp, carolAskedPhone, carolAskedGeneric string
	carolCode, carolPhoneCode, carolGenericCode       string
}

// What people's apps have.
var (
	newAppSecret = strings.Repeat("C", 32)
	bobsSecret   = strings.Repeat("B", 32)
	carolsSecret = strings.Repeat("D", 32)
	dorasSecret  = strings.Repeat("F", 32)
)

const (
	annsNumber   = "+12015550101" // and Bob's
	carolsNumber = "+12015550102"
)

// notCode is no code of the world: its randomness is always the same.
const notCode = "000000"

// furnish has Ann, Bob and Carol enroll, log in and approve. When it ends, everything is a moment
// old that operations are about: no message was sent in the last two minutes, the app's last code
// is of the step before, and the token that was replaced has no grace any more.
func (w *world) furnish() {
	w.now = time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)
	w.beginEarly()
	w.now = w.now.Add(49 * time.Hour)
	w.enrollBob()
	w.enrollDora()
	w.now = w.now.Add(3 * time.Hour)
	w.enrollAnn()
	w.now = w.now.Add(3 * time.Hour)
	w.enrollCarol()
	w.beginMore()
	w.approve()
	w.askEverybody()
	w.now = w.now.Add(90 * time.Second)
	w.logIn()
	w.now = w.now.Add(30 * time.Second)
	t := &w.what
	t.code, t.newAppCode = mfatest.Code(t.secret, w.now), mfatest.Code(newAppSecret, w.now)
	t.bobCode, t.carolCode = mfatest.Code(bobsSecret, w.now), mfatest.Code(carolsSecret, w.now)
	t.doraCode = mfatest.Code(dorasSecret, w.now)
	w.guess(dora, w.ask(dora, t.doraApp), 5) // which locks her app
}

// beginEarly has Ann confirm her first factor, and leaves a challenge and an enrolment that lapse.
func (w *world) beginEarly() {
	t := &w.what
	t.secret = strings.Repeat("A", 32)
	t.app = w.enroll(ann, mfa.EnrollParams{TOTP: w.app(t.secret)})
	w.answer(ann, w.ask(ann, t.app), mfatest.Code(t.secret, w.now))
	w.ask(ann, t.app)
	w.enroll(carol, mfa.EnrollParams{Method: newCounter()})
}

func (w *world) enrollBob() {
	t := &w.what
	t.bobApp = w.enroll(bob, mfa.EnrollParams{TOTP: w.app(bobsSecret)})
	w.answer(bob, w.ask(bob, t.bobApp), mfatest.Code(bobsSecret, w.now))
	t.bobPhone = w.enroll(bob, mfa.EnrollParams{SMS: &mfa.SMSParams{PhoneNumber: annsNumber}})
	w.answer(bob, w.ask(bob, t.bobPhone), w.lastCode(annsNumber))
	for i := range 5 {
		w.now = w.now.Add(time.Minute)
		d := w.trust(bob, t.bobApp, bobsSecret)
		if i == 0 {
			t.bobDevice, t.bobToken = d.ID, d.Token()
		}
	}
}

// enrollDora has Dora trust a browser.
func (w *world) enrollDora() {
	t := &w.what
	t.doraApp = w.enroll(dora, mfa.EnrollParams{TOTP: w.app(dorasSecret)})
	w.answer(dora, w.ask(dora, t.doraApp), mfatest.Code(dorasSecret, w.now))
	w.now = w.now.Add(time.Minute)
	t.doraToken = w.trust(dora, t.doraApp, dorasSecret).Token()
}

// trust is a login with an app on a browser that is trusted from then on.
func (w *world) trust(userID, appID, secret string) mfa.TrustedDevice {
	return must(w.svc.Verify(w.ctx, mfa.VerifyParams{
		ChallengeID: w.ask(userID, appID), UserID: userID, Code: mfatest.Code(secret, w.now),
		TrustDevice: true,
	})).Device
}

func (w *world) enrollAnn() {
	t := &w.what
	set := must(w.svc.Enroll(w.ctx, mfa.EnrollParams{
		UserID: ann, RecoveryCodes: true, ByOperator: true,
	}))
	t.codes, t.recovery = set.Factor.ID, set.RecoveryCodes.Codes()[0]
	t.key = w.enroll(ann, mfa.EnrollParams{Method: newCounter()})
	w.answerKey(w.ask(ann, t.key), 1, proof.Action{})
	t.phone = w.enroll(ann, mfa.EnrollParams{SMS: &mfa.SMSParams{PhoneNumber: annsNumber}})
	w.answer(ann, w.ask(ann, t.phone), w.lastCode(annsNumber))
}

func (w *world) enrollCarol() {
	t := &w.what
	t.carolApp = w.enroll(carol, mfa.EnrollParams{TOTP: w.app(carolsSecret)})
	t.carolPhone = w.enroll(carol, mfa.EnrollParams{
		SMS: &mfa.SMSParams{PhoneNumber: carolsNumber},
	})
	t.carolGeneric = w.enroll(carol, mfa.EnrollParams{GenericOTP: true})
	w.enroll(carol, mfa.EnrollParams{RecoveryCodes: true})
}

// beginMore has Ann begin to replace her app, and to add a factor.
func (w *world) beginMore() {
	t := &w.what
	t.newApp = w.enroll(ann, mfa.EnrollParams{TOTP: w.app(newAppSecret), Replaces: t.app})
	t.generic = w.enroll(ann, mfa.EnrollParams{GenericOTP: true})
}

// approve has Ann approve actions with her key.
func (w *world) approve() {
	t := &w.what
	for i, a := range []struct {
		receipt *string
		action  proof.Action
	}{
		{&t.payReceipt, pay},
		{&t.enrollReceipt, proof.ActionOf(mfa.PurposeEnroll)},
		{&t.unenrollReceipt, proof.ActionOf(mfa.PurposeUnenroll, t.app)},
		{&t.turnOffReceipt, proof.ActionOf(mfa.PurposeTurnOff)},
	} {
		ch := must(w.svc.Challenge(w.ctx, mfa.ChallengeParams{
			FactorID: t.key, UserID: ann, Action: a.action,
		}))
		*a.receipt = w.answerKey(ch.ID, byte(2+i), a.action).Receipt()
	}
}

// askEverybody makes the challenges that operations answer.
func (w *world) askEverybody() {
	t := &w.what
	t.askedPhone = w.ask(ann, t.phone)
	t.phoneCode = w.lastCode(annsNumber)
	t.askedCodes, t.askedCodesAgain = w.ask(ann, t.codes), w.ask(ann, t.codes)
	t.askedKey, t.askedNewApp = w.ask(ann, t.key), w.ask(ann, t.newApp)
	t.askedGeneric, t.genericCode = w.askGeneric(ann, t.generic)
	t.carolAskedApp, t.carolAskedPhone = w.ask(carol, t.carolApp), w.ask(carol, t.carolPhone)
	t.carolPhoneCode = w.lastCode(carolsNumber)
	t.carolAskedGeneric, t.carolGenericCode = w.askGeneric(carol, t.carolGeneric)
}

// logIn has Ann log in with her app on a browser that is trusted from then on, once more on that
// browser, and then somebody type three wrong codes.
func (w *world) logIn() {
	t := &w.what
	t.usedCode = mfatest.Code(t.secret, w.now)
	device := w.trust(ann, t.app, t.secret)
	t.device, t.usedToken = device.ID, device.Token()
	login := must(w.svc.StartLogin(w.ctx, mfa.LoginParams{UserID: ann, DeviceToken: t.usedToken}))
	t.token = login.DeviceToken()
	t.asked, t.askedAgain = w.ask(ann, t.app), w.ask(ann, t.app)
	w.guess(ann, t.asked, 3)
	t.bobAsked, t.bobAskedAgain = w.ask(bob, t.bobApp), w.ask(bob, t.bobApp)
	t.doraAsked, t.doraAskedAgain = w.ask(dora, t.doraApp), w.ask(dora, t.doraApp)
}

// guess types wrong codes.
func (w *world) guess(userID, challengeID string, times int) {
	for range times {
		_, err := w.svc.Verify(w.ctx, mfa.VerifyParams{
			ChallengeID: challengeID, UserID: userID, Code: notCode,
		})
		if !errors.Is(err, mfa.ErrInvalidCode) {
			panic(err)
		}
	}
}

func (*world) app(secret string) *mfa.TOTPParams {
	return &mfa.TOTPParams{Issuer: "Foo Corp", User: "someone", Secret: secret}
}

func (w *world) enroll(userID string, p mfa.EnrollParams) (factorID string) {
	p.UserID, p.ByOperator = userID, userID != carol
	return must(w.svc.Enroll(w.ctx, p)).Factor.ID
}

func (w *world) ask(userID, factorID string) (challengeID string) {
	return must(w.svc.Challenge(w.ctx, mfa.ChallengeParams{
		FactorID: factorID, UserID: userID, Confirm: true,
	})).ID
}

func (w *world) askGeneric(userID, factorID string) (challengeID, code string) {
	ch := must(w.svc.Challenge(w.ctx, mfa.ChallengeParams{
		FactorID: factorID, UserID: userID, Confirm: true,
	}))
	return ch.ID, ch.Code()
}

func (w *world) answer(userID, challengeID, code string) {
	must(w.svc.Verify(w.ctx, mfa.VerifyParams{ChallengeID: challengeID, UserID: userID, Code: code}))
}

// answerKey answers a challenge of Ann's key.
func (w *world) answerKey(challengeID string, count byte, a proof.Action) mfa.Verification {
	return must(w.svc.Verify(w.ctx, mfa.VerifyParams{
		ChallengeID: challengeID, UserID: ann, Answer: []byte{count}, Action: a,
	}))
}

// lastCode is the code of the last message to a number.
func (w *world) lastCode(number string) string {
	body := w.outbox[number]
	return body[len(body)-7 : len(body)-1]
}

// pay is an action to approve.
var pay = proof.ActionOf("pay", "EUR 500.00")

// keyType is a type of Config.Methods.
const keyType mfa.FactorType = "key"

func newCounter() *mfa.MethodParams {
	return &mfa.MethodParams{Type: keyType, Params: []byte{0}}
}

// A counting ceremony accepts an answer of one byte that is more than the one before.
type counting struct{}

// Enroll starts at what it is given.
func (counting) Enroll(params []byte) ([]byte, error) { return params, nil }

// Begin asks for more.
func (counting) Begin(mfa.MethodFactor, []mfa.MethodFactor) (options, kept []byte, err error) {
	return []byte("more"), nil, nil
}

// Claims claims nothing.
func (counting) Claims(_, _ []byte) string { return "" }

// Finish wants more than before.
func (counting) Finish(f mfa.MethodFactor, _, answer []byte) ([]byte, error) {
	if len(answer) != 1 || answer[0] <= f.State[0] {
		return nil, errors.New("not more")
	}
	return answer, nil
}

// Describe tells nothing.
func (counting) Describe([]byte) (amr []string, details []byte) { return nil, nil }
