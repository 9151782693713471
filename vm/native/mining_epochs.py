"""The end of a day of mining: the one place where grains leave the fund (rules N9 and N10 of vm/native/mining.py)."""

from dataclasses import dataclass, replace
from typing import Final

from ledger.primitives import Grains
from ledger.receipt import Event
from ledger.state import State
from vm.context import BlockContext
from vm.native.mining_formulas import FORCE_MAX, Epoch, close_epoch, compute_epoch
from vm.native.mining_records import (
    MODULE_NAME,
    Outcome,
    Progress,
    find_mining_source,
    get_fund,
    get_mining_epoch,
    get_progress,
    get_rules,
    put_mining_epoch,
    put_progress,
    release,
    take_revenue,
)

CLOSINGS_MAX: Final = 32  # of one block: a chain that stood still for a year closes its days over a dozen blocks


@dataclass(frozen=True, slots=True)
class EpochClosed:
    """A day of mining has its price, and what it pays has left the fund."""

    epoch: Epoch
    force: int
    price_micrograins: int
    """For one force."""
    released_grains: Grains
    remaining_grains: Grains


def close_due_epochs(state: State, block: BlockContext) -> list[Event]:
    """Close what is due with this block; reads one key and writes nothing where nothing is."""
    events: list[Event] = []
    today = compute_epoch(block.time_ms)
    progress = get_progress(state)
    while progress is not None and len(events) < CLOSINGS_MAX and _is_due(state, progress, today):
        progress, event = _close(state, block, progress)
        events.append(event)
    if progress is not None and events:
        put_progress(state, progress)
    return events


def _is_due(state: State, progress: Progress, today: Epoch) -> bool:
    """Asks for the rules only on a day that could close something."""
    epoch = progress.next_epoch
    return epoch < today and epoch + get_rules(state, epoch).rules.settling_epochs < today


def _close(state: State, block: BlockContext, progress: Progress) -> tuple[Progress, Event]:
    epoch = progress.next_epoch
    record, version = get_mining_epoch(state, epoch), get_rules(state, epoch)
    assert record.force <= FORCE_MAX, "postings are limited"
    fund_grains, revenue_grains = get_fund(state), take_revenue(state)
    closing = close_epoch(
        fund_grains, version.release_share, revenue_grains, record.force, progress.market, version.rules
    )
    source = find_mining_source(state)
    if source is None:
        closing = replace(closing, price_micrograins=0, released_grains=Grains(0))
    elif closing.released_grains:
        release(state, source, closing.released_grains, block.time_ms)
    remaining_grains = Grains(fund_grains - closing.released_grains)
    outcome = Outcome(
        height=block.height,
        revenue_grains=Grains(revenue_grains),
        topup_grains=closing.topup_grains,
        budget_grains=closing.budget_grains,
        smoothed_force=closing.market.smoothed_force,
        quoted_micrograins=closing.market.quoted_micrograins,
        price_micrograins=closing.price_micrograins,
        released_grains=closing.released_grains,
        remaining_grains=remaining_grains,
    )
    put_mining_epoch(state, epoch, replace(record, outcome=outcome))
    fields = [epoch, record.force, closing.price_micrograins, closing.released_grains, remaining_grains]
    following = replace(
        progress,
        next_epoch=Epoch(epoch + 1),
        released_grains=Grains(progress.released_grains + closing.released_grains),
        market=closing.market,
    )
    return following, Event(MODULE_NAME, EpochClosed.__name__, fields)
