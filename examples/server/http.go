package main

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/authfactor/mfa"
)

// limits are how long the server waits for others.
type limits struct {
	header, body, answer, idle time.Duration // for a client to send and to take
	health                     time.Duration // for the database, in /healthz
	stop                       time.Duration // for requests in flight, at the end
}

// The body of a request is small, so a client that is slow to send it is not honest or
// not there. An answer may wait for a provider of text messages.
var usual = limits{header: 5 * time.Second, body: 10 * time.Second, answer: 30 * time.Second, idle: 2 * time.Minute, health: time.Second, stop: 10 * time.Second}

func newServer(h http.Handler, l limits, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: l.header,
		ReadTimeout:       l.body,
		WriteTimeout:      l.answer,
		IdleTimeout:       l.idle,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}

// withHealth answers GET /healthz by itself: 200 if the store answers in time, else
// 503. It tells nothing else, since it asks for no key.
func withHealth(api http.Handler, store mfa.Store, limit time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/healthz" || r.Method != http.MethodGet && r.Method != http.MethodHead {
			api.ServeHTTP(w, r) // not through a mux, which would redirect some paths in HTML
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), limit)
		defer cancel()
		status, text := http.StatusOK, `{"status":"ok"}`
		if _, err := store.Load(ctx, "healthz"); err != nil { // there is no such record
			status, text = http.StatusServiceUnavailable, `{"status":"unavailable"}`
		}
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(text + "\n"))
	})
}

// logged writes a line for each request, without what identifies a person or opens
// anything: no ids, queries, headers or bodies.
func logged(log *slog.Logger, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begin := time.Now()
		seen := &recorder{ResponseWriter: w}
		defer func() { // a panic is logged as well, as status 0
			level := slog.LevelInfo
			if seen.status == 0 || seen.status >= http.StatusInternalServerError {
				level = slog.LevelError
			}
			log.Log(r.Context(), level, "request", "method", method(r.Method), "route", route(r.URL.Path), "status", seen.status,
				"duration", time.Since(begin).Round(time.Microsecond),
				"request_id", strings.Join(w.Header()["x-request-id"], "")) //nolint:staticcheck // mfahttp writes it in lower case
		}()
		h.ServeHTTP(seen, r)
	})
}

type recorder struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter. All handlers here call it.
func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// route is a path in which {} stands for all that is no word of the API.
func route(path string) string {
	parts := strings.Split(path, "/")
	if len(parts) > 5 {
		return "other"
	}
	for i, part := range parts {
		switch part {
		case "", "auth", "factors", "challenges", "enroll", "challenge", "verify", "user_management", "users", "auth_factors", "healthz":
		default:
			parts[i] = "{}"
		}
	}
	return strings.Join(parts, "/")
}

func method(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return m
	}
	return "other"
}
