package main

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// secondFactorLines is how many lines of Go the second factor may take.
const secondFactorLines = 40

// TestLines: the second factor takes one file of the application, of 40 lines.
func TestLines(t *testing.T) {
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, name, source, 0)
		if err != nil {
			t.Fatal(err)
		}
		ours := imports(file, "github.com/authfactor/mfa")
		if name != "secondfactor.go" {
			if ours {
				t.Errorf("%s imports the second factor", name)
			}
			continue
		}
		n := lines(source[set.Position(file.Imports[len(file.Imports)-1].End()).Offset:])
		if !ours || n < 10 || n > secondFactorLines {
			t.Errorf("%s has %d lines, and may have %d", name, n, secondFactorLines)
		}
	}
}

// imports reports whether a file imports a module or a part of it.
func imports(file *ast.File, module string) bool {
	for _, i := range file.Imports {
		if path := strings.Trim(i.Path.Value, `"`); path == module || strings.HasPrefix(path, module+"/") {
			return true
		}
	}
	return false
}

// lines counts those that have something, and not a comment alone. The first one is what is left
// of the imports.
func lines(source []byte) int {
	set := token.NewFileSet()
	var scan scanner.Scanner
	file := set.AddFile("", -1, len(source))
	scan.Init(file, source, nil, 0)
	with := make(map[int]bool)
	for {
		pos, tok, text := scan.Scan()
		switch {
		case tok == token.EOF:
			delete(with, 1)
			delete(with, 2) // the bracket that ends the imports
			return len(with)
		case tok == token.SEMICOLON && text == "\n":
		default:
			with[file.Line(pos)] = true
		}
	}
}

// TestScripts: no text becomes HTML or a script, and nothing comes from elsewhere.
func TestScripts(t *testing.T) {
	forbidden := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|https?://|<style|\bon[a-z]+="|style=`)
	names, err := files.ReadDir("pages")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		source, err := files.ReadFile("pages/" + name.Name())
		if err != nil {
			t.Fatal(err)
		}
		if found := forbidden.Find(source); found != nil {
			t.Errorf("%s has %q", name.Name(), found)
		}
		if n := bytes.Count(source, []byte("\n")); n > 300 {
			t.Errorf("%s has %d lines", name.Name(), n)
		}
	}
}
