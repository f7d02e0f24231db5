package mfa_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestTypesHaveTheirFiles: what is particular to a type of factor stands in its own file.
// No other file of the package asks for a type.
func TestTypesHaveTheirFiles(t *testing.T) {
	constants := []string{"TypeTOTP", "TypeSMS", "TypeGenericOTP", "TypeRecoveryCodes"}
	own := []string{"totp.go", "sms.go", "generic.go", "recovery.go", "method.go"}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	named := 0
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		set := token.NewFileSet()
		parsed, err := parser.ParseFile(set, name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			id, ok := n.(*ast.Ident)
			if !ok || !slices.Contains(constants, id.Name) {
				return true
			}
			if named++; !slices.Contains(own, name) {
				t.Errorf("%s names %s", set.Position(id.Pos()), id.Name)
			}
			return true
		})
	}
	if named < 2*len(constants) {
		t.Errorf("%d places name a type: this test does not see them", named)
	}
}
