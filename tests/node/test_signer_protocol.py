import asyncio

import pytest

import node.signer_protocol as module
from consensus.messages import VoteKind
from ledger.codec import encode, pack
from ledger.primitives import BlockHash, ChainId, ConsensusKey, Height, Round, Signature
from node.signer_protocol import (
    MESSAGE_BYTES_MAX,
    REASON_CHARACTERS_MAX,
    CertificateHash,
    HelloRequest,
    ProposalRequest,
    Refused,
    Signed,
    SignerMessage,
    SignerProtocolError,
    Unavailable,
    VoteRequest,
    Welcome,
    decode_signer_message,
    encode_signer_message,
    read_signer_message,
)

HASH = BlockHash(bytes(range(32)))
VOTE = VoteRequest(VoteKind.PRECOMMIT, Height(7), Round(2), HASH)
MESSAGES: dict[int, SignerMessage] = {
    1: VOTE,
    2: ProposalRequest(Height(7), Round(2), -1, HASH),
    3: HelloRequest(CertificateHash(bytes(32))),
    16: Welcome(1, ChainId("carlive"), HASH, ConsensusKey(bytes(32))),
    17: Signed(Signature(bytes(64))),
    18: Refused("é" * REASON_CHARACTERS_MAX),
    19: Unavailable(""),
}


def read(stream: bytes, *, is_over: bool = True) -> SignerMessage | None:
    async def feed() -> SignerMessage | None:
        reader = asyncio.StreamReader()
        reader.feed_data(stream)
        if is_over:
            reader.feed_eof()
        return await read_signer_message(reader, 0.05)

    return asyncio.run(feed())


@pytest.mark.parametrize("number", MESSAGES)
def test_every_message_is_its_length_its_number_and_its_fields(number: int) -> None:
    message = MESSAGES[number]
    body = bytes([number]) + encode(message)
    assert encode_signer_message(message) == len(body).to_bytes(4, "big") + body
    assert read(encode_signer_message(message)) == message


def test_a_vote_for_nothing_has_no_hash() -> None:
    nil = VoteRequest(VoteKind.PREVOTE, Height(1), Round(0), None)
    assert encode_signer_message(nil).hex() == "00000006" + "01" + "94010100c0"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x00" + encode(VOTE),
        b"\x04" + encode(VOTE),
        b"\x01",
        b"\x01" + encode(VOTE) + b"\x00",
        b"\x01" + pack([3, 7, 2, HASH]),
        b"\x01" + pack([1, -1, 2, HASH]),
        b"\x01" + pack([1, 7, 2, HASH[:-1]]),
        b"\x01" + pack([1, 7, 2]),
        b"\x02" + pack([7, 2, -2, HASH]),
        b"\x02" + pack([7, 2, -1, None]),
        b"\x03" + pack([bytes(33)]),
        b"\x01\x94\xcc\x01\x07\x02\xc0",  # a number in a longer form than needed
        b"\x12" + pack(["x" * (REASON_CHARACTERS_MAX + 1)]),
    ],
)
def test_what_is_not_the_one_form_of_a_message_is_refused(body: bytes) -> None:
    with pytest.raises(SignerProtocolError):
        decode_signer_message(body)


@pytest.mark.parametrize("length", [0, MESSAGE_BYTES_MAX + 1, 2**32 - 1])
def test_a_bad_length_is_refused_before_anything_else_is_read(length: int) -> None:
    with pytest.raises(SignerProtocolError, match="bytes"):
        read(length.to_bytes(4, "big"), is_over=False)


def test_the_end_between_messages_is_no_error_and_within_one_it_is() -> None:
    whole = encode_signer_message(VOTE)
    assert read(b"") is None
    for cut in range(1, len(whole)):
        with pytest.raises(SignerProtocolError, match="within a message"):
            read(whole[:cut])


def test_a_message_that_trickles_in_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ARRIVAL_SECONDS_MAX", 0.02)
    with pytest.raises(TimeoutError):
        read(encode_signer_message(VOTE)[:-1], is_over=False)


def test_a_message_that_does_not_begin_is_given_up() -> None:
    with pytest.raises(TimeoutError):
        read(b"", is_over=False)
