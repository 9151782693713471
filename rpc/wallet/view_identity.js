// The identity that the wallet's key rules: text, QR code, document.

import { formatDid } from "./addresses.js";
import { attempt, byId, say, show } from "./dom.js";
import { buildCreatePayload, computeOwnDid } from "./identity.js";
import { formatProblem } from "./reasons.js";
import { RpcError } from "./rpc.js";
import { sendOperation } from "./sending.js";
import { encodeQR } from "./vendor/libraries.js";

const QUIET_MODULES = 4; // the white border that readers of QR codes need
const SVG = "http://www.w3.org/2000/svg";

/** Wire the section; `onReady(did, text)` is called once there is an identity. */
export function openIdentity(wallet, onReady) {
  let isReady = false;

  async function refresh() {
    if (isReady) return;
    const did = await computeOwnDid(wallet.account.publicKey);
    const text = formatDid(did, wallet.chain.network);
    const document = await resolve(text);
    if (wallet.isClosed) return;
    show("identity-none", document === null);
    show("identity-own", document !== null);
    if (document === null) return;
    isReady = true;
    byId("did").textContent = text;
    byId("did-document").textContent = JSON.stringify(document, null, 2);
    byId("did-qr").replaceChildren(makeQrCode(text));
    onReady(did, text);
  }

  async function resolve(text) {
    try {
      return (await wallet.client.call("did_resolve", { did: text })).didDocument;
    } catch (problem) {
      if (problem instanceof RpcError && problem.reason === "DID_NOT_FOUND") return null;
      throw problem;
    }
  }

  async function create() {
    const did = await computeOwnDid(wallet.account.publicKey);
    const onState = (text) => say("identity-status", text, "busy");
    const payload = buildCreatePayload(wallet.account.publicKey);
    const sent = await sendOperation(wallet, did, "did", "create", payload, onState);
    await refresh();
    return `The identity exists since block ${sent.height}.`;
  }

  byId("identity-create").onclick = ({ target }) => attempt(target, "identity-status", "", create);
  return async () => {
    try {
      await refresh();
    } catch (problem) {
      say("identity-status", formatProblem(problem), "problem");
    }
  };
}

/** A QR code as a drawing: black squares on white, whatever the colours of the page. */
function makeQrCode(text) {
  const rows = encodeQR(text, "raw", { border: QUIET_MODULES, ecc: "medium" });
  const drawing = document.createElementNS(SVG, "svg");
  drawing.setAttribute("viewBox", `0 0 ${rows.length} ${rows.length}`);
  drawing.setAttribute("role", "img");
  drawing.setAttribute("aria-label", `QR code of ${text}`);
  drawing.setAttribute("shape-rendering", "crispEdges");
  const squares = rows.flatMap((row, y) => row.flatMap((isBlack, x) => (isBlack ? [`M${x} ${y}h1v1h-1z`] : [])));
  for (const [fill, path] of [["#fff", `M0 0h${rows.length}v${rows.length}H0z`], ["#000", squares.join("")]]) {
    const shape = document.createElementNS(SVG, "path");
    shape.setAttribute("fill", fill);
    shape.setAttribute("d", path);
    drawing.append(shape);
  }
  return drawing;
}
