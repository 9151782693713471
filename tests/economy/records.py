"""Records of beneficiaries as Parquet files, drawn from a seed."""

from collections.abc import Iterable, Sequence
from hashlib import sha256
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.distribution_scene import Key


def beneficiary(number: int) -> bytes:
    """Kind and id of the number-th beneficiary: every third one is an account."""
    kind = 1 if number % 3 == 0 else 2
    return bytes([kind]) + sha256(str(number).encode()).digest()[:20]


def key_of(encoded: bytes) -> Key:
    """The same as the scene of the module has it."""
    return encoded[0], encoded[1:]


def write_records(path: Path, rows: Iterable[tuple[bytes | None, int | None]]) -> Path:
    """A file of records; each row is a beneficiary and an amount."""
    listed = list(rows)
    table = pa.table(
        {
            "beneficiary": pa.array([each for each, _ in listed], pa.binary()),
            "amount_grains": pa.array([amount for _, amount in listed], pa.int64()),
            "reference": pa.array([f"record {index}" for index in range(len(listed))], pa.string()),
        }
    )
    pq.write_table(table, path)
    return path


def draw_rows(seed: str, beneficiaries: int, records: int) -> list[tuple[bytes, int]]:
    """Records that depend on the seed alone."""
    rows = []
    for index in range(records):
        digest = sha256(f"{seed} {index}".encode()).digest()
        number = int.from_bytes(digest[:4], "big") % beneficiaries
        rows.append((beneficiary(number), int.from_bytes(digest[4:8], "big")))
    return rows


def add_up(*lists: Sequence[tuple[bytes, int]]) -> dict[Key, int]:
    """Lifetime totals, the plain way."""
    totals: dict[Key, int] = {}
    for rows in lists:
        for encoded, amount in rows:
            totals[key_of(encoded)] = totals.get(key_of(encoded), 0) + amount
    return {key: total for key, total in totals.items() if total}
