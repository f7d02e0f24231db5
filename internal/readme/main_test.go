package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// repository is a git repository with this README, and a page of the guide if guide is not "".
func repository(t *testing.T, readme, guide string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "docs", "guide"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"README.md": readme, "docs/guide/page.md": guide} {
		if text == "" {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(strings.ReplaceAll(text, "'''", "```")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{
		{"init", "--quiet"},
		{"add", "."},
		{"-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "--quiet", "-m", "t"},
	} {
		cmd := exec.CommandContext(t.Context(), "git", args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	return dir
}

// steps make a module.
const steps = "'''sh\nmkdir ../app && cd ../app\ngo mod init example.com/app\n'''\n"

func TestCheck(t *testing.T) {
	for name, tt := range map[string]struct{ readme, want string }{
		"passes":              {"'''sh\necho a; echo b >&2\n'''\nprints\n'''text\na\n'''\n", ""},
		"passes in turn":      {"'''sh\necho a > file\n'''\n'''json\n{}\n'''\n'''sh\ncat file\n'''\n'''text\na\n'''\n", ""},
		"fails":               {"one\n\n'''sh\ntrue\nfalse\n'''\n", "README.md:3: bash"},
		"fails in a pipe":     {"'''sh\nfalse | cat\n'''\n", "README.md:1: bash"},
		"prints another":      {"'''sh\necho a\n'''\n'''text\nb\n'''\n", "README.md:1: the block prints\na"},
		"prints less":         {"'''sh\necho a\n'''\n'''text\na\nb\n'''\n", "README.md:1: the block prints"},
		"prints more":         {"'''sh\necho a; echo b\n'''\n'''text\na\n'''\n", "README.md:1: the block prints"},
		"no block":            {"text\n'''json\n{}\n'''\n", "no sh or go block"},
		"no language":         {"'''\nls\n'''\n", "README.md:1: a block without"},
		"never closed":        {"'''sh\nls\n", "README.md:1: a block that is never closed"},
		"indented":            {"- x\n  '''sh\n  ls\n  '''\n", "README.md:2: an indented fence"},
		"go does not compile": {"'''go\npackage main\n\nfunc main() { x }\n'''\n" + steps, "README.md:1: go vet"},
		"go runs":             {"'''go\npackage main\n\nfunc main() { print() }\n'''\n" + steps, ""},
		"go without steps":    {"'''go\npackage main\n\nfunc main() {}\n'''\n", "README.md:1: go: no sh block"},
		"go after bad steps":  {"'''go\npackage main\n\nfunc main() {}\n'''\n" + "'''sh\nmkdir ../app && cd ../app\ngo mod init example.com/app\nfalse\n'''\n", "README.md:1: bash"},
	} {
		t.Run(name, func(t *testing.T) {
			err := check(t.Context(), repository(t, tt.readme, ""))
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

// TestCheckGuide: the pages of docs/guide are run as README is, by README's steps; and what is
// said to be of a file is.
func TestCheckGuide(t *testing.T) {
	const readme = "'''sh\necho a\n'''\n" + steps
	for name, tt := range map[string]struct{ guide, want string }{
		"runs":           {"'''go\npackage main\n\nfunc main() { print() }\n'''\n", ""},
		"fails":          {"one\n\n'''sh\nfalse\n'''\n", "docs/guide/page.md:3: bash"},
		"prints another": {"'''sh\necho a\n'''\n'''text\nb\n'''\n", "docs/guide/page.md:1: the block prints"},
		"of a file":      {"'''sh README.md\necho a\n'''\n", ""},
		"of another":     {"'''sh README.md\necho b\n'''\n", "docs/guide/page.md:1: the block is not in README.md"},
		"of no file":     {"'''sh NONE.md\necho a\n'''\n", "docs/guide/page.md:1: open "},
		"no block":       {"text\n", "no sh or go block"},
	} {
		t.Run(name, func(t *testing.T) {
			err := check(t.Context(), repository(t, readme, tt.guide))
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestMatches(t *testing.T) {
	for _, tt := range []struct {
		want, got string
		ok        bool
	}{
		{"a\nb\n", "a\nb\n", true},
		{"a\nb\n", "a\nb", true},
		{"a.c\n", "abc\n", false},
		{"id …!\n", "id 123!\n", true},
		{"id …!\n", "id 1\n2!\n", false},
		{"…\nb\n", "a\na\nb\n", true},
		{"…\nb\n", "b\n", true},
		{"…\nb\n", "a\n", false},
		{"a\n…\n", "a\n", true},
		{"a\n…\n", "ab\nc\n", false},
	} {
		if got := matches(tt.want, tt.got); got != tt.ok {
			t.Errorf("%q against %q: %t", tt.got, tt.want, got)
		}
	}
}
