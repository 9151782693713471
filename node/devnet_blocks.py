"""Follows a devnet's blocks over WebSocket, from whichever node answers."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from rpc import calls
from rpc.client import AsyncClient, BadResponseError, NodeUnreachableError
from rpc.errors import RpcError
from rpc.models import BlockMessage

RETRY_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class BlockSeen:
    """A final block."""

    height: int
    transactions: int
    time_ms: int


async def follow_blocks(node_urls: Sequence[str], on_block: Callable[[BlockSeen], None]) -> None:
    """Report the head and every block after it, each once, until cancelled; a new chain makes its first block."""
    next_height: int | None = None
    attempt = 0
    while True:
        url = node_urls[attempt % len(node_urls)]
        attempt += 1
        async with AsyncClient(url) as client:
            try:
                if next_height is None:
                    next_height = await _begin(client)
                async for message in client.subscribe("blocks", start=next_height):
                    block = message.result
                    assert isinstance(block, BlockMessage), "the client has checked it"
                    if block.height >= next_height:
                        on_block(BlockSeen(block.height, block.transaction_count, block.time_ms))
                        next_height = block.height + 1
            except (NodeUnreachableError, BadResponseError, RpcError):
                await asyncio.sleep(RETRY_SECONDS)


async def _begin(client: AsyncClient) -> int:
    """The head's height; with nothing to do a chain rests, so a new one is asked to show that it works."""
    height = (await client.run(calls.chain_head())).height
    if height > 0:
        return height
    await client.run(calls.dev_mine())
    return 1
