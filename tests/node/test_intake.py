"""The way in: what is admitted, what is refused and why, and what survives a restart."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from identity.did import Did
from identity.signing import compute_signing_domain
from ledger.codec import encode
from ledger.mempool import Mempool, MempoolLimits
from ledger.primitives import Gas, Height, TimeMs
from ledger.reasons import Reason, Rejected
from ledger.state_keys import PARAMETERS_KEY, PAUSES_KEY, Table, did_key, did_of_account_key, quota_usage_key
from ledger.transaction import Call, Transaction, build_transaction
from node import intake as intake_module
from node.intake import Admitted, Intake, PeerBatchOutcome
from node.mempool_journal import MempoolJournal
from node.node import RULE_TABLES
from tests.builders import CHAIN_ID, DOMAIN, PARAMETERS, Draft, address_of, authorise, make_key, transfer
from tests.chains import DirectVerifier, SmallChain
from tests.did_scene import control_of
from vm.native.did_records import DidContent, DidKind, DidOperation, DidRecord, DidVersion, VersionId
from vm.native.free_quota import DAY_MS, QuotaUsage
from vm.native.pauses import Pause, Pauses
from vm.native.role_records import Grant, Role, put_grant
from vm.parameters import get_parameters, put_parameters
from vm.transition import check_admission

ALICE, BOB, CAROL = make_key("alice"), make_key("bob"), make_key("carol")
A, B, C = address_of(ALICE), address_of(BOB), address_of(CAROL)
OTHER_DOMAIN = compute_signing_domain(CHAIN_ID, b"\x01" * 32)


def pay(sequence: int | bytes = 0, **options) -> Transaction:
    return Draft(ALICE, [transfer(B, 5)], sequence=sequence, **options).sign()


class Scene:
    def __init__(self, path: Path, limits: MempoolLimits | None = None) -> None:
        self.small = SmallChain({A: 10**9, C: 10**6})
        self.mempool = Mempool(limits)
        self.journal = MempoolJournal(path / "journal")
        self.verifier = DirectVerifier()
        self.final: set[bytes] = set()
        self.waiting: list[Transaction] = []
        self.gossiped: list[Transaction] = []
        self.wall_ms = 0
        self.intake = Intake(
            self.small.chain,
            self.mempool,
            self.journal,
            self.verifier,
            DOMAIN,
            lambda: self.wall_ms,
            find_final=self.final.__contains__,
            on_waiting=self.waiting.extend,
            on_admitted=self.gossiped.extend,
        )

    async def submit(self, *transactions: Transaction | bytes) -> list:
        raws = [each if isinstance(each, bytes) else each.raw for each in transactions]
        outcomes = await self.intake.submit_many(raws)
        return [each.reason if isinstance(each, Rejected) else each for each in outcomes]


@pytest.fixture
def scene(tmp_path):
    scene = Scene(tmp_path)
    yield scene
    scene.journal.close()


async def test_an_admitted_transaction_waits_is_journaled_and_passed_on(scene):
    first, second = pay(0), pay(1)
    assert await scene.submit(first, second) == [Admitted(first.id, False), Admitted(second.id, False)]
    assert list(scene.mempool) == scene.waiting == scene.gossiped == [first, second]
    assert scene.journal.load() == [first.raw, second.raw]


async def test_sending_it_again_changes_nothing_and_checks_no_signature(scene):
    transaction = pay()
    await scene.submit(transaction)
    checked = scene.verifier.checked
    assert await scene.submit(transaction) == [Admitted(transaction.id, True)]
    assert (scene.verifier.checked, len(scene.gossiped), scene.journal.load()) == (checked, 1, [transaction.raw])


async def test_twice_in_one_batch_counts_once(scene):
    transaction = pay()
    outcomes = await scene.submit(transaction, transaction)
    assert outcomes == [Admitted(transaction.id, False), Admitted(transaction.id, True)]
    assert scene.waiting == scene.gossiped == [transaction]


def badly_signed() -> bytes:
    """Signed for a chain of the same name with another genesis."""
    body_bytes = pay().body_bytes
    return build_transaction(body_bytes, (authorise(ALICE, body_bytes, 0, OTHER_DOMAIN),)).raw


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", Reason.DECODE),
        (b"\xc1", Reason.DECODE),
        (bytes(65_537), Reason.DECODE),
        (pay().raw + b"\x00", Reason.DECODE),
        (pay(chain_id="elsewhere").raw, Reason.WRONG_CHAIN),
        (badly_signed(), Reason.BAD_SIGNATURE),
        (pay(gas_limit=500).raw, Reason.GAS_LIMIT_TOO_LOW),
        (pay(gas_limit=10**9).raw, Reason.GAS_LIMIT_TOO_HIGH),
        (pay(price_grains=0).raw, Reason.FEE_TOO_LOW),
        (pay(valid_until=0).raw, Reason.EXPIRED),
        (pay(bytes(8), valid_until=602).raw, Reason.VALID_UNTIL_TOO_FAR),
        (pay(price_grains=10**6).raw, Reason.INSUFFICIENT_FUNDS),
        (Draft(BOB, [transfer(B, 1)], sender=A).sign().raw, Reason.SENDER_NOT_ALLOWED),
        (pay(513).raw, Reason.SEQUENCE_TOO_HIGH),
    ],
)
async def test_what_breaks_a_rule_is_refused_with_its_reason_and_leaves_no_trace(scene, raw, reason):
    assert await scene.submit(raw) == [reason]
    assert (len(scene.mempool), scene.waiting, scene.gossiped, scene.journal.load()) == (0, [], [], [])


async def test_what_cannot_be_journaled_is_refused_and_leaves_no_trace(scene, monkeypatch):
    known = pay(0)
    await scene.submit(known)
    monkeypatch.setattr(scene.journal, "append", lambda raws: False)
    assert await scene.submit(known, pay(1), badly_signed()) == [
        Admitted(known.id, True),
        Reason.MEMPOOL_FULL,
        Reason.BAD_SIGNATURE,
    ]
    assert (list(scene.mempool), scene.waiting, scene.gossiped) == ([known], [known], [known])
    assert scene.mempool.get_dropped_reason(pay(1).id) is Reason.MEMPOOL_FULL
    monkeypatch.undo()
    assert await scene.submit(pay(1)) == [Admitted(pay(1).id, False)], "it may come again"


async def test_one_bad_one_spoils_none_of_its_batch_and_the_order_is_kept(scene):
    first, second = pay(0), pay(1)
    outcomes = await scene.submit(b"rubbish", first, badly_signed(), second, pay(0))
    assert outcomes == [
        Reason.DECODE,
        Admitted(first.id, False),
        Reason.BAD_SIGNATURE,
        Admitted(second.id, False),
        Admitted(first.id, True),
    ]


async def test_every_signature_counts_not_only_the_senders(scene):
    good = Draft(CAROL, [transfer(B, 1)], fee_payer_key=ALICE).sign()
    body_bytes = good.body_bytes
    forged = build_transaction(
        body_bytes, (authorise(CAROL, body_bytes, 0), authorise(ALICE, body_bytes, 1, OTHER_DOMAIN))
    )
    assert await scene.submit(forged) == [Reason.BAD_SIGNATURE]
    assert await scene.submit(good) == [Admitted(good.id, False)]


async def test_a_final_transaction_sent_again_is_known_not_refused(scene):
    transaction = pay()
    scene.small.add_block([transaction])
    assert await scene.submit(transaction) == [Reason.SEQUENCE_TOO_LOW]
    scene.final.add(transaction.id)
    assert await scene.submit(transaction) == [Admitted(transaction.id, True)]
    unordered = pay(bytes(8))
    scene.small.add_block([unordered])
    assert await scene.submit(unordered) == [Reason.DUPLICATE]
    scene.final.add(unordered.id)
    assert await scene.submit(unordered) == [Admitted(unordered.id, True)]
    assert len(scene.mempool) == 0


async def test_admission_follows_the_head(scene):
    scene.small.add_block([pay(0), pay(1)])
    assert await scene.submit(pay(1, memo="other")) == [Reason.SEQUENCE_TOO_LOW]
    third = pay(2)
    assert await scene.submit(third) == [Admitted(third.id, False)]
    assert (scene.intake.get_sequence(A), scene.intake.get_sequence(B)) == (2, 0)
    assert scene.intake.get_spendable_grains(B) == 10


async def test_a_block_that_comes_during_the_signature_check_is_taken_into_account(scene):
    transaction = pay()

    async def slow(checks):
        scene.small.add_block([transaction])
        return [True] * len(checks)

    scene.verifier.verify_many = slow
    assert await scene.submit(transaction) == [Reason.SEQUENCE_TOO_LOW]


async def test_too_many_at_once_are_turned_away_until_there_is_room(scene, monkeypatch):
    monkeypatch.setattr(intake_module, "UNDER_WAY_MAX", 2)
    gate = asyncio.Event()

    async def wait(checks):
        await gate.wait()
        return [True] * len(checks)

    scene.verifier.verify_many = wait
    first = asyncio.create_task(scene.submit(pay(0), pay(1)))
    await asyncio.sleep(0)
    assert await scene.submit(pay(2)) == [Reason.MEMPOOL_FULL]
    assert await scene.intake.submit_from_peer([pay(2).raw]) == PeerBatchOutcome([], 0), "not the peer's fault"
    gate.set()
    assert len(await first) == 2
    assert await scene.submit(pay(2)) == [Admitted(pay(2).id, False)]


async def test_a_failing_verifier_gives_its_places_back(scene, monkeypatch):
    monkeypatch.setattr(intake_module, "UNDER_WAY_MAX", 1)
    works = scene.verifier.verify_many

    async def fail(_checks):
        raise ConnectionError("no worker")

    scene.verifier.verify_many = fail
    with pytest.raises(ConnectionError):
        await scene.submit(pay())
    scene.verifier.verify_many = works
    assert await scene.submit(pay()) == [Admitted(pay().id, False)]


async def test_a_full_pool_says_so(tmp_path):
    scene = Scene(tmp_path, MempoolLimits(transactions_max=1))
    assert await scene.submit(pay(0), Draft(CAROL, [transfer(B, 1)]).sign()) == [
        Admitted(pay(0).id, False),
        Reason.MEMPOOL_FULL,
    ]
    scene.journal.close()


async def test_a_peers_gossip_is_admitted_but_not_announced_as_ours(scene):
    good = pay()
    outcome = await scene.intake.submit_from_peer([good.raw])
    assert outcome == PeerBatchOutcome([good], 0)
    assert (scene.waiting, scene.gossiped, scene.journal.load()) == ([good], [], [good.raw])


async def test_only_what_no_honest_node_passes_on_is_held_against_a_peer(scene):
    late, unpaid, early = pay(valid_until=0), pay(price_grains=0), pay(600)
    never = [b"rubbish", badly_signed(), pay(chain_id="elsewhere").raw]
    outcome = await scene.intake.submit_from_peer([late.raw, unpaid.raw, early.raw, *never])
    assert outcome == PeerBatchOutcome([], 3)


async def test_the_journal_is_restored_without_what_has_become_stale(scene, tmp_path):
    transactions = [pay(sequence) for sequence in range(3)]
    scene.small.add_block([transactions[0]])
    await scene.intake.restore_many([each.raw for each in transactions] + [b"rubbish", badly_signed()])
    assert list(scene.mempool) == transactions[1:]
    assert (scene.waiting, scene.gossiped, scene.journal.load()) == ([], [], [])


def commit(scene: Scene, changes: dict[bytes, bytes | None]) -> None:
    scene.small.chain.commit(scene.small.build_block(), [], (), changes)


async def test_what_a_higher_price_floor_makes_refusable_is_dropped_and_the_rest_stays(scene):
    cheap, dear = pay(0), Draft(CAROL, [transfer(B, 1)], price_grains=3).sign()
    await scene.submit(cheap, dear)
    scene.intake.drop_refused()
    assert list(scene.mempool) == [cheap, dear], "the rules are the same"
    commit(scene, {PARAMETERS_KEY: encode(replace(PARAMETERS, price_floor_grains=2))})
    scene.intake.drop_refused()
    assert list(scene.mempool) == [dear]
    dropped = [scene.mempool.get_dropped_reason(each.id) for each in (cheap, dear)]
    assert dropped == [Reason.FEE_TOO_LOW, None]


async def test_calls_of_a_module_that_is_paused_are_dropped_and_the_rest_stays(scene):
    transfers, donates = pay(0), Draft(CAROL, [Call("governance", "donate", [1])]).sign()
    await scene.submit(transfers, donates)
    commit(scene, {PAUSES_KEY: encode(Pauses((Pause("iov", Height(50)),)))})
    scene.intake.drop_refused()
    assert list(scene.mempool) == [donates]
    dropped = [scene.mempool.get_dropped_reason(each.id) for each in (transfers, donates)]
    assert dropped == [Reason.MODULE_PAUSED, None]


def test_admission_reads_no_other_rules_than_those_whose_change_drops_what_waits(scene):
    """A rule that reads another table must be looked at again when that table changes."""
    state, tables = scene.small.chain.open_state(), set()

    class NotingState:
        def get(self, key):
            tables.add(Table(key[0]))
            return state.get(key)

    for transaction in (pay(0), pay(bytes(8)), Draft(CAROL, [transfer(B, 1)], fee_payer_key=ALICE).sign()):
        check_admission(NotingState(), transaction, Height(1), 0, get_parameters(NotingState()))
    of_the_transaction = {Table.ACCOUNT, Table.UNORDERED}
    assert tables - of_the_transaction == RULE_TABLES


QUOTA = replace(PARAMETERS, free_quota_gas_daily=20_000, free_quota_block_gas_max=40_000)
DAY = 20_000


def make_person(scene: Scene) -> Did:
    """Let ALICE's account act for a person, on a chain with a free quota."""
    state = scene.small.chain.open_state()
    did = Did(b"\1" * 20)
    content = DidContent(DidKind.PERSON, None, control_of("person"), ())
    version = DidVersion(1, VersionId(bytes(32)), DidOperation.CREATE, Height(0), TimeMs(0), content)
    state.put(did_key(did), encode(DidRecord(version, TimeMs(0), A, 1)))
    state.put(did_of_account_key(A), did)
    put_parameters(state, QUOTA)
    put_grant(state, did, Role.PERSON, Grant(Height(1_000), None), 0)
    commit(scene, state.changes)
    return did


async def test_a_person_sends_without_a_fee_and_few_wait(scene):
    make_person(scene)
    frees = [pay(sequence, price_grains=0) for sequence in range(5)]
    admitted = [Admitted(each.id, False) for each in frees[:4]]
    assert await scene.submit(*frees) == [*admitted, Reason.ACCOUNT_LIMIT]
    assert scene.mempool.select(10**9, 10**9, 10**6, free_gas_max=40_000) == frees[:2], "a block's free gas"
    stranger = Draft(CAROL, [transfer(B, 1)], price_grains=0).sign()
    assert await scene.submit(stranger) == [Reason.FEE_TOO_LOW]


async def test_a_free_quota_begins_with_the_day_even_on_a_chain_that_idles(scene):
    did = make_person(scene)
    scene.wall_ms = (DAY + 1) * DAY_MS - 1
    commit(scene, {quota_usage_key(did): encode(QuotaUsage(DAY, Gas(1)))})
    assert await scene.submit(pay(0, price_grains=0)) == [Reason.QUOTA_EXHAUSTED]
    scene.wall_ms += 1
    free = pay(0, price_grains=0)
    assert await scene.submit(free) == [Admitted(free.id, False)]


async def test_free_transactions_are_dropped_when_governance_ends_the_quota(scene):
    make_person(scene)
    free, paying = pay(0, price_grains=0), Draft(CAROL, [transfer(B, 1)]).sign()
    await scene.submit(free, paying)
    commit(scene, {PARAMETERS_KEY: encode(PARAMETERS)})
    scene.intake.drop_refused()
    assert list(scene.mempool) == [paying]
    assert scene.mempool.get_dropped_reason(free.id) is Reason.FEE_TOO_LOW
