// Bytes, hexadecimal digits and hashes.

export function concat(...parts) {
  const joined = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    joined.set(part, offset);
    offset += part.length;
  }
  return joined;
}

export function areEqual(left, right) {
  return left.length === right.length && left.every((byte, index) => byte === right[index]);
}

export function toHex(bytes) {
  return `0x${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

/** The bytes of 0x and lower-case digits; throws TypeError for anything else, also for what is no text. */
export function fromHex(text) {
  if (typeof text !== "string" || !/^0x([0-9a-f]{2})*$/.test(text)) throw new TypeError("not 0x and hexadecimal digits");
  return Uint8Array.from(text.slice(2).match(/../g) ?? [], (digits) => parseInt(digits, 16));
}

export function toUtf8(text) {
  return new TextEncoder().encode(text);
}

export async function sha256(...parts) {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", concat(...parts)));
}

export function makeRandom(count) {
  return crypto.getRandomValues(new Uint8Array(count));
}
