package itest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/authfactor/mfa/mfahttp"
	"github.com/authfactor/mfa/mfatest"
)

const apiKey = "sk_test_0123456789abcdef"

// BenchmarkHTTP is the flow of BenchmarkFlows on PostgreSQL, by HTTP and in process, and
// what two requests to a handler that does nothing take.
func BenchmarkHTTP(b *testing.B) {
	p, _ := servers[0].place(b)
	people := enroll(b, p.pool(b, nil))
	// Each person has a clock, and so a service and a handler.
	mux := http.NewServeMux()
	prefixes := map[*person]string{}
	for i, p := range people {
		api, err := mfahttp.New(mfahttp.Config{Service: p.svc, APIKeys: []string{apiKey}})
		if err != nil {
			b.Fatal(err)
		}
		prefixes[p] = fmt.Sprintf("/%d", i)
		mux.Handle(prefixes[p]+"/", http.StripPrefix(prefixes[p], api))
	}
	mux.HandleFunc("/bare", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write(bytes.Repeat([]byte{' '}, 300))
	})
	server := httptest.NewServer(mux)
	b.Cleanup(server.Close)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: conns}}
	b.Cleanup(client.CloseIdleConnections)
	post := func(ctx context.Context, path, body string) ([]byte, error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+path, bytes.NewReader([]byte(body)))
		if err != nil {
			return nil, err
		}
		r.Header.Set("Authorization", "Bearer "+apiKey)
		r.Header.Set("Content-Type", "application/json")
		answer, err := client.Do(r)
		if err != nil {
			return nil, err
		}
		defer func() { _ = answer.Body.Close() }()
		text, err := io.ReadAll(answer.Body)
		if answer.StatusCode != http.StatusCreated {
			return nil, fmt.Errorf("status %d: %s, %w", answer.StatusCode, text, err)
		}
		return text, err
	}
	byHTTP := func(ctx context.Context, p *person) error {
		now := p.now.Add(time.Minute.Milliseconds())
		var ch struct{ ID string }
		text, err := post(ctx, prefixes[p]+"/auth/factors/"+p.factor+"/challenge", "{}")
		if err == nil {
			err = json.Unmarshal(text, &ch)
		}
		if err != nil {
			return err
		}
		text, err = post(ctx, prefixes[p]+"/auth/challenges/"+ch.ID+"/verify", `{"code":"`+mfatest.Code(p.secret, time.UnixMilli(now))+`"}`)
		if err == nil && !bytes.Contains(text, []byte(`"valid":true`)) {
			err = fmt.Errorf("not valid: %s", text)
		}
		p.version++
		return err
	}
	nothing := func(ctx context.Context, _ *person) error {
		_, err := post(ctx, "/bare", "{}")
		if err == nil {
			_, err = post(ctx, "/bare", `{"code":"123456"}`)
		}
		return err
	}
	for range rounds {
		for _, way := range []struct {
			name string
			flow func(context.Context, *person) error
		}{{"process", login}, {"http", byHTTP}, {"nothing", nothing}} {
			b.Run(way.name, func(b *testing.B) {
				var mu sync.Mutex
				var took []time.Duration
				people.run(b, func(ctx context.Context, p *person) error {
					begin := time.Now()
					err := way.flow(ctx, p)
					mu.Lock()
					defer mu.Unlock()
					took = append(took, time.Since(begin))
					return err
				})
				slices.Sort(took)
				b.ReportMetric(took[len(took)/2].Seconds()*1000, "p50-ms")
				b.ReportMetric(took[len(took)*99/100].Seconds()*1000, "p99-ms")
			})
		}
	}
}
