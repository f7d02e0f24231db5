// Readme follows README.md and the pages of docs/guide as a newcomer would: it runs every
// fenced sh, go and js block in a fresh clone of the repository, and compares what the page
// says that it prints.
//
//	go run ./internal/readme
//
// Some blocks want DATABASE_URL, an empty database of PostgreSQL, and MFA_KEYS.
//
// A sh block runs with bash in the root of the clone. A go block is a complete file
// and runs in a module of its own beside the clone, with go run, or with go test
// when it imports "testing". The module is made as README says: by its sh block that has
// "go mod init", and by go mod tidy. So are the imports of every module of the clone's
// go.work that applications can import. A js block is a module of Node that talks to
// examples/server, and is told the code that the server prints. A text block right after
// one of them is what it prints;
// in it, "…" stands for any text, and a line with nothing else for any lines. A block whose
// fence names a file after the language is not run: it must be a part of that file, whose own
// tests run it. If it has a function main, it is built where a go block runs.
package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

func main() {
	repo := flag.String("repo", ".", "the repository to clone; what is not committed is not seen")
	flag.Parse()
	if err := check(context.Background(), *repo); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// check runs every block of the repository's pages.
func check(ctx context.Context, repo string) error {
	tmp, err := os.MkdirTemp("", "readme")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(tmp) }()
	clone := filepath.Join(tmp, "mfa")
	if out, err := exec.CommandContext(ctx, "git", "clone", "--quiet", repo, clone).CombinedOutput(); err != nil {
		return fmt.Errorf("git clone: %w\n%s", err, out)
	}
	guide, err := filepath.Glob(filepath.Join(clone, "docs", "guide", "*.md")) // in order of name
	if err != nil {
		return err
	}
	var app block
	for _, page := range append([]string{filepath.Join(clone, "README.md")}, guide...) {
		blocks, err := parse(clone, page)
		if err != nil {
			return err
		}
		if app.text == "" { // that of README is for all pages
			app = importer(blocks)
		}
		if err := runAll(ctx, blocks, app, tmp); err != nil {
			return err
		}
	}
	return importAll(ctx, app, tmp)
}

// runAll runs the blocks of a page.
func runAll(ctx context.Context, blocks []block, app block, tmp string) error {
	ran := 0
	for i, b := range blocks {
		begin, did := time.Now(), "runs"
		switch {
		case b.of != "":
			did = "is in " + b.of
			file, err := os.ReadFile(filepath.Join(tmp, "mfa", filepath.FromSlash(b.of)))
			if err != nil {
				return fmt.Errorf("%s: %w", b.at, err)
			}
			if !strings.Contains(string(file), b.text) {
				return fmt.Errorf("%s: the block is not in %s", b.at, b.of)
			}
			if strings.Contains(b.text, "\nfunc main() {\n") { // it is all of a program, to be pasted
				did += ", and builds"
				if _, err := runGo(ctx, "main.go", b.text, app, tmp, "build"); err != nil {
					return fmt.Errorf("%s: %w", b.at, err)
				}
			}
		case b.language == "sh", b.language == "go", b.language == "js":
			printed, err := run(ctx, b, app, tmp)
			if err != nil {
				return fmt.Errorf("%s: %w", b.at, err)
			}
			if i+1 < len(blocks) && blocks[i+1].language == "text" && !matches(blocks[i+1].text, printed) {
				return fmt.Errorf("%s: the block prints\n%s\nand the page says\n%s", b.at, printed, blocks[i+1].text)
			}
		default:
			continue
		}
		fmt.Printf("%s: %s block %s, %.1f s\n", b.at, b.language, did, time.Since(begin).Seconds())
		ran++
	}
	if ran == 0 {
		return errors.New("a page has no sh or go block")
	}
	return nil
}

// importer returns the block that makes a module which imports the clone, if there is one.
func importer(blocks []block) block {
	for _, b := range blocks {
		if b.language == "sh" && strings.Contains(b.text, "go mod init ") {
			return b
		}
	}
	return block{}
}

// importAll imports every module of the clone's workspace that is not for itself alone.
func importAll(ctx context.Context, app block, tmp string) error {
	clone := filepath.Join(tmp, "mfa")
	if _, err := os.Stat(filepath.Join(clone, "go.work")); err != nil {
		return nil //nolint:nilerr // one module, which the blocks import
	}
	listed, err := command(ctx, clone, nil, "go", "list", "-m")
	if err != nil {
		return err
	}
	var file strings.Builder
	file.WriteString("package main\n\nimport (\n")
	for module := range strings.FieldsSeq(listed) {
		if !strings.Contains(module+"/", "/internal/") && !strings.HasSuffix(module, "/examples") {
			fmt.Fprintf(&file, "\t_ %q\n", module)
		}
	}
	file.WriteString(")\n\nfunc main() {}\n")
	begin := time.Now()
	if _, err := runGo(ctx, "main.go", file.String(), app, tmp, "run"); err != nil {
		return fmt.Errorf("%s: after it, the import of every module: %w", app.at, err)
	}
	fmt.Printf("%s: the import of every module, %.1f s\n", app.at, time.Since(begin).Seconds())
	return nil
}

// A block is what stands between two fences.
type block struct {
	language, text string
	of             string // the file that it is a part of, "" for none
	at             string // where the opening fence is
}

// parse returns the blocks of a page. A fence that names no language, is indented
// or never closed is an error: such a block would be skipped without a word.
func parse(clone, page string) ([]block, error) {
	text, err := os.ReadFile(page)
	if err != nil {
		return nil, err
	}
	name, err := filepath.Rel(clone, page)
	if err != nil {
		return nil, err
	}
	var blocks []block
	var open *block
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		at := fmt.Sprintf("%s:%d", filepath.ToSlash(name), n)
		fence := strings.HasPrefix(strings.TrimSpace(line), "```")
		switch {
		case fence && !strings.HasPrefix(line, "```"):
			return nil, fmt.Errorf("%s: an indented fence", at)
		case fence && open == nil:
			language, of, _ := strings.Cut(strings.TrimSpace(line[3:]), " ")
			open = &block{language: language, of: of, at: at}
			if open.language == "" {
				return nil, fmt.Errorf("%s: a block without a language", at)
			}
		case fence:
			blocks, open = append(blocks, *open), nil
		case open != nil:
			open.text += line
		}
	}
	if open != nil {
		return nil, fmt.Errorf("%s: a block that is never closed", open.at)
	}
	return blocks, nil
}

// run runs a block beside or in the clone, and returns what it printed.
func run(ctx context.Context, b, app block, tmp string) (string, error) {
	switch {
	case b.language == "sh":
		return shell(ctx, b.text, tmp)
	case b.language == "js":
		dir, err := os.MkdirTemp(tmp, "app")
		if err != nil {
			return "", err
		}
		return runNode(ctx, b, tmp, dir)
	case strings.Contains(b.text, "\t\"testing\"\n"):
		return runGo(ctx, "readme_test.go", b.text, app, tmp, "test")
	default:
		return runGo(ctx, "main.go", b.text, app, tmp, "run")
	}
}

func shell(ctx context.Context, text, tmp string) (string, error) {
	return command(ctx, filepath.Join(tmp, "mfa"), nil, "bash", "-euo", "pipefail", "-c", text)
}

// runGo runs a file in a module that README's own steps make, in a new folder in the
// place of theirs.
func runGo(ctx context.Context, name, text string, app block, tmp, verb string) (string, error) {
	if app.text == "" {
		return "", errors.New("go: no sh block has \"go mod init\": how is this imported?")
	}
	dir, err := os.MkdirTemp(tmp, "app")
	if err != nil {
		return "", err
	}
	if err := os.Remove(dir); err != nil { // the steps make it
		return "", err
	}
	steps := strings.ReplaceAll(app.text, "../app", "../"+filepath.Base(dir))
	if _, err := shell(ctx, steps, tmp); err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		return "", err
	}
	for _, args := range [][]string{{"mod", "tidy"}, {"vet", "."}} {
		if _, err := command(ctx, dir, []string{"GOWORK=off"}, "go", args...); err != nil {
			return "", err
		}
	}
	return command(ctx, dir, []string{"GOWORK=off"}, "go", verb, ".")
}

// runNode starts the server of the clone in a folder of its own, runs the block, and
// types the code that the server prints.
func runNode(ctx context.Context, b block, tmp, dir string) (string, error) {
	clone, server := filepath.Join(tmp, "mfa"), filepath.Join(dir, "server")
	if _, err := command(ctx, clone, nil, "go", "build", "-o", server, "./examples/server"); err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(dir, "main.mjs"), []byte(b.text), 0o600); err != nil {
		return "", err
	}
	if _, err := command(ctx, dir, nil, "npm", "install", "--no-audit", "--no-fund", "@workos-inc/node@"+sdkVersion); err != nil {
		return "", err
	}
	env := append(os.Environ(), "WORKOS_API_KEY=sk_test_0123456789abcdef", "MFA_KEYS=")
	serving := exec.CommandContext(ctx, server)
	serving.Dir, serving.Env = dir, env
	said, err := serving.StderrPipe()
	if err != nil {
		return "", err
	}
	started, err := serving.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := serving.Start(); err != nil {
		return "", err
	}
	defer func() { _, _ = serving.Process.Kill(), serving.Wait() }()
	if _, err := started.Read(make([]byte, 1)); err != nil { // it prints once it listens
		return "", fmt.Errorf("the server did not start: %w", err)
	}
	node := exec.CommandContext(ctx, "node", "main.mjs")
	node.Dir, node.Env = dir, env
	var out, rest bytes.Buffer
	node.Stdout, node.Stderr = &out, &rest
	typed, err := node.StdinPipe()
	if err != nil {
		return "", err
	}
	go func() {
		for lines := bufio.NewScanner(said); lines.Scan(); {
			if code := regexp.MustCompile(`^sms to .*\b([0-9]{6})\.$`).FindStringSubmatch(lines.Text()); code != nil {
				_, _ = fmt.Fprintln(typed, code[1]) // if that fails, node says so
			}
		}
	}()
	if err := node.Run(); err != nil {
		return "", fmt.Errorf("node: %w\n%s%s", err, &out, &rest)
	}
	return out.String(), nil
}

// sdkVersion runs on every Node that is still supported.
const sdkVersion = "8.13.0"

// command returns the standard output; the error holds the rest.
func command(ctx context.Context, dir string, env []string, name string, args ...string) (string, error) {
	var out, rest bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, append(os.Environ(), env...), &out, &rest
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s%s", name, args[0], err, &out, &rest)
	}
	return out.String(), nil
}

// matches says whether the output is what the README says.
func matches(want, got string) bool {
	var pattern strings.Builder
	for line := range strings.Lines(want) {
		if strings.TrimSpace(line) == "…" {
			pattern.WriteString(`(?:.*\n)*`)
			continue
		}
		quoted := regexp.QuoteMeta(strings.TrimSuffix(line, "\n"))
		pattern.WriteString(strings.ReplaceAll(quoted, "…", ".*") + `\n`)
	}
	return regexp.MustCompile("^" + pattern.String() + "$").MatchString(strings.TrimRight(got, "\n") + "\n")
}
