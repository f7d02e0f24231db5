// Package mfatest has what tests of multi-factor authentication need: fakes for
// the unit tests of applications that import package mfa, and a conformance suite
// for stores.
//
// The service needs no fake, because it runs in memory. The fakes stand for what is
// around it, and the test controls them:
//
//   - [Clock] is the time. No test waits for a challenge to expire.
//   - [Code] is the person's authenticator app.
//   - [Sender] is their phone: it keeps the messages, and fails by script.
//   - [Enrolled], [EnrolledPhone] and [EnrolledRecoveryCodes] give a user a confirmed factor.
//   - [AnswerLogin] is the front end of an application that uses package mfaweb.
//   - [FaultyStore] is a database that fails by script, around any other store.
//   - [Keys] is the keyring that any store but a MemoryStore requires.
//   - [TestStore] checks a store of your own against the contract of [mfa.Store].
//
// A test of an application's login, where App is the application and keeps the
// service in a field:
//
//	func TestLogin(t *testing.T) {
//		ctx := t.Context()
//		clock := new(mfatest.Clock)
//		svc, err := mfa.New(mfa.Config{Store: new(mfa.MemoryStore), Now: clock.Now})
//		if err != nil {
//			t.Fatal(err)
//		}
//		app := &App{MFA: svc}
//
//		// Alan has an authenticator app, confirmed with a first code.
//		enr, err := svc.Enroll(ctx, mfa.EnrollParams{
//			UserID: "alan",
//			TOTP: &mfa.TOTPParams{
//				Issuer: "Foo Corp", User: "alan", Secret: "MEQHGZLDOJSXIIDGN5ZCA5DFON2GS3TH",
//			},
//		})
//		if err != nil {
//			t.Fatal(err)
//		}
//		ch, err := svc.Challenge(ctx, mfa.ChallengeParams{
//			FactorID: enr.Factor.ID, UserID: "alan", Confirm: true,
//		})
//		if err != nil {
//			t.Fatal(err)
//		}
//		first := mfatest.Code(enr.TOTP.Secret(), clock.Now())
//		_, err = svc.Verify(ctx, mfa.VerifyParams{ChallengeID: ch.ID, UserID: "alan", Code: first})
//		if err != nil {
//			t.Fatal(err)
//		}
//
//		// He logs in: the password alone is not enough, nor is the code that he used.
//		login, err := app.Password(ctx, "alan", "open sesame")
//		if err != nil {
//			t.Fatal(err)
//		}
//		if login.Done() {
//			t.Error("the password alone logged in")
//		}
//		err = app.SecondFactor(ctx, login, first)
//		if !errors.Is(err, mfa.ErrInvalidCode) || login.Done() {
//			t.Errorf("a used code: error %v", err)
//		}
//		clock.Advance(30 * time.Second) // the app shows the next code
//		next := mfatest.Code(enr.TOTP.Secret(), clock.Now())
//		if err := app.SecondFactor(ctx, login, next); err != nil || !login.Done() {
//			t.Errorf("the right code: error %v", err)
//		}
//	}
//
// The test sets TOTPParams.Secret, so that the codes are the same in every run; the
// default is a random secret.
//
// A service that sends text messages requires Regions too:
//
//	sms := new(mfatest.Sender)
//	svc, err := mfa.New(mfa.Config{
//		Store: new(mfa.MemoryStore), SMS: sms, Regions: []string{"US"}, Now: clock.Now,
//	})
//	...
//	code := sms.Code("+15005550006") // what the person reads
//
// A store that fails requires Keys, as any store but a MemoryStore does:
//
//	store := &mfatest.FaultyStore{Store: new(mfa.MemoryStore)}
//	svc, err := mfa.New(mfa.Config{Store: store, Keys: mfatest.Keys(), Now: clock.Now})
//	...
//	// The next call fails.
//	store.Before = mfatest.Nth(len(store.Calls())+1, errors.New("connection lost"))
//
// A store of your own needs one test, whose newStore returns an empty store:
//
//	func TestStore(t *testing.T) {
//		mfatest.TestStore(t, newStore) // newStore is a func(*testing.T) mfa.Store
//	}
package mfatest
