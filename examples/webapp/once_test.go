package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// underway is a POST whose session is loaded, and whose form has not arrived. finish sends
// the form.
func (v *visitor) underway(path string, form url.Values) (finish func() answer) {
	v.t.Helper()
	host, body := strings.TrimPrefix(v.site.url, "http://"), form.Encode()
	c, err := (&net.Dialer{}).DialContext(v.t.Context(), "tcp", host)
	if err != nil {
		v.t.Fatal(err)
	}
	var cookies []string
	for name, value := range v.cookies {
		cookies = append(cookies, name+"="+value)
	}
	_, err = fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\nExpect: 100-continue\r\nCookie: %s\r\n\r\n", path, host, len(body), strings.Join(cookies, "; "))
	if err != nil {
		v.t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(time.Minute))
	answers := bufio.NewReader(c)
	// The server says so when the handler, and not before, reads the form.
	if line, err := answers.ReadString('\n'); err != nil || !strings.Contains(line, " 100 ") {
		v.t.Fatalf("%q, %v", line, err)
	}
	if _, err := answers.ReadString('\n'); err != nil {
		v.t.Fatal(err)
	}
	return func() answer {
		v.t.Helper()
		defer func() { _ = c.Close() }()
		if _, err := io.WriteString(c, body); err != nil {
			v.t.Fatal(err)
		}
		w, err := http.ReadResponse(answers, nil)
		if err != nil {
			v.t.Fatal(err)
		}
		defer func() { _ = w.Body.Close() }()
		text, err := io.ReadAll(w.Body)
		if err != nil {
			v.t.Error(err)
		}
		for _, cookie := range w.Cookies() {
			v.cookies[cookie.Name] = cookie.Value
		}
		return answer{w.StatusCode, w.Header.Get("Location"), string(text)}
	}
}

// TestEndedStaysEnded: a request that was under way when its session ended, or got another
// id, does not bring it back, and does not take the new cookie away.
func TestEndedStaysEnded(t *testing.T) {
	t.Parallel()
	s := start(t)
	uri, _ := s.member(t, "ann@example.com")
	v := s.visitor(t)
	v.enter("ann@example.com", uri)
	old := v.copied()
	finish := old.underway("/account/remove", url.Values{"factor": {"x"}})
	v.post("/account/email", url.Values{"email": {"ann@example.org"}})
	if v.post("/code", v.form(s.next(uri))); !v.in() {
		t.Fatal("not in")
	}
	session := old.cookies["session"]
	old.cookies["session"] = v.cookies["session"] // it is the same browser
	if finish(); old.cookies["session"] != v.cookies["session"] {
		t.Error("it sets the cookie of before")
	}
	if old.cookies["session"] = session; old.in() {
		t.Error("in with the cookie of before")
	}

	thief := v.copied()
	finish = thief.underway("/account/remove", url.Values{"factor": {"x"}})
	v.post("/logout", nil)
	if finish(); thief.in() {
		t.Error("in after logging out")
	}
}

// TestSlowerKeepsFaster: what one request took out of the session, another that was under
// way does not bring back; and what that one writes is there.
func TestSlowerKeepsFaster(t *testing.T) {
	t.Parallel()
	s := start(t)
	uri, _ := s.member(t, "ann@example.com")
	v := s.visitor(t)
	v.enter("ann@example.com", uri)
	v.post("/account/devices", nil)
	finish := v.copied().underway("/account/app", url.Values{"name": {"New"}})
	const notice = "That browser will be asked for a code again"
	if page := v.get("/account"); !strings.Contains(page.body, notice) {
		t.Fatalf("status %d\n%s", page.status, page.body)
	}
	finish()
	if page := v.get("/account"); page.status != http.StatusOK || strings.Contains(page.body, notice) {
		t.Errorf("status %d\n%s", page.status, page.body)
	}
	if page := v.get("/code"); !strings.Contains(page.body, "To add a second factor, type") {
		t.Errorf("status %d\n%s", page.status, page.body)
	}
}

// TestLogoutEndsApproval: a code that is on its way when the owner logs out approves
// nothing, and logs nobody in.
func TestLogoutEndsApproval(t *testing.T) {
	t.Parallel()
	s := start(t)
	uri, _ := s.member(t, "ann@example.com")
	v := s.visitor(t)
	v.enter("ann@example.com", uri)
	v.post("/account/email", url.Values{"email": {"ann@example.org"}})
	thief := v.copied()
	finish := thief.underway("/code", v.form(s.next(uri)))
	v.post("/logout", nil)
	if finish(); thief.in() {
		t.Error("in after logging out")
	}
	if n := len(s.letters("ann@example.org")); n != 0 {
		t.Errorf("%d letters", n)
	}
}

// TestLogoutEndsRepeat: a second submit that is under way when the owner logs out logs
// nobody in.
func TestLogoutEndsRepeat(t *testing.T) {
	t.Parallel()
	s := start(t)
	uri, _ := s.member(t, "ann@example.com")
	v := s.visitor(t)
	v.login("ann@example.com")
	form, thief := v.form(s.next(uri)), v.copied()
	finish := thief.underway("/login", url.Values{"email": {"ann@example.com"}}) // which brings its session back
	slow := thief.copied()
	repeat := slow.underway("/code", form)
	if v.post("/code", form); !v.in() {
		t.Fatal("not in")
	}
	v.post("/logout", nil)
	if repeat(); slow.in() {
		t.Error("in after logging out, by a repeat that was under way")
	}
	finish()
	if thief.post("/code", form); thief.in() {
		t.Error("in after logging out, by a repeat")
	}
}

var recoveryCode = regexp.MustCompile(`<code>((?:\w{4}-){5}\w{4})</code>`)

// TestChangeTwice: what changes the factors is done once, and the second submit ends logged
// in. With the first factor it shows the same recovery codes; later, who did not see them is
// told.
func TestChangeTwice(t *testing.T) {
	t.Parallel()
	s := start(t)
	twice := func(what string, v *visitor, code, notice string) {
		t.Helper()
		form := v.form(code)
		later, atOnce, wrong := v.copied(), v.copied(), v.copied()
		finish := atOnce.underway("/code", form)
		first := v.post("/code", form)
		answers := map[*visitor]answer{later: later.post("/code", form), atOnce: finish()}
		for how, again := range map[string]*visitor{"later": later, "at once": atOnce} {
			if notice == "" {
				want, got := recoveryCode.FindAllString(first.body, -1), recoveryCode.FindAllString(answers[again].body, -1)
				if len(want) != 10 || !slices.Equal(got, want) || !again.in() {
					t.Errorf("%s, %s: %d codes, then status %d\n%s", what, how, len(want), answers[again].status, answers[again].body)
				}
			} else if page := again.get("/account"); page.status != http.StatusOK || !strings.Contains(page.body, "was done once") || !strings.Contains(page.body, notice) {
				t.Errorf("%s, %s: status %d\n%s", what, how, page.status, page.body)
			}
		}
		v.cookies = later.cookies
		form.Set("code", "000000")
		cookie := wrong.cookies["session"]
		if wrong.post("/code", form); wrong.in() {
			t.Errorf("%s: in by another code", what)
		}
		wrong.cookies["session"] = cookie
		form.Set("code", code)
		if wrong.post("/code", form); wrong.in() {
			t.Errorf("%s: in by the second try", what)
		}
	}
	_, db := s.service(t)
	if _, err := db.setPassword(t.Context(), "bob@example.com", hashed()); err != nil {
		t.Fatal(err)
	}
	bob := s.visitor(t)
	bob.login("bob@example.com")
	bob.post("/account/phone", url.Values{"phone": {phone}})
	twice("the first factor", bob, s.code(t, phone), "")

	uri, _ := s.member(t, "ann@example.com")
	ann := s.visitor(t)
	ann.enter("ann@example.com", uri)
	ann.post("/account/recovery", nil)
	twice("recovery codes", ann, s.next(uri), "New recovery codes were made a moment ago")
	ann.post("/account/off", nil)
	twice("off", ann, s.next(uri), "do it again")
}
