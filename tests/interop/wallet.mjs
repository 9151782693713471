// A wallet written from docs/protocol.md alone: nothing in this folder shares code with the node.
//
//   node wallet.mjs self-test [--vectors DIRECTORY]
//   CARLIVE_SECRET=<64 hex digits> node wallet.mjs transfer --url http://127.0.0.1:8645 --to iovd1… --amount-grains 5
//       [--key-type ed25519|secp256k1|p256] [--genesis-hash 0x…] [--unordered] [--memo TEXT]
//
// `transfer` sends, waits until it is final, and believes the recipient's new balance only after it has followed it from
// the genesis hash over committee, certificate, header and state proof. It prints one JSON object; exit code 1 on failure.

import { randomBytes } from "node:crypto";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { RefusedError, areEqual, fromHex, toHex } from "./codec.mjs";
import {
  KEY_TYPES,
  computeKeyAddress,
  computePublicKey,
  computeSigningDomain,
  formatAddress,
  parseAddress,
} from "./keys.mjs";
import {
  buildAccountKey,
  checkCertificate,
  checkCommittee,
  checkGenesisHeader,
  checkStateProof,
  readAccount,
  readCommittee,
  readHeader,
} from "./proofs.mjs";
import { RpcError, createClient } from "./rpc.mjs";
import { listFlipped, runSelfTest } from "./self_test.mjs";
import { SENDER, assemble, authorise, computeTransactionId, encodeBody } from "./transactions.mjs";

const VALID_HEIGHTS = 100;
const GAS_TRANSFER_CALL = 400;
const GAS_SIGNATURE_MAX = 2_500;
const GAS_BASE = 200;
const GAS_UNORDERED = 400;
const TRANSFER_BYTES_MAX = 640; // with the longest memo
const FINAL_TIMEOUT_MS = 30_000;
const FLIP_STEP_BYTES = 13; // a flipped signature costs a whole verification: every 13th byte is enough here

/** What a chain's signatures and proofs hang on: the genesis hash, block 0's header, the committee that it names. */
async function learnChain(call, pinnedGenesisHash) {
  const { chainId, genesisHash, network } = await call("chain_id");
  const wanted = fromHex(pinnedGenesisHash ?? genesisHash);
  const { headerBytes } = await call("chain_getCommit", { height: 0 });
  const header = checkGenesisHeader(fromHex(headerBytes), wanted);
  if (header.chain_id !== chainId) throw new RefusedError("block 0 is of another chain");
  const { committeeBytes } = await call("chain_getCommittee", { at: { height: 0 } });
  return {
    chainId,
    network,
    genesisHash: wanted,
    committee: checkCommittee(fromHex(committeeBytes), header.committee_hash),
    domain: computeSigningDomain(chainId, wanted),
  };
}

async function buildTransfer(call, chain, key, { recipient, amountGrains, isUnordered, memo }) {
  const sender = computeKeyAddress(key.keyType, computePublicKey(key.keyType, key.secret));
  const { height } = await call("chain_head");
  const { params } = await call("chain_params");
  const account = await call("account_get", { address: formatAddress(sender, chain.network) });
  const gasLimit = GAS_BASE + TRANSFER_BYTES_MAX + GAS_SIGNATURE_MAX + GAS_TRANSFER_CALL + GAS_UNORDERED;
  const bodyBytes = encodeBody({
    chainId: chain.chainId,
    sender,
    ordering: isUnordered ? new Uint8Array(randomBytes(8)) : account.sequence,
    validUntil: height + VALID_HEIGHTS,
    gasLimit,
    feeMaxGrains: BigInt(params.price_floor_grains) * BigInt(gasLimit),
    feePayer: null,
    calls: [["iov", "transfer", [recipient, amountGrains]]],
    memo,
  });
  const raw = assemble(bodyBytes, [authorise(SENDER, key, bodyBytes, chain.domain)]);
  return { raw, id: computeTransactionId(bodyBytes) };
}

/** The account behind a proof; throws RefusedError unless the chain's committee vouches for it. */
function verifyAccount({ header: headerBytes, certificate, committee: committeeBytes, proof }, address, chain) {
  const committee = readCommittee(committeeBytes);
  if (!areEqual(committee.hash, chain.committee.hash)) {
    throw new RefusedError("another committee than at genesis: follow next_committee_hash from header to header");
  }
  const header = readHeader(headerBytes);
  if (header.chain_id !== chain.chainId) throw new RefusedError("a header of another chain");
  if (header.height > 0n) checkCertificate(certificate, header, committee, chain.domain);
  else if (!areEqual(header.hash, chain.genesisHash)) throw new RefusedError("another block 0");
  return { header, account: readAccount(checkStateProof(proof, buildAccountKey(address), header.state_root)) };
}

async function fetchProof(call, address) {
  const answer = await call("chain_getProof", { key: `0x${toHex(buildAccountKey(address))}` });
  const pieces = ["header", "certificate", "committee", "proof"].map((name) => [name, fromHex(answer[name])]);
  return { ...Object.fromEntries(pieces), height: answer.height };
}

/** Flip bits all over the answer; every forgery must be refused. Returns how many were tried. */
function countRefusedForgeries(evidence, address, chain) {
  let tried = 0;
  for (const name of ["header", "certificate", "committee", "proof"]) {
    for (const forged of listFlipped(evidence[name], FLIP_STEP_BYTES)) {
      tried += 1;
      try {
        verifyAccount({ ...evidence, [name]: forged }, address, chain);
      } catch (error) {
        if (error instanceof RefusedError) continue;
        throw error;
      }
      throw new Error(`a flipped bit in the ${name} was not noticed`);
    }
  }
  return tried;
}

async function transfer(options) {
  const call = createClient(options.url);
  const chain = await learnChain(call, options["genesis-hash"]);
  const keyType = KEY_TYPES[options["key-type"]];
  if (keyType === undefined) throw new RefusedError(`--key-type is one of ${Object.keys(KEY_TYPES).join(", ")}`);
  const key = { keyType, secret: fromHex(process.env.CARLIVE_SECRET ?? "") };
  if (key.secret.length !== 32) throw new RefusedError("set CARLIVE_SECRET to the 64 hex digits of the sender's key");
  const recipient = parseAddress(options.to, chain.network);
  const before = verifyAccount(await fetchProof(call, recipient), recipient, chain);

  const built = await buildTransfer(call, chain, key, {
    recipient,
    amountGrains: BigInt(options["amount-grains"]),
    isUnordered: options.unordered,
    memo: options.memo,
  });
  const sent = await call("tx_send", { raw: `0x${toHex(built.raw)}`, wait: "final", timeoutMs: FINAL_TIMEOUT_MS });
  if (sent.id !== `0x${toHex(built.id)}`) throw new RefusedError("the node computed another transaction id");
  if (sent.status !== "final") throw new RefusedError(`the transaction is ${sent.status}: ${sent.reason ?? "no reason"}`);

  const evidence = await fetchProof(call, recipient);
  const after = verifyAccount(evidence, recipient, chain);
  // a header states the root after the block before it
  if (after.header.height <= BigInt(sent.height)) throw new RefusedError("the proof is older than the transfer");
  return {
    chainId: chain.chainId,
    genesisHash: `0x${toHex(chain.genesisHash)}`,
    isGenesisHashPinned: options["genesis-hash"] !== undefined,
    sender: formatAddress(computeKeyAddress(keyType, computePublicKey(keyType, key.secret)), chain.network),
    recipient: formatAddress(recipient, chain.network),
    transactionId: sent.id,
    height: sent.height,
    feeGrains: sent.fee,
    balanceBeforeGrains: String(before.account.balanceGrains),
    balanceAfterGrains: String(after.account.balanceGrains),
    provenByHeader: `0x${toHex(after.header.hash)}`,
    provenByHeight: Number(after.header.height),
    forgeriesRefused: countRefusedForgeries(evidence, recipient, chain),
  };
}

function selfTest(options) {
  const report = runSelfTest(options.vectors ?? fileURLToPath(new URL("../vectors", import.meta.url)));
  if (report.failures.length > 0) process.exitCode = 1;
  return report;
}

const OPTIONS = {
  url: { type: "string", default: "http://127.0.0.1:8645" },
  to: { type: "string" },
  "amount-grains": { type: "string" },
  "key-type": { type: "string", default: "ed25519" },
  "genesis-hash": { type: "string" },
  unordered: { type: "boolean", default: false },
  memo: { type: "string", default: "" },
  vectors: { type: "string" },
};

async function main() {
  const { positionals, values } = parseArgs({ options: OPTIONS, allowPositionals: true });
  const isTransfer = positionals[0] === "transfer" && values.to !== undefined && values["amount-grains"] !== undefined;
  if (isTransfer) return transfer(values);
  if (positionals[0] === "self-test") return selfTest(values);
  throw new RefusedError("say self-test, or transfer with --to and --amount-grains");
}

try {
  console.log(JSON.stringify(await main(), null, 2));
} catch (error) {
  console.error(error instanceof RefusedError || error instanceof RpcError ? error.message : error);
  process.exitCode = 1;
}
