// Package itest tests the root module with instruments that it does not require
// itself: a reader of QR codes, and a checker of linearizability.
package itest
