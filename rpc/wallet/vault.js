// The phrase at rest in this browser, encrypted by a password: scrypt, then AES-256-GCM.

import { fromHex, makeRandom, toHex, toUtf8 } from "./bytes.js";
import { scryptAsync } from "./vendor/libraries.js";

const STORAGE_NAME = "carlive-wallet";
const VERSION = 1;
const COST = { n: 2 ** 17, r: 8, p: 1 }; // 128 MiB and about a second for each guess: what key files of the node cost
const SALT_BYTES = 16;
const NONCE_BYTES = 12;
export const PASSWORD_CHARACTERS_MIN = 8;
export const PASSWORD_CHARACTERS_MAX = 1024;

/** The vault cannot be opened or written; the message says what to do. */
export class VaultError extends Error {}

export function hasVault() {
  return localStorage.getItem(STORAGE_NAME) !== null;
}

export function removeVault() {
  localStorage.removeItem(STORAGE_NAME);
}

/** Encrypt and keep, in place of what was there; throws VaultError. */
export async function saveVault(entropy, password) {
  checkPassword(password);
  const [salt, nonce] = [makeRandom(SALT_BYTES), makeRandom(NONCE_BYTES)];
  const header = { version: VERSION, encryption: "scrypt-aes256gcm", scrypt: COST, salt: toHex(salt), nonce: toHex(nonce) };
  const key = await deriveKey(password, salt);
  const sealed = await crypto.subtle.encrypt(buildCipher(header), key, entropy);
  localStorage.setItem(STORAGE_NAME, JSON.stringify({ ...header, secret: toHex(new Uint8Array(sealed)) }));
}

/** The entropy of the phrase; throws VaultError. */
export async function openVault(password) {
  const { secret, ...header } = readVault();
  const key = await deriveKey(password, fromHex(header.salt));
  try {
    return new Uint8Array(await crypto.subtle.decrypt(buildCipher(header), key, fromHex(secret)));
  } catch {
    throw new VaultError("Wrong password. Try again, or restore the wallet from its phrase.");
  }
}

export function checkPassword(password) {
  if (password.length < PASSWORD_CHARACTERS_MIN) {
    throw new VaultError(`The password needs at least ${PASSWORD_CHARACTERS_MIN} characters.`);
  }
  if (password.length > PASSWORD_CHARACTERS_MAX) {
    throw new VaultError(`The password has more than ${PASSWORD_CHARACTERS_MAX} characters.`);
  }
}

function readVault() {
  try {
    const record = JSON.parse(localStorage.getItem(STORAGE_NAME));
    const isCostKnown = Object.entries(COST).every(([name, value]) => record.scrypt[name] === value);
    if (record.version === VERSION && isCostKnown && [record.salt, record.nonce, record.secret].every(fromHex)) return record;
  } catch {
    // told below, like every other damage
  }
  throw new VaultError("What this browser keeps of the wallet is damaged. Restore the wallet from its phrase.");
}

// All of the header is bound to the secret, so that nothing of it can be exchanged.
function buildCipher(header) {
  return { name: "AES-GCM", iv: fromHex(header.nonce), additionalData: toUtf8(JSON.stringify(header)) };
}

async function deriveKey(password, salt) {
  const { n, r, p } = COST;
  const bytes = await scryptAsync(toUtf8(password.normalize("NFKC")), salt, { N: n, r, p, dkLen: 32 });
  const key = await crypto.subtle.importKey("raw", bytes, "AES-GCM", false, ["encrypt", "decrypt"]);
  bytes.fill(0);
  return key;
}
