"""State proofs: what is true is proven, and nothing that was tampered with is."""

from dataclasses import replace
from hashlib import sha256

import pytest

from ledger.codec import DecodeError, decode, encode
from ledger.primitives import RootHash
from ledger.state_proof import (
    InvalidProof,
    OtherLeaf,
    ProofLevel,
    StateProof,
    build_state_proof,
    check_state_proof,
)
from ledger.store_keys import value_store_key
from ledger.tree import NODE_KEY_PREFIX, PATH_NIBBLES, StateTree, TreeDamagedError

STATE = {b"key %d" % number: b"value %d" % number for number in range(300)}


def check(proof: StateProof, root: RootHash) -> bytes | None:
    return check_state_proof(proof, proof.key, root)


def store_state(state: dict[bytes, bytes]) -> tuple[dict[bytes, bytes], RootHash]:
    update = StateTree({}.get).compute_update(state)
    records = {store_key: record for store_key, record in update.node_changes if record is not None}
    records.update({value_store_key(key): value for key, value in state.items()})
    return records, update.root


RECORDS, ROOT = store_state(STATE)


def prove(key: bytes) -> StateProof:
    return build_state_proof(RECORDS.get, key, STATE.get(key))


def find_absent(*, with_other_leaf: bool) -> bytes:
    for number in range(10_000):
        key = b"absent %d" % number
        if (prove(key).other_leaf is not None) == with_other_leaf:
            return key
    raise AssertionError("no such key")


EXAMPLES = [b"key 0", b"key 17", find_absent(with_other_leaf=True), find_absent(with_other_leaf=False)]


def test_every_value_and_many_absences_are_proven() -> None:
    for key, value in STATE.items():
        assert check(prove(key), ROOT) == value
    for number in range(300):
        proof = prove(b"absent %d" % number)
        assert proof.value is None
        assert check(decode(StateProof, encode(proof)), ROOT) is None


def test_an_empty_value_is_not_absence() -> None:
    records, root = store_state({b"a": b"", b"b": b"x"})
    assert check(build_state_proof(records.get, b"a", b""), root) == b""
    with pytest.raises(InvalidProof):
        check(replace(build_state_proof(records.get, b"a", b""), value=None), root)


def test_everything_is_absent_from_the_empty_tree() -> None:
    root = StateTree({}.get).root
    assert check(build_state_proof({}.get, b"a", None), root) is None


@pytest.mark.parametrize("key", EXAMPLES)
def test_every_flipped_bit_is_refused(key: bytes) -> None:
    encoded = encode(prove(key))
    for position in range(len(encoded)):
        for bit in range(8):
            flipped = bytearray(encoded)
            flipped[position] ^= 1 << bit
            with pytest.raises((DecodeError, InvalidProof)):
                check(decode(StateProof, bytes(flipped)), ROOT)


@pytest.mark.parametrize("key", EXAMPLES)
def test_every_flipped_bit_of_the_root_is_refused(key: bytes) -> None:
    proof = prove(key)
    for bit in range(256):
        root = (int.from_bytes(ROOT, "big") ^ 1 << bit).to_bytes(32, "big")
        with pytest.raises(InvalidProof, match="root"):
            check(proof, RootHash(root))


def test_a_present_key_cannot_be_proven_absent() -> None:
    proof = prove(b"key 5")
    own = OtherLeaf(sha256(b"key 5").digest(), sha256(b"value 5").digest())
    with pytest.raises(InvalidProof, match="own"):
        check(replace(proof, value=None, other_leaf=own), ROOT)
    with pytest.raises(InvalidProof):
        check(replace(proof, value=None), ROOT)
    with pytest.raises(InvalidProof, match="no other leaf"):
        check(replace(proof, other_leaf=own), ROOT)


def test_a_leaf_on_another_path_proves_no_absence() -> None:
    """The leaf of "key 5" and its siblings are sound, but the asked key would not stand there."""
    proof = prove(b"key 5")
    other = OtherLeaf(sha256(b"key 5").digest(), sha256(b"value 5").digest())
    with pytest.raises(InvalidProof, match="another path"):
        check(replace(proof, key=b"key 6", value=None, other_leaf=other), ROOT)


def test_shape_is_checked() -> None:
    proof = prove(b"key 5")
    for levels in ((), proof.levels[:-1], (*proof.levels, ProofLevel(0, ())), proof.levels * PATH_NIBBLES):
        with pytest.raises(InvalidProof):
            check(replace(proof, levels=levels), ROOT)
    first = proof.levels[0]
    for level in (
        ProofLevel(0xFFFF, first.siblings),
        ProofLevel(first.siblings_bitmap, first.siblings[:-1]),
        ProofLevel(first.siblings_bitmap, (*first.siblings, bytes(32))),
    ):
        with pytest.raises(InvalidProof):
            check(replace(proof, levels=(level, *proof.levels[1:])), ROOT)


def test_a_store_that_contradicts_itself_gives_no_proof() -> None:
    with pytest.raises(TreeDamagedError):
        build_state_proof(RECORDS.get, b"key 5", b"another value")
    with pytest.raises(TreeDamagedError):
        build_state_proof(RECORDS.get, b"key 5", None)
    with pytest.raises(TreeDamagedError):
        build_state_proof(RECORDS.get, EXAMPLES[2], b"not there")
    nodes_only = {key: record for key, record in RECORDS.items() if key.startswith(NODE_KEY_PREFIX)}
    with pytest.raises(TreeDamagedError, match="missing"):
        build_state_proof(nodes_only.get, EXAMPLES[2], None)


def test_a_proof_about_another_key_is_refused():
    """A proof of absence can be honest about a key that nobody asked for."""
    with pytest.raises(InvalidProof, match="another key"):
        check_state_proof(build_state_proof({}.get, b"a", None), b"b", StateTree({}.get).root)
