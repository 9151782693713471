"""JSON in and out: strict where JSON is loose, and never deeper or larger than a limit."""

import re
from binascii import unhexlify
from typing import Any, Final

import orjson

from ledger.primitives import INTEGER_MAX
from rpc.errors import RpcError, build_error

DEPTH_MAX: Final = 32  # nesting of lists and objects in a request, its batch included
_DECIMAL: Final = re.compile(r"0|[1-9][0-9]{0,18}")

JsonId = str | int | None


def parse_json(raw: bytes) -> Any:
    """The value of UTF-8 JSON; raises RpcError. NaN, infinities, lone surrogates and trailing bytes are refused."""
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise build_error("PARSE_ERROR", f"not JSON at line {error.lineno}, column {error.colno}") from None
    check_depth(value)
    return value


def check_depth(value: object, depth_max: int = DEPTH_MAX) -> None:
    """Refuse absurd nesting; walks level by level, so it needs no stack of its own."""
    level = [value]
    for _ in range(depth_max + 1):
        below: list[object] = []
        for item in level:
            if type(item) is dict:
                below.extend(item.values())
            elif type(item) is list:
                below.extend(item)
        if not below:
            return
        level = below
    raise build_error("NESTED_TOO_DEEP", f"at most {depth_max} levels", depth_max=depth_max)


def dump_json(value: object) -> bytes:
    """Compact UTF-8 JSON."""
    return orjson.dumps(value)


def encode_result(identifier: JsonId, result: bytes) -> bytes:
    """A response around a result that is JSON already."""
    return b'{"jsonrpc":"2.0","result":%b,"id":%b}' % (result, orjson.dumps(identifier))


def encode_error(identifier: JsonId, error: RpcError) -> bytes:
    """A response that carries an error."""
    return orjson.dumps({"jsonrpc": "2.0", "error": error.to_json(), "id": identifier})


def format_hex(value: bytes) -> str:
    """Bytes as 0x and lower-case hexadecimal digits."""
    return "0x" + value.hex()


def parse_hex(text: str) -> bytes:
    """The bytes of a 0x text; raises ValueError on any other form, upper case included."""
    if not text.startswith("0x") or text.lower() != text:
        raise ValueError("bytes are written 0x and lower-case hexadecimal digits")
    try:
        return unhexlify(text[2:])
    except ValueError:
        raise ValueError("bytes are written 0x and an even number of hexadecimal digits") from None


def parse_grains(text: str) -> int:
    """Grains from decimal digits without sign, leading zero or point; raises ValueError."""
    if not _DECIMAL.fullmatch(text) or int(text) > INTEGER_MAX:
        raise ValueError('an amount is a decimal string of grains, for instance "100000000" for 1 IOV')
    return int(text)
