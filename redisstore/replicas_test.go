package redisstore_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/redisstore"
)

// TestUnconfirmed: a server that has no replica confirms nothing. New warns of it, and a
// Save that was made is an error, which is no conflict. One that was not made still is.
func TestUnconfirmed(t *testing.T) {
	client, own := start(t), prefix()
	var log bytes.Buffer
	store, err := redisstore.New(t.Context(), redisstore.Config{
		Client: client, Prefix: own, Replicas: 1, Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "too few replicas") ||
		!strings.Contains(log.String(), "replicas=0 required=1") {
		t.Errorf("log %q, want a warning", &log)
	}
	for range 2 { // the second time the server knows the script
		unconfirmed := store.Save(t.Context(), challenge("a", 0))
		if unconfirmed == nil || errors.Is(unconfirmed, mfa.ErrConflict) ||
			!strings.Contains(unconfirmed.Error(), "0 of 1 replicas") {
			t.Errorf("error %v, want one that counts the replicas", unconfirmed)
		}
		if ids := list(t, store, "challenge"); len(ids) != 1 {
			t.Errorf("records %q", ids)
		}
		if err := store.Save(t.Context(), challenge("a", 0)); !errors.Is(err, mfa.ErrConflict) {
			t.Errorf("error %v, want a conflict", err)
		}
		remove := mfa.Change{Record: mfa.Record{ID: "a", Version: 1}, Delete: true}
		if err := store.Save(t.Context(), remove); err == nil || errors.Is(err, mfa.ErrConflict) {
			t.Errorf("error %v", err)
		}
	}
}

// TestReplicasRefused: New refuses a number that cannot be meant, and a user who may not
// run WAIT.
func TestReplicasRefused(t *testing.T) {
	admin := start(t)
	cfg := redisstore.Config{Client: admin, Replicas: -1}
	if _, err := redisstore.New(t.Context(), cfg); err == nil ||
		!strings.Contains(err.Error(), "Config.Replicas is -1") {
		t.Errorf("error %v, want one that names the field", err)
	}
	create := append([]any{"acl", "setuser", "mfa", "reset"}, needed(t)...)
	if err := admin.Do(t.Context(), create...).Err(); err != nil {
		t.Fatal(err)
	}
	options := *admin.Options()
	options.Username, options.Password = "mfa", "password"
	cfg = redisstore.Config{
		Client: connect(t, &options), Replicas: 1, Logger: slog.New(slog.DiscardHandler),
	}
	if _, err := redisstore.New(t.Context(), cfg); err == nil ||
		!strings.Contains(err.Error(), "+wait") {
		t.Errorf("error %v, want one that says what is needed", err)
	}
	if err := admin.Do(t.Context(), "acl", "setuser", "mfa", "+wait").Err(); err != nil {
		t.Fatal(err)
	}
	if _, err := redisstore.New(t.Context(), cfg); err != nil {
		t.Error(err)
	}
}
