// The login page: the password, then what the second factor wants.
import { Problem, send } from "./mfa.js";
import { enrollFirst } from "./enroll.js";
import { ask } from "./question.js";
import { Stage, field, make } from "./page.js";

const stage = new Stage(document.querySelector("main"));

// waiting is what was asked before the page was loaded anew, null for nothing. Phones throw pages
// away while a person looks into their app.
async function waiting() {
	try {
		const { question } = await send("/mfa/question");
		const status = { login: "question", confirm: "question", enroll: "enroll" }[question.for];
		return status ? { status, question } : null;
	} catch {
		return null;
	}
}

function password(problem) {
	return stage.present("Log in", (act) => {
		const submit = act(({ target: { elements } }) =>
			send("/login", { email: elements.email.value, password: elements.password.value }));
		return [make("form", { submit },
			field("E-mail address", { name: "email", type: "email", autocomplete: "username", required: true, autofocus: true }),
			field("Password", { name: "password", type: "password", autocomplete: "current-password", required: true }),
			make("button", {}, "Log in"))];
	}, { problem });
}

// secondFactor is what follows the password: nothing, a question, or a first factor.
function secondFactor({ status, question }) {
	switch (status) {
	case "question":
		return ask(stage, question, { to: "log in", cancel: "Log in as somebody else" });
	case "enroll":
		return enrollFirst(stage, question);
	default:
		return status;
	}
}

let problem = "";
for (let begun = await waiting(); ; begun = null) {
	begun ??= await password(problem);
	try {
		await secondFactor(begun);
		break;
	} catch (error) {
		if (!(error instanceof Problem)) {
			throw error;
		}
		problem = error.show;
		if (error.code === "cancelled") { // the next person here is not to see whom it was for
			await send("/mfa/question").then(({ question }) => send("/mfa/cancel", { question: question.id })).catch(() => {});
		}
	}
}
location.assign("/account");
