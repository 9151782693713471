// What is signed, and transactions (docs/protocol.md, "Signing" and "Transactions").

import { ED25519 } from "./addresses.js";
import { areEqual, concat, sha256, toUtf8 } from "./bytes.js";
import { DecodeError, decode, encode } from "./codec.js";

export const TRANSACTION_PURPOSE = 1;
const VERSION = 1;
const SENDER_ROLE = 0;
const SIGNING_PREFIX = concat(toUtf8("carlive/1"), [0]);
const DOMAIN_BYTES = 32;
const SIGNATURE_BYTES = 64;
const BODY_FIELDS = [
  "version", "chainId", "sender", "ordering", "validUntil", "gasLimit", "feeMaxGrains", "feePayer", "calls", "memo",
];

export async function computeSigningDomain(chainId, genesisHash) {
  const name = toUtf8(chainId);
  return sha256([name.length], name, genesisHash);
}

export function buildSigningBytes(purpose, domain, encoded) {
  return concat(SIGNING_PREFIX, [purpose], domain, encoded);
}

/** The parts of signing bytes; throws DecodeError when they are none. */
export function splitSigningBytes(message) {
  const head = SIGNING_PREFIX.length;
  const isForm = message.length > head + 1 + DOMAIN_BYTES && areEqual(message.subarray(0, head), SIGNING_PREFIX);
  if (!isForm) throw new DecodeError("these are no signing bytes");
  const end = head + 1 + DOMAIN_BYTES;
  return { purpose: message[head], domain: message.slice(head + 1, end), encoded: message.slice(end) };
}

/** Encode {chainId, sender, ordering, validUntil, gasLimit, feeMaxGrains, calls, memo}; the sender pays. */
export function encodeBody(body) {
  const whole = { version: VERSION, feePayer: null, ...body };
  return encode(BODY_FIELDS.map((name) => whole[name]));
}

/** The fields of a body by name; throws DecodeError. */
export function decodeBody(bytes) {
  const values = decode(bytes);
  if (!Array.isArray(values) || values.length !== BODY_FIELDS.length || values[0] !== VERSION || !Array.isArray(values[8])) {
    throw new DecodeError("this is no transaction of a known version");
  }
  return Object.fromEntries(BODY_FIELDS.map((name, index) => [name, values[index]]));
}

/** The bytes to send, signed by the one key of the sender. */
export function assemble(bodyBytes, publicKey, signature) {
  return encode([bodyBytes, [[SENDER_ROLE, ED25519, publicKey, signature]]]);
}

/** The same for tx_estimate, which looks at no signature: nothing is signed before it has been shown. */
export function assembleUnsigned(bodyBytes, publicKey) {
  return assemble(bodyBytes, publicKey, new Uint8Array(SIGNATURE_BYTES));
}
