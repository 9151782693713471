"""From a day's records to force, batch and rewards: what attesters run, and whoever wants to recompute them.

| file                       | content                                                                               |
|----------------------------|---------------------------------------------------------------------------------------|
| records/NNN.parquet        | records that count, in the order of the leaves (columns of mining_queries.KEPT)       |
| hashes/NNN                 | hashes of their leaves, 32 bytes each; one tree a shard                               |
| roots                      | roots of the shards, 32 bytes each                                                    |
| forces/NNN.parquet         | did, user_force, provider_force                                                       |
| manifest.json              | inputs, rules, totals and root; its hash stands in the batch                          |

The NNN are shards: identities by the first bits of their ids, which are hashes and so spread evenly. Memory does not
grow with the number of identities; the widest table, of vehicles and phones with their identities, is cut in slices.
"""

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from hashlib import file_digest, sha256
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from economy import mining_queries as queries
from economy.tables import Engine, EngineLimits, UnreadableFilesError, quote
from identity.did import DID_BYTES, Did
from identity.mining_record import (
    NO_TAG,
    MiningLeaf,
    RecordOpening,
    TagKind,
    compute_record_commitment,
    compute_tag,
    derive_record_salt,
    encode_place,
)
from ledger.codec import encode
from ledger.merkle import InclusionPath, build_inclusion_path, compute_leaf_hash, compute_root
from ledger.primitives import HASH_BYTES, RootHash
from vm.native.mining_formulas import Behaviour, Epoch, compute_earned_force, compute_reward
from vm.native.mining_records import BatchPayload, BehaviourTotal, RulesVersion

SHARDS_MAX: Final = 256  # by the first byte of an id
RECORDS_PER_SHARD: Final = 1_500_000  # about 0.5 GB while one is computed
THINGS_PER_SLICE: Final = 20_000_000  # about 3 GB while vehicles and phones are compared
_MANIFEST: Final = "manifest.json"
_ROOTS: Final = "roots"
_TOTAL_FIELDS: Final = ("records", "times", "user_force", "provider_force")
_BATCH_ROWS: Final = 65_536
_ID_BYTES: Final = {"did": DID_BYTES, "provider": DID_BYTES, "attester": DID_BYTES, "vehicle": 32, "phone": 32}
_BENEFICIARY_DID: Final = bytes([2])  # what a distribution writes before the id of an identity
_OPTIONAL: Final = ("provider", "vehicle", "phone")

Report = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and of how much."""


class BuildError(Exception):
    """Records or files that nothing can be built from; one sentence."""


@dataclass(frozen=True, slots=True)
class BuildJob:
    """What is built, and where."""

    records: str
    """Parquet files, also as a pattern."""
    output: Path
    epoch: Epoch
    version: RulesVersion
    master_key: bytes
    """From which the salts of records follow."""
    vouched_force: int = 0
    """What the chain has counted of records that vehicles vouched for; they stand in the records as well."""
    weights: Path | None = None
    """Parquet with did and weight, of those whose weight is not full."""
    limits: EngineLimits = field(default_factory=EngineLimits)


@dataclass(frozen=True, slots=True)
class Built:
    """What a day's records come to."""

    root: RootHash
    records: int
    identities: int
    force: int
    """Of all identities."""
    batch_force: int
    """Without what the chain has counted already; what the batch states."""
    totals: tuple[BehaviourTotal, ...]
    manifest_hash: bytes


@dataclass(frozen=True, slots=True)
class DescribedBatch:
    """What a build states, before anybody signs it."""

    epoch: Epoch
    root: RootHash
    force: int
    totals: tuple[BehaviourTotal, ...]
    manifest_hash: bytes

    def make_payload(self, attesters: Sequence[Did], number: int, corrected: int) -> BatchPayload:
        """What the attesters sign, the first of whom has built it."""
        records = sum(total.records for total in self.totals)
        ordered = tuple(sorted(set(attesters)))
        counted = self.root, records, self.force, self.totals, self.manifest_hash
        return BatchPayload(attesters[0], self.epoch, number, corrected, ordered, *counted)


@dataclass(frozen=True, slots=True)
class KeptRecord:
    """A record that counts, with all that proves it."""

    did: Did
    behaviour: Behaviour
    provider: Did | None
    vehicle: bytes | None
    phone: bytes | None
    opening: RecordOpening
    leaf: MiningLeaf
    index: int
    """In its shard."""


def build_mining(job: BuildJob, report: Report) -> Built:
    """Build all of it; raises BuildError, OSError. What stands in the output directory is replaced."""
    _clear(job.output)
    engine = Engine(job.limits, job.output / "spill")
    try:
        shards = _partition(engine, job, report)
        _bind_tables(engine, job)
        _find_lost(engine, job, report)
        users = _compute_shards(engine, job, shards, report)
        providers = _compute_providers(engine, job, shards)
        identities, force = _write_forces(engine, job, shards, report)
    finally:
        engine.close()
    shutil.rmtree(job.output / "work")
    shutil.rmtree(job.output / "spill")
    root = _hash_records(job, shards, report)
    totals = _build_totals(users, providers)
    records = sum(total.records for total in totals)
    manifest_hash = _write_manifest(job, shards, root, totals, force)
    batch_force = max(0, force - job.vouched_force)
    return Built(root, records, identities, force, batch_force, totals, manifest_hash)


def write_weights(path: Path, weights: Sequence[tuple[Did, int]]) -> None:
    """Weights that are not full, as a build reads them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {
        "did": pa.array([did for did, _ in weights], type=pa.binary()),
        "weight": pa.array([weight for _, weight in weights], type=pa.int64()),
    }
    pq.write_table(pa.table(columns), path)


def write_vouched(path: Path, lines: Iterable[tuple[Did, int, int, Did, bytes | None]]) -> None:
    """Records that vehicles vouched for, as a build reads them.

    Lines are user, behaviour, count, vehicle, nullifier of its number. The vehicle is who saw it, so it stands as the
    attester.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    kinds = {"behaviour": pa.uint8(), "count": pa.uint32()}
    schema = pa.schema([(name, kinds.get(name, pa.binary())) for name in queries.RECORD_COLUMNS])
    rows = [
        {
            "did": did,
            "behaviour": behaviour,
            "count": count,
            "provider": None,
            "vehicle": nullifier,
            "phone": None,
            "attester": vehicle,
        }
        for did, behaviour, count, vehicle, nullifier in lines
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema), path)


def write_rewards(directory: Path, price_micrograins: int, output: Path, report: Report) -> tuple[int, int]:
    """Rewards of all identities at a price, as records of a distribution. Returns how many there are and their sum.

    Every reward is rounded down, so their sum is at most what the epoch has released, and the rest stays. The Parquet
    files have the columns beneficiary (kind, 1 byte ‖ id, 20 bytes), amount_grains and reference, which is the epoch.
    Raises BuildError.
    """
    epoch = load_manifest(directory)["epoch"]
    output.mkdir(parents=True, exist_ok=True)
    schema = pa.schema([("beneficiary", pa.binary()), ("amount_grains", pa.int64()), ("reference", pa.int64())])
    paid = paid_grains = 0
    paths = sorted((directory / "forces").glob("*.parquet"))
    for done, path in enumerate(paths):
        with pq.ParquetWriter(output / path.name, schema, compression="zstd") as writer:
            for batch in pq.ParquetFile(path).iter_batches(_BATCH_ROWS):
                dids = batch.column("did").to_pylist()
                sides = zip(
                    batch.column("user_force").to_pylist(), batch.column("provider_force").to_pylist(), strict=True
                )
                grains = [compute_reward(user + provider, price_micrograins) for user, provider in sides]
                pairs = [(did, amount) for did, amount in zip(dids, grains, strict=True) if amount > 0]
                paid += len(pairs)
                paid_grains += sum(amount for _, amount in pairs)
                columns = [
                    pa.array([_BENEFICIARY_DID + did for did, _ in pairs], type=pa.binary()),
                    pa.array([amount for _, amount in pairs], type=pa.int64()),
                    pa.array([epoch] * len(pairs), type=pa.int64()),
                ]
                writer.write_batch(pa.record_batch(columns, schema=schema))
        report("rewards", done + 1, len(paths))
    return paid, paid_grains


def load_manifest(directory: Path) -> dict[str, Any]:
    """What a build has come to; raises BuildError."""
    try:
        loaded: dict[str, Any] = json.loads((directory / _MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BuildError(f"{directory} holds no complete build") from None
    return loaded


def describe_batch(directory: Path) -> "DescribedBatch":
    """A build as it can be posted; raises BuildError."""
    manifest = load_manifest(directory)
    totals = [
        BehaviourTotal(Behaviour[each["behaviour"].upper()], *[each[name] for name in _TOTAL_FIELDS])
        for each in manifest["totals"]
    ]
    return DescribedBatch(
        Epoch(manifest["epoch"]),
        RootHash(bytes.fromhex(manifest["root"])),
        max(0, manifest["force"] - manifest["vouched_force"]),
        tuple(totals),
        sha256((directory / _MANIFEST).read_bytes()).digest(),
    )


def find_records(directory: Path, did: Did, master_key: bytes) -> list[KeptRecord]:
    """All records of an identity that count; raises BuildError."""
    manifest = load_manifest(directory)
    path = directory / "records" / f"{_get_shard(did, manifest['shards']):03}.parquet"
    table = pq.read_table(path)
    indexes = pc.indices_nonzero(pc.equal(table["did"], pa.scalar(did, table["did"].type)))
    rows = zip(table.take(indexes).to_pylist(), indexes.to_pylist(), strict=True)
    return [_open_record(row, index, Epoch(manifest["epoch"]), master_key) for row, index in rows]


def find_force(directory: Path, did: Did) -> tuple[int, int]:
    """What an identity has earned as a user and as a provider; raises BuildError."""
    path = directory / "forces" / f"{_get_shard(did, load_manifest(directory)['shards']):03}.parquet"
    table = pq.read_table(path, filters=[("did", "=", did)])
    rows = table.to_pylist()
    return (rows[0]["user_force"], rows[0]["provider_force"]) if rows else (0, 0)


def prove_record(directory: Path, record: KeptRecord) -> InclusionPath:
    """That a record stands in the batch: the path in its shard, and then that of the shard."""
    shards = load_manifest(directory)["shards"]
    number = _get_shard(record.did, shards)
    inner = build_inclusion_path(_read_hashes(directory, number), record.index)
    outer = build_inclusion_path(_cut_hashes((directory / _ROOTS).read_bytes()), number)
    return InclusionPath((*inner.siblings, *outer.siblings))


# Steps


def _clear(output: Path) -> None:
    """A build that was interrupted leaves nothing that is taken for complete."""
    for name in (_MANIFEST, _ROOTS, "work", "spill", "records", "forces", "hashes"):
        path = output / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    for name in ("work", "records", "forces", "hashes"):
        (output / name).mkdir(parents=True)


def _partition(engine: Engine, job: BuildJob, report: Report) -> int:
    """Records by shard; returns how many shards there are, a power of two."""
    if not _list_inputs(job.records):
        raise BuildError(f"there are no files {job.records}")
    try:
        engine.bind_files("incoming", job.records)
        _check_records(engine, job)
    except UnreadableFilesError:
        raise BuildError(
            f"{job.records} are no Parquet files with columns {', '.join(queries.RECORD_COLUMNS)}"
        ) from None
    ((count,),) = engine.fetch(queries.count_identities("incoming"))
    shards = 1
    while shards < SHARDS_MAX and shards * RECORDS_PER_SHARD < count:
        shards *= 2
    report("partition", 0, 1)
    (job.output / "work" / "records").mkdir()
    columns = ", ".join(queries.RECORD_COLUMNS)
    shard = f"CAST('0x' || left(hex(did), 2) AS UTINYINT) // {SHARDS_MAX // shards}"
    engine.run(
        f"COPY (SELECT {columns}, {shard} AS shard FROM incoming) TO {quote(job.output / 'work' / 'records')} "
        "(FORMAT parquet, COMPRESSION zstd, PARTITION_BY (shard))"
    )
    for kind in ("vehicle", "phone"):
        engine.run(
            f"COPY (SELECT DISTINCT {kind} AS thing, did FROM incoming WHERE {kind} IS NOT NULL) "
            f"TO {quote(job.output / 'work' / f'{kind}.parquet')} (FORMAT parquet, COMPRESSION zstd)"
        )
    report("partition", 1, 1)
    return shards


def _check_records(engine: Engine, job: BuildJob) -> None:
    """Refuse files that are not records: what is computed from garbage would be signed."""
    behaviours = ", ".join(str(int(rule.behaviour)) for rule in job.version.behaviours)
    wrong = [f"octet_length({name}) <> {size}" for name, size in _ID_BYTES.items()]
    wrong += [f"{name} IS NULL" for name in queries.RECORD_COLUMNS if name not in _OPTIONAL]
    wrong += ["count = 0", f"behaviour NOT IN ({behaviours})"]
    engine.run(f"CREATE OR REPLACE TABLE wrong AS SELECT did FROM incoming WHERE {' OR '.join(wrong)} LIMIT 1")
    ((count,),) = engine.fetch(queries.count_identities("wrong"))
    if count:
        raise BuildError(f"{job.records} holds a record of a wrong form, or of a behaviour without a rule")


def _bind_tables(engine: Engine, job: BuildJob) -> None:
    rows, limits = [], []
    for rule in job.version.behaviours:
        user, provider = rule.user, rule.provider
        limits.append(
            (
                int(rule.behaviour),
                None if user is None else user.count_max,
                None if provider is None else provider.count_max,
            )
        )
        highest = max(earning.count_max for earning in (user, provider) if earning is not None)
        for times in range(highest + 1):
            forces = [0 if each is None else compute_earned_force(each, times) for each in (user, provider)]
            rows.append((int(rule.behaviour), times, *forces))
    engine.bind_rows("earnings", dict(queries.EARNINGS.schema()), rows)
    engine.bind_rows("limits", dict(queries.LIMITS.schema()), limits)
    if job.weights is None:
        engine.bind_rows("weights", dict(queries.WEIGHTS.schema()), [])
    else:
        engine.run(
            "CREATE OR REPLACE TABLE weights AS SELECT did, CAST(weight AS BIGINT) AS weight "
            f"FROM read_parquet({quote(job.weights)})"
        )


def _find_lost(engine: Engine, job: BuildJob, report: Report) -> None:
    """Rule B2, over all shards, a slice of vehicles and phones at a time."""
    for name in ("vehicle", "phone"):
        engine.bind_files("shares", str(job.output / "work" / f"{name}.parquet"))
        ((count,),) = engine.fetch(queries.count_identities("shares"))
        bounds = _cut(count // THINGS_PER_SLICE + 1)
        table = f"lost_{name}s"
        engine.run(f"CREATE OR REPLACE TABLE {table} ({name} BLOB, did BLOB)")
        for done, (first, last) in enumerate(bounds):
            engine.materialise("found", queries.find_lost(first, last))
            engine.run(f"INSERT INTO {table} SELECT thing, did FROM found")
            report(f"shared {name}s", done + 1, len(bounds))


def _cut(slices: int) -> list[tuple[bytes, bytes | None]]:
    """Even parts of all ids by their first two bytes."""
    firsts = [(number * 65_536 // slices).to_bytes(2, "big") for number in range(slices)]
    return list(zip(firsts, [*firsts[1:], None], strict=True))


def _compute_shards(engine: Engine, job: BuildJob, shards: int, report: Report) -> list[tuple[int, int, int, int]]:
    """Records, users and what providers have done, shard by shard; returns the users' part of the totals."""
    force_max = job.version.rules.user_force_max
    rows: list[tuple[int, int, int, int]] = []
    for name in ("users", "provided"):
        (job.output / "work" / name).mkdir()
    for shard in range(shards):
        source = job.output / "work" / "records" / f"shard={shard}"
        if source.exists():
            engine.bind_files("records", str(source / "*.parquet"))
        else:
            engine.run("CREATE OR REPLACE VIEW records AS SELECT * FROM incoming WHERE false")
        kept = job.output / "records" / f"{shard:03}.parquet"
        engine.write(queries.keep_records(), kept)
        engine.bind_files("kept", str(kept))
        engine.materialise("user_forces", queries.compute_user_forces())
        rows += engine.fetch(queries.sum_users_by_behaviour())
        engine.write(queries.compute_user_totals(force_max), job.output / "work" / "users" / f"{shard:03}.parquet")
        engine.write(queries.compute_provided(), job.output / "work" / "provided" / f"{shard:03}.parquet")
        if source.exists():
            shutil.rmtree(source)
        report("shards", shard + 1, shards)
    return rows


def _compute_providers(engine: Engine, job: BuildJob, shards: int) -> list[tuple[int, int]]:
    """Providers over all shards; returns their part of the totals."""
    engine.bind_files("provided", str(job.output / "work" / "provided" / "*.parquet"))
    engine.materialise("provider_forces", queries.compute_provider_forces())
    engine.materialise("providers", queries.compute_provider_totals(job.version.rules.provider_force_max))
    return engine.fetch(queries.sum_providers_by_behaviour())


def _write_forces(engine: Engine, job: BuildJob, shards: int, report: Report) -> tuple[int, int]:
    """Both sides together; returns how many identities have force, and how much."""
    for shard in range(shards):
        users = job.output / "work" / "users" / f"{shard:03}.parquet"
        number = f"CAST('0x' || left(hex(did), 2) AS UTINYINT) // {SHARDS_MAX // shards}"
        engine.run(
            f"CREATE OR REPLACE VIEW forces AS SELECT * FROM read_parquet({quote(users)}) "
            f"UNION ALL SELECT * FROM providers WHERE {number} = {shard}"
        )
        engine.write(queries.merge_forces(), job.output / "forces" / f"{shard:03}.parquet")
        report("forces", shard + 1, shards)
    engine.bind_files("forces", str(job.output / "forces" / "*.parquet"))
    ((identities, force),) = engine.fetch(queries.sum_forces())
    return identities, force or 0


def _hash_records(job: BuildJob, shards: int, report: Report) -> RootHash:
    """Leaves and shard roots, by as many processes as the job may have threads."""
    roots: list[RootHash] = []
    tasks = [(job.output, shard, job.epoch, job.master_key) for shard in range(shards)]
    if job.limits.threads == 1 or shards == 1:
        results: Iterator[RootHash] = map(_hash_shard, tasks)
        for root in results:
            roots.append(root)
            report("leaves", len(roots), shards)
    else:
        # Not forked: the engine's threads may hold locks, and its memory would be theirs as well.
        with ProcessPoolExecutor(job.limits.threads, mp_context=get_context("spawn")) as pool:
            for root in pool.map(_hash_shard, tasks):
                roots.append(root)
                report("leaves", len(roots), shards)
    (job.output / _ROOTS).write_bytes(b"".join(roots))
    return compute_root(roots)


def _hash_shard(task: tuple[Path, int, Epoch, bytes]) -> RootHash:
    output, shard, epoch, master_key = task
    hashes = bytearray()
    for batch in pq.ParquetFile(output / "records" / f"{shard:03}.parquet").iter_batches(_BATCH_ROWS):
        hashes += b"".join(_hash_leaves(batch, epoch, master_key))
    (output / "hashes" / f"{shard:03}").write_bytes(hashes)
    return compute_root(_cut_hashes(bytes(hashes)))


def _hash_leaves(batch: pa.RecordBatch, epoch: Epoch, master_key: bytes) -> Iterator[bytes]:
    """The same as those of _open_record, without objects that nobody looks at: half of a build's time is here."""
    columns = [batch.column(name).to_pylist() for name in (*queries.ACT, "count", "attester")]
    last_did, user = None, NO_TAG
    for did, behaviour, provider, vehicle, phone, count, attester in zip(*columns, strict=True):
        if did != last_did:
            last_did, user = did, compute_tag(TagKind.USER, epoch, did)
        tags = (
            user,
            compute_tag(TagKind.PROVIDER, epoch, provider),
            compute_tag(TagKind.VEHICLE, epoch, vehicle),
            compute_tag(TagKind.PHONE, epoch, phone),
        )
        place = encode_place(behaviour, epoch, tags)
        opening = RecordOpening(count, attester, derive_record_salt(master_key, place))
        yield compute_leaf_hash(place + compute_record_commitment(opening))


def _open_record(row: dict[str, Any], index: int, epoch: Epoch, master_key: bytes) -> KeptRecord:
    """A row with its salt, tags and leaf."""
    behaviour = Behaviour(row["behaviour"])
    tags = (
        compute_tag(TagKind.USER, epoch, row["did"]),
        compute_tag(TagKind.PROVIDER, epoch, row["provider"]),
        compute_tag(TagKind.VEHICLE, epoch, row["vehicle"]),
        compute_tag(TagKind.PHONE, epoch, row["phone"]),
    )
    salt = derive_record_salt(master_key, encode_place(behaviour, epoch, tags))
    opening = RecordOpening(row["count"], Did(row["attester"]), salt)
    leaf = MiningLeaf(behaviour, epoch, *tags, compute_record_commitment(opening))
    provider = None if row["provider"] is None else Did(row["provider"])
    return KeptRecord(Did(row["did"]), behaviour, provider, row["vehicle"], row["phone"], opening, leaf, index)


def _read_hashes(directory: Path, shard: int) -> list[bytes]:
    return _cut_hashes((directory / "hashes" / f"{shard:03}").read_bytes())


def _cut_hashes(joined: bytes) -> list[bytes]:
    return [joined[start : start + HASH_BYTES] for start in range(0, len(joined), HASH_BYTES)]


def _get_shard(did: Did, shards: int) -> int:
    return did[0] // (SHARDS_MAX // shards)


def _build_totals(
    users: Sequence[tuple[int, int, int, int]], providers: Sequence[tuple[int, int]]
) -> tuple[BehaviourTotal, ...]:
    sums: dict[int, list[int]] = {}
    for behaviour, records, times, force in users:
        entry = sums.setdefault(behaviour, [0, 0, 0, 0])
        for index, value in enumerate((records, times, force)):
            entry[index] += value
    for behaviour, force in providers:
        sums[behaviour][3] += force
    return tuple(BehaviourTotal(Behaviour(number), *sums[number]) for number in sorted(sums))


def _write_manifest(job: BuildJob, shards: int, root: RootHash, totals: Sequence[BehaviourTotal], force: int) -> bytes:
    """All that is needed to recompute the build but the salts' key; returns its hash."""
    inputs = _list_inputs(job.records)
    if job.weights is not None:
        inputs.append(job.weights)
    manifest = {
        "epoch": job.epoch,
        "rules": sha256(encode(job.version)).hexdigest(),
        "rules_from": job.version.first_epoch,
        "inputs": [{"name": path.name, "sha256": _hash_file(path)} for path in inputs],
        "vouched_force": job.vouched_force,
        "force": force,
        "shards": shards,
        "root": root.hex(),
        "totals": [{**asdict(total), "behaviour": total.behaviour.name.lower()} for total in totals],
    }
    text = json.dumps(manifest, indent=1, sort_keys=True) + "\n"
    (job.output / _MANIFEST).write_text(text, encoding="utf-8")
    return sha256(text.encode()).digest()


def _list_inputs(pattern: str) -> list[Path]:
    path = Path(pattern)
    return sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor))))


def _hash_file(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
