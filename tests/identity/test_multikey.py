"""Multikey texts against published ones, and what counts as an X25519 key."""

import pytest
from nacl.bindings import crypto_scalarmult
from nacl.exceptions import RuntimeError as SodiumError

from identity.base58 import decode_base58
from identity.keys import InvalidKeyError, KeyType, PublicKey
from identity.multikey import check_agreement_key, format_agreement_multikey, format_multikey
from tests.builders import make_key

PRIME = 2**255 - 19
SMALL_ORDERS = (
    0,
    1,
    PRIME - 1,
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
)


def to_key(coordinate: int) -> bytes:
    return coordinate.to_bytes(32, "little")


def test_published_texts():
    """Of did:key's own example: an Ed25519 key, and the X25519 key derived from it."""
    ed25519 = decode_base58("6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp")[2:]
    assert format_multikey(PublicKey(KeyType.ED25519, ed25519)) == "z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp"
    x25519 = decode_base58("6LSbysY2xFMRpGMhb7tFTLMpeuPRaqaWM1yECx2AtzE3KCc")[2:]
    assert format_agreement_multikey(x25519) == "z6LSbysY2xFMRpGMhb7tFTLMpeuPRaqaWM1yECx2AtzE3KCc"
    p256 = decode_base58("DnaerDaTF5BXEavCrfRZEk316dpbLsfPDZ3WJ5hRTPFU2169")[2:]
    assert format_multikey(PublicKey(KeyType.P256, p256)) == "zDnaerDaTF5BXEavCrfRZEk316dpbLsfPDZ3WJ5hRTPFU2169"
    secp256k1 = decode_base58("Q3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme")[2:]
    assert (
        format_multikey(PublicKey(KeyType.SECP256K1, secp256k1)) == "zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme"
    )


@pytest.mark.parametrize(
    ("kind", "prefix"), [(KeyType.ED25519, "z6Mk"), (KeyType.SECP256K1, "zQ3s"), (KeyType.P256, "zDn")]
)
def test_the_text_tells_the_curve(kind, prefix):
    assert format_multikey(make_key("any", kind).public_key).startswith(prefix)


@pytest.mark.parametrize("coordinate", SMALL_ORDERS)
def test_points_of_small_order_are_refused(coordinate):
    with pytest.raises(SodiumError):  # the library gives no secret for them either
        crypto_scalarmult(b"\x07" * 32, to_key(coordinate))
    with pytest.raises(InvalidKeyError, match="small order"):
        check_agreement_key(to_key(coordinate))


@pytest.mark.parametrize("coordinate", [PRIME, PRIME + 1, 2**255 - 1, 2**255 + 9])
def test_other_forms_of_a_coordinate_are_refused(coordinate):
    with pytest.raises(InvalidKeyError, match="canonical"):
        check_agreement_key(to_key(coordinate))


def test_an_ordinary_key_is_accepted_and_its_length_matters():
    check_agreement_key(to_key(9))
    with pytest.raises(InvalidKeyError, match="32 bytes, not 31"):
        check_agreement_key(bytes(31))
