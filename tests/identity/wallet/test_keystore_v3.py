import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from identity.keys import KeyType, PrivateKey
from identity.keystore import LIGHT_COST, PASSWORD_CHARACTERS_MAX, KeystoreError, KeystoreReason, ScryptCost
from identity.wallet import keystore_v3
from identity.wallet.keystore_v3 import PBKDF2_ROUNDS_MAX, decrypt_v3, encrypt_v3
from tests.identity.wallet.vectors import load_vectors

VECTORS = load_vectors("web3_keystore_v3")["vectors"]
PASSWORD = "correct horse"
KEY = PrivateKey(KeyType.SECP256K1, bytes(range(32)))
SALT, IV, IDENTIFIER = b"s" * 32, b"i" * 16, b"\xff" * 16
TEXT = encrypt_v3(KEY, PASSWORD, SALT, IV, IDENTIFIER, LIGHT_COST)


def change(*path: str, to: Any) -> str:
    """The file with one field changed, or removed with `...`."""
    document = json.loads(TEXT)
    fields = document
    for name in path[:-1]:
        fields = fields[name]
    if to is ...:
        del fields[path[-1]]
    else:
        fields[path[-1]] = to
    return json.dumps(document)


def why_not(text: str, password: str = PASSWORD) -> KeystoreReason:
    with pytest.raises(KeystoreError) as refusal:
        decrypt_v3(text, password)
    assert KEY.secret.hex() not in str(refusal.value)
    assert password not in str(refusal.value)
    return refusal.value.reason


@pytest.mark.parametrize("case", VECTORS, ids=lambda case: case["name"])
def test_known_files_open(case: dict[str, Any]) -> None:
    secret = bytes.fromhex(case["secret"]).rjust(32, b"\x00")
    assert decrypt_v3(json.dumps(case["file"]), case["password"]) == PrivateKey(KeyType.SECP256K1, secret)


def test_the_form_is_pinned() -> None:
    assert json.loads(TEXT) == {
        "version": 3,
        "id": "ffffffff-ffff-4fff-bfff-ffffffffffff",
        "address": "ede35562d3555e61120a151b3c8e8e91d83a378a",
        "crypto": {
            "cipher": "aes-128-ctr",
            "cipherparams": {"iv": "69" * 16},
            "ciphertext": "2bdc00574045b247a08151e882aec45f0abe79a73961be65176368f99f150386",
            "kdf": "scrypt",
            "kdfparams": {"dklen": 32, "n": 16384, "r": 8, "p": 1, "salt": "73" * 32},
            "mac": "d2872ab7c83e9c796f302026bb77c9dfc6f592636ef5b249281e5262835c998e",
        },
    }


def test_what_is_written_is_read() -> None:
    assert decrypt_v3(TEXT, PASSWORD) == KEY
    assert KEY.secret.hex() not in TEXT


@pytest.mark.parametrize("wrong", ["", "correct horsf", "x" * (PASSWORD_CHARACTERS_MAX + 1), "\ud800"])
def test_a_wrong_password_is_told(wrong: str) -> None:
    with pytest.raises(KeystoreError) as refusal:
        decrypt_v3(TEXT, wrong)
    assert refusal.value.reason is KeystoreReason.WRONG_PASSWORD


@pytest.mark.parametrize(
    "path", [("crypto", "mac"), ("crypto", "ciphertext"), ("crypto", "kdfparams", "salt")], ids=lambda path: path[-1]
)
def test_the_mac_notices_a_change(path: tuple[str, ...]) -> None:
    assert why_not(change(*path, to="00" * 32)) is KeystoreReason.WRONG_PASSWORD


def test_the_address_notices_what_the_mac_does_not() -> None:
    """The MAC does not cover the IV."""
    assert why_not(change("crypto", "cipherparams", "iv", to="00" * 16)) is KeystoreReason.DAMAGED
    assert why_not(change("address", to="00" * 20)) is KeystoreReason.DAMAGED


def test_a_file_need_not_say_its_address_and_may_say_more() -> None:
    document = json.loads(change("address", to=...))
    document["x-ethers"] = {"client": "ethers.js"}
    document["Crypto"] = document.pop("crypto")
    assert decrypt_v3(json.dumps(document), PASSWORD) == KEY


@pytest.mark.parametrize(
    "cost",
    [
        {"n": 2**30, "r": 8, "p": 1},
        {"n": 2**19, "r": 8, "p": 1},
        {"n": 2**18, "r": 8, "p": 3},
        {"n": 2, "r": 8, "p": 2**30},
        {"n": 2, "r": 2**30, "p": 1},
        {"n": 1, "r": 8, "p": 1},
        {"n": 0, "r": 8, "p": 1},
        {"n": -2, "r": -8, "p": 1},
        {"n": 3, "r": 8, "p": 1},
        {"n": 2, "r": 0, "p": 1},
        {"n": 2, "r": 1, "p": 0},
        {"n": 2**52, "r": 8, "p": 1},
    ],
)
def test_an_absurd_cost_of_scrypt_is_refused_before_the_work(
    cost: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keystore_v3, "_run_scrypt", fail)
    text = change("crypto", "kdfparams", to={"dklen": 32, "salt": "00", **cost})
    assert why_not(text) is KeystoreReason.COST_OUT_OF_RANGE
    with pytest.raises(KeystoreError) as refusal:
        encrypt_v3(KEY, PASSWORD, SALT, IV, IDENTIFIER, ScryptCost(**cost))
    assert refusal.value.reason is KeystoreReason.COST_OUT_OF_RANGE


@pytest.mark.parametrize("rounds", [0, -1, PBKDF2_ROUNDS_MAX + 1, 2**52])
def test_an_absurd_cost_of_pbkdf2_is_refused_before_the_work(rounds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keystore_v3, "pbkdf2_hmac", fail)
    document = json.loads(TEXT)
    document["crypto"] |= {
        "kdf": "pbkdf2",
        "kdfparams": {"dklen": 32, "salt": "00", "prf": "hmac-sha256", "c": rounds},
    }
    assert why_not(json.dumps(document)) is KeystoreReason.COST_OUT_OF_RANGE


def fail(*_arguments: object) -> bytes:
    raise AssertionError("the work was begun")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "null",
        "[3]",
        TEXT[:-20],
        TEXT.replace('"version": 3', '"version": 3, "version": 3'),
        "[" * 5000,
        change("version", to=1),
        change("version", to="3"),
        change("version", to=3.0),
        change("crypto", to=...),
        change("crypto", to="scrypt"),
        change("crypto", "cipher", to="aes-256-gcm"),
        change("crypto", "cipherparams", to=...),
        change("crypto", "cipherparams", "iv", to="00" * 15),
        change("crypto", "ciphertext", to=""),
        change("crypto", "ciphertext", to="00" * 33),
        change("crypto", "ciphertext", to="0"),
        change("crypto", "ciphertext", to="zz" * 32),
        change("crypto", "mac", to="00"),
        change("crypto", "kdf", to="argon2"),
        change("crypto", "kdf", to="pbkdf2"),
        change("crypto", "kdfparams", "dklen", to=16),
        change("crypto", "kdfparams", "n", to=16384.0),
        change("crypto", "kdfparams", "n", to=True),
        change("crypto", "kdfparams", "salt", to=...),
        change("crypto", "kdfparams", "salt", to="00" * 257),
        change("address", to="0x00"),
        change("address", to=7),
    ],
)
def test_only_the_form_of_version_3_is_read(text: str) -> None:
    assert why_not(text) is KeystoreReason.MALFORMED


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=70),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=5,
)
_FIELDS = [
    ("version",),
    ("address",),
    ("crypto",),
    *[("crypto", name) for name in json.loads(TEXT)["crypto"]],
    ("crypto", "cipherparams", "iv"),
    *[("crypto", "kdfparams", name) for name in json.loads(TEXT)["crypto"]["kdfparams"]],
]


@settings(deadline=None)
@given(st.sampled_from(_FIELDS), _VALUES)
def test_reading_raises_nothing_but_its_error(path: tuple[str, ...], value: Any) -> None:
    cheap = json.loads(change(*path, to=value))
    if path[-1] != "n" and path != ("crypto",) and path[-1] != "kdfparams":
        cheap["crypto"]["kdfparams"]["n"] = 2
    with contextlib.suppress(KeystoreError):
        assert decrypt_v3(json.dumps(cheap), PASSWORD) == KEY


@given(st.text(max_size=200))
def test_no_other_text_is_a_key_file(text: str) -> None:
    assert why_not(text, "no such password") is KeystoreReason.MALFORMED


def test_a_password_that_protects_nothing_is_refused() -> None:
    with pytest.raises(KeystoreError) as refusal:
        encrypt_v3(KEY, "seven77", SALT, IV, IDENTIFIER, LIGHT_COST)
    assert refusal.value.reason is KeystoreReason.BAD_PASSWORD
