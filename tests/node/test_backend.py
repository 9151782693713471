"""The node as RPC sees it: states of any kept height, where a transaction stands, estimates and proofs."""

import asyncio
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from consensus.certificate import check_certificate
from genesis.build import compute_genesis_hash
from ledger.block import CommitCertificate, Header
from ledger.codec import decode
from ledger.committee import Committee
from ledger.mempool import Mempool
from ledger.primitives import Height
from ledger.reasons import CONTRACT_REASON_FIRST, Reason, Rejected, Reverted
from ledger.receipt import Receipt, Status
from ledger.state_keys import account_key
from ledger.state_proof import StateProof, check_state_proof
from ledger.transaction import Call, Transaction
from ledger.turns import NOBODY_ABSENT, Absence, Absences
from node import backend as backend_module
from node.backend import ESTIMATE_MARGIN_PERCENT, NodeBackend, NodeParts
from node.config import NodeConfig
from node.errors import StoreWriteError
from node.execution import Execution, FinalityWaiters
from node.history_indexer import HistoryIndexer
from node.intake import Intake
from node.mempool_journal import MempoolJournal
from node.state_views import VIEWS_MAX, StateViews
from p2p.peer import PeerInfo
from rpc.backend import TransactionStatus
from rpc.errors import RpcError
from tests.builders import CHAIN_ID, DOMAIN, Draft, address_of, make_key, transfer
from tests.chains import COMMITTEE, OTHER_COMMITTEE, DirectVerifier, RecordingLogger, SmallChain
from tests.echo_contract import announcement, build_echo
from tests.vectors.scene import build_document
from tests.vm.contracts.puppet import find_address, hash_code
from vm.gas import GAS_STATE_WRITE, compute_intrinsic_gas
from vm.native.iov import get_balance
from vm.native.network import NodeRole
from vm.native.stake import build_candidate

ALICE, CAROL = make_key("alice"), make_key("carol")
A, B, C = address_of(ALICE), address_of(make_key("bob")), address_of(CAROL)
START = 10**12
DOCUMENT = build_document().model_copy(update={"chain_id": CHAIN_ID})


def pay(sequence: int | bytes, amount: int = 5, **options) -> Transaction:
    options.setdefault("valid_until", 500)
    return Draft(ALICE, [transfer(B, amount)], sequence=sequence, **options).sign()


class FakeNetwork:
    key = b"\x01" * 32

    def __init__(self) -> None:
        self.peers: list[PeerInfo] = []

    def list_peers(self) -> list[PeerInfo]:
        return self.peers


class Scene:
    def __init__(self, path: Path, **options) -> None:
        self.small = SmallChain({A: START, C: START}, **options)
        chain = self.small.chain
        self.mempool, self.journal, self.network = Mempool(), MempoolJournal(path / "journal"), FakeNetwork()
        self.views, self.waiters = StateViews(chain), FinalityWaiters()
        self.indexer = HistoryIndexer(chain, RecordingLogger())
        self.execution = Execution(chain, DOMAIN, RecordingLogger())
        self.target_height = 0
        self.waiting_for: str | None = None
        self.intake = Intake(
            chain,
            self.mempool,
            self.journal,
            DirectVerifier(),
            DOMAIN,
            lambda: 0,
            find_final=lambda transaction_id: self.indexer.find(transaction_id) is not None,
            on_waiting=lambda transactions: self.backend.on_waiting(transactions),
            on_admitted=lambda _: None,
        )
        self.parts = NodeParts(
            NodeConfig(node_name="workshop"),
            DOCUMENT,
            self.small.genesis.hash,
            DOMAIN,
            chain,
            self.views,
            self.mempool,
            self.intake,
            self.waiters,
            self.indexer,
            self.network,
            COMMITTEE.members[1].consensus_key,
            get_target_height=lambda: self.target_height,
            get_peer_height=lambda _: 7,
            explain_waiting=lambda: self.waiting_for,
        )
        self.backend = NodeBackend(self.parts, None)
        for listener in (self.on_block, self.waiters.on_block, self.backend.on_block):
            self.execution.add_listener(listener)

    def on_block(self, committed) -> None:
        height = committed.certified.block.header.height
        skipped = {each.transaction_id for each in committed.receipts if each.status is Status.SKIPPED}
        self.mempool.remove_included(height, committed.transactions, self.intake, skipped)
        self.views.add_head()
        self.indexer.add_block(height, committed.transactions, committed.receipts)

    async def add_block(self, *transactions: Transaction) -> list[Receipt]:
        certified = self.small.build_block(transactions)
        return (await self.execution.execute(certified, transactions)).receipts


@pytest.fixture
def scene(tmp_path):
    scene = Scene(tmp_path)
    yield scene
    scene.views.close()
    scene.journal.close()


def reason_of(call, *arguments) -> tuple[str, dict]:
    with pytest.raises(RpcError) as failure:
        call(*arguments)
    return failure.value.reason, failure.value.fields


def read_balance(scene: Scene, at: int | None) -> tuple[int, int]:
    with scene.backend.open_state(at) as state:
        assert [key for key, _ in state.iterate_prefix(account_key(A))] == [account_key(A)]
        return state.height, get_balance(state, B)


async def test_the_state_of_every_kept_height_can_be_read(scene):
    await scene.add_block(pay(0))
    await scene.add_block(pay(1))
    assert [read_balance(scene, at) for at in (0, 1, 2, None)] == [(0, 0), (1, 5), (2, 10), (2, 10)]
    assert reason_of(read_balance, scene, 3) == ("NODE_BEHIND", {"headHeight": 2})


async def test_a_state_that_is_no_longer_kept_is_pruned(scene):
    for _ in range(VIEWS_MAX + 1):
        await scene.add_block()
    assert reason_of(read_balance, scene, 1) == ("PRUNED", {"earliestHeight": 2})


async def test_while_the_store_is_reopened_readers_are_asked_to_try_again(scene):
    scene.views.close()
    assert reason_of(read_balance, scene, None)[0] == "NOT_READY"
    assert reason_of(read_balance, scene, 0)[0] == "NOT_READY"
    scene.views.restart()
    assert read_balance(scene, None) == (0, 0)

    def read_closed() -> None:
        with scene.backend.open_state(None):
            raise StoreWriteError("the store was closed or reopened in between")

    assert reason_of(read_closed)[0] == "NOT_READY"
    assert scene.views._views[0].holders == 1


async def test_a_readers_own_failure_is_its_own(scene):
    with pytest.raises(KeyError), scene.backend.open_state(None):
        raise KeyError("the caller's")
    assert scene.views._views[0].holders == 1


async def test_a_transaction_is_followed_from_pending_to_final(scene):
    transaction = pay(0)
    assert scene.backend.get_transaction_status(transaction.id) == TransactionStatus(transaction.id, "unknown")
    await scene.backend.submit_many([transaction.raw])
    status = scene.backend.get_transaction_status(transaction.id)
    assert (status.status, status.raw, status.detail) == (
        "pending",
        transaction.raw,
        "it is ready for the next block; it is valid until block 500",
    )
    (receipt,) = await scene.add_block(transaction)
    final = TransactionStatus(transaction.id, "final", 1, 0, receipt)
    assert scene.backend.get_transaction_status(transaction.id) == final
    assert await scene.backend.wait_final(transaction.id, 1) == final


async def test_a_failed_transaction_names_its_reason(scene):
    transaction = pay(0, amount=2 * START)
    (receipt,) = await scene.add_block(transaction)
    status = scene.backend.get_transaction_status(transaction.id)
    assert status == TransactionStatus(transaction.id, "failed", 1, 0, receipt, reason="INSUFFICIENT_BALANCE")


async def test_a_skipped_transaction_is_not_final_and_may_be_sent_again(scene):
    early = pay(1)
    await scene.add_block(early)
    assert scene.backend.get_transaction_status(early.id).status == "unknown"
    await scene.backend.submit_many([early.raw])
    assert scene.backend.get_transaction_status(early.id).status == "pending"
    await scene.add_block(pay(0), early)
    status = scene.backend.get_transaction_status(early.id)
    assert (status.status, status.height, status.index) == ("final", 2, 1)


async def test_a_dropped_transaction_says_why(scene):
    first, second = pay(0), pay(0, amount=9, price_grains=2)
    await scene.backend.submit_many([first.raw, second.raw])
    status = TransactionStatus(first.id, "dropped", reason="REPLACED")
    assert scene.backend.get_transaction_status(first.id) == status


async def test_waiting_ends_with_the_block_or_the_time(scene):
    transaction = pay(0)
    assert (await scene.backend.wait_final(transaction.id, 1)).status == "unknown", "nothing to wait for"
    await scene.backend.submit_many([transaction.raw])
    assert (await scene.backend.wait_final(transaction.id, 1)).status == "pending"
    waiting = asyncio.create_task(scene.backend.wait_final(transaction.id, 5_000))
    await asyncio.sleep(0)
    (receipt,) = await scene.add_block(transaction)
    assert await waiting == TransactionStatus(transaction.id, "final", 1, 0, receipt)


async def test_pending_transactions_come_in_pages_by_id(scene):
    transactions = [pay(sequence) for sequence in range(5)]
    carols = Draft(CAROL, [transfer(B, 1)]).sign()
    await scene.backend.submit_many([each.raw for each in (*transactions, carols)])
    for sender, expected in ((None, [*transactions, carols]), (A, transactions), (C, [carols]), (B, [])):
        expected = sorted(expected, key=lambda each: each.id)
        seen, after = [], None
        while True:
            page = scene.backend.list_pending(sender, after, 2)
            seen += page.transactions
            after = page.after
            if after is None:
                break
            assert len(page.transactions) == 2
        assert seen == expected
    assert reason_of(scene.backend.list_pending, None, b"short", 2)[0] == "BAD_CURSOR"


async def test_a_simulation_has_the_receipt_of_the_real_thing_and_no_effect(scene):
    transaction = pay(0)
    before = scene.small.chain.head
    simulated = scene.backend.simulate(transaction.raw, None)
    assert (simulated.height, simulated.block_hash) == (0, before.header.hash)
    assert scene.small.chain.head == before
    assert read_balance(scene, None) == (0, 0)
    (receipt,) = await scene.add_block(transaction)
    assert simulated.receipt == receipt
    assert scene.backend.simulate(transaction.raw, 0).receipt == receipt, "of the state then"


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"\xc1", Reason.DECODE),
        (pay(0, chain_id="elsewhere").raw, Reason.WRONG_CHAIN),
        (pay(1).raw, Reason.SEQUENCE_TOO_HIGH),
        (pay(0, gas_limit=10).raw, Reason.GAS_LIMIT_TOO_LOW),
        (Draft(make_key("poor"), [transfer(B, 1)]).sign().raw, Reason.INSUFFICIENT_FUNDS),
    ],
)
async def test_what_could_not_be_included_cannot_be_simulated(scene, raw, reason):
    with pytest.raises(Rejected) as refusal:
        scene.backend.simulate(raw, None)
    assert refusal.value.reason is reason


async def test_an_estimate_is_enough_and_little_more(scene):
    draft = Draft(ALICE, [transfer(B, 5)], gas_limit=9_999, valid_until=500)
    raw = draft.sign().raw
    estimate = scene.backend.estimate(raw)
    used = compute_intrinsic_gas(draft.sign()) + 2 * GAS_STATE_WRITE
    assert estimate.gas_limit == used * (100 + ESTIMATE_MARGIN_PERCENT) // 100
    assert estimate.fee_max == estimate.gas_limit, "at a floor of one grain"
    (receipt,) = await scene.add_block(replace(draft, gas_limit=estimate.gas_limit).sign())
    assert receipt.status is Status.SUCCEEDED


async def test_an_estimate_needs_no_funds_no_turn_and_no_sufficient_gas_limit(scene):
    poor = Draft(make_key("poor"), [transfer(B, 5)], sequence=77, gas_limit=20_000)
    with pytest.raises(Rejected) as refusal:
        scene.backend.estimate(poor.sign().raw)
    assert refusal.value.reason is Reason.INSUFFICIENT_BALANCE, "of the amount, not of the fee"
    assert scene.backend.estimate(pay(9).raw).gas_limit > 0


async def test_an_estimate_of_what_would_fail_says_so(scene):
    with pytest.raises(Rejected) as refusal:
        scene.backend.estimate(pay(0, amount=2 * START).raw)
    assert refusal.value.reason is Reason.INSUFFICIENT_BALANCE
    assert refusal.value.details["gas_used"] > 0
    with pytest.raises(Rejected) as refusal:
        scene.backend.estimate(pay(0, valid_until=0).raw)
    assert refusal.value.reason is Reason.EXPIRED


def check_proven(scene: Scene, proven, key: bytes) -> None:
    """What a client does that knows the committee alone."""
    header = decode(Header, proven.header)
    committee = decode(Committee, proven.committee)
    assert committee == COMMITTEE
    if header.height:
        check_certificate(decode(CommitCertificate, proven.certificate), header, committee, DOMAIN)
    assert check_state_proof(decode(StateProof, proven.proof), key, header.state_root) == proven.value
    assert scene.small.chain.get_block(proven.height).block.header.hash == proven.block_hash


@pytest.mark.parametrize("key", [account_key(A), account_key(B)])
async def test_a_proof_holds_at_every_height(scene, key):
    await scene.add_block(pay(0))
    await scene.add_block(pay(1))
    await scene.add_block()
    for at in (0, 1, 2, 3, None):
        proven = await scene.backend.prove(key, at)
        check_proven(scene, proven, key)
        with scene.backend.open_state(at) as state:
            assert proven.value == state.get(key)


async def test_at_genesis_the_genesis_header_itself_is_the_proof(scene):
    proven = await scene.backend.prove(account_key(A), None)
    assert (proven.height, proven.block_hash) == (0, scene.small.genesis.hash)
    assert decode(Header, proven.header) == scene.small.genesis
    check_proven(scene, proven, account_key(A))


async def test_a_fresh_state_waits_for_the_header_that_states_its_root(scene):
    await scene.add_block(pay(0))
    proving = asyncio.create_task(scene.backend.prove(account_key(B), None))
    await asyncio.sleep(0)
    assert not proving.done()
    await scene.add_block(pay(1))
    proven = await proving
    assert (proven.height, decode(Header, proven.header).height) == (1, 2)
    check_proven(scene, proven, account_key(B))
    assert scene.backend._block_watchers == []


async def test_a_header_that_does_not_come_is_said(scene, monkeypatch):
    monkeypatch.setattr(backend_module, "SEAL_SECONDS_MAX", 0.01)
    await scene.add_block(pay(0))
    with pytest.raises(RpcError) as failure:
        await scene.backend.prove(account_key(A), None)
    assert failure.value.reason == "NOT_READY"
    assert scene.backend._block_watchers == []


async def test_watchers_hear_until_they_stop(scene):
    blocks, pending = [], []
    end_blocks = scene.backend.watch_blocks(lambda: blocks.append(scene.small.chain.head.header.height))
    end_pending = scene.backend.watch_pending(pending.extend)
    transaction = pay(0)
    await scene.backend.submit_many([transaction.raw, transaction.raw])
    await scene.add_block(transaction)
    end_blocks()
    end_pending()
    await scene.backend.submit_many([pay(1).raw])
    await scene.add_block()
    assert (blocks, pending) == ([1], [transaction])


async def test_blocks_committees_and_history_are_the_chains(tmp_path):
    scene = Scene(tmp_path, next_committee=OTHER_COMMITTEE)
    backend = scene.backend
    genesis = scene.small.genesis
    assert backend.get_committee(0) == COMMITTEE
    assert backend.get_committee(1) == OTHER_COMMITTEE, "known before its first block"
    assert backend.get_committee(2) is None
    assert (backend.find_height(genesis.hash), backend.find_height(bytes(32))) == (0, None)
    assert backend.get_block(0).block.header == genesis
    assert (backend.get_block(1), backend.get_receipts(1)) == (None, None)
    assert (backend.get_head().height, backend.get_head().block_hash) == (0, genesis.hash)
    assert list(backend.list_history(A, None, 5)) == []
    assert (backend.chain_id, backend.genesis_hash) == (CHAIN_ID, genesis.hash)
    scene.views.close()
    scene.journal.close()


async def test_the_node_describes_itself(scene):
    info = scene.backend.get_node_info()
    assert (info.name, info.chain_id, info.super_node) == ("workshop", CHAIN_ID, True)
    assert info.consensus_key == COMMITTEE.members[1].consensus_key
    scene.parts.consensus_key = None
    info = scene.backend.get_node_info()
    assert (info.super_node, info.consensus_key, info.operator) == (False, None, None)


async def test_status_tells_whether_it_is_catching_up(scene):
    status = scene.backend.get_node_status()
    assert (status.height, status.syncing, status.target_height, status.pending) == (0, False, None, 0)
    scene.target_height, scene.waiting_for = 9, "prevotes of b"
    await scene.backend.submit_many([pay(0).raw])
    status = scene.backend.get_node_status()
    assert (status.syncing, status.target_height, status.pending) == (True, 9, 1)
    assert status.waiting_for == "prevotes of b"


async def test_peers_are_listed_with_what_they_last_said(scene):
    info = PeerInfo(b"\x02" * 32, NodeRole.SUPER_NODE, None, 3, "", "1.2.3.4:5", True, 0.0, None, 0, 4.7)
    scene.network.peers = [info, replace(info, head_height=90, role=NodeRole.OBSERVER, is_dialed=False)]
    first, second = scene.backend.list_peers()
    assert (first.height, first.super_node, first.is_inbound, first.score) == (7, True, False, 4)
    assert (second.height, second.super_node, second.is_inbound) == (90, False, True)
    assert first.address == "1.2.3.4:5"


def test_the_genesis_document_is_a_copy(scene):
    document = scene.backend.get_genesis_document()
    document["chain_id"] = "changed"
    assert scene.backend.get_genesis_document()["chain_id"] == CHAIN_ID
    assert compute_genesis_hash(DOCUMENT) != compute_genesis_hash(build_document())


def test_without_dev_methods_there_are_none(scene):
    assert scene.backend.dev is None
    dev = SimpleNamespace()
    assert NodeBackend(scene.parts, dev).dev is dev


async def test_status_tells_epoch_seat_and_how_the_member_is_doing(scene, monkeypatch):
    operator = COMMITTEE.members[1].operator
    candidate = build_candidate(operator, 0, is_standing=True)
    absences = NOBODY_ABSENT
    monkeypatch.setattr(backend_module, "find_candidate", lambda _, address: candidate if address == operator else None)
    monkeypatch.setattr(backend_module, "get_absences", lambda _: absences)

    def describe():
        status = scene.backend.get_node_status()
        return status.epoch, status.seat, status.member

    assert describe() == (0, 1, "present")
    absences = Absences((Absence(operator, 1, Height(2), Height(1)),))
    assert describe() == (0, 1, "put_off")
    absences = Absences((Absence(operator, 1, Height(1), Height(1)),))
    assert describe() == (0, 1, "present")
    candidate = replace(candidate, jailed_until_epoch=2)
    assert describe() == (0, 1, "jailed")
    scene.parts.consensus_key = None
    assert describe() == (0, None, None)


async def test_status_is_told_while_the_state_cannot_be_read(scene):
    scene.views.close()
    status = scene.backend.get_node_status()
    assert (status.height, status.epoch, status.member) == (0, None, None)


async def publish_echo(scene: Scene) -> bytes:
    """The first transaction of Alice; the address."""
    scene.parts.contracts = scene.execution.contracts
    code = build_echo()
    contract = find_address(A, code)
    introduce = Call("contracts", "introduce", [b"", hash_code(code), code, announcement(A, 1), 0])
    (receipt,) = await scene.add_block(use(0, introduce, Call("contracts", "seal", [contract])))
    assert receipt.status is Status.SUCCEEDED
    return contract


def use(sequence: int, *calls: Call) -> Transaction:
    return Draft(ALICE, calls, sequence=sequence, gas_limit=1_000_000, price_grains=1).sign()


async def test_a_simulation_hears_what_contracts_log(scene):
    contract = await publish_echo(scene)
    failing = use(1, Call("contracts", "call", [contract, "fail", b"\x4d\0", 0]))
    simulated = scene.backend.simulate(failing.raw, None)
    assert simulated.receipt.reason == CONTRACT_REASON_FIRST + 77
    assert simulated.trace == ["too bad", "too bad"], "it logs that, and says so when it fails"


async def test_an_estimate_tells_the_contracts_own_code(scene):
    contract = await publish_echo(scene)
    failing = use(1, Call("contracts", "call", [contract, "fail", b"\x4d\0", 0]))
    with pytest.raises(Reverted) as refused:
        scene.backend.estimate(failing.raw)
    assert (refused.value.code, refused.value.message) == (77, "the transaction would fail: too bad")
    assert refused.value.details["gas_used"] > 0
    (receipt,) = await scene.add_block(failing)
    assert scene.backend.get_transaction_status(failing.id).reason == "CONTRACT_CODE"
    assert receipt.reason == CONTRACT_REASON_FIRST + 77


async def test_the_index_finds_what_a_contract_announced(scene):
    contract = await publish_echo(scene)
    await scene.add_block(use(1, Call("contracts", "call", [contract, "announce", announcement(B, 2), 0])))
    task = asyncio.create_task(scene.indexer.run())
    async with asyncio.timeout(5):
        while scene.backend.get_indexed_height() < 2:
            await asyncio.sleep(0)
    task.cancel()
    assert [each[:2] for each in scene.backend.list_contract_events(contract, (0, 0, 0), 9)] == [(1, 0), (2, 0)]
