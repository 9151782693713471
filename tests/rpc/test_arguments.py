"""Arguments between their plain form and JSON."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated, Any

import pytest
from annotated_types import Len
from hypothesis import given
from hypothesis import strategies as st

from identity.address import Address, NetworkKind, format_address
from ledger.primitives import INTEGER_MAX, Grains, Height
from rpc.arguments import (
    ArgumentError,
    ArgumentType,
    answer_to_json,
    arguments_from_json,
    arguments_to_json,
    describe_fields,
    describe_type,
    from_json,
    to_json,
)
from vm.native.registry import MODULES

NETWORK = NetworkKind.DEVNET
ADDRESS = Address(b"\x05" * 20)
ADDRESS_TEXT = format_address(ADDRESS, NETWORK)


class Colour(IntEnum):
    RED = 1


@dataclass(frozen=True)
class Inner:
    paid_grains: Grains
    to: Address


@dataclass(frozen=True)
class Everything:
    owner: Address
    amount_grains: Annotated[Grains, Len(0, 1)]
    at_height: Height
    data: bytes
    title: str
    is_open: bool
    colour: Colour
    lines: Annotated[tuple[Inner, ...], Len(0, 3)]
    pair: tuple[int, bytes]
    guardian: Address | None
    ordering: int | bytes


PLAIN: list[Any] = [ADDRESS, 10**18, 7, b"\x01", "x", True, 1, [[3, ADDRESS]], [1, b"\x02"], None, 9]
AS_JSON = {
    "owner": ADDRESS_TEXT,
    "amountGrains": "1000000000000000000",
    "atHeight": 7,
    "data": "0x01",
    "title": "x",
    "isOpen": True,
    "colour": 1,
    "lines": [{"paidGrains": "3", "to": ADDRESS_TEXT}],
    "pair": [1, "0x02"],
    "guardian": None,
    "ordering": 9,
}


def test_goes_to_json_and_back() -> None:
    fields = describe_fields(Everything)
    assert arguments_to_json(fields, PLAIN, NETWORK) == AS_JSON
    assert arguments_from_json(fields, AS_JSON, NETWORK) == PLAIN
    assert arguments_from_json(fields, list(AS_JSON.values()), NETWORK) == PLAIN


@given(st.integers(min_value=0, max_value=INTEGER_MAX))
def test_money_is_text_whatever_its_size(amount: int) -> None:
    kind = describe_type(Grains)
    assert to_json(kind, amount, NETWORK) == str(amount)
    assert from_json(kind, str(amount), NETWORK) == amount


def test_arguments_that_do_not_fit_are_shown_as_they_stand() -> None:
    fields = describe_fields(Inner)
    assert arguments_to_json(fields, ["x", 2**60, [b"\x01", None]], NETWORK) == ["x", str(2**60), ["0x01", None]]
    assert arguments_to_json(fields, ["x", ADDRESS], NETWORK) == ["x", "0x" + ADDRESS.hex()]
    assert arguments_to_json(None, [1], NETWORK) == [1]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Address, "iov1qqqq"),
        (Address, "0x" + "05" * 20),
        (Address, 5),
        (Grains, 5),
        (Grains, "5.0"),
        (Grains, "-5"),
        (int, "5"),
        (int, True),
        (int, 1.0),
        (int, 2**53),
        (bytes, "05"),
        (bytes, [5]),
        (str, 5),
        (bool, 1),
        (tuple[int, ...], 5),
        (tuple[int, ...], ["5"]),
        (tuple[int, int], [5]),
        (Inner, {"paidGrains": "5"}),
        (Inner, {"paidGrains": "5", "to": ADDRESS_TEXT, "more": 1}),
        (Inner, ["5"]),
        (int | bytes, [1]),
        (int | bytes, {}),
        (Address | None, 5),
    ],
)
def test_json_of_another_type_is_refused(kind: Any, value: Any) -> None:
    with pytest.raises(ArgumentError):
        from_json(describe_type(kind), value, NETWORK)


def test_errors_name_the_argument() -> None:
    with pytest.raises(ArgumentError, match=r"^to: .*prefix|^to: "):
        arguments_from_json(describe_fields(Inner), {"paidGrains": "1", "to": "x"}, NETWORK)
    with pytest.raises(ArgumentError, match="expected 2 arguments: paidGrains, to"):
        arguments_from_json(describe_fields(Inner), [], NETWORK)


def test_answers_name_their_fields() -> None:
    inner = Inner(Grains(5), ADDRESS)
    expected = {"paidGrains": "5", "to": ADDRESS_TEXT}
    anything = ArgumentType("any")
    assert answer_to_json(anything, inner, NETWORK) == expected
    assert answer_to_json(anything, [inner, inner], NETWORK) == [expected, expected]
    assert answer_to_json(anything, [1, 10**18, b"\x01"], NETWORK) == [1, str(10**18), "0x01"]
    assert answer_to_json(anything, None, NETWORK) is None
    assert answer_to_json(describe_type(Grains), 5, NETWORK) == "5"
    assert answer_to_json(describe_type(list[Address]), [ADDRESS], NETWORK) == [ADDRESS_TEXT]
    assert answer_to_json(describe_type(list[Inner]), [], NETWORK) == []


def list_amounts(kind: ArgumentType, name: str, path: str) -> list[tuple[str, str]]:
    """Where a type has amounts in grains, and in which form they are there."""
    found = [(path, kind.form)] if name.endswith("Grains") and kind.form in ("grains", "integer", "whole") else []
    inner = [(each, f"{path}.{each}", described) for each, described in kind.fields]
    inner += [(name, path, described) for described in kind.items]
    return found + [
        each for inner_name, where, described in inner for each in list_amounts(described, inner_name, where)
    ]


def test_every_amount_that_a_call_takes_or_an_event_tells_is_a_string():
    """Amounts go beyond what JavaScript counts exactly."""
    kinds = [rule.arguments for module in MODULES.values() for rule in module.calls]
    kinds += [rule.fields for module in MODULES.values() for rule in module.events]
    amounts = [each for kind in kinds for each in list_amounts(describe_type(kind), "", kind.__name__)]
    assert ("ProposeSource.rules.breaker.limitGrains", "grains") in amounts
    assert {form for _, form in amounts} == {"grains"}, amounts
