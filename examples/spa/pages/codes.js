// Recovery codes, which are shown once: after the first factor, and when new ones are made.
import { make } from "./page.js";

// showCodes has no other way out than its button.
export function showCodes(stage, codes) {
	const list = make("ol", { class: "recovery", translate: "no" }, codes.map((code) => make("li", {}, make("code", {}, code))));
	return stage.present("Your recovery codes", (act) => [
		make("p", {}, "Keep these where your phone is not: on paper, or in a password manager. Each lets you in once, when your phone is lost. They are not shown again, and earlier ones do not work any more."),
		list,
		make("p", { class: "actions" },
			make("button", { type: "button", click: act(() => true) }, "I have kept them"),
			make("button", { type: "button", class: "second", click: act(() => copy(stage, list, codes)) }, "Copy")),
	], { stays: true });
}

async function copy(stage, list, codes) {
	try {
		await navigator.clipboard.writeText(codes.join("\n"));
		stage.tell("They are copied.");
	} catch {
		getSelection().selectAllChildren(list);
		stage.tell("They are selected: copy them now.");
	}
}
