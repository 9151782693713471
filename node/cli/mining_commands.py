"""`carlive mining`: days of mining, what they pay and why, their building and their simulation."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from node.cli.connection import connect, node_option, read_chain_facts
from node.cli.did_options import signing_options
from node.cli.did_signing import Operation, Signing, find_signer, parse_did_text, send_operation
from node.cli.failures import CommandFailedError, ExitCode
from node.cli.group import SuggestingGroup
from node.cli.mining_names import get_behaviour_number
from node.cli.output import Output, output_option
from node.cli.query_commands import format_grains, to_plain
from node.cli.sending import Sending, sending_options
from rpc import calls

if TYPE_CHECKING:
    from economy.mining_lookup import DescribedBatch, KeptRecord
    from identity.did import Did
    from node.cli.mining_proofs import OpenedData
    from node.cli.signing import ChainFacts
    from rpc.client import Client
    from rpc.models import MiningBatchView, MiningRecordView
    from vm.native.mining_records import BatchPayload, RulesVersion

MODULE: Final = "mining"

_FILE: Final = click.Path(path_type=Path, dir_okay=False)
_DIRECTORY: Final = click.Path(path_type=Path, file_okay=False)
_EPOCH: Final = click.IntRange(0, 10**6 - 1)
_GRAINS: Final = dict.fromkeys(
    ("fund", "released", "returned", "revenue", "budget", "topup", "remaining", "reward", "claimed"), format_grains
)

_REASONS: Final = ("many-accounts", "automated", "false-records", "cleared")
_attesters_option: Final = click.option(
    "--attester", "attesters", multiple=True, required=True, metavar="DID", help="Who signs it; several must agree."
)

Report = Callable[[str, int, int], None]
Result = TypeVar("Result")


@click.group(cls=SuggestingGroup)
def mining() -> None:
    """Show, build and simulate days of mining.

    An epoch is a day of UTC, counted from 1970-01-01. The formulas stand in docs/mining.md.
    """


@mining.command()
@click.argument("number", type=_EPOCH, required=False, metavar="[EPOCH]")
@node_option
@output_option
def epoch(number: int | None, node_url: str, output: Output) -> None:
    """Show a day of mining, today without EPOCH: force, price, what it paid, and how long the fund lasts."""
    with connect(node_url) as client:
        shown = to_plain(client.run(calls.mining_epoch(number)))
    outcome = shown.pop("outcome")
    if output.is_json:
        output.show_record({**shown, "outcome": outcome})
    else:
        forecast = {f"days {name}": value for name, value in shown.pop("forecast").items()}
        output.show_record({**shown, **(outcome or {}), **forecast}, _GRAINS)


@mining.command("rules")
@click.argument("number", type=_EPOCH, required=False, metavar="[EPOCH]")
@node_option
@output_option
def show_rules(number: int | None, node_url: str, output: Output) -> None:
    """Show the rules of a day of mining, today without EPOCH: its numbers, and what behaviours earn."""
    from vm.native.mining_formulas import Behaviour

    with connect(node_url) as client:
        known = client.run(calls.mining_epoch(number)).number
        value = client.run(calls.module_view(MODULE, "rules", {"epoch": known})).value
    if output.is_json:
        output.show_record(value)
        return
    output.show_record({"firstEpoch": value["firstEpoch"], **value["rules"]})
    rows = [{**each, "behaviour": Behaviour(each["behaviour"]).name.lower()} for each in value["behaviours"]]
    output.show_list(rows, ["behaviour", "user", "provider", "isVehicleVouched"])


@mining.command()
@click.argument("identity", metavar="DID")
@click.option("--build", "directory", type=_DIRECTORY, help="Where a day was built: explains that day's reward.")
@click.option("--master-key", type=_FILE, help="Secret file of that build; without it records are not proven.")
@node_option
@output_option
def statement(identity: str, directory: Path | None, master_key: Path | None, node_url: str, output: Output) -> None:
    """Explain the rewards of DID: its weight and vehicles' records on the chain; with --build, all of a day.

    With --build it goes from what was recorded through the formula to the grains, and proves each record under the
    root on the chain; it fails when one is not proven, or the numbers do not follow from the records.
    """
    with connect(node_url) as client:
        known = to_plain(client.run(calls.mining_statement(identity)))
        if directory is not None:
            explained = _explain(client, identity, directory, master_key)
    if directory is None:
        output.show_record(known)
        return
    unproven = sum(each["proof"] is None for each in explained["records"]) if master_key is not None else 0
    if output.is_json:
        output.show_record({**known, "day": explained})
    else:
        shown = dict(explained)
        output.show_list(shown.pop("behaviours"), ["behaviour", "times", "counted", "force", "formula"])
        output.show_list(shown.pop("records"), ["behaviour", "count", "attester", "proof"], empty="no records")
        output.show_record(shown, _GRAINS)
    if unproven:
        total = len(explained["records"])
        raise CommandFailedError(f"{unproven} of {total} records are not proven by the chain's roots", ExitCode.FAILED)
    if not explained["isExplained"]:
        raise CommandFailedError("the force that was built does not follow from the records", ExitCode.FAILED)


@mining.command()
@click.argument("identity", metavar="DID")
@click.option("--build", "directory", type=_DIRECTORY, required=True, help="Where a day was built.")
@click.option("--master-key", type=_FILE, required=True, help="Secret file of that build.")
@click.option("--out", "file", type=_FILE, required=True, help="Where the records go; not overwritten.")
@click.option("--behaviour", default=None, metavar="NAME", help="Only records of this one.")
@click.option("--data", "data", type=_FILE, multiple=True, help="Data of a vehicle's record, with the salt beside it.")
@node_option
@output_option
def export(
    identity: str,
    directory: Path,
    master_key: Path,
    file: Path,
    behaviour: str | None,
    data: tuple[Path, ...],
    node_url: str,
    output: Output,
) -> None:
    """Export a day's records of DID for their owner, with salts and proofs: secret, to be shared one by one.

    With --data also what opens the commitments of records that vehicles have vouched for on that day. Whoever has a
    record of the file checks it with carlive mining verify.
    """
    _require_economy()
    from economy.mining_lookup import find_records, load_manifest, prove_record
    from node.atomic_file import create_file
    from node.cli.mining_proofs import ProvenRecord, format_records

    number = _run(lambda: load_manifest(directory))["epoch"]
    with connect(node_url) as client:
        network = read_chain_facts(client).network
        did, key = parse_did_text(identity, network), _load_master_key(master_key)
        known = client.run(calls.mining_statement(identity)).records if data else []
    opened = [_open_data(each, did, number, known) for each in data]
    records = [
        ProvenRecord(
            *(did, number, each.behaviour, each.provider, each.vehicle, each.phone, each.opening),
            _run(partial(prove_record, directory, each)),
        )
        for each in _run(lambda: find_records(directory, did, key))
        if behaviour in (None, each.behaviour.name.lower())
    ]
    try:
        create_file(file, format_records(records, opened, network).encode())
    except FileExistsError:
        raise CommandFailedError(f"{file} is there already") from None
    shown = {"epoch": number, "records": len(records), "vouched": len(opened), "file": str(file)}
    output.show_record(shown)


@mining.command()
@click.argument("file", type=_FILE)
@node_option
@output_option
def verify(file: Path, node_url: str, output: Output) -> None:
    """Check records that somebody has exported: whether they stand in a batch that counts, or on the chain itself."""
    from identity.did import format_did
    from node.cli.mining_proofs import load_records

    with connect(node_url) as client:
        network = read_chain_facts(client).network
        records, opened = load_records(file, network)
        shown: list[dict[str, Any]] = []
        for each in records:
            text = format_did(each.did, network)
            batch = client.run(calls.mining_claim(each.epoch, text)).batch
            is_proven = batch is not None and batch.root == each.compute_root()
            shown.append(
                {
                    "did": text,
                    "epoch": each.epoch,
                    "behaviour": each.behaviour.name.lower(),
                    "count": each.opening.count,
                    "attester": format_did(each.opening.attester, network),
                    "isProven": is_proven,
                }
            )
        for data in opened:
            text = format_did(data.did, network)
            name = data.behaviour.name.lower()
            found = (data.epoch, name, data.count, data.compute_commitment())
            known = client.run(calls.mining_statement(text)).records
            vehicle = next(
                (one.vehicle for one in known if (one.number, one.behaviour, one.count, one.commitment) == found), None
            )
            shown.append(
                {
                    "did": text,
                    "epoch": data.epoch,
                    "behaviour": name,
                    "count": data.count,
                    "attester": vehicle,
                    "isProven": vehicle is not None,
                }
            )
    output.show_list(shown, ["did", "epoch", "behaviour", "count", "attester", "isProven"], empty="no records")
    wrong = sum(not each["isProven"] for each in shown)
    if wrong:
        raise CommandFailedError(f"{wrong} of {len(shown)} records are not proven", ExitCode.FAILED)


@mining.command()
@click.argument("number", type=_EPOCH, metavar="EPOCH")
@click.option("--out", "file", type=_FILE, required=True, help="Parquet file; replaced when it is there.")
@node_option
@output_option
def collect(number: int, file: Path, node_url: str, output: Output) -> None:
    """Collect a day's records that vehicles vouched for from a node's blocks, for carlive mining build --vouched.

    It fails when the node has not all of them. More may come until the day is over.
    """
    _require_economy()
    from economy.mining_tables import write_vouched
    from node.cli.mining_collection import collect_vouched

    with connect(node_url) as client, _show_progress() as report:
        lines = collect_vouched(client, number, read_chain_facts(client).network, report)
        is_open = client.run(calls.mining_epoch(number)).is_open
    write_vouched(file, [(each.did, each.behaviour, each.count, each.vehicle, each.nullifier) for each in lines])
    numberless = sum(each.nullifier is None for each in lines)
    output.show_record(
        {"epoch": number, "isOpen": is_open, "records": len(lines), "withoutNumber": numberless, "file": str(file)}
    )


@mining.command("build")
@click.option("--records", required=True, metavar="PATTERN", help="Parquet files with the day's records.")
@click.option("--epoch", "number", type=_EPOCH, required=True, help="The day.")
@click.option("--out", "directory", type=_DIRECTORY, required=True, help="Where it is built; not the place of another.")
@click.option("--master-key", type=_FILE, required=True, help="Secret file, from which salts follow.")
@click.option("--vouched", type=_FILE, help="What carlive mining collect has written, of vehicles' own records.")
@click.option("--weights", type=_FILE, help="Parquet with did and weight, in place of the chain's.")
@click.option("--memory", "memory_mb", type=click.IntRange(256), default=4_096, show_default=True, help="MB.")
@click.option("--threads", type=click.IntRange(1), default=2, show_default=True, help="Processor cores.")
@click.option("--default-rules", is_flag=True, help="Ask no node: the rules are those of a new chain.")
@node_option
@output_option
def build(
    records: str,
    number: int,
    directory: Path,
    master_key: Path,
    vouched: Path | None,
    weights: Path | None,
    memory_mb: int,
    threads: int,
    default_rules: bool,
    node_url: str,
    output: Output,
) -> None:
    """Build a day's force and batch from records: what attesters sign, and whoever has records and key recomputes.

    A build that was interrupted goes on when it is started with the same records, rules, weights and key. A vehicle
    earns for who has its own record, so --vouched is needed when there are such records on the chain: all of them.

    Columns of records: did, behaviour, count, provider, vehicle, phone, attester (docs/mining.md).
    """
    _require_economy()
    from economy.duckdb_connection import EngineLimits
    from economy.mining_build import build_mining
    from economy.mining_layout import WEIGHTS_FILE
    from economy.mining_plan import BuildJob
    from economy.mining_tables import write_weights
    from node.platform_migration import load_or_create_master_key
    from vm.native.mining_formulas import Epoch
    from vm.native.mining_records import DEFAULT_VERSION

    version, vouched_force = DEFAULT_VERSION, 0
    with TemporaryDirectory(prefix="carlive-weights-") as place:
        if not default_rules:
            with connect(node_url) as client:
                version = _fetch_rules(client, number)
                vouched_force = client.run(calls.mining_epoch(number)).vouched_force
                _check_vouched(client, number, vouched)
                if weights is None:
                    weights = Path(place) / WEIGHTS_FILE
                    write_weights(weights, _fetch_weights(client, number))
        job = BuildJob(
            records=str(Path(records).absolute()),
            output=directory.absolute(),
            epoch=Epoch(number),
            version=version,
            master_key=load_or_create_master_key(master_key),
            vouched=vouched,
            vouched_force=vouched_force,
            weights=weights,
            limits=EngineLimits(memory_mb, threads),
        )
        with _show_progress() as report:
            built = _run(lambda: build_mining(job, report))
    output.show_record(
        {
            "epoch": number,
            "root": f"0x{built.root.hex()}",
            "records": built.records,
            "identities": built.identities,
            "force": built.batch_force,
            "manifestHash": f"0x{built.manifest_hash.hex()}",
            "totals": [
                {
                    "behaviour": total.behaviour.name.lower(),
                    "records": total.records,
                    "times": total.times,
                    "userForce": total.user_force,
                    "providerForce": total.provider_force,
                }
                for total in built.totals
            ],
        }
    )


@mining.command()
@click.argument("directory", type=_DIRECTORY, metavar="BUILD")
@_attesters_option
@click.option("--corrects", type=click.IntRange(1), default=None, metavar="N", help="The batch whose place it takes.")
@signing_options
@sending_options
def post(directory: Path, attesters: tuple[str, ...], corrects: int | None, signing: Signing, sending: Sending) -> None:
    """Post a built day as its batch, signed by all its attesters, of whom the first named has built it.

    One batch of a day stands: with --corrects, this one takes its place.

    For instance: carlive mining post day --attester DID1 --attester DID2 --by DID1=key1 --by DID2=key2 --from payer
    """
    _require_economy()
    from economy.mining_lookup import describe_batch

    def prepare(client: "Client", facts: "ChainFacts") -> Operation:
        described = _run(lambda: describe_batch(directory))
        dids = [parse_did_text(each, facts.network) for each in attesters]
        number = client.run(calls.mining_epoch(described.epoch)).batches + 1
        payload = _run(lambda: described.make_payload(dids, number, corrects or 0))
        return Operation("mining.post_batch", payload, find_signer(client, facts, dids[0]))

    send_operation(prepare, signing, sending)


@mining.command()
@click.argument("identity", metavar="DID")
@click.argument("weight", type=click.IntRange(0, 100))
@click.option("--reason", type=click.Choice(_REASONS), required=True, help="Why; cleared goes with 100.")
@click.option("--evidence", type=_FILE, required=True, help="What was found: its SHA-256 goes on the chain.")
@_attesters_option
@signing_options
@sending_options
def weigh(
    identity: str,
    weight: int,
    reason: str,
    evidence: Path,
    attesters: tuple[str, ...],
    signing: Signing,
    sending: Sending,
) -> None:
    """Let the force of DID count for WEIGHT hundredths, as attesters that agree."""
    from node.cli.mining_salts import hash_file
    from vm.native.mining_records import WeightPayload, WeightReason

    evidence_hash = hash_file(evidence)

    def prepare(client: "Client", facts: "ChainFacts") -> Operation:
        did = parse_did_text(identity, facts.network)
        dids = tuple(sorted(parse_did_text(each, facts.network) for each in attesters))
        turn = _fetch_turn(client, identity)
        payload = WeightPayload(did, dids, weight, WeightReason[reason.upper().replace("-", "_")], evidence_hash, turn)
        return Operation("mining.set_weight", payload, find_signer(client, facts, dids[0]))

    send_operation(prepare, signing, sending)


@mining.command()
@click.argument("identity", metavar="DID")
@click.option("--statement", "file", type=_FILE, required=True, help="What you say: its SHA-256 goes on the chain.")
@signing_options
@sending_options
def appeal(identity: str, file: Path, signing: Signing, sending: Sending) -> None:
    """Object to the weight of DID; attesters answer by setting it again, or it is full some days later."""
    from node.cli.mining_salts import hash_file
    from vm.native.mining_records import AppealPayload

    statement_hash = hash_file(file)

    def prepare(client: "Client", facts: "ChainFacts") -> Operation:
        did = parse_did_text(identity, facts.network)
        payload = AppealPayload(did, statement_hash, _fetch_turn(client, identity))
        return Operation("mining.appeal", payload, find_signer(client, facts, did))

    send_operation(prepare, signing, sending)


@mining.command()
@click.argument("identity", metavar="DID")
@click.argument("vehicle", metavar="VEHICLE")
@click.argument("behaviour")
@click.argument("count", type=click.IntRange(1))
@click.option("--data", "file", type=_FILE, required=True, help="What stands behind it: its salted hash goes on chain.")
@click.option("--epoch", "number", type=_EPOCH, default=None, help="The day.  [default: that of the last block]")
@signing_options
@sending_options
def record(
    identity: str,
    vehicle: str,
    behaviour: str,
    count: int,
    file: Path,
    number: int | None,
    signing: Signing,
    sending: Sending,
) -> None:
    """Record that DID did BEHAVIOUR so many times with VEHICLE; both sign, the vehicle with its own keys.

    Beside the data it leaves a file with the salt, which proves them to whoever is shown both. Keep it, and keep it
    secret.

    For instance: carlive mining record DID CAR car_started 1 --data trip.json --by alice --by CAR=car --from payer
    """
    from node.cli.mining_salts import commit_to_data, hash_file, load_or_create_salt
    from vm.native.mining_formulas import Behaviour, Epoch
    from vm.native.mining_records import RecordPayload

    what = Behaviour(get_behaviour_number(behaviour))
    hash_file(file)  # data that cannot be read get no salt
    commitment = commit_to_data(file, load_or_create_salt(file))

    def prepare(client: "Client", facts: "ChainFacts") -> Operation:
        did, car = parse_did_text(identity, facts.network), parse_did_text(vehicle, facts.network)
        epoch = Epoch(client.run(calls.mining_epoch(number)).number)
        payload = RecordPayload(did, car, epoch, what, count, commitment)
        return Operation("mining.record", payload, find_signer(client, facts, did))

    send_operation(prepare, signing, sending)


@mining.command()
@click.argument("directory", type=_DIRECTORY, metavar="BUILD")
@click.option("--out", "rewards", type=_DIRECTORY, required=True, help="Where the rewards go.")
@click.option(
    "--restated",
    is_flag=True,
    help="The batch was voided after its day was closed: this build is without what was proven wrong.",
)
@node_option
@output_option
def rewards(directory: Path, rewards: Path, restated: bool, node_url: str, output: Output) -> None:
    """Turn a built day into rewards at the price of its epoch, as input of a distribution.

    The build must be that of the batch which stands on the chain, down to its manifest. Rewards that are there already
    are replaced.
    """
    _require_economy()
    from economy.mining_lookup import describe_batch
    from economy.mining_tables import write_rewards

    described = _run(lambda: describe_batch(directory))
    with connect(node_url) as client:
        epoch = client.run(calls.mining_epoch(described.epoch))
        if epoch.outcome is None:
            raise CommandFailedError(f"epoch {described.epoch} is not closed yet", ExitCode.FAILED)
        standing = _find_standing_batch(client, described.epoch, epoch.batches)
    if standing is None and epoch.batches:
        if not restated:
            raise CommandFailedError(
                f"the batch of epoch {described.epoch} was voided: build the day without what was proven wrong, and "
                "say --restated; the attesters of the distribution must all have the same build",
                ExitCode.FAILED,
            )
    elif restated:
        raise CommandFailedError(f"no batch of epoch {described.epoch} was voided for good", ExitCode.FAILED)
    else:
        _check_same_build(described, standing, directory)
    price, released = epoch.outcome.price, epoch.outcome.released
    with _show_progress() as report:
        paid, grains = _run(lambda: write_rewards(directory, price, released, rewards, report))
    output.show_record({"price": str(price), "identities": paid, "reward": str(grains), "files": str(rewards)}, _GRAINS)


@mining.command()
@click.option("--output", "directory", type=_DIRECTORY, required=True, help="Where report and tables go.")
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed gives the same report.")
@click.option("--years", type=click.IntRange(1, 100), default=10, show_default=True, help="How long it plays.")
def simulate(directory: Path, seed: int, years: int) -> None:
    """Play years of mining: slow and fast growth, fake users, a crash; writes report.html and a CSV for each.

    It computes with the very formulas of the chain.
    """
    from economy.mining_report import REPORT_FILE, write_report
    from economy.mining_simulation import DAYS_PER_YEAR, SCENARIOS, simulate

    results = {}
    with _show_progress() as report:
        for scenario in SCENARIOS:

            def say(done: int, total: int, name: str = scenario.name) -> None:
                report(name, done, total)

            results[scenario] = simulate(scenario, years * DAYS_PER_YEAR, seed, say)
    write_report(directory, results, seed)
    output = Output("table")
    output.show_list(
        [
            {
                "scenario": scenario.name,
                "users": days[-1].users,
                "fund": str(days[-1].fund_grains),
                "reward": str(days[-1].reward_grains),
                "gini": f"{days[-1].gini:.3f}",
            }
            for scenario, days in results.items()
        ],
        ["scenario", "users", "fund", "reward", "gini"],
        _GRAINS,
    )
    output.show_text(f"written to {directory / REPORT_FILE}")


def _explain(client: "Client", identity: str, directory: Path, master_key: Path | None) -> dict[str, Any]:
    """From what was recorded on a day to what is paid for it."""
    _require_economy()
    from economy.mining_lookup import find_force, find_records, load_manifest
    from identity.did import format_did
    from vm.native.mining_formulas import compute_identity_force, compute_reward

    network = read_chain_facts(client).network
    did = parse_did_text(identity, network)
    number = _run(lambda: load_manifest(directory))["epoch"]
    key = bytes(32) if master_key is None else _load_master_key(master_key)
    claim = client.run(calls.mining_claim(number, identity))
    version = _fetch_rules(client, number)
    records = _run(lambda: find_records(directory, did, key))
    behaviours = _explain_behaviours(records, version)
    earned = sum(each["force"] for each in behaviours)
    user_force, provider_force = _run(lambda: find_force(directory, did))
    weighed = compute_identity_force(earned, version.rules.user_force_max, claim.weight)
    shown: dict[str, Any] = {
        "epoch": number,
        "behaviours": behaviours,
        "records": [
            {
                "behaviour": each.behaviour.name.lower(),
                "count": each.opening.count,
                "attester": format_did(each.opening.attester, network),
                "proof": _prove(directory, each, claim.batch) if master_key is not None else None,
            }
            for each in records
        ],
        "earned": earned,
        "limit": version.rules.user_force_max,
        "weight": claim.weight,
        "userForce": user_force,
        "isExplained": weighed == user_force,
        "providerForce": provider_force,
        "price": None if claim.price is None else str(claim.price),
    }
    if claim.price is not None:
        shown["reward"] = str(compute_reward(user_force + provider_force, claim.price))
    if claim.payout is not None:
        shown["claimed"] = str(claim.payout.claimed)
    return shown


def _explain_behaviours(records: "list[KeptRecord]", version: "RulesVersion") -> list[dict[str, Any]]:
    """Rule F1 for each behaviour, in numbers."""
    from vm.native.mining_formulas import compute_earned_force
    from vm.native.mining_records import find_behaviour

    shown = []
    for behaviour in sorted({record.behaviour for record in records}):
        times = sum(record.opening.count for record in records if record.behaviour is behaviour)
        rule = find_behaviour(version, behaviour)
        earning = None if rule is None else rule.user
        counted = 0 if earning is None else min(times, earning.count_max)
        words = "-"
        if earning is not None:
            words = f"{earning.base_force} each, halved after every {earning.full_count}, up to {earning.count_max}"
        shown.append(
            {
                "behaviour": behaviour.name.lower(),
                "times": times,
                "counted": counted,
                "force": 0 if earning is None else compute_earned_force(earning, counted),
                "formula": words,
            }
        )
    return shown


def _prove(directory: Path, record: "KeptRecord", batch: "MiningBatchView | None") -> str | None:
    """The number of the batch on the chain under whose root a record is proven; None: none that counts has it."""
    from economy.mining_lookup import prove_record
    from identity.mining_record import encode_mining_leaf
    from ledger.merkle import compute_leaf_hash, compute_path_root

    path = _run(lambda: prove_record(directory, record))
    root = compute_path_root(path, compute_leaf_hash(encode_mining_leaf(record.leaf)))
    return None if batch is None or batch.root != root else f"batch {batch.number}"


def _open_data(data: Path, did: "Did", epoch: int, known: "list[MiningRecordView]") -> "OpenedData":
    """What opens the commitment of a record on the chain; raises CommandFailedError."""
    from identity.mining_record import compute_data_commitment
    from node.cli.mining_proofs import OpenedData
    from node.cli.mining_salts import hash_file, load_salt
    from vm.native.mining_formulas import Behaviour

    salt, data_hash = load_salt(data), hash_file(data)
    commitment = compute_data_commitment(salt, data_hash)
    record = next((each for each in known if (each.number, each.commitment) == (epoch, commitment)), None)
    if record is None:
        raise CommandFailedError(f"no record of that day commits to {data}", ExitCode.FAILED)
    return OpenedData(did, epoch, Behaviour[record.behaviour.upper()], record.count, salt, data_hash)


def _check_vouched(client: "Client", number: int, vouched: Path | None) -> None:
    """That all records on the chain are given, and no others: whose they are, come first with their vehicles."""
    from economy.mining_plan import read_rows_count
    from economy.mining_queries import RECORD_COLUMNS

    known = client.run(calls.module_view(MODULE, "epoch", {"epoch": number})).value["record"]["vouchedRecords"]
    given = 0 if vouched is None else _run(lambda: read_rows_count(vouched, RECORD_COLUMNS))
    if given != known:
        raise CommandFailedError(
            f"records of vehicles on the chain: {known}, with --vouched: {given}; give --vouched of carlive mining "
            f"collect {number}, made when the day was over"
        )


def _find_standing_batch(client: "Client", number: int, batches: int) -> "BatchPayload | None":
    """The batch of an epoch that counts: the last one that was posted, unless it is void."""
    from ledger.codec import from_plain
    from rpc.arguments import describe_type, from_json
    from vm.native.mining_records import Batch, BatchStatus

    if batches == 0:
        return None
    value = client.run(calls.module_view(MODULE, "batch", {"epoch": number, "number": batches})).value
    batch = from_plain(Batch, from_json(describe_type(Batch), value, read_chain_facts(client).network))
    return batch.payload if batch.status is BatchStatus.STANDING else None


def _check_same_build(described: "DescribedBatch", standing: "BatchPayload | None", directory: Path) -> None:
    """Whether a build is that of the batch; a day on which only vehicles have vouched has none."""
    if (described.root if described.force else None) != (standing and standing.root):
        raise CommandFailedError(f"the batch that stands on the chain is not of {directory}", ExitCode.FAILED)
    if standing is not None and standing.manifest_hash != described.manifest_hash:
        raise CommandFailedError(
            f"{directory} has the root of the batch on the chain and another manifest: build it of copies of the same "
            "files, also those of --vouched and --weights",
            ExitCode.FAILED,
        )


def _fetch_weights(client: "Client", number: int) -> "list[tuple[Did, int]]":
    """All weights that are not full in an epoch."""
    network = read_chain_facts(client).network
    found, after = [], "0x"
    while after is not None:
        page = client.run(calls.module_view(MODULE, "weights", {"epoch": number, "after": after})).value
        found += [(parse_did_text(each["did"], network), each["weightHundredths"]) for each in page["weights"]]
        after = page["nextAfter"]
    return found


def _fetch_rules(client: "Client", number: int) -> "RulesVersion":
    from ledger.codec import from_plain
    from rpc.arguments import describe_type, from_json
    from vm.native.mining_records import RulesVersion

    value = client.run(calls.module_view(MODULE, "rules", {"epoch": number})).value
    return from_plain(RulesVersion, from_json(describe_type(RulesVersion), value, read_chain_facts(client).network))


def _fetch_turn(client: "Client", identity: str) -> int:
    """How often the weight of an identity was set."""
    decision = client.run(calls.mining_statement(identity)).decision
    return 0 if decision is None else decision.turn


def _load_master_key(path: Path) -> bytes:
    """Of the salts of a build that is there: another key would give other ones."""
    from node.platform_migration import load_master_key

    return load_master_key(path)


def _require_economy() -> None:
    """Builds are made and read with packages that a node does without."""
    try:
        import_module("economy.mining_build")
    except ModuleNotFoundError as error:
        raise CommandFailedError(f"{error.name} is missing: pip install 'carlive[economy]'") from None


def _run(act: Callable[[], Result]) -> Result:
    """What the builder finds wrong, as a sentence."""
    from economy.mining_plan import BuildError

    try:
        return act()
    except BuildError as error:
        raise CommandFailedError(str(error), ExitCode.FAILED) from None


@contextmanager
def _show_progress() -> Iterator[Report]:
    """A bar for each stage on a terminal's standard error."""
    from rich.console import Console
    from rich.progress import Progress, TaskID

    tasks: dict[str, TaskID] = {}
    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:

        def report(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = progress.add_task(stage, total=total)
            progress.update(tasks[stage], completed=done, total=total)

        yield report
