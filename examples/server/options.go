package main

import (
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/authfactor/mfa"
)

// The default database and its key, in the current folder.
const (
	defaultDSN = "mfa.db"
	keyFile    = "mfa.key"
)

// options are what the flags and the environment say.
type options struct {
	addr, dsn, issuer string
	regions           []string
	defaultRegion     string
	printSMS          bool
	smsBy             string // "" for nobody
	sms               mfa.SMSSender
	apiKeys           []string
	madeKey           bool   // apiKeys was not given
	mfaKeys           string // "": the key file's
}

// parse refuses what would not be noticed until it hurts.
func parse(p process) (options, error) {
	var o options
	var regions string
	flags := flag.NewFlagSet("server", flag.ContinueOnError)
	flags.SetOutput(p.stderr)
	flags.StringVar(&o.addr, "addr", "127.0.0.1:8080", "`address` to listen on; it speaks plain HTTP")
	flags.StringVar(&o.dsn, "dsn", defaultDSN, "`database`: postgres://user:password@host:port/name, mysql://user:password@host:port/name,\nredis://host:port/0?prefix=mfa:, or the path of a SQLite file")
	flags.StringVar(&regions, "regions", "US", "`regions` whose phone numbers are taken, as ISO 3166 codes separated by commas")
	flags.StringVar(&o.defaultRegion, "default-region", "US", "`region` of numbers without a plus; \"\" for none")
	flags.StringVar(&o.issuer, "issuer", "mfa", "`name` that authenticator apps show where the client gives none")
	flags.BoolVar(&o.printSMS, "print-sms", false, "write text messages to standard error in place of sending them")
	flags.StringVar(&o.smsBy, "sms", "", "`provider` that sends text messages: twilio, vonage or webhook, with its credentials\nin the environment")
	if err := flags.Parse(p.args); err != nil {
		return o, err // it was printed, with the flags
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("%q is no flag: -h lists them", flags.Arg(0))
	}
	o.regions = list(strings.ToUpper(regions))
	o.defaultRegion = strings.ToUpper(o.defaultRegion)
	o.mfaKeys = p.getenv("MFA_KEYS")
	if o.apiKeys = list(p.getenv("WORKOS_API_KEY")); len(o.apiKeys) == 0 {
		o.apiKeys, o.madeKey = []string{"sk_test_" + rand.Text()}, true
	}
	return o, o.check(p)
}

func (o *options) check(p process) error {
	var wrong []error
	switch {
	case len(o.regions) == 0:
		wrong = append(wrong, errors.New("-regions is empty: list those that your users live in, such as US,CA"))
	case o.defaultRegion != "" && !slices.Contains(o.regions, o.defaultRegion):
		wrong = append(wrong, fmt.Errorf(`-default-region %s is not one of -regions: -default-region %s would be, and "" is none`, o.defaultRegion, o.regions[0]))
	}
	var err error
	if o.sms, err = sender(*o, p); err != nil {
		wrong = append(wrong, err)
	}
	if o.dsn != defaultDSN && o.mfaKeys == "" {
		wrong = append(wrong, errors.New("with -dsn the environment variable MFA_KEYS is needed, the same in every process: `openssl rand -base64 32` makes a key, to be kept with your other secrets"))
	}
	return errors.Join(wrong...)
}

// list leaves out what is empty.
func list(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
}

// welcome says how to begin. Only a key that was made here is printed: others belong
// in no log.
func welcome(p process, o options, addr net.Addr) {
	authorization := `"Authorization: Bearer ${WORKOS_API_KEY%%,*}"`
	if o.madeKey {
		_, _ = fmt.Fprintf(p.stderr, "WORKOS_API_KEY is not set, so this key was made until the server stops: %s\n", o.apiKeys[0])
		authorization = fmt.Sprintf(`"Authorization: Bearer %s"`, o.apiKeys[0])
	}
	at := addr.String()
	if tcp, ok := addr.(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		at = fmt.Sprintf("127.0.0.1:%d", tcp.Port)
	}
	_, _ = fmt.Fprintf(p.stdout, "Listening on http://%s. To enroll an authenticator app:\n\n", at)
	_, _ = fmt.Fprintf(p.stdout, `curl -sS http://%s/auth/factors/enroll -H %s -H "Content-Type: application/json" -d '{"type":"totp","totp_issuer":"Foo Corp","totp_user":"alan.turing@foo-corp.com"}'`+"\n\n", at, authorization)
}
