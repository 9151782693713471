from dataclasses import replace

import pytest

from p2p.frames import Channel
from p2p.send_queue import SendQueue
from p2p.settings import CHANNEL_LIMITS, NetworkSettings
from tests.p2p.nodes import LOOPBACK

LIMITS = {
    channel: replace(limits, queue_frames_max=3, queue_bytes_max=100) for channel, limits in CHANNEL_LIMITS.items()
}


def test_urgent_channels_leave_first_and_each_in_order() -> None:
    queue = SendQueue(LIMITS)
    queue.put(Channel.SYNC, [b"s1", b"s2"])
    queue.put(Channel.TRANSACTIONS, [b"t"])
    queue.put(Channel.CONSENSUS, [b"c1"])
    queue.put(Channel.CONSENSUS, [b"c2"])
    queue.put(Channel.CONTROL, [b"x"])
    assert queue.take(100) == [
        (Channel.CONTROL, [b"x"], 1),
        (Channel.CONSENSUS, [b"c1", b"c2"], 4),
        (Channel.TRANSACTIONS, [b"t"], 1),
        (Channel.SYNC, [b"s1", b"s2"], 4),
    ]
    assert queue.bytes_queued == 0
    assert queue.take(100) == []


def test_a_frame_put_later_overtakes_the_rest_of_a_long_message() -> None:
    queue = SendQueue(LIMITS)
    queue.put(Channel.SYNC, [b"s1", b"s2", b"s3"])
    assert queue.take(1) == [(Channel.SYNC, [b"s1"], 2)]
    queue.put(Channel.CONSENSUS, [b"vote"])
    assert queue.take(5) == [(Channel.CONSENSUS, [b"vote"], 4), (Channel.SYNC, [b"s2"], 2)]


def test_a_message_enters_whole_or_not_at_all() -> None:
    queue = SendQueue(LIMITS)
    assert queue.put(Channel.SYNC, [b"1", b"2"])
    assert not queue.put(Channel.SYNC, [b"3", b"4"])
    assert queue.put(Channel.SYNC, [b"3"])
    assert not queue.put(Channel.SYNC, [b"4"])
    assert queue.bytes_queued == 3


def test_bytes_are_bounded_per_channel() -> None:
    queue = SendQueue(LIMITS)
    assert queue.put(Channel.SYNC, [b"x" * 100])
    assert not queue.put(Channel.SYNC, [b"y"])
    assert queue.put(Channel.CONSENSUS, [b"y"])
    queue.clear()
    assert queue.put(Channel.SYNC, [b"x" * 100])


def test_settings_hold_the_largest_message_of_every_channel() -> None:
    small = {**CHANNEL_LIMITS, Channel.SYNC: replace(CHANNEL_LIMITS[Channel.SYNC], queue_bytes_max=9 * 2**20)}
    with pytest.raises(AssertionError, match="SYNC"):
        NetworkSettings(LOOPBACK, channels=small)
