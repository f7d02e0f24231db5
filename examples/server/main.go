// Server speaks the WorkOS MFA API over a database of your own, with nothing to set up:
//
//	go run ./examples/server
//
// It listens on 127.0.0.1:8080, keeps everything in mfa.db under the key in mfa.key, both
// made in the current folder and readable by their owner alone, prints a curl line to begin with, and writes text
// messages to standard error in place of sending them:
//
//	sms to +15005550006: Your FooCorp is 123456.
//
// With -dsn it shares a database with other processes: PostgreSQL, MySQL, Redis, or a
// SQLite file. It then wants MFA_KEYS, because all of them need the same, and to be
// told who sends text messages, or with -print-sms that they go nowhere. For production, put
// something that speaks TLS in front.
//
// With -sms text messages are sent, by one of these and what the environment has for it:
//
//	twilio   TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN, and TWILIO_FROM or
//	         TWILIO_MESSAGING_SERVICE_SID
//	vonage   VONAGE_API_KEY, VONAGE_API_SECRET and VONAGE_FROM
//	webhook  MFA_SMS_WEBHOOK_URL and MFA_SMS_WEBHOOK_SECRET, of a gateway of yours
//
// The environment variable WORKOS_API_KEY has the keys of those who may call it, and
// MFA_KEYS those that seal what is stored; both take several, separated by commas.
// GET /healthz says, without a key, whether the database answers.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/mfahttp"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal does not wait for anybody
	err := run(ctx, process{
		args: os.Args[1:], getenv: os.Getenv, stdout: os.Stdout, stderr: os.Stderr,
		now: time.Now, ready: func(string) {}, limits: usual,
	})
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "server:", err)
		os.Exit(1)
	}
}

// A process is what the server has of its surroundings, so that tests bring their own.
type process struct {
	args           []string
	getenv         func(string) string
	stdout, stderr io.Writer
	now            func() time.Time  // the time of codes and challenges
	client         *http.Client      // of senders; nil for their own
	ready          func(addr string) // called once it listens
	limits         limits
}

// run serves until ctx is done, and then until what was begun is answered.
func run(ctx context.Context, p process) error {
	o, err := parse(p)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(p.stderr, nil))
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", o.addr)
	if err != nil {
		return fmt.Errorf("%w: -addr chooses another address", err)
	}
	defer func() { _ = ln.Close() }() // a second time, mostly
	keys, err := keyring(o)
	if err != nil {
		return err
	}
	db, err := openDatabase(ctx, o.dsn, log)
	if err != nil {
		return err
	}
	defer db.close()
	svc, err := mfa.New(mfa.Config{
		Store: db.store, SMS: o.sms, Keys: keys, Regions: o.regions, DefaultRegion: o.defaultRegion, Now: p.now, Logger: log,
	})
	if err != nil {
		return fmt.Errorf("-regions or -default-region: %w", err)
	}
	api, err := mfahttp.New(mfahttp.Config{Service: svc, APIKeys: o.apiKeys, Issuer: o.issuer, Logger: log})
	if err != nil {
		return fmt.Errorf("WORKOS_API_KEY or -issuer: %w", err)
	}
	defer purgeHourly(ctx, svc, log)()
	if tcp, ok := ln.Addr().(*net.TCPAddr); ok && !tcp.IP.IsLoopback() {
		log.Warn("this is plain HTTP, and other machines reach it: let them come through something that speaks TLS", "addr", ln.Addr())
	}
	welcome(p, o, ln.Addr())
	p.ready(ln.Addr().String())
	return serve(ctx, ln, newServer(logged(log, withHealth(api, db.store, p.limits.health)), p.limits, log), p.limits.stop)
}

// serve ends without an error if all that was in flight when ctx ended was answered.
func serve(ctx context.Context, ln net.Listener, srv *http.Server, limit time.Duration) error {
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(ln) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	if err := srv.Shutdown(ctx); err != nil {
		_ = srv.Close()
		return fmt.Errorf("stopping: requests were cut off that took longer than %s: %w", limit, err)
	}
	return nil
}

// purgeHourly also purges at once, for a server that never runs for an hour. What it
// returns stops it, and waits until it has.
func purgeHourly(ctx context.Context, svc *mfa.Service, log *slog.Logger) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() {
		hourly := time.NewTicker(time.Hour)
		defer hourly.Stop()
		for {
			switch n, err := svc.Purge(ctx); {
			case ctx.Err() != nil:
				return
			case err != nil:
				log.Error("purge failed: the next is in an hour", "error", err)
			case n > 0:
				log.Info("purged", "records", n)
			}
			select {
			case <-hourly.C:
			case <-ctx.Done():
				return
			}
		}
	})
	return func() {
		cancel()
		running.Wait()
	}
}
