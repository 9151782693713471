"""The explicit table of native modules, and what wallets and tools may ask about it."""

from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any, Final, get_type_hints

from ledger.codec import DecodeError, Reader, from_plain, get_reader
from ledger.reasons import Reason, Rejected
from ledger.state import StateReader
from vm.context import Moment
from vm.native import (
    acceptors,
    accounts,
    ads,
    attributes,
    contracts,
    credentials,
    did,
    distribution,
    dividends,
    gifts,
    governance,
    growth,
    iov,
    lockups,
    mining,
    network_calls,
    platforms,
    roles,
    sale,
    staking,
    vehicles,
)
from vm.native.role_table import ROLES_NEEDED
from vm.native.rules import CallRule, ModuleRule

MODULES: Final = MappingProxyType(
    {
        module.name: module
        for module in (
            accounts.MODULE,
            iov.MODULE,
            network_calls.MODULE,
            staking.MODULE,
            governance.MODULE,
            contracts.MODULE,
            did.MODULE,
            attributes.MODULE,
            vehicles.MODULE,
            platforms.MODULE,
            roles.MODULE,
            credentials.MODULE,
            growth.MODULE,
            distribution.MODULE,
            lockups.MODULE,
            sale.MODULE,
            gifts.MODULE,
            acceptors.MODULE,
            mining.MODULE,
            ads.MODULE,
            dividends.MODULE,
        )
    }
)


@dataclass(frozen=True, slots=True)
class ReadyCall:
    """A call rule with the reader of its arguments at hand."""

    rule: CallRule
    read_arguments: Reader


CALLS: Final = MappingProxyType(
    {
        (module.name, rule.name): ReadyCall(rule, get_reader(rule.arguments))
        for module in MODULES.values()
        for rule in module.calls
    }
)

assert CALLS.keys() == ROLES_NEEDED.keys(), "every call states the role it needs"


def find_call(module: str, call: str) -> ReadyCall:
    """The call of that name; raises Rejected."""
    ready = CALLS.get((module, call))
    if ready is None:
        reason = Reason.UNKNOWN_CALL if module in MODULES else Reason.UNKNOWN_MODULE
        raise Rejected(reason, f"there is no call {module}.{call}")
    return ready


def answer_view(state: StateReader, moment: Moment, module: str, view: str, arguments: list[Any]) -> Any:
    """Answer a module's view; raises Rejected for unknown names and wrong arguments."""
    if module not in MODULES:
        raise Rejected(Reason.UNKNOWN_MODULE, f"there is no module {module}")
    rule = next((rule for rule in MODULES[module].views if rule.name == view), None)
    if rule is None:
        raise Rejected(Reason.UNKNOWN_CALL, f"there is no view {module}.{view}")
    if len(arguments) != len(rule.arguments):
        raise Rejected(Reason.BAD_ARGUMENTS, f"{module}.{view} takes {len(rule.arguments)} arguments")
    try:
        typed = [from_plain(kind, plain) for (_, kind), plain in zip(rule.arguments, arguments, strict=True)]
    except DecodeError as error:
        raise Rejected(Reason.BAD_ARGUMENTS, str(error)) from None
    return rule.answer(state, moment, *typed)


def get_module(name: str) -> ModuleRule | None:
    """The module of that name."""
    return MODULES.get(name)


def list_fields(kind: type) -> list[tuple[str, Any]]:
    """Names and types of a dataclass's fields, in the order they are encoded."""
    hints = get_type_hints(kind, include_extras=True)
    return [(field.name, hints[field.name]) for field in fields(kind)]
