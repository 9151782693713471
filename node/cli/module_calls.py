"""Calls of native modules by their schema: from words on the command line to what is shown and signed."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from node.cli.failures import CommandFailedError
from node.cli.sending import Intent
from rpc import calls

if TYPE_CHECKING:
    from identity.address import NetworkKind
    from node.cli.accounts import Keyring
    from node.cli.signing import ChainFacts
    from rpc.arguments import ArgumentType
    from rpc.client import Client
    from rpc.models import CallDescription, FieldView

ASSIGNMENTS_MAX: Final = 32
_NESTED: Final = ("list", "struct", "tuple", "any")
_YES_OR_NO: Final = {"true": True, "yes": True, "false": False, "no": False}
_IOV_UNIT: Final = re.compile(r"(.+?) ?IOV", re.IGNORECASE | re.ASCII)
_TEXTS_SHOWN_MAX: Final = 2_000  # characters of one argument before signing


def parse_assignments(assignments: Sequence[str]) -> dict[str, str]:
    """Values by name from NAME=VALUE; raises CommandFailedError."""
    if len(assignments) > ASSIGNMENTS_MAX:
        raise CommandFailedError(f"a call has at most {ASSIGNMENTS_MAX} arguments")
    given: dict[str, str] = {}
    for assignment in assignments:
        name, separator, value = assignment.partition("=")
        if not separator or not name:
            raise CommandFailedError(f"--arg {assignment!r}: write --arg NAME=VALUE")
        if name in given:
            raise CommandFailedError(f"--arg {name} is given twice")
        given[name] = value
    return given


def build_intent(
    client: "Client", facts: "ChainFacts", keyring: "Keyring", module: str, call: str, given: Mapping[str, str]
) -> Intent:
    """A call whose arguments are words, read by the types that the module declares; raises CommandFailedError."""
    description = find_call(client, module, call)
    arguments = read_arguments(description, given, keyring, facts.network)
    return _build(description, facts, module, arguments)


def build_known_intent(
    client: "Client", facts: "ChainFacts", module: str, call: str, arguments: Sequence[Any]
) -> Intent:
    """A call that a command of ours knows: arguments as JSON values in the call's order; raises CommandFailedError."""
    return _build(find_call(client, module, call), facts, module, list(arguments))


def find_call(client: "Client", module: str, call: str) -> "CallDescription":
    """What the node says about a call.

    Raises CommandFailedError when there is none, or when it is not the call this program knows by that name: what a
    node says about the order of arguments must not change what a person believes to sign.
    """
    from rpc.views import build_module_description
    from vm.native.registry import get_module

    described = client.run(calls.module_describe(module))
    found = next((each for each in described.calls if each.name == call), None)
    if found is None:
        names = ", ".join(each.name for each in described.calls) or "none"
        raise CommandFailedError(f"module {module} has no call {call!r}; it has: {names}")
    rule = get_module(module)
    if rule is not None:
        known = next((each for each in build_module_description(rule).calls if each.name == call), None)
        if known is not None and known.arguments != found.arguments:
            raise CommandFailedError(
                f"the node describes {module}.{call} otherwise than this program: use the version that the node runs"
            )
    return found


def read_arguments(
    description: "CallDescription", given: Mapping[str, str], keyring: "Keyring", network: "NetworkKind"
) -> dict[str, Any]:
    """JSON values by name; raises CommandFailedError that says what to write instead."""
    from pydantic.alias_generators import to_camel

    named = {name if "_" not in name else to_camel(name): value for name, value in given.items()}
    names = [field.name for field in description.arguments]
    unknown = sorted(named.keys() - set(names))
    if unknown:
        raise CommandFailedError(f"there is no argument {unknown[0]!r}; there are: {', '.join(names) or 'none'}")
    values: dict[str, Any] = {}
    for field in description.arguments:
        text = named.get(field.name)
        if text is not None:
            values[field.name] = _read_value(field, text, keyring, network)
        elif not field.optional:
            raise CommandFailedError(f"an argument is missing: say --arg {field.name}={describe_form(field)}")
    return values


def describe_form(field: "FieldView") -> str:
    """How to write a value of this type."""
    match field.type:
        case "address":
            return "ADDRESS"
        case "did":
            return "DID"
        case "grains":
            return "AMOUNTIOV"
        case "whole" | "integer":
            return "NUMBER"
        case "bytes":
            return "0x…"
        case "boolean":
            return "true|false"
        case "struct":
            return "{" + ", ".join(f'"{each.name}": {describe_form(each)}' for each in field.fields) + "}"
        case "list":
            return f"[{describe_form(field.items[0])}, …]"
        case "tuple":
            return "[" + ", ".join(describe_form(each) for each in field.items) + "]"
        case _:
            return "TEXT"


def describe_argument_type(field: "FieldView") -> "ArgumentType":
    """The type behind a field of a description."""
    from rpc.arguments import ArgumentType

    return ArgumentType(
        field.type,  # type: ignore[arg-type]  # the node's word for it; an unknown one is refused with its value
        is_optional=field.optional,
        items=tuple(describe_argument_type(each) for each in field.items),
        fields=tuple((each.name, describe_argument_type(each)) for each in field.fields),
    )


def _build(
    description: "CallDescription", facts: "ChainFacts", module: str, arguments: dict[str, Any] | list[Any]
) -> Intent:
    from ledger.transaction import Call
    from rpc.arguments import ArgumentError, arguments_from_json, arguments_to_json

    fields = [(field.name, describe_argument_type(field)) for field in description.arguments]
    try:
        plain = arguments_from_json(fields, arguments, facts.network)
    except ArgumentError as error:
        raise CommandFailedError(f"{module}.{description.name}: {error}") from None
    # shown from what will be signed, not from what was given
    named = arguments_to_json(fields, plain, facts.network)
    shown = {"call": f"{module}.{description.name}"}
    for field, value in zip(description.arguments, named.values() if isinstance(named, dict) else named, strict=True):
        shown[field.name] = _show(field, value)
    return Intent([Call(module, description.name, plain)], shown)


def _read_value(field: "FieldView", text: str, keyring: "Keyring", network: "NetworkKind") -> Any:
    from identity.address import format_address

    advice = f"--arg {field.name}: write {describe_form(field)}, not {text!r}"
    if field.optional and text == "null":
        return None
    if field.type == "address":
        return format_address(keyring.find_address(text, network), network)
    if field.type == "grains":
        return _read_grains(text)
    if field.type == "integer":
        if not re.fullmatch(r"-?[0-9]{1,16}", text, re.ASCII):
            raise CommandFailedError(advice)
        return int(text)
    if field.type == "boolean":
        if text.lower() not in _YES_OR_NO:
            raise CommandFailedError(advice)
        return _YES_OR_NO[text.lower()]
    if field.type in _NESTED:
        try:
            return json.loads(text)
        except json.JSONDecodeError:
            if field.type == "any":
                return text
            raise CommandFailedError(advice) from None
    return text


def _read_grains(text: str) -> str:
    from node.cli.amounts import parse_iov

    match = _IOV_UNIT.fullmatch(text)
    return str(parse_iov(match[1])) if match is not None else text


def _show(field: "FieldView", value: Any) -> str:
    if field.type == "grains" and value is not None:
        from node.cli.amounts import format_iov

        return f"{format_iov(int(value))} IOV"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _TEXTS_SHOWN_MAX else f"{text[:_TEXTS_SHOWN_MAX]}… ({len(text)} characters)"
