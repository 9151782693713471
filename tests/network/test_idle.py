"""A chain that rests while there is nothing to do, and finalises at once when there is."""

import asyncio
import time
from pathlib import Path

import pytest

from tests.builders import Draft, address_of, transfer
from tests.network.processes import CHAIN_ID, ProcessNetwork, running_network

pytestmark = [pytest.mark.network, pytest.mark.xdist_group("links")]

FINAL_MS_MAX = 200


def _sign(network: ProcessNetwork, sequence: int) -> str:
    sender, recipient = network.accounts[:2]
    draft = Draft(sender, [transfer(address_of(recipient), 5)], sequence, chain_id=CHAIN_ID, domain=network.domain)
    return "0x" + draft.sign().raw.hex()


async def test_an_idle_network_makes_no_blocks_and_wakes_at_the_first_transaction(tmp_path: Path) -> None:
    async with running_network(tmp_path) as network:
        rest = await network.wait_until_still()
        await asyncio.sleep(1.5)
        assert [await network.get_height(index) for index in range(4)] == [rest] * 4
        for sequence in range(2):
            answer = await network.call(
                sequence, "tx_send", raw=_sign(network, sequence), wait="final", timeoutMs=5_000
            )
            assert (answer["status"], answer["height"]) == ("final", rest + 1)
            sealed = await network.wait_until_still()
            assert sealed == rest + 2, "one block with the transaction, exactly one to seal its state"
            await asyncio.sleep(1.0)
            assert [await network.get_height(index) for index in range(4)] == [sealed] * 4
            sealing = await network.call(2, "chain_getBlock", height=sealed)
            assert sealing["transactionIds"] == []
            rest = sealed
        await network.check_same_chain()
        assert [(await network.get_readiness(index))[0] for index in range(4)] == [200] * 4


async def test_a_single_validator_finalises_at_once(tmp_path: Path) -> None:
    async with running_network(tmp_path, 1, parameters={}) as network:
        durations_ms = []
        for sequence in range(10):
            raw = _sign(network, sequence)
            started_s = time.perf_counter()
            answer = await network.call(0, "tx_send", raw=raw, wait="final", timeoutMs=5_000)
            durations_ms.append((time.perf_counter() - started_s) * 1000)
            assert answer["status"] == "final"
        assert sorted(durations_ms)[len(durations_ms) // 2] < FINAL_MS_MAX, durations_ms
