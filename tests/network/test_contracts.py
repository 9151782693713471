"""Contracts on real nodes that differ in hash seed and locale: published, called, viewed, and executed again."""

from pathlib import Path
from typing import Any

import pytest

from identity.address import NetworkKind, format_address
from ledger.transaction import Call
from tests.builders import Draft, address_of
from tests.network.processes import CHAIN_ID, ProcessNetwork
from tests.vm.contracts.puppet import (
    DIVE,
    build_puppet,
    call,
    emit,
    find_address,
    give_stored,
    hash_code,
    pack_script,
    pay,
    put,
)

pytestmark = [pytest.mark.network, pytest.mark.xdist_group("links")]
GAS = 1_000_000


class Publisher:
    """The first account of the network."""

    def __init__(self, network: ProcessNetwork) -> None:
        self.network = network
        self.key = network.accounts[0]
        self.address = address_of(self.key)
        self.sequence = 0

    async def send(self, index: int, *calls: Call) -> dict[str, Any]:
        """Send to a node and wait for the receipt."""
        transaction = Draft(
            self.key,
            calls,
            self.sequence,
            valid_until=2**40,
            gas_limit=GAS,
            chain_id=CHAIN_ID,
            domain=self.network.domain,
        ).sign()
        self.sequence += 1
        raw = "0x" + transaction.raw.hex()
        answer: dict[str, Any] = await self.network.call(index, "tx_send", raw=raw, wait="final", timeoutMs=20_000)
        return answer


async def test_nodes_agree_about_contracts(tmp_path: Path) -> None:
    environments = [
        {"PYTHONHASHSEED": "0", "LC_ALL": "C"},
        {"PYTHONHASHSEED": "1", "LC_ALL": "tr_TR.UTF-8"},
        {"PYTHONHASHSEED": "4294967295"},
        {"PYTHONHASHSEED": "77"},
    ]
    async with ProcessNetwork(tmp_path) as network:
        for node, environment in zip(network.nodes, environments, strict=True):
            node.start(environment)
        await network.wait_until_ready()
        publisher = Publisher(network)
        code = build_puppet()
        one, two = (find_address(publisher.address, code, salt) for salt in (b"1", b"2"))
        for salt, contract in ((b"1", one), (b"2", two)):
            introduced = Call("contracts", "introduce", [salt, hash_code(code), code, pack_script(put(1, 2)), 500])
            await publisher.send(0, introduced, Call("contracts", "seal", [contract]))
        steps = [emit(7), call(two, put(3, 4), pay(publisher.address, 5), value=9), call(two, DIVE)]
        for index in range(4):
            await publisher.send(index, Call("contracts", "call", [one, "run", pack_script(*steps), 0]))
        network.kill(3)
        await publisher.send(0, Call("contracts", "call", [one, "run", pack_script(put(1, 99)), 0]))
        network.nodes[3].start(environments[3])  # it catches up with an empty cache
        await network.wait_until_ready(3)
        head = await network.wait_until_still()
        await network.check_same_chain()
        seen = []
        for index in range(4):
            header = (await network.call(index, "chain_getBlock", height=head))["header"]
            arguments = [format_address(one, NetworkKind.DEVNET), "look", "0x" + pack_script(give_stored(1)).hex()]
            answer = await network.call(index, "module_view", module="contracts", name="call", args=arguments)
            seen.append((header["stateRoot"], answer["value"]))
        assert seen == seen[:1] * 4
        assert seen[0][1]["result"] == "0x0100000063"
