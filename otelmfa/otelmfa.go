// Package otelmfa shows what a [mfa.Service] does to OpenTelemetry: its events, and the
// time that its store and its sender take.
//
//	t, err := otelmfa.New(otelmfa.Config{})
//	svc, err := mfa.New(mfa.Config{
//		Store: t.Store(store), SMS: t.SMS(sender), OnEvent: t.OnEvent,
//		Keys: keys, Regions: []string{"US"},
//	})
//
// mfa.New knows a MemoryStore and an Outbox by their types, and does not behind this
// package: give it Keys and Regions with them too.
//
// # Metrics
//
//	mfa.events          counter, {event}   mfa.event, mfa.factor.type
//	mfa.store.duration  histogram, s       mfa.operation (load, list, save, purge), mfa.outcome (ok, conflict, error)
//	mfa.sms.duration    histogram, s       mfa.outcome (ok, error)
//
// mfa.event is [mfa.Event.Kind], such as "failed": alarms go by that. A conflict is a lost
// race, which the service repeats. No metric has an id, since each would be a series of
// its own.
//
// # Spans
//
//	mfa.store.load, .list, .save, .purge   mfa.records: how many were asked for or written, mfa.outcome, error.type
//	mfa.sms.send                           mfa.outcome, error.type
//
// They are internal spans, children of the span in the context of the call (and parents of those of
// a database driver or a provider's client that has its own), which also gets a span event
// for each event, "mfa." and its kind, with mfa.factor.id, mfa.factor.type, mfa.challenge.id,
// mfa.device.id, enduser.id, mfa.failures and mfa.retry_after (s), where they are set.
//
// error.type is the Go type of an error. Its text is left out: providers quote the number
// in it. Nothing here shows a secret, a code or a number, nor Event.Source.
package otelmfa

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/authfactor/mfa"
)

const scope = "github.com/authfactor/mfa/otelmfa"

// Config says where to. The zero value is ready for use.
type Config struct {
	// TracerProvider gets the spans. Defaults to otel.GetTracerProvider().
	TracerProvider trace.TracerProvider

	// MeterProvider gets the metrics. Defaults to otel.GetMeterProvider().
	MeterProvider metric.MeterProvider
}

// A Telemetry observes one service, or several.
type Telemetry struct {
	tracer trace.Tracer
	events metric.Int64Counter
	store  metric.Float64Histogram
	sms    metric.Float64Histogram
}

// New returns a Telemetry. Its error is one of the MeterProvider.
func New(cfg Config) (*Telemetry, error) {
	if cfg.TracerProvider == nil {
		cfg.TracerProvider = otel.GetTracerProvider()
	}
	if cfg.MeterProvider == nil {
		cfg.MeterProvider = otel.GetMeterProvider()
	}
	t := &Telemetry{tracer: cfg.TracerProvider.Tracer(scope)}
	meter := cfg.MeterProvider.Meter(scope)
	var errs [3]error
	t.events, errs[0] = meter.Int64Counter("mfa.events", metric.WithUnit("{event}"), metric.WithDescription("What happened to factors, by kind."))
	t.store, errs[1] = meter.Float64Histogram("mfa.store.duration", metric.WithUnit("s"), metric.WithDescription("How long a call of the store took."), buckets)
	t.sms, errs[2] = meter.Float64Histogram("mfa.sms.duration", metric.WithUnit("s"), metric.WithDescription("How long handing a message to the sender took."), buckets)
	if err := errors.Join(errs[:]...); err != nil {
		return nil, fmt.Errorf("otelmfa: %w", err)
	}
	return t, nil
}

// buckets are for milliseconds up to the deadline of a commit and of a provider.
var buckets = metric.WithExplicitBucketBoundaries(.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30)

// OnEvent is for [mfa.Config.OnEvent]: it counts the event and adds it to the span of the
// context.
func (t *Telemetry) OnEvent(ctx context.Context, e mfa.Event) {
	t.events.Add(ctx, 1, metric.WithAttributes(attribute.String("mfa.event", string(e.Kind)), attribute.String("mfa.factor.type", string(e.FactorType))))
	span := trace.SpanFromContext(ctx)
	if !span.IsRecording() {
		return
	}
	var attrs []attribute.KeyValue
	for _, a := range []attribute.KeyValue{
		attribute.String("mfa.factor.id", e.FactorID), attribute.String("mfa.factor.type", string(e.FactorType)),
		attribute.String("mfa.challenge.id", e.ChallengeID), attribute.String("mfa.device.id", e.DeviceID), attribute.String("enduser.id", e.UserID),
	} {
		if a.Value.AsString() != "" {
			attrs = append(attrs, a)
		}
	}
	if e.Failures > 0 {
		attrs = append(attrs, attribute.Int("mfa.failures", e.Failures))
	}
	if e.RetryAfter > 0 {
		attrs = append(attrs, attribute.Float64("mfa.retry_after", e.RetryAfter.Seconds()))
	}
	span.AddEvent("mfa."+string(e.Kind), trace.WithTimestamp(e.Time), trace.WithAttributes(attrs...))
}

// Store returns a store that is the given one, observed; nil stays nil.
func (t *Telemetry) Store(store mfa.Store) mfa.Store {
	if store == nil {
		return nil
	}
	return &observedStore{t, store}
}

type observedStore struct {
	t     *Telemetry
	store mfa.Store
}

// Load loads, observed.
func (s *observedStore) Load(ctx context.Context, ids ...string) (records []mfa.Record, err error) {
	ctx, done := s.begin(ctx, "load", len(ids))
	err = errPanicked
	defer func() { done(err) }()
	records, err = s.store.Load(ctx, ids...)
	return records, err
}

// List lists, observed.
func (s *observedStore) List(ctx context.Context, q mfa.Query) (records []mfa.Record, err error) {
	ctx, done := s.begin(ctx, "list", q.Limit)
	err = errPanicked
	defer func() { done(err) }()
	records, err = s.store.List(ctx, q)
	return records, err
}

// Save saves, observed.
func (s *observedStore) Save(ctx context.Context, changes ...mfa.Change) (err error) {
	ctx, done := s.begin(ctx, "save", len(changes))
	err = errPanicked
	defer func() { done(err) }()
	err = s.store.Save(ctx, changes...)
	return err
}

// Purge purges, observed.
func (s *observedStore) Purge(ctx context.Context, before time.Time) (n int, err error) {
	ctx, done := s.begin(ctx, "purge", 0)
	err = errPanicked
	defer func() { done(err) }()
	n, err = s.store.Purge(ctx, before)
	return n, err
}

func (s *observedStore) begin(ctx context.Context, operation string, records int) (context.Context, func(error)) {
	var attrs []attribute.KeyValue
	if records > 0 {
		attrs = append(attrs, attribute.Int("mfa.records", records))
	}
	return s.t.begin(ctx, "mfa.store."+operation, s.t.store, attrs, attribute.String("mfa.operation", operation))
}

// SMS returns a sender that is the given one, observed; nil stays nil.
func (t *Telemetry) SMS(sender mfa.SMSSender) mfa.SMSSender {
	if sender == nil {
		return nil
	}
	return &observedSender{t, sender}
}

type observedSender struct {
	t      *Telemetry
	sender mfa.SMSSender
}

// Send sends, observed.
func (s *observedSender) Send(ctx context.Context, m mfa.Message) (err error) {
	ctx, done := s.t.begin(ctx, "mfa.sms.send", s.t.sms, nil)
	err = errPanicked
	defer func() { done(err) }()
	err = s.sender.Send(ctx, m)
	return err
}

// errPanicked is what a call that does not return comes to.
var errPanicked = errors.New("panicked")

// begin starts a span, and done ends it and records how long it took.
func (t *Telemetry) begin(ctx context.Context, name string, duration metric.Float64Histogram, ofSpan []attribute.KeyValue, of ...attribute.KeyValue) (context.Context, func(error)) {
	began := time.Now() //nolint:forbidigo // how long it takes is of the real clock
	ctx, span := t.tracer.Start(ctx, name, trace.WithAttributes(ofSpan...))
	return ctx, func(err error) {
		outcome := "ok"
		switch {
		case errors.Is(err, mfa.ErrConflict):
			outcome = "conflict"
		case err != nil:
			outcome = "error"
			span.SetStatus(codes.Error, "")
			span.SetAttributes(attribute.String("error.type", fmt.Sprintf("%T", err)))
		}
		span.SetAttributes(attribute.String("mfa.outcome", outcome))
		duration.Record(ctx, time.Since(began).Seconds(), metric.WithAttributes(append(of, attribute.String("mfa.outcome", outcome))...)) //nolint:forbidigo // as above
		span.End()
	}
}
