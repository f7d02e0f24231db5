package mfaweb_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/authfactor/mfa/mfaweb"
	"github.com/authfactor/mfa/proof"
)

// TestStepUpAction: an action may come from the body, which the wrapped handler still reads, and
// what comes to no action gets through to nothing.
func TestStepUpAction(t *testing.T) {
	s := newSite(t)
	a := s.withApp(ann)
	b := s.browser().enter(ann, a)
	got := ""
	ofBody := mfaweb.StepUp{Action: func(r *http.Request) (proof.Action, error) {
		text, err := io.ReadAll(r.Body)
		return proof.ActionOf("pay", string(text)), err
	}}
	send := func(up mfaweb.StepUp, receipt, body string) answer {
		t.Helper()
		got = ""
		next := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			text, _ := io.ReadAll(r.Body)
			got = string(text)
		})
		server := httptest.NewServer(s.web.StepUp(up, next))
		defer server.Close()
		at := b.as("Mfa-Receipt", receipt)
		site := s.server
		s.server = server
		defer func() { s.server = site }()
		return at.send(http.MethodPost, "/", "text/plain", body)
	}
	q := send(ofBody, "", "EUR 5").refused(http.StatusForbidden, "second_factor_required")
	if q.get("question.purpose") != "pay" || q.get("question.for") != "approve" {
		t.Error(q.text)
	}
	receipt := b.earn(q, a)
	send(ofBody, receipt, "EUR 6").refused(http.StatusForbidden, "second_factor_required")
	if got != "" {
		t.Errorf("another amount gets through: %q", got)
	}
	if send(ofBody, receipt, "EUR 5").must(http.StatusOK); got != "EUR 5" {
		t.Errorf("it reads %q", got)
	}
	large := send(ofBody, "", strings.Repeat("x", 1<<20+1)).
		refused(http.StatusRequestEntityTooLarge, "payload_too_large")
	if !strings.Contains(large.get("message"), "1 MiB") {
		t.Error(large.text)
	}
	for name, up := range map[string]mfaweb.StepUp{
		"none": {}, "none, anyhow": {AllowWithoutFactor: true},
		"without a purpose": {Action: func(*http.Request) (proof.Action, error) {
			return proof.Action{}, nil
		}},
		"an error": {Action: func(*http.Request) (proof.Action, error) {
			return proof.ActionOf("pay"), errors.New("the amount is no number")
		}},
	} {
		failed := send(up, receipt, "EUR 5").
			refused(http.StatusInternalServerError, "internal_server_error")
		if strings.Contains(failed.text, "amount") || got != "" {
			t.Errorf("%s: %s, and %q gets through", name, failed.text, got)
		}
	}
}
