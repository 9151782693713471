"""Quorum arithmetic and proposer turns: every count of votes in the consensus goes through here."""

from collections.abc import Sequence


def quorum(size: int) -> int:
    """The least number of members that is more than 2/3 of the committee: 2f+1 of 3f+1."""
    return size * 2 // 3 + 1


def fault_limit(size: int) -> int:
    """f: how many members may crash or lie."""
    return (size - 1) // 3


def one_honest(size: int) -> int:
    """f+1: this many members cannot all be faulty."""
    return fault_limit(size) + 1


def proposer_index(turns: Sequence[int], round_number: int) -> int:
    """Who proposes in a round: the height's turns (`ledger/turns.py`), over and over."""
    return turns[round_number % len(turns)]
