// The account page: second factors, recovery codes, trusted browsers, and a payment that wants a
// fresh second factor.
import { Problem, send, sendFresh } from "./mfa.js";
import { showCodes } from "./codes.js";
import { enroll } from "./enroll.js";
import { ask, factorName } from "./question.js";
import { Stage, cancelled, day, field, make } from "./page.js";

const at = (id) => document.getElementById(id);
const dialog = document.querySelector("dialog");

// fresh makes a request that may need a fresh second factor, which is asked for in the dialog.
const fresh = (stage, path, body, to) => sendFresh(path, body, (question) => ask(stage, question, { to }));

// during does one thing at a time. It asks in the dialog where something is to be asked, tells
// what came of it, and shows the account as it is then.
let running = false;
function during(action) {
	return async (event) => {
		event.preventDefault();
		if (running) {
			return;
		}
		running = true;
		at("account").ariaBusy = "true";
		const pressed = event.submitter ?? event.currentTarget;
		const stage = new Stage(dialog, { open: () => dialog.open || dialog.showModal() });
		dialog.oncancel = (e) => {
			e.preventDefault();
			stage.cancel();
		};
		dialog.onclose = () => { // at a second Escape, which browsers obey
			if (!stage.over && stage.view && !dialog.open) {
				dialog.showModal();
				stage.focus();
			}
		};
		at("problem").textContent = at("notice").textContent = "";
		let problem = "";
		let notice = "";
		try {
			notice = await action(stage, event) ?? "";
		} catch (error) {
			problem = wordsOf(error);
		}
		stage.over = true;
		dialog.close();
		dialog.querySelector(".stage").replaceChildren(); // no secret stays in the page
		running = false;
		await refresh(pressed).catch((error) => {
			problem ||= wordsOf(error);
		});
		at("problem").textContent = problem;
		at("notice").textContent = notice;
		at("account").ariaBusy = "false";
	};
}

// wordsOf is what to tell of an error. Who is logged in no more is asked to log in.
function wordsOf(error) {
	if (error.code === "not_logged_in") {
		location.assign("/login");
	}
	if (error instanceof Problem) {
		return error.show;
	}
	console.error(error);
	return "It is our fault. Please try again in a moment.";
}

const add = (type, replaces) => during(async (stage) => {
	const { factor, recovery_codes: first } = await enroll(stage, type, { replaces });
	return `Added: ${factorName(factor)}.${first ? "" : " Browsers that you trusted are asked for a code again."}`;
});

const rename = (factor) => during((stage) => stage.present("Give it another name", (act) => {
	const submit = act(async ({ target: { elements } }) => {
		await send("/mfa/rename", { factor_id: factor.id, name: elements.name.value });
		return "It has another name.";
	});
	return [
		make("form", { submit },
			field("Name", { name: "name", value: factor.name ?? "", maxlength: 64, autocomplete: "off", autofocus: true }),
			make("button", {}, "Rename")),
		make("p", { class: "quiet" }, make("button", {
			type: "button", class: "link", click: act(() => {
				throw cancelled();
			}),
		}, "Cancel")),
	];
}));

const remove = (factor) => during(async (stage) => {
	await fresh(stage, "/mfa/remove", { factor_id: factor.id }, "remove a second factor");
	return "The second factor was removed.";
});

const newCodes = during(async (stage) => {
	const { recovery_codes: codes } = await fresh(stage, "/mfa/recovery-codes", {}, "make recovery codes");
	await showCodes(stage, codes);
	return "You have new recovery codes.";
});

const turnOff = during(async (stage) => {
	await fresh(stage, "/mfa/turn-off", {}, "turn off the second factor");
	return "Your second factor is off.";
});

const stopTrusting = (body) => during(async () => {
	await send("/mfa/revoke-device", body);
	return body.all ? "All browsers will be asked for a code again." : "That browser will be asked for a code again.";
});

const pay = during(async (stage, { target: { elements } }) => {
	const payment = { to: elements.to.value, amount: Number(elements.amount.value) };
	const what = `send ${payment.amount} EUR to ${payment.to}`;
	await fresh(stage, "/pay", payment, what);
	return `Done: ${what}.`;
});

// button is one that is named by its text and, where there are several, by what it is for.
function button(text, click, what) {
	return make("button", { type: "button", class: "second", "aria-label": what && `${text} ${what}`, click }, text);
}

function note(factor) {
	const notes = [factor.status === "disabled" ? "Locked after too many wrong codes" : `Added ${day(factor.created_at)}`];
	if (factor.type === "webauthn") {
		notes.push(factor.details?.backed_up ? "kept on several devices" : "kept on one device only, so have another way in too");
	}
	const restricted = factor.type === "sms" ? ". Messages can be intercepted: a passkey is safer" : "";
	return notes.join(", ") + restricted;
}

function showFactors(factors) {
	at("factor-list").replaceChildren(...factors.map((factor) => {
		const name = factorName(factor);
		return make("li", {},
			make("div", {}, make("strong", {}, name), make("small", {}, note(factor))),
			make("div", { class: "actions" },
				button("Rename", rename(factor), name),
				factor.type !== "webauthn" && button("Replace", add(factor.type, factor.id), name),
				factors.length > 1 && button("Remove", remove(factor), name)));
	}));
	at("no-factors").hidden = factors.length > 0;
}

function showDevices(devices) {
	at("device-list").replaceChildren(...devices.map((device) => make("li", {},
		make("div", {}, make("strong", {}, device.name),
			make("small", {}, `Last used ${day(device.used_at)}, trusted until ${day(device.expires_at)}`)),
		button("Stop trusting", stopTrusting({ device_id: device.id }), device.name))));
	at("devices").hidden = devices.length === 0;
}

function show(account) {
	const { factors, recovery_codes_left: left } = account;
	const some = factors.length > 0 || left !== null;
	showFactors(factors);
	showDevices(account.trusted_devices);
	at("lost").hidden = !account.lost;
	at("recovery").hidden = at("off").hidden = !some;
	at("codes-left").textContent = left === null
		? "None. They let you in when your phone is lost."
		: `${left} left${left < 4 ? ": make new ones soon" : ""}.`;
}

// refresh shows the account as it is. The focus goes back to the button that was pressed, or to
// the one that took its place; if there is none, to the heading.
async function refresh(pressed) {
	show(await send("/mfa/account"));
	if (pressed && document.activeElement === document.body) {
		const name = (element) => element.getAttribute("aria-label") ?? element.textContent;
		const same = [...document.querySelectorAll("main button")].find((b) => name(b) === name(pressed) && b.checkVisibility());
		(same ?? document.querySelector("h1")).focus();
	}
}

for (const type of ["webauthn", "totp", "sms"]) {
	at(`add-${type}`).addEventListener("click", add(type));
}
at("new-codes").addEventListener("click", newCodes);
at("turn-off").addEventListener("click", turnOff);
at("stop-all").addEventListener("click", stopTrusting({ all: true }));
at("pay").addEventListener("submit", pay);
at("logout").addEventListener("click", async () => { // at any time, also while something is done
	try {
		await send("/logout", {});
		location.assign("/login");
	} catch (error) {
		at("problem").textContent = wordsOf(error);
	}
});
try {
	at("email").textContent = (await send("/me")).email;
	await refresh();
	at("account").hidden = false;
	at("account").ariaBusy = "false";
} catch (error) {
	at("problem").textContent = wordsOf(error);
}
