package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestNodeSDK runs sdk/sdk.test.mjs with two versions of the vendor's SDK against the
// server. It needs npm, and its registry the first time; without them it skips, unless
// MFA_TEST_SERVERS is "required".
func TestNodeSDK(t *testing.T) {
	dir, err := filepath.Abs("sdk")
	if err != nil {
		t.Fatal(err)
	}
	node := installed(t, dir)
	tests := filepath.Join(dir, "sdk.test.mjs")
	for _, name := range []string{tests, filepath.Join(dir, "help.mjs")} {
		if _, err := os.ReadFile(name); err != nil { // so that go test knows that it depends on it
			t.Fatal(err)
		}
	}
	for _, version := range []string{"workos8", "workos11"} {
		t.Run(version, func(t *testing.T) {
			t.Chdir(t.TempDir())
			api, control := newControl(t, start(t, known()))
			cmd := exec.CommandContext(t.Context(), node, "--test", "--test-reporter=spec", tests)
			cmd.Env = append(os.Environ(), "MFA_SDK="+version, "MFA_API="+api, "MFA_CONTROL="+control, "MFA_KEY="+testKey)
			out, err := cmd.CombinedOutput()
			if passed := regexp.MustCompile(`(?m)^ℹ pass ([1-9][0-9]*)$`).FindSubmatch(out); err != nil || passed == nil {
				t.Fatalf("%v\n%s", err, out)
			}
			t.Logf("%s", out)
		})
	}
}

// installed gives a Node of version 22 or newer, the machine's or the one of
// package-lock.json, after it made node_modules what that file says.
func installed(t *testing.T, dir string) (node string) {
	t.Helper()
	unless := func(err error, what string) {
		t.Helper()
		switch {
		case err == nil:
		case os.Getenv("MFA_TEST_SERVERS") == "required":
			t.Fatalf("the SDK for Node: %s: %v", what, err)
		default:
			t.Skipf("the SDK for Node: %s: %v", what, err)
		}
	}
	npm, err := exec.LookPath("npm")
	unless(err, "npm is needed")
	version, err := exec.CommandContext(t.Context(), "node", "--version").Output()
	unless(err, "node is needed")
	args := []string{"ci", "--no-progress", "--loglevel=error"}
	node = filepath.Join(dir, "node_modules", ".bin", "node")
	if major, _, _ := strings.Cut(strings.TrimPrefix(string(version), "v"), "."); atLeast(major, 22) {
		node, args = "node", append(args, "--omit=optional")
	}
	unless(install(t, dir, npm, args), "its packages are needed")
	_, err = exec.LookPath(node)
	unless(err, "Node 22 or newer is needed")
	return node
}

func atLeast(number string, n int) bool {
	got, err := strconv.Atoi(number)
	return err == nil && got >= n
}

// install makes node_modules beside its place and moves it there when it is whole, so
// that others who run the tests never see a part of it.
func install(t *testing.T, dir, npm string, args []string) error {
	t.Helper()
	lock, err := os.ReadFile(filepath.Join(dir, "package-lock.json"))
	if err != nil {
		return err
	}
	if bytes.Contains(lock, []byte("://")) {
		t.Error("package-lock.json names a registry: run npm with the .npmrc beside it")
	}
	made := fmt.Appendf(lock, "%q\n", args) // what is installed, in a file beside it
	place, mark := filepath.Join(dir, "node_modules"), ".made-of"
	is := func() bool {
		have, err := os.ReadFile(filepath.Join(place, mark))
		return err == nil && bytes.Equal(have, made)
	}
	if is() {
		return nil
	}
	tmp, err := os.MkdirTemp(dir, ".install-") //nolint:usetesting // t.TempDir may be of another file system, where nothing moves from
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(tmp) }()
	for _, name := range []string{"package.json", "package-lock.json", ".npmrc"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(tmp, name), text, 0o600); err != nil {
			return err
		}
	}
	cmd := exec.CommandContext(t.Context(), npm, args...)
	cmd.Dir = tmp
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("npm ci: %w\n%s", err, out)
	}
	if err := os.WriteFile(filepath.Join(tmp, "node_modules", mark), made, 0o600); err != nil {
		return err
	}
	_ = os.RemoveAll(place) // of an older lock file
	if err := os.Rename(filepath.Join(tmp, "node_modules"), place); err != nil && !is() {
		return err
	}
	return nil
}
