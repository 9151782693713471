"""`carlive verify`: the checks by a person's hand, with a node and with a file alone."""

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from genesis.build import build_committee
from genesis.document import parse_genesis
from identity.address import NetworkKind, format_address
from node.cli import verify_commands
from node.cli.failures import ExitCode
from node.cli.main import cli
from rpc.proof_failure import ProofFailedError
from rpc.proofs import GenesisTrust, check_account, check_bundle_trail, decode_bundle
from rpc.server import RpcServer
from rpc.settings import RpcSettings
from tests.builders import address_of, make_key, transfer
from tests.network.homes import prepare_network
from tests.proven_chain import FUNDED_GRAINS, ProvenChain, ProvenNode, make_committee

ALICE, BOB = address_of(make_key("alice")), address_of(make_key("bob"))
ALICE_TEXT = format_address(ALICE, NetworkKind.DEVNET)


class Served:
    """A node without a network behind a real port, on a loop of its own."""

    def __init__(self) -> None:
        self.small = ProvenChain({ALICE: FUNDED_GRAINS}, {3: make_committee(4)})
        self.node = ProvenNode(self.small)
        self.paid = self.small.draft("alice", [transfer(BOB, 7)])
        for height in range(1, 7):
            self.node.add_block(*([self.paid] if height == 4 else []))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._server = RpcServer(self.node.backend, RpcSettings(port=0))
        self._run(self._server.start())
        self.url = f"http://127.0.0.1:{self._server.port}"

    def close(self) -> None:
        self._run(self._server.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self.node.close()

    def _run(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def name_checkpoint(self, height: int) -> str:
        checkpoint = self.small.get_checkpoint(height)
        return f"{checkpoint.height}:0x{checkpoint.block_hash.hex()}"


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    served = Served()
    yield served
    served.close()


@pytest.fixture(autouse=True)
def node(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARLIVE_NODE", served.url)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["verify", *arguments])


def run_json(*arguments: str) -> Any:
    result = run(*arguments, "--output", "json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_an_account_is_proven_step_by_step(served: Served) -> None:
    shown = run_json("account", ALICE_TEXT, "--checkpoint", served.name_checkpoint(1))
    steps = [each["step"] for each in shown.pop("steps")]
    assert steps == ["start", "committees", "certificate", "previous", "state"]
    checkpoint = served.small.get_checkpoint(5)
    assert shown == {
        "address": ALICE_TEXT,
        "height": 5,
        "blockHash": "0x" + checkpoint.block_hash.hex(),
        "timeMs": shown["timeMs"],
        "balance": shown["balance"],
        "locked": "0",
        "staked": "0",
        "sequence": 1,
        "hasPolicy": False,
    }
    assert FUNDED_GRAINS - 30_000 < int(shown["balance"]) < FUNDED_GRAINS - 7
    text = run("account", ALICE_TEXT, "--checkpoint", served.name_checkpoint(1)).stdout
    assert "proven  certificate  block 6 is final, signed by 1 members" in text


def test_trust_may_be_in_the_genesis_file(served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify_commands, "_read_trust", lambda _genesis, _checkpoint: served.small.trust)
    file = tmp_path / "proof"
    shown = run_json("header", "5", "--genesis", "any", "--save", str(file))
    assert shown["checkpoint"] == served.name_checkpoint(5)
    assert [each["step"] for each in shown["steps"]] == ["start", "committees", "certificate"]
    assert run_json("header", "5", "--genesis", "any", "--bundle", str(file)) == shown


def test_a_genesis_file_names_chain_hash_and_committee(tmp_path: Path) -> None:
    prepared = prepare_network(tmp_path, 4, chain_id="carlive-any", funded_grains={})
    file = prepared.nodes[0].home.genesis_file
    committee = build_committee(parse_genesis(file.read_bytes()))
    trust = verify_commands._read_trust(file, None)
    assert trust == GenesisTrust("carlive-any", prepared.genesis_hash, committee)


def test_a_saved_proof_needs_no_node_and_no_bit_of_it_may_change(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "proof"
    checkpoint = served.name_checkpoint(1)
    wanted = ("receipt", served.paid.id.hex(), "--checkpoint", checkpoint)
    shown = run_json(*wanted, "--save", str(file))
    assert (shown["status"], shown["height"]) == ("succeeded", 4)
    monkeypatch.setenv("CARLIVE_NODE", "http://127.0.0.1:1")
    assert run_json(*wanted, "--bundle", str(file)) == shown
    good = file.read_bytes()
    for bit in range(3, 8 * len(good), 61):  # all of them: the test below
        changed = bytearray(good)
        changed[bit // 8] ^= 1 << bit % 8
        file.write_bytes(bytes(changed))
        result = run(*wanted, "--bundle", str(file), "--output", "json")
        assert result.exit_code == ExitCode.FAILED, f"bit {bit}: {result.output}"
        assert json.loads(result.stderr)["error"]["step"]
    file.write_bytes(good)
    result = run("account", ALICE_TEXT, "--checkpoint", checkpoint, "--bundle", str(file))
    assert (result.exit_code, result.stderr) == (1, "carlive: not proven, bundle fails: it is not about an account\n")


def test_every_flipped_bit_of_a_bundle_is_found(served: Served, tmp_path: Path) -> None:
    file = tmp_path / "proof"
    run_json("account", ALICE_TEXT, "--checkpoint", served.name_checkpoint(4), "--save", str(file))
    trust, good = served.small.get_checkpoint(4), file.read_bytes()

    def check(encoded: bytes) -> None:
        bundle = decode_bundle(encoded)
        check_account(check_bundle_trail(trust, bundle), ALICE, bundle.claim)

    check(good)
    for bit in range(8 * len(good)):
        changed = bytearray(good)
        changed[bit // 8] ^= 1 << bit % 8
        try:
            check(bytes(changed))
        except ProofFailedError:
            continue
        pytest.fail(f"bit {bit} may be flipped")


def test_another_checkpoint_proves_nothing(served: Served) -> None:
    wrong = "3:0x" + "11" * 32
    result = run("account", ALICE_TEXT, "--checkpoint", wrong)
    assert result.exit_code == ExitCode.FAILED
    assert "(start: block 3 is not the one of the checkpoint): ask another node" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("header", "1"), "say what you trust, and only one thing"),
        (("header", "1", "--checkpoint", "x"), "a checkpoint is HEIGHT:0xBLOCKHASH"),
        (("header", "1", "--genesis", "missing.json"), "No such file"),
        (("account", "nobody", "--checkpoint", "1:0x" + "00" * 32), "'nobody'"),
        (("header", "1", "--checkpoint", "1:0x" + "00" * 32, "--save", "a", "--bundle", "b"), "give one of them"),
    ],
)
def test_wrong_use_says_what_is_wrong(arguments: tuple[str, ...], message: str) -> None:
    result = run(*arguments)
    assert result.exit_code == ExitCode.WRONG_USE
    assert message in result.stderr
