"""The end of a day of mining: the one place where grains leave the fund (rules N1, N9, N10 of vm/native/mining.py)."""

from dataclasses import dataclass, replace
from typing import Final

from ledger.primitives import Grains
from ledger.receipt import Event
from ledger.state import State
from vm.context import BlockContext
from vm.native.mining_formulas import FORCE_MAX, Epoch, close_epoch, compute_epoch
from vm.native.mining_records import (
    MODULE_NAME,
    SETTLING_BLOCKS,
    DayBegun,
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
    take_back,
    take_revenue,
)

CLOSINGS_MAX: Final = 32  # of one block: a chain that stood still for a year closes its days over a dozen blocks
RESERVED_EPOCHS: Final = 30  # closed ones that may lack a root of their rewards: disputes about one take weeks


@dataclass(frozen=True, slots=True)
class EpochClosed:
    """A day of mining has its price, and what it pays has left the fund."""

    epoch: Epoch
    force: int
    price_micrograins: int
    """For one force."""
    released_grains: Grains
    returned_grains: Grains
    """Released for earlier days and owed to nobody."""
    remaining_grains: Grains


def close_due_epochs(state: State, block: BlockContext) -> list[Event]:
    """Close what is due with this block; reads one key and writes nothing in the middle of a day."""
    known = get_progress(state)
    if known is None:
        return []
    events: list[Event] = []
    progress = _note_day(block, known)
    while len(events) < CLOSINGS_MAX and _is_due(state, block, progress):
        progress, event = _close(state, block, progress)
        events.append(event)
    if progress != known:
        put_progress(state, progress)
    return events


def _note_day(block: BlockContext, progress: Progress) -> Progress:
    """Rule N1: on which day, and since which block, time and blocks of epochs are over."""
    today, begun, settled_day = compute_epoch(block.time_ms), progress.begun, progress.settled_day
    if today > (begun[-1].day if begun else settled_day):
        begun = (*begun, DayBegun(today, block.height))
    while begun and begun[0].height + SETTLING_BLOCKS <= block.height:
        settled_day, begun = begun[0].day, begun[1:]
    return replace(progress, settled_day=settled_day, begun=begun)


def _is_due(state: State, block: BlockContext, progress: Progress) -> bool:
    """Rule N1. Asks for rules and the epoch only on a day that could close it."""
    epoch = progress.next_epoch
    if epoch >= progress.settled_day:
        return False
    if epoch + get_rules(state, epoch).rules.settling_epochs >= progress.settled_day:
        return False
    return get_mining_epoch(state, epoch).challenged_until_ms <= block.time_ms


def _close(state: State, block: BlockContext, progress: Progress) -> tuple[Progress, Event]:
    epoch = progress.next_epoch
    record, version = get_mining_epoch(state, epoch), get_rules(state, epoch)
    assert record.force <= FORCE_MAX, "postings are limited"
    fund_grains, revenue_grains = get_fund(state), take_revenue(state) if record.force else 0
    closing = close_epoch(
        fund_grains, version.release_share, revenue_grains, record.force, progress.market, version.rules
    )
    source = find_mining_source(state)
    if source is None:
        closing = replace(closing, price_micrograins=0, released_grains=Grains(0))
    elif closing.released_grains:
        release(state, source, closing.released_grains, block.time_ms)
    reserved_grains = progress.reserved_grains + closing.released_grains - _get_settled(state, epoch)
    returned_grains = 0 if source is None else take_back(state, source, reserved_grains, block.time_ms)
    outcome = Outcome(
        height=block.height,
        revenue_grains=Grains(revenue_grains),
        topup_grains=closing.topup_grains,
        budget_grains=closing.budget_grains,
        smoothed_force=closing.market.smoothed_force,
        quoted_micrograins=closing.market.quoted_micrograins,
        price_micrograins=closing.price_micrograins,
        released_grains=closing.released_grains,
        returned_grains=Grains(returned_grains),
        remaining_grains=Grains(get_fund(state)),
    )
    put_mining_epoch(state, epoch, replace(record, outcome=outcome))
    paid = [closing.price_micrograins, outcome.released_grains, outcome.returned_grains, outcome.remaining_grains]
    following = replace(
        progress,
        next_epoch=Epoch(epoch + 1),
        released_grains=Grains(progress.released_grains + closing.released_grains),
        returned_grains=Grains(progress.returned_grains + returned_grains),
        reserved_grains=Grains(reserved_grains),
        market=closing.market,
    )
    return following, Event(MODULE_NAME, EpochClosed.__name__, [epoch, record.force, *paid])


def _get_settled(state: State, epoch: Epoch) -> int:
    """What was reserved for the epoch that loses its reservation with this one."""
    outcome = get_mining_epoch(state, epoch - RESERVED_EPOCHS).outcome if epoch >= RESERVED_EPOCHS else None
    return 0 if outcome is None else outcome.released_grains
