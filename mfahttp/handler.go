// Package mfahttp serves the WorkOS MFA API over a [mfa.Service], so that the
// vendor's own SDKs work against it unchanged:
//
//	api, err := mfahttp.New(mfahttp.Config{
//		Service: svc,
//		APIKeys: []string{os.Getenv("WORKOS_API_KEY")},
//	})
//	http.ListenAndServe("127.0.0.1:8080", api)
//
// For SDKs that accept a prefix (the SDK for Node does not), it can be served
// under one:
//
//	mux.Handle("/mfa/", http.StripPrefix("/mfa", api))
//
// # What it serves
//
// The file openapi.yaml beside this one describes the routes: enroll, get and
// delete a factor, challenge it, verify a challenge, enroll and list the
// factors of a user, and the two paths that the hosted API had before July
// 2022.
//
// Whoever has an API key reaches every factor, and adds and deletes factors
// without a receipt, because the API names no user when it challenges and
// verifies. Keep the keys in your servers.
//
// The header Idempotency-Key works on challenge and verify, as
// [mfa.ChallengeParams] and [mfa.VerifyParams] describe; enrolling ignores it.
//
// # Where it differs
//
// A rate limit or a temporary lock is never answered with 429, 408 or 5xx,
// because SDKs would sleep and send the same stale code again. The status is 400, the code
// is one_time_code_too_many_attempts on verify and rate_limit_exceeded on
// challenge, and "retry_after" is the number of seconds to wait.
//
// A message that could not be sent is 502, which some SDKs retry by themselves.
// Each attempt counts as a message, so that the last answer is the rate limit.
// A client that disconnects does not stop a message: the sender has
// [mfa.Config].SendTimeout, or until the request's deadline if that is sooner.
// If it is unknown whether the message was sent, the answer is the challenge.
//
// Every error has a "code", that of an unknown route too, and no error quotes a
// phone number. With the code invalid_request_parameters there is also
// "errors": see [Error.MarshalJSON]. An empty code is such an error. The answer
// of verify leaves out the code of a generic_otp challenge, and options. The header
// x-request-id is written in lower case, because version 4 of the SDK for PHP
// looks for it in that form: a handler around this one finds it as
// w.Header()["x-request-id"].
//
// Without a user_id, or with "" or null, an enrolment makes a factor that
// belongs to nobody ([mfa.EnrollParams].NoOwner): no list and no
// [mfa.Service.StartLogin] includes it, and no limit per user applies to it.
//
// A factor that was never confirmed is not listed, and is deleted after 24
// hours. A user has one such factor of each type: enrolling the type again
// replaces it. A user has at most 10 factors. If the user has a confirmed
// factor, a challenge confirms another one only within an hour of its
// enrolment. Later, the challenge is refused unless the body has "confirm":
// true, because a login must not be able to use a factor whose enrolment was
// abandoned. With "confirm": false it is refused within the hour too.
//
// Beside the types of the hosted API there is recovery_codes, which requires a
// user_id. The answer has the codes in "recovery_codes", and the factor has the
// number of unused ones. Several SDKs fail on a list with a type that they do
// not know, so recovery codes, and factors of [mfa.Config].Methods, are listed
// only if the query has "types=all". A server that enrolls them must list with
// that query at a login, because a user with no other factor needs a code as
// well. Older SDKs for Node fail on a list
// with a factor that is not an app, on the hosted API too.
//
// Enrolling with "replaces", the id of a factor of the same user, replaces that
// factor when the new one is confirmed. A challenge that the application made
// for an action cannot be verified over this API.
//
// # Passkeys, and types of your own
//
// The types of [mfa.Config].Methods have the same routes, as an extension. The
// bodies for a passkey, by module passkey, with the answers in short:
//
//	POST /auth/factors/enroll
//	{"type": "webauthn", "user_id": "user_42", "params": {"label": "alan@example.com"}}
//	→ {"id": "auth_factor_…", "type": "webauthn", "status": "unverified", …}
//
//	POST /auth/factors/auth_factor_…/challenge
//	→ {"id": "auth_challenge_…", "options": {"challenge": "…", …}, …}
//
//	POST /auth/challenges/auth_challenge_…/verify
//	{"answer": {"id": "…", "type": "public-key", "response": {…}, …}}
//	→ {"challenge": {…}, "valid": true}
//
// "params" and "answer" are any JSON value but null, which is none. The type
// gets their text as it was sent. "options" are what [mfa.Challenge.Options]
// returns, and are absent in an answer that an Idempotency-Key repeats after
// they were answered. Options that are no JSON are answered with 500, so such a
// type cannot be used over this API. A factor has "details" if its type tells
// any.
//
// Verify takes either "code" or "answer". A wrong answer is told as a wrong
// code is, by "valid": false. So is the one where the other belongs, which is
// not counted.
package mfahttp

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
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
	"github.com/authfactor/mfa/internal/issuer"
	"github.com/authfactor/mfa/internal/jsonbody"
	"github.com/authfactor/mfa/internal/operator"
)

// Config is what [New] requires, and its options.
type Config struct {
	// Service holds the factors. Required.
	Service *mfa.Service

	// APIKeys are the bearer tokens that are accepted, each of at least 16
	// printable ASCII characters. To change one, accept the old and the new for
	// a while. Required.
	APIKeys []string

	// Issuer is what the app shows if a factor is enrolled at
	// /user_management/users/{id}/auth_factors without totp_issuer; it must be
	// valid as the Issuer of mfa.TOTPParams. Defaults to "": totp_issuer is
	// required.
	Issuer string

	// Logger receives the errors that were answered with 5xx. Defaults to
	// slog.Default().
	Logger *slog.Logger
}

// minAPIKey is the least length of a key in characters: NIST SP 800-63B-4
// section 3.1.2.2 requires 112 bits of a secret that is stored without a
// password hash.
const minAPIKey = 16

// confirmWithin is how long after an enrolment a challenge confirms it without saying so.
const confirmWithin = time.Hour

// New returns a handler of the API. It returns an error if Service or APIKeys
// is missing, a key is shorter than 16 printable ASCII characters, or an
// enrolment would refuse the Issuer.
func New(cfg Config) (http.Handler, error) {
	h := &handler{svc: cfg.Service, issuer: cfg.Issuer, log: cfg.Logger}
	if h.log == nil {
		h.log = slog.Default()
	}
	if h.svc == nil {
		return nil, errors.New("mfahttp: Config.Service is required")
	}
	if len(cfg.APIKeys) == 0 {
		return nil, errors.New("mfahttp: Config.APIKeys is required: " +
			"whoever calls the API has to know one; `openssl rand -hex 24` makes one")
	}
	for i, key := range cfg.APIKeys {
		if len(key) < minAPIKey || strings.ContainsFunc(key, unprintable) {
			return nil, fmt.Errorf("mfahttp: key %d of Config.APIKeys must be at least %d "+
				"printable ASCII characters; `openssl rand -hex 24` makes one", i+1, minAPIKey)
		}
		h.keys = append(h.keys, sha256.Sum256([]byte(key)))
	}
	if h.issuer == "" {
		return h, nil // totp_issuer is required
	}
	if err := issuer.Check(h.issuer); err != nil {
		return nil, fmt.Errorf("mfahttp: Config.Issuer: %w", err)
	}
	return h, nil
}

// unprintable reports whether r is a space or no printable ASCII character.
func unprintable(r rune) bool { return r <= ' ' || r > '~' }

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
	body  jsonbody.Body
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
	var text []byte
	if err == nil && answer != nil {
		text, err = encode(answer)
	}
	if err != nil {
		e := ErrorOf(err)
		if e.Status >= http.StatusInternalServerError {
			// The text of the sender's error is left out of ours, as it may quote the number.
			h.log.ErrorContext(r.Context(), "mfahttp: a request failed", "request_id", id,
				"method", r.Method, "status", e.Status, "error", err)
		}
		status = e.Status
		text, _ = encode(e) // of strings and numbers
	}
	write(w, status, text)
}

func (h *handler) serve(w http.ResponseWriter, r *http.Request) (int, any, error) {
	if !h.authorized(r.Header.Get("Authorization")) {
		w.Header().Set("WWW-Authenticate", "Bearer")
		return 0, nil, Error{
			Status: http.StatusUnauthorized, Code: "unauthorized", Message: "Unauthorized",
		}
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
		return 0, nil, Error{
			Status: http.StatusMethodNotAllowed, Code: "method_not_allowed", Message: "Method Not Allowed",
		}
	}
	return 0, nil, Error{Status: http.StatusNotFound, Code: "not_found", Message: "Not Found"}
}

// authorized reports whether a header has one of the keys. It compares hashes,
// and all of them, so that the time it takes reveals nothing of a key.
func (h *handler) authorized(header string) bool {
	scheme, key, _ := strings.Cut(header, " ")
	sum := sha256.Sum256([]byte(strings.TrimSpace(key)))
	found := 0
	for i := range h.keys {
		found |= subtle.ConstantTimeCompare(sum[:], h.keys[i][:])
	}
	return strings.EqualFold(scheme, "Bearer") && found == 1
}

// match reports whether an escaped path belongs to a route, and returns the id
// in the path.
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
	var params json.RawMessage
	if err := q.read(fields{
		"type": &kind, "user_id": &p.UserID, "name": &p.Name, "replaces": &p.Replaces,
		"totp_issuer": &totp.Issuer, "totp_user": &totp.User, "phone_number": &sms.PhoneNumber,
		"params": &params,
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
		p.Method = &mfa.MethodParams{Type: mfa.FactorType(kind), Params: params}
	}
	enr, err := h.svc.Enroll(q.ctx, p)
	if unknown, ok := errors.AsType[*operator.UnknownTypeError](err); ok {
		types := append([]string{"totp", "sms", "generic_otp", "recovery_codes"}, unknown.Types...)
		last := len(types) - 1
		err = invalid("type must be " + strings.Join(types[:last], ", ") + " or " + types[last] + ".")
	}
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
	if err := q.read(fields{"sms_template": &p.SMSTemplate, "confirm": &confirm}); err != nil {
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
		e.Message += ` To confirm it, send "confirm": true, ` +
			`which can be left out within an hour of the enrolment.`
		err = e
	}
	return http.StatusCreated, Challenge{ch}, err
}

func (h *handler) challengeLegacy(q *request) (int, any, error) {
	if err := q.read(fields{"authentication_factor_id": &q.id}); err != nil {
		return 0, nil, err
	}
	return h.challenge(q)
}

func (h *handler) verify(q *request) (int, any, error) {
	p := mfa.VerifyParams{ChallengeID: q.id, UserID: mfa.AnyUser, IdempotencyKey: q.key}
	var answer json.RawMessage
	if err := q.read(fields{"code": &p.Code, "answer": &answer}); err != nil {
		return 0, nil, err
	}
	switch {
	case p.Code == "" && answer == nil:
		return 0, nil, invalid("code or answer must be given.")
	case p.Code != "" && answer != nil:
		return 0, nil, invalid("code and answer must not be given together.")
	}
	p.Answer = answer
	v, err := h.svc.Verify(q.ctx, p)
	if errors.Is(err, mfa.ErrInvalidCode) {
		err = nil // v says that it is not valid
	}
	return http.StatusCreated, v, err
}

func (h *handler) verifyLegacy(q *request) (int, any, error) {
	if err := q.read(fields{"authentication_challenge_id": &q.id}); err != nil {
		return 0, nil, err
	}
	return h.verify(q)
}

// enrollUser also challenges what it enrolled, to be confirmed by the first code.
func (h *handler) enrollUser(q *request) (int, any, error) {
	p := mfa.EnrollParams{UserID: q.id, TOTP: &mfa.TOTPParams{}, ByOperator: true}
	var kind string
	if err := q.read(fields{
		"type": &kind, "name": &p.Name, "replaces": &p.Replaces,
		"totp_issuer": &p.TOTP.Issuer, "totp_user": &p.TOTP.User, "totp_secret": &p.TOTP.Secret,
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
	ch, err := h.svc.Challenge(q.ctx, mfa.ChallengeParams{
		FactorID: enr.Factor.ID, UserID: q.id, Confirm: true,
	})
	return http.StatusCreated, userEnrollment{Enrollment{enr}, Challenge{ch}}, err
}

// vendorTypes are the types of the hosted API. Several versions of the SDKs for
// Python, PHP and Node fail on a list with another type.
var vendorTypes = []mfa.FactorType{mfa.TypeTOTP, mfa.TypeSMS, mfa.TypeGenericOTP}

// maxLabel is how many characters mfa.TOTPParams.User may have.
const maxLabel = 64

// label is what apps show of a user whose client sent no totp_user: the id,
// without the characters that an enrolment would refuse, since the client did
// not choose it as a label.
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

// userFactors lists the verified and disabled factors of a user, newest first
// by default. A disabled factor is listed because its user must not log in with
// a password alone.
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
		return f.Status == mfa.StatusUnverified ||
			wanted.types != nil && !slices.Contains(wanted.types, f.Type)
	})
	if wanted.descending {
		slices.Reverse(factors)
	}
	return http.StatusOK, wanted.page(factors), nil
}

// A listing says which part of a list is wanted, and in which order.
type listing struct {
	before, after string // ids, "" for none; they need not be in the list any more
	limit         int
	descending    bool
	types         []mfa.FactorType // nil: all
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
	if len(values) != 1 {
		return invalid("A query parameter is given twice.")
	}
	ok := true
	switch name {
	case "before":
		l.before = values[0]
	case "after":
		l.after = values[0]
	case "limit":
		var err error
		l.limit, err = strconv.Atoi(values[0])
		ok = err == nil && l.limit >= 1 && l.limit <= 100
	case "order":
		l.descending = values[0] == "desc"
		ok = slices.Contains([]string{"normal", "asc", "desc"}, values[0])
	case "types":
		if values[0] != "all" {
			return invalid("types must be all, or left out.")
		}
		l.types = nil
	default:
		return invalid("A query parameter is unknown: before, after, limit, order and types are known.")
	}
	if !ok {
		return invalid("limit must be from 1 to 100, and order normal, asc or desc.")
	}
	return nil
}

// page returns the wanted part of a list that is in the wanted order.
func (l listing) page(factors []mfa.Factor) list {
	from, to := l.bounds(factors)
	out := list{Object: "list", Data: []Factor{}}
	for _, f := range factors[from:to] {
		out.Data = append(out.Data, Factor{f})
	}
	if from == to {
		return out
	}
	if from > 0 {
		out.Metadata.Before = &factors[from].ID
	}
	if to < len(factors) {
		out.Metadata.After = &factors[to-1].ID
	}
	return out
}

// bounds returns where the page begins and where it ends.
func (l listing) bounds(factors []mfa.Factor) (from, to int) {
	to = len(factors)
	if l.after != "" {
		for from < to && l.compare(factors[from].ID, l.after) <= 0 {
			from++
		}
	}
	if l.before != "" {
		for to > from && l.compare(factors[to-1].ID, l.before) >= 0 {
			to--
		}
	}
	if l.before != "" && l.after == "" {
		from = max(from, to-l.limit) // those right before it
	}
	return from, min(to, from+l.limit)
}

// compare compares two ids by the order of the list: it is negative if a is first.
func (l listing) compare(a, b string) int {
	if l.descending {
		a, b = b, a
	}
	return strings.Compare(a, b)
}
