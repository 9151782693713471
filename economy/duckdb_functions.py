"""Functions of DuckDB that Ibis has no words for. Ibis writes their names into queries; the engine has the bodies."""

import ibis


@ibis.udf.scalar.builtin(name="sha256")  # type: ignore[untyped-decorator]  # Ibis has no types
def hash_as_hex(content: bytes) -> str:  # type: ignore[empty-body]  # the engine has the body
    """SHA-256 in hexadecimal digits."""


@ibis.udf.scalar.builtin(name="concat")  # type: ignore[untyped-decorator]  # Ibis has no types
def join_three(first: bytes, second: bytes, third: bytes) -> bytes:  # type: ignore[empty-body]  # the engine has it
    """Bytes behind each other."""


@ibis.udf.scalar.builtin(name="divide")  # type: ignore[untyped-decorator]  # Ibis has no types
def divide(dividend: int, divisor: int) -> int:  # type: ignore[empty-body]  # the engine has the body
    """Whole numbers, rounded down; Ibis's own `//` goes through floats."""


@ibis.udf.scalar.builtin(name="create_sort_key")  # type: ignore[untyped-decorator]  # Ibis has no types
def build_sort_key(first: int, first_order: str, second: bytes, second_order: str) -> bytes:  # type: ignore[empty-body]
    """Bytes in the order of two columns, each of which has its own direction."""


@ibis.udf.agg.builtin(name="arg_min")  # type: ignore[untyped-decorator]  # Ibis has no types
def pick_by_text(value: bytes, key: str) -> bytes:  # type: ignore[empty-body]  # the engine has the body
    """The value whose key is least."""


@ibis.udf.agg.builtin(name="arg_min")  # type: ignore[untyped-decorator]  # Ibis has no types
def pick_by_bytes(value: bytes, key: bytes) -> bytes:  # type: ignore[empty-body]  # the engine has the body
    """The same for keys of bytes."""
