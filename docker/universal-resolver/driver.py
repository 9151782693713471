"""A driver for universal resolvers: passes `GET /1.0/identifiers/{did}` on to a node of the network that the DID names.

It needs Python alone. Set CARLIVE_NODE_MAINNET, CARLIVE_NODE_TESTNET or CARLIVE_NODE_DEVNET to the URLs of nodes you
trust; a network without a node is answered as not found.
"""

import json
import os
import sys
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.error import HTTPError, URLError
from urllib.parse import unquote
from urllib.request import HTTPRedirectHandler, Request, build_opener

PORT = 8080
PATH = "/1.0/identifiers/"
NETWORKS = ("testnet", "devnet")
"""Those that a DID names; the mainnet is left out."""
SECONDS_MAX = 15
ANSWER_BYTES_MAX = 1_048_576
RESULT_TYPE = "application/did-resolution"
PASSED_ON = ("Content-Type", "Location", "Retry-After", "Cache-Control")


class _NoRedirects(HTTPRedirectHandler):
    """A service's URL is the client's to follow."""

    def redirect_request(self, *_args, **_named):
        """Never."""
        return


_open = build_opener(_NoRedirects).open


def find_network(identifier: str) -> str:
    """The network of a DID or DID URL of this method."""
    parts = identifier.split(":")
    return parts[2] if len(parts) > 3 and parts[2] in NETWORKS else "mainnet"


def ask(node_url: str, path: str, accept: str) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of a node's answer."""
    request = Request(node_url.rstrip("/") + path, headers={"Accept": accept})  # noqa: S310  # read_nodes takes http(s)
    try:
        response = _open(request, timeout=SECONDS_MAX)
    except HTTPError as error:  # an answer all the same: 404, 410 …
        response = error
    except (URLError, OSError):
        return build_error(500, "INTERNAL_ERROR", "the node does not answer")
    with response:
        body = response.read(ANSWER_BYTES_MAX + 1)
        if len(body) > ANSWER_BYTES_MAX:
            return build_error(500, "INTERNAL_ERROR", "the node's answer is too large")
        return response.status, {name: response.headers[name] for name in PASSED_ON if response.headers[name]}, body


def build_error(status: int, name: str, detail: str) -> tuple[int, dict[str, str], bytes]:
    """A DID resolution result that says why there is no document."""
    error = {"type": f"https://www.w3.org/ns/did#{name}", "title": name, "detail": detail}
    result = {"didDocument": None, "didResolutionMetadata": {"error": error}, "didDocumentMetadata": {}}
    return status, {"Content-Type": RESULT_TYPE}, json.dumps(result).encode()


def make_handler(nodes: Mapping[str, str]) -> type[BaseHTTPRequestHandler]:
    """A handler that knows these nodes by network."""

    class Handler(BaseHTTPRequestHandler):
        """Answers one request."""

        timeout = SECONDS_MAX

        def do_GET(self) -> None:
            """Resolve or dereference."""
            path = self.path.partition("?")[0]
            if not path.startswith(PATH):
                self._answer(*build_error(404, "NOT_FOUND", f"ask for {PATH}DID"))
                return
            network = find_network(unquote(path.removeprefix(PATH)))
            if network not in nodes:
                self._answer(*build_error(404, "NOT_FOUND", f"this driver knows no node of the {network}"))
                return
            self._answer(*ask(nodes[network], self.path, self.headers.get("Accept") or RESULT_TYPE))

        def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            """What people resolve is nobody's business."""

    return Handler


def read_nodes(environment: Mapping[str, str]) -> dict[str, str]:
    """Node URLs by network; anything but http and https is left out."""
    found = {network: environment.get(f"CARLIVE_NODE_{network.upper()}", "") for network in ("mainnet", *NETWORKS)}
    return {network: url for network, url in found.items() if url.startswith(("http://", "https://"))}


def main() -> int:
    """Serve until stopped."""
    nodes = read_nodes(os.environ)
    if not nodes:
        sys.stderr.write("set CARLIVE_NODE_MAINNET, CARLIVE_NODE_TESTNET or CARLIVE_NODE_DEVNET to a node's URL\n")
        return 2
    ThreadingHTTPServer(("", PORT), make_handler(nodes)).serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
