"""Where a build of a day keeps what; all that is told by name is complete."""

from pathlib import Path
from typing import Final

from identity.did import Did
from ledger.primitives import HASH_BYTES

SHARDS_MAX: Final = 256  # by the first byte of an id
BATCH_ROWS: Final = 65_536  # of a table that is read by Python: some ten MB
WORK: Final = "work"
RECORDS: Final = "records"
FORCES: Final = "forces"
HASHES: Final = "hashes"
ROOTS_FILE: Final = "roots"
MANIFEST_FILE: Final = "manifest.json"
WEIGHTS_FILE: Final = "weights.parquet"


def get_shard(did: Did, shards: int) -> int:
    """In which of so many shards an identity is; their number is a power of two."""
    return did[0] // (SHARDS_MAX // shards)


def express_shard(shards: int) -> str:
    """The same of the column `did`, in DuckDB's words."""
    return f"CAST('0x' || left(hex(did), 2) AS UTINYINT) // {SHARDS_MAX // shards}"


def get_shard_file(directory: Path, shard: int) -> Path:
    """Where the table of a shard is, among those of the others."""
    return directory / f"{shard:03}.parquet"


def get_hashes_file(output: Path, shard: int) -> Path:
    """Where the hashes of a shard's leaves are."""
    return output / HASHES / f"{shard:03}"


def read_hashes(path: Path) -> list[bytes]:
    """All hashes of a file."""
    joined = path.read_bytes()
    return [joined[start : start + HASH_BYTES] for start in range(0, len(joined), HASH_BYTES)]
