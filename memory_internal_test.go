package mfa

import (
	"fmt"
	"runtime"
	"testing"
	"time"
)

// BenchmarkPurge deletes a million records, and reports the longest time that
// another goroutine waited for the lock meanwhile: it is held no longer than that.
func BenchmarkPurge(b *testing.B) {
	const n = 1_000_000
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var longest time.Duration
	for b.Loop() {
		b.StopTimer()
		m := new(MemoryStore)
		changes := make([]Change, 16)
		for i := 0; i < n; i += len(changes) {
			for j := range changes {
				changes[j] = Change{Record: Record{
					ID: fmt.Sprintf("%s%026d", challengePrefix, i+j), Kind: kindChallenge, Parent: factorPrefix + "0", Type: string(TypeTOTP), Status: statusPending,
					CreatedAt: at, UpdatedAt: at, ExpiresAt: at, State: make([]byte, 90),
				}}
			}
			if err := m.Save(b.Context(), changes...); err != nil {
				b.Fatal(err)
			}
		}
		runtime.GC()
		done, waited := make(chan struct{}), make(chan time.Duration)
		go func() {
			var longest time.Duration
			for {
				select {
				case <-done:
					waited <- longest
					return
				default:
				}
				begin := time.Now()
				m.mu.Lock()
				wait := time.Since(begin)
				m.mu.Unlock()
				longest = max(longest, wait)
				time.Sleep(100 * time.Microsecond)
			}
		}()
		b.StartTimer()
		if purged, err := m.Purge(b.Context(), at.Add(time.Hour)); purged != n || err != nil {
			b.Fatal(purged, err)
		}
		b.StopTimer()
		close(done)
		longest = max(longest, <-waited)
		b.StartTimer()
	}
	b.ReportMetric(float64(longest.Microseconds())/1000, "longest-wait-ms")
}
