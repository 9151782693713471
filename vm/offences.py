"""Evidence in blocks: which of it counts, and what it proves."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from identity.address import Address
from identity.signing import SigningDomain
from ledger.codec import decode
from ledger.committee import Committee
from ledger.evidence import InvalidEvidenceError, Offence, check_evidence_signatures, decode_evidence
from ledger.primitives import Height
from ledger.state import StateReader
from ledger.state_keys import TERM_PREFIX, offence_key


@dataclass(frozen=True, slots=True)
class Term:
    """Who ruled from a height on, until the next term began."""

    epoch: int
    committee: Committee


@dataclass(frozen=True, slots=True)
class Culprit:
    """Who is behind an offence, and the term in which it was committed."""

    operator: Address
    term_height: Height
    epoch: int
    """Of that term."""


def find_culprit(state: StateReader, offence: Offence) -> Culprit | None:
    """The operator whose key it was, if that key had a seat at the time and the term is still remembered."""
    found: tuple[bytes, bytes] | None = None
    for key, encoded in state.iterate_prefix(TERM_PREFIX):
        if int.from_bytes(key[len(TERM_PREFIX) :], "big") > offence.height:
            break
        found = key, encoded
    if found is None:
        return None
    key, encoded = found
    term = decode(Term, encoded)
    index = term.committee.find(offence.key)
    if index is None:
        return None
    term_height = Height(int.from_bytes(key[len(TERM_PREFIX) :], "big"))
    return Culprit(term.committee.members[index].operator, term_height, term.epoch)


def check_offence(state: StateReader, offence: Offence, height: Height) -> Culprit:
    """That an offence may be punished in a block of this height; raises InvalidEvidenceError."""
    if offence.height >= height:
        raise InvalidEvidenceError(f"it is about height {offence.height}, not yet final before block {height}")
    culprit = find_culprit(state, offence)
    if culprit is None:
        raise InvalidEvidenceError("its signer had no seat at that height, or it is too old")
    if state.get(offence_key(culprit.term_height, offence.id)) is not None:
        raise InvalidEvidenceError("the offence was punished already")
    return culprit


def check_block_evidence(state: StateReader, domain: SigningDomain, height: Height, evidence: Sequence[bytes]) -> None:
    """That a block of this height may hold this evidence, all of it; raises InvalidEvidenceError.

    It stands in the order of its offences' ids, each offence once.
    """
    last_id = b""
    for encoded in evidence:
        piece, offence = decode_evidence(encoded)
        if offence.id <= last_id:
            raise InvalidEvidenceError("it does not stand in order of its offences, each once")
        last_id = offence.id
        check_offence(state, offence, height)
        check_evidence_signatures(piece, domain)


def read_offences(evidence: Iterable[bytes]) -> tuple[Offence, ...]:
    """What a checked block's evidence proves."""
    return tuple([decode_evidence(encoded)[1] for encoded in evidence])
