package webhook

import (
	"encoding/json"
	"net/http"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/senders"
	"github.com/authfactor/mfa/senders/internal/provider"
)

const (
	wordUnknown  = "unknown"
	wordRefused  = "refused"
	wordTryLater = "try_later"
	wordAccount  = "account"
)

// reasons are the words of an answer, what they mean, and the status that a Receiver sends them
// with.
var reasons = []struct {
	word   string
	reason error
	status int
}{
	{wordUnknown, senders.ErrUnknown, http.StatusInternalServerError},
	{"cannot_receive", senders.ErrCannotReceive, http.StatusUnprocessableEntity},
	{"opted_out", senders.ErrOptedOut, http.StatusUnprocessableEntity},
	{"region_off", senders.ErrRegionOff, http.StatusUnprocessableEntity},
	{wordTryLater, senders.ErrTryLater, http.StatusTooManyRequests},
	{wordAccount, senders.ErrAccount, http.StatusForbidden},
	{wordRefused, senders.ErrRefused, http.StatusUnprocessableEntity},
}

// An answer is the body of one, as the package documentation describes it. The zero value is an
// answer without a body.
type answer struct {
	Sender string `json:"sender,omitempty"`
	ID     string `json:"id,omitempty"`
	Error  string `json:"error,omitempty"` // a word of reasons
	Text   string `json:"text,omitempty"`
	Code   string `json:"code,omitempty"`
}

// parse gives the zero answer for what is no object. A member is a word or a number; anything
// else in one, such as an object as the error, is a word that nobody knows.
func parse(body []byte) answer {
	var said map[string]json.RawMessage
	if json.Unmarshal(body, &said) != nil {
		return answer{}
	}
	word := func(name string) string {
		value := said[name]
		var text string
		var number json.Number
		switch {
		case value == nil, json.Unmarshal(value, &text) == nil: // null is ""
			return text
		case json.Unmarshal(value, &number) == nil:
			return number.String()
		}
		return "?"
	}
	return answer{
		Sender: word("sender"), ID: word("id"), Error: word("error"), Text: word("text"),
		Code: word("code"),
	}
}

// takenBy are the arguments of Message.TakenBy.
func (a answer) takenBy() (by, id string) {
	if a.Sender == "" {
		return sender, a.ID
	}
	return a.Sender, a.ID
}

// verdict is what the body says about a message that was not taken. success: the status is one
// of it, and then a word that is not known leaves it open.
func (a answer) verdict(m mfa.Message, success bool) provider.Verdict {
	v := provider.Verdict{Code: senders.Masked(m, a.Code), Text: a.Text}
	if success {
		v.Reason = senders.ErrUnknown
	}
	for _, known := range reasons {
		if a.Error == known.word {
			v.Reason = known.reason
		}
	}
	return v
}
