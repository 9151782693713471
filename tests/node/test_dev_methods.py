"""The methods of a devnet: what the node does itself, and what it passes on."""

from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from genesis.presets import DEVELOPMENT_ACCOUNTS, list_development_accounts
from identity.address import NetworkKind, parse_address
from identity.keys import verify_signature
from identity.signing import SigningPurpose, signing_bytes
from ledger.codec import encode
from ledger.primitives import Height
from ledger.reasons import Reason, Rejected
from ledger.state_keys import EPOCH_KEY, PARAMETERS_KEY
from ledger.transaction import SENDER, UNORDERED_HEIGHTS_MAX, decode_transaction
from node import dev_methods
from node.dev_control import ControlAddress, DevControlError
from node.dev_methods import EPOCH_BLOCKS_MAX, EPOCH_STEP_BLOCKS, DevMethods
from node.intake import Admitted
from rpc.backend import TransactionStatus
from rpc.errors import RpcError
from rpc.models import Head
from tests.builders import CHAIN_ID, DOMAIN, PARAMETERS, address_of, make_key
from tests.rpc.fake_backend import FakeState
from vm.native.stake import Epoch, EpochNumber
from vm.transition import check_stateless

B = address_of(make_key("bob"))
HEAD = Head(height=7, block_hash=bytes(32), time_ms=1)


class FakeBackend:
    chain_id = CHAIN_ID
    refusal: Rejected | None = None

    def __init__(self) -> None:
        self.raws: list[bytes] = []
        self.height = HEAD.height
        self.begin_epoch(number=0, first_height=1)

    def begin_epoch(self, number: int, first_height: int, epoch_heights: int = 100) -> None:
        self.epoch = Epoch(EpochNumber(number), Height(first_height), EpochNumber(0))
        self.parameters = replace(PARAMETERS, epoch_heights=epoch_heights)

    def make_block(self) -> None:
        """An epoch ends with its last block, or the first after it."""
        self.height += 1
        if self.height >= self.epoch.first_height + self.parameters.epoch_heights - 1:
            self.begin_epoch(self.epoch.number + 1, self.height + 1, self.parameters.epoch_heights)

    def get_head(self) -> Head:
        return HEAD.model_copy(update={"height": self.height})

    @contextmanager
    def open_state(self, at):
        values = {EPOCH_KEY: encode(self.epoch), PARAMETERS_KEY: encode(self.parameters)}
        yield FakeState(self.height, HEAD.block_hash, values)

    async def submit_many(self, raws):
        self.raws += raws
        return [self.refusal or Admitted(decode_transaction(raw).id, known=False) for raw in raws]

    async def wait_final(self, transaction_id, timeout_ms):
        return TransactionStatus(transaction_id, "final", Height(8), 0)


class Scene:
    def __init__(self, monkeypatch, tmp_path, has_supervisor: bool = True) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.mined: list[int] = []
        self.answer: Any = None
        self.failure: DevControlError | None = None
        self.backend = FakeBackend()
        supervisor = ControlAddress(tmp_path / "socket", 2) if has_supervisor else None

        async def request(path, index, method, params):
            self.asked.append((path, index, method, dict(params)))
            if self.failure is not None:
                raise self.failure
            return self.answer

        async def mine(blocks: int) -> None:
            self.mined.append(blocks)
            for _ in range(blocks):
                self.backend.make_block()

        monkeypatch.setattr(dev_methods, "request", request)
        self.methods = DevMethods(DOMAIN, supervisor, mine)
        self.methods.attach(self.backend)
        self.path = tmp_path / "socket"


@pytest.fixture
def scene(monkeypatch, tmp_path) -> Scene:
    return Scene(monkeypatch, tmp_path)


async def test_accounts_come_with_their_keys(scene):
    accounts = await scene.methods.accounts()
    assert len(accounts) == DEVELOPMENT_ACCOUNTS
    expected = list_development_accounts()[0]
    assert accounts[0].address == expected.address
    assert accounts[0].secret_key == expected.key.secret
    assert accounts[0].public_key == expected.key.public_key.key


async def test_funding_is_a_valid_transaction_of_the_first_account(scene):
    status = await scene.methods.fund(B, 123)
    (raw,) = scene.backend.raws
    transaction = decode_transaction(raw)
    body = transaction.body
    account = list_development_accounts()[0]
    assert body.sender == parse_address(account.address, NetworkKind.DEVNET)
    assert [(call.module, call.call, call.arguments) for call in body.calls] == [("iov", "transfer", [B, 123])]
    assert body.valid_until == 7 + UNORDERED_HEIGHTS_MAX // 2
    (authorisation,) = transaction.authorisations
    message = signing_bytes(SigningPurpose.TRANSACTION, DOMAIN, transaction.body_bytes)
    assert authorisation.role == SENDER
    assert verify_signature(account.key.public_key, message, authorisation.signature)
    check_stateless(transaction, CHAIN_ID, PARAMETERS)
    assert status == TransactionStatus(transaction.id, "final", 8, 0)


async def test_funding_twice_is_two_transactions(scene):
    await scene.methods.fund(B, 123)
    await scene.methods.fund(B, 123)
    first, second = (decode_transaction(raw).id for raw in scene.backend.raws)
    assert first != second


async def test_a_refused_funding_says_why(scene):
    scene.backend.refusal = Rejected(Reason.MEMPOOL_FULL, "full")
    with pytest.raises(RpcError) as failure:
        await scene.methods.fund(B, 1)
    assert failure.value.reason == "MEMPOOL_FULL"


async def test_mining_answers_with_the_new_head(scene):
    assert (await scene.methods.mine(3)).height == HEAD.height + 3
    assert scene.mined == [3]


@pytest.mark.parametrize(
    ("call", "method", "params"),
    [
        (lambda methods: methods.set_time(99), "setTime", {"timeMs": 99}),
        (lambda methods: methods.crash(1), "crash", {"node": 1}),
        (lambda methods: methods.restart(1), "restart", {"node": 1}),
        (lambda methods: methods.partition(((0, 1), (2, 3))), "partition", {"groups": [[0, 1], [2, 3]]}),
        (lambda methods: methods.heal(), "heal", {}),
        (lambda methods: methods.snapshot(), "snapshot", {}),
        (lambda methods: methods.revert("one"), "revert", {"snapshot": "one"}),
    ],
)
async def test_the_supervisor_is_asked_for_the_rest(scene, monkeypatch, tmp_path, call, method, params):
    await call(scene.methods)
    assert scene.asked == [(scene.path, 2, method, params)]
    scene.failure = DevControlError("node 1 is down")
    with pytest.raises(RpcError) as failure:
        await call(scene.methods)
    assert (failure.value.reason, failure.value.detail) == ("NOT_READY", "node 1 is down")
    alone = Scene(monkeypatch, tmp_path, has_supervisor=False)
    with pytest.raises(RpcError) as failure:
        await call(alone.methods)
    assert failure.value.reason == "METHOD_DISABLED"
    assert alone.asked == []


async def test_answers_are_passed_back(scene):
    scene.answer = "snapshot-1"
    assert await scene.methods.snapshot() == "snapshot-1"
    assert await scene.methods.revert("snapshot-1") == HEAD
    assert await scene.methods.set_time(1) == HEAD


async def test_advancing_makes_blocks_until_another_epoch_has_begun(scene):
    scene.backend.begin_epoch(number=3, first_height=101)
    scene.backend.height = 130
    head = await scene.methods.advance_epoch()
    assert (scene.backend.epoch.number, head.height) == (4, 200)
    assert sum(scene.mined) == 70
    assert max(scene.mined) <= EPOCH_STEP_BLOCKS


async def test_an_epoch_that_has_become_shorter_ends_with_the_next_block(scene):
    scene.backend.begin_epoch(number=3, first_height=1)
    scene.backend.height = 150
    await scene.methods.advance_epoch()
    assert scene.mined == [1]


async def test_an_epoch_too_long_to_wait_for_is_refused_with_what_to_do(scene):
    scene.backend.begin_epoch(number=0, first_height=1, epoch_heights=EPOCH_BLOCKS_MAX + 1)
    scene.backend.height = 0
    with pytest.raises(RpcError) as failure:
        await scene.methods.advance_epoch()
    assert failure.value.reason == "LIMIT_EXCEEDED"
    assert "--epoch-heights" in failure.value.detail
    assert scene.mined == []
