package itest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/mfatest"
	"github.com/authfactor/mfa/mfaweb"
)

// BenchmarkWeb is a login on PostgreSQL by mfaweb, from the step after the password to the
// session, the same calls in process, and what three requests to a handler that does nothing
// take. The application's own functions take no time.
func BenchmarkWeb(b *testing.B) {
	p, _ := servers[0].place(b)
	var all people
	prefixes := map[*person]string{}
	mux := http.NewServeMux()
	store := p.pool(b, nil)
	for i := range all {
		all[i] = newMember(b, store, member(i))
		prefixes[all[i]] = fmt.Sprintf("/%d", i)
		mux.Handle(prefixes[all[i]]+"/", http.StripPrefix(prefixes[all[i]], application(b, all[i], member(i))))
	}
	mux.HandleFunc("/bare", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(bytes.Repeat([]byte{' '}, 300))
	})
	server := httptest.NewServer(mux)
	b.Cleanup(server.Close)
	clients := map[*person]*webClient{} // a person does one thing at a time
	for _, p := range all {
		clients[p] = newWebClient(b, server.Listener.Addr().String())
	}
	byWeb := func(_ context.Context, p *person) error { return clients[p].login(prefixes[p], p) }
	users := map[*person]string{}
	for i, p := range all {
		users[p] = member(i)
	}
	process := func(ctx context.Context, p *person) error { return loginOf(ctx, p, users[p]) }

	nothing := func(_ context.Context, p *person) error {
		for range 3 {
			if _, err := clients[p].post("/bare", "", map[string]string{"code": "123456"}, nil); err != nil {
				return err
			}
		}
		return nil
	}
	var ratios []float64
	for range rounds {
		rates := map[string]float64{}
		for _, way := range []struct {
			name string
			flow func(context.Context, *person) error
		}{{"process", process}, {"web", byWeb}, {"nothing", nothing}} {
			b.Run(way.name, func(b *testing.B) {
				all.run(b, way.flow)
				rates[way.name] = float64(b.N) / b.Elapsed().Seconds()
			})
		}
		ratios = append(ratios, rates["web"]/rates["process"])
	}
	slices.Sort(ratios)
	b.Run("ratio", func(b *testing.B) {
		for b.Loop() {
			_ = ratios
		}
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(ratios[len(ratios)/2], "of-in-process") // at least 0.7 is wanted
	})
}

func member(i int) string { return fmt.Sprintf("user_%d", i) }

// newMember is somebody who has an account, and an app in it.
func newMember(b *testing.B, store mfa.Store, id string) *person {
	b.Helper()
	p := &person{store: store, version: 1}
	p.now.Store(start.UnixMilli())
	var err error
	if p.svc, err = newService(store, &p.now); err != nil {
		b.Fatal(err)
	}
	a := mfatest.Enrolled(b, p.svc, id)
	p.factor, p.secret = a.Factor.ID, a.Secret
	return p
}

// loginOf is a login through the service.
func loginOf(ctx context.Context, p *person, id string) error {
	now := p.now.Add(time.Minute.Milliseconds())
	begun, err := p.svc.StartLogin(ctx, mfa.LoginParams{UserID: id, HasFactor: true})
	if err != nil {
		return err
	}
	ch, err := p.svc.Challenge(ctx, mfa.ChallengeParams{FactorID: begun.Factors[0].ID, UserID: id})
	if err != nil {
		return err
	}
	_, err = p.svc.Verify(ctx, mfa.VerifyParams{ChallengeID: ch.ID, UserID: id, Code: mfatest.Code(p.secret, time.UnixMilli(now))})
	p.version++
	return err
}

// application is one that has a single person, whose password is right.
func application(b *testing.B, p *person, id string) http.Handler {
	b.Helper()
	user := mfaweb.User{ID: id, Label: id, Generation: "1", HasFactor: true}
	web, err := mfaweb.New(mfaweb.Config{
		Service: p.svc, Issuer: "Foo Corp", InsecureHTTP: true, Logger: slog.New(slog.DiscardHandler),
		Session:      func(*http.Request) (mfaweb.Session, bool, error) { return mfaweb.Session{}, false, nil },
		User:         func(context.Context, string) (mfaweb.User, error) { return user, nil },
		LogIn:        func(http.ResponseWriter, *http.Request, mfaweb.User, mfa.Verification) error { return nil },
		SetHasFactor: func(context.Context, string, bool) error { return nil },
	})
	if err != nil {
		b.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) { web.Begin(w, r, user) })
	mux.Handle("/mfa/", http.StripPrefix("/mfa", web))
	return mux
}

// A webClient is a front end: one connection that is kept, without the goroutines of an
// http.Client, whose time on the same cores would be measured with that of mfaweb.
type webClient struct {
	net.Conn
	in *bufio.Reader
}

func newWebClient(b *testing.B, address string) *webClient {
	b.Helper()
	var dialer net.Dialer
	c, err := dialer.DialContext(b.Context(), "tcp", address)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = c.Close() })
	return &webClient{c, bufio.NewReader(c)}
}

// login is a login by the routes.
func (c *webClient) login(prefix string, p *person) error {
	now := p.now.Add(time.Minute.Milliseconds())
	var told struct {
		Status   string
		Question struct {
			ID      string
			Factors []struct{ ID string }
		}
	}
	cookie, err := c.post(prefix+"/login", "", nil, &told)
	if err != nil || len(told.Question.Factors) == 0 {
		return fmt.Errorf("no question: %+v, %w", told, err)
	}
	q := told.Question.ID
	cookie, err = c.post(prefix+"/mfa/challenge", cookie, map[string]string{"question": q, "factor_id": told.Question.Factors[0].ID}, nil)
	if err != nil {
		return err
	}
	_, err = c.post(prefix+"/mfa/verify", cookie, map[string]string{"question": q, "code": mfatest.Code(p.secret, time.UnixMilli(now))}, &told)
	if err == nil && told.Status != "logged_in" {
		err = fmt.Errorf("not logged in: %+v", told)
	}
	p.version++
	return err
}

// post sends JSON with the cookie of a question, and gives the next one.
func (c *webClient) post(
	path, cookie string, body map[string]string, into any,
) (string, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return "", err
	}
	header := "POST " + path + " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
	if cookie != "" {
		header += "Cookie: " + cookie + "\r\n"
	}
	if _, err := fmt.Fprintf(c, "%sContent-Length: %d\r\n\r\n%s", header, len(text), text); err != nil {
		return "", err
	}
	w, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return "", err
	}
	defer func() { _ = w.Body.Close() }()
	text, err = io.ReadAll(w.Body)
	if err != nil || w.StatusCode != http.StatusOK {
		return "", fmt.Errorf("status %d: %s, %w", w.StatusCode, text, err)
	}
	for _, set := range w.Header.Values("Set-Cookie") {
		if strings.HasPrefix(set, "mfa_question=") {
			cookie, _, _ = strings.Cut(set, ";")
		}
	}
	if into != nil {
		err = json.Unmarshal(text, into)
	}
	return cookie, err
}
