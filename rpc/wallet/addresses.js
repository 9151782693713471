// Addresses as bech32m text and identities as did:iov text (docs/protocol.md, "Addresses"; docs/did-iov.md, "Syntax").

import { sha256, toUtf8 } from "./bytes.js";

export const ED25519 = 1;
const PREFIXES = { mainnet: "iov", testnet: "iovt", devnet: "iovd" };
const DID_PREFIXES = { mainnet: "did:iov:", testnet: "did:iov:testnet:", devnet: "did:iov:devnet:" };
const ADDRESS_BYTES = 20;
const CHARSET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
const GENERATOR = [0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3];
const BECH32M_CONSTANT = 0x2bc830a3;
const CHECKSUM_CHARACTERS = 6;
const ADDRESS_CHARACTERS_MAX = 90; // of bech32m
const DID_CHARACTERS_MAX = 48; // the longest prefix and 28 characters of base58
const BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

export class AddressError extends Error {}

export async function computeKeyAddress(publicKey) {
  return (await sha256([ED25519], publicKey)).slice(0, ADDRESS_BYTES);
}

export function formatAddress(address, network) {
  const prefix = PREFIXES[network];
  const values = regroup(address, 8, 5, true);
  const polymod = computePolymod([...expandPrefix(prefix), ...values, ...Array(CHECKSUM_CHARACTERS).fill(0)]);
  const remainder = (polymod ^ BECH32M_CONSTANT) >>> 0;
  const checksum = Array.from({ length: CHECKSUM_CHARACTERS }, (_, index) => (remainder >>> (5 * (5 - index))) & 31);
  return `${prefix}1${[...values, ...checksum].map((value) => CHARSET[value]).join("")}`;
}

/** The 20 bytes of an address of this network; throws AddressError, which says what is wrong. */
export function parseAddress(text, network) {
  if (text === "") throw new AddressError("Enter the address of who receives.");
  const lower = text.toLowerCase();
  const separator = lower.lastIndexOf("1");
  const values = [...lower.slice(separator + 1)].map((character) => CHARSET.indexOf(character));
  const isForm = text.length <= ADDRESS_CHARACTERS_MAX && separator >= 1 && values.length >= CHECKSUM_CHARACTERS;
  if (!isForm || values.includes(-1) || (text !== lower && text !== text.toUpperCase())) {
    throw new AddressError(`This is no address: one begins with ${PREFIXES[network]}1 and has letters and digits only.`);
  }
  const prefix = lower.slice(0, separator);
  if (computePolymod([...expandPrefix(prefix), ...values]) !== BECH32M_CONSTANT) {
    throw new AddressError("The address has a typing error: its checksum does not match.");
  }
  if (prefix !== PREFIXES[network]) {
    throw new AddressError(`The address is of another network: on the ${network} one begins with ${PREFIXES[network]}1.`);
  }
  const address = Uint8Array.from(regroup(values.slice(0, -CHECKSUM_CHARACTERS), 5, 8, false));
  if (address.length !== ADDRESS_BYTES) throw new AddressError("The address has a wrong length.");
  return address;
}

/** The identity that a create payload makes: 20 bytes. */
export async function computeDid(createPayload) {
  return (await sha256(createPayload)).slice(0, ADDRESS_BYTES);
}

export function formatDid(did, network) {
  let number = did.reduce((value, byte) => (value << 8n) | BigInt(byte), 0n);
  let text = "";
  for (; number > 0n; number /= 58n) text = BASE58[Number(number % 58n)] + text;
  const zeros = did.findIndex((byte) => byte !== 0);
  return DID_PREFIXES[network] + "1".repeat(zeros < 0 ? did.length : zeros) + text;
}

/** The 20 bytes of an identity of this network; throws AddressError. */
export function parseDid(text, network) {
  const prefix = DID_PREFIXES[network];
  const digits = typeof text === "string" && text.startsWith(prefix) ? text.slice(prefix.length) : "";
  if (!/^[1-9A-HJ-NP-Za-km-z]+$/.test(digits) || text.length > DID_CHARACTERS_MAX) {
    throw new AddressError(`This is no identity of this network: one begins with ${prefix}`);
  }
  let number = [...digits].reduce((value, digit) => value * 58n + BigInt(BASE58.indexOf(digit)), 0n);
  const bytes = new Uint8Array(ADDRESS_BYTES);
  for (let index = ADDRESS_BYTES - 1; index >= 0; index -= 1) {
    bytes[index] = Number(number & 0xffn);
    number >>= 8n;
  }
  if (formatDid(bytes, network) !== text) throw new AddressError("An identity has 20 bytes.");
  return bytes;
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
  if (!isPadded && (bits >= fromBits || padding)) throw new AddressError("The address has stray bits at the end.");
  return regrouped;
}
