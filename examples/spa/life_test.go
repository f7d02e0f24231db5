package main

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/authfactor/mfa/examples/internal/browsertest"
)

// TestApp: log in without a factor, add an app, log in with it.
func TestApp(t *testing.T) {
	t.Parallel()
	s := start(t)
	ann := s.person(ann)
	ann.login("Your account", "ann@example.com", "None yet")
	ann.press("Add an app")
	ann.name("My phone")
	ann.scan()
	typed := browsertest.Get(ann.Page, chromedp.Evaluate[string](`document.querySelector(".secret").innerText`))
	if !regexp.MustCompile(`^(\w{4} ){7}\w{4}$`).MatchString(typed) ||
		!strings.Contains(ann.uri, "secret="+strings.ReplaceAll(typed, " ", "")) {
		t.Errorf("the key to type is %q, and the picture says %s", typed, ann.uri)
	}
	ann.answer("000000", "That code is not right", "You have 4 tries left.", "scan this code")
	ann.answer(ann.code())
	ann.keep()
	ann.Awaits("Added: My phone", "10 left")
	if strings.Contains(ann.html(), ann.codes[0]) {
		t.Error("the recovery codes are in the page still")
	}
	ann.logout()

	ann.login("Type your code", "To log in, type the code that My phone shows now")
	ann.answer("000000", "You have 4 tries left.")
	ann.answer(ann.code(), "Your account", "My phone")
	if told := strings.Join(s.letters(ann.email), "\n"); !strings.Contains(told, "A second factor was added") {
		t.Errorf("she was told:\n%s", told)
	}
}

// html is all that is in the page, shown or not.
func (p *person) html() string {
	p.Helper()
	return browsertest.Get(p.Page, chromedp.Evaluate[string]("document.documentElement.outerHTML"))
}

// TestPasskey: add one, log in with it, pay with it, and take it away.
func TestPasskey(t *testing.T) {
	t.Parallel()
	s := start(t)
	ann := s.member(ann)
	key := ann.Key()
	ann.press("Add a passkey")
	ann.name("", "To add a second factor, type the code")
	ann.answer(ann.code(), "Your browser asks where to keep the passkey")
	ann.press("Make the passkey")
	ann.Awaits("Added: Chrome on Linux", "kept on one device only")
	ann.logout()

	ann.login("To log in, use a passkey", "Another way", "My phone")
	ann.press("Use a passkey")
	ann.Awaits("Your account", "Chrome on Linux")

	ann.press("Add a passkey")
	ann.name("Another", "To add a second factor, use a passkey")
	ann.press("Use a passkey")
	ann.Awaits("Your browser asks where")
	ann.press("Make the passkey")
	ann.Awaits("has a passkey of your account already")
	ann.press("Cancel")
	ann.pay("To send 100 EUR to Bob, use a passkey")
	key.Verifies(false) // a finger that is not hers
	ann.press("Use a passkey")
	ann.Awaits("Nothing was sent")
	key.Verifies(true)
	ann.press("Use a passkey")
	ann.Awaits("Done: send 100 EUR to Bob")

	ann.press("Remove Chrome on Linux")
	ann.Awaits("To remove a second factor, use a passkey")
	ann.press("My phone") // another way
	ann.Awaits("type the code that My phone shows")
	ann.answer(ann.code(), "The second factor was removed")
	ann.logout()
	ann.login("Type your code")
}

// pay begins to send money.
func (p *person) pay(next ...string) { p.Helper(); p.press("Send"); p.Awaits(next...) }

// TestPay: money is sent with a fresh second factor, and not without one.
func TestPay(t *testing.T) {
	t.Parallel()
	s := start(t)
	ann := s.person(ann)
	ann.login("Your account")
	ann.pay("This needs a second factor. Please add one first.")
	ann.addApp()
	ann.fill("amount", "25")
	ann.fill("to", "<b>Mallory</b>")
	ann.pay("To send 25 EUR to <b>Mallory</b>, type the code")
	ann.press("Cancel")
	ann.Awaits("Send money")
	ann.pay("To send 25 EUR")
	ann.answer(ann.code(), "Done: send 25 EUR to <b>Mallory</b>.")
}

// TestReceipt: whoever confirms a payment confirms no other one, and this one once.
func TestReceipt(t *testing.T) {
	t.Parallel()
	s := start(t)
	ann := s.member(ann)
	script := `import("/mfa.js").then(async ({ send }) => {
		const pay = (to, amount, receipt) => send("/pay", { to, amount }, receipt).catch((problem) => problem);
		const { question } = await pay("Bob", 100);
		await send("/mfa/challenge", { question: question.id, factor_id: question.factors[0].id });
		const { receipt } = await send("/mfa/verify", { question: question.id, code: "` + ann.code() + `" });
		const answers = [];
		for (const [to, amount] of [["Bob", 101], ["Mallory", 100], ["Bob", 100], ["Bob", 100]]) {
			const { status, code } = await pay(to, amount, receipt);
			answers.push(code ?? status);
		}
		return answers.join(" ");
	})`
	const asked = "second_factor_required"
	got := browsertest.Get(ann.Page, chromedp.Evaluate[string](script, chromedp.EvalAwaitPromise))
	if want := strings.Join([]string{asked, asked, "paid", asked}, " "); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestTwoTabs: what is typed in one tab does not answer what another one is asked, and the person
// is told so.
func TestTwoTabs(t *testing.T) {
	t.Parallel()
	s := start(t)
	ann := s.member(ann)
	other := ann.tab()
	other.open("/account")
	other.Awaits("My phone")
	ann.press("Turn off the second factor")
	ann.Awaits("To turn off the second factor, type the code")
	other.pay("To send 100 EUR to Bob, type the code")
	ann.answer(ann.code(), "You were asked something else meanwhile, so nothing was done", "My phone")
	other.answer(ann.code(), "Done: send 100 EUR to Bob.")

	ann.logout()
	ann.login("Type your code")
	other.open("/login")
	other.Awaits("Type your code") // the same question, until she logs in there
	other.press("Log in as somebody else")
	other.types("Type your code")
	ann.answer(ann.code(), "You were asked something else meanwhile", "E-mail address")
	other.answer(ann.code(), "Your account")
}

// TestPhone: text messages, which are sent again after a while and not before.
func TestPhone(t *testing.T) {
	t.Parallel()
	s := start(t)
	ann := s.person(ann)
	ann.login("Your account")
	ann.press("Add a phone number")
	ann.Awaits("Phone number")
	ann.fill("phone", "+1 555")
	ann.press("Continue")
	ann.Awaits("There is no such phone number")
	ann.fill("phone", "(500) 555-0006")
	ann.name("", "the newest code that we sent to +*********06")
	ann.answer(s.message())
	ann.keep()
	ann.Awaits("Text message to +*********06", "Messages can be intercepted")
	ann.logout()

	s.clock.Advance(time.Hour)
	ann.login("the newest code that we sent")
	first := s.message()
	from := browsertest.Get(ann.Page, chromedp.Evaluate[string](
		`new Date("`+s.clock.Now().Add(time.Minute).Format(time.RFC3339)+`").toLocaleTimeString("en-GB")`))
	ann.Awaits("Possible from " + from + " on.")
	ann.press("Send again")
	ann.Awaits("possible again in 60 seconds")
	s.clock.Advance(time.Minute)
	ann.press("Send again")
	ann.Awaits("A new message is on its way")
	ann.answer(first, "That code is not right", "You have 4 tries left.")
	ann.answer(s.message(), "Your account")
	ann.logout()

	thief := s.person(ann.email) // who has the password uses up a message
	s.clock.Advance(time.Hour)
	thief.login("the newest code that we sent")
	ann.login("possible again in 60 seconds", "we send a code to +*********06")
	s.clock.Advance(time.Minute)
	ann.press("Send a code")
	ann.Awaits("A new message is on its way")
	ann.answer(s.message(), "Your account")
}

// TestRecovery: a code of the list logs in once, and lets her add one factor.
func TestRecovery(t *testing.T) {
	t.Parallel()
	s := start(t)
	ann := s.member(ann)
	ann.logout()
	ann.login("Type your code")
	ann.press("Recovery code")
	ann.Awaits("one of your recovery codes")
	ann.answer(strings.ToLower(ann.codes[0]), "Your account", "You logged in with a recovery code", "9 left")
	ann.press("Make new ones") // the login let her
	old := ann.codes
	ann.keep()
	ann.Awaits("You have new recovery codes", "10 left")
	ann.press("Make new ones")
	ann.Awaits("To make recovery codes, type the code")
	ann.answer(ann.code())
	ann.keep()
	ann.logout()
	ann.login("Type your code")
	ann.press("Recovery code")
	ann.Awaits("one of your recovery codes")
	ann.answer(old[1], "That code is not right")
	ann.answer(ann.codes[0], "9 left")
}

// TestSeveral: an app is renamed, another one is added and replaced, and all of it is turned off.
func TestSeveral(t *testing.T) {
	t.Parallel()
	s := start(t)
	ann := s.member(ann)
	ann.press("Rename My phone")
	ann.Awaits("Give it another name")
	ann.fill("name", "Old\u202ephone")
	ann.press("Rename")
	ann.Awaits("has characters that cannot be shown")
	ann.fill("name", "Old phone")
	ann.press("Rename")
	ann.Awaits("It has another name", "Old phone")

	old := ann.uri
	ann.press("Add an app")
	ann.name("Tablet", "To add a second factor")
	ann.answer(ann.code())
	ann.scan()
	ann.answer(ann.code(), "Added: Tablet")
	tablet := ann.uri
	ann.uri = old
	ann.press("Replace Old phone")
	ann.name("New phone", "To replace a second factor")
	ann.press("Old phone")
	ann.Awaits("the code that Old phone shows")
	ann.answer(ann.code())
	ann.scan()
	ann.answer(ann.code(), "Added: New phone", "Tablet")
	if ann.Says("Old phone") {
		t.Errorf("it was replaced:\n%s", ann.Text())
	}
	ann.uri = tablet
	ann.press("Turn off the second factor")
	ann.Awaits("To turn off the second factor")
	ann.press("Tablet")
	ann.Awaits("the code that Tablet shows")
	ann.answer(ann.code(), "Your second factor is off", "None yet")
	ann.logout()
	ann.login("Your account")
}

// TestTrust: a browser that is trusted is not asked, until that is ended.
func TestTrust(t *testing.T) {
	t.Parallel()
	s := start(t)
	ann := s.member(ann)
	ann.logout()
	ann.login("Do not ask on this browser for 30 days")
	ann.Do(chromedp.Click(chromedp.CSS("[name=trust]")))
	ann.answer(ann.code(), "Trusted browsers", "Chrome on Linux")
	ann.logout()
	ann.login("Your account")
	ann.press("Stop trusting Chrome on Linux")
	ann.Awaits("That browser will be asked for a code again")
	ann.logout()
	ann.login("Type your code")
}

// TestReadsMessage: where the browser reads codes, one is filled in and not sent, and reading
// ends when it is answered or left.
func TestReadsMessage(t *testing.T) {
	t.Parallel()
	s := start(t)
	ann := s.person(ann)
	ann.ReadsMessages()
	ann.login("Your account")
	ann.press("Add a phone number")
	ann.Awaits("Phone number")
	ann.fill("phone", "(500) 555-0006")
	ann.name("", "the newest code that we sent to +*********06")
	code := s.message()
	if !strings.Contains(s.stderr.String(), "\n\n@localhost #"+code+"\n") {
		t.Errorf("the message is not of this site:\n%s", s.stderr)
	}
	ann.Message(code)
	ann.Until(`document.querySelector("#code").value === "` + code + `"`)
	ann.press("Confirm")
	ann.keep()
	ann.Awaits("Text message to +*********06")
	if n := ann.ReadingsEnded(); n != 1 {
		t.Errorf("after the answer, reading ended %d times, want once", n)
	}
	ann.logout()

	s.clock.Advance(time.Hour)
	ann.login("the newest code that we sent")
	ann.press("Recovery code")
	ann.Awaits("one of your recovery codes")
	if n := ann.ReadingsEnded(); n != 2 {
		t.Errorf("after another way, reading ended %d times, want twice", n)
	}
}
