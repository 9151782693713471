"""Modules put together byte by byte, for what the text format cannot say."""

from collections.abc import Sequence

from vm.contracts.abi import SECTION_NAME, Interface, Method, MethodKind, UpgradeRule, encode_interface
from vm.contracts.encoder import (
    HEADER,
    encode_name,
    encode_section,
    encode_sized,
    encode_type,
    encode_unsigned,
    encode_vector,
)
from vm.contracts.module import FunctionType

NOTHING = FunctionType(b"", b"")
NO_LOCALS = b"\0"
END = b"\x0b"


def assemble(*sections: tuple[int, bytes]) -> bytes:
    """Sections in the order given."""
    return HEADER + b"".join(encode_section(number, payload) for number, payload in sections)


def build_code(*bodies: bytes, declared: bytes = NO_LOCALS, more: Sequence[tuple[int, bytes]] = ()) -> bytes:
    """Functions () -> () with these instructions; further sections come before the code."""
    sections = [
        (1, encode_vector([encode_type(NOTHING)])),
        (3, encode_vector([b"\0"] * len(bodies))),
        *more,
        (10, encode_vector([encode_sized(declared + body) for body in bodies])),
    ]
    return assemble(*sections)


def declare_locals(count: int, kind: int = 0x7F) -> bytes:
    """One group of locals."""
    return b"\x01" + encode_unsigned(count) + bytes((kind,))


def build_custom(name: str, payload: bytes) -> bytes:
    """A custom section, to be appended to a module."""
    return encode_section(0, encode_name(name) + payload)


def build_interface(*methods: str) -> Interface:
    """An interface with methods without parameters."""
    listed = tuple(Method(name, MethodKind.CALL, False, False, (), "") for name in methods)
    return Interface("Test", "wat 1", bytes(32), UpgradeRule.NEVER, (), listed, (), ())


def add_interface(code: bytes, *methods: str) -> bytes:
    """The module as a contract with these methods."""
    return code + build_custom(SECTION_NAME, encode_interface(build_interface(*methods)))
