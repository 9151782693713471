"""What operators see: readiness for the right reason, and every number under its name."""

import asyncio
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from ledger.mempool import Mempool
from node.execution import Execution
from node.metrics import NodeMetrics
from node.ops import OpsServer
from p2p.counters import NetworkCounters
from tests.builders import DOMAIN, Draft, address_of, make_key, transfer
from tests.chains import RecordingLogger, SmallChain

ALICE = make_key("alice")
A, B = address_of(ALICE), address_of(make_key("bob"))


class FakeNetwork:
    def __init__(self) -> None:
        self.peers: list[str] = []
        self.counters = NetworkCounters()

    def list_peers(self) -> list[str]:
        return self.peers


@dataclass
class FakeWatchdog:
    waiting_for: str | None = None
    silent_seconds: float = 1.5

    def explain_waiting(self) -> str | None:
        return self.waiting_for


class FakeEvidence:
    """A pool that has seen two offences, of which one waits."""

    offences_seen = 2

    def __len__(self) -> int:
        return 1


@dataclass
class Scene:
    small: SmallChain = field(default_factory=lambda: SmallChain({A: 10**9}))
    network: FakeNetwork = field(default_factory=FakeNetwork)
    space: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(is_waiting=False))
    watchdog: FakeWatchdog = field(default_factory=FakeWatchdog)
    core: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(round=2, ignored_counts={}))
    target_height: int = 0
    peers_needed: int = 0

    def __post_init__(self) -> None:
        self.metrics = NodeMetrics(
            "test-chain",
            "ab" * 32,
            self.small.chain,
            self.core,
            SimpleNamespace(dropped_events=4),
            Mempool(),
            FakeEvidence(),
            self.network,
            self.space,
            self.watchdog,
            get_target_height=lambda: self.target_height,
            peers_needed=lambda: self.peers_needed,
        )

    def read(self) -> dict[tuple[str, tuple], float]:
        return {(each.name, each.labels): each.value for each in self.metrics.list_measures()}


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_a_node_in_step_is_ready(scene):
    assert scene.metrics.why_not_ready() is None
    scene.target_height = 1
    assert scene.metrics.why_not_ready() is None, "one block is what consensus is about to bring"


def test_each_reason_not_to_be_ready_is_said_the_gravest_first(scene):
    scene.watchdog.waiting_for = "prevotes of b"
    assert scene.metrics.why_not_ready() == "prevotes of b"
    scene.peers_needed, scene.network.peers = 2, ["one"]
    assert scene.metrics.why_not_ready() == "connected to 1 peers, 2 are needed to finalise blocks"
    scene.target_height = 2
    assert scene.metrics.why_not_ready() == "catching up: 2 blocks behind"
    scene.space.is_waiting = True
    assert scene.metrics.why_not_ready() == "the disk is full"


def test_a_target_below_the_head_is_no_reason(scene):
    scene.small.add_block()
    scene.small.add_block()
    scene.target_height = 0
    assert scene.metrics.why_not_ready() is None


def test_final_failed_and_skipped_transactions_are_told_apart(scene):
    execution = Execution(scene.small.chain, DOMAIN, RecordingLogger())
    execution.add_listener(scene.metrics.on_block)
    transactions = [
        Draft(ALICE, [transfer(B, amount)], sequence=sequence).sign()
        for sequence, amount in ((0, 5), (1, 10**12), (9, 5))
    ]
    asyncio.run(execution.execute(scene.small.build_block(transactions), transactions))
    values = scene.read()
    assert values["transactions_final", ()] == 2
    assert values["transactions_failed", ()] == 1
    assert values["execution_seconds", ()] > 0
    assert values["height", ()] == 1


def test_every_number_has_its_name(scene):
    scene.target_height, scene.network.peers, scene.space.is_waiting = 9, ["a", "b", "c"], True
    scene.core.ignored_counts = {"late vote": 3, "another chain": 1}
    scene.network.counters.bans = 6
    values = scene.read()
    expected = {
        "height": 0,
        "target_height": 9,
        "round": 2,
        "silence_seconds": 1.5,
        "mempool_transactions": 0,
        "mempool_bytes": 0,
        "peers": 3,
        "disk_full": 1,
        "transactions_final": 0,
        "transactions_failed": 0,
        "execution_seconds": 0,
        "events_dropped": 4,
        "offences_seen": 2,
        "evidence_waiting": 1,
        "peer_bans": 6,
    }
    assert {name: values[name, ()] for name in expected} == expected
    assert values["consensus_ignored", (("reason", "late vote"),)] == 3
    assert values["consensus_ignored", (("reason", "another chain"),)] == 1
    assert values["memory_bytes_max", ()] > 2**20


def test_samples_of_one_metric_stand_together_under_unique_names(scene):
    scene.core.ignored_counts = {"a": 1, "b": 2}
    keys = [(each.name, each.labels) for each in scene.metrics.list_measures()]
    assert len(keys) == len(set(keys))
    names = [name for name, _ in keys]
    assert names == sorted(names, key=names.index)
    for each in scene.metrics.list_measures():
        assert each.explanation.endswith(".")
    OpsServer(scene.metrics, "127.0.0.1", 0)


def test_the_version_names_software_and_chain(scene):
    version = scene.metrics.get_version()
    assert (version["chainId"], version["genesisHash"]) == ("test-chain", "0x" + "ab" * 32)
    assert str(version["version"]).count(".") == 2
