from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from consensus.log import (
    HeightBegan,
    LockTaken,
    LogDamage,
    LogRecord,
    RecordKind,
    decode_records,
    encode_record,
)
from consensus.messages import Step, VoteKind
from ledger.block import EVIDENCE_BYTES_MAX, compute_evidence_root
from ledger.primitives import BlockHash, Height, Round
from tests.consensus.builders import HEIGHT, NOW_MS, make_proposal, make_vote

HASH = BlockHash(b"\xc1\x01\xc1\x02\xc1\x00\xc1\xc1" * 4)
RECORDS: list[LogRecord] = [
    HeightBegan(HEIGHT, HASH),
    WorkArrived(HEIGHT),
    ProposalReceived(make_proposal(), NOW_MS),
    BlockChecked(HASH, True),
    VoteReceived(make_vote(0, VoteKind.PREVOTE, HASH)),
    VoteSigned(make_vote(1, VoteKind.PREVOTE, None)),
    LockTaken(HEIGHT, Round(0), HASH),
    ProposalSigned(make_proposal()),
    TimedOut(HEIGHT, Round(3), Step.PRECOMMIT),
    RoundSkipped(HEIGHT, Round(9)),
]
LOG = b"".join(encode_record(record) for record in RECORDS)


def test_records_come_back_in_order() -> None:
    assert decode_records(LOG) == (RECORDS, len(LOG), None)
    assert decode_records(b"") == ([], 0, None)


def test_every_kind_of_record_is_tested_and_numbers_never_change() -> None:
    assert len({type(record) for record in RECORDS}) == len(RecordKind)
    assert [(kind.name, kind.value) for kind in RecordKind] == [
        ("HEIGHT_BEGAN", 1),
        ("LOCK_TAKEN", 2),
        ("WORK_ARRIVED", 3),
        ("PROPOSAL_RECEIVED", 4),
        ("VOTE_RECEIVED", 5),
        ("BLOCK_CHECKED", 6),
        ("VOTE_SIGNED", 7),
        ("PROPOSAL_SIGNED", 8),
        ("TIMED_OUT", 9),
        ("ROUND_SKIPPED", 10),
    ]


def test_a_log_cut_anywhere_is_its_whole_records_and_a_torn_tail() -> None:
    ends = [0]
    for record in RECORDS:
        ends.append(ends[-1] + len(encode_record(record)))
    for length in range(len(LOG)):
        whole = sum(end <= length for end in ends) - 1
        damage = None if length in ends else LogDamage.TORN_TAIL
        assert decode_records(LOG[:length]) == (RECORDS[:whole], ends[whole], damage)


@pytest.mark.parametrize("tail", [bytes(1), bytes(4096), b"\xff" * 100, b"\xc1\x02", b"\xc1\x01\xc1\x02", b"\xc1"])
def test_rubbish_behind_the_last_record_costs_no_record(tail: bytes) -> None:
    assert decode_records(LOG + tail) == (RECORDS, len(LOG), LogDamage.TORN_TAIL)


def test_a_bad_byte_in_the_last_record_is_a_torn_tail() -> None:
    last = len(encode_record(RECORDS[-1]))
    for position in range(len(LOG) - last, len(LOG)):
        changed = LOG[:position] + bytes([LOG[position] ^ 0x20]) + LOG[position + 1 :]
        assert decode_records(changed) == (RECORDS[:-1], len(LOG) - last, LogDamage.TORN_TAIL)


@given(st.integers(0, len(LOG) - len(encode_record(RECORDS[-1])) - 1), st.integers(1, 255))
def test_a_bad_byte_before_the_last_record_is_damage_in_the_middle(position: int, change: int) -> None:
    changed = LOG[:position] + bytes([LOG[position] ^ change]) + LOG[position + 1 :]
    records, good_length, damage = decode_records(changed)
    assert records == RECORDS[: len(records)]
    assert LOG[:good_length] == b"".join(encode_record(record) for record in records)
    before_last = len(LOG) - len(encode_record(RECORDS[-1])) - len(encode_record(RECORDS[-2]))
    if position < before_last:
        assert damage is LogDamage.DAMAGED_MIDDLE
    else:  # a mark lost between the last two makes one bad record of them
        assert damage in (LogDamage.DAMAGED_MIDDLE, LogDamage.TORN_TAIL)


def test_a_peer_cannot_make_a_torn_record_look_like_damage_in_the_middle() -> None:
    """A whole record stands inside a peer's evidence; the crash comes right behind it."""
    inner = encode_record(WorkArrived(HEIGHT))
    evidence = (inner, b"\x01" * 200)
    proposal = make_proposal()
    header = replace(proposal.header, evidence_root=compute_evidence_root(evidence))
    outer = encode_record(ProposalReceived(replace(proposal, header=header, evidence=evidence), NOW_MS))
    for length in range(1, len(outer)):
        assert decode_records(LOG + outer[:length])[1:] == (len(LOG), LogDamage.TORN_TAIL)
    assert decode_records(outer)[1:] == (len(outer), None)


def test_a_record_of_nothing_but_marks_comes_back() -> None:
    proposal = replace(make_proposal(), evidence=(b"\xc1" * EVIDENCE_BYTES_MAX, b"\xc1\x01" * 99, b"\xc1\x02"))
    record = ProposalReceived(proposal, NOW_MS)
    assert decode_records(encode_record(record))[0] == [record]


@given(st.binary(max_size=400))
def test_any_bytes_are_read_without_an_error(log: bytes) -> None:
    records, good_length, damage = decode_records(log)
    assert (damage is None) == (good_length == len(log))
    assert b"".join(encode_record(record) for record in records) == log[:good_length]


@given(st.lists(st.sampled_from(RECORDS)), st.binary(max_size=60))
def test_what_was_synced_is_never_lost_to_what_follows(records: list[LogRecord], tail: bytes) -> None:
    log = b"".join(encode_record(record) for record in records)
    assert decode_records(log + tail)[0][: len(records)] == records


def test_a_record_that_decodes_to_nothing_is_bad() -> None:
    """The checksum fits, but the number is unknown or the fields are outside their limits."""
    impossible = encode_record(WorkArrived(Height(-1)))
    assert decode_records(impossible) == ([], 0, LogDamage.TORN_TAIL)
