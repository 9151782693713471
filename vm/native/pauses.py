"""Which modules governance has switched off for a while.

| key         | value                                    |
|-------------|------------------------------------------|
| PAUSES_KEY  | Pauses; absent while nothing is paused   |
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Final

from annotated_types import Len

from ledger.codec import decode, encode
from ledger.primitives import Height
from ledger.reasons import Reason, Rejected
from ledger.state import State, StateReader
from ledger.state_keys import PAUSES_KEY

PAUSABLE: Final = (
    "acceptors",
    "accounts",
    "ads",
    "attributes",
    "contracts",
    "credentials",
    "did",
    "distribution",
    "dividends",
    "gifts",
    "growth",
    "iov",
    "lockups",
    "mining",
    "network",
    "platforms",
    "roles",
    "sale",
    "staking",
    "vehicles",
)
"""Modules that can be paused: all but governance."""

ModuleName = Annotated[str, Len(1, 32)]


@dataclass(frozen=True, slots=True)
class Pause:
    """A module whose calls are refused up to a height, that one included."""

    module: ModuleName
    until_height: Height


@dataclass(frozen=True, slots=True)
class Pauses:
    """All pauses, by module; one record, because every transaction asks for it."""

    modules: Annotated[tuple[Pause, ...], Len(0, len(PAUSABLE))]


NOTHING_PAUSED: Final = Pauses(())


def get_pauses(state: StateReader) -> Pauses:
    """Which modules are paused, and until when."""
    encoded = state.get(PAUSES_KEY)
    return NOTHING_PAUSED if encoded is None else _decode(encoded)


@lru_cache(maxsize=4)
def _decode(encoded: bytes) -> Pauses:
    """Asked for with every transaction, changed in emergencies."""
    return decode(Pauses, encoded)


def put_pauses(state: State, pauses: Iterable[Pause]) -> None:
    """Replace which modules are paused."""
    kept = tuple(sorted(pauses, key=lambda pause: pause.module))
    if kept:
        state.put(PAUSES_KEY, encode(Pauses(kept)))
    else:
        state.delete(PAUSES_KEY)


def check_not_paused(state: StateReader, modules: Iterable[str], height: int) -> None:
    """Refuse calls of modules that are paused at a height; raises Rejected. Mostly one read of an absent record."""
    pauses = get_pauses(state).modules
    if not pauses:
        return
    until = {pause.module: pause.until_height for pause in pauses}
    for module in modules:
        if height <= until.get(module, -1):
            until_height = until[module]
            raise Rejected(
                Reason.MODULE_PAUSED, f"{module} is paused up to height {until_height}", until_height=until_height
            )
