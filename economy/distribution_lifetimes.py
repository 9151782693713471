"""What an epoch's records add to lifetime totals, as expressions that every engine turns into SQL; integers only.

A record pays a beneficiary: `beneficiary` (kind, 1 byte ‖ id, 20 bytes), `amount_grains` (64 bits), `reference` (what
for, in words or numbers of the source's own; not looked at here). Sums are decimals of 38 digits, which 10^19 records
do not fill; whether they fit into a leaf is seen when the shard is hashed, as is everything else that may be wrong
with a record, so that the records are read once.
"""

from collections.abc import Callable
from functools import reduce
from typing import Final

import ibis.expr.types as ir

SUM_TYPE: Final = "decimal(38, 0)"
"""Of every number that is added up: DuckDB's sum of 64-bit integers has 128 bits, which Parquet holds as a float."""
TOTAL_COLUMNS: Final = ("earned_grains", "lowest_grains", "missing", "records")
RECORD_COLUMNS: Final = ("beneficiary", "amount_grains", "reference")

ShardOf = Callable[[ir.BinaryColumn], ir.StringColumn]
"""The shard of a beneficiary, as two hexadecimal digits, in the words of an engine."""


def add_up_records(records: list[ir.Table], shard_of: ShardOf, shard: str | None = None) -> ir.Table:
    """One row a beneficiary, of one shard or of all.

    Columns: `beneficiary`, `earned_grains`, `lowest_grains` (the smallest amount), `missing` (records without an
    amount), `records`, `shard`.
    """
    rows = reduce(lambda left, right: left.union(right), [_take(table) for table in records])
    if shard is not None:
        rows = rows.filter(shard_of(rows.beneficiary) == shard)
    totals = rows.group_by("beneficiary").aggregate(
        earned_grains=rows.grains.sum().cast(SUM_TYPE),
        lowest_grains=rows.grains.min().cast(SUM_TYPE),
        missing=rows.grains.isnull().cast("int64").cast(SUM_TYPE).sum().cast(SUM_TYPE),
        records=rows.count().cast(SUM_TYPE),
    )
    return totals.mutate(shard=shard_of(totals.beneficiary))


def _take(table: ir.Table) -> ir.Table:
    return table.select(
        beneficiary=table.beneficiary.cast("binary").fill_null(b""),  # which is no beneficiary, and is seen later
        grains=table.amount_grains.cast(SUM_TYPE),
    )
