package mfatest_test

import (
	"context"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/mfatest"
)

var midnight = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func TestClock(t *testing.T) {
	var clock mfatest.Clock
	shows := func(want time.Time) {
		t.Helper()
		if got := clock.Now(); got != want {
			t.Errorf("the clock shows %s, want %s", got, want)
		}
	}
	shows(midnight)
	shows(midnight) // it stands still
	clock.Advance(90 * time.Second)
	shows(midnight.Add(90 * time.Second))
	clock.Advance(-2 * time.Minute)
	shows(midnight.Add(-30 * time.Second))
	clock.Set(time.Unix(59, 0))
	shows(time.Unix(59, 0))
	clock.Advance(time.Second)
	shows(time.Unix(60, 0))
	clock.Set(time.Time{})
	shows(time.Time{})

	var other mfatest.Clock
	other.Set(time.Unix(59, 0))
	if got := other.Now(); got != time.Unix(59, 0) {
		t.Errorf("a new clock that was set shows %s", got)
	}
}

func TestClockConcurrently(t *testing.T) {
	var clock mfatest.Clock
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			clock.Advance(time.Second)
			clock.Now()
		})
	}
	wg.Wait()
	if got, want := clock.Now(), midnight.Add(100*time.Second); got != want {
		t.Errorf("100 times a second: %s, want %s", got, want)
	}
}

// TestCodeVectors: RFC 6238 appendix B, the last six of its eight digits.
func TestCodeVectors(t *testing.T) {
	secret := unpadded("12345678901234567890")
	for at, want := range map[int64]string{
		59:          "287082",
		1111111109:  "081804",
		1111111111:  "050471",
		1234567890:  "005924",
		2000000000:  "279037",
		20000000000: "353130",
	} {
		if got := mfatest.Code(secret, time.Unix(at, 0)); got != want {
			t.Errorf("at %d the app shows %s, want %s", at, got, want)
		}
		uri := "otpauth://totp/Foo%20Corp:alan?secret=" + secret + "&issuer=Foo%20Corp"
		if got := mfatest.Code(uri, time.Unix(at, 0)); got != want {
			t.Errorf("at %d the app that scanned the URI shows %s, want %s", at, got, want)
		}
	}
}

// TestCodeStep: a code is shown for 30 seconds, from the first to the last
// nanosecond (RFC 4226 appendix D has the codes of counters 0 and 1).
func TestCodeStep(t *testing.T) {
	secret := unpadded("12345678901234567890")
	for at, want := range map[time.Duration]string{
		0:                  "755224",
		30*time.Second - 1: "755224",
		30 * time.Second:   "287082",
		60*time.Second - 1: "287082",
	} {
		if got := mfatest.Code(secret, time.Unix(0, 0).Add(at)); got != want {
			t.Errorf("after %s the app shows %s, want %s", at, got, want)
		}
	}
}

// TestCodeAgreesWithService: the service takes what the app shows, whatever the
// length of the secret and the time.
func TestCodeAgreesWithService(t *testing.T) {
	clock := new(mfatest.Clock)
	svc := newService(t, mfa.Config{Now: clock.Now})
	for _, size := range []int{0, 16, 17, 20, 32, 64, 65, 128} { // 0: a new secret
		given := ""
		if size > 0 {
			given = unpadded(strings.Repeat("\x00\xff7A", 32)[:size])
		}
		enr, err := svc.Enroll(
			t.Context(),
			mfa.EnrollParams{
				NoOwner: true,
				TOTP:    &mfa.TOTPParams{Issuer: "Foo Corp", User: "alan", Secret: given},
			},
		)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{enr.TOTP.Secret(), enr.TOTP.URI()} {
			ch, err := svc.Challenge(t.Context(), mfa.ChallengeParams{FactorID: enr.Factor.ID})
			if err != nil {
				t.Fatal(err)
			}
			code := mfatest.Code(secret, clock.Now())
			if _, err := svc.Verify(
				t.Context(),
				mfa.VerifyParams{ChallengeID: ch.ID, Code: code},
			); err != nil {
				t.Errorf("a secret of %d bytes, at %s: %v", size, clock.Now(), err)
			}
			clock.Advance(1001 * time.Second)
		}
	}
}

func TestCodePanics(t *testing.T) {
	const good = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
	for name, tt := range map[string]struct {
		secret string
		at     time.Time
		want   string
	}{
		"no secret":  {"", midnight, "mfatest: the secret is not base32"},
		"lower case": {strings.ToLower(good), midnight, "mfatest: the secret is not base32"},
		"not base32": {good[:31] + "1", midnight, "mfatest: the secret is not base32"},
		"URI without one": {"otpauth://totp/alan?issuer=Foo", midnight,
			"mfatest: the secret is not base32"},
		"URI of type hotp": {"otpauth://hotp/alan?secret=" + good, midnight,
			"mfatest: the otpauth URI is malformed or not of type totp"},
		"malformed URI": {"otpauth://totp/%zz?secret=" + good, midnight,
			"mfatest: the otpauth URI is malformed or not of type totp"},
		"just before 1970":  {good, time.Unix(0, -1), "mfatest: there are no codes before 1970"},
		"the zero time":     {good, time.Time{}, "mfatest: there are no codes before 1970"},
		"neither is proper": {"?", time.Time{}, "mfatest: the secret is not base32"},
	} {
		if got := recovered(func() { mfatest.Code(tt.secret, tt.at) }); got != tt.want {
			t.Errorf("%s: panic %v, want %q", name, got, tt.want)
		}
	}
}

var (
	toAnn = mfa.Message{ID: "1", To: "+15005550006", Body: "Your FooCorp code is 111111."}
	toBob = mfa.Message{ID: "2", To: "+15005550007", Body: "Your FooCorp code is 222222."}
	again = mfa.Message{ID: "3", To: "+15005550006", Body: "Your FooCorp code is 333333."}
)

func TestSenderKeepsMessages(t *testing.T) {
	sms := new(mfatest.Sender)
	for _, m := range []mfa.Message{toAnn, toBob, again} {
		if err := sms.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	wantDelivered(t, sms, toAnn, toBob, again)
	if n := sms.Sends(); n != 3 {
		t.Errorf("%d sends, want 3", n)
	}
	for number, want := range map[string]string{
		toAnn.To: "333333", toBob.To: "222222", "+15005550008": "",
	} {
		if got := sms.Code(number); got != want {
			t.Errorf("the last code sent to %s is %q, want %q", number, got, want)
		}
	}
}

// TestSenderCode: a code is six digits in a row, whatever stands around them.
func TestSenderCode(t *testing.T) {
	sms := new(mfatest.Sender)
	for _, tt := range []struct{ body, want string }{
		{"123456", "123456"},
		{"G-123456 is your code", "123456"},
		{"code:123456.", "123456"},
		{"FC123456é", "123456"},
		{"Call 1234567 or type 654321 within 10 minutes", "654321"},
		{"12345", ""},
		{"", ""}, // and not the code of the message before
	} {
		if err := sms.Send(t.Context(), mfa.Message{To: toAnn.To, Body: tt.body}); err != nil {
			t.Fatal(err)
		}
		if got := sms.Code(toAnn.To); got != tt.want {
			t.Errorf("the code in %q is %q, want %q", tt.body, got, tt.want)
		}
	}
}

func TestSenderScript(t *testing.T) {
	down := errors.New("provider: down")
	var numbers []int
	var got []mfa.Message
	sms := &mfatest.Sender{Script: func(_ context.Context, n int, m mfa.Message) error {
		numbers, got = append(numbers, n), append(got, m)
		switch n {
		case 1:
			return down
		case 2:
			return mfatest.Delivered(down)
		case 3:
			return fmt.Errorf("no answer: %w", mfatest.Delivered(down))
		case 4:
			panic("provider")
		}
		return nil
	}}
	send := func(m mfa.Message) error { return sms.Send(t.Context(), m) }

	if err := send(toAnn); err != down {
		t.Errorf("a failed send: error %v, want the script's", err)
	}
	wantDelivered(t, sms)
	if err := send(toBob); err != down {
		t.Errorf("a lost answer: error %v, want the one given to Delivered", err)
	}
	wantDelivered(t, sms, toBob)
	if err := send(toAnn); err != down {
		t.Errorf("a wrapped Delivered: error %v, want the one given to Delivered", err)
	}
	wantDelivered(t, sms, toBob, toAnn)
	if got := recovered(func() { _ = send(again) }); got != "provider" {
		t.Errorf("panic %v, want the script's", got)
	}
	wantDelivered(t, sms, toBob, toAnn)
	if err := send(again); err != nil {
		t.Error(err)
	}
	wantDelivered(t, sms, toBob, toAnn, again)
	if want := []int{1, 2, 3, 4, 5}; !slices.Equal(numbers, want) || sms.Sends() != 5 {
		t.Errorf("the script saw calls %v of %d, want %v of 5", numbers, sms.Sends(), want)
	}
	if want := []mfa.Message{toAnn, toBob, toAnn, again, again}; !slices.Equal(got, want) {
		t.Errorf("the script saw %v, want %v", got, want)
	}
}

// TestSenderContext: without a script Send honours its context; a script may wait
// for it, and deliver the message even so.
func TestSenderContext(t *testing.T) {
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	sms := new(mfatest.Sender)
	if err := sms.Send(cancelled, toAnn); err != context.Canceled || sms.Sends() != 1 {
		t.Errorf("%d sends, error %v, want 1 and the context's", sms.Sends(), err)
	}
	wantDelivered(t, sms)

	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		delivered := false
		sms := &mfatest.Sender{Script: func(ctx context.Context, _ int, _ mfa.Message) error {
			<-ctx.Done()
			if delivered {
				return mfatest.Delivered(ctx.Err())
			}
			return ctx.Err()
		}}
		if err := sms.Send(ctx, toAnn); err != context.DeadlineExceeded {
			t.Errorf("error %v, want the context's", err)
		}
		wantDelivered(t, sms)
		delivered = true
		if err := sms.Send(ctx, toAnn); err != context.DeadlineExceeded {
			t.Errorf("error %v, want the context's", err)
		}
		wantDelivered(t, sms, toAnn)
	})
}

func TestSenderConcurrently(t *testing.T) {
	var mu sync.Mutex
	var numbers []int
	sms := &mfatest.Sender{Script: func(_ context.Context, n int, _ mfa.Message) error {
		mu.Lock()
		defer mu.Unlock()
		numbers = append(numbers, n)
		return nil
	}}
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			_ = sms.Send(t.Context(), toAnn)
			_, _, _ = sms.Sends(), sms.Code(toAnn.To), fmt.Sprint(sms)
		})
	}
	wg.Wait()
	slices.Sort(numbers)
	if len(slices.Compact(numbers)) != 100 || numbers[0] != 1 || numbers[99] != 100 ||
		len(sms.Messages()) != 100 {
		t.Errorf("the calls were numbered %v, %d delivered", numbers, len(sms.Messages()))
	}
}

// TestSenderDoesNotPrint: no verb shows a message, however the sender is nested.
func TestSenderDoesNotPrint(t *testing.T) {
	sms := &mfatest.Sender{Script: func(_ context.Context, n int, _ mfa.Message) error {
		if n == 2 {
			return errors.New("provider: down")
		}
		return nil
	}}
	_ = sms.Send(t.Context(), toAnn)
	_ = sms.Send(t.Context(), toBob)
	type app struct {
		Exported *mfatest.Sender
		pointer  *mfatest.Sender
		any      any
	}
	type inside struct{ sender mfatest.Sender }
	var nested inside
	_ = nested.sender.Send(t.Context(), toAnn)
	things := map[string]any{
		"a sender":            sms,
		"pointers":            app{sms, sms, sms},
		"a config":            mfa.Config{SMS: sms},
		"a value in a struct": &nested,
		"a slice":             []*mfatest.Sender{sms},
		"a map":               map[string]any{"sms": sms},
	}
	for name, thing := range things {
		for _, flags := range []string{"", "+", "#", "# ", "+#", "080.40"} {
			for _, verb := range "vsdxXqTtbcoOUeEfFgGp" {
				format := "%" + flags + string(verb)
				printed := fmt.Sprintf(format, thing)
				for _, secret := range []string{toAnn.Body, toAnn.To, toBob.Body, toBob.To} {
					for _, shown := range []string{
						secret, hex.EncodeToString([]byte(secret)), fmt.Sprintf("% x", secret),
						strings.Trim(fmt.Sprint([]byte(secret)), "[]"),
					} {
						if strings.Contains(strings.ToLower(printed), strings.ToLower(shown)) {
							t.Errorf("%s under %s shows %q: %s", name, format, secret, printed)
						}
					}
				}
				if name == "a sender" && verb != 'T' && verb != 'p' &&
					printed != "mfatest.Sender(sends: 2, delivered: 1)" {
					t.Errorf("under %s it prints %s", format, printed)
				}
			}
		}
	}
}

// TestSenderFromService: the sender beside the service, as an application has it.
func TestSenderFromService(t *testing.T) {
	sms := new(mfatest.Sender)
	clock := new(mfatest.Clock)
	svc := newService(t, mfa.Config{SMS: sms, Regions: []string{"US"}, Now: clock.Now})
	enr, err := svc.Enroll(
		t.Context(),
		mfa.EnrollParams{NoOwner: true, SMS: &mfa.SMSParams{PhoneNumber: "+1 500 555 0006"}},
	)
	if err != nil {
		t.Fatal(err)
	}
	lost := errors.New("provider: lost answer")
	sms.Script = func(_ context.Context, n int, _ mfa.Message) error {
		if n == 1 {
			return mfatest.Delivered(lost)
		}
		return nil
	}
	if _, err = svc.Challenge(
		t.Context(),
		mfa.ChallengeParams{FactorID: enr.Factor.ID},
	); !errors.Is(
		err,
		lost,
	) {
		t.Errorf("error %v, want the sender's", err)
	}
	if sms.Code(enr.Factor.PhoneNumber()) == "" {
		t.Error("the message was not delivered")
	}
	clock.Advance(time.Minute)
	ch, err := svc.Challenge(t.Context(), mfa.ChallengeParams{FactorID: enr.Factor.ID})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := svc.Verify(
		t.Context(),
		mfa.VerifyParams{ChallengeID: ch.ID, Code: sms.Code(enr.Factor.PhoneNumber())},
	); err != nil {
		t.Error(err)
	}
}

var errLost = errors.New("connection lost")

// Two records to save, of which row expires first.
var (
	row = mfa.Change{
		Record: mfa.Record{
			ID:        "r",
			Kind:      "factor",
			CreatedAt: midnight,
			UpdatedAt: midnight,
			ExpiresAt: midnight,
		},
	}
	later = mfa.Change{
		Record: mfa.Record{
			ID:        "s",
			Kind:      "factor",
			CreatedAt: midnight,
			UpdatedAt: midnight,
			ExpiresAt: midnight.Add(time.Hour),
		},
	}
)

// each calls every method of a store once, in this order, so that each has
// something to give.
var each = []struct {
	method string
	call   func(ctx context.Context, s mfa.Store) (result any, err error)
}{
	{
		"Save",
		func(ctx context.Context, s mfa.Store) (any, error) { return nil, s.Save(ctx, row, later) },
	},
	{"Load", func(ctx context.Context, s mfa.Store) (any, error) { return s.Load(ctx, "r", "s") }},
	{"List", func(ctx context.Context, s mfa.Store) (any, error) {
		return s.List(ctx, mfa.Query{Kind: "factor", Limit: 1})
	}},
	{
		"Purge",
		func(ctx context.Context, s mfa.Store) (any, error) {
			return s.Purge(ctx, midnight.Add(time.Minute))
		},
	},
}

// TestFaultyStorePasses: without hooks it is the store that it stands before.
func TestFaultyStorePasses(t *testing.T) {
	store, plain := &mfatest.FaultyStore{Store: new(mfa.MemoryStore)}, new(mfa.MemoryStore)
	for _, m := range each {
		got, err := m.call(t.Context(), store)
		want, wantErr := m.call(t.Context(), plain)
		if !reflect.DeepEqual(got, want) || err != nil || wantErr != nil {
			t.Errorf("%s: %v, %v; want %v, %v", m.method, got, err, want, wantErr)
		}
	}
	// Errors of the store come through as they are, and After is not called.
	store.After = func(_ context.Context, c mfatest.Call) error {
		t.Errorf("After was called for %+v, which failed", c)
		return errLost
	}
	gone := row
	gone.Record.Version = 7
	if err := store.Save(t.Context(), gone); !errors.Is(err, mfa.ErrConflict) {
		t.Errorf("error %v, want the store's conflict", err)
	}
}

// TestFaultyStoreBefore: the call is not carried out, and the error comes back.
func TestFaultyStoreBefore(t *testing.T) {
	for i, m := range each {
		inner := new(mfa.MemoryStore)
		store := &mfatest.FaultyStore{
			Store:  inner,
			Before: mfatest.Nth(i+1, errLost),
			After: func(_ context.Context, c mfatest.Call) error {
				if c.N == i+1 {
					t.Errorf("After was called for %+v, which was not carried out", c)
				}
				return nil
			},
		}
		for _, before := range each[:i] {
			if _, err := before.call(t.Context(), store); err != nil {
				t.Fatalf("%s: %v", before.method, err)
			}
		}
		held := records(t, inner)
		if result, err := m.call(t.Context(), store); err != errLost || !empty(result) {
			t.Errorf("%s: %v, %v; want nothing and the hook's error", m.method, result, err)
		}
		if now := records(t, inner); len(now) != len(held) {
			t.Errorf("%s was carried out: %d records, want %d", m.method, len(now), len(held))
		}
		if result, err := m.call(t.Context(), store); err != nil || result != nil && empty(result) {
			t.Errorf("%s once more: %v, %v; want its result", m.method, result, err)
		}
	}
}

// TestFaultyStoreAfter: the call is carried out, and the error comes back instead
// of its result.
func TestFaultyStoreAfter(t *testing.T) {
	inner := new(mfa.MemoryStore)
	store := &mfatest.FaultyStore{
		Store: inner,
		After: func(context.Context, mfatest.Call) error { return errLost },
	}
	for _, m := range each {
		if result, err := m.call(t.Context(), store); err != errLost || !empty(result) {
			t.Errorf("%s: %v, %v; want nothing and the hook's error", m.method, result, err)
		}
		want := 2
		if m.method == "Purge" {
			want = 1
		}
		if n := len(records(t, inner)); n != want {
			t.Errorf("after %s there are %d records, want %d", m.method, n, want)
		}
	}
}

func TestFaultyStoreCalls(t *testing.T) {
	store := &mfatest.FaultyStore{Store: new(mfa.MemoryStore)}
	var before, after []mfatest.Call
	store.Before = func(_ context.Context, c mfatest.Call) error {
		before = append(before, c)
		if c.N == 2 {
			return errLost
		}
		return nil
	}
	store.After = func(_ context.Context, c mfatest.Call) error {
		after = append(after, c)
		return nil
	}
	for _, m := range each {
		_, _ = m.call(t.Context(), store)
	}
	_, _ = store.Load(t.Context(), "r")
	all := []mfatest.Call{{1, "Save"}, {2, "Load"}, {3, "List"}, {4, "Purge"}, {5, "Load"}}
	if got := store.Calls(); !slices.Equal(got, all) || !slices.Equal(before, all) {
		t.Errorf("calls %v, before %v, want %v", got, before, all)
	}
	if want := slices.Concat(all[:1], all[2:]); !slices.Equal(after, want) {
		t.Errorf("after %v, want %v", after, want)
	}
	if got, want := store.Calls(
		"Load",
	), []mfatest.Call{
		{2, "Load"},
		{5, "Load"},
	}; !slices.Equal(
		got,
		want,
	) {
		t.Errorf("calls of Load %v, want %v", got, want)
	}
	if got := store.Calls(
		"Save",
		"Purge",
	); !slices.Equal(
		got,
		[]mfatest.Call{{1, "Save"}, {4, "Purge"}},
	) {
		t.Errorf("calls of Save and Purge %v", got)
	}
	store.Calls()[0].Method = "changed"
	if got := store.Calls(); !slices.Equal(got, all) {
		t.Errorf("the caller's copy changed the store's: %v", got)
	}
}

// TestFaultyStoreHooks: a hook may cancel the call's context, panic, wait for other
// calls, and call the store.
func TestFaultyStoreHooks(t *testing.T) {
	store := &mfatest.FaultyStore{Store: new(mfa.MemoryStore)}

	ctx, cancel := context.WithCancel(t.Context())
	store.Before = func(context.Context, mfatest.Call) error { cancel(); return nil }
	if err := store.Save(ctx, row); err != context.Canceled {
		t.Errorf("cancelled before: error %v, want the context's", err)
	}

	ctx = context.WithValue(t.Context(), errLost, "the call's")
	same := func(ctx context.Context, c mfatest.Call) error {
		if ctx.Value(errLost) != "the call's" {
			t.Errorf("a hook of %+v has another context than the call", c)
		}
		return nil
	}
	store.Before, store.After = same, same
	if _, err := store.Load(ctx, "r"); err != nil {
		t.Error(err)
	}
	store.After = nil

	store.Before = func(context.Context, mfatest.Call) error { panic("disk") }
	if got := recovered(func() { _ = store.Save(t.Context(), row) }); got != "disk" {
		t.Errorf("panic %v, want the hook's", got)
	}

	waiting, goOn := make(chan struct{}), make(chan struct{})
	store.Before = func(_ context.Context, c mfatest.Call) error {
		if c.Method == "Save" {
			close(waiting)
			<-goOn
			_, err := store.Load(t.Context(), "r")
			return err
		}
		return nil
	}
	done := make(chan error)
	go func() { done <- store.Save(t.Context(), row) }()
	<-waiting
	if _, err := store.Load(t.Context(), "r"); err != nil {
		t.Errorf("a call beside one that waits: %v", err)
	}
	close(goOn)
	if err := <-done; err != nil {
		t.Errorf("the call that waited: %v", err)
	}
	if n := len(store.Calls()); n != 6 {
		t.Errorf("%d calls, want 6", n)
	}
}

func TestFaultyStoreConcurrently(t *testing.T) {
	store := &mfatest.FaultyStore{Store: new(mfa.MemoryStore), Before: mfatest.Nth(50, errLost)}
	errs := make([]error, 100)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			_, errs[i] = store.Load(t.Context(), "r")
			store.Calls("Load")
		})
	}
	wg.Wait()
	failed := slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	if len(failed) != 1 || failed[0] != errLost {
		t.Errorf("failed %v, want one call", failed)
	}
	for i, c := range store.Calls() {
		if c != (mfatest.Call{N: i + 1, Method: "Load"}) {
			t.Fatalf("call %d is %+v", i+1, c)
		}
	}
}

// TestKeys: what one service sealed under them, another opens.
func TestKeys(t *testing.T) {
	store := new(mfa.MemoryStore)
	enr, err := newService(t, mfa.Config{Store: store, Keys: mfatest.Keys()}).
		Enroll(
			t.Context(),
			mfa.EnrollParams{NoOwner: true, TOTP: &mfa.TOTPParams{Issuer: "Foo Corp", User: "alan"}},
		)
	if err != nil {
		t.Fatal(err)
	}
	other := newService(t, mfa.Config{Store: store, Keys: mfatest.Keys()})
	if _, err := other.Factor(t.Context(), mfa.FactorParams{FactorID: enr.Factor.ID}); err != nil {
		t.Error(err)
	}
}

// TestLogin is the test in the package documentation, about the App below.
func TestLogin(t *testing.T) {
	ctx := t.Context()
	clock := new(mfatest.Clock)
	svc, err := mfa.New(mfa.Config{Store: new(mfa.MemoryStore), Now: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	app := &App{MFA: svc}

	// Alan has an authenticator app, confirmed with a first code.
	enr, err := svc.Enroll(ctx, mfa.EnrollParams{
		UserID: "alan",
		TOTP: &mfa.TOTPParams{
			Issuer: "Foo Corp",
			User:   "alan",
			Secret: "MEQHGZLDOJSXIIDGN5ZCA5DFON2GS3TH",
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ch, err := svc.Challenge(ctx, mfa.ChallengeParams{FactorID: enr.Factor.ID, UserID: "alan"})
	if err != nil {
		t.Fatal(err)
	}
	first := mfatest.Code(enr.TOTP.Secret(), clock.Now())
	if _, err := svc.Verify(
		ctx,
		mfa.VerifyParams{ChallengeID: ch.ID, UserID: "alan", Code: first},
	); err != nil {
		t.Fatal(err)
	}

	// He logs in: the password alone is not enough, nor is the code that he used.
	login, err := app.Password(ctx, "alan", "open sesame")
	if err != nil {
		t.Fatal(err)
	}
	if login.Done() {
		t.Error("the password alone logged in")
	}
	if err := app.SecondFactor(
		ctx,
		login,
		first,
	); !errors.Is(err, mfa.ErrInvalidCode) ||
		login.Done() {
		t.Errorf("a used code: error %v", err)
	}
	clock.Advance(30 * time.Second) // the app shows the next code
	if err := app.SecondFactor(
		ctx,
		login,
		mfatest.Code(enr.TOTP.Secret(), clock.Now()),
	); err != nil ||
		!login.Done() {
		t.Errorf("the right code: error %v", err)
	}
}

// An App is an application with the smallest login that asks for a second factor.
type App struct{ MFA *mfa.Service }

type Login struct {
	user, challenge string
	done            bool
}

func (l *Login) Done() bool { return l.done }

func (a *App) Password(ctx context.Context, user, password string) (*Login, error) {
	if password != "open sesame" {
		return nil, errors.New("wrong password")
	}
	factors, err := a.MFA.Factors(ctx, user)
	if err != nil {
		return nil, err
	}
	for _, f := range factors {
		if f.Status == mfa.StatusUnverified {
			continue
		}
		ch, err := a.MFA.Challenge(ctx, mfa.ChallengeParams{FactorID: f.ID, UserID: user})
		return &Login{user: user, challenge: ch.ID}, err
	}
	return &Login{user: user, done: true}, nil
}

func (a *App) SecondFactor(ctx context.Context, l *Login, code string) error {
	_, err := a.MFA.Verify(ctx, mfa.VerifyParams{ChallengeID: l.challenge, UserID: l.user, Code: code})
	l.done = err == nil
	return err
}

func newService(t *testing.T, cfg mfa.Config) *mfa.Service {
	t.Helper()
	if cfg.Store == nil {
		cfg.Store = new(mfa.MemoryStore)
	}
	svc, err := mfa.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return svc
}

func unpadded(secret string) string {
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString([]byte(secret))
}

// recovered is what f panics with, nil if it does not.
func recovered(f func()) (p any) {
	defer func() { p = recover() }()
	f()
	return nil
}

func wantDelivered(t *testing.T, sms *mfatest.Sender, want ...mfa.Message) {
	t.Helper()
	if got := sms.Messages(); !slices.Equal(got, want) {
		t.Errorf("delivered %v, want %v", got, want)
	}
}

func records(t *testing.T, s mfa.Store) []mfa.Record {
	t.Helper()
	found, err := s.List(t.Context(), mfa.Query{Kind: "factor", Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// empty reports whether a result holds nothing: no records, or none purged.
func empty(result any) bool {
	switch r := result.(type) {
	case []mfa.Record:
		return len(r) == 0
	case int:
		return r == 0
	}
	return result == nil
}
