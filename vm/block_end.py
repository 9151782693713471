"""What a block does after its transactions: fees, punishments, decisions, elections, releases of stake."""

from ledger.receipt import Event
from ledger.state import State
from vm.context import BlockContext
from vm.native.governance import apply_decisions
from vm.native.iov import FEES_ADDRESS, credit


def apply_block_end(state: State, block: BlockContext, fees_grains: int) -> tuple[Event, ...]:
    """Everything that is due with this block, in this order; its events, in this order."""
    events: list[Event] = []
    if fees_grains:
        credit(state, FEES_ADDRESS, fees_grains, block.time_ms)
    events.extend(apply_decisions(state, block))
    return tuple(events)
