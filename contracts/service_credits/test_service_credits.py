"""Service credits: promises have limits and days, work elsewhere makes debts, debts are set off and paid."""

import pytest

from contracts.service_credits.service_credits import (
    AMOUNT_ZERO,
    CREDIT_EXPIRED,
    LIMIT_REACHED,
    NO_CREDIT,
    NOT_A_WORKSHOP,
    NOT_OPERATOR,
    NOTHING_OWED,
    STILL_VALID,
    SUSPENDED,
    TOO_LITTLE_PAID,
    Credit,
    Paid,
    ServiceCredits,
    Workshop,
)
from iov import Address, RevertError, u32, u64
from iov.testing import START_TIME_MS, Chain

TOMORROW = u64(START_TIME_MS + 86_400_000)


class Scene:
    """Two workshops that may promise 100 minutes each, and a driver; a minute costs 10 grains."""

    def __init__(self) -> None:
        """Publish and admit."""
        self.chain = Chain()
        self.operator, self.driver = self.chain.account("operator"), self.chain.account("driver")
        self.first, self.second = self.chain.account("first", 1_000), self.chain.account("second", 1_000)
        self.contract = self.chain.deploy(self.operator, ServiceCredits, u64(10))
        for workshop in (self.first, self.second):
            self.chain.call(self.operator, self.contract.admit, workshop, u64(100))

    def issue(self, workshop: Address, minutes: int) -> None:
        """Promise the driver work until tomorrow."""
        self.chain.call(workshop, self.contract.issue, self.driver, u64(minutes), TOMORROW)

    def redeem(self, issuer: Address, workshop: Address, minutes: int) -> None:
        """The driver has work done."""
        self.chain.call(self.driver, self.contract.redeem, issuer, workshop, u64(minutes))

    def settle(self, debtor: Address, creditor: Address, grains: int) -> u64:
        """Pay."""
        return self.chain.pay(debtor, grains, self.contract.settle, creditor)

    def get_debts(self) -> tuple[int, int]:
        """Of the first to the second, and back."""
        view = self.chain.view
        return (
            view(self.contract.get_debt, self.first, self.second),
            view(self.contract.get_debt, self.second, self.first),
        )


def test_a_promise_counts_against_the_limit_until_it_is_kept() -> None:
    scene = Scene()
    scene.issue(scene.first, 60)
    scene.issue(scene.first, 40)
    with pytest.raises(RevertError) as caught:
        scene.issue(scene.first, 1)
    assert caught.value.code == LIMIT_REACHED
    scene.redeem(scene.first, scene.first, 30)
    assert scene.chain.view(scene.contract.get_credit, scene.first, scene.driver) == Credit(u64(70), TOMORROW)
    assert scene.chain.view(scene.contract.get_workshop, scene.first) == Workshop(u64(100), u64(70), True)
    assert scene.get_debts() == (0, 0)


def test_work_by_another_workshop_is_set_off_and_paid() -> None:
    scene = Scene()
    scene.issue(scene.first, 50)
    scene.issue(scene.second, 20)
    scene.redeem(scene.first, scene.second, 50)
    scene.redeem(scene.second, scene.first, 20)
    assert scene.get_debts() == (50, 20)
    with pytest.raises(RevertError) as caught:
        scene.settle(scene.first, scene.second, 299)
    assert caught.value.code == TOO_LITTLE_PAID
    assert scene.settle(scene.first, scene.second, 310) == 300
    assert (scene.chain.balance(scene.first), scene.chain.balance(scene.second)) == (700, 1_300)
    assert scene.get_debts() == (0, 0)
    assert scene.chain.events[-1].event == Paid(scene.first, scene.second, u64(50), u64(300))


def test_the_smaller_debt_is_set_off_for_nothing() -> None:
    scene = Scene()
    scene.issue(scene.first, 50)
    scene.issue(scene.second, 20)
    scene.redeem(scene.first, scene.second, 50)
    scene.redeem(scene.second, scene.first, 20)
    assert scene.settle(scene.second, scene.first, 0) == 0
    assert scene.get_debts() == (30, 0)
    with pytest.raises(RevertError) as caught:
        scene.settle(scene.second, scene.first, 0)
    assert caught.value.code == NOTHING_OWED


def test_a_promise_lapses_on_its_day() -> None:
    scene = Scene()
    scene.issue(scene.first, 60)
    with pytest.raises(RevertError) as caught:
        scene.chain.call(scene.second, scene.contract.lapse, scene.first, scene.driver)
    assert caught.value.code == STILL_VALID
    scene.chain.advance(milliseconds=86_400_000)
    with pytest.raises(RevertError) as caught:
        scene.redeem(scene.first, scene.first, 1)
    assert caught.value.code == CREDIT_EXPIRED
    scene.chain.call(scene.second, scene.contract.lapse, scene.first, scene.driver)
    assert scene.chain.view(scene.contract.get_credit, scene.first, scene.driver) is None
    assert scene.chain.view(scene.contract.get_workshop, scene.first) == Workshop(u64(100), u64(0), True)


def test_nobody_gets_more_than_was_promised() -> None:
    scene = Scene()
    scene.issue(scene.first, 10)
    for minutes, code in ((11, NO_CREDIT), (0, AMOUNT_ZERO)):
        with pytest.raises(RevertError) as caught:
            scene.redeem(scene.first, scene.first, minutes)
        assert caught.value.code == code


def test_a_suspended_workshop_neither_promises_nor_works() -> None:
    scene = Scene()
    scene.issue(scene.first, 10)
    scene.chain.call(scene.operator, scene.contract.suspend, scene.first)
    with pytest.raises(RevertError) as caught:
        scene.issue(scene.first, 10)
    assert caught.value.code == SUSPENDED
    with pytest.raises(RevertError) as caught:
        scene.redeem(scene.first, scene.first, 10)
    assert caught.value.code == SUSPENDED
    scene.redeem(scene.first, scene.second, 10)
    assert scene.get_debts() == (10, 0)


def test_only_the_operator_admits_and_only_the_admitted_promise() -> None:
    scene = Scene()
    with pytest.raises(RevertError) as caught:
        scene.chain.call(scene.first, scene.contract.admit, scene.driver, u64(1))
    assert caught.value.code == NOT_OPERATOR
    with pytest.raises(RevertError) as caught:
        scene.issue(scene.driver, 1)
    assert caught.value.code == NOT_A_WORKSHOP
    assert list(scene.chain.view(scene.contract.list_workshops, u32(0))) == [scene.first, scene.second]
