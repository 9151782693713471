// JSON-RPC 2.0: calls over HTTP, subscriptions over one WebSocket that comes back by itself.

const REQUEST_TIMEOUT_MS = 65_000; // longer than any call of a node may wait
const RETRY_MS = 500;
const RETRY_MS_MAX = 10_000;

/** A node has answered with an error; `reason` is the stable word. */
export class RpcError extends Error {
  constructor({ message, data }) {
    super(data?.detail || message);
    this.reason = data?.reason ?? null;
    this.data = data ?? {};
  }
}

/** The node does not answer. */
export class ConnectionError extends Error {}

export class Client {
  #base;
  #lastId = 0;

  constructor(base) {
    this.#base = base;
  }

  /** The result of one call; throws RpcError or ConnectionError. */
  async call(method, params = {}) {
    return readResult(await this.#post(this.#build(method, params)));
  }

  /** Results of several calls in one request, in their order; the first error is thrown. */
  async callAll(calls) {
    if (calls.length === 0) return [];
    const requests = calls.map(([method, params]) => this.#build(method, params));
    const answers = await this.#post(requests);
    if (!Array.isArray(answers)) return [readResult(answers)];
    return requests.map(({ id }) => readResult(answers.find((answer) => answer.id === id) ?? {}));
  }

  /** Follow topics [{topic, filter}]; onMessage gets the topic, onState is told whether the connection stands. */
  follow(subscriptions, onMessage, onState) {
    let retryMs = RETRY_MS;
    let isEnded = false;
    let socket;
    const connect = () => {
      if (isEnded) return;
      socket = new WebSocket(new URL("/ws", this.#base).href.replace(/^http/, "ws"));
      socket.addEventListener("open", () => {
        retryMs = RETRY_MS;
        for (const params of subscriptions) socket.send(JSON.stringify(this.#build("sub_subscribe", params)));
        onState(true);
      });
      socket.addEventListener("message", ({ data }) => {
        const message = JSON.parse(data);
        if (message.method === "sub_message") onMessage(message.params.topic, message.params.result);
        else if (message.method === "sub_closed" || message.error) socket.close(); // comes back as after any other loss
      });
      socket.addEventListener("close", () => {
        if (isEnded) return;
        onState(false);
        setTimeout(connect, retryMs);
        retryMs = Math.min(2 * retryMs, RETRY_MS_MAX);
      });
    };
    connect();
    return () => {
      isEnded = true;
      socket.close();
    };
  }

  #build(method, params) {
    this.#lastId += 1;
    return { jsonrpc: "2.0", id: this.#lastId, method, params };
  }

  async #post(body) {
    try {
      const response = await fetch(new URL("/rpc", this.#base), {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(body),
        signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
      });
      return await response.json();
    } catch {
      throw new ConnectionError("The node does not answer. Check that it runs and that you are connected.");
    }
  }
}

function readResult(answer) {
  if (answer?.error) throw new RpcError(answer.error);
  if (answer?.result === undefined) throw new ConnectionError("The node gave an answer that is none.");
  return answer.result;
}
