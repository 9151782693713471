from dataclasses import replace
from typing import Any

import pytest

from identity.wallet.bip32 import (
    SEED_BYTES_MAX,
    SEED_BYTES_MIN,
    ExtendedKey,
    compute_master_key,
    derive_child,
    derive_path,
    drop_secret,
    format_extended_key,
    parse_extended_key,
)
from identity.wallet.derivation_path import HARDENED, PATH_DEPTH_MAX, parse_path
from identity.wallet.errors import WalletError
from tests.identity.wallet.vectors import load_vectors

VECTORS = load_vectors("bip32")
CASES = [(vector["seed"], chain) for vector in VECTORS["vectors"] for chain in vector["chains"]]
SLIP_CASES = [
    (vector["seed"], chain)
    for vector in load_vectors("slip0010")["vectors"]
    if vector["curve"] == "secp256k1"
    for chain in vector["chains"]
]
MASTER = compute_master_key(bytes(range(16)))


@pytest.mark.parametrize(("seed", "chain"), CASES)
def test_bip_32(seed: str, chain: dict[str, Any]) -> None:
    key = derive_path(compute_master_key(bytes.fromhex(seed)), parse_path(chain["path"]))
    assert format_extended_key(key) == chain["xprv"]
    assert format_extended_key(drop_secret(key)) == chain["xpub"]
    assert parse_extended_key(chain["xprv"]) == key
    assert parse_extended_key(chain["xpub"]) == drop_secret(key)


def test_all_four_vectors_were_there() -> None:
    assert [vector["vector"] for vector in VECTORS["vectors"]] == [1, 2, 3, 4]
    assert len(VECTORS["invalid"]) == 16


@pytest.mark.parametrize("case", VECTORS["invalid"], ids=lambda case: case["reason"])
def test_bip_32_invalid_keys(case: dict[str, str]) -> None:
    with pytest.raises(WalletError) as refusal:
        parse_extended_key(case["key"])
    assert case["key"] not in str(refusal.value)


@pytest.mark.parametrize(("seed", "chain"), SLIP_CASES)
def test_slip_10_on_secp256k1(seed: str, chain: dict[str, Any]) -> None:
    key = derive_path(compute_master_key(bytes.fromhex(seed)), parse_path(chain["path"]))
    assert key.private_key is not None
    assert {
        "path": chain["path"],
        "fingerprint": key.parent_fingerprint.hex(),
        "chain code": key.chain_code.hex(),
        "private": key.private_key.secret.hex(),
        "public": key.public_key.hex(),
    } == chain


def test_public_keys_lead_to_the_public_keys_of_their_children() -> None:
    for number in (0, 1, HARDENED - 1):
        assert derive_child(drop_secret(MASTER), number) == drop_secret(derive_child(MASTER, number))


def test_a_public_key_leads_to_no_hardened_child() -> None:
    with pytest.raises(WalletError, match="needs the secret"):
        derive_child(drop_secret(MASTER), HARDENED)


def test_the_tree_ends_where_the_depth_cannot_be_written() -> None:
    deepest = replace(MASTER, depth=PATH_DEPTH_MAX, parent_fingerprint=b"abcd")
    assert parse_extended_key(format_extended_key(deepest)) == deepest
    with pytest.raises(WalletError, match="255 steps deep"):
        derive_child(deepest, 0)


@pytest.mark.parametrize("size", [0, SEED_BYTES_MIN - 1, SEED_BYTES_MAX + 1])
def test_a_seed_of_another_size_is_refused(size: int) -> None:
    with pytest.raises(WalletError, match="16 to 64 bytes"):
        compute_master_key(bytes(size))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "tpubD6NzVbkrYhZ4XgiXtGrdW5XDAPFCL9h7we1vwNCpn8tGbBcgfVYjXyhWo4E1xkh56hjod1RhGjxbaTLV3X4FyWuejifB9jusQ46QzG87VKp",
            "this is a tpub, of Bitcoin's test networks; here they begin with xpub or xprv",
        ),
        (
            "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2",
            "this is not an extended key: those begin with xpub or xprv and have 111 characters",
        ),
        (
            CASES[0][1]["xprv"][:-4],
            "the text has a typing error or was cut off (its checksum does not match)",
        ),
        ("x" * 129, "the text is longer than 128 characters"),
        ("", "the text has a typing error or was cut off (its checksum does not match)"),
    ],
)
def test_what_is_no_extended_key_of_this_network_is_told(text: str, message: str) -> None:
    with pytest.raises(WalletError) as refusal:
        parse_extended_key(text)
    assert str(refusal.value) == message


def test_a_key_does_not_show_its_secrets() -> None:
    shown = repr(MASTER)
    assert isinstance(MASTER, ExtendedKey) and MASTER.private_key is not None
    assert MASTER.private_key.secret.hex() not in shown
    assert repr(MASTER.chain_code) not in shown
