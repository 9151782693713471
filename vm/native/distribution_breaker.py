"""The circuit breaker of a source: what it pays in a window of time, counted in parts of it (rules B1 to B3)."""

from dataclasses import replace

from ledger.primitives import Grains, TimeMs
from vm.native.distribution_records import SHARE_BPS_MAX, WINDOW_PARTS, Breaker, Flow, Paid


def compute_limit_grains(breaker: Breaker, left_grains: int, paid_grains: int) -> int:
    """What may be paid within one window: the share of what was held when it began, between the floor and the limit."""
    share_grains = (left_grains + paid_grains) * breaker.share_bps // SHARE_BPS_MAX
    return min(breaker.limit_grains, max(breaker.floor_grains, share_grains))


def slide(breaker: Breaker, flow: Flow, now_ms: int) -> Flow:
    """The flow without the parts that the window has left behind; a part it has half left still counts in full."""
    oldest = max(0, now_ms - breaker.window_ms) // _get_part_ms(breaker)
    return replace(flow, paid=tuple([each for each in flow.paid if each.part >= oldest]))


def sum_paid(flow: Flow) -> int:
    """What was paid in all parts."""
    return sum(each.grains for each in flow.paid)


def add_paid(breaker: Breaker, flow: Flow, grains: int, now_ms: int) -> Flow:
    """The flow with another payment; time never goes back."""
    part = now_ms // _get_part_ms(breaker)
    if flow.paid and flow.paid[-1].part == part:
        last = Paid(part, Grains(flow.paid[-1].grains + grains))
        return replace(flow, paid=(*flow.paid[:-1], last))
    return replace(flow, paid=(*flow.paid, Paid(part, Grains(grains))))


def trip(breaker: Breaker, now_ms: int) -> Flow:
    """Nothing is paid for a whole window, so afterwards nothing of it counts any more."""
    return Flow((), TimeMs(now_ms + breaker.window_ms))


def _get_part_ms(breaker: Breaker) -> int:
    return -(-breaker.window_ms // WINDOW_PARTS)
