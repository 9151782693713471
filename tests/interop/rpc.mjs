// JSON-RPC 2.0 over HTTP, no more than a wallet needs.

const REQUEST_TIMEOUT_MS = 60_000;

export class RpcError extends Error {
  constructor(method, { code, message, data }) {
    super(`${method}: ${message} (${data?.reason ?? code})`);
    this.reason = data?.reason ?? null;
  }
}

export function createClient(url) {
  let lastId = 0;
  return async function call(method, params = {}) {
    lastId += 1;
    const response = await fetch(new URL("/rpc", url), {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ jsonrpc: "2.0", id: lastId, method, params }),
      signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
    });
    const answer = await response.json();
    if (answer.error) throw new RpcError(method, answer.error);
    return answer.result;
  };
}
