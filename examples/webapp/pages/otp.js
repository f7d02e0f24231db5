// Fills in the code of a text message, where a browser can read the last line that binds the code
// to this site (WebOTP) and the person allows it. Without that, and without this script, the
// person types.
"use strict";

if ("OTPCredential" in window) {
	const field = document.getElementById("code");
	const left = new AbortController();
	document.addEventListener("submit", () => left.abort()); // of this form or another one
	window.addEventListener("pagehide", () => left.abort());
	navigator.credentials.get({ otp: { transport: ["sms"] }, signal: left.signal }).then((read) => {
		if (read && !left.signal.aborted) {
			field.value = read.code;
		}
	}, () => {}); // not allowed, or left: the person types
}
