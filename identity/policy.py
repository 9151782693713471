"""Key policies: who may sign for an account. Weighted keys, and how much weight is enough."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Final

from annotated_types import Interval, Len

from identity.keys import InvalidKeyError, KeyType, PublicKey, check_public_key

POLICY_KEYS_MAX: Final = 16  # each signature of a transaction is checked, so a policy bounds that work
WEIGHT_MAX: Final = 2**16 - 1
THRESHOLD_MAX: Final = POLICY_KEYS_MAX * WEIGHT_MAX


class InvalidPolicyError(ValueError):
    """These keys and this threshold cannot rule an account; the message says why."""


@dataclass(frozen=True, slots=True)
class WeightedKey:
    """One key of a policy and how much its signature counts."""

    key_type: KeyType
    key: Annotated[bytes, Len(32, 33)]
    weight: Annotated[int, Interval(ge=1, le=WEIGHT_MAX)]

    @property
    def public_key(self) -> PublicKey:
        """The key without its weight."""
        return PublicKey(self.key_type, self.key)


@dataclass(frozen=True, slots=True)
class KeyPolicy:
    """Signatures that together weigh at least the threshold rule the account; `check_policy` tests it."""

    keys: Annotated[tuple[WeightedKey, ...], Len(1, POLICY_KEYS_MAX)]
    """In order of key type, then key; each once."""
    threshold: Annotated[int, Interval(ge=1, le=THRESHOLD_MAX)]


def build_policy(weights: Iterable[tuple[PublicKey, int]], threshold: int) -> KeyPolicy:
    """A checked policy from keys in any order; raises InvalidPolicyError."""
    keys = [WeightedKey(public_key.key_type, public_key.key, weight) for public_key, weight in weights]
    policy = KeyPolicy(tuple(sorted(keys, key=_get_order)), threshold)
    check_policy(policy)
    return policy


def check_policy(policy: KeyPolicy) -> None:
    """Refuse a policy that is out of limits or order, holds a bad key, or can never be satisfied.

    Raises InvalidPolicyError with the reason. Assumes nothing about where the policy comes from.
    """
    if not 1 <= len(policy.keys) <= POLICY_KEYS_MAX:
        raise InvalidPolicyError(f"a policy has 1 to {POLICY_KEYS_MAX} keys, not {len(policy.keys)}")
    if any(_get_order(left) >= _get_order(right) for left, right in pairwise(policy.keys)):
        raise InvalidPolicyError("the keys do not stand in order of key type and key, each once")
    for index, each in enumerate(policy.keys):
        if not 1 <= each.weight <= WEIGHT_MAX:
            raise InvalidPolicyError(f"key {index} weighs {each.weight}, allowed are 1 to {WEIGHT_MAX}")
        try:
            check_public_key(each.public_key)
        except InvalidKeyError as error:
            raise InvalidPolicyError(f"key {index}: {error}") from None
    weight_total = sum(each.weight for each in policy.keys)
    if not 1 <= policy.threshold <= weight_total:
        raise InvalidPolicyError(
            f"the threshold is {policy.threshold}; with these keys it can be 1 to {weight_total} (all weights together)"
        )


def is_satisfied(policy: KeyPolicy, signer_keys: Iterable[PublicKey]) -> bool:
    """Whether these keys, each counted once, weigh enough. A key from outside the policy spoils it all."""
    weights = {each.public_key: each.weight for each in policy.keys}
    signers = set(signer_keys)
    if not signers <= weights.keys():
        return False
    return sum(weights[signer] for signer in signers) >= policy.threshold


def policy_to_bytes(policy: KeyPolicy) -> bytes:
    """The bytes a policy's address is the hash of; `policy` has passed `check_policy`.

    threshold, 4 bytes ‖ number of keys, 1 byte ‖ for each key: weight, 2 bytes ‖ key type, 1 byte ‖ key, 32 bytes for
    ed25519 and 33 otherwise. Integers are big-endian.
    """
    keys = [each.weight.to_bytes(2, "big") + bytes([each.key_type]) + each.key for each in policy.keys]
    return policy.threshold.to_bytes(4, "big") + bytes([len(keys)]) + b"".join(keys)


def _get_order(each: WeightedKey) -> tuple[int, bytes]:
    return each.key_type, each.key
