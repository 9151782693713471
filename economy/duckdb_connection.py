"""DuckDB within this process, on all cores that it may have, within a limit of memory, spilling to disk beyond it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb


@dataclass(frozen=True, slots=True)
class EngineLimits:
    """What a job may take of the machine."""

    memory_mb: int = 4_096
    """Beyond that, queries spill into the job's own directory."""
    threads: int = 2
    """Each holds buffers of its own."""


@contextmanager
def connect_duckdb(limits: EngineLimits, spill: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database in memory that keeps to limits; the directory for what is more is there meanwhile."""
    shutil.rmtree(spill, ignore_errors=True)  # of a build that was killed
    spill.mkdir(parents=True)
    connection = duckdb.connect(
        config={
            "memory_limit": f"{limits.memory_mb}MB",
            "threads": limits.threads,
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
