package main

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/authfactor/mfa"
)

// recover types the password, and is asked for a recovery code.
func (v *visitor) recover(email string) {
	v.t.Helper()
	v.login(email)
	for _, id := range v.site.row(v.t, email).Factors {
		if strings.Contains(v.get("/code").body, "recovery codes</strong>") {
			return
		}
		form := v.form("")
		form.Set("factor", id)
		v.post("/code/other", form)
	}
	if page := v.get("/code"); !strings.Contains(page.body, "recovery codes</strong>") {
		v.t.Fatalf("status %d\n%s", page.status, page.body)
	}
}

// TestLastOfAll: recovery codes alone are left, and the last one lets a new app, or new
// recovery codes, be added. It takes nothing away.
func TestLastOfAll(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/account/app", "/account/recovery"} {
		s := start(t)
		_, codes := s.member(t, "ann@example.com")
		svc, _ := s.service(t)
		u := s.row(t, "ann@example.com")
		factors, err := svc.Factors(t.Context(), u.ID)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(factors, func(f mfa.Factor) bool { return f.Type == mfa.TypeTOTP })
		if err := svc.Unenroll(t.Context(), mfa.UnenrollParams{FactorID: factors[i].ID, UserID: mfa.AnyUser}); err != nil {
			t.Fatal(err)
		}
		v := s.visitor(t)
		for _, code := range codes {
			v.recover("ann@example.com")
			if to := v.post("/code", v.form(code)).location; to != "/account" {
				t.Fatalf("it goes to %q", to)
			}
		}
		if got := v.post("/account/off", nil); got.status != http.StatusForbidden {
			t.Errorf("turned off: status %d", got.status)
		}
		got := v.post(path, nil)
		if got.location == "/code" {
			got = v.get("/code")
		}
		if !strings.Contains(got.body, "Scan this code") && !strings.Contains(got.body, "Your recovery codes") {
			t.Errorf("%s: status %d\n%s", path, got.status, got.body)
		}
		v = s.visitor(t)
		if got := v.login("ann@example.com"); path == "/account/app" && got.status != http.StatusForbidden {
			t.Errorf("the password alone: status %d, to %q", got.status, got.location)
		}
		s.clock.Advance(5 * time.Minute)
	}
}

// TestLostTwice: who has one receipt alone and clicks twice sees the picture of the first
// click, whichever answer the browser hears.
func TestLostTwice(t *testing.T) {
	t.Parallel()
	s := start(t)
	_, codes := s.member(t, "ann@example.com")
	v := s.visitor(t)
	v.recover("ann@example.com")
	v.post("/code", v.form(codes[0]))
	app := url.Values{"name": {"New"}}
	second := v.copied()
	finish := second.underway("/account/app", app)
	v.post("/account/app", app)
	first := v.get("/code").body
	if !strings.Contains(first, "Scan this code") {
		t.Fatal(first)
	}
	if to := finish().location; to != "/code" {
		t.Errorf("it goes to %q", to)
	}
	if page := second.get("/code"); page.body != first {
		t.Errorf("status %d\n%s", page.status, page.body)
	}
}

// TestLostLapsesOnce: a second submit makes the receipt of a login by recovery code no
// younger, and once it is too old a code is asked for.
func TestLostLapsesOnce(t *testing.T) {
	t.Parallel()
	s := start(t)
	_, codes := s.member(t, "ann@example.com")
	v := s.visitor(t)
	v.recover("ann@example.com")
	form, again := v.form(codes[0]), v.copied()
	v.post("/code", form)
	s.clock.Advance(50 * time.Second)
	again.post("/code", form)
	const offer = "for five minutes we ask for no other code"
	if page := again.get("/account"); !strings.Contains(page.body, offer) {
		t.Errorf("status %d\n%s", page.status, page.body)
	}
	s.clock.Advance(4*time.Minute + 20*time.Second)
	if page := again.get("/account"); page.status != http.StatusOK || strings.Contains(page.body, offer) {
		t.Errorf("status %d\n%s", page.status, page.body)
	}
	again.post("/account/app", url.Values{"name": {"New"}})
	if page := again.get("/code"); !strings.Contains(page.body, "To add a second factor, type") {
		t.Errorf("status %d, to %q\n%s", page.status, page.location, page.body)
	}
}

// TestSpentReceipt: a receipt that was spent elsewhere is dropped, and a code is asked for.
func TestSpentReceipt(t *testing.T) {
	t.Parallel()
	s := start(t)
	_, codes := s.member(t, "ann@example.com")
	v := s.visitor(t)
	v.recover("ann@example.com")
	form, again := v.form(codes[0]), v.copied()
	v.post("/code", form)
	again.post("/code", form) // another session with the same receipt
	v.post("/account/app", url.Values{"name": {"New"}})
	again.post("/account/app", url.Values{"name": {"New"}})
	if page := again.get("/code"); !strings.Contains(page.body, "To add a second factor, type") {
		t.Errorf("status %d, to %q\n%s", page.status, page.location, page.body)
	}
}

// TestMessageSaysWhat: a message that was sent for one thing is not asked for beside
// another.
func TestMessageSaysWhat(t *testing.T) {
	t.Parallel()
	s := start(t)
	_, db := s.service(t)
	if _, err := db.setPassword(t.Context(), "bob@example.com", hashed()); err != nil {
		t.Fatal(err)
	}
	bob := s.visitor(t)
	bob.login("bob@example.com")
	bob.post("/account/phone", url.Values{"phone": {phone}})
	bob.post("/code", bob.form(s.code(t, phone)))
	s.clock.Advance(time.Hour)
	bob.post("/account/app", nil)
	if last := s.last(t, phone); !strings.Contains(last, "your code to add a second factor") {
		t.Errorf("the message is %q", last)
	}
	s.clock.Advance(2 * time.Minute)
	bob.post("/account/recovery", nil)
	if last := s.last(t, phone); !strings.Contains(last, "your code to make recovery codes") {
		t.Errorf("the message is %q", last)
	}
	if got := bob.post("/code", bob.form(s.code(t, phone))); !strings.Contains(got.body, "Your recovery codes") {
		t.Errorf("status %d\n%s", got.status, got.body)
	}
}

// TestNumberIsNotKept: a second click is recognised without keeping the phone number that
// was typed.
func TestNumberIsNotKept(t *testing.T) {
	t.Parallel()
	s := start(t)
	_, db := s.service(t)
	if _, err := db.setPassword(t.Context(), "bob@example.com", hashed()); err != nil {
		t.Fatal(err)
	}
	bob := s.visitor(t)
	bob.login("bob@example.com")
	form := url.Values{"phone": {phone}}
	bob.post("/account/phone", form)
	var rows string
	if err := db.QueryRowContext(t.Context(), "SELECT group_concat(CAST(data AS TEXT)) FROM sessions").Scan(&rows); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(rows, "/account/phone") || strings.Contains(rows, strings.TrimPrefix(phone, "+")) {
		t.Errorf("the sessions hold %q", rows)
	}
}
