package licences_test

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

// allowed are licences that let an application keep its own source to itself. CONTRIBUTING.md says why.
var allowed = []string{"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MPL-2.0", "public domain"}

// read are files of dependencies that a person has to read: they are no licence, or list many.
var read = map[string]string{
	"modernc.org/libc/LICENSE-3RD-PARTY.md":   "Go, musl, go-netdb, nixpkgs: BSD-3-Clause and MIT",
	"modernc.org/memory/LICENSE-LOGO":         "the address of a picture",
	"modernc.org/sqlite/LICENSE-3RD-PARTY.md": "what its dependencies have, which are looked at by themselves",
}

// TestLicences looks at every module that a go.mod of ours requires, for whatever system and for
// tests too: each licence file in it is one of those allowed, and its root has one.
func TestLicences(t *testing.T) {
	unread := make(map[string]bool, len(read))
	for name := range read {
		unread[name] = true
	}
	seen := map[string]bool{}
	for _, dir := range modules(t) {
		required := dependencies(t, dir)
		if len(required) < 4 { // the root's own, which each of the others has as well
			t.Errorf("%s requires %d modules: this test does not see them", dir, len(required))
		}
		for _, m := range required {
			if seen[m.Dir] {
				continue
			}
			seen[m.Dir] = true
			atRoot := false
			for _, file := range licenceFiles(t, m.Dir) {
				name := m.Path + "/" + file
				delete(unread, name)
				if read[name] != "" {
					continue
				}
				text, err := os.ReadFile(filepath.Join(m.Dir, filepath.FromSlash(file)))
				if err != nil {
					t.Fatal(err)
				}
				licence := classify(string(text))
				if !slices.Contains(allowed, licence) {
					t.Errorf("%s requires %s %s, whose %s is %q, want one of %q", dir, m.Path, m.Version, file, licence, allowed)
				}
				atRoot = atRoot || !strings.Contains(file, "/")
			}
			if !atRoot {
				t.Errorf("%s requires %s %s, which has no licence in its root", dir, m.Path, m.Version)
			}
		}
	}
	for name := range unread {
		t.Errorf("%s is not required any more: it need not be listed", name)
	}
}

// modules returns the folders of all modules that users import.
func modules(t *testing.T) []string {
	t.Helper()
	var dirs []string
	err := fs.WalkDir(os.DirFS(root), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if base := entry.Name(); entry.IsDir() && name != "." && (base[0] == '.' || base[0] == '_' ||
			slices.Contains([]string{"examples", "internal", "node_modules", "testdata"}, base)) {
			return fs.SkipDir
		}
		if entry.Name() == "go.mod" {
			dirs = append(dirs, filepath.Dir(name))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{".", "sqlstore", filepath.FromSlash("senders/aws")} {
		if !slices.Contains(dirs, dir) {
			t.Errorf("%s is not looked at", dir)
		}
	}
	return dirs
}

type module struct{ Path, Version, Dir, Error string }

// dependencies returns what the go.mod of a folder requires, indirectly too, but for our own
// modules, which are there already.
func dependencies(t *testing.T, dir string) []module {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "mod", "download", "-json")
	cmd.Dir = filepath.Join(root, dir)
	cmd.Env = append(os.Environ(), "GOWORK=off")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output() // with an error there is an Error of a module, too
	var list []module
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var m module
		if end := decoder.Decode(&m); errors.Is(end, io.EOF) {
			break
		} else if end != nil {
			t.Fatal(end)
		}
		if m.Error != "" {
			t.Fatalf("%s: %s %s: %s", dir, m.Path, m.Version, m.Error)
		}
		list = append(list, m)
	}
	if err != nil {
		t.Fatalf("%s: %v\n%s", dir, err, stderr.String())
	}
	return list
}

var licenceName = regexp.MustCompile(`(?i)^(un)?(licen[cs]e|copying)([-.].*)?$`)

// licenceFiles returns the slash-separated names of all licence files below a folder.
func licenceFiles(t *testing.T, dir string) []string {
	t.Helper()
	var names []string
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && name != "." && (entry.Name()[0] == '.' || entry.Name() == "testdata") {
			return fs.SkipDir
		}
		if ext := filepath.Ext(name); !entry.IsDir() && licenceName.MatchString(entry.Name()) && ext != ".go" {
			names = append(names, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// sentences are what the text of a licence says and no other licence that is allowed.
var sentences = []struct{ licence, sentence string }{
	{"Apache-2.0", "apache license version 2.0, january 2004"},
	{"Apache-2.0", "licensed under the apache license, version 2.0"},
	{"BSD", "redistribution and use in source and binary forms, with or without modification, are permitted provided that the following conditions are met"},
	{"ISC", "permission to use, copy, modify, and distribute this software for any purpose with or without fee is hereby granted, provided that"},
	{"ISC", "permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is hereby granted, provided that"},
	{"MIT", "permission is hereby granted, free of charge, to any person obtaining a copy of this software"},
	{"MPL-2.0", "mozilla public license version 2.0"},
	{"MPL-2.0", "mozilla public license, version 2.0"},
	{"public domain", "has been dedicated to the public domain"},
}

// classify returns the licence whose sentence comes first in a text, or "" if the text has none.
func classify(text string) string {
	text = strings.ToLower(strings.Join(strings.Fields(text), " "))
	first, licence := len(text), ""
	for _, s := range sentences {
		if at := strings.Index(text, s.sentence); at >= 0 && at < first {
			first, licence = at, s.licence
		}
	}
	// What others have in common with a licence that is allowed, and more.
	for _, more := range []string{"gnu general public license version", "commons clause", "all advertising materials"} {
		if strings.Contains(text, more) {
			return ""
		}
	}
	switch {
	case licence != "BSD":
		return licence
	case strings.Contains(text, "endorse or promote products"):
		return "BSD-3-Clause"
	default:
		return "BSD-2-Clause"
	}
}

// TestClassify: texts that begin like a licence and go on otherwise are unknown.
func TestClassify(t *testing.T) {
	const (
		mit = "Copyright (c) 2020 A\n\nPermission is hereby granted, free of charge, to any\nperson obtaining a copy of this software and"
		bsd = "Redistribution and use in source and binary forms, with or without\nmodification, are permitted provided that the following conditions\nare met:"
	)
	for _, test := range []struct{ text, want string }{
		{mit, "MIT"},
		{bsd, "BSD-2-Clause"},
		{bsd + " may be used to endorse or promote products derived", "BSD-3-Clause"},
		{"Apache License\n  Version 2.0, January 2004", "Apache-2.0"},
		{"Mozilla Public License Version 2.0\n...\nmeans either the GNU General Public License, Version 2.0", "MPL-2.0"},
		{"", ""},
		{"All rights reserved.", ""},
		{"GNU GENERAL PUBLIC LICENSE\n  Version 3, 29 June 2007", ""},
		{"GNU AFFERO GENERAL PUBLIC LICENSE\n  Version 3, 19 November 2007", ""},
		{"Business Source License 1.1", ""},
		{"Server Side Public License\nVERSION 1, OCTOBER 16, 2018", ""},
		{bsd + " All advertising materials mentioning features", ""},
		{`"Commons Clause" License Condition v1.0` + "\n" + mit, ""},
		{mit + "\n\nGNU GENERAL PUBLIC LICENSE\nVersion 2", ""},
	} {
		if got := classify(test.text); got != test.want {
			t.Errorf("classify(%q) = %q, want %q", test.text, got, test.want)
		}
	}
}
