// Package attacks has the suites that attack the library through its public API: they
// guess, replay, race, lose and change records, and look for what prints. docs/threats.md
// says which attack each of them is.
package attacks
