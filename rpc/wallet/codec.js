// Canonical MessagePack: one accepted byte form per value (docs/protocol.md, "Encoding").

import { areEqual, concat, toUtf8 } from "./bytes.js";

const INTEGER_MIN = -(2n ** 63n);
const INTEGER_MAX = 2n ** 63n - 1n;
const DEPTH_MAX = 32; // no structure of the protocol is deeper; keeps foreign bytes from exhausting the stack

export class DecodeError extends Error {}

/** The one byte form of integers (number or bigint), text, Uint8Array, booleans, null and arrays of these. */
export function encode(value) {
  if (value === null) return Uint8Array.of(0xc0);
  if (typeof value === "boolean") return Uint8Array.of(value ? 0xc3 : 0xc2);
  if (typeof value === "number" || typeof value === "bigint") return encodeInteger(value);
  if (typeof value === "string") return encodeText(value);
  if (value instanceof Uint8Array) return concat(encodeLength(value.length, [0xc4, 0xc5, 0xc6]), value);
  if (Array.isArray(value)) {
    const head = value.length < 16 ? Uint8Array.of(0x90 | value.length) : encodeLength(value.length, [null, 0xdc, 0xdd]);
    return concat(head, ...value.map(encode));
  }
  throw new TypeError(`a ${typeof value} has no byte form`);
}

/** The value of canonical bytes; integers that a number cannot hold exactly are bigint. Throws DecodeError. */
export function decode(bytes) {
  const reader = { bytes, offset: 0 };
  const value = read(reader, 0);
  if (reader.offset !== bytes.length) throw new DecodeError("bytes after the value");
  if (!areEqual(encode(value), bytes)) throw new DecodeError("not the shortest form");
  return value;
}

function encodeText(text) {
  if (!text.isWellFormed()) throw new TypeError("text with half of a character pair");
  const bytes = toUtf8(text);
  const head = bytes.length < 32 ? Uint8Array.of(0xa0 | bytes.length) : encodeLength(bytes.length, [0xd9, 0xda, 0xdb]);
  return concat(head, bytes);
}

function encodeInteger(number) {
  if (typeof number === "number" && !Number.isSafeInteger(number)) throw new TypeError("not an integer");
  const value = BigInt(number);
  if (value < INTEGER_MIN || value > INTEGER_MAX) throw new TypeError("an integer above 63 bits");
  if (value >= 0n && value < 128n) return Uint8Array.of(Number(value));
  if (value < 0n && value >= -32n) return Uint8Array.of(256 + Number(value));
  const [first, bits] = value >= 0n ? [0xcc, (size) => value >> size === 0n] : [0xd0, (size) => value >= -(1n << (size - 1n))];
  const step = [8n, 16n, 32n, 64n].findIndex(bits);
  return concat([first + step], writeBigEndian(BigInt.asUintN(64, value), 1 << step));
}

function encodeLength(length, [one, two, four]) {
  if (one !== null && length < 0x100) return Uint8Array.of(one, length);
  if (length < 0x10000) return concat([two], writeBigEndian(BigInt(length), 2));
  return concat([four], writeBigEndian(BigInt(length), 4));
}

function writeBigEndian(value, size) {
  return Uint8Array.from({ length: size }, (_, index) => Number((value >> BigInt(8 * (size - 1 - index))) & 0xffn));
}

function read(reader, depth) {
  if (depth > DEPTH_MAX) throw new DecodeError("nested too deep");
  const [kind] = take(reader, 1);
  if (kind < 0x80) return kind;
  if (kind >= 0xe0) return kind - 256;
  if (kind < 0x90) throw new DecodeError("there are no maps");
  if (kind < 0xa0) return readArray(reader, kind & 0x0f, depth);
  if (kind < 0xc0) return readText(reader, kind & 0x1f);
  switch (kind) {
    case 0xc0: return null;
    case 0xc2: return false;
    case 0xc3: return true;
    case 0xc4: case 0xc5: case 0xc6: return take(reader, readLength(reader, 1 << (kind - 0xc4))).slice();
    case 0xcc: case 0xcd: case 0xce: case 0xcf: return narrow(readBigEndian(reader, 1 << (kind - 0xcc)));
    case 0xd0: case 0xd1: case 0xd2: case 0xd3: {
      const size = 1 << (kind - 0xd0);
      return narrow(BigInt.asIntN(8 * size, readBigEndian(reader, size)));
    }
    case 0xd9: case 0xda: case 0xdb: return readText(reader, readLength(reader, 1 << (kind - 0xd9)));
    case 0xdc: case 0xdd: return readArray(reader, readLength(reader, kind === 0xdc ? 2 : 4), depth);
    default: throw new DecodeError("a form that is not used");
  }
}

function take(reader, count) {
  if (reader.offset + count > reader.bytes.length) throw new DecodeError("it ends early");
  reader.offset += count;
  return reader.bytes.subarray(reader.offset - count, reader.offset);
}

function readBigEndian(reader, size) {
  return take(reader, size).reduce((value, byte) => (value << 8n) | BigInt(byte), 0n);
}

function readLength(reader, size) {
  return Number(readBigEndian(reader, size));
}

function readText(reader, length) {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(take(reader, length));
  } catch (problem) {
    if (problem instanceof DecodeError) throw problem;
    throw new DecodeError("text that is not UTF-8");
  }
}

function readArray(reader, length, depth) {
  if (length > reader.bytes.length) throw new DecodeError("it ends early"); // an item has a byte at least
  const items = [];
  for (let index = 0; index < length; index += 1) items.push(read(reader, depth + 1));
  return items;
}

function narrow(value) {
  const isSafe = value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER);
  return isSafe ? Number(value) : value;
}
