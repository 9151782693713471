"""Checking finality with nothing but headers, committees and certificates: for block sync and light clients."""

from itertools import pairwise

from consensus.committee import quorum
from consensus.messages import Verify, VoteKind, verify_consensus_signature, vote_signing_bytes
from identity.signing import SigningDomain
from ledger.block import CommitCertificate, Header
from ledger.committee import Committee


class InvalidCertificateError(Exception):
    """This does not prove the block final; the message says why."""


class InvalidHeaderError(Exception):
    """This header does not follow the one before; the message says why."""


def check_certificate(
    certificate: CommitCertificate,
    header: Header,
    committee: Committee,
    domain: SigningDomain,
    verify: Verify = verify_consensus_signature,
) -> None:
    """More than 2/3 of this committee have precommitted this header; raises InvalidCertificateError.

    The caller knows the committee from the header before (`next_committee_hash`). Block 0 has no certificate: it is
    known by its hash.
    """
    if certificate.height != header.height or certificate.block_hash != header.hash:
        raise InvalidCertificateError("the certificate is about another block")
    if certificate.round < header.round:
        raise InvalidCertificateError("the certificate's round is before the block was proposed")
    if committee.hash != header.committee_hash:
        raise InvalidCertificateError("the header names another committee")
    indices = [index for index, _ in certificate.signatures]
    if any(first >= second for first, second in pairwise(indices)):
        raise InvalidCertificateError("the member indices are not strictly ascending")
    if indices and not 0 <= indices[0] <= indices[-1] < len(committee.members):
        raise InvalidCertificateError("a member index is outside the committee")
    needed = quorum(len(committee.members))
    if len(indices) < needed:
        raise InvalidCertificateError(f"{len(indices)} signatures where {needed} are needed")
    message = vote_signing_bytes(
        domain, VoteKind.PRECOMMIT, certificate.height, certificate.round, certificate.block_hash
    )
    for index, signature in certificate.signatures:
        if not verify(committee.members[index].consensus_key, message, signature):
            raise InvalidCertificateError(f"the signature of member {index} is bad")


def check_header_link(previous: Header, header: Header) -> None:
    """That this header may stand right after the previous one; raises InvalidHeaderError."""
    if header.chain_id != previous.chain_id:
        raise InvalidHeaderError("the header is of another chain")
    if header.height != previous.height + 1:
        raise InvalidHeaderError(f"height {header.height} does not follow {previous.height}")
    if header.previous_hash != previous.hash:
        raise InvalidHeaderError("the header does not name the one before")
    if header.time_ms <= previous.time_ms:
        raise InvalidHeaderError("the header is not later than the one before")
    if header.committee_hash != previous.next_committee_hash:
        raise InvalidHeaderError("the committee is not the one announced before")
