from dataclasses import replace

import pytest

from consensus.certificate import InvalidCertificateError
from consensus.light import (
    Checkpoint,
    CommitteeChange,
    InvalidCheckpointError,
    TrustedPoint,
    follow,
    parse_checkpoint,
    trust_checkpoint,
    trust_header,
)
from identity.signing import compute_signing_domain
from ledger.block import Header
from ledger.primitives import BlockHash, Height
from tests.consensus.builders import CHAIN_ID, DOMAIN, make_certificate, make_committee, make_header

FOUR, FIVE, SEVEN = make_committee(4), make_committee(5), make_committee(7)
START = TrustedPoint(Height(1), BlockHash(b"\x01" * 32), FOUR)


def change_committee(height: int, size: int, next_size: int, signers: tuple[int, ...]) -> CommitteeChange:
    next_committee = make_committee(next_size)
    header = replace(make_header(size, height=Height(height)), next_committee_hash=next_committee.hash)
    return CommitteeChange(header, make_certificate(header, signers), next_committee)


TO_FIVE = change_committee(10, 4, 5, (0, 1, 2))
TO_SEVEN = change_committee(20, 5, 7, (0, 1, 2, 3))
TARGET = make_header(7, height=Height(30))
TARGET_CERTIFICATE = make_certificate(TARGET, (0, 1, 2, 3, 4))


def test_a_header_of_the_trusted_committee_needs_no_change() -> None:
    header = make_header(4, height=Height(9))
    assert follow(START, (), header, make_certificate(header, (1, 2, 3)), DOMAIN) == START


def test_each_change_hands_over_to_the_next_committee() -> None:
    last = follow(START, (TO_FIVE, TO_SEVEN), TARGET, TARGET_CERTIFICATE, DOMAIN)
    assert last == TrustedPoint(Height(20), TO_SEVEN.header.hash, SEVEN)
    assert follow(last, (), TARGET, TARGET_CERTIFICATE, DOMAIN) == last


def test_the_header_itself_may_be_one_more_change() -> None:
    assert follow(START, (TO_FIVE,), TO_SEVEN.header, TO_SEVEN.certificate, DOMAIN).next_committee == FIVE


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ((), "header 30: the header names another committee"),
        ((TO_FIVE,), "header 30: the header names another committee"),
        ((TO_SEVEN,), "header 20: the header names another committee"),
        ((TO_SEVEN, TO_FIVE), "header 20: the header names another committee"),
        ((TO_FIVE, TO_FIVE), "header 10 is not after 10"),
        ((replace(TO_FIVE, next_committee=SEVEN), TO_SEVEN), "header 10 announces another committee"),
        ((change_committee(10, 4, 4, (0, 1, 2)),), "header 10 changes no committee"),
        ((change_committee(10, 4, 5, (0, 1)), TO_SEVEN), "header 10: 2 signatures where 3 are needed"),
        ((replace(TO_FIVE, certificate=TO_SEVEN.certificate),), "header 10: the certificate is about another block"),
        ((TO_FIVE, TO_SEVEN, change_committee(30, 7, 4, (0, 1, 2, 3, 4))), "header 30 is not after 30"),
    ],
)
def test_changes_that_do_not_lead_to_the_header_are_refused(changes: tuple[CommitteeChange, ...], reason: str) -> None:
    with pytest.raises(InvalidCertificateError, match=reason):
        follow(START, changes, TARGET, TARGET_CERTIFICATE, DOMAIN)


def test_a_header_right_after_the_trusted_one_names_it() -> None:
    header = make_header(4, height=Height(2))
    with pytest.raises(InvalidCertificateError, match="header 2 does not name the one before"):
        follow(START, (), header, make_certificate(header, (0, 1, 2)), DOMAIN)
    linked = replace(header, previous_hash=START.block_hash)
    assert follow(START, (), linked, make_certificate(linked, (0, 1, 2)), DOMAIN) == START


def test_certificates_of_another_chain_prove_nothing() -> None:
    other = compute_signing_domain(CHAIN_ID, b"\x01" * 32)
    with pytest.raises(InvalidCertificateError, match="header 10: the signature of member 0 is bad"):
        follow(START, (TO_FIVE, TO_SEVEN), TARGET, TARGET_CERTIFICATE, other)


def test_genesis_is_trusted_for_its_own_sake() -> None:
    genesis = make_header(4, height=Height(0))
    assert trust_header(genesis, FOUR) == TrustedPoint(Height(0), genesis.hash, FOUR)
    with pytest.raises(InvalidCertificateError, match="header 0 announces another committee"):
        trust_header(genesis, FIVE)


@pytest.mark.parametrize("header", [replace(TARGET, height=Height(31)), replace(TARGET, previous_hash=bytes(32))])
def test_a_checkpoint_is_met_by_its_own_header_alone(header: Header) -> None:
    checkpoint = Checkpoint(TARGET.height, TARGET.hash)
    assert trust_checkpoint(checkpoint, TARGET, SEVEN) == TrustedPoint(TARGET.height, TARGET.hash, SEVEN)
    with pytest.raises(InvalidCertificateError, match="is not the one of the checkpoint"):
        trust_checkpoint(checkpoint, header, SEVEN)


def test_a_checkpoint_is_a_height_and_a_hash() -> None:
    assert parse_checkpoint("120:0x" + "0a" * 32) == Checkpoint(Height(120), BlockHash(b"\x0a" * 32))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "120",
        "120:" + "0a" * 32,
        ":0x" + "0a" * 32,
        "-1:0x" + "0a" * 32,
        "1_0:0x" + "0a" * 32,
        "²:0x" + "0a" * 32,
        "9007199254740992:0x" + "0a" * 32,
        "120:0x" + "0a" * 31,
        "120:0x" + "0A" * 32,
    ],
)
def test_other_texts_are_no_checkpoint(text: str) -> None:
    with pytest.raises(InvalidCheckpointError):
        parse_checkpoint(text)
