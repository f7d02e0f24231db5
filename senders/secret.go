package senders

// A Secret is a credential of a provider's account. Nothing that prints, logs or encodes it, or
// what it is part of, shows it. The zero value is no secret.
type Secret struct {
	value func() string // fmt follows pointers, and never calls a function
}

// Hide makes a Secret of a text, as in senders.Hide(os.Getenv("TWILIO_AUTH_TOKEN")). Of "" it
// makes the zero Secret.
func Hide(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{func() string { return text }}
}

// Reveal returns the text, "" of the zero Secret.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return s.value()
}
