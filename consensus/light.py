"""Following the chain by its committees alone: from a point one trusts to any later header, without what lies between.

A header names the committee that rules next. Where that is another one than before, the old committee has certified
the change; between changes one committee certifies everything. So the headers at which the committee changes lead from
a trusted point to every later header.

What this cannot tell: members who left long ago and no longer have anything to lose could certify another history
without a change. Whoever starts after a long absence therefore starts from a checkpoint that somebody named to him.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from consensus.certificate import InvalidCertificateError, check_certificate
from consensus.messages import Verify, verify_consensus_signature
from identity.signing import SigningDomain
from ledger.block import CommitCertificate, Header
from ledger.committee import Committee
from ledger.primitives import HASH_BYTES, JSON_INTEGER_MAX, BlockHash, Height

_HEIGHT_DIGITS_MAX: Final = 16


class InvalidCheckpointError(Exception):
    """This text names no block; the message says why."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A block that somebody vouches for."""

    height: Height
    block_hash: BlockHash


@dataclass(frozen=True, slots=True)
class TrustedPoint:
    """A block that is believed, and who certifies the blocks after it."""

    height: Height
    block_hash: BlockHash
    next_committee: Committee


@dataclass(frozen=True, slots=True)
class CommitteeChange:
    """A final header after which another committee rules."""

    header: Header
    certificate: CommitCertificate
    next_committee: Committee


def parse_checkpoint(text: str) -> Checkpoint:
    """Read `HEIGHT:0xBLOCKHASH`; raises InvalidCheckpointError."""
    height_text, separator, hash_text = text.partition(":")
    if not separator or not hash_text.startswith("0x"):
        raise InvalidCheckpointError(f"a checkpoint is HEIGHT:0xBLOCKHASH, not {text!r}")
    digits = hash_text.removeprefix("0x")
    if not height_text.isascii() or not height_text.isdigit() or len(height_text) > _HEIGHT_DIGITS_MAX:
        raise InvalidCheckpointError(f"a checkpoint's height is a number, not {height_text!r}")
    if len(digits) != 2 * HASH_BYTES or any(digit not in "0123456789abcdef" for digit in digits):
        raise InvalidCheckpointError(f"a block hash is {2 * HASH_BYTES} hexadecimal digits, not {digits!r}")
    if int(height_text) > JSON_INTEGER_MAX:
        raise InvalidCheckpointError(f"a height is at most {JSON_INTEGER_MAX}")
    return Checkpoint(Height(int(height_text)), BlockHash(bytes.fromhex(digits)))


def trust_header(header: Header, next_committee: Committee) -> TrustedPoint:
    """Start from a header that is believed for its own sake: genesis; raises InvalidCertificateError."""
    if next_committee.hash != header.next_committee_hash:
        raise InvalidCertificateError(f"header {header.height} announces another committee")
    return TrustedPoint(header.height, header.hash, next_committee)


def trust_checkpoint(checkpoint: Checkpoint, header: Header, next_committee: Committee) -> TrustedPoint:
    """Start from the block that a checkpoint names; header and committee may come from anybody."""
    if header.height != checkpoint.height or header.hash != checkpoint.block_hash:
        raise InvalidCertificateError(f"the header of height {header.height} is not the one of the checkpoint")
    return trust_header(header, next_committee)


def follow(
    point: TrustedPoint,
    changes: Sequence[CommitteeChange],
    header: Header,
    certificate: CommitCertificate,
    domain: SigningDomain,
    verify: Verify = verify_consensus_signature,
) -> TrustedPoint:
    """Prove a later header; raises InvalidCertificateError. Gives the last change, from which to go on next time.

    `changes` are those between the point and the header, in order; the header itself may be one more.
    """
    for change in changes:
        point = follow_change(point, change, domain, verify)
    _check_later(point, header, certificate, domain, verify)
    return point


def follow_change(
    point: TrustedPoint, change: CommitteeChange, domain: SigningDomain, verify: Verify = verify_consensus_signature
) -> TrustedPoint:
    """The next committee takes over; raises InvalidCertificateError."""
    header = change.header
    if header.next_committee_hash == header.committee_hash:
        raise InvalidCertificateError(f"header {header.height} changes no committee")
    _check_later(point, header, change.certificate, domain, verify)
    return trust_header(header, change.next_committee)


def _check_later(
    point: TrustedPoint, header: Header, certificate: CommitCertificate, domain: SigningDomain, verify: Verify
) -> None:
    if header.height <= point.height:
        raise InvalidCertificateError(f"header {header.height} is not after {point.height}, which is trusted")
    if header.height == point.height + 1 and header.previous_hash != point.block_hash:
        raise InvalidCertificateError(f"header {header.height} does not name the one before")
    try:
        check_certificate(certificate, header, point.next_committee, domain, verify)
    except InvalidCertificateError as error:
        raise InvalidCertificateError(f"header {header.height}: {error}") from None
