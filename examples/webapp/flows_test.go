package main

import "testing"

// TestApp: sign up, turn on the app, log in with it.
func TestApp(t *testing.T) {
	s := start(t)
	ann := s.person(t, "ann@example.com")
	ann.signUp()
	ann.addApp("My phone")
	ann.sees("Your recovery codes")
	ann.press("I have kept them")
	ann.sees("My phone", "10 left")
	ann.menu("Log out")
	ann.login()
	ann.sees("Type your code", "My phone")
	ann.answer(ann.code())
	ann.sees("Your account", "ann@example.com")
}
