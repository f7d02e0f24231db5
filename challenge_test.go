package mfa_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/internal/operator"
	"github.com/authfactor/mfa/mfatest"
	"github.com/authfactor/mfa/proof"
)

// slow is an error as of a connection that took too long.
type slow struct{ error }

func (slow) Timeout() bool   { return true }
func (slow) Temporary() bool { return false }

// TestUnknownMessage: where the sender's error leaves open whether the message was
// handed over, the challenge is open, its code is good, and the message counts; where it
// proves that it was not, the challenge is void.
func TestUnknownMessage(t *testing.T) {
	post := func(err error) error {
		return &url.Error{Op: "Post", URL: "https://gw.example/", Err: err}
	}
	op := func(op string) error {
		return post(&net.OpError{Op: op, Net: "tcp", Err: syscall.ECONNRESET})
	}
	for _, tt := range []struct {
		name    string
		err     error
		unknown bool
	}{
		// The error of a deadline, wrapped, whose Timeout() is false.
		{"a deadline", post(fmt.Errorf("transport: %w", context.DeadlineExceeded)), true},
		{"a cancelled context", fmt.Errorf("gateway: %w", context.Canceled), true},
		{"a deadline of a connection", post(fmt.Errorf("transport: %w", os.ErrDeadlineExceeded)), true},
		{"a timeout", fmt.Errorf("gateway: %w", slow{errors.New("no answer")}), true},
		{"no answer", post(io.EOF), true},
		{"half an answer", fmt.Errorf("gateway: %w", io.ErrUnexpectedEOF), true},
		{"a connection that broke in the answer", op("read"), true},
		{"a connection that broke in the request", op("write"), true},
		{"no connection", op("dial"), false},
		{"an error of the network that is no timeout",
			&net.DNSError{Err: "no such host", Name: "gw.example"}, false},
		{"a refusal", errors.New("gateway: 400: unsubscribed"), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			f := r.Phone(ann, phone)
			r.Took()
			r.SMS.Script = func(context.Context, int, mfa.Message) error { return mfatest.Delivered(tt.err) }
			ch, err := r.AskWith("key", f)
			kind := mfa.EventMessageFailed
			if tt.unknown {
				kind = mfa.EventMessageUnknown
			}
			events := r.Took()
			if len(events) != 1 || events[0].Kind != kind || events[0].ChallengeID == "" {
				t.Fatalf("events %+v, want %s", events, kind)
			}
			_, again := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: ann})
			mustBe(t, again, mfa.ErrThrottled)
			if !tt.unknown {
				mustBe(t, err, tt.err)
				mustBe(t, err, mfa.ErrMessageNotSent)
				return
			}
			if err != nil || ch.ID != events[0].ChallengeID {
				t.Fatalf("%+v, %v", ch, err)
			}
			sends := r.SMS.Sends()
			if repeated, err := r.AskWith("key", f); err != nil || repeated != ch || r.SMS.Sends() != sends {
				t.Errorf("by its key: %+v, %v, want %+v", repeated, err, ch)
			}
			if _, err := r.Answer(ch, f, r.Right(f)); err != nil {
				t.Errorf("the code of the message: %v", err)
			}
		})
	}
}

// TestUnknownAfterPanic: a panic of the sender proves nothing. It passes through, the
// challenge is open, and whoever asks again with the key is told it.
func TestUnknownAfterPanic(t *testing.T) {
	for name, script := range map[string]func(context.Context, int, mfa.Message) error{
		"panics":          func(context.Context, int, mfa.Message) error { panic("provider") },
		"panics silently": func(context.Context, int, mfa.Message) error { panic(nil) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			f := r.Phone(ann, phone)
			r.Took()
			var code string
			r.SMS.Script = func(ctx context.Context, n int, m mfa.Message) error {
				code = strings.TrimSuffix(strings.TrimPrefix(m.Body, "Your verification code is "), ".")
				return script(ctx, n, m)
			}
			func() {
				defer func() {
					if recover() == nil {
						t.Error("the panic did not pass through")
					}
				}()
				_, _ = r.AskWith("key", f)
			}()
			if e := r.Took(); len(e) != 1 || e[0].Kind != mfa.EventMessageUnknown {
				t.Errorf("events %+v", e)
			}
			ch, err := r.AskWith("key", f)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := r.Answer(ch, f, code); err != nil {
				t.Errorf("the code of the message: %v", err)
			}
		})
	}
}

// TestHTTPSender: the sender that is written first tells the two apart by itself, a
// refusal of the provider, and an answer that did not come in time.
func TestHTTPSender(t *testing.T) {
	answer := make(chan int)
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if status := <-answer; status != 0 {
			w.WriteHeader(status)
		}
	}))
	defer provider.Close()
	client := &http.Client{Timeout: 50 * time.Millisecond}
	r := newRig(t)
	f := r.Phone(ann, phone)
	r.SMS.Script = func(ctx context.Context, _ int, m mfa.Message) error {
		req, err := http.NewRequestWithContext(
			ctx,
			http.MethodPost,
			provider.URL,
			strings.NewReader(m.Body),
		)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		defer func() { _ = resp.Body.Close() }()
		if resp.StatusCode != http.StatusCreated {
			return fmt.Errorf("provider: %s", resp.Status)
		}
		return nil
	}
	p := mfa.ChallengeParams{FactorID: f.ID, UserID: ann}
	_, err := r.Challenge(t.Context(), p) // no answer comes
	if err != nil {
		t.Errorf("a timeout: %v", err)
	}
	answer <- 0
	client.Timeout = 0
	for status, want := range map[int]error{
		http.StatusBadRequest: mfa.ErrMessageNotSent, http.StatusCreated: nil,
	} {
		r.Clock.Advance(time.Hour)
		go func() { answer <- status }()
		if _, err := r.Challenge(t.Context(), p); !errors.Is(err, want) {
			t.Errorf("status %d: %v, want %v", status, err, want)
		}
	}
}

// TestSendingOutlivesTheRequest: whoever hangs up once the challenge is committed does
// not stop the message, before Send is called or after; the values of the context stay.
func TestSendingOutlivesTheRequest(t *testing.T) {
	type key struct{}
	for _, when := range []string{"before it is sent", "while it is sent"} {
		t.Run(when, func(t *testing.T) {
			r := newRig(t)
			f := r.Phone(ann, phone)
			ctx, hangUp := context.WithCancel(context.WithValue(t.Context(), key{}, "trace"))
			r.Store.After = func(_ context.Context, c mfatest.Call) error {
				if c.Method == "Save" && when == "before it is sent" {
					hangUp()
				}
				return nil
			}
			r.SMS.Script = func(ctx context.Context, _ int, _ mfa.Message) error {
				hangUp()
				if ctx.Value(key{}) != "trace" {
					t.Error("the values of the context are gone")
				}
				return ctx.Err()
			}
			ch, err := r.Challenge(ctx, mfa.ChallengeParams{FactorID: f.ID, UserID: ann})
			if err != nil {
				t.Fatal(err)
			}
			if e := r.Took(); e[len(e)-1].Kind != mfa.EventMessageSent {
				t.Errorf("events %v", kinds(e))
			}
			if _, err := r.Answer(ch, f, r.Right(f)); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestSendTimeout: a sender has the time of Config.SendTimeout, or until an earlier
// deadline of the caller. What it says after that, in whatever words, proves nothing.
func TestSendTimeout(t *testing.T) {
	for _, tt := range []struct{ configured, caller, want time.Duration }{
		{0, 0, 15 * time.Second},
		{0, 10 * time.Second, 10 * time.Second},
		{0, time.Hour, 15 * time.Second},
		{time.Millisecond, 0, time.Millisecond},
		{5 * time.Minute, 0, 5 * time.Minute},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, func(c *mfa.Config) { c.SendTimeout = tt.configured })
			f := r.Phone(ann, phone)
			r.Took()
			r.SMS.Script = func(ctx context.Context, _ int, _ mfa.Message) error {
				<-ctx.Done()
				return mfatest.Delivered(errors.New("gateway: too slow"))
			}
			ctx := t.Context()
			if tt.caller > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, tt.caller)
				defer cancel()
			}
			begin := time.Now()
			ch, err := r.Challenge(ctx, mfa.ChallengeParams{FactorID: f.ID, UserID: ann})
			if took := time.Since(begin); took != tt.want || err != nil {
				t.Errorf("%+v: it took %s, %v", tt, took, err)
			}
			if e := r.Took(); len(e) != 1 || e[0].Kind != mfa.EventMessageUnknown {
				t.Errorf("%+v: events %+v", tt, e)
			}
			if _, err := r.Answer(ch, f, r.Right(f)); err != nil {
				t.Errorf("%+v: %v", tt, err)
			}
		})
	}
}

// TestNoTimeToSend: where the caller's deadline is past before the sender is asked,
// nothing was sent, and the challenge is void.
func TestNoTimeToSend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		f := r.Phone(ann, phone)
		sends := r.SMS.Sends()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		r.Store.After = func(_ context.Context, c mfatest.Call) error {
			if c.Method == "Save" {
				time.Sleep(time.Second)
			}
			return nil
		}
		r.Took()
		_, err := r.Challenge(ctx, mfa.ChallengeParams{FactorID: f.ID, UserID: ann})
		mustBe(t, err, mfa.ErrMessageNotSent)
		mustBe(t, err, context.DeadlineExceeded)
		if e := r.Took(); len(e) != 1 || e[0].Kind != mfa.EventMessageFailed || r.SMS.Sends() != sends {
			t.Errorf("events %+v, %d messages", e, r.SMS.Sends()-sends)
		}
	})
}

// TestSenderErrorIsLogged: an operator reads why a message failed or is unknown, of
// which challenge, and neither the number nor the code.
func TestSenderErrorIsLogged(t *testing.T) {
	for msg, cause := range map[string]error{
		"mfa: a message could not be sent":              errors.New("blocked"),
		"mfa: it is unknown whether a message was sent": fmt.Errorf("slow: %w", os.ErrDeadlineExceeded),
	} {
		var log bytes.Buffer
		r := newRig(t, func(c *mfa.Config) { c.Logger = slog.New(slog.NewJSONHandler(&log, nil)) })
		f := r.Phone(ann, phone)
		var message mfa.Message
		r.SMS.Script = func(_ context.Context, _ int, m mfa.Message) error {
			message = m
			return fmt.Errorf("gateway %w: %s <- %q%s", cause, m.To, m.Body, strings.Repeat(".", 10_000))
		}
		r.Took()
		_, _ = r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: ann})
		var line map[string]string
		if err := json.Unmarshal(log.Bytes(), &line); err != nil {
			t.Fatalf("%v: %s", err, &log)
		}
		said := line["error"]
		delete(line, "time")
		delete(line, "error")
		want := map[string]string{
			"level":      "WARN",
			"msg":        msg,
			"challenge":  r.Took()[0].ChallengeID,
			"message_id": message.ID,
		}
		if fmt.Sprint(line) != fmt.Sprint(want) {
			t.Errorf("the log has %v, want %v", line, want)
		}
		if want := fmt.Sprintf(
			`gateway %s: +[number] <- "Your verification code is [code]."...`,
			cause,
		); !strings.HasPrefix(said, want) ||
			len(said) > 520 {
			t.Errorf("the log has %q, want %q", said, want)
		}
	}
}

// TestResendAt: it is the moment from which the next message is let through, not a
// millisecond earlier, whatever the limit is that decides.
func TestResendAt(t *testing.T) {
	for _, policy := range []mfa.Policy{
		{}, {MessagesPerHour: 10, MessagesPerDay: 30}, {MessagesPerHour: 1, MessagesPerDay: 2},
	} {
		r := newRig(t, func(c *mfa.Config) { c.Policy = policy })
		numbers := []enrolled{r.Phone(ann, phone)}
		r.Clock.Advance(aDay)
		numbers = append(numbers, r.Phone(ann, "+15005550007"))
		for i := range 70 {
			f := numbers[i*i/3%2] // one's limits, and those of the user
			var ch mfa.Challenge
			for waited := false; ; waited = true {
				var err error
				if ch, err = r.Challenge(t.Context(), mfa.ChallengeParams{
					FactorID: f.ID, UserID: ann,
				}); err == nil {
					break
				}
				mustBe(t, err, mfa.ErrThrottled)
				if waited {
					t.Fatalf("message %d: a wait after the wait: %v", i, err)
				}
				r.Clock.Advance(refusal(t, err).RetryAfter)
			}
			if i%3 > 0 {
				continue // the other number may be next
			}
			r.Clock.Set(ch.ResendAt.Add(-time.Millisecond))
			_, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: ann})
			if mustBe(t, err, mfa.ErrThrottled); refusal(t, err).RetryAfter != time.Millisecond {
				t.Fatalf("message %d: %v a millisecond before %s", i, err, ch.ResendAt)
			}
			r.Clock.Advance(time.Millisecond)
			next := r.Ask(f)
			if i%9 == 0 {
				if _, err := r.Answer(next, f, r.Right(f)); err != nil {
					t.Fatal(err)
				}
			}
			r.Clock.Advance(time.Duration(i%4) * 13 * time.Minute)
		}
	}
}

// TestResendAtOfAStranger: of a number that is not confirmed it is rounded up to a whole
// minute, as the end of RetryAfter is, since others' messages are in it.
func TestResendAtOfAStranger(t *testing.T) {
	r := newRig(t)
	owner := r.Phone(ann, phone)
	r.Ask(owner)
	r.Clock.Advance(61*time.Second + 7*time.Millisecond)
	f := r.EnrollSMS("user_mallory", phone)
	for _, want := range []time.Duration{56 * time.Minute, aDay - time.Hour} {
		ch := r.Ask(f)
		_, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: f.UserID})
		left := ch.ResendAt.Sub(r.Clock.Now())
		if left != refusal(t, err).RetryAfter || left >= want+time.Minute || left <= want-time.Minute ||
			ch.ResendAt != ch.ResendAt.Truncate(time.Minute) {
			t.Errorf("until %s, %s, and %v; want about %s", ch.ResendAt, left, err, want)
		}
		r.Clock.Advance(time.Hour + 7*time.Millisecond)
	}
}

// TestResendAtOfAWatcher: a repeated call, which costs nothing, tells nothing of the
// messages that somebody else was sent.
func TestResendAtOfAWatcher(t *testing.T) {
	r := newRig(t)
	owner := r.Phone(ann, phone)
	r.Clock.Advance(aDay)
	f := r.EnrollSMS("user_mallory", phone)
	if _, err := r.AskWith("key", f); err != nil {
		t.Fatal(err)
	}
	r.Clock.Advance(2 * time.Hour)
	before, err := r.AskWith("key", f)
	if err != nil {
		t.Fatal(err)
	}
	r.Ask(owner)
	after, err := r.AskWith("key", f)
	if err != nil || after.ResendAt != before.ResendAt || before.ResendAt.IsZero() {
		t.Errorf("%s, and once the owner was sent a code %s, %v", before.ResendAt, after.ResendAt, err)
	}
}

// TestResendAtOfARepeat: a call that is answered again tells how it is then; and what has
// no messages, or is no answer of Challenge, has the zero time.
func TestResendAtOfARepeat(t *testing.T) {
	r := newRig(t)
	f, app := r.Phone(ann, phone), r.TOTP(ann)
	first, err := r.AskWith("key", f)
	if err != nil || first.ResendAt != r.Clock.Now().Add(time.Minute) {
		t.Fatalf("%+v, %v", first, err)
	}
	r.Clock.Advance(20 * time.Second)
	if again, err := r.AskWith("key", f); err != nil || again != first {
		t.Errorf("%+v, %v, want %+v", again, err, first)
	}
	r.Clock.Advance(2 * time.Minute)
	if again, err := r.AskWith("key", f); err != nil || again.ResendAt != r.Clock.Now() {
		t.Errorf("after the wait: %+v, %v", again, err)
	}
	right := r.Right(f)
	shared := r.Phone("user_bob", phone) // a phone of two people: its limits are both's
	r.Ask(shared)
	again, err := r.AskWith("key", f)
	if err != nil || again.ResendAt != r.Clock.Now().Add(time.Minute) {
		t.Errorf("once the number was sent another code: %+v, %v", again, err)
	}
	v, err := r.Answer(first, f, right)
	if err != nil || !v.Challenge.ResendAt.IsZero() || !r.Ask(app).ResendAt.IsZero() {
		t.Errorf("%+v, %v", v.Challenge, err)
	}
	stranger := r.EnrollSMS("", "+15005550009") // not confirmed, and of nobody: it has its share alone
	r.Clock.Advance(time.Minute)
	if _, err := r.AskWith("key", stranger); err != nil {
		t.Fatal(err)
	}
	r.Clock.Advance(20 * time.Second)
	again, err = r.AskWith("key", stranger)
	if err != nil || again.ResendAt.Before(r.Clock.Now().Add(40*time.Second)) {
		t.Errorf("20 s after the message to a number of nobody: %+v, %v", again, err)
	}
	r.Clock.Set(again.ResendAt)
	second, err := r.AskWith("another key", stranger)
	if err != nil || second.ResendAt.Sub(r.Clock.Now()) < 12*time.Hour { // two messages a day
		t.Errorf("the second message to a number of nobody: %+v, %v", second, err)
	}
	again, err = r.AskWith("another key", stranger)
	if err != nil || again.ResendAt != second.ResendAt {
		t.Errorf("%+v, %v, want %+v", again, err, second)
	}
	text, err := json.Marshal(first)
	if err != nil || strings.Contains(strings.ToLower(string(text)), "resend") {
		t.Errorf("%s, %v", text, err)
	}
}

// TestReason: a wait says what it is for, and without a wait nothing is said.
func TestReason(t *testing.T) {
	r := newRig(t)
	f := r.Phone(ann, phone)
	ch := r.Ask(f)
	wrong := r.Wrong(f)
	try := func(code string) error { _, err := r.Answer(ch, f, code); return err }
	again := func() error {
		_, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: ann})
		return err
	}
	says := func(err error, want mfa.Reason) {
		t.Helper()
		e := refusal(t, err)
		if e.Reason != want || (e.Reason == "") != (e.RetryAfter == 0) {
			t.Errorf("%v: reason %q, want %q", err, e.Reason, want)
		}
		if text, err := json.Marshal(
			e,
		); err != nil ||
			string(text) != fmt.Sprintf(`{"code":%q,"message":%q}`, e.Code, e.Message) {
			t.Errorf("%s, %v", text, err)
		}
	}
	says(again(), mfa.ReasonMessages)
	for range 4 {
		says(try(wrong), "")
	}
	says(try(wrong), mfa.ReasonWrongCodes) // the fifth begins a wait
	says(again(), mfa.ReasonMessages)      // of 60 seconds, and 30 of the other kind
	says(try(wrong), "")                   // the challenge is used up
	r.Clock.Advance(time.Hour)
	ch = r.Ask(f)
	wrong = r.Wrong(f)
	for range 3 {
		says(try(wrong), mfa.ReasonWrongCodes) // an invalid code
		err := try(wrong)                      // not compared
		says(err, mfa.ReasonWrongCodes)
		r.Clock.Advance(refusal(t, err).RetryAfter)
	}
	_ = try(wrong)
	says(again(), mfa.ReasonWrongCodes)
	r.Clock.Advance(time.Hour)
	r.Store.Before = func(_ context.Context, c mfatest.Call) error {
		if c.Method == "Save" {
			return mfa.ErrConflict
		}
		return nil
	}
	says(again(), mfa.ReasonRaces)
}

// TestEventOfAMessage: the event of a message has the id that the provider got, so that a
// report of delivery finds its challenge; that of any other has none.
func TestEventOfAMessage(t *testing.T) {
	for kind, err := range map[string]error{
		"message_sent": nil, "message_failed": errors.New("refused"), "message_unknown": io.EOF,
	} {
		var log bytes.Buffer
		r := newRig(t)
		f := r.Phone(ann, phone)
		var id string
		r.SMS.Script = func(_ context.Context, _ int, m mfa.Message) error {
			id = m.ID
			return err
		}
		r.Took()
		_, _ = r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: ann})
		events := r.Took()
		if len(events) != 1 || fmt.Sprint(events[0].Kind) != kind || events[0].MessageID != id ||
			events[0].Notify() {
			t.Fatalf("%s: %+v, want the message %s", kind, events, id)
		}
		mfa.LogEvents(slog.New(slog.NewTextHandler(&log, nil)))(t.Context(), events[0])
		if text := log.String(); !strings.Contains(text, " message_id="+id) ||
			strings.Contains(text, "WARN") == (kind == "message_sent") {
			t.Errorf("%s: logged as %s", kind, text)
		}
		_, _ = r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: ann})
		if e := r.Took(); len(e) != 1 || e[0].MessageID != "" {
			t.Errorf("%+v", e)
		}
	}
}

// TestPurposeOfEvents: all events of a challenge have the purpose of its action, and those
// of a login have none.
func TestPurposeOfEvents(t *testing.T) {
	for _, action := range []proof.Action{{}, proof.ActionOf("pay", "100 USD to Bob")} {
		r := newRig(t)
		f := r.Phone(ann, phone)
		r.Took()
		p := mfa.ChallengeParams{FactorID: f.ID, UserID: ann, Action: action}
		ch, err := r.Challenge(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = r.Challenge(t.Context(), p)
		for _, code := range []string{r.Wrong(f), r.Right(f)} {
			_, err = r.Verify(t.Context(), mfa.VerifyParams{
				ChallengeID: ch.ID,
				UserID:      ann,
				Code:        code,
				Action:      action,
				TrustDevice: true,
			})
		}
		if err != nil {
			t.Fatal(err)
		}
		events := r.Took()
		want := []string{"message_sent", "message_refused", "failed", "verified", "device_trusted"}
		if got := fmt.Sprint(kinds(events)); got != fmt.Sprint(want) {
			t.Fatalf("events %s", got)
		}
		for _, e := range events {
			if text := e.LogValue().String(); e.Purpose != action.Purpose ||
				strings.Contains(text, "purpose=pay") != (action.Purpose == "pay") {
				t.Errorf("%+v, logged as %s", e, text)
			}
		}
	}
}

// TestMessagePolicy: the quotas of a confirmed number and of a user are the policy's, beside
// the cool-down, which lets seven through in an hour without a right code; those
// of a number that is not confirmed are no more than 3 and 5, nor than the policy's.
func TestMessagePolicy(t *testing.T) {
	for _, tt := range []struct {
		hour, day   int
		verified    bool
		hours, days int
	}{
		{0, 0, true, 5, 10}, {0, 3, true, 3, 3}, {10, 0, true, 7, 10}, {10, 30, true, 7, 30},
		{1, 1, true, 1, 1}, {2, 30, true, 2, 30},
		{0, 0, false, 3, 5}, {10, 30, false, 3, 5}, {1, 1, false, 1, 1}, {2, 4, false, 2, 4},
	} {
		r := newRig(
			t,
			func(c *mfa.Config) { c.Policy = mfa.Policy{MessagesPerHour: tt.hour, MessagesPerDay: tt.day} },
		)
		factors := []enrolled{r.EnrollSMS(ann, phone)}
		if tt.verified {
			r.LogIn(factors[0])
			r.Clock.Advance(25 * time.Hour)
		} else { // of whom each has two a day
			factors = append(factors, r.EnrollSMS("user_bob", phone), r.EnrollSMS("user_eve", phone))
		}
		begin, sent := r.Clock.Now(), []time.Time{}
		for r.Clock.Now().Sub(begin) < 23*time.Hour {
			wait := aDay
			for _, f := range factors {
				_, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: f.UserID})
				if err == nil {
					sent, wait = append(sent, r.Clock.Now()), 0
					break
				}
				wait = min(wait, refusal(t, err).RetryAfter)
			}
			r.Clock.Advance(wait)
		}
		inHour := 0
		for i, at := range sent {
			n := slices.IndexFunc(sent[i:], func(t time.Time) bool { return t.Sub(at) >= time.Hour })
			if n < 0 {
				n = len(sent) - i
			}
			inHour = max(inHour, n)
		}
		if len(sent) != tt.days || inHour != tt.hours {
			t.Errorf("%+v: %d messages in a day and up to %d in an hour", tt, len(sent), inHour)
		}
	}
}

// TestMostMessagesAreRemembered: with the most a day, and those of a trusted device beyond
// them, all are kept, and a new key forgets none.
func TestMostMessagesAreRemembered(t *testing.T) {
	one, two := mfa.NewKey(), mfa.NewKey()
	r := newRig(
		t,
		func(c *mfa.Config) { c.Policy = mfa.Policy{MessagesPerHour: 10, MessagesPerDay: 30} },
	)
	r.with(one)
	f := r.Phone(ann, phone)
	r.Clock.Advance(25 * time.Hour)
	ch := r.Ask(f)
	v, err := r.Verify(t.Context(), mfa.VerifyParams{
		ChallengeID: ch.ID, UserID: ann, Code: r.Right(f), TrustDevice: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	begin, sends := r.Clock.Now(), r.SMS.Sends()
	p := mfa.ChallengeParams{FactorID: f.ID, UserID: ann}
	send := func(n int) {
		for range n {
			r.Clock.Advance(16 * time.Minute)
			if _, err := r.Challenge(t.Context(), p); err != nil {
				t.Fatal(err)
			}
		}
	}
	send(29)
	p.DeviceToken = v.Device.Token()
	send(3)
	for _, keys := range [][]string{{one, two}, {two, one}} {
		r.with(keys...)
		for _, token := range []string{"", v.Device.Token()} {
			p.DeviceToken = token
			_, err := r.Challenge(t.Context(), p)
			mustBe(t, err, mfa.ErrThrottled)
		}
	}
	r.Clock.Set(begin.Add(aDay + 48*time.Minute)) // four of the 33 are a day old
	p.DeviceToken = ""
	if _, err := r.Challenge(t.Context(), p); err != nil || r.SMS.Sends() != sends+33 {
		t.Errorf("%d messages, %v", r.SMS.Sends()-sends, err)
	}
	_, err = r.Challenge(t.Context(), p)
	if left := begin.Add(
		aDay + 64*time.Minute,
	).Sub(
		r.Clock.Now(),
	); refusal(
		t,
		err,
	).RetryAfter != left {
		t.Errorf("%v, want a wait of %s", err, left)
	}
}

// TestConfirmWithin: what mfahttp asks for confirms a factor of up to an hour by the
// service's clock, and nothing else does without Confirm.
func TestConfirmWithin(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	within := operator.WithConfirm(ctx, time.Hour)
	r.TOTP(ann)
	enr, err := r.Enroll(ctx, mfa.EnrollParams{UserID: ann, GenericOTP: true, ByOperator: true})
	if err != nil {
		t.Fatal(err)
	}
	challenge := func(ctx context.Context, key string) (mfa.Challenge, error) {
		return r.Challenge(ctx, mfa.ChallengeParams{
			FactorID: enr.Factor.ID, UserID: mfa.AnyUser, IdempotencyKey: key,
		})
	}
	refused := func(ctx context.Context, key, when string) {
		t.Helper()
		if _, err := challenge(ctx, key); !errors.Is(err, mfa.ErrFactorUnverified) {
			t.Errorf("%s: error %v", when, err)
		}
	}
	refused(ctx, "", "not asked")
	refused(operator.WithConfirm(ctx, 0), "", "within no time")
	r.Clock.Advance(-time.Hour)
	first, err := challenge(within, "key")
	if err != nil {
		t.Fatalf("a clock that is an hour behind: %v", err)
	}
	r.Clock.Advance(-time.Millisecond)
	refused(within, "", "a clock that is more than an hour behind")
	r.Clock.Advance(2*time.Hour + time.Millisecond)
	if _, err := challenge(within, ""); err != nil {
		t.Errorf("after an hour: %v", err)
	}
	r.Clock.Advance(time.Millisecond)
	refused(within, "", "after more than an hour")
	refused(ctx, "key", "not asked, with a key")
	again, err := challenge(within, "key")
	if err != nil || again.ID != first.ID || again.Code() != first.Code() {
		t.Errorf("the same call again: %v, %v", again, err)
	}
}

// What follows is about idempotency keys, of Challenge and of Verify.

// TestChallengeAgain: a challenge that is asked for again under its key is the same one,
// by another process too, and no second message is sent or charged.
func TestChallengeAgain(t *testing.T) {
	r := newRig(t)
	f := r.Phone(ann, phone)
	sends := r.SMS.Sends()
	first, err := r.AskWith("key 1", f)
	if err != nil {
		t.Fatal(err)
	}
	before := len(r.Store.Calls("Save"))
	r.Clock.Advance(time.Minute)
	other := r.Another()
	again, err := other.Challenge(t.Context(), mfa.ChallengeParams{
		FactorID: f.ID, UserID: ann, IdempotencyKey: "key 1",
	})
	if err != nil || again != first {
		t.Errorf("again: %+v, %v; want %+v", again, err, first)
	}
	if n := r.SMS.Sends() - sends; n != 1 || len(r.Store.Calls("Save")) != before {
		t.Errorf("%d messages were sent, want 1; and something was written", n)
	}
	if _, err := r.Answer(again, f, r.Right(f)); err != nil {
		t.Error(err)
	}
	r.Clock.Advance(24*time.Hour - time.Minute)
	first.ResendAt = r.Clock.Now() // there is no wait any more
	if again, err = r.AskWith("key 1", f); err != nil || again != first {
		t.Errorf("a day later: %+v, %v", again, err)
	}
	r.Clock.Advance(time.Millisecond)
	if again, err = r.AskWith("key 1", f); err != nil || again.ID == first.ID {
		t.Errorf("after a day the key is free: %+v, %v", again, err)
	}
}

// TestChallengeAgainWhileDisabled: what was answered once is answered again, although the
// factor was disabled since.
func TestChallengeAgainWhileDisabled(t *testing.T) {
	r := newRig(t, func(c *mfa.Config) { c.Policy.MaxFailures = 5 })
	f := r.TOTP(ann)
	first, err := r.AskWith("key 1", f)
	if err != nil {
		t.Fatal(err)
	}
	r.Fail(f, 5)
	_, err = r.AskWith("key 2", f)
	mustBe(t, err, mfa.ErrFactorDisabled)
	if again, err := r.AskWith("key 1", f); err != nil || again != first {
		t.Errorf("again: %+v, %v; want %+v", again, err, first)
	}
}

// TestChallengeKeyOfAnother: a key with other parameters is refused and sends nothing, so
// that neither the owner and an operator share it, nor two actions; on another factor it
// is another key.
func TestChallengeKeyOfAnother(t *testing.T) {
	for _, factorType := range factorTypes {
		t.Run(string(factorType), func(t *testing.T) {
			g := newGuesser(t, factorType, mfa.Policy{}, 0)
			r, f := g.Rig, g.F
			others := []enrolled{g.Phone("user_bob", "+12125551234"), g.TOTP("user_eve")}
			pay := func(p *mfa.ChallengeParams) { p.Action = proof.ActionOf("pay", "EUR 5.00") }
			first, err := r.AskWith("key", f, pay)
			if err != nil {
				t.Fatal(err)
			}
			r.Clock.Advance(time.Hour)
			sends, saves := r.SMS.Sends(), len(r.Store.Calls("Save"))
			for name, change := range map[string]func(*mfa.ChallengeParams){
				"template": func(p *mfa.ChallengeParams) { p.SMSTemplate = "It is {{code}}." },
				"user":     func(p *mfa.ChallengeParams) { p.UserID = mfa.AnyUser },
				"confirm":  func(p *mfa.ChallengeParams) { p.Confirm = true },
				"another action": func(p *mfa.ChallengeParams) {
					p.Action = proof.ActionOf("pay", "EUR 500.00")
				},
				"no action": func(p *mfa.ChallengeParams) { p.Action = proof.Action{} },
			} {
				_, err := r.AskWith("key", f, pay, change)
				if e := refusal(
					t,
					err,
				); !errors.Is(err, mfa.ErrIdempotencyKey) || e.Code != "idempotency_key_reused" ||
					e.ID != f.ID {
					t.Errorf("%s: %v", name, err)
				}
			}
			if again, err := r.AskWith("key", f, pay); err != nil || again.ID != first.ID {
				t.Errorf("the same again: %+v, %v", again, err)
			}
			if r.SMS.Sends() != sends || len(r.Store.Calls("Save")) != saves {
				t.Error("something was sent or written")
			}
			for _, other := range others {
				if _, err := r.AskWith("key", other); err != nil {
					t.Errorf("another factor, %s: %v", other.Type, err)
				}
			}
			_, err = r.AskWith(strings.Repeat("k", 256), f)
			mustBe(t, err, mfa.ErrInvalidParameter)
		})
	}
}

// TestKeyedChallengeLeavesTheFactor: of a factor that sends no message, a challenge with a
// key is remembered without a write of the factor, which a login would lose a race to; and
// the same call again reads once.
func TestKeyedChallengeLeavesTheFactor(t *testing.T) {
	for _, factorType := range []mfa.FactorType{
		mfa.TypeTOTP, mfa.TypeGenericOTP, mfa.TypeRecoveryCodes,
	} {
		g := newGuesser(t, factorType, mfa.Policy{}, 0)
		before := g.Record("factor").Version
		first, err := g.AskWith("key", g.F)
		if err != nil {
			t.Fatal(err)
		}
		if after := g.Record("factor").Version; after != before {
			t.Errorf("%s: the factor was written: version %d, then %d", factorType, before, after)
		}
		var again mfa.Challenge
		if calls := g.Calls(
			func() { again, err = g.AskWith("key", g.F) },
		); calls != "Load" || err != nil || again.ID != first.ID ||
			again.Code() != first.Code() {
			t.Errorf("%s: again it calls %q, with %+v, %v", factorType, calls, again, err)
		}
	}
}

// TestKeyAtMidnight: a call is known again in the night, and by a process whose clock is a
// little behind; and once the key is free, the new challenge is the one that is known.
func TestKeyAtMidnight(t *testing.T) {
	r := newRig(t)
	f := r.TOTP(ann)
	ask := func(at time.Time, key string) string {
		t.Helper()
		r.Clock.Set(at)
		ch, err := r.AskWith(key, f)
		if err != nil {
			t.Fatal(err)
		}
		return ch.ID
	}
	midnight := r.Clock.Now().Truncate(24 * time.Hour).Add(24 * time.Hour)
	for key, apart := range map[string][2]time.Duration{
		"a night":            {-time.Second, time.Second},
		"a clock behind":     {time.Second, -time.Second},
		"a day":              {0, 24 * time.Hour},
		"the end of one":     {-time.Millisecond, 24*time.Hour - time.Millisecond},
		"the same day":       {0, 24*time.Hour - time.Millisecond},
		"a moment in itself": {0, 0},
	} {
		if first, again := ask(
			midnight.Add(apart[0]),
			key,
		), ask(
			midnight.Add(apart[1]),
			key,
		); first != again {
			t.Errorf("%s: %s, then %s", key, first, again)
		}
	}
	noon := midnight.Add(12 * time.Hour)
	first := ask(noon, "daily")
	second := ask(noon.Add(24*time.Hour+time.Millisecond), "daily")
	if again := ask(noon.Add(47*time.Hour), "daily"); second == first || again != second {
		t.Errorf("%s, a day later %s, and again %s", first, second, again)
	}
}

// TestChallengeKeyIsFreeAgain: a message that could not be sent does not use up the key.
func TestChallengeKeyIsFreeAgain(t *testing.T) {
	r := newRig(t)
	f := r.Phone(ann, phone)
	r.SMS.Script = func(context.Context, int, mfa.Message) error { return errors.New("no network") }
	_, err := r.AskWith("key", f)
	mustBe(t, err, mfa.ErrMessageNotSent)
	_, err = r.AskWith("key", f) // the message counts all the same
	mustBe(t, err, mfa.ErrThrottled)
	r.SMS.Script = nil
	r.Clock.Advance(time.Hour)
	ch, err := r.AskWith("key", f, func(p *mfa.ChallengeParams) { p.SMSTemplate = "Now: {{code}}" })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Answer(ch, f, r.Right(f)); err != nil {
		t.Error(err)
	}
}

// TestLastFourKeys: an SMS factor remembers four challenges; of an app each is remembered.
func TestLastFourKeys(t *testing.T) {
	for _, four := range []bool{true, false} {
		r := newRig(t)
		f := r.Phone(ann, phone)
		if !four {
			f = r.TOTP(ann)
		}
		first := map[string]string{}
		for _, key := range []string{"a", "b", "c", "d", "e"} {
			r.Clock.Advance(time.Hour)
			ch, err := r.AskWith(key, f)
			if err != nil {
				t.Fatal(err)
			}
			first[key] = ch.ID
		}
		r.Clock.Advance(time.Hour)
		for _, key := range []string{"b", "c", "d", "e", "a"} {
			ch, err := r.AskWith(key, f)
			if err != nil {
				t.Fatal(err)
			}
			if same := ch.ID == first[key]; same != (key != "a" || !four) {
				t.Errorf("%s, key %s: the same challenge: %t", f.Type, key, same)
			}
		}
	}
}

// TestChallengeKeyAtOnce: of many calls at once with one key, one sends.
func TestChallengeKeyAtOnce(t *testing.T) {
	r := newRig(t)
	f := r.Phone(ann, phone)
	sends := r.SMS.Sends()
	ids := make([]string, 8)
	errs := all(len(ids), func(i int) error {
		ch, err := r.AskWith("key", f)
		ids[i] = ch.ID
		return err
	})
	for i, err := range errs {
		if err != nil || ids[i] != ids[0] {
			t.Errorf("call %d: %s, %v; want %s", i, ids[i], err, ids[0])
		}
	}
	if n := r.SMS.Sends() - sends; n != 1 {
		t.Errorf("%d messages were sent", n)
	}
}

// TestChallengeKeyBetweenReads: the same request, made between the two reads of another
// process, is not mistaken for a message of somebody else.
func TestChallengeKeyBetweenReads(t *testing.T) {
	r := newRig(t)
	f := r.Phone(ann, phone)
	p := mfa.ChallengeParams{FactorID: f.ID, UserID: ann, IdempotencyKey: "key"}
	loads := 0
	var first mfa.Challenge
	r.Store.Before = func(ctx context.Context, c mfatest.Call) error {
		if loads++; c.Method != "Load" || loads != 2 {
			return nil
		}
		var err error
		first, err = r.Another().Challenge(ctx, p)
		return err
	}
	again, err := r.Challenge(t.Context(), p)
	if err != nil || again != first {
		t.Errorf("%+v, %v; want %+v", again, err, first)
	}
}

// TestThrottledWithAKey: a key changes nothing about what a refusal says.
func TestThrottledWithAKey(t *testing.T) {
	r := newRig(t)
	f := r.Phone(ann, phone)
	r.Ask(f)
	r.Clock.Advance(time.Second)
	_, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: ann})
	mustBe(t, err, mfa.ErrThrottled)
	want := refusal(t, err).RetryAfter
	r.Took()
	_, err = r.AskWith("key", f)
	mustBe(t, err, mfa.ErrThrottled)
	if got := refusal(t, err).RetryAfter; got != want || len(r.Took()) != 1 {
		t.Errorf("a wait of %s, want %s and an event", got, want)
	}
}

// TestVerifyAgain: within a minute the same answer under the same key succeeds again;
// nothing else does, and nothing is counted.
func TestVerifyAgain(t *testing.T) {
	r := newRig(t)
	f := r.EnrollTOTP(ann)
	ch := r.Ask(f)
	code := r.Right(f)
	first, err := r.AnswerWith("key", ch, f, code)
	if err != nil || !first.FirstUse {
		t.Fatal(first, err)
	}
	r.Took()
	saves := len(r.Store.Calls("Save"))
	r.Clock.Advance(time.Minute)
	again, err := r.AnswerWith("key", ch, f, code)
	if err != nil || !again.Valid || !again.FirstUse || again.Challenge != first.Challenge ||
		again.Factor.ID != f.ID {
		t.Errorf("again: %+v, %v", again, err)
	}
	for name, c := range map[string]struct {
		key  string
		want error
	}{
		"another key":            {"kez", mfa.ErrChallengePreviouslyVerified},
		"no key":                 {"", mfa.ErrChallengePreviouslyVerified},
		"a key that is too long": {strings.Repeat("k", 256), mfa.ErrInvalidParameter},
	} {
		if v, err := r.AnswerWith(c.key, ch, f, code); v.Valid || !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if len(r.Store.Calls("Save")) != saves || len(r.Took()) > 0 {
		t.Error("something was written or told")
	}
	if _, err := r.AnswerWith("key", r.Ask(f), f, code); !errors.Is(err, mfa.ErrInvalidCode) {
		t.Errorf("the same key and code on another challenge: %v", err)
	}
	r.Clock.Advance(time.Millisecond)
	if _, err := r.AnswerWith(
		"key",
		ch,
		f,
		code,
	); !errors.Is(
		err,
		mfa.ErrChallengePreviouslyVerified,
	) {
		t.Errorf("after a minute: %v", err)
	}
}

// TestVerifyKeyIsNoOracle: under the key of a success, another code or spelling is
// refused, and ends what the key was good for: nobody can try codes under it.
func TestVerifyKeyIsNoOracle(t *testing.T) {
	for name, change := range map[string]func(code, wrong string) string{
		"another code":     func(_, wrong string) string { return wrong },
		"another spelling": func(code, _ string) string { return code + " " },
	} {
		r := newRig(t)
		f := r.TOTP(ann)
		ch := r.Ask(f)
		code, wrong := r.Right(f), r.Wrong(f)
		if _, err := r.AnswerWith("key", ch, f, code); err != nil {
			t.Fatal(err)
		}
		if v, err := r.AnswerWith(
			"key",
			ch,
			f,
			change(code, wrong),
		); v.Valid ||
			!errors.Is(err, mfa.ErrIdempotencyKey) {
			t.Errorf("%s: %v", name, err)
		}
		if v, err := r.AnswerWith(
			"key",
			ch,
			f,
			code,
		); v.Valid ||
			!errors.Is(err, mfa.ErrChallengePreviouslyVerified) {
			t.Errorf("the right code after %s: %v", name, err)
		}
	}
}

// TestWrongVerifyAgain: a wrong code counts each time, its key takes no other code, and
// it does not share in what another call achieves.
func TestWrongVerifyAgain(t *testing.T) {
	r := newRig(t)
	f := r.TOTP(ann)
	ch, wrong := r.Ask(f), r.Wrong(f)
	for left := range 2 {
		_, err := r.AnswerWith("key", ch, f, wrong)
		if e := refusal(t, err); !errors.Is(err, mfa.ErrInvalidCode) || e.AttemptsLeft != 4-left {
			t.Errorf("try %d: %v, %d left", left+1, err, e.AttemptsLeft)
		}
	}
	_, err := r.AnswerWith("key", ch, f, r.Right(f))
	mustBe(t, err, mfa.ErrIdempotencyKey)
	if _, err := r.Answer(ch, f, r.Right(f)); err != nil {
		t.Fatal(err)
	}
	if v, err := r.AnswerWith(
		"key",
		ch,
		f,
		wrong,
	); v.Valid ||
		!errors.Is(err, mfa.ErrChallengePreviouslyVerified) {
		t.Errorf("the wrong code's key after a success: %v", err)
	}
}

// TestVerifyKeyAtOnce: of many calls at once with one key and code all succeed, and with
// keys of their own one does.
func TestVerifyKeyAtOnce(t *testing.T) {
	r := newRig(t)
	f := r.TOTP(ann)
	ch, code := r.Ask(f), r.Right(f)
	errs := all(8, func(int) error { _, err := r.AnswerWith("key", ch, f, code); return err })
	if n := count(errs, nil); n != 8 {
		t.Errorf("%d of 8 were told: %v", n, errs)
	}
	r.Clock.Advance(time.Minute)
	ch, code = r.Ask(f), r.Right(f)
	errs = all(
		8,
		func(i int) error { _, err := r.AnswerWith(string(rune('a'+i)), ch, f, code); return err },
	)
	if n := count(errs, nil); n != 1 {
		t.Errorf("%d of 8 were accepted: %v", n, errs)
	}
}

// TestGenericOTP: the code is handed to the application, and is used up as any other.
func TestGenericOTP(t *testing.T) {
	r := newRig(t)
	enr, err := r.Enroll(t.Context(), mfa.EnrollParams{UserID: ann, GenericOTP: true})
	if err != nil || enr.TOTP != nil || enr.Factor.Type != mfa.TypeGenericOTP ||
		enr.Factor.Restricted() {
		t.Fatal(enr, err)
	}
	f := enrolled{Factor: enr.Factor}
	ch, err := r.AskWith("key", f)
	if err != nil {
		t.Fatal(err)
	}
	again, err := r.AskWith("key", f)
	if err != nil || again.Code() != ch.Code() || again.ID != ch.ID {
		t.Errorf("again: %v, the same code: %t", err, again.Code() == ch.Code())
	}
	if text := printed(ch); len(ch.Code()) != 6 || shows(text, ch.Code()) {
		t.Errorf("code %q is printed, or is no code", ch.Code())
	}
	if other := r.Ask(f); other.Code() == ch.Code() && r.Ask(f).Code() == ch.Code() {
		t.Error("three challenges have one code")
	}
	wrong := "000000"
	if ch.Code() == wrong {
		wrong = "000001"
	}
	_, err = r.Answer(ch, f, wrong)
	mustBe(t, err, mfa.ErrInvalidCode)
	v, err := r.Answer(ch, f, ch.Code())
	if err != nil || !v.FirstUse || v.Challenge.Code() != "" {
		t.Errorf("%+v, %v", v, err)
	}
	_, err = r.Answer(ch, f, ch.Code())
	mustBe(t, err, mfa.ErrChallengePreviouslyVerified)
	if again, err = r.AskWith("key", f); err != nil || again.Code() != "" {
		t.Errorf("a used code is told again: %q, %v", again.Code(), err)
	}
	if n := r.SMS.Sends(); n != 0 {
		t.Errorf("%d messages were sent", n)
	}
	if r.Ask(r.TOTP(ann)).Code() != "" || r.Ask(r.Phone(ann, phone)).Code() != "" {
		t.Error("the challenge of an app or a phone tells a code")
	}
}
