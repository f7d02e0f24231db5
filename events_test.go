package mfa_test

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/authfactor/mfa"
)

// TestEventKinds: each thing that can happen raises its events, in order, and each of
// them says which factor, user and challenge it is about, and in what state the
// factor is left.
func TestEventKinds(t *testing.T) {
	r := newRig(t)
	confirmed, phones := r.TOTP(ann), r.Phone(ann, phone)
	codes, list := r.Recovery(ann)
	enrolling := r.EnrollTOTP(ann)
	r.Clock.Advance(time.Hour)
	refused := r.Phone("user_bob", "+15005550007")

	for _, tt := range []struct {
		name   string
		factor enrolled
		do     func()
		want   []mfa.EventKind
		status mfa.FactorStatus
	}{
		{"a wrong code", confirmed,
			func() { _, _ = r.Answer(r.Ask(confirmed), confirmed, r.Wrong(confirmed)) },
			[]mfa.EventKind{"failed"}, mfa.StatusVerified},
		{"a used code", confirmed, func() {
			used := r.Right(confirmed)
			_, _ = r.Answer(r.Ask(confirmed), confirmed, used)
			r.Took()
			_, _ = r.Answer(r.Ask(confirmed), confirmed, used)
		}, []mfa.EventKind{"failed", "replayed"}, mfa.StatusVerified},
		{"a first use", enrolling, func() { r.LogIn(enrolling) },
			[]mfa.EventKind{"verified", "first_use"}, mfa.StatusVerified},
		{"a recovery code", codes, func() { _, _ = r.Answer(r.Ask(codes), codes, list[0]) },
			[]mfa.EventKind{"verified", "recovered"}, mfa.StatusVerified},
		{"a message", phones, func() { r.Ask(phones) },
			[]mfa.EventKind{"message_sent"}, mfa.StatusVerified},
		{"a message too soon", refused, func() {
			r.Ask(refused)
			r.Took()
			_, _ = r.Challenge(t.Context(), mfa.ChallengeParams{
				FactorID: refused.ID, UserID: refused.UserID,
			})
		}, []mfa.EventKind{"message_refused"}, mfa.StatusVerified},
		{"success after failures", enrolling, func() {
			r.Fail(enrolling, 5)
			r.Took()
			r.Clock.Advance(time.Hour)
			r.LogIn(enrolling)
		}, []mfa.EventKind{"verified", "success_after_failures"}, mfa.StatusVerified},
		{"disabled", confirmed, func() { r.Fail(confirmed, 28); r.Took(); r.Fail(confirmed, 1) },
			[]mfa.EventKind{"failed", "disabled"}, mfa.StatusDisabled},
		{"unlocked", confirmed,
			func() { _ = r.Unlock(t.Context(), mfa.FactorParams{FactorID: confirmed.ID, UserID: ann}) },
			[]mfa.EventKind{"unlocked"}, mfa.StatusVerified},
		{"unenrolled", confirmed,
			func() { _ = r.Unenroll(t.Context(), mfa.UnenrollParams{FactorID: confirmed.ID, UserID: ann}) },
			[]mfa.EventKind{"unenrolled"}, mfa.StatusVerified},
	} {
		r.Took()
		tt.do()
		events := r.Took()
		events = slices.DeleteFunc(events, func(e mfa.Event) bool { return e.Kind == mfa.EventThrottled })
		if !slices.Equal(kinds(events), tt.want) {
			t.Errorf("%s: events %v, want %v", tt.name, kinds(events), tt.want)
			continue
		}
		for _, e := range events {
			challenged := !slices.Contains(
				[]mfa.EventKind{"unlocked", "unenrolled", "message_refused"},
				e.Kind,
			)
			if e.FactorID != tt.factor.ID || e.FactorType != tt.factor.Type ||
				e.UserID != tt.factor.UserID ||
				e.FactorStatus != tt.status ||
				(e.ChallengeID != "") != challenged {
				t.Errorf("%s: %+v", tt.name, e)
			}
		}
	}
}

// TestMessageRefused: a wait for messages and one for wrong codes are told apart, by
// the longer one.
func TestMessageRefused(t *testing.T) {
	r := newRig(t)
	f := r.Phone(ann, phone)
	ch := r.Ask(f)
	r.Took()
	_, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: ann})
	if e := r.Took(); len(e) != 1 || e[0].Kind != mfa.EventMessageRefused ||
		e[0].RetryAfter != refusal(t, err).RetryAfter {
		t.Errorf("%+v", e)
	}
	for range 5 {
		_, _ = r.Answer(ch, f, r.Wrong(f))
	}
	r.Clock.Advance(50 * time.Second) // of 60 for messages; of 30 for wrong codes
	ch = r.AskPatiently(f)
	_, _ = r.Answer(ch, f, r.Wrong(f)) // the sixth: 60 seconds
	r.Clock.Advance(time.Hour)
	r.Took()
	ch = r.AskPatiently(f)
	for range 2 {
		_, _ = r.Answer(ch, f, r.Wrong(f))
		r.Clock.Advance(4 * time.Minute)
	}
	_, _ = r.Answer(ch, f, r.Wrong(f)) // the ninth: 8 minutes
	r.Took()
	_, err = r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: ann})
	if e := r.Took(); len(e) != 1 || e[0].Kind != mfa.EventThrottled ||
		e[0].RetryAfter != refusal(t, err).RetryAfter {
		t.Errorf("%+v", e)
	}
}

// TestNotify: the owner is told what they would want to know, and once.
func TestNotify(t *testing.T) {
	v, u := mfa.StatusVerified, mfa.StatusUnverified
	for _, tt := range []struct {
		event mfa.Event
		want  bool
	}{
		{mfa.Event{Kind: mfa.EventEnrolled, FactorStatus: u}, false},
		{mfa.Event{Kind: mfa.EventEnrolled, FactorStatus: v}, true},
		{mfa.Event{Kind: mfa.EventImported, FactorStatus: v}, false},
		{mfa.Event{Kind: mfa.EventFirstUse, FactorStatus: v}, true},
		{mfa.Event{Kind: mfa.EventVerified, FactorStatus: v}, false},
		{mfa.Event{Kind: mfa.EventVerified, FactorStatus: v, Failures: 5}, false},
		{mfa.Event{Kind: mfa.EventSuccessAfterFailures, FactorStatus: v, Failures: 5}, true},
		{mfa.Event{Kind: mfa.EventRecovered, FactorStatus: v}, true},
		{mfa.Event{Kind: mfa.EventUnenrolled, FactorStatus: u}, false},
		{mfa.Event{Kind: mfa.EventUnenrolled, FactorStatus: v}, true},
		{mfa.Event{Kind: mfa.EventUnenrolled, FactorStatus: mfa.StatusDisabled}, true},
		{mfa.Event{Kind: mfa.EventReplaced, FactorStatus: v}, false},
		{mfa.Event{Kind: mfa.EventUnlocked, FactorStatus: v}, true},
		{mfa.Event{Kind: mfa.EventFailed, Failures: 4}, false},
		{mfa.Event{Kind: mfa.EventFailed, Failures: 5}, true},
		{mfa.Event{Kind: mfa.EventFailed, Failures: 6}, false},
		{mfa.Event{Kind: mfa.EventFailed, Failures: 10}, true},
		{mfa.Event{Kind: mfa.EventFailed, Failures: 20}, true},
		{mfa.Event{Kind: mfa.EventReplayed, Failures: 5}, false},
		{mfa.Event{Kind: mfa.EventDisabled, Failures: 30}, true},
		{mfa.Event{Kind: mfa.EventThrottled}, false},
		{mfa.Event{Kind: mfa.EventMessageSent}, false},
		{mfa.Event{Kind: mfa.EventMessageFailed}, false},
		{mfa.Event{Kind: mfa.EventMessageUnknown}, false},
		{mfa.Event{Kind: mfa.EventMessageRefused}, false},
	} {
		if got := tt.event.Notify(); got != tt.want {
			t.Errorf("%+v: Notify is %v, want %v", tt.event, got, tt.want)
		}
	}
}

// TestSource: what the caller says of where a request came from is in its events, cut
// to what a log can hold.
func TestSource(t *testing.T) {
	r := newRig(t)
	f := r.TOTP(ann)
	r.Took()
	long := strings.Repeat("a", 254) + "äöü"
	for source, want := range map[string]string{
		"198.51.100.7": "198.51.100.7", "": "", long: strings.Repeat("a", 254), "a\xffb": "ab",
	} {
		ctx := mfa.WithSource(t.Context(), source)
		if _, err := r.Challenge(ctx, mfa.ChallengeParams{FactorID: f.ID, UserID: ann}); err != nil {
			t.Fatal(err)
		}
		_, _ = r.Verify(ctx, mfa.VerifyParams{ChallengeID: r.Ask(f).ID, UserID: ann, Code: r.Wrong(f)})
		if e := r.Took(); len(e) != 1 || e[0].Source != want {
			t.Errorf("source %q: %+v", source, e)
		}
	}
}

// TestLogEvents: the log has what is set, wrong codes as warnings, and no code.
func TestLogEvents(t *testing.T) {
	var log bytes.Buffer
	plain := &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}
	r := newRig(
		t,
		func(c *mfa.Config) { c.OnEvent = mfa.LogEvents(slog.New(slog.NewTextHandler(&log, plain))) },
	)
	f := r.TOTP(ann)
	ch := r.Ask(f)
	wrong, right := r.Wrong(f), r.Right(f)
	log.Reset()
	ctx := mfa.WithSource(t.Context(), "198.51.100.7")
	for range 5 {
		_, _ = r.Verify(ctx, mfa.VerifyParams{ChallengeID: ch.ID, UserID: ann, Code: wrong})
	}
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	want := "level=WARN msg=mfa kind=failed factor=" + f.ID + " type=totp status=verified user=" +
		ann + " challenge=" + ch.ID + " source=198.51.100.7 failures=5 retry_after=30s"
	if len(lines) != 5 || lines[4] != want {
		t.Errorf("log %q, want at last %q", lines, want)
	}
	log.Reset()
	r.Clock.Advance(30 * time.Second)
	r.LogIn(f)
	if out := log.String(); !strings.HasPrefix(out, "level=INFO msg=mfa kind=verified") ||
		!strings.Contains(out, "level=WARN msg=mfa kind=success_after_failures") ||
		strings.Contains(out, right) {
		t.Errorf("log %q", out)
	}
	before := slog.Default()
	t.Cleanup(func() { slog.SetDefault(before) })
	log.Reset()
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, plain)))
	mfa.LogEvents(nil)(t.Context(), mfa.Event{Kind: mfa.EventVerified})
	if log.Len() == 0 {
		t.Error("nil does not log to the default")
	}
}

// TestLogLevels: what somebody may have to look at is a warning.
func TestLogLevels(t *testing.T) {
	var log bytes.Buffer
	tell := mfa.LogEvents(slog.New(slog.NewTextHandler(&log, nil)))
	for level, kinds := range map[string][]mfa.EventKind{
		"WARN": {
			mfa.EventFailed, mfa.EventReplayed, mfa.EventCopied, mfa.EventDisabled,
			mfa.EventThrottled, mfa.EventMessageFailed, mfa.EventMessageUnknown,
			mfa.EventMessageRefused, mfa.EventSuccessAfterFailures, mfa.EventDeviceStolen,
		},
		"INFO": {mfa.EventEnrolled, mfa.EventVerified, mfa.EventMessageSent, mfa.EventDeviceUsed},
	} {
		for _, kind := range kinds {
			log.Reset()
			tell(t.Context(), mfa.Event{Kind: kind})
			if !strings.Contains(log.String(), " level="+level+" ") {
				t.Errorf("%s is logged as %q, want %s", kind, log.String(), level)
			}
		}
	}
}

// TestOnEventBlocks: while a handler blocks, the outcome stands and every other
// process sees it; a handler whose caller hung up changes nothing either.
func TestOnEventBlocks(t *testing.T) {
	blocked, release := make(chan struct{}), make(chan struct{})
	r := newRig(t)
	f := r.TOTP(ann)
	ch, code := r.Ask(f), r.Right(f)
	r.Config.OnEvent = func(context.Context, mfa.Event) {
		blocked <- struct{}{}
		<-release
	}
	slow := r.Another()
	ctx, hangUp := context.WithCancel(t.Context())
	told := make(chan error)
	go func() {
		_, err := slow.Verify(ctx, mfa.VerifyParams{ChallengeID: ch.ID, UserID: ann, Code: code})
		told <- err
	}()
	<-blocked
	hangUp()
	_, err := r.Answer(ch, f, code)
	mustBe(t, err, mfa.ErrChallengePreviouslyVerified)
	close(release)
	if err := <-told; err != nil {
		t.Errorf("the one who was right is told %v", err)
	}
}
