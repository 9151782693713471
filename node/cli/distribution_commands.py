"""`carlive distribution`: look at sources, build and check roots, claim."""

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from node.cli.connection import connect, node_option
from node.cli.did_options import signing_options
from node.cli.did_signing import Operation, Signing, find_signer, parse_did_text, send_operation
from node.cli.failures import CommandFailedError, ExitCode
from node.cli.group import SuggestingGroup
from node.cli.module_calls import build_known_intent
from node.cli.output import Output, output_option
from node.cli.query_commands import format_grains
from node.cli.sending import Intent, Sending, send_intent, sending_options
from rpc import calls

if TYPE_CHECKING:
    from economy.distribution_build import BuildOptions
    from economy.distribution_challenge import Difference
    from economy.distribution_engines import EngineName
    from identity.address import NetworkKind
    from node.cli.signing import ChainFacts
    from rpc.client import Client
    from vm.native.distribution_tree import BeneficiaryId, BeneficiaryKind

MODULE: Final = "distribution"
INSTALL_HINT: Final = "the builder needs more packages: pip install 'carlive[economy]', and 'carlive[spark]' for Spark"
_SIZE_MB: Final = {"MB": 1, "GB": 1_000}
_SIZE_FORM: Final = re.compile(r"([0-9]{1,9}) ?(MB|GB)")
_MEMORY_MB_MIN: Final = 100  # less does not hold the buffers of two threads
_MEMORY_MB_MAX: Final = 10**6  # no machine has more
_FILE = click.Path(path_type=Path, dir_okay=False)
_DIRECTORY = click.Path(path_type=Path, file_okay=False)

_records_option = click.option(
    "--records", type=_FILE, multiple=True, required=True, metavar="FILE", help="Parquet of records; once for each."
)
_previous_option = click.option(
    "--previous", type=_DIRECTORY, default=None, help="Where the epoch before was built.  [default: this is the first]"
)
_attester_option = click.option(
    "--as", "attester", required=True, metavar="DID", help="Attester in whose name a key signs that names nobody."
)
_built_option = click.option("--in", "directory", type=_DIRECTORY, required=True, help="Where it was built.")


def _parse_memory_mb(_context: click.Context, _option: click.Parameter, text: str) -> int:
    """Megabytes of a size in MB or GB."""
    found = _SIZE_FORM.fullmatch(text.strip().upper())
    memory_mb = 0 if found is None else int(found[1]) * _SIZE_MB[found[2]]
    if not _MEMORY_MB_MIN <= memory_mb <= _MEMORY_MB_MAX:
        raise click.BadParameter(f"{text} is no size of {_MEMORY_MB_MIN}MB or more; say 500MB or 2GB")
    return memory_mb


def _engine_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the engine and its limits."""
    for option in (
        click.option("--threads", type=click.IntRange(1, 256), default=2, show_default=True, help="Of the engine."),
        click.option(
            "--memory-limit",
            "memory_mb",
            default="2GB",
            callback=_parse_memory_mb,
            show_default=True,
            metavar="SIZE",
            help="Of the engine; what is more goes to the disk.",
        ),
        click.option(
            "--engine",
            type=click.Choice(["duckdb", "spark"]),
            default="duckdb",
            show_default=True,
            help="Who adds up. The result is the same.",
        ),
    ):
        function = option(function)
    return function


@click.group(cls=SuggestingGroup)
def distribution() -> None:
    """Pay millions by roots: look at sources; build, check and post roots; claim."""


@distribution.command()
@_records_option
@_previous_option
@click.option("--out", "directory", type=_DIRECTORY, required=True, help="Where it is built; not the place of another.")
@_engine_options
@output_option
def build(
    records: tuple[Path, ...],
    previous: Path | None,
    directory: Path,
    engine: "EngineName",
    memory_mb: int,
    threads: int,
    output: Output,
) -> None:
    """Build the next root of a source from records and the epoch before; a build that was interrupted goes on.

    Records are Parquet with the columns beneficiary (a byte, 1 for an account and 2 for an identity, and its 20 bytes),
    amount_grains and reference. Keep the directory: proofs are made from it, and the next epoch is built on it.
    """
    with using_economy(), _show_progress() as report:
        from economy.distribution_build import build_distribution

        options = _get_options(engine, memory_mb, threads)
        manifest, manifest_hash = build_distribution(records, previous, directory, options, report)
    output.show_record(
        {
            "root": f"0x{manifest.root.hex()}",
            "lifetimeTotal": str(manifest.lifetime_total_grains),
            "manifestHash": f"0x{manifest_hash.hex()}",
            "beneficiaries": sum(each.leaves for each in manifest.shards),
            "records": sum(each.records for each in manifest.shards),
            "directory": str(directory),
        },
        {"lifetimeTotal": format_grains},
    )


@distribution.command()
@_records_option
@_previous_option
@_built_option
@click.option("--shard", type=click.IntRange(0, 255), required=True, metavar="N", help="Which one, from 0 to 255.")
@_engine_options
@output_option
def verify(
    records: tuple[Path, ...],
    previous: Path | None,
    directory: Path,
    shard: int,
    engine: "EngineName",
    memory_mb: int,
    threads: int,
    output: Output,
) -> None:
    """Recompute one shard from the inputs and compare it with the manifest; fails when it differs."""
    with using_economy():
        from economy.distribution_build import recompute_shard
        from economy.distribution_manifest import read_manifest

        options = _get_options(engine, memory_mb, threads)
        found = recompute_shard(records, previous, directory, shard, options)
        manifest, _ = read_manifest(directory)
    expected = manifest.shards[shard]
    if found != expected:
        raise CommandFailedError(
            f"shard {shard} is 0x{found.root.hex()} with {found.total_grains} grains by these inputs, "
            f"and 0x{expected.root.hex()} with {expected.total_grains} grains by the manifest",
            ExitCode.FAILED,
        )
    shown = {"shard": shard, "root": f"0x{found.root.hex()}", "total": str(found.total_grains)}
    output.show_record(shown | {"beneficiaries": found.leaves}, {"total": format_grains})


@distribution.command()
@click.argument("beneficiary", metavar="BENEFICIARY")
@_built_option
@output_option
def proof(beneficiary: str, directory: Path, output: Output) -> None:
    """Show what BENEFICIARY, an address or a DID, claims with: the leaf and its way to the root."""
    network, kind, identifier = _parse_beneficiary(beneficiary)
    output.show_record(_build_proof(directory, kind, identifier, network))


@distribution.command()
@click.argument("source", type=click.IntRange(1))
@_built_option
@_attester_option
@signing_options
@sending_options
def post(source: int, directory: Path, attester: str, signing: Signing, sending: Sending) -> None:
    """Post the root that was built as the next one of SOURCE, with enough signatures of its attesters.

    It must have been built on the newest root that is not void, or without --previous if there is none.

    For instance: carlive distribution post 1 --in epoch-2 --as ANN --by ann --by BOB=bob --from dev0
    """
    with using_economy():
        from economy.distribution_manifest import read_manifest

        manifest, manifest_hash = read_manifest(directory)

    def prepare(client: "Client", facts: "ChainFacts") -> Operation:
        from ledger.primitives import Grains
        from vm.native.distribution import RootPayload
        from vm.native.distribution_records import SourceId

        state = _fetch_source(client, source)["state"]
        _check_previous(client, source, state["latest"], directory, manifest.plan.previous_manifest)
        number = state["roots"] + 1
        total = Grains(manifest.lifetime_total_grains)
        payload = RootPayload(SourceId(source), number, manifest.root, total, manifest_hash)
        signer = find_signer(client, facts, parse_did_text(attester, facts.network))
        return Operation("distribution.post_root", payload, signer, (manifest.list_shards(),))

    send_operation(prepare, signing, sending, {"root": f"0x{manifest.root.hex()}"})


@distribution.command()
@click.argument("source", type=click.IntRange(1))
@click.argument("number", type=click.IntRange(1))
@_attester_option
@signing_options
@sending_options
def void(source: int, number: int, attester: str, signing: Signing, sending: Sending) -> None:
    """Void the root NUMBER of SOURCE while it is open, with enough signatures of its attesters."""

    def prepare(client: "Client", facts: "ChainFacts") -> Operation:
        from ledger.primitives import RootHash
        from vm.native.distribution import VoidPayload
        from vm.native.distribution_records import SourceId

        posted = _fetch_root(client, source, number)
        payload = VoidPayload(SourceId(source), number, RootHash(bytes.fromhex(posted["root"].removeprefix("0x"))))
        signer = find_signer(client, facts, parse_did_text(attester, facts.network))
        return Operation("distribution.void_root", payload, signer)

    send_operation(prepare, signing, sending)


@distribution.command()
@click.argument("source", type=click.IntRange(1))
@click.argument("number", type=click.IntRange(1))
@click.option("--in", "directory", type=_DIRECTORY, required=True, help="What was published of the root.")
@click.option(
    "--previous", type=_DIRECTORY, default=None, help="Build of the root before: shows who lost something since."
)
@click.option(
    "--own", type=_DIRECTORY, default=None, help="Build of your own from the same inputs: only what differs is read."
)
@sending_options
def challenge(
    source: int, number: int, directory: Path, previous: Path | None, own: Path | None, sending: Sending
) -> None:
    """Void the root NUMBER of SOURCE by the shortest proof of what is wrong with it; fails when nothing is.

    What was published must be of the root on the chain. Amounts that do not follow from the inputs are no fault that
    the chain can be shown: with --own the first one is named, for the attesters (carlive distribution void).
    """

    def prepare(client: "Client", facts: "ChainFacts") -> Intent:
        from ledger.codec import to_plain
        from rpc.arguments import arguments_to_json, describe_fields
        from vm.native.distribution import Challenge
        from vm.native.distribution_records import SourceId
        from vm.native.distribution_tree import SHARDS

        with using_economy():
            from economy.distribution_challenge import find_challenge, find_difference, list_differing_shards

            posted = _fetch_root(client, source, number)
            _check_build(directory, posted, "the root on the chain")
            if previous is not None:
                if posted["base"] == 0:
                    raise CommandFailedError("there was no root before: leave --previous out")
                _check_build(previous, _fetch_root(client, source, posted["base"]), "the root before")
            shards = range(SHARDS) if own is None else list_differing_shards(directory, own)
            found = find_challenge(SourceId(source), number, directory, previous, shards)
            if found is None:
                different = None if own is None else find_difference(directory, own, shards)
                raise CommandFailedError(_describe_no_fault(different, facts.network), ExitCode.FAILED)
        shown = arguments_to_json(describe_fields(Challenge), to_plain(found), facts.network)
        arguments = list(shown.values()) if isinstance(shown, dict) else shown
        return build_known_intent(client, facts, MODULE, "challenge", arguments)

    send_intent(prepare, sending)


@distribution.command()
@click.argument("identity", metavar="DID")
@click.option(
    "--account", default=None, metavar="ADDRESS", help="Where it is paid.  [default: the account linked to it]"
)
@signing_options
@sending_options
def payout(identity: str, account: str | None, signing: Signing, sending: Sending) -> None:
    """Say at which account DID is paid by sources."""

    def prepare(client: "Client", facts: "ChainFacts") -> Operation:
        from vm.native.distribution import PayoutPayload

        did = parse_did_text(identity, facts.network)
        turn = client.run(calls.module_view(MODULE, "payout", {"did": identity})).value["turn"]
        address = None if account is None else sending.keyring.find_address(account, facts.network)
        return Operation("distribution.set_payout", PayoutPayload(did, turn, address), find_signer(client, facts, did))

    send_operation(prepare, signing, sending)


@distribution.command()
@click.argument("source", type=click.IntRange(1))
@click.argument("beneficiaries", nargs=-1, required=True, metavar="BENEFICIARY…")
@_built_option
@click.option(
    "--number", type=click.IntRange(1), default=None, help="Number of the root.  [default: the newest that counts]"
)
@sending_options
def claim(source: int, beneficiaries: tuple[str, ...], directory: Path, number: int | None, sending: Sending) -> None:
    """Have beneficiaries, addresses or DIDs, paid by SOURCE; whoever sends this, the coins are theirs."""

    def prepare(client: "Client", facts: "ChainFacts") -> Intent:
        proven = []
        for each in beneficiaries:
            network, kind, identifier = _parse_beneficiary(each)
            if network is not facts.network:
                raise CommandFailedError(f"{each} is of another network than the node's")
            proven.append(_build_proof(directory, kind, identifier, network))
        root_number = number or _fetch_source(client, source)["claimableRoot"]
        if root_number == 0:
            raise CommandFailedError(f"no root of source {source} counts yet", ExitCode.FAILED)
        return build_known_intent(client, facts, MODULE, "claim", [source, root_number, proven])

    send_intent(prepare, sending)


@distribution.command("list")
@node_option
@output_option
def list_sources(node_url: str, output: Output) -> None:
    """List the newest sources: under which number a decision, a campaign or a dividend has opened which."""
    with connect(node_url) as client:
        found = client.run(calls.module_view(MODULE, "sources", {"before": 0})).value
    records = [
        {
            "source": each["source"],
            "label": each["state"]["rules"]["label"],
            "funded": each["state"]["fundedGrains"],
            "claimed": each["state"]["claimedGrains"],
            "free": each["freeGrains"],
            "claimableRoot": each["claimableRoot"],
        }
        for each in found
    ]
    formats = dict.fromkeys(("funded", "claimed", "free"), format_grains)
    columns = ["source", "label", "funded", "claimed", "free", "claimableRoot"]
    output.show_list(records, columns, formats, empty="there are no sources")


@distribution.command()
@click.argument("source", type=click.IntRange(1))
@node_option
@output_option
def show(source: int, node_url: str, output: Output) -> None:
    """Show SOURCE: its funds, what it promises, who attests its roots, and its newest root."""
    with connect(node_url) as client:
        found = _fetch_source(client, source)
        state = found.pop("state")
        rules = state.pop("rules")
        breaker = rules.pop("breaker")
        record = {**rules, **breaker, **found, **state, "root": None}
        if state["latest"]:
            arguments = {"source": source, "number": state["latest"]}
            record["root"] = client.run(calls.module_view(MODULE, "root", arguments)).value
    output.show_record(record, {name: format_grains for name in record if name.endswith("Grains")})


def _fetch_source(client: "Client", source: int) -> dict[str, Any]:
    found = client.run(calls.module_view(MODULE, "source", {"source": source})).value
    if found is None:
        raise CommandFailedError(f"there is no source {source}", ExitCode.FAILED)
    described: dict[str, Any] = found
    return described


def _fetch_root(client: "Client", source: int, number: int) -> dict[str, Any]:
    found = client.run(calls.module_view(MODULE, "root", {"source": source, "number": number})).value
    if found is None:
        raise CommandFailedError(f"source {source} has no root {number}", ExitCode.FAILED)
    posted: dict[str, Any] = found
    return posted


def _check_build(directory: Path, posted: dict[str, Any], what: str) -> None:
    from economy.distribution_manifest import read_manifest

    root = f"0x{read_manifest(directory)[0].root.hex()}"
    if root != posted["root"]:
        raise CommandFailedError(f"{directory} is a build of {root}, {what} is {posted['root']}")


def _check_previous(client: "Client", source: int, latest: int, directory: Path, previous: str | None) -> None:
    """That what was built goes on from the newest root that is not void: else it leaves out what was earned before."""
    standing = None
    if latest:
        standing = _fetch_root(client, source, latest)["manifestHash"].removeprefix("0x")
    if previous == standing:
        return
    built = "without --previous" if previous is None else f"with --previous of the manifest 0x{previous}"
    needed = (
        f"with --previous of root {latest}, whose manifest is 0x{standing}"
        if standing
        else "without --previous, because no root of it stands"
    )
    raise CommandFailedError(
        f"{directory} was built {built}; the next root of source {source} must be built {needed}", ExitCode.FAILED
    )


def _describe_no_fault(different: "Difference | None", network: "NetworkKind") -> str:
    from identity.address import Address, format_address
    from identity.did import Did, format_did
    from vm.native.distribution_tree import BeneficiaryKind

    if different is None:
        return "nothing is wrong with this root that the chain can be shown"
    kind, identifier = different.beneficiary[0], different.beneficiary[1:]
    is_did = kind == BeneficiaryKind.DID
    name = format_did(Did(identifier), network) if is_did else format_address(Address(identifier), network)
    return (
        f"the chain cannot be shown what is wrong: in shard {different.shard} {name} has {different.published_grains} "
        f"grains, and {different.own_grains} by your build; tell the attesters and governance, who may void the root"
    )


def _parse_beneficiary(text: str) -> "tuple[NetworkKind, BeneficiaryKind, BeneficiaryId]":
    """Network, kind and 20 bytes of an address or DID; raises InvalidAddressError, InvalidDidError."""
    from identity.address import InvalidAddressError, NetworkKind, decode_bech32m, parse_address
    from identity.did import InvalidDidError, parse_did_of_any_network
    from vm.native.distribution_tree import BeneficiaryId, BeneficiaryKind

    try:
        if text.startswith("did:"):
            did, network = parse_did_of_any_network(text)
            return network, BeneficiaryKind.DID, BeneficiaryId(did)
        prefix, _ = decode_bech32m(text)
        known = next((each for each in NetworkKind if each.value == prefix), NetworkKind.MAINNET)
        return known, BeneficiaryKind.ACCOUNT, BeneficiaryId(parse_address(text, known))
    except (InvalidAddressError, InvalidDidError) as error:
        raise CommandFailedError(f"{text} is neither an address nor a DID: {error}") from None


def _build_proof(
    directory: Path, kind: "BeneficiaryKind", identifier: "BeneficiaryId", network: "NetworkKind"
) -> dict[str, Any]:
    """A proven leaf as JSON."""
    from ledger.codec import to_plain
    from rpc.arguments import describe_type, to_json
    from vm.native.distribution_tree import ProvenLeaf

    with using_economy():
        from economy.distribution_manifest import read_manifest
        from economy.distribution_shards import build_leaf_proof

        manifest, _ = read_manifest(directory)
        proven = build_leaf_proof(directory, manifest, kind, identifier)
    shown: dict[str, Any] = to_json(describe_type(ProvenLeaf), to_plain(proven), network)
    return shown


def _get_options(engine: "EngineName", memory_mb: int, threads: int) -> "BuildOptions":
    from economy.distribution_build import BuildOptions
    from economy.duckdb_connection import EngineLimits

    return BuildOptions(engine, EngineLimits(memory_mb, threads))


@contextmanager
def using_economy() -> Iterator[None]:
    """Failures of the builder for people, and its packages' absence."""
    try:
        from economy.distribution_manifest import UnusableError
    except ModuleNotFoundError:
        raise CommandFailedError(INSTALL_HINT) from None
    try:
        yield
    except ModuleNotFoundError:
        raise CommandFailedError(INSTALL_HINT) from None
    except UnusableError as error:
        raise CommandFailedError(str(error)) from None


@contextmanager
def _show_progress() -> Iterator[Callable[[str, int, int], None]]:
    """A bar on a terminal's standard error."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("", total=None)
        yield lambda what, done, total: progress.update(task, description=what, completed=done, total=total or None)
