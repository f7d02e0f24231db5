package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/passkey"
)

// post sends mails and text messages: put your providers in here. This one sends none, and
// writes what it was given to standard error.
type post struct {
	db     database
	url    string
	now    func() time.Time
	stderr io.Writer
	log    *slog.Logger
	keep   bool // for the page of -dev

	mu    sync.Mutex
	inbox []letter // oldest first
}

type letter struct {
	At             time.Time
	To, Text, Link string
}

const inboxSize = 100

// Send implements mfa.SMSSender.
func (p *post) Send(_ context.Context, m mfa.Message) error {
	return p.send(letter{To: m.To, Text: m.Body})
}

// mail sends a text, and a link below it unless path is "".
func (p *post) mail(to, text, path string) error {
	l := letter{To: to, Text: text}
	if path != "" {
		l.Link = p.url + path
	}
	return p.send(l)
}

func (p *post) send(l letter) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.keep {
		l.At = p.now()
		p.inbox = append(p.inbox[max(0, len(p.inbox)-inboxSize+1):], l)
	}
	_, err := fmt.Fprintf(p.stderr, "to %s: %s %s\n", l.To, l.Text, l.Link)
	return err
}

// onEvent logs what happened to a factor, and tells the owner what they should know: if it
// was not them, the mail is how they learn of it. The person's request waits for it: put
// mails that take their time into a queue here.
func (a *app) onEvent(ctx context.Context, e mfa.Event) {
	mfa.LogEvents(a.log)(ctx, e)
	if !e.Notify() {
		return
	}
	u, ok, err := a.db.userBy(ctx, "id", e.UserID)
	if err == nil && ok {
		err = a.post.mail(u.Email, notice(e)+" If this was not you, set a new password and write to us.", "")
	}
	if err != nil {
		a.log.ErrorContext(ctx, "the owner could not be told", "event", e.Kind, "user", e.UserID, "error", err)
	}
}

// notice is the event in words. It says nothing that helps who may read the mail.
func notice(e mfa.Event) string {
	switch e.Kind {
	case mfa.EventFirstUse:
		return "A second factor was added to your account: " + typeNames[e.FactorType] + "."
	case mfa.EventEnrolled:
		return "New recovery codes were made for your account."
	case mfa.EventUnenrolled:
		return "A second factor was removed from your account: " + typeNames[e.FactorType] + "."
	case mfa.EventTurnedOff:
		return "The second factor of your account was turned off. Your password alone lets you in."
	case mfa.EventUnlocked:
		return "Support unlocked your second factor."
	case mfa.EventRecovered:
		return "One of your recovery codes was used."
	case mfa.EventDisabled:
		return "Your second factor was locked after too many wrong codes. Somebody may know your password."
	case mfa.EventFailed:
		if e.FactorType == passkey.Type {
			return "After your password, a passkey did not answer right several times in a row. Somebody may know your password."
		}
		return fmt.Sprintf("After your password, %d wrong codes were typed in a row. Somebody may know your password.", e.Failures)
	case mfa.EventSuccessAfterFailures:
		return fmt.Sprintf("Your second factor was accepted after %d wrong answers.", e.Failures)
	case mfa.EventCopied:
		return "A passkey of yours answered as a copy of it would, and was not let in. If you did not use it in two windows at once, add another second factor, and then remove that passkey."
	case mfa.EventDeviceStolen:
		return "A browser that you trusted is not trusted any more: somebody may have copied its cookie."
	default:
		return "Something about your second factor changed."
	}
}

// showInbox shows what was sent, newest first. It is there with -dev alone.
func (a *app) showInbox(w http.ResponseWriter, r *http.Request) error {
	a.post.mu.Lock()
	letters := make([]letter, len(a.post.inbox))
	for i, l := range a.post.inbox {
		letters[len(letters)-1-i] = l
	}
	a.post.mu.Unlock()
	return a.render(w, r, http.StatusOK, "inbox.html", view{Title: "Development inbox", Data: letters})
}
