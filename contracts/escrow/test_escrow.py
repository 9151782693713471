"""Escrow: who may settle a deal, when, and where the money goes."""

import pytest

from contracts.escrow.escrow import (
    NO_SUCH_DEAL,
    NOT_ALLOWED,
    NOT_OPEN,
    NOTHING_PAID,
    SHARE_TOO_LARGE,
    TOO_EARLY,
    Escrow,
    Settled,
)
from iov import Address, RevertError, u64
from iov.testing import START_TIME_MS, Chain, Emitted

DEADLINE_MS = u64(START_TIME_MS + 100_000)


class Scene:
    """A deal over 1,001 grains."""

    def __init__(self) -> None:
        """Open it."""
        self.chain = Chain()
        self.buyer = self.chain.account("buyer", grains=5_000)
        self.seller = self.chain.account("seller")
        self.arbiter = self.chain.account("arbiter")
        self.escrow = self.chain.deploy(self.chain.account("publisher"), Escrow)
        self.deal_id = self.chain.pay(self.buyer, 1_001, self.escrow.open, self.seller, self.arbiter, DEADLINE_MS)

    def get_balances(self) -> tuple[int, int, int]:
        """Of buyer, seller and contract."""
        contract = self.chain.address(self.escrow)
        return self.chain.balance(self.buyer), self.chain.balance(self.seller), self.chain.balance(contract)

    def fail(self, sender: Address, method: str, *arguments: u64) -> int:
        """The code that a call fails with; nothing has moved."""
        before = self.get_balances()
        with pytest.raises(RevertError) as caught:
            self.chain.call(sender, getattr(self.escrow, method), *arguments)
        assert self.get_balances() == before
        return caught.value.code


def test_the_money_waits_in_the_contract() -> None:
    assert Scene().get_balances() == (3_999, 0, 1_001)


def test_the_buyer_releases_the_money() -> None:
    scene = Scene()
    scene.chain.call(scene.buyer, scene.escrow.release, scene.deal_id)
    assert scene.get_balances() == (3_999, 1_001, 0)
    contract = scene.chain.address(scene.escrow)
    assert scene.chain.events[-1] == Emitted(contract, Settled(scene.deal_id, u64(1_001), u64(0)))


def test_the_seller_gives_it_back_at_any_time() -> None:
    scene = Scene()
    scene.chain.call(scene.seller, scene.escrow.refund, scene.deal_id)
    assert scene.get_balances() == (5_000, 0, 0)


def test_the_buyer_takes_it_back_after_the_deadline_only() -> None:
    scene = Scene()
    assert scene.fail(scene.buyer, "refund", scene.deal_id) == TOO_EARLY
    scene.chain.advance(milliseconds=100_001)
    scene.chain.call(scene.buyer, scene.escrow.refund, scene.deal_id)
    assert scene.get_balances() == (5_000, 0, 0)


@pytest.mark.parametrize(("share_bps", "seller_grains"), [(0, 0), (5_000, 500), (9_999, 1_000), (10_000, 1_001)])
def test_the_arbiter_divides_it_and_the_buyer_gets_the_remainder(share_bps: int, seller_grains: int) -> None:
    scene = Scene()
    scene.chain.call(scene.arbiter, scene.escrow.decide, scene.deal_id, u64(share_bps))
    assert scene.get_balances() == (5_000 - seller_grains, seller_grains, 0)


def test_nobody_else_decides() -> None:
    scene = Scene()
    assert scene.fail(scene.seller, "release", scene.deal_id) == NOT_ALLOWED
    assert scene.fail(scene.arbiter, "refund", scene.deal_id) == NOT_ALLOWED
    assert scene.fail(scene.buyer, "decide", scene.deal_id, u64(0)) == NOT_ALLOWED
    assert scene.fail(scene.arbiter, "decide", scene.deal_id, u64(10_001)) == SHARE_TOO_LARGE
    assert scene.fail(scene.buyer, "release", u64(2)) == NO_SUCH_DEAL


def test_a_deal_is_settled_once() -> None:
    scene = Scene()
    scene.chain.call(scene.buyer, scene.escrow.release, scene.deal_id)
    assert scene.fail(scene.buyer, "release", scene.deal_id) == NOT_OPEN


def test_a_deal_is_about_money() -> None:
    scene = Scene()
    with pytest.raises(RevertError) as caught:
        scene.chain.call(scene.buyer, scene.escrow.open, scene.seller, scene.arbiter, DEADLINE_MS)
    assert caught.value.code == NOTHING_PAID
