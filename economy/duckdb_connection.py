"""DuckDB within this process, on all cores that it may have, within a limit of memory, spilling to disk beyond it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb


@contextmanager
def connect_duckdb(memory_limit: str, threads: int, spill: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database in memory that keeps to a limit, such as 2GB; the directory for what is more is there meanwhile."""
    shutil.rmtree(spill, ignore_errors=True)  # of a build that was killed
    spill.mkdir(parents=True)
    connection = duckdb.connect(
        config={
            "memory_limit": memory_limit,
            "threads": threads,
            "temp_directory": str(spill),
            "preserve_insertion_order": False,  # what must be in order says so
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }
    )
    try:
        connection.execute("SET enable_progress_bar = false")  # it would print to standard output
        yield connection
    finally:
        connection.close()
        shutil.rmtree(spill, ignore_errors=True)
