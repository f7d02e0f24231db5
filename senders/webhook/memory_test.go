package webhook

import (
	"net/http"
	"strconv"
	"testing"
	"time"
)

// TestFull: a memory of 100,000 ids takes no new one before it may forget one, and still
// answers those. (Inside the package: as many requests take fourteen seconds with -race.)
func TestFull(t *testing.T) {
	const most = 100_000
	now := time.Unix(1_800_000_000, 0)
	var m memory
	calls := 0
	ask := func(i int) reply {
		return m.once(t.Context(), strconv.Itoa(i), now, func() reply {
			calls++
			return reply{http.StatusOK, answer{}, 0}
		})
	}
	for i := range most {
		if r := ask(i); r.status != http.StatusOK {
			t.Fatal(i, r)
		}
	}
	r := ask(most)
	if r.status != http.StatusTooManyRequests || r.answer.Error != "try_later" ||
		r.retryAfter != time.Minute || calls != most {
		t.Errorf("%v, %d sent", r, calls)
	}
	if r := ask(0); r.status != http.StatusOK || calls != most {
		t.Errorf("%v, %d sent", r, calls)
	}
	now = now.Add(10*time.Minute + 2*time.Second)
	if r := ask(most); r.status != http.StatusOK || calls != most+1 {
		t.Errorf("%v, %d sent", r, calls)
	}
	if len(m.ids) != 1 {
		t.Errorf("%d ids are left", len(m.ids))
	}
}
