from random import Random

import pytest

from consensus.snapshot_rules import (
    ASK_AGAIN_MS,
    BENCH_MS,
    LOST_AFTER_MS,
    OFFERS_WAIT_MS,
    REQUEST_TIMEOUT_MS,
    REQUESTS_PER_PEER_MAX,
    SNAPSHOT_PEERS_MAX,
    STRIKES_MAX,
    BlockWanted,
    OfferWanted,
    PartWanted,
    SnapshotPlanner,
    SnapshotRequest,
)
from ledger.primitives import Height, NodeKey, TimeMs

NOW = TimeMs(1_000_000)
TEN, TWENTY = Height(10), Height(20)


def key(number: int) -> NodeKey:
    return NodeKey(number.to_bytes(32, "big"))


def part(number: int) -> PartWanted:
    return PartWanted(bytes([number]))


def later(milliseconds: int) -> TimeMs:
    return TimeMs(NOW + milliseconds)


def offer(*heights: int | None) -> SnapshotPlanner:
    """Peers 0, 1, … have been asked and offer these heights."""
    planner = SnapshotPlanner()
    for number in range(len(heights)):
        planner.add_peer(key(number))
    planner.plan_requests(NOW)
    for number, height in enumerate(heights):
        assert planner.take_offer(key(number), None, None if height is None else Height(height), NOW)
    return planner


def serve(count: int) -> SnapshotPlanner:
    """So many peers serve height 10, which is proven."""
    planner = offer(*[TEN] * count)
    assert planner.choose(NOW) == (key(count - 1), TEN)
    planner.set_proven()
    for request in planner.plan_requests(NOW):
        assert planner.take_offer(request.peer, TEN, TEN, NOW)
    assert planner.peers_serving == count
    return planner


def test_every_peer_is_asked_once_what_it_offers() -> None:
    planner = SnapshotPlanner()
    planner.add_peer(key(1))
    planner.add_peer(key(0))
    wanted = OfferWanted(None)
    assert planner.plan_requests(NOW) == [SnapshotRequest(key(0), wanted, NOW), SnapshotRequest(key(1), wanted, NOW)]
    assert planner.plan_requests(NOW) == []
    assert not planner.has_offer


def test_the_highest_offer_is_chosen_and_ties_go_by_key() -> None:
    assert offer(10, 30, 20).choose(NOW) == (key(1), Height(30))
    assert offer(10, 10).choose(NOW) == (key(1), TEN)
    assert offer(None, None).choose(NOW) is None


def test_a_higher_offer_is_waited_for_a_while() -> None:
    planner = SnapshotPlanner()
    for number in (0, 1):
        planner.add_peer(key(number))
    planner.plan_requests(NOW)
    assert planner.take_offer(key(0), None, TEN, NOW)
    assert planner.choose(later(OFFERS_WAIT_MS - 1)) is None
    assert planner.choose(later(OFFERS_WAIT_MS)) == (key(0), TEN)


def test_who_offers_nothing_is_asked_again_after_a_while() -> None:
    planner = offer(None)
    assert planner.plan_requests(later(ASK_AGAIN_MS - 1)) == []
    assert planner.plan_requests(later(ASK_AGAIN_MS)) == [
        SnapshotRequest(key(0), OfferWanted(None), later(ASK_AGAIN_MS))
    ]


def test_an_offer_that_nobody_asked_for_counts_for_nothing() -> None:
    planner = SnapshotPlanner()
    planner.add_peer(key(0))
    assert not planner.take_offer(key(0), None, TEN, NOW)
    planner.plan_requests(NOW)
    assert not planner.take_offer(key(0), TWENTY, TWENTY, NOW)
    assert not planner.take_offer(key(1), None, TEN, NOW)
    assert planner.choose(NOW) is None


def test_until_the_offer_is_proven_only_its_peer_is_asked() -> None:
    planner = offer(10, 20)
    planner.choose(NOW)
    planner.want(BlockWanted(TWENTY))
    planner.want(part(1))
    assert {request.peer for request in planner.plan_requests(NOW)} == {key(1)}


def test_once_it_is_proven_all_are_asked_for_the_same_height() -> None:
    planner = offer(10, 20, None)
    planner.choose(NOW)
    planner.set_proven()
    wanted = OfferWanted(TWENTY)
    assert planner.plan_requests(NOW) == [SnapshotRequest(key(0), wanted, NOW), SnapshotRequest(key(2), wanted, NOW)]
    planner.take_offer(key(0), TWENTY, TWENTY, NOW)
    planner.take_offer(key(2), TWENTY, None, NOW)
    assert planner.peers_serving == 2


def test_a_late_answer_about_the_newest_does_not_keep_a_peer_from_being_asked_for_the_chosen() -> None:
    planner = offer(10)
    planner.add_peer(key(1))
    planner.plan_requests(NOW)
    planner.choose(later(OFFERS_WAIT_MS))
    planner.set_proven()
    assert planner.take_offer(key(1), None, TWENTY, NOW)
    assert [(each.peer, each.wanted) for each in planner.plan_requests(NOW)] == [(key(1), OfferWanted(TEN))]


def test_work_is_spread_and_bounded_per_peer() -> None:
    planner = serve(2)
    for number in range(20):
        planner.want(part(number))
    planned = planner.plan_requests(NOW)
    assert [request.wanted for request in planned] == [part(number) for number in range(2 * REQUESTS_PER_PEER_MAX)]
    assert [request.peer for request in planned] == [key(0), key(1)] * REQUESTS_PER_PEER_MAX
    assert planner.plan_requests(NOW) == []
    assert planner.take_answer(key(1), part(1))
    assert planner.plan_requests(NOW) == [SnapshotRequest(key(1), part(2 * REQUESTS_PER_PEER_MAX), NOW)]


def test_what_is_wanted_first_goes_before_the_rest() -> None:
    planner = serve(1)
    planner.want(part(1))
    planner.want(part(2))
    planner.want_first(part(3))
    assert [request.wanted for request in planner.plan_requests(NOW)] == [part(3), part(1), part(2)]


def test_an_answer_counts_once_and_only_from_whom_it_was_asked() -> None:
    planner = serve(2)
    planner.want(part(1))
    planner.plan_requests(NOW)
    assert not planner.take_answer(key(1), part(1))
    assert not planner.take_answer(key(0), part(2))
    assert planner.take_answer(key(0), part(1))
    assert not planner.take_answer(key(0), part(1))
    assert planner.requests == ()


def test_a_gone_peers_work_goes_to_others() -> None:
    planner = serve(2)
    planner.want(part(1))
    assert planner.plan_requests(NOW)[0].peer == key(0)
    planner.remove_peer(key(0))
    assert planner.plan_requests(NOW) == [SnapshotRequest(key(1), part(1), NOW)]


def test_silence_is_a_strike_and_the_work_goes_to_somebody_with_fewer() -> None:
    planner = serve(2)
    planner.want(part(1))
    assert planner.plan_requests(NOW)[0].peer == key(0)
    assert planner.plan_requests(later(REQUEST_TIMEOUT_MS - 1)) == []
    late = later(REQUEST_TIMEOUT_MS)
    assert planner.plan_requests(late) == [SnapshotRequest(key(1), part(1), late)]
    assert not planner.take_answer(key(0), part(1)), "what was given up is not taken any more"


def test_after_some_strikes_a_peer_is_left_alone_for_a_while() -> None:
    planner = serve(1)
    planner.want(part(1))
    now = NOW
    for _ in range(STRIKES_MAX):
        assert [request.wanted for request in planner.plan_requests(now)] == [part(1)]
        now = TimeMs(now + REQUEST_TIMEOUT_MS)
    assert planner.plan_requests(now) == []
    assert planner.plan_requests(TimeMs(now + BENCH_MS - 1)) == []
    back = planner.plan_requests(TimeMs(now + BENCH_MS))
    assert [(request.peer, request.wanted) for request in back] == [(key(0), OfferWanted(TEN))]


def test_an_answer_forgives_strikes() -> None:
    planner = serve(1)
    now = NOW
    for _ in range(3 * STRIKES_MAX):
        planner.want(part(1))
        planner.plan_requests(now)
        now = TimeMs(now + REQUEST_TIMEOUT_MS)
        planner.plan_requests(now)
        assert planner.take_answer(key(0), part(1))
    assert planner.peers_serving == 1


def test_who_has_not_got_what_it_offered_serves_no_more_until_it_offers_again() -> None:
    planner = serve(2)
    planner.want(part(1))
    planner.want(part(2))
    planner.want(part(3))
    planner.plan_requests(NOW)
    assert planner.take_absence(key(0), part(1), NOW)
    assert not planner.take_absence(key(0), part(1), NOW)
    assert planner.peers_serving == 1
    assert {(request.peer, request.wanted) for request in planner.plan_requests(NOW)} == {
        (key(1), part(1)),
        (key(1), part(3)),
    }
    again = later(ASK_AGAIN_MS)
    assert SnapshotRequest(key(0), OfferWanted(TEN), again) in planner.plan_requests(again)


def test_a_liar_is_never_asked_again_and_its_lie_is_asked_of_others() -> None:
    planner = serve(2)
    planner.want(part(1))
    planner.plan_requests(NOW)
    assert planner.take_answer(key(0), part(1))
    planner.reject(key(0), part(1))
    planner.add_peer(key(0))
    assert planner.plan_requests(NOW) == [SnapshotRequest(key(1), part(1), NOW)]
    assert all(request.peer == key(1) for request in planner.plan_requests(later(BENCH_MS + REQUEST_TIMEOUT_MS)))


def test_an_unproven_choice_is_lost_with_its_peer() -> None:
    planner = offer(10, 20)
    planner.choose(NOW)
    assert not planner.is_lost(NOW)
    planner.reject(key(1), None)
    assert planner.is_lost(NOW)
    planner.abandon()
    assert not planner.is_lost(NOW)
    assert [(request.peer, request.wanted) for request in planner.plan_requests(NOW)] == [(key(0), OfferWanted(None))]


def test_a_proven_choice_is_lost_when_nobody_has_served_it_for_long() -> None:
    planner = serve(1)
    assert not planner.is_lost(later(10 * LOST_AFTER_MS))
    planner.remove_peer(key(0))
    assert not planner.is_lost(later(11 * LOST_AFTER_MS - 1))
    assert planner.is_lost(later(11 * LOST_AFTER_MS))


def test_after_giving_up_nothing_of_it_is_wanted_or_taken() -> None:
    planner = serve(1)
    planner.want(part(1))
    planner.plan_requests(NOW)
    planner.want(part(2))
    planner.abandon()
    assert not planner.take_answer(key(0), part(1))
    assert planner.plan_requests(NOW) == [SnapshotRequest(key(0), OfferWanted(None), NOW)]


def test_only_so_many_peers_are_asked() -> None:
    planner = SnapshotPlanner()
    for number in range(SNAPSHOT_PEERS_MAX + 5):
        planner.add_peer(key(number))
    assert len(planner.plan_requests(NOW)) == SNAPSHOT_PEERS_MAX


@pytest.mark.parametrize("seed", range(30))
def test_whatever_peers_do_every_part_is_answered_once_in_the_end(seed: int) -> None:
    """Peers come, go, stay silent, lie and have nothing; one is honest and stays."""
    random = Random(seed)
    planner = serve(5)
    wanted = {part(number) for number in range(60)}
    for each in sorted(wanted, key=lambda each: each.path):
        planner.want(each)
    answered: set[PartWanted] = set()
    now = NOW
    for _ in range(5_000):
        now = TimeMs(now + random.randrange(200))
        planner.plan_requests(now)
        open_parts = [each for each in planner.requests if isinstance(each.wanted, PartWanted)]
        assert len({each.wanted for each in open_parts}) == len(open_parts), "nothing is asked for twice at a time"
        for request in planner.requests:
            deed = random.choice(("answer", "silence", "silence", "lie", "absence", "leave"))
            if request.peer == key(4):
                deed = "answer"
            if isinstance(request.wanted, OfferWanted):
                if deed != "silence":
                    planner.take_offer(request.peer, request.wanted.height, request.wanted.height, now)
            elif not isinstance(request.wanted, PartWanted) or request not in planner.requests:
                continue
            elif deed == "answer":
                assert planner.take_answer(request.peer, request.wanted)
                assert request.wanted not in answered
                answered.add(request.wanted)
            elif deed == "lie" and random.random() < 0.1:
                assert planner.take_answer(request.peer, request.wanted)
                planner.reject(request.peer, request.wanted)
            elif deed == "absence":
                planner.take_absence(request.peer, request.wanted, now)
            elif deed == "leave":
                planner.remove_peer(request.peer)
                planner.add_peer(request.peer)
        if answered == wanted:
            return
    pytest.fail(f"{len(wanted - answered)} parts were never answered")
