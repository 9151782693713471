"""The messages between nodes: stable numbers, limits that fit the transport, and nothing else let in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.block import BLOCK_BYTES_MAX, BLOCK_TRANSACTIONS_MAX, EVIDENCE_BYTES_MAX, EVIDENCE_MAX, Block
from ledger.codec import DecodeError, decode, encode, pack
from ledger.transaction import TRANSACTION_BYTES_MAX
from node.messages import (
    BLOCKS_ANSWER_BYTES_MAX,
    BLOCKS_ANSWER_MAX,
    GOSSIP_BYTES_MAX,
    GOSSIP_TRANSACTIONS_MAX,
    HASHES_REQUEST_MAX,
    BlocksAnswer,
    BlocksRequest,
    MessageKind,
    Status,
    TransactionBatch,
    TransactionsRequest,
)
from p2p.frames import KIND_MAX, MESSAGE_BYTES_MAX, Channel
from p2p.hello import APPLICATION_KIND_MIN
from tests.chains import SmallChain, sign_certificate

KINDS = (Status, TransactionBatch, TransactionsRequest, BlocksRequest, BlocksAnswer)
HASH = b"\x11" * 32


def test_wire_numbers_never_change():
    assert {kind.name: kind.value for kind in MessageKind} == {
        "STATUS": 256,
        "TRANSACTIONS": 300,
        "TRANSACTIONS_REQUEST": 301,
        "TRANSACTIONS_ANSWER": 302,
        "CONSENSUS": 400,
        "BLOCKS_REQUEST": 500,
        "BLOCKS_ANSWER": 501,
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


def test_the_largest_block_fits_one_answer():
    header = SmallChain({}).genesis
    frame_bytes = len(encode(Block(header, (), ()))) + 5 * (BLOCK_TRANSACTIONS_MAX + EVIDENCE_MAX + 2)
    certificate_bytes = len(encode(sign_certificate(header, (0, 1, 2, 3)))) * 6  # of 21 members
    whole = frame_bytes + BLOCK_BYTES_MAX + EVIDENCE_MAX * EVIDENCE_BYTES_MAX + certificate_bytes
    assert whole <= BLOCKS_ANSWER_BYTES_MAX


def test_a_request_names_every_transaction_of_the_largest_block():
    assert HASHES_REQUEST_MAX >= BLOCK_TRANSACTIONS_MAX
