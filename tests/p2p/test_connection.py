from dataclasses import replace

import pytest

from p2p.frames import FRAME_PAYLOAD_BYTES_MAX, Channel, encode_message
from p2p.memory_pipe import PIECES_MAX
from p2p.settings import CHANNEL_LIMITS, WRITE_BUFFER_BYTES_MAX
from tests.p2p.nodes import QUICK, Simulation, make_ends


def test_messages_arrive_in_order_and_one_write_carries_many() -> None:
    simulation = Simulation()
    ours, theirs = make_ends(simulation)
    for end in (ours, theirs):
        end.connection.open_channels()
    pieces: list[bytes] = []
    write = ours.wire.write

    def spy(data: bytes) -> None:
        pieces.append(data)
        write(data)

    ours.wire.write = spy  # type: ignore[method-assign]  # to see what is written at once
    for number in range(500):
        assert ours.connection.send(Channel.CONSENSUS, number, b"vote")
    simulation.run()
    assert [kind for _, kind, _ in theirs.receiver.messages] == list(range(500))
    assert len(pieces) == 1
    assert ours.counters.frames_out[Channel.CONSENSUS] == theirs.counters.frames_in[Channel.CONSENSUS] == 500
    assert ours.counters.bytes_out == theirs.counters.bytes_in


def test_a_vote_overtakes_a_block_that_is_being_sent() -> None:
    simulation = Simulation()
    ours, theirs = make_ends(simulation, compute_delay_s=lambda size: size / 10**6)
    for end in (ours, theirs):
        end.connection.open_channels()
    ours.connection.send(Channel.SYNC, 1, bytes(8 * 2**20))
    simulation.run(0.05)
    ours.connection.send(Channel.CONSENSUS, 2, b"vote")
    simulation.run(100.0)
    assert [channel for channel, _, _ in theirs.receiver.messages] == [Channel.CONSENSUS, Channel.SYNC]


def test_a_full_queue_drops_for_this_peer_and_counts() -> None:
    simulation = Simulation()
    ours, _ = make_ends(simulation)
    ours.connection.pause_writing()
    frames_max = CHANNEL_LIMITS[Channel.CONSENSUS].queue_frames_max
    assert all(ours.connection.send(Channel.CONSENSUS, 1, b"v") for _ in range(frames_max))
    assert not ours.connection.send(Channel.CONSENSUS, 1, b"v")
    assert ours.counters.messages_dropped[Channel.CONSENSUS] == 1
    assert ours.connection.send(Channel.TRANSACTIONS, 1, b"t")


def test_a_reader_that_does_not_read_costs_bounded_memory() -> None:
    simulation = Simulation()
    ours, theirs = make_ends(simulation)
    for end in (ours, theirs):
        end.connection.open_channels()
    theirs.wire.pause_reading()
    taken = 0
    for _ in range(1_000):
        taken += ours.connection.send(Channel.SYNC, 1, bytes(FRAME_PAYLOAD_BYTES_MAX))
        simulation.run()
    held_bytes_max = CHANNEL_LIMITS[Channel.SYNC].queue_bytes_max + 2 * WRITE_BUFFER_BYTES_MAX
    assert 0 < taken * FRAME_PAYLOAD_BYTES_MAX < held_bytes_max
    assert ours.counters.messages_dropped[Channel.SYNC] == 1_000 - taken
    theirs.wire.resume_reading()
    simulation.run(100.0)
    assert len(theirs.receiver.messages) == taken


def test_many_small_writes_to_a_pipe_are_bounded_too() -> None:
    simulation = Simulation()
    ours, theirs = make_ends(simulation)
    ours.connection.open_channels()
    theirs.connection.open_channels()
    theirs.wire.pause_reading()
    for _ in range(PIECES_MAX + 10):
        ours.connection.send(Channel.CONTROL, 300, b"")
        simulation.run()
    assert len(theirs.wire._arriving) == PIECES_MAX


@pytest.mark.parametrize("unit", ["bytes", "frames"])
def test_a_peer_above_its_rate_is_left_waiting_and_gets_through_later(unit: str) -> None:
    slow = {
        "bytes": replace(CHANNEL_LIMITS[Channel.TRANSACTIONS], receive_bytes_per_second=1_000, burst_seconds=1.0),
        "frames": replace(CHANNEL_LIMITS[Channel.TRANSACTIONS], receive_frames_per_second=1, burst_seconds=1.0),
    }[unit]
    settings = replace(QUICK, channels={**CHANNEL_LIMITS, Channel.TRANSACTIONS: slow})
    simulation = Simulation()
    ours, theirs = make_ends(simulation, settings)
    for end in (ours, theirs):
        end.connection.open_channels()
    for number in range(5):
        ours.connection.send(Channel.TRANSACTIONS, number, bytes(993))
        simulation.run()
    assert 1 <= len(theirs.receiver.messages) <= 2
    assert theirs.connection.is_reading_paused
    assert theirs.counters.read_pauses[Channel.TRANSACTIONS] == 1
    assert theirs.receiver.overruns == [Channel.TRANSACTIONS]
    simulation.run(10.0)
    assert [kind for _, kind, _ in theirs.receiver.messages] == [0, 1, 2, 3, 4]
    assert not theirs.connection.is_reading_paused


def test_a_last_word_goes_before_everything_queued_and_nothing_after_it() -> None:
    simulation = Simulation()
    ours, theirs = make_ends(simulation)
    theirs.connection.open_channels()
    ours.connection.send(Channel.SYNC, 1, b"block")
    ours.connection.close(encode_message(Channel.CONTROL, 3, b"bye"))
    assert not ours.connection.send(Channel.CONTROL, 300, b"more")
    simulation.run(1.0)
    assert theirs.receiver.messages == [(Channel.CONTROL, 3, b"bye")]
    assert theirs.receiver.endings == ["the peer closed the connection without a word"]
    assert ours.receiver.endings == []


def test_a_peer_that_does_not_read_cannot_delay_the_end() -> None:
    simulation = Simulation()
    ours, theirs = make_ends(simulation, compute_delay_s=lambda size: 1_000.0)
    ours.connection.close(encode_message(Channel.CONTROL, 3, b"bye"))
    simulation.run(QUICK.close_timeout_s)
    assert len(theirs.receiver.endings) == 1


def test_a_protocol_error_is_reported_once_and_what_follows_is_ignored_after_the_close() -> None:
    simulation = Simulation()
    ours, theirs = make_ends(simulation)

    def react(error: Exception) -> None:
        theirs.receiver.errors.append(str(error))
        theirs.connection.close()

    theirs.receiver.misbehaved = react  # type: ignore[method-assign]  # reacts as a peer does
    ours.wire.write(b"\xff" * 100)
    ours.wire.write(b"\xff" * 100)
    simulation.run()
    assert theirs.receiver.errors == ["channel 127 does not exist"]


def test_messages_after_a_close_in_the_same_chunk_are_not_delivered() -> None:
    simulation = Simulation()
    ours, theirs = make_ends(simulation)
    received = theirs.receiver.received

    def close_at_the_first(channel: Channel, kind: int, payload: bytes) -> None:
        received(channel, kind, payload)
        theirs.connection.close()

    theirs.receiver.received = close_at_the_first  # type: ignore[method-assign]  # reacts as a peer does
    ours.connection.send(Channel.CONTROL, 300, b"1")
    ours.connection.send(Channel.CONTROL, 300, b"2")
    simulation.run()
    assert len(theirs.receiver.messages) == 1
