package mfahttp

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/authfactor/mfa"
)

// The JSON of a verification is what [mfa.Verification] has. What holds a secret or a
// whole phone number is made here alone.

// A Factor is the JSON of a factor with its whole phone number, as the hosted API has it.
// It prints and logs as the [mfa.Factor] does, with the number masked; within another
// value, a logger that writes JSON would show it.
type Factor struct{ mfa.Factor }

// LogValue logs the factor with its number masked.
func (f Factor) LogValue() slog.Value { return f.Factor.LogValue() }

// MarshalJSON gives the factor, with the whole number of one that has one.
func (f Factor) MarshalJSON() ([]byte, error) {
	text, err := encode(f.Factor)
	if err != nil || f.PhoneNumber() == "" {
		return text, err
	}
	// "sms" is the last member, and the number the last of its.
	end := len(text) - len(`"}}`)
	begin := end - len(f.MaskedPhoneNumber())
	return slices.Concat(text[:begin], []byte(f.PhoneNumber()), text[end:]), nil
}

// An Enrollment is the JSON of an enrolment with its secrets, for an application that
// answers the same from a handler of its own: add Cache-Control: no-store. It prints
// as the [mfa.Enrollment] does, without them, and logs as its factor; within another
// value, a logger that writes JSON would show them.
type Enrollment struct{ mfa.Enrollment }

// LogValue logs the factor: slog's JSON handler would take MarshalJSON.
func (e Enrollment) LogValue() slog.Value { return e.Factor.LogValue() }

// MarshalJSON gives the factor, with the secrets of an app's and with recovery codes.
func (e Enrollment) MarshalJSON() ([]byte, error) {
	switch {
	case e.RecoveryCodes != nil:
		return extended(e.Factor, 1, struct {
			Codes []string `json:"recovery_codes"`
		}{e.RecoveryCodes.Codes()})
	case e.TOTP == nil:
		return json.Marshal(Factor{e.Factor})
	}
	return extended(e.Factor, 2, struct { // "totp" is the last member
		Secret string `json:"secret"`
		QRCode string `json:"qr_code"`
		URI    string `json:"uri"`
	}{e.TOTP.Secret(), e.TOTP.QRCode(), e.TOTP.URI()})
}

// A Challenge is the JSON of a challenge with the code that the application is to
// deliver, where there is one. It prints and logs as the [mfa.Challenge] does, without
// it; within another value, a logger that writes JSON would show it.
type Challenge struct{ mfa.Challenge }

// LogValue logs the challenge without the code.
func (c Challenge) LogValue() slog.Value { return slog.AnyValue(c.Challenge) }

// MarshalJSON gives the challenge, with the code of a generic_otp factor's.
func (c Challenge) MarshalJSON() ([]byte, error) {
	if c.Code() == "" {
		return json.Marshal(c.Challenge)
	}
	return extended(c.Challenge, 1, struct {
		Code string `json:"code"`
	}{c.Code()})
}

// extended is the JSON of an object with members more, before so many closing braces.
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

// encode leaves '&' as it is, for people to read a URI.
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

// An Error is the JSON of a refusal and its status. See [Error.MarshalJSON] for what the
// JSON of refused parameters has beside.
type Error struct {
	Status  int    `json:"-"`       // of HTTP
	Code    string `json:"code"`    // stable, such as "authentication_challenge_expired"
	Message string `json:"message"` // one English sentence, for developers

	// EntityID is what was not found, "" for anything else.
	EntityID string `json:"entity_id,omitempty"`

	// RetryAfter is how many seconds a person has to wait, 0 for none.
	RetryAfter int `json:"retry_after,omitempty"`
}

// Error gives the message.
func (e Error) Error() string {
	return fmt.Sprintf("mfahttp: %s (%s, status %d)", e.Message, e.Code, e.Status)
}

// MarshalJSON gives the fields. Where the code is invalid_request_parameters there is one
// member more, as in the hosted API: "errors", a list of one object with the same
// message and with a code that is made of it, such as "name_must_be_valid_utf_8".
// It is for SDKs that show the codes of the list in place of the message, and changes
// when the message does.
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

// detailCode is a message as one word.
func detailCode(message string) string {
	words := strings.FieldsFunc(strings.ToLower(strings.TrimPrefix(message, "The ")), func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9')
	})
	return strings.Join(words, "_")
}

// ErrorOf says how the API answers an error of a [mfa.Service]: with its code and
// message where it refuses, and with 500, or 502 where the sender failed, and without
// its text for all others. [mfa.ErrInvalidCode] is no error of the API: it answers with the
// Verification.
func ErrorOf(err error) Error {
	if e, ok := errors.AsType[Error](err); ok {
		return e
	}
	e, ok := errors.AsType[*mfa.Error](err)
	switch {
	case errors.Is(err, mfa.ErrMessageNotSent):
		return Error{Status: http.StatusBadGateway, Code: "message_not_sent", Message: "The message could not be sent."}
	case !ok:
		return Error{Status: http.StatusInternalServerError, Code: "internal_server_error", Message: "Internal Server Error"}
	}
	out := Error{Status: http.StatusUnprocessableEntity, Code: e.Code, Message: e.Message, RetryAfter: int(math.Ceil(e.RetryAfter.Seconds()))}
	switch {
	case errors.Is(err, mfa.ErrNotFound):
		out.Status, out.EntityID = http.StatusNotFound, e.ID
	case errors.Is(err, mfa.ErrTooManyAttempts), errors.Is(err, mfa.ErrInvalidCode), errors.Is(err, mfa.ErrIdempotencyKey):
		out.Status = http.StatusBadRequest
	case errors.Is(err, mfa.ErrThrottled):
		// Not 429: SDKs would wait, and send the same code again.
		out.Status = http.StatusBadRequest
		if strings.HasPrefix(e.ID, "auth_challenge_") {
			out.Code = "one_time_code_too_many_attempts"
		}
		out.Message = fmt.Sprintf("Too many requests. Wait for %s.", (time.Duration(out.RetryAfter) * time.Second))
	}
	return out
}

// invalidParameters is the code of mfa.ErrInvalidParameter too.
const invalidParameters = "invalid_request_parameters"

func invalid(message string) Error {
	return Error{Status: http.StatusUnprocessableEntity, Code: invalidParameters, Message: message}
}

// write answers. It holds secrets now and then, so nothing may keep it.
func write(w http.ResponseWriter, status int, answer any) {
	w.Header().Set("Cache-Control", "no-store")
	if answer == nil {
		w.WriteHeader(status)
		return
	}
	text, err := encode(answer)
	if err != nil {
		status, text = http.StatusInternalServerError, []byte(`{"code":"internal_server_error","message":"Internal Server Error"}`)
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) //nolint:gosec // no page: JSON that says so, with nosniff; if it fails, the client is gone
}

const maxBody = 64 << 10 // bytes

// A body holds the members of the object that was sent.
type body map[string]json.RawMessage

// readBody reads an object. No body, null and an empty list are one without members: SDKs
// send these for calls without parameters.
func readBody(w http.ResponseWriter, r *http.Request) (body, error) {
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return nil, Error{Status: http.StatusRequestEntityTooLarge, Code: "payload_too_large", Message: fmt.Sprintf("The body must have at most %d bytes.", maxBody)}
	}
	malformed := Error{Status: http.StatusBadRequest, Code: "invalid_json", Message: "The body must be one JSON object in UTF-8 without duplicate members."}
	if err != nil || !utf8.Valid(text) {
		return nil, malformed
	}
	if text = bytes.TrimSpace(text); len(text) == 0 {
		return nil, nil
	}
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return nil, Error{Status: http.StatusUnsupportedMediaType, Code: "unsupported_media_type", Message: "The Content-Type must be application/json."}
	}
	if !json.Valid(text) {
		return nil, malformed
	}
	switch {
	case string(text) == "null", text[0] == '[' && len(bytes.TrimSpace(text[1:])) == 1:
		return nil, nil
	case text[0] != '{':
		return nil, malformed
	}
	// Member by member, as encoding/json takes the last of several with one name.
	members := body{}
	in := json.NewDecoder(bytes.NewReader(text))
	_, _ = in.Token() // the brace: the text is valid
	for in.More() {
		name, _ := in.Token()
		var value json.RawMessage
		if err := in.Decode(&value); err != nil {
			return nil, malformed
		}
		text, _ := name.(string)
		if _, twice := members[text]; twice {
			return nil, malformed
		}
		members[text] = value
	}
	return members, nil
}

// fields are where members go: *string, or **bool, which is nil for one that is absent.
type fields map[string]any

// read reads the members that are there. null, and what is not asked for, is as if it
// were not.
func (b body) read(into fields) error {
	for _, name := range slices.Sorted(maps.Keys(into)) {
		to := into[name]
		value, ok := b[name]
		if !ok || string(value) == "null" {
			continue
		}
		if err := json.Unmarshal(value, to); err != nil {
			kind := "string"
			if _, isBool := to.(**bool); isBool {
				kind = "boolean"
			}
			return invalid(fmt.Sprintf("%s must be a %s.", name, kind))
		}
	}
	return nil
}
