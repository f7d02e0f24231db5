package mfatest_test

import (
	"context"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"testing"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/mfatest"
	"github.com/authfactor/mfa/mfaweb"
)

// TestEnrolled: each function gives a factor that answers at once, also to a user who has others.
func TestEnrolled(t *testing.T) {
	clock, sms := new(mfatest.Clock), new(mfatest.Sender)
	svc, err := mfa.New(mfa.Config{
		Store: new(mfa.MemoryStore), SMS: sms, Regions: []string{"US"}, Now: clock.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	const ann, phone = "user_ann", "+15005550006"
	app := mfatest.Enrolled(t, svc, ann)
	number := mfatest.EnrolledPhone(t, svc, sms, ann, phone)
	paper, codes := mfatest.EnrolledRecoveryCodes(t, svc, ann)
	for f, code := range map[mfa.Factor]func() string{
		app.Factor: func() string { return app.Code(clock.Now()) },
		number:     func() string { return sms.Code(phone) },
		paper:      func() string { return codes[0] },
	} {
		ch, err := svc.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: ann})
		if err != nil {
			t.Fatal(f.Type, err)
		}
		if _, err := svc.Verify(t.Context(), mfa.VerifyParams{
			ChallengeID: ch.ID, UserID: ann, Code: code(),
		}); err != nil {
			t.Error(f.Type, err)
		}
	}
}

// newWeb is the second factor of an application with one person.
func newWeb(t *testing.T, svc *mfa.Service, u mfaweb.User) (web *mfaweb.Handler, logins *int) {
	t.Helper()
	logins = new(int)
	web, err := mfaweb.New(mfaweb.Config{
		Service:      svc,
		Issuer:       "Example",
		InsecureHTTP: true,
		Session: func(*http.Request) (s mfaweb.Session, ok bool, err error) {
			return s, false, nil
		},
		User: func(context.Context, string) (mfaweb.User, error) { return u, nil },
		LogIn: func(http.ResponseWriter, *http.Request, mfaweb.User, mfa.Verification) error {
			*logins++
			return nil
		},
		SetHasFactor: func(context.Context, string, bool) error { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return web, logins
}

// TestAnswerLogin: a login through mfaweb in one line.
func TestAnswerLogin(t *testing.T) {
	clock := new(mfatest.Clock)
	svc, err := mfa.New(mfa.Config{Store: new(mfa.MemoryStore), Now: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	ann := mfaweb.User{ID: "user_ann", Label: "ann@example.com", HasFactor: true}
	web, loggedIn := newWeb(t, svc, ann)
	mux := http.NewServeMux()
	mux.Handle("/mfa/", http.StripPrefix("/mfa", web))
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		web.Begin(w, r, ann) // after the password was right
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)

	app := mfatest.Enrolled(t, svc, ann.ID)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Jar: jar}
	begun, err := client.Post(server.URL+"/login", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = begun.Body.Close() }()
	mfatest.AnswerLogin(t, client, server.URL+"/mfa", begun.Body, app.Factor.ID,
		func() string { return app.Code(clock.Now()) })
	if *loggedIn != 1 {
		t.Errorf("%d logins", *loggedIn)
	}
}
