package mfaweb

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/internal/jsonbody"
	"github.com/authfactor/mfa/proof"
	"github.com/authfactor/mfa/senders"
)

// An Error is what the front end gets in place of a result, with its status.
type Error struct {
	Status  int    `json:"-"`       // of HTTP
	Code    string `json:"code"`    // stable, such as "invalid_one_time_code"
	Message string `json:"message"` // one English sentence, for developers
	Show    string `json:"show"`    // plain English for the person

	// RetryAfter is how many seconds to wait before the next try, 0 for none. It is in the
	// header Retry-After as well.
	RetryAfter int `json:"retry_after,omitempty"`

	// TriesLeft is how many more answers the challenge takes. It is absent where that is not
	// the point.
	TriesLeft *int `json:"tries_left,omitempty"`

	// Question is what to answer first, with the code "second_factor_required".
	Question *shownQuestion `json:"question,omitempty"`
}

// Error returns the message with the code and the status.
func (e Error) Error() string {
	return fmt.Sprintf("mfaweb: %s (%s, status %d)", e.Message, e.Code, e.Status)
}

func newError(status int, code, message, show string) Error {
	return Error{Status: status, Code: code, Message: message, Show: show}
}

const (
	beginAgain = "That took too long. Please begin again."
	ourFault   = "It is our fault. Please try again in a moment."
)

// The problems that are no error of a Service.
var (
	errNoRoute = newError(http.StatusNotFound, "not_found", "Not Found", ourFault)
	errMethod  = newError(http.StatusMethodNotAllowed, "method_not_allowed",
		"Method Not Allowed", ourFault)
	errCrossOrigin = newError(http.StatusForbidden, "cross_origin",
		"The request comes from a page of another origin.", ourFault)
	errNoSource = newError(http.StatusBadRequest, "no_source",
		"The proxy must set the header of Config.ClientIPHeader.", ourFault)
	errTooLarge = newError(http.StatusRequestEntityTooLarge, "payload_too_large",
		"The body must have at most 96 KiB.", ourFault)
	errStepUpTooLarge = newError(http.StatusRequestEntityTooLarge, "payload_too_large",
		"The body must have at most 1 MiB.", ourFault)
	errMediaType = newError(http.StatusUnsupportedMediaType, "unsupported_media_type",
		"The Content-Type must be application/json.", ourFault)
	errMalformed = newError(http.StatusBadRequest, "invalid_json",
		"The body must be one JSON object in UTF-8 without duplicate members.", ourFault)
	errNotLoggedIn = newError(http.StatusUnauthorized, "not_logged_in",
		"Nobody is logged in.", "Please log in.")
	errNoQuestion = newError(http.StatusUnauthorized, "no_question",
		"This browser is asked nothing, or it took over ten minutes, or the password was changed.",
		beginAgain)
	errReplaced = newError(http.StatusConflict, "question_replaced",
		"This browser is asked something else by now, in another tab.",
		"You were asked something else meanwhile, so nothing was done. Please look at it again.")
	errNotAsked = newError(http.StatusConflict, "not_challenged",
		"The factor was not challenged: call /challenge first.", beginAgain)
	errNoFactor = newError(http.StatusUnprocessableEntity, "unknown_factor",
		"This factor cannot answer the question.", "Please choose another way.")
	errType = newError(http.StatusUnprocessableEntity, "invalid_request_parameters",
		"type must be totp, sms or one of the Service's Config.Methods.", ourFault)
	errDevice = newError(http.StatusUnprocessableEntity, "invalid_request_parameters",
		"Either device_id or all must be given.", ourFault)
	errLast = newError(http.StatusConflict, "last_factor",
		"This is the person's last factor: /turn-off ends the second factor.", last)
	errMust = newError(http.StatusConflict, "second_factor_must_stay",
		"Config.RequireFrom says that the person must have a second factor.",
		"Your account must have a second factor.")
	errNone = newError(http.StatusConflict, "second_factor_missing",
		"The person has no second factor.", "Add a second factor first.")
	errMissing = newError(http.StatusForbidden, "second_factor_missing",
		"The person has no second factor, and this needs one.",
		"This needs a second factor. Please add one first.")
	errProof = newError(http.StatusForbidden, "second_factor_required",
		"A fresh second factor is required.", "Please confirm that it is you.")
)

// ErrorOf returns the problem that an error of a [mfa.Service] is: the table for a front end.
// Any other error is 500, without its text.
func ErrorOf(err error) Error {
	if p, ok := errors.AsType[Error](err); ok {
		return p
	}
	e, ok := errors.AsType[*mfa.Error](err)
	switch {
	case errors.Is(err, mfa.ErrMessageNotSent):
		return notSent(err)
	case !ok:
		return newError(http.StatusInternalServerError, "internal_server_error",
			"Internal Server Error", ourFault)
	}
	out := newError(http.StatusUnprocessableEntity, e.Code, e.Message, ourFault)
	for _, row := range table {
		if errors.Is(err, row.err) {
			out.Status, out.Show = row.status, row.show
			break
		}
	}
	if e.RetryAfter > 0 {
		out.RetryAfter = int((e.RetryAfter + time.Second - 1) / time.Second)
	}
	if e.AttemptsLeft >= 0 {
		out.TriesLeft = &e.AttemptsLeft
	}
	out.Show += goesOn(e)
	return out
}

// notSent is told of a message that a sender refused. Those of package senders say why.
func notSent(err error) Error {
	show := "The message could not be sent. Try another way, or again in a minute."
	switch {
	case errors.Is(err, senders.ErrCannotReceive):
		show = "This number cannot receive our messages. Use another number, or another way."
	case errors.Is(err, senders.ErrOptedOut):
		show = "This number answered STOP to our messages. Answer START to get them again, or use " +
			"another way."
	}
	return newError(http.StatusBadGateway, "message_not_sent", "The message could not be sent.", show)
}

// goesOn says when or how often the person can try again.
func goesOn(e *mfa.Error) string {
	switch {
	case errors.Is(e, mfa.ErrThrottled):
		return "That is possible again in " + wait(e.RetryAfter) + "."
	case e.RetryAfter > 0:
		return " The next try is possible in " + wait(e.RetryAfter) + "."
	case !errors.Is(e, mfa.ErrInvalidCode):
		return ""
	case e.AttemptsLeft == 0:
		return " That was the last try."
	case e.AttemptsLeft == 1:
		return " You have 1 try left."
	}
	return fmt.Sprintf(" You have %d tries left.", e.AttemptsLeft)
}

const stale = "That code is not good any more. Ask for a new one."

const last = "This is your last second factor. Turn the second factor off, or add another one " +
	"first."

// table has the errors of a Service that a person can do something about, the first that an
// error matches.
var table = []struct {
	err    error
	status int
	show   string
}{
	{mfa.ErrInvalidCode, 422, "That code is not right, or was used before."},
	{mfa.ErrPumping, 429, "We cannot send a message to this number now. Use another way. "},
	{mfa.ErrThrottled, 429, ""}, // see goesOn
	{mfa.ErrFactorDisabled, 403, "This way was locked after too many wrong codes. " +
		"Use another one, or write to us to unlock it."},
	{mfa.ErrChallengeExpired, 409, stale},
	{mfa.ErrTooManyAttempts, 409, stale},
	{mfa.ErrChallengePreviouslyVerified, 409, stale},
	{mfa.ErrNotFound, 404, "This second factor is not there any more."},
	{mfa.ErrFactorUnverified, 409, "This second factor is not there any more."},
	{mfa.ErrNoUsableFactor, 403, "None of your second factors can be used. Please write to us."},
	{mfa.ErrLastFactor, 409, last},
	{mfa.ErrTooManyFactors, 409, "You have ten second factors. Remove one first."},
	{mfa.ErrInvalidPhoneNumber, 422, "There is no such phone number."},
	{mfa.ErrPhoneNumberNotAllowed, 422, "We cannot send messages to this number."},
	{mfa.ErrInvalidParameter, 422, "The name is too long, or has characters that cannot be shown."},
	{mfa.ErrProofRequired, 403, "Please confirm that it is you."},
	{mfa.ErrIdempotencyKey, 409, beginAgain},
	{proof.ErrMismatch, 409, beginAgain},
}

// wait rounds up: whoever comes back then is not told to wait again.
func wait(d time.Duration) string {
	unit, name := time.Second, "second"
	switch {
	case d > 2*time.Hour:
		unit, name = time.Hour, "hour"
	case d > 2*time.Minute:
		unit, name = time.Minute, "minute"
	}
	n := int((d + unit - 1) / unit)
	if n != 1 {
		name += "s"
	}
	return fmt.Sprintf("%d %s", n, name)
}

// A call is a request that found its route.
type call struct {
	w    http.ResponseWriter
	r    *http.Request
	ctx  context.Context //nolint:containedctx // of one request
	body jsonbody.Body
}

type fields = jsonbody.Fields

const maxBody = 96 << 10 // bytes: a passkey's answer has up to 64 KiB

func (c *call) readBody() (err error) {
	c.body, err = jsonbody.Read(c.w, c.r, maxBody)
	switch {
	case errors.Is(err, jsonbody.ErrTooLarge):
		return errTooLarge
	case errors.Is(err, jsonbody.ErrMediaType):
		return errMediaType
	case err != nil:
		return errMalformed
	}
	return nil
}

// errBody is the problem of a member of the wrong kind.
func errBody(err error) error {
	return newError(http.StatusUnprocessableEntity, "invalid_request_parameters",
		err.Error()+".", ourFault)
}

// write answers. Some answers have secrets, so nobody may store them.
func write(w http.ResponseWriter, status int, answer any) {
	if p, ok := answer.(Error); ok && p.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(p.RetryAfter))
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	var text bytes.Buffer
	out := json.NewEncoder(&text)
	out.SetEscapeHTML(false)
	if err := out.Encode(answer); err != nil {
		status = http.StatusInternalServerError
		text.Reset()
		text.WriteString(`{"code":"internal_server_error","message":"Internal Server Error"}`)
	}
	w.WriteHeader(status)
	_, _ = text.WriteTo(w) // to a client that may be gone
}
