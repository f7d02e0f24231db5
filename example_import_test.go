package mfa_test

import (
	"context"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/mfatest"
)

// exampleLogin challenges a factor and answers with the code.
func exampleLogin(svc *mfa.Service, f mfa.Factor, code string) bool {
	ctx := context.Background()
	ch, err := svc.Challenge(ctx, mfa.ChallengeParams{FactorID: f.ID, UserID: f.UserID})
	if err != nil {
		log.Fatal(err)
	}
	_, err = svc.Verify(ctx, mfa.VerifyParams{ChallengeID: ch.ID, UserID: f.UserID, Code: code})
	return err == nil
}

// A job over all rows, which can be run again. The other system does not know when a
// code was last used, so the codes that are valid now are used up.
func ExampleService_Import() {
	ctx := context.Background()
	svc, clock, _ := exampleService()
	rows := []struct{ userID, secret string }{
		{"user_42", "otpauth://totp/Foo%20Corp:alan.turing@foo-corp.com?secret=G4ZTQMJSGY2DENZVGEZTOOJRGQZTSOBT&issuer=Foo+Corp"},
		{"user_43", "otpauth://totp/Foo%20Corp:grace.hopper@foo-corp.com?secret=JBSWY3DPEHPK3PXP&issuer=Foo+Corp"},
		{"user_44", "otpauth://totp/Foo%20Corp:ada.lovelace@foo-corp.com?secret=GA4TQNZWGU2DGMRRGA4TQNZWGU2DGMRR&digits=8"},
	}
	for range 2 {
		for _, row := range rows {
			_, err := svc.Import(ctx, mfa.ImportParams{UserID: row.userID, Secret: row.secret})
			switch {
			case err == nil:
			case errors.Is(err, mfa.ErrInvalidTOTPSecret):
				fmt.Println(row.userID, "has to enroll anew:", err)
			default:
				log.Fatal(err)
			}
		}
	}
	factors, err := svc.Factors(ctx, "user_42")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(factors), "factor:", factors[0].Type, factors[0].TOTPUser, factors[0].Status)
	code := mfatest.Code(rows[0].secret, clock.Now())
	fmt.Println("the code of now:", exampleLogin(svc, factors[0], code))
	clock.Advance(time.Minute)
	code = mfatest.Code(rows[0].secret, clock.Now())
	fmt.Println("a minute later:", exampleLogin(svc, factors[0], code))
	// Output:
	// user_43 has to enroll anew: mfa: The TOTP secret has 10 bytes; RFC 4226 section 4 demands at least 16, because a shorter one can be guessed from codes. (invalid_totp_secret)
	// user_44 has to enroll anew: mfa: The otpauth URI is for other codes than those of SHA-1, 6 digits and 30 seconds. (invalid_totp_secret)
	// user_43 has to enroll anew: mfa: The TOTP secret has 10 bytes; RFC 4226 section 4 demands at least 16, because a shorter one can be guessed from codes. (invalid_totp_secret)
	// user_44 has to enroll anew: mfa: The otpauth URI is for other codes than those of SHA-1, 6 digits and 30 seconds. (invalid_totp_secret)
	// 1 factor: totp alan.turing@foo-corp.com verified
	// the code of now: false
	// a minute later: true
}

// Supabase: rows of auth.mfa_factors with the email of auth.users. Decrypt the secret
// first, if encryption is on. last_challenged_at is when a code was asked for; it was
// accepted within the life of a challenge, which is 5 minutes unless configured.
func ExampleService_Import_supabase() {
	ctx := context.Background()
	svc, clock, _ := exampleService()
	challenged := clock.Now().Add(-26 * time.Hour)
	rows := []struct {
		UserID, Email                            string
		FriendlyName, FactorType, Status, Secret string
		LastChallengedAt                         *time.Time
	}{
		{"0b8f3c1e-6f0e-4f0a-9f53-0d6f4c1f4f01", "alan@foo-corp.com", "work phone", "totp", "verified", "ORUGS4ZANFZSAYJAONSWG4TFOQQHIMTB", &challenged},
		{"0b8f3c1e-6f0e-4f0a-9f53-0d6f4c1f4f01", "alan@foo-corp.com", "", "totp", "unverified", "MFXG65DIMVZCA33OMUQHI2DBOQQGS4ZA", nil},
		{"0b8f3c1e-6f0e-4f0a-9f53-0d6f4c1f4f01", "alan@foo-corp.com", "mobile", "phone", "verified", "", &challenged},
	}
	for _, row := range rows {
		if row.FactorType != "totp" || row.Status != "verified" {
			continue // enroll a number with SMS
		}
		p := mfa.ImportParams{UserID: row.UserID, Name: row.FriendlyName, Secret: row.Secret, Issuer: "Foo Corp", User: row.Email}
		if row.LastChallengedAt != nil {
			p.LastUsed = row.LastChallengedAt.Add(5 * time.Minute)
		}
		f, err := svc.Import(ctx, p)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(f.Name, f.Status, "logs in:", exampleLogin(svc, f, mfatest.Code(row.Secret, clock.Now())))
	}
	// Output: work phone verified logs in: true
}

// Authboss: what GetTOTPSecretKey of the user returns. GetTOTPLastCode is a code, and
// does not say when it was used: leave LastUsed out, and it is used up with all others.
func ExampleService_Import_authboss() {
	ctx := context.Background()
	svc, clock, _ := exampleService()
	rows := []struct{ Email, TOTPSecretKey, TOTPLastCode string }{
		{"alan@foo-corp.com", "MFUXG2DBNBTWC3DMNFXGOZJAORXXIMJA", "217345"},
		{"grace@foo-corp.com", "", ""}, // none enrolled
	}
	for _, row := range rows {
		if row.TOTPSecretKey == "" {
			continue
		}
		f, err := svc.Import(ctx, mfa.ImportParams{UserID: row.Email, Secret: row.TOTPSecretKey, Issuer: "Foo Corp", User: row.Email})
		if err != nil {
			log.Fatal(err)
		}
		clock.Advance(time.Minute)
		fmt.Println(f.TOTPUser, f.Status, "logs in:", exampleLogin(svc, f, mfatest.Code(row.TOTPSecretKey, clock.Now())))
	}
	// Output: alan@foo-corp.com verified logs in: true
}

// Ory Kratos: rows of identity_credentials whose type is totp. It does not keep when a
// code was used.
func ExampleService_Import_kratos() {
	ctx := context.Background()
	svc, clock, _ := exampleService()
	rows := []struct {
		IdentityID string
		Config     []byte
	}{{
		"9f425a8d-7efc-4768-8f23-7647a74fdf13",
		[]byte(`{"totp_url": "otpauth://totp/foo-corp.com:alan@foo-corp.com?algorithm=SHA1&digits=6&issuer=foo-corp.com&period=30&secret=NNZGC5DPOMQGC3THMVWGYZJAMFXGIIDT"}`),
	}}
	for _, row := range rows {
		var config struct {
			TOTPURL string `json:"totp_url"`
		}
		if err := json.Unmarshal(row.Config, &config); err != nil {
			log.Fatal(err)
		}
		f, err := svc.Import(ctx, mfa.ImportParams{UserID: row.IdentityID, Secret: config.TOTPURL})
		if err != nil {
			log.Fatal(err)
		}
		clock.Advance(time.Minute)
		fmt.Println(f.TOTPIssuer, f.TOTPUser, "logs in:", exampleLogin(svc, f, mfatest.Code(config.TOTPURL, clock.Now())))
	}
	// Output: foo-corp.com alan@foo-corp.com logs in: true
}

// Devise-two-factor: users with otp_required_for_login, otp_secret as the model
// decrypts it. consumed_timestep is when a code was used and not which one: it may have
// been the next.
func ExampleService_Import_devise() {
	ctx := context.Background()
	svc, clock, _ := exampleService()
	consumed := int64(58_907_519) // half a minute ago
	rows := []struct {
		ID                  int64
		Email, OTPSecret    string
		OTPRequiredForLogin bool
		ConsumedTimestep    *int64
	}{
		{42, "alan@foo-corp.com", "MRSXM2LTMUQHI53PEBTGCY3UN5ZCA4TP", true, &consumed},
		{43, "grace@foo-corp.com", "NBXXA4DFOIQG64DUEBXXK5BAN5TCAMRU", false, nil},
	}
	for _, row := range rows {
		if !row.OTPRequiredForLogin {
			continue // never confirmed, or switched off
		}
		p := mfa.ImportParams{UserID: fmt.Sprint("user_", row.ID), Secret: row.OTPSecret, Issuer: "Foo Corp", User: row.Email}
		if row.ConsumedTimestep != nil {
			p.LastStep = *row.ConsumedTimestep + 1
		}
		f, err := svc.Import(ctx, p)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(f.TOTPUser, "logs in now:", exampleLogin(svc, f, mfatest.Code(row.OTPSecret, clock.Now())))
		clock.Advance(30 * time.Second)
		fmt.Println("half a minute later:", exampleLogin(svc, f, mfatest.Code(row.OTPSecret, clock.Now())))
	}
	// Output:
	// alan@foo-corp.com logs in now: false
	// half a minute later: true
}

// Django-otp: rows of otp_totp_totpdevice. last_t is the step of the code that was
// accepted, by the app's clock: drift is in it already. An app that drifted by more than
// a step is not followed here; ask for its clock to be set.
func ExampleService_Import_djangoOTP() {
	ctx := context.Background()
	svc, clock, _ := exampleService()
	rows := []struct {
		UserID           int64
		Name, Key        string
		Confirmed        bool
		Step, Digits     int
		T0, LastT        int64
		Tolerance, Drift int
		Username         string // of auth_user
	}{
		{42, "phone", "3132333435363738393031323334353637383930", true, 30, 6, 0, 58_907_521, 1, 1, "alan"},
		{43, "tablet", "6162636465666768696a6b6c6d6e6f7071727374", true, 30, 6, 0, -1, 1, 0, "grace"}, // never used
		{44, "token", "3039383736353433323130393837363534333231", true, 30, 8, 0, 58_907_000, 1, 0, "ada"},
	}
	for _, row := range rows {
		if !row.Confirmed || row.Step != 30 || row.Digits != 6 || row.T0 != 0 {
			fmt.Println(row.Username, "has to enroll anew")
			continue
		}
		key, err := hex.DecodeString(row.Key)
		if err != nil {
			log.Fatal(err)
		}
		f, err := svc.Import(ctx, mfa.ImportParams{
			UserID: fmt.Sprint("user_", row.UserID), Name: row.Name, Secret: base32.StdEncoding.EncodeToString(key),
			Issuer: "Foo Corp", User: row.Username, LastStep: row.LastT,
		})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(f.TOTPUser, f.Name, f.Status)
	}
	factors, err := svc.Factors(ctx, "user_42")
	if err != nil {
		log.Fatal(err)
	}
	app := func() string { // half a minute ahead
		return mfatest.Code("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", clock.Now().Add(30*time.Second))
	}
	fmt.Println("the code that django-otp accepted:", exampleLogin(svc, factors[0], app()))
	clock.Advance(30 * time.Second)
	fmt.Println("the next one:", exampleLogin(svc, factors[0], app()))
	// Output:
	// alan phone verified
	// grace tablet verified
	// ada has to enroll anew
	// the code that django-otp accepted: false
	// the next one: true
}

// Nextcloud: rows of oc_twofactor_totp_secrets that are enabled, with the secret
// decrypted. last_counter is the step of the last code, -1 for none.
func ExampleService_Import_nextcloud() {
	ctx := context.Background()
	svc, clock, _ := exampleService()
	const enabled = 2
	rows := []struct {
		UserID, Secret string
		State          int
		LastCounter    int64
	}{
		{"alan", "NZSXQ5DDNRXXKZBAOR3W6IDGMFRXI33S", enabled, 58_907_519},
		{"grace", "MNZGKYLUMVSCA3TPOQQGK3TBMJWGKZBA", 1, -1}, // made, never confirmed
	}
	for _, row := range rows {
		if row.State != enabled {
			continue
		}
		f, err := svc.Import(ctx, mfa.ImportParams{UserID: row.UserID, Secret: row.Secret, Issuer: "Foo Cloud", User: row.UserID, LastStep: row.LastCounter})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(f.TOTPUser, "logs in:", exampleLogin(svc, f, mfatest.Code(row.Secret, clock.Now())))
	}
	// Output: alan logs in: true
}

// Authelia: the file that "authelia storage user totp export" writes, where the secret
// is the base64 of its base32.
func ExampleService_Import_authelia() {
	ctx := context.Background()
	svc, clock, _ := exampleService()
	used := clock.Now().Add(-48 * time.Hour)
	rows := []struct {
		Username, Issuer, Algorithm string
		Digits, Period              int
		Secret                      string
		LastUsedAt                  *time.Time
	}{
		{"alan", "Authelia", "SHA1", 6, 30, "TUZVSFQzTFFOUlFYSVNKQU1WU0dDNDRBTjVVR0MyTEFNTlpHS1kzVEdJWlRITFFOQ1FRSE1aTEo=", &used},
		{"grace", "Authelia", "SHA512", 6, 30, "TUZVSFQzTFFOUlFYSVNKQU1WU0dDNDRBTjVVR0MyTEFNTlpHS1kzVEdJWlRITFFOQ1FRSE1aTEo=", nil},
	}
	for _, row := range rows {
		if row.Algorithm != "SHA1" || row.Digits != 6 || row.Period != 30 {
			fmt.Println(row.Username, "has to enroll anew")
			continue
		}
		secret, err := base64.StdEncoding.DecodeString(row.Secret)
		if err != nil {
			log.Fatal(err)
		}
		p := mfa.ImportParams{UserID: row.Username, Secret: string(secret), Issuer: row.Issuer, User: row.Username}
		if row.LastUsedAt != nil {
			p.LastUsed = *row.LastUsedAt
		}
		f, err := svc.Import(ctx, p)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(f.TOTPUser, "logs in:", exampleLogin(svc, f, mfatest.Code(string(secret), clock.Now())))
	}
	// Output:
	// alan logs in: true
	// grace has to enroll anew
}

// Keycloak: rows of credential whose type is otp. The value is the secret itself, as
// text, unless credential_data says that it is base32.
func ExampleService_Import_keycloak() {
	ctx := context.Background()
	svc, clock, _ := exampleService()
	rows := []struct{ UserID, Username, UserLabel, SecretData, CredentialData string }{
		{
			"f1e6b8b0-6a0e-4c8a-8a39-1b0d5a5d7c42", "alan", "my phone", `{"value":"Qm7xT2LkV9cYw4HdPz8R"}`,
			`{"subType":"totp","digits":6,"counter":0,"period":30,"algorithm":"HmacSHA1"}`,
		},
		{
			"2d6f3f6e-54a5-4d0c-9a11-70c2c35b0d43", "grace", "", `{"value":"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"}`,
			`{"subType":"totp","digits":6,"counter":0,"period":30,"algorithm":"HmacSHA1","secretEncoding":"BASE32"}`,
		},
	}
	for _, row := range rows {
		var secret struct{ Value string }
		var data struct {
			SubType, Algorithm, SecretEncoding string
			Digits, Period                     int
		}
		if err := errors.Join(json.Unmarshal([]byte(row.SecretData), &secret), json.Unmarshal([]byte(row.CredentialData), &data)); err != nil {
			log.Fatal(err)
		}
		if data.SubType != "totp" || data.Algorithm != "HmacSHA1" || data.Digits != 6 || data.Period != 30 {
			fmt.Println(row.Username, "has to enroll anew")
			continue
		}
		text := secret.Value
		if data.SecretEncoding != "BASE32" {
			text = base32.StdEncoding.EncodeToString([]byte(text))
		}
		f, err := svc.Import(ctx, mfa.ImportParams{UserID: row.UserID, Name: row.UserLabel, Secret: text, Issuer: "foo-corp", User: row.Username})
		if err != nil {
			log.Fatal(err)
		}
		clock.Advance(time.Minute)
		fmt.Println(f.TOTPUser, "logs in:", exampleLogin(svc, f, mfatest.Code(text, clock.Now())))
	}
	// Output:
	// alan logs in: true
	// grace logs in: true
}

// Better Auth: rows of twoFactor for users with twoFactorEnabled, with the secret
// decrypted. It is the key itself, as text; its base32 is what the app has.
func ExampleService_Import_betterAuth() {
	ctx := context.Background()
	svc, clock, _ := exampleService()
	rows := []struct {
		UserID, Email, Secret string
		TwoFactorEnabled      bool
	}{
		{"kT3vWq9ZrYb2LmXs", "alan@foo-corp.com", "hV7nQ2xLc9KdPzR4tYwB8mSfJ6gAeU3k", true},
		{"aB8cD4eF6gH2jK9m", "grace@foo-corp.com", "pX4sZ8vN2bMqW6rT9yLcG3hJ7kFdE5aU", false},
	}
	for _, row := range rows {
		if !row.TwoFactorEnabled {
			continue
		}
		secret := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString([]byte(row.Secret))
		f, err := svc.Import(ctx, mfa.ImportParams{UserID: row.UserID, Secret: secret, Issuer: "Foo Corp", User: row.Email})
		if err != nil {
			log.Fatal(err)
		}
		clock.Advance(time.Minute)
		fmt.Println(f.TOTPUser, "logs in:", exampleLogin(svc, f, mfatest.Code(secret, clock.Now())))
	}
	// Output: alan@foo-corp.com logs in: true
}
