"""When to dial whom: jittered exponential backoff, and which of two connections between the same nodes is kept."""

from dataclasses import dataclass
from random import Random
from typing import Final

from ledger.primitives import NodeKey
from p2p.addresses import PeerAddress
from p2p.settings import NetworkSettings

ADDRESSES_PER_PEER_MAX: Final = 4
_DOUBLINGS_MAX: Final = 16  # keeps the power small; every sensible maximum is reached long before


@dataclass(slots=True)
class Dial:
    """A peer we want to be connected with."""

    addresses: tuple[PeerAddress, ...]
    """Tried in turn."""
    failures: int = 0
    """In a row."""
    next_attempt_s: float = 0.0
    is_under_way: bool = False
    last_failure: str = ""

    @property
    def address(self) -> PeerAddress:
        """The one to try next."""
        return self.addresses[self.failures % len(self.addresses)]


@dataclass(frozen=True, slots=True)
class MissingPeer:
    """A peer we want and do not have, for status pages and logs."""

    key: NodeKey
    address: PeerAddress
    failures: int
    last_failure: str
    """Empty before the first attempt has ended."""


def compute_backoff_s(failures: int, settings: NetworkSettings, random: Random) -> float:
    """How long to wait before the next attempt: doubles with each failure, and half of it is chance."""
    longest_s = min(settings.backoff_max_s, settings.backoff_first_s * 2.0 ** min(failures, _DOUBLINGS_MAX))
    return longest_s * random.uniform(0.5, 1.0)


def is_new_kept(
    own_key: NodeKey, peer_key: NodeKey, *, is_old_dialed: bool, is_new_dialed: bool, is_old_stable: bool
) -> bool:
    """Which of two connections of one pair stays; both nodes come to the same answer.

    `dialed` means by us. A node dials only while it has no connection, so its new dial proves that it lost the old one;
    unless both dialled at the same time: then the dial of the smaller key stays.
    """
    if is_old_dialed == is_new_dialed:
        return True
    if is_old_stable and not is_new_dialed:
        return True
    return is_new_dialed == (own_key < peer_key)
