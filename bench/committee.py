"""Scenario `committee-21`: what a block costs a committee of the largest size, on a simulated network."""

import asyncio
import gc
import time
from typing import Any

from bench.apply import Progress
from bench.floor import measure_floor
from bench.report import Result
from consensus.messages import Message, encode_message
from ledger.codec import pack
from ledger.committee import COMMITTEE_MEMBERS_MAX
from ledger.primitives import ConsensusKey
from tests.simulation.node import Node
from tests.simulation.world import Machine, World

SEED = 1
HEIGHTS = 200
STEPS_MAX = 10**7  # the heights end the run long before


class CountingNode(Node):
    """Counts the signatures of super nodes that it checks; those of transactions come on top, one each."""

    signatures_checked = 0

    def verify(self, key: ConsensusKey, message: bytes, signature: bytes) -> bool:
        """As always."""
        self.signatures_checked += 1
        return super().verify(key, message, signature)


class CountingWorld(World):
    """Counts what is said, once for each receiver, without frames and encryption."""

    messages = 0
    payload_bytes = 0

    def say(self, node: Node, message: Message) -> None:
        """As always."""
        self._count(len(encode_message(message)), len(self.machines) - 1)
        super().say(node, message)

    def say_to(self, node: Node, receiver: int, message: Message) -> None:
        """As always."""
        self._count(len(encode_message(message)), 1)
        super().say_to(node, receiver, message)

    def send(self, sender: Machine, receiver: int, kind: str, payload: Any) -> None:
        """As always."""
        self._count(len(pack(payload)), 1)
        super().send(sender, receiver, kind, payload)

    def _count(self, size_bytes: int, receivers: int) -> None:
        self.messages += receivers
        self.payload_bytes += size_bytes * receivers


async def run_committee_21(progress: Progress) -> list[Result]:
    """Messages, bytes, checked signatures and processor time of a block; the same run twice, to count and to time it.

    The time is without signatures, which stand-ins replace: the checks come on top.
    """
    floor = measure_floor()
    return await asyncio.to_thread(_measure, floor, progress)


def _measure(floor: float, progress: Progress) -> list[Result]:
    progress("counting")
    counted = CountingWorld(SEED, COMMITTEE_MEMBERS_MAX, CountingNode, is_calm=True)
    outcome = counted.run(STEPS_MAX, HEIGHTS)
    progress("timing")
    timed = World(SEED, COMMITTEE_MEMBERS_MAX, is_calm=True)
    gc.disable()  # as runs of the simulation do
    started_s = time.process_time()
    again = timed.run(STEPS_MAX, HEIGHTS)
    seconds = time.process_time() - started_s
    gc.enable()
    assert again == outcome, "one seed, one run"
    blocks, machines = outcome.height, len(counted.machines)
    checks = sum(
        machine.node.signatures_checked for machine in counted.machines if isinstance(machine.node, CountingNode)
    )
    details = {
        "blocks": blocks,
        "nodes": machines,
        "transactions": outcome.final,
        "highest round": outcome.rounds_max,
        "virtual ms a block": round(outcome.virtual_ms / blocks),
    }

    def result(name: str, value: float, unit: str, ratio: float | None = None) -> Result:
        return Result(f"committee-21{name}", value, unit, floor, ratio, details=details)

    checks_each = checks / machines / blocks
    return [
        result("", seconds * 1e3 / blocks, "ms of one core a block, all nodes"),
        result("-messages", counted.messages / blocks, "messages a block"),
        result("-bytes", counted.payload_bytes / blocks / 1e3, "kB a block"),
        result("-checks", checks_each, "signatures a block and node", checks_each / floor),
    ]
