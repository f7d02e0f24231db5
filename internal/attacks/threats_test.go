package attacks_test

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// packages are the folders of the names that docs/threats.md has for packages.
var packages = map[string]string{
	"":           ".",
	"mfatest":    "mfatest",
	"mfahttp":    "mfahttp",
	"mfaweb":     "mfaweb",
	"jsonbody":   "internal/jsonbody",
	"sqlstore":   "sqlstore",
	"redisstore": "redisstore",
	"etcdstore":  "etcdstore",
	"etcdtest":   "internal/etcdtest",
	"otelmfa":    "otelmfa",
	"passkey":    "passkey",
	"proof":      "proof",
	"proofhttp":  "proof/proofhttp",
	"itest":      "internal/itest",
	"limit":      "internal/limit",
	"otpauth":    "internal/otpauth",
	"phone":      "internal/phone",
	"qr":         "internal/qr",
	"redact":     "internal/redact",
	"xaes":       "internal/xaes",
	"senders":    "senders",
	"twilio":     "senders/twilio",
	"vonage":     "senders/vonage",
	"webhook":    "senders/webhook",
	"aws":        "senders/aws",
	"explore":    "internal/explore",
	"examples":   "examples/unittest",
	"server":     "examples/server",
	"webapp":     "examples/webapp",
}

// namedTests are the tests and examples that a text names, each by its package, "" for the
// root and this one, and its own name.
func namedTests(text string) (names [][2]string) {
	for _, match := range regexp.MustCompile(
		`(?:\b(\w+)\.)?\b((?:Test|Fuzz)[A-Z]\w*|Example_\w+)`,
	).FindAllStringSubmatch(text, -1) {
		names = append(names, [2]string{match[1], match[2]})
	}
	return names
}

// testsIn are the tests, fuzz targets and examples of a folder, and those that it exports for
// others.
func testsIn(t *testing.T, dir string) (names []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: no source, %v", dir, err)
	}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil {
				names = append(names, f.Name.Name)
			}
		}
	}
	return names
}

// TestThreatsAreTested: docs/threats.md has every row, each with an answer, and names
// tests that are in the package that it says.
func TestThreatsAreTested(t *testing.T) {
	doc, err := os.ReadFile("../../docs/threats.md")
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string][]string{}
	for name, dir := range packages {
		tests[name] = testsIn(t, filepath.Join("../..", dir))
	}
	tests[""] = append(tests[""], testsIn(t, ".")...)
	for _, name := range namedTests(string(doc)) {
		if in, ok := tests[name[0]]; !ok {
			t.Errorf("%s.%s: no such package", name[0], name[1])
		} else if !slices.Contains(in, name[1]) {
			t.Errorf("there is no %s in %s", name[1], cmp.Or(name[0], "the root package or here"))
		}
	}
	rows := regexp.MustCompile(
		`(?m)^\| ([NARKCHPSWOFME]?\d+) \|(.*)\|(.*)\|(.*)\|$`,
	).FindAllStringSubmatch(
		string(doc),
		-1,
	)
	answered := map[string]bool{}
	for _, row := range rows {
		answered[row[1]] = true
		if strings.TrimSpace(row[4]) == "" && !strings.Contains(row[3], "not ours") &&
			row[1] != "N24" { // a sentence of README
			t.Errorf("row %s has no test, and is not said to be somebody else's", row[1])
		}
	}
	for prefix, last := range map[string]int{
		"N": 27, "A": 29, "R": 14, "K": 7, "C": 9, "H": 14, "P": 52, "M": 7, "S": 8, "O": 16, "W": 14, "F": 14, "E": 13, "": 70,
	} {
		for i := range last {
			if row := fmt.Sprint(prefix, i+1); !answered[row] {
				t.Errorf("row %s is missing", row)
			}
		}
	}
}
