// Requests for attributes and sealed answers (docs/identity.md, "Asking and answering" and "For wallets").

import { parseDid } from "./addresses.js";
import { areEqual, concat, fromHex, makeRandom, sha256, toHex, toUtf8 } from "./bytes.js";
import { encode } from "./codec.js";
import { blake2b, hsalsa, xsalsa20poly1305 } from "./vendor/libraries.js";

const REQUEST_DOMAIN = concat(toUtf8("carlive attribute request"), [0]);
const COMMITMENT_DOMAIN = concat(toUtf8("carlive attribute"), [0]);
const SIGMA = toUtf8("expand 32-byte k"); // the constant of Salsa20
const SALT_BYTES = 32;
const LENGTH_BYTES = 2;
const HEAD_BYTES = SALT_BYTES + LENGTH_BYTES;
const PAD_BYTES = 64;
const KEY_BYTES = 32;
const NONCE_BYTES = 24;
export const VALUE_BYTES_MAX = 512;

/** What a node or an answer says is not what it should be; the message is for people. */
export class AttributeError extends Error {}

/**
 * A request as `module_view` shows it: what it says, and its bytes. Throws AttributeError unless the hash of all that it
 * says is the id. A node that puts its own key or purpose into somebody's request is found out by this.
 */
export async function checkRequest(requestId, shown, holder, network) {
  const payload = encodeRequest(shown, network);
  if (toHex(await sha256(REQUEST_DOMAIN, payload)) !== requestId) {
    throw new AttributeError("What the node shows is not the request of this id. Do not trust this node.");
  }
  if (!areEqual(parseDid(shown.holder, network), holder)) throw new AttributeError("The request is for another identity.");
  return { id: fromHex(requestId), payload, answerKey: fromHex(shown.answerKey), ...pickShown(shown) };
}

/** Whether these are the bytes of the request of this id. */
export async function isRequestOf(requestId, payload) {
  return areEqual(await sha256(REQUEST_DOMAIN, payload), requestId);
}

function encodeRequest(shown, network) {
  try {
    return encode([
      parseDid(shown.did, network),
      shown.sequence,
      parseDid(shown.holder, network),
      shown.names,
      shown.purpose,
      shown.expiryHeight,
      fromHex(shown.answerKey),
    ]);
  } catch (problem) {
    throw new AttributeError(`The node shows something that is no request: ${problem.message}.`);
  }
}

function pickShown({ did, names, purpose, expiryHeight }) {
  return { verifier: did, names, purpose, expiryHeight };
}

/** An answer [name, sealed, commitment] for the owner of an X25519 key, and the key with which to look into it again. */
export async function buildAnswer(name, value, answerKey) {
  const content = toUtf8(value);
  if (content.length > VALUE_BYTES_MAX) throw new AttributeError(`${name} has more than ${VALUE_BYTES_MAX} bytes.`);
  const salt = makeRandom(SALT_BYTES);
  const ephemeral = await crypto.subtle.generateKey("X25519", false, ["deriveBits"]);
  const ephemeralKey = new Uint8Array(await crypto.subtle.exportKey("raw", ephemeral.publicKey));
  const boxKey = await computeBoxKey(ephemeral.privateKey, answerKey);
  const box = xsalsa20poly1305(boxKey, computeNonce(ephemeralKey, answerKey)).encrypt(padText(salt, content));
  const commitment = await computeCommitment(name, content, salt);
  return { answer: [name, concat(ephemeralKey, box), commitment], boxKey };
}

/** The value in an answer, as its verifier will read it; throws AttributeError when it is not in order. */
export async function openAnswer([name, sealed, commitment], answerKey, boxKey) {
  let text;
  try {
    const nonce = computeNonce(sealed.subarray(0, KEY_BYTES), answerKey);
    text = xsalsa20poly1305(boxKey, nonce).decrypt(sealed.subarray(KEY_BYTES));
  } catch {
    throw new AttributeError(`The answer for ${name} is not sealed for the verifier's key.`);
  }
  const salt = text.slice(0, SALT_BYTES);
  const content = text.slice(HEAD_BYTES, HEAD_BYTES + new DataView(text.buffer, text.byteOffset).getUint16(SALT_BYTES));
  if (!areEqual(padText(salt, content), text) || !areEqual(await computeCommitment(name, content, salt), commitment)) {
    throw new AttributeError(`The answer for ${name} holds another value than it commits to.`);
  }
  return new TextDecoder("utf-8", { fatal: true }).decode(content);
}

// The zeros make a sealed "yes" as long as a sealed "no".
function padText(salt, content) {
  const bare = concat(salt, [content.length >> 8, content.length & 0xff], content);
  return concat(bare, new Uint8Array((PAD_BYTES - (bare.length % PAD_BYTES)) % PAD_BYTES));
}

function computeCommitment(name, content, salt) {
  const encoded = toUtf8(name);
  return sha256(COMMITMENT_DOMAIN, [encoded.length], encoded, salt, content);
}

function computeNonce(ephemeralKey, answerKey) {
  return blake2b(concat(ephemeralKey, answerKey), { dkLen: NONCE_BYTES });
}

/** The key of libsodium's crypto_box: HSalsa20 of the X25519 secret that both sides have. */
async function computeBoxKey(privateKey, answerKey) {
  let shared;
  try {
    const other = await crypto.subtle.importKey("raw", answerKey, "X25519", false, []);
    shared = await crypto.subtle.deriveBits({ name: "X25519", public: other }, privateKey, 8 * KEY_BYTES);
  } catch {
    throw new AttributeError("The verifier's key is not one for which anything may be sealed.");
  }
  const words = new Uint32Array(KEY_BYTES / 4);
  hsalsa(new Uint32Array(SIGMA.slice().buffer), new Uint32Array(shared), new Uint32Array(4), words);
  return new Uint8Array(words.buffer);
}
