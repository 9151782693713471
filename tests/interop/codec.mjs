// Canonical MessagePack: one accepted byte form per value (docs/protocol.md, "Encoding").

import { decode as unpack, encode as pack } from "@msgpack/msgpack";

const INTEGER_MIN = -(2n ** 63n);
const INTEGER_MAX = 2n ** 63n - 1n;
const UINT32_END = 2 ** 32;
const INT32_MIN = -(2 ** 31);
const DEPTH_MAX = 16;

export class RefusedError extends Error {}

/** The one byte form of integers (number or bigint), strings, Uint8Arrays, booleans, null and arrays of these. */
export function encode(value) {
  return pack(prepare(value), { useBigInt64: true });
}

/** The value of canonical bytes; integers above 32 bits come as bigint. Throws RefusedError for any other bytes. */
export function decode(bytes) {
  let value;
  try {
    value = unpack(bytes, { useBigInt64: true });
  } catch (error) {
    throw new RefusedError(`not MessagePack: ${error.message}`);
  }
  if (!areEqual(encode(value), bytes)) throw new RefusedError("not the shortest form");
  return value;
}

/** The arguments of a call: an array, nested no deeper than the protocol allows. */
export function checkArguments(value, depth = 0) {
  if (depth > DEPTH_MAX) throw new RefusedError(`nested deeper than ${DEPTH_MAX}`);
  if (depth === 0 && !Array.isArray(value)) throw new RefusedError("arguments are an array");
  if (Array.isArray(value)) value.forEach((item) => checkArguments(item, depth + 1));
  return value;
}

// The library writes bigint always in 8 bytes and larger numbers as floats: choose by size which one it sees.
function prepare(value) {
  if (typeof value === "number" || typeof value === "bigint") return prepareInteger(value);
  if (typeof value === "string") {
    if (!value.isWellFormed()) throw new RefusedError("text with a lone surrogate");
    return value;
  }
  if (value === null || typeof value === "boolean" || value instanceof Uint8Array) return value;
  if (Array.isArray(value)) return value.map(prepare);
  throw new RefusedError(`a ${typeof value} has no byte form`);
}

function prepareInteger(value) {
  if (typeof value === "number" && !Number.isSafeInteger(value)) throw new RefusedError("not an integer");
  if (value < INTEGER_MIN || value > INTEGER_MAX) throw new RefusedError("an integer above 63 bits");
  return value >= INT32_MIN && value < UINT32_END ? Number(value) : BigInt(value);
}

// What readers of typed values need

/** An array of exactly so many fields. */
export function readFields(value, count, what) {
  if (!Array.isArray(value) || value.length !== count) throw new RefusedError(`${what} has ${count} fields`);
  return value;
}

/** An array whose length is within limits. */
export function readList(value, low, high, what) {
  if (!Array.isArray(value) || value.length < low || value.length > high) {
    throw new RefusedError(`${what} is a list of ${low} to ${high} items`);
  }
  return value;
}

/** A Uint8Array whose length is within limits. */
export function readBytes(value, low, high, what) {
  if (!(value instanceof Uint8Array) || value.length < low || value.length > high) {
    throw new RefusedError(`${what} is ${low} to ${high} bytes`);
  }
  return value;
}

/** A string whose length in characters (code points) is within limits. */
export function readText(value, low, high, what) {
  const length = typeof value === "string" ? [...value].length : -1;
  if (length < low || length > high) throw new RefusedError(`${what} is text of ${low} to ${high} characters`);
  return value;
}

/** A bigint within limits, whatever form the decoder gave it. */
export function readInteger(value, low, high, what) {
  const isInteger = typeof value === "number" || typeof value === "bigint";
  if (!isInteger || value < low || value > high) {
    throw new RefusedError(`${what} is an integer from ${low} to ${high}`);
  }
  return BigInt(value);
}

// Bytes

export function areEqual(left, right) {
  return left.length === right.length && left.every((byte, index) => byte === right[index]);
}

export function compareBytes(left, right) {
  return Buffer.compare(left, right);
}

/** Joined bytes; a part is a Uint8Array or an array of byte values. */
export function concat(...parts) {
  return new Uint8Array(Buffer.concat(parts.map((part) => Uint8Array.from(part))));
}

export function fromHex(text) {
  const digits = text.startsWith("0x") ? text.slice(2) : text;
  if (!/^([0-9a-f]{2})*$/.test(digits)) throw new RefusedError("bytes are written in lower-case hexadecimal digits");
  return new Uint8Array(Buffer.from(digits, "hex"));
}

export function toHex(bytes) {
  return Buffer.from(bytes).toString("hex");
}

export function toUtf8(text) {
  return new TextEncoder().encode(text);
}
