"""Tables of results as Parquet files."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow
from pyarrow import parquet


def write_parquet(columns: Sequence[str], rows: Sequence[Mapping[str, str | int | None]], path: Path) -> None:
    """Save rows whose columns hold texts or integers; a column without any value is one of integers."""
    kinds = {name: next((type(row[name]) for row in rows if row[name] is not None), int) for name in columns}
    schema = pyarrow.schema([(name, pyarrow.string() if kinds[name] is str else pyarrow.int64()) for name in columns])
    parquet.write_table(pyarrow.Table.from_pylist([dict(row) for row in rows], schema), path)
