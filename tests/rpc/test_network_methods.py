"""network_nodes over a registry of eight super nodes."""

import pytest

from identity.address import format_address
from rpc.session import Session
from tests.builders import make_key
from tests.rpc.fake_backend import NETWORK, FakeBackend
from tests.rpc.test_methods import Caller
from tests.stake_scene import KEYS, OPERATORS, StakeScene


@pytest.fixture
def ask(session: Session, backend: FakeBackend) -> Caller:
    changes = StakeScene().state.changes
    backend.state_values = {key: value for key, value in changes.items() if value is not None}
    return Caller(session)


async def test_a_node_is_shown_with_its_operator(ask: Caller) -> None:
    nodes = (await ask("network_nodes"))["nodes"]
    (node,) = (each for each in nodes if each["name"] == "node-3")
    assert node == {
        "nodeKey": "0x" + make_key("node 3").public_key.key.hex(),
        "certificateSignature": "0x" + bytes(64).hex(),
        "operator": format_address(OPERATORS[3], NETWORK),
        "operatorName": "operator 3",
        "role": "super_node",
        "name": "node-3",
        "addresses": [],
        "consensusKey": "0x" + KEYS[3].hex(),
    }


async def test_pages_of_nodes_hold_each_of_them_once_in_the_order_of_their_keys(ask: Caller) -> None:
    found, cursor = [], None
    while True:
        page = await ask("network_nodes", limit=3, **({} if cursor is None else {"cursor": cursor}))
        found += [each["nodeKey"] for each in page["nodes"]]
        cursor = page["cursor"]
        if cursor is None:
            break
    assert found == sorted("0x" + make_key(f"node {index}").public_key.key.hex() for index in range(8))
