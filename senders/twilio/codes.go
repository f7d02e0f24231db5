package twilio

import (
	"github.com/authfactor/mfa/senders"
	"github.com/authfactor/mfa/senders/internal/provider"
)

// reasons has what can be done about Twilio's codes (www.twilio.com/docs/api/errors). With one
// that is not here, the HTTP status says what there is to say.
var reasons = map[provider.Number]error{
	// Another number, or another factor.
	"13224": senders.ErrCannotReceive, // a number that calls do not reach
	"21202": senders.ErrCannotReceive, // a premium number
	"21211": senders.ErrCannotReceive, // not a number
	"21214": senders.ErrCannotReceive, // a number that calls do not reach
	"21217": senders.ErrCannotReceive, // not a number
	"21265": senders.ErrCannotReceive, // a short code
	"21612": senders.ErrCannotReceive, // no way from the sending number to this one
	"21614": senders.ErrCannotReceive, // not a mobile number
	"21635": senders.ErrCannotReceive, // a landline
	"30003": senders.ErrCannotReceive, // the phone is off, or out of reach
	"30005": senders.ErrCannotReceive, // nobody has the number
	"30006": senders.ErrCannotReceive, // a landline, or a network without messages
	"63003": senders.ErrCannotReceive, // not on WhatsApp
	"63024": senders.ErrCannotReceive, // not on WhatsApp

	// They must answer START.
	"21610": senders.ErrOptedOut,

	// Turn the region on in the console: messages, or calls.
	"13227": senders.ErrRegionOff, // calls
	"21215": senders.ErrRegionOff, // calls
	"21408": senders.ErrRegionOff, // messages

	// Later, or another provider now.
	"10004": senders.ErrTryLater, // too many calls at the same time
	"14107": senders.ErrTryLater, // too many messages to the number
	"20429": senders.ErrTryLater, // too many requests
	"21611": senders.ErrTryLater, // too many messages in the sending number's queue
	"21730": senders.ErrTryLater, // maintenance
	"63018": senders.ErrTryLater, // too many messages on WhatsApp

	// The account's owner: activate it, pay, or put right credentials, From or its permissions.
	"10001": senders.ErrAccount, // not active
	"10002": senders.ErrAccount, // a trial account does not have this
	"10005": senders.ErrAccount, // calls are turned off
	"14108": senders.ErrAccount, // From sends no messages
	"20003": senders.ErrAccount, // wrong credentials
	"20005": senders.ErrAccount, // not active
	"20006": senders.ErrAccount, // the key may not do this
	"20008": senders.ErrAccount, // test credentials
	"20403": senders.ErrAccount, // not allowed
	"20404": senders.ErrAccount, // no such account
	"21203": senders.ErrAccount, // no calls abroad
	"21210": senders.ErrAccount, // From is not verified
	"21212": senders.ErrAccount, // From is no number
	"21216": senders.ErrAccount, // not allowed to call this number
	"21219": senders.ErrAccount, // a trial account calls verified numbers only
	"21267": senders.ErrAccount, // a trial account sends from no name
	"21401": senders.ErrAccount, // From sends no messages
	"21601": senders.ErrAccount, // From sends no messages
	"21603": senders.ErrAccount, // From is missing
	"21606": senders.ErrAccount, // From does not send there
	"21607": senders.ErrAccount, // a trial account has a number of its own for From
	"21608": senders.ErrAccount, // a trial account sends to verified numbers only
	"21657": senders.ErrAccount, // From is not for this country
	"21659": senders.ErrAccount, // From is not of Twilio, or a short code of another country
	"21660": senders.ErrAccount, // From is of another account
	"21661": senders.ErrAccount, // From sends no messages
	"21701": senders.ErrAccount, // no such Messaging Service
	"21703": senders.ErrAccount, // the Messaging Service has no numbers
	"21705": senders.ErrAccount, // no such Messaging Service
	"30002": senders.ErrAccount, // suspended
	"63002": senders.ErrAccount, // From is not on WhatsApp
	"63007": senders.ErrAccount, // From is not on WhatsApp
	"63008": senders.ErrAccount, // WhatsApp is not set up
	"70051": senders.ErrAccount, // the key may not do this
	"90010": senders.ErrAccount, // not active
}
