package mfahttp_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/mfahttp"
	"github.com/authfactor/mfa/mfatest"
)

// exampleService is a service in memory with a clock that stands still.
func exampleService() (*mfa.Service, *mfatest.Clock) {
	clock := new(mfatest.Clock)
	svc, err := mfa.New(mfa.Config{Store: new(mfa.MemoryStore), Now: clock.Now})
	if err != nil {
		log.Fatal(err)
	}
	return svc, clock
}

// The API for servers of your own, here under a prefix.
func ExampleNew() {
	svc, clock := exampleService()
	api, err := mfahttp.New(mfahttp.Config{
		Service: svc,
		APIKeys: []string{"sk_example_0123456789"}, // from where your other secrets are
	})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/mfa/", http.StripPrefix("/mfa", api))
	server := httptest.NewServer(mux) // in an application: an http.Server with timeouts, behind TLS
	defer server.Close()

	call := func(path, body string, answer any) {
		req, err := http.NewRequest("POST", server.URL+"/mfa"+path, strings.NewReader(body))
		if err != nil {
			log.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer sk_example_0123456789")
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			log.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		fmt.Println(resp.Status)
		if err := json.NewDecoder(resp.Body).Decode(answer); err != nil {
			log.Fatal(err)
		}
	}
	var factor struct {
		ID   string
		TOTP struct{ Secret string }
	}
	call(
		"/auth/factors/enroll",
		`{"type":"totp","totp_issuer":"Foo Corp","totp_user":"alan.turing@foo-corp.com"}`,
		&factor,
	)
	var challenge struct{ ID string }
	call("/auth/factors/"+factor.ID+"/challenge", `{}`, &challenge)
	var verification struct{ Valid bool }
	code := mfatest.Code(factor.TOTP.Secret, clock.Now())
	call("/auth/challenges/"+challenge.ID+"/verify", `{"code":"`+code+`"}`, &verification)
	fmt.Println("valid:", verification.Valid)
	// Output:
	// 201 Created
	// 201 Created
	// 201 Created
	// valid: true
}

// Two keys while one is being changed: clients move to the new one, then the old one goes.
func ExampleConfig() {
	svc, _ := exampleService()
	_, err := mfahttp.New(mfahttp.Config{
		Service: svc,
		APIKeys: []string{"sk_new_0123456789", "sk_old_0123456789"},
		Issuer:  "Foo Corp",
		Logger:  slog.New(slog.DiscardHandler),
	})
	fmt.Println(err)

	_, err = mfahttp.New(mfahttp.Config{Service: svc, APIKeys: []string{"secret"}})
	fmt.Println(strings.ReplaceAll(err.Error(), "; ", ";\n"))
	// Output:
	// <nil>
	// mfahttp: key 1 of Config.APIKeys must be at least 16 printable ASCII characters;
	// `openssl rand -hex 24` makes one
}

// An application's own handler, for a person who is logged in, answers as the API does.
func ExampleEnrollment() {
	svc, _ := exampleService()
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		enr, err := svc.Enroll(r.Context(), mfa.EnrollParams{
			UserID: "user_42", // from the session
			TOTP:   &mfa.TOTPParams{Issuer: "Foo Corp", User: "alan.turing@foo-corp.com"},
		})
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store") // the answer has the secret
		if err != nil {
			e := mfahttp.ErrorOf(err)
			w.WriteHeader(e.Status)
			_ = json.NewEncoder(w).Encode(e)
			return
		}
		_ = json.NewEncoder(w).Encode(mfahttp.Enrollment{Enrollment: enr})
	})

	rec := httptest.NewRecorder()
	handler.ServeHTTP(rec, httptest.NewRequest("POST", "/enroll", nil))
	var answer struct {
		Type string
		TOTP map[string]string
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &answer); err != nil {
		log.Fatal(err)
	}
	fmt.Println(
		rec.Code,
		answer.Type,
		answer.TOTP["issuer"],
		len(answer.TOTP["secret"]),
		answer.TOTP["qr_code"][:22],
	)
	// Output: 200 totp Foo Corp 32 data:image/png;base64,
}

// A code for a voice call, handed to the service that makes the call. What is logged
// leaves the code out.
func ExampleChallenge() {
	svc, _ := exampleService()
	req := httptest.NewRequest("POST", "/call", nil)
	enr, err := svc.Enroll(req.Context(), mfa.EnrollParams{NoOwner: true, GenericOTP: true})
	if err != nil {
		log.Fatal(err)
	}
	ch, err := svc.Challenge(req.Context(), mfa.ChallengeParams{FactorID: enr.Factor.ID})
	if err != nil {
		log.Fatal(err)
	}
	answer := mfahttp.Challenge{Challenge: ch}
	text, err := json.Marshal(answer)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("in JSON:", strings.Contains(string(text), `"code":"`+ch.Code()+`"`))
	fmt.Println("printed:", strings.Contains(fmt.Sprintf("%+v", answer), ch.Code()))
	// Output:
	// in JSON: true
	// printed: false
}

// A refusal of an application's own, in the API's shape.
func ExampleError() {
	err := mfahttp.Error{
		Status:     http.StatusUnprocessableEntity,
		Code:       "session_too_old",
		Message:    "Log in again.",
		RetryAfter: 30,
	}
	text, _ := json.Marshal(err)
	fmt.Println(err.Status, string(text))
	fmt.Println(err)
	// Output:
	// 422 {"code":"session_too_old","message":"Log in again.","retry_after":30}
	// mfahttp: Log in again. (session_too_old, status 422)
}

// What the API answers for an error of a service. All but refusals are hidden.
func ExampleErrorOf() {
	svc, _ := exampleService()
	req := httptest.NewRequest("POST", "/login", nil)
	_, err := svc.Verify(
		req.Context(),
		mfa.VerifyParams{ChallengeID: "auth_challenge_1234", Code: "123456"},
	)
	for _, err := range []error{err, errors.New("connection to 10.0.0.7 lost")} {
		e := mfahttp.ErrorOf(err)
		text, _ := json.MarshalIndent(e, "", "  ")
		fmt.Println(e.Status, string(text))
	}
	// Output:
	// 404 {
	//   "code": "entity_not_found",
	//   "message": "Authentication Challenge not found: 'auth_challenge_1234'.",
	//   "entity_id": "auth_challenge_1234"
	// }
	// 500 {
	//   "code": "internal_server_error",
	//   "message": "Internal Server Error"
	// }
}
