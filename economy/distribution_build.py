"""Builds the root of a distribution from records and the epoch before, and recomputes shards of it.

| in the directory | content                                                                         |
|------------------|---------------------------------------------------------------------------------|
| plan.json        | of which inputs this is; written first: another build does not go on here       |
| earned/          | sums of the records, by shard; there when complete, gone when all shards are    |
| shards/NNN.parquet | a shard's rows in the order of its leaves                                     |
| manifest.json    | everything that was signed and posted; written last                             |

A build that was killed goes on with what is there: every name appears when its content is complete. What others hand
over is believed as far as it gives the hashes of its manifest: lifetime totals of the epoch before are taken from rows
whose root was computed a moment ago, shard by shard, and from no file but those of its 256 shards.
"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from typing import Final

import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq

from economy.build_plan import OtherBuildError, settle_plan
from economy.distribution_engines import Engine, EngineName, open_engine
from economy.distribution_lifetimes import RECORD_COLUMNS, TOTAL_COLUMNS, add_up_records
from economy.distribution_manifest import (
    MANIFEST_FILE,
    InputFile,
    Manifest,
    Plan,
    ShardSummary,
    UnusableError,
    encode_manifest,
    plan_to_json,
    read_manifest,
)
from economy.distribution_shards import (
    NO_ROWS,
    ShardRows,
    arrange_rows,
    get_shard_path,
    read_shard,
    read_summary,
    summarise,
    write_shard,
)
from economy.duckdb_connection import EngineLimits
from economy.whole_files import put_content, put_directory
from ledger.primitives import INTEGER_MAX
from vm.native.distribution_records import ManifestHash
from vm.native.distribution_tree import SHARDS

LIMITS_DEFAULT: Final = EngineLimits(memory_mb=2_000)  # what the engine adds up spills well
INPUTS_MAX: Final = 4_096  # each is opened, and stands in the manifest
_EARNED: Final = "earned"
_SPILL: Final = "spill"

Report = Callable[[str, int, int], None]
"""Told what is being done, how far it is, and of how much; of 0: nobody knows."""


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """What has no influence on the result."""

    engine: EngineName = "duckdb"
    limits: EngineLimits = LIMITS_DEFAULT


def build_distribution(
    records: Sequence[Path], previous: Path | None, directory: Path, options: BuildOptions, report: Report
) -> tuple[Manifest, ManifestHash]:
    """Build into a directory, or go on where a build of the same was interrupted; raises UnusableError."""
    plan = _make_plan(records, previous, report)
    try:
        settle_plan(directory, plan_to_json(plan))
    except OtherBuildError as error:
        raise UnusableError(str(error)) from None
    if not (directory / MANIFEST_FILE).exists():
        shards = _build_shards(records, previous, directory, options, report)
        counted, rows = sum(each.records for each in shards), sum(pq.read_metadata(path).num_rows for path in records)
        if counted != rows:
            raise UnusableError(
                f"{counted} of {rows} records were counted: a file was changed meanwhile, or {directory} was; "
                "build in a new directory"
            )
        total = sum(each.total_grains for each in shards)
        if total > INTEGER_MAX:
            raise UnusableError(f"all together have earned {total} grains, more than there can be")
        encoded = encode_manifest(Manifest(plan, shards))
        put_content(directory / MANIFEST_FILE, encoded)
    shutil.rmtree(directory / _EARNED, ignore_errors=True)
    return read_manifest(directory)


def recompute_shard(
    records: Sequence[Path], previous: Path | None, directory: Path, number: int, options: BuildOptions
) -> ShardSummary:
    """A shard from the inputs alone; raises UnusableError when they are not those of the directory's manifest."""
    manifest, _ = read_manifest(directory)
    if _make_plan(records, previous, lambda *_: None) != manifest.plan:
        raise UnusableError("these are not the inputs of the manifest")
    spill = directory / f"{_SPILL}-{number:03}"
    with open_engine(options.engine, options.limits, spill) as engine:
        earned = engine.fetch(_express(engine, records, f"{number:02x}"))
    arranged, count = arrange_rows(earned, _open_base(previous)(number), number)
    return summarise(arranged, count)


# Plans


def _make_plan(records: Sequence[Path], previous: Path | None, report: Report) -> Plan:
    """Hash the inputs; the same content twice would pay twice."""
    if not 1 <= len(records) <= INPUTS_MAX:
        raise UnusableError(f"a build has 1 to {INPUTS_MAX} files of records")
    inputs: dict[InputFile, Path] = {}
    for index, path in enumerate(records):
        report("hashing inputs", index, len(records))
        described = _describe_input(path)
        if described in inputs:
            raise UnusableError(f"{path} and {inputs[described]} are the same records, which would be paid twice")
        inputs[described] = path
    ordered = tuple(sorted(inputs, key=lambda each: each.sha256))
    if previous is None:
        return Plan(ordered, None)
    before, manifest_hash = read_manifest(previous)
    for each in ordered:
        if each in before.plan.inputs:
            raise UnusableError(f"{inputs[each]} was paid with the epoch before")
    return Plan(ordered, manifest_hash.hex())


def _describe_input(path: Path) -> InputFile:
    try:
        with path.open("rb") as file:
            digest = file_digest(file, "sha256").hexdigest()
        schema = pq.read_schema(path)
    except (OSError, pa.ArrowException) as error:
        raise UnusableError(f"{path}: {error}") from None
    if len({name.lower() for name in schema.names}) != len(schema.names):
        raise UnusableError(f"{path} has two columns of the same name, of which engines would choose one")
    missing = [name for name in RECORD_COLUMNS if name not in schema.names]
    if missing:
        raise UnusableError(f"{path} has no column {missing[0]}; records have {', '.join(RECORD_COLUMNS)}")
    kind, amount = schema.field("beneficiary").type, schema.field("amount_grains").type
    if not (pa.types.is_binary(kind) or pa.types.is_fixed_size_binary(kind)) or not pa.types.is_integer(amount):
        raise UnusableError(f"{path}: beneficiary is binary and amount_grains an integer, not {kind} and {amount}")
    return InputFile(path.stat().st_size, digest)


# Shards


def _build_shards(
    records: Sequence[Path], previous: Path | None, directory: Path, options: BuildOptions, report: Report
) -> tuple[ShardSummary, ...]:
    (directory / "shards").mkdir(exist_ok=True)
    read_base, earned = _open_base(previous), directory / _EARNED
    if not earned.exists():
        report("adding up", 0, 0)
        with open_engine(options.engine, options.limits, directory / _SPILL) as engine:
            rows = _express(engine, records, None)
            put_directory(earned, lambda part: engine.write_shards(rows, part))
    summaries = []
    for number in range(SHARDS):
        report("hashing shards", number, SHARDS)
        path = get_shard_path(directory, number)
        if path.exists():
            summaries.append(read_summary(path, number))
            continue
        part = _read_earned(earned / f"shard={number:02x}")
        arranged, count = arrange_rows(part, read_base(number), number)
        summaries.append(summarise(arranged, count))
        write_shard(path, arranged, summaries[-1])
    report("hashing shards", SHARDS, SHARDS)
    return tuple(summaries)


def _open_base(previous: Path | None) -> Callable[[int], ShardRows]:
    """The rows of each shard of the epoch before, as its manifest has them."""
    if previous is None:
        return lambda _: NO_ROWS
    manifest, _ = read_manifest(previous)
    return lambda number: read_shard(previous, manifest, number)


def _express(engine: Engine, records: Sequence[Path], shard: str | None) -> ir.Table:
    return add_up_records([engine.read(path) for path in records], engine.shard_of, shard)


def _read_earned(directory: Path) -> pa.Table:
    """What an engine has written of one shard; nothing: nobody is in it."""
    files = sorted(directory.glob("*.parquet"))
    columns = ["beneficiary", *TOTAL_COLUMNS]
    if not files:
        return pa.table({name: [] for name in columns})
    try:
        tables = [pq.ParquetFile(path).read(columns=columns) for path in files]
    except (OSError, pa.ArrowException) as error:
        raise UnusableError(f"{directory} is damaged, build in a new directory: {error}") from None
    return pa.concat_tables([each.replace_schema_metadata(None) for each in tables])
