// From a call to a final transaction.

import { encode } from "./codec.js";
import { toHex } from "./bytes.js";
import { CALLS, buildSignatures } from "./calls.js";
import { reviewAndSign } from "./review.js";
import { formatReason } from "./reasons.js";
import {
  TRANSACTION_PURPOSE, assemble, assembleUnsigned, buildSigningBytes, encodeBody,
} from "./transactions.js";

const VALID_HEIGHTS = 600; // ten minutes of blocks of one second, to read and to wait
const GAS_DRAFT = 1; // tx_estimate puts in its own
const FINAL_TIMEOUT_MS = 30_000;

/** The transaction was taken and failed, or is not final yet. */
export class NotFinalError extends Error {}

/** Estimate, let the person read, sign, send, and wait until it is final: the answer of tx_send. */
export async function sendCall(wallet, module, call, values, onState, memo = "") {
  const { client, chain, account } = wallet;
  onState("Asking for the fee …");
  const [head, held] = await client.callAll([["chain_head", {}], ["account_get", { address: account.addressText }]]);
  const draft = {
    chainId: chain.chainId,
    sender: account.address,
    ordering: held.sequence,
    validUntil: head.height + VALID_HEIGHTS,
    gasLimit: GAS_DRAFT,
    feeMaxGrains: 0,
    calls: [[module, call, values]],
    memo,
  };
  const raw = assembleUnsigned(encodeBody(draft), account.publicKey);
  const estimate = await client.call("tx_estimate", { raw: toHex(raw) });
  const bodyBytes = encodeBody({ ...draft, gasLimit: estimate.gasLimit, feeMaxGrains: BigInt(estimate.feeMax) });
  onState("Read what you sign.");
  const signature = await reviewAndSign(buildSigningBytes(TRANSACTION_PURPOSE, chain.domain, bodyBytes), wallet);
  onState("Sent. Waiting until it is final …");
  const sent = await client.call("tx_send", {
    raw: toHex(assemble(bodyBytes, account.publicKey, signature)),
    wait: "final",
    timeoutMs: FINAL_TIMEOUT_MS,
  });
  if (sent.status === "final") return sent;
  if (sent.reason) throw new NotFinalError(formatReason(sent.reason));
  throw new NotFinalError(`The transaction is ${sent.status}: look at the history in a moment. Its id is ${sent.id}.`);
}

/** The same for an operation of an identity: the identity's statement is read and signed first, then the transaction. */
export async function sendOperation(wallet, did, module, call, payload, onState) {
  const { purpose } = CALLS[`${module}.${call}`];
  onState("Step 1 of 2: read what your identity signs.");
  const message = buildSigningBytes(purpose, wallet.chain.domain, encode(payload));
  const signature = await reviewAndSign(message, wallet);
  const signatures = buildSignatures(did, wallet.account.publicKey, signature);
  return sendCall(wallet, module, call, [payload, signatures], (text) => onState(`Step 2 of 2: ${text}`));
}
