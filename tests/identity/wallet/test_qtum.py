from typing import Any

import pytest

from identity.keys import KeyType, PrivateKey
from identity.wallet.base58check import encode_base58check
from identity.wallet.bitcoin import (
    BITCOIN,
    AddressKind,
    BitcoinAddress,
    format_p2pkh,
    format_wif,
    parse_bitcoin_address,
    parse_wif,
    sign_bitcoin_message,
    verify_bitcoin_message,
)
from identity.wallet.errors import WalletError
from identity.wallet.qtum import QTUM, QTUM_TESTNET
from tests.identity.wallet.vectors import load_vectors

VECTORS = load_vectors("qtum")
NETWORKS = {"main": QTUM, "test": QTUM_TESTNET}
KEY = PrivateKey(KeyType.SECP256K1, b"\x07" * 32)


@pytest.mark.parametrize("case", VECTORS["addresses"], ids=lambda case: case["address"])
def test_qtum_cores_addresses(case: dict[str, Any]) -> None:
    network, kind, content = NETWORKS[case["network"]], AddressKind(case["kind"]), bytes.fromhex(case["hash"])
    assert parse_bitcoin_address(case["address"], network) == BitcoinAddress(kind, content)
    if kind is AddressKind.P2PKH:
        assert encode_base58check(bytes([network.key_hash_version]) + content) == case["address"]


@pytest.mark.parametrize("case", VECTORS["secrets"], ids=lambda case: case["network"])
def test_qtum_cores_secrets(case: dict[str, Any]) -> None:
    private_key = parse_wif(case["wif"], NETWORKS[case["network"]])
    assert private_key == PrivateKey(KeyType.SECP256K1, bytes.fromhex(case["secret"]))
    assert format_wif(private_key, NETWORKS[case["network"]]) == case["wif"]


def test_a_secret_of_an_uncompressed_key_is_refused() -> None:
    with pytest.raises(WalletError, match="uncompressed"):
        parse_wif(VECTORS["uncompressed"], QTUM)


@pytest.mark.parametrize("case", VECTORS["signatures"], ids=lambda case: case["address"])
def test_signatures_of_qtum_core_hold(case: dict[str, Any]) -> None:
    message = case["message"].encode()
    assert verify_bitcoin_message(case["address"], message, case["signature"], QTUM)
    assert not verify_bitcoin_message(case["address"], message + b" ", case["signature"], QTUM)


def test_a_message_for_qtum_is_none_for_bitcoin() -> None:
    """Same key, same message: the magic text differs."""
    signature = sign_bitcoin_message(KEY, b"hello", QTUM, AddressKind.P2PKH)
    assert verify_bitcoin_message(format_p2pkh(KEY.public_key.key, QTUM), b"hello", signature, QTUM)
    assert not verify_bitcoin_message(format_p2pkh(KEY.public_key.key, BITCOIN), b"hello", signature, BITCOIN)


def test_an_address_of_bitcoin_is_foreign() -> None:
    with pytest.raises(WalletError, match="version 0"):
        parse_bitcoin_address("1BgGZ9tcN4rm9KBzDn7KprQz87SZ26SAMH", QTUM)
