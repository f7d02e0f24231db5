// Package licences has the test that whoever imports a module of this repository gets nothing
// under a licence that .github/CONTRIBUTING.md does not allow.
package licences
