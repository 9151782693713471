"""The rules of the weighted vote, checked under CPython."""

from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.expecting import refused
from contracts.vote.vote import (
    ALREADY_REGISTERED,
    BAD_CHOICES,
    BAD_END,
    BAD_QUORUM,
    CHOICES_MAX,
    HAS_DELEGATED,
    LOOP,
    MEMBERS_MAX,
    NO_MEMBERS,
    NOT_CONVENER,
    NOT_DELEGATED,
    NOT_MEMBER,
    NOT_OPEN,
    NOT_REGISTERING,
    PAGE_MAX,
    TOO_EARLY,
    TOO_MANY_MEMBERS,
    UNKNOWN_CHOICE,
    WEIGHT_ZERO,
    ClosedVote,
    Delegated,
    Member,
    OpenedVote,
    Registered,
    Result,
    TookBack,
    Vote,
    Voted,
    Weight,
)
from iov import Address, List, RevertError, u8, u16, u64
from iov.testing import Chain

DAY_MS = 86_400_000
WEIGHTS = {"ann": 5, "ben": 7, "cas": 11, "dov": 13}
REGISTERED = sum(WEIGHTS.values())


def list_weights(entries: list[tuple[Address, int]]) -> List[Weight, Literal[50]]:
    """As `register` takes them."""
    return List[Weight, Literal[50]]([Weight(member, u64(weight)) for member, weight in entries])


class Scene:
    """A vote between three choices, with a quorum of half the weight."""

    def __init__(self, *, is_open: bool = True) -> None:
        self.chain = Chain()
        self.convener, self.stranger = self.chain.account("convener"), self.chain.account("stranger")
        self.ann, self.ben, self.cas, self.dov = self.members = [self.chain.account(name) for name in WEIGHTS]
        self.vote = self.chain.deploy(self.convener, Vote, "Another workshop?", u8(3), u16(5_000))
        self.closes_ms = self.chain.time_ms + DAY_MS
        if is_open:
            self.register(list(zip(self.members, WEIGHTS.values(), strict=True)))
            self.open()

    def register(self, entries: list[tuple[Address, int]]) -> None:
        """Add members as the convener."""
        self.chain.call(self.convener, self.vote.register, list_weights(entries))

    def open(self) -> None:
        """Take votes for a day."""
        self.chain.call(self.convener, self.vote.open_vote, self.closes_ms)

    def cast(self, member: Address, choice: int) -> None:
        """Vote."""
        self.chain.call(member, self.vote.cast, u8(choice))

    def delegate(self, member: Address, delegate: Address) -> None:
        """Hand a vote on."""
        self.chain.call(member, self.vote.delegate, delegate)

    def take_back(self, member: Address) -> None:
        """Take a vote back."""
        self.chain.call(member, self.vote.take_back)

    def result(self) -> Result:
        """How the vote stands."""
        return self.chain.view(self.vote.result)

    def tallies(self) -> list[int]:
        """Weight of each choice."""
        return [int(each) for each in self.result().tallies]

    def find(self, member: Address) -> Member:
        """Where a member stands."""
        found = self.chain.view(self.vote.find_member, member)
        assert found is not None
        return found

    def told(self) -> object:
        """The last event."""
        return self.chain.events[-1].event


@pytest.fixture
def scene() -> Scene:
    return Scene()


@pytest.fixture
def new() -> Scene:
    return Scene(is_open=False)


@pytest.mark.parametrize("choices", [0, 1, CHOICES_MAX + 1])
def test_there_are_two_to_eight_choices(new: Scene, choices: int) -> None:
    with refused(BAD_CHOICES):
        new.chain.deploy(new.convener, Vote, "?", u8(choices), u16(0))


def test_a_quorum_is_a_share(new: Scene) -> None:
    with refused(BAD_QUORUM):
        new.chain.deploy(new.convener, Vote, "?", u8(2), u16(10_001))


def test_members_are_registered_once_with_a_weight(new: Scene) -> None:
    new.register([(new.ann, 5), (new.ben, 7)])
    assert [each.event for each in new.chain.events] == [Registered(new.ann, u64(5)), Registered(new.ben, u64(7))]
    assert new.find(new.ben) == Member(u64(7), u64(7), None, u8(0))
    assert new.result().registered == 12
    with refused(ALREADY_REGISTERED):
        new.register([(new.cas, 1), (new.ann, 5)])
    with refused(WEIGHT_ZERO):
        new.register([(new.cas, 0)])
    assert new.chain.view(new.vote.find_member, new.cas) is None


def test_there_is_a_limit_of_members(new: Scene) -> None:
    crowd = [(new.chain.account(f"member {number}"), 1) for number in range(MEMBERS_MAX)]
    for first in range(0, MEMBERS_MAX, PAGE_MAX):
        new.register(crowd[first : first + PAGE_MAX])
    with refused(TOO_MANY_MEMBERS):
        new.register([(new.ann, 1)])


def test_only_the_convener_registers_and_opens(new: Scene) -> None:
    with refused(NOT_CONVENER):
        new.chain.call(new.ann, new.vote.register, list_weights([(new.ann, 5)]))
    with refused(NOT_CONVENER):
        new.chain.call(new.ann, new.vote.open_vote, new.closes_ms)


def test_a_vote_is_opened_once_with_members_and_an_end(new: Scene) -> None:
    with refused(NO_MEMBERS):
        new.open()
    new.register([(new.ann, 5)])
    with refused(BAD_END):
        new.chain.call(new.convener, new.vote.open_vote, new.chain.time_ms)
    new.open()
    assert new.told() == OpenedVote(new.closes_ms, u64(5))
    with refused(NOT_REGISTERING):
        new.open()
    with refused(NOT_REGISTERING):
        new.register([(new.ben, 7)])


def test_nobody_votes_before_the_opening_or_after_the_end(new: Scene) -> None:
    new.register([(new.ann, 5), (new.ben, 7)])
    for _ in range(2):
        with refused(NOT_OPEN):
            new.cast(new.ann, 1)
        with refused(NOT_OPEN):
            new.delegate(new.ann, new.ben)
        with refused(NOT_OPEN):
            new.take_back(new.ann)
        if new.result().turnout == 0:
            new.open()
            new.cast(new.ben, 1)
            new.chain.advance(1, DAY_MS)


def test_a_vote_counts_with_its_weight_and_may_be_changed(scene: Scene) -> None:
    scene.cast(scene.ann, 1)
    scene.cast(scene.ben, 3)
    assert scene.told() == Voted(scene.ben, u8(3), u64(7))
    assert scene.tallies() == [5, 0, 7]
    scene.cast(scene.ben, 1)
    assert scene.tallies() == [12, 0, 0]
    assert scene.find(scene.ben).choice == 1


@pytest.mark.parametrize("choice", [0, 4])
def test_a_choice_is_one_of_those_that_stand(scene: Scene, choice: int) -> None:
    with refused(UNKNOWN_CHOICE):
        scene.cast(scene.ann, choice)


def test_only_members_take_part(scene: Scene) -> None:
    with refused(NOT_MEMBER):
        scene.cast(scene.stranger, 1)
    with refused(NOT_MEMBER):
        scene.delegate(scene.stranger, scene.ann)
    with refused(NOT_MEMBER):
        scene.delegate(scene.ann, scene.stranger)
    with refused(NOT_MEMBER):
        scene.take_back(scene.stranger)
    with refused(NOT_MEMBER):
        scene.chain.view(scene.vote.decides_for, scene.stranger)


def test_a_vote_that_is_handed_on_counts_with_the_delegate(scene: Scene) -> None:
    scene.cast(scene.ben, 2)
    scene.cast(scene.ann, 1)
    scene.delegate(scene.ann, scene.ben)
    assert scene.told() == Delegated(scene.ann, scene.ben, u64(5))
    assert scene.tallies() == [0, 12, 0]
    assert scene.find(scene.ann) == Member(u64(5), u64(5), scene.ben, u8(0))
    assert scene.find(scene.ben) == Member(u64(7), u64(12), None, u8(2))
    with refused(HAS_DELEGATED):
        scene.cast(scene.ann, 1)
    with refused(HAS_DELEGATED):
        scene.delegate(scene.ann, scene.cas)


def test_handed_on_votes_are_handed_on(scene: Scene) -> None:
    scene.delegate(scene.ben, scene.cas)
    scene.delegate(scene.ann, scene.ben)
    scene.cast(scene.cas, 1)
    assert scene.tallies() == [23, 0, 0]
    scene.delegate(scene.cas, scene.dov)
    assert scene.told() == Delegated(scene.cas, scene.dov, u64(23))
    assert scene.tallies() == [0, 0, 0]
    scene.cast(scene.dov, 2)
    assert scene.tallies() == [0, REGISTERED, 0]
    assert [scene.chain.view(scene.vote.decides_for, each) for each in scene.members] == [scene.dov] * 4


def test_no_vote_comes_back_to_whom_it_came_from(scene: Scene) -> None:
    with refused(LOOP):
        scene.delegate(scene.ann, scene.ann)
    scene.delegate(scene.ann, scene.ben)
    with refused(LOOP):
        scene.delegate(scene.ben, scene.ann)
    scene.delegate(scene.ben, scene.cas)
    with refused(LOOP):
        scene.delegate(scene.cas, scene.ann)


def test_a_vote_is_taken_back_with_all_that_came_with_it(scene: Scene) -> None:
    scene.delegate(scene.ann, scene.ben)
    scene.delegate(scene.ben, scene.cas)
    scene.delegate(scene.cas, scene.dov)
    scene.cast(scene.dov, 1)
    scene.take_back(scene.ben)
    assert scene.told() == TookBack(scene.ben, u64(12))
    assert scene.tallies() == [24, 0, 0]
    assert scene.find(scene.cas).power == 11
    scene.cast(scene.ben, 2)
    assert scene.tallies() == [24, 12, 0]
    with refused(NOT_DELEGATED):
        scene.take_back(scene.ben)


def test_anybody_closes_when_the_time_is_over(scene: Scene) -> None:
    scene.cast(scene.dov, 2)
    scene.cast(scene.cas, 1)
    with refused(TOO_EARLY):
        scene.chain.call(scene.stranger, scene.vote.close)
    scene.chain.advance(1, DAY_MS)
    scene.chain.call(scene.stranger, scene.vote.close)
    assert scene.told() == ClosedVote(u8(2), u64(24))
    tallies = List[u64, Literal[8]]([u64(11), u64(13), u64(0)])
    assert scene.result() == Result(tallies, u64(24), u64(REGISTERED), True, True, u8(2))
    with refused(NOT_OPEN):
        scene.chain.call(scene.stranger, scene.vote.close)


def test_without_the_quorum_nothing_wins(scene: Scene) -> None:
    scene.cast(scene.ann, 1)
    scene.cast(scene.cas, 2)
    result = scene.result()
    assert (result.turnout, result.is_quorate, result.winner) == (16, False, 0)
    scene.cast(scene.ben, 1)
    result = scene.result()
    assert (result.turnout, result.is_quorate, result.winner) == (23, True, 1)


def test_the_quorum_is_rounded_up() -> None:
    scene = Scene(is_open=False)
    scene.register([(scene.ann, 1), (scene.ben, 2)])
    scene.open()
    scene.cast(scene.ann, 1)
    assert not scene.result().is_quorate
    scene.cast(scene.ben, 1)
    assert scene.result().is_quorate


def test_a_quorum_of_nothing_still_needs_a_vote(new: Scene) -> None:
    vote = new.chain.deploy(new.convener, Vote, "?", u8(2), u16(0))
    assert not new.chain.view(vote.result).is_quorate
    new.chain.call(new.convener, vote.register, list_weights([(new.ann, 1), (new.ben, 9)]))
    new.chain.call(new.convener, vote.open_vote, new.closes_ms)
    assert not new.chain.view(vote.result).is_quorate
    new.chain.call(new.ann, vote.cast, u8(2))
    result = new.chain.view(vote.result)
    assert (result.is_quorate, result.winner) == (True, 2)


def test_of_equals_none_wins(new: Scene) -> None:
    new.register([(new.ann, 5), (new.ben, 5), (new.cas, 6)])
    new.open()
    new.cast(new.ann, 1)
    new.cast(new.ben, 3)
    assert new.result().winner == 0
    new.cast(new.cas, 2)
    assert new.result().winner == 2


def test_members_are_listed_page_by_page(scene: Scene) -> None:
    everybody = scene.chain.view(scene.vote.list_weights, u64(0))
    assert everybody == list_weights(list(zip(scene.members, WEIGHTS.values(), strict=True)))
    assert scene.chain.view(scene.vote.list_weights, u64(3)) == list_weights([(scene.dov, 13)])
    assert len(scene.chain.view(scene.vote.list_weights, u64(4))) == 0


calls = st.tuples(st.sampled_from(["cast", "delegate", "take_back"]), st.integers(0, 3), st.integers(0, 3))


@settings(max_examples=30, deadline=None)
@given(st.lists(calls, max_size=30))
def test_every_weight_counts_once_where_its_tree_decides(drawn: list[tuple[str, int, int]]) -> None:
    scene = Scene()
    delegates: dict[int, int] = {}
    choices: dict[int, int] = {}
    for method, sender, other in drawn:
        arguments: tuple[Any, ...] = {"cast": (u8(other),), "delegate": (scene.members[other],)}.get(method, ())
        try:
            scene.chain.call(scene.members[sender], getattr(scene.vote, method), *arguments)
        except RevertError as error:
            assert error.code in (UNKNOWN_CHOICE, HAS_DELEGATED, NOT_DELEGATED, LOOP)
            continue
        choices.pop(sender, None)
        if method == "cast":
            choices[sender] = other
        elif method == "delegate":
            delegates[sender] = other
        else:
            del delegates[sender]
        assert scene.tallies() == count_naively(delegates, choices)


def count_naively(delegates: dict[int, int], choices: dict[int, int]) -> list[int]:
    """Follow every member to whoever decides for it."""
    tallies = [0, 0, 0]
    for member, weight in enumerate(WEIGHTS.values()):
        while member in delegates:
            member = delegates[member]
        if member in choices:
            tallies[choices[member] - 1] += weight
    return tallies
