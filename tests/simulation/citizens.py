"""People who use the network all the time: some of what they do is free, some of it wrong."""

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING

from ledger.state import StateReader
from tests.simulation.ads import AdsTraffic
from tests.simulation.cast import ACCOUNTS, ALL_ACCOUNTS, get_account_address, get_account_secret
from tests.simulation.economy import EconomyTraffic
from tests.simulation.holders import HolderTraffic
from tests.simulation.identities import PERSONS_ACCOUNTS, IdentityTraffic, Wish

if TYPE_CHECKING:
    from tests.simulation.world import World

IDENTITIES_PAUSE_MS_MAX = 250
ECONOMY_PAUSE_MS_MAX = 350
PROMOTERS_PAUSE_MS_MAX = 350
"""Between two asks; more of them would slow the suite down."""
GOVERNORS_PAUSE_MS_MAX = 120
"""A vote lasts a few blocks; mostly there is none."""
HOLDERS_SHARE = 4
"""One of so many asks of those who advertise is one of holders and who proposes to them instead."""

Draw = Callable[[StateReader, int, int], Wish | None]
"""What somebody asks for who sees a state, before the block of a height, at a time; None: nothing now."""


class Citizens:
    """Their asks have a random source of their own, so that those of other clients stay what they were."""

    def __init__(self, world: "World", random: Random, pause_ms_max: int, draw: Draw) -> None:
        self._world = world
        self._random = random
        self._pause_ms_max = pause_ms_max
        self._draw = draw

    def begin(self) -> None:
        """Ask from now on."""
        self._world.after(self._random.randint(1, self._pause_ms_max), None, self._act)

    def _act(self) -> None:
        if self._world.is_silent:
            return
        self.begin()
        machines = [machine for machine in self._world.machines if machine.node is not None]
        if not machines:
            return
        random = self._random
        machine = random.choice(machines)
        assert machine.node is not None, "just chosen for that"
        chain = machine.node.chain
        wish = self._draw(chain.open_state(), chain.head.header.height + 1, self._world.now_ms)
        if wish is None:
            return
        account = wish.account
        if account is None:
            account = random.choice((*PERSONS_ACCOUNTS, random.randrange(ACCOUNTS)))
        is_free = random.randrange(2 if account in PERSONS_ACCOUNTS else 20) == 0
        self._world.clients.ask(machine, get_account_secret(account), wish.call, price_grains=0 if is_free else None)


def build_citizens(world: "World", seed: int) -> tuple[Citizens, ...]:
    """Holders of identities; those who buy, mine, give and are paid; those who advertise, govern and exchange."""
    accounts = [get_account_address(index) for index in range(ALL_ACCOUNTS)]
    holders, traders, promoters = Random(f"citizens {seed}"), Random(f"traders {seed}"), Random(f"promoters {seed}")
    identities = IdentityTraffic(holders, world.domain, accounts[:ACCOUNTS])
    economy = EconomyTraffic(traders, world.domain, accounts[:ACCOUNTS])
    ads, governed = AdsTraffic(promoters, world.domain, accounts), HolderTraffic(promoters, accounts)
    voters = Random(f"governors {seed}")
    governors = HolderTraffic(voters, accounts)

    def draw_promoter(state: StateReader, height: int, now_ms: int) -> Wish:
        is_governed = promoters.randrange(HOLDERS_SHARE) == 0
        return governed.draw(state, height, now_ms) if is_governed else ads.draw(state, now_ms)

    return (
        Citizens(world, holders, IDENTITIES_PAUSE_MS_MAX, lambda state, height, _: identities.draw(state, height)),
        Citizens(world, traders, ECONOMY_PAUSE_MS_MAX, economy.draw),
        Citizens(world, promoters, PROMOTERS_PAUSE_MS_MAX, draw_promoter),
        Citizens(world, voters, GOVERNORS_PAUSE_MS_MAX, lambda state, height, _: governors.draw_vote(state, height)),
    )
