package itest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// links are the packages that a program with these imports links, by the requirements of this
// module.
func links(t *testing.T, imports ...string) []string {
	t.Helper()
	var program strings.Builder
	program.WriteString("package main\n\n")
	for _, path := range imports {
		fmt.Fprintf(&program, "import _ %q\n", path)
	}
	program.WriteString("\nfunc main() {}\n")
	name := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(name, []byte(program.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", name)
	cmd.Env, cmd.Stderr = append(os.Environ(), "GOWORK=off"), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(out))
}

// TestPasskeyIsLinkedByImport: an application that does not import passkey links nothing that
// came with it.
func TestPasskeyIsLinkedByImport(t *testing.T) {
	const mfa = "github.com/authfactor/mfa"
	without := []string{mfa, mfa + "/mfahttp", mfa + "/sqlstore"}
	came := []string{
		mfa + "/passkey", "github.com/go-webauthn/", "github.com/fxamacker/cbor/", "github.com/google/go-tpm/",
		"github.com/golang-jwt/", "github.com/tinylib/msgp/", "github.com/go-viper/mapstructure/",
	}
	of := func(packages []string, what string) bool {
		return slices.ContainsFunc(packages, func(p string) bool { return strings.HasPrefix(p+"/", what) })
	}
	alone, beside := links(t, without...), links(t, append(without, mfa+"/passkey")...)
	for _, what := range came {
		if of(alone, what) {
			t.Errorf("%s is linked without an import of passkey", what)
		}
		if !of(beside, what) {
			t.Errorf("%s is not linked with passkey: this test does not see it", what)
		}
	}
}
