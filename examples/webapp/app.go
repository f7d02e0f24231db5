package main

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/alexedwards/scs/v2"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/sqlstore"
)

//go:embed pages
var files embed.FS

// An app is everything that a request may need.
type app struct {
	options
	log      *slog.Logger
	db       database
	mfa      *mfa.Service
	post     *post
	sessions *scs.SessionManager
	tries    tries
	codes    turns // of who submits an answer
	enrolls  turns // of a session that enrolls; taken after the other
	pages    map[string]*template.Template
	routes   *http.ServeMux
}

func newApp(ctx context.Context, o options) (*app, error) {
	a := &app{options: o, log: slog.New(slog.NewTextHandler(o.stderr, nil)), tries: tries{now: o.now}}
	var err error
	if a.pages, err = parsePages(); err != nil {
		return nil, err
	}
	keys, err := keyring(o)
	if err != nil {
		return nil, err
	}
	if a.db, err = openDatabase(ctx, o); err != nil {
		return nil, err
	}
	a.post = &post{db: a.db, url: o.url, now: o.now, stderr: o.stderr, log: a.log, keep: o.dev}
	store, err := sqlstore.New(ctx, sqlstore.Config{DB: a.db.DB, Dialect: sqlstore.SQLite})
	if err != nil {
		return nil, errors.Join(err, a.db.Close())
	}
	method, err := passkeys(o)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("-url: %w", err), a.db.Close())
	}
	regions := strings.Split(strings.ToUpper(o.regions), ",")
	a.mfa, err = mfa.New(mfa.Config{
		Store: store, SMS: a.post, Keys: keys, Regions: regions, DefaultRegion: regions[0],
		Methods: []mfa.Method{method}, Now: o.now, Logger: a.log, OnEvent: a.onEvent,
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("-regions: %w", err), a.db.Close())
	}
	a.sessions = newSessions(a.db, o.secure())
	a.routes = a.newRoutes()
	return a, nil
}

func (a *app) close() { _ = a.db.Close() }

// newRoutes has the pages in the order in which a person meets them.
func (a *app) newRoutes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", a.page(a.showHome))

	mux.Handle("GET /signup", a.page(a.showStart))
	mux.Handle("GET /forgot", a.page(a.showStart))
	mux.Handle("POST /start", a.page(a.start))
	mux.Handle("GET /link/{token}", a.page(a.showLink))
	mux.Handle("POST /link/{token}", a.page(a.followLink))

	mux.Handle("GET /login", a.page(a.showLogin))
	mux.Handle("POST /login", a.page(a.login))
	mux.Handle("GET /code", a.answering(a.showCode))
	mux.Handle("POST /code", a.answering(a.code))
	mux.Handle("POST /code/send", a.answering(a.sendCode))
	mux.Handle("POST /code/other", a.answering(a.otherFactor))

	mux.Handle("GET /account", a.member(a.showAccount))
	mux.Handle("GET /account/passkey", a.member(a.showEnroll))
	mux.Handle("POST /account/passkey", a.member(a.unlessLost(a.enrollPasskey)))
	mux.Handle("GET /account/app", a.member(a.showEnroll))
	mux.Handle("POST /account/app", a.member(a.unlessLost(a.enrollApp)))
	mux.Handle("GET /account/phone", a.member(a.showEnroll))
	mux.Handle("POST /account/phone", a.member(a.unlessLost(a.enrollPhone)))
	mux.Handle("POST /account/recovery", a.member(a.unlessLost(a.enrollRecovery)))
	mux.Handle("GET /account/rename", a.member(a.showRename))
	mux.Handle("POST /account/rename", a.member(a.rename))
	mux.Handle("POST /account/remove", a.member(a.removeFactor))
	mux.Handle("POST /account/off", a.member(a.turnOff))
	mux.Handle("POST /account/devices", a.member(a.revokeDevice))
	mux.Handle("GET /account/email", a.member(a.showEmail))
	mux.Handle("POST /account/email", a.member(a.changeEmail))
	mux.Handle("POST /logout", a.member(a.logout))
	if a.dev {
		mux.Handle("GET /dev/inbox", a.page(a.showInbox))
	}
	return mux
}

// handler is the routes behind what holds for all of them.
func (a *app) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /style.css", serveFile("pages/style.css"))
	mux.HandleFunc("GET /passkey.js", serveFile("pages/passkey.js"))
	mux.HandleFunc("GET /otp.js", serveFile("pages/otp.js"))
	// Forms carry no token against forgery: browsers say themselves where a request comes
	// from, and those from elsewhere are refused here.
	mux.Handle("/", http.NewCrossOriginProtection().Handler(loads(a.sessions.LoadAndSave(a.routes))))
	return a.headers(mux)
}

func (a *app) headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		// Two scripts, one that passkeys need and one that reads codes, and none within a page;
		// and pictures from the page itself alone: the QR code is a data URI.
		h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin") // the links in mails hold a secret
		// Neither a cache nor the back button shows a page again: not its secrets, and nothing
		// after logging out.
		h.Set("Cache-Control", "no-store")
		if a.secure() {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		r, ok := a.arrived(w, r)
		if !ok {
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, 16<<10)
		next.ServeHTTP(w, r.WithContext(mfa.WithSource(r.Context(), address(r))))
	})
}

// page is a handler whose error is ours, and not the person's.
func (a *app) page(handle func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := handle(w, r)
		if err == nil {
			return
		}
		a.log.ErrorContext(r.Context(), "request failed", "method", r.Method, "route", r.Pattern, "error", err)
		if err := a.render(w, r, http.StatusInternalServerError, "error.html", view{Title: "That did not work"}); err != nil {
			http.Error(w, "Internal Server Error", http.StatusInternalServerError)
		}
	})
}

// member is a page for somebody who is logged in.
func (a *app) member(handle func(http.ResponseWriter, *http.Request, user) error) http.Handler {
	return a.page(func(w http.ResponseWriter, r *http.Request) error {
		u, ok, err := a.whoIs(r)
		if err != nil {
			return err
		}
		if !ok {
			http.Redirect(w, r, "/login", http.StatusSeeOther)
			return nil
		}
		return handle(w, r, u)
	})
}

// A view is what all pages show; Data is the page's own.
type view struct {
	Title   string
	Problem string // why the form comes again
	Notice  string // what was done, from the page before
	Member  bool   // somebody is logged in
	Dev     bool
	Data    any
}

func parsePages() (map[string]*template.Template, error) {
	names, err := files.ReadDir("pages")
	pages := make(map[string]*template.Template)
	for _, f := range names {
		if name := f.Name(); err == nil && strings.HasSuffix(name, ".html") && name != "layout.html" {
			pages[name], err = template.New(name).Funcs(words).ParseFS(files, "pages/layout.html", "pages/"+name)
		}
	}
	return pages, err
}

// render shows a page as a whole or not at all.
func (a *app) render(w http.ResponseWriter, r *http.Request, status int, name string, v view) error {
	v.Dev = a.dev
	v.Member = a.sessions.Exists(r.Context(), memberKey)
	v.Notice = a.sessions.PopString(r.Context(), noticeKey)
	if problem := a.sessions.PopString(r.Context(), problemKey); problem != "" {
		v.Problem = problem
	}
	var page bytes.Buffer
	if err := a.pages[name].ExecuteTemplate(&page, "layout", v); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = page.WriteTo(w) // to a browser that hung up
	return nil
}

// redirect goes to the next page, which shows the notice.
func (a *app) redirect(w http.ResponseWriter, r *http.Request, to, notice string) error {
	if notice != "" {
		a.sessions.Put(r.Context(), noticeKey, notice)
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
	return nil
}

// serveFile has what is the same for everybody.
func serveFile(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=3600")
		http.ServeFileFS(w, r, files, name)
	}
}

func (a *app) cleanHourly(ctx context.Context) {
	hourly := time.NewTicker(time.Hour)
	defer hourly.Stop()
	for ctx.Err() == nil {
		_, err := a.mfa.Purge(ctx)
		if err := errors.Join(err, a.db.clean(ctx, a.now())); err != nil && ctx.Err() == nil {
			a.log.Error("cleaning failed: the next is in an hour", "error", err)
		}
		select {
		case <-hourly.C:
		case <-ctx.Done():
		}
	}
}
