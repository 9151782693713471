"""What a simulated machine has on disk, and what a crash leaves of it."""

import errno
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from consensus.events import VoteReceived, VoteSigned
from consensus.log import LogDamage, LogRecord, decode_records, encode_record
from consensus.messages import VoteKind
from consensus.safety import NOTHING_SIGNED, SafetyState, decode_safety, encode_safety
from ledger.block import Block
from ledger.memory_store import MemoryStore
from ledger.primitives import BlockHash, Round
from ledger.store import Change
from node.disk_full import DiskFullError
from node.errors import StoreWriteError
from tests.simulation.violation import require

JOURNAL_ENTRIES_MAX = 300  # beyond twice what waits; then it is rewritten


class DiskSpace:
    """Whether there is room."""

    def __init__(self) -> None:
        self.is_full = False

    def claim(self) -> None:
        """Room for a write, or DiskFullError."""
        if self.is_full:
            raise DiskFullError(Path("simulated"), OSError(errno.ENOSPC, "full"))


class SimulatedStore(MemoryStore):
    """A store whose writes fail on a full disk; the caller cannot know whether the last one got through."""

    def __init__(self, space: DiskSpace, random: Random) -> None:
        super().__init__()
        self._space = space
        self._random = random

    def write(self, changes: Sequence[Change], *, sync: bool) -> None:
        """All of the changes or none, and on a full disk StoreWriteError either way."""
        assert sync, "blocks are written with sync, or a crash would lose some"
        if not self._space.is_full:
            super().write(changes, sync=sync)
            return
        if self._random.random() < 0.5:
            super().write(changes, sync=sync)
        raise StoreWriteError("the simulated disk is full")


class SimulatedLog:
    """The consensus log of one height. Records become bytes when a crash cuts them off somewhere."""

    def __init__(self, space: DiskSpace) -> None:
        self._space = space
        self.height: int | None = None
        self._records: list[LogRecord] = []
        self._synced = 0

    def __len__(self) -> int:
        return len(self._records)

    def begin_height(self, height: int) -> None:
        """An empty log, unless this height is open already."""
        if height == self.height:
            return
        self._space.claim()
        self.height, self._records, self._synced = height, [], 0

    def append(self, record: LogRecord, *, sync: bool) -> None:
        """Write a record; with sync it is on disk, and all before it."""
        self._space.claim()
        self._records.append(record)
        if sync:
            self.sync()

    def sync(self) -> None:
        """All of it is on disk."""
        self._space.claim()
        self._synced = len(self._records)

    def list_synced_prevoters(self, round_number: Round, block_hash: BlockHash) -> set[int]:
        """Whose prevotes for this block are on disk for certain."""
        votes = [
            record.vote for record in self._records[: self._synced] if isinstance(record, VoteReceived | VoteSigned)
        ]
        wanted = (VoteKind.PREVOTE, round_number, block_hash)
        return {vote.member_index for vote in votes if (vote.kind, vote.round, vote.block_hash) == wanted}

    def read(self) -> list[LogRecord]:
        """All records, by way of their bytes."""
        records, _, damage = decode_records(b"".join(encode_record(record) for record in self._records))
        require(damage is None, "a sound log reads as sound")
        return records

    def cut_power(self, random: Random) -> None:
        """Lose a part of what is not synced; the last record left may be torn."""
        synced = b"".join(encode_record(record) for record in self._records[: self._synced])
        unsynced = b"".join(encode_record(record) for record in self._records[self._synced :])
        kept = synced + unsynced[: random.randint(0, len(unsynced))]
        records, good_length, damage = decode_records(kept)
        require(damage is not LogDamage.DAMAGED_MIDDLE, "a crash never damages the middle of the log")
        require(good_length >= len(synced), "what was synced survives")
        self._records = records
        self._synced = len(records)


class SimulatedJournal:
    """The mempool's journal: a killed process leaves all of it, a power cut a beginning."""

    entries_max = JOURNAL_ENTRIES_MAX

    def __init__(self, space: DiskSpace) -> None:
        self._space = space
        self._raws: list[bytes] = []
        self._synced = 0

    def __len__(self) -> int:
        return len(self._raws)

    def append(self, raws: Sequence[bytes]) -> bool:
        """Whether they are stored."""
        if self._space.is_full:
            return False
        self._raws.extend(raws)
        return True

    def load(self) -> list[bytes]:
        """What was appended."""
        return list(self._raws)

    def rewrite(self, waiting: Iterable[bytes]) -> None:
        """Keep only these, on disk for certain."""
        if not self._space.is_full:
            self._raws = list(waiting)
            self._synced = len(self._raws)

    def rewrite_when_long(self, waiting_count: int, waiting: Iterable[bytes]) -> None:
        """The same, once it has grown."""
        if len(self._raws) > self.entries_max + 2 * waiting_count:
            self.rewrite(waiting)

    def cut_power(self, random: Random) -> None:
        """Lose a part of what is not on disk for certain."""
        self._raws = self._raws[: random.randint(self._synced, len(self._raws))]
        self._synced = len(self._raws)


@dataclass
class SimulatedDisk:
    """Everything a restart finds again."""

    space: DiskSpace
    store: SimulatedStore
    log: SimulatedLog
    journal: SimulatedJournal
    proposed: dict[BlockHash, Block] = field(default_factory=dict)
    """Blocks of the height being decided that hold anything."""
    safety: SafetyState = NOTHING_SIGNED
    messages_saved: set[bytes] = field(default_factory=set)
    """Everything that ever stood in the safety state, for the checks."""

    def save_safety(self, state: SafetyState) -> None:
        """Atomic and synced."""
        self.space.claim()
        self.safety = state
        for last in (state.proposal, state.prevote, state.precommit):
            if last is not None:
                self.messages_saved.add(last.message)

    def load_safety(self) -> SafetyState:
        """By way of its bytes."""
        return decode_safety(encode_safety(self.safety))

    def save_proposed(self, block: Block) -> None:
        """Synced; an empty block needs no keeping, its header is in the log."""
        if block.transactions or block.evidence:
            self.space.claim()
            self.proposed[block.header.hash] = block

    def cut_power(self, random: Random) -> None:
        """Lose what is not synced."""
        self.log.cut_power(random)
        self.journal.cut_power(random)


def build_disk(random: Random) -> SimulatedDisk:
    """An empty disk."""
    space = DiskSpace()
    return SimulatedDisk(space, SimulatedStore(space, random), SimulatedLog(space), SimulatedJournal(space))
