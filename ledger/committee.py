"""Who finalises blocks during an epoch. Quorum arithmetic and proposer turns live with the consensus."""

from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Final

from annotated_types import Len

from identity.address import Address
from ledger.codec import encode
from ledger.primitives import ConsensusKey, RootHash

COMMITTEE_MEMBERS_MAX: Final = 21  # paper 12.6; votes of all members fit one gossip batch


@dataclass(frozen=True, slots=True)
class Member:
    """A super node's seat: one vote."""

    operator: Address
    consensus_key: ConsensusKey


@dataclass(frozen=True, slots=True)
class Committee:
    """Members in the order that numbers them in votes, certificates and proposer turns."""

    members: Annotated[tuple[Member, ...], Len(1, COMMITTEE_MEMBERS_MAX)]

    @property
    def hash(self) -> RootHash:
        """SHA-256 of the encoded committee, as it stands in headers."""
        return RootHash(sha256(encode(self)).digest())

    def find(self, consensus_key: ConsensusKey) -> int | None:
        """The index of the member with this key."""
        for index, member in enumerate(self.members):
            if member.consensus_key == consensus_key:
                return index
        return None
