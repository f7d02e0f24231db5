// Package mfatest has what tests of multi-factor authentication need: fakes for
// applications that import package mfa, and a conformance suite for stores.
//
// A login is tested in microseconds, without waiting for a clock and without a
// phone:
//
//	var clock mfatest.Clock
//	sms := new(mfatest.Sender)
//	svc, err := mfa.New(mfa.Config{Now: clock.Now, SMS: sms, Regions: []string{"US"}})
//	...
//	enr, err := svc.Enroll(ctx, mfa.EnrollParams{TOTP: &mfa.TOTPParams{Issuer: "Foo Corp", User: "alan"}})
//	ch, err := svc.Challenge(ctx, mfa.ChallengeParams{FactorID: enr.Factor.ID})
//	code := mfatest.Code(enr.TOTP.Secret(), clock.Now()) // what the person's app shows
//	v, err := svc.Verify(ctx, mfa.VerifyParams{ChallengeID: ch.ID, Code: code})
//	clock.Advance(30 * time.Second)                      // the app shows the next code
//
// [Clock] is the time, [Code] the person's authenticator app, [Sender] their
// phone, [FaultyStore] a bad day of the database and [Keys] the keyring that a
// store of your own asks for. [TestStore] holds such a store to its contract.
package mfatest
