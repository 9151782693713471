"""The messages between nodes: stable numbers, limits that fit the transport, and nothing else let in."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.light import CommitteeChange
from identity.address import Address
from ledger.block import (
    BLOCK_BYTES_MAX,
    BLOCK_TRANSACTIONS_MAX,
    EVIDENCE_BYTES_MAX,
    EVIDENCE_MAX,
    Block,
    CommitCertificate,
)
from ledger.codec import DecodeError, decode, encode, pack
from ledger.committee import COMMITTEE_MEMBERS_MAX, Committee, Member
from ledger.primitives import ChainId, ConsensusKey, Height, Round, Signature
from ledger.state_part import PART_BYTES_MAX, PART_CHILDREN_BYTES_MAX, PART_ENTRY_BYTES, list_flat
from ledger.state_proof import STATE_VALUE_BYTES_MAX
from ledger.transaction import TRANSACTION_BYTES_MAX
from ledger.tree import PATH_NIBBLES, STATE_KEY_BYTES_MAX
from node.messages import (
    BLOCKS_ANSWER_BYTES_MAX,
    BLOCKS_ANSWER_MAX,
    CHANNELS,
    COMMITTEE_CHANGES_MAX,
    EVENTS_BYTES_MAX,
    GOSSIP_BYTES_MAX,
    GOSSIP_TRANSACTIONS_MAX,
    HASHES_REQUEST_MAX,
    PART_ENTRIES_BYTES_MAX,
    RECEIPTS_BYTES_MAX,
    SNAPSHOT_ANSWERS,
    SNAPSHOT_REQUESTS,
    BlocksAnswer,
    BlocksRequest,
    CommitteeChanges,
    CommitteeChangesRequest,
    HeaderAnswer,
    HeaderRequest,
    MessageKind,
    ReceiptsAnswer,
    ReceiptsRequest,
    SnapshotOffer,
    SnapshotRequest,
    StatePartAnswer,
    StatePartRequest,
    Status,
    TransactionBatch,
    TransactionsRequest,
)
from p2p.frames import KIND_MAX, MESSAGE_BYTES_MAX, Channel
from p2p.hello import APPLICATION_KIND_MIN
from tests.chains import SmallChain, sign_certificate

KINDS = (
    Status,
    TransactionBatch,
    TransactionsRequest,
    BlocksRequest,
    BlocksAnswer,
    SnapshotRequest,
    SnapshotOffer,
    CommitteeChangesRequest,
    CommitteeChanges,
    HeaderRequest,
    HeaderAnswer,
    ReceiptsRequest,
    ReceiptsAnswer,
    StatePartRequest,
    StatePartAnswer,
)
HASH = b"\x11" * 32


def test_wire_numbers_never_change():
    assert {kind.name: kind.value for kind in MessageKind} == {
        "STATUS": 256,
        "TRANSACTIONS": 300,
        "TRANSACTIONS_REQUEST": 301,
        "TRANSACTIONS_ANSWER": 302,
        "CONSENSUS": 400,
        "EVIDENCE": 401,
        "BLOCKS_REQUEST": 500,
        "BLOCKS_ANSWER": 501,
        "SNAPSHOT_REQUEST": 520,
        "SNAPSHOT_OFFER": 521,
        "COMMITTEE_CHANGES_REQUEST": 522,
        "COMMITTEE_CHANGES": 523,
        "HEADER_REQUEST": 524,
        "HEADER_ANSWER": 525,
        "RECEIPTS_REQUEST": 526,
        "RECEIPTS_ANSWER": 527,
        "STATE_PART_REQUEST": 528,
        "STATE_PART": 529,
    }
    assert all(APPLICATION_KIND_MIN <= kind <= KIND_MAX for kind in MessageKind)


@pytest.mark.parametrize(
    ("message", "plain"),
    [
        (Status(7, 3), [7, 3]),
        (TransactionBatch((b"a", b"b")), [[b"a", b"b"]]),
        (TransactionsRequest((HASH,)), [[HASH]]),
        (BlocksRequest(5, 64), [5, 64]),
        (BlocksAnswer(5, ((b"block", b"certificate"),)), [5, [[b"block", b"certificate"]]]),
        (BlocksAnswer(5, ()), [5, []]),
        (SnapshotRequest(None), [None]),
        (SnapshotRequest(7), [7]),
        (SnapshotOffer(None, 7, None), [None, 7, None]),
        (CommitteeChangesRequest(7), [7]),
        (CommitteeChanges(7, ()), [7, []]),
        (HeaderRequest(7), [7]),
        (HeaderAnswer(7, None, None), [7, None, None]),
        (ReceiptsRequest(7), [7]),
        (ReceiptsAnswer(7, b"receipts", None), [7, b"receipts", None]),
        (StatePartRequest(7, b"\x01\x0f"), [7, b"\x01\x0f"]),
        (StatePartAnswer(7, b"", b"entries", None), [7, b"", b"entries", None]),
    ],
)
def test_each_has_one_byte_form(message, plain):
    assert encode(message) == pack(plain)
    assert decode(type(message), pack(plain)) == message


@pytest.mark.parametrize(
    ("kind", "plain"),
    [
        (Status, [-1, 0]),
        (Status, [2**53, 0]),
        (Status, [1]),
        (Status, [1, 0, 0]),
        (TransactionBatch, [[]]),
        (TransactionBatch, [[b""]]),
        (TransactionBatch, [[b"a"] * (GOSSIP_TRANSACTIONS_MAX + 1)]),
        (TransactionBatch, [[bytes(TRANSACTION_BYTES_MAX + 1)]]),
        (TransactionBatch, [["text"]]),
        (TransactionsRequest, [[]]),
        (TransactionsRequest, [[bytes(31)]]),
        (TransactionsRequest, [[HASH] * (HASHES_REQUEST_MAX + 1)]),
        (BlocksRequest, [1, 0]),
        (BlocksRequest, [1, BLOCKS_ANSWER_MAX + 1]),
        (BlocksAnswer, [1, [[b"", b""]]]),
        (BlocksAnswer, [1, [[b"block"]]]),
        (BlocksAnswer, [1, [[b"a", b"b"]] * (BLOCKS_ANSWER_MAX + 1)]),
        (SnapshotRequest, [-1]),
        (ReceiptsAnswer, [7, b"", None]),
        (ReceiptsAnswer, [7, bytes(RECEIPTS_BYTES_MAX + 1), None]),
        (ReceiptsAnswer, [7, None, bytes(EVENTS_BYTES_MAX + 1)]),
        (StatePartRequest, [7, bytes(PATH_NIBBLES + 1)]),
        (StatePartAnswer, [7, b"", bytes(PART_ENTRIES_BYTES_MAX + 1), None]),
        (StatePartAnswer, [7, b"", None, bytes(PART_CHILDREN_BYTES_MAX + 1)]),
    ],
)
def test_what_is_out_of_its_limits_is_refused(kind, plain):
    with pytest.raises(DecodeError):
        decode(kind, pack(plain))


@given(st.sampled_from(KINDS), st.binary(max_size=80))
def test_random_bytes_are_refused_or_the_one_form(kind, payload):
    try:
        message = decode(kind, payload)
    except DecodeError:
        return
    assert encode(message) == payload


def test_every_message_fits_its_channel():
    assert len(encode(Status(2**53 - 1, 2**53 - 1))) <= MESSAGE_BYTES_MAX[Channel.CONTROL]
    hashes = TransactionsRequest((HASH,) * HASHES_REQUEST_MAX)
    assert len(encode(hashes)) <= MESSAGE_BYTES_MAX[Channel.TRANSACTIONS]
    marks = 5 * GOSSIP_TRANSACTIONS_MAX
    assert GOSSIP_BYTES_MAX + TRANSACTION_BYTES_MAX + marks < MESSAGE_BYTES_MAX[Channel.TRANSACTIONS]
    assert MESSAGE_BYTES_MAX[Channel.SYNC] > BLOCKS_ANSWER_BYTES_MAX + 10 * BLOCKS_ANSWER_MAX
    assert MESSAGE_BYTES_MAX[Channel.SYNC] > RECEIPTS_BYTES_MAX + EVENTS_BYTES_MAX + 32
    assert MESSAGE_BYTES_MAX[Channel.SYNC] > PART_ENTRIES_BYTES_MAX + PART_CHILDREN_BYTES_MAX + PATH_NIBBLES + 32


def test_the_most_changes_of_the_largest_committee_fit_one_message():
    member = Member(Address(bytes(20)), ConsensusKey(bytes(32)))
    committee = Committee((member,) * COMMITTEE_MEMBERS_MAX)
    header = replace(SmallChain({}).genesis, chain_id=ChainId("c" * 32))
    signatures = tuple((index, Signature(bytes(64))) for index in range(COMMITTEE_MEMBERS_MAX))
    certificate = CommitCertificate(Height(2**53 - 1), Round(2**31 - 1), header.hash, signatures)
    changes = CommitteeChanges(Height(1), (CommitteeChange(header, certificate, committee),) * COMMITTEE_CHANGES_MAX)
    assert decode(CommitteeChanges, encode(changes)) == changes
    assert len(encode(changes)) < 2**20


def test_what_downloading_takes_is_told_apart_and_goes_over_one_channel():
    assert {kind for kind in MessageKind if kind >= MessageKind.SNAPSHOT_REQUEST} == (
        SNAPSHOT_REQUESTS | SNAPSHOT_ANSWERS
    )
    assert not SNAPSHOT_REQUESTS & SNAPSHOT_ANSWERS
    assert {CHANNELS[kind] for kind in SNAPSHOT_REQUESTS | SNAPSHOT_ANSWERS} == {Channel.SYNC}


def test_every_part_that_a_peer_may_build_fits_its_message():
    small = [(bytes([1, index // 256, index % 256]), b"") for index in range(PART_BYTES_MAX // (PART_ENTRY_BYTES + 3))]
    assert len(pack(list_flat(small))) <= PART_ENTRIES_BYTES_MAX
    largest = [(bytes(STATE_KEY_BYTES_MAX), bytes(STATE_VALUE_BYTES_MAX))]
    assert len(pack(list_flat(largest))) <= PART_ENTRIES_BYTES_MAX


def test_the_largest_block_fits_one_answer():
    header = SmallChain({}).genesis
    frame_bytes = len(encode(Block(header, (), ()))) + 5 * (BLOCK_TRANSACTIONS_MAX + EVIDENCE_MAX + 2)
    certificate_bytes = len(encode(sign_certificate(header, (0, 1, 2, 3)))) * 6  # of 21 members
    whole = frame_bytes + BLOCK_BYTES_MAX + EVIDENCE_MAX * EVIDENCE_BYTES_MAX + certificate_bytes
    assert whole <= BLOCKS_ANSWER_BYTES_MAX


def test_a_request_names_every_transaction_of_the_largest_block():
    assert HASHES_REQUEST_MAX >= BLOCK_TRANSACTIONS_MAX
