"""What a block does after its transactions: fees, punishments, decisions, elections, stake, mining, panels."""

from ledger.receipt import Event
from ledger.state import State
from vm.context import BlockContext
from vm.native.ads_complaints import draw_due_panels
from vm.native.election import (
    apply_key_changes,
    gather_fees,
    get_committee,
    hold_elections,
    promote_committee,
)
from vm.native.governance import apply_decisions
from vm.native.lockups import reach_due_heights
from vm.native.mining_epochs import close_due_epochs
from vm.native.mining_records import note_revenue
from vm.native.punishment import Jailed, punish_offences, record_turns
from vm.native.sale import close_ended_sale
from vm.native.stake import release_due


def apply_block_end(state: State, block: BlockContext, fees_grains: int) -> tuple[Event, ...]:
    """Everything that is due with this block, in this order; its events, in this order.

    A block for which nothing is due writes nothing: an idle chain is sealed by an empty block.
    """
    ruling = get_committee(state)
    events = punish_offences(state, block)
    events += record_turns(state, block, ruling)
    is_someone_jailed = any(event.name == Jailed.__name__ for event in events)
    gather_fees(state, block, ruling, fees_grains)

    events += apply_decisions(state, block)  # before an election, which counts with them
    events += close_ended_sale(state, block)  # after decisions: one may have opened a sale, or closed it
    reach_due_heights(state, block)  # after decisions, which may have granted what unlocks with this block
    # The next block's header was promised this committee; only then may changes be decided for the block after it.
    promote_committee(state)
    events += apply_key_changes(state, block)
    events += hold_elections(state, block, ruling, is_someone_jailed=is_someone_jailed)
    events += release_due(state, block.time_ms)
    events += close_due_epochs(state, block)
    events += draw_due_panels(state, block)
    note_revenue(state, fees_grains)
    return tuple(events)
