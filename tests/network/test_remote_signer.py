"""A member whose consensus key is elsewhere: in a signer's process, or in a token."""

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from identity.keys import PrivateKey
from node.cli.main import cli
from node.config import format_config
from node.home import Home
from node.key_files import CONSENSUS_KEY_FILE, load_ed25519_key_file
from node.safety_file import STATE_FILE
from p2p.certificate import build_certificate, compact_certificate, join_compact
from tests.builders import make_key
from tests.network.homes import HOST, NodeHome, find_free_ports, prepare_twin
from tests.network.load import TransferLoad, check_books
from tests.network.processes import NodeProcess, ProcessNetwork, eventually
from tests.network.recorder import Recorder, recording
from tests.softhsm import SoftHsm, import_ed25519_key

pytestmark = [pytest.mark.network, pytest.mark.xdist_group("signing")]

REMOTE = 3
TWIN = 4
OTHERS = (0, 1, 2)
EVERYBODY = {0, 1, 2, 3}
REFUSED = "the signer refused"
UNREACHABLE = "the signer cannot be reached"
LOAD_PAUSE_S = 0.1
RESTARTS = 4


async def test_a_killed_signer_silences_its_member_until_it_is_back(tmp_path: Path) -> None:
    witness = make_key("witness")
    async with ProcessNetwork(tmp_path, strangers=[witness]) as network, recording(network, witness) as recorder:
        signer = move_key_to_signer(network, tmp_path / "signer")
        start_with(network, signer)
        await network.wait_until_ready()
        async with TransferLoad(network, pause_s=LOAD_PAUSE_S, targets=OTHERS) as load:
            await load.wait_for(10)
            await eventually(lambda: list_signers(recorder, 1) == EVERYBODY, "votes of all four")
            signer.kill()
            height = await network.get_height(0)
            await network.wait_for_height(height + 10)
            assert len(list_signers(recorder, height + 2)) == 3
            assert network.nodes[REMOTE].has_logged(UNREACHABLE)
            signer.start()
            await eventually(lambda: list_signers(recorder, height + 10) == EVERYBODY, "the member's votes")
            await load.wait_for(10)
        await network.wait_until_still()
        await network.check_same_chain()
        await check_books(network, REMOTE, load.acknowledged)
        assert recorder.list_contradictions() == []
        assert not network.nodes[REMOTE].has_logged(REFUSED)
        assert signer.stop() == 0


async def test_a_signer_that_has_lost_its_safety_state_waits_for_a_height_that_is_new(tmp_path: Path) -> None:
    witness = make_key("witness")
    async with ProcessNetwork(tmp_path, strangers=[witness]) as network, recording(network, witness) as recorder:
        signer = move_key_to_signer(network, tmp_path / "signer")
        start_with(network, signer)
        await network.wait_until_ready()
        async with TransferLoad(network, pause_s=LOAD_PAUSE_S, targets=OTHERS):
            await eventually(lambda: list_signers(recorder, 1) == EVERYBODY, "votes of all four")
            signer.kill()
            (signer.home.safety / STATE_FILE).unlink()
            signer.start()
            assert await signer.wait_for_exit() == 2
            assert signer.has_logged("signing without it could sign twice")
            killed_height = await network.get_height(0)
            floor = killed_height + 15
            run("signer", "replace-safety", "--home", str(signer.home.directory), "--signed-up-to", str(floor), "--yes")
            signer.start()
            await eventually(lambda: list_signers(recorder, floor + 1) == EVERYBODY, "votes above the floor")
            assert network.nodes[REMOTE].has_logged(REFUSED)
        await network.wait_until_still(*OTHERS, REMOTE)
        await network.check_same_chain(*OTHERS, REMOTE)
        assert recorder.list_contradictions() == []
        between = list_signers(recorder, killed_height + 2, floor)
        assert len(between) == 3


async def test_a_node_that_crashes_is_not_refused_what_it_asks_for_again(tmp_path: Path) -> None:
    witness = make_key("witness")
    async with ProcessNetwork(tmp_path, strangers=[witness]) as network, recording(network, witness) as recorder:
        signer = move_key_to_signer(network, tmp_path / "signer")
        start_with(network, signer)
        await network.wait_until_ready()
        async with TransferLoad(network, pause_s=LOAD_PAUSE_S, targets=OTHERS):
            for _ in range(RESTARTS):
                height = await network.get_height(0)
                network.kill(REMOTE)
                network.start(REMOTE)
                await eventually(
                    lambda height=height: list_signers(recorder, height + 1) == EVERYBODY,  # type: ignore[misc]
                    "votes of all four",
                )
        await network.wait_until_still(*OTHERS, REMOTE)
        await network.check_same_chain(*OTHERS, REMOTE)
        assert recorder.list_contradictions() == []


async def test_two_nodes_with_one_signer_never_contradict_each_other(tmp_path: Path) -> None:
    """Without the signer the same mistake convicts the member: tests/network/test_double_signer.py."""
    transport, witness = make_key("twin"), make_key("witness")
    async with ProcessNetwork(tmp_path, strangers=[transport, witness]) as network:
        places = [node.place for node in network.nodes]
        signer = move_key_to_signer(network, tmp_path / "signer", transport)
        network.nodes[REMOTE].place = places[REMOTE] = ask_signer(places[REMOTE], signer)
        twin = NodeProcess(prepare_twin_without_key(places[REMOTE], tmp_path / "twin", transport, places))
        network.nodes.append(twin)
        async with recording(network, witness) as recorder:
            signer.start()
            network.start()
            await network.wait_until_ready(*OTHERS)
            async with TransferLoad(network, pause_s=LOAD_PAUSE_S, targets=OTHERS) as load:
                await load.wait_for(150)
                pair = (network.nodes[REMOTE], twin)
                await eventually(lambda: any(each.has_logged(REFUSED) for each in pair), "a refusal")
                network.kill(REMOTE)
                height = await network.get_height(0)
                await eventually(lambda: list_signers(recorder, height + 3) == EVERYBODY, "the twin's votes")
            await network.wait_until_still(*OTHERS)
            await network.check_same_chain(*OTHERS)
            assert recorder.list_contradictions() == []


async def test_a_member_signs_with_a_key_in_a_token(tmp_path: Path, softhsm: SoftHsm) -> None:
    witness = make_key("witness")
    async with ProcessNetwork(tmp_path, strangers=[witness]) as network, recording(network, witness) as recorder:
        path = network.nodes[REMOTE].home.keys / CONSENSUS_KEY_FILE
        place = softhsm.make_token()
        import_ed25519_key(place, "consensus", load_ed25519_key_file(path))
        path.unlink()
        pin_file = tmp_path / "pin"
        pin_file.touch(0o600)
        assert place.pin is not None
        pin_file.write_text(place.pin)
        settings = {
            "signer_kind": "pkcs11",
            "pkcs11_module": str(place.module),
            "pkcs11_token": place.label,
            "pkcs11_pin_file": str(pin_file),
        }
        network.nodes[REMOTE].place = configure(network.nodes[REMOTE].place, settings)
        network.start()
        await network.wait_until_ready()
        async with TransferLoad(network, pause_s=LOAD_PAUSE_S):
            await eventually(lambda: list_signers(recorder, 1) == EVERYBODY, "votes of all four")
            height = await network.get_height(0)
            network.kill(REMOTE)
            network.start(REMOTE)
            await eventually(lambda: list_signers(recorder, height + 2) == EVERYBODY, "votes of all four again")
        await network.wait_until_still()
        await network.check_same_chain()
        assert recorder.list_contradictions() == []
        assert not network.nodes[REMOTE].has_logged(place.pin)


def start_with(network: ProcessNetwork, signer: NodeProcess) -> None:
    """Let the node ask it, and start all."""
    network.nodes[REMOTE].place = ask_signer(network.nodes[REMOTE].place, signer)
    network.start()
    signer.start()


def move_key_to_signer(network: ProcessNetwork, directory: Path, *more: PrivateKey) -> NodeProcess:
    """A signer with the consensus key of the node, which has none afterwards; `more` are nodes that may ask too."""
    place = network.nodes[REMOTE].place
    (port,) = find_free_ports(1)
    allowed = [PrivateKey(make_key("").key_type, place.node_secret), *more]
    run(
        *("signer", "init", "--home", str(directory), "--genesis", str(place.home.genesis_file)),
        *(word for key in allowed for word in ("--node", certify(key).hex())),
        *("--listen", f"{HOST}:{port}", "--take-from", str(place.home.directory)),
    )
    assert not (place.home.keys / CONSENSUS_KEY_FILE).exists()
    signer = NodeProcess(NodeHome("signer", Home(directory), place.config, b""), ("signer", "start"))
    network.signers.append(signer)
    return signer


def ask_signer(place: NodeHome, signer: NodeProcess) -> NodeHome:
    """The node with the settings that carlive signer show prints."""
    shown = json.loads(run("signer", "show", "--home", str(signer.home.directory), "--output", "json"))
    settings = {
        "signer_kind": "remote",
        "signer_address": shown["listen"],
        "signer_certificate": shown["certificate"],
        "signer_public_key": shown["consensusKey"],
    }
    return configure(place, settings)


def configure(place: NodeHome, settings: Mapping[str, Any]) -> NodeHome:
    config = replace(place.config, **settings)
    place.home.config_file.write_text(format_config(config))
    return replace(place, config=config)


def prepare_twin_without_key(
    original: NodeHome, directory: Path, transport: PrivateKey, peers: list[NodeHome]
) -> NodeHome:
    """A second home for the same seat; the key that the original no longer has is not in it either."""
    key_file = original.home.keys / CONSENSUS_KEY_FILE
    key_file.touch()
    twin = prepare_twin(original, directory, transport, peers)
    for each in (key_file, twin.home.keys / CONSENSUS_KEY_FILE):
        each.unlink()
    return twin


def list_signers(recorder: Recorder, first: int, last: int = 10**9) -> set[object]:
    """Indices of the members whose votes for one of these heights were heard."""
    return {where[3] for where in recorder.signed if len(where) == 4 and first <= int(str(where[0])) <= last}


def certify(key: PrivateKey) -> bytes:
    return join_compact(*compact_certificate(build_certificate(key.secret)))


def run(*words: str) -> str:
    result = CliRunner().invoke(cli, list(words), env=dict(os.environ))
    assert result.exit_code == 0, result.output
    return result.stdout
