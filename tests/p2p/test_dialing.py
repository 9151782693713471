import random
from itertools import product

import pytest

from ledger.primitives import NodeKey
from p2p.addresses import PeerAddress
from p2p.dialing import Dial, compute_backoff_s, is_new_kept
from p2p.settings import NetworkSettings
from tests.p2p.nodes import LOOPBACK

SETTINGS = NetworkSettings(LOOPBACK, backoff_first_s=1.0, backoff_max_s=60.0)
SMALL, LARGE = NodeKey(b"\x01" * 32), NodeKey(b"\x02" * 32)


@pytest.mark.parametrize(("failures", "longest_s"), [(0, 1.0), (1, 2.0), (5, 32.0), (6, 60.0), (10**9, 60.0)])
def test_backoff_doubles_up_to_its_maximum_and_half_of_it_is_chance(failures: int, longest_s: float) -> None:
    source = random.Random(1)
    waits = [compute_backoff_s(failures, SETTINGS, source) for _ in range(200)]
    assert longest_s / 2 <= min(waits) < longest_s * 0.55
    assert longest_s * 0.95 < max(waits) <= longest_s


def test_addresses_are_tried_in_turn() -> None:
    dial = Dial((PeerAddress("a", 1), PeerAddress("b", 2)))
    tried = []
    for dial.failures in range(3):
        tried.append(dial.address.host)
    assert tried == ["a", "b", "a"]


def test_two_dials_at_once_leave_one_connection_the_same_on_both_sides() -> None:
    """Each side sees the two connections in either order; both keep the one that the smaller key dialled."""
    for small_first, large_first in product([True, False], repeat=2):
        small_keeps_new = is_new_kept(
            SMALL,
            LARGE,
            is_old_dialed=small_first,
            is_new_dialed=not small_first,
            is_old_stable=False,
        )
        large_keeps_new = is_new_kept(
            LARGE,
            SMALL,
            is_old_dialed=large_first,
            is_new_dialed=not large_first,
            is_old_stable=False,
        )
        assert small_keeps_new is (not small_first)
        assert large_keeps_new is large_first


def test_a_peer_that_dials_again_after_a_while_has_lost_its_old_connection() -> None:
    for own, other in ((SMALL, LARGE), (LARGE, SMALL)):
        assert is_new_kept(own, other, is_old_dialed=True, is_new_dialed=False, is_old_stable=True)
        assert is_new_kept(own, other, is_old_dialed=False, is_new_dialed=False, is_old_stable=False)
