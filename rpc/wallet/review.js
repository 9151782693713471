// The one way to a signature: the bytes are explained, a person agrees, these bytes are signed.

import { explain } from "./calls.js";
import { byId, make } from "./dom.js";

/** The person did not agree. */
export class DeclinedError extends Error {}

/** The account's signature over these bytes, once the person has read what they say. Throws DeclinedError, or as `explain`. */
export async function reviewAndSign(message, wallet) {
  const copy = message.slice(); // what is explained is what is signed, whoever holds the other
  const explained = await explain(copy, wallet.chain, wallet.account, wallet.describe, wallet.known);
  if (!(await askPerson(explained))) throw new DeclinedError("Nothing was signed.");
  return wallet.account.sign(copy);
}

function askPerson({ title, doc, rows, hash }) {
  byId("review-title").textContent = title;
  byId("review-doc").textContent = doc;
  byId("review-rows").replaceChildren(...rows.flatMap(makeRow));
  byId("review-hash").textContent = hash;
  const dialog = byId("review");
  dialog.returnValue = "";
  dialog.showModal();
  byId("review-title").focus(); // reading begins at the top, and the key Enter signs nothing
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "sign"), { once: true });
  });
}

function makeRow({ depth, label, value }) {
  const className = `depth-${Math.min(depth, 5)}`;
  return [make("dt", { className }, label), make("dd", { className }, value ?? "")];
}
