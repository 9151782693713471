"""Lifetime totals from records, as expressions that every engine turns into its own SQL; integers only.

A record pays a beneficiary: `beneficiary` (kind, 1 byte ‖ id, 20 bytes), `amount_grains` (64 bits), `reference` (what
for, in words or numbers of the source's own; not looked at here). Sums are decimals of 38 digits, which 10^19 records
do not fill; whether they fit into a leaf is seen when the shard is hashed, as is everything else that may be wrong
with a record, so that the records are read once.
"""

from collections.abc import Callable
from functools import reduce
from typing import Final

import ibis
import ibis.expr.types as ir

SUM_TYPE: Final = "decimal(38, 0)"
"""Of every number that is added up: DuckDB's sum of 64-bit integers has 128 bits, which Parquet holds as a float."""
TOTAL_COLUMNS: Final = ("lifetime_grains", "lowest_grains", "missing", "records")
RECORD_COLUMNS: Final = ("beneficiary", "amount_grains", "reference")
SHARD_COLUMNS: Final = ("beneficiary", "lifetime_grains")

ShardOf = Callable[[ir.BinaryColumn], ir.StringColumn]
"""The shard of a beneficiary, as two hexadecimal digits, in the words of an engine."""


def build_lifetimes(
    records: list[ir.Table], previous: ir.Table | None, shard_of: ShardOf, shard: str | None = None
) -> ir.Table:
    """One row a beneficiary, of one shard or of all.

    Columns: `beneficiary`, `lifetime_grains`, `lowest_grains` (the smallest amount), `missing` (rows without an
    amount), `records` (rows that are not of the epoch before), `shard`.
    """
    parts = [_take(table, "amount_grains", 1) for table in records]
    if previous is not None:
        parts.append(_take(previous, "lifetime_grains", 0))
    rows = reduce(lambda left, right: left.union(right), parts)
    if shard is not None:
        rows = rows.filter(shard_of(rows.beneficiary) == shard)
    totals = rows.group_by("beneficiary").aggregate(
        lifetime_grains=rows.grains.sum().cast(SUM_TYPE),
        lowest_grains=rows.grains.min().cast(SUM_TYPE),
        missing=rows.grains.isnull().cast("int64").cast(SUM_TYPE).sum().cast(SUM_TYPE),
        records=rows.records.sum().cast(SUM_TYPE),
    )
    return totals.mutate(shard=shard_of(totals.beneficiary))


def _take(table: ir.Table, amount: str, records: int) -> ir.Table:
    return table.select(
        beneficiary=table.beneficiary.cast("binary").fill_null(b""),  # which is no beneficiary, and is seen later
        grains=table[amount].cast(SUM_TYPE),
        records=ibis.literal(records, type="int64").cast(SUM_TYPE),
    )
