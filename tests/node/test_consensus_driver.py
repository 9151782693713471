"""The driver: effects in order, nothing sent before it is on disk, and no signature while the disk is full."""

import asyncio
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from consensus.core import Core
from consensus.effects import (
    AppendLog,
    BlameMessage,
    Broadcast,
    BuildBlock,
    CheckBlock,
    Decide,
    FetchProposal,
    ReportEquivocation,
    SaveSafety,
    ScheduleTimeout,
    SendTo,
    SignProposal,
    SignVote,
)
from consensus.events import (
    BlockBuilt,
    BlockChecked,
    HeightStarted,
    ProposalSigned,
    SummaryReceived,
    TimedOut,
    VoteSigned,
    WorkArrived,
)
from consensus.messages import Proposal, Step, Vote, VoteKind, vote_signing_bytes
from consensus.safety import NOTHING_SIGNED, encode_safety
from ledger.block import CertifiedBlock, compute_evidence_root
from ledger.committee import Committee
from ledger.evidence import Offence, OffenceKind, check_evidence_signatures, decode_evidence
from ledger.mempool import Mempool
from ledger.primitives import Height, NodeKey, Round, Signature
from ledger.transaction import Transaction
from node import consensus_driver as driver_module
from node.block_assembly import AssembledBlock
from node.clock import Clock
from node.consensus_driver import BLAME_POINTS, ConsensusDriver, build_height_started, compute_timeouts
from node.disk_full import DiskFullError
from node.errors import StoreWriteError
from node.evidence_pool import EvidencePool
from node.execution import Execution
from node.signer import LocalSigner, SignerRefusedError, SignerUnavailableError
from tests.builders import DOMAIN, PARAMETERS, Draft, address_of, make_key, transfer
from tests.chains import COMMITTEE, MEMBER_KEYS, FakeClock, RecordingLogger, SmallChain
from tests.consensus.builders import make_proposal, make_vote, start_height
from vm.native.iov import get_balance
from vm.proposal import get_next_block_rules

ALICE = make_key("alice")
A, B = address_of(ALICE), address_of(make_key("bob"))
PEER = NodeKey(b"\x07" * 32)
VOTE = make_vote(0, VoteKind.PREVOTE, None, height=Height(1))
PROPOSAL = make_proposal(height=Height(1))
RECORD = WorkArrived(Height(1))
FULL = DiskFullError(Path("log"), OSError(28, "No space left on device"))


def pay(sequence: int) -> Transaction:
    return Draft(ALICE, [transfer(B, 5)], sequence=sequence).sign()


@dataclass
class Diary:
    """What happened, in order; what is planned to fail, fails first."""

    entries: list[Any] = field(default_factory=list)
    failures: dict[str, list[Exception]] = field(default_factory=dict)

    def note(self, name: str, *details: Any) -> None:
        planned = self.failures.get(name)
        if planned:
            self.entries.append((name, "failed"))
            raise planned.pop(0)
        self.entries.append((name, *details))


class FakeCore:
    """Answers each event with the effects planned for it."""

    def __init__(self, diary: Diary) -> None:
        self.diary = diary
        self.plans: list[tuple[type, list[Any]]] = []
        self.handled: list[Any] = []
        self.step, self.height, self.round, self.summary = Step.NEW_HEIGHT, Height(1), Round(0), None

    def plan(self, kind: type, *effects: Any) -> None:
        self.plans.append((kind, list(effects)))

    def handle(self, event: Any) -> list[Any]:
        self.handled.append(event)
        for index, (kind, effects) in enumerate(self.plans):
            if isinstance(event, kind):
                del self.plans[index]
                return effects
        return []

    def get_summary(self) -> Any:
        return self.summary


class FakeLog:
    def __init__(self, diary: Diary) -> None:
        self.diary = diary

    def append(self, record: Any) -> None:
        self.diary.note("append", record)

    def sync(self) -> None:
        self.diary.note("sync")

    def begin_height(self, height: int) -> None:
        self.diary.note("begin", height)


class FakeSafety:
    def __init__(self, diary: Diary) -> None:
        self.diary = diary

    def save(self, payload: bytes) -> None:
        self.diary.note("safety", payload)


class FakeVoice:
    def __init__(self, diary: Diary) -> None:
        self.diary = diary

    def broadcast_consensus(self, message: Any) -> None:
        self.diary.note("broadcast", message)

    def send_consensus(self, peer: NodeKey, message: Any) -> None:
        self.diary.note("send", peer, message)

    def list_peers(self) -> list[NodeKey]:
        return [PEER]

    def penalise(self, peer: NodeKey, points: float, reason: str) -> None:
        self.diary.note("penalise", peer, points, reason)


class FakeAssembly:
    def __init__(self, diary: Diary) -> None:
        self.diary = diary
        self.blocks: dict[bytes, AssembledBlock] = {}
        self.is_valid = True

    def get(self, block_hash: bytes) -> AssembledBlock | None:
        return self.blocks.get(block_hash)

    def add_own(self, block: AssembledBlock) -> None:
        self.blocks[block.block.header.hash] = block

    def keep_on_disk(self, block: AssembledBlock) -> None:
        self.diary.note("keep", block.block.header.hash)

    def start_height(self) -> None:
        self.diary.note("forget")
        self.blocks.clear()

    async def assemble(self, header, _hashes, _evidence, _list_peers) -> bool:
        self.diary.note("assemble", header.hash)
        return self.is_valid


class FakeSpace:
    def __init__(self, diary: Diary) -> None:
        self.diary = diary
        self.room = asyncio.Event()
        self.room.set()

    async def wait_until_enough(self) -> None:
        await self.room.wait()

    async def wait_after_failure(self, error: Exception) -> None:
        self.diary.note("wait for room", type(error).__name__)
        await self.room.wait()

    def resume(self) -> None:
        assert self.room.is_set()


class FakeSigner:
    public_key = COMMITTEE.members[0].consensus_key

    def __init__(self) -> None:
        self.failure: Exception | None = None
        self.asked: list[bytes] = []

    async def sign(self, _subject: Any, message: bytes) -> bytes:
        self.asked.append(message)
        if self.failure is not None:
            raise self.failure
        return b"\x05" * 64


class AnyoneCanPay:
    """Accounts as the mempool asks for them."""

    def get_sequence(self, _address) -> int:
        return 0

    def get_spendable_grains(self, _address) -> int:
        return 10**12


class Scene:
    def __init__(self) -> None:
        self.diary, self.logger, self.clock = Diary(), RecordingLogger(), FakeClock()
        self.small = SmallChain({A: 10**9})
        self.core, self.signer = FakeCore(self.diary), FakeSigner()
        self.assembly, self.space = FakeAssembly(self.diary), FakeSpace(self.diary)
        self.mempool = Mempool()
        self.evidence = EvidencePool(self.small.chain, DOMAIN, lambda _: None, self.logger)
        self.reopened = 0
        self.driver = ConsensusDriver(
            self.core,
            self.small.chain,
            Execution(self.small.chain, DOMAIN, self.logger),
            self.assembly,
            self.mempool,
            self.evidence,
            FakeLog(self.diary),
            FakeSafety(self.diary),
            self.signer,
            FakeVoice(self.diary),
            self.space,
            self.reopen,
            self.clock,
            self.logger,
        )

    def reopen(self) -> None:
        self.reopened += 1
        self.diary.note("reopen")
        self.small.chain.reload()

    @property
    def height(self) -> int:
        return self.small.chain.head.header.height

    def make_decision(self, transactions=()) -> tuple[Decide, AssembledBlock]:
        certified = self.small.build_block(transactions)
        header = certified.block.header
        names = tuple(each.envelope_hash for each in transactions)
        proposal = Proposal(header, Round(0), -1, names, (), VOTE.signature)
        return Decide(proposal, certified.certificate), AssembledBlock(certified.block, transactions)

    async def wait_until(self, is_reached: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not is_reached():
                await asyncio.sleep(0.001)


@asynccontextmanager
async def running(scene: Scene, replayed=()):
    task = asyncio.create_task(scene.driver.run(replayed))
    await asyncio.sleep(0)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])


@pytest.fixture
def scene() -> Scene:
    return Scene()


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_effects_happen_in_the_order_of_the_core(scene):
    scene.core.plan(
        WorkArrived,
        AppendLog(RECORD, sync=False),
        AppendLog(RECORD, sync=True),
        SaveSafety(NOTHING_SIGNED),
        Broadcast(VOTE),
        SendTo(PEER, VOTE),
        BlameMessage(PEER, "nonsense"),
    )
    async with running(scene):
        scene.driver.post_from_peer(WorkArrived(Height(1)))
        await settle()
    assert scene.diary.entries == [
        ("append", RECORD),
        ("append", RECORD),
        ("sync",),
        ("safety", encode_safety(NOTHING_SIGNED)),
        ("broadcast", VOTE),
        ("send", PEER, VOTE),
        ("penalise", PEER, BLAME_POINTS, "nonsense"),
    ]


@pytest.mark.parametrize("place", ["append", "sync", "safety"])
@pytest.mark.parametrize("error", [FULL, StoreWriteError("full")])
async def test_while_the_disk_is_full_nothing_leaves_and_the_write_is_tried_again(scene, place, error):
    scene.core.plan(WorkArrived, AppendLog(RECORD, sync=True), SaveSafety(NOTHING_SIGNED), Broadcast(VOTE))
    scene.diary.failures[place] = [error, error]
    scene.space.room.clear()
    async with running(scene):
        scene.driver.post_from_peer(WorkArrived(Height(1)))
        await settle()
        assert scene.diary.entries[-1] == ("wait for room", type(error).__name__)
        assert ("broadcast", VOTE) not in scene.diary.entries
        scene.space.room.set()
        await settle()
    done = [entry for entry in scene.diary.entries if entry[1:] != ("failed",) and entry[0] != "wait for room"]
    expected = [("append", RECORD), ("sync",), ("safety", encode_safety(NOTHING_SIGNED)), ("broadcast", VOTE)]
    assert done == expected
    assert scene.diary.entries.count((place, "failed")) == 2


async def test_another_error_of_the_disk_ends_the_driver(scene):
    scene.core.plan(WorkArrived, AppendLog(RECORD, sync=False), Broadcast(VOTE))
    scene.diary.failures["append"] = [OSError(5, "Input/output error")]
    async with running(scene) as task:
        scene.driver.post_from_peer(WorkArrived(Height(1)))
        with pytest.raises(ExceptionGroup):
            await task
    assert scene.diary.entries == [("append", "failed")]


async def test_signatures_come_back_as_events(scene):
    scene.core.plan(WorkArrived, SignVote(VOTE, b"vote bytes"), SignProposal(PROPOSAL, b"proposal bytes"))
    async with running(scene):
        scene.driver.post_from_peer(WorkArrived(Height(1)))
        await settle()
    assert scene.signer.asked == [b"vote bytes", b"proposal bytes"]
    assert scene.core.handled[1:] == [
        VoteSigned(replace(VOTE, signature=b"\x05" * 64)),
        ProposalSigned(replace(PROPOSAL, signature=b"\x05" * 64)),
    ]


async def test_with_too_little_room_nothing_is_signed(scene):
    scene.core.plan(WorkArrived, SignVote(VOTE, b"vote bytes"))
    scene.space.room.clear()
    async with running(scene):
        scene.driver.post_from_peer(WorkArrived(Height(1)))
        await settle()
        assert scene.signer.asked == []
        scene.space.room.set()
        await settle()
    assert scene.signer.asked == [b"vote bytes"]


async def test_a_signer_that_refuses_costs_one_message_not_the_node(scene):
    scene.core.plan(WorkArrived, SignVote(VOTE, b"first"))
    scene.core.plan(WorkArrived, SignVote(VOTE, b"second"))
    scene.signer.failure = SignerRefusedError("signed before")
    async with running(scene):
        scene.driver.post_from_peer(WorkArrived(Height(1)))
        await settle()
        assert (scene.core.handled, scene.signer.asked) == ([WorkArrived(Height(1))], [b"first"])
        assert len(scene.logger.list_events("error")) == 1
        scene.signer.failure = None
        scene.driver.post_from_peer(WorkArrived(Height(1)))
        await settle()
    assert isinstance(scene.core.handled[-1], VoteSigned)


async def test_an_absent_signer_is_asked_again_until_the_height_is_over(scene, monkeypatch):
    monkeypatch.setattr(driver_module, "SIGNER_RETRY_S", 0.001)
    scene.core.plan(WorkArrived, SignVote(VOTE, b"vote bytes"))
    scene.signer.failure = SignerUnavailableError("gone")
    async with running(scene):
        scene.driver.post_from_peer(WorkArrived(Height(1)))
        await scene.wait_until(lambda: len(scene.signer.asked) == 3)
        scene.signer.failure = None
        await scene.wait_until(lambda: len(scene.core.handled) == 2)
        assert isinstance(scene.core.handled[1], VoteSigned)
        scene.signer.failure = SignerUnavailableError("gone again")
        scene.core.plan(WorkArrived, SignVote(VOTE, b"late"))
        scene.driver.post_from_peer(WorkArrived(Height(1)))
        await settle()
        scene.small.add_block()
        await asyncio.sleep(0.01)
        asked = len(scene.signer.asked)
        await asyncio.sleep(0.01)
        assert len(scene.signer.asked) == asked
    assert "warning" in {level for level, _, _ in scene.logger.entries}


async def test_an_absent_signer_is_asked_no_more_once_the_round_is_over(scene, monkeypatch):
    """The messages of the round that goes on wait behind."""
    monkeypatch.setattr(driver_module, "SIGNER_RETRY_S", 0.001)
    scene.core.plan(WorkArrived, SignVote(VOTE, b"first round"))
    scene.signer.failure = SignerUnavailableError("gone")
    async with running(scene):
        scene.driver.post_from_peer(WorkArrived(Height(1)))
        await scene.wait_until(lambda: len(scene.signer.asked) == 3)
        scene.core.round = Round(1)
        await asyncio.sleep(0.01)
        asked = len(scene.signer.asked)
        scene.signer.failure = None
        scene.core.plan(WorkArrived, SignVote(replace(VOTE, round=Round(1)), b"second round"))
        scene.driver.post_from_peer(WorkArrived(Height(1)))
        await scene.wait_until(lambda: len(scene.core.handled) == 3)
    assert scene.signer.asked[asked:] == [b"second round"]
    assert scene.core.handled[-1] == VoteSigned(replace(VOTE, round=Round(1), signature=b"\x05" * 64))


async def test_a_signer_that_comes_back_is_asked_in_the_order_of_the_steps(scene, monkeypatch):
    monkeypatch.setattr(driver_module, "SIGNER_RETRY_S", 0.001)
    scene.core.plan(WorkArrived, SignVote(VOTE, b"earlier"))
    scene.core.plan(WorkArrived, SignVote(VOTE, b"later"))
    scene.signer.failure = SignerUnavailableError("gone")
    async with running(scene):
        for _ in range(2):
            scene.driver.post_from_peer(WorkArrived(Height(1)))
        await scene.wait_until(lambda: len(scene.signer.asked) == 3)
        scene.signer.failure = None
        await scene.wait_until(lambda: len(scene.core.handled) == 4)
    assert list(dict.fromkeys(scene.signer.asked)) == [b"earlier", b"later"]
    assert scene.signer.asked.count(b"later") == 1


async def test_a_timeout_comes_as_an_event_and_dies_with_the_driver(scene):
    soon = ScheduleTimeout(Height(1), Round(0), Step.PROPOSE, 1)
    late = ScheduleTimeout(Height(1), Round(0), Step.PREVOTE, 60_000)
    scene.core.plan(WorkArrived, soon, late)
    async with running(scene):
        scene.driver.post_from_peer(WorkArrived(Height(1)))
        await scene.wait_until(lambda: len(scene.core.handled) == 2)
        assert scene.core.handled[1] == TimedOut(Height(1), Round(0), Step.PROPOSE)
        (timer,) = scene.driver._timers
    assert timer.cancelled()


@pytest.mark.parametrize("is_valid", [True, False])
async def test_a_checked_block_is_on_disk_before_the_core_hears_that_it_is_valid(scene, is_valid):
    _, block = scene.make_decision()
    proposal = replace(PROPOSAL, header=block.block.header)
    scene.assembly.blocks[block.block.header.hash] = block
    scene.assembly.is_valid = is_valid
    scene.core.plan(WorkArrived, CheckBlock(proposal))
    scene.diary.failures["keep"] = [FULL]
    async with running(scene):
        scene.driver.post_from_peer(WorkArrived(Height(1)))
        await settle()
    kept = [("keep", "failed"), ("wait for room", "DiskFullError"), ("keep", proposal.block_hash)]
    assert scene.diary.entries == [("assemble", proposal.block_hash), *(kept if is_valid else [])]
    assert scene.core.handled[1:] == [BlockChecked(proposal.block_hash, is_valid)]


async def test_an_own_block_takes_what_waits_and_follows_from_the_head(scene):
    transactions = [pay(0), pay(1)]
    for transaction in transactions:
        scene.mempool.add(transaction, AnyoneCanPay())
    scene.core.plan(WorkArrived, BuildBlock(Height(1), Round(3)))
    async with running(scene):
        scene.driver.post_from_peer(WorkArrived(Height(1)))
        await settle()
    (built,) = [event for event in scene.core.handled if isinstance(event, BlockBuilt)]
    assert (built.height, built.round, built.evidence) == (1, 3, ())
    assert built.envelope_hashes == tuple(each.envelope_hash for each in transactions)
    header = built.header
    assert (header.height, header.round, header.time_ms) == (1, 3, scene.clock.get_wall_ms())
    assert (header.previous_hash, header.proposer) == (scene.small.genesis.hash, FakeSigner.public_key)
    assert scene.diary.entries == [("keep", header.hash)]
    assert scene.assembly.blocks[header.hash].transactions == transactions


async def test_an_own_block_is_later_than_the_one_before_even_when_the_clock_is_behind(scene):
    scene.clock.wall_ms = scene.small.genesis.time_ms - 5
    scene.core.plan(WorkArrived, BuildBlock(Height(1), Round(0)))
    async with running(scene):
        scene.driver.post_from_peer(WorkArrived(Height(1)))
        await scene.wait_until(lambda: len(scene.core.handled) == 2)
    assert scene.core.handled[1].header.time_ms == scene.small.genesis.time_ms + 1


async def test_a_block_of_a_height_that_is_over_is_not_built(scene):
    scene.core.plan(WorkArrived, BuildBlock(Height(9), Round(0)))
    async with running(scene):
        scene.driver.post_from_peer(WorkArrived(Height(1)))
        await settle()
    assert len(scene.core.handled) == 1


async def test_a_decision_is_executed_and_the_next_height_begins(scene):
    decide, block = scene.make_decision([pay(0)])
    scene.assembly.blocks[block.block.header.hash] = block
    scene.core.plan(WorkArrived, decide, Broadcast(VOTE))
    scene.core.plan(HeightStarted, Broadcast(VOTE))
    async with running(scene):
        scene.driver.post_from_peer(WorkArrived(Height(1)))
        await settle()
        assert scene.height == 1
        started = scene.core.handled[1]
    assert get_balance(scene.small.chain.open_state(), B) == 5
    assert started == build_height_started(get_next_block_rules(scene.small.chain.head, scene.small.chain.open_state()))
    assert (started.height, started.previous_hash) == (2, block.block.header.hash)
    assert scene.diary.entries == [("forget",), ("begin", 2), ("broadcast", VOTE), ("broadcast", VOTE)]
    assert scene.logger.list_events("info") == ["block"]


async def test_a_decision_remembered_after_a_restart_waits_for_its_block(scene):
    decide, block = scene.make_decision([pay(0)])
    original = scene.assembly.assemble

    async def fetch(*arguments) -> bool:
        scene.assembly.blocks[block.block.header.hash] = block
        return await original(*arguments)

    scene.assembly.assemble = fetch
    async with running(scene, replayed=[decide]):
        await scene.wait_until(lambda: scene.height == 1)


async def test_a_synced_block_is_committed_between_two_events(scene):
    decide, block = scene.make_decision([pay(0)])

    async with running(scene):
        await scene.driver.commit_synced(CertifiedBlock(block.block, decide.certificate), block)
        assert scene.height == 1
        await scene.driver.commit_synced(CertifiedBlock(block.block, decide.certificate), block)
    assert scene.height == 1, "this node was faster"
    assert [event.height for event in scene.core.handled if isinstance(event, HeightStarted)] == [2]


@pytest.mark.parametrize("was_stored", [False, True])
async def test_a_failed_commit_is_tried_again_after_the_store_was_reopened(scene, was_stored):
    decide, block = scene.make_decision([pay(0)])
    scene.assembly.blocks[block.block.header.hash] = block
    commit, heard = scene.small.chain.commit, []
    scene.driver._execution.add_listener(heard.append)

    def fail_once(*arguments):
        scene.small.chain.commit = commit
        if was_stored:
            commit(*arguments)
        raise StoreWriteError("full")

    scene.small.chain.commit = fail_once
    scene.diary.failures["reopen"] = [StoreWriteError("still full")]
    scene.core.plan(WorkArrived, decide)
    async with running(scene):
        scene.driver.post_from_peer(WorkArrived(Height(1)))
        await scene.wait_until(lambda: any(isinstance(event, HeightStarted) for event in scene.core.handled))
    assert (scene.height, scene.reopened, len(heard)) == (1, 2, 1)
    assert get_balance(scene.small.chain.open_state(), B) == 5
    waits = [entry for entry in scene.diary.entries if entry[0] == "wait for room"]
    assert waits == [("wait for room", "StoreWriteError")] * 2


def sign_prevote(block_hash: bytes | None) -> Vote:
    message = vote_signing_bytes(DOMAIN, VoteKind.PREVOTE, Height(1), Round(0), block_hash)
    return Vote(VoteKind.PREVOTE, Height(1), Round(0), block_hash, 2, Signature(MEMBER_KEYS[2].sign(message)))


async def test_double_signing_becomes_evidence_that_the_next_block_holds(scene):
    decide, assembled = scene.make_decision([pay(0)])
    scene.assembly.blocks[decide.proposal.block_hash] = assembled
    one, other = sign_prevote(None), sign_prevote(b"\x01" * 32)
    scene.core.plan(WorkArrived, ReportEquivocation(one, other), ReportEquivocation(other, one), decide)
    async with running(scene):
        scene.driver.post_from_peer(WorkArrived(Height(1)))
        await scene.wait_until(lambda: scene.height == 1)
        assert scene.driver.has_work()
        scene.core.plan(TimedOut, BuildBlock(Height(2), Round(0)))
        scene.driver.post_from_peer(TimedOut(Height(2), Round(0), Step.PROPOSE))
        await scene.wait_until(lambda: any(isinstance(event, BlockBuilt) for event in scene.core.handled))
    built = next(event for event in scene.core.handled if isinstance(event, BlockBuilt))
    [encoded] = built.evidence
    evidence, offence = decode_evidence(encoded)
    assert offence == Offence(OffenceKind.PREVOTE, COMMITTEE.members[2].consensus_key, Height(1), Round(0))
    check_evidence_signatures(evidence, DOMAIN)
    assert built.header.evidence_root == compute_evidence_root(built.evidence)
    assert scene.evidence.offences_seen == 1


async def test_an_accusation_without_two_signatures_is_no_evidence(scene):
    scene.core.plan(WorkArrived, ReportEquivocation(VOTE, make_vote(0, VoteKind.PREVOTE, b"\x01" * 32)))
    async with running(scene):
        scene.driver.post_from_peer(WorkArrived(Height(1)))
        await settle()
    assert len(scene.evidence) == 0


async def test_who_idles_while_peers_work_asks_for_what_it_missed(scene):
    core = Core(DOMAIN, None)
    core.handle(start_height())
    idle = core.get_summary()
    assert idle is not None
    working = replace(idle, height=Height(1), step=Step.PREVOTE)
    scene.core.summary = idle
    async with running(scene):
        scene.driver.post_from_peer(SummaryReceived(PEER, working))
        await settle()
        assert scene.diary.entries == [("send", PEER, idle)]
        for summary in (replace(working, height=Height(2)), replace(working, step=Step.NEW_HEIGHT)):
            scene.driver.post_from_peer(SummaryReceived(PEER, summary))
        scene.core.step = Step.PREVOTE
        scene.driver.post_from_peer(SummaryReceived(PEER, working))
        await settle()
    assert len(scene.diary.entries) == 1


@pytest.mark.parametrize("is_shared", [False, True])
async def test_on_a_devnet_a_height_begun_without_work_is_begun_by_all(scene, is_shared):
    core = Core(DOMAIN, None)
    core.handle(start_height())
    idle = core.get_summary()
    assert idle is not None
    scene.core.summary = idle
    scene.driver._is_mining_shared = is_shared
    async with running(scene):
        scene.driver.post_from_peer(SummaryReceived(PEER, replace(idle, height=Height(1), step=Step.PROPOSE)))
        await settle()
    begun = [event for event in scene.core.handled if isinstance(event, WorkArrived)]
    assert begun == ([WorkArrived(Height(1))] if is_shared else [])


async def test_fetching_a_proposal_shows_peers_what_is_missing(scene):
    scene.core.summary = object()
    scene.core.plan(WorkArrived, FetchProposal(Height(1), Round(0), bytes(32)))
    async with running(scene):
        scene.driver.post_from_peer(WorkArrived(Height(1)))
        await settle()
    assert scene.diary.entries == [("broadcast", scene.core.summary)]


async def test_summaries_are_said_only_while_a_height_is_going_on(scene, monkeypatch):
    monkeypatch.setattr(driver_module, "SUMMARY_INTERVAL_S", 0.001)
    scene.core.summary = object()
    async with running(scene):
        for step in (Step.NEW_HEIGHT, Step.DECIDED):
            scene.core.step = step
            await asyncio.sleep(0.01)
            assert scene.diary.entries == []
        scene.core.step = Step.PREVOTE
        await scene.wait_until(lambda: ("broadcast", scene.core.summary) in scene.diary.entries)


async def test_peers_can_fill_the_queue_but_not_keep_our_own_events_out(scene, monkeypatch):
    monkeypatch.setattr(driver_module, "PEER_EVENTS_WAITING_MAX", 2)
    event = WorkArrived(Height(1))
    assert [scene.driver.post_from_peer(event) for _ in range(4)] == [True, True, False, False]
    assert scene.driver.dropped_events == 2
    decide, block = scene.make_decision()
    async with running(scene):
        await scene.driver.commit_synced(CertifiedBlock(block.block, decide.certificate), block)
    assert (scene.height, scene.core.handled[:2]) == (1, [event, event])


async def test_work_begins_a_height_after_the_interval_and_once(scene):
    async with running(scene):
        scene.driver.on_work()
        await settle()
        assert scene.core.handled == [], "nothing waits and everything is certified"
        scene.mempool.add(pay(0), AnyoneCanPay())
        scene.driver.on_work()
        scene.driver.on_work()
        await scene.wait_until(lambda: scene.core.handled != [])
        await settle()
        assert scene.core.handled == [WorkArrived(Height(1))]


async def test_the_interval_counts_from_where_the_height_before_began(scene):
    scene.mempool.add(pay(0), AnyoneCanPay())
    handle = scene.core.handle

    def begin(event):
        scene.core.step = Step.PROPOSE
        return handle(event)

    scene.core.handle = begin
    async with running(scene):
        scene.driver.post_from_peer(WorkArrived(Height(1)))
        await settle()
        scene.core.step = Step.NEW_HEIGHT
        scene.clock.monotonic_s += 0.05
        scene.driver.on_work()
        assert scene.driver._work_timer is not None
        delay_s = scene.driver._work_timer.when() - asyncio.get_running_loop().time()
        interval_s = PARAMETERS.block_interval_ms / 1000
        assert interval_s / 4 < delay_s <= interval_s - 0.05


async def test_work_does_not_disturb_a_height_that_is_going_on(scene):
    scene.mempool.add(pay(0), AnyoneCanPay())
    scene.core.step = Step.PREVOTE
    scene.driver.on_work()
    assert scene.driver._work_timer is None


def test_a_state_without_a_certified_root_is_work(scene):
    assert not scene.driver.has_work()
    scene.small.add_block([pay(0)])
    assert scene.driver.has_work()
    scene.small.add_block()
    assert not scene.driver.has_work()


async def test_mining_waits_for_each_block(scene):
    def plan_block() -> None:
        decide, block = scene.make_decision()
        scene.assembly.blocks[block.block.header.hash] = block
        scene.core.plan(WorkArrived, decide)

    plan_block()
    async with running(scene):
        mining = asyncio.create_task(scene.driver.mine(2))
        await scene.wait_until(lambda: scene.height == 1)
        await settle()
        assert not mining.done()
        plan_block()
        scene.driver.post_from_peer(WorkArrived(Height(2)))
        await asyncio.wait_for(mining, 5)
    assert scene.height == 2


async def test_mining_that_gets_nowhere_ends(scene, monkeypatch):
    monkeypatch.setattr(driver_module, "MINE_SECONDS_MAX", 0.01)
    async with running(scene):
        with pytest.raises(TimeoutError):
            await scene.driver.mine(1)


def test_the_chains_parameters_are_the_cores_timeouts():
    timeouts = compute_timeouts(PARAMETERS)
    assert (timeouts.propose_ms, timeouts.propose_delta_ms) == (1_000, 500)
    assert (timeouts.prevote_ms, timeouts.precommit_ms) == (500, 500)
    assert (timeouts.prevote_delta_ms, timeouts.precommit_delta_ms) == (250, 250)
    assert (timeouts.precision_ms, timeouts.message_delay_ms) == (500, 2_000)


class AloneScene(Scene):
    """The real core of a committee of one."""

    def __init__(self) -> None:
        super().__init__()
        fast = replace(PARAMETERS, block_interval_ms=10)
        self.small = SmallChain({A: 10**9}, committee=Committee(COMMITTEE.members[:1]), parameters=fast)
        signer = LocalSigner(MEMBER_KEYS[0])
        real = Core(DOMAIN, signer.public_key)
        rules = get_next_block_rules(self.small.chain.head, self.small.chain.open_state())
        self.started = real.handle(build_height_started(rules))
        self.evidence = EvidencePool(self.small.chain, DOMAIN, lambda _: None, self.logger)
        self.execution = Execution(self.small.chain, DOMAIN, self.logger)
        self.execution.add_listener(
            lambda committed: self.mempool.remove_included(
                committed.certified.block.header.height, committed.transactions, AnyoneCanPay()
            )
        )
        self.driver = ConsensusDriver(
            real,
            self.small.chain,
            self.execution,
            self.assembly,
            self.mempool,
            self.evidence,
            FakeLog(self.diary),
            FakeSafety(self.diary),
            signer,
            FakeVoice(self.diary),
            self.space,
            self.reopen,
            Clock(),
            self.logger,
        )


async def test_a_committee_of_one_finalises_what_waits_and_then_idles():
    scene = AloneScene()
    scene.mempool.add(pay(bytes(8)), AnyoneCanPay())
    async with running(scene, scene.started):
        await scene.wait_until(lambda: scene.small.chain.head.is_sealed and scene.height > 0)
        height = scene.height
        await asyncio.sleep(0.05)
        assert scene.height == height == 2, "one block for the transfer, one that states its root"
    assert get_balance(scene.small.chain.open_state(), B) == 5
    certified = scene.small.chain.get_block(1)
    assert certified is not None
    assert [index for index, _ in certified.certificate.signatures] == [0]


async def test_every_vote_on_the_wire_was_saved_before():
    scene = AloneScene()
    scene.mempool.add(pay(bytes(8)), AnyoneCanPay())
    async with running(scene, scene.started):
        await scene.wait_until(lambda: scene.height == 1)
    saved = 0
    sent = 0
    for entry in scene.diary.entries:
        saved += entry[0] == "safety"
        if entry[0] == "broadcast" and isinstance(entry[1], (Vote, Proposal)):
            sent += 1
            assert saved >= sent
    assert sent >= 3
