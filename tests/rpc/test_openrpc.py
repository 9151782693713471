"""The OpenRPC document and the reference page say what the server does."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from rpc.errors import ERROR_KINDS
from rpc.methods import METHODS
from rpc.openrpc import build_openrpc
from rpc.reference import build_reference

DOCUMENT = build_openrpc(METHODS)


def _list_refs(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if "$ref" in value else []
        return own + [ref for each in value.values() for ref in _list_refs(each)]
    if isinstance(value, list):
        return [ref for each in value for ref in _list_refs(each)]
    return []


def test_every_method_is_described() -> None:
    assert [each["name"] for each in DOCUMENT["methods"]] == list(METHODS)
    for each in DOCUMENT["methods"]:
        assert each["summary"].endswith((".", ")"))
        assert each["result"]["schema"]
        codes = [error["code"] for error in each["errors"]]
        assert len(codes) == len(set(codes)), "OpenRPC wants unique codes"


def test_every_reference_leads_somewhere() -> None:
    for ref in _list_refs(DOCUMENT):
        assert ref.removeprefix("#/components/schemas/") in DOCUMENT["components"]["schemas"]


def test_every_reason_stands_in_it() -> None:
    assert {each["reason"] for each in DOCUMENT["x-errors"]} == set(ERROR_KINDS)


def test_it_is_json() -> None:
    assert orjson.loads(orjson.dumps(DOCUMENT)) == DOCUMENT


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("tx_send", ["raw", "wait", "timeoutMs"]),
        ("account_get", ["address", "at"]),
        ("chain_getBlocks", ["from", "to"]),
        ("sub_subscribe", ["topic", "filter", "from"]),
        ("module_view", ["module", "name", "args", "at"]),
    ],
)
def test_positions_are_fixed(method: str, params: list[str]) -> None:
    described = next(each for each in DOCUMENT["methods"] if each["name"] == method)
    assert [each["name"] for each in described["params"]] == params


def test_reference_page_is_current() -> None:
    page = Path(__file__).parents[2] / "docs" / "rpc.md"
    assert page.read_text(encoding="utf-8") == build_reference(METHODS), "run: python -m rpc.reference"
