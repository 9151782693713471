from hashlib import sha256

import pytest

from identity.keys import KeyType, PrivateKey, verify_signature
from identity.wallet.recoverable import RecoverableSignature, expand_public_key, recover_public_key, sign_digest

KEY = PrivateKey(KeyType.SECP256K1, sha256(b"a key").digest())
DIGESTS = [sha256(bytes([number])).digest() for number in range(20)]


def test_a_signature_leads_back_to_its_key() -> None:
    assert {recover_public_key(sign_digest(KEY, digest), digest) for digest in DIGESTS} == {KEY.public_key.key}
    assert {sign_digest(KEY, digest).recovery_id for digest in DIGESTS} == {0, 1}


def test_it_is_the_signature_that_the_chain_accepts_too() -> None:
    """Two libraries, one answer: RFC 6979 and low s."""
    for number, digest in enumerate(DIGESTS):
        message = bytes([number])
        signed = sign_digest(KEY, digest)
        assert signed.signature == KEY.sign(message)
        assert verify_signature(KEY.public_key, message, signed.signature)


def test_extra_entropy_gives_another_signature_of_the_same_key() -> None:
    other = sign_digest(KEY, DIGESTS[0], bytes(31) + b"\x01")
    assert other != sign_digest(KEY, DIGESTS[0])
    assert recover_public_key(other, DIGESTS[0]) == KEY.public_key.key


@pytest.mark.parametrize("signature", [bytes(64), b"\xff" * 64, bytes(32) + b"\x01" * 32, b"\x01" * 32 + bytes(32)])
def test_some_signatures_are_of_nobody(signature: bytes) -> None:
    assert [recover_public_key(RecoverableSignature(each, signature), DIGESTS[0]) for each in range(4)] == [None] * 4


def test_an_expanded_key_has_both_coordinates() -> None:
    one = PrivateKey(KeyType.SECP256K1, (1).to_bytes(32, "big"))
    assert expand_public_key(one.public_key.key).hex() == (
        "0479be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
        "483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8"
    )
