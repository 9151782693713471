"""`carlive node` on the home of a stopped node."""

import asyncio
import json
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from consensus.messages import VoteKind, vote_signing_bytes
from genesis.build import initialise_chain
from genesis.document import parse_genesis
from identity.address import NetworkKind, format_address
from ledger.block import Block, CertifiedBlock, CommitCertificate
from ledger.chain import Chain
from ledger.history import compute_history_changes
from ledger.primitives import Round, Signature, TimeMs
from ledger.pruning import KEEP_BLOCKS_MIN
from ledger.store_keys import receipts_store_key, value_store_key
from node.cli.failures import ExitCode
from node.cli.main import cli
from node.execution import Execution
from node.home import Home
from node.key_files import CONSENSUS_KEY_FILE, load_ed25519_key_file
from node.leveldb_store import LevelDbStore
from tests.builders import Draft, address_of, make_key, transfer
from tests.chains import RecordingLogger
from tests.network.homes import prepare_network
from vm.proposal import build_header, get_next_block_rules

CHAIN_ID = "carlive-stopped"
BLOCKS = 150
PAID_HEIGHTS = (3, 60, 140)
ALICE = address_of(make_key("alice"))


def fill(home: Home, domain: bytes) -> list[str]:
    """A chain of one member with some transfers; the state roots after each block."""
    key = load_ed25519_key_file(home.keys / CONSENSUS_KEY_FILE)
    store = LevelDbStore(home.data)
    initialise_chain(store, parse_genesis(home.genesis_file.read_bytes()))
    chain = Chain(store)
    execution = Execution(chain, domain, RecordingLogger())
    roots = [chain.head.state_root.hex()]
    for height in range(1, BLOCKS + 1):
        transactions = []
        if height in PAID_HEIGHTS:
            sequence = PAID_HEIGHTS.index(height)
            draft = Draft(make_key("alice"), [transfer(address_of(make_key("bob")), 5)], sequence, valid_until=500)
            draft.chain_id, draft.domain = CHAIN_ID, domain
            transactions = [draft.sign()]
        rules = get_next_block_rules(chain.head, chain.open_state())
        hashes = [each.envelope_hash for each in transactions]
        proposer = rules.committee.members[0].consensus_key
        header = build_header(rules, Round(0), TimeMs(chain.head.header.time_ms + 500), proposer, hashes)
        message = vote_signing_bytes(domain, VoteKind.PRECOMMIT, header.height, Round(0), header.hash)
        certificate = CommitCertificate(header.height, Round(0), header.hash, ((0, Signature(key.sign(message))),))
        certified = CertifiedBlock(Block(header, tuple(each.raw for each in transactions), ()), certificate)
        committed = asyncio.run(execution.execute(certified, transactions))
        bodies = [each.body for each in transactions]
        store.write(compute_history_changes(header.height, bodies, committed.receipts), sync=False)
        roots.append(chain.head.state_root.hex())
    store.close()
    return roots


class Stopped:
    def __init__(self, path: Path) -> None:
        funded = {format_address(ALICE, NetworkKind.DEVNET): 10**12}
        prepared = prepare_network(path, 1, chain_id=CHAIN_ID, funded_grains=funded)
        self.home = prepared.nodes[0].home
        self.roots = fill(self.home, prepared.domain)

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(cli, ["node", *arguments, "--home", str(self.home.directory)])

    def run_json(self, *arguments: str) -> Any:
        result = self.run(*arguments, "--output", "json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    def fail(self, *arguments: str) -> tuple[int, str]:
        result = self.run(*arguments, "--output", "json")
        return result.exit_code, json.loads(result.stderr)["error"]["message"]

    def read_untouchable(self) -> dict[str, bytes]:
        """keys/ and safety/, byte by byte."""
        files = [each for name in ("keys", "safety") for each in sorted((self.home.directory / name).rglob("*"))]
        return {str(each): each.read_bytes() for each in files if each.is_file()}

    def change(self, key: bytes, value: bytes | None) -> None:
        store = LevelDbStore(self.home.data)
        store.write([(key, value)], sync=True)
        store.close()


@pytest.fixture
def stopped(tmp_path: Path) -> Iterator[Stopped]:
    stopped = Stopped(tmp_path)
    before = stopped.read_untouchable()
    assert before
    yield stopped
    assert stopped.read_untouchable() == before, "no command touches keys/ and safety/"


def test_inspect_shows_what_is_stored_and_that_it_is_right(stopped: Stopped) -> None:
    shown = stopped.run_json("inspect", "--verify")
    assert (shown["height"], shown["earliestHeight"], shown["indexedHeight"]) == (BLOCKS, 0, BLOCKS)
    assert (shown["verified"], shown["stateRoot"]) == (True, "0x" + stopped.roots[BLOCKS])
    assert (shown["records"]["blocks"], shown["records"]["transactions"]) == (BLOCKS + 1, len(PAID_HEIGHTS))
    assert shown["certificate"] == {"round": 0, "members": [0]}
    assert sum(shown["bytes"].values()) > 10_000
    block = stopped.run_json("inspect", "--height", "60")
    assert (block["height"], [each["status"] for each in block["transactions"]]) == (60, ["succeeded"])
    code, message = stopped.fail("inspect", "--height", "151")
    assert (code, message) == (ExitCode.FAILED, f"block 151 is not stored: there are 0 to {BLOCKS}")


def test_inspect_names_the_fields_of_the_epoch(stopped: Stopped) -> None:
    """An epoch has 100 heights here."""
    fields = {"number": 1, "firstHeight": 101, "releasedBefore": 2}
    assert stopped.run_json("inspect")["epoch"] == fields
    line = next(each for each in stopped.run("inspect").stdout.splitlines() if each.startswith("epoch"))
    assert line.split(maxsplit=1)[1] == "number 1, first height 101, released before 2"


def test_inspect_names_the_first_thing_that_is_wrong(stopped: Stopped) -> None:
    stopped.change(receipts_store_key(60), b"\x90")
    code, message = stopped.fail("inspect", "--verify")
    assert (code, message) == (
        ExitCode.FAILED,
        f"{stopped.home.data} is damaged, block 61: it names other receipts than those of the block before",
    )
    stopped.change(value_store_key(b"\x10" + bytes(20)), b"too much")
    code, message = stopped.fail("inspect", "--verify")
    assert code == ExitCode.FAILED
    assert f"damaged, state key 0x10{'00' * 20}: " in message
    stopped.change(value_store_key(b"\x10" + bytes(20)), None)
    stopped.change(value_store_key(b"\x10" + ALICE), None)
    code, message = stopped.fail("inspect", "--verify")
    assert code == ExitCode.FAILED
    assert f"damaged, state key 0x10{ALICE.hex()}: the tree holds it, and it has no value" in message


def test_prune_keeps_the_last_blocks(stopped: Stopped) -> None:
    keep = str(KEEP_BLOCKS_MIN)
    earliest = BLOCKS - KEEP_BLOCKS_MIN + 1
    assert stopped.run_json("prune", "--keep-blocks", keep) == {
        "earliestHeight": earliest,
        "height": BLOCKS,
        "deleted": earliest,
    }
    assert stopped.run_json("prune", "--keep-blocks", keep)["deleted"] == 0
    shown = stopped.run_json("inspect", "--verify")
    assert (shown["earliestHeight"], shown["records"]["transactions"]) == (earliest, 2)
    code, message = stopped.fail("prune", "--keep-blocks", "5")
    assert (code, message) == (ExitCode.WRONG_USE, f"--keep-blocks is at least {KEEP_BLOCKS_MIN}, not 5")


@pytest.mark.parametrize("height", [0, 60, BLOCKS - 1])
def test_rollback_gives_the_state_of_then(stopped: Stopped, height: int) -> None:
    stopped.run_json("rollback", "--to", str(height))
    shown = stopped.run_json("inspect", "--verify")
    assert (shown["height"], shown["stateRoot"]) == (height, "0x" + stopped.roots[height])
    old = LevelDbStore(stopped.home.directory / "data.before-rollback")
    assert Chain(old).head.header.height == BLOCKS
    old.close()
    code, message = stopped.fail("rollback", "--to", "0")
    assert code == ExitCode.WRONG_USE
    assert "is there from a rollback before" in message


def test_rollback_says_what_the_node_will_not_do(stopped: Stopped) -> None:
    text = stopped.run("rollback", "--to", "60").stdout
    assert "this node will not sign what it has signed before" in text


def test_a_pruned_chain_is_rolled_back_from_a_snapshot(stopped: Stopped, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    stopped.run_json("rollback", "--to", "60")
    assert stopped.run_json("snapshot", str(taken))["height"] == 60
    (stopped.home.directory / "data").rename(tmp_path / "aside")
    (stopped.home.directory / "data.before-rollback").rename(stopped.home.data)
    stopped.run_json("prune", "--keep-blocks", str(KEEP_BLOCKS_MIN))
    code, message = stopped.fail("rollback", "--to", "100")
    assert (code, message) == (
        ExitCode.WRONG_USE,
        f"blocks 1 to {BLOCKS - KEEP_BLOCKS_MIN} are pruned: give a snapshot of block {BLOCKS - KEEP_BLOCKS_MIN} "
        "or later with --snapshot",
    )
    stopped.run_json("rollback", "--to", "100", "--snapshot", str(taken))
    shown = stopped.run_json("inspect", "--verify")
    assert (shown["height"], shown["stateRoot"]) == (100, "0x" + stopped.roots[100])
    code, message = stopped.fail("rollback", "--to", "100")
    assert (code, message) == (ExitCode.WRONG_USE, stopped.fail("rollback", "--to", "120")[1])


def test_a_snapshot_is_a_whole_node_without_its_keys(stopped: Stopped, tmp_path: Path) -> None:
    taken, archive = tmp_path / "taken", tmp_path / "taken.tar"
    assert stopped.run_json("snapshot", str(taken), "--keep-blocks", str(KEEP_BLOCKS_MIN))["height"] == BLOCKS
    assert sorted(each.name for each in taken.iterdir()) == ["data", "genesis.json"]
    store = LevelDbStore(taken / "data")
    chain = Chain(store)
    assert (chain.head.state_root.hex(), chain.earliest_height) == (stopped.roots[BLOCKS], 23)
    store.close()
    stopped.run_json("snapshot", str(archive))
    with tarfile.open(archive) as opened:
        opened.extractall(tmp_path / "unpacked", filter="data")
    result = CliRunner().invoke(cli, ["node", "inspect", "--verify", "--home", str(tmp_path / "unpacked")])
    assert result.exit_code == 0, result.output
    assert stopped.fail("snapshot", str(taken)) == (ExitCode.WRONG_USE, f"{taken} exists: choose another name")
    assert not list(tmp_path.glob(".taken*"))


def test_reset_asks_and_says_what_it_left(stopped: Stopped) -> None:
    (stopped.home.directory / "mempool").mkdir()
    refused = CliRunner().invoke(cli, ["node", "reset", "--home", str(stopped.home.directory)], input="n\n")
    assert refused.exit_code == ExitCode.INTERRUPTED
    assert stopped.home.data.is_dir()
    assert stopped.run_json("reset", "--yes") == {
        "removed": ["data", "mempool"],
        "left": ["config.toml", "genesis.json", "keys/", "safety/"],
    }
    code, message = stopped.fail("inspect")
    assert (code, message) == (ExitCode.WRONG_USE, f"{stopped.home.data} does not exist: this node has no chain yet")


@pytest.mark.parametrize(
    "arguments",
    [
        ("snapshot", "/nowhere"),
        ("prune", "--keep-blocks", "128"),
        ("rollback", "--to", "1"),
        ("inspect",),
        ("reset", "--yes"),
    ],
)
def test_a_running_node_is_left_alone(stopped: Stopped, arguments: tuple[str, ...]) -> None:
    source = "import plyvel, sys; db = plyvel.DB(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", source, str(stopped.home.data)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"open\n"
        code, message = stopped.fail(*arguments)
        holder.communicate()
    assert code == ExitCode.WRONG_USE
    assert message.startswith(f"{stopped.home.data} is in use by another process: stop ")
    assert stopped.run_json("inspect")["height"] == BLOCKS
