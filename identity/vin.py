"""Vehicle identification numbers (ISO 3779), and what stands on the chain in their place.

A commitment hides the number: without its salt it tells nothing. A nullifier is the same for everybody who hashes the
same number on the same network, which is what makes the number unique there, and also what lets anybody test a guess:
whoever knows a vehicle's number finds its identity, and whoever goes through all numbers of a maker finds all of them.
The hash is therefore slow (SCRYPT_*): a guess costs about 0.1 s and 32 MiB. That stops nobody who asks after one
vehicle and makes it dear to ask after all. The chain never computes it, so it costs the chain nothing.
"""

import re
from hashlib import scrypt, sha256
from typing import Annotated, Final, NewType

from annotated_types import Len

from identity.signing import SigningDomain

VIN_SALT_BYTES: Final = 32
SCRYPT_N: Final = 2**15  # 32 MiB and 0.1 s a guess, as much as a workshop's oldest computer bears
SCRYPT_R: Final = 8
SCRYPT_P: Final = 1
_SCRYPT_MEMORY_BYTES_MAX: Final = 64 * 1024 * 1024

VinCommitment = NewType("VinCommitment", Annotated[bytes, Len(32, 32)])
"""Hash of a vehicle's number and a salt that the owner keeps."""
VinNullifier = NewType("VinNullifier", Annotated[bytes, Len(32, 32)])
"""Slow hash of a vehicle's number and the network, the same for everybody."""

_VIN: Final = re.compile(r"[A-HJ-NPR-Z0-9]{17}", re.ASCII)
_COMMITMENT_DOMAIN: Final = b"carlive vin commitment\0"
_NULLIFIER_DOMAIN: Final = b"carlive vin nullifier\0"


class InvalidVinError(ValueError):
    """This text is no vehicle identification number."""


def parse_vin(text: str) -> str:
    """A number in its one form; raises InvalidVinError. Check digits are left alone: much of the world has none."""
    vin = text.strip().upper()
    if not _VIN.fullmatch(vin):
        raise InvalidVinError("a vehicle's number has 17 letters and digits, none of them I, O or Q")
    return vin


def compute_vin_commitment(vin: str, salt: bytes) -> VinCommitment:
    """What stands for a number; shown with the salt, it proves the number. Raises InvalidVinError."""
    assert len(salt) == VIN_SALT_BYTES, "a shorter salt could be guessed"
    return VinCommitment(sha256(_COMMITMENT_DOMAIN + salt + parse_vin(vin).encode()).digest())


def compute_vin_nullifier(vin: str, domain: SigningDomain) -> VinNullifier:
    """What makes a number unique on the network with this signing domain; takes 0.1 s. Raises InvalidVinError."""
    return VinNullifier(
        scrypt(
            parse_vin(vin).encode(),
            salt=_NULLIFIER_DOMAIN + domain,
            n=SCRYPT_N,
            r=SCRYPT_R,
            p=SCRYPT_P,
            maxmem=_SCRYPT_MEMORY_BYTES_MAX,
            dklen=32,
        )
    )
