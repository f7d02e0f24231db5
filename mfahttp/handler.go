// Package mfahttp serves the WorkOS MFA API over a [mfa.Service], so that the vendor's
// own SDKs work against it unchanged:
//
//	api, err := mfahttp.New(mfahttp.Config{Service: svc, APIKeys: []string{os.Getenv("WORKOS_API_KEY")}})
//	http.ListenAndServe("127.0.0.1:8080", api)
//
// or under a prefix, for SDKs that take one (that for Node does not):
//
//	mux.Handle("/mfa/", http.StripPrefix("/mfa", api))
//
// # What it serves
//
// The routes are those of openapi.yaml beside this file: enroll, get and delete a factor,
// challenge it, verify a challenge, enroll and list the factors of a user, and the
// two paths of before July 2022. Whoever has an API key reaches every factor, and adds and
// takes away without a proof: the API names no user where it challenges and verifies. Keep the
// key in your servers.
//
// An Idempotency-Key is honoured on challenge and verify, as [mfa.ChallengeParams] and
// [mfa.VerifyParams] say; enrolling ignores it.
//
// # Where it differs
//
// A wait that a person must sit out is never 429, 408 or 5xx, because SDKs sleep and send
// the same stale code again. It is 400, with the code one_time_code_too_many_attempts on
// verify and rate_limit_exceeded on challenge, and with the seconds in "retry_after".
// A message that could not be sent is 502, which some SDKs send again by themselves; it
// counts, so what they are told in the end is the wait. A client that hangs up does not
// stop a message: it has [mfa.Config].SendTimeout, or what is left of the request's
// deadline. Where it is unknown whether it was sent, the answer is the challenge. Every
// error has a "code", that of an unknown route too. A phone number is not
// quoted in an error. Refused parameters have one object in "errors", with the same message
// as the error and a code made of it. The answer of verify leaves the code of a generic_otp challenge
// out. The header x-request-id is written in lower case, as the SDK for PHP of version 4
// looks for it: a handler around this one finds it as w.Header()["x-request-id"].
//
// Without a user_id, or with "" or null, an enrolment makes a factor that is nobody's
// ([mfa.EnrollParams].NoOwner): no list and no [mfa.Service.StartLogin] has it, and no limit
// goes by a user.
//
// A factor that was never confirmed is not listed, and is gone after 24 hours. A user has one
// such factor of each type: enrolling the type again deletes it. An eleventh factor of a user
// is refused. Where the user has a confirmed factor, a challenge confirms another one within an
// hour of its enrolment. After that it is refused, because a login must not be able to use a
// factor that was forgotten half way, unless the body has "confirm": true. "confirm": false
// refuses it within the hour too.
//
// Beside the types of the hosted API there is recovery_codes, which requires a user_id: the
// answer has the codes in "recovery_codes", and the factor how many are left. Several SDKs
// fail on a list with a type that they do not know, so a set of codes is listed only where
// the query has "types=all". A server that enrolls such sets must ask so at a login: a
// user who has nothing else needs a code as well. Older SDKs for Node fail on a list with
// a factor that is not an app, with the hosted API too. Enrolling with "replaces", the id of a factor of the same user, swaps the two when the new one is
// confirmed. A challenge that the application made for an action is not verified here.
package mfahttp

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/internal/operator"
)

// Config says what [New] serves.
type Config struct {
	// Service does the work. Required.
	Service *mfa.Service

	// APIKeys are the bearer tokens that are accepted, of 16 characters at least: to change
	// one, have both for a while. Required.
	APIKeys []string

	// Issuer is what apps show of a factor that is enrolled for a user without
	// totp_issuer, as in mfa.TOTPParams. Defaults to none: then it is required.
	Issuer string

	// Logger gets what was answered with 5xx. Defaults to slog.Default().
	Logger *slog.Logger
}

// minAPIKey is what a key has at least: NIST SP 800-63B-4 section 3.1.2.2 wants 112 bits
// of what is stored without a password hash.
const minAPIKey = 16

// confirmWithin is how long after an enrolment a challenge confirms it without saying so.
const confirmWithin = time.Hour

// New returns the handler. Its error says how to mend the Config.
func New(cfg Config) (http.Handler, error) {
	h := &handler{svc: cfg.Service, issuer: cfg.Issuer, log: cfg.Logger}
	if h.log == nil {
		h.log = slog.Default()
	}
	if h.svc == nil {
		return nil, errors.New("mfahttp: Config.Service is required")
	}
	if len(cfg.APIKeys) == 0 {
		return nil, errors.New("mfahttp: Config.APIKeys is required: whoever calls the API has to know one; `openssl rand -hex 24` makes one")
	}
	for i, key := range cfg.APIKeys {
		if len(key) < minAPIKey || strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return nil, fmt.Errorf("mfahttp: key %d of Config.APIKeys must be at least %d printable ASCII characters; `openssl rand -hex 24` makes one", i+1, minAPIKey)
		}
		h.keys = append(h.keys, sha256.Sum256([]byte(key)))
	}
	if err := checkIssuer(h.issuer); err != nil {
		return nil, err
	}
	return h, nil
}

// checkIssuer enrolls a factor with it where nothing is kept: what an enrolment would
// refuse is the library's to say.
func checkIssuer(issuer string) error {
	if issuer == "" {
		return nil
	}
	svc, err := mfa.New(mfa.Config{Store: new(mfa.MemoryStore), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	_, err = svc.Enroll(context.Background(), mfa.EnrollParams{UserID: "user", TOTP: &mfa.TOTPParams{Issuer: issuer, User: "user"}})
	if e, ok := errors.AsType[*mfa.Error](err); ok {
		return fmt.Errorf("mfahttp: Config.Issuer: %s", e.Message)
	}
	return err
}

type handler struct {
	svc    *mfa.Service
	issuer string
	keys   [][sha256.Size]byte
	log    *slog.Logger
}

// routes are the methods and paths; {} stands for an id.
var routes = []struct {
	method, path string
	serve        func(*handler, *request) (status int, answer any, err error)
}{
	{"POST", "/auth/factors/enroll", (*handler).enroll},
	{"POST", "/auth/factors/challenge", (*handler).challengeLegacy},
	{"POST", "/auth/factors/verify", (*handler).verifyLegacy},
	{"GET", "/auth/factors/{}", (*handler).factor},
	{"DELETE", "/auth/factors/{}", (*handler).unenroll},
	{"POST", "/auth/factors/{}/challenge", (*handler).challenge},
	{"POST", "/auth/challenges/{}/verify", (*handler).verify},
	{"POST", "/user_management/users/{}/auth_factors", (*handler).enrollUser},
	{"GET", "/user_management/users/{}/auth_factors", (*handler).userFactors},
}

// A request is one that found its route.
type request struct {
	ctx   context.Context
	id    string // in the path
	body  body
	query url.Values
	key   string // Idempotency-Key
}

// ServeHTTP answers with JSON, whatever is asked.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := requestID()
	// Go would write X-Request-Id. The SDK for PHP of version 4 looks the header up as it
	// was sent, by x-request-id. HTTP/2 has lower case in any event.
	w.Header().Del("X-Request-Id")
	w.Header()["x-request-id"] = []string{id}
	status, answer, err := h.serve(w, r)
	if err != nil {
		e := ErrorOf(err)
		if e.Status >= http.StatusInternalServerError {
			// The text of the sender's error is left out of ours, as it may quote the number.
			h.log.ErrorContext(r.Context(), "mfahttp: a request failed", "request_id", id, "method", r.Method, "status", e.Status, "error", err)
		}
		status, answer = e.Status, e
	}
	write(w, status, answer)
}

func (h *handler) serve(w http.ResponseWriter, r *http.Request) (int, any, error) {
	if !h.authorized(r.Header.Get("Authorization")) {
		w.Header().Set("WWW-Authenticate", "Bearer")
		return 0, nil, Error{Status: http.StatusUnauthorized, Code: "unauthorized", Message: "Unauthorized"}
	}
	var allowed []string
	for _, route := range routes {
		id, ok := match(route.path, r.URL.EscapedPath())
		switch {
		case !ok:
		case route.method != r.Method:
			allowed = append(allowed, route.method)
		default:
			q := &request{ctx: r.Context(), id: id, key: r.Header.Get("Idempotency-Key")}
			var err error
			if q.query, err = url.ParseQuery(r.URL.RawQuery); err != nil {
				return 0, nil, invalid("The query is malformed.")
			}
			if q.body, err = readBody(w, r); err != nil {
				return 0, nil, err
			}
			return route.serve(h, q)
		}
	}
	if allowed != nil {
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		return 0, nil, Error{Status: http.StatusMethodNotAllowed, Code: "method_not_allowed", Message: "Method Not Allowed"}
	}
	return 0, nil, Error{Status: http.StatusNotFound, Code: "not_found", Message: "Not Found"}
}

// authorized compares hashes, and all of them, so that the time it takes tells
// nothing of any key.
func (h *handler) authorized(header string) bool {
	scheme, key, _ := strings.Cut(header, " ")
	sum := sha256.Sum256([]byte(strings.TrimSpace(key)))
	found := 0
	for i := range h.keys {
		found |= subtle.ConstantTimeCompare(sum[:], h.keys[i][:])
	}
	return strings.EqualFold(scheme, "Bearer") && found == 1
}

// match reports whether an escaped path is of a route, and gives the id in it.
func match(route, path string) (id string, ok bool) {
	parts := strings.Split(path, "/")
	wanted := strings.Split(route, "/")
	if len(parts) != len(wanted) {
		return "", false
	}
	for i, part := range parts {
		if wanted[i] != "{}" {
			if part != wanted[i] {
				return "", false
			}
			continue
		}
		var err error
		if id, err = url.PathUnescape(part); err != nil || id == "" {
			return "", false
		}
	}
	return id, true
}

// requestID is a random UUID.
func requestID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func (h *handler) enroll(q *request) (int, any, error) {
	p := mfa.EnrollParams{ByOperator: true} // who has an API key
	var kind string
	var totp mfa.TOTPParams
	var sms mfa.SMSParams
	if err := q.body.read(fields{
		"type": &kind, "user_id": &p.UserID, "name": &p.Name, "replaces": &p.Replaces,
		"totp_issuer": &totp.Issuer, "totp_user": &totp.User, "phone_number": &sms.PhoneNumber,
	}); err != nil {
		return 0, nil, err
	}
	p.NoOwner = p.UserID == "" // the hosted API names a user in some calls only
	switch mfa.FactorType(kind) {
	case mfa.TypeTOTP:
		p.TOTP = &totp
	case mfa.TypeSMS:
		p.SMS = &sms
	case mfa.TypeGenericOTP:
		p.GenericOTP = true
	case mfa.TypeRecoveryCodes:
		p.RecoveryCodes = true
	default:
		return 0, nil, invalid("type must be totp, sms, generic_otp or recovery_codes.")
	}
	enr, err := h.svc.Enroll(q.ctx, p)
	return http.StatusCreated, Enrollment{enr}, err
}

func (h *handler) factor(q *request) (int, any, error) {
	f, err := h.svc.Factor(q.ctx, mfa.FactorParams{FactorID: q.id, UserID: mfa.AnyUser})
	return http.StatusOK, Factor{f}, err
}

func (h *handler) unenroll(q *request) (int, any, error) {
	err := h.svc.Unenroll(q.ctx, mfa.UnenrollParams{FactorID: q.id, UserID: mfa.AnyUser})
	return http.StatusNoContent, nil, err
}

func (h *handler) challenge(q *request) (int, any, error) {
	p := mfa.ChallengeParams{FactorID: q.id, UserID: mfa.AnyUser, IdempotencyKey: q.key}
	var confirm *bool
	if err := q.body.read(fields{"sms_template": &p.SMSTemplate, "confirm": &confirm}); err != nil {
		return 0, nil, err
	}
	ctx := q.ctx
	if confirm != nil {
		p.Confirm = *confirm
	} else {
		// No SDK can say it, and whoever has an API key may.
		ctx = operator.WithConfirm(ctx, confirmWithin)
	}
	ch, err := h.svc.Challenge(ctx, p)
	if errors.Is(err, mfa.ErrFactorUnverified) && !p.Confirm {
		e := ErrorOf(err)
		e.Message += ` To confirm it, send "confirm": true, which can be left out within an hour of the enrolment.`
		err = e
	}
	return http.StatusCreated, Challenge{ch}, err
}

func (h *handler) challengeLegacy(q *request) (int, any, error) {
	if err := q.body.read(fields{"authentication_factor_id": &q.id}); err != nil {
		return 0, nil, err
	}
	return h.challenge(q)
}

func (h *handler) verify(q *request) (int, any, error) {
	p := mfa.VerifyParams{ChallengeID: q.id, UserID: mfa.AnyUser, IdempotencyKey: q.key}
	if err := q.body.read(fields{"code": &p.Code}); err != nil {
		return 0, nil, err
	}
	if p.Code == "" {
		return 0, nil, invalid("code must not be empty.")
	}
	v, err := h.svc.Verify(q.ctx, p)
	if errors.Is(err, mfa.ErrInvalidCode) {
		err = nil // v says that it is not valid
	}
	return http.StatusCreated, v, err
}

func (h *handler) verifyLegacy(q *request) (int, any, error) {
	if err := q.body.read(fields{"authentication_challenge_id": &q.id}); err != nil {
		return 0, nil, err
	}
	return h.verify(q)
}

// enrollUser also challenges what it enrolled, to be confirmed by the first code.
func (h *handler) enrollUser(q *request) (int, any, error) {
	p := mfa.EnrollParams{UserID: q.id, TOTP: &mfa.TOTPParams{}, ByOperator: true}
	var kind string
	if err := q.body.read(fields{
		"type": &kind, "name": &p.Name, "replaces": &p.Replaces, "totp_issuer": &p.TOTP.Issuer, "totp_user": &p.TOTP.User, "totp_secret": &p.TOTP.Secret,
	}); err != nil {
		return 0, nil, err
	}
	if mfa.FactorType(kind) != mfa.TypeTOTP {
		return 0, nil, invalid("type must be totp.")
	}
	if p.TOTP.Issuer == "" {
		p.TOTP.Issuer = h.issuer
	}
	if p.TOTP.User == "" {
		p.TOTP.User = label(q.id)
	}
	enr, err := h.svc.Enroll(q.ctx, p)
	if err != nil {
		return 0, nil, err
	}
	ch, err := h.svc.Challenge(q.ctx, mfa.ChallengeParams{FactorID: enr.Factor.ID, UserID: q.id, Confirm: true})
	return http.StatusCreated, userEnrollment{Enrollment{enr}, Challenge{ch}}, err
}

// vendorTypes are the types of the hosted API. Several versions of the SDKs for Python, PHP
// and Node fail on a list that has another one.
var vendorTypes = []mfa.FactorType{mfa.TypeTOTP, mfa.TypeSMS, mfa.TypeGenericOTP}

// maxLabel is how many characters the library takes of mfa.TOTPParams.User.
const maxLabel = 64

// label is what apps show of a user whose client gave no name: the id, without what the
// library refuses, which is no fault of the client.
func label(userID string) string {
	text := []rune(strings.TrimSpace(strings.Map(func(r rune) rune {
		switch {
		case r == ':':
			return '-'
		case unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp):
			return -1
		}
		return r
	}, userID)))
	switch {
	case len(text) == 0:
		return "user"
	case len(text) > maxLabel:
		return strings.TrimSpace(string(text[:maxLabel-1])) + "…"
	}
	return string(text)
}

// userFactors lists what a user can be challenged by, newest first unless asked
// otherwise. A disabled factor is one of them: it is no reason to ask for none.
func (h *handler) userFactors(q *request) (int, any, error) {
	wanted, err := parseListing(q.query)
	if err != nil {
		return 0, nil, err
	}
	factors, err := h.svc.Factors(q.ctx, q.id)
	if err != nil {
		return 0, nil, err
	}
	factors = slices.DeleteFunc(factors, func(f mfa.Factor) bool {
		return f.Status == mfa.StatusUnverified || !slices.Contains(wanted.types, f.Type)
	})
	if wanted.descending {
		slices.Reverse(factors)
	}
	return http.StatusOK, page(factors, q.query.Get("before"), q.query.Get("after"), wanted.limit, wanted.descending), nil
}

// A listing is what a list is asked for by, its cursors aside.
type listing struct {
	limit      int
	descending bool
	types      []mfa.FactorType
}

func parseListing(query url.Values) (listing, error) {
	wanted := listing{limit: 10, descending: true, types: vendorTypes}
	for name, values := range query {
		if err := wanted.set(name, values); err != nil {
			return wanted, err
		}
	}
	return wanted, nil
}

// set takes one parameter.
func (l *listing) set(name string, values []string) error {
	ok := len(values) == 1
	switch name {
	case "before", "after":
	case "limit":
		var err error
		l.limit, err = strconv.Atoi(values[0])
		ok = ok && err == nil && l.limit >= 1 && l.limit <= 100
	case "order":
		l.descending = values[0] == "desc"
		ok = ok && slices.Contains([]string{"normal", "asc", "desc"}, values[0])
	case "types":
		if !ok || values[0] != "all" {
			return invalid("types must be all, or left out.")
		}
		l.types = append(slices.Clone(l.types), mfa.TypeRecoveryCodes)
	default:
		return invalid("A query parameter is unknown: before, after, limit, order and types are known.")
	}
	if !ok {
		return invalid("limit must be from 1 to 100, and order normal, asc or desc.")
	}
	return nil
}

// page cuts a list that lies in order. A cursor is an id, which need not be there any more.
func page(factors []mfa.Factor, before, after string, limit int, descending bool) list {
	behind := func(f mfa.Factor, id string) bool { return f.ID > id != descending && f.ID != id }
	from, to := 0, len(factors)
	if after != "" {
		for from < to && !behind(factors[from], after) {
			from++
		}
	}
	if before != "" {
		for to > from && (factors[to-1].ID == before || behind(factors[to-1], before)) {
			to--
		}
	}
	if before != "" && after == "" {
		from = max(from, to-limit) // those right before it
	}
	to = min(to, from+limit)
	out := list{Object: "list", Data: []Factor{}}
	for _, f := range factors[from:to] {
		out.Data = append(out.Data, Factor{f})
	}
	if from > 0 && to > from {
		out.Metadata.Before = &factors[from].ID
	}
	if to < len(factors) && to > from {
		out.Metadata.After = &factors[to-1].ID
	}
	return out
}
