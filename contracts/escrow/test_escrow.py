"""The rules of the escrow, checked under CPython."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.escrow.escrow import (
    ALREADY_DISPUTED,
    ALREADY_SETTLED,
    AMOUNT_ZERO,
    BAD_DEADLINE,
    BAD_RULING_TIME,
    DEADLINE_MS_MAX,
    DISPUTED,
    HELD,
    NO_DEAL,
    NOT_ARBITER,
    NOT_BUYER,
    NOT_DISPUTED,
    NOT_PARTY,
    NOT_SELLER,
    NOTHING_DUE,
    RULING_MS_MAX,
    RULING_MS_MIN,
    SAME_PARTY,
    SETTLED,
    SHARE_TOO_LARGE,
    TOO_EARLY,
    TOO_LATE,
    Deal,
    Disputed,
    Escrow,
    Opened,
    Settled,
    Withdrawn,
)
from contracts.expecting import refused
from iov import Address, HostError, RevertError, u64
from iov.testing import Chain

DAY_MS = 86_400_000
PRICE = 1_001
START_GRAINS = 10_000
NUMBER = u64(1)


class Scene:
    """The buyer has paid in 1,001 grains for ten days; the arbiter would have two."""

    def __init__(self) -> None:
        self.chain = Chain()
        self.buyer = self.chain.account("buyer", START_GRAINS)
        self.seller, self.arbiter, self.stranger = (
            self.chain.account(name) for name in ("seller", "arbiter", "stranger")
        )
        self.escrow = self.chain.deploy(self.stranger, Escrow)
        self.deadline_ms = self.chain.time_ms + 10 * DAY_MS
        self.open()

    def open(
        self,
        *,
        value: int = PRICE,
        seller: Address | None = None,
        arbiter: Address | None = None,
        deadline_ms: int | None = None,
        height: int = 0,
        ruling_ms: int = 2 * DAY_MS,
    ) -> u64:
        """Open a deal as the buyer."""
        return self.chain.pay(
            self.buyer,
            value,
            self.escrow.open_deal,
            seller or self.seller,
            arbiter or self.arbiter,
            self.deadline_ms if deadline_ms is None else u64(deadline_ms),
            u64(height),
            u64(ruling_ms),
        )

    def dispute(self) -> u64:
        """Start a dispute as the buyer; until when there may be a ruling."""
        self.chain.call(self.buyer, self.escrow.dispute, NUMBER)
        return self.chain.time_ms + 2 * DAY_MS

    def deal(self) -> Deal:
        """The deal."""
        found = self.chain.view(self.escrow.find_deal, NUMBER)
        assert found is not None
        return found

    def due(self) -> tuple[int, int]:
        """What buyer and seller may withdraw."""
        buyer, seller = (self.chain.view(self.escrow.due_to, each) for each in (self.buyer, self.seller))
        return int(buyer), int(seller)

    def held(self) -> int:
        """What the contract has."""
        return self.chain.balance(self.chain.address(self.escrow))

    def told(self) -> object:
        """The last event."""
        return self.chain.events[-1].event


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_a_deal_holds_what_was_paid_in(scene: Scene) -> None:
    parties = scene.buyer, scene.seller, scene.arbiter
    assert scene.told() == Opened(NUMBER, *parties, u64(PRICE))
    assert scene.deal() == Deal(*parties, u64(PRICE), scene.deadline_ms, u64(0), u64(2 * DAY_MS), u64(0), HELD)
    assert scene.held() == PRICE
    assert scene.chain.balance(scene.buyer) == START_GRAINS - PRICE
    assert scene.open() == 2
    assert scene.chain.view(scene.escrow.count) == 2


def test_nothing_is_no_deal(scene: Scene) -> None:
    with refused(AMOUNT_ZERO):
        scene.open(value=0)


def test_the_three_are_different(scene: Scene) -> None:
    with refused(SAME_PARTY):
        scene.open(seller=scene.buyer)
    with refused(SAME_PARTY):
        scene.open(arbiter=scene.buyer)
    with refused(SAME_PARTY):
        scene.open(arbiter=scene.seller)


def test_the_deadline_is_ahead_and_within_a_year(scene: Scene) -> None:
    now_ms = int(scene.chain.time_ms)
    with refused(BAD_DEADLINE):
        scene.open(deadline_ms=now_ms)
    with refused(BAD_DEADLINE):
        scene.open(deadline_ms=now_ms + DEADLINE_MS_MAX + 1)
    with refused(BAD_DEADLINE):
        scene.open(height=int(scene.chain.height))
    scene.open(deadline_ms=now_ms + DEADLINE_MS_MAX, height=int(scene.chain.height) + 1)


def test_the_arbiter_has_a_time_that_can_be_waited_for(scene: Scene) -> None:
    for ruling_ms in (RULING_MS_MIN - 1, RULING_MS_MAX + 1):
        with refused(BAD_RULING_TIME):
            scene.open(ruling_ms=ruling_ms)
    for ruling_ms in (RULING_MS_MIN, RULING_MS_MAX):
        scene.open(ruling_ms=ruling_ms)


@pytest.mark.parametrize("is_disputed", [False, True])
def test_a_content_buyer_releases(scene: Scene, is_disputed: bool) -> None:
    if is_disputed:
        scene.dispute()
    scene.chain.call(scene.buyer, scene.escrow.release, NUMBER)
    assert scene.told() == Settled(NUMBER, scene.buyer, u64(0), u64(PRICE))
    assert scene.due() == (0, PRICE)
    assert scene.deal().stage == SETTLED


@pytest.mark.parametrize("is_disputed", [False, True])
def test_a_seller_gives_back(scene: Scene, is_disputed: bool) -> None:
    if is_disputed:
        scene.dispute()
    scene.chain.call(scene.seller, scene.escrow.refund, NUMBER)
    assert scene.told() == Settled(NUMBER, scene.seller, u64(PRICE), u64(0))
    assert scene.due() == (PRICE, 0)


def test_everybody_has_a_part_of_their_own(scene: Scene) -> None:
    with refused(NOT_BUYER):
        scene.chain.call(scene.seller, scene.escrow.release, NUMBER)
    with refused(NOT_SELLER):
        scene.chain.call(scene.buyer, scene.escrow.refund, NUMBER)
    with refused(NOT_PARTY):
        scene.chain.call(scene.arbiter, scene.escrow.dispute, NUMBER)
    scene.dispute()
    with refused(NOT_ARBITER):
        scene.chain.call(scene.buyer, scene.escrow.rule, NUMBER, u64(0))


@pytest.mark.parametrize("party", ["buyer", "seller"])
def test_either_party_disputes_once(scene: Scene, party: str) -> None:
    ruling_until_ms = scene.chain.time_ms + 2 * DAY_MS
    scene.chain.call(getattr(scene, party), scene.escrow.dispute, NUMBER)
    assert scene.told() == Disputed(NUMBER, getattr(scene, party), ruling_until_ms)
    assert (scene.deal().stage, scene.deal().ruling_until_ms) == (DISPUTED, ruling_until_ms)
    with refused(ALREADY_DISPUTED):
        scene.chain.call(scene.buyer, scene.escrow.dispute, NUMBER)


def test_a_dispute_comes_before_the_deadline(scene: Scene) -> None:
    scene.chain.advance(1, 10 * DAY_MS)
    with refused(TOO_LATE):
        scene.chain.call(scene.buyer, scene.escrow.dispute, NUMBER)


@pytest.mark.parametrize("seller_grains", [0, 400, PRICE])
def test_the_arbiter_divides(scene: Scene, seller_grains: int) -> None:
    scene.dispute()
    scene.chain.call(scene.arbiter, scene.escrow.rule, NUMBER, u64(seller_grains))
    assert scene.told() == Settled(NUMBER, scene.arbiter, u64(PRICE - seller_grains), u64(seller_grains))
    assert scene.due() == (PRICE - seller_grains, seller_grains)


def test_the_arbiter_divides_what_there_is_when_asked_and_in_time(scene: Scene) -> None:
    with refused(NOT_DISPUTED):
        scene.chain.call(scene.arbiter, scene.escrow.rule, NUMBER, u64(0))
    scene.dispute()
    with refused(SHARE_TOO_LARGE):
        scene.chain.call(scene.arbiter, scene.escrow.rule, NUMBER, u64(PRICE + 1))
    scene.chain.advance(1, 2 * DAY_MS)
    with refused(TOO_LATE):
        scene.chain.call(scene.arbiter, scene.escrow.rule, NUMBER, u64(0))


def test_silence_until_the_deadline_is_consent(scene: Scene) -> None:
    scene.chain.advance(1, 10 * DAY_MS - 1)
    with refused(TOO_EARLY):
        scene.chain.call(scene.stranger, scene.escrow.conclude, NUMBER)
    scene.chain.advance(1, 1)
    scene.chain.call(scene.stranger, scene.escrow.conclude, NUMBER)
    assert scene.told() == Settled(NUMBER, scene.stranger, u64(0), u64(PRICE))


def test_a_block_may_be_the_deadline(scene: Scene) -> None:
    number = scene.open(height=int(scene.chain.height) + 5)
    scene.chain.advance(4)
    with refused(TOO_EARLY):
        scene.chain.call(scene.stranger, scene.escrow.conclude, number)
    scene.chain.advance(1)
    with refused(TOO_LATE):
        scene.chain.call(scene.buyer, scene.escrow.dispute, number)
    scene.chain.call(scene.stranger, scene.escrow.conclude, number)
    assert scene.due() == (0, PRICE)


def test_a_silent_arbiter_means_half_and_half(scene: Scene) -> None:
    scene.dispute()
    scene.chain.advance(1, 2 * DAY_MS - 1)
    with refused(TOO_EARLY):
        scene.chain.call(scene.stranger, scene.escrow.conclude, NUMBER)
    scene.chain.advance(1, 1)
    scene.chain.call(scene.stranger, scene.escrow.conclude, NUMBER)
    assert scene.told() == Settled(NUMBER, scene.stranger, u64(501), u64(500))


def test_a_settled_deal_is_over(scene: Scene) -> None:
    scene.chain.call(scene.buyer, scene.escrow.release, NUMBER)
    scene.chain.advance(1, 10 * DAY_MS)
    for sender, method in (
        (scene.buyer, scene.escrow.release),
        (scene.seller, scene.escrow.refund),
        (scene.buyer, scene.escrow.dispute),
        (scene.stranger, scene.escrow.conclude),
    ):
        with refused(ALREADY_SETTLED):
            scene.chain.call(sender, method, NUMBER)
    with refused(ALREADY_SETTLED):
        scene.chain.call(scene.arbiter, scene.escrow.rule, NUMBER, u64(0))
    assert scene.due() == (0, PRICE)


def test_there_is_no_such_deal(scene: Scene) -> None:
    with refused(NO_DEAL):
        scene.chain.call(scene.buyer, scene.escrow.release, u64(2))
    assert scene.chain.view(scene.escrow.find_deal, u64(2)) is None


def test_what_is_due_is_paid_once_to_an_account_of_choice(scene: Scene) -> None:
    scene.chain.call(scene.buyer, scene.escrow.release, NUMBER)
    assert scene.chain.call(scene.seller, scene.escrow.withdraw, scene.stranger) == PRICE
    assert scene.told() == Withdrawn(scene.seller, scene.stranger, u64(PRICE))
    assert scene.chain.balance(scene.stranger) == PRICE
    assert scene.held() == 0
    with refused(NOTHING_DUE):
        scene.chain.call(scene.seller, scene.escrow.withdraw, scene.seller)


def test_a_contract_cannot_be_paid_and_what_is_due_stays_due(scene: Scene) -> None:
    scene.chain.call(scene.buyer, scene.escrow.release, NUMBER)
    with pytest.raises(HostError, match=r"^RECIPIENT_NOT_ALLOWED"):
        scene.chain.call(scene.seller, scene.escrow.withdraw, scene.chain.address(scene.escrow))
    assert scene.due() == (0, PRICE)


calls = st.tuples(
    st.sampled_from(["open", "release", "refund", "dispute", "rule", "conclude", "withdraw"]),
    st.integers(0, 3),
    st.integers(1, 3),
    st.integers(0, 300),
    st.sampled_from([0, 0, 0, DAY_MS, 5 * DAY_MS]),
)


@settings(max_examples=30, deadline=None)
@given(st.lists(calls, max_size=25))
def test_the_contract_holds_what_is_unsettled_or_due_and_in_the_end_nothing(
    drawn: list[tuple[str, int, int, int, int]],
) -> None:
    scene = Scene()
    people = [scene.buyer, scene.seller, scene.arbiter, scene.stranger]
    for method, sender, number, amount, pause_ms in drawn:
        scene.chain.advance(1, pause_ms)
        arguments: tuple[Any, ...] = {"rule": (u64(number), u64(amount)), "withdraw": (people[sender],)}.get(
            method, (u64(number),)
        )
        try:
            if method == "open":
                scene.open(value=amount, deadline_ms=int(scene.chain.time_ms) + DAY_MS)
            else:
                scene.chain.call(people[sender], getattr(scene.escrow, method), *arguments)
        except RevertError as error:
            assert error.code <= NOTHING_DUE
        check_books(scene, people)
    finish(scene, people)
    assert scene.held() == 0
    assert sum(scene.chain.balance(each) for each in people) == START_GRAINS


def check_books(scene: Scene, people: list[Address]) -> None:
    """The contract's money is that of unsettled deals, and what is due."""
    deals = list_deals(scene)
    due = sum(int(scene.chain.view(scene.escrow.due_to, each)) for each in people)
    assert scene.held() == due + sum(int(each.grains) for each in deals if each.stage != SETTLED)


def finish(scene: Scene, people: list[Address]) -> None:
    """A stranger ends everything after long enough, and everybody withdraws."""
    scene.chain.advance(1, 30 * DAY_MS)
    for number, deal in enumerate(list_deals(scene), start=1):
        if deal.stage != SETTLED:
            scene.chain.call(scene.stranger, scene.escrow.conclude, u64(number))
    for each in people:
        if scene.chain.view(scene.escrow.due_to, each) > 0:
            scene.chain.call(each, scene.escrow.withdraw, each)


def list_deals(scene: Scene) -> list[Deal]:
    """All deals in their order."""
    numbers = range(1, int(scene.chain.view(scene.escrow.count)) + 1)
    found = [scene.chain.view(scene.escrow.find_deal, u64(number)) for number in numbers]
    return [each for each in found if each is not None]
