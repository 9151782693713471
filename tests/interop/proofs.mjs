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
import { KEY_TYPES, PURPOSES, buildSigningBytes, computeModuleAddress, isSignatureGood, parseAddress } from "./keys.mjs";

const HASH_BYTES = 32;
const WIDTH = 16;
const PATH_NIBBLES = 64;
const STATE_KEY_BYTES_MAX = 255;
const STATE_VALUE_BYTES_MAX = 2 ** 20;
const COMMITTEE_MEMBERS_MAX = 21;
const JSON_INTEGER_MAX = 2n ** 53n - 1n;
const ROUND_MAX = 2n ** 31n - 1n;
const TABLES = {
  parameters: 1,
  committee: 2,
  nextCommittee: 3,
  epoch: 4,
  term: 6,
  account: 16,
  policy: 17,
  unordered: 18,
  node: 32,
  operator: 33,
  candidate: 40,
  delegation: 41,
  holdings: 46,
};
const GENESIS_COMMISSION_BPS = 1000;
const ROLES = { super_node: 1, observer: 2, gateway: 3 };
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

export function encodeHeader(header) {
  return encode(HEADER_FIELDS.map((name) => header[name]));
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

const PARAMETER_FIELDS = [
  "block_interval_ms",
  "block_gas_max",
  "block_bytes_max",
  "block_transactions_max",
  "price_floor_grains",
  "propose_timeout_ms",
  "propose_timeout_step_ms",
  "vote_timeout_ms",
  "vote_timeout_step_ms",
  "clock_precision_ms",
  "message_delay_ms",
  "epoch_heights",
  "committee_seats",
  "committee_members_min",
  "candidate_bond_min_grains",
  "unbonding_epochs",
  "double_sign_slash_bps",
  "absence_slash_bps",
  "absence_heights_max",
  "jail_epochs",
  "proposer_fee_bps",
  "voting_heights_normal",
  "voting_heights_urgent",
  "voting_heights_emergency",
  "pause_heights_max",
];

/** Every account that holds or has staked something; bonds lie in the staking module's account. */
function buildGenesisAccounts(document, superNodes, parse) {
  const accounts = new Map();
  const change = (address, balance, staked) => {
    const key = buildAccountKey(address);
    const name = key.join();
    const held = accounts.get(name) ?? { key, balance: 0n, staked: 0n };
    accounts.set(name, { key, balance: held.balance + balance, staked: held.staked + staked });
  };
  for (const allocation of document.allocations) {
    const address = allocation.module ? computeModuleAddress(allocation.module) : parse(allocation.account);
    change(address, BigInt(allocation.amount_grains), 0n);
  }
  for (const node of superNodes.filter((each) => BigInt(each.bond_grains) > 0n)) {
    change(computeModuleAddress("staking"), BigInt(node.bond_grains), 0n);
    change(parse(node.operator), 0n, BigInt(node.bond_grains));
  }
  const noAge = new Uint8Array();
  return [...accounts.values()].map(({ key, balance, staked }) => [
    key,
    encode([0, balance, staked, noAge, document.time_ms, 0]),
  ]);
}

/** A super node's operator: admitted, a candidate, with its bond in its own pool, a share for each grain. */
function buildGenesisCandidate(operator, name, bond) {
  const entries = [
    [concat([TABLES.operator], operator), encode([operator, name])],
    [
      concat([TABLES.candidate], operator),
      encode([operator, GENESIS_COMMISSION_BPS, GENESIS_COMMISSION_BPS, bond, bond, 0, 0, true]),
    ],
  ];
  if (bond > 0n) {
    entries.push([concat([TABLES.delegation], operator, operator), encode([bond, bond, 0])]);
    entries.push([concat([TABLES.holdings], operator), encode([1, []])]);
  }
  return entries;
}

/** What follows from a genesis document: the first state's entries, the committee, and block 0's header. */
export function buildGenesis(document) {
  const parse = (text) => parseAddress(text, document.network);
  const nodes = document.nodes.map((node) => ({ role: "super_node", addresses: [], bond_grains: "0", ...node }));
  const superNodes = nodes.filter((node) => node.role === "super_node");
  const committeeMembers = superNodes.map((node) => [parse(node.operator), fromHex(node.consensus_key)]);
  const committee = encode([committeeMembers]);
  const parameters = encode(PARAMETER_FIELDS.map((name) => document.parameters[name]));
  const entries = [
    [new Uint8Array([TABLES.parameters]), parameters],
    [new Uint8Array([TABLES.committee]), committee],
    [new Uint8Array([TABLES.nextCommittee]), committee],
    [new Uint8Array([TABLES.epoch]), encode([0, 1, 1])],
    [concat([TABLES.term], new Uint8Array([0, 0, 0, 0, 0, 0, 0, 1])), encode([0, [committeeMembers]])],
    ...buildGenesisAccounts(document, superNodes, parse),
    ...superNodes.flatMap((node) => buildGenesisCandidate(parse(node.operator), node.name, BigInt(node.bond_grains))),
    ...nodes.map((node) => [
      concat([TABLES.node], fromHex(node.node_key)),
      encode([
        fromHex(node.node_key),
        fromHex(node.node_certificate_signature),
        parse(node.operator),
        ROLES[node.role],
        node.consensus_key ? fromHex(node.consensus_key) : null,
        node.name,
        node.addresses,
      ]),
    ]),
  ];
  const committeeHash = sha256(committee);
  const header = encodeHeader({
    version: 1,
    chain_id: document.chain_id,
    height: 0,
    round: 0,
    time_ms: document.time_ms,
    previous_hash: new Uint8Array(HASH_BYTES),
    proposer: new Uint8Array(HASH_BYTES),
    transactions_root: EMPTY_ROOT,
    evidence_root: EMPTY_ROOT,
    state_root: computeStateRoot(entries),
    receipts_root: EMPTY_ROOT,
    committee_hash: committeeHash,
    next_committee_hash: committeeHash,
    parameters_hash: sha256(parameters),
  });
  return { entries, committee: readCommittee(committee), header: readHeader(header) };
}
