"""Arguments of contracts on the command line: words, read by the types that the interface declares."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from node.cli.failures import CommandFailedError

if TYPE_CHECKING:
    from identity.address import NetworkKind
    from node.cli.accounts import Keyring
    from rpc.contract_values import NamedTypes
    from vm.contracts.abi import AbiType

_YES_OR_NO: Final = {"true": True, "yes": True, "false": False, "no": False}
NOTHING: Final = "null"
"""An option that is absent."""


def pack_words(
    method: str, fields: "NamedTypes", words: Sequence[str], keyring: "Keyring", network: "NetworkKind"
) -> bytes:
    """Packed arguments of a method, one word each; raises CommandFailedError that says what is wanted."""
    from rpc.arguments import ArgumentError
    from rpc.contract_values import describe_type, pack_from_json

    if len(words) != len(fields):
        wanted = ", ".join(f"{name}: {describe_type(kind)}" for name, kind in fields) or "none"
        raise CommandFailedError(f"{method} takes {_count(len(fields))}, not {len(words)}: {wanted}")
    values = [
        _read_word(f"{method}, {name}", kind, word, keyring, network)
        for (name, kind), word in zip(fields, words, strict=True)
    ]
    try:
        return pack_from_json(fields, values, network)
    except ArgumentError as error:
        raise CommandFailedError(f"{method}, {error}") from None


def _read_word(where: str, kind: "AbiType", word: str, keyring: "Keyring", network: "NetworkKind") -> Any:
    """A JSON value. Accounts may be key names; lists and structs are JSON text."""
    from identity.address import format_address
    from rpc.contract_values import describe_type
    from vm.contracts.abi import Bool, Identifier, ListOf, Option, StructOf

    match kind:
        case Option(item):
            return None if word == NOTHING else _read_word(where, item, word, keyring, network)
        case Identifier("Address"):
            return format_address(keyring.find_address(word, network), network)
        case Bool():
            if word.lower() not in _YES_OR_NO:
                raise CommandFailedError(f"{where}: expected {describe_type(kind)}, not {word!r}")
            return _YES_OR_NO[word.lower()]
        case ListOf() | StructOf():
            try:
                return json.loads(word)
            except json.JSONDecodeError:
                raise CommandFailedError(
                    f"{where}: expected {describe_type(kind)} as JSON, in quotes, not {word!r}"
                ) from None
        case _:
            return word


def _count(arguments: int) -> str:
    return "1 argument" if arguments == 1 else f"{arguments} arguments"
