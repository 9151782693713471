"""`carlive gift`: tips with a message, and gifts that whoever has the link may claim.

A link is a file with a secret key and the giver: who has it, has the gift. It is written before the gift is sent, so
that no gift waits for a key that nobody has.
"""

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from node.cli.connection import connect, node_option, read_chain_facts
from node.cli.created import NEXT
from node.cli.did_signing import parse_did_text, read_json_file
from node.cli.failures import CommandFailedError
from node.cli.group import SuggestingGroup
from node.cli.module_calls import build_known_intent
from node.cli.output import Output, output_option
from node.cli.query_commands import format_grains, format_time
from node.cli.sending import Intent, Sending, deliver, send_intent, sending_options, show_sent
from rpc import calls

if TYPE_CHECKING:
    from identity.address import Address
    from identity.keys import PrivateKey
    from node.cli.signing import ChainFacts
    from rpc.client import Client

MODULE: Final = "gifts"
LINKS_MAX: Final = 200
DAYS_MAX: Final = 365
SEED_BYTES: Final = 32
_DAY_MS: Final = 86_400_000

_link_argument = click.argument(
    "link_file", metavar="LINK", type=click.Path(path_type=Path, dir_okay=False, exists=True)
)
_amount_option = click.option(
    "--amount", required=True, metavar="IOV", help="IOV with up to 8 decimals, for instance 1.5."
)
_message_option = click.option("--message", default="", help="What it is for; everybody reads it.")


@dataclass(frozen=True, slots=True)
class Link:
    """What whoever has it needs to claim a gift."""

    key: "PrivateKey"
    giver: "Address"

    def format_name(self, facts: "ChainFacts") -> dict[str, str]:
        """Under which the gift waits, in the order of the calls' first arguments."""
        from identity.address import format_address

        claim_key = "0x" + self.key.public_key.key.hex()
        return {"claim_key": claim_key, "giver": format_address(self.giver, facts.network)}


@click.group(cls=SuggestingGroup)
def gift() -> None:
    """Give coins with a message, or by a link that is claimed later."""


@gift.command()
@click.option("--to", "recipient", required=True, metavar="ADDRESS|DID", help="Address, key name or identity.")
@_amount_option
@_message_option
@sending_options
def send(recipient: str, amount: str, message: str, sending: Sending) -> None:
    """Give coins to an account, or to the account of an identity, with a message."""
    from identity.address import format_address
    from identity.did import format_did
    from node.cli.amounts import parse_iov

    grains = str(parse_iov(amount))

    def build(client: "Client", facts: "ChainFacts") -> Intent:
        if recipient.startswith("did:"):
            did = format_did(parse_did_text(recipient, facts.network), facts.network)
            return build_known_intent(client, facts, MODULE, "tip_did", [did, grains, message])
        address = format_address(sending.keyring.find_address(recipient, facts.network), facts.network)
        return build_known_intent(client, facts, MODULE, "tip", [address, grains, message])

    send_intent(build, sending)


@gift.command()
@_amount_option
@click.option("--count", type=click.IntRange(1, LINKS_MAX), default=1, show_default=True, help="How many such gifts.")
@click.option(
    "--days", type=click.IntRange(1, DAYS_MAX), default=30, show_default=True, help="For how long they are claimed."
)
@click.option(
    "--out",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Where the links go, one file each.",
)
@_message_option
@sending_options
def link(amount: str, count: int, days: int, directory: Path, message: str, sending: Sending) -> None:
    """Make gifts of AMOUNT each that whoever gets a link may claim; what nobody claims may be refunded to you."""
    from identity.keys import KeyType, PrivateKey
    from node.cli.amounts import parse_iov

    grains = str(parse_iov(amount))
    keys = [PrivateKey(KeyType.ED25519, secrets.token_bytes(SEED_BYTES)) for _ in range(count)]
    with connect(sending.node_url) as client:
        facts = read_chain_facts(client)
        giver = sending.keyring.find_address(sending.options.sender or sending.options.signer, facts.network)
        files = _write_links(directory, [Link(key, giver) for key in keys], facts)
        expires_ms = client.run(calls.chain_head()).time_ms + days * _DAY_MS
        lines = [{"claimKey": "0x" + key.public_key.key.hex(), "amountGrains": grains} for key in keys]
        intent = build_known_intent(client, facts, MODULE, "give", [lines, expires_ms, message])
        result = deliver(client, facts, intent, sending)
    about = {
        "links": ", ".join(map(str, files)),
        NEXT: f"carlive gift claim {files[0]} --to ADDRESS, by who is given it",
    }
    show_sent(result, sending.options.wait, sending.output, about)


@gift.command()
@_link_argument
@click.option("--to", "recipient", required=True, metavar="ADDRESS", help="Address or key name of who gets it.")
@sending_options
def claim(link_file: Path, recipient: str, sending: Sending) -> None:
    """Claim the gift of LINK for an account; whoever sends this cannot take it."""
    from identity.address import format_address
    from identity.platform_account import ClaimKey
    from identity.signing import SigningPurpose, signing_bytes
    from ledger.codec import encode
    from vm.native.gifts import GiftClaimPayload

    def build(client: "Client", facts: "ChainFacts") -> Intent:
        link = _read_link(link_file, facts)
        name = link.format_name(facts)
        found = _fetch_gift(client, name)
        address = sending.keyring.find_address(recipient, facts.network)
        payload = GiftClaimPayload(ClaimKey(link.key.public_key.key), link.giver, found["expiresMs"], address)
        signature = link.key.sign(signing_bytes(SigningPurpose.GIFT_CLAIM, facts.domain, encode(payload)))
        arguments = [*name.values(), format_address(address, facts.network), "0x" + signature.hex()]
        return build_known_intent(client, facts, MODULE, "claim", arguments)

    send_intent(build, sending)


@gift.command()
@_link_argument
@sending_options
def refund(link_file: Path, sending: Sending) -> None:
    """Have the expired gift of LINK given back to its giver; anybody may."""

    def build(client: "Client", facts: "ChainFacts") -> Intent:
        name = _read_link(link_file, facts).format_name(facts)
        return build_known_intent(client, facts, MODULE, "refund", list(name.values()))

    send_intent(build, sending)


@gift.command()
@_link_argument
@node_option
@output_option
def show(link_file: Path, node_url: str, output: Output) -> None:
    """Show what waits for whoever claims LINK."""
    with connect(node_url) as client:
        facts = read_chain_facts(client)
        name = _read_link(link_file, facts).format_name(facts)
        found = {"giver": name["giver"], **_fetch_gift(client, name)}
    output.show_record(found, {"amountGrains": format_grains, "expiresMs": format_time})


def _fetch_gift(client: "Client", name: dict[str, str]) -> dict[str, Any]:
    found = client.run(calls.module_view(MODULE, "gift", name)).value
    if found is None:
        raise CommandFailedError("no gift waits for this link: it was claimed or refunded, or is not final yet")
    record: dict[str, Any] = found
    return record


def _write_links(directory: Path, links: Sequence[Link], facts: "ChainFacts") -> list[Path]:
    """One secret file each; none that is there is overwritten."""
    from identity.address import format_address
    from node.atomic_file import create_file

    directory.mkdir(parents=True, exist_ok=True)
    files = []
    for index, link in enumerate(links, start=1):
        path = directory / f"gift-{index}.json"
        giver = format_address(link.giver, facts.network)
        text = json.dumps({"chain": facts.chain_id, "giver": giver, "seed": link.key.secret.hex()}) + "\n"
        try:
            create_file(path, text.encode())
        except FileExistsError:
            raise CommandFailedError(f"{path} is there already: say another --out") from None
        files.append(path)
    return files


def _read_link(path: Path, facts: "ChainFacts") -> Link:
    from identity.address import InvalidAddressError, parse_address
    from identity.keys import KeyType, PrivateKey

    no_link = f"{path} is not a link of carlive gift link"
    found = read_json_file(path)
    try:
        chain, giver, seed = found["chain"], found["giver"], bytes.fromhex(found["seed"])
        if len(seed) != SEED_BYTES or not isinstance(giver, str):
            raise ValueError
    except (KeyError, TypeError, ValueError):
        raise CommandFailedError(no_link) from None
    if chain != facts.chain_id:
        raise CommandFailedError(f"{path} is for the chain {chain}, this node is on {facts.chain_id}")
    try:
        return Link(PrivateKey(KeyType.ED25519, seed), parse_address(giver, facts.network))
    except InvalidAddressError:
        raise CommandFailedError(no_link) from None
