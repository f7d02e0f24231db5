// What a passkey needs of a page: it gives the options to the browser, and sends back what the
// browser answers. The form has the rest, and works without this file for every other factor.
"use strict";
{
	const form = document.querySelector("form[data-options]");
	const button = form.querySelector("button");
	const problem = document.querySelector("#passkey-problem");
	const registers = form.hasAttribute("data-registers");
	const say = (text) => { problem.textContent = text; problem.hidden = !text; };
	const words = {
		NotAllowedError: registers
			? "No passkey was made: it was cancelled, or took too long. Try again, or cancel."
			: "Nothing was sent: it was cancelled, took too long, or no passkey of yours was found. Try again, or use another way.",
		InvalidStateError: "This device has a passkey of your account already. Use it to log in, or choose another device.",
		SecurityError: "Passkeys do not work at this address. Use another way.",
		NotSupportedError: "This device cannot make a passkey. Choose another device.",
	};
	const ask = async () => {
		say("");
		button.disabled = true;
		try {
			const options = JSON.parse(form.dataset.options);
			const credential = registers
				? await navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options) })
				: await navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options) });
			form.elements.answer.value = JSON.stringify(credential.toJSON());
			form.submit();
		} catch (e) {
			say(words[e.name] ?? "That did not work in this browser. Try again, or use another way.");
			button.disabled = false;
			button.focus(); // which it lost: for who has no mouse
		}
	};
	if (window.PublicKeyCredential?.parseRequestOptionsFromJSON) {
		button.hidden = false;
		button.addEventListener("click", ask);
		button.focus();
	} else {
		say("This browser cannot use passkeys, or is too old for them. Use another way, or another browser.");
	}
}
