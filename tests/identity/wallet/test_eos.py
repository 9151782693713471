from hashlib import sha256
from typing import Any

import pytest

from identity.base58 import decode_base58
from identity.keys import KeyType, PrivateKey
from identity.wallet.base58check import encode_base58check
from identity.wallet.eos import (
    format_eos_legacy_public_key,
    format_eos_public_key,
    format_eos_secret,
    format_eos_wif,
    parse_eos_public_key,
    parse_eos_secret,
    sign_eos_message,
    verify_eos_message,
)
from identity.wallet.errors import WalletError
from identity.wallet.recoverable import sign_digest
from tests.identity.wallet.vectors import load_vectors

VECTORS = load_vectors("eos")
LAST = VECTORS["keys"][-1]
KEY = parse_eos_secret(LAST["wif"])


@pytest.mark.parametrize("case", VECTORS["keys"], ids=lambda case: case["legacy"])
def test_both_forms_of_known_keys(case: dict[str, Any]) -> None:
    private_key = parse_eos_secret(case["wif"])
    public_key = private_key.public_key.key
    assert format_eos_wif(private_key) == case["wif"]
    assert format_eos_legacy_public_key(public_key) == case["legacy"]
    assert format_eos_public_key(public_key) == case.get("public", format_eos_public_key(public_key))
    assert parse_eos_public_key(case["legacy"]) == parse_eos_public_key(format_eos_public_key(public_key)) == public_key
    assert parse_eos_secret(format_eos_secret(private_key)) == private_key


def test_the_later_form_of_a_known_secret() -> None:
    assert format_eos_secret(KEY) == LAST["secret"]
    assert parse_eos_secret(LAST["secret"]) == KEY


@pytest.mark.parametrize("text", [*VECTORS["foreign"], "", "EOS", "PUB_K1_", LAST["public"][:-1], LAST["legacy"][:-1]])
def test_what_is_no_public_key_on_this_curve_is_told(text: str) -> None:
    with pytest.raises(WalletError, match=r"begins with EOS or PUB_K1_|typing error"):
        parse_eos_public_key(text)


def test_the_two_forms_have_different_checksums() -> None:
    with pytest.raises(WalletError, match="typing error"):
        parse_eos_public_key("EOS" + LAST["public"].removeprefix("PUB_K1_"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("PVT_R1_GrfEfbv5at9kbeHcGagQmvbFLdm6jqEpgE1wsGbrfbZNjpVgT", "on another curve"),
        (LAST["secret"][:-1], "typing error or was cut off"),
        (LAST["wif"][:-1], "typing error or was cut off"),
        ("KwDiBf89QgGbjEhKnhXJuH7LrciVrZi3qYjgd9M7rFU73sVHnoWn", "begins with PVT_K1_ or with 5"),
        ("", "typing error or was cut off"),
    ],
)
def test_what_is_no_secret_is_told_without_repeating_it(text: str, message: str) -> None:
    with pytest.raises(WalletError, match=message) as refusal:
        parse_eos_secret(text)
    assert not text or text not in str(refusal.value)


def test_a_signature_is_that_of_eosjs_ecc() -> None:
    message, signature = VECTORS["signature"]["message"].encode(), VECTORS["signature"]["signature"]
    assert sign_eos_message(KEY, message) == signature
    for public_key in (LAST["legacy"], LAST["public"]):
        assert verify_eos_message(public_key, message, signature)
        assert not verify_eos_message(public_key, message + b" ", signature)
    assert not verify_eos_message(VECTORS["keys"][0]["legacy"], message, signature)


def test_signatures_are_canonical_even_where_the_first_is_not() -> None:
    firsts = []
    for number in range(40):
        message = str(number).encode()
        text = sign_eos_message(KEY, message)
        content = decode_base58(text.removeprefix("SIG_K1_"))[1:65]
        assert all(0 < half[0] < 0x80 or (half[0] == 0 and half[1] >= 0x80) for half in (content[:32], content[32:]))
        assert verify_eos_message(LAST["public"], message, text)
        firsts.append(content == sign_digest(KEY, sha256(message).digest()).signature)
    assert {True, False} == set(firsts)


@pytest.mark.parametrize("message", [bytes(32), b"a\x00", b"\xff\xfe", b"\x1b[2J", "a\u202eb".encode()])
def test_only_text_is_signed_for_all_else_could_be_a_transaction(message: bytes) -> None:
    with pytest.raises(WalletError, match="could be a transaction"):
        sign_eos_message(KEY, message)


def test_text_of_several_lines_is_signed() -> None:
    message = "Straße\r\n\t道路".encode()
    assert verify_eos_message(LAST["public"], message, sign_eos_message(KEY, message))


@pytest.mark.parametrize("text", ["", "SIG_R1_x", VECTORS["signature"]["signature"][:-1], "SIG_K1_" + "1" * 92])
def test_what_is_no_signature_is_told(text: str) -> None:
    with pytest.raises(WalletError, match="signature"):
        verify_eos_message(LAST["public"], b"data", text)


def test_a_secret_outside_the_curve_is_refused() -> None:
    with pytest.raises(WalletError, match="outside the range"):
        parse_eos_secret(encode_base58check(b"\x80" + bytes(32)))
    assert PrivateKey(KeyType.SECP256K1, b"\x01" * 32) == parse_eos_secret(encode_base58check(b"\x80" + b"\x01" * 32))
