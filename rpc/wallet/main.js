// The wallet page: opens and locks the wallet, and joins its parts.

import { computeKeyAddress, formatAddress } from "./addresses.js";
import { fromHex } from "./bytes.js";
import { checkChain, trustChain } from "./chain.js";
import { attempt, byId, make, say, show } from "./dom.js";
import { formatPhrase, openAccount } from "./keys.js";
import { formatProblem } from "./reasons.js";
import { Client } from "./rpc.js";
import { computeSigningDomain } from "./transactions.js";
import { openVault } from "./vault.js";
import { openIdentity } from "./view_identity.js";
import { openMoney } from "./view_money.js";
import { openRequests } from "./view_requests.js";
import { clearStart, showStart, showView, wireStart } from "./view_start.js";

const IDLE_MS = 5 * 60_000; // long enough to read a review, short enough for a table in a café
const IDLE_CHECK_MS = 1_000;
const REFRESH_MS = 400; // a devnet makes fifty blocks a second: what is shown is read again this often at most
const SECTIONS = ["money", "identity", "requests", "phrase"];

const client = new Client(document.querySelector('meta[name="carlive-node"]').content || location.origin);
let close = null;
let activeMs = Date.now();

function showLink(text, className) {
  byId("link").textContent = text;
  byId("link").className = className;
}

async function fetchChain() {
  const { chainId, network, genesisHash } = await client.call("chain_id");
  const genesis = fromHex(genesisHash);
  return { chainId, network, genesisHash: genesis, domain: await computeSigningDomain(chainId, genesis) };
}

async function openWallet(entropy) {
  const chain = await fetchChain();
  const opened = await openAccount(entropy);
  entropy.fill(0);
  const address = await computeKeyAddress(opened.publicKey);
  const account = { ...opened, address, addressText: formatAddress(address, chain.network) };
  byId("chain").textContent = `${chain.chainId} (${chain.network})`;
  if (!checkChain(chain)) {
    askForChain(chain, () => startWallet(chain, account));
    return;
  }
  await startWallet(chain, account);
}

/** Signatures hang on the genesis hash, so another one than before is never taken silently. */
function askForChain(chain, onTrusted) {
  close = () => {
    show("chain-changed", false);
    byId("chain-trust").onclick = null;
  };
  byId("chain-trust").onclick = () => {
    close();
    trustChain(chain);
    onTrusted();
  };
  activeMs = Date.now();
  show("chain-changed");
}

async function startWallet(chain, account) {
  const descriptions = new Map();
  const describe = async (module) => {
    if (!descriptions.has(module)) descriptions.set(module, await client.call("module_describe", { module }));
    return descriptions.get(module);
  };
  const known = { requests: new Map(), boxKeys: new Map() };
  const wallet = { client, chain, account, describe, known, isClosed: false };
  let endEvents = () => {};
  let refreshRequests = () => {};

  const refreshMoney = openMoney(wallet);
  const refreshIdentity = openIdentity(wallet, (did, text) => {
    refreshRequests = openRequests(wallet, did, text);
    const filter = { module: "attributes", did: text };
    const onState = (isLive) => isLive && refreshRequests();
    endEvents = client.follow([{ topic: "events", filter }], () => refreshRequests(), onState);
    show("requests-unavailable", false);
    show("requests-lists");
  });
  const refreshSoon = throttle(() => Promise.all([refreshMoney(), refreshIdentity()]));
  const endBlocks = client.follow([{ topic: "blocks" }], refreshSoon, (isLive) => {
    showLink(isLive ? "live" : "disconnected, trying again", isLive ? "live" : "lost");
    if (isLive) refreshSoon();
  });
  close = () => {
    wallet.isClosed = true;
    endBlocks();
    endEvents();
    refreshSoon.end();
  };
  show("requests-unavailable");
  show("requests-lists", false);
  show("identity-own", false);
  show("lock");
  activeMs = Date.now();
  clearStart();
  showView("view-wallet");
  showSection("money");
}

/** Forget everything that was open, also what stands on the page. */
function lock() {
  if (close === null) return;
  close();
  close = null;
  if (byId("review").open) byId("review").close("");
  for (const id of ["send", "phrase-form"]) byId(id).reset();
  for (const id of ["history", "requests-open", "requests-given", "did-qr", "phrase-words"]) byId(id).replaceChildren();
  for (const id of ["address", "balance", "staked", "did", "did-document"]) byId(id).textContent = "";
  for (const id of ["send-status", "money-status", "identity-status", "requests-status", "phrase-status"]) say(id, "");
  show("lock", false);
  showLink("locked", "");
  showStart();
}

/** Run an action soon, and once more when asked for while it runs; never two at a time. */
function throttle(action) {
  let timer = null;
  let isStale = false;
  let isEnded = false;
  const work = async () => {
    isStale = false;
    await action();
    timer = null;
    if (isStale) run();
  };
  const run = () => {
    isStale = true;
    if (!isEnded) timer ??= setTimeout(work, REFRESH_MS);
  };
  run.end = () => {
    isEnded = true;
    clearTimeout(timer);
  };
  return run;
}

function showSection(name) {
  for (const each of SECTIONS) {
    show(`section-${each}`, each === name);
    byId(`tab-${each}`).setAttribute("aria-current", each === name ? "page" : "false");
  }
  if (name !== "phrase") hidePhrase();
}

function hidePhrase() {
  byId("phrase-words").replaceChildren();
  show("phrase-shown", false);
  show("phrase-form");
}

async function showPhrase() {
  const entropy = await openVault(byId("phrase-password").value);
  byId("phrase-form").reset();
  byId("phrase-words").replaceChildren(...formatPhrase(entropy).split(" ").map((word) => make("li", {}, word)));
  entropy.fill(0);
  show("phrase-form", false);
  show("phrase-shown");
}

function listMissing() {
  const needed = { "a secure context (HTTPS, or localhost)": isSecureContext, WebCrypto: crypto.subtle !== undefined };
  return Object.entries(needed).filter(([, isThere]) => !isThere).map(([name]) => name);
}

async function canUseCurves() {
  try {
    await crypto.subtle.generateKey("Ed25519", false, ["sign"]);
    await crypto.subtle.generateKey("X25519", false, ["deriveBits"]);
    return true;
  } catch {
    return false;
  }
}

async function start() {
  const missing = listMissing();
  if (missing.length === 0 && !(await canUseCurves())) missing.push("Ed25519 and X25519 in WebCrypto: update the browser");
  if (missing.length > 0) {
    showLink(`This browser cannot keep keys here: missing ${missing.join(", ")}`, "lost");
    return;
  }
  for (const name of SECTIONS) byId(`tab-${name}`).onclick = () => showSection(name);
  for (const event of ["pointerdown", "keydown"]) addEventListener(event, () => { activeMs = Date.now(); });
  setInterval(() => { if (Date.now() - activeMs > IDLE_MS) lock(); }, IDLE_CHECK_MS);
  byId("lock").onclick = lock;
  byId("copy-address").onclick = () => navigator.clipboard.writeText(byId("address").textContent);
  byId("phrase-form").onsubmit = (event) => {
    event.preventDefault();
    attempt(byId("phrase-button"), "phrase-status", "Opening …", showPhrase);
  };
  byId("phrase-hide").onclick = hidePhrase;
  wireStart(openWallet);
  showStart();
  showLink("locked", "");
  try {
    const { chainId, network } = await client.call("chain_id");
    byId("chain").textContent = `${chainId} (${network})`;
  } catch (problem) {
    showLink(formatProblem(problem), "lost");
  }
}

start();
