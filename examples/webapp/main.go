// Webapp is an application to start from: people sign up, log in with a password and a
// second factor, and look after their factors, in a browser. Passkeys need one small script;
// everything else works without JavaScript.
//
//	go run ./examples/webapp -dev
//
// It serves http://localhost:8081, and keeps everything in webapp.db under the key in
// webapp.key, both made in the current folder. It sends no mails and text messages but
// writes them to standard error; with -dev also to the page /dev/inbox. For production,
// put your providers into post.go, and something that speaks TLS in front, whose address
// -url says.
//
// Read app.go first: what is asked for, page by page. Then login.go, code.go, which asks
// for all codes, and account.go.
package main

import (
	"context"
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
)

func main() {
	o := options{getenv: os.Getenv, stderr: os.Stderr, now: time.Now, ready: func(string, net.Addr) {}}
	flag.StringVar(&o.addr, "addr", "127.0.0.1:8081", "`address` to listen on, for plain HTTP")
	flag.StringVar(&o.url, "url", "", "`address` that browsers see, such as https://app.example.com (default: that of -addr)")
	flag.StringVar(&o.clientIP, "client-ip-header", "", clientIPHelp)
	flag.StringVar(&o.db, "db", "webapp.db", "`path` of the SQLite database; the key is beside it")
	flag.StringVar(&o.regions, "regions", "US", "`regions` whose phone numbers are taken, as ISO 3166 codes separated by commas")
	flag.BoolVar(&o.dev, "dev", false, "show all mails and text messages at /dev/inbox, to whoever asks")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "webapp:", err)
		os.Exit(1) //nolint:gocritic // nothing is left to do
	}
}

// options are what the flags say, and what tests bring of their own.
type options struct {
	addr, url, db, regions string
	clientIP               string // the header with the client's address
	dev                    bool
	getenv                 func(string) string
	stderr                 io.Writer
	now                    func() time.Time                // the time of codes, of waits, and of links in mails
	ready                  func(url string, addr net.Addr) // called once it listens
}

// run serves until ctx is done, and then until what was begun is answered.
func run(ctx context.Context, o options) error {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", o.addr)
	if err != nil {
		return fmt.Errorf("%w: -addr chooses another address", err)
	}
	defer func() { _ = ln.Close() }() // a second time, mostly
	if o.url == "" {
		o.url = urlOf(ln.Addr())
	}
	if err := o.check(); err != nil {
		return err
	}
	a, err := newApp(ctx, o)
	if err != nil {
		return err
	}
	defer a.close()
	ctx, cancel := context.WithCancel(ctx)
	var cleaning sync.WaitGroup
	cleaning.Go(func() { a.cleanHourly(ctx) })
	defer cleaning.Wait()
	defer cancel()
	srv := &http.Server{
		Handler:           a.handler(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second, // a provider of text messages may be slow
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(a.log.Handler(), slog.LevelWarn),
	}
	_, _ = fmt.Fprintf(o.stderr, "Listening on %s\n", o.url)
	o.ready(o.url, ln.Addr())
	return serve(ctx, ln, srv)
}

// urlOf has the name of this machine, and not its number: passkeys belong to names.
func urlOf(addr net.Addr) string {
	if tcp, ok := addr.(*net.TCPAddr); ok && tcp.IP.IsLoopback() {
		return fmt.Sprintf("http://localhost:%d", tcp.Port)
	}
	return "http://" + addr.String()
}

func serve(ctx context.Context, ln net.Listener, srv *http.Server) error {
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
