// Spa is an application with a front end of its own: a login page and an account page in plain
// JavaScript modules, without a build step, over package mfaweb.
//
//	go run ./examples/spa -dev
//
// It serves http://localhost:8082 for three demonstration accounts, which the login page lists.
// Accounts, sessions and second factors are in memory: they are gone when the program ends. It
// sends no mails and text messages but writes them to standard error; with -dev also to the page
// /dev/inbox. Its cookies are for TLS, from which Chrome and Firefox except localhost, and Safari
// does not.
//
// Read secondfactor.go first: all the Go that the second factor takes. Then pages/mfa.js, the
// client to copy, and pages/question.js, which asks. examples/webapp has what is left out here: a
// database, hashed passwords, a limit on how many are tried, and mails.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	o := options{stderr: os.Stderr, now: time.Now, ready: func(string) {}}
	flag.StringVar(&o.addr, "addr", "127.0.0.1:8082", "`address` to listen on, of this machine")
	flag.BoolVar(&o.dev, "dev", false, "show all mails and text messages at /dev/inbox, to whoever asks")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "spa:", err)
		os.Exit(1) //nolint:gocritic // nothing is left to do
	}
}

// options are what the flags say, and what tests bring of their own.
type options struct {
	addr, url string
	dev       bool
	stderr    io.Writer
	now       func() time.Time // the time of codes and of waits
	ready     func(url string) // called once it listens
}

// run serves until ctx is done, and then until what was begun is answered.
func run(ctx context.Context, o options) error {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", o.addr)
	if err != nil {
		return fmt.Errorf("%w: -addr chooses another address", err)
	}
	defer func() { _ = ln.Close() }() // a second time, mostly
	tcp, ok := ln.Addr().(*net.TCPAddr)
	if !ok || !tcp.IP.IsLoopback() {
		return fmt.Errorf("-addr is %s: these accounts are for this machine alone", o.addr)
	}
	o.url = fmt.Sprintf("http://localhost:%d", tcp.Port) // passkeys belong to names
	a := newApp(o)
	handler, err := a.handler()
	if err != nil {
		return err
	}
	srv := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
	_, _ = fmt.Fprintf(o.stderr, "Listening on %s\n", o.url)
	if o.dev {
		_, _ = fmt.Fprintf(o.stderr, "Mails and text messages are on %s/dev/inbox\n", o.url)
	}
	o.ready(o.url)
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(ln) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return srv.Shutdown(ctx)
}
