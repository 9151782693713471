"""Transactions: one accepted form, ids that do not depend on signatures, nothing but DecodeError for the rest."""

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity.address import Address, compute_key_address
from identity.keys import KeyType, PrivateKey
from identity.signing import SigningPurpose, compute_signing_domain, signing_bytes
from ledger.codec import DecodeError, pack, unpack
from ledger.primitives import ChainId, Gas, Grains, Height, Sequence, Signature
from ledger.transaction import (
    AUTHORISATIONS_MAX,
    CALLS_MAX,
    FEE_PAYER,
    MEMO_BYTES_MAX,
    SENDER,
    TRANSACTION_BYTES_MAX,
    Authorisation,
    Call,
    Transaction,
    TransactionBody,
    UnorderedSalt,
    build_transaction,
    compute_envelope_hash,
    decode_transaction,
    encode_body,
)

KEY = PrivateKey(KeyType.ED25519, sha256(b"sender").digest())
PAYER_KEY = PrivateKey(KeyType.SECP256K1, sha256(b"payer").digest())
DOMAIN = compute_signing_domain("test", bytes(32))
BODY = TransactionBody(
    version=1,
    chain_id=ChainId("test"),
    sender=compute_key_address(KEY.public_key),
    ordering=Sequence(7),
    valid_until=Height(100),
    gas_limit=Gas(20_000),
    fee_max_grains=Grains(50_000),
    fee_payer=None,
    calls=(Call("iov", "transfer", [bytes(20), 5]),),
    memo="hello",
)


def authorise(key: PrivateKey, role: int, body_bytes: bytes) -> Authorisation:
    message = signing_bytes(SigningPurpose.TRANSACTION, DOMAIN, body_bytes)
    return Authorisation(role, key.key_type, key.public_key.key, Signature(key.sign(message)))


def sign(body: TransactionBody) -> Transaction:
    body_bytes = encode_body(body)
    authorisations = [authorise(KEY, SENDER, body_bytes)]
    if body.fee_payer is not None:
        authorisations.append(authorise(PAYER_KEY, FEE_PAYER, body_bytes))
    return build_transaction(body_bytes, tuple(reversed(authorisations)))


def sponsored() -> TransactionBody:
    return replace(BODY, fee_payer=compute_key_address(PAYER_KEY.public_key))


@pytest.mark.parametrize("body", [BODY, sponsored(), replace(BODY, ordering=UnorderedSalt(b"8 bytes!"))])
def test_decoding_gives_back_what_was_built(body: TransactionBody) -> None:
    transaction = sign(body)
    assert transaction.body == body
    decoded = decode_transaction(transaction.raw)
    assert decoded == transaction
    assert unpack(transaction.raw) == [
        encode_body(body),
        [[each.role, each.key_type, each.key, each.signature] for each in transaction.authorisations],
    ]
    assert decoded.id == sha256(encode_body(body)).digest()
    assert decoded.envelope_hash == compute_envelope_hash(transaction.raw) == sha256(b"\x00" + transaction.raw).digest()
    assert [each.role for each in decoded.authorisations] == ([SENDER] if body.fee_payer is None else [0, FEE_PAYER])


def test_ordering_and_price() -> None:
    assert not BODY.is_unordered
    assert replace(BODY, ordering=UnorderedSalt(bytes(8))).is_unordered
    assert BODY.price_grains == 2, "2.5 grains per gas, rounded down"


def test_the_id_does_not_depend_on_the_signatures() -> None:
    body_bytes = encode_body(BODY)
    other = build_transaction(body_bytes, (authorise(PAYER_KEY, SENDER, body_bytes),))
    assert other.id == sign(BODY).id
    assert other.envelope_hash != sign(BODY).envelope_hash


def rebuild(change: Callable[[list[Any]], None], body: TransactionBody = BODY) -> bytes:
    """The bytes of a transaction after a change to its plain body."""
    plain = unpack(encode_body(body))
    change(plain)
    envelope = unpack(sign(body).raw)
    return pack([pack(plain), envelope[1]])


@pytest.mark.parametrize(
    ("field", "bad"),
    [
        (0, 0),
        (0, 2),
        (1, ""),
        (1, "c" * 33),
        (2, bytes(19)),
        (2, bytes(21)),
        (3, -1),
        (3, 2**53),
        (3, bytes(7)),
        (3, bytes(9)),
        (3, None),
        (4, -1),
        (4, 2**53),
        (5, 0),
        (5, 2**53),
        (6, -1),
        (6, 2**63),
        (7, bytes(19)),
        (8, []),
        (8, [["iov", "transfer", []]] * (CALLS_MAX + 1)),
        (8, [["", "transfer", []]]),
        (8, [["iov", "t" * 33, []]]),
        (8, [["iov", "transfer", {}]]),
        (8, [["iov", "transfer", [1.5]]]),
        (8, [["iov", "transfer"]]),
        (9, "m" * (MEMO_BYTES_MAX + 1)),
        (9, "é" * (MEMO_BYTES_MAX // 2 + 1)),
        (9, None),
        (9, b"memo"),
    ],
)
def test_a_bad_field_is_refused(field: int, bad: Any) -> None:
    def change(plain: list[Any]) -> None:
        plain[field] = bad

    assert decode_transaction(rebuild(lambda plain: None)) == sign(BODY)
    with pytest.raises(DecodeError):
        decode_transaction(rebuild(change))


def test_the_largest_allowed_values_pass() -> None:
    body = replace(
        BODY,
        chain_id=ChainId("c" * 32),
        ordering=Sequence(2**53 - 1),
        gas_limit=Gas(2**53 - 1),
        fee_max_grains=Grains(2**63 - 1),
        calls=BODY.calls * CALLS_MAX,
        memo="é" * (MEMO_BYTES_MAX // 2),
    )
    assert sign(body).body == body


def test_an_additional_field_is_refused() -> None:
    with pytest.raises(DecodeError):
        decode_transaction(rebuild(lambda plain: plain.append(None)))
    with pytest.raises(DecodeError):
        decode_transaction(rebuild(lambda plain: plain.pop()))


def make_envelope(authorisations: list[Any], body: TransactionBody = BODY) -> bytes:
    return pack([encode_body(body), authorisations])


AUTHORISATION = [SENDER, 1, bytes(32), bytes(64)]


@pytest.mark.parametrize(
    ("authorisations", "match"),
    [
        ([], "1 to"),
        ([AUTHORISATION] * (AUTHORISATIONS_MAX + 1), "1 to"),
        ([AUTHORISATION, AUTHORISATION], "each once"),
        ([[SENDER, 1, b"b" * 32, bytes(64)], [SENDER, 1, b"a" * 32, bytes(64)]], "order"),
        ([[SENDER, 2, b"b" * 33, bytes(64)], [SENDER, 1, b"a" * 32, bytes(64)]], "order"),
        ([[FEE_PAYER, 1, bytes(32), bytes(64)]], "sender's signature"),
        ([AUTHORISATION, [FEE_PAYER, 1, bytes(32), bytes(64)]], "fee payer signs"),
        ([[2, 1, bytes(32), bytes(64)]], "role"),
        ([[SENDER, 4, bytes(32), bytes(64)]], "key_type"),
        ([[SENDER, 1, bytes(31), bytes(64)]], "key"),
        ([[SENDER, 1, bytes(34), bytes(64)]], "key"),
        ([[SENDER, 1, bytes(32), bytes(63)]], "signature"),
        ([[SENDER, 1, bytes(32)]], "fields"),
        ([None], "fields"),
    ],
)
def test_bad_authorisations_are_refused(authorisations: list[Any], match: str) -> None:
    with pytest.raises(DecodeError, match=match):
        decode_transaction(make_envelope(authorisations))


def test_a_named_fee_payer_must_sign() -> None:
    with pytest.raises(DecodeError, match="fee payer signs"):
        decode_transaction(make_envelope([AUTHORISATION], sponsored()))


def test_the_sender_is_not_named_as_fee_payer() -> None:
    with pytest.raises(DecodeError, match="nil when the sender pays"):
        decode_transaction(make_envelope([AUTHORISATION], replace(BODY, fee_payer=Address(BODY.sender))))


@pytest.mark.parametrize(
    "envelope",
    [
        b"",
        pack(None),
        pack([]),
        pack([encode_body(BODY)]),
        pack([encode_body(BODY), [AUTHORISATION], None]),
        pack(["body", [AUTHORISATION]]),
        pack([encode_body(BODY), AUTHORISATION[2]]),
        pack([b"", [AUTHORISATION]]),
        pack([pack(5), [AUTHORISATION]]),
        pack([unpack(encode_body(BODY)), [AUTHORISATION]]),
        sign(BODY).raw + b"\x00",
        sign(BODY).raw[:-1],
    ],
)
def test_another_shape_is_refused(envelope: bytes) -> None:
    with pytest.raises(DecodeError):
        decode_transaction(envelope)


def test_size_is_checked_first() -> None:
    argument = b"x" * (TRANSACTION_BYTES_MAX - len(sign(BODY).raw) - 8)
    largest = sign(replace(BODY, calls=(Call("iov", "transfer", [bytes(20), 5, argument]),)))
    assert len(largest.raw) <= TRANSACTION_BYTES_MAX
    with pytest.raises(DecodeError, match="at most 65536 bytes"):
        decode_transaction(bytes(TRANSACTION_BYTES_MAX + 1))


@given(st.data())
def test_no_changed_byte_gives_the_same_transaction(data: st.DataObject) -> None:
    raw = bytearray(sign(sponsored()).raw)
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        changed = decode_transaction(bytes(raw))
    except DecodeError:
        return
    assert changed.raw == raw
    assert changed.envelope_hash != sign(sponsored()).envelope_hash


@given(st.binary(max_size=200))
def test_rubbish_raises_decode_error_alone(raw: bytes) -> None:
    with pytest.raises(DecodeError):
        decode_transaction(raw)
