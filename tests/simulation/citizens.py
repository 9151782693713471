"""Holders of identities, who use the network all the time: some of what they do is free, some of it wrong."""

from random import Random
from typing import TYPE_CHECKING

from tests.simulation.cast import ACCOUNTS, get_account_address, get_account_secret
from tests.simulation.identities import PERSONS_ACCOUNTS, IdentityTraffic

if TYPE_CHECKING:
    from tests.simulation.world import World

PAUSE_MS_MAX = 250
"""Between two asks; more of them would slow the suite down."""


class Citizens:
    """Their asks have a random source of their own, so that those of other clients stay what they were."""

    def __init__(self, world: "World", random: Random) -> None:
        self._world = world
        self._random = random
        accounts = [get_account_address(index) for index in range(ACCOUNTS)]
        self._traffic = IdentityTraffic(random, world.domain, accounts)

    def begin(self) -> None:
        """Ask from now on."""
        self._world.after(self._random.randint(1, PAUSE_MS_MAX), None, self._act)

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
        wish = self._traffic.draw(chain.open_state(), chain.head.header.height + 1)
        account = wish.account
        if account is None:
            account = random.choice((*PERSONS_ACCOUNTS, random.randrange(ACCOUNTS)))
        is_free = random.randrange(2 if account in PERSONS_ACCOUNTS else 20) == 0
        self._world.clients.ask(machine, get_account_secret(account), wish.call, price_grains=0 if is_free else None)
