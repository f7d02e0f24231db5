package passkey_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
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

// app is the origin of an Android app.
const app = "android:apk-key-hash:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

var config = passkey.Config{
	RPID:    "example.com",
	RPName:  "Example",
	Origins: []string{"https://example.com", origin},
}

// A rig is a service with passkeys, whose store remembers its calls.
type rig struct {
	*mfa.Service
	config mfa.Config // of the Service
	t      *testing.T
	store  *mfatest.FaultyStore
	clock  *mfatest.Clock

	mu    sync.Mutex
	kinds []mfa.EventKind // of the events since took was called
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
	r.config = mfa.Config{
		Store: r.store, Keys: mfatest.Keys(), Now: r.clock.Now, Methods: []mfa.Method{method},
		InsecureSkipProof: true,
		OnEvent: func(_ context.Context, e mfa.Event) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.kinds = append(r.kinds, e.Kind)
		},
	}
	r.serve()
	return r
}

// serve makes the Service by its Config.
func (r *rig) serve() {
	r.t.Helper()
	var err error
	if r.Service, err = mfa.New(r.config); err != nil {
		r.t.Fatal(err)
	}
}

// requireProof is called once the factors are there that a test begins with.
func (r *rig) requireProof() {
	r.t.Helper()
	r.config.InsecureSkipProof = false
	r.serve()
}

// approve is the receipt of an action that a passkey approves, whichever is challenged.
func (r *rig) approve(
	asked mfa.Factor, key *passkeytest.Authenticator, action proof.Action,
) string {
	r.t.Helper()
	ch, err := r.Challenge(r.t.Context(), mfa.ChallengeParams{
		FactorID: asked.ID, UserID: asked.UserID, Action: action,
	})
	if err != nil {
		r.t.Fatal(err)
	}
	v, err := r.Verify(r.t.Context(), mfa.VerifyParams{
		ChallengeID: ch.ID, UserID: asked.UserID, Action: action,
		Answer: must(r.t)(key.Get(ch.Options())),
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return v.Receipt()
}

// took returns the kinds of the events since it was called before.
func (r *rig) took() []mfa.EventKind {
	r.mu.Lock()
	defer r.mu.Unlock()
	kinds := r.kinds
	r.kinds = nil
	return kinds
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
	at := func(origin string) func([]byte) []byte {
		phisher := key.Clone()
		phisher.Origin, phisher.Hostile = origin, true
		return func(o []byte) []byte { return must(t)(phisher.Get(o)) }
	}
	bent := func(change func(*passkeytest.Authenticator)) func([]byte) []byte {
		other := key.Clone()
		change(other)
		return func(o []byte) []byte { return must(t)(other.Get(o)) }
	}
	for name, answer := range map[string]func(options []byte) []byte{
		"another challenge":   func([]byte) []byte { return old },
		"another origin":      at("https://login.example.com.evil.example"),
		"another case":        at("https://LOGIN.example.com"),
		"a user in it":        at("https://x:y@login.example.com"),
		"a path behind it":    at("https://login.example.com:443/evil?a#b"),
		"an app":              at("android:apk-key-hash:AAAA"),
		"within another page": bent(func(a *passkeytest.Authenticator) { a.CrossOrigin = true }),
		"nobody there":        bent(func(a *passkeytest.Authenticator) { a.UserPresent = false }),
		"another port":        at("https://example.com:8443"),
		"another user": func([]byte) []byte {
			return must(t)(bobs.Get(r.challenge(bob).Options()))
		},
		"a registration": func([]byte) []byte {
			return must(t)(passkeytest.New(origin).Create(r.challenge(r.enroll(ann)).Options()))
		},
		"another user handle": func(o []byte) []byte {
			return edited(t, must(t)(key.Get(o)), "response.userHandle", "AAAA")
		},
		"another type": func(o []byte) []byte {
			return edited(t, must(t)(key.Get(o)), "type", "password")
		},
		"another id": func(o []byte) []byte { return edited(t, must(t)(key.Get(o)), "id", "AAAA") },
		"another id, twice": func(o []byte) []byte {
			return edited(t, edited(t, must(t)(key.Get(o)), "id", "AAAA"), "rawId", "AAAA")
		},
		"another signature": func(o []byte) []byte {
			return edited(t, must(t)(key.Get(o)), "response.signature", "MEQCIAAA")
		},
		"other data": func(o []byte) []byte {
			return edited(t, must(t)(key.Get(o)), "response.authenticatorData", strings.Repeat("A", 50))
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

// TestPhishingProxy: a page of another domain that relays everything, both ways, gets no answer
// from a browser, and none that the site takes from what is no browser.
func TestPhishingProxy(t *testing.T) {
	r, key := newRig(t, config), passkeytest.New(origin)
	f := r.passkey(ann, key)
	proxied := key.Clone()
	proxied.Origin = "https://login.example.com.evil.example"
	hostile := proxied.Clone()
	hostile.Hostile = true

	options := r.challenge(f).Options()
	if _, err := proxied.Get(options); !errors.Is(err, passkeytest.ErrSecurity) {
		t.Errorf("as it was asked: %v", err)
	}
	own := bytes.Replace(options, []byte(`"example.com"`), []byte(`"evil.example"`), 1)
	if _, err := proxied.Get(own); !errors.Is(err, passkeytest.ErrNotAllowed) {
		t.Errorf("asked for a passkey of its own domain: %v", err)
	}
	for name, relayed := range map[string]func(answer []byte) []byte{
		"as it was signed": func(answer []byte) []byte { return answer },
		"with the site's origin": func(answer []byte) []byte {
			return withOrigin(t, answer, proxied.Origin, origin)
		},
	} {
		ch := r.challenge(f)
		answer := relayed(must(t)(hostile.Get(ch.Options())))
		if _, err := r.verify(ch, ann, answer); !errors.Is(err, mfa.ErrInvalidCode) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// withOrigin is an answer whose client data had another origin when they were signed.
func withOrigin(t *testing.T, answer []byte, signed, origin string) []byte {
	t.Helper()
	var all struct {
		Response struct {
			ClientData string `json:"clientDataJSON"`
		} `json:"response"`
	}
	if err := json.Unmarshal(answer, &all); err != nil {
		t.Fatal(err)
	}
	client, err := base64.RawURLEncoding.DecodeString(all.Response.ClientData)
	if err != nil {
		t.Fatal(err)
	}
	client = bytes.Replace(client, []byte(signed), []byte(origin), 1)
	return edited(
		t, answer, "response.clientDataJSON", base64.RawURLEncoding.EncodeToString(client),
	)
}

// edited is an answer with another member, of itself or of its response.
func edited(t *testing.T, answer []byte, member string, value any) []byte {
	t.Helper()
	var all map[string]any
	if err := json.Unmarshal(answer, &all); err != nil {
		t.Fatal(err)
	}
	if name, ok := strings.CutPrefix(member, "response."); ok {
		all["response"].(map[string]any)[name] = value
	} else {
		all[member] = value
	}
	changed, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return changed
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
// not ahead is refused.
func TestCopiedPasskey(t *testing.T) {
	r, key := newRig(t, config), passkeytest.New(origin)
	key.Counts = true
	f := r.passkey(ann, key)
	behind, silent := key.Clone(), key.Clone()
	silent.Counts = false // 0 each time
	owner := func() {
		t.Helper()
		ch := r.challenge(f)
		if _, err := r.verify(ch, ann, must(t)(key.Get(ch.Options()))); err != nil {
			t.Errorf("the owner: %v", err)
		}
	}
	owner()
	owner()
	for name, thief := range map[string]*passkeytest.Authenticator{
		"silent": silent, "behind": behind,
	} {
		for n := range 2 { // of the one behind 1, and then 2, as the owner had
			ch := r.challenge(f)
			answer := must(t)(thief.Get(ch.Options()))
			r.took()
			if _, err := r.verify(ch, ann, answer); !errors.Is(err, mfa.ErrInvalidCode) {
				t.Errorf("%s, %d: %v", name, n, err)
			}
			if got := r.took(); !slices.Equal(got, []mfa.EventKind{mfa.EventFailed, mfa.EventCopied}) {
				t.Errorf("%s, %d: events %q", name, n, got)
			}
		}
	}
	owner()
}

// TestCopyThatIsAhead: a copy that answers first is taken for the passkey, and the owner's next
// answer tells of it.
func TestCopyThatIsAhead(t *testing.T) {
	r, key := newRig(t, config), passkeytest.New(origin)
	key.Counts = true
	f := r.passkey(ann, key)
	thief := key.Clone()
	ch := r.challenge(f)
	if _, err := r.verify(ch, ann, must(t)(thief.Get(ch.Options()))); err != nil {
		t.Fatal(err)
	}
	ch = r.challenge(f)
	answer := must(t)(key.Get(ch.Options()))
	r.took()
	_, err := r.verify(ch, ann, answer)
	if kinds := r.took(); !errors.Is(err, mfa.ErrInvalidCode) ||
		!slices.Equal(kinds, []mfa.EventKind{mfa.EventFailed, mfa.EventCopied}) {
		t.Errorf("the owner: %v, events %q", err, kinds)
	}
}

// TestCopyOfOneThatDoesNotCount: of a passkey that is on several devices, as phones make them,
// a copy looks like one more of them.
func TestCopyOfOneThatDoesNotCount(t *testing.T) {
	r, key := newRig(t, config), passkeytest.New(origin)
	key.BackupEligible, key.BackedUp = true, true
	f := r.passkey(ann, key)
	for _, device := range []*passkeytest.Authenticator{key.Clone(), key, key.Clone()} {
		ch := r.challenge(f)
		answer := must(t)(device.Get(ch.Options()))
		r.took()
		_, err := r.verify(ch, ann, answer)
		if kinds := r.took(); err != nil || !slices.Equal(kinds, []mfa.EventKind{mfa.EventVerified}) {
			t.Errorf("%v, events %q", err, kinds)
		}
	}
}

// TestLostDevice: whoever lost the device of a passkey answers with another one, whose receipt
// removes the lost one. Without a receipt nothing does, and afterwards it answers nothing.
func TestLostDevice(t *testing.T) {
	r := newRig(t, config)
	phone, spare := passkeytest.New(origin), passkeytest.New(origin)
	lost, left := r.passkey(ann, phone), r.passkey(ann, spare)
	r.requireProof()
	remove := mfa.UnenrollParams{FactorID: lost.ID, UserID: ann}
	if err := r.Unenroll(t.Context(), remove); !errors.Is(err, mfa.ErrProofRequired) {
		t.Errorf("without a receipt: %v", err)
	}
	remove.Receipt = r.approve(lost, spare, proof.ActionOf(mfa.PurposeUnenroll, lost.ID))
	if err := r.Unenroll(t.Context(), remove); err != nil {
		t.Fatal(err)
	}
	ch := r.challenge(left)
	if _, err := phone.Get(ch.Options()); !errors.Is(err, passkeytest.ErrNotAllowed) {
		t.Errorf("the lost one is asked for: %v", err)
	}
	if _, err := r.verify(ch, ann, must(t)(spare.Get(ch.Options()))); err != nil {
		t.Errorf("the other one: %v", err)
	}
}

// TestLastDeviceLost: whoever lost the only passkey enrolls another one with the receipt of a
// recovery code.
func TestLastDeviceLost(t *testing.T) {
	r := newRig(t, config)
	r.passkey(ann, passkeytest.New(origin))
	codes, err := r.Enroll(t.Context(), mfa.EnrollParams{UserID: ann, RecoveryCodes: true})
	if err != nil {
		t.Fatal(err)
	}
	r.requireProof()
	enroll := proof.ActionOf(mfa.PurposeEnroll)
	ch, err := r.Challenge(t.Context(), mfa.ChallengeParams{
		FactorID: codes.Factor.ID, UserID: ann, Action: enroll,
	})
	if err != nil {
		t.Fatal(err)
	}
	v, err := r.Verify(t.Context(), mfa.VerifyParams{
		ChallengeID: ch.ID, UserID: ann, Action: enroll, Code: codes.RecoveryCodes.Codes()[0],
	})
	if err != nil {
		t.Fatal(err)
	}
	enr, err := r.Enroll(t.Context(), mfa.EnrollParams{
		UserID: ann, Method: passkey.Params(ann), Receipt: v.Receipt(),
	})
	if err != nil {
		t.Fatal(err)
	}
	ch = r.challenge(enr.Factor)
	answer := must(t)(passkeytest.New(origin).Create(ch.Options()))
	if v, err := r.verify(ch, ann, answer); err != nil || !v.FirstUse {
		t.Errorf("%+v, %v", v, err)
	}
}

// TestFlags: that a passkey may be on several devices is remembered; whether it is may change. A
// provider that begins to synchronize shuts nobody out.
func TestFlags(t *testing.T) {
	r, key := newRig(t, config), passkeytest.New(origin)
	f := r.passkey(ann, key)
	for _, tt := range []struct {
		eligible, backedUp bool
		want               error
		kept               bool // that it is eligible
	}{
		{false, false, nil, false}, {true, true, nil, true}, {true, false, nil, true},
		{false, false, nil, true},
		{false, true, mfa.ErrInvalidCode, true}, // which no authenticator says
	} {
		key.BackupEligible, key.BackedUp = tt.eligible, tt.backedUp
		ch := r.challenge(f)
		r.took()
		v, err := r.verify(ch, ann, must(t)(key.Get(ch.Options())))
		if !errors.Is(err, tt.want) {
			t.Errorf("%+v: %v", tt, err)
		}
		if slices.Contains(r.took(), mfa.EventCopied) {
			t.Errorf("%+v: nobody copied anything", tt)
		}
		d, ok := passkey.DetailsOf(v.Factor)
		if ok != (tt.want == nil) || ok && (d.BackedUp != tt.backedUp || d.BackupEligible != tt.kept) {
			t.Errorf("%+v: told %+v", tt, d)
		}
	}
}

// TestBackupOfWhatHasNone: a passkey that cannot be on several devices, and says that it is, is
// a wrong answer, and no copy.
func TestBackupOfWhatHasNone(t *testing.T) {
	r, key := newRig(t, config), passkeytest.New(origin)
	f := r.passkey(ann, key)
	key.BackedUp = true
	ch := r.challenge(f)
	r.took()
	if _, err := r.verify(ch, ann, must(t)(key.Get(ch.Options()))); !errors.Is(
		err, mfa.ErrInvalidCode,
	) {
		t.Error(err)
	}
	if kinds := r.took(); !slices.Equal(kinds, []mfa.EventKind{mfa.EventFailed}) {
		t.Errorf("events %q", kinds)
	}
}

// TestTransports: of what the browser says, eight transports are kept, each once and none that
// is long.
func TestTransports(t *testing.T) {
	r, key := newRig(t, config), passkeytest.New(origin)
	f := r.enroll(ann)
	ch := r.challenge(f)
	said := `["usb","usb","` + strings.Repeat("a", 33) + `","b","c","d","e","f","g","h","i","j"]`
	answer := bytes.Replace(
		must(t)(key.Create(ch.Options())), []byte(`["internal"]`), []byte(said), 1,
	)
	v, err := r.verify(ch, ann, answer)
	d, _ := passkey.DetailsOf(v.Factor)
	if want := "usb b c d e f g h"; err != nil || strings.Join(d.Transports, " ") != want {
		t.Errorf("%q, %v; want %s", d.Transports, err, want)
	}
	ch = r.challenge(f)
	if _, err := r.verify(ch, ann, must(t)(key.Get(ch.Options()))); err != nil {
		t.Errorf("a login: %v", err)
	}
}

// TestTenPasskeys: each of the ten passkeys that a person can have answers.
func TestTenPasskeys(t *testing.T) {
	r := newRig(t, config)
	var factors []mfa.Factor
	var keys []*passkeytest.Authenticator
	for range 10 {
		keys = append(keys, passkeytest.New(origin))
		factors = append(factors, r.passkey(ann, keys[len(keys)-1]))
	}
	for i, key := range keys {
		ch := r.challenge(factors[0])
		v, err := r.verify(ch, ann, must(t)(key.Get(ch.Options())))
		if err != nil || v.Factor.ID != factors[i].ID {
			t.Errorf("passkey %d: %s, %v", i, v.Factor.ID, err)
		}
	}
}

// TestDetails: what the latest answer told is in the factor, and what it proves in AMR, after
// RFC 8176.
func TestDetails(t *testing.T) {
	for _, eligible := range []bool{false, true} {
		r, key := newRig(t, config), passkeytest.New(origin)
		key.BackupEligible, key.Counts = eligible, true
		f := r.enroll(ann)
		if d, ok := passkey.DetailsOf(f); ok {
			t.Errorf("before it is confirmed: %+v", d)
		}
		ch := r.challenge(f)
		if _, err := r.verify(ch, ann, must(t)(key.Create(ch.Options()))); err != nil {
			t.Fatal(err)
		}
		for n := range 2 {
			key.UserVerified = n == 0
			ch := r.challenge(f)
			v, err := r.verify(ch, ann, must(t)(key.Get(ch.Options())))
			want := passkey.Details{
				UserVerified: n == 0, BackupEligible: eligible, SignCount: uint32(n + 1),
				AAGUID: "00000000-0000-0000-0000-000000000000", Transports: []string{"internal"},
			}
			if d, ok := passkey.DetailsOf(v.Factor); err != nil || !ok || !reflect.DeepEqual(d, want) {
				t.Errorf("%+v, %v; want %+v", d, err, want)
			}
			amr := []string{"hwk", "user"}
			if eligible { // it can leave its hardware
				amr[0] = "swk"
			}
			if !slices.Equal(v.AMR(), amr) || !v.Factor.PhishingResistant() {
				t.Errorf("%q, want %q; resistant %t", v.AMR(), amr, v.Factor.PhishingResistant())
			}
		}
		stored, err := r.Factor(t.Context(), mfa.FactorParams{FactorID: f.ID, UserID: ann})
		if d, _ := passkey.DetailsOf(stored); err != nil || d.SignCount != 2 || d.UserVerified {
			t.Errorf("later: %+v, %v", d, err)
		}
		stored.Type = mfa.TypeTOTP
		if d, ok := passkey.DetailsOf(stored); ok || !reflect.DeepEqual(d, passkey.Details{}) {
			t.Errorf("of an app: %+v", d)
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
	receipt, err := r.Redeem(t.Context(), proof.Claim{
		Receipt: r.approve(f, key, pay), UserID: ann, Action: pay,
	})
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
	of := func(id string) func(*passkey.Config) {
		return func(c *passkey.Config) { c.RPID, c.Origins = id, []string{"https://" + id} }
	}
	at := func(origin string) func(*passkey.Config) {
		return func(c *passkey.Config) { c.Origins = []string{origin} }
	}
	for name, change := range map[string]func(*passkey.Config){
		"no RPID":               of(""),
		"a URL":                 of("https://example.com"),
		"a port":                of("example.com:443"),
		"upper case":            of("Example.com"),
		"a top-level domain":    func(c *passkey.Config) { c.RPID = "com" },
		"an address":            of("127.0.0.1"),
		"a short address":       of("127.1"),
		"a hexadecimal address": of("example.0x7f"),
		"an empty label":        of("a..b"),
		"a long label":          of(strings.Repeat("a", 64) + ".com"),
		"long labels":           of(strings.Repeat(strings.Repeat("a", 63)+".", 4) + "com"),
		"a hyphen in front":     of("-example.com"),
		"a hyphen at the end":   of("example-.com"),
		"a dot at the end":      of("example.com."),
		"a blank name":          func(c *passkey.Config) { c.RPName = " " },
		"a name that turns":     func(c *passkey.Config) { c.RPName = "a\u202eb" },
		"a wildcard":            at("https://*.example.com"),
		"an origin in capitals": at("https://LOGIN.example.com"),
		"a colon alone":         at("https://example.com:"),
		"a port with a zero":    at("https://example.com:0443"),
		"a port too high":       at("https://example.com:99999"),
		"other letters":         at("https://b\u00fccher.example.com"),
		"a dot in front":        at("https://.example.com"),
		"an app's hash in hex":  at("android:apk-key-hash:AB:CD"),
		"no name":               func(c *passkey.Config) { c.RPName = "" },
		"a long name":           func(c *passkey.Config) { c.RPName = strings.Repeat("a", 65) },
		"a name of two lines":   func(c *passkey.Config) { c.RPName = "a\nb" },
		"no origin":             func(c *passkey.Config) { c.Origins = nil },
		"many origins": func(c *passkey.Config) {
			c.Origins = slices.Repeat(config.Origins[:1], 33)
		},
		"no URL": at("https://exa mple.com"),
		"port 0": at("https://example.com:0"),
		"port 80": func(c *passkey.Config) {
			c.RPID, c.Origins = "localhost", []string{"http://localhost:80"}
		},
		"another scheme": func(c *passkey.Config) {
			c.RPID, c.Origins = "localhost", []string{"ftp://localhost"}
		},
		"a hash that no browser writes": at(app[:len(app)-1] + "B"),
		"an origin with a path":         at("https://example.com/"),
		"http":                          at("http://example.com"),
		"port 443":                      at("https://example.com:443"),
		"another domain":                at("https://notexample.com"),
		"above it":                      func(c *passkey.Config) { c.RPID = "login.example.com" },
		"a user in the origin":          at("https://a@example.com"),
		"an app without a hash":         at("android:apk-key-hash:"),
		"verification":                  func(c *passkey.Config) { c.UserVerification = "always" },
	} {
		cfg := config
		change(&cfg)
		_, err := passkey.New(cfg)
		known := []string{config.RPID, "login.example.com", "localhost"}
		if !errors.Is(err, mfa.ErrConfig) || !slices.Contains(known, cfg.RPID) &&
			!strings.Contains(err.Error(), "passkey.Config.RPID is") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, cfg := range []passkey.Config{
		config,
		{RPID: "example.com", RPName: strings.Repeat("a", 64), Origins: config.Origins},
		{RPID: "localhost", RPName: "a", Origins: []string{"http://localhost:8080"}},
		{RPID: "intranet", RPName: "a", Origins: []string{"https://intranet"}},
		{RPID: "app_1.example.com", RPName: "a", Origins: []string{"https://app_1.example.com"}},
		{RPID: "example.com", RPName: "a", Origins: []string{
			"https://example.com:8443", app,
		}},
	} {
		if _, err := passkey.New(cfg); err != nil {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}

// TestConfigSays: what is wrong with an origin is said in words of its own.
func TestConfigSays(t *testing.T) {
	for origin, want := range map[string]string{
		"https://exa mple.com":         "is no URL",
		"https://example.com:99999":    "must have a port from 1 to 65535",
		"https://example.com/":         "nothing behind",
		"http://example.com":           "must begin with https://",
		"https://example.com:443":      "must leave out the port",
		"https://notexample.com":       "is not of passkey.Config.RPID",
		"android:apk-key-hash:AB:CD":   "must end with the SHA-256",
		"https://login.example.com:00": "must have a port from 1 to 65535",
	} {
		cfg := config
		cfg.Origins = []string{origin}
		_, err := passkey.New(cfg)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", origin, err, want)
		}
	}
}

// TestConfigIsCopied: what becomes of a Config after New changes no service.
func TestConfigIsCopied(t *testing.T) {
	cfg := config
	cfg.Origins = []string{origin}
	r, key := newRig(t, cfg), passkeytest.New(origin)
	cfg.Origins[0] = "https://example.com"
	r.passkey(ann, key)
}

// TestLabel: a label that cannot be shown is refused, and nothing is stored.
func TestLabel(t *testing.T) {
	r := newRig(t, config)
	for _, label := range []string{
		"", " ", "a\nb", "a\xff", "\u200b", "ann\u202ecod", strings.Repeat("a", 65),
	} {
		_, err := r.Enroll(t.Context(), mfa.EnrollParams{UserID: ann, Method: passkey.Params(label)})
		e, ok := errors.AsType[*mfa.Error](err)
		if !ok || !errors.Is(err, mfa.ErrInvalidParameter) || !strings.Contains(e.Message, "label") {
			t.Errorf("%q: %v", label, err)
		}
	}
	for _, params := range []string{
		"", "null", "[]", `{"label":1}`, `{"label":"a","label":1}`, "{\"label\":\"a\xff\"}",
	} {
		_, err := r.Enroll(t.Context(), mfa.EnrollParams{
			UserID: ann, Method: &mfa.MethodParams{Type: passkey.Type, Params: []byte(params)},
		})
		if !errors.Is(err, mfa.ErrInvalidParameter) {
			t.Errorf("%q: %v", params, err)
		}
	}
	if factors, err := r.Factors(t.Context(), ann); err != nil || len(factors) > 0 {
		t.Errorf("%v, %v", factors, err)
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
	if one, other := handle(r.enroll(ann)), handle(r.enroll(ann)); one == other {
		t.Error("the handle is not random")
	}
	f, key := r.enroll(ann), passkeytest.New(origin)
	first := handle(f)
	ch := r.challenge(f)
	if _, err := r.verify(ch, ann, must(t)(key.Create(ch.Options()))); err != nil {
		t.Fatal(err)
	}
	g := r.enroll(ann)
	if handle(g) != first {
		t.Error("a user has two handles")
	}
	if handle(g) == handle(r.enroll("user_bob")) {
		t.Error("two users have one handle")
	}
}

// TestWrongRegistrations: what is no answer to this registration, at this site, by somebody
// who is there, confirms nothing.
func TestWrongRegistrations(t *testing.T) {
	r := newRig(t, config)
	own := passkeytest.New(origin)
	r.passkey(ann, own)
	for name, change := range map[string]func(*passkeytest.Authenticator){
		"another origin": func(a *passkeytest.Authenticator) { a.Origin = "https://evil.example" },
		"another case": func(a *passkeytest.Authenticator) {
			a.Origin = "https://LOGIN.example.com"
		},
		"within another page": func(a *passkeytest.Authenticator) { a.CrossOrigin = true },
		"nobody there":        func(a *passkeytest.Authenticator) { a.UserPresent = false },
		"a backup of what has none": func(a *passkeytest.Authenticator) {
			a.BackedUp = true
		},
	} {
		key := passkeytest.New(origin)
		key.Hostile = true
		change(key)
		ch := r.challenge(r.enroll(ann))
		_, err := r.verify(ch, ann, must(t)(key.Create(ch.Options())))
		if !errors.Is(err, mfa.ErrInvalidCode) {
			t.Errorf("%s: %v", name, err)
		}
	}
	old := r.challenge(r.enroll(ann)).Options()
	f := r.enroll(ann)
	ch := r.challenge(f)
	if _, err := r.verify(ch, ann, must(t)(passkeytest.New(origin).Create(old))); !errors.Is(
		err, mfa.ErrInvalidCode,
	) {
		t.Errorf("another challenge: %v", err)
	}
	// A browser that does not look at what is excluded, and the same passkey again.
	options := bytes.Replace(ch.Options(), []byte(`"excludeCredentials":[`), []byte(`"ignored":[`), 1)
	again := must(t)(own.Create(options))
	if _, err := r.verify(ch, ann, again); err != nil {
		t.Fatalf("another passkey of the same authenticator: %v", err)
	}
	ch = r.challenge(r.enroll(ann))
	var asked struct {
		Challenge string `json:"challenge"`
	}
	if err := json.Unmarshal(ch.Options(), &asked); err != nil {
		t.Fatal(err)
	}
	if _, err := r.verify(ch, ann, another(again, asked.Challenge)); !errors.Is(
		err, mfa.ErrInvalidCode,
	) {
		t.Errorf("the same passkey again: %v", err)
	}
}

// another is an answer to a registration again, for another challenge: without an
// attestation nobody signs it.
func another(created []byte, challenge string) []byte {
	var all map[string]any
	_ = json.Unmarshal(created, &all) // of the virtual authenticator
	client, _ := json.Marshal(map[string]any{
		"type": "webauthn.create", "challenge": challenge, "origin": origin, "crossOrigin": false,
	})
	all["response"].(map[string]any)["clientDataJSON"] = base64.RawURLEncoding.EncodeToString(client)
	repeated, _ := json.Marshal(all)
	return repeated
}

// TestApp: an Android app answers under the hash of its certificate, if it is one of
// Config.Origins.
func TestApp(t *testing.T) {
	cfg := config
	cfg.Origins = append([]string{app}, config.Origins...)
	key := passkeytest.New(app)
	key.Hostile = true // no origin of a page
	r := newRig(t, cfg)
	f := r.passkey(ann, key)
	ch := r.challenge(f)
	if _, err := r.verify(ch, ann, must(t)(key.Get(ch.Options()))); err != nil {
		t.Error(err)
	}
}

// TestRegistrationVerifiesThePerson: where it is required, a registration without it is a
// wrong answer as well.
func TestRegistrationVerifiesThePerson(t *testing.T) {
	cfg := config
	cfg.UserVerification = passkey.Required
	r, key := newRig(t, cfg), passkeytest.New(origin)
	key.UserVerified = false
	ch := r.challenge(r.enroll(ann))
	hostile := bytes.ReplaceAll(ch.Options(), []byte(`"required"`), []byte(`"preferred"`))
	if _, err := r.verify(ch, ann, must(t)(key.Create(hostile))); !errors.Is(err, mfa.ErrInvalidCode) {
		t.Error(err)
	}
}

// TestWithoutUserHandle: an authenticator that stores no passkey sends no user handle.
func TestWithoutUserHandle(t *testing.T) {
	r, key := newRig(t, config), passkeytest.New(origin)
	f := r.passkey(ann, key)
	key.NoUserHandle = true
	ch := r.challenge(f)
	if _, err := r.verify(ch, ann, must(t)(key.Get(ch.Options()))); err != nil {
		t.Error(err)
	}
}

// TestOptions: the options have the members that browsers require, by the names of WebAuthn.
func TestOptions(t *testing.T) {
	r, key := newRig(t, config), passkeytest.New(origin)
	mask := func(options []byte, hide ...string) string {
		t.Helper()
		text := string(options)
		for _, name := range hide {
			i := strings.Index(text, `"`+name+`":"`) + len(name) + 4
			text = text[:i] + "…" + text[i+strings.Index(text[i:], `"`):]
		}
		return text
	}
	const created = `{"rp":{"id":"example.com","name":"Example"},` +
		`"user":{"id":"…","name":"user_ann","displayName":"user_ann"},"challenge":"…",` +
		`"pubKeyCredParams":[{"type":"public-key","alg":-8},{"type":"public-key","alg":-7},` +
		`{"type":"public-key","alg":-257}],"timeout":600000,"excludeCredentials":[%s],` +
		`"authenticatorSelection":{"residentKey":"preferred","requireResidentKey":false,` +
		`"userVerification":"preferred"},"attestation":"none"}`
	const described = `{"type":"public-key","id":"…","transports":["internal"]}`
	first := r.enroll(ann)
	ch := r.challenge(first)
	got := strings.Replace(mask(ch.Options(), "challenge"), `"user":{"id":"`, `"user":{"ID":"`, 1)
	got = strings.Replace(mask([]byte(got), "ID"), `"ID"`, `"id"`, 1)
	if want := fmt.Sprintf(created, ""); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if _, err := r.verify(ch, ann, must(t)(key.Create(ch.Options()))); err != nil {
		t.Fatal(err)
	}
	got = mask(r.challenge(first).Options(), "challenge", "id")
	if want := `{"challenge":"…","timeout":600000,"rpId":"example.com",` +
		`"allowCredentials":[` + described + `],"userVerification":"preferred"}`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	second := string(r.challenge(r.enroll(ann)).Options())
	if !strings.Contains(second, `"excludeCredentials":[{"type":"public-key","id":"`) {
		t.Errorf("%s excludes nothing", second)
	}
}

// TestHostileAnswers: what no browser sends is a wrong answer, whatever it is.
func TestHostileAnswers(t *testing.T) {
	r, key := newRig(t, config), passkeytest.New(origin)
	f := r.passkey(ann, key)
	deep := base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte{0x81}, 10_000)) // CBOR lists
	fresh := func() (mfa.Challenge, []byte) {
		ch := r.challenge(r.enroll(ann))
		return ch, must(t)(passkeytest.New(origin).Create(ch.Options()))
	}
	login := func() (mfa.Challenge, []byte) {
		ch := r.challenge(f)
		return ch, must(t)(key.Get(ch.Options()))
	}
	for name, tt := range map[string]struct {
		ask    func() (mfa.Challenge, []byte)
		change func(response map[string]any)
	}{
		"deep CBOR":             {fresh, func(m map[string]any) { m["attestationObject"] = deep }},
		"deep CBOR in a login":  {login, func(m map[string]any) { m["authenticatorData"] = deep }},
		"an empty user handle":  {login, func(m map[string]any) { m["userHandle"] = "" }},
		"another's user handle": {login, func(m map[string]any) { m["userHandle"] = "Ym9i" }},
		"no signature":          {login, func(m map[string]any) { m["signature"] = "" }},
		"another RP ID": {login, func(m map[string]any) {
			m["authenticatorData"] = otherRPID(t, m)
		}},
	} {
		ch, answer := tt.ask()
		var all map[string]any
		if err := json.Unmarshal(answer, &all); err != nil {
			t.Fatal(err)
		}
		tt.change(all["response"].(map[string]any))
		text, err := json.Marshal(all)
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.verify(ch, ann, text)
		// An empty handle is none, as of keys that keep nothing.
		if want := name != "an empty user handle"; errors.Is(err, mfa.ErrInvalidCode) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// otherRPID is the authenticator data of a response with the hash of another RP ID.
func otherRPID(t *testing.T, response map[string]any) string {
	t.Helper()
	data, err := base64.RawURLEncoding.DecodeString(response["authenticatorData"].(string))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte("login.example.com"))
	return base64.RawURLEncoding.EncodeToString(append(sum[:], data[32:]...))
}
