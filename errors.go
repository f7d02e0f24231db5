package mfa

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/authfactor/mfa/internal/operator"
	"github.com/authfactor/mfa/proof"
)

// What a call can be refused for. Match with [errors.Is]; the error itself is an
// [*Error], which [errors.AsType] gives, unless the comment says otherwise.
var (
	// ErrInvalidCode says that the code is wrong, malformed, or was used before.
	// The challenge can be tried again while [Error.AttemptsLeft] is not 0, after
	// [Error.RetryAfter].
	ErrInvalidCode = errors.New("mfa: invalid code")

	// ErrChallengeExpired says that the challenge is older than its lifetime (NIST
	// SP 800-63B-4 section 3.1.3.2: at most 10 minutes), or would confirm a factor
	// of [Config.Methods] that is confirmed by now.
	ErrChallengeExpired = errors.New("mfa: challenge expired")

	// ErrChallengePreviouslyVerified says that the challenge was verified once
	// already. It does not say that this call's code was right.
	ErrChallengePreviouslyVerified = errors.New("mfa: challenge previously verified")

	// ErrTooManyAttempts says that the challenge had [Policy.MaxAttempts] wrong
	// codes, or that its message could not be sent. A new challenge is needed.
	ErrTooManyAttempts = errors.New("mfa: too many attempts")

	// ErrThrottled says that a rate limit of the factor, the phone number or the
	// user is reached, or that the call lost eight races for its records:
	// [Error.Reason] tells which, [Error.RetryAfter] when to try again. Nothing
	// was counted or sent, and nothing is told about the code.
	ErrThrottled = errors.New("mfa: throttled")

	// ErrFactorDisabled says that too many wrong codes in a row disabled the
	// factor. A browser with a trusted device's token may still answer: see
	// [ChallengeParams.DeviceToken]. Otherwise only [Service.Unlock] helps, or an
	// operator's [Service.Unenroll] and a new enrolment, for a person who proved
	// who they are (NIST SP 800-63B-4 section 3.2.2). While the factor is
	// unconfirmed, wrong codes may count on the number or the user (see Verify):
	// then a new enrolment does not help, but Unlock does, and up to 30 days (18
	// with the defaults).
	ErrFactorDisabled = errors.New("mfa: factor disabled")

	// ErrFactorUnverified says that the factor was never confirmed while its owner
	// has one that was: it cannot log in. See [ChallengeParams.Confirm].
	ErrFactorUnverified = errors.New("mfa: factor unverified")

	// ErrProofRequired says that the user has a verified factor, and that the call
	// has no valid receipt: see [EnrollParams.Receipt]. If a receipt was given, it
	// wraps the error of package proof that says why it is refused.
	ErrProofRequired = errors.New("mfa: proof of a second factor required")

	// ErrNoUsableFactor says that a login requires a code and that none of the person's
	// factors can answer. See [Service.StartLogin].
	ErrNoUsableFactor = errors.New("mfa: no usable factor")

	// ErrNotFound says that there is no such factor, challenge or device, or that
	// it is somebody else's. The two cannot be told apart.
	ErrNotFound = errors.New("mfa: not found")

	// ErrTooManyFactors says that the user has 10 factors.
	ErrTooManyFactors = errors.New("mfa: too many factors")

	// ErrInvalidParameter says that a parameter is missing or malformed, and the
	// message says which. Nothing was stored, sent or counted.
	ErrInvalidParameter = errors.New("mfa: invalid parameter")

	// ErrInvalidTOTPSecret says that [TOTPParams.Secret] is not base32, too short
	// or too long, or that no codes of [ImportParams.Secret] would be right here.
	ErrInvalidTOTPSecret = errors.New("mfa: invalid TOTP secret")

	// ErrInvalidPhoneNumber says that there can be no such phone number.
	ErrInvalidPhoneNumber = errors.New("mfa: invalid phone number")

	// ErrPhoneNumberNotAllowed says that the number is of a region that
	// [Config.Regions] leaves out, or of a type that receives no messages.
	ErrPhoneNumberNotAllowed = errors.New("mfa: phone number not allowed")

	// ErrPumping says that no message is sent, because too many went to numbers of this block,
	// or of this region, that nobody confirmed: see Policy.PumpingBlock. Error.RetryAfter says
	// for how long. It is ErrThrottled as well.
	ErrPumping = errors.New("mfa: too many messages to unconfirmed numbers")

	// ErrLastFactor says that the factor is the last confirmed one of its user, recovery
	// codes aside, and that [UnenrollParams.KeepOne] keeps it.
	ErrLastFactor = errors.New("mfa: last factor")

	// ErrIdempotencyKey says that the idempotency key was used for another request.
	// Nothing was sent, compared or counted. A key with which a code was accepted is
	// forgotten when another code is given with it.
	ErrIdempotencyKey = errors.New("mfa: idempotency key used for another request")

	// ErrNoSMSSender says that text messages need a [Config.SMS], which has no
	// default beside a Store of your own.
	ErrNoSMSSender = errors.New("mfa: no SMS sender")

	// ErrMessageNotSent says that the [SMSSender] did not hand the message over.
	// It is not an *Error: errors.Is and errors.As find the sender's error in it.
	// The text of that error is in the log only: see [Config.Logger].
	ErrMessageNotSent = errors.New("mfa: message not sent")
)

// ErrCopied is what a [Ceremony] returns from Finish for an answer that is right, but may be by
// a copy of the key. It is a wrong answer all the same, and raises [EventCopied]. No caller of
// a [Service] gets it.
var ErrCopied = errors.New("mfa: copied")

// What goes wrong inside. These are not *Error: they are wrapped in plain errors
// that name the record.
var (
	// ErrConflict is what a [Store] returns from Save when it wrote nothing because
	// a record is not, or no longer, what the change was based on.
	ErrConflict = errors.New("mfa: conflict")

	// ErrStoreFull is what [MemoryStore] returns from Save at MaxRecords.
	ErrStoreFull = errors.New("mfa: store full")

	// ErrIntegrity says that a stored record was not written by this library with
	// one of these keys, was changed since, or contradicts another record about
	// what must exist; or that this Service lacks the key or the type of
	// Config.Methods that the record needs. It lasts until somebody mends it:
	// correct the Config, restore the record, or else delete what is left of the
	// user with Service.TurnOff, ByOperator, or Service.Forget.
	ErrIntegrity = errors.New("mfa: integrity")

	// ErrClock says that Config.Now gave a time before 1970 or after 9999.
	ErrClock = errors.New("mfa: clock")

	// ErrConfig says that [New] or [ParseKeyring] refused what it was given; the
	// text says how to correct it.
	ErrConfig = errors.New("mfa: config")
)

// An Error is a refusal. Its JSON is the one of the WorkOS MFA API,
// {"code": ..., "message": ...}. No field ever holds a secret, a code or a phone
// number, so that it can be sent to a browser and logged; its English is for
// developers, and what a person reads is better said in your own words.
type Error struct {
	Code    string `json:"code"`    // stable, such as "authentication_challenge_expired"
	Message string `json:"message"` // one English sentence

	// ID is the factor or challenge that the refusal is about, "" for none.
	ID string `json:"-"`

	// RetryAfter is how long to wait before the next call can succeed, in whole
	// milliseconds: round it up for an HTTP header. For an unconfirmed number it
	// ends with a minute of the clock. It is set with ErrThrottled, and with ErrInvalidCode if
	// this wrong code began a temporary lock. 0 means no wait: the wrong code that
	// disables a factor has it, with AttemptsLeft 0.
	RetryAfter time.Duration `json:"-"`

	// Reason is why RetryAfter is not 0; "" if it is 0.
	Reason Reason `json:"-"`

	// AttemptsLeft is how many more codes the challenge takes. It is set with
	// ErrInvalidCode (0: a new challenge is needed, because this one is used
	// up, or expires before RetryAfter is over; or the factor is disabled now)
	// and with ErrTooManyAttempts (0). It is
	// -1, unknown, with all others.
	AttemptsLeft int `json:"-"`

	is error // one of the variables above
}

// A Reason is why a call must be made later, in [Error.Reason]. If there are
// two reasons at once, it is that of the longer wait.
type Reason string

// The reasons to wait.
const (
	// ReasonWrongCodes means a temporary lock after wrong codes. No code is
	// compared meanwhile.
	ReasonWrongCodes Reason = "wrong_codes"

	// ReasonMessages means that the number or the user reached a message quota, or that
	// it is ErrPumping. A code that was sent before is still good.
	ReasonMessages Reason = "messages"

	// ReasonRaces means that other calls kept writing the same records. Make the
	// call again after a second.
	ReasonRaces Reason = "races"
)

// Error gives the message, and the wait if there is one.
func (e *Error) Error() string {
	if e.RetryAfter > 0 {
		return fmt.Sprintf("mfa: %s (%s, retry after %s)", e.Message, e.Code, e.RetryAfter)
	}
	return fmt.Sprintf("mfa: %s (%s)", e.Message, e.Code)
}

// Unwrap gives the variable that the error matches, such as [ErrInvalidCode].
func (e *Error) Unwrap() error { return e.is }

func refuse(reason error, code, id, message string) *Error {
	return &Error{Code: code, Message: message, ID: id, AttemptsLeft: -1, is: reason}
}

func errNotFound(kind, id string) *Error {
	noun, prefix := "Authentication Factor", factorPrefix
	if kind == kindChallenge {
		noun, prefix = "Authentication Challenge", challengePrefix
	}
	if !printableID(prefix, id) {
		// Whatever this is, it is no id: perhaps a code or a number in the wrong field.
		return refuse(ErrNotFound, "entity_not_found", "", noun+" not found.")
	}
	return refuse(ErrNotFound, "entity_not_found", id, fmt.Sprintf("%s not found: '%s'.", noun, id))
}

func errInvalidCode(challengeID string, left int, wait time.Duration) *Error {
	e := refuse(ErrInvalidCode, "invalid_one_time_code", challengeID, "The code is not valid.")
	e.AttemptsLeft, e.RetryAfter = left, wait
	if wait > 0 {
		e.Reason = ReasonWrongCodes
	}
	return e
}

func errPreviouslyVerified(challengeID string) *Error {
	return refuse(ErrChallengePreviouslyVerified,
		"authentication_challenge_previously_verified", challengeID,
		fmt.Sprintf("The authentication challenge '%s' has already been verified.", challengeID))
}

func errExpired(challengeID string) *Error {
	return refuse(ErrChallengeExpired, "authentication_challenge_expired", challengeID,
		fmt.Sprintf("The authentication challenge '%s' has expired.", challengeID))
}

func errTooManyAttempts(challengeID string) *Error {
	e := refuse(ErrTooManyAttempts, "one_time_code_too_many_attempts", challengeID,
		fmt.Sprintf("The authentication challenge '%s' takes no more codes.", challengeID))
	e.AttemptsLeft = 0
	return e
}

func errThrottled(id string, wait time.Duration, reason Reason) *Error {
	e := refuse(ErrThrottled, "rate_limit_exceeded", id, "Too many requests.")
	e.RetryAfter, e.Reason = wait, reason
	return e
}

func errPumping(id string, wait time.Duration) *Error {
	e := errThrottled(id, wait, ReasonMessages)
	e.is = fmt.Errorf("%w: %w", ErrThrottled, ErrPumping)
	return e
}

func errFactorDisabled(factorID string) *Error {
	return refuse(ErrFactorDisabled, "authentication_factor_disabled", factorID,
		fmt.Sprintf("The authentication factor '%s' is disabled after too many wrong codes.", factorID))
}

func errFactorUnverified(factorID string) *Error {
	return refuse(ErrFactorUnverified, "authentication_factor_unverified", factorID,
		fmt.Sprintf("The authentication factor '%s' has not been confirmed yet.", factorID))
}

func errProofRequired(cause error) *Error {
	e := refuse(ErrProofRequired, "second_factor_required", "", "A fresh second factor is required.")
	if cause != nil {
		e.is = fmt.Errorf("%w: %w", ErrProofRequired, cause)
	}
	return e
}

func errOtherAction(challengeID string) *Error {
	return refuse(proof.ErrMismatch, "authentication_challenge_action_mismatch", challengeID,
		fmt.Sprintf("The authentication challenge '%s' was made for another action.", challengeID))
}

func errLastFactor(factorID string) *Error {
	return refuse(ErrLastFactor, "last_factor", factorID,
		fmt.Sprintf("The authentication factor '%s' is the last one of its user.", factorID))
}

func errNoUsableFactor() *Error {
	return refuse(ErrNoUsableFactor, "no_usable_authentication_factor", "",
		"No authentication factor of the user can be used.")
}

func errDeviceNotFound() *Error {
	return refuse(ErrNotFound, "entity_not_found", "", "Trusted Device not found.")
}

func errTooManyFactors() *Error {
	return refuse(ErrTooManyFactors, "too_many_authentication_factors", "",
		fmt.Sprintf("The user has %d authentication factors already.", maxFactors))
}

func errParameter(format string, args ...any) *Error {
	return refuse(ErrInvalidParameter, "invalid_request_parameters", "", fmt.Sprintf(format, args...))
}

// errUnknownType refuses a type that is not one of Config.Methods.
func errUnknownType(outside methods) *Error {
	known := new(operator.UnknownTypeError)
	for _, m := range outside {
		known.Types = append(known.Types, string(m.traits().kind))
	}
	e := errParameter("Method must have a Type of Config.Methods.")
	e.is = fmt.Errorf("%w: %w", ErrInvalidParameter, known)
	return e
}

func errTOTPSecret(message string) *Error {
	return refuse(ErrInvalidTOTPSecret, "invalid_totp_secret", "", message)
}

func errInvalidPhoneNumber() *Error {
	return refuse(ErrInvalidPhoneNumber, "invalid_phone_number", "", "Phone number is invalid.")
}

// errPhoneNumberNotAllowed refuses a number. missing is what a mobile number
// would have after the country code that this one has not, "" if unknown.
func errPhoneNumberNotAllowed(missing string) *Error {
	message := "Phone numbers of this region or type are not allowed."
	if missing != "" {
		message = fmt.Sprintf("Phone numbers of fixed lines are not allowed. "+
			"A mobile number of this country must have a %s after the country code.", missing)
	}
	return refuse(ErrPhoneNumberNotAllowed, "phone_number_not_allowed", "", message)
}

func errIdempotencyKey(id string) *Error {
	return refuse(ErrIdempotencyKey, "idempotency_key_reused", id,
		"The idempotency key was used with different request parameters.")
}

func errNoSMSSender() *Error {
	return refuse(ErrNoSMSSender, "sms_not_configured", "",
		"Text messages are not configured: Config.SMS is nil.")
}

// printableID reports whether an id that is not well formed can be shown in an
// error all the same.
func printableID(prefix, id string) bool {
	rest, ok := strings.CutPrefix(id, prefix)
	if !ok || len(rest) > 40 {
		return false
	}
	for i := range len(rest) {
		c := rest[i]
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && c != '_' {
			return false
		}
	}
	return true
}

// A sendError is a message that could not be sent. Its text leaves the cause out,
// because providers quote the number; errors.Is and errors.As find it, unmodified.
type sendError struct {
	challengeID string
	cause       hidden[error]
}

func (e *sendError) Error() string {
	return fmt.Sprintf("mfa: the message of %s could not be sent "+
		"(errors.As finds the sender's error)", e.challengeID)
}

func (e *sendError) Unwrap() []error { return []error{ErrMessageNotSent, e.cause()} }
