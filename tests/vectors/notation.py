"""How the vector files write values: bytes as plain hex, and untyped values so that no JSON reader can bend them."""

from typing import Any, assert_never

import orjson

Plain = int | str | bytes | bool | list[Any] | None


def to_notation(plain: Plain) -> Any:
    """An untyped value in JSON: {"int": "5"}, {"bytes": "00ff"}, {"text": "x"}, true, false, null, or an array."""
    match plain:
        case None | bool():
            return plain
        case int():
            return {"int": str(plain)}
        case str():
            return {"text": plain}
        case bytes():
            return {"bytes": plain.hex()}
        case list():
            return [to_notation(item) for item in plain]
        case _:
            assert_never(plain)


def from_notation(noted: Any) -> Plain:
    """The untyped value that `to_notation` wrote."""
    match noted:
        case None | bool():
            return noted
        case {"int": number}:
            return int(number)
        case {"text": text}:
            return str(text)
        case {"bytes": digits}:
            return bytes.fromhex(digits)
        case list():
            return [from_notation(item) for item in noted]
        case _:
            raise ValueError(f"{noted!r} is not in the notation of the vectors")


def format_vectors(vectors: dict[str, Any]) -> str:
    """The text of a vector file."""
    return orjson.dumps(vectors, option=orjson.OPT_INDENT_2).decode() + "\n"
