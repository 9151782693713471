"""A client that believes nothing: what is true it shows as a trusting one would, and every changed bit it finds."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import orjson
import pytest
from pydantic import BaseModel

from consensus.light import Checkpoint
from identity.address import NetworkKind, format_address
from identity.policy import build_policy
from ledger.codec import decode, to_plain
from ledger.primitives import BlockHash
from ledger.receipt import Event, Receipt
from ledger.state import State
from ledger.state_keys import PARAMETERS_KEY, account_key
from ledger.transaction import Call as TransactionCall
from rpc import calls
from rpc.calls import Call
from rpc.client import AsyncClient, Client, UnprovenAnswerError, _read_outcome
from rpc.dispatcher import Dispatcher
from rpc.errors import RpcError
from rpc.methods import METHODS
from rpc.models import CommitteeChanges, SendResult
from rpc.proof_failure import ProofFailedError, ProofStep
from rpc.proofs import GenesisTrust, Trust, check_account, start_trail
from rpc.reads import ReadPool
from rpc.server import RpcServer
from rpc.session import Session
from rpc.settings import RpcSettings
from rpc.verified_reads import Plan, VerifiedReads, fetch_account_claim
from tests.builders import CHAIN_ID, address_of, make_key, transfer
from tests.chains import COMMITTEE
from tests.proven_chain import FUNDED_GRAINS, ProvenChain, ProvenNode, make_committee
from vm.native.lockup_records import build_cliff
from vm.native.lockups import add_lockup

T = TypeVar("T")

ALICE, BOB = address_of(make_key("alice")), address_of(make_key("bob"))
ALICE_TEXT, BOB_TEXT = (format_address(address, NetworkKind.DEVNET) for address in (ALICE, BOB))
NOBODY_TEXT = format_address(address_of(make_key("nobody")), NetworkKind.DEVNET)
SCHEDULE = {4: make_committee(4), 7: make_committee(3, 4, 5, 6)}
"""Who finalises from which height on: blocks 3 and 6 announce it."""
POLICY = build_policy([(make_key("alice").public_key, 1)], 1)
SET_POLICY = TransactionCall("accounts", "set_policy", [to_plain(POLICY)])


@dataclass
class Scene:
    """A chain of eleven blocks: transfers in 5, one that fails in 6, alice's policy in 8, and the head is sealed."""

    node: ProvenNode
    paid: bytes
    failed: bytes


@pytest.fixture
def scene() -> Iterator[Scene]:
    small = ProvenChain({ALICE: FUNDED_GRAINS, BOB: FUNDED_GRAINS}, SCHEDULE)
    node = ProvenNode(small)
    pay = small.draft("alice", [transfer(BOB, 5)])
    fail = small.draft("bob", [transfer(ALICE, 2 * FUNDED_GRAINS)], 1)
    rule = small.draft("alice", [SET_POLICY], 1, gas_limit=100_000)
    blocks = {5: [small.draft("bob", [transfer(ALICE, 1)]), pay], 6: [fail], 8: [rule]}
    for height in range(1, 11):
        node.add_block(*blocks.get(height, []))
    yield Scene(node, pay.id, fail.id)
    node.close()


class Answers:
    """Answers calls without a socket, as a client reads them; remembers them, and may change what it says."""

    def __init__(self, scene: Scene) -> None:
        self.session = Session(scene.node.backend, ReadPool(workers=1, queued_max=8), RpcSettings())
        self._dispatcher = Dispatcher(METHODS)
        self.given: dict[str, BaseModel] = {}

    async def __call__(self, call: Call[T]) -> T:
        request = {"jsonrpc": "2.0", "id": 1, "method": call.method, "params": call.params}
        reply = orjson.loads(await self._dispatcher.answer(orjson.dumps(request), self.session) or b"")
        outcome = _read_outcome("here", call, reply)
        if isinstance(outcome, RpcError):
            raise outcome
        assert isinstance(outcome, BaseModel)
        self.given[_name(call)] = outcome
        return outcome


def _name(call: Call[Any]) -> str:
    return f"{call.method} {orjson.dumps(call.params).decode()}"


@pytest.fixture
async def answers(scene: Scene) -> AsyncIterator[Answers]:
    answers = Answers(scene)
    yield answers
    answers.session.reads.close()


async def drive(plan: Plan[T], answer: Callable[[Call[Any]], Any]) -> T:
    try:
        wanted = next(plan)
        while True:
            wanted = plan.send(await answer(wanted))
    except StopIteration as end:
        return end.value


async def read(trust: Trust, call: Call[T], answers: Answers) -> T:
    return await drive(find_plan(VerifiedReads(trust), call), answers)


def list_provable(scene: Scene) -> list[Call[Any]]:
    return [
        calls.account_get(ALICE_TEXT),
        calls.account_get(BOB_TEXT),
        calls.account_get(BOB_TEXT, at=5),
        calls.account_get(NOBODY_TEXT),
        calls.iov_balance(BOB_TEXT, at=4),
        calls.iov_balance(BOB_TEXT, at=0),
        calls.chain_head(),
        calls.chain_get_commit(0),
        calls.chain_get_commit(3),
        calls.chain_get_commit(9),
        calls.chain_get_proof(PARAMETERS_KEY),
        calls.chain_get_proof(account_key(ALICE), at=5),
        calls.chain_get_receipt_proof(scene.paid),
    ]


async def test_what_is_proven_is_what_a_trusting_client_reads(scene: Scene, answers: Answers) -> None:
    for call in list_provable(scene):
        proven = await read(scene.node.small.trust, call, answers)
        pinned = call
        if "at" not in call.params and call.method in ("account_get", "iov_balance", "chain_getProof"):
            pinned = replace(call, params=call.params | {"at": {"height": proven.height}})
        assert proven == await answers(pinned)


@pytest.mark.parametrize("height", [0, 1, 3, 4, 6, 9])
async def test_a_checkpoint_leads_on_as_genesis_does(scene: Scene, answers: Answers, height: int) -> None:
    trust = scene.node.small.get_checkpoint(height)
    assert (await read(trust, calls.iov_balance(BOB_TEXT), answers)).balance == (
        await answers(calls.iov_balance(BOB_TEXT))
    ).balance
    assert (await read(trust, calls.chain_get_commit(height), answers)).height == height


async def test_before_the_checkpoint_nothing_is_proven(scene: Scene, answers: Answers) -> None:
    trust = scene.node.small.get_checkpoint(6)
    with pytest.raises(ProofFailedError, match="block 5 is not after 6, which is trusted"):
        await read(trust, calls.chain_get_commit(5), answers)


async def test_a_transaction_is_settled_by_its_receipt(scene: Scene, answers: Answers) -> None:
    trust = scene.node.small.trust
    paid = await read(trust, calls.chain_get_transaction(scene.paid), answers)
    said = await answers(calls.chain_get_transaction(scene.paid))
    assert paid == said.model_copy(update={"index": None}), "the place in the block is not proven"
    assert (paid.status, paid.height) == ("final", 5)
    status = await read(trust, calls.tx_status(scene.failed), answers)
    assert (status.status, status.height, status.reason) == ("failed", 6, "INSUFFICIENT_BALANCE")


async def test_a_receipt_is_proven_beside_the_events_of_the_blocks_end(scene: Scene, answers: Answers) -> None:
    node, trust = scene.node, scene.node.small.trust
    sent = [node.small.draft("bob", [transfer(ALICE, amount)], 1 + amount) for amount in (1, 2, 3)]
    node.add_block(*sent, events=[Event("staking", "EpochStarted", [1])])
    node.add_block()
    for each in sent:
        proven = await read(trust, calls.chain_get_receipt_proof(each.id), answers)
        assert (proven.height, decode(Receipt, proven.receipt).transaction_id) == (11, each.id)
    assert len(node.small.chain.get_receipts_leaves(11) or []) == 4


async def test_sending_ends_with_a_proof(scene: Scene, answers: Answers) -> None:
    sent = scene.node.small.draft("alice", [transfer(BOB, 5)])
    assert sent.id == scene.paid

    async def say_final(call: Call[Any]) -> Any:
        said = SendResult(id=sent.id, known=True, status="failed", height=1, fee=0)
        return said if call.method == "tx_send" else await answers(call)

    plan = find_plan(VerifiedReads(scene.node.small.trust), calls.tx_send(sent.raw, wait="final"))
    result = await drive(plan, say_final)
    assert (result.status, result.height, result.reason) == ("final", 5, None), "not as the node said"
    assert result.fee != 0


@pytest.mark.parametrize(
    "trust",
    [
        GenesisTrust(CHAIN_ID, BlockHash(b"\x01" * 32), COMMITTEE),
        GenesisTrust("other-chain", BlockHash(bytes(32)), COMMITTEE),
        Checkpoint(4, BlockHash(b"\x01" * 32)),
    ],
)
async def test_another_chain_is_refused(answers: Answers, trust: Trust) -> None:
    with pytest.raises(ProofFailedError):
        await read(trust, calls.iov_balance(BOB_TEXT), answers)


async def test_a_foreign_committee_is_refused(scene: Scene, answers: Answers) -> None:
    trust = replace(scene.node.small.trust, committee=make_committee(3, 4, 5, 6))
    with pytest.raises(ProofFailedError) as failure:
        await read(trust, calls.chain_get_commit(1), answers)
    assert failure.value.step is ProofStep.COMMITTEES


async def test_a_change_of_committee_that_is_kept_silent_about_is_missed(scene: Scene, answers: Answers) -> None:
    async def keep_silent(call: Call[Any]) -> Any:
        result = await answers(call)
        if call.method == "chain_getCommitteeChanges":
            return result.model_copy(update={"changes": [each for each in result.changes if each.height != 3]})
        return result

    plan = find_plan(VerifiedReads(scene.node.small.trust), calls.chain_get_commit(9))
    with pytest.raises(ProofFailedError) as failure:
        await drive(plan, keep_silent)
    assert failure.value.step is ProofStep.COMMITTEES


async def test_a_proof_of_another_height_or_transaction_is_no_answer(scene: Scene, answers: Answers) -> None:
    async def say_other(call: Call[Any]) -> Any:
        if call.method == "chain_getProof":
            return await answers(calls.chain_get_proof(account_key(BOB), at=4))
        if call.method == "chain_getReceiptProof":
            return await answers(calls.chain_get_receipt_proof(scene.failed))
        if call.method == "chain_getCommit":
            return await answers(calls.chain_get_commit(2))
        return await answers(call)

    wanted = (
        calls.iov_balance(BOB_TEXT, at=5),
        calls.account_get(ALICE_TEXT, at=4),
        calls.chain_get_receipt_proof(scene.paid),
        calls.chain_get_commit(3),
    )
    for call in wanted:
        plan = find_plan(VerifiedReads(scene.node.small.trust), call)
        with pytest.raises(ProofFailedError):
            await drive(plan, say_other)


def list_parts(result: BaseModel, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], bytes]]:
    """Every byte string of an answer, with the way to it."""
    for name, value in result:
        if isinstance(value, bytes):
            yield (*path, name), value
        elif isinstance(value, list):
            for index, item in enumerate(value):
                if isinstance(item, BaseModel):
                    yield from list_parts(item, (*path, name, index))


def change_part(result: BaseModel, path: tuple[Any, ...], part: bytes) -> BaseModel:
    if len(path) == 1:
        return result.model_copy(update={path[0]: part})
    items = list(getattr(result, path[0]))
    items[path[1]] = change_part(items[path[1]], path[2:], part)
    return result.model_copy(update={path[0]: items})


CARRIED = {"chain_getCommit": {"header_bytes", "certificate_bytes"}, "chain_getCommittee": {"committee_bytes"}}
"""Of these answers only the bytes count; what stands beside them for people is not read."""


@pytest.mark.parametrize("index", range(6))
async def test_every_flipped_bit_of_every_part_is_found(scene: Scene, answers: Answers, index: int) -> None:
    """Every bit of every part in turn, in every answer that a read is made of.

    The first three reads have followed the committees before; their changes are flipped with the fourth.
    """
    small = scene.node.small
    trust: Trust
    trust, call, flipped_in = (
        (small.trust, calls.account_get(ALICE_TEXT), ""),
        (small.trust, calls.chain_get_proof(account_key(address_of(make_key("nobody")))), ""),
        (small.trust, calls.chain_get_receipt_proof(scene.paid), ""),
        (small.trust, calls.chain_get_commit(8), "Changes"),
        (small.get_checkpoint(3), calls.chain_get_commit(3), "{"),
        (small.get_checkpoint(9), calls.chain_get_commit(10), "9"),
    )[index]
    verified = VerifiedReads(trust)
    is_followed = flipped_in == ""
    if is_followed:
        await drive(find_plan(verified, calls.chain_head()), answers)
        await drive(find_plan(verified, calls.iov_balance(BOB_TEXT)), answers)
        answers.given.clear()
    proven = await drive(find_plan(verified, call), answers)
    given = dict(answers.given)
    flips = 0
    for name, result in given.items():
        if flipped_in not in name:
            continue
        method = name.split()[0]
        for path, part in list_parts(result):
            if method in CARRIED and path[-1] not in CARRIED[method]:
                continue
            if call.method == "account_get" and path == ("certificate_bytes",):
                continue  # the header before needs none: the certified header names it
            if "changes" in path and result.changes[path[1]].height > proven.height:
                continue  # a page may reach further than the question
            for bit in range(8 * len(part)):
                flipped = bytearray(part)
                flipped[bit // 8] ^= 1 << bit % 8
                changed = given | {name: change_part(result, path, bytes(flipped))}
                plan = find_plan(verified if is_followed else VerifiedReads(trust), call)
                try:
                    drive_given(plan, changed)
                except ProofFailedError:
                    flips += 1
                else:
                    pytest.fail(f"bit {bit} of {path} in {name} may be flipped")
    assert flips > 1_000


def find_plan(verified: VerifiedReads, call: Call[T]) -> Plan[T]:
    plan = verified.find_plan(call)
    assert plan is not None, f"{call.method} is not verified"
    return plan


def drive_given(plan: Plan[T], given: dict[str, BaseModel]) -> T:
    """From answers given before; a change of committee that nobody knows is not there."""
    try:
        wanted = next(plan)
        while True:
            name = _name(wanted)
            is_unknown = wanted.method == "chain_getCommitteeChanges" and name not in given
            wanted = plan.send(CommitteeChanges(changes=[]) if is_unknown else given[name])
    except StopIteration as end:
        return end.value


class LyingBackend:
    """Changes a bit of every value it proves, in the value and in the proof."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    async def prove(self, key: bytes, at: int | None) -> Any:
        proven = await self._backend.prove(key, at)
        assert key == account_key(BOB)
        value = proven.value[:1] + bytes([proven.value[1] ^ 1]) + proven.value[2:]
        return replace(proven, value=value, proof=proven.proof.replace(proven.value, value))


@asynccontextmanager
async def serve(backend: Any) -> AsyncIterator[str]:
    server = RpcServer(backend, RpcSettings(port=0))
    await server.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        await server.stop()


@pytest.fixture
def locked_scene() -> Iterator[Scene]:
    """The same, short: half of what Bob holds, and all that Alice has beside a policy, is locked."""

    def lock(state: State) -> None:
        for address, grains in ((BOB, FUNDED_GRAINS // 2), (ALICE, FUNDED_GRAINS - 10**6)):
            add_lockup(state, 1, 0, address, grains, build_cliff(10**12), ALICE, is_revocable=False)

    small = ProvenChain({ALICE: FUNDED_GRAINS, BOB: FUNDED_GRAINS}, prepare=lock)
    node = ProvenNode(small)
    node.add_block(small.draft("alice", [SET_POLICY], gas_limit=100_000))
    for _ in range(2):
        node.add_block()
    yield Scene(node, b"", b"")
    node.close()


async def test_what_is_locked_is_proven_with_and_without_a_key_policy(locked_scene: Scene) -> None:
    answers = Answers(locked_scene)
    trust = locked_scene.node.small.trust
    for text, has_policy in ((ALICE_TEXT, True), (BOB_TEXT, False)):
        proven = await read(trust, calls.account_get(text), answers)
        told = await answers(calls.account_get(text, at=proven.height))
        assert proven == told
        assert (proven.policy is not None) == has_policy
        assert proven.locked == (FUNDED_GRAINS - 10**6 if has_policy else FUNDED_GRAINS // 2)
    answers.session.reads.close()


async def test_lockups_that_are_not_shown_are_missed(locked_scene: Scene) -> None:
    answers = Answers(locked_scene)
    claim = await drive(fetch_account_claim(BOB, None), answers)
    trail = start_trail(locked_scene.node.small.trust, None)
    assert check_account(trail, BOB, claim).locked_grains == FUNDED_GRAINS // 2
    with pytest.raises(ProofFailedError) as failure:
        check_account(trail, BOB, replace(claim, values=claim.values[:1]))
    assert failure.value.step is ProofStep.BUNDLE
    answers.session.reads.close()


async def test_both_clients_verify_what_they_read(scene: Scene) -> None:
    trust = scene.node.small.trust

    def read_blocking(url: str) -> list[Any]:
        with Client(url, verify=True, trust=trust) as client:
            return [client.run(calls.account_get(ALICE_TEXT)), *client.run_batch([calls.chain_head()])]

    async with serve(scene.node.backend) as url:
        async with AsyncClient(url, verify=True, trust=trust) as client:
            account, head = await client.run(calls.account_get(ALICE_TEXT)), await client.run(calls.chain_head())
            assert (await client.run(calls.chain_id())).chain_id == CHAIN_ID, "what nothing proves is passed on"
            assert [head] == await client.run_batch([calls.chain_head()])
        assert await asyncio.to_thread(read_blocking, url) == [account, head]
    assert account.policy is not None
    assert account.sequence == 2


async def test_a_lying_node_is_told_by_both_clients(scene: Scene) -> None:
    trust = scene.node.small.trust

    def read_blocking(url: str) -> None:
        with Client(url, verify=True, trust=trust) as client:
            client.run(calls.iov_balance(BOB_TEXT))

    async with serve(LyingBackend(scene.node.backend)) as url:
        async with AsyncClient(url, verify=True, trust=trust) as client:
            with pytest.raises(UnprovenAnswerError) as failure:
                await client.run(calls.iov_balance(BOB_TEXT))
        assert failure.value.step is ProofStep.STATE
        assert str(failure.value) == (
            f"{url} answers what does not prove true (state: the proof does not lead to this root): ask another node"
        )
        with pytest.raises(UnprovenAnswerError):
            await asyncio.to_thread(read_blocking, url)


def test_verifying_needs_something_to_trust() -> None:
    with pytest.raises(ValueError, match="needs to know what it may trust"):
        Client(verify=True)
