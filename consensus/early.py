"""Messages of the next height that come while this one is being decided, executed or persisted.

They cannot be verified before that height's committee is known, so they only wait, few for each peer.
"""

from typing import Final

from consensus.events import ProposalReceived, VoteReceived
from ledger.primitives import Height, NodeKey

EARLY_VOTES_PER_PEER_MAX: Final = 84  # both votes of 21 members in two rounds
EARLY_PROPOSALS_PER_PEER_MAX: Final = 1
EARLY_VOTES_MAX: Final = 2_048
EARLY_PROPOSALS_MAX: Final = 8  # up to half a MiB each

EarlyEvent = ProposalReceived | VoteReceived


class EarlyMessages:
    """What has come for the next height, in order; whatever is over a limit is sent again after a summary."""

    def __init__(self) -> None:
        self._events: list[EarlyEvent] = []
        self._counts: dict[tuple[NodeKey | None, bool], int] = {}
        self._totals = {True: 0, False: 0}

    def add(self, event: EarlyEvent) -> bool:
        """Keep a message, if there is room for its sender."""
        is_vote = isinstance(event, VoteReceived)
        per_peer_max = EARLY_VOTES_PER_PEER_MAX if is_vote else EARLY_PROPOSALS_PER_PEER_MAX
        total_max = EARLY_VOTES_MAX if is_vote else EARLY_PROPOSALS_MAX
        count = self._counts.get((event.peer, is_vote), 0)
        if count >= per_peer_max or self._totals[is_vote] >= total_max:
            return False
        self._events.append(event)
        self._counts[event.peer, is_vote] = count + 1
        self._totals[is_vote] += 1
        return True

    def take(self, height: Height) -> list[EarlyEvent]:
        """All that is for this height; the rest is forgotten."""
        events = [event for event in self._events if get_height(event) == height]
        self._events, self._counts, self._totals = [], {}, {True: 0, False: 0}
        return events


def get_height(event: EarlyEvent) -> Height:
    """Which height the message in an event is for."""
    return event.vote.height if isinstance(event, VoteReceived) else event.proposal.height
