"""From a payload to a call that is sent: keys of identities sign it, here or elsewhere, for every command alike.

A party that is not here signs elsewhere: the payload goes out as a file, signatures come back as files, and whoever has
all of them sends it. Which calls there are stands in did_signed_calls.py.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from enum import IntEnum
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from node.cli.connection import connect, read_chain_facts
from node.cli.created import describe_created
from node.cli.failures import CommandFailedError, ExitCode, explain_failure
from node.cli.limited_files import read_limited
from node.cli.sending import Intent, Sending, deliver, show_sent
from rpc import calls

if TYPE_CHECKING:
    from identity.address import NetworkKind
    from identity.did import Did
    from identity.keys import PublicKey
    from node.cli.accounts import Keyring
    from node.cli.signing import ChainFacts
    from rpc.client import Client
    from rpc.errors import RpcError
    from vm.native.did_payloads import DidSignature
    from vm.native.did_records import DidRecord

JSON_FILE_BYTES_MAX: Final = 65_536  # the longest payload fits many times
STALE_REASONS: Final = frozenset(
    {
        "DID_VERSION_STALE",
        "ATTRIBUTE_SEQUENCE",
        "VEHICLE_TURN_STALE",
        "PLATFORM_TURN_STALE",
        "ROLE_STALE",
        "DISTRIBUTION_ROOT_NUMBER",
        "DISTRIBUTION_TURN_STALE",
        "MINING_WEIGHT_STALE",
    }
)
SIGNER_REASONS: Final = frozenset({"DID_UNKNOWN_KEY", "DID_FOREIGN_SIGNER", "DID_NOT_AUTHORISED"})


@dataclass(frozen=True, slots=True)
class Signing:
    """Who signs an operation of identities."""

    signers: tuple[str, ...]
    """[DID=]KEY: keys that are here, and in whose name; the operation's signer when none is named."""
    payload_file: Path | None = None
    """Where the payload goes for others to sign, instead of sending it."""
    own_keys: tuple[str, ...] = ()
    """Keys of the identity that the operation is about, which sign in its name whoever rules it."""


@dataclass(frozen=True, slots=True)
class Operation:
    """A call before it is signed."""

    call: str
    """Its name in SIGNED_CALLS."""
    payload: Any
    signer: "Did"
    """In whose name a key signs that names nobody."""
    more: tuple[Any, ...] = ()
    """What the call holds between payload and signatures."""


Prepare = Callable[["Client", "ChainFacts"], Operation]
"""Makes the operation once the chain is known; may ask the node."""


def send_operation(
    prepare: Prepare, signing: Signing, sending: Sending, about: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Sign for identities and send, or save what others are to sign; `about` is shown with the result."""
    with connect(sending.node_url) as client:
        facts = read_chain_facts(client)
        operation = prepare(client, facts)
        if signing.payload_file is not None:
            sending.output.show_record({**write_payload(operation, signing.payload_file, facts), **about})
            return
        signatures = collect_signatures(operation, signing, sending.keyring, facts)
        deliver_operation(client, facts, operation, signatures, sending, about)


def deliver_operation(
    client: "Client",
    facts: "ChainFacts",
    operation: Operation,
    signatures: "Sequence[DidSignature]",
    sending: Sending,
    about: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Send what is signed; raises CommandFailedError."""
    from identity.did import format_did
    from ledger.codec import to_plain
    from ledger.transaction import Call
    from node.cli.did_signed_calls import SIGNED_CALLS
    from rpc.errors import RpcError

    if not signatures:
        raise CommandFailedError(
            "nobody signs this: say --by [DID=]KEY, or --payload-out FILE to have it signed elsewhere"
        )
    row = SIGNED_CALLS[operation.call]
    arguments = row.rule.arguments(operation.payload, *operation.more, tuple(signatures))
    signers = dict.fromkeys(format_did(each.did, facts.network) for each in signatures)
    shown = {**describe_operation(client, facts, operation), "signedBy": ", ".join(signers)}
    intent = Intent([Call(row.module, row.call, to_plain(arguments))], shown)
    try:
        result = deliver(client, facts, intent, sending)
    except RpcError as error:
        raise _advise(error, row.signers) from None
    show_sent(
        result,
        sending.options.wait,
        sending.output,
        {
            "did": format_did(get_subject(operation), facts.network),
            **about,
            **describe_created(client, intent.calls, result),
        },
    )


def _advise(error: "RpcError", signers: str) -> CommandFailedError:
    """What the node refused, and what to do about signatures that do not do."""
    failure = explain_failure(error)
    assert failure is not None, "a node's answer is explained"
    if error.reason in STALE_REASONS:
        advice = "; what was signed is out of date: make it anew"
    elif error.reason in SIGNER_REASONS:
        advice = f"; who has to sign: {signers}"
    else:
        return failure
    return CommandFailedError(f"{failure}{advice}", failure.code, failure.facts)


# Identities and keys


def parse_did_text(text: str, network: "NetworkKind") -> "Did":
    """An identity of this network; raises CommandFailedError."""
    from identity.did import InvalidDidError, parse_did

    try:
        return parse_did(text, network)
    except InvalidDidError as error:
        raise CommandFailedError(str(error)) from None


def fetch_record(client: "Client", facts: "ChainFacts", did: "Did") -> "DidRecord":
    """An identity as the node knows it; raises CommandFailedError."""
    from identity.did import format_did
    from ledger.codec import from_plain
    from rpc.arguments import arguments_from_json, describe_fields
    from vm.native.did_records import DidRecord

    text = format_did(did, facts.network)
    value = client.run(calls.module_view("did", "did", {"did": text})).value
    if value is None:
        raise CommandFailedError(f"there is no identity {text}", ExitCode.FAILED)
    return from_plain(DidRecord, arguments_from_json(describe_fields(DidRecord), value, facts.network))


def find_signer(client: "Client", facts: "ChainFacts", did: "Did") -> "Did":
    """Whose keys agree for an identity: its owner's or sole controller's, or theirs. Raises CommandFailedError."""
    from vm.native.did_control import CONTROL_DEPTH_MAX, get_authority
    from vm.native.did_records import Controllers

    for _ in range(CONTROL_DEPTH_MAX):
        authority = get_authority(fetch_record(client, facts, did).current.content)
        if not isinstance(authority, Controllers) or len(authority.dids) != 1:
            break
        (did,) = authority.dids
    return did


def find_public_key(text: str, keyring: "Keyring", network: "NetworkKind") -> "PublicKey":
    """A key by its name, or TYPE:0x… for one that is kept elsewhere; no password is asked for."""
    from identity.address import NetworkKind
    from identity.keys import KeyType, PublicKey
    from node.cli.accounts import find_development_account
    from node.key_files import list_key_files

    kind, separator, digits = text.partition(":")
    if separator:
        if kind.upper() not in KeyType.__members__:
            raise CommandFailedError(f"{text!r}: write TYPE:0x…, with one of the types ed25519, secp256k1, p256")
        return PublicKey(KeyType[kind.upper()], parse_hex_key(digits))
    if (account := find_development_account(text)) is not None and network is NetworkKind.DEVNET:
        return account.key.public_key
    listing = next((each for each in list_key_files(keyring.directory) if each.name == text), None)
    if listing is None or listing.public_key is None:
        raise CommandFailedError(
            f"there is no readable key {text} in {keyring.directory}: see carlive keys list, or write TYPE:0x…"
        )
    return listing.public_key


def parse_hex_key(text: str) -> bytes:
    """The bytes of a public key; raises CommandFailedError."""
    try:
        if not text.startswith("0x"):
            raise ValueError
        return bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        raise CommandFailedError(f"{text!r} is not a public key: write 0x and hexadecimal digits") from None


def get_subject(operation: Operation) -> "Did":
    """The identity that an operation is about: a payload's first field, or else the signer.

    A new identity is the hash of its payload.
    """
    from identity.did import Did, compute_did
    from ledger.codec import encode
    from vm.native.did_payloads import CreatePayload
    from vm.native.registry import list_fields

    payload = operation.payload
    if isinstance(payload, CreatePayload):
        return compute_did(encode(payload))
    name, kind = list_fields(type(payload))[0]
    subject: Did = getattr(payload, name) if kind is Did else operation.signer
    return subject


# Signatures


def collect_signatures(
    operation: Operation, signing: Signing, keyring: "Keyring", facts: "ChainFacts"
) -> "list[DidSignature]":
    """Signatures of the keys that are here; raises CommandFailedError, KeyFileError."""
    signatures = []
    for text in dict.fromkeys(signing.signers):
        did_text, separator, name = text.rpartition("=")
        did = parse_did_text(did_text, facts.network) if separator else operation.signer
        signatures.append(sign_payload(operation, did, name, keyring, facts))
    subject = get_subject(operation)
    signatures += [sign_payload(operation, subject, name, keyring, facts) for name in dict.fromkeys(signing.own_keys)]
    return list(dict.fromkeys(signatures))


def sign_payload(
    operation: Operation, did: "Did", name: str, keyring: "Keyring", facts: "ChainFacts"
) -> "DidSignature":
    """A key's signature in the name of an identity."""
    from ledger.primitives import Signature
    from vm.native.did_payloads import DidSignature

    key = keyring.load(name, facts.network)
    signature = key.sign(compute_message(operation.call, operation.payload, facts))
    return DidSignature(did, key.key_type, key.public_key.key, Signature(signature))


def compute_message(call: str, payload: Any, facts: "ChainFacts") -> bytes:
    """The bytes that keys sign."""
    from identity.signing import signing_bytes
    from ledger.codec import encode
    from node.cli.did_signed_calls import SIGNED_CALLS

    return signing_bytes(SIGNED_CALLS[call].rule.purpose, facts.domain, encode(payload))


def describe_operation(client: "Client", facts: "ChainFacts", operation: Operation) -> dict[str, str]:
    """All of it by name, as a person reads it before signing: from what will be signed, not from options."""
    from node.cli.attribute_requests import describe_answered_request
    from node.cli.did_control import describe_control

    shown = {"call": operation.call, **describe_payload(operation.payload, facts.network)}
    if "control" in shown:
        del shown["control"]
        shown |= describe_control(operation.payload.control, facts.network)
    shown |= describe_answered_request(client, facts, operation.payload)
    return {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in shown.items()
        if value is not None
    }


def describe_payload(payload: Any, network: "NetworkKind") -> dict[str, Any]:
    """The fields of a payload as JSON, without those that say nothing, and with words for what has a name."""
    from ledger.codec import to_plain
    from rpc.arguments import arguments_to_json, describe_fields

    kind: type = type(payload)
    named = _name_enums(payload, arguments_to_json(describe_fields(kind), to_plain(payload), network))
    assert isinstance(named, dict), "the fields are known"
    return {name: value for name, value in named.items() if value not in (None, [], "0x")}


def _name_enums(value: Any, shown: Any) -> Any:
    """JSON of a value with the names of its enums in place of their numbers."""
    if isinstance(value, IntEnum):
        return value.name.lower().replace("_", " ")
    if isinstance(value, tuple):
        return [_name_enums(*each) for each in zip(value, shown, strict=True)]
    if is_dataclass(value):
        inner = [getattr(value, field.name) for field in fields(value)]
        return {name: _name_enums(each, shown[name]) for name, each in zip(shown, inner, strict=True)}
    return shown


# Files for others


def write_payload(operation: Operation, path: Path, facts: "ChainFacts") -> dict[str, str]:
    """Save what others are to sign and somebody sends then; what a person should know about the file."""
    from identity.did import format_did
    from ledger.codec import encode
    from node.cli.did_signed_calls import SIGNED_CALLS

    about = {
        "chain": facts.chain_id,
        "call": operation.call,
        "did": format_did(get_subject(operation), facts.network),
        "signer": format_did(operation.signer, facts.network),
    }
    signed = {
        "payload": "0x" + encode(operation.payload).hex(),
        "more": ["0x" + encode(each).hex() for each in operation.more],
    }
    path.write_text(json.dumps({**about, **signed}, indent=2) + "\n", encoding="utf-8")
    return {**about, "toBeSignedBy": SIGNED_CALLS[operation.call].signers, "file": str(path)}


def read_payload(path: Path, facts: "ChainFacts") -> Operation:
    """An operation that somebody else has prepared; raises CommandFailedError."""
    from ledger.codec import DecodeError, decode
    from node.cli.did_signed_calls import SIGNED_CALLS

    record = read_json_file(path)
    try:
        row, chain = SIGNED_CALLS[record["call"]], record["chain"]
        payload: Any = decode(row.rule.payload, _parse_hex(record["payload"]))
        more = [decode(*each) for each in zip(row.list_more_types(), map(_parse_hex, record["more"]), strict=True)]
        did, signer = (parse_did_text(record[name], facts.network) for name in ("did", "signer"))
    except (KeyError, TypeError, AttributeError, ValueError, DecodeError):
        raise CommandFailedError(f"{path} is not a payload that --payload-out has written") from None
    if chain != facts.chain_id:
        raise CommandFailedError(f"{path} is for the chain {chain}, this node is on {facts.chain_id}")
    operation = Operation(row.name, payload, signer, tuple(more))
    if get_subject(operation) != did:
        raise CommandFailedError(f"{path} names another identity than its payload")
    return operation


def signature_to_json(signature: "DidSignature", network: "NetworkKind") -> dict[str, str]:
    """As a file that --signature takes."""
    from identity.did import format_did

    return {
        "did": format_did(signature.did, network),
        "keyType": signature.key_type.name.lower(),
        "key": "0x" + signature.key.hex(),
        "signature": "0x" + signature.signature.hex(),
    }


def read_signature(path: Path, network: "NetworkKind") -> "DidSignature":
    """What somebody else has signed; raises CommandFailedError."""
    record = read_json_file(path)
    try:
        return parse_signature(record, network)
    except (KeyError, TypeError, AttributeError, ValueError):
        raise CommandFailedError(f"{path} is not a signature of carlive did sign") from None


def parse_signature(record: Any, network: "NetworkKind") -> "DidSignature":
    """As signature_to_json gives it; raises KeyError, TypeError, AttributeError, ValueError, CommandFailedError."""
    from identity.keys import KeyType
    from ledger.primitives import Signature
    from vm.native.did_payloads import DidSignature

    key, signature = (_parse_hex(record[name]) for name in ("key", "signature"))
    kind = KeyType[record["keyType"].upper()]
    return DidSignature(parse_did_text(record["did"], network), kind, key, Signature(signature))


def _parse_hex(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


def read_json_file(path: Path) -> Any:
    """What somebody else may have written; raises CommandFailedError."""
    try:
        return json.loads(read_limited(path, JSON_FILE_BYTES_MAX))
    except (ValueError, RecursionError):
        raise CommandFailedError(f"{path} is not JSON") from None
