package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/internal/handover"
	"github.com/authfactor/mfa/senders"
	"github.com/authfactor/mfa/senders/internal/provider"
)

// tolerance is how far a timestamp may be from the clock, both ways.
const tolerance = 5 * time.Minute

// A ReceiverConfig is what NewReceiver needs: Secrets and Send are required.
type ReceiverConfig struct {
	// Secrets are those that messages may be signed with: one, or two while it is replaced.
	Secrets []Secret

	// Send hands a message to the phone network, and returns nil once it was taken. It keeps
	// to the contract of [mfa.SMSSender]: an error says that nothing was handed over, unless
	// it is one of those that leave it open. With the errors of package senders the
	// reason reaches the application; with others that is ErrRefused, and no text. The
	// ctx ends when the application hangs up.
	//
	// Message.ID is the idempotency key: hand it on to a provider that takes one. Where
	// several processes receive messages, only that keeps one that is repeated from being
	// sent by two of them.
	Send func(ctx context.Context, m mfa.Message) (Taken, error)

	// Now is the clock that timestamps are compared with. Nil is time.Now.
	Now func() time.Time
}

// Taken is who took a message, for the events of the application.
type Taken struct {
	By string // the provider, such as "twilio"; "" is "webhook"
	ID string // what the provider calls the message; may be ""
}

// A Receiver is an http.Handler for the messages of a [Sender]. It is safe for concurrent use,
// and prints no secret.
//
// It refuses what is not signed by one of its secrets, byte for byte, or is dated more
// than five minutes before or after its clock: with 401 and the word "account". A signed request
// that is no message is refused with 400.
//
// It calls Send once for an id, which is 1 to 255 characters of printable ASCII without spaces
// and full stops. A request that comes while Send runs for its id waits for the outcome. One
// that comes later is answered as the first was, if the message was taken or may have
// been; if nothing was handed over, Send is called again. What was answered is forgotten once no
// timestamp of it is good any more, 10 minutes after it was last asked for. A Receiver remembers
// 100,000 ids, and answers try_later to new ones while it has so many.
type Receiver struct {
	secrets func() []Secret
	send    func(context.Context, mfa.Message) (Taken, error)
	now     func() time.Time
	memory  memory
}

// NewReceiver returns a receiver, or an error if Secrets or Send are missing.
func NewReceiver(cfg ReceiverConfig) (*Receiver, error) {
	if len(cfg.Secrets) == 0 {
		return nil, fmt.Errorf("%w: webhook: ReceiverConfig.Secrets is required: see ParseSecret",
			mfa.ErrConfig)
	}
	for _, secret := range cfg.Secrets {
		if secret.sign == nil {
			return nil, fmt.Errorf("%w: webhook: a secret of ReceiverConfig.Secrets is the zero value",
				mfa.ErrConfig)
		}
	}
	if cfg.Send == nil {
		return nil, fmt.Errorf("%w: webhook: ReceiverConfig.Send is required", mfa.ErrConfig)
	}
	secrets := slices.Clone(cfg.Secrets)
	return &Receiver{
		secrets: func() []Secret { return secrets },
		send:    cfg.Send, now: clock(cfg.Now),
	}, nil
}

// ServeHTTP answers a request as the package documentation describes it.
func (rc *Receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m, now, refusal := rc.message(w, r)
	if refusal != nil {
		refusal.write(w)
		return
	}
	rc.memory.once(r.Context(), m.ID, now, func() reply {
		taken, err := rc.send(r.Context(), m)
		if err != nil {
			return failed(r.Context(), err)
		}
		return reply{http.StatusOK, answer{Sender: taken.By, ID: taken.ID}, 0}
	}).write(w)
}

// message is the message of a request and when all of it was there, or the reply that refuses.
// By the time of its beginning, whoever holds a request open could have an old one taken.
func (rc *Receiver) message(w http.ResponseWriter, r *http.Request) (
	m mfa.Message, now time.Time, refusal *reply,
) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return m, now, refuse(http.StatusMethodNotAllowed, "the method must be POST")
	}
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/json" {
		return m, now, refuse(http.StatusUnsupportedMediaType,
			"the Content-Type must be application/json")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, provider.MaxBody))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return m, now, refuse(http.StatusRequestEntityTooLarge, "the body is longer than 64 KiB")
	}
	if err != nil {
		return m, now, refuse(http.StatusBadRequest, "the body is cut off")
	}
	now = rc.now()
	id, why := rc.verify(r.Header, body, now)
	if why != "" {
		return m, now, &reply{http.StatusUnauthorized, answer{Error: wordAccount, Text: why}, 0}
	}
	var e event
	switch err := json.Unmarshal(body, &e); {
	case err != nil:
		return m, now, refuse(http.StatusBadRequest, "the body is not the JSON of a message")
	case e.Type != eventType:
		return m, now, refuse(http.StatusBadRequest, `the type is not "`+eventType+`"`)
	case e.Data.ID != id:
		return m, now, refuse(http.StatusBadRequest, "data.id is not the webhook-id")
	case !isE164(e.Data.To):
		return m, now, refuse(http.StatusBadRequest, "data.to is not a number in E.164")
	case e.Data.Body == "":
		return m, now, refuse(http.StatusBadRequest, "data.body is empty")
	}
	return mfa.Message{ID: id, To: e.Data.To, Body: e.Data.Body}, now, nil
}

// verify returns the id of a request that is signed and not old, or else why it is not.
func (rc *Receiver) verify(h http.Header, body []byte, now time.Time) (id, why string) {
	for _, name := range []string{headerID, headerTimestamp, headerSignature} {
		if len(h.Values(name)) != 1 {
			return "", "the header " + name + " must be there once"
		}
	}
	id, timestamp := h.Get(headerID), h.Get(headerTimestamp)
	if !validID(id) {
		return "", "the webhook-id is not 1 to 255 characters without spaces and full stops"
	}
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil || seconds < 0 || strconv.FormatInt(seconds, 10) != timestamp {
		return "", "the webhook-timestamp is not a number of seconds"
	}
	if !signed(rc.secrets(), h.Get(headerSignature), id, timestamp, body) {
		return "", "no signature is of a secret that the gateway has"
	}
	away := now.Unix() - seconds
	if limit := int64(tolerance / time.Second); away > limit || away < -limit {
		return "", "the webhook-timestamp is more than five minutes from the gateway's clock"
	}
	return id, ""
}

// isE164 reports whether a number is "+" and 2 to 15 digits.
func isE164(number string) bool {
	if len(number) < 3 || len(number) > 16 || number[0] != '+' || number[1] == '0' {
		return false
	}
	for i := 1; i < len(number); i++ {
		if number[i] < '0' || number[i] > '9' {
			return false
		}
	}
	return true
}

// A reply is what a request is answered.
type reply struct {
	status     int
	answer     answer
	retryAfter time.Duration // 0 for no header
}

func refuse(status int, why string) *reply {
	return &reply{status, answer{Error: wordRefused, Text: why}, 0}
}

// mayBeSent reports whether the message was handed over, or may have been.
func (r reply) mayBeSent() bool { return r.answer.Error == "" || r.answer.Error == wordUnknown }

// failed is the reply for an error of Send. Only the words of package senders are passed on:
// another error may hold what is no business of the application.
func failed(ctx context.Context, err error) reply {
	r := reply{status: http.StatusUnprocessableEntity, answer: answer{Error: wordRefused}}
	for _, known := range reasons {
		if errors.Is(err, known.reason) {
			r.status, r.answer.Error = known.status, known.word
			break
		}
	}
	if ctx.Err() != nil || handover.Unknown(err) {
		r.status, r.answer.Error = http.StatusInternalServerError, wordUnknown
	}
	if e, ok := errors.AsType[*senders.Error](err); ok {
		r.answer.Text, r.answer.Code = e.Text, e.Code
		if r.answer.Error == wordTryLater {
			r.retryAfter = e.RetryAfter
		}
	}
	return r
}

func (r reply) write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	if r.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(r.retryAfter.Seconds()))))
	}
	w.WriteHeader(r.status)
	_ = json.NewEncoder(w).Encode(r.answer) // who hung up learns nothing
}
