// Package mfa gives a web application a second factor: [Service.Enroll] an
// authenticator app or a phone number, [Service.Challenge] it after the password
// was right, and [Service.Verify] the code that the person types.
//
// It does inside the application, over the application's own database, what the
// WorkOS MFA API does as a hosted service. The zero [Config] works in memory;
// for production set Store, Keys, SMS and Regions.
//
// # What Verify promises
//
// A code is accepted once: not twice in parallel, not by another process, not
// on another challenge, and a TOTP code not again within its 90 seconds (RFC
// 6238 section 5.2). Wrong codes are counted on the factor, so a new challenge
// gives no extra guesses. The result is stored before it is returned, so a
// request that is cut off has been counted or has learnt nothing. The error of
// Verify is nil only if the code was accepted and that is durable.
//
// # Secrets
//
// Secrets, codes and phone numbers are encrypted at rest with the keys of
// [Config.Keys]. No error, event, log line or printed value of this package
// shows a secret, a code or a whole phone number. Parameters that you pass, and
// the [Message] that a sender gets, are plain strings.
package mfa

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/authfactor/mfa/internal/instant"
	"github.com/authfactor/mfa/internal/phone"
	"github.com/authfactor/mfa/internal/qr"
)

// A Service enrolls, challenges and verifies factors. Make one with [New] and
// share it: it is safe for concurrent use, and so are several over one Store.
type Service struct {
	store     Store
	sms       SMSSender // nil: SMS factors are refused
	keys      *Keyring
	phones    phone.Rules
	policy    Policy
	clock     func() time.Time
	log       *slog.Logger
	onEvent   func(context.Context, Event)
	methods   methods
	skipProof bool
	qr        qr.Drawer

	sendTimeout time.Duration
}

// Config is what a [Service] works with. The zero value runs in memory.
type Config struct {
	// Store keeps the factors and challenges.
	// Defaults to a new MemoryStore, which forgets everything at exit; New logs a
	// warning then. Give it new(MemoryStore) where that is meant, as in tests.
	Store Store

	// SMS sends text messages.
	// Defaults to a new Outbox if Store is a MemoryStore. Beside any other Store it
	// defaults to none, and SMS factors are refused with ErrNoSMSSender.
	SMS SMSSender

	// SendTimeout is how long the sender has for one message, from 0 to 5 minutes. It ends
	// the context that Send gets, and a sender that goes on after that holds up Challenge.
	// Defaults to 15 seconds.
	SendTimeout time.Duration

	// Keys encrypt what is stored: see ParseKeyring. Required unless Store is a
	// MemoryStore; then it defaults to a new key that is never written down.
	// Services with other keys must have a table (or prefix) of their own: a
	// record of one is ErrIntegrity for the others, and a user who has one can do
	// nothing there.
	Keys *Keyring

	// Regions are the regions whose phone numbers may be enrolled and receive
	// messages, as ISO 3166 codes such as "US". List those that your users live
	// in: you pay for SMS pumping elsewhere. Required if SMS is set to anything
	// but an Outbox. Defaults to AllRegions().
	Regions []string

	// UncheckedRegions are those of Regions whose numbers need not be known: if
	// the metadata of libphonenumber, which is a part of this library, does not
	// have a number, its length alone decides. New ranges have users before the
	// metadata has them. Nobody knows what such numbers cost, so each region opens
	// more to SMS pumping. Known numbers follow the rules for all: no premium
	// rates, no fixed lines. Naming one of several regions that share a country
	// code, such as 1, opens the unknown numbers of all of them. Defaults to none:
	// unknown numbers are ErrInvalidPhoneNumber.
	UncheckedRegions []string

	// DefaultRegion is the region of numbers without a leading "+". Defaults to
	// none: such numbers are ErrInvalidPhoneNumber.
	DefaultRegion string

	// Methods are types of factors beside the built-in ones, such as passkeys, at
	// most three. New refuses one whose Type is malformed, built in or given twice,
	// or that has no Ceremony. Without its Method a stored factor is ErrIntegrity.
	// Defaults to none.
	Methods []Method

	// Policy changes limits. Defaults to the zero Policy, the recommended one.
	Policy Policy

	// InsecureSkipProof lets Enroll, Unenroll and TurnOff change the factors of a
	// user who has a verified one without a receipt, and lets Verify confirm any
	// enrolment. Whoever steals a session can
	// then add a factor of their own, unless the application asks for a code by
	// its own means. Service.Unlock never requires a receipt, since it is the
	// operator's. Defaults to false.
	InsecureSkipProof bool

	// Now is the clock. All processes must agree on the time to a few seconds,
	// from a source that users do not control. Defaults to time.Now.
	Now func() time.Time

	// Logger gets what no caller is told: that the defaults are not for
	// production, panics of OnEvent, what could not be tidied up after a
	// commit, and at level Warn the text of each error of the SMSSender. Left
	// out of that are four or more digits in a row of the number or the code,
	// paths and queries of URLs, control characters, and what is longer than
	// 512 bytes. Defaults to slog.Default().
	Logger *slog.Logger

	// OnEvent is called once for each event, after it was committed and before the
	// call returns, in the caller's goroutine: be quick. It cannot change the
	// result; a panic in it is recovered and logged. Event.Notify reports what to
	// tell the owner; LogEvents is one to begin with. Defaults to none.
	OnEvent func(context.Context, Event)
}

// AnyUser is the UserID of a call that reaches a factor whoever owns it. It is
// for operators' tools and for servers whose API names no user; an application
// that acts for one person must pass that person's id. No user can have it as
// id.
const AnyUser = "\x00any user"

// A Policy is what may be changed about the limits. The zero value is the
// recommended one.
type Policy struct {
	// ExactStep accepts the TOTP code of the current 30 seconds only, as a literal
	// reading of OWASP ASVS 5.0 6.5.5 requires. Defaults to false: the codes of
	// one step before and after are accepted too, for clocks that differ (RFC 6238
	// section 5.2).
	ExactStep bool

	// ChallengeLifetime is how long a challenge can be verified, from 1 to 10
	// minutes. Defaults to 10 minutes.
	ChallengeLifetime time.Duration

	// MaxAttempts is how many wrong codes a challenge takes, from 1 to 10.
	// Defaults to 5.
	MaxAttempts int

	// MaxFailures is how many wrong codes in a row, over all challenges, disable a
	// factor. Recovery codes are never disabled, as nobody guesses 120 bits: wrong
	// ones only lock them for a while. New refuses a number that gives a guesser
	// more than one chance in 10,000 while nobody logs in: at most 33, or 100 with
	// ExactStep. For the chance when the owner does log in see GuessProbability.
	// Defaults to 30.
	MaxFailures int

	// MessagesPerHour is how many text messages are sent within an hour to a
	// confirmed number, and to all numbers of a user together, from 1 to 10. An
	// unconfirmed number is sent 3 at most. Service.Challenge has the waits
	// between two messages. Defaults to 5, or to MessagesPerDay if that is fewer.
	MessagesPerHour int

	// MessagesPerDay is how many within 24 hours, from 1 to 30, and not fewer than
	// MessagesPerHour. An unconfirmed number is sent 5 at most. Defaults to 10.
	MessagesPerDay int

	// PumpingBlock and PumpingRegion are the sizes of the leaky buckets against SMS pumping:
	// for each block of 10,000 numbers, which differ in the last four digits, and for each
	// region. Only messages to numbers that were never confirmed fill them. A number that is
	// confirmed for the first time takes its own messages of the last 24 hours out again, and
	// one more out of its block's, two more out of its region's. As many as the size drain
	// within 24 hours, so whoever confirms nothing is sent at most twice as many within a day
	// (for a region about: of many at once one in several counts, for all of these). From 1
	// to 1,000 and from 1 to 100,000. Default to 50 and 200.
	PumpingBlock, PumpingRegion int

	// PumpingRegions refuses messages to unconfirmed numbers of a region whose bucket is
	// full with ErrPumping, as those of a block are. Defaults to false: EventPumping alone
	// tells of it, because whoever fills the bucket keeps all new people of a region out.
	PumpingRegions bool

	// PumpingObserve refuses nothing, and leaves it to EventPumping to tell. Defaults to
	// false.
	PumpingObserve bool
}

func (p Policy) validate() error {
	if p.ChallengeLifetime < time.Minute || p.ChallengeLifetime > maxLifetime {
		return fmt.Errorf("%w: Policy.ChallengeLifetime is %s; it must be from 1m0s to %s",
			ErrConfig, p.ChallengeLifetime, maxLifetime)
	}
	if p.MaxAttempts < 1 || p.MaxAttempts > 10 {
		return fmt.Errorf("%w: Policy.MaxAttempts is %d; it must be from 1 to 10",
			ErrConfig, p.MaxAttempts)
	}
	if p.MaxFailures < 1 {
		return fmt.Errorf("%w: Policy.MaxFailures is %d; it must be at least 1", ErrConfig, p.MaxFailures)
	}
	if p.MessagesPerDay < 1 || p.MessagesPerDay > maxDailySends {
		return fmt.Errorf("%w: Policy.MessagesPerDay is %d; it must be from 1 to %d",
			ErrConfig, p.MessagesPerDay, maxDailySends)
	}
	most := min(maxHourlySends, p.MessagesPerDay)
	if p.MessagesPerHour < 1 || p.MessagesPerHour > most {
		return fmt.Errorf("%w: Policy.MessagesPerHour is %d; it must be from 1 to %d, "+
			"and at most MessagesPerDay, which is %d",
			ErrConfig, p.MessagesPerHour, maxHourlySends, p.MessagesPerDay)
	}
	if p.PumpingBlock < 1 || p.PumpingBlock > maxBlockSize ||
		p.PumpingRegion < 1 || p.PumpingRegion > maxRegionSize {
		return fmt.Errorf("%w: Policy.PumpingBlock is %d and PumpingRegion %d; "+
			"they must be from 1 to %d and from 1 to %d",
			ErrConfig, p.PumpingBlock, p.PumpingRegion, maxBlockSize, maxRegionSize)
	}
	// RFC 4226 section 6: the chance of a guesser is steps x tries / 10^digits.
	if chance := float64(p.steps()*p.MaxFailures) / codeSpace; chance > maxGuessChance {
		return fmt.Errorf("%w: Policy.MaxFailures is %d: with %d codes valid at once "+
			"a guesser has a chance of %.2g, more than %.0g; at most %d is allowed",
			ErrConfig, p.MaxFailures, p.steps(), chance, maxGuessChance,
			int(maxGuessChance*codeSpace)/p.steps())
	}
	return nil
}

// New returns a service. Its errors match [ErrConfig] and say how to correct the
// Config.
func New(cfg Config) (*Service, error) {
	s := &Service{
		store: cfg.Store, sms: cfg.SMS, keys: cfg.Keys,
		policy: cfg.Policy.withDefaults(), clock: cfg.Now, log: cfg.Logger, onEvent: cfg.OnEvent,
		skipProof: cfg.InsecureSkipProof, sendTimeout: cmp.Or(cfg.SendTimeout, defaultSend),
	}
	if s.clock == nil {
		s.clock = time.Now
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	if err := s.policy.validate(); err != nil {
		return nil, err
	}
	if s.sendTimeout < 0 || s.sendTimeout > maxSendTimeout {
		return nil, fmt.Errorf("%w: Config.SendTimeout is %s; it must be from 0s, "+
			"for the default of %s, to %s", ErrConfig, cfg.SendTimeout, defaultSend, maxSendTimeout)
	}
	var err error
	if s.methods, err = withMethods(cfg.Methods); err != nil {
		return nil, err
	}
	if err := s.inMemory(); err != nil {
		return nil, err
	}
	if s.keys == nil || s.keys.keys == nil {
		return nil, fmt.Errorf("%w: Config.Keys is required beside a Store of your own: "+
			"read them with mfa.ParseKeyring from where your other secrets are; "+
			"mfa.NewKey or `openssl rand -base64 32` makes one", ErrConfig)
	}
	if err := s.setRegions(cfg); err != nil {
		return nil, err
	}
	if cfg.Store == nil {
		s.log.Warn("mfa: no Config.Store: factors are kept in memory, " +
			"under a key that is thrown away at exit" +
			map[bool]string{true: "; text messages go to an Outbox", false: ""}[cfg.SMS == nil])
	}
	return s, nil
}

// inMemory sets the defaults of a service that keeps nothing.
func (s *Service) inMemory() error {
	if s.store == nil {
		s.store = new(MemoryStore)
	}
	if _, ok := s.store.(*MemoryStore); !ok {
		return nil
	}
	if s.sms == nil {
		s.sms = new(Outbox)
	}
	if s.keys != nil {
		return nil
	}
	ring, err := ParseKeyring(NewKey())
	s.keys = ring
	return err
}

// withMethods returns the types that are built in and those of a Config.
func withMethods(outside []Method) (methods, error) {
	if len(outside) > maxMethods {
		return nil, fmt.Errorf("%w: Config.Methods has %d types; at most %d are taken",
			ErrConfig, len(outside), maxMethods)
	}
	all := slices.Clone(builtIn)
	for _, m := range outside {
		malformed := len(m.Type) == 0 || len(m.Type) > 32 ||
			strings.Trim(string(m.Type), "abcdefghijklmnopqrstuvwxyz0123456789_") != ""
		switch {
		case malformed:
			return nil, fmt.Errorf("%w: the type %q of Config.Methods must have "+
				"1 to 32 characters of a to z, 0 to 9 and '_'", ErrConfig, m.Type)
		case all.of(m.Type) != nil:
			return nil, fmt.Errorf("%w: the type %q of Config.Methods is there already", ErrConfig, m.Type)
		case m.Ceremony == nil:
			return nil, fmt.Errorf("%w: the type %q of Config.Methods must have a Ceremony",
				ErrConfig, m.Type)
		}
		all = append(all, outsideMethod{m})
	}
	return all, nil
}

// setRegions sets which phone numbers are taken. An Outbox sends nothing, and so takes
// all.
func (s *Service) setRegions(cfg Config) (err error) {
	regions := cfg.Regions
	if _, isOutbox := s.sms.(*Outbox); len(regions) == 0 && (isOutbox || s.sms == nil) {
		regions = AllRegions()
	}
	if len(regions) == 0 {
		return fmt.Errorf("%w: Config.Regions is required beside an SMSSender of your own: "+
			`list the regions your users live in, such as []string{"US", "CA"}, `+
			"or say mfa.AllRegions()", ErrConfig)
	}
	s.phones, err = phone.New(phone.Config{
		Regions: regions, UncheckedRegions: cfg.UncheckedRegions, DefaultRegion: cfg.DefaultRegion,
	})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return nil
}

// A hidden value is kept behind a function, which fmt never calls. (It may
// follow a pointer.)
type hidden[T any] func() T

func hide[T any](v T) hidden[T] { return func() T { return v } }

// now is the time in milliseconds, UTC.
func (s *Service) now() (time.Time, error) {
	t := s.clock()
	if ms := t.UnixMilli(); ms > 0 && t.Year() <= 9999 {
		return time.UnixMilli(ms).UTC(), nil
	}
	return time.Time{}, fmt.Errorf("%w: Config.Now says %s", ErrClock, t)
}

// Now is the time by Config.Now, in UTC and whole milliseconds. The error is [ErrClock].
func (s *Service) Now() (time.Time, error) { return s.now() }

// wait reports whether it waited to the end.
func wait(ctx context.Context, d time.Duration) bool {
	if instant.Is(ctx) {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d) //nolint:forbidigo // it lets time pass, and does not tell it
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
