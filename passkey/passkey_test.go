package passkey_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/mfatest"
	"github.com/authfactor/mfa/passkey"
	"github.com/authfactor/mfa/passkey/passkeytest"
	"github.com/authfactor/mfa/proof"
)

const (
	ann    = "user_ann"
	origin = "https://login.example.com"
)

var config = passkey.Config{
	RPID:    "example.com",
	RPName:  "Example",
	Origins: []string{"https://example.com", origin},
}

// A rig is a service with passkeys, whose store remembers its calls.
type rig struct {
	*mfa.Service
	t     *testing.T
	store *mfatest.FaultyStore
	clock *mfatest.Clock
}

func newRig(t *testing.T, cfg passkey.Config) *rig {
	t.Helper()
	method, err := passkey.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{
		t:     t,
		store: &mfatest.FaultyStore{Store: new(mfa.MemoryStore)},
		clock: new(mfatest.Clock),
	}
	r.Service, err = mfa.New(mfa.Config{
		Store: r.store, Keys: mfatest.Keys(), Now: r.clock.Now, Methods: []mfa.Method{method},
		InsecureSkipProof: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) challenge(f mfa.Factor) mfa.Challenge {
	r.t.Helper()
	ch, err := r.Challenge(
		r.t.Context(),
		mfa.ChallengeParams{FactorID: f.ID, UserID: f.UserID, Confirm: true},
	)
	if err != nil {
		r.t.Fatal(err)
	}
	return ch
}

func (r *rig) verify(ch mfa.Challenge, userID string, answer []byte) (mfa.Verification, error) {
	return r.Verify(
		r.t.Context(),
		mfa.VerifyParams{ChallengeID: ch.ID, UserID: userID, Answer: answer},
	)
}

func (r *rig) enroll(userID string) mfa.Factor {
	r.t.Helper()
	enr, err := r.Enroll(
		r.t.Context(),
		mfa.EnrollParams{UserID: userID, Method: passkey.Params(userID)},
	)
	if err != nil {
		r.t.Fatal(err)
	}
	return enr.Factor
}

func must(t *testing.T) func([]byte, error) []byte {
	t.Helper()
	return func(answer []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
}

// passkey is a confirmed one.
func (r *rig) passkey(userID string, key *passkeytest.Authenticator) mfa.Factor {
	r.t.Helper()
	f := r.enroll(userID)
	ch := r.challenge(f)
	if _, err := r.verify(ch, userID, must(r.t)(key.Create(ch.Options()))); err != nil {
		r.t.Fatal(err)
	}
	return f
}

// TestPasskey: a passkey is registered by the first answer, and logs in with the next ones.
func TestPasskey(t *testing.T) {
	r, key := newRig(t, config), passkeytest.New(origin)
	f := r.enroll(ann)
	ch := r.challenge(f)
	v, err := r.verify(ch, ann, must(t)(key.Create(ch.Options())))
	if err != nil || !v.FirstUse || v.Factor.ID != f.ID || v.Factor.Type != passkey.Type {
		t.Fatalf("%+v, %v", v, err)
	}
	for range 3 {
		ch := r.challenge(f)
		v, err := r.verify(ch, ann, must(t)(key.Get(ch.Options())))
		if err != nil || v.FirstUse || v.Factor.ID != f.ID {
			t.Errorf("%+v, %v", v, err)
		}
	}
	login, err := r.StartLogin(t.Context(), mfa.LoginParams{UserID: ann})
	if err != nil || login.SkipCode || len(login.Factors) != 1 {
		t.Errorf("%+v, %v", login, err)
	}
}

// TestAnyPasskeyAnswers: whichever of the person's passkeys is at hand answers, in two reads
// and a write, and one that was registered already is not registered again.
func TestAnyPasskeyAnswers(t *testing.T) {
	r := newRig(t, config)
	first, second := passkeytest.New(origin), passkeytest.New(origin)
	f, g := r.passkey(ann, first), r.passkey(ann, second)
	for _, asked := range []mfa.Factor{f, g} {
		for key, want := range map[*passkeytest.Authenticator]string{first: f.ID, second: g.ID} {
			ch := r.challenge(asked)
			answer := must(t)(key.Get(ch.Options()))
			before := len(r.store.Calls())
			v, err := r.verify(ch, ann, answer)
			if err != nil || v.Factor.ID != want {
				t.Errorf("%s answered, want %s: %v", v.Factor.ID, want, err)
			}
			calls := r.store.Calls()[before:]
			if reads := len(
				calls,
			) - 1; calls[len(calls)-1].Method != "Save" || reads > 2 ||
				asked.ID == want && reads > 1 {
				t.Errorf("Verify calls %v", calls)
			}
		}
	}
	ch := r.challenge(r.enroll(ann))
	if _, err := first.Create(ch.Options()); !errors.Is(err, passkeytest.ErrExcluded) {
		t.Errorf("the same authenticator again: %v", err)
	}
	if _, err := passkeytest.New(origin).
		Get(r.challenge(f).Options()); !errors.Is(
		err,
		passkeytest.ErrNotAllowed,
	) {
		t.Errorf("an authenticator without a passkey: %v", err)
	}
}

// TestWrongAnswers: whatever is not the answer of this passkey, at this site, to this
// challenge, is a wrong answer, and its passkey stays as it is.
func TestWrongAnswers(t *testing.T) {
	r, key := newRig(t, config), passkeytest.New(origin)
	f := r.passkey(ann, key)
	bobs := passkeytest.New(origin)
	bob := r.passkey("user_bob", bobs)
	old := must(t)(key.Get(r.challenge(f).Options()))
	edit := func(answer []byte, member string, value any) []byte {
		var all map[string]any
		if err := json.Unmarshal(answer, &all); err != nil {
			t.Fatal(err)
		}
		if name, ok := strings.CutPrefix(member, "response."); ok {
			all["response"].(map[string]any)[name] = value
		} else {
			all[member] = value
		}
		edited, err := json.Marshal(all)
		if err != nil {
			t.Fatal(err)
		}
		return edited
	}
	phisher := key.Clone()
	phisher.Origin = "https://login.example.com.evil.example"
	below := key.Clone()
	below.Origin = "https://example.com:8443"
	for name, answer := range map[string]func(options []byte) []byte{
		"another challenge": func([]byte) []byte { return old },
		"another origin":    func(o []byte) []byte { return must(t)(phisher.Get(o)) },
		"another port":      func(o []byte) []byte { return must(t)(below.Get(o)) },
		"another user": func([]byte) []byte {
			return must(t)(bobs.Get(r.challenge(bob).Options()))
		},
		"a registration": func([]byte) []byte {
			return must(t)(passkeytest.New(origin).Create(r.challenge(r.enroll(ann)).Options()))
		},
		"another user handle": func(o []byte) []byte {
			return edit(must(t)(key.Get(o)), "response.userHandle", "AAAA")
		},
		"another type": func(o []byte) []byte {
			return edit(must(t)(key.Get(o)), "type", "password")
		},
		"another id": func(o []byte) []byte { return edit(must(t)(key.Get(o)), "id", "AAAA") },
		"another signature": func(o []byte) []byte {
			return edit(must(t)(key.Get(o)), "response.signature", "MEQCIAAA")
		},
		"other data": func(o []byte) []byte {
			return edit(must(t)(key.Get(o)), "response.authenticatorData", strings.Repeat("A", 50))
		},
		"half of it": func(o []byte) []byte { a := must(t)(key.Get(o)); return a[:len(a)/2] },
		"no JSON":    func([]byte) []byte { return []byte("{") },
		"deep JSON":  func([]byte) []byte { return bytes.Repeat([]byte("["), 60_000) },
	} {
		ch := r.challenge(f)
		if _, err := r.verify(ch, ann, answer(ch.Options())); !errors.Is(err, mfa.ErrInvalidCode) {
			t.Errorf("%s: %v", name, err)
		}
	}
	ch := r.challenge(f)
	if _, err := r.verify(ch, ann, must(t)(key.Get(ch.Options()))); err != nil {
		t.Errorf("the owner, after all of them: %v", err)
	}
}

// TestAnswerOnce: an answer is good once, however many ask at once.
func TestAnswerOnce(t *testing.T) {
	r, key := newRig(t, config), passkeytest.New(origin)
	f := r.passkey(ann, key)
	ch := r.challenge(f)
	answer := must(t)(key.Get(ch.Options()))
	var in atomic.Int64
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if _, err := r.Verify(context.WithoutCancel(t.Context()), mfa.VerifyParams{
				ChallengeID: ch.ID, UserID: ann, Answer: answer,
			}); err == nil {
				in.Add(1)
			}
		})
	}
	wg.Wait()
	if in.Load() != 1 {
		t.Errorf("%d got in", in.Load())
	}
}

// TestCopiedPasskey: of two authenticators that count and have the same key, the one that is
// behind is refused.
func TestCopiedPasskey(t *testing.T) {
	r, key := newRig(t, config), passkeytest.New(origin)
	key.Counts = true
	f := r.passkey(ann, key)
	thief := key.Clone()
	for range 2 {
		ch := r.challenge(f)
		if _, err := r.verify(ch, ann, must(t)(key.Get(ch.Options()))); err != nil {
			t.Fatal(err)
		}
	}
	ch := r.challenge(f)
	if _, err := r.verify(
		ch,
		ann,
		must(t)(thief.Get(ch.Options())),
	); !errors.Is(
		err,
		mfa.ErrInvalidCode,
	) {
		t.Errorf("the copy: %v", err)
	}
	ch = r.challenge(f)
	if _, err := r.verify(ch, ann, must(t)(key.Get(ch.Options()))); err != nil {
		t.Errorf("the owner: %v", err)
	}
}

// TestFlags: whether a passkey can be on several devices stays as it was registered; whether
// it is may change.
func TestFlags(t *testing.T) {
	r, key := newRig(t, config), passkeytest.New(origin)
	key.BackupEligible = true
	f := r.passkey(ann, key)
	for _, tt := range []struct {
		eligible, backedUp bool
		want               error
	}{
		{true, true, nil}, {true, false, nil},
		{false, false, mfa.ErrInvalidCode}, {false, true, mfa.ErrInvalidCode},
	} {
		key.BackupEligible, key.BackedUp = tt.eligible, tt.backedUp
		ch := r.challenge(f)
		if _, err := r.verify(ch, ann, must(t)(key.Get(ch.Options()))); !errors.Is(err, tt.want) {
			t.Errorf("%+v: %v", tt, err)
		}
	}
}

// TestUserVerification: where it is required, an answer without it is a wrong one.
func TestUserVerification(t *testing.T) {
	cfg := config
	cfg.UserVerification = passkey.Required
	r, key := newRig(t, cfg), passkeytest.New(origin)
	f := r.passkey(ann, key)
	key.UserVerified = false
	ch := r.challenge(f)
	if _, err := key.Get(ch.Options()); !errors.Is(err, passkeytest.ErrNotAllowed) {
		t.Errorf("a browser asks: %v", err)
	}
	hostile := bytes.ReplaceAll(ch.Options(), []byte(`"required"`), []byte(`"preferred"`))
	if _, err := r.verify(ch, ann, must(t)(key.Get(hostile))); !errors.Is(err, mfa.ErrInvalidCode) {
		t.Errorf("a browser that does not: %v", err)
	}
	r = newRig(t, config)
	f = r.passkey(ann, key)
	ch = r.challenge(f)
	if _, err := r.verify(ch, ann, must(t)(key.Get(ch.Options()))); err != nil {
		t.Errorf("where it is preferred: %v", err)
	}
}

// TestApprovesAnAction: a passkey steps up as any factor does.
func TestApprovesAnAction(t *testing.T) {
	r, key := newRig(t, config), passkeytest.New(origin)
	f := r.passkey(ann, key)
	pay := proof.ActionOf("pay", "42")
	ch, err := r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: f.ID, UserID: ann, Action: pay})
	if err != nil {
		t.Fatal(err)
	}
	v, err := r.Verify(t.Context(), mfa.VerifyParams{
		ChallengeID: ch.ID, UserID: ann, Action: pay, Answer: must(t)(key.Get(ch.Options())),
	})
	if err != nil {
		t.Fatal(err)
	}
	receipt, err := r.Redeem(t.Context(), proof.Claim{Receipt: v.Receipt(), UserID: ann, Action: pay})
	if err != nil || receipt.FactorType != string(passkey.Type) {
		t.Errorf("%+v, %v", receipt, err)
	}
}

// TestWrongAnswersWait: wrong answers use up their challenge, and never shut the passkey.
func TestWrongAnswersWait(t *testing.T) {
	r, key := newRig(t, config), passkeytest.New(origin)
	f := r.passkey(ann, key)
	for range 20 {
		ch := r.challenge(f)
		for range 5 {
			if _, err := r.verify(ch, ann, []byte("{}")); !errors.Is(err, mfa.ErrInvalidCode) {
				t.Fatal(err)
			}
		}
		if _, err := r.verify(
			ch,
			ann,
			must(t)(key.Get(ch.Options())),
		); !errors.Is(
			err,
			mfa.ErrTooManyAttempts,
		) {
			t.Fatal(err)
		}
	}
	ch := r.challenge(f)
	if _, err := r.verify(ch, ann, must(t)(key.Get(ch.Options()))); err != nil {
		t.Error(err)
	}
	ch = r.challenge(f)
	r.clock.Advance(10 * time.Minute)
	if _, err := r.verify(
		ch,
		ann,
		must(t)(key.Get(ch.Options())),
	); !errors.Is(
		err,
		mfa.ErrChallengeExpired,
	) {
		t.Error(err)
	}
}

// TestConfig: New refuses what no browser would take, and says what to write instead.
func TestConfig(t *testing.T) {
	at := func(origin string) func(*passkey.Config) {
		return func(c *passkey.Config) { c.Origins = []string{origin} }
	}
	for name, change := range map[string]func(*passkey.Config){
		"no RPID":               func(c *passkey.Config) { c.RPID = "" },
		"a URL":                 func(c *passkey.Config) { c.RPID = "https://example.com" },
		"a port":                func(c *passkey.Config) { c.RPID = "example.com:443" },
		"upper case":            func(c *passkey.Config) { c.RPID = "Example.com" },
		"a top-level domain":    func(c *passkey.Config) { c.RPID = "com" },
		"an address":            func(c *passkey.Config) { c.RPID = "127.0.0.1" },
		"no name":               func(c *passkey.Config) { c.RPName = "" },
		"a long name":           func(c *passkey.Config) { c.RPName = strings.Repeat("a", 65) },
		"a name of two lines":   func(c *passkey.Config) { c.RPName = "a\nb" },
		"no origin":             func(c *passkey.Config) { c.Origins = nil },
		"an origin with a path": at("https://example.com/"),
		"http":                  at("http://example.com"),
		"port 443":              at("https://example.com:443"),
		"another domain":        at("https://notexample.com"),
		"above it":              func(c *passkey.Config) { c.RPID = "login.example.com" },
		"a user in the origin":  at("https://a@example.com"),
		"an app without a hash": at("android:apk-key-hash:"),
		"verification":          func(c *passkey.Config) { c.UserVerification = "always" },
	} {
		cfg := config
		change(&cfg)
		if _, err := passkey.New(cfg); !errors.Is(err, mfa.ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, cfg := range []passkey.Config{
		config,
		{RPID: "localhost", RPName: "a", Origins: []string{"http://localhost:8080"}},
		{RPID: "example.com", RPName: "a", Origins: []string{
			"https://example.com:8443", "android:apk-key-hash:abc",
		}},
	} {
		if _, err := passkey.New(cfg); err != nil {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}

// TestLabel: a label that cannot be shown is refused before the browser sees it.
func TestLabel(t *testing.T) {
	r := newRig(t, config)
	for _, label := range []string{"", "a\nb", strings.Repeat("a", 65)} {
		enr, err := r.Enroll(t.Context(), mfa.EnrollParams{UserID: ann, Method: passkey.Params(label)})
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: enr.Factor.ID, UserID: ann})
		if !errors.Is(err, mfa.ErrInvalidParameter) {
			t.Errorf("%q: %v", label, err)
		}
	}
}

// TestOptionsTellNothing: the user handle is random, and the same for all of a user's
// passkeys.
func TestOptionsTellNothing(t *testing.T) {
	r := newRig(t, config)
	handle := func(f mfa.Factor) string {
		var o struct {
			User struct {
				ID string `json:"id"`
			} `json:"user"`
		}
		if err := json.Unmarshal(r.challenge(f).Options(), &o); err != nil || len(o.User.ID) < 40 {
			t.Fatal(o, err)
		}
		return o.User.ID
	}
	f := r.enroll(ann)
	if one, other := handle(f), handle(f); one == other {
		t.Error("the handle is not random")
	}
	r.passkey(ann, passkeytest.New(origin))
	g := r.enroll(ann)
	if one, other := handle(g), handle(g); one != other {
		t.Error("a user has two handles")
	}
	if handle(g) == handle(r.enroll("user_bob")) {
		t.Error("two users have one handle")
	}
}
