package mfa_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
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

// The tests of this file read the source, and so prove what otherwise every review
// would have to look for.

// source parses the files of a folder that are not tests.
func source(t *testing.T, dir string) (*token.FileSet, []*ast.File) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	fset := token.NewFileSet()
	var files []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(fset, name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	if len(files) == 0 {
		t.Fatalf("no source in %s", dir)
	}
	return fset, files
}

// importable are the folders of all packages that applications can import, of
// whichever module of the repository.
func importable(t *testing.T) []string {
	t.Helper()
	var dirs []string
	err := fs.WalkDir(os.DirFS("."), ".", func(name string, entry fs.DirEntry, err error) error {
		if entry != nil && entry.IsDir() && name != "." {
			if base := entry.Name(); base[0] == '.' || base[0] == '_' ||
				slices.Contains([]string{"examples", "internal", "testdata"}, base) {
				return fs.SkipDir
			}
		}
		if dir := filepath.Dir(
			name,
		); strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") &&
			!slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return dirs
}

// TestExportedAPI compares the exported API of every module with a golden file, so
// that a change of it is seen.
func TestExportedAPI(t *testing.T) {
	var api bytes.Buffer
	dirs := importable(t)
	for _, dir := range []string{
		".", "etcdstore", "mfahttp", "mfatest", "otelmfa", "passkey",
		"passkey/passkeytest", "proof", "proof/proofhttp", "redisstore", "senders",
		"senders/twilio", "senders/vonage", "sqlstore",
	} {
		if !slices.Contains(dirs, filepath.FromSlash(dir)) {
			t.Errorf("%s is not looked at", dir)
		}
	}
	for _, dir := range dirs {
		fset, files := source(t, dir)
		var lines []string
		for _, file := range files {
			for _, d := range file.Decls {
				lines = append(lines, exported(fset, file.Name.Name, d)...)
			}
		}
		slices.Sort(lines)
		for _, line := range lines {
			fmt.Fprintln(&api, line)
		}
	}
	golden(t, "api.txt", api.Bytes())
}

// exported returns a line for each exported name of a declaration.
func exported(fset *token.FileSet, pkg string, decl ast.Decl) []string {
	show := func(n ast.Node) string {
		var out strings.Builder
		if err := printer.Fprint(&out, fset, n); err != nil {
			panic(err)
		}
		return strings.Join(strings.Fields(out.String()), " ")
	}
	var lines []string
	add := func(format string, args ...any) {
		lines = append(lines, pkg+": "+fmt.Sprintf(format, args...))
	}
	switch d := decl.(type) {
	case *ast.FuncDecl:
		receiver := ""
		if d.Recv != nil {
			receiver = show(d.Recv.List[0].Type)
		}
		if d.Name.IsExported() && (receiver == "" || ast.IsExported(strings.TrimPrefix(receiver, "*"))) {
			add("func (%s) %s%s", receiver, d.Name, strings.TrimPrefix(show(d.Type), "func"))
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.ValueSpec:
				for i, name := range s.Names {
					if name.IsExported() && d.Tok == token.CONST && i < len(s.Values) {
						add("const %s = %s", name, show(s.Values[i]))
					} else if name.IsExported() {
						add("%s %s", d.Tok, name)
					}
				}
			case *ast.TypeSpec:
				if !s.Name.IsExported() {
					continue
				}
				switch typ := s.Type.(type) {
				case *ast.StructType:
					add("type %s struct", s.Name)
					for _, field := range typ.Fields.List {
						if len(field.Names) == 0 {
							add("type %s struct, embedded %s", s.Name, show(field.Type))
						}
						for _, name := range field.Names {
							if name.IsExported() {
								tag := ""
								if field.Tag != nil {
									tag = " " + field.Tag.Value
								}
								add("type %s struct, %s %s%s", s.Name, name, show(field.Type), tag)
							}
						}
					}
				case *ast.InterfaceType:
					add("type %s interface", s.Name)
					for _, method := range typ.Methods.List {
						if len(method.Names) == 0 {
							add("type %s interface, embedded %s", s.Name, show(method.Type))
							continue
						}
						add(
							"type %s interface, %s%s",
							s.Name,
							method.Names[0],
							strings.TrimPrefix(show(method.Type), "func"),
						)
					}
				default:
					add("type %s %s", s.Name, show(s.Type))
				}
			}
		}
	}
	return lines
}

// TestEveryNameIsDocumented: exported names, their fields and methods.
func TestEveryNameIsDocumented(t *testing.T) {
	for _, dir := range importable(t) {
		fset, files := source(t, dir)
		undocumented := func(n ast.Node, name string) {
			t.Errorf("%s: %s has no comment", fset.Position(n.Pos()), name)
		}
		fields := func(owner string, list *ast.FieldList) {
			commented := false
			for i, f := range list.List {
				if len(f.Names) == 0 || !f.Names[0].IsExported() {
					continue
				}
				// A comment covers the fields on the lines right after it, too.
				follows := i > 0 && commented &&
					fset.Position(list.List[i-1].End()).Line+1 == fset.Position(f.Pos()).Line
				commented = f.Doc != nil || f.Comment != nil || follows
				if !commented {
					undocumented(f, owner+"."+f.Names[0].Name)
				}
			}
		}
		for _, file := range files {
			for _, decl := range file.Decls {
				switch d := decl.(type) {
				case *ast.FuncDecl:
					if d.Name.IsExported() && d.Doc == nil && !onUnexported(d) {
						undocumented(d, d.Name.Name)
					}
				case *ast.GenDecl:
					for _, spec := range d.Specs {
						switch s := spec.(type) {
						case *ast.ValueSpec:
							if s.Names[0].IsExported() && s.Doc == nil && s.Comment == nil && d.Doc == nil {
								undocumented(s, s.Names[0].Name)
							}
						case *ast.TypeSpec:
							if !s.Name.IsExported() {
								continue
							}
							if s.Doc == nil && d.Doc == nil {
								undocumented(s, s.Name.Name)
							}
							switch typ := s.Type.(type) {
							case *ast.StructType:
								fields(s.Name.Name, typ.Fields)
							case *ast.InterfaceType:
								fields(s.Name.Name, typ.Methods)
							}
						}
					}
				}
			}
		}
	}
}

// onUnexported reports whether a function is a method of a type that is not exported.
func onUnexported(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return false
	}
	typ := d.Recv.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	name, ok := typ.(*ast.Ident)
	return ok && !name.IsExported()
}

// TestRequirements: the root module requires four modules and nothing else (docs/design.md says
// what for). What wants another one is a module of its own.
func TestRequirements(t *testing.T) {
	text, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	var direct []string
	for _, line := range regexp.MustCompile(
		`(?m)^(?:require )?[ \t]*(\S+) v\S+(.*)$`,
	).FindAllStringSubmatch(string(text), -1) {
		if !strings.Contains(line[2], "// indirect") {
			direct = append(direct, line[1])
		}
	}
	slices.Sort(direct)
	if want := []string{
		"github.com/boombuler/barcode", "github.com/nyaruka/phonenumbers",
		"github.com/oklog/ulid/v2", "github.com/pquerna/otp",
	}; !slices.Equal(direct, want) {
		t.Errorf("go.mod requires %q, want %q", direct, want)
	}
}

// TestOneOfEach: one function compares codes, one commits outcomes, and the clock is
// read in one place.
func TestOneOfEach(t *testing.T) {
	_, files := source(t, ".")
	calls := map[string][]string{} // what is called to who calls it
	for _, file := range files {
		for _, decl := range file.Decls {
			name := "a declaration"
			if f, ok := decl.(*ast.FuncDecl); ok {
				name = f.Name.Name
			}
			ast.Inspect(decl, func(n ast.Node) bool {
				if sel, ok := n.(*ast.SelectorExpr); ok {
					called := sel.Sel.Name
					if pkg, ok := sel.X.(*ast.Ident); ok {
						called = pkg.Name + "." + called
					} else if x, ok := sel.X.(*ast.SelectorExpr); ok {
						called = x.Sel.Name + "." + called
					}
					calls[called] = append(calls[called], name)
				}
				return true
			})
		}
	}
	for called, want := range map[string][]string{
		"subtle.ConstantTimeCompare": {"match"},
		"store.Save":                 {"commit"},
		"s.clock":                    {"New", "New", "now"},
		"time.Now":                   {"New"},
		"s.onEvent":                  {"emit", "emit"},
		"hotp.GenerateCodeCustom":    {"totpCodes"},
		"bytes.Equal":                {"find"}, // of key ids, which are no secrets
		"time.Sleep":                 nil,
		"time.Since":                 nil,
	} {
		if !slices.Equal(calls[called], want) {
			t.Errorf("%s is used by %v, want %v", called, calls[called], want)
		}
	}
}

// TestNothingRunsByItself: no goroutine, no init, no package variable that changes
// (principle P7), and no other randomness than crypto/rand.
func TestNothingRunsByItself(t *testing.T) {
	fset, files := source(t, ".")
	at := func(n ast.Node) token.Position { return fset.Position(n.Pos()) }
	globals := map[string]bool{}
	for _, file := range files {
		for _, imp := range file.Imports {
			if strings.HasPrefix(imp.Path.Value, `"math/rand`) || imp.Path.Value == `"testing"` ||
				imp.Path.Value == `"unsafe"` {
				t.Errorf("%s: import of %s", at(imp), imp.Path.Value)
			}
		}
		for _, decl := range file.Decls {
			if d, ok := decl.(*ast.GenDecl); ok && d.Tok == token.VAR {
				for _, spec := range d.Specs {
					for _, name := range spec.(*ast.ValueSpec).Names {
						globals[name.Name] = name.Name != "_"
					}
				}
			}
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s: an init function", at(f))
			}
		}
	}
	for _, file := range files {
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				t.Errorf("%s: a goroutine", at(n))
			case *ast.AssignStmt:
				for _, left := range n.Lhs {
					if name, ok := left.(*ast.Ident); ok && n.Tok == token.ASSIGN && globals[name.Name] {
						t.Errorf("%s: the package variable %s changes", at(n), name.Name)
					}
				}
			}
			return true
		})
	}
}
