"""Membership passes: buying, renewing, giving away, listing."""

import pytest

from contracts.membership.membership import (
    DAY_MS,
    HAS_PASS,
    NO_PASS,
    NO_SUCH_LEVEL,
    NOT_OWNER,
    PASS_EXPIRED,
    WRONG_PRICE,
    Membership,
    Pass,
    Prices,
)
from iov import Address, HostError, RevertError, u8, u32, u64
from iov.testing import START_TIME_MS, Chain


def deploy() -> tuple[Chain, Membership, Address, Address]:
    """A chain with passes for 30 days, the seller and a customer."""
    chain = Chain()
    owner, customer = chain.account("owner"), chain.account("customer", grains=10_000)
    prices = Prices([u64(100), u64(200), u64(300)])
    return chain, chain.deploy(owner, Membership, prices, u64(30)), owner, customer


def test_a_pass_is_bought_and_valid_for_thirty_days() -> None:
    chain, contract, _, customer = deploy()
    assert chain.pay(customer, 200, contract.buy, u8(1)) == 1
    expected = Pass(u64(1), u8(1), u64(START_TIME_MS + 30 * DAY_MS))
    assert chain.view(contract.get_pass, customer) == expected
    levels = [chain.view(contract.is_member, customer, u8(level)) for level in (0, 1, 2)]
    assert levels == [True, True, False]
    chain.advance(milliseconds=30 * DAY_MS)
    assert chain.view(contract.is_member, customer, u8(0)) is False


def test_a_renewal_adds_to_what_is_left() -> None:
    chain, contract, _, customer = deploy()
    chain.pay(customer, 100, contract.buy, u8(0))
    chain.advance(milliseconds=DAY_MS)
    chain.pay(customer, 300, contract.buy, u8(2))
    assert chain.view(contract.get_pass, customer) == Pass(u64(1), u8(2), u64(START_TIME_MS + 60 * DAY_MS))


@pytest.mark.parametrize(("grains", "level", "code"), [(99, 0, WRONG_PRICE), (300, 3, NO_SUCH_LEVEL)])
def test_a_wrong_price_or_level_is_refused_and_the_money_stays(grains: int, level: int, code: int) -> None:
    chain, contract, _, customer = deploy()
    with pytest.raises(RevertError) as caught:
        chain.pay(customer, grains, contract.buy, u8(level))
    assert caught.value.code == code
    assert chain.balance(customer) == 10_000


def test_a_pass_moves_to_somebody_without_one() -> None:
    chain, contract, _, customer = deploy()
    friend = chain.account("friend", grains=1_000)
    chain.pay(customer, 100, contract.buy, u8(0))
    chain.call(customer, contract.give, friend)
    assert chain.view(contract.get_pass, customer) is None
    assert chain.view(contract.list_holders, u32(0))[0] == friend
    for giver, code in ((customer, NO_PASS), (friend, HAS_PASS)):
        with pytest.raises(RevertError) as caught:
            chain.call(giver, contract.give, friend)
        assert caught.value.code == code


def test_an_expired_pass_is_not_given_away() -> None:
    chain, contract, owner, customer = deploy()
    chain.pay(customer, 100, contract.buy, u8(0))
    chain.advance(milliseconds=31 * DAY_MS)
    with pytest.raises(RevertError) as caught:
        chain.call(customer, contract.give, owner)
    assert caught.value.code == PASS_EXPIRED


def test_only_the_owner_withdraws_and_only_what_is_there() -> None:
    chain, contract, owner, customer = deploy()
    chain.pay(customer, 100, contract.buy, u8(0))
    with pytest.raises(RevertError) as caught:
        chain.call(customer, contract.withdraw, u64(1))
    assert caught.value.code == NOT_OWNER
    with pytest.raises(HostError, match="INSUFFICIENT_BALANCE"):
        chain.call(owner, contract.withdraw, u64(101))
    chain.call(owner, contract.withdraw, u64(100))
    assert chain.balance(owner) == 100


def test_holders_are_listed_in_pages() -> None:
    chain, contract, _, _ = deploy()
    holders = [chain.account(f"holder {number}", grains=100) for number in range(53)]
    for holder in holders:
        chain.pay(holder, 100, contract.buy, u8(0))
    assert list(chain.view(contract.list_holders, u32(0))) == holders[:50]
    assert list(chain.view(contract.list_holders, u32(50))) == holders[50:]
    assert list(chain.view(contract.list_holders, u32(60))) == []
