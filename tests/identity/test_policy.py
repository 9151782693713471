from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity.address import compute_policy_address
from identity.keys import KeyType, PrivateKey, PublicKey
from identity.policy import (
    POLICY_KEYS_MAX,
    THRESHOLD_MAX,
    WEIGHT_MAX,
    InvalidPolicyError,
    KeyPolicy,
    WeightedKey,
    build_policy,
    check_policy,
    is_satisfied,
    policy_to_bytes,
)
from ledger.codec import DecodeError, decode, encode

KEYS = [PrivateKey(KeyType.ED25519, bytes([number]) * 32).public_key for number in range(1, 18)]
MIXED = [PrivateKey(key_type, b"\x05" * 32).public_key for key_type in KeyType]


def to_weighted(public_key: PublicKey, weight: int = 1) -> WeightedKey:
    return WeightedKey(public_key.key_type, public_key.key, weight)


def sort(*keys: WeightedKey) -> tuple[WeightedKey, ...]:
    return tuple(sorted(keys, key=lambda each: (each.key_type, each.key)))


def test_two_of_three() -> None:
    policy = build_policy([(key, 1) for key in MIXED], 2)
    assert [each.key_type for each in policy.keys] == [KeyType.ED25519, KeyType.SECP256K1, KeyType.P256]
    for count in range(4):
        for signers in combinations(MIXED, count):
            assert is_satisfied(policy, signers) is (count >= 2)


def test_weights_count_not_signatures() -> None:
    boss, clerk, other = KEYS[:3]
    policy = build_policy([(boss, 3), (clerk, 1), (other, 1)], 3)
    assert is_satisfied(policy, [boss])
    assert not is_satisfied(policy, [clerk, other])


def test_a_key_counts_once_however_often_it_signs() -> None:
    policy = build_policy([(KEYS[0], 1), (KEYS[1], 1)], 2)
    assert not is_satisfied(policy, [KEYS[0], KEYS[0]])
    assert is_satisfied(policy, [KEYS[0], KEYS[1], KEYS[0]])


def test_a_foreign_key_spoils_a_sufficient_set() -> None:
    policy = build_policy([(KEYS[0], 1)], 1)
    assert is_satisfied(policy, [KEYS[0]])
    assert not is_satisfied(policy, [KEYS[0], KEYS[1]])
    assert not is_satisfied(policy, [PublicKey(KeyType.P256, KEYS[0].key)])


def test_nobody_is_never_enough() -> None:
    assert not is_satisfied(build_policy([(KEYS[0], 1)], 1), [])


@pytest.mark.parametrize(
    ("policy", "why"),
    [
        (KeyPolicy((), 1), "1 to 16 keys, not 0"),
        (KeyPolicy(sort(*map(to_weighted, KEYS)), 1), "1 to 16 keys, not 17"),
        (KeyPolicy(sort(*map(to_weighted, KEYS[:3]))[::-1], 1), "order"),
        (KeyPolicy((to_weighted(KEYS[0]), to_weighted(KEYS[0])), 1), "order .* each once"),
        (KeyPolicy((to_weighted(KEYS[0], 1), to_weighted(KEYS[0], 2)), 1), "each once"),
        (KeyPolicy((to_weighted(KEYS[0], 0),), 1), "weighs 0"),
        (KeyPolicy((to_weighted(KEYS[0], -1),), 1), "weighs -1"),
        (KeyPolicy((to_weighted(KEYS[0], WEIGHT_MAX + 1),), 1), "weighs 65536"),
        (KeyPolicy((to_weighted(KEYS[0]),), 0), "threshold is 0"),
        (KeyPolicy((to_weighted(KEYS[0]),), -1), "threshold is -1"),
        (KeyPolicy(sort(to_weighted(KEYS[0], 2), to_weighted(KEYS[1], 3)), 6), "it can be 1 to 5"),
        (KeyPolicy((WeightedKey(KeyType.ED25519, bytes(32), 1),), 1), "key 0: .*small order"),
        (KeyPolicy((WeightedKey(KeyType.ED25519, bytes(33), 1),), 1), "key 0: .*32 bytes, not 33"),
        (KeyPolicy((WeightedKey(KeyType.P256, b"\x04" + bytes(32), 1),), 1), "key 0: .*compressed"),
    ],
)
def test_an_unusable_policy_is_refused_with_its_reason(policy: KeyPolicy, why: str) -> None:
    with pytest.raises(InvalidPolicyError, match=why):
        check_policy(policy)


def test_the_limits_themselves_are_allowed() -> None:
    keys = [(key, WEIGHT_MAX) for key in KEYS[:POLICY_KEYS_MAX]]
    policy = build_policy(keys, THRESHOLD_MAX)
    assert is_satisfied(policy, KEYS[:POLICY_KEYS_MAX])
    assert not is_satisfied(policy, KEYS[: POLICY_KEYS_MAX - 1])
    assert decode(KeyPolicy, encode(policy)) == policy


def test_build_refuses_the_same_key_twice() -> None:
    with pytest.raises(InvalidPolicyError, match="each once"):
        build_policy([(KEYS[0], 1), (KEYS[0], 1)], 1)


@pytest.mark.parametrize(
    "plain",
    [
        KeyPolicy((), 1),
        KeyPolicy((to_weighted(KEYS[0], 0),), 1),
        KeyPolicy((to_weighted(KEYS[0], WEIGHT_MAX + 1),), 1),
        KeyPolicy((to_weighted(KEYS[0]),), 0),
        KeyPolicy((to_weighted(KEYS[0]),), THRESHOLD_MAX + 1),
        KeyPolicy((WeightedKey(KeyType.ED25519, bytes(34), 1),), 1),
        KeyPolicy(tuple(map(to_weighted, KEYS)), 1),
    ],
)
def test_the_codec_enforces_the_limits(plain: KeyPolicy) -> None:
    with pytest.raises(DecodeError):
        decode(KeyPolicy, encode(plain))


def test_the_bytes_behind_an_address_are_pinned() -> None:
    policy = build_policy([(key, 256 + index) for index, key in enumerate(MIXED)], 0x0102)
    expected = "00000102" + "03"
    for each in policy.keys:
        expected += each.weight.to_bytes(2, "big").hex() + f"{each.key_type:02x}" + each.key.hex()
    assert policy_to_bytes(policy).hex() == expected
    assert len(policy_to_bytes(policy)) == 5 + 3 * 3 + 32 + 33 + 33
    assert compute_policy_address(policy_to_bytes(policy)).hex() == "49b3f91d2b06ce05c199fc7a8fe88f98bf125a83"


@given(
    st.lists(st.tuples(st.sampled_from(KEYS[:5] + MIXED[1:]), st.integers(1, 9)), min_size=1, unique_by=lambda x: x[0]),
    st.integers(1, 9),
    st.lists(st.tuples(st.sampled_from(KEYS[:5] + MIXED[1:]), st.integers(1, 9)), min_size=1, unique_by=lambda x: x[0]),
    st.integers(1, 9),
)
def test_different_policies_have_different_bytes(
    left: list[tuple[PublicKey, int]], left_threshold: int, right: list[tuple[PublicKey, int]], right_threshold: int
) -> None:
    policies = [
        build_policy(keys, min(threshold, sum(weight for _, weight in keys)))
        for keys, threshold in ((left, left_threshold), (right, right_threshold))
    ]
    assert (policies[0] == policies[1]) == (policy_to_bytes(policies[0]) == policy_to_bytes(policies[1]))
