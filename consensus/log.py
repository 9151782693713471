r"""The write-ahead log's bytes: what the core needs to hear again after a crash.

A record is the mark 0xC1 0x01 ‖ escaped content ‖ the mark 0xC1 0x02. The content is the first 8 bytes of
SHA-256(rest) ‖ rest, and the rest is the record's number, 1 byte ‖ the encoded record. Escaping writes each 0xC1 as
0xC1 0x00, so a mark never stands inside a record, whatever bytes a peer has put into it: no peer can fake damage, and
every sound record behind a damaged one is found.
"""

from dataclasses import dataclass
from enum import Enum, IntEnum, auto, unique
from hashlib import sha256
from typing import Final

from consensus.events import (
    BlockChecked,
    ProposalReceived,
    ProposalSigned,
    RoundSkipped,
    TimedOut,
    VoteReceived,
    VoteSigned,
    WorkArrived,
)
from consensus.messages import PROPOSAL_BYTES_MAX
from ledger.codec import DecodeError, decode, encode
from ledger.primitives import BlockHash, Height, Round

RECORD_BYTES_MAX: Final = PROPOSAL_BYTES_MAX + 1024  # before escaping
CHECKSUM_BYTES: Final = 8
_START: Final = b"\xc1\x01"
_END: Final = b"\xc1\x02"
_ESCAPE: Final = b"\xc1"
_ESCAPED: Final = b"\xc1\x00"


@dataclass(frozen=True, slots=True)
class HeightBegan:
    """What follows concerns this height."""

    height: Height
    previous_hash: BlockHash


@dataclass(frozen=True, slots=True)
class LockTaken:
    """The member is about to precommit this block. Syncing this record makes durable what the lock rests on."""

    height: Height
    round: Round
    block_hash: BlockHash


LogRecord = (
    HeightBegan
    | LockTaken
    | WorkArrived
    | ProposalReceived
    | VoteReceived
    | BlockChecked
    | VoteSigned
    | ProposalSigned
    | TimedOut
    | RoundSkipped
)


@unique
class RecordKind(IntEnum):
    """Number of a record in the log; never reused."""

    HEIGHT_BEGAN = 1
    LOCK_TAKEN = 2
    WORK_ARRIVED = 3
    PROPOSAL_RECEIVED = 4
    VOTE_RECEIVED = 5
    BLOCK_CHECKED = 6
    VOTE_SIGNED = 7
    PROPOSAL_SIGNED = 8
    TIMED_OUT = 9
    ROUND_SKIPPED = 10


_TYPES: Final[dict[RecordKind, type[LogRecord]]] = {
    RecordKind.HEIGHT_BEGAN: HeightBegan,
    RecordKind.LOCK_TAKEN: LockTaken,
    RecordKind.WORK_ARRIVED: WorkArrived,
    RecordKind.PROPOSAL_RECEIVED: ProposalReceived,
    RecordKind.VOTE_RECEIVED: VoteReceived,
    RecordKind.BLOCK_CHECKED: BlockChecked,
    RecordKind.VOTE_SIGNED: VoteSigned,
    RecordKind.PROPOSAL_SIGNED: ProposalSigned,
    RecordKind.TIMED_OUT: TimedOut,
    RecordKind.ROUND_SKIPPED: RoundSkipped,
}
_KINDS: Final = {kind: number for number, kind in _TYPES.items()}


class LogDamage(Enum):
    """What is wrong behind the sound beginning of a log."""

    TORN_TAIL = auto()
    """The last record is not whole, as a crash leaves it: cut it off and go on."""
    DAMAGED_MIDDLE = auto()
    """Sound records stand behind a bad one, which no crash causes: do not start on this log."""


def encode_record(record: LogRecord) -> bytes:
    """A record as it is appended to the log."""
    rest = bytes([_KINDS[type(record)]]) + encode(record)
    assert len(rest) <= RECORD_BYTES_MAX, "messages have limits, and records hold one message"
    content = sha256(rest).digest()[:CHECKSUM_BYTES] + rest
    return _START + content.replace(_ESCAPE, _ESCAPED) + _END


def decode_records(log: bytes) -> tuple[list[LogRecord], int, LogDamage | None]:
    """The records of the sound beginning, its length in bytes, and what is wrong behind it. Never raises."""
    records: list[LogRecord] = []
    position = 0
    while position < len(log):
        found = _read_record(log, position)
        if found is None:
            is_middle = _has_sound_record(log, position + 1)
            return records, position, LogDamage.DAMAGED_MIDDLE if is_middle else LogDamage.TORN_TAIL
        record, position = found
        records.append(record)
    return records, position, None


def _read_record(log: bytes, position: int) -> tuple[LogRecord, int] | None:
    """The whole record that begins here and where it ends; None if there is none."""
    if not log.startswith(_START, position):
        return None
    end = log.find(_END, position + len(_START))
    if end < 0 or end - position > 2 * (RECORD_BYTES_MAX + CHECKSUM_BYTES) + len(_START):
        return None
    content = _unescape(log[position + len(_START) : end])
    if content is None or len(content) <= CHECKSUM_BYTES:
        return None
    checksum, rest = content[:CHECKSUM_BYTES], content[CHECKSUM_BYTES:]
    if sha256(rest).digest()[:CHECKSUM_BYTES] != checksum or len(rest) > RECORD_BYTES_MAX:
        return None
    record = _decode_rest(rest)
    return None if record is None else (record, end + len(_END))


def _unescape(escaped: bytes) -> bytes | None:
    """The bytes before escaping; None if a lone 0xC1 stands in them."""
    parts = escaped.split(_ESCAPED)
    return None if any(_ESCAPE in part for part in parts) else _ESCAPE.join(parts)


def _decode_rest(rest: bytes) -> LogRecord | None:
    kind = next((kind for number, kind in _TYPES.items() if number == rest[0]), None)
    if kind is None:
        return None
    try:
        return decode(kind, rest[1:])
    except DecodeError:
        return None


def _has_sound_record(log: bytes, position: int) -> bool:
    """Whether a whole record begins at or after this position."""
    while (position := log.find(_START, position)) >= 0:
        if _read_record(log, position) is not None:
            return True
        position += len(_START)
    return False
