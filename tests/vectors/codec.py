"""carlive_codec.json: values with their one byte form, and byte forms that are refused."""

from typing import Any, Final

from ledger.codec import DEPTH_MAX, pack, to_plain
from ledger.receipt import Receipt
from ledger.transaction import Call
from tests.vectors.notation import Plain, to_notation
from tests.vectors.scene import build_scene

KINDS: Final[dict[str, type]] = {"Call": Call, "Receipt": Receipt}
"""The types that stand in the file; untyped values are tried as the arguments of a Call."""

INTEGERS: Final = (
    *(0, 1, 127, 128, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, 2**53 - 1, 2**53, 10**18, 2**63 - 1),
    *(-1, -32, -33, -128, -129, -32_768, -32_769, -(2**31), -(2**31) - 1, -(2**63)),
)


def build_codec_vectors() -> dict[str, Any]:
    """The whole file."""
    return {
        "about": "Canonical MessagePack. `values` are arguments of a call: encoded stands for one value, and only it. "
        'Values are written {"int": "5"}, {"text": "x"}, {"bytes": "00ff"}, true, false, null or an array. '
        "See docs/protocol.md, Encoding.",
        "values": [{"value": to_notation(value), "encoded": pack(value).hex()} for value in _list_values()],
        "refused_values": _list_refused_values(),
        "receipts": [_describe_receipt(receipt) for receipt in build_scene().receipts],
        "refused": _list_refused_calls(),
    }


def _list_values() -> list[list[Any]]:
    """Lists of arguments."""
    deepest: Plain = []
    for _ in range(DEPTH_MAX - 1):
        deepest = [deepest]
    texts = ["", "a", "€", "a" * 31, "b" * 32, "c" * 255, "d" * 256]
    many_bytes = [b"", b"\x00", b"\xff" * 255, bytes(256)]
    return [
        [],
        *[[integer] for integer in INTEGERS],
        *[[text] for text in texts],
        *[[each] for each in many_bytes],
        [None, True, False],
        [[], [[]], [1, [2, [3]]]],
        list(range(15)),
        list(range(16)),
        [deepest],
    ]


def _list_refused_values() -> list[dict[str, str]]:
    """Byte forms that no reader accepts as the arguments of a call."""
    too_deep = b"\x91" * (DEPTH_MAX + 1) + b"\x90"
    cases = {
        "empty": b"",
        "not an array": b"\x01",
        "an extra byte": b"\x90\x00",
        "cut short": b"\x92\x01",
        "array 16 for one item": b"\xdc\x00\x01\x01",
        "array 32 for one item": b"\xdd\x00\x00\x00\x01\x01",
        "uint 8 for 127": b"\x91\xcc\x7f",
        "uint 16 for 255": b"\x91\xcd\x00\xff",
        "uint 32 for 65,535": b"\x91\xce\x00\x00\xff\xff",
        "uint 64 for 2^32 - 1": b"\x91\xcf\x00\x00\x00\x00\xff\xff\xff\xff",
        "int 8 for 1": b"\x91\xd0\x01",
        "int 64 for 2^32, which is a uint 64": b"\x91\xd3\x00\x00\x00\x01\x00\x00\x00\x00",
        "int 8 for -32": b"\x91\xd0\xe0",
        "int 16 for -128": b"\x91\xd1\xff\x80",
        "2^63": b"\x91\xcf\x80\x00\x00\x00\x00\x00\x00\x00",
        "float 64": b"\x91\xcb\x3f\xf0\x00\x00\x00\x00\x00\x00",
        "float 32": b"\x91\xca\x3f\x80\x00\x00",
        "a map": b"\x91\x80",
        "an extension": b"\x91\xd4\x01\x00",
        "a timestamp": b"\x91\xd6\xff\x00\x00\x00\x00",
        "the byte that MessagePack never uses": b"\x91\xc1",
        "str 8 for one byte": b"\x91\xd9\x01a",
        "bin 16 for one byte": b"\x91\xc5\x00\x01\x00",
        "text that is not UTF-8": b"\x91\xa1\xff",
        "text with a surrogate": b"\x91\xa3\xed\xa0\x80",
        "nested deeper than 16": too_deep,
    }
    return [{"encoded": encoded.hex(), "why": why} for why, encoded in cases.items()]


def _list_refused_calls() -> list[dict[str, str]]:
    """Byte forms of a Call that break a rule of the type, not of the encoding."""
    cases: dict[str, Plain] = {
        "a field too few": ["iov", "transfer"],
        "a field too many": ["iov", "transfer", [], None],
        "an empty name": ["", "transfer", []],
        "a name of 33 characters": ["i" * 33, "transfer", []],
        "bytes where text belongs": [b"iov", "transfer", []],
        "nil where a list belongs": ["iov", "transfer", None],
    }
    return [{"kind": "Call", "encoded": pack(plain).hex(), "why": why} for why, plain in cases.items()]


def _describe_receipt(receipt: Receipt) -> dict[str, Any]:
    plain = to_plain(receipt)
    return {"value": to_notation(plain), "encoded": pack(plain).hex()}
