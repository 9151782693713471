"""Contracts use native modules: the types of their calls and views in the words of a contract's interface.

| native type                          | packed as                      |
|--------------------------------------|--------------------------------|
| bool, str, bytes and names for them  | bool, str, bytes               |
| Address, Did                         | Address, Did                   |
| int and names for it, enums          | u64; a negative one is refused |
| GrainDays                            | u128                           |
| a tuple or list of any length        | List                           |
| a tuple of fixed length, a dataclass | struct                         |
| an optional                          | Option                         |
"""

from collections.abc import Mapping
from dataclasses import dataclass, is_dataclass
from enum import IntEnum
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Final, NewType, Union, get_args, get_origin, get_type_hints

from annotated_types import Len

from identity.address import Address
from identity.did import Did
from ledger.codec import DecodeError, Reader, from_plain, get_reader, to_plain
from ledger.primitives import GrainDays
from ledger.reasons import Reason, Rejected
from vm.contracts.abi import (
    LIST_ITEMS_MAX,
    AbiType,
    Bool,
    Bytes,
    Identifier,
    InvalidValueError,
    ListOf,
    Option,
    StructOf,
    Text,
    Unsigned,
    pack_values,
    unpack_values,
)
from vm.native.rules import CallRule, ModuleRule, ViewRule

REFUSED: Final = frozenset({("accounts", "set_policy")})
"""Calls that no contract makes: keys must never rule what its code is trusted to rule."""


@dataclass(frozen=True, slots=True)
class NativeCall:
    """A call that contracts may make."""

    module: str
    rule: CallRule
    types: tuple[AbiType, ...]
    read: Reader


@dataclass(frozen=True, slots=True)
class NativeView:
    """A view that contracts may ask."""

    rule: ViewRule
    types: tuple[AbiType, ...]
    result: AbiType


@dataclass(frozen=True, slots=True)
class Natives:
    """The native modules as contracts see them."""

    calls: Mapping[tuple[str, str], NativeCall]
    views: Mapping[tuple[str, str], NativeView]


class _UnpackableError(Exception):
    """A type has no packed form."""


@cache
def build_natives(modules: tuple[ModuleRule, ...]) -> Natives:
    """Calls and views whose types have a packed form, without those that are refused."""
    calls: dict[tuple[str, str], NativeCall] = {}
    views: dict[tuple[str, str], NativeView] = {}
    for module in modules:
        for rule in module.calls:
            name = module.name, rule.name
            kind = _describe(rule.arguments)
            if name not in REFUSED and isinstance(kind, StructOf):
                types = tuple(field for _, field in kind.fields)
                calls[name] = NativeCall(module.name, rule, types, get_reader(rule.arguments))
        for view in module.views:
            given = [_describe(kind) for _, kind in view.arguments]
            result = _describe(get_type_hints(view.answer, include_extras=True).get("return", Any))
            if result is not None and None not in given:
                views[module.name, view.name] = NativeView(view, tuple(each for each in given if each), result)
    return Natives(calls, views)


def unpack_call(natives: Natives, module: str, name: str, packed: bytes) -> tuple[NativeCall, Any]:
    """A native call and its arguments; raises Rejected."""
    call = natives.calls.get((module, name))
    if call is None:
        raise Rejected(Reason.UNKNOWN_CALL, f"a contract cannot call {module}.{name}")
    try:
        return call, call.read(unpack_values(call.types, packed))
    except (InvalidValueError, DecodeError) as error:
        raise Rejected(Reason.BAD_ARGUMENTS, str(error)) from None


def unpack_view(natives: Natives, module: str, name: str, packed: bytes) -> tuple[NativeView, list[Any]]:
    """A native view and its arguments; raises Rejected."""
    view = natives.views.get((module, name))
    if view is None:
        raise Rejected(Reason.UNKNOWN_CALL, f"a contract cannot ask {module}.{name}")
    try:
        plain = unpack_values(view.types, packed)
        return view, [from_plain(kind, each) for (_, kind), each in zip(view.rule.arguments, plain, strict=True)]
    except (InvalidValueError, DecodeError) as error:
        raise Rejected(Reason.BAD_ARGUMENTS, str(error)) from None


def pack_answer(view: NativeView, answer: Any) -> bytes:
    """A view's answer in packed form; raises Rejected when it is too large for one."""
    try:
        return pack_values((view.result,), [_to_values(answer)])
    except InvalidValueError as error:
        raise Rejected(Reason.HOST_LIMIT, str(error)) from None


def _to_values(answer: Any) -> Any:
    if isinstance(answer, IntEnum):
        return int(answer)
    if isinstance(answer, (list, tuple)):
        return [_to_values(each) for each in answer]
    if answer is None or isinstance(answer, (bool, int, str, bytes)):
        return answer
    return _to_values(to_plain(answer))


@cache
def _describe(hint: Any) -> AbiType | None:
    """The packed form of a declared type; None when it has none."""
    try:
        return _to_abi(hint, None)
    except _UnpackableError:
        return None


def _to_abi(hint: Any, items_max: int | None) -> AbiType:
    if hint is Address:
        return Identifier("Address")
    if hint is Did:
        return Identifier("Did")
    if hint is GrainDays:
        return Unsigned(128)
    if isinstance(hint, NewType):
        return _to_abi(hint.__supertype__, items_max)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        lengths = [each.max_length for each in arguments[1:] if isinstance(each, Len)]
        return _to_abi(arguments[0], lengths[0] if lengths else items_max)
    if origin in (Union, UnionType):
        rest = [each for each in arguments if each is not NoneType]
        if len(rest) != 1 or len(rest) == len(arguments):
            raise _UnpackableError
        return Option(_to_abi(rest[0], None))
    if (origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis) or origin is list:
        return ListOf(_to_abi(arguments[0], None), min(items_max or LIST_ITEMS_MAX, LIST_ITEMS_MAX))
    if origin is tuple:
        return StructOf("tuple", tuple((f"item_{index}", _to_abi(each, None)) for index, each in enumerate(arguments)))
    if isinstance(hint, type):
        if is_dataclass(hint):
            hints = get_type_hints(hint, include_extras=True)
            return StructOf(hint.__name__, tuple((name, _to_abi(each, None)) for name, each in hints.items()))
        if hint is bool:
            return Bool()
        if hint is int or issubclass(hint, IntEnum):
            return Unsigned(64)
        if hint is str:
            return Text()
        if hint is bytes:
            return Bytes()
    raise _UnpackableError
