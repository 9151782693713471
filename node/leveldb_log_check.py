"""Tells a damaged LevelDB log from one that a crash cut short; LevelDB itself silently drops what follows in both.

A log file (and MANIFEST) is blocks of 32 KiB of records: masked CRC-32C of type and payload, 4 bytes ‖ payload length,
2 bytes, little-endian ‖ type, 1 byte ‖ payload. In the last block, LevelDB takes a record that is longer than the rest
of the file for one whose writer died, and drops everything from there on. If its checksum fits a shorter payload, or a
whole record follows, the writer did not die: the header was damaged, and acknowledged writes would be lost.
"""

import struct
from pathlib import Path
from typing import Final

_BLOCK_BYTES: Final = 32_768
_HEADER: Final = struct.Struct("<IHB")
_CRC_MASK_DELTA: Final = 0xA282EAD8
_CASTAGNOLI: Final = 0x82F63B78
_RECORD_TYPE_MAX: Final = 4  # a whole payload, or the first, a middle or the last part of one


def is_log_tail_damaged(path: Path) -> bool:
    """Whether the last block holds a record with a length that cannot be what was written."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - 1) // _BLOCK_BYTES * _BLOCK_BYTES)
        block = file.read(_BLOCK_BYTES)
    position = 0
    while position + _HEADER.size <= len(block):
        masked_checksum, length, record_type = _HEADER.unpack_from(block, position)
        payload = block[position + _HEADER.size : position + _HEADER.size + length]
        if len(payload) < length:
            rest = block[position + _HEADER.size :]
            return _fits_shorter_payload(_unmask(masked_checksum), record_type, payload) or _holds_record(rest)
        position += _HEADER.size + length
    return False


def _holds_record(rest: bytes) -> bool:
    """Whether a whole record begins anywhere in there. Few places look like a header, so few checksums are computed."""
    for position in range(len(rest) - _HEADER.size):
        masked_checksum, length, record_type = _HEADER.unpack_from(rest, position)
        payload = rest[position + _HEADER.size : position + _HEADER.size + length]
        if not 1 <= record_type <= _RECORD_TYPE_MAX or len(payload) < max(1, length):
            continue
        register = _update_crc(0xFFFFFFFF, record_type)
        for byte in payload:
            register = _update_crc(register, byte)
        if register ^ 0xFFFFFFFF == _unmask(masked_checksum):
            return True
    return False


def _fits_shorter_payload(checksum: int, record_type: int, rest: bytes) -> bool:
    register = _update_crc(0xFFFFFFFF, record_type)
    for byte in rest:
        if register ^ 0xFFFFFFFF == checksum:
            return True
        register = _update_crc(register, byte)
    return register ^ 0xFFFFFFFF == checksum


def _unmask(masked_checksum: int) -> int:
    rotated = (masked_checksum - _CRC_MASK_DELTA) & 0xFFFFFFFF
    return (rotated >> 17 | rotated << 15) & 0xFFFFFFFF


def _update_crc(register: int, byte: int) -> int:
    return _TABLE[(register ^ byte) & 0xFF] ^ register >> 8


def _build_table() -> tuple[int, ...]:
    table = []
    for register in range(256):
        for _ in range(8):
            register = register >> 1 ^ (_CASTAGNOLI if register & 1 else 0)
        table.append(register)
    return tuple(table)


_TABLE: Final = _build_table()
