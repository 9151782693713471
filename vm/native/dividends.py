"""Dividends: pools that governance declares for a period, paid through distributions (paper 12.1, 12.3).

The formula stands in vm/native/dividend.py; the chain does not compute it. Whoever has the blocks does, and the
attesters whom the declaration names post the root of what came out (vm/native/distribution.py).

| key                  | value                                   |
|----------------------|-----------------------------------------|
| dividend_key(source) | DeclaredDividend, by its source's number |

Rules
* V1 Governance declares a dividend: the pool, its rules, the period, who attests, and until when it is claimed.
* V2 With that the pool moves from a budget of the treasury into a source of its own, or the declaration fails.
* V3 The source pays as any other does, by claims against roots (D1 to D14, B1 to B3). It belongs to the budget.
* V4 From the end of the claims on, which is no sooner than CLAIMS_MS_MIN after the period, nor than LATE_CLAIMS_MS
  after the window of the newest root, also of a void one, anybody has what is left given back to the budget: what
  nobody claimed, and what rounding left. The declaration has decided that. Claims that come later find nothing; until
  then they are paid.
  Nothing else takes a grain out: the source is the budget's own, by rule D3 for good, and no account acts for a budget.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Final

from annotated_types import Interval, Len

from identity.did import Did
from ledger.codec import decode, encode
from ledger.primitives import Grains, TimeMs
from ledger.reasons import Reason, Rejected
from ledger.receipt import Event
from ledger.state import State, StateReader
from ledger.state_keys import DIVIDEND_PREFIX, dividend_key
from vm.context import BlockContext, Context, Moment
from vm.gas import GAS_STATE_READ, GAS_STATE_WRITE
from vm.native.accounts import DAY_MS
from vm.native.distribution_events import SourceCreated, SourceFunded
from vm.native.distribution_records import (
    ATTESTERS_MAX,
    CHALLENGE_MS_MAX,
    LABEL_CHARACTERS_MAX,
    Breaker,
    SourceId,
    SourceRules,
    check_rules,
    close_source,
    create_source,
    find_root,
    fund_source,
    get_source,
)
from vm.native.distribution_records import MODULE_NAME as DISTRIBUTION
from vm.native.dividend import DividendRules
from vm.native.dividend import check_rules as check_weights
from vm.native.iov import TREASURY_ADDRESSES, TREASURY_PERCENT
from vm.native.rules import CallRule, EventRule, ModuleRule, ViewRule

MODULE_NAME: Final = "dividends"
CLAIMS_MS_MIN: Final = 90 * DAY_MS  # time to build, attest, challenge (30 days at most) and claim
LATE_CLAIMS_MS: Final = 30 * DAY_MS  # to claim when attesters were late, or to post anew what was voided
DIVIDENDS_SHOWN_MAX: Final = 50

assert CLAIMS_MS_MIN > 2 * CHALLENGE_MS_MAX, "a root that was voided can be posted again and claimed"


@dataclass(frozen=True, slots=True)
class DividendTerms:
    """What governance declares."""

    label: Annotated[str, Len(1, LABEL_CHARACTERS_MAX)]
    category: Annotated[str, Len(1, 32)]
    """Budget of the treasury that pays."""
    rules: DividendRules
    starts_ms: TimeMs
    """Of the period: holdings and coin age count from here …"""
    ends_ms: TimeMs
    """… up to here."""
    claims_end_ms: TimeMs
    """From here on what is left goes back."""
    attesters: Annotated[tuple[Did, ...], Len(1, ATTESTERS_MAX)]
    """In order, each once."""
    threshold: Annotated[int, Interval(ge=1, le=ATTESTERS_MAX)]
    challenge_ms: Annotated[int, Interval(ge=1, le=CHALLENGE_MS_MAX)]
    breaker: Breaker


@dataclass(frozen=True, slots=True)
class DeclaredDividend:
    """A dividend that was declared."""

    terms: DividendTerms
    declared_ms: TimeMs
    returned_grains: Grains
    """What went back to the budget."""


@dataclass(frozen=True, slots=True)
class TakeBack:
    """Have what is left of a dividend given back to the budget that it came from; anybody may."""

    source: SourceId


@dataclass(frozen=True, slots=True)
class DividendDeclared:
    """A pool waits in a source for the root over who gets how much of it."""

    source: SourceId
    label: str
    category: str
    pool_grains: Grains
    claims_end_ms: TimeMs


@dataclass(frozen=True, slots=True)
class DividendTakenBack:
    """What was left of a dividend is in its budget again."""

    source: SourceId
    category: str
    amount_grains: Grains


@dataclass(frozen=True, slots=True)
class DividendDescription:
    """A dividend as the view tells it."""

    source: SourceId
    dividend: DeclaredDividend
    claimed_grains: Grains
    left_grains: Grains


def check_dividend(state: StateReader, terms: DividendTerms) -> None:
    """Whether a dividend can be declared so (rules V1 and V4); raises Rejected. The budget must hold it when due."""
    if terms.category not in TREASURY_PERCENT:
        raise Rejected(Reason.UNKNOWN_CATEGORY, f"the budgets are {', '.join(TREASURY_PERCENT)}")
    if terms.rules.pool_grains <= 0:
        raise Rejected(Reason.AMOUNT_ZERO, "an amount is at least one grain")
    check_weights(terms.rules)
    if terms.starts_ms >= terms.ends_ms:
        raise Rejected(Reason.BAD_DIVIDEND, "the period ends after its beginning")
    if terms.claims_end_ms < terms.ends_ms + CLAIMS_MS_MIN:
        raise Rejected(
            Reason.BAD_DIVIDEND, "claims end too soon after the period", minimum=terms.ends_ms + CLAIMS_MS_MIN
        )
    check_rules(state, _make_source_rules(terms))


def declare_dividend(state: State, block: BlockContext, terms: DividendTerms) -> list[Event]:
    """Rules V1 and V2; raises Rejected."""
    now_ms, rules, pool_grains = block.time_ms, _make_source_rules(terms), terms.rules.pool_grains
    if terms.claims_end_ms < now_ms + CLAIMS_MS_MIN:
        raise Rejected(Reason.BAD_DIVIDEND, "claims end too soon from now", minimum=now_ms + CLAIMS_MS_MIN)
    source = create_source(state, rules)
    fund_source(state, source, rules.owner, pool_grains, now_ms)
    _put(state, source, DeclaredDividend(terms, now_ms, Grains(0)))
    return [
        Event(DISTRIBUTION, SourceCreated.__name__, [source, rules.owner, rules.label]),
        Event(DISTRIBUTION, SourceFunded.__name__, [source, rules.owner, pool_grains]),
        Event(
            MODULE_NAME,
            DividendDeclared.__name__,
            [source, terms.label, terms.category, pool_grains, terms.claims_end_ms],
        ),
    ]


def apply_take_back(state: State, context: Context, call: TakeBack) -> None:
    """Rule V4."""
    declared, now_ms = get_dividend(state, call.source), context.block.time_ms
    terms = declared.terms
    until_ms = max(terms.claims_end_ms, _find_late_end(state, call.source))
    if now_ms < until_ms:
        raise Rejected(Reason.DIVIDEND_NOT_OVER, "it is still claimed", until_ms=until_ms)
    grains = close_source(state, call.source, TREASURY_ADDRESSES[terms.category], now_ms)
    _put(state, call.source, DeclaredDividend(terms, declared.declared_ms, Grains(declared.returned_grains + grains)))
    context.emit(MODULE_NAME, DividendTakenBack.__name__, call.source, terms.category, grains)


def _find_late_end(state: StateReader, source: SourceId) -> int:
    """Until when the newest root is claimed, or one that was voided is replaced; 0: none was posted."""
    newest = find_root(state, source, get_source(state, source).roots)
    return 0 if newest is None else newest.counts_ms + LATE_CLAIMS_MS


def find_dividend(state: StateReader, source: SourceId) -> DeclaredDividend | None:
    """A dividend by the number of its source."""
    encoded = state.get(dividend_key(source))
    return None if encoded is None else decode(DeclaredDividend, encoded)


def get_dividend(state: StateReader, source: SourceId) -> DeclaredDividend:
    """The same; raises Rejected."""
    found = find_dividend(state, source)
    if found is None:
        raise Rejected(Reason.UNKNOWN_DIVIDEND, "there is no dividend of this source")
    return found


def _put(state: State, source: SourceId, dividend: DeclaredDividend) -> None:
    state.put(dividend_key(source), encode(dividend))


def _make_source_rules(terms: DividendTerms) -> SourceRules:
    owner = TREASURY_ADDRESSES[terms.category]
    return SourceRules(terms.label, owner, terms.attesters, terms.threshold, terms.challenge_ms, terms.breaker)


# Views


def answer_dividend(state: StateReader, _: Moment, source: SourceId) -> DividendDescription | None:
    """The view of one, by the number of its source."""
    found = find_dividend(state, source)
    return None if found is None else _describe(state, source, found)


def answer_dividends(state: StateReader, _: Moment) -> list[DividendDescription]:
    """The view of the newest ones, the newest first."""
    numbers = [key[len(DIVIDEND_PREFIX) :] for key, _ in state.iterate_prefix(DIVIDEND_PREFIX)]
    return list(_describe_all(state, numbers[: -DIVIDENDS_SHOWN_MAX - 1 : -1]))


def _describe_all(state: StateReader, numbers: list[bytes]) -> Iterator[DividendDescription]:
    for each in numbers:
        source = SourceId(int.from_bytes(each, "big"))
        yield _describe(state, source, get_dividend(state, source))


def _describe(state: StateReader, source: SourceId, dividend: DeclaredDividend) -> DividendDescription:
    found = get_source(state, source)
    return DividendDescription(source, dividend, found.claimed_grains, Grains(found.left_grains))


_TAKE_BACK_GAS: Final = 4 * GAS_STATE_READ + 4 * GAS_STATE_WRITE

MODULE = ModuleRule(
    name=MODULE_NAME,
    summary="Dividends that governance declares",
    calls=(CallRule("take_back", TakeBack, apply_take_back, lambda _: _TAKE_BACK_GAS, str(_TAKE_BACK_GAS)),),
    events=tuple(map(EventRule, (DividendDeclared, DividendTakenBack))),
    views=(
        ViewRule("dividend", (("source", SourceId),), answer_dividend),
        ViewRule("dividends", (), answer_dividends),
    ),
)
