"""What a build of a day is of: rules, inputs and salts, known before it begins so that no other build goes on there."""

import hmac
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from economy.duckdb_connection import EngineLimits
from economy.mining_layout import SHARDS_MAX
from economy.mining_queries import RECORD_COLUMNS, WEIGHT_COLUMNS
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
    """Parquet files of gateways, also as a pattern."""
    output: Path
    epoch: Epoch
    version: RulesVersion
    master_key: bytes
    """From which the salts of records follow."""
    vouched: Path | None = None
    """Records that stand on the chain because vehicles vouched for them; their users come first (rule B2)."""
    vouched_force: int = 0
    """What the chain has counted of them."""
    weights: Path | None = None
    """Parquet with did and weight, of those whose weight is not full."""
    limits: EngineLimits = field(default_factory=EngineLimits)


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file that was given, by its content: names are different wherever it lies."""

    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Plan:
    """All that a build's result depends on."""

    epoch: Epoch
    rules: str
    """SHA-256 of the version."""
    rules_from: Epoch
    inputs: tuple[InputFile, ...]
    """Files of gateways, in the order of their hashes, each once."""
    vouched: InputFile | None
    weights: InputFile | None
    vouched_force: int
    shards: int
    """A power of two."""
    salts: str
    """Tells master keys apart: HMAC-SHA256, from which nothing follows of the key, nor of any salt."""


def make_plan(job: BuildJob) -> tuple[Plan, list[Path]]:
    """Read all inputs once, to hash them; raises BuildError.

    Returned with the plan are the files of records that stand in it: whatever is put beside them later is not built.
    """
    inputs = {_describe_file(path): path for path in _list_inputs(job.records)}
    vouched = {} if job.vouched is None else {_describe_file(job.vouched): job.vouched}
    weights = None
    if job.weights is not None:
        weights = _describe_file(job.weights)
        read_rows_count(job.weights, WEIGHT_COLUMNS)
    files = list((inputs | vouched).values())
    plan = Plan(
        epoch=job.epoch,
        rules=sha256(encode(job.version)).hexdigest(),
        rules_from=job.version.first_epoch,
        inputs=tuple(sorted(inputs, key=lambda each: each.sha256)),
        vouched=next(iter(vouched), None),
        weights=weights,
        vouched_force=job.vouched_force,
        shards=_count_shards(sum(read_rows_count(path, RECORD_COLUMNS) for path in files)),
        salts=hmac.digest(job.master_key, _MARK_DOMAIN, "sha256").hex(),
    )
    return plan, files


def plan_to_json(plan: Plan) -> dict[str, Any]:
    """As it stands in its file."""
    content = asdict(plan)
    return content | {"inputs": list(content["inputs"])}


def _list_inputs(pattern: str) -> list[Path]:
    """Files of records, at least one, in the order of their names; raises BuildError."""
    path = Path(pattern)
    found = sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor))))
    if path.is_file() and found != [path]:
        if found:  # else whoever delivers such a file would decide which others count
            raise BuildError(f"{pattern} is the name of a file, and a pattern for others; rename the file")
        found = [path]
    if not found:
        raise BuildError(f"there are no files {pattern}")
    return found


def read_rows_count(path: Path, columns: Mapping[str, str]) -> int:
    """How many rows a file has; raises BuildError if it is not Parquet with these columns, no others, and their kinds.

    Kinds are Ibis's names of types: any integer may stand for another one, because values are checked later. All else
    that engines would convert is refused: floats, decimals, texts, dates.
    """
    try:
        metadata = pq.read_metadata(path)
    except (pa.ArrowException, OSError):
        raise refuse_columns(path, columns) from None
    kinds = sorted((each.path, _get_kind(each)) for each in map(metadata.schema.column, range(metadata.num_columns)))
    if kinds != sorted((name, "bytes" if kind == "binary" else "integer") for name, kind in columns.items()):
        raise refuse_columns(path, columns)
    return int(metadata.num_rows)


def refuse_columns(files: Path | str, columns: Mapping[str, str]) -> BuildError:
    """What is said of files of another form."""
    shown = ", ".join(f"{name} ({'bytes' if kind == 'binary' else 'integer'})" for name, kind in columns.items())
    return BuildError(f"{files}: no Parquet with exactly the columns {shown}")


def _get_kind(column: pq.ColumnSchema) -> str:
    """As engines read it: what Arrow says of the file besides does not count."""
    if column.max_repetition_level == 0:
        match column.physical_type, column.logical_type.type:
            case (("BYTE_ARRAY" | "FIXED_LEN_BYTE_ARRAY"), "NONE"):
                return "bytes"
            case (("INT32" | "INT64"), ("NONE" | "INT")):
                return "integer"
    return "other"


def _count_shards(records: int) -> int:
    shards = 1
    while shards < SHARDS_MAX and shards * RECORDS_PER_SHARD < records:
        shards *= 2
    return shards


def _describe_file(path: Path) -> InputFile:
    try:
        with path.open("rb") as file:
            return InputFile(path.stat().st_size, file_digest(file, "sha256").hexdigest())
    except OSError as error:
        raise BuildError(f"{path} cannot be read: {error.strerror}") from None
