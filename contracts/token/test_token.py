"""The token: what moves, what does not, and what is told."""

import pytest

from contracts.token.token import ALLOWANCE_TOO_SMALL, AMOUNT_ZERO, BALANCE_TOO_SMALL, Approved, Token, Transferred
from iov import Address, RevertError, u8, u128
from iov.testing import Chain, Emitted

SUPPLY = u128(1_000)


def deploy() -> tuple[Chain, Token, Address, Address]:
    """A chain with a token, its owner and somebody else."""
    chain = Chain()
    owner, other = chain.account("owner"), chain.account("other")
    return chain, chain.deploy(owner, Token, "Service points", "SP", u8(2), SUPPLY), owner, other


def test_everything_belongs_to_the_publisher_at_first() -> None:
    chain, token, owner, other = deploy()
    assert chain.view(token.balance_of, owner) == SUPPLY == chain.view(token.total_supply)
    assert chain.view(token.balance_of, other) == 0
    assert chain.events == [Emitted(chain.address(token), Transferred(chain.address(token), owner, SUPPLY))]


def test_a_transfer_moves_tokens_and_tells_it() -> None:
    chain, token, owner, other = deploy()
    chain.call(owner, token.transfer, other, u128(30))
    assert (chain.view(token.balance_of, owner), chain.view(token.balance_of, other)) == (970, 30)
    assert chain.events[-1] == Emitted(chain.address(token), Transferred(owner, other, u128(30)))


def test_a_transfer_to_oneself_changes_nothing() -> None:
    chain, token, owner, _ = deploy()
    chain.call(owner, token.transfer, owner, SUPPLY)
    assert chain.view(token.balance_of, owner) == SUPPLY


@pytest.mark.parametrize(
    ("amount", "code"),
    [(u128(1_001), BALANCE_TOO_SMALL), (u128(2**128 - 1), BALANCE_TOO_SMALL), (u128(0), AMOUNT_ZERO)],
)
def test_a_refused_transfer_leaves_everything_as_it_was(amount: u128, code: int) -> None:
    chain, token, owner, other = deploy()
    before = chain.storage(token), list(chain.events)
    with pytest.raises(RevertError) as caught:
        chain.call(owner, token.transfer, other, amount)
    assert caught.value.code == code
    assert (chain.storage(token), chain.events) == before


def test_an_allowance_is_spent_until_nothing_is_left() -> None:
    chain, token, owner, other = deploy()
    third = chain.account("third")
    chain.call(owner, token.approve, other, u128(50))
    chain.call(other, token.transfer_from, owner, third, u128(20))
    assert chain.view(token.allowance, owner, other) == 30
    assert chain.view(token.balance_of, third) == 20
    with pytest.raises(RevertError) as caught:
        chain.call(other, token.transfer_from, owner, third, u128(31))
    assert caught.value.code == ALLOWANCE_TOO_SMALL
    assert Emitted(chain.address(token), Approved(owner, other, u128(50))) in chain.events
