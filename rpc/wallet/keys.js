// From words to the signing key: BIP-39, SLIP-0010 and Ed25519 (docs/wallet.md, "Accounts").
//
// The secret is handed to the browser as a key that signs and cannot be read again, not even by this page.

import { concat, makeRandom, toUtf8 } from "./bytes.js";
import { entropyToMnemonic, mnemonicToEntropy, wordlist } from "./vendor/libraries.js";

const WORD_COUNTS = [12, 15, 18, 21, 24];
const SEED_ROUNDS = 2048; // of BIP-39
const HARDENED = 0x80000000;
const ACCOUNT_PATH = [44, 234, 0, 0, 0]; // m/44'/234'/0'/0'/0': the first IOV account of `carlive wallet`
const PKCS8_HEAD = [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
const WORDS = new Set(wordlist);

/** Words that are no phrase; the message names a position, never a word. */
export class PhraseError extends Error {}

export function makeEntropy(wordCount) {
  return makeRandom((wordCount * 4) / 3);
}

export function formatPhrase(entropy) {
  return entropyToMnemonic(entropy, wordlist);
}

/** The entropy of words in any case, with any white space between them; throws PhraseError. */
export function parsePhrase(text) {
  const words = text.normalize("NFKD").toLowerCase().split(/\s+/).filter(Boolean);
  const unknown = words.findIndex((word) => !WORDS.has(word));
  if (unknown >= 0) throw new PhraseError(`Word ${unknown + 1} is not on the list of BIP-39.`);
  if (!WORD_COUNTS.includes(words.length)) {
    throw new PhraseError(`A phrase has 12 or 24 words (15, 18 and 21 are read too), not ${words.length}.`);
  }
  try {
    return mnemonicToEntropy(words.join(" "), wordlist);
  } catch {
    throw new PhraseError(
      "All words are on the list, but their checksum does not match: one is wrong, or two have changed places.",
    );
  }
}

/** The account of a phrase: its public key, and a way to sign with the key that belongs to it. */
export async function openAccount(entropy) {
  const secret = await deriveSecret(await computeSeed(entropy));
  const encoded = concat(PKCS8_HEAD, secret);
  const readable = await crypto.subtle.importKey("pkcs8", encoded, "Ed25519", true, ["sign"]);
  const { x } = await crypto.subtle.exportKey("jwk", readable);
  const key = await crypto.subtle.importKey("pkcs8", encoded, "Ed25519", false, ["sign"]);
  secret.fill(0);
  encoded.fill(0);
  return {
    publicKey: Uint8Array.from(atob(x.replaceAll("-", "+").replaceAll("_", "/")), (each) => each.charCodeAt(0)),
    sign: async (message) => new Uint8Array(await crypto.subtle.sign("Ed25519", key, message)),
  };
}

async function computeSeed(entropy) {
  const words = await crypto.subtle.importKey("raw", toUtf8(formatPhrase(entropy)), "PBKDF2", false, ["deriveBits"]);
  const parameters = { name: "PBKDF2", hash: "SHA-512", salt: toUtf8("mnemonic"), iterations: SEED_ROUNDS };
  return new Uint8Array(await crypto.subtle.deriveBits(parameters, words, 512));
}

async function deriveSecret(seed) {
  let node = await computeHmac(toUtf8("ed25519 seed"), seed);
  for (const step of ACCOUNT_PATH) {
    const number = new Uint8Array(4);
    new DataView(number.buffer).setUint32(0, HARDENED + step);
    node = await computeHmac(node.subarray(32), concat([0], node.subarray(0, 32), number));
  }
  return node.slice(0, 32);
}

async function computeHmac(key, message) {
  const imported = await crypto.subtle.importKey("raw", key, { name: "HMAC", hash: "SHA-512" }, false, ["sign"]);
  return new Uint8Array(await crypto.subtle.sign("HMAC", imported, message));
}
