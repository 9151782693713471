import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity.address import (
    Address,
    InvalidAddressError,
    NetworkKind,
    compute_key_address,
    compute_module_address,
    compute_policy_address,
    decode_bech32m,
    encode_bech32m,
    format_address,
    parse_address,
)
from identity.keys import KeyType, PublicKey

ADDRESS = Address(bytes(range(20)))

# BIP-350, "Test vectors for Bech32m". Those marked False hold groups of five bits that are not whole bytes.
VALID = [
    ("A1LQFN3A", True),
    ("a1lqfn3a", True),
    ("an83characterlonghumanreadablepartthatcontainsthetheexcludedcharactersbioandnumber11sg7hg6", True),
    ("abcdef1l7aum6echk45nj3s0wdvt2fg8x9yrzpqzd3ryx", True),
    ("11llllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllludsr8", False),
    ("split1checkupstagehandshakeupstreamerranterredcaperredlc445v", True),
    ("?1v759aa", True),
]
INVALID = [
    "\x201xj0phk",
    "\x7f1g6xzxy",
    "\x801vctc34",
    "an84characterslonghumanreadablepartthatcontainsthetheexcludedcharactersbioandnumber11d6pts4",
    "qyrz8wqd2c9m",
    "1qyrz8wqd2c9m",
    "y1b0jsk6g",
    "lt1igcx5c0",
    "in1muywd",
    "mm1crxm3i",
    "au1s5cgom",
    "M1VUXWEZ",
    "16plkw9",
    "1p2gdwpf",
]
BECH32_OF_THE_OLD_KIND = ["A12UEL5L", "a12uel5l", "abcdef1qpzry9x8gf2tvdw0s3jn54khce6mua7lmqqqxw", "?1ezyfcl"]


@pytest.mark.parametrize(("text", "is_whole_bytes"), VALID)
def test_valid_bip_350_vectors(text: str, is_whole_bytes: bool) -> None:
    if not is_whole_bytes:
        with pytest.raises(InvalidAddressError, match="stray bits"):
            decode_bech32m(text)
        return
    prefix, payload = decode_bech32m(text)
    assert encode_bech32m(prefix, payload) == text.lower()


@pytest.mark.parametrize("text", INVALID + BECH32_OF_THE_OLD_KIND)
def test_invalid_bip_350_vectors(text: str) -> None:
    with pytest.raises(InvalidAddressError) as refusal:
        decode_bech32m(text)
    assert "stray bits" not in str(refusal.value)


def test_known_addresses() -> None:
    """Pinned: a change would move everybody's money."""
    key = PublicKey(KeyType.ED25519, bytes(range(32)))
    assert format_address(ADDRESS, NetworkKind.MAINNET) == "iov1qqqsyqcyq5rqwzqfpg9scrgwpugpzysnf607u6"
    assert format_address(ADDRESS, NetworkKind.TESTNET).startswith("iovt1qqqsyqcyq5rqwzqfpg9scrgwpugpzysn")
    assert format_address(ADDRESS, NetworkKind.DEVNET).startswith("iovd1qqqsyqcyq5rqwzqfpg9scrgwpugpzysn")
    assert compute_key_address(key).hex() == "491176b0f443c65a7c7d72df47d6cbc0d04e111f"
    assert compute_policy_address(b"policy").hex() == "bed0c93d601d1988126c3690caf7518ac04ca678"
    assert compute_module_address("treasury").hex() == "7340caac99855f0b7b3bed357f2aea595a8641c8"


def test_kinds_of_addresses_differ_for_the_same_bytes() -> None:
    name = "x" * 32
    addresses = {compute_policy_address(name.encode()), compute_module_address(name)}
    addresses |= {compute_key_address(PublicKey(key_type, name.encode())) for key_type in KeyType}
    assert len(addresses) == 5


@given(st.binary(min_size=20, max_size=20), st.sampled_from(NetworkKind))
def test_parse_gives_back_what_was_formatted(payload: bytes, network: NetworkKind) -> None:
    text = format_address(Address(payload), network)
    assert parse_address(text, network) == payload
    assert parse_address(text.upper(), network) == payload


@given(st.text(max_size=100))
def test_parsing_raises_nothing_but_its_error(text: str) -> None:
    for candidate in (text, "iov1" + text):
        with pytest.raises(InvalidAddressError):
            parse_address(candidate, NetworkKind.MAINNET)


def test_mixed_case_is_refused() -> None:
    text = format_address(ADDRESS, NetworkKind.MAINNET)
    for mixed in (text[:4] + text[4:].upper(), "IOV1" + text[4:], text.replace("q", "Q", 1)):
        with pytest.raises(InvalidAddressError, match="mixes"):
            parse_address(mixed, NetworkKind.MAINNET)


def test_a_foreign_prefix_is_refused() -> None:
    for network in NetworkKind:
        for other in set(NetworkKind) - {network}:
            with pytest.raises(InvalidAddressError, match=f"{other.value}1.*{network.value}1"):
                parse_address(format_address(ADDRESS, other), network)


@pytest.mark.parametrize("size", [0, 19, 21, 32])
def test_another_length_is_refused(size: int) -> None:
    with pytest.raises(InvalidAddressError, match="20 bytes"):
        parse_address(encode_bech32m("iov", bytes(size)), NetworkKind.MAINNET)


def test_one_wrong_character_is_always_noticed() -> None:
    text = format_address(ADDRESS, NetworkKind.DEVNET)
    for index in range(5, len(text)):
        for character in "qpzry9x8gf2tvdw0s3jn54khce6mua7l".replace(text[index], ""):
            with pytest.raises(InvalidAddressError, match="typing error"):
                parse_address(text[:index] + character + text[index + 1 :], NetworkKind.DEVNET)


def test_letters_that_only_become_plain_by_a_change_of_case_are_refused() -> None:
    """The Kelvin sign is an upper-case letter whose lower case is an ordinary k."""
    text = next(
        text for number in range(100) if "K" in (text := encode_bech32m("iov", number.to_bytes(20, "big")).upper())
    )
    assert parse_address(text, NetworkKind.MAINNET)
    with pytest.raises(InvalidAddressError, match="does not use"):
        parse_address(text.replace("K", "\N{KELVIN SIGN}"), NetworkKind.MAINNET)


def test_padding_other_than_zeros_is_refused() -> None:
    assert decode_bech32m(encode_bech32m("iov", b"\xff")) == ("iov", b"\xff")
    with pytest.raises(InvalidAddressError, match="stray bits"):
        decode_bech32m("iov1la06xxsd")
