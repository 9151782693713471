"""What the commands of `carlive role` and `carlive growth` sign with keys of identities, and send."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import click

from node.cli.connection import connect, read_chain_facts
from node.cli.did_signing import Operation, describe_payload, parse_did_text
from node.cli.sending import Intent, Sending, deliver, show_sent

if TYPE_CHECKING:
    from node.cli.signing import ChainFacts
    from rpc.client import Client
    from vm.native.did import SignedCall
    from vm.native.did_payloads import DidSignature

Prepare = Callable[["Client", "ChainFacts"], Operation]
"""Makes the operation once the chain is known; may ask the node."""

by_option: Final = click.option(
    "--by",
    "signers",
    multiple=True,
    required=True,
    metavar="[DID=]KEY",
    help="Key that signs, and the identity in whose name.  [default: the one that acts]",
)


def send_signed(module: str, prepare: Prepare, signers: tuple[str, ...], sending: Sending) -> None:
    """Sign a call of a module in the name of identities, and send it."""
    from identity.did import format_did
    from ledger.codec import to_plain
    from ledger.transaction import Call

    with connect(sending.node_url) as client:
        facts = read_chain_facts(client)
        operation = prepare(client, facts)
        rule = _find_rule(module, operation.call)
        signatures = tuple(_sign(operation, rule, each, sending, facts) for each in dict.fromkeys(signers))
        arguments = rule.arguments(operation.payload, signatures)
        shown = {
            name: value if isinstance(value, str) else json.dumps(value)
            for name, value in describe_payload(operation.payload, facts.network).items()
        }
        calls = [Call(module, operation.call, to_plain(arguments))]
        result = deliver(client, facts, Intent(calls, {"call": f"{module}.{operation.call}", **shown}), sending)
        about = {"did": format_did(operation.payload.did, facts.network)}
    show_sent(result, sending.options.wait, sending.output, about)


def _find_rule(module: str, call: str) -> "SignedCall":
    from identity.signing import SigningPurpose
    from vm.native import growth, growth_records, roles
    from vm.native.did import SignedCall

    return {
        ("roles", "grant"): SignedCall(roles.GrantRole, roles.GrantPayload, SigningPurpose.ROLE_GRANT),
        ("roles", "revoke"): SignedCall(roles.RevokeRole, roles.EndPayload, SigningPurpose.ROLE_REVOKE),
        ("roles", "renounce"): SignedCall(roles.RenounceRole, roles.EndPayload, SigningPurpose.ROLE_RENOUNCE),
        ("growth", "report"): SignedCall(growth.Report, growth_records.ReportPayload, SigningPurpose.GROWTH_REPORT),
    }[module, call]


def _sign(
    operation: Operation, rule: "SignedCall", signer: str, sending: Sending, facts: "ChainFacts"
) -> "DidSignature":
    """A key's signature in the name of an identity; raises CommandFailedError, KeyFileError."""
    from identity.signing import signing_bytes
    from ledger.codec import encode
    from ledger.primitives import Signature
    from vm.native.did_payloads import DidSignature

    did_text, separator, name = signer.rpartition("=")
    did = parse_did_text(did_text, facts.network) if separator else operation.did
    key = sending.keyring.load(name, facts.network)
    message = signing_bytes(rule.purpose, facts.domain, encode(operation.payload))
    return DidSignature(did, key.key_type, key.public_key.key, Signature(key.sign(message)))
