"""Links that are slow, cut, silent and healed, and nodes that stand still: never a fork, always progress afterwards."""

import signal
from collections.abc import Iterable, Iterator
from itertools import permutations
from pathlib import Path

import pytest

from tests.builders import make_key
from tests.network.homes import find_free_ports
from tests.network.load import TransferLoad, check_books
from tests.network.processes import ProcessNetwork, eventually, running_network
from tests.network.proxy import LinkProxy, open_proxies
from tests.network.recorder import recording

pytestmark = [pytest.mark.network, pytest.mark.xdist_group("links")]

NODES = (0, 1, 2, 3)
STANDSTILL_S = 2.0
"""Longer than two rounds take."""
HEAL_SECONDS_MAX = 20.0
"""Dialling anew waits longer after each failure."""


class Links:
    """A proxy on the way from each node to each other."""

    def __init__(self) -> None:
        self.proxies: dict[tuple[int, int], LinkProxy] = {}
        self._ports: Iterator[int] = iter(find_free_ports(len(NODES) * (len(NODES) - 1)))

    def add(self, dialer: int, listener: int, port: int) -> int:
        """Where the dialer finds the listener."""
        own_port = next(self._ports)
        self.proxies[dialer, listener] = LinkProxy(own_port, port)
        return own_port

    def between(self, group: Iterable[int]) -> list[LinkProxy]:
        """The links between a group and the rest, both ways."""
        inside = set(group)
        return [self.proxies[pair] for pair in permutations(NODES, 2) if (pair[0] in inside) != (pair[1] in inside)]


async def _check_standstill(network: ProcessNetwork, *indexes: int) -> None:
    """No block comes any more, once what was under way has settled."""
    seen: list[int] = []

    async def is_still() -> bool:
        before, seen[:] = list(seen), [await network.get_height(index) for index in indexes]
        return seen == before

    await eventually(is_still, "a standstill", timeout_s=8.0, pause_s=STANDSTILL_S)


async def _check_progress(network: ProcessNetwork, *indexes: int) -> None:
    height = max([await network.get_height(index) for index in indexes])
    await network.wait_for_height(height + 4, *indexes, timeout_s=HEAL_SECONDS_MAX)


async def test_partitions_never_fork_and_heal(tmp_path: Path) -> None:
    witness, links = make_key("witness"), Links()
    network = ProcessNetwork(tmp_path, strangers=[witness], peer_port=links.add)
    async with open_proxies(*links.proxies.values()), network, recording(network, witness) as recorder:
        for proxy in links.proxies.values():
            proxy.delay_s = 0.03
        network.start()
        await network.wait_until_ready()
        async with TransferLoad(network) as load:
            await _check_progress(network, *NODES)

            for proxy in links.between({0, 1}):
                proxy.cut()
            await _check_standstill(network, *NODES)
            for proxy in links.between({0, 1}):
                proxy.heal()
            await _check_progress(network, *NODES)

            for proxy in links.between({0, 2}):
                proxy.silence()
            await _check_standstill(network, *NODES)
            for proxy in links.between({0, 2}):
                proxy.heal()
            await _check_progress(network, *NODES)

            for proxy in links.between({3}):
                proxy.cut()
            await _check_progress(network, 0, 1, 2)
            left_behind = await network.get_height(3)
            await _check_progress(network, 0, 1, 2)
            assert await network.get_height(3) == left_behind
            for proxy in links.between({3}):
                proxy.heal()
            await _check_progress(network, *NODES)
        await network.wait_until_still()
        await network.check_same_chain()
        for index in NODES:
            await check_books(network, index, load.acknowledged)
        assert recorder.list_contradictions() == []


async def test_links_as_slow_as_between_continents(tmp_path: Path) -> None:
    """150 ms each way, and one node twice as far: nobody is banned for what comes late."""
    links = Links()
    network = ProcessNetwork(tmp_path, peer_port=links.add)
    async with open_proxies(*links.proxies.values()), network:
        for pair, proxy in links.proxies.items():
            proxy.delay_s = 0.3 if 3 in pair else 0.15
        network.start()
        await network.wait_until_ready()
        async with TransferLoad(network) as load:
            await network.wait_for_height(6)
        await network.wait_until_still()
        await network.check_same_chain()
        await check_books(network, 3, load.acknowledged)
        assert [await network.get_metric(index, "peer_bans") for index in NODES] == [0] * 4


async def test_nodes_that_stand_still_go_on_where_they_were(tmp_path: Path) -> None:
    witness = make_key("witness")
    async with running_network(tmp_path, strangers=[witness]) as network, recording(network, witness) as recorder:
        async with TransferLoad(network, targets=[2, 3]) as load:
            await load.wait_for(30)
            network.nodes[0].send_signal(signal.SIGSTOP)
            await _check_progress(network, 1, 2, 3)
            network.nodes[0].send_signal(signal.SIGCONT)
            await _check_progress(network, *NODES)

            for index in (0, 1):
                network.nodes[index].send_signal(signal.SIGSTOP)
            await _check_standstill(network, 2, 3)
            for index in (0, 1):
                network.nodes[index].send_signal(signal.SIGCONT)
            await _check_progress(network, *NODES)
        await network.wait_until_still()
        await network.check_same_chain()
        await check_books(network, 0, load.acknowledged)
        assert recorder.list_contradictions() == []
