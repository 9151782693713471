// Why something did not work, by the stable words that nodes answer with (docs/rpc.md).

import { formatIov } from "./amounts.js";

const SENTENCES = {
  INSUFFICIENT_BALANCE: "There is not enough money in the account for this amount and the fee.",
  INSUFFICIENT_FUNDS: "There is not enough money in the account for the fee.",
  FEE_TOO_LOW: "The fee is below what the chain takes now. Try again.",
  RECIPIENT_NOT_ALLOWED: "Nobody has the key of that account, so nothing is sent there.",
  SEQUENCE_TOO_LOW: "The account has sent something else in the meantime. Look at the history, then try again.",
  SEQUENCE_TOO_HIGH: "An earlier transaction of the account is still waiting. Try again in a moment.",
  REPLACEMENT_UNDERPRICED: "An earlier transaction of the account is still waiting. Try again in a moment.",
  EXPIRED: "The transaction came too late. Try again.",
  MEMPOOL_FULL: "The network is busy. Try again in a moment.",
  ACCOUNT_LIMIT: "Too many transactions of this account are waiting. Try again in a moment.",
  EVICTED: "The network was too busy and dropped the transaction. Try again.",
  BAD_SIGNATURE: "The keys of this account have been changed: the phrase of this wallet does not rule it any more.",
  SENDER_NOT_ALLOWED: "The keys of this account have been changed: the phrase of this wallet does not rule it any more.",
  QUOTA_EXHAUSTED: "The free quota is used up. Try again later.",
  MODULE_PAUSED: "The network has paused this for the moment. Try again later.",
  DID_EXISTS: "The identity exists already.",
  DID_DEACTIVATED: "The identity has been ended.",
  DID_NOT_AUTHORISED: "The key of this wallet does not rule the identity any more.",
  DID_UNKNOWN_KEY: "The key of this wallet does not rule the identity any more.",
  ATTRIBUTE_ANSWERED: "The request has been answered already.",
  ATTRIBUTE_EXPIRED: "The time for an answer is over.",
  ATTRIBUTE_UNKNOWN_REQUEST: "The chain knows no such request. Do not trust this node.",
  ATTRIBUTE_NOT_APPROVED: "There is no consent to withdraw.",
  ATTRIBUTE_VERIFIER_DEACTIVATED: "Who asked has ended in the meantime.",
  NODE_SYNCING: "The node is still catching up. Try again later.",
  NOT_READY: "The node is starting or stopping. Try again in a moment.",
  LIMIT_EXCEEDED: "The node is busy. Try again in a moment.",
  PRUNED: "This node no longer keeps that part of the past.",
};

/** A sentence for a reason; unknown ones keep the node's own words. */
export function formatReason(reason, data = {}, message = "") {
  const sentence = SENTENCES[reason] ?? `${message || "It did not work"} (${reason}).`;
  const isCounted = data.held !== undefined && data.needed !== undefined;
  return isCounted ? `${sentence} Needed: ${formatIov(data.needed)}, there: ${formatIov(data.held)}.` : sentence;
}

/** A sentence for whatever was thrown. */
export function formatProblem(problem) {
  return problem.reason ? formatReason(problem.reason, problem.data, problem.message) : problem.message;
}
