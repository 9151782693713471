"""Engines that compute lifetime totals: DuckDB within this process, or Spark. Both are given the same expressions."""

import glob
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal, Protocol

import duckdb
import ibis
import ibis.expr.types as ir
import pyarrow as pa
from ibis import udf

from economy.distribution_manifest import UnusableError
from economy.duckdb_connection import EngineLimits, connect_duckdb
from economy.duckdb_functions import hash_as_hex

EngineName = Literal["duckdb", "spark"]
SPARK_PARTITIONS: Final = 64  # of a shuffle; each is sorted and written by itself
_SHARD_DIGITS: Final = 2
_SPARK_HIDDEN: Final = ("_", ".")
_SPARK_PATTERN: Final = "*?[]{}\\,"


class Engine(Protocol):
    """What a build asks of an engine."""

    def read(self, path: Path) -> ir.Table:
        """The rows of a Parquet file, whatever its name and its directories' names; raises UnusableError."""

    def shard_of(self, beneficiary: ir.BinaryColumn) -> ir.StringColumn:
        """First byte of SHA-256 as two hexadecimal digits."""

    def write_shards(self, rows: ir.Table, directory: Path) -> None:
        """Write rows as Parquet files into directories `shard=00` to `shard=ff`; the directory is new."""

    def fetch(self, rows: ir.Table) -> pa.Table:
        """The rows of one shard."""


@contextmanager
def open_engine(name: EngineName, limits: EngineLimits, spill: Path) -> Iterator[Engine]:
    """An engine that keeps to limits, and spills to this directory, which is there meanwhile."""
    match name:
        case "duckdb":
            with connect_duckdb(limits, spill) as connection:
                yield DuckDbEngine(connection)
        case "spark":
            shutil.rmtree(spill, ignore_errors=True)
            spark = SparkEngine(limits, spill)
            try:
                yield spark
            finally:
                spark.close()
                shutil.rmtree(spill, ignore_errors=True)


@udf.scalar.builtin(name="sha2")  # type: ignore[untyped-decorator]  # Ibis has no types
def _spark_sha2(content: bytes, bits: int) -> str:  # type: ignore[empty-body]  # the engine has the body
    """Hexadecimal digits."""


@contextmanager
def _telling_of_files() -> Iterator[None]:
    """What is wrong with a file, or too much for the machine, in the words of DuckDB; raises UnusableError."""
    try:
        yield
    except (duckdb.InternalException, duckdb.BinderException, duckdb.ParserException):
        raise  # of our own queries
    except duckdb.Error as error:
        raise UnusableError(f"these records cannot be added up: {' '.join(str(error).split())}") from None


class DuckDbEngine:
    """DuckDB within this process."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = ibis.duckdb.from_connection(connection)

    def read(self, path: Path) -> ir.Table:
        """The rows of a Parquet file."""
        with _telling_of_files():
            return self._connection.read_parquet(glob.escape(str(path.absolute())), hive_partitioning=False)

    def shard_of(self, beneficiary: ir.BinaryColumn) -> ir.StringColumn:
        """First byte of SHA-256."""
        digits: Any = hash_as_hex(beneficiary)
        return digits.substr(0, _SHARD_DIGITS)

    def write_shards(self, rows: ir.Table, directory: Path) -> None:
        """By DuckDB's partitioned COPY."""
        with _telling_of_files():
            self._connection.to_parquet(rows, directory, partition_by="shard")

    def fetch(self, rows: ir.Table) -> pa.Table:
        """The rows of one shard."""
        with _telling_of_files():
            return self._connection.to_pyarrow(rows)


class SparkEngine:
    """Spark on this machine; a cluster's session differs in its master alone."""

    def __init__(self, limits: EngineLimits, spill: Path) -> None:
        from pyspark.sql import SparkSession

        settings = {
            "spark.driver.memory": f"{limits.memory_mb}m",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.driver.host": "127.0.0.1",
            "spark.local.dir": str(spill.absolute()),
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
            "spark.sql.ansi.enabled": "true",  # an overflow is an error
            "spark.sql.shuffle.partitions": str(SPARK_PARTITIONS),
            "spark.sql.warehouse.dir": str(spill.absolute() / "warehouse"),
        }
        builder: Any = SparkSession.builder
        for key, value in settings.items():
            builder = builder.config(key, value)
        self._session: Any = builder.master(f"local[{limits.threads}]").appName("carlive distribution").getOrCreate()
        self._session.sparkContext.setLogLevel("ERROR")
        self._connection = ibis.pyspark.connect(self._session)

    def read(self, path: Path) -> ir.Table:
        """The rows of a Parquet file."""
        if path.name.startswith(_SPARK_HIDDEN):
            raise UnusableError(f"{path}: Spark reads no files whose names begin with _ or a dot")
        # Looking for files further down, Spark takes no columns from names of directories.
        return self._connection.read_parquet(_escape_for_spark(path), recursiveFileLookup=True)

    def shard_of(self, beneficiary: ir.BinaryColumn) -> ir.StringColumn:
        """First byte of SHA-256."""
        digits: Any = _spark_sha2(beneficiary, 256)
        return digits.substr(0, _SHARD_DIGITS)

    def write_shards(self, rows: ir.Table, directory: Path) -> None:
        """By Spark's partitioned writer, after the rows of each shard have come together."""
        frame = self._session.sql(self._connection.compile(rows))
        frame.repartition(SPARK_PARTITIONS, "shard").write.partitionBy("shard").parquet(str(directory.absolute()))

    def fetch(self, rows: ir.Table) -> pa.Table:
        """The rows of one shard."""
        return self._connection.to_pyarrow(rows)

    def close(self) -> None:
        """End the session."""
        self._session.stop()


def _escape_for_spark(path: Path) -> str:
    """A path in which nothing is a pattern of Hadoop's."""
    return "".join(f"\\{each}" if each in _SPARK_PATTERN else each for each in str(path.absolute()))
