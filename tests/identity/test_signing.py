from itertools import product

from identity.keys import KeyType, PrivateKey, verify_signature
from identity.signing import SigningPurpose, compute_signing_domain, signing_bytes

DOMAIN = compute_signing_domain("carlive-1", bytes(32))


def test_the_bytes_are_pinned() -> None:
    assert DOMAIN.hex() == "bc44cdcb105a1bafe0ea196b49495e300013ef17910c624f29b2ee647b47c1ae"
    assert signing_bytes(SigningPurpose.PREVOTE, DOMAIN, b"\x01\x02") == b"carlive/1\x00\x03" + DOMAIN + b"\x01\x02"


def test_purposes_are_numbered_for_ever() -> None:
    assert {purpose.name: int(purpose) for purpose in SigningPurpose if purpose <= 5} == {
        "TRANSACTION": 1,
        "PROPOSAL": 2,
        "PREVOTE": 3,
        "PRECOMMIT": 4,
        "HELLO": 5,
    }


def test_a_signature_counts_for_one_purpose_on_one_chain() -> None:
    private_key = PrivateKey(KeyType.ED25519, bytes(32))
    domains = [DOMAIN, compute_signing_domain("carlive-2", bytes(32)), compute_signing_domain("carlive-1", b"\1" * 32)]
    signature = private_key.sign(signing_bytes(SigningPurpose.PREVOTE, DOMAIN, b"same"))
    accepted = [
        (purpose, index)
        for purpose, (index, domain) in product(SigningPurpose, enumerate(domains))
        if verify_signature(private_key.public_key, signing_bytes(purpose, domain, b"same"), signature)
    ]
    assert accepted == [(SigningPurpose.PREVOTE, 0)]


def test_where_the_chain_id_ends_is_part_of_the_domain() -> None:
    assert compute_signing_domain("ab", b"c" + bytes(31)) != compute_signing_domain("abc", bytes(31))
