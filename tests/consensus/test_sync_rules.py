from random import Random

import pytest

from consensus.sync_rules import (
    BENCH_MS,
    BLOCKS_AHEAD_MAX,
    REQUEST_BLOCKS_MAX,
    REQUEST_TIMEOUT_MS,
    REQUESTS_IN_FLIGHT_MAX,
    STRIKES_MAX,
    SYNC_PEERS_MAX,
    BlocksWanted,
    SyncPlanner,
)
from ledger.primitives import Height, NodeKey, TimeMs

NOW = TimeMs(1_000_000)


def key(number: int) -> NodeKey:
    return NodeKey(number.to_bytes(32, "big"))


def plan_for(*heads: int, own: int = 0) -> SyncPlanner:
    planner = SyncPlanner(Height(own))
    for number, head in enumerate(heads):
        planner.update_peer(key(number), Height(0), Height(head))
    return planner


def later(milliseconds: int) -> TimeMs:
    return TimeMs(NOW + milliseconds)


def test_ranges_are_bounded_and_spread_over_peers_without_overlap() -> None:
    planner = plan_for(1000, 1000)
    assert planner.plan_requests(NOW) == [
        BlocksWanted(key(0), Height(1), Height(REQUEST_BLOCKS_MAX), NOW),
        BlocksWanted(key(1), Height(REQUEST_BLOCKS_MAX + 1), Height(2 * REQUEST_BLOCKS_MAX), NOW),
    ]
    assert planner.plan_requests(NOW) == []


def test_requests_in_flight_and_blocks_ahead_are_bounded() -> None:
    planner = plan_for(*[10**9] * 50)
    planned = planner.plan_requests(NOW)
    assert len(planned) == REQUESTS_IN_FLIGHT_MAX
    for request in planned:
        assert planner.take_answer(request.peer, request.first, REQUEST_BLOCKS_MAX, NOW)
    planned = planner.plan_requests(NOW)
    assert all(request.last <= BLOCKS_AHEAD_MAX for request in planned)
    planner.set_head(Height(64))
    assert max(request.last for request in planner.plan_requests(NOW)) <= 64 + BLOCKS_AHEAD_MAX


def test_a_peer_is_asked_only_for_what_it_has() -> None:
    planner = SyncPlanner(Height(10))
    planner.update_peer(key(0), Height(15), Height(20))
    planner.update_peer(key(1), Height(0), Height(12))
    assert planner.plan_requests(NOW) == [
        BlocksWanted(key(1), Height(11), Height(12), NOW),
        BlocksWanted(key(0), Height(15), Height(20), NOW),
    ]


def test_a_silent_peer_loses_its_range_to_another_and_is_benched_after_three_strikes() -> None:
    planner = plan_for(10)
    for strike in range(STRIKES_MAX):
        (request,) = planner.plan_requests(later(strike * REQUEST_TIMEOUT_MS))
        assert request.peer == key(0)
    planner.update_peer(key(1), Height(0), Height(10))
    now = later(STRIKES_MAX * REQUEST_TIMEOUT_MS)
    assert [request.peer for request in planner.plan_requests(now)] == [key(1)]
    planner.remove_peer(key(1))
    assert planner.plan_requests(now) == []
    assert [request.peer for request in planner.plan_requests(TimeMs(now + BENCH_MS))] == [key(0)]


def test_a_peer_without_strikes_is_asked_first() -> None:
    planner = plan_for(10, 10)
    (request,) = planner.plan_requests(NOW)
    planner.take_answer(request.peer, request.first, 0, NOW)
    (again,) = planner.plan_requests(NOW)
    assert (request.peer, again.peer) == (key(0), key(1))


def test_a_liar_about_its_head_does_not_keep_us_from_being_caught_up() -> None:
    planner = plan_for(10, 10**12, own=10)
    assert not planner.is_caught_up(NOW)
    for _ in range(STRIKES_MAX):
        for request in planner.plan_requests(NOW):
            planner.take_answer(request.peer, request.first, 0, NOW)
    assert planner.is_caught_up(NOW)
    assert planner.get_target(NOW) == 10


def test_bad_blocks_are_asked_of_somebody_else_and_their_sender_is_benched() -> None:
    planner = plan_for(10, 10)
    (request,) = planner.plan_requests(NOW)
    planner.take_answer(request.peer, request.first, 10, NOW)
    assert planner.plan_requests(NOW) == []
    planner.reject_blocks(request.peer, request.first, 10, NOW)
    assert [again.peer for again in planner.plan_requests(NOW)] == [key(1)]


def test_a_short_answer_is_completed() -> None:
    planner = plan_for(10)
    (request,) = planner.plan_requests(NOW)
    assert planner.take_answer(request.peer, request.first, 4, NOW)
    (rest,) = planner.plan_requests(NOW)
    assert (rest.first, rest.last) == (5, 10)


@pytest.mark.parametrize(("peer", "first", "count"), [(1, 1, 5), (0, 2, 5), (0, 1, 11), (0, 1, -1)])
def test_an_answer_nobody_asked_for_is_refused(peer: int, first: int, count: int) -> None:
    planner = plan_for(10, 0)
    planner.plan_requests(NOW)
    assert not planner.take_answer(key(peer), Height(first), count, NOW)
    assert len(planner.requests) == 1


def test_blocks_that_consensus_brought_are_not_asked_for() -> None:
    planner = plan_for(10)
    planner.plan_requests(NOW)
    planner.set_head(Height(10))
    assert planner.requests == ()
    assert planner.plan_requests(NOW) == []
    planner.set_head(Height(3))
    assert planner.get_target(NOW) == 10, "the head never goes back"
    assert planner.plan_requests(NOW) == []


def test_caught_up_is_at_most_one_block_behind() -> None:
    assert SyncPlanner(Height(0)).is_caught_up(NOW)
    assert plan_for(11, own=10).is_caught_up(NOW)
    assert not plan_for(12, own=10).is_caught_up(NOW)


def test_peers_are_bounded() -> None:
    planner = SyncPlanner(Height(0))
    for number in range(SYNC_PEERS_MAX):
        planner.update_peer(key(number), Height(0), Height(0))
    planner.update_peer(key(10**6), Height(0), Height(99))
    assert planner.get_target(NOW) == 0
    planner.update_peer(key(3), Height(0), Height(5))
    assert planner.get_target(NOW) == 5, "known peers still say what they have"


@pytest.mark.parametrize("seed", range(20))
def test_one_honest_peer_among_bad_ones_is_enough(seed: int) -> None:
    """Peers are silent, empty, short or lying; blocks still arrive in order, each applied once."""
    random = Random(f"sync {seed}")
    moods = [random.choice(("silent", "empty", "short", "bad")) for _ in range(5)]
    planner = plan_for(300, *[random.randint(0, 10**6) for _ in moods])
    moods.insert(0, "honest")
    head, now, held = 0, int(NOW), set[int]()
    for _ in range(3000):
        for request in planner.plan_requests(TimeMs(now)):
            assert request.last - request.first < REQUEST_BLOCKS_MAX
            assert len(planner.requests) <= REQUESTS_IN_FLIGHT_MAX
            mood = moods[request.peer[-1]]
            count = request.last - request.first + 1
            if mood == "empty":
                planner.take_answer(request.peer, request.first, 0, TimeMs(now))
            elif mood == "bad":
                planner.take_answer(request.peer, request.first, count, TimeMs(now))
                planner.reject_blocks(request.peer, request.first, count, TimeMs(now))
            elif mood in ("honest", "short"):
                sent = count if mood == "honest" else max(1, count // 3)
                last = min(request.first + sent - 1, 300)
                if last >= request.first:
                    planner.take_answer(request.peer, request.first, last - request.first + 1, TimeMs(now))
                    held.update(range(request.first, last + 1))
                else:
                    planner.take_answer(request.peer, request.first, 0, TimeMs(now))
        while head + 1 in held:
            head += 1
        planner.set_head(Height(head))
        now += 500
        if head == 300:
            break
    assert head == 300
