"""Vehicle identification numbers and what stands for them."""

from hashlib import sha256

import pytest

from identity.signing import SigningDomain, compute_signing_domain
from identity.vin import (
    VIN_SALT_BYTES,
    InvalidVinError,
    compute_vin_commitment,
    compute_vin_nullifier,
    parse_vin,
)

VIN = "1HGCM82633A004352"
DOMAIN = SigningDomain(bytes(32))
SALT = bytes(range(VIN_SALT_BYTES))


def test_a_number_has_one_form():
    assert parse_vin(f" {VIN.lower()}\n") == VIN


@pytest.mark.parametrize("text", ["", VIN[:-1], VIN + "1", VIN.replace("H", "O"), VIN[:-1] + "\u0662"])
def test_what_is_no_number_is_refused(text):
    with pytest.raises(InvalidVinError):
        parse_vin(text)


def test_a_commitment_is_the_hash_of_salt_and_number():
    expected = sha256(b"carlive vin commitment\0" + SALT + VIN.encode()).digest()
    assert compute_vin_commitment(VIN.lower(), SALT) == expected
    assert compute_vin_commitment(VIN, bytes(VIN_SALT_BYTES)) != expected


def test_a_nullifier_is_everybodys_and_differs_by_network():
    """Pinned: another value would let every number be attested once more."""
    nullifier = compute_vin_nullifier(VIN, DOMAIN)
    assert nullifier.hex() == "cfb2a291cfefb7c584e0bfce13f4e24576978b50ad6cb2aba71bed56edb3d373"
    assert compute_vin_nullifier(VIN.lower(), DOMAIN) == nullifier
    assert compute_vin_nullifier(VIN, compute_signing_domain("other", bytes(32))) != nullifier
