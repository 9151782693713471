"""JSON is read strictly and without surprises."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.primitives import INTEGER_MAX
from rpc.errors import RpcError
from rpc.json_codec import DEPTH_MAX, check_depth, dump_json, format_hex, parse_grains, parse_hex, parse_json


@given(st.binary(max_size=200))
def test_any_bytes_are_a_value_or_a_parse_error(raw: bytes) -> None:
    try:
        parse_json(raw)
    except RpcError as error:
        assert error.reason in ("PARSE_ERROR", "NESTED_TOO_DEEP")


def _nest(depth: int, innermost: Any = 1) -> Any:
    value = innermost
    for level in range(depth):
        value = [value] if level % 2 else {"a": value}
    return value


def test_depth_has_an_exact_limit() -> None:
    check_depth(_nest(DEPTH_MAX))
    with pytest.raises(RpcError, match="NESTED_TOO_DEEP"):
        check_depth(_nest(DEPTH_MAX + 1))


def test_width_is_no_depth() -> None:
    check_depth([[[1]] * 10_000] * 3)


@given(st.binary(max_size=64))
def test_hex_goes_there_and_back(value: bytes) -> None:
    assert parse_hex(format_hex(value)) == value


@pytest.mark.parametrize(
    "text", ["", "0", "ab", "0x0", "0xAB", "0XAB", "0xg0", "0x 1", "0x1 ", "0x0\n1", "0xé0", "0x１２"]
)
def test_hex_has_one_form(text: str) -> None:
    with pytest.raises(ValueError, match="hexadecimal"):
        parse_hex(text)


@given(st.integers(min_value=0, max_value=INTEGER_MAX))
def test_grains_go_there_and_back(amount: int) -> None:
    assert parse_grains(str(amount)) == amount


@pytest.mark.parametrize(
    "text", ["", "-1", "+1", "01", "1.0", "1e3", " 1", "1 ", "1\n", "１", "0x1", str(INTEGER_MAX + 1), "9" * 5_000]
)
def test_grains_have_one_form(text: str) -> None:
    with pytest.raises(ValueError, match="decimal string of grains"):
        parse_grains(text)


def test_output_is_compact() -> None:
    assert dump_json({"a": [1, None, "ü"]}) == '{"a":[1,null,"ü"]}'.encode()
