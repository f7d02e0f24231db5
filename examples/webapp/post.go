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
	"github.com/authfactor/mfa/mfaweb"
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
	notice, worth := mfaweb.NoticeOf(e)
	if !worth {
		return
	}
	u, ok, err := a.db.userBy(ctx, "id", e.UserID)
	if err == nil && ok {
		err = a.post.mail(u.Email, notice.Text+" If this was not you, set a new password and write to us.", "")
	}
	if err != nil {
		a.log.ErrorContext(ctx, "the owner could not be told", "event", e.Kind, "user", e.UserID, "error", err)
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
