// Asks for a second factor: the person chooses one, types a code or uses a passkey, has a message
// sent again, or takes another way, until an answer is right.
import { makePasskey, passkeyProblem, passkeysWork, readCode, send, usePasskey } from "./mfa.js";
import { showCodes } from "./codes.js";
import { browserName, cancelled, ends, make } from "./page.js";

// factorName is what a person calls a factor.
export function factorName(factor) {
	const to = factor.sms?.phone_number;
	switch (factor.type) {
	case "sms":
		return factor.name ? `${factor.name}, ${to}` : `Text message to ${to}`;
	case "recovery_codes":
		return "Recovery code";
	case "webauthn":
		return factor.name || "Passkey";
	default:
		return factor.name || "Authenticator app";
	}
}

// sent says whether a factor's codes are sent: they can be sent again, and not for nothing.
const sent = (factor) => factor.type === "sms";

// ask asks a question, and gives the answer of /verify. `to` says what for, such as "log in";
// `picture` are the nodes above the code of an app that is added; `cancel` is what the link
// below says.
export async function ask(stage, question, { to, picture, cancel = "Cancel" }) {
	const asked = { stage, question, to, picture, cancel };
	const known = question.factors.find((factor) => factor.id === question.factor_id);
	let state = await begin(asked, known ?? question.factors[0]);
	for (;;) {
		const next = await present(asked, state);
		if (next.recovery_codes) { // those of the first factor
			await showCodes(stage, next.recovery_codes);
		}
		if (next.status) {
			return next;
		}
		state = next;
	}
}

// begin challenges the first factor. If that is refused, the person is told, and may take
// another way.
async function begin(asked, factor) {
	try {
		return { factor, challenge: await challenge(asked, factor) };
	} catch (problem) {
		if (ends(problem)) {
			throw problem;
		}
		return { factor, problem: problem.show };
	}
}

function challenge({ question }, factor, again = false) {
	return send("/mfa/challenge", { question: question.id, factor_id: factor.id, send_again: again });
}

// Why a challenge takes no more answers.
const used = [
	"not_challenged", "authentication_challenge_expired",
	"one_time_code_too_many_attempts", "authentication_challenge_previously_verified",
];

// verify answers. A challenge that is used up is made anew where nothing is sent for it: what an
// app shows, or what is on paper, is as good as before.
async function verify(asked, { factor }, body) {
	const answer = () => send("/mfa/verify", { question: asked.question.id, ...body });
	try {
		return await answer();
	} catch (problem) {
		if (!used.includes(problem.code) || sent(factor) || factor.type === "webauthn") {
			throw problem;
		}
	}
	await challenge(asked, factor);
	return answer();
}

function present(asked, state) {
	const { question, stage } = asked;
	const confirms = question.for === "confirm";
	let title = "Type your code";
	let view = codeView;
	if (state.factor.type === "webauthn") {
		title = confirms ? "Make a passkey" : "Use a passkey";
		view = passkeyView;
	} else if (asked.picture) {
		title = "Scan this code";
	}
	const left = new AbortController(); // by any way out of this view
	const build = (act) => [...view(asked, state, act, left), ...ways(asked, state, act)];
	return stage.present(title, build, state).finally(() => left.abort());
}

// again is the view after one more message, or a first one.
function again(asked, { factor }) {
	return async () => ({
		factor, challenge: await challenge(asked, factor, true),
		notice: "A new message is on its way. Codes of earlier ones are not good any more.",
	});
}

const strong = (text) => make("strong", {}, text);

// codeView is for what a person types. The code of a message may be filled in until it is
// answered or left.
function codeView(asked, state, act, left) {
	const { to, question, picture } = asked;
	const { factor } = state;
	const phone = strong(factor.sms?.phone_number ?? "");
	if (sent(factor) && !state.challenge) {
		return [
			make("p", {}, `To ${to}, we send a code to `, phone, "."),
			make("button", { type: "button", autofocus: true, click: act(again(asked, state)) }, "Send a code"),
		];
	}
	const recovery = factor.type === "recovery_codes";
	const words = {
		sms: ["the newest code that we sent to ", phone, "."],
		recovery_codes: ["one of your ", strong("recovery codes"), ". Each works once."],
	}[factor.type] ?? ["the code that ", strong(factorName(factor)), " shows now."];
	const submit = act(({ target: { elements } }) => {
		left.abort();
		return verify(asked, state, { code: elements.code.value, ...trusted(elements) });
	});
	const code = make("input", {
		id: "code", name: "code", class: "code", required: true, autofocus: true, spellcheck: "false",
		...recovery
			? { autocapitalize: "characters", autocomplete: "off", maxlength: 64 }
			: { inputmode: "numeric", autocomplete: "one-time-code", maxlength: 16 },
	});
	if (sent(factor)) {
		readCode(left.signal).then((read) => {
			code.value = read ?? code.value;
		});
	}
	return [
		...picture ?? [make("p", {}, `To ${to}, type `, ...words)],
		make("form", { submit },
			make("label", { for: "code" }, picture ? "Then type the code that the app shows" : "Code"), code,
			question.for === "login" && trust(),
			make("button", {}, question.for === "confirm" ? "Confirm" : "Continue")),
		sent(factor) && sendAgain(asked, state, act),
	];
}

// sendAgain says from when on a message is sent again. It asks our clock and not that of the
// browser, which may be wrong: who is too early is told how long to wait.
function sendAgain(asked, state, act) {
	const at = state.challenge.resend_at;
	const from = at && new Date(at).toLocaleTimeString("en-GB");
	return make("p", { class: "again" },
		make("button", { type: "button", class: "second", click: act(again(asked, state)) }, "Send again"),
		at && make("small", {}, `Possible from ${from} on.`));
}

function passkeyView(asked, state, act) {
	const { question, to } = asked;
	if (!passkeysWork) {
		return [make("p", {}, "This browser cannot use passkeys, or is too old for them. Use another way, or another browser.")];
	}
	const confirms = question.for === "confirm";
	const words = confirms
		? "Your browser asks where to keep the passkey: on this device, on a phone, or on a security key."
		: `To ${to}, use a passkey: your browser asks for a finger, your face or a PIN.`;
	const submit = act(async ({ target: { elements } }) => {
		state.challenge ??= await challenge(asked, state.factor);
		const { options } = state.challenge;
		const answer = await (confirms ? makePasskey(options) : usePasskey(options)).catch((error) => {
			throw passkeyProblem(error);
		});
		try {
			return await verify(asked, state, { answer, ...trusted(elements) });
		} catch (problem) {
			if (problem.code === "invalid_one_time_code") {
				problem.show = "That passkey was not accepted. Try again, or use another way.";
			} else if (used.includes(problem.code)) {
				state.challenge = undefined; // the next click makes another one
				problem.show = "That took too long, or went wrong too often. Please try again.";
			}
			throw problem;
		}
	});
	return [
		make("p", {}, words),
		make("form", { submit },
			question.for === "login" && trust(),
			make("button", { autofocus: true }, confirms ? "Make the passkey" : "Use a passkey")),
	];
}

function trust() {
	return make("label", { class: "check" },
		make("input", { type: "checkbox", name: "trust" }), " Do not ask on this browser for 30 days");
}

const trusted = ({ trust }) => (trust?.checked ? { trust: true, device_name: browserName() } : {});

// ways are the other factors, and how to give up. Any passkey answers for all of them, so they
// are one way.
function ways(asked, { factor }, act) {
	let passkey = factor.type === "webauthn";
	const others = asked.question.factors.filter((other) => {
		const first = other.id !== factor.id && !(other.type === "webauthn" && passkey);
		passkey ||= other.type === "webauthn";
		return first;
	});
	const take = (other) => act(async () => ({ factor: other, challenge: await challenge(asked, other) }));
	const button = (other) => make("li", {},
		make("button", { type: "button", class: "second", click: take(other) },
			other.type === "webauthn" ? "Passkey" : factorName(other), other.locked && " (locked)"));
	const giveUp = act(() => {
		throw cancelled();
	});
	return [
		others.length > 0 && make("section", { "aria-labelledby": "others" },
			asked.stage.below({ id: "others" }, "Another way"), make("ul", { class: "ways" }, others.map(button))),
		make("p", { class: "quiet" }, make("button", { type: "button", class: "link", click: giveUp }, asked.cancel)),
	];
}
