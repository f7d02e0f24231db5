package main

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/argon2"
)

// Argon2id as the OWASP password storage cheat sheet has it.
const (
	argonTime   = 2
	argonMemory = 19 << 10 // KiB
	argonKey    = 32
)

// hashing is for as many at once as there are processors, so that a crowd does not fill the
// memory.
var hashing = make(chan struct{}, runtime.GOMAXPROCS(0))

func derive(password string, salt []byte) []byte {
	hashing <- struct{}{}
	defer func() { <-hashing }()
	return argon2.IDKey([]byte(password), salt, argonTime, argonMemory, 1, argonKey)
}

// hashPassword returns what is stored of a password.
func hashPassword(password string) string {
	salt := []byte(rand.Text())
	b64 := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=1$%s$%s", argon2.Version, argonMemory, argonTime, b64(salt), b64(derive(password, salt)))
}

// dummyHash is of no password. It is compared with where there is no user, which takes as
// long as where there is one.
var dummyHash = hashPassword(rand.Text())

func samePassword(hash, password string) bool {
	parts := strings.Split(hash, "$")
	if len(parts) != 6 {
		return false
	}
	salt, err := base64.RawStdEncoding.DecodeString(parts[4])
	if err != nil {
		return false
	}
	return subtle.ConstantTimeCompare([]byte(parts[5]), []byte(base64.RawStdEncoding.EncodeToString(derive(password, salt)))) == 1
}

// What is tried within tryPeriod. Codes need no such limit: package mfa has its own.
const (
	tryPeriod  = 15 * time.Minute
	perAddress = 30  // wrong passwords, and mails, from one address
	perAccount = 100 // wrong passwords for one account, from whatever addresses
	perMailbox = 5   // mails to one mailbox
)

// tries limits passwords that are tried out, and mails that are asked for. It is in memory:
// with several processes each has its own, and a new start forgets. A stranger can make
// the owner of an account wait for it, with a hundred wrong passwords from several addresses.
type tries struct {
	now func() time.Time

	mu     sync.Mutex
	since  time.Time // when counting began; everything is forgotten after tryPeriod
	counts map[string]int
}

// wait counts a try and says how long to wait before it, 0 for none. It is counted before
// the password is looked at, or many at once would all be the first.
func (t *tries) wait(address, what string, limit int) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	if now.Sub(t.since) >= tryPeriod {
		t.since, t.counts = now, make(map[string]int)
	}
	address = customer(address)
	if t.counts[address] >= perAddress || t.counts[what] >= limit {
		return t.since.Add(tryPeriod).Sub(now)
	}
	t.counts[address]++
	t.counts[what]++
	return 0
}

// right takes back a try whose password was right.
func (t *tries) right(address, what string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, key := range []string{customer(address), what} {
		t.counts[key] = max(0, t.counts[key]-1)
	}
}

// customer is what one of them has: of IPv6, many addresses.
func customer(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil || ip.Is4() {
		return address
	}
	prefix, _ := ip.WithZone("").Prefix(64) // which a 128-bit address has
	return prefix.String()
}
