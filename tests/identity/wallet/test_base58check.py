from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity.wallet.base58check import decode_base58check, decode_wallet_base58, encode_base58check
from identity.wallet.errors import WalletError


@given(st.binary(min_size=1, max_size=60))
def test_bytes_survive(payload: bytes) -> None:
    assert decode_base58check(encode_base58check(payload)) == payload


@pytest.mark.parametrize("decode", [decode_base58check, decode_wallet_base58])
def test_what_is_no_base58_is_refused_as_wallets_refuse(decode: Callable[[str], bytes]) -> None:
    with pytest.raises(WalletError, match="does not use"):
        decode("2g0")


def test_every_changed_character_breaks_the_checksum() -> None:
    text = encode_base58check(b"\x00" + bytes(range(20)))
    for index, character in enumerate(text):
        other = "2" if character != "2" else "3"
        with pytest.raises(WalletError, match="checksum"):
            decode_base58check(text[:index] + other + text[index + 1 :])


@pytest.mark.parametrize("text", ["", "1", "1111", "3QJmnh"])
def test_a_checksum_alone_is_no_payload(text: str) -> None:
    with pytest.raises(WalletError, match="checksum"):
        decode_base58check(text)
