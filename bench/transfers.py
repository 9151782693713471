"""Ready signed transfers: accounts are keys derived from their number, senders take turns."""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import nacl.bindings as sodium

from identity.address import Address, compute_key_address
from identity.keys import KeyType, PublicKey
from identity.signing import SigningDomain, SigningPurpose, signing_bytes
from ledger.codec import pack

GAS_LIMIT = 2_000


class BenchAccount:
    """A key pair kept in libsodium's own form, because signing sets the pace of preparation."""

    __slots__ = ("address", "public_key", "secret_key")

    def __init__(self, label: str) -> None:
        self.public_key, self.secret_key = sodium.crypto_sign_seed_keypair(hashlib.sha256(label.encode()).digest())
        self.address: Address = compute_key_address(PublicKey(KeyType.ED25519, self.public_key))


def sign_transfer(
    sender: BenchAccount,
    sequence: int,
    recipient: Address,
    amount_grains: int,
    chain_id: str,
    domain: SigningDomain,
    price_grains: int = 1,
    valid_until: int = 2**40,
) -> bytes:
    """The encoded transaction."""
    calls = [["iov", "transfer", [recipient, amount_grains]]]
    return sign_calls(sender, sequence, calls, GAS_LIMIT, chain_id, domain, price_grains, valid_until)


def sign_calls(
    sender: BenchAccount,
    sequence: int,
    calls: list[Any],
    gas_limit: int,
    chain_id: str,
    domain: SigningDomain,
    price_grains: int = 1,
    valid_until: int = 2**40,
) -> bytes:
    """The encoded transaction of any calls."""
    fee = gas_limit * price_grains
    body = pack([1, chain_id, sender.address, sequence, valid_until, gas_limit, fee, None, calls, ""])
    message = signing_bytes(SigningPurpose.TRANSACTION, domain, body)
    signature = sodium.crypto_sign(message, sender.secret_key)[:64]
    return pack([body, [[0, int(KeyType.ED25519), sender.public_key, signature]]])


def list_pairs(
    senders: Sequence[BenchAccount], recipients: Sequence[Address], count: int
) -> Iterator[tuple[int, Address]]:
    """Sender number and recipient of each transfer: senders in turn, recipients spread over all accounts."""
    for index in range(count):
        yield index % len(senders), recipients[(index * 7919 + 13) % len(recipients)]
