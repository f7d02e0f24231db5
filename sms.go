package mfa

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"sync"
	"time"
)

// An SMSSender sends text messages.
type SMSSender interface {
	// Send hands the message to the phone network. It honours ctx. An error makes
	// the challenge void, and the message still counts: whoever sent it may charge
	// for it. Hand Message.ID to a provider that takes idempotency keys.
	Send(ctx context.Context, m Message) error
}

// A Message is one text message. Its fields are plain strings, Body holds the
// code: do not log it.
type Message struct {
	ID   string // the same for each try to send it; of no use to anybody else
	To   string // in E.164, such as "+15005550006"
	Body string // at most 3 parts
}

// An Outbox is an [SMSSender] that keeps the last 1,000 messages in memory and
// sends none, for development and tests. The zero value is ready for use.
type Outbox struct {
	mu       sync.Mutex
	messages []hidden[Message]
}

var _ SMSSender = (*Outbox)(nil)

// Send keeps the message, or returns the error of ctx.
func (o *Outbox) Send(ctx context.Context, m Message) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.messages) == outboxSize {
		o.messages = slices.Delete(o.messages, 0, 1)
	}
	o.messages = append(o.messages, hide(m))
	return nil
}

// Messages returns what was sent, oldest first.
func (o *Outbox) Messages() []Message {
	o.mu.Lock()
	defer o.mu.Unlock()
	messages := make([]Message, len(o.messages))
	for i, m := range o.messages {
		messages[i] = m()
	}
	return messages
}

// Format prints how many messages there are, whatever the verb.
func (o *Outbox) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "mfa.Outbox(%d messages)", len(o.Messages()))
}

const (
	placeholder     = "{{code}}"
	defaultTemplate = "Your verification code is " + placeholder + "."
)

func render(template, code string) string { return strings.ReplaceAll(template, placeholder, code) }

// newCode returns six random digits, all equally likely.
func newCode() (string, error) {
	n, err := rand.Int(rand.Reader, big.NewInt(codeSpace))
	if err != nil {
		return "", fmt.Errorf("mfa: making a code: %w", err)
	}
	return fmt.Sprintf("%0*d", digits, n), nil
}

// messageID is the same for every try and tells nothing about the challenge.
func messageID(challengeID string) string {
	sum := sha256.Sum256([]byte("github.com/authfactor/mfa message " + challengeID))
	return hex.EncodeToString(sum[:16])
}

// The characters of GSM 03.38: those of the basic table take one septet, those of
// the extension table two.
const (
	gsmBasic = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?" +
		"¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
	gsmExtension = "^{}\\[~]|€"
)

// messageParts is how many messages a text takes: 160 septets or 70 UTF-16 units
// in one, 153 or 67 in each of several, and no character is split.
func messageParts(text string) int {
	gsm := true
	for _, r := range text {
		gsm = gsm && (strings.ContainsRune(gsmBasic, r) || strings.ContainsRune(gsmExtension, r))
	}
	single, part := 70, 67
	if gsm {
		single, part = 160, 153
	}
	total, parts, used := 0, 1, 0
	for _, r := range text {
		size := 1
		if gsm && strings.ContainsRune(gsmExtension, r) || !gsm && r > 0xffff {
			size = 2
		}
		total += size
		if used += size; used > part {
			parts, used = parts+1, size
		}
	}
	if total <= single {
		return 1
	}
	return parts
}

// loadNumber sets the view's number, fresh if it was never used. A keyring with
// several keys gives a number several ids; what is found under older ones is
// taken over and deleted.
func (s *Service) loadNumber(ctx context.Context, v *view) error {
	ids := s.keys.numberIDs(v.factor.phone)
	records, err := s.load(ctx, ids...)
	if err != nil {
		return err
	}
	v.number = &number{Record: Record{ID: ids[0], Kind: kindNumber}}
	for i, id := range ids {
		rec, ok := records.find(id)
		if !ok {
			continue
		}
		n := new(number)
		if err := s.keys.opened(rec, kindNumber, n); err != nil {
			return err
		}
		if i == 0 {
			v.number = n
		} else {
			v.number.merge(n)
			v.numbers = append(v.numbers, n)
		}
	}
	return nil
}

// merge takes over the counts of the same number under another key.
func (n *number) merge(old *number) {
	n.sends.Merge(old.sends, sendQuota.Day+deviceSends) // older ones decide nothing
	n.shares.Merge(old.shares, sendQuota.Day)
	n.guesses.Merge(old.guesses)
}

// touch sets the times of a number's record before it is saved.
func (n *number) touch(now time.Time) {
	if n.Version == 0 {
		n.CreatedAt = now
	}
	n.UpdatedAt = now
	n.ExpiresAt = later(now, later(n.sends.Lapse(), n.guesses.Lapse()))
}

// saveNumber adds the view's number to what is written.
func (out *outcome) saveNumber(v *view) {
	out.save = append(out.save, v.number)
	for _, n := range v.numbers {
		out.remove = append(out.remove, n)
	}
}
