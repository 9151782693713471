"""What each method answers."""

from typing import Any

import orjson
import pytest

from consensus.light import CommitteeChange
from ledger.codec import encode
from ledger.primitives import SUPPLY_GRAINS
from ledger.receipt import Event
from rpc.dispatcher import Dispatcher
from rpc.errors import ERROR_KINDS, RpcError, not_found
from rpc.methods import METHODS
from rpc.session import Session
from tests.rpc.fake_backend import (
    BALANCE_GRAINS,
    GENESIS_HASH,
    KEY,
    RECIPIENT,
    RECIPIENT_TEXT,
    SENDER_ADDRESS,
    SENDER_TEXT,
    TIME_MS,
    FakeBackend,
    FakeDev,
    build_transfer,
)


class Caller:
    """Calls methods and tells results from errors."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._dispatcher = Dispatcher(METHODS)

    async def __call__(self, method: str, /, **params: Any) -> Any:
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        reply = orjson.loads(await self._dispatcher.answer(orjson.dumps(request), self.session) or b"")
        if "error" in reply:
            error = reply["error"]
            raise Failed(error["code"], error["data"])
        return reply["result"]


class Failed(Exception):
    """A call was answered with an error."""

    def __init__(self, code: int, data: dict[str, Any]) -> None:
        super().__init__(f"{code} {data}")
        self.code = code
        self.data = data
        self.reason = data["reason"]


@pytest.fixture
def ask(session: Session) -> Caller:
    return Caller(session)


async def _fail(ask: Caller, method: str, **params: Any) -> tuple[int, str]:
    with pytest.raises(Failed) as caught:
        await ask(method, **params)
    return caught.value.code, caught.value.reason


def _hex(value: bytes) -> str:
    return "0x" + value.hex()


async def test_chain_id(ask: Caller) -> None:
    assert await ask("chain_id") == {
        "chainId": "carlive-test",
        "genesisHash": _hex(GENESIS_HASH),
        "network": "devnet",
    }


async def test_node_methods(ask: Caller) -> None:
    assert (await ask("node_info"))["superNode"] is True
    status = await ask("node_status")
    assert (status["height"], status["earliestHeight"], status["syncing"], status["peers"]) == (0, 0, False, 1)
    assert [each["name"] for each in (await ask("node_peers"))["peers"]] == ["node-1"]


async def test_block_by_height_and_hash(ask: Caller, backend: FakeBackend) -> None:
    transfers = [build_transfer(each) for each in range(3)]
    backend.make_block(transfers)
    by_height = await ask("chain_getBlock", height=1)
    assert by_height["transactionIds"] == [_hex(each.id) for each in transfers]
    assert by_height["transactions"] is None
    assert by_height["header"]["height"] == 1
    assert await ask("chain_getBlock", hash=by_height["blockHash"]) == by_height
    full = await ask("chain_getBlock", height=1, full=True)
    assert full["transactions"][2]["sequence"] == 2
    assert full["transactions"][2]["calls"][0]["arguments"] == {"recipient": RECIPIENT_TEXT, "amountGrains": "5"}
    assert full["transactions"][2]["authorisations"][0]["key"] == _hex(KEY.public_key.key)


async def test_blocks_that_are_not_there(ask: Caller, backend: FakeBackend) -> None:
    for _ in range(4):
        backend.make_block()
    assert await _fail(ask, "chain_getBlock", hash=_hex(b"\x00" * 32)) == (-32001, "NOT_FOUND")
    backend.earliest_height = 2
    assert await _fail(ask, "chain_getBlock", hash=_hex(b"\x00" * 32)) == (-32001, "PRUNED")
    assert await _fail(ask, "chain_getBlock", height=1) == (-32001, "PRUNED")
    assert await _fail(ask, "chain_getBlock", height=5) == (-32002, "NODE_BEHIND")
    assert await _fail(ask, "chain_getBlock") == (-32602, "INVALID_PARAMS")
    assert await _fail(ask, "chain_getBlock", height=1, hash=_hex(b"\x00" * 32)) == (-32602, "INVALID_PARAMS")
    with pytest.raises(Failed) as caught:
        await ask("chain_getResults", height=0)
    assert caught.value.data["earliestHeight"] == 2


async def test_blocks_come_in_pages(ask: Caller, backend: FakeBackend) -> None:
    for _ in range(450):
        backend.make_block()
    heights, start = [], 3
    while start is not None:
        page = await ask("chain_getBlocks", **{"from": start, "to": 10_000})
        assert len(page["blocks"]) <= 200
        heights += [each["height"] for each in page["blocks"]]
        start = page["nextHeight"]
    assert heights == list(range(3, 451))
    assert (await ask("chain_getBlocks", **{"from": 5, "to": 6}))["nextHeight"] is None
    assert (await ask("chain_getBlocks", **{"from": 451}))["blocks"] == []
    assert await _fail(ask, "chain_getBlocks", **{"from": 6, "to": 5}) == (-32602, "INVALID_PARAMS")


async def test_results_name_reasons_and_event_fields(ask: Caller, backend: FakeBackend) -> None:
    backend.make_block([build_transfer(0, amount=5), build_transfer(1, amount=0)])
    succeeded, failed = (await ask("chain_getResults", height=1))["receipts"]
    assert succeeded == {
        "transactionId": _hex(build_transfer(0, amount=5).id),
        "status": "succeeded",
        "reason": None,
        "code": None,
        "gasUsed": 700,
        "fee": "700",
        "events": [
            {
                "module": "iov",
                "name": "Transferred",
                "fields": {"sender": SENDER_TEXT, "recipient": RECIPIENT_TEXT, "amountGrains": "5"},
            }
        ],
    }
    assert (failed["status"], failed["reason"]) == ("failed", "AMOUNT_ZERO")


async def test_results_show_what_happened_at_the_blocks_end(ask: Caller, backend: FakeBackend) -> None:
    backend.make_block(events=[Event("iov", "Transferred", [SENDER_ADDRESS, RECIPIENT, 3])])
    assert (await ask("chain_getResults", height=1))["events"] == [
        {
            "module": "iov",
            "name": "Transferred",
            "fields": {"sender": SENDER_TEXT, "recipient": RECIPIENT_TEXT, "amountGrains": "3"},
        }
    ]
    assert (await ask("chain_getResults", height=0))["events"] == []


async def test_commit_and_committee(ask: Caller, backend: FakeBackend) -> None:
    backend.make_block()
    commit = await ask("chain_getCommit", height=1)
    header = backend.blocks[1].block.header
    assert commit["headerBytes"] == _hex(header.encoded)
    assert commit["certificate"]["blockHash"] == commit["blockHash"] == _hex(header.hash)
    committee = await ask("chain_getCommittee")
    assert committee["height"] == 1
    assert committee["committeeHash"] == commit["header"]["committeeHash"]
    assert committee["members"][0]["operator"] == SENDER_TEXT
    assert (await ask("chain_getCommittee", at={"height": 2}))["height"] == 2
    assert await _fail(ask, "chain_getCommittee", at={"height": 3}) == (-32002, "NODE_BEHIND")


async def test_parameters_and_genesis(ask: Caller) -> None:
    params = await ask("chain_params")
    assert params["params"]["block_interval_ms"] == 500
    assert params["params"]["price_floor_grains"] == "1"
    assert (await ask("chain_genesis"))["document"] == {"chain_id": "carlive-test"}


async def test_transaction_from_pending_to_final(ask: Caller, backend: FakeBackend) -> None:
    transfer = build_transfer(0)
    identifier = _hex(transfer.id)
    assert await _fail(ask, "chain_getTransaction", id=identifier) == (-32001, "NOT_FOUND")
    assert (await ask("tx_status", id=identifier))["status"] == "unknown"
    await ask("tx_send", raw=_hex(transfer.raw))
    pending = await ask("chain_getTransaction", id=identifier)
    assert (pending["status"], pending["height"], pending["receipt"]) == ("pending", None, None)
    assert (await ask("tx_status", id=identifier))["detail"] == "waits for the next block"
    backend.make_block([transfer])
    final = await ask("chain_getTransaction", id=identifier)
    assert (final["status"], final["height"], final["index"]) == ("final", 1, 0)
    assert final["raw"] == _hex(transfer.raw)
    assert final["receipt"]["status"] == "succeeded"
    assert (await ask("tx_status", id=identifier))["receipt"] == final["receipt"]
    dropped = await ask("tx_status", id=_hex(b"\x0d" * 32))
    assert (dropped["status"], dropped["reason"]) == ("dropped", "EVICTED")


async def test_failed_transaction_says_why(ask: Caller, backend: FakeBackend) -> None:
    transfer = build_transfer(0, amount=0)
    backend.make_block([transfer])
    status = await ask("tx_status", id=_hex(transfer.id))
    assert (status["status"], status["reason"]) == ("failed", "AMOUNT_ZERO")
    sent = await ask("tx_send", raw=_hex(transfer.raw), wait="final")
    assert (sent["known"], sent["status"], sent["reason"], sent["fee"]) == (True, "failed", "AMOUNT_ZERO", "700")


async def test_decode_shows_what_is_signed(ask: Caller) -> None:
    transfer = build_transfer(3, memo="für dich")
    view = await ask("tx_decode", raw=_hex(transfer.raw))
    assert (view["memo"], view["sequence"], view["salt"], view["feeMax"]) == ("für dich", 3, None, "10000")
    assert await _fail(ask, "tx_decode", raw="0x") == (-32003, "DECODE")
    assert await _fail(ask, "tx_decode", raw=_hex(transfer.raw[:-1])) == (-32003, "DECODE")
    too_large = _hex(b"\x00" * 65_537)
    assert await _fail(ask, "tx_decode", raw=too_large) == (-32602, "INVALID_PARAMS")


async def test_simulation(ask: Caller) -> None:
    simulated = await ask("tx_simulate", raw=_hex(build_transfer(0).raw))
    assert simulated["receipt"]["gasUsed"] == 700
    with pytest.raises(Failed) as caught:
        await ask("tx_simulate", raw=_hex(build_transfer(0, amount=0).raw))
    assert (caught.value.code, caught.value.reason, caught.value.data["gasUsed"]) == (3, "AMOUNT_ZERO", 700)
    assert await _fail(ask, "tx_simulate", raw="0x00") == (-32003, "DECODE")
    assert await ask("tx_estimate", raw=_hex(build_transfer(0).raw)) == {"gasLimit": 1_000, "feeMax": "1000"}


async def test_pending_comes_in_pages(ask: Caller, backend: FakeBackend) -> None:
    for each in range(25):
        backend.admit(build_transfer(each))
    seen, cursor = [], None
    while True:
        page = await ask("tx_pending", sender=SENDER_TEXT, limit=10, **({"cursor": cursor} if cursor else {}))
        seen += [each["id"] for each in page["transactions"]]
        cursor = page["cursor"]
        if cursor is None:
            break
    assert seen == sorted(_hex(identifier) for identifier in backend.pending)
    assert (await ask("tx_pending", sender=RECIPIENT_TEXT))["transactions"] == []
    first = await ask("tx_pending", limit=10)
    assert await _fail(ask, "tx_pending", sender=SENDER_TEXT, cursor=first["cursor"]) == (-32602, "BAD_CURSOR")
    assert await _fail(ask, "tx_pending", cursor="AAAA") == (-32602, "BAD_CURSOR")
    assert await _fail(ask, "tx_pending", limit=201) == (-32602, "INVALID_PARAMS")
    assert await _fail(ask, "tx_pending", limit=0) == (-32602, "INVALID_PARAMS")


async def test_account_and_balance(ask: Caller, backend: FakeBackend) -> None:
    backend.make_block([build_transfer(0)])
    account = await ask("account_get", address=SENDER_TEXT)
    assert account == {
        "height": 1,
        "blockHash": _hex(backend.blocks[1].block.header.hash),
        "address": SENDER_TEXT,
        "sequence": 1,
        "balance": str(BALANCE_GRAINS),
        "locked": "0",
        "staked": "0",
        "coinAgeGrainDays": str(BALANCE_GRAINS * TIME_MS // 86_400_000),
        "policy": None,
        "did": None,
    }
    assert (await ask("account_get", address=SENDER_TEXT, at={"height": 0}))["sequence"] == 0
    assert (await ask("account_get", address=SENDER_TEXT.upper()))["address"] == SENDER_TEXT
    assert (await ask("iov_balance", address=RECIPIENT_TEXT))["balance"] == "0"
    assert (await ask("iov_supply"))["supply"] == str(SUPPLY_GRAINS)


@pytest.mark.parametrize(
    "address",
    [
        "x",
        "iov1qqqq",
        SENDER_TEXT[:-1],
        SENDER_TEXT + "q",
        SENDER_TEXT.capitalize(),
        SENDER_TEXT.replace("iovd", "iov"),
    ],
)
async def test_bad_addresses(ask: Caller, address: str) -> None:
    assert await _fail(ask, "account_get", address=address) == (-32602, "BAD_ADDRESS")


async def test_reads_at_a_height(ask: Caller, backend: FakeBackend) -> None:
    for _ in range(3):
        backend.make_block()
    backend.earliest_height = 2
    assert (await ask("iov_supply", at={"height": 2}))["height"] == 2
    assert (await ask("iov_supply", at="final"))["height"] == 3
    assert await _fail(ask, "iov_supply", at={"height": 1}) == (-32001, "PRUNED")
    assert await _fail(ask, "iov_supply", at={"height": 4}) == (-32002, "NODE_BEHIND")
    assert await _fail(ask, "iov_supply", at=2) == (-32602, "INVALID_PARAMS")
    assert await _fail(ask, "iov_supply", at="latest") == (-32602, "INVALID_PARAMS")


async def test_history_comes_in_pages_newest_first(ask: Caller, backend: FakeBackend) -> None:
    for block in range(5):
        backend.make_block([build_transfer(block * 3 + each) for each in range(3)])
    seen, cursor = [], None
    while True:
        page = await ask("account_history", address=SENDER_TEXT, limit=4, **({"cursor": cursor} if cursor else {}))
        seen += [(each["height"], each["index"]) for each in page["entries"]]
        cursor = page["cursor"]
        if cursor is None:
            break
    assert seen == [(height, index) for height in range(5, 0, -1) for index in (2, 1, 0)]
    first = await ask("account_history", address=SENDER_TEXT, limit=4)
    stolen = {"address": RECIPIENT_TEXT, "cursor": first["cursor"]}
    assert await _fail(ask, "account_history", **stolen) == (-32602, "BAD_CURSOR")


async def test_proof_carries_everything(ask: Caller, backend: FakeBackend) -> None:
    backend.make_block()
    proof = await ask("chain_getProof", key="0x1001")
    assert (proof["height"], proof["key"], proof["value"]) == (1, "0x1001", None)
    assert proof["header"] == _hex(backend.blocks[1].block.header.encoded)
    assert await _fail(ask, "chain_getProof", key="0x") == (-32602, "INVALID_PARAMS")
    assert await _fail(ask, "chain_getProof", key=_hex(b"\x00" * 257)) == (-32602, "INVALID_PARAMS")


async def test_modules_describe_themselves(ask: Caller) -> None:
    names = [each["name"] for each in (await ask("module_list"))["modules"]]
    assert {"accounts", "iov"} <= set(names)
    iov = await ask("module_describe", module="iov")
    transfer = next(each for each in iov["calls"] if each["name"] == "transfer")
    assert [(each["name"], each["type"]) for each in transfer["arguments"]] == [
        ("recipient", "address"),
        ("amountGrains", "grains"),
    ]
    batch = next(each for each in iov["calls"] if each["name"] == "batch_transfer")
    assert batch["arguments"][0]["items"][0]["fields"][1]["type"] == "grains"
    assert (transfer["role"], batch["role"]) == ("visitor", "visitor")
    roles = await ask("module_describe", module="roles")
    assert {each["name"]: each["role"] for each in roles["calls"]} == {
        "grant": "issuer",
        "revoke": "visitor",
        "renounce": "visitor",
    }
    assert await _fail(ask, "module_describe", module="weather") == (-32001, "NOT_FOUND")


async def test_views(ask: Caller) -> None:
    by_name = await ask("module_view", module="iov", name="balance", args={"address": SENDER_TEXT})
    assert by_name["value"] == str(BALANCE_GRAINS)
    assert by_name == await ask("module_view", module="iov", name="balance", args=[SENDER_TEXT])
    assert await _fail(ask, "module_view", module="iov", name="balance") == (-32602, "INVALID_PARAMS")
    assert await _fail(ask, "module_view", module="iov", name="balance", args=[7]) == (-32602, "INVALID_PARAMS")
    assert await _fail(ask, "module_view", module="iov", name="weather") == (-32001, "NOT_FOUND")
    assert await _fail(ask, "module_view", module="weather", name="x") == (-32001, "NOT_FOUND")
    many = await _fail(ask, "module_view", module="iov", name="balance", args=[0] * 33)
    assert many == (-32602, "INVALID_PARAMS")


async def test_dev_methods_are_off_where_there_is_no_control(ask: Caller) -> None:
    for name, method in METHODS.items():
        if name.startswith("dev_"):
            params = {
                "fund": {"address": SENDER_TEXT, "amount": "1"},
                "setTime": {"timeMs": 1},
                "crash": {"node": 0},
                "restart": {"node": 0},
                "partition": {"groups": [[0], [1]]},
                "revert": {"snapshot": "a"},
            }.get(name.removeprefix("dev_"), {})
            assert await _fail(ask, name, **params) == (-32004, "METHOD_DISABLED"), method


async def test_dev_methods(ask: Caller, backend: FakeBackend) -> None:
    backend.dev = control = FakeDev(backend)
    assert (await ask("dev_accounts"))["accounts"][0]["secretKey"] == _hex(KEY.secret)
    assert (await ask("dev_fund", address=SENDER_TEXT, amount="5"))["status"] == "final"
    assert (await ask("dev_mine", blocks=3))["height"] == 3
    assert await ask("dev_partition", groups=[[0, 1], [2]]) == {"done": True}
    assert control.calls == [
        ("fund", SENDER_ADDRESS, 5),
        ("partition", [[0, 1], [2]]),
    ]
    assert await _fail(ask, "dev_fund", address=SENDER_TEXT, amount=5) == (-32602, "INVALID_PARAMS")
    assert await _fail(ask, "dev_mine", blocks=0) == (-32602, "INVALID_PARAMS")
    assert await _fail(ask, "dev_crash", node=-1) == (-32602, "INVALID_PARAMS")
    with pytest.raises(Failed) as caught:
        await ask("dev_advanceEpoch")
    assert caught.value.code == -32603
    assert "secret" not in str(caught.value)


async def test_later_modules_are_not_found_yet(ask: Caller) -> None:
    for name in ("admin_start", "admin_stop"):
        assert await _fail(ask, name) == (-32601, "METHOD_NOT_FOUND")


async def test_discovery_lists_errors_under_their_codes(ask: Caller) -> None:
    for described in (await ask("rpc.discover"))["methods"]:
        for error in described["errors"]:
            for each in error["data"]["reasons"]:
                assert ERROR_KINDS[each["reason"]].code == error["code"]


def test_errors_keep_their_fields_apart() -> None:
    error = not_found("x")
    assert isinstance(error, RpcError)
    assert error.to_json() == {
        "code": -32001,
        "message": "Not found",
        "data": {"reason": "NOT_FOUND", "retryable": False, "detail": "x"},
    }


async def test_a_receipt_that_is_not_there_has_no_proof(ask: Caller, backend: FakeBackend) -> None:
    backend.make_block([build_transfer(0)])
    assert (await ask("chain_getReceiptProof", id=_hex(build_transfer(0).id)))["height"] == 1
    assert await _fail(ask, "chain_getReceiptProof", id=_hex(bytes(32))) == (-32001, "NOT_FOUND")
    backend.earliest_height = 2
    assert await _fail(ask, "chain_getReceiptProof", id=_hex(bytes(32))) == (-32001, "PRUNED")
    assert await _fail(ask, "chain_getTransaction", id=_hex(bytes(32))) == (-32001, "PRUNED")


async def test_changes_of_committee_come_in_pages(ask: Caller, backend: FakeBackend) -> None:
    for seed in range(1, 6):
        backend.make_block(committee_seed=seed)
    backend.changes = [
        CommitteeChange(each.block.header, each.certificate, backend.committees[each.block.header.height])
        for each in backend.blocks[1:]
    ]
    heights, start = [], 2
    while start is not None:
        page = await ask("chain_getCommitteeChanges", **{"from": start, "limit": 3})
        heights.append([each["height"] for each in page["changes"]])
        start = page["nextHeight"]
    assert heights == [[2, 3, 4], [5]]
    first = (await ask("chain_getCommitteeChanges"))["changes"][0]
    assert first["header"] == _hex(backend.blocks[1].block.header.encoded)
    assert first["committee"] == _hex(encode(backend.committees[1]))


async def test_history_says_from_where_on_it_is_kept(ask: Caller, backend: FakeBackend) -> None:
    for sequence in range(4):
        backend.make_block([build_transfer(sequence)])
    page = await ask("account_history", address=SENDER_TEXT, limit=2)
    assert page["earliestHeight"] == 0
    backend.earliest_height = 4
    assert (await ask("account_history", address=SENDER_TEXT, limit=2))["earliestHeight"] == 4
    assert await _fail(ask, "account_history", address=SENDER_TEXT, cursor=page["cursor"]) == (-32001, "PRUNED")
