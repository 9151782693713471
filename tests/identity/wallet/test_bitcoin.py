import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity.address import BECH32_CONSTANT, InvalidAddressError, decode_bech32, decode_bech32m, encode_bech32
from identity.keys import KeyType, PrivateKey
from identity.wallet.base58check import encode_base58check
from identity.wallet.bitcoin import (
    BITCOIN,
    BITCOIN_TESTNET,
    AddressKind,
    BitcoinAddress,
    BitcoinNetwork,
    compute_message_digest,
    format_p2pkh,
    format_p2wpkh,
    format_wif,
    parse_bitcoin_address,
    parse_wif,
    sign_bitcoin_message,
    verify_bitcoin_message,
)
from identity.wallet.errors import WalletError
from identity.wallet.hashes import compute_double_sha256
from tests.identity.wallet.vectors import load_vectors

MESSAGES = load_vectors("bitcoin_messages")
SEGWIT = load_vectors("bip173_segwit")
ONE = PrivateKey(KeyType.SECP256K1, (1).to_bytes(32, "big"))
P2PKH, P2WPKH = "1BgGZ9tcN4rm9KBzDn7KprQz87SZ26SAMH", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"
P2WSH = "bc1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3qccfmv3"
TAPROOT = "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0"


def why_no_address(text: str, network: BitcoinNetwork = BITCOIN) -> str:
    with pytest.raises(WalletError) as refusal:
        parse_bitcoin_address(text, network)
    return str(refusal.value)


@pytest.mark.parametrize("text", SEGWIT["bech32"])
def test_bip_173_bech32(text: str) -> None:
    prefix, values = decode_bech32(text, BECH32_CONSTANT)
    assert encode_bech32(prefix, values, BECH32_CONSTANT) == text.lower()
    with pytest.raises(InvalidAddressError):
        decode_bech32m(text)


def test_bip_173_p2wpkh() -> None:
    address = BitcoinAddress(AddressKind.P2WPKH, bytes.fromhex(SEGWIT["p2wpkh"]["key_hash"]))
    assert parse_bitcoin_address(SEGWIT["p2wpkh"]["address"], BITCOIN) == address
    assert format_p2wpkh(ONE.public_key.key, BITCOIN) == SEGWIT["p2wpkh"]["address"].lower()


@pytest.mark.parametrize(("text", "reason"), SEGWIT["invalid"], ids=lambda value: value[:30])
def test_bip_173_invalid_addresses(text: str, reason: str) -> None:
    assert why_no_address(text, BITCOIN_TESTNET if text.startswith("tb") else BITCOIN), reason


def test_the_addresses_of_the_secret_one() -> None:
    assert format_p2pkh(ONE.public_key.key, BITCOIN) == P2PKH
    assert format_p2pkh(ONE.public_key.key, BITCOIN_TESTNET) == "mrCDrCybB6J1vRfbwM5hemdJz73FwDBC8r"
    assert format_p2wpkh(ONE.public_key.key, BITCOIN_TESTNET) == "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx"
    assert parse_bitcoin_address(P2PKH, BITCOIN).kind is AddressKind.P2PKH


@pytest.mark.parametrize(
    ("text", "network", "message"),
    [
        (P2PKH, BITCOIN_TESTNET, "this address is of another network (version 0), not of Bitcoin's test network"),
        (P2WPKH, BITCOIN_TESTNET, "this address is of another network: those of Bitcoin's test network begin with tb1"),
        (
            "mrCDrCybB6J1vRfbwM5hemdJz73FwDBC8r",
            BITCOIN,
            "this address is of another network (version 111), not of Bitcoin",
        ),
        (
            "ltc1qw508d6qejxtdg4y5r3zarvary0c5xw7kgmn4n9",
            BITCOIN,
            "this address is of another network: those of Bitcoin begin with bc1",
        ),
        (
            "QX3gQrQsGHwsESPgme7iNHUJ4TTLjFp9pg",
            BITCOIN,
            "this address is of another network (version 58), not of Bitcoin",
        ),
        (TAPROOT, BITCOIN, "addresses of later witness versions (taproot) sign otherwise (BIP-322): not supported"),
        (P2WSH, BITCOIN, "the address pays to a script (P2WSH), not to a key: nobody can sign messages for it"),
        (P2WPKH[:-1], BITCOIN, "the address has a typing error (its checksum does not match)"),
        (P2WPKH[:10] + P2WPKH[10:].upper(), BITCOIN, "the address mixes upper and lower case"),
        (P2PKH[:-1], BITCOIN, "the text has a typing error or was cut off (its checksum does not match)"),
        (
            encode_base58check(bytes(20)),
            BITCOIN,
            "this is not an address of Bitcoin: it holds 20 bytes, not 21",
        ),
    ],
)
def test_what_is_no_address_of_this_network_is_told(text: str, network: BitcoinNetwork, message: str) -> None:
    assert why_no_address(text, network) == message


@given(st.text(max_size=100))
def test_no_text_is_anything_but_an_address_or_refused(text: str) -> None:
    with pytest.raises(WalletError):
        parse_bitcoin_address(text, BITCOIN)


# Secrets


def test_a_secret_survives_as_text() -> None:
    text = "KwDiBf89QgGbjEhKnhXJuH7LrciVrZi3qYjgd9M7rFU73sVHnoWn"
    assert format_wif(ONE, BITCOIN) == text
    assert parse_wif(text, BITCOIN) == ONE
    assert parse_wif(format_wif(ONE, BITCOIN_TESTNET), BITCOIN_TESTNET) == ONE


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("5HpHagT65TZzG1PH3CSu63k8DbpvD8s5ip4nEB3kEsreAnchuDf", "this WIF is of an uncompressed key"),
        (format_wif(ONE, BITCOIN_TESTNET), r"of another network \(version 239\), not of Bitcoin"),
        (encode_base58check(b"\x80" + bytes(31)), "does not hold 33 or 34 bytes"),
        (encode_base58check(b"\x80" + ONE.secret + b"\x02"), "its last byte is not 1"),
        (encode_base58check(b"\x80" + bytes(32) + b"\x01"), "outside the range"),
        (format_wif(ONE, BITCOIN)[:-1], "typing error or was cut off"),
    ],
)
def test_what_is_no_secret_of_this_network_is_told_without_repeating_it(text: str, message: str) -> None:
    with pytest.raises(WalletError, match=message) as refusal:
        parse_wif(text, BITCOIN)
    assert text not in str(refusal.value)


# Messages


@pytest.mark.parametrize(("message", "digest"), MESSAGES["digests"])
def test_a_message_is_hashed_behind_the_magic_text(message: str, digest: str) -> None:
    assert compute_message_digest(message.encode(), BITCOIN).hex() == digest


def test_signatures_are_those_of_other_wallets() -> None:
    case = MESSAGES["sign"]
    private_key = PrivateKey(KeyType.SECP256K1, bytes.fromhex(case["secret"]))
    for kind in (AddressKind.P2PKH, AddressKind.P2WPKH):
        assert sign_bitcoin_message(private_key, case["message"].encode(), BITCOIN, kind) == case[kind.value]


@pytest.mark.parametrize("case", MESSAGES["valid"], ids=lambda case: case["name"])
def test_a_signature_of_another_wallet_holds(case: dict[str, Any]) -> None:
    assert verify_bitcoin_message(case["address"], case["message"].encode(), case["signature"], BITCOIN)


@pytest.mark.parametrize("case", MESSAGES["not_valid"], ids=lambda case: case["name"])
def test_a_signature_of_somebody_else_does_not_hold(case: dict[str, Any]) -> None:
    assert not verify_bitcoin_message(case["address"], case["message"].encode(), case["signature"], BITCOIN)


def test_electrums_first_byte_is_accepted_for_a_witness_address_and_a_witness_byte_for_no_other() -> None:
    as_key_hash, as_witness = MESSAGES["sign"]["p2pkh"], MESSAGES["sign"]["p2wpkh"]
    message = MESSAGES["sign"]["message"].encode()
    assert verify_bitcoin_message(P2WPKH, message, as_key_hash, BITCOIN)
    assert verify_bitcoin_message(P2PKH, message, as_key_hash, BITCOIN)
    assert not verify_bitcoin_message(P2PKH, message, as_witness, BITCOIN)


@pytest.mark.parametrize("content", MESSAGES["malformed"])
def test_what_is_no_signature_is_told(content: str) -> None:
    with pytest.raises(WalletError, match="65 bytes"):
        verify_bitcoin_message(P2PKH, b"", base64.b64encode(bytes.fromhex(content)).decode(), BITCOIN)


@pytest.mark.parametrize("text", ["%", "H8Ja", "H8J", "H8JawPtQ OrybrSP1", "é"])
def test_what_is_not_base64_is_told(text: str) -> None:
    with pytest.raises(WalletError, match=r"base64|65 bytes"):
        verify_bitcoin_message(P2PKH, b"", text, BITCOIN)


@pytest.mark.parametrize("size", [0, 252, 253, 65_535, 65_536])
def test_messages_of_every_length_are_signed(size: int) -> None:
    message = b"m" * size
    signature = sign_bitcoin_message(ONE, message, BITCOIN, AddressKind.P2WPKH)
    assert verify_bitcoin_message(P2WPKH, message, signature, BITCOIN)
    assert not verify_bitcoin_message(P2WPKH, message + b"m", signature, BITCOIN)


def test_a_length_stands_before_the_message_in_bitcoins_compact_form() -> None:
    """253 and 65536 are the first of the longer forms: 0xfd and two bytes, 0xfe and four."""
    digests = {size: compute_message_digest(b"m" * size, BITCOIN).hex() for size in (252, 253, 65_535, 65_536)}
    magic = b"\x18Bitcoin Signed Message:\n"
    assert digests == {
        size: compute_double_sha256(magic + bytes.fromhex(length) + b"m" * size).hex()
        for size, length in ((252, "fc"), (253, "fdfd00"), (65_535, "fdffff"), (65_536, "fe00000100"))
    }
