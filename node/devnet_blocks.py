"""Follows a devnet's blocks over WebSocket, from whichever node answers."""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

RETRY_SECONDS: Final = 0.5
MESSAGE_BYTES_MAX: Final = 2**20
HEARTBEAT_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class BlockSeen:
    """A final block."""

    height: int
    transactions: int
    time_ms: int


class _ConnectionLostError(Exception):
    """Go on with the next node."""


async def follow_blocks(websocket_urls: Sequence[str], on_block: Callable[[BlockSeen], None]) -> None:
    """Report the head and every block after it, each once, until cancelled; a new chain makes its first block."""
    from aiohttp import ClientError, ClientSession  # late: the nodes start faster without it

    next_height: int | None = None
    attempt = 0
    async with ClientSession() as session:
        while True:
            url = websocket_urls[attempt % len(websocket_urls)]
            attempt += 1
            try:
                async with session.ws_connect(
                    url, max_msg_size=MESSAGE_BYTES_MAX, heartbeat=HEARTBEAT_SECONDS
                ) as socket:
                    if next_height is None:
                        next_height = (await _call(socket, "chain_head", {}))["height"]
                        if next_height == 0:  # with nothing to do a chain rests: show that this one works
                            await _call(socket, "dev_mine", {"blocks": 1})
                            next_height = 1
                    await _call(socket, "sub_subscribe", {"topic": "blocks", "from": next_height})
                    while True:
                        message = await _receive(socket)
                        if message.get("method") == "sub_message":
                            block = message["params"]["result"]
                            on_block(BlockSeen(block["height"], block["transactionCount"], block["timeMs"]))
                            next_height = block["height"] + 1
                        elif message.get("method") == "sub_closed":
                            break
            except (ClientError, OSError, _ConnectionLostError):
                await asyncio.sleep(RETRY_SECONDS)


async def _call(socket: Any, method: str, params: dict[str, Any]) -> Any:
    await socket.send_str(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}))
    answer = await _receive(socket)
    if "result" not in answer:
        raise _ConnectionLostError
    return answer["result"]


async def _receive(socket: Any) -> dict[str, Any]:
    from aiohttp import WSMsgType

    message = await socket.receive()
    if message.type is not WSMsgType.TEXT:
        raise _ConnectionLostError
    plain: dict[str, Any] = json.loads(message.data)
    return plain
