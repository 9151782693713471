"""The rules of the membership pass, checked under CPython."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.expecting import refused
from contracts.membership.membership import (
    EXPIRED,
    EXPIRY_NOT_LATER,
    NO_PASS,
    NOT_HOLDER,
    NOT_ORGANISER,
    PAGE_MAX,
    SAME_HOLDER,
    UNKNOWN_TIER,
    Burned,
    HandedOver,
    Membership,
    Minted,
    NumberedPass,
    Pass,
    Renewed,
    TierChanged,
    Transferred,
)
from iov import Address, RevertError, u8, u32, u64
from iov.testing import Chain

DAY_MS = 86_400_000


class Scene:
    """The organiser has given Alice pass 1, of tier 2, for ten days."""

    def __init__(self) -> None:
        self.chain = Chain()
        self.organiser, self.alice, self.bob = (self.chain.account(name) for name in ("organiser", "alice", "bob"))
        self.club = self.chain.deploy(self.organiser, Membership, "Riders' club", u8(3))
        self.expires_ms = self.in_days(10)
        self.mint(self.alice)

    def in_days(self, days: int) -> u64:
        """A moment."""
        return self.chain.time_ms + days * DAY_MS

    def mint(self, holder: Address, tier: int = 2) -> u64:
        """Issue a pass as the organiser."""
        return self.chain.call(self.organiser, self.club.mint, holder, u8(tier), self.expires_ms)

    def pass_1(self) -> Pass | None:
        """Alice's pass, wherever it is."""
        return self.chain.view(self.club.find_pass, u64(1))

    def told(self) -> object:
        """The last event."""
        return self.chain.events[-1].event


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_a_club_has_at_least_one_tier(scene: Scene) -> None:
    with refused(UNKNOWN_TIER):
        scene.chain.deploy(scene.organiser, Membership, "Nobody's club", u8(0))


def test_the_organiser_mints(scene: Scene) -> None:
    assert scene.mint(scene.bob, 3) == 2
    assert scene.told() == Minted(u64(2), scene.bob, u8(3), scene.expires_ms)
    assert scene.chain.view(scene.club.owner_of, u64(2)) == scene.bob
    assert scene.chain.view(scene.club.find_pass, u64(2)) == Pass(scene.bob, u8(3), scene.expires_ms)
    assert scene.chain.view(scene.club.balance_of, scene.bob) == 1


def test_nobody_else_mints_renews_changes_tiers_or_hands_over(scene: Scene) -> None:
    later = scene.expires_ms + 1
    with refused(NOT_ORGANISER):
        scene.chain.call(scene.alice, scene.club.mint, scene.alice, u8(1), later)
    with refused(NOT_ORGANISER):
        scene.chain.call(scene.alice, scene.club.renew, u64(1), later)
    with refused(NOT_ORGANISER):
        scene.chain.call(scene.alice, scene.club.change_tier, u64(1), u8(3))
    with refused(NOT_ORGANISER):
        scene.chain.call(scene.alice, scene.club.hand_over, scene.alice)


@pytest.mark.parametrize("tier", [0, 4, 255])
def test_tiers_are_those_of_the_club(scene: Scene, tier: int) -> None:
    with refused(UNKNOWN_TIER):
        scene.mint(scene.bob, tier)
    with refused(UNKNOWN_TIER):
        scene.chain.call(scene.organiser, scene.club.change_tier, u64(1), u8(tier))


def test_a_pass_is_minted_for_some_time(scene: Scene) -> None:
    with refused(EXPIRY_NOT_LATER):
        scene.chain.call(scene.organiser, scene.club.mint, scene.bob, u8(1), scene.chain.time_ms)


def test_a_holder_gives_a_pass_away(scene: Scene) -> None:
    scene.chain.call(scene.alice, scene.club.transfer, u64(1), scene.bob)
    assert scene.told() == Transferred(u64(1), scene.alice, scene.bob)
    assert scene.pass_1() == Pass(scene.bob, u8(2), scene.expires_ms)
    assert scene.chain.view(scene.club.balance_of, scene.alice) == 0
    assert scene.chain.view(scene.club.balance_of, scene.bob) == 1


def test_only_the_holder_gives_a_pass_away_and_to_somebody_else(scene: Scene) -> None:
    with refused(NOT_HOLDER):
        scene.chain.call(scene.organiser, scene.club.transfer, u64(1), scene.bob)
    with refused(SAME_HOLDER):
        scene.chain.call(scene.alice, scene.club.transfer, u64(1), scene.alice)


def test_an_expired_pass_stays_where_it_is(scene: Scene) -> None:
    scene.chain.advance(1, 10 * DAY_MS - 1)
    scene.chain.call(scene.alice, scene.club.transfer, u64(1), scene.bob)
    scene.chain.advance(1, 1)
    with refused(EXPIRED):
        scene.chain.call(scene.bob, scene.club.transfer, u64(1), scene.alice)


def test_the_organiser_renews_also_what_has_expired(scene: Scene) -> None:
    scene.chain.advance(1, 20 * DAY_MS)
    renewed_ms = scene.in_days(1)
    scene.chain.call(scene.organiser, scene.club.renew, u64(1), renewed_ms)
    assert scene.told() == Renewed(u64(1), renewed_ms)
    assert scene.pass_1() == Pass(scene.alice, u8(2), renewed_ms)


def test_a_renewal_is_later_than_the_end_and_than_now(scene: Scene) -> None:
    with refused(EXPIRY_NOT_LATER):
        scene.chain.call(scene.organiser, scene.club.renew, u64(1), scene.expires_ms)
    scene.chain.advance(1, 20 * DAY_MS)
    with refused(EXPIRY_NOT_LATER):
        scene.chain.call(scene.organiser, scene.club.renew, u64(1), scene.chain.time_ms)


def test_the_organiser_changes_the_tier(scene: Scene) -> None:
    scene.chain.call(scene.organiser, scene.club.change_tier, u64(1), u8(3))
    assert scene.told() == TierChanged(u64(1), u8(3))
    assert scene.pass_1() == Pass(scene.alice, u8(3), scene.expires_ms)


def test_a_holder_burns_a_pass_and_its_number_is_not_used_again(scene: Scene) -> None:
    scene.chain.call(scene.alice, scene.club.burn, u64(1))
    assert scene.told() == Burned(u64(1), scene.alice)
    assert scene.pass_1() is None
    assert scene.chain.view(scene.club.balance_of, scene.alice) == 0
    assert scene.chain.view(scene.club.count) == 0
    assert scene.mint(scene.bob) == 2


def test_the_organiser_burns_only_what_has_expired(scene: Scene) -> None:
    with refused(NOT_HOLDER):
        scene.chain.call(scene.organiser, scene.club.burn, u64(1))
    scene.chain.advance(1, 10 * DAY_MS)
    with refused(NOT_HOLDER):
        scene.chain.call(scene.bob, scene.club.burn, u64(1))
    scene.chain.call(scene.organiser, scene.club.burn, u64(1))
    assert scene.told() == Burned(u64(1), scene.alice)


def test_there_is_no_such_pass(scene: Scene) -> None:
    nothing = u64(9)
    with refused(NO_PASS):
        scene.chain.call(scene.alice, scene.club.transfer, nothing, scene.bob)
    with refused(NO_PASS):
        scene.chain.call(scene.organiser, scene.club.renew, nothing, scene.expires_ms + 1)
    with refused(NO_PASS):
        scene.chain.call(scene.organiser, scene.club.change_tier, nothing, u8(1))
    with refused(NO_PASS):
        scene.chain.call(scene.alice, scene.club.burn, nothing)
    with refused(NO_PASS):
        scene.chain.view(scene.club.owner_of, nothing)
    assert scene.chain.view(scene.club.find_pass, nothing) is None


def test_whoever_takes_over_is_the_organiser(scene: Scene) -> None:
    scene.chain.call(scene.organiser, scene.club.hand_over, scene.bob)
    assert scene.told() == HandedOver(scene.bob)
    with refused(NOT_ORGANISER):
        scene.mint(scene.alice)
    scene.chain.call(scene.bob, scene.club.mint, scene.alice, u8(1), scene.expires_ms)


def test_benefits_need_holder_tier_and_time(scene: Scene) -> None:
    def ask(holder: Address, number: int, tier: int) -> bool:
        return scene.chain.view(scene.club.has_benefits, holder, u64(number), u8(tier))

    assert [ask(scene.alice, 1, tier) for tier in (1, 2, 3)] == [True, True, False]
    assert not ask(scene.bob, 1, 1)
    assert not ask(scene.alice, 2, 1)
    scene.chain.advance(1, 10 * DAY_MS)
    assert not ask(scene.alice, 1, 1)


def test_passes_are_listed_page_by_page(scene: Scene) -> None:
    for _ in range(PAGE_MAX + 2):
        scene.mint(scene.bob)
    assert scene.chain.view(scene.club.count) == PAGE_MAX + 3
    first = scene.chain.view(scene.club.list_passes, u64(0))
    assert len(first) == PAGE_MAX
    assert first[0] == NumberedPass(u64(1), Pass(scene.alice, u8(2), scene.expires_ms))
    rest = scene.chain.view(scene.club.list_passes, u64(PAGE_MAX))
    assert [int(each.number) for each in rest] == [PAGE_MAX + 1, PAGE_MAX + 2, PAGE_MAX + 3]
    assert list(scene.chain.view(scene.club.list_passes, u64(PAGE_MAX + 3))) == []


steps = st.tuples(
    st.sampled_from(["mint", "transfer", "burn"]), st.integers(0, 2), st.integers(1, 6), st.integers(0, 2)
)


@settings(max_examples=30, deadline=None)
@given(st.lists(steps, max_size=20))
def test_the_counts_of_all_holders_add_up_to_the_passes(drawn: list[tuple[str, int, int, int]]) -> None:
    scene = Scene()
    people = [scene.organiser, scene.alice, scene.bob]
    for method, sender, number, recipient in drawn:
        arguments: tuple[Any, ...] = {
            "mint": (people[recipient], u8(1), scene.expires_ms),
            "transfer": (u64(number), people[recipient]),
            "burn": (u64(number),),
        }[method]
        try:
            scene.chain.call(people[sender], getattr(scene.club, method), *arguments)
        except RevertError as error:
            assert error.code in (NOT_ORGANISER, NO_PASS, NOT_HOLDER, SAME_HOLDER)
        listed = [each.membership.holder for each in scene.chain.view(scene.club.list_passes, u64(0))]
        counts = [scene.chain.view(scene.club.balance_of, each) for each in people]
        assert counts == [u32(listed.count(each)) for each in people]
        assert sum(counts) == scene.chain.view(scene.club.count)
