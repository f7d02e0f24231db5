package mfaweb

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/proof"
)

// What is asked for.
const (
	forLogin   = "login"
	forApprove = "approve" // an action: the answer earns its receipt
	forConfirm = "confirm" // a factor that was enrolled
	forEnroll  = "enroll"  // a person who must have a factor before they are logged in
)

// A question is what a browser is asked. It is sealed in a cookie: a browser that could choose
// the user, the challenge or the action could answer somebody else's.
type question struct {
	ID         string        `json:"id"`
	For        string        `json:"for"`
	UserID     string        `json:"user"`
	Began      time.Time     `json:"began"`
	Generation string        `json:"generation"` // a hash of it
	Session    string        `json:"session"`    // a hash of its ID; "" before there is one
	Login      bool          `json:"login"`      // the answer logs in
	Action     *proof.Action `json:"action,omitempty"`

	Choice   map[string]mfa.FactorType `json:"choice,omitempty"` // confirmed factors, by id
	FactorID string                    `json:"factor"`           // that is asked
	Type     mfa.FactorType            `json:"type"`
	Open     map[string]open           `json:"open,omitempty"` // challenges by their factors
	Secret   string                    `json:"secret"`         // of which its keys are made
}

// An open challenge is one that was not answered.
type open struct {
	ChallengeID string    `json:"id"`
	Until       time.Time `json:"until"`
	ResendAt    time.Time `json:"resend_at,omitzero"`
	UsedUp      bool      `json:"used_up,omitempty"`
}

const (
	questionAge     = 10 * time.Minute // as long as a challenge can be answered
	maxQuestionAge  = time.Hour        // with however many challenges
	questionPurpose = "mfaweb question"
	maxOpen         = 4 // cookies have 4096 bytes
)

func (h *Handler) newQuestion(what string, u User) (question, error) {
	now, err := h.svc.Now()
	return question{
		ID: rand.Text(), For: what, UserID: u.ID, Began: now, Generation: hashed(u.Generation),
		Secret: rand.Text(),
	}, err
}

// action is what a challenge of the question is for. A login by recovery code also approves one
// new factor, since the one that is lost cannot.
func (q *question) action() proof.Action {
	if q.For == forLogin && q.Type == mfa.TypeRecoveryCodes {
		return proof.ActionOf(mfa.PurposeEnroll)
	}
	return q.approves()
}

// approves is the action that is asked about, whatever answers.
func (q *question) approves() proof.Action {
	if q.Action == nil {
		return proof.Action{}
	}
	return *q.Action
}

// goesOn takes over the open challenges of the question of before, of the same browser, if the
// same is asked of the same person: a code that was sent is still good.
func (q *question) goesOn(before question) {
	if q.For == before.For && q.For != forConfirm && q.UserID == before.UserID &&
		q.Generation == before.Generation && q.Session == before.Session &&
		q.approves() == before.approves() {
		q.Open = maps.Clone(before.Open)
	}
}

// key makes Verify succeed again for the same answer to the same question from the same browser:
// a second click, or a password manager that submits once more.
func (q *question) key(code string, answer []byte) string {
	sum := sha256.Sum256([]byte(q.Secret + " " + q.FactorID + " " + code + " " + string(answer)))
	return hex.EncodeToString(sum[:])
}

// refusal is what is told of an answer that was refused. Who used a passkey typed no code.
func (q *question) refusal(err error) error {
	switch q.Type {
	case mfa.TypeTOTP, mfa.TypeSMS, mfa.TypeGenericOTP, mfa.TypeRecoveryCodes:
		return err
	}
	e := ErrorOf(err)
	switch {
	case errors.Is(err, mfa.ErrInvalidCode):
		e.Show = "That was not accepted. Try again, or use another way."
	case e.Show == stale:
		e.Show = "That took too long, or went wrong too often. Please try again."
	default:
		return err // as it is, for the log
	}
	return e
}

// hashed is what a question keeps of a session's id and of a Generation, "" for "".
func hashed(text string) string {
	if text == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:16])
}

// waiting is the question of the browser, and the person. There is none any more where the
// password was changed meanwhile, and where the session is not the one that was asked.
func (h *Handler) waiting(c *call) (q question, u User, err error) {
	q, ok := h.question(c.r)
	if !ok {
		return q, u, errNoQuestion
	}
	now, err := h.svc.Now()
	if err != nil {
		return q, u, err
	}
	if now.Sub(q.Began) >= maxQuestionAge {
		return q, u, errNoQuestion
	}
	u, err = h.person(c, q)
	return q, u, err
}

// asked is the question that a request answers. The browser may have another one by now.
func (h *Handler) asked(c *call, id string) (q question, u User, err error) {
	if q, u, err = h.waiting(c); err == nil && q.ID != id {
		err = errReplaced
	}
	return q, u, err
}

// person is who is asked.
func (h *Handler) person(c *call, q question) (User, error) {
	if q.Session == "" {
		return h.row(c, q)
	}
	s, ok, err := h.cfg.Session(c.r)
	switch {
	case err != nil:
		return User{}, err
	case ok && s.User.ID == q.UserID && hashed(s.Generation) == q.Generation &&
		hashed(s.ID) == q.Session:
		return s.User, nil
	}
	return User{}, errNoQuestion
}

// row is the person by their row.
func (h *Handler) row(c *call, q question) (User, error) {
	u, err := h.cfg.User(c.ctx, q.UserID)
	switch {
	case err != nil:
		return User{}, err
	case u.ID != q.UserID || hashed(u.Generation) != q.Generation:
		return User{}, errNoQuestion
	}
	return u, nil
}

// A shown question is what the front end is told of one.
type shownQuestion struct {
	ID       string            `json:"id"`
	For      string            `json:"for"`
	Purpose  string            `json:"purpose,omitempty"` // of the action to be approved
	FactorID string            `json:"factor_id,omitempty"`
	Factors  []mfa.LoginFactor `json:"factors"` // that can answer, best first
}

// offers are the confirmed factors to choose from. What the browser brings back saves reading
// them once more.
func (q *question) offers(factors []mfa.LoginFactor) {
	q.Choice = make(map[string]mfa.FactorType, len(factors))
	for _, f := range factors {
		q.Choice[f.ID] = f.Type
	}
}

func (q *question) shown(factors []mfa.LoginFactor) shownQuestion {
	s := shownQuestion{ID: q.ID, For: q.For, FactorID: q.FactorID, Factors: factors}
	if q.Action != nil {
		s.Purpose = q.Action.Purpose
	}
	if s.Factors == nil {
		s.Factors = []mfa.LoginFactor{}
	}
	return s
}

// factorsFor are those that can answer a question.
func (h *Handler) factorsFor(c *call, q question, u User) ([]mfa.LoginFactor, error) {
	if q.For == forEnroll {
		return nil, nil
	}
	if q.For == forConfirm {
		f, err := h.svc.Factor(c.ctx, mfa.FactorParams{FactorID: q.FactorID, UserID: u.ID})
		if errors.Is(err, mfa.ErrNotFound) {
			err = errNoQuestion
		}
		return []mfa.LoginFactor{{Factor: f}}, err
	}
	return h.confirmed(c, u)
}

// confirmed are the factors that a person can be asked for, best first; none if they have none.
func (h *Handler) confirmed(c *call, u User) ([]mfa.LoginFactor, error) {
	// Without the token of the device, which is good for one login.
	login, err := h.svc.StartLogin(c.ctx, mfa.LoginParams{UserID: u.ID, HasFactor: u.HasFactor})
	if !errors.Is(err, mfa.ErrNoUsableFactor) || h.cookie(c.r, deviceCookie) == "" {
		return login.Factors, err
	}
	// All are locked, but perhaps not for this browser: Challenge looks at its token.
	all, failed := h.svc.Factors(c.ctx, u.ID)
	if failed != nil {
		return nil, failed
	}
	var locked []mfa.LoginFactor
	for _, f := range all {
		if f.Status == mfa.StatusDisabled {
			locked = append(locked, mfa.LoginFactor{Factor: f})
		}
	}
	if locked == nil {
		return nil, err
	}
	return locked, nil
}

func (h *Handler) showQuestion(c *call) (any, error) {
	q, u, err := h.waiting(c)
	if err != nil {
		return nil, err
	}
	factors, err := h.factorsFor(c, q, u)
	if err != nil {
		return nil, err
	}
	return map[string]any{"question": q.shown(factors)}, nil
}

// cancel ends a question: the next person at the browser is not to see whom it was for.
func (h *Handler) cancel(c *call) (any, error) {
	var id string
	if err := c.body.Store(fields{"question": &id}); err != nil {
		return nil, errBody(err)
	}
	if _, _, err := h.asked(c, id); err != nil {
		return nil, err
	}
	h.setCookie(c.w, questionCookie, "", 0)
	return map[string]any{"status": "cancelled"}, nil
}

// challenge asks one of the factors. A code is sent once, and again where the front end says so.
func (h *Handler) challenge(c *call) (any, error) {
	var id, factorID string
	var again bool
	if err := c.body.Store(fields{
		"question": &id, "factor_id": &factorID, "send_again": &again,
	}); err != nil {
		return nil, errBody(err)
	}
	q, u, err := h.asked(c, id)
	if err != nil {
		return nil, err
	}
	f, err := h.chosen(c, q, u, factorID)
	if err != nil {
		return nil, err
	}
	q.FactorID, q.Type = f.ID, f.Type
	told := map[string]any{"question": q.ID, "factor_id": f.ID, "type": f.Type}
	now, err := h.svc.Now()
	if err != nil {
		return nil, err
	}
	sent := f.Type == mfa.TypeSMS || f.Type == mfa.TypeGenericOTP
	if was := q.Open[f.ID]; sent && !again && !was.UsedUp && now.Before(was.Until) {
		was.tell(told)
		return told, h.keep(c.w, q)
	}
	ch, err := h.svc.Challenge(c.ctx, mfa.ChallengeParams{
		FactorID: f.ID, UserID: u.ID, Confirm: q.For == forConfirm, Action: q.action(),
		SMSTemplate: h.cfg.SMSTemplate, DeviceToken: h.cookie(c.r, deviceCookie),
	})
	if errors.Is(err, mfa.ErrNotFound) { // it was removed meanwhile
		err = q.gone()
	}
	if err != nil {
		return nil, err
	}
	if err := h.deliver(c, u, f, ch.Code()); err != nil {
		return nil, err
	}
	opened := open{ChallengeID: ch.ID, Until: ch.ExpiresAt, ResendAt: ch.ResendAt}
	q.opened(f.ID, opened)
	opened.tell(told)
	if options := ch.Options(); json.Valid(options) {
		told["options"] = json.RawMessage(options)
	}
	return told, h.keep(c.w, q)
}

// deliver gives a code to the application, "" for none.
func (h *Handler) deliver(c *call, u User, f mfa.Factor, code string) error {
	switch {
	case code == "":
		return nil
	case h.cfg.Deliver == nil:
		return errors.New("mfaweb: Config.Deliver is required for generic_otp factors")
	}
	return h.cfg.Deliver(c.ctx, u, f, code)
}

// tell adds to an answer until when the challenge can be answered, and from when on the code is
// sent again.
func (o open) tell(told map[string]any) {
	told["expires_at"] = o.Until
	if !o.ResendAt.IsZero() {
		told["resend_at"] = o.ResendAt
	}
}

// opened keeps a challenge, and forgets the oldest of too many.
func (q *question) opened(factorID string, o open) {
	if q.Open == nil {
		q.Open = make(map[string]open)
	}
	q.Open[factorID] = o
	for len(q.Open) > maxOpen {
		oldest := factorID
		for id, other := range q.Open {
			if other.Until.Before(q.Open[oldest].Until) || oldest == factorID {
				oldest = id
			}
		}
		delete(q.Open, oldest)
	}
}

// chosen is the factor that the person wants to answer with: a confirmed one, or the one that is
// to be confirmed. Whether it can be asked now is for Challenge to say.
func (h *Handler) chosen(c *call, q question, u User, id string) (mfa.Factor, error) {
	confirms := q.For == forConfirm
	if q.For == forEnroll || confirms && id != q.FactorID {
		return mfa.Factor{}, errNoFactor
	}
	if kind, ok := q.Choice[id]; ok && kind != mfa.TypeGenericOTP { // Deliver is given all of it
		return mfa.Factor{ID: id, Type: kind}, nil
	}
	f, err := h.svc.Factor(c.ctx, mfa.FactorParams{FactorID: id, UserID: u.ID})
	if errors.Is(err, mfa.ErrNotFound) {
		return mfa.Factor{}, q.gone()
	}
	if err == nil && f.Status == mfa.StatusUnverified && !confirms {
		return mfa.Factor{}, errNoFactor
	}
	return f, err
}

// gone is told when there is no such factor: another can be chosen, but nothing else confirmed.
func (q *question) gone() error {
	if q.For == forConfirm { // it was not confirmed in time, or ended
		return errNoQuestion
	}
	return errNoFactor
}
