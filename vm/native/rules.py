"""How a native module is described: one table names every call, event and view; RPC, CLI and wallets read the same."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ledger.state import State
from vm.context import Context


@dataclass(frozen=True, slots=True)
class CallRule:
    """A call: its name in transactions, the dataclass of its arguments, what it does and what it costs."""

    name: str
    arguments: type
    apply: Callable[[State, Context, Any], None]
    compute_gas: Callable[[Any], int]
    gas: str
    """The same as `compute_gas`, in words for people."""


@dataclass(frozen=True, slots=True)
class EventRule:
    """An event: the dataclass whose fields it carries in order."""

    fields: type


@dataclass(frozen=True, slots=True)
class ViewRule:
    """A question that changes nothing: argument names and types, and the function that answers.

    It is given the state, the moment of that state, and the arguments; it answers in plain values or dataclasses.
    """

    name: str
    arguments: tuple[tuple[str, Any], ...]
    answer: Callable[..., Any]


@dataclass(frozen=True, slots=True)
class ModuleRule:
    """A native module."""

    name: str
    summary: str
    calls: tuple[CallRule, ...]
    events: tuple[EventRule, ...]
    views: tuple[ViewRule, ...]
