"""What vehicles have vouched for on a day, read from a node's blocks: the part of a day's records that is public.

A record stands in a block of its day. What was found is all of it if its force adds up to what the chain has counted.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from node.cli.failures import CommandFailedError, ExitCode
from rpc import calls
from rpc.errors import RpcError

if TYPE_CHECKING:
    from identity.address import NetworkKind
    from identity.did import Did
    from rpc.client import Client

_RESULTS_PER_REQUEST = 20
"""Blocks whose receipts are asked for at once: a full one has a few megabytes."""

Report = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class VouchedLine:
    """One record that user and vehicle have signed."""

    did: "Did"
    behaviour: int
    count: int
    vehicle: "Did"
    nullifier: bytes | None
    """Of the vehicle's number; None: it has none any more."""


def collect_vouched(client: "Client", epoch: int, network: "NetworkKind", report: Report) -> list[VouchedLine]:
    """All records of an epoch in the order of the chain; raises CommandFailedError when the node lacks some."""
    from vm.native.accounts import DAY_MS

    found = list(_iterate_recorded(client, epoch * DAY_MS, (epoch + 1) * DAY_MS, report))
    counted, collected = client.run(calls.mining_epoch(epoch)).vouched_force, sum(each["force"] for each in found)
    if counted != collected:
        raise CommandFailedError(
            f"the node has blocks with {collected} of the {counted} force that vehicles vouched for: "
            "ask one that keeps all blocks",
            ExitCode.FAILED,
        )
    nullifiers = {text: _find_nullifier(client, text) for text in sorted({each["vehicle"] for each in found})}
    return [_build_line(each, nullifiers[each["vehicle"]], network) for each in found]


def _iterate_recorded(client: "Client", first_ms: int, end_ms: int, report: Report) -> Iterator[dict[str, Any]]:
    """Fields of the events of blocks from a time on and before another one."""
    head_height = client.run(calls.chain_head()).height
    height: int | None = _find_first(client, first_ms, head_height)
    while height is not None and height <= head_height:
        page = client.run(calls.chain_get_blocks(height, head_height))
        within = [block for block in page.blocks if block.time_ms < end_ms]
        yield from _read_events(client, [block.height for block in within if block.transaction_count])
        report("blocks", page.blocks[-1].height, head_height)
        height = page.next_height if len(within) == len(page.blocks) else None


def _find_first(client: "Client", first_ms: int, head_height: int) -> int:
    """The first block of a time or later that the node has; the one behind its head if there is none."""
    low, high = client.run(calls.node_status()).earliest_height, head_height + 1
    while low < high:
        middle = (low + high) // 2
        (block,) = client.run(calls.chain_get_blocks(middle, middle)).blocks
        low, high = (low, middle) if block.time_ms >= first_ms else (middle + 1, high)
    return low


def _read_events(client: "Client", heights: list[int]) -> Iterator[dict[str, Any]]:
    for start in range(0, len(heights), _RESULTS_PER_REQUEST):
        for result in client.run_batch(
            list(map(calls.chain_get_results, heights[start : start + _RESULTS_PER_REQUEST]))
        ):
            if isinstance(result, RpcError):
                raise result
            for receipt in result.receipts:
                for event in receipt.events:
                    if (event.module, event.name) == ("mining", "Recorded") and isinstance(event.fields, dict):
                        yield event.fields


def _find_nullifier(client: "Client", vehicle: str) -> bytes | None:
    vin = client.run(calls.module_view("vehicles", "vehicle", {"vehicle": vehicle})).value["vin"]
    return None if vin is None else bytes.fromhex(vin["nullifier"].removeprefix("0x"))


def _build_line(fields: dict[str, Any], nullifier: bytes | None, network: "NetworkKind") -> VouchedLine:
    from identity.did import parse_did

    user, vehicle = parse_did(fields["did"], network), parse_did(fields["vehicle"], network)
    return VouchedLine(user, fields["behaviour"], fields["count"], vehicle, nullifier)
