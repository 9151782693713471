"""The bytes of WASM's numbers, names, vectors and sections."""

from collections.abc import Sequence
from typing import Final

from vm.contracts.module import FunctionType

HEADER: Final = b"\0asm\x01\0\0\0"
FUNCTION_TAG: Final = 0x60


def encode_unsigned(value: int) -> bytes:
    """The shortest LEB128."""
    if value < 0x80:
        return bytes((value,))
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def encode_signed(value: int) -> bytes:
    """The shortest signed LEB128."""
    encoded = bytearray()
    while not -0x40 <= value < 0x40:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value & 0x7F)
    return bytes(encoded)


def encode_name(name: str) -> bytes:
    """UTF-8 after its length."""
    return encode_sized(name.encode())


def encode_sized(payload: bytes) -> bytes:
    """Bytes after their length."""
    return encode_unsigned(len(payload)) + payload


def encode_vector(items: Sequence[bytes]) -> bytes:
    """Items after their count."""
    return encode_unsigned(len(items)) + b"".join(items)


def encode_type(kind: FunctionType) -> bytes:
    """A function type."""
    return bytes((FUNCTION_TAG,)) + encode_sized(kind.parameters) + encode_sized(kind.results)


def encode_section(number: int, payload: bytes) -> bytes:
    """A section after its number and length."""
    return bytes((number,)) + encode_sized(payload)
