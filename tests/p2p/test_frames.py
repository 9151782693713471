from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2p.frames import (
    FRAME_HEADER_BYTES,
    FRAME_PAYLOAD_BYTES_MAX,
    GREETING_BYTES_MAX,
    MESSAGE_BYTES_MAX,
    Channel,
    FrameDecoder,
    Message,
    PeerProtocolError,
    encode_message,
)

MORE = 0x80


def make_frame(channel: int, kind: int, payload: bytes, *, announced: int | None = None) -> bytes:
    size = len(payload) if announced is None else announced
    return size.to_bytes(4, "big") + bytes([channel]) + kind.to_bytes(2, "big") + payload


def decode_all(stream: bytes, decoder: FrameDecoder | None = None) -> list[Message]:
    return list((decoder or FrameDecoder(MESSAGE_BYTES_MAX)).feed(stream, 0.0))


def test_wire_numbers_and_bytes_are_fixed() -> None:
    assert {channel.name: channel.value for channel in Channel} == {
        "CONTROL": 0,
        "CONSENSUS": 1,
        "TRANSACTIONS": 2,
        "SYNC": 3,
    }
    assert encode_message(Channel.CONSENSUS, 0x0102, b"vote") == (bytes.fromhex("00000004010102") + b"vote",)


def test_a_long_message_is_cut_into_full_frames_and_a_last_one() -> None:
    payload = bytes(range(256)) * 512 + b"rest"
    first, second, last = encode_message(Channel.SYNC, 9, payload)
    assert first[:FRAME_HEADER_BYTES] == second[:FRAME_HEADER_BYTES] == bytes.fromhex("00010000830009")
    assert last == bytes.fromhex("00000004030009") + b"rest"
    assert decode_all(first + second + last) == [Message(Channel.SYNC, 9, payload)]


@pytest.mark.parametrize("size", [0, 1, FRAME_PAYLOAD_BYTES_MAX - 1, FRAME_PAYLOAD_BYTES_MAX])
def test_what_fits_one_frame_is_one_frame(size: int) -> None:
    frames = encode_message(Channel.SYNC, 1, bytes(size))
    assert [len(frame) for frame in frames] == [FRAME_HEADER_BYTES + size]


def test_an_exact_multiple_ends_in_a_full_frame() -> None:
    frames = encode_message(Channel.SYNC, 1, bytes(2 * FRAME_PAYLOAD_BYTES_MAX))
    assert [frame[4] for frame in frames] == [Channel.SYNC | MORE, Channel.SYNC]
    assert decode_all(b"".join(frames)) == [Message(Channel.SYNC, 1, bytes(2 * FRAME_PAYLOAD_BYTES_MAX))]


@pytest.mark.parametrize("channel", list(Channel))
def test_the_longest_message_of_each_channel_passes(channel: Channel) -> None:
    payload = bytes(MESSAGE_BYTES_MAX[channel])
    assert decode_all(b"".join(encode_message(channel, 1, payload))) == [Message(channel, 1, payload)]


messages = st.lists(
    st.tuples(
        st.sampled_from(list(Channel)),
        st.integers(0, 2**16 - 1),
        st.one_of(st.binary(max_size=40), st.integers(0, 4096).map(bytes)),
    ).map(lambda parts: Message(*parts)),
    max_size=12,
)


@given(messages, st.lists(st.integers(0, 20_000), max_size=30))
def test_any_chunking_gives_the_same_messages(sent: list[Message], cuts: list[int]) -> None:
    stream = b"".join(frame for message in sent for frame in encode_message(*message))
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    decoder = FrameDecoder(MESSAGE_BYTES_MAX)
    received = [message for start, end in pairwise(edges) for message in decoder.feed(stream[start:end], 0.0)]
    assert received == sent
    assert sum(decoder.bytes_in) == len(stream)
    assert sum(decoder.frames_in) == len(sent)


@given(st.randoms(use_true_random=False), st.integers(512, 200_000))
def test_frames_of_different_channels_may_alternate(random: object, chunk_bytes: int) -> None:
    sent = {
        Channel.CONSENSUS: Message(Channel.CONSENSUS, 1, b"c" * 150_000),
        Channel.TRANSACTIONS: Message(Channel.TRANSACTIONS, 2, b"t" * 70_000),
        Channel.SYNC: Message(Channel.SYNC, 3, b"s" * 300_000),
    }
    waiting: dict[Channel, list[bytes]] = {channel: list(encode_message(*message)) for channel, message in sent.items()}
    stream = b""
    while waiting:
        channel = random.choice(list(waiting))  # type: ignore[attr-defined]  # a random.Random that can be replayed
        stream += waiting[channel].pop(0)
        if not waiting[channel]:
            del waiting[channel]
    decoder = FrameDecoder(MESSAGE_BYTES_MAX)
    received = [
        message
        for start in range(0, len(stream), chunk_bytes)
        for message in decoder.feed(stream[start : start + chunk_bytes], 0.0)
    ]
    assert {message.channel: message for message in received} == sent


def test_a_stream_of_single_bytes_costs_no_copies() -> None:
    """65,543 chunks; were the rest copied for each, this would move 2 GB."""
    decoder = FrameDecoder(MESSAGE_BYTES_MAX)
    (frame,) = encode_message(Channel.SYNC, 1, b"x" * FRAME_PAYLOAD_BYTES_MAX)
    rest = decoder._rest
    received = [message for byte in frame for message in decoder.feed(bytes([byte]), 0.0)]
    assert received == [Message(Channel.SYNC, 1, b"x" * FRAME_PAYLOAD_BYTES_MAX)]
    assert decoder._rest is rest


@given(st.binary(max_size=300))
def test_garbage_is_refused_or_waited_for_and_nothing_else(garbage: bytes) -> None:
    with suppress(PeerProtocolError):
        decode_all(garbage)


full = b"f" * FRAME_PAYLOAD_BYTES_MAX


@pytest.mark.parametrize(
    ("stream", "complaint"),
    [
        (make_frame(4, 1, b""), "channel 4 does not exist"),
        (make_frame(0x7F | MORE, 1, b""), "channel 127 does not exist"),
        (make_frame(3, 1, b"", announced=FRAME_PAYLOAD_BYTES_MAX + 1), "announces 65537 bytes"),
        (make_frame(3, 1, b"", announced=2**32 - 1), "announces 4294967295 bytes"),
        (make_frame(0, 1, b"", announced=4097), "a CONTROL message is longer than 4096 bytes"),
        (make_frame(3 | MORE, 1, b"small"), "frames that are not full"),
        (make_frame(3 | MORE, 1, full) + make_frame(3, 2, b"x"), "kind 2 cuts into an unfinished message of kind 1"),
        (make_frame(3 | MORE, 1, full) + make_frame(3, 1, b""), "the last frame of a message is empty"),
        (make_frame(1 | MORE, 1, full) * 16 + make_frame(1, 1, b"x"), "a CONSENSUS message is longer than 1048576"),
        (b"GET / HTTP/1.1\r\n\r\n", "channel 47 does not exist"),
    ],
)
def test_broken_frames_are_refused(stream: bytes, complaint: str) -> None:
    with pytest.raises(PeerProtocolError, match=complaint):
        decode_all(stream)


def test_a_header_is_judged_before_its_payload_comes() -> None:
    decoder = FrameDecoder(MESSAGE_BYTES_MAX)
    with pytest.raises(PeerProtocolError):
        decode_all(make_frame(0, 1, b"", announced=4097)[:FRAME_HEADER_BYTES], decoder)


def test_before_the_greeting_only_control_may_speak() -> None:
    decoder = FrameDecoder(GREETING_BYTES_MAX)
    stream = b"".join(encode_message(Channel.CONTROL, 1, b"hello") + encode_message(Channel.CONSENSUS, 2, b"vote"))
    coming = decoder.feed(stream, 0.0)
    assert next(coming).kind == 1
    with pytest.raises(PeerProtocolError, match="before the greeting"):
        next(coming)


def test_channels_opened_by_one_message_are_open_for_the_next_in_the_same_chunk() -> None:
    decoder = FrameDecoder(GREETING_BYTES_MAX)
    stream = b"".join(encode_message(Channel.CONTROL, 1, b"hello") + encode_message(Channel.CONSENSUS, 2, b"vote"))
    coming = decoder.feed(stream, 0.0)
    next(coming)
    decoder.message_bytes_max = MESSAGE_BYTES_MAX
    assert next(coming) == Message(Channel.CONSENSUS, 2, b"vote")


def test_an_unfinished_message_stalls_after_its_timeout() -> None:
    decoder = FrameDecoder(MESSAGE_BYTES_MAX)
    first, last = encode_message(Channel.SYNC, 1, bytes(FRAME_PAYLOAD_BYTES_MAX + 1))
    assert list(decoder.feed(first, 10.0)) == []
    assert not decoder.is_stalled(15.0, 5.0)
    assert decoder.is_stalled(15.1, 5.0)
    assert len(list(decoder.feed(last, 15.1))) == 1
    assert not decoder.is_stalled(100.0, 5.0)
