"""From a day's records to force, by the engine: stage after stage, each of which is skipped where its files are.

| in `work/`               | content                                                       | there until             |
|--------------------------|---------------------------------------------------------------|-------------------------|
| records/shard=N/         | all records of a shard                                        | the shard is computed   |
| vehicles/NNN, phones/NNN | vehicles or phones of a shard, with their identities          | the lost ones are found |
| lost_vehicles, …phones   | rule B2: those behind several identities, and whom each earns | the end                 |
| users/NNN                | force of a shard's users                                      | its forces are merged   |
| provided/NNN             | how often a shard's users were served, and by whom            | providers are computed  |
| user_sums/NNN            | a shard's part of the totals; written last of what is its own | the end                 |
| provider_sums, providers | totals of providers over all shards, and then their force     | the end                 |

All are Parquet. A stage has an engine of its own, so that what it spills to the disk goes with it.
"""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import pyarrow.parquet as pq
from ibis.expr.types import Table

from economy import mining_queries as queries
from economy.mining_layout import FORCES, RECORDS, SHARDS_MAX, WORK, express_shard, get_shard_file
from economy.mining_plan import BuildError, BuildJob, Report, refuse_columns
from economy.tables import Engine, UnreadableFilesError, express_files, open_tables, quote
from economy.whole_files import put_directory, put_file
from identity.did import DID_BYTES
from vm.native.mining_formulas import COUNT_MAX, WEIGHT_FULL, Behaviour, compute_earned_force
from vm.native.mining_records import BehaviourTotal

THINGS_PER_SLICE: Final = 20_000_000  # about 3 GB while vehicles and phones are compared
_SPILL: Final = "spill"
_PARTITIONED_ROWS: Final = 32_768  # of each shard, in memory before they are written: 1 GB of 256 shards
_ID_BYTES: Final = {"did": DID_BYTES, "provider": DID_BYTES, "attester": DID_BYTES, "vehicle": 32, "phone": 32}
_OPTIONAL: Final = ("provider", "vehicle", "phone")
_THINGS: Final = ("vehicle", "phone")


def partition_records(job: BuildJob, files: Sequence[Path], shards: int, report: Report) -> None:
    """Check what was given and write records by shard; raises BuildError for files of another form."""
    target = job.output / WORK / "records"
    if target.exists():
        return
    report("partition", 0, 1)
    with _open_engine(job) as engine:
        _bind_weights(engine, job)  # which are needed later, and may be wrong as well
        try:
            engine.bind_files("incoming", files)
            _check_records(engine, job)
        except UnreadableFilesError:
            raise refuse_columns(job.records, queries.RECORD_COLUMNS) from None
        kinds = {"behaviour": "CAST(behaviour AS UTINYINT) AS behaviour", "count": "CAST(count AS UINTEGER) AS count"}
        columns = ", ".join(kinds.get(name, name) for name in queries.RECORD_COLUMNS)
        # Else files are closed and others opened all the time: thousands of them, and half as large again.
        engine.run(f"SET partitioned_write_max_open_files = {SHARDS_MAX}")

        def write(part: Path) -> None:
            part.mkdir()
            engine.run(
                f"COPY (SELECT {columns}, {express_shard(shards)} AS shard FROM incoming) TO {quote(part)} "
                f"(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {_PARTITIONED_ROWS}, PARTITION_BY (shard))"
            )

        put_directory(target, write)
    report("partition", 1, 1)


def find_lost(job: BuildJob, shards: int, report: Report) -> None:
    """Rule B2, over all shards, a slice of vehicles and phones at a time."""
    for name in _THINGS:
        target, things = _get_lost_file(job, name), job.output / WORK / f"{name}s"
        if not target.exists():
            things.mkdir(exist_ok=True)
            with _open_engine(job) as engine:
                _collect_things(engine, job, shards, name, report)
                engine.bind_files("shares", [get_shard_file(things, shard) for shard in range(shards)])
                _bind_vouched(engine, job, name)
                _compare_things(engine, job, name, report)
                put_file(target, partial(engine.write_query, "SELECT * FROM lost"))
        shutil.rmtree(things, ignore_errors=True)


def compute_users(job: BuildJob, shards: int, report: Report) -> None:
    """Records that count, force of users, and what providers have done, shard by shard."""
    work = job.output / WORK
    for directory in (job.output / RECORDS, *[work / name for name in ("users", "provided", "user_sums")]):
        directory.mkdir(exist_ok=True)
    with _open_rules(job) as engine:
        for name in _THINGS:
            engine.bind_files(f"lost_{name}s", [_get_lost_file(job, name)])
        for shard in range(shards):
            if not get_shard_file(work / "user_sums", shard).exists():
                _compute_shard(engine, job, shard)
            shutil.rmtree(_get_source(job, shard), ignore_errors=True)
            report("shards", shard + 1, shards)


def compute_providers(job: BuildJob, shards: int) -> None:
    """Force of providers, over all shards."""
    work = job.output / WORK
    if not (work / "providers.parquet").exists():
        with _open_rules(job) as engine:
            engine.bind_files("provided", [get_shard_file(work / "provided", shard) for shard in range(shards)])
            engine.materialise("provider_forces", queries.compute_provider_forces())
            _put_table(engine, queries.sum_providers_by_behaviour(), work / "provider_sums.parquet")
            totals = queries.compute_provider_totals(job.version.rules.provider_force_max)
            _put_table(engine, totals, work / "providers.parquet")
    shutil.rmtree(work / "provided", ignore_errors=True)


def merge_forces(job: BuildJob, shards: int, report: Report) -> int:
    """Both sides together; returns how much force there is."""
    forces, work = job.output / FORCES, job.output / WORK
    forces.mkdir(exist_ok=True)
    with _open_engine(job) as engine:
        engine.bind_files("providers", [work / "providers.parquet"])
        for shard in range(shards):
            users, target = get_shard_file(work / "users", shard), get_shard_file(forces, shard)
            if not target.exists():
                engine.run(
                    f"CREATE OR REPLACE VIEW forces AS SELECT * FROM {express_files([users])} "
                    f"UNION ALL SELECT * FROM providers WHERE {express_shard(shards)} = {shard}"
                )
                _put_table(engine, queries.merge_forces(), target)
            users.unlink(missing_ok=True)
            report("forces", shard + 1, shards)
        engine.bind_files("forces", [get_shard_file(forces, shard) for shard in range(shards)])
        ((_, force),) = engine.fetch(queries.sum_forces())
    return force or 0


def read_totals(output: Path) -> tuple[BehaviourTotal, ...]:
    """What all shards and their providers come to, by behaviour."""
    sums: dict[int, list[int]] = {}
    for row in _read_rows(sorted((output / WORK / "user_sums").glob("*.parquet"))):
        entry = sums.setdefault(row["behaviour"], [0, 0, 0, 0])
        for index, name in enumerate(("records", "times", "force")):
            entry[index] += row[name]
    for row in _read_rows([output / WORK / "provider_sums.parquet"]):
        sums[row["behaviour"]][3] += row["force"]
    return tuple(BehaviourTotal(Behaviour(number), *sums[number]) for number in sorted(sums))


# Steps


def _open_engine(job: BuildJob) -> AbstractContextManager[Engine]:
    return open_tables(job.limits, job.output / _SPILL)


@contextmanager
def _open_rules(job: BuildJob) -> Iterator[Engine]:
    """An engine with the tables of rules and weights."""
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
    with _open_engine(job) as engine:
        engine.bind_rows("earnings", dict(queries.EARNINGS.schema()), rows)
        engine.bind_rows("limits", dict(queries.LIMITS.schema()), limits)
        _bind_weights(engine, job)
        yield engine


def _bind_weights(engine: Engine, job: BuildJob) -> None:
    if job.weights is None:
        engine.bind_rows("weights", dict(queries.WEIGHTS.schema()), [])
        return
    try:
        engine.bind_files("given_weights", [job.weights])
        engine.run("CREATE OR REPLACE TABLE weights AS SELECT did, CAST(weight AS BIGINT) AS weight FROM given_weights")
    except UnreadableFilesError:
        raise refuse_columns(job.weights, queries.WEIGHT_COLUMNS) from None
    wrong = (
        f"did IS NULL OR octet_length(did) <> {DID_BYTES} OR weight IS NULL OR weight NOT BETWEEN 0 AND {WEIGHT_FULL}"
    )
    if _has_rows(engine, f"SELECT did FROM weights WHERE {wrong}"):
        raise BuildError(f"{job.weights} holds a weight that is not from 0 to {WEIGHT_FULL}, or of no identity")
    if _has_rows(engine, "SELECT did FROM weights GROUP BY did HAVING count(*) > 1"):
        raise BuildError(f"{job.weights} holds two weights of one identity")


def _has_rows(engine: Engine, query: str) -> bool:
    """Whether a query, in DuckDB's words and with identities, finds any."""
    engine.run(f"CREATE OR REPLACE TABLE found AS SELECT did FROM ({query}) LIMIT 1")
    ((count,),) = engine.fetch(queries.count_identities("found"))
    return bool(count)


def _check_records(engine: Engine, job: BuildJob) -> None:
    """Refuse files that are not records: what is computed from garbage would be signed."""
    behaviours = ", ".join(str(int(rule.behaviour)) for rule in job.version.behaviours)
    wrong = [f"octet_length({name}) <> {size}" for name, size in _ID_BYTES.items()]
    wrong += [f"{name} IS NULL" for name in queries.RECORD_COLUMNS if name not in _OPTIONAL]
    wrong += [f"count NOT BETWEEN 1 AND {COUNT_MAX}", f"behaviour NOT IN ({behaviours})"]
    if _has_rows(engine, f"SELECT did FROM incoming WHERE {' OR '.join(wrong)}"):
        raise BuildError(
            f"{job.records} holds a record of a wrong form, of a behaviour without a rule, or with a count that is not "
            f"from 1 to {COUNT_MAX}"
        )


def _collect_things(engine: Engine, job: BuildJob, shards: int, name: str, report: Report) -> None:
    """Each with each of its identities once: those of an identity are in its shard."""
    for shard in range(shards):
        target = get_shard_file(job.output / WORK / f"{name}s", shard)
        if not target.exists():
            _bind_source(engine, job, shard)
            query = f"SELECT DISTINCT {name} AS thing, did FROM records WHERE {name} IS NOT NULL"
            put_file(target, partial(engine.write_query, query))
        report(f"{name}s", shard + 1, shards)


def _bind_vouched(engine: Engine, job: BuildJob, name: str) -> None:
    """Whom the chain has with a thing; of phones it knows nothing."""
    if job.vouched is None or name != "vehicle":
        engine.bind_rows("vouched", dict(queries.VOUCHED.schema()), [])
        return
    engine.run(
        "CREATE OR REPLACE TABLE vouched AS SELECT DISTINCT vehicle AS thing, did "
        f"FROM {express_files([job.vouched])} WHERE vehicle IS NOT NULL"
    )


def _compare_things(engine: Engine, job: BuildJob, name: str, report: Report) -> None:
    ((count,),) = engine.fetch(queries.count_identities("shares"))
    bounds = _cut(count // THINGS_PER_SLICE + 1)
    engine.run(f"CREATE OR REPLACE TABLE lost ({name} BLOB, did BLOB)")
    for done, (first, last) in enumerate(bounds):
        engine.materialise("found", queries.find_lost(job.epoch, first, last))
        engine.run("INSERT INTO lost SELECT thing, did FROM found")
        report(f"shared {name}s", done + 1, len(bounds))


def _cut(slices: int) -> list[tuple[bytes, bytes | None]]:
    """Even parts of all ids by their first two bytes."""
    firsts = [(number * 65_536 // slices).to_bytes(2, "big") for number in range(slices)]
    return list(zip(firsts, [*firsts[1:], None], strict=True))


def _compute_shard(engine: Engine, job: BuildJob, shard: int) -> None:
    work, kept = job.output / WORK, get_shard_file(job.output / RECORDS, shard)
    _bind_source(engine, job, shard)
    _put_table(engine, queries.keep_records(), kept)
    engine.bind_files("kept", [kept])
    engine.materialise("user_forces", queries.compute_user_forces())
    totals = queries.compute_user_totals(job.version.rules.user_force_max)
    _put_table(engine, totals, get_shard_file(work / "users", shard))
    engine.materialise("served", queries.compute_served())
    _put_table(engine, queries.compute_provided(job.epoch), get_shard_file(work / "provided", shard))
    _put_table(engine, queries.sum_users_by_behaviour(), get_shard_file(work / "user_sums", shard))


def _bind_source(engine: Engine, job: BuildJob, shard: int) -> None:
    """All records of a shard, of which there may be none."""
    source = _get_source(job, shard)
    if source.exists():
        engine.bind_files("records", sorted(source.glob("*.parquet")))
    else:
        engine.bind_rows("nobody", queries.RECORD_COLUMNS, [])
        engine.run("CREATE OR REPLACE VIEW records AS SELECT * FROM nobody")


def _put_table(engine: Engine, expression: Table, path: Path) -> None:
    """Unless it is there."""
    if not path.exists():
        put_file(path, partial(engine.write, expression))


def _read_rows(paths: Sequence[Path]) -> Iterator[dict[str, Any]]:
    for path in paths:
        yield from pq.read_table(path).to_pylist()


def _get_source(job: BuildJob, shard: int) -> Path:
    return job.output / WORK / "records" / f"shard={shard}"


def _get_lost_file(job: BuildJob, name: str) -> Path:
    return job.output / WORK / f"lost_{name}s.parquet"
