// Command mutants applies the changes of list.go, one at a time, to a copy of the
// tree and runs the tests of the packages below, or those of module passkey, of the senders or
// of module senders/aws for a change of these, or those of internal/explore alone for a change
// of interleavings.go. Each must make them fail. Names on the command line choose mutants by a
// part of what they do.
//
// killers.txt has the test that killed each mutant last time. It is run first, and all the
// others only if it passes; with -remember the file is written anew.
package main

import (
	"bytes"
	"cmp"
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// root is the path of the root module.
const root = "github.com/authfactor/mfa"

// packages are those of the root module that mutants change, and whose tests count, in the
// order in which they run.
var packages = []string{
	"./internal/codec", "./internal/gsm7", "./internal/handover", "./internal/jsonbody", "./internal/limit", "./internal/otpauth", "./internal/phone",
	"./internal/qr", "./internal/redact", "./internal/xaes", ".", "./internal/attacks", "./mfahttp", "./mfaweb", "./mfatest", "./proof/...",
}

// sending are the packages of the root module whose tests count for a change of the senders. No
// others would notice one: what is left of the root module uses the errors' names alone.
var sending = []string{"./internal/handover", "./senders/..."}

// module is the folder of the module that the mutant changes, and the packages whose tests
// count there. Modules passkey and senders/aws find the root module above them.
func (m mutant) module() (dir string, tested []string) {
	switch {
	case strings.HasPrefix(m.file, "passkey/"):
		return "passkey", []string{"."}
	case strings.HasPrefix(m.file, "senders/aws/"):
		return "senders/aws", []string{"."}
	case strings.HasPrefix(m.file, "senders/"), m.file == "internal/handover/progress.go":
		return ".", sending
	case slices.ContainsFunc(interleavings, func(i mutant) bool { return i.what == m.what }):
		return ".", []string{"./internal/explore"}
	}
	return ".", packages
}

// all are those of both lists.
var all = slices.Concat(mutants, interleavings)

// killers has a line for each mutant: what it does, and after a tab the package and the
// name of the test that failed.
//
//go:embed killers.txt
var killers string

func killersByMutant() map[string]string {
	by := map[string]string{}
	for line := range strings.Lines(killers) {
		what, test, _ := strings.Cut(strings.TrimSpace(line), "\t")
		by[what] = test
	}
	return by
}

func main() {
	remember := flag.Bool("remember", false, "write killers.txt anew")
	flag.Parse()
	survived, err := run(context.Background(), flag.Args(), *remember)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	if survived > 0 {
		os.Exit(1)
	}
}

func run(ctx context.Context, names []string, remember bool) (survived int, err error) {
	killer := killersByMutant()
	var chosen []mutant
	for _, m := range all {
		wanted := len(names) == 0
		for _, name := range names {
			wanted = wanted || strings.Contains(m.what, name)
		}
		if wanted {
			chosen = append(chosen, m)
		}
	}
	begin := time.Now()
	var stale error
	for _, m := range all {
		_, err := m.apply(".")
		stale = errors.Join(stale, err)
	}
	if stale != nil {
		return 0, stale
	}
	// The tests pass without a change, or whatever fails below would say nothing; and they
	// say how long they take on this machine, today.
	began := time.Now()
	var unchanged []string
	for _, m := range chosen {
		dir, tested := m.module()
		if set := fmt.Sprint(dir, tested); !slices.Contains(unchanged, set) {
			unchanged = append(unchanged, set)
			m.new = m.old
			if by, err := try(ctx, m, "", 10*time.Minute); !errors.Is(err, errSurvived) {
				return 0, fmt.Errorf("the tests fail without a change: %s %w", by, err)
			}
		}
	}
	limit := time.Minute + 5*time.Since(began)
	results := make([]error, len(chosen))
	var printing sync.Mutex
	next := make(chan int)
	var wg sync.WaitGroup
	for range runtime.NumCPU() {
		wg.Go(func() {
			for i := range next {
				by, err := try(ctx, chosen[i], killer[chosen[i].what], limit)
				results[i] = err
				printing.Lock()
				if strings.Contains(by, " ") {
					killer[chosen[i].what] = by
				}
				if remember {
					results[i] = errors.Join(err, writeKillers(killer))
				}
				fmt.Printf("%-60s %s\n", chosen[i].what, cmp.Or(by, fmt.Sprint(err)))
				printing.Unlock()
			}
		})
	}
	for i := range chosen {
		next <- i
	}
	close(next)
	wg.Wait()
	for _, err := range results {
		switch {
		case errors.Is(err, errSurvived):
			survived++
		case err != nil:
			return survived, err
		}
	}
	fmt.Printf("%d mutants, %d survived, %.0f s\n", len(chosen), survived, time.Since(begin).Seconds())
	return survived, nil
}

var (
	errSurvived = errors.New("SURVIVED")
	failed      = regexp.MustCompile(`(?m)^--- FAIL: (\w+)`)
	failedIn    = regexp.MustCompile(`(?m)^FAIL\t` + regexp.QuoteMeta(root) + `(\S*)`)
)

func writeKillers(killer map[string]string) error {
	var lines []string
	for _, m := range all {
		if by := killer[m.what]; by != "" {
			lines = append(lines, m.what+"\t"+by+"\n")
		}
	}
	slices.Sort(lines)
	return os.WriteFile("internal/mutants/killers.txt", []byte(strings.Join(lines, "")), 0o644)
}

// try tells which test fails with the mutant, or that they take longer than the limit. The
// killer of last time goes first.
func try(ctx context.Context, m mutant, killer string, limit time.Duration) (by string, err error) {
	dir, err := os.MkdirTemp("", "mutant")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := copyTree(ctx, dir); err != nil {
		return "", err
	}
	source, err := m.apply(dir)
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(dir, m.file), source, 0o600); err != nil {
		return "", err
	}
	module, tested := m.module()
	module = filepath.Join(dir, module)
	if out, err := command(ctx, module, append([]string{"go", "build", "-trimpath"}, tested...)...); err != nil {
		return "", fmt.Errorf("%s does not compile: %s", m.what, out)
	}
	test := func(args ...string) (string, error) {
		return command(ctx, module, append([]string{"go", "test", "-trimpath", "-failfast", "-vet=off", "-timeout", limit.String()}, args...)...)
	}
	if in, name, ok := strings.Cut(killer, " "); ok {
		if out, err := test("-run", "^"+name+"$", root+strings.TrimPrefix(in, ".")); err != nil && failed.MatchString(out) {
			return killer, nil
		}
	}
	// The tests left out read docs/threats.md and other modules, which are not copied.
	out, err := test(append([]string{"-skip", "^(TestThreatsAreTested|TestGuessTable)$"}, tested...)...)
	if err == nil {
		return "", errSurvived
	}
	if match := failed.FindStringSubmatch(out); match != nil {
		in := "."
		if path := failedIn.FindStringSubmatch(out); path != nil {
			in += path[1]
		}
		return in + " " + match[1], nil
	}
	if strings.Contains(out, "panic: test timed out") {
		return "the time limit", nil
	}
	return "", fmt.Errorf("%s: the tests do not run: %s", m.what, out)
}

// apply returns the changed file.
func (m mutant) apply(dir string) ([]byte, error) {
	source, err := os.ReadFile(filepath.Join(dir, m.file))
	if err != nil {
		return nil, err
	}
	if n := bytes.Count(source, []byte(m.old)); n != 1 {
		return nil, fmt.Errorf("%s: %q occurs %d times in %s, want once", m.what, m.old, n, m.file)
	}
	return bytes.Replace(source, []byte(m.old), []byte(m.new), 1), nil
}

// copyTree copies what git tracks of the root module and of modules passkey and senders/aws,
// and what their tests read.
func copyTree(ctx context.Context, dir string) error {
	list, err := exec.CommandContext(ctx, "git", "ls-files", "*.go", "go.mod", "go.sum", "testdata", "internal/attacks/testdata", "docs/design.md",
		"passkey/go.mod", "passkey/go.sum", "passkey/testdata", "senders/aws/go.mod", "senders/aws/go.sum").Output()
	if err != nil {
		return err
	}
	for name := range strings.FieldsSeq(string(list)) {
		if strings.HasPrefix(name, "examples/") || strings.HasPrefix(name, "internal/itest/") || strings.HasPrefix(name, "internal/mutants/") {
			continue
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		to := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(to, data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func command(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOWORK=off")
	out, err := cmd.CombinedOutput()
	return string(out), err
}
