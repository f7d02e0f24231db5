// A client of package mfaweb, to copy. It knows the requests, and nothing of the page.

// A Problem is why a request was refused. `code` is stable, to decide by; `show` is for the
// person; `retry_after` is how many seconds to wait, 0 for none; `tries_left` is there where it
// is the point, and `question` where it is to be answered first.
export class Problem extends Error {
	constructor({ code, show, message = show, ...more }) {
		super(message);
		Object.assign(this, { retry_after: 0, ...more, code, show });
	}
}

const offline = { code: "offline", show: "We cannot be reached. Are you online? Please try again." };
const broken = { code: "broken", show: "It is our fault. Please try again in a moment." };

// send makes a request: GET without a body, and POST with one. It gives the answer, or throws a
// Problem.
export async function send(path, body, receipt) {
	const request = { headers: {} };
	if (body) {
		request.method = "POST";
		request.headers["Content-Type"] = "application/json";
		request.body = JSON.stringify(body);
	}
	if (receipt) {
		request.headers["Mfa-Receipt"] = receipt;
	}
	let response;
	try {
		response = await fetch(path, request);
	} catch {
		throw new Problem(offline);
	}
	const told = await response.json().catch(() => null);
	if (!response.ok || !told) {
		throw new Problem(told?.show ? told : broken);
	}
	return told;
}

// sendFresh is send for what may need a fresh second factor. Then `ask` is given the question,
// and once it is answered the same request is made again, with the receipt of the answer.
export async function sendFresh(path, body, ask) {
	try {
		return await send(path, body);
	} catch (problem) {
		if (problem.code !== "second_factor_required" || !problem.question) {
			throw problem;
		}
		const { receipt } = await ask(problem.question);
		return send(path, body, receipt);
	}
}

// readCode gives the code of a text message whose last line binds it to this site, where the
// browser can read that (WebOTP) and the person allows it, and else undefined. The signal ends it.
export async function readCode(signal) {
	if (!("OTPCredential" in window)) {
		return undefined;
	}
	try {
		const read = await navigator.credentials.get({ otp: { transport: ["sms"] }, signal });
		return signal.aborted ? undefined : read?.code;
	} catch {
		return undefined; // not allowed, or ended
	}
}

export const passkeysWork = Boolean(window.PublicKeyCredential?.parseRequestOptionsFromJSON);

// makePasskey and usePasskey give the options of a challenge to the browser, and what it answers
// is `answer` for /verify. Call them at a click: some browsers ask at nothing else.
export async function makePasskey(options) {
	const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(options);
	return (await navigator.credentials.create({ publicKey })).toJSON();
}

export async function usePasskey(options) {
	const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options);
	return (await navigator.credentials.get({ publicKey })).toJSON();
}

// passkeyProblem is what to tell of an error of the browser.
export function passkeyProblem(error) {
	const words = {
		NotAllowedError: "Nothing was sent: it was cancelled, took too long, or no passkey of yours was found. Try again, or use another way.",
		InvalidStateError: "This device has a passkey of your account already. Use it to log in, or choose another device.",
		SecurityError: "Passkeys do not work at this address. Use another way.",
		NotSupportedError: "This device cannot make a passkey. Choose another device.",
	};
	const show = words[error.name] ?? "That did not work in this browser. Try again, or use another way.";
	return new Problem({ code: "passkey", show });
}
