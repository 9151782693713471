import json
from typing import Any

import pytest

from identity import keystore
from identity.keystore import LIGHT_COST, KeystoreError, KeystoreReason
from identity.wallet.errors import WalletError
from identity.wallet.mnemonic import ENTROPY_BYTES_ALLOWED
from identity.wallet.wallet_file import (
    Wallet,
    WalletHeader,
    build_wallet,
    decrypt_wallet,
    encrypt_wallet,
    read_wallet_header,
)

PASSWORD = "correct horse"
SALT, NONCE = b"s" * 16, b"n" * 12
WALLET = build_wallet(bytes(range(16)))
TEXT = encrypt_wallet(WALLET, PASSWORD, SALT, NONCE, LIGHT_COST)


def change(**fields: Any) -> str:
    """Edit fields as an attacker would: with a fitting checksum."""
    document = json.loads(TEXT) | fields
    del document["checksum"]
    return keystore._seal_json({name: value for name, value in document.items() if value is not ...})


def why_not(text: str, password: str = PASSWORD) -> KeystoreReason:
    with pytest.raises(KeystoreError) as refusal:
        decrypt_wallet(text, password)
    assert not set(str(refusal.value).split()) & set(WALLET.mnemonic.split())
    return refusal.value.reason


@pytest.mark.parametrize("size", ENTROPY_BYTES_ALLOWED)
def test_what_is_encrypted_is_decrypted(size: int) -> None:
    wallet = build_wallet(bytes(range(size)), "a passphrase")
    text = encrypt_wallet(wallet, PASSWORD, SALT, NONCE, LIGHT_COST)
    assert decrypt_wallet(text, PASSWORD) == wallet
    assert read_wallet_header(text) == wallet.header == WalletHeader(wallet.header.fingerprint, True, size * 3 // 4)
    assert wallet.entropy.hex() not in text


def test_the_form_is_pinned() -> None:
    """Files of today must open for ever."""
    pinned = """{"version": 1, "kind": "carlive-wallet", "fingerprint": "0x05d027a5", "passphrase": "none", "words": 12,
      "encryption": "scrypt-aes256gcm", "scrypt": {"n": 16384, "r": 8, "p": 1},
      "salt": "0x73737373737373737373737373737373", "nonce": "0x6e6e6e6e6e6e6e6e6e6e6e6e",
      "secret": "0xf95a08c9171fdb2a4bbdc686fc3585fa3d6a2f3dfc96a5a95eec2b7e37f794da",
      "checksum": "0x7af58d57d95ab5cd9c74d4c46089af46ee8fb40fb178eb4ac001c947fedc5011"}"""
    assert decrypt_wallet(pinned, PASSWORD) == WALLET
    assert json.loads(pinned) == json.loads(TEXT)


def test_the_seed_is_that_of_the_words_and_the_passphrase() -> None:
    with_passphrase = build_wallet(WALLET.entropy, "TREZOR")
    assert WALLET.compute_seed() != with_passphrase.compute_seed("TREZOR")
    assert WALLET.header.fingerprint != with_passphrase.header.fingerprint
    assert (WALLET.header.needs_passphrase, with_passphrase.header.needs_passphrase) == (False, True)


@pytest.mark.parametrize(("passphrase", "wrong"), [("TREZOR", ""), ("TREZOR", "trezor"), ("", "TREZOR")])
def test_a_wrong_passphrase_is_told(passphrase: str, wrong: str) -> None:
    """Without the fingerprint it would silently lead to other accounts."""
    with pytest.raises(WalletError, match="wrong passphrase"):
        build_wallet(WALLET.entropy, passphrase).compute_seed(wrong)


def test_a_wrong_password_is_told() -> None:
    for wrong in ("", "correct horsf", "x" * 2000):
        assert why_not(TEXT, wrong) is KeystoreReason.WRONG_PASSWORD


def test_a_changed_byte_is_damage() -> None:
    for name, value in json.loads(TEXT).items():
        if type(value) is str and value.startswith("0x"):
            other = value[:-1] + ("0" if value[-1] != "0" else "1")
            assert why_not(TEXT.replace(value, other)) is KeystoreReason.DAMAGED, name


@pytest.mark.parametrize(
    "fields", [{"fingerprint": "0x00000000"}, {"passphrase": "needed"}, {"salt": "0x" + "00" * 16}], ids=str
)
def test_an_exchanged_header_is_noticed_even_with_a_fitting_checksum(fields: dict[str, Any]) -> None:
    assert why_not(change(**fields)) is KeystoreReason.WRONG_PASSWORD


def test_an_absurd_cost_is_refused_before_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object) -> bytes:
        raise AssertionError("the work was begun")

    monkeypatch.setattr(keystore, "_derive_key", fail)
    for cost in ({"n": 2**30, "r": 8, "p": 1}, {"n": 2**13, "r": 8, "p": 1}, {"n": 2**14, "r": 8, "p": 2**30}):
        assert why_not(change(scrypt=cost)) is KeystoreReason.COST_OUT_OF_RANGE


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        TEXT[: len(TEXT) // 2],
        TEXT + "x",
        change(version=2),
        change(kind="other"),
        change(words=13),
        change(words=24),
        change(words=True),
        change(passphrase="maybe"),
        change(fingerprint="0x00"),
        change(fingerprint=...),
        change(extra=1),
        change(encryption="none"),
        change(encryption=["scrypt-aes256gcm"]),
    ],
)
def test_only_the_exact_form_is_read(text: str) -> None:
    assert why_not(text) is KeystoreReason.MALFORMED


def test_a_key_file_is_no_wallet_file_and_the_other_way_round() -> None:
    from identity.keys import KeyType, PrivateKey

    key = keystore.encrypt_secret(PrivateKey(KeyType.ED25519, bytes(32)), PASSWORD, SALT, NONCE, LIGHT_COST)
    assert why_not(key) is KeystoreReason.MALFORMED
    with pytest.raises(KeystoreError) as refusal:
        keystore.decrypt_secret(TEXT, PASSWORD)
    assert refusal.value.reason is KeystoreReason.MALFORMED


def test_a_wallet_does_not_show_its_entropy() -> None:
    assert repr(WALLET) == f"Wallet(header={WALLET.header!r})"
    assert isinstance(WALLET, Wallet)
