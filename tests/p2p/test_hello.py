from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.codec import DecodeError, encode
from ledger.primitives import BlockHash, ChainId, Height, Signature
from p2p.hello import (
    PROTOCOL_VERSION,
    ControlKind,
    GoodbyeReason,
    Hello,
    HelloFacts,
    HelloRefusedError,
    NodeRole,
    Seat,
    SessionCertificates,
    build_hello,
    check_hello,
    compute_seat_message,
    decode_hello,
    encode_hello,
    name_reason,
)
from tests.p2p.nodes import FACTS, SEAT, SEAT_KEY, sign_with_seat

OURS = SessionCertificates(own_hash=b"\x0a" * 32, peer_hash=b"\x0b" * 32)
THEIRS = SessionCertificates(own_hash=b"\x0b" * 32, peer_hash=b"\x0a" * 32)
SEATED = replace(FACTS, consensus_key=SEAT_KEY)


def test_wire_numbers_are_fixed() -> None:
    assert PROTOCOL_VERSION == 1
    assert [(kind.name, kind.value) for kind in ControlKind] == [
        ("HELLO", 1),
        ("WELCOME", 2),
        ("GOODBYE", 3),
        ("PING", 4),
        ("PONG", 5),
    ]
    assert [(role.name, role.value) for role in NodeRole] == [("SUPER_NODE", 1), ("OBSERVER", 2), ("GATEWAY", 3)]
    assert [(reason.name, reason.value) for reason in GoodbyeReason] == [
        ("SHUTDOWN", 1),
        ("WRONG_VERSION", 2),
        ("WRONG_CHAIN", 3),
        ("WRONG_GENESIS", 4),
        ("BAD_SEAT_SIGNATURE", 5),
        ("DUPLICATE", 6),
        ("NOT_ALLOWED", 7),
        ("BANNED", 8),
        ("TOO_MANY_PEERS", 9),
        ("PROTOCOL_ERROR", 10),
        ("TIMED_OUT", 11),
        ("WRONG_KEY", 12),
        ("SIGNING_UNAVAILABLE", 13),
    ]


async def test_a_hello_survives_the_wire_and_its_seat_is_proven() -> None:
    hello = await build_hello(SEATED, OURS, sign_with_seat)
    assert hello.seat is not None
    assert hello.seat.consensus_key == SEAT_KEY
    received = decode_hello(encode_hello(hello))
    assert received == hello
    check_hello(received, FACTS, THEIRS)


async def test_a_node_without_a_seat_signs_nothing() -> None:
    hello = await build_hello(FACTS, OURS, None)
    assert hello.seat is None
    check_hello(decode_hello(encode_hello(hello)), FACTS, THEIRS)


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        (replace(FACTS, chain_id=ChainId("other-chain")), GoodbyeReason.WRONG_CHAIN),
        (replace(FACTS, genesis_hash=BlockHash(b"\x01" * 32)), GoodbyeReason.WRONG_GENESIS),
    ],
)
async def test_another_chain_is_refused(facts: HelloFacts, reason: GoodbyeReason) -> None:
    with pytest.raises(HelloRefusedError) as refusal:
        check_hello(await build_hello(facts, OURS, None), FACTS, THEIRS)
    assert refusal.value.reason is reason


@pytest.mark.parametrize(
    "session",
    [
        OURS,  # our own HELLO sent back to us
        SessionCertificates(own_hash=b"\x0c" * 32, peer_hash=b"\x0a" * 32),  # meant for a third node
        SessionCertificates(own_hash=b"\x0b" * 32, peer_hash=b"\x0c" * 32),  # a third node's
    ],
)
async def test_a_seat_signature_of_another_session_is_refused(session: SessionCertificates) -> None:
    hello = await build_hello(SEATED, OURS, sign_with_seat)
    with pytest.raises(HelloRefusedError) as refusal:
        check_hello(hello, FACTS, session)
    assert refusal.value.reason is GoodbyeReason.BAD_SEAT_SIGNATURE


async def test_a_seat_signature_of_another_genesis_is_refused() -> None:
    message = compute_seat_message(FACTS.chain_id, BlockHash(b"\x01" * 32), OURS.own_hash, OURS.peer_hash)
    hello = await build_hello(FACTS, OURS, None)
    forged = replace(hello, seat=Seat(SEAT_KEY, Signature(SEAT.sign(message))))
    with pytest.raises(HelloRefusedError) as refusal:
        check_hello(forged, FACTS, THEIRS)
    assert refusal.value.reason is GoodbyeReason.BAD_SEAT_SIGNATURE


def test_another_version_is_named_before_its_content_is_read() -> None:
    with pytest.raises(HelloRefusedError) as refusal:
        decode_hello((PROTOCOL_VERSION + 1).to_bytes(2, "big") + b"whatever the future says")
    assert refusal.value.reason is GoodbyeReason.WRONG_VERSION


HELLO = Hello(FACTS.chain_id, FACTS.genesis_hash, NodeRole.OBSERVER, Height(1), "", None)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x00",
        b"\x00\x01",
        b"\x00\x01" + encode(replace(HELLO, listen_address="a" * 263)),
        b"\x00\x01" + encode(replace(HELLO, genesis_hash=BlockHash(b"short"))),
        b"\x00\x01" + encode(HELLO) + b"\x00",
    ],
)
def test_malformed_greetings_are_decode_errors(payload: bytes) -> None:
    with pytest.raises(DecodeError):
        decode_hello(payload)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_greeting_or_refused(payload: bytes) -> None:
    with suppress(DecodeError):
        decode_hello(b"\x00\x01" + payload)


def test_reasons_of_a_later_version_have_a_name() -> None:
    assert name_reason(GoodbyeReason.BANNED) == "BANNED"
    assert name_reason(60_000) == "REASON_60000"
