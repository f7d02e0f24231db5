package mfa_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestThreatsAreTested: docs/threats.md has every row, each with an answer, and names
// tests that exist.
func TestThreatsAreTested(t *testing.T) {
	var code strings.Builder
	for _, dir := range []string{".", "mfatest", "mfahttp", "sqlstore", "redisstore", "internal/itest", "examples/unittest", "examples/server", "examples/webapp", "proof", "proof/proofhttp", "otelmfa"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			code.Write(text)
		}
	}
	doc, err := os.ReadFile("docs/threats.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range regexp.MustCompile(`\b(Test|Fuzz)[A-Z]\w+`).FindAllString(string(doc), -1) {
		if !strings.Contains(code.String(), "func "+name+"(") {
			t.Errorf("there is no %s", name)
		}
	}
	rows := regexp.MustCompile(`(?m)^\| ([NARKCHPS]?\d+) \|(.*)\|(.*)\|(.*)\|$`).FindAllStringSubmatch(string(doc), -1)
	answered := map[string]bool{}
	for _, row := range rows {
		answered[row[1]] = true
		if strings.TrimSpace(row[4]) == "" && !strings.Contains(row[3], "not ours") && row[1] != "N24" { // a sentence of README
			t.Errorf("row %s has no test, and is not said to be somebody else's", row[1])
		}
	}
	for prefix, last := range map[string]int{"N": 27, "A": 29, "R": 14, "K": 7, "C": 9, "H": 11, "P": 32, "S": 7, "": 64} {
		for i := range last {
			if row := fmt.Sprint(prefix, i+1); !answered[row] {
				t.Errorf("row %s is missing", row)
			}
		}
	}
}
