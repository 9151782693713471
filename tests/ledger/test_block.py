"""Headers, blocks and certificates: their bytes, hashes and limits."""

from dataclasses import fields, replace
from hashlib import sha256
from typing import Any

import pytest

from identity.address import Address
from ledger.block import (
    BLOCK_BYTES_MAX,
    BLOCK_TRANSACTIONS_MAX,
    EVIDENCE_BYTES_MAX,
    EVIDENCE_MAX,
    HEADER_VERSION,
    Block,
    CertifiedBlock,
    CommitCertificate,
    Header,
    compute_transactions_root,
)
from ledger.codec import DecodeError, decode, encode, pack, to_plain
from ledger.committee import COMMITTEE_MEMBERS_MAX, Committee, Member
from ledger.merkle import compute_leaf_hash, compute_root
from ledger.primitives import (
    EMPTY_ROOT,
    BlockHash,
    ChainId,
    ConsensusKey,
    EnvelopeHash,
    Height,
    RootHash,
    Round,
    Signature,
    TimeMs,
)


def make_root(text: str) -> RootHash:
    return RootHash(sha256(text.encode()).digest())


HEADER = Header(
    version=HEADER_VERSION,
    chain_id=ChainId("test"),
    height=Height(5),
    round=Round(1),
    time_ms=TimeMs(1_700_000_000_000),
    previous_hash=BlockHash(make_root("previous")),
    proposer=ConsensusKey(make_root("proposer")),
    transactions_root=make_root("transactions"),
    evidence_root=EMPTY_ROOT,
    state_root=make_root("state"),
    receipts_root=make_root("receipts"),
    committee_hash=make_root("committee"),
    next_committee_hash=make_root("next committee"),
    parameters_hash=make_root("parameters"),
)
CERTIFICATE = CommitCertificate(
    Height(5), Round(1), HEADER.hash, tuple((index, Signature(bytes([index]) * 64)) for index in range(3))
)
BLOCK = Block(HEADER, (b"first", b"second"), (b"evidence",))


def test_decoding_gives_back_what_was_encoded() -> None:
    assert decode(Header, HEADER.encoded) == HEADER
    assert decode(Block, encode(BLOCK)) == BLOCK
    assert decode(CommitCertificate, encode(CERTIFICATE)) == CERTIFICATE
    certified = CertifiedBlock(BLOCK, CERTIFICATE)
    assert decode(CertifiedBlock, encode(certified)) == certified


def test_the_hash_is_of_the_encoded_header_and_covers_every_field() -> None:
    assert HEADER.encoded == encode(HEADER) == pack([getattr(HEADER, each.name) for each in fields(Header)])
    assert HEADER.hash == sha256(HEADER.encoded).digest()
    changes: dict[str, Any] = {
        each.name: getattr(HEADER, each.name) + 1
        if isinstance(getattr(HEADER, each.name), int)
        else getattr(HEADER, each.name)[::-1]
        for each in fields(Header)
    }
    hashes = {replace(HEADER, **{name: value}).hash for name, value in changes.items()}
    assert len(hashes) == len(fields(Header))
    assert HEADER.hash not in hashes


def test_every_flipped_bit_of_a_header_changes_its_hash_or_is_refused() -> None:
    for position in range(len(HEADER.encoded)):
        for bit in range(8):
            flipped = bytearray(HEADER.encoded)
            flipped[position] ^= 1 << bit
            try:
                header = decode(Header, bytes(flipped))
            except DecodeError:
                continue
            assert header.hash != HEADER.hash


@pytest.mark.parametrize(
    ("field", "bad"),
    [
        ("version", HEADER_VERSION + 1),
        ("version", 0),
        ("chain_id", ""),
        ("chain_id", "c" * 33),
        ("height", -1),
        ("height", 2**53),
        ("round", -1),
        ("round", 2**31),
        ("time_ms", 2**53),
        ("previous_hash", bytes(31)),
        ("proposer", bytes(33)),
        ("state_root", None),
        ("parameters_hash", "text"),
    ],
)
def test_a_bad_header_field_is_refused(field: str, bad: Any) -> None:
    plain = to_plain(HEADER)
    plain[[each.name for each in fields(Header)].index(field)] = bad
    with pytest.raises(DecodeError, match=field):
        decode(Header, pack(plain))


@pytest.mark.parametrize(
    ("transactions", "evidence"),
    [
        ([b""], []),
        ([bytes(65_537)], []),
        ([b"x"] * (BLOCK_TRANSACTIONS_MAX + 1), []),
        (["text"], []),
        ([], [b""]),
        ([], [bytes(EVIDENCE_BYTES_MAX + 1)]),
        ([], [b"x"] * (EVIDENCE_MAX + 1)),
        (None, []),
    ],
)
def test_a_block_beyond_its_limits_is_refused(transactions: Any, evidence: Any) -> None:
    header = to_plain(HEADER)
    assert decode(Block, pack([header, [b"x"] * BLOCK_TRANSACTIONS_MAX, [b"x"] * EVIDENCE_MAX]))
    with pytest.raises(DecodeError):
        decode(Block, pack([header, transactions, evidence]))


@pytest.mark.parametrize(
    "signatures",
    [
        [[-1, bytes(64)]],
        [[COMMITTEE_MEMBERS_MAX, bytes(64)]],
        [[0, bytes(63)]],
        [[0]],
        [[index % COMMITTEE_MEMBERS_MAX, bytes(64)] for index in range(COMMITTEE_MEMBERS_MAX + 1)],
    ],
)
def test_a_certificate_beyond_its_limits_is_refused(signatures: Any) -> None:
    with pytest.raises(DecodeError):
        decode(CommitCertificate, pack([5, 1, HEADER.hash, signatures]))


def test_the_transactions_root_has_the_transactions_as_leaves() -> None:
    raws = [b"first", b"second", b"third"]
    hashes = [EnvelopeHash(compute_leaf_hash(raw)) for raw in raws]
    assert compute_transactions_root(hashes) == compute_root(hashes)
    assert compute_transactions_root(hashes) != compute_transactions_root(hashes[::-1])
    assert compute_transactions_root([]) == EMPTY_ROOT


def test_limits_fit_together() -> None:
    assert EVIDENCE_MAX * EVIDENCE_BYTES_MAX < BLOCK_BYTES_MAX
    assert BLOCK_TRANSACTIONS_MAX * 100 < BLOCK_BYTES_MAX, "a full block of the smallest transactions"


def test_a_committee_has_one_hash_and_finds_its_members() -> None:
    members = tuple(Member(Address(bytes([index]) * 20), ConsensusKey(bytes([index]) * 32)) for index in range(4))
    committee = Committee(members)
    assert decode(Committee, encode(committee)) == committee
    assert committee.hash == sha256(encode(committee)).digest() != Committee(members[::-1]).hash
    assert [committee.find(member.consensus_key) for member in members] == [0, 1, 2, 3]
    assert committee.find(ConsensusKey(bytes([9]) * 32)) is None
    for plain in ([], [to_plain(members[0])] * (COMMITTEE_MEMBERS_MAX + 1)):
        with pytest.raises(DecodeError):
            decode(Committee, pack([plain]))
