"""What the commands of `carlive did` build and sign: keys by name, control, signatures of several parties.

A party that is not here signs elsewhere: the payload goes out as a file, signatures come back as files.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from node.cli.failures import CommandFailedError, ExitCode
from rpc import calls

if TYPE_CHECKING:
    from identity.address import NetworkKind
    from identity.did import Did
    from identity.keys import PublicKey
    from identity.policy import KeyPolicy
    from node.cli.accounts import Keyring
    from node.cli.signing import ChainFacts
    from rpc.client import Client
    from vm.native.did_payloads import DidSignature
    from vm.native.did_records import Control, DidRecord, Service

PAYLOAD_FILE_BYTES_MAX: Final = 65_536
_PARTS_OF_SERVICE: Final = 3


@dataclass(frozen=True, slots=True)
class Signing:
    """Who signs an operation of an identity."""

    signers: tuple[str, ...]
    """[DID=]KEY: keys that are here, and in whose name; the identity's own when none is named."""
    signature_files: tuple[Path, ...]
    payload_file: Path | None
    """Where the payload goes for others to sign, instead of sending it."""


@dataclass(frozen=True, slots=True)
class ControlOptions:
    """Who is to rule an identity; None or empty: nobody in that part."""

    keys: tuple[str, ...]
    threshold: int
    agreement_keys: tuple[str, ...]
    controllers: tuple[str, ...]
    controllers_needed: int
    next_keys: tuple[str, ...]
    next_threshold: int
    recovery_keys: tuple[str, ...]
    recovery_threshold: int
    guardians: tuple[str, ...]
    guardians_needed: int


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation before it is signed."""

    call: str
    payload: Any
    did: "Did"
    """In whose name a key signs that names nobody."""


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


def build_control(options: ControlOptions, keyring: "Keyring", network: "NetworkKind") -> "Control":
    """Who rules an identity, as the options say; raises CommandFailedError."""
    from vm.native.did_records import Control, Controllers, DidKeys, Guardians, compute_commitment

    policy = build_key_policy(options.keys, options.threshold, keyring, network)
    agreement_keys = tuple(sorted(_parse_hex_key(text) for text in options.agreement_keys))
    controllers = _parse_dids(options.controllers, network)
    guardians = _parse_dids(options.guardians, network)
    next_policy = build_key_policy(options.next_keys, options.next_threshold, keyring, network)
    recovery_policy = build_key_policy(options.recovery_keys, options.recovery_threshold, keyring, network)
    return Control(
        DidKeys(policy, agreement_keys),
        Controllers(controllers, options.controllers_needed) if controllers else None,
        None if next_policy is None else compute_commitment(next_policy),
        None if recovery_policy is None else compute_commitment(recovery_policy),
        Guardians(guardians, options.guardians_needed) if guardians else None,
    )


def build_key_policy(
    names: Sequence[str], threshold: int, keyring: "Keyring", network: "NetworkKind"
) -> "KeyPolicy | None":
    """Keys of these names, each of weight 1; None for no keys. Raises CommandFailedError."""
    from identity.policy import InvalidPolicyError, build_policy

    if not names:
        return None
    try:
        return build_policy([(find_public_key(name, keyring, network), 1) for name in names], threshold)
    except InvalidPolicyError as error:
        raise CommandFailedError(f"these keys cannot rule an identity: {error}") from None


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
        return PublicKey(KeyType[kind.upper()], _parse_hex_key(digits))
    if (account := find_development_account(text)) is not None and network is NetworkKind.DEVNET:
        return account.key.public_key
    listing = next((each for each in list_key_files(keyring.directory) if each.name == text), None)
    if listing is None or listing.public_key is None:
        raise CommandFailedError(
            f"there is no readable key {text} in {keyring.directory}: see carlive keys list, or write TYPE:0x…"
        )
    return listing.public_key


def parse_services(texts: Sequence[str]) -> "tuple[Service, ...]":
    """Services from NAME=TYPE=URI, in the order the chain wants; raises CommandFailedError."""
    from vm.native.did_records import Service
    from vm.native.did_rules import is_normal_uri

    services = []
    for text in texts:
        parts = text.split("=", _PARTS_OF_SERVICE - 1)
        if len(parts) != _PARTS_OF_SERVICE:
            raise CommandFailedError(
                f"--service {text!r}: write NAME=TYPE=URI, for instance mail=Mail=mailto:me@a.example"
            )
        if not is_normal_uri(parts[2]):
            raise CommandFailedError(
                f"--service: {parts[2]!r} is not a URI in its normal form: scheme and host in lower case, "
                "a path after the host (https://a.example/), no default port"
            )
        services.append(Service(*parts))
    return tuple(sorted(services, key=lambda each: each.name))


def collect_signatures(
    operation: Operation, signing: Signing, keyring: "Keyring", facts: "ChainFacts"
) -> "list[DidSignature]":
    """Signatures of the keys that are here and of the files; raises CommandFailedError, KeyFileError."""
    signatures = []
    for text in dict.fromkeys(signing.signers):
        did_text, separator, name = text.rpartition("=")
        did = parse_did_text(did_text, facts.network) if separator else operation.did
        signatures.append(sign_payload(operation, did, name, keyring, facts))
    signatures += [_read_signature(path, facts.network) for path in signing.signature_files]
    if not signatures:
        raise CommandFailedError(
            "nobody signs this: say --by [DID=]KEY, or --payload-out FILE to have it signed elsewhere"
        )
    return signatures


def sign_payload(
    operation: Operation, did: "Did", name: str, keyring: "Keyring", facts: "ChainFacts"
) -> "DidSignature":
    """A key's signature in the name of an identity."""
    from identity.signing import signing_bytes
    from ledger.codec import encode
    from ledger.primitives import Signature
    from vm.native.did import SIGNED_CALLS
    from vm.native.did_payloads import DidSignature

    key = keyring.load(name, facts.network)
    purpose = SIGNED_CALLS[operation.call].purpose
    signature = key.sign(signing_bytes(purpose, facts.domain, encode(operation.payload)))
    return DidSignature(did, key.key_type, key.public_key.key, Signature(signature))


def write_payload(operation: Operation, path: Path, facts: "ChainFacts") -> dict[str, str]:
    """Save what others are to sign; it says for whom and on which chain."""
    from identity.did import format_did
    from ledger.codec import encode

    record = {
        "chain": facts.chain_id,
        "did": format_did(operation.did, facts.network),
        "operation": operation.call,
        "payload": "0x" + encode(operation.payload).hex(),
    }
    path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return record


def read_payload(path: Path, facts: "ChainFacts") -> Operation:
    """An operation that somebody else has prepared; raises CommandFailedError."""
    from ledger.codec import DecodeError, decode
    from vm.native.did import SIGNED_CALLS

    record = _read_json(path)
    try:
        call = record["operation"]
        payload: Any = decode(SIGNED_CALLS[call].payload, bytes.fromhex(record["payload"].removeprefix("0x")))
        did, chain = parse_did_text(record["did"], facts.network), record["chain"]
    except (KeyError, TypeError, AttributeError, ValueError, DecodeError):
        raise CommandFailedError(f"{path} is not a payload of carlive did --payload-out") from None
    if chain != facts.chain_id:
        raise CommandFailedError(f"{path} is for the chain {chain}, this node is on {facts.chain_id}")
    if call != "create" and payload.did != did:
        raise CommandFailedError(f"{path} names another identity than its payload")
    return Operation(call, payload, did)


def signature_to_json(signature: "DidSignature", network: "NetworkKind") -> dict[str, str]:
    """As a file that --signature takes."""
    from identity.did import format_did

    return {
        "did": format_did(signature.did, network),
        "keyType": signature.key_type.name.lower(),
        "key": "0x" + signature.key.hex(),
        "signature": "0x" + signature.signature.hex(),
    }


def describe_payload(payload: Any, network: "NetworkKind") -> dict[str, Any]:
    """All of a payload by name, as a person reads it before signing: from what will be signed, not from options."""
    from ledger.codec import to_plain
    from rpc.arguments import arguments_to_json, describe_fields

    kind: type = type(payload)
    named = arguments_to_json(describe_fields(kind), to_plain(payload), network)
    assert isinstance(named, dict), "the fields are known"
    return {name: value for name, value in named.items() if value not in (None, [], "0x")}


def _read_signature(path: Path, network: "NetworkKind") -> "DidSignature":
    from identity.keys import KeyType
    from ledger.primitives import Signature
    from vm.native.did_payloads import DidSignature

    record = _read_json(path)
    try:
        key, signature = (bytes.fromhex(record[name].removeprefix("0x")) for name in ("key", "signature"))
        kind = KeyType[record["keyType"].upper()]
        did = parse_did_text(record["did"], network)
    except (KeyError, TypeError, AttributeError, ValueError):
        raise CommandFailedError(f"{path} is not a signature of carlive did sign") from None
    return DidSignature(did, kind, key, Signature(signature))


def _read_json(path: Path) -> Any:
    with path.open("rb") as file:
        text = file.read(PAYLOAD_FILE_BYTES_MAX + 1)
    if len(text) > PAYLOAD_FILE_BYTES_MAX:
        raise CommandFailedError(f"{path} is too large for a payload or signature")
    try:
        return json.loads(text)
    except ValueError:
        raise CommandFailedError(f"{path} is not JSON") from None


def _parse_dids(texts: Sequence[str], network: "NetworkKind") -> "tuple[Did, ...]":
    return tuple(sorted(dict.fromkeys(parse_did_text(text, network) for text in texts)))


def _parse_hex_key(text: str) -> bytes:
    try:
        if not text.startswith("0x"):
            raise ValueError
        return bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        raise CommandFailedError(f"{text!r} is not a public key: write 0x and hexadecimal digits") from None
