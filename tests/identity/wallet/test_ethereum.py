import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity.keys import KeyType, PrivateKey
from identity.wallet.errors import WalletError
from identity.wallet.ethereum import (
    compute_ethereum_address,
    compute_personal_digest,
    format_ethereum_address,
    parse_ethereum_address,
    sign_ethereum_message,
    verify_ethereum_message,
)
from tests.identity.wallet.vectors import load_vectors

VECTORS = load_vectors("ethereum")
SIGNED = VECTORS["personal_sign"]
KEY = PrivateKey(KeyType.SECP256K1, bytes.fromhex(SIGNED["secret"]))
MESSAGE = SIGNED["message"].encode()
ADDRESS = SIGNED["address"]


@pytest.mark.parametrize("text", VECTORS["eip55"])
def test_eip_55(text: str) -> None:
    assert format_ethereum_address(bytes.fromhex(text[2:])) == text
    for form in (text, text.lower(), "0x" + text[2:].upper()):
        assert parse_ethereum_address(form) == bytes.fromhex(text[2:])


@pytest.mark.parametrize("text", VECTORS["eip55"][4:])
def test_a_letter_of_the_wrong_size_is_a_typing_error(text: str) -> None:
    for index, character in enumerate(text[2:], start=2):
        if character.isalpha():
            with pytest.raises(WalletError, match="checksum of EIP-55"):
                parse_ethereum_address(text[:index] + character.swapcase() + text[index + 1 :])


@pytest.mark.parametrize(
    "text", ["", "0x", ADDRESS[:-1], ADDRESS + "0", ADDRESS[2:], "0X" + ADDRESS[2:], "0x" + "g" * 40]
)
def test_what_is_no_address_is_told(text: str) -> None:
    with pytest.raises(WalletError, match="0x and 40 hexadecimal digits"):
        parse_ethereum_address(text)


def test_personal_sign_is_that_of_other_wallets() -> None:
    assert format_ethereum_address(compute_ethereum_address(KEY.public_key.key)) == ADDRESS
    assert compute_personal_digest(MESSAGE).hex() == SIGNED["digest"]
    assert sign_ethereum_message(KEY, MESSAGE) == SIGNED["signature"]
    assert verify_ethereum_message(ADDRESS, MESSAGE, SIGNED["signature"])


def test_hardware_wallets_end_their_signatures_in_0_and_1() -> None:
    assert verify_ethereum_message(ADDRESS, MESSAGE, SIGNED["signature"][:-2] + "01")
    assert not verify_ethereum_message(ADDRESS, MESSAGE, SIGNED["signature"][:-2] + "00")


def test_another_message_address_or_signature_does_not_hold() -> None:
    signature = SIGNED["signature"]
    assert not verify_ethereum_message(ADDRESS, MESSAGE + b" ", signature)
    assert not verify_ethereum_message(VECTORS["eip55"][4], MESSAGE, signature)
    assert not verify_ethereum_message(ADDRESS, MESSAGE, signature[:-2] + "1b")
    assert not verify_ethereum_message(ADDRESS, MESSAGE, "0x" + "00" * 64 + "1b")


@pytest.mark.parametrize(
    "text",
    ["", SIGNED["signature"][:-2], SIGNED["signature"] + "00", SIGNED["signature"][:-2] + "1d", "0x" + "z" * 130],
)
def test_what_is_no_signature_is_told(text: str) -> None:
    with pytest.raises(WalletError, match="signature"):
        verify_ethereum_message(ADDRESS, MESSAGE, text)


@given(st.binary(max_size=200))
def test_every_message_is_signed(message: bytes) -> None:
    assert verify_ethereum_message(ADDRESS, message, sign_ethereum_message(KEY, message))
