"""Evidence that waits for a block: found here or heard from peers, gone when it is punished or too old."""

from collections.abc import Callable
from typing import Any, Final

from identity.signing import SigningDomain
from ledger.block import EVIDENCE_MAX
from ledger.chain import Chain
from ledger.evidence import (
    Evidence,
    InvalidEvidenceError,
    Offence,
    check_evidence_signatures,
    decode_evidence,
    encode_evidence,
)
from ledger.primitives import Height
from ledger.state import StateReader
from ledger.state_keys import offence_key
from vm.offences import check_offence, find_culprit

EVIDENCE_WAITING_MAX: Final = 256  # a committee of 21 with f liars cannot fill it with offences of one height
HEIGHTS_AHEAD_MAX: Final = 1  # what is found while a height is decided counts from the next block on


class EvidencePool:
    """Offences by id, each with one proof."""

    def __init__(self, chain: Chain, domain: SigningDomain, on_added: Callable[[bytes], None], logger: Any) -> None:
        """`on_added` hears the bytes of each piece that is new here, to pass it on."""
        self._chain = chain
        self._domain = domain
        self._on_added = on_added
        self._logger = logger
        self._waiting: dict[bytes, tuple[Offence, bytes]] = {}
        self.offences_seen = 0

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def has_ready(self) -> bool:
        """Whether the next block could punish somebody."""
        next_height = self._chain.head.header.height + 1
        return any(offence.height < next_height for offence, _ in self._waiting.values())

    def add(self, encoded: bytes) -> bool:
        """Keep a piece of evidence if it counts and its offence is new; anything else is dropped without blame.

        Whoever passes evidence on may not know yet that it was punished, or may know more than this node.
        """
        try:
            evidence, offence = decode_evidence(encoded)
            if offence.id in self._waiting or len(self._waiting) >= EVIDENCE_WAITING_MAX:
                return False
            self._check(evidence, offence)
        except InvalidEvidenceError as error:
            self._logger.debug("evidence is of no use", reason=str(error))
            return False
        self._waiting[offence.id] = offence, encoded
        self.offences_seen += 1
        self._logger.warning(
            "a super node has signed two different messages",
            kind=offence.kind.name.lower(),
            key=offence.key.hex(),
            height=offence.height,
            round=offence.round,
        )
        self._on_added(encoded)
        return True

    def add_found(self, evidence: Evidence) -> bool:
        """The same for what this node has found itself."""
        return self.add(encode_evidence(evidence))

    def select(self) -> tuple[bytes, ...]:
        """What the next block should hold, in the order that blocks keep."""
        next_height = Height(self._chain.head.header.height + 1)
        state = self._chain.open_state()
        chosen: list[bytes] = []
        for _, (offence, encoded) in sorted(self._waiting.items()):
            if len(chosen) == EVIDENCE_MAX:
                break
            try:
                check_offence(state, offence, next_height)
            except InvalidEvidenceError:
                continue
            chosen.append(encoded)
        return tuple(chosen)

    def on_block(self, _committed: object) -> None:
        """Let go of what was punished and of what no longer counts."""
        if not self._waiting:
            return
        state = self._chain.open_state()
        self._waiting = {
            offence_id: waiting
            for offence_id, waiting in self._waiting.items()
            if self._explain_useless(state, waiting[0]) is None
        }

    def list_waiting(self) -> list[bytes]:
        """All of it, for peers that have just joined."""
        return [encoded for _, encoded in self._waiting.values()]

    def _check(self, evidence: Evidence, offence: Offence) -> None:
        reason = self._explain_useless(self._chain.open_state(), offence)
        if reason is not None:
            raise InvalidEvidenceError(reason)
        check_evidence_signatures(evidence, self._domain)

    def _explain_useless(self, state: StateReader, offence: Offence) -> str | None:
        """Why no block will ever hold it; None if one may."""
        if offence.height > self._chain.head.header.height + HEIGHTS_AHEAD_MAX:
            return "it is about a height that this node does not know yet"
        culprit = find_culprit(state, offence)
        if culprit is None:
            return "its signer had no seat at that height, or it is too old"
        if state.get(offence_key(culprit.term_height, offence.id)) is not None:
            return "the offence was punished already"
        return None
