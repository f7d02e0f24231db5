package twilio

import (
	"regexp"
	"strings"
)

// isSID reports whether an id is one of Twilio's, of a resource of these.
func isSID(id string, prefixes ...string) bool {
	const digits = 32
	for _, prefix := range prefixes {
		if rest, ok := strings.CutPrefix(id, prefix); ok {
			return len(rest) == digits && strings.Trim(rest, "0123456789abcdefABCDEF") == ""
		}
	}
	return false
}

var (
	e164      = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)
	shortCode = regexp.MustCompile(`^[0-9]{3,8}$`)
	name      = regexp.MustCompile(`^[0-9 ]*[A-Za-z][A-Za-z0-9 ]*$`)
	language  = regexp.MustCompile(`^([A-Za-z0-9]+(-[A-Za-z0-9]+)*)?$`)
)

const maxName = 11 // characters of From

// problem is what is wrong with a Config, "" for nothing. It has no secret.
func (cfg *Config) problem() string {
	token, key := cfg.AuthToken.Reveal() != "", cfg.APIKey != ""
	switch {
	case !isSID(cfg.AccountSID, "AC"):
		return `AccountSID must be "AC" and 32 hexadecimal digits`
	case token == key:
		return "one of AuthToken and APIKey is required"
	case key && !isSID(cfg.APIKey, "SK"):
		return `APIKey must be "SK" and 32 hexadecimal digits`
	case key != (cfg.APISecret.Reveal() != ""):
		return "APISecret is required with APIKey, and only then"
	case (cfg.From == "") == (cfg.MessagingServiceSID == ""):
		return "one of From and MessagingServiceSID is required"
	case cfg.MessagingServiceSID != "" && !isSID(cfg.MessagingServiceSID, "MG"):
		return `MessagingServiceSID must be "MG" and 32 hexadecimal digits`
	}
	return cfg.channelProblem()
}

// channelProblem is what does not suit the channel.
func (cfg *Config) channelProblem() string {
	switch {
	case cfg.Channel != SMS && cfg.Channel != WhatsApp && cfg.Channel != Voice:
		return "Channel must be SMS, WhatsApp or Voice"
	case cfg.Channel == WhatsApp && !isSID(cfg.ContentSID, "HX"):
		return `for WhatsApp, ContentSID must be "HX" and 32 hexadecimal digits`
	case cfg.Channel != WhatsApp && cfg.ContentSID != "":
		return "ContentSID is for WhatsApp only"
	case cfg.Channel != Voice && cfg.Language != "":
		return "Language is for Voice only"
	case !language.MatchString(cfg.Language):
		return `Language must be such as "de-DE"`
	case cfg.Channel == Voice && cfg.Feedback:
		return "Feedback is not for Voice"
	case cfg.Channel == Voice && cfg.From == "":
		return "for Voice, From is required"
	}
	return cfg.fromProblem()
}

// fromProblem is what is wrong with From, which may be "".
func (cfg *Config) fromProblem() string {
	isName := len(cfg.From) <= maxName && name.MatchString(cfg.From)
	switch {
	case cfg.From == "" || e164.MatchString(cfg.From):
		return ""
	case cfg.Channel != SMS:
		return `for WhatsApp and Voice, From must be a number such as "+15005550006"`
	case !isName && !shortCode.MatchString(cfg.From):
		return `From must be a number such as "+15005550006", a short code, or a name of up to ` +
			"11 letters, digits and spaces"
	}
	return ""
}
