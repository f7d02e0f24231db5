// Package mfaweb is the second factor for an application's own pages: a handler that its front
// end calls with fetch, and the step after the password.
//
//	web, err := mfaweb.New(mfaweb.Config{
//		Service: svc,
//		Issuer:  "Example",
//		Session: app.session,      // who is logged in
//		User:    app.user,         // the row of a person
//		LogIn:   app.logIn,        // makes the session
//		SetHasFactor: app.setHasFactor, // a column of that row
//	})
//	...
//	mux.Handle("/mfa/", http.StripPrefix("/mfa", web))
//
// The application's own handler of the password calls [Handler.Begin] where it made the session
// before. A handler that needs a fresh second factor is wrapped by [Handler.StepUp].
//
// # What is asked
//
// A question is a second factor that is asked for: to log in, to approve an action, or to confirm
// a factor that was enrolled. It is kept in a cookie of its own, which only this package can read,
// for ten minutes from the last challenge, and an hour at most. A browser has one question at a
// time. Every answer names the question that it is for, so what is typed in one tab never answers
// the question of another one.
//
// # The routes
//
// All bodies and answers are JSON. openapi.yaml beside this file describes them.
//
//	GET  /question        the question that waits, and the factors that can answer
//	POST /cancel          ends it
//	POST /challenge       asks one of them: sends a message, makes the options of a passkey
//	POST /verify          answers
//	GET  /account         the factors and trusted browsers of who is logged in
//	POST /enroll          adds or replaces a factor, which a question confirms
//	POST /rename          gives a factor another name
//	POST /remove          removes a factor that is not the last one
//	POST /recovery-codes  makes new recovery codes
//	POST /turn-off        removes all factors
//	POST /revoke-device   ends the trust in one browser, or in all
//
// What needs a fresh second factor is answered by 403 with the code "second_factor_required" and
// a question. Once it is answered, the same request is made again with the header Mfa-Receipt.
package mfaweb

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/internal/issuer"
)

// A User is a person, as the application's own row has them.
type User struct {
	// ID is the id of the row, never what was typed. Required.
	ID string

	// Label is what apps and browsers show of the account, such as an e-mail address. It is
	// shortened to 64 characters, and a ':' becomes '-'. Required to enroll.
	Label string

	// Generation is anything that changes with the password: a counter, or the time of the
	// last change. What is asked of a person ends when it changes. Defaults to "": then a
	// login that was begun with the old password can be answered for an hour.
	Generation string

	// HasFactor is what Config.SetHasFactor stored.
	HasFactor bool
}

// A Session is that of who is logged in.
type Session struct {
	User

	// ID tells this session from others of the same person, such as the id of its row. It
	// must stay the same while the session lasts. It is not shown to anybody. Required.
	ID string
}

// Config is what [New] requires, and its options.
type Config struct {
	// Service holds the factors. Required.
	Service *mfa.Service

	// Issuer is how the application calls itself in authenticator apps. Required.
	Issuer string

	// Session returns who is logged in, and false for nobody. Let a session keep the
	// Generation and HasFactor that LogIn was given, and return false once the row has
	// others: then sessions of before a new password or the first factor end by themselves,
	// and so do logins that were under way. Required.
	Session func(*http.Request) (s Session, ok bool, err error)

	// User returns the row of a person, and the zero User for one who is not there.
	// Required.
	User func(ctx context.Context, id string) (User, error)

	// LogIn makes the session, with a new id, and sets its cookie. It must not write the
	// answer. v is what was verified, and zero where nothing was: at a login that needs no
	// second factor, and after it was turned off. It may be called twice for one login: a
	// form that is submitted twice gets two sessions. Required.
	LogIn func(w http.ResponseWriter, r *http.Request, u User, v mfa.Verification) error

	// SetHasFactor stores in the person's row whether they have a confirmed factor, from
	// where User and Session read it. If the factors are lost, nobody gets in without them
	// because of it: see mfa.LoginParams.HasFactor. All sessions of the person must end by
	// it (see Session), since one of before may be a thief's: LogIn is called afterwards,
	// for the browser that did it. After an error it is called again. Required.
	SetHasFactor func(ctx context.Context, userID string, has bool) error

	// Deliver sends the code of a generic_otp factor to the person: once for a question, and
	// again whenever the browser asks for that, so limit how often a person is sent one.
	// Required if they have any.
	Deliver func(ctx context.Context, u User, f mfa.Factor, code string) error

	// RequireFrom returns from when on a person must have a second factor. Whoever has none
	// then enrolls one at the login, and nobody turns theirs off. Defaults to nil: nobody
	// must; so does the zero time.
	RequireFrom func(User) time.Time

	// SMSTemplate is the text of messages. Defaults to that of mfa.ChallengeParams.
	SMSTemplate string

	// TrustedOrigins are the origins of your pages where a proxy changes the Host, such as
	// "https://app.example.com". There is no CORS. Defaults to none: the browser's Origin
	// must be the Host.
	TrustedOrigins []string

	// ClientIPHeader is the header in which a proxy says where a request comes from, such as
	// X-Forwarded-For. Its last address, which the proxy itself added, becomes Event.Source.
	// Nobody but the proxy may reach the handler then. Defaults to none: the address of
	// the connection.
	ClientIPHeader string

	// InsecureHTTP sends the cookies over plain HTTP as well, for development without TLS.
	// Defaults to false. (Chrome and Firefox take secure cookies of http://localhost.)
	InsecureHTTP bool

	// Logger gets the errors that are answered with 5xx. Defaults to slog.Default().
	Logger *slog.Logger
}

// A Handler serves the routes. It is safe for concurrent use.
type Handler struct {
	cfg     Config
	svc     *mfa.Service
	log     *slog.Logger
	origins *http.CrossOriginProtection
}

var headerName = regexp.MustCompile(`^[A-Za-z0-9-]*$`)

// New returns a handler. Its errors say how to correct the Config.
func New(cfg Config) (*Handler, error) {
	h := &Handler{
		cfg: cfg, svc: cfg.Service, log: cfg.Logger, origins: http.NewCrossOriginProtection(),
	}
	if h.log == nil {
		h.log = slog.Default()
	}
	switch {
	case cfg.Service == nil:
		return nil, errors.New("mfaweb: Config.Service is required")
	case cfg.Session == nil:
		return nil, errors.New("mfaweb: Config.Session is required: who is logged in")
	case cfg.User == nil:
		return nil, errors.New("mfaweb: Config.User is required: the row of a person")
	case cfg.LogIn == nil:
		return nil, errors.New("mfaweb: Config.LogIn is required: it makes the session")
	case cfg.SetHasFactor == nil:
		return nil, errors.New("mfaweb: Config.SetHasFactor is required: " +
			"a column of the person's row, without which a lost store would let everybody in")
	case !headerName.MatchString(cfg.ClientIPHeader),
		strings.EqualFold(cfg.ClientIPHeader, "Forwarded"):
		return nil, errors.New("mfaweb: Config.ClientIPHeader must name a header that has " +
			"addresses alone, such as X-Forwarded-For")
	}
	if err := issuer.Check(cfg.Issuer); err != nil {
		return nil, fmt.Errorf("mfaweb: Config.Issuer: %w", err)
	}
	for _, origin := range cfg.TrustedOrigins {
		if err := h.origins.AddTrustedOrigin(origin); err != nil {
			return nil, fmt.Errorf("mfaweb: Config.TrustedOrigins: %w", err)
		}
	}
	return h, nil
}

// routes are what ServeHTTP serves.
var routes = []struct {
	method, path string
	serve        func(*Handler, *call) (any, error)
}{
	{"GET", "/question", (*Handler).showQuestion},
	{"POST", "/cancel", (*Handler).cancel},
	{"POST", "/challenge", (*Handler).challenge},
	{"POST", "/verify", (*Handler).verify},
	{"GET", "/account", (*Handler).account},
	{"POST", "/enroll", (*Handler).enroll},
	{"POST", "/rename", (*Handler).rename},
	{"POST", "/remove", (*Handler).remove},
	{"POST", "/recovery-codes", (*Handler).recoveryCodes},
	{"POST", "/turn-off", (*Handler).turnOff},
	{"POST", "/revoke-device", (*Handler).revokeDevice},
}

// ServeHTTP answers with JSON, whatever is asked.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer, err := h.serve(w, r)
	if err != nil {
		h.refuse(w, r, err)
		return
	}
	write(w, http.StatusOK, answer)
}

// refuse answers with the problem that an error is.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, err error) {
	p := ErrorOf(err)
	if p.Status >= http.StatusInternalServerError {
		h.log.ErrorContext(r.Context(), "mfaweb: a request failed",
			"method", r.Method, "path", r.URL.Path, "error", err)
	}
	write(w, p.Status, p)
}

func (h *Handler) serve(w http.ResponseWriter, r *http.Request) (any, error) {
	r, err := h.arrived(r)
	if err != nil {
		return nil, err
	}
	var allowed []string
	for _, route := range routes {
		if route.path != r.URL.Path {
			continue
		}
		if route.method != r.Method {
			allowed = append(allowed, route.method)
			continue
		}
		c := &call{w: w, r: r, ctx: r.Context()}
		if err := c.readBody(); err != nil {
			return nil, err
		}
		return route.serve(h, c)
	}
	if allowed != nil {
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		return nil, errMethod
	}
	return nil, errNoRoute
}

// arrived is a request that may be served, with its source.
func (h *Handler) arrived(r *http.Request) (*http.Request, error) {
	if err := h.origins.Check(r); err != nil {
		return r, errCrossOrigin
	}
	source := r.RemoteAddr
	if h.cfg.ClientIPHeader != "" {
		ip, ok := lastAddress(r.Header.Values(h.cfg.ClientIPHeader))
		if !ok {
			return r, errNoSource
		}
		source = ip.String()
	} else if at, err := netip.ParseAddrPort(source); err == nil {
		source = at.Addr().Unmap().WithZone("").String()
	}
	return r.WithContext(mfa.WithSource(r.Context(), source)), nil
}

// lastAddress is the last one of a header: what stands before it came with the request, and
// anybody can write it.
func lastAddress(values []string) (netip.Addr, bool) {
	if len(values) == 0 {
		return netip.Addr{}, false
	}
	last := values[len(values)-1]
	text := strings.TrimSpace(last[strings.LastIndexByte(last, ',')+1:])
	ip, err := netip.ParseAddr(strings.Trim(text, "[]"))
	if err != nil {
		var withPort netip.AddrPort
		withPort, err = netip.ParseAddrPort(text)
		ip = withPort.Addr()
	}
	return ip.Unmap().WithZone(""), err == nil
}
