"""The reference page `docs/rpc.md`, from the table and models that answer the calls: `python -m rpc.reference`."""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from rpc.errors import ERROR_KINDS
from rpc.json_codec import dump_json
from rpc.method import Method
from rpc.methods import METHODS
from rpc.openrpc import build_openrpc, list_error_kinds
from rpc.settings import LIST_ITEMS_MAX, PORT_DEFAULT, RpcSettings

REFERENCE_FILE: Final = Path(__file__).resolve().parent.parent / "docs" / "rpc.md"
_PLAIN_TYPES: Final = {"integer": "integer", "string": "string", "boolean": "boolean", "null": "null"}
_REF: Final = "#/components/schemas/"

_CONVENTIONS: Final = """\
# JSON-RPC reference

<!-- written by `python -m rpc.reference`; change the models or the table instead -->

A node answers JSON-RPC 2.0 at `POST /rpc` and `GET /ws` (WebSocket) on port {port}, calls alone or in batches.
`GET /1.0/identifiers/DID` resolves identities as W3C DID Resolution has it ([did-iov.md](did-iov.md)).
`GET /` shows an explorer, `GET /wallet` a wallet for the browser, and `rpc.discover` answers this reference as an
OpenRPC document.

## Conventions

* Parameters go by name, or by position in the order given here.
* Bytes are `0x` and lower-case hexadecimal digits. Amounts are decimal strings of grains (10⁻⁸ IOV).
* Heights, gas and times (`…Ms`, milliseconds since 1970) are integers below 2⁵³.
* Addresses are bech32m text of the network.
* Reads of the state take `at`: `"final"` (default) or `{{"height": n}}`, and say which height they saw.
* Lists have a `limit` (at most {items}) and an opaque `cursor`: pass the one of the answer to go on.
* A body has at most {body} bytes, a batch {calls} calls, an answer {response} bytes. Operators may set other limits.
* `Content-Type` is `application/json`. A node answers to localhost, to IP addresses and to the host names its
  operator has named. Pages of other origins are refused unless the operator allows them.
* `tx_send` is an error when the transaction is not admitted; sending a known one again succeeds.
* Errors are `{{"code", "message", "data": {{"reason", "retryable", "detail", …}}}}`. Rely on `reason`; `detail` is
  for people. `retryable` means that the very same call may succeed later.
* What a contract itself fails has the reason `CONTRACT_CODE`, with the contract's own number as `code`. Values of
  contracts are JSON by their declared types: see [contracts.md](contracts.md).

### Subscriptions

`sub_subscribe` works over the WebSocket only. Messages follow as notifications, in order, each once:
`{{"method": "sub_message", "params": {{"subscription", "topic", "cursor", "result"}}}}`.

To resume after a break, on this node or another, pass the last `cursor` as `from`. Whatever ends a subscription is
said in `{{"method": "sub_closed", "params": {{"subscription", "topic", "error"}}}}`, and `error.data.lastCursor` is
that of the last message sent. A client that does not read fast enough gets `SLOW_CONSUMER`, then the connection is
closed with code 1008. `pending` has no history: it cannot be resumed."""


def build_reference(methods: Mapping[str, Method]) -> str:
    """The whole page."""
    document = build_openrpc(methods)
    schemas = document["components"]["schemas"]
    lines = [_CONVENTIONS.format(**_list_limits()), "", "## Methods", ""]
    for described in document["methods"]:
        lines += _describe_method(described, methods[described["name"]])
    lines += ["## Subscription messages", ""]
    lines += [f"* `{topic}`: {_name_type(schema)}" for topic, schema in document["x-topics"].items()]
    lines += ["", "## Types", "", "Every object of a result may gain fields in a later version.", ""]
    for name in sorted(schemas):
        lines += _describe_schema(name, schemas[name])
    lines += ["## Errors", "", "| code | reason | retryable | meaning |", "|---|---|---|---|"]
    lines += [
        f"| {int(kind.code)} | `{kind.reason}` | {'yes' if kind.is_retryable else 'no'} | {kind.doc} |"
        for kind in list_error_kinds(ERROR_KINDS)
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write the page; the only argument is where to."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else REFERENCE_FILE
    path.write_text(build_reference(METHODS), encoding="utf-8")
    return 0


def _list_limits() -> dict[str, str]:
    settings = RpcSettings()
    return {
        "port": str(PORT_DEFAULT),
        "items": str(LIST_ITEMS_MAX),
        "body": f"{settings.body_bytes_max:,}",
        "calls": f"{settings.batch_calls_max:,}",
        "response": f"{settings.response_bytes_max:,}",
    }


def _describe_method(described: dict[str, Any], method: Method) -> Iterator[str]:
    yield f"### `{described['name']}`"
    yield ""
    yield described["summary"]
    yield ""
    for param in described["params"]:
        schema = param["schema"]
        note = "required" if param["required"] else f"default `{_show(schema.get('default'))}`"
        doc = schema.get("description")
        yield f"* `{param['name']}`: {_name_type(schema)}, {note}" + (f". {doc}" if doc else "")
    if not described["params"]:
        yield "* no parameters"
    yield f"* result: {_name_type(described['result']['schema'])}"
    if method.reasons:
        yield "* errors: " + ", ".join(f"`{reason}`" for reason in method.reasons)
    yield ""


def _describe_schema(name: str, schema: dict[str, Any]) -> Iterator[str]:
    yield f"### {name}"
    yield ""
    if "description" in schema:
        yield schema["description"].strip().splitlines()[0]
        yield ""
    for field, inner in schema.get("properties", {}).items():
        doc = inner.get("description")
        yield f"* `{field}`: {_name_type(inner)}" + (f". {' '.join(doc.split())}" if doc else "")
    yield ""


def _name_type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].removeprefix(_REF)
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_name_type(each) for each in schema["anyOf"]))
    if "const" in schema:
        return f"`{_show(schema['const'])}`"
    if "enum" in schema:
        return " or ".join(f"`{_show(each)}`" for each in schema["enum"])
    kind = schema.get("type")
    if kind == "array":
        return f"list of {_name_type(schema.get('items', {}))}"
    if kind == "object":
        return "object"
    if kind == "string" and str(schema.get("pattern", "")).startswith("^0x"):
        return "bytes"
    if kind == "string" and schema.get("description") == "Grains.":
        return "amount"
    return _PLAIN_TYPES.get(str(kind), "any value")


def _show(value: Any) -> str:
    return dump_json(value).decode()


if __name__ == "__main__":
    sys.exit(main())
