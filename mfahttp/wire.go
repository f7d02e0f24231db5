package mfahttp

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/internal/jsonbody"
)

// [mfa.Verification] has its own JSON. Only this file makes JSON with a secret
// or a whole phone number.

// A Factor is the JSON of a factor with its whole phone number, as the hosted
// API has it. It prints and logs as the [mfa.Factor] does, with the number
// masked; nested in another value, a logger that writes JSON would show the
// number.
type Factor struct{ mfa.Factor }

// LogValue logs the factor with its number masked.
func (f Factor) LogValue() slog.Value { return f.Factor.LogValue() }

// MarshalJSON returns the JSON of the factor, with the whole phone number if it
// has one.
func (f Factor) MarshalJSON() ([]byte, error) {
	text, err := encode(f.Factor)
	if err != nil || f.PhoneNumber() == "" {
		return text, err
	}
	// "sms" is the last member, as "details" are of other types, and the number the last
	// of its.
	end := len(text) - len(`"}}`)
	begin := end - len(f.MaskedPhoneNumber())
	return slices.Concat(text[:begin], []byte(f.PhoneNumber()), text[end:]), nil
}

// An Enrollment is the JSON of an enrolment with its secrets, for an
// application that returns it from a handler of its own, which must add
// Cache-Control: no-store. It prints as the [mfa.Enrollment] does, without the
// secrets, and logs as its factor; nested in another value, a logger that
// writes JSON would show them.
type Enrollment struct{ mfa.Enrollment }

// LogValue logs the factor alone: slog's JSON handler would call MarshalJSON.
func (e Enrollment) LogValue() slog.Value { return e.Factor.LogValue() }

// MarshalJSON returns the JSON of the factor, with the secret of an app or the
// recovery codes.
func (e Enrollment) MarshalJSON() ([]byte, error) {
	switch {
	case e.RecoveryCodes != nil:
		return extended(e.Factor, 1, struct {
			Codes []string `json:"recovery_codes"`
		}{e.RecoveryCodes.Codes()})
	case e.TOTP == nil:
		return json.Marshal(Factor{e.Factor})
	}
	return extended(e.Factor, 2, struct { // "totp" is the last member of such a factor
		Secret string `json:"secret"`
		QRCode string `json:"qr_code"`
		URI    string `json:"uri"`
	}{e.TOTP.Secret(), e.TOTP.QRCode(), e.TOTP.URI()})
}

// A Challenge is the JSON of a challenge, with the code if the application has
// to deliver it, or with the options of a type of [mfa.Config].Methods. It prints
// and logs as the [mfa.Challenge] does, without both; nested in another value, a
// logger that writes JSON would show them.
type Challenge struct{ mfa.Challenge }

// LogValue logs the challenge without the code and the options.
func (c Challenge) LogValue() slog.Value { return slog.AnyValue(c.Challenge) }

// MarshalJSON returns the JSON of the challenge, with the code if its factor is
// a generic_otp, or with [mfa.Challenge.Options], if there are any. Options that
// are no JSON in UTF-8 are an error.
func (c Challenge) MarshalJSON() ([]byte, error) {
	options := c.Options()
	switch {
	case len(options) > 0 && (!json.Valid(options) || !utf8.Valid(options)):
		return nil, errors.New("mfahttp: the options of the challenge " + c.ID + " are no JSON")
	case len(options) > 0:
		return extended(c.Challenge, 1, struct {
			Options json.RawMessage `json:"options"`
		}{options})
	case c.Code() != "":
		return extended(c.Challenge, 1, struct {
			Code string `json:"code"`
		}{c.Code()})
	}
	return json.Marshal(c.Challenge)
}

// extended returns the JSON of an object with further members, which it puts
// before the last closing braces.
func extended(object any, braces int, members any) ([]byte, error) {
	text, err := encode(object)
	if err != nil {
		return nil, err
	}
	more, err := encode(members)
	if err != nil {
		return nil, err
	}
	end := len(text) - braces
	return slices.Concat(text[:end], []byte(","), more[1:len(more)-1], text[end:]), nil
}

// encode returns JSON that leaves '&' as it is, so that people can read a URI.
func encode(v any) ([]byte, error) {
	var text bytes.Buffer
	out := json.NewEncoder(&text)
	out.SetEscapeHTML(false)
	err := out.Encode(v)
	return bytes.TrimSuffix(text.Bytes(), []byte("\n")), err
}

type userEnrollment struct {
	Factor    Enrollment `json:"authentication_factor"`
	Challenge Challenge  `json:"authentication_challenge"`
}

type list struct {
	Object   string   `json:"object"`
	Data     []Factor `json:"data"`
	Metadata struct {
		Before *string `json:"before"`
		After  *string `json:"after"`
	} `json:"list_metadata"`
}

// An Error is what the API answers in place of a result: a status, and this
// JSON. For refused parameters [Error.MarshalJSON] adds a member.
type Error struct {
	Status  int    `json:"-"`       // of HTTP
	Code    string `json:"code"`    // stable, such as "authentication_challenge_expired"
	Message string `json:"message"` // one English sentence, for developers

	// EntityID is the id that was not found, "" for any other error.
	EntityID string `json:"entity_id,omitempty"`

	// RetryAfter is how many seconds to wait before the next try, 0 for none.
	RetryAfter int `json:"retry_after,omitempty"`
}

// Error returns the message with the code and the status.
func (e Error) Error() string {
	return fmt.Sprintf("mfahttp: %s (%s, status %d)", e.Message, e.Code, e.Status)
}

// MarshalJSON returns the JSON of the fields. If the code is
// invalid_request_parameters, it adds "errors" as the hosted API does, for SDKs
// that show its codes in place of the message: a list of one object with the
// same message and a code made from it, such as "name_must_be_valid_utf_8".
// That code changes when the message does.
func (e Error) MarshalJSON() ([]byte, error) {
	type detail struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	type plain Error // without this method
	var details []detail
	if e.Code == invalidParameters {
		details = []detail{{detailCode(e.Message), e.Message}}
	}
	return encode(struct {
		plain
		Errors []detail `json:"errors,omitempty"`
	}{plain(e), details})
}

// detailCode returns a message as one word.
func detailCode(message string) string {
	message = strings.ToLower(strings.TrimPrefix(message, "The "))
	words := strings.FieldsFunc(message, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9')
	})
	return strings.Join(words, "_")
}

// ErrorOf returns what the API answers for an error of a [mfa.Service]. An
// [mfa.Error] keeps its code and message, except [mfa.ErrThrottled]: its
// message is the wait, and its code for a challenge that is verified is
// one_time_code_too_many_attempts. If the sender failed, the status is 502; for
// any other error it is 500, without the error's text. An error that is an
// Error is returned as it is. The route that verifies answers
// [mfa.ErrInvalidCode] with the Verification instead.
func ErrorOf(err error) Error {
	if e, ok := errors.AsType[Error](err); ok {
		return e
	}
	e, ok := errors.AsType[*mfa.Error](err)
	switch {
	case errors.Is(err, mfa.ErrMessageNotSent):
		return Error{
			Status: http.StatusBadGateway, Code: "message_not_sent",
			Message: "The message could not be sent.",
		}
	case !ok:
		return Error{
			Status: http.StatusInternalServerError, Code: "internal_server_error",
			Message: "Internal Server Error",
		}
	}
	out := Error{
		Status: http.StatusUnprocessableEntity, Code: e.Code, Message: e.Message,
		RetryAfter: int(math.Ceil(e.RetryAfter.Seconds())),
	}
	switch {
	case errors.Is(err, mfa.ErrNotFound):
		out.Status, out.EntityID = http.StatusNotFound, e.ID
	case errors.Is(err, mfa.ErrTooManyAttempts), errors.Is(err, mfa.ErrInvalidCode),
		errors.Is(err, mfa.ErrIdempotencyKey):
		out.Status = http.StatusBadRequest
	case errors.Is(err, mfa.ErrThrottled):
		// Not 429: SDKs would wait, and send the same code again.
		out.Status = http.StatusBadRequest
		if strings.HasPrefix(e.ID, "auth_challenge_") {
			out.Code = "one_time_code_too_many_attempts"
		}
		out.Message = fmt.Sprintf("Too many requests. Wait for %s.",
			(time.Duration(out.RetryAfter) * time.Second))
	}
	return out
}

// invalidParameters is the code of mfa.ErrInvalidParameter too.
const invalidParameters = "invalid_request_parameters"

func invalid(message string) Error {
	return Error{Status: http.StatusUnprocessableEntity, Code: invalidParameters, Message: message}
}

// write writes an answer. Some have secrets, so nobody may store them.
func write(w http.ResponseWriter, status int, text []byte) {
	w.Header().Set("Cache-Control", "no-store")
	if len(text) == 0 {
		w.WriteHeader(status)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	// If it fails, the client is gone.
	_, _ = w.Write(append(text, '\n')) //nolint:gosec // no page: JSON that says so, with nosniff
}

const maxBody = 64 << 10 // bytes

// readBody reads an object: see [jsonbody.Read].
func readBody(w http.ResponseWriter, r *http.Request) (jsonbody.Body, error) {
	members, err := jsonbody.Read(w, r, maxBody)
	switch {
	case errors.Is(err, jsonbody.ErrTooLarge):
		return nil, Error{
			Status: http.StatusRequestEntityTooLarge, Code: "payload_too_large",
			Message: fmt.Sprintf("The body must have at most %d bytes.", maxBody),
		}
	case errors.Is(err, jsonbody.ErrMediaType):
		return nil, Error{
			Status: http.StatusUnsupportedMediaType, Code: "unsupported_media_type",
			Message: "The Content-Type must be application/json.",
		}
	case err != nil:
		return nil, Error{
			Status: http.StatusBadRequest, Code: "invalid_json",
			Message: "The body must be one JSON object in UTF-8 without duplicate members.",
		}
	}
	return members, nil
}

type fields = jsonbody.Fields

// read stores members of the body. The error of one of the wrong kind names it.
func (q *request) read(into fields) error {
	if err := q.body.Store(into); err != nil {
		return invalid(err.Error() + ".")
	}
	return nil
}
