// Lists, state, headers and certificates (docs/protocol.md, "Lists", "State", "Blocks" and "Finality").

import { sha256 } from "@noble/hashes/sha2.js";

import {
  RefusedError,
  areEqual,
  concat,
  decode,
  encode,
  fromHex,
  readBytes,
  readFields,
  readInteger,
  readList,
  readText,
} from "./codec.mjs";
import { KEY_TYPES, PURPOSES, buildSigningBytes, isSignatureGood } from "./keys.mjs";

const HASH_BYTES = 32;
const WIDTH = 16;
const PATH_NIBBLES = 64;
const STATE_KEY_BYTES_MAX = 255;
const STATE_VALUE_BYTES_MAX = 2 ** 20;
const COMMITTEE_MEMBERS_MAX = 21;
const JSON_INTEGER_MAX = 2n ** 53n - 1n;
const ROUND_MAX = 2n ** 31n - 1n;
const TABLES = { parameters: 1, committee: 2, nextCommittee: 3, account: 16, policy: 17, unordered: 18, node: 32 };
const EMPTY_ROOT = sha256(new Uint8Array());

// Lists

export function computeLeafHash(bytes) {
  return sha256(concat([0], bytes));
}

/** The RFC 6962 root over leaf hashes. */
export function computeListRoot(leafHashes) {
  if (leafHashes.length === 0) return EMPTY_ROOT;
  let level = leafHashes;
  while (level.length > 1) {
    const next = [];
    for (let index = 0; index < level.length; index += 2) {
      next.push(index + 1 < level.length ? sha256(concat([1], level[index], level[index + 1])) : level[index]);
    }
    level = next;
  }
  return level[0];
}

/** Whether a leaf stands at this index of the list of this size and root. */
export function isListProofGood({ index, size, path }, leafHash, root) {
  if (index >= size) return false;
  const rest = [...path];
  let [digest, position, last] = [leafHash, index, size - 1];
  while (last > 0) {
    if (position % 2 === 1 || position < last) {
      const sibling = rest.shift();
      if (sibling === undefined) return false;
      digest = sha256(position % 2 === 1 ? concat([1], sibling, digest) : concat([1], digest, sibling));
    }
    position = Math.floor(position / 2);
    last = Math.floor(last / 2);
  }
  return rest.length === 0 && areEqual(digest, root);
}

// State

export function buildAccountKey(address) {
  return concat([TABLES.account], address);
}

/** Sequence and balance of an account's value, both bigint; an account that was never used has no value. */
export function readAccount(value) {
  if (value === null) return { sequence: 0n, balanceGrains: 0n };
  const [sequence, balance] = readFields(decode(value), 6, "an account");
  return { sequence: BigInt(sequence), balanceGrains: BigInt(balance) };
}

/** The root over a whole state: pairs of key and value. */
export function computeStateRoot(entries) {
  const leaves = entries.map(([key, value]) => {
    const keyHash = sha256(key);
    return { path: splitNibbles(keyHash), child: computeLeafChild(keyHash, sha256(value)) };
  });
  return computeNodeHash(leaves, 0);
}

function computeNodeHash(leaves, depth) {
  const children = Array.from({ length: WIDTH }, (_, nibble) => {
    const beneath = leaves.filter(({ path }) => path[depth] === nibble);
    if (beneath.length === 0) return [0];
    return beneath.length === 1 ? beneath[0].child : concat([0x20], computeNodeHash(beneath, depth + 1));
  });
  return sha256(concat([1], ...children));
}

function computeLeafChild(keyHash, valueHash) {
  return concat([0x20], sha256(concat([0], keyHash, valueHash)));
}

function splitNibbles(hash) {
  return [...hash].flatMap((byte) => [byte >> 4, byte & 15]);
}

/** The value that a proof proves against a root, null for absence; throws RefusedError. */
export function checkStateProof(encoded, key, root) {
  const [provenKey, value, levels, otherLeaf] = readFields(decode(encoded), 4, "a state proof");
  readBytes(provenKey, 0, STATE_KEY_BYTES_MAX, "the key");
  if (!areEqual(provenKey, key)) throw new RefusedError("a proof about another key");
  if (value !== null) readBytes(value, 0, STATE_VALUE_BYTES_MAX, "the value");
  readList(levels, 1, PATH_NIBBLES, "the levels");
  const path = splitNibbles(sha256(key));
  let child = computeEndChild(key, path, value, levels.length, otherLeaf);
  for (let depth = levels.length - 1; depth >= 0; depth -= 1) {
    child = concat([0x20], computeLevelHash(levels[depth], path[depth], child));
  }
  if (!areEqual(child, concat([0x20], root))) throw new RefusedError("the proof does not lead to this root");
  return value;
}

function computeEndChild(key, path, value, depth, otherLeaf) {
  if (value !== null) {
    if (otherLeaf !== null) throw new RefusedError("a proof of a value names no other leaf");
    return computeLeafChild(sha256(key), sha256(value));
  }
  if (otherLeaf === null) return [0];
  const [keyHash, valueHash] = readFields(otherLeaf, 2, "the other leaf");
  readBytes(keyHash, HASH_BYTES, HASH_BYTES, "its key hash");
  readBytes(valueHash, HASH_BYTES, HASH_BYTES, "its value hash");
  const otherPath = splitNibbles(keyHash);
  const isOnPath = otherPath.slice(0, depth).every((nibble, index) => nibble === path[index]);
  if (!isOnPath || areEqual(keyHash, sha256(key))) throw new RefusedError("the other leaf is not in the way");
  return computeLeafChild(keyHash, valueHash);
}

function computeLevelHash(level, nibble, child) {
  const [bitmap, siblings] = readFields(level, 2, "a level");
  readInteger(bitmap, 0, 0xffff, "the bitmap");
  readList(siblings, 0, WIDTH - 1, "the siblings");
  if ((bitmap >> nibble) & 1) throw new RefusedError("the path's own child is among the siblings");
  const rest = [...siblings];
  const children = Array.from({ length: WIDTH }, (_, index) => {
    if (index === nibble) return child;
    if (!((bitmap >> index) & 1)) return [0];
    return concat([0x20], readBytes(rest.shift(), HASH_BYTES, HASH_BYTES, "a sibling"));
  });
  if (rest.length > 0) throw new RefusedError("more siblings than the bitmap names");
  return sha256(concat([1], ...children));
}

// Headers and committees

const HEADER_FIELDS = [
  "version",
  "chain_id",
  "height",
  "round",
  "time_ms",
  "previous_hash",
  "proposer",
  "transactions_root",
  "evidence_root",
  "state_root",
  "receipts_root",
  "committee_hash",
  "next_committee_hash",
  "parameters_hash",
];

/** A header's fields by name, and its hash; throws RefusedError. */
export function readHeader(encoded) {
  const plain = readFields(decode(encoded), HEADER_FIELDS.length, "a header");
  const header = Object.fromEntries(HEADER_FIELDS.map((name, index) => [name, plain[index]]));
  readInteger(header.version, 1, 1, "the version");
  readText(header.chain_id, 1, 32, "the chain id");
  header.height = readInteger(header.height, 0n, JSON_INTEGER_MAX, "the height");
  header.round = readInteger(header.round, 0n, ROUND_MAX, "the round");
  header.time_ms = readInteger(header.time_ms, 0n, JSON_INTEGER_MAX, "the time");
  HEADER_FIELDS.slice(5).forEach((name) => readBytes(header[name], HASH_BYTES, HASH_BYTES, name));
  return { ...header, hash: sha256(encoded) };
}

/** The members' consensus keys in order, and the committee's hash; throws RefusedError. */
export function readCommittee(encoded) {
  const [members] = readFields(decode(encoded), 1, "a committee");
  readList(members, 1, COMMITTEE_MEMBERS_MAX, "the members");
  const keys = members.map((member) => {
    const [operator, key] = readFields(member, 2, "a member");
    readBytes(operator, 20, 20, "the operator");
    return readBytes(key, 32, 32, "the consensus key");
  });
  return { keys, hash: sha256(encoded) };
}

/** Throw RefusedError unless more than 2/3 of the committee have precommitted this header. */
export function checkCertificate(encoded, header, committee, domain) {
  const [height, round, blockHash, signatures] = readFields(decode(encoded), 4, "a certificate");
  readInteger(height, 0n, JSON_INTEGER_MAX, "the height");
  readInteger(round, 0n, ROUND_MAX, "the round");
  readBytes(blockHash, HASH_BYTES, HASH_BYTES, "the block hash");
  readList(signatures, 0, COMMITTEE_MEMBERS_MAX, "the signatures");
  if (BigInt(height) !== header.height || !areEqual(blockHash, header.hash)) throw new RefusedError("another block");
  if (BigInt(round) < header.round) throw new RefusedError("a round before the block was proposed");
  if (!areEqual(committee.hash, header.committee_hash)) throw new RefusedError("another committee");
  if (3 * signatures.length <= 2 * committee.keys.length) throw new RefusedError("not more than two thirds");
  const message = buildSigningBytes(PURPOSES.precommit, domain, encode([height, round, blockHash]));
  let previous = -1;
  for (const entry of signatures) {
    const [member, signature] = readFields(entry, 2, "a signature's entry");
    readInteger(member, previous + 1, committee.keys.length - 1, "the member index");
    readBytes(signature, 64, 64, "a signature");
    if (!isSignatureGood(KEY_TYPES.ed25519, committee.keys[member], message, signature)) {
      throw new RefusedError(`the signature of member ${member} is bad`);
    }
    previous = member;
  }
}

// Genesis

/** Block 0's header, which everything else hangs on: it must have the genesis hash. */
export function checkGenesisHeader(headerBytes, genesisHash) {
  const header = readHeader(headerBytes);
  if (!areEqual(header.hash, genesisHash)) throw new RefusedError("block 0 does not have the genesis hash");
  return header;
}

/** A committee whose hash a trusted header states. */
export function checkCommittee(committeeBytes, committeeHash) {
  const committee = readCommittee(committeeBytes);
  if (!areEqual(committee.hash, committeeHash)) throw new RefusedError("not the committee that the header names");
  return committee;
}
