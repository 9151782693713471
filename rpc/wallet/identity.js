// The identity that a wallet's key makes (docs/did-iov.md, "Create").
//
// The payload has no salt and nothing but the key, so the phrase alone leads to the identity again.

import { ED25519, computeDid } from "./addresses.js";
import { encode } from "./codec.js";

const PERSON = 1;

export function buildCreatePayload(publicKey) {
  const keyPolicy = [[[ED25519, publicKey, 1]], 1];
  const control = [[keyPolicy, []], null, null, null, null];
  return [PERSON, null, control, [], new Uint8Array()];
}

/** The identity, 20 bytes, whether it has been created yet or not. */
export function computeOwnDid(publicKey) {
  return computeDid(encode(buildCreatePayload(publicKey)));
}
