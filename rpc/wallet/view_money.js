// Balance, sending, history.

import { parseAddress } from "./addresses.js";
import { formatIov, parseIov } from "./amounts.js";
import { attempt, byId, make, makeButton, say, show } from "./dom.js";
import { formatProblem, formatReason } from "./reasons.js";
import { sendCall } from "./sending.js";

const PAGE_ENTRIES = 10;

/** Wire the section for an opened wallet; returns what refreshes it when the chain has moved. */
export function openMoney(wallet) {
  const { client, account } = wallet;
  let cursor = null;
  let newestId = null;

  async function refresh() {
    try {
      const held = await client.call("account_get", { address: account.addressText });
      if (wallet.isClosed) return;
      byId("balance").textContent = formatIov(held.balance);
      byId("balance").dataset.grains = held.balance;
      byId("staked").textContent = held.staked === "0" ? "" : `and ${formatIov(held.staked)} staked`;
      await refreshHistory();
    } catch (problem) {
      say("money-status", formatProblem(problem), "problem");
    }
  }

  async function refreshHistory() {
    const page = await client.call("account_history", { address: account.addressText, limit: PAGE_ENTRIES });
    if (page.entries.length > 0 && page.entries[0].id === newestId) return; // keeps the pages that were opened
    const rows = await loadRows(page.entries);
    if (wallet.isClosed) return;
    byId("history").replaceChildren(...rows);
    newestId = page.entries[0]?.id ?? null;
    showEnd(page);
  }

  async function showMore() {
    const page = await client.call("account_history", { address: account.addressText, limit: PAGE_ENTRIES, cursor });
    byId("history").append(...(await loadRows(page.entries)));
    showEnd(page);
  }

  function showEnd(page) {
    cursor = page.cursor;
    show("history-more", cursor !== null);
    show("history-empty", byId("history").rows.length === 0);
  }

  async function loadRows(entries) {
    const found = await client.callAll(entries.map(({ id }) => ["chain_getTransaction", { id }]));
    return found.map((each) => makeHistoryRow(each, account.addressText));
  }

  async function send() {
    const recipient = parseAddress(byId("recipient").value.trim(), wallet.chain.network);
    const grains = parseIov(byId("amount").value);
    const onState = (text) => say("send-status", text, "busy");
    const sent = await sendCall(wallet, "iov", "transfer", [recipient, grains], onState, byId("memo").value);
    byId("send").reset();
    await refresh();
    return `Final in block ${sent.height}. The fee was ${formatIov(sent.fee)}.`;
  }

  byId("send").onsubmit = (event) => {
    event.preventDefault();
    attempt(byId("send-button"), "send-status", "Checking …", send);
  };
  byId("history-more").onclick = ({ target }) =>
    attempt(target, "money-status", "Loading …", showMore);
  byId("address").textContent = account.addressText;
  byId("history").replaceChildren();
  return refresh;
}

function makeHistoryRow({ id, height, transaction, receipt }, own) {
  const moved = receipt.events.filter((event) => event.module === "iov" && event.name === "Transferred");
  const change = moved.reduce((sum, { fields }) => {
    const amount = BigInt(fields.amountGrains);
    return sum + (fields.recipient === own ? amount : 0n) - (fields.sender === own ? amount : 0n);
  }, 0n);
  const others = moved.map(({ fields }) => (fields.sender === own ? fields.recipient : fields.sender));
  const calls = transaction.calls.map((each) => `${each.module}.${each.call}`).join(", ");
  const isOwn = transaction.sender === own;
  const fee = isOwn && transaction.feePayer === null ? formatIov(receipt.fee) : "";
  const outcome = receipt.status === "succeeded" ? "" : formatReason(receipt.reason);
  const sign = change > 0n ? "+" : change < 0n ? "−" : "";
  const amount = change === 0n ? "" : `${sign}${formatIov(change < 0n ? -change : change)}`;
  return make(
    "tr",
    { title: id },
    make("td", {}, String(height)),
    make("td", {}, calls, ...(outcome ? [make("p", { className: "problem" }, outcome)] : [])),
    make("td", { className: "mono", title: others.join(", ") }, others.map(shorten).join(", ")),
    make("td", { className: change < 0n ? "amount out" : "amount in" }, amount),
    make("td", { className: "amount" }, fee),
    make("td", {}, makeButton("Copy id", () => navigator.clipboard?.writeText(id), { className: "link", title: id })),
  );
}

function shorten(address) {
  return `${address.slice(0, 10)}…${address.slice(-6)}`;
}
