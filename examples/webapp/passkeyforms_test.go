package main

import (
	"html"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/authfactor/mfa/passkey/passkeytest"
)

// options are those on the page for a passkey.
func (v *visitor) options() string {
	v.t.Helper()
	page := v.get("/code")
	_, options, ok := strings.Cut(page.body, `data-options="`)
	if !ok {
		v.t.Fatalf("no options:\n%s", page.body)
	}
	options, _, _ = strings.Cut(options, `"`)
	return html.UnescapeString(options)
}

// answerForm is the form of that page with the answer of an authenticator.
func (v *visitor) answerForm(answer func(options []byte) ([]byte, error)) url.Values {
	v.t.Helper()
	text, err := answer([]byte(v.options()))
	if err != nil {
		v.t.Fatal(err)
	}
	form := v.form("")
	form.Set("answer", string(text))
	return form
}

// TestPasskeySubmittedTwice: a second click is told what the first one was, and the same
// answer is good for nothing else.
func TestPasskeySubmittedTwice(t *testing.T) {
	t.Parallel()
	s := start(t)
	v, key := s.visitor(t), passkeytest.New(s.url)
	_, db := s.service(t)
	if _, err := db.setPassword(t.Context(), "ann@example.com", hashed()); err != nil {
		t.Fatal(err)
	}
	v.login("ann@example.com")
	v.post("/account/passkey", url.Values{"name": {"Key"}})
	form := v.answerForm(key.Create)
	before := v.copied()
	for i, browser := range []*visitor{v, before} { // the second has not heard of the new session
		if a := browser.post("/code", form); a.status != http.StatusOK || !strings.Contains(a.body, "Your recovery codes") {
			t.Errorf("confirmed, %d: %d to %q\n%s", i, a.status, a.location, a.body)
		}
	}
	v.post("/logout", nil)
	v.login("ann@example.com")
	form = v.answerForm(key.Get)
	before = v.copied()
	for i, browser := range []*visitor{v, before} {
		if a := browser.post("/code", form); a.location != "/account" || !browser.in() {
			t.Errorf("logged in, %d: %d to %q", i, a.status, a.location)
		}
	}
	s.clock.Advance(2 * time.Minute)
	thief := s.visitor(t) // who has the password and read the answer
	thief.login("ann@example.com")
	form.Set("question", thief.form("").Get("question"))
	if a := thief.post("/code", form); a.location != "/code" || thief.in() {
		t.Errorf("the answer of another session: %d to %q", a.status, a.location)
	}
}

// TestPasskeyForms: an answer is that of the question that was asked, of the same session,
// once.
func TestPasskeyForms(t *testing.T) {
	t.Parallel()
	s := start(t)
	v := s.visitor(t)
	_, db := s.service(t)
	if _, err := db.setPassword(t.Context(), "ann@example.com", hashed()); err != nil {
		t.Fatal(err)
	}
	v.login("ann@example.com")
	v.post("/account/passkey", url.Values{"name": {"Key"}})
	for _, answer := range []string{"", "{}", "[]", "x", strings.Repeat("[", 8000), `{"id":"AA"}`} {
		form := v.form("")
		form.Set("answer", answer)
		if a := v.post("/code", form); a.status != http.StatusSeeOther || a.location != "/code" {
			t.Errorf("%.20q: %d to %q", answer, a.status, a.location)
		}
	}
	if page := v.get("/account"); strings.Contains(page.body, "Remove") || !strings.Contains(page.body, "None yet") {
		t.Errorf("the account has a factor:\n%s", page.body)
	}
}

// TestPasskeyChallenges: whoever has the password alone makes no challenges without end.
func TestPasskeyChallenges(t *testing.T) {
	t.Parallel()
	s := start(t)
	v, key := s.visitor(t), passkeytest.New(s.url)
	_, db := s.service(t)
	if _, err := db.setPassword(t.Context(), "ann@example.com", hashed()); err != nil {
		t.Fatal(err)
	}
	v.login("ann@example.com")
	v.post("/account/passkey", nil)
	v.post("/code", v.answerForm(key.Create))
	thief := s.visitor(t)
	thief.login("ann@example.com")
	form := thief.form("")
	for range 20 {
		thief.post("/code/send", form)
		thief.login("ann@example.com")
		form = thief.form("")
	}
	var n int
	if err := db.QueryRowContext(t.Context(), "SELECT count(*) FROM mfa_records WHERE kind = 'challenge'").Scan(&n); err != nil || n > 3 {
		t.Errorf("%d challenges, %v", n, err)
	}
}

// TestRename: a name that cannot be shown comes back with its form, and renaming is limited for
// who renames alone.
func TestRename(t *testing.T) {
	t.Parallel()
	s := start(t)
	uri, _ := s.member(t, "ann@example.com")
	v := s.visitor(t)
	v.enter("ann@example.com", uri)
	id := s.row(t, "ann@example.com").Factors[0]
	if a := v.post("/account/rename", url.Values{"factor": {id}, "name": {"a\u202eb"}}); a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, "cannot be shown") {
		t.Errorf("%d %s", a.status, a.body)
	}
	for range perAddress {
		v.post("/account/rename", url.Values{"factor": {id}, "name": {"Phone"}})
	}
	page := v.get("/account")
	if !strings.Contains(page.body, "Phone") {
		t.Errorf("it is not called Phone:\n%s", page.body)
	}
	if !strings.Contains(page.body, "possible again") {
		t.Errorf("renaming has no end:\n%s", page.body)
	}
	if _, err := func() (string, error) {
		_, db := s.service(t)
		return db.setPassword(t.Context(), "bob@example.com", hashed())
	}(); err != nil {
		t.Fatal(err)
	}
	if a := s.visitor(t).login("bob@example.com"); a.status != http.StatusSeeOther {
		t.Errorf("another person's login from there: %d", a.status)
	}
	if a := s.visitor(t).post("/start", url.Values{"email": {"a\u200bb@example.com"}}); a.status != http.StatusUnprocessableEntity {
		t.Errorf("an address with an invisible character: %d", a.status)
	}
}
