package mfa_test

import (
	"encoding/base32"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/mfatest"
)

// otherSecret is one that another system made.
const otherSecret = "ONSWG4TFOQQHG5DBPFZSA43FMNZGK5BB"

// imports is an import that must succeed, with labels where there are none.
func (r *rig) imports(p mfa.ImportParams) enrolled {
	r.T.Helper()
	if p.UserID == "" {
		p.UserID = ann
	}
	if p.Secret == "" {
		p.Secret = otherSecret
	}
	if !strings.HasPrefix(p.Secret, "otpauth:") {
		p.Issuer, p.User = "Foo Corp", "alan.turing@foo-corp.com"
	}
	f, err := r.Import(r.T.Context(), p)
	if err != nil {
		r.T.Fatal(err)
	}
	return enrolled{Factor: f, Secret: otherSecret}
}

// TestImport: the factor is verified, is listed, logs in without being confirmed, and
// never lapses.
func TestImport(t *testing.T) {
	r := newRig(t)
	f := r.imports(mfa.ImportParams{Name: "work phone"})
	if f.Status != mfa.StatusVerified || f.Type != mfa.TypeTOTP || f.UserID != ann ||
		f.Name != "work phone" ||
		f.TOTPIssuer != "Foo Corp" ||
		f.TOTPUser != "alan.turing@foo-corp.com" ||
		f.CreatedAt != r.Clock.Now() {
		t.Errorf("%+v of %s", f.Factor, f.CreatedAt)
	}
	if events := r.Took(); len(events) != 1 || events[0].Kind != mfa.EventImported ||
		events[0].FactorID != f.ID ||
		events[0].UserID != ann {
		t.Errorf("events %+v", events)
	}
	r.Clock.Advance(72 * time.Hour)
	if n, err := r.Purge(t.Context()); n != 0 || err != nil {
		t.Errorf("%d records were purged, %v", n, err)
	}
	if factors, err := r.Factors(
		t.Context(),
		ann,
	); err != nil || len(factors) != 1 ||
		factors[0].ID != f.ID {
		t.Errorf("%v, %v", factors, err)
	}
	v, err := r.Answer(r.Ask(f), f, r.Right(f)) // without Confirm
	if err != nil || v.FirstUse || v.Factor.ID != f.ID {
		t.Errorf("%+v, %v", v, err)
	}
	_, err = r.Factor(t.Context(), mfa.FactorParams{FactorID: f.ID, UserID: "user_bob"})
	mustBe(t, err, mfa.ErrNotFound)
	app := r.EnrollTOTP(ann) // that somebody with the password alone enrolls
	_, err = r.Challenge(t.Context(), mfa.ChallengeParams{FactorID: app.ID, UserID: ann})
	mustBe(t, err, mfa.ErrFactorUnverified)
}

// TestImportSpellings: base32 and URIs as other systems write them are the same secret,
// and so the same factor.
func TestImportSpellings(t *testing.T) {
	r := newRig(t)
	f := r.imports(mfa.ImportParams{})
	for _, secret := range []string{
		otherSecret, strings.ToLower(otherSecret), otherSecret + "======",
		"ONSW G4TF OQQH G5DB-PFZS A43F MNZG K5BB",
		"otpauth://totp/Foo%20Corp:alan.turing@foo-corp.com?secret=" + otherSecret + "&issuer=Foo%20Corp",
		"otpauth://totp/Foo%20Corp%3Aalan%40foo-corp.com?issuer=Foo+Corp&period=30&secret=" +
			otherSecret + "&digits=6&algorithm=SHA1",
		"otpauth://totp/Foo Corp:%20alan?secret=" + strings.ToLower(otherSecret) +
			"%3D%3D&algorithm=HmacSHA1&image=https%3A%2F%2Ffoo-corp.com%2Flogo.png",
		"otpauth://totp/alan?issuer=Foo+Corp&secret=ONSW+G4TF+OQQHG5DBPFZSA43FMNZGK5BB====" +
			"&algorithm=sha-1",
		"otpauth://TOTP/Foo+Corp:alan?issuer=Foo+Corp&secret=" + otherSecret,
		"OTPAUTH://totp/A%2BB:alan+work@foo-corp.com?issuer=A%2BB&secret=" + otherSecret,
	} {
		p := mfa.ImportParams{UserID: ann, Secret: secret}
		if !strings.Contains(secret, ":") {
			p.Issuer, p.User = "a", "b"
		}
		if again, err := r.Import(t.Context(), p); err != nil || again.ID != f.ID {
			t.Errorf("%s: %v, %v", secret, again, err)
		}
	}
	r.Clock.Advance(time.Minute)
	if _, err := r.Answer(r.Ask(f), f, r.Right(f)); err != nil {
		t.Error(err)
	}
}

// TestImportLabels: what is shown comes from the URI, unless the caller says otherwise,
// and the caller can say otherwise whatever the URI says.
func TestImportLabels(t *testing.T) {
	const secret = "secret=" + otherSecret
	for _, tt := range []struct{ uri, issuer, user, wantIssuer, wantUser string }{
		{"otpauth://totp/Foo%20Corp:alan?" + secret + "&issuer=Foo%20Corp", "", "", "Foo Corp", "alan"},
		{"otpauth://totp/Foo%20Corp%3A%20alan?" + secret, "", "", "Foo Corp", "alan"},
		{"otpauth://totp/alan?" + secret + "&issuer=Foo+Corp", "", "", "Foo Corp", "alan"},
		{"otpauth://totp/Foo+Corp:alan?" + secret + "&issuer=Foo+Corp", "", "", "Foo Corp", "alan"},
		{"otpauth://totp/A%2BB:alan+work?" + secret + "&issuer=A%2BB", "", "", "A+B", "alan+work"},
		{"otpauth://totp/Foo%20Corp:alan?" + secret + "&issuer=Foo%20Corp",
			"Bar Corp", "turing", "Bar Corp", "turing"},
		{"otpauth://totp/Foo%20Corp:alan?" + secret + "&issuer=Evil", "Bar Corp", "", "Bar Corp", "alan"},
		{"otpauth://totp/alan?" + secret, "Bar Corp", "", "Bar Corp", "alan"},
		{"otpauth://totp/?" + secret, "Bar Corp", "turing", "Bar Corp", "turing"},
		{"otpauth://totp/a:b:c?" + secret, "", "turing", "a", "turing"},
		{"otpauth://totp/a:%00?" + secret, "", "turing", "a", "turing"},
		{"otpauth://totp/a:" + strings.Repeat("b", 65) + "?" + secret, "", "turing", "a", "turing"},
	} {
		f, err := newRig(
			t,
		).Import(t.Context(), mfa.ImportParams{
			UserID: ann, Secret: tt.uri, Issuer: tt.issuer, User: tt.user,
		})
		if err != nil || f.TOTPIssuer != tt.wantIssuer || f.TOTPUser != tt.wantUser {
			t.Errorf("%s, %q, %q: %q and %q, %v", tt.uri, tt.issuer, tt.user, f.TOTPIssuer, f.TOTPUser, err)
		}
	}
}

// TestImportRefused: what no app and this library agree on, and what cannot be shown,
// is refused before the store is asked, by a text that does not have the secret.
func TestImportRefused(t *testing.T) {
	r := newRig(t)
	const good = "otpauth://totp/Foo:alan?secret=" + otherSecret
	long := strings.Repeat("x", 65)
	for _, tt := range []struct {
		p    mfa.ImportParams
		want error
		text string
	}{
		// The person enrolls anew.
		{mfa.ImportParams{Secret: ""}, mfa.ErrInvalidTOTPSecret, "missing"},
		{mfa.ImportParams{Secret: "not base32!"}, mfa.ErrInvalidTOTPSecret, "not base32"},
		{mfa.ImportParams{Secret: otherSecret + "\n"}, mfa.ErrInvalidTOTPSecret, "not base32"},
		{mfa.ImportParams{Secret: otherSecret[:24]}, mfa.ErrInvalidTOTPSecret, "15 bytes; RFC 4226"},
		{mfa.ImportParams{Secret: " "}, mfa.ErrInvalidTOTPSecret, "0 bytes"},
		{mfa.ImportParams{Secret: strings.Repeat(otherSecret, 7)},
			mfa.ErrInvalidTOTPSecret, "at most 128 bytes"},
		{mfa.ImportParams{Secret: "otpauth://totp/Foo:alan?secret=" + otherSecret[:16]},
			mfa.ErrInvalidTOTPSecret, "10 bytes; RFC 4226"},
		{mfa.ImportParams{Secret: "otpauth://totp/Foo:alan?secret="},
			mfa.ErrInvalidTOTPSecret, "missing"},
		{mfa.ImportParams{Secret: "otpauth://totp/Foo:alan?issuer=Foo"},
			mfa.ErrInvalidTOTPSecret, "missing"},
		{mfa.ImportParams{Secret: "otpauth:"}, mfa.ErrInvalidTOTPSecret, "not of type totp"},
		{mfa.ImportParams{Secret: strings.Replace(good, "totp", "hotp", 1) + "&counter=1"},
			mfa.ErrInvalidTOTPSecret, "not of type totp"},
		{mfa.ImportParams{Secret: strings.Replace(good, "totp", "steam", 1)},
			mfa.ErrInvalidTOTPSecret, "not of type totp"},
		{mfa.ImportParams{Secret: strings.Replace(good, "//totp/", "totp:", 1)},
			mfa.ErrInvalidTOTPSecret, "not of type totp"},
		{mfa.ImportParams{Secret: strings.Replace(good, "totp", "x@totp", 1)},
			mfa.ErrInvalidTOTPSecret, "malformed"},
		{mfa.ImportParams{Secret: good + "&algorithm=SHA256"}, mfa.ErrInvalidTOTPSecret, "other codes"},
		{mfa.ImportParams{Secret: good + "&algorithm="}, mfa.ErrInvalidTOTPSecret, "other codes"},
		{mfa.ImportParams{Secret: good + "&digits=8"}, mfa.ErrInvalidTOTPSecret, "other codes"},
		{mfa.ImportParams{Secret: good + "&period=60"}, mfa.ErrInvalidTOTPSecret, "other codes"},
		{mfa.ImportParams{Secret: good + "&digits=6&digits=8"}, mfa.ErrInvalidTOTPSecret, "twice"},
		{mfa.ImportParams{Secret: good + "&secret=" + otherSecret}, mfa.ErrInvalidTOTPSecret, "twice"},
		{mfa.ImportParams{Secret: good + "&encoder=steam"},
			mfa.ErrInvalidTOTPSecret, "may change the codes"},
		{mfa.ImportParams{Secret: good + "&Digits=8"}, mfa.ErrInvalidTOTPSecret, "may change the codes"},
		{mfa.ImportParams{Secret: good + "#" + otherSecret}, mfa.ErrInvalidTOTPSecret, "malformed"},
		{mfa.ImportParams{Secret: good + ";digits=8"}, mfa.ErrInvalidTOTPSecret, "malformed"},
		{mfa.ImportParams{Secret: strings.Replace(good, "alan", "100%", 1)},
			mfa.ErrInvalidTOTPSecret, "malformed"},
		{mfa.ImportParams{Secret: good + "&image=" + strings.Repeat("x", 4096)},
			mfa.ErrInvalidTOTPSecret, "too long"},
		// The call can be mended.
		{mfa.ImportParams{UserID: "-"}, mfa.ErrInvalidParameter, "must have a user"},
		{mfa.ImportParams{UserID: mfa.AnyUser}, mfa.ErrInvalidParameter, "AnyUser"},
		{mfa.ImportParams{UserID: "a\nb"}, mfa.ErrInvalidParameter, "user id"},
		{mfa.ImportParams{Name: long}, mfa.ErrInvalidParameter, "name"},
		{mfa.ImportParams{Secret: otherSecret}, mfa.ErrInvalidParameter, "issuer must not be empty"},
		{mfa.ImportParams{Secret: otherSecret, Issuer: "a"},
			mfa.ErrInvalidParameter, "user must not be empty"},
		{mfa.ImportParams{Secret: good, Issuer: ":"},
			mfa.ErrInvalidParameter, "issuer must not be empty"},
		{mfa.ImportParams{Secret: good, User: "a:b"}, mfa.ErrInvalidParameter, "':'"},
		{mfa.ImportParams{Secret: strings.Replace(good, "alan", "a:b", 1)},
			mfa.ErrInvalidParameter, "':'"},
		{mfa.ImportParams{Secret: strings.Replace(good, "alan", "%E2%80%AE", 1)},
			mfa.ErrInvalidParameter, "control"},
		{mfa.ImportParams{Secret: strings.Replace(good, "alan", long, 1)},
			mfa.ErrInvalidParameter, "64 characters"},
		{mfa.ImportParams{Secret: strings.Replace(good, "Foo:", "", 1)},
			mfa.ErrInvalidParameter, "issuer must not be empty"},
		{mfa.ImportParams{Secret: good + "&issuer=Bar"}, mfa.ErrInvalidParameter, "two issuers"},
		{mfa.ImportParams{Secret: good, LastStep: r.Clock.Now().Unix()/30 + 21},
			mfa.ErrInvalidParameter, "in the future"},
		{mfa.ImportParams{Secret: good, LastStep: r.Clock.Now().Unix()},
			mfa.ErrInvalidParameter, "in the future"},
	} {
		switch tt.p.UserID {
		case "":
			tt.p.UserID = ann
		case "-":
			tt.p.UserID = ""
		}
		if errors.Is(tt.want, mfa.ErrInvalidTOTPSecret) {
			tt.p.Issuer, tt.p.User = "a", "b"
		} else if tt.p.Secret == "" {
			tt.p.Secret = good
		}
		var err error
		refused(
			t,
			r.Rig,
			fmt.Sprint(tt.p),
			tt.want,
			func() error { _, err = r.Import(t.Context(), tt.p); return err },
		)
		if text := printed(
			err,
		); !strings.Contains(text, tt.text) || strings.Contains(text, otherSecret[:8]) ||
			strings.Contains(text, "otpauth:") {
			t.Errorf("%v: %v, want %q", tt.p, err, tt.text)
		}
	}
	if events := r.Took(); len(events) != 0 || len(r.Records()) != 0 {
		t.Errorf("events %v, %d records", events, len(r.Records()))
	}
}

// TestImportWithoutURI: a refusal says that the secret alone would do where only the URI is
// at fault, and not where the app makes other codes.
func TestImportWithoutURI(t *testing.T) {
	r := newRig(t)
	for query, want := range map[string]bool{"&encoder=none": true, "&digits=8": false} {
		_, err := r.Import(t.Context(), mfa.ImportParams{
			UserID: ann, Secret: "otpauth://totp/Foo:alan?secret=" + otherSecret + query,
		})
		if got := strings.HasSuffix(
			refusal(t, err).Message,
			" The secret alone can be imported, with Issuer and User.",
		); got != want {
			t.Errorf("%s: %v", query, err)
		}
	}
}

// TestImportUsedCodes: a code that the other system accepted, or may have, is not
// accepted here. After the import the first code that is, counted from the step of the
// import, depends on what the other system knows.
func TestImportUsedCodes(t *testing.T) {
	const steps = 30 * time.Second
	now := time.Date(2026, 1, 1, 0, 0, 17, 0, time.UTC)
	step := now.Unix() / 30
	for _, tt := range []struct {
		what  string
		p     mfa.ImportParams
		first int64
	}{
		{"nothing is known", mfa.ImportParams{}, 2},
		{"never used, some say", mfa.ImportParams{LastStep: -1}, 2},
		{"used now", mfa.ImportParams{LastUsed: now}, 2},
		{"used a step ago", mfa.ImportParams{LastUsed: now.Add(-steps)}, 1},
		{"used two steps ago", mfa.ImportParams{LastUsed: now.Add(-2 * steps)}, 0},
		{"used long ago", mfa.ImportParams{LastUsed: now.Add(-10 * steps)}, -1},
		{"used later than now", mfa.ImportParams{LastUsed: now.Add(5 * time.Minute)}, 2},
		{"used in milliseconds for seconds",
			mfa.ImportParams{LastUsed: time.Unix(now.UnixMilli(), 0)}, 2},
		{"used in 1970", mfa.ImportParams{LastUsed: time.Unix(0, 0)}, 2},
		{"the code of a step ago", mfa.ImportParams{LastStep: step - 1}, 0},
		{"the code of now", mfa.ImportParams{LastStep: step}, 1},
		{"the code to come", mfa.ImportParams{LastStep: step + 1}, 2},
		{"a code of an app that is far ahead", mfa.ImportParams{LastStep: step + 20}, 21},
		{"a code of long ago", mfa.ImportParams{LastStep: step - 10}, -1},
		{"the later of two: the time",
			mfa.ImportParams{LastStep: step - 10, LastUsed: now.Add(-steps)}, 1},
		{"the later of two: the step",
			mfa.ImportParams{LastStep: step + 1, LastUsed: now.Add(-9 * steps)}, 2},
	} {
		first := int64(-2)
		for k := int64(-1); k <= 22 && first == -2; k++ {
			r := newRig(t)
			r.Clock.Set(now)
			f := r.imports(tt.p)
			if k > 1 { // the moment from which this code is in the window
				r.Clock.Set(time.Unix((step+k-1)*30, 0))
			}
			r.Took()
			_, err := r.Answer(r.Ask(f), f, mfatest.Code(otherSecret, time.Unix((step+k)*30, 0)))
			if err == nil {
				first = k
				continue
			}
			mustBe(t, err, mfa.ErrInvalidCode)
			if events := r.Took(); len(events) != 2 || events[1].Kind != mfa.EventReplayed {
				t.Errorf("%s: a used code raised %+v", tt.what, events)
			}
		}
		if first != tt.first {
			t.Errorf(
				"%s: the first code that is accepted is %d steps from the import, want %d",
				tt.what,
				first,
				tt.first,
			)
		}
	}
}

// TestImportAgain: a job that is run again finds what it imported, and changes nothing:
// no second factor, no label, no event, no used code that is valid again.
func TestImportAgain(t *testing.T) {
	r := newRig(t)
	step := func() int64 { return r.Clock.Now().Unix() / 30 }
	row := mfa.ImportParams{Name: "work phone", LastStep: step() - 5}
	f := r.imports(row)
	r.Clock.Advance(time.Hour)
	ch, code := r.Ask(f), r.Right(f)
	if _, err := r.Answer(ch, f, code); err != nil {
		t.Fatal(err)
	}
	r.Took()
	before := r.Versions()
	for what, p := range map[string]mfa.ImportParams{
		"the same row": row, "nothing known": {}, "a name": {Name: "old phone"},
		"the URI":                     {Secret: "otpauth://totp/x:y?secret=" + otherSecret},
		"the code that was used here": {LastStep: step()},
		"an older use":                {LastUsed: r.Clock.Now().Add(-30 * time.Second)},
	} {
		again := r.imports(p)
		if again.ID != f.ID || again.Name != "work phone" || again.TOTPIssuer != "Foo Corp" ||
			!again.UpdatedAt.Equal(f.UpdatedAt) {
			t.Errorf("%s: %+v", what, again.Factor)
		}
		if events := r.Took(); len(events) != 0 || fmt.Sprint(before) != fmt.Sprint(r.Versions()) {
			t.Errorf("%s: events %+v, versions %v", what, events, r.Versions())
		}
	}
	_, err := r.Answer(r.Ask(f), f, code)
	mustBe(t, err, mfa.ErrInvalidCode)

	// A code that was used there in the meantime is used here.
	r.Clock.Advance(time.Minute)
	code = r.Right(f)
	r.Took()
	if again := r.imports(mfa.ImportParams{LastStep: step()}); again.ID != f.ID || len(r.Took()) != 0 {
		t.Errorf("%+v", again.Factor)
	}
	_, err = r.Answer(r.Ask(f), f, code)
	mustBe(t, err, mfa.ErrInvalidCode)
	r.imports(row)
	_, err = r.Answer(r.Ask(f), f, code)
	mustBe(t, err, mfa.ErrInvalidCode)
	r.Clock.Advance(time.Minute)
	r.LogIn(f)

	r.Fail(f, 30)
	if again := r.imports(row); again.ID != f.ID || again.Status != mfa.StatusDisabled {
		t.Errorf("%+v, want it as it is: disabled", again.Factor)
	}
}

// TestImportOfOthers: another secret is another factor, and so is the same one of
// another user.
func TestImportOfOthers(t *testing.T) {
	r := newRig(t)
	f := r.imports(mfa.ImportParams{})
	other := r.imports(mfa.ImportParams{Secret: otherSecret[:30] + "MI"})
	bob := r.imports(mfa.ImportParams{UserID: "user_bob"})
	if other.ID == f.ID || bob.ID == f.ID || bob.UserID != "user_bob" {
		t.Errorf("%v, %v, %v", f, other, bob)
	}
	factors, err := r.Factors(t.Context(), ann)
	if err != nil || len(factors) != 2 {
		t.Errorf("%v, %v", factors, err)
	}
}

// TestImportAtOnce: two jobs over the same rows make one factor of each.
func TestImportAtOnce(t *testing.T) {
	r := newRig(t)
	ids := make([]string, 8)
	errs := all(len(ids), func(i int) error {
		f, err := r.Import(t.Context(), mfa.ImportParams{
			UserID: ann, Secret: otherSecret, Issuer: "a", User: "b",
		})
		ids[i] = f.ID
		return err
	})
	slices.Sort(ids)
	if n := count(errs, nil); n != len(ids) || len(slices.Compact(ids)) != 1 {
		t.Errorf("%v: %v", slices.Compact(ids), errs)
	}
	events := r.Took()
	if factors, err := r.Factors(
		t.Context(),
		ann,
	); err != nil || len(factors) != 1 ||
		len(events) != 1 {
		t.Errorf("%v, %v; events %v", factors, err, events)
	}
}

// TestImportBesideEnrollment: beside a verified factor an enrolment that the user has begun
// goes on, except that of the same secret: two factors of one secret would take one code
// twice.
func TestImportBesideEnrollment(t *testing.T) {
	r := newRig(t)
	r.Phone(ann, phone)
	begun := r.EnrollTOTP(ann)
	r.Took()
	f := r.imports(mfa.ImportParams{})
	if events := r.Took(); len(events) != 1 {
		t.Errorf("events %+v", events)
	}
	r.LogIn(begun)
	r.LogIn(f)

	same, err := r.Enroll(t.Context(), mfa.EnrollParams{
		UserID: "user_bob",
		TOTP:   &mfa.TOTPParams{Issuer: "a", User: "b", Secret: otherSecret},
	})
	if err != nil {
		t.Fatal(err)
	}
	r.Took()
	bob := r.imports(mfa.ImportParams{UserID: "user_bob"})
	events := r.Took()
	if len(events) != 2 || events[1].Kind != mfa.EventReplaced ||
		events[1].FactorID != same.Factor.ID {
		t.Errorf("events %+v", events)
	}
	factors, err := r.Factors(t.Context(), "user_bob")
	if err != nil || len(factors) != 1 || factors[0].ID != bob.ID {
		t.Errorf("%v, %v", factors, err)
	}
}

// TestImportOfAnEnrollment: and so beside a verified factor, where an import ends nothing else.
func TestImportOfAnEnrollment(t *testing.T) {
	r := newRig(t)
	number := r.Phone(ann, phone)
	same, err := r.Enroll(t.Context(), mfa.EnrollParams{
		UserID: ann, TOTP: &mfa.TOTPParams{Issuer: "a", User: "b", Secret: otherSecret},
	})
	if err != nil {
		t.Fatal(err)
	}
	r.Took()
	r.Clock.Advance(time.Minute) // ids are in the order of time
	f := r.imports(mfa.ImportParams{})
	events := r.Took()
	if len(events) != 2 || events[1].Kind != mfa.EventReplaced ||
		events[1].FactorID != same.Factor.ID {
		t.Errorf("events %+v", events)
	}
	if got := r.FactorIDs(ann); !slices.Equal(got, []string{number.ID, f.ID}) {
		t.Errorf("factors %v, want the number and the import", got)
	}
}

// TestImportAtTheCap: ten factors are ten, and a run is finished at ten as well.
func TestImportAtTheCap(t *testing.T) {
	r := newRig(t)
	f := r.imports(mfa.ImportParams{})
	for range 9 {
		r.TOTP(ann)
	}
	_, err := r.Import(t.Context(), mfa.ImportParams{
		UserID: ann, Secret: otherSecret[:30] + "MI", Issuer: "a", User: "b",
	})
	mustBe(t, err, mfa.ErrTooManyFactors)
	if again := r.imports(mfa.ImportParams{}); again.ID != f.ID {
		t.Errorf("%v", again)
	}
}

// TestImportRoundTrips: as many as Enroll takes, and none that writes for what is there.
func TestImportRoundTrips(t *testing.T) {
	r := newRig(t)
	for _, tt := range []struct {
		what string
		p    mfa.ImportParams
		want string
	}{
		{"the first", mfa.ImportParams{}, "Load List Save"},
		{"the second",
			mfa.ImportParams{Secret: "otpauth://totp/a:b?secret=" + otherSecret[:30] + "MI"},
			"Load List Save"},
		{"again", mfa.ImportParams{}, "Load List"},
		{"again, used since", mfa.ImportParams{LastStep: r.Clock.Now().Unix()/30 + 5}, "Load List Save"},
	} {
		before := len(r.Store.Calls())
		r.imports(tt.p)
		var methods []string
		for _, c := range r.Store.Calls()[before:] {
			methods = append(methods, c.Method)
		}
		if got := strings.Join(methods, " "); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.what, got, tt.want)
		}
	}
}

// FuzzImport: any text is refused, with nothing stored and nothing of it in the error,
// or the app that it was made for logs in, once its used codes are over.
func FuzzImport(f *testing.F) {
	for _, secret := range []string{
		otherSecret, strings.ToLower(otherSecret), otherSecret[:16],
		"ONSW G4TF OQQH G5DB-PFZS A43F MNZG K5BB====", "otpauth://totp/Foo:alan?secret=" + otherSecret,
		"otpauth://totp/Foo%20Corp%3Aalan?algorithm=SHA1&digits=6&issuer=Foo+Corp&period=30&secret=" +
			otherSecret,
		"otpauth://hotp/a:b?counter=1&secret=" + otherSecret,
		"otpauth://totp/a:b?digits=8&secret=" + otherSecret,
		"otpauth://totp/a:b?secret=A&secret=" + otherSecret, "otpauth://totp/a:b?" + otherSecret,
		"otpauth://" + otherSecret,
		"otpauth://totp/100%?secret=" + otherSecret, "otpauth:totp/a:b?secret=" + otherSecret,
		"OTPAUTH://TOTP/?secret=ONSW+G4TF+OQQHG5DBPFZSA43FMNZGK5BB", "", "otpauth:", "\xff",
	} {
		f.Add(secret, "", "", int64(0))
		f.Add(secret, "Foo Corp", "alan", int64(58_909_000))
	}
	long := regexp.MustCompile(`[A-Z2-7]{16}`) // no word of an error is so long
	f.Fuzz(func(t *testing.T, secret, issuer, user string, last int64) {
		r := newRig(t)
		imported, err := r.Import(t.Context(), mfa.ImportParams{
			UserID: ann, Secret: secret, Issuer: issuer, User: user, LastStep: last,
		})
		if err != nil {
			if !errors.Is(err, mfa.ErrInvalidParameter) && !errors.Is(err, mfa.ErrInvalidTOTPSecret) {
				t.Fatal(err)
			}
			if len(r.Store.Calls()) > 0 {
				t.Fatal("it was refused after a call of the store")
			}
			for _, part := range long.FindAllString(strings.ToUpper(secret), -1) {
				if strings.Contains(strings.ToUpper(err.Error()), part) {
					t.Fatal("the error shows what may be a secret")
				}
			}
			return
		}
		// An app of our own reads the same text.
		plain := secret
		if strings.Contains(secret, ":") {
			uri, err := url.Parse(secret)
			if err != nil {
				t.Fatal(err)
			}
			query, err := url.ParseQuery(uri.RawQuery)
			if err != nil || !strings.EqualFold(uri.Scheme, "otpauth") ||
				!strings.EqualFold(uri.Host, "totp") ||
				len(query["secret"]) != 1 {
				t.Fatalf("%q was taken for a URI, %v", secret, err)
			}
			for name, want := range map[string]string{"digits": "6", "period": "30"} {
				if query.Has(name) && !slices.Equal(query[name], []string{want}) {
					t.Fatalf("%q was taken with %s %q", secret, name, query[name])
				}
			}
			if query.Has("algorithm") &&
				!strings.Contains(
					strings.ReplaceAll(strings.ToUpper(query.Get("algorithm")), "-", ""),
					"SHA1",
				) {
				t.Fatalf("%q was taken with algorithm %q", secret, query["algorithm"])
			}
			plain = query.Get("secret")
		}
		plain = strings.TrimRight(
			strings.ToUpper(strings.NewReplacer(" ", "", "-", "").Replace(plain)),
			"=",
		)
		key, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(plain)
		if err != nil || len(key) < 16 || len(key) > 128 {
			t.Fatalf("%d bytes were taken, %v", len(key), err)
		}
		if imported.Status != mfa.StatusVerified || imported.TOTPIssuer == "" ||
			imported.TOTPUser == "" ||
			strings.Contains(imported.TOTPUser, ":") {
			t.Fatalf("%v", imported)
		}
		r.Clock.Advance(11 * time.Minute)
		app := enrolled{Factor: imported, Secret: plain}
		if v, err := r.Answer(r.Ask(app), app, r.Right(app)); err != nil || !v.Valid {
			t.Fatal(err)
		}
	})
}
