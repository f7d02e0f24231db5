package mfatest

import (
	"bytes"
	"crypto/rand"
	"encoding/base32"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/authfactor/mfa"
)

// An App is an authenticator app that a person confirmed.
type App struct {
	Factor mfa.Factor // that it is in the service
	Secret string     // in base32
}

// Code is what the app shows at a time: see [Code].
func (a App) Code(at time.Time) string { return Code(a.Secret, at) }

// Enrolled gives a user a confirmed authenticator app, whose code of this moment is good. It takes
// no receipt, whatever the user has: it is Service.Import. Set your own record of HasFactor.
func Enrolled(tb testing.TB, svc *mfa.Service, userID string) App {
	tb.Helper()
	now, err := svc.Now()
	if err != nil {
		tb.Fatal(err)
	}
	raw := make([]byte, 20)
	_, _ = rand.Read(raw) // never fails: crypto/rand
	a := App{Secret: base32.StdEncoding.EncodeToString(raw)}
	a.Factor, err = svc.Import(tb.Context(), mfa.ImportParams{
		UserID:   userID,
		Secret:   a.Secret,
		Issuer:   "Example",
		User:     "user",
		LastUsed: now.Add(-time.Hour),
	})
	if err != nil {
		tb.Fatal(err)
	}
	return a
}

// EnrolledPhone gives a user a confirmed phone number, of which [Sender.Code] has the codes. The
// Sender must be the service's. Set your own record of HasFactor.
func EnrolledPhone(
	tb testing.TB, svc *mfa.Service, sms *Sender, userID, phoneNumber string,
) mfa.Factor {
	tb.Helper()
	enr, err := svc.Enroll(tb.Context(), mfa.EnrollParams{
		UserID: userID, SMS: &mfa.SMSParams{PhoneNumber: phoneNumber}, ByOperator: true,
	})
	if err != nil {
		tb.Fatal(err)
	}
	ch, err := svc.Challenge(tb.Context(), mfa.ChallengeParams{
		FactorID: enr.Factor.ID, UserID: userID, Confirm: true,
	})
	if err != nil {
		tb.Fatal(err)
	}
	v, err := svc.Verify(tb.Context(), mfa.VerifyParams{
		ChallengeID: ch.ID, UserID: userID, Code: sms.Code(enr.Factor.PhoneNumber()),
	})
	if err != nil {
		tb.Fatal(err)
	}
	return v.Factor
}

// EnrolledRecoveryCodes gives a user ten recovery codes, in place of those of before.
func EnrolledRecoveryCodes(
	tb testing.TB, svc *mfa.Service, userID string,
) (f mfa.Factor, codes []string) {
	tb.Helper()
	enr, err := svc.Enroll(tb.Context(), mfa.EnrollParams{
		UserID: userID, RecoveryCodes: true, ByOperator: true,
	})
	if err != nil {
		tb.Fatal(err)
	}
	return enr.Factor, enr.RecoveryCodes.Codes()
}

// AnswerLogin plays the front end of package mfaweb: it answers the question of a login with a
// factor and its code, which is asked for after the challenge. begun is what the application's
// login answered, by Handler.Begin; mount is where the handler is, such as
// "https://example.com/mfa". client must keep cookies. The test fails unless that logs in.
func AnswerLogin(
	tb testing.TB, client *http.Client, mount string, begun io.Reader, factorID string,
	code func() string,
) {
	tb.Helper()
	var told struct {
		Status   string `json:"status"`
		Question struct {
			ID string `json:"id"`
		} `json:"question"`
	}
	text, err := io.ReadAll(begun)
	if err != nil || json.Unmarshal(text, &told) != nil || told.Question.ID == "" {
		tb.Fatalf("the login asks nothing: %s, %v", text, err)
	}
	post := func(path string, body map[string]string) []byte {
		tb.Helper()
		text, err := post(tb, client, mount+path, body)
		if err != nil {
			tb.Fatal(err)
		}
		return text
	}
	q := told.Question.ID
	post("/challenge", map[string]string{"question": q, "factor_id": factorID})
	text = post("/verify", map[string]string{"question": q, "code": code()})
	if told.Status = ""; json.Unmarshal(text, &told) != nil || told.Status != "logged_in" {
		tb.Fatalf("the answer logs nobody in: %s", text)
	}
}

// post sends JSON, and returns the answer if it is 200.
func post(
	tb testing.TB, client *http.Client, url string, body map[string]string,
) ([]byte, error) {
	tb.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(tb.Context(), http.MethodPost, url, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	w, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = w.Body.Close() }()
	answer, err := io.ReadAll(w.Body)
	if err == nil && w.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d: %s", w.StatusCode, answer)
	}
	return answer, err
}
