"""JSON-RPC 2.0 itself: the specification's examples, bad input, batches."""

import asyncio
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from rpc.dispatcher import Dispatcher
from rpc.method import Method, Place, build_table
from rpc.methods import METHODS
from rpc.models import NoParams, Params
from rpc.session import Session
from tests.rpc.fake_backend import SENDER_TEXT, FakeAdmitted, FakeBackend, build_transfer

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "jsonrpc20_spec_examples.json").read_text())


class _Subtract(Params):
    minuend: int
    subtrahend: int


class _Three(Params):
    first: int
    second: int
    third: int


class _Five(_Three):
    fourth: int
    fifth: int


class _One(Params):
    value: int


EXAMPLE_METHODS = build_table(
    (
        Method("subtract", _Subtract, int, lambda _, given: given.minuend - given.subtrahend, Place.LOOP),
        Method("sum", _Three, int, lambda _, given: given.first + given.second + given.third, Place.THREAD),
        Method("update", _Five, None, lambda _, given: None, Place.LOOP),
        Method("notify_hello", _One, None, lambda _, given: None, Place.LOOP),
        Method("notify_sum", _Three, None, lambda _, given: None, Place.LOOP),
        Method("get_data", NoParams, list[Any], lambda _, given: ["hello", 5], Place.LOOP),
    )
)


def _without_data(response: Any) -> Any:
    """The examples know no `data`, which the specification leaves to servers."""
    if isinstance(response, list):
        return sorted([_without_data(each) for each in response], key=json.dumps)
    if "error" in response:
        response["error"].pop("data")
    return response


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: case["name"])
async def test_specification_examples(case: dict[str, Any], session: Session) -> None:
    reply = await Dispatcher(EXAMPLE_METHODS).answer(case["request"].encode(), session)
    expected = case["response"]
    if expected is None:
        assert reply is None
    else:
        expected = sorted(expected, key=json.dumps) if isinstance(expected, list) else expected
        assert _without_data(orjson.loads(reply)) == expected


async def _answer(session: Session, value: Any) -> Any:
    raw = value if isinstance(value, bytes) else orjson.dumps(value)
    reply = await Dispatcher(METHODS).answer(raw, session)
    return None if reply is None else orjson.loads(reply)


def _request(method: str, params: Any = None, identifier: Any = 1) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": identifier, "method": method} | ({} if params is None else {"params": params})


@pytest.mark.parametrize(
    ("raw", "code", "reason"),
    [
        (b"", -32700, "PARSE_ERROR"),
        (b"\xff\xfe", -32700, "PARSE_ERROR"),
        (b'{"jsonrpc":"2.0","method":"\xc3\x28","id":1}', -32700, "PARSE_ERROR"),
        (b'{"jsonrpc":"2.0","method":"chain_head","params":[NaN],"id":1}', -32700, "PARSE_ERROR"),
        (b'{"jsonrpc":"2.0","method":"chain_head","params":[-Infinity],"id":1}', -32700, "PARSE_ERROR"),
        (b'{"jsonrpc":"2.0","method":"chain_head","params":[1e999],"id":1}', -32700, "PARSE_ERROR"),
        (b'{"jsonrpc":"2.0","method":"\\ud800","id":1}', -32700, "PARSE_ERROR"),
        (b'{"jsonrpc":"2.0","method":"chain_head","id":1} x', -32700, "PARSE_ERROR"),
        (b"[" * 10_000 + b"]" * 10_000, -32700, "PARSE_ERROR"),
        (b"[" * 40 + b"]" * 40, -32600, "NESTED_TOO_DEEP"),
        (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, -32700, "PARSE_ERROR"),
        (b"null", -32600, "INVALID_REQUEST"),
        (b"7", -32600, "INVALID_REQUEST"),
        (b'"chain_head"', -32600, "INVALID_REQUEST"),
        (b"{}", -32600, "INVALID_REQUEST"),
        (b"[]", -32600, "INVALID_REQUEST"),
        (b'{"jsonrpc":"1.0","method":"chain_head","id":1}', -32600, "INVALID_REQUEST"),
        (b'{"jsonrpc":"2.0","method":"chain_head","params":null,"id":1}', -32600, "INVALID_REQUEST"),
        (b'{"jsonrpc":"2.0","method":"chain_head","params":"x","id":1}', -32600, "INVALID_REQUEST"),
        (b'{"jsonrpc":"2.0","method":"chain_head","id":1.5}', -32600, "INVALID_REQUEST"),
        (b'{"jsonrpc":"2.0","method":"chain_head","id":99999999999999999999}', -32600, "INVALID_REQUEST"),
        (b'{"jsonrpc":"2.0","method":"chain_head","id":true}', -32600, "INVALID_REQUEST"),
        (b'{"jsonrpc":"2.0","method":"chain_head","id":{}}', -32600, "INVALID_REQUEST"),
        (b'{"jsonrpc":"2.0","method":"chain_head","id":"' + b"x" * 300 + b'"}', -32600, "INVALID_REQUEST"),
        (b'{"jsonrpc":"2.0","method":"__class__","id":1}', -32601, "METHOD_NOT_FOUND"),
        (b'{"jsonrpc":"2.0","method":"ads_banner","id":1}', -32601, "METHOD_NOT_FOUND"),
        (b'{"jsonrpc":"2.0","method":"chain_head","params":[1],"id":1}', -32602, "INVALID_PARAMS"),
        (b'{"jsonrpc":"2.0","method":"chain_head","params":{"x":1},"id":1}', -32602, "INVALID_PARAMS"),
        (b'{"jsonrpc":"2.0","method":"chain_getBlock","params":[9007199254740992],"id":1}', -32602, "INVALID_PARAMS"),
        (b'{"jsonrpc":"2.0","method":"chain_getBlock","params":[1e3],"id":1}', -32602, "INVALID_PARAMS"),
        (b'{"jsonrpc":"2.0","method":"chain_getBlock","params":["1"],"id":1}', -32602, "INVALID_PARAMS"),
        (b'{"jsonrpc":"2.0","method":"chain_getBlock","params":[true],"id":1}', -32602, "INVALID_PARAMS"),
        (b'{"jsonrpc":"2.0","method":"chain_getBlocks","params":{"from_height":1},"id":1}', -32602, "INVALID_PARAMS"),
        (b'{"jsonrpc":"2.0","method":"tx_send","params":["0xAB"],"id":1}', -32602, "INVALID_PARAMS"),
        (b'{"jsonrpc":"2.0","method":"tx_send","params":["0xa b"],"id":1}', -32602, "INVALID_PARAMS"),
        (b'{"jsonrpc":"2.0","method":"tx_send","params":["ab"],"id":1}', -32602, "INVALID_PARAMS"),
        (b'{"jsonrpc":"2.0","method":"tx_send","params":["0xabc"],"id":1}', -32602, "INVALID_PARAMS"),
        (b'{"jsonrpc":"2.0","method":"tx_send","id":1}', -32602, "INVALID_PARAMS"),
        (b'{"jsonrpc":"2.0","method":"tx_send","params":["0xff"],"id":1}', -32003, "DECODE"),
    ],
)
async def test_bad_input_is_told_apart(raw: bytes, code: int, reason: str, session: Session) -> None:
    response = await _answer(session, raw)
    assert (response["error"]["code"], response["error"]["data"]["reason"]) == (code, reason)
    assert "Traceback" not in str(response)


async def test_id_is_echoed_when_only_the_rest_is_wrong(session: Session) -> None:
    response = await _answer(session, {"jsonrpc": "2.0", "method": 5, "id": "mine"})
    assert response["id"] == "mine"


async def test_batch_of_too_many_calls_is_refused_whole(session: Session) -> None:
    response = await _answer(session, [_request("chain_head", identifier=each) for each in range(1_001)])
    assert response["error"]["code"] == -32600
    assert response["error"]["data"] == {
        "reason": "BATCH_TOO_LARGE",
        "retryable": False,
        "detail": "at most 1000 calls",
        "callsMax": 1000,
    }


async def test_batch_of_the_most_calls_is_answered_in_order(session: Session) -> None:
    response = await _answer(session, [_request("chain_head", identifier=each) for each in range(1_000)])
    assert [each["id"] for each in response] == list(range(1_000))
    assert all(each["result"]["height"] == 0 for each in response)


async def test_consecutive_transactions_are_submitted_together(session: Session, backend: FakeBackend) -> None:
    sends = [_request("tx_send", ["0x" + build_transfer(each).raw.hex()], each) for each in range(6)]
    bad = _request("tx_send", ["zz"], "bad")
    batch = [*sends[:2], bad, sends[2], _request("chain_head", identifier="head"), *sends[3:]]
    response = await _answer(session, batch)
    assert backend.submitted_runs == [3, 3]
    by_id = {each["id"]: each for each in response}
    for each in range(6):
        assert by_id[each]["result"] == {
            "id": "0x" + build_transfer(each).id.hex(),
            "known": False,
            "status": "pending",
        }
    assert by_id["bad"]["error"]["code"] == -32602
    assert by_id["head"]["result"]["height"] == 0


async def test_waits_of_a_batch_run_side_by_side(session: Session, backend: FakeBackend) -> None:
    transfers = [build_transfer(each) for each in range(50)]
    batch = [
        _request("tx_send", {"raw": "0x" + each.raw.hex(), "wait": "final", "timeoutMs": 5_000}) for each in transfers
    ]
    answering = asyncio.create_task(_answer(session, batch))
    while len(backend.pending) < 50:
        await asyncio.sleep(0)
    started = time.monotonic()
    height = backend.make_block(transfers)
    response = await answering
    assert time.monotonic() - started < 2
    assert {each["result"]["status"] for each in response} == {"final"}
    assert {each["result"]["height"] for each in response} == {height}
    assert {each["result"]["fee"] for each in response} == {"700"}


async def test_wait_that_runs_out_says_pending(session: Session) -> None:
    raw = "0x" + build_transfer(0).raw.hex()
    response = await _answer(session, _request("tx_send", {"raw": raw, "wait": "final", "timeoutMs": 20}))
    assert response["result"]["status"] == "pending"


async def test_sending_again_succeeds_as_known(session: Session) -> None:
    request = _request("tx_send", ["0x" + build_transfer(0).raw.hex()])
    assert (await _answer(session, request))["result"]["known"] is False
    assert (await _answer(session, request))["result"]["known"] is True


async def test_rejection_carries_typed_facts(session: Session) -> None:
    raw = "0x" + build_transfer(999).raw.hex()
    error = (await _answer(session, _request("tx_send", [raw])))["error"]
    assert error == {
        "code": -32003,
        "message": "Transaction rejected",
        "data": {
            "reason": "SEQUENCE_TOO_HIGH",
            "retryable": True,
            "detail": "the next sequence is 7",
            "expected": 7,
        },
    }
    raw = "0x" + build_transfer(0, memo="poor").raw.hex()
    data = (await _answer(session, _request("tx_send", [raw])))["error"]["data"]
    assert (data["reason"], data["held"], data["needed"]) == ("INSUFFICIENT_FUNDS", "3", str(10**17))


async def test_notification_acts_but_gets_no_answer(session: Session, backend: FakeBackend) -> None:
    request = {"jsonrpc": "2.0", "method": "tx_send", "params": ["0x" + build_transfer(0).raw.hex()]}
    assert await _answer(session, request) is None
    assert len(backend.pending) == 1


@pytest.mark.parametrize(
    "request_",
    [
        _request("account_get", {"address": "iovd1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq", "at": "final"}),
        _request("chain_getBlock", {"height": 0}),
        _request("chain_params"),
    ],
    ids=lambda request: request["method"],
)
async def test_own_fault_shows_an_id_only(request_: Any, session: Session, backend: FakeBackend) -> None:
    def explode() -> None:
        raise RuntimeError("secret path /srv/node/store.py")

    backend.read_hook = explode
    if request_["method"] == "account_get":
        request_["params"]["address"] = SENDER_TEXT
    error = (await _answer(session, request_))["error"]
    assert error["code"] == -32603
    assert set(error["data"]) == {"reason", "retryable", "errorId"}
    assert "secret" not in str(error)


async def test_own_fault_in_a_submission_fails_that_run_only(session: Session) -> None:
    batch = [
        _request("tx_send", ["0x" + build_transfer(0, memo="explode").raw.hex()], 1),
        _request("chain_head", identifier=2),
    ]
    first, second = await _answer(session, batch)
    assert first["error"]["code"] == -32603
    assert "secret" not in str(first)
    assert second["result"]["height"] == 0


async def test_read_that_takes_too_long_is_given_up(backend: FakeBackend, session: Session) -> None:
    backend.read_hook = lambda: time.sleep(0.3)
    limited = replace(session, settings=replace(session.settings, call_seconds_max=0.05))
    error = (await _answer(limited, _request("chain_getBlock", {"height": 0})))["error"]
    assert (error["code"], error["data"]["reason"]) == (-32005, "LIMIT_EXCEEDED")


async def test_too_many_reads_are_refused_and_the_loop_stays_free(backend: FakeBackend, session: Session) -> None:
    backend.read_hook = lambda: time.sleep(0.1)
    reads = [asyncio.create_task(_answer(session, _request("chain_getBlock", {"height": 0}))) for _ in range(12)]
    started = time.monotonic()
    await asyncio.sleep(0.01)
    assert time.monotonic() - started < 0.09
    responses = await asyncio.gather(*reads)
    refused = [each for each in responses if "error" in each]
    assert len(refused) == 4
    assert all(each["error"]["data"]["retryable"] for each in refused)


async def test_answer_has_a_limit(session: Session) -> None:
    limited = replace(session, settings=replace(session.settings, response_bytes_max=2_000))
    response = await _answer(limited, [_request("chain_id", identifier=each) for each in range(100)])
    assert response[0]["result"]["chainId"] == "carlive-test"
    assert response[-1]["error"]["data"]["reason"] == "LIMIT_EXCEEDED"


async def test_batch_that_takes_too_long_is_cut_off(session: Session) -> None:
    limited = replace(session, settings=replace(session.settings, batch_seconds_max=0.0))
    response = await _answer(limited, [_request("chain_head", identifier=each) for each in range(3)])
    assert {each["error"]["data"]["reason"] for each in response} == {"LIMIT_EXCEEDED"}


async def test_long_batch_lets_others_have_their_turn(backend: FakeBackend, session: Session) -> None:
    backend.read_hook = lambda: time.sleep(0.001)
    batch = [_request("account_get", [SENDER_TEXT], each) for each in range(100)]
    answering = asyncio.create_task(_answer(session, batch))
    turns = 0
    while not answering.done():
        await asyncio.sleep(0)
        turns += 1
    assert len(await answering) == 100
    assert turns > 10


async def test_sending_is_fast(session: Session) -> None:
    raw = "0x" + build_transfer(0).raw.hex()
    batch = orjson.dumps([_request("tx_send", [raw], each) for each in range(1_000)])

    class _Instant(FakeBackend):
        async def submit_many(self, raws: Any) -> Any:
            return [admitted] * len(raws)

    admitted = FakeAdmitted(build_transfer(0).id, False)
    quick = replace(session, backend=_Instant())
    dispatcher = Dispatcher(METHODS)
    await dispatcher.answer(batch, quick)
    best = min([await _measure(dispatcher, batch, quick) for _ in range(5)])
    assert best < 0.1, f"1000 tx_send took {best:.3f} s"


async def _measure(dispatcher: Dispatcher, batch: bytes, session: Session) -> float:
    started = time.perf_counter()
    await dispatcher.answer(batch, session)
    return time.perf_counter() - started
