import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from identity import keystore
from identity.keys import KeyType, PrivateKey
from identity.keystore import (
    DEFAULT_COST,
    KEYSTORE_BYTES_MAX,
    LIGHT_COST,
    PASSWORD_CHARACTERS_MAX,
    KeystoreError,
    KeystoreHeader,
    KeystoreReason,
    ScryptCost,
    decrypt_secret,
    encrypt_secret,
    plain_secret_from_json,
    plain_secret_to_json,
    read_header,
)

PASSWORD = "correct horse"
KEY = PrivateKey(KeyType.ED25519, bytes(range(32)))
SALT, NONCE = b"s" * 16, b"n" * 12
ENCRYPTED = encrypt_secret(KEY, PASSWORD, SALT, NONCE, LIGHT_COST)
PLAIN = plain_secret_to_json(KEY)


def change(text: str, **fields: Any) -> str:
    """Edit fields as an attacker would: with a fitting checksum."""
    document = json.loads(text) | fields
    del document["checksum"]
    return keystore._seal_json({name: value for name, value in document.items() if value is not ...})


def get_reason(text: str, password: str = PASSWORD) -> KeystoreReason:
    with pytest.raises(KeystoreError) as refusal:
        decrypt_secret(text, password)
    assert KEY.secret.hex() not in str(refusal.value)
    return refusal.value.reason


@pytest.mark.parametrize("key_type", KeyType)
def test_what_is_encrypted_is_decrypted(key_type: KeyType) -> None:
    private_key = PrivateKey(key_type, b"\x07" * 32)
    text = encrypt_secret(private_key, PASSWORD, SALT, NONCE, LIGHT_COST)
    assert decrypt_secret(text, PASSWORD) == private_key
    assert read_header(text) == KeystoreHeader(private_key.public_key, is_encrypted=True)
    assert private_key.secret.hex() not in text


@pytest.mark.parametrize("key_type", KeyType)
def test_a_plain_text_gives_the_key_back(key_type: KeyType) -> None:
    private_key = PrivateKey(key_type, b"\x07" * 32)
    text = plain_secret_to_json(private_key)
    assert plain_secret_from_json(text) == private_key
    assert read_header(text) == KeystoreHeader(private_key.public_key, is_encrypted=False)


def test_the_encrypted_form_is_pinned() -> None:
    """Files of today must open for ever."""
    pinned = """{"version": 1, "key_type": "ed25519",
      "public_key": "0x03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8",
      "encryption": "scrypt-aes256gcm", "scrypt": {"n": 16384, "r": 8, "p": 1},
      "salt": "0x73737373737373737373737373737373", "nonce": "0x6e6e6e6e6e6e6e6e6e6e6e6e",
      "secret": "0xf95a08c9171fdb2a4bbdc686fc3585fa6460e58029a4749d9a2f2409a7e166eddb0f9ce0a06250f20eab224f7a10f26e",
      "checksum": "0x718716e043adc83ec0ce0a7fb24f75cc92a788b86802d770a983cdcd65cf2ff9"}"""
    assert decrypt_secret(pinned, PASSWORD) == KEY
    assert json.loads(pinned) == json.loads(ENCRYPTED)


def test_a_wrong_password_is_named() -> None:
    for wrong in ("correct horsf", "", "Correct horse", "x" * (PASSWORD_CHARACTERS_MAX + 1), "\ud800" * 9):
        assert get_reason(ENCRYPTED, wrong) is KeystoreReason.WRONG_PASSWORD


def test_the_same_password_typed_otherwise_opens() -> None:
    text = encrypt_secret(KEY, "schlu\u0308ssel", SALT, NONCE, LIGHT_COST)
    assert decrypt_secret(text, "schl\u00fcssel") == KEY


@pytest.mark.parametrize("password", ["", "seven77", "x" * (PASSWORD_CHARACTERS_MAX + 1), "\ud800" * 9])
def test_a_password_that_protects_nothing_is_refused(password: str) -> None:
    with pytest.raises(KeystoreError) as refusal:
        encrypt_secret(KEY, password, SALT, NONCE, LIGHT_COST)
    assert refusal.value.reason is KeystoreReason.BAD_PASSWORD


def test_a_changed_byte_is_damage() -> None:
    for name, value in json.loads(ENCRYPTED).items():
        if type(value) is str and value.startswith("0x"):
            other = value[:-1] + ("0" if value[-1] != "0" else "1")
            text = ENCRYPTED.replace(value, other)
            assert get_reason(text) is KeystoreReason.DAMAGED, name


def test_an_exchanged_header_is_noticed_even_with_a_fitting_checksum() -> None:
    other_key = "0x" + PrivateKey(KeyType.ED25519, b"\1" * 32).public_key.key.hex()
    for fields in (
        {"public_key": other_key},
        {"salt": "0x" + "00" * 16},
        {"nonce": "0x" + "00" * 12},
        {"secret": "0x" + "00" * 48},
        {"scrypt": {"n": 2**15, "r": 8, "p": 1}},
    ):
        assert get_reason(change(ENCRYPTED, **fields)) is KeystoreReason.WRONG_PASSWORD, fields


def test_a_plain_secret_of_another_key_is_damage() -> None:
    for secret, key_type in (("0x" + "01" * 32, "ed25519"), ("0x" + "00" * 32, "p256")):
        public_key = {} if key_type == "ed25519" else {"public_key": "0x" + "02" * 33}
        with pytest.raises(KeystoreError) as refusal:
            plain_secret_from_json(change(PLAIN, secret=secret, key_type=key_type, **public_key))
        assert refusal.value.reason is KeystoreReason.DAMAGED


@pytest.mark.parametrize(
    "cost",
    [
        {"n": 2**30, "r": 8, "p": 1},
        {"n": 2**19, "r": 8, "p": 1},
        {"n": 2**14, "r": 2**30, "p": 1},
        {"n": 2**14, "r": 8, "p": 2**30},
        {"n": 2**14, "r": 8, "p": 5},
        {"n": 2**14 + 1, "r": 8, "p": 1},
        {"n": 2**13, "r": 8, "p": 1},
        {"n": 0, "r": 8, "p": 1},
        {"n": -(2**14), "r": 8, "p": 1},
        {"n": -(2**14), "r": -8, "p": 1},
        {"n": 2**14, "r": 0, "p": 1},
        {"n": 2**14, "r": 8, "p": 0},
        {"n": 2**52, "r": 8, "p": 1},
    ],
)
def test_an_absurd_cost_is_refused_before_the_work(cost: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object) -> bytes:
        raise AssertionError("the work was begun")

    monkeypatch.setattr(keystore, "_derive_key", fail)
    assert get_reason(change(ENCRYPTED, scrypt=cost)) is KeystoreReason.COST_OUT_OF_RANGE
    with pytest.raises(KeystoreError) as refusal:
        encrypt_secret(KEY, PASSWORD, SALT, NONCE, ScryptCost(**cost))
    assert refusal.value.reason is KeystoreReason.COST_OUT_OF_RANGE


def test_the_default_cost_is_within_the_limits() -> None:
    keystore._check_cost(DEFAULT_COST)
    assert DEFAULT_COST.memory_bytes == 2**27


@pytest.mark.parametrize(
    "fields",
    [
        {"version": 2},
        {"version": 1.0},
        {"version": True},
        {"version": "1"},
        {"key_type": "rsa"},
        {"key_type": 1},
        {"key_type": ["ed25519"]},
        {"encryption": "rot13"},
        {"encryption": None},
        {"encryption": "none"},
        {"extra": 1},
        {"salt": ...},
        {"secret": 5},
        {"secret": None},
        {"salt": "0x00"},
        {"salt": "73" * 17},
        {"salt": "0x" + "7 " * 16},
        {"salt": "0x" + "AB" * 16},
        {"salt": "0x" + "\u0661" * 32},
        {"public_key": "0x" + "00" * 33},
        {"scrypt": 7},
        {"scrypt": [1, 2, 3]},
        {"scrypt": {"n": 2**14, "r": 8}},
        {"scrypt": {"n": 2**14, "r": 8, "p": 1, "q": 1}},
        {"scrypt": {"n": 2**14, "r": 8, "p": 1.0}},
        {"scrypt": {"n": 2**14, "r": 8, "p": True}},
        {"scrypt": {"n": "16384", "r": 8, "p": 1}},
    ],
)
def test_only_the_exact_form_is_read(fields: dict[str, Any]) -> None:
    assert get_reason(change(ENCRYPTED, **fields)) is KeystoreReason.MALFORMED


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "7",
        "{}",
        '{"encryption": "none"}',
        "\ufeff" + ENCRYPTED,
        ENCRYPTED[:-3],
        ENCRYPTED + "x",
        ENCRYPTED.replace('"version": 1,', '"version": 1, "version": 1,'),
        ENCRYPTED.replace('"n": 16384', '"n": NaN'),
        ENCRYPTED.replace('"n": 16384', '"n": 16384, "n": 16384'),
        ENCRYPTED.replace('"n": 16384', '"n": 1' + "0" * 400),
        "[" * KEYSTORE_BYTES_MAX,
        ENCRYPTED + " " * KEYSTORE_BYTES_MAX,
        ENCRYPTED.replace('"p": 1', '"p": ' + "[" * 900 + "]" * 900),
    ],
)
def test_what_is_not_a_key_file_is_refused(text: str) -> None:
    assert get_reason(text) is KeystoreReason.MALFORMED


@given(st.text(max_size=200), st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.lists(inner)))
@settings(max_examples=50)
def test_reading_raises_nothing_but_its_error(text: str, value: Any) -> None:
    for name in (None, *json.loads(ENCRYPTED)):
        candidate = text if name is None else json.dumps(json.loads(ENCRYPTED) | {name: value})
        if name is not None and json.loads(candidate) == json.loads(ENCRYPTED):
            continue
        for read in (read_header, plain_secret_from_json):
            with pytest.raises(KeystoreError):
                read(candidate)


def test_a_plain_file_wants_no_password_and_an_encrypted_one_does() -> None:
    assert get_reason(PLAIN) is KeystoreReason.MALFORMED
    with pytest.raises(KeystoreError) as refusal:
        plain_secret_from_json(ENCRYPTED)
    assert refusal.value.reason is KeystoreReason.PASSWORD_NEEDED


def test_salt_and_nonce_change_everything() -> None:
    other = encrypt_secret(KEY, PASSWORD, b"t" * 16, NONCE, LIGHT_COST)
    assert json.loads(other)["secret"] != json.loads(ENCRYPTED)["secret"]
