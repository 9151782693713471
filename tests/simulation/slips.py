"""Mistakes that traffic makes on purpose, and which one comes next."""

from collections import Counter
from collections.abc import Mapping
from random import Random
from typing import Final

from ledger.reasons import Reason
from tests.simulation.identities import Wish

Refusals = Mapping[str, Mapping[str, Reason]]
"""By module and call: what is wrong with it, and why it is refused."""
SLIPS: Final = 3
"""One of so many calls has a mistake, if it can be made."""


class Slips:
    """Draws mistakes of a table: the one that was made least so far as often as any."""

    def __init__(self, random: Random, refusals: Refusals) -> None:
        self._random = random
        self._refusals = refusals
        self._made = Counter[tuple[str, str]]()

    def draw(self, call: str, one_of: int = SLIPS) -> str | None:
        """What should be wrong with this call; mostly nothing."""
        if self._random.randrange(one_of):
            return None
        mistakes = tuple(self._refusals[call])
        if self._random.randrange(2):
            return self._random.choice(mistakes)
        return min(mistakes, key=lambda mistake: self._made[call, mistake])

    def note(self, wish: Wish) -> Wish:
        """The wish is asked for, with its mistake if it has one."""
        if wish.mistake is not None:
            self._made[f"{wish.call.module}.{wish.call.call}", wish.mistake] += 1
        return wish
