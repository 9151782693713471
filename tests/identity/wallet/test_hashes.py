import hashlib

import pytest

from identity.wallet.errors import WalletError
from identity.wallet.hashes import compute_double_sha256, compute_hash160, compute_ripemd160


def test_known_answers() -> None:
    assert compute_ripemd160(b"abc").hex() == "8eb208f7e05d987a9b044a8e98c6b087f15a0bfc"
    assert compute_double_sha256(b"hello").hex() == "9595c9df90075148eb06860365df33584b75bff782a510c6cd4883a419833d50"
    generator = bytes.fromhex("0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798")
    assert compute_hash160(generator).hex() == "751e76e8199196d454941c45d1b3a323f1433bd6"


def test_a_machine_without_ripemd_160_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object, **_settings: object) -> None:
        raise ValueError("unsupported hash type ripemd160")

    monkeypatch.setattr(hashlib, "new", refuse)
    with pytest.raises(WalletError, match=r"OpenSSL 3\.0\.7 or later"):
        compute_ripemd160(b"")
