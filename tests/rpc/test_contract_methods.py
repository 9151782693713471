"""contract_ methods, and what other methods show of contracts, over a state with a contract that echoes."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import orjson
import pytest

from identity.address import Address, format_address
from ledger.history import EMITTED, compute_history_changes
from ledger.primitives import Height
from ledger.reasons import CONTRACT_REASON_FIRST
from ledger.receipt import Event, Receipt
from ledger.transaction import Call, Transaction
from rpc.backend import Simulated
from rpc.errors import not_ready
from rpc.session import Session
from rpc.subscriptions import render_messages
from tests.builders import Draft
from tests.echo_contract import WAT, announcement, build_echo, build_interface
from tests.rpc.fake_backend import NETWORK, RECIPIENT, RECIPIENT_TEXT, FakeBackend
from tests.rpc.test_methods import Caller, Failed
from tests.vm.contracts.puppet import attach_interface, compile_text, find_address, hash_code
from tests.vm.contracts.scene import ALICE, GAS, RUNTIME, A, B, Scene
from vm.contracts.abi import PACKED_BYTES_MAX, EventType, MethodKind, Parameter
from vm.native.accounts import get_account
from vm.native.contracts import MODULE, Emitted
from vm.transition import apply_transaction

CODE = build_echo()
CONTRACT = find_address(A, CODE)
TEXT, A_TEXT, B_TEXT = (format_address(each, NETWORK) for each in (CONTRACT, A, B))
THINGS = {
    "flag": True,
    "pairs": [{"small": 1, "large": "18446744073709551615"}, {"small": 2, "large": None}],
    "who": RECIPIENT_TEXT,
    "did": "0x" + "11" * 20,
    "text": "né",
    "raw": "0x0102",
}


def call(method: str, packed: bytes, contract: Address = CONTRACT, value_grains: int = 0) -> Call:
    return Call("contracts", "call", [contract, method, packed, value_grains])


def build_other() -> bytes:
    """The same code with another event, and nothing to do at its upgrade."""
    number = (Parameter("number", "u8"),)
    declared = build_interface("Other")
    methods = tuple(
        replace(method, parameters=number) if method.name == "announce" else method
        for method in declared.methods
        if method.kind is not MethodKind.MIGRATE
    )
    interface = replace(declared, methods=methods, events=(EventType("Announced", number),))
    return attach_interface(compile_text(WAT.replace('(export "renew")', "")), interface)


class Stage:
    """A chain whose transactions are executed; the backend shows it."""

    def __init__(self, backend: FakeBackend) -> None:
        self.backend = backend
        self.scene = Scene()
        backend.contracts = RUNTIME
        self.send(
            Call("contracts", "introduce", [b"", hash_code(CODE), CODE, announcement(A, 1), 0]),
            Call("contracts", "seal", [CONTRACT]),
        )

    def send(self, *calls: Call) -> Receipt:
        """In a block of its own."""
        self.scene.height = len(self.backend.blocks)
        sequence = get_account(self.scene.state, A).sequence
        transaction = Draft(ALICE, calls, sequence=sequence, gas_limit=GAS).sign()
        receipt = apply_transaction(self.scene.state, self.scene.block, transaction)
        self.add_block([transaction], [receipt])
        return receipt

    def add_block(
        self, transactions: Sequence[Transaction], receipts: list[Receipt], events: Sequence[Event] = ()
    ) -> None:
        self.backend.known_receipts.update((receipt.transaction_id, receipt) for receipt in receipts)
        height = self.backend.make_block(transactions, events=events)
        changes = compute_history_changes(Height(height), [each.body for each in transactions], receipts, events)
        self.backend.index.write(changes, sync=False)
        values = self.scene.state.changes.items()
        self.backend.state_values = {key: value for key, value in values if value is not None}


@pytest.fixture
def stage(backend: FakeBackend) -> Stage:
    return Stage(backend)


@pytest.fixture
def ask(session: Session) -> Caller:
    return Caller(session)


async def fail(ask: Caller, method: str, /, **params: Any) -> Failed:
    with pytest.raises(Failed) as caught:
        await ask(method, **params)
    return caught.value


def test_the_index_knows_the_event_by_the_names_of_its_module() -> None:
    assert (MODULE.name, Emitted.__name__) == EMITTED


async def test_a_view_answers_in_json(ask: Caller, stage: Stage) -> None:
    answer = await ask("contract_call", address=TEXT, method="echo", args=[THINGS])
    assert answer["result"] == THINGS
    assert answer["height"] == 1
    assert answer["gasUsed"] > 0
    assert (await ask("contract_call", address=TEXT, method="echo", args={"things": THINGS}))["result"] == THINGS


async def test_a_view_that_fails_has_the_contracts_own_code(ask: Caller, stage: Stage) -> None:
    failure = await fail(ask, "contract_call", address=TEXT, method="refuse", args=[77])
    gas_used = failure.data.pop("gasUsed")
    assert gas_used > 0
    assert (failure.code, failure.data) == (
        3,
        {"reason": "CONTRACT_CODE", "code": 77, "retryable": False, "detail": "too bad"},
    )


async def test_a_view_is_told_what_its_arguments_are(ask: Caller, stage: Stage) -> None:
    failure = await fail(ask, "contract_call", address=TEXT, method="refuse", args=["x"])
    assert (failure.reason, failure.data["detail"]) == (
        "INVALID_PARAMS",
        "args: code: expected a whole number from 0 to 65535 (u16)",
    )


@pytest.mark.parametrize("method", ["announce", "create", "nothing"])
async def test_only_views_are_asked(ask: Caller, stage: Stage, method: str) -> None:
    failure = await fail(ask, "contract_call", address=TEXT, method=method)
    assert (failure.reason, failure.data["detail"]) == (
        "NOT_FOUND",
        "the contract has no view of this name; it has: echo, refuse",
    )


@pytest.mark.parametrize("method", ["contract_call", "contract_get", "contract_storage"])
async def test_where_no_contract_is_there_is_nothing_to_ask(ask: Caller, stage: Stage, method: str) -> None:
    given = {"contract_call": {"method": "echo"}, "contract_storage": {"key": "0x"}}.get(method, {})
    assert (await fail(ask, method, address=A_TEXT, **given)).reason == "NOT_FOUND"
    assert (await fail(ask, method, address="civ1x", **given)).reason == "BAD_ADDRESS"


async def test_a_contract_shows_everything_it_declares(ask: Caller, stage: Stage) -> None:
    stage.send(call("announce", announcement(B, 2), value_grains=500))
    found = await ask("contract_get", address=TEXT)
    interface = found.pop("interface")
    head = stage.backend.get_head()
    assert found == {
        "height": 2,
        "blockHash": "0x" + head.block_hash.hex(),
        "address": TEXT,
        "status": "sealed",
        "introducer": A_TEXT,
        "owner": A_TEXT,
        "codeHash": "0x" + hash_code(CODE).hex(),
        "sinceHeight": 1,
        "balance": "500",
        "history": [{"height": 1, "codeHash": "0x" + hash_code(CODE).hex()}],
    }
    announced = [{"name": "to", "type": "Address"}, {"name": "amount", "type": "u128"}]
    assert interface["methods"][2] == {
        "name": "announce",
        "kind": "call",
        "isPayable": True,
        "isReentrant": False,
        "parameters": announced,
        "result": None,
    }
    assert interface["methods"][5]["result"] == "Things"
    assert (interface["name"], interface["compiler"], interface["upgrade"]) == ("Echo", "wat", "owner")
    assert interface["sourceHash"] == "0x" + "00" * 32
    assert interface["structs"][0] == {
        "name": "Pair",
        "fields": [{"name": "small", "type": "u32"}, {"name": "large", "type": "Option[u64]"}],
    }
    assert interface["events"] == [{"name": "Announced", "fields": announced}]
    assert interface["storage"] == [
        {"name": "total", "kind": "var", "key": None, "value": "u128"},
        {"name": "balances", "kind": "map", "key": "Address", "value": "u128"},
    ]


async def test_code_is_found_by_its_hash(ask: Caller, stage: Stage) -> None:
    found = await ask("contract_code", hash="0x" + hash_code(CODE).hex())
    assert found["code"] == "0x" + CODE.hex()
    assert found["interface"]["name"] == "Echo"
    assert (await fail(ask, "contract_code", hash="0x" + "00" * 32)).reason == "NOT_FOUND"


async def test_stored_values_are_decoded_by_the_schema(ask: Caller, stage: Stage) -> None:
    stage.send(call("keep", announcement(B, 9)))
    key = "0x01" + B.hex()
    found = await ask("contract_storage", address=TEXT, key=key)
    assert (found["key"], found["value"]) == (key, "0x09" + "00" * 15)
    assert found["decoded"] == {"item": "balances", "key": B_TEXT, "value": "9"}


@pytest.mark.parametrize(
    ("key", "decoded"),
    [
        ("0x00", {"item": "total", "key": None, "value": None}),
        ("0x02", None),
        ("0x01ff", None),
        ("0x", None),
    ],
)
async def test_what_is_not_stored_or_in_no_schema(ask: Caller, stage: Stage, key: str, decoded: Any) -> None:
    found = await ask("contract_storage", address=TEXT, key=key)
    assert (found["value"], found["decoded"]) == (None, decoded)


async def test_events_come_oldest_first_a_page_at_a_time(ask: Caller, stage: Stage) -> None:
    for amount in (2, 3):
        stage.send(call("announce", announcement(B, amount)))
    first = await ask("contract_events", address=TEXT, limit=2)
    assert [(each["height"], each["index"], each["fields"]) for each in first["events"]] == [
        (1, 0, {"to": A_TEXT, "amount": "1"}),
        (2, 0, {"to": B_TEXT, "amount": "2"}),
    ]
    assert (first["indexedHeight"], first["earliestHeight"]) == (3, 0)
    second = await ask("contract_events", address=TEXT, limit=2, cursor=first["cursor"])
    assert second["cursor"] is None
    transaction_id = stage.backend.receipts[3][0].transaction_id
    assert second["events"] == [
        {
            "height": 3,
            "index": 0,
            "transactionId": "0x" + transaction_id.hex(),
            "name": "Announced",
            "fields": {"to": B_TEXT, "amount": "3"},
            "packed": "0x" + announcement(B, 3).hex(),
        }
    ]
    from_two = await ask("contract_events", address=TEXT, fromHeight=2)
    assert [each["height"] for each in from_two["events"]] == [2, 3]
    assert (await ask("contract_events", address=A_TEXT))["events"] == []
    assert (await fail(ask, "contract_events", address=A_TEXT, cursor=first["cursor"])).reason == "BAD_CURSOR"


async def test_an_event_of_a_blocks_end_has_no_transaction(ask: Caller, stage: Stage) -> None:
    event = Event("contracts", "Emitted", [CONTRACT, "Announced", announcement(B, 4)])
    stage.add_block([], [], [event])
    (found,) = (await ask("contract_events", address=TEXT, fromHeight=2))["events"]
    assert (found["index"], found["transactionId"]) == (None, None)
    assert found["fields"] == {"to": B_TEXT, "amount": "4"}


async def test_events_of_a_pruned_block_are_gone(ask: Caller, stage: Stage) -> None:
    stage.send(call("announce", announcement(B, 2)))
    cursor = (await ask("contract_events", address=TEXT, limit=1))["cursor"]
    stage.backend.earliest_height = 2
    assert [each["height"] for each in (await ask("contract_events", address=TEXT))["events"]] == [2]
    assert (await ask("contract_events", address=TEXT, cursor=cursor))["events"][0]["height"] == 2
    stage.backend.earliest_height = 3
    failure = await fail(ask, "contract_events", address=TEXT, cursor=cursor)
    assert (failure.reason, failure.data["earliestHeight"]) == ("PRUNED", 3)


async def test_old_events_are_decoded_by_the_interface_of_their_day(ask: Caller, stage: Stage) -> None:
    other = build_other()
    receipt = stage.send(Call("contracts", "upgrade", [CONTRACT, hash_code(other), other, b""]))
    assert receipt.reason == 0
    stage.send(call("announce", b"\7"))
    found = await ask("contract_events", address=TEXT)
    assert [each["fields"] for each in found["events"]] == [{"to": A_TEXT, "amount": "1"}, {"number": 7}]
    history = (await ask("contract_get", address=TEXT))["history"]
    assert [(each["height"], each["codeHash"]) for each in history] == [
        (1, "0x" + hash_code(CODE).hex()),
        (2, "0x" + hash_code(other).hex()),
    ]


async def test_receipts_show_events_by_name_and_the_contracts_code(ask: Caller, stage: Stage) -> None:
    told = stage.send(call("announce", announcement(B, 2)))
    failed = stage.send(call("fail", b"\x4d\0"))
    assert failed.reason == CONTRACT_REASON_FIRST + 77
    (receipt,) = (await ask("chain_getResults", height=2))["receipts"]
    assert receipt["events"][-1] == {
        "module": "contracts",
        "name": "Emitted",
        "fields": {
            "contract": TEXT,
            "name": "Announced",
            "fields": "0x" + announcement(B, 2).hex(),
            "decoded": {"to": B_TEXT, "amount": "2"},
        },
    }
    found = await ask("chain_getTransaction", id="0x" + told.transaction_id.hex())
    assert found["receipt"] == receipt
    (shown,) = found["transaction"]["calls"]
    assert shown["arguments"]["decoded"] == {"to": B_TEXT, "amount": "2"}
    status = await ask("tx_status", id="0x" + failed.transaction_id.hex())
    assert (status["reason"], status["code"]) == ("CONTRACT_CODE", 77)
    assert (status["receipt"]["reason"], status["receipt"]["code"]) == ("CONTRACT_CODE", 77)


async def test_subscribers_see_events_and_calls_by_name(ask: Caller, stage: Stage) -> None:
    stage.send(call("announce", announcement(B, 2)))
    (*_, told) = [orjson.loads(each.body) for each in render_messages(stage.backend, "events", 2)]
    assert told["event"]["fields"]["decoded"] == {"to": B_TEXT, "amount": "2"}
    (message,) = [orjson.loads(each.body) for each in render_messages(stage.backend, "transactions", 2)]
    assert message["transaction"]["calls"][0]["arguments"]["decoded"] == {"to": B_TEXT, "amount": "2"}
    assert message["receipt"]["events"][-1] == told["event"]


async def test_values_stay_packed_while_no_state_can_be_read(
    ask: Caller, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(at: int | None) -> None:
        raise not_ready("the store is being reopened")

    stage.send(call("announce", announcement(B, 2)))
    monkeypatch.setattr(stage.backend, "open_state", refuse)
    (receipt,) = (await ask("chain_getResults", height=2))["receipts"]
    assert "decoded" not in receipt["events"][-1]["fields"]


async def test_what_no_interface_explains_stays_packed(ask: Caller, stage: Stage) -> None:
    event = Event("contracts", "Emitted", [RECIPIENT, "Announced", b"\1"])
    odd = Event("contracts", "Emitted", [CONTRACT, "Announced", b"\1"])
    stage.add_block([], [], [event, odd])
    shown = (await ask("chain_getResults", height=2))["events"]
    assert [each["fields"] for each in shown] == [
        {"contract": RECIPIENT_TEXT, "name": "Announced", "fields": "0x01"},
        {"contract": TEXT, "name": "Announced", "fields": "0x01"},
    ]


async def test_a_wallet_sees_what_it_is_about_to_call(ask: Caller, stage: Stage) -> None:
    transaction = Draft(ALICE, [call("announce", announcement(B, 2))]).sign()
    (shown,) = (await ask("tx_decode", raw="0x" + transaction.raw.hex()))["calls"]
    assert shown["arguments"] == {
        "contract": TEXT,
        "method": "announce",
        "arguments": "0x" + announcement(B, 2).hex(),
        "valueGrains": "0",
        "decoded": {"to": B_TEXT, "amount": "2"},
    }


async def test_a_simulation_tells_code_gas_and_what_was_logged(
    ask: Caller, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.scene.trace = []
    transaction = Draft(ALICE, [call("fail", b"\x4d\0")], sequence=1, gas_limit=GAS).sign()

    def simulate(raw: bytes, at: int | None) -> Simulated:
        receipt = apply_transaction(stage.scene.state, stage.scene.block, transaction)
        head = stage.backend.get_head()
        return Simulated(head.height, head.block_hash, receipt, stage.scene.trace or [])

    monkeypatch.setattr(stage.backend, "simulate", simulate)
    failure = await fail(ask, "tx_simulate", raw="0x" + transaction.raw.hex())
    assert (failure.code, failure.reason, failure.data["code"]) == (3, "CONTRACT_CODE", 77)
    assert failure.data["detail"] == "too bad; too bad"
    assert failure.data["gasUsed"] > 0


async def test_argument_limits_are_told(ask: Caller, stage: Stage) -> None:
    long = {**THINGS, "raw": "0x" + "00" * PACKED_BYTES_MAX}
    failure = await fail(ask, "contract_call", address=TEXT, method="echo", args=[long])
    assert (failure.reason, failure.data["detail"]) == ("INVALID_PARAMS", f"args: more than {PACKED_BYTES_MAX} bytes")
