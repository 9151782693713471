"""Blocks of the height being decided, on disk before this node votes for them.

A block that two thirds have voted for must not vanish when every node crashes at once, so whoever votes can bring it
again. One file per block, synced; removed when the height is decided.
"""

from hashlib import sha256
from pathlib import Path
from typing import Final

from ledger.block import Block
from ledger.codec import DecodeError, decode, encode
from node.atomic_file import TEMPORARY_SUFFIX, make_private_directory, replace_file
from node.crash_points import CrashPoint, crash_point

_CHECKSUM_BYTES: Final = 32
_SUFFIX: Final = ".block"


class ProposedBlocks:
    """A directory of encoded blocks, each with a checksum."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        make_private_directory(directory)
        for leftover in directory.glob("*" + TEMPORARY_SUFFIX):
            leftover.unlink()

    def save(self, block: Block) -> None:
        """Keep a block; empty ones need no keeping, their header is in the consensus log. Raises DiskFullError."""
        if not block.transactions and not block.evidence:
            return
        encoded = encode(block)
        path = self._directory / (block.header.hash.hex() + _SUFFIX)
        with crash_point(CrashPoint.PROPOSED_SAVE):
            replace_file(path, sha256(encoded).digest() + encoded)

    def load(self) -> list[Block]:
        """What is kept; a file that a crash left incomplete is removed."""
        blocks = []
        for path in sorted(self._directory.glob("*" + _SUFFIX)):
            content = path.read_bytes()
            checksum, encoded = content[:_CHECKSUM_BYTES], content[_CHECKSUM_BYTES:]
            try:
                if sha256(encoded).digest() != checksum:
                    raise DecodeError("checksum")
                blocks.append(decode(Block, encoded))
            except DecodeError:
                path.unlink()
        return blocks

    def clear(self) -> None:
        """The height is decided."""
        with crash_point(CrashPoint.PROPOSED_CLEAR):
            for path in self._directory.glob("*" + _SUFFIX):
                path.unlink()
