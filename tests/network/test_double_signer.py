"""A super node that runs twice with one key: its own messages convict it, each offence once, on every node."""

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from genesis.document import parse_genesis
from identity.address import NetworkKind, parse_address
from ledger.primitives import GRAINS_PER_IOV
from ledger.transaction import SALT_BYTES, Call
from node.cli.main import cli
from node.key_files import CONSENSUS_KEY_FILE, load_ed25519_key_file
from tests.builders import Draft, make_key
from tests.network.homes import HOST, prepare_twin
from tests.network.load import TransferLoad
from tests.network.processes import CHAIN_ID, QUICK, NodeProcess, ProcessNetwork, eventually, running_network
from vm.offences import read_offences
from vm.parameters import BPS

pytestmark = [pytest.mark.network, pytest.mark.xdist_group("signing")]

HONEST = (0, 1, 2)
CULPRIT = 3
TWIN = 4
STAKE_GRAINS = 1_000 * GRAINS_PER_IOV
SLASH_BPS = 500
PARAMETERS = {**QUICK, "epoch_heights": 10_000, "double_sign_slash_bps": SLASH_BPS}
"""No epoch ends meanwhile: nothing but a slash changes a pool."""
JAILED_UNTIL_EPOCH = 2
"""One whole epoch after the first, which is number 0."""
LOAD_PAUSE_S = 0.2
"""The chain must go on, not be busy."""


@dataclass(frozen=True, slots=True)
class Punishment:
    """A block with evidence, or one whose end punished somebody."""

    height: int
    evidence: list[str]
    events: list[dict[str, Any]]


async def test_a_key_that_signs_twice_is_slashed_and_jailed_alike_everywhere(tmp_path: Path) -> None:
    """Two processes with one key both propose when its turn comes, and vote for what they saw first."""
    transport = make_key("twin")
    async with running_network(tmp_path, strangers=[transport], parameters=PARAMETERS) as network:
        places = [node.place for node in network.nodes]
        bystander, culprit = _get_operator(network, HONEST[0]), _get_operator(network, CULPRIT)
        await _delegate(network, bystander, culprit)
        twin = NodeProcess(prepare_twin(places[CULPRIT], tmp_path / "twin", transport, places))
        network.nodes.append(twin)
        network.start(TWIN)

        async def is_jailed_everywhere() -> bool:
            found = [await _get_candidate(network, index, culprit) for index in HONEST]
            return all(each["status"] == "jailed" for each in found)

        async with TransferLoad(network, pause_s=LOAD_PAUSE_S, targets=HONEST) as load:
            await eventually(is_jailed_everywhere, "the culprit in jail")
            network.kill(CULPRIT, TWIN)
            await load.wait_for(4)
        height = await network.wait_until_still(*HONEST)

        hashes = [await network.get_block_hashes(index) for index in HONEST]
        assert hashes == [hashes[0]] * len(HONEST)
        told = [await _list_punishments(network, index, height) for index in HONEST]
        assert told == [told[0]] * len(HONEST)
        key = load_ed25519_key_file(places[CULPRIT].home.keys / CONSENSUS_KEY_FILE).public_key.key
        left_grains = _check_punishments(told[0], culprit, key)
        for index in HONEST:
            assert (await _get_candidate(network, index, culprit))["stake"] == str(left_grains)
            assert (await _get_candidate(network, index, bystander))["stake"] == str(STAKE_GRAINS)
            assert await network.get_metric(index, "offences_seen") >= 1
        await _check_audit(network, HONEST[0], tmp_path / "books")


def _check_punishments(told: list[Punishment], culprit: str, key: bytes) -> int:
    """Each offence is the culprit's, in one block only, and punished there; grains left of its stake."""
    left_grains = STAKE_GRAINS
    seen: set[bytes] = set()
    for punishment in told:
        offences = read_offences(bytes.fromhex(each.removeprefix("0x")) for each in punishment.evidence)
        expected: list[dict[str, Any]] = []
        for offence in offences:
            assert offence.key == key
            assert offence.height < punishment.height
            assert offence.id not in seen, "an offence is in the chain twice"
            seen.add(offence.id)
            slash_grains = left_grains * SLASH_BPS // BPS
            left_grains -= slash_grains
            expected += [
                _build_event("Slashed", culprit, amountGrains=str(slash_grains)),
                _build_event("Jailed", culprit, untilEpoch=JAILED_UNTIL_EPOCH),
            ]
        assert punishment.events == expected
    assert seen
    return left_grains


async def _check_audit(network: ProcessNetwork, index: int, directory: Path) -> None:
    """Whoever executes the chain again comes to the same punishments."""
    url = f"http://{HOST}:{network.nodes[index].config.rpc_port}"
    arguments = ["audit", "--node", url, "--directory", str(directory), "--output", "json"]
    result = await asyncio.to_thread(CliRunner().invoke, cli, arguments)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["slashes"] != "0"


def _build_event(name: str, operator: str, **extent: object) -> dict[str, Any]:
    return {"module": "staking", "name": name, "fields": {"operator": operator, **extent, "cause": "double_sign"}}


def _get_operator(network: ProcessNetwork, index: int) -> str:
    return parse_genesis(network.nodes[index].home.genesis_file.read_bytes()).nodes[index].operator


async def _delegate(network: ProcessNetwork, *operators: str) -> None:
    """Stake of one holder behind each of these; the load's own transactions do not wait for it."""
    calls = [
        Call("staking", "delegate", [parse_address(operator, NetworkKind.DEVNET), STAKE_GRAINS])
        for operator in operators
    ]
    draft = Draft(network.accounts[0], calls, bytes(SALT_BYTES), gas_limit=100_000, chain_id=CHAIN_ID)
    draft.domain = network.domain
    raw = "0x" + draft.sign().raw.hex()
    sent = await network.call(0, "tx_send", raw=raw, wait="final", timeoutMs=20_000)
    assert sent["status"] == "final", sent


async def _get_candidate(network: ProcessNetwork, index: int, operator: str) -> dict[str, Any]:
    candidates = (await network.call(index, "staking_candidates"))["candidates"]
    return next(each for each in candidates if each["operator"] == operator)


async def _list_punishments(network: ProcessNetwork, index: int, height: int) -> list[Punishment]:
    found = []
    for at in range(1, height + 1):
        evidence = (await network.call(index, "chain_getBlock", height=at))["evidence"]
        events = (await network.call(index, "chain_getResults", height=at))["events"]
        punishing = [event for event in events if event["name"] in ("Slashed", "Jailed")]
        if evidence or punishing:
            found.append(Punishment(at, evidence, punishing))
    return found
