"use strict";
// Every text from the node goes into the page through textContent, never as markup.

const ROWS_MAX = 25;
const DEPTH_MAX = 8;
const EVENT_HEIGHTS = 1_000; // a contract shows what it announced in so many blocks
const RETRY_MS_MAX = 10_000;
const ELECTION_MS = 4_000;
const GRAINS_PER_IOV = 100_000_000n;
const AMOUNTS = new Set(["balance", "locked", "fee", "feeMax", "supply", "amountGrains"]);
const TIMES = new Set(["timeMs"]);
const REFERENCES = new Set(["id", "transactionId", "blockHash", "previousHash", "height", "sender", "recipient",
  "address", "feePayer", "operator", "owner", "introducer"]);

const byId = (id) => document.getElementById(id);
let nextId = 1;
let retryMs = 500;
let firstHeight = 0;
let isElectionStale = true;
const cursors = {};

function make(tag, text, className) {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = String(text);
  if (className) element.className = className;
  return element;
}

async function call(method, params) {
  const response = await fetch("/rpc", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ jsonrpc: "2.0", id: nextId++, method, params }),
  });
  const answer = await response.json();
  if (answer.error) {
    const problem = new Error(`${answer.error.message}: ${answer.error.data.detail || answer.error.data.reason}`);
    problem.reason = answer.error.data.reason;
    throw problem;
  }
  return answer.result;
}

function formatAmount(text) {
  const grains = BigInt(text);
  const fraction = (grains % GRAINS_PER_IOV).toString().padStart(8, "0").replace(/0+$/, "");
  return `${grains / GRAINS_PER_IOV}${fraction ? "." + fraction : ""} IOV`;
}

function formatTime(milliseconds) {
  return new Date(milliseconds).toISOString().replace("T", " ").replace(".000Z", " UTC");
}

function shorten(text) {
  return text.length > 24 ? `${text.slice(0, 12)}…${text.slice(-8)}` : text;
}

function makeReference(value, shown) {
  const button = make("button", shown === undefined ? value : shown, "link mono");
  button.type = "button";
  button.title = String(value);
  button.addEventListener("click", () => search(String(value)));
  return button;
}

function makeValue(name, value, depth) {
  if (value === null) return make("span", "none");
  if (typeof value === "object" && depth < DEPTH_MAX) return makeList(value, depth + 1);
  if (AMOUNTS.has(name) && /^[0-9]+$/.test(value)) return make("span", formatAmount(value));
  if (TIMES.has(name)) return make("span", formatTime(value));
  if (REFERENCES.has(name)) return makeReference(value);
  return make("span", typeof value === "object" ? JSON.stringify(value) : value, "mono");
}

function makeList(record, depth = 0) {
  const list = make("dl");
  for (const [name, value] of Object.entries(record)) {
    list.append(make("dt", name));
    const detail = make("dd");
    detail.append(makeValue(name, value, depth));
    list.append(detail);
  }
  return list;
}

function makeRow(cells) {
  const row = make("tr");
  for (const cell of cells) {
    const data = make("td");
    data.append(cell);
    row.append(data);
  }
  return row;
}

function addRow(tableId, cells) {
  const table = byId(tableId);
  table.prepend(makeRow(cells));
  while (table.rows.length > ROWS_MAX) table.deleteRow(-1);
}

function showBlock(block) {
  byId("head").replaceChildren(...makeList(block).childNodes);
  addRow("blocks", [
    makeReference(block.height),
    make("span", formatTime(block.timeMs)),
    make("span", block.transactionCount),
    makeReference(block.blockHash, shorten(block.blockHash)),
  ]);
}

function showTransaction(message) {
  const transaction = message.transaction;
  addRow("transactions", [
    makeReference(message.height),
    makeReference(transaction.id, shorten(transaction.id)),
    makeReference(transaction.sender, shorten(transaction.sender)),
    make("span", transaction.calls.map((each) => `${each.module}.${each.call}`).join(", ")),
    make("span", message.receipt.reason || message.receipt.status),
  ]);
}

function makeBar(stake, most) {
  const bar = make("progress");
  bar.max = 1000;
  bar.value = most === 0n ? 0 : Number((stake * 1000n) / most);
  return bar;
}

function showCandidates(candidates, seats) {
  const most = candidates.map((each) => BigInt(each.stake)).reduce((one, other) => (one > other ? one : other), 0n);
  byId("candidates").replaceChildren(...candidates.map((each) => makeRow([
    makeReference(each.operator, shorten(each.operator)),
    make("span", each.name ?? ""),
    make("span", seats.includes(each.operator) ? seats.indexOf(each.operator) : ""),
    make("span", each.jailedUntilEpoch === null ? each.status : `jailed until epoch ${each.jailedUntilEpoch}`),
    make("span", formatAmount(each.stake)),
    makeBar(BigInt(each.stake), most),
  ])));
}

function showProposals(proposals) {
  byId("proposals").replaceChildren(...proposals.map((each) => makeRow([
    make("span", each.id),
    make("span", each.title),
    make("span", `${each.kind} ${JSON.stringify(each.arguments)}`, "mono"),
    make("span", each.status),
    make("span", `${each.ayes.length} yes, ${each.noes.length} no of ${each.electors}, ${each.ayesNeeded} needed`),
    make("span", each.deadline),
    make("span", each.effectiveHeight),
  ])));
}

async function showElection() {
  if (!isElectionStale) return;
  isElectionStale = false;
  try {
    const [epoch, page, voting, passed] = await Promise.all([
      call("staking_epoch", {}),
      call("staking_candidates", { limit: 200 }),
      call("gov_proposals", { status: "voting" }),
      call("gov_proposals", { status: "passed" }),
    ]);
    const seats = epoch.committee.members.map((member) => member.operator);
    byId("epoch").replaceChildren(...makeList({
      epoch: epoch.number,
      blocks: `${epoch.firstHeight} to ${epoch.lastHeight}`,
      committee: `${seats.length} members`,
      away: epoch.absences.map((each) => shorten(each.operator)).join(", ") || "nobody",
      fees: formatAmount(epoch.fees),
    }).childNodes);
    showCandidates(page.candidates, seats);
    showProposals([...voting.proposals, ...passed.proposals]);
  } catch (problem) {
    isElectionStale = true;
    byId("epoch").replaceChildren(make("dd", problem.message, "problem"));
  }
}

async function find(query) {
  if (/^[0-9]{1,16}$/.test(query)) return call("chain_getBlock", { height: Number(query) });
  if (/^0x[0-9a-f]{64}$/.test(query)) {
    try {
      return await call("chain_getTransaction", { id: query });
    } catch (problem) {
      if (problem.reason !== "NOT_FOUND") throw problem;
      return call("chain_getBlock", { hash: query });
    }
  }
  const account = await call("account_get", { address: query });
  const history = await call("account_history", { address: query, limit: ROWS_MAX });
  return { ...account, ...(await findContract(query, account.height)), history: history.entries };
}

const formatFields = (fields) => fields.map((each) => `${each.name}: ${each.type}`).join(", ");

async function findContract(address, height) {
  let contract;
  try {
    contract = await call("contract_get", { address });
  } catch (problem) {
    if (problem.reason === "NOT_FOUND") return {};
    throw problem;
  }
  const fromHeight = Math.max(0, height - EVENT_HEIGHTS);
  const page = await call("contract_events", { address, fromHeight, limit: ROWS_MAX });
  const { name, methods, events, upgrade, compiler } = contract.interface;
  return {
    contract: {
      name, status: contract.status, owner: contract.owner, codeHash: contract.codeHash, upgrade, compiler,
      methods: methods.map((each) =>
        `${each.kind} ${each.name}(${formatFields(each.parameters)})${each.result ? ` -> ${each.result}` : ""}`),
      events: events.map((each) => `${each.name}(${formatFields(each.fields)})`),
      history: contract.history,
    },
    announced: page.events.map((each) => ({ height: each.height, event: each.name, ...(each.fields ?? {}) })),
  };
}

async function search(query) {
  byId("query").value = query;
  try {
    byId("found").replaceChildren(makeList(await find(query.trim())));
  } catch (problem) {
    byId("found").replaceChildren(make("p", problem.message, "problem"));
  }
  byId("search").scrollIntoView({ block: "nearest" });
}

function showLink(text, className) {
  byId("link").textContent = text;
  byId("link").className = className;
}

function receive(message) {
  if (message.method === "sub_message") {
    const { topic, cursor, result } = message.params;
    cursors[topic] = cursor;
    if (topic === "blocks") {
      showBlock(result);
      isElectionStale = true;
    }
    if (topic === "transactions") showTransaction(result);
  } else if (message.method === "sub_closed") {
    if (message.params.error.data.reason === "PRUNED") delete cursors[message.params.topic];
  } else if (message.error) {
    showLink(message.error.message, "lost");
  }
}

function connect() {
  const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`);
  socket.addEventListener("open", () => {
    retryMs = 500;
    showLink("live", "live");
    for (const topic of ["blocks", "transactions"]) {
      const from = cursors[topic] ?? (topic === "transactions" ? firstHeight : undefined);
      const params = from === undefined ? { topic } : { topic, from };
      socket.send(JSON.stringify({ jsonrpc: "2.0", id: nextId++, method: "sub_subscribe", params }));
    }
  });
  socket.addEventListener("message", (event) => receive(JSON.parse(event.data)));
  socket.addEventListener("close", () => {
    showLink("disconnected, trying again", "lost");
    setTimeout(connect, retryMs);
    retryMs = Math.min(retryMs * 2, RETRY_MS_MAX);
  });
}

async function start() {
  byId("search").addEventListener("submit", (event) => {
    event.preventDefault();
    search(byId("query").value);
  });
  try {
    const chain = await call("chain_id", {});
    byId("chain").textContent = `${chain.chainId} (${chain.network})`;
    const head = await call("chain_head", {});
    firstHeight = Math.max(0, head.height - ROWS_MAX + 1);
    const recent = await call("chain_getBlocks", { from: firstHeight, to: head.height });
    recent.blocks.forEach(showBlock);
  } catch (problem) {
    showLink(problem.message, "lost");
  }
  showElection();
  setInterval(showElection, ELECTION_MS);
  connect();
}

start();
