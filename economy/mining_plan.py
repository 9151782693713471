"""What a build of a day is of: rules, inputs and salts, known before it begins so that no other build goes on there."""

import hmac
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from economy.duckdb_connection import EngineLimits
from economy.mining_layout import SHARDS_MAX
from economy.mining_queries import RECORD_COLUMNS
from ledger.codec import encode
from vm.native.mining_formulas import Epoch
from vm.native.mining_records import RulesVersion

RECORDS_PER_SHARD: Final = 1_500_000  # about 0.5 GB while one is computed; of more than 384 million records, more
_MARK_DOMAIN: Final = b"carlive mining plan\0"

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
class InputFile:
    """A file that was given."""

    name: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Plan:
    """All that a build's result depends on."""

    epoch: Epoch
    rules: str
    """SHA-256 of the version."""
    rules_from: Epoch
    inputs: tuple[InputFile, ...]
    weights: InputFile | None
    vouched_force: int
    shards: int
    """A power of two."""
    salts: str
    """Tells master keys apart: HMAC-SHA256, from which nothing follows of the key, nor of any salt."""


def make_plan(job: BuildJob) -> Plan:
    """Read all inputs once, to hash them; raises BuildError."""
    paths = list_inputs(job.records)
    if not paths:
        raise BuildError(f"there are no files {job.records}")
    return Plan(
        epoch=job.epoch,
        rules=sha256(encode(job.version)).hexdigest(),
        rules_from=job.version.first_epoch,
        inputs=tuple(_describe_file(path) for path in paths),
        weights=None if job.weights is None else _describe_file(job.weights),
        vouched_force=job.vouched_force,
        shards=_count_shards(sum(_count_records(job, path) for path in paths)),
        salts=hmac.digest(job.master_key, _MARK_DOMAIN, "sha256").hex(),
    )


def plan_to_json(plan: Plan) -> dict[str, Any]:
    """As it stands in its file."""
    content = asdict(plan)
    return content | {"inputs": list(content["inputs"])}


def refuse_columns(job: BuildJob) -> BuildError:
    """What is said of files of another form."""
    return BuildError(f"{job.records} are no Parquet files with columns {', '.join(RECORD_COLUMNS)}")


def list_inputs(pattern: str) -> list[Path]:
    """Files of records, in the order of their names."""
    path = Path(pattern)
    return sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor))))


def _count_shards(records: int) -> int:
    shards = 1
    while shards < SHARDS_MAX and shards * RECORDS_PER_SHARD < records:
        shards *= 2
    return shards


def _count_records(job: BuildJob, path: Path) -> int:
    try:
        return int(pq.read_metadata(path).num_rows)
    except pa.ArrowInvalid:
        raise refuse_columns(job) from None


def _describe_file(path: Path) -> InputFile:
    try:
        with path.open("rb") as file:
            return InputFile(path.name, file_digest(file, "sha256").hexdigest())
    except OSError as error:
        raise BuildError(f"{path} cannot be read: {error.strerror}") from None
