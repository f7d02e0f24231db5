package mfa

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/authfactor/mfa/proof"
)

// TestRefusalsAreDocumented: the doc comments of the verbs and docs/design.md have the
// reasons for which a call is refused in the order of the code.
func TestRefusalsAreDocumented(t *testing.T) {
	t.Run("Challenge", func(t *testing.T) { testRefusals(t, "challenge.go", "Challenge", challengeRefusals) })
	t.Run("Verify", func(t *testing.T) { testRefusals(t, "verify.go", "Verify", verifyRefusals) })
}

func testRefusals[D any](t *testing.T, file, verb string, refusals []refusal[D]) {
	t.Helper()
	named := map[string]error{
		"ErrInvalidParameter": ErrInvalidParameter, "ErrNotFound": ErrNotFound, "ErrNoSMSSender": ErrNoSMSSender,
		"ErrPhoneNumberNotAllowed": ErrPhoneNumberNotAllowed, "ErrFactorUnverified": ErrFactorUnverified,
		"ErrIdempotencyKey": ErrIdempotencyKey, "ErrFactorDisabled": ErrFactorDisabled, "ErrThrottled": ErrThrottled,
		"proof.ErrMismatch": proof.ErrMismatch, "ErrChallengePreviouslyVerified": ErrChallengePreviouslyVerified,
		"ErrChallengeExpired": ErrChallengeExpired, "ErrTooManyAttempts": ErrTooManyAttempts,
	}
	var want []error
	var names []string
	for _, r := range refusals {
		want, names = append(want, r.reason), append(names, r.name)
	}
	var told []error
	for _, item := range regexp.MustCompile(`(?s)\n  - .*?\[([\w.]+)\]`).FindAllStringSubmatch(methodDoc(t, file, verb), -1) {
		told = append(told, named[item[1]])
	}
	if len(told) == 0 || !errors.Is(told[0], ErrInvalidParameter) || !slices.Equal(told[1:], want) {
		t.Errorf("the doc comment has %v; the code refuses with %v", told, want)
	}
	design, err := os.ReadFile("docs/design.md")
	if err != nil {
		t.Fatal(err)
	}
	if line := verb + " refuses in this order: " + strings.Join(names, ", ") + "."; !strings.Contains(string(design), line) {
		t.Errorf("docs/design.md lacks %q", line)
	}
}

// methodDoc is the doc comment of a method of Service.
func methodDoc(t *testing.T, file, name string) string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	for _, decl := range parsed.Decls {
		if f, ok := decl.(*ast.FuncDecl); ok && f.Name.Name == name && f.Recv != nil {
			return f.Doc.Text()
		}
	}
	t.Fatalf("%s has no %s", file, name)
	return ""
}
