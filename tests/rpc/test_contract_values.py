"""Every type of contracts between packed bytes and JSON, and what a wrong value is told."""

import pytest

from identity.address import format_address
from rpc.arguments import ArgumentError
from rpc.contract_values import pack_from_json, unpack_to_json
from tests.echo_contract import build_interface
from tests.rpc.fake_backend import NETWORK, RECIPIENT, RECIPIENT_TEXT
from vm.contracts.abi import InvalidValueError, parse_type, resolve_structs

STRUCTS = resolve_structs(build_interface())
WIDE = [8, 16, 32, 64, 128]


def kind(text: str):
    return parse_type(text, STRUCTS)


def pack(text: str, value: object) -> bytes:
    return pack_from_json([("value", kind(text))], {"value": value}, NETWORK)


def unpack(text: str, packed: bytes) -> object:
    return unpack_to_json([("value", kind(text))], packed, NETWORK)["value"]


@pytest.mark.parametrize(
    ("text", "value", "packed"),
    [
        ("bool", True, b"\1"),
        ("u8", 255, b"\xff"),
        ("u16", 258, b"\2\1"),
        ("u32", 2**32 - 1, b"\xff" * 4),
        ("u64", str(2**64 - 1), b"\xff" * 8),
        ("u128", str(2**128 - 1), b"\xff" * 16),
        ("Address", RECIPIENT_TEXT, bytes(RECIPIENT)),
        ("Did", "0x" + "11" * 20, b"\x11" * 20),
        ("bytes", "0x0102", b"\2\0\0\0\1\2"),
        ("str", "né", b"\3\0\0\0n\xc3\xa9"),
        ("Option[u8]", None, b"\0"),
        ("Option[u8]", 7, b"\1\7"),
        ("List[u16, 2]", [1, 2], b"\2\0\0\0\1\0\2\0"),
        ("Pair", {"small": 1, "large": "2"}, b"\1\0\0\0\1\2\0\0\0\0\0\0\0"),
        ("List[Pair, 3]", [{"small": 1, "large": None}], b"\1\0\0\0\1\0\0\0\0"),
    ],
)
def test_every_type_has_one_json_form(text: str, value: object, packed: bytes) -> None:
    assert pack(text, value) == packed
    assert unpack(text, packed) == value


@pytest.mark.parametrize("bits", WIDE)
def test_every_integer_is_taken_as_number_and_as_text(bits: int) -> None:
    assert pack(f"u{bits}", 200) == pack(f"u{bits}", "200") == (200).to_bytes(bits // 8, "little")


def test_a_struct_is_taken_as_the_list_of_its_fields() -> None:
    assert pack("Pair", [1, "2"]) == pack("Pair", {"small": 1, "large": "2"})


@pytest.mark.parametrize(
    ("text", "value", "told"),
    [
        ("u8", 256, "value: expected a whole number from 0 to 255 (u8)"),
        ("u8", -1, "value: expected a whole number from 0 to 255 (u8)"),
        ("u64", "01", "value: expected a whole number from 0 to 18446744073709551615 (u64)"),
        ("u16", True, "value: expected a whole number from 0 to 65535 (u16)"),
        ("bool", 1, "value: expected true or false (bool)"),
        ("Address", 5, "value: expected an address (Address)"),
        ("Did", "0x11", "value: expected 0x and 40 hexadecimal digits (Did)"),
        ("bytes", "0X11", "value: expected 0x and lower-case hexadecimal digits (bytes)"),
        ("str", 1, "value: expected text (str)"),
        ("u8", None, "value: expected a whole number from 0 to 255 (u8)"),
        ("List[bool, 1]", [True, True], "value: expected a list of at most 1, each true or false (bool)"),
        ("Pair", 3, "value: expected an object with small, large (Pair)"),
        ("Pair", {"small": 1, "huge": 2}, "value: there is no 'huge'; there are: small, large"),
        ("Pair", {"small": "x"}, "value: small: expected a whole number from 0 to 4294967295 (u32)"),
        ("str", "\ud800", "a str with half a surrogate pair"),
    ],
)
def test_a_wrong_value_is_told_what_is_wanted(text: str, value: object, told: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        pack(text, value)
    assert str(caught.value) == told


def test_an_address_of_another_network_is_refused() -> None:
    foreign = format_address(RECIPIENT, type(NETWORK).MAINNET)
    with pytest.raises(ArgumentError, match="value: "):
        pack("Address", foreign)


def test_values_by_position_are_counted() -> None:
    fields = [("to", kind("Address")), ("amount", kind("Option[u8]"))]
    with pytest.raises(ArgumentError) as caught:
        pack_from_json(fields, [1], NETWORK)
    assert str(caught.value) == (
        "2 values are wanted, not 1: to: an address (Address), amount: null or a whole number from 0 to 255 (u8)"
    )


def test_other_bytes_are_no_values() -> None:
    with pytest.raises(InvalidValueError):
        unpack("u16", b"\1")
