// Before the wallet is open: create, write down, restore, unlock.

import { attempt, byId, make, say, show } from "./dom.js";
import { formatPhrase, makeEntropy, parsePhrase } from "./keys.js";
import { VaultError, checkPassword, hasVault, openVault, removeVault, saveVault } from "./vault.js";

const VIEWS = ["view-welcome", "view-backup", "view-unlock", "view-wallet"];
const WORDS_ASKED = 3; // as many as `carlive wallet create` asks for

export function showView(id) {
  for (const each of VIEWS) show(each, each === id);
  byId(id).querySelector("input, select, button")?.focus();
}

/** Wire everything before the wallet; `onOpen(entropy)` is called with what the phrase stands for. */
export function wireStart(onOpen) {
  byId("create").onsubmit = (event) => {
    event.preventDefault();
    attempt(byId("create-button"), "create-status", "", () => startCreating(onOpen));
  };
  byId("restore").onsubmit = (event) => {
    event.preventDefault();
    attempt(byId("restore-button"), "restore-status", "Encrypting …", () => restore(onOpen));
  };
  byId("unlock").onsubmit = (event) => {
    event.preventDefault();
    attempt(byId("unlock-button"), "unlock-status", "Opening …", () => unlock(onOpen));
  };
  byId("forget").onclick = () => {
    if (!confirm("Remove the wallet from this browser? Without its phrase it is lost for good.")) return;
    removeVault();
    showStart();
  };
}

export function showStart() {
  clearStart();
  showView(hasVault() ? "view-unlock" : "view-welcome");
}

/** No password and no word stays on the page. */
export function clearStart() {
  for (const id of ["create", "restore", "unlock", "backup"]) byId(id).reset();
  for (const id of ["create-status", "restore-status", "unlock-status", "backup-status"]) say(id, "");
  byId("backup-words").replaceChildren();
  byId("backup-questions").replaceChildren();
}

function startCreating(onOpen) {
  const password = readNewPassword("create");
  const entropy = makeEntropy(Number(byId("word-count").value));
  const words = formatPhrase(entropy).split(" ");
  byId("backup-words").replaceChildren(...words.map((word) => make("li", {}, word)));
  const asked = pickPositions(words.length);
  const inputs = asked.map((position) =>
    make("input", { id: `backup-word-${position + 1}`, required: true, autocomplete: "off", spellcheck: false }));
  byId("backup-questions").replaceChildren(
    ...asked.map((position, index) => make("label", {}, `Word ${position + 1}`, inputs[index])));
  byId("backup").onsubmit = (event) => {
    event.preventDefault();
    attempt(byId("backup-button"), "backup-status", "Encrypting …", async () => {
      const wrong = asked.findIndex((position, index) => inputs[index].value.trim().toLowerCase() !== words[position]);
      if (wrong >= 0) throw new VaultError(`Word ${asked[wrong] + 1} is another one. Look at what you have written down.`);
      await saveVault(entropy, password);
      await onOpen(entropy);
    });
  };
  byId("backup-back").onclick = showStart;
  showView("view-backup");
}

async function restore(onOpen) {
  const entropy = parsePhrase(byId("restore-phrase").value);
  await saveVault(entropy, readNewPassword("restore"));
  await onOpen(entropy);
}

async function unlock(onOpen) {
  const entropy = await openVault(byId("unlock-password").value);
  await onOpen(entropy);
}

function readNewPassword(form) {
  const password = byId(`${form}-password`).value;
  checkPassword(password);
  if (password !== byId(`${form}-repeated`).value) throw new VaultError("The two passwords differ.");
  return password;
}

/** Different positions, in rising order. */
function pickPositions(count) {
  const positions = new Set();
  while (positions.size < WORDS_ASKED) positions.add(crypto.getRandomValues(new Uint32Array(1))[0] % count);
  return [...positions].sort((one, other) => one - other);
}
