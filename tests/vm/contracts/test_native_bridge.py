"""Native types in the words of a contract's interface."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated, Any

import pytest
from annotated_types import Interval, Len

from identity.address import Address
from ledger.primitives import GrainDays, Grains, Height, NodeKey
from ledger.reasons import Reason, Rejected
from ledger.state import State
from vm.context import Context, Moment
from vm.contracts.abi import (
    LIST_ITEMS_MAX,
    Bool,
    Bytes,
    Identifier,
    ListOf,
    Option,
    StructOf,
    Text,
    Unsigned,
    unpack_values,
)
from vm.contracts.native_bridge import build_natives, pack_answer, unpack_call, unpack_view
from vm.native.rules import CallRule, ModuleRule, ViewRule


class Colour(IntEnum):
    RED = 1


@dataclass(frozen=True, slots=True)
class Inner:
    key: NodeKey
    colour: Colour


@dataclass(frozen=True, slots=True)
class Everything:
    who: Address
    grains: Grains
    days: GrainDays
    name: Annotated[str, Len(1, 9)]
    is_set: bool
    note: bytes | None
    few: Annotated[tuple[Height, ...], Len(0, 3)]
    many: tuple[Inner, ...]
    pair: tuple[int, str]
    limited: Annotated[int, Interval(ge=5, le=9)]


def do_nothing(state: State, context: Context, call: Any) -> None:
    """Never called."""


def answer_inner(_: State, __: Moment, number: int) -> list[Inner]:
    """As many as asked for."""
    return [Inner(NodeKey(bytes(32)), Colour.RED)] * number


def answer_anything(_: State, __: Moment):
    """Says nothing about its type."""


MODULE = ModuleRule(
    "test",
    "",
    (CallRule("everything", Everything, do_nothing, lambda _: 0, "0"),),
    (),
    (ViewRule("inner", (("number", int),), answer_inner), ViewRule("anything", (), answer_anything)),
)
NATIVES = build_natives((MODULE,))
INNER = StructOf("Inner", (("key", Bytes()), ("colour", Unsigned(64))))


def test_every_type_has_its_packed_form():
    assert NATIVES.calls["test", "everything"].types == (
        Identifier("Address"),
        Unsigned(64),
        Unsigned(128),
        Text(),
        Bool(),
        Option(Bytes()),
        ListOf(Unsigned(64), 3),
        ListOf(INNER, LIST_ITEMS_MAX),
        StructOf("tuple", (("item_0", Unsigned(64)), ("item_1", Text()))),
        Unsigned(64),
    )


def test_a_view_without_a_declared_answer_is_left_out():
    assert list(NATIVES.views) == [("test", "inner")]


def pack(limited: int) -> bytes:
    return bytes(20) + bytes(8) + bytes(16) + b"\1\0\0\0x\1\0" + bytes(8) + bytes(8 + 4) + limited.to_bytes(8, "little")


def test_arguments_are_unpacked_and_keep_the_limits_of_the_native_call():
    _, arguments = unpack_call(NATIVES, "test", "everything", pack(7))
    assert arguments == Everything(Address(bytes(20)), Grains(0), GrainDays(0), "x", True, None, (), (), (0, ""), 7)
    for packed in (pack(4), pack(7)[:-1], b""):
        with pytest.raises(Rejected) as caught:
            unpack_call(NATIVES, "test", "everything", packed)
        assert caught.value.reason is Reason.BAD_ARGUMENTS
    with pytest.raises(Rejected) as caught:
        unpack_call(NATIVES, "test", "nothing", b"")
    assert caught.value.reason is Reason.UNKNOWN_CALL


def test_an_answer_is_packed_if_it_fits():
    view, arguments = unpack_view(NATIVES, "test", "inner", (2).to_bytes(8, "little"))
    packed = pack_answer(view, view.rule.answer(None, None, *arguments))
    assert unpack_values((ListOf(INNER, 9),), packed) == [[[bytes(32), 1]] * 2]
    with pytest.raises(Rejected) as caught:
        pack_answer(view, answer_inner(None, None, 1_000))
    assert caught.value.reason is Reason.HOST_LIMIT
    with pytest.raises(Rejected) as caught:
        unpack_view(NATIVES, "test", "anything", b"")
    assert caught.value.reason is Reason.UNKNOWN_CALL
