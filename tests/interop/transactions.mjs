// Transactions: building, signing, reading (docs/protocol.md, "Transactions").

import { sha256 } from "@noble/hashes/sha2.js";

import {
  RefusedError,
  areEqual,
  checkArguments,
  compareBytes,
  concat,
  decode,
  encode,
  readBytes,
  readFields,
  readInteger,
  readList,
  readText,
  toUtf8,
} from "./codec.mjs";
import { KEY_TYPES, PURPOSES, buildSigningBytes, computePublicKey, sign } from "./keys.mjs";

const VERSION = 1;
const TRANSACTION_BYTES_MAX = 65_536;
const CALLS_MAX = 64;
const AUTHORISATIONS_MAX = 32;
const MEMO_BYTES_MAX = 256;
const SALT_BYTES = 8;
const JSON_INTEGER_MAX = 2n ** 53n - 1n;
const INTEGER_MAX = 2n ** 63n - 1n;
const GAS_TRANSACTION = 200;
const GAS_SIGNATURE = { 1: 750, 2: 2_500, 3: 1_500 };
const GAS_STATE_WRITE = 200;

export const SENDER = 0;
export const FEE_PAYER = 1;

/** Encode {chainId, sender, ordering, validUntil, gasLimit, feeMaxGrains, feePayer, calls, memo}. */
export function encodeBody(body) {
  return encode([
    VERSION,
    body.chainId,
    body.sender,
    body.ordering,
    body.validUntil,
    body.gasLimit,
    body.feeMaxGrains,
    body.feePayer,
    body.calls,
    body.memo,
  ]);
}

export function authorise(role, { keyType, secret }, bodyBytes, domain) {
  const message = buildSigningBytes(PURPOSES.transaction, domain, bodyBytes);
  return [role, keyType, computePublicKey(keyType, secret), sign(keyType, secret, message)];
}

/** The bytes to send. */
export function assemble(bodyBytes, authorisations) {
  return encode([bodyBytes, [...authorisations].sort(compareAuthorisations)]);
}

export function computeTransactionId(bodyBytes) {
  return sha256(bodyBytes);
}

export function computeEnvelopeHash(raw) {
  return sha256(concat([0], raw));
}

/** Gas before any call runs. */
export function computeIntrinsicGas(raw, authorisations, isUnordered) {
  const signatures = authorisations.reduce((gas, [, keyType]) => gas + GAS_SIGNATURE[keyType], 0);
  return GAS_TRANSACTION + raw.length + signatures + (isUnordered ? 2 * GAS_STATE_WRITE : 0);
}

/** Check the form of a transaction as a node does; signatures excepted. Throws RefusedError. */
export function readTransaction(raw) {
  if (raw.length > TRANSACTION_BYTES_MAX) throw new RefusedError("too long");
  const [bodyBytes, authorisations] = readFields(decode(raw), 2, "a transaction");
  readBytes(bodyBytes, 0, TRANSACTION_BYTES_MAX, "the body");
  const body = readBody(bodyBytes);
  readList(authorisations, 1, AUTHORISATIONS_MAX, "the authorisations").forEach(checkAuthorisation);
  for (let index = 1; index < authorisations.length; index += 1) {
    if (compareAuthorisations(authorisations[index - 1], authorisations[index]) >= 0) {
      throw new RefusedError("authorisations stand in order of role, key type and key, each once");
    }
  }
  if (authorisations[0][0] !== SENDER) throw new RefusedError("the sender's signature is missing");
  if ((authorisations.at(-1)[0] === FEE_PAYER) !== (body.feePayer !== null)) {
    throw new RefusedError("the fee payer signs exactly when one is named");
  }
  return { bodyBytes, body, authorisations };
}

function readBody(bodyBytes) {
  const [version, chainId, sender, ordering, validUntil, gasLimit, feeMax, feePayer, calls, memo] = readFields(
    decode(bodyBytes),
    10,
    "a body",
  );
  readInteger(version, VERSION, VERSION, "the version");
  readText(chainId, 1, 32, "the chain id");
  readBytes(sender, 20, 20, "the sender");
  if (ordering instanceof Uint8Array) readBytes(ordering, SALT_BYTES, SALT_BYTES, "the salt");
  else readInteger(ordering, 0n, JSON_INTEGER_MAX, "the sequence");
  readInteger(validUntil, 0n, JSON_INTEGER_MAX, "valid_until");
  readInteger(gasLimit, 1n, JSON_INTEGER_MAX, "the gas limit");
  readInteger(feeMax, 0n, INTEGER_MAX, "the fee");
  if (feePayer !== null && areEqual(readBytes(feePayer, 20, 20, "the fee payer"), sender)) {
    throw new RefusedError("the fee payer is nil when the sender pays");
  }
  readList(calls, 1, CALLS_MAX, "the calls").forEach(readCall);
  if (toUtf8(readText(memo, 0, MEMO_BYTES_MAX, "the memo")).length > MEMO_BYTES_MAX) {
    throw new RefusedError(`a memo has at most ${MEMO_BYTES_MAX} bytes`);
  }
  return { chainId, sender, ordering, validUntil, gasLimit, feeMax, feePayer, calls, memo };
}

export function readCall(plain) {
  const [module, call, args] = readFields(plain, 3, "a call");
  readText(module, 1, 32, "the module");
  readText(call, 1, 32, "the call");
  checkArguments(args);
  return plain;
}

function checkAuthorisation(plain) {
  const [role, keyType, key, signature] = readFields(plain, 4, "an authorisation");
  readInteger(role, SENDER, FEE_PAYER, "the role");
  if (!Object.values(KEY_TYPES).includes(keyType)) throw new RefusedError("no such key type");
  readBytes(key, 32, 33, "the key");
  readBytes(signature, 64, 64, "the signature");
}

function compareAuthorisations([role, keyType, key], [otherRole, otherKeyType, otherKey]) {
  return role - otherRole || keyType - otherKeyType || compareBytes(key, otherKey);
}
