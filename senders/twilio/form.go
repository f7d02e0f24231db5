package twilio

import (
	"encoding/xml"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/senders"
)

const (
	ringTime = 15 // seconds, to which Twilio may add 5: most mailboxes answer later

	maxTwiML = 4000 // characters of the parameter Twiml
)

// form is what is posted for a message, and to which resource of the account.
func (s *Sender) form(m mfa.Message) (form url.Values, resource string, err error) {
	refuse := func(text string) (url.Values, string, error) {
		return nil, "", &senders.Error{Sender: s.name, Reason: senders.ErrRefused, Text: text}
	}
	form = url.Values{"To": {m.To}, "From": {s.cfg.From}}
	switch s.cfg.Channel {
	case Voice:
		script := twiML(m.Body, s.cfg.Language)
		if utf8.RuneCountInString(script) > maxTwiML {
			return refuse("the text is too long to be spoken")
		}
		form.Set("Twiml", script)
		form.Set("Timeout", strconv.Itoa(ringTime))
		return form, "/Calls", nil
	case WhatsApp:
		code, ok := codeOf(m.Body)
		if !ok {
			return refuse("the text must have one number of six digits, the code")
		}
		form.Set("To", "whatsapp:"+m.To)
		form.Set("From", "whatsapp:"+s.cfg.From)
		form.Set("ContentSid", s.cfg.ContentSID)
		form.Set("ContentVariables", `{"1":"`+code+`"}`)
	case SMS:
		form.Set("Body", m.Body)
	}
	if s.cfg.MessagingServiceSID != "" {
		form.Del("From")
		form.Set("MessagingServiceSid", s.cfg.MessagingServiceSID)
	}
	if s.cfg.Feedback {
		form.Set("ProvideFeedback", "true")
	}
	return form, "/Messages", nil
}

var (
	number  = regexp.MustCompile(`[0-9]+`)
	forSite = regexp.MustCompile(`\n@[^\n ]+ #[^\n]*$`) // the last line, which browsers read
)

// codeOf finds the code in a text: the one number of six digits, which may be there twice.
func codeOf(body string) (code string, ok bool) {
	const digits = 6
	for _, n := range number.FindAllString(body, -1) {
		if len(n) != digits {
			continue
		}
		if code != "" && n != code {
			return "", false
		}
		code = n
	}
	return code, code != ""
}

// twiML is what a call speaks: the text, with each number of four digits or more digit by
// digit, and a second later all of it again.
func twiML(body, language string) string {
	const spelled = 4
	body = number.ReplaceAllStringFunc(forSite.ReplaceAllString(body, ""), func(n string) string {
		if len(n) < spelled {
			return n
		}
		return strings.Join(strings.Split(n, ""), ", ") // a comma is a pause
	})
	var say strings.Builder
	say.WriteString("<Say>")
	if language != "" {
		say.Reset()
		say.WriteString(`<Say language="` + language + `">`) // which New checked
	}
	_ = xml.EscapeText(&say, []byte(body)) // a Builder takes everything
	say.WriteString("</Say>")
	const pause = `<Pause length="1"/>`
	return "<Response>" + pause + say.String() + pause + say.String() + "</Response>"
}
