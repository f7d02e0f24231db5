package main

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"html/template"
	"maps"
	"net/http"
	"net/url"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/passkey"
	"github.com/authfactor/mfa/proof"
)

// What a code is asked for.
const (
	forLogin   = "login"
	forConfirm = "confirm" // a factor that was enrolled
	forApprove = "approve" // a request, which is made again with a receipt
)

// A question is a code that is awaited, and what for. It is kept in the session and not in
// the form: a browser that could choose the user or the challenge could answer somebody
// else's. The form has the ID alone, so that a code answers the question beside which it
// was typed, and not one that took its place in another tab.
type question struct {
	ID         string
	For        string
	What       string // in words
	UserID     string
	Epoch      int // of the password and the factors
	FactorID   string
	FactorType mfa.FactorType
	Open       map[string]open // challenges by their factors
	Replaces   string          // what goes when the factor is confirmed

	Answered bool      // by a right code, less than a minute ago
	At       time.Time // when it was
	Key      string    // a hash of the key of that answer
	Recovery bool      // the answer makes new recovery codes

	Action     proof.Action // what the code is a proof of
	Path, Form string       // the request to be approved; to confirm, where it was, and its formID

	Picture []byte // sealed: what an app is to scan
	Until   time.Time
}

// open is a challenge that was not answered yet.
type open struct {
	ChallengeID string
	Until       time.Time
	Options     []byte // for the browser: of a passkey
}

// challengeID is the open challenge of the factor that is asked, "" if there is none.
func (q *question) challengeID(now time.Time) string {
	if o := q.Open[q.FactorID]; now.Before(o.Until) || q.Answered {
		return o.ChallengeID
	}
	return ""
}

// goesOn takes over the open challenges of a question of before, of the same browser, if it
// is the same one: whoever comes again types the code that was sent, and no record is made.
// It is the same in words as well, since a message says what its code is for.
func (q *question) goesOn(before question) {
	if q.For == before.For && q.For != forConfirm && q.UserID == before.UserID && q.Epoch == before.Epoch && q.Action == before.Action && q.What == before.What && !before.Answered {
		q.Open = maps.Clone(before.Open)
	}
}

// action is what a challenge of the question is made for. A login by recovery code also
// approves one new factor, since the one that is lost cannot.
func (q *question) action() proof.Action {
	if q.For == forLogin && q.FactorType == mfa.TypeRecoveryCodes {
		return proof.ActionOf(mfa.PurposeEnroll)
	}
	return q.Action
}

// key makes Verify succeed again for the same form with the same code: a second click, or a
// password manager that submits once more. Recovery codes are made of it, so the cookie is
// in it, of which the database has the hash alone.
func (a *app) key(r *http.Request, q *question) string {
	cookie := ""
	if c, err := r.Cookie(cookieName("session", a.secure())); err == nil {
		cookie = c.Value
	}
	sum := sha256.Sum256([]byte("key " + cookie + " " + q.ID + " " + r.PostFormValue("code") + " " + r.PostFormValue("answer")))
	return hex.EncodeToString(sum[:])
}

// keyID recognises a key again.
func keyID(key string) string {
	sum := sha256.Sum256([]byte("id " + key))
	return hex.EncodeToString(sum[:])
}

// asked is the question of the session.
func (a *app) asked(r *http.Request) (question, bool) {
	q, ok := a.sessions.Get(r.Context(), questionKey).(question)
	return q, ok
}

// ask challenges a factor, unless a challenge of it is open, and goes to the page for the
// code.
func (a *app) ask(w http.ResponseWriter, r *http.Request, q question, f mfa.Factor) error {
	q.ID, q.FactorID, q.FactorType = rand.Text(), f.ID, f.Type
	if q.challengeID(a.now()) != "" {
		return a.goOn(w, r, &q, nil)
	}
	return a.goOn(w, r, &q, a.challenge(r, &q))
}

// goOn keeps the question and shows its page, with what err says.
func (a *app) goOn(w http.ResponseWriter, r *http.Request, q *question, err error) error {
	problem, err := q.problem(err)
	if err != nil {
		return err
	}
	a.sessions.Put(r.Context(), questionKey, *q)
	a.sessions.Put(r.Context(), problemKey, problem)
	return a.redirect(w, r, "/code", "")
}

// hostname is the site's, without a port.
func (a *app) hostname() string {
	u, err := url.Parse(a.url)
	if err != nil { // it was checked at the start
		return "localhost"
	}
	return u.Hostname()
}

func (a *app) challenge(r *http.Request, q *question) error {
	ch, err := a.mfa.Challenge(r.Context(), mfa.ChallengeParams{
		FactorID: q.FactorID, UserID: q.UserID, Confirm: q.For == forConfirm, Action: q.action(), DeviceToken: a.device(r),
		// By the last line, phones and browsers fill the code in on this site alone.
		SMSTemplate: "Webapp: {{code}} is your code to " + q.What + ".\n\n@" + a.hostname() + " #{{code}}",
	})
	if err != nil {
		return err // what a provider says is logged already
	}
	if q.Open == nil {
		q.Open = make(map[string]open)
	}
	q.Open[q.FactorID] = open{ch.ID, ch.ExpiresAt, ch.Options()}
	return nil
}

// verify makes a new challenge when an app's or a list's was used up or is too old, since
// their codes do not hang on it. A message's does, and so does a passkey's answer.
func (a *app) verify(r *http.Request, q *question) (mfa.Verification, error) {
	var v mfa.Verification
	err := mfa.ErrChallengeExpired
	code, answer := r.PostFormValue("code"), []byte(r.PostFormValue("answer"))
	for range 2 {
		if id := q.challengeID(a.now()); id != "" {
			p := mfa.VerifyParams{ChallengeID: id, UserID: q.UserID, Code: code, Answer: answer, Action: q.action(), DeviceToken: a.device(r), IdempotencyKey: a.key(r, q)}
			p.NewRecoveryCodes = q.For == forConfirm && q.Recovery
			if q.For == forLogin && r.PostFormValue("trust") != "" {
				p.TrustDevice, p.DeviceName = true, browser(r.UserAgent())
			}
			v, err = a.mfa.Verify(r.Context(), p)
		}
		if !errors.Is(err, mfa.ErrChallengeExpired) && !errors.Is(err, mfa.ErrTooManyAttempts) && !errors.Is(err, mfa.ErrChallengePreviouslyVerified) {
			break
		}
		delete(q.Open, q.FactorID)
		if q.FactorType == mfa.TypeSMS || q.FactorType == passkey.Type || q.Answered {
			break
		}
		if err := a.challenge(r, q); err != nil {
			return v, err
		}
	}
	return v, err
}

// A picture is what an app is to scan.
type picture struct {
	QR, Link template.URL // which html/template would take out: both are ours
	Secret   string
	Another  bool // there was one before, which is worthless now
}

// pictureAge is how long a new secret is shown again: to who reloads the page, mistypes the
// first code, or clicks twice.
const pictureAge = 10 * time.Minute

// sealer encrypts under the session's cookie, of which the database has the hash alone.
func (a *app) sealer(r *http.Request) (cipher.AEAD, error) {
	key := sha256.Sum256([]byte("picture " + a.sessions.Token(r.Context())))
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

func (a *app) sealPicture(r *http.Request, q *question, p picture) error {
	plain, err := json.Marshal(p) //nolint:gosec // it is sealed below
	if err != nil {
		return err
	}
	s, err := a.sealer(r)
	if err != nil {
		return err
	}
	q.Picture, q.Until = s.Seal(nil, nil, plain, []byte(q.FactorID)), a.now().Add(pictureAge) //nolint:gosec // the nonce is random, and its own
	return nil
}

// picture is that of the question, while it is to be shown.
func (a *app) picture(r *http.Request, q question) (p picture, ok bool) {
	s, err := a.sealer(r)
	if err != nil || len(q.Picture) == 0 || !a.now().Before(q.Until) {
		return picture{}, false
	}
	plain, err := s.Open(nil, nil, q.Picture, []byte(q.FactorID))
	if err != nil {
		return picture{}, false
	}
	return p, json.Unmarshal(plain, &p) == nil
}
