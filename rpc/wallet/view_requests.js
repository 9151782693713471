// Requests for attributes: who asks, what, why; approve, refuse, withdraw.

import { AttributeError, buildAnswer, checkRequest } from "./attributes.js";
import { toHex } from "./bytes.js";
import { attempt, byId, make, makeButton, say, show } from "./dom.js";
import { formatProblem } from "./reasons.js";
import { sendOperation } from "./sending.js";

const PAGE_REQUESTS = 50; // more than may be open at a time for one holder

/** Wire the section for an identity; returns what reads the lists again. */
export function openRequests(wallet, did, didText) {
  const { client, chain, known } = wallet;
  let isReading = false;
  let isStale = false;

  /** One reading at a time: what comes meanwhile is read after it. */
  async function refresh() {
    isStale = true;
    if (isReading) return;
    isReading = true;
    try {
      while (isStale) {
        isStale = false;
        await Promise.all([showList("open", "requests-open", makeOpen), showList("approved", "requests-given", makeGiven)]);
      }
    } catch (problem) {
      say("requests-status", formatProblem(problem), "problem");
    } finally {
      isReading = false;
    }
  }

  async function showList(state, listId, makeControls) {
    const page = await client.call("did_requests", { did: didText, role: "holder", state, limit: PAGE_REQUESTS });
    const list = byId(listId);
    const wanted = page.requests.map(({ requestId }) => requestId);
    const shown = new Map([...list.children].map((card) => [card.dataset.requestId, card]));
    // what is shown already stays as it is: somebody may be typing
    const cards = wanted.map((id) => shown.get(id) ?? makeCard(id, makeControls));
    const ready = await Promise.all(cards);
    if (wallet.isClosed) return;
    list.replaceChildren(...ready);
    show(`${listId}-none`, wanted.length === 0);
  }

  async function makeCard(requestId, makeControls) {
    const card = make("li", { className: "card" });
    card.dataset.requestId = requestId;
    try {
      const { value } = await client.call("module_view", {
        module: "attributes", name: "request", args: { request_id: requestId },
      });
      if (value === null) throw new AttributeError("The node does not show what the request says.");
      const request = await checkRequest(requestId, value.payload, did, chain.network);
      known.requests.set(requestId, request.payload);
      card.append(makeFacts(requestId, request), makeControls(request));
    } catch (problem) {
      const text = `This request cannot be answered here. ${formatProblem(problem)}`;
      card.append(make("p", { className: "problem" }, text), make("p", { className: "mono" }, requestId));
    }
    return card;
  }

  function makeOpen(request) {
    const inputs = request.names.map((name) => make("input", { name, required: true, autocomplete: "off" }));
    const status = makeStatus();
    const approve = make("button", {}, "Approve");
    const refuse = makeButton("Refuse", (button) => act(button, status, "refuse", () => [did, request.id]));
    const form = make(
      "form", {},
      ...inputs.map((input) => make("label", {}, `Value of ${input.name}`, input)),
      make("p", { className: "actions" }, approve, refuse), status,
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      act(approve, status, "approve", () => buildApproval(request, inputs));
    });
    return form;
  }

  async function buildApproval(request, inputs) {
    const built = await Promise.all(inputs.map(({ name, value }) => buildAnswer(name, value, request.answerKey)));
    for (const { answer, boxKey } of built) known.boxKeys.set(toHex(answer[1]), boxKey);
    return [did, request.id, built.map(({ answer }) => answer)];
  }

  function makeGiven(request) {
    const status = makeStatus();
    const withdraw = makeButton("Withdraw consent", (button) =>
      act(button, status, "withdraw_consent", () => [did, request.id]));
    return make("div", {}, make("p", { className: "actions" }, withdraw), status);
  }

  function act(button, status, call, buildPayload) {
    const onState = (text) => say(status, text, "busy");
    return attempt(button, status, "", async () => {
      const sent = await sendOperation(wallet, did, "attributes", call, await buildPayload(), onState);
      say("requests-status", `Done, final in block ${sent.height}.`);
      await refresh();
    });
  }

  say("requests-status", "");
  byId("requests-open").replaceChildren();
  byId("requests-given").replaceChildren();
  return refresh;
}

function makeStatus() {
  const status = make("p");
  status.setAttribute("role", "status");
  return status;
}

function makeFacts(requestId, request) {
  const facts = [
    ["Asked by", request.verifier],
    ["Wants to know", request.names.join(", ")],
    ["What for", request.purpose],
    ["Answer until block", String(request.expiryHeight)],
    ["Request", requestId],
  ];
  return make("dl", {}, ...facts.flatMap(([label, value]) => [make("dt", {}, label), make("dd", {}, value)]));
}
