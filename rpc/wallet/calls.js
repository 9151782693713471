// What this wallet signs, and how it is told in words.
//
// All that is shown comes from decoding the very bytes that will be signed. Names and types of arguments are those of the
// node's `module_describe`, which must be what is pinned here: a node cannot name an amount otherwise, or hide one.

import { ED25519, formatAddress, formatDid } from "./addresses.js";
import { formatIov } from "./amounts.js";
import { isRequestOf, openAnswer } from "./attributes.js";
import { areEqual, sha256, toHex } from "./bytes.js";
import { decode } from "./codec.js";
import { TRANSACTION_PURPOSE, decodeBody, splitSigningBytes } from "./transactions.js";

/** These bytes are not to be signed; the message says why. */
export class UnexplainedError extends Error {}

const FEE_GRAINS_MAX = 100_000_000n; // one IOV: thousands of times what a call costs; a node that asks for more is wrong

const SIGNATURES = "signatures:list<struct{did:did,keyType:integer,key:bytes,signature:bytes}>";
const REQUEST_ONLY = `payload:struct{did:did,requestId:bytes},${SIGNATURES}`;
const KEY_POLICY = "struct?{keys:list<struct{keyType:integer,key:bytes,weight:integer}>,threshold:integer}";
const CONTROL =
  `struct{keys:struct{policy:${KEY_POLICY},agreementKeys:list<bytes>},` +
  "controllers:struct?{dids:list<did>,threshold:integer},nextKeys:bytes?,recoveryKeys:bytes?," +
  "guardians:struct?{dids:list<did>,threshold:integer}}";
const SERVICES = "list<struct{name:text,serviceType:text,endpoint:text}>";
const ANSWERS = "list<struct{name:text,sealed:bytes,commitment:bytes}>";

/** Every call that this wallet makes: its words and the types of its arguments; the purpose with which an identity signs. */
export const CALLS = {
  "iov.transfer": {
    doc: "Move coins from the sender to another account.",
    shape: "recipient:address,amountGrains:grains",
  },
  "did.create": {
    doc: "Begin an identity; its name is the hash of the payload.",
    shape: `payload:struct{kind:integer,owner:did?,control:${CONTROL},services:${SERVICES},salt:bytes},${SIGNATURES}`,
    purpose: 9,
  },
  "attributes.approve": {
    doc: "Give a verifier what it has asked for, sealed, as the holder.",
    shape: `payload:struct{did:did,requestId:bytes,answers:${ANSWERS}},${SIGNATURES}`,
    purpose: 22,
  },
  "attributes.refuse": {
    doc: "Give a verifier nothing, as the holder.",
    shape: REQUEST_ONLY,
    purpose: 23,
  },
  "attributes.withdraw_consent": {
    doc: "End the consent to a request that was approved, as the holder.",
    shape: REQUEST_ONLY,
    purpose: 24,
  },
};

const LABELS = {
  recipient: "To", amountGrains: "Amount", payload: "What your identity says", did: "Identity", kind: "Kind",
  owner: "Owner", control: "Who rules it", keys: "Keys", policy: "Key policy", keyType: "Key type", key: "Public key",
  weight: "Weight", threshold: "Weight needed", agreementKeys: "Keys for encryption", controllers: "Controllers",
  dids: "Identities", nextKeys: "Commitment to next keys", recoveryKeys: "Commitment to recovery keys",
  guardians: "Guardians", services: "Services", serviceType: "Type", endpoint: "Endpoint", salt: "Salt",
  signatures: "Signatures of identities", signature: "Signature", requestId: "Request", answers: "Answers",
  name: "Name", sealed: "Sealed value", commitment: "Commitment",
};
const WORDS = {
  kind: { 1: "person", 2: "organisation", 3: "vehicle", 4: "device" },
  keyType: { 1: "Ed25519", 2: "secp256k1", 3: "P-256" },
};

/**
 * What signing bytes say: {title, doc, rows: [{depth, label, value}], hash}. Throws UnexplainedError, AttributeError or
 * DecodeError for bytes that this wallet does not sign.
 *
 * `chain` is what signatures are bound to, `account` who signs. `describe(module)` asks the node. `known` has, by their
 * digits, requests that were checked (`requests`) and the keys of boxes that this page has sealed (`boxKeys`).
 */
export async function explain(message, chain, account, describe, known) {
  const { purpose, domain, encoded } = splitSigningBytes(message);
  if (!areEqual(domain, chain.domain)) throw new UnexplainedError("This would be signed for another chain.");
  const hash = toHex(await sha256(message));
  if (purpose === TRANSACTION_PURPOSE) {
    return { ...(await explainTransaction(encoded, chain, account, describe, known)), hash };
  }
  const entry = Object.entries(CALLS).find(([, call]) => call.purpose === purpose);
  if (entry === undefined) throw new UnexplainedError(`This wallet signs nothing for the purpose ${purpose}.`);
  const [name, { doc }] = entry;
  const [field] = await describeCall(name, describe);
  const payload = decode(encoded);
  const rows = [...listField(field, payload, 0, chain.network), ...(await listAnswers(name, payload, chain, known))];
  return { title: `Your identity signs: ${name}`, doc, rows, hash };
}

async function explainTransaction(bodyBytes, chain, account, describe, known) {
  const body = decodeBody(bodyBytes);
  if (body.chainId !== chain.chainId || !areEqual(body.sender, account.address) || body.feePayer !== null) {
    throw new UnexplainedError("This is a transaction of another chain or account, or somebody else is to pay for it.");
  }
  if (BigInt(body.feeMaxGrains) > FEE_GRAINS_MAX) {
    throw new UnexplainedError(`The node asks for a fee above ${formatIov(FEE_GRAINS_MAX)}: this wallet does not sign that.`);
  }
  if (body.calls.length !== 1) throw new UnexplainedError("This wallet signs one call at a time.");
  const [module, call, values] = body.calls[0];
  const name = `${module}.${call}`;
  const fields = await describeCall(name, describe);
  if (!Array.isArray(values) || values.length !== fields.length) {
    throw new UnexplainedError(`${name} has other arguments than these.`);
  }
  const rows = fields.flatMap((field, index) => listField(field, values[index], 0, chain.network));
  return {
    title: `Your account signs: ${name}`,
    doc: CALLS[name].doc,
    rows: [
      ...rows,
      ...(CALLS[name].purpose === undefined ? [] : await listAnswers(name, values[0], chain, known)),
      ...(body.memo === "" ? [] : [{ depth: 0, label: "Memo", value: body.memo }]),
      { depth: 0, label: "From", value: formatAddress(body.sender, chain.network) },
      { depth: 0, label: "Fee at most", value: formatGrains(body.feeMaxGrains) },
      { depth: 0, label: "Gas limit", value: String(body.gasLimit) },
      { depth: 0, label: "Sequence number", value: formatOrdering(body.ordering) },
      { depth: 0, label: "Valid until block", value: String(body.validUntil) },
      { depth: 0, label: "Chain", value: `${chain.chainId}, genesis ${toHex(chain.genesisHash)}` },
      { depth: 0, label: "Transaction id", value: toHex(await sha256(bodyBytes)) },
    ],
  };
}

/** Names and types of a call's arguments from the node; throws UnexplainedError when they are not those pinned here. */
async function describeCall(name, describe) {
  const pinned = Object.hasOwn(CALLS, name) ? CALLS[name] : undefined;
  if (pinned === undefined) throw new UnexplainedError(`This wallet does not sign ${name}.`);
  const [module, call] = name.split(".");
  const described = (await describe(module)).calls.find((each) => each.name === call);
  if (described === undefined || formatFields(described.arguments) !== pinned.shape || described.doc !== pinned.doc) {
    throw new UnexplainedError(
      `The node describes ${name} otherwise than this wallet knows it: the wallet is old, or the node is not to be trusted.`,
    );
  }
  return described.arguments;
}

function formatFields(fields) {
  return fields.map((field) => `${field.name}:${formatShape(field)}`).join(",");
}

function formatShape({ type, optional, items, fields }) {
  const mark = optional ? "?" : "";
  if (type === "list") return `list${mark}<${formatShape(items[0])}>`;
  if (type === "struct") return `struct${mark}{${formatFields(fields)}}`;
  return type + mark;
}

/** Rows for a value and all that is in it, every field of them. */
function listField(field, value, depth, network) {
  const label = LABELS[field.name] ?? field.name;
  if (value === null && field.optional) return [{ depth, label, value: "none" }];
  if (field.type === "struct") {
    if (!Array.isArray(value) || value.length !== field.fields.length) throw new UnexplainedError(`${label}: not its form.`);
    const rows = field.fields.flatMap((each, index) => listField(each, value[index], depth + 1, network));
    return [{ depth, label, value: null }, ...rows];
  }
  if (field.type === "list") {
    if (!Array.isArray(value)) throw new UnexplainedError(`${label}: not a list.`);
    if (value.length === 0) return [{ depth, label, value: "none" }];
    const [item] = field.items;
    return value.flatMap((each, index) => {
      const rows = listField(item, each, depth, network);
      return [{ ...rows[0], label: `${label}, ${index + 1} of ${value.length}` }, ...rows.slice(1)];
    });
  }
  return [{ depth, label, value: formatValue(field, value, network) }];
}

function formatValue({ name, type }, value, network) {
  const isNumber = typeof value === "number" || typeof value === "bigint";
  const isBytes = value instanceof Uint8Array;
  if (type === "address" && isBytes && value.length === 20) return formatAddress(value, network);
  if (type === "did" && isBytes && value.length === 20) return formatDid(value, network);
  if (type === "bytes" && isBytes) return value.length === 0 ? "none" : toHex(value);
  if (type === "grains" && isNumber) return formatGrains(value);
  if (type === "integer" && isNumber) return WORDS[name]?.[value] ? `${value}, ${WORDS[name][value]}` : String(value);
  if (type === "text" && typeof value === "string") return value;
  throw new UnexplainedError(`${LABELS[name] ?? name}: not of type ${type}.`);
}

function formatGrains(grains) {
  return `${formatIov(grains)} (${grains} grains)`;
}

function formatOrdering(ordering) {
  return ordering instanceof Uint8Array ? `any order, salt ${toHex(ordering)}` : String(ordering);
}

/** For what concerns a request: who asks and why, out of bytes whose hash is the request signed; and opened answers. */
async function listAnswers(name, [, requestId, answers = []], chain, known) {
  if (!name.startsWith("attributes.")) return [];
  const request = known.requests.get(toHex(requestId));
  if (request === undefined || !(await isRequestOf(requestId, request))) {
    throw new UnexplainedError("This wallet has not seen what the request says.");
  }
  const [verifier, , , names, purpose, , answerKey] = decode(request);
  const rows = [
    { depth: 0, label: "Asked by", value: formatDid(verifier, chain.network) },
    { depth: 0, label: "Wants to know", value: names.join(", ") },
    { depth: 0, label: "What for", value: purpose },
  ];
  for (const answer of answers) {
    const boxKey = known.boxKeys.get(toHex(answer[1]));
    if (boxKey === undefined) throw new UnexplainedError("This page has not sealed the answer.");
    const value = await openAnswer(answer, answerKey, boxKey);
    rows.push({ depth: 0, label: `You tell ${answer[0]}`, value });
  }
  return rows;
}

/** What a call needs of an identity: [[did, key type, key, signature]]. */
export function buildSignatures(did, publicKey, signature) {
  return [[did, ED25519, publicKey, signature]];
}
