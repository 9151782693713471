"""Scenarios `distribution-build` and `distribution-claim`: a root over 10^6, and what 10^5 claims cost the chain."""

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from bench.apply import BENCH_CHAIN_ID, FundedChain, build_block, commit_state, open_funded_chain
from bench.floor import measure_floor
from bench.migration import read_peak_mib
from bench.report import Result
from bench.transfers import BenchAccount, sign_calls
from economy.distribution_build import BuildOptions, build_distribution
from economy.duckdb_connection import EngineLimits
from identity.address import Address
from identity.did import Did
from identity.keys import KeyType
from ledger.codec import encode, to_plain
from ledger.merkle import InclusionPath, Sibling, compute_leaf_hash, compute_next_level
from ledger.primitives import Grains, Height, TimeMs
from ledger.state_keys import did_key
from ledger.transaction import decode_transaction
from node.collector import calm_collector
from node.execution import Execution
from tests.did_scene import DidScene
from vm.gas import GAS_SIGNATURE, GAS_TRANSACTION, compute_intrinsic_gas
from vm.native.did_records import get_active_did
from vm.native.distribution_records import (
    Breaker,
    ManifestHash,
    PostedRoot,
    SourceId,
    SourceRules,
    create_source,
    fund_source,
    get_source,
    put_root,
    put_source,
)
from vm.native.distribution_tree import (
    EMPTY_SHARD,
    SHARDS,
    BeneficiaryKind,
    Leaf,
    ProvenLeaf,
    Shard,
    build_shard,
    compute_epoch_root,
    compute_shard_number,
    encode_leaf,
    prove_shard,
)

Progress = Callable[[str], None]
BENEFICIARIES = 1_000_000
SHARDS_CLAIMED = 26  # a tenth of those of 10^6: proofs are as long as if all were there
CLAIMS_IN_CALL = 50
BLOCK_CLAIMS = 1_000
LIFETIME_GRAINS = 1_000
ROOT_NUMBER = 1
NS_A_GAS_MAX = 50.0
GAS_LIMIT_EACH = 6_000


async def run_distribution_build(progress: Progress) -> list[Result]:
    """The first root over 10^6 beneficiaries, and the next one, each in a process of its own that is measured."""
    return await asyncio.to_thread(_run_build, progress)


def _run_build(progress: Progress) -> list[Result]:
    floor = measure_floor()
    results = []
    with tempfile.TemporaryDirectory(prefix="carlive-bench-") as place:
        previous = None
        for name in ("first", "next"):
            progress(f"drawing {BENEFICIARIES:,} records")
            records, target = Path(place) / f"{name}.parquet", Path(place) / name
            _write_records(records, name)
            progress(f"building the {name} root")
            command = [sys.executable, "-m", "bench.distribution", str(records), str(target)]
            command += [] if previous is None else [str(previous)]
            answer = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
            assert answer["leaves"] == BENEFICIARIES, "everybody has a leaf"
            size = sum(path.stat().st_size for path in (target / "shards").iterdir())
            details = {"peak MiB": round(answer["peak_mib"]), "MB of shards": round(size / 1e6, 1)}
            unit = f"s for the {name} root over 10^6"
            results.append(Result("distribution-build", answer["seconds"], unit, floor, None, details=details))
            previous = target
    return results


def _write_records(path: Path, seed: str) -> None:
    """One record for each beneficiary, half of them accounts."""
    amounts = [int.from_bytes(sha256(f"{seed} {index}".encode()).digest()[:4], "big") for index in range(BENEFICIARIES)]
    table = pa.table(
        {
            "beneficiary": pa.array([bytes([1 + index % 2]) + _draw_id(index) for index in range(BENEFICIARIES)]),
            "amount_grains": pa.array(amounts, pa.int64()),
            "reference": pa.array([seed] * BENEFICIARIES),
        }
    )
    pq.write_table(table, path)


def _draw_id(index: int) -> bytes:
    return sha256(b"beneficiary %d" % index).digest()[:20]


@dataclass(frozen=True, slots=True)
class ClaimCase:
    """Whose claims are measured, and how many stand in a transaction."""

    kind: BeneficiaryKind
    in_call: int

    @property
    def name(self) -> str:
        """As it is printed."""
        whose = "accounts" if self.kind is BeneficiaryKind.ACCOUNT else "identities"
        return f"{whose}, {self.in_call} in a call"


async def run_distribution_claim(progress: Progress) -> list[Result]:
    """About 10^5 claims of a distribution to 10^6, executed and written in blocks, without signatures."""
    floor = measure_floor()
    cases = [ClaimCase(kind, in_call) for kind in BeneficiaryKind for in_call in (1, CLAIMS_IN_CALL)]
    leaves: dict[BeneficiaryKind, list[ProvenLeaf]] = {kind: [] for kind in BeneficiaryKind}
    with open_funded_chain(BLOCK_CLAIMS, progress) as funded:
        progress("building the shards")
        for each in _open_source(funded):
            leaves[each.leaf.kind].append(each)
        seconds = claims = 0.0
        details: dict[str, object] = {}
        dearest = 0.0
        sequences = [0] * len(funded.senders)
        for case in cases:
            half = len(leaves[case.kind]) // 2
            taken = leaves[case.kind][:half] if case.in_call == 1 else leaves[case.kind][half:]
            measured = await _measure_claims(funded, case, taken, sequences, progress)
            seconds, claims = seconds + measured.seconds, claims + measured.claims
            dearest = max(dearest, measured.ns_a_gas)
            details[f"{case.name}: gas each"] = round(measured.gas / measured.claims)
            details[f"{case.name}: us each"] = round(measured.seconds * 1e6 / measured.claims, 1)
            details[f"{case.name}: ns a gas"] = round(measured.ns_a_gas, 1)
        _check_paid(funded, int(claims))
    for name, value in details.items():
        print(f"{value:>8} {name}")
    return [
        Result("distribution-claim", claims / seconds, "claims/s", floor, None, details=details),
        Result("distribution-claim-gas", dearest, "ns a gas, dearest", floor, None, NS_A_GAS_MAX, at_most=True),
    ]


@dataclass(frozen=True, slots=True)
class Measured:
    """Time and gas of claims."""

    claims: int
    seconds: float
    """Of this process's processor time: down to the disk, signatures apart."""
    gas: int
    """Without what is paid for bytes and signatures."""

    @property
    def ns_a_gas(self) -> float:
        """Everything that a block takes, against that."""
        return self.seconds * 1e9 / self.gas


async def _measure_claims(
    funded: FundedChain, case: ClaimCase, taken: list[ProvenLeaf], sequences: list[int], progress: Progress
) -> Measured:
    calls = [taken[start : start + case.in_call] for start in range(0, len(taken), case.in_call)]
    progress(f"signing claims of {case.name}")
    raws = []
    for index, proven in enumerate(calls):
        sender = index % len(funded.senders)
        raws.append(_sign_claim(funded, funded.senders[sender], sequences[sender], proven))
        sequences[sender] += 1
    calm_collector()
    execution = Execution(funded.chain, funded.domain, None)
    size = BLOCK_CLAIMS // case.in_call
    seconds, gas = 0.0, 0
    for start in range(0, len(raws), size):
        progress(f"{case.name}: {start * case.in_call:,} of {len(taken):,}")
        transactions = [decode_transaction(raw) for raw in raws[start : start + size]]
        block = build_block(funded.chain, transactions)
        started_s = time.process_time()
        committed = await execution.execute(block, transactions)
        seconds += time.process_time() - started_s
        assert all(receipt.status == 0 for receipt in committed.receipts), "every claim of the benchmark is paid"
        gas += sum(receipt.gas_used for receipt in committed.receipts)
        gas -= sum(compute_intrinsic_gas(each) - GAS_TRANSACTION for each in transactions)
    return Measured(len(taken), seconds, gas)


def _sign_claim(funded: FundedChain, sender: BenchAccount, sequence: int, proven: list[ProvenLeaf]) -> bytes:
    arguments = [1, ROOT_NUMBER, [to_plain(each) for each in proven]]
    gas_limit = GAS_LIMIT_EACH * len(proven) + GAS_SIGNATURE[KeyType.ED25519]
    calls = [["distribution", "claim", arguments]]
    return sign_calls(sender, sequence, calls, gas_limit, BENCH_CHAIN_ID, funded.domain)


def _open_source(funded: FundedChain) -> list[ProvenLeaf]:
    """A source whose root counts, its beneficiaries in the state, and what they claim with."""
    by_shard: list[list[tuple[int, bytes, int]]] = [[] for _ in range(SHARDS)]
    for index in range(BENEFICIARIES):
        kind, identifier = 1 + index % 2, _draw_id(index)
        number = compute_shard_number(kind, identifier)
        if number < SHARDS_CLAIMED:
            by_shard[number].append((kind, identifier, LIFETIME_GRAINS))
    built = [build_shard(sorted(each)) for each in by_shard[:SHARDS_CLAIMED]]
    shards = tuple([shard for shard, _ in built] + [EMPTY_SHARD] * (SHARDS - SHARDS_CLAIMED))
    total = Grains(sum(shard.total_grains for shard in shards))
    proven = [each for number, (_, leaves) in enumerate(built) for each in _prove_all(shards, number, leaves)]
    _put_identities(funded, [each.leaf for each in proven])
    state, payer = funded.chain.open_state(), funded.senders[0].address
    attester = next(Did(each.leaf.id) for each in proven if each.leaf.kind is BeneficiaryKind.DID)
    breaker = Breaker(86_400_000, total, 10_000, total)
    source = create_source(state, SourceRules("bench", payer, (attester,), 1, 1, breaker))
    fund_source(state, source, payer, total, funded.chain.head.header.time_ms)
    root = PostedRoot(
        compute_epoch_root(shards), total, ManifestHash(bytes(32)), 0, TimeMs(0), TimeMs(1), Height(1), None
    )
    put_root(state, source, ROOT_NUMBER, root)
    opened = get_source(state, source)
    put_source(state, source, replace(opened, roots=1, latest=ROOT_NUMBER, promised_grains=total))
    commit_state(funded.chain, state.changes)
    return proven


def _prove_all(shards: tuple[Shard, ...], number: int, leaves: tuple[Leaf, ...]) -> list[ProvenLeaf]:
    """The proofs of a whole shard, whose levels are hashed once."""
    levels = [[compute_leaf_hash(encode_leaf(each)) for each in leaves]]
    while len(levels[-1]) > 1:
        levels.append(compute_next_level(levels[-1]))
    shard = prove_shard(shards, number)
    return [ProvenLeaf(leaf, _read_path(levels, index), shard) for index, leaf in enumerate(leaves)]


def _read_path(levels: list[list[bytes]], index: int) -> InclusionPath:
    places = [(level, index >> depth) for depth, level in enumerate(levels)]
    return InclusionPath(
        tuple([Sibling(bool(place & 1), level[place ^ 1]) for level, place in places if place ^ 1 < len(level)])
    )


def _put_identities(funded: FundedChain, leaves: list[Leaf]) -> None:
    """Identities with an account each; a record is that of a person with one key."""
    scene = DidScene()
    record = get_active_did(scene.state, scene.create("person"))
    dids = [Did(each.id) for each in leaves if each.kind is BeneficiaryKind.DID]
    for start in range(0, len(dids), 10_000):
        state = funded.chain.open_state()
        for did in dids[start : start + 10_000]:
            account = Address(sha256(did).digest()[:20])
            state.put(did_key(did), encode(replace(record, account=account)))
        commit_state(funded.chain, state.changes)


def _check_paid(funded: FundedChain, claims: int) -> None:
    found = get_source(funded.chain.open_state(), SourceId(1))
    assert found.claimed_grains == claims * LIFETIME_GRAINS, "what was claimed was paid once"


def _build(records: Path, directory: Path, previous: Path | None) -> None:
    """What the measured process does: build, and print what it took."""
    started_s = time.perf_counter()
    options = BuildOptions(limits=EngineLimits(memory_mb=1_000))
    manifest, _ = build_distribution([records], previous, directory, options, lambda *_: None)
    seconds = time.perf_counter() - started_s
    leaves = sum(each.leaves for each in manifest.shards)
    print(json.dumps({"leaves": leaves, "seconds": seconds, "peak_mib": read_peak_mib()}))


if __name__ == "__main__":
    paths = [Path(each) for each in sys.argv[1:]]
    _build(paths[0], paths[1], paths[2] if len(paths) > 2 else None)
