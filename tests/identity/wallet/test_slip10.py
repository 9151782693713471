from typing import Any

import pytest

from identity.keys import KeyType
from identity.wallet.derivation_path import parse_path
from identity.wallet.errors import WalletError
from identity.wallet.slip10 import derive_ed25519
from tests.identity.wallet.vectors import load_vectors

CASES = [
    (vector["seed"], chain)
    for vector in load_vectors("slip0010")["vectors"]
    if vector["curve"] == "ed25519"
    for chain in vector["chains"]
]


@pytest.mark.parametrize(("seed", "chain"), CASES)
def test_slip_10(seed: str, chain: dict[str, Any]) -> None:
    node = derive_ed25519(bytes.fromhex(seed), parse_path(chain["path"]))
    assert node.private_key.key_type is KeyType.ED25519
    assert node.private_key.secret.hex() == chain["private"]
    assert node.chain_code.hex() == chain["chain code"]
    assert "00" + node.private_key.public_key.key.hex() == chain["public"]


def test_both_vectors_were_there() -> None:
    assert len(CASES) == 12


def test_only_hardened_steps_exist() -> None:
    with pytest.raises(WalletError, match="hardened steps only"):
        derive_ed25519(bytes(16), parse_path("m/44'/0"))


def test_a_node_does_not_show_its_secrets() -> None:
    node = derive_ed25519(bytes(16), ())
    assert repr(node) == "Ed25519Node(private_key=PrivateKey(ED25519, <secret>))"
