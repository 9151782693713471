import asyncio
import contextlib
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from node.dev_control import (
    CLOCK_OFFSET_MS_MAX,
    LINE_BYTES_MAX,
    Command,
    ControlAddress,
    ControlServer,
    DevControlError,
    compute_partition,
    find_control_address,
    request,
    run_control_client,
)


class Actions:
    """Remembers what it was asked for."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.refusal: str | None = None

    def _note(self, *call: Any) -> None:
        if self.refusal is not None:
            raise DevControlError(self.refusal)
        self.calls.append(call)

    async def crash(self, node: int, asker: int | None) -> None:
        self._note("crash", node, asker)

    async def restart(self, node: int, asker: int | None) -> None:
        self._note("restart", node, asker)

    async def partition(self, groups: list[list[int]]) -> None:
        self._note("partition", groups)

    async def heal(self) -> None:
        self._note("heal")

    async def snapshot(self) -> str:
        self._note("snapshot")
        return "7"

    async def revert(self, snapshot: str) -> None:
        self._note("revert", snapshot)

    async def set_time(self, offset_ms: int) -> None:
        self._note("set_time", offset_ms)

    def list_commands(self, node: int) -> list[Command]:
        return [{"partition": [f"key of {node}"]}]


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[tuple[Path, Actions, ControlServer]]:
    actions = Actions()
    server = ControlServer(tmp_path / "s", actions, nodes=4)
    await server.start()
    try:
        yield tmp_path / "s", actions, server
    finally:
        await server.close()


Place = tuple[Path, Actions, ControlServer]


async def test_requests_reach_the_supervisor_with_their_asker(place: Place) -> None:
    path, actions, _ = place
    assert await request(path, 2, "crash", {"node": 3}) is None
    await request(path, None, "restart", {"node": 0})
    await request(path, 1, "partition", {"groups": [[0, 1], [2, 3]]})
    await request(path, 1, "heal", {})
    assert await request(path, 1, "snapshot", {}) == "7"
    await request(path, 1, "revert", {"snapshot": "7"})
    await request(path, 1, "setTime", {"offsetMs": -5_000})
    assert actions.calls == [
        ("crash", 3, 2),
        ("restart", 0, None),
        ("partition", [[0, 1], [2, 3]]),
        ("heal",),
        ("snapshot",),
        ("revert", "7"),
        ("set_time", -5_000),
    ]


async def test_a_refusal_comes_back_in_its_words(place: Place) -> None:
    path, actions, _ = place
    actions.refusal = "node 3 is not running"
    with pytest.raises(DevControlError, match="node 3 is not running"):
        await request(path, 0, "crash", {"node": 3})


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("crash", {}),
        ("crash", {"node": 4}),
        ("crash", {"node": -1}),
        ("crash", {"node": True}),
        ("crash", {"node": "1"}),
        ("partition", {"groups": [[0], [0]]}),
        ("partition", {"groups": [0]}),
        ("partition", {"groups": None}),
        ("partition", {"groups": [[9]]}),
        ("revert", {"snapshot": ""}),
        ("revert", {"snapshot": "x" * 65}),
        ("revert", {"snapshot": 1}),
        ("setTime", {"offsetMs": CLOCK_OFFSET_MS_MAX + 1}),
        ("setTime", {"timeMs": -1}),
        ("setTime", {}),
        ("explode", {}),
    ],
)
async def test_bad_requests_are_refused(place: Place, method: str, params: dict[str, Any]) -> None:
    path, actions, _ = place
    with pytest.raises(DevControlError):
        await request(path, 0, method, params)
    assert actions.calls == []


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"[]\n",
        b"nonsense\n",
        b"\xff\n",
        b"[" * 5_000 + b"\n",
        b"x" * (LINE_BYTES_MAX + 1) + b"\n",
        b'{"method":"crash","params":[]}\n',
        b'{"register":99}\n',
        b'{"register":"0"}\n',
    ],
)
async def test_garbage_is_answered_with_an_error_and_harms_nobody(place: Place, line: bytes) -> None:
    path, actions, _ = place
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(line)
    answer = await reader.read()
    assert b'"error"' in answer
    writer.close()
    await writer.wait_closed()
    await request(path, 0, "heal", {})
    assert actions.calls == [("heal",)]


async def test_a_registered_node_hears_what_holds_and_what_is_new(place: Place) -> None:
    path, _, server = place
    heard: asyncio.Queue[Command] = asyncio.Queue()
    client = asyncio.create_task(run_control_client(path, 2, heard.put))
    assert await heard.get() == {"partition": ["key of 2"]}
    server.push(2, {"clock_offset_ms": 5})
    server.push(1, {"clock_offset_ms": 6})
    assert await heard.get() == {"clock_offset_ms": 5}
    client.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await client


async def test_a_node_registers_again_with_a_new_supervisor(tmp_path: Path) -> None:
    heard: asyncio.Queue[Command] = asyncio.Queue()
    client = asyncio.create_task(run_control_client(tmp_path / "s", 0, heard.put))
    for _ in range(2):
        server = ControlServer(tmp_path / "s", Actions(), nodes=1)
        await server.start()
        assert await asyncio.wait_for(heard.get(), 5) == {"partition": ["key of 0"]}
        await server.close()
    client.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await client


async def test_only_the_user_may_connect(place: Place) -> None:
    assert stat.S_IMODE(place[0].stat().st_mode) == 0o600


async def test_a_socket_left_behind_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("left by a killed supervisor")
    server = ControlServer(tmp_path / "s", Actions(), nodes=1)
    await server.start()
    await request(tmp_path / "s", None, "heal", {})
    await server.close()
    assert not (tmp_path / "s").exists()


async def test_without_a_supervisor_a_request_says_so(tmp_path: Path) -> None:
    with pytest.raises(DevControlError, match="supervisor"):
        await request(tmp_path / "nobody", 0, "heal", {})


def test_nodes_of_no_group_form_one_more() -> None:
    assert compute_partition([[0], [1, 2]], 5) == {
        0: [1, 2, 3, 4],
        1: [0, 3, 4],
        2: [0, 3, 4],
        3: [0, 1, 2],
        4: [0, 1, 2],
    }


def test_hearing_is_mutual() -> None:
    blocked = compute_partition([[0, 3], [2]], 6)
    assert all((other in blocked[node]) == (node in blocked[other]) for node in range(6) for other in range(6))


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"CARLIVE_DEVNET_SOCKET": "/x/s", "CARLIVE_DEVNET_INDEX": "2"}, ControlAddress(Path("/x/s"), 2)),
        ({"CARLIVE_DEVNET_SOCKET": "/x/s"}, None),
        ({"CARLIVE_DEVNET_INDEX": "2"}, None),
        ({"CARLIVE_DEVNET_SOCKET": "/x/s", "CARLIVE_DEVNET_INDEX": "two"}, None),
        ({}, None),
    ],
)
def test_the_environment_names_the_supervisor(environment: dict[str, str], expected: ControlAddress | None) -> None:
    assert find_control_address(environment) == expected
