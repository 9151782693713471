"""Contracts on four machines that differ in hash seed, time zone, language and event loop: one state everywhere."""

import asyncio
from pathlib import Path

import pytest

from identity.address import Address, NetworkKind, format_address
from identity.keys import PrivateKey
from ledger.transaction import Call
from tests.builders import Draft, address_of
from tests.echo_contract import announcement, build_echo
from tests.network.processes import CHAIN_ID, ProcessNetwork
from tests.network.test_environments import list_environments
from tests.vm.contracts.puppet import find_address, hash_code

pytestmark = [pytest.mark.network, pytest.mark.xdist_group("crashes")]

CALLS_EACH = 6
GAS = 2_000_000


async def send(network: ProcessNetwork, target: int, key: PrivateKey, sequence: int, *calls: Call) -> str:
    """Wait until it is final; what became of it."""
    draft = Draft(key, calls, sequence, valid_until=2**40, gas_limit=GAS, chain_id=CHAIN_ID, domain=network.domain)
    raw = "0x" + draft.sign().raw.hex()
    result = await network.call(target, "tx_send", raw=raw, wait="final", timeoutMs=20_000)
    return str(result["reason"] or result["status"])


async def test_contracts_in_different_environments_reach_the_same_state(tmp_path: Path) -> None:
    code = build_echo()
    async with ProcessNetwork(tmp_path, settings={"verify_processes": 0}) as network:
        for node, environment in zip(network.nodes, list_environments(tmp_path), strict=True):
            node.start(environment)
        await network.wait_until_ready()
        publisher, *callers = network.accounts[:5]
        contract = find_address(address_of(publisher), code)
        introduce = Call("contracts", "introduce", [b"", hash_code(code), code, announcement(bytes(20), 1), 0])
        assert await send(network, 0, publisher, 0, introduce, Call("contracts", "seal", [contract])) == "final"

        async def use(number: int, key: PrivateKey) -> list[str]:
            outcomes = []
            for sequence in range(CALLS_EACH):
                method, packed = choose(sequence, address_of(key))
                call = Call("contracts", "call", [contract, method, packed, 0])
                outcomes.append(await send(network, number, key, sequence, call))
            return outcomes

        outcomes = await asyncio.gather(*(use(number, key) for number, key in enumerate(callers)))
        assert outcomes == [["final", "final", "CONTRACT_CODE"] * (CALLS_EACH // 3)] * len(callers)
        height = await network.wait_until_still()
        await network.check_same_chain()
        text = format_address(contract, NetworkKind.DEVNET)
        roots, pages = set(), []
        for index in range(4):
            block = await network.call(index, "chain_getBlock", height=height)
            roots.add(block["header"]["stateRoot"])
            pages.append((await network.call(index, "contract_events", address=text))["events"])
        assert len(roots) == 1
        assert pages == [pages[0]] * 4
        assert len(pages[0]) == 1 + len(callers) * CALLS_EACH // 3
        key = "0x01" + address_of(callers[0]).hex()
        stored = [
            (await network.call(index, "contract_storage", address=text, key=key))["decoded"]["value"]
            for index in range(4)
        ]
        assert stored == ["4"] * 4


def choose(sequence: int, caller: Address) -> tuple[str, bytes]:
    """Announce, keep, fail, and again."""
    match sequence % 3:
        case 0:
            return "announce", announcement(caller, sequence)
        case 1:
            return "keep", announcement(caller, sequence)
        case _:
            return "fail", b"\x4d\0"
