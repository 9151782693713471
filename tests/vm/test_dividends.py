"""Dividends that governance declares: rules V1 to V4."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from identity.did import Did
from ledger.codec import to_plain
from ledger.primitives import Grains, Height, TimeMs
from ledger.reasons import Reason, Rejected
from ledger.receipt import Event
from ledger.transaction import Call
from tests.builders import address_of, block_context, make_key
from tests.did_scene import build_create, control_of
from tests.distribution_scene import (
    BREAKER,
    CHALLENGE_MS,
    DistributionScene,
    account_key,
    check_conservation,
    distribute,
)
from tests.vm.contracts.test_decisions import Chamber
from vm.context import Moment
from vm.native.accounts import DAY_MS
from vm.native.distribution_records import (
    DISTRIBUTION_ADDRESS,
    Breaker,
    Source,
    SourceId,
    SourceRules,
    VoidCause,
    find_source,
    fund_source,
    get_source,
    set_source_rules,
    void_root,
)
from vm.native.dividend import DividendRules, Merit, compute_dividend, compute_totals
from vm.native.dividends import (
    CLAIMS_MS_MIN,
    LATE_CLAIMS_MS,
    DeclaredDividend,
    DividendDescription,
    DividendTerms,
    check_dividend,
    declare_dividend,
    find_dividend,
)
from vm.native.governance import ProposalStatus, get_proposal
from vm.native.iov import TREASURY_ADDRESSES, credit, get_balance
from vm.native.registry import answer_view

BUDGET = TREASURY_ADDRESSES["community"]
POOL = 1_000
RULES = DividendRules(Grains(POOL), 3_000, 2_000, 10)
YEAR_MS = 365 * DAY_MS
WIDE = Breaker(BREAKER.window_ms, 10**6, 10_000, 10**6)
ANNE, BERT = account_key("anne"), account_key("bert")


def make_terms(attesters: tuple[Did, ...], **changes) -> DividendTerms:
    ends_ms = TimeMs(YEAR_MS)
    plain = DividendTerms(
        *("Dividend 1970", "community", RULES, TimeMs(0), ends_ms, TimeMs(ends_ms + CLAIMS_MS_MIN)),
        *(attesters, 1, CHALLENGE_MS, WIDE),
    )
    return replace(plain, **changes)


class DividendScene(DistributionScene):
    """A dividend of three attesters, two of whom suffice; scene.source is its source."""

    def __init__(self) -> None:
        super().__init__()
        credit(self.state, BUDGET, POOL + 5, 0)
        self.terms = make_terms(tuple(sorted(self.attesters.values())), threshold=2)
        self.declared_ms = self.now_ms
        self.events = declare_dividend(self.state, block_context(self.height, self.now_ms), self.terms)
        self.source = SourceId(2)
        self.state.forget_marks()

    def take_back(self) -> Call:
        return Call("dividends", "take_back", [self.source])

    def view(self, name: str, *arguments: object):
        return answer_view(
            self.state, Moment(Height(self.height), TimeMs(self.now_ms)), "dividends", name, list(arguments)
        )

    def end(self) -> None:
        self.pass_ms(self.terms.claims_end_ms - self.now_ms)


@pytest.fixture
def scene() -> DividendScene:
    return DividendScene()


def test_a_declaration_moves_the_pool_into_a_source_of_its_own(scene):
    owner_rules = SourceRules("Dividend 1970", BUDGET, scene.terms.attesters, 2, CHALLENGE_MS, WIDE)
    assert scene.events == [
        Event("distribution", "SourceCreated", [2, BUDGET, "Dividend 1970"]),
        Event("distribution", "SourceFunded", [2, BUDGET, POOL]),
        Event("dividends", "DividendDeclared", [2, "Dividend 1970", "community", POOL, scene.terms.claims_end_ms]),
    ]
    assert find_source(scene.state, scene.source) == Source(owner_rules, Grains(POOL), 0, 0, 0, 0)
    assert find_dividend(scene.state, scene.source) == DeclaredDividend(scene.terms, scene.declared_ms, Grains(0))
    assert get_balance(scene.state, BUDGET) == 5
    check_conservation(scene.state)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"category": "nothing"}, Reason.UNKNOWN_CATEGORY),
        ({"rules": replace(RULES, pool_grains=0)}, Reason.AMOUNT_ZERO),
        ({"rules": replace(RULES, holdings_bps=8_001)}, Reason.BAD_PARAMETER),
        ({"starts_ms": YEAR_MS}, Reason.BAD_DIVIDEND),
        ({"claims_end_ms": YEAR_MS + CLAIMS_MS_MIN - 1}, Reason.BAD_DIVIDEND),
        ({"threshold": 4}, Reason.DISTRIBUTION_BAD_RULES),
        ({"attesters": (Did(bytes(20)),), "threshold": 1}, Reason.UNKNOWN_DID),
    ],
)
def test_what_cannot_be_declared(scene, changes, reason):
    check_dividend(scene.state, scene.terms)
    with pytest.raises(Rejected) as refused:
        check_dividend(scene.state, replace(scene.terms, **changes))
    assert refused.value.reason is reason


def test_claims_last_long_enough_from_the_declaration_on(scene):
    credit(scene.state, BUDGET, POOL, 0)
    late = scene.terms.claims_end_ms - CLAIMS_MS_MIN
    with pytest.raises(Rejected) as refused:
        declare_dividend(scene.state, block_context(1, late + 1), scene.terms)
    assert refused.value.reason is Reason.BAD_DIVIDEND
    assert len(declare_dividend(scene.state, block_context(1, late), scene.terms)) == 3


def test_it_is_claimed_and_what_is_left_goes_back(scene):
    built = scene.settle({ANNE: 600, BERT: 390})
    scene.accept(scene.claim(built, ANNE))
    scene.pass_ms(DAY_MS)
    scene.refuse(scene.take_back(), Reason.DIVIDEND_NOT_OVER)
    scene.pass_ms(scene.terms.claims_end_ms - scene.now_ms - 1_000)
    scene.refuse(scene.take_back(), Reason.DIVIDEND_NOT_OVER)
    scene.pass_ms(1_000)
    receipt = scene.accept(scene.take_back())
    assert receipt.events == (Event("dividends", "DividendTakenBack", [2, "community", 400]),)
    assert (scene.balance("anne"), get_balance(scene.state, BUDGET)) == (600, 405)
    check_conservation(scene.state)
    scene.refuse(scene.claim(built, BERT), Reason.DISTRIBUTION_EXCEEDED)
    scene.refuse(scene.take_back(), Reason.DISTRIBUTION_NOTHING_DUE)
    declared = DeclaredDividend(scene.terms, scene.declared_ms, Grains(400))
    assert scene.view("dividend", 2) == DividendDescription(SourceId(2), declared, Grains(600), Grains(0))


def test_a_root_that_comes_late_is_claimed_for_a_while(scene):
    """Attesters were late, or voided a wrong root, and the right one is open when claims end."""
    scene.pass_ms(scene.terms.claims_end_ms - scene.now_ms - 5_000)
    built = distribute({ANNE: 600, BERT: 390})
    scene.accept(scene.post(built))
    counts_ms = scene.now_ms - 1_000 + CHALLENGE_MS
    scene.pass_ms(CHALLENGE_MS)
    scene.accept(scene.claim(built, ANNE))
    scene.pass_ms(counts_ms + LATE_CLAIMS_MS - scene.now_ms - 1_000)
    scene.refuse(scene.take_back(), Reason.DIVIDEND_NOT_OVER)
    scene.pass_ms(1_000)
    scene.accept(scene.take_back())
    assert (scene.balance("anne"), get_balance(scene.state, BUDGET)) == (600, 405)


def test_attesters_have_time_to_replace_a_late_root_that_was_voided(scene):
    scene.pass_ms(scene.terms.claims_end_ms - scene.now_ms - 5_000)
    scene.accept(scene.post(distribute({ANNE: 999})))
    scene.accept(scene.void())
    scene.end()
    scene.refuse(scene.take_back(), Reason.DIVIDEND_NOT_OVER)
    built = scene.settle({ANNE: 600})
    scene.accept(scene.claim(built, ANNE))
    assert (scene.balance("anne"), get_balance(scene.state, BUDGET)) == (600, 5)


def test_claims_are_paid_until_somebody_takes_back(scene):
    built = scene.settle({ANNE: 600})
    scene.end()
    scene.accept(scene.claim(built, ANNE))
    assert scene.balance("anne") == 600


def test_what_is_paid_in_after_the_end_goes_back_too_and_to_nobody_else(scene):
    built = scene.settle({ANNE: 600, BERT: 400})
    scene.end()
    scene.accept(scene.take_back())
    credit(scene.state, BUDGET, 7, scene.now_ms)
    fund_source(scene.state, scene.source, BUDGET, 7, scene.now_ms)
    scene.state.forget_marks()
    scene.refuse(scene.claim(built, ANNE), Reason.DISTRIBUTION_EXCEEDED)
    scene.accept(scene.take_back())
    assert find_dividend(scene.state, scene.source).returned_grains == POOL + 7
    check_conservation(scene.state)


def test_a_root_that_is_voided_after_the_end_promises_nothing_anew(scene):
    scene.settle({ANNE: 600})
    scene.settle({ANNE: 600, BERT: 400})
    scene.end()
    scene.accept(scene.take_back())
    void_root(scene.state, scene.source, 2, VoidCause.GOVERNANCE)
    assert get_source(scene.state, scene.source).promised_grains == 0
    check_conservation(scene.state)


@given(
    merits=st.lists(
        st.builds(Merit, st.integers(0, 10**6), st.integers(0, 10**8), st.integers(10, 10**4)), min_size=1, max_size=5
    )
)
@settings(max_examples=10, deadline=None)
def test_what_rounding_leaves_goes_back_to_the_grain(merits):
    """Everybody has claimed; the budget has what the formula could not share out, and nobody has anything else."""
    scene = DividendScene()
    totals = compute_totals(RULES, merits)
    shares = {
        account_key(f"holder {index}"): compute_dividend(RULES, totals, each) for index, each in enumerate(merits)
    }
    paid = sum(shares.values())
    built = scene.settle({key: share for key, share in shares.items() if share})
    scene.accept(scene.claim(built, *[key for key, share in shares.items() if share]))
    scene.end()
    if paid == POOL:
        scene.refuse(scene.take_back(), Reason.DISTRIBUTION_NOTHING_DUE)
    else:
        receipt = scene.accept(scene.take_back())
        assert receipt.events == (Event("dividends", "DividendTakenBack", [2, "community", POOL - paid]),)
    assert get_balance(scene.state, BUDGET) == 5 + POOL - paid
    assert [scene.balance(f"holder {index}") for index in range(len(merits))] == list(shares.values())
    check_conservation(scene.state)


def test_what_is_left_goes_nowhere_else(scene):
    """Not to an owner, by nobody's call and by no decision on the source's rules."""
    call = Call("distribution", "withdraw", [scene.source, 1])
    scene.refuse(call, Reason.DISTRIBUTION_NOT_OWNER)
    rules = get_source(scene.state, scene.source).rules
    thief = address_of(make_key("thief"))
    with pytest.raises(Rejected, match="stays the module's") as refused:
        set_source_rules(scene.state, scene.source, replace(rules, owner=thief))
    assert refused.value.reason is Reason.DISTRIBUTION_BAD_RULES
    with pytest.raises(Rejected, match="stays the module's"):
        set_source_rules(scene.state, scene.source, replace(rules, owner=TREASURY_ADDRESSES["core"]))
    set_source_rules(scene.state, scene.source, replace(rules, threshold=1))
    assert get_source(scene.state, scene.source).rules == replace(rules, threshold=1)


def test_what_is_no_dividend_is_not_taken_back(scene):
    scene.end()
    scene.source = SourceId(1)
    scene.refuse(scene.take_back(), Reason.UNKNOWN_DIVIDEND)


def test_dividends_are_listed_newest_first(scene):
    credit(scene.state, BUDGET, POOL, 0)
    declare_dividend(scene.state, block_context(scene.height, scene.now_ms), scene.terms)
    assert [each.source for each in scene.view("dividends")] == [3, 2]
    assert scene.view("dividend", 1) is None


def test_governance_declares_a_dividend():
    chamber = Chamber()
    did, call = build_create(control_of("attester"), "attester")
    assert chamber.send(call).reason == 0
    credit(chamber.state, BUDGET, POOL, 0)
    terms = make_terms((did,), claims_end_ms=TimeMs(10**12))
    assert [(event.module, event.name) for event in chamber.decide("propose_dividend", to_plain(terms))] == [
        ("distribution", "SourceCreated"),
        ("distribution", "SourceFunded"),
        ("dividends", "DividendDeclared"),
        ("governance", "Spent"),
        ("governance", "ProposalSettled"),
    ]
    assert get_balance(chamber.state, DISTRIBUTION_ADDRESS) == POOL
    check_conservation(chamber.state)


def test_a_dividend_that_the_budget_cannot_pay_fails_whole():
    chamber = Chamber()
    did, call = build_create(control_of("attester"), "attester")
    assert chamber.send(call).reason == 0
    credit(chamber.state, BUDGET, POOL - 1, 0)
    terms = make_terms((did,), claims_end_ms=TimeMs(10**12))
    (settled,) = chamber.decide("propose_dividend", to_plain(terms))
    assert settled.name == "ProposalSettled"
    assert get_proposal(chamber.state, 1).status is ProposalStatus.FAILED
    assert (find_source(chamber.state, SourceId(1)), get_balance(chamber.state, BUDGET)) == (None, POOL - 1)
