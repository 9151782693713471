"""The rules of service credits, checked under CPython."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.credits.credits import (
    ALREADY_KNOWN,
    AMOUNT_ZERO,
    BAD_HASH,
    EXPIRY_NOT_LATER,
    LOTS_MAX,
    MORE_THAN_OWED,
    NOT_ENOUGH_CREDITS,
    NOT_ISSUER,
    NOT_OPERATOR,
    RATE_ZERO,
    TOO_MANY_LOTS,
    UNKNOWN_ISSUER,
    UNKNOWN_WORKSHOP,
    WRONG_PAYMENT,
    Credits,
    Debt,
    Expired,
    Granted,
    Issuer,
    IssuerAdmitted,
    IssuerStopped,
    Lot,
    Redeemed,
    SettledDebt,
    WorkshopAdmitted,
    WorkshopStopped,
)
from contracts.expecting import refused
from iov import Address, RevertError, u64
from iov.testing import Chain

DAY_MS = 86_400_000
ORDER = b"\x07" * 32
RATE = 3
START_GRAINS = 10_000


class Scene:
    """Maker and insurer may grant credits for the garage; each costs the maker 3 grains."""

    def __init__(self) -> None:
        self.chain = Chain()
        self.operator, self.garage, self.ann, self.stranger = (
            self.chain.account(name) for name in ("operator", "garage", "ann", "stranger")
        )
        self.maker = self.chain.account("maker", START_GRAINS)
        self.insurer = self.chain.account("insurer", START_GRAINS)
        self.credits = self.chain.deploy(self.operator, Credits)
        self.chain.call(self.operator, self.credits.admit_issuer, self.maker, u64(RATE))
        self.chain.call(self.operator, self.credits.admit_issuer, self.insurer, u64(1))
        self.chain.call(self.operator, self.credits.admit_workshop, self.garage)

    def in_days(self, days: int) -> u64:
        """A moment."""
        return self.chain.time_ms + days * DAY_MS

    def grant(self, issuer: Address, credits: int, days: int) -> u64:
        """Grant Ann credits at the garage; when they expire."""
        expires_ms = self.in_days(days)
        self.chain.call(issuer, self.credits.grant, self.ann, self.garage, u64(credits), expires_ms)
        return expires_ms

    def redeem(self, credits: int) -> None:
        """Ann pays the garage."""
        self.chain.call(self.ann, self.credits.redeem, self.garage, u64(credits), ORDER)

    def settle(self, issuer: Address, credits: int, value: int) -> None:
        """An issuer pays the garage."""
        self.chain.pay(issuer, value, self.credits.settle, self.garage, u64(credits))

    def held(self) -> int:
        """What Ann can spend now."""
        return int(self.chain.view(self.credits.credits_of, self.ann, self.garage))

    def lots(self) -> list[Lot]:
        """Ann's lots at the garage."""
        return list(self.chain.view(self.credits.list_lots, self.ann, self.garage))

    def owed(self, issuer: Address) -> int:
        """What an issuer owes to the garage."""
        return int(self.chain.view(self.credits.owed_by, issuer, self.garage))

    def books(self, issuer: Address) -> Issuer:
        """An issuer's books."""
        found = self.chain.view(self.credits.find_issuer, issuer)
        assert found is not None
        return found

    def told(self, count: int = 1) -> list[object]:
        """The last events."""
        return [each.event for each in self.chain.events[-count:]]


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_the_operator_admits_and_stops(scene: Scene) -> None:
    call = scene.chain.call
    call(scene.operator, scene.credits.admit_issuer, scene.stranger, u64(9))
    call(scene.operator, scene.credits.stop_issuer, scene.stranger)
    call(scene.operator, scene.credits.stop_workshop, scene.garage)
    call(scene.operator, scene.credits.admit_workshop, scene.garage)
    assert scene.told(4) == [
        IssuerAdmitted(scene.stranger, u64(9)),
        IssuerStopped(scene.stranger),
        WorkshopStopped(scene.garage),
        WorkshopAdmitted(scene.garage),
    ]
    assert scene.books(scene.stranger) == Issuer(False, u64(9), u64(0), u64(0), u64(0), u64(0))


def test_nobody_else_admits_or_stops(scene: Scene) -> None:
    with refused(NOT_OPERATOR):
        scene.chain.call(scene.stranger, scene.credits.admit_issuer, scene.stranger, u64(1))
    with refused(NOT_OPERATOR):
        scene.chain.call(scene.stranger, scene.credits.stop_issuer, scene.maker)
    with refused(NOT_OPERATOR):
        scene.chain.call(scene.stranger, scene.credits.admit_workshop, scene.stranger)
    with refused(NOT_OPERATOR):
        scene.chain.call(scene.stranger, scene.credits.stop_workshop, scene.garage)


def test_who_is_admitted_is_admitted_once_and_at_a_rate(scene: Scene) -> None:
    with refused(ALREADY_KNOWN):
        scene.chain.call(scene.operator, scene.credits.admit_issuer, scene.maker, u64(1))
    with refused(ALREADY_KNOWN):
        scene.chain.call(scene.operator, scene.credits.admit_workshop, scene.garage)
    with refused(RATE_ZERO):
        scene.chain.call(scene.operator, scene.credits.admit_issuer, scene.stranger, u64(0))


def test_who_is_unknown_or_stopped_is_not_stopped(scene: Scene) -> None:
    with refused(UNKNOWN_ISSUER):
        scene.chain.call(scene.operator, scene.credits.stop_issuer, scene.stranger)
    scene.chain.call(scene.operator, scene.credits.stop_issuer, scene.maker)
    with refused(NOT_ISSUER):
        scene.chain.call(scene.operator, scene.credits.stop_issuer, scene.maker)
    with refused(UNKNOWN_WORKSHOP):
        scene.chain.call(scene.operator, scene.credits.stop_workshop, scene.stranger)


def test_an_issuer_grants(scene: Scene) -> None:
    expires_ms = scene.grant(scene.maker, 100, 10)
    assert scene.told() == [Granted(scene.maker, scene.ann, scene.garage, u64(100), expires_ms)]
    assert scene.held() == 100
    assert scene.books(scene.maker).granted == 100


def test_others_and_stopped_issuers_do_not_grant(scene: Scene) -> None:
    with refused(NOT_ISSUER):
        scene.grant(scene.stranger, 100, 10)
    scene.chain.call(scene.operator, scene.credits.stop_issuer, scene.maker)
    with refused(NOT_ISSUER):
        scene.grant(scene.maker, 100, 10)


def test_credits_are_granted_for_admitted_workshops(scene: Scene) -> None:
    with refused(UNKNOWN_WORKSHOP):
        scene.chain.call(scene.maker, scene.credits.grant, scene.ann, scene.stranger, u64(1), scene.in_days(1))
    scene.chain.call(scene.operator, scene.credits.stop_workshop, scene.garage)
    with refused(UNKNOWN_WORKSHOP):
        scene.grant(scene.maker, 100, 10)


def test_a_grant_is_something_for_some_time(scene: Scene) -> None:
    with refused(AMOUNT_ZERO):
        scene.grant(scene.maker, 0, 10)
    with refused(EXPIRY_NOT_LATER):
        scene.grant(scene.maker, 1, 0)


def test_lots_stand_in_order_of_expiry_and_equal_ones_are_one(scene: Scene) -> None:
    late = scene.grant(scene.maker, 10, 9)
    soon = scene.grant(scene.maker, 20, 3)
    between = scene.grant(scene.insurer, 30, 5)
    scene.grant(scene.maker, 40, 3)
    assert scene.lots() == [
        Lot(scene.maker, u64(60), soon),
        Lot(scene.insurer, u64(30), between),
        Lot(scene.maker, u64(10), late),
    ]


def test_a_customer_has_a_limited_number_of_lots(scene: Scene) -> None:
    for day in range(LOTS_MAX):
        scene.grant(scene.maker, 1, 2 * day + 2)
    with refused(TOO_MANY_LOTS):
        scene.grant(scene.maker, 1, 1)
    with refused(TOO_MANY_LOTS):
        scene.grant(scene.maker, 1, 99)
    scene.grant(scene.maker, 5, 2)
    scene.chain.advance(1, 2 * DAY_MS)
    scene.grant(scene.maker, 1, 99)
    assert len(scene.lots()) == LOTS_MAX


def test_what_expires_first_is_spent_first(scene: Scene) -> None:
    late = scene.grant(scene.maker, 100, 9)
    scene.grant(scene.insurer, 30, 3)
    scene.redeem(50)
    assert scene.told(2) == [
        Redeemed(scene.insurer, scene.ann, scene.garage, u64(30), ORDER),
        Redeemed(scene.maker, scene.ann, scene.garage, u64(20), ORDER),
    ]
    assert scene.lots() == [Lot(scene.maker, u64(80), late)]
    assert (scene.owed(scene.maker), scene.owed(scene.insurer)) == (20, 30)
    assert scene.books(scene.maker) == Issuer(True, u64(RATE), u64(100), u64(20), u64(0), u64(0))


def test_no_more_is_spent_than_there_is(scene: Scene) -> None:
    scene.grant(scene.maker, 10, 3)
    with refused(NOT_ENOUGH_CREDITS):
        scene.redeem(11)
    with refused(AMOUNT_ZERO):
        scene.redeem(0)
    assert (scene.held(), scene.owed(scene.maker)) == (10, 0)


def test_a_redemption_names_its_order(scene: Scene) -> None:
    scene.grant(scene.maker, 10, 3)
    with refused(BAD_HASH):
        scene.chain.call(scene.ann, scene.credits.redeem, scene.garage, u64(1), b"order 7")


def test_a_stopped_workshop_still_redeems(scene: Scene) -> None:
    scene.grant(scene.maker, 10, 3)
    scene.chain.call(scene.operator, scene.credits.stop_workshop, scene.garage)
    scene.chain.call(scene.operator, scene.credits.stop_issuer, scene.maker)
    scene.redeem(10)
    assert scene.lots() == []
    scene.settle(scene.maker, 10, 30)


def test_expired_credits_are_not_spent_and_struck_off(scene: Scene) -> None:
    scene.grant(scene.maker, 10, 3)
    late = scene.grant(scene.insurer, 20, 5)
    scene.chain.advance(1, 3 * DAY_MS)
    assert (scene.held(), len(scene.lots())) == (20, 2)
    with refused(NOT_ENOUGH_CREDITS):
        scene.redeem(21)
    scene.redeem(5)
    assert scene.told(2) == [
        Expired(scene.maker, scene.ann, scene.garage, u64(10)),
        Redeemed(scene.insurer, scene.ann, scene.garage, u64(5), ORDER),
    ]
    assert scene.lots() == [Lot(scene.insurer, u64(15), late)]
    assert scene.books(scene.maker).expired == 10


def test_anybody_has_expired_credits_struck_off(scene: Scene) -> None:
    scene.grant(scene.maker, 10, 3)
    scene.chain.call(scene.stranger, scene.credits.expire, scene.ann, scene.garage)
    assert len(scene.lots()) == 1
    scene.chain.advance(1, 3 * DAY_MS)
    scene.chain.call(scene.stranger, scene.credits.expire, scene.ann, scene.garage)
    assert scene.told() == [Expired(scene.maker, scene.ann, scene.garage, u64(10))]
    assert scene.lots() == []
    scene.chain.call(scene.stranger, scene.credits.expire, scene.ann, scene.garage)
    assert scene.books(scene.maker).expired == 10


def test_an_issuer_settles_in_parts(scene: Scene) -> None:
    scene.grant(scene.maker, 100, 9)
    scene.redeem(50)
    scene.settle(scene.maker, 20, 60)
    assert scene.told() == [SettledDebt(scene.maker, scene.garage, u64(20), u64(60))]
    assert (scene.chain.balance(scene.garage), scene.owed(scene.maker)) == (60, 30)
    scene.settle(scene.maker, 30, 90)
    assert (scene.chain.balance(scene.garage), scene.owed(scene.maker)) == (150, 0)
    assert scene.books(scene.maker).settled == 50


def test_a_settlement_is_of_what_is_owed_at_its_price(scene: Scene) -> None:
    scene.grant(scene.maker, 100, 9)
    scene.redeem(50)
    with refused(UNKNOWN_ISSUER):
        scene.settle(scene.stranger, 1, 0)
    with refused(AMOUNT_ZERO):
        scene.settle(scene.maker, 0, 0)
    with refused(MORE_THAN_OWED):
        scene.settle(scene.maker, 51, 153)
    with refused(MORE_THAN_OWED):
        scene.settle(scene.insurer, 1, 1)
    for value in (29, 31):
        with refused(WRONG_PAYMENT):
            scene.settle(scene.maker, 10, value)


def test_debts_of_a_workshop_are_listed(scene: Scene) -> None:
    scene.grant(scene.maker, 100, 3)
    scene.grant(scene.insurer, 30, 9)
    scene.redeem(110)
    maker, insurer = Debt(scene.maker, u64(100), u64(300)), Debt(scene.insurer, u64(10), u64(10))
    assert list(scene.chain.view(scene.credits.list_debts, scene.garage, u64(0))) == [maker, insurer]
    assert list(scene.chain.view(scene.credits.list_debts, scene.garage, u64(1))) == [insurer]
    assert list(scene.chain.view(scene.credits.list_debts, scene.garage, u64(2))) == []
    assert list(scene.chain.view(scene.credits.list_debts, scene.stranger, u64(0))) == []


calls = st.tuples(
    st.sampled_from(["grant", "redeem", "expire", "settle"]),
    st.sampled_from(["maker", "insurer"]),
    st.integers(0, 40),
    st.integers(0, 4),
    st.sampled_from([0, 0, DAY_MS]),
)


@settings(max_examples=30, deadline=None)
@given(st.lists(calls, max_size=30))
def test_no_credit_appears_or_disappears(drawn: list[tuple[str, str, int, int, int]]) -> None:
    scene = Scene()
    for method, name, credits, days, pause_ms in drawn:
        scene.chain.advance(1, pause_ms)
        issuer = getattr(scene, name)
        try:
            run(scene, method, issuer, credits, days)
        except RevertError as error:
            assert error.code <= WRONG_PAYMENT
        paid = 0
        for each in (scene.maker, scene.insurer):
            books = scene.books(each)
            outstanding = sum(int(lot.credits) for lot in scene.lots() if lot.issuer == each)
            assert books.granted == outstanding + int(books.redeemed) + int(books.expired)
            assert books.redeemed == scene.owed(each) + int(books.settled)
            paid += int(books.settled * books.grains_per_credit)
        assert scene.chain.balance(scene.garage) == paid
        assert scene.chain.balance(scene.chain.address(scene.credits)) == 0


def run(scene: Scene, method: str, issuer: Address, credits: int, days: int) -> None:
    """One step."""
    match method:
        case "grant":
            scene.grant(issuer, credits, days)
        case "redeem":
            scene.redeem(credits)
        case "expire":
            scene.chain.call(scene.stranger, scene.credits.expire, scene.ann, scene.garage)
        case _:
            scene.settle(issuer, credits, credits * int(scene.books(issuer).grains_per_credit))
