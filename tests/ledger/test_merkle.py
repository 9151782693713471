"""List trees against RFC 6962's own recursive definition."""

from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.codec import decode, encode
from ledger.merkle import (
    InclusionPath,
    ListProof,
    build_inclusion_path,
    build_proof,
    compute_leaf_hash,
    compute_path_root,
    compute_root,
    is_proof_valid,
)
from ledger.primitives import EMPTY_ROOT

LEAVES = [compute_leaf_hash(b"%d" % number) for number in range(40)]


def compute_rfc_root(leaves: list[bytes]) -> bytes:
    """RFC 6962 section 2.1: split at the largest power of two smaller than the size."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return sha256(b"\x01" + compute_rfc_root(leaves[:split]) + compute_rfc_root(leaves[split:])).digest()


def test_known_roots() -> None:
    """The test vectors of the Certificate Transparency reference implementation, 1 to 3 leaves."""
    leaves = [compute_leaf_hash(leaf) for leaf in (b"", b"\x00", b"\x10")]
    assert compute_root([]).hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert compute_root(leaves[:1]).hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert compute_root(leaves[:2]).hex() == "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"
    assert compute_root(leaves[:3]).hex() == "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"


@pytest.mark.parametrize("size", range(41))
def test_roots_and_proofs_of_every_size(size: int) -> None:
    leaves = LEAVES[:size]
    root = compute_root(leaves)
    assert root == compute_rfc_root(leaves)
    for index, leaf in enumerate(leaves):
        proof = build_proof(leaves, index)
        assert is_proof_valid(proof, leaf, root)
        assert decode(ListProof, encode(proof)) == proof
        assert len(proof.path) <= (size - 1).bit_length()


def test_the_empty_list_has_the_hash_of_nothing() -> None:
    assert compute_root([]) == EMPTY_ROOT
    for index in (-1, 0, 1):
        with pytest.raises(IndexError):
            build_proof([], index)
    with pytest.raises(IndexError):
        build_proof(LEAVES, len(LEAVES))


@given(st.integers(1, 40), st.data())
def test_a_tampered_proof_is_refused(size: int, data: st.DataObject) -> None:
    leaves = LEAVES[:size]
    root = compute_root(leaves)
    index = data.draw(st.integers(0, size - 1))
    proof, leaf = build_proof(leaves, index), leaves[index]
    for wrong_index in range(size + 2):
        assert is_proof_valid(replace(proof, index=wrong_index), leaf, root) == (wrong_index == index)
    assert not is_proof_valid(proof, LEAVES[(index + 1) % 40], root)
    assert not is_proof_valid(proof, leaf, bytes(32))
    assert not is_proof_valid(replace(proof, path=(*proof.path, bytes(32))), leaf, root)
    for position, sibling in enumerate(proof.path):
        flipped = bytes([sibling[0] ^ 1]) + sibling[1:]
        path = (*proof.path[:position], flipped, *proof.path[position + 1 :])
        assert not is_proof_valid(replace(proof, path=path), leaf, root)
        assert not is_proof_valid(replace(proof, path=path[:position] + path[position + 1 :]), leaf, root)


def test_an_inner_node_is_no_leaf() -> None:
    """Domain separation: what stands at an inner node cannot be shown as a leaf's bytes."""
    left, right = LEAVES[:2]
    root = compute_root([left, right])
    assert compute_leaf_hash(left + right) != root
    assert not is_proof_valid(ListProof(0, 1, ()), compute_leaf_hash(left + right), root)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 8, 13])
def test_a_path_leads_every_leaf_to_the_root_and_no_other_leaf(size):
    leaves = [compute_leaf_hash(bytes([number])) for number in range(size)]
    root = compute_root(leaves)
    for index in range(size):
        path = build_inclusion_path(leaves, index)
        assert decode(InclusionPath, encode(path)) == path
        found = [number for number, leaf in enumerate(leaves) if compute_path_root(path, leaf) == root]
        assert found == [index]


def test_index_and_size_are_not_bound_by_a_root_which_is_why_a_path_has_neither():
    leaves = [compute_leaf_hash(bytes([number])) for number in range(5)]
    proof = build_proof(leaves, 0)
    assert is_proof_valid(replace(proof, size=7), leaves[0], compute_root(leaves))
