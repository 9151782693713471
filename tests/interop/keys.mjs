// Keys, signatures and addresses (docs/protocol.md, "Keys", "Signing" and "Addresses").

import { ed25519 } from "@noble/curves/ed25519.js";
import { p256 } from "@noble/curves/nist.js";
import { secp256k1 } from "@noble/curves/secp256k1.js";
import { sha256, sha512 } from "@noble/hashes/sha2.js";

import { RefusedError, areEqual, concat, toUtf8 } from "./codec.mjs";

export const KEY_TYPES = { ed25519: 1, secp256k1: 2, p256: 3 };
export const PURPOSES = { transaction: 1, proposal: 2, prevote: 3, precommit: 4, hello: 5 };
export const PREFIXES = { mainnet: "iov", testnet: "iovt", devnet: "iovd" };

const ADDRESS_BYTES = 20;
const SIGNATURE_BYTES = 64;
const SIGNING_PREFIX = concat(toUtf8("carlive/1"), [0]);
const POLICY_DOMAIN = [0x80];
const MODULE_DOMAIN = [0x81];
const ECDSA_CURVES = { 2: secp256k1, 3: p256 };
const ECDSA_OPTIONS = { prehash: true, lowS: true, format: "compact" };
const ED25519_ORDER = ed25519.Point.Fn.ORDER;

export function computePublicKey(keyType, secret) {
  return keyType === KEY_TYPES.ed25519 ? ed25519.getPublicKey(secret) : ECDSA_CURVES[keyType].getPublicKey(secret, true);
}

export function sign(keyType, secret, message) {
  if (keyType === KEY_TYPES.ed25519) return ed25519.sign(message, secret);
  return ECDSA_CURVES[keyType].sign(message, secret, ECDSA_OPTIONS);
}

/** Whether this is the one accepted signature of the key over the message. */
export function isSignatureGood(keyType, publicKey, message, signature) {
  if (signature.length !== SIGNATURE_BYTES || publicKey.length !== (keyType === KEY_TYPES.ed25519 ? 32 : 33)) {
    return false;
  }
  try {
    if (keyType === KEY_TYPES.ed25519) return isEd25519Good(publicKey, message, signature);
    return ECDSA_CURVES[keyType].verify(signature, message, publicKey, ECDSA_OPTIONS);
  } catch {
    return false; // the key or R is no point, or r or s is out of range
  }
}

// Without cofactor, as the protocol asks: S·B - k·A must encode to the very bytes of R, and the key has prime order.
function isEd25519Good(publicKey, message, signature) {
  const encodedR = signature.subarray(0, 32);
  const s = readLittleEndian(signature.subarray(32));
  if (s >= ED25519_ORDER) return false;
  const a = ed25519.Point.fromBytes(publicKey);
  const k = readLittleEndian(sha512(concat(encodedR, publicKey, message))) % ED25519_ORDER;
  const r = ed25519.Point.BASE.multiplyUnsafe(s).subtract(a.multiplyUnsafe(k));
  const isKeyGood = !a.isSmallOrder() && a.isTorsionFree();
  return isKeyGood && !r.isSmallOrder() && areEqual(r.toBytes(), encodedR);
}

/** Whether a key may be registered: canonical, on its curve, of prime order. */
export function isPublicKeyGood(keyType, publicKey) {
  try {
    if (keyType === KEY_TYPES.ed25519) {
      const point = ed25519.Point.fromBytes(publicKey);
      return !point.isSmallOrder() && point.isTorsionFree();
    }
    if (publicKey.length !== 33) return false;
    ECDSA_CURVES[keyType].Point.fromBytes(publicKey).assertValidity();
    return true;
  } catch {
    return false; // not the encoding of a point
  }
}

function readLittleEndian(bytes) {
  return BigInt(`0x${Buffer.from(bytes).reverse().toString("hex")}`);
}

// What signatures are over

export function computeSigningDomain(chainId, genesisHash) {
  const name = toUtf8(chainId);
  return sha256(concat([name.length], name, genesisHash));
}

export function buildSigningBytes(purpose, domain, encoded) {
  return concat(SIGNING_PREFIX, [purpose], domain, encoded);
}

// Addresses

export function computeKeyAddress(keyType, publicKey) {
  return sha256(concat([keyType], publicKey)).subarray(0, ADDRESS_BYTES);
}

export function computeModuleAddress(name) {
  return sha256(concat(MODULE_DOMAIN, toUtf8(name))).subarray(0, ADDRESS_BYTES);
}

/** Bytes of a policy whose keys are {keyType, publicKey, weight}, in the order the protocol asks for. */
export function buildPolicyBytes(threshold, keys) {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(threshold, 0);
  head.writeUInt8(keys.length, 4);
  const entries = keys.map(({ keyType, publicKey, weight }) => concat([weight >> 8, weight & 0xff, keyType], publicKey));
  return concat(head, ...entries);
}

export function computePolicyAddress(policyBytes) {
  return sha256(concat(POLICY_DOMAIN, policyBytes)).subarray(0, ADDRESS_BYTES);
}

const CHARSET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
const GENERATOR = [0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3];
const BECH32M_CONSTANT = 0x2bc830a3;
const CHECKSUM_CHARACTERS = 6;
const TEXT_CHARACTERS_MAX = 90;

export function formatAddress(address, network) {
  const prefix = PREFIXES[network];
  const values = regroup(address, 8, 5, true);
  const polymod = computePolymod([...expandPrefix(prefix), ...values, ...Array(CHECKSUM_CHARACTERS).fill(0)]);
  const remainder = (polymod ^ BECH32M_CONSTANT) >>> 0;
  const checksum = Array.from({ length: CHECKSUM_CHARACTERS }, (_, index) => (remainder >>> (5 * (5 - index))) & 31);
  return `${prefix}1${[...values, ...checksum].map((value) => CHARSET[value]).join("")}`;
}

/** The 20 bytes of an address text of this network; throws RefusedError. */
export function parseAddress(text, network) {
  if (text.length > TEXT_CHARACTERS_MAX) throw new RefusedError("the address is too long");
  if (!/^[\x21-\x7e]*$/.test(text)) throw new RefusedError("the address holds a character that bech32m does not use");
  if (text !== text.toLowerCase() && text !== text.toUpperCase()) throw new RefusedError("mixed case");
  const lower = text.toLowerCase();
  const separator = lower.lastIndexOf("1");
  if (separator < 1) throw new RefusedError("the address has no prefix");
  const prefix = lower.slice(0, separator);
  const values = [...lower.slice(separator + 1)].map((character) => CHARSET.indexOf(character));
  if (values.length < CHECKSUM_CHARACTERS || values.includes(-1)) throw new RefusedError("not bech32m");
  if (computePolymod([...expandPrefix(prefix), ...values]) !== BECH32M_CONSTANT) throw new RefusedError("a typing error");
  if (prefix !== PREFIXES[network]) throw new RefusedError(`an address of another network than ${network}`);
  const address = Uint8Array.from(regroup(values.slice(0, -CHECKSUM_CHARACTERS), 5, 8, false));
  if (address.length !== ADDRESS_BYTES) throw new RefusedError(`an address has ${ADDRESS_BYTES} bytes`);
  return address;
}

function expandPrefix(prefix) {
  const codes = [...toUtf8(prefix)];
  return [...codes.map((code) => code >> 5), 0, ...codes.map((code) => code & 31)];
}

function computePolymod(values) {
  let checksum = 1;
  for (const value of values) {
    const top = checksum >>> 25;
    checksum = (((checksum & 0x1ffffff) << 5) ^ value) >>> 0;
    GENERATOR.forEach((generator, index) => {
      if ((top >>> index) & 1) checksum = (checksum ^ generator) >>> 0;
    });
  }
  return checksum;
}

function regroup(values, fromBits, toBits, isPadded) {
  const regrouped = [];
  let accumulator = 0;
  let bits = 0;
  for (const value of values) {
    accumulator = ((accumulator << fromBits) | value) & 0xfff;
    bits += fromBits;
    while (bits >= toBits) {
      bits -= toBits;
      regrouped.push((accumulator >> bits) & ((1 << toBits) - 1));
    }
  }
  const padding = accumulator & ((1 << bits) - 1);
  if (isPadded && bits) regrouped.push(padding << (toBits - bits));
  if (!isPadded && (bits >= fromBits || padding)) throw new RefusedError("stray bits at the end");
  return regrouped;
}
