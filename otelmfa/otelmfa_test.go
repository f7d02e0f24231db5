package otelmfa_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/mfatest"
	"github.com/authfactor/mfa/otelmfa"
)

const phone = "+15005550006"

// A rig is an observed service, and what it exports.
type rig struct {
	*mfa.Service
	t      *testing.T
	clock  mfatest.Clock
	store  *mfatest.FaultyStore
	sms    *mfatest.Sender
	spans  *tracetest.InMemoryExporter
	tracer *sdktrace.TracerProvider
	reader *sdkmetric.ManualReader
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, store: &mfatest.FaultyStore{Store: new(mfa.MemoryStore)}, sms: new(mfatest.Sender), spans: tracetest.NewInMemoryExporter(), reader: sdkmetric.NewManualReader()}
	r.tracer = sdktrace.NewTracerProvider(sdktrace.WithSyncer(r.spans))
	telemetry, err := otelmfa.New(otelmfa.Config{TracerProvider: r.tracer, MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(r.reader))})
	if err != nil {
		t.Fatal(err)
	}
	r.Service, err = mfa.New(mfa.Config{
		Store: telemetry.Store(r.store), SMS: telemetry.SMS(r.sms), OnEvent: telemetry.OnEvent,
		Keys: mfatest.Keys(), Regions: []string{"US"}, Now: r.clock.Now, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// flow enrolls a phone, answers wrongly, asks again too soon, and answers rightly. It returns
// what must not be seen.
func (r *rig) flow() (secrets []string) {
	r.t.Helper()
	ctx, span := r.tracer.Tracer("application").Start(r.t.Context(), "login")
	defer span.End()
	ctx = mfa.WithSource(ctx, "198.51.100.7")
	enr, err := r.Enroll(ctx, mfa.EnrollParams{UserID: "user_42", SMS: &mfa.SMSParams{PhoneNumber: phone}})
	if err != nil {
		r.t.Fatal(err)
	}
	ch, err := r.Challenge(ctx, mfa.ChallengeParams{FactorID: enr.Factor.ID, UserID: "user_42"})
	if err != nil {
		r.t.Fatal(err)
	}
	code := r.sms.Code(phone)
	wrong := "000000"
	if code == wrong {
		wrong = "000001"
	}
	_, _ = r.Verify(ctx, mfa.VerifyParams{ChallengeID: ch.ID, UserID: "user_42", Code: wrong})
	_, _ = r.Challenge(ctx, mfa.ChallengeParams{FactorID: enr.Factor.ID, UserID: "user_42"})
	if _, err := r.Verify(ctx, mfa.VerifyParams{ChallengeID: ch.ID, UserID: "user_42", Code: code, TrustDevice: true, DeviceName: "Firefox"}); err != nil {
		r.t.Fatal(err)
	}
	if _, err := r.Factors(ctx, "user_42"); err != nil {
		r.t.Fatal(err)
	}
	if _, err := r.Purge(ctx); err != nil {
		r.t.Fatal(err)
	}
	return []string{code, wrong, phone, phone[1:], "5005550006", "198.51.100.7", "Your verification code"}
}

// counts are the data points of a metric, by their attributes.
func (r *rig) counts(name string) map[string]int {
	r.t.Helper()
	var all metricdata.ResourceMetrics
	if err := r.reader.Collect(r.t.Context(), &all); err != nil {
		r.t.Fatal(err)
	}
	counts := map[string]int{}
	key := func(set attribute.Set) string { return set.Encoded(attribute.DefaultEncoder()) }
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			if m.Name != name {
				continue
			}
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range data.DataPoints {
					counts[key(p.Attributes)] = int(p.Value)
				}
			case metricdata.Histogram[float64]:
				for _, p := range data.DataPoints {
					counts[key(p.Attributes)] = int(p.Count)
				}
			}
		}
	}
	return counts
}

// TestMetrics: every event is counted once, and every call of store and sender timed.
func TestMetrics(t *testing.T) {
	r := newRig(t)
	r.flow()
	for name, want := range map[string]map[string]int{
		"mfa.events": {
			"mfa.event=enrolled,mfa.factor.type=sms": 1, "mfa.event=message_sent,mfa.factor.type=sms": 1, "mfa.event=failed,mfa.factor.type=sms": 1,
			"mfa.event=verified,mfa.factor.type=sms": 1, "mfa.event=first_use,mfa.factor.type=sms": 1, "mfa.event=message_refused,mfa.factor.type=sms": 1,
			"mfa.event=device_trusted,mfa.factor.type=sms": 1,
		},
		"mfa.sms.duration": {"mfa.outcome=ok": 1},
	} {
		if got := r.counts(name); !maps.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	calls := map[string]int{}
	for _, method := range []string{"Load", "List", "Save", "Purge"} {
		calls["mfa.operation="+strings.ToLower(method)+",mfa.outcome=ok"] = len(r.store.Calls(method))
	}
	if got := r.counts("mfa.store.duration"); !maps.Equal(got, calls) {
		t.Errorf("mfa.store.duration: %v, want %v", got, calls)
	}
}

// TestSpans: store and sender are children of the application's span, which has the
// events.
func TestSpans(t *testing.T) {
	r := newRig(t)
	r.flow()
	spans := r.spans.GetSpans()
	login := spans[len(spans)-1]
	var events []string
	for _, e := range login.Events {
		events = append(events, e.Name)
	}
	want := []string{"mfa.enrolled", "mfa.message_sent", "mfa.failed", "mfa.message_refused", "mfa.verified", "mfa.first_use", "mfa.device_trusted"}
	if login.Name != "login" || !slices.Equal(events, want) {
		t.Errorf("%s has %v, want %v", login.Name, events, want)
	}
	names := map[string]int{}
	for _, s := range spans[:len(spans)-1] {
		names[s.Name]++
		if s.Parent.SpanID() != login.SpanContext.SpanID() || s.Status.Code == codes.Error {
			t.Errorf("%s: parent %s, status %v", s.Name, s.Parent.SpanID(), s.Status)
		}
	}
	for _, name := range []string{"mfa.store.load", "mfa.store.list", "mfa.store.save", "mfa.store.purge", "mfa.sms.send"} {
		if names[name] == 0 {
			t.Errorf("no span %s", name)
		}
	}
}

// TestNothingIsShown: no code, number, text, source or secret leaves by any name or value.
func TestNothingIsShown(t *testing.T) {
	r := newRig(t)
	secrets := r.flow()
	r.sms.Script = func(context.Context, int, mfa.Message) error { return errors.New("the provider refuses " + phone) }
	r.clock.Advance(time.Hour)
	r.again(mfa.ErrMessageNotSent)
	var texts []string
	for _, name := range []string{"mfa.events", "mfa.store.duration", "mfa.sms.duration"} {
		texts = slices.AppendSeq(texts, maps.Keys(r.counts(name)))
	}
	for _, s := range r.spans.GetSpans() {
		texts = append(texts, s.Name, s.Status.Description, fmt.Sprint(s.Attributes))
		for _, e := range s.Events {
			texts = append(texts, e.Name, fmt.Sprint(e.Attributes))
		}
	}
	out := strings.Join(texts, "\n")
	for _, secret := range secrets {
		if strings.Contains(out, secret) {
			t.Errorf("%q is exported", secret)
		}
	}
	if !strings.Contains(out, "error.type") {
		t.Error("the failure is not exported")
	}
}

// again challenges the flow's factor once more.
func (r *rig) again(want error) {
	r.t.Helper()
	factors, err := r.Factors(r.t.Context(), "user_42")
	if err != nil || len(factors) != 1 {
		r.t.Fatal(factors, err)
	}
	_, err = r.Challenge(r.t.Context(), mfa.ChallengeParams{FactorID: factors[0].ID, UserID: "user_42"})
	if !errors.Is(err, want) {
		r.t.Errorf("error %v, want %v", err, want)
	}
}

// TestOutcomes: a lost race is no error, a failure is one, and a panic passes through and
// is one too.
func TestOutcomes(t *testing.T) {
	r := newRig(t)
	r.flow()
	for _, tt := range []struct {
		err    error
		want   error
		metric string
	}{
		{mfa.ErrConflict, mfa.ErrThrottled, "mfa.operation=save,mfa.outcome=conflict"},
		{context.DeadlineExceeded, context.DeadlineExceeded, "mfa.operation=save,mfa.outcome=error"},
	} {
		r.clock.Advance(time.Hour)
		r.spans.Reset()
		r.store.Before = func(_ context.Context, c mfatest.Call) error {
			if c.Method == "Save" {
				return tt.err
			}
			return nil
		}
		r.again(tt.want)
		if r.counts("mfa.store.duration")[tt.metric] == 0 {
			t.Errorf("no %s: %v", tt.metric, r.counts("mfa.store.duration"))
		}
		for _, s := range r.spans.GetSpans() {
			if failed := s.Name == "mfa.store.save" && !errors.Is(tt.err, mfa.ErrConflict); (s.Status.Code == codes.Error) != failed || s.Status.Description != "" {
				t.Errorf("%v: span %s has status %v", tt.err, s.Name, s.Status)
			}
		}
	}
	r.store.Before = nil
	r.clock.Advance(time.Hour)
	r.sms.Script = func(context.Context, int, mfa.Message) error { panic("the provider") }
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic did not pass through")
			}
		}()
		r.again(nil)
	}()
	if got := r.counts("mfa.sms.duration")["mfa.outcome=error"]; got != 1 {
		t.Errorf("a panic is %v", r.counts("mfa.sms.duration"))
	}
}

// TestStore: what is observed is a store as it was.
func TestStore(t *testing.T) {
	mfatest.TestStore(t, func(t *testing.T) mfa.Store {
		t.Helper()
		telemetry, err := otelmfa.New(otelmfa.Config{})
		if err != nil {
			t.Fatal(err)
		}
		return telemetry.Store(new(mfa.MemoryStore))
	})
}

// TestNil: no store and no sender are none, so that New sees what is missing.
func TestNil(t *testing.T) {
	telemetry, err := otelmfa.New(otelmfa.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if telemetry.Store(nil) != nil || telemetry.SMS(nil) != nil {
		t.Error("nil is something")
	}
}

// TestNames: the docs name every metric, span and attribute that there is, and no other.
func TestNames(t *testing.T) {
	r := newRig(t)
	r.flow()
	r.clock.Advance(time.Hour)
	r.sms.Script = func(context.Context, int, mfa.Message) error { return errors.New("refused") }
	r.again(mfa.ErrMessageNotSent)
	used := map[string]bool{}
	var all metricdata.ResourceMetrics
	if err := r.reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	for _, m := range all.ScopeMetrics[0].Metrics {
		used[m.Name] = true
	}
	for _, name := range []string{"mfa.events", "mfa.store.duration", "mfa.sms.duration"} {
		for attrs := range r.counts(name) {
			for pair := range strings.SplitSeq(attrs, ",") {
				used[strings.Split(pair, "=")[0]] = true
			}
		}
	}
	for _, s := range r.spans.GetSpans() {
		used[s.Name] = true
		attrs := s.Attributes
		for _, e := range s.Events {
			attrs = append(attrs, e.Attributes...)
		}
		for _, a := range attrs {
			used[string(a.Key)] = true
		}
	}
	delete(used, "login")
	source, err := os.ReadFile("otelmfa.go")
	if err != nil {
		t.Fatal(err)
	}
	doc, _, _ := strings.Cut(string(source), "\npackage ")
	_, doc, _ = strings.Cut(doc, "# Metrics")
	doc = strings.NewReplacer("mfa.store.load, .list, .save, .purge", "mfa.store.load mfa.store.list mfa.store.save mfa.store.purge", "[mfa.Event.Kind]", "").Replace(doc)
	named := map[string]bool{}
	for _, name := range regexp.MustCompile(`\b(mfa|enduser|error)(\.[a-z_]+)+`).FindAllString(doc, -1) {
		named[name] = true
	}
	for name := range used {
		if !named[name] {
			t.Errorf("%s is not in the docs", name)
		}
	}
	for name := range named {
		if !used[name] {
			t.Errorf("%s is in the docs, and was not seen", name)
		}
	}
}

// Beside what the application does with events itself.
func Example() {
	telemetry, err := otelmfa.New(otelmfa.Config{}) // the global providers
	if err != nil {
		log.Fatal(err)
	}
	mail := func(mfa.Event) {}
	svc, err := mfa.New(mfa.Config{
		Store: telemetry.Store(new(mfa.MemoryStore)), // yours
		Keys:  mfatest.Keys(),
		OnEvent: func(ctx context.Context, e mfa.Event) {
			telemetry.OnEvent(ctx, e)
			if e.Notify() {
				mail(e)
			}
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx, span := otel.Tracer("application").Start(context.Background(), "enroll")
	defer span.End()
	enr, err := svc.Enroll(ctx, mfa.EnrollParams{UserID: "user_42", TOTP: &mfa.TOTPParams{Issuer: "Foo Corp", User: "alan"}})
	fmt.Println(enr.Factor.Type, err)
	// Output: totp <nil>
}
