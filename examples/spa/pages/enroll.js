// Adds a second factor: its name or number, then the first code or the passkey that confirms it.
import { sendFresh } from "./mfa.js";
import { ask } from "./question.js";
import { browserName, cancelled, field, make, optional } from "./page.js";

// The types to choose from, best first.
export const types = { webauthn: "Add a passkey", totp: "Add an app", sms: "Add a phone number" };

const intros = {
	webauthn: "A passkey is a key on your phone, your computer or a security key. Nobody can be tricked into telling it to another site.",
	totp: "An authenticator app on your phone shows a new code every half a minute.",
};

// enroll adds a factor of a type, or `replaces` the one with that id. `must` is the question of
// who must have a factor before they are logged in; it becomes the one that goes on from there.
export async function enroll(stage, type, { replaces, must, cancel = "Cancel" } = {}) {
	const to = replaces ? "replace a second factor" : "add a second factor";
	const enrolled = await stage.present(types[type], (act) => {
		const submit = act(({ target: { elements } }) => {
			const body = { type, replaces, name: elements.name.value || (type === "webauthn" ? browserName() : "") };
			if (type === "sms") {
				body.phone_number = elements.phone.value;
			}
			return sendFresh("/mfa/enroll", { ...body, question: must?.question.id }, (question) => ask(stage, question, { to }));
		});
		const back = act(() => {
			throw cancelled();
		});
		return form(type, replaces, submit, back, cancel);
	});
	if (must) {
		must.question = enrolled.question;
	}
	const picture = enrolled.totp && pictureOf(enrolled.totp);
	return ask(stage, enrolled.question, { to: "confirm it", picture, cancel });
}

function form(type, replaces, submit, back, cancel) {
	const phone = type === "sms" && field("Phone number",
		{ name: "phone", type: "tel", autocomplete: "tel", required: true, autofocus: true },
		"With the country, such as +1 500 555 0006. Messages can be intercepted: a passkey is safer.");
	return [
		replaces && make("p", {}, "The old one works until the new one is confirmed."),
		intros[type] && make("p", {}, intros[type]),
		make("form", { submit }, phone || null,
			field(["Name ", optional()], { name: "name", maxlength: 64, placeholder: "My phone", autocomplete: "off", autofocus: !phone }),
			make("button", {}, "Continue")),
		make("p", { class: "quiet" }, make("button", { type: "button", class: "link", click: back }, cancel)),
	];
}

// pictureOf is what an app scans, or what is typed into it.
function pictureOf(totp) {
	return [
		make("p", {}, "Open your authenticator app, add an account, and scan this code. On this phone, ",
			make("a", { href: totp.uri }, "open the app"), "."),
		make("img", { class: "qr", alt: "QR code for your authenticator app", src: totp.qr_code }),
		make("p", {}, "Or type this key: ", make("code", { class: "secret" }, totp.secret.match(/.{1,4}/g).join(" "))),
	];
}

// enrollFirst is for who must have a factor before they are logged in.
export async function enrollFirst(stage, question) {
	const must = { question };
	for (;;) {
		const type = await stage.present("Add a second factor", (act) => [
			make("p", {}, "Your account needs a second factor, so that nobody gets in who only knows your password. You can add others later."),
			make("ul", { class: "ways" }, Object.entries(types).map(([type, name], i) => make("li", {},
				make("button", { type: "button", class: i > 0 && "second", autofocus: i === 0, click: act(() => type) }, name)))),
			make("p", { class: "quiet" }, make("button", {
				type: "button", class: "link", click: act(() => {
					throw cancelled();
				}),
			}, "Log in as somebody else")),
		]);
		try {
			return await enroll(stage, type, { must, cancel: "Choose another one" });
		} catch (problem) {
			if (problem.code !== "cancelled") {
				throw problem;
			}
		}
	}
}
