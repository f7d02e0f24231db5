// What the pages are made of. Texts become text and never HTML, so that no name that somebody
// gave to a factor is a part of the page.
import { Problem } from "./mfa.js";

// make makes an element. A function among the attributes listens to the event of that name.
export function make(tag, attributes = {}, ...children) {
	const element = document.createElement(tag);
	for (const [name, value] of Object.entries(attributes)) {
		if (typeof value === "function") {
			element.addEventListener(name, value);
		} else if (value === true) {
			element.setAttribute(name, "");
		} else if (value !== false && value != null) {
			element.setAttribute(name, value);
		}
	}
	element.append(...children.flat().filter(Boolean));
	return element;
}

// field is a label with its input, and a hint below it.
export function field(label, attributes, hint) {
	const id = attributes.id ?? attributes.name;
	return [
		make("label", { for: id }, label),
		make("input", { id, "aria-describedby": hint ? `${id}-hint` : null, ...attributes }),
		hint && make("p", { class: "hint", id: `${id}-hint` }, hint),
	];
}

export const optional = () => make("span", { class: "quiet" }, "(optional)");

export function day(time) {
	return new Date(time).toLocaleDateString("en-GB", { dateStyle: "long" });
}

// browserName is good enough to know a browser again in a list.
export function browserName() {
	const find = (...names) => names.find(([part]) => navigator.userAgent.includes(part))?.[1] ?? "another";
	// In this order: Edge says that it is Chrome as well, and Chrome that it is Safari.
	const program = find(["Firefox/", "Firefox"], ["Edg", "Edge"], ["Chrome/", "Chrome"], ["Safari/", "Safari"]);
	const system = find(["Android", "Android"], ["iPhone", "iPhone"], ["Windows", "Windows"], ["Mac", "Mac"], ["Linux", "Linux"]);
	return `${program} on ${system}`;
}

export const cancelled = () => new Problem({ code: "cancelled", show: "" });

// ends reports whether a person cannot mend that where they are, and has to begin again.
export function ends(error) {
	const codes = ["cancelled", "no_question", "question_replaced", "not_logged_in"];
	return !(error instanceof Problem) || codes.includes(error.code);
}

// A Stage is where a person is asked one thing at a time: the main part of the login page, and a
// dialog of the account page. `open` and `close` are of the dialog.
export class Stage {
	constructor(root, { open = () => {} } = {}) {
		[this.heading, this.problem, this.notice, this.body] =
			["h1, h2", ".problem", ".notice", ".stage"].map((part) => root.querySelector(part));
		this.open = open;
		this.over = false;
	}

	// say tells what is wrong, and tell what was done. Both are read out.
	say(text) {
		this.problem.textContent = text;
	}

	tell(text) {
		this.notice.textContent = text;
	}

	// present shows a view until one of its actions gives a result, and gives that. `build`
	// makes the view from `act`, which makes a listener of an action. A refused action is
	// told; if it showed other views meanwhile, this one comes back, with what was typed. One
	// that `stays` is left by its actions alone.
	present(title, build, { problem = "", notice = "", stays = false } = {}) {
		return new Promise((resolve, reject) => {
			if (this.over) {
				reject(cancelled());
				return;
			}
			const view = { title, reject, stays };
			const act = (action) => async (event) => {
				event.preventDefault();
				if (view.busy) { // or a second click does it twice
					return;
				}
				view.busy = true;
				this.say("");
				this.tell("");
				try {
					const result = await action(event);
					if (result !== undefined) {
						resolve(result);
					}
				} catch (error) {
					if (ends(error)) {
						reject(error);
						return;
					}
					this.refused(view, error, event);
				} finally {
					view.busy = false;
				}
			};
			view.nodes = build(act);
			this.show(view);
			this.say(problem);
			this.tell(notice);
		});
	}

	refused(view, problem, event) {
		if (this.view !== view) {
			this.show(view);
		}
		this.say(problem.show);
		if (event.type === "submit") {
			this.focus();
		}
	}

	show(view) {
		this.view = view;
		this.heading.textContent = view.title;
		if (this.heading.localName === "h1") {
			document.title = document.title.replace(/^.* – /, `${view.title} – `);
		}
		this.body.replaceChildren(...view.nodes.flat().filter(Boolean));
		this.open();
		this.focus();
		if (this.body.querySelector("img")) { // to be seen first, and not the field below it
			this.heading.scrollIntoView();
		}
	}

	// below makes a heading of the next level.
	below(attributes, text) {
		return make(this.heading.localName === "h1" ? "h2" : "h3", attributes, text);
	}

	// focus goes where the person acts next.
	focus() {
		const next = this.body.querySelector("[autofocus]") ?? this.heading;
		next.focus();
		next.select?.();
	}

	// cancel ends what is presented, and presents nothing any more. It waits for no answer, whose
	// recovery codes nobody would see: then nothing is cancelled.
	cancel() {
		if (!this.view?.stays && !this.view?.busy) {
			this.over = true;
			this.view?.reject(cancelled());
		}
	}
}
