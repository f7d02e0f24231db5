package main

import (
	"embed"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"sync"
)

const (
	name = "Shop" // as apps and browsers show it
	host = "localhost"
)

//go:embed pages
var files embed.FS

// An app is everything that a request may need.
type app struct {
	options
	afterPassword func(http.ResponseWriter, *http.Request, row)

	mu       sync.Mutex
	rows     []row
	sessions map[string]session // by what is in the cookie
	inbox    []string           // oldest first
	paid     []payment
}

func newApp(o options) *app {
	return &app{options: o, rows: demonstration(o.now()), sessions: make(map[string]session)}
}

// handler is the routes behind what holds for all of them.
func (a *app) handler() (http.Handler, error) {
	mux := http.NewServeMux()
	if err := a.addSecondFactor(mux); err != nil {
		return nil, err
	}
	mux.Handle("GET /{$}", http.RedirectHandler("/account", http.StatusSeeOther))
	mux.HandleFunc("GET /login", a.showLogin)
	mux.HandleFunc("POST /login", a.login)
	mux.HandleFunc("POST /logout", a.logout)
	mux.HandleFunc("GET /account", a.showAccount)
	mux.HandleFunc("GET /me", a.me)
	mux.HandleFunc("GET /{file}", page(""))
	if a.dev {
		mux.HandleFunc("GET /dev/inbox", a.showInbox)
	}
	return headers(http.NewCrossOriginProtection().Handler(mux)), nil
}

func headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		// Scripts of this site and none within a page, and pictures from the page itself alone:
		// the QR code is a data URI.
		h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; "+
			"style-src 'self'; img-src data:; connect-src 'self'; form-action 'self'; "+
			"base-uri 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		// The back button shows nothing of before, after logging out.
		h.Set("Cache-Control", "no-store")
		r.Body = http.MaxBytesReader(w, r.Body, 128<<10)
		next.ServeHTTP(w, r)
	})
}

// page serves a file of the front end, the same for everybody. The scripts ask for the rest.
func page(file string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		name := file
		if name == "" {
			name = r.PathValue("file")
		}
		http.ServeFileFS(w, r, files, "pages/"+name)
	}
}

func (a *app) showLogin(w http.ResponseWriter, r *http.Request) {
	if _, _, ok := a.session(r); ok {
		http.Redirect(w, r, "/account", http.StatusSeeOther)
		return
	}
	page("login.html")(w, r)
}

func (a *app) showAccount(w http.ResponseWriter, r *http.Request) {
	if _, _, ok := a.session(r); !ok {
		http.Redirect(w, r, "/login", http.StatusSeeOther)
		return
	}
	page("account.html")(w, r)
}

// me is who is logged in.
func (a *app) me(w http.ResponseWriter, r *http.Request) {
	_, u, ok := a.session(r)
	if !ok {
		refuse(w, http.StatusUnauthorized, "not_logged_in", "Please log in.")
		return
	}
	answer(w, http.StatusOK, map[string]string{"email": u.email})
}

// send is for mails and text messages: put your providers in here.
func (a *app) send(to, text string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	line := fmt.Sprintf("to %s: %s\n", to, text)
	a.inbox = append(a.inbox[max(0, len(a.inbox)-99):], line)
	_, err := fmt.Fprint(a.stderr, line)
	return err
}

// showInbox shows what was sent, newest first. It is there with -dev alone.
func (a *app) showInbox(w http.ResponseWriter, _ *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	for _, line := range slices.Backward(a.inbox) {
		_, _ = fmt.Fprint(w, line) // to a browser that hung up
	}
}

// read reads a body of JSON. A form of another site cannot have one.
func read(w http.ResponseWriter, r *http.Request, into any) bool {
	media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if media != "application/json" || json.NewDecoder(r.Body).Decode(into) != nil {
		refuse(w, http.StatusBadRequest, "invalid_json", "It is our fault. Please try again.")
		return false
	}
	return true
}

// refuse answers as package mfaweb does, so that the front end has one kind of error.
func refuse(w http.ResponseWriter, status int, code, show string) {
	answer(w, status, map[string]string{"code": code, "show": show})
}

func answer(w http.ResponseWriter, status int, what any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(what) // to a browser that hung up
}
