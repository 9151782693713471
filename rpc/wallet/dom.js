// Building the page. Every text goes in through textContent, never as markup.

import { formatProblem } from "./reasons.js";

export const byId = (id) => document.getElementById(id);

/** An element with properties and children; a child is an element or text. */
export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

export function show(id, isShown = true) {
  byId(id).hidden = !isShown;
}

/** Say something in a status line, an element or its id: "", "busy" or "problem" is how it looks. */
export function say(target, text, kind = "") {
  const line = typeof target === "string" ? byId(target) : target;
  line.textContent = text;
  line.className = kind;
}

/** Run what a form or button starts: no second time while it runs, and every problem is told. */
export async function attempt(button, status, busyText, action) {
  if (button.disabled) return;
  button.disabled = true;
  say(status, busyText, "busy");
  try {
    say(status, (await action()) ?? "");
  } catch (problem) {
    say(status, formatProblem(problem), "problem");
  } finally {
    button.disabled = false;
  }
}

export function makeButton(text, onClick, properties = {}) {
  const button = make("button", { type: "button", ...properties }, text);
  button.addEventListener("click", () => onClick(button));
  return button;
}
