"""Queries that are written once, in Ibis, over names that stand for Parquet files; DuckDB runs them."""

import glob
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import duckdb
import ibis
import pyarrow as pa
from ibis.expr.types import Table

from economy.duckdb_connection import EngineLimits, connect_duckdb

_TYPES: Final = {
    "int64": ("BIGINT", "INTEGER", "TINYINT"),  # a literal has the least type that holds it
    "uint8": ("UTINYINT",),
    "uint32": ("UINTEGER",),
    "binary": ("BLOB",),
}
"""What Ibis calls types, and which of DuckDB's are as good."""
_UNREADABLE: Final = (duckdb.BinderException, duckdb.InvalidInputException, duckdb.ConversionException)


class UnreadableFilesError(Exception):
    """Files that are not what a query needs: of another form, or without its columns."""


@contextmanager
def open_tables(limits: EngineLimits, spill: Path) -> Iterator["Engine"]:
    """An engine without tables yet; the directory for what does not fit into memory is there as long as it is open."""
    with connect_duckdb(limits, spill) as connection:
        yield Engine(connection)


class Engine:
    """A database in memory, whose tables are files."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def bind_files(self, name: str, paths: Sequence[Path]) -> None:
        """Let a name stand for Parquet files, of which there is one at least."""
        self.run(f"CREATE OR REPLACE VIEW {name} AS SELECT * FROM {express_files(paths)}")

    def bind_rows(self, name: str, schema: Mapping[str, str], rows: Iterable[tuple[Any, ...]]) -> None:
        """Let a name stand for these few rows."""
        columns = ibis.schema(dict(schema)).to_pyarrow()
        transposed = list(zip(*rows, strict=True)) or [() for _ in columns]
        arrays = [pa.array(values, type=field.type) for values, field in zip(transposed, columns, strict=True)]
        table = pa.Table.from_arrays(arrays, schema=columns)
        self._connection.register("bound", table)
        self.run(f"CREATE OR REPLACE TABLE {name} AS SELECT * FROM bound")
        self._connection.unregister("bound")

    def materialise(self, name: str, expression: Table) -> None:
        """Compute a table once."""
        self.run(f"CREATE OR REPLACE TABLE {name} AS {self._compile(expression)}")

    def write(self, expression: Table, path: Path) -> None:
        """Compute a table into a Parquet file."""
        self.write_query(self._compile(expression), path)

    def write_query(self, query: str, path: Path) -> None:
        """The same for a query in DuckDB's own words."""
        self.run(f"COPY ({query}) TO {quote(path)} (FORMAT parquet, COMPRESSION zstd)")

    def fetch(self, expression: Table) -> list[tuple[Any, ...]]:
        """The few rows of a table."""
        return self._connection.execute(self._compile(expression)).fetchall()

    def run(self, statement: str) -> None:
        """A statement that is DuckDB's own: files in, files out."""
        try:
            self._connection.execute(statement)
        except duckdb.Error as error:
            if type(error) is duckdb.Error or isinstance(error, _UNREADABLE):  # a damaged page has no kind of its own
                raise UnreadableFilesError(str(error)) from error
            raise

    def _compile(self, expression: Table) -> str:
        """The query, whose columns have the types that it was written with: amounts never become floats."""
        query = compile_query(expression)
        described = self._connection.execute(f"DESCRIBE {query}").fetchall()
        types = {name: kind for name, kind, *_ in described}
        for name, kind in expression.schema().items():
            assert types[name] in _TYPES[str(kind).removeprefix("!")], f"{name} is {types[name]}, not {kind}"
        return query


def compile_query(expression: Table) -> str:
    """The query in DuckDB's language. Ibis writes `//` as a rounded quotient of floats: keep it below 2^53."""
    return str(ibis.to_sql(expression, dialect="duckdb"))


def express_files(paths: Sequence[Path]) -> str:
    """Rows of these Parquet files and of no others, in DuckDB's words.

    A name is no pattern, and none says what a column holds, as `count=5/` otherwise does. Files that have integers of
    other sizes are read as the widest of them.
    """
    names = ", ".join(quote(glob.escape(str(path))) for path in paths)
    return f"read_parquet([{names}], hive_partitioning = false, union_by_name = true)"


def quote(text: str | Path) -> str:
    """Text inside a statement."""
    escaped = str(text).replace("'", "''")
    return f"'{escaped}'"
