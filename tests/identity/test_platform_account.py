"""Accounts of a platform: hashes, salts and claim keys."""

import hmac
from hashlib import sha256

import pytest

from identity.keys import KeyType
from identity.platform_account import (
    ACCOUNT_NAME_BYTES_MAX,
    AccountSecrets,
    InvalidAccountNameError,
    compute_account_hash,
    derive_account_secrets,
    encode_claim_leaf,
    get_claim_private_key,
)

MASTER = bytes(range(32))
NAME = "žofie@example.com"


def test_secrets_follow_from_the_master_key():
    encoded = NAME.encode()
    salt = hmac.new(MASTER, b"carlive account salt\0" + encoded, sha256).digest()
    seed = hmac.new(MASTER, b"carlive account claim\0" + encoded, sha256).digest()
    secrets = derive_account_secrets(MASTER, NAME)
    assert secrets == AccountSecrets(salt, seed)
    key = get_claim_private_key(secrets)
    assert (key.key_type, key.secret) == (KeyType.ED25519, seed)


def test_a_hash_is_of_salt_and_name_and_a_leaf_of_hash_and_key():
    account = compute_account_hash(NAME, bytes(32))
    assert account == sha256(b"carlive account\0" + bytes(32) + NAME.encode()).digest()
    assert encode_claim_leaf(account, bytes([7]) * 32) == account + bytes([7]) * 32


@pytest.mark.parametrize("name", ["", "x" * (ACCOUNT_NAME_BYTES_MAX + 1), "\ud800"])
def test_what_is_no_name_is_refused(name):
    with pytest.raises(InvalidAccountNameError):
        derive_account_secrets(MASTER, name)
