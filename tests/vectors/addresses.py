"""carlive_addresses.json: keys, addresses, their texts, key policies, and what of all this is refused."""

from typing import Any, Final

from identity.address import (
    NetworkKind,
    compute_key_address,
    compute_module_address,
    compute_policy_address,
    encode_bech32m,
    format_address,
)
from identity.keys import KeyType, PrivateKey
from identity.policy import KeyPolicy, build_policy, policy_to_bytes
from ledger.codec import encode
from tests.builders import address_of, make_key
from tests.vectors.scene import ALICE, BOB, CAROL, DAVE, ERIN, POLICY
from vm.native.iov import MODULE_ACCOUNTS

_ED25519_PRIME: Final = 2**255 - 19
_SECP256K1_PRIME: Final = 2**256 - 2**32 - 977


def build_address_vectors() -> dict[str, Any]:
    """The whole file."""
    single = build_policy([(ALICE.public_key, 1)], 1)
    return {
        "about": "Keys and addresses. Bytes are hex without a prefix. See docs/protocol.md, Keys and Addresses.",
        "keys": [_describe_key(key) for key in (ALICE, BOB, CAROL, DAVE, ERIN)],
        "refused_keys": _list_refused_keys(),
        "module_accounts": [{"name": name, "address": compute_module_address(name).hex()} for name in MODULE_ACCOUNTS],
        "policies": [_describe_policy(policy) for policy in (POLICY, single)],
        "refused_texts": _list_refused_texts(),
    }


def _describe_key(key: PrivateKey) -> dict[str, Any]:
    address = compute_key_address(key.public_key)
    return {
        "key_type": int(key.key_type),
        "secret": key.secret.hex(),
        "public_key": key.public_key.key.hex(),
        "address": address.hex(),
        "texts": {network.name.lower(): format_address(address, network) for network in NetworkKind},
    }


def _describe_policy(policy: KeyPolicy) -> dict[str, Any]:
    policy_bytes = policy_to_bytes(policy)
    return {
        "threshold": policy.threshold,
        "keys": [
            {"key_type": int(each.key_type), "public_key": each.key.hex(), "weight": each.weight}
            for each in policy.keys
        ],
        "policy_bytes": policy_bytes.hex(),
        "address": compute_policy_address(policy_bytes).hex(),
        "encoded": encode(policy).hex(),
    }


def _list_refused_keys() -> list[dict[str, Any]]:
    secp256k1 = BOB.public_key.key
    cases: list[tuple[KeyType, bytes, str]] = [
        (KeyType.ED25519, ALICE.public_key.key[:31], "31 bytes"),
        (KeyType.ED25519, bytes(32), "small order: y = 0"),
        (KeyType.ED25519, (1).to_bytes(32, "little"), "small order: the neutral point"),
        (KeyType.ED25519, (_ED25519_PRIME + 3).to_bytes(32, "little"), "not canonical: y is not below the prime"),
        (KeyType.ED25519, (2).to_bytes(32, "little"), "off the curve"),
        (KeyType.SECP256K1, b"\x04" + secp256k1[1:], "not compressed"),
        (KeyType.SECP256K1, b"\x02" + _SECP256K1_PRIME.to_bytes(32, "big"), "x is not below the prime"),
        (KeyType.P256, b"\x02" + b"\xff" * 32, "x is not below the prime"),
        (KeyType.P256, bytes(33), "no point"),
    ]
    return [{"key_type": int(key_type), "public_key": key.hex(), "why": why} for key_type, key, why in cases]


def _list_refused_texts() -> list[dict[str, str]]:
    """Each is read as an address of the devnet."""
    address = address_of(make_key("alice"))
    good = format_address(address, NetworkKind.DEVNET)
    cases = {
        "another network's prefix": format_address(address, NetworkKind.MAINNET),
        "mixed case": good[:-1] + good[-1].upper(),
        "a character is wrong": good[:-1] + ("q" if good[-1] != "q" else "p"),
        "19 bytes": encode_bech32m("iovd", address[:19]),
        "21 bytes": encode_bech32m("iovd", address + b"\x00"),
        "no prefix": good[5:],
        "a character that bech32m does not use": good[:10] + "b" + good[11:],
        "spaces": f" {good}",
        "empty": "",
    }
    return [{"text": text, "why": why} for why, text in cases.items()]
