// A website with one account and a second factor.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log"
	"net/http"
	"sync"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/mfaweb"
)

// Your application has people, passwords and sessions. Here are one and one and a map.
type site struct {
	mu       sync.Mutex
	ann      mfaweb.User
	sessions map[string]mfaweb.User // with the ann of then: whatever changes her row ends them
}

func (s *site) user(context.Context, string) (mfaweb.User, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ann, nil
}

func (s *site) setHasFactor(_ context.Context, _ string, has bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ann.HasFactor = has
	return nil
}

func (s *site) session(r *http.Request) (mfaweb.Session, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := r.Cookie("__Host-session")
	if err != nil {
		return mfaweb.Session{}, false, nil
	}
	return mfaweb.Session{User: s.ann, ID: c.Value}, s.sessions[c.Value] == s.ann, nil
}

func (s *site) logIn(
	w http.ResponseWriter, _ *http.Request, u mfaweb.User, _ mfa.Verification,
) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := rand.Text()
	s.sessions[id] = u
	http.SetCookie(w, &http.Cookie{
		Name: "__Host-session", Value: id, Path: "/",
		Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
	return nil
}

func newSite() (http.Handler, error) {
	s := &site{
		ann:      mfaweb.User{ID: "user_1", Label: "ann@example.com"},
		sessions: make(map[string]mfaweb.User),
	}
	svc, noService := mfa.New(mfa.Config{}) // keeps everything in memory
	web, noWeb := mfaweb.New(mfaweb.Config{
		Service: svc, Issuer: "Shop", // what apps show
		User: s.user, Session: s.session, LogIn: s.logIn, SetHasFactor: s.setHasFactor,
	})
	mux := http.NewServeMux()
	mux.Handle("/mfa/", http.StripPrefix("/mfa", web))
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		if r.PostFormValue("password") != "secret" {
			http.Error(w, `{"show": "That is not the password."}`, http.StatusUnauthorized)
			return
		}
		ann, _ := s.user(r.Context(), "user_1")
		web.Begin(w, r, ann) // this is where the session was made before
	})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, page)
	})
	return http.NewCrossOriginProtection().Handler(mux), errors.Join(noService, noWeb)
}

const page = `<!doctype html><html lang="en"><title>Shop</title>
<form id="login">
<label>Password <input name="password" type="password"></label> <button>Log in</button>
</form>
<form id="in" hidden>You are logged in. <button>Add an app</button></form>
<form id="ask" hidden>
<img class="qr" alt="QR code"><br>
<label>Code <input name="code"></label> <button>Continue</button>
</form>
<p id="told"></p>
<script type="module">
const forms = { login, in: document.getElementById("in"), ask };
let question;
function show(form, text = "") {
	Object.values(forms).forEach((f) => { f.hidden = f !== form; f.reset(); });
	told.textContent = text;
}
async function send(path, body, headers = { "Content-Type": "application/json" }) {
	return (await fetch(path, { method: "POST", headers, body })).json();
}
const post = (path, body) => send(path, JSON.stringify(body));
async function next({ question: asked, totp, recovery_codes: codes, status, show: problem = "" }) {
	if (asked) {
		question = asked.id; // the best factor is the first
		await post("/mfa/challenge", { question, factor_id: asked.factors[0].id });
		ask.querySelector("img").src = totp?.qr_code ?? "data:,";
		show(ask);
	} else if (status) {
		forms.in.querySelector("button").hidden = question; // there is an app
		show(forms.in, codes ? "Keep these recovery codes: " + codes.join(" ") : "");
	} else {
		told.textContent = problem;
	}
}
const on = (form, answer) => form.addEventListener("submit", async (event) => {
	event.preventDefault();
	next(await answer(new FormData(form)));
});
on(login, (data) => send("/login", new URLSearchParams(data), {}));
on(forms.in, () => post("/mfa/enroll", { type: "totp" }));
on(ask, (data) => post("/mfa/verify", { question, code: data.get("code") }));
</script>`

func main() {
	handler, err := newSite()
	if err != nil {
		log.Fatal(err)
	}
	server := http.Server{Addr: "localhost:8080", Handler: handler, ReadHeaderTimeout: time.Second}
	log.Print("The password is secret: http://localhost:8080")
	log.Fatal(server.ListenAndServe())
}
