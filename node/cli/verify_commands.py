"""`carlive verify`: check what a node says, trusting only the genesis file or one block's hash."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from node.cli.connection import connect, node_option
from node.cli.failures import CommandFailedError
from node.cli.group import SuggestingGroup
from node.cli.output import Output, output_option
from node.cli.query_commands import format_grains, format_time, parse_id

if TYPE_CHECKING:
    from identity.address import Address, NetworkKind
    from rpc.proof_failure import ProofStep
    from rpc.proofs import Claim, CommitteeTrail, ProofBundle, Report, Trust
    from rpc.verified_reads import Plan

    Check = Callable[[CommitteeTrail, Claim, Report], Any]

_MARK: Final = "proven"


@click.group(cls=SuggestingGroup)
def verify() -> None:
    """Check accounts, receipts and headers without trusting a node.

    Every step is done here: committees are followed from the genesis file or the checkpoint, certificates' signatures
    checked, and proofs computed up to the root in the certified header. Exit code 1 and the name of the step say that
    something is not proven.
    """


@dataclass(frozen=True, slots=True)
class ProofRequest:
    """What is trusted, where the proof comes from or goes to, and how it is shown."""

    genesis: Path | None
    checkpoint: str | None
    save: Path | None
    bundle: Path | None
    node_url: str
    output: Output


def verify_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options of a proof; the command gets a `request`."""

    @wraps(function)
    def run(**given: Any) -> None:
        options = {each.name: given.pop(each.name) for each in fields(ProofRequest)}
        function(request=ProofRequest(**options), **given)

    command: Callable[..., None] = run
    for option in (
        output_option,
        node_option,
        click.option(
            "--bundle",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="Check this file instead of asking a node.",
        ),
        click.option("--save", type=click.Path(path_type=Path), metavar="FILE", help="Keep the whole proof in a file."),
        click.option("--checkpoint", metavar="HEIGHT:HASH", help="Trust this block, which somebody vouches for."),
        click.option(
            "--genesis",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="Trust this genesis file, for instance your own node's.",
        ),
    ):
        command = option(command)
    return command


@verify.command()
@click.argument("address")
@verify_options
def account(address: str, request: ProofRequest) -> None:
    """Prove balance, sequence and stake of ADDRESS."""
    from rpc.proofs import check_account
    from rpc.verified_reads import fetch_account_claim

    raw, _ = parse_any_address(address)
    proven, steps = _verify(
        request,
        lambda: fetch_account_claim(raw, None),
        lambda trail, claim, report: check_account(trail, raw, claim, report),
    )
    record = {
        "address": address,
        "height": proven.height,
        "blockHash": "0x" + proven.block_hash.hex(),
        "timeMs": proven.time_ms,
        "balance": str(proven.account.balance_grains),
        "locked": str(proven.locked_grains),
        "staked": str(proven.account.staked_grains),
        "sequence": proven.account.sequence,
        "hasPolicy": proven.policy is not None,
    }
    _show(
        request.output,
        record,
        steps,
        {"balance": format_grains, "locked": format_grains, "staked": format_grains, "timeMs": format_time},
    )


@verify.command()
@click.argument("transaction_id", metavar="ID")
@verify_options
def receipt(transaction_id: str, request: ProofRequest) -> None:
    """Prove what became of the transaction of this ID."""
    from rpc.errors import get_reason_name
    from rpc.proofs import check_receipt
    from rpc.verified_reads import fetch_receipt_claim

    identifier = parse_id(transaction_id)
    proven, steps = _verify(
        request,
        lambda: fetch_receipt_claim(identifier),
        lambda trail, claim, report: check_receipt(trail, identifier, claim, report),
    )
    record = {
        "id": "0x" + identifier.hex(),
        "height": proven.height,
        "blockHash": "0x" + proven.block_hash.hex(),
        "status": proven.receipt.status.name.lower(),
        "reason": get_reason_name(proven.receipt.reason) if proven.receipt.reason else None,
        "gasUsed": proven.receipt.gas_used,
        "fee": str(proven.receipt.fee_grains),
    }
    _show(request.output, record, steps, {"fee": format_grains})


@verify.command()
@click.argument("height", type=click.IntRange(0))
@verify_options
def header(height: int, request: ProofRequest) -> None:
    """Prove the header of the block at HEIGHT final."""
    from rpc.proofs import check_header
    from rpc.verified_reads import fetch_header_claim

    proven, steps = _verify(
        request,
        lambda: fetch_header_claim(height),
        lambda trail, claim, report: check_header(trail, height, claim, report),
    )
    found = proven.header
    record = {
        "height": found.height,
        "blockHash": "0x" + found.hash.hex(),
        "timeMs": found.time_ms,
        "previousHash": "0x" + found.previous_hash.hex(),
        "stateRoot": "0x" + found.state_root.hex(),
        "receiptsRoot": "0x" + found.receipts_root.hex(),
        "committeeHash": "0x" + found.committee_hash.hex(),
        "checkpoint": f"{found.height}:0x{found.hash.hex()}",
    }
    _show(request.output, record, steps, {"timeMs": format_time})


def parse_any_address(text: str) -> "tuple[Address, NetworkKind]":
    """An address of any network: its text says which; raises CommandFailedError."""
    from identity.address import InvalidAddressError, NetworkKind, parse_address

    problem = "not an address"
    for network in NetworkKind:
        try:
            return parse_address(text, network), network
        except InvalidAddressError as error:
            problem = str(error)
    raise CommandFailedError(f"{text!r}: {problem}")


def _verify(
    request: ProofRequest, fetch: "Callable[[], Plan[Claim]]", check: "Check"
) -> tuple[Any, list[dict[str, str]]]:
    """Fetch or load, then check all of it, then save; what is proven, and the steps that led there."""
    from rpc.proofs import check_bundle_trail, decode_bundle, encode_bundle

    trust = _read_trust(request.genesis, request.checkpoint)
    if request.bundle is not None and request.save is not None:
        raise CommandFailedError("--bundle reads a proof and --save writes one: give one of them")
    if request.bundle is not None:
        bundle = decode_bundle(request.bundle.read_bytes())
    else:
        bundle = _fetch(trust, fetch, request.node_url)
    steps: list[dict[str, str]] = []

    def report(step: "ProofStep", fact: str) -> None:
        steps.append({"step": str(step), "fact": fact})
        request.output.show_text(f"{_MARK}  {step:<12} {fact}")

    trail = check_bundle_trail(trust, bundle, report)
    proven = check(trail, bundle.claim, report)
    if request.save is not None:
        request.save.write_bytes(encode_bundle(bundle))
        request.output.show_text(f"saved   {request.save}")
    return proven, steps


def _fetch(trust: "Trust", fetch: "Callable[[], Plan[Claim]]", node_url: str) -> "ProofBundle":
    """Everything that leads to the claim, from a node."""
    from rpc.proofs import BUNDLE_VERSION, ProofBundle, start_trail
    from rpc.verified_reads import fetch_start, follow_committees

    with connect(node_url) as client:
        start = client.run_plan(fetch_start(trust))
        trail = start_trail(trust, start)
        claim = client.run_plan(fetch())
        client.run_plan(follow_committees(trail, claim.header))
    return ProofBundle(BUNDLE_VERSION, start, tuple(trail.changes), claim)


def _read_trust(genesis: Path | None, checkpoint: str | None) -> "Trust":
    from consensus.light import InvalidCheckpointError, parse_checkpoint
    from genesis.document import parse_genesis
    from rpc.proofs import build_genesis_trust

    if (genesis is None) == (checkpoint is None):
        raise CommandFailedError("say what you trust, and only one thing: --genesis FILE or --checkpoint HEIGHT:HASH")
    if genesis is not None:
        return build_genesis_trust(parse_genesis(genesis.read_bytes()))
    assert checkpoint is not None, "one of the two"
    try:
        return parse_checkpoint(checkpoint)
    except InvalidCheckpointError as error:
        raise CommandFailedError(str(error)) from None


def _show(
    output: Output, record: dict[str, Any], steps: list[dict[str, str]], formats: dict[str, Callable[[Any], str]]
) -> None:
    output.show_text("")
    output.show_record({**record, "steps": steps} if output.is_json else record, formats)
