"""What a block's end does about sales and lock-ups by itself, also in blocks without transactions."""

from dataclasses import replace

import pytest

from ledger.primitives import Grains, TimeMs
from tests.lockup_scene import LockupScene, steps
from tests.sale_scene import TERMS_TIERS
from tests.stake_scene import BANK, HOLDERS, check_books
from vm.native.iov import SALE_ADDRESS, credit, debit
from vm.native.lockup_records import Clock
from vm.native.sale import ALLOCATION_ADDRESS, open_sale
from vm.native.sale_records import SaleTerms, find_sale, get_sales

ENDS_MS = 5_500


@pytest.fixture
def scene():
    scene = LockupScene()
    debit(scene.state, BANK, 10_000, 0)
    credit(scene.state, ALLOCATION_ADDRESS, 10_000, 0)
    return scene


def test_a_sale_closes_itself_with_the_first_empty_block_at_or_after_its_end(scene):
    terms = SaleTerms(bytes(20), "EUR", TimeMs(0), TimeMs(ENDS_MS), Grains(1), (), TERMS_TIERS)
    open_sale(scene.state, scene.build_block(), terms)
    closed = {}
    for _ in range(8):
        events = [each for each in scene.end_block() if each.module == "sale"]
        if events:
            closed[scene.height - 1] = [(each.name, each.fields) for each in events]
        check_books(scene.state)
    assert closed == {6: [("SaleClosed", [1, 0, 1_500])]}
    assert (get_sales(scene.state).open, find_sale(scene.state, 1).closed_ms) == (None, 6_000)
    assert (scene.get_balance(SALE_ADDRESS), scene.get_balance(ALLOCATION_ADDRESS)) == (0, 10_000)


def test_a_sale_whose_end_has_passed_when_it_opens_closes_in_the_same_block(scene):
    terms = SaleTerms(bytes(20), "EUR", TimeMs(0), TimeMs(500), Grains(1), (), TERMS_TIERS)
    open_sale(scene.state, scene.build_block(), terms)
    assert [each.name for each in scene.end_block() if each.module == "sale"] == ["SaleClosed"]


def test_a_block_writes_nothing_for_an_open_sale_or_for_heights_that_are_not_due(scene):
    terms = SaleTerms(bytes(20), "EUR", TimeMs(0), TimeMs(10**9), Grains(1), (), TERMS_TIERS)
    open_sale(scene.state, scene.build_block(), terms)
    scene.grant(HOLDERS[0], 100, steps((1_000, 10_000), clock=Clock.HEIGHT))
    scene.end_block()
    before = dict(scene.state.changes)
    scene.end_block()
    assert scene.state.changes == before


def test_what_one_block_grants_and_the_next_unlocks_by_height_moves_in_the_block_after(scene):
    scene.parameters = replace(scene.parameters, epoch_heights=100)
    scene.grant(HOLDERS[0], 100, steps((1, 5_000), (2, 10_000), clock=Clock.HEIGHT))
    free = scene.movable(HOLDERS[0])
    seen = []
    for _ in range(3):
        scene.end_block()
        seen.append(scene.movable(HOLDERS[0]) - free)
    assert seen == [50, 100, 100]
