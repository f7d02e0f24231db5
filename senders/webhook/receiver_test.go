package webhook_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/internal/handover"
	"github.com/authfactor/mfa/mfatest"
	"github.com/authfactor/mfa/senders"
	"github.com/authfactor/mfa/senders/internal/faults"
	"github.com/authfactor/mfa/senders/webhook"
)

// A post is a request to a receiver: signed with the secret, or with the signature if there is
// one.
type post struct {
	id, timestamp, body string
	secret, signature   string
	change              func(*http.Request)
}

const body = `{"type":"sms.send","timestamp":"2026-11-28T07:14:34Z",` +
	`"data":{"id":"5f0c2a","to":"+15005550006","body":"Your code is 739164."}}`

// good is a request of that time that is taken.
func good(at time.Time) post {
	return post{
		id: "5f0c2a", timestamp: strconv.FormatInt(at.Unix(), 10), body: body, secret: newSecret,
	}
}

// to gives the request to a receiver.
func (p post) to(ctx context.Context, r http.Handler) *httptest.ResponseRecorder {
	if p.signature == "" {
		p.signature = signature(p.secret, p.id, p.timestamp, p.body)
	}
	req := httptest.NewRequestWithContext(ctx, http.MethodPost, "/send", strings.NewReader(p.body))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("webhook-id", p.id)
	req.Header.Set("webhook-timestamp", p.timestamp)
	req.Header.Set("webhook-signature", p.signature)
	if p.change != nil {
		p.change(req)
	}
	w := httptest.NewRecorder()
	r.ServeHTTP(w, req)
	return w
}

// TestReceive: only what is signed, byte for byte, now, and is one message, is handed to Send.
func TestReceive(t *testing.T) {
	clock := new(mfatest.Clock)
	now := clock.Now()
	right := signature(newSecret, "5f0c2a", good(now).timestamp, body)
	other := "whsec_" + strings.Repeat("AAAA", 8)
	wrong := signature(other, "5f0c2a", good(now).timestamp, body)
	with := func(change func(*post)) post {
		p := good(now)
		change(&p)
		return p
	}
	altered := func(change func(*post)) post { // after it was signed
		return with(func(p *post) { p.signature = right; change(p) })
	}
	header := func(name string, values ...string) post {
		return with(func(p *post) {
			p.change = func(r *http.Request) { r.Header[http.CanonicalHeaderKey(name)] = values }
		})
	}
	media := func(value string) post { return header("Content-Type", value) }
	method := func(method string) post {
		return with(func(p *post) { p.change = func(r *http.Request) { r.Method = method } })
	}
	text := func(body string) post { return with(func(p *post) { p.body = body }) }
	to7 := func(body string) string { return strings.Replace(body, "0006", "0007", 1) }
	changed := func(old, to string) post { return text(strings.Replace(body, old, to, 1)) }
	signed := func(s string) post { return with(func(p *post) { p.signature = s }) }
	id := func(id string) post {
		return with(func(p *post) { p.id, p.body = id, strings.Replace(body, "5f0c2a", id, 1) })
	}
	at := func(timestamp string) post { return with(func(p *post) { p.timestamp = timestamp }) }
	later := func(seconds int64) string { return strconv.FormatInt(now.Unix()+seconds, 10) }
	dotted := "5f0c2a." + later(0)

	for name, c := range map[string]struct {
		post post
		want int
	}{
		"a message":               {good(now), 200},
		"the older secret":        {with(func(p *post) { p.secret = oldSecret }), 200},
		"two signatures":          {signed(wrong + " " + right), 200},
		"two, the first right":    {signed(right + " " + wrong), 200},
		"another scheme beside":   {signed("v1a,AAAA v2, " + right), 200},
		"five minutes old":        {at(later(-300)), 200},
		"five minutes ahead":      {at(later(300)), 200},
		"a charset":               {media("Application/JSON; charset=utf-8"), 200},
		"members that are new":    {changed(`"data":{`, `"x":1,"data":{"y":[],`), 200},
		"64 KiB":                  {text(body + strings.Repeat(" ", 64<<10-len(body))), 200},
		"255 characters":          {id(strings.Repeat("x", 255)), 200},
		"the wrong secret":        {with(func(p *post) { p.secret = other }), 401},
		"two wrong signatures":    {signed(wrong + " " + wrong), 401},
		"a space in the body":     {altered(func(p *post) { p.body += " " }), 401},
		"another number":          {altered(func(p *post) { p.body = to7(p.body) }), 401},
		"another id":              {altered(func(p *post) { p.id = "5f0c2b" }), 401},
		"another time":            {altered(func(p *post) { p.timestamp = later(1) }), 401},
		"a moved full stop":       {altered(func(p *post) { p.id, p.timestamp = dotted, "" }), 401},
		"no version":              {signed(strings.TrimPrefix(right, "v1,")), 401},
		"another version":         {signed(strings.Replace(right, "v1,", "v2,", 1)), 401},
		"the signature cut off":   {signed(right[:len(right)-1]), 401},
		"the signature and more":  {signed(right + "="), 401},
		"commas between":          {signed(right + "," + right), 401},
		"no signature":            {header("webhook-signature"), 401},
		"no id":                   {header("webhook-id"), 401},
		"no time":                 {header("webhook-timestamp"), 401},
		"the signature twice":     {header("webhook-signature", right, right), 401},
		"the id twice":            {header("webhook-id", "5f0c2a", "5f0c2a"), 401},
		"the time twice":          {header("webhook-timestamp", later(0), later(0)), 401},
		"older":                   {at(later(-301)), 401},
		"further ahead":           {at(later(301)), 401},
		"in milliseconds":         {at(later(0) + "000"), 401},
		"the end of time":         {at("9223372036854775807"), 401},
		"beyond it":               {at("9223372036854775808"), 401},
		"before 1970":             {at("-" + later(0)), 401},
		"a plus sign":             {at("+" + later(0)), 401},
		"a zero before":           {at("0" + later(0)), 401},
		"a fraction":              {at(later(0) + ".0"), 401},
		"a full stop in the id":   {id("5f.0c"), 401},
		"a space in the id":       {id("5f 0c"), 401},
		"256 characters":          {id(strings.Repeat("x", 256)), 401},
		"an empty id":             {id(""), 401},
		"another id inside":       {changed("5f0c2a", "5f0c2b"), 400},
		"another type":            {changed("sms.send", "sms.sent"), 400},
		"no type":                 {changed("type", "kind"), 400},
		"no number":               {changed("+15005550006", ""), 400},
		"a national number":       {changed("+1500", "0500"), 400},
		"a number from 0":         {changed("+1500", "+0500"), 400},
		"a number with more":      {changed("50006", "5000x"), 400},
		"too long a number":       {changed("50006", "5000612345"), 400},
		"no text":                 {changed("Your code is 739164.", ""), 400},
		"a message cut off":       {text(body[:len(body)-1]), 400},
		"two messages":            {text(body + body), 400},
		"a list":                  {text("[" + body + "]"), 400},
		"an empty body":           {text(""), 400},
		"65 KiB":                  {text(body + strings.Repeat(" ", 64<<10+1-len(body))), 413},
		"a form":                  {media("text/plain"), 415},
		"no content type":         {media(""), 415},
		"GET":                     {method(http.MethodGet), 405},
		"PUT":                     {method(http.MethodPut), 405},
		"less than was announced": {with(func(p *post) { p.change = cutOff }), 400},
	} {
		t.Run(name, func(t *testing.T) {
			var sent []mfa.Message
			r := newReceiver(t, clock, func(_ context.Context, m mfa.Message) (webhook.Taken, error) {
				sent = append(sent, m)
				return webhook.Taken{By: "acme", ID: "SM1"}, nil
			})
			w := c.post.to(t.Context(), r)
			if w.Code != c.want || w.Header().Get("Content-Type") != "application/json" {
				t.Errorf("%d %s, want %d", w.Code, w.Body, c.want)
			}
			if c.want != 200 {
				var a struct{ Error, Text string }
				if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil || a.Text == "" ||
					a.Error != map[bool]string{true: "account", false: "refused"}[c.want == 401] {
					t.Errorf("%s %v", w.Body, err)
				}
				if len(sent) != 0 {
					t.Error("it was sent")
				}
				return
			}
			want := mfa.Message{ID: c.post.id, To: number, Body: message.Body}
			if !slices.Equal(sent, []mfa.Message{want}) {
				t.Errorf("%d messages sent, not %q alone", len(sent), want.ID)
			}
			if got := w.Body.String(); got != `{"sender":"acme","id":"SM1"}`+"\n" {
				t.Error(got)
			}
		})
	}
	w := method(http.MethodGet).to(t.Context(), newReceiver(t, clock, noSend))
	if allow := w.Header().Get("Allow"); allow != http.MethodPost {
		t.Errorf("Allow: %q", allow)
	}
}

// cutOff ends a request before its body does.
func cutOff(r *http.Request) {
	r.Body = io.NopCloser(io.MultiReader(
		io.LimitReader(r.Body, 40), iotest.ErrReader(io.ErrUnexpectedEOF),
	))
}

// TestPublishedVector: the vector that the libraries of Standard Webhooks share is signed, by
// the header alone of what its test changes, and is no message.
func TestPublishedVector(t *testing.T) {
	at := time.Unix(1614265330, 0)
	r, err := webhook.NewReceiver(webhook.ReceiverConfig{
		Secrets: []webhook.Secret{secret(t, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")},
		Send:    noSend, Now: func() time.Time { return at },
	})
	if err != nil {
		t.Fatal(err)
	}
	p := post{
		id: "msg_p5jXN8AQM9LWM0D4loKWxJek", timestamp: "1614265330", body: `{"test": 2432232314}`,
		signature: "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
	}
	if w := p.to(t.Context(), r); w.Code != 400 || !strings.Contains(w.Body.String(), "the type") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	p.body = `{"test":2432232314}`
	if w := p.to(t.Context(), r); w.Code != 401 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// TestReasons: what Send returns at the gateway is what Send of the application returns.
func TestReasons(t *testing.T) {
	clock := new(mfatest.Clock)
	over := failed{Reason: senders.ErrTryLater, RetryAfter: time.Minute, Cause: os.ErrDeadlineExceeded}
	same := func(reason error) struct {
		err  error
		want failed
	} {
		e := failed{Sender: "acme", Reason: reason, Code: "21211", Text: "so"}
		return struct {
			err  error
			want failed
		}{&e, failed{Reason: reason, Code: e.Code, Text: e.Text}}
	}
	while := 1500 * time.Millisecond
	detail := errors.New("internal detail")
	for name, c := range map[string]struct {
		err  error
		want failed
	}{
		"cannot receive": same(senders.ErrCannotReceive),
		"opted out":      same(senders.ErrOptedOut),
		"region off":     same(senders.ErrRegionOff),
		"account":        same(senders.ErrAccount),
		"refused":        same(senders.ErrRefused),
		"unknown":        same(senders.ErrUnknown),
		"try later":      same(senders.ErrTryLater),
		"after a while": {
			&failed{Reason: senders.ErrTryLater, Code: "x", RetryAfter: while},
			failed{Reason: senders.ErrTryLater, Code: "x", RetryAfter: 2 * time.Second},
		},
		"wrapped": {
			fmt.Errorf("all: %w", &failed{Reason: senders.ErrOptedOut, Code: "21610"}),
			failed{Reason: senders.ErrOptedOut, Code: "21610"},
		},
		"a bare reason": {senders.ErrRegionOff, failed{Reason: senders.ErrRegionOff, Code: "HTTP 422"}},
		"no reason":     {&failed{Code: "x"}, failed{Reason: senders.ErrRefused, Code: "x"}},
		"of another":    {detail, failed{Reason: senders.ErrRefused, Code: "HTTP 422"}},
		"cut off": {
			fmt.Errorf("%w: %w", detail, io.ErrUnexpectedEOF),
			failed{Reason: senders.ErrUnknown, Code: "HTTP 500"},
		},
		"a cause": {&over, failed{Reason: senders.ErrUnknown, Code: "HTTP 500"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReceiver(t, clock, func(context.Context, mfa.Message) (webhook.Taken, error) {
				return webhook.Taken{By: "acme", ID: "SM1"}, c.err
			})
			s := gateway(t, r.ServeHTTP)
			c.want.Sender = "webhook"
			e := failure(t, s.Send(bounded(t), message))
			if *e != c.want {
				t.Errorf("%+v, want %+v", *e, c.want)
			}
			if goesOn(e) {
				if by, id := faults.TakenBy(t, senders.Fallback(s, new(mfa.Outbox))); by != "" || id != "" {
					t.Errorf("another sent it, and taken by %q as %q", by, id)
				}
			}
			if handover.Unknown(c.err) != handover.Unknown(e) {
				t.Errorf("it may be sent: %v there, %v here", !handover.Unknown(e), handover.Unknown(e))
			}
		})
	}
}

// TestThroughAService: a code travels from a service through a gateway to a phone, and back.
func TestThroughAService(t *testing.T) {
	ctx, clock := bounded(t), new(mfatest.Clock)
	var phone mfa.Outbox
	r := newReceiver(t, clock, func(ctx context.Context, m mfa.Message) (webhook.Taken, error) {
		return webhook.Taken{}, phone.Send(ctx, m)
	})
	svc, err := mfa.New(mfa.Config{
		SMS: gateway(t, r.ServeHTTP), Regions: []string{"US"}, Now: clock.Now,
		Store: new(mfa.MemoryStore), Keys: mfatest.Keys(),
	})
	if err != nil {
		t.Fatal(err)
	}
	enr, err := svc.Enroll(ctx, mfa.EnrollParams{
		UserID: "user_42", SMS: &mfa.SMSParams{PhoneNumber: number},
	})
	if err != nil {
		t.Fatal(err)
	}
	ch, err := svc.Challenge(ctx, mfa.ChallengeParams{FactorID: enr.Factor.ID, UserID: "user_42"})
	if err != nil {
		t.Fatal(err)
	}
	texts := phone.Messages()
	if len(texts) != 1 {
		t.Fatalf("%d messages", len(texts))
	}
	code := strings.Trim(strings.TrimPrefix(texts[0].Body, "Your verification code is "), ".")
	if _, err := svc.Verify(ctx, mfa.VerifyParams{
		ChallengeID: ch.ID, UserID: "user_42", Code: code,
	}); err != nil {
		t.Error(err)
	}
}

// TestTakenByBothSides: what took the message at the gateway is what events have.
func TestTakenByBothSides(t *testing.T) {
	for taken, want := range map[webhook.Taken]webhook.Taken{
		{By: "acme", ID: "SM1"}: {By: "acme", ID: "SM1"},
		{ID: "SM1"}:             {By: "webhook", ID: "SM1"},
		{By: "acme"}:            {By: "acme"},
		{}:                      {By: "webhook"},
	} {
		clock := new(mfatest.Clock)
		r := newReceiver(t, clock, func(context.Context, mfa.Message) (webhook.Taken, error) {
			return taken, nil
		})
		by, id := faults.TakenBy(t, gateway(t, r.ServeHTTP))
		if by != want.By || id != want.ID {
			t.Errorf("taken by %q as %q, want %+v", by, id, want)
		}
	}
}

// TestReplay: a message that was taken, or may have been, is not sent again for an id, as long
// as a timestamp that was signed is good; one that was not handed over is.
func TestReplay(t *testing.T) {
	refused := &senders.Error{Reason: senders.ErrOptedOut}
	unknown := &senders.Error{Reason: senders.ErrUnknown}
	for name, c := range map[string]struct {
		outcomes []error // of each call of Send
		statuses []int   // of five requests
	}{
		"taken":                     {[]error{nil}, []int{200, 200, 200, 200, 200}},
		"unknown":                   {[]error{unknown}, []int{500, 500, 500, 500, 500}},
		"refused":                   {slices.Repeat([]error{refused}, 5), slices.Repeat([]int{422}, 5)},
		"refused, and then taken":   {[]error{refused, nil}, []int{422, 200, 200, 200, 200}},
		"refused, and then unknown": {[]error{refused, refused, unknown}, []int{422, 422, 500, 500, 500}},
	} {
		t.Run(name, func(t *testing.T) {
			clock := new(mfatest.Clock)
			calls := 0
			r := newReceiver(t, clock, func(context.Context, mfa.Message) (webhook.Taken, error) {
				calls++
				return webhook.Taken{ID: "SM" + strconv.Itoa(calls)}, c.outcomes[calls-1]
			})
			for i, want := range c.statuses {
				w := good(clock.Now()).to(t.Context(), r)
				if w.Code != want {
					t.Errorf("request %d: %d %s, want %d", i, w.Code, w.Body, want)
				}
				id := fmt.Sprintf(`{"id":"SM%d"}`+"\n", len(c.outcomes))
				if want == 200 && w.Body.String() != id {
					t.Errorf("request %d: %s, want %s", i, w.Body, id)
				}
				clock.Advance(time.Minute)
			}
			if calls != len(c.outcomes) {
				t.Errorf("sent %d times, want %d", calls, len(c.outcomes))
			}
		})
	}
}

// TestForgets: what is good in the last part of a second is remembered, and what nobody can
// repeat is forgotten.
func TestForgets(t *testing.T) {
	clock := new(mfatest.Clock)
	calls := 0
	r := newReceiver(t, clock, func(context.Context, mfa.Message) (webhook.Taken, error) {
		calls++
		return webhook.Taken{}, nil
	})
	other := func() { // what is forgotten is looked for when there is a new id
		p := good(clock.Now())
		p.id, p.body = "other", strings.Replace(p.body, "5f0c2a", "other", 1)
		p.to(t.Context(), r)
	}
	ahead := good(clock.Now().Add(5 * time.Minute))
	clock.Set(clock.Now().Truncate(time.Second))
	if w := ahead.to(t.Context(), r); w.Code != 200 {
		t.Fatal(w.Code, w.Body)
	}
	clock.Advance(10*time.Minute + time.Second - 1)
	other()
	if w := ahead.to(t.Context(), r); w.Code != 200 || calls != 2 {
		t.Fatalf("%d, and sent %d times", w.Code, calls-1)
	}
	clock.Advance(1)
	if w := ahead.to(t.Context(), r); w.Code != 401 || calls != 2 {
		t.Fatalf("%d, and sent %d times", w.Code, calls-1)
	}
	clock.Advance(10*time.Minute + time.Second)
	if w := good(clock.Now()).to(t.Context(), r); w.Code != 200 || calls != 3 {
		t.Errorf("%d: the id is still known", w.Code)
	}
}

// TestRemembersTheLast: an id that comes again is remembered as long as its last timestamp is
// good.
func TestRemembersTheLast(t *testing.T) {
	clock := new(mfatest.Clock)
	sent := map[string]int{}
	r := newReceiver(t, clock, func(_ context.Context, m mfa.Message) (webhook.Taken, error) {
		sent[m.ID]++
		return webhook.Taken{}, nil
	})
	good(clock.Now()).to(t.Context(), r)
	clock.Advance(9 * time.Minute)
	last := good(clock.Now())
	last.to(t.Context(), r)
	clock.Advance(3 * time.Minute)
	other := good(clock.Now()) // what is forgotten is looked for when there is a new id
	other.id, other.body = "other", strings.Replace(other.body, "5f0c2a", "other", 1)
	other.to(t.Context(), r)
	if w := last.to(t.Context(), r); w.Code != 200 || sent["5f0c2a"] != 1 || sent["other"] != 1 {
		t.Errorf("%d, and sent %v", w.Code, sent)
	}
}

// TestAtOnce: of the requests for one id, one is sent and the others wait for what becomes of
// it.
func TestAtOnce(t *testing.T) {
	refused := &senders.Error{Reason: senders.ErrRegionOff}
	for name, c := range map[string]struct {
		outcomes []any // of each call of Send: an error, nil, or what it panics with
		statuses []int // of the four requests, sorted; 0 for one that panics
	}{
		"taken":               {[]any{nil}, []int{200, 200, 200, 200}},
		"unknown":             {[]any{context.Canceled}, []int{500, 500, 500, 500}},
		"a panic":             {[]any{http.ErrAbortHandler.Error()}, []int{0, 500, 500, 500}},
		"refused and taken":   {[]any{refused, refused, nil}, []int{200, 200, 422, 422}},
		"refused and unknown": {[]any{refused, io.EOF}, []int{422, 500, 500, 500}},
		"refused":             {[]any{refused, refused, refused, refused}, []int{422, 422, 422, 422}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				clock := new(mfatest.Clock)
				outcomes := make(chan any)
				calls, running := 0, 0
				r := newReceiver(t, clock, func(context.Context, mfa.Message) (webhook.Taken, error) {
					calls, running = calls+1, running+1
					outcome := <-outcomes
					running--
					switch outcome := outcome.(type) {
					case error:
						return webhook.Taken{}, outcome
					case string:
						panic(outcome)
					}
					return webhook.Taken{}, nil
				})
				statuses := make(chan int, 4)
				for range 4 {
					go func() {
						status := 0
						defer func() { _ = recover(); statuses <- status }()
						status = good(clock.Now()).to(t.Context(), r).Code
					}()
				}
				for i, outcome := range c.outcomes {
					synctest.Wait()
					if running != 1 || len(statuses) != i {
						t.Errorf("%d sent at once, %d answered, before outcome %d", running, len(statuses), i)
					}
					outcomes <- outcome
				}
				synctest.Wait()
				var all []int
				for range len(statuses) {
					all = append(all, <-statuses)
				}
				slices.Sort(all)
				if !slices.Equal(all, c.statuses) || calls != len(c.outcomes) {
					t.Errorf("%v, want %v; sent %d times", all, c.statuses, calls)
				}
			})
		})
	}
}

// TestGivesUpWaiting: who waits for another request and hangs up is not told that nothing was
// sent, and other ids wait for nobody.
func TestGivesUpWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := new(mfatest.Clock)
		held := make(chan struct{})
		r := newReceiver(t, clock, func(_ context.Context, m mfa.Message) (webhook.Taken, error) {
			if m.ID == "5f0c2a" {
				<-held
			}
			return webhook.Taken{}, nil
		})
		go good(clock.Now()).to(t.Context(), r)
		synctest.Wait()
		ctx, hangUp := context.WithCancel(t.Context())
		hangUp()
		w := good(clock.Now()).to(ctx, r)
		if w.Code != 500 || !strings.Contains(w.Body.String(), "unknown") {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		other := good(clock.Now())
		other.id, other.body = "other", strings.Replace(body, "5f0c2a", "other", 1)
		if w := other.to(t.Context(), r); w.Code != 200 {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		// One that runs for longer than ids are remembered is not forgotten.
		clock.Advance(time.Hour)
		other.timestamp = good(clock.Now()).timestamp
		other.to(t.Context(), r)
		if w := good(clock.Now()).to(ctx, r); w.Code != 500 {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		close(held)
		synctest.Wait()
	})
}

// TestHangUp: if the application hangs up while the message is sent, an error says nothing of
// whether it was.
func TestHangUp(t *testing.T) {
	ctx, hangUp := context.WithCancel(t.Context())
	calls := 0
	clock := new(mfatest.Clock)
	r := newReceiver(t, clock, func(ctx context.Context, _ mfa.Message) (webhook.Taken, error) {
		calls++
		hangUp()
		<-ctx.Done()
		return webhook.Taken{}, &senders.Error{Reason: senders.ErrTryLater}
	})
	for range 2 {
		if w := good(clock.Now()).to(ctx, r); w.Code != 500 || w.Header().Get("Retry-After") != "" {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	}
	if calls != 1 {
		t.Errorf("sent %d times", calls)
	}
}

// TestNewReceiver: a receiver needs secrets and Send.
func TestNewReceiver(t *testing.T) {
	some := []webhook.Secret{secret(t, newSecret)}
	for name, cfg := range map[string]webhook.ReceiverConfig{
		"no secrets": {Send: noSend},
		"a zero one": {Send: noSend, Secrets: append([]webhook.Secret{{}}, some...)},
		"no Send":    {Secrets: some},
	} {
		if r, err := webhook.NewReceiver(cfg); err == nil || r != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzReceiver: of what anybody can send, only a signed message of now is handed to Send, and
// whatever is signed has an answer.
func FuzzReceiver(f *testing.F) {
	clock := new(mfatest.Clock)
	now := good(clock.Now()).timestamp
	f.Add("5f0c2a", now, "", body, true)
	f.Add("5f0c2a", now, "v1,AAAA v1a,AAAA", body, false)
	f.Add("a.b", "+5", "v1,", `{"type":"sms.send","data":{"id":"a.b","to":"+1","body":"x"}}`, true)
	f.Add("5f0c2a", "9223372036854775808", " ", `{"data":[]}`, true)
	f.Fuzz(func(t *testing.T, id, timestamp, sig, text string, sign bool) {
		var sent []mfa.Message
		r := newReceiver(t, clock, func(_ context.Context, m mfa.Message) (webhook.Taken, error) {
			sent = append(sent, m)
			return webhook.Taken{}, nil
		})
		p := post{id: id, timestamp: timestamp, body: text, signature: sig, secret: oldSecret}
		if sign {
			p.signature = ""
		} else if sig == "" {
			p.signature = " "
		}
		w := p.to(t.Context(), r)
		if len(sent) == 0 {
			if w.Code < 400 || w.Code > 499 {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			return
		}
		var e struct {
			Type string
			Data struct{ ID, To, Body string }
		}
		if err := json.Unmarshal([]byte(text), &e); err != nil {
			t.Fatal(err)
		}
		seconds, err := strconv.ParseInt(timestamp, 10, 64)
		if err != nil || seconds < clock.Now().Unix()-300 || seconds > clock.Now().Unix()+300 ||
			!sign || e.Data.ID != id || e.Type != "sms.send" || w.Code != 200 ||
			sent[0] != (mfa.Message{ID: id, To: e.Data.To, Body: e.Data.Body}) {
			t.Errorf("%q %q %q is sent", id, timestamp, text)
		}
	})
}

// heldBody is a body before whose first byte something happens.
type heldBody struct {
	io.Reader
	before func()
}

func (b *heldBody) Read(p []byte) (int, error) {
	if before := b.before; before != nil {
		b.before = nil
		before()
	}
	return b.Reader.Read(p)
}

// TestHeldOpen: a request is as old as its end, so that none is held open until its id is
// forgotten.
func TestHeldOpen(t *testing.T) {
	clock := new(mfatest.Clock)
	sent := 0
	rc := newReceiver(t, clock, func(context.Context, mfa.Message) (webhook.Taken, error) {
		sent++
		return webhook.Taken{}, nil
	})
	post := func(id string, before func()) int {
		body := fmt.Sprintf(
			`{"type":"sms.send","data":{"id":%q,"to":"+15005550006","body":"x 739164"}}`, id)
		timestamp := strconv.FormatInt(clock.Now().Unix(), 10)
		req := httptest.NewRequest(http.MethodPost, "/", &heldBody{strings.NewReader(body), before})
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Webhook-Id", id)
		req.Header.Set("Webhook-Timestamp", timestamp)
		req.Header.Set("Webhook-Signature", signature(newSecret, id, timestamp, body))
		w := httptest.NewRecorder()
		rc.ServeHTTP(w, req)
		return w.Code
	}
	if status := post("a", nil); status != http.StatusOK {
		t.Fatalf("status %d", status)
	}
	status := post("a", func() {
		clock.Advance(11 * time.Minute)
		post("b", nil)
	})
	if status != http.StatusUnauthorized || sent != 2 {
		t.Errorf("status %d, and %d sent", status, sent)
	}
}
