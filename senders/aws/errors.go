package aws

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/pinpointsmsvoicev2/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/internal/handover"
	"github.com/authfactor/mfa/senders"
	"github.com/authfactor/mfa/senders/internal/provider"
)

// The exceptions that have reasons.
const (
	validation = "ValidationException"
	conflict   = "ConflictException"
)

// noException is what the SDK calls an answer that names none.
const noException = "UnknownError"

// atDestination stands for the reasons of a ValidationException that names the destination
// number.
const atDestination = "(destination)"

// reasons are what the exceptions of AWS mean. The first line that fits counts; one without a
// reason fits all. What is not here is decided by the status.
var reasons = []struct {
	exception, reason string
	means             error
}{
	{validation, "COUNTRY_CODE_MISMATCH", senders.ErrRegionOff},
	{validation, "COUNTRY_NOT_ENABLED", senders.ErrRegionOff},
	{validation, "DESTINATION_COUNTRY_BLOCKED", senders.ErrRegionOff},
	{validation, "INTERNATIONAL_SENDING_NOT_SUPPORTED", senders.ErrRegionOff},
	{validation, "INVALID_IDENTITY_FOR_DESTINATION_COUNTRY", senders.ErrRegionOff},
	{validation, "SENDER_ID_NOT_SUPPORTED", senders.ErrRegionOff},
	{validation, "SENDER_ID_NOT_REGISTERED", senders.ErrRegionOff},
	{validation, "SENDER_ID_REQUIRES_REGISTRATION", senders.ErrRegionOff},
	{validation, "CHANNEL_NOT_ENABLED", senders.ErrAccount},
	{validation, "INVALID_ARN", senders.ErrAccount},
	{validation, "RESOURCE_NOT_ACCESSIBLE", senders.ErrAccount},
	{validation, atDestination, senders.ErrCannotReceive},

	{conflict, "DESTINATION_PHONE_NUMBER_OPTED_OUT", senders.ErrOptedOut},
	{conflict, "DESTINATION_COUNTRY_BLOCKED_BY_PROTECT_CONFIGURATION", senders.ErrRegionOff},
	{conflict, "NO_ORIGINATION_IDENTITIES_FOUND", senders.ErrRegionOff},
	{conflict, "DESTINATION_PHONE_NUMBER_NOT_VERIFIED", senders.ErrAccount}, // in the sandbox
	{conflict, "MESSAGE_TYPE_MISMATCH", senders.ErrAccount},
	{conflict, "NUMBER_CAPABILITIES_MISMATCH", senders.ErrAccount},
	{conflict, "RESOURCE_NOT_ACTIVE", senders.ErrAccount},

	{"ThrottlingException", "", senders.ErrTryLater},
	{"TooManyRequestsException", "", senders.ErrTryLater},

	{"AccessDeniedException", "", senders.ErrAccount},
	{"ResourceNotFoundException", "", senders.ErrAccount},
	{"ServiceQuotaExceededException", "", senders.ErrAccount}, // the spend limit of the month

	// What each service of AWS says of credentials, with 400 or 403.
	{"ExpiredToken", "", senders.ErrAccount},
	{"ExpiredTokenException", "", senders.ErrAccount},
	{"IncompleteSignature", "", senders.ErrAccount},
	{"IncompleteSignatureException", "", senders.ErrAccount},
	{"InvalidClientTokenId", "", senders.ErrAccount},
	{"InvalidSignatureException", "", senders.ErrAccount},
	{"MissingAuthenticationToken", "", senders.ErrAccount},
	{"MissingAuthenticationTokenException", "", senders.ErrAccount},
	{"NotAuthorized", "", senders.ErrAccount},
	{"OptInRequired", "", senders.ErrAccount},
	{"RequestExpired", "", senders.ErrAccount}, // the clock is wrong
	{"SignatureDoesNotMatch", "", senders.ErrAccount},
	{"UnrecognizedClientException", "", senders.ErrAccount},

	{"InternalFailure", "", senders.ErrUnknown},
	{"InternalServerException", "", senders.ErrUnknown},
	{"ServiceUnavailable", "", senders.ErrUnknown},
}

// failed is the error of a call that the SDK returned one for.
func (c *call) failed(ctx context.Context, m mfa.Message, err error) *senders.Error {
	e := &senders.Error{Sender: name, Reason: senders.ErrUnknown}
	status, header := 0, http.Header(nil)
	if answer, ok := errors.AsType[*smithyhttp.ResponseError](err); ok {
		status, header = answer.HTTPStatusCode(), answer.Response.Header // 0 for no answer
	}
	wait, waits := provider.RetryAfter(header)
	byStatus := provider.ByStatus(status, waits)
	exception, ok := errors.AsType[smithy.APIError](err)
	switch {
	case status != 0 && ok && exception.ErrorCode() != noException:
		reason := reasonOf(err)
		e.Reason = byStatus
		if status/100 == 4 { // a server that failed may have taken the message, whatever it says
			e.Reason = meaning(exception.ErrorCode(), reason, namesDestination(err), byStatus)
		}
		if reason == "" {
			reason = exception.ErrorCode()
		}
		e.Code = senders.Masked(m, reason)
		e.Text = senders.Masked(m, exception.ErrorMessage())
	case status != 0:
		e.Reason, e.Code = byStatus, "HTTP "+strconv.Itoa(status)
	default:
		e.Text, e.Cause = senders.Masked(m, err.Error()), err
		switch {
		case ctx.Err() != nil: // and so it stays, whatever came of it
		case !c.asked: // there are no credentials, or there is no region
			e.Reason, e.Cause = senders.ErrAccount, handover.Unsent(err)
		case c.way.Unwritten():
			e.Reason, e.Cause = senders.ErrTryLater, handover.Unsent(err)
		}
	}
	if errors.Is(e.Reason, senders.ErrTryLater) {
		e.RetryAfter = wait
	}
	return e
}

// meaning looks an exception up. One that is not known means otherwise.
func meaning(exception, reason string, destination bool, otherwise error) error {
	for _, r := range reasons {
		if r.exception == exception && (r.reason == "" || r.reason == reason ||
			r.reason == atDestination && destination) {
			return r.means
		}
	}
	return otherwise
}

// reasonOf is the reason that an exception gives, "" for none.
func reasonOf(err error) string {
	if e, ok := errors.AsType[*types.ValidationException](err); ok {
		return string(e.Reason)
	}
	if e, ok := errors.AsType[*types.ConflictException](err); ok {
		return string(e.Reason)
	}
	if e, ok := errors.AsType[*types.AccessDeniedException](err); ok {
		return string(e.Reason)
	}
	if e, ok := errors.AsType[*types.ServiceQuotaExceededException](err); ok {
		return string(e.Reason)
	}
	return ""
}

// namesDestination reports whether the destination number is what an exception is about.
func namesDestination(err error) bool {
	e, ok := errors.AsType[*types.ValidationException](err)
	if !ok {
		return false
	}
	for _, field := range e.Fields {
		if field.Name != nil && strings.EqualFold(*field.Name, "DestinationPhoneNumber") {
			return true
		}
	}
	return false
}
