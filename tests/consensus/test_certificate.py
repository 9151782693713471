from collections.abc import Callable
from dataclasses import replace

import pytest

from consensus.certificate import (
    InvalidCertificateError,
    InvalidHeaderError,
    check_certificate,
    check_header_link,
)
from identity.signing import compute_signing_domain
from ledger.block import CommitCertificate, Header
from ledger.primitives import BlockHash, ChainId, Height, RootHash, Round, Signature, TimeMs
from tests.consensus.builders import CHAIN_ID, DOMAIN, make_certificate, make_committee, make_header

COMMITTEE = make_committee(4)
HEADER = make_header()
CERTIFICATE = make_certificate(HEADER, (0, 2, 3))


def spoil(position: int) -> CommitCertificate:
    signatures = list(CERTIFICATE.signatures)
    signatures[position] = (signatures[position][0], Signature(bytes(64)))
    return replace(CERTIFICATE, signatures=tuple(signatures))


@pytest.mark.parametrize("signers", [(0, 1, 2), (1, 2, 3), (0, 1, 2, 3)])
def test_three_or_four_of_four_are_enough(signers: tuple[int, ...]) -> None:
    check_certificate(make_certificate(HEADER, signers), HEADER, COMMITTEE, DOMAIN)


def test_a_later_round_may_finalise_an_earlier_block() -> None:
    check_certificate(make_certificate(HEADER, (0, 1, 2), 5), HEADER, COMMITTEE, DOMAIN)


def test_one_of_one_is_enough() -> None:
    header = make_header(size=1)
    check_certificate(make_certificate(header, (0,)), header, make_committee(1), DOMAIN)


@pytest.mark.parametrize(
    ("certificate", "reason"),
    [
        (make_certificate(HEADER, (0, 1)), "2 signatures where 3 are needed"),
        (make_certificate(HEADER, ()), "0 signatures"),
        (replace(CERTIFICATE, signatures=CERTIFICATE.signatures[::-1]), "ascending"),
        (replace(CERTIFICATE, signatures=CERTIFICATE.signatures[:1] * 3), "ascending"),
        (make_certificate(HEADER, (0, 2, 4)), "outside the committee"),
        (replace(CERTIFICATE, signatures=((-1, Signature(bytes(64))), *CERTIFICATE.signatures)), "outside"),
        (spoil(0), "member 0 is bad"),
        (spoil(2), "member 3 is bad"),
        (replace(CERTIFICATE, round=Round(1)), "is bad"),
        (replace(CERTIFICATE, height=Height(5)), "another block"),
        (replace(CERTIFICATE, block_hash=BlockHash(bytes(32))), "another block"),
    ],
)
def test_what_proves_nothing_is_refused(certificate: CommitCertificate, reason: str) -> None:
    with pytest.raises(InvalidCertificateError, match=reason):
        check_certificate(certificate, HEADER, COMMITTEE, DOMAIN)


def test_a_round_before_the_block_was_proposed_is_refused() -> None:
    header = make_header(round_number=2)
    with pytest.raises(InvalidCertificateError, match="before the block was proposed"):
        check_certificate(make_certificate(header, (0, 1, 2), 1), header, COMMITTEE, DOMAIN)


def test_another_committee_is_refused() -> None:
    with pytest.raises(InvalidCertificateError, match="committee"):
        check_certificate(CERTIFICATE, HEADER, make_committee(3), DOMAIN)


def test_another_chain_is_refused() -> None:
    other = compute_signing_domain(CHAIN_ID, b"\x01" * 32)
    with pytest.raises(InvalidCertificateError, match="is bad"):
        check_certificate(CERTIFICATE, HEADER, COMMITTEE, other)


def test_no_signature_is_checked_when_there_are_too_few() -> None:
    checked: list[bytes] = []

    def verify(key: bytes, message: bytes, signature: bytes) -> bool:
        checked.append(signature)
        return True

    with pytest.raises(InvalidCertificateError):
        check_certificate(make_certificate(HEADER, (0, 1)), HEADER, COMMITTEE, DOMAIN, verify)
    assert checked == []
    check_certificate(CERTIFICATE, HEADER, COMMITTEE, DOMAIN, verify)
    assert checked == [signature for _, signature in CERTIFICATE.signatures]


NEXT = replace(HEADER, height=Height(HEADER.height + 1), previous_hash=HEADER.hash, time_ms=TimeMs(HEADER.time_ms + 1))


def test_the_next_header_follows() -> None:
    check_header_link(HEADER, NEXT)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda header: replace(header, chain_id=ChainId("other")), "another chain"),
        (lambda header: replace(header, height=Height(6)), "height"),
        (lambda header: replace(header, height=HEADER.height), "height"),
        (lambda header: replace(header, previous_hash=BlockHash(bytes(32))), "does not name"),
        (lambda header: replace(header, time_ms=HEADER.time_ms), "later"),
        (lambda header: replace(header, committee_hash=RootHash(bytes(32))), "committee"),
    ],
)
def test_a_header_that_does_not_follow_is_refused(change: Callable[[Header], Header], reason: str) -> None:
    with pytest.raises(InvalidHeaderError, match=reason):
        check_header_link(HEADER, change(NEXT))
