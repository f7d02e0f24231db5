// Quickstart enrolls, challenges and verifies an authenticator app and a phone
// number, with the values of the guide and nothing to set up:
//
//	go run ./examples/quickstart
//
// It exits with 0 only if every answer was the documented one. With -interactive
// you scan the code and type.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/mfatest"
)

func main() {
	interactive := flag.Bool("interactive", false, "scan the QR code with your own app, and type the codes")
	flag.Parse()
	s := story{out: os.Stdout}
	if *interactive {
		s.in = bufio.NewReader(os.Stdin)
	}
	if info, err := os.Stdout.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
		s.colour = true
	}
	if err := s.tell(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

type story struct {
	out    io.Writer
	in     *bufio.Reader // what the person types; nil: the story types for them
	colour bool          // out is a terminal
	ahead  time.Duration // of the real time, so that nobody waits for a challenge to expire
}

func (s *story) now() time.Time { return time.Now().Add(s.ahead) }

func (s *story) tell(ctx context.Context) error {
	outbox := new(mfa.Outbox)
	svc, err := mfa.New(mfa.Config{SMS: outbox, Now: s.now, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}

	s.heading("Enroll an authenticator app")
	totp, err := svc.Enroll(ctx, mfa.EnrollParams{
		UserID: "user_42",
		TOTP:   &mfa.TOTPParams{Issuer: "Foo Corp", User: "alan.turing@foo-corp.com"},
	})
	if err != nil {
		return err
	}
	s.json(totp.Factor)
	if err := drawQR(s.out, totp.TOTP.QRCode(), s.colour); err != nil {
		return err
	}
	s.say("secret  %s\nuri     %s\nqr_code %.48s… (%d characters)", totp.TOTP.Secret(), totp.TOTP.URI(), totp.TOTP.QRCode(), len(totp.TOTP.QRCode()))
	app := func() string { return mfatest.Code(totp.TOTP.Secret(), s.now()) }

	s.heading("Challenge it")
	ch, err := svc.Challenge(ctx, mfa.ChallengeParams{FactorID: totp.Factor.ID, UserID: "user_42"})
	if err != nil {
		return err
	}
	s.json(ch)

	s.heading("Verify a wrong code: not valid, and the challenge can be tried again")
	v, err := svc.Verify(ctx, mfa.VerifyParams{ChallengeID: ch.ID, UserID: "user_42", Code: s.wrong(totp.TOTP.Secret())})
	if err := s.refused(err, mfa.ErrInvalidCode); err != nil {
		return err
	}
	s.json(v)

	s.heading("Verify the code of the app: valid, and the factor is confirmed")
	if err := s.verify(ctx, svc, ch, "user_42", "Scan the QR code with your authenticator app, and type the six digits it shows", app); err != nil {
		return err
	}

	s.heading("Verify the same challenge again: it was used")
	_, err = svc.Verify(ctx, mfa.VerifyParams{ChallengeID: ch.ID, UserID: "user_42", Code: app()})
	if err := s.refused(err, mfa.ErrChallengePreviouslyVerified); err != nil {
		return err
	}

	s.heading("Enroll a phone number, of another person")
	sms, err := svc.Enroll(ctx, mfa.EnrollParams{UserID: "user_43", SMS: &mfa.SMSParams{PhoneNumber: "+15005550006"}})
	if err != nil {
		return err
	}
	s.json(sms.Factor)
	_, err = svc.Enroll(ctx, mfa.EnrollParams{UserID: "user_43", SMS: &mfa.SMSParams{PhoneNumber: "foo"}})
	if err := s.refused(err, mfa.ErrInvalidPhoneNumber); err != nil {
		return err
	}

	s.heading("Challenge it: a code is sent")
	ch, err = svc.Challenge(ctx, mfa.ChallengeParams{
		FactorID: sms.Factor.ID, UserID: "user_43",
		SMSTemplate: "Your FooCorp is {{code}}.",
	})
	if err != nil {
		return err
	}
	s.json(ch)
	message := outbox.Messages()[0]
	s.say("to %s: %s", message.To, message.Body)
	phone := func() string { return regexp.MustCompile(`[0-9]{6}`).FindString(message.Body) }

	s.heading("Verify it")
	if err := s.verify(ctx, svc, ch, "user_43", "Type the six digits of the message above", phone); err != nil {
		return err
	}

	s.heading("Verify a challenge after ten minutes: it has expired")
	ch, err = svc.Challenge(ctx, mfa.ChallengeParams{FactorID: totp.Factor.ID, UserID: "user_42"})
	if err != nil {
		return err
	}
	s.ahead += 10 * time.Minute
	_, err = svc.Verify(ctx, mfa.VerifyParams{ChallengeID: ch.ID, UserID: "user_42", Code: app()})
	if err := s.refused(err, mfa.ErrChallengeExpired); err != nil {
		return err
	}

	s.heading("All answers were the documented ones")
	return nil
}

// verify answers the challenge with the right code, which a person may need some
// tries to type.
func (s *story) verify(ctx context.Context, svc *mfa.Service, ch mfa.Challenge, user, prompt string, right func() string) error {
	for {
		code, err := s.ask(prompt, right)
		if err != nil {
			return err
		}
		v, err := svc.Verify(ctx, mfa.VerifyParams{ChallengeID: ch.ID, UserID: user, Code: code})
		if e, ok := errors.AsType[*mfa.Error](err); ok && s.in != nil && errors.Is(err, mfa.ErrInvalidCode) && e.AttemptsLeft > 0 {
			s.say("That is not it; %d tries are left.", e.AttemptsLeft)
			continue
		}
		if err != nil {
			return err
		}
		if !v.Valid || !v.FirstUse {
			return fmt.Errorf("the right code was answered with valid %t, first use %t", v.Valid, v.FirstUse)
		}
		s.json(v)
		return nil
	}
}

// ask returns what the person types, or types for them.
func (s *story) ask(prompt string, right func() string) (string, error) {
	if s.in == nil {
		code := right()
		s.say("The person types %s.", code)
		return code, nil
	}
	_, _ = fmt.Fprintf(s.out, "%s: ", prompt)
	line, err := s.in.ReadString('\n')
	if err != nil && line == "" {
		return "", fmt.Errorf("nothing was typed: %w", err)
	}
	return strings.TrimSpace(line), nil
}

// refused prints the refusal's JSON, unless it is another than the documented one.
func (s *story) refused(err, want error) error {
	e, ok := errors.AsType[*mfa.Error](err)
	if !ok || !errors.Is(err, want) {
		return fmt.Errorf("want %w, the answer was %s", want, fmt.Sprint(err))
	}
	s.json(e)
	return nil
}

// wrong is a code that the app shows neither now nor half a minute before or after.
func (s *story) wrong(secret string) string {
	for n := 0; ; n++ {
		code, right := fmt.Sprintf("%06d", n), false
		for _, d := range []time.Duration{-30, 0, 30, 60} {
			right = right || code == mfatest.Code(secret, s.now().Add(d*time.Second))
		}
		if !right {
			return code
		}
	}
}

func (s *story) heading(text string) { _, _ = fmt.Fprintf(s.out, "\n== %s\n", text) }

func (s *story) say(format string, args ...any) { _, _ = fmt.Fprintf(s.out, format+"\n", args...) }

func (s *story) json(v any) {
	out, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		out = []byte(err.Error())
	}
	s.say("%s", out)
}
