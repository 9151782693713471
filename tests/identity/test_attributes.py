"""Sealing, opening and committing to attributes."""

from hashlib import sha256

import pytest
from nacl.public import PrivateKey, SealedBox

from identity.attributes import (
    ATTRIBUTE_VALUE_BYTES_MAX,
    SEALED_BYTES_MAX,
    SEALED_BYTES_MIN,
    InvalidAttributeError,
    compute_answer_key,
    compute_attribute_commitment,
    open_attribute,
    seal_attribute,
)
from identity.keys import InvalidKeyError

SECRET = PrivateKey(b"reader".ljust(32, b"\1"))
KEY = bytes(SECRET.public_key)
EPHEMERAL = b"once".ljust(32, b"\2")
SALT = b"salt".ljust(32, b"\3")


@pytest.mark.parametrize("value", [b"", b"yes", b"x" * 30, b"x" * 31, b"x" * ATTRIBUTE_VALUE_BYTES_MAX])
def test_what_is_sealed_is_opened(value):
    assert open_attribute(seal_attribute(value, SALT, KEY, EPHEMERAL), bytes(SECRET)) == (value, SALT)


def test_it_is_a_sealed_box_of_libsodium():
    text = SealedBox(SECRET).decrypt(seal_attribute(b"yes", SALT, KEY, EPHEMERAL))
    assert text == SALT + b"\0\3yes" + bytes(27)
    assert open_attribute(SealedBox(SECRET.public_key).encrypt(text), bytes(SECRET)) == (b"yes", SALT)
    assert compute_answer_key(bytes(SECRET)) == KEY


def test_the_length_does_not_tell_short_values_apart():
    lengths = {len(seal_attribute(b"x" * length, SALT, KEY, EPHEMERAL)) for length in range(31)}
    assert lengths == {SEALED_BYTES_MIN}
    assert len(seal_attribute(b"x" * ATTRIBUTE_VALUE_BYTES_MAX, SALT, KEY, EPHEMERAL)) == SEALED_BYTES_MAX


def test_nobody_else_opens_it_and_a_change_is_noticed():
    sealed = seal_attribute(b"yes", SALT, KEY, EPHEMERAL)
    with pytest.raises(InvalidAttributeError, match="another key"):
        open_attribute(sealed, b"thief".ljust(32, b"\1"))
    with pytest.raises(InvalidAttributeError, match="changed"):
        open_attribute(sealed[:-1] + bytes([sealed[-1] ^ 1]), bytes(SECRET))


@pytest.mark.parametrize("length", [0, SEALED_BYTES_MIN - 1, SEALED_BYTES_MAX + 1])
def test_a_wrong_length_is_refused(length):
    with pytest.raises(InvalidAttributeError, match="length"):
        open_attribute(bytes(length), bytes(SECRET))


@pytest.mark.parametrize(
    "text",
    [
        SALT + b"\0\3yes" + bytes(26) + b"\1",
        SALT + b"\0\3yes" + bytes(27 + 64),
        SALT + b"\0\x40yes" + bytes(27),
        SALT + b"\0\3yes" + bytes(26),
        SALT + b"\xff\xff" + bytes(30),
    ],
)
def test_a_box_with_other_text_is_refused(text):
    sealed = SealedBox(SECRET.public_key).encrypt(text)
    with pytest.raises(InvalidAttributeError):
        open_attribute(sealed, bytes(SECRET))


@pytest.mark.parametrize("key", [bytes(32), b"\1" + bytes(31), KEY[:31]])
def test_keys_nobody_can_seal_for_are_refused(key):
    with pytest.raises(InvalidKeyError):
        seal_attribute(b"yes", SALT, key, EPHEMERAL)


def test_secrets_have_32_bytes():
    with pytest.raises(InvalidKeyError):
        seal_attribute(b"yes", SALT, KEY, EPHEMERAL[:31])
    with pytest.raises(InvalidKeyError):
        open_attribute(seal_attribute(b"yes", SALT, KEY, EPHEMERAL), bytes(SECRET)[:31])


def test_a_commitment_is_a_hash_of_name_salt_and_value():
    expected = sha256(b"carlive attribute\0\5adult" + SALT + b"yes").digest()
    assert compute_attribute_commitment("adult", b"yes", SALT) == expected


def test_commitments_differ_in_every_part():
    made = [("adult", b"yes", SALT), ("adult", b"no", SALT), ("name", b"yes", SALT), ("adult", b"yes", bytes(32))]
    assert len({compute_attribute_commitment(*each) for each in made}) == len(made)


@pytest.mark.parametrize(
    ("name", "value", "salt"),
    [
        ("", b"yes", SALT),
        ("x" * 65, b"yes", SALT),
        ("adult", bytes(ATTRIBUTE_VALUE_BYTES_MAX + 1), SALT),
        ("adult", b"yes", SALT[:31]),
    ],
)
def test_sizes_of_what_is_committed_to(name, value, salt):
    with pytest.raises(InvalidAttributeError):
        compute_attribute_commitment(name, value, salt)
